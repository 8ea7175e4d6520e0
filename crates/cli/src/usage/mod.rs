//! The command line as Docker's users write it, and its errors.
//!
//! clap parses, by the grammar of [`pflag`]. Errors have Docker's words, usage line and exit status (125 for flags, 1 for
//! arguments), and Docker's order: a flag that is wrong comes before a request for help, and that before a command that is
//! unknown or an argument that is missing.

mod absent;
mod explain;
#[cfg(test)]
mod tests;
pub(crate) mod texts;

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, ArgMatches, Command, CommandFactory as _, FromArgMatches as _, ValueEnum as _};

use explain::explain;
use texts::{WIDTH, grouped, with_ends};

use crate::arguments::{CommandLine, Verb};
use crate::error::CliError;
use crate::globals::LogLevel;
use crate::pflag::{self, Help};

/// The word by which the scripts of shells ask for candidates.
const COMPLETE: &str = "__complete";

/// The commands whose first argument ends their flags.
const WITHOUT_LATE_FLAGS: [&str; 2] = ["longshore tag", "longshore image tag"];

const DEPRECATED: &str = "Flag shorthand -h has been deprecated, use --help\n";
const HELP_TEMPLATE: &str = "Usage:  {usage}\n\n{about-with-newline}\n{all-args}{after-help}\n";

/// A command line, read.
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
    let mut arguments: Vec<OsString> = arguments.into_iter().collect();
    if arguments.get(1).is_some_and(|word| word == COMPLETE) {
        let words = arguments.drain(2..).map(|word| word.to_string_lossy().into_owned());
        return Ok(Request::Complete(words.collect()));
    }
    let grammar = grammar();
    let mut read = grammar.clone().try_get_matches_from(&arguments);
    if !read.as_ref().is_ok_and(|read| pflag::help(read).is_none()) {
        arguments = ending_flags(arguments);
        read = grammar.clone().try_get_matches_from(&arguments);
    }
    let error = match read {
        Ok(matches) => match help_asked(&grammar, &matches) {
            Some(help) => return Ok(help),
            None => match CommandLine::from_arg_matches(&matches) {
                Ok(line) => return request(line),
                Err(error) => error,
            },
        },
        Err(error) => error,
    };
    // docker reads all flags before it looks for the command and counts the arguments.
    let alone = alone();
    let read = |words: &[OsString]| alone.clone().try_get_matches_from(words);
    let (error, matches, from) = match read(&arguments) {
        Ok(matches) if wrong_level(&matches).is_none() => match help_asked(&grammar, &matches) {
            Some(help) => return Ok(help),
            None => (error, Some(matches), arguments.len()),
        },
        Ok(matches) => (error, Some(matches), arguments.len()),
        // The words before the flag that is wrong say whose flag it is.
        Err(error) => {
            let mut flags = (1..arguments.len()).rev().filter(|at| is_flag(&arguments[*at]));
            let found = flags.find_map(|at| Some((read(&arguments[..at]).ok()?, at)));
            let (matches, at) = found.unzip();
            (error, matches, at.unwrap_or(arguments.len()))
        }
    };
    let matches = matches.unwrap_or_default();
    let path = pflag::path(&grammar, &matches);
    let error = match error.kind() {
        // docker looks at the level once it has read the flags before the command.
        _ if let Some(level) = wrong_level(&matches) => CliError::Usage {
            message: format!("Unable to parse logging level: {level}"),
            status: 1,
        },
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand | ErrorKind::MissingSubcommand => {
            return Ok(Request::Nothing(help(&path)));
        }
        _ => {
            let told = explain(&error, at(&grammar, &path), &path, &arguments[from..]);
            // docker complains of a flag before it looks whose it is.
            let verb = arguments[1..from].iter().find(|word| !is_flag(word));
            match verb.filter(|_| path.len() == 1) {
                Some(verb) => explain::of_absent(told, &verb.to_string_lossy()),
                None => told,
            }
        }
    };
    // Of these flags it also tells at once that a letter is out of use.
    let end = (1..=from)
        .find(|end| read(&arguments[..*end]).is_ok_and(|read| read.subcommand_name().is_some()));
    let first = read(&arguments[..end.map_or(from, |end| end - 1)]);
    let with_letter = end.is_none()
        && arguments.get(from).is_some_and(|word| word.as_encoded_bytes().starts_with(b"-h"));
    let is_told = with_letter || first.is_ok_and(|read| pflag::help(&read) == Some(Help::Letter));
    Err(if is_told { deprecated(error) } else { error })
}

/// Ends the flags of a `tag` before its first argument, as docker does: what follows is no flag, whatever it looks like. Where nothing
/// is wrong, flags of ours may follow all the same.
fn ending_flags(mut arguments: Vec<OsString>) -> Vec<OsString> {
    if !arguments.iter().any(|word| word == "tag") {
        return arguments;
    }
    let alone = alone();
    let has_argument = |end: &usize| {
        let Ok(read) = alone.clone().try_get_matches_from(&arguments[..*end]) else { return false };
        let mut of_verb = &read;
        while let Some((_, inner)) = of_verb.subcommand() {
            of_verb = inner;
        }
        let has_source = of_verb.try_contains_id("source").unwrap_or_default();
        has_source && WITHOUT_LATE_FLAGS.contains(&&*pflag::path(&alone, &read).join(" "))
    };
    if let Some(end) = (1..=arguments.len()).find(has_argument)
        && arguments[end - 2] != "--"
    {
        arguments.insert(end - 1, OsString::from("--"));
    }
    arguments
}

/// Returns the grammar in which nothing but flags can be wrong.
fn alone() -> Command {
    pflag::flags_alone(pflag::grammar(CommandLine::command()))
}

/// Returns the level that is asked for and is none.
fn wrong_level(matches: &ArgMatches) -> Option<String> {
    let level = matches.try_get_one::<OsString>("log_level").ok().flatten()?;
    let level = level.to_string_lossy();
    LogLevel::from_str(&level, false).is_err().then(|| level.into_owned())
}

/// Tells of a letter that is out of use before an error.
fn deprecated(error: CliError) -> CliError {
    match error {
        CliError::Usage { message, status } => {
            CliError::Usage { message: format!("{DEPRECATED}{message}"), status }
        }
        CliError::Advised { error, hint } => {
            CliError::Advised { error: Box::new(deprecated(*error)), hint }
        }
        error => error,
    }
}

fn is_flag(word: &OsString) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

fn help_asked(grammar: &Command, matches: &ArgMatches) -> Option<Request> {
    let path = pflag::path(grammar, matches);
    Some(Request::Help(match pflag::help(matches)? {
        Help::Name => shown(at(&detailed(), &path)),
        Help::Letter => DEPRECATED.to_owned() + &help(&path),
    }))
}

fn request(line: CommandLine) -> Result<Request, CliError> {
    match line.verb {
        None if !line.version => Ok(Request::Nothing(help(&[]))),
        Some(Verb::Registry(arguments)) if arguments.is_empty() => {
            Ok(Request::Nothing(help(&["longshore".to_owned(), "registry".to_owned()])))
        }
        Some(Verb::Help(arguments)) => help_about(&arguments.topic),
        _ => Ok(Request::Run(Box::new(line))),
    }
}

/// Returns the tree of commands, as their flags are read.
pub(crate) fn grammar() -> Command {
    let mut command = pflag::grammar(CommandLine::command());
    command.build();
    command
}

/// Returns the tree of commands, as they are shown.
pub(crate) fn tree() -> Command {
    built(pflag::shown(CommandLine::command()))
}

fn built(command: Command) -> Command {
    let mut command = with_template(command);
    command.build();
    command
}

/// Returns the tree of commands with all that is told of them and of their flags, in the looks of the short help.
fn detailed() -> Command {
    fn detailed(command: Command) -> Command {
        let about = command.get_long_about().map(|about| flowing(&about.to_string()));
        let command = match about {
            Some(about) => command.about(about).long_about(None::<&'static str>),
            None => command,
        };
        command.mut_args(detailed_flag).mut_subcommands(detailed)
    }
    fn detailed_flag(arg: Arg) -> Arg {
        match arg.get_long_help().cloned() {
            Some(help) => arg.help(help).long_help(None::<&'static str>),
            None => arg,
        }
    }
    with_ends(built(detailed(pflag::shown(CommandLine::command()))), &[])
}

/// Joins the lines of each paragraph, which a terminal breaks where it is full. Lines that are set in, as examples are, stay.
fn flowing(text: &str) -> String {
    let mut flowing = String::new();
    let mut is_open = false;
    for line in text.lines() {
        let is_prose = !line.is_empty() && !line.starts_with(' ');
        if !flowing.is_empty() {
            flowing.push(if is_open && is_prose { ' ' } else { '\n' });
        }
        flowing.push_str(line);
        is_open = is_prose;
    }
    flowing
}

fn with_template(command: Command) -> Command {
    command.help_template(HELP_TEMPLATE).max_term_width(WIDTH).mut_subcommands(with_template)
}

/// Returns the help of the command at the end of a path of names, the program's first.
fn help(path: &[String]) -> String {
    shown(at(&tree(), path))
}

/// Returns the help of the verb that `topic` is the path of.
fn help_about(topic: &[String]) -> Result<Request, CliError> {
    let root = detailed();
    let mut command = &root;
    for (index, name) in topic.iter().enumerate() {
        let Some(verb) = command.find_subcommand(name) else {
            return Err(CliError::Refused(format!(
                "unknown help topic: {}",
                topic[index..].join(" ")
            )));
        };
        command = verb;
    }
    Ok(Request::Help(shown(command)))
}

fn shown(command: &Command) -> String {
    let is_root = command.get_name() == "longshore";
    let mut command = if is_root { grouped(command) } else { listing(command) };
    let help = command.render_help().to_string();
    help.trim_end().to_owned() + "\n"
}

/// Shortens what is told of each command below one to its first line: a list is for finding.
fn listing(command: &Command) -> Command {
    command.clone().mut_subcommands(|verb| {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        let first = about.lines().next().unwrap_or_default().to_owned();
        verb.about(first)
    })
}

/// Returns the command at the end of a path of names, the program's first.
fn at<'a>(root: &'a Command, path: &[String]) -> &'a Command {
    path.iter().skip(1).fold(root, |command, name| command.find_subcommand(name).unwrap_or(command))
}
