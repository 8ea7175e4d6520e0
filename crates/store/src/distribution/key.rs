//! The key that signs manifests of schema 1, for registries that take no other.
//!
//! ```text
//! longshore/key.json     a private key as JSON (JWK), as dockerd has its own in /etc/docker; mode 0600
//! ```
//!
//! It stands for nobody: whoever needs one and finds none makes one. So it is written without a sync.

use crate::{Store, StoreError, files};

impl Store {
    /// Returns the key of this data root, as text, if there is one that can be read.
    pub fn signing_key(&self) -> Option<String> {
        files::read_note(&self.paths().signing_key())
    }

    /// Keeps a key for this data root.
    pub fn keep_signing_key(&self, text: &str) -> Result<(), StoreError> {
        let (aside, target) = (self.paths().staging(), self.paths().signing_key());
        self.disk().replace_unsynced(&aside, &target, text.as_bytes(), 0o600)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use crate::tests::Root;

    #[test]
    fn a_key_is_kept_for_its_owner_alone() {
        let root = Root::packed();
        assert_eq!(root.store.signing_key(), None);
        root.store.keep_signing_key("{\"d\":1}").unwrap();
        assert_eq!(root.store.signing_key().as_deref(), Some("{\"d\":1}"));
        let path = root.store.root().join("longshore/key.json");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // What is no text counts as missing.
        fs::write(&path, b"\xff").unwrap();
        assert_eq!(root.store.signing_key(), None);
    }
}
