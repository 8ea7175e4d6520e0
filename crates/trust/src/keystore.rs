//! The keys of a user, as docker keeps them.
//!
//! A key's file is PEM with headers that say whose it is (`role`, `gun`), and PKCS#8 behind a passphrase. Its name is the ID of
//! the public half.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use pem::Pem;

use crate::TrustError;
use crate::cache::{failed, read, replace};
use crate::key::pem_text;
use crate::private::PrivateKey;
use crate::sealed::{ENCRYPTED, is_sealed, seal, unseal};

/// The largest file of a key: an RSA key of 8192 bits takes seven kilobytes.
const MAX_FILE: u64 = 64 << 10;
/// The most files of keys that are looked at.
const MAX_FILES: usize = 4096;
/// As often a passphrase is asked for before it is given up, as with notary.
const MAX_ATTEMPTS: u32 = 10;

const UNREADABLE: &str = "failed to import key to store: Invalid key generated, key may be encrypted and does not contain path header";
const NO_REPOSITORY: &str = "failed to import key () to store: Cannot have canonical role key without a gun, don't know what gun it belongs to";

/// Answers questions for passphrases.
pub trait Passphrases {
    /// Returns the passphrase of a key. For one that is `new` it is asked for twice. Nothing if there is no other: then the
    /// key cannot be used.
    fn passphrase(&self, question: Question<'_>) -> impl Future<Output = Option<Answer>>;
}

/// A question for a passphrase.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The ID of the key; empty for one that has none yet.
    pub key: &'a str,
    /// The role, as the key's file has it.
    pub role: &'a str,
    /// True if the key is new.
    pub new: bool,
    /// The number of times that it was asked for before.
    pub attempt: u32,
}

/// An answer to such a question.
#[derive(Clone)]
pub enum Answer {
    /// The text that opens the key.
    Passphrase(String),
    /// It was not a good one: to be asked for again.
    Again,
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Answer::Passphrase(_) => "Passphrase",
            Answer::Again => "Again",
        })
    }
}

/// The owner of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The role: `root`, `targets`, or a signer's name.
    pub role: String,
    /// The repository, if it is for one only.
    pub repository: String,
}

type Opened = std::sync::Arc<PrivateKey>;

/// The private keys of a user.
#[derive(Debug)]
pub struct KeyStore<P> {
    directory: PathBuf,
    passphrases: P,
    /// Keys that were opened, so that each passphrase is asked for once.
    open: Mutex<BTreeMap<String, Opened>>,
}

impl<P: Passphrases> KeyStore<P> {
    /// Returns the keys below a trust directory.
    pub fn new(trust: &Path, passphrases: P) -> KeyStore<P> {
        KeyStore { directory: trust.join("private"), passphrases, open: Mutex::default() }
    }

    fn path(&self, id: &str) -> PathBuf {
        self.directory.join(format!("{id}.key"))
    }

    /// Returns the IDs of all keys, with whose they are. Files that are no keys are passed over.
    pub fn list(&self) -> Result<BTreeMap<String, Owner>, TrustError> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(BTreeMap::new());
            }
            Err(error) => return Err(failed(&self.directory)(error)),
        };
        let mut keys = BTreeMap::new();
        for entry in entries.take(MAX_FILES) {
            let name = entry.map_err(failed(&self.directory))?.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_suffix(".key")) else {
                continue;
            };
            if let Ok(Some(block)) = self.block(id) {
                keys.insert(id.to_owned(), owner(&block));
            }
        }
        Ok(keys)
    }

    /// Returns the first key of a role, if there is one.
    pub fn first_of(&self, role: &str) -> Result<Option<String>, TrustError> {
        let keys = self.list()?;
        Ok(keys.into_iter().find(|(_, owner)| owner.role == role).map(|(id, _)| id))
    }

    fn block(&self, id: &str) -> Result<Option<Pem>, TrustError> {
        // An ID from a document is the name of a file only if it is an ID.
        if id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(None);
        }
        let path = self.path(id);
        match read(&path, MAX_FILE) {
            Ok(bytes) => Ok(bytes.and_then(|bytes| pem::parse(bytes).ok())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&path)(error)),
        }
    }

    /// Says whether a key is here.
    pub fn has(&self, id: &str) -> bool {
        matches!(self.block(id), Ok(Some(_)))
    }

    /// Opens a key, for which its passphrase may be asked for.
    pub async fn key(&self, id: &str) -> Result<Opened, TrustError> {
        if let Some(key) = self.opened().get(id) {
            return Ok(Opened::clone(key));
        }
        let block = self.block(id)?.ok_or_else(|| TrustError::KeyNotFound(id.to_owned()))?;
        let role = owner(&block).role;
        let key = open(&block, (id, &role), &self.passphrases).await?;
        if key.public().id() != id {
            // Whoever put it there: it is not the key that was asked for.
            return Err(TrustError::KeyNotFound(id.to_owned()));
        }
        let key = Opened::new(key);
        self.opened().insert(id.to_owned(), Opened::clone(&key));
        Ok(key)
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Opened>> {
        self.open.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Makes a key and keeps it. Nothing is written before the passphrase is known.
    pub async fn create(&self, role: &str, repository: &str) -> Result<Opened, TrustError> {
        let owner = Owner { role: role.to_owned(), repository: repository.to_owned() };
        self.add(PrivateKey::generate()?, &owner).await
    }

    /// Keeps a key behind a passphrase that is asked for.
    pub async fn add(&self, key: PrivateKey, owner: &Owner) -> Result<Opened, TrustError> {
        let id = key.public().id();
        let passphrase = self.new_passphrase(&id, &owner.role).await?;
        let headers = [("gun", owner.repository.as_str()), ("role", owner.role.as_str())];
        let text = pem_text(ENCRYPTED, &seal(&key, &passphrase)?, &headers);
        replace(&self.path(&id), text.as_bytes())?;
        let key = Opened::new(key);
        self.opened().insert(id, Opened::clone(&key));
        Ok(key)
    }

    async fn new_passphrase(&self, key: &str, role: &str) -> Result<String, TrustError> {
        for attempt in 0..=MAX_ATTEMPTS {
            let question = Question { key, role, new: true, attempt };
            match self.passphrases.passphrase(question).await {
                Some(Answer::Passphrase(passphrase)) => return Ok(passphrase),
                Some(Answer::Again) => {}
                None => break,
            }
        }
        Err(TrustError::Attempts)
    }

    /// Forgets a key.
    pub fn remove(&self, id: &str) -> Result<(), TrustError> {
        self.opened().remove(id);
        if !self.has(id) {
            return Ok(());
        }
        let path = self.path(id);
        fs::remove_file(&path).map_err(failed(&path))
    }

    /// Takes over a key from a file, under the role that it has, or else `name`.
    pub async fn load(&self, text: &[u8], name: &str) -> Result<(), LoadError> {
        let block = pem::parse(text).map_err(|_| LoadError::Unsupported)?;
        if !matches!(block.tag(), "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "PRIVATE KEY" | ENCRYPTED)
        {
            return Err(LoadError::Unsupported);
        }
        let key = if is_sealed(&block) {
            open(&block, ("", "encrypted"), &self.passphrases)
                .await
                .map_err(|_| LoadError::Undecryptable)?
        } else {
            PrivateKey::from_pem(&block).ok_or(LoadError::Invalid(UNREADABLE))?
        };
        let mut owner = owner(&block);
        if owner.role.is_empty() {
            name.clone_into(&mut owner.role);
        }
        if matches!(owner.role.as_str(), "snapshot" | "targets" | "timestamp") {
            if owner.repository.is_empty() {
                return Err(LoadError::Invalid(NO_REPOSITORY));
            }
        } else {
            owner.repository.clear();
        }
        self.add(key, &owner).await.map(drop).map_err(LoadError::Kept)
    }
}

/// The cause for which a file's key is not taken over.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is no private key.
    #[error("not a supported private key")]
    Unsupported,
    /// It is behind a passphrase that was not given.
    #[error("could not decrypt key")]
    Undecryptable,
    /// It is none that can be used, for a reason that docker gives in a warning.
    #[error("failed to import all keys: invalid key pem block")]
    Invalid(&'static str),
    /// It could not be kept.
    #[error("{0}")]
    Kept(TrustError),
}

fn owner(block: &Pem) -> Owner {
    let header = |name| block.headers().get(name).unwrap_or_default().to_owned();
    Owner { role: header("role"), repository: header("gun") }
}

/// Opens a key, and asks for its passphrase if it has one.
async fn open(
    block: &Pem,
    (id, role): (&str, &str),
    passphrases: &impl Passphrases,
) -> Result<PrivateKey, TrustError> {
    if let Some(key) = PrivateKey::from_pem(block) {
        return Ok(key);
    }
    for attempt in 0..=MAX_ATTEMPTS {
        let question = Question { key: id, role, new: false, attempt };
        let Some(Answer::Passphrase(passphrase)) = passphrases.passphrase(question).await else {
            return Err(TrustError::Passphrase);
        };
        if let Some(key) = unseal(block, &passphrase) {
            return Ok(key);
        }
    }
    Err(TrustError::Attempts)
}
