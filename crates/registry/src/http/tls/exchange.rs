//! Key exchange by P-521. Nobody prefers it, but who is to show or take certificates of that curve in TLS 1.2 must offer it.

use p521::{PublicKey, SecretKey, ecdh::diffie_hellman, elliptic_curve::sec1::ToSec1Point};
use rustls::{
    Error, NamedGroup, PeerMisbehaved,
    crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup, ring},
};

/// The bytes of a secret number.
const SECRET: usize = 66;
/// The most draws of a secret; all but one in 2^256 are good.
const DRAWS: usize = 4;

/// The group `secp521r1`.
#[derive(Debug)]
pub(super) struct Secp521r1;

struct Active {
    secret: SecretKey,
    public: Box<[u8]>,
}

impl SupportedKxGroup for Secp521r1 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let random = ring::default_provider().secure_random;
        for _ in 0..DRAWS {
            let mut bytes = [0; SECRET];
            random.fill(&mut bytes)?;
            // 521 bits.
            bytes[0] &= 1;
            if let Ok(secret) = SecretKey::from_slice(&bytes) {
                let public = secret.public_key().to_sec1_point(false).as_bytes().into();
                return Ok(Box::new(Active { secret, public }));
            }
        }
        Err(Error::FailedToGetRandomBytes)
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

impl ActiveKeyExchange for Active {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        // TLS knows points in full only; one that is not on the curve is refused.
        let invalid = || Error::from(PeerMisbehaved::InvalidKeyShare);
        let full = peer.first() == Some(&4);
        let peer = PublicKey::from_sec1_bytes(peer).ok().filter(|_| full).ok_or_else(invalid)?;
        let shared = diffie_hellman(self.secret.to_nonzero_scalar(), peer.as_affine());
        Ok(SharedSecret::from(shared.raw_secret_bytes().as_slice()))
    }

    fn pub_key(&self) -> &[u8] {
        &self.public
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::secp521r1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_have_the_same_secret_and_points_are_checked() {
        let start = || Secp521r1.start().unwrap();
        let (one, other) = (start(), start());
        let (first, second) = (one.pub_key().to_vec(), other.pub_key().to_vec());
        let (one, other) = (one.complete(&second).unwrap(), other.complete(&first).unwrap());
        assert_eq!(one.secret_bytes(), other.secret_bytes());
        assert_eq!(one.secret_bytes().len(), SECRET);
        let mut outside = second.clone();
        outside[100] ^= 1;
        for wrong in [&outside[..], &second[..100], &[], &[0], &[4; 133]] {
            assert!(start().complete(wrong).is_err());
        }
    }
}
