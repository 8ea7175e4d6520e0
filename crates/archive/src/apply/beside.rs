//! Small files, made by a thread of their own.
//!
//! To make a small file costs the kernel more than its content does, and the thread that reads the tar is the one that the others
//! wait for. So it hands such files on, in batches, and reads on. They must be new: whatever else than a new file, directory or
//! symlink an entry asks for waits for them first, so that nothing that is looked at, linked to or removed is still on its way.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Timestamps, Uid, fchmod, fchown, futimens, openat, unlinkat,
};
use rustix::io::Errno;

use crate::ArchiveError;
use crate::error::failed;
use crate::options::ApplyOptions;
use crate::path::split;
use crate::steps::Step;

/// The largest content that is handed on: that of larger files is not worth the copy.
pub(super) const LARGEST: i64 = 64 << 10;
/// Bytes and files from which on a batch is full.
const BATCH_SIZE: usize = 128 << 10;
const BATCH_FILES: usize = 32;
/// Batches that wait for the thread or are with it; one more is being filled.
const BATCHES: usize = 3;

/// A new file, but for its path and content.
#[derive(Debug)]
pub(super) struct SmallFile {
    pub(super) directory: Arc<OwnedFd>,
    pub(super) creation_mode: Mode,
    pub(super) last: Final,
}

/// The files that are not made yet.
#[derive(Debug)]
pub(super) struct Beside {
    options: ApplyOptions,
    batch: Batch,
    /// Those that came back.
    spare: Vec<Batch>,
    /// Started with the first full batch: a layer of few files is not worth it.
    thread: Option<Thread>,
}

#[derive(Debug)]
struct Thread {
    batches: Option<Sender<Batch>>,
    done: Receiver<Result<Batch, ArchiveError>>,
    sent: usize,
    handle: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Batch {
    files: Vec<Piece>,
    /// The path of each file and its content.
    bytes: Vec<u8>,
}

#[derive(Debug)]
struct Piece {
    file: SmallFile,
    path: usize,
    content: usize,
}

impl Beside {
    pub(super) fn new(options: &ApplyOptions) -> Self {
        Self { options: options.clone(), batch: Batch::default(), spare: Vec::new(), thread: None }
    }

    /// Takes a file; `copy` has to append its content, or fail and with it the layer.
    pub(super) fn add(
        &mut self,
        path: &[u8],
        file: SmallFile,
        copy: impl FnOnce(&mut Vec<u8>) -> Result<(), ArchiveError>,
    ) -> Result<(), ArchiveError> {
        let bytes = &mut self.batch.bytes;
        bytes.extend_from_slice(path);
        let start = bytes.len();
        copy(bytes)?;
        let content = bytes.len() - start;
        self.batch.files.push(Piece { file, path: path.len(), content });
        if self.batch.files.len() < BATCH_FILES && self.batch.bytes.len() < BATCH_SIZE {
            return Ok(());
        }
        self.send()
    }

    /// Waits until all files are made.
    pub(super) fn wait(&mut self) -> Result<(), ArchiveError> {
        if self.thread.is_none() {
            return self.batch.make(&self.options);
        }
        if !self.batch.files.is_empty() {
            self.send()?;
        }
        while let Some(thread) = self.thread.as_mut().filter(|thread| thread.sent > 0) {
            self.spare.push(thread.receive()?);
        }
        Ok(())
    }

    fn send(&mut self) -> Result<(), ArchiveError> {
        let thread = match &mut self.thread {
            Some(thread) => thread,
            none => none.insert(Thread::start(self.options.clone())?),
        };
        if thread.sent == BATCHES {
            self.spare.push(thread.receive()?);
        }
        let next = self.spare.pop().unwrap_or_default();
        thread.send(std::mem::replace(&mut self.batch, next))
    }
}

impl Thread {
    fn start(options: ApplyOptions) -> Result<Self, ArchiveError> {
        let (batches, queue) = channel::<Batch>();
        let (results, done) = channel();
        let work = move || {
            let _meter = Step::SmallFiles.meter();
            while let Ok(mut batch) = queue.recv() {
                Step::SmallFiles.count(batch.files.len() as u64);
                let made = batch.make(&options).map(|()| batch);
                let has_failed = made.is_err();
                if results.send(made).is_err() || has_failed {
                    return;
                }
            }
        };
        let handle = Builder::new().name("small files".to_owned()).spawn(work);
        let handle = Some(handle.map_err(ArchiveError::Read)?);
        Ok(Self { batches: Some(batches), done, sent: 0, handle })
    }

    fn send(&mut self, batch: Batch) -> Result<(), ArchiveError> {
        self.sent += 1;
        match self.batches.as_ref().map(|batches| batches.send(batch)) {
            Some(Ok(())) => Ok(()),
            // It ended, and says why.
            _ => self.receive().map(drop),
        }
    }

    fn receive(&mut self) -> Result<Batch, ArchiveError> {
        self.sent -= 1;
        let stopped = |_| Err(ArchiveError::Read(io::Error::other("a writing thread stopped")));
        self.done.recv().unwrap_or_else(stopped)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.batches = None;
        if let Some(handle) = self.handle.take() {
            // A panic has been told by the missing result.
            let _ = handle.join();
        }
    }
}

impl Batch {
    /// Makes all of its files and is empty then.
    fn make(&mut self, options: &ApplyOptions) -> Result<(), ArchiveError> {
        let mut rest = &self.bytes[..];
        for Piece { file, path, content } in self.files.drain(..) {
            let (path, others) = rest.split_at(path);
            let (content, others) = others.split_at(content);
            rest = others;
            make(options, &file, path, content)?;
        }
        self.bytes.clear();
        Ok(())
    }
}

fn make(
    options: &ApplyOptions,
    file: &SmallFile,
    path: &[u8],
    content: &[u8],
) -> Result<(), ArchiveError> {
    let name = split(path).1;
    let create = || openat(&file.directory, name, NEW_FILE, file.creation_mode);
    let made = match options.with_room(create) {
        // The file system takes two names for one: as elsewhere, the last one counts.
        Err(Errno::EXIST) => {
            unlinkat(&file.directory, name, AtFlags::empty()).map_err(failed("remove", path))?;
            create()
        }
        made => made,
    };
    let made = made.map_err(failed("create", path))?;
    write_all(options, &made, content).map_err(failed("write", path))?;
    file.last.owner(&made, path)?;
    file.last.mode_and_times(&made, path)
}

/// Owner, mode and times, as far as the kernel did not give them to a new file by itself.
#[derive(Debug)]
pub(super) struct Final {
    pub(super) owner: Option<(Option<Uid>, Option<Gid>)>,
    pub(super) mode: Option<Mode>,
    pub(super) times: Timestamps,
}

impl Final {
    /// Sets the owner, which takes attributes away and so comes before them.
    pub(super) fn owner(&self, file: &OwnedFd, path: &[u8]) -> Result<(), ArchiveError> {
        let Some((uid, gid)) = self.owner else { return Ok(()) };
        fchown(file, uid, gid).map_err(failed("change the owner of", path))
    }

    /// Sets what comes after the attributes.
    pub(super) fn mode_and_times(&self, file: &OwnedFd, path: &[u8]) -> Result<(), ArchiveError> {
        if let Some(mode) = self.mode {
            fchmod(file, mode).map_err(failed("change the mode of", path))?;
        }
        futimens(file, &self.times).map_err(failed("set the times of", path))
    }
}

/// Makes a file where nothing is.
pub(super) const NEW_FILE: OFlags = OFlags::WRONLY
    .union(OFlags::CREATE)
    .union(OFlags::EXCL)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

pub(super) fn write_all(
    options: &ApplyOptions,
    file: &OwnedFd,
    mut bytes: &[u8],
) -> Result<(), Errno> {
    while !bytes.is_empty() {
        match options.with_room(|| rustix::io::write(file, bytes)) {
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}
