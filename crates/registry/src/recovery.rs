//! What may help against an error.

use std::time::Duration;

/// The longest wait that a registry can ask for and get. Who asks for more is not waited for.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);

/// What is to be done about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// The same again may work, once `after` has passed (or a moment, if there is none).
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
