//! Signatures as they were found, and why they are not believed.

use bytes::Bytes;
use spec::Digest;

use super::certificate::CertificateFault;
use super::form::Form;
use super::log::{Entry, LogFault};
use super::payload::{self, PayloadFault};

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
    #[error(
        "it is for the name {signed:?}, which signedIdentity does not accept: it takes {taken}"
    )]
    OtherName { signed: String, taken: String },
    #[error("it is for no name, which signedIdentity does not accept")]
    NoName,
}

impl Signature {
    /// Returns the bytes that are signed.
    pub(crate) fn signed(&self) -> Vec<u8> {
        match self.form {
            Form::Simple => self.payload.to_vec(),
            Form::Envelope => payload::envelope(&self.payload),
        }
    }
}
