//! A repository whose documents were checked: what its tags mean, and who says so.

use std::collections::{BTreeMap, VecDeque};

use crate::metadata::{FileMeta, Listing, Root, Signature, Signed, Targets};
use crate::{PublicKey, Role, TrustError};

/// The documents of a repository. All of them were checked.
#[derive(Debug)]
pub struct Repository {
    pub(crate) root: Signed<Root>,
    /// Nothing before the server has one.
    pub(crate) snapshot: Option<Signed<Listing>>,
    pub(crate) targets: BTreeMap<Role, Signed<Targets>>,
    /// Things that a user should know, though they kept nothing from being trusted.
    pub warnings: Vec<String>,
}

/// A role with the beginnings of tags that it may sign.
#[derive(Clone, Debug)]
pub(crate) struct Restricted<'a> {
    pub(crate) name: Role,
    /// In order, and none is the beginning of another one. There may be as many as fit into a document.
    paths: Vec<&'a str>,
}

impl<'a> Restricted<'a> {
    pub(crate) fn new(name: Role, mut paths: Vec<&'a str>) -> Restricted<'a> {
        paths.sort_unstable();
        paths.dedup_by(|path, before| path.starts_with(&**before));
        Restricted { name, paths }
    }

    /// The role above all delegations, which may sign anything.
    pub(crate) fn targets() -> Restricted<'a> {
        Restricted::new(Role::TARGETS, vec![""])
    }

    pub(crate) fn may_sign(&self, tag: &str) -> bool {
        // What stands between a beginning of the tag and the tag itself begins like it, and so there is nothing.
        let after = self.paths.partition_point(|path| *path <= tag);
        after.checked_sub(1).is_some_and(|at| tag.starts_with(self.paths[at]))
    }
}

/// Returns the delegations of a document, each restricted to what the role above it may sign itself.
pub(crate) fn restrict<'a>(role: &Restricted<'_>, targets: &'a Targets) -> Vec<Restricted<'a>> {
    let restricted = targets.delegations.roles.iter().map(|child| {
        let within = child.paths.iter().map(String::as_str).filter(|path| role.may_sign(path));
        Restricted::new(child.name.clone(), within.collect())
    });
    restricted.collect()
}

/// A tag as a role has signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The tag.
    pub name: String,
    /// Size and checksums of the manifest.
    pub meta: FileMeta,
    /// The role that says so.
    pub role: Role,
}

/// A role and its keys.
#[derive(Clone, Debug)]
pub struct RoleKeys {
    /// The name of the role.
    pub name: Role,
    /// The IDs of its keys.
    pub keys: Vec<String>,
    /// The number of keys that must sign.
    pub threshold: i64,
    /// The beginnings of tags that it may sign.
    pub paths: Vec<String>,
}

/// The part of the tree of roles that is looked at.
#[derive(Clone, Copy, Debug, Default)]
struct Walk<'a> {
    /// Only roles that may sign this tag.
    tag: Option<&'a str>,
    /// Only this role and those below it.
    under: Option<&'a Role>,
    /// Neither these nor those below them.
    skip: &'a [Role],
}

impl Repository {
    /// Goes through roles, those above before those below them.
    fn walk<'a>(
        &'a self,
        walk: &'a Walk<'_>,
    ) -> impl Iterator<Item = (Restricted<'a>, &'a Signed<Targets>)> {
        let mut left: VecDeque<Restricted<'a>> = VecDeque::from([Restricted::targets()]);
        std::iter::from_fn(move || {
            while let Some(role) = left.pop_front() {
                let Some(targets) = self.targets.get(&role.name) else { continue };
                if walk.under.is_some_and(|under| role.name.is_above(under)) {
                    left.extend(restrict(&role, &targets.document));
                    continue;
                }
                let within = walk
                    .under
                    .is_none_or(|under| *under == role.name || under.is_above(&role.name));
                let may = walk.tag.is_none_or(|tag| role.may_sign(tag));
                if within && may && !walk.skip.contains(&role.name) {
                    left.extend(restrict(&role, &targets.document));
                    return Some((role, targets));
                }
            }
            None
        })
    }

    /// Returns what a tag means to the first of these roles that says it, or to one below that.
    pub fn target(&self, tag: &str, roles: &[Role]) -> Result<Target, TrustError> {
        for role in roles {
            let skip: Vec<Role> = roles.iter().filter(|other| *other != role).cloned().collect();
            let walk = Walk { tag: Some(tag), under: Some(role), skip: &skip };
            for (role, targets) in self.walk(&walk) {
                if let Some(meta) = targets.document.tags.get(tag) {
                    let (name, meta) = (tag.to_owned(), meta.clone());
                    return Ok(Target { name, meta, role: role.name });
                }
            }
        }
        Err(TrustError::NoSuchTarget(tag.to_owned()))
    }

    /// Returns what all tags mean, each to the first of these roles that says it, in the order of their names.
    pub fn targets(&self, roles: &[Role]) -> Vec<Target> {
        let mut found: BTreeMap<String, Target> = BTreeMap::new();
        for role in roles {
            let skip: Vec<Role> = roles.iter().filter(|other| *other != role).cloned().collect();
            let walk = Walk { tag: None, under: Some(role), skip: &skip };
            for (role, targets) in self.walk(&walk) {
                for (name, meta) in &targets.document.tags {
                    if role.may_sign(name) {
                        let (meta, role) = (meta.clone(), role.name.clone());
                        let target = || Target { name: name.clone(), meta, role };
                        found.entry(name.clone()).or_insert_with(target);
                    }
                }
            }
        }
        found.into_values().collect()
    }

    /// Returns what a tag, or every one, means to each role that says it.
    pub fn all_targets(&self, tag: Option<&str>) -> Result<Vec<Target>, TrustError> {
        let mut found = Vec::new();
        for (role, targets) in self.walk(&Walk { tag, ..Walk::default() }) {
            for (name, meta) in &targets.document.tags {
                // Unlike for docker, a tag that a role may not sign is not signed.
                if tag.is_none_or(|tag| tag == name) && role.may_sign(name) {
                    let (name, meta) = (name.clone(), meta.clone());
                    found.push(Target { name, meta, role: role.name.clone() });
                }
            }
        }
        if found.is_empty() {
            return Err(TrustError::NoSuchTarget(tag.unwrap_or_default().to_owned()));
        }
        Ok(found)
    }

    /// Returns the keys of the root and of the targets, as they are listed.
    pub fn administrators(&self) -> [RoleKeys; 2] {
        [Role::ROOT, Role::TARGETS].map(|name| {
            let keys = self.root.document.roles.get(&name);
            RoleKeys {
                keys: keys.map(|keys| keys.keyids.clone()).unwrap_or_default(),
                threshold: keys.map(|keys| keys.threshold).unwrap_or_default(),
                paths: Vec::new(),
                name,
            }
        })
    }

    /// Returns all delegations, with the IDs that the private halves of their keys have.
    pub fn delegations(&self) -> Result<Vec<RoleKeys>, TrustError> {
        let mut found = Vec::new();
        for (_, targets) in self.walk(&Walk::default()) {
            let delegations = &targets.document.delegations;
            for role in &delegations.roles {
                let id = |id: &String| delegations.keys.get(id).and_then(PublicKey::canonical_id);
                let keys: Option<Vec<String>> = role.keys.keyids.iter().map(id).collect();
                let keys = keys.ok_or_else(|| TrustError::InvalidRole {
                    role: role.name.clone(),
                    reason: "Could not translate canonical key IDs".to_owned(),
                })?;
                let (name, threshold) = (role.name.clone(), role.keys.threshold);
                found.push(RoleKeys { name, keys, threshold, paths: role.paths.clone() });
            }
        }
        Ok(found)
    }

    /// Returns the signatures of a role's document, if it has one.
    pub fn signatures(&self, role: &Role) -> &[Signature] {
        self.targets.get(role).map(|targets| targets.signatures.as_slice()).unwrap_or_default()
    }
}
