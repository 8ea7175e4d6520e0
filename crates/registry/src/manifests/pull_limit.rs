//! The pulls that a registry still allows, as Docker Hub says it with each manifest.

use std::time::Duration;

use http::HeaderName;

use crate::http::transport::Answer;

static LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
static REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
static SOURCE: HeaderName = HeaderName::from_static("docker-ratelimit-source");
/// The most of the source that is kept: it is an address or an ID.
const MAX_SOURCE: usize = 64;

/// The pulls that a registry allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullLimit {
    /// All within a window, if they are said.
    pub limit: Option<u64>,
    /// Those that are left.
    pub remaining: Option<u64>,
    /// The window that they are counted in.
    pub window: Option<Duration>,
    /// Owner of the pulls that are counted: an address, or an account's ID.
    pub source: Option<String>,
}

impl PullLimit {
    /// Reads what an answer says; nothing if it says nothing.
    pub(crate) fn of(answer: &Answer) -> Option<Self> {
        let [limit, remaining] =
            [&LIMIT, &REMAINING].map(|name| answer.header(name).and_then(parse));
        if limit.is_none() && remaining.is_none() {
            return None;
        }
        let window = limit.and_then(|(_, window)| window);
        let source = answer.header(&SOURCE).map(str::trim).filter(|source| {
            source.len() <= MAX_SOURCE && source.bytes().all(|byte| byte.is_ascii_graphic())
        });
        Some(Self {
            limit: limit.map(|(count, _)| count),
            remaining: remaining.map(|(count, _)| count),
            window: window.or_else(|| remaining.and_then(|(_, window)| window)),
            source: source.map(str::to_owned),
        })
    }
}

/// Reads `100;w=21600`.
fn parse(value: &str) -> Option<(u64, Option<Duration>)> {
    let mut parts = value.split(';').map(str::trim);
    let count = parts.next()?.parse().ok()?;
    let window = parts.find_map(|part| part.strip_prefix("w=")?.parse().ok());
    Some((count, window.map(Duration::from_secs)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_as_hub_writes_them() {
        let hours = |hours| Some(Duration::from_hours(hours));
        for (value, expected) in [
            ("100;w=21600", Some((100, hours(6)))),
            ("76 ; w=21600", Some((76, hours(6)))),
            ("5", Some((5, None))),
            ("5;w=x", Some((5, None))),
            ("-1;w=1", None),
            ("", None),
        ] {
            assert_eq!(parse(value), expected, "{value}");
        }
    }
}
