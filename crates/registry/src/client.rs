//! The client: connections, tokens and what was learnt of registries, shared by all that is asked of them.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use reqwest::Url;
use tokio::sync::OnceCell;

use crate::{
    Access, Caller, Credentials, RegistryConfig, RegistryError, Wait,
    auth::{credentials::CredentialLookup, token::TokenCache},
    config::Rules,
    hosts::{
        candidate::Candidate,
        configured::{self, ConfiguredHost, Security, Setting, is_hub},
        crowds::Crowds,
        file::{self, HostsFile},
        waits::Listener,
    },
    http::{
        dns::SystemResolver,
        endpoint::{Endpoint, TlsFiles},
        guard::Guard,
        retry::Tries,
        tls::{self, Material},
        transport::Timeouts,
    },
    lock::lock,
};

/// Idle connections are dropped after as long as Docker drops them.
const IDLE: Duration = Duration::from_secs(30);
/// The time for a registry to store a blob that it has received: it may copy it to an object store and hash it.
const COMMIT: Duration = Duration::from_mins(15);
/// The time for the first answer of a registry, and a token server's, as with Docker.
const FIRST: Duration = Duration::from_secs(15);
/// The most sets of TLS settings kept; each holds all public authorities.
const MAX_TRANSPORTS: usize = 16;
/// The times to connect to a mirror and for its answer: there is somebody else to ask.
const MIRROR_CONNECT: Duration = Duration::from_secs(10);
const MIRROR_RESPONSE: Duration = Duration::from_secs(20);
/// The most warnings about files that are remembered.
const MAX_WARNINGS: usize = 256;
/// The most plain-HTTP registries remembered.
const MAX_PLAIN: usize = 1024;

/// Asks registries. Clones share connections and tokens.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
    listener: Option<Arc<Listener>>,
    caller: Arc<Caller>,
}

struct Inner {
    config: RegistryConfig,
    rules: Rules,
    roots: OnceCell<Arc<tls::Authorities>>,
    transports: Mutex<HashMap<Wire, reqwest::Client>>,
    /// Warnings about files, so that each is given once.
    warnings: Mutex<HashSet<String>>,
    /// Insecure registries that turned out to speak plain HTTP: these are asked so first from then on.
    plain: Mutex<HashSet<String>>,
    tokens: Arc<TokenCache>,
    crowds: Arc<Crowds>,
    /// Held by who changes a list of referrers that clients keep.
    referrers: tokio::sync::Mutex<()>,
}

/// The settings by which connections differ.
#[derive(PartialEq, Eq, Hash)]
struct Wire {
    material: Material,
    any_certificate: bool,
    connect: Duration,
    /// True if only public addresses are connected to.
    guarded: bool,
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
            warnings: Mutex::default(),
            plain: Mutex::default(),
            tokens: Arc::default(),
            crowds: Arc::default(),
            referrers: tokio::sync::Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner), listener: None, caller: Arc::default() })
    }

    /// Returns the same client for an operation that wants to hear, once each, of the waits that hosts ask for while it
    /// asks them.
    #[must_use]
    pub fn listening(&self, tell: impl Fn(Wait) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Arc::new(Listener::new(tell))), ..self.clone() }
    }

    /// Returns the same client for an operation on somebody's behalf, which registries are told of.
    #[must_use]
    pub fn on_behalf_of(&self, caller: Caller) -> Self {
        Self { caller: Arc::new(caller), ..self.clone() }
    }

    /// Returns a client that takes one more registry for insecure. It shares no connections with this one.
    pub fn also_insecure(&self, registry: &str) -> Result<Self, RegistryError> {
        let mut config = self.inner.config.clone();
        config.insecure.push(registry.to_owned());
        Ok(Self { caller: Arc::clone(&self.caller), ..Self::new(config)? })
    }

    /// Returns what an endpoint is shown: `given` is for the registry itself, other hosts have their own.
    pub(crate) fn credential_lookup(
        &self,
        endpoint: &Endpoint,
        given: Option<&Credentials>,
    ) -> CredentialLookup {
        if let Some(given) = given.filter(|_| endpoint.host.itself) {
            return CredentialLookup::given(given.clone());
        }
        let source = self.inner.config.credentials.clone();
        CredentialLookup::of_host(source, endpoint.host.written.clone())
    }

    pub(crate) fn tokens(&self) -> Arc<TokenCache> {
        Arc::clone(&self.inner.tokens)
    }

    pub(crate) fn crowds(&self) -> &Arc<Crowds> {
        &self.inner.crowds
    }

    /// Lists where a registry can be asked, in order: the hosts of its `hosts.toml`, or the mirrors of Docker Hub; then
    /// the registry itself by HTTPS, then by HTTP.
    pub(crate) async fn candidates(
        &self,
        registry: &str,
        access: Access,
    ) -> Result<Vec<Candidate>, RegistryError> {
        if registry.is_empty() {
            return Err(RegistryError::NoDomain);
        }
        let file = self.hosts_file(registry).await?;
        let hosts = configured::hosts(&self.inner.rules, registry, file.as_ref(), access).await?;
        self.connected(registry, hosts).await
    }

    /// Lists where credentials for a registry can be tried: the registry itself only.
    pub(crate) async fn own_candidates(
        &self,
        registry: &str,
    ) -> Result<Vec<Candidate>, RegistryError> {
        let (rules, file) = (&self.inner.rules, self.hosts_file(registry).await?);
        let mut hosts = configured::hosts(rules, registry, file.as_ref(), Access::Pull).await?;
        hosts.retain(|host| host.itself);
        if hosts.is_empty() {
            hosts = configured::hosts(rules, registry, None, Access::Push).await?;
        }
        for host in &mut hosts {
            host.mirror = false;
        }
        self.connected(registry, hosts).await
    }

    async fn connected(
        &self,
        registry: &str,
        hosts: Vec<ConfiguredHost>,
    ) -> Result<Vec<Candidate>, RegistryError> {
        let mut found: Vec<Candidate> = Vec::with_capacity(hosts.len() + 1);
        for host in hosts {
            found.push(self.endpoint(host).await?.into());
        }
        let plain = |candidate: &Candidate| {
            let host = &candidate.endpoint.host;
            host.itself && host.setting == Setting::Name && host.base.scheme() == "http"
        };
        if self.plain().contains(registry)
            && let Some(at) = found.iter().position(plain)
            // What stands before it is the same by HTTPS, or else a mirror, which comes first in any case.
            && at.checked_sub(1).is_some_and(|before| found[before].endpoint.host.itself)
        {
            // Should that have changed, the two are asked as if it had not been known.
            let http = Endpoint { guessed: true, ..Endpoint::clone(&found[at].endpoint) };
            found.insert(at - 1, Arc::new(http).into());
        }
        Ok(found)
    }

    /// Reads the `hosts.toml` of a registry, and says what it has that does nothing.
    pub(crate) async fn hosts_file(
        &self,
        registry: &str,
    ) -> Result<Option<HostsFile>, RegistryError> {
        let directories = self.inner.config.certs_dirs.clone();
        // As the directory of certificates, Docker Hub's is found by the name that images have.
        let name = if is_hub(registry) { "docker.io" } else { registry }.to_owned();
        let file = blocking(move || file::load(&directories, &name)).await?;
        for warning in file.iter().flat_map(|file| &file.warnings) {
            let mut said = lock(&self.inner.warnings);
            if said.len() < MAX_WARNINGS && said.insert(warning.clone()) {
                tracing::warn!(target: crate::NOTICES, "{warning}");
            }
        }
        Ok(file)
    }

    /// Remembers which scheme a registry speaks, now that this endpoint of it has answered.
    pub(crate) fn learn(&self, candidate: &Candidate, registry: &str) {
        let endpoint = &candidate.endpoint;
        if !endpoint.is_insecure() || !endpoint.host.itself || endpoint.host.mirror {
            return;
        }
        let mut known = self.plain();
        if endpoint.scheme() != "http" {
            known.remove(registry);
        } else if known.len() < MAX_PLAIN {
            known.insert(registry.to_owned());
        }
    }

    fn plain(&self) -> MutexGuard<'_, HashSet<String>> {
        lock(&self.inner.plain)
    }

    /// Returns what can be asked of a URL's host that is no registry, by whatever scheme. Plain HTTP does not make it
    /// insecure: a redirect may lead to HTTPS.
    pub(crate) async fn plain_endpoint(&self, url: &Url) -> Result<Arc<Endpoint>, RegistryError> {
        self.endpoint(ConfiguredHost::host(url)).await
    }

    /// Returns what can be asked of a host that a layer's manifest names.
    pub(crate) async fn foreign_endpoint(&self, url: &Url) -> Result<Arc<Endpoint>, RegistryError> {
        self.endpoint(ConfiguredHost::foreign(url)).await
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.inner.rules
    }

    /// Waits for whoever else of this process changes a list of referrers, and keeps others from it.
    pub(crate) async fn alone_with_referrers(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.referrers.lock().await
    }

    pub(crate) fn retry_delay(&self) -> Duration {
        self.inner.config.retry_delay
    }

    /// Says whether manifests of schema 1 may be read and made.
    pub fn allows_first_schema(&self) -> bool {
        self.inner.config.first_schema
    }

    /// Says whether another registry stands in for Docker Hub.
    pub(crate) fn has_own_hub(&self) -> bool {
        self.inner.config.hub_endpoint.is_some()
    }

    pub(crate) async fn endpoint(
        &self,
        host: ConfiguredHost,
    ) -> Result<Arc<Endpoint>, RegistryError> {
        let config = &self.inner.config;
        let connect = match host.settings.dial_timeout {
            Some(timeout) => timeout,
            // Somebody else may be waiting to be asked.
            None if host.mirror => config.connect_timeout.min(MIRROR_CONNECT),
            None => config.connect_timeout,
        };
        let wire = Wire {
            material: self.material(&host).await?,
            any_certificate: host.security != Security::Verified,
            connect,
            guarded: host.foreign,
        };
        let files = TlsFiles::of(&wire.material);
        let response = if host.mirror {
            config.response_timeout.min(MIRROR_RESPONSE)
        } else {
            config.response_timeout
        };
        let caller = if host.foreign { Arc::default() } else { Arc::clone(&self.caller) };
        let guard = || Guard::new(&self.inner.rules.artifacts, &self.inner.rules.proxies);
        Ok(Arc::new(Endpoint {
            user_agent: caller.user_agent(&config.user_agent),
            caller,
            guard: host.foreign.then(guard),
            metrics: config.metrics.of(&host.written),
            waits: config.waits.clone(),
            listener: self.listener.clone(),
            timeouts: Timeouts {
                first: response.min(FIRST),
                response,
                commit: COMMIT.max(config.response_timeout),
                stall: config.stall_timeout,
            },
            client: self.transport(wire).await?,
            proxies: Arc::new(self.inner.rules.proxies.clone()),
            files,
            // A mirror that fails is passed over, which is quicker than waiting for it.
            tries: if host.mirror { Tries::NONE } else { Tries::ALL },
            guessed: false,
            host,
        }))
    }

    /// Returns the connections that have these settings.
    async fn transport(&self, wire: Wire) -> Result<reqwest::Client, RegistryError> {
        if let Some(client) = self.transports().get(&wire) {
            return Ok(client.clone());
        }
        let settings = if wire.any_certificate {
            tls::insecure(&wire.material)?
        } else {
            tls::secure(&self.roots().await, &wire.material)?
        };
        let client = self.connect(settings, &wire)?;
        let mut transports = self.transports();
        if transports.len() >= MAX_TRANSPORTS {
            transports.clear();
        }
        // Another task may have been quicker: its connections are as good, and may be warm.
        Ok(transports.entry(wire).or_insert(client).clone())
    }

    fn transports(&self) -> MutexGuard<'_, HashMap<Wire, reqwest::Client>> {
        lock(&self.inner.transports)
    }

    /// Reads the certificates for a host: those in its host's own directory, and those that a `hosts.toml` names.
    async fn material(&self, host: &ConfiguredHost) -> Result<Material, RegistryError> {
        let settings = host.settings.clone();
        // What is not checked needs no authorities; Docker does not even read them then.
        let checked = host.security == Security::Verified;
        let directories = if checked { self.inner.config.certs_dirs.clone() } else { Vec::new() };
        let (host, foreign) = (host.written.clone(), host.foreign);
        blocking(move || {
            let mut material = Material::load(&directories, &host)?;
            material.add(&settings)?;
            Ok(if foreign { material.without_identities() } else { material })
        })
        .await
    }

    async fn roots(&self) -> Arc<tls::Authorities> {
        let load = || async { Arc::new(blocking(tls::native_roots).await) };
        Arc::clone(self.inner.roots.get_or_init(load).await)
    }

    fn connect(
        &self,
        settings: rustls::ClientConfig,
        wire: &Wire,
    ) -> Result<reqwest::Client, RegistryError> {
        let proxies = self.inner.rules.proxies.clone();
        let config = &self.inner.config;
        let builder = if wire.guarded {
            let guard = Guard::new(&self.inner.rules.artifacts, &proxies);
            reqwest::Client::builder().dns_resolver(guard)
        } else {
            reqwest::Client::builder().dns_resolver(SystemResolver)
        };
        builder
            .tls_backend_preconfigured(settings)
            // Ours only: neither the environment's proxies nor the library's redirects, which know no endpoints.
            .no_proxy()
            .proxy(reqwest::Proxy::custom(move |url| proxies.proxy(url).cloned()))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(wire.connect)
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
