//! Points in time as Docker's clients write them.

use std::num::{IntErrorKind, ParseIntError};

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// Reads `SECONDS` or `SECONDS.FRACTION` since 1970, the form of `since` and `until` of events. Empty is no time.
///
/// The error says what is wrong in dockerd's words, to be put behind the parameter's name.
pub fn unix(text: &str) -> Result<Option<Timestamp>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    seconds(text).map(Some).map_err(|reason| format!("invalid timestamp {text:?}: {reason}"))
}

fn seconds(text: &str) -> Result<Timestamp, String> {
    /// A fraction of a second has nine digits; more are cut off, but not without end.
    const MAX_FRACTION: usize = 20;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = whole.parse().map_err(|error: ParseIntError| {
        let reason = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        format!("invalid seconds {whole:?}: {reason}")
    })?;
    if fraction.len() > MAX_FRACTION || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return Err("invalid nanoseconds".to_owned());
    }
    let nanoseconds = fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |n, b| n * 10 + i32::from(b - b'0'));
    Timestamp::new(whole, nanoseconds).map_err(|_| "out of range".to_owned())
}

/// Reads what `until` of a list of images may be: how long ago (`1h30m`), a date or time with or without a zone, or Unix
/// seconds. Times without a zone are in `zone`.
pub fn moment(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    let failed = |reason: &str| format!("failed to parse value as time or duration: {reason}");
    if text.trim().is_empty() {
        return Err(failed("value is empty"));
    }
    if text != "0"
        && let Some(ago) = duration(text)
    {
        return now.checked_sub(ago).map_err(|_| failed("out of range"));
    }
    if text.contains('-') {
        return date(text, zone).ok_or_else(|| failed(&format!("cannot parse {text:?} as a time")));
    }
    seconds(text).map_err(|reason| failed(&reason))
}

/// Writes what a user says of a time (`10m` ago, a date or time with or without a zone, Unix seconds) as `since` and `until`
/// of events have it. The error is what Docker's command line says.
pub fn parameter(text: &str, now: Timestamp, zone: &TimeZone) -> Result<String, String> {
    if text != "0"
        && let Some(ago) = duration(text)
    {
        let moment = now.checked_sub(ago).map_err(|_| format!("{text:?} is out of range"))?;
        return Ok(moment.as_nanosecond().div_euclid(1_000_000_000).to_string());
    }
    if text.contains('-') && text.parse::<i64>().is_err() {
        let moment = date(text, zone).ok_or_else(|| format!("cannot parse {text:?} as a time"))?;
        let nanoseconds = moment.as_nanosecond();
        let (seconds, rest) =
            (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
        return Ok(format!("{seconds}.{rest:09}"));
    }
    match seconds(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err(format!("failed to parse value as time or duration: {text:?}")),
    }
}

fn duration(text: &str) -> Option<SignedDuration> {
    spec::go::parse_duration(text).ok().map(SignedDuration::from_nanos)
}

/// A date, or a date and a time of any precision, with or without a zone.
fn date(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let (local, zone) = split_zone(text, zone)?;
    let time = match local.split_once('T') {
        None => local.parse::<Date>().ok()?.to_datetime(jiff::civil::Time::midnight()),
        // An hour alone, which no standard knows and dockerd takes.
        Some((_, clock)) if !clock.contains(':') => {
            format!("{local}:00").parse::<DateTime>().ok()?
        }
        Some(_) => local.parse::<DateTime>().ok()?,
    };
    Some(time.to_zoned(zone).ok()?.timestamp())
}

/// Cuts `Z`, `+02:00` or `-02:00` off the end of a time.
fn split_zone<'a>(text: &'a str, local: &TimeZone) -> Option<(&'a str, TimeZone)> {
    if let Some(rest) = text.strip_suffix(['Z', 'z']) {
        return Some((rest, TimeZone::UTC));
    }
    // A date has two hyphens of its own.
    let sign =
        text.rfind('+').or_else(|| text.rfind('-').filter(|_| text.matches('-').count() == 3));
    let Some(at) = sign else { return Some((text, local.clone())) };
    let (hours, minutes) = text[at + 1..].split_once(':')?;
    let part = |text: &str, max: i32| {
        let value = text.parse::<i32>().ok().filter(|value| (0..=max).contains(value))?;
        (text.len() == 2).then_some(value)
    };
    let seconds = part(hours, 23)? * 3600 + part(minutes, 59)? * 60;
    let offset = if text[at..].starts_with('-') { -seconds } else { seconds };
    Some((&text[..at], TimeZone::fixed(Offset::from_seconds(offset).ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unix_times_have_up_to_nine_digits() {
        let table = [
            ("1700000000", "2023-11-14T22:13:20Z"),
            ("1700000000.5", "2023-11-14T22:13:20.5Z"),
            ("1700000000.0000000019999", "2023-11-14T22:13:20.000000001Z"),
            ("1700000000.", "2023-11-14T22:13:20Z"),
            ("0", "1970-01-01T00:00:00Z"),
            ("-1", "1969-12-31T23:59:59Z"),
        ];
        for (text, expected) in table {
            assert_eq!(unix(text).unwrap().unwrap().to_string(), expected, "{text}");
        }
        assert_eq!(unix("").unwrap(), None);
        for text in [
            "x",
            "1.x",
            "1.-5",
            "9223372036854775808",
            "1.000000000000000000000",
            "9999999999999",
            " 1",
        ] {
            let error = unix(text).unwrap_err();
            assert!(error.starts_with(&format!("invalid timestamp {text:?}: ")), "{error}");
        }
    }

    #[test]
    fn moments_are_read_in_every_form_that_dockerd_takes() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        let table = [
            ("1h", "2026-11-21T11:00:00Z"),
            ("1h30m0.5s", "2026-11-21T10:29:59.5Z"),
            ("-1h", "2026-11-21T13:00:00Z"),
            ("2023-11-14", "2023-11-13T22:00:00Z"),
            ("2023-11-14Z", "2023-11-14T00:00:00Z"),
            ("2023-11-14+01:00", "2023-11-13T23:00:00Z"),
            ("2023-11-14T22", "2023-11-14T20:00:00Z"),
            ("2023-11-14T22:13", "2023-11-14T20:13:00Z"),
            ("2023-11-14T22:13:20", "2023-11-14T20:13:20Z"),
            ("2023-11-14T22:13:20.25", "2023-11-14T20:13:20.25Z"),
            ("2023-11-14T22:13:20Z", "2023-11-14T22:13:20Z"),
            ("2023-11-14T22:13:20.25-05:00", "2023-11-15T03:13:20.25Z"),
            ("1700000000.25", "2023-11-14T22:13:20.25Z"),
            ("0", "1970-01-01T00:00:00Z"),
        ];
        for (text, expected) in table {
            assert_eq!(moment(text, now, &zone).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn parameters_are_unix_seconds() {
        let now: Timestamp = "2026-11-21T12:00:00.75Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        for (text, expected) in [
            ("1h", Ok("1795258800")),
            ("0", Ok("0")),
            ("1700000000", Ok("1700000000")),
            ("1700000000.5", Ok("1700000000.5")),
            ("-1", Ok("-1")),
            ("2023-11-14", Ok("1699912800.000000000")),
            ("2023-11-14T22:13:20.25Z", Ok("1700000000.250000000")),
            ("bogus", Err("failed to parse value as time or duration: \"bogus\"")),
            ("2023-13-01", Err("cannot parse \"2023-13-01\" as a time")),
        ] {
            let parameter = parameter(text, now, &zone);
            assert_eq!(parameter, expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        let now: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
        let hostile = [
            "",
            " ",
            "x",
            "1y",
            "h",
            "1h2",
            "99999999999999999999h",
            "2023-13-01",
            "2023-11-14T25:00",
            "2023-11-14T22:13:20+1:00",
            "2023-11-14T22:13:20+99:00",
            "-",
            "+-é",
            "2023-11-14T22:13:20+",
        ];
        for text in hostile {
            assert!(moment(text, now, &TimeZone::UTC).is_err(), "{text:?}");
        }
    }
}
