//! The command line as Docker's users write it, and what is said where it is wrong.
//!
//! clap parses; here is what it does otherwise than Docker: `--quiet=false` is a way to write a flag, and errors
//! have Docker's words, usage line and exit status (125 for flags, 1 for arguments).

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command, CommandFactory, FromArgMatches};

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
    let (arguments, path) = normalize(&command, arguments)?;
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

/// Writes `--flag=true` as `--flag` and leaves out `--flag=false`; returns the command line and the path of its
/// verbs.
fn normalize(
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
        match Option::parse(command, &text) {
            Some(Option { arg, value: Some(value), name }) if is_boolean(arg) => {
                let value =
                    boolean(&value).ok_or_else(|| invalid_boolean(arg, &value, command, &path))?;
                if value {
                    kept.push(name.into());
                } else {
                    kept.retain(|earlier| *earlier != *name);
                }
            }
            // A level that is given but empty is the one that holds without.
            Some(Option { arg, value: Some(value), .. }) if is_level(arg) && value.is_empty() => {}
            Some(Option { arg, value: None, .. })
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
struct Option<'a> {
    arg: &'a Arg,
    /// The value that is written with it.
    value: std::option::Option<String>,
    /// The flag without its value.
    name: String,
}

impl Option<'_> {
    fn parse<'a>(command: &'a Command, text: &str) -> std::option::Option<Option<'a>> {
        if let Some(long) = text.strip_prefix("--") {
            let (name, value) = match long.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (long, None),
            };
            let arg = command.get_arguments().find(|arg| arg.get_long() == Some(name))?;
            return Some(Option { arg, value, name: format!("--{name}") });
        }
        let letters = text.strip_prefix('-').filter(|letters| !letters.is_empty())?;
        for (index, letter) in letters.char_indices() {
            let arg = command.get_arguments().find(|arg| arg.get_short() == Some(letter))?;
            let rest = &letters[index + letter.len_utf8()..];
            if let Some(value) = rest.strip_prefix('=').filter(|_| is_boolean(arg)) {
                let name = format!("-{}", &letters[..index + letter.len_utf8()]);
                return Some(Option { arg, value: Some(value.to_owned()), name });
            }
            if rest.is_empty() || !is_boolean(arg) {
                let value = (!rest.is_empty()).then(|| rest.to_owned());
                return Some(Option { arg, value, name: text.to_owned() });
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
pub(crate) fn boolean(text: &str) -> std::option::Option<bool> {
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

fn flag_names(arg: &Arg) -> String {
    match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (Some(short), None) => format!("-{short}"),
        (None, long) => format!("--{}", long.unwrap_or_default()),
    }
}

/// Says in Docker's words what clap found wrong.
fn explain(
    error: &clap::Error,
    command: &Command,
    path: &[String],
    arguments: &[OsString],
) -> Result<Request, CliError> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    let argument = text(ContextKind::InvalidArg);
    let value = text(ContextKind::InvalidValue);
    Err(match error.kind() {
        ErrorKind::DisplayHelp => return Ok(Request::Help(error.render().to_string())),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            return Ok(Request::Nothing(help(command)));
        }
        ErrorKind::UnknownArgument if argument.starts_with('-') => {
            no_such_flag(&argument, command, path)
        }
        ErrorKind::InvalidSubcommand => {
            let name = text(ContextKind::InvalidSubcommand);
            let at = arguments.iter().position(|word| **word == *name).unwrap_or(0);
            // Docker reads flags before it looks for the command.
            unknown_flag(command, path, &arguments[at..])
                .unwrap_or_else(|| unknown_command(&name, command, path))
        }

        ErrorKind::UnknownArgument if command.has_subcommands() => {
            unknown_command(&argument, command, path)
        }
        ErrorKind::UnknownArgument | ErrorKind::TooManyValues => argument_count(command, path),
        ErrorKind::MissingRequiredArgument => match missing_flag(error) {
            Some(flag) => flag_error(&format!("required flag(s) {flag:?} not set"), command, path),
            None => argument_count(command, path),
        },
        ErrorKind::InvalidValue if argument.starts_with("--log-level ") && !value.is_empty() => {
            CliError::Refused(format!("Unable to parse logging level: {value}"))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let flag = command.get_arguments().find(|arg| arg.to_string() == argument);
            match flag {
                Some(arg) if value.is_empty() && !arg.is_positional() => {
                    // Only the last word can want another.
                    let last = arguments.last().and_then(|last| last.to_str()).unwrap_or_default();
                    let letter = last.chars().last().filter(|_| !last.starts_with("--"));
                    let flag = match letter {
                        Some(letter) => format!("{letter:?} in {last}"),
                        None => format!("--{}", arg.get_long().unwrap_or_default()),
                    };
                    flag_error(&format!("flag needs an argument: {flag}"), command, path)
                }
                Some(arg) if !arg.is_positional() => {
                    let why = reason(error);
                    let names = flag_names(arg);
                    flag_error(
                        &format!("invalid argument {value:?} for {names:?} flag: {why}"),
                        command,
                        path,
                    )
                }
                _ => flag_error(
                    &format!("invalid argument {value:?}: {}", reason(error)),
                    command,
                    path,
                ),
            }
        }
        _ => flag_error(
            error.render().to_string().trim_start_matches("error: ").trim_end(),
            command,
            path,
        ),
    })
}

/// Returns why a value was refused: the parser's own words, or what would have been allowed.
fn reason(error: &clap::Error) -> String {
    if let Some(source) = std::error::Error::source(error) {
        return source.to_string();
    }
    match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(values)) => format!("must be one of {}", values.join(", ")),
        _ => "invalid value".to_owned(),
    }
}

/// Returns the first flag that is required and missing, where it is a flag that is missing.
fn missing_flag(error: &clap::Error) -> std::option::Option<String> {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let flag = missing.iter().find(|argument| argument.starts_with("--"))?;
    Some(flag.trim_start_matches('-').split(' ').next().unwrap_or_default().to_owned())
}

/// Returns the failure of a flag that is none of the command's, of which there may be one among the arguments.
fn unknown_flag(
    command: &Command,
    path: &[String],
    arguments: &[OsString],
) -> std::option::Option<CliError> {
    let words = arguments.iter().filter_map(|word| word.to_str());
    let mut flags = words
        .take_while(|word| *word != "--")
        .filter(|word| word.len() > 1 && word.starts_with('-'));
    let unknown = flags.find(|word| Option::parse(command, word).is_none())?;
    Some(no_such_flag(unknown.split('=').next().unwrap_or_default(), command, path))
}

fn no_such_flag(argument: &str, command: &Command, path: &[String]) -> CliError {
    if argument.starts_with("--") {
        return flag_error(&format!("unknown flag: {argument}"), command, path);
    }
    let letter = argument.chars().nth(1).unwrap_or_default();
    flag_error(&format!("unknown shorthand flag: {letter:?} in {argument}"), command, path)
}

/// Returns how a command is used, as errors show it: a group of commands has its name alone.
fn usage_line(command: &Command, path: &[String]) -> String {
    if command.has_subcommands() {
        let arguments = if path.len() == 1 { " [OPTIONS] COMMAND [ARG...]" } else { "" };
        return path.join(" ") + arguments;
    }
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage:").trim().to_owned()
}

fn flag_error(message: &str, command: &Command, path: &[String]) -> CliError {
    let usage = usage_line(command, path);
    CliError::usage(format!(
        "{message}\n\nUsage:  {usage}\n\nRun '{} --help' for more information",
        path.join(" ")
    ))
}

fn unknown_command(name: &str, command: &Command, path: &[String]) -> CliError {
    let program = &path[0];
    let usage = if path.len() == 1 {
        String::new()
    } else {
        format!("Usage:  {}\n\n", usage_line(command, path))
    };
    let path = path.join(" ");
    CliError::Usage {
        message: format!(
            "{program}: unknown command: {path} {name}\n\n{usage}Run '{path} --help' for more information"
        ),
        status: 1,
    }
}

/// Says how many arguments a verb takes.
fn argument_count(command: &Command, path: &[String]) -> CliError {
    let positionals: Vec<&Arg> = command.get_positionals().collect();
    let least = positionals.iter().filter(|arg| arg.is_required_set()).count();
    let endless = positionals.iter().any(|arg| matches!(arg.get_action(), ArgAction::Append));
    let most = positionals.len();
    let plural = |count: usize| if count == 1 { "argument" } else { "arguments" };
    let wants = match (least, most) {
        (_, 0) => "accepts no arguments".to_owned(),
        _ if endless => format!("requires at least {least} {}", plural(least)),
        _ if least == most => format!("requires {most} {}", plural(most)),
        (0, _) => format!("requires at most {most} {}", plural(most)),
        _ => format!("requires at least {least} and at most {most} {}", plural(most)),
    };
    let (program, usage, path) = (&path[0], usage_line(command, path), path.join(" "));
    // Docker says "See" here and "Run" everywhere else.
    let run = if endless { "See" } else { "Run" };
    CliError::Usage {
        message: format!(
            "{program}: '{path}' {wants}\n\nUsage:  {usage}\n\n{run} '{path} --help' for more information"
        ),
        status: 1,
    }
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
    fn errors_have_dockers_words_and_status() {
        let pull = "\n\nUsage:  longshore pull [OPTIONS] NAME[:TAG|@DIGEST]\n\nRun 'longshore pull --help' for more information";
        let images = "\n\nUsage:  longshore images [OPTIONS] [REPOSITORY[:TAG]]\n\nRun 'longshore images --help' for more information";
        for (line, status, expected) in [
            ("pull", 1, format!("longshore: 'longshore pull' requires 1 argument{pull}")),
            ("pull a b", 1, format!("longshore: 'longshore pull' requires 1 argument{pull}")),
            ("pull --foo x", 125, format!("unknown flag: --foo{pull}")),
            ("pull -Z x", 125, format!("unknown shorthand flag: 'Z' in -Z{pull}")),
            ("pull --platform", 125, format!("flag needs an argument: --platform{pull}")),
            (
                "pull --quiet=maybe x",
                125,
                format!("invalid argument \"maybe\" for \"-q, --quiet\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax{pull}"),
            ),
            ("images a b", 1, format!("longshore: 'longshore images' requires at most 1 argument{images}")),
            (
                "images -f foo",
                125,
                format!("invalid argument \"foo\" for \"-f, --filter\" flag: bad format of filter (expected name=value){images}"),
            ),
            (
                "rmi",
                1,
                "longshore: 'longshore rmi' requires at least 1 argument\n\nUsage:  longshore rmi [OPTIONS] IMAGE [IMAGE...]\n\nSee 'longshore rmi --help' for more information".to_owned(),
            ),
            (
                "version x",
                1,
                "longshore: 'longshore version' accepts no arguments\n\nUsage:  longshore version [OPTIONS]\n\nRun 'longshore version --help' for more information".to_owned(),
            ),
            ("-l bogus images", 1, "Unable to parse logging level: bogus".to_owned()),
            ("daemon --log-level=bogus", 1, "Unable to parse logging level: bogus".to_owned()),
            ("images -l", 125, format!("unknown shorthand flag: 'l' in -l{images}")),
            ("help bogus more", 1, "unknown help topic: bogus more".to_owned()),
            ("help image pull x", 1, "unknown help topic: x".to_owned()),
            (
                "help --foo",
                125,
                "unknown flag: --foo\n\nUsage:  longshore help [command]\n\nRun 'longshore help --help' for more information".to_owned(),
            ),
            ("login -u", 125, "flag needs an argument: 'u' in -u\n\nUsage:  longshore login [OPTIONS] [SERVER]\n\nRun 'longshore login --help' for more information".to_owned()),
            ("frob --foo=x", 125, "unknown flag: --foo\n\nUsage:  longshore [OPTIONS] COMMAND [ARG...]\n\nRun 'longshore --help' for more information".to_owned()),
            ("frob", 1, "longshore: unknown command: longshore frob\n\nRun 'longshore --help' for more information".to_owned()),
            (
                "image frob",
                1,
                "longshore: unknown command: longshore image frob\n\nUsage:  longshore image\n\nRun 'longshore image --help' for more information".to_owned(),
            ),
            (
                "image pull",
                1,
                "longshore: 'longshore image pull' requires 1 argument\n\nUsage:  longshore image pull [OPTIONS] NAME[:TAG|@DIGEST]\n\nRun 'longshore image pull --help' for more information".to_owned(),
            ),
        ] {
            let error = parse(words(&format!("longshore {line}"))).unwrap_err();
            assert_eq!((error.to_string(), error.status()), (expected, status), "{line}");
        }
    }

    #[test]
    fn flags_may_be_written_with_a_truth_value() {
        for (line, expected) in [
            ("longshore pull --quiet=true x", "longshore pull --quiet x"),
            ("longshore pull -q=1 --quiet=false x", "longshore pull -q x"),
            ("longshore pull --quiet --quiet=f x", "longshore pull x"),
            ("longshore pull --disable-content-trust=false x", "longshore pull x"),
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
