//! Why answers were broken off, for the clients that ask.
//!
//! An archive that fails after its first byte cannot say why: its connection breaks, so that nobody takes it for the whole.
//! A client that gave its request a name (by the header [`OPERATION_HEADER`](api::OPERATION_HEADER)) asks for the reason
//! by that name afterwards.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;

/// How many failures are remembered: clients ask at once.
const MAX_FAILURES: usize = 64;
/// The longest name of an operation: 256 bits in hexadecimal.
const MAX_NAME: usize = 64;

/// The failures of the last operations that had names.
#[derive(Debug, Default)]
pub(crate) struct Failures(Mutex<VecDeque<(String, String)>>);

impl Failures {
    /// Remembers why an operation failed.
    pub(crate) fn record(&self, operation: String, message: String) {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() == MAX_FAILURES {
            failures.pop_front();
        }
        failures.push_back((operation, message));
    }

    /// Returns why an operation failed, if it did.
    pub(crate) fn find(&self, operation: &str) -> Option<String> {
        let failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = failures.iter().rev().find(|(name, _)| name == operation);
        found.map(|(_, message)| message.clone())
    }
}

/// Returns the name that a client gave its request.
pub(crate) fn operation(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(api::OPERATION_HEADER)?.to_str().ok()?;
    let is_name = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_last_failures_are_remembered() {
        let failures = Failures::default();
        for number in 0..=MAX_FAILURES {
            failures.record(format!("n{number}"), format!("failure {number}"));
        }
        assert_eq!(failures.find("n0"), None);
        assert_eq!(failures.find("n1").as_deref(), Some("failure 1"));
        failures.record("n1".to_owned(), "again".to_owned());
        assert_eq!(failures.find("n1").as_deref(), Some("again"));
        assert_eq!(failures.find("n"), None);
    }

    #[test]
    fn names_of_operations_are_short_and_plain() {
        let long = "a".repeat(MAX_NAME + 1);
        for (text, is_name) in [
            ("0aF", true),
            (&long[1..], true),
            (&long, false),
            ("", false),
            ("a-b", false),
            ("a b", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(api::OPERATION_HEADER, HeaderValue::from_str(text).unwrap());
            assert_eq!(operation(&headers).is_some(), is_name, "{text:?}");
        }
        assert_eq!(operation(&HeaderMap::new()), None);
    }
}
