//! The daemons of this machine, by their sockets.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::checks::{Check, Patient};
use super::finding::{Finding, State};
use crate::client::{Client, Host};
use crate::error::CliError;

/// The path of docker's own daemon.
const DOCKER_SOCKET: &str = "/var/run/docker.sock";
/// The time in which a daemon of this machine answers a ping.
const PATIENCE: Duration = Duration::from_secs(3);

impl Check {
    pub(super) async fn sockets(self, patient: &Patient) -> Vec<Finding> {
        let environment = &patient.session.environment;
        let runtime = environment.runtime_directory.as_deref();
        let own = daemon::default_address(environment.is_root, runtime).into_iter();
        let own = own.filter_map(|address| match address {
            daemon::ListenAddress::Unix(path) => Some(path),
            _ => None,
        });
        let known = own.chain(["/run/longshore.sock", DOCKER_SOCKET].map(PathBuf::from));
        let known: BTreeSet<PathBuf> = known.collect();
        let mut found = Vec::new();
        for path in &known {
            found.extend(self.socket(path).await);
        }
        if found.is_empty() {
            // The one that is asked may be elsewhere.
            found.push(self.well(if patient.session.asks_daemon() {
                "no daemon at the usual sockets of this machine".to_owned()
            } else {
                "no daemon on this machine, and none is needed".to_owned()
            }));
        }
        found
    }

    async fn socket(self, path: &Path) -> Option<Finding> {
        let is_socket = fs::metadata(path).is_ok_and(|file| file.file_type().is_socket());
        if !is_socket {
            return None;
        }
        // Its version is what a client asks first.
        let client = Client::remote(Host::Unix(path.to_owned()), None);
        let answered = tokio::time::timeout(PATIENCE, client.version()).await;
        let path = path.display();
        let note = |said: &str, advice: &str| {
            self.found(State::Note, format!("unix://{path}: {said}"), Some(advice.to_owned()))
        };
        Some(match answered {
            Ok(Ok(_)) => self.well(format!("unix://{path}: a daemon answers")),
            Ok(Err(CliError::ConnectPermission(_))) => note(
                "permission denied",
                "the socket belongs to a group, `docker` or `longshore`: join it to use that daemon",
            ),
            Ok(Err(CliError::Connect(_))) => note(
                "connection refused",
                "nobody listens there any more: start its daemon, or remove the file",
            ),
            Ok(Err(error)) => {
                note(&error.to_string(), "what listens there is no daemon of docker's kind")
            }
            Err(_) => note(
                &format!("no answer within {} s", PATIENCE.as_secs()),
                "its daemon hangs, or is still starting: look at its log",
            ),
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test]
    async fn a_socket_is_a_daemon_once_it_answers() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        assert!(Check::Sockets.socket(&path).await.is_none());
        let listener = tokio::net::UnixListener::bind(&path).unwrap();
        let serve = async |answer: &[u8]| {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = [0; 16];
            stream.read_exact(&mut asked).await.unwrap();
            stream.write_all(answer).await.unwrap();
        };
        for (answer, state, said) in [
            (&b"HTTP/1.1 200 OK\r\n\r\n"[..], State::Well, "a daemon answers"),
            (b"SSH-2.0-x\r\n", State::Note, "error during connect: "),
        ] {
            let (found, ()) = tokio::join!(Check::Sockets.socket(&path), serve(answer));
            let found = found.unwrap();
            assert!(found.state == state && found.said.contains(said), "{found:?}");
        }
        // Connected by the kernel, and never taken.
        let found = Check::Sockets.socket(&path).await.unwrap();
        assert!(found.said.ends_with("no answer within 3 s"), "{found:?}");
        drop(listener);
        let found = Check::Sockets.socket(&path).await.unwrap();
        assert!(found.advice.unwrap().contains("nobody listens"), "{}", found.said);
    }
}
