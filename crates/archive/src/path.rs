//! Names of tar entries as paths within a layer.

use crate::ArchiveError;
use crate::error::printable;

/// Cleans a name lexically, as Go's `path.Clean` does after leading slashes are cut off.
///
/// `cleaned` receives the path relative to the layer's root, without `.`, `..` and double or trailing slashes; it is
/// empty for the root itself. A name that leads outside is refused.
pub(crate) fn clean(name: &[u8], cleaned: &mut Vec<u8>) -> Result<(), ArchiveError> {
    cleaned.clear();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                if cleaned.is_empty() {
                    return Err(ArchiveError::Breakout { name: printable(name) });
                }
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
    Ok(())
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
        let cases: &[(&[u8], Option<&[u8]>)] = &[
            (b"", Some(b"")),
            (b".", Some(b"")),
            (b"./", Some(b"")),
            (b"/", Some(b"")),
            (b"a", Some(b"a")),
            (b"./a/", Some(b"a")),
            (b"/a//b/./c", Some(b"a/b/c")),
            (b"a/../b", Some(b"b")),
            (b"a/b/../../c", Some(b"c")),
            (b"a/..", Some(b"")),
            (b"...", Some(b"...")),
            (b"..a/b", Some(b"..a/b")),
            (b"..", None),
            (b"../a", None),
            (b"/../a", None),
            (b"a/../../b", None),
            (b"a/../../a", None),
        ];
        for (name, expected) in cases {
            let mut cleaned = b"left over".to_vec();
            let found = clean(name, &mut cleaned).ok().map(|()| &cleaned[..]);
            assert_eq!(found, *expected, "{}", name.escape_ascii());
        }
    }
}
