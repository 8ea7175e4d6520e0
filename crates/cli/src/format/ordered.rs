//! JSON objects as structs, in the order in which they came.
//!
//! The information on a daemon has far more fields than are worth a [`super::shape`]; daemons send them in the order
//! of Docker's struct, and templates name them almost as JSON does.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::value::{Field, Marshal, Structure, Value};

/// Fields that templates call otherwise than JSON does.
const NAMES: [(&str, &str); 2] = [("HttpProxy", "HTTPProxy"), ("HttpsProxy", "HTTPSProxy")];

/// A value whose objects are structs with the fields in the JSON's order.
#[derive(Debug)]
pub(crate) struct Ordered(pub(crate) Value);

impl<'de> Deserialize<'de> for Ordered {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Ordered, D::Error> {
        deserializer.deserialize_any(OrderedVisitor)
    }
}

struct OrderedVisitor;

impl<'de> Visitor<'de> for OrderedVisitor {
    type Value = Ordered;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Ordered, E> {
        Ok(Ordered(Value::Bool(value)))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Ordered, E> {
        Ok(Ordered(Value::Int(value)))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Ordered, E> {
        let int = i64::try_from(value).map(Value::Int);
        Ok(Ordered(int.unwrap_or_else(|_| Value::Number(value.to_string()))))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Ordered, E> {
        Ok(Ordered(Value::Float(value)))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Ordered, E> {
        Ok(Ordered(Value::from(value)))
    }

    fn visit_unit<E: Error>(self) -> Result<Ordered, E> {
        Ok(Ordered(Value::Missing))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Ordered, A::Error> {
        let mut list = Vec::new();
        while let Some(Ordered(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Ordered(Value::List(Some(list))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Ordered, A::Error> {
        let mut fields = Vec::new();
        while let Some((key, Ordered(value))) = members.next_entry::<String, Ordered>()? {
            let name =
                NAMES.iter().find(|(json, _)| *json == key).map_or(key.as_str(), |(_, name)| name);
            fields.push(Field::new(name, value).key(&key));
        }
        Ok(Ordered(Value::Structure(Structure {
            type_name: "object",
            fields,
            marshal: Marshal::Fields,
        })))
    }
}
