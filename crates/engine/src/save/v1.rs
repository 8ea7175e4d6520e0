//! The JSON that dockers before 1.10 read: a document for each layer, named by a hash of its own.
//!
//! Nothing reads it any more, but archives have it, and so ours are dockerd's to the byte.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;
use spec::{ChainId, Digest, V1Image, go};

/// The time of the layers below the topmost, as far as these documents say.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// A document, and the hash that names it in documents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct V1Document {
    pub(super) id: Digest,
    pub(super) bytes: Bytes,
}

/// Makes the documents of an image's layers, the bottom one first.
pub(super) fn documents(
    config: &[u8],
    layers: &[ChainId],
) -> Result<Vec<V1Document>, serde_json::Error> {
    let mut image = V1Image::parse(config)?.without_old_fields();
    image.created = image.created.map(|time| go::time(&time).unwrap_or(time));
    image.id.clear();
    image.parent.clear();
    let mut documents: Vec<V1Document> = Vec::with_capacity(layers.len());
    for (index, chain) in layers.iter().enumerate() {
        let parent = documents.last().map(|document| document.id.clone());
        let mut this = if index + 1 == layers.len() {
            image.clone()
        } else {
            V1Image::created_at(EPOCH).without_old_fields()
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
}
