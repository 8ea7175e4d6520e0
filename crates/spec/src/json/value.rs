//! A value of a document, read with the rules of Go's decoder in place of serde's.

use std::fmt;

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Error;
use serde_json::value::RawValue;

/// The reading of fields that are there several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeats {
    /// The last one counts.
    LastWins,
    /// The last one counts if all readers take that one.
    Agreed,
}

/// A value that is read as Go does.
#[derive(Clone, Copy)]
pub(super) struct GoValue<'de> {
    raw: &'de RawValue,
    repeats: Repeats,
}

/// The value of fields that are not there.
const NULL: &str = "null";

impl<'de> GoValue<'de> {
    pub(super) fn new(raw: &'de RawValue, repeats: Repeats) -> Self {
        Self { raw, repeats }
    }

    fn is_null(self) -> bool {
        self.raw.get() == NULL
    }

    fn plain(self) -> serde_json::Deserializer<serde_json::de::StrRead<'de>> {
        serde_json::Deserializer::from_str(self.raw.get())
    }
}

/// Reads a number or truth: Go's zero where it is `null`.
macro_rules! scalars {
    ($($method:ident => $visit:ident($zero:expr),)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            if self.is_null() {
                return visitor.$visit($zero);
            }
            self.plain().$method(visitor).map_err(without_position)
        })*
    };
}

impl<'de> Deserializer<'de> for GoValue<'de> {
    type Error = Error;

    scalars! {
        deserialize_bool => visit_bool(false),
        deserialize_i8 => visit_i8(0),
        deserialize_i16 => visit_i16(0),
        deserialize_i32 => visit_i32(0),
        deserialize_i64 => visit_i64(0),
        deserialize_u8 => visit_u8(0),
        deserialize_u16 => visit_u16(0),
        deserialize_u32 => visit_u32(0),
        deserialize_u64 => visit_u64(0),
        deserialize_f32 => visit_f32(0.0),
        deserialize_f64 => visit_f64(0.0),
        deserialize_str => visit_borrowed_str(""),
        deserialize_string => visit_borrowed_str(""),
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.plain().deserialize_any(visitor).map_err(without_position)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        // Types of serde_json's own stand for a part of the text as it is.
        if name.starts_with("$serde_json::") {
            return self.plain().deserialize_newtype_struct(name, visitor);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.plain().deserialize_enum(name, variants, visitor).map_err(without_position)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() {
            return visitor.visit_seq(Nothing);
        }
        let elements = Elements { visitor, repeats: self.repeats };
        self.plain().deserialize_seq(elements).map_err(without_position)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        if self.is_null() {
            return visitor.visit_map(Nothing);
        }
        let elements = Elements { visitor, repeats: self.repeats };
        self.plain().deserialize_map(elements).map_err(without_position)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let mut values = vec![None; fields.len()];
        if !self.is_null() {
            let collector = Collector { fields, values: &mut values, repeats: self.repeats };
            self.plain().deserialize_map(collector).map_err(without_position)?;
        }
        visitor.visit_map(Fields { names: fields, values, next: 0, repeats: self.repeats })
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

/// Leaves out a position, which counts from the beginning of a part of the document.
fn without_position(error: Error) -> Error {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&position) {
        Some(text) => Error::custom(text),
        None => error,
    }
}

/// The value of `null` as a list or map.
struct Nothing;

impl<'de> SeqAccess<'de> for Nothing {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        _seed: T,
    ) -> Result<Option<T::Value>, Error> {
        Ok(None)
    }
}

impl<'de> MapAccess<'de> for Nothing {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        _seed: K,
    ) -> Result<Option<K::Value>, Error> {
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        seed.deserialize(().into_deserializer())
    }
}

/// Reads what a list or a map holds by Go's rules; each is looked at when it is asked for, so that bounds hold.
struct Elements<V> {
    visitor: V,
    repeats: Repeats,
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Elements<V> {
    type Value = V::Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(formatter)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_seq(Each { inner: sequence, repeats: self.repeats })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_map(Each { inner: map, repeats: self.repeats })
    }
}

struct Each<A> {
    inner: A,
    repeats: Repeats,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Each<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        let Some(raw) = self.inner.next_element::<&'de RawValue>()? else { return Ok(None) };
        let value = seed.deserialize(GoValue::new(raw, self.repeats));
        value.map(Some).map_err(A::Error::custom)
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Each<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.inner.next_key::<String>()? else { return Ok(None) };
        seed.deserialize(StringDeserializer::<A::Error>::new(key)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        let raw = self.inner.next_value::<&'de RawValue>()?;
        seed.deserialize(GoValue::new(raw, self.repeats)).map_err(A::Error::custom)
    }
}

/// Finds the values of the fields of a type.
struct Collector<'a, 'de> {
    fields: &'static [&'static str],
    values: &'a mut [Option<&'de RawValue>],
    repeats: Repeats,
}

impl<'de> Visitor<'de> for Collector<'_, 'de> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        // Where the last one of several is not spelt as the field is, or is nothing: what others read.
        let mut disputed = vec![false; self.fields.len()];
        let mut seen = vec![false; self.fields.len()];
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value::<&'de RawValue>()?;
            let Some(field) = position(self.fields, &key) else { continue };
            let is_null = value.get() == NULL;
            disputed[field] = seen[field] && (is_null || key != self.fields[field]);
            seen[field] = true;
            // As in Go, `null` changes nothing; a list that was there is another matter there, and nobody writes it.
            if !is_null {
                self.values[field] = Some(value);
            }
        }
        if self.repeats == Repeats::Agreed
            && let Some(field) = disputed.iter().position(|disputed| *disputed)
        {
            let field = self.fields[field];
            return Err(A::Error::custom(format!(
                "the field `{field}` is there several times, and readers disagree on which of them counts"
            )));
        }
        Ok(())
    }
}

/// Finds the field that a key is of: the one of that name, or one that differs in case only.
fn position(fields: &[&str], key: &str) -> Option<usize> {
    let exact = fields.iter().position(|field| *field == key);
    exact.or_else(|| fields.iter().position(|field| folds_to(key, field)))
}

fn folds_to(key: &str, field: &str) -> bool {
    let folded = |character: char| match character {
        // The long s and the sign of the unit kelvin.
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    key.chars().map(folded).eq(field.chars().map(folded))
}

/// All fields of a type with their values, those that are missing with nothing.
struct Fields<'de> {
    names: &'static [&'static str],
    values: Vec<Option<&'de RawValue>>,
    next: usize,
    repeats: Repeats,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        let Some(field) = self.names.get(self.next) else { return Ok(None) };
        self.next += 1;
        seed.deserialize(BorrowedStrDeserializer::<Error>::new(field)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let field = self.next.saturating_sub(1);
        let raw = self.values.get(field).copied().flatten().unwrap_or(RawValue::NULL);
        let value = seed.deserialize(GoValue::new(raw, self.repeats));
        value.map_err(|error| Error::custom(format!("{}: {error}", self.names[field])))
    }
}
