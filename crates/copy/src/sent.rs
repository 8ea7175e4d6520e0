//! The repositories that blobs were sent to, kept from run to run: what one of them has is mounted from there.
//!
//! A line is written before its blob is sent, so that nothing arrives at a registry that the next run does not find, however this one
//! ends. The lines are hints: a registry that has not got what they say begins an upload instead, and where the file cannot be
//! read or written a copy does without.

use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustix::fs::OFlags;
use spec::{Digest, Repository};
use tokio::sync::OnceCell;

use crate::files::blocking::blocking;
use crate::lock::lock;

/// The largest file: some ten thousand blobs. Of a larger one the newer half is kept.
const MOST: u64 = 1 << 20;

/// The lines of earlier runs and their file, once anybody asks.
#[derive(Debug)]
pub(crate) struct Sent {
    path: Option<PathBuf>,
    known: OnceCell<Arc<Mutex<Known>>>,
}

#[derive(Debug, Default)]
struct Known {
    file: Option<File>,
    /// The repositories of each blob, the newest last.
    repositories: HashMap<Digest, Vec<Repository>>,
}

impl Sent {
    /// Keeps it in a file that may not exist yet, or, without one, for this run alone.
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path, known: OnceCell::new() }
    }

    /// Returns the repositories of a host that may have a blob, the likeliest first.
    pub(crate) async fn holders(&self, host: &str, digest: &Digest) -> Vec<Repository> {
        let known = self.known().await;
        let known = lock(&known);
        let all = known.repositories.get(digest).into_iter().flatten().rev();
        all.filter(|repository| repository.domain() == host).cloned().collect()
    }

    /// Notes that a blob is about to be sent to a repository.
    pub(crate) async fn sending(&self, repository: &Repository, digest: &Digest) {
        let known = self.known().await;
        let (repository, digest) = (repository.clone(), digest.clone());
        blocking(move || lock(&known).note(repository, digest)).await;
    }

    async fn known(&self) -> Arc<Mutex<Known>> {
        let read = || async {
            let Some(path) = self.path.clone() else { return Arc::default() };
            let known = blocking(move || {
                Known::read(&path).unwrap_or_else(|error| {
                    tracing::debug!(%error, path = %path.display(), "which blobs are where is not remembered");
                    Known::default()
                })
            });
            Arc::new(Mutex::new(known.await))
        };
        Arc::clone(self.known.get_or_init(read).await)
    }
}

impl Known {
    fn read(path: &Path) -> io::Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // Not blocking, should a FIFO be there.
        let open = || {
            let mut options = OpenOptions::new();
            options.read(true).append(true).create(true).mode(0o600);
            options.custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)
        };
        let mut file = open()?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        let is_full = metadata.len() > MOST;
        if is_full {
            file.seek(SeekFrom::End(-(MOST.cast_signed() / 2)))?;
        }
        let mut bytes = Vec::new();
        Read::by_ref(&mut file).take(MOST).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        // Where the newer half begins a line is cut.
        let text = if is_full { text.split_once('\n').map_or("", |(_, rest)| rest) } else { &text };
        if is_full {
            let mut shorter = tempfile::NamedTempFile::new_in(folder)?;
            shorter.write_all(text.as_bytes())?;
            // Lines that another run writes meanwhile are lost, which costs a mount.
            shorter.persist(path)?;
            file = open()?;
        }
        if !text.is_empty() && !text.ends_with('\n') {
            file.write_all(b"\n")?;
        }
        let mut known = Self { file: Some(file), repositories: HashMap::new() };
        for (digest, repository) in text.lines().filter_map(parse) {
            known.learn(repository, digest);
        }
        Ok(known)
    }

    /// Returns whether it is news.
    fn learn(&mut self, repository: Repository, digest: Digest) -> bool {
        let repositories = self.repositories.entry(digest).or_default();
        let is_new = !repositories.contains(&repository);
        if is_new {
            repositories.push(repository);
        }
        is_new
    }

    fn note(&mut self, repository: Repository, digest: Digest) {
        // One write, so that the lines of several runs do not mix.
        let line = format!("{digest} {repository}\n");
        if self.learn(repository, digest)
            && let Some(file) = &mut self.file
            && let Err(error) = file.write_all(line.as_bytes())
        {
            tracing::debug!(%error, "where a blob goes is not remembered");
            self.file = None;
        }
    }
}

fn parse(line: &str) -> Option<(Digest, Repository)> {
    let (digest, repository) = line.split_once(' ')?;
    Some((digest.parse().ok()?, Repository::parse_familiar(repository).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(name: &str) -> Repository {
        Repository::parse_familiar(name).unwrap()
    }

    async fn names(sent: &Sent, host: &str, digest: &Digest) -> Vec<String> {
        sent.holders(host, digest).await.iter().map(ToString::to_string).collect()
    }

    #[tokio::test]
    async fn a_run_knows_what_the_one_before_was_about_to_send() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("longshore/copied");
        let (one, two) = (Digest::sha256(b"1"), Digest::sha256(b"2"));
        let first = Sent::new(Some(path.clone()));
        for name in ["r.example/a", "r.example/b", "localhost:5000/b", "r.example/a"] {
            first.sending(&repository(name), &one).await;
        }
        let second = Sent::new(Some(path.clone()));
        assert_eq!(names(&second, "r.example", &one).await, ["r.example/b", "r.example/a"]);
        assert_eq!(names(&second, "localhost:5000", &one).await, ["localhost:5000/b"]);
        assert!(names(&second, "r.example", &two).await.is_empty());

        // A line that was cut off, and one that is none, hide no other.
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        std::fs::write(&path, format!("nonsense\n{}", text.trim_end())).unwrap();
        Sent::new(Some(path.clone())).sending(&repository("r.example/c"), &two).await;
        let third = Sent::new(Some(path));
        assert_eq!(names(&third, "localhost:5000", &one).await, ["localhost:5000/b"]);
        assert_eq!(names(&third, "r.example", &two).await, ["r.example/c"]);
    }

    #[tokio::test]
    async fn the_file_does_not_grow_without_end_and_may_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copied");
        let line = |number: u32| {
            format!("{} r.example/a\n", Digest::sha256(number.to_string().as_bytes()))
        };
        std::fs::write(&path, (0..13_000).map(line).collect::<String>()).unwrap();
        let sent = Sent::new(Some(path.clone()));
        let last = Digest::sha256(b"12999");
        assert_eq!(names(&sent, "r.example", &last).await, ["r.example/a"]);
        assert!(names(&sent, "r.example", &Digest::sha256(b"0")).await.is_empty());
        let kept = path.metadata().unwrap().len();
        assert!(kept <= MOST / 2 && kept > MOST / 2 - 200, "{kept}");

        for path in [Some(folder.path().to_owned()), Some("/proc/none/x".into()), None] {
            let sent = Sent::new(path);
            sent.sending(&repository("r.example/b"), &last).await;
            assert_eq!(names(&sent, "r.example", &last).await, ["r.example/b"]);
        }
    }
}
