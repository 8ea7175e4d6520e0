//! The values that templates see.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A value as Go's templates know it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// No value at all (a key that a map has not, a nil interface): prints `<no value>`.
    Missing,
    /// A nil pointer: prints `<nil>`, and has no fields.
    Nil,
    /// A truth value.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A `time.Duration` in nanoseconds: a number in JSON, `1m30s` in text.
    Duration(i64),
    /// A number with a fraction.
    Float(f64),
    /// A JSON number of unknown type: printed as it was written, compared as text, as Go's `json.Number`.
    Number(String),
    /// `string`
    Text(String),
    /// A moment, as RFC 3339 text: JSON has it as it is, `%v` in Go's own notation.
    Time(String),
    /// A slice; `None` is the nil slice, which prints as `[]` but is `null` in JSON.
    List(Option<Vec<Value>>),
    /// A map with sorted keys; `None` is the nil map.
    Map(Option<BTreeMap<String, Value>>, Element),
    /// A struct.
    Structure(Structure),
}

/// The type of a map's values: `index` answers with an empty one of them for a key that is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// `interface{}`
    Any,
    /// `string`
    Text,
}

/// A struct: fields in an order, each under one name in templates and another in JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Structure {
    /// The name that error messages give the type, as Go would.
    pub type_name: &'static str,
    /// The fields, in order. Templates take copies at every step, so these are cheap.
    pub fields: Arc<[Field]>,
    /// Its form in JSON.
    pub marshal: Marshal,
}

/// The form of a struct in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marshal {
    /// Field by field, in order.
    Fields,
    /// As Docker's list rows: keys sorted, and `<`, `>`, `&` written as `\u003c` and so on.
    Row,
}

/// One field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// The name in templates.
    pub name: Cow<'static, str>,
    /// The key in JSON.
    pub key: Cow<'static, str>,
    /// True if JSON leaves an empty value out.
    pub omit_empty: bool,
    /// True if the value is a struct whose fields count as fields of this one.
    pub embedded: bool,
    /// The value that templates see.
    pub value: Value,
}

impl Field {
    /// Returns a field of one name in templates and in JSON.
    pub fn new(name: impl Into<Cow<'static, str>>, value: Value) -> Field {
        let name = name.into();
        Field { key: name.clone(), name, omit_empty: false, embedded: false, value }
    }

    /// Leaves an empty value out of JSON.
    #[must_use]
    pub fn omit_empty(mut self) -> Field {
        self.omit_empty = true;
        self
    }
}

impl Structure {
    /// Returns the field that templates call `name`, looking into embedded structs as Go does.
    pub fn get(&self, name: &str) -> Option<&Value> {
        if let Some(field) = self.fields.iter().find(|field| field.name == name) {
            return Some(&field.value);
        }
        self.fields.iter().filter(|field| field.embedded).find_map(|field| match &field.value {
            Value::Structure(inner) => inner.get(name),
            _ => None,
        })
    }
}

impl Value {
    /// Returns the untyped form of a JSON value: what Go decodes into an `interface{}`.
    pub fn from_json(json: &serde_json::Value) -> Value {
        match json {
            serde_json::Value::Null => Value::Missing,
            serde_json::Value::Bool(value) => Value::Bool(*value),
            serde_json::Value::Number(number) => Value::Number(number.to_string()),
            serde_json::Value::String(text) => Value::Text(text.clone()),
            serde_json::Value::Array(items) => {
                Value::List(Some(items.iter().map(Value::from_json).collect()))
            }
            serde_json::Value::Object(members) => {
                let members =
                    members.iter().map(|(key, value)| (key.clone(), Value::from_json(value)));
                Value::Map(Some(members.collect()), Element::Any)
            }
        }
    }

    /// Returns the field or member that templates call `name`, or says why there is none; `is_strict` where one has to be there.
    pub(crate) fn field(&self, name: &str, is_strict: bool) -> Result<&Value, String> {
        match self {
            Value::Map(members, _) => {
                match members.as_ref().and_then(|members| members.get(name)) {
                    Some(member) => Ok(member),
                    None if is_strict => Err(format!("map has no entry for key {name:?}")),
                    None => Ok(&Value::Missing),
                }
            }
            Value::Structure(structure) => structure.get(name).ok_or_else(|| {
                format!("can't evaluate field {name} in type {}", structure.type_name)
            }),
            Value::Missing if !is_strict => Ok(&Value::Missing),
            Value::Missing | Value::Nil => {
                Err(format!("nil pointer evaluating interface {{}}.{name}"))
            }
            // What is decoded into an interface is one for Go's messages.
            _ if is_strict => Err(format!("can't evaluate field {name} in type interface {{}}")),
            other => Err(format!("can't evaluate field {name} in type {}", other.type_name())),
        }
    }

    /// Returns whether Go takes the value for true: not empty, not zero.
    pub fn truth(&self) -> bool {
        match self {
            Value::Missing | Value::Nil => false,
            Value::Bool(value) => *value,
            Value::Int(value) | Value::Duration(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Number(text) | Value::Text(text) => !text.is_empty(),
            Value::List(items) => items.as_ref().is_some_and(|items| !items.is_empty()),
            Value::Map(members, _) => members.as_ref().is_some_and(|members| !members.is_empty()),
            Value::Time(_) | Value::Structure(_) => true,
        }
    }

    /// Returns about how many bytes of memory a copy of the value takes.
    pub(crate) fn size(&self) -> usize {
        let inside = match self {
            Value::Number(text) | Value::Text(text) | Value::Time(text) => text.len(),
            Value::List(items) => items.iter().flatten().map(Value::size).sum(),
            Value::Map(members, _) => {
                let members = members.iter().flatten();
                members.map(|(key, member)| size_of::<String>() + key.len() + member.size()).sum()
            }
            // A copy of a struct shares its fields.
            _ => 0,
        };
        size_of::<Value>() + inside
    }

    /// Returns whether `omitempty` leaves the value out of JSON. A struct never is empty.
    pub fn is_empty(&self) -> bool {
        !matches!(self, Value::Structure(_)) && !self.truth()
    }

    /// Returns the Go type's name for error messages.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::Missing | Value::Nil => "nil",
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Duration(_) => "time.Duration",
            Value::Float(_) => "float64",
            Value::Number(_) => "json.Number",
            Value::Text(_) => "string",
            Value::Time(_) => "time.Time",
            Value::List(_) => "[]interface {}",
            Value::Map(_, Element::Any) => "map[string]interface {}",
            Value::Map(_, Element::Text) => "map[string]string",
            Value::Structure(structure) => structure.type_name,
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Value {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Value {
        Value::Text(text)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}

impl From<Vec<String>> for Value {
    fn from(items: Vec<String>) -> Value {
        Value::List(Some(items.into_iter().map(Value::Text).collect()))
    }
}
