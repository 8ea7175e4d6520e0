//! Errors of an image that is not taken.

use std::path::PathBuf;

use spec::Digest;

use crate::document::PolicyFault;
use crate::judgement::{Finding, Judgement};

/// The most reasons that an error tells: a repository may have any number of strangers' signatures.
const MAX_REASONS: usize = 5;

/// The reason for which an image is not taken.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The policy cannot be read, so that nobody knows what it would say.
    #[error("image policy {} cannot be used: {source}", path.display())]
    Policy {
        /// The file.
        path: PathBuf,
        /// Its fault.
        source: PolicyFault,
    },
    /// A policy or a verifier refuses the image.
    #[error(transparent)]
    Refused(Box<Refusal>),
}

/// The word of a policy or a verifier against an image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("image {name} ({digest}) is refused by {by}: {reason}")]
pub struct Refusal {
    /// The name that was asked for.
    pub name: String,
    /// The digest that it led to.
    pub digest: Digest,
    /// The policy and the place in it, or the verifier.
    pub by: String,
    /// The words of whoever refuses it.
    pub reason: String,
}

impl Refusal {
    /// Returns the first refusal of a judgement, if there is one. Verifiers come first, as they are asked first.
    pub fn of(judgement: &Judgement) -> Option<Self> {
        let refused = |by: String, kind: &str, reasons: &[String]| {
            let (name, digest) = (judgement.name.clone(), judgement.digest.clone());
            let mut reason =
                reasons.iter().take(MAX_REASONS).cloned().collect::<Vec<_>>().join("; ");
            if let Some(more) = reasons.len().checked_sub(MAX_REASONS).filter(|more| *more > 0) {
                reason = format!("{reason}; and {more} more");
            }
            Self { name, digest, by, reason: format!("{kind}{reason}") }
        };
        for (verifier, finding) in &judgement.verifiers {
            if let Finding::Refused(reasons) = finding {
                return Some(refused(format!("the verifier {verifier}"), "", reasons));
            }
        }
        let (path, scope) = judgement.policy.as_ref()?;
        judgement.requirements.iter().find_map(|requirement| match &requirement.finding {
            Finding::Refused(reasons) => {
                let by = format!("the policy {} ({scope})", path.display());
                Some(refused(by, &format!("{}: ", requirement.kind), reasons))
            }
            Finding::Allowed { .. } => None,
        })
    }
}
