//! The failures of a layer's own URLs.

/// The failure of a layer's own URL.
#[derive(Debug)]
pub struct ForeignFailure {
    /// The URL and the reason.
    pub reason: String,
    /// True if another try may help.
    pub retry: bool,
}

pub(crate) fn listed(failures: &[ForeignFailure]) -> String {
    failures.iter().map(|failure| &*failure.reason).collect::<Vec<_>>().join("; ")
}
