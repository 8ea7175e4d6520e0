//! The list of manifests, found out anew from the manifests themselves where its file is damaged or gone.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read as _;

use bytes::Bytes;
use serde::Deserialize;
use spec::{
    Algorithm, Descriptor, Digest, ImageId, Index, MAX_MANIFEST_SIZE, Manifest, Mentioned,
    from_go_json,
};

use crate::{Store, StoreError, files};

/// The depth to which indexes are followed in others, as a pull does.
const MAX_DEPTH: usize = 5;

/// Manifests, each with the image that it is of.
type Entries = Vec<(ImageId, Descriptor)>;

/// The part of a manifest that says what it refers to.
#[derive(Deserialize)]
struct Refers {
    subject: Option<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digest,
}

/// Lists the kept manifests of images that are here, and the indexes through which these are found: for each image the outermost
/// first. Then the parts: what else is here of these indexes, and what refers to any of it. What cosign names by a tag says nothing.
pub(super) fn find(store: &Store) -> Result<(Entries, Entries), StoreError> {
    let (mut found, mut indexes) = (Vec::new(), Vec::new());
    let mut images: HashMap<Digest, BTreeSet<ImageId>> = HashMap::new();
    let mut referring: HashMap<Digest, Vec<Descriptor>> = HashMap::new();
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        for name in files::names(&store.paths().blobs(algorithm))? {
            let Ok(digest) = format!("{}:{name}", algorithm.as_str()).parse::<Digest>() else {
                continue;
            };
            let Some(bytes) = document(store, &digest) else { continue };
            let size = bytes.len() as u64;
            if let Ok(Refers { subject: Some(subject) }) = from_go_json(&bytes)
                && let Ok(mentioned) = Mentioned::parse(&bytes)
            {
                let referrer = Descriptor::new(mentioned.media_type, digest.clone(), size);
                referring.entry(subject.digest).or_default().push(referrer);
            }
            let Ok(parsed) = Manifest::parse(None, &bytes) else { continue };
            let descriptor = Descriptor::new(parsed.media_type().clone(), digest.clone(), size);
            match parsed {
                Manifest::Index(index) => indexes.push((descriptor, index)),
                Manifest::Image(manifest) => {
                    let id = ImageId::new(manifest.config.digest.clone());
                    if files::exists(&store.paths().config(&id))? {
                        images.entry(digest).or_default().insert(id.clone());
                        found.push((id, descriptor));
                    }
                }
            }
        }
    }
    for _ in 0..MAX_DEPTH {
        let mut outer = Vec::new();
        for (descriptor, index) in &indexes {
            let children = index.manifests.iter().filter_map(|entry| images.get(&entry.digest));
            let ids: BTreeSet<ImageId> = children.flatten().cloned().collect();
            let known = images.entry(descriptor.digest.clone()).or_default();
            outer.extend(
                ids.into_iter()
                    .filter(|id| known.insert(id.clone()))
                    .map(|id| (id, descriptor.clone())),
            );
        }
        if outer.is_empty() {
            break;
        }
        found.splice(0..0, outer);
    }
    let indexes: HashMap<Digest, Index> =
        indexes.into_iter().map(|(descriptor, index)| (descriptor.digest, index)).collect();
    let search = Search { store, indexes: &indexes, referring: &referring, images: &images };
    let parts = search.parts(&found)?;
    Ok((found, parts))
}

/// A search for parts, when the images' own manifests are found.
struct Search<'a> {
    store: &'a Store,
    indexes: &'a HashMap<Digest, Index>,
    /// The referrers of manifests and indexes.
    referring: &'a HashMap<Digest, Vec<Descriptor>>,
    /// The images that manifests and indexes are of.
    images: &'a HashMap<Digest, BTreeSet<ImageId>>,
}

impl Search<'_> {
    fn parts(&self, found: &Entries) -> Result<Entries, StoreError> {
        let mut parts = Entries::new();
        let mut seen: HashSet<(ImageId, Digest)> = HashSet::new();
        let mut queue: Vec<(ImageId, Digest)> =
            found.iter().map(|(id, entry)| (id.clone(), entry.digest.clone())).collect();
        while let Some((id, digest)) = queue.pop() {
            let listed = self.indexes.get(&digest).map_or(&[][..], |index| &index.manifests);
            let referring = self.referring.get(&digest).map_or(&[][..], Vec::as_slice);
            for entry in listed.iter().chain(referring) {
                let part = (id.clone(), entry.digest.clone());
                if self.is_part(&id, entry)? && seen.insert(part.clone()) {
                    parts.push((id.clone(), entry.clone()));
                    queue.push(part);
                }
            }
        }
        Ok(parts)
    }

    /// Says whether an entry of an image's index is a part that is kept of it. The manifest of an image that is here by itself
    /// is one only if all is here that a part needs.
    fn is_part(&self, id: &ImageId, entry: &Descriptor) -> Result<bool, StoreError> {
        if self.store.blob(&entry.digest)?.is_none() {
            return Ok(false);
        }
        let Some(owners) = self.images.get(&entry.digest) else { return Ok(true) };
        if owners.contains(id) {
            return Ok(false);
        }
        let links = self.store.links(&entry.digest).ok().flatten();
        for blob in links.iter().flat_map(|links| links.iter()) {
            if self.store.blob(blob)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Reads a blob that may be a manifest; compressed layers are told by their first byte.
fn document(store: &Store, digest: &Digest) -> Option<Bytes> {
    let blob = store.blob(digest).ok().flatten().filter(|blob| blob.size <= MAX_MANIFEST_SIZE)?;
    let mut first = [0];
    files::sound(files::open(&blob.path))?.read_exact(&mut first).ok()?;
    if first != *b"{" && !first[0].is_ascii_whitespace() {
        return None;
    }
    files::sound(store.read_blob(digest, MAX_MANIFEST_SIZE))
}
