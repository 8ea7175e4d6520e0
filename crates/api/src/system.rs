//! The documents of `GET /version` and `GET /info`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::wire::null_as_default;

/// `GET /version`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Version {
    /// The product.
    pub platform: PlatformName,
    /// The daemon's version.
    pub version: String,
    /// The newest version of the API that the daemon answers.
    pub api_version: String,
    /// The oldest version of the API that the daemon answers.
    #[serde(rename = "MinAPIVersion")]
    pub min_api_version: String,
    /// The daemon's operating system, as Go names it.
    pub os: String,
    /// The daemon's architecture, as Go names it.
    pub arch: String,
    /// The programs that the daemon is made of.
    #[serde(deserialize_with = "null_as_default")]
    pub components: Vec<Component>,
    /// The commit that the daemon was built from.
    pub git_commit: String,
    /// The Go that a dockerd was built by; empty here. Docker's document always has the field, and clients read it unasked.
    pub go_version: String,
    /// The release of the running kernel.
    pub kernel_version: String,
    /// Moment at which the binary was made.
    pub build_time: String,
}

/// The name of a product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PlatformName {
    /// The name; empty for a plain dockerd.
    pub name: String,
}

/// One program of a daemon.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Component {
    /// `Engine` for the daemon itself: the docker command line prints its details.
    pub name: String,
    /// Version of the program.
    pub version: String,
    /// Further facts, by name.
    #[serde(deserialize_with = "null_as_default")]
    pub details: BTreeMap<String, String>,
}

/// `GET /info`.
///
/// Most of Docker's fields are about running containers. They are here because clients read them without asking
/// whether they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "Docker's document")]
pub struct Info {
    /// Names the daemon, for as long as its data root lives.
    #[serde(rename = "ID")]
    pub id: String,
    /// Containers in all.
    pub containers: u64,
    /// Containers that run.
    pub containers_running: u64,
    /// Containers that are paused.
    pub containers_paused: u64,
    /// Containers that are stopped.
    pub containers_stopped: u64,
    /// Images in all.
    pub images: u64,
    /// The storage driver.
    pub driver: String,
    /// Facts of the storage driver: pairs of name and value.
    #[serde(deserialize_with = "null_as_default")]
    pub driver_status: Vec<(String, String)>,
    /// Plugins, by kind.
    pub plugins: Plugins,
    /// Support for limits of memory.
    pub memory_limit: bool,
    /// Support for limits of swap.
    pub swap_limit: bool,
    /// Support for limits of CPU periods.
    pub cpu_cfs_period: bool,
    /// Support for CPU quotas.
    pub cpu_cfs_quota: bool,
    /// Support for CPU shares.
    #[serde(rename = "CPUShares")]
    pub cpu_shares: bool,
    /// Support for a choice of CPUs.
    #[serde(rename = "CPUSet")]
    pub cpu_set: bool,
    /// Support for a limit of the number of processes.
    pub pids_limit: bool,
    /// Forwarding of IPv4 by the host.
    #[serde(rename = "IPv4Forwarding")]
    pub ipv4_forwarding: bool,
    /// True where bridges ask iptables. Told up to API 1.49: clients warn where they are not told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge_nf_iptables: Option<bool>,
    /// The same for IPv6.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge_nf_ip6tables: Option<bool>,
    /// Debug messages in the log.
    pub debug: bool,
    /// The daemon's open files.
    #[serde(rename = "NFd")]
    pub n_fd: u64,
    /// Support for turning the OOM killer off.
    pub oom_kill_disable: bool,
    /// The daemon's tasks.
    #[serde(rename = "NGoroutines")]
    pub n_goroutines: u64,
    /// The daemon's clock, RFC 3339.
    pub system_time: String,
    /// Destination of containers' logs.
    pub logging_driver: String,
    /// Manager of control groups.
    pub cgroup_driver: String,
    /// `1` or `2`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cgroup_version: String,
    /// Clients that listen for events.
    #[serde(rename = "NEventsListener")]
    pub n_events_listener: u64,
    /// The release of the running kernel.
    pub kernel_version: String,
    /// The distribution.
    pub operating_system: String,
    /// The distribution's version.
    #[serde(rename = "OSVersion")]
    pub os_version: String,
    /// The operating system, as Go names it.
    #[serde(rename = "OSType")]
    pub os_type: String,
    /// The machine, as `uname -m` names it.
    pub architecture: String,
    /// Server of a login that names none.
    pub index_server_address: String,
    /// Settings of registries.
    pub registry_config: Option<RegistryConfig>,
    /// CPUs.
    #[serde(rename = "NCPU")]
    pub n_cpu: u64,
    /// Bytes of memory.
    pub mem_total: u64,
    /// Always `null`.
    pub generic_resources: Option<Vec<serde_json::Value>>,
    /// The data root.
    pub docker_root_dir: String,
    /// The proxy for plain HTTP.
    pub http_proxy: String,
    /// The proxy for HTTPS.
    pub https_proxy: String,
    /// Hosts that are reached without a proxy.
    pub no_proxy: String,
    /// The host's name.
    pub name: String,
    /// The daemon's labels.
    #[serde(deserialize_with = "null_as_default")]
    pub labels: Vec<String>,
    /// Experimental features.
    pub experimental_build: bool,
    /// The daemon's version.
    pub server_version: String,
    /// The programs that run containers, by name.
    #[serde(deserialize_with = "null_as_default")]
    pub runtimes: BTreeMap<String, serde_json::Value>,
    /// The program that runs containers.
    pub default_runtime: String,
    /// The swarm that the daemon is part of.
    pub swarm: Swarm,
    /// Containers that outlive the daemon.
    pub live_restore_enabled: bool,
    /// Isolation of containers (Windows).
    pub isolation: String,
    /// The program that is a container's first process.
    pub init_binary: String,
    /// The containerd in use.
    pub containerd_commit: Commit,
    /// The runc in use.
    pub runc_commit: Commit,
    /// The init in use.
    pub init_commit: Commit,
    /// `name=…` of each security feature.
    #[serde(deserialize_with = "null_as_default")]
    pub security_options: Vec<String>,
    /// Directories with descriptions of devices.
    #[serde(rename = "CDISpecDirs", deserialize_with = "null_as_default")]
    pub cdi_spec_dirs: Vec<String>,
    /// Warnings to a user; clients print them. `null` where there are none.
    pub warnings: Option<Vec<String>>,
}

/// Plugins of a daemon, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Plugins {
    /// Volume drivers.
    #[serde(deserialize_with = "null_as_default")]
    pub volume: Vec<String>,
    /// Network drivers.
    #[serde(deserialize_with = "null_as_default")]
    pub network: Vec<String>,
    /// Authorization plugins.
    pub authorization: Option<Vec<String>>,
    /// Log drivers.
    #[serde(deserialize_with = "null_as_default")]
    pub log: Vec<String>,
}

/// Settings of registries.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RegistryConfig {
    /// Networks of registries that take layers that are not to be redistributed; API below 1.49, or where there are any.
    #[serde(
        rename = "AllowNondistributableArtifactsCIDRs",
        skip_serializing_if = "Option::is_none"
    )]
    pub allow_nondistributable_artifacts_cidrs: Option<Vec<String>>,
    /// Names of such registries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_nondistributable_artifacts_hostnames: Option<Vec<String>>,
    /// Networks whose registries may be reached over plain HTTP.
    #[serde(rename = "InsecureRegistryCIDRs", deserialize_with = "null_as_default")]
    pub insecure_registry_cidrs: Vec<String>,
    /// Settings of single registries, by name.
    #[serde(deserialize_with = "null_as_default")]
    pub index_configs: BTreeMap<String, IndexConfig>,
    /// The mirrors of Docker Hub.
    #[serde(deserialize_with = "null_as_default")]
    pub mirrors: Vec<String>,
}

/// Settings of one registry.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IndexConfig {
    /// Host and port.
    pub name: String,
    /// URLs that are asked before it.
    #[serde(deserialize_with = "null_as_default")]
    pub mirrors: Vec<String>,
    /// True if it must be reached over HTTPS with a certificate that holds.
    pub secure: bool,
    /// True for Docker Hub.
    pub official: bool,
}

/// The commit of a program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Commit {
    /// The commit; empty where there is no such program.
    #[serde(rename = "ID")]
    pub id: String,
    /// The same again, up to API 1.48.
    #[serde(rename = "Expected", skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

/// The part of a daemon in a swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Swarm {
    /// The node's ID.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// The node's address.
    pub node_addr: String,
    /// `inactive` for a daemon outside any swarm.
    pub local_node_state: String,
    /// True if the node manages the swarm.
    pub control_available: bool,
    /// Fault of the node.
    pub error: String,
    /// The other managers.
    pub remote_managers: Option<Vec<serde_json::Value>>,
}

impl Default for Swarm {
    fn default() -> Self {
        Self {
            node_id: String::new(),
            node_addr: String::new(),
            local_node_state: "inactive".to_owned(),
            control_available: false,
            error: String::new(),
            remote_managers: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_version_is_read() {
        let recorded = concat!(
            r#"{"Platform":{"Name":""},"Version":"29.7.2","ApiVersion":"1.55","MinAPIVersion":"1.40","Os":"linux","#,
            r#""Arch":"amd64","Components":[{"Name":"Engine","Version":"29.7.2","Details":{"ApiVersion":"1.55"}},"#,
            r#"{"Name":"containerd","Version":"v2.3.4","Details":{"GitCommit":""}}],"GitCommit":"library-import","#,
            r#""GoVersion":"go1.27.3","KernelVersion":"6.18.44","BuildTime":"library-import"}"#,
        );
        let version: Version = serde_json::from_str(recorded).unwrap();
        assert_eq!(
            (version.api_version.as_str(), version.min_api_version.as_str()),
            ("1.55", "1.40")
        );
        assert_eq!(version.components[0].details["ApiVersion"], "1.55");
        assert_eq!(serde_json::to_string(&version).unwrap(), recorded);
    }

    #[test]
    fn info_has_dockers_names_in_dockers_order() {
        let recorded = concat!(
            r#"{"ID":"a6","Containers":0,"ContainersRunning":0,"ContainersPaused":0,"ContainersStopped":0,"#,
            r#""Images":13,"Driver":"overlay2","DriverStatus":[["Backing Filesystem","extfs"]],"Plugins":{"#,
            r#""Volume":["local"],"Network":["bridge"],"Authorization":null,"Log":["json-file"]},"#,
            r#""MemoryLimit":true,"SwapLimit":true,"CpuCfsPeriod":true,"CpuCfsQuota":true,"CPUShares":true,"#,
            r#""CPUSet":true,"PidsLimit":true,"IPv4Forwarding":true,"Debug":false,"NFd":84,"OomKillDisable":true,"#,
            r#""NGoroutines":162,"SystemTime":"2026-11-21T17:55:30.741897757Z","LoggingDriver":"json-file","#,
            r#""CgroupDriver":"cgroupfs","CgroupVersion":"1","NEventsListener":0,"KernelVersion":"6.18.44","#,
            r#""OperatingSystem":"Debian","OSVersion":"12","OSType":"linux","Architecture":"x86_64","#,
            r#""IndexServerAddress":"https://index.docker.io/v1/","RegistryConfig":{"InsecureRegistryCIDRs":["#,
            r#""127.0.0.0/8","::1/128"],"IndexConfigs":{"docker.io":{"Name":"docker.io","Mirrors":[],"#,
            r#""Secure":true,"Official":true}},"Mirrors":[]},"NCPU":2,"MemTotal":25276502016,"#,
            r#""GenericResources":null,"DockerRootDir":"/r","HttpProxy":"","HttpsProxy":"","NoProxy":"","#,
            r#""Name":"vm","Labels":[],"ExperimentalBuild":false,"ServerVersion":"29.7.2","Runtimes":{"#,
        );
        let mut whole = recorded.to_owned();
        whole.push_str(r#"},"Warnings":null}"#);
        let info: Info = serde_json::from_str(&whole).unwrap();
        let written = serde_json::to_string(&info).unwrap();
        assert!(written.starts_with(recorded), "{written}");
        assert!(
            written.contains(r#""Swarm":{"NodeID":"","NodeAddr":"","LocalNodeState":"inactive""#),
            "{written}"
        );
    }
}
