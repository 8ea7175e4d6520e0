//! The choice of the driver for a data root.

use std::path::Path;

use super::{DriverKind, overlay2, remap};
use crate::{StoreError, files};

/// Chooses the driver for `root`, which exists: what is asked for, else what it has, else what can work there.
///
/// A root has one driver: two would share blobs and could not tell whose they are.
pub(crate) fn choose(root: &Path, wanted: Option<DriverKind>) -> Result<DriverKind, StoreError> {
    // Anybody else cannot make files of other users anyway.
    if rustix::process::geteuid().is_root()
        && let Some(how) = remap::shifted(root)?
    {
        let advice = ", or have dockerd work without `userns-remap`";
        return Err(foreign(root, how, advice));
    }
    let found = files::names(&root.join("image"))?;
    let has = |driver: &DriverKind| found.iter().any(|name| name == driver.as_str());
    let known = [DriverKind::Overlay2, DriverKind::Packed];
    let present = match wanted {
        Some(wanted) => Some(wanted).filter(has),
        None => known.into_iter().find(has),
    };
    if let Some(driver) = present {
        return Ok(driver);
    }
    match (wanted, found.into_iter().min()) {
        (Some(wanted), Some(found)) => {
            return Err(StoreError::OtherDriver { root: root.to_owned(), found, wanted });
        }
        (None, Some(found)) => {
            return Err(foreign(root, format!("with the storage driver {found}"), ""));
        }
        (Some(DriverKind::Packed), None) => return Ok(DriverKind::Packed),
        (None | Some(DriverKind::Overlay2), None) => {}
    }
    if uses_containerd(root)? {
        let advice = ", or have dockerd use its storage driver overlay2 again by setting the feature \
                      `containerd-snapshotter` to false";
        return Err(foreign(root, "in containerd's image store".to_owned(), advice));
    }
    let Some(reason) = overlay2::obstacle(root)? else { return Ok(DriverKind::Overlay2) };
    if let Some(driver) = wanted {
        return Err(StoreError::DriverUnusable { driver, root: root.to_owned(), reason });
    }
    tracing::info!(reason, "overlay2 cannot work here, layers are kept packed");
    Ok(DriverKind::Packed)
}

fn foreign(root: &Path, how: String, advice: &'static str) -> StoreError {
    StoreError::ForeignStore { root: root.to_owned(), how, advice }
}

/// Says whether a dockerd keeps its images here in the containerd that it runs, or the files of its containers in that of the
/// system: then there is nothing below `image/`.
fn uses_containerd(root: &Path) -> Result<bool, StoreError> {
    let blobs = root.join("containerd/daemon/io.containerd.content.v1.content/blobs/sha256");
    Ok(!files::names(&blobs)?.is_empty() || files::exists(&root.join("rootfs"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_the_root_has_and_refuses_the_rest() {
        type Case = (&'static [&'static str], Option<DriverKind>, Result<DriverKind, &'static str>);
        let cases: &[Case] = &[
            (&["packed"], None, Ok(DriverKind::Packed)),
            (&["overlay2"], None, Ok(DriverKind::Overlay2)),
            (&["packed"], Some(DriverKind::Packed), Ok(DriverKind::Packed)),
            (&[], Some(DriverKind::Packed), Ok(DriverKind::Packed)),
            (&["vfs", "overlay2"], None, Ok(DriverKind::Overlay2)),
            (&["vfs", "overlay2"], Some(DriverKind::Overlay2), Ok(DriverKind::Overlay2)),
            (
                &["btrfs"],
                None,
                Err("with the storage driver btrfs, which Longshore does not have: save"),
            ),
            (&["zfs"], None, Err("storage driver zfs")),
            (&["fuse-overlayfs"], None, Err("storage driver fuse-overlayfs")),
            (&["btrfs"], Some(DriverKind::Packed), Err("uses storage driver btrfs, not packed")),
            (
                &["overlay2"],
                Some(DriverKind::Packed),
                Err("uses storage driver overlay2, not packed"),
            ),
            (
                &["packed"],
                Some(DriverKind::Overlay2),
                Err("uses storage driver packed, not overlay2"),
            ),
        ];
        for (existing, wanted, expected) in cases {
            let dir = tempfile::tempdir().unwrap();
            for name in *existing {
                std::fs::create_dir_all(dir.path().join("image").join(name)).unwrap();
            }
            match (choose(dir.path(), *wanted), expected) {
                (Ok(chosen), Ok(expected)) => {
                    assert_eq!(chosen, *expected, "{existing:?} {wanted:?}");
                }
                (Err(error), Err(part)) => {
                    assert!(error.to_string().contains(part), "{existing:?} {wanted:?}: {error}");
                }
                (chosen, _) => panic!("{existing:?} {wanted:?}: {chosen:?}"),
            }
        }
    }

    #[test]
    fn the_containerd_store_is_recognised() {
        const BLOBS: &str = "containerd/daemon/io.containerd.content.v1.content/blobs/sha256";
        for (folders, refused) in [
            // What every dockerd leaves of the containerd that it runs.
            (&["containerd/daemon/io.containerd.content.v1.content/ingest"][..], false),
            (&[BLOBS], false),
            (&["containerd/daemon/io.containerd.content.v1.content/blobs/sha256/00"], true),
            (&["rootfs/overlayfs"], true),
            // It was switched over, and the old images are still there.
            (&["rootfs/overlayfs", "image/overlay2"], false),
        ] {
            let dir = tempfile::tempdir().unwrap();
            for folder in folders {
                std::fs::create_dir_all(dir.path().join(folder)).unwrap();
            }
            let chosen = choose(dir.path(), None);
            match (&chosen, refused) {
                (Ok(_), false) => {}
                (Err(error), true) => {
                    let text = error.to_string();
                    assert!(text.contains("containerd's image store"), "{text}");
                    assert!(text.contains("`containerd-snapshotter` to false"), "{text}");
                }
                _ => panic!("{folders:?}: {chosen:?}"),
            }
        }
    }
}
