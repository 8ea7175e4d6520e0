//! Bearer tokens: fetched from the token server that a registry names, kept until they expire.
//!
//! # Whom credentials are shown to
//!
//! The protocol is Docker's: the registry names its token server (`realm`), and credentials that were given for the
//! registry are shown to that server, whatever its host is. Whoever names the realm could have had the credentials
//! anyway, by asking for `Basic`. What is made sure of: the realm is `https` unless the registry itself is reached
//! without, credentials are shown at the realm's own host only, and a token goes only to the registry that it was fetched for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use reqwest::{Method, Url};
use serde_json::Value;

use crate::{
    RegistryError,
    auth::credentials::{Credentials, basic_header},
    error::fault::RequestFault,
    error::fields::Fields,
    error::redact,
    http::endpoint::{Call, Endpoint, Redirects},
    http::transport::{Answer, Payload},
    lock::lock,
};

/// The most that is read of a token server's answer; tokens have some kilobytes.
const MAX_ANSWER: u64 = 1 << 20;
/// Tokens count as valid for at least this long: old Docker servers did not say, and meant it.
const MIN_LIFETIME: u64 = 60;
/// Longer lifetimes are cut; renewing a token once a day costs nothing.
const MAX_LIFETIME: u32 = 24 * 60 * 60;
/// Tokens are renewed this long before they expire, as long as it takes to use them.
const MARGIN: Duration = Duration::from_secs(5);
/// Docker's name for itself towards token servers.
const CLIENT_ID: &str = "docker";
/// The most tokens kept; a push to one repository needs two.
const MAX_KEPT: usize = 256;

/// The key of a cached token: all that it depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct TokenKey {
    /// The registry that gets it: no other may, even if it names the same server.
    pub(crate) registry: String,
    pub(crate) realm: String,
    pub(crate) service: Option<String>,
    pub(crate) scopes: Vec<String>,
    pub(crate) credentials: Credentials,
}

/// A token as it was fetched.
#[derive(Clone)]
pub(crate) struct BearerToken {
    /// The whole `Authorization` header.
    pub(crate) header: HeaderValue,
    expires: Instant,
    /// A refresh token, if the server gave one.
    pub(crate) identity: Option<String>,
}

impl BearerToken {
    /// Tells whether a registry that has refused `refused` is likely to take this token now.
    fn serves(&self, refused: Option<&HeaderValue>, now: Instant) -> bool {
        self.expires > now && Some(&self.header) != refused
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<BearerToken>>>;

/// Tokens in use. Parallel requests for the same token wait for one fetch.
#[derive(Default)]
pub(crate) struct TokenCache {
    slots: Mutex<HashMap<TokenKey, Slot>>,
}

impl TokenCache {
    /// Returns a token that is valid and is not `refused`, fetching it if there is none.
    ///
    /// A caller that gives up while it fetches leaves the fetching to the next one that waits.
    pub(crate) async fn get(
        &self,
        endpoint: &Endpoint,
        key: TokenKey,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, RequestFault> {
        let slot = self.slot(&key);
        let mut slot = slot.lock().await;
        if let Some(token) = slot.as_ref().filter(|token| token.serves(refused, Instant::now())) {
            return Ok(token.header.clone());
        }
        *slot = None;
        let token = fetch(endpoint, &key, false).await?;
        let header = token.header.clone();
        *slot = Some(token);
        Ok(header)
    }

    fn slot(&self, key: &TokenKey) -> Slot {
        let mut slots = lock(&self.slots);
        if let Some(slot) = slots.get(key) {
            return Arc::clone(slot);
        }
        if slots.len() >= MAX_KEPT {
            let now = Instant::now();
            let used = |slot: &Slot| Arc::strong_count(slot) > 1;
            let valid = |slot: &Slot| {
                let token = slot.try_lock();
                token.is_ok_and(|token| token.as_ref().is_some_and(|token| token.expires > now))
            };
            slots.retain(|_, slot| used(slot) || valid(slot));
            if slots.len() >= MAX_KEPT {
                slots.retain(|_, slot| used(slot));
            }
        }
        Arc::clone(slots.entry(key.clone()).or_default())
    }
}

/// Fetches a token. `offline` asks for a refresh token too, as a login does.
pub(crate) async fn fetch(
    endpoint: &Endpoint,
    key: &TokenKey,
    offline: bool,
) -> Result<BearerToken, RequestFault> {
    let Realm { url: realm, said } = realm(endpoint, &key.realm)?;
    let token_error = |error: RegistryError| match &said {
        Some(said) if error.is_unreachable() => {
            RequestFault::InsecureRealm { realm: said.clone(), failure: Box::new(error) }
        }
        _ => RequestFault::Token(Box::new(error)),
    };
    let answer = match &key.credentials {
        Credentials::IdentityToken { username, token } => {
            let posted = send(endpoint, post(&realm, key, token)).await.map_err(token_error)?;
            // Some servers know the older way only, and take the refresh token for a password there.
            if matches!(posted.status(), StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) {
                let basic = Some((username.as_str(), token.as_str()));
                send(endpoint, get(&realm, key, basic, offline)).await.map_err(token_error)?
            } else {
                posted
            }
        }
        credentials => {
            let basic = credentials.basic();
            send(endpoint, get(&realm, key, basic, offline)).await.map_err(token_error)?
        }
    };
    if answer.status() != StatusCode::OK {
        return Err(token_error(answer.refuse().await));
    }
    let body = answer.collect("token", MAX_ANSWER).await.map_err(token_error)?;
    read(&body, SystemTime::now())
}

async fn send(endpoint: &Endpoint, mut call: Call) -> Result<Answer, RegistryError> {
    // The registry has just answered, so that its token server is likely to do so, too.
    endpoint.exchange(&mut call, None, true).await
}

/// The realm of a challenge: the token server.
struct Realm {
    url: Url,
    /// The registry's own words, where they are without TLS.
    said: Option<String>,
}

/// Parses the realm. One that would carry credentials in the open is asked by TLS: behind a proxy that ends TLS, registries
/// know no better.
fn realm(endpoint: &Endpoint, realm: &str) -> Result<Realm, RequestFault> {
    let bad = || RequestFault::BadRealm { realm: redact::clean(realm, 256) };
    let mut url = Url::parse(realm).map_err(|_| bad())?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad());
    }
    match url.scheme() {
        "https" => Ok(Realm { url, said: None }),
        "http" if endpoint.is_insecure() || endpoint.scheme() == "http" => {
            Ok(Realm { url, said: None })
        }
        "http" => {
            let said = Some(redact::shown(&url));
            url.set_scheme("https").map_err(|()| bad())?;
            Ok(Realm { url, said })
        }
        _ => Err(bad()),
    }
}

/// Distribution's token specification: parameters in the query, credentials as Basic.
fn get(realm: &Url, key: &TokenKey, basic: Option<(&str, &str)>, offline: bool) -> Call {
    let mut url = realm.clone();
    {
        let mut query = url.query_pairs_mut();
        if let Some(service) = key.service.as_deref().filter(|service| !service.is_empty()) {
            query.append_pair("service", service);
        }
        for scope in &key.scopes {
            query.append_pair("scope", scope);
        }
        if offline {
            query.append_pair("offline_token", "true").append_pair("client_id", CLIENT_ID);
        }
        if let Some((username, _)) = basic {
            query.append_pair("account", username);
        }
    }
    if url.query() == Some("") {
        url.set_query(None);
    }
    // Who has nothing to show may be led anywhere.
    let redirects = if basic.is_some() { Redirects::SameHost } else { Redirects::Follow };
    let mut call = Call::new(Method::GET, url).redirects(redirects).quick().told();
    if let Some((username, password)) = basic {
        call = call.header(header::AUTHORIZATION, &basic_header(username, password));
        if let Some(value) = call.headers.get_mut(header::AUTHORIZATION) {
            value.set_sensitive(true);
        }
    }
    call
}

/// Distribution's OAuth2 specification: a form with the refresh token.
fn post(realm: &Url, key: &TokenKey, refresh: &str) -> Call {
    let mut form = realm.clone();
    form.set_query(None);
    form.query_pairs_mut()
        .append_pair("grant_type", "refresh_token")
        .append_pair("service", key.service.as_deref().unwrap_or_default())
        .append_pair("client_id", CLIENT_ID)
        .append_pair("scope", &key.scopes.join(" "))
        .append_pair("refresh_token", refresh);
    let body = Bytes::from(form.query().unwrap_or_default().to_owned());
    Call::new(Method::POST, realm.clone())
        .redirects(Redirects::SameHost)
        .quick()
        .told()
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .payload(Payload::Bytes(body))
}

fn read(body: &[u8], now: SystemTime) -> Result<BearerToken, RequestFault> {
    let answer = Fields::parse(body)
        .map_err(|error| RequestFault::BadToken { reason: error.to_string() })?;
    let token = answer.text("access_token").or_else(|| answer.text("token"));
    let token = token.ok_or(RequestFault::NoToken)?;
    let mut header = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| {
        RequestFault::BadToken { reason: "the token cannot be in a header".to_owned() }
    })?;
    header.set_sensitive(true);
    let left = lifetime(&answer, now).saturating_sub(MARGIN);
    let identity = answer.text("refresh_token").map(ToOwned::to_owned);
    Ok(BearerToken { header, expires: Instant::now() + left, identity })
}

/// Returns a number of seconds that some servers give fractions of.
fn whole_seconds(seconds: Option<f64>) -> Option<u64> {
    let seconds = seconds?.clamp(0.0, f64::from(MAX_LIFETIME));
    Duration::try_from_secs_f64(seconds).ok().map(|whole| whole.as_secs())
}

/// Returns how long a token is valid from now on.
fn lifetime(answer: &Fields, now: SystemTime) -> Duration {
    // Some servers write the number as text.
    let seconds = match answer.get("expires_in") {
        Some(Value::Number(number)) => whole_seconds(number.as_f64()),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let whole =
        Duration::from_secs(seconds.unwrap_or_default().clamp(MIN_LIFETIME, MAX_LIFETIME.into()));
    let issued = answer.text("issued_at").and_then(|text| text.parse::<jiff::Timestamp>().ok());
    // The server's clock decides only where it agrees with ours as far as to leave any time at all.
    let age = issued.and_then(|issued| now.duration_since(SystemTime::from(issued)).ok());
    match age.and_then(|age| whole.checked_sub(age)) {
        Some(left) if left > MARGIN => left,
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_names_of_a_token() {
        for (body, expected) in [
            (r#"{"token":"a"}"#, "Bearer a"),
            (r#"{"Token":"a"}"#, "Bearer a"),
            (r#"{"access_token":"b"}"#, "Bearer b"),
            (r#"{"token":"a","access_token":"b"}"#, "Bearer b"),
            (r#"{"token":"a","access_token":"","expires_in":null}"#, "Bearer a"),
            ("{}", "authorization server did not include a token in the response"),
            (r#"{"token":""}"#, "authorization server did not include a token in the response"),
            (
                r#"{"token":"a\r\nX: y"}"#,
                "unable to decode token response: the token cannot be in a header",
            ),
            ("7", "unable to decode token response: invalid type"),
            ("", "unable to decode token response: EOF"),
        ] {
            let shown = match read(body.as_bytes(), SystemTime::now()) {
                Ok(token) => token.header.to_str().unwrap().to_owned(),
                Err(error) => error.to_string(),
            };
            assert!(shown.starts_with(expected), "{body}: {shown}");
        }
    }

    #[test]
    fn lifetimes_have_both_bounds() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let issued = |text: &str| format!(r#""issued_at":"{text}""#);
        for (fields, expected) in [
            (String::new(), 60),
            (r#""expires_in":300"#.to_owned(), 300),
            (r#""expires_in":"300""#.to_owned(), 300),
            (r#""expires_in":299.9"#.to_owned(), 299),
            (r#""expires_in":1"#.to_owned(), 60),
            (r#""expires_in":-5"#.to_owned(), 60),
            (r#""expires_in":1e300"#.to_owned(), u64::from(MAX_LIFETIME)),
            (format!(r#""expires_in":300,{}"#, issued("1970-01-12T13:45:00Z")), 200),
            // Clocks that disagree, and nonsense.
            (format!(r#""expires_in":300,{}"#, issued("1970-01-12T10:00:00Z")), 300),
            (format!(r#""expires_in":300,{}"#, issued("2070-01-12T10:00:00Z")), 300),
            (format!(r#""expires_in":300,{}"#, issued("yesterday")), 300),
        ] {
            let answer = Fields::parse(format!("{{{fields}}}").as_bytes()).unwrap();
            assert_eq!(lifetime(&answer, now).as_secs(), expected, "{fields}");
        }
    }

    #[test]
    fn a_token_serves_until_it_expires_or_is_refused() {
        let body = br#"{"token":"a","expires_in":300}"#;
        let token = read(body, SystemTime::now()).unwrap();
        let at = |seconds| Instant::now() + Duration::from_secs(seconds);
        let other = HeaderValue::from_static("Bearer b");
        for (refused, now, expected) in [
            (None, at(0), true),
            (None, at(290), true),
            (None, at(300), false),
            (Some(&token.header), at(0), false),
            (Some(&other), at(0), true),
        ] {
            assert_eq!(token.serves(refused, now), expected, "{refused:?} {now:?}");
        }
    }

    #[test]
    fn the_cache_is_bounded() {
        let cache = TokenCache::default();
        let key = |number: usize| TokenKey {
            registry: number.to_string(),
            realm: String::new(),
            service: None,
            scopes: Vec::new(),
            credentials: Credentials::Anonymous,
        };
        let used = cache.slot(&key(0));
        for number in 1..MAX_KEPT * 3 {
            cache.slot(&key(number));
        }
        assert!(cache.slots.lock().unwrap().len() <= MAX_KEPT);
        assert!(Arc::ptr_eq(&used, &cache.slot(&key(0))), "a slot in use stays");
    }
}
