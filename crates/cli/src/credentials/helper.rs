//! Credential helpers: programs that keep secrets in a keychain.
//!
//! `docker-credential-NAME get|store|erase` reads the server's name, or the credentials as JSON, from its standard
//! input and answers on its standard output; when it fails, its output says why.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use api::auth::AuthConfig;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

use crate::error::CliError;
use crate::{output, terminal};

/// The time that a helper may take: a user who must find a device or remember a passphrase does in that time.
const PATIENCE: Duration = Duration::from_mins(5);
/// The time after which a user is told that a helper takes long.
const NOTICE: Duration = Duration::from_secs(5);
/// The longest answer of a helper.
const MAX_OUTPUT: u64 = 1024 * 1024;
/// The user name that says that the secret is an identity token.
const TOKEN_USER: &str = "<token>";
/// The answer of helpers that have nothing.
const NOT_FOUND: &str = "credentials not found in native keychain";

/// A credential helper.
#[derive(Clone, Debug)]
pub(super) struct Helper {
    program: String,
    patience: Duration,
}

#[derive(Deserialize, Serialize)]
struct Secret {
    #[serde(rename = "ServerURL", default)]
    server: String,
    #[serde(rename = "Username", default)]
    username: String,
    #[serde(rename = "Secret", default)]
    password: String,
}

/// Says whether a helper of this name is on the `PATH`.
pub(crate) fn is_helper_installed(name: &str) -> bool {
    let program = Helper::named(name).program;
    let directories = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&directories).any(|directory| directory.join(&program).is_file())
}

impl Helper {
    /// Returns the helper of a name, as `credsStore` and `credHelpers` have it.
    pub(super) fn named(name: &str) -> Helper {
        // Helpers are found on the PATH: a name with a slash would be a file anywhere.
        let program = format!("docker-credential-{}", name.replace('/', "_"));
        Helper { program, patience: PATIENCE }
    }

    /// Returns the credentials for a server, if the helper has some.
    pub(super) async fn get(&self, server: &str) -> Result<Option<AuthConfig>, CliError> {
        let output = match self.run("get", server.as_bytes()).await {
            Ok(output) => output,
            Err(Failure { output, .. }) if output == NOT_FOUND => return Ok(None),
            Err(failure) => return Err(failure.into_error("getting")),
        };
        let secret: Secret = serde_json::from_slice(&output).map_err(|error| CliError::Helper {
            action: "getting",
            // The text of a syntax error may quote the secret; its place is enough.
            reason: format!("{} answered no credentials at line {}", self.program, error.line()),
            output: String::new(),
        })?;
        let mut auth = AuthConfig { serveraddress: server.to_owned(), ..AuthConfig::default() };
        if secret.username == TOKEN_USER {
            auth.identitytoken = secret.password;
        } else {
            auth.username = secret.username;
            auth.password = secret.password;
        }
        Ok(Some(auth))
    }

    /// Keeps credentials under their server's name.
    pub(super) async fn store(&self, auth: &AuthConfig) -> Result<(), CliError> {
        let (username, password) = if auth.identitytoken.is_empty() {
            (auth.username.as_str(), &auth.password)
        } else {
            (TOKEN_USER, &auth.identitytoken)
        };
        let secret = Secret {
            server: auth.serveraddress.clone(),
            username: username.to_owned(),
            password: password.clone(),
        };
        // Three strings always serialise.
        let mut input = serde_json::to_vec(&secret).unwrap_or_default();
        input.push(b'\n');
        self.run("store", &input).await.map(|_| ()).map_err(|failure| failure.into_error("storing"))
    }

    /// Forgets the credentials for a server.
    pub(super) async fn erase(&self, server: &str) -> Result<(), CliError> {
        let erased = self.run("erase", server.as_bytes()).await;
        erased.map(|_| ()).map_err(|failure| failure.into_error("erasing"))
    }

    /// Runs the helper to its end. One that does not answer may wait for its user, at a window or a device: after a while
    /// a user at a terminal is told what is waited for, and in the end it is given up.
    async fn run(&self, action: &str, input: &[u8]) -> Result<Vec<u8>, Failure> {
        let answer = tokio::time::timeout(self.patience, self.answer(action, input));
        tokio::pin!(answer);
        let answered = if let Ok(answered) = tokio::time::timeout(NOTICE, &mut answer).await {
            answered
        } else {
            if terminal::warns_terminal() {
                let program = &self.program;
                output::warn_line(&format!("Waiting for {program} (Ctrl-C ends) ..."));
            }
            answer.await
        };
        answered.unwrap_or_else(|_| {
            let seconds = self.patience.as_secs();
            Err(Failure::new(format!("{} did not answer within {seconds} seconds", self.program)))
        })
    }

    async fn answer(&self, action: &str, input: &[u8]) -> Result<Vec<u8>, Failure> {
        let child = Command::new(&self.program)
            .arg(action)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let mut child = child.map_err(|error| self.spawn_failure(&error))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(Failure::new("no pipe to the helper".to_owned()));
        };
        let mut output = Vec::new();
        let write = async {
            // A helper may answer without reading its input: that is no failure.
            let _ = stdin.write_all(input).await;
            drop(stdin);
        };
        let mut limited = stdout.take(MAX_OUTPUT + 1);
        let ((), read) = tokio::join!(write, limited.read_to_end(&mut output));
        read.map_err(|error| Failure::new(error.to_string()))?;
        if output.len() as u64 > MAX_OUTPUT {
            return Err(Failure::new(format!(
                "{} answered more than {MAX_OUTPUT} bytes",
                self.program
            )));
        }
        let status = child.wait().await.map_err(|error| Failure::new(error.to_string()))?;
        if status.success() {
            return Ok(output);
        }
        let reason = match status.code() {
            Some(code) => format!("exit status {code}"),
            None => "killed by a signal".to_owned(),
        };
        Err(Failure { reason, output: String::from_utf8_lossy(&output).trim().to_owned() })
    }

    fn spawn_failure(&self, error: &io::Error) -> Failure {
        Failure::new(match error.kind() {
            io::ErrorKind::NotFound => {
                format!("exec: \"{}\": executable file not found in $PATH", self.program)
            }
            _ => format!("exec: \"{}\": {error}", self.program),
        })
    }
}

/// A failure of a helper.
struct Failure {
    reason: String,
    output: String,
}

impl Failure {
    fn new(reason: String) -> Failure {
        Failure { reason, output: String::new() }
    }

    fn into_error(self, action: &'static str) -> CliError {
        CliError::Helper { action, reason: self.reason, output: self.output }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    use super::*;

    fn helper(directory: &Path, body: &str) -> Helper {
        let path = directory.join("docker-credential-test");
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        Helper { program: path.display().to_string(), patience: PATIENCE }
    }

    #[tokio::test]
    async fn answers_of_get_are_read() {
        let directory = tempfile::tempdir().unwrap();
        for (body, expected) in [
            (
                r#"read s; echo "{\"Username\":\"me\",\"Secret\":\"pw-$s\"}""#,
                Ok(Some(("me", "pw-x.example", ""))),
            ),
            (r#"echo '{"Username":"<token>","Secret":"tok"}'"#, Ok(Some(("", "", "tok")))),
            ("echo 'credentials not found in native keychain'; exit 1", Ok(None)),
            (
                "echo broken; exit 3",
                Err("error getting credentials - err: exit status 3, out: `broken`"),
            ),
            ("kill -9 $$", Err("error getting credentials - err: killed by a signal, out: ``")),
            (r#"echo '{"Secret":s3cret}'"#, Err("answered no credentials at line 1, out: ``")),
            ("head -c 2000000 /dev/zero", Err("answered more than 1048576 bytes, out: ``")),
        ] {
            let answer = helper(directory.path(), body).get("x.example").await;
            match (answer, expected) {
                (Ok(auth), Ok(expected)) => {
                    let auth = auth.as_ref().map(|auth| {
                        (
                            auth.username.as_str(),
                            auth.password.as_str(),
                            auth.identitytoken.as_str(),
                        )
                    });
                    assert_eq!(auth, expected, "{body}");
                }
                (Err(error), Err(expected)) => {
                    assert!(error.to_string().contains(expected), "{body}: {error}");
                }
                (answer, _) => panic!("{body}: {answer:?}"),
            }
        }
    }

    #[tokio::test]
    async fn what_is_stored_and_erased_reaches_the_helper() {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("log");
        let helper =
            helper(directory.path(), &format!("echo $1 >> {0}; cat >> {0}", log.display()));
        let auth = |identitytoken: &str| AuthConfig {
            username: "me".into(),
            password: "pw".into(),
            serveraddress: "x.example".into(),
            identitytoken: identitytoken.into(),
            ..AuthConfig::default()
        };
        helper.store(&auth("")).await.unwrap();
        helper.store(&auth("tok")).await.unwrap();
        helper.erase("x.example").await.unwrap();
        let expected = concat!(
            "store\n{\"ServerURL\":\"x.example\",\"Username\":\"me\",\"Secret\":\"pw\"}\n",
            "store\n{\"ServerURL\":\"x.example\",\"Username\":\"<token>\",\"Secret\":\"tok\"}\n",
            "erase\nx.example",
        );
        assert_eq!(fs::read_to_string(log).unwrap(), expected);
    }

    #[tokio::test]
    async fn a_helper_that_hangs_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let hanging = helper(directory.path(), "exec sleep 1000");
        let error =
            Helper { patience: Duration::ZERO, ..hanging }.get("x.example").await.unwrap_err();
        assert!(error.to_string().contains("did not answer within 0 seconds"), "{error}");
    }

    #[tokio::test]
    async fn a_missing_helper_is_named() {
        let error = Helper::named("no-such-helper").get("x.example").await.unwrap_err().to_string();
        let expected = "error getting credentials - err: exec: \"docker-credential-no-such-helper\": \
                        executable file not found in $PATH, out: ``";
        assert_eq!(error, expected);
    }
}
