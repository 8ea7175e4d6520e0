//! What the service manager hands to a daemon: sockets that listen, and a way to tell how it goes.

use std::os::fd::{FromRawFd as _, OwnedFd};
use std::path::PathBuf;

use daemon::{Activation, InheritedSocket, Notifier};

/// The number of the first socket: `SD_LISTEN_FDS_START`.
const FIRST: i32 = 3;
/// More sockets than anybody passes; a number beyond is a mistake.
const MOST: i32 = 1024;

/// What of the environment is the service manager's, as `sd_listen_fds(3)` and `sd_notify(3)` have it.
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
        let sockets = numbers.into_iter().map(|(number, name)| {
            #[expect(
                unsafe_code,
                reason = "a file that was inherited is known by its number alone"
            )]
            // SAFETY: the service manager opened it for this very process, which LISTEN_PID says, and nothing else in
            // this program takes files by number.
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

#[cfg(test)]
mod tests {
    use super::*;

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
