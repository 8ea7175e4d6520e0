//! The certificates that are configured, and their dates.

use jiff::{Timestamp, ToSpan as _};

use super::checks::{Check, Patient};
use super::finding::{Finding, State};

/// The days before its end in which a certificate is told of.
const SOON: i64 = 30;

impl Check {
    pub(super) fn certificates(self, patient: &Patient) -> Vec<Finding> {
        let now = patient.now;
        let mut found = Vec::new();
        let all = patient.surveyed.iter().flat_map(|one| &one.certificates);
        for (path, dates) in all {
            let (from, to) = (time(dates.not_before), time(dates.not_after));
            let path = path.display();
            found.push(if now < from {
                self.bad(
                    format!("{path} is valid from {from} on only"),
                    "is the clock slow? (`date`)",
                )
            } else if now > to {
                self.bad(format!("{path} was valid to {to}"), "put a new certificate there")
            } else if to == Timestamp::MAX {
                self.well(format!("{path} is valid without end"))
            } else if now + (SOON * 24).hours() > to {
                let advice = Some("put a new certificate there before".to_owned());
                self.found(State::Note, format!("{path} is valid to {to}"), advice)
            } else {
                self.well(format!("{path} is valid to {to}"))
            });
        }
        if found.is_empty() {
            found.push(self.well("none but the system's authorities".to_owned()));
        }
        found
    }
}

/// Returns a time; one that lies beyond all that can be told is the last one. A certificate without end has the last second
/// of the year 9999 (RFC 5280, 4.1.2.5), which is such a time.
fn time(seconds: i64) -> Timestamp {
    let beyond = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(seconds).unwrap_or(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_without_end_has_a_time() {
        assert_eq!(time(253_402_300_799), Timestamp::MAX);
        assert_eq!(time(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(time(i64::MIN), Timestamp::MIN);
    }
}
