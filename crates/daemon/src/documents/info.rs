//! The document of `GET /info`.

use std::collections::BTreeMap;

use api::ApiVersion;
use api::system::{Commit, IndexConfig, Info, Plugins, RegistryConfig};
use engine::EngineInfo;
use jiff::Timestamp;
use spec::Platform;
use spec::go::{PROGRESS_DIGITS, human_bytes};

use crate::config::{DaemonConfig, ListenAddress, TlsMode, mask_credentials};
use crate::daemon::Daemon;
use crate::daemon::LastPrune;
use crate::machine::open_files;

/// Server of a login that names none.
const INDEX_SERVER: &str = "https://index.docker.io/v1/";
/// Danger of an API that others reach.
const ROOT_ACCESS: &str = "
         Access to the remote API is equivalent to root access on the host. Refer
         to the 'Docker daemon attack surface' section in the documentation for
         more information: https://docs.docker.com/go/attack-surface/";
const REMOVAL: &str = "In future versions this will be a hard failure preventing the daemon from starting! Learn more \
                       at: https://docs.docker.com/go/api-security/";
/// dockerd's word for a program of which it knows nothing; clients print it.
const NO_PROGRAM: &str = "N/A";
/// The document for a client that speaks `version`.
pub(crate) fn describe(
    daemon: &Daemon,
    config: &DaemonConfig,
    engine: EngineInfo,
    version: ApiVersion,
) -> Info {
    let host = daemon.machine();
    let root = engine.data_root.display().to_string();
    let no_program = Commit {
        id: NO_PROGRAM.to_owned(),
        expected: (!version.at_least(49)).then(|| NO_PROGRAM.to_owned()),
    };
    let proxy = |url: &Option<String>| url.as_deref().map(mask_credentials).unwrap_or_default();
    let mut driver_status = engine.driver_status;
    driver_status.extend(daemon.last_prune().map(last_prune));
    Info {
        id: daemon.id(),
        images: engine.images as u64,
        driver: engine.driver,
        driver_status,
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
        architecture: host.architecture.clone(),
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

/// The last prune by the clock, as a line of the driver's.
fn last_prune(last: LastPrune) -> (String, String) {
    let at = Timestamp::try_from(last.at).unwrap_or_default();
    let freed = human_bytes(last.freed, PROGRESS_DIGITS);
    let told = format!("{at:.0}, {}, {freed} freed", spec::counted(last.images, "image"));
    ("Last Scheduled Prune".to_owned(), told)
}

/// Settings of registries, as dockerd lists them: networks by themselves, names as registries that are not secure.
fn registries(config: &DaemonConfig, version: ApiVersion) -> RegistryConfig {
    let (artifact_networks, artifact_names): (Vec<_>, Vec<_>) = config
        .allow_nondistributable_artifacts
        .iter()
        .cloned()
        .partition(|name| name.contains('/'));
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

/// Warnings to the user of this daemon, in dockerd's words.
fn warnings(config: &DaemonConfig) -> Option<Vec<String>> {
    let (scheme, lack) = match config.tls_files().map(|tls| tls.mode) {
        None => ("http", "encryption"),
        Some(TlsMode::Encrypt) => ("https", "TLS client verification"),
        Some(TlsMode::Verify) => return None,
    };
    let addresses = config.hosts.iter().filter_map(|host| match host {
        ListenAddress::Tcp(address) => Some(address),
        ListenAddress::Unix(_) | ListenAddress::Fd(_) => None,
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
