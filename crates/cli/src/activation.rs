//! The service manager's part in a daemon: sockets that listen, and a way to tell how it goes.

use std::os::fd::{FromRawFd as _, OwnedFd};
use std::path::PathBuf;

use daemon::{Activation, InheritedSocket, Notifier};

/// The number of the first socket: `SD_LISTEN_FDS_START`.
const FIRST: i32 = 3;
/// More sockets than anybody passes; a number beyond is a mistake.
const MOST: i32 = 1024;

/// The variables that are the service manager's, as `sd_listen_fds(3)` and `sd_notify(3)` have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Variables {
    /// `LISTEN_PID`: whom the sockets are for.
    pub(crate) pid: Option<String>,
    /// `LISTEN_FDS`: how many they are.
    pub(crate) count: Option<String>,
    /// `LISTEN_FDNAMES`: their names, between colons.
    pub(crate) names: Option<String>,
    /// `NOTIFY_SOCKET`
    pub(crate) notify: Option<PathBuf>,
}

impl Variables {
    /// Takes over what was handed to this process. To be called once: the sockets change hands.
    pub(crate) fn take(self) -> Activation {
        let numbers = self.numbers(std::process::id());
        let handed = numbers.into_iter().take_while(|(number, _)| is_inherited(*number));
        let sockets = handed.map(|(number, name)| {
            #[expect(
                unsafe_code,
                reason = "a file that was inherited is known by its number alone"
            )]
            // SAFETY: the service manager opened it for this very process, which LISTEN_PID says, it is open, none of what
            // this program opened has its number, and nothing else takes files by number.
            let socket = unsafe { OwnedFd::from_raw_fd(number) };
            InheritedSocket { socket, name }
        });
        Activation { sockets: sockets.collect(), notifier: Notifier::new(self.notify) }
    }

    /// The numbers of the sockets for the process `pid`, and their names.
    fn numbers(&self, pid: u32) -> Vec<(i32, String)> {
        let number = |text: &Option<String>| text.as_deref()?.parse::<u32>().ok();
        if number(&self.pid) != Some(pid) {
            return Vec::new();
        }
        let count = number(&self.count).and_then(|count| i32::try_from(count).ok());
        let mut names = self.names.as_deref().unwrap_or_default().split(':');
        (0..count.unwrap_or_default().min(MOST))
            .map(|index| (FIRST + index, names.next().unwrap_or_default().to_owned()))
            .collect()
    }
}

/// Says whether a file is open and was when this process began: what is opened since is closed by an `exec`. A number that somebody made
/// up may be that of a file of the runtime.
fn is_inherited(number: i32) -> bool {
    const CLOSES: u32 = 0o2_000_000;
    let Ok(text) = std::fs::read_to_string(format!("/proc/self/fdinfo/{number}")) else {
        return false;
    };
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| flags & CLOSES == 0)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn files_of_our_own_are_not_taken_for_handed_ones() {
        let own = std::fs::File::open("/dev/null").unwrap();
        assert!(!is_inherited(own.as_raw_fd()));
        assert!(!is_inherited(1_000_000) && !is_inherited(-1));
        let handed = rustix::io::dup(&own).unwrap();
        assert!(is_inherited(handed.as_raw_fd()));
    }

    #[test]
    fn sockets_of_another_process_are_left_alone() {
        let text = |text: &str| Some(text.to_owned());
        for (pid, count, names, expected) in [
            (text("7"), text("2"), text("api:metrics"), vec![(3, "api"), (4, "metrics")]),
            (text("7"), text("2"), None, vec![(3, ""), (4, "")]),
            (text("7"), text("1"), text("a:b:c"), vec![(3, "a")]),
            (text("8"), text("1"), None, vec![]),
            (None, text("1"), None, vec![]),
            (text("7"), text("-1"), None, vec![]),
            (text("7"), text("x"), None, vec![]),
            (text("7"), None, None, vec![]),
        ] {
            let variables = Variables { pid, count, names, notify: None };
            let found = variables.numbers(7);
            let found: Vec<_> =
                found.iter().map(|(number, name)| (*number, name.as_str())).collect();
            assert_eq!(found, expected, "{variables:?}");
        }
        let many = Variables { pid: text("7"), count: text("4000000000"), ..Variables::default() };
        assert!(many.numbers(7).is_empty());
    }
}
