//! Sets and maps of paths of which only keyed hashes are kept, 64 bits each.
//!
//! An attacker cannot aim at a collision, and by chance one in ten thousand million layers of 60,000 entries has one.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState};

/// Values by hashes.
pub(crate) type ByHash<T> = HashMap<u64, T, BuildHasherDefault<Identity>>;

/// Paths that were seen.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    hashes: HashSet<u64, BuildHasherDefault<Identity>>,
    keys: RandomState,
}

impl Seen {
    /// Adds a path; says whether it is new.
    pub(crate) fn insert(&mut self, path: &[u8]) -> bool {
        self.hashes.insert(self.keys.hash_one(path))
    }

    /// Takes a path out; says whether it was there.
    pub(crate) fn remove(&mut self, path: &[u8]) -> bool {
        self.hashes.remove(&self.keys.hash_one(path))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }
}

/// Hashes are not hashed again.
#[derive(Debug, Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
