//! A server in memory, and the keys of a repository, by which tests make its documents, good ones and others.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};

use crate::metadata::{
    Delegation, Delegations, Document, FileMeta, Keys, Listing, Root, Signature, Signed, Targets,
};
use crate::{
    Answer, Bytes, Cache, Passphrases, PrivateKey, PublicKey, Question, Repository, Role, Server,
    TrustError, update,
};

pub(super) const NAME: &str = "r.example:5000/me/app";

/// Answers every question with the same.
#[derive(Clone, Copy, Debug)]
pub(super) struct Always(pub(super) &'static str);

impl Passphrases for Always {
    async fn passphrase(&self, question: Question<'_>) -> Option<Answer> {
        (question.attempt == 0).then(|| Answer::Passphrase(self.0.to_owned()))
    }
}

/// Documents by their names, and what was asked for.
#[derive(Debug, Default)]
pub(super) struct Memory {
    pub(super) files: Mutex<BTreeMap<String, Vec<u8>>>,
    pub(super) keys: Mutex<BTreeMap<Role, Vec<u8>>>,
    pub(super) asked: Mutex<Vec<String>>,
    pub(super) taken: Mutex<Vec<(Role, Vec<u8>)>>,
    /// True if it cannot be reached.
    pub(super) down: Mutex<bool>,
}

impl Memory {
    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        self.files.lock().unwrap().insert(name.to_owned(), bytes.to_vec());
    }

    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        self.files.lock().unwrap()[name].clone()
    }

    /// Returns the one document whose name begins so, with its name.
    pub(super) fn hashed(&self, role: &str) -> (String, Vec<u8>) {
        let files = self.files.lock().unwrap();
        let prefix = format!("{role}.");
        let found = files.iter().rfind(|(name, _)| name.starts_with(&prefix)).unwrap();
        (found.0.clone(), found.1.clone())
    }

    pub(super) fn forget(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }
}

impl Server for Memory {
    fn location(&self) -> &'static str {
        "n.example:4443"
    }

    async fn read(&self, name: &str, most: u64) -> Result<Vec<u8>, TrustError> {
        if *self.down.lock().unwrap() {
            return Err(TrustError::Network("dial tcp: connection refused".to_owned()));
        }
        self.asked.lock().unwrap().push(name.to_owned());
        match self.files.lock().unwrap().get(name) {
            Some(bytes) if bytes.len() as u64 > most => Err(TrustError::Malicious),
            Some(bytes) => Ok(bytes.clone()),
            None => Err(TrustError::NotFound(name.to_owned())),
        }
    }

    async fn key(&self, role: &Role) -> Result<Vec<u8>, TrustError> {
        Ok(self.keys.lock().unwrap()[role].clone())
    }

    async fn publish(&self, files: &[(Role, Vec<u8>)]) -> Result<(), TrustError> {
        self.taken.lock().unwrap().extend_from_slice(files);
        Ok(())
    }
}

/// The keys of a delegation, and the tags that it signs.
pub(super) struct Signer {
    pub(super) role: Role,
    pub(super) key: Arc<PrivateKey>,
    pub(super) paths: Vec<String>,
    pub(super) tags: Vec<(&'static str, u8)>,
    pub(super) threshold: i64,
}

/// A repository as its owner sees it.
pub(super) struct World {
    pub(super) server: Memory,
    pub(super) directory: tempfile::TempDir,
    pub(super) now: Timestamp,
    /// The root's keys; those of the root before sign, too.
    pub(super) root: Arc<PrivateKey>,
    pub(super) former: Vec<(Arc<PrivateKey>, PublicKey)>,
    /// The certificate of the root's key.
    pub(super) certificate: PublicKey,
    pub(super) targets: Arc<PrivateKey>,
    pub(super) snapshot: Arc<PrivateKey>,
    pub(super) timestamp: Arc<PrivateKey>,
    pub(super) signers: Vec<Signer>,
    pub(super) tags: Vec<(&'static str, u8)>,
    pub(super) root_version: i64,
    pub(super) version: i64,
    pub(super) targets_threshold: i64,
    /// The days after which the timestamp expires.
    pub(super) days: i64,
    /// The days after which the root expires; its certificate lasts ten years.
    pub(super) root_days: i64,
}

pub(super) fn key() -> Arc<PrivateKey> {
    Arc::new(PrivateKey::generate().unwrap())
}

pub(super) fn days(now: Timestamp, days: i64) -> Timestamp {
    now.checked_add(SignedDuration::from_hours(24 * days)).unwrap()
}

pub(super) fn certificate(key: &PrivateKey, name: &str, now: Timestamp) -> PublicKey {
    key.certificate(name, (days(now, -1), days(now, 3650))).unwrap()
}

/// Returns what is said of an image that a byte stands for.
pub(super) fn image(byte: u8) -> FileMeta {
    let hashes = [("sha256".to_owned(), Bytes(vec![byte; 32]))].into();
    FileMeta { hashes, length: 523, custom: None }
}

/// Returns a document, signed.
pub(super) fn signed<T: Document>(document: T, keys: &[(&PrivateKey, String)]) -> Vec<u8> {
    let mut signed = Signed::unsigned(document).unwrap();
    for (key, id) in keys {
        let (method, sig) = key.sign(&signed.message).unwrap();
        let (keyid, method) = (id.clone(), method.to_owned());
        signed.signatures.push(Signature { keyid, method, sig: Bytes(sig) });
    }
    signed.bytes().unwrap()
}

impl World {
    pub(super) fn new() -> World {
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
        let root = key();
        World {
            server: Memory::default(),
            directory: tempfile::tempdir().unwrap(),
            now,
            certificate: certificate(&root, NAME, now),
            root,
            former: Vec::new(),
            targets: key(),
            snapshot: key(),
            timestamp: key(),
            signers: Vec::new(),
            tags: vec![("1", 1)],
            root_version: 1,
            version: 1,
            targets_threshold: 1,
            days: 14,
            root_days: 3650,
        }
    }

    pub(super) fn releases(&mut self, paths: &[&str], tags: &[(&'static str, u8)]) {
        self.delegate(Role::RELEASES, paths, tags);
    }

    pub(super) fn delegate(&mut self, role: Role, paths: &[&str], tags: &[(&'static str, u8)]) {
        let paths = paths.iter().map(|path| (*path).to_owned()).collect();
        self.signers.push(Signer { role, key: key(), paths, tags: tags.to_vec(), threshold: 1 });
    }

    pub(super) fn root_document(&self) -> Root {
        let plain = |key: &Arc<PrivateKey>| key.public().clone();
        let of_roles = [
            (Role::ROOT, self.certificate.clone(), 1),
            (Role::TARGETS, plain(&self.targets), self.targets_threshold),
            (Role::SNAPSHOT, plain(&self.snapshot), 1),
            (Role::TIMESTAMP, plain(&self.timestamp), 1),
        ];
        let mut root = Root {
            kind: "Root".into(),
            consistent_snapshot: false,
            expires: days(self.now, self.root_days).to_string(),
            keys: BTreeMap::new(),
            roles: BTreeMap::new(),
            version: self.root_version,
        };
        for (role, key, threshold) in of_roles {
            root.roles.insert(role, Keys { keyids: vec![key.id()], threshold });
            root.keys.insert(key.id(), key);
        }
        root
    }

    pub(super) fn targets_document(
        &self,
        tags: &[(&str, u8)],
        delegations: Delegations,
    ) -> Targets {
        Targets {
            kind: "Targets".into(),
            delegations,
            expires: days(self.now, 1095).to_string(),
            tags: tags.iter().map(|(tag, byte)| ((*tag).to_owned(), image(*byte))).collect(),
            version: self.version,
        }
    }

    pub(super) fn delegations(&self) -> Delegations {
        let mut delegations = Delegations::default();
        for signer in &self.signers {
            let key = signer.key.public();
            delegations.keys.insert(key.id(), key.clone());
            delegations.roles.push(Delegation {
                keys: Keys { keyids: vec![key.id()], threshold: signer.threshold },
                name: signer.role.clone(),
                paths: signer.paths.clone(),
            });
        }
        delegations
    }

    /// Publishes everything.
    pub(super) fn write(&self) {
        let own = |key: &Arc<PrivateKey>| key.public().id();
        let mut root_keys = vec![(&*self.root, self.certificate.id())];
        root_keys.extend(self.former.iter().map(|(key, public)| (&**key, public.id())));
        let name = format!("{}.root", self.root_version);
        let known =
            self.server.files.lock().unwrap().get(&name).filter(|_| self.version > 1).cloned();
        let root = known.unwrap_or_else(|| signed(self.root_document(), &root_keys));
        self.server.put("root", &root);
        self.server.put(&name, &root);
        let targets = self.targets_document(&self.tags, self.delegations());
        let targets = signed(targets, &[(&self.targets, own(&self.targets))]);
        let mut files = vec![(Role::ROOT, root), (Role::TARGETS, targets)];
        for signer in &self.signers {
            let document = self.targets_document(&signer.tags, Delegations::default());
            let bytes = signed(document, &[(&signer.key, own(&signer.key))]);
            files.push((signer.role.clone(), bytes));
        }
        self.seal(&files);
    }

    /// Publishes documents with a snapshot and a timestamp.
    pub(super) fn seal(&self, files: &[(Role, Vec<u8>)]) {
        let mut meta = BTreeMap::new();
        for (role, bytes) in files {
            let described = FileMeta::of(bytes);
            self.server.put(&format!("{role}.{}", described.sha256().unwrap()), bytes);
            meta.insert(role.to_string(), described);
        }
        let expires = days(self.now, 1095).to_string();
        let snapshot = Listing { kind: "Snapshot".into(), expires, meta, version: self.version };
        let snapshot = signed(snapshot, &[(&self.snapshot, self.snapshot.public().id())]);
        let described = FileMeta::of(&snapshot);
        self.server.put(&format!("snapshot.{}", described.sha256().unwrap()), &snapshot);
        self.server.put(
            "timestamp",
            &signed(
                self.timestamp_document(described),
                &[(&self.timestamp, self.timestamp.public().id())],
            ),
        );
    }

    pub(super) fn timestamp_document(&self, snapshot: FileMeta) -> Listing {
        let meta = [("snapshot".to_owned(), snapshot)].into();
        let expires = days(self.now, self.days).to_string();
        Listing { kind: "Timestamp".into(), expires, meta, version: self.version }
    }

    /// Returns what the server's snapshot is now.
    pub(super) fn snapshot_meta(&self) -> FileMeta {
        let timestamp =
            Signed::<Listing>::read(&self.server.bytes("timestamp"), &Role::TIMESTAMP).unwrap();
        timestamp.document.meta["snapshot"].clone()
    }

    pub(super) async fn cache(&self) -> Cache {
        let told = |holder: &str| panic!("{holder} has it");
        Cache::open(self.directory.path(), NAME, told).await.unwrap()
    }

    pub(super) async fn update(&self) -> Result<Repository, TrustError> {
        self.update_at(self.now).await
    }

    pub(super) async fn update_at(&self, now: Timestamp) -> Result<Repository, TrustError> {
        update(&self.server, &self.cache().await, NAME, now, false).await
    }

    /// Returns what is said of an update that must fail.
    pub(super) async fn refusal(&self) -> String {
        self.update().await.unwrap_err().about(NAME)
    }

    /// Gives the root another key, by which the former one signs, too, if it is `honest`.
    pub(super) fn rotate(&mut self, honest: bool) {
        let former = std::mem::replace(&mut self.root, key());
        let public =
            std::mem::replace(&mut self.certificate, certificate(&self.root, NAME, self.now));
        self.former = if honest { vec![(former, public)] } else { Vec::new() };
        self.root_version += 1;
        self.version += 1;
    }
}
