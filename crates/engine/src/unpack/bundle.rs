//! The `config.json` of an OCI runtime, made of an image's config.
//!
//! What a container may do is what Docker lets one do by default: the same capabilities, masked paths and mounts, in
//! namespaces of its own. Sources: the OCI runtime specification 1.0.2, and the image specification's "Conversion to OCI
//! Runtime Configuration".

use std::collections::BTreeMap;

use serde_json::{Value, json};
use spec::ImageConfig;

use super::users::User;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const HOSTNAME: &str = "longshore";

const CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];
const MASKED: [&str; 10] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
];
const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A user without root's rights, who can run a container only in a user namespace, and as one user in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rootless {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// Returns the runtime's config for a container of this image, whose files are in `rootfs` beside it.
pub(super) fn runtime_config(
    config: &ImageConfig,
    user: &User,
    rootless: Option<Rootless>,
) -> Value {
    let container = Container(config.config.as_ref());
    let mut args = container.list("Entrypoint");
    args.extend(container.list("Cmd"));
    if args.is_empty() {
        args.push("sh".to_owned());
    }
    let mut env = container.list("Env");
    if !env.iter().any(|variable| variable.starts_with("PATH=")) {
        env.insert(0, PATH.to_owned());
    }
    let has_home = env.iter().any(|variable| variable.starts_with("HOME="));
    if let Some(home) = user.home.as_ref().filter(|_| !has_home) {
        env.push(format!("HOME={home}"));
    }
    let cwd = container.text("WorkingDir").filter(|path| path.starts_with('/'));
    let capabilities: &[&str] = if user.uid == 0 { &CAPABILITIES } else { &[] };
    let mut made = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false,
            "user": { "uid": user.uid, "gid": user.gid, "additionalGids": user.groups },
            "args": args,
            "env": env,
            "cwd": cwd.unwrap_or("/"),
            "capabilities": {
                "bounding": CAPABILITIES,
                "effective": capabilities,
                "permitted": capabilities,
            },
            "noNewPrivileges": false,
        },
        "root": { "path": "rootfs", "readonly": false },
        "hostname": HOSTNAME,
        "mounts": mounts(),
        "annotations": annotations(config, &container),
        "linux": {
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [
                { "type": "pid" },
                { "type": "network" },
                { "type": "ipc" },
                { "type": "uts" },
                { "type": "mount" },
            ],
            "maskedPaths": MASKED,
            "readonlyPaths": READ_ONLY,
        },
    });
    if let Some(owner) = rootless {
        without_root(&mut made, user, owner);
    }
    made
}

/// Leaves out what only root may ask for, and makes the image's user the one who starts the container: the files are
/// all theirs.
fn without_root(made: &mut Value, user: &User, owner: Rootless) {
    let map = |inside: u32, outside: u32| json!([{ "containerID": inside, "hostID": outside, "size": 1 }]);
    let linux = &mut made["linux"];
    linux["uidMappings"] = map(user.uid, owner.uid);
    linux["gidMappings"] = map(user.gid, owner.gid);
    if let Some(namespaces) = linux["namespaces"].as_array_mut() {
        namespaces.push(json!({ "type": "user" }));
    }
    if let Some(linux) = linux.as_object_mut() {
        linux.remove("resources");
    }
    if let Some(process_user) = made["process"]["user"].as_object_mut() {
        process_user.remove("additionalGids");
    }
    if let Some(mounts) = made["mounts"].as_array_mut() {
        mounts.retain(|mount| mount["type"] != "cgroup");
        for options in mounts.iter_mut().filter_map(|mount| mount["options"].as_array_mut()) {
            // No other group than the container's is known there.
            options.retain(|option| option.as_str().is_none_or(|text| !text.starts_with("gid=")));
        }
    }
}

fn mounts() -> Value {
    let mount = |destination: &str, kind: &str, options: &[&str]| {
        let source = if kind == "tmpfs" && destination == "/dev/shm" { "shm" } else { kind };
        json!({ "destination": destination, "type": kind, "source": source, "options": options })
    };
    json!([
        mount("/proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]
        ),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ])
}

/// Lists the labels, and what the image specification says should be passed on.
fn annotations(config: &ImageConfig, container: &Container<'_>) -> BTreeMap<String, String> {
    let mut annotations = config.labels().unwrap_or_default();
    let mut note = |name: &str, value: Option<&str>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            annotations.insert(format!("org.opencontainers.image.{name}"), value.to_owned());
        }
    };
    note("os", Some(&config.os));
    note("architecture", Some(&config.architecture));
    note("variant", config.variant.as_deref());
    note("author", config.author.as_deref());
    note("created", config.created.as_deref());
    note("stopSignal", container.text("StopSignal"));
    annotations
}

/// The `config` object of an image's config. What is of the wrong type counts as missing.
struct Container<'a>(Option<&'a Value>);

impl<'a> Container<'a> {
    fn text(&self, name: &str) -> Option<&'a str> {
        self.0?.get(name)?.as_str()
    }

    fn list(&self, name: &str) -> Vec<String> {
        let list = self.0.and_then(|config| config.get(name)?.as_array());
        let texts = list.into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(container: &Value) -> ImageConfig {
        let document = json!({
            "architecture": "arm64",
            "variant": "v8",
            "os": "linux",
            "config": container,
            "rootfs": { "type": "layers", "diff_ids": [] },
        });
        ImageConfig::parse(document.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_process_is_the_images() {
        let root = User::default();
        let table = [
            (json!({ "Cmd": ["a", "b"] }), json!(["a", "b"])),
            (json!({ "Entrypoint": ["e"], "Cmd": ["a"] }), json!(["e", "a"])),
            (json!({ "Entrypoint": null, "Cmd": null }), json!(["sh"])),
            (json!({ "entrypoint": "/app", "CMD": "a b" }), json!(["/app", "a b"])),
            (Value::Null, json!(["sh"])),
        ];
        for (container, args) in table {
            let made = runtime_config(&config(&container), &root, None);
            assert_eq!(made["process"]["args"], args, "{container}");
            assert_eq!(made["process"]["cwd"], "/");
            assert_eq!(made["process"]["env"], json!([PATH]));
        }
    }

    #[test]
    fn the_environment_and_the_user_are_the_images() {
        let container = json!({
            "Env": ["A=1", "PATH=/bin"],
            "WorkingDir": "/srv",
            "Labels": { "a": "b" },
            "StopSignal": "SIGQUIT",
        });
        let user = User { uid: 5, gid: 6, groups: vec![7], home: Some("/home/five".to_owned()) };
        let made = runtime_config(&config(&container), &user, None);
        let process = &made["process"];
        assert_eq!(process["env"], json!(["A=1", "PATH=/bin", "HOME=/home/five"]));
        assert_eq!(process["cwd"], "/srv");
        assert_eq!(process["user"], json!({ "uid": 5, "gid": 6, "additionalGids": [7] }));
        assert_eq!(process["capabilities"]["effective"], json!([]), "no root, no capabilities");
        assert_eq!(process["capabilities"]["bounding"].as_array().unwrap().len(), 14);
        let annotations = &made["annotations"];
        assert_eq!(annotations["a"], "b");
        assert_eq!(annotations["org.opencontainers.image.stopSignal"], "SIGQUIT");
        assert_eq!(annotations["org.opencontainers.image.variant"], "v8");
        assert_eq!(annotations.get("org.opencontainers.image.author"), None);
    }

    #[test]
    fn without_root_the_images_user_is_whoever_starts_it() {
        let user = User { uid: 5, gid: 6, groups: vec![7], home: None };
        let made = runtime_config(&config(&Value::Null), &user, None);
        assert!(!made.to_string().contains(r#""type":"user""#), "root needs no user namespace");
        let made =
            runtime_config(&config(&Value::Null), &user, Some(Rootless { uid: 1000, gid: 1001 }));
        let linux = &made["linux"];
        assert_eq!(linux["uidMappings"], json!([{ "containerID": 5, "hostID": 1000, "size": 1 }]));
        assert_eq!(linux["gidMappings"], json!([{ "containerID": 6, "hostID": 1001, "size": 1 }]));
        assert!(linux["namespaces"].as_array().unwrap().contains(&json!({ "type": "user" })));
        assert_eq!(linux.get("resources"), None, "devices are root's to allow");
        assert_eq!(made["process"]["user"], json!({ "uid": 5, "gid": 6 }));
        let text = made.to_string();
        assert!(!text.contains("gid=5") && !text.contains("cgroup"), "{text}");
        assert!(text.contains("devpts") && text.contains("sysfs"), "{text}");
    }
}
