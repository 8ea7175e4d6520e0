//! `manifest.json`: the images of an archive, as `docker save` lists them.
//!
//! A list of 16 MiB that is nothing but brackets and commas would take a hundred times as much memory, so what it lists is counted
//! while it is read.

use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, SeqAccess, Visitor};
use spec::{Descriptor, ImageId};

use crate::error::BadArchive;
use crate::{EngineError, Result};

/// The most images of a list; the most names, and layers, of each; and the most of those of all together.
const MAX_IMAGES: usize = 100_000;
const MAX_TEXTS_OF_ONE: usize = 10_000;
const MAX_TEXTS: usize = 500_000;

/// An image of an archive.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    /// The path of its config.
    pub(super) config: String,
    /// Its names, as they are written.
    pub(super) tags: Vec<String>,
    /// The paths of its layers, the bottom one first.
    pub(super) layers: Vec<String>,
    /// The image that it was built from.
    pub(super) parent: Option<ImageId>,
    /// The outermost index that leads to it.
    pub(super) root: Option<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    config: String,
    repo_tags: Texts,
    layers: Texts,
    parent: String,
}

/// Reads a `manifest.json`.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<Listed>> {
    // As Go's decoder: what follows the list plays no part.
    let images = spec::from_first_go_json::<Option<Images>>(bytes).map_err(|error| {
        EngineError::BadArchive(BadArchive::List { file: "manifest.json", error })
    })?;
    images.map(|Images(images)| images).ok_or(EngineError::BadArchive(BadArchive::NullList))
}

struct Images(Vec<Listed>);

impl<'de> Deserialize<'de> for Images {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut texts = 0;
        let take = |item: Item| {
            let image = Listed {
                config: item.config,
                tags: item.repo_tags.0,
                layers: item.layers.0,
                parent: item.parent.parse().ok(),
                root: None,
            };
            texts += image.tags.len() + image.layers.len();
            (texts <= MAX_TEXTS).then_some(image)
        };
        let list = Bounded { max: MAX_IMAGES, take, item: PhantomData };
        deserializer.deserialize_seq(list).map(Self)
    }
}

struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let list = Bounded { max: MAX_TEXTS_OF_ONE, take: Some, item: PhantomData };
        deserializer.deserialize_seq(list).map(Self)
    }
}

/// Reads a list of at most `max` items, which `take` makes something of, or refuses.
struct Bounded<I, F> {
    max: usize,
    take: F,
    item: PhantomData<I>,
}

impl<'de, I: Deserialize<'de>, O, F: FnMut(I) -> Option<O>> Visitor<'de> for Bounded<I, F> {
    type Value = Vec<O>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(
        mut self,
        mut items: A,
    ) -> std::result::Result<Self::Value, A::Error> {
        let mut taken = Vec::new();
        while let Some(item) = items.next_element()? {
            let item = (self.take)(item).filter(|_| taken.len() < self.max);
            taken.push(item.ok_or_else(|| A::Error::custom("it lists too much"))?);
        }
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_go_reads_them() {
        let id = "0".repeat(64);
        let text = format!(
            r#"[{{"Config":"c","RepoTags":["a:1"],"Layers":["l"],"Parent":"sha256:{id}","X":1}},
                {{"RepoTags":null}}] and more"#
        );
        let images = read(text.as_bytes()).unwrap();
        assert_eq!(images.len(), 2);
        assert_eq!(
            (&*images[0].config, &*images[0].tags, &*images[0].layers),
            ("c", &["a:1".to_owned()][..], &["l".to_owned()][..])
        );
        assert!(images[0].parent.is_some() && images[1].tags.is_empty());
        assert!(read(b"[]").unwrap().is_empty());
        for (bad, expected) in [
            ("null", "manifest cannot be null"),
            ("{}", "failed to decode manifest.json"),
            ("[{]", "failed to decode manifest.json"),
            (r#"[{"RepoTags":{}}]"#, "failed to decode manifest.json"),
        ] {
            let said = read(bad.as_bytes()).unwrap_err().to_string();
            assert!(said.contains(expected), "{bad}: {said}");
        }
    }

    #[test]
    fn a_list_of_too_much_is_refused() {
        let list = |item: &str, count: usize| format!("[{}]", vec![item; count].join(","));
        let names = |count| format!(r#"{{"RepoTags":{}}}"#, list("\"\"", count));
        let layers = |count| format!(r#"{{"Layers":{}}}"#, list("\"\"", count));
        for (text, fits) in [
            (list("{}", MAX_IMAGES), true),
            (list("{}", MAX_IMAGES + 1), false),
            (list(&names(MAX_TEXTS_OF_ONE), 1), true),
            (list(&names(MAX_TEXTS_OF_ONE + 1), 1), false),
            (list(&layers(MAX_TEXTS_OF_ONE + 1), 1), false),
            (list(&layers(MAX_TEXTS_OF_ONE), MAX_TEXTS / MAX_TEXTS_OF_ONE), true),
            (list(&layers(MAX_TEXTS_OF_ONE), MAX_TEXTS / MAX_TEXTS_OF_ONE + 1), false),
        ] {
            match read(text.as_bytes()) {
                Ok(_) => assert!(fits, "{} bytes", text.len()),
                Err(error) => {
                    assert!(!fits && error.to_string().contains("it lists too much"), "{error}");
                }
            }
        }
    }
}
