//! The command line as Docker's users write it, and what is said where it is wrong.
//!
//! clap parses; here is what it does otherwise than Docker: `--quiet=false` is a way to write a flag, and errors
//! have Docker's words, usage line and exit status (125 for flags, 1 for arguments).

mod explain;
mod flags;

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Command, CommandFactory, FromArgMatches};

use explain::explain;
pub(crate) use flags::{boolean, is_flag_without_value, parse_boolean};

use crate::arguments::{CommandLine, Verb};
use crate::error::CliError;

/// The word by which the scripts of shells ask for candidates.
const COMPLETE: &str = "__complete";

const HELP_TEMPLATE: &str = "Usage:  {usage}\n\n{about-with-newline}\n{all-args}{after-help}\n";

/// Reads a path that may be empty, which is as good as none and not a mistake.
pub(crate) fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

/// What a command line asks for.
#[derive(Debug)]
pub(crate) enum Request {
    /// To run a verb.
    Run(Box<CommandLine>),
    /// To show the help.
    Help(String),
    /// To offer what may stand for the last of these words.
    Complete(Vec<String>),
    /// Nothing: the help is shown as if by mistake, on standard error.
    Nothing(String),
}

/// Reads a command line; the first of `arguments` is the program's name.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Request, CliError> {
    let mut arguments = arguments.into_iter().peekable();
    let program = arguments.next();
    if arguments.next_if(|word| word == COMPLETE).is_some() {
        let words = arguments.map(|word| word.to_string_lossy().into_owned());
        return Ok(Request::Complete(words.collect()));
    }
    let arguments = program.into_iter().chain(arguments);
    let command = tree();
    let (arguments, path) = flags::normalize(&command, arguments)?;
    let parsed = command.clone().try_get_matches_from(&arguments);
    let parsed = parsed.and_then(|mut matches| CommandLine::from_arg_matches_mut(&mut matches));
    match parsed {
        Ok(line) if line.verb.is_none() && !line.version => Ok(Request::Nothing(help(&command))),
        Ok(CommandLine { verb: Some(Verb::Help(arguments)), .. }) => {
            help_about(&command, &arguments.topic)
        }
        Ok(line) => Ok(Request::Run(Box::new(line))),
        Err(error) => explain(&error, at(&command, &path), &path, &arguments[1..]),
    }
}

/// Returns the tree of commands, with all flags in their places.
pub(crate) fn tree() -> Command {
    let mut command = with_template(CommandLine::command());
    command.build();
    command
}

fn with_template(command: Command) -> Command {
    command.help_template(HELP_TEMPLATE).mut_subcommands(with_template)
}

fn help(command: &Command) -> String {
    command.clone().render_help().to_string()
}

/// Returns the help of the verb that `topic` is the path of.
fn help_about(root: &Command, topic: &[String]) -> Result<Request, CliError> {
    let mut command = root;
    for (index, name) in topic.iter().enumerate() {
        let Some(verb) = command.find_subcommand(name) else {
            return Err(CliError::Refused(format!(
                "unknown help topic: {}",
                topic[index..].join(" ")
            )));
        };
        command = verb;
    }
    Ok(Request::Help(help(command)))
}

/// Returns the command at the end of a path of names, the program's first.
fn at<'a>(root: &'a Command, path: &[String]) -> &'a Command {
    path.iter().skip(1).fold(root, |command, name| command.find_subcommand(name).unwrap_or(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn the_tree_of_commands_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn global_flags_stand_on_either_side_of_the_verb() {
        for line in ["longshore --data-root /d images -q", "longshore images -q --data-root /d"] {
            let Request::Run(parsed) = parse(words(line)).unwrap() else { panic!("{line}") };
            assert_eq!(
                parsed.globals.engine.data_root.as_deref(),
                Some(std::path::Path::new("/d")),
                "{line}"
            );
        }
    }

    #[test]
    fn help_names_the_verb_and_its_flags() {
        for (line, parts) in [
            ("longshore --help", ["Usage:  longshore [OPTIONS] COMMAND", "pull ", "--data-root"]),
            (
                "longshore pull --help",
                [
                    "Usage:  longshore pull [OPTIONS] NAME[:TAG|@DIGEST]",
                    "Download an image",
                    "-a, --all-tags",
                ],
            ),
            (
                "longshore image ls --help",
                [
                    "Usage:  longshore image ls [OPTIONS] [REPOSITORY[:TAG]]",
                    "List images",
                    "--no-trunc",
                ],
            ),
        ] {
            let Request::Help(help) = parse(words(line)).unwrap() else { panic!("{line}") };
            for part in parts {
                assert!(help.contains(part), "{line}: {part}\n{help}");
            }
        }
        for (topic, flag) in [
            ("longshore help", "longshore --help"),
            ("longshore help pull", "longshore pull --help"),
            ("longshore help image pull", "longshore image pull --help"),
            ("longshore help image", "longshore image --help"),
        ] {
            let (Request::Help(topic), Request::Help(flag)) =
                (parse(words(topic)).unwrap(), parse(words(flag)).unwrap())
            else {
                panic!("{topic}")
            };
            assert_eq!(topic, flag);
        }
        assert!(matches!(parse(words("longshore")).unwrap(), Request::Nothing(_)));
        assert!(matches!(parse(words("longshore image")).unwrap(), Request::Nothing(_)));
    }
}
