//! One repository of a registry, and who of its endpoints is asked.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use spec::Repository;

use crate::{
    Access, Client, Credentials, FailedEverywhere, Recovery, RegistryError, SettingsError,
    auth::session::Session,
    hosts::{access::Need, candidate::Candidate},
};

/// One repository of a registry. Clones share what is known of the endpoints.
///
/// Every operation asks the endpoints that may be asked for it in order, mirrors first. A mirror is passed over for
/// any failure, and is not asked again by the same remote once somebody else could help; the registry's own plain-HTTP
/// endpoint (insecure registries only) is asked when HTTPS gets no answer.
#[derive(Clone)]
pub struct Remote {
    inner: Arc<Inner>,
    /// Set if manifests of schema 1 are read.
    first_schema: bool,
}

struct Inner {
    client: Client,
    repository: Repository,
    candidates: Vec<Candidate>,
    /// The caller's credentials for the registry itself; without a caller they are looked for, as for other hosts.
    given: Option<Credentials>,
    scope: String,
}

/// The endpoint that something came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Scheme, host and path.
    pub url: String,
    /// True if it is a mirror, so that [`Remote::pass_over`] helps against it.
    pub mirror: bool,
    index: usize,
}

impl Source {
    /// Returns the host, with a port that was named.
    pub fn host(&self) -> &str {
        let rest = self.url.split_once("://").map_or(self.url.as_str(), |(_, rest)| rest);
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        host.rsplit_once('@').map_or(host, |(_, host)| host)
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&self.describe()).finish()
    }
}

impl Remote {
    /// Returns the repository.
    pub fn repository(&self) -> &Repository {
        &self.inner.repository
    }

    /// Prepares this for an operation that can do with manifests of schema 1, if the settings allow these: they are then
    /// asked for last, and what is fetched of one is the part that is signed.
    #[must_use]
    pub fn with_first_schema(self) -> Self {
        Self { first_schema: self.client().allows_first_schema(), ..self }
    }

    pub(crate) fn reads_first_schema(&self) -> bool {
        self.first_schema
    }

    /// Returns the same repository with the same connections, for questions whose answers say nothing of others: a mirror that
    /// cannot answer them is passed over there alone.
    #[must_use]
    pub fn aside(&self) -> Self {
        let inner = &self.inner;
        Self {
            inner: Arc::new(Inner {
                client: inner.client.clone(),
                repository: inner.repository.clone(),
                candidates: inner.candidates.iter().map(Candidate::afresh).collect(),
                given: inner.given.clone(),
                scope: inner.scope.clone(),
            }),
            first_schema: false,
        }
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
        let url =
            self.inner.first().map_or("nobody", |candidate| candidate.endpoint.host.base.as_str());
        format!("{} at {url}", self.inner.repository)
    }

    /// Asks the mirror that something came from no longer, as what came from it was wrong. Returns whether somebody
    /// else is asked from now on.
    pub fn pass_over(&self, source: &Source) -> bool {
        let Some(asked) = self.inner.candidates.get(source.index) else { return false };
        let others = self.inner.order(Need::Pull);
        if !source.mirror || !others.iter().any(|&index| index > source.index) {
            return false;
        }
        tracing::info!(mirror = %asked.endpoint.host.base, "mirror passed over: what it sent was wrong");
        asked.pass_over(&"what it sent was wrong");
        true
    }

    /// Asks the endpoints that may be asked for `need` in turn, until one helps. Returns its answer and who it is, or the
    /// failure of the last one with those of the mirrors before it.
    ///
    /// The question is no `AsyncFn`: the future of one that borrows cannot be seen to be `Send`.
    pub(crate) async fn ask<T, F>(
        &self,
        need: Need,
        question: impl Fn(Arc<Session>) -> F,
    ) -> Result<(T, Source), RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let inner = &*self.inner;
        let mut failures = Vec::new();
        let order = inner.order(need);
        for &index in &order {
            let candidate = &inner.candidates[index];
            let (error, another) = match inner.session(candidate).await {
                Ok(session) => match question(session).await {
                    Ok(answer) => return Ok((answer, inner.answered(need, index, &failures))),
                    // What is wrong with our own data or disk is wrong everywhere.
                    Err(error) => {
                        let ours = matches!(error, RegistryError::Source { .. });
                        (error, candidate.is_mirror() && !ours)
                    }
                },
                Err(error) => {
                    let another = candidate.is_mirror()
                        || error.recovery() == Recovery::NextEndpoint
                        || candidate.endpoint.scheme() == "http" && !error.is_unauthorized();
                    (error, another)
                }
            };
            let url = &candidate.endpoint.host.base;
            if candidate.is_mirror() {
                tracing::info!(mirror = %url, %error, "mirror passed over");
            } else {
                tracing::debug!(%url, %error, "endpoint does not help");
            }
            failures.push((index, error));
            if !another {
                break;
            }
        }
        Err(inner.verdict(need, failures))
    }

    /// Returns the endpoint that would be asked first, for what nobody needs to be asked.
    pub(crate) fn first_source(&self, need: Need) -> Source {
        self.inner.source(self.inner.order(need).first().copied().unwrap_or_default())
    }
}

impl Client {
    /// Returns what can be asked of one repository, with `credentials` for the repository's registry.
    ///
    /// Nothing is sent yet, but a registry's name is looked up to see whether it is an insecure one, and its
    /// certificates are read.
    pub async fn remote(
        &self,
        repository: &Repository,
        credentials: &Credentials,
        access: Access,
    ) -> Result<Remote, RegistryError> {
        self.open(repository, Some(credentials.clone()), access).await
    }

    /// Returns what can be asked of one repository for which no caller gives credentials: its registry, too, is shown what the
    /// [`CredentialSource`](crate::CredentialSource) has for it.
    pub async fn remote_without_caller(
        &self,
        repository: &Repository,
        access: Access,
    ) -> Result<Remote, RegistryError> {
        self.open(repository, None, access).await
    }

    async fn open(
        &self,
        repository: &Repository,
        given: Option<Credentials>,
        access: Access,
    ) -> Result<Remote, RegistryError> {
        let candidates = self.candidates(repository.domain(), access).await?;
        let scope = format!("repository:{}:{}", repository.path(), access.actions());
        let (client, repository) = (self.clone(), repository.clone());
        let inner = Inner { client, repository, candidates, given, scope };
        Ok(Remote { inner: Arc::new(inner), first_schema: false })
    }
}

impl Inner {
    /// Returns the session at an endpoint that answers at all.
    async fn session(&self, candidate: &Candidate) -> Result<Arc<Session>, RegistryError> {
        let session = candidate.session.get_or_try_init(|| self.open(candidate)).await?;
        // What answers is the registry, and HTTP is not tried any more where TLS is spoken.
        self.client.learn(candidate, self.repository.domain());
        Ok(Arc::clone(session))
    }

    /// Returns the failure of the endpoint that was asked last, with those of the mirrors before it. Where there are none, and
    /// HTTP was only tried because the proxy for HTTPS failed, it is the proxy's.
    fn verdict(&self, need: Need, mut failures: Vec<(usize, RegistryError)>) -> RegistryError {
        let Some((last, failure)) = failures.pop() else { return self.nobody(need) };
        if !failures.iter().any(|(index, _)| self.candidates[*index].is_mirror()) {
            let mut before = failures.into_iter().map(|(_, error)| error);
            return before.find(RegistryError::is_of_proxy).unwrap_or(failure);
        }
        let url = |index: usize| {
            let endpoint = &self.candidates[index].endpoint;
            let kind = if endpoint.host.mirror { " (mirror)" } else { "" };
            format!("{}{kind}", endpoint.shown(&endpoint.host.base).trim_end_matches('/'))
        };
        RegistryError::Everywhere(Box::new(FailedEverywhere {
            repository: self.repository.familiar(),
            last: (url(last), failure),
            before: failures.into_iter().map(|(index, error)| (url(index), error)).collect(),
        }))
    }

    fn source(&self, index: usize) -> Source {
        let endpoint = self.candidates.get(index).map(|candidate| &candidate.endpoint);
        let url = endpoint.map(|endpoint| endpoint.shown(&endpoint.host.base)).unwrap_or_default();
        Source { url, mirror: endpoint.is_some_and(|endpoint| endpoint.host.mirror), index }
    }

    /// Takes note that an endpoint helped: those that could not are not asked again.
    fn answered(&self, need: Need, index: usize, failures: &[(usize, RegistryError)]) -> Source {
        for (index, error) in failures {
            // A mirror need not have all that there is.
            if error.is_not_found() {
                self.candidates[*index].passed_over.store(true, Ordering::Relaxed);
            } else {
                self.candidates[*index].pass_over(error);
            }
        }
        let candidate = &self.candidates[index];
        if !candidate.useful.swap(true, Ordering::Relaxed) {
            let host = &candidate.endpoint.host;
            let credentials = candidate.session.get().and_then(|session| session.origin());
            tracing::info!(
                repository = %self.repository,
                host = host.written,
                endpoint = %host.base,
                mirror = host.mirror,
                setting = %host.setting,
                credentials = credentials.unwrap_or("none"),
                %need,
                "registry endpoint used"
            );
        }
        self.source(index)
    }

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
        let file = self.candidates.iter().find_map(|candidate| candidate.endpoint.host.file());
        match file {
            Some(path) => RegistryError::from(SettingsError::NoHost {
                path: path.to_owned(),
                need: need.to_string(),
                registry,
            }),
            None => RegistryError::NoEndpoint { host: registry },
        }
    }

    async fn open(&self, candidate: &Candidate) -> Result<Arc<Session>, RegistryError> {
        let endpoint = Arc::clone(&candidate.endpoint);
        let lookup = self.client.credential_lookup(&endpoint, self.given.as_ref());
        let scope = Some(self.scope.clone());
        let tokens = self.client.tokens();
        Session::open(endpoint, lookup, scope, tokens).await.map(Arc::new)
    }
}
