use std::collections::BTreeSet;
use std::time::Duration;

use api::ApiVersion;

use super::*;

fn defaults() -> Defaults {
    Defaults {
        data_root: "/data".into(),
        hosts: vec![ListenAddress::Unix("/run/x.sock".into())],
        certs_dirs: vec!["/certs".into()],
        tls_dir: "/home/me/.docker".into(),
        tls_verify: false,
        allow_schema1: false,
        proxies: Proxies {
            http: Some("http://me:s3cret@proxy:3128/".into()),
            ..Proxies::default()
        },
    }
}

fn load(text: &str) -> Result<DaemonConfig, ConfigError> {
    DaemonConfig::check(Merged::new(text, &Directives::default())?, defaults())
}

#[test]
fn a_whole_file_is_taken_over() {
    let config = load(
        r#"{"hosts": ["tcp://127.0.0.1:2375", "unix:///tmp/l.sock"], "data-root": "/d",
            "storage-driver": "packed", "keep-blobs": false, "registry-mirrors": ["https://m"],
            "insecure-registries": ["10.0.0.0/8"], "max-concurrent-downloads": 8, "max-concurrent-uploads": 2,
            "max-download-attempts": 1, "debug": true, "log-level": "WARN", "log-format": "json",
            "pidfile": "/run/l.pid", "group": "wheel"}"#,
    )
    .unwrap();
    assert_eq!(
        config.hosts,
        [ListenAddress::Tcp("127.0.0.1:2375".into()), ListenAddress::Unix("/tmp/l.sock".into())]
    );
    assert_eq!(config.data_root, Path::new("/d"));
    assert_eq!(config.storage_driver.map(|driver| driver.to_string()).as_deref(), Some("packed"));
    assert!(config.keep_blobs == KeepBlobs::Manifests && config.debug);
    assert_eq!(config.limits(), engine::Limits { downloads: 8, uploads: 2, attempts: 1 });
    assert_eq!((config.log_level, config.log_format), (tracing::Level::WARN, LogFormat::Json));
    assert_eq!(config.pidfile.as_deref(), Some(Path::new("/run/l.pid")));
    assert_eq!(config.group, Group { name: "wheel".into(), required: true });
}

#[test]
fn nothing_said_means_the_defaults() {
    let plain = DaemonConfig::new(defaults());
    assert_eq!(load("").unwrap(), plain);
    let zeros = r#"{"hosts":[],"data-root":"","max-concurrent-downloads":0,"log-level":"","pidfile":"",
        "authorization-plugins":[],"userns-remap":null}"#;
    assert_eq!(load(zeros).unwrap(), plain);
    assert_eq!(plain.limits(), engine::Limits { downloads: 3, uploads: 5, attempts: 5 });
    assert!(plain.keep_blobs == KeepBlobs::All && !plain.group.required);
}

#[test]
fn senseless_values_are_refused_in_dockerds_words() {
    let table = [
        (r#"{"max-concurrent-downloads":-1}"#, "invalid max concurrent downloads: -1"),
        (r#"{"max-concurrent-uploads":-2}"#, "invalid max concurrent uploads: -2"),
        (r#"{"max-download-attempts":4294967296}"#, "invalid max download attempts: 4294967296"),
        (r#"{"log-level":"loud"}"#, "invalid logging level: loud"),
        (r#"{"log-format":"xml"}"#, "invalid log format: xml"),
        (r#"{"storage-driver":"aufs"}"#, "unknown storage driver \"aufs\": use overlay2 or packed"),
        (r#"{"labels":["x"]}"#, "bad attribute format: x"),
        (
            r#"{"labels":["com.docker.x=1"]}"#,
            "label com.docker.x=1 is not allowed: the namespaces com.docker.*, io.docker.*, and org.dockerproject.* \
             are reserved for internal use",
        ),
        (r#"{"labels":["a=1","a=2"]}"#, "conflict labels for a=2 and a=1"),
        (
            r#"{"min-api-version":"1.1"}"#,
            "invalid minimum API version (1.1): must be between 1.12 and 1.55",
        ),
        (r#"{"keep-blobs":"some"}"#, "invalid keep-blobs \"some\": use all or manifests"),
        (r#"{"image-policy":""}"#, "invalid image-policy: there is no file"),
        (r#"{"image-policy":"p.json"}"#, "invalid image-policy p.json: the path is not absolute"),
        (r#"{"keep-blobs":7}"#, "invalid JSON: keep-blobs (line 1): expected all or manifests"),
        (
            r#"{"prune":{"interval":"1s"}}"#,
            "prune: invalid interval \"1s\": give a time of at least a minute, as in 24h or 7d",
        ),
        (
            r#"{"prune":{"interval":"often"}}"#,
            "prune: invalid interval \"often\": give a time of at least a minute, as in 24h or 7d",
        ),
        (
            r#"{"prune":{"keep-last":0}}"#,
            "prune: invalid value for 'keep-last' filter: \"0\": give a number of at least 1",
        ),
        (
            r#"{"prune":{"max-size":"x"}}"#,
            "prune: invalid value for 'max-size' filter: invalid size \"x\": give a number and a unit, as in 40GB or 512MiB",
        ),
        (
            r#"{"prune":{"filter":["a"]}}"#,
            "prune: bad format of filter \"a\" (expected name=value)",
        ),
        (r#"{"prune":{"filter":["a=b"]}}"#, "prune: invalid filter 'a'"),
        (r#"{"storage-opts":["dm.fs=xfs"]}"#, "overlay2: unknown option dm.fs"),
        (r#"{"storage-opts":["x"]}"#, "unable to parse storage-opt key/value: x"),
        (
            r#"{"graph":"/a","data-root":"/b"}"#,
            "graph and data-root must not both be specified: graph is the old name of data-root",
        ),
        (
            r#"{"features":{"containerd-snapshotter":true}}"#,
            "the feature containerd-snapshotter is not supported: images are kept as dockerd's storage drivers keep \
             them; remove it, or set it to false",
        ),
        (
            r#"{"authorization-plugins":["opa"]}"#,
            "authorization-plugins is not supported (no plugin is asked whether a request is allowed): the daemon does \
             not run without a protection that was asked for; remove the directive, or use a daemon that has it",
        ),
        (
            r#"{"userns-remap":"default"}"#,
            "userns-remap is not supported (the owners of an image's files are not shifted): the daemon does not run \
             without a protection that was asked for; remove the directive, or use a daemon that has it",
        ),
        (r#"{"hosts":["ftp://x"]}"#, "invalid bind address (ftp://x): unsupported proto 'ftp'"),
    ];
    for (text, expected) in table {
        assert_eq!(load(text).unwrap_err().to_string(), expected);
    }
}

#[test]
fn a_file_is_needed_only_when_it_was_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daemon.json");
    let load = |required| {
        let file = ConfigFile { path: path.clone(), required };
        DaemonConfig::load(&file, &Directives::default(), defaults())
    };
    assert_eq!(load(false).unwrap(), DaemonConfig::new(defaults()));
    let error = load(true).unwrap_err().to_string();
    assert!(error.contains(&*path.to_string_lossy()) && error.contains("No such file"), "{error}");

    std::fs::write(&path, r#"{"debug": true}"#).unwrap();
    assert!(load(false).unwrap().debug);
    let device = |path: &str| {
        let file = ConfigFile { path: path.into(), required: true };
        DaemonConfig::load(&file, &Directives::default(), defaults())
    };
    assert_eq!(device("/dev/null").unwrap(), DaemonConfig::new(defaults()));
    assert!(device("/dev/zero").unwrap_err().to_string().ends_with("not a regular file"));

    std::fs::write(&path, r#"{"bogus": true}"#).unwrap();
    let expected = format!(
        "unable to configure the Docker daemon with file {}: the following directives don't match any configuration \
         option: bogus",
        path.display()
    );
    assert_eq!(load(false).unwrap_err().to_string(), expected);
}

#[test]
fn everything_that_dockerd_knows_of_images_is_taken_over() {
    let config = load(
        r#"{"graph": "/g", "storage-opts": ["overlay2.override_kernel_check=true", "overlay2.size=10G"],
            "shutdown-timeout": 60, "metrics-addr": "127.0.0.1:9323", "labels": ["a=1", "b=x=y", "a=1"],
            "features": {"buildkit": true, "containerd-snapshotter": false}, "min-api-version": "1.40",
            "proxies": {"https-proxy": "http://other:1", "no-proxy": "x"}, "raw-logs": true,
            "exec-root": "/run/d", "log-driver": "json-file", "insecure-tcp-routes": true, "hosts": ["fd://", " ", "unix:///b", "unix:///b"]}"#,
    )
    .unwrap();
    assert_eq!(config.data_root, Path::new("/g"));
    assert_eq!(config.shutdown_timeout, Some(Duration::from_mins(1)));
    assert!(config.insecure_tcp_routes);
    assert_eq!(config.metrics_addr.as_deref(), Some("127.0.0.1:9323"));
    assert_eq!(config.labels, ["a=1", "b=x=y"]);
    assert_eq!(config.features.get("buildkit"), Some(&true));
    assert_eq!(config.min_api_version, ApiVersion::new(1, 40));
    assert_eq!(config.proxies.http.as_deref(), Some("http://me:s3cret@proxy:3128/"));
    assert_eq!(config.proxies.https.as_deref(), Some("http://other:1"));
    assert_eq!(config.proxies.no_proxy.as_deref(), Some("x"));
    assert_eq!(config.hosts, [ListenAddress::Fd(String::new()), ListenAddress::Unix("/b".into())]);
    let [ignored, graph, size] = config.warnings.as_slice() else {
        panic!("{:?}", config.warnings)
    };
    assert!(ignored.ends_with(": exec-root, log-driver"), "{ignored}");
    assert!(graph.contains("graph") && size.contains("overlay2.size=10G"), "{graph} {size}");
    assert_eq!(load(r#"{"shutdown-timeout": -1}"#).unwrap().shutdown_timeout, None);
}

#[test]
fn tls_is_what_dockerd_makes_of_two_switches() {
    use TlsMode::{Encrypt, Verify};
    for (text, expected) in [
        ("{}", None),
        (r#"{"tls": false}"#, None),
        (r#"{"tlscert": "/c"}"#, None),
        (r#"{"tls": true}"#, Some(Verify)),
        (r#"{"tlsverify": true}"#, Some(Verify)),
        (r#"{"tls": false, "tlsverify": true}"#, Some(Verify)),
        (r#"{"tlsverify": false}"#, Some(Encrypt)),
        (r#"{"tls": true, "tlsverify": false}"#, Some(Encrypt)),
    ] {
        assert_eq!(load(text).unwrap().tls_files().map(|tls| tls.mode), expected, "{text}");
    }
    let config = load(r#"{"tls": true, "tlskey": "/k", "tlscert": ""}"#).unwrap();
    let tls = config.tls_files().unwrap();
    assert_eq!(tls.authority, Path::new("/home/me/.docker/ca.pem"));
    assert_eq!(tls.certificate, Path::new("/home/me/.docker/cert.pem"));
    assert_eq!(tls.key, Path::new("/k"));
    // Without a host, TLS is not for a socket that nobody encrypts.
    assert_eq!(config.hosts, [ListenAddress::Tcp("localhost:2376".into())]);
    // As with dockerd, the environment may ask for verification; not of a socket, which nobody encrypts.
    for (text, expected) in [
        (r#"{"hosts": ["tcp://127.0.0.1:1", "unix:///x"]}"#, Some(Verify)),
        (r#"{"hosts": ["fd://"]}"#, Some(Verify)),
        (r#"{"hosts": ["tcp://127.0.0.1:1"], "tlsverify": false}"#, Some(Encrypt)),
        (r#"{"hosts": ["unix:///x"]}"#, None),
        ("{}", None),
    ] {
        let merged = Merged::new(text, &Directives::default()).unwrap();
        let defaults = Defaults { tls_verify: true, ..defaults() };
        let config = DaemonConfig::check(merged, defaults).unwrap();
        assert_eq!(config.tls_files().map(|tls| tls.mode), expected, "{text}");
    }
    let told = load(r#"{"tls": true, "hosts": ["unix:///x"]}"#).unwrap();
    assert_eq!(told.hosts, [ListenAddress::Unix("/x".into())]);
}

#[test]
fn what_a_file_alone_can_do_wrong_is_said_with_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("daemon.json");
    std::fs::write(&path, r#"{"log-format": "xml"}"#).unwrap();
    let file = ConfigFile { path: path.clone(), required: false };
    let error = DaemonConfig::load(&file, &Directives::default(), defaults()).unwrap_err();
    let expected = format!(
        "unable to configure the Docker daemon with file {}: merged configuration validation from file and command \
         line flags failed: invalid log format: xml",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
    // Without a file there is nothing to name.
    std::fs::remove_file(&path).unwrap();
    let flags = Directives { log_format: Some("xml".into()), ..Directives::default() };
    let error = DaemonConfig::load(&file, &flags, defaults()).unwrap_err();
    assert_eq!(error.to_string(), "invalid log format: xml");
}

/// The keys that dockerd's reference lists as reloadable, but for those of containers; without
/// `authorization-plugins`, which are refused.
const RELOADED_BY_DOCKERD: [&str; 10] = [
    "allow-nondistributable-artifacts",
    "debug",
    "features",
    "insecure-registries",
    "labels",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "registry-mirrors",
    "shutdown-timeout",
];

#[test]
fn a_reload_takes_the_directives_that_the_table_says() {
    // They are checked, and change nothing.
    const CHECKED: [&str; 4] =
        ["storage-opts", "raw-logs", "authorization-plugins", "userns-remap"];
    let old = DaemonConfig::new(defaults());
    let mut told = BTreeSet::new();
    for directive in Directives::TABLE {
        let key = directive.key();
        let new = load(&format!("{{{key:?}: {}}}", directive.example)).unwrap();
        let mut set = old.differences(&new);
        set.retain(|name| *name != "warnings");
        assert_eq!(set.is_empty(), CHECKED.contains(&key.as_str()), "{key} sets {set:?}");
        let after = old.reloaded(&new);
        let taken = old.differences(&after);
        match directive.reload {
            Reload::Start => assert!(taken.is_empty(), "{key} changes {taken:?}"),
            Reload::Taken | Reload::Told => assert_eq!(taken, set, "{key}"),
        }
        let is_told = directive.reload == Reload::Told;
        assert_eq!(old.told().get(&key) != after.told().get(&key), is_told, "{key}");
        if is_told {
            told.insert(key);
        }
    }
    assert_eq!(told, RELOADED_BY_DOCKERD.map(str::to_owned).into());
    assert_eq!(old.told().into_keys().collect::<BTreeSet<_>>(), told);
}

#[test]
fn the_documentation_has_every_directive() {
    let page = include_str!("../../../../docs/daemon.md");
    let mut rows: Vec<_> = Directives::TABLE
        .iter()
        .map(|directive| {
            let taken = if directive.reload == Reload::Start { "" } else { "yes" };
            format!("| `{}` | {} | {taken} |\n", directive.key(), directive.doc.trim())
        })
        .collect();
    rows.sort();
    let table = rows.concat();
    assert!(page.contains(&table), "docs/daemon.md does not have this table:\n{table}");
}

#[test]
fn a_schedule_is_a_policy_and_a_time() {
    let text = r#"{"prune": {"interval": "7d", "keep-last": 3, "unused-for": "720h", "max-size": "40GB",
        "reference": ["a", "b*"], "filter": ["label!=keep", "label!=x=y"]}}"#;
    let schedule = load(text).unwrap().prune.unwrap();
    assert_eq!(schedule.interval, Duration::from_hours(7 * 24));
    let expected = concat!(
        r#"{"keep-last":{"3":true},"label!":{"keep":true,"x=y":true},"max-size":{"40GB":true},"#,
        r#""reference":{"a":true,"b*":true},"unused-for":{"720h":true}}"#
    );
    assert_eq!(schedule.filters.encode().unwrap(), expected);
    let daily = load(r#"{"prune": {}}"#).unwrap().prune.unwrap();
    assert_eq!((daily.interval, daily.filters.encode()), (Duration::from_hours(24), None));
    assert_eq!(load(r#"{"prune": null}"#).unwrap().prune, None);
    let error = load(r#"{"prune": {"keep_last": 3}}"#).unwrap_err().to_string();
    assert!(
        error.starts_with("invalid JSON: prune (line 1): unknown field `keep_last`"),
        "{error}"
    );
}

#[test]
fn what_is_kept_is_told_by_a_word_or_as_ever() {
    for (text, expected) in [
        (r#""all""#, KeepBlobs::All),
        ("true", KeepBlobs::All),
        (r#""manifests""#, KeepBlobs::Manifests),
        ("false", KeepBlobs::Manifests),
        (r#""false""#, KeepBlobs::Manifests),
        (r#""""#, KeepBlobs::All),
        ("null", KeepBlobs::All),
    ] {
        let config = load(&format!(r#"{{"keep-blobs": {text}}}"#)).unwrap();
        assert_eq!(config.keep_blobs, expected, "{text}");
    }
}
