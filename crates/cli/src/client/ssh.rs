//! Daemons behind ssh: a connection is a child process that passes bytes on.

use std::fmt;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::Host;
use crate::error::CliError;

/// A machine to be reached by ssh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SshHost {
    /// The address as it was written.
    text: String,
    user: Option<String>,
    name: String,
    port: Option<u16>,
    /// The daemon's socket there, if it is not the usual one.
    socket: Option<String>,
}

impl SshHost {
    /// Reads what follows `ssh://` in `text`.
    pub(super) fn parse(rest: &str, text: &str) -> Result<SshHost, CliError> {
        let invalid = |reason: &str| {
            let reason = format!("ssh host connection is not valid: invalid SSH URL: {reason}");
            Err(CliError::Host(reason))
        };
        if let Some((_, query)) = rest.split_once('?') {
            return invalid(&format!("query parameters are not allowed: {query:?}"));
        }
        if let Some((_, fragment)) = rest.split_once('#') {
            return invalid(&format!("fragments are not allowed: {fragment:?}"));
        }
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (user, address) = match authority.rsplit_once('@') {
            Some((user, address)) => (Some(user).filter(|user| !user.is_empty()), address),
            None => (None, authority),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return invalid("plain-text password is not supported");
        }
        let bracket = address.rfind(']').unwrap_or(0);
        let (name, port) = match address[bracket..].rfind(':') {
            Some(colon) => (&address[..bracket + colon], &address[bracket + colon + 1..]),
            None => (address, ""),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        if name.is_empty() {
            return invalid("hostname is empty");
        }
        let port = match port {
            "" => None,
            port => match port.parse() {
                Ok(port) => Some(port),
                Err(_) => return invalid(&format!("invalid port {port:?} after host")),
            },
        };
        // All of these become words of a command line: the path of one that a shell reads, at the other end.
        let harmless =
            |text: &str| text.chars().all(|c| c.is_alphanumeric() || "._-:%@+/~".contains(c));
        let words = [user.unwrap_or_default(), name, path];
        if !words.iter().all(|word| harmless(word)) || words[0].starts_with('-') {
            return invalid("unusual characters");
        }
        Ok(SshHost {
            text: text.to_owned(),
            user: user.map(str::to_owned),
            name: name.to_owned(),
            port,
            socket: (!path.trim_matches('/').is_empty()).then(|| path.to_owned()),
        })
    }

    /// Returns the arguments of `ssh`, as docker has them.
    fn arguments(&self) -> Vec<String> {
        let mut arguments = Vec::new();
        if let Some(user) = &self.user {
            arguments.extend(["-l".to_owned(), user.clone()]);
        }
        if let Some(port) = self.port {
            arguments.extend(["-p".to_owned(), port.to_string()]);
        }
        let remote = match &self.socket {
            Some(socket) => format!("docker --host=unix://{socket} system dial-stdio"),
            None => "docker system dial-stdio".to_owned(),
        };
        arguments
            .extend(["-o ConnectTimeout=30", "-T", "--", &self.name, &remote].map(str::to_owned));
        arguments
    }
}

impl fmt::Display for SshHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// A connection by way of `ssh`. Dropping it ends the process.
#[derive(Debug)]
pub(super) struct Tunnel {
    input: ChildStdin,
    output: ChildStdout,
    /// Held for its end.
    _process: Child,
}

impl Tunnel {
    /// Starts `ssh`. What it has to say, it says on standard error.
    pub(super) fn open(host: &SshHost) -> Result<Tunnel, CliError> {
        let failed = |source| CliError::Ssh { host: Host::Ssh(host.clone()), source };
        let mut process = Command::new("ssh")
            .args(host.arguments())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(failed)?;
        let pipes = (process.stdin.take(), process.stdout.take());
        let (Some(input), Some(output)) = pipes else {
            return Err(failed(std::io::ErrorKind::BrokenPipe.into()));
        };
        Ok(Tunnel { input, output, _process: process })
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.output).poll_read(context, buffer)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.input).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.input).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.input).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_is_called_as_docker_calls_it() {
        for (text, expected) in [
            ("ssh://h", "-o ConnectTimeout=30|-T|--|h|docker system dial-stdio"),
            ("ssh://h/", "-o ConnectTimeout=30|-T|--|h|docker system dial-stdio"),
            (
                "ssh://me@[::1]:22/run/d.sock",
                "-l|me|-p|22|-o ConnectTimeout=30|-T|--|::1|docker --host=unix:///run/d.sock system dial-stdio",
            ),
        ] {
            let Host::Ssh(host) = Host::parse(text).unwrap() else { panic!("{text}") };
            assert_eq!(host.arguments().join("|"), expected);
        }
    }

    #[test]
    fn what_a_shell_could_misread_is_refused() {
        for (text, reason) in [
            ("ssh://", "hostname is empty"),
            ("ssh://me:s3cret@h", "plain-text password is not supported"),
            ("ssh://h?x=1", "query parameters are not allowed: \"x=1\""),
            ("ssh://h:x", "invalid port \"x\" after host"),
            ("ssh://h;rm", "unusual characters"),
            ("ssh://h/$(x)", "unusual characters"),
            ("ssh://-oProxyCommand=x@h", "unusual characters"),
        ] {
            let error = Host::parse(text).unwrap_err().to_string();
            let expected = format!("ssh host connection is not valid: invalid SSH URL: {reason}");
            assert!(error.ends_with(&expected), "{error}");
        }
    }
}
