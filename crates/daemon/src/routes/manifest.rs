//! `GET /longshore/manifest/inspect`: docker's command line asks registries by itself, ours has the engine ask.

use api::manifest::{FoundManifest, ManifestInspect};
use engine::{InspectedManifest, InspectedManifests};
use http::StatusCode;
use registry::Caller;
use spec::Reference;

use super::Answer;
use super::parameters::header_credentials;
use crate::connection::Call;
use crate::errors::Failure;
use crate::{Daemon, reply};

/// Fetches the manifests that a name leads to.
pub(super) async fn inspect(daemon: &Daemon, call: &Call) -> Answer {
    let reference = Reference::parse_familiar(call.query.get("name"))?;
    let insecure = call.query.boolean("insecure");
    let credentials = header_credentials(call);
    let caller = Caller::agent_of_request(&call.headers);
    let found =
        daemon.engine().manifest_inspect(&reference, insecure, &credentials, caller).await?;
    let (is_list, manifests) = match found {
        InspectedManifests::Image(manifest) => (false, vec![*manifest]),
        InspectedManifests::Index(manifests) => (true, manifests),
    };
    let manifests = manifests.into_iter().map(document).collect::<Result<_, Failure>>()?;
    Ok(reply::json(StatusCode::OK, &ManifestInspect { is_list, manifests }))
}

fn document(found: InspectedManifest) -> Result<FoundManifest, Failure> {
    // It was parsed as JSON, and so is text.
    let raw = String::from_utf8(found.bytes.to_vec())
        .map_err(|error| Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(FoundManifest { reference: found.reference.to_string(), descriptor: found.descriptor, raw })
}
