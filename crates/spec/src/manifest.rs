//! Image manifests and indexes, in Docker's and in OCI's form.
//!
//! A document is read as Go reads it (see [`crate::from_go_json`]): `null` is what is missing, and a field may be spelt in any case.
//!
//! One that another reader could take for something else is refused: fields of two types in one, a `mediaType` of another
//! kind than the registry's `Content-Type`, a field that is there several times where readers disagree on which of them counts.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::json::from_agreed_go_json;
use crate::{Digest, MediaType, Platform};

/// The largest manifest or index, in bytes: what registries accept (4 MiB) and a bound on what is held in memory. It bounds
/// the layers of an image, too, to some twenty thousand; the storage drivers have limits of their own.
pub const MAX_MANIFEST_SIZE: u64 = 4 << 20;
/// The most entries of an index. Real ones have some dozens; the bound keeps a hostile one from costing requests.
pub const MAX_INDEX_ENTRIES: usize = 1000;
/// The largest blob that is believed, in bytes. No layer is this large, and sums of sizes cannot overflow.
const MAX_BLOB_SIZE: u64 = 1 << 50;

/// The annotation of an attestation that Docker's builder puts beside an image in an index: its kind.
pub const REFERENCE_TYPE_ANNOTATION: &str = "vnd.docker.reference.type";
/// The annotation of an attestation with the digest of the manifest that it is about.
pub const REFERENCE_DIGEST_ANNOTATION: &str = "vnd.docker.reference.digest";

/// A reference to a blob or manifest, by its digest, size and type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Media type of the bytes.
    pub media_type: MediaType,
    /// Hash of the bytes.
    pub digest: Digest,
    /// Number of bytes.
    pub size: u64,
    /// Other places to get the bytes from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// In an index: what the image runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

impl Descriptor {
    /// Describes bytes with nothing but the necessary.
    pub fn new(media_type: MediaType, digest: Digest, size: u64) -> Self {
        Self {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
        }
    }
}

/// A fault of bytes that are no manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not JSON, or a field is missing or wrong.
    #[error("manifest is not valid: {0}")]
    Json(serde_json::Error),
    /// More bytes than [`MAX_MANIFEST_SIZE`].
    #[error("manifest of {0} bytes is larger than the {MAX_MANIFEST_SIZE} that are allowed")]
    TooLarge(u64),
    /// The schema version is not 2.
    #[error("manifest has schema version {0}, only version 2 is supported")]
    SchemaVersion(u64),
    /// Docker's old signed manifests.
    #[error(
        "Docker Image Format v1 and Docker Image manifest version 2, schema 1 support has been removed ({0}). More \
         information at https://docs.docker.com/go/deprecated-image-specs/"
    )]
    Schema1(MediaType),
    /// A media type that is no manifest, or one that is not known.
    #[error("unsupported manifest media type \"{0}\"")]
    MediaType(MediaType),
    /// The document says another media type than its sender.
    #[error("manifest says media type \"{inner}\", but was sent as \"{outer}\"")]
    Contradiction {
        /// Media type by the sender.
        outer: MediaType,
        /// Media type by the document.
        inner: MediaType,
    },
    /// The document can be read in two ways.
    #[error("manifest is ambiguous: {0}")]
    Ambiguous(String),
    /// More layers or entries than are believed.
    #[error("manifest lists {count} {what}, more than the {limit} that are allowed")]
    TooMany {
        /// Layers or entries.
        what: &'static str,
        /// Number of entries.
        count: usize,
        /// Largest number of entries.
        limit: usize,
    },
    /// A size that no blob has.
    #[error("manifest gives blob {0} an absurd size")]
    Size(Digest),
}

impl From<serde_json::Error> for ManifestError {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

/// A manifest of either kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Manifest {
    /// One image.
    Image(Box<ImageManifest>),
    /// Images for several platforms.
    Index(Index),
}

/// The manifest of one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageManifest {
    /// Docker's or OCI's.
    pub media_type: MediaType,
    /// Descriptor of the config.
    pub config: Descriptor,
    /// The layers, the bottom one first.
    pub layers: Vec<Descriptor>,
}

/// A list of manifests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Docker's or OCI's.
    pub media_type: MediaType,
    /// Descriptors of the manifests, of a platform each.
    pub manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u64,
    media_type: MediaType,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    // An entry that is nothing names nothing.
    manifests: Option<Vec<Option<Descriptor>>>,
    fs_layers: Option<IgnoredAny>,
}

impl Manifest {
    /// Parses a manifest that its sender called `outer` (a registry's `Content-Type`, or the descriptor's media type).
    pub fn parse(outer: Option<&MediaType>, bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() as u64 > MAX_MANIFEST_SIZE {
            return Err(ManifestError::TooLarge(bytes.len() as u64));
        }
        let document: Document = from_agreed_go_json(bytes)?;
        let inner = Some(&document.media_type).filter(|media_type| !media_type.as_str().is_empty());
        let outer = outer.filter(|media_type| !media_type.is_generic());
        for media_type in [outer, inner].into_iter().flatten() {
            match media_type {
                MediaType::DockerManifestV1 | MediaType::DockerManifestV1Signed => {
                    return Err(ManifestError::Schema1(media_type.clone()));
                }
                known if known.is_manifest() || known.is_index() => {}
                // A sender that does not know it, of a document that tells.
                _ if Some(media_type) == outer && inner.is_some() => {}
                unknown => return Err(ManifestError::MediaType(unknown.clone())),
            }
        }
        // Some archives' manifests do not say it.
        if !matches!(document.schema_version, 0 | 2) {
            return Err(ManifestError::SchemaVersion(document.schema_version));
        }
        if let (Some(outer), Some(inner)) = (outer, inner)
            && outer.is_manifest() != inner.is_manifest()
            && outer.is_index() != inner.is_index()
        {
            return Err(ManifestError::Contradiction {
                outer: outer.clone(),
                inner: inner.clone(),
            });
        }
        // Of Docker's and OCI's name of the same the document's own counts: what sends it or lists it may not know better.
        let media_type = inner.or(outer.filter(|outer| outer.is_manifest() || outer.is_index()));
        let media_type = media_type.cloned();
        document.into_manifest(media_type)
    }

    /// Returns the media type.
    pub fn media_type(&self) -> &MediaType {
        match self {
            Self::Image(image) => &image.media_type,
            Self::Index(index) => &index.media_type,
        }
    }
}

impl Document {
    fn into_manifest(self, media_type: Option<MediaType>) -> Result<Manifest, ManifestError> {
        let ambiguous = |what: &str| Err(ManifestError::Ambiguous(what.to_owned()));
        let is_index = match &media_type {
            Some(media_type) => media_type.is_index(),
            None => self.manifests.is_some(),
        };
        if self.fs_layers.is_some() {
            return ambiguous("it has the field `fsLayers` of schema version 1");
        }
        if is_index {
            if self.config.is_some() || self.layers.is_some() {
                return ambiguous("an index with the fields of an image manifest");
            }
            let manifests = self.manifests.unwrap_or_default();
            limit("manifests", manifests.len(), MAX_INDEX_ENTRIES)?;
            let manifests: Vec<Descriptor> = manifests.into_iter().flatten().collect();
            check_sizes(&manifests)?;
            let media_type = media_type.unwrap_or(MediaType::OciIndex);
            return Ok(Manifest::Index(Index { media_type, manifests }));
        }
        if self.manifests.is_some() {
            return ambiguous("an image manifest with the field `manifests` of an index");
        }
        let Some(config) = self.config else {
            return Err(ManifestError::Json(serde::de::Error::missing_field("config")));
        };
        let layers = self.layers.unwrap_or_default();
        check_sizes(&layers)?;
        check_sizes(std::slice::from_ref(&config))?;
        let media_type = media_type.unwrap_or(match config.media_type {
            MediaType::DockerConfig => MediaType::DockerManifest,
            _ => MediaType::OciManifest,
        });
        Ok(Manifest::Image(Box::new(ImageManifest { media_type, config, layers })))
    }
}

/// Fails if one is of a size that no blob has.
pub(crate) fn check_sizes(descriptors: &[Descriptor]) -> Result<(), ManifestError> {
    match descriptors.iter().find(|descriptor| descriptor.size > MAX_BLOB_SIZE) {
        Some(absurd) => Err(ManifestError::Size(absurd.digest.clone())),
        None => Ok(()),
    }
}

pub(crate) fn limit(what: &'static str, count: usize, limit: usize) -> Result<(), ManifestError> {
    if count > limit { Err(ManifestError::TooMany { what, count, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn descriptor(media_type: &str) -> String {
        format!(r#"{{"mediaType":"{media_type}","digest":"{D}","size":3}}"#)
    }

    fn image(fields: &str) -> String {
        let config = descriptor("application/vnd.oci.image.config.v1+json");
        let layer = descriptor("application/vnd.oci.image.layer.v1.tar+gzip");
        format!(r#"{{"schemaVersion":2,"config":{config},"layers":[{layer}]{fields}}}"#)
    }

    fn index(fields: &str) -> String {
        let entry = descriptor("application/vnd.oci.image.manifest.v1+json");
        format!(r#"{{"schemaVersion":2,"manifests":[{entry}]{fields}}}"#)
    }

    #[test]
    fn reads_both_kinds_of_both_schools() {
        let docker = r#","mediaType":"application/vnd.docker.distribution.manifest.v2+json""#;
        let list = r#","mediaType":"application/vnd.docker.distribution.manifest.list.v2+json""#;
        for (outer, text, expected) in [
            (None, image(""), MediaType::OciManifest),
            (Some(MediaType::OciManifest), image(""), MediaType::OciManifest),
            (Some(MediaType::DockerManifest), image(docker), MediaType::DockerManifest),
            (Some(MediaType::from("application/json")), image(docker), MediaType::DockerManifest),
            (None, index(""), MediaType::OciIndex),
            (Some(MediaType::DockerManifestList), index(list), MediaType::DockerManifestList),
        ] {
            let manifest = Manifest::parse(outer.as_ref(), text.as_bytes()).unwrap();
            assert_eq!(*manifest.media_type(), expected);
            assert_eq!(matches!(manifest, Manifest::Index(_)), expected.is_index());
        }
    }

    #[test]
    fn takes_what_other_tools_write() {
        let school = |docker: &str| format!(r#","mediaType":"application/vnd.docker.{docker}""#);
        let docker = school("distribution.manifest.v2+json");
        let sender = |text: &str| Some(MediaType::from(text));
        let unversioned = image("").replace(r#""schemaVersion":2,"#, "");
        let odd_case = image("")
            .replace("schemaVersion", "SchemaVersion")
            .replace("config\"", "CONFIG\"")
            .replace("layers", "layerſ")
            .replace("digest", "Digest");
        let nulls = r#","annotations":null,"subject":null,"artifactType":null,"manifests":null,"fsLayers":null"#;
        for (outer, text, expected) in [
            (None, image(r#","mediaType":"""#), MediaType::OciManifest),
            (None, image(r#","mediaType":null"#), MediaType::OciManifest),
            (sender("text/html"), image(r#","mediaType":"""#), MediaType::OciManifest),
            (None, index(r#","mediaType":"""#), MediaType::OciIndex),
            (
                Some(MediaType::DockerManifest),
                image(r#","mediaType":"""#),
                MediaType::DockerManifest,
            ),
            // An entry of an index, or a server, that calls it by the other school's name.
            (Some(MediaType::OciManifest), image(&docker), MediaType::DockerManifest),
            (
                Some(MediaType::OciIndex),
                index(&school("distribution.manifest.list.v2+json")),
                MediaType::DockerManifestList,
            ),
            (sender("application/x-y"), image(&docker), MediaType::DockerManifest),
            (None, unversioned.clone(), MediaType::OciManifest),
            (None, unversioned.replacen('{', r#"{"schemaVersion":0,"#, 1), MediaType::OciManifest),
            (None, odd_case, MediaType::OciManifest),
            (None, image(nulls), MediaType::OciManifest),
            (None, index(r#","config":null,"layers":null,"fsLayers":null"#), MediaType::OciIndex),
        ] {
            let manifest = Manifest::parse(outer.as_ref(), text.as_bytes())
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(*manifest.media_type(), expected, "{text}");
            match manifest {
                Manifest::Image(image) => assert_eq!(image.layers.len(), 1, "{text}"),
                Manifest::Index(index) => assert_eq!(index.manifests.len(), 1, "{text}"),
            }
        }
    }

    #[test]
    fn what_is_null_in_a_descriptor_is_missing() {
        let odd = format!(
            r#"{{"schemaVersion":2,"config":{{"MEDIATYPE":null,"digest":"{D}","size":3,"urls":null,"annotations":null,
                "platform":null,"data":null}},"layers":null}}"#
        );
        let Ok(Manifest::Image(image)) = Manifest::parse(None, odd.as_bytes()) else {
            panic!("{odd}")
        };
        assert_eq!(image.config, Descriptor::new(MediaType::from(""), D.parse().unwrap(), 3));
        assert!(image.layers.is_empty());
        let platform = r#"{"os":"linux","architecture":null,"variant":null,"os.features":null,"os.version":null}"#;
        let odd = format!(
            r#"{{"schemaVersion":2,"manifests":[null,{{"digest":"{D}","size":3,"platform":{platform},
                "annotations":{{"a":null}},"urls":[null]}}]}}"#
        );
        let Ok(Manifest::Index(index)) = Manifest::parse(None, odd.as_bytes()) else {
            panic!("{odd}")
        };
        let [entry] = &*index.manifests else { panic!("{index:?}") };
        assert_eq!(entry.platform, Some(Platform { os: "linux".into(), ..Platform::default() }));
        assert_eq!((&*entry.urls, &*entry.annotations["a"]), (&[String::new()][..], ""));
    }

    #[test]
    fn refuses_what_is_wrong_or_could_be_two_things() {
        let oci = Some(MediaType::OciManifest);
        let many = format!(
            r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
            vec![descriptor("x"); MAX_INDEX_ENTRIES + 1].join(",")
        );
        let v1 = r#"{"schemaVersion":1,"mediaType":"application/vnd.docker.distribution.manifest.v1+json","fsLayers":[]}"#;
        for (outer, text, part) in [
            (None, String::new(), "not valid"),
            (None, "[]".to_owned(), "not valid"),
            (None, "{}".to_owned(), "missing field `config`"),
            (None, r#"{"schemaVersion":2}"#.to_owned(), "missing field `config`"),
            (None, r#"{"schemaVersion":3,"manifests":[]}"#.to_owned(), "schema version 3"),
            (None, v1.to_owned(), "schema 1 support has been removed"),
            (oci.clone(), image(r#","manifests":[]"#), "ambiguous"),
            (None, index(r#","layers":[]"#), "ambiguous"),
            (None, image(r#","Manifests":[]"#), "ambiguous"),
            (None, index(r#","LAYERS":[]"#), "ambiguous"),
            (None, image(r#","manifeſtſ":[]"#), "ambiguous"),
            (None, image(r#","FSLayers":[]"#), "ambiguous"),
            (None, image(r#","fsLayers":[]"#), "ambiguous"),
            (None, image(r#","Layers":[]"#), "readers disagree"),
            (None, image(r#","layers":null"#), "readers disagree"),
            (None, image("").replace(r#""size""#, r#""Digest":"x","size""#), "readers disagree"),
            (oci.clone(), index(""), "ambiguous"),
            (Some(MediaType::OciIndex), image(""), "ambiguous"),
            (
                oci,
                index(
                    r#","mediaType":"application/vnd.docker.distribution.manifest.list.v2+json""#,
                ),
                "but was sent as",
            ),
            (
                Some(MediaType::from("application/x-y")),
                image(""),
                "unsupported manifest media type \"application/x-y\"",
            ),
            (None, image(r#","mediaType":"application/x-y""#), "\"application/x-y\""),
            (None, image("").replace(r#""size":3"#, r#""size":-3"#), "not valid"),
            (None, image("").replace(r#""size":3"#, r#""size":9999999999999999"#), "absurd size"),
            (None, image("").replace(D, "sha256:../../etc/passwd"), "not valid"),
            (None, many, "1001 manifests"),
        ] {
            let error =
                Manifest::parse(outer.as_ref(), text.as_bytes()).expect_err(&text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
