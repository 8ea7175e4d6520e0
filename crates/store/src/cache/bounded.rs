//! Facts that were looked up once and stay true, up to a number of them.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Mutex;

use crate::mutex::lock;

/// Facts by what they are about.
#[derive(Debug)]
pub(crate) struct Bounded<K, V> {
    most: usize,
    facts: Mutex<HashMap<K, V>>,
}

impl<K: Eq + Hash, V: Clone> Bounded<K, V> {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, facts: Mutex::default() }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        lock(&self.facts).get(key).cloned()
    }

    /// Adds a fact. When there is no room for one more, the others go: each is looked up again when it is asked for.
    pub(crate) fn put(&self, key: K, value: V) {
        let mut facts = lock(&self.facts);
        if facts.len() >= self.most {
            facts.clear();
        }
        facts.insert(key, value);
    }

    pub(crate) fn forget(&self, key: &K) {
        lock(&self.facts).remove(key);
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        lock(&self.facts).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fact_that_is_too_much_takes_the_place_of_the_others() {
        let facts = Bounded::new(2);
        for key in ["a", "b"] {
            facts.put(key, key.len());
        }
        assert_eq!((facts.get(&"a"), facts.len()), (Some(1), 2));
        facts.put("c", 3);
        assert_eq!((facts.get(&"a"), facts.get(&"c"), facts.len()), (None, Some(3), 1));
        facts.forget(&"c");
        assert_eq!((facts.get(&"c"), facts.len()), (None, 0));
    }
}
