//! One repository of a registry, and who of its endpoints is asked.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use spec::Repository;
use tokio::sync::OnceCell;

use crate::{Client, Credentials, Recovery, RegistryError, endpoint::Endpoint, session::Session};

/// One repository of a registry. Clones share what is known of the endpoints.
///
/// Every operation asks the endpoints in order, mirrors first, and begins with the one that answered last. A mirror
/// is passed over for any failure; the registry's own plain-HTTP endpoint (insecure registries only) is asked
/// when HTTPS gets no answer.
#[derive(Clone)]
pub struct Remote {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    repository: Repository,
    candidates: Vec<Candidate>,
    credentials: Credentials,
    scope: String,
    /// Index of the endpoint to ask first.
    first: AtomicUsize,
}

/// An endpoint that may be asked.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) endpoint: Arc<Endpoint>,
    session: OnceCell<Arc<Session>>,
}

impl From<Arc<Endpoint>> for Candidate {
    fn from(endpoint: Arc<Endpoint>) -> Self {
        Self { endpoint, session: OnceCell::new() }
    }
}

impl Candidate {
    /// Remembers which scheme a registry speaks, now that this endpoint has answered.
    pub(crate) fn learn(&self, client: &Client, registry: &str) {
        if self.endpoint.insecure && !self.endpoint.mirror {
            client.remember(registry, self.endpoint.base.scheme() == "http");
        }
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
        (credentials, scope): (Credentials, String),
    ) -> Self {
        let first = AtomicUsize::new(0);
        Self {
            inner: Arc::new(Inner { client, repository, candidates, credentials, scope, first }),
        }
    }

    /// Returns the repository.
    pub fn repository(&self) -> &Repository {
        &self.inner.repository
    }

    /// Returns the repository and who is asked for it, for logs.
    pub fn describe(&self) -> String {
        let first = self.inner.candidates.get(self.inner.first.load(Ordering::Relaxed));
        let url = first.map_or("nobody", |candidate| candidate.endpoint.base.as_str());
        format!("{} at {url}", self.inner.repository)
    }

    /// Tells whether a mirror is asked first.
    pub fn endpoint_is_mirror(&self) -> bool {
        let first = self.inner.candidates.get(self.inner.first.load(Ordering::Relaxed));
        first.is_some_and(|candidate| candidate.endpoint.mirror)
    }

    /// Asks the mirror that something came from no longer, as what came from it was wrong. Returns whether somebody
    /// else is asked from now on.
    pub fn pass_over(&self, source: &Source) -> bool {
        if !source.mirror || source.index + 1 >= self.inner.candidates.len() {
            return false;
        }
        self.inner.first.fetch_max(source.index + 1, Ordering::Relaxed);
        true
    }

    /// Begins to ask the endpoints in turn.
    pub(crate) fn walk(&self) -> Walk<'_> {
        let next = self.inner.first.load(Ordering::Relaxed);
        Walk { remote: &self.inner, next, last: None }
    }
}

/// Endpoints being asked in turn:
///
/// ```text
/// let mut walk = self.walk();
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
    /// Index behind that of the endpoint that is being asked.
    next: usize,
    last: Option<RegistryError>,
}

impl Walk<'_> {
    /// Returns the next endpoint that answers at all, or the last one's error.
    pub(crate) async fn next(&mut self) -> Result<Arc<Session>, RegistryError> {
        while let Some(candidate) = self.remote.candidates.get(self.next) {
            self.next += 1;
            match candidate.session.get_or_try_init(|| self.remote.open(candidate)).await {
                Ok(session) => {
                    // What answers is the registry, and HTTP is not tried any more where TLS is spoken.
                    candidate.learn(&self.remote.client, self.remote.repository.domain());
                    return Ok(Arc::clone(session));
                }
                Err(error) => {
                    let url = &candidate.endpoint.base;
                    tracing::debug!(%url, %error, "endpoint does not answer");
                    let another = candidate.endpoint.mirror
                        || error.recovery() == Recovery::NextEndpoint
                        || candidate.endpoint.base.scheme() == "http" && !error.is_unauthorized();
                    self.last = Some(error);
                    if !another {
                        break;
                    }
                }
            }
        }
        let host = self.remote.repository.domain().to_owned();
        Err(self.last.take().unwrap_or(RegistryError::NoEndpoint { host }))
    }

    /// Takes note that the endpoint could not help. Returns the error if no other is to be asked.
    pub(crate) fn failed(&mut self, error: RegistryError) -> Result<(), RegistryError> {
        let Some(asked) = self.next.checked_sub(1).and_then(|at| self.remote.candidates.get(at))
        else {
            return Err(error);
        };
        // What is wrong with our own data or disk is wrong everywhere.
        let ours = matches!(error, RegistryError::Source { .. });
        if asked.endpoint.mirror && !ours && self.next < self.remote.candidates.len() {
            tracing::info!(mirror = %asked.endpoint.base, %error, "mirror passed over");
            self.last = Some(error);
            return Ok(());
        }
        Err(error)
    }

    /// Returns the endpoint that would be asked, for what needs nobody to be asked.
    pub(crate) fn nobody(&self) -> Source {
        self.source(self.next)
    }

    fn source(&self, index: usize) -> Source {
        let endpoint = self.remote.candidates.get(index).map(|candidate| &candidate.endpoint);
        let url = endpoint.map(|endpoint| endpoint.shown(&endpoint.base)).unwrap_or_default();
        Source { url, mirror: endpoint.is_some_and(|endpoint| endpoint.mirror), index }
    }

    /// Takes note that the endpoint helped: the next operation begins with it.
    pub(crate) fn answered(&self) -> Source {
        let index = self.next.saturating_sub(1);
        self.remote.first.fetch_max(index, Ordering::Relaxed);
        self.source(index)
    }
}

impl Inner {
    async fn open(&self, candidate: &Candidate) -> Result<Arc<Session>, RegistryError> {
        // A mirror is another host: the registry's credentials are not for it.
        let credentials = if candidate.endpoint.mirror {
            Credentials::Anonymous
        } else {
            self.credentials.clone()
        };
        let scope = Some(self.scope.clone());
        let tokens = self.client.tokens();
        let endpoint = Arc::clone(&candidate.endpoint);
        Session::open(endpoint, credentials, scope, tokens).await.map(Arc::new)
    }
}
