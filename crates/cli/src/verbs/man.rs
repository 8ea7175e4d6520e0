//! `longshore man`: manual pages of the commands, from the same texts as `--help`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command};

use crate::aside::Aside;
use crate::build_info::VERSION;
use crate::error::CliError;
use crate::output;

/// Write manual pages into a folder
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore man DIRECTORY")]
pub(crate) struct Arguments {
    #[arg(hide = true, value_name = "DIRECTORY")]
    directory: PathBuf,
}

/// Writes a page for each command.
pub(crate) fn run(arguments: &Arguments, commands: &Command) -> Result<(), CliError> {
    let directory = &arguments.directory;
    let failed = |path: &Path, error: &std::io::Error| {
        CliError::Refused(format!("write {}: {error}", path.display()))
    };
    fs::create_dir_all(directory).map_err(|error| failed(directory, &error))?;
    let mut written = Vec::new();
    for (name, page) in pages(commands) {
        let path = directory.join(format!("{name}.1"));
        let published = Aside::new(&path, 0o644).and_then(|mut file| {
            file.write(page.as_bytes())?;
            file.publish()
        });
        published.map_err(|error| failed(&path, &error))?;
        written.push(path);
    }
    // Whoever has read enough of this list has all pages all the same.
    written.iter().try_for_each(|path| output::print_line(&path.display().to_string()))
}

/// Returns the pages by name: `longshore`, `longshore-image-ls`.
fn pages(root: &Command) -> Vec<(String, String)> {
    let mut pages = Vec::new();
    let mut open = vec![(root, vec![root.get_name().to_owned()])];
    while let Some((command, path)) = open.pop() {
        pages.push((path.join("-"), page(command, &path)));
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let mut path = path.clone();
            path.push(verb.get_name().to_owned());
            open.push((verb, path));
        }
    }
    pages.sort_unstable();
    pages
}

fn page(command: &Command, path: &[String]) -> String {
    let (name, is_root) = (path.join("-"), path.len() == 1);
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let about = about.lines().next().unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let mut text = format!(
        ".TH \"{}\" 1 \"\" \"Longshore {VERSION}\" \"Longshore Manual\"\n.SH NAME\n{} \\- {}\n.SH SYNOPSIS\n.B {}\n",
        name.to_uppercase(),
        escaped(&name),
        escaped(about.trim_end_matches('.')),
        escaped(usage),
    );
    let long = command.get_long_about().map(ToString::to_string);
    let long = long.unwrap_or_else(|| about.to_owned());
    text.extend([".SH DESCRIPTION\n", &escaped(long.trim()), "\n"]);
    let verbs: Vec<&Command> =
        command.get_subcommands().filter(|verb| !verb.is_hide_set()).collect();
    if !verbs.is_empty() {
        text.push_str(".SH COMMANDS\n");
        for verb in verbs {
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            let about = about.lines().next().unwrap_or_default().to_owned();
            let page = escaped(&format!("{name}-{}", verb.get_name()));
            text.push_str(&entry(&format!("\\fB{page}\\fR(1)"), &about));
        }
    }
    // Flags that stand before every command are told of once.
    let shown = command.get_arguments().filter(|arg| {
        !arg.is_hide_set() && !arg.is_positional() && (is_root || !arg.is_global_set())
    });
    let options: String = shown.map(option).collect();
    if !options.is_empty() {
        text.extend([".SH OPTIONS\n", &options]);
    }
    let names: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
    for (title, lines) in crate::usage::texts::sections(&names) {
        text.extend([
            ".SH ",
            &title.to_uppercase(),
            "\n.nf\n",
            &escaped(&lines.join("\n")),
            "\n.fi\n",
        ]);
    }
    if !is_root {
        text.push_str(
            ".SH SEE ALSO\n\\fBlongshore\\fR(1), for the options that every command has, and exit statuses\n",
        );
    }
    text
}

fn option(arg: &Arg) -> String {
    let names = [
        arg.get_short().map(|short| format!("-{short}")),
        arg.get_long().map(|long| format!("--{long}")),
    ];
    let names: Vec<String> =
        names.into_iter().flatten().map(|name| format!("\\fB{}\\fR", escaped(&name))).collect();
    let value = if arg.get_action().takes_values() {
        let names = arg.get_value_names().unwrap_or_default();
        let names: Vec<String> = names.iter().map(|name| escaped(name)).collect();
        format!(" \\fI{}\\fR", names.join(" "))
    } else {
        String::new()
    };
    let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
    entry(&format!("{}{value}", names.join(", ")), &help)
}

fn entry(term: &str, text: &str) -> String {
    format!(".TP\n{term}\n{}\n", escaped(text))
}

/// Returns text as roff has it: no character of it commands anything.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = text.lines().map(|line| {
        if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.to_owned() }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_flags() {
        let pages = pages(&crate::usage::tree());
        let page = |name: &str| {
            let found = pages.iter().find(|(known, _)| known == name);
            found.map_or_else(|| panic!("no page {name}"), |(_, page)| page.as_str())
        };
        for (name, part) in [
            ("longshore", "\\fB\\-\\-data\\-root\\fR \\fIdirectory\\fR"),
            ("longshore", "\\fBlongshore\\-pull\\fR(1)"),
            ("longshore-pull", "\\fB\\-a\\fR, \\fB\\-\\-all\\-tags\\fR"),
            ("longshore-image-ls", ".B longshore image ls [OPTIONS] [REPOSITORY[:TAG]]"),
            ("longshore-daemon", ".SH SEE ALSO"),
            ("longshore", ".SH EXIT STATUS\n.nf\n0    done\n"),
            (
                "longshore-pull",
                ".SH EXAMPLES\n.nf\n# An image of Docker Hub\nlongshore pull alpine:3.20\n",
            ),
            ("longshore-image-ls", ".SH KEYS\n.nf\n\\-\\-filter: before"),
        ] {
            assert!(page(name).contains(part), "{name}: {part}\n{}", page(name));
        }
        assert!(!page("longshore-pull").contains("data\\-root"));
    }

    #[test]
    fn text_commands_nothing() {
        assert_eq!(escaped(".TH x\n'y\\z-"), "\\&.TH x\n\\&'y\\ez\\-");
    }
}
