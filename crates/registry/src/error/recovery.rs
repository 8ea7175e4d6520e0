//! The recovery from an error: the same again, somebody else, or nothing.

use std::time::Duration;

use super::{
    RegistryError,
    fault::{RequestFailed, RequestFault},
    retry_after::MAX_RETRY_AFTER,
};

/// The recovery from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The same transfer again may work, once `after` has passed (or a moment, if there is none).
    Retry {
        /// The wait that the registry asked for; never longer than a minute.
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
            // Of the others it is a mistake, or a proxy's: they are repeated as if they had not said it.
            (429 | 500 | 502 | 503 | 504, after) => {
                Self::Retry { after: after.filter(|after| *after <= MAX_RETRY_AFTER) }
            }
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
            Self::DownloadRefused { status, .. } => Recovery::of_status(*status, None),
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
            | Self::Signature { .. }
            | Self::SizeMismatch { .. }
            | Self::TooLarge { .. }
            | Self::Header { .. }
            | Self::Unmarshalling { .. }
            | Self::Json { .. } => Recovery::NextEndpoint,
            _ => Recovery::Fail,
        }
    }
}

impl RegistryError {
    /// Says whether the content is to blame, which is somebody's who may write there, and not the registry or the way to it.
    pub fn is_of_content(&self) -> bool {
        matches!(
            self.decisive(),
            Self::DigestMismatch { .. }
                | Self::FirstSchema { .. }
                | Self::Signature { .. }
                | Self::SizeMismatch { .. }
                | Self::TooLarge { .. }
                | Self::Unmarshalling { .. }
                | Self::Json { .. }
                | Self::ListTooLong { .. }
                | Self::Link { .. }
        )
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
