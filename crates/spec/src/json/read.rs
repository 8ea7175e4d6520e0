//! Reading as Go does.
//!
//! For every type that is read so, whatever its fields are:
//!
//! - a field that is missing or `null` has Go's zero value: nothing, an empty text, list or map, 0, `false`;
//! - a key is that of a field in any case (with Go's two letters outside of ASCII that have one, `ſ` and `K`);
//! - of a field that is there several times the last one counts;
//! - fields that are not known play no part;
//! - what is no UTF-8, or half of a surrogate pair, is read as U+FFFD.
//!
//! A byte order mark, bytes after the document, and a value of another type are errors, there as here.

use std::borrow::Cow;

use serde::de::{DeserializeOwned, Error as _};
use serde_json::value::RawValue;

use super::value::{GoValue, Repeats};

/// Reads a whole document, as `json.Unmarshal` does.
pub fn from_go_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let text = text_of(bytes);
    read(serde_json::from_str(&text)?, Repeats::LastWins)
}

/// Reads the first document of several, as `json.Decoder` does: what follows it plays no part.
pub fn from_first_go_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, serde_json::Error> {
    let text = text_of(bytes);
    let first = serde_json::Deserializer::from_str(&text).into_iter::<&RawValue>().next();
    let first = first.unwrap_or_else(|| Err(serde_json::Error::custom("there is no document")));
    read(first?, Repeats::LastWins)
}

/// Reads a whole document in which every reader finds the same: a field that is there several times is an error where one that
/// minds case would choose another than Go does.
pub(crate) fn from_agreed_go_json<T: DeserializeOwned>(
    bytes: &[u8],
) -> Result<T, serde_json::Error> {
    let text = text_of(bytes);
    read(serde_json::from_str(&text)?, Repeats::Agreed)
}

fn read<T: DeserializeOwned>(
    document: &RawValue,
    repeats: Repeats,
) -> Result<T, serde_json::Error> {
    T::deserialize(GoValue::new(document, repeats))
}

/// Returns bytes as Go's decoder reads them in strings. Outside of strings U+FFFD is as wrong as what it stands for.
fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    if !text.contains("\\ud") && !text.contains("\\uD") {
        return text;
    }
    let mut changed = text.clone().into_owned().into_bytes();
    let mut at = 0;
    while at < changed.len() {
        let escape = |at: usize| surrogate(changed.get(at..at + 6)?);
        at += match (changed[at], escape(at), escape(at + 6)) {
            (b'\\', Some(Surrogate::High), Some(Surrogate::Low)) => 12,
            (b'\\', Some(_), _) => {
                changed[at..at + 6].copy_from_slice(b"\\ufffd");
                6
            }
            (b'\\', None, _) => 2,
            _ => 1,
        };
    }
    // Only ASCII was put for ASCII.
    String::from_utf8(changed).map_or(text, Cow::Owned)
}

enum Surrogate {
    High,
    Low,
}

/// Reads `\ud800` and its like.
fn surrogate(escape: &[u8]) -> Option<Surrogate> {
    let hex = std::str::from_utf8(escape.strip_prefix(b"\\u")?).ok()?;
    match u16::from_str_radix(hex, 16).ok()? {
        0xd800..=0xdbff => Some(Surrogate::High),
        0xdc00..=0xdfff => Some(Surrogate::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::Value;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Inner {
        disk_size: u64,
        #[serde(rename = "os.version")]
        version: Option<String>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Outer {
        text: String,
        perhaps: Option<String>,
        flag: bool,
        float: f64,
        list: Vec<String>,
        map: BTreeMap<String, String>,
        inner: Inner,
        inners: Vec<Inner>,
        anything: Option<Value>,
    }

    fn outer(text: &str) -> Outer {
        from_go_json(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn numbers_are_the_nearest_ones() {
        for (text, bits) in [
            ("123456789012345678901234567890e13", 0x48ac_5823_4d97_f2b6_u64),
            ("0.1", 0x3fb9_9999_9999_999a),
        ] {
            let value: f64 = from_go_json(text.as_bytes()).unwrap();
            assert_eq!(value.to_bits(), bits, "{text}: {:#x}", value.to_bits());
        }
    }

    #[test]
    fn every_field_may_be_missing_null_or_in_any_case() {
        for (field, value) in [
            ("text", r#""a""#),
            ("perhaps", r#""a""#),
            ("flag", "true"),
            ("float", "1.5"),
            ("list", r#"["a"]"#),
            ("map", r#"{"a":"b"}"#),
            ("inner", r#"{"diskSize":1,"os.version":"a"}"#),
            ("inners", r#"[{"diskSize":1}]"#),
            ("anything", r#"{"a":null}"#),
        ] {
            assert_eq!(outer("{}"), Outer::default());
            assert_eq!(outer(&format!(r#"{{"{field}":null}}"#)), Outer::default(), "{field}");
            let usual = outer(&format!(r#"{{"{field}":{value}}}"#));
            assert_ne!(usual, Outer::default(), "{field}");
            let other = outer(&format!(r#"{{"{}":{value}}}"#, field.to_uppercase()));
            assert_eq!(other, usual, "{field}");
            // The last one counts, in whatever case.
            let twice = outer(&format!(r#"{{"{field}":null,"unknown":[{{}}],"{field}":{value}}}"#));
            assert_eq!(twice, usual, "{field}");
        }
        assert_eq!(outer("null"), Outer::default());
    }

    #[test]
    fn what_is_within_is_read_alike() {
        let all = outer(
            r#"{"LIST":[null,"x"],"Map":{"a":null,"A":"b"},"inners":[null,{"DISKſIZE":3,"OS.Version":"v"}],
                "inner":{"disksize":7,"diskSize":null},"anything":{"Kept":{"As":[null]}}}"#,
        );
        assert_eq!(all.list, ["", "x"]);
        assert_eq!(
            all.map,
            BTreeMap::from([("a".into(), String::new()), ("A".into(), "b".into())])
        );
        let second = Inner { disk_size: 3, version: Some("v".into()) };
        assert_eq!(all.inners, [Inner::default(), second]);
        // As in Go, `null` changes nothing.
        assert_eq!(all.inner.disk_size, 7);
        assert_eq!(all.anything, Some(serde_json::json!({"Kept": {"As": [null]}})));
    }

    #[test]
    fn what_is_no_text_is_replaced_as_in_go() {
        for (bytes, expected) in [
            (&b"{\"text\":\"a\xffb\"}"[..], "a\u{fffd}b"),
            (
                br#"{"text":"\ud83d\ude00 \ud83d \ude00 \\ud83d"}"#,
                "\u{1f600} \u{fffd} \u{fffd} \\ud83d",
            ),
            (br#"{"text":"\uD83Dx"}"#, "\u{fffd}x"),
            (br#"{"text":"\ud83d\u0041\ud83d\ud83d\ude00"}"#, "\u{fffd}A\u{fffd}\u{1f600}"),
        ] {
            assert_eq!(from_go_json::<Outer>(bytes).unwrap().text, expected);
        }
    }

    #[test]
    fn what_go_refuses_is_refused_with_the_field() {
        for (bytes, part) in [
            (&b""[..], "EOF"),
            (b"\xef\xbb\xbf{}", "expected value"),
            (b"{} x", "trailing characters"),
            (b"{}{}", "trailing characters"),
            (b"{\xff}", "key must be a string"),
            (br#"{"text":1}"#, "text: invalid type: integer `1`, expected a string"),
            (br#"{"list":"a"}"#, "list: invalid type: string \"a\", expected a sequence"),
            (br#"{"list":[1]}"#, "list: invalid type: integer `1`, expected a string"),
            (br#"{"inner":{"diskSize":1.0}}"#, "inner: diskSize: invalid type: floating point"),
            (br#"{"inner":{"diskSize":"1"}}"#, "inner: diskSize: invalid type: string"),
            (br#"{"flag":"true"}"#, "flag: invalid type: string"),
            (br#"{"unknown":[}"#, "expected value"),
        ] {
            let error = from_go_json::<Outer>(bytes).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_decoder_stops_after_the_first_document() {
        let first: Outer = from_first_go_json(b" {\"flag\":true}{\"flag\":1} x").unwrap();
        assert!(first.flag);
        for bytes in [&b""[..], b"x", b"{", b"[] {}"] {
            assert!(from_first_go_json::<Outer>(bytes).is_err());
        }
    }

    #[test]
    fn readers_agree_or_the_document_is_refused() {
        for (text, agreed) in [
            (r#"{"LIST":["a"]}"#, true),
            (r#"{"list":["a"],"list":["b"]}"#, true),
            (r#"{"List":["a"],"list":["b"]}"#, true),
            (r#"{"list":["a"],"List":["b"]}"#, false),
            (r#"{"list":["a"],"list":null}"#, false),
            (r#"{"list":null,"List":["a"]}"#, false),
            (r#"{"List":null,"list":["a"]}"#, true),
            (r#"{"inner":{"diskSize":1,"DiskSize":2}}"#, false),
            (r#"{"unknown":1,"Unknown":2}"#, true),
        ] {
            let read = from_agreed_go_json::<Outer>(text.as_bytes());
            assert_eq!(read.is_ok(), agreed, "{text}: {read:?}");
            assert!(from_go_json::<Outer>(text.as_bytes()).is_ok(), "{text}");
        }
    }
}
