//! Options and results.

use std::fmt;
use std::sync::Arc;

use rustix::io::Errno;
use spec::DiffId;

use crate::Compression;

/// The namespace of the extended attributes that mark an opaque directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum XattrNamespace {
    /// `trusted.overlay.*`: what the kernel reads for a privileged mount.
    #[default]
    Trusted,
    /// `user.overlay.*`: what it reads for one with `userxattr`, in a user namespace.
    User,
}

impl XattrNamespace {
    pub(crate) fn opaque_attribute(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }
}

/// The treatment of the `.wh.` entries by which a layer removes files of the layers below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whiteouts {
    /// Overlay's own form: a character device 0:0 for a file, an attribute for an opaque directory.
    Overlay {
        /// The namespace of the attribute.
        namespace: XattrNamespace,
    },
    /// The files that they hide are removed: for one directory that all layers of an image are unpacked into, the lowest first, by
    /// [`extract`](crate::extract).
    Remove,
    /// An error: the tar should have none.
    Refuse,
}

/// Makes room on a full disk; says whether there is some that was not there.
#[derive(Clone)]
pub struct MakeRoom(Arc<dyn Fn() -> bool + Send + Sync>);

impl MakeRoom {
    /// Makes one of `make`: a call that found no room is tried again as long as that says that there is more.
    pub fn new(make: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }
}

impl fmt::Debug for MakeRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MakeRoom(..)")
    }
}

/// Options for unpacking a layer.
#[derive(Clone, Debug)]
pub struct ApplyOptions {
    /// The form of whiteouts.
    pub whiteouts: Whiteouts,
    /// Set to give files their owners, create devices and insist on extended attributes; needs root.
    ///
    /// Without, devices are left out and attributes are set where the kernel lets us, as dockerd does in a user
    /// namespace, and directories stay writable until the end.
    pub owners: bool,
    /// The most bytes that the uncompressed tar may have, for example the free disk space.
    pub max_tar_size: Option<u64>,
    /// Makes room when the disk is full; without it, that is an error.
    pub make_room: Option<MakeRoom>,
}

impl ApplyOptions {
    /// Makes a system call, again where there was no room for it and some could be made.
    pub(crate) fn with_room<T>(&self, call: impl Fn() -> Result<T, Errno>) -> Result<T, Errno> {
        loop {
            match call() {
                Err(Errno::NOSPC | Errno::DQUOT)
                    if self.make_room.as_ref().is_some_and(|MakeRoom(make)| make()) => {}
                answer => return answer,
            }
        }
    }
}

impl Default for ApplyOptions {
    /// Overlay whiteouts in `trusted.`, with owners: what dockerd does as root.
    fn default() -> Self {
        let whiteouts = Whiteouts::Overlay { namespace: XattrNamespace::Trusted };
        Self { whiteouts, owners: true, max_tar_size: None, make_room: None }
    }
}

/// The facts of a layer that was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Digest of the uncompressed tar.
    pub diff_id: DiffId,
    /// Bytes of the unpacked files and symlinks, each inode once: dockerd's size of the layer.
    pub size: u64,
    /// Bytes of the uncompressed tar.
    pub tar_size: u64,
    /// Number of entries.
    pub entries: u64,
}

/// The facts of a compressed layer that was unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Number of bytes as they were read.
    pub compressed_size: u64,
    /// The compression that was in use.
    pub compression: Compression,
    /// The tar inside.
    pub applied: Applied,
}
