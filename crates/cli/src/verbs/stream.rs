//! A line at a terminal about bytes that come or go, while nothing else is said of them.

use std::pin::pin;
use std::time::Duration;

use spec::go::{LIST_DIGITS, human_size};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::cells::ellipsis;
use crate::{output, terminal};

/// The time before a user is told: most archives are read by then.
const PATIENCE: Duration = Duration::from_secs(1);
const EVERY: Duration = Duration::from_millis(500);
/// Columns of a terminal that does not tell.
const WIDTH: usize = 80;

/// Awaits `work` and, where a user looks on and wants it, shows how many bytes have `moved` and how fast.
pub(super) async fn with_line<T>(
    is_wanted: bool,
    what: &str,
    moved: impl Fn() -> u64,
    work: impl Future<Output = T>,
) -> T {
    if !is_wanted || !terminal::warns_terminal() {
        return work.await;
    }
    let begun = Instant::now();
    let mut ticks = interval_at(begun + PATIENCE, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut work = pin!(work);
    let mut is_shown = false;
    let result = loop {
        tokio::select! {
            biased;
            result = &mut work => break result,
            _ = ticks.tick() => {}
        }
        let line = line(what, moved(), begun.elapsed(), terminal::width().unwrap_or(WIDTH));
        output::warn_drawn(&format!("\r{line}\x1b[K"));
        is_shown = true;
    };
    if is_shown {
        output::warn_drawn("\r\x1b[K");
    }
    result
}

/// Returns the line, in less than `width` columns, so that the cursor stays in it.
fn line(what: &str, bytes: u64, elapsed: Duration, width: usize) -> String {
    let human = |bytes: u128| human_size(i64::try_from(bytes).unwrap_or(i64::MAX), LIST_DIGITS);
    let rate = u128::from(bytes) * 1000 / elapsed.as_millis().max(1);
    let facts = format!(": {}, {}/s", human(bytes.into()), human(rate));
    let room = width.saturating_sub(facts.len() + 1);
    let what = output::printable(what);
    format!("{}{facts}", ellipsis(&what, room.max(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_bytes_and_rate_and_fits() {
        let seconds = Duration::from_secs;
        for (what, bytes, elapsed, width, expected) in [
            ("Reading app.tar", 0, seconds(0), 80, "Reading app.tar: 0B, 0B/s"),
            ("Reading app.tar", 12_300_000, seconds(4), 80, "Reading app.tar: 12.3MB, 3.08MB/s"),
            ("Reading app.tar", 12_300_000, seconds(4), 33, "Reading app…: 12.3MB, 3.08MB/s"),
            ("a\u{1b}[31m.tar", 5, seconds(1), 80, "a\u{fffd}[31m.tar: 5B, 5B/s"),
        ] {
            assert_eq!(line(what, bytes, elapsed, width), expected);
        }
    }
}
