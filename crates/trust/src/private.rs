//! Private keys: made, kept as notary keeps them, and signed with.
//!
//! A key's file is PEM with headers that say whose it is (`role`, `gun`), and PKCS#8 behind a passphrase: AES-256 by PBKDF2
//! with SHA-1, which notary reads and nothing else. Its name is the ID of the public half.

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use pem::Pem;
use pkcs5::pbes2::{EncryptionScheme, Kdf, Parameters, Pbkdf2Params, Pbkdf2Prf};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::rsa::KeyPair as RsaPair;
use ring::signature::{self, EcdsaKeyPair, KeyPair as _};
use x509_cert::der::oid::ObjectIdentifier;
use x509_cert::der::{Decode, Encode, Reader as _, SliceReader, asn1::OctetStringRef};

use crate::TrustError;
use crate::cache::{failed, read, replace};
use crate::key::{ECDSA, PublicKey, RSA, pem_text, tlv};

/// The largest file of a key: an RSA key of 8192 bits takes seven kilobytes.
const MAX_FILE: u64 = 64 << 10;
/// The most files of keys that are looked at.
const MAX_FILES: usize = 4096;
/// The iterations of PBKDF2 that notary has.
const ITERATIONS: u32 = 2048;
/// The most iterations of a key's file, a hundred times what openssl has: less than a second.
const MAX_ITERATIONS: u32 = 1_000_000;
/// The size of a block of AES.
const BLOCK: usize = 16;
/// The length of its salt.
const SALT: usize = 8;
/// As often a passphrase is asked for before it is given up, as with notary.
const MAX_ATTEMPTS: u32 = 10;

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
/// The algorithm of a key of P-256.
const P256_ALGORITHM: &[u8] = &[
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
    0xce, 0x3d, 0x03, 0x01, 0x07,
];
/// The algorithm of an RSA key.
const RSA_ALGORITHM: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0];

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

/// A key that signs.
pub struct PrivateKey {
    pkcs8: Vec<u8>,
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    Ecdsa(Box<EcdsaKeyPair>),
    Rsa(Box<RsaPair>),
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Makes a key of the kind that notary makes.
    pub fn generate() -> Result<PrivateKey, TrustError> {
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new())
            .map_err(|_| TrustError::Random)?;
        PrivateKey::from_pkcs8(document.as_ref()).ok_or(TrustError::Random)
    }

    /// Reads a key that is not behind a passphrase; nothing if it is none that can be used.
    pub(crate) fn from_pem(block: &Pem) -> Option<PrivateKey> {
        let der = block.contents();
        match block.tag() {
            "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => PrivateKey::from_pkcs8(der),
            "EC PRIVATE KEY" => PrivateKey::from_pkcs8(&wrap(P256_ALGORITHM, der)),
            "RSA PRIVATE KEY" => PrivateKey::from_pkcs8(&wrap(RSA_ALGORITHM, der)),
            _ => None,
        }
    }

    fn from_pkcs8(der: &[u8]) -> Option<PrivateKey> {
        let (algorithm, pkcs8) = first_version(der)?;
        let (pair, public) = match algorithm {
            EC_PUBLIC_KEY => {
                let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
                let pair =
                    EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8, &SystemRandom::new()).ok()?;
                let info = public_info(P256_ALGORITHM, pair.public_key().as_ref());
                (Pair::Ecdsa(Box::new(pair)), PublicKey::new(ECDSA, info))
            }
            RSA_ENCRYPTION => {
                let pair = RsaPair::from_pkcs8(&pkcs8).ok()?;
                let info = public_info(RSA_ALGORITHM, pair.public().as_ref());
                (Pair::Rsa(Box::new(pair)), PublicKey::new(RSA, info))
            }
            _ => return None,
        };
        Some(PrivateKey { pkcs8, pair, public })
    }

    /// Returns the public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message; the first part of what is returned is the method's name.
    pub(crate) fn sign(&self, message: &[u8]) -> Result<(&'static str, Vec<u8>), TrustError> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => {
                let signature = pair.sign(&random, message).map_err(|_| TrustError::Random)?;
                Ok(("ecdsa", signature.as_ref().to_vec()))
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&signature::RSA_PSS_SHA256, &random, message, &mut signature)
                    .map_err(|_| TrustError::Random)?;
                Ok(("rsapss", signature))
            }
        }
    }

    /// Returns the key as the file of it is, behind a passphrase.
    fn encrypted(&self, owner: &Owner, passphrase: &str) -> Result<String, TrustError> {
        let random = SystemRandom::new();
        let (mut salt, mut iv) = ([0; SALT], [0; BLOCK]);
        for bytes in [&mut salt[..], &mut iv[..]] {
            random.fill(bytes).map_err(|_| TrustError::Random)?;
        }
        let der = encrypt(&self.pkcs8, passphrase, &salt, iv)
            .ok_or_else(|| TrustError::Key("failed to encrypt key with given passphrase".into()))?;
        let headers = [("gun", owner.repository.as_str()), ("role", owner.role.as_str())];
        Ok(pem_text("ENCRYPTED PRIVATE KEY", &der, &headers))
    }

    /// Returns a certificate of the key for a repository, as its root has it.
    pub(crate) fn certificate(
        &self,
        repository: &str,
        (from, to): (jiff::Timestamp, jiff::Timestamp),
    ) -> Result<PublicKey, TrustError> {
        let made = || -> Result<String, rcgen::Error> {
            let pair = rcgen::KeyPair::try_from(self.pkcs8.as_slice())?;
            let mut parameters = rcgen::CertificateParams::new(Vec::<String>::new())?;
            let mut name = rcgen::DistinguishedName::new();
            name.push(rcgen::DnType::CommonName, repository);
            parameters.distinguished_name = name;
            let date = |time: jiff::Timestamp| {
                let seconds = u64::try_from(time.as_second()).unwrap_or_default();
                rcgen::date_time_ymd(1970, 1, 1) + std::time::Duration::from_secs(seconds)
            };
            (parameters.not_before, parameters.not_after) = (date(from), date(to));
            parameters.is_ca = rcgen::IsCa::ExplicitNoCa;
            parameters.key_usages = vec![
                rcgen::KeyUsagePurpose::DigitalSignature,
                rcgen::KeyUsagePurpose::KeyEncipherment,
            ];
            parameters.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::CodeSigning];
            Ok(parameters.self_signed(&pair)?.pem())
        };
        let text = made().map_err(|error| TrustError::Key(error.to_string()))?;
        let kind = if matches!(self.pair, Pair::Rsa(_)) { RSA } else { ECDSA };
        Ok(PublicKey::of_certificate(&text.replace("\r\n", "\n"), kind))
    }
}

/// Returns PKCS#8 of the version that ring reads, and the algorithm: notary writes the other for keys of P-256, and what
/// was behind a passphrase may have padding at its end.
fn first_version(der: &[u8]) -> Option<(ObjectIdentifier, Vec<u8>)> {
    let mut reader = SliceReader::new(der).ok()?;
    let whole: x509_cert::der::Header = x509_cert::der::Header::decode(&mut reader).ok()?;
    let length = usize::try_from(whole.length()).ok()?;
    let start = usize::try_from(reader.position()).ok()?;
    let body = der.get(start..start.checked_add(length)?)?;
    let mut fields = SliceReader::new(body).ok()?;
    let _version = u8::decode(&mut fields).ok()?;
    let algorithm = fields.tlv_bytes().ok()?;
    let key = <&OctetStringRef>::decode(&mut fields).ok()?;
    let mut inner = SliceReader::new(algorithm).ok()?;
    x509_cert::der::Header::decode(&mut inner).ok()?;
    let kind = ObjectIdentifier::decode(&mut inner).ok()?;
    // Notary leaves out the parameters of RSA, of which there are none.
    let algorithm = if kind == RSA_ENCRYPTION { RSA_ALGORITHM } else { algorithm };
    Some((kind, wrap(algorithm, key.as_bytes())))
}

fn wrap(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    tlv(0x30, &[&[0x02, 1, 0], algorithm, &tlv(0x04, &[key])])
}

fn public_info(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    tlv(0x30, &[algorithm, &tlv(0x03, &[&[0], key])])
}

fn encrypt(pkcs8: &[u8], passphrase: &str, salt: &[u8], iv: [u8; BLOCK]) -> Option<Vec<u8>> {
    let salt = pkcs5::pbes2::Salt::new(salt).ok()?;
    let kdf = Kdf::Pbkdf2(Pbkdf2Params {
        salt,
        iteration_count: ITERATIONS,
        key_length: None,
        prf: Pbkdf2Prf::HmacWithSha1,
    });
    let parameters = Parameters { kdf, encryption: EncryptionScheme::Aes256Cbc { iv } };
    let encrypted = parameters.encrypt(passphrase, pkcs8).ok()?;
    let scheme = pkcs5::EncryptionScheme::Pbes2(parameters).to_der().ok()?;
    Some(tlv(0x30, &[&scheme, &tlv(0x04, &[&encrypted])]))
}

/// Opens what is behind a passphrase; nothing if that is the wrong one.
pub(crate) fn decrypt(der: &[u8], passphrase: &str) -> Option<Vec<u8>> {
    let mut reader = SliceReader::new(der).ok()?;
    x509_cert::der::Header::decode(&mut reader).ok()?;
    let scheme = pkcs5::EncryptionScheme::decode(&mut reader).ok()?;
    let encrypted = <&OctetStringRef>::decode(&mut reader).ok()?;
    // Others may ask for any amount of memory.
    let kdf = scheme.pbes2()?.kdf.pbkdf2()?;
    if kdf.iteration_count > MAX_ITERATIONS {
        return None;
    }
    scheme.decrypt(passphrase, encrypted.as_bytes()).ok()
}

/// The owner of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The role: `root`, `targets`, or a signer's name.
    pub role: String,
    /// The repository, if it is for one only.
    pub repository: String,
}

/// The private keys of a user.
#[derive(Debug)]
pub struct KeyStore<P> {
    directory: PathBuf,
    passphrases: P,
    /// Keys that were opened, so that each passphrase is asked for once.
    open: Mutex<BTreeMap<String, std::sync::Arc<PrivateKey>>>,
}

type Opened = std::sync::Arc<PrivateKey>;

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
        let text = key.encrypted(owner, &passphrase)?;
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
        if !matches!(
            block.tag(),
            "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "PRIVATE KEY" | "ENCRYPTED PRIVATE KEY"
        ) {
            return Err(LoadError::Unsupported);
        }
        let is_closed =
            block.tag() == "ENCRYPTED PRIVATE KEY" || block.headers().get("DEK-Info").is_some();
        let key = if is_closed {
            open(&block, ("", "encrypted"), &self.passphrases)
                .await
                .map_err(|_| LoadError::Undecryptable)?
        } else {
            PrivateKey::from_pem(&block).ok_or(LoadError::Invalid)?
        };
        let mut owner = owner(&block);
        if owner.role.is_empty() {
            name.clone_into(&mut owner.role);
        }
        if matches!(owner.role.as_str(), "snapshot" | "targets" | "timestamp") {
            if owner.repository.is_empty() {
                return Err(LoadError::Invalid);
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
    /// It is none that can be used.
    #[error("failed to import all keys: invalid key pem block")]
    Invalid,
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
        let opened = decrypt(block.contents(), &passphrase);
        if let Some(key) = opened.and_then(|der| PrivateKey::from_pkcs8(&der)) {
            return Ok(key);
        }
    }
    Err(TrustError::Attempts)
}
