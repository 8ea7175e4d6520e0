//! `cargo xtask bench`: pull and push of real images, and lists of a thousand, side by side with what a user has today.
//!
//! Tasks alternate (A B C A B C), each on an emptied store after a `sync`, so that what the machine
//! does meanwhile hits all alike. The wall time is that of the client's command; CPU time and peak
//! memory are those of client, daemon and all their children. All stores are on one file system
//! with a journal, on a loop device with direct I/O: ext4 without a journal does not reuse the
//! inodes that were deleted in the last minutes and scans past them, which makes the unpacking
//! after a deletion slower by ten times and more.

mod images;
mod lists;
mod measure;
mod mount;
mod options;
mod peers;
mod rebuild;
mod table;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rustix::process::geteuid;
use test_support::servers::{DockerRegistry, find_program};

use self::images::Recipe;
use self::measure::{Sample, measure};
use self::mount::Mount;
use self::options::Operation;
pub(crate) use self::options::Options;
use self::peers::Peer;
use self::table::{Key, Results};
use crate::workspace::Workspace;

/// The repository in the second registry that is pushed to, emptied before each push.
const PUSHED: &str = "bench/pushed:1";

pub(crate) fn run(options: &Options) -> Result<()> {
    if !geteuid().is_root() {
        bail!(
            "the benchmark mounts a file system and runs dockerd, which needs root:\n    \
             sudo -E cargo xtask bench"
        );
    }
    if find_program("docker-registry").is_none() {
        bail!("the benchmark needs a registry: apt-get install docker-registry");
    }
    let workspace = Workspace::read()?;
    let folder = workspace.target.join("bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;

    let cache = folder.join("registry");
    let source = DockerRegistry::builder().storage(&cache).start().context("docker-registry")?;
    let transfers = [Operation::Pull, Operation::Push, Operation::Rebuild];
    let transfers = transfers.into_iter().any(|operation| options.includes(operation));
    let recipes = if transfers { images::selected(options) } else { Vec::new() };
    for recipe in &recipes {
        recipe.prepare(&source, &folder)?;
    }
    let mount = Mount::new(&folder)?;
    let target_storage = mount.path().join("pushed");
    let target =
        DockerRegistry::builder().storage(&target_storage).start().context("docker-registry")?;
    let peers = peers::start(&workspace, mount.path(), options)?;

    let mut results = Results::default();
    for recipe in &recipes {
        // The registry's disk is not what is measured.
        images::read_all(&cache)?;
        let bench = Bench { source: &source, target: &target, recipe, options };
        if options.includes(Operation::Pull) {
            bench.pull(&peers, &mut results);
        }
        if options.includes(Operation::Push) && !recipe.pull_only() {
            bench.push(&peers, &target_storage, &mut results)?;
        }
        if options.includes(Operation::Rebuild) && recipe.name == rebuild::IMAGE {
            let places = (&*workspace.release_binary(), mount.path(), &*target_storage);
            rebuild::run(&bench, places, options, &mut results)?;
        }
    }
    if options.includes(Operation::List) {
        lists::run(&peers, &folder, options, &mut results)?;
    }
    println!("\n{}", results.markdown(&peers, &recipes));
    Ok(())
}

/// One image between two registries.
struct Bench<'a> {
    source: &'a DockerRegistry,
    target: &'a DockerRegistry,
    recipe: &'a Recipe,
    options: &'a Options,
}

impl Bench<'_> {
    fn pull(&self, peers: &[Peer], results: &mut Results) {
        let name = self.source_name();
        self.rounds(Operation::Pull, peers, results, |peer| {
            peer.clear()?;
            rustix::fs::sync();
            let sample = measure(peer.pull(&name)?, peer.daemon())?;
            let sample = sample.with_stored(size_of(peer.store())?);
            peer.clear()?;
            Ok(sample)
        });
    }

    fn push(&self, peers: &[Peer], storage: &Path, results: &mut Results) -> Result<()> {
        let operation = Operation::Push;
        let (name, target) = (self.source_name(), self.target_name());
        for peer in peers.iter().filter(|peer| peer.takes(self.recipe)) {
            let pulled = peer.clear().and_then(|()| measure(peer.pull(&name)?, None));
            if let Err(error) = pulled.and_then(|_| peer.tag(&name, &target)) {
                results.fail(self.key(operation, peer), &error);
            }
        }
        self.rounds(operation, peers, results, |peer| {
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
    fn rounds(
        &self,
        operation: Operation,
        peers: &[Peer],
        results: &mut Results,
        task: impl Fn(&Peer) -> Result<Sample>,
    ) {
        for round in 1..=self.options.runs {
            for peer in peers.iter().filter(|peer| peer.takes(self.recipe)) {
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

    fn key(&self, operation: Operation, peer: &Peer) -> Key {
        Key { operation, image: self.recipe.name, peer: peer.name() }
    }

    fn source_name(&self) -> String {
        format!("{}/{}", self.source.address(), self.recipe.reference())
    }

    fn target_name(&self) -> String {
        format!("{}/{PUSHED}", self.target.address())
    }
}

/// Removes what a folder holds.
fn empty(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove `{}`", folder.display()))?;
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot make `{}`", folder.display()))
}

/// What a store takes on the disk, in bytes, as `du` counts.
fn size_of(folder: &Path) -> Result<u64> {
    let mut command = std::process::Command::new("du");
    let text = crate::shell::output(command.arg("-sB1").arg(folder))?;
    let size = text.split_whitespace().next().and_then(|size| size.parse().ok());
    size.with_context(|| format!("`du` says `{text}`"))
}
