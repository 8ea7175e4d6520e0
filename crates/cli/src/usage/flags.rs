//! Flags as Docker's users write them: `--quiet=false`, `-aq=true`.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

use super::at;
use super::explain::{flag_error, flag_names};
use crate::error::CliError;

/// Writes `--flag=true` as `--flag` and leaves out `--flag=false`; returns the command line and the path of its
/// verbs.
pub(super) fn normalize(
    root: &Command,
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<(Vec<OsString>, Vec<String>), CliError> {
    let mut arguments = arguments.into_iter();
    let mut kept: Vec<OsString> = arguments.next().into_iter().collect();
    let mut path = vec![root.get_name().to_owned()];
    while let Some(argument) = arguments.next() {
        let command = at(root, &path);
        let text = argument.to_str().unwrap_or_default().to_owned();
        if text == "--" {
            kept.push(argument);
            kept.extend(arguments);
            break;
        }
        match Flag::parse(command, &text) {
            Some(Flag { arg, value: Some(value), name }) if is_boolean(arg) => {
                let value =
                    boolean(&value).ok_or_else(|| invalid_boolean(arg, &value, command, &path))?;
                if value {
                    kept.push(name.into());
                } else {
                    kept.retain(|earlier| *earlier != *name);
                }
            }
            // A level that is given but empty is the one that holds without.
            Some(Flag { arg, value: Some(value), .. }) if is_level(arg) && value.is_empty() => {}
            Some(Flag { arg, value: None, .. })
                if arg.get_action().takes_values() && needs_value(arg) =>
            {
                kept.push(argument);
                kept.extend(arguments.next());
            }
            Some(_) => kept.push(argument),
            None => {
                if let Some(verb) = command.find_subcommand(&text) {
                    path.push(verb.get_name().to_owned());
                }
                kept.push(argument);
            }
        }
    }
    Ok((kept, path))
}

/// A flag on the command line: the last one of a group of letters.
pub(super) struct Flag<'a> {
    arg: &'a Arg,
    /// The value that is written with it.
    value: Option<String>,
    /// The flag without its value.
    name: String,
}

impl Flag<'_> {
    pub(super) fn parse<'a>(command: &'a Command, text: &str) -> Option<Flag<'a>> {
        if let Some(long) = text.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(name))?;
            return Some(Flag { arg, value, name: format!("--{name}") });
        }
        let letters = text.strip_prefix('-').filter(|letters| !letters.is_empty())?;
        for (index, letter) in letters.char_indices() {
            let arg = command.get_arguments().find(|arg| arg.get_short() == Some(letter))?;
            let rest = &letters[index + letter.len_utf8()..];
            if let Some(value) = rest.strip_prefix('=').filter(|_| is_boolean(arg)) {
                let name = format!("-{}", &letters[..index + letter.len_utf8()]);
                return Some(Flag { arg, value: Some(value.to_owned()), name });
            }
            if rest.is_empty() || !is_boolean(arg) {
                let value = (!rest.is_empty()).then(|| rest.to_owned());
                return Some(Flag { arg, value, name: text.to_owned() });
            }
        }
        None
    }
}

fn is_level(arg: &Arg) -> bool {
    arg.get_long() == Some("log-level")
}

/// Says whether a flag stands by itself, or may.
pub(crate) fn is_flag_without_value(arg: &Arg) -> bool {
    !arg.get_action().takes_values() || !needs_value(arg)
}

fn is_boolean(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
}

fn needs_value(arg: &Arg) -> bool {
    !arg.is_require_equals_set()
}

/// Reads a truth value as Go's `strconv.ParseBool`.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Reads the value of a flag that is true where nothing else is said.
pub(crate) fn parse_boolean(text: &str) -> Result<bool, String> {
    boolean(text).ok_or_else(|| why_no_boolean(text))
}

fn why_no_boolean(text: &str) -> String {
    format!("strconv.ParseBool: parsing {text:?}: invalid syntax")
}

fn invalid_boolean(arg: &Arg, value: &str, command: &Command, path: &[String]) -> CliError {
    let why = why_no_boolean(value);
    flag_error(
        &format!("invalid argument {value:?} for {:?} flag: {why}", flag_names(arg)),
        command,
        path,
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::arguments::CommandLine;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn flags_may_be_written_with_a_truth_value() {
        for (line, expected) in [
            ("longshore pull --quiet=true x", "longshore pull --quiet x"),
            ("longshore pull -q=1 --quiet=false x", "longshore pull -q x"),
            ("longshore pull --quiet --quiet=f x", "longshore pull x"),
            ("longshore pull --all-tags=false x", "longshore pull x"),
            // To say that it is false means something.
            (
                "longshore pull --disable-content-trust=false x",
                "longshore pull --disable-content-trust=false x",
            ),
            ("longshore --data-root pull images", "longshore --data-root pull images"),
            (
                "longshore pull --platform --quiet=true x",
                "longshore pull --platform --quiet=true x",
            ),
            ("longshore pull -- --quiet=true", "longshore pull -- --quiet=true"),
            ("longshore images -aqf x=y", "longshore images -aqf x=y"),
        ] {
            let mut command = CommandLine::command();
            command.build();
            let (normalized, _) = normalize(&command, words(line)).unwrap();
            assert_eq!(normalized, words(expected), "{line}");
        }
    }
}
