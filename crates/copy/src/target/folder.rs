//! Files of a folder, written aside and renamed.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, OFlags, flock, syncfs};
use spec::{Descriptor, Hasher};
use tokio::io::AsyncWriteExt as _;

use crate::CopyError;
use crate::error::Result;
use crate::feed::Feed;
use crate::files::blocking::blocking;
use crate::progress::Outcome;
use crate::shared::Shared;
use crate::source::Source;

/// The folder of blobs that are not complete. What a copy that was killed left there is gone on with.
pub(crate) const PARTIAL: &str = ".longshore-partial";
/// The times that a file is looked for again, as another copy has just completed it. Each is another blob's end: more are a fault.
const MAX_TRIES: usize = 64;
/// The pause before a folder that another copy holds is tried again: short beside a copy.
const HELD_PAUSE: Duration = Duration::from_millis(50);
/// Bytes that are hashed at once.
const PIECE: usize = 256 << 10;

/// A folder that is written to.
#[derive(Clone, Debug)]
pub(crate) struct Folder(Arc<PathBuf>);

/// A folder that no other copy has.
#[derive(Debug)]
pub(crate) struct Held {
    folder: Arc<PathBuf>,
    is_new: bool,
    _lock: File,
}

impl Drop for Held {
    /// A copy that failed before it wrote leaves no folder of its own.
    fn drop(&mut self) {
        if self.is_new {
            // One that is not empty stays by this.
            let _ = std::fs::remove_dir(&*self.folder);
        }
    }
}

/// The beginning of a blob in a file of its own.
struct Partial {
    file: File,
    path: PathBuf,
    have: u64,
    hasher: Hasher,
}

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self(Arc::new(path.to_owned()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn written<T>(path: &Path, done: io::Result<T>) -> Result<T> {
        done.map_err(|source| CopyError::Write { path: path.display().to_string(), source })
    }

    /// Does something with the folder on a thread that may wait.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T> {
        let folder = Arc::clone(&self.0);
        let done = blocking(move || change(&folder)).await;
        Self::written(&self.0, done)
    }

    /// Says whether a blob is in the file `name`.
    pub(crate) async fn has(&self, shared: &Shared, blob: &Descriptor, name: &str) -> Result<bool> {
        let (wanted, looked_for, reads) = (name.to_owned(), blob.clone(), shared.mode.force);
        let has = move |folder: &Path| {
            let path = folder.join(wanted);
            let metadata = path.symlink_metadata();
            if !metadata.is_ok_and(|it| it.is_file() && it.len() == looked_for.size) {
                return Ok(false);
            }
            // A file gets this name when its digest is known to be right.
            Ok(!reads || {
                let hasher = hash(&File::open(path)?, looked_for.digest.hasher())?;
                hasher.finish() == looked_for.digest
            })
        };
        self.change(has).await
    }

    /// Sees to it that a blob is in the file `name`.
    pub(crate) async fn blob(
        &self,
        shared: &Shared,
        source: &Source,
        blob: &Descriptor,
        name: &str,
    ) -> Result<Outcome> {
        if self.has(shared, blob, name).await? {
            return Ok(Outcome::Exists);
        }
        if shared.mode.dry {
            return Ok(Outcome::Copied);
        }
        let _turn = shared.budget.turn(&[source.host()]).await;
        let mut keeps = true;
        loop {
            let wanted = blob.clone();
            let partial = self.change(move |folder| Partial::open(folder, &wanted, keeps)).await?;
            let resumed = partial.have > 0;
            match self.fill(shared, source, blob, partial, name).await {
                // What was left may have been damaged by a crash.
                Err(CopyError::Digest { .. }) if resumed => keeps = false,
                Err(error) => return Err(error),
                Ok(()) => return Ok(Outcome::Copied),
            }
        }
    }

    async fn fill(
        &self,
        shared: &Shared,
        source: &Source,
        blob: &Descriptor,
        partial: Partial,
        name: &str,
    ) -> Result<()> {
        let Partial { file, path, have, hasher } = partial;
        let mut feed = Feed::new(source, blob, &shared.report).after(have, hasher);
        let mut file = tokio::fs::File::from_std(file);
        while let Some(piece) = feed.next(blob.size).await? {
            Self::written(&path, file.write_all(&piece).await)?;
        }
        feed.finish()?;
        Self::written(&path, file.flush().await)?;
        let name = name.to_owned();
        let renamed = move |folder: &Path| {
            let place = folder.join(name);
            place.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::rename(path, place)
        };
        // The file stays open until then, and with it the lock.
        let done = self.change(renamed).await;
        drop(file);
        done
    }

    /// Writes a small file, aside first.
    pub(crate) fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
        let place = folder.join(name);
        let parent = place.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent)?;
        let mut builder = tempfile::Builder::new();
        let mut file = builder.permissions(Permissions::from_mode(0o644)).tempfile_in(parent)?;
        file.write_all(bytes)?;
        file.as_file().sync_data()?;
        file.persist(&place)?;
        Ok(())
    }

    /// Has all that was written so far on the disk, so that what names it comes after it. What is left of blobs that are not
    /// complete stays; their folder goes if it is empty.
    pub(crate) fn sync(folder: &Path) -> io::Result<()> {
        let _ = std::fs::remove_dir(folder.join(PARTIAL));
        Ok(syncfs(File::open(folder)?)?)
    }

    /// Holds the folder against other copies that change its list of images.
    pub(crate) fn lock(folder: &Path) -> io::Result<File> {
        let file = File::open(folder)?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    /// Makes the folder and holds it against other copies, once those that have it are done.
    pub(crate) async fn hold(&self) -> Result<Held> {
        let is_new = self.change(|folder| Ok(!folder.exists())).await?;
        let mut told = false;
        loop {
            if let Some(lock) = self.change(Self::try_lock).await? {
                return Ok(Held { folder: Arc::clone(&self.0), is_new, _lock: lock });
            }
            if !std::mem::replace(&mut told, true) {
                tracing::info!(folder = %self.0.display(), "another copy writes to the folder: waiting for it");
            }
            // Not a thread that waits for the lock: it would hold up a process that is told to end.
            tokio::time::sleep(HELD_PAUSE).await;
        }
    }

    /// Locks the folder, unless another has it or removes it just now.
    fn try_lock(folder: &Path) -> io::Result<Option<File>> {
        std::fs::create_dir_all(folder)?;
        let file = match File::open(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Err(rustix::io::Errno::WOULDBLOCK) => return Ok(None),
            locked => locked?,
        }
        let (opened, named) = (file.metadata()?, folder.metadata());
        let is_same = named.is_ok_and(|it| (it.dev(), it.ino()) == (opened.dev(), opened.ino()));
        Ok(is_same.then_some(file))
    }
}

impl Partial {
    /// Opens what there is of a blob, or begins anew. Blocking.
    fn open(folder: &Path, blob: &Descriptor, keeps: bool) -> io::Result<Self> {
        let aside = folder.join(PARTIAL);
        let path = aside.join(format!("{}-{}", blob.digest.algorithm(), blob.digest.hex()));
        let mut last = None;
        for _ in 0..MAX_TRIES {
            match Self::take(&aside, &path, blob, keeps) {
                Ok(Some(partial)) => return Ok(partial),
                Ok(None) => {}
                // Another copy has just ended, and with it the folder. Else there is no place for one.
                Err(error) if error.kind() == io::ErrorKind::NotFound => last = Some(error),
                Err(error) => return Err(error),
            }
        }
        let changes = || io::Error::other(format!("{} changes all the time", aside.display()));
        Err(last.unwrap_or_else(changes))
    }

    /// Takes the file of a blob; nothing if another copy completed it meanwhile.
    fn take(aside: &Path, path: &Path, blob: &Descriptor, keeps: bool) -> io::Result<Option<Self>> {
        std::fs::create_dir_all(aside)?;
        if !aside.symlink_metadata()?.is_dir() {
            return Err(io::Error::other(format!("{} is no directory", aside.display())));
        }
        let file = own_file(path)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            // Another process fetches the same: nobody waits for its network.
            let mut builder = tempfile::Builder::new();
            let own = builder.permissions(Permissions::from_mode(0o644)).tempfile_in(aside)?;
            let (file, path) = own.keep()?;
            return Ok(Some(Self { file, path, have: 0, hasher: blob.digest.hasher() }));
        }
        // Between the two, it may have got its name as a blob.
        let (opened, named) = (file.metadata()?, path.symlink_metadata()?);
        if (opened.dev(), opened.ino()) != (named.dev(), named.ino()) {
            return Ok(None);
        }
        let mut have = file.metadata()?.len();
        if !keeps || have > blob.size {
            file.set_len(0)?;
            have = 0;
        }
        let hasher = hash((&file).take(have), blob.digest.hasher())?;
        Ok(Some(Self { file, path: path.to_owned(), have, hasher }))
    }
}

/// Hashes all that a reader has. Blocking.
fn hash(mut reader: impl io::Read, mut hasher: Hasher) -> io::Result<Hasher> {
    let mut piece = vec![0; PIECE];
    loop {
        match reader.read(&mut piece)? {
            0 => return Ok(hasher),
            length => hasher.update(&piece[..length]),
        }
    }
}

/// Opens a file for what comes of a blob. Folders are others', too: a link, a pipe or a file with further names is no place to
/// write to, and is replaced.
fn own_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).truncate(false);
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    match options.clone().create(true).open(path) {
        Ok(file) if file.metadata().is_ok_and(|it| it.is_file() && it.nlink() <= 1) => {
            return Ok(file);
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
        _ => std::fs::remove_file(path)?,
    }
    options.create_new(true).open(path)
}
