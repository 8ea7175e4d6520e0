//! The words of help and manual pages beside the flags: the groups of commands, examples, keys, exit statuses.

use clap::Command;

/// The columns of a help text, at most.
pub(super) const WIDTH: usize = 80;

/// The commands as `--help` lists them, in groups.
pub(super) const GROUPS: [(&str, &[&str]); 6] = [
    (
        "Images",
        &[
            "pull", "push", "images", "inspect", "history", "tag", "rmi", "prune", "save", "load",
            "import", "copy", "sync", "image", "manifest",
        ],
    ),
    ("Registries", &["login", "logout", "search", "registry"]),
    ("Trust", &["trust", "verify"]),
    ("Files of images", &["mount", "umount", "unpack"]),
    ("Store and daemon", &["daemon", "system", "doctor", "info", "events", "version"]),
    ("Shell and manual", &["completion", "man"]),
];

/// The texts below the flags of each command: a line of commands that have the same, the titles set in by one, and the
/// lines of each set in by two.
const COMMANDS: &str = include_str!("commands.txt");

/// Puts examples, keys and statuses below the help of a command at `path` and of those below it.
pub(super) fn with_ends(command: Command, path: &[&str]) -> Command {
    let names: Vec<String> =
        command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    let command = names.iter().fold(command, |command, name| {
        let path = [path, &[name.as_str()]].concat();
        command.mut_subcommand(name, |verb| with_ends(verb, &path))
    });
    let mut end = String::new();
    for (title, lines) in sections(path) {
        let lines = lines.iter().map(|line| format!("  {line}\n"));
        end.extend(["\n", title, ":\n"].map(str::to_owned).into_iter().chain(lines));
    }
    match command.get_after_help().map(ToString::to_string) {
        Some(last) => command.after_help(format!("{}\n{last}", end.trim_start())),
        None => command.after_help(end.trim().to_owned()),
    }
}

/// Shows the commands of the program in groups.
pub(super) fn grouped(command: &Command) -> Command {
    let mut groups = String::new();
    for (title, names) in GROUPS {
        groups.extend([title, ":\n"]);
        for verb in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            let about = about.lines().next().unwrap_or_default();
            let mut line = format!("  {:<10}", verb.get_name());
            for word in about.split(' ') {
                if line.chars().count() + word.chars().count() >= WIDTH {
                    groups.extend([line.as_str(), "\n"]);
                    line = " ".repeat(12);
                }
                line.extend([" ", word]);
            }
            groups.extend([line.as_str(), "\n"]);
        }
        groups.push('\n');
    }
    let template = format!(
        "Usage:  {{usage}}\n\n{{about-with-newline}}\n{groups}{{all-args}}{{after-help}}\n"
    );
    command.clone().mut_subcommands(|verb| verb.hide(true)).help_template(template)
}

/// Returns what stands below the flags of a command, whose path is without the program's name: titles, and lines.
pub(crate) fn sections(path: &[&str]) -> Vec<(&'static str, Vec<&'static str>)> {
    let path = if path.is_empty() { "(all)".to_owned() } else { path.join(" ") };
    let mut lines = COMMANDS.lines();
    lines.find(|line| !line.starts_with(' ') && line.split(", ").any(|command| command == path));
    let mut sections: Vec<(_, Vec<_>)> = Vec::new();
    for line in lines.take_while(|line| !line.is_empty()) {
        match (line.strip_prefix("  "), sections.last_mut()) {
            (Some(line), Some((_, lines))) => lines.push(line),
            _ => sections.push((line.trim_start(), Vec::new())),
        }
    }
    sections
}

/// Returns the examples of a command: each command line with what it does, the lines of one joined.
#[cfg(test)]
pub(super) fn examples(path: &[&str]) -> Vec<(&'static str, String)> {
    let sections = sections(path).into_iter().filter(|(title, _)| *title == "Examples");
    let mut examples: Vec<(&str, String)> = Vec::new();
    let mut told = "";
    for line in sections.flat_map(|(_, lines)| lines) {
        match (line.strip_prefix("# "), examples.last_mut()) {
            (Some(words), _) => told = words,
            (None, Some((_, open))) if open.ends_with('\\') => {
                open.pop();
                open.push_str(line);
            }
            (None, _) => examples.push((told, line.to_owned())),
        }
    }
    examples
}
