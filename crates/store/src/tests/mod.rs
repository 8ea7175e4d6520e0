//! Tests of the store as a whole, and what the other tests share.

mod check;
mod concurrency;
mod crash;
mod durability;
mod forgetful;
mod layout;
mod own_state;
mod parts;
mod removal;
mod shortage;
mod support;
mod versions;

pub(crate) use self::support::{Root, Sample, drivers};
