//! Parts of a document that are taken over into another as they are.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::write::{escape_html, to_go_json};

/// The fields of an object, each as it is in the document; of several of one name the last.
pub(crate) type RawFields = BTreeMap<String, Box<RawValue>>;

/// Writes an object as Go does with a map of raw values: sorted by name, and in the values no blanks, and Go's escapes.
pub(crate) fn write_fields(fields: &RawFields) -> Result<String, serde_json::Error> {
    let mut text = String::from("{");
    for (name, value) in fields {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&to_go_json(name)?);
        text.push(':');
        compact(value.get(), &mut text);
    }
    text.push('}');
    Ok(text)
}

/// Writes a value without the blanks between its parts.
fn compact(value: &str, into: &mut String) {
    let (mut in_string, mut is_escaped) = (false, false);
    for character in value.chars() {
        if !in_string && matches!(character, ' ' | '\t' | '\n' | '\r') {
            continue;
        }
        in_string ^= character == '"' && !is_escaped;
        is_escaped = character == '\\' && !is_escaped;
        escape_html(character, into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_written_as_go_writes_maps_of_raw_values() {
        let text = "{ \"b\" : [ 1, \"a b\\\" \\\\\" , {\t\"x\":\n\"<\u{2028}\\u003e &\"} ],\"a\":null, \"c\": 1, \"<\": 1.0e5,\"c\":\"\\ud83d\" }";
        let fields: RawFields = serde_json::from_str(text).unwrap();
        assert_eq!(
            write_fields(&fields).unwrap(),
            r#"{"\u003c":1.0e5,"a":null,"b":[1,"a b\" \\",{"x":"\u003c\u2028\u003e \u0026"}],"c":"\ud83d"}"#
        );
        assert_eq!(write_fields(&RawFields::new()).unwrap(), "{}");
    }
}
