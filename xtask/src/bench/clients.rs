//! One image that many clients want at once of one daemon.

use std::process::Command;

use super::measure::measure;
use super::options::Operation;
use super::peers::Peer;
use super::table::Results;
use super::transfers::Bench;

/// Clients that pull at once.
pub(super) const COUNT: usize = 64;

/// Runs the command that it is given as often as its first argument says, all at once; fails if one fails.
const AT_ONCE: &str = r#"count=$1; shift; ids=
while [ "$count" -gt 0 ]; do "$@" & ids="$ids $!"; count=$((count - 1)); done
failed=0; for id in $ids; do wait "$id" || failed=1; done; exit "$failed""#;

impl Bench<'_> {
    /// Pulls by many clients of those that have a daemon.
    pub(super) fn clients(&self, peers: &[Peer], results: &mut Results) {
        let name = self.source_name();
        let daemons = peers.iter().filter(|peer| peer.daemon().is_some());
        self.rounds(Operation::Clients, &daemons, results, |peer| {
            peer.clear()?;
            rustix::fs::sync();
            let sample = measure(at_once(&peer.pull(&name)?), peer.daemon())?;
            peer.clear()?;
            Ok(sample)
        });
    }
}

fn at_once(client: &Command) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", AT_ONCE, "sh", &COUNT.to_string()]);
    command.arg(client.get_program()).args(client.get_args());
    for (name, value) in client.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command
}

#[cfg(test)]
mod tests {
    use anyhow::Result;

    use super::*;

    #[test]
    fn all_run_and_one_that_fails_is_seen() -> Result<()> {
        let folder = tempfile::tempdir()?;
        let run = |script: &str| -> Result<bool> {
            let mut client = Command::new("sh");
            client.args(["-c", script, "sh"]).arg(folder.path()).env("SUFFIX", "x");
            Ok(at_once(&client).status()?.success())
        };
        assert!(run(r#"mktemp "$1/XXXXXX$SUFFIX" > /dev/null"#)?);
        let names = std::fs::read_dir(folder.path())?;
        let made = names.flatten().filter(|it| it.file_name().to_string_lossy().ends_with('x'));
        assert_eq!(made.count(), COUNT);
        assert!(!run(r#"mkdir "$1/once""#)?, "all but the first fail");
        Ok(())
    }
}
