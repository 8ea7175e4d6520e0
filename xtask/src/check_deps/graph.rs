//! Files of a crate and the arrows between them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::collect;
use super::modules::Place;

/// Files of one crate, and for each pair of them with an arrow the first place that makes it.
#[derive(Debug, Default)]
pub(super) struct Graph {
    pub(super) files: Vec<PathBuf>,
    pub(super) arrows: BTreeMap<(usize, usize), Place>,
}

impl Graph {
    /// Reads a crate from its `lib.rs` or `main.rs` on.
    pub(super) fn read(root: &Path) -> Result<Graph> {
        let modules = collect::modules(root)?;
        let folder = root.parent().unwrap_or(root);
        let short = |file: &PathBuf| file.strip_prefix(folder).unwrap_or(file).to_owned();
        Ok(Graph { files: modules.files.iter().map(short).collect(), arrows: modules.arrows() })
    }
}
