//! Records of PAX headers, and the blocks that a tar is made of.

/// The size of a block, in bytes.
pub(super) const BLOCK: usize = 512;

/// `<length> <key>=<value>\n`, where the length counts itself.
pub(super) fn push_record(records: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(format!("{length} {key}=").as_bytes());
    records.extend_from_slice(value);
    records.push(b'\n');
}
