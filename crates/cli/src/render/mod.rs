//! Progress and notes, as a user sees them.

mod json;
mod line;
mod note;
mod phase;
mod plain;
mod progress;
mod rate;
mod screen;
mod tally;
#[cfg(test)]
mod tests;

pub(crate) use json::ImageOutcome;
pub(crate) use note::note;
pub(crate) use progress::{Display, ProgressFlag, Stream, TICK};
