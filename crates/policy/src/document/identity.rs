//! `signedIdentity`: which name a signature may be for.

use serde::Deserialize;
use spec::{Reference, ReferenceError, Repository};

/// An identity that no signature could have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdentityFault {
    /// A name is none.
    #[error("{name:?}: {source}")]
    Name {
        /// The text.
        name: String,
        /// Its fault.
        source: ReferenceError,
    },
    /// A reference that means any version.
    #[error("{0:?} has neither a tag nor a digest")]
    Inexact(String),
    /// A prefix that no full name begins with.
    #[error("prefix {0:?} is not valid")]
    Prefix(String),
}

/// An identity as it is written.
#[derive(Debug, Deserialize)]
#[serde(
    tag = "type",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
pub(super) enum WrittenIdentity {
    MatchExact {},
    MatchRepoDigestOrExact {},
    MatchRepository {},
    ExactReference {
        docker_reference: String,
    },
    ExactRepository {
        docker_repository: String,
    },
    RemapIdentity {
        prefix: String,
        signed_prefix: String,
    },
    /// Longshore's own: bundles name no image.
    InsecureAcceptAnyIdentity {},
}

/// The names that a signature may be for.
#[derive(Debug)]
pub(crate) enum SignedIdentity {
    /// The very reference that was asked for.
    Exact,
    /// That, or for a digest any tag of its repository.
    RepoDigestOrExact,
    /// Any reference of the repository.
    Repository,
    /// That, or none at all: where a user asks for a key and nothing else.
    RepositoryIfNamed,
    /// Whatever it is, also none.
    Any,
    /// This one.
    ExactReference(Reference),
    /// Any of this repository.
    ExactRepository(Repository),
    /// That of [`SignedIdentity::RepoDigestOrExact`], after one prefix is put in place of another.
    Remapped { prefix: String, signed: String },
}

impl WrittenIdentity {
    pub(super) fn check(self) -> Result<SignedIdentity, IdentityFault> {
        Ok(match self {
            Self::MatchExact {} => SignedIdentity::Exact,
            Self::MatchRepoDigestOrExact {} => SignedIdentity::RepoDigestOrExact,
            Self::MatchRepository {} => SignedIdentity::Repository,
            Self::InsecureAcceptAnyIdentity {} => SignedIdentity::Any,
            Self::ExactReference { docker_reference } => {
                let reference = parse(&docker_reference)?;
                if reference.is_name_only() {
                    return Err(IdentityFault::Inexact(docker_reference));
                }
                SignedIdentity::ExactReference(reference)
            }
            Self::ExactRepository { docker_repository } => {
                SignedIdentity::ExactRepository(parse(&docker_repository)?.repository().clone())
            }
            Self::RemapIdentity { prefix, signed_prefix } => {
                for prefix in [&prefix, &signed_prefix] {
                    check_prefix(prefix)?;
                }
                SignedIdentity::Remapped { prefix, signed: signed_prefix }
            }
        })
    }
}

fn parse(name: &str) -> Result<Reference, IdentityFault> {
    Reference::parse_familiar(name)
        .map_err(|source| IdentityFault::Name { name: name.to_owned(), source })
}

/// Refuses what is neither a host nor a name with one, written in full.
fn check_prefix(prefix: &str) -> Result<(), IdentityFault> {
    // Two parts, as Docker Hub's names have at least two.
    let name = format!("{prefix}/x/x");
    let is_full = Repository::parse_familiar(&name).is_ok_and(|read| read.to_string() == name);
    if is_full { Ok(()) } else { Err(IdentityFault::Prefix(prefix.to_owned())) }
}

impl SignedIdentity {
    /// Says which names a signature may be for, of an image that was asked for as `image`.
    pub(crate) fn taken(&self, image: Option<&Reference>) -> String {
        let any_of = |repository: &Repository| format!("any tag of {repository}");
        let exact_or_any = |image: &Reference| match image.tag() {
            Some(_) => image.to_string(),
            None => any_of(image.repository()),
        };
        match (self, image) {
            (Self::Any, _) => "any name".to_owned(),
            (Self::ExactReference(reference), _) => reference.to_string(),
            (Self::ExactRepository(repository), _) => any_of(repository),
            (Self::Exact, Some(image)) => image.to_string(),
            (Self::RepoDigestOrExact, Some(image)) => exact_or_any(image),
            (Self::Repository | Self::RepositoryIfNamed, Some(image)) => any_of(image.repository()),
            (Self::Remapped { prefix, signed }, Some(image)) => {
                match remapped(image, prefix, signed) {
                    Some(image) => exact_or_any(&image),
                    None => "none, as what the prefix makes of it is no name".to_owned(),
                }
            }
            (_, None) => "none, as the image has no name".to_owned(),
        }
    }

    /// Says whether a signature for `signed`, which may be nothing, is one for an image that was asked for as `image`.
    pub(crate) fn accepts(&self, image: Option<&Reference>, signed: Option<&str>) -> bool {
        let signed = match (self, signed) {
            (Self::Any, _) | (Self::RepositoryIfNamed, None) => return true,
            (_, None) => return false,
            (_, Some(signed)) => signed,
        };
        let Ok(signed) = Reference::parse_familiar(signed) else { return false };
        match (self, image) {
            (Self::ExactReference(reference), _) => exact(reference, &signed),
            (Self::ExactRepository(repository), _) => *repository == *signed.repository(),
            (Self::Exact, Some(image)) => exact(image, &signed),
            (Self::RepoDigestOrExact, Some(image)) => digest_or_exact(image, &signed),
            (Self::Repository | Self::RepositoryIfNamed, Some(image)) => {
                image.repository() == signed.repository()
            }
            (Self::Remapped { prefix, signed: other }, Some(image)) => {
                remapped(image, prefix, other).is_some_and(|image| digest_or_exact(&image, &signed))
            }
            // What has no name cannot have the right one.
            (Self::Any, _) | (_, None) => false,
        }
    }
}

/// No default is put in place of a tag: what was signed is what is written. A digest that is asked for beside a tag need not be written
/// into the name: it is compared with the one that is signed.
fn exact(image: &Reference, signed: &Reference) -> bool {
    let same_digest =
        image.digest() == signed.digest() || (image.tag().is_some() && signed.digest().is_none());
    !signed.is_name_only()
        && image.repository() == signed.repository()
        && image.tag() == signed.tag()
        && same_digest
}

fn digest_or_exact(image: &Reference, signed: &Reference) -> bool {
    if image.tag().is_none() && image.digest().is_some() {
        // The digest itself is compared with the one that is signed.
        return !signed.is_name_only() && image.repository() == signed.repository();
    }
    exact(image, signed)
}

/// Returns the image with another prefix, itself where it does not begin with the one; nothing if that makes no name that is written in
/// full, such as one right below Docker Hub.
fn remapped(image: &Reference, prefix: &str, other: &str) -> Option<Reference> {
    let name = image.repository().to_string();
    let rest = match name.strip_prefix(prefix) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => rest,
        _ => return Some(image.clone()),
    };
    let name = format!("{other}{rest}");
    let repository = Repository::parse_familiar(&name).ok()?;
    if repository.to_string() != name {
        return None;
    }
    Some(Reference::new(repository, image.tag().cloned(), image.digest().cloned()))
}

#[cfg(test)]
mod tests;
