//! PEM: a label, and bytes in base64 (RFC 7468).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// One text of bytes between its two marks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) label: String,
    pub(crate) content: Vec<u8>,
}

/// A block without an end, or whose content is no base64.
struct Damaged;

/// Returns the first block of a text; nothing if there is none, or if it is damaged. Text before it is passed over, headers are not
/// understood.
pub(crate) fn first(text: &[u8]) -> Option<Block> {
    let text = std::str::from_utf8(text).ok()?;
    next(&mut text.lines().map(str::trim))?.ok()
}

/// Returns the contents of all blocks of a label; nothing if one is damaged, or has another label.
pub(crate) fn all(text: &[u8], label: &str) -> Option<Vec<Vec<u8>>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut lines = text.lines().map(str::trim);
    let mut contents = Vec::new();
    while let Some(block) = next(&mut lines) {
        contents.push(block.ok().filter(|block| block.label == label)?.content);
    }
    Some(contents)
}

/// Returns the next block, damaged or not, if there is one.
fn next<'t>(lines: &mut impl Iterator<Item = &'t str>) -> Option<Result<Block, Damaged>> {
    let label = lines.find_map(|line| line.strip_prefix(BEGIN)?.strip_suffix(DASHES))?;
    let mut content = String::new();
    for line in lines {
        if let Some(end) = line.strip_prefix(END) {
            let is_its = end.strip_suffix(DASHES) == Some(label);
            let content = STANDARD.decode(content).ok().filter(|_| is_its);
            let block = content.map(|content| Block { label: label.to_owned(), content });
            return Some(block.ok_or(Damaged));
        }
        content.push_str(line);
    }
    Some(Err(Damaged))
}

/// Writes a block.
#[cfg(test)]
pub(crate) fn write(label: &str, content: &[u8]) -> String {
    format!("{BEGIN}{label}{DASHES}\n{}\n{END}{label}{DASHES}\n", STANDARD.encode(content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_whole_or_nothing() {
        let block = |text: &str| first(text.as_bytes()).map(|block| block.label);
        assert_eq!(
            block("note\n-----BEGIN A B-----\nAAAA\n AAAA \n-----END A B-----\n").unwrap(),
            "A B"
        );
        for text in [
            "",
            "-----BEGIN A-----\nAAAA\n",
            "-----BEGIN A-----\nAAAA\n-----END B-----\n",
            "-----BEGIN A-----\nA\n-----END A-----\n",
            "-----BEGIN A-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END A-----\n",
        ] {
            assert_eq!(block(text), None, "{text}");
        }
        let written = write("K", b"content");
        assert_eq!(first(written.as_bytes()).unwrap().content, b"content");
    }
}
