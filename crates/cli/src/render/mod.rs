//! What a user sees of a running operation.

mod note;
mod progress;

pub(crate) use note::note;
pub(crate) use progress::Progress;
