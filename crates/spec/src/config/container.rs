//! The part of a config that says how a container of the image runs, with the types that Docker gives its fields.

use std::collections::BTreeMap;

use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Docker's fields; what a config does not say, or says with `null`, is left out.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
#[expect(clippy::zero_sized_map_values, reason = "Go's sets, whose empty values are written")]
struct ContainerConfig {
    args_escaped: Option<bool>,
    attach_stderr: Option<bool>,
    attach_stdin: Option<bool>,
    attach_stdout: Option<bool>,
    cmd: Option<Words>,
    domainname: Option<String>,
    entrypoint: Option<Words>,
    env: Option<Vec<String>>,
    exposed_ports: Option<BTreeMap<String, Empty>>,
    healthcheck: Option<Healthcheck>,
    hostname: Option<String>,
    image: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    mac_address: Option<String>,
    network_disabled: Option<bool>,
    on_build: Option<Vec<String>>,
    open_stdin: Option<bool>,
    shell: Option<Words>,
    stdin_once: Option<bool>,
    stop_signal: Option<String>,
    stop_timeout: Option<i64>,
    tty: Option<bool>,
    user: Option<String>,
    volumes: Option<BTreeMap<String, Empty>>,
    working_dir: Option<String>,
}

/// The test of a container's health.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Healthcheck {
    interval: Option<i64>,
    retries: Option<i64>,
    start_interval: Option<i64>,
    start_period: Option<i64>,
    test: Option<Vec<String>>,
    timeout: Option<i64>,
}

/// The value of a member of a set: an object without fields.
#[derive(Deserialize, Serialize)]
struct Empty {}

/// The words of a command; a text stands for one word, as in Docker.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Words(pub Vec<String>);

impl Words {
    /// Says whether there is no word.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Words;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a list of texts or a text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Words, E> {
                Ok(Words(vec![text.to_owned()]))
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<Words, E> {
                Ok(Words(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Words, A::Error> {
                let mut words = Vec::new();
                while let Some(word) = items.next_element::<Option<String>>()? {
                    words.push(word.unwrap_or_default());
                }
                Ok(Words(words))
            }
        }

        deserializer.deserialize_any(Either)
    }
}

/// Reads how a container runs; nothing of it is `None`.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Value>, D::Error> {
    let config = Option::<ContainerConfig>::deserialize(deserializer)?;
    let mut config = config.map(serde_json::to_value).transpose().map_err(D::Error::custom)?;
    if let Some(Value::Object(fields)) = &mut config {
        leave_out_nulls(fields);
        if let Some(Value::Object(healthcheck)) = fields.get_mut("Healthcheck") {
            leave_out_nulls(healthcheck);
        }
    }
    Ok(config)
}

fn leave_out_nulls(fields: &mut Map<String, Value>) {
    fields.retain(|_, value| !value.is_null());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::ImageConfig;

    fn config(text: &str) -> Result<Option<serde_json::Value>, serde_json::Error> {
        let document = format!(r#"{{"config":{text},"rootfs":{{"type":"layers"}}}}"#);
        ImageConfig::parse(document.as_bytes()).map(|config| config.config)
    }

    #[test]
    fn fields_have_dockers_types_and_names() {
        for (text, expected) in [
            ("null", None),
            ("{}", Some(json!({}))),
            (
                r#"{"Entrypoint":"/app","Cmd":"x y","Shell":"/bin/sh"}"#,
                Some(json!({
                    "Entrypoint": ["/app"], "Cmd": ["x y"], "Shell": ["/bin/sh"],
                })),
            ),
            (
                r#"{"ENTRYPOINT":["a",null],"cmd":[],"labels":{"a":null},"env":null}"#,
                Some(json!({
                    "Entrypoint": ["a", ""], "Cmd": [], "Labels": {"a": ""},
                })),
            ),
            (
                r#"{"ExposedPorts":{"80/tcp":null,"1/udp":{"x":1}},"volumes":{"/v":{}}}"#,
                Some(json!({
                    "ExposedPorts": {"80/tcp": {}, "1/udp": {}}, "Volumes": {"/v": {}},
                })),
            ),
            (
                r#"{"healthCheck":{"test":["NONE"],"Retries":null},"unknown":1,"tty":true}"#,
                Some(json!({
                    "Healthcheck": {"Test": ["NONE"]}, "Tty": true,
                })),
            ),
        ] {
            assert_eq!(config(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn every_field_may_be_null() {
        let fields = [
            "ArgsEscaped",
            "AttachStderr",
            "AttachStdin",
            "AttachStdout",
            "Cmd",
            "Domainname",
            "Entrypoint",
            "Env",
            "ExposedPorts",
            "Healthcheck",
            "Hostname",
            "Image",
            "Labels",
            "MacAddress",
            "NetworkDisabled",
            "OnBuild",
            "OpenStdin",
            "Shell",
            "StdinOnce",
            "StopSignal",
            "StopTimeout",
            "Tty",
            "User",
            "Volumes",
            "WorkingDir",
        ];
        for field in fields {
            let text = format!(r#"{{"{field}":null}}"#);
            assert_eq!(config(&text).unwrap(), Some(json!({})), "{field}");
        }
    }

    #[test]
    fn what_docker_refuses_is_refused_with_the_field() {
        for (text, part) in [
            (r#"{"Env":"A=b"}"#, "config: Env: invalid type: string \"A=b\", expected a sequence"),
            (r#"{"Cmd":{"a":1}}"#, "config: Cmd: invalid type: map"),
            (r#"{"Cmd":[1]}"#, "config: Cmd: invalid type: integer `1`, expected a string"),
            (r#"{"Labels":{"a":1}}"#, "config: Labels: invalid type: integer"),
            (r#"{"Volumes":["/v"]}"#, "config: Volumes: invalid type: sequence"),
            (r#"{"User":0}"#, "config: User: invalid type: integer"),
            ("[]", "config: invalid type: sequence"),
        ] {
            let error = config(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
