//! The Go types behind the API's JSON.
//!
//! Templates of `inspect` and `version` run over Go structs in Docker, so that `{{.ID}}` works where JSON says
//! `Id`, a field that the daemon left out is empty and not absent, and `{{json .Config}}` has its keys in the
//! struct's order. A [`Shape`] describes such a type; [`Shape::read`] makes the value of it.

use serde_json::Value as Json;

use super::value::{Element, Field, Marshal, Structure, Value};

/// The type of a value.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// `string`
    Text,
    /// `int64` and its kin
    Int,
    /// `time.Duration`
    Duration,
    /// `bool`
    Bool,
    /// `time.Time`
    Time,
    /// `interface{}`
    Any,
    /// `[]T`
    List(&'static Shape),
    /// `map[string]T`
    Map(&'static Shape),
    /// A struct.
    Structure(&'static Type),
    /// A pointer to a struct.
    Pointer(&'static Type),
}

/// A struct type.
#[derive(Clone, Copy, Debug)]
pub struct Type {
    /// The name in messages.
    pub name: &'static str,
    /// The fields, in order.
    pub members: &'static [Member],
}

/// A field of a struct type.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    name: &'static str,
    key: &'static str,
    omit_empty: bool,
    embedded: bool,
    shape: Shape,
}

impl Member {
    /// A field with the same name in templates and JSON.
    pub const fn new(name: &'static str, shape: Shape) -> Member {
        Member { name, key: name, omit_empty: false, embedded: false, shape }
    }

    /// A field that JSON leaves out when it is empty.
    pub const fn optional(name: &'static str, shape: Shape) -> Member {
        Member { name, key: name, omit_empty: true, embedded: false, shape }
    }

    /// A struct whose fields count as the outer one's, here and in JSON.
    pub const fn embedded(name: &'static str, of: &'static Type) -> Member {
        Member { name, key: name, omit_empty: false, embedded: true, shape: Shape::Structure(of) }
    }

    /// Sets the key in JSON.
    #[must_use]
    pub const fn key(mut self, key: &'static str) -> Member {
        self.key = key;
        self
    }
}

impl Shape {
    /// Returns the value of this type that `json` holds, the type's empty value where it holds none. A value of
    /// another type is taken as it is: better shown than refused.
    pub fn read(self, json: Option<&Json>) -> Value {
        let json = json.filter(|json| !json.is_null());
        match (self, json) {
            (Shape::Structure(of), _) | (Shape::Pointer(of), Some(_)) => of.read(json),
            (Shape::Pointer(_), None) => Value::Nil,
            (Shape::Text, None) => Value::from(""),
            (Shape::Int, None) => Value::Int(0),
            (Shape::Duration, None) => Value::Duration(0),
            (Shape::Bool, None) => Value::Bool(false),
            (Shape::Time, None) => Value::Time("0001-01-01T00:00:00Z".to_owned()),
            (Shape::Any, None) => Value::Missing,
            (Shape::List(_), None) => Value::List(None),
            (Shape::Map(of), None) => Value::Map(None, of.element()),
            (Shape::Int, Some(Json::Number(number))) => whole(number, Value::Int),
            (Shape::Duration, Some(Json::Number(number))) => whole(number, Value::Duration),
            (Shape::Time, Some(Json::String(text))) => Value::Time(text.clone()),
            (Shape::List(of), Some(Json::Array(items))) => {
                Value::List(Some(items.iter().map(|item| of.read(Some(item))).collect()))
            }
            (Shape::Map(of), Some(Json::Object(members))) => {
                let members =
                    members.iter().map(|(key, member)| (key.clone(), of.read(Some(member))));
                Value::Map(Some(members.collect()), of.element())
            }
            (_, Some(other)) => Value::from_json(other),
        }
    }

    fn element(self) -> Element {
        if matches!(self, Shape::Text) { Element::Text } else { Element::Any }
    }
}

fn whole(number: &serde_json::Number, value: fn(i64) -> Value) -> Value {
    number.as_i64().map_or_else(|| Value::Number(number.to_string()), value)
}

impl Type {
    fn read(&self, json: Option<&Json>) -> Value {
        let fields = self.members.iter().map(|member| {
            let json =
                if member.embedded { json } else { json.and_then(|json| json.get(member.key)) };
            Field {
                name: member.name.into(),
                key: member.key.into(),
                omit_empty: member.omit_empty,
                embedded: member.embedded,
                value: member.shape.read(json),
            }
        });
        Value::Structure(Structure {
            type_name: self.name,
            fields: fields.collect(),
            marshal: Marshal::Fields,
        })
    }
}
