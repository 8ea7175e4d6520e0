//! Signatures beside an image, where cosign puts them.

use std::io;

use bytes::Bytes;
use serde_json::json;
use spec::{Digest, MediaType};

use super::Blob;
use super::push::{push_blob, push_manifest};
use crate::http::Client;

/// A statement on an image, and a signature of its bytes in base64.
#[derive(Clone, Debug)]
pub struct Signature {
    /// The bytes that are signed.
    pub statement: Bytes,
    /// Base64 of what a key made of it.
    pub signature: String,
}

impl Signature {
    /// Puts signatures beside a manifest, in place of those that are there. Returns the digests of the statements.
    pub fn push(
        registry: &Client,
        repository: &str,
        subject: &Digest,
        signatures: &[Signature],
    ) -> io::Result<Vec<Digest>> {
        let config = Blob::of(MediaType::OciConfig, Bytes::from_static(b"{}"));
        push_blob(registry, repository, &config)?;
        let (mut layers, mut digests) = (Vec::new(), Vec::new());
        for Signature { statement, signature } in signatures {
            let media_type = "application/vnd.dev.cosign.simplesigning.v1+json".into();
            let blob = Blob::of(media_type, statement.clone());
            push_blob(registry, repository, &blob)?;
            let mut layer = blob.descriptor();
            layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
            layers.push(layer);
            digests.push(blob.digest);
        }
        let document = json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OciManifest,
            "config": config.descriptor(),
            "layers": layers,
        });
        let manifest = Blob::json(MediaType::OciManifest, &document);
        push_manifest(registry, repository, &manifest, &format!("sha256-{}.sig", subject.hex()))?;
        Ok(digests)
    }
}
