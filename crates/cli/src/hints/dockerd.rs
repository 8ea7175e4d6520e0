//! The address of a dockerd of this machine, by its command line.

use std::fs;

/// The address where nothing else is said.
const DEFAULT: &str = "unix:///var/run/docker.sock";

/// Returns the address that the process of a dockerd listens at, if that can be told.
pub(super) fn address(process: &str) -> Option<String> {
    let process: u32 = process.parse().ok()?;
    let line = fs::read(format!("/proc/{process}/cmdline")).ok()?;
    let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    of_words(&words)
}

fn of_words(words: &[impl AsRef<str>]) -> Option<String> {
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    for (at, word) in words.iter().enumerate() {
        let joined = word.strip_prefix("--host=").or_else(|| word.strip_prefix("-H="));
        let joined = joined.or_else(|| {
            word.strip_prefix("-H").filter(|rest| !rest.is_empty() && !rest.starts_with('='))
        });
        let found = match *word {
            "-H" | "--host" => words.get(at + 1).copied(),
            _ => joined,
        };
        // A service manager's socket has no address of its own here.
        if let Some(found) = found.filter(|found| !found.starts_with("fd://")) {
            return Some(found.to_owned());
        }
    }
    // A file of its own may name others.
    let is_elsewhere = words.iter().any(|word| word.starts_with("--config-file"));
    (!is_elsewhere).then(|| DEFAULT.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_first_of_the_command_line() {
        for (line, expected) in [
            ("dockerd", Some(DEFAULT)),
            ("dockerd -H fd:// --containerd=/x", Some(DEFAULT)),
            ("dockerd --data-root /d -H unix:///a.sock -H tcp://x", Some("unix:///a.sock")),
            ("dockerd --host=tcp://127.0.0.1:2375", Some("tcp://127.0.0.1:2375")),
            ("dockerd -H=unix:///b.sock", Some("unix:///b.sock")),
            ("dockerd -Hunix:///c.sock", Some("unix:///c.sock")),
            ("dockerd --config-file /d.json", None),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            assert_eq!(of_words(&words).as_deref(), expected, "{line}");
        }
        assert_eq!(address("no number"), None);
    }
}
