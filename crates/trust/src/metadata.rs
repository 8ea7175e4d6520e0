//! The documents of a repository: root, targets, snapshot and timestamp.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{Timestamp, tz::TimeZone};
use ring::digest::{SHA256, SHA512, digest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::bytes::{Bytes, hex};
use crate::canonical::Value;
use crate::key::PublicKey;
use crate::{Role, TrustError};

/// Reads what Go writes as `null` where it is empty.
fn or_empty<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// The checksums of a document or an image's manifest, by their algorithms.
pub(crate) type Hashes = BTreeMap<String, Bytes>;

/// The size and the checksums of something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileMeta {
    /// The checksums.
    pub hashes: BTreeMap<String, Bytes>,
    /// The size in bytes.
    pub length: i64,
    /// A signer's own words about it, which are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<Value>,
}

impl FileMeta {
    /// Returns what is said of a document.
    pub(crate) fn of(bytes: &[u8]) -> FileMeta {
        let hash = |algorithm| Bytes(digest(algorithm, bytes).as_ref().to_vec());
        let hashes =
            [("sha256".to_owned(), hash(&SHA256)), ("sha512".to_owned(), hash(&SHA512))].into();
        let length = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
        FileMeta { hashes, length, custom: None }
    }

    /// Returns what is said of something of a size and a digest (`sha256:…`); nothing if that is none.
    pub fn of_digest(digest: &str, length: i64) -> Option<FileMeta> {
        let digits = digest.strip_prefix("sha256:").filter(|digits| digits.len() == 64)?;
        let byte = |at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok();
        let hash: Option<Vec<u8>> = (0..64).step_by(2).map(byte).collect();
        let hashes = [("sha256".to_owned(), Bytes(hash?))].into();
        Some(FileMeta { hashes, length, custom: None })
    }

    /// Returns the checksum that names the thing, in hexadecimal digits.
    pub fn sha256(&self) -> Option<String> {
        self.hashes.get("sha256").map(|hash| hex(&hash.0))
    }
}

/// Checks that bytes are those that were announced.
pub(crate) fn check_hashes(bytes: &[u8], role: &Role, hashes: &Hashes) -> Result<(), TrustError> {
    let mut checked = false;
    for (algorithm, function) in [("sha256", &SHA256), ("sha512", &SHA512)] {
        let Some(expected) = hashes.get(algorithm) else { continue };
        if digest(function, bytes).as_ref() != expected.0 {
            let expected = hex(&expected.0);
            return Err(TrustError::Checksum { algorithm, role: role.clone(), expected });
        }
        checked = true;
    }
    if checked { Ok(()) } else { Err(TrustError::NoChecksum(role.clone())) }
}

/// Says of what is JSON that it is not the document it should be.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
pub(crate) fn syntax(error: serde_json::Error) -> TrustError {
    TrustError::Syntax(error.to_string())
}

/// A signature in a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The ID of the key.
    pub keyid: String,
    /// The algorithm.
    pub method: String,
    /// The signature itself.
    pub sig: Bytes,
}

/// The keys of a role, and how many of them must sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Keys {
    /// The IDs of its keys.
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) keyids: Vec<String>,
    /// The number of keys that must sign.
    pub(crate) threshold: i64,
}

/// The keys of all roles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Root {
    #[serde(rename = "_type")]
    pub(crate) kind: String,
    pub(crate) consistent_snapshot: bool,
    pub(crate) expires: String,
    pub(crate) keys: BTreeMap<String, PublicKey>,
    pub(crate) roles: BTreeMap<Role, Keys>,
    pub(crate) version: i64,
}

/// A role that another one lets sign tags.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delegation {
    /// The keys that may sign for it.
    #[serde(flatten)]
    pub(crate) keys: Keys,
    /// The name, below that of the role that made it.
    pub(crate) name: Role,
    /// The beginnings of the tags that it may sign.
    #[serde(default, deserialize_with = "or_empty", skip_serializing_if = "Vec::is_empty")]
    pub(crate) paths: Vec<String>,
}

/// The roles that may sign tags as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delegations {
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) keys: BTreeMap<String, PublicKey>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(crate) roles: Vec<Delegation>,
}

/// The tags that a role has signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Targets {
    #[serde(rename = "_type")]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) delegations: Delegations,
    pub(crate) expires: String,
    #[serde(default, deserialize_with = "or_empty")]
    #[serde(rename = "targets")]
    pub(crate) tags: BTreeMap<String, FileMeta>,
    pub(crate) version: i64,
}

/// The documents that belong together (of a snapshot), or the snapshot that is the newest (of a timestamp).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listing {
    #[serde(rename = "_type")]
    pub(crate) kind: String,
    pub(crate) expires: String,
    pub(crate) meta: BTreeMap<String, FileMeta>,
    pub(crate) version: i64,
}

/// A kind of document.
pub(crate) trait Document: Serialize + DeserializeOwned {
    fn version(&self) -> i64;
    fn expires(&self) -> &str;
    fn check(&self, role: &Role) -> Result<(), TrustError>;
}

/// A document with its signatures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signed<T> {
    /// The part that is signed.
    pub(crate) document: T,
    /// The signatures as they are; who relies on one checks it.
    pub(crate) signatures: Vec<Signature>,
    /// The bytes that the signatures are over.
    pub(crate) message: Vec<u8>,
}

#[derive(Deserialize)]
struct Envelope<T> {
    signed: T,
    #[serde(default, deserialize_with = "or_empty")]
    signatures: Vec<Signature>,
}

/// The most signatures of one document that are looked at: each costs a computation.
const MAX_SIGNATURES: usize = 64;

impl<T: Document> Signed<T> {
    /// Reads a document. Its structure is checked, its signatures are not.
    pub(crate) fn read(bytes: &[u8], role: &Role) -> Result<Signed<T>, TrustError> {
        // First, as it refuses what could be read in two ways. Only one of the two trees is kept at a time.
        let message =
            Value::parse(bytes)?.member("signed").map(Value::canonical).unwrap_or_default();
        let Envelope { signed, mut signatures } =
            serde_json::from_slice::<Envelope<T>>(bytes).map_err(syntax)?;
        signed.check(role)?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(invalid(role, "too many signatures"));
        }
        for signature in &mut signatures {
            signature.method.make_ascii_lowercase();
        }
        Ok(Signed { document: signed, signatures, message })
    }

    /// Makes a document that is to be signed.
    pub(crate) fn unsigned(document: T) -> Result<Signed<T>, TrustError> {
        let message = Value::of(&document)?.canonical();
        Ok(Signed { document, signatures: Vec::new(), message })
    }

    /// Returns the document as it is sent and kept.
    pub(crate) fn bytes(&self) -> Result<Vec<u8>, TrustError> {
        let signatures = serde_json::to_vec(&self.signatures).map_err(syntax)?;
        let mut signed = self.message.clone();
        if signed.iter().any(u8::is_ascii_control) {
            // The canonical form leaves line ends in texts as they are, which JSON has not got so.
            signed = serde_json::to_vec(&self.document).map_err(syntax)?;
        }
        Ok([b"{\"signed\":", &signed[..], b",\"signatures\":", &signatures, b"}"].concat())
    }

    /// Checks that so many of these keys have signed as must.
    pub(crate) fn verify(
        &self,
        role: &Role,
        keys: &BTreeMap<&str, &PublicKey>,
        threshold: i64,
    ) -> Result<(), TrustError> {
        if self.signatures.is_empty() {
            return Err(TrustError::NoSignatures);
        }
        // A key counts once, under however many IDs it is listed.
        let mut signers = BTreeSet::new();
        for signature in &self.signatures {
            let Some(key) = keys.get(signature.keyid.as_str()) else { continue };
            if key.id() != signature.keyid {
                return Err(TrustError::KeyId);
            }
            if key.verifies(&signature.method, &self.message, &signature.sig.0) {
                signers.insert(key.canonical_id().unwrap_or_else(|| key.id()));
            }
        }
        let enough = usize::try_from(threshold).is_ok_and(|most| most > 0 && signers.len() >= most);
        if enough { Ok(()) } else { Err(TrustError::Threshold(role.clone())) }
    }

    pub(crate) fn verify_version(&self, current: i64) -> Result<(), TrustError> {
        let actual = self.document.version();
        if actual < current { Err(TrustError::LowVersion { actual, current }) } else { Ok(()) }
    }

    pub(crate) fn verify_expiry(&self, role: &Role, now: Timestamp) -> Result<(), TrustError> {
        let expires = time(self.document.expires(), role)?;
        if expires < now {
            let at = expires.to_zoned(TimeZone::UTC);
            let at = at.strftime("%a %b %-d %H:%M:%S UTC %Y").to_string();
            return Err(TrustError::Expired { role: role.clone(), at });
        }
        Ok(())
    }
}

/// Reads the time of a document.
pub(crate) fn time(text: &str, role: &Role) -> Result<Timestamp, TrustError> {
    text.parse().map_err(|_| invalid(role, format!("{text:?} is no time")))
}

pub(crate) fn invalid(role: &Role, reason: impl Into<String>) -> TrustError {
    TrustError::Metadata { role: role.clone(), reason: reason.into() }
}

fn check_head(kind: &str, expected: &str, version: i64, role: &Role) -> Result<(), TrustError> {
    if kind != expected {
        return Err(invalid(role, format!("expected type {expected}, not {kind}")));
    }
    if version < 1 {
        return Err(invalid(role, "version cannot be less than one"));
    }
    Ok(())
}

fn check_keys(
    within: &Role,
    of: &Role,
    keys: &Keys,
    known: &BTreeMap<String, PublicKey>,
) -> Result<(), TrustError> {
    if keys.threshold < 1 {
        let threshold = keys.threshold;
        return Err(invalid(within, format!("invalid threshold specified for {of}: {threshold} ")));
    }
    match keys.keyids.iter().find(|id| !known.contains_key(*id)) {
        Some(id) => {
            let reason = format!("key ID {id} specified in {of} without corresponding key");
            Err(invalid(within, reason))
        }
        None => Ok(()),
    }
}

impl Document for Root {
    fn version(&self) -> i64 {
        self.version
    }

    fn expires(&self) -> &str {
        &self.expires
    }

    fn check(&self, role: &Role) -> Result<(), TrustError> {
        check_head(&self.kind, "Root", self.version, role)?;
        for base in &Role::BASE {
            let Some(keys) = self.roles.get(base) else {
                return Err(invalid(role, format!("missing {base} role specification")));
            };
            check_keys(role, base, keys, &self.keys)?;
        }
        Ok(())
    }
}

impl Root {
    /// Returns the keys of a role with the number of them that must sign.
    pub(crate) fn keys_of(
        &self,
        role: &Role,
    ) -> Result<(BTreeMap<&str, &PublicKey>, i64), TrustError> {
        let keys = self.roles.get(role).ok_or_else(|| TrustError::InvalidRole {
            role: role.clone(),
            reason: "role not found in root file".to_owned(),
        })?;
        Ok((pick(&keys.keyids, &self.keys), keys.threshold))
    }
}

/// Returns the keys with these IDs.
pub(crate) fn pick<'a>(
    ids: &'a [String],
    keys: &'a BTreeMap<String, PublicKey>,
) -> BTreeMap<&'a str, &'a PublicKey> {
    ids.iter().filter_map(|id| keys.get(id).map(|key| (id.as_str(), key))).collect()
}

impl Document for Targets {
    fn version(&self) -> i64 {
        self.version
    }

    fn expires(&self) -> &str {
        &self.expires
    }

    fn check(&self, role: &Role) -> Result<(), TrustError> {
        if *role != Role::TARGETS && !role.is_delegation() {
            let reason = String::new();
            return Err(TrustError::InvalidRole { role: role.clone(), reason });
        }
        check_head(&self.kind, "Targets", self.version, role)?;
        let mut names = BTreeSet::new();
        for child in &self.delegations.roles {
            let name = &child.name;
            if !names.insert(name) {
                return Err(invalid(role, format!("delegation role {name} stands twice")));
            }
            if !name.is_delegation() || name.parent().as_ref() != Some(role) {
                return Err(invalid(role, format!("delegation role {name} invalid")));
            }
            check_keys(role, name, &child.keys, &self.delegations.keys)?;
        }
        Ok(())
    }
}

impl Document for Listing {
    fn version(&self) -> i64 {
        self.version
    }

    fn expires(&self) -> &str {
        &self.expires
    }

    fn check(&self, role: &Role) -> Result<(), TrustError> {
        let (kind, listed): (_, &[Role]) = if *role == Role::SNAPSHOT {
            ("Snapshot", &[Role::ROOT, Role::TARGETS])
        } else {
            ("Timestamp", &[Role::SNAPSHOT])
        };
        check_head(&self.kind, kind, self.version, role)?;
        for name in listed {
            let meta = self.meta.get(name.as_str());
            let Some(hash) = meta.and_then(|meta| meta.hashes.get("sha256")) else {
                return Err(invalid(role, format!("missing {name} sha256 checksum information")));
            };
            if hash.0.len() != 32 {
                let reason =
                    format!("invalid {name} checksum information, sha256 checksum invalid");
                return Err(invalid(role, reason));
            }
        }
        Ok(())
    }
}
