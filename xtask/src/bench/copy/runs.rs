//! One copy after the other.

use std::path::Path;

use anyhow::{Context as _, Result};
use test_support::proxy::{Counts, Proxy};
use test_support::servers::DockerRegistry;

use super::content::Content;
use super::peers::{Copier, Target};
use super::verify;
use crate::bench::measure::{Sample, measure};

/// Setup that all runs share.
pub(super) struct Bench<'a> {
    pub(super) content: Content,
    pub(super) source: &'a DockerRegistry,
    pub(super) binary: &'a Path,
    /// A folder on the file system that is measured on.
    pub(super) folder: &'a Path,
}

impl Bench<'_> {
    /// Copies to an empty registry, and once more.
    pub(super) fn measured(
        &self,
        kind: &str,
        copier: &Copier<'_>,
        verify: bool,
    ) -> Result<[Sample; 2]> {
        let target = Target::start(kind, self.binary, self.folder)?;
        let copy = || copier.command(self.content, self.source.address(), target.address());
        rustix::fs::sync();
        let first = measure(copy()?, None)?;
        if verify {
            let equal = self.verify(&target, copier)?;
            println!("{} to {kind}: {equal}", copier.name);
        }
        Ok([first, measure(copy()?, None)?])
    }

    /// Counts the requests of a copy to an empty registry, and of one more: of each those at the source and at the target.
    pub(super) fn counted(&self, kind: &str, copier: &Copier<'_>) -> Result<[[Counts; 2]; 2]> {
        let target = Target::start(kind, self.binary, self.folder)?;
        let [from, to] = self.proxies(&target)?;
        let run = || -> Result<[Counts; 2]> {
            measure(copier.command(self.content, &from.address(), &to.address())?, None)?;
            Ok([from.take(), to.take()])
        };
        Ok([run()?, run()?])
    }

    pub(super) fn proxies(&self, target: &Target) -> Result<[Proxy; 2]> {
        let start = |address: &str| Proxy::start(address).context("no proxy");
        Ok([start(self.source.address())?, start(target.address())?])
    }

    pub(super) fn verify(&self, target: &Target, copier: &Copier<'_>) -> Result<verify::Equal> {
        let wanted = |tag: &str| copier.takes_referrers() || tag.starts_with('v');
        verify::compare(&self.source.client(), &target.client(), self.content.names(), wanted)
    }
}
