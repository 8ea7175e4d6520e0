//! The Go types behind an image's inspection: `image.InspectResponse` of Docker 28.2 and what it is made of.

use go_template::shape::{Member, Shape, Type};

const TEXTS: Shape = Shape::List(&Shape::Text);
const LABELS: Shape = Shape::Map(&Shape::Text);
/// A set of ports or paths: a map to empty structs.
const SET: Shape = Shape::Map(&Shape::Structure(&EMPTY));

static EMPTY: Type = Type { name: "struct {}", members: &[] };

/// The answer to `/images/NAME/json`.
pub(super) static IMAGE: Type = Type {
    name: "image.InspectResponse",
    members: &[
        Member::new("ID", Shape::Text).key("Id"),
        Member::new("RepoTags", TEXTS),
        Member::new("RepoDigests", TEXTS),
        Member::new("Parent", Shape::Text),
        Member::new("Comment", Shape::Text),
        Member::optional("Created", Shape::Text),
        Member::optional("Container", Shape::Text),
        Member::optional("ContainerConfig", Shape::Pointer(&CONTAINER_CONFIG)),
        Member::new("DockerVersion", Shape::Text),
        Member::new("Author", Shape::Text),
        Member::new("Config", Shape::Pointer(&CONFIG)),
        Member::new("Architecture", Shape::Text),
        Member::optional("Variant", Shape::Text),
        Member::new("Os", Shape::Text),
        Member::optional("OsVersion", Shape::Text),
        Member::new("Size", Shape::Int),
        Member::optional("VirtualSize", Shape::Int),
        Member::new("GraphDriver", Shape::Structure(&GRAPH_DRIVER)),
        Member::new("RootFS", Shape::Structure(&ROOT_FS)),
        Member::new("Metadata", Shape::Structure(&METADATA)),
        Member::optional("Descriptor", Shape::Pointer(&DESCRIPTOR)),
        Member::optional("Manifests", Shape::List(&Shape::Any)),
    ],
};

static CONFIG: Type = Type {
    name: "*v1.DockerOCIImageConfig",
    members: &[
        Member::embedded("ImageConfig", &OCI_CONFIG),
        Member::embedded("DockerOCIImageConfigExt", &DOCKER_CONFIG),
    ],
};

static OCI_CONFIG: Type = Type {
    name: "v1.ImageConfig",
    members: &[
        Member::optional("User", Shape::Text),
        Member::optional("ExposedPorts", SET),
        Member::optional("Env", TEXTS),
        Member::optional("Entrypoint", TEXTS),
        Member::optional("Cmd", TEXTS),
        Member::optional("Volumes", SET),
        Member::optional("WorkingDir", Shape::Text),
        Member::optional("Labels", LABELS),
        Member::optional("StopSignal", Shape::Text),
        Member::optional("ArgsEscaped", Shape::Bool),
    ],
};

static DOCKER_CONFIG: Type = Type {
    name: "v1.DockerOCIImageConfigExt",
    members: &[
        Member::optional("Healthcheck", Shape::Pointer(&HEALTHCHECK)),
        Member::optional("OnBuild", TEXTS),
        Member::optional("Shell", TEXTS),
    ],
};

static HEALTHCHECK: Type = Type {
    name: "*v1.HealthcheckConfig",
    members: &[
        Member::optional("Test", TEXTS),
        Member::optional("Interval", Shape::Duration),
        Member::optional("Timeout", Shape::Duration),
        Member::optional("StartPeriod", Shape::Duration),
        Member::optional("StartInterval", Shape::Duration),
        Member::optional("Retries", Shape::Int),
    ],
};

/// The container that an image was made from, of which old daemons tell.
static CONTAINER_CONFIG: Type = Type {
    name: "*container.Config",
    members: &[
        Member::new("Hostname", Shape::Text),
        Member::new("Domainname", Shape::Text),
        Member::new("User", Shape::Text),
        Member::new("AttachStdin", Shape::Bool),
        Member::new("AttachStdout", Shape::Bool),
        Member::new("AttachStderr", Shape::Bool),
        Member::optional("ExposedPorts", SET),
        Member::new("Tty", Shape::Bool),
        Member::new("OpenStdin", Shape::Bool),
        Member::new("StdinOnce", Shape::Bool),
        Member::new("Env", TEXTS),
        Member::new("Cmd", TEXTS),
        Member::optional("Healthcheck", Shape::Pointer(&HEALTHCHECK)),
        Member::optional("ArgsEscaped", Shape::Bool),
        Member::new("Image", Shape::Text),
        Member::new("Volumes", SET),
        Member::new("WorkingDir", Shape::Text),
        Member::new("Entrypoint", TEXTS),
        Member::optional("NetworkDisabled", Shape::Bool),
        Member::optional("MacAddress", Shape::Text),
        Member::new("OnBuild", TEXTS),
        Member::new("Labels", LABELS),
        Member::optional("StopSignal", Shape::Text),
        Member::optional("StopTimeout", Shape::Any),
        Member::optional("Shell", TEXTS),
    ],
};

static GRAPH_DRIVER: Type = Type {
    name: "storage.DriverData",
    members: &[Member::new("Data", LABELS), Member::new("Name", Shape::Text)],
};

static ROOT_FS: Type = Type {
    name: "image.RootFS",
    members: &[Member::optional("Type", Shape::Text), Member::optional("Layers", TEXTS)],
};

/// Go's `omitempty` leaves no time out.
static METADATA: Type =
    Type { name: "image.Metadata", members: &[Member::optional("LastTagTime", Shape::Time)] };

static DESCRIPTOR: Type = Type {
    name: "*v1.Descriptor",
    members: &[
        Member::new("MediaType", Shape::Text).key("mediaType"),
        Member::new("Digest", Shape::Text).key("digest"),
        Member::new("Size", Shape::Int).key("size"),
        Member::optional("URLs", TEXTS).key("urls"),
        Member::optional("Annotations", LABELS).key("annotations"),
        Member::optional("Data", Shape::Text).key("data"),
        Member::optional("Platform", Shape::Pointer(&PLATFORM)).key("platform"),
        Member::optional("ArtifactType", Shape::Text).key("artifactType"),
    ],
};

static PLATFORM: Type = Type {
    name: "*v1.Platform",
    members: &[
        Member::new("Architecture", Shape::Text).key("architecture"),
        Member::new("OS", Shape::Text).key("os"),
        Member::optional("OSVersion", Shape::Text).key("os.version"),
        Member::optional("OSFeatures", TEXTS).key("os.features"),
        Member::optional("Variant", Shape::Text).key("variant"),
    ],
};
