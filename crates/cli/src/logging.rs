//! Log lines on standard error.

use std::fmt::{self, Debug};

use tracing::Level;
use tracing::field::Field;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry};

use crate::output;

/// The level from which on lines are written, which can be changed.
#[derive(Clone, Debug)]
pub(crate) struct Threshold(Handle<LevelFilter, Registry>);

impl Threshold {
    /// Writes lines of `level` and those more important from now on.
    pub(crate) fn set(&self, level: Level) {
        // Fails only when nobody writes lines any more.
        let _ = self.0.reload(LevelFilter::from_level(level));
    }
}

/// Starts to write what is for whoever waits in front of a terminal, as sentences, and no other log lines.
pub(crate) fn start_notices() {
    let notices = Targets::new().with_target(daemon::NOTICES, Level::WARN);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| output::Log)
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_ansi(false)
        .with_filter(notices);
    // A second start in one process would fail: there is one only.
    let _ = tracing_subscriber::registry().with(lines).try_init();
}

/// Starts to write log lines of a level and those more important.
pub(crate) fn start(level: Level, json: bool) -> Threshold {
    let (threshold, handle) = reload::Layer::new(LevelFilter::from_level(level));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| output::Log)
        .with_target(false)
        .with_ansi(false);
    let lines = if json {
        lines.json().boxed()
    } else {
        lines.fmt_fields(debug_fn(field).delimited(" ")).boxed()
    };
    // A second start in one process would fail: there is one only.
    let _ = tracing_subscriber::registry().with(threshold).with(lines).try_init();
    Threshold(handle)
}

/// Writes one field of a line: a value that is no plain word stands in quotes, so that programs find where it ends.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    if field.name() == "message" {
        return write!(writer, "{value:?}");
    }
    write!(writer, "{}={}", field.name(), quoted(format!("{value:?}")))
}

fn quoted(value: String) -> String {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=');
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let is_quoted =
        inner.is_some_and(|inner| !inner.replace("\\\\", "").replace("\\\"", "").contains('"'));
    if is_quoted || !value.is_empty() && value.chars().all(is_plain) {
        return value;
    }
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_spaces_stand_in_quotes() {
        for (value, expected) in [
            ("12", "12"),
            ("tcp://127.0.0.1:1", "tcp://127.0.0.1:1"),
            ("\"a b\"", "\"a b\""),
            ("No such file (os error 2)", "\"No such file (os error 2)\""),
            ("Get \"http://x\": EOF", r#""Get \"http://x\": EOF""#),
            ("a=b", "\"a=b\""),
            ("", "\"\""),
        ] {
            assert_eq!(quoted(value.to_owned()), expected);
        }
    }
}
