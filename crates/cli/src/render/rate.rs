//! Rate at which bytes move, over the last seconds.

use std::collections::VecDeque;
use std::time::Duration;

/// The time over which a rate is taken: long enough that the number can be read, short enough that a link that stands
/// still is seen.
const WINDOW: Duration = Duration::from_secs(8);
/// The least time between two samples.
const STEP: Duration = Duration::from_millis(250);
/// The least time that a rate is taken over.
const LEAST: Duration = Duration::from_secs(1);

/// The counts of the last seconds. Moments are counted from any one point in time.
#[derive(Debug, Default)]
pub(super) struct Rate {
    samples: VecDeque<(Duration, u64)>,
    /// The last time that something had come, and how much that was in all.
    latest: (Duration, u64),
}

impl Rate {
    /// Notes how many bytes were moved until now.
    pub(super) fn note(&mut self, now: Duration, bytes: u64) {
        if bytes != self.latest.1 {
            self.latest = (now, bytes);
        }
        let due = self.samples.back().is_none_or(|(last, _)| now.saturating_sub(*last) >= STEP);
        if due {
            self.samples.push_back((now, bytes));
        }
        // One from before the window stays: the rate is from there on.
        while self.samples.get(1).is_some_and(|(next, _)| *next + WINDOW <= now) {
            self.samples.pop_front();
        }
    }

    /// Returns bytes per second; nothing before there is something to go by.
    pub(super) fn per_second(&self, now: Duration, bytes: u64) -> Option<f64> {
        let begin =
            self.samples.iter().rev().find(|(at, _)| *at + WINDOW <= now).or(self.samples.front());
        let (since, before) = begin?;
        if now.saturating_sub(self.latest.0) >= WINDOW {
            return Some(0.0);
        }
        let span = now.saturating_sub(*since);
        #[expect(clippy::cast_precision_loss, reason = "a rate is shown with three digits")]
        let moved = bytes.saturating_sub(*before) as f64;
        (span >= LEAST).then(|| moved / span.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let at = |tenths: u64| Duration::from_millis(tenths * 100);
        let mut rate = Rate::default();
        assert_eq!(rate.per_second(at(0), 0), None);
        for tenth in 0..=100 {
            rate.note(at(tenth), tenth * 100);
            let seen = rate.per_second(at(tenth), tenth * 100);
            assert_eq!(seen.is_some(), tenth >= 10, "{tenth}");
            assert!(seen.is_none_or(|seen| (seen - 1000.0).abs() < 1.0), "{tenth}: {seen:?}");
        }
        assert!(rate.samples.len() < 40, "what is older is forgotten: {}", rate.samples.len());
        // Nothing comes any more: the rate sinks, and is nothing after the window.
        let standing = |tenth| rate.per_second(at(tenth), 10_000).unwrap();
        assert!(standing(140) < 700.0 && standing(140) > 300.0, "{}", standing(140));
        assert!(standing(180) < 1.0, "{}", standing(180));
    }

    #[test]
    fn one_leap_is_smoothed() {
        let mut rate = Rate::default();
        for second in 0..=8 {
            rate.note(Duration::from_secs(second), second * 1000);
        }
        let leap = rate.per_second(Duration::from_millis(8100), 16_000).unwrap();
        assert!(leap < 2100.0, "{leap}");
    }
}
