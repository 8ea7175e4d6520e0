//! Lines of a progress display, made to fit: the same facts in fewer columns.

use std::time::Duration;

use api::message::{Message, ProgressDetail, Units};
use spec::go::{LIST_DIGITS, PROGRESS_DIGITS, human_bytes};
use unicode_width::UnicodeWidthChar as _;

use super::tally::{Bytes, Count, Sums, Tally};
use crate::cells::ellipsis;
use crate::output::printable;

/// A terminal must be wider for a bar to fit beside the counts.
const BAR_NEEDS: usize = 110;
/// The characters of a full bar.
const BAR: usize = 50;

/// Returns docker's line about a layer, in at most `columns`: without its bar, with a percentage for the counts, or cut off
/// where it would be longer.
pub(super) fn of_layer(message: &Message, columns: usize) -> String {
    let shown = |text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        printable(text).replace(['\n', '\t'], " ")
    };
    let id = Some(shown(&message.id)).filter(|id| !id.is_empty());
    let name = id.map(|id| id + ": ").unwrap_or_default();
    let status = shown(&message.status);
    let counts = match (message.progress_detail, &message.progress) {
        (Some(detail), _) => {
            let short = compact(detail);
            [Some(bar(detail, columns)), short, percent(detail)]
        }
        (None, progress) => [Some(shown(progress)), None, None],
    };
    let lines = counts.into_iter().flatten().map(|counts| {
        let line = format!("{name}{status} {counts}");
        line.trim_end().to_owned()
    });
    fitting(lines, columns)
}

/// Returns the line of the totals, in at most `columns`; none before there is something to count.
pub(super) fn of_totals(tally: &Tally, now: Duration, columns: usize) -> Option<String> {
    let (over, layers) = tally.layers();
    let bytes = tally.bytes();
    if tally.is_empty() || bytes.total == Some(0) {
        return None;
    }
    let done = human_bytes(bytes.done, LIST_DIGITS);
    let counts = match bytes.total {
        Some(total) => format!("{done}/{}", human_bytes(total, LIST_DIGITS)),
        None => done,
    };
    let rate = tally.rate(now).filter(|rate| *rate >= 1.0);
    let left = rate.and_then(|rate| left(bytes, rate)).map(|left| format!("  {} left", span(left)));
    let left = left.unwrap_or_default();
    let rate = rate.map(|rate| format!("  {}/s", human_bytes(whole(rate), LIST_DIGITS)));
    let rate = rate.unwrap_or_default();
    let parts = if layers > 0 { format!("{over}/{layers} layers  ") } else { String::new() };
    let bar = bytes.total.filter(|_| columns > BAR_NEEDS).map(|total| arrow(bytes.done, total));
    let lines = [
        bar.map(|bar| format!("Total: {parts}{bar} {counts}{rate}{left}")),
        Some(format!("Total: {parts}{counts}{rate}{left}")),
        Some(format!("Total: {counts}{rate}{left}")),
        Some(format!("{counts}{rate}{left}")),
        Some(format!("{counts}{left}")),
        Some(counts.clone()),
    ];
    Some(fitting(lines.into_iter().flatten(), columns))
}

/// Returns the line that ends an operation: what was moved, what was there before, and the time.
pub(super) fn of_sums(sums: &Sums, time: Duration) -> String {
    let counted = |Count { layers, bytes }| {
        let plural = if layers == 1 { "" } else { "s" };
        let layers = (layers > 0).then(|| format!("{layers} layer{plural}"));
        let bytes = (bytes > 0).then(|| human_bytes(bytes, LIST_DIGITS));
        let parts: Vec<String> = layers.into_iter().chain(bytes).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    };
    let moved = counted(sums.moved).unwrap_or_else(|| "nothing".to_owned());
    let others = [("There before", sums.present), ("Mounted", sums.mounted)];
    let others = others.map(|(what, count)| {
        counted(count).map(|count| format!(" {what}: {count}.")).unwrap_or_default()
    });
    format!("Moved: {moved}.{} Time: {}.", others.concat(), span(time))
}

/// Returns docker's bar and counts of a layer.
pub(super) fn bar(detail: ProgressDetail, columns: usize) -> String {
    let ProgressDetail { current, total, units } = detail;
    if units == Some(Units::Seconds) {
        return format!("{current}/{total} seconds");
    }
    match (current, total) {
        (0, 0) => return String::new(),
        (_, 0) => return format!("{:>8}", human_bytes(current, PROGRESS_DIGITS)),
        _ => {}
    }
    let bar = if columns > BAR_NEEDS { arrow(current, total) + " " } else { String::new() };
    // More than there is in all: the sum was wrong, and is not shown.
    let of = if current <= total {
        format!("/{}", human_bytes(total, PROGRESS_DIGITS))
    } else {
        String::new()
    };
    format!("{bar}{:>8}{of}", human_bytes(current, PROGRESS_DIGITS))
}

/// Returns counts with fewer digits and no blanks.
fn compact(detail: ProgressDetail) -> Option<String> {
    let ProgressDetail { current, total, units } = detail;
    (units.is_none() && total > 0 && current <= total).then(|| {
        format!("{}/{}", human_bytes(current, LIST_DIGITS), human_bytes(total, LIST_DIGITS))
    })
}

fn percent(detail: ProgressDetail) -> Option<String> {
    let ProgressDetail { current, total, units } = detail;
    (units.is_none() && total > 0 && current <= total)
        .then(|| format!("{}%", u128::from(current) * 100 / u128::from(total)))
}

fn arrow(current: u64, total: u64) -> String {
    let done = u128::from(current) * 100 / u128::from(total.max(1)) / 2;
    let done = usize::try_from(done).unwrap_or(BAR).min(BAR);
    format!("[{}>{}]", "=".repeat(done), " ".repeat(BAR - done))
}

/// Returns the time that what is left takes.
fn left(bytes: Bytes, rate: f64) -> Option<Duration> {
    let left = bytes.total?.checked_sub(bytes.done).filter(|left| *left > 0)?;
    Some(Duration::from_secs(left.div_ceil(whole(rate).max(1))))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is no negative number, and what is too large becomes the largest"
)]
fn whole(rate: f64) -> u64 {
    rate as u64
}

/// Returns a time as a user reads it: `4.2s`, `42s`, `2m05s`, `1h02m`.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 if time.subsec_millis() >= 100 || seconds == 0 => {
            format!("{seconds}.{}s", time.subsec_millis() / 100)
        }
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Returns the first line that fits, else the last one, cut off.
fn fitting(lines: impl Iterator<Item = String>, columns: usize) -> String {
    let mut last = String::new();
    for line in lines {
        if width(&line) <= columns {
            return line;
        }
        last = line;
    }
    cut(&last, columns)
}

/// Returns text in at most `columns`.
pub(super) fn cut(text: &str, columns: usize) -> String {
    // A single column has no room for a letter and the mark that it is not all.
    if columns < 2 { String::new() } else { ellipsis(text, columns) }
}

/// Returns the columns of a text. As in [`ellipsis`], none of its characters has none: terminals differ about these.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(1).max(1)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fit_the_terminal() {
        for (current, total, columns, expected) in [
            (0, 0, 200, ""),
            (0, 100, 111, "[>                                                  ]       0B/100B"),
            (100, 100, 111, "[==================================================>]     100B/100B"),
            (1, 3, 110, "      1B/3B"),
            (7, 3, 80, "      7B"),
            (u64::MAX, u64::MAX, 80, " 9.223EB/9.223EB"),
        ] {
            let bar = bar(ProgressDetail::bytes(current, total), columns);
            assert_eq!(bar, expected, "{current}/{total} in {columns}");
        }
    }

    #[test]
    fn a_line_says_less_where_there_is_less_room() {
        let message = |status: &str, current, total| {
            Message::layer("4ee7da9e7e7d", status, ProgressDetail::bytes(current, total))
        };
        let line = message("Downloading", 31_234_000, 105_400_000);
        for (columns, expected) in [
            (79, "4ee7da9e7e7d: Downloading  31.23MB/105.4MB"),
            (42, "4ee7da9e7e7d: Downloading  31.23MB/105.4MB"),
            (41, "4ee7da9e7e7d: Downloading 31.2MB/105MB"),
            (37, "4ee7da9e7e7d: Downloading 29%"),
            (20, "4ee7da9e7e7d: Downl…"),
        ] {
            assert_eq!(of_layer(&line, columns), expected, "{columns}");
        }
        let long = message("Waiting, as it asks (429 Too Many Requests)", 0, 0);
        assert_eq!(of_layer(&long, 39), "4ee7da9e7e7d: Waiting, as it asks (429…");
        let steering = message("a\u{1b}[2J\nb", 0, 0);
        assert_eq!(of_layer(&steering, 39), "4ee7da9e7e7d: a\u{fffd}[2J b");
    }

    #[test]
    fn times_are_short() {
        for (millis, expected) in [
            (0, "0.0s"),
            (1_000, "1s"),
            (4_270, "4.2s"),
            (42_900, "42s"),
            (125_000, "2m05s"),
            (3_725_000, "1h02m"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn the_end_tells_what_there_was() {
        let count = |layers, bytes| Count { layers, bytes };
        let sums =
            |moved, present, mounted| of_sums(&Sums { moved, present, mounted }, Duration::ZERO);
        let none = Count::default();
        assert_eq!(sums(none, none, none), "Moved: nothing. Time: 0.0s.");
        assert_eq!(
            sums(count(3, 31_234_000), count(1, 5_000), count(2, 0)),
            "Moved: 3 layers, 31.2MB. There before: 1 layer, 5kB. Mounted: 2 layers. Time: 0.0s."
        );
        // A part of a layer is no layer.
        assert_eq!(
            sums(count(1, 20), count(0, 80), none),
            "Moved: 1 layer, 20B. There before: 80B. Time: 0.0s."
        );
    }
}
