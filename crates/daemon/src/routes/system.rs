//! `/_ping`, `/version`, `/info`, `/auth` and `/events`.

use std::collections::BTreeMap;
use std::time::Duration;

use api::auth::{AuthConfig, AuthResponse, MAX_AUTH_SIZE};
use api::system::{
    Commit, Component, IndexConfig, Info, PlatformName, Plugins, RegistryConfig, Version,
};
use api::{ApiVersion, Filters, timestamp};
use engine::EngineInfo;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, PRAGMA};
use http::{Method, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::body::Incoming;
use jiff::Timestamp;
use registry::Caller;
use spec::Platform;

use super::Answer;
use super::parameters::credentials;
use crate::Daemon;
use crate::config::{DaemonConfig, TlsMode, mask_credentials};
use crate::connection::Call;
use crate::errors::Failure;
use crate::events::{self, Format, Wish};
use crate::host::open_files;
use crate::listen::Host;
use crate::reply::{self, Body};

/// Where a login without a server goes.
const INDEX_SERVER: &str = "https://index.docker.io/v1/";
/// What it means that others reach the API.
const ROOT_ACCESS: &str = "
         Access to the remote API is equivalent to root access on the host. Refer
         to the 'Docker daemon attack surface' section in the documentation for
         more information: https://docs.docker.com/go/attack-surface/";
const REMOVAL: &str = "In future versions this will be a hard failure preventing the daemon from starting! Learn more \
                       at: https://docs.docker.com/go/api-security/";
/// dockerd's word for a program of which it knows nothing; clients print it.
const NO_PROGRAM: &str = "N/A";
/// How long a client may take to send the body of `/auth`.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) fn ping(call: &Call) -> Response<Body> {
    let mut response = match call.method {
        Method::HEAD => reply::empty(StatusCode::OK),
        _ => reply::full(StatusCode::OK, "OK"),
    };
    let headers = response.headers_mut();
    if call.method == Method::HEAD {
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, no-store, must-revalidate"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    // The builder that the docker command line would use: without one, `docker build` is refused in clear words.
    headers.insert(HeaderName::from_static("builder-version"), HeaderValue::from_static("1"));
    headers.insert(HeaderName::from_static("swarm"), HeaderValue::from_static("inactive"));
    response
}

pub(super) fn version(daemon: &Daemon) -> Response<Body> {
    let version = daemon.version().to_owned();
    let kernel = daemon.host().kernel.clone();
    let (os, arch) = {
        let host = Platform::host();
        (host.os, host.architecture)
    };
    let newest = ApiVersion::CURRENT.to_string();
    let oldest = daemon.config().min_api_version.to_string();
    let details = [
        ("ApiVersion", newest.as_str()),
        ("Arch", &arch),
        ("BuildTime", daemon.build_time()),
        ("Experimental", "false"),
        ("GitCommit", daemon.git_commit()),
        ("KernelVersion", &kernel),
        ("MinAPIVersion", &oldest),
        ("Os", &os),
    ];
    let engine = Component {
        // The name under which the docker command line looks for the daemon's own details.
        name: "Engine".to_owned(),
        version: version.clone(),
        details: details
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    };
    let document = Version {
        platform: PlatformName { name: "Longshore".to_owned() },
        version,
        api_version: newest,
        min_api_version: oldest,
        os,
        arch,
        components: vec![engine],
        git_commit: daemon.git_commit().to_owned(),
        kernel_version: kernel,
        build_time: daemon.build_time().to_owned(),
    };
    reply::json(StatusCode::OK, &document)
}

pub(super) async fn info(daemon: &Daemon, call: &Call) -> Answer {
    let engine = daemon.engine().info().await?;
    let document = describe(daemon, &daemon.config(), engine, call.version);
    Ok(reply::json(StatusCode::OK, &document))
}

fn describe(
    daemon: &Daemon,
    config: &DaemonConfig,
    engine: EngineInfo,
    version: ApiVersion,
) -> Info {
    let host = daemon.host();
    let root = engine.data_root.display().to_string();
    let no_program = Commit {
        id: NO_PROGRAM.to_owned(),
        expected: (!version.at_least(49)).then(|| NO_PROGRAM.to_owned()),
    };
    let proxy = |url: &Option<String>| url.as_deref().map(mask_credentials).unwrap_or_default();
    Info {
        id: daemon.id(),
        images: engine.images as u64,
        driver: engine.driver,
        driver_status: engine.driver_status,
        plugins: Plugins::default(),
        // Nothing runs here that could be limited. Clients warn of each limit that they are not told to be there.
        memory_limit: true,
        swap_limit: true,
        cpu_cfs_period: true,
        cpu_cfs_quota: true,
        cpu_shares: true,
        cpu_set: true,
        pids_limit: true,
        ipv4_forwarding: true,
        oom_kill_disable: true,
        bridge_nf_iptables: (!version.at_least(50)).then_some(true),
        bridge_nf_ip6tables: (!version.at_least(50)).then_some(true),
        debug: config.debug,
        labels: config.labels.clone(),
        n_fd: open_files().unwrap_or_default(),
        system_time: Timestamp::now().to_string(),
        logging_driver: "none".to_owned(),
        cgroup_driver: "none".to_owned(),
        n_events_listener: daemon.count_event_streams() as u64,
        kernel_version: host.kernel.clone(),
        operating_system: host.operating_system.clone(),
        os_version: host.os_version.clone(),
        os_type: Platform::host().os,
        architecture: host.machine.clone(),
        index_server_address: INDEX_SERVER.to_owned(),
        registry_config: Some(registries(config, version)),
        n_cpu: host.cpus,
        mem_total: host.memory,
        docker_root_dir: root,
        http_proxy: proxy(&config.proxies.http),
        https_proxy: proxy(&config.proxies.https),
        no_proxy: config.proxies.no_proxy.clone().unwrap_or_default(),
        name: host.name.clone(),
        server_version: daemon.version().to_owned(),
        init_binary: NO_PROGRAM.to_owned(),
        containerd_commit: no_program.clone(),
        runc_commit: no_program.clone(),
        init_commit: no_program,
        warnings: warnings(config),
        ..Info::default()
    }
}

/// How registries are reached, as dockerd lists it: networks by themselves, names as registries that are not secure.
fn registries(config: &DaemonConfig, version: ApiVersion) -> RegistryConfig {
    let (artifact_networks, artifact_names): (Vec<_>, Vec<_>) =
        config.nondistributable_artifacts.iter().cloned().partition(|name| name.contains('/'));
    // Newer daemons do not know them any more.
    let told = |list: Vec<String>| (!version.at_least(49) || !list.is_empty()).then_some(list);
    let mut networks = vec!["127.0.0.0/8".to_owned(), "::1/128".to_owned()];
    let hub = IndexConfig {
        name: "docker.io".to_owned(),
        mirrors: config.registry_mirrors.clone(),
        secure: true,
        official: true,
    };
    let mut registries = BTreeMap::from([(hub.name.clone(), hub)]);
    for registry in &config.insecure_registries {
        if registry.contains('/') {
            if !networks.contains(registry) {
                networks.push(registry.clone());
            }
        } else {
            let insecure = IndexConfig { name: registry.clone(), ..IndexConfig::default() };
            registries.insert(registry.clone(), insecure);
        }
    }
    RegistryConfig {
        allow_nondistributable_artifacts_cidrs: told(artifact_networks),
        allow_nondistributable_artifacts_hostnames: told(artifact_names),
        insecure_registry_cidrs: networks,
        index_configs: registries,
        mirrors: config.registry_mirrors.clone(),
    }
}

/// What a user of this daemon should know, in dockerd's words.
fn warnings(config: &DaemonConfig) -> Option<Vec<String>> {
    let (scheme, lack) = match config.tls.as_ref().map(|tls| tls.mode) {
        None => ("http", "encryption"),
        Some(TlsMode::Encrypt) => ("https", "TLS client verification"),
        Some(TlsMode::Verify) => return None,
    };
    let addresses = config.hosts.iter().filter_map(|host| match host {
        Host::Tcp(address) => Some(address),
        Host::Unix(_) | Host::Fd(_) => None,
    });
    let warnings: Vec<_> = addresses
        .map(|address| {
            format!(
                "[DEPRECATION NOTICE]: API is accessible on {scheme}://{address} without {lack}.{ROOT_ACCESS}\n{REMOVAL}"
            )
        })
        .collect();
    (!warnings.is_empty()).then_some(warnings)
}

pub(super) async fn auth(daemon: &Daemon, call: &Call, body: Incoming) -> Answer {
    let body = Limited::new(body, MAX_AUTH_SIZE).collect();
    let body = tokio::time::timeout(BODY_TIMEOUT, body)
        .await
        .map_err(|_| {
            Failure::new(StatusCode::REQUEST_TIMEOUT, "the request's body did not arrive in time")
        })?
        .map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => {
                Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "the request's body is too large")
            }
            None => Failure::invalid(format!("the request's body cannot be read: {error}")),
        })?;
    let auth = AuthConfig::from_json(&body.to_bytes())?;
    let server = auth.serveraddress.clone();
    let caller = Caller::agent_of_request(&call.headers);
    let outcome = daemon.engine().login(&credentials(auth), &server, caller).await?;
    let document = AuthResponse {
        status: outcome.status,
        identity_token: outcome.identity_token.unwrap_or_default(),
    };
    Ok(reply::json(StatusCode::OK, &document))
}

pub(super) fn events(daemon: &Daemon, call: &Call) -> Answer {
    let time = |name: &str| {
        timestamp::unix(call.query.get(name))
            .map_err(|reason| Failure::invalid(format!("invalid value for '{name}': {reason}")))
    };
    let (since, until) = (time("since")?, time("until")?);
    if let (Some(from), Some(to)) = (since, until)
        && to < from
    {
        return Err(Failure::invalid(format!(
            "`since` time ({}) cannot be after `until` time ({})",
            call.query.get("since"),
            call.query.get("until"),
        )));
    }
    let wish = Wish {
        since,
        until,
        filters: Filters::decode(call.query.get("filters"))?,
        version: call.version,
        format: Format::choose(&call.headers, call.version),
    };
    let content_type = wish.format.content_type();
    let (history, receiver) = daemon.engine().events().subscribe();
    Ok(reply::stream(content_type, events::lines(wish, history, receiver, daemon)))
}
