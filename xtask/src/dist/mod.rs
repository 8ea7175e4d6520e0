//! `cargo xtask dist`: what a release has, in `target/dist`, with the same bytes each time.

mod archives;
mod build;
mod crates;
mod deb;
mod image;
mod target;
mod tree;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use spec::Digest;

use crate::workspace::Workspace;
use build::Commit;
use crates::Crates;
use target::{Target, Targets};
use tree::Installed;

/// The targets to build for, and the folder to build in.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    target: Option<String>,
    /// The folder of cargo's own files: another one shows that nothing depends on it.
    target_dir: Option<PathBuf>,
    /// A binary that is built already, for this machine.
    binary: Option<PathBuf>,
}

impl Options {
    pub(crate) fn parse(words: &[String]) -> Result<Options> {
        let mut options = Options::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value =
                || words.next().cloned().with_context(|| format!("`{word}` takes a value"));
            match word.as_str() {
                "--target" => options.target = Some(value()?),
                "--target-dir" => options.target_dir = Some(value()?.into()),
                "--binary" => options.binary = Some(value()?.into()),
                _ => bail!("`dist` has no option `{word}`"),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let workspace = Workspace::read()?;
    let targets = Targets::choose(options.target.as_deref())?;
    if options.binary.is_some() && options.target.is_some() {
        bail!("`--binary` is a binary for this machine: it goes without `--target`");
    }
    let commit = Commit::read(&workspace)?;
    let cargo_folder = options.target_dir.as_ref().unwrap_or(&workspace.target);
    let cargo_folder = std::path::absolute(cargo_folder)?;
    fs::create_dir_all(&cargo_folder)
        .with_context(|| format!("cannot make `{}`", cargo_folder.display()))?;
    let scratch = tempfile::Builder::new().prefix("dist-").tempdir_in(&cargo_folder)?;
    let made = scratch.path().join("made");
    fs::create_dir(&made)?;
    let release = Release { workspace, commit, made, scratch: scratch.path().to_owned() };
    let compile =
        |target| build::binary(&release.workspace, target, &release.commit, &cargo_folder);
    // What runs here makes pages, completions and archives for all.
    let runs = match &options.binary {
        Some(built) => built.clone(),
        None => compile(&targets.host)?,
    };
    for target in &targets.released {
        if target.triple == targets.host.triple {
            release.make(target, &runs, &runs)?;
        } else if options.binary.is_none() {
            release.make(target, &compile(target)?, &runs)?;
        }
    }
    release.sum_up()?;
    let dist = cargo_folder.join("dist");
    put(&release.made, &dist, &release.scratch.join("last"))?;
    println!("\nIn {}", dist.display());
    Ok(())
}

/// Puts the new release where the last one is, which goes to `aside`: whatever fails, one of the two is there.
fn put(made: &Path, dist: &Path, aside: &Path) -> Result<()> {
    let had = dist.exists();
    if had {
        fs::rename(dist, aside).with_context(|| format!("cannot replace `{}`", dist.display()))?;
    }
    if let Err(error) = fs::rename(made, dist) {
        if had {
            fs::rename(aside, dist)?;
        }
        return Err(error).with_context(|| format!("cannot make `{}`", dist.display()));
    }
    Ok(())
}

struct Release {
    workspace: Workspace,
    commit: Commit,
    /// The folder in which the release is made, to be put in its place as a whole.
    made: PathBuf,
    scratch: PathBuf,
}

impl Release {
    fn make(&self, target: &Target, built: &Path, runs: &Path) -> Result<()> {
        let (root, version) = (&self.workspace.root, env!("CARGO_PKG_VERSION"));
        let seconds = self.commit.seconds;
        let name = format!("longshore-{version}-{}", target.name());
        let crates = Crates::read(&self.workspace, target)?;
        let bill = crates.bill(&self.commit);
        let binary = tree::read(built)?;
        tree::check(root, runs)?;
        let mut files = tree::common(root, runs, &self.scratch)?;
        let licences = crates.licences(&fs::read_to_string(root.join("LICENSE"))?)?;
        files.push(Installed::new("share/doc/longshore/copyright", licences));
        files.push(Installed::executable("bin/longshore", binary.as_slice()));

        let package = deb::package(root, version, target.machine, &files, seconds)?;
        self.write(&format!("longshore_{version}_{}.deb", target.machine.debian), &package)?;
        let script = tree::read(&root.join("contrib/install.sh"))?;
        files.push(Installed::executable("install.sh", script));
        let archive = archives::tar_gz(&format!("{name}/"), &files, seconds)?;
        self.write(&format!("{name}.tar.gz"), &archive)?;
        self.write(&format!("{name}.cdx.json"), bill.as_bytes())?;
        let image = self.made.join(format!("{name}.oci.tar"));
        let what = (version, target, &self.commit);
        image::write(&image, what, &binary, (runs, &self.scratch))?;
        self.write(&name, &binary)?;
        set_executable(&self.made.join(&name))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.made.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// Writes the sums, as `sha256sum --check` reads them.
    fn sum_up(&self) -> Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.made)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort();
        let mut sums = String::new();
        for name in names {
            let digest = Digest::sha256(&tree::read(&self.made.join(&name))?);
            sums.extend([format!("{}  {name}\n", digest.hex())]);
        }
        print!("\n{sums}");
        self.write("SHA256SUMS", sums.as_bytes())
    }
}

fn set_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    let permissions = fs::Permissions::from_mode(0o755);
    fs::set_permissions(path, permissions)
        .with_context(|| format!("cannot set the mode of `{}`", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options() {
        let parse = |words: &[&str]| {
            Options::parse(&words.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(parse(&[]).unwrap(), Options::default());
        let one = parse(&["--target", "aarch64", "--target-dir", "/x"]).unwrap();
        assert_eq!((one.target.as_deref(), one.target_dir), (Some("aarch64"), Some("/x".into())));
        assert_eq!(parse(&["--binary", "x"]).unwrap().binary, Some("x".into()));
        assert!(parse(&["--target"]).is_err());
        assert!(parse(&["--all"]).is_err());
    }

    /// Debian's systemd has read units of /usr/lib below /lib, which is a link.
    #[test]
    fn a_unit_of_this_prefix_is_disabled_whatever_systemd_calls_its_folder() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in
            ["release/bin", "release/share", "release/lib", "usr/lib/systemd/system", "fake"]
        {
            fs::create_dir_all(path(name)).unwrap();
        }
        std::os::unix::fs::symlink("usr/lib", path("lib")).unwrap();
        for name in ["longshore.socket", "longshore.service"] {
            fs::write(path("usr/lib/systemd/system").join(name), "").unwrap();
        }
        fs::write(path("release/install.sh"), include_str!("../../../contrib/install.sh")).unwrap();
        let fake = "#!/bin/sh\ncase $1 in show) echo \"$UNITS/$5\" ;; *) echo \"$@\" >> \"$TOLD\" ;; esac\n";
        fs::write(path("fake/systemctl"), fake).unwrap();
        set_executable(&path("fake/systemctl")).unwrap();
        let told = |units: &str| {
            let _ = fs::remove_file(path("told"));
            let search = format!("{}:{}", path("fake").display(), std::env::var("PATH").unwrap());
            let mut script = std::process::Command::new("sh");
            script.arg(path("release/install.sh")).arg("--uninstall");
            script.arg("--prefix").arg(path("usr")).env_remove("DESTDIR").env("PATH", search);
            script.env("UNITS", path(units)).env("TOLD", path("told"));
            assert!(script.output().unwrap().status.success());
            fs::read_to_string(path("told")).unwrap_or_default()
        };
        let disabled =
            "disable --quiet --now longshore.socket\ndisable --quiet --now longshore.service\n";
        assert_eq!(told("usr/lib/systemd/system"), disabled);
        assert_eq!(told("lib/systemd/system"), disabled);
        assert_eq!(told("other/systemd/system"), "");
    }

    #[test]
    fn the_last_release_is_there_until_the_new_one_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let (dist, file) = (path("dist"), path("dist/SHA256SUMS"));
        let make = |name: &str, content: &str| {
            fs::create_dir(path(name)).unwrap();
            fs::write(path(name).join("SHA256SUMS"), content).unwrap();
        };
        make("made", "1");
        put(&path("made"), &dist, &path("last")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "1");
        assert!(put(&path("none"), &dist, &path("last")).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "1");
        make("made", "2");
        put(&path("made"), &dist, &path("last")).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "2");
    }
}
