//! Log lines on standard error.

use tracing::Level;
use tracing_subscriber::filter::LevelFilter;

use crate::arguments::LogLevel;

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

/// Starts to write log lines of a level and those more important; without a level none.
pub(crate) fn start(level: Option<Level>, json: bool) {
    let lines = tracing_subscriber::fmt()
        .with_max_level(level.map_or(LevelFilter::OFF, LevelFilter::from_level))
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(false);
    // A second start in one process would fail: there is one only.
    let _ = if json { lines.json().try_init() } else { lines.try_init() };
}
