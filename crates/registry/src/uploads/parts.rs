//! Sizes of the requests that a blob goes in.

use http::{HeaderName, StatusCode};

use crate::{RegistryError, http::transport::Answer};

/// The sizes tried after a registry, or a proxy before it, finds a request too large: below the limits that are
/// usual, of 100 MB down to nginx's 1 MiB.
const SMALLER_PARTS: [u64; 6] = [64 << 20, 16 << 20, 4 << 20, 1 << 20, 512 << 10, 256 << 10];
/// The least that a registry's `OCI-Chunk-Max-Length` is heeded to: smaller parts would take for ever.
const SMALLEST_PART: u64 = 64 << 10;
/// The sizes of requests after the second break of an upload, and the last for all that follow: a connection that takes no MiB is
/// none.
const PARTS_AFTER_BREAKS: [u64; 3] = [4 << 20, 2 << 20, 1 << 20];
/// The breaks after which a blob goes as before. One is chance.
const BREAKS_OF_CHANCE: u32 = 1;
/// The least and the most of an upload that the registry wants in a request.
static CHUNK_MIN: HeaderName = HeaderName::from_static("oci-chunk-min-length");
static CHUNK_MAX: HeaderName = HeaderName::from_static("oci-chunk-max-length");

/// The sizes that a registry wants in one request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Limits {
    pub(super) least: u64,
    pub(super) most: Option<u64>,
}

impl Limits {
    pub(super) fn of(answer: &Answer) -> Self {
        let number =
            |name: &HeaderName| answer.header(name).and_then(|value| value.trim().parse().ok());
        let most = number(&CHUNK_MAX).filter(|&most| most > 0);
        Self {
            least: number(&CHUNK_MIN).unwrap_or_default(),
            most: most.map(|most: u64| most.max(SMALLEST_PART)),
        }
    }

    /// Returns how much to try after `sent` bytes were too many; nothing if less is not to be had.
    pub(super) fn below(self, sent: u64) -> Option<u64> {
        let fits = |&part: &u64| part < sent && part >= self.least;
        let least = Some(self.least).filter(|&least| least > 0 && least < sent);
        SMALLER_PARTS.into_iter().find(fits).or(least)
    }
}

/// The breaks of a blob's upload.
///
/// A registry may drop what came in a request that broke off, and Docker's own drops all before it, too. So after the second
/// break a blob goes in small parts, each by a connection of its own: what ends connections after some bytes, or some time, ends no part.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breaks(u32);

impl Breaks {
    /// Counts a failure of the upload, if it is a break: no answer, or a proxy's that had none.
    pub fn count(&mut self, error: &RegistryError) {
        const NO_ANSWER: [StatusCode; 3] =
            [StatusCode::REQUEST_TIMEOUT, StatusCode::BAD_GATEWAY, StatusCode::GATEWAY_TIMEOUT];
        let by_proxy = |status: u16| NO_ANSWER.iter().any(|code| code.as_u16() == status);
        if matches!(error, RegistryError::Request(_))
            || error.refused_status().is_some_and(by_proxy)
        {
            self.0 += 1;
        }
    }

    /// Returns how much a request may carry after so many.
    pub(super) fn part(self) -> Option<u64> {
        let many = self.0.checked_sub(BREAKS_OF_CHANCE + 1)?;
        let smallest = PARTS_AFTER_BREAKS.last();
        PARTS_AFTER_BREAKS.get(many as usize).or(smallest).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_small_after_the_second_break() {
        let parts = [0, 1, 2, 3, 4, 9].map(|breaks| Breaks(breaks).part().map(|part| part >> 20));
        assert_eq!(parts, [None, None, Some(4), Some(2), Some(1), Some(1)]);
    }

    #[test]
    fn parts_get_smaller_down_to_a_limit() {
        for (least, sent, expected) in [
            (0, 10 << 20, Some(4 << 20)),
            (0, 1 << 30, Some(64 << 20)),
            (0, 4 << 20, Some(1 << 20)),
            (5 << 20, 10 << 20, Some(5 << 20)),
            (5 << 20, 5 << 20, None),
            (0, 256 << 10, None),
            (u64::MAX, 1 << 30, None),
        ] {
            assert_eq!(Limits { least, most: None }.below(sent), expected, "{least} {sent}");
        }
    }
}
