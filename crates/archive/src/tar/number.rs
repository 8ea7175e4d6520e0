//! Numbers and strings of tar headers, parsed as Go's `archive/tar` parses them.

/// Cuts a field at its first NUL.
pub(super) fn string(field: &[u8]) -> &[u8] {
    field.iter().position(|byte| *byte == 0).map_or(field, |end| &field[..end])
}

/// Parses a numeric field: base-256 where the first bit is set, else octal. `None` if it is neither or overflows.
pub(super) fn numeric(field: &[u8]) -> Option<i64> {
    match field.first() {
        Some(first) if first & 0x80 != 0 => base256(field),
        _ => octal(field),
    }
}

/// Two's complement, big-endian, the first bit being the mark and the second the sign.
fn base256(field: &[u8]) -> Option<i64> {
    let invert = if field[0] & 0x40 == 0 { 0 } else { 0xff };
    let mut value: u64 = 0;
    for (index, byte) in field.iter().enumerate() {
        let mut byte = byte ^ invert;
        if index == 0 {
            byte &= 0x7f;
        }
        if value >> 56 > 0 {
            return None;
        }
        value = value << 8 | u64::from(byte);
    }
    let value = i64::try_from(value).ok()?;
    Some(if invert == 0 { value } else { !value })
}

/// Octal digits, with spaces and NULs around them ignored; an empty field is 0.
pub(super) fn octal(field: &[u8]) -> Option<i64> {
    let is_filler = |byte: &u8| matches!(byte, b' ' | 0);
    let Some(start) = field.iter().position(|byte| !is_filler(byte)) else { return Some(0) };
    let end = field.iter().rposition(|byte| !is_filler(byte)).map_or(start, |last| last + 1);
    let mut value: i64 = 0;
    for byte in string(&field[start..end]) {
        if !matches!(byte, b'0'..=b'7') {
            return None;
        }
        value = value.checked_mul(8)? | i64::from(byte - b'0');
    }
    Some(value)
}

/// A decimal number with an optional sign, as Go's `strconv.ParseInt` in base 10.
pub(super) fn decimal(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numeric_fields() {
        let cases: &[(&[u8], Option<i64>)] = &[
            (b"", Some(0)),
            (b"\0\0\0", Some(0)),
            (b"   \0", Some(0)),
            (b"0000644\0", Some(0o644)),
            (b" 0000644 ", Some(0o644)),
            (b"777777777777", Some(0o777_777_777_777)),
            (b"12\x0034", Some(0o12)),
            (b"12 34\0", None),
            (b"0000648\0", None),
            (b"-1\0", None),
            (b"+1\0", None),
            (b"0x1f\0", None),
            (b"\x80\0\0\0\0\0\0\0\0\0\0\x07", Some(7)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xfe", Some(-2)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX)),
            (b"\x80\0\0\0\x80\0\0\0\0\0\0\0", None),
            (b"\x80\0\0\x01\0\0\0\0\0\0\0\0", None),
        ];
        for (field, expected) in cases {
            assert_eq!(numeric(field), *expected, "{field:02x?}");
        }
    }

    #[test]
    fn decimals() {
        let cases: &[(&[u8], Option<i64>)] = &[
            (b"12", Some(12)),
            (b"+12", Some(12)),
            (b"-12", Some(-12)),
            (b"", None),
            (b"1_000", None),
            (b" 1", None),
            (b"9223372036854775808", None),
            (b"\xff", None),
        ];
        for (text, expected) in cases {
            assert_eq!(decimal(text), *expected, "{text:02x?}");
        }
    }
}
