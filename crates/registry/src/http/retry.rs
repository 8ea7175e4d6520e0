//! The one policy of second tries.
//!
//! | what came of a request | what is done |
//! |---|---|
//! | a status | it is the answer, as for dockerd |
//! | a status with a `Retry-After` of up to a minute | the same again after it, twice at the most |
//! | nothing, as the connection was lost | the same again at once, by a new connection, once, also for what stores |
//! | nothing in time | it is the answer |
//! | of a part of a blob 429, 503 or a lost connection, while the host serves others of ours | the same again when one of these is done, three times at the most |
//!
//! A blob is a transfer: whoever reads or sends it begins again with what is missing, after growing pauses, as often as
//! [`Attempts`] allows. Its requests are sent without a wait for a `Retry-After` of their own. A mirror is asked once for everything:
//! there is somebody else to ask.

use std::time::Duration;

use crate::{RegistryError, error::recovery::Recovery};

/// The most waits of one request.
const MAX_WAITS: u32 = 2;
/// The most tries of a small blob.
const SMALL_BLOB: u32 = 5;
/// The least that a transfer has to bring between two failures for the first to be forgotten: a peer that gives byte after byte
/// would be asked for ever.
pub const LEAST_BROUGHT: u64 = 64 << 10;
/// A pause is doubled no more often, unless a registry asks for it: that makes 32 s of one.
const MAX_DOUBLINGS: u32 = 5;

/// The tries of one transfer, a blob coming or going. The pauses are 1 s, 2 s, 4 s … up to 32 s, or what the registry asks
/// for: as many tries as dockerd makes, in less than the 5 s, 10 s, 15 s … that it pauses for.
#[derive(Clone, Copy, Debug)]
pub struct Attempts {
    most: u32,
    failures: u32,
    first: Duration,
    /// Bytes since the last failure.
    brought: u64,
    /// The farthest place of the transfer so far.
    reached: u64,
}

impl Attempts {
    /// Allows `most` failures in a row, but one at the least.
    pub fn new(most: u32) -> Self {
        Self { most, failures: 0, first: Duration::from_secs(1), brought: 0, reached: 0 }
    }

    /// Allows as many as dockerd for a config, with shorter pauses that grow from `first`.
    pub(crate) fn of_small_blob(first: Duration) -> Self {
        Self::beginning_with(first, SMALL_BLOB)
    }

    /// The same as [`Self::new`], with pauses that grow from `first`.
    pub(crate) fn beginning_with(first: Duration, most: u32) -> Self {
        Self { first, ..Self::new(most) }
    }

    /// Begins to count anew, as something was transferred.
    fn progressed(&mut self) {
        self.failures = 0;
    }

    /// Begins to count anew once enough was transferred since the last failure.
    pub fn brought(&mut self, bytes: u64) {
        self.brought = self.brought.saturating_add(bytes);
        if self.brought >= LEAST_BROUGHT {
            self.progressed();
        }
    }

    /// Begins to count anew if the transfer is at a place where it was not before: who drops what comes goes on from the same
    /// place for ever.
    pub fn reached(&mut self, place: u64) {
        if place > self.reached {
            self.reached = place;
            self.progressed();
        }
    }

    /// Counts a failure, and returns the pause before the next attempt; nothing if there is to be none.
    pub fn pause(&mut self, error: &RegistryError) -> Option<Duration> {
        self.failures += 1;
        self.brought = 0;
        let Recovery::Retry { after } = error.recovery() else { return None };
        // As dockerd: who asks for less is not asked for more, but when it says how long to wait.
        let is_too_much = after.is_none() && error.code_status() == Some(429);
        if self.failures >= self.most || is_too_much {
            return None;
        }
        let grown = || self.first * (1 << (self.failures - 1).min(MAX_DOUBLINGS));
        Some(after.unwrap_or_else(grown))
    }
}

/// The repetitions that one request has left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tries {
    waits: u32,
    reconnects: u32,
}

impl Tries {
    pub(crate) const ALL: Self = Self { waits: MAX_WAITS, reconnects: 1 };
    pub(crate) const NONE: Self = Self { waits: 0, reconnects: 0 };

    /// The same but for waits: whatever the host answers is the answer.
    pub(crate) fn without_waits(self) -> Self {
        Self { waits: 0, ..self }
    }

    /// Returns how long the host asks to wait before the same request, for an answer that is worth a wait.
    pub(crate) fn wait(&mut self, status: u16, retry_after: Option<Duration>) -> Option<Duration> {
        let Recovery::Retry { after } = Recovery::of_status(status, retry_after) else {
            return None;
        };
        let after = after?;
        self.waits = self.waits.checked_sub(1)?;
        Some(after)
    }

    /// Says whether a request that got no answer is sent once more. Who was silent for as long as it may be is not asked again.
    pub(crate) fn reconnect(&mut self, error: &RegistryError) -> bool {
        let lost = matches!(error.recovery(), Recovery::Retry { .. }) && !error.is_timeout();
        let left = self.reconnects.checked_sub(u32::from(lost));
        self.reconnects = left.unwrap_or_default();
        lost && left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::retry_after::MAX_RETRY_AFTER;

    #[test]
    fn no_wait_is_longer_than_a_minute() {
        let second = Duration::from_secs(1);
        let wait = |after| Recovery::Retry { after };
        for (status, after, expected) in [
            (429, MAX_RETRY_AFTER, wait(Some(MAX_RETRY_AFTER))),
            (429, MAX_RETRY_AFTER + second, Recovery::Fail),
            (503, MAX_RETRY_AFTER + second, Recovery::Fail),
            (500, MAX_RETRY_AFTER + second, wait(None)),
            (502, Duration::MAX, wait(None)),
            (504, MAX_RETRY_AFTER, wait(Some(MAX_RETRY_AFTER))),
            (404, second, Recovery::Fail),
        ] {
            assert_eq!(Recovery::of_status(status, Some(after)), expected, "{status} {after:?}");
        }
    }

    #[test]
    fn pauses_of_a_transfer_grow_up_to_a_bound_and_end() {
        let broken = || RegistryError::Stalled { url: String::new(), after: Duration::ZERO };
        let mut attempts = Attempts::new(9);
        let pauses = std::iter::from_fn(|| attempts.pause(&broken())).map(|pause| pause.as_secs());
        assert_eq!(pauses.collect::<Vec<_>>(), [1, 2, 4, 8, 16, 32, 32, 32]);
        attempts.progressed();
        assert_eq!(attempts.pause(&broken()), Some(Duration::from_secs(1)));
        let mut slow = Attempts::new(3);
        let mut after = |bytes: &[u64]| {
            for bytes in bytes {
                slow.brought(*bytes);
            }
            slow.pause(&broken()).map(|pause| pause.as_secs())
        };
        let pauses =
            [&[1][..], &[LEAST_BROUGHT - 1, 1], &[9], &[LEAST_BROUGHT - 1]].map(&mut after);
        assert_eq!(pauses, [Some(1), Some(1), Some(2), None], "byte after byte is no progress");
        let missing = RegistryError::NoEndpoint { host: String::new() };
        assert_eq!(attempts.pause(&missing), None, "what cannot get better");
        assert_eq!(Attempts::new(0).pause(&broken()), None);
    }

    #[test]
    fn a_request_waits_twice_for_a_host_that_asks_for_it_and_for_no_other() {
        let second = Duration::from_secs(1);
        let mut tries = Tries::ALL;
        for (status, after, expected) in [
            (500, None, None),
            (429, None, None),
            (404, Some(second), None),
            (429, Some(MAX_RETRY_AFTER + second), None),
            (502, Some(MAX_RETRY_AFTER + second), None),
            (429, Some(second), Some(second)),
            (503, Some(Duration::ZERO), Some(Duration::ZERO)),
            (503, Some(second), None),
        ] {
            assert_eq!(tries.wait(status, after), expected, "{status} {after:?}");
        }
    }
}
