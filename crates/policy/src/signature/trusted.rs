//! Those whom a policy trusts, read from its files.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use spec::Digest;

use super::certificate::{Authorities, Names};
use super::found::{Signature, SignatureFault};
use super::log::Logged;
use crate::document::requirement::{Authority, Material, Signed};
use crate::file;
use crate::judgement::Signer;
use crate::key::{KeyFault, MAX_KEY, PublicKey};

/// Those who may vouch, and the logs that must know of it.
#[derive(Debug)]
pub(crate) struct Trusted {
    who: Who,
    logs: Vec<PublicKey>,
}

#[derive(Debug)]
enum Who {
    Keys(Vec<PublicKey>),
    Certified { authorities: Authorities, names: Names },
}

/// The key that has vouched, whom its certificate is for if it has one, and the time at which a log took the signature if one had to.
#[derive(Debug)]
pub(crate) struct Proof {
    pub(crate) key: Digest,
    pub(crate) signer: Option<Signer>,
    pub(crate) logged: Option<Duration>,
}

impl Trusted {
    /// Reads the files of a requirement. Blocks.
    pub(crate) fn load(authority: &Authority, rekor: &[Material]) -> Result<Self, KeyFault> {
        let who = match authority {
            Authority::Keys(keys) => Who::Keys(PublicKey::load(keys)?),
            Authority::Fulcio { authorities, issuer, email } => Who::Certified {
                authorities: Authorities::new(&read(authorities)?, None)?,
                names: Names {
                    issuer: Some(issuer.clone()),
                    email: Some(email.clone()),
                    hostname: None,
                },
            },
            Authority::Pki { roots, intermediates, email, hostname } => {
                let intermediates = intermediates.as_ref().map(read).transpose()?;
                let authorities = Authorities::new(&read(roots)?, intermediates.as_deref())?;
                let (email, hostname) = (email.clone(), hostname.clone());
                Who::Certified { authorities, names: Names { issuer: None, email, hostname } }
            }
        };
        Ok(Self { who, logs: PublicKey::load(rekor)? })
    }

    /// Returns who has vouched for a signature, if it is somebody who may.
    pub(super) fn check(&self, found: &Signature) -> Result<Proof, SignatureFault> {
        let signed = found.signed();
        match &self.who {
            Who::Keys(keys) => {
                let key = keys.iter().find(|key| key.vouches_for(&signed, &found.value));
                let key = key.ok_or(SignatureFault::Stranger)?;
                let logged = self.logged(found, &signed, &key.der)?;
                Ok(Proof { key: key.fingerprint.clone(), signer: None, logged })
            }
            Who::Certified { authorities, names } => {
                let certificate =
                    found.certificates.first().ok_or(SignatureFault::NoCertificate)?;
                // A certificate of Fulcio was good for ten minutes: the log knows whether these were the ones.
                let logged = self.logged(found, &signed, certificate)?;
                let at = logged.unwrap_or_else(now);
                let certified = authorities.check(&found.certificates, names, at)?;
                if !certified.key.vouches_for(&signed, &found.value) {
                    return Err(SignatureFault::Stranger);
                }
                let key = certified.key.fingerprint;
                Ok(Proof { key, signer: Some(certified.signer), logged })
            }
        }
    }

    /// Returns the time at which a log took a signature; nothing if none has to.
    fn logged(
        &self,
        found: &Signature,
        signed: &[u8],
        verifier: &[u8],
    ) -> Result<Option<Duration>, SignatureFault> {
        if self.logs.is_empty() {
            return Ok(None);
        }
        let logged = Logged {
            signed,
            payload: &found.payload,
            signature: &found.value,
            verifier,
            form: found.form,
        };
        Ok(Some(super::log::check(found.entry.as_ref(), &self.logs, &logged)?))
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// Reads what a policy names. Blocks.
fn read(material: &Material) -> Result<Vec<u8>, KeyFault> {
    match material {
        Material::Data(bytes) => Ok(bytes.clone()),
        Material::Path(path) => {
            let failed = |source| KeyFault::Read { path: PathBuf::clone(path), source };
            file::read(path, MAX_KEY).map_err(failed)
        }
    }
}

impl Signed {
    /// Reads the files that it names. Blocks.
    pub(crate) fn trusted(&self) -> impl FnOnce() -> Result<Trusted, KeyFault> + Send + 'static {
        let (authority, rekor) = (self.authority.clone(), self.rekor.clone());
        move || Trusted::load(&authority, &rekor)
    }
}
