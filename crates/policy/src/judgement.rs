//! Judgements on images: for each requirement and each verifier, whether it holds and why.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use spec::Digest;

use crate::document::name::ImageName;
pub use crate::signature::form::Form;

/// The findings on an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The name that was asked for.
    pub name: String,
    /// The digest that it led to.
    pub digest: Digest,
    /// The file of the policy and the place in it, if a policy holds.
    pub policy: Option<(PathBuf, String)>,
    /// The requirements of that place, in their order.
    pub requirements: Vec<Requirement>,
    /// The verifiers that were asked, by their names.
    pub verifiers: Vec<(String, Finding)>,
}

/// A requirement and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// Its type.
    pub kind: &'static str,
    /// Its outcome.
    pub finding: Finding,
}

/// An answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It is as it should be.
    Allowed {
        /// The signature that did it, if it was one.
        vouched: Option<Vouched>,
        /// The words of a verifier.
        reason: String,
    },
    /// It is not, for these reasons.
    Refused(Vec<String>),
}

/// A signature that is believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vouched {
    /// The manifest or index that is signed.
    pub digest: Digest,
    /// The name that is signed with it; empty in a bundle, which has none.
    pub name: String,
    /// Hash of the key's DER.
    pub key: Digest,
    /// The one whom the key's certificate is for, if it has one.
    pub signer: Option<Signer>,
    /// The form that it is written in: a plain payload, or an envelope.
    pub form: Form,
    /// The time at which a log took it, in seconds since 1970, if a log had to.
    pub logged: Option<u64>,
}

/// The one whom a certificate is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// The mail addresses and hosts in it.
    pub names: String,
    /// Address of the service that knows them, as the certificate says; empty if it says none.
    pub issuer: String,
    /// Name of the authority.
    pub authority: String,
}

impl Finding {
    pub(crate) fn allowed() -> Self {
        Self::Allowed { vouched: None, reason: String::new() }
    }

    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(vec![reason.into()])
    }
}

impl Judgement {
    /// A judgement on what nobody was asked of yet.
    pub(crate) fn new(name: &ImageName, digest: &Digest) -> Self {
        let (name, digest) = (name.to_string(), digest.clone());
        Self { name, digest, policy: None, requirements: Vec::new(), verifiers: Vec::new() }
    }

    /// Says whether nothing refuses the image.
    pub fn is_allowed(&self) -> bool {
        let requirements = self.requirements.iter().map(|requirement| &requirement.finding);
        let mut all = requirements.chain(self.verifiers.iter().map(|(_, finding)| finding));
        all.all(|finding| matches!(finding, Finding::Allowed { .. }))
    }

    /// Lists the signatures that are believed.
    pub fn vouched(&self) -> impl Iterator<Item = &Vouched> {
        self.requirements.iter().filter_map(|requirement| match &requirement.finding {
            Finding::Allowed { vouched, .. } => vouched.as_ref(),
            Finding::Refused(_) => None,
        })
    }
}
