//! Circles that stay: one type whose parts are in several files.

use std::collections::BTreeMap;

use anyhow::{Result, bail};

use super::circles;
use super::graph::Graph;

/// Files that count as one, and why.
#[derive(Debug)]
struct Exception {
    package: &'static str,
    files: &'static [&'static str],
    reason: &'static str,
}

#[derive(Debug)]
pub(super) struct Exceptions(&'static [Exception]);

/// A line says which type it is, and why its parts have to know each other.
pub(super) const EXCEPTIONS: Exceptions = Exceptions(&[
    Exception {
        package: "longshore-registry",
        files: &["error/mod.rs", "error/everywhere.rs", "error/fault.rs", "error/refusal.rs"],
        reason: "an error holds the failures of its endpoints and of its token server, which are errors",
    },
    Exception {
        package: "longshore-archive",
        files: &["apply/mod.rs", "apply/aside.rs", "apply/metadata.rs"],
        reason: "an extractor is one type, whose parts for content and for attributes have a file each",
    },
    Exception {
        package: "longshore-store",
        files: &["ingest/mod.rs", "ingest/claim.rs", "ingest/reader.rs"],
        reason: "a download, its writers and its readers share one state",
    },
    Exception {
        package: "longshore-store",
        files: &["check/mod.rs", "check/layers.rs", "check/overlay.rs"],
        reason: "a check is one type, which looks at each part of a data root in a file of its own",
    },
]);

impl Exceptions {
    /// Maps a crate's files that count as one to the first of them.
    pub(super) fn of(&self, package: &str, graph: &Graph) -> Result<BTreeMap<usize, usize>> {
        let mut one = BTreeMap::new();
        for Exception { files, reason, .. } in self.0.iter().filter(|e| e.package == package) {
            let mut parts = Vec::new();
            for file in *files {
                let Some(at) = graph.files.iter().position(|known| known.as_os_str() == *file)
                else {
                    bail!("an exception names `{file}`, which is not in {package}: {reason}");
                };
                parts.push(at);
            }
            if !circles::find(graph, &BTreeMap::new())
                .iter()
                .any(|circle| parts.iter().all(|part| circle.files.contains(part)))
            {
                bail!("{package} has no circle of {} any more: {reason}", files.join(" "));
            }
            one.extend(parts.iter().map(|&part| (part, parts[0])));
        }
        Ok(one)
    }
}
