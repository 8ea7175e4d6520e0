//! Fuzz targets: documents of a server, and files with keys.

use jiff::Timestamp;

use crate::canonical::Value;
use crate::metadata::{Listing, Root, Signed, Targets};
use crate::private::PrivateKey;
use crate::repository::{Restricted, restrict};
use crate::{PublicKey, Role};

/// A name and a function that panics at an input which shows a fault.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[("trust-document", document), ("trust-key", key)];

/// A document has one canonical form, and what is read of it can be written and read again.
fn document(data: &[u8]) {
    let Ok(value) = Value::parse(data) else { return };
    let text = serde_json::to_vec(&value).expect("what was read cannot be written");
    assert_eq!(Value::parse(&text).ok(), Some(value.clone()));
    let _ = value.canonical();
    if let Ok(root) = Signed::<Root>::read(data, &Role::ROOT) {
        let now = Timestamp::UNIX_EPOCH;
        let _ = crate::pin::check_root(None, &root, "r.example/app", now);
        let again = Signed::unsigned(root.document.clone()).expect("a root cannot be written");
        assert_eq!(again.document, root.document);
    }
    for role in [Role::SNAPSHOT, Role::TIMESTAMP] {
        let _ = Signed::<Listing>::read(data, &role);
    }
    if let Ok(targets) = Signed::<Targets>::read(data, &Role::TARGETS) {
        // Nobody is allowed more than who lets it sign.
        let narrow = Restricted::new(Role::TARGETS, vec!["a"]);
        for child in restrict(&narrow, &targets.document) {
            assert!(child.name.is_delegation());
            assert!(!child.may_sign("") && !child.may_sign("b"));
        }
    }
}

/// A key that is read has an ID, and verifies nothing by chance.
fn key(data: &[u8]) {
    if let Ok(key) = PublicKey::from_pem(data, Timestamp::UNIX_EPOCH) {
        assert_eq!(key.id().len(), 64);
        assert!(!key.verifies("ecdsa", b"message", &[1; 64]));
        let _ = (key.canonical_id(), key.certificates());
    }
    if let Ok(block) = pem::parse(data) {
        let _ = PrivateKey::from_pem(&block);
        let _ = crate::sealed::unseal(&block, "passphrase");
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;
