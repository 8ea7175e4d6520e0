//! The judgement on an image at a registry (see [`api::verification`]).

use api::verification::{Requirement, Signature, Verification, VerificationRequest, Verifier};
use engine::Visit;
use http::StatusCode;
use hyper::body::Incoming;
use policy::{Finding, Judgement, Vouched};
use registry::Caller;
use spec::{Platform, Reference};

use crate::daemon::Daemon;
use crate::errors::{Answer, HttpError};
use crate::request::parameters::header_credentials;
use crate::request::{ApiRequest, body};
use crate::response;

/// The largest request. A key has 64 KiB at most, as in a policy, and each of its lines two letters for its end in JSON.
const MAX_REQUEST: usize = 128 << 10;

/// Reads what a request is about.
pub(super) fn visit(request: &ApiRequest) -> Result<Visit, HttpError> {
    let platform = match request.query.get("platform") {
        "" => None,
        text => Some(Platform::parse(text)?),
    };
    Ok(Visit {
        reference: Reference::parse_familiar(request.query.get("name"))?,
        platform,
        credentials: header_credentials(request),
        caller: Caller::agent_of_request(&request.headers),
    })
}

/// Judges an image by the policy and the verifiers, or by a key that the request brings.
pub(super) async fn verify(daemon: &Daemon, visit: Visit, body: Incoming) -> Answer {
    let bytes = body::document(body, MAX_REQUEST).await?;
    let request: VerificationRequest = if bytes.is_empty() {
        VerificationRequest::default()
    } else {
        serde_json::from_slice(&bytes)
            .map_err(|error| HttpError::invalid(format!("invalid JSON: {error}")))?
    };
    let key = Some(request.key.as_str()).filter(|key| !key.is_empty());
    let judgement = daemon.engine().registry_verify(&visit, key).await?;
    Ok(response::json(StatusCode::OK, &document(&visit, judgement)))
}

/// Describes a judgement; one that nobody makes allows the image.
pub(super) fn document(visit: &Visit, judgement: Option<Judgement>) -> Verification {
    let name = visit.reference.clone().with_default_tag().familiar();
    let Some(judgement) = judgement else {
        return Verification { name, allowed: true, ..Verification::default() };
    };
    let (allowed, digest) = (judgement.is_allowed(), judgement.digest.to_string());
    let (policy, scope) = judgement.policy.unzip();
    Verification {
        name,
        digest,
        allowed,
        policy: policy.map(|path| path.display().to_string()),
        scope: scope.unwrap_or_default(),
        requirements: judgement.requirements.into_iter().map(requirement).collect(),
        verifiers: judgement.verifiers.into_iter().map(verifier).collect(),
    }
}

/// Describes that there is a policy and no judgement: no image is allowed then.
pub(super) fn unjudged(visit: &Visit, reason: String) -> Verification {
    let reasons = vec![reason];
    let requirement =
        Requirement { r#type: "policy".to_owned(), reasons, ..Requirement::default() };
    let requirements = vec![requirement];
    Verification { allowed: false, requirements, ..document(visit, None) }
}

fn requirement(requirement: policy::Requirement) -> Requirement {
    let r#type = requirement.kind.to_owned();
    match requirement.finding {
        Finding::Allowed { vouched, .. } => {
            let signature = vouched.map(signature);
            Requirement { r#type, allowed: true, reasons: Vec::new(), signature }
        }
        Finding::Refused(reasons) => {
            Requirement { r#type, allowed: false, reasons, signature: None }
        }
    }
}

fn signature(vouched: Vouched) -> Signature {
    let Vouched { digest, name, key, signer, .. } = vouched;
    let signer = signer.map(|signer| signer.names).unwrap_or_default();
    Signature { digest: digest.to_string(), identity: name, key: key.to_string(), signer }
}

fn verifier((name, finding): (String, Finding)) -> Verifier {
    match finding {
        Finding::Allowed { reason, .. } => Verifier { name, allowed: true, reason },
        Finding::Refused(reasons) => Verifier { name, allowed: false, reason: reasons.join("; ") },
    }
}
