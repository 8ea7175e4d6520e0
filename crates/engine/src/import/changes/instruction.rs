//! The meaning of an instruction, and a check that it has the arguments that it needs.

use spec::go::quoted;

use super::config::Healthcheck;
use super::error::{Result, wrong};
use super::parser::Node;
use super::values::{retries, time};

/// A command, or the arguments of one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CommandLine {
    pub(super) words: Vec<String>,
    pub(super) is_json: bool,
}

/// An instruction that changes a config.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Instruction {
    Env(Vec<(String, String)>),
    Label(Vec<(String, String)>),
    Cmd(CommandLine),
    /// `None` takes the entrypoint away.
    Entrypoint(Option<CommandLine>),
    Healthcheck(Healthcheck),
    Expose(Vec<String>),
    OnBuild(String),
    User(String),
    Volume(Vec<String>),
    Workdir(String),
    StopSignal(String),
}

/// The flags of `HEALTHCHECK`.
const HEALTHCHECK_FLAGS: [&str; 5] =
    ["interval", "timeout", "start-period", "start-interval", "retries"];

impl Instruction {
    /// Reads a node whose name is that of an instruction that changes a config.
    pub(super) fn new(node: Node) -> Result<Self> {
        let name = node.name.to_uppercase();
        if !matches!(name.as_str(), "HEALTHCHECK" | "STOPSIGNAL") {
            check_arguments(&name, &node)?;
            Flags::parse(&node.flags, &[])?;
        }
        let line = |words| CommandLine { words, is_json: node.is_json };
        Ok(match name.as_str() {
            "ENV" => Self::Env(pairs(&name, node.arguments)?),
            "LABEL" => Self::Label(pairs(&name, node.arguments)?),
            "CMD" => Self::Cmd(line(node.arguments)),
            "ENTRYPOINT" => {
                let words = node.arguments;
                Self::Entrypoint(if words.is_empty() { None } else { Some(line(words)) })
            }
            "HEALTHCHECK" => Self::Healthcheck(healthcheck(&node)?),
            "EXPOSE" => {
                let mut ports = node.arguments;
                ports.sort();
                Self::Expose(ports)
            }
            "ONBUILD" => Self::OnBuild(trigger(&node)?),
            "USER" => Self::User(exactly_one(&name, node.arguments)?),
            "VOLUME" => Self::Volume(volumes(node.arguments)?),
            "WORKDIR" => Self::Workdir(exactly_one(&name, node.arguments)?),
            "STOPSIGNAL" => Self::StopSignal(exactly_one(&name, node.arguments)?),
            _ => return wrong(format!("unknown instruction: {}", node.name)),
        })
    }
}

/// Checks the number of arguments of those instructions that look at it before they look at their flags.
fn check_arguments(name: &str, node: &Node) -> Result<()> {
    match name {
        "EXPOSE" | "ONBUILD" | "VOLUME" => at_least_one(name, &node.arguments),
        "USER" | "WORKDIR" if node.arguments.len() != 1 => {
            wrong(format!("{name} requires exactly one argument"))
        }
        _ => Ok(()),
    }
}

fn at_least_one(name: &str, arguments: &[String]) -> Result<()> {
    if arguments.is_empty() {
        return wrong(format!("{name} requires at least one argument"));
    }
    Ok(())
}

fn exactly_one(name: &str, arguments: Vec<String>) -> Result<String> {
    match <[String; 1]>::try_from(arguments) {
        Ok([argument]) => Ok(argument),
        Err(_) => wrong(format!("{name} requires exactly one argument")),
    }
}

fn pairs(name: &str, arguments: Vec<String>) -> Result<Vec<(String, String)>> {
    at_least_one(name, &arguments)?;
    let mut pairs = Vec::with_capacity(arguments.len() / 2);
    let mut arguments = arguments.into_iter();
    while let (Some(key), Some(value)) = (arguments.next(), arguments.next()) {
        if key.is_empty() {
            return wrong(format!("{name} names can not be blank"));
        }
        pairs.push((key, value));
    }
    Ok(pairs)
}

fn volumes(arguments: Vec<String>) -> Result<Vec<String>> {
    let volumes = arguments.into_iter().map(|volume| match volume.trim() {
        "" => wrong("VOLUME specified can not be an empty string"),
        volume => Ok(volume.to_owned()),
    });
    volumes.collect()
}

/// Returns what `ONBUILD` is to keep: the line without its own name.
fn trigger(node: &Node) -> Result<String> {
    let inner = node.arguments.first().map(|name| name.trim().to_uppercase());
    match inner.as_deref() {
        Some("ONBUILD") => return wrong("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        Some(inner @ ("MAINTAINER" | "FROM")) => {
            return wrong(format!("{inner} isn't allowed as an ONBUILD trigger"));
        }
        _ => {}
    }
    let line = node.original.trim_start();
    let rest = line.get(node.name.len()..).unwrap_or_default();
    Ok(rest.trim_start_matches(['\t', '\n', '\x0c', '\r', ' ']).to_owned())
}

fn healthcheck(node: &Node) -> Result<Healthcheck> {
    at_least_one("HEALTHCHECK", &node.arguments)?;
    let kind = node.arguments[0].to_uppercase();
    let command = &node.arguments[1..];
    if kind == "NONE" {
        if !command.is_empty() {
            return wrong("HEALTHCHECK NONE takes no arguments");
        }
        return Ok(Healthcheck { test: vec![kind], ..Healthcheck::default() });
    }
    let flags = Flags::parse(&node.flags, &HEALTHCHECK_FLAGS)?;
    if kind != "CMD" {
        return wrong(format!("Unknown type {} in HEALTHCHECK (try CMD)", quoted(&kind)));
    }
    if command.is_empty() {
        return wrong("Missing command after HEALTHCHECK CMD");
    }
    let kind = if node.is_json { kind } else { "CMD-SHELL".to_owned() };
    Ok(Healthcheck {
        test: std::iter::once(kind).chain(command.iter().cloned()).collect(),
        interval: time("interval", flags.value("interval"))?,
        timeout: time("timeout", flags.value("timeout"))?,
        start_period: time("start-period", flags.value("start-period"))?,
        start_interval: time("start-interval", flags.value("start-interval"))?,
        retries: retries(flags.value("retries"))?,
    })
}

/// The flags of one instruction: names and values, each once.
struct Flags<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Flags<'a> {
    fn parse(words: &'a [String], known: &[&str]) -> Result<Self> {
        let mut flags = Vec::new();
        for word in words {
            let (dashed, value) = match word.split_once('=') {
                Some((name, value)) => (name, Some(value)),
                None => (word.as_str(), None),
            };
            let Some(name) = dashed.strip_prefix("--") else {
                return wrong(format!("arg should start with -- : {word}"));
            };
            if !known.contains(&name) {
                let meant = closest(name, known);
                let meant = meant.map(|meant| format!(" (did you mean {meant}?)"));
                return wrong(format!("unknown flag: {dashed}{}", meant.unwrap_or_default()));
            }
            if flags.iter().any(|(other, _)| *other == name) {
                return wrong(format!("duplicate flag specified: {dashed}"));
            }
            let Some(value) = value else {
                return wrong(format!("missing a value on flag: {dashed}"));
            };
            flags.push((name, value));
        }
        Ok(Self(flags))
    }

    fn value(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }
}

/// Returns the name that is at most two mistakes away.
fn closest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    // Nothing that is this much longer is close, whatever is in it.
    const LONGEST: usize = 32;
    if word.len() > LONGEST {
        return None;
    }
    let distances = known.iter().map(|name| (distance(word, name), *name));
    distances
        .filter(|(distance, _)| *distance < 3)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Levenshtein's.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, c) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, d) in b.iter().enumerate() {
            let changed = diagonal + usize::from(c != *d);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
