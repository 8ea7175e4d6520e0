//! The forms of signatures.

/// The forms in which something is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// cosign's classic one: the payload is what is signed.
    Simple,
    /// The one of bundles: an in-toto statement in an envelope (DSSE).
    Envelope,
}
