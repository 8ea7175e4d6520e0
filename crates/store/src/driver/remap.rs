//! Data roots of a dockerd with `userns-remap`, and of one that runs without root: the files of their images belong to other users
//! than the tars say, and all that is put there must, too.
//!
//! With `userns-remap` such a dockerd keeps everything in `<data-root>/<uid>.<gid>`, the IDs that root has there.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::{StoreError, files};

/// User and group of a directory.
type Owner = (u32, u32);

/// Says how the images in `root` are kept, if their files belong to shifted users. `None` if they do not.
pub(crate) fn shifted(root: &Path) -> Result<Option<String>, StoreError> {
    if !files::exists(&root.join("image"))? {
        for name in files::names(root)? {
            if ids(&name).is_some() && files::exists(&root.join(&name).join("image"))? {
                return Ok(Some(format!(
                    "in `{name}`, with the users of a dockerd's userns-remap"
                )));
            }
        }
    }
    let overlay = root.join("overlay2");
    let mut layers = files::names(&overlay)?.into_iter().filter(|name| name != "l");
    let layer = match layers.next() {
        Some(layer) => owner(&overlay.join(layer).join("diff"))?,
        None => None,
    };
    let name = root.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let seen = Seen { name, root: owner(root)?, overlay: owner(&overlay)?, layer };
    Ok(seen.first_user().map(|(uid, gid)| {
        format!("with the users of a dockerd's userns-remap, from {uid}:{gid} on")
    }))
}

/// The signs that tell a shifted data root from another.
struct Seen<'a> {
    name: &'a str,
    root: Option<Owner>,
    overlay: Option<Owner>,
    /// Of the topmost directory of any layer.
    layer: Option<Owner>,
}

impl Seen<'_> {
    /// The IDs that root has in the data root, if they are not 0.
    fn first_user(&self) -> Option<Owner> {
        // Older dockerds give their directories to that user, newer ones only to its group.
        let is_of =
            |(uid, gid): Owner, (first_uid, first_gid): Owner| uid == first_uid || gid == first_gid;
        let by_name = ids(self.name).filter(|first| self.root.is_some_and(|is| is_of(is, *first)));
        let is_shifted = |(uid, gid): &Owner| *uid != 0 && *gid != 0;
        let by_layer = self
            .layer
            .filter(is_shifted)
            .filter(|first| self.overlay.is_some_and(|overlay| is_of(overlay, *first)));
        by_name.or(by_layer)
    }
}

/// Reads `<uid>.<gid>`, neither of them root's.
fn ids(name: &str) -> Option<Owner> {
    let (uid, gid) = name.split_once('.')?;
    let number = |text: &str| text.parse().ok().filter(|id: &u32| *id != 0);
    let ids = (number(uid)?, number(gid)?);
    (format!("{}.{}", ids.0, ids.1) == name).then_some(ids)
}

fn owner(path: &Path) -> Result<Option<Owner>, StoreError> {
    match fs::metadata(path) {
        Ok(stat) => Ok(Some((stat.uid(), stat.gid()))),
        Err(error) if files::is_missing(&error) => Ok(None),
        Err(error) => Err(StoreError::io("look at", path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, owners of the root, of `overlay2` and of a layer, and the IDs that are recognised.
    type Case<'a> = (&'a str, [Option<Owner>; 3], Option<Owner>);

    #[test]
    fn shifted_users_are_recognised() {
        const FIRST: Owner = (200_000, 300_000);
        let (root, group) = (Some((0, 0)), Some((0, FIRST.1)));
        let table: &[Case<'_>] = &[
            ("docker", [root, root, root], None),
            ("docker", [root, None, None], None),
            // Made by dockerd 20.10, before and after the first image.
            ("200000.300000", [group, None, None], Some(FIRST)),
            ("200000.300000", [group, group, Some(FIRST)], Some(FIRST)),
            // By older ones.
            ("200000.300000", [Some(FIRST), Some(FIRST), Some(FIRST)], Some(FIRST)),
            // Copied to another place.
            ("copy", [root, group, Some(FIRST)], Some(FIRST)),
            // Only the name, a group of the administrator's, or a layer with an owner of its own.
            ("200000.300000", [root, root, root], None),
            ("docker", [group, group, root], None),
            ("docker", [root, root, Some(FIRST)], None),
        ];
        for (name, [root, overlay, layer], expected) in table {
            let (root, overlay, layer) = (*root, *overlay, *layer);
            let seen = Seen { name, root, overlay, layer };
            assert_eq!(seen.first_user(), *expected, "{name} {root:?} {overlay:?} {layer:?}");
        }
    }

    #[test]
    fn names_of_remapped_roots() {
        for (name, expected) in [
            ("100000.100001", Some((100_000, 100_001))),
            ("0.0", None),
            ("1.0", None),
            ("01.1", None),
            ("+1.1", None),
            ("1.1.1", None),
            ("4294967296.1", None),
            ("image", None),
        ] {
            assert_eq!(ids(name), expected, "{name}");
        }
    }

    #[test]
    fn the_root_above_a_remapped_one_is_not_an_empty_one() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("100000.100000/image/overlay2")).unwrap();
        let how = shifted(dir.path()).unwrap().unwrap();
        assert_eq!(how, "in `100000.100000`, with the users of a dockerd's userns-remap");
        // It was used without before, or is again.
        fs::create_dir_all(dir.path().join("image/overlay2")).unwrap();
        assert_eq!(shifted(dir.path()).unwrap(), None);
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("100000.100000/other")).unwrap();
        assert_eq!(shifted(dir.path()).unwrap(), None);
    }
}
