//! Names of roles: who may sign what.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest name of a delegation.
const MAX_NAME: usize = 255;

/// The name of a role: `root`, `targets`, `snapshot`, `timestamp`, or a delegation below `targets/`.
///
/// Names that a server chooses are checked with [`Role::is_delegation`] before anything is made of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Role(Cow<'static, str>);

impl Role {
    /// The role that says which keys the other roles have.
    pub const ROOT: Role = Role(Cow::Borrowed("root"));
    /// The role that says what tags mean, or who else may say so.
    pub const TARGETS: Role = Role(Cow::Borrowed("targets"));
    /// The role that says which documents belong together.
    pub const SNAPSHOT: Role = Role(Cow::Borrowed("snapshot"));
    /// The role that says which of them are the newest.
    pub const TIMESTAMP: Role = Role(Cow::Borrowed("timestamp"));
    /// The delegation whose tags count as released.
    pub const RELEASES: Role = Role(Cow::Borrowed("targets/releases"));

    /// The roles that each repository has.
    pub(crate) const BASE: [Role; 4] = [Role::ROOT, Role::TARGETS, Role::SNAPSHOT, Role::TIMESTAMP];

    /// Makes a name of text; it need not be a good one.
    pub fn new(name: impl Into<String>) -> Role {
        Role(Cow::Owned(name.into()))
    }

    /// Returns the delegation of a signer.
    pub fn of_signer(name: &str) -> Role {
        Role::new(format!("targets/{name}"))
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Says whether it is a good name of a delegation, which is a good name of a file, too.
    pub fn is_delegation(&self) -> bool {
        let Some(rest) = self.0.strip_prefix("targets/") else { return false };
        self.0.len() <= MAX_NAME
            && rest.split('/').all(|part| {
                !part.is_empty()
                    && part
                        .bytes()
                        .all(|byte| matches!(byte, b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z'))
            })
    }

    /// Says whether tags of this role are released.
    pub fn is_released(&self) -> bool {
        *self == Role::TARGETS || *self == Role::RELEASES
    }

    /// Returns the role above a delegation.
    pub(crate) fn parent(&self) -> Option<Role> {
        self.0.rsplit_once('/').map(|(parent, _)| Role::new(parent))
    }

    /// Says whether this is the role above another one, be it far above.
    pub(crate) fn is_above(&self, other: &Role) -> bool {
        other.0.strip_prefix(self.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// Returns the signer's name that a delegation is known by.
    pub fn signer(&self) -> &str {
        self.0.strip_prefix("targets/").unwrap_or(&self.0)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delegations_have_names_that_lead_nowhere_else() {
        for (name, good) in [
            ("targets/releases", true),
            ("targets/a-b_c/0", true),
            ("targets", false),
            ("targets/", false),
            ("targets//a", false),
            ("targets/../root", false),
            ("targets/./a", false),
            ("targets/A", false),
            ("targets/a.b", false),
            ("root/a", false),
            ("targets/a/", false),
        ] {
            assert_eq!(Role::new(name).is_delegation(), good, "{name}");
        }
        assert!(!Role::new(format!("targets/{}", "a".repeat(248))).is_delegation());
        assert!(Role::new(format!("targets/{}", "a".repeat(247))).is_delegation());
        assert_eq!(Role::RELEASES.parent(), Some(Role::TARGETS));
        assert!(Role::TARGETS.is_above(&Role::new("targets/a/b")));
        assert!(!Role::new("targets/a").is_above(&Role::new("targets/ab")));
    }
}
