//! Objects of JSON by sorted names, in little memory: thousands of small ones are read by every command.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, Serializer};

/// Values by their names, in the order of these, in which Go writes them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Sorted<T>(Vec<(Box<str>, T)>);

impl<T> Sorted<T> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn get(&self, name: &str) -> Option<&T> {
        self.find(name).ok().map(|at| &self.0[at].1)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut T> {
        self.find(name).ok().map(|at| &mut self.0[at].1)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Ok(at) = self.find(name) {
            self.0.remove(at);
        }
    }

    fn find(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| (**other).cmp(name))
    }

    /// Of what has one name the last counts, as in Go.
    fn sort(&mut self) {
        if self.0.is_sorted_by(|(one, _), (other, _)| one < other) {
            return;
        }
        self.0.reverse();
        self.0.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.0.dedup_by(|(later, _), (earlier, _)| later == earlier);
    }
}

impl<T: Default> Sorted<T> {
    /// Returns the value of a name, which it gets if it has none.
    pub(super) fn entry(&mut self, name: &str) -> &mut T {
        let at = self.find(name).unwrap_or_else(|at| {
            self.0.insert(at, (name.into(), T::default()));
            at
        });
        &mut self.0[at].1
    }
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'a, T> IntoIterator for &'a Sorted<T> {
    type Item = (&'a str, &'a T);
    type IntoIter = std::iter::Map<
        std::slice::Iter<'a, (Box<str>, T)>,
        fn(&'a (Box<str>, T)) -> (&'a str, &'a T),
    >;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(name, value)| (&**name, value))
    }
}

impl<T: Serialize> Serialize for Sorted<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Sorted<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData))
    }
}

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = Sorted<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Sorted<T>, A::Error> {
        // Most have one member, and a vector that grows begins with four.
        let mut read = Sorted(Vec::with_capacity(1));
        while let Some(member) = members.next_entry()? {
            read.0.push(member);
        }
        read.sort();
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_sorted_and_the_last_of_a_name_counts() {
        let text = r#"{"b":1,"a":2,"c":3,"a":4,"b":5,"b":6}"#;
        let mut read: Sorted<u32> = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"a":4,"b":6,"c":3}"#);
        *read.entry("bb") = 7;
        *read.entry("a") += 1;
        assert_eq!((read.get("a"), read.get("bb"), read.get("x")), (Some(&5), Some(&7), None));
        read.remove("b");
        read.remove("x");
        assert_eq!(read.into_iter().collect::<Vec<_>>(), [("a", &5), ("bb", &7), ("c", &3)]);
        assert_eq!(read.len(), 3);
    }
}
