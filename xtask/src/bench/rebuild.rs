//! Pushes from a data root that a dockerd made, where no compressed layer is kept: all have to be put together and
//! compressed again. Both engines work on the same data root, one after the other.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use test_support::servers::{Dockerd, find_program};

use super::measure::{Sample, measure};
use super::options::{Operation, Options};
use super::peers::{AGAINST, empty};
use super::table::{Key, Results};
use super::transfers::Bench;
use crate::workspace::longshore;

/// The image that is measured: with one layer or very small ones there is nothing to do at once.
pub(super) const IMAGE: &str = "app";
const PEERS: [&str; 2] = ["longshore", "dockerd"];

/// A data root and who pushes from it.
struct Root<'a> {
    bench: &'a Bench<'a>,
    binary: PathBuf,
    against: Option<&'a Path>,
    folder: PathBuf,
}

/// Has a dockerd pull the image, and measures pushes to an emptied registry.
pub(super) fn run(
    bench: &Bench<'_>,
    (binary, folder, storage): (&Path, &Path, &Path),
    options: &Options,
    results: &mut Results,
) -> Result<()> {
    let against = options.against();
    let peers = || {
        let named = PEERS.into_iter().filter(|peer| options.includes_peer(peer));
        named.chain(against.map(|_| AGAINST))
    };
    if peers().count() == 0 || find_program("dockerd").is_none() {
        return Ok(());
    }
    let (binary, folder) = (binary.to_owned(), folder.join("rebuild"));
    let root = Root { bench, binary, against, folder };
    root.pull().context("dockerd cannot prepare the data root")?;
    for round in 1..=options.runs {
        for peer in peers() {
            let key = Key { operation: Operation::Rebuild, image: bench.recipe.name, peer };
            if results.has_failed(&key) {
                continue;
            }
            empty(storage)?;
            rustix::fs::sync();
            match root.push(peer) {
                Ok(sample) => {
                    println!("{key} {round}: {sample}");
                    results.add(key, sample);
                }
                Err(error) => results.fail(key, &error),
            }
        }
    }
    empty(storage)?;
    empty(&root.folder)
}

impl Root<'_> {
    fn store(&self) -> PathBuf {
        self.folder.join("store")
    }

    fn dockerd(&self) -> Result<Dockerd> {
        Ok(Dockerd::builder().data_root(&self.store()).start()?)
    }

    fn pull(&self) -> Result<()> {
        empty(&self.folder)?;
        let dockerd = self.dockerd()?;
        let (name, target) = (self.bench.source_name(), self.bench.target_name());
        dockerd.docker(&["pull", "--quiet", &name])?;
        dockerd.docker(&["tag", &name, &target])?;
        Ok(())
    }

    fn push(&self, peer: &str) -> Result<Sample> {
        let target = self.bench.target_name();
        if peer == "dockerd" {
            let dockerd = self.dockerd()?;
            let mut command = std::process::Command::new("docker");
            command.arg("--host").arg(dockerd.host()).args(["push", "--quiet", &target]);
            return measure(command, Some(dockerd.process().id()));
        }
        let other = self.against.filter(|_| peer == AGAINST);
        let mut command = longshore(other.unwrap_or(&self.binary), &self.folder)?;
        command.arg("--data-root").arg(self.store()).args(["push", "--quiet", &target]);
        measure(command, None)
    }
}
