//! The client: connections, tokens and what was learnt of registries, shared by all that is asked of them.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::Url;
use rustls::RootCertStore;
use spec::Repository;
use tokio::sync::OnceCell;

use crate::{
    Credentials, RegistryConfig, RegistryError, Remote,
    config::Rules,
    dns::SystemResolver,
    endpoint::Endpoint,
    remote::Candidate,
    tls::{self, Material},
    token::TokenCache,
    transport::Timeouts,
};

/// Idle connections are dropped after as long as Docker drops them.
const IDLE: Duration = Duration::from_secs(30);
/// How long a registry may take to store a blob that it has received: it may copy it to an object store and hash it.
const COMMIT: Duration = Duration::from_mins(15);
/// The most sets of TLS settings kept; each holds all public authorities.
const MAX_TRANSPORTS: usize = 16;
/// The most plain-HTTP registries remembered.
const MAX_PLAIN: usize = 1024;

/// What a [`Remote`] is to be used for; a token is fetched for no more than that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reading, from mirrors too.
    Pull,
    /// Reading and writing, the registry itself only.
    Push,
}

impl Access {
    fn actions(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
        }
    }
}

/// Asks registries. Clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    config: RegistryConfig,
    rules: Rules,
    roots: OnceCell<Arc<RootCertStore>>,
    transports: Mutex<HashMap<Option<Material>, reqwest::Client>>,
    /// Insecure registries that turned out to speak plain HTTP: these are asked so first from then on.
    plain: Mutex<HashSet<String>>,
    tokens: Arc<TokenCache>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Client {
    /// Makes a client. Fails for a bad mirror, insecure registry or proxy, with dockerd's message.
    pub fn new(config: RegistryConfig) -> Result<Self, RegistryError> {
        let rules = Rules::new(&config)?;
        let inner = Inner {
            config,
            rules,
            roots: OnceCell::new(),
            transports: Mutex::default(),
            plain: Mutex::default(),
            tokens: Arc::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

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
        let candidates = self.candidates(repository.domain(), access == Access::Pull).await?;
        let scope = format!("repository:{}:{}", repository.path(), access.actions());
        Ok(Remote::new(self.clone(), repository.clone(), candidates, (credentials.clone(), scope)))
    }

    pub(crate) fn tokens(&self) -> Arc<TokenCache> {
        Arc::clone(&self.inner.tokens)
    }

    /// Lists where a registry can be asked, in order: mirrors, then HTTPS, then HTTP.
    pub(crate) async fn candidates(
        &self,
        registry: &str,
        mirrors: bool,
    ) -> Result<Vec<Candidate>, RegistryError> {
        let rules = &self.inner.rules;
        if matches!(registry, "docker.io" | "index.docker.io") {
            let mut found = Vec::new();
            for url in rules.mirrors.iter().filter(|_| mirrors) {
                let host = authority(url);
                let insecure = rules.insecure.covers(&host).await;
                found.push(self.endpoint(url, &host, insecure, true).await?.into());
            }
            let host = authority(&rules.hub);
            // Docker Hub is never insecure, a stand-in may be.
            let insecure = rules.hub.scheme() == "http";
            found.push(self.endpoint(&rules.hub, &host, insecure, false).await?.into());
            return Ok(found);
        }
        let insecure = rules.insecure.covers(registry).await;
        let https = self.endpoint(&base("https", registry)?, registry, insecure, false).await?;
        if !insecure {
            return Ok(vec![https.into()]);
        }
        let http = self.endpoint(&base("http", registry)?, registry, insecure, false).await?;
        let mut found = vec![https.into(), Candidate::from(Arc::clone(&http))];
        if self.plain().contains(registry) {
            // Should that have changed, the two are asked as if it had not been known.
            found.insert(0, http.into());
        }
        Ok(found)
    }

    /// Remembers whether a registry speaks plain HTTP.
    pub(crate) fn remember(&self, registry: &str, plain: bool) {
        let mut known = self.plain();
        if !plain {
            known.remove(registry);
        } else if known.len() < MAX_PLAIN {
            known.insert(registry.to_owned());
        }
    }

    fn plain(&self) -> MutexGuard<'_, HashSet<String>> {
        self.inner.plain.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn endpoint(
        &self,
        url: &Url,
        written: &str,
        insecure: bool,
        mirror: bool,
    ) -> Result<Arc<Endpoint>, RegistryError> {
        let config = &self.inner.config;
        let client = self.transport(written, insecure || url.scheme() == "http").await?;
        Ok(Arc::new(Endpoint {
            base: url.clone(),
            written: written.to_owned(),
            mirror,
            insecure,
            client,
            proxies: Arc::new(self.inner.rules.proxies.clone()),
            traffic: config.traffic.of(&authority(url)),
            timeouts: Timeouts {
                response: config.response_timeout,
                commit: COMMIT.max(config.response_timeout),
                stall: config.stall_timeout,
                // A mirror that fails is passed over, which is quicker than waiting for it.
                attempts: if mirror { 1 } else { config.attempts },
                retry_delay: config.retry_delay,
            },
        }))
    }

    /// Returns the connections that have the TLS settings of a registry.
    async fn transport(
        &self,
        registry: &str,
        insecure: bool,
    ) -> Result<reqwest::Client, RegistryError> {
        let material = if insecure { None } else { Some(self.material(registry).await?) };
        if let Some(client) = self.transports().get(&material) {
            return Ok(client.clone());
        }
        let settings = match &material {
            Some(material) => tls::secure(&*self.roots().await, material)?,
            None => tls::insecure(),
        };
        let client = self.connect(settings)?;
        let mut transports = self.transports();
        if transports.len() >= MAX_TRANSPORTS {
            transports.clear();
        }
        // Another task may have been quicker: its connections are as good, and may be warm.
        Ok(transports.entry(material).or_insert(client).clone())
    }

    fn transports(&self) -> MutexGuard<'_, HashMap<Option<Material>, reqwest::Client>> {
        self.inner.transports.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn material(&self, registry: &str) -> Result<Material, RegistryError> {
        let (directories, registry) = (self.inner.config.certs_dirs.clone(), registry.to_owned());
        blocking(move || Material::load(&directories, &registry)).await
    }

    async fn roots(&self) -> Arc<RootCertStore> {
        let load = || async { Arc::new(blocking(tls::native_roots).await) };
        Arc::clone(self.inner.roots.get_or_init(load).await)
    }

    fn connect(&self, settings: rustls::ClientConfig) -> Result<reqwest::Client, RegistryError> {
        let proxies = self.inner.rules.proxies.clone();
        let config = &self.inner.config;
        reqwest::Client::builder()
            .tls_backend_preconfigured(settings)
            // Ours only: neither the environment's proxies nor the library's redirects, which know no endpoints.
            .no_proxy()
            .proxy(reqwest::Proxy::custom(move |url| proxies.proxy(url).cloned()))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .dns_resolver(SystemResolver)
            .connect_timeout(config.connect_timeout)
            .pool_idle_timeout(IDLE)
            .tcp_keepalive(IDLE)
            .user_agent(config.user_agent.as_str())
            .build()
            .map_err(|source| RegistryError::Client { source })
    }
}

/// Runs what blocks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is going away, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// Returns host and port of a URL as they were written.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn base(scheme: &str, registry: &str) -> Result<Url, RegistryError> {
    Url::parse(&format!("{scheme}://{registry}/"))
        .map_err(|_| RegistryError::NoEndpoint { host: registry.to_owned() })
}
