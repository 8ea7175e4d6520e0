//! Signatures beside an image, and what it takes to believe one.

pub(crate) mod attached;
pub(crate) mod payload;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use spec::{Digest, Reference};

use crate::document::requirement::Signed;
use crate::judgement::Vouched;
use crate::key::PublicKey;
use payload::{Payload, PayloadFault};

/// A signature in cosign's classic form, as it was found. Nothing of it is believed.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    /// The bytes that are signed.
    pub(crate) payload: Bytes,
    /// In base64.
    pub(crate) signature: String,
}

/// The reason not to believe a signature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SignatureFault {
    #[error("its payload cannot be had: {0}")]
    Fetch(String),
    #[error("it has no annotation dev.cosignproject.cosign/signature")]
    NoAnnotation,
    #[error("it is not base64")]
    Base64,
    #[error("it is not made by a trusted key")]
    Stranger,
    #[error(transparent)]
    Payload(#[from] PayloadFault),
    #[error("it is for {signed}, and not for {image}")]
    OtherDigest { signed: Digest, image: Digest },
    #[error("it is for the name {0:?}, which signedIdentity does not accept")]
    OtherName(String),
}

impl Signed {
    /// Says for what one of the keys has vouched, if that is this image. Nothing is read of what no key has vouched for.
    pub(crate) fn accept(
        &self,
        keys: &[PublicKey],
        found: &Signature,
        digest: &Digest,
        name: Option<&Reference>,
    ) -> Result<Vouched, SignatureFault> {
        let signature = STANDARD.decode(&found.signature).map_err(|_| SignatureFault::Base64)?;
        let key = keys.iter().find(|key| key.vouches_for(&found.payload, &signature));
        let key = key.ok_or(SignatureFault::Stranger)?;
        let payload = Payload::parse(&found.payload)?;
        if payload.digest != *digest {
            let (signed, image) = (payload.digest, digest.clone());
            return Err(SignatureFault::OtherDigest { signed, image });
        }
        if !self.identity.accepts(name, &payload.reference) {
            return Err(SignatureFault::OtherName(payload.reference));
        }
        Ok(Vouched {
            digest: digest.clone(),
            name: payload.reference,
            key: key.fingerprint.clone(),
        })
    }
}

#[cfg(test)]
mod tests;
