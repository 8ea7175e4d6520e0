//! Policies of prunes as filters say them: dockerd's filters, and Longshore's own beside them.

use std::num::NonZeroUsize;

use api::{ApiError, Filters, timestamp};
use engine::PrunePolicy;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use spec::go::{
    DurationError, Glob, GlobError, SizeError, parse_long_duration, parse_size, quoted,
};
use thiserror::Error;

/// The filters that dockerd has.
const DOCKERS: [&str; 4] = ["dangling", "label", "label!", "until"];
/// The filters that it refuses.
const OWN: [&str; 4] = ["keep-last", "max-size", "reference", "unused-for"];

/// Fault of a policy.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// There is no such filter, or none of this value.
    #[error(transparent)]
    Filter(#[from] ApiError),
    /// A filter that has one value has several.
    #[error("more than one {0} filter specified")]
    Several(&'static str),
    /// A moment that is none; the reason is in dockerd's words.
    #[error("invalid value for 'until' filter: {0}")]
    Until(String),
    /// A count that is none.
    #[error("invalid value for 'keep-last' filter: {}: give a number of at least 1", quoted(.0))]
    KeepLast(String),
    /// A time that is none.
    #[error("invalid value for 'unused-for' filter: {0}")]
    UnusedFor(#[from] DurationError),
    /// No time at all, or less.
    #[error("invalid value for 'unused-for' filter: {} is not above 0", quoted(.0))]
    NoTime(String),
    /// A size that is none.
    #[error("invalid value for 'max-size' filter: {0}")]
    MaxSize(#[from] SizeError),
    /// A pattern that is none.
    #[error("invalid value for 'reference' filter: {pattern}: {source}", pattern = quoted(pattern))]
    Reference {
        /// The value of the filter.
        pattern: String,
        /// Fault in it.
        source: GlobError,
    },
}

/// Reads a policy. Without a word on dangling images, one that Longshore's own filters narrow is for all images, and any other for those.
pub(crate) fn policy(filters: &Filters) -> Result<PrunePolicy, PolicyError> {
    filters.validate(&[DOCKERS, OWN].concat())?;
    let is_narrowed = OWN.iter().any(|name| filters.contains(name));
    let all = filters.boolean("dangling")?.map_or(is_narrowed, |dangling| !dangling);
    let list = |name: &str| filters.values(name).map(str::to_owned).collect();
    let pattern = |pattern: &str| {
        let failed = |source| PolicyError::Reference { pattern: pattern.to_owned(), source };
        Glob::parse(pattern).map_err(failed)
    };
    Ok(PrunePolicy {
        all,
        labels: list("label"),
        without_labels: list("label!"),
        until: single(filters, "until")?.map(moment).transpose()?,
        references: filters.values("reference").map(pattern).collect::<Result<_, _>>()?,
        keep_last: single(filters, "keep-last")?.map(count).transpose()?,
        unused_for: single(filters, "unused-for")?.map(time).transpose()?,
        max_size: single(filters, "max-size")?.map(parse_size).transpose()?,
    })
}

/// Returns the value of a filter that has one at the most.
fn single<'a>(filters: &'a Filters, name: &'static str) -> Result<Option<&'a str>, PolicyError> {
    let mut values = filters.values(name);
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(PolicyError::Several(name)),
        (value, None) => Ok(value),
    }
}

/// Reads the moment that a value of the filter `until` means.
pub(crate) fn moment(text: &str) -> Result<Timestamp, PolicyError> {
    let now = Timestamp::now();
    timestamp::moment(text, now, &TimeZone::system()).map_err(PolicyError::Until)
}

fn count(text: &str) -> Result<NonZeroUsize, PolicyError> {
    text.parse().map_err(|_| PolicyError::KeepLast(text.to_owned()))
}

fn time(text: &str) -> Result<SignedDuration, PolicyError> {
    let time = SignedDuration::from_nanos(parse_long_duration(text)?);
    // One that reaches behind the beginning of time would be none.
    if time.is_positive() && Timestamp::now().checked_sub(time).is_ok() {
        return Ok(time);
    }
    Err(PolicyError::NoTime(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<PrunePolicy, PolicyError> {
        policy(&Filters::decode(json).unwrap())
    }

    #[test]
    fn policies_are_for_all_images_unless_they_say_otherwise() {
        for (json, all) in [
            ("", false),
            (r#"{"until":["1h"]}"#, false),
            (r#"{"dangling":["false"]}"#, true),
            (r#"{"keep-last":["3"]}"#, true),
            (r#"{"unused-for":["30d"]}"#, true),
            (r#"{"max-size":["40GB"]}"#, true),
            (r#"{"reference":["ci/*"]}"#, true),
            (r#"{"reference":["ci/*"],"dangling":["true"]}"#, false),
        ] {
            assert_eq!(read(json).unwrap().all, all, "{json}");
        }
        let policy = read(
            r#"{"keep-last":["3"],"unused-for":["1w1d"],"max-size":["1.5GB"],"reference":["a","b*"],"label!":["x"]}"#,
        )
        .unwrap();
        assert_eq!(policy.keep_last.map(NonZeroUsize::get), Some(3));
        assert_eq!(policy.unused_for, Some(SignedDuration::from_hours(8 * 24)));
        assert_eq!((policy.max_size, policy.references.len()), (Some(1_500_000_000), 2));
        assert_eq!(policy.without_labels, ["x"]);
    }

    #[test]
    fn nonsense_is_refused_with_its_name() {
        for (json, expected) in [
            (r#"{"keep-first":["1"]}"#, "invalid filter 'keep-first'"),
            (
                r#"{"keep-last":["0"]}"#,
                "invalid value for 'keep-last' filter: \"0\": give a number of at least 1",
            ),
            (
                r#"{"keep-last":["x"]}"#,
                "invalid value for 'keep-last' filter: \"x\": give a number of at least 1",
            ),
            (r#"{"keep-last":["1","2"]}"#, "more than one keep-last filter specified"),
            (
                r#"{"unused-for":["30"]}"#,
                "invalid value for 'unused-for' filter: time: missing unit in duration \"30\"",
            ),
            (
                r#"{"unused-for":["-1h"]}"#,
                "invalid value for 'unused-for' filter: \"-1h\" is not above 0",
            ),
            (
                r#"{"unused-for":["0"]}"#,
                "invalid value for 'unused-for' filter: \"0\" is not above 0",
            ),
            (
                r#"{"max-size":["big"]}"#,
                "invalid value for 'max-size' filter: invalid size \"big\": give a number and a unit, as in 40GB or 512MiB",
            ),
            (
                r#"{"reference":["a["]}"#,
                "invalid value for 'reference' filter: \"a[\": syntax error in pattern",
            ),
            (r#"{"until":["1h","2h"]}"#, "more than one until filter specified"),
        ] {
            assert_eq!(read(json).unwrap_err().to_string(), expected, "{json}");
        }
    }
}
