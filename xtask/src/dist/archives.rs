//! Archives with the same bytes each time: entries in a fixed order, root's, of the commit's time.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use test_support::tar::{Entry, Writer};

use super::tree::Installed;

/// A tar, compressed, with folders before what is in them. Paths begin with `prefix`.
pub(super) fn tar_gz(prefix: &str, files: &[Installed], seconds: i64) -> Result<Vec<u8>> {
    let mut files: Vec<&Installed> = files.iter().collect();
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let mut writer = Writer::new(Vec::new());
    let mut folders: Vec<String> = Vec::new();
    for file in files {
        let path = format!("{prefix}{}", file.path);
        for (end, _) in path.match_indices('/') {
            let folder = &path[..end];
            if folder != "." && !folders.iter().any(|known| known == folder) {
                folders.push(folder.to_owned());
                writer.append(&Entry::directory(folder).modified(seconds, 0))?;
            }
        }
        let entry = Entry::file(path, file.content.as_slice()).mode(file.mode);
        writer.append(&entry.modified(seconds, 0))?;
    }
    gzip(&writer.finish()?)
}

/// Compressed without a name and a time.
pub(super) fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = flate2::GzBuilder::new().write(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).context("cannot compress")?;
    encoder.finish().context("cannot compress")
}

/// An archive as `ar` makes it, which a Debian package is.
pub(super) fn ar(members: &[(&str, &[u8])], seconds: i64) -> Vec<u8> {
    let mut archive = b"!<arch>\n".to_vec();
    for (name, content) in members {
        let size = content.len();
        let header = format!("{name:<16}{seconds:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, "100644");
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(content);
        if size % 2 == 1 {
            archive.push(b'\n');
        }
    }
    archive
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_once_and_before_their_files() {
        let files = [
            Installed::new("b/c", "1"),
            Installed::executable("a", "2"),
            Installed::new("b/a", "3"),
        ];
        let made = tar_gz("./", &files, 5).unwrap();
        assert_eq!(made, tar_gz("./", &files, 5).unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar.gz");
        std::fs::write(&path, made).unwrap();
        let mut tar = std::process::Command::new("tar");
        tar.args(["--utc", "--full-time", "--numeric-owner", "-tvf"]).arg(&path);
        let listed = crate::shell::output(&mut tar).unwrap();
        let words: Vec<Vec<&str>> =
            listed.lines().map(|line| line.split_whitespace().collect()).collect();
        let names: Vec<&str> = words.iter().map(|line| line[5]).collect();
        assert_eq!(names, ["./a", "./b/", "./b/a", "./b/c"]);
        assert_eq!(words[0][..5], ["-rwxr-xr-x", "0/0", "1", "1970-01-01", "00:00:05"]);
    }

    #[test]
    fn an_ar_is_padded() {
        let made = ar(&[("debian-binary", b"2.0\n"), ("a", b"x"), ("b", b"")], 7);
        assert_eq!(made.len(), 8 + 64 + 62 + 60);
        assert!(made.starts_with(
            b"!<arch>\ndebian-binary   7           0     0     100644  4         `\n2.0\n"
        ));
    }
}
