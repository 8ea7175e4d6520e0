//! Sparse files as PAX headers tell them.

use super::record::{BLOCK, push_record};

/// A form in which a PAX header tells the holes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaxSparse {
    /// Records of their own for each piece.
    V0_0,
    /// One record for all pieces.
    V0_1,
    /// A map before the content.
    V1_0,
}

/// The map that comes before the content: pairs of numbers, a line each, in whole blocks.
pub(super) fn sparse_map(form: Option<PaxSparse>, pieces: &[(u64, Vec<u8>)]) -> Vec<u8> {
    if form != Some(PaxSparse::V1_0) {
        return Vec::new();
    }
    let lines = pieces.iter().map(|(offset, piece)| format!("{offset}\n{}\n", piece.len()));
    let mut map = format!("{}\n{}", pieces.len(), lines.collect::<String>()).into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    map
}

/// The records of GNU tar for a sparse file in each form.
pub(super) fn push_sparse(
    records: &mut Vec<u8>,
    form: PaxSparse,
    path: &str,
    size: u64,
    pieces: &[(u64, Vec<u8>)],
) {
    let mut push = |key: &str, value: &str| push_record(records, key, value.as_bytes());
    if form == PaxSparse::V1_0 {
        push("GNU.sparse.major", "1");
        push("GNU.sparse.minor", "0");
        push("GNU.sparse.name", path);
        push("GNU.sparse.realsize", &size.to_string());
        return;
    }
    push("GNU.sparse.size", &size.to_string());
    push("GNU.sparse.numblocks", &pieces.len().to_string());
    let lengths =
        pieces.iter().map(|(offset, piece)| (offset.to_string(), piece.len().to_string()));
    if form == PaxSparse::V0_0 {
        for (offset, length) in lengths {
            push("GNU.sparse.offset", &offset);
            push("GNU.sparse.numbytes", &length);
        }
        return;
    }
    push("GNU.sparse.name", path);
    let map: Vec<String> = lengths.map(|(offset, length)| format!("{offset},{length}")).collect();
    push("GNU.sparse.map", &map.join(","));
}
