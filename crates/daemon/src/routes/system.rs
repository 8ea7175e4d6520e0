//! `/_ping`, `/version`, `/info` and `/auth`.

use api::ApiVersion;
use api::auth::{AuthConfig, AuthResponse, MAX_AUTH_SIZE};
use api::system::{Component, PlatformName, Version};
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, PRAGMA};
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use registry::Caller;
use spec::Platform;

use crate::daemon::Daemon;
use crate::documents::info;
use crate::errors::Answer;
use crate::request::ApiRequest;
use crate::request::body;
use crate::request::parameters::credentials;
use crate::response::{self, Body};

/// `GET` and `HEAD /_ping`.
pub(super) fn ping(request: &ApiRequest) -> Response<Body> {
    let mut response = match request.method {
        Method::HEAD => response::empty(StatusCode::OK),
        _ => response::full(StatusCode::OK, "OK"),
    };
    let headers = response.headers_mut();
    if request.method == Method::HEAD {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // The builder that the docker command line would use: without one, `docker build` is refused in clear words.
    headers.insert(HeaderName::from_static("builder-version"), HeaderValue::from_static("1"));
    headers.insert(HeaderName::from_static("swarm"), HeaderValue::from_static("inactive"));
    response
}

/// `GET /version`.
pub(super) fn version(daemon: &Daemon) -> Response<Body> {
    let version = daemon.version().to_owned();
    let kernel = daemon.machine().kernel.clone();
    let (os, arch) = {
        let host = Platform::host();
        (host.os, host.architecture)
    };
    let newest = ApiVersion::CURRENT.to_string();
    let oldest = daemon.config().min_api_version.to_string();
    let details = [
        ("ApiVersion", newest.as_str()),
        ("Arch", &arch),
        ("BuildTime", daemon.build_time()),
        ("Experimental", "false"),
        ("GitCommit", daemon.git_commit()),
        ("KernelVersion", &kernel),
        ("MinAPIVersion", &oldest),
        ("Os", &os),
    ];
    let engine = Component {
        // The name under which the docker command line looks for the daemon's own details.
        name: "Engine".to_owned(),
        version: version.clone(),
        details: details
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    };
    let document = Version {
        platform: PlatformName { name: "Longshore".to_owned() },
        version,
        api_version: newest,
        min_api_version: oldest,
        os,
        arch,
        components: vec![engine],
        git_commit: daemon.git_commit().to_owned(),
        go_version: String::new(),
        kernel_version: kernel,
        build_time: daemon.build_time().to_owned(),
    };
    response::json(StatusCode::OK, &document)
}

/// `GET /info`.
pub(super) async fn info(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let engine = daemon.engine().info().await?;
    let document = info::describe(daemon, &daemon.config(), engine, request.version);
    Ok(response::json(StatusCode::OK, &document))
}

/// `POST /auth`: a login at a registry.
pub(super) async fn auth(daemon: &Daemon, request: &ApiRequest, body: Incoming) -> Answer {
    let auth = AuthConfig::from_json(&body::document(body, MAX_AUTH_SIZE).await?)?;
    let server = auth.serveraddress.clone();
    let caller = Caller::agent_of_request(&request.headers);
    let outcome = daemon.engine().login(&credentials(auth), &server, caller).await?;
    let document = AuthResponse {
        status: outcome.status,
        identity_token: outcome.identity_token.unwrap_or_default(),
    };
    Ok(response::json(StatusCode::OK, &document))
}
