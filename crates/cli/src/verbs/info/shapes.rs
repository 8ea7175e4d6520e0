//! The Go types behind the information on a daemon: `system.Info` of Docker 28.2 and what it is made of.

use go_template::shape::{Member, Shape, Type};

const TEXTS: Shape = Shape::List(&Shape::Text);
/// Pairs of a name and a value.
const PAIRS: Shape = Shape::List(&TEXTS);
const COMMIT: Shape = Shape::Structure(&COMMIT_TYPE);

/// The answer to `/info`.
pub(super) static INFO: Type = Type {
    name: "system.dockerInfo",
    members: &[
        Member::new("ID", Shape::Text),
        Member::new("Containers", Shape::Int),
        Member::new("ContainersRunning", Shape::Int),
        Member::new("ContainersPaused", Shape::Int),
        Member::new("ContainersStopped", Shape::Int),
        Member::new("Images", Shape::Int),
        Member::new("Driver", Shape::Text),
        Member::new("DriverStatus", PAIRS),
        Member::optional("SystemStatus", PAIRS),
        Member::new("Plugins", Shape::Structure(&PLUGINS)),
        Member::new("MemoryLimit", Shape::Bool),
        Member::new("SwapLimit", Shape::Bool),
        Member::optional("KernelMemory", Shape::Bool),
        Member::optional("KernelMemoryTCP", Shape::Bool),
        Member::new("CPUCfsPeriod", Shape::Bool).key("CpuCfsPeriod"),
        Member::new("CPUCfsQuota", Shape::Bool).key("CpuCfsQuota"),
        Member::new("CPUShares", Shape::Bool),
        Member::new("CPUSet", Shape::Bool),
        Member::new("PidsLimit", Shape::Bool),
        Member::new("IPv4Forwarding", Shape::Bool),
        Member::new("Debug", Shape::Bool),
        Member::new("NFd", Shape::Int),
        Member::new("OomKillDisable", Shape::Bool),
        Member::new("NGoroutines", Shape::Int),
        Member::new("SystemTime", Shape::Text),
        Member::new("LoggingDriver", Shape::Text),
        Member::new("CgroupDriver", Shape::Text),
        Member::optional("CgroupVersion", Shape::Text),
        Member::new("NEventsListener", Shape::Int),
        Member::new("KernelVersion", Shape::Text),
        Member::new("OperatingSystem", Shape::Text),
        Member::new("OSVersion", Shape::Text),
        Member::new("OSType", Shape::Text),
        Member::new("Architecture", Shape::Text),
        Member::new("IndexServerAddress", Shape::Text),
        Member::new("RegistryConfig", Shape::Pointer(&REGISTRIES)),
        Member::new("NCPU", Shape::Int),
        Member::new("MemTotal", Shape::Int),
        Member::new("GenericResources", Shape::List(&Shape::Any)),
        Member::new("DockerRootDir", Shape::Text),
        Member::new("HTTPProxy", Shape::Text).key("HttpProxy"),
        Member::new("HTTPSProxy", Shape::Text).key("HttpsProxy"),
        Member::new("NoProxy", Shape::Text),
        Member::new("Name", Shape::Text),
        Member::new("Labels", TEXTS),
        Member::new("ExperimentalBuild", Shape::Bool),
        Member::new("ServerVersion", Shape::Text),
        Member::new("Runtimes", Shape::Map(&Shape::Structure(&RUNTIME))),
        Member::new("DefaultRuntime", Shape::Text),
        Member::new("Swarm", Shape::Structure(&SWARM)),
        Member::new("LiveRestoreEnabled", Shape::Bool),
        Member::new("Isolation", Shape::Text),
        Member::new("InitBinary", Shape::Text),
        Member::new("ContainerdCommit", COMMIT),
        Member::new("RuncCommit", COMMIT),
        Member::new("InitCommit", COMMIT),
        Member::new("SecurityOptions", TEXTS),
        Member::optional("ProductLicense", Shape::Text),
        Member::optional("DefaultAddressPools", Shape::List(&Shape::Structure(&ADDRESS_POOL))),
        Member::optional("FirewallBackend", Shape::Pointer(&FIREWALL)),
        Member::new("CDISpecDirs", TEXTS),
        Member::optional("DiscoveredDevices", Shape::List(&Shape::Structure(&DEVICE))),
        Member::optional("Containerd", Shape::Pointer(&CONTAINERD)),
        Member::new("Warnings", TEXTS),
    ],
};

static PLUGINS: Type = Type {
    name: "system.PluginsInfo",
    members: &[
        Member::new("Volume", TEXTS),
        Member::new("Network", TEXTS),
        Member::new("Authorization", TEXTS),
        Member::new("Log", TEXTS),
    ],
};

/// Docker writes this one, and what is in it, by way of a map: with sorted keys.
static REGISTRIES: Type = Type {
    name: "*registry.ServiceConfig",
    members: &[
        Member::optional("AllowNondistributableArtifactsCIDRs", TEXTS),
        Member::optional("AllowNondistributableArtifactsHostnames", TEXTS),
        Member::new("IndexConfigs", Shape::Map(&Shape::Pointer(&REGISTRY))),
        Member::new("InsecureRegistryCIDRs", TEXTS),
        Member::new("Mirrors", TEXTS),
    ],
};

static REGISTRY: Type = Type {
    name: "*registry.IndexInfo",
    members: &[
        Member::new("Mirrors", TEXTS),
        Member::new("Name", Shape::Text),
        Member::new("Official", Shape::Bool),
        Member::new("Secure", Shape::Bool),
    ],
};

static RUNTIME: Type = Type {
    name: "system.RuntimeWithStatus",
    members: &[
        Member::embedded("Runtime", &RUNTIME_CONFIG),
        Member::optional("Status", Shape::Map(&Shape::Text)).key("status"),
    ],
};

static RUNTIME_CONFIG: Type = Type {
    name: "system.Runtime",
    members: &[
        Member::optional("Path", Shape::Text).key("path"),
        Member::optional("Args", TEXTS).key("runtimeArgs"),
        Member::optional("Type", Shape::Text).key("runtimeType"),
        Member::optional("Options", Shape::Map(&Shape::Any)).key("options"),
    ],
};

static SWARM: Type = Type {
    name: "swarm.Info",
    members: &[
        Member::new("NodeID", Shape::Text),
        Member::new("NodeAddr", Shape::Text),
        Member::new("LocalNodeState", Shape::Text),
        Member::new("ControlAvailable", Shape::Bool),
        Member::new("Error", Shape::Text),
        Member::new("RemoteManagers", Shape::List(&Shape::Structure(&PEER))),
        Member::optional("Nodes", Shape::Int),
        Member::optional("Managers", Shape::Int),
        Member::optional("Cluster", Shape::Any),
        Member::optional("Warnings", TEXTS),
    ],
};

static PEER: Type = Type {
    name: "swarm.Peer",
    members: &[Member::new("NodeID", Shape::Text), Member::new("Addr", Shape::Text)],
};

static COMMIT_TYPE: Type = Type {
    name: "system.Commit",
    members: &[Member::new("ID", Shape::Text), Member::optional("Expected", Shape::Text)],
};

static ADDRESS_POOL: Type = Type {
    name: "system.NetworkAddressPool",
    members: &[Member::new("Base", Shape::Text), Member::new("Size", Shape::Int)],
};

static FIREWALL: Type = Type {
    name: "*system.FirewallInfo",
    members: &[Member::new("Driver", Shape::Text), Member::optional("Info", PAIRS)],
};

static DEVICE: Type = Type {
    name: "system.DeviceInfo",
    members: &[Member::new("Source", Shape::Text), Member::new("ID", Shape::Text)],
};

static CONTAINERD: Type = Type {
    name: "*system.ContainerdInfo",
    members: &[
        Member::optional("Address", Shape::Text),
        Member::new("Namespaces", Shape::Structure(&NAMESPACES)),
    ],
};

static NAMESPACES: Type = Type {
    name: "system.ContainerdNamespaces",
    members: &[Member::new("Containers", Shape::Text), Member::new("Plugins", Shape::Text)],
};
