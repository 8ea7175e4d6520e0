//! The files of a release, and where each is installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::shell;
use crate::workspace::longshore;

/// A file, by its path below a prefix as `/usr`, or beginning with `etc/`.
#[derive(Clone, Debug)]
pub(super) struct Installed {
    pub(super) path: String,
    pub(super) mode: u32,
    pub(super) content: Vec<u8>,
}

impl Installed {
    pub(super) fn new(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Installed {
        Installed { path: path.into(), mode: 0o644, content: content.into() }
    }

    pub(super) fn executable(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Installed {
        Installed { mode: 0o755, ..Installed::new(path, content) }
    }
}

const COMPLETIONS: [(&str, &str); 3] = [
    ("bash", "share/bash-completion/completions/longshore"),
    ("zsh", "share/zsh/site-functions/_longshore"),
    ("fish", "share/fish/vendor_completions.d/longshore.fish"),
];

/// The files that are the same for every machine, by path: all but the binary. Pages and
/// completions are written by `binary`, which this machine can run.
pub(super) fn common(root: &Path, binary: &Path, scratch: &Path) -> Result<Vec<Installed>> {
    let mut files = Vec::new();
    for (shell, path) in COMPLETIONS {
        let mut command = longshore(binary, scratch)?;
        let script = shell::output(command.args(["completion", shell]))?;
        files.push(Installed::new(path, script));
    }
    let pages = scratch.join("man1");
    shell::output(longshore(binary, scratch)?.arg("man").arg(&pages))?;
    for path in sorted(&pages)? {
        files.push(Installed::new(format!("share/man/man1/{}", name(&path)), read(&path)?));
    }
    for (from, to) in [
        ("contrib/systemd", "lib/systemd/system"),
        ("contrib/sysusers", "lib/sysusers.d"),
        ("contrib/etc/longshore", "etc/longshore"),
        (
            "contrib/etc/longshore/certs.d/registry.example",
            "etc/longshore/certs.d/registry.example",
        ),
    ] {
        for path in sorted(&root.join(from))?.iter().filter(|path| path.is_file()) {
            files.push(Installed::new(format!("{to}/{}", name(path)), read(path)?));
        }
    }
    for page in ["README.md", "CHANGELOG.md", "COMPATIBILITY.md"] {
        files.push(Installed::new(format!("share/doc/longshore/{page}"), read(&root.join(page))?));
    }
    for path in sorted(&root.join("docs"))?.iter().filter(|path| path.is_file()) {
        if path.extension().is_some_and(|extension| extension == "md") {
            let to = format!("share/doc/longshore/docs/{}", name(path));
            files.push(Installed::new(to, read(path)?));
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read `{}`", path.display()))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Lists a folder by name.
fn sorted(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry?.path());
    }
    paths.sort();
    Ok(paths)
}

/// Has the binary check the example of its configuration.
pub(super) fn check(root: &Path, binary: &Path) -> Result<()> {
    let mut command = Command::new(binary);
    command.args(["daemon", "--validate", "--config-file"]);
    command.arg(root.join("contrib/etc/longshore/daemon.json.example"));
    shell::output(&mut command).map(drop)
}
