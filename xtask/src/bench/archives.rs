//! Loads and saves of one image, by each program in turn.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use test_support::servers::find_program;

use super::measure::measure;
use super::options::Operation;
use super::peers::{Peer, empty};
use super::table::Results;
use super::transfers::Bench;
use crate::shell::output;

/// The image that is measured.
pub(super) const IMAGE: &str = "app";

impl Bench<'_> {
    /// Loads an archive of plain layers, as dockers up to 24 save them. skopeo makes it.
    pub(super) fn load(&self, peers: &[Peer], folder: &Path, results: &mut Results) -> Result<()> {
        if find_program("skopeo").is_none() {
            println!("skopeo is not installed, so no archive to load");
            return Ok(());
        }
        let archive = folder.join("load.tar");
        remove(&archive)?;
        let mut copy = Command::new("skopeo");
        copy.args(["--insecure-policy", "copy", "--quiet", "--src-tls-verify=false"]);
        copy.arg(format!("docker://{}", self.source_name()));
        copy.arg(format!("docker-archive:{}:{}", archive.display(), self.recipe.reference()));
        output(&mut copy)?;
        let input = text(&archive)?;
        let takers = peers.iter().filter(|peer| peer.has_archives());
        self.rounds(Operation::Load, &takers, results, |peer| {
            peer.clear()?;
            rustix::fs::sync();
            let sample =
                measure(peer.command(&["load", "--quiet", "--input", input])?, peer.daemon())?;
            let sample = sample.with_stored(super::transfers::size_of(peer.store())?);
            peer.clear()?;
            Ok(sample)
        });
        remove(&archive)
    }

    /// Saves what was pulled to a file on the file system that all stores are on.
    pub(super) fn save(&self, peers: &[Peer], folder: &Path, results: &mut Results) -> Result<()> {
        let operation = Operation::Save;
        let name = self.source_name();
        let folder = folder.join("saved");
        empty(&folder)?;
        let archive = folder.join("save.tar");
        let path = text(&archive)?;
        let takers = peers.iter().filter(|peer| peer.has_archives());
        for peer in takers.clone() {
            let pulled = peer.clear().and_then(|()| measure(peer.pull(&name)?, None));
            if let Err(error) = pulled {
                results.fail(self.key(operation, peer), &error);
            }
        }
        self.rounds(operation, &takers, results, |peer| {
            remove(&archive)?;
            rustix::fs::sync();
            measure(peer.command(&["save", "--output", path, &name])?, peer.daemon())
        });
        for peer in takers {
            peer.clear()?;
        }
        empty(&folder)
    }
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("the target folder's name is not UTF-8")
}

fn remove(path: &PathBuf) -> Result<()> {
    if path.exists() {
        fs::remove_file(path).with_context(|| format!("cannot remove `{}`", path.display()))?;
    }
    Ok(())
}
