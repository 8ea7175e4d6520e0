//! Requests about something at a registry.

use api::Query;
use api::auth::AuthConfig;
use bytes::Bytes;
use go_template::{Execution, Template, Value};
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use spec::Reference;

use crate::client::Call;
use crate::credentials::key_of_domain;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// A request about something at a registry, with the credentials for it.
pub(in crate::verbs) struct Question {
    method: Method,
    path: &'static str,
    query: Query,
    registry_auth: String,
    body: Option<Vec<u8>>,
}

impl Question {
    /// Makes one about an image's name. What is wrong with the name is told before anybody is asked.
    pub(in crate::verbs) async fn about(
        session: &Session,
        (method, path): (Method, &'static str),
        name: &str,
        platform: Option<&str>,
    ) -> Result<Self, CliError> {
        let reference = Reference::parse_familiar(name)?;
        let mut query = Query::new().with("name", reference.to_string());
        if let Some(platform) = platform.filter(|platform| !platform.is_empty()) {
            spec::Platform::parse(platform)?;
            query.add("platform", platform);
        }
        let domain = reference.repository().domain();
        Ok(Self::of(session, (method, path), domain, query).await)
    }

    /// Makes one to a registry.
    pub(in crate::verbs) async fn of(
        session: &Session,
        route: (Method, &'static str),
        domain: &str,
        query: Query,
    ) -> Self {
        let auth = session.credentials_to_read().get_or_warn(key_of_domain(domain)).await;
        Self::with_auth(route, &auth, query)
    }

    /// Makes one with credentials that were looked for already.
    pub(in crate::verbs) fn with_auth(
        (method, path): (Method, &'static str),
        auth: &AuthConfig,
        query: Query,
    ) -> Self {
        Self { method, path, query, registry_auth: auth.encode(), body: None }
    }

    pub(in crate::verbs) fn with(mut self, name: &str, value: &str) -> Self {
        self.query.add(name, value);
        self
    }

    pub(in crate::verbs) fn body(mut self, document: &impl Serialize) -> Result<Self, CliError> {
        self.body = Some(serde_json::to_vec(document).map_err(CliError::AnswerJson)?);
        Ok(self)
    }

    /// Asks the daemon, or the engine of this process; so, too, where the daemon is not Longshore's, or does not answer this
    /// there: it is the registry that counts.
    pub(in crate::verbs) async fn ask(&self, session: &Session) -> Result<Bytes, CliError> {
        let answer = session.client.request(self.method.clone(), self.path, self.call()).await;
        match answer {
            Err(error) if error.is_unknown_route() || error.is_closed_route() => {
                let client = session.in_process()?;
                let answered = async {
                    client.request(self.method.clone(), self.path, self.call()).await?.bytes().await
                };
                let answered = answered.await;
                client.close().await;
                answered
            }
            answer => answer?.bytes().await,
        }
    }

    /// Asks the daemon, or the engine of this process, and nobody else: the answer is about whom is asked.
    pub(in crate::verbs) async fn ask_daemon(&self, session: &Session) -> Result<Bytes, CliError> {
        let answer = session.client.request(self.method.clone(), self.path, self.call()).await;
        answer?.bytes().await
    }

    /// Asks for a document.
    pub(in crate::verbs) async fn document<T: DeserializeOwned>(
        &self,
        session: &Session,
    ) -> Result<T, CliError> {
        serde_json::from_slice(&self.ask(session).await?).map_err(CliError::AnswerJson)
    }

    fn call(&self) -> Call {
        Call {
            query: self.query.clone(),
            registry_auth: Some(self.registry_auth.clone()),
            body: self.body.clone(),
            ..Call::default()
        }
    }
}

/// Prints a document by a `--format`; nothing is done if there is none. A key that no document has is an error, for scripts.
pub(in crate::verbs) fn formatted(
    format: Option<&str>,
    document: &impl Serialize,
) -> Result<bool, CliError> {
    let format = format.unwrap_or_default();
    if format.is_empty() {
        return Ok(false);
    }
    if format == "json" {
        output::print_line(&serde_json::to_string(document).map_err(CliError::AnswerJson)?)?;
        return Ok(true);
    }
    let template = Template::parse(format).map_err(CliError::TemplateArgument)?;
    let json = serde_json::to_value(document).map_err(CliError::AnswerJson)?;
    output::print_line(&template.execute(&Value::from_json(&json), Execution::Strict)?)?;
    Ok(true)
}
