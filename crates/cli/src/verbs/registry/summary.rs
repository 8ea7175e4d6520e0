//! The meaning of a name at its registry, for people.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use api::remote::{Image, Inspection, Listed, PullLimit};
use spec::REFERENCE_DIGEST_ANNOTATION;
use spec::go::{LIST_DIGITS, human_bytes};

/// Returns the summary.
pub(super) fn text(found: &Inspection) -> String {
    let mut text = String::new();
    let lines = [
        ("Name", found.name.as_str()),
        ("From", found.source.as_str()),
        ("Digest", found.digest.as_str()),
        ("Media type", found.media_type.as_str()),
        ("Artifact type", found.artifact_type.as_str()),
        ("Refers to", found.subject.as_str()),
    ];
    for (name, value) in lines {
        line(&mut text, "", name, value);
    }
    if let Some(limit) = &found.pull_limit {
        line(&mut text, "", "Pulls left", &pulls(limit));
    }
    if found.manifests.is_empty() {
        if let Some(image) = &found.image {
            describe(&mut text, "", image);
        }
        return text;
    }
    pairs(&mut text, "", "Annotations", &found.annotations);
    text.push_str("Manifests:\n");
    for entry in &found.manifests {
        let _ = writeln!(text, "  {}  {}", entry.digest, listed(entry));
    }
    if let Some(image) = &found.image {
        let _ = writeln!(text, "Image for {}:", image.platform);
        line(&mut text, "  ", "Digest", &image.digest);
        describe(&mut text, "  ", image);
    }
    text
}

fn line(text: &mut String, indent: &str, name: &str, value: &str) {
    if !value.is_empty() {
        let _ = writeln!(text, "{indent}{:<15}{value}", format!("{name}:"));
    }
}

fn pairs(text: &mut String, indent: &str, name: &str, pairs: &BTreeMap<String, String>) {
    if pairs.is_empty() {
        return;
    }
    let _ = writeln!(text, "{indent}{name}:");
    for (key, value) in pairs {
        let _ = writeln!(text, "{indent}  {key}={value}");
    }
}

/// Describes an entry of an index: a platform, an attestation, or whatever it says it is.
fn listed(entry: &Listed) -> String {
    let what = match (&*entry.platform, entry.annotations.get(REFERENCE_DIGEST_ANNOTATION)) {
        (_, Some(subject)) => format!("attestation of {subject}"),
        ("", None) if entry.artifact_type.is_empty() => entry.media_type.clone(),
        ("", None) => entry.artifact_type.clone(),
        (platform, None) => platform.to_owned(),
    };
    match entry.image_size {
        Some(bytes) => format!("{what}  {}", human_bytes(bytes, LIST_DIGITS)),
        None => what,
    }
}

fn describe(text: &mut String, indent: &str, image: &Image) {
    let lines = [
        ("Platform", if indent.is_empty() { image.platform.as_str() } else { "" }),
        ("Config", image.config.as_str()),
        ("Created", image.created.as_str()),
        ("Author", image.author.as_str()),
        ("Size", &human_bytes(image.size, LIST_DIGITS)),
    ];
    for (name, value) in lines {
        line(text, indent, name, value);
    }
    pairs(text, indent, "Labels", &image.labels);
    pairs(text, indent, "Annotations", &image.annotations);
    let _ = writeln!(text, "{indent}Layers:");
    for layer in &image.layers {
        let _ = writeln!(
            text,
            "{indent}  {}  {}  {}",
            layer.digest,
            human_bytes(layer.size, LIST_DIGITS),
            layer.media_type
        );
    }
}

/// Says how many pulls are left: `76 of 100 in 6h (203.0.113.7)`.
fn pulls(limit: &PullLimit) -> String {
    let number =
        |count: Option<u64>| count.map_or_else(|| "?".to_owned(), |count| count.to_string());
    let mut words = format!("{} of {}", number(limit.remaining), number(limit.limit));
    match limit.window {
        Some(seconds) if seconds % 3600 == 0 && seconds > 0 => {
            let _ = write!(words, " in {}h", seconds / 3600);
        }
        Some(seconds) => {
            let _ = write!(words, " in {seconds}s");
        }
        None => {}
    }
    if let Some(source) = &limit.source {
        let _ = write!(words, " ({source})");
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulls_are_told_as_far_as_they_are_known() {
        let limit = |remaining, limit, window, source: Option<&str>| {
            pulls(&PullLimit { limit, remaining, window, source: source.map(str::to_owned) })
        };
        assert_eq!(limit(Some(76), Some(100), Some(21_600), Some("a")), "76 of 100 in 6h (a)");
        assert_eq!(limit(None, Some(100), Some(90), None), "? of 100 in 90s");
        assert_eq!(limit(Some(1), None, None, None), "1 of ?");
    }
}
