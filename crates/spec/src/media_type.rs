//! Media types of manifests, configs and layers.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The compression of a layer blob, as far as its media type tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerCompression {
    /// A plain tar.
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Zstandard (RFC 8878).
    Zstd,
}

/// First words of the types of an image's parts.
const LAYER_FAMILIES: [&str; 2] = ["application/vnd.docker.", "application/vnd.oci.image."];
/// The types that say nothing of an image; dockerd 20.10 takes them for layers.
const SILENT_TYPES: [&str; 3] = ["", "application/octet-stream", "application/json"];

macro_rules! media_types {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// A kind of document or blob, by its registered name.
        ///
        /// A name that is not known is kept, so that an error can show it and a manifest can carry it on.
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum MediaType {
            $($(#[$doc])* $name,)*
            /// A name that Longshore does not know.
            Other(String),
        }

        impl MediaType {
            /// Returns the registered name.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$name => $text,)*
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for MediaType {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$name,)*
                    _ => Self::Other(text.to_owned()),
                }
            }
        }
    };
}

media_types! {
    /// Docker's "schema 2" image manifest.
    DockerManifest = "application/vnd.docker.distribution.manifest.v2+json",
    /// Docker's manifest list.
    DockerManifestList = "application/vnd.docker.distribution.manifest.list.v2+json",
    /// Docker's "schema 1" manifest, unsigned; recognised to be refused by name.
    DockerManifestV1 = "application/vnd.docker.distribution.manifest.v1+json",
    /// Docker's "schema 1" manifest, signed; recognised to be refused by name.
    DockerManifestV1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws",
    /// The OCI image manifest.
    OciManifest = "application/vnd.oci.image.manifest.v1+json",
    /// The OCI image index.
    OciIndex = "application/vnd.oci.image.index.v1+json",
    /// Docker's image config.
    DockerConfig = "application/vnd.docker.container.image.v1+json",
    /// The OCI image config.
    OciConfig = "application/vnd.oci.image.config.v1+json",
    /// The config of a Docker plugin; recognised to be refused by name.
    DockerPluginConfig = "application/vnd.docker.plugin.v1+json",
    /// A Docker layer, uncompressed.
    DockerLayer = "application/vnd.docker.image.rootfs.diff.tar",
    /// Docker's type of a layer, compressed by gzip.
    DockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip",
    /// A Docker layer, Zstandard.
    DockerLayerZstd = "application/vnd.docker.image.rootfs.diff.tar.zstd",
    /// A Docker layer that registries may not redistribute, uncompressed.
    DockerForeignLayer = "application/vnd.docker.image.rootfs.foreign.diff.tar",
    /// A Docker layer that registries may not redistribute, gzip.
    DockerForeignLayerGzip = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    /// An OCI layer, uncompressed.
    OciLayer = "application/vnd.oci.image.layer.v1.tar",
    /// The OCI's type of a layer, compressed by gzip.
    OciLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip",
    /// An OCI layer, Zstandard.
    OciLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd",
    /// An OCI layer that registries may not redistribute, uncompressed (deprecated).
    OciForeignLayer = "application/vnd.oci.image.layer.nondistributable.v1.tar",
    /// An OCI layer that registries may not redistribute, gzip (deprecated).
    OciForeignLayerGzip = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    /// An OCI layer that registries may not redistribute, Zstandard (deprecated).
    OciForeignLayerZstd = "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
}

impl MediaType {
    /// Says whether this is an image manifest that Longshore reads.
    pub fn is_manifest(&self) -> bool {
        matches!(self, Self::DockerManifest | Self::OciManifest)
    }

    /// Says whether this is a manifest list or an image index.
    pub fn is_index(&self) -> bool {
        matches!(self, Self::DockerManifestList | Self::OciIndex)
    }

    /// Says whether this says nothing of what the bytes are: senders that do not know better use these for any JSON or any
    /// bytes, and some for nothing at all.
    pub fn is_generic(&self) -> bool {
        matches!(
            self.as_str(),
            "" | "application/json" | "application/octet-stream" | "text/plain" | "text/html"
        )
    }

    /// Says whether this may be a manifest or an index.
    pub fn may_be_manifest(&self) -> bool {
        self.is_manifest() || self.is_index() || self.is_generic()
    }

    /// Says whether this is the config of an image. Early registries and builders call one by names that say nothing, or by none,
    /// and dockerd takes these for images.
    pub fn is_config(&self) -> bool {
        matches!(self, Self::DockerConfig | Self::OciConfig) || self.is_generic()
    }

    /// Says whether this may stand for a layer of an image. As dockerd, which looks at the bytes themselves: any type of
    /// Docker's or of the OCI image format, and those that say nothing.
    pub fn may_be_layer(&self) -> bool {
        let text = self.as_str().to_ascii_lowercase();
        // Encrypted bytes are no layer to anybody without the key.
        if text.ends_with("+encrypted") {
            return false;
        }
        SILENT_TYPES.contains(&&*text)
            || LAYER_FAMILIES.iter().any(|family| text.starts_with(family))
    }

    /// Says whether this is a layer that registries may not redistribute.
    pub fn is_foreign_layer(&self) -> bool {
        matches!(
            self,
            Self::DockerForeignLayer
                | Self::DockerForeignLayerGzip
                | Self::OciForeignLayer
                | Self::OciForeignLayerGzip
                | Self::OciForeignLayerZstd
        )
    }

    /// Returns a layer's compression, or `None` for what is no layer.
    pub fn layer_compression(&self) -> Option<LayerCompression> {
        match self {
            Self::DockerLayer
            | Self::DockerForeignLayer
            | Self::OciLayer
            | Self::OciForeignLayer => Some(LayerCompression::None),
            Self::DockerLayerGzip
            | Self::DockerForeignLayerGzip
            | Self::OciLayerGzip
            | Self::OciForeignLayerGzip => Some(LayerCompression::Gzip),
            Self::DockerLayerZstd | Self::OciLayerZstd | Self::OciForeignLayerZstd => {
                Some(LayerCompression::Zstd)
            }
            _ => None,
        }
    }
}

impl FromStr for MediaType {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::from(text))
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for MediaType {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for MediaType {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(&*std::borrow::Cow::<'_, str>::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_unknown_ones_are_kept() {
        for text in ["application/vnd.oci.image.index.v1+json", "application/x-helm", ""] {
            assert_eq!(MediaType::from(text).as_str(), text);
        }
        assert_eq!(MediaType::from("text/plain"), MediaType::Other("text/plain".to_owned()));
    }

    /// The types that a dockerd 20.10 pulls, but for encrypted ones.
    #[test]
    fn types_that_may_stand_for_layers_are_dockerds() {
        for (text, expected) in [
            ("application/vnd.oci.image.layer.v1.tar+gzip", true),
            ("application/vnd.docker.image.rootfs.diff.tar.gz", true),
            ("APPLICATION/vnd.docker.image.rootfs.diff.tar.gzip", true),
            ("application/vnd.docker.foo", true),
            ("application/vnd.oci.image.foo", true),
            ("application/octet-stream", true),
            ("application/json", true),
            ("", true),
            ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", false),
            ("application/vnd.oci.imagex", false),
            ("application/vnd.oci.foo", false),
            ("application/vnd.in-toto+json", false),
            ("application/x-gzip", false),
            ("application/x-tar", false),
            ("application/gzip", false),
            ("text/plain", false),
        ] {
            assert_eq!(MediaType::from(text).may_be_layer(), expected, "{text}");
        }
    }

    #[test]
    fn every_layer_type_tells_its_compression() {
        for (text, compression) in [
            ("application/vnd.oci.image.layer.v1.tar", Some(LayerCompression::None)),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Some(LayerCompression::Gzip)),
            (
                "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
                Some(LayerCompression::Zstd),
            ),
            ("application/vnd.oci.image.config.v1+json", None),
        ] {
            assert_eq!(MediaType::from(text).layer_compression(), compression, "{text}");
        }
    }
}
