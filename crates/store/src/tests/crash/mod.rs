//! The power goes at any operation, the disk is full at any operation, and writes fail on their way to the disk.
//!
//! Whatever is lost, a start finds a root that is sound: it has the old state or the new one, no reference to something that is not
//! whole, and all that was reported done.

mod faults;
mod power;
mod process;
mod repair;
mod stage;

pub(super) use self::process::run_child;
