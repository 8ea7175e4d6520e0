//! The JSON that dockers before 1.10 read: a document for each layer, named by a hash of its own.
//!
//! Nothing reads it any more, but archives have it, and so ours are dockerd's to the byte. It repeats fields of the config as Go
//! writes its structs: in this order, with these zero values.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;
use spec::{ChainId, Digest, Words};

/// The time of the layers below the topmost, as far as these documents say.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// A document, and the hash that names it in documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct V1Document {
    pub(super) id: Digest,
    pub(super) bytes: Bytes,
}

/// The fields of a config that the document of the topmost layer repeats.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct V1Image {
    #[serde(skip_deserializing, skip_serializing_if = "String::is_empty")]
    id: String,
    #[serde(skip_deserializing, skip_serializing_if = "String::is_empty")]
    parent: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    comment: String,
    created: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    container: String,
    container_config: RunConfig,
    #[serde(skip_serializing_if = "String::is_empty")]
    docker_version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    author: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<RunConfig>,
    #[serde(skip_serializing_if = "String::is_empty")]
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    os: String,
}

/// The settings of a container, as Go's struct has them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
#[expect(clippy::struct_excessive_bools, reason = "the fields are Docker's")]
struct RunConfig {
    hostname: String,
    domainname: String,
    user: String,
    attach_stdin: bool,
    attach_stdout: bool,
    attach_stderr: bool,
    #[serde(skip_serializing_if = "Keys::is_empty")]
    exposed_ports: Keys,
    tty: bool,
    open_stdin: bool,
    stdin_once: bool,
    env: Option<Vec<String>>,
    cmd: Option<Words>,
    #[serde(skip_serializing_if = "Option::is_none")]
    healthcheck: Option<Healthcheck>,
    #[serde(skip_serializing_if = "is_false")]
    args_escaped: bool,
    image: String,
    volumes: Option<Keys>,
    working_dir: String,
    entrypoint: Option<Words>,
    #[serde(skip_serializing_if = "is_false")]
    network_disabled: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    on_build: Vec<String>,
    labels: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "String::is_empty")]
    stop_signal: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop_timeout: Option<i64>,
    #[serde(skip_serializing_if = "Words::is_empty")]
    shell: Words,
}

/// A set, which Go writes as a map to empty structs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "BTreeMap<String, Value>")]
struct Keys(Vec<String>);

impl From<BTreeMap<String, Value>> for Keys {
    fn from(map: BTreeMap<String, Value>) -> Self {
        Self(map.into_keys().collect())
    }
}

impl Keys {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Keys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Nothing {}
        serializer.collect_map(self.0.iter().map(|key| (key, Nothing {})))
    }
}

/// The test of a container's health; times in nanoseconds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Healthcheck {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    test: Vec<String>,
    #[serde(skip_serializing_if = "is_zero")]
    interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    timeout: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_period: i64,
    #[serde(skip_serializing_if = "is_zero")]
    start_interval: i64,
    #[serde(skip_serializing_if = "is_zero")]
    retries: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// Makes the documents of an image's layers, the bottom one first.
pub(super) fn documents(
    config: &[u8],
    layers: &[ChainId],
) -> Result<Vec<V1Document>, serde_json::Error> {
    let mut image: V1Image = spec::from_go_json(config)?;
    image.created = image.created.as_deref().map(go_time);
    let mut documents: Vec<V1Document> = Vec::with_capacity(layers.len());
    for (index, chain) in layers.iter().enumerate() {
        let parent = documents.last().map(|document| document.id.clone());
        let mut this = if index + 1 == layers.len() {
            image.clone()
        } else {
            V1Image { created: Some(EPOCH.to_owned()), ..V1Image::default() }
        };
        let id = id_of(&this, chain, parent.as_ref())?;
        this.id = id.hex();
        this.parent = parent.as_ref().map(Digest::hex).unwrap_or_default();
        this.os.clone_from(&image.os);
        documents.push(V1Document { bytes: spec::to_go_json(&this)?.into(), id });
    }
    Ok(documents)
}

/// Hashes the document as a map, with the layer and the parent in it.
fn id_of(
    image: &V1Image,
    layer: &ChainId,
    parent: Option<&Digest>,
) -> Result<Digest, serde_json::Error> {
    let document = spec::to_go_json(image)?;
    let mut fields: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&document)?;
    fields.insert("layer_id".to_owned(), serde_json::value::to_raw_value(layer)?);
    if let Some(parent) = parent {
        fields.insert("parent".to_owned(), serde_json::value::to_raw_value(parent)?);
    }
    Ok(Digest::sha256(&serde_json::to_vec(&fields)?))
}

/// Writes a time as Go does: without zeros at the end of the fraction, and `Z` for no offset.
fn go_time(time: &str) -> String {
    let time =
        time.strip_suffix("+00:00").map_or_else(|| time.to_owned(), |time| format!("{time}Z"));
    let Some((seconds, rest)) = time.split_once('.') else { return time };
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (fraction, zone) = rest.split_at(digits);
    match fraction.trim_end_matches('0') {
        "" => format!("{seconds}{zone}"),
        fraction => format!("{seconds}.{fraction}{zone}"),
    }
}

#[cfg(test)]
mod tests {
    use spec::ImageConfig;

    use super::*;

    fn made(config: &str) -> Vec<V1Document> {
        let diff_ids = ImageConfig::parse(config.as_bytes()).unwrap().rootfs.diff_ids;
        documents(config.as_bytes(), &ChainId::chain(&diff_ids)).unwrap()
    }

    /// Recorded from dockerd 29.7.
    #[test]
    fn documents_are_dockerds() {
        let config = r#"{"architecture":"amd64","config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],"Cmd":["sh"],"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null},"created":"2023-11-14T22:13:20Z","docker_version":"20.10.23","history":[{"created":"2023-11-14T22:13:20Z","created_by":"/bin/sh -c #(nop) ADD file:85adba3aefd0ed72e0304c288a4a576c32ada09a0f8d0725a2e91bd3ba6c21be in / "},{"created":"2023-11-14T22:13:20Z","created_by":"/bin/sh -c #(nop)  CMD [\"sh\"]","empty_layer":true}],"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:85adba3aefd0ed72e0304c288a4a576c32ada09a0f8d0725a2e91bd3ba6c21be"]}}"#;
        let [document] = &*made(config) else { panic!("one layer") };
        assert_eq!(
            document.id.hex(),
            "538f30bf10e116b1685e16cf0221bdfcc327912395cf691dee79016994b48ec8"
        );
        assert_eq!(
            Digest::sha256(&document.bytes).hex(),
            "5cbaf69a37fd80dc7ff71871b59f110680ea01fa93587fdb10caaf42878adf1f"
        );
    }

    #[test]
    fn every_field_is_understood_and_null_is_none() {
        let config = r#"{"created":null,"config":{"User":null,"ExposedPorts":{"80/tcp":{}},"OnBuild":[],"Healthcheck":{"Test":["CMD","a<b"],"Interval":5},"StopTimeout":0,"Shell":["sh"],"Volumes":{},"Unknown":1},"os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:85adba3aefd0ed72e0304c288a4a576c32ada09a0f8d0725a2e91bd3ba6c21be"]}}"#;
        let documents = made(config);
        let text = String::from_utf8(documents[0].bytes.to_vec()).unwrap();
        let (_, rest) = text.split_once(r#""config":"#).unwrap();
        assert_eq!(
            rest,
            r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"ExposedPorts":{"80/tcp":{}},"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Healthcheck":{"Test":["CMD","a\u003cb"],"Interval":5},"Image":"","Volumes":{},"WorkingDir":"","Entrypoint":null,"Labels":null,"StopTimeout":0,"Shell":["sh"]},"os":"linux"}"#
        );
        assert!(text.contains(r#""created":null"#));
    }

    #[test]
    fn times_are_written_as_go_does() {
        for (time, expected) in [
            ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z"),
            ("2023-11-14T22:13:20.120Z", "2023-11-14T22:13:20.12Z"),
            ("2023-11-14T22:13:20.000+02:00", "2023-11-14T22:13:20+02:00"),
            ("2023-11-14T22:13:20.5+00:00", "2023-11-14T22:13:20.5Z"),
        ] {
            assert_eq!(go_time(time), expected);
        }
    }
}
