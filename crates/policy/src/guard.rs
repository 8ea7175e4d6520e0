//! The guard of a repository: whoever takes an image in asks it first.

use std::path::PathBuf;
use std::sync::Arc;

use registry::{Credentials, Remote};
use spec::{Descriptor, Digest, Reference};

use crate::blocking::blocking;
use crate::document::Policy;
use crate::document::name::ImageName;
use crate::document::requirement::{Requirement as Wanted, Signed};
use crate::error::{Refusal, TrustError};
use crate::judgement::{Finding, Judgement, Requirement};
use crate::signature::attached::Attached;
use crate::signature::found::Signature;
use crate::verifiers::{Question, Verifiers};

/// The settings by which images are judged. Without any, all are allowed and nobody is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// File of the policy, which is read for each operation.
    pub policy: Option<PathBuf>,
    /// The programs that are asked.
    pub verifiers: Option<Verifiers>,
}

/// The judge of the images of an operation.
#[derive(Debug)]
pub struct Guard {
    policy: Option<(PathBuf, Arc<Policy>)>,
    verifiers: Option<Verifiers>,
    /// The signatures of the repository, where images come from one.
    attached: Option<Attached>,
    credentials: Credentials,
}

impl Settings {
    /// Returns the guard for images of a repository, or of a place that is none; nothing if no setting asks for one.
    pub async fn guard(
        &self,
        remote: Option<&Remote>,
        credentials: &Credentials,
    ) -> Result<Option<Guard>, TrustError> {
        let policy = match self.policy.clone() {
            None => None,
            Some(path) => {
                let file = path.clone();
                let read = blocking(move || Policy::read(&file)).await;
                match read {
                    Ok(policy) => Some((path, Arc::new(policy))),
                    Err(source) => return Err(TrustError::Policy { path, source }),
                }
            }
        };
        if policy.is_none() && self.verifiers.is_none() {
            return Ok(None);
        }
        Ok(Some(Guard {
            policy,
            verifiers: self.verifiers.clone(),
            attached: remote.map(Attached::new),
            credentials: credentials.clone(),
        }))
    }
}

impl Guard {
    /// Returns a guard by a policy that is in no file.
    pub fn of_policy(policy: Policy, shown: PathBuf, remote: &Remote) -> Self {
        Self {
            policy: Some((shown, Arc::new(policy))),
            verifiers: None,
            attached: Some(Attached::new(remote)),
            credentials: Credentials::Anonymous,
        }
    }

    /// Fails if an image is refused. Its name led to `root`, and that to `inner`, an image in an index for instance: either may be
    /// signed.
    pub async fn admit(
        &self,
        name: &ImageName,
        root: &Descriptor,
        inner: &[Descriptor],
    ) -> Result<Judgement, TrustError> {
        let judgement = self.judge(name, root, inner).await;
        match Refusal::of(&judgement) {
            None => Ok(judgement),
            Some(refusal) => Err(TrustError::Refused(Box::new(refusal))),
        }
    }

    /// Judges an image.
    pub async fn judge(
        &self,
        name: &ImageName,
        root: &Descriptor,
        inner: &[Descriptor],
    ) -> Judgement {
        let mut judgement = Judgement::new(name, &root.digest);
        self.ask_verifiers(&mut judgement, name, root).await;
        // Who is refused already need not be looked for at a registry.
        if judgement.is_allowed() {
            self.ask_policy(&mut judgement, name, &digests(root, inner)).await;
        }
        judgement
    }

    /// Fails if the policy refuses a manifest that is taken along with the image that a name led to. The verifiers have had their say
    /// on what it led to.
    pub async fn admit_part(
        &self,
        name: &ImageName,
        root: &Descriptor,
        part: &Descriptor,
    ) -> Result<(), TrustError> {
        let mut judgement = Judgement::new(name, &part.digest);
        self.ask_policy(&mut judgement, name, &[&root.digest, &part.digest]).await;
        Refusal::of(&judgement)
            .map_or(Ok(()), |refusal| Err(TrustError::Refused(Box::new(refusal))))
    }

    async fn ask_verifiers(&self, judgement: &mut Judgement, name: &ImageName, root: &Descriptor) {
        if let Some(verifiers) = &self.verifiers {
            let full = name.reference().map_or_else(|| name.to_string(), ToString::to_string);
            let domain = name.reference().map(|reference| reference.repository().domain());
            let credentials = domain.map(|domain| (domain, &self.credentials));
            let question = Question { name: &full, descriptor: root, credentials };
            judgement.verifiers = Box::pin(verifiers.ask(&question)).await;
        }
    }

    async fn ask_policy(&self, judgement: &mut Judgement, name: &ImageName, documents: &[&Digest]) {
        if let Some((path, policy)) = &self.policy {
            let rule = policy.rule(name);
            for wanted in rule.requirements {
                // Boxed, as most operations have no guard, and a place for its questions in all that may have one.
                let finding = Box::pin(self.look(wanted, name.reference(), documents)).await;
                judgement.requirements.push(Requirement { kind: wanted.kind(), finding });
            }
            judgement.policy = Some((path.clone(), rule.scope));
        }
    }

    async fn look(
        &self,
        wanted: &Wanted,
        name: Option<&Reference>,
        documents: &[&Digest],
    ) -> Finding {
        match wanted {
            Wanted::Anything => Finding::allowed(),
            Wanted::Reject => Finding::refused("nothing from there is allowed"),
            Wanted::Unsupported(_) => {
                Finding::refused("requirements of this type cannot be checked here")
            }
            Wanted::Signed(signed) => self.signed(signed, name, documents).await,
        }
    }

    /// Looks for a signature that is believed.
    async fn signed(
        &self,
        signed: &Signed,
        name: Option<&Reference>,
        documents: &[&Digest],
    ) -> Finding {
        let trusted = match blocking(signed.trusted()).await {
            Ok(trusted) => trusted,
            Err(fault) => return Finding::refused(fault.to_string()),
        };
        let Some(attached) = &self.attached else {
            return Finding::refused("a signature is required, and none is looked for there");
        };
        let mut reasons = Vec::new();
        for digest in documents.iter().copied() {
            let accept = |found: &Signature| found.accept(&trusted, &signed.identity, digest, name);
            if let Some(vouched) = attached.first(digest, accept, &mut reasons).await {
                return Finding::Allowed { vouched: Some(vouched), reason: String::new() };
            }
        }
        if reasons.is_empty() {
            reasons.push("a signature is required, and there is none".to_owned());
        }
        Finding::Refused(reasons)
    }
}

fn digests<'d>(root: &'d Descriptor, inner: &'d [Descriptor]) -> Vec<&'d Digest> {
    [root].into_iter().chain(inner).map(|document| &document.digest).collect()
}
