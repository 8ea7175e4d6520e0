//! Manifests of a registry.

use api::Query;
use api::auth::AuthConfig;
use api::manifest::ManifestInspect;
use spec::Reference;

use crate::client::{Call, Client};
use crate::credentials::key_of_domain;
use crate::error::CliError;
use crate::session::Session;

/// Fetches the manifests that a name leads to at its registry.
pub(super) async fn fetch(
    session: &Session,
    reference: &Reference,
    insecure: bool,
) -> Result<ManifestInspect, CliError> {
    let key = key_of_domain(reference.repository().domain());
    // As Docker does: what can be had without credentials still can.
    let auth = session.credentials_to_read().get(key).await.unwrap_or_default();
    let found = match ask(&session.client, reference, insecure, &auth).await {
        // A daemon that is not Longshore's, or does not answer this there: this process asks, as docker's own would.
        Err(error) if error.is_unknown_route() || error.is_closed_route() => {
            let client = session.in_process()?;
            let found = ask(&client, reference, insecure, &auth).await;
            client.close().await;
            found
        }
        found => found,
    };
    found.map_err(undaemoned)
}

/// Docker has no daemon in between.
pub(super) fn undaemoned(error: CliError) -> CliError {
    match error {
        CliError::Daemon { message, .. } => CliError::Refused(message),
        error => error,
    }
}

async fn ask(
    client: &Client,
    reference: &Reference,
    insecure: bool,
    auth: &AuthConfig,
) -> Result<ManifestInspect, CliError> {
    let mut query = Query::new().with("name", reference.to_string());
    if insecure {
        query.add("insecure", "1");
    }
    let call = Call { query, registry_auth: Some(auth.encode()), ..Call::default() };
    client.get("/longshore/manifest/inspect", call).await?.json().await
}
