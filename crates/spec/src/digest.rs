//! Content digests, and one type for each kind of hash that an image has.
//!
//! A blob's digest, a layer's diff ID, a chain ID and an image ID are all hashes, of four different things; swapping two
//! of them must not compile, so each has a type.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256, Sha512};

/// A hash algorithm that the OCI image specification registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, what everybody uses.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// Returns the name as it stands before the colon of a digest.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Returns the number of bytes of a hash.
    pub fn size(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A fault of a text that is no digest. The sentences are those of Docker's go-digest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not `algorithm:hex` at all, or hex in upper case or with a foreign character.
    #[error("invalid checksum digest format")]
    Format,
    /// The algorithm is well-formed, but not one that can be checked here.
    #[error("unsupported digest algorithm")]
    Algorithm,
    /// The hex has the wrong length for its algorithm.
    #[error("invalid checksum digest length")]
    Length,
}

/// The digest of some bytes: `sha256:` and 64 lower-case hex digits, or `sha512:` and 128.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(Hash);

#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Hash {
    // Inline, a hash would make every error that names some larger than a result should be.
    Sha256(Box<[u8; 32]>),
    Sha512(Box<[u8; 64]>),
}

/// The text of a hash, for as many bytes as the longest has.
type Hex = [u8; 128];

impl Digest {
    /// Hashes `bytes` with SHA-256.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self::from_sha256(Sha256::digest(bytes).into())
    }

    /// Wraps a finished SHA-256 hash.
    pub fn from_sha256(hash: [u8; 32]) -> Self {
        Self(Hash::Sha256(Box::new(hash)))
    }

    /// Reads the 64 lower-case hex digits of a SHA-256 hash, as the files of images and layers are named.
    pub fn from_sha256_hex(hex: &str) -> Result<Self, DigestError> {
        parse_hash(hex).map(Self::from_sha256)
    }

    /// Hashes `bytes` with this digest's algorithm and says whether they are the bytes meant.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        let mut hasher = self.hasher();
        hasher.update(bytes);
        hasher.finish() == *self
    }

    /// Returns the algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Hash::Sha256(_) => Algorithm::Sha256,
            Hash::Sha512(_) => Algorithm::Sha512,
        }
    }

    /// Returns the hash in lower-case hex, without the algorithm.
    pub fn hex(&self) -> String {
        self.written(&mut [0; _]).to_owned()
    }

    fn written<'a>(&self, hex: &'a mut Hex) -> &'a str {
        let hash = match &self.0 {
            Hash::Sha256(hash) => hash.as_slice(),
            Hash::Sha512(hash) => hash.as_slice(),
        };
        for (pair, byte) in hex.chunks_exact_mut(2).zip(hash) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 15)];
        }
        // Always ASCII.
        std::str::from_utf8(&hex[..hash.len() * 2]).unwrap_or_default()
    }

    /// Returns the first twelve hex digits, as Docker shows IDs to people.
    pub fn short(&self) -> String {
        let mut hex = self.hex();
        hex.truncate(12);
        hex
    }

    /// Starts a hasher of the same algorithm.
    pub fn hasher(&self) -> Hasher {
        Hasher::new(self.algorithm())
    }
}

const HEX: &[u8; 16] = b"0123456789abcdef";

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.algorithm().as_str())?;
        f.write_str(":")?;
        f.write_str(self.written(&mut [0; _]))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, hex) = text.split_once(':').ok_or(DigestError::Format)?;
        let digest = match name {
            _ if hex.is_empty() => return Err(DigestError::Format),
            "sha256" => Hash::Sha256(Box::new(parse_hash(hex)?)),
            "sha512" => Hash::Sha512(Box::new(parse_hash(hex)?)),
            name if is_algorithm_name(name) => return Err(DigestError::Algorithm),
            _ => return Err(DigestError::Format),
        };
        Ok(Self(digest))
    }
}

fn parse_hash<const N: usize>(hex: &str) -> Result<[u8; N], DigestError> {
    if hex.len() != N * 2 {
        return Err(DigestError::Length);
    }
    let mut hash = [0; N];
    let mut all = 0;
    for (byte, pair) in hash.iter_mut().zip(hex.as_bytes().chunks_exact(2)) {
        let (high, low) = (DIGITS[usize::from(pair[0])], DIGITS[usize::from(pair[1])]);
        *byte = high << 4 | low;
        all |= high | low;
    }
    if all == NO_DIGIT { Err(DigestError::Format) } else { Ok(hash) }
}

/// The value of what is no digit: more than any that is one, and all bits of those.
const NO_DIGIT: u8 = 0xff;
/// The value of each byte as a digit: lists of thousands of images read nothing as often as hashes.
const DIGITS: [u8; 256] = {
    let mut digits = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 16 {
        digits[HEX[value as usize] as usize] = value;
        value += 1;
    }
    digits
};

/// The OCI grammar of the part before the colon: lower-case alphanumeric words joined by one of `+._-`.
fn is_algorithm_name(name: &str) -> bool {
    name.split(['+', '.', '_', '-']).all(|word| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(DigestVisitor)
    }
}

struct DigestVisitor;

impl Visitor<'_> for DigestVisitor {
    type Value = Digest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Digest, E> {
        text.parse().map_err(|error| E::custom(format!("`{text}`: {error}")))
    }
}

/// Hashes bytes as they pass by.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Hasher {
    /// Starts with nothing hashed.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Box::new(Sha512::new())),
        })
    }

    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(hasher) => hasher.update(bytes),
            State::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// Returns the digest of all bytes added.
    pub fn finish(self) -> Digest {
        match self.0 {
            State::Sha256(hasher) => Digest::from_sha256(hasher.finalize().into()),
            State::Sha512(hasher) => Digest(Hash::Sha512(Box::new(hasher.finalize().into()))),
        }
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            State::Sha256(_) => "Hasher(sha256)",
            State::Sha512(_) => "Hasher(sha512)",
        })
    }
}

macro_rules! kind_of_digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Digest);

        impl $name {
            /// Declares that `digest` is a hash of this kind.
            pub fn new(digest: Digest) -> Self {
                Self(digest)
            }

            /// Returns the hash without its kind.
            pub fn digest(&self) -> &Digest {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = DigestError;

            fn from_str(text: &str) -> Result<Self, DigestError> {
                text.parse().map(Self)
            }
        }
    };
}

kind_of_digest! {
    /// The hash of a layer's uncompressed tar.
    DiffId
}
kind_of_digest! {
    /// The hash that names a layer together with all layers below it (OCI image specification, "Layer ChainID").
    ChainId
}
kind_of_digest! {
    /// The name of an image: the digest of its config.
    ImageId
}

impl ChainId {
    /// Returns the chain ID of the layer `diff_id` on top of `parent`, or at the bottom.
    pub fn extend(parent: Option<&Self>, diff_id: &DiffId) -> Self {
        Self(match parent {
            None => diff_id.0.clone(),
            Some(parent) => Digest::sha256(format!("{parent} {diff_id}").as_bytes()),
        })
    }

    /// Returns the chain IDs of a stack of layers, the bottom one first.
    pub fn chain(diff_ids: &[DiffId]) -> Vec<Self> {
        let mut chain: Vec<Self> = Vec::with_capacity(diff_ids.len());
        for diff_id in diff_ids {
            chain.push(Self::extend(chain.last(), diff_id));
        }
        chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn parses_what_it_prints_and_refuses_the_rest() {
        let sha512 = format!("sha512:{}", "0f".repeat(64));
        for good in [EMPTY, &sha512] {
            assert_eq!(good.parse::<Digest>().unwrap().to_string(), good);
        }
        let hex = &EMPTY[7..];
        assert_eq!(Digest::from_sha256_hex(hex), EMPTY.parse());
        assert_eq!(Digest::from_sha256_hex(EMPTY), Err(DigestError::Length));
        for byte in 0..=u8::MAX {
            let hex = format!("{}{}", &hex[2..], char::from(byte).to_string().repeat(2));
            let is_hex = matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            assert_eq!(Digest::from_sha256_hex(&hex).is_ok(), is_hex, "{byte}");
        }
        for (bad, why) in [
            ("", DigestError::Format),
            (hex, DigestError::Format),
            ("sha256:", DigestError::Format),
            (":abc", DigestError::Format),
            ("sha256:abc", DigestError::Length),
            (&format!("sha256:{hex}0"), DigestError::Length),
            (&format!("sha512:{hex}"), DigestError::Length),
            (&format!("sha256:{}", hex.to_uppercase()), DigestError::Format),
            (&format!("SHA256:{hex}"), DigestError::Format),
            (&format!("md5:{hex}"), DigestError::Algorithm),
            (&format!("sha256+b64:{hex}"), DigestError::Algorithm),
            (&format!("sha256:../../{}", &hex[6..]), DigestError::Format),
            (&format!("sha256:{}\u{e9}", &hex[2..]), DigestError::Format),
        ] {
            assert_eq!(bad.parse::<Digest>(), Err(why), "{bad}");
        }
    }

    #[test]
    fn hashes_in_pieces_as_in_one() {
        assert_eq!(Digest::sha256(b"").to_string(), EMPTY);
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let mut pieces = Hasher::new(algorithm);
            pieces.update(b"ab");
            pieces.update(b"c");
            let mut whole = Hasher::new(algorithm);
            whole.update(b"abc");
            let digest = whole.finish();
            assert_eq!(pieces.finish(), digest);
            assert!(digest.matches(b"abc") && !digest.matches(b"abd"));
        }
        let abc = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                   2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
        assert!(abc.parse::<Digest>().unwrap().matches(b"abc"));
    }

    #[test]
    fn chains_as_the_specification_does() {
        let a = DiffId::new(Digest::sha256(b"a"));
        let b = DiffId::new(Digest::sha256(b"b"));
        let chain = ChainId::chain(&[a.clone(), b.clone()]);
        assert_eq!(chain[0].digest(), a.digest());
        assert_eq!(*chain[1].digest(), Digest::sha256(format!("{a} {b}").as_bytes()));
        assert_eq!(ChainId::chain(&[]), []);
    }

    #[test]
    fn json_is_checked() {
        assert!(serde_json::from_str::<Digest>(&format!("\"{EMPTY}\"")).is_ok());
        let error = serde_json::from_str::<DiffId>("\"sha256:zz\"").unwrap_err().to_string();
        assert!(error.contains("`sha256:zz`: invalid checksum digest length"), "{error}");
    }
}
