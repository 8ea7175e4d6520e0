//! Texts of cells that several lists have: short IDs, ages, points in time, shortened commands.

use go_template::{Field, Marshal, Structure, Value};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use spec::go::human_duration;
use unicode_width::UnicodeWidthChar;

/// Makes a row of a list: what a template's fields are.
pub(crate) fn row(
    type_name: &'static str,
    fields: impl IntoIterator<Item = (&'static str, String)>,
) -> Value {
    let fields = fields.into_iter().map(|(name, text)| Field::new(name, Value::Text(text)));
    Value::Structure(Structure { type_name, fields: fields.collect(), marshal: Marshal::Row })
}

/// Returns the first twelve digits of an ID, without its algorithm.
pub(crate) fn short_id(id: &str) -> String {
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    digits.chars().take(12).collect()
}

/// Returns how long ago `moment` (Unix seconds) was: `3 years ago`.
pub(crate) fn ago(moment: i64, now: Timestamp) -> String {
    let age = i128::from(now.as_second()) - i128::from(moment);
    let age = age * 1_000_000_000 + i128::from(now.subsec_nanosecond());
    let age = i64::try_from(age).unwrap_or(if age < 0 { i64::MIN } else { i64::MAX });
    format!("{} ago", human_duration(age))
}

/// Returns Unix seconds as `2023-11-14 22:13:20 +0000 UTC`.
pub(crate) fn local_time(moment: i64, zone: &TimeZone) -> String {
    local(moment, zone).strftime("%Y-%m-%d %H:%M:%S %z %Z").to_string()
}

/// Returns Unix seconds as Go prints RFC 3339: `2023-11-14T22:13:20Z`, `2023-11-15T00:13:20+02:00`.
pub(crate) fn rfc3339(moment: i64, zone: &TimeZone) -> String {
    let moment = local(moment, zone);
    let format =
        if moment.offset().is_zero() { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%:z" };
    moment.strftime(format).to_string()
}

/// Returns Unix nanoseconds as Docker prints events: RFC 3339 with all nine digits.
pub(crate) fn nanoseconds(moment: i64, zone: &TimeZone) -> String {
    let moment = Timestamp::from_nanosecond(moment.into()).unwrap_or_default();
    let moment = moment.to_zoned(zone.clone());
    let zone = if moment.offset().is_zero() { "Z" } else { "%:z" };
    moment.strftime(&format!("%Y-%m-%dT%H:%M:%S.%9f{zone}")).to_string()
}

fn local(moment: i64, zone: &TimeZone) -> Zoned {
    Timestamp::from_second(moment).unwrap_or_default().to_zoned(zone.clone())
}

/// Cuts text to `width` columns of a terminal, the last of which is then `…`. As in Docker's, no character is narrower than
/// a column, and text that no cut makes fit stays whole.
pub(crate) fn ellipsis(text: &str, width: usize) -> String {
    let columns = |c: char| if c.width() == Some(2) { 2 } else { 1 };
    let mut end = 0;
    let mut position = 0;
    for (index, c) in text.char_indices() {
        position += columns(c);
        if position < width {
            end = index + c.len_utf8();
        }
    }
    if position <= width || end == 0 { text.to_owned() } else { format!("{}…", &text[..end]) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_cut_to_columns() {
        for (text, width, expected) in [
            ("", 5, ""),
            ("abcde", 5, "abcde"),
            ("abcdef", 5, "abcd…"),
            ("漢字漢字", 8, "漢字漢字"),
            ("漢字漢字", 7, "漢字漢…"),
            ("漢字漢字", 6, "漢字…"),
            ("é\u{301}abcd", 5, "é\u{301}ab…"),
        ] {
            assert_eq!(ellipsis(text, width), expected, "{text} {width}");
        }
    }

    #[test]
    fn times_are_written_as_go_writes_them() {
        let east = TimeZone::fixed(jiff::tz::offset(2));
        assert_eq!(rfc3339(1_700_000_000, &TimeZone::UTC), "2023-11-14T22:13:20Z");
        assert_eq!(rfc3339(1_700_000_000, &east), "2023-11-15T00:13:20+02:00");
        assert_eq!(local_time(1_700_000_000, &TimeZone::UTC), "2023-11-14 22:13:20 +0000 UTC");
        assert_eq!(ago(10, Timestamp::from_second(70).unwrap()), "About a minute ago");
    }
}
