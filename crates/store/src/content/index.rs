//! The list of manifests: `index.json` of the layout.
//!
//! # Parts
//! A part is what is kept of an image's indexes beside the image itself: manifests of other platforms and of attestations, and indexes
//! within the index. It is a listed manifest of the image, so that what it mentions is kept as long as the image is. It is content: its
//! layers are blobs whatever the driver and the settings say, as nothing else of them is here.

use serde::{Deserialize, Serialize};
use spec::{Descriptor, Digest, ImageId, Reference, Tag};

/// The annotation with the image that a manifest is of. One manifest of several (an index) is listed once for each.
const IMAGE_ANNOTATION: &str = "dev.longshore.image.id";
/// The annotation of a part, beside the one with its image.
const PART_ANNOTATION: &str = "dev.longshore.image.part";
/// The annotation with the tags that were last pulled, loaded or made as this manifest or index of the image, separated by blanks.
const NAMES_ANNOTATION: &str = "dev.longshore.image.names";
/// The annotation of a part that refers to the image by a tag, as cosign's signatures do.
const TAG_ANNOTATION: &str = "dev.longshore.image.tag";
/// The annotation of an image's own manifest or index with what whoever pulled it found out of it: who vouches for its digest.
const FINDING_ANNOTATION: &str = "dev.longshore.image.finding";
/// All of them: of what others write, none is believed.
const OWN_ANNOTATIONS: [&str; 5] =
    [IMAGE_ANNOTATION, PART_ANNOTATION, NAMES_ANNOTATION, TAG_ANNOTATION, FINDING_ANNOTATION];
/// The most bytes of a finding: one on a signature has some three hundred, and names in it that somebody else made up.
const MAX_FINDING: usize = 8 << 10;
/// The most bytes that an index may say of a part for the list to say it, too: real ones say some three hundred, and a thousand
/// hostile ones must not make a list that is too long to be read.
const MAX_SAID: usize = 2 << 10;
const INDEX_MEDIA_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// `index.json` of the layout.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContentIndex {
    schema_version: u32,
    media_type: String,
    pub(super) manifests: Vec<Descriptor>,
}

impl ContentIndex {
    pub(super) fn of(manifests: Vec<Descriptor>) -> Self {
        Self { schema_version: 2, media_type: INDEX_MEDIA_TYPE.to_owned(), manifests }
    }

    pub(crate) fn manifests(&self) -> &[Descriptor] {
        &self.manifests
    }

    pub(crate) fn manifests_mut(&mut self) -> &mut Vec<Descriptor> {
        &mut self.manifests
    }

    /// Lists the entries of an image: its parts, or the others.
    pub(super) fn of_image(&self, id: &ImageId, parts: bool) -> Vec<Descriptor> {
        let id = id.to_string();
        let of_image = self.manifests.iter().filter(|entry| image_of(entry) == Some(&*id));
        of_image.filter(|entry| is_part(entry) == parts).map(descriptor).collect()
    }

    /// Lists the parts of an image that refer to it by a tag.
    pub(super) fn part_tags(&self, id: &ImageId) -> impl Iterator<Item = (&Digest, &str)> {
        let id = id.to_string();
        let own = self.manifests.iter().filter(move |entry| image_of(entry) == Some(&*id));
        own.filter_map(|entry| Some((&entry.digest, part_tag(entry)?)))
    }

    /// Lists the findings on an image's own entries.
    pub(super) fn findings(&self, id: &ImageId) -> impl Iterator<Item = (&Digest, &str)> {
        let id = id.to_string();
        let own = self.manifests.iter().filter(move |entry| image_of(entry) == Some(&*id));
        own.filter(|entry| !is_part(entry))
            .filter_map(|entry| Some((&entry.digest, entry.annotations.get(FINDING_ANNOTATION)?)))
            .map(|(digest, text)| (digest, text.as_str()))
    }

    /// Notes a finding on an entry of an image, if it is short enough. Says whether that changed anything.
    pub(super) fn note_finding(&mut self, id: &ImageId, digest: &Digest, text: &str) -> bool {
        let id = id.to_string();
        let mut own = self.manifests.iter_mut().filter(|entry| image_of(entry) == Some(&*id));
        let entry = own.find(|entry| entry.digest == *digest && !is_part(entry));
        let Some(entry) = entry.filter(|_| text.len() <= MAX_FINDING) else { return false };
        let before = entry.annotations.insert(FINDING_ANNOTATION.to_owned(), text.to_owned());
        before.as_deref() != Some(text)
    }

    /// Returns what a tag or digest of an image was pulled as: the digest of a manifest or an index of the image, if that is known.
    pub(super) fn root_of(&self, id: &ImageId, name: &Reference) -> Option<Digest> {
        let (id, text) = (id.to_string(), name.to_string());
        let is_root = |entry: &&Descriptor| match name.digest() {
            Some(digest) => entry.digest == *digest,
            None => names(entry).any(|known| known == text),
        };
        let mut own = self.manifests.iter().filter(|e| image_of(e) == Some(&*id) && !is_part(e));
        own.find(is_root).map(|entry| entry.digest.clone())
    }

    /// Notes as what tags of an image were pulled; those that the image has not got any more are forgotten. Says whether that changed
    /// anything.
    pub(super) fn name(
        &mut self,
        id: &ImageId,
        root: &Digest,
        tags: &[String],
        current: &[String],
    ) -> bool {
        let id = id.to_string();
        let mut changed = false;
        for entry in self.manifests.iter_mut().filter(|entry| image_of(entry) == Some(&*id)) {
            let is_root = entry.digest == *root;
            let known = names(entry).filter(|name| current.iter().any(|tag| tag == name));
            let known = known.filter(|name| !tags.iter().any(|tag| tag == name));
            let mut listed: Vec<&str> = known.collect();
            listed.extend(tags.iter().filter(|_| is_root).map(String::as_str));
            listed.sort_unstable();
            let listed = listed.join(" ");
            let before = entry.annotations.get(NAMES_ANNOTATION).map_or("", String::as_str);
            if before == listed {
                continue;
            }
            changed = true;
            if listed.is_empty() {
                entry.annotations.remove(NAMES_ANNOTATION);
            } else {
                entry.annotations.insert(NAMES_ANNOTATION.to_owned(), listed);
            }
        }
        changed
    }

    /// Adds an entry; says whether that changed anything. What is an image's own manifest is no part of it, and the tag of a part is
    /// that of no other.
    pub(super) fn add(&mut self, entry: Descriptor) -> bool {
        let tag = part_tag(&entry).map(str::to_owned);
        let mut changed = false;
        for other in self.manifests.iter_mut().filter(|_| tag.is_some()) {
            let is_same = image_of(other) == image_of(&entry) && part_tag(other) == tag.as_deref();
            if is_same && other.digest != entry.digest {
                other.annotations.remove(TAG_ANNOTATION);
                changed = true;
            }
        }
        let same = |other: &&mut Descriptor| {
            other.digest == entry.digest && image_of(other) == image_of(&entry)
        };
        match self.manifests.iter_mut().find(same) {
            Some(part) if is_part(part) && !is_part(&entry) => *part = entry,
            Some(part) if is_part(part) && tag.is_some() && part_tag(part) != tag.as_deref() => {
                *part = entry;
            }
            Some(_) => return changed,
            None => self.manifests.push(entry),
        }
        true
    }
}

impl Default for ContentIndex {
    fn default() -> Self {
        Self::of(Vec::new())
    }
}

pub(crate) fn image_of(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(IMAGE_ANNOTATION).map(String::as_str)
}

/// Says whether an entry is a part.
pub(crate) fn is_part(entry: &Descriptor) -> bool {
    entry.annotations.contains_key(PART_ANNOTATION)
}

fn part_tag(entry: &Descriptor) -> Option<&str> {
    entry.annotations.get(TAG_ANNOTATION).filter(|_| is_part(entry)).map(String::as_str)
}

fn names(entry: &Descriptor) -> impl Iterator<Item = &str> {
    entry.annotations.get(NAMES_ANNOTATION).into_iter().flat_map(|names| names.split(' '))
}

/// Makes the entry of a manifest of the image `id`. Whoever wrote the index does not say what is only said in the list.
pub(super) fn entry(id: &ImageId, manifest: &Descriptor) -> Descriptor {
    let mut entry = descriptor(manifest);
    entry.annotations.insert(IMAGE_ANNOTATION.to_owned(), id.to_string());
    entry
}

/// Makes the entry of a part of the image `id`, which may refer to it by a tag.
pub(super) fn part_entry(id: &ImageId, part: &Descriptor, tag: Option<&Tag>) -> Descriptor {
    let mut entry = entry(id, &brief(part));
    entry.annotations.insert(PART_ANNOTATION.to_owned(), "true".to_owned());
    if let Some(tag) = tag {
        entry.annotations.insert(TAG_ANNOTATION.to_owned(), tag.to_string());
    }
    entry
}

fn brief(part: &Descriptor) -> Descriptor {
    let brief = Descriptor { urls: Vec::new(), ..part.clone() };
    match serde_json::to_vec(&brief) {
        Ok(said) if said.len() <= MAX_SAID => brief,
        _ => Descriptor::new("".into(), part.digest.clone(), part.size),
    }
}

/// Makes the descriptor of an entry, without what is only said in the list.
pub(super) fn descriptor(entry: &Descriptor) -> Descriptor {
    let mut descriptor = entry.clone();
    for own in OWN_ANNOTATIONS {
        descriptor.annotations.remove(own);
    }
    descriptor
}
