//! Log lines on standard error.

use tracing::Level;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::{self, Handle};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer as _, Registry};

use crate::arguments::LogLevel;
use crate::output;

impl LogLevel {
    /// Returns the name that Docker has for the level.
    pub(crate) fn name(self) -> &'static str {
        match self {
            LogLevel::Debug => "debug",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
            LogLevel::Fatal => "fatal",
        }
    }

    /// Returns the level itself; what is fatal is told as the command's error in any case.
    pub(crate) fn level(self) -> Level {
        match self {
            LogLevel::Debug => Level::DEBUG,
            LogLevel::Info => Level::INFO,
            LogLevel::Warn => Level::WARN,
            LogLevel::Error | LogLevel::Fatal => Level::ERROR,
        }
    }
}

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

/// Starts to write log lines of a level and those more important; without a level none.
pub(crate) fn start(level: Option<Level>, json: bool) -> Threshold {
    let (threshold, handle) =
        reload::Layer::new(level.map_or(LevelFilter::OFF, LevelFilter::from_level));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(|| output::Log)
        .with_target(false)
        .with_ansi(false);
    let lines = if json { lines.json().boxed() } else { lines.boxed() };
    // A second start in one process would fail: there is one only.
    let _ = tracing_subscriber::registry().with(threshold).with(lines).try_init();
    Threshold(handle)
}
