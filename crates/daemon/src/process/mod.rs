//! The daemon as a process: its life between start and signals, its pidfile, and its word to the service manager.

pub(crate) mod notify;
mod pid_file;
pub(crate) mod run;
