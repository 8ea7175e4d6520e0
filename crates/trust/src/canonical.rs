//! Canonical JSON, which signatures are made over: keys in order, no white space, and nothing escaped but what must be.
//!
//! It is read strictly. Who signs and who verifies must see the same document, so a key that stands twice, a number that
//! is no integer and text that is no UTF-8 are refused rather than read in one way or the other.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::TrustError;

/// A JSON document that has one canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `null`
    Null,
    /// A truth value.
    Boolean(bool),
    /// An integer; the format has no others.
    Integer(i64),
    /// A text, without its escapes.
    Text(String),
    /// Values in an order.
    List(Vec<Value>),
    /// An object; its keys are in the order of their bytes, and each stands once.
    Object(Vec<(String, Value)>),
}

impl Value {
    /// Reads a document.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Value, TrustError> {
        serde_json::from_slice(bytes).map_err(|error| {
            // Docker's words for what is seen most: a page, and a document that was cut off.
            let first = bytes.trim_ascii_start().first().copied().unwrap_or(b'{');
            TrustError::Syntax(if error.is_eof() {
                "unexpected end of JSON input".to_owned()
            } else if error.is_syntax() && !first.is_ascii_digit() && !b"{[\"-tfn".contains(&first)
            {
                format!("invalid character {:?} looking for beginning of value", char::from(first))
            } else {
                error.to_string()
            })
        })
    }

    /// Returns the canonical form of something that is written as JSON.
    pub(crate) fn of(document: &impl serde::Serialize) -> Result<Value, TrustError> {
        let bytes = serde_json::to_vec(document);
        Value::parse(&bytes.map_err(|error| TrustError::Syntax(error.to_string()))?)
    }

    /// Returns a member of an object.
    pub(crate) fn member(&self, name: &str) -> Option<&Value> {
        match self {
            Value::Object(members) => {
                let at = members.binary_search_by(|(known, _)| known.as_str().cmp(name)).ok()?;
                Some(&members[at].1)
            }
            _ => None,
        }
    }

    /// Returns the bytes that are signed.
    pub(crate) fn canonical(&self) -> Vec<u8> {
        let mut text = String::new();
        self.write(&mut text);
        text.into_bytes()
    }

    fn write(&self, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Integer(value) => out.push_str(&value.to_string()),
            Value::Text(text) => write_text(text, out),
            Value::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    item.write(out);
                }
                out.push(']');
            }
            Value::Object(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write(out);
                }
                out.push('}');
            }
        }
    }
}

/// Only quotation marks and backslashes are escaped: line ends and all others are as they are.
fn write_text(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            out.push('\\');
        }
        out.push(character);
    }
    out.push('"');
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

impl serde::Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Boolean(value) => serializer.serialize_bool(*value),
            Value::Integer(value) => serializer.serialize_i64(*value),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(items) => serializer.collect_seq(items),
            Value::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
        }
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("canonical JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        let value = i64::try_from(value).map_err(|_| E::custom("a number is too large"))?;
        Ok(Value::Integer(value))
    }

    fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Value, E> {
        Err(E::custom("a number is no integer"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object: Vec<(String, Value)> = Vec::new();
        while let Some(member) = members.next_entry()? {
            object.push(member);
        }
        object.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
        if let Some(pair) = object.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(A::Error::custom(format!("the key {:?} stands twice", pair[0].0)));
        }
        object.shrink_to_fit();
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(text: &str) -> String {
        String::from_utf8(Value::parse(text.as_bytes()).unwrap().canonical()).unwrap()
    }

    #[test]
    fn there_is_one_form() {
        for (text, expected) in [
            (r#"{ "b": [1, -2,true], "a": null }"#, r#"{"a":null,"b":[1,-2,true]}"#),
            (r#"{"a":"<>&"}"#, r#"{"a":"<>&"}"#),
            ("{\"a\":\"\\u003c\\/\\n\"}", "{\"a\":\"</\n\"}"),
            (r#"["\"\\"]"#, r#"["\"\\"]"#),
            (r#"{"\u00e9":1,"z":2,"A":{}}"#, r#"{"A":{},"z":2,"é":1}"#),
        ] {
            assert_eq!(canonical(text), expected);
            // It is its own canonical form, but for characters that JSON has not got raw.
            if !expected.contains('\n') {
                assert_eq!(canonical(expected), expected);
            }
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (text, reason) in [
            (r#"{"a":1,"a":2}"#, "stands twice"),
            (r#"{"x":[{"a":1,"\u0061":2}]}"#, "stands twice"),
            ("[1.5]", "no integer"),
            ("[1e2]", "no integer"),
            ("[9223372036854775808]", "too large"),
            ("{\"a\":1", "unexpected end of JSON input"),
            ("<html>", "invalid character '<' looking for beginning of value"),
            ("{} {}", "trailing"),
            ("[\"\\ud800\"]", "hex escape"),
        ] {
            let error = Value::parse(text.as_bytes()).unwrap_err();
            assert!(matches!(error, TrustError::Syntax(_)));
            assert!(error.to_string().contains(reason), "{text}: {error}");
        }
        assert!(Value::parse(b"[\"\xff\"]").is_err());
        let deep = "[".repeat(10_000);
        assert!(Value::parse(deep.as_bytes()).unwrap_err().to_string().contains("recursion"));
    }
}
