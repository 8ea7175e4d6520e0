//! The failure of several endpoints, and the answers of an error: the code, the status and the words that count.

use std::fmt;

use crate::{RegistryError, RequestFailed, RequestFault, error::refusal::ApiError};

/// The most of one endpoint's answer that is told where several are.
const MAX_LINE: usize = 500;

/// The registry's failure, after those of the mirrors that were asked before it.
#[derive(Debug)]
pub struct FailedEverywhere {
    /// The repository, for the command that shows more.
    pub(crate) repository: String,
    /// The endpoints that were asked before the last one, and what came of it.
    pub(crate) before: Vec<(String, RegistryError)>,
    /// The last one.
    pub(crate) last: (String, RegistryError),
}

impl std::error::Error for FailedEverywhere {}

impl fmt::Display for FailedEverywhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (last, failure) = &self.last;
        writeln!(f, "{failure}")?;
        for (url, error) in &self.before {
            writeln!(f, "  {url}: {}", one_line(&error.to_string()))?;
        }
        writeln!(f, "  {last}: {}", one_line(&failure.to_string()))?;
        write!(f, "`longshore registry check {}` shows who is asked and why", self.repository)
    }
}

/// Names a request behind what dockerd says of its answer.
pub(crate) fn named(request: &str) -> String {
    if request.is_empty() { String::new() } else { format!(" ({request})") }
}

/// Puts a message into one line of bounded length.
fn one_line(text: &str) -> String {
    let words = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut line = words.collect::<Vec<_>>().join(" ");
    if line.len() > MAX_LINE {
        line.truncate(line.floor_char_boundary(MAX_LINE));
        line.push('\u{2026}');
    }
    line
}

impl RegistryError {
    /// Returns the failure that counts: that of the endpoint that was asked last.
    pub(crate) fn decisive(&self) -> &Self {
        match self {
            Self::Everywhere(all) => all.last.1.decisive(),
            other => other,
        }
    }

    /// Returns the registry's own errors, the first of which is what Docker goes by.
    ///
    /// Empty for everything but an answer of the registry itself: a refusal by its token server is a failed
    /// request, as it is to dockerd.
    pub fn api_errors(&self) -> &[ApiError] {
        match self.decisive() {
            Self::Refused(refusal) => &refusal.errors,
            _ => &[],
        }
    }

    /// Returns the HTTP status that goes with what a registry or its token server says: that of its first error's code.
    pub fn code_status(&self) -> Option<u16> {
        match self.decisive() {
            Self::Request(failed) => failed.refusal().and_then(Self::code_status),
            other => other.api_errors().first().map(ApiError::status),
        }
    }

    /// Returns what the token server said, without the request that was to be made with its token.
    #[must_use]
    pub fn without_request(self) -> Self {
        match self {
            Self::Request(failed) => match *failed {
                RequestFailed { fault: RequestFault::Token(error), .. } => *error,
                failed => Self::Request(Box::new(failed)),
            },
            other => other,
        }
    }

    /// Returns the status of an answer that refuses.
    pub(crate) fn refused_status(&self) -> Option<u16> {
        match self.decisive() {
            Self::Refused(refusal) => Some(refusal.status),
            _ => None,
        }
    }

    /// Tells whether the registry does not do such a thing at all, or is set not to.
    pub fn is_unsupported(&self) -> bool {
        let by_code = self.api_errors().first().is_some_and(|error| error.code == "UNSUPPORTED");
        by_code || matches!(self.refused_status(), Some(405 | 501))
    }

    /// Tells whether a registry does not give as much at once as it was asked for.
    pub(crate) fn is_page_too_large(&self) -> bool {
        self.api_errors().first().is_some_and(|error| error.code == "PAGINATION_NUMBER_INVALID")
    }

    /// Forgets all errors of the registry but the first: the one that a pull tells of.
    #[must_use]
    pub fn first_only(mut self) -> Self {
        match &mut self {
            Self::Refused(refusal) => refusal.errors.truncate(1),
            Self::Everywhere(all) => {
                if let Self::Refused(refusal) = &mut all.last.1 {
                    refusal.errors.truncate(1);
                }
            }
            _ => {}
        }
        self
    }

    /// Tells whether it is a manifest that does not exist, and no blob and no repository.
    pub fn is_manifest_unknown(&self) -> bool {
        match self.decisive() {
            Self::Refused(refusal) => match refusal.errors.first().map(|error| error.code) {
                Some("UNKNOWN") | None => {
                    refusal.status == 404 && refusal.url.contains("/manifests/")
                }
                Some(code) => code == "MANIFEST_UNKNOWN",
            },
            _ => false,
        }
    }

    /// Tells whether the failure is that nobody answered at all, as dialling, TLS or a timeout fails.
    pub fn is_unreachable(&self) -> bool {
        matches!(self.decisive(), Self::Request(failed) if failed.fault.is_unreachable())
    }

    /// Tells whether the registry asked for a user name and password and there were none.
    pub fn lacks_credentials(&self) -> bool {
        let missing = |fault: &RequestFault| matches!(fault, RequestFault::NoBasicCredentials);
        matches!(self.decisive(), Self::Request(failed) if missing(&failed.fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_endpoint_has_a_line_of_its_own() {
        let stalled = |url: &str| RegistryError::Json {
            url: url.to_owned(),
            source: serde_json::from_str::<()>("[").unwrap_err(),
        };
        let everywhere = FailedEverywhere {
            repository: "r/x".to_owned(),
            before: vec![(
                "http://m".to_owned(),
                RegistryError::UploadUnknown { request: String::new() },
            )],
            last: ("https://r".to_owned(), stalled("u")),
        };
        let error = RegistryError::Everywhere(Box::new(everywhere));
        let lines: Vec<_> = error.to_string().lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert_eq!(lines[1], "  http://m: blob upload unknown");
        assert_eq!(lines[2], format!("  https://r: {}", lines[0]));
        assert!(lines[3].contains("registry check r/x"), "{lines:?}");
        assert_eq!(error.recovery(), crate::Recovery::NextEndpoint, "that of the last one");
    }

    #[test]
    fn a_line_is_one_and_bounded() {
        assert_eq!(one_line("errors:\n a: b\n\nc\n"), "errors: a: b c");
        let long = one_line(&"\u{e9}".repeat(MAX_LINE));
        assert!(long.len() <= MAX_LINE + 3 && long.ends_with('\u{2026}'));
    }
}
