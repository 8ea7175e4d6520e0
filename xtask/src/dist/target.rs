//! The machines that a release is for, and what of Rust can build for them.

use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::shell;

/// A kind of machine, in everybody's words for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Machine {
    /// Rust's word.
    pub(super) rust: &'static str,
    /// Debian's, and Go's: they agree on these.
    pub(super) debian: &'static str,
}

const MACHINES: [Machine; 2] =
    [Machine { rust: "x86_64", debian: "amd64" }, Machine { rust: "aarch64", debian: "arm64" }];

/// Something that can be built for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) machine: Machine,
    /// As rustc has it: `x86_64-unknown-linux-musl`.
    pub(super) triple: String,
}

impl Target {
    /// Tells whether this machine can run the binary.
    pub(super) fn is_host(&self) -> bool {
        self.machine.rust == std::env::consts::ARCH
    }

    /// Its name in that of a file.
    pub(super) fn name(&self) -> String {
        format!("{}-linux", self.machine.rust)
    }

    /// The targets to build for, this machine's first: `asked` if it is one, else all that this
    /// toolchain has a standard library for.
    pub(super) fn choose(asked: Option<&str>) -> Result<Vec<Target>> {
        let sysroot = sysroot()?;
        let is_there = |triple: &str| {
            std::path::Path::new(&sysroot).join("lib/rustlib").join(triple).join("lib").is_dir()
        };
        let mut targets = targets(is_there);
        if let Some(asked) = asked {
            targets.retain(|target| target.triple == asked || target.machine.rust == asked);
        }
        targets.sort_by_key(|target| !target.is_host());
        match targets.first() {
            // Its pages and completions are written by the binary itself.
            Some(first) if first.is_host() || asked.is_some() => Ok(targets),
            _ => bail!(
                "this toolchain has no standard library for {}: `rustup target add` brings it",
                asked.unwrap_or(std::env::consts::ARCH)
            ),
        }
    }
}

/// For each machine what is there: musl, or else glibc.
fn targets(is_there: impl Fn(&str) -> bool) -> Vec<Target> {
    let best = |machine: Machine| {
        let triples =
            ["musl", "gnu"].map(|library| format!("{}-unknown-linux-{library}", machine.rust));
        let triple = triples.into_iter().find(|triple| is_there(triple))?;
        Some(Target { machine, triple })
    };
    MACHINES.into_iter().filter_map(best).collect()
}

/// The folder of the toolchain.
pub(super) fn sysroot() -> Result<String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = shell::output(Command::new(rustc).args(["--print", "sysroot"]));
    Ok(output.context("cannot find the toolchain")?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn musl_goes_before_glibc() {
        let all = targets(|_| true);
        let triples: Vec<&str> = all.iter().map(|target| target.triple.as_str()).collect();
        assert_eq!(triples, ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"]);
        let here = targets(|triple| triple == "x86_64-unknown-linux-gnu");
        assert_eq!(here[0].triple, "x86_64-unknown-linux-gnu");
        assert_eq!(here.len(), 1);
    }
}
