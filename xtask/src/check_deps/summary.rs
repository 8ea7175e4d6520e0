//! Lines, files and circles of each crate.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::circles;
use super::exceptions::EXCEPTIONS;
use super::graph::Graph;
use crate::sources;
use crate::workspace::Workspace;

/// Prints the table.
pub(super) fn print(workspace: &Workspace) -> Result<()> {
    println!(
        "{:24} {:>5} {:>7} {:>11} {:>11} {:>7} {:>10}",
        "crate", "files", "lines", "test files", "test lines", "circles", "files in"
    );
    let mut sums = [0; 6];
    for package in &workspace.packages {
        let root = package.root_file()?;
        let source = root.parent().context("a crate's root is in no folder")?;
        let (files, lines) = count(source)?;
        let (test_files, test_lines) = count(&package.folder()?.join("tests"))?;
        let graph = Graph::read(root)?;
        let one = EXCEPTIONS.of(&package.name, &graph).unwrap_or_else(|_| BTreeMap::new());
        let circles = circles::find(&graph, &one);
        let inside = circles.iter().map(|circle| circle.files.len()).sum();
        let row = [files, lines, test_files, test_lines, circles.len(), inside];
        print_row(&package.name, &row);
        for (sum, number) in sums.iter_mut().zip(row) {
            *sum += number;
        }
    }
    print_row("all", &sums);
    Ok(())
}

fn print_row(name: &str, row: &[usize; 6]) {
    let [files, lines, test_files, test_lines, circles, inside] = row;
    println!(
        "{name:24} {files:>5} {lines:>7} {test_files:>11} {test_lines:>11} {circles:>7} {inside:>10}"
    );
}

/// The Rust files below a folder, and their lines.
fn count(folder: &Path) -> Result<(usize, usize)> {
    let files = sources::below(folder)?;
    let mut lines = 0;
    for file in &files {
        lines += sources::text(file)?.lines().count();
    }
    Ok((files.len(), lines))
}
