//! Go's text formats, which Docker's messages, documents and tables have: string literals, durations, numbers and sizes.

mod duration;
mod float;
mod quote;
mod units;

pub use duration::duration;
pub use float::{significant, two_digit_exponent};
pub use quote::quoted;
pub use units::{LIST_DIGITS, PROGRESS_DIGITS, binary_size, human_duration, human_size};
