//! Reading the references of a data root, and changing them.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::references::{Document, References, ReferencesMut};
use crate::lock::Transaction;
use crate::{Store, StoreError, files};

impl Store {
    /// Returns all references as they are now. Cheap as long as nobody changes them.
    pub fn references(&self) -> Result<Arc<References>, StoreError> {
        let path = self.paths().repositories();
        self.reference_snapshot().load(&path, |bytes| {
            References::read(bytes).map_err(|error| StoreError::damaged(&path, error))
        })
    }

    /// Changes references: all that `change` does becomes visible at once, or nothing if it or the writing fails.
    ///
    /// No other transaction runs meanwhile, so `change` must be quick and must not start one: nothing that changes the store,
    /// no lease begun, used or dropped. Fails if a reference was pointed to an image that
    /// is not there.
    pub fn update_references<T>(
        &self,
        change: impl FnOnce(&mut ReferencesMut) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.transaction()?;
        self.change_references(&transaction, change)
    }

    /// Changes references as [`Store::update_references`] does, in a removal: on a full disk there is room for it.
    pub fn remove_references<T>(
        &self,
        change: impl FnOnce(&mut ReferencesMut) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let transaction = self.removal()?;
        self.change_references(&transaction, change)
    }

    pub(crate) fn change_references<T>(
        &self,
        transaction: &Transaction,
        change: impl FnOnce(&mut ReferencesMut) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let before = self.references()?;
        let mut changing =
            ReferencesMut { references: References::clone(&before), targets: BTreeSet::new() };
        let result = change(&mut changing)?;
        for id in &changing.targets {
            if !files::exists(&self.paths().config(id))? {
                return Err(StoreError::NoImage(id.clone()));
            }
        }
        if changing.references.document == before.document {
            return Ok(result);
        }
        if let Err(error) = self.write_references(transaction, &changing.references.document) {
            // What may not last must not be seen: the next one would take it for written.
            let _ = self.write_references(transaction, &before.document);
            return Err(error);
        }
        self.reference_snapshot().wrote(&self.paths().repositories(), changing.references);
        Ok(result)
    }

    /// Writes an empty document where there is none, as dockerd does.
    pub(crate) fn initialize_references(
        &self,
        transaction: &Transaction,
    ) -> Result<(), StoreError> {
        if files::exists(&self.paths().repositories())? {
            return Ok(());
        }
        self.write_references(transaction, &Document::default())
    }

    fn write_references(
        &self,
        transaction: &Transaction,
        document: &Document,
    ) -> Result<(), StoreError> {
        let target = self.paths().repositories();
        let bytes =
            serde_json::to_vec(document).map_err(|error| StoreError::damaged(&target, error))?;
        let staging = self.paths().staging();
        transaction.insist(|| self.disk().replace(&staging, &target, &bytes, 0o600))?;
        self.disk().sync_dir(self.paths().image())
    }
}
