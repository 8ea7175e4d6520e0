//! Operations that report while they run: their answers are streams of messages in Docker's words.

mod journal;
mod operation;
mod words;

pub(crate) use journal::Journal;
pub(crate) use operation::Operation;
pub(crate) use words::{incomplete, referrers_left_out};
