//! How long to wait before the same is tried again.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    time::{Duration, SystemTime},
};

use http::{HeaderMap, header::RETRY_AFTER};

/// No pause is longer, unless a registry asks for it.
const MAX_DELAY: Duration = Duration::from_secs(10);

/// Reads `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    parse_retry_after(headers.get(RETRY_AFTER)?.to_str().ok()?, SystemTime::now())
}

fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    // A date that has passed asks for no wait.
    Some(SystemTime::from(date).duration_since(now).unwrap_or_default())
}

/// Returns the pause after the failed try number `tries`: doubled each time, and between half and all of it by
/// chance, so that many clients of a registry that comes back do not all come back at once.
pub(crate) fn delay(base: Duration, tries: u32) -> Duration {
    let whole = base.saturating_mul(1 << tries.saturating_sub(1).min(16)).min(MAX_DELAY);
    let half = whole / 2;
    half + half.mul_f64(chance())
}

/// Returns a number from 0 to 1. The standard library's hash keys are random, and that is random enough here.
fn chance() -> f64 {
    let random = RandomState::new().build_hasher().finish();
    f64::from(u32::try_from(random >> 32).unwrap_or_default()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_seconds_and_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (value, expected) in [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:07 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999999", None),
        ] {
            let expected = expected.map(Duration::from_secs);
            assert_eq!(parse_retry_after(value, now), expected, "{value}");
        }
    }

    #[test]
    fn pauses_grow_and_end_growing() {
        let base = Duration::from_millis(100);
        for (tries, low, high) in [(1, 50, 100), (2, 100, 200), (4, 400, 800), (60, 5000, 10_000)] {
            let delay = delay(base, tries).as_millis();
            assert!((low..=high).contains(&delay), "try {tries}: {delay} ms");
        }
        assert_eq!(delay(Duration::ZERO, 3), Duration::ZERO);
    }
}
