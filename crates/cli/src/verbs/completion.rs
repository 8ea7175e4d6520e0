//! `longshore completion`, and what the scripts ask for.
//!
//! The scripts know nothing: they hand over the words up to the cursor (`longshore __complete WORD…`) and show what is
//! printed, a candidate a line with what it is after a tab; `:files` leaves it to the shell.

mod patience;
mod remote;
mod values;

use api::image::ImageSummary;
use clap::{Arg, Command, FromArgMatches as _};

use self::patience::patiently;
use crate::client::Call;
use crate::environment::Environment;
use crate::error::CliError;
use crate::globals::Globals;
use crate::output;
use crate::pflag::is_boolean;
use crate::session::Session;

/// The word by which a script is told that files are wanted.
const FILES: &str = ":files";

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore completion bash|zsh|fish")]
pub(crate) struct Arguments {
    #[arg(hide = true)]
    shell: Language,
}

/// The shells that there are scripts for.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Language {
    Bash,
    Zsh,
    Fish,
}

/// Prints the script.
pub(crate) fn run(arguments: &Arguments) -> Result<(), CliError> {
    output::print(match arguments.shell {
        Language::Bash => include_str!("completion/bash.sh"),
        Language::Zsh => include_str!("completion/zsh.sh"),
        Language::Fish => include_str!("completion/fish.fish"),
    })
}

/// The candidates for the word at the cursor.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// One of these, each with what it is.
    Words(Vec<(String, String)>),
    /// A file, which the shell knows better.
    Files,
    /// A local image; `prefix` stands before it in the same word.
    Images,
    /// An image to be had from a registry: a local name, and behind its colon a tag that is there.
    Remote,
    /// A registry that there are credentials for.
    Registries,
    /// Nothing that is known.
    Nothing,
}

/// Prints the candidates for the last of `words`. Whatever goes wrong, there are none.
pub(crate) fn complete(words: &[String], root: &Command) -> Result<(), CliError> {
    let Some((current, before)) = words.split_last() else { return Ok(()) };
    let candidates = match wanted(root, before, current) {
        Wanted::Files => return output::print_line(FILES),
        Wanted::Nothing => return Ok(()),
        Wanted::Words(words) => words,
        Wanted::Images => described(images(root, before), "image"),
        Wanted::Remote => match remote::Asked::of(current) {
            Some(asked) => {
                let session = session(root, before);
                let tags = session.map(|session| remote::tags(&asked, &session));
                described(tags.unwrap_or_default(), "tag")
            }
            None => described(images(root, before), "image"),
        },
        Wanted::Registries => described(registries(root, before), "registry"),
    };
    let mut lines = String::new();
    for (word, what) in candidates.iter().filter(|(word, _)| word.starts_with(current.as_str())) {
        lines.extend([word, "\t", what, "\n"]);
    }
    output::print(&lines)
}

fn described(words: Vec<String>, what: &str) -> Vec<(String, String)> {
    words.into_iter().map(|word| (word, what.to_owned())).collect()
}

/// Finds out what the word after `before` is.
fn wanted(root: &Command, before: &[String], current: &str) -> Wanted {
    let mut command = root;
    let mut path = Vec::new();
    let mut arguments = 0;
    let mut open: Option<&Arg> = None;
    let mut only_arguments = false;
    for word in before {
        if open.take().is_some() {
            continue;
        }
        if only_arguments || !word.starts_with('-') || word == "-" {
            match command.find_subcommand(word).filter(|_| !only_arguments) {
                Some(verb) => {
                    path.push(verb.get_name());
                    command = verb;
                }
                None => arguments += 1,
            }
        } else if word == "--" {
            only_arguments = true;
        } else {
            open = flag(command, word).filter(|arg| !is_boolean(arg) && !word.contains('='));
        }
    }
    if let Some(arg) = open {
        return value(&path, arg, "");
    }
    if !only_arguments
        && let Some((name, _)) = current.split_once('=').filter(|_| current.starts_with("--"))
    {
        return match flag(command, name) {
            Some(arg) => value(&path, arg, &format!("{name}=")),
            None => Wanted::Nothing,
        };
    }
    if !only_arguments && current.starts_with('-') {
        return flags(command);
    }
    if command.has_subcommands() && arguments == 0 {
        return verbs(command);
    }
    argument(&path, arguments)
}

/// Returns the flag that a word of a command line is.
fn flag<'a>(command: &'a Command, word: &str) -> Option<&'a Arg> {
    let mut flags = command.get_arguments();
    match word.strip_prefix("--") {
        Some(name) => {
            let name = name.split('=').next();
            flags.find(|arg| arg.get_long() == name)
        }
        // Of a group of letters the last one may take a value.
        None => {
            flags.find(|arg| arg.get_short().is_some() && arg.get_short() == word.chars().last())
        }
    }
}

fn flags(command: &Command) -> Wanted {
    let shown = command.get_arguments().filter(|arg| !arg.is_hide_set() && !arg.is_positional());
    let named = shown.filter_map(|arg| {
        Some((format!("--{}", arg.get_long()?), first_line(&arg.get_help()?.to_string())))
    });
    Wanted::Words(named.collect())
}

fn verbs(command: &Command) -> Wanted {
    let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let named = shown.map(|verb| {
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        (verb.get_name().to_owned(), first_line(&about))
    });
    Wanted::Words(named.collect())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// Returns the values of a flag; `prefix` stands before them in the same word.
fn value(path: &[&str], arg: &Arg, prefix: &str) -> Wanted {
    let name = arg.get_long().unwrap_or_default();
    if name == "since" && path.last() == Some(&"save") && prefix.is_empty() {
        return Wanted::Images;
    }
    let listed: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| value.get_name().to_owned())
        .collect();
    let known = if listed.is_empty() { values::of(path, name) } else { listed };
    if known.is_empty() {
        return if values::is_file(name) { Wanted::Files } else { Wanted::Nothing };
    }
    let what = format!("--{name}");
    Wanted::Words(
        known.into_iter().map(|value| (format!("{prefix}{value}"), what.clone())).collect(),
    )
}

/// Returns what a command takes as its argument number `position`.
fn argument(path: &[&str], position: usize) -> Wanted {
    let verb = match path {
        ["registry", "inspect" | "digest" | "tag" | "referrers"] | ["manifest", "inspect"]
            if position == 0 =>
        {
            return Wanted::Remote;
        }
        ["registry", "rm"] => return Wanted::Remote,
        ["image", verb, ..] | [verb, ..] => *verb,
        [] => return Wanted::Nothing,
    };
    match (verb, position) {
        ("images" | "ls" | "push" | "history" | "unpack" | "mount", 0)
        | ("tag" | "diff", 0 | 1)
        | ("rmi" | "rm" | "save" | "inspect", _) => Wanted::Images,
        ("pull" | "verify", 0) | ("copy", 0 | 1) => Wanted::Remote,
        ("login" | "logout", 0) => Wanted::Registries,
        ("import" | "umount" | "man" | "sync", 0) | ("unpack" | "mount", 1) => Wanted::Files,
        ("completion", 0) => {
            Wanted::Words(described(["bash", "zsh", "fish"].map(str::to_owned).to_vec(), "shell"))
        }
        _ => Wanted::Nothing,
    }
}

/// Starts a session as the flags of the command line say.
fn session(root: &Command, before: &[String]) -> Option<Session> {
    // The flags before the verb are enough: behind it they are still being written.
    let mut line = vec!["longshore".to_owned()];
    let mut words = before.iter();
    while let Some(word) = words.next().filter(|word| word.starts_with('-')) {
        line.push(word.clone());
        let takes = flag(root, word).is_some_and(|arg| !is_boolean(arg));
        if takes && !word.contains('=') {
            line.extend(words.next().cloned());
        }
    }
    line.push("images".to_owned());
    let matches = root.clone().try_get_matches_from(line).ok()?;
    let globals = Globals::from_arg_matches(&matches).ok()?;
    Session::new(&globals, Environment::read(), true).ok()
}

/// Returns the names of the local images. Where there is no store, none is made to look into.
fn images(root: &Command, before: &[String]) -> Vec<String> {
    let Some(session) = session(root, before) else { return Vec::new() };
    if !session.client.has_store() {
        return Vec::new();
    }
    let ask = async {
        let answer = session.client.get("/images/json", Call::default()).await.ok()?;
        let images = answer.json::<Vec<ImageSummary>>().await.ok();
        session.client.close().await;
        images
    };
    let images = patiently(ask).unwrap_or_default();
    let names = images.into_iter().flat_map(|image| image.repo_tags);
    let mut names: Vec<String> = names
        .filter(|name| name != "<none>:<none>")
        .flat_map(|name| [name.strip_suffix(":latest").unwrap_or_default().to_owned(), name])
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    names
}

fn registries(root: &Command, before: &[String]) -> Vec<String> {
    let Some(session) = session(root, before) else { return Vec::new() };
    // A file that cannot be read is not complained of here.
    session.credentials().map(|store| store.file().servers()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let root = crate::usage::grammar();
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let (current, before) = words.split_last().unwrap();
        match wanted(&root, before, current) {
            Wanted::Words(all) => {
                let words = all.into_iter().map(|(word, _)| word);
                words.filter(|word| word.starts_with(current.as_str())).collect()
            }
            other => vec![format!("{other:?}")],
        }
    }

    #[test]
    fn every_place_has_its_candidates() {
        for (line, expected) in [
            ("pus", &["push"][..]),
            ("image pu", &["pull", "push"]),
            ("-D image pu", &["pull", "push"]),
            ("-H unix:///x image pu", &["pull", "push"]),
            ("--data-root image", &["Files"]),
            ("images --no", &["--no-trunc"]),
            ("images --format ", &["json", "table"]),
            ("images --format=t", &["--format=table"]),
            ("images -f d", &["dangling="]),
            ("images -qf re", &["reference="]),
            ("events --filter ty", &["type="]),
            ("pull --platform linux/amd", &["linux/amd64"]),
            ("--storage-driver o", &["overlay2"]),
            ("-l de", &["debug"]),
            ("inspect --type im", &["image"]),
            ("rmi a ", &["Images"]),
            ("image rm -f ", &["Images"]),
            ("tag a ", &["Images"]),
            ("tag a b ", &["Nothing"]),
            ("rmi -- --", &["Images"]),
            ("save -o ", &["Files"]),
            ("unpack --bundle ", &["Images"]),
            ("mount a ", &["Files"]),
            ("umount ", &["Files"]),
            ("logout ", &["Registries"]),
            ("completion z", &["zsh"]),
            ("--data-root=", &["Files"]),
            ("pull ", &["Remote"]),
            ("pull a ", &["Nothing"]),
            ("copy -q a ", &["Remote"]),
            ("registry inspect ", &["Remote"]),
            ("registry rm a ", &["Remote"]),
            ("registry tags ", &["Nothing"]),
            ("manifest inspect ", &["Remote"]),
            ("frob --x=", &["Nothing"]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
        assert!(words("").contains(&"pull".to_owned()) && !words("").contains(&"help".to_owned()));
    }
}
