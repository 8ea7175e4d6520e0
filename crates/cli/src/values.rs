//! Values of flags and variables, as Go reads them.

use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use spec::go::quoted;

/// Reads a truth value as `strconv.ParseBool` does.
pub(crate) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("strconv.ParseBool: parsing {}: invalid syntax", quoted(text))),
    }
}

/// Reads a path that may be empty, which is as good as none and not a mistake.
pub(crate) fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}
