//! The routes of ours about registries.

use std::path::Path;

use api::registry::{Endpoint, Found, RegistryCheck, Request, Tls};
use api::verification::Verification;
use engine::EngineError;
use http::StatusCode;
use registry::{Checked, EndpointCheck, Probe, TagOrDigest, TlsCheck};
use spec::{Descriptor, Reference};

use crate::daemon::Daemon;
use crate::errors::{Answer, HttpError};
use crate::request::ApiRequest;
use crate::request::parameters::header_credentials;
use crate::response;
use crate::routes::verify;

/// `GET /longshore/registry/check`: who is asked for `name`, and what each says.
pub(super) async fn check(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let name = request.query.get("name");
    let (what, shown) = checked(name)?;
    let verification = verification(daemon, request, &what).await;
    let found = daemon
        .engine()
        .check_registry(&what, &header_credentials(request))
        .await
        .map_err(EngineError::Registry)?;
    let document = RegistryCheck { verification, ..document(shown, found) };
    Ok(response::json(StatusCode::OK, &document))
}

/// Returns the judgement on an image, where there are policies or verifiers, or why there is none.
async fn verification(
    daemon: &Daemon,
    request: &ApiRequest,
    what: &Checked,
) -> Option<Verification> {
    if !matches!(what, Checked::Image(..)) {
        return None;
    }
    let visit = verify::visit(request).ok()?;
    let judgement = daemon.engine().registry_verify(&visit, None).await;
    match judgement {
        Ok(judgement) => judgement.map(|judgement| verify::document(&visit, Some(judgement))),
        Err(EngineError::Trust(error)) => Some(verify::unjudged(&visit, error.to_string())),
        Err(error) => {
            let reason = format!("the image cannot be judged: {}", error.message());
            Some(verify::unjudged(&visit, reason))
        }
    }
}

/// Tells a registry from an image. What could be both is an image, unless it looks like a host.
fn checked(name: &str) -> Result<(Checked, String), HttpError> {
    if name.is_empty() {
        return Err(HttpError::invalid("name is required: an image or a registry"));
    }
    if let Some(bare) = api::registry::host(name) {
        let registry = domain(bare)?;
        return Ok((Checked::Registry(registry.clone()), registry));
    }
    let reference = Reference::parse_familiar(name)?;
    let target = TagOrDigest::from(&reference);
    let shown = reference.clone().with_default_tag().familiar();
    Ok((Checked::Image(reference.repository().clone(), target), shown))
}

/// Reads the host of a registry: the grammar of names decides what one may be.
pub(super) fn domain(host: &str) -> Result<String, HttpError> {
    let probe = Reference::parse_familiar(&format!("{host}/a/b"))?;
    Ok(probe.repository().domain().to_owned())
}

pub(super) fn described(found: &Descriptor) -> Found {
    Found {
        digest: found.digest.to_string(),
        media_type: found.media_type.to_string(),
        size: found.size,
    }
}

fn document(name: String, check: registry::RegistryCheck) -> RegistryCheck {
    RegistryCheck {
        name,
        registry: check.registry,
        hosts_file: check.hosts_file.map(|path| path.display().to_string()),
        warnings: check.warnings,
        endpoints: check.endpoints.into_iter().map(endpoint).collect(),
        resolver: check.resolver,
        provider: check.provider,
        verification: None,
    }
}

fn endpoint(check: EndpointCheck) -> Endpoint {
    let text = |path: &Path| path.display().to_string();
    let tls = match check.tls {
        TlsCheck::Plain => Tls { mode: "none".to_owned(), ..Tls::default() },
        TlsCheck::Unverified => Tls { mode: "unverified".to_owned(), ..Tls::default() },
        TlsCheck::Verified { authorities, identities } => Tls {
            mode: "verified".to_owned(),
            ca: authorities.iter().map(|path| text(path)).collect(),
            client: identities.iter().map(|path| text(path)).collect(),
        },
    };
    Endpoint {
        url: check.url,
        mirror: check.mirror,
        from: check.setting,
        capabilities: check.capabilities.into_iter().map(str::to_owned).collect(),
        tls,
        proxy: check.proxy,
        headers: check.headers,
        credentials: check.credentials.map(|origin| match origin.as_str() {
            registry::GIVEN => api::registry::GIVEN.to_owned(),
            _ => origin,
        }),
        requests: check.probes.into_iter().map(request).collect(),
        works: check.works,
    }
}

fn request(probe: Probe) -> Request {
    Request {
        request: probe.request,
        status: probe.status,
        error: probe.error,
        found: probe.found.as_ref().map(described),
        milliseconds: u64::try_from(probe.took.as_millis()).unwrap_or(u64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_told_from_images() {
        for (name, expected) in [
            ("alpine", "docker.io/library/alpine latest"),
            ("alpine:3", "docker.io/library/alpine 3"),
            ("alpine:3.19", "docker.io/library/alpine 3.19"),
            ("r.example:latest", "docker.io/library/r.example latest"),
            ("ghcr.io/a/b", "ghcr.io/a/b latest"),
            ("localhost:5000/a", "localhost:5000/a latest"),
            ("ghcr.io", "registry ghcr.io"),
            ("docker.io", "registry docker.io"),
            ("127.0.0.1:5000", "registry 127.0.0.1:5000"),
            ("[::1]:5000", "registry [::1]:5000"),
            ("localhost", "registry localhost"),
            ("localhost:5000", "registry localhost:5000"),
            ("registry:5000/", "registry registry:5000"),
            ("", "name is required: an image or a registry"),
            ("A", "invalid reference format: repository name (library/A) must be lowercase"),
            ("..", "invalid reference format"),
            ("a b.c", "invalid reference format"),
        ] {
            let shown = match checked(name) {
                Ok((Checked::Registry(registry), _)) => format!("registry {registry}"),
                Ok((Checked::Image(repository, target), _)) => format!("{repository} {target}"),
                Err(failure) => failure.message,
            };
            assert_eq!(shown, expected, "{name}");
        }
    }
}
