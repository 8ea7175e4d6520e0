//! The client of the Engine API: the only way from a verb to images.
//!
//! A daemon at a socket and the engine in this process are reached by the same requests over HTTP/1.1; only
//! [`transport`] knows the difference. Requests go one after the other over one connection, which is opened again
//! where the daemon has closed it.
//!
//! # Flow
//! The first request asks `HEAD /_ping` for the daemon's API version; paths then carry the older one of that and
//! [`MAX_VERSION`]. `DOCKER_API_VERSION` fixes the version, and nothing is asked.
//!
//! # Cancellation
//! Dropping a request or a half-read answer closes the connection, by which the daemon notices and stops.

mod endpoint;
mod host;
mod response;
#[cfg(test)]
mod tests;
mod tls;
mod transport;
mod tunnel;
mod upload;

use std::fs::File;

use api::{ApiVersion, Query, escape_path};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use tokio::sync::{Mutex, OnceCell};

pub(crate) use endpoint::Endpoint;
pub(crate) use host::{Host, HostError};
pub(crate) use response::{Messages, Response};
pub(crate) use tls::{TlsMaterial, public_tls};
use transport::{Connection, Connector};
use upload::handed_over;
pub(crate) use upload::{Feed, RequestBody, Source, body_by, body_of};

pub(crate) use transport::{Local, Pipe};

use crate::error::CliError;

/// The newest version of the API that this client speaks.
pub(crate) const MAX_VERSION: ApiVersion = ApiVersion::new(1, 50);
/// The version of a daemon that names none: the last one before daemons did.
const UNSAID_VERSION: ApiVersion = ApiVersion::new(1, 24);

/// A client of one daemon.
#[derive(Debug)]
pub(crate) struct Client {
    connector: Connector,
    /// The version that the user fixed.
    fixed_version: Option<ApiVersion>,
    daemon: OnceCell<Daemon>,
    /// The version of a request that needs a newer one than [`MAX_VERSION`].
    raised_version: OnceCell<ApiVersion>,
    connection: Mutex<Option<Connection>>,
}

/// Version and make of a daemon, as it tells them itself.
#[derive(Clone, Copy, Debug)]
struct Daemon {
    version: ApiVersion,
    is_ours: bool,
}

/// The parts of a request besides method and path.
#[derive(Default)]
pub(crate) struct Call {
    /// The parameters.
    pub(crate) query: Query,
    /// A JSON document to send.
    pub(crate) body: Option<Vec<u8>>,
    /// Credentials for the registry, for the header of that name.
    pub(crate) registry_auth: Option<String>,
    /// True to be told facts in a progress stream, too.
    pub(crate) facts: bool,
    /// The token of a file that was handed over in place of a body.
    pub(crate) file: Option<String>,
    /// A name by which the daemon can be asked afterwards why its answer was broken off.
    pub(crate) operation: Option<String>,
}

impl std::fmt::Debug for Call {
    /// Prints neither credentials nor a body, which may be some.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Call").field("query", &self.query).finish_non_exhaustive()
    }
}

impl Call {
    /// A call with parameters alone.
    pub(crate) fn query(query: Query) -> Call {
        Call { query, ..Call::default() }
    }
}

impl Client {
    /// Makes a client for a daemon at a socket or an address.
    pub(crate) fn remote(
        endpoint: impl Into<Endpoint>,
        fixed_version: Option<ApiVersion>,
    ) -> Client {
        Client::new(Connector::Remote(Box::new(endpoint.into())), fixed_version)
    }

    /// Makes a client for the engine in this process, which is started by the first request.
    pub(crate) fn local(local: Local, fixed_version: Option<ApiVersion>) -> Client {
        Client::new(Connector::Local(Box::new(local)), fixed_version)
    }

    fn new(connector: Connector, fixed_version: Option<ApiVersion>) -> Client {
        Client {
            connector,
            fixed_version,
            daemon: OnceCell::new(),
            raised_version: OnceCell::new(),
            connection: Mutex::new(None),
        }
    }

    /// Returns the version that requests carry, asking the daemon if that is not known yet.
    pub(crate) async fn version(&self) -> Result<ApiVersion, CliError> {
        if let Some(version) = self.fixed_version {
            return Ok(version);
        }
        if let Some(version) = self.raised_version.get() {
            return Ok(*version);
        }
        Ok(MAX_VERSION.min(self.daemon().await?.version))
    }

    /// Speaks a newer version from now on than the daemon is spoken to otherwise. Fails if it is too old for that.
    pub(crate) async fn speak(&self, flag: &str, version: ApiVersion) -> Result<(), CliError> {
        let spoken = match self.fixed_version {
            Some(fixed) => fixed,
            None => self.daemon().await?.version,
        };
        if spoken < version {
            return Err(too_old(flag, version, spoken));
        }
        if self.fixed_version.is_none() {
            // Two that speak one newer version are one.
            let _ = self.raised_version.set(version);
        }
        Ok(())
    }

    async fn daemon(&self) -> Result<Daemon, CliError> {
        self.daemon.get_or_try_init(|| self.ping()).await.copied()
    }

    /// Fails if the daemon is too old for a flag.
    pub(crate) async fn require(&self, flag: &str, minimum: ApiVersion) -> Result<(), CliError> {
        let version = self.version().await?;
        if version >= minimum {
            return Ok(());
        }
        Err(too_old(flag, minimum, version))
    }

    /// Fails if the daemon is none of Longshore's, which alone knows a flag: others would pass its parameter over in silence.
    pub(crate) async fn require_longshore(&self, flag: &str) -> Result<(), CliError> {
        if self.daemon().await?.is_ours {
            return Ok(());
        }
        Err(CliError::Refused(format!("the daemon is not Longshore's, and does not know {flag}")))
    }

    async fn ping(&self) -> Result<Daemon, CliError> {
        let ping = self.build(Method::HEAD, "/_ping", &Call::default())?;
        let response = self.send(ping).await?;
        let said = response.header("api-version").and_then(|version| version.parse().ok());
        let is_ours = response.is_longshores();
        response.drain().await;
        Ok(Daemon { version: said.unwrap_or(UNSAID_VERSION), is_ours })
    }

    /// Sends `GET` for `path`, which is escaped here and gets its version here.
    pub(crate) async fn get(&self, path: &str, call: Call) -> Result<Response, CliError> {
        self.request(Method::GET, path, call).await
    }

    /// Sends `POST`.
    pub(crate) async fn post(&self, path: &str, call: Call) -> Result<Response, CliError> {
        self.request(Method::POST, path, call).await
    }

    /// Sends `POST` with a tar as its body, which is sent while it is read.
    pub(crate) async fn upload(
        &self,
        path: &str,
        call: Call,
        body: RequestBody,
    ) -> Result<Response, CliError> {
        let versioned = format!("/v{}{path}", self.version().await?);
        let mut request = self.build(Method::POST, &versioned, &call)?;
        let tar = HeaderValue::from_static("application/x-tar");
        request.headers_mut().insert(http::header::CONTENT_TYPE, tar);
        self.send(request.map(|_| body)).await?.checked(path).await
    }

    /// Makes a body of a file: an engine in this process gets the file itself.
    pub(crate) async fn body_of_file(
        &self,
        file: File,
        name: String,
        size: u64,
    ) -> Result<(RequestBody, Source), CliError> {
        if let Some(token) = self.connector.hand_over(&file).await? {
            return Ok(handed_over(token, name, size));
        }
        let (body, source) = body_of(file, name);
        Ok((body, source.of_size(Some(size))))
    }

    /// Returns why an answer was broken off, if the daemon can tell, else the error that was seen of it.
    pub(crate) async fn explain(&self, operation: &str, error: CliError) -> CliError {
        if !matches!(error, CliError::Transport(_)) {
            return error;
        }
        let query = Query::new().with("operation", operation);
        match self.get("/longshore/failure", Call::query(query)).await {
            Err(told @ CliError::Daemon { status: 500, .. }) => told,
            _ => error,
        }
    }

    /// Sends `DELETE`.
    pub(crate) async fn delete(&self, path: &str, call: Call) -> Result<Response, CliError> {
        self.request(Method::DELETE, path, call).await
    }

    /// Sends a request by whatever method.
    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        call: Call,
    ) -> Result<Response, CliError> {
        let version = self.version().await?;
        let request = self.build(method, &format!("/v{version}{path}"), &call)?;
        self.send(request).await?.checked(path).await
    }

    /// Sends one request. A connection that the daemon closed since the last one is opened again.
    async fn send(&self, request: Request<RequestBody>) -> Result<Response, CliError> {
        let mut slot = self.connection.lock().await;
        let kept = match slot.take() {
            Some(mut kept) => kept.is_usable().await.then_some(kept),
            None => None,
        };
        let mut connection = match kept {
            Some(kept) => kept,
            None => self.connector.connect().await?,
        };
        let response = connection.send(request).await?;
        *slot = Some(connection);
        Ok(Response::new(response))
    }

    fn build(
        &self,
        method: Method,
        path: &str,
        call: &Call,
    ) -> Result<Request<RequestBody>, CliError> {
        let mut uri = format!("{}{}", self.connector.base_path(), escape_path(&clean(path)));
        if !call.query.is_empty() {
            uri.push('?');
            uri.push_str(&call.query.to_string());
        }
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(http::header::HOST, self.connector.host_header())
            .header(http::header::USER_AGENT, concat!("longshore/", env!("CARGO_PKG_VERSION")));
        for (name, value) in self.connector.headers() {
            request = request.header(name, value);
        }
        if call.body.is_some() {
            request = request.header(http::header::CONTENT_TYPE, "application/json");
        }
        if let Some(operation) = &call.operation {
            request = request.header(HeaderName::from_static(api::OPERATION_HEADER), operation);
        }
        if let Some(file) = &call.file {
            request = request.header(HeaderName::from_static(api::FILE_HEADER), file);
        }
        if call.facts {
            request = request.header(HeaderName::from_static(api::message::FACTS_HEADER), "1");
        }
        if let Some(auth) = &call.registry_auth {
            let mut value = HeaderValue::from_str(auth).map_err(invalid_request)?;
            value.set_sensitive(true);
            request =
                request.header(HeaderName::from_static(api::auth::REGISTRY_AUTH_HEADER), value);
        }
        let body = Full::new(Bytes::from(call.body.clone().unwrap_or_default()));
        request.body(body.map_err(|never| match never {}).boxed_unsync()).map_err(invalid_request)
    }

    /// Opens a connection for bytes that somebody else writes.
    pub(crate) async fn dial(&self) -> Result<Box<dyn Pipe>, CliError> {
        self.connector.dial().await
    }

    /// Says whether a daemon, or a store of this process, is there to be asked.
    pub(crate) fn has_store(&self) -> bool {
        self.connector.has_store()
    }

    /// Says whether one may be there, or could be made.
    pub(crate) fn could_have_store(&self) -> bool {
        self.connector.could_have_store()
    }

    /// Ends the connection and, in this process, waits for the engine to stop cleanly.
    pub(crate) async fn close(&self) {
        self.connection.lock().await.take();
        self.connector.close().await;
    }
}

fn too_old(flag: &str, minimum: ApiVersion, version: ApiVersion) -> CliError {
    CliError::Refused(format!(
        "{flag:?} requires API version {minimum}, but the Docker daemon API version is {version}"
    ))
}

/// Returns a path without empty parts, `.` and `..`, as Docker's client sends it: a name that has such parts means the
/// same to both.
fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Names are escaped and headers are base64, so this happens with a host of odd characters only.
fn invalid_request(error: impl Into<http::Error>) -> CliError {
    CliError::Host(error.into().to_string())
}
