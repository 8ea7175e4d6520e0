//! Log lines on standard error.

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
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
    let lines = if json { lines.json().boxed() } else { lines.boxed() };
    // A second start in one process would fail: there is one only.
    let _ = tracing_subscriber::registry().with(threshold).with(lines).try_init();
    Threshold(handle)
}
