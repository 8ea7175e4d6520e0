//! One place where a registry, or a mirror of it, can be asked.

use std::{path::PathBuf, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{Method, Url};

use crate::{
    Caller, NOTICES, RegistryError,
    error::fault::{RequestFailed, RequestFault},
    error::redact,
    hosts::configured::{ConfiguredHost, Security},
    hosts::waits::{Listener, Waits},
    http::guard::Guard,
    http::links,
    http::metrics::Counters,
    http::proxy::Proxies,
    http::retry::Tries,
    http::tls::Material,
    http::transport::{Answer, Payload, Timeouts, Upload},
};

/// The time that an answer is waited for without a word to the user.
const SILENCE: Duration = Duration::from_secs(5);
/// Docker follows as many.
const MAX_REDIRECTS: usize = 10;

/// The headers of one endpoint that no other host may see.
#[derive(Clone, Copy)]
struct Shown<'a> {
    authorization: Option<&'a HeaderValue>,
    /// The headers that its `hosts.toml` gives it.
    headers: Option<&'a HeaderMap>,
    /// The headers that the engine's client gives registries and their token servers.
    meta: Option<&'a HeaderMap>,
}

/// The redirects that are followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Redirects {
    /// Those that stay at their host: credentials are in the request itself.
    SameHost,
    /// Those that stay at their host: what is asked for is to happen there.
    Within,
    /// All but from https to http.
    Follow,
    /// All: what comes is checked against its digest.
    Anywhere,
}

/// The patience with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// As long as Docker waits for the first answer of a host.
    First,
    /// As long as looking something up may take.
    Ordinary,
    /// As long as storing a large blob may take.
    Commit,
}

/// A request before authorization.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) payload: Payload,
    pub(crate) redirects: Redirects,
    /// True if its own answer is not waited upon: whatever the host answers is the answer.
    pub(crate) at_once: bool,
    pub(crate) patience: Patience,
    /// True if its host is told who asks although it is not the endpoint's own.
    pub(crate) told: bool,
}

impl Call {
    pub(crate) fn new(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            payload: Payload::Empty,
            redirects: Redirects::Follow,
            at_once: false,
            patience: Patience::Ordinary,
            told: false,
        }
    }

    #[must_use]
    pub(crate) fn header(mut self, name: header::HeaderName, value: &str) -> Self {
        // All values here are made of checked parts: media types, numbers.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    #[must_use]
    pub(crate) fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    #[must_use]
    pub(crate) fn redirects(mut self, redirects: Redirects) -> Self {
        self.redirects = redirects;
        self
    }

    #[must_use]
    pub(crate) fn at_once(mut self) -> Self {
        self.at_once = true;
        self
    }

    #[must_use]
    pub(crate) fn slow(mut self) -> Self {
        self.patience = Patience::Commit;
        self
    }

    #[must_use]
    pub(crate) fn told(mut self) -> Self {
        self.told = true;
        self
    }

    #[must_use]
    pub(crate) fn quick(mut self) -> Self {
        self.patience = Patience::First;
        self
    }
}

/// An endpoint with the connections to it.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// The host and its settings.
    pub(crate) host: ConfiguredHost,
    /// The causes for which a request to it is repeated.
    pub(crate) tries: Tries,
    /// True if it is asked before HTTPS only because plain HTTP is what was spoken before.
    pub(crate) guessed: bool,
    pub(crate) client: reqwest::Client,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) timeouts: Timeouts,
    pub(crate) metrics: Arc<Counters>,
    pub(crate) waits: Waits,
    pub(crate) listener: Option<Arc<Listener>>,
    pub(crate) files: TlsFiles,
    /// On whose behalf it is asked.
    pub(crate) caller: Arc<Caller>,
    /// The user agent that it sees, if not only our own.
    pub(crate) user_agent: Option<HeaderValue>,
    /// Judges where it may lead to, if a stranger chose it.
    pub(crate) guard: Option<Guard>,
}

/// The files that an endpoint's TLS is made of, for who wants to know.
#[derive(Clone, Debug, Default)]
pub(crate) struct TlsFiles {
    pub(crate) authorities: Vec<PathBuf>,
    pub(crate) identities: Vec<PathBuf>,
}

impl TlsFiles {
    pub(crate) fn of(material: &Material) -> Self {
        Self {
            authorities: material.authorities().map(Into::into).collect(),
            identities: material.identities().map(Into::into).collect(),
        }
    }
}

impl Endpoint {
    pub(crate) fn scheme(&self) -> &str {
        self.host.base.scheme()
    }

    /// Tells whether plain HTTP and any certificate are allowed.
    pub(crate) fn is_insecure(&self) -> bool {
        self.host.security == Security::None
    }

    /// Returns the URL of a path below the API's root, `/v2/`.
    pub(crate) fn url(&self, path: &str) -> Url {
        let mut url = self.host.base.clone();
        url.set_path(&format!("{}{path}", self.host.root));
        url
    }

    /// Returns the URL of something to be read, which a proxy for many registries is told the registry of.
    pub(crate) fn reading_url(&self, path: &str) -> Url {
        let mut url = self.url(path);
        if let Some(namespace) = &self.host.namespace {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        url
    }

    /// Returns a URL for messages, with the host as the user wrote it.
    pub(crate) fn shown(&self, url: &Url) -> String {
        let text = redact::shown(url);
        let host = self.host.base.host_str().unwrap_or_default();
        match text.strip_prefix(&format!("{}://{host}", self.host.base.scheme())) {
            Some(rest) if rest.starts_with(['/', ':']) => {
                let port = self.host.base.port().map(|port| format!(":{port}")).unwrap_or_default();
                let bare = self.host.written.strip_suffix(&port).unwrap_or(&self.host.written);
                format!("{}://{bare}{rest}", self.host.base.scheme())
            }
            _ => text,
        }
    }

    /// Tells whether a URL is this endpoint's own, so that it may see the credentials.
    pub(crate) fn owns(&self, url: &Url) -> bool {
        links::is_same_host(&self.host.base, url)
    }

    pub(crate) fn failed(
        &self,
        (method, url): (&Method, &Url),
        fault: RequestFault,
        established: bool,
    ) -> RegistryError {
        let url = self.shown(url);
        let method = method.clone();
        RegistryError::Request(Box::new(RequestFailed { method, url, fault, established }))
    }

    /// Sends a request, again where the retry policy allows it, and returns whatever is answered in the end.
    pub(crate) async fn exchange(
        &self,
        call: &mut Call,
        authorization: Option<&HeaderValue>,
        established: bool,
    ) -> Result<Answer, RegistryError> {
        let mut tries = if call.payload.is_repeatable() { self.tries } else { Tries::NONE };
        if call.at_once {
            tries = tries.without_waits();
        }
        loop {
            let outcome = self.follow(call, authorization, established).await;
            if outcome.as_ref().map_or(true, |answer| answer.status().is_server_error()) {
                self.metrics.failed();
            }
            let url = self.shown(&call.url);
            match outcome {
                Ok(answer) => {
                    let status = answer.status();
                    let Some(pause) = tries.wait(status.as_u16(), answer.retry_after()) else {
                        return Ok(answer);
                    };
                    tracing::debug!(%url, %status, ?pause, "trying again");
                    // Where the wait is noted, the next try keeps it as all other requests do.
                    let held = self.waits.held(answer.location()).is_some();
                    answer.discard().await;
                    if !held {
                        tokio::time::sleep(pause).await;
                    }
                }
                Err(error) => {
                    if !tries.reconnect(&error) {
                        return Err(error);
                    }
                    tracing::debug!(%url, %error, "trying again");
                }
            }
            self.metrics.retried();
        }
    }

    /// Sends a request once and follows its redirects.
    async fn follow(
        &self,
        call: &mut Call,
        mut authorization: Option<&HeaderValue>,
        established: bool,
    ) -> Result<Answer, RegistryError> {
        let mut url = call.url.clone();
        let mut own = self.owns(&url);
        let mut told = call.told;
        for _ in 0..=MAX_REDIRECTS {
            // As with dockerd, a token server sees what the registry does; who is redirected to sees nothing.
            let meta = own || told;
            let shown = Shown {
                authorization,
                headers: own.then(|| self.host.headers()),
                meta: meta.then(|| self.caller.meta()),
            };
            let answer = self.send(call, &url, shown, established).await?;
            let Some(location) = redirection(call, &answer) else { return Ok(answer) };
            let Some(next) = links::resolve(&url, &location) else {
                let url = self.shown(&url);
                return Err(RegistryError::Header { name: "Location", url });
            };
            let reason = match call.redirects {
                Redirects::SameHost if !links::is_same_host(&url, &next) => {
                    Some("credentials are not for another host")
                }
                Redirects::Within if !links::is_same_host(&url, &next) => {
                    Some("it leads to another host, and nothing was deleted")
                }
                Redirects::Follow
                    if url.scheme() == "https"
                        && next.scheme() == "http"
                        && !self.is_insecure() =>
                {
                    Some("it leads from https to http")
                }
                _ => None,
            };
            if let Some(reason) = reason {
                let location = redact::shown(&next);
                let fault = RequestFault::Redirect { location, reason };
                return Err(self.failed((&call.method, &url), fault, established));
            }
            if !links::is_same_host(&url, &next) {
                // For good: what another host redirects to is that host's idea, even if it leads back.
                authorization = None;
                own = false;
                told = false;
            }
            answer.discard().await;
            url = next;
        }
        Err(self.failed((&call.method, &call.url), RequestFault::TooManyRedirects, established))
    }

    async fn send(
        &self,
        call: &mut Call,
        url: &Url,
        Shown { authorization, headers, meta }: Shown<'_>,
        established: bool,
    ) -> Result<Answer, RegistryError> {
        if let Some(guard) = &self.guard {
            let judged = guard.check(url).await;
            judged.map_err(|fault| self.failed((&call.method, url), fault, established))?;
        }
        let mut request = reqwest::Request::new(call.method.clone(), url.clone());
        if let Some(headers) = headers {
            request.headers_mut().clone_from(headers);
        }
        for (name, value) in meta.into_iter().flatten() {
            request.headers_mut().append(name, value.clone());
        }
        if let Some(agent) = &self.user_agent {
            request.headers_mut().insert(header::USER_AGENT, agent.clone());
        }
        for (name, value) in &call.headers {
            request.headers_mut().insert(name, value.clone());
        }
        if let Some(authorization) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization.clone());
        }
        match self.waits.held(url) {
            // Somebody else is there to be asked.
            Some(held) if self.host.mirror => {
                let (left, status) = (held.left(), held.status());
                let fault = RequestFault::HeldOff { left, status };
                return Err(self.failed((&call.method, url), fault, established));
            }
            Some(_) => self.waits.pass(url, self.listener.as_deref()).await,
            None => {}
        }
        let watch = call.payload.attach(&mut request);
        let whole = request.body().and_then(reqwest::Body::as_bytes).map_or(0, <[u8]>::len);
        let sending = self.client.execute(request);
        let patience = match call.patience {
            Patience::First => self.timeouts.first,
            Patience::Ordinary => self.timeouts.response,
            Patience::Commit => self.timeouts.commit,
        };
        let outcome = if let Some(watch) = &watch {
            Upload { watch, patience, stall: self.timeouts.stall }.wait(sending).await
        } else {
            let sending = tokio::time::timeout(patience, sending);
            let answered = self.told(url, call.patience, patience, sending).await;
            answered.map_err(|_| RequestFault::ResponseTimeout)
        };
        self.metrics.sent(watch.as_ref().map_or(whole as u64, |watch| watch.sent()));
        // An answer, even to half a body, is of more interest than why the other half failed.
        let fault = match outcome {
            Ok(Ok(response))
                if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED
                    && let Some(proxy) = self.proxies.proxy(url) =>
            {
                RequestFault::proxy_login(proxy)
            }
            Ok(Ok(response)) => {
                let shown = self.shown(url);
                let metrics = Arc::clone(&self.metrics);
                let stall = self.timeouts.stall;
                let asked = (call.method.clone(), shown);
                let answer = Answer::new(asked, response, stall, metrics);
                self.waits.note(answer.location(), answer.status(), answer.retry_after());
                return Ok(answer);
            }
            Ok(Err(error)) => {
                if let Some(source) = watch.and_then(|watch| watch.source_error()) {
                    return Err(RegistryError::Source { source });
                }
                super::classify::classify(&error, (url, self.host_name()), self.proxies.proxy(url))
                    .await
            }
            Err(fault) => fault,
        };
        Err(self.failed((&call.method, url), fault, established))
    }

    /// Waits for an answer, and says so where it takes a while.
    async fn told<F: Future>(
        &self,
        url: &Url,
        kind: Patience,
        longest: Duration,
        waiting: F,
    ) -> F::Output {
        let mut waiting = std::pin::pin!(waiting);
        // What is stored takes its time, and a pause shorter than that is none.
        if kind != Patience::Commit && longest > SILENCE {
            if let Ok(answer) = tokio::time::timeout(SILENCE, &mut waiting).await {
                return answer;
            }
            let (url, silence, longest) = (self.shown(url), SILENCE.as_secs(), longest.as_secs());
            tracing::warn!(
                target: NOTICES,
                "{url} has not answered for {silence} s, waiting for up to {longest} s"
            );
        }
        waiting.await
    }

    /// Returns the host as the user wrote it, without the port.
    fn host_name(&self) -> &str {
        let length = self.host.base.host_str().unwrap_or_default().len();
        self.host.written.get(..length).unwrap_or(&self.host.written)
    }
}

/// Returns where an answer redirects to, if it is one that this request can follow: only 307 and 308 keep method
/// and body.
fn redirection(call: &Call, answer: &Answer) -> Option<String> {
    let reads = matches!(call.method, Method::GET | Method::HEAD);
    // What a token is asked with is the same at the host's other address.
    let form = call.redirects == Redirects::SameHost && call.payload.is_repeatable();
    let follows = match answer.status() {
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => reads || form,
        StatusCode::SEE_OTHER => reads,
        StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => {
            reads || call.payload.is_repeatable()
        }
        _ => false,
    };
    // Without a `Location` the status is the answer.
    follows.then(|| answer.header(&header::LOCATION).map(ToOwned::to_owned)).flatten()
}
