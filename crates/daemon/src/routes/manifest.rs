//! `GET /longshore/manifest/inspect`: docker's command line asks registries by itself, ours has the engine ask.

use api::manifest::{FoundManifest, ManifestInspect};
use engine::{InspectedManifest, InspectedManifests};
use http::StatusCode;
use registry::Caller;
use spec::Reference;

use crate::daemon::Daemon;
use crate::errors::{Answer, HttpError};
use crate::request::ApiRequest;
use crate::request::parameters::header_credentials;
use crate::response;

/// Fetches the manifests that a name leads to.
pub(super) async fn inspect(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let reference = Reference::parse_familiar(request.query.get("name"))?;
    let insecure = request.query.boolean("insecure");
    let credentials = header_credentials(request);
    let caller = Caller::agent_of_request(&request.headers);
    let found =
        daemon.engine().manifest_inspect(&reference, insecure, &credentials, caller).await?;
    let (is_list, manifests) = match found {
        InspectedManifests::Image(manifest) => (false, vec![*manifest]),
        InspectedManifests::Index(manifests) => (true, manifests),
    };
    let manifests = manifests.into_iter().map(document).collect::<Result<_, HttpError>>()?;
    Ok(response::json(StatusCode::OK, &ManifestInspect { is_list, manifests }))
}

fn document(found: InspectedManifest) -> Result<FoundManifest, HttpError> {
    // It was parsed as JSON, and so is text.
    let raw = String::from_utf8(found.bytes.to_vec())
        .map_err(|error| HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(FoundManifest { reference: found.reference.to_string(), descriptor: found.descriptor, raw })
}
