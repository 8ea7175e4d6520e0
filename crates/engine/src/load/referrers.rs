//! Manifests of an archive that refer to its images: signatures, SBOMs and attestations, as `save --referrers` and `copy --referrers` put
//! them beside these. They are no images, and are kept with the image that they refer to.

use std::collections::{HashMap, HashSet};

use registry::MAX_REFERRERS;
use spec::{Descriptor, Digest, MAX_MANIFEST_SIZE, Mentioned, Tag};

use super::tree::Tree;
use crate::save::documents::{NAME_ANNOTATION, REF_NAME_ANNOTATION};

/// The most bytes of documents that are read for it: a hostile list may name a large one as often as it likes.
const MAX_READ: u64 = 64 << 20;

/// The manifests of an archive that refer to others, by these.
#[derive(Debug, Default)]
pub(super) struct Referrers {
    by_subject: HashMap<Digest, Vec<Referrer>>,
    /// Those that nobody could take for an image.
    no_images: HashSet<Digest>,
    /// Bytes that were read.
    read: u64,
}

/// A manifest that refers to another.
#[derive(Clone, Debug)]
pub(super) struct Referrer {
    pub(super) descriptor: Descriptor,
    /// The tag by which it refers, if that is how.
    pub(super) tag: Option<Tag>,
}

impl Referrers {
    /// Finds them among what `index.json` lists. What cannot be read refers to nothing, and is told of by who needs it. Blocking.
    pub(super) fn find(tree: &Tree, index: &[Descriptor]) -> Self {
        let mut found = Self::default();
        let mut listed = Vec::new();
        for entry in index {
            listed.extend(found.add(tree, entry, true));
        }
        for entry in &listed {
            found.add(tree, entry, false);
        }
        found
    }

    /// Looks at one entry. Of a list that clients keep under a tag the entries are returned.
    fn add(&mut self, tree: &Tree, entry: &Descriptor, is_outer: bool) -> Vec<Descriptor> {
        // Whichever type it has: the manifest of an artifact has its own. What is larger is no manifest.
        if entry.size > MAX_MANIFEST_SIZE || self.read > MAX_READ {
            return Vec::new();
        }
        let bytes = match tree.document(&entry.digest, MAX_MANIFEST_SIZE) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Vec::new(),
            // It took its time.
            Err(_) => {
                self.read += MAX_MANIFEST_SIZE;
                return Vec::new();
            }
        };
        self.read += bytes.len() as u64;
        let Ok(mentioned) = Mentioned::parse(&bytes) else { return Vec::new() };
        let name = entry.annotations.get(REF_NAME_ANNOTATION).filter(|_| is_outer);
        let tag: Option<Tag> = name.and_then(|name| name.parse().ok());
        let by_tag = tag.as_ref().and_then(|tag| Some((tag.cosign_subject()?.0, tag.clone())));
        let is_list = !mentioned.manifests.is_empty();
        if is_list && tag.as_ref().is_some_and(is_list_of_referrers) {
            self.no_images.insert(entry.digest.clone());
            return mentioned.manifests;
        }
        let (subject, tag) = match (by_tag, registry::subject(&bytes)) {
            (Some((subject, tag)), _) => (subject, Some(tag)),
            (None, Some(subject)) => (subject, None),
            (None, None) => return Vec::new(),
        };
        // Whatever has a tag of cosign's is about another, and so is what has no name beside that to which it refers.
        let names = [NAME_ANNOTATION, REF_NAME_ANNOTATION];
        let is_named = names.iter().any(|name| entry.annotations.contains_key(*name));
        let is_beside = is_outer && !is_named && tree.blob(&subject).is_some();
        if tag.is_some() || is_beside || !mentioned.may_be_image() {
            self.no_images.insert(entry.digest.clone());
        }
        let media_type = if mentioned.media_type.as_str().is_empty() {
            entry.media_type.clone()
        } else {
            mentioned.media_type
        };
        let descriptor = Descriptor::new(media_type, entry.digest.clone(), bytes.len() as u64);
        let known = self.by_subject.entry(subject).or_default();
        let is_new = known.iter().all(|other| other.descriptor.digest != entry.digest);
        if is_new && known.len() < MAX_REFERRERS {
            known.push(Referrer { descriptor, tag });
        }
        Vec::new()
    }

    /// Lists what refers to a manifest.
    pub(super) fn of(&self, subject: &Digest) -> &[Referrer] {
        self.by_subject.get(subject).map(Vec::as_slice).unwrap_or_default()
    }

    /// Says whether an entry of `index.json` is no image, but something about one.
    pub(super) fn is_no_image(&self, digest: &Digest) -> bool {
        self.no_images.contains(digest)
    }
}

/// Says whether a tag is that of a list of referrers, which clients keep where a registry does not.
fn is_list_of_referrers(tag: &Tag) -> bool {
    tag.as_str().replacen('-', ":", 1).parse::<Digest>().is_ok()
}
