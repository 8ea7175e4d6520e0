//! The Debian package.

use std::path::Path;

use anyhow::Result;

use super::archives::{ar, gzip, tar_gz};
use super::target::Machine;
use super::tree::{Installed, read};

const SCRIPTS: [&str; 3] = ["postinst", "prerm", "postrm"];

/// Makes the package of `files` as a release has them; `licences` is what Debian calls its copyright.
pub(super) fn package(
    root: &Path,
    version: &str,
    machine: Machine,
    files: &[Installed],
    seconds: i64,
) -> Result<Vec<u8>> {
    let files = files.iter().map(in_debian).collect::<Result<Vec<_>>>()?;
    let size: usize = files.iter().map(|file| file.content.len().div_ceil(1024)).sum();
    let of_etc = files.iter().filter(|file| file.path.starts_with("etc/"));
    let conffiles: Vec<String> = of_etc.map(|file| format!("/{}\n", file.path)).collect();
    let conffiles = conffiles.concat();
    let control = format!(
        "Package: longshore
Version: {version}
Architecture: {}
Maintainer: The Longshore developers <longshore@localhost>
Installed-Size: {size}
Section: admin
Priority: optional
Recommends: ca-certificates
Suggests: bash-completion, man-db
Description: Docker image engine
 The image half of Docker without Docker: pull, push, tag, save, load, copy and
 inspect images, with a daemon for docker's own clients or without one. The
 binary is static and needs no other package.
",
        machine.debian
    );
    let mut about =
        vec![Installed::new("control", control), Installed::new("conffiles", conffiles)];
    for script in SCRIPTS {
        let content = read(&root.join("contrib/debian").join(script))?;
        about.push(Installed::executable(script, content));
    }
    let (control, data) = (tar_gz("./", &about, seconds)?, tar_gz("./", &files, seconds)?);
    let members: [(&str, &[u8]); 3] =
        [("debian-binary", b"2.0\n"), ("control.tar.gz", &control), ("data.tar.gz", &data)];
    Ok(ar(&members, seconds))
}

/// The file as Debian has it, where Debian looks for it.
fn in_debian(file: &Installed) -> Result<Installed> {
    let path = file.path.replace("zsh/site-functions", "zsh/vendor-completions");
    let mut file = Installed { path, ..file.clone() };
    if file.path.starts_with("share/man/") || file.path.ends_with("/CHANGELOG.md") {
        file.content = gzip(&file.content)?;
        file.path = file.path.replace("CHANGELOG.md", "changelog") + ".gz";
    }
    if !file.path.starts_with("etc/") {
        file.path = format!("usr/{}", file.path);
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_where_debian_looks_for_it() {
        for (path, expected) in [
            ("bin/longshore", "usr/bin/longshore"),
            ("share/zsh/site-functions/_longshore", "usr/share/zsh/vendor-completions/_longshore"),
            ("share/man/man1/a.1", "usr/share/man/man1/a.1.gz"),
            ("share/doc/longshore/CHANGELOG.md", "usr/share/doc/longshore/changelog.gz"),
            ("lib/systemd/system/a.socket", "usr/lib/systemd/system/a.socket"),
            ("etc/longshore/a", "etc/longshore/a"),
        ] {
            assert_eq!(in_debian(&Installed::new(path, "")).unwrap().path, expected);
        }
    }
}
