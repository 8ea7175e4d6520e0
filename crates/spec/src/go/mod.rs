//! Go's text formats, which Docker's messages, documents and tables have: string literals, durations, numbers,
//! sizes, and patterns of paths.

mod duration;
mod float;
mod glob;
mod quote;
mod time;
mod units;

pub use duration::{DurationError, duration, parse_duration, parse_long_duration};
pub use float::{fixed, scientific, significant, two_digit_exponent};
pub use glob::{Glob, GlobError};
pub use quote::quoted;
pub use time::{ZERO_TIME, time};
pub use units::{LIST_DIGITS, PROGRESS_DIGITS, SizeError};
pub use units::{binary_size, human_bytes, human_duration, human_size, parse_size};
