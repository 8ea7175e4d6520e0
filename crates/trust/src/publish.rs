//! Signatures that are made here: changes of a repository, as new documents that a server takes all or none of.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::bytes::Bytes;
use crate::cache::{Cache, Staged};
use crate::canonical::Value;
use crate::client::{Server, is_near_expiry, update};
use crate::keystore::{KeyStore, Passphrases};
use crate::metadata::{
    Delegation, Delegations, Document, FileMeta, Keys, Listing, Root, Signature, Signed, Targets,
    pick, syntax,
};
use crate::repository::{Repository, Restricted, RoleKeys, restrict};
use crate::{PublicKey, Role, TrustError};

/// The times for which documents are good, which are notary's.
const ROOT_DAYS: i64 = 10 * 365;
const TARGETS_DAYS: i64 = 3 * 365;

/// A change of a repository.
#[derive(Clone, Debug)]
pub enum Change {
    /// A role says what a tag means.
    Add {
        /// The role that it is about.
        role: Role,
        /// The tag, without the repository.
        tag: String,
        /// The manifest.
        meta: FileMeta,
    },
    /// A role says nothing of a tag any more.
    Remove {
        /// The role that it is about.
        role: Role,
        /// The tag, without the repository.
        tag: String,
    },
    /// A role below `targets` may sign all tags, by these keys, too.
    AddDelegation {
        /// The role that it is about.
        role: Role,
        /// The public halves of keys.
        keys: Vec<PublicKey>,
    },
    /// A role below `targets` may not sign by these keys any more.
    RemoveKeys {
        /// The role that it is about.
        role: Role,
        /// The IDs of the keys themselves, without certificates.
        keys: Vec<String>,
    },
    /// A role below `targets` may not sign any more.
    RemoveDelegation {
        /// The role that it is about.
        role: Role,
    },
}

/// Signs for one repository.
#[derive(Debug)]
pub struct Publisher<'a, S, P> {
    /// The server that takes what is signed.
    pub server: &'a S,
    /// The documents of it that were seen.
    pub cache: &'a Cache,
    /// The keys of this user.
    pub keys: &'a KeyStore<P>,
    /// The repository that is signed for.
    pub repository: &'a str,
}

impl<S: Server, P: Passphrases> Publisher<'_, S, P> {
    /// Makes the first documents of a repository, with a root by this key. The server signs what is new and what belongs
    /// together. Nothing is published yet.
    pub async fn initialize(&self, root_key: &str) -> Result<Repository, TrustError> {
        let now = Timestamp::now();
        let key = self.keys.key(root_key).await?;
        let certificate = key.certificate(self.repository, (now, after(now, ROOT_DAYS)))?;
        let targets = self.keys.create(Role::TARGETS.as_str(), self.repository).await?;
        let of_server = async |role: &Role| -> Result<PublicKey, TrustError> {
            let bytes = self.server.key(role).await?;
            let read = || {
                Value::parse(&bytes)?;
                serde_json::from_slice(&bytes).map_err(syntax)
            };
            let place = || format!("the {role} key of {}", self.server.location());
            read().map_err(|error| error.within(&place()))
        };
        let timestamp = of_server(&Role::TIMESTAMP).await?;
        let snapshot = of_server(&Role::SNAPSHOT).await?;
        let mut root = Root {
            kind: "Root".to_owned(),
            consistent_snapshot: false,
            expires: String::new(),
            keys: BTreeMap::new(),
            roles: BTreeMap::new(),
            version: 0,
        };
        let of_roles = [
            (Role::ROOT, certificate),
            (Role::TARGETS, targets.public().clone()),
            (Role::TIMESTAMP, timestamp),
            (Role::SNAPSHOT, snapshot),
        ];
        for (role, key) in of_roles {
            root.roles.insert(role, Keys { keyids: vec![key.id()], threshold: 1 });
            root.keys.insert(key.id(), key);
        }
        let root = self.sign_root(root, now).await?;
        let targets = Signed::unsigned(no_targets())?;
        let targets = BTreeMap::from([(Role::TARGETS, targets)]);
        Ok(Repository { root, snapshot: None, targets, warnings: Vec::new() })
    }

    /// Publishes changes: of a repository that was initialized, or else of the newest that the server has.
    pub async fn publish(
        &self,
        initialized: Option<Repository>,
        changes: &[Change],
    ) -> Result<(), TrustError> {
        let now = Timestamp::now();
        let initial = initialized.is_some();
        let mut repository = match initialized {
            Some(repository) => repository,
            None => update(self.server, self.cache, self.repository, now, true).await?,
        };
        let mut dirty = BTreeSet::new();
        if initial {
            dirty.insert(Role::TARGETS);
        }
        for change in changes {
            self.apply(&mut repository, change, &mut dirty).await?;
        }
        let mut files = Vec::new();
        if is_near_expiry(&repository.root.document.expires, now) {
            repository.root = self.sign_root(repository.root.document, now).await?;
            files.push((Role::ROOT, repository.root.bytes()?));
        } else if initial {
            files.push((Role::ROOT, repository.root.bytes()?));
        }
        for role in dirty {
            if repository.targets.contains_key(&role) {
                let bytes = self.sign_targets(&mut repository, &role, now).await?;
                files.push((role, bytes));
            }
        }
        if let Some(bytes) = self.sign_snapshot(&repository, &files, now).await? {
            files.push((Role::SNAPSHOT, bytes));
        }
        let mut staged = Vec::new();
        if initial {
            // From now on no other root of it is believed. It is on the disk before anybody else can know of it.
            for (role, bytes) in files.iter().filter(|(role, _)| !role.is_delegation()) {
                staged.push(self.cache.stage(role, bytes)?);
            }
        }
        self.server.publish(&files).await?;
        staged.into_iter().try_for_each(Staged::keep)
    }

    async fn apply(
        &self,
        repository: &mut Repository,
        change: &Change,
        dirty: &mut BTreeSet<Role>,
    ) -> Result<(), TrustError> {
        match change {
            Change::Add { role, tag, meta } => {
                let able = self.can_sign(repository, role).await;
                if let Err(error @ TrustError::InvalidRole { .. }) = able {
                    return Err(error);
                }
                if !repository.may_sign(role, tag) {
                    return Err(TrustError::InvalidRole {
                        role: role.clone(),
                        reason: format!("it may not sign {tag}"),
                    });
                }
                let targets = repository.targets_of(role)?;
                if targets.document.tags.get(tag) != Some(meta) {
                    able?;
                    targets.document.tags.insert(tag.clone(), meta.clone());
                    dirty.insert(role.clone());
                }
            }
            Change::Remove { role, tag } => {
                let able = self.can_sign(repository, role).await;
                if let Some(targets) = repository.targets.get_mut(role)
                    && targets.document.tags.contains_key(tag)
                {
                    able?;
                    targets.document.tags.remove(tag);
                    dirty.insert(role.clone());
                }
            }
            Change::AddDelegation { role, keys } => {
                self.can_sign(repository, &Role::TARGETS).await?;
                if !role.is_delegation() {
                    let reason = "invalid delegation role name".to_owned();
                    return Err(TrustError::InvalidRole { role: role.clone(), reason });
                }
                let targets = repository.targets_of(&Role::TARGETS)?;
                add_delegation(&mut targets.document.delegations, role, keys);
                dirty.insert(Role::TARGETS);
            }
            Change::RemoveKeys { role, keys } => {
                self.can_sign(repository, &Role::TARGETS).await?;
                let delegations = &mut repository.targets_of(&Role::TARGETS)?.document.delegations;
                remove_keys(delegations, role, keys)?;
                dirty.insert(Role::TARGETS);
            }
            Change::RemoveDelegation { role } => {
                self.can_sign(repository, &Role::TARGETS).await?;
                repository.targets.remove(role);
                dirty.remove(role);
                let delegations = &mut repository.targets_of(&Role::TARGETS)?.document.delegations;
                delegations.roles.retain(|delegation| delegation.name != *role);
                drop_unused(delegations);
                dirty.insert(Role::TARGETS);
            }
        }
        Ok(())
    }

    /// Makes sure that a key of a role is here and opens.
    async fn can_sign(&self, repository: &Repository, role: &Role) -> Result<(), TrustError> {
        let mut ids = Vec::new();
        for key in repository.keys_of(role)?.0 {
            let id = key.canonical_id().unwrap_or_else(|| key.id());
            if self.keys.key(&id).await.is_ok() {
                return Ok(());
            }
            ids.push(id);
        }
        Err(TrustError::NoKeys(ids))
    }

    async fn sign_root(&self, mut root: Root, now: Timestamp) -> Result<Signed<Root>, TrustError> {
        root.version += 1;
        root.expires = after(now, ROOT_DAYS).to_string();
        let (keys, threshold) = root.keys_of(&Role::ROOT)?;
        let keys: Vec<PublicKey> = keys.into_values().cloned().collect();
        self.sign(root, &keys, threshold).await
    }

    async fn sign_targets(
        &self,
        repository: &mut Repository,
        role: &Role,
        now: Timestamp,
    ) -> Result<Vec<u8>, TrustError> {
        let (keys, threshold) = repository.keys_of(role)?;
        let mut document = repository.targets_of(role)?.document.clone();
        document.version += 1;
        document.expires = after(now, TARGETS_DAYS).to_string();
        let signed = self.sign(document, &keys, threshold).await?;
        let bytes = signed.bytes();
        repository.targets.insert(role.clone(), signed);
        bytes
    }

    /// Says which documents belong together, if that is not for the server to say.
    async fn sign_snapshot(
        &self,
        repository: &Repository,
        files: &[(Role, Vec<u8>)],
        now: Timestamp,
    ) -> Result<Option<Vec<u8>>, TrustError> {
        let (keys, threshold) = repository.root.document.keys_of(&Role::SNAPSHOT)?;
        let keys: Vec<PublicKey> = keys.into_values().cloned().collect();
        let here = |key: &PublicKey| key.canonical_id().is_some_and(|id| self.keys.has(&id));
        let Some(before) = repository.snapshot.as_ref().filter(|_| keys.iter().any(here)) else {
            return Ok(None);
        };
        let mut snapshot: Listing = before.document.clone();
        snapshot.version += 1;
        snapshot.expires = after(now, TARGETS_DAYS).to_string();
        let base = |name: &str| Role::BASE.iter().any(|role| role.as_str() == name);
        snapshot.meta.retain(|name, _| {
            base(name) || repository.targets.contains_key(&Role::new(name.as_str()))
        });
        for (role, bytes) in files {
            snapshot.meta.insert(role.to_string(), FileMeta::of(bytes));
        }
        self.sign(snapshot, &keys, threshold).await?.bytes().map(Some)
    }

    async fn sign<T: Document>(
        &self,
        document: T,
        keys: &[PublicKey],
        threshold: i64,
    ) -> Result<Signed<T>, TrustError> {
        let mut signed = Signed::unsigned(document)?;
        let mut missing = Vec::new();
        for key in keys {
            let id = key.canonical_id().unwrap_or_else(|| key.id());
            match self.keys.key(&id).await {
                Ok(private) => {
                    let (method, sig) = private.sign(&signed.message)?;
                    let (keyid, method) = (key.id(), method.to_owned());
                    signed.signatures.push(Signature { keyid, method, sig: Bytes(sig) });
                }
                Err(TrustError::KeyNotFound(id)) => missing.push(id),
                Err(error) => return Err(error),
            }
        }
        let needed = usize::try_from(threshold).unwrap_or(usize::MAX);
        let found = signed.signatures.len();
        if found < needed {
            return Err(TrustError::TooFewKeys { found, needed, missing });
        }
        Ok(signed)
    }
}

fn after(now: Timestamp, days: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(Timestamp::MAX)
}

fn no_targets() -> Targets {
    Targets {
        kind: "Targets".to_owned(),
        delegations: Delegations::default(),
        expires: String::new(),
        tags: BTreeMap::new(),
        version: 0,
    }
}

fn add_delegation(delegations: &mut Delegations, role: &Role, keys: &[PublicKey]) {
    let ids: Vec<String> = keys.iter().map(PublicKey::id).collect();
    delegations.keys.extend(ids.iter().cloned().zip(keys.iter().cloned()));
    match delegations.roles.iter_mut().find(|delegation| delegation.name == *role) {
        Some(known) => {
            let known_ids = &mut known.keys.keyids;
            for id in ids {
                if !known_ids.contains(&id) {
                    known_ids.push(id);
                }
            }
            if !known.paths.iter().any(String::is_empty) {
                known.paths.push(String::new());
            }
        }
        None => delegations.roles.push(Delegation {
            keys: Keys { keyids: ids, threshold: 1 },
            name: role.clone(),
            paths: vec![String::new()],
        }),
    }
}

fn remove_keys(
    delegations: &mut Delegations,
    role: &Role,
    keys: &[String],
) -> Result<(), TrustError> {
    let known = &delegations.keys;
    let found = delegations.roles.iter_mut().find(|delegation| delegation.name == *role);
    let Some(delegation) = found else {
        let reason = "delegation does not exist".to_owned();
        return Err(TrustError::InvalidRole { role: role.clone(), reason });
    };
    delegation.keys.keyids.retain(|id| {
        let canonical = known.get(id).and_then(PublicKey::canonical_id);
        canonical.is_none_or(|id| !keys.contains(&id))
    });
    drop_unused(delegations);
    Ok(())
}

fn drop_unused(delegations: &mut Delegations) {
    let roles = &delegations.roles;
    delegations.keys.retain(|id, _| roles.iter().any(|role| role.keys.keyids.contains(id)));
}

impl Repository {
    /// Returns the roles that a tag is signed for by the keys that are here: all delegations right below `targets`, or that
    /// itself where there are none.
    pub fn signable<P: Passphrases>(
        &self,
        tag: &str,
        keys: &KeyStore<P>,
    ) -> Result<Vec<Role>, TrustError> {
        let delegations = self.delegations()?;
        if delegations.is_empty() {
            return Ok(vec![Role::TARGETS]);
        }
        let may = |role: &&RoleKeys| {
            role.name.parent() == Some(Role::TARGETS)
                && role.paths.iter().any(|path| tag.starts_with(path.as_str()))
                && role.keys.iter().any(|id| keys.has(id))
        };
        let roles: Vec<Role> =
            delegations.iter().filter(may).map(|role| role.name.clone()).collect();
        if roles.is_empty() { Err(TrustError::NoSignableRole) } else { Ok(roles) }
    }

    /// Returns the keys of a role that signs tags, and how many of them must sign.
    fn keys_of(&self, role: &Role) -> Result<(Vec<PublicKey>, i64), TrustError> {
        if *role == Role::TARGETS {
            let (keys, threshold) = self.root.document.keys_of(role)?;
            return Ok((keys.into_values().cloned().collect(), threshold));
        }
        let parent = role.parent().and_then(|parent| self.targets.get(&parent));
        let found = parent.and_then(|parent| {
            let delegations = &parent.document.delegations;
            let delegation = delegations.roles.iter().find(|known| known.name == *role)?;
            let keys = pick(&delegation.keys.keyids, &delegations.keys);
            Some((keys.into_values().cloned().collect(), delegation.keys.threshold))
        });
        found.ok_or_else(|| TrustError::InvalidRole {
            role: role.clone(),
            reason: "delegation does not exist".to_owned(),
        })
    }

    fn may_sign(&self, role: &Role, tag: &str) -> bool {
        if *role == Role::TARGETS {
            return true;
        }
        // Only delegations right below it are signed for.
        let targets = self.targets.get(&Role::TARGETS);
        let children = targets.map(|targets| restrict(&Restricted::targets(), &targets.document));
        let mut children = children.into_iter().flatten();
        children.any(|child| child.name == *role && child.may_sign(tag))
    }

    /// Returns the document of a role, which need not be there yet.
    fn targets_of(&mut self, role: &Role) -> Result<&mut Signed<Targets>, TrustError> {
        if !self.targets.contains_key(role) {
            self.targets.insert(role.clone(), Signed::unsigned(no_targets())?);
        }
        self.targets.get_mut(role).ok_or_else(|| TrustError::NotFound(role.to_string()))
    }
}
