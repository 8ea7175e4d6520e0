//! Docker Content Trust: signatures that pull and push are asked for, and that are not known here.

use crate::error::CliError;
use crate::session::Session;

/// The operation that content trust would be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Signatures would be verified.
    Pull,
    /// Signatures would be made.
    Push,
}

/// Refuses what is asked for with content trust, by `--disable-content-trust=false` or by `DOCKER_CONTENT_TRUST`, over
/// which the flag goes.
pub(super) fn refuse(
    disabled: Option<bool>,
    session: &Session,
    doing: Doing,
) -> Result<(), CliError> {
    let by = match disabled {
        Some(false) => "--disable-content-trust=false",
        None if session.environment.content_trust => "DOCKER_CONTENT_TRUST",
        Some(true) | None => return Ok(()),
    };
    let (cannot, instead) = match doing {
        Doing::Pull => ("verified", "pull by digest, or use --disable-content-trust"),
        Doing::Push => ("made", "use --disable-content-trust"),
    };
    Err(CliError::Refused(format!(
        "{by} asks for content trust, whose signatures cannot be {cannot} here: {instead}"
    )))
}

/// Says what a value of `DOCKER_CONTENT_TRUST` means: as with docker, whatever is not said to be false is true.
pub(crate) fn is_wanted(value: &str) -> bool {
    !value.is_empty() && crate::usage::boolean(value).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_false_turns_content_trust_off() {
        for (value, expected) in [
            ("", false),
            ("0", false),
            ("false", false),
            ("F", false),
            ("1", true),
            ("true", true),
            ("yes", true),
            (" ", true),
        ] {
            assert_eq!(is_wanted(value), expected, "{value:?}");
        }
    }
}
