//! Flags by the rules of pflag, which docker reads them with, as a grammar of clap.
//!
//! A truth value may be written behind its flag (`--quiet=false`, `-aq=1`) and of several the last one holds; `--help` is such
//! a flag, too. The value of any other flag is the next word, whatever it looks like.

use std::any::TypeId;

use clap::builder::ValueParser;
use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::values::boolean;

/// The help that is asked for by its name.
const HELP: &str = "help";
/// The help that is asked for by its letter, which docker advises against.
const HELP_LETTER: &str = "help-letter";

/// A way to ask for help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Help {
    /// `--help`
    Name,
    /// `-h`
    Letter,
}

/// Returns the commands with their flags as they are read.
pub(crate) fn grammar(root: Command) -> Command {
    let letter = Arg::new(HELP_LETTER).short('h').help("Print help");
    let flags = [Arg::new(HELP).long(HELP).help("Print help"), letter];
    let flags = flags.map(|arg| arg.action(ArgAction::SetTrue).global(true));
    read(root.disable_help_flag(true).args(flags))
}

fn read(command: Command) -> Command {
    command.mut_args(read_flag).mut_subcommands(read)
}

fn read_flag(arg: Arg) -> Arg {
    if is_boolean(&arg) {
        let is_false_without = matches!(arg.get_action(), ArgAction::SetTrue);
        let arg = arg.action(ArgAction::Set).num_args(0..=1).require_equals(true);
        let arg = arg.default_missing_value("true").value_parser(boolean);
        return if is_false_without { arg.default_value("false") } else { arg };
    }
    let takes_word = arg.get_action().takes_values() && !arg.is_positional();
    if takes_word { arg.allow_hyphen_values(true) } else { arg }
}

/// Returns the commands with their flags as help shows them: truth values have no value.
pub(crate) fn shown(command: Command) -> Command {
    let shown = |arg: Arg| if is_boolean(&arg) { arg.action(ArgAction::SetTrue) } else { arg };
    command.mut_args(shown).mut_subcommands(self::shown)
}

/// Returns a grammar in which nothing but flags can be wrong: any words may stand where arguments or commands are.
pub(crate) fn flags_alone(grammar: Command) -> Command {
    let mut left = grammar.get_positionals().count();
    let takes_none = left == 0;
    let command = grammar.mut_args(|arg| {
        if !arg.is_positional() {
            let arg = arg.required(false);
            // To pflag a level is any text: docker looks at it by itself.
            let is_level = arg.get_long() == Some("log-level");
            return if is_level { arg.value_parser(ValueParser::os_string()) } else { arg };
        }
        left -= 1;
        let word = Arg::new(arg.get_id().clone()).value_parser(ValueParser::os_string());
        if left == 0 { word.num_args(0..) } else { word }
    });
    let words = Arg::new("words").num_args(0..).value_parser(ValueParser::os_string());
    let command = if takes_none { command.arg(words) } else { command };
    let command = command.subcommand_required(false).arg_required_else_help(false);
    command.mut_subcommands(flags_alone)
}

/// Returns whether, and how, a command line asked for help.
pub(crate) fn help(matches: &ArgMatches) -> Option<Help> {
    let [name, letter] = [HELP, HELP_LETTER].map(|id| matches.get_one(id) == Some(&true));
    if letter { Some(Help::Letter) } else { name.then_some(Help::Name) }
}

/// Returns the names of the commands that a command line went through, the root's first.
pub(crate) fn path(root: &Command, matches: &ArgMatches) -> Vec<String> {
    let mut path = vec![root.get_name().to_owned()];
    let mut matches = matches;
    while let Some((name, inner)) = matches.subcommand() {
        path.push(name.to_owned());
        matches = inner;
    }
    path
}

/// Returns whether a flag is a truth value.
pub(crate) fn is_boolean(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue)
        || arg.get_value_parser().type_id() == TypeId::of::<bool>()
}

/// Reads the words behind a verb, for the tests of what it does.
#[cfg(test)]
pub(crate) fn verb<A: clap::Args, W: Clone + Into<std::ffi::OsString>>(
    words: impl Iterator<Item = W>,
) -> A {
    let command = A::augment_args(Command::new("verb").no_binary_name(true));
    let matches = grammar(command.args_override_self(true)).get_matches_from(words);
    A::from_arg_matches(&matches).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commands() -> Command {
        let flag =
            |letter, name| Arg::new(name).short(letter).long(name).action(ArgAction::SetTrue);
        let value = |letter, name| Arg::new(name).short(letter).long(name).action(ArgAction::Set);
        let maybe = Arg::new("maybe").long("maybe").value_parser(ValueParser::bool());
        let list = Command::new("list").args([flag('q', "quiet"), flag('a', "all"), maybe]);
        let list = list.args([value('f', "format"), Arg::new("name")]);
        Command::new("program").args_override_self(true).arg(flag('D', "debug")).subcommand(list)
    }

    #[test]
    fn the_last_of_several_truth_values_holds() {
        for (line, quiet, all, maybe) in [
            ("list", false, false, None),
            ("list -q", true, false, None),
            ("list -qa", true, true, None),
            ("list -q --quiet=false", false, false, None),
            ("list -aq -q=false", false, true, None),
            ("list -aq=0", false, true, None),
            ("list -q=F --quiet", true, false, None),
            ("list --quiet=T -a=False --maybe", true, false, Some(true)),
            ("list --maybe --maybe=f", false, false, Some(false)),
            ("list -qf=-a", true, false, None),
            ("list -f -a --quiet", true, false, None),
            ("list --format -- -q", true, false, None),
            ("list -- -q", false, false, None),
        ] {
            let words = ["program"].into_iter().chain(line.split(' '));
            let matches = grammar(commands()).try_get_matches_from(words).unwrap();
            let (_, list) = matches.subcommand().unwrap();
            let found = ["quiet", "all"].map(|id| *list.get_one::<bool>(id).unwrap());
            let found = (found, list.get_one::<bool>("maybe").copied());
            assert_eq!(found, ([quiet, all], maybe), "{line}");
        }
    }

    #[test]
    fn no_word_is_wrong_where_only_flags_are_looked_at() {
        let alone = flags_alone(grammar(commands()));
        for (line, path, asks) in [
            ("list a b -q c", "program list", None),
            ("frob list --debug", "program", None),
            ("list a --help b", "program list", Some(Help::Name)),
            ("-h list", "program list", Some(Help::Letter)),
            ("list --help=false", "program list", None),
        ] {
            let words = ["program"].into_iter().chain(line.split(' '));
            let matches = alone.clone().try_get_matches_from(words).unwrap();
            assert_eq!(super::path(&alone, &matches).join(" "), path, "{line}");
            assert_eq!(help(&matches), asks, "{line}");
        }
        for line in ["list a --foo", "frob -q", "list -q=maybe", "list -f"] {
            let words = ["program"].into_iter().chain(line.split(' '));
            assert!(alone.clone().try_get_matches_from(words).is_err(), "{line}");
        }
    }
}
