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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_the_keys_of_filters_that_are_offered() {
        for path in [&["images"][..], &["image", "ls"], &["prune"], &["search"], &["events"]] {
            let sections = crate::usage::texts::sections(path);
            let told = sections.iter().flat_map(|(_, lines)| lines);
            let told: Vec<_> = told.filter(|line| line.starts_with("--filter: ")).collect();
            let [told] = told[..] else { panic!("{path:?}: {told:?}") };
            let told: Vec<&str> = told["--filter: ".len()..].split([',', ' ']).collect();
            let keys = of(path, "filter");
            assert!(!keys.is_empty(), "{path:?}");
            for key in keys {
                let key = key.split('=').next().unwrap_or_default();
                assert!(told.contains(&key), "{path:?}: {key} is not in {told:?}");
            }
        }
    }
}
