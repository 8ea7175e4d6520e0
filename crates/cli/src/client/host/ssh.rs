//! Addresses of daemons behind ssh.

use std::fmt;

use super::error::HostError;

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
    pub(super) fn parse(rest: &str, text: &str) -> Result<SshHost, HostError> {
        let invalid = |reason: &str| Err(HostError::Ssh(reason.to_owned()));
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
    pub(crate) fn arguments(&self) -> Vec<String> {
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
            let host = SshHost::parse(text.trim_start_matches("ssh://"), text).unwrap();
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
            let parsed = SshHost::parse(text.trim_start_matches("ssh://"), text);
            let error = parsed.unwrap_err().to_string();
            let expected = format!("ssh host connection is not valid: invalid SSH URL: {reason}");
            assert!(error.ends_with(&expected), "{error}");
        }
    }
}
