//! A repository in the making: each document is checked against those that it must fit before it counts.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::metadata::{Delegation, FileMeta, Listing, Root, Signed, Targets, check_hashes, pick};
use crate::pin::check_root;
use crate::{Role, TrustError};

/// The terms by which a document is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The version that it must have at least.
    pub(crate) least: i64,
    /// True if it may be past its time.
    pub(crate) expired: bool,
}

impl Terms {
    pub(crate) const NEW: Terms = Terms { least: 1, expired: false };
    /// Those of something that was believed once, and says below which version nothing is.
    pub(crate) const OLD: Terms = Terms { least: 1, expired: true };

    pub(crate) fn at_least(least: i64) -> Terms {
        Terms { least, expired: false }
    }
}

/// The documents that were checked so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Builder {
    repository: String,
    now: Timestamp,
    /// The root whose keys must have signed the next one.
    previous: Option<Signed<Root>>,
    /// Size and checksums that the root must have.
    announced: Option<FileMeta>,
    /// Those that the snapshot named, for another try.
    next: Option<FileMeta>,
    pub(crate) root: Option<Signed<Root>>,
    root_bytes: Vec<u8>,
    pub(crate) timestamp: Option<Signed<Listing>>,
    pub(crate) snapshot: Option<Signed<Listing>>,
    pub(crate) targets: BTreeMap<Role, Signed<Targets>>,
}

impl Builder {
    pub(crate) fn new(repository: &str, now: Timestamp) -> Builder {
        Builder { repository: repository.to_owned(), now, ..Builder::default() }
    }

    /// Returns an empty one, in which only a root counts that this one's root vouches for.
    pub(crate) fn succeeded(self) -> Builder {
        let fresh = Builder::new(&self.repository, self.now);
        Builder { previous: self.root.or(self.previous), announced: self.next, ..fresh }
    }

    /// Returns the version of a document that was checked, or the least that there is.
    pub(crate) fn version(&self, role: &Role) -> i64 {
        let listing = |listing: &Option<Signed<Listing>>| {
            listing.as_ref().map(|document| document.document.version)
        };
        let version = if *role == Role::ROOT {
            self.root.as_ref().map(|root| root.document.version)
        } else if *role == Role::TIMESTAMP {
            listing(&self.timestamp)
        } else if *role == Role::SNAPSHOT {
            listing(&self.snapshot)
        } else {
            self.targets.get(role).map(|targets| targets.document.version)
        };
        version.unwrap_or(1)
    }

    /// Returns what is known of a document's bytes before they are there.
    pub(crate) fn announced(&self, role: &Role) -> Option<&FileMeta> {
        if *role == Role::TIMESTAMP {
            None
        } else if *role == Role::SNAPSHOT {
            self.timestamp.as_ref()?.document.meta.get(role.as_str())
        } else if *role == Role::ROOT && self.announced.is_some() {
            self.announced.as_ref()
        } else {
            self.snapshot.as_ref()?.document.meta.get(role.as_str())
        }
    }

    /// Checks a document and takes it over.
    pub(crate) fn load(
        &mut self,
        role: &Role,
        bytes: &[u8],
        terms: Terms,
    ) -> Result<(), TrustError> {
        if *role == Role::ROOT {
            self.check_bytes(role, bytes)?;
            self.load_root(bytes, terms)
        } else if *role == Role::TIMESTAMP {
            self.timestamp = Some(self.listing(role, bytes, terms)?);
            Ok(())
        } else if *role == Role::SNAPSHOT {
            self.load_snapshot(bytes, terms)
        } else {
            self.load_targets(role, bytes, terms)
        }
    }

    /// Checks a root and takes it over. Its bytes are not looked at: it may be one in between.
    pub(crate) fn load_root(&mut self, bytes: &[u8], terms: Terms) -> Result<(), TrustError> {
        let role = &Role::ROOT;
        let root = Signed::<Root>::read(bytes, role)?;
        check_root(self.previous.as_ref(), &root, &self.repository, self.now)?;
        root.verify_version(terms.least)?;
        if !terms.expired {
            root.verify_expiry(role, self.now)?;
        }
        self.root = Some(root);
        self.root_bytes = bytes.to_vec();
        Ok(())
    }

    /// Checks one root of a chain of them, whose keys must have signed the next.
    pub(crate) fn load_link(&mut self, bytes: &[u8], least: i64) -> Result<(), TrustError> {
        self.load_root(bytes, Terms { least, expired: true })?;
        self.previous.clone_from(&self.root);
        Ok(())
    }

    /// Checks the newest root, at the end of a chain of them.
    pub(crate) fn load_last(&mut self, bytes: &[u8], least: i64) -> Result<(), TrustError> {
        self.check_bytes(&Role::ROOT, bytes)?;
        self.load_root(bytes, Terms::at_least(least))
    }

    fn check_bytes(&self, role: &Role, bytes: &[u8]) -> Result<(), TrustError> {
        match self.announced(role) {
            Some(meta) => check_hashes(bytes, role, &meta.hashes),
            None => Ok(()),
        }
    }

    fn trusted(&self) -> Result<&Signed<Root>, TrustError> {
        self.root.as_ref().ok_or(TrustError::Root("no root was loaded"))
    }

    fn listing(
        &self,
        role: &Role,
        bytes: &[u8],
        terms: Terms,
    ) -> Result<Signed<Listing>, TrustError> {
        let (keys, threshold) = self.trusted()?.document.keys_of(role)?;
        self.check_bytes(role, bytes)?;
        let listing = Signed::<Listing>::read(bytes, role)?;
        listing.verify(role, &keys, threshold)?;
        listing.verify_version(terms.least)?;
        if !terms.expired {
            listing.verify_expiry(role, self.now)?;
        }
        Ok(listing)
    }

    fn load_snapshot(&mut self, bytes: &[u8], terms: Terms) -> Result<(), TrustError> {
        let snapshot = self.listing(&Role::SNAPSHOT, bytes, terms)?;
        if let Some(meta) = snapshot.document.meta.get(Role::ROOT.as_str()) {
            // Should the root not be this one, it is known what it is.
            self.next = Some(meta.clone());
            check_hashes(&self.root_bytes, &Role::ROOT, &meta.hashes)?;
        }
        self.snapshot = Some(snapshot);
        Ok(())
    }

    fn load_targets(&mut self, role: &Role, bytes: &[u8], terms: Terms) -> Result<(), TrustError> {
        self.check_bytes(role, bytes)?;
        let mut targets = Signed::<Targets>::read(bytes, role)?;
        if *role == Role::TARGETS {
            let (keys, threshold) = self.trusted()?.document.keys_of(role)?;
            targets.verify(role, &keys, threshold)?;
            targets.verify_version(terms.least)?;
        } else {
            targets.verify_version(terms.least)?;
            let (parent, delegation) = self.delegation(role)?;
            let keys = pick(&delegation.keys.keyids, &parent.document.delegations.keys);
            targets.verify(role, &keys, delegation.keys.threshold)?;
        }
        if !terms.expired {
            targets.verify_expiry(role, self.now)?;
        }
        // Verified, and never signed again as it is.
        targets.message = Vec::new();
        self.targets.insert(role.clone(), targets);
        Ok(())
    }

    /// Returns where a delegation is, which must be in the document of the role above it.
    fn delegation(&self, role: &Role) -> Result<(&Signed<Targets>, &Delegation), TrustError> {
        let parent = role.parent().and_then(|parent| self.targets.get(&parent));
        let found = parent.and_then(|parent| {
            let mut roles = parent.document.delegations.roles.iter();
            roles.find(|delegation| delegation.name == *role).map(|found| (parent, found))
        });
        found.ok_or_else(|| TrustError::InvalidRole {
            role: role.clone(),
            reason: "delegation does not exist".to_owned(),
        })
    }

    /// Returns the delegations of a role that was loaded.
    pub(crate) fn children(&self, role: &Role) -> Vec<Role> {
        let targets = self.targets.get(role);
        let children = targets.map(|targets| targets.document.delegations.roles.as_slice());
        children.unwrap_or_default().iter().map(|child| child.name.clone()).collect()
    }

    /// Says whether a role may sign as it might in another state of the repository, in which it has signed something.
    pub(crate) fn is_bereft_of(&self, role: &Role, before: &Builder) -> bool {
        let delegation =
            |builder: &Builder| builder.delegation(role).ok().map(|(_, found)| found.clone());
        before.targets.contains_key(role) && delegation(self) == delegation(before)
    }

    /// Forgets what the tags of a role mean, of a document of which only the version and the keys count.
    pub(crate) fn forget_tags(&mut self, role: &Role) {
        if let Some(targets) = self.targets.get_mut(role) {
            targets.document.tags.clear();
        }
    }
}
