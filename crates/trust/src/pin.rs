//! The root of a repository that is trusted: the first one that is seen, and each that its keys have signed.
//!
//! The first root is believed for who it came from, a server with a certificate that TLS has checked. From then on only
//! a root that is signed by the keys of the one before takes its place.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::key::{Certificate, PublicKey};
use crate::metadata::{Root, Signed};
use crate::{Role, TrustError};

/// Checks that a root is one of the repository: signed by its own keys, and by those of the root before it, if there is
/// one. Its version and its own expiry are for the caller to check.
pub(crate) fn check_root(
    previous: Option<&Signed<Root>>,
    root: &Signed<Root>,
    repository: &str,
    now: Timestamp,
) -> Result<(), TrustError> {
    let (_, threshold) = root.document.keys_of(&Role::ROOT)?;
    let own = leaf_keys(&root.document, repository, Some(now))?;
    if own.is_empty() {
        return Err(TrustError::Root("unable to retrieve valid leaf certificates"));
    }
    if let Some(previous) = previous {
        let (_, threshold) = previous.document.keys_of(&Role::ROOT)?;
        // Once trusted, a certificate goes on speaking for its successor when it is past its time.
        let trusted = leaf_keys(&previous.document, repository, None)?;
        if trusted.is_empty() {
            return Err(TrustError::Root(
                "could not retrieve trusted certs from previous root role data",
            ));
        }
        root.verify(&Role::ROOT, &trusted, threshold).map_err(|_| {
            TrustError::Rotation("failed to validate data with current trusted certificates")
        })?;
    }
    root.verify(&Role::ROOT, &own, threshold)
        .map_err(|_| TrustError::Root("failed to validate integrity of roots"))
}

/// Returns the root keys whose certificates are for a repository and, if a time is given, in time.
fn leaf_keys<'a>(
    root: &'a Root,
    repository: &str,
    now: Option<Timestamp>,
) -> Result<BTreeMap<&'a str, &'a PublicKey>, TrustError> {
    let (mut keys, _) = root.keys_of(&Role::ROOT)?;
    keys.retain(|id, key| {
        // Unlike other roles, a root may list keys that are of no use; the others must do.
        key.id() == *id
            && leaf(key).is_some_and(|leaf| leaf.is_for(repository) && leaf.check(now).is_ok())
    });
    Ok(keys)
}

/// Returns the certificate that a key of a root stands for: the first of its chain, and the only one that is no authority.
fn leaf(key: &PublicKey) -> Option<Certificate> {
    let mut certificates = key.certificates()?;
    let leaves = certificates.iter().filter(|certificate| !certificate.is_authority).count();
    let first = certificates.swap_remove(0);
    (leaves == 1 && !first.is_authority).then_some(first)
}
