//! Mistakes in a change.

/// A mistake in a change, in dockerd's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::import) struct ChangeError(pub(in crate::import) String);

pub(super) type Result<T, E = ChangeError> = std::result::Result<T, E>;

/// Makes the error of a sentence.
pub(super) fn wrong<T>(sentence: impl Into<String>) -> Result<T> {
    Err(ChangeError(sentence.into()))
}
