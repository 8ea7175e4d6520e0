//! JSON objects as Go reads them: keys in any case.

use serde_json::{Map, Value};

/// Go's words for a document that is cut.
pub(crate) const UNEXPECTED_END: &str = "unexpected end of JSON input";

/// Returns why a text can be no object, in Go's words.
pub(crate) fn no_object(text: &str) -> Option<String> {
    match text.trim_start().chars().next() {
        Some('{') => None,
        None => Some(UNEXPECTED_END.to_owned()),
        Some(other) => Some(format!("invalid character {other:?} looking for beginning of value")),
    }
}

/// The fields of an object.
#[derive(Debug)]
pub(crate) struct Fields(Map<String, Value>);

impl Fields {
    /// Reads an object.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json).map(Self)
    }

    /// Takes an object; anything else has no fields.
    pub(crate) fn of(value: Value) -> Self {
        Self(if let Value::Object(fields) = value { fields } else { Map::new() })
    }

    /// Returns a field by its own name, or else by one that differs in case; `null` is none.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let alike = || self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        let found = self.0.get(name).or_else(|| alike().map(|(_, value)| value));
        found.filter(|value| !value.is_null())
    }

    /// Returns a text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_any_case() {
        for (json, expected) in [
            (r#"{"code":"a"}"#, Some("a")),
            (r#"{"Code":"a"}"#, Some("a")),
            (r#"{"CODE":"b","code":"a"}"#, Some("a")),
            (r#"{"code":null}"#, None),
            (r#"{"code":""}"#, None),
            (r#"{"code":7}"#, None),
            ("{}", None),
        ] {
            assert_eq!(Fields::parse(json.as_bytes()).unwrap().text("code"), expected, "{json}");
        }
        assert!(Fields::parse(b"[]").is_err());
        assert_eq!(Fields::of(Value::from(1)).get("code"), None);
    }
}
