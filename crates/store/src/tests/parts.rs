//! Parts: manifests of other platforms and of attestations, kept beside an image with all that they mention.

use std::fs;

use serde_json::{Value, json};
use spec::{Descriptor, Digest, Platform};

use super::support::{Root, Sample, assert_sound, drivers};
use crate::{
    Commit, Committed, DriverKind, Lease, NewPart, Store, StoreError, StoreOptions, VerifiedBlob,
    Want, files,
};

/// An image, and an index that has another one beside it, with what attests the first.
pub(crate) struct Family {
    pub(crate) own: Sample,
    pub(crate) other: Sample,
}

const ATTESTED: &[u8] = b"{\"predicate\":1}";
const NOTHING: &[u8] = b"{}";

fn described(kind: &str, bytes: &[u8]) -> Descriptor {
    Descriptor::new(kind.into(), Digest::sha256(bytes), bytes.len() as u64)
}

impl Family {
    pub(crate) fn new(name: &str, own: &[&str], other: &[&str]) -> Self {
        Self { own: Sample::new(name, own), other: Sample::new(name, other) }
    }

    fn attestation() -> Vec<u8> {
        let manifest: Value = json!({
            "schemaVersion": 2,
            "config": described("application/vnd.oci.image.config.v1+json", NOTHING),
            "layers": [described("application/vnd.in-toto+json", ATTESTED)],
        });
        serde_json::to_vec(&manifest).unwrap()
    }

    fn manifest(bytes: &[u8], platform: &str) -> Descriptor {
        let mut manifest = described("application/vnd.oci.image.manifest.v1+json", bytes);
        let (os, architecture) = platform.split_once('/').unwrap();
        manifest.platform = Some(Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            ..Platform::default()
        });
        manifest
    }

    pub(crate) fn parts(&self) -> Vec<Descriptor> {
        let mut attestation = Self::manifest(&Self::attestation(), "unknown/unknown");
        let kind = "attestation-manifest".to_owned();
        attestation.annotations.insert("vnd.docker.reference.type".to_owned(), kind);
        vec![Self::manifest(&self.other.manifest(), "linux/arm64"), attestation]
    }

    pub(crate) fn index(&self) -> Vec<u8> {
        let mut manifests = vec![Self::manifest(&self.own.manifest(), "linux/amd64")];
        manifests.extend(self.parts());
        serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": manifests,
        }))
        .unwrap()
    }

    /// Contents of the blobs that are kept for the parts alone.
    fn blobs(&self) -> Vec<Vec<u8>> {
        let words = self.other.words.iter().map(|word| word.clone().into_bytes());
        let documents = [self.other.config(), self.other.manifest(), Self::attestation()];
        words.chain(documents).chain([ATTESTED, NOTHING].map(<[u8]>::to_vec)).collect()
    }

    pub(crate) fn prepare(&self, store: &Store, lease: &Lease) -> Result<Commit, StoreError> {
        let mut commit = self.own.prepare(store, lease)?;
        let index = self.index();
        let image = commit.image.as_mut().unwrap();
        image.manifests.insert(0, described("application/vnd.oci.image.index.v1+json", &index));
        image.parts = self.parts().into_iter().map(NewPart::from).collect();
        for bytes in self.blobs() {
            let digest = Digest::sha256(&bytes);
            lease.hold_blob(&digest)?;
            if store.blob(&digest)?.is_some() {
                continue;
            }
            // Documents are in memory, as in a pull.
            if bytes.starts_with(b"{") {
                commit.blobs.push(VerifiedBlob::of_bytes(bytes.into()));
                continue;
            }
            let ingest = store.ingest(lease, &digest, bytes.len() as u64)?;
            if let Some(missing) = ingest.missing().first() {
                let start = usize::try_from(missing.start).unwrap();
                ingest.writer(missing.clone())?.write(&bytes[start..])?;
            }
            commit.blobs.push(ingest.verify()?);
        }
        commit.blobs.push(VerifiedBlob::of_bytes(index.into()));
        Ok(commit)
    }

    pub(crate) fn pull(&self, store: &Store) -> Result<Committed, StoreError> {
        let lease = store.lease()?;
        let commit = self.prepare(store, &lease)?;
        store.commit(&lease, commit)
    }

    /// Says whether all of it is here.
    pub(crate) fn is_whole(&self, store: &Store) {
        assert_eq!(store.parts_of(&self.own.id()).unwrap(), self.parts());
        for bytes in self.blobs() {
            let digest = Digest::sha256(&bytes);
            assert_eq!(store.read_blob(&digest, 1 << 20).unwrap().unwrap(), bytes);
        }
    }
}

fn family() -> Family {
    Family::new("app:1", &["a", "bb"], &["ccc", "dddd"])
}

fn problems(store: &Store) -> Vec<String> {
    store.check().unwrap().findings.iter().map(ToString::to_string).collect()
}

#[test]
fn parts_come_and_go_with_their_image() {
    for driver in drivers() {
        let root = Root::new(driver);
        let store = &root.store;
        let family = family();
        family.pull(store).unwrap();
        family.is_whole(store);
        let own = store.manifests_of(&family.own.id()).unwrap();
        let digests: Vec<_> = own.iter().map(|manifest| &manifest.digest).collect();
        let expected = [family.index(), family.own.manifest()].map(|bytes| Digest::sha256(&bytes));
        assert_eq!(digests, expected.iter().collect::<Vec<_>>());
        assert_eq!(store.layers_of(&family.own.id()).unwrap().unwrap().len(), 2);
        assert_eq!(problems(store), [""; 0]);
        assert_sound(&root.reopen());

        family.own.untag(store);
        store.remove_image(&family.own.id()).unwrap();
        assert!(files::names(&store.paths().content().join("blobs/sha256")).unwrap().is_empty());
    }
}

/// A store that keeps no blobs of unpacked layers, and the directory that it is in; `None` where layers cannot be unpacked.
fn without_blobs() -> Option<(tempfile::TempDir, Store)> {
    if !drivers().contains(&DriverKind::Overlay2) {
        return None;
    }
    let directory = tempfile::tempdir().unwrap();
    let root = directory.path().join("root");
    let driver = Some(DriverKind::Overlay2);
    let store = Store::open(StoreOptions { root, driver, keep_blobs: false }).unwrap();
    Some((directory, store))
}

#[test]
fn what_parts_need_stays_also_where_the_blobs_of_layers_go() {
    let Some((_directory, store)) = without_blobs() else { return };
    // A layer of both is kept for the part.
    let family = Family::new("app:1", &["a", "bb"], &["bb", "ccc"]);
    family.pull(&store).unwrap();
    family.is_whole(&store);
    assert_eq!(store.blob(&family.own.blob(0)).unwrap(), None);
    assert_eq!(problems(&store), [""; 0]);
}

/// Two pulls at once share their downloads.
#[test]
fn what_one_image_does_without_is_there_for_one_that_needs_it() {
    let Some((_directory, store)) = without_blobs() else { return };
    let family = family();
    let [first, second] = [(); 2].map(|()| store.lease().unwrap());
    let whole = family.prepare(&store, &second).unwrap();
    let mut alone = family.other.prepare(&store, &first).unwrap();
    for blob in &mut alone.blobs {
        if let Some(shared) = whole.blobs.iter().find(|shared| shared.digest() == blob.digest()) {
            *blob = shared.clone();
        }
    }
    store.commit(&first, alone).unwrap();
    store.commit(&second, whole).unwrap();
    drop((first, second));
    family.is_whole(&store);
    assert_eq!(problems(&store), [""; 0]);
}

#[test]
fn a_part_without_its_content_is_not_published() {
    for missing in 0..6 {
        let root = Root::packed();
        let store = &root.store;
        let family = family();
        let lease = store.lease().unwrap();
        let mut commit = family.prepare(store, &lease).unwrap();
        let digest = Digest::sha256(&family.blobs()[missing]);
        commit.blobs.retain(|blob| *blob.digest() != digest);
        match store.commit(&lease, commit) {
            Err(StoreError::NoBlob(told)) => assert_eq!(told, digest),
            other => panic!("{missing}: {other:?}"),
        }
        drop(lease);
        assert_sound(store);
        assert!(files::names(&store.paths().content().join("blobs/sha256")).unwrap().is_empty());
    }
}

#[test]
fn what_is_lost_of_a_part_is_wanted_again() {
    for driver in drivers() {
        let family = family();
        for (bytes, problem) in [
            (family.other.words[0].clone().into_bytes(), "it is gone"),
            (family.other.config(), "it is gone"),
            (ATTESTED.to_vec(), "it is gone"),
            (family.other.manifest(), "it is listed and gone"),
            (Family::attestation(), "it is listed and gone"),
            (family.index(), "it is listed and gone"),
        ] {
            let root = Root::new(driver);
            family.pull(&root.store).unwrap();
            let digest = Digest::sha256(&bytes);
            fs::remove_file(root.store.paths().blob(&digest)).unwrap();
            let store = root.reopen();
            let findings = store.check().unwrap().findings;
            // Nothing that the part alone mentions is called stray.
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert_eq!(findings[0].problem, problem);
            assert_eq!(findings[0].want(), Some(&Want::Blob(digest)));
            store.replace_blob(&VerifiedBlob::of_bytes(bytes.into())).unwrap();
            assert_eq!(problems(&store), [""; 0]);
            family.is_whole(&store);
        }
    }
}

#[test]
fn parts_are_found_again_without_their_list() {
    for driver in drivers() {
        let root = Root::new(driver);
        let family = family();
        family.pull(&root.store).unwrap();
        // The image of the other platform is here by itself, too.
        let alone = Sample::new("alone:1", &["ccc", "dddd"]);
        alone.pull(&root.store).unwrap();
        fs::remove_file(root.store.paths().content_index()).unwrap();
        let store = root.reopen();
        family.is_whole(&store);
        assert_eq!(store.manifests_of(&family.own.id()).unwrap().len(), 2);
        assert_eq!(problems(&store), [""; 0]);
        assert_sound(&store);
    }
}

#[test]
fn a_part_is_removed_alone_and_what_others_use_stays() {
    for driver in drivers() {
        let root = Root::new(driver);
        let store = &root.store;
        let family = Family::new("app:1", &["a", "bb"], &["bb", "ccc"]);
        family.pull(store).unwrap();
        let id = family.own.id();
        let other = family.parts()[0].digest.clone();
        // What is the image itself is no part of it.
        let own = Digest::sha256(&family.own.manifest());
        store.remove_parts(&id, &[other.clone(), own.clone(), Digest::sha256(b"none")]).unwrap();
        assert_eq!(store.parts_of(&id).unwrap(), family.parts()[1..]);
        for gone in [&other, &family.other.blob(1), family.other.id().digest()] {
            assert_eq!(store.blob(gone).unwrap(), None);
        }
        assert!(store.blob(&family.other.blob(0)).unwrap().is_some(), "a layer of the image");
        assert_eq!(problems(store), [""; 0]);
        assert_sound(store);
        // A second pull brings it back.
        family.pull(store).unwrap();
        let parts = store.parts_of(&id).unwrap();
        assert_eq!(parts.len(), 2);
        assert!(parts.iter().any(|part| part.digest == other));
    }
}

#[test]
fn a_manifest_that_becomes_the_images_own_is_no_part_any_more() {
    let root = Root::packed();
    let store = &root.store;
    let sample = Sample::new("app:1", &["a"]);
    let lease = store.lease().unwrap();
    let mut commit = sample.prepare(store, &lease).unwrap();
    let image = commit.image.as_mut().unwrap();
    image.parts = image.manifests.drain(..).map(NewPart::from).collect();
    store.commit(&lease, commit).unwrap();
    assert_eq!(store.manifests_of(&sample.id()).unwrap(), []);
    assert_eq!(store.parts_of(&sample.id()).unwrap().len(), 1);
    sample.pull(store).unwrap();
    assert_eq!(store.manifests_of(&sample.id()).unwrap().len(), 1);
    assert_eq!(store.parts_of(&sample.id()).unwrap(), []);
}

/// cosign's tag moves to a new manifest with each signature: only the last one refers to the image.
#[test]
fn the_tag_of_a_part_is_that_of_no_other() {
    let root = Root::packed();
    let store = &root.store;
    let sample = Sample::new("app:1", &["a"]);
    sample.pull(store).unwrap();
    let part = |bytes: &[u8], tag: &str| NewPart {
        descriptor: described("application/vnd.oci.image.index.v1+json", bytes),
        tag: Some(tag.parse().unwrap()),
    };
    let keep = |bytes: &[u8], tag: &str| {
        let lease = store.lease().unwrap();
        let mut commit = sample.prepare(store, &lease).unwrap();
        commit.image.as_mut().unwrap().parts = vec![part(bytes, tag)];
        commit.blobs.push(VerifiedBlob::of_bytes(bytes.to_vec().into()));
        store.commit(&lease, commit).unwrap();
    };
    for (bytes, tag) in
        [(&b"{}"[..], "x.sig"), (b"{} ", "x.att"), (b" {}", "x.sig"), (b"{}", "x.sig")]
    {
        keep(bytes, tag);
        assert_eq!(store.part_tags(&sample.id()).unwrap()[&Digest::sha256(bytes)], tag);
    }
    let parts = store.parts_of(&sample.id()).unwrap();
    assert_eq!(parts.len(), 3);
    assert!(parts.iter().all(|part| part.annotations.is_empty()));
    assert_eq!(store.part_tags(&sample.id()).unwrap().len(), 2);
    assert_sound(store);
}

/// Referrers of an image, and theirs, are found by their subjects.
#[test]
fn a_lost_list_is_found_out_with_what_refers_to_an_image() {
    for driver in drivers() {
        let root = Root::new(driver);
        let family = family();
        let referrer = |subject: &[u8]| {
            let nothing = described("application/vnd.oci.empty.v1+json", NOTHING);
            serde_json::to_vec(&json!({
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": nothing,
                "layers": [nothing],
                "subject": described("application/vnd.oci.image.manifest.v1+json", subject),
            }))
            .unwrap()
        };
        let first = referrer(&family.own.manifest());
        let (second, other) = (referrer(&first), referrer(b"something else"));
        let lease = root.store.lease().unwrap();
        let mut commit = family.prepare(&root.store, &lease).unwrap();
        let image = commit.image.as_mut().unwrap();
        for bytes in [&first, &second] {
            let part = described("application/vnd.oci.image.manifest.v1+json", bytes);
            image.parts.push(part.into());
            commit.blobs.push(VerifiedBlob::of_bytes(bytes.clone().into()));
        }
        root.store.commit(&lease, commit).unwrap();
        drop(lease);
        let before = root.store.parts_of(&family.own.id()).unwrap();
        fs::remove_file(root.store.paths().content_index()).unwrap();
        let stray = root.store.paths().blob(&Digest::sha256(&other));
        fs::write(&stray, &other).unwrap();
        let store = root.reopen();
        let found = store.parts_of(&family.own.id()).unwrap();
        assert_eq!(found.len(), before.len());
        assert!(found.iter().all(|part| before.contains(part)), "{found:?}");
        fs::remove_file(stray).unwrap();
        assert_sound(&store);
    }
}

/// The annotations that only the list of manifests has.
const OWN: [&str; 5] = [
    "dev.longshore.image.finding",
    "dev.longshore.image.part",
    "dev.longshore.image.id",
    "dev.longshore.image.names",
    "dev.longshore.image.tag",
];

#[test]
fn an_index_cannot_say_what_is_listed_nor_make_the_list_too_long() {
    let root = Root::packed();
    let store = &root.store;
    let sample = Sample::new("app:1", &["a"]);
    let lease = store.lease().unwrap();
    let mut commit = sample.prepare(store, &lease).unwrap();
    let image = commit.image.as_mut().unwrap();
    let manifest = &mut image.manifests[0];
    for name in OWN {
        manifest.annotations.insert(name.to_owned(), "x".to_owned());
    }
    let index = described("application/vnd.oci.image.index.v1+json", b"{}");
    let mut other = described("application/vnd.oci.image.index.v1+json", b"{} ");
    for name in OWN {
        other.annotations.insert(name.to_owned(), "x.sig".to_owned());
    }
    let mut long = index.clone();
    long.annotations.insert("x".to_owned(), "x".repeat(1 << 20));
    image.parts = vec![long.into(), other.into()];
    for bytes in [&b"{}"[..], b"{} "] {
        commit.blobs.push(VerifiedBlob::of_bytes(bytes.to_vec().into()));
    }
    store.commit(&lease, commit).unwrap();
    let own = store.manifests_of(&sample.id()).unwrap();
    assert_eq!(own.len(), 1);
    assert!(own[0].annotations.is_empty());
    let parts = store.parts_of(&sample.id()).unwrap();
    assert_eq!(parts.len(), 2);
    assert_eq!(parts[0], Descriptor::new("".into(), index.digest, 2));
    assert!(parts[1].annotations.is_empty());
    assert!(store.part_tags(&sample.id()).unwrap().is_empty());
}

#[test]
fn a_tag_means_what_it_was_last_pulled_as() {
    let root = Root::packed();
    let store = &root.store;
    let (family, alone) = (family(), Sample::new("alone:1", &["a", "bb"]));
    family.pull(store).unwrap();
    alone.pull(store).unwrap();
    let id = family.own.id();
    let digests = [family.index(), family.own.manifest()].map(|bytes| Digest::sha256(&bytes));
    let root_of = |name: &str| store.root_of(&id, &name.parse_reference()).unwrap();
    assert_eq!(root_of("app:1").as_ref(), Some(&digests[0]));
    assert_eq!(root_of("alone:1").as_ref(), Some(&digests[1]));
    assert_eq!(root_of(&format!("x@{}", digests[0])).as_ref(), Some(&digests[0]));
    assert_eq!(root_of("none:1"), None);
    // A name of another image's, and one that moves.
    store.update_references(|all| all.set(&"b:1".parse_reference(), &id)).unwrap();
    store.note_root(&id, &digests[1], &"b:1".parse_reference()).unwrap();
    store.note_root(&id, &digests[1], &"app:1".parse_reference()).unwrap();
    assert_eq!(root_of("app:1").as_ref(), Some(&digests[1]));
    // What the image has lost is forgotten.
    store.remove_references(|all| Ok(all.remove(&"b:1".parse_reference()))).unwrap();
    store.note_root(&id, &digests[0], &"app:1".parse_reference()).unwrap();
    assert_eq!((root_of("b:1"), root_of("app:1").as_ref()), (None, Some(&digests[0])));
    assert!(store.manifests_of(&id).unwrap().iter().all(|entry| entry.annotations.is_empty()));
    assert_sound(store);
}

#[test]
fn a_finding_stays_with_its_manifest_and_goes_with_the_image() {
    let root = Root::packed();
    let store = &root.store;
    let (family, other) = (family(), Sample::new("other:1", &["c"]));
    other.pull(store).unwrap();
    let [index, own, foreign] = [family.index(), family.own.manifest(), family.other.manifest()]
        .map(|bytes| Digest::sha256(&bytes));
    let id = family.own.id();
    let pull = |findings: &[(&Digest, &str)]| {
        let lease = store.lease().unwrap();
        let mut commit = family.prepare(store, &lease).unwrap();
        let owned =
            findings.iter().map(|(digest, text)| (Digest::clone(digest), (*text).to_owned()));
        commit.findings = owned.collect();
        store.commit(&lease, commit).unwrap();
        store.findings_of(&id).unwrap()
    };
    assert_eq!(pull(&[]), []);
    // What is no manifest of the image's own has none, nor is one kept that is too long.
    let long = "x".repeat(1 << 20);
    let found =
        pull(&[(&index, "a"), (&foreign, "b"), (&other.id().digest().clone(), "c"), (&own, &long)]);
    assert_eq!(found, [(index.clone(), "a".to_owned())]);
    // A pull that asks nobody takes nothing away.
    assert_eq!(pull(&[]), found);
    assert_eq!(pull(&[(&index, "d")]), [(index, "d".to_owned())]);
    assert_eq!(store.findings_of(&other.id()).unwrap(), []);
    assert!(store.manifests_of(&id).unwrap().iter().all(|entry| entry.annotations.is_empty()));
    assert_sound(store);
}

trait ParseReference {
    fn parse_reference(&self) -> spec::Reference;
}

impl ParseReference for str {
    fn parse_reference(&self) -> spec::Reference {
        spec::Reference::parse_familiar(self).unwrap()
    }
}
