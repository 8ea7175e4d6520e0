//! Images with other bytes: layers in another compression, documents of the other school's types. Only for who asks.

pub(crate) mod layer;
pub(crate) mod memory;
pub(crate) mod rewrite;

use std::fmt;
use std::str::FromStr;

use archive::Encoding;
use spec::{Descriptor, ImageManifest, LayerCompression, MediaType};

/// The levels that are taken where none is named: zlib's and zstd's own.
const GZIP_LEVEL: u8 = 6;
const ZSTD_LEVEL: u8 = 3;
/// Annotations of a layer that are about its compressed bytes: indexes into them, which other bytes have not.
const OF_BYTES: [&str; 3] = [
    "io.github.containers.zstd-chunked.",
    "containerd.io/snapshot/stargz/",
    "io.containers.estargz.",
];

/// The school of the media types of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// `application/vnd.oci.image.…`
    Oci,
    /// `application/vnd.docker.…`
    Docker,
}

/// A compression of layers, with its level: `gzip`, `zstd:9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct LayerEncoding(pub(crate) Encoding);

/// A change that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conversion {
    encoding: Option<LayerEncoding>,
    format: Option<Format>,
}

/// A change that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConversionError {
    /// A compression that registries do not know.
    #[error(
        "{0:?} is no compression for layers: there are gzip and zstd, with a level if one is wanted, as zstd:9"
    )]
    Compression(String),
    /// A level that the compression has not.
    #[error("{text:?}: the levels of {name} are 1 to {most}")]
    Level {
        /// The compression, as it was given.
        text: String,
        /// Name of the compression, without its level.
        name: &'static str,
        /// The highest level.
        most: u8,
    },
    /// A school that there is not.
    #[error("{0:?} is no format of images: there are oci and docker")]
    Format(String),
    /// Docker's types with zstd.
    #[error(
        "Docker's format has no type for layers that are compressed by zstd: take the format oci, or gzip"
    )]
    DockerZstd,
}

impl FromStr for LayerEncoding {
    type Err = ConversionError;

    fn from_str(text: &str) -> Result<Self, ConversionError> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let level = |usual: u8, name: &'static str, most: u8| match level {
            None => Ok(usual),
            Some(level) => level
                .parse()
                .ok()
                .filter(|level| (1..=most).contains(level))
                .ok_or_else(|| ConversionError::Level { text: text.to_owned(), name, most }),
        };
        match name {
            "gzip" => Ok(Self(Encoding::Gzip(level(GZIP_LEVEL, "gzip", 9)?))),
            "zstd" => Ok(Self(Encoding::Zstd(level(ZSTD_LEVEL, "zstd", 19)?))),
            _ => Err(ConversionError::Compression(text.to_owned())),
        }
    }
}

impl fmt::Display for LayerEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Encoding::Gzip(_) => "gzip",
            Encoding::Zstd(_) => "zstd",
        })
    }
}

impl LayerEncoding {
    fn compression(self) -> LayerCompression {
        match self.0 {
            Encoding::Gzip(_) => LayerCompression::Gzip,
            Encoding::Zstd(_) => LayerCompression::Zstd,
        }
    }
}

impl FromStr for Format {
    type Err = ConversionError;

    fn from_str(text: &str) -> Result<Self, ConversionError> {
        match text {
            "oci" => Ok(Self::Oci),
            "docker" => Ok(Self::Docker),
            _ => Err(ConversionError::Format(text.to_owned())),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Oci => "OCI's",
            Self::Docker => "Docker's",
        })
    }
}

impl Conversion {
    /// Makes a change; none if nothing is asked for. zstd brings OCI's types with it, as Docker has none for it.
    pub fn new(
        encoding: Option<LayerEncoding>,
        format: Option<Format>,
    ) -> Result<Option<Self>, ConversionError> {
        let is_zstd = encoding.is_some_and(|it| it.compression() == LayerCompression::Zstd);
        match (is_zstd, format) {
            (true, Some(Format::Docker)) => Err(ConversionError::DockerZstd),
            (true, None) => Ok(Some(Self { encoding, format: Some(Format::Oci) })),
            (_, format) => {
                let is_any = encoding.is_some() || format.is_some();
                Ok(is_any.then_some(Self { encoding, format }))
            }
        }
    }

    /// Returns the compression that is wanted.
    pub fn encoding(self) -> Option<LayerEncoding> {
        self.encoding
    }

    /// Returns the types that are wanted.
    pub fn format(self) -> Option<Format> {
        self.format
    }

    /// Returns the compression that a layer gets; none if it has it, or is not to be redistributed and so not to be changed.
    pub(crate) fn encoding_of(self, layer: &Descriptor) -> Option<LayerEncoding> {
        let has = layer.media_type.layer_compression();
        let is_kept = layer.media_type.is_foreign_layer() || !layer.urls.is_empty();
        self.encoding.filter(|wanted| !is_kept && has != Some(wanted.compression()))
    }

    /// Says whether a layer is compressed as is wanted.
    pub(crate) fn is_met_by(self, layer: &Descriptor) -> bool {
        let wanted = self.encoding.map(LayerEncoding::compression);
        wanted == layer.media_type.layer_compression()
    }

    /// Returns the type of an index of this one's.
    pub(crate) fn index_type(self, has: &MediaType) -> MediaType {
        match self.format {
            Some(Format::Oci) => MediaType::OciIndex,
            Some(Format::Docker) => MediaType::DockerManifestList,
            None => has.clone(),
        }
    }

    /// Returns a manifest as it is to be, with the layers' digests as they are; the layer that has no type there is an error.
    /// Nothing if it is no image that this knows: an attestation, or what else registries store as a manifest.
    pub(crate) fn planned(
        self,
        image: &ImageManifest,
    ) -> Option<Result<ImageManifest, &Descriptor>> {
        let compressions = image.layers.iter().map(|layer| layer.media_type.layer_compression());
        let compressions: Vec<LayerCompression> = compressions.collect::<Option<_>>()?;
        if !image.config.media_type.is_config() {
            return None;
        }
        let mut planned = image.clone();
        planned.media_type = match self.format {
            Some(Format::Oci) => MediaType::OciManifest,
            Some(Format::Docker) => MediaType::DockerManifest,
            None => planned.media_type,
        };
        planned.config.media_type = match (self.format, planned.config.media_type) {
            (Some(Format::Oci), MediaType::DockerConfig) => MediaType::OciConfig,
            (Some(Format::Docker), MediaType::OciConfig) => MediaType::DockerConfig,
            (_, same) => same,
        };
        for ((layer, has), old) in planned.layers.iter_mut().zip(compressions).zip(&image.layers) {
            let encoding = self.encoding_of(old);
            let compression = encoding.map_or(has, LayerEncoding::compression);
            let Some(media_type) = self.layer_type(&old.media_type, compression) else {
                return Some(Err(old));
            };
            layer.media_type = media_type;
            if encoding.is_some() {
                let is_of_bytes = |key: &String| OF_BYTES.iter().any(|of| key.starts_with(of));
                layer.annotations.retain(|key, _| !is_of_bytes(key));
            }
        }
        Some(Ok(planned))
    }

    fn layer_type(self, has: &MediaType, compression: LayerCompression) -> Option<MediaType> {
        use LayerCompression::{Gzip, None as Plain, Zstd};
        let of_docker = has.as_str().starts_with("application/vnd.docker.");
        let format = self.format.unwrap_or(if of_docker { Format::Docker } else { Format::Oci });
        Some(match (format, has.is_foreign_layer(), compression) {
            (Format::Oci, false, Plain) => MediaType::OciLayer,
            (Format::Oci, false, Gzip) => MediaType::OciLayerGzip,
            (Format::Oci, false, Zstd) => MediaType::OciLayerZstd,
            (Format::Oci, true, Plain) => MediaType::OciForeignLayer,
            (Format::Oci, true, Gzip) => MediaType::OciForeignLayerGzip,
            (Format::Oci, true, Zstd) => MediaType::OciForeignLayerZstd,
            (Format::Docker, false, Plain) => MediaType::DockerLayer,
            (Format::Docker, false, Gzip) => MediaType::DockerLayerGzip,
            (Format::Docker, true, Plain) => MediaType::DockerForeignLayer,
            (Format::Docker, true, Gzip) => MediaType::DockerForeignLayerGzip,
            // Some tools name one, which none of Docker's releases reads.
            (Format::Docker, _, Zstd) if self.format.is_none() => has.clone(),
            (Format::Docker, _, Zstd) => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conversion(compression: &str, format: &str) -> Result<Option<Conversion>, ConversionError> {
        let encoding = Some(compression).filter(|text| !text.is_empty()).map(str::parse);
        let format = Some(format).filter(|text| !text.is_empty()).map(str::parse);
        Conversion::new(encoding.transpose()?, format.transpose()?)
    }

    #[test]
    fn what_is_asked_for_is_read_and_what_cannot_be_is_refused() {
        assert_eq!(conversion("", ""), Ok(None));
        let zstd = conversion("zstd:9", "").unwrap().unwrap();
        assert_eq!(zstd.encoding, Some(LayerEncoding(Encoding::Zstd(9))));
        assert_eq!(zstd.format, Some(Format::Oci), "Docker has no type for it");
        assert_eq!(conversion("gzip", "").unwrap().unwrap().format, None);
        for (compression, format, expected) in [
            ("lz4", "", "\"lz4\" is no compression"),
            ("gzip:10", "", "the levels of gzip are 1 to 9"),
            ("zstd:0", "", "the levels of zstd are 1 to 19"),
            ("zstd:", "", "the levels of zstd"),
            ("", "v2s2", "there are oci and docker"),
            ("zstd", "docker", "no type for layers that are compressed by zstd"),
        ] {
            let error = conversion(compression, format).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn every_layer_type_has_one_in_the_other_school() {
        let (oci, docker) = (conversion("", "oci").unwrap().unwrap(), conversion("", "docker"));
        let docker = docker.unwrap().unwrap();
        for (one, other) in [
            (MediaType::DockerLayer, MediaType::OciLayer),
            (MediaType::DockerLayerGzip, MediaType::OciLayerGzip),
            (MediaType::DockerForeignLayer, MediaType::OciForeignLayer),
            (MediaType::DockerForeignLayerGzip, MediaType::OciForeignLayerGzip),
        ] {
            let compression = one.layer_compression().unwrap();
            assert_eq!(oci.layer_type(&one, compression), Some(other.clone()));
            assert_eq!(docker.layer_type(&other, compression), Some(one));
        }
        assert_eq!(docker.layer_type(&MediaType::OciLayerZstd, LayerCompression::Zstd), None);
        let zstd = oci.layer_type(&MediaType::DockerLayerZstd, LayerCompression::Zstd);
        assert_eq!(zstd, Some(MediaType::OciLayerZstd));
    }
}
