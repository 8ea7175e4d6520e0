//! Signatures beside an image, and what it takes to believe one.

pub(crate) mod attached;
pub(crate) mod bundle;
pub(crate) mod certificate;
pub(crate) mod log;
pub(crate) mod payload;
pub(crate) mod trusted;

use bytes::Bytes;
use spec::{Digest, Reference};

use crate::document::identity::SignedIdentity;
use crate::judgement::Vouched;
use certificate::CertificateFault;
use log::{Entry, LogFault};
use payload::{PayloadFault, Statement};
use trusted::{Proof, Trusted};

/// A signature, as it was found. Nothing of it is believed.
#[derive(Clone, Debug)]
pub(crate) struct Signature {
    /// The bytes that say what is signed.
    pub(crate) payload: Bytes,
    pub(crate) form: Form,
    /// The signature itself.
    pub(crate) value: Vec<u8>,
    /// The certificate of the key, and those between it and its authority, in DER.
    pub(crate) certificates: Vec<Vec<u8>>,
    /// The place of the signature in a log.
    pub(crate) entry: Option<Entry>,
}

/// The forms in which something is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// cosign's classic one: the payload is what is signed.
    Simple,
    /// The one of bundles: an in-toto statement in an envelope (DSSE).
    Envelope,
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
    #[error("it is no bundle that can be read: {0}")]
    Bundle(String),
    #[error("its certificate is no certificate in PEM")]
    CertificatePem,
    #[error("it is not made by a trusted key")]
    Stranger,
    #[error("it has no certificate")]
    NoCertificate,
    #[error(transparent)]
    Certificate(#[from] CertificateFault),
    #[error(transparent)]
    Log(#[from] LogFault),
    #[error(transparent)]
    Payload(#[from] PayloadFault),
    #[error("it is for {signed}, and not for {image}")]
    OtherDigest { signed: Digest, image: Digest },
    #[error("it is for the name {0:?}, which signedIdentity does not accept")]
    OtherName(String),
    #[error("it is for no name, which signedIdentity does not accept")]
    NoName,
}

impl Signature {
    /// Returns the bytes that are signed.
    pub(crate) fn signed(&self) -> Vec<u8> {
        match self.form {
            Form::Simple => self.payload.to_vec(),
            Form::Envelope => bundle::envelope(&self.payload),
        }
    }

    /// Says for what somebody who is trusted has vouched, if that is this image. Nothing is read of what nobody has vouched for.
    pub(crate) fn accept(
        &self,
        trusted: &Trusted,
        identity: &SignedIdentity,
        digest: &Digest,
        name: Option<&Reference>,
    ) -> Result<Vouched, SignatureFault> {
        let Proof { key, signer } = trusted.check(self)?;
        let statement = Statement::parse(self.form, &self.payload)?;
        if statement.digest != *digest {
            let (signed, image) = (statement.digest, digest.clone());
            return Err(SignatureFault::OtherDigest { signed, image });
        }
        if !identity.accepts(name, statement.name.as_deref()) {
            return Err(statement.name.map_or(SignatureFault::NoName, SignatureFault::OtherName));
        }
        let name = statement.name.unwrap_or_default();
        Ok(Vouched { digest: digest.clone(), name, key, signer })
    }
}

#[cfg(test)]
mod keyless;
#[cfg(test)]
mod tests;
