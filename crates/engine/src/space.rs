//! Room for layers: looked for before a transfer where it can be, and told as what is missing where it cannot.

use std::error::Error;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use archive::{ApplyOptions, ArchiveError, MakeRoom};
use spec::go::{PROGRESS_DIGITS, human_bytes};
use spec::{Descriptor, Digest};
use store::{DriverKind, Image, Room, Store, StoreError};

use crate::{EngineError, Result};

/// The largest tar that is read, in bytes: no bomb, and more than any layer has.
pub(crate) const MAX_TAR_SIZE: u64 = 1 << 40;
/// Inodes of a layer beside its files: the entries of the store and the driver for it, and those of its download.
const INODES_OF_A_LAYER: u64 = 15;

/// A layer that is to be made here.
pub(crate) struct Coming<'a> {
    /// Its blob, where it is fetched.
    pub(crate) blob: Option<&'a Digest>,
    /// Its size in bytes as it comes.
    pub(crate) size: u64,
    /// The bytes of its blob that are copied from elsewhere.
    pub(crate) copied: u64,
}

impl<'a> Coming<'a> {
    /// A layer whose blob is fetched.
    pub(crate) fn fetched(blob: &'a Descriptor) -> Self {
        Self { blob: Some(&blob.digest), size: blob.size, copied: 0 }
    }
}

/// Fails if layers cannot fit on the disk, whatever is in them. Blocking.
///
/// What comes is kept until it is published. A layer that is unpacked takes at least as much again: no compression makes more of less.
pub(crate) fn require(store: &Store, layers: &[Coming<'_>]) -> Result<()> {
    let mut needed = Room::default();
    let mut keep = Vec::new();
    for layer in layers {
        let (mut to_fetch, mut to_unpack) = (layer.copied, layer.size);
        if let Some(digest) = layer.blob {
            let (present, is_held) = store.partial_blob(digest)?;
            if is_held {
                // Somebody else is making it.
                continue;
            }
            // The same blob may be several layers.
            if !keep.contains(digest) {
                keep.push(digest.clone());
                to_fetch = layer.size.saturating_sub(present);
            }
        }
        if store.driver() == DriverKind::Packed {
            to_unpack = 0;
        }
        needed.bytes = needed.bytes.saturating_add(to_fetch).saturating_add(to_unpack);
        needed.inodes = Some(needed.inodes.unwrap_or_default() + INODES_OF_A_LAYER);
    }
    Ok(store.require_room(needed, &keep)?)
}

/// Fails if an image cannot fit where it is to be unpacked, whatever of a layer the next one removes. Blocking.
pub(crate) fn require_unpacked(store: &Store, image: &Image, directory: &Path) -> Result<()> {
    // Where that cannot be found out, the first file says so.
    let Ok(available) = Room::at(directory) else { return Ok(()) };
    for chain in &image.layers {
        let Some(layer) = store.layer(chain)? else { continue };
        if layer.size <= available.bytes {
            continue;
        }
        // There may be holes in its files.
        let bytes = match (&layer.blob, store.layer_path(chain)?) {
            (Some(blob), _) => store.blob(blob)?.map_or(0, |blob| blob.size),
            (None, Some(path)) => blocks_below(&path),
            (None, None) => 0,
        };
        if bytes > available.bytes {
            let (path, needed) = (directory.to_owned(), Room { bytes, inodes: None });
            return Err(StoreError::TooFull { path, needed, available }.into());
        }
    }
    Ok(())
}

/// Returns what the files below a directory take on the disk, as far as they can be looked at.
fn blocks_below(path: &Path) -> u64 {
    let mut blocks: u64 = 0;
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            blocks = blocks.saturating_add(metadata.blocks());
            if metadata.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    blocks.saturating_mul(512)
}

/// Returns how a layer is unpacked into the store: on a full disk, partial downloads that nobody works on make room for it.
pub(crate) fn apply_options(store: &Store) -> Result<ApplyOptions> {
    let free = store.free_space()?.saturating_add(store.partial_downloads()?);
    let store = store.clone();
    Ok(ApplyOptions {
        max_tar_size: Some(free.min(MAX_TAR_SIZE)),
        make_room: Some(MakeRoom::new(move || store.make_room())),
        ..ApplyOptions::default()
    })
}

/// Returns the error of a layer of which something failed below `root`; `verb` is what was to be done with it.
pub(crate) fn layer_failed(
    verb: &str,
    digest: &Digest,
    root: &Path,
    error: ArchiveError,
) -> EngineError {
    let what = || format!("failed to {verb} layer {digest}");
    match no_space(what, root, &error) {
        Some(told) => told,
        None => EngineError::Layer { digest: digest.clone(), source: error },
    }
}

/// Returns the error for `what` if a shortage of the disk that `root` is on is behind `error`.
pub(crate) fn no_space(
    what: impl FnOnce() -> String,
    root: &Path,
    error: &ArchiveError,
) -> Option<EngineError> {
    let words = shortage(error)?;
    Some(EngineError::NoSpace { what: what(), words, detail: missing(error, root) })
}

fn shortage(error: &ArchiveError) -> Option<&'static str> {
    if matches!(error, ArchiveError::TarTooLarge { limit } if *limit < MAX_TAR_SIZE) {
        return Some(NO_SPACE);
    }
    let mut cause = error.source().and_then(|error| error.downcast_ref::<io::Error>());
    while let Some(error) = cause {
        match error.kind() {
            io::ErrorKind::StorageFull => return Some(NO_SPACE),
            io::ErrorKind::QuotaExceeded => return Some("disk quota exceeded"),
            // The source of an error that holds another is that of the other.
            _ => cause = error.get_ref().and_then(|inner| inner.downcast_ref::<io::Error>()),
        }
    }
    None
}

/// Linux's words, and dockerd's.
const NO_SPACE: &str = "no space left on device";

/// Says what was needed and what is there.
fn missing(error: &ArchiveError, root: &Path) -> String {
    let at = match error {
        ArchiveError::TarTooLarge { limit } => {
            let limit = human_bytes(*limit, PROGRESS_DIGITS);
            format!("it needs more than {limit} unpacked")
        }
        ArchiveError::Io { action, path, .. } => format!("{action} `{}`", path.display()),
        other => other.to_string(),
    };
    match Room::at(root) {
        Ok(left) => format!("{at}, and {left} are free in `{}`", root.display()),
        Err(_) => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortages_are_told_as_such_wherever_they_are_met() {
        let io_error = |kind: io::ErrorKind| ArchiveError::Io {
            action: "write",
            path: "usr/bin/x".into(),
            source: kind.into(),
        };
        let digest = Digest::sha256(b"layer");
        let told = |error| layer_failed("register", &digest, Path::new("/"), error).message();
        for (error, expected) in [
            (
                ArchiveError::TarTooLarge { limit: 10 },
                "no space left on device: it needs more than 10B unpacked, and ",
            ),
            (
                io_error(io::ErrorKind::StorageFull),
                "no space left on device: write `usr/bin/x`, and ",
            ),
            (
                io_error(io::ErrorKind::QuotaExceeded),
                "disk quota exceeded: write `usr/bin/x`, and ",
            ),
            (
                ArchiveError::SplitWrite(io::ErrorKind::StorageFull.into()),
                "no space left on device: failed to write the tar-split",
            ),
            (
                ArchiveError::Read(io::Error::other(io::Error::from(io::ErrorKind::StorageFull))),
                "no space left on device: ",
            ),
        ] {
            let text = told(error);
            let start = format!("failed to register layer {digest}: {expected}");
            assert!(text.starts_with(&start), "{text}");
            assert!(text.contains(" are free in `/`"), "{text}");
        }
        for (error, expected) in [
            (
                ArchiveError::TarTooLarge { limit: MAX_TAR_SIZE },
                "the uncompressed layer is larger than",
            ),
            (
                io_error(io::ErrorKind::PermissionDenied),
                "failed to write `usr/bin/x`: permission denied",
            ),
        ] {
            let text = told(error);
            assert!(text.contains(expected), "{text}");
        }
    }

    /// More than any disk has.
    const TOO_MUCH: u64 = 1 << 60;

    #[test]
    fn what_comes_needs_room_as_it_comes_and_unpacked() {
        let blobs: Vec<Digest> = (0..3_u8).map(|number| Digest::sha256(&[number])).collect();
        let half = crate::testing::Fixture::new(&[]).store().free_space().unwrap() / 10 * 6;
        let packed = Some(crate::testing::Fixture::new(&[]));
        let unpacked = crate::testing::Fixture::unpacked(&[]);
        for fixture in packed.iter().chain(&unpacked) {
            let is_packed = fixture.store().driver() == DriverKind::Packed;
            let coming = |blob: Option<usize>, size| Coming {
                blob: blob.map(|at| &blobs[at]),
                size,
                copied: 0,
            };
            for (layers, fits) in [
                (vec![], true),
                (vec![coming(Some(0), 1)], true),
                (vec![coming(Some(0), TOO_MUCH)], false),
                (vec![coming(Some(0), 1), coming(Some(1), TOO_MUCH)], false),
                // Unpacked it is at least as large again.
                (vec![coming(Some(0), half)], is_packed),
                // The same blob is fetched once, whatever is made of it.
                (vec![coming(Some(0), half), coming(Some(0), half)], is_packed),
                (vec![coming(Some(0), half), coming(Some(1), half)], false),
                // What comes from here only has to be unpacked.
                (vec![coming(None, TOO_MUCH)], is_packed),
                (vec![coming(None, half)], true),
                // Sums do not overflow.
                (vec![coming(Some(0), u64::MAX), coming(Some(1), u64::MAX)], false),
            ] {
                let answer = require(fixture.store(), &layers);
                let sizes: Vec<_> =
                    layers.iter().map(|layer| (layer.blob.is_some(), layer.size)).collect();
                assert_eq!(answer.is_ok(), fits, "packed: {is_packed}, {sizes:?}, {answer:?}");
                if let Err(error) = answer {
                    assert!(
                        matches!(error, EngineError::Store(StoreError::TooFull { .. })),
                        "{error}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_somebody_else_downloads_already_is_theirs_to_find_room_for() {
        let fixture = crate::testing::Fixture::new(&[]);
        let lease = fixture.store().lease().unwrap();
        let digest = Digest::sha256(b"huge");
        let layers = [Coming { blob: Some(&digest), size: TOO_MUCH, copied: 0 }];
        assert!(require(fixture.store(), &layers).is_err());
        let ingest = fixture.store().ingest(&lease, &digest, 10).unwrap();
        assert!(require(fixture.store(), &layers).is_ok());
        drop(ingest);
    }

    #[test]
    fn a_directory_must_have_room_for_each_layer_that_is_unpacked_into_it() {
        let fixture = crate::testing::Fixture::new(&["web tags=web:1 layers=base:5000"]);
        let image = fixture.store().image(&fixture.id("web")).unwrap().unwrap();
        let there = tempfile::tempdir().unwrap();
        assert!(require_unpacked(fixture.store(), &image, there.path()).is_ok());
        // Where that cannot be found out, the first file says so.
        assert!(require_unpacked(fixture.store(), &image, Path::new("/nowhere/at/all")).is_ok());
    }
}
