//! `GET /distribution/{name}/json`.

use api::distribution::DistributionInspect;
use http::StatusCode;
use registry::Caller;
use spec::{Digest, Reference, ReferenceError};

use super::Answer;
use super::parameters::header_credentials;
use crate::connection::Call;
use crate::errors::Failure;
use crate::{Daemon, reply};

/// Asks a registry what an image is.
pub(super) async fn inspect(daemon: &Daemon, call: &Call, name: &str) -> Answer {
    let of_image = || {
        let message = "no manifest found for full image ID";
        Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message)
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
        return Err(Failure::new(StatusCode::FORBIDDEN, message));
    }
    let (credentials, caller) = (header_credentials(call), Caller::agent_of_request(&call.headers));
    let found = daemon.engine().distribution(&reference, &credentials, caller).await?;
    let document = DistributionInspect { descriptor: found.descriptor, platforms: found.platforms };
    Ok(reply::json(StatusCode::OK, &document))
}
