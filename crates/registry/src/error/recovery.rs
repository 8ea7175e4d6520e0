//! The recovery from an error: the same again, somebody else, or nothing.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header::RETRY_AFTER};

use super::{
    RegistryError,
    fault::{RequestFailed, RequestFault},
};

/// The longest wait that a registry can ask for and get. Who asks for more is not waited for.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);
/// What is to be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The same transfer again may work, once `after` has passed (or a moment, if there is none).
    Retry {
        /// What the registry asked for; never longer than a minute.
        after: Option<Duration>,
    },
    /// This endpoint cannot help, another one may. [`crate::Remote`] has tried all others by the
    /// time its caller sees this: for the caller it means stop.
    NextEndpoint,
    /// Neither will help.
    Fail,
}

impl Recovery {
    pub(crate) fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        match (status, retry_after) {
            // A rate limit of hours: waiting for a minute is no help.
            (429 | 503, Some(after)) if after > MAX_RETRY_AFTER => Self::Fail,
            (408 | 429 | 500 | 502 | 503 | 504, after) => Self::Retry { after },
            _ => Self::Fail,
        }
    }
}

impl RegistryError {
    /// Decides whether an error is worth a retry. This is the only place that does.
    ///
    /// It says nothing about mirrors: whatever a mirror fails with, the next endpoint is asked.
    pub fn recovery(&self) -> Recovery {
        const RETRY: Recovery = Recovery::Retry { after: None };
        match self.decisive() {
            Self::Request(failed) => failed.recovery(),
            Self::Foreign { failures, .. } if failures.iter().any(|failure| failure.retry) => RETRY,
            Self::Refused(refusal) => Recovery::of_status(refusal.status, refusal.retry_after),
            Self::Stalled { .. }
            | Self::Interrupted { .. }
            | Self::Truncated { .. }
            | Self::TokenRenewed { .. }
            | Self::PartsRefused { .. }
            | Self::PartTooLarge { .. }
            | Self::UploadUnknown { .. } => RETRY,
            // Wrong content: this endpoint is broken or lies.
            Self::DigestMismatch { .. }
            | Self::FirstSchema { .. }
            | Self::SizeMismatch { .. }
            | Self::TooLarge { .. }
            | Self::Header { .. }
            | Self::Unmarshalling { .. }
            | Self::Json { .. } => Recovery::NextEndpoint,
            _ => Recovery::Fail,
        }
    }
}

impl RequestFailed {
    pub(crate) fn recovery(&self) -> Recovery {
        match &self.fault {
            // Who has not even answered the first question is not asked again.
            fault if fault.is_timeout() && !self.established => Recovery::NextEndpoint,
            // Who has answered before is likely to do so again.
            RequestFault::Lookup { .. }
            | RequestFault::Dial { .. }
            | RequestFault::TlsTimeout
            | RequestFault::Broken { .. }
            | RequestFault::Transport { .. }
                if self.established =>
            {
                Recovery::Retry { after: None }
            }
            RequestFault::ResponseTimeout
            | RequestFault::SendTimeout { .. }
            | RequestFault::LittleTaken { .. }
            | RequestFault::Broken { dialling: false, .. } => Recovery::Retry { after: None },
            RequestFault::Token(error) => match error.recovery() {
                // Another endpoint has another token server, or none.
                Recovery::Fail if error.is_unreachable() => Recovery::NextEndpoint,
                recovery => recovery,
            },
            RequestFault::NoBasicCredentials
            | RequestFault::TooManyRedirects
            | RequestFault::PrivateAddress { .. }
            | RequestFault::Redirect { .. }
            | RequestFault::BadRealm { .. }
            | RequestFault::ProxyLogin { .. }
            | RequestFault::InsecureRealm { .. } => Recovery::Fail,
            _ => Recovery::NextEndpoint,
        }
    }
}

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
}
