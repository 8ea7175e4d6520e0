//! `policy.json`, as containers/image reads it: strictly. What is unknown or said twice refuses the whole file.

mod fault;
pub(crate) mod identity;
pub(crate) mod name;
pub(crate) mod requirement;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::marker::PhantomData;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};

use self::fault::RequirementFault;
use self::name::{ImageName, ScopeFault};
use self::requirement::{Requirement, Written};
use crate::file;
use crate::object::Object;

/// The largest policy that is read, in bytes. Those in use have a few thousand.
const MAX_POLICY: u64 = 1 << 20;

/// A fault of a policy file.
#[derive(Debug, thiserror::Error)]
pub enum PolicyFault {
    /// It cannot be read.
    #[error(transparent)]
    Read(#[from] io::Error),
    /// It is not what a policy looks like.
    #[error("{0}")]
    Form(#[from] serde_json::Error),
    /// No requirement at all, which might mean anything.
    #[error("the list of requirements of {0} is empty")]
    Empty(String),
    /// No image could be in it, and what is looser would hold where a user wants this.
    #[error("{scope}: {fault}")]
    Scope {
        /// The place in the file.
        scope: String,
        /// The reason why nothing is in it.
        fault: ScopeFault,
    },
    /// A requirement contradicts itself, or says too little.
    #[error("{scope}: {fault}")]
    Requirement {
        /// The place in the file.
        scope: String,
        /// The contradiction in it, or the gap.
        fault: RequirementFault,
    },
}

/// A policy: for each place that images come from, the requirements that hold there.
#[derive(Debug)]
pub struct Policy {
    default: Vec<Requirement>,
    transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

/// The requirements that hold for an image.
#[derive(Debug)]
pub(crate) struct Rule<'p> {
    /// The place in the policy, as a user would look for it.
    pub(crate) scope: String,
    pub(crate) requirements: &'p [Requirement],
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPolicy {
    default: Vec<Object<Written>>,
    #[serde(default)]
    transports: Once<Once<Vec<Object<Written>>>>,
}

impl Policy {
    /// Reads a policy from a file. Blocks.
    pub fn read(path: &Path) -> Result<Self, PolicyFault> {
        Self::parse(&file::read(path, MAX_POLICY)?)
    }

    /// Parses a policy.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyFault> {
        let Object(WrittenPolicy { default, transports }) = serde_json::from_slice(bytes)?;
        let default = requirements("default", default)?;
        let scopes = |(transport, scopes): (String, Once<Vec<Object<Written>>>)| {
            let scopes = scopes.0.into_iter().map(|(scope, written)| {
                let shown = shown(&transport, &scope);
                name::check_scope(&transport, &scope)
                    .map_err(|fault| PolicyFault::Scope { scope: shown.clone(), fault })?;
                Ok((scope, requirements(&shown, written)?))
            });
            let scopes = scopes.collect::<Result<_, PolicyFault>>()?;
            Ok((transport, scopes))
        };
        let transports =
            transports.0.into_iter().map(scopes).collect::<Result<_, PolicyFault>>()?;
        Ok(Self { default, transports })
    }

    /// Returns a policy of one requirement for all images: that one of the keys in `pem` has signed them, under a name of their
    /// repository.
    pub fn of_key(pem: &[u8]) -> Self {
        let requirement = Requirement::of_key(pem.to_vec());
        Self { default: vec![requirement], transports: BTreeMap::new() }
    }

    /// Returns the requirements of the most specific scope that an image is in, and of no other.
    pub(crate) fn rule(&self, name: &ImageName) -> Rule<'_> {
        let transport = self.transports.get(name.transport());
        let found = transport.and_then(|scopes| {
            let mut wanted = name.scopes().iter().map(String::as_str).chain([""]);
            wanted.find_map(|scope| scopes.get_key_value(scope))
        });
        match found {
            Some((scope, requirements)) => {
                Rule { scope: shown(name.transport(), scope), requirements }
            }
            None => Rule { scope: "default".to_owned(), requirements: &self.default },
        }
    }
}

fn shown(transport: &str, scope: &str) -> String {
    if scope.is_empty() { transport.to_owned() } else { format!("{transport}: {scope}") }
}

fn requirements(
    scope: &str,
    written: Vec<Object<Written>>,
) -> Result<Vec<Requirement>, PolicyFault> {
    if written.is_empty() {
        return Err(PolicyFault::Empty(scope.to_owned()));
    }
    let failed = |fault| PolicyFault::Requirement { scope: scope.to_owned(), fault };
    written.into_iter().map(|Object(written)| written.check().map_err(failed)).collect()
}

/// An object in which each key is said once: of two requirements for a scope nobody knows which one is meant.
struct Once<T>(BTreeMap<String, T>);

impl<T> Default for Once<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Once<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Once<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Once<T>, A::Error> {
                let mut read = BTreeMap::new();
                while let Some((key, value)) = entries.next_entry::<String, T>()? {
                    if read.contains_key(&key) {
                        return Err(A::Error::custom(format_args!("duplicate field `{key}`")));
                    }
                    read.insert(key, value);
                }
                Ok(Once(read))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[cfg(test)]
mod tests;
