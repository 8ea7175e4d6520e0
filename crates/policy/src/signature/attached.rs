//! Signatures of an image, as they lie beside it at its registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
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
/// The largest bundle, in bytes. They have some thousand: a signature, a few certificates, and the entry of a log with its proof.
const MAX_BUNDLE: u64 = 128 << 10;
/// Signatures that are fetched at once. No more of them are in memory.
const AT_ONCE: usize = 4;

/// A place at a registry where a signature of a manifest is said to be.
#[derive(Debug)]
enum Place {
    /// A layer of the manifest with cosign's tag.
    Statement(Descriptor),
    /// A manifest that refers to the other.
    Bundle(Digest),
}

/// Places of one form of signatures.
#[derive(Debug, Default)]
struct Places {
    places: Vec<Place>,
    /// Those beyond the most that are looked at.
    passed_over: usize,
}

/// The signatures in a repository.
#[derive(Debug)]
pub(crate) struct Attached {
    remote: Remote,
}

impl Places {
    fn new(mut places: Vec<Place>) -> Self {
        let passed_over = places.len().saturating_sub(MAX_SIGNATURES);
        places.truncate(MAX_SIGNATURES);
        Self { places, passed_over }
    }
}

impl Attached {
    pub(crate) fn new(remote: &Remote) -> Self {
        // A mirror that has no signature still has the image's layers.
        Self { remote: remote.aside() }
    }

    /// Returns what `accept` makes of the first signature of a manifest that it does accept; else nothing, and why for each goes to
    /// `reasons`. Whoever may push can make one form of signatures fail, and so no other form depends on it.
    pub(crate) async fn first<T>(
        &self,
        digest: &Digest,
        accept: impl Fn(&Signature) -> Result<T, SignatureFault>,
        reasons: &mut Vec<String>,
    ) -> Option<T> {
        let mut number = 0;
        for form in [Form::Simple, Form::Envelope] {
            let found = match form {
                Form::Simple => self.statements(digest).await,
                Form::Envelope => self.bundles(digest).await,
            };
            let Places { places, passed_over } = match found {
                Ok(found) => found,
                Err(error) => {
                    let form = form.plural();
                    reasons.push(format!("the {form} of {digest} cannot be had: {error}"));
                    continue;
                }
            };
            let signatures: Vec<_> =
                places.into_iter().map(|place| self.signature(place)).collect();
            let mut signatures = stream::iter(signatures).buffered(AT_ONCE);
            while let Some(signature) = signatures.next().await {
                number += 1;
                match signature.and_then(|signature| accept(&signature)) {
                    Ok(accepted) => return Some(accepted),
                    Err(fault) => {
                        reasons.push(format!("signature {number} of {digest}: {fault}"));
                    }
                }
            }
            if passed_over > 0 {
                let form = form.plural();
                reasons.push(format!("{passed_over} more {form} of {digest} were not looked at"));
            }
        }
        None
    }

    /// Lists the statements under cosign's tag.
    async fn statements(&self, digest: &Digest) -> Result<Places, RegistryError> {
        let [tag, ..] = Tag::of_cosign(digest);
        let fetched = match self.remote.manifest(&TagOrDigest::Tag(tag)).await {
            Ok(fetched) => fetched,
            Err(error) if error.is_not_found() => return Ok(Places::default()),
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
        let statements = layers.into_iter().filter(|it| it.media_type.as_str() == SIMPLE_SIGNING);
        Ok(Places::new(statements.map(Place::Statement).collect()))
    }

    /// Lists the bundles that refer to a manifest.
    async fn bundles(&self, digest: &Digest) -> Result<Places, RegistryError> {
        let listed = self.remote.referrers(digest, Some(BUNDLE)).await?.list;
        // What is about the content of an image is not its signature.
        let bundles = listed.into_iter().map(|referrer| referrer.descriptor).filter(|bundle| {
            bundle.annotations.get(PREDICATE).is_none_or(|predicate| predicate == SIGNED)
        });
        Ok(Places::new(bundles.map(|bundle| Place::Bundle(bundle.digest)).collect()))
    }

    async fn signature(&self, place: Place) -> Result<Signature, SignatureFault> {
        match place {
            Place::Statement(layer) => self.statement(layer).await,
            Place::Bundle(digest) => self.bundle(digest).await,
        }
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
            layers => Err(SignatureFault::Bundle(format!(
                "its manifest has {} layers, and not one of the type of a bundle",
                layers.len()
            ))),
        }
    }
}

#[cfg(test)]
mod tests;
