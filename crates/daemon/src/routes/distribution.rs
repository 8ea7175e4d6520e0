//! `GET /distribution/{name}/json`.

use api::distribution::DistributionInspect;
use http::StatusCode;
use spec::{Reference, ReferenceError};

use super::Answer;
use super::images::header_credentials;
use crate::connection::Call;
use crate::errors::Failure;
use crate::{Daemon, reply};

/// Asks a registry what an image is.
pub(super) async fn inspect(daemon: &Daemon, call: &Call, name: &str) -> Answer {
    let reference = match Reference::parse_familiar(name) {
        Ok(reference) => reference,
        Err(ReferenceError::LooksLikeId(_)) => {
            let message = "no manifest found for full image ID";
            return Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, message));
        }
        Err(error) => return Err(error.into()),
    };
    let repository = reference.repository().familiar();
    if repository == "scratch" {
        let message = format!("'{repository}' is a reserved name");
        return Err(Failure::new(StatusCode::FORBIDDEN, message));
    }
    let found = daemon.engine().distribution(&reference, &header_credentials(call)).await?;
    let document = DistributionInspect { descriptor: found.descriptor, platforms: found.platforms };
    Ok(reply::json(StatusCode::OK, &document))
}
