//! Servers for tests, on free loopback ports, that stop when their guard is dropped.
//!
//! [`LocalRegistry`] is ours and runs in this process. [`DockerRegistry`] and [`Dockerd`] run what
//! Debian's `docker-registry` and `docker.io` install; a test asks [`installed`] before it uses
//! them.

mod background;
mod docker_registry;
mod dockerd;
mod local;
mod notary;
mod process;
mod token;

use std::net::TcpListener;
use std::path::PathBuf;
use std::{env, io};

pub use docker_registry::{DockerRegistry, DockerRegistryBuilder};
pub use dockerd::{Dockerd, DockerdBuilder};
pub use local::LocalRegistry;
pub use notary::Notary;
pub use process::Process;
pub use token::TokenServer;

/// Set by `cargo xtask test`, which has installed everything: a test that would be skipped for want
/// of a program fails instead.
pub const COMPLETE: &str = "LONGSHORE_TESTS_COMPLETE";

/// Says whether all `programs` are on the `PATH` (or, for daemons, in a `sbin`).
///
/// A test that needs them returns early where they are not. Panics where [`COMPLETE`] is set.
pub fn installed(programs: &[&str]) -> bool {
    let missing: Vec<&str> =
        programs.iter().copied().filter(|program| find_program(program).is_none()).collect();
    assert!(
        missing.is_empty() || env::var_os(COMPLETE).is_none(),
        "{COMPLETE} is set, but these programs are missing: {missing:?}"
    );
    missing.is_empty()
}

/// Finds a program's file.
pub fn find_program(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    // Where daemons are, and an ordinary user's PATH is not.
    let system = ["/usr/sbin", "/sbin", "/usr/local/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(system).map(|folder| folder.join(program)).find(|p| p.is_file())
}

/// Returns a port of 127.0.0.1 that was free a moment ago. Somebody may take it before it is used:
/// whoever starts a server on it tries again with another.
pub fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// Number of starts of a server whose port is taken.
const ATTEMPTS: usize = 5;

fn retry<T>(mut start: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    for _ in 1..ATTEMPTS {
        if let Ok(started) = start() {
            return Ok(started);
        }
    }
    start()
}
