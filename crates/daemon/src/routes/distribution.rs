//! `GET /distribution/{name}/json`.

use api::distribution::DistributionInspect;
use http::StatusCode;
use registry::Caller;
use spec::{Digest, Reference, ReferenceError};

use crate::daemon::Daemon;
use crate::errors::{Answer, HttpError};
use crate::request::ApiRequest;
use crate::request::parameters::header_credentials;
use crate::response;

/// Asks a registry what an image is.
pub(super) async fn inspect(daemon: &Daemon, request: &ApiRequest, name: &str) -> Answer {
    let of_image = || {
        let message = "no manifest found for full image ID";
        HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    };
    // With its algorithm in front, an image ID reads as a name and a tag, too.
    if name.parse::<Digest>().is_ok() {
        return Err(of_image());
    }
    let reference = match Reference::parse_familiar(name) {
        Ok(reference) => reference,
        Err(ReferenceError::LooksLikeId(_)) => return Err(of_image()),
        Err(error) => return Err(error.into()),
    };
    let repository = reference.repository().familiar();
    if repository == "scratch" {
        let message = format!("'{repository}' is a reserved name");
        return Err(HttpError::new(StatusCode::FORBIDDEN, message));
    }
    let (credentials, caller) =
        (header_credentials(request), Caller::agent_of_request(&request.headers));
    let found = daemon.engine().distribution(&reference, &credentials, caller).await?;
    let document = DistributionInspect { descriptor: found.descriptor, platforms: found.platforms };
    Ok(response::json(StatusCode::OK, &document))
}
