//! The session of one [`crate::Remote`] at one endpoint: its challenges, and requests with authority.

use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use http::{HeaderValue, StatusCode};
use reqwest::{Method, Url};

use crate::{
    RegistryError,
    auth::challenge::{Challenge, challenges},
    auth::credentials::{CredentialLookup, Credentials, basic_header},
    auth::token::{self, TokenCache, TokenKey},
    error::fault::RequestFault,
    error::redact,
    http::endpoint::{Call, Endpoint},
    http::transport::Answer,
    lock::lock,
};

/// The most scopes taken over from a challenge; registries ask for one.
const MAX_SCOPES: usize = 8;

/// An endpoint that has answered.
pub(crate) struct Session {
    pub(crate) endpoint: Arc<Endpoint>,
    lookup: CredentialLookup,
    /// The scope of ordinary requests, `repository:library/alpine:pull`; a login has none.
    scope: Option<String>,
    tokens: Arc<TokenCache>,
    challenges: Mutex<Vec<Challenge>>,
    whole_blobs: AtomicBool,
    /// True if ranges are refused, and the same is answered without.
    no_ranges: AtomicBool,
    /// True if the registry is known to have no list of referrers.
    no_referrers: AtomicBool,
    /// The most that one request of an upload may carry, once that is known; 0 is any.
    largest_part: AtomicU64,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("endpoint", &self.endpoint.host.base.as_str())
            .finish_non_exhaustive()
    }
}

/// The `Authorization` of the next request.
pub(crate) struct Authorization {
    pub(crate) header: HeaderValue,
    /// True if a new one can be had.
    renewable: bool,
}

impl Session {
    /// Asks `/v2/` what the endpoint wants to see. Whatever it answers, it is a registry.
    ///
    /// An API at a path of its own need not have that page: there the first request finds out.
    pub(crate) async fn open(
        endpoint: Arc<Endpoint>,
        lookup: CredentialLookup,
        scope: Option<String>,
        tokens: Arc<TokenCache>,
    ) -> Result<Self, RegistryError> {
        let mut session = Self::new(endpoint, lookup, scope, tokens);
        if !session.endpoint.host.settings.override_path {
            let answer = session.ping().await?;
            session.read_challenges(answer).await?;
        }
        Ok(session)
    }

    /// Makes a session without asking anybody.
    pub(crate) fn new(
        endpoint: Arc<Endpoint>,
        lookup: CredentialLookup,
        scope: Option<String>,
        tokens: Arc<TokenCache>,
    ) -> Self {
        Self {
            endpoint,
            lookup,
            scope,
            tokens,
            challenges: Mutex::default(),
            whole_blobs: AtomicBool::new(false),
            no_ranges: AtomicBool::new(false),
            no_referrers: AtomicBool::new(false),
            largest_part: AtomicU64::new(0),
        }
    }

    /// Asks `/v2/`, anonymously.
    pub(crate) async fn ping(&self) -> Result<Answer, RegistryError> {
        let mut call = Call::new(Method::GET, self.endpoint.url("")).quick().at_once();
        self.endpoint.exchange(&mut call, None, false).await
    }

    /// Takes over what the answer of [`Self::ping`] asks for. As with dockerd, its status says nothing more: many a
    /// registry has not got that page, and one that cannot serve says so again to what is really asked of it.
    pub(crate) async fn read_challenges(&mut self, answer: Answer) -> Result<(), RegistryError> {
        let status = answer.status();
        // A port with TLS answers so to plain HTTP.
        let wrong_port = status == StatusCode::BAD_REQUEST && self.endpoint.guessed;
        let busy = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        // Somebody else can be asked instead.
        if wrong_port || busy && self.endpoint.host.mirror {
            return Err(answer.refuse().await);
        }
        // An answer of another host, after a redirect, is not this registry's.
        if status == StatusCode::UNAUTHORIZED && self.endpoint.owns(answer.location()) {
            *self.asked() = challenges(answer.headers());
        }
        answer.discard().await;
        Ok(())
    }

    /// Returns where the credentials are from that were shown; nothing if none were.
    pub(crate) fn origin(&self) -> Option<&str> {
        self.lookup.origin()
    }

    /// Returns who gives the token that the endpoint wants, if it wants one that is not given already.
    pub(crate) fn realm(&self) -> Option<String> {
        if let CredentialLookup::Given { found, .. } = &self.lookup
            && matches!(found.credentials, Credentials::RegistryToken(_))
        {
            return None;
        }
        let challenge = self.challenge("bearer")?;
        let url = Url::parse(challenge.parameter("realm").unwrap_or_default()).ok();
        Some(url.map_or_else(|| "its token server".to_owned(), |url| redact::shown(&url)))
    }

    /// Sends a request with authority.
    pub(crate) async fn send(&self, call: Call) -> Result<Answer, RegistryError> {
        self.send_scoped(call, &[]).await
    }

    /// Sends a request with authority also for the scopes in `extra`.
    ///
    /// Credentials are shown to the endpoint itself only: a request to another host goes without.
    pub(crate) async fn send_scoped(
        &self,
        mut call: Call,
        extra: &[String],
    ) -> Result<Answer, RegistryError> {
        let asked = (call.method.clone(), call.url.clone());
        let fail = |fault| self.endpoint.failed((&asked.0, &asked.1), fault, true);
        if !self.endpoint.owns(&call.url) {
            return self.endpoint.exchange(&mut call, None, true).await;
        }
        let shown = self.authorization(extra, None).await.map_err(fail)?;
        let header = shown.as_ref().map(|shown| &shown.header);
        let answer = self.endpoint.exchange(&mut call, header, true).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        // An answer of another host, after a redirect, is not this registry's.
        if !self.endpoint.owns(answer.location()) {
            return self.as_guest(call, answer).await;
        }
        // The token expired, or this request needs what `/v2/` did not ask for: once more, with what it asks for.
        let asked_now = challenges(answer.headers());
        let again = match &shown {
            // A token that is good, but not for this, is not made better by another like it.
            Some(shown) => shown.renewable && !asked_now.iter().any(Challenge::is_scope_short),
            None => self.replace_challenges(asked_now),
        };
        if !again {
            return Ok(answer);
        }
        let renewed = match self.authorization(extra, header).await {
            // A challenge that leads nowhere leaves the refusal as it is.
            Err(RequestFault::BadRealm { .. } | RequestFault::NoRealm) if shown.is_none() => None,
            renewed => renewed.map_err(fail)?,
        };
        if renewed.is_none() {
            return Ok(answer);
        }
        if !call.payload.is_repeatable() {
            return Err(RegistryError::TokenRenewed { url: answer.url });
        }
        answer.discard().await;
        let header = renewed.as_ref().map(|renewed| &renewed.header);
        self.endpoint.exchange(&mut call, header, true).await
    }

    /// Asks again a host that the registry has redirected to, and that wants a token: with one that anybody gets. What
    /// the user has for this registry is not for another host.
    async fn as_guest(&self, mut call: Call, answer: Answer) -> Result<Answer, RegistryError> {
        let asked = challenges(answer.headers());
        let Some(challenge) = asked.iter().find(|challenge| challenge.scheme == "bearer") else {
            return Ok(answer);
        };
        if !call.payload.is_repeatable() || challenge.is_scope_short() {
            return Ok(answer);
        }
        let host = answer.location().clone();
        let fail = |fault| self.endpoint.failed((&call.method, &host), fault, true);
        let mut key = self.token_key(challenge, &[], &Credentials::Anonymous).map_err(fail)?;
        key.registry = host.origin().ascii_serialization();
        let scope = challenge.parameter("scope").unwrap_or_default();
        let named: Vec<String> =
            scope.split_ascii_whitespace().take(MAX_SCOPES).map(ToOwned::to_owned).collect();
        if !named.is_empty() {
            // The repository may have another name there.
            key.scopes = named;
        }
        let Ok(header) = self.tokens.get(&self.endpoint, key, None).await else {
            return Ok(answer);
        };
        answer.discard().await;
        call.url = host;
        self.endpoint.exchange(&mut call, Some(&header), true).await
    }

    /// Remembers that blobs are not taken in parts here.
    pub(crate) fn want_whole_blobs(&self) {
        self.whole_blobs.store(true, Ordering::Relaxed);
    }

    pub(crate) fn wants_whole_blobs(&self) -> bool {
        self.whole_blobs.load(Ordering::Relaxed)
    }

    /// Remembers that ranges are refused here.
    pub(crate) fn refuse_ranges(&self) {
        self.no_ranges.store(true, Ordering::Relaxed);
    }

    pub(crate) fn refuses_ranges(&self) -> bool {
        self.no_ranges.load(Ordering::Relaxed)
    }

    /// Remembers that there is no list of referrers here.
    pub(crate) fn lack_referrers(&self) {
        self.no_referrers.store(true, Ordering::Relaxed);
    }

    pub(crate) fn lacks_referrers(&self) -> bool {
        self.no_referrers.load(Ordering::Relaxed)
    }

    /// Remembers how much one request of an upload may carry here.
    pub(crate) fn limit_parts(&self, most: u64) {
        self.largest_part.store(most, Ordering::Relaxed);
    }

    /// Returns how much one request of an upload may carry, if there is a limit.
    pub(crate) fn largest_part(&self) -> Option<u64> {
        Some(self.largest_part.load(Ordering::Relaxed)).filter(|&most| most > 0)
    }

    /// Takes over what an answer asks for, and tells whether it asks for anything.
    fn replace_challenges(&self, asked: Vec<Challenge>) -> bool {
        let any = !asked.is_empty();
        if any {
            *self.asked() = asked;
        }
        any
    }

    fn asked(&self) -> MutexGuard<'_, Vec<Challenge>> {
        lock(&self.challenges)
    }

    fn challenge(&self, scheme: &str) -> Option<Challenge> {
        self.asked().iter().find(|challenge| challenge.scheme == scheme).cloned()
    }

    /// Makes what the endpoint asked for, a token rather than a password if it takes both. Nothing if it asked for
    /// nothing, or for what Docker does not know: it will say so itself.
    pub(crate) async fn authorization(
        &self,
        extra: &[String],
        refused: Option<&HeaderValue>,
    ) -> Result<Option<Authorization>, RequestFault> {
        if let Some(challenge) = self.challenge("bearer") {
            return self.bearer(&challenge, extra, refused).await.map(Some);
        }
        if self.challenge("basic").is_none() {
            return Ok(None);
        }
        let found = self.lookup.credentials().await;
        let (username, password) =
            found.credentials.basic().ok_or(RequestFault::NoBasicCredentials)?;
        let mut header = HeaderValue::from_str(&basic_header(username, password))
            .map_err(|_| RequestFault::NoBasicCredentials)?;
        header.set_sensitive(true);
        Ok(Some(Authorization { header, renewable: false }))
    }

    async fn bearer(
        &self,
        challenge: &Challenge,
        extra: &[String],
        refused: Option<&HeaderValue>,
    ) -> Result<Authorization, RequestFault> {
        let credentials = &self.lookup.credentials().await.credentials;
        if let Credentials::RegistryToken(token) = credentials {
            let mut header = HeaderValue::from_str(&format!("Bearer {token}"))
                .map_err(|_| RequestFault::NoToken)?;
            header.set_sensitive(true);
            return Ok(Authorization { header, renewable: false });
        }
        let key = self.token_key(challenge, extra, credentials)?;
        let header = self.tokens.get(&self.endpoint, key, refused).await?;
        Ok(Authorization { header, renewable: true })
    }

    fn token_key(
        &self,
        challenge: &Challenge,
        extra: &[String],
        credentials: &Credentials,
    ) -> Result<TokenKey, RequestFault> {
        let realm = challenge.parameter("realm").ok_or(RequestFault::NoRealm)?.to_owned();
        let service = challenge.parameter("service").map(ToOwned::to_owned);
        let mut scopes: Vec<String> = self.scope.iter().chain(extra).cloned().collect();
        // Below a path of its own a repository has another name, which only the host knows.
        if self.endpoint.host.settings.override_path {
            let asked = challenge.parameter("scope").unwrap_or_default();
            for scope in asked.split_ascii_whitespace().take(MAX_SCOPES) {
                if !scopes.iter().any(|known| known == scope) {
                    scopes.push(scope.to_owned());
                }
            }
        }
        let registry = self.endpoint.host.base.origin().ascii_serialization();
        let credentials = credentials.clone();
        Ok(TokenKey { registry, realm, service, scopes, credentials })
    }

    /// Asks `/v2/` with the credentials, as a login does. Returns the answer, and the refresh token if the token
    /// server gave one.
    pub(crate) async fn log_in(&self) -> Result<(Answer, Option<String>), RegistryError> {
        let url: Url = self.endpoint.url("");
        let fail = |fault| self.endpoint.failed((&Method::GET, &url), fault, true);
        let mut identity = None;
        let credentials = &self.lookup.credentials().await.credentials;
        let header = match self.challenge("bearer") {
            Some(challenge) if !matches!(credentials, Credentials::RegistryToken(_)) => {
                // Not from the cache: it is the credentials that are on trial, and the refresh token is wanted.
                let key = self.token_key(&challenge, &[], credentials).map_err(fail)?;
                let token = token::fetch(&self.endpoint, &key, true).await.map_err(fail)?;
                identity = token.identity;
                Some(token.header)
            }
            _ => self.authorization(&[], None).await.map_err(fail)?.map(|shown| shown.header),
        };
        let mut call = Call::new(Method::GET, url.clone());
        let answer = self.endpoint.exchange(&mut call, header.as_ref(), true).await?;
        Ok((answer, identity))
    }
}
