//! Errors of operations whose answers were broken off, for the clients that ask for them.
//!
//! An archive that fails after its first byte cannot say why: its connection breaks, so that nobody takes it for the whole.
//! A client that gave its request a name (by the header [`OPERATION_HEADER`](api::OPERATION_HEADER)) asks for the reason
//! by that name afterwards.

use std::collections::VecDeque;
use std::sync::Mutex;

use http::HeaderMap;

use crate::lock::lock;

/// The most errors that are remembered: clients ask at once.
const MAX_ERRORS: usize = 64;
/// The longest name of an operation: 256 bits in hexadecimal.
const MAX_NAME_SIZE: usize = 64;

/// The errors of the last operations that had names.
#[derive(Debug, Default)]
pub(crate) struct OperationErrors(Mutex<VecDeque<(String, String)>>);

impl OperationErrors {
    /// Remembers the error of an operation.
    pub(crate) fn record(&self, operation: String, message: String) {
        let mut errors = lock(&self.0);
        if errors.len() == MAX_ERRORS {
            errors.pop_front();
        }
        errors.push_back((operation, message));
    }

    /// Returns the error of an operation, if it failed.
    pub(crate) fn find(&self, operation: &str) -> Option<String> {
        let errors = lock(&self.0);
        let found = errors.iter().rev().find(|(name, _)| name == operation);
        found.map(|(_, message)| message.clone())
    }
}

/// Returns the name that a client gave its request.
pub(crate) fn operation_name(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(api::OPERATION_HEADER)?.to_str().ok()?;
    let is_name = (1..=MAX_NAME_SIZE).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    is_name.then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn the_last_failures_are_remembered() {
        let errors = OperationErrors::default();
        for number in 0..=MAX_ERRORS {
            errors.record(format!("n{number}"), format!("failure {number}"));
        }
        assert_eq!(errors.find("n0"), None);
        assert_eq!(errors.find("n1").as_deref(), Some("failure 1"));
        errors.record("n1".to_owned(), "again".to_owned());
        assert_eq!(errors.find("n1").as_deref(), Some("again"));
        assert_eq!(errors.find("n"), None);
    }

    #[test]
    fn names_of_operations_are_short_and_plain() {
        let long = "a".repeat(MAX_NAME_SIZE + 1);
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
            assert_eq!(operation_name(&headers).is_some(), is_name, "{text:?}");
        }
        assert_eq!(operation_name(&HeaderMap::new()), None);
    }
}
