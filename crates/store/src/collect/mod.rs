//! Holding and removing: leases, the collection of what they leave, and the trash.

mod collection;
mod in_use;
pub(crate) mod journal;
mod lease;
mod pins;
mod remove;
mod renewal;
pub(crate) mod sweep;
pub(crate) mod trash;

pub use self::in_use::ImageUse;
pub use self::lease::Lease;
pub use self::remove::RemovedImage;
