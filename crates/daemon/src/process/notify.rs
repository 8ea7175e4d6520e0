//! Notifications to the service manager, as `sd_notify(3)` describes.
//!
//! By hand rather than by the crate `sd-notify`: that reads the environment at each call, which only the command line
//! does here and once, and waits while the manager does not read.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::{Path, PathBuf};

use rustix::time::{ClockId, clock_gettime};

/// The way to the service manager, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Notifier {
    socket: Option<PathBuf>,
}

impl Notifier {
    /// A notifier for the socket that `$NOTIFY_SOCKET` names; without one it does nothing.
    pub fn new(socket: Option<PathBuf>) -> Self {
        Self { socket }
    }

    pub(crate) fn ready(&self) {
        self.tell("READY=1");
    }

    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// Says that a reload begins. Its end is said by [`Notifier::ready`].
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        // Units of the type `notify-reload` must say when.
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    fn tell(&self, state: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = send(socket, state) {
            tracing::warn!(socket = %socket.display(), %error, "the service manager cannot be told");
        }
    }
}

fn send(socket: &Path, state: &str) -> io::Result<()> {
    let address = match socket.as_os_str().as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let datagram = UnixDatagram::unbound()?;
    // Whoever reads slowly must not hold up the daemon.
    datagram.set_nonblocking(true)?;
    datagram.send_to_addr(state.as_bytes(), &address).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(manager: &UnixDatagram) -> String {
        let mut message = [0; 256];
        let length = manager.recv(&mut message).unwrap();
        String::from_utf8(message[..length].to_vec()).unwrap()
    }

    #[test]
    fn the_service_manager_hears_every_state() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("notify");
        let name = format!("longshore-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        for (manager, socket) in [
            (UnixDatagram::bind(&path).unwrap(), path.clone()),
            (UnixDatagram::bind_addr(&address).unwrap(), format!("@{name}").into()),
        ] {
            let notifier = Notifier::new(Some(socket));
            notifier.ready();
            notifier.reloading();
            notifier.stopping();
            assert_eq!(heard(&manager), "READY=1");
            let reloading = heard(&manager);
            let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
            assert!(time.parse::<u64>().unwrap() > 0);
            assert_eq!(heard(&manager), "STOPPING=1");
        }
    }

    #[test]
    fn without_a_service_manager_nothing_happens() {
        Notifier::default().ready();
        Notifier::new(Some("/no/such/socket".into())).ready();
    }
}
