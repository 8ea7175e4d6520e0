//! `cargo xtask bench`: pull, push, load and save of real images, lists of a thousand, and copies of many between registries, side by
//! side with what a user has today.
//!
//! Tasks alternate (A B C A B C), each on an emptied store after a `sync`, so that what the machine
//! does meanwhile hits all alike. The wall time is that of the client's command; CPU time and peak
//! memory are those of client, daemon and all their children. All stores are on one file system
//! with a journal, on a loop device with direct I/O: ext4 without a journal does not reuse the
//! inodes that were deleted in the last minutes and scans past them, which makes the unpacking
//! after a deletion slower by ten times and more.
//!
//! `--wan 20,25,200` has pulls go over a link with a round trip of 20 ms, 25 MB/s a connection and 200 MB/s in all; `--cores
//! 1,2,all` runs the same with so many cores for everything, one table each.

mod archives;
mod clients;
mod copy;
mod images;
mod lists;
mod measure;
mod mount;
mod options;
mod peers;
mod rebuild;
mod table;
mod transfers;
mod wan;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use rustix::process::geteuid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use test_support::servers::{DockerRegistry, find_program};

use self::mount::Mount;
pub(crate) use self::options::Options;
use self::options::{Operation, TRANSFERS};
use self::table::Results;
use self::transfers::Bench;
use crate::workspace::Workspace;

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

    let mount = Mount::new(&folder)?;
    if options.includes(Operation::Copy) {
        println!("\n{}", copy::run(&workspace, &folder, mount.path(), options)?);
    }
    if TRANSFERS.into_iter().chain([Operation::List]).any(|operation| options.includes(operation)) {
        let every = sched_getaffinity(None).context("cannot see which cores there are")?;
        for count in &options.cores {
            limit(&every, *count)?;
            stores(&workspace, &folder, &mount, options)?;
        }
    }
    Ok(())
}

/// Gives this process, and so all that it starts, only so many of the cores.
fn limit(every: &CpuSet, count: Option<usize>) -> Result<()> {
    let mut few = CpuSet::new();
    let cores = (0..CpuSet::MAX_CPU).filter(|core| every.is_set(*core));
    for core in cores.take(count.unwrap_or(CpuSet::MAX_CPU)) {
        few.set(core);
    }
    sched_setaffinity(None, &few).context("cannot choose cores")
}

/// Measures those that have a store.
fn stores(workspace: &Workspace, folder: &Path, mount: &Mount, options: &Options) -> Result<()> {
    let cache = folder.join("registry");
    let source = DockerRegistry::builder().storage(&cache).start().context("docker-registry")?;
    let transfers = TRANSFERS.into_iter().any(|operation| options.includes(operation));
    let recipes = if transfers { images::selected(options) } else { Vec::new() };
    for recipe in &recipes {
        recipe.prepare(&source, folder)?;
    }
    let target_storage = mount.path().join("pushed");
    let target =
        DockerRegistry::builder().storage(&target_storage).start().context("docker-registry")?;
    let peers = peers::start(workspace, mount.path(), options)?;

    let address = match options.wan {
        Some(link) => link.start(source.address())?.to_string(),
        None => source.address().to_owned(),
    };
    let mut results = Results::default();
    for recipe in &recipes {
        // The registry's disk is not what is measured.
        images::read_all(&cache)?;
        let bench = Bench { source: &address, target: &target, recipe, options };
        if options.includes(Operation::Pull) {
            bench.pull(&peers, &mut results);
        }
        if options.includes(Operation::Push) && !recipe.pull_only() {
            bench.push(&peers, &target_storage, &mut results)?;
        }
        if recipe.name == archives::IMAGE {
            if options.includes(Operation::Load) {
                bench.load(&peers, folder, &mut results)?;
            }
            if options.includes(Operation::Save) {
                bench.save(&peers, mount.path(), &mut results)?;
            }
            if options.includes(Operation::Clients) {
                bench.clients(&peers, &mut results);
            }
        }
        if options.includes(Operation::Rebuild) && recipe.name == rebuild::IMAGE {
            let places = (&*workspace.release_binary(), mount.path(), &*target_storage);
            rebuild::run(&bench, places, options, &mut results)?;
        }
    }
    if options.includes(Operation::List) {
        lists::run(&peers, folder, options, &mut results)?;
    }
    println!("\n{}", results.markdown(&peers, &recipes, (&lists::TASKS, lists::COUNT)));
    Ok(())
}
