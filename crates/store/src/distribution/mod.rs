//! Sources of layers: the repositories that have a layer, under which digest, seen with which credentials.
//!
//! A push looks here for a blob that the registry may have already. An entry carries an HMAC keyed by the credentials that
//! it was made with, so that entries made with the same ones can be told without keeping them. The files are advice:
//! one that is missing or damaged costs an upload.

mod key;
mod uploads;

pub use self::uploads::UploadNote;

use std::path::{Path, PathBuf};

use hmac::{KeyInit, Mac, SimpleHmac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use spec::{DiffId, Digest, Repository};

use crate::disk::Disk;
use crate::{Store, StoreError, files};

/// The most entries that a layer has; the oldest goes first, as in dockerd.
const MAX_SOURCES: usize = 50;
/// Bound of a file of [`MAX_SOURCES`] entries; each has two hashes and a name of at most 255 characters.
const MAX_FILE: u64 = 256 << 10;

/// A repository that has a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The compressed layer's digest there.
    pub digest: Digest,
    /// The repository that has it.
    pub repository: Repository,
    /// Tells which credentials it was seen with.
    pub hmac: Hmac,
}

/// The HMAC of a [`Source`] in hex; empty if it was made without a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hmac(String);

/// A stand-in for credentials in a [`Source`].
#[derive(Clone, PartialEq, Eq)]
pub struct HmacKey(String);

/// The credentials that a key is made of, as the client sent them; empty where it sent nothing.
///
/// A client that sends no credentials at all still has a key, as in dockerd.
#[derive(Clone, Copy, Default, Serialize)]
pub struct Credentials<'a> {
    /// User name.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub username: &'a str,
    /// The password, as it was sent.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub password: &'a str,
    /// Name and password in base 64.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub auth: &'a str,
    /// Token of an identity provider.
    #[serde(rename = "identitytoken", skip_serializing_if = "str::is_empty")]
    pub identity_token: &'a str,
    /// Token for the registry.
    #[serde(rename = "registrytoken", skip_serializing_if = "str::is_empty")]
    pub registry_token: &'a str,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    #[serde(rename = "Digest")]
    digest: String,
    #[serde(rename = "SourceRepository")]
    repository: String,
    #[serde(rename = "HMAC", default)]
    hmac: String,
}

impl std::fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HmacKey(..)")
    }
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(..)")
    }
}

impl HmacKey {
    /// Makes the key that dockerd makes of the same credentials: the digest of their JSON.
    pub fn new(credentials: &Credentials<'_>) -> Self {
        // Strings only: this cannot fail.
        let json = spec::to_go_json(credentials).unwrap_or_default();
        Self(Digest::sha256(json.as_bytes()).to_string())
    }

    /// Signs that `digest` is in `repository`.
    pub fn sign(&self, digest: &Digest, repository: &Repository) -> Hmac {
        Hmac(files::hex(&self.mac(digest, repository).finalize().into_bytes()))
    }

    /// Says whether `source` was signed with this key.
    pub fn signed(&self, source: &Source) -> bool {
        // Compared in constant time, although the file is ours: nobody need think about it.
        let Some(bytes) = unhex(&source.hmac.0) else { return false };
        self.mac(&source.digest, &source.repository).verify_slice(&bytes).is_ok()
    }

    fn mac(&self, digest: &Digest, repository: &Repository) -> SimpleHmac<Sha256> {
        let mut mac = SimpleHmac::<Sha256>::new_from_slice(self.0.as_bytes())
            .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
        mac.update(digest.to_string().as_bytes());
        mac.update(repository.to_string().as_bytes());
        mac
    }
}

impl Store {
    /// Returns the diff ID of a compressed layer that was seen before.
    pub fn diff_id_of(&self, blob: &Digest) -> Result<Option<DiffId>, StoreError> {
        let text = files::read_note(&self.paths().diff_id_of(blob));
        Ok(text.and_then(|text| text.parse().ok()))
    }

    /// Returns the repositories that have a layer, the one seen last at the end.
    pub fn sources_of(&self, diff_id: &DiffId) -> Result<Vec<Source>, StoreError> {
        let bytes = read(&self.paths().sources_of(diff_id));
        Ok(records(bytes.as_deref()).iter().filter_map(Record::parse).collect())
    }

    /// Returns the files to write so that `sources` of one layer are known.
    pub(crate) fn source_notes(&self, diff_id: &DiffId, sources: &[Source]) -> Vec<Note> {
        let mut notes = Vec::new();
        let target = self.paths().sources_of(diff_id);
        let before = read(&target);
        let mut records = records(before.as_deref());
        for source in sources {
            let record = Record::of(source);
            records.retain(|other| *other != record);
            records.push(record);
            let target = self.paths().diff_id_of(&source.digest);
            let before = read(&target);
            notes.push(Note { target, before, bytes: diff_id.to_string().into_bytes() });
        }
        let excess = records.len().saturating_sub(MAX_SOURCES);
        notes.push(Note { target, before, bytes: print(&records[excess..]) });
        notes.retain(|note| note.before.as_deref() != Some(&*note.bytes));
        notes
    }
}

/// A file to be written.
#[derive(Debug)]
pub(crate) struct Note {
    pub(crate) target: PathBuf,
    /// The content of the file when `bytes` were made.
    pub(crate) before: Option<Vec<u8>>,
    pub(crate) bytes: Vec<u8>,
}

impl Note {
    /// Creates the directories that the file is in, with dockerd's modes.
    pub(crate) fn make_directory(&self, disk: &Disk) -> Result<(), StoreError> {
        // distribution/<kind>/<algorithm>/<hash>
        let directories: Vec<&Path> = self.target.ancestors().skip(1).take(3).collect();
        for (directory, mode) in directories.into_iter().rev().zip([0o700, 0o755, 0o755]) {
            disk.make_dir_anew(directory, mode)?;
        }
        Ok(())
    }

    /// Moves the file, which is written at `from`, to where it belongs.
    pub(crate) fn publish(&self, disk: &Disk, from: &Path, attic: &Path) -> Result<(), StoreError> {
        self.make_directory(disk)?;
        disk.make_way(&self.target, attic)?;
        disk.rename(from, &self.target)
    }

    /// Says whether nobody changed the file since the note was made.
    pub(crate) fn is_current(&self) -> bool {
        read(&self.target) == self.before
    }
}

impl Record {
    fn of(source: &Source) -> Self {
        Self {
            digest: source.digest.to_string(),
            repository: source.repository.to_string(),
            hmac: source.hmac.0.clone(),
        }
    }

    fn parse(&self) -> Option<Source> {
        Some(Source {
            digest: self.digest.parse().ok()?,
            repository: Repository::parse_familiar(&self.repository).ok()?,
            hmac: Hmac(self.hmac.clone()),
        })
    }
}

/// Finds out whether a note of a blob's layer can be used.
pub(crate) fn look_at_diff_id(path: &Path) -> Result<(), StoreError> {
    let text = files::read_text(path)?.unwrap_or_default();
    text.parse::<DiffId>().map(drop).map_err(|error| StoreError::damaged(path, error))
}

/// Finds out whether a note of where a layer came from can be used.
pub(crate) fn look_at_sources(path: &Path) -> Result<(), StoreError> {
    let bytes = files::read(path, MAX_FILE)?.unwrap_or_default();
    let records = serde_json::from_slice::<Option<Vec<Record>>>(&bytes);
    records.map(drop).map_err(|error| StoreError::damaged(path, error))
}

/// Reads advice: one that cannot be read is none.
fn read(path: &Path) -> Option<Vec<u8>> {
    files::sound(files::read(path, MAX_FILE))
}

fn records(bytes: Option<&[u8]>) -> Vec<Record> {
    bytes.and_then(|bytes| spec::from_go_json(bytes).ok()).unwrap_or_default()
}

fn print(records: &[Record]) -> Vec<u8> {
    serde_json::to_vec(records).unwrap_or_default()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> =
        text.chars().map(|digit| digit.to_digit(16).and_then(|d| u8::try_from(d).ok())).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Commit;
    use crate::tests::Root;

    fn source(text: &str, repository: &str) -> Source {
        let digest = Digest::sha256(text.as_bytes());
        let repository = Repository::parse_familiar(repository).unwrap();
        let hmac = HmacKey::new(&Credentials::default()).sign(&digest, &repository);
        Source { digest, repository, hmac }
    }

    /// Does what a push does that has sent a layer.
    fn note(store: &Store, diff_id: &DiffId, source: Source) {
        let sources = vec![(diff_id.clone(), source)];
        let commit = Commit { sources, ..Commit::default() };
        store.commit(&store.lease().unwrap(), commit).unwrap();
    }

    #[test]
    fn signs_as_dockerd_does() {
        // Recorded from dockerd 20.10: `docker push` without credentials.
        let recorded = r#"[{"Digest":"sha256:a6534610e1d862d9d3529167c2bee06eaca0f33aaec0efa34fb062a71faafc51","SourceRepository":"127.0.0.1:5977/me/x","HMAC":"e8907a5e5c90b08c0d984db306a6d5756c7ed030b91b018f190066f813c5c1f6"}]"#;
        let records = records(Some(recorded.as_bytes()));
        assert_eq!(String::from_utf8(print(&records)).unwrap(), recorded);
        let source = records[0].parse().unwrap();
        let anonymous = HmacKey::new(&Credentials::default());
        assert_eq!(anonymous.sign(&source.digest, &source.repository), source.hmac);
        assert!(anonymous.signed(&source));

        let named = HmacKey::new(&Credentials {
            username: "a<b>&",
            identity_token: "i",
            registry_token: "r",
            ..Credentials::default()
        });
        let json =
            br#"{"username":"a\u003cb\u003e\u0026","identitytoken":"i","registrytoken":"r"}"#;
        assert_eq!(named.0, Digest::sha256(json).to_string());
        assert!(!named.signed(&source));
        for hmac in ["", "zz", "e8907", &source.hmac.0[2..]] {
            assert!(!anonymous.signed(&Source { hmac: Hmac(hmac.to_owned()), ..source.clone() }));
        }
        assert!(!format!("{named:?}").contains('<'));
    }

    #[test]
    fn keeps_the_last_fifty() {
        let root = Root::packed();
        let diff_id = DiffId::new(Digest::sha256(b"tar"));
        for number in 0..60 {
            note(&root.store, &diff_id, source("blob", &format!("r/{number}")));
        }
        note(&root.store, &diff_id, source("blob", "r/20"));
        let sources = root.store.sources_of(&diff_id).unwrap();
        assert_eq!(sources.len(), 50);
        assert_eq!(sources[0], source("blob", "r/10"));
        assert_eq!(sources[49], source("blob", "r/20"));
        assert_eq!(root.store.diff_id_of(&sources[0].digest).unwrap(), Some(diff_id));
    }

    #[test]
    fn damaged_advice_is_no_advice() {
        let root = Root::packed();
        let diff_id = DiffId::new(Digest::sha256(b"tar"));
        let source = source("blob", "r/1");
        note(&root.store, &diff_id, source.clone());
        let (sources, diff_ids) = (
            root.store.paths().sources_of(&diff_id),
            root.store.paths().diff_id_of(&source.digest),
        );
        let make: [fn(&Path); 4] = [
            |path| std::fs::write(path, "[{").unwrap(),
            |path| std::fs::write(path, "sha256:../..").unwrap(),
            |path| std::fs::write(path, [0xff, 0]).unwrap(),
            |path| std::fs::create_dir_all(path.join("full")).unwrap(),
        ];
        let sources_before = [source.clone()];
        for make in make {
            for path in [&sources, &diff_ids] {
                std::fs::remove_file(path).unwrap();
                make(path);
            }
            assert!(root.store.sources_of(&diff_id).unwrap().is_empty());
            assert_eq!(root.store.diff_id_of(&source.digest).unwrap(), None);
            note(&root.store, &diff_id, source.clone());
            assert_eq!(root.store.sources_of(&diff_id).unwrap(), sources_before);
        }
    }
}
