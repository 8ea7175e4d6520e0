//! The blobs of an image.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use bytes::Bytes;
use serde_json::{Value, json};
use spec::{Digest, MediaType};

/// A piece of an image: a layer, a config or a manifest.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Media type of the bytes.
    pub media_type: MediaType,
    /// The digest of its bytes.
    pub digest: Digest,
    /// Number of bytes.
    pub size: u64,
    /// Place of the bytes.
    pub source: Source,
}

/// The place of a blob's bytes.
#[derive(Clone, Debug)]
pub enum Source {
    /// In memory.
    Memory(Bytes),
    /// In a file.
    File(PathBuf),
}

impl Blob {
    /// Makes one of a document.
    pub fn json(media_type: MediaType, document: &Value) -> Blob {
        Blob::of(media_type, Bytes::from(document.to_string()))
    }

    /// Takes bytes from memory.
    pub fn of(media_type: MediaType, bytes: Bytes) -> Blob {
        Blob {
            media_type,
            digest: Digest::sha256(&bytes),
            size: bytes.len() as u64,
            source: Source::Memory(bytes),
        }
    }

    /// Opens the blob for reading.
    pub fn open(&self) -> io::Result<Box<dyn Read>> {
        Ok(match &self.source {
            Source::Memory(bytes) => Box::new(io::Cursor::new(bytes.clone())),
            Source::File(path) => Box::new(File::open(path)?),
        })
    }

    /// Reads the whole blob.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Describes it as manifests do.
    pub fn descriptor(&self) -> Value {
        json!({
            "mediaType": self.media_type.as_str(),
            "digest": self.digest.to_string(),
            "size": self.size,
        })
    }
}

/// The family of an image's media types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Format {
    /// Docker schema 2.
    #[default]
    Docker,
    /// The Open Container Initiative's.
    Oci,
}
