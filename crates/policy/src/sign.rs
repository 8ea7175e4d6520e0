//! Signatures of our own, in cosign's classic form: a manifest under the tag `sha256-<hex>.sig`, with a layer for each signature.

use bytes::Bytes;
use futures_util::stream;
use registry::{RegistryError, Remote, TagOrDigest};
use serde_json::{Map, Value, json};
use spec::{Digest, MediaType, Reference, Tag};

use crate::key::private::PrivateKey;
use crate::key::private_fault::PrivateKeyFault;
use crate::signature::attached::{SIGNATURE, SIMPLE_SIGNING};
use crate::signature::payload::Payload;

/// A signature could not be made or stored.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The key does not sign.
    #[error(transparent)]
    Key(#[from] PrivateKeyFault),
    /// The registry does not take it, or cannot be asked.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Something else is at the place of signatures.
    #[error("{0} is no list of signatures, and is left as it is")]
    Occupied(Tag),
    /// A document cannot be written.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
}

/// Signs that a manifest is the image of a name, and puts the signature beside it, to those that are there. Returns whether it is a
/// new one: a key signs the same once.
pub async fn sign(
    remote: &Remote,
    key: &PrivateKey,
    name: &Reference,
    digest: &Digest,
) -> Result<bool, SignError> {
    let repository = name.repository().clone();
    let name = Reference::new(repository, name.tag().cloned(), None);
    let payload = Payload { digest: digest.clone(), reference: name.to_string() };
    let payload = Bytes::from(payload.write()?);
    let statement = Digest::sha256(&payload);
    let [tag, ..] = Tag::of_cosign(digest);
    let mut layers = layers(remote, &tag).await?;
    let is_mine = |layer: &Value| {
        let signature = layer["annotations"][SIGNATURE].as_str();
        layer["digest"] == json!(statement)
            && signature.is_some_and(|signature| key.has_made(&payload, signature))
    };
    if layers.iter().any(is_mine) {
        return Ok(false);
    }
    let signature = key.sign(&payload)?;
    layers.push(json!({
        "mediaType": SIMPLE_SIGNING,
        "size": payload.len(),
        "digest": statement,
        "annotations": {SIGNATURE: signature},
    }));
    let config = Bytes::from(serde_json::to_vec(&config(&layers))?);
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OciManifest,
        "config": {
            "mediaType": MediaType::OciConfig,
            "size": config.len(),
            "digest": Digest::sha256(&config),
        },
        "layers": layers,
    });
    for blob in [payload, config] {
        store(remote, blob).await?;
    }
    let bytes = Bytes::from(serde_json::to_vec(&manifest)?);
    remote.put_manifest(&TagOrDigest::Tag(tag), &MediaType::OciManifest, bytes).await?;
    Ok(true)
}

/// Returns the signatures that are there, as they are written.
async fn layers(remote: &Remote, tag: &Tag) -> Result<Vec<Value>, SignError> {
    let fetched = match remote.manifest(&TagOrDigest::Tag(tag.clone())).await {
        Ok(fetched) => fetched,
        Err(error) if error.is_not_found() => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let document: Map<String, Value> =
        serde_json::from_slice(&fetched.bytes).map_err(|_| SignError::Occupied(tag.clone()))?;
    match document.get("layers").and_then(Value::as_array) {
        Some(layers) => Ok(layers.clone()),
        None => Err(SignError::Occupied(tag.clone())),
    }
}

/// Makes the config that a manifest must have. cosign's says as little.
fn config(layers: &[Value]) -> Value {
    const NEVER: &str = "0001-01-01T00:00:00Z";
    let diff_ids: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
    let history: Vec<Value> = layers.iter().map(|_| json!({"created": NEVER})).collect();
    json!({
        "architecture": "",
        "created": NEVER,
        "history": history,
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
        "config": {},
    })
}

/// Stores a small blob, if the repository does not have it.
async fn store(remote: &Remote, bytes: Bytes) -> Result<(), RegistryError> {
    let (digest, length) = (Digest::sha256(&bytes), bytes.len() as u64);
    if remote.blob_size(&digest).await?.is_some() {
        return Ok(());
    }
    let mut upload = remote.start_upload().await?;
    let body = stream::iter([Ok(bytes)]);
    upload.send_whole(body, Some(length), &digest).await
}
