//! The login to Docker Hub by way of a browser: OAuth's device authorisation (RFC 8628), as docker does it.
//!
//! # Flow
//! [`Hub::start`] asks for a code, which the user enters in a browser; [`Hub::wait`] asks until that is done and returns
//! the tokens; [`Hub::personal_token`] makes of them the token that is kept as the password. [`Hub::revoke`] takes a
//! login back.
//!
//! # Limits
//! An answer may have 1 MiB, a request takes at most a minute, and asking ends when the code does.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

/// The largest answer that is read: tokens have some kilobytes.
const MAX_ANSWER: usize = 1024 * 1024;
/// The time that one request may take.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The time that a connection may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The time that a "slow down" adds to that between two questions (RFC 8628, 3.5).
const SLOWER: Duration = Duration::from_secs(5);
/// The grant of a device's code.
const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The server of logins to Docker Hub.
#[derive(Debug)]
pub(crate) struct Hub {
    http: reqwest::Client,
    /// The server of logins.
    tenant: String,
    /// The API that the tokens are for.
    audience: String,
    client: String,
    /// The least time between two questions.
    least_interval: Duration,
}

/// A login that waits for its user.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Pending {
    device_code: String,
    /// The code that the user enters.
    pub(crate) user_code: String,
    /// The page to enter it at.
    #[serde(rename = "verification_uri_complete")]
    pub(crate) address: String,
    expires_in: u64,
    interval: u64,
}

impl std::fmt::Debug for Pending {
    /// Prints no code: who has one can take the tokens.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Pending").finish_non_exhaustive()
    }
}

/// The outcome of a login.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Tokens {
    /// Opens Docker Hub for a while.
    pub(crate) access_token: String,
    /// Gets new access tokens.
    pub(crate) refresh_token: String,
    error: Option<String>,
    error_description: String,
}

impl std::fmt::Debug for Tokens {
    /// Prints no token.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tokens").finish_non_exhaustive()
    }
}

/// A failure of a login by browser.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HubError {
    /// No answer, or none that can be read to its end.
    #[error("{0}")]
    Http(#[from] reqwest::Error),
    /// The answer is not what it should be.
    #[error("{0}")]
    Answer(String),
    /// The user did not come in time.
    #[error("timed out waiting for device token")]
    Expired,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusal {
    error_description: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Claims {
    #[serde(rename = "https://hub.docker.com")]
    domain: Domain,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Domain {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Personal {
    data: PersonalToken,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PersonalToken {
    token: String,
}

impl Hub {
    /// Docker Hub itself.
    pub(crate) fn new() -> Result<Hub, HubError> {
        Hub::at("https://login.docker.com", "https://hub.docker.com", Duration::from_secs(1))
    }

    fn at(tenant: &str, audience: &str, least_interval: Duration) -> Result<Hub, HubError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(crate::client::public_tls())
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .user_agent(concat!("longshore/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Hub {
            http,
            tenant: tenant.to_owned(),
            audience: audience.to_owned(),
            // The name by which Docker Hub knows command lines.
            client: "L4v0dmlNBpYUjGGab0C2JtgTgXr1Qz4d".to_owned(),
            least_interval,
        })
    }

    /// The name that logins are made in.
    pub(crate) fn client(&self) -> &str {
        &self.client
    }

    /// Asks for a code.
    pub(crate) async fn start(&self) -> Result<Pending, HubError> {
        let form = [
            ("client_id", self.client.as_str()),
            ("audience", &self.audience),
            ("scope", "openid offline_access"),
        ];
        let (status, body) = self.post("/oauth/device/code", &form).await?;
        if status != 200 {
            return Err(refusal(status, &body));
        }
        let pending: Pending = read(&body)?;
        if pending.user_code.is_empty() {
            return Err(HubError::Answer("missing user code".to_owned()));
        }
        Ok(pending)
    }

    /// Asks until the user has entered the code.
    pub(crate) async fn wait(&self, pending: &Pending) -> Result<Tokens, HubError> {
        let end = Instant::now().checked_add(Duration::from_secs(pending.expires_in));
        let mut interval = Duration::from_secs(pending.interval).max(self.least_interval);
        loop {
            let next = Instant::now() + interval;
            if end.is_none_or(|end| next > end) {
                return Err(HubError::Expired);
            }
            tokio::time::sleep_until(next).await;
            let form = [
                ("client_id", self.client.as_str()),
                ("grant_type", GRANT),
                ("device_code", &pending.device_code),
            ];
            let (_, body) = self.post("/oauth/token", &form).await?;
            let tokens: Tokens = read(&body)?;
            match tokens.error.as_deref() {
                None if tokens.access_token.is_empty() => {
                    return Err(HubError::Answer("the answer has no token".to_owned()));
                }
                None => return Ok(tokens),
                Some("authorization_pending") => {}
                Some("slow_down") => interval += SLOWER,
                Some(error) if tokens.error_description.is_empty() => {
                    return Err(HubError::Answer(error.to_owned()));
                }
                Some(_) => return Err(HubError::Answer(tokens.error_description)),
            }
        }
    }

    /// Makes the token that stands for the user's password.
    pub(crate) async fn personal_token(&self, tokens: &Tokens) -> Result<String, HubError> {
        let request = self
            .http
            .post(format!("{}/v2/access-tokens/desktop-generate", self.audience))
            .bearer_auth(&tokens.access_token)
            .header(http::header::CONTENT_TYPE, "application/json");
        let (status, body) = answer(request).await?;
        if status != 201 {
            return Err(HubError::Answer(format!("unexpected response from Hub: {status}")));
        }
        let personal: Personal = read(&body)?;
        Ok(personal.data.token)
    }

    /// Takes a login back.
    pub(crate) async fn revoke(&self, refresh_token: &str) -> Result<(), HubError> {
        let form = [("client_id", self.client.as_str()), ("token", refresh_token)];
        let (status, body) = self.post("/oauth/revoke", &form).await?;
        if status == 200 { Ok(()) } else { Err(refusal(status, &body)) }
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<(u16, Vec<u8>), HubError> {
        let form =
            form.iter().fold(api::Query::new(), |form, (name, value)| form.with(*name, *value));
        let request = self
            .http
            .post(format!("{}{path}", self.tenant))
            .header(http::header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.to_string());
        answer(request).await
    }
}

/// Sends a request; returns status and body of the answer.
async fn answer(request: reqwest::RequestBuilder) -> Result<(u16, Vec<u8>), HubError> {
    let mut response = request.send().await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(HubError::Answer(format!("the answer has more than {MAX_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response.status().as_u16(), body))
}

/// Reads a document; an error does not quote it, as it may hold tokens.
fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, HubError> {
    serde_json::from_slice(body).map_err(|error| {
        HubError::Answer(format!("failed to decode response at line {}", error.line()))
    })
}

fn refusal(status: u16, body: &[u8]) -> HubError {
    HubError::Answer(match serde_json::from_slice::<Refusal>(body) {
        Ok(refusal) if !refusal.error_description.is_empty() => refusal.error_description,
        _ => format!("unexpected response from tenant: {status}"),
    })
}

/// Returns the name of the user that a token is for. Nothing is checked: who gave the token will check it.
pub(crate) fn user_of(access_token: &str) -> Option<String> {
    let claims = access_token.split('.').nth(1)?;
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    Some(claims.domain.username)
}

#[cfg(test)]
mod tests {
    use test_support::scripted::{Answer, Scripted};

    use super::*;

    fn hub(server: &Scripted) -> Hub {
        Hub::at(&server.url(), &server.url(), Duration::ZERO).unwrap()
    }

    fn json(status: u16, text: &str) -> Answer {
        Answer::status(status).header("Content-Type", "application/json").body(text.to_owned())
    }

    #[tokio::test]
    async fn a_login_waits_for_its_user() {
        let server = Scripted::start().await.unwrap();
        server.on("POST", "/oauth/device/code", [json(200, r#"{"device_code":"d","user_code":"ABCD","verification_uri_complete":"https://x.example/a?c=1","expires_in":60,"interval":0}"#)]);
        server.on("POST", "/oauth/token", [
            json(403, r#"{"error":"authorization_pending","error_description":"wait"}"#),
            json(200, r#"{"access_token":"a.eyJodHRwczovL2h1Yi5kb2NrZXIuY29tIjp7InVzZXJuYW1lIjoibWUifX0.s","refresh_token":"r"}"#),
        ]);
        server.on(
            "POST",
            "/v2/access-tokens/desktop-generate",
            [json(201, r#"{"data":{"token":"pat"}}"#)],
        );
        server.on("POST", "/oauth/revoke", [json(200, "")]);
        let hub = hub(&server);
        let pending = hub.start().await.unwrap();
        assert_eq!(
            (pending.user_code.as_str(), pending.address.as_str()),
            ("ABCD", "https://x.example/a?c=1")
        );
        let tokens = hub.wait(&pending).await.unwrap();
        assert_eq!(user_of(&tokens.access_token).as_deref(), Some("me"));
        assert_eq!(hub.personal_token(&tokens).await.unwrap(), "pat");
        hub.revoke(&tokens.refresh_token).await.unwrap();
        let requests = server.received();
        let bodies: Vec<String> = requests
            .iter()
            .map(|request| String::from_utf8_lossy(&request.body).into_owned())
            .collect();
        assert!(bodies[0].contains("scope=openid%20offline_access"), "{bodies:?}");
        assert!(bodies[1].contains("device_code=d") && bodies[2] == bodies[1], "{bodies:?}");
        assert!(bodies[4].ends_with("&token=r"), "{bodies:?}");
    }

    #[tokio::test]
    async fn refusals_are_told_and_no_token_is() {
        for (status, body, expected) in [
            (200, r#"{"user_code":""}"#, "missing user code"),
            (200, "s3cret", "failed to decode response at line 1"),
            (400, r#"{"error_description":"no such client"}"#, "no such client"),
            (502, "bad gateway", "unexpected response from tenant: 502"),
            (302, "", "unexpected response from tenant: 302"),
        ] {
            let server = Scripted::start().await.unwrap();
            server.on("POST", "/oauth/device/code", [json(status, body)]);
            assert_eq!(hub(&server).start().await.unwrap_err().to_string(), expected, "{body}");
        }
        let pending = |expires_in| Pending { expires_in, ..Pending::default() };
        for (body, expected) in [
            (r#"{"error":"access_denied","error_description":"you said no"}"#, "you said no"),
            (r#"{"error":"expired_token"}"#, "expired_token"),
            ("{}", "the answer has no token"),
        ] {
            let server = Scripted::start().await.unwrap();
            server.on("POST", "/oauth/token", [json(403, body)]);
            let said = hub(&server).wait(&pending(60)).await.unwrap_err().to_string();
            assert_eq!(said, expected, "{body}");
        }
        let server = Scripted::start().await.unwrap();
        let late =
            Hub::at(&server.url(), "", Duration::from_secs(9)).unwrap().wait(&pending(5)).await;
        assert!(matches!(late, Err(HubError::Expired)), "{late:?}");
    }

    #[test]
    fn users_are_read_from_hostile_tokens() {
        for token in ["", ".", "a.b", "a.!!.c", "a.e30.c", "a.W10.c", "x"] {
            assert!(user_of(token).unwrap_or_default().is_empty(), "{token}");
        }
    }
}
