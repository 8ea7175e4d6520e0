//! Manifests of a registry.

use api::Query;
use api::manifest::ManifestInspect;
use http::Method;
use spec::Reference;

use crate::credentials::key_of_domain;
use crate::error::CliError;
use crate::session::Session;
use crate::verbs::registry::Question;

/// Fetches the manifests that a name leads to at its registry.
pub(super) async fn fetch(
    session: &Session,
    reference: &Reference,
    insecure: bool,
) -> Result<ManifestInspect, CliError> {
    let key = key_of_domain(reference.repository().domain());
    // As Docker does: what can be had without credentials still can.
    let auth = session.credentials_to_read().get(key).await.unwrap_or_default();
    let mut query = Query::new().with("name", reference.to_string());
    if insecure {
        query.add("insecure", "1");
    }
    let question = Question::with_auth((Method::GET, "/longshore/manifest/inspect"), &auth, query);
    question.document(session).await.map_err(|error| match undaemoned(error) {
        // Docker asks whether there is a registry at all before it asks for anything.
        CliError::Refused(message)
            if message.starts_with("Get \"") && message.contains("/v2/\": ") =>
        {
            let what = "failed to configure transport: error pinging v2 registry";
            CliError::Refused(format!("{what}: {message}"))
        }
        error => error,
    })
}

/// Docker has no daemon in between.
pub(super) fn undaemoned(error: CliError) -> CliError {
    match error {
        CliError::Daemon { message, .. } => CliError::Refused(message),
        error => error,
    }
}
