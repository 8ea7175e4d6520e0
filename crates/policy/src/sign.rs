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

/// Attempts to have a signature stay where others sign, too.
const TRIES: usize = 3;

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
    /// Others have replaced the signature each time.
    #[error("{0} is written by others at the same time: the signature is not there")]
    Contended(Tag),
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
    let mut signature = None;
    // Of two who sign at once one replaces what the other has put there. Whoever is left out tries again.
    for attempt in 0..=TRIES {
        let List { mut layers, annotations } = list(remote, &tag).await?;
        let is_mine = |layer: &Value| {
            let signature = layer["annotations"][SIGNATURE].as_str();
            layer["digest"] == json!(statement)
                && signature.is_some_and(|signature| key.has_made(&payload, signature))
        };
        if layers.iter().any(is_mine) {
            return Ok(signature.is_some());
        }
        if attempt == TRIES {
            break;
        }
        let made = match signature {
            Some(made) => made,
            None => key.sign(&payload)?,
        };
        // The first, as readers have bounds: among many strangers' it would be passed over.
        layers.insert(
            0,
            json!({
                "mediaType": SIMPLE_SIGNING,
                "size": payload.len(),
                "digest": statement,
                "annotations": {SIGNATURE: made},
            }),
        );
        signature = Some(made);
        store(remote, payload.clone()).await?;
        put(remote, &tag, &layers, annotations).await?;
    }
    Err(SignError::Contended(tag))
}

/// The signatures that are there, as they are written.
#[derive(Default)]
struct List {
    layers: Vec<Value>,
    annotations: Option<Value>,
}

async fn list(remote: &Remote, tag: &Tag) -> Result<List, SignError> {
    let fetched = match remote.manifest(&TagOrDigest::Tag(tag.clone())).await {
        Ok(fetched) => fetched,
        Err(error) if error.is_not_found() => return Ok(List::default()),
        Err(error) => return Err(error.into()),
    };
    let occupied = || SignError::Occupied(tag.clone());
    let mut document: Map<String, Value> =
        serde_json::from_slice(&fetched.bytes).map_err(|_| occupied())?;
    let Some(Value::Array(layers)) = document.remove("layers") else { return Err(occupied()) };
    // An image, for instance.
    if layers.iter().any(|layer| layer["mediaType"] != json!(SIMPLE_SIGNING)) {
        return Err(occupied());
    }
    Ok(List { layers, annotations: document.remove("annotations") })
}

async fn put(
    remote: &Remote,
    tag: &Tag,
    layers: &[Value],
    annotations: Option<Value>,
) -> Result<(), SignError> {
    let config = Bytes::from(serde_json::to_vec(&config(layers))?);
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OciManifest,
        "config": {
            "mediaType": MediaType::OciConfig,
            "size": config.len(),
            "digest": Digest::sha256(&config),
        },
        "layers": layers,
    });
    if let Some(annotations) = annotations {
        manifest["annotations"] = annotations;
    }
    store(remote, config).await?;
    let bytes = Bytes::from(serde_json::to_vec(&manifest)?);
    remote.put_manifest(&TagOrDigest::Tag(tag.clone()), &MediaType::OciManifest, bytes).await?;
    Ok(())
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
