//! The extended attributes of a tar that reach a file.

use rustix::io::Errno;

/// The attributes in which overlayfs keeps its own notes. In a layer's directory it would believe them, whoever wrote them.
const PRIVATE: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];
pub(crate) const CAPABILITY: &[u8] = b"security.capability";
pub(crate) const ACCESS_ACL: &[u8] = b"system.posix_acl_access";
pub(crate) const DEFAULT_ACL: &[u8] = b"system.posix_acl_default";

/// Says whether an attribute is one of overlayfs's own, and so left out of every directory.
pub(crate) fn is_private(name: &[u8]) -> bool {
    PRIVATE.iter().any(|prefix| name.starts_with(prefix))
}

/// Says whether the kernel's answer tells that the attribute cannot be here, as against a disk that fails or is full.
///
/// dockerd, podman and containerd leave out what is not supported or not permitted. A value of the wrong form or size for this
/// file system is left out, too: with the driver `packed` nobody knows it before the layer is unpacked somewhere.
pub(crate) fn is_left_out(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::OPNOTSUPP
            | Errno::PERM
            | Errno::ACCESS
            | Errno::INVAL
            | Errno::TOOBIG
            | Errno::RANGE
            | Errno::NODATA
    )
}

/// Compares what an access ACL says beside what the mode says, which is set after it: the permissions of the owner, of others, and
/// of the group or the mask.
pub(crate) fn is_same_acl(one: &[u8], other: &[u8]) -> bool {
    beside_mode(one) == beside_mode(other)
}

/// Says whether an access ACL says what a mode can say: then the kernel keeps it as one.
pub(crate) fn is_mode(acl: &[u8]) -> bool {
    beside_mode(acl).is_some_and(|entries| entries.iter().all(|entry| !is_named(entry.0)))
}

const MASK: u16 = 0x10;
const GROUP: u16 = 4;

fn is_named(tag: u16) -> bool {
    !matches!(tag, 1 | GROUP | 0x20)
}

/// The entries of an ACL in the form that the kernel gives it: a version, then tag, permissions and ID of each.
fn beside_mode(acl: &[u8]) -> Option<Vec<(u16, u16, u32)>> {
    let entries = acl.strip_prefix(&2_u32.to_le_bytes())?;
    let number = |entry: &[u8], at: usize| u16::from_le_bytes([entry[at], entry[at + 1]]);
    let entries = entries.chunks_exact(8).map(|entry| {
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        (number(entry, 0), number(entry, 2), id)
    });
    let mut entries: Vec<_> = entries.collect();
    let has_mask = entries.iter().any(|entry| entry.0 == MASK);
    for (tag, permissions, id) in &mut entries {
        match *tag {
            GROUP if has_mask => *id = u32::MAX,
            1 | GROUP | MASK | 0x20 => (*permissions, *id) = (0, u32::MAX),
            _ => {}
        }
    }
    Some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut acl = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            acl.extend(tag.to_le_bytes());
            acl.extend(permissions.to_le_bytes());
            acl.extend(id.to_le_bytes());
        }
        acl
    }

    #[test]
    fn acls_are_compared_beside_the_mode() {
        let one = acl(&[(1, 7, u32::MAX), (2, 5, 8), (4, 5, u32::MAX), (16, 7, 0), (32, 5, 0)]);
        let masked = acl(&[(1, 6, u32::MAX), (2, 5, 8), (4, 5, 0), (16, 1, 0), (32, 0, 0)]);
        let other = acl(&[(1, 7, u32::MAX), (2, 7, 8), (4, 5, u32::MAX), (16, 7, 0), (32, 5, 0)]);
        let mode = acl(&[(1, 7, u32::MAX), (4, 5, u32::MAX), (32, 5, u32::MAX)]);
        assert!(is_same_acl(&one, &masked) && !is_same_acl(&one, &other));
        assert!(is_mode(&mode) && !is_mode(&one) && !is_mode(b"") && !is_mode(b"\x01\0\0\0"));
    }

    #[test]
    fn overlayfs_has_its_own() {
        for (name, expected) in [
            (&b"trusted.overlay.opaque"[..], true),
            (b"user.overlay.metacopy", true),
            (b"trusted.overlay.overlay.opaque", true),
            (b"trusted.overlayed", false),
            (b"user.a", false),
        ] {
            assert_eq!(is_private(name), expected, "{}", name.escape_ascii());
        }
    }
}
