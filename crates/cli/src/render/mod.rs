//! Progress and notes, as a user sees them.

mod note;
mod progress;

pub(crate) use note::note;
pub(crate) use progress::Progress;
