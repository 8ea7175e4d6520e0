//! Blobs and manifests that are mentioned in a document that a registry keeps as a manifest, whichever kind of manifest it is.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::json::from_agreed_go_json;
use crate::manifest::{MAX_INDEX_ENTRIES, check_sizes, limit};
use crate::{Descriptor, MAX_MANIFEST_SIZE, ManifestError, MediaType};

/// The blobs and manifests that a document mentions.
///
/// An index may list manifests of kinds that nobody runs (attestations, artifacts), some of types that are known to their makers
/// alone. To keep or copy one, only what it mentions matters: it is read by its fields and not by its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mentioned {
    /// The type that the document says it has; empty if it says none.
    pub media_type: MediaType,
    /// The config, if it has one.
    pub config: Option<Descriptor>,
    /// The layers of an image, or the blobs of whatever else has such a list.
    pub layers: Vec<Descriptor>,
    /// The manifests of an index.
    pub manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fields {
    schema_version: u64,
    media_type: MediaType,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    /// Those of the OCI's artifact manifest, which was given up before 1.1. In any other they say nothing.
    blobs: Box<RawValue>,
    manifests: Option<Vec<Option<Descriptor>>>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

impl Mentioned {
    /// Reads a document. Fails if it mentions nothing as a manifest does, or could be read as two kinds.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() as u64 > MAX_MANIFEST_SIZE {
            return Err(ManifestError::TooLarge(bytes.len() as u64));
        }
        let fields: Fields = from_agreed_go_json(bytes)?;
        if fields.fs_layers.is_some() || fields.schema_version == 1 {
            return Err(ManifestError::SchemaVersion(1));
        }
        let (media_type, mut layers) = (fields.media_type, fields.layers);
        if fields.config.is_none() && layers.is_none() && fields.manifests.is_none() {
            layers = from_agreed_go_json(fields.blobs.get().as_bytes())?;
        }
        let has_blobs = fields.config.is_some() || layers.is_some();
        match (has_blobs, fields.manifests.is_some()) {
            (true, true) => {
                return Err(ManifestError::Ambiguous(
                    "it has the fields of a manifest and those of an index".to_owned(),
                ));
            }
            (false, false) if !media_type.is_index() => {
                return Err(ManifestError::MediaType(media_type));
            }
            _ => {}
        }
        let (config, layers) = (fields.config, layers.unwrap_or_default());
        let manifests = fields.manifests.unwrap_or_default();
        limit("manifests", manifests.len(), MAX_INDEX_ENTRIES)?;
        let manifests: Vec<Descriptor> = manifests.into_iter().flatten().collect();
        check_sizes(config.as_slice())?;
        check_sizes(&layers)?;
        check_sizes(&manifests)?;
        Ok(Self { media_type, config, layers, manifests })
    }

    /// Lists the config and the layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        self.config.iter().chain(&self.layers)
    }

    /// Says whether this may be an image, or may lead to some: no signature and no list of contents is what it seems to be here.
    pub fn may_be_image(&self) -> bool {
        let is_config = |config: &Descriptor| config.media_type.is_config();
        !self.manifests.is_empty()
            || self.config.as_ref().is_some_and(is_config)
                && self.layers.iter().any(|layer| layer.media_type.may_be_layer())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = r#"{"mediaType":"x/y","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":3}"#;

    #[test]
    fn documents_are_read_by_their_fields() {
        let big = D.replace(":3}", ":9999999999999999}");
        for (text, expected) in [
            (format!(r#"{{"schemaVersion":2,"config":{D},"layers":[{D},{D}]}}"#), Ok((3, 0))),
            (
                format!(r#"{{"mediaType":"application/x-odd","config":{D},"layers":[]}}"#),
                Ok((1, 0)),
            ),
            (format!(r#"{{"mediaType":"a/artifact","layers":[{D}],"subject":{D}}}"#), Ok((1, 0))),
            (
                format!(r#"{{"mediaType":"a/artifact","blobs":[{D},{D}],"subject":{D}}}"#),
                Ok((2, 0)),
            ),
            (format!(r#"{{"config":{D},"layers":[],"blobs":7}}"#), Ok((1, 0))),
            (format!(r#"{{"manifests":[{D}],"blobs":[{D}]}}"#), Ok((0, 1))),
            (format!(r#"{{"schemaVersion":2,"manifests":[{D},null]}}"#), Ok((0, 1))),
            (r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(), Ok((0, 0))),
            (
                format!(r#"{{"config":{D},"manifests":[{D}]}}"#),
                Err("manifest is ambiguous: it has the fields of a manifest and those of an index"),
            ),
            (
                r#"{"mediaType":"text/plain"}"#.to_owned(),
                Err("unsupported manifest media type \"text/plain\""),
            ),
            (
                format!(r#"{{"schemaVersion":1,"fsLayers":[],"config":{D}}}"#),
                Err("manifest has schema version 1, only version 2 is supported"),
            ),
            (
                format!(r#"{{"layers":[{big}]}}"#),
                Err(
                    "manifest gives blob sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 an absurd size",
                ),
            ),
        ] {
            let parsed = Mentioned::parse(text.as_bytes());
            let told = parsed.map(|it| (it.blobs().count(), it.manifests.len()));
            let told = told.map_err(|error| error.to_string());
            assert_eq!(told, expected.map_err(str::to_owned), "{text}");
        }
        assert!(Mentioned::parse(b"[]").is_err() && Mentioned::parse(b"").is_err());
    }

    #[test]
    fn what_may_be_run_is_told_from_what_is_said_of_it() {
        let of = |config: &str, layer: &str| {
            let [config, layer] = [config, layer].map(|kind| D.replace("x/y", kind));
            format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]}}"#)
        };
        let config = "application/vnd.oci.image.config.v1+json";
        for (text, expected) in [
            (of(config, "application/vnd.oci.image.layer.v1.tar+gzip"), true),
            (of("application/json", "application/octet-stream"), true),
            (of(config, "application/vnd.dev.cosign.simplesigning.v1+json"), false),
            (of(config, "application/vnd.in-toto+json"), false),
            (of("application/vnd.oci.empty.v1+json", "application/octet-stream"), false),
            (format!(r#"{{"schemaVersion":2,"manifests":[{D}]}}"#), true),
            (r#"{"schemaVersion":2,"manifests":[]}"#.to_owned(), false),
        ] {
            let parsed = Mentioned::parse(text.as_bytes()).unwrap();
            assert_eq!(parsed.may_be_image(), expected, "{text}");
        }
    }
}
