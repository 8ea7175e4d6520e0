//! References: which image a tag or digest of a repository means.
//!
//! One JSON document, dockerd's to the byte:
//!
//! ```text
//! {"Repositories":{"alpine":{"alpine:3.20":"sha256:…","alpine@sha256:…":"sha256:…"}}}
//! ```
//!
//! Names are familiar ones. What does not parse is kept, as dockerd does, but means nothing.

use std::collections::{BTreeSet, HashMap};
use std::ops::Deref;

use serde::{Deserialize, Serialize};
use spec::{ImageId, Reference, Repository};

use super::sorted::Sorted;
use crate::StoreError;

/// All references at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct References {
    pub(super) document: Document,
    by_image: HashMap<ImageId, Vec<Reference>>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    #[serde(rename = "Repositories")]
    repositories: Sorted<Sorted<Box<str>>>,
}

/// References that are being changed in a transaction.
#[derive(Debug)]
pub struct ReferencesMut {
    pub(super) references: References,
    /// Images that references were pointed to: they must exist when the transaction ends.
    pub(super) targets: BTreeSet<ImageId>,
}

impl References {
    /// Returns what a reference means. A digest is stronger than a tag; `latest` is meant where there is neither.
    pub fn get(&self, reference: &Reference) -> Option<ImageId> {
        let (name, key) = keys(&reference.clone().with_default_tag());
        self.document.repositories.get(&name)?.get(&key)?.parse().ok()
    }

    /// Returns the references to an image, sorted by their canonical forms as dockerd does.
    pub fn of_image(&self, id: &ImageId) -> &[Reference] {
        self.by_image.get(id).map_or(&[], Vec::as_slice)
    }

    /// Returns the references of a repository, sorted by their canonical forms.
    pub fn by_name(&self, repository: &Repository) -> Vec<(Reference, ImageId)> {
        let references = self.document.repositories.get(&repository.familiar());
        let mut parsed: Vec<_> = references.into_iter().flatten().filter_map(parse).collect();
        parsed.sort_by_cached_key(|(reference, _)| reference.to_string());
        parsed
    }

    /// Returns all references, repository by repository.
    pub fn iter(&self) -> impl Iterator<Item = (Reference, ImageId)> + '_ {
        self.document.repositories.values().flatten().filter_map(parse)
    }

    /// Returns all that is written, also what means nothing: name, target, and what they parse to.
    pub(crate) fn written(
        &self,
    ) -> impl Iterator<Item = (&str, &str, Option<(Reference, ImageId)>)> + '_ {
        let written = self.document.repositories.values().flatten();
        written.map(|pair| (pair.0, &**pair.1, parse(pair)))
    }

    /// Reads the document: in one pass if it is as dockerd writes it, else as Go reads it.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        // serde takes a list for a struct, too; Go does not.
        let is_object = bytes.trim_ascii_start().starts_with(b"{");
        let usual = is_object.then(|| serde_json::from_slice(bytes).ok()).flatten();
        usual.map_or_else(|| spec::from_go_json(bytes), Ok).map(Self::new)
    }

    fn new(document: Document) -> Self {
        let mut by_image: HashMap<ImageId, Vec<Reference>> =
            HashMap::with_capacity(document.repositories.len());
        for (reference, id) in document.repositories.values().flatten().filter_map(parse) {
            // Nearly all images have one name, or two.
            by_image.entry(id).or_insert_with(|| Vec::with_capacity(1)).push(reference);
        }
        for references in by_image.values_mut().filter(|references| references.len() > 1) {
            references.sort_by_cached_key(Reference::to_string);
        }
        Self { document, by_image }
    }
}

impl ReferencesMut {
    /// Points a reference to an image and returns what it meant before.
    ///
    /// A digest means one image for ever. Where both a tag and a digest are given, the digest is what counts, as in dockerd.
    pub fn set(
        &mut self,
        reference: &Reference,
        id: &ImageId,
    ) -> Result<Option<ImageId>, StoreError> {
        if reference.is_name_only() {
            return Err(StoreError::NameOnly(reference.familiar()));
        }
        let (name, key) = keys(reference);
        if name == "sha256" {
            return Err(StoreError::AmbiguousName);
        }
        self.targets.insert(id.clone());
        let before = self.references.get(reference);
        if before.as_ref() == Some(id) {
            return Ok(before);
        }
        if let (Some(digest), Some(_)) = (reference.digest(), &before) {
            return Err(StoreError::DigestTaken(digest.clone()));
        }
        let repository = self.references.document.repositories.entry(&name);
        *repository.entry(&key) = id.to_string().into();
        self.unlink(reference, before.as_ref());
        let references = self.references.by_image.entry(id.clone()).or_default();
        references.push(reference.clone().by_digest());
        references.sort_by_cached_key(Reference::to_string);
        Ok(before)
    }

    /// Removes a reference and returns what it meant; `latest` is meant where there is neither tag nor digest.
    pub fn remove(&mut self, reference: &Reference) -> Option<ImageId> {
        let reference = reference.clone().with_default_tag();
        let before = self.references.get(&reference)?;
        let (name, key) = keys(&reference);
        let repositories = &mut self.references.document.repositories;
        if let Some(repository) = repositories.get_mut(&name) {
            repository.remove(&key);
            if repository.is_empty() {
                repositories.remove(&name);
            }
        }
        self.unlink(&reference, Some(&before));
        Some(before)
    }

    fn unlink(&mut self, reference: &Reference, id: Option<&ImageId>) {
        let Some(id) = id else { return };
        let reference = reference.clone().by_digest();
        if let Some(references) = self.references.by_image.get_mut(id) {
            references.retain(|other| *other != reference);
            if references.is_empty() {
                self.references.by_image.remove(id);
            }
        }
    }
}

impl Deref for ReferencesMut {
    type Target = References;

    fn deref(&self) -> &References {
        &self.references
    }
}

/// Returns the two keys of a reference in the document.
fn keys(reference: &Reference) -> (String, String) {
    (reference.repository().familiar(), reference.clone().by_digest().familiar())
}

fn parse<T: Deref<Target = str>>((reference, id): (&str, &T)) -> Option<(Reference, ImageId)> {
    Some((Reference::parse_familiar(reference).ok()?, id.parse().ok()?))
}

/// Fuzz target: each reference that is found by a repository's or an image's name means that image, and changes are seen.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    let as_go = spec::from_go_json(data).map(References::new);
    let Ok(references) = References::read(data) else { return };
    assert_eq!(as_go.expect("Go cannot read what is read here"), references);
    let bytes = serde_json::to_vec(&references.document).expect("references cannot be written");
    let again = References::read(&bytes);
    assert_eq!(again.expect("what was written cannot be read"), references);
    let all: Vec<_> = references.iter().collect();
    for (reference, id) in &all {
        assert!(references.of_image(id).contains(reference));
    }
    let mut changing = ReferencesMut { references, targets: BTreeSet::new() };
    for (reference, id) in all {
        if changing.set(&reference, &id).is_ok() {
            assert_eq!(changing.get(&reference).as_ref(), Some(&id), "{reference}");
            assert!(changing.remove(&reference).is_some(), "{reference}");
            assert_eq!(changing.get(&reference), None, "{reference}");
        }
    }
}

#[cfg(test)]
mod tests {
    use spec::Digest;

    use super::*;

    fn reference(text: &str) -> Reference {
        Reference::parse_familiar(text).unwrap()
    }

    fn id(text: &str) -> ImageId {
        ImageId::new(Digest::sha256(text.as_bytes()))
    }

    fn changing(document: &str) -> ReferencesMut {
        let references = References::read(document.as_bytes()).unwrap();
        ReferencesMut { references, targets: BTreeSet::new() }
    }

    #[test]
    fn reads_and_writes_what_dockerd_wrote() {
        // Recorded from dockerd 20.10 after `import`, `load`, `tag`, `push` and `pull`.
        let recorded = include_str!("../testdata/repositories.json");
        let references = References::read(recorded.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&references.document).unwrap(), recorded);

        let image: ImageId =
            "sha256:5f58d6ea7384263ae2811844af73c031685e44a202d9090e602d2415452f8ab7"
                .parse()
                .unwrap();
        let digest = "sha256:ea705f32fa39b263a2eaff70be67d3d625e010b8700d3a4a4f447894f332352a";
        let names: Vec<_> = references.of_image(&image).iter().map(Reference::familiar).collect();
        let by_digest = format!("127.0.0.1:5977/me/x@{digest}");
        assert_eq!(
            names,
            ["127.0.0.1:5977/me/x:v1", &by_digest, "x:v1", "localhost:5000/me/x:v1"],
            "sorted by the canonical form, in which x is docker.io/library/x"
        );
        assert_eq!(references.get(&reference(&by_digest)), Some(image.clone()));
        assert_eq!(references.by_name(reference("x").repository()), [(reference("x:v1"), image)]);
        assert_eq!(references.iter().count(), 5);

        // And the same document made by our own hands.
        let mut made = changing("{}");
        for (name, id) in references.iter() {
            made.set(&name, &id).unwrap();
        }
        assert_eq!(serde_json::to_string(&made.document).unwrap(), recorded);
        assert_eq!(made.references, references);
    }

    #[test]
    fn odd_documents_are_kept_and_mean_nothing() {
        let odd =
            r#"{"Repositories":{"UPPER":{"UPPER:1":"sha256:00"},"a":{"a:1":"none","a:2":""}}}"#;
        let references = References::read(odd.as_bytes()).unwrap();
        assert_eq!(references.iter().count(), 0);
        assert_eq!(references.get(&reference("a:1")), None);
        assert_eq!(serde_json::to_string(&references.document).unwrap(), odd);
        // As Go reads it.
        let target = id("x");
        let odd =
            format!(r#"{{"x":1,"rePOSitories":{{"a":null,"a":{{"a:2":null,"a:1":"{target}"}}}}}}"#);
        assert_eq!(changing(&odd).get(&reference("a:1")), Some(target));
        for wrong in [
            "",
            "[]",
            "[{}]",
            r#" [{"a":{"a:1":"x"}}]"#,
            r#"{"Repositories":{"a":{"a:1":1}}}"#,
            r#"{"Repositories":{}} x"#,
        ] {
            assert!(References::read(wrong.as_bytes()).is_err(), "{wrong}");
        }
        for empty in ["{}", r#"{"Repositories":null}"#, r#"{"Repositories":{"a":null}}"#] {
            assert_eq!(changing(empty).iter().count(), 0, "{empty}");
        }
        assert_eq!(serde_json::to_string(&Document::default()).unwrap(), r#"{"Repositories":{}}"#);
    }

    #[test]
    fn tags_move_and_digests_do_not() {
        let digest = Digest::sha256(b"manifest");
        let by_digest = format!("a@{digest}");
        let mut references = changing("{}");
        for (name, value, expected) in [
            ("a:1", "x", Ok(None)),
            ("a:1", "x", Ok(Some("x"))),
            ("a:1", "y", Ok(Some("x"))),
            (&*by_digest, "x", Ok(None)),
            (&*by_digest, "x", Ok(Some("x"))),
            (&*by_digest, "y", Err("cannot overwrite digest")),
            (&*format!("a:1@{digest}"), "y", Err("cannot overwrite digest")),
            ("a", "x", Err("neither a tag nor a digest")),
            ("sha256:1", "x", Err("ambiguous tag using digest algorithm")),
        ] {
            match (references.set(&reference(name), &id(value)), expected) {
                (Ok(before), Ok(expected)) => {
                    assert_eq!(before, expected.map(id), "{name} {value}");
                }
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (result, _) => panic!("{name} {value}: {result:?}"),
            }
        }
        assert_eq!(references.get(&reference("a:1")), Some(id("y")));
        assert_eq!(references.get(&reference(&format!("a:1@{digest}"))), Some(id("x")));
        assert_eq!(references.of_image(&id("x")), [reference(&by_digest)]);
        assert_eq!(references.of_image(&id("y")), [reference("a:1")]);
    }

    #[test]
    fn a_repository_goes_with_its_last_reference() {
        let mut references = changing("{}");
        references.set(&reference("a:latest"), &id("x")).unwrap();
        assert_eq!(references.remove(&reference("a:2")), None);
        assert_eq!(references.remove(&reference("a")), Some(id("x")));
        assert!(references.of_image(&id("x")).is_empty());
        assert_eq!(references.document, Document::default());
    }
}
