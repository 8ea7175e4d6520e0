//! Holding images where no lease can be written: on a full or read-only file system, or by a user who may only read.
//!
//! A pin is a shared flock on the image's config, which takes no writing. A removal wants the flock for itself; where it does not get it
//! the image stays, and so do its layers and blobs. The removal's lease stays, too, without its flock, for whoever
//! sweeps next: the reader when it is done, or the next start.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::sync::Mutex;

use spec::ImageId;

use crate::files::Flocked;
use crate::mutex::lock;
use crate::paths::Paths;
use crate::{StoreError, files};

/// The images that a reader holds.
#[derive(Debug, Default)]
pub(crate) struct Pins(Mutex<HashMap<ImageId, Flocked>>);

impl Pins {
    /// Holds an image, if it is there. No transaction runs meanwhile.
    pub(crate) fn pin(&self, paths: &Paths, id: &ImageId) -> Result<(), StoreError> {
        let mut pins = lock(&self.0);
        if pins.contains_key(id) {
            return Ok(());
        }
        let path = paths.config(id);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if files::is_missing(&error) => return Ok(()),
            Err(error) => return Err(StoreError::io("open", path, error)),
        };
        file.lock_shared().map_err(|error| StoreError::io("lock", path, error))?;
        pins.insert(id.clone(), Flocked::new(file));
        Ok(())
    }

    /// Lets all go; says whether there was one.
    pub(crate) fn release(&self) -> bool {
        let pins = std::mem::take(&mut *lock(&self.0));
        !pins.is_empty()
    }
}

/// Says whether a reader holds the image with this config.
pub(crate) fn is_pinned(config: &Path) -> Result<bool, StoreError> {
    // Over NFS an exclusive lock takes a file that is open for writing.
    let open = OpenOptions::new().read(true).write(true).open(config);
    match open.or_else(|_| File::open(config)) {
        Ok(file) => match file.try_lock() {
            Ok(()) => {
                drop(Flocked::new(file));
                Ok(false)
            }
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", config, error)),
        },
        Err(error) if files::is_missing(&error) => Ok(false),
        Err(error) => Err(StoreError::io("open", config, error)),
    }
}
