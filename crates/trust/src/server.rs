//! A notary server, by HTTPS.

use registry::{Client, Credentials, NotaryAnswer, NotaryServer, RegistryConfig, RegistryError};
use serde::Deserialize;

use crate::client::Server;
use crate::{Role, TrustError};

/// The largest answer with a key, which is docker's bound.
const MAX_KEY: u64 = 256 << 10;
/// The end of one part of what is published. It is in none: these are JSON in one line.
const BOUNDARY: &str = "----longshore-trust-data";

/// The errors of a server.
#[derive(Deserialize)]
struct Failures {
    errors: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    detail: Detail,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(rename = "Name", default)]
    kind: String,
    #[serde(rename = "Error")]
    error: Words,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    Plain(String),
    Object {
        #[serde(rename = "Msg")]
        message: String,
    },
}

/// Returns what a server says against what was published, in docker's words; nothing if it says nothing, or several things.
fn rejection(body: &[u8]) -> Option<String> {
    let [failure] = serde_json::from_slice::<Failures>(body).ok()?.errors.try_into().ok()?;
    let Failure { detail: Detail { kind, error } } = failure;
    match error {
        Words::Plain(words) => Some(words),
        Words::Object { message } => {
            let head = match kind.as_str() {
                "ErrValidation" => "An error occurred during validation",
                "ErrBadHierarchy" => "Metadata hierarchy is incomplete",
                "ErrBadRoot" => "The root metadata is invalid",
                "ErrBadTargets" => "The targets metadata is invalid",
                "ErrBadSnapshot" => "The snapshot metadata is invalid",
                _ => return None,
            };
            Some(format!("{head}: {message}"))
        }
    }
}

/// Returns the server at a URL for one repository and what is done there (`pull`, or `push,pull`). It need not answer.
pub async fn connect(
    config: RegistryConfig,
    base: &str,
    scope: (&str, &str),
    credentials: &Credentials,
    any_certificate: bool,
) -> Result<NotaryServer, TrustError> {
    let client = Client::new(config).map_err(network)?;
    client.notary(base, scope, credentials, any_certificate).await.map_err(network)
}

impl Server for NotaryServer {
    fn location(&self) -> &str {
        NotaryServer::location(self)
    }

    async fn read(&self, name: &str, most: u64) -> Result<Vec<u8>, TrustError> {
        let answer = self.get(&format!("{name}.json"), most).await.map_err(network)?;
        found(answer, name)
    }

    async fn key(&self, role: &Role) -> Result<Vec<u8>, TrustError> {
        let answer = self.get(&format!("{role}.key"), MAX_KEY).await.map_err(network)?;
        found(answer, &format!("{role} key"))
    }

    async fn publish(&self, files: &[(Role, Vec<u8>)]) -> Result<(), TrustError> {
        let mut body = Vec::new();
        for (role, bytes) in files {
            let head = format!(
                "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"files\"; filename=\"{role}\"\r\n\
                 Content-Type: application/octet-stream\r\n\r\n"
            );
            body.extend_from_slice(head.as_bytes());
            body.extend_from_slice(bytes);
            body.extend_from_slice(b"\r\n");
        }
        body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let answer = self.post(&content_type, body.into()).await.map_err(network)?;
        found(answer, "POST metadata endpoint").map(drop)
    }
}

fn found(answer: NotaryAnswer, name: &str) -> Result<Vec<u8>, TrustError> {
    match answer {
        NotaryAnswer::Found(bytes) => Ok(bytes.into()),
        NotaryAnswer::TooLarge => Err(TrustError::Malicious),
        NotaryAnswer::Failed(404, _) => Err(TrustError::NotFound(name.to_owned())),
        NotaryAnswer::Failed(400, body) => Err(TrustError::Rejected(rejection(&body))),
        NotaryAnswer::Failed(status, _) => Err(TrustError::Unavailable(status)),
    }
}

/// As docker does, tells the cause alone, without the request.
#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn network(error: RegistryError) -> TrustError {
    TrustError::Network(match &error {
        RegistryError::Request(failed) => failed.fault.to_string(),
        error => error.to_string(),
    })
}
