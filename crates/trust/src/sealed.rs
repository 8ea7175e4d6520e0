//! Keys behind passphrases: as notary keeps them, and as openssl and the first clients of notary wrote them.
//!
//! Notary writes PKCS#8 with PBES2: AES-256 by PBKDF2 with SHA-1, and reads no other kind of it. What came before has the cipher
//! in a header of PEM, and its key by MD5.

use aes::{Aes128, Aes192, Aes256};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockCipherDecrypt, BlockModeDecrypt, KeyInit, KeyIvInit};
use md5::{Digest as _, Md5};
use pem::Pem;
use pkcs5::pbes2::{EncryptionScheme, Kdf, Parameters, Pbkdf2Params, Pbkdf2Prf, Salt};
use ring::rand::{SecureRandom as _, SystemRandom};
use x509_cert::der::{Decode, Encode, Header, SliceReader, asn1::OctetStringRef};

use crate::TrustError;
use crate::key::tlv;
use crate::private::PrivateKey;

/// The iterations of PBKDF2 that notary has.
const ITERATIONS: u32 = 2048;
/// The most iterations of a key's file, a hundred times what openssl has: less than a second.
const MAX_ITERATIONS: u32 = 1_000_000;
/// The size of a block of AES.
const BLOCK: usize = 16;
/// The length of notary's salt, and of the one of what came before.
const SALT: usize = 8;
/// The tag of PEM of a key that notary keeps.
pub(crate) const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
/// The header of PEM that says how what came before is encrypted.
const CIPHER: &str = "DEK-Info";

/// Says whether a key is behind a passphrase.
pub(crate) fn is_sealed(block: &Pem) -> bool {
    block.tag() == ENCRYPTED || block.headers().get(CIPHER).is_some()
}

/// Puts a key behind a passphrase.
pub(crate) fn seal(key: &PrivateKey, passphrase: &str) -> Result<Vec<u8>, TrustError> {
    let random = SystemRandom::new();
    let (mut salt, mut iv) = ([0; SALT], [0; BLOCK]);
    for bytes in [&mut salt[..], &mut iv[..]] {
        random.fill(bytes).map_err(|_| TrustError::Random)?;
    }
    encrypt(key.pkcs8(), passphrase, &salt, iv)
        .ok_or_else(|| TrustError::Key("failed to encrypt key with given passphrase".into()))
}

fn encrypt(pkcs8: &[u8], passphrase: &str, salt: &[u8], iv: [u8; BLOCK]) -> Option<Vec<u8>> {
    let kdf = Kdf::Pbkdf2(Pbkdf2Params {
        salt: Salt::new(salt).ok()?,
        iteration_count: ITERATIONS,
        key_length: None,
        prf: Pbkdf2Prf::HmacWithSha1,
    });
    let parameters = Parameters { kdf, encryption: EncryptionScheme::Aes256Cbc { iv } };
    let encrypted = parameters.encrypt(passphrase, pkcs8).ok()?;
    let scheme = pkcs5::EncryptionScheme::Pbes2(parameters).to_der().ok()?;
    Some(tlv(0x30, &[&scheme, &tlv(0x04, &[&encrypted])]))
}

/// Opens a key; nothing if that is the wrong passphrase, or a kind that notary does not read.
pub(crate) fn unseal(block: &Pem, passphrase: &str) -> Option<PrivateKey> {
    let der = block.contents();
    match block.headers().get(CIPHER) {
        Some(cipher) => {
            PrivateKey::from_der(block.tag(), &decrypt_by_md5(der, cipher, passphrase)?)
        }
        None => PrivateKey::from_pkcs8(&decrypt(der, passphrase)?),
    }
}

fn decrypt(der: &[u8], passphrase: &str) -> Option<Vec<u8>> {
    let mut reader = SliceReader::new(der).ok()?;
    Header::decode(&mut reader).ok()?;
    let scheme = pkcs5::EncryptionScheme::decode(&mut reader).ok()?;
    let encrypted = <&OctetStringRef>::decode(&mut reader).ok()?;
    let parameters = scheme.pbes2()?;
    let kdf = parameters.kdf.pbkdf2()?;
    let is_notarys = matches!(parameters.encryption, EncryptionScheme::Aes256Cbc { .. })
        && kdf.prf == Pbkdf2Prf::HmacWithSha1;
    // Who made the file may ask for any amount of work.
    if !is_notarys || kdf.iteration_count > MAX_ITERATIONS {
        return None;
    }
    scheme.decrypt(passphrase, encrypted.as_bytes()).ok()
}

/// Opens what came before: the header has the cipher and its first block, whose beginning is the salt.
fn decrypt_by_md5(encrypted: &[u8], header: &str, passphrase: &str) -> Option<Vec<u8>> {
    let (cipher, iv) = header.trim().split_once(',')?;
    let iv = from_hex(iv.trim())?;
    let mut key = [0; 32];
    let salt = iv.get(..SALT)?;
    let mut before = Vec::new();
    for part in key.chunks_mut(16) {
        before = Md5::new()
            .chain_update(&before)
            .chain_update(passphrase.as_bytes())
            .chain_update(salt)
            .finalize()
            .to_vec();
        part.copy_from_slice(&before);
    }
    match cipher {
        "AES-128-CBC" => open::<Aes128>(&key[..16], &iv, encrypted),
        "AES-192-CBC" => open::<Aes192>(&key[..24], &iv, encrypted),
        "AES-256-CBC" => open::<Aes256>(&key, &iv, encrypted),
        "DES-EDE3-CBC" => open::<des::TdesEde3>(&key[..24], &iv, encrypted),
        _ => None,
    }
}

fn open<C: BlockCipherDecrypt + KeyInit>(
    key: &[u8],
    iv: &[u8],
    encrypted: &[u8],
) -> Option<Vec<u8>> {
    let cipher = cbc::Decryptor::<C>::new_from_slices(key, iv).ok()?;
    cipher.decrypt_padded_vec::<Pkcs7>(encrypted).ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pairs = digits.chunks(2).map(|pair| {
        let [high, low] = pair else { return None };
        let digit = |&byte: &u8| char::from(byte).to_digit(16);
        u8::try_from(digit(high)? * 16 + digit(low)?).ok()
    });
    pairs.collect()
}
