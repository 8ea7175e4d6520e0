//! The values of flags.

/// The platforms that images are made for.
const PLATFORMS: [&str; 10] = [
    "linux",
    "linux/386",
    "linux/amd64",
    "linux/arm/v6",
    "linux/arm/v7",
    "linux/arm64",
    "linux/ppc64le",
    "linux/riscv64",
    "linux/s390x",
    "windows/amd64",
];
const EVENTS: [&str; 9] = [
    "event=delete",
    "event=import",
    "event=load",
    "event=prune",
    "event=pull",
    "event=push",
    "event=save",
    "event=tag",
    "event=untag",
];
/// The kinds of objects that `inspect` knows.
const KINDS: [&str; 10] = [
    "config",
    "container",
    "image",
    "network",
    "node",
    "plugin",
    "secret",
    "service",
    "task",
    "volume",
];

/// Returns the values of a flag of the command at `path`, none where any text may stand.
pub(super) fn of(path: &[&str], flag: &str) -> Vec<String> {
    let last = path.last().copied().unwrap_or_default();
    let values: &[&str] = match flag {
        "format" if last == "copy" => &["docker", "oci"],
        "compression" => &["gzip", "zstd"],
        "format" if matches!(last, "inspect" | "version" | "info" | "events") => &["json"],
        "format" => &["json", "table"],
        "platform" => &PLATFORMS,
        "storage-driver" => &["overlay2", "packed"],
        "progress" => &["auto", "json", "plain", "quiet", "tty"],
        "keep-blobs" => &["all", "manifests"],
        "log-format" => &["json", "text"],
        "type" => &KINDS,
        "filter" => match last {
            "images" | "ls" => {
                &["before=", "dangling=", "label=", "reference=", "since=", "until="]
            }
            "prune" => &[
                "keep-last=",
                "label!=",
                "label=",
                "max-size=",
                "reference=",
                "unused-for=",
                "until=",
            ],
            "search" => &["is-automated=", "is-official=", "stars="],
            "events" => return events(),
            _ => &[],
        },
        _ => &[],
    };
    values.iter().map(ToString::to_string).collect()
}

fn events() -> Vec<String> {
    let keys = ["event=", "image=", "label=", "scope=", "type="];
    EVENTS.iter().chain(&keys).map(ToString::to_string).collect()
}

/// Says whether a flag takes the path of a file or folder.
pub(super) fn is_file(flag: &str) -> bool {
    matches!(
        flag,
        "config"
            | "config-file"
            | "data-root"
            | "input"
            | "output"
            | "pidfile"
            | "root"
            | "certs-dir"
            | "tlscacert"
            | "tlscert"
            | "tlskey"
    )
}
