//! Pulls and pushes of one image, by each program in turn.

use std::path::Path;

use anyhow::{Context as _, Result};
use test_support::servers::DockerRegistry;

use super::images::Recipe;
use super::measure::{Sample, measure};
use super::options::{Operation, Options};
use super::peers::{Peer, empty};
use super::table::{Key, Results};

/// The repository in the second registry that is pushed to, emptied before each push.
const PUSHED: &str = "bench/pushed:1";

/// One image between two registries.
pub(super) struct Bench<'a> {
    /// The address that is pulled from.
    pub(super) source: &'a str,
    pub(super) target: &'a DockerRegistry,
    pub(super) recipe: &'a Recipe,
    pub(super) options: &'a Options,
}

impl Bench<'_> {
    pub(super) fn pull(&self, peers: &[Peer], results: &mut Results) {
        let name = self.source_name();
        self.rounds(Operation::Pull, &peers.iter(), results, |peer| {
            peer.clear()?;
            rustix::fs::sync();
            let sample = measure(peer.pull(&name)?, peer.daemon())?;
            let sample = sample.with_stored(size_of(peer.store())?);
            peer.clear()?;
            Ok(sample)
        });
    }

    pub(super) fn push(&self, peers: &[Peer], storage: &Path, results: &mut Results) -> Result<()> {
        let operation = Operation::Push;
        let (name, target) = (self.source_name(), self.target_name());
        for peer in peers.iter().filter(|peer| peer.takes(self.recipe)) {
            let pulled = peer.clear().and_then(|()| measure(peer.pull(&name)?, None));
            if let Err(error) = pulled.and_then(|_| peer.tag(&name, &target)) {
                results.fail(self.key(operation, peer), &error);
            }
        }
        self.rounds(operation, &peers.iter(), results, |peer| {
            empty(storage)?;
            rustix::fs::sync();
            measure(peer.push(&target)?, peer.daemon())
        });
        for peer in peers.iter().filter(|peer| !results.has_failed(&self.key(operation, peer))) {
            peer.clear()?;
        }
        empty(storage)
    }

    /// Runs `task` for each peer in turn, as often as the options say. One that fails is not asked
    /// again.
    pub(super) fn rounds<'p>(
        &self,
        operation: Operation,
        peers: &(impl Iterator<Item = &'p Peer> + Clone),
        results: &mut Results,
        task: impl Fn(&Peer) -> Result<Sample>,
    ) {
        for round in 1..=self.options.runs {
            for peer in peers.clone().filter(|peer| peer.takes(self.recipe)) {
                let key = self.key(operation, peer);
                if results.has_failed(&key) {
                    continue;
                }
                match task(peer) {
                    Ok(sample) => {
                        println!("{key} {round}: {sample}");
                        results.add(key, sample);
                    }
                    Err(error) => {
                        println!("{key} {round}: {error:#}");
                        results.fail(key, &error);
                    }
                }
            }
        }
    }

    pub(super) fn key(&self, operation: Operation, peer: &Peer) -> Key {
        Key { operation, image: self.recipe.name, peer: peer.name() }
    }

    pub(super) fn source_name(&self) -> String {
        format!("{}/{}", self.source, self.recipe.reference())
    }

    pub(super) fn target_name(&self) -> String {
        format!("{}/{PUSHED}", self.target.address())
    }
}

/// Bytes that a store takes on the disk, as `du` counts.
pub(super) fn size_of(folder: &Path) -> Result<u64> {
    let mut command = std::process::Command::new("du");
    let text = crate::shell::output(command.arg("-sB1").arg(folder))?;
    let size = text.split_whitespace().next().and_then(|size| size.parse().ok());
    size.with_context(|| format!("`du` says `{text}`"))
}
