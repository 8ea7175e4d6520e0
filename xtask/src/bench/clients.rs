//! One image that many clients want at once of one daemon.
//!
//! They are threads of the benchmark that say no more than Docker's API asks for: 64 processes of docker take more of two cores than
//! the daemon does. What is measured is the daemon alone.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread;

use anyhow::{Context as _, Result, anyhow, bail};

use super::measure::measure_daemon;
use super::options::{CLIENTS, Operation};
use super::peers::Peer;
use super::table::Results;
use super::transfers::Bench;

impl Bench<'_> {
    /// Pulls by many clients of those that answer Docker's API.
    pub(super) fn clients(&self, peers: &[Peer], results: &mut Results) {
        let name = self.source_name();
        let daemons = peers.iter().filter(|peer| peer.api().is_some());
        self.rounds(Operation::Clients, &daemons, results, |peer| {
            let (socket, daemon) = peer.api().zip(peer.daemon()).context("it has no daemon")?;
            peer.clear()?;
            rustix::fs::sync();
            let sample = measure_daemon(daemon, || at_once(CLIENTS, || pull(&socket, &name)))?;
            peer.clear()?;
            Ok(sample)
        });
    }
}

/// Runs the same so many times at once; fails if one fails.
fn at_once(count: usize, client: impl Fn() -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let clients: Vec<_> = (0..count).map(|_| scope.spawn(&client)).collect();
        let ended = clients.into_iter().map(|client| {
            client.join().unwrap_or_else(|_| Err(anyhow!("a client of the benchmark panicked")))
        });
        ended.collect::<Vec<_>>().into_iter().collect()
    })
}

/// Pulls an image by the daemon at a socket.
fn pull(socket: &Path, name: &str) -> Result<()> {
    let (image, tag) = name.rsplit_once(':').context("a name without a tag")?;
    let mut stream = UnixStream::connect(socket).context("cannot reach the daemon")?;
    let asked = format!(
        "POST /images/create?fromImage={}&tag={tag} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        image.replace('/', "%2F").replace(':', "%3A")
    );
    stream.write_all(asked.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    // An answer of 200 tells of a failure in its last line.
    if !answer.starts_with("HTTP/1.1 200 ") || !answer.contains("\"status\":\"Status: ") {
        bail!("{}", answer.lines().rfind(|line| line.contains('{')).unwrap_or(&answer));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn all_run_and_one_that_fails_is_seen() {
        let ran = AtomicUsize::new(0);
        let first = || ran.fetch_add(1, Ordering::Relaxed) == 0;
        at_once(CLIENTS, || {
            first();
            Ok(())
        })
        .unwrap();
        assert_eq!(ran.swap(0, Ordering::Relaxed), CLIENTS);
        at_once(CLIENTS, || if first() { bail!("no") } else { Ok(()) }).unwrap_err();
    }

    #[test]
    fn what_a_daemon_says_of_a_pull_is_read() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("socket");
        let listener = UnixListener::bind(&socket)?;
        for (answer, expected) in [
            ("200 OK\r\n\r\n{\"status\":\"Status: Downloaded newer image\"}\r\n", None),
            (
                "200 OK\r\n\r\n{\"status\":\"Pulling\"}\r\n{\"error\":\"no space\"}\r\n",
                Some("no space"),
            ),
            ("404 Not Found\r\n\r\n{\"message\":\"no such image\"}\n", Some("no such image")),
        ] {
            let asked = thread::scope(|scope| -> Result<String> {
                let client = scope.spawn(|| pull(&socket, "localhost:5000/bench/app:1"));
                let (mut stream, _) = listener.accept()?;
                let mut asked = [0; 4096];
                let length = stream.read(&mut asked)?;
                write!(stream, "HTTP/1.1 {answer}")?;
                drop(stream);
                let told = client.join().unwrap().map_err(|error| error.to_string());
                assert_eq!(told.is_ok(), expected.is_none());
                let told = told.err().unwrap_or_default();
                assert!(told.contains(expected.unwrap_or_default()), "{told}");
                Ok(String::from_utf8_lossy(&asked[..length]).into_owned())
            })?;
            let path =
                "POST /images/create?fromImage=localhost%3A5000%2Fbench%2Fapp&tag=1 HTTP/1.1";
            assert!(asked.starts_with(path), "{asked}");
        }
        Ok(())
    }
}
