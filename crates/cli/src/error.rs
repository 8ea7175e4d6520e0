//! Failures of commands: the text on stderr, the hint below it, and the exit status.

use std::io;
use std::path::PathBuf;

use go_template::TemplateError;

use crate::client::{Host, HostError};

/// The exit status of a command line that names an unknown flag or a wrong value.
const USAGE_STATUS: u8 = 125;
/// The exit status of a `--format` that is no template, where Docker has one of its own (`EX_USAGE`).
const TEMPLATE_STATUS: u8 = 64;
/// The exit status of a program that SIGPIPE ends, which a shell never shows as a failure of a pipe's first part.
const PIPE_STATUS: u8 = 141;

/// A failed command. Texts that Docker prints as well are Docker's, letter by letter.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// The command line is wrong: an unknown flag, a wrong number of arguments.
    #[error("{message}")]
    Usage {
        /// The text, with the usage line below it.
        message: String,
        /// The exit status.
        status: u8,
    },
    /// Flags or arguments that do not go together, or a prompt that cannot be shown.
    #[error("{0}")]
    Refused(String),
    /// An image's name is no reference.
    #[error(transparent)]
    Reference(#[from] spec::ReferenceError),
    /// `--platform` is no platform.
    #[error(transparent)]
    Platform(#[from] spec::PlatformError),
    /// A source or destination that is no place of images.
    #[error(transparent)]
    Place(copy::PlaceError),
    /// A copy failed.
    #[error(transparent)]
    Copy(Box<copy::CopyError>),
    /// `-H` is no address of a daemon.
    #[error("Failed to initialize: unable to resolve docker endpoint: {0}")]
    Host(String),
    /// No daemon answers.
    #[error("Cannot connect to the Docker daemon at {0}. Is the docker daemon running?")]
    Connect(Host),
    /// The daemon's socket may not be opened.
    #[error("permission denied while trying to connect to the Docker daemon socket at {0}")]
    ConnectPermission(Host),
    /// The connection to the daemon broke, or its answer is no HTTP.
    #[error("error during connect: {}", with_causes(.0))]
    Transport(#[source] hyper::Error),
    /// The daemon and this program do not agree on TLS.
    #[error("error during connect: https://{authority}: {source}")]
    Tls {
        /// Host and port.
        authority: String,
        /// The cause.
        source: io::Error,
    },
    /// `ssh` cannot be run.
    #[error("error during connect: cannot run ssh for {host}: {source}")]
    Ssh {
        /// The address.
        host: Host,
        /// The cause.
        source: io::Error,
    },
    /// The daemon answered with an error.
    #[error("Error response from daemon: {message}")]
    Daemon {
        /// The HTTP status.
        status: u16,
        /// The daemon's words.
        message: String,
    },
    /// The daemon's progress stream ended in an error.
    #[error("{0}")]
    Stream(String),
    /// An archive has no image for the platform.
    #[error("{name}: {error}")]
    Archive {
        /// The archive.
        name: String,
        /// The daemon's own words.
        error: Box<CliError>,
    },
    /// A body for the daemon that ends too early.
    #[error("{error}")]
    Truncated {
        /// The daemon's own words.
        error: Box<CliError>,
        /// The file.
        name: String,
        /// The place at which it ends.
        size: u64,
    },
    /// The daemon's answer cannot be read.
    #[error(transparent)]
    Answer(#[from] api::ApiError),
    /// The daemon's answer is not the expected JSON.
    #[error("error reading the daemon's answer: {0}")]
    AnswerJson(#[source] serde_json::Error),
    /// The daemon's answer is larger than any honest one.
    #[error("the daemon's answer is larger than {0} bytes")]
    AnswerSize(usize),
    /// The engine of this process could not be started.
    #[error("{0}")]
    Engine(String),
    /// The data root of this process could not be opened.
    #[error("{0}")]
    DataRoot(String),
    /// The daemon or the registry server ended with an error.
    #[error("{0}")]
    Serve(String),
    /// A template that does not parse or run.
    #[error("template parsing error: {0}")]
    Template(#[from] TemplateError),
    /// A template that does not parse or run, of events.
    #[error("Error parsing format: {0}")]
    EventTemplate(#[source] TemplateError),
    /// A template that does not run, in a command that says no more of it.
    #[error("{0}")]
    TemplateRun(#[source] TemplateError),
    /// A template that does not parse, in a command where that has an exit status of its own.
    #[error("template parsing error: {0}")]
    TemplateArgument(#[source] TemplateError),
    /// The configuration file cannot be read.
    #[error("loading config file: {path}: {source}", path = path.display())]
    ConfigRead {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The configuration file is not what it should be.
    #[error("parsing config file ({path}): {message}", path = path.display())]
    ConfigSyntax {
        /// The file.
        path: PathBuf,
        /// The cause.
        message: String,
    },
    /// There is no directory for the configuration.
    #[error(
        "there is no directory for config.json: HOME is not set, and /etc/passwd has no home for this user"
    )]
    NoConfigDirectory,
    /// The configuration file cannot be written.
    #[error("Error saving credentials: {path}: {source}", path = path.display())]
    ConfigWrite {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A credential helper failed.
    #[error("error {action} credentials - err: {reason}, out: `{output}`")]
    Helper {
        /// `getting`, `storing` or `erasing`.
        action: &'static str,
        /// The cause.
        reason: String,
        /// The helper's output.
        output: String,
    },
    /// Credentials could not be kept after a login.
    #[error("Error saving credentials: {0}")]
    SaveCredentials(#[source] Box<CliError>),
    /// Standard input cannot be read.
    #[error("cannot read standard input: {0}")]
    Input(#[source] io::Error),
    /// Standard output cannot be written.
    #[error("cannot write standard output: {0}")]
    Output(#[source] io::Error),
    /// Nobody reads standard output any more: there is nothing to say.
    #[error("")]
    BrokenPipe,
    /// The runtime or a signal handler could not be set up.
    #[error("cannot start: {0}")]
    Start(#[source] io::Error),
    /// A failure with advice of the command's own.
    #[error("{error}")]
    Advised {
        /// The failure.
        error: Box<CliError>,
        /// The advice.
        hint: String,
    },
    /// An image is not trusted, or trust in it could not be made.
    #[error("{0}")]
    Trust(String),
    /// Several failures, one a name.
    #[error("{}", lines(.0))]
    Several(Vec<CliError>),
    /// A signal ended the command: there is nothing to say.
    #[error("")]
    Interrupted(u8),
}

/// Returns an error with its causes, joined by colons.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// Returns the text of an error as Go prints it.
pub(crate) fn in_go_words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_ascii_lowercase());
    first.into_iter().chain(characters).collect()
}

fn lines(errors: &[CliError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl From<copy::CopyError> for CliError {
    fn from(error: copy::CopyError) -> CliError {
        CliError::Copy(Box::new(error))
    }
}

impl From<HostError> for CliError {
    fn from(error: HostError) -> CliError {
        CliError::Host(error.to_string())
    }
}

impl CliError {
    /// Returns the exit status of the process.
    pub(crate) fn status(&self) -> u8 {
        match self {
            CliError::Usage { status, .. } => *status,
            CliError::TemplateArgument(_) | CliError::EventTemplate(_) => TEMPLATE_STATUS,
            CliError::BrokenPipe => PIPE_STATUS,
            // As a shell reports a program that the signal ended.
            CliError::Interrupted(signal) => 128 + signal,
            CliError::Advised { error, .. } => error.status(),
            _ => 1,
        }
    }

    /// Returns a failure for a wrong flag or value.
    pub(crate) fn usage(message: String) -> CliError {
        CliError::Usage { message, status: USAGE_STATUS }
    }

    /// Puts advice below the failure, where there is some.
    pub(crate) fn advised(self, hint: Option<String>) -> CliError {
        match hint {
            Some(hint) => CliError::Advised { error: Box::new(self), hint },
            None => self,
        }
    }

    /// Names in a daemon's answer what was asked about, unless it does so itself.
    pub(crate) fn about(self, name: &str) -> CliError {
        match self {
            CliError::Daemon { status, message } if !message.contains(name) => {
                CliError::Daemon { status, message: format!("{name}: {message}") }
            }
            error => error,
        }
    }

    /// Drops docker's words for an answer of the daemon: there was none but this process.
    pub(crate) fn without_daemon(self) -> CliError {
        match self {
            CliError::Daemon { message, .. } => CliError::Stream(message),
            CliError::Advised { error, hint } => {
                CliError::Advised { error: Box::new(error.without_daemon()), hint }
            }
            CliError::Several(errors) => {
                CliError::Several(errors.into_iter().map(CliError::without_daemon).collect())
            }
            error => error,
        }
    }

    /// Returns whether the daemon said that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, CliError::Daemon { status: 404, .. })
    }

    /// Returns whether the daemon does not know the route at all: routes of Longshore's own, a dockerd does not.
    pub(crate) fn is_unknown_route(&self) -> bool {
        matches!(self, CliError::Daemon { status: 404, message } if message.contains("page not found"))
    }

    /// Returns whether the daemon does not answer routes of Longshore's own over the connection that there is.
    pub(crate) fn is_closed_route(&self) -> bool {
        matches!(self, CliError::Daemon { status: 403, message } if message.contains("insecure-tcp-routes"))
    }

    /// Says of a daemon that does not know a route of Longshore's own what it cannot do, and what can be done `instead`;
    /// leaves other failures as they are.
    pub(crate) fn of_another_daemon(self, lacks: &str, instead: &str) -> CliError {
        if self.is_unknown_route() {
            return CliError::Refused(format!(
                "this daemon is not Longshore's and cannot {lacks}: {instead}"
            ));
        }
        self
    }

    /// Returns whether the daemon said that credentials are missing or wrong.
    pub(crate) fn is_unauthorized(&self) -> bool {
        matches!(self, CliError::Daemon { status: 401, .. })
    }

    /// Returns whether no daemon could be reached.
    pub(crate) fn is_connection_failure(&self) -> bool {
        matches!(
            self,
            CliError::Connect(_)
                | CliError::ConnectPermission(_)
                | CliError::Transport(_)
                | CliError::Engine(_)
                | CliError::DataRoot(_)
        )
    }

    /// Returns whether the daemon has found no image for the platform that is wanted.
    pub(crate) fn is_wrong_platform(&self) -> bool {
        matches!(self, CliError::Daemon { message, .. } | CliError::Stream(message)
            if message.starts_with("no matching manifest for "))
    }

    /// Returns whether the daemon has found nothing in an archive.
    pub(crate) fn is_about_nothing(&self) -> bool {
        matches!(self, CliError::Daemon { message, .. } | CliError::Stream(message)
            if message.contains("does not contain a manifest.json"))
    }

    /// Returns the file that the daemon has not found in an archive.
    pub(crate) fn lacking_file(&self) -> Option<&str> {
        let (CliError::Daemon { message, .. } | CliError::Stream(message)) = self else {
            return None;
        };
        let (file, rest) =
            message.strip_prefix("open ")?.split_once(": no such file or directory")?;
        rest.is_empty().then_some(file)
    }

    /// Returns whether the daemon may have found the end of what it was sent too early.
    pub(crate) fn is_truncation(&self) -> bool {
        const WORDS: [&str; 4] = [
            "unexpected EOF",
            "ends unexpectedly",
            "failed to decompress",
            "failed to read the layer",
        ];
        matches!(self, CliError::Daemon { message, .. } | CliError::Stream(message)
            if WORDS.iter().any(|words| message.contains(words)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn daemons_of_others_are_told_from_failures() {
        let daemon =
            |status, message: &str| CliError::Daemon { status, message: message.to_owned() };
        for (error, expected) in [
            (daemon(404, "page not found"), "this daemon is not Longshore's and cannot x: use y"),
            (daemon(404, "No such image: z"), "Error response from daemon: No such image: z"),
            (daemon(500, "page not found"), "Error response from daemon: page not found"),
        ] {
            assert_eq!(error.of_another_daemon("x", "use y").to_string(), expected);
        }
    }

    #[test]
    fn causes_are_told() {
        let options = registry_server::Options::new("/dev/null/x");
        let said = with_causes(&registry_server::RegistryServer::open(options).unwrap_err());
        assert!(said.contains("/dev/null/x"), "{said}");
        assert!(said.ends_with(": Not a directory (os error 20)"), "{said}");
    }

    #[test]
    fn statuses_are_dockers() {
        for (error, expected) in [
            (CliError::usage(String::new()), 125),
            (CliError::Refused(String::new()), 1),
            (CliError::Interrupted(2), 130),
            (CliError::Interrupted(15), 143),
            (CliError::BrokenPipe, 141),
        ] {
            assert_eq!(error.status(), expected);
        }
    }
}
