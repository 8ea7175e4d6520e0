//! Names of tar entries as paths within a layer.

use std::borrow::Cow;

/// Cleans a name lexically, as Go's `path.Clean` does with one that begins at the root.
///
/// `cleaned` receives the path relative to the layer's root, without `.`, `..` and double or trailing slashes; it is
/// empty for the root itself. As in a chroot, where dockerd unpacks, the root is its own parent: returned is how often the name
/// climbs above it.
pub(crate) fn clean(name: &[u8], cleaned: &mut Vec<u8>) -> usize {
    cleaned.clear();
    let mut climbs = 0;
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                climbs += usize::from(cleaned.is_empty());
                let parent = cleaned.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                cleaned.truncate(parent);
            }
            _ => {
                if !cleaned.is_empty() {
                    cleaned.push(b'/');
                }
                cleaned.extend_from_slice(part);
            }
        }
    }
    climbs
}

/// A path by which entries are told apart, as Go's `path.Clean` leaves the name: `/a`, `a` and `../a` are three.
pub(crate) fn identity<'a>(name: &[u8], climbs: usize, cleaned: &'a [u8]) -> Cow<'a, [u8]> {
    match (name.first(), climbs) {
        (Some(b'/'), _) => Cow::Owned([b"/", cleaned].concat()),
        (_, 0) => Cow::Borrowed(cleaned),
        _ => Cow::Owned([&b"../".repeat(climbs), cleaned].concat()),
    }
}

/// Splits a cleaned path into parent (empty for the root) and last component.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleaning() {
        let cases: [(&str, &str, usize, &str); 19] = [
            ("", "", 0, ""),
            (".", "", 0, ""),
            ("./", "", 0, ""),
            ("/", "", 0, "/"),
            ("a", "a", 0, "a"),
            ("./a/", "a", 0, "a"),
            ("/a//b/./c", "a/b/c", 0, "/a/b/c"),
            ("a/../b", "b", 0, "b"),
            ("a/b/../../c", "c", 0, "c"),
            ("a/..", "", 0, ""),
            ("...", "...", 0, "..."),
            ("..a/b", "..a/b", 0, "..a/b"),
            ("..", "", 1, "../"),
            ("../a", "a", 1, "../a"),
            ("/../a", "a", 1, "/a"),
            ("a/../../b", "b", 1, "../b"),
            ("a/../../a", "a", 1, "../a"),
            ("../../a/../../b", "b", 3, "../../../b"),
            ("../a/../b/c", "b/c", 1, "../b/c"),
        ];
        for (name, path, climbs, expected) in cases {
            let mut cleaned = b"left over".to_vec();
            assert_eq!(clean(name.as_bytes(), &mut cleaned), climbs, "{name}");
            assert_eq!(cleaned, path.as_bytes(), "{name}");
            assert_eq!(
                &*identity(name.as_bytes(), climbs, &cleaned),
                expected.as_bytes(),
                "{name}"
            );
        }
    }
}
