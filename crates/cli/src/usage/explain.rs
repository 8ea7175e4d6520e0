//! The errors of command lines, in Docker's words.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use spec::go::quoted;

use super::absent;
use crate::error::CliError;
use crate::pflag::is_boolean;

/// Says in Docker's words what clap found wrong. `words` are those from the flag that is wrong on: none where none is.
pub(super) fn explain(
    error: &clap::Error,
    command: &Command,
    path: &[String],
    words: &[OsString],
) -> CliError {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        Some(ContextValue::Strings(texts)) => texts.join(" "),
        _ => String::new(),
    };
    let argument = text(ContextKind::InvalidArg);
    let value = text(ContextKind::InvalidValue);
    let flag = command.get_arguments().find(|arg| arg.to_string() == argument);
    let flag = flag.filter(|arg| !arg.is_positional());
    let [first, last] =
        [words.first(), words.last()].map(|word| word.map(|word| word.to_string_lossy()));
    let (word, last) = (first.unwrap_or_default(), last.unwrap_or_default());
    let fail = |message: &str| flag_error(message, command, path);
    match (error.kind(), flag) {
        (ErrorKind::UnknownArgument, _) if argument.starts_with('-') && !words.is_empty() => {
            fail(&unknown_flag(&argument, &word)).advised(nearest_flag(&argument, command))
        }
        (ErrorKind::InvalidSubcommand, _) => {
            unknown_command(&text(ContextKind::InvalidSubcommand), command, path)
        }
        (ErrorKind::UnknownArgument, _) if command.has_subcommands() => {
            unknown_command(&argument, command, path)
        }
        (ErrorKind::UnknownArgument | ErrorKind::TooManyValues, _) => argument_count(command, path),
        (ErrorKind::MissingRequiredArgument, _) => match missing_flag(error) {
            Some(flag) => fail(&format!("required flag(s) {} not set", quoted(&flag))),
            None => argument_count(command, path),
        },
        (ErrorKind::InvalidValue, Some(arg)) if value.is_empty() && !words.is_empty() => {
            // Only the last word can want another.
            let letter = last.chars().last().filter(|_| !last.starts_with("--"));
            let flag = match letter {
                Some(letter) => format!("{letter:?} in -{letter}"),
                None => format!("--{}", arg.get_long().unwrap_or_default()),
            };
            fail(&format!("flag needs an argument: {flag}"))
        }
        (ErrorKind::InvalidValue, _) if argument.starts_with("--log-level") => {
            CliError::Refused(format!("Unable to parse logging level: {value}"))
        }
        // A letter has a value behind `=` only where there is something behind it.
        (ErrorKind::ValueValidation, Some(arg))
            if value.is_empty() && is_boolean(arg) && is_letter_alone(arg, &word) =>
        {
            fail(&unknown_flag("-=", &word))
        }
        (ErrorKind::InvalidValue | ErrorKind::ValueValidation, flag) => {
            let of = flag.map(|arg| format!(" for {} flag", quoted(&flag_names(arg))));
            let (of, why) = (of.unwrap_or_default(), reason(error));
            fail(&format!("invalid argument {}{of}: {why}", quoted(&value)))
        }
        _ => fail(error.render().to_string().trim_start_matches("error: ").trim_end()),
    }
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
fn missing_flag(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let flag = missing.iter().find(|argument| argument.starts_with("--"))?;
    Some(flag.trim_start_matches('-').split(' ').next().unwrap_or_default().to_owned())
}

/// Returns what is said of a flag that is none of the command's: with the word that it is in, from it on.
fn unknown_flag(argument: &str, word: &str) -> String {
    if let Some(name) = argument.strip_prefix("--").filter(|_| word.starts_with("--")) {
        if name.is_empty() || name.starts_with('-') {
            return format!("bad flag syntax: {word}");
        }
        return format!("unknown flag: {argument}");
    }
    let letter = argument.chars().nth(1).unwrap_or_default();
    let letters = word.strip_prefix('-').unwrap_or(word);
    let rest = letters.find(letter).map_or("", |at| &letters[at..]);
    format!("unknown shorthand flag: {letter:?} in -{rest}")
}

/// Returns whether a flag's letter stands with nothing but a `=` behind it.
fn is_letter_alone(arg: &Arg, word: &str) -> bool {
    let letters = word.strip_prefix('-').and_then(|letters| letters.strip_suffix('='));
    letters.is_some_and(|letters| {
        !letters.starts_with('-') && letters.chars().next_back() == arg.get_short()
    })
}

/// Returns how a command is used, as errors show it: a group of commands has its name alone.
fn usage_line(command: &Command, path: &[String]) -> String {
    if command.has_subcommands() {
        let arguments = match path {
            [_] => " [OPTIONS] COMMAND [ARG...]",
            // docker's one group whose usage says so.
            [_, group] if group == "manifest" => " COMMAND",
            _ => "",
        };
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
    let hint = absent::advice(&path[1..], name).or_else(|| nearest_command(name, command, path));
    let path = path.join(" ");
    let message = format!(
        "{program}: unknown command: {path} {name}\n\n{usage}Run '{path} --help' for more information"
    );
    CliError::Usage { message, status: 1 }.advised(hint)
}

/// Says below an error of a flag that the command it is of is docker's, and not here.
pub(super) fn of_absent(error: CliError, verb: &str) -> CliError {
    match error {
        error @ CliError::Advised { .. } => error,
        error => error.advised(absent::advice(&[], verb)),
    }
}

/// Asks whether a flag was meant that is written almost so.
fn nearest_flag(argument: &str, command: &Command) -> Option<String> {
    let name = argument.strip_prefix("--")?;
    let known = command.get_arguments().filter(|arg| !arg.is_hide_set());
    let nearest = spec::nearest(name, known.filter_map(Arg::get_long))?;
    Some(format!("did you mean `--{nearest}`?"))
}

/// Asks whether a command was meant that is written almost so.
fn nearest_command(name: &str, command: &Command, path: &[String]) -> Option<String> {
    let known = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let nearest = spec::nearest(name, known.map(Command::get_name))?;
    Some(format!("did you mean `{} {nearest}`?", path.join(" ")))
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
        // The one is asked for only where the other is missing.
        (0, 2) => "requires 0 or 2 arguments".to_owned(),
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

fn flag_names(arg: &Arg) -> String {
    match (arg.get_short(), arg.get_long()) {
        (Some(short), Some(long)) => format!("-{short}, --{long}"),
        (Some(short), None) => format!("-{short}"),
        (None, long) => format!("--{}", long.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

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
            (
                "mount x",
                1,
                "longshore: 'longshore mount' requires 0 or 2 arguments\n\nUsage:  longshore mount [OPTIONS] [IMAGE DIRECTORY]\n\nRun 'longshore mount --help' for more information".to_owned(),
            ),
            ("-l bogus images", 1, "Unable to parse logging level: bogus".to_owned()),
            ("daemon --log-level=bogus", 1, "Unable to parse logging level: bogus".to_owned()),
            ("--data-root D images --=x", 125, format!("bad flag syntax: --=x{images}")),
            ("--data-root ---a images ---b", 125, format!("bad flag syntax: ---b{images}")),
            ("-l -Z images -Zq", 1, "Unable to parse logging level: -Z".to_owned()),
            ("--data-root -qZ images -qaZx", 125, format!("unknown shorthand flag: 'Z' in -Zx{images}")),
            ("--data-root -q= images -aq=", 125, format!("unknown shorthand flag: '=' in -={images}")),
            ("images -q-", 125, format!("unknown shorthand flag: '-' in --{images}")),
            ("images -- a -b", 1, format!("longshore: 'longshore images' requires at most 1 argument{images}")),
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
            assert_eq!(refused(line), (expected, status), "{line}");
        }
    }

    /// Returns the text and the status of a line that is wrong.
    fn refused(line: &str) -> (String, u8) {
        let error = parse(format!("longshore {line}").split(' ').map(OsString::from)).unwrap_err();
        (error.to_string(), error.status())
    }

    #[test]
    fn what_was_meant_is_asked_below_dockers_words() {
        for (line, expected) in [
            ("pul x", Some("did you mean `longshore pull`?")),
            ("image pus x", Some("did you mean `longshore image push`?")),
            ("pull --platfrom x y", Some("did you mean `--platform`?")),
            ("pull --all-tag x", Some("did you mean `--all-tags`?")),
            ("xyzzy", None),
            ("pull --xyzzy x", None),
            ("run -it alpine", Some("does not run containers")),
            ("build .", Some("does not build them")),
            ("image build .", Some("does not build them")),
            ("compose up -d", Some("does not run containers")),
            ("network ls", Some("does not manage networks")),
            ("system prune", Some("`longshore prune`")),
        ] {
            let words = format!("longshore {line}");
            let error = parse(words.split(' ').map(OsString::from)).unwrap_err();
            let hint = crate::hints::hint(&error, &crate::hints::Subject::default());
            match expected {
                Some(part) => assert!(
                    hint.as_deref().is_some_and(|hint| hint.contains(part)),
                    "{line}: {hint:?}"
                ),
                None => assert_eq!(hint, None, "{line}"),
            }
            assert!(
                error.to_string().starts_with("unknown flag: ")
                    || error.to_string().starts_with("unknown shorthand flag: ")
                    || error.to_string().starts_with("longshore: unknown command: "),
                "{line}: {error}"
            );
        }
    }

    #[test]
    fn levels_and_letters_out_of_use_are_told_before_the_rest() {
        let images = "\n\nUsage:  longshore images [OPTIONS] [REPOSITORY[:TAG]]\n\nRun 'longshore images --help' for more information";
        for (line, status, expected) in [
            ("-l bogus images --foo", 1, "Unable to parse logging level: bogus".to_owned()),
            ("-l bogus frob", 1, "Unable to parse logging level: bogus".to_owned()),
            ("-l bogus --help", 1, "Unable to parse logging level: bogus".to_owned()),
            ("images --foo -l bogus", 125, format!("unknown flag: --foo{images}")),
            (
                "-h -l bogus images",
                1,
                "Flag shorthand -h has been deprecated, use --help\nUnable to parse logging level: bogus".to_owned(),
            ),
            (
                "-h images --foo",
                125,
                format!("Flag shorthand -h has been deprecated, use --help\nunknown flag: --foo{images}"),
            ),
            (
                "-hx",
                125,
                "Flag shorthand -h has been deprecated, use --help\nunknown shorthand flag: 'x' in -x\n\nUsage:  longshore [OPTIONS] COMMAND [ARG...]\n\nRun 'longshore --help' for more information".to_owned(),
            ),
            ("images -hx", 125, format!("unknown shorthand flag: 'x' in -x{images}")),
            (
                "manifest frob",
                1,
                "longshore: unknown command: longshore manifest frob\n\nUsage:  longshore manifest COMMAND\n\nRun 'longshore manifest --help' for more information".to_owned(),
            ),
        ] {
            assert_eq!(refused(line), (expected, status), "{line}");
        }
    }
}
