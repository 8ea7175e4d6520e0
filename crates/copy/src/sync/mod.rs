//! The file of `sync`: what is to be where.
//!
//! ```toml
//! [[copy]]
//! source = "registry.example/lib/alpine"
//! targets = ["mirror.example/alpine", "oci:/srv/alpine"]
//! tags = ["3.*", "latest"]
//! except = ["*-rc*"]
//! platforms = ["linux/amd64", "linux/arm64"]
//! referrers = true # or, as these make other digests: compression = "zstd", format = "oci"
//! ```
//!
//! In YAML it has the same keys, below a list `copy`. Both are read into one tree, so that they mean the same.

mod error;
mod tags;
mod tree;
mod version;

use std::collections::HashSet;

use regex_lite::{Regex, RegexBuilder};
use spec::Platform;

use self::error::{Fault, MAX_ENTRIES, MAX_REGEX};
pub use self::error::{SyncError, Syntax};
pub use self::tags::TagChoice;
use self::tree::{Node, Value};
pub use self::version::RangeError;
use crate::{Conversion, Pattern, Place};

/// The most memory of what is made of a regular expression.
const MAX_REGEX_MEMORY: usize = 256 << 10;
/// The keys of an entry.
const KEYS: [&str; 13] = [
    "compression",
    "except",
    "except-regex",
    "format",
    "latest",
    "platforms",
    "referrers",
    "source",
    "tags",
    "tags-regex",
    "target",
    "targets",
    "versions",
];
/// Those that choose among tags.
const TAG_KEYS: [&str; 6] = ["except", "except-regex", "latest", "tags", "tags-regex", "versions"];
/// The keys of a registry in a file of `skopeo sync --src yaml`.
const SKOPEO_KEYS: [&str; 3] = ["images", "images-by-tag-regex", "images-by-semver"];

/// Images of one source, for some targets.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The line at which it begins.
    pub line: usize,
    /// The source: an image, or a repository.
    pub source: Place,
    /// The places that its images go to.
    pub targets: Vec<Place>,
    /// Of a repository, the tags that are wanted.
    pub tags: TagChoice,
    /// The platforms; all if there are none.
    pub platforms: Vec<Platform>,
    /// True if what refers to its images is copied as well.
    pub referrers: bool,
    /// The changes that are asked for.
    pub conversion: Option<Conversion>,
}

impl Entry {
    /// Says whether not one image is meant but those of a repository.
    pub fn is_repository(&self) -> bool {
        // An archive is one image for the most part.
        self.source.is_name_only() || !self.tags.is_any() && self.source.may_list()
    }

    /// Reads all entries of a file.
    pub fn parse(text: &str, syntax: Syntax) -> Result<Vec<Self>, SyncError> {
        let root = tree::parse(text, syntax)?;
        let Value::Table(fields) = root.value else {
            return Err(SyncError::new(root.line, Fault::Missing("copy")));
        };
        let (mut entries, mut files) = (Vec::new(), HashSet::new());
        for (name, node) in fields {
            if name != "copy" {
                return Err(SyncError::new(node.line, unknown(name, Some(&node))));
            }
            let wrong = |line| {
                let wanted = match syntax {
                    Syntax::Toml => "a table: [[copy]]",
                    Syntax::Yaml => "a list of tables",
                };
                SyncError::new(line, Fault::Kind { key: "copy", wanted })
            };
            let Value::List(tables) = node.value else { return Err(wrong(node.line)) };
            if tables.len() > MAX_ENTRIES {
                return Err(SyncError::new(node.line, Fault::TooMany));
            }
            for table in tables {
                let Value::Table(fields) = table.value else { return Err(wrong(table.line)) };
                let entry = Fields::read(fields)?.entry(table.line)?;
                for target in &entry.targets {
                    if target.whole_file().is_some_and(|file| !files.insert(file)) {
                        let fault = Fault::SameFile(target.clone());
                        return Err(SyncError::new(table.line, fault));
                    }
                }
                entries.push(entry);
            }
        }
        if entries.is_empty() {
            let missing = match syntax {
                Syntax::Toml => "[[copy]]",
                Syntax::Yaml => "copy",
            };
            return Err(SyncError::new(1, Fault::Missing(missing)));
        }
        Ok(entries)
    }
}

/// Says of a key that there is not which one may be meant.
fn unknown(found: String, root: Option<&Node>) -> Fault {
    if let Some(Value::Table(fields)) = root.map(|node| &node.value)
        && fields.iter().any(|(name, _)| SKOPEO_KEYS.contains(&&**name))
    {
        return Fault::Skopeo;
    }
    let keys = if root.is_some() { &["copy"][..] } else { &KEYS };
    let near = spec::nearest(&found, keys.iter().copied());
    Fault::Key { found, near }
}

/// The fields of an entry, as they are read.
#[derive(Default)]
struct Fields {
    source: Option<Place>,
    targets: Vec<Place>,
    tags: TagChoice,
    platforms: Vec<Platform>,
    referrers: bool,
    compression: Option<crate::LayerEncoding>,
    format: Option<crate::Format>,
}

impl Fields {
    fn read(fields: Vec<(String, Node)>) -> Result<Self, SyncError> {
        let mut read = Self::default();
        for (name, node) in fields {
            let node = &node;
            match &*name {
                "source" => read.source = Some(one("source", node, source_place)?),
                "target" => read.targets.push(one("target", node, target_place)?),
                "targets" => read.targets.extend(list("targets", node, target_place)?),
                "tags" => read.tags.patterns = list("tags", node, str::parse::<Pattern>)?,
                "tags-regex" => read.tags.regexes = list("tags-regex", node, regex)?,
                "versions" => read.tags.versions = list("versions", node, str::parse)?,
                "latest" => read.tags.latest = Some(count("latest", node)?),
                "except" => read.tags.except = list("except", node, str::parse::<Pattern>)?,
                "except-regex" => read.tags.except_regexes = list("except-regex", node, regex)?,
                "platforms" => read.platforms = list("platforms", node, Platform::parse)?,
                "compression" => read.compression = Some(one("compression", node, str::parse)?),
                "format" => read.format = Some(one("format", node, str::parse)?),
                "referrers" => {
                    let wrong = Fault::Kind { key: "referrers", wanted: "true or false" };
                    read.referrers =
                        node.truth().ok_or_else(|| SyncError::new(node.line, wrong))?;
                }
                _ => return Err(SyncError::new(node.line, unknown(name, None))),
            }
            if TAG_KEYS.contains(&&*name) {
                read.tags.words.push(format!("{name}: {}", node.words()));
            }
        }
        Ok(read)
    }

    fn entry(self, line: usize) -> Result<Entry, SyncError> {
        let fault = |fault| Err(SyncError::new(line, fault));
        let Some(source) = self.source else { return fault(Fault::Missing("source")) };
        if self.targets.is_empty() {
            return fault(Fault::Missing("target"));
        }
        let conversion = Conversion::new(self.compression, self.format);
        let conversion = conversion.map_err(|error| SyncError::new(line, error))?;
        if self.referrers && conversion.is_some() {
            return fault(Fault::Referrers);
        }
        let Self { targets, tags, platforms, referrers, .. } = self;
        let entry = Entry { line, source, targets, tags, platforms, referrers, conversion };
        if entry.is_repository() {
            if let Some(target) = entry.targets.iter().find(|target| !target.takes_many()) {
                return fault(Fault::Target(target.clone()));
            }
        } else if !entry.tags.is_any() {
            return fault(Fault::Tags);
        }
        Ok(entry)
    }
}

fn source_place(text: &str) -> Result<Place, Fault> {
    file_or_registry(Place::parse(text)?)
}

fn target_place(text: &str) -> Result<Place, Fault> {
    file_or_registry(Place::parse_target(text)?)
}

/// Refuses what a command has once alone, or asks an engine for.
fn file_or_registry(place: Place) -> Result<Place, Fault> {
    if place.is_standard() || matches!(place, Place::Daemon(_)) {
        return Err(Fault::Stream(place));
    }
    Ok(place)
}

fn regex(text: &str) -> Result<Regex, Fault> {
    if text.len() > MAX_REGEX {
        return Err(Fault::RegexLength);
    }
    let mut builder = RegexBuilder::new(text);
    let built = builder.size_limit(MAX_REGEX_MEMORY).build();
    built.map_err(|source| Fault::Regex { text: text.to_owned(), source })
}

fn count(key: &'static str, node: &Node) -> Result<usize, SyncError> {
    let wrong = || SyncError::new(node.line, Fault::Kind { key, wanted: "a number, 1 or more" });
    node.count().filter(|count| *count > 0).ok_or_else(wrong)
}

fn one<T, E: Into<Fault>>(
    key: &'static str,
    node: &Node,
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<T, SyncError> {
    let wrong = || SyncError::new(node.line, Fault::Kind { key, wanted: "a text" });
    let text = node.text().ok_or_else(wrong)?;
    read(text).map_err(|error| SyncError::new(node.line, error).at(key))
}

/// Reads a text, or a list of texts.
fn list<T, E: Into<Fault>>(
    key: &'static str,
    node: &Node,
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, SyncError> {
    let wanted = "a text, or a list of texts";
    let read = |node: &Node| match node.text() {
        Some(_) => one(key, node, &read),
        None => Err(SyncError::new(node.line, Fault::Kind { key, wanted })),
    };
    match &node.value {
        Value::List(nodes) if nodes.len() > MAX_ENTRIES => {
            Err(SyncError::new(node.line, Fault::TooMany).at(key))
        }
        Value::List(nodes) => nodes.iter().map(read).collect(),
        _ => read(node).map(|value| vec![value]),
    }
}

/// Reads any bytes as a file of either language: it is read, or refused with a line that the file has.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let syntax = if *first == b'y' { Syntax::Yaml } else { Syntax::Toml };
    match Entry::parse(text, syntax) {
        Ok(entries) => {
            for entry in entries {
                assert!(!entry.targets.is_empty());
                let tags = ["latest", "1.2.3", "v1.2-alpine", "20240101"];
                let tags = tags.into_iter().filter(|tag| entry.tags.wants(tag));
                let tags = tags.filter_map(|tag| Some((tag.parse().ok()?, ()))).collect();
                assert!(entry.tags.newest(tags).len() <= 4);
            }
        }
        Err(error) => {
            // YAML ends lines with more than TOML does.
            let ends = |c: &char| matches!(c, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}');
            let lines = text.chars().filter(ends).count() + 2;
            assert!(error.line >= 1 && error.line <= lines, "{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const TOML: &str = r#"
# what we mirror
[[copy]]
source = "r.example/a"
targets = ["m.example/a", "oci:/srv/a"]
tags = ["1.*", "latest"]
except = "*-rc*"
platforms = ["linux/amd64", "linux/arm64"]
referrers = true

[[copy]]
source = "r.example/b:1"
target = "m.example/b:2"
compression = "zstd:9"
"#;
    const YAML: &str = r#"
# what we mirror
copy:
  - source: r.example/a
    targets: [m.example/a, "oci:/srv/a"]
    tags:
      - 1.*
      - latest
    except: "*-rc*"
    platforms: [linux/amd64, linux/arm64]
    referrers: true
  - source: r.example/b:1
    target: m.example/b:2
    compression: zstd:9
"#;

    fn chosen(entry: &Entry, tags: &[&str]) -> Vec<String> {
        let wanted = tags.iter().filter(|tag| entry.tags.wants(tag));
        let wanted = wanted.map(|tag| (tag.parse().unwrap(), ())).collect();
        entry.tags.newest(wanted).iter().map(|(tag, ())| tag.to_string()).collect()
    }

    #[test]
    fn a_file_is_read_in_either_language() {
        for (text, syntax) in [(TOML, Syntax::Toml), (YAML, Syntax::Yaml)] {
            let entries = Entry::parse(text, syntax).unwrap();
            assert_eq!(entries.len(), 2);
            let [first, second] = &entries[..] else { panic!() };
            assert_eq!(first.targets.len(), 2);
            assert!(first.referrers && !second.referrers);
            assert_eq!(first.platforms.len(), 2);
            assert_eq!(chosen(first, &["1.0", "1.1-rc2", "latest", "2.0"]), ["1.0", "latest"]);
            assert!(first.is_repository() && !second.is_repository());
            assert_eq!(second.targets[0].to_string(), "m.example/b:2");
            assert!(first.conversion.is_none() && second.conversion.is_some());
        }
        assert_eq!(Syntax::of(Path::new("a/b.yml")), Syntax::Yaml);
        assert_eq!(Syntax::of(Path::new("a.yaml/b")), Syntax::Toml);
    }

    #[test]
    fn tags_are_chosen_by_expressions_versions_and_age() {
        let tags = [
            "1",
            "1.9",
            "1.10",
            "1.10.3",
            "2.0-rc1",
            "2",
            "1.10-alpine",
            "1.9-alpine",
            "latest",
            "20240101",
            "sha-1f",
        ];
        for (keys, expected) in [
            ("tags-regex: '^1\\.[0-9]+$'", &["1.9", "1.10"][..]),
            ("tags-regex: ['^sha-', '^latest$']", &["latest", "sha-1f"]),
            ("versions: '>=1.10 <3'", &["1.10", "1.10.3", "2"]),
            // A variant is asked for by its text.
            ("{versions: '>=1.10 <3', tags: '*-alpine'}", &["1.10-alpine"]),
            ("{versions: '>=1.9 <3', except-regex: '^1\\.9'}", &["1.10", "1.10.3", "2"]),
            ("{versions: <100, latest: 2}", &["2", "1.10.3"]),
            ("{tags: '*-alpine', latest: 1}", &["1.10-alpine"]),
            ("latest: 1", &["20240101"]),
            ("{except: '*-*', latest: 9}", &["20240101", "2", "1.10.3", "1.10", "1.9", "1"]),
        ] {
            let keys = keys.trim_matches(['{', '}']);
            let text = format!("copy: [{{source: r.example/a, target: m.example/a, {keys}}}]");
            let entries =
                Entry::parse(&text, Syntax::Yaml).unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(chosen(&entries[0], &tags), expected, "{keys}");
        }
    }

    #[test]
    fn faults_of_toml_are_told_with_their_lines() {
        let entry = |rest: &str| format!("[[copy]]\nsource = \"r.example/a\"\n{rest}\n");
        let of_tag = |rest: &str| entry(rest).replace("example/a", "example/a:1");
        for (text, expected) in [
            (String::new(), "line 1: \"[[copy]]\" is missing"),
            ("copy = 1".to_owned(), "line 1: \"copy\" is to be a table: [[copy]]"),
            ("\nx = 1".to_owned(), "line 2: unknown key \"x\""),
            ("[[copy]]\ntarget = \"a.b/c\"".to_owned(), "line 1: \"source\" is missing"),
            (entry(""), "line 1: \"target\" is missing"),
            (entry("target = \"A\""), "line 3: target: invalid image name \"A\""),
            (entry("target = \"-\""), "docker-archive:-: a file of copies names no daemon"),
            (entry("target = \"docker-daemon:a\""), "docker-daemon:a:latest: a file"),
            (entry("target = 1"), "line 3: \"target\" is to be a text"),
            (entry("tags = 1"), "line 3: \"tags\" is to be a text, or a list of texts"),
            (entry("target = \"a.b/c\"\nreferrers = 1"), "line 4: \"referrers\" is to be true or"),
            (
                entry("target = \"m.example/a:1\""),
                "a layout or an oci-archive:, without a tag: m.example/a:1",
            ),
            (entry("target = \"m.example/a\"\ntags = [\"[\"]"), "line 4: tags: invalid pattern"),
            (entry("platforms = \"*\""), "line 3: platforms: \"*\": wildcards"),
            (entry("platform = \"linux/arm64\""), "unknown key \"platform\"; \"platforms\" is one"),
            (
                entry("tag-regex = \"a\""),
                "line 3: unknown key \"tag-regex\"; \"tags-regex\" is one",
            ),
            (entry("tags-regex = \"(\""), "line 3: tags-regex: invalid regular expression \"(\""),
            (entry("tags-regex = '(a{1000}){1000}'"), "line 3: tags-regex: invalid regular"),
            (entry("versions = \">1 beta\""), "line 3: versions: \">1 beta\" is no range"),
            (entry("latest = 0"), "line 3: \"latest\" is to be a number, 1 or more"),
            (entry("compression = \"lz4\""), "line 3: compression: \"lz4\" is no compression"),
            (
                entry("target = \"a.b/c\"\nreferrers = true\nformat = \"oci\""),
                "line 1: referrers are about digests",
            ),
            (
                of_tag("targets = [\"oci-archive:a.tar\", \"docker-archive:./a.tar\"]"),
                "line 1: docker-archive:./a.tar: an entry before",
            ),
            (of_tag("target = \"dir:a/b\"").repeat(2), "line 4: dir:a/b: an entry before"),
            (entry("cop = 1"), "line 3: unknown key \"cop\""),
            ("[[coppy]]".to_owned(), "unknown key \"coppy\"; \"copy\" is one"),
            ("a = [".to_owned(), "line 1: "),
        ] {
            let error = Entry::parse(&text, Syntax::Toml).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let long = format!("tags-regex = \"{}\"", "a".repeat(1001));
        let error = Entry::parse(&entry(&long), Syntax::Toml).unwrap_err().to_string();
        assert!(error.contains("more than 1000 characters"), "{error}");
    }

    #[test]
    fn faults_of_yaml_are_told_with_their_lines() {
        let entry =
            |rest: &str| format!("copy:\n- source: r.example/a\n  target: m.example/a\n  {rest}\n");
        for (text, expected) in [
            (String::new(), "line 1: \"copy\" is missing"),
            ("- a".to_owned(), "line 1: \"copy\" is missing"),
            ("copy: 1".to_owned(), "line 1: \"copy\" is to be a list of tables"),
            ("copy:\n- 1".to_owned(), "line 2: \"copy\" is to be a list of tables"),
            (entry("tag: x"), "line 4: unknown key \"tag\"; \"tags\" is one"),
            (entry("tags: [a, [b]]"), "line 4: \"tags\" is to be a text, or a list of texts"),
            (entry("referrers: yes"), "line 4: \"referrers\" is to be true or false"),
            (entry("source: b"), "line 4: the key \"source\" stands twice"),
            (entry("tags: &a [x]\n  except: *a"), "line 5: aliases are not read"),
            (entry("platforms:"), "line 4: \"platforms\" is to be a text"),
            (entry("tags: ["), "line "),
            ("copy: []\n---\ncopy: []".to_owned(), "a second document"),
            ("[".repeat(100), "nested too deep"),
            (
                "quay.io:\n  images-by-semver:\n    a/b: '>=1'".to_owned(),
                "line 2: this is a file of skopeo's",
            ),
        ] {
            let error = Entry::parse(&text, Syntax::Yaml).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let many = format!("copy: [{}]", "1,".repeat(200_001));
        let error = Entry::parse(&many, Syntax::Yaml).unwrap_err().to_string();
        assert!(error.contains("more than 10000 entries"), "{error}");
    }
}
