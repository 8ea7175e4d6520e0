//! `cargo xtask deny`: licences, versions and sources of the crates of others, as `deny.toml` allows them.
//!
//! The file is cargo-deny's, of which this is the part that needs no network and no ten minutes of compiling. The advisories of the
//! RustSec database are cargo-deny's alone.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Deserialize;
use toml::de::{DeTable, DeValue};

use crate::workspace::{Workspace, cargo};
use crate::{shell, sources};

/// The only registry.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The file's rules.
#[derive(Debug, Default)]
struct Rules {
    targets: Vec<String>,
    licences: BTreeSet<String>,
    /// Crates that may be there in two versions.
    skipped: BTreeSet<String>,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// None for our own.
    source: Option<String>,
    rust_version: Option<String>,
    dependencies: Vec<Requirement>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Requirement {
    name: String,
    req: String,
    source: Option<String>,
}

pub(crate) fn run() -> Result<()> {
    let workspace = Workspace::read()?;
    let rules = Rules::parse(&sources::text(&workspace.root.join("deny.toml"))?)?;
    let mut command = cargo();
    command.args(["metadata", "--format-version=1", "--locked", "--all-features"]);
    command.current_dir(&workspace.root);
    for target in &rules.targets {
        command.args(["--filter-platform", target]);
    }
    let metadata: Metadata = serde_json::from_str(&shell::output(&mut command)?)
        .context("cannot read cargo's metadata")?;
    let problems = problems(&rules, &metadata.packages);
    if !problems.is_empty() {
        bail!("crates that `deny.toml` does not allow:\n  {}", problems.join("\n  "));
    }
    let foreign = metadata.packages.iter().filter(|package| package.source.is_some()).count();
    println!("deny: {foreign} crates of others are as `deny.toml` and our `rust-version` allow");
    Ok(())
}

fn problems(rules: &Rules, packages: &[Package]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut met = BTreeSet::new();
    let ours = packages.iter().find(|package| package.source.is_none());
    let oldest = ours.and_then(|package| package.rust_version.as_deref()).unwrap_or_default();
    for package in packages {
        let Package { name, version, license, source, rust_version, .. } = package;
        versions.entry(name).or_default().insert(version);
        let wild = |one: &&Requirement| one.source.is_some() && one.req == "*";
        let wild = package.dependencies.iter().filter(wild);
        let Some(source) = source else {
            problems.extend(wild.map(|one| format!("{name} takes any version of {}", one.name)));
            continue;
        };
        if source != CRATES_IO {
            problems.push(format!("{name} {version} is of `{source}`"));
        }
        let license = license.as_deref().unwrap_or_default();
        match allowed(license, &rules.licences) {
            Some(used) => met.extend(used),
            None => problems.push(format!("{name} {version} has the licence `{license}`")),
        }
        let needed = rust_version.as_deref().unwrap_or_default();
        if number(needed) > number(oldest) {
            problems.push(format!("{name} {version} needs Rust {needed}, we promise {oldest}"));
        }
    }
    for (name, versions) in &versions {
        let versions: Vec<&str> = versions.iter().copied().collect();
        let versions = versions.join(" and ");
        match (versions.contains(' '), rules.skipped.contains(*name)) {
            (true, false) => problems.push(format!("{name} is there twice: {versions}")),
            (false, true) => problems.push(format!("{name} is there once, and needs no exception")),
            _ => {}
        }
    }
    let gone = rules.skipped.iter().filter(|name| !versions.contains_key(name.as_str()));
    problems.extend(gone.map(|name| format!("{name} is not there, and needs no exception")));
    let unmet = rules.licences.iter().filter(|licence| !met.contains(licence.as_str()));
    problems.extend(unmet.map(|licence| format!("nothing has the licence `{licence}`")));
    problems
}

/// The allowed licences by which an SPDX expression is satisfied; none if it is not.
fn allowed(expression: &str, allow: &BTreeSet<String>) -> Option<Vec<String>> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    let used = either(&mut words, allow);
    // What is left over was no expression.
    used.filter(|_| words.next().is_none())
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>, allow: &BTreeSet<String>) -> Option<Vec<String>> {
    let mut used = both(words, allow);
    while words.next_if_eq(&"OR").is_some() {
        let other = both(words, allow);
        used = used.or(other);
    }
    used
}

fn both(words: &mut Words<'_>, allow: &BTreeSet<String>) -> Option<Vec<String>> {
    let mut used = one(words, allow);
    while words.next_if_eq(&"AND").is_some() {
        let other = one(words, allow);
        used = used.zip(other).map(|(one, other)| [one, other].concat());
    }
    used
}

fn one(words: &mut Words<'_>, allow: &BTreeSet<String>) -> Option<Vec<String>> {
    let mut name = words.next()?.to_owned();
    if name == "(" {
        let inner = either(words, allow);
        words.next_if_eq(&")")?;
        return inner;
    }
    if words.next_if_eq(&"WITH").is_some() {
        name = format!("{name} WITH {}", words.next()?);
    }
    allow.contains(&name).then(|| vec![name])
}

/// A version of Rust, to be compared.
fn number(version: &str) -> Vec<u32> {
    version.split('.').map(|part| part.parse().unwrap_or_default()).collect()
}

impl Rules {
    fn parse(text: &str) -> Result<Rules> {
        let root = DeTable::parse(text).map_err(|error| anyhow!("`deny.toml`: {error}"))?;
        let list = |table: &str, key: &str| {
            let table = root.get_ref().get(table).and_then(|value| value.get_ref().as_table());
            let list = table.and_then(|table| table.get(key)?.get_ref().as_array());
            list.with_context(|| format!("`deny.toml` has no list `{table:?}`.`{key}`"))
        };
        let text = |value: &DeValue<'_>| value.as_str().unwrap_or_default().to_owned();
        let texts = |table, key| -> Result<Vec<String>> {
            Ok(list(table, key)?.iter().map(|value| text(value.get_ref())).collect())
        };
        let mut rules = Rules {
            targets: texts("graph", "targets")?,
            licences: texts("licenses", "allow")?.into_iter().collect(),
            ..Rules::default()
        };
        for entry in list("bans", "skip")? {
            let field = |key| {
                let field = entry.get_ref().as_table().and_then(|table| table.get(key));
                field.map(|value| text(value.get_ref())).filter(|text| !text.is_empty())
            };
            field("reason").context("an exception in `deny.toml` has no reason")?;
            rules.skipped.insert(field("name").context("an exception names no crate")?);
        }
        Ok(rules)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences() {
        let allow = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(str::to_owned);
        let allow = BTreeSet::from(allow);
        for (expression, expected) in [
            ("MIT", true),
            ("MIT OR GPL-3.0", true),
            ("GPL-3.0/MIT", true),
            ("MIT AND GPL-3.0", false),
            ("(MIT OR GPL-3.0) AND ISC", true),
            ("GPL-3.0 AND (MIT OR ISC)", false),
            ("GPL-3.0 OR MIT AND ISC", true),
            ("Apache-2.0 WITH LLVM-exception", true),
            ("Apache-2.0", false),
            ("MIT ISC", false),
            ("(MIT", false),
            ("", false),
        ] {
            assert_eq!(allowed(expression, &allow).is_some(), expected, "{expression}");
        }
    }

    #[test]
    fn a_package_that_breaks_each_rule() {
        let rules = Rules::parse(
            "[graph]\ntargets = []\n[licenses]\nallow = [\"MIT\"]\n\
             [bans]\nskip = [{ name = \"twice\", reason = \"r\" }]\n",
        )
        .unwrap();
        let package = |name: &str, version: &str| Package {
            name: name.to_owned(),
            version: version.to_owned(),
            license: Some("MIT".to_owned()),
            source: Some(CRATES_IO.to_owned()),
            ..Package::default()
        };
        let any = Requirement {
            name: "a".to_owned(),
            req: "*".to_owned(),
            source: Some(CRATES_IO.to_owned()),
        };
        let ours = Package {
            source: None,
            rust_version: Some("1.93".to_owned()),
            dependencies: vec![any],
            ..package("ours", "0.1.0")
        };
        let good = [package("a", "1.0.0"), package("twice", "1.0.0"), package("twice", "2.0.0")];
        let clean = Package { dependencies: Vec::new(), ..ours.clone() };
        let clean = problems(&rules, &[&[clean], &good[..]].concat());
        assert!(clean.is_empty(), "{clean:?}");
        let bad = [
            ours,
            package("a", "2.0.0"),
            Package { license: Some("GPL-3.0".to_owned()), ..package("b", "1.0.0") },
            Package { rust_version: Some("1.100".to_owned()), ..package("c", "1.0.0") },
            Package { source: Some("git+https://x".to_owned()), ..package("d", "1.0.0") },
        ];
        let found = problems(&rules, &[&bad[..], &good[..2]].concat());
        assert_eq!(
            found,
            [
                "ours takes any version of a",
                "b 1.0.0 has the licence `GPL-3.0`",
                "c 1.0.0 needs Rust 1.100, we promise 1.93",
                "d 1.0.0 is of `git+https://x`",
                "a is there twice: 1.0.0 and 2.0.0",
                "twice is there once, and needs no exception",
            ]
        );
    }

    #[test]
    fn an_exception_needs_a_reason() {
        let text =
            "[graph]\ntargets = []\n[licenses]\nallow = []\n[bans]\nskip = [{ name = \"a\" }]\n";
        assert!(Rules::parse(text).unwrap_err().to_string().contains("no reason"));
    }
}
