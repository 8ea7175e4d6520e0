//! The access to a registry: reading or writing as a whole, and each host's capabilities.

use std::fmt;

/// The use of a [`crate::Remote`]; a token is fetched for no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading, from mirrors too.
    Pull,
    /// Reading and writing, at the one host that may be pushed to: the registry itself, unless a `hosts.toml` names
    /// another one first.
    Push,
    /// As [`Access::Push`], and deleting.
    Delete,
}

impl Access {
    /// Returns the actions of a token's scope.
    pub(crate) fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
            Self::Delete => "pull,push,delete",
        }
    }

    /// Tells whether it is about one host alone, which is changed.
    pub(crate) fn writes(self) -> bool {
        self != Self::Pull
    }
}

/// The capabilities of a host: the requests that it may be sent and trusted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// To send what is known by its digest.
    pub(crate) pull: bool,
    /// To say what a tag means.
    pub(crate) resolve: bool,
    /// To store.
    pub(crate) push: bool,
}

impl Capabilities {
    /// Those of a registry, and of a host whose file says nothing.
    pub(crate) const ALL: Self = Self { pull: true, resolve: true, push: true };
    /// Those of a mirror of `registry-mirrors`.
    pub(crate) const READ: Self = Self { pull: true, resolve: true, push: false };

    /// Tells whether a host with these can be asked for `need`. A tag that is resolved is also fetched, as containerd
    /// sees it.
    pub(crate) fn allow(self, need: Need) -> bool {
        match need {
            Need::Resolve => self.resolve && self.pull,
            Need::Pull => self.pull,
            Need::Push => self.push,
        }
    }

    /// Returns the names, as the file has them.
    pub(crate) fn names(self) -> Vec<&'static str> {
        let named = [(self.pull, "pull"), (self.resolve, "resolve"), (self.push, "push")];
        named.into_iter().filter_map(|(has, name)| has.then_some(name)).collect()
    }
}

/// The capability that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// The meaning of a tag, or the list of tags: the answer has to be believed.
    Resolve,
    /// Content with a digest.
    Pull,
    /// To store something.
    Push,
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "resolve",
            Self::Pull => "pull",
            Self::Push => "push",
        })
    }
}
