//! Signatures beside an image, and what it takes to believe one.

pub(crate) mod attached;
pub(crate) mod bundle;
pub(crate) mod certificate;
pub(crate) mod form;
pub(crate) mod found;
pub(crate) mod log;
pub(crate) mod payload;
pub(crate) mod trusted;

use spec::{Digest, Reference};

use crate::document::identity::SignedIdentity;
use crate::judgement::Vouched;
use found::{Signature, SignatureFault};
use payload::Statement;
use trusted::{Proof, Trusted};

impl Signature {
    /// Says for what somebody who is trusted has vouched, if that is this image. Nothing is read of what nobody has vouched for.
    pub(crate) fn accept(
        &self,
        trusted: &Trusted,
        identity: &SignedIdentity,
        digest: &Digest,
        name: Option<&Reference>,
    ) -> Result<Vouched, SignatureFault> {
        let Proof { key, signer, logged } = trusted.check(self)?;
        let statement = Statement::parse(self.form, &self.payload)?;
        if statement.digest != *digest {
            let (signed, image) = (statement.digest, digest.clone());
            return Err(SignatureFault::OtherDigest { signed, image });
        }
        if !identity.accepts(name, statement.name.as_deref()) {
            let taken = identity.taken(name);
            return Err(match statement.name {
                Some(signed) => SignatureFault::OtherName { signed, taken },
                None => SignatureFault::NoName,
            });
        }
        let name = statement.name.unwrap_or_default();
        let (digest, form) = (digest.clone(), self.form);
        let logged = logged.map(|time| time.as_secs());
        Ok(Vouched { digest, name, key, signer, form, logged })
    }
}

#[cfg(test)]
mod keyless;
#[cfg(test)]
mod tests;
