//! The system's limits of this process.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the number of files that may be open as far as it may be raised: each client of a server is one, each
/// blob of a pull another.
///
/// The lower number that systems begin with is for programs that use `select`, which nothing here does.
pub(crate) fn open_many_files() {
    let limit = getrlimit(Resource::Nofile);
    let raised = rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the number of open files stays limited");
    }
}
