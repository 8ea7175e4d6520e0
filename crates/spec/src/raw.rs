//! Bytes together with what they say.

use bytes::Bytes;

use crate::Digest;

/// A parsed value beside the exact bytes that it was parsed from and their digest.
///
/// Identity is a hash of bytes, so a manifest or config is stored and sent on as it came and never serialised again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Raw<T> {
    bytes: Bytes,
    digest: Digest,
    value: T,
}

impl<T> Raw<T> {
    /// Hashes `bytes` with SHA-256 and parses them.
    pub fn parse<E>(bytes: Bytes, parse: impl FnOnce(&[u8]) -> Result<T, E>) -> Result<Self, E> {
        let value = parse(&bytes)?;
        Ok(Self { digest: Digest::sha256(&bytes), bytes, value })
    }

    /// Parses `bytes` if they hash to `expected`; `None` if they do not.
    pub fn verify<E>(
        bytes: Bytes,
        expected: &Digest,
        parse: impl FnOnce(&[u8]) -> Result<T, E>,
    ) -> Result<Option<Self>, E> {
        if !expected.matches(&bytes) {
            return Ok(None);
        }
        let value = parse(&bytes)?;
        Ok(Some(Self { digest: expected.clone(), bytes, value }))
    }

    /// Returns the bytes.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Returns the digest of the bytes.
    pub fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Returns what the bytes say.
    pub fn value(&self) -> &T {
        &self.value
    }

    /// Turns the value into another one of the same bytes.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Raw<U> {
        Raw { bytes: self.bytes, digest: self.digest, value: f(self.value) }
    }
}
