//! Signatures of an image, as they lie beside it at its registry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt as _, stream};
use registry::{RegistryError, Remote, TagOrDigest};
use spec::{Descriptor, Digest, Manifest, Tag};

use super::{Signature, SignatureFault};

/// The type of a layer that is a statement.
pub(crate) const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation with the signature of the statement.
pub(crate) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The most signatures that are looked at for a manifest: whoever may push to a repository may put any number there.
const MAX_SIGNATURES: usize = 64;
/// The largest statement, in bytes. They have three hundred, and annotations of a user.
const MAX_PAYLOAD: u64 = 64 << 10;
/// Statements that are fetched at once.
const AT_ONCE: usize = 4;

/// Signatures of a manifest, each as it could be had.
#[derive(Debug, Default)]
pub(crate) struct Signatures {
    pub(crate) found: Vec<Result<Signature, SignatureFault>>,
    /// Signatures beyond the most that are looked at.
    pub(crate) passed_over: usize,
}

/// The signatures in a repository.
#[derive(Debug)]
pub(crate) struct Attached {
    remote: Remote,
    /// What was asked for is not asked for again: several requirements look at the same signatures.
    known: Mutex<HashMap<Digest, Arc<Signatures>>>,
}

impl Attached {
    pub(crate) fn new(remote: &Remote) -> Self {
        // A mirror that has no signature still has the image's layers.
        Self { remote: remote.aside(), known: Mutex::default() }
    }

    /// Returns the signatures of a manifest.
    pub(crate) async fn of(&self, digest: &Digest) -> Result<Arc<Signatures>, RegistryError> {
        let known = |known: &Mutex<HashMap<_, _>>| {
            known.lock().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
        };
        if let Some(signatures) = known(&self.known) {
            return Ok(signatures);
        }
        let signatures = Arc::new(self.fetch(digest).await?);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(digest.clone(), Arc::clone(&signatures));
        Ok(signatures)
    }

    async fn fetch(&self, digest: &Digest) -> Result<Signatures, RegistryError> {
        let [tag, ..] = Tag::of_cosign(digest);
        let fetched = match self.remote.manifest(&TagOrDigest::Tag(tag)).await {
            Ok(fetched) => fetched,
            Err(error) if error.is_not_found() => return Ok(Signatures::default()),
            Err(error) => return Err(error),
        };
        let manifest = Manifest::parse(fetched.media_type.as_ref(), &fetched.bytes);
        let layers = match manifest {
            Ok(Manifest::Image(image)) => image.layers,
            // Something else has the name; nobody signed this image.
            Ok(Manifest::Index(_)) => Vec::new(),
            Err(error) => {
                tracing::info!(%digest, %error, "what has the name of a signature is none");
                Vec::new()
            }
        };
        let mut layers: Vec<Descriptor> = layers
            .into_iter()
            .filter(|layer| layer.media_type.as_str() == SIMPLE_SIGNING)
            .collect();
        let passed_over = layers.len().saturating_sub(MAX_SIGNATURES);
        layers.truncate(MAX_SIGNATURES);
        let statements: Vec<_> = layers.into_iter().map(|layer| self.statement(layer)).collect();
        let found = stream::iter(statements).buffered(AT_ONCE).collect().await;
        Ok(Signatures { found, passed_over })
    }

    async fn statement(&self, layer: Descriptor) -> Result<Signature, SignatureFault> {
        let signature = layer.annotations.get(SIGNATURE);
        let signature = signature.cloned().ok_or(SignatureFault::NoAnnotation)?;
        let payload = self.remote.blob_bytes(&layer, MAX_PAYLOAD).await;
        let payload = payload.map_err(|error| SignatureFault::Fetch(error.to_string()))?;
        Ok(Signature { payload, signature })
    }
}
