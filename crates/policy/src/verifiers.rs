//! Verifier programs, by the contract of containerd's image verifiers.
//!
//! Each file of a directory is run as `FILE -name NAME -digest DIGEST -stdin-media-type application/vnd.oci.descriptor.v1+json`, with the
//! descriptor of what the name led to on standard input. What it prints is the reason; 0 is yes. All must say yes.

use std::io::{self, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{Either, select};
use registry::Credentials;
use rustix::fs::MemfdFlags;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use serde_json::{Value, json};
use spec::Descriptor;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::blocking::blocking;
use crate::judgement::Finding;

/// The type of what is on a verifier's standard input.
const DESCRIPTOR: &str = "application/vnd.oci.descriptor.v1+json";
/// The most verifiers, as with containerd, which passes over the others. Here they refuse.
const MAX_VERIFIERS: usize = 10;
/// The time that each has, as with containerd.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most that is kept of what a verifier says, as with containerd. The rest is read, so that it does not block.
const MAX_SAID: usize = 32 << 10;
/// The time for what a verifier that has ended leaves in its pipes, where something that it has started holds them open.
const REST: Duration = Duration::from_millis(200);
/// Secrets of this process that are none of a verifier's business: passphrases, and other places for credentials than the one it gets.
const SECRETS: [&str; 12] = [
    "COSIGN_PASSWORD",
    "DOCKER_AUTH_CONFIG",
    "DOCKER_CONTENT_TRUST_OFFLINE_PASSPHRASE",
    "DOCKER_CONTENT_TRUST_REPOSITORY_PASSPHRASE",
    "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE",
    "DOCKER_CONTENT_TRUST_TAGGING_PASSPHRASE",
    "NOTARY_AUTH",
    "NOTARY_DELEGATION_PASSPHRASE",
    "NOTARY_ROOT_PASSPHRASE",
    "NOTARY_SNAPSHOT_PASSPHRASE",
    "NOTARY_TARGETS_PASSPHRASE",
    "REGISTRY_AUTH_FILE",
];
/// The name under which Docker keeps the credentials for its own registry.
const HUB: &str = "https://index.docker.io/v1/";

/// The programs that are asked of each image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifiers {
    /// The directory that holds them, and nothing else.
    pub directory: PathBuf,
    /// The time that each has.
    pub timeout: Duration,
    /// True if they are given the credentials for the registry, as a configuration of docker's in `DOCKER_CONFIG`.
    pub credentials: bool,
}

/// The reason why a verifier does not allow an image.
#[derive(Debug, thiserror::Error)]
pub enum VerifierFault {
    /// The directory cannot be read.
    #[error("{}: {source}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The kernel's answer.
        source: io::Error,
    },
    /// Nothing is there that could say yes.
    #[error("there is no verifier in {}", .0.display())]
    None(PathBuf),
    /// More than are asked.
    #[error("there are {count} verifiers in {}, and no more than {MAX_VERIFIERS} are asked", path.display())]
    TooMany {
        /// The directory.
        path: PathBuf,
        /// Their number.
        count: usize,
    },
    /// It cannot be run.
    #[error("it cannot be run: {0}")]
    Run(#[from] io::Error),
    /// It takes too long.
    #[error("it did not end within {0:?}")]
    Timeout(Duration),
    /// It says no.
    #[error("{}{}", said(*.status), if reason.is_empty() { String::new() } else { format!(": {reason}") })]
    Refused {
        /// The manner in which it ended.
        status: ExitStatus,
        /// Its words.
        reason: String,
    },
}

/// A question to verifiers.
pub(crate) struct Question<'a> {
    /// The full name.
    pub(crate) name: &'a str,
    /// The manifest or index that the name led to.
    pub(crate) descriptor: &'a Descriptor,
    /// The registry, and the credentials for it.
    pub(crate) credentials: Option<(&'a str, &'a Credentials)>,
}

impl Verifiers {
    /// Those of a directory, with containerd's bounds.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, timeout: TIMEOUT, credentials: false }
    }

    /// Asks one after the other until one does not allow the image.
    pub(crate) async fn ask(&self, question: &Question<'_>) -> Vec<(String, Finding)> {
        let directory = self.directory.clone();
        let programs = match blocking(move || programs(&directory)).await {
            Ok(programs) => programs,
            Err(fault) => {
                let name = self.directory.display().to_string();
                return vec![(name, Finding::refused(fault.to_string()))];
            }
        };
        let mut findings = Vec::new();
        for (name, path) in programs {
            let finding = match self.run(&path, question).await {
                Ok(reason) => Finding::Allowed { vouched: None, reason },
                Err(fault) => Finding::refused(fault.to_string()),
            };
            let goes_on = matches!(finding, Finding::Allowed { .. });
            findings.push((name, finding));
            if !goes_on {
                break;
            }
        }
        findings
    }

    /// Runs a verifier, and returns its reason for a yes.
    async fn run(&self, program: &Path, question: &Question<'_>) -> Result<String, VerifierFault> {
        let descriptor = serde_json::to_vec(question.descriptor).map_err(io::Error::from)?;
        let mut command = Command::new(program);
        command
            .args(["-name", question.name])
            .args(["-digest", &question.descriptor.digest.to_string()])
            .args(["-stdin-media-type", DESCRIPTOR])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        for secret in SECRETS {
            command.env_remove(secret);
        }
        // Gone when the verifier is.
        let config = self.config(question).await?;
        command.env("DOCKER_CONFIG", config.folder.path());
        let mut child = command.spawn()?;
        // Dropped before the child, whose number is its own as long as nobody has waited for it.
        let mut group = Group::of(&child);
        let (input, output, errors) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (mut reason, mut log) = (Vec::new(), Vec::new());
        let give = async {
            if let Some(mut input) = input {
                // Whoever does not want to know is not made to.
                let _ = input.write_all(&descriptor).await;
            }
        };
        let talk = async {
            tokio::join!(give, read(output, &mut reason), read(errors, &mut log));
        };
        let ended = async {
            group.end().await?;
            child.wait().await
        };
        let all = async {
            match select(pin!(ended), pin!(talk)).await {
                Either::Left((status, talk)) => {
                    let _ = tokio::time::timeout(REST, talk).await;
                    status
                }
                Either::Right(((), ended)) => ended.await,
            }
        };
        let Ok(status) = tokio::time::timeout(self.timeout, all).await else {
            return Err(VerifierFault::Timeout(self.timeout));
        };
        let [reason, log] = [reason, log].map(|said| printable(&said));
        if !log.is_empty() {
            tracing::info!(verifier = %program.display(), "{log}");
        }
        match status? {
            status if status.success() => Ok(reason),
            status => Err(VerifierFault::Refused { status, reason }),
        }
    }

    /// Makes a configuration of docker's for a verifier, with the credentials in it where it is to have them: whoever asks the registry
    /// as docker does finds these, and none of anybody else.
    async fn config(&self, question: &Question<'_>) -> io::Result<Config> {
        let entry = question.credentials.filter(|_| self.credentials).and_then(entry);
        let make = move || {
            // Nobody else may look into it.
            let mode = std::fs::Permissions::from_mode(0o700);
            let mut folder = tempfile::Builder::new();
            let folder = folder.prefix("longshore-verifier-").permissions(mode).tempdir()?;
            let Some(entry) = entry else { return Ok(Config { folder, _secret: None }) };
            // In memory, so that nothing of it is left on a disk, however this process ends.
            let secret = rustix::fs::memfd_create("config.json", MemfdFlags::CLOEXEC)?;
            let path = format!("/proc/{}/fd/{}", std::process::id(), secret.as_raw_fd());
            let mut file = std::fs::File::from(secret);
            file.write_all(json!({"auths": entry}).to_string().as_bytes())?;
            std::os::unix::fs::symlink(path, folder.path().join("config.json"))?;
            Ok(Config { folder, _secret: Some(file.into()) })
        };
        blocking(make).await
    }
}

/// Docker's configuration, as long as a verifier may read it.
struct Config {
    folder: TempDir,
    _secret: Option<OwnedFd>,
}

/// Writes credentials as docker does, if there are any.
fn entry((domain, credentials): (&str, &Credentials)) -> Option<Value> {
    let basic = |username: &str, password: &str| STANDARD.encode(format!("{username}:{password}"));
    let entry: Value = match credentials {
        Credentials::Anonymous => return None,
        Credentials::Basic { username, password } => json!({"auth": basic(username, password)}),
        Credentials::IdentityToken { username, token } => {
            json!({"auth": basic(username, ""), "identitytoken": token})
        }
        Credentials::RegistryToken(token) => json!({"registrytoken": token}),
    };
    let key = if domain == "docker.io" { HUB } else { domain };
    Some(json!({key: entry}))
}

/// The processes of a verifier, but those that have left its group. They end with it.
struct Group(Option<Pid>);

impl Group {
    fn of(leader: &Child) -> Self {
        Self(leader.id().and_then(|id| Pid::from_raw(id.cast_signed())))
    }

    /// Waits for the end of the leader, and ends the others: they must not hold its output open. The leader is still to be waited for,
    /// so that its number, which is the group's, is nobody else's.
    async fn end(&mut self) -> io::Result<()> {
        if let Some(leader) = self.0 {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            let wait = move || rustix::process::waitid(WaitId::Pid(leader), options);
            blocking(move || rustix::io::retry_on_intr(wait)).await?;
        }
        self.kill();
        Ok(())
    }

    /// Kills all of them, once.
    fn kill(&mut self) {
        if let Some(group) = self.0.take() {
            // Nobody may be left.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Lists the files of a directory by their names. Blocks.
fn programs(directory: &Path) -> Result<Vec<(String, PathBuf)>, VerifierFault> {
    let failed = |source| VerifierFault::Directory { path: directory.to_owned(), source };
    let mut programs = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        programs.push((entry.file_name().to_string_lossy().into_owned(), entry.path()));
    }
    match programs.len() {
        0 => Err(VerifierFault::None(directory.to_owned())),
        count if count > MAX_VERIFIERS => {
            Err(VerifierFault::TooMany { path: directory.to_owned(), count })
        }
        _ => {
            programs.sort();
            Ok(programs)
        }
    }
}

/// Reads all, and keeps the beginning.
async fn read(stream: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; 8 << 10];
    // What cannot be read has ended.
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        let room = MAX_SAID.saturating_sub(kept.len());
        kept.extend_from_slice(&buffer[..length.min(room)]);
    }
}

/// Returns what was said, for a terminal: a verifier may repeat what a registry has told it.
fn printable(said: &[u8]) -> String {
    let mut text = String::new();
    for letter in String::from_utf8_lossy(said).trim().chars() {
        if letter.is_control() && !matches!(letter, '\n' | '\t') {
            text.extend(letter.escape_default());
        } else {
            text.push(letter);
        }
    }
    text
}

/// Says how a process ended.
fn said(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it ended with {code}"),
        (None, Some(signal)) => format!("it died of signal {signal}"),
        (None, None) => "it died".to_owned(),
    }
}

#[cfg(test)]
mod tests;
