//! RSA signatures of keys that are shorter than ring takes: 1024 to 2047 bits.
//!
//! Everything here is public: key, message and signature. There are no secrets that a duration could tell.

use crypto_bigint::{
    Odd, U2048,
    modular::{FixedMontyForm, FixedMontyParams},
};

use super::{hash::Hash, x509::Reader};

/// Go refuses shorter keys, too.
const MIN_BITS: usize = 1024;
/// Longer keys are ring's.
const MAX_BITS: usize = 2047;
/// The bytes of the numbers that are counted with.
const WIDTH: usize = 256;

/// The form of what is signed.
#[derive(Clone, Copy, Debug)]
pub(super) enum Padding {
    /// RFC 8017, section 8.2.
    Pkcs1,
    /// RFC 8017, section 8.1, with a salt as long as the hash, as TLS demands it.
    Pss,
}

/// A public key with a short modulus.
#[derive(Debug)]
pub(super) struct ShortKey {
    modulus: U2048,
    bits: usize,
    exponent: u64,
}

impl ShortKey {
    /// Reads a key; nothing if it is none, or one that is not for this module to judge.
    pub(super) fn parse(der: &[u8]) -> Option<Self> {
        let mut numbers = Reader(Reader(der).only(0x30)?);
        let (modulus, exponent) = (numbers.unsigned()?, numbers.unsigned()?);
        let bits = (modulus.len() * 8).checked_sub(modulus[0].leading_zeros() as usize)?;
        if !numbers.0.is_empty() || !(MIN_BITS..=MAX_BITS).contains(&bits) || exponent.len() > 4 {
            return None;
        }
        let exponent = exponent.iter().fold(0, |sum, &byte| sum << 8 | u64::from(byte));
        (exponent >= 3 && exponent % 2 == 1).then_some(Self {
            modulus: number(modulus)?,
            bits,
            exponent,
        })
    }

    /// Tells whether a message was signed with this key.
    pub(super) fn verify(
        &self,
        padding: Padding,
        hash: Hash,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let Some(encoded) = self.recover(signature) else { return false };
        let digest = hash.of(&[message]);
        match padding {
            Padding::Pkcs1 => {
                pkcs1(hash, &digest, encoded.len()).is_some_and(|good| good == encoded)
            }
            Padding::Pss => pss(hash, &digest, &encoded, self.bits - 1).is_some(),
        }
    }

    /// Returns what was signed, as long as the modulus.
    fn recover(&self, signature: &[u8]) -> Option<Vec<u8>> {
        let length = self.bits.div_ceil(8);
        let signature = (signature.len() == length).then(|| number(signature))??;
        let odd: Option<Odd<U2048>> = Odd::new(self.modulus).into();
        if signature >= self.modulus {
            return None;
        }
        let params = FixedMontyParams::new_vartime(odd?);
        let power = FixedMontyForm::new(&signature, &params)
            .pow_vartime(&crypto_bigint::U64::from_u64(self.exponent))
            .retrieve();
        let bytes = power.to_be_bytes();
        bytes.as_ref().get(WIDTH - length..).map(<[u8]>::to_vec)
    }
}

fn number(bytes: &[u8]) -> Option<U2048> {
    let mut wide = [0; WIDTH];
    wide.get_mut(WIDTH.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(U2048::from_be_slice(&wide))
}

/// Makes what a signature must hold: `00 01 FF … 00`, the hash's name, the hash.
fn pkcs1(hash: Hash, digest: &[u8], length: usize) -> Option<Vec<u8>> {
    let (number, size) = match hash {
        Hash::Sha256 => (1, 32),
        Hash::Sha384 => (2, 48),
        Hash::Sha512 => (3, 64),
    };
    let mut info = vec![0x30, 17 + size, 0x30, 13, 6, 9];
    info.extend([0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, number, 5, 0, 4, size]);
    info.extend(digest);
    // At least eight bytes of padding (RFC 8017, section 9.2).
    let padding = length.checked_sub(info.len() + 3).filter(|&padding| padding >= 8)?;
    let mut encoded = vec![0, 1];
    encoded.extend(std::iter::repeat_n(0xff, padding));
    encoded.push(0);
    encoded.extend(info);
    Some(encoded)
}

/// Checks what a signature holds (RFC 8017, section 9.1.2); nothing if it is not for this hash.
fn pss(hash: Hash, digest: &[u8], encoded: &[u8], bits: usize) -> Option<()> {
    let size = digest.len();
    let length = bits.div_ceil(8);
    // With a length that is a multiple of eight the modulus has one byte more, which is zero.
    let (front, encoded) = encoded.split_at_checked(encoded.len().checked_sub(length)?)?;
    let (body, end) = encoded.split_at_checked(length.checked_sub(1)?)?;
    let (masked, seed) = body.split_at_checked(body.len().checked_sub(size)?)?;
    // At most seven bits.
    let unused = !(u8::MAX >> (length * 8 - bits));
    if front.iter().any(|&byte| byte != 0) || end != [0xbc] || masked.first()? & unused != 0 {
        return None;
    }
    let mut block: Vec<u8> = masked
        .iter()
        .zip(mask(hash, seed, masked.len()))
        .map(|(&byte, mask)| byte ^ mask)
        .collect();
    *block.first_mut()? &= !unused;
    let salt_at = block.len().checked_sub(size)?;
    let (padding, salt) = block.split_at(salt_at);
    let (last, zeros) = padding.split_last()?;
    let padded = *last == 1 && zeros.iter().all(|&byte| byte == 0);
    (padded && hash.of(&[&[0; 8], digest, salt]) == seed).then_some(())
}

/// RFC 8017, appendix B.2.1.
fn mask(hash: Hash, seed: &[u8], length: usize) -> Vec<u8> {
    let mut mask = Vec::with_capacity(length + 64);
    let mut counter = 0u32;
    while mask.len() < length {
        mask.extend(hash.of(&[seed, &counter.to_be_bytes()]));
        counter += 1;
    }
    mask
}
