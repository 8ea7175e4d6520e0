//! Texts with names in them for what differs between machines.

use std::collections::BTreeMap;

const FULL: usize = 64;
const SHORT: usize = 12;

/// The digest that each name stands for. One name, one digest, and the other way round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bindings {
    digests: BTreeMap<String, String>,
}

impl Bindings {
    pub(crate) fn new(known: BTreeMap<String, String>) -> Self {
        Self { digests: known }
    }

    pub(crate) fn len(&self) -> usize {
        self.digests.len()
    }

    /// Replaces the names in a request.
    pub(crate) fn fill(&self, text: &str) -> String {
        let mut filled = text.to_owned();
        for (name, digest) in &self.digests {
            filled = filled.replace(&format!("<{name}>"), digest);
            filled = filled.replace(&format!("<{name}.short>"), &digest[..SHORT]);
        }
        filled
    }

    /// Returns true if `actual` is what `expected` says; binds the names that are new.
    pub(crate) fn matches(&mut self, expected: &str, actual: &str) -> bool {
        let mut tried = self.clone();
        let matches = tried.consume(expected, actual);
        if matches {
            *self = tried;
        }
        matches
    }

    fn consume(&mut self, mut expected: &str, mut actual: &str) -> bool {
        while let Some(start) = expected.find('<') {
            let (literal, from) = expected.split_at(start);
            let Some(left) = actual.strip_prefix(literal) else { return false };
            let Some((name, after)) = from[1..].split_once('>') else { return false };
            let Some(end) = self.hole(name, left) else { return false };
            actual = &left[end..];
            expected = after;
        }
        expected == actual
    }

    /// Returns how much of `text` a name stands for.
    fn hole(&mut self, name: &str, text: &str) -> Option<usize> {
        let run = |accepted: fn(char) -> bool| {
            let end = text.find(|c| !accepted(c)).unwrap_or(text.len());
            (end > 0).then_some(end)
        };
        match name {
            "time" => run(|c| c.is_ascii_digit() || "TZ:.+-".contains(c)),
            "size" => run(|c| c.is_ascii_digit()),
            "resolver" => text.find(": "),
            _ if name.starts_with("image-")
                || name.starts_with("manifest-")
                || name.starts_with("digest") =>
            {
                let (name, length) = match name.strip_suffix(".short") {
                    Some(name) => (name, SHORT),
                    None => (name, FULL),
                };
                let digest = text.get(..length)?;
                let is_hex =
                    digest.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
                (is_hex && self.bind(name, digest)).then_some(length)
            }
            // `<missing>`, `<root>`: as they are written.
            _ => text.strip_prefix(&format!("<{name}>")).map(|left| text.len() - left.len()),
        }
    }

    fn bind(&mut self, name: &str, digest: &str) -> bool {
        if let Some(known) = self.digests.get(name) {
            let common = known.len().min(digest.len());
            if known[..common] != digest[..common] {
                return false;
            }
            if known.len() >= digest.len() {
                return true;
            }
        } else if self.digests.values().any(|known| known[..SHORT] == digest[..SHORT]) {
            return false;
        }
        self.digests.insert(name.to_owned(), digest.to_owned());
        true
    }
}

/// Puts names into what a live daemon answered, as the fixtures have them.
pub(crate) fn template(text: &str) -> String {
    let bytes = text.as_bytes();
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let mut result = String::with_capacity(text.len());
    let mut place = 0;
    while place < bytes.len() {
        let run = bytes[place..].iter().take_while(|byte| is_hex(**byte)).count();
        let before = place.checked_sub(1).map(|place| bytes[place]);
        let alone = |byte: Option<u8>| {
            byte.is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b"-.".contains(&byte))
        };
        let fresh = alone(before) && alone(bytes.get(place + run).copied());
        let digest = &text[place..place + run];
        if fresh && run == FULL {
            result.push_str("<digest-");
            result.push_str(&digest[..SHORT]);
            result.push('>');
        } else if fresh && run == SHORT && digest.bytes().any(|byte| byte.is_ascii_digit()) {
            result.push_str("<digest-");
            result.push_str(digest);
            result.push_str(".short>");
        } else if run == 4 && alone(before) && is_recent_time(&text[place..]) {
            let end = text[place..].find(['"', ' ']).unwrap_or(text.len() - place);
            result.push_str("<time>");
            place += end;
            continue;
        } else if run == 0 {
            let next = text[place..].chars().next().map_or(1, char::len_utf8);
            result.push_str(&text[place..place + next]);
            place += next;
            continue;
        } else {
            result.push_str(digest);
        }
        place += run;
    }
    result
}

/// Returns true if a text begins with a moment other than those of the images.
fn is_recent_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() > 19
        && bytes[4] == b'-'
        && bytes[10] == b'T'
        && bytes[13] == b':'
        && !text.starts_with("2023-11-14T22:13:20Z")
        && !text.starts_with("0001-")
}

#[test]
fn names_stand_for_one_digest_each() {
    let (one, two) = ("a1".repeat(32), "b2".repeat(32));
    let mut bindings = Bindings::default();
    assert!(bindings.matches("id <digest-1.short>", &format!("id {}", &one[..12])));
    assert!(bindings.matches("x@sha256:<digest-1>", &format!("x@sha256:{one}")));
    assert!(!bindings.matches("<digest-1>", &two), "another digest");
    assert!(!bindings.matches("<digest-2>", &one), "another name");
    assert!(bindings.matches("<digest-2>", &two));
    assert_eq!(bindings.fill("/<digest-2.short>/json"), format!("/{}/json", &two[..12]));
    assert!(bindings.matches("<missing>", "<missing>"));
    assert!(bindings.matches("at <time>, <size> B", "at 2026-11-21T17:55:03.03Z, 12 B"));
    assert!(!bindings.matches("<size>", "many"));
    assert!(bindings.matches("on <resolver>: no", "on 10.0.0.1:53: no"));
}
