//! The version of the Engine API that a request speaks.

use std::fmt;
use std::str::FromStr;

use crate::ApiError;

/// A version of the Engine API, `MAJOR.MINOR`.
///
/// Ordered by number: 1.9 is older than 1.12.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    major: u32,
    minor: u32,
}

impl ApiVersion {
    /// The newest version that is answered, and what a path without a version means: that of dockerd 29.
    pub const CURRENT: Self = Self::new(1, 55);

    /// The oldest version that is answered. Debian's skopeo and buildah ask for 1.22 without negotiating, so this is
    /// dockerd 20.10's minimum rather than dockerd 29's 1.40.
    pub const MINIMUM: Self = Self::new(1, 12);

    /// The version `major.minor`.
    pub const fn new(major: u32, minor: u32) -> Self {
        Self { major, minor }
    }

    /// True for 1.`minor` and newer.
    pub const fn at_least(self, minor: u32) -> bool {
        self.major > 1 || (self.major == 1 && self.minor >= minor)
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl FromStr for ApiVersion {
    type Err = ApiError;

    /// Reads `MAJOR.MINOR` or `MAJOR`. Further numbers are read and carry no meaning, as in dockerd's own comparison.
    fn from_str(text: &str) -> Result<Self, ApiError> {
        let mut numbers = text.split('.').map(|number| {
            // `u32::from_str` alone would also take a sign.
            number.bytes().all(|b| b.is_ascii_digit()).then(|| number.parse::<u32>().ok()).flatten()
        });
        let invalid = || ApiError::Version(text.to_owned());
        let major = numbers.next().flatten().ok_or_else(invalid)?;
        let minor = numbers.next().unwrap_or(Some(0)).ok_or_else(invalid)?;
        if numbers.any(|number| number.is_none()) {
            return Err(invalid());
        }
        Ok(Self { major, minor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_not_texts() {
        let parse = |text: &str| text.parse::<ApiVersion>().unwrap();
        assert!(parse("1.9") < parse("1.12"));
        assert!(parse("1.55") < parse("2.0"));
        assert!(parse("1") < parse("1.1"));
        assert_eq!(parse("1.55"), ApiVersion::CURRENT);
        assert_eq!(parse("1.22.3"), ApiVersion::new(1, 22));
        assert!(
            parse("1.43").at_least(43) && !parse("1.43").at_least(44) && parse("2.0").at_least(99)
        );
        assert_eq!(parse("01.050").to_string(), "1.50");
    }

    #[test]
    fn what_is_no_version_is_refused() {
        for text in
            ["", ".", "1.", ".1", "1..2", "v1.2", "+1.2", "1.-2", "1.99999999999", "1.2.x", "1.2 "]
        {
            assert!(text.parse::<ApiVersion>().is_err(), "{text:?}");
        }
    }
}
