//! `--change`: instructions of a Dockerfile that set how a container of an imported image runs.
//!
//! # Flow
//! [`parser`] cuts the text into lines and the lines into instructions, [`instruction`] gives each its meaning,
//! [`shell`] puts the environment into their words, and [`apply`] writes the config.
//!
//! # Compatibility
//! The grammar, the order of the checks and the sentences are those of dockerd 29, which takes them from BuildKit.
//! Instructions that would run or copy something are refused, and so is `SHELL`. Here-documents, which only an
//! `ONBUILD RUN` could have, are not read as such.
//!
//! # Limits
//! dockerd's bound of 64 KiB a line, and the daemon's own on the request that the text is in.

mod config;
mod error;
mod instruction;
mod parser;
mod pattern;
mod ports;
mod shell;
mod values;

pub(super) use config::ContainerConfig;
pub(super) use error::ChangeError;

use error::{Result, wrong};
use instruction::{CommandLine, Instruction};
use parser::Dockerfile;
use shell::Environment;

/// The shell that runs commands given as text.
const SHELL: [&str; 2] = ["/bin/sh", "-c"];
/// The instructions that may change an image without a build.
const ALLOWED: [&str; 11] = [
    "cmd",
    "entrypoint",
    "healthcheck",
    "env",
    "expose",
    "label",
    "onbuild",
    "stopsignal",
    "user",
    "volume",
    "workdir",
];

/// Returns the config that the changes make of an empty one.
pub(super) fn apply(changes: &[String]) -> Result<ContainerConfig> {
    let mut state = State::default();
    if changes.is_empty() {
        return Ok(state.config);
    }
    let Dockerfile { nodes, escape } = parser::parse(&changes.join("\n"))?;
    let parsed = nodes.into_iter().map(|node| {
        if !ALLOWED.contains(&node.name.to_lowercase().as_str()) {
            return wrong(format!("{} is not a valid change command", node.name));
        }
        Instruction::new(node)
    });
    for instruction in parsed.collect::<Result<Vec<_>>>()? {
        state.run(instruction, escape)?;
    }
    Ok(state.config)
}

#[derive(Debug, Default)]
struct State {
    config: ContainerConfig,
    /// Set after a `CMD`, which an `ENTRYPOINT` then leaves alone.
    has_command: bool,
}

impl State {
    fn run(&mut self, instruction: Instruction, escape: char) -> Result<()> {
        let environment = Environment::new(self.config.env.as_deref().unwrap_or_default());
        let word = |text: &str| shell::word(text, &environment, escape);
        let pair = |(key, value): &(String, String)| Ok((word(key)?, word(value)?));
        let config = &mut self.config;
        match instruction {
            Instruction::Env(pairs) => {
                let pairs = pairs.iter().map(pair).collect::<Result<Vec<_>>>()?;
                let variables = config.env.get_or_insert_default();
                for (key, value) in pairs {
                    let line = format!("{key}={value}");
                    let known = variables.iter_mut().find(|known| name_of(known) == key);
                    match known {
                        Some(known) => *known = line,
                        None => variables.push(line),
                    }
                }
            }
            Instruction::Label(pairs) => {
                let pairs = pairs.iter().map(pair).collect::<Result<Vec<_>>>()?;
                config.labels.get_or_insert_default().extend(pairs);
            }
            Instruction::Cmd(line) => {
                self.has_command |= !line.words.is_empty();
                config.cmd = Some(with_shell(line));
            }
            Instruction::Entrypoint(line) => {
                config.entrypoint = line.map(with_shell);
                if !self.has_command {
                    config.cmd = None;
                }
            }
            Instruction::Healthcheck(check) => config.healthcheck = Some(check),
            Instruction::Expose(ports) => {
                let mut words = Vec::new();
                for port in &ports {
                    words.extend(shell::words(port, &environment, escape)?);
                }
                for port in ports::parse(&words)? {
                    config.exposed_ports.0.insert(port);
                }
            }
            Instruction::OnBuild(trigger) => config.on_build.push(trigger),
            Instruction::User(user) => config.user = word(&user)?,
            Instruction::Volume(volumes) => {
                let volumes =
                    volumes.iter().map(|volume| word(volume)).collect::<Result<Vec<_>>>()?;
                let known = config.volumes.get_or_insert_default();
                for volume in volumes {
                    if volume.is_empty() {
                        return wrong("VOLUME specified can not be an empty string");
                    }
                    known.0.insert(volume);
                }
            }
            Instruction::Workdir(path) => {
                let path = word(&path)?;
                if path.is_empty() {
                    return wrong("cannot normalize nothing");
                }
                config.working_dir = values::clean_path(&config.working_dir, &path);
            }
            Instruction::StopSignal(signal) => {
                let signal = word(&signal)?;
                values::check_signal(&signal)?;
                config.stop_signal = signal;
            }
        }
        Ok(())
    }
}

fn name_of(variable: &str) -> &str {
    variable.split_once('=').map_or(variable, |(name, _)| name)
}

/// Returns the words of a command: text is one word for the shell.
fn with_shell(line: CommandLine) -> Vec<String> {
    if line.is_json {
        return line.words;
    }
    SHELL.into_iter().map(str::to_owned).chain(line.words).collect()
}

#[cfg(test)]
mod tests;
