//! Requests to the server of signatures that goes with a registry, and whose doors are those of a registry.

use std::sync::Arc;

use bytes::Bytes;
use http::{StatusCode, header};
use reqwest::{Method, Url};

use crate::{
    Client, Credentials, RegistryError,
    auth::{credentials::CredentialLookup, session::Session},
    error::refusal::MAX_ERROR_BODY,
    hosts::configured::{ConfiguredHost, Security},
    http::{endpoint::Call, transport::Payload},
};

/// A server of signatures, as it is asked about one repository.
#[derive(Debug)]
pub struct NotaryServer {
    session: Session,
    /// The path of the repository's documents below the API's root.
    path: String,
}

/// The answer of such a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotaryAnswer {
    /// The bytes that were asked for.
    Found(Bytes),
    /// More than was asked for.
    TooLarge,
    /// A failure: its status, and the beginning of what is said of it.
    Failed(u16, Bytes),
}

impl Client {
    /// Returns the server at a URL, for one repository (`docker.io/library/alpine`) and these actions (`pull`, or
    /// `push,pull`). With `any_certificate`, TLS proves nothing.
    ///
    /// A server that does not answer is one all the same: the first request tells why it does not.
    pub async fn notary(
        &self,
        base: &str,
        (repository, actions): (&str, &str),
        credentials: &Credentials,
        any_certificate: bool,
    ) -> Result<NotaryServer, RegistryError> {
        let no_endpoint = || RegistryError::NoEndpoint { host: base.to_owned() };
        let mut url = Url::parse(base).map_err(|_| no_endpoint())?;
        if url.scheme() != "https" || url.host_str().is_none() {
            return Err(no_endpoint());
        }
        url.set_query(None);
        url.set_fragment(None);
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        let host = ConfiguredHost::host(&url);
        let security = if any_certificate { Security::AnyCertificate } else { Security::Verified };
        let endpoint = self.endpoint(ConfiguredHost { itself: true, security, ..host }).await?;
        let scope = Some(format!("repository:{repository}:{actions}"));
        let lookup = || CredentialLookup::given(credentials.clone());
        let opened =
            Session::open(Arc::clone(&endpoint), lookup(), scope.clone(), self.tokens()).await;
        let session = opened.unwrap_or_else(|error| {
            tracing::debug!(%error, "the trust server does not answer");
            Session::new(endpoint, lookup(), scope, self.tokens())
        });
        Ok(NotaryServer { session, path: format!("{repository}/_trust/tuf/") })
    }
}

impl NotaryServer {
    /// Returns host and port.
    pub fn location(&self) -> &str {
        &self.session.endpoint.host.written
    }

    /// Returns a document of the repository by the name of its file.
    pub async fn get(&self, name: &str, most: u64) -> Result<NotaryAnswer, RegistryError> {
        self.ask(Call::new(Method::GET, self.url(name)).at_once(), most).await
    }

    /// Sends documents of the repository.
    pub async fn post(
        &self,
        content_type: &str,
        body: Bytes,
    ) -> Result<NotaryAnswer, RegistryError> {
        let call = Call::new(Method::POST, self.url(""))
            .header(header::CONTENT_TYPE, content_type)
            .payload(Payload::Bytes(body));
        self.ask(call, MAX_ERROR_BODY as u64).await
    }

    fn url(&self, name: &str) -> Url {
        self.session.endpoint.url(&format!("{}{name}", self.path))
    }

    async fn ask(&self, call: Call, most: u64) -> Result<NotaryAnswer, RegistryError> {
        let mut answer = self.session.send(call).await?;
        if answer.status() != StatusCode::OK {
            let body = answer.prefix(MAX_ERROR_BODY).await;
            return Ok(NotaryAnswer::Failed(answer.status().as_u16(), body));
        }
        match answer.collect("trust data", most).await {
            Ok(bytes) => Ok(NotaryAnswer::Found(bytes)),
            Err(RegistryError::TooLarge { .. }) => Ok(NotaryAnswer::TooLarge),
            Err(error) => Err(error),
        }
    }
}
