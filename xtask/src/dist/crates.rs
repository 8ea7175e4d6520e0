//! The crates that a binary is made of: their list as CycloneDX, and their licences.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::build::Commit;
use super::target::Target;
use crate::shell;
use crate::workspace::{Workspace, cargo};

/// The package that the binary is of.
const ROOT: &str = "longshore";

#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    description: Option<String>,
    /// `None` for a crate of this workspace.
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Debug, Deserialize)]
struct Kind {
    /// `None` for an ordinary dependency, else `dev` or `build`.
    kind: Option<String>,
}

/// The crates behind a binary, each with those that it needs itself.
#[derive(Debug)]
pub(super) struct Crates {
    packages: Vec<(Package, BTreeSet<String>)>,
    checksums: BTreeMap<(String, String), String>,
}

impl Crates {
    /// Asks cargo which crates a target needs.
    pub(super) fn read(workspace: &Workspace, target: &Target) -> Result<Crates> {
        let mut command = cargo();
        command.args(["metadata", "--format-version=1", "--locked", "--filter-platform"]);
        let text = shell::output(command.arg(&target.triple).current_dir(&workspace.root))?;
        let metadata = serde_json::from_str(&text).context("cannot read cargo's metadata")?;
        let lock = fs::read_to_string(workspace.root.join("Cargo.lock"))?;
        Ok(Crates { packages: needed(metadata)?, checksums: checksums(&lock) })
    }

    /// The list, in CycloneDX's format. Without a serial number: that would be another each time.
    pub(super) fn bill(&self, commit: &Commit) -> String {
        let purl = |package: &Package| format!("pkg:cargo/{}@{}", package.name, package.version);
        let names: BTreeMap<&str, String> =
            self.packages.iter().map(|(package, _)| (package.id.as_str(), purl(package))).collect();
        let component = |package: &Package, kind: &str| {
            let name = purl(package);
            let mut component = json!({
                "type": kind, "bom-ref": name, "name": package.name, "version": package.version, "purl": name,
            });
            if let Some(licence) = &package.license {
                // Old crates have a slash for "or".
                let expression = licence.replace('/', " OR ");
                component["licenses"] = json!([{ "expression": expression }]);
            }
            if let Some(description) = &package.description {
                component["description"] = json!(description.trim());
            }
            let key = (package.name.clone(), package.version.clone());
            if let (Some(sum), Some(_)) = (self.checksums.get(&key), &package.source) {
                component["hashes"] = json!([{ "alg": "SHA-256", "content": sum }]);
            }
            component
        };
        let (roots, others): (Vec<_>, Vec<_>) =
            self.packages.iter().partition(|(package, _)| package.name == ROOT);
        let dependencies: Vec<Value> = self
            .packages
            .iter()
            .map(|(package, needs)| {
                let needs: Vec<_> = needs.iter().filter_map(|id| names.get(id.as_str())).collect();
                json!({ "ref": purl(package), "dependsOn": needs })
            })
            .collect();
        let document = json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {
                "timestamp": commit.time,
                "component": roots.first().map(|(package, _)| component(package, "application")),
            },
            "components": others.iter().map(|(package, _)| component(package, "library")).collect::<Vec<_>>(),
            "dependencies": dependencies,
        });
        format!("{document:#}\n")
    }

    /// The licences of all crates of others, each text once with whose it is.
    pub(super) fn licences(&self, own: &str) -> Result<String> {
        let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut without_text = Vec::new();
        for (package, _) in self.packages.iter().filter(|(package, _)| package.source.is_some()) {
            let licence = package.license.as_deref().unwrap_or("no licence said");
            let name = format!("{} {} ({licence})", package.name, package.version);
            let found = licence_texts(package.manifest_path.parent().unwrap_or(Path::new("")))?;
            if found.is_empty() {
                without_text.push(name);
                continue;
            }
            for text in found {
                texts.entry(text).or_default().push(name.clone());
            }
        }
        let mut texts: Vec<_> = texts.into_iter().map(|(text, of)| (of, text)).collect();
        texts.sort();
        let mut page = format!("Longshore is under the Apache License 2.0:\n\n{own}");
        page.push_str("\nThe binary has the following crates in it, under these licences:\n");
        for (of, text) in texts {
            page.extend([format!(
                "\n{}\n{}:\n\n{}\n",
                "=".repeat(72),
                of.join(",\n"),
                text.trim_end()
            )]);
        }
        if !without_text.is_empty() {
            let rule = "=".repeat(72);
            page.extend([format!(
                "\n{rule}\nThese come without the text of their licence:\n\n{}\n",
                without_text.join("\n")
            )]);
        }
        Ok(page)
    }
}

/// The files of a crate's folder that hold its licences, by name.
fn licence_texts(folder: &Path) -> Result<Vec<String>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        let is_licence = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];
        if is_licence.iter().any(|begin| name.starts_with(begin)) && entry.path().is_file() {
            paths.push(entry.path());
        }
    }
    paths.sort();
    let read =
        |path: PathBuf| fs::read(path).map(|text| String::from_utf8_lossy(&text).into_owned());
    Ok(paths.into_iter().map(read).collect::<Result<_, _>>()?)
}

/// The crates behind the binary, by name; macros and build scripts too, as code that they write is in it.
fn needed(metadata: Metadata) -> Result<Vec<(Package, BTreeSet<String>)>> {
    let mut nodes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in metadata.resolve.nodes {
        let is_used =
            |edge: &Edge| edge.dep_kinds.iter().any(|kind| kind.kind.as_deref() != Some("dev"));
        let needs = node.deps.into_iter().filter(is_used).map(|edge| edge.pkg).collect();
        nodes.insert(node.id, needs);
    }
    let root = metadata.packages.iter().find(|package| package.name == ROOT);
    let mut waiting = vec![root.context("the workspace has no such package")?.id.clone()];
    let mut seen = BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if seen.insert(id.clone()) {
            waiting.extend(nodes.get(&id).into_iter().flatten().cloned());
        }
    }
    let mut packages: Vec<(Package, BTreeSet<String>)> = metadata
        .packages
        .into_iter()
        .filter(|package| seen.contains(&package.id))
        .map(|package| {
            let needs = nodes.remove(&package.id).unwrap_or_default();
            (package, needs)
        })
        .collect();
    packages.sort_by(|(one, _), (other, _)| {
        (&one.name, &one.version).cmp(&(&other.name, &other.version))
    });
    Ok(packages)
}

/// The checksums of a lock file by name and version. Cargo writes a line for each value, in this order.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let (mut found, mut name, mut version) = (BTreeMap::new(), "", "");
    for line in lock.lines() {
        let Some((key, value)) = line.split_once(" = ") else { continue };
        let value = value.trim_matches('"');
        match key {
            "name" => name = value,
            "version" => version = value,
            "checksum" => {
                found.insert((name.to_owned(), version.to_owned()), value.to_owned());
            }
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        let package = |name: &str, source: Option<&str>| {
            json!({ "id": format!("id-{name}"), "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0",
                    "description": null, "source": source, "manifest_path": "/none/Cargo.toml" })
        };
        let edge = |name: &str, kind: Option<&str>| json!({ "pkg": format!("id-{name}"), "dep_kinds": [{ "kind": kind, "target": null }] });
        let registry = Some("registry+x");
        serde_json::from_value(json!({
            "packages": [package("longshore", None), package("b", registry), package("a", registry),
                         package("tests", registry)],
            "resolve": { "nodes": [
                { "id": "id-longshore", "deps": [edge("b", None), edge("tests", Some("dev"))] },
                { "id": "id-b", "deps": [edge("a", Some("build"))] },
                { "id": "id-a", "deps": [] },
                { "id": "id-tests", "deps": [edge("a", None)] },
            ] },
        }))
        .unwrap()
    }

    #[test]
    fn a_bill_has_what_is_built_in() {
        let lock = "[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"ff\"\n";
        let crates = Crates { packages: needed(metadata()).unwrap(), checksums: checksums(lock) };
        let commit = Commit { name: String::new(), seconds: 0, time: "then".to_owned() };
        let bill: Value = serde_json::from_str(&crates.bill(&commit)).unwrap();
        assert_eq!(bill["metadata"]["component"]["purl"], "pkg:cargo/longshore@1.0.0");
        let names: Vec<_> =
            bill["components"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(bill["components"][0]["hashes"][0]["content"], "ff");
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(bill["dependencies"][1]["dependsOn"], json!(["pkg:cargo/a@1.0.0"]));
    }

    #[test]
    fn a_crate_without_the_text_of_its_licence_is_listed_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut packages = needed(metadata()).unwrap();
        for (package, _) in &mut packages {
            let home = folder.path().join(&package.name);
            fs::create_dir(&home).unwrap();
            package.manifest_path = home.join("Cargo.toml");
        }
        fs::write(folder.path().join("a/LICENSE-MIT"), "of a\n").unwrap();
        let crates = Crates { packages, checksums: BTreeMap::new() };
        let page = crates.licences("own\n").unwrap();
        assert!(page.contains("\na 1.0.0 (MIT/Apache-2.0):\n\nof a\n"), "{page}");
        assert!(page.ends_with("licence:\n\nb 1.0.0 (MIT/Apache-2.0)\n"), "{page}");
    }
}
