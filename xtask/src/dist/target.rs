//! The machines that a release is for, and what of Rust can build for them.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use test_support::servers::find_program;

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

    /// The C compiler for another machine, which links too: what a variable names, or Debian's or musl's usual name.
    pub(super) fn cross_compiler(&self) -> String {
        let said = [self.compiler_variable(), self.linker_variable()].into_iter();
        let said = said.filter_map(|name| std::env::var(name).ok()).find(|value| !value.is_empty());
        let library = if self.triple.ends_with("-gnu") { "gnu" } else { "musl" };
        said.unwrap_or_else(|| format!("{}-linux-{library}-gcc", self.machine.rust))
    }

    /// The variable by which a C compiler is chosen.
    pub(super) fn compiler_variable(&self) -> String {
        format!("CC_{}", self.triple.replace('-', "_"))
    }

    /// The variable by which cargo's linker is chosen.
    pub(super) fn linker_variable(&self) -> String {
        format!("CARGO_TARGET_{}_LINKER", self.triple.to_uppercase().replace('-', "_"))
    }
}

/// The machines to build for: for this machine always, as the binary itself writes the pages and completions of all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Targets {
    pub(super) host: Target,
    /// The machine that the release is for.
    pub(super) released: Vec<Target>,
}

impl Targets {
    /// Reads what `asked` names, else takes all that this toolchain has a standard library for. What cannot be
    /// built is refused here, before anything is.
    pub(super) fn choose(asked: Option<&str>) -> Result<Targets> {
        let libraries = Path::new(&sysroot()?).join("lib/rustlib");
        let targets =
            Targets::of(targets(|triple| libraries.join(triple).join("lib").is_dir()), asked)?;
        for target in targets.released.iter().filter(|target| !target.is_host()) {
            let compiler = target.cross_compiler();
            ensure!(
                find_program(&compiler).is_some(),
                "{} needs a C compiler, and there is no `{compiler}`: Debian has one for glibc in \
                 gcc-{}-linux-gnu, and {} may name another",
                target.triple,
                target.machine.rust.replace('_', "-"),
                target.compiler_variable()
            );
        }
        Ok(targets)
    }

    fn of(buildable: Vec<Target>, asked: Option<&str>) -> Result<Targets> {
        let lacks = |of: &str| {
            format!(
                "this toolchain has no standard library for {of}: `rustup target add` brings it"
            )
        };
        let host = buildable.iter().find(|target| target.is_host()).cloned();
        let host = host.with_context(|| lacks(std::env::consts::ARCH))?;
        let Some(asked) = asked else { return Ok(Targets { host, released: buildable }) };
        let is_of = |machine: &Machine| asked.split('-').next() == Some(machine.rust);
        if !MACHINES.iter().any(is_of) {
            bail!("a release is for x86_64 or aarch64, and `{asked}` is neither");
        }
        let is_asked = |target: &Target| target.triple == asked || target.machine.rust == asked;
        let target = buildable.into_iter().find(is_asked).with_context(|| lacks(asked))?;
        Ok(Targets { host, released: vec![target] })
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

    #[test]
    fn what_cannot_be_built_is_refused_with_what_is_missing() {
        let host = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        let other = MACHINES.iter().find(|machine| machine.rust != std::env::consts::ARCH).unwrap();
        let refused = |asked: &str| {
            let only_host = targets(|triple| triple == host);
            Targets::of(only_host, Some(asked)).unwrap_err().to_string()
        };
        let lacks = format!("no standard library for {}: `rustup target add`", other.rust);
        assert!(refused(other.rust).contains(&lacks), "{}", refused(other.rust));
        assert!(refused("riscv64gc-unknown-linux-gnu").contains("x86_64 or aarch64"));
        assert!(Targets::of(Vec::new(), None).is_err());
        // For another machine alone this one's is built too, as it writes the pages.
        let both =
            Targets::of(targets(|triple| triple.ends_with("-gnu")), Some(other.rust)).unwrap();
        assert_eq!((both.host.triple, both.released.len()), (host.clone(), 1));
        assert_eq!(both.released[0].machine, *other);
        let all = Targets::of(targets(|triple| triple.ends_with("-gnu")), None).unwrap();
        assert_eq!((all.host.triple, all.released.len()), (host, 2));
    }
}
