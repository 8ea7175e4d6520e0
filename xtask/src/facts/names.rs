//! Names for what is different on every machine.

use std::collections::{BTreeMap, BTreeSet};

/// The texts that differ for certain, and what they are called.
const PLACES: [(&str, &str); 3] =
    [("$SUITE/d29g/root", "<root>"), ("$SUITE", "<suite>"), ("10.255.255.53:53", "<resolver>")];

/// A digest's name for each digest that occurs.
#[derive(Debug, Default)]
pub(super) struct Names {
    digests: BTreeMap<String, String>,
}

const FULL: usize = 64;
const SHORT: usize = 12;

impl Names {
    /// Finds all digests, and calls images and manifests by the names that they have in lists.
    pub(super) fn learn(texts: &[&str]) -> Self {
        let mut names = Self::default();
        for text in texts {
            for line in text.lines() {
                names.learn_images(line);
            }
        }
        // Full digests before the short forms that may be theirs.
        for length in [FULL, SHORT] {
            for text in texts {
                let mut found = BTreeSet::new();
                for (start, run) in hex_runs(text) {
                    if run.len() == length && is_digest(text, start, run) {
                        found.insert(run.to_owned());
                    }
                }
                for digest in found {
                    if names.name_of(&digest).is_none() {
                        names.add(&digest, "digest");
                    }
                }
            }
        }
        names
    }

    /// Names the images of a list by their tags, and the manifests by their repositories.
    fn learn_images(&mut self, line: &str) {
        let Some(start) = line.find("| [{\"Containers\"") else { return };
        let Ok(serde_json::Value::Array(images)) = serde_json::from_str(&line[start + 2..]) else {
            return;
        };
        for image in images {
            let texts = |key: &str| -> Vec<String> {
                let items = image[key].as_array().into_iter().flatten();
                let mut texts: Vec<_> =
                    items.filter_map(|item| Some(item.as_str()?.to_owned())).collect();
                texts.sort_by_key(|text| (text.matches(['/', ':']).count(), text.clone()));
                texts
            };
            if let (Some(id), Some(tag)) = (image["Id"].as_str(), texts("RepoTags").first()) {
                self.add(id.trim_start_matches("sha256:"), &format!("image-{tag}"));
            }
            for digest in texts("RepoDigests") {
                if let Some((repository, digest)) = digest.split_once("@sha256:") {
                    self.add(digest, &format!("manifest-{repository}"));
                }
            }
        }
    }

    fn add(&mut self, digest: &str, kind: &str) {
        if self.digests.contains_key(digest) {
            return;
        }
        // Nothing that ends a placeholder or divides a path.
        let kind = kind.replace(['/', ':'], "-");
        let taken: BTreeSet<&String> = self.digests.values().collect();
        // One of them is free: there is one more of them than of those that are taken.
        let name = (1..=taken.len() + 1)
            .map(|number| if number == 1 { kind.clone() } else { format!("{kind}-{number}") })
            .find(|name| !taken.contains(name))
            .unwrap_or_default();
        self.digests.insert(digest.to_owned(), name);
    }

    /// The placeholder of a full or short digest.
    fn name_of(&self, digest: &str) -> Option<String> {
        if let Some(name) = self.digests.get(digest) {
            let form = if digest.len() == SHORT { ".short" } else { "" };
            return Some(format!("<{name}{form}>"));
        }
        let start = digest.to_owned();
        let (full, name) = self.digests.range(start..).next()?;
        full.starts_with(digest).then(|| format!("<{name}.short>"))
    }

    /// Replaces what differs.
    pub(super) fn apply(&self, text: &str) -> String {
        let mut result = String::with_capacity(text.len());
        let mut done = 0;
        for (start, run) in hex_runs(text) {
            if let Some(name) = (is_digest(text, start, run)).then(|| self.name_of(run)).flatten() {
                result.push_str(&text[done..start]);
                result.push_str(&name);
                done = start + run.len();
            }
        }
        result.push_str(&text[done..]);
        for (place, name) in PLACES {
            result = result.replace(place, name);
        }
        numbers(&times(&result))
    }
}

/// The runs of lower-case hexadecimal digits, with where they begin.
fn hex_runs(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let bytes = text.as_bytes();
    let mut place = 0;
    std::iter::from_fn(move || {
        while place < bytes.len() && !is_hex(bytes[place]) {
            place += 1;
        }
        let start = place;
        while place < bytes.len() && is_hex(bytes[place]) {
            place += 1;
        }
        (place > start).then(|| (start, &text[start..place]))
    })
}

/// Tells that a run stands alone, so that it is no part of a word.
fn is_digest(text: &str, start: usize, run: &str) -> bool {
    let bytes = text.as_bytes();
    // In a query a colon is `%3A`, which ends as a digest may begin.
    let before = start.checked_sub(1).map(|place| bytes[place]);
    let after = bytes.get(start + run.len());
    let alone = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'-' && byte != b'.';
    (run.len() == FULL || run.len() == SHORT && run.bytes().any(|byte| byte.is_ascii_digit()))
        && before.is_none_or(|byte| alone(byte) || text[..start].ends_with("%3A"))
        && after.is_none_or(|byte| alone(*byte))
}

/// Times of the day of the recording, as text and as seconds and nanoseconds since 1970.
fn times(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find(['1', '2']) {
        let (before, from) = rest.split_at(place);
        result.push_str(before);
        let fresh = !before.ends_with(|c: char| c.is_ascii_alphanumeric());
        let digits = from.len() - from.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (taken, name) = if fresh && from.starts_with("2026-11-21T") {
            let end = from.find('Z').map_or(from.len(), |end| end + 1);
            (end, "<time>")
        } else if fresh && from.starts_with("17952") && matches!(digits, 10 | 19) {
            (digits, if before.ends_with('=') { "<time>" } else { "\"<time>\"" })
        } else {
            (digits.max(1), &from[..digits.max(1)])
        };
        result.push_str(name);
        rest = &from[taken..];
    }
    result + rest
}

/// Sizes of compressed or rewritten things, which depend on who compressed or wrote them.
fn numbers(text: &str) -> String {
    let keys = ["\"size\":", "\"current\":", "\"total\":", "size: "];
    let mut result = text.to_owned();
    for key in keys {
        let mut done = String::with_capacity(result.len());
        let mut rest = result.as_str();
        while let Some(place) = rest.find(key) {
            let (before, after) = rest.split_at(place + key.len());
            let left = after.trim_start_matches(|c: char| c.is_ascii_digit());
            done.push_str(before);
            if left.len() < after.len() {
                done.push_str(if key.ends_with(' ') { "<size>" } else { "\"<size>\"" });
            }
            rest = left;
        }
        done.push_str(rest);
        result = done;
    }
    if result.contains("\"aux\":") {
        let parts: Vec<&str> = result.split("\"Size\":").collect();
        if let [before, after] = parts[..] {
            let left = after.trim_start_matches(|c: char| c.is_ascii_digit());
            result = format!("{before}\"Size\":\"<size>\"{left}");
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_gets_a_name() {
        let id = "a1".repeat(32);
        let manifest = "b2".repeat(32);
        let layer = "c3c3c3c3c3c3";
        let list = format!(
            "   | [{{\"Containers\":-1,\"Id\":\"sha256:{id}\",\"RepoDigests\":[\"bb@sha256:{manifest}\"],\
             \"RepoTags\":[\"a/bb:2\",\"bb:1\"]}}]\n   | {layer}: Pull\n"
        );
        let names = Names::learn(&[list.as_str()]);
        let table = [
            (format!("sha256:{id}"), "sha256:<image-bb-1>"),
            (format!("/images/{}/json", &id[..12]), "/images/<image-bb-1.short>/json"),
            (format!("tag=sha256%3A{manifest}"), "tag=sha256%3A<manifest-bb>"),
            (format!("\"id\":\"{layer}\""), "\"id\":\"<digest.short>\""),
            ("\"Created\":1795283703,".to_owned(), "\"Created\":\"<time>\","),
            ("\"Created\":1700000000,".to_owned(), "\"Created\":1700000000,"),
            ("\"2026-11-21T17:55:03.032355477Z\"".to_owned(), "\"<time>\""),
            ("dir 755 mtime=1795283701 e".to_owned(), "dir 755 mtime=<time> e"),
            (
                "{\"current\":130,\"total\":130}".to_owned(),
                r#"{"current":"<size>","total":"<size>"}"#,
            ),
            ("\"Size\":18,\"size\":18".to_owned(), r#""Size":18,"size":"<size>""#),
            (
                r#"{"aux":{"Tag":"1","Size":527}}"#.to_owned(),
                r#"{"aux":{"Tag":"1","Size":"<size>"}}"#,
            ),
        ];
        for (text, expected) in table {
            assert_eq!(names.apply(&text), expected);
        }
    }
}
