//! The encryption of cosign's private keys: scrypt makes a key of the passphrase, NaCl's secret box has the content.

use poly1305::Poly1305;
use poly1305::universal_hash::KeyInit as _;
use salsa20::XSalsa20;
use salsa20::cipher::{KeyIvInit as _, StreamCipher as _};
use scrypt::Params;
use serde::Deserialize;

use super::private_fault::PrivateKeyFault;

/// Bounds of what is done for a key that somebody may have made to hurt: cosign asks for 65536, 8 and 1, which take 64 MiB.
const MAX_LOG_N: u32 = 18;
const MAX_R: u32 = 8;
const MAX_P: u32 = 4;
/// Bytes of the authenticator in front of a box's content.
const TAG: usize = 16;

#[derive(Deserialize)]
struct Encrypted {
    kdf: Kdf,
    cipher: Cipher,
    ciphertext: String,
}

#[derive(Deserialize)]
struct Kdf {
    name: String,
    params: KdfParams,
    salt: String,
}

#[derive(Deserialize)]
struct KdfParams {
    #[serde(rename = "N")]
    n: u32,
    r: u32,
    p: u32,
}

#[derive(Deserialize)]
struct Cipher {
    name: String,
    nonce: String,
}

/// Decrypts a key.
pub(super) fn decrypt(json: &[u8], passphrase: &[u8]) -> Result<Vec<u8>, PrivateKeyFault> {
    let unknown = PrivateKeyFault::Encryption;
    let encrypted: Encrypted =
        serde_json::from_slice(json).map_err(|_| unknown("it is not written as cosign does"))?;
    let Encrypted { kdf, cipher, ciphertext } = encrypted;
    if kdf.name != "scrypt" || cipher.name != "nacl/secretbox" {
        return Err(unknown("neither scrypt nor NaCl's secret box"));
    }
    let decode = |text: &str| {
        use base64::Engine as _;
        let decoded = base64::engine::general_purpose::STANDARD.decode(text);
        decoded.map_err(|_| unknown("a field is not base64"))
    };
    let KdfParams { n, r, p } = kdf.params;
    if !n.is_power_of_two() || n.ilog2() > MAX_LOG_N || r > MAX_R || p > MAX_P {
        return Err(unknown("scrypt would take too much"));
    }
    let log_n = u8::try_from(n.ilog2()).map_err(|_| unknown("scrypt would take too much"))?;
    let params =
        Params::new(log_n, r, p).map_err(|_| unknown("scrypt cannot be asked for this"))?;
    let mut key = [0; 32];
    scrypt::scrypt(passphrase, &decode(&kdf.salt)?, &params, &mut key)
        .map_err(|_| unknown("scrypt cannot be asked for this"))?;
    let nonce: [u8; 24] =
        decode(&cipher.nonce)?.try_into().map_err(|_| unknown("the nonce has not 24 bytes"))?;
    open_box(&key, &nonce, &decode(&ciphertext)?).ok_or(PrivateKeyFault::Passphrase)
}

/// Opens a secret box: XSalsa20, the first 32 bytes of which are the key of the authenticator Poly1305.
fn open_box(key: &[u8; 32], nonce: &[u8; 24], sealed: &[u8]) -> Option<Vec<u8>> {
    let (tag, content) = sealed.split_at_checked(TAG)?;
    let mut cipher = XSalsa20::new(&(*key).into(), &(*nonce).into());
    let mut authenticator = [0; 32];
    cipher.apply_keystream(&mut authenticator);
    let expected = Poly1305::new(&authenticator.into()).compute_unpadded(content);
    // Whoever has the file may try passphrases at leisure: how long a comparison takes tells nobody anything.
    if expected.as_slice() != tag {
        return None;
    }
    let mut content = content.to_vec();
    cipher.apply_keystream(&mut content);
    Some(content)
}
