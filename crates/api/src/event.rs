//! The events of `GET /events`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire::null_as_default;

/// Something that happened to an object of the daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventMessage {
    /// Action: `pull`, `push`, `tag`, `untag`, `delete`, …
    #[serde(rename = "Action")]
    pub action: String,
    /// Object of the action.
    #[serde(rename = "Actor")]
    pub actor: Actor,
    /// The kind of object: `image`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The image of a container, up to API 1.51.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The actor's ID again, up to API 1.51.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `local`.
    pub scope: String,
    /// The action again, up to API 1.51.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Unix seconds.
    pub time: i64,
    /// Unix nanoseconds.
    #[serde(rename = "timeNano")]
    pub time_nano: i64,
}

/// The object of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Actor {
    /// Facts about the object: its labels, and `name`.
    #[serde(rename = "Attributes", deserialize_with = "null_as_default")]
    pub attributes: BTreeMap<String, String>,
    /// The object's ID; for a pull or push the reference.
    #[serde(rename = "ID")]
    pub id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_event_round_trips_byte_for_byte() {
        let recorded = concat!(
            r#"{"Action":"pull","Actor":{"Attributes":{"name":"busybox"},"ID":"busybox:latest"},"Type":"image","#,
            r#""id":"busybox:latest","scope":"local","status":"pull","time":1795283739,"#,
            r#""timeNano":1795283739330926300}"#,
        );
        let event: EventMessage = serde_json::from_str(recorded).unwrap();
        assert_eq!(event.actor.attributes["name"], "busybox");
        assert_eq!(serde_json::to_string(&event).unwrap(), recorded);
    }
}
