//! One repository of a registry, and who of its endpoints is asked.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use spec::Repository;
use tokio::sync::OnceCell;

use crate::{
    Client, Credentials, FailedEverywhere, Recovery, RegistryError, endpoint::Endpoint,
    hosts::Need, session::Session,
};

/// One repository of a registry. Clones share what is known of the endpoints.
///
/// Every operation asks the endpoints that may be asked for it in order, mirrors first. A mirror is passed over for
/// any failure, and is not asked again by the same remote once somebody else could help; the registry's own plain-HTTP
/// endpoint (insecure registries only) is asked when HTTPS gets no answer.
#[derive(Clone)]
pub struct Remote {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    repository: Repository,
    candidates: Vec<Candidate>,
    /// What the caller gave for the registry itself; without a caller it is looked for, as for other hosts.
    given: Option<Credentials>,
    scope: String,
}

/// An endpoint that may be asked.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) endpoint: Arc<Endpoint>,
    session: OnceCell<Arc<Session>>,
    /// Whether others are asked in its place from now on.
    passed_over: AtomicBool,
    /// Whether it has been of use, which is told once.
    useful: AtomicBool,
}

impl From<Arc<Endpoint>> for Candidate {
    fn from(endpoint: Arc<Endpoint>) -> Self {
        let (passed_over, useful) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { endpoint, session: OnceCell::new(), passed_over, useful }
    }
}

impl Candidate {
    /// Remembers which scheme a registry speaks, now that this endpoint has answered.
    pub(crate) fn learn(&self, client: &Client, registry: &str) {
        if self.endpoint.insecure && self.endpoint.place.itself && !self.endpoint.mirror {
            client.remember(registry, self.endpoint.base.scheme() == "http");
        }
    }

    fn is_passed_over(&self) -> bool {
        self.passed_over.load(Ordering::Relaxed)
    }

    fn allows(&self, need: Need) -> bool {
        self.endpoint.place.settings.capabilities.allow(need)
    }
}

/// Which endpoint something came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Its URL.
    pub url: String,
    /// Whether it is a mirror, so that [`Remote::pass_over`] helps against it.
    pub mirror: bool,
    index: usize,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&self.describe()).finish()
    }
}

impl Remote {
    pub(crate) fn new(
        client: Client,
        repository: Repository,
        candidates: Vec<Candidate>,
        (given, scope): (Option<Credentials>, String),
    ) -> Self {
        Self { inner: Arc::new(Inner { client, repository, candidates, given, scope }) }
    }

    /// Returns the repository.
    pub fn repository(&self) -> &Repository {
        &self.inner.repository
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    /// Describes a server that is none of the endpoints.
    pub(crate) fn stranger(&self, url: String) -> Source {
        Source { url, mirror: false, index: self.inner.candidates.len() }
    }

    /// Returns the repository and who is asked for it, for logs.
    pub fn describe(&self) -> String {
        let url = self.inner.first().map_or("nobody", |candidate| candidate.endpoint.base.as_str());
        format!("{} at {url}", self.inner.repository)
    }

    /// Tells whether a mirror is asked first.
    pub fn endpoint_is_mirror(&self) -> bool {
        self.inner.first().is_some_and(|candidate| candidate.endpoint.mirror)
    }

    /// Asks the mirror that something came from no longer, as what came from it was wrong. Returns whether somebody
    /// else is asked from now on.
    pub fn pass_over(&self, source: &Source) -> bool {
        let Some(asked) = self.inner.candidates.get(source.index) else { return false };
        let others = self.inner.order(Need::Pull);
        if !source.mirror || !others.iter().any(|&index| index > source.index) {
            return false;
        }
        tracing::info!(mirror = %asked.endpoint.base, "mirror passed over: what it sent was wrong");
        asked.passed_over.store(true, Ordering::Relaxed);
        true
    }

    /// Begins to ask the endpoints in turn.
    pub(crate) fn walk(&self, need: Need) -> Walk<'_> {
        let order = self.inner.order(need);
        Walk { remote: &self.inner, need, order, next: 0, failures: Vec::new() }
    }
}

/// Endpoints being asked in turn:
///
/// ```text
/// let mut walk = self.walk(Need::Pull);
/// loop {
///     let session = walk.next().await?;
///     match ask(&session).await {
///         Ok(answer) => { walk.answered(); return Ok(answer) }
///         Err(error) => walk.failed(error)?,
///     }
/// }
/// ```
pub(crate) struct Walk<'a> {
    remote: &'a Inner,
    need: Need,
    /// The indexes of those that may be asked.
    order: Vec<usize>,
    /// Place in the order behind that of the endpoint that is being asked.
    next: usize,
    /// The indexes of those that could not help, and why.
    failures: Vec<(usize, RegistryError)>,
}

impl Walk<'_> {
    /// Returns the next endpoint that answers at all, or what all of them failed with.
    pub(crate) async fn next(&mut self) -> Result<Arc<Session>, RegistryError> {
        while let Some(&index) = self.order.get(self.next) {
            self.next += 1;
            let candidate = &self.remote.candidates[index];
            match candidate.session.get_or_try_init(|| self.remote.open(candidate)).await {
                Ok(session) => {
                    // What answers is the registry, and HTTP is not tried any more where TLS is spoken.
                    candidate.learn(&self.remote.client, self.remote.repository.domain());
                    return Ok(Arc::clone(session));
                }
                Err(error) => {
                    let url = &candidate.endpoint.base;
                    let another = candidate.endpoint.mirror
                        || error.recovery() == Recovery::NextEndpoint
                        || candidate.endpoint.base.scheme() == "http" && !error.is_unauthorized();
                    if candidate.endpoint.mirror {
                        tracing::info!(mirror = %url, %error, "mirror passed over: no answer");
                    } else {
                        tracing::debug!(%url, %error, "endpoint does not answer");
                    }
                    self.failures.push((index, error));
                    if !another {
                        break;
                    }
                }
            }
        }
        Err(self.verdict())
    }

    /// Returns the failure of the endpoint that was asked last, with those of the mirrors before it.
    fn verdict(&mut self) -> RegistryError {
        let Some((last, failure)) = self.failures.pop() else {
            return self.remote.nobody(self.need);
        };
        let endpoint = |index: usize| &self.remote.candidates[index].endpoint;
        if !self.failures.iter().any(|(index, _)| endpoint(*index).mirror) {
            return failure;
        }
        let url = |index: usize| {
            let endpoint = endpoint(index);
            let kind = if endpoint.mirror { " (mirror)" } else { "" };
            format!("{}{kind}", endpoint.shown(&endpoint.base).trim_end_matches('/'))
        };
        RegistryError::Everywhere(Box::new(FailedEverywhere {
            repository: self.remote.repository.familiar(),
            last: (url(last), failure),
            before: self.failures.drain(..).map(|(index, error)| (url(index), error)).collect(),
        }))
    }

    /// Takes note that the endpoint could not help. Returns the error if no other is to be asked.
    pub(crate) fn failed(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        let Some(index) = self.asked() else { return Err(error) };
        let asked = &self.remote.candidates[index];
        // What is wrong with our own data or disk is wrong everywhere.
        let ours = matches!(error, RegistryError::Source { .. });
        if asked.endpoint.mirror && !ours && self.next < self.order.len() {
            tracing::info!(mirror = %asked.endpoint.base, %error, "mirror passed over");
            self.failures.push((index, error));
            return Ok(());
        }
        self.failures.push((index, error));
        Err(self.verdict())
    }

    fn asked(&self) -> Option<usize> {
        self.order.get(self.next.checked_sub(1)?).copied()
    }

    /// Returns the endpoint that would be asked, for what needs nobody to be asked.
    pub(crate) fn nobody(&self) -> Source {
        self.source(self.order.get(self.next).copied())
    }

    fn source(&self, index: Option<usize>) -> Source {
        let index = index.unwrap_or_default();
        let endpoint = self.remote.candidates.get(index).map(|candidate| &candidate.endpoint);
        let url = endpoint.map(|endpoint| endpoint.shown(&endpoint.base)).unwrap_or_default();
        Source { url, mirror: endpoint.is_some_and(|endpoint| endpoint.mirror), index }
    }

    /// Takes note that the endpoint helped: those that could not are not asked again.
    pub(crate) fn answered(&self) -> Source {
        for &(index, _) in &self.failures {
            self.remote.candidates[index].passed_over.store(true, Ordering::Relaxed);
        }
        let index = self.asked();
        if let Some(candidate) = index.and_then(|index| self.remote.candidates.get(index))
            && !candidate.useful.swap(true, Ordering::Relaxed)
        {
            let endpoint = &candidate.endpoint;
            let credentials = candidate.session.get().and_then(|session| session.origin());
            tracing::info!(
                repository = %self.remote.repository,
                host = endpoint.place.written,
                endpoint = %endpoint.base,
                mirror = endpoint.mirror,
                setting = %endpoint.place.setting,
                credentials = credentials.unwrap_or("none"),
                need = %self.need,
                "registry endpoint used"
            );
        }
        self.source(index)
    }
}

impl Inner {
    /// Lists who is asked: all that may be but those that are passed over, unless nobody else is left.
    fn order(&self, need: Need) -> Vec<usize> {
        let able =
            |(index, candidate): (usize, &Candidate)| candidate.allows(need).then_some(index);
        let all: Vec<usize> = self.candidates.iter().enumerate().filter_map(able).collect();
        let fresh: Vec<usize> =
            all.iter().copied().filter(|&at| !self.candidates[at].is_passed_over()).collect();
        if fresh.is_empty() { all } else { fresh }
    }

    fn first(&self) -> Option<&Candidate> {
        self.candidates.get(*self.order(Need::Pull).first()?)
    }

    /// Says that nobody may be asked.
    fn nobody(&self, need: Need) -> RegistryError {
        let registry = self.repository.domain().to_owned();
        let file = self.candidates.iter().find_map(|candidate| candidate.endpoint.place.file());
        match file {
            Some(path) => {
                RegistryError::NoHost { path: path.to_owned(), need: need.to_string(), registry }
            }
            None => RegistryError::NoEndpoint { host: registry },
        }
    }

    async fn open(&self, candidate: &Candidate) -> Result<Arc<Session>, RegistryError> {
        let endpoint = Arc::clone(&candidate.endpoint);
        let purse = self.client.purse(&endpoint, self.given.as_ref());
        let scope = Some(self.scope.clone());
        let tokens = self.client.tokens();
        Session::open(endpoint, purse, scope, tokens).await.map(Arc::new)
    }
}
