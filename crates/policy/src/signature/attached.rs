//! Signatures of an image, as they lie beside it at its registry.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::try_join;
use futures_util::{StreamExt as _, stream};
use registry::{RegistryError, Remote, TagOrDigest};
use spec::{Descriptor, Digest, Manifest, Tag};

use super::bundle::{self, BUNDLE, PREDICATE};
use super::form::Form;
use super::found::{Signature, SignatureFault};
use super::log::Entry;
use super::payload::SIGNED;
use crate::key::pem;

/// The type of a layer that is a statement.
pub(crate) const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// The annotation with the signature of the statement.
pub(crate) const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// The annotations with the key's certificate, those between it and its authority, and the place in a log.
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";
const CHAIN: &str = "dev.sigstore.cosign/chain";
const ENTRY: &str = "dev.sigstore.cosign/bundle";
/// The most signatures that are looked at for a manifest: whoever may push to a repository may put any number there.
const MAX_SIGNATURES: usize = 64;
/// The largest statement, in bytes. They have three hundred, and annotations of a user.
const MAX_PAYLOAD: u64 = 64 << 10;
/// The largest bundle, in bytes. They have some thousand.
const MAX_BUNDLE: u64 = 1 << 20;
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
    /// Answers, each asked for once: several requirements look at the same signatures.
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

    /// Fetches the signatures of both forms.
    async fn fetch(&self, digest: &Digest) -> Result<Signatures, RegistryError> {
        let (mut all, bundles) = try_join(self.classic(digest), self.bundles(digest)).await?;
        all.found.extend(bundles.found);
        all.passed_over += bundles.passed_over;
        Ok(all)
    }

    async fn classic(&self, digest: &Digest) -> Result<Signatures, RegistryError> {
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
        let annotation = |name: &str| layer.annotations.get(name).map(String::as_str);
        let signature = annotation(SIGNATURE).ok_or(SignatureFault::NoAnnotation)?;
        let value = STANDARD.decode(signature).map_err(|_| SignatureFault::Base64)?;
        let mut certificates = Vec::new();
        for name in [CERTIFICATE, CHAIN] {
            let text = annotation(name).unwrap_or_default();
            let all = pem::all(text.as_bytes(), "CERTIFICATE");
            certificates.extend(all.ok_or(SignatureFault::CertificatePem)?);
        }
        let entry = annotation(ENTRY).map(Entry::of_annotation).transpose()?;
        let payload = self.remote.blob_bytes(&layer, MAX_PAYLOAD).await;
        let payload = payload.map_err(|error| SignatureFault::Fetch(error.to_string()))?;
        Ok(Signature { payload, form: Form::Simple, value, certificates, entry })
    }

    /// Fetches the bundles that refer to a manifest.
    async fn bundles(&self, digest: &Digest) -> Result<Signatures, RegistryError> {
        let mut found = self.remote.referrers(digest, Some(BUNDLE)).await?.list;
        // What is about the content of an image is not its signature.
        found.retain(|referrer| {
            referrer.descriptor.annotations.get(PREDICATE).is_none_or(|said| said == SIGNED)
        });
        let passed_over = found.len().saturating_sub(MAX_SIGNATURES);
        found.truncate(MAX_SIGNATURES);
        let bundles: Vec<_> =
            found.into_iter().map(|found| self.bundle(found.descriptor.digest)).collect();
        let found = stream::iter(bundles).buffered(AT_ONCE).collect().await;
        Ok(Signatures { found, passed_over })
    }

    async fn bundle(&self, digest: Digest) -> Result<Signature, SignatureFault> {
        let fetch = |error: RegistryError| SignatureFault::Fetch(error.to_string());
        let fetched = self.remote.manifest(&TagOrDigest::Digest(digest)).await.map_err(fetch)?;
        let manifest = Manifest::parse(fetched.media_type.as_ref(), &fetched.bytes);
        let layers = match manifest {
            Ok(Manifest::Image(image)) => image.layers,
            Ok(Manifest::Index(_)) => Vec::new(),
            Err(error) => return Err(SignatureFault::Bundle(error.to_string())),
        };
        match layers.as_slice() {
            [layer] if layer.media_type.as_str() == BUNDLE => {
                bundle::parse(&self.remote.blob_bytes(layer, MAX_BUNDLE).await.map_err(fetch)?)
            }
            _ => Err(SignatureFault::Bundle("its manifest has not one layer".to_owned())),
        }
    }
}
