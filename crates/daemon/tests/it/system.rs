//! The routes about the daemon itself.

use serde_json::{Value, json};

use crate::fixture::{House, VERSION, ask, handshake, whole};

#[tokio::test]
async fn ping_has_dockerds_headers() {
    let house = House::open().await;
    for (method, path, body) in
        [("HEAD", "/_ping", ""), ("GET", "/_ping", "OK"), ("GET", "/v1.50/_ping", "OK")]
    {
        let reply = house.send(method, path, &[], "").await;
        assert_eq!((reply.status, reply.text.as_str()), (200, body), "{method} {path}");
        for (name, value) in [
            ("api-version", "1.55"),
            ("docker-experimental", "false"),
            ("ostype", "linux"),
            ("server", "Longshore/1.2.3 (linux)"),
            ("cache-control", "no-cache, no-store, must-revalidate"),
            ("pragma", "no-cache"),
            ("swarm", "inactive"),
            ("content-type", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(reply.header(name), value, "{method} {path}: {name}");
        }
        assert_eq!(reply.header("content-length"), body.len().to_string());
    }
}

#[tokio::test]
async fn a_connection_takes_one_request_after_another() {
    let house = House::open().await;
    let mut client = handshake(house.connect()).await;
    for path in ["/_ping", "/nosuch", "/v1.50/images/json", "/v9.9/version", "/version"] {
        client.ready().await.unwrap();
        let reply = whole(ask(&mut client, "GET", path, &[], "").await).await;
        assert_eq!(reply.header("api-version"), "1.55", "{path}");
    }
}

#[tokio::test]
async fn version_tells_what_the_docker_command_line_prints() {
    let house = House::open().await;
    let version = house.get("/v1.50/version").await.json();
    assert_eq!(version["Version"], VERSION);
    assert_eq!(
        (&version["ApiVersion"], &version["MinAPIVersion"]),
        (&json!("1.55"), &json!("1.12"))
    );
    assert_eq!((&version["Os"], &version["GitCommit"]), (&json!("linux"), &json!("abcdef")));
    let engine = &version["Components"][0];
    assert_eq!(
        (&engine["Name"], &engine["Details"]["ApiVersion"]),
        (&json!("Engine"), &json!("1.55"))
    );
    assert!(version["KernelVersion"].as_str().is_some_and(|release| !release.is_empty()));
}

#[tokio::test]
async fn info_tells_of_the_store_and_the_registries() {
    let house = House::with(|config| {
        config.registry_mirrors = vec!["https://mirror.example/".into()];
        config.insecure_registries = vec!["registry.example:5000".into(), "10.0.0.0/8".into()];
        config.hosts = vec!["tcp://127.0.0.1:2375".parse().unwrap()];
        config.proxies.https = Some("http://me:s3cret@proxy:3128".into());
    })
    .await;
    let info = house.get("/info").await.json();
    assert_eq!((&info["Images"], &info["Containers"]), (&json!(0), &json!(0)));
    assert_eq!((&info["Driver"], &info["ServerVersion"]), (&json!("packed"), &json!(VERSION)));
    assert!(info["DriverStatus"].is_array() && info["MemTotal"].as_u64() > Some(0));
    let root = house.folder.path().join("data");
    assert_eq!(info["DockerRootDir"], json!(root));
    let registries = &info["RegistryConfig"];
    assert_eq!(registries["Mirrors"], json!(["https://mirror.example/"]));
    assert_eq!(
        registries["InsecureRegistryCIDRs"],
        json!(["127.0.0.0/8", "::1/128", "10.0.0.0/8"])
    );
    assert_eq!(registries["IndexConfigs"]["registry.example:5000"]["Secure"], false);
    assert_eq!(info["HttpsProxy"], "http://xxxxx:xxxxx@proxy:3128");
    let warning = info["Warnings"][0].as_str().unwrap();
    assert!(warning.contains("http://127.0.0.1:2375 without encryption"), "{warning}");
    // Clients that draw conclusions from what is not said would warn of limits.
    for limit in ["MemoryLimit", "SwapLimit", "CpuCfsQuota", "IPv4Forwarding"] {
        assert_eq!(info[limit], true, "{limit}");
    }
    let own = &info["ID"];
    assert_eq!(house.get("/info").await.json()["ID"], *own, "the identity stays");
    // A dockerd that used the data root has given it one.
    let theirs = "8f1b2c3d-0000-4000-8000-0123456789ab";
    for (text, expected) in
        [(theirs, &json!(theirs)), ("", own), ("a\x1b[2J", own), (&"a".repeat(200), own)]
    {
        std::fs::write(root.join("engine-id"), text).unwrap();
        assert_eq!(house.get("/info").await.json()["ID"], *expected, "{text:?}");
    }
    let nothing = json!({"ID": "N/A"});
    for program in ["ContainerdCommit", "RuncCommit", "InitCommit"] {
        assert_eq!(info[program], nothing, "{program}");
    }
    assert_eq!((&info["InitBinary"], &info["SecurityOptions"]), (&json!("N/A"), &json!([])));
    let plugins = json!({"Volume": [], "Network": [], "Authorization": null, "Log": []});
    assert_eq!(info["Plugins"], plugins);
    assert!(house.get("/v1.48/info").await.json()["RuncCommit"].get("Expected").is_some());
    assert!(info["RuncCommit"].get("Expected").is_none());
    assert_eq!(house.get("/v1.41/info").await.json()["BridgeNfIp6tables"], true);
    assert!(info.get("BridgeNfIptables").is_none());
}

#[tokio::test]
async fn versions_are_checked_in_dockerds_words() {
    let house = House::open().await;
    let too_old = "client version 1.11 is too old. Minimum supported API version is 1.12, please upgrade your client \
                   to a newer version";
    let reply = house.get("/v1.11/version").await;
    assert_eq!((reply.status, reply.text.as_str()), (400, format!("{too_old}\n").as_str()));
    assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
    for version in ["9.99", "1.56", "2"] {
        let reply = house.get(&format!("/v{version}/version")).await;
        let expected =
            format!("client version {version} is too new. Maximum supported API version is 1.55");
        assert_eq!((reply.status, reply.message()), (400, expected));
    }
    assert_eq!(house.get("/v1..2/version").await.message(), "invalid API version \"1..2\"");
    for version in ["1.12", "1.22", "1.40", "1.55"] {
        assert_eq!(house.get(&format!("/v{version}/version")).await.status, 200, "{version}");
    }
    // A page that does not exist does not exist in any version.
    assert_eq!(house.get("/v1.11/nosuch").await.status, 404);
}

#[tokio::test]
async fn unknown_pages_and_methods_are_not_found() {
    let house = House::open().await;
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/nosuch"),
        ("POST", "/version"),
        ("HEAD", "/info"),
        ("PATCH", "/images/json"),
    ] {
        let reply = house.send(method, path, &[], "").await;
        assert_eq!(reply.status, 404, "{method} {path}");
        if method != "HEAD" {
            assert_eq!(reply.text, "{\"message\":\"page not found\"}\n");
        }
    }
    assert_eq!(house.send("OPTIONS", "/images/json", &[], "").await.status, 200);
}

#[tokio::test]
async fn the_container_half_reads_as_an_empty_docker() {
    let house = House::open().await;
    let lists = [
        ("/containers/json?all=1", json!([])),
        ("/networks", json!([])),
        ("/volumes", json!({"Volumes": [], "Warnings": null})),
        ("/plugins", json!([])),
    ];
    for (path, expected) in lists {
        let reply = house.get(path).await;
        assert_eq!((reply.status, reply.json()), (200, expected), "{path}");
    }
    let absent = [
        ("/containers/x/json?size=1", 404, "No such container: x"),
        ("/networks/a_default", 404, "network a_default not found"),
        ("/volumes/v", 404, "get v: no such volume"),
        ("/exec/e/json", 404, "No such exec instance: e"),
    ];
    for (path, status, message) in absent {
        let reply = house.get(path).await;
        assert_eq!((reply.status, reply.message().as_str()), (status, message), "{path}");
    }
    for (method, path, status, message) in [
        ("POST", "/containers/x/start", 404, "No such container: x"),
        ("POST", "/v1.41/containers/x/stop?t=1", 404, "No such container: x"),
        ("POST", "/containers/x/kill", 404, "cannot kill container: x: No such container: x"),
        ("POST", "/containers/x/exec", 404, "No such container: x"),
        ("PUT", "/containers/x/archive?path=/", 404, "No such container: x"),
        ("DELETE", "/containers/x?force=1", 404, "No such container: x"),
        ("POST", "/commit?container=x", 404, "No such container: x"),
        ("POST", "/commit", 400, "invalid name or ID supplied: \"\""),
        ("POST", "/exec/e/start", 404, "No such exec instance: e"),
        ("DELETE", "/networks/n", 404, "network n not found"),
        ("POST", "/networks/n/connect", 404, "network n not found"),
        ("DELETE", "/volumes/v", 404, "get v: no such volume"),
        ("DELETE", "/plugins/p", 404, "plugin \"p\" not found"),
        ("POST", "/plugins/p/disable", 404, "plugin \"p\" not found"),
        ("POST", "/swarm/leave", 503, "This node is not part of a swarm"),
    ] {
        let reply = house.send(method, path, &[], "").await;
        assert_eq!((reply.status, reply.message().as_str()), (status, message), "{method} {path}");
    }
    // dockerd looks for the container first.
    let body = r#"{"Container":"x"}"#;
    let reply = house.send("POST", "/networks/n/disconnect", &[], body).await;
    assert_eq!((reply.status, reply.message().as_str()), (404, "No such container: x"));
    assert_eq!(house.send("DELETE", "/volumes/v?force=1", &[], "").await.status, 204);
    assert!(house.post("/services/create").await.message().starts_with("This node is not a swarm"));
    assert!(house.get("/swarm").await.message().starts_with("This node is not a swarm manager."));
    for path in ["/containers/create", "/build?t=x", "/networks/create"] {
        let reply = house.post(path).await;
        assert_eq!(reply.status, 501, "{path}");
        assert!(reply.message().contains("Longshore"), "{path}");
    }
}

#[tokio::test]
async fn prunes_of_what_is_not_here_are_told() {
    let house = House::open().await;
    let pruned = house.post("/containers/prune").await.json();
    assert_eq!(pruned, json!({"ContainersDeleted": null, "SpaceReclaimed": 0}));
    for kind in ["containers", "networks", "volumes"] {
        let path = format!("/{kind}/prune?filters=%7B%22bogus%22:%5B%22x%22%5D%7D");
        let reply = house.post(&path).await;
        assert_eq!(
            (reply.status, reply.message().as_str()),
            (400, "invalid filter 'bogus'"),
            "{kind}"
        );
    }
    for kind in ["networks", "volumes", "build"] {
        assert_eq!(house.post(&format!("/{kind}/prune")).await.status, 200, "{kind}");
    }
    let told: Vec<Value> = {
        let now = jiff::Timestamp::now();
        let until = format!("{}.{:09}", now.as_second(), now.subsec_nanosecond());
        let reply = house.get(&format!("/v1.41/events?since=1&until={until}")).await;
        reply.text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let kinds: Vec<_> = told.iter().map(|event| event["Type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["container", "network", "volume", "builder"]);
    // Old clients fail without these, also where they are empty.
    assert_eq!(
        (&told[0]["id"], &told[0]["status"], &told[0]["from"]),
        (&json!(""), &json!("prune"), &json!(""))
    );
    assert_eq!(told[1].get("id"), None);
    for event in told {
        assert_eq!((&event["Action"], &event["Actor"]["ID"]), (&json!("prune"), &json!("")));
        assert_eq!(event["Actor"]["Attributes"], json!({"reclaimed": "0"}));
    }
}

#[tokio::test]
async fn the_past_is_told_and_the_stream_ends_at_its_time() {
    let house = House::open().await;
    for (query, expected) in [
        (
            "since=x",
            "invalid value for 'since': invalid timestamp \"x\": invalid seconds \"x\": invalid syntax",
        ),
        ("since=20&until=10", "`since` time (20) cannot be after `until` time (10)"),
        ("filters=x", "invalid filter"),
    ] {
        let reply = house.get(&format!("/events?{query}")).await;
        assert_eq!((reply.status, reply.message().as_str()), (400, expected), "{query}");
    }
    let reply = house.get("/events?until=1").await;
    assert_eq!((reply.status, reply.text.as_str()), (200, ""));
    for (path, accept, expected) in [
        ("/events?until=1", "*/*", "application/jsonl"),
        ("/v1.51/events?until=1", "*/*", "application/json"),
        ("/v1.51/events?until=1", "text/html, application/json-seq;q=1", "application/json-seq"),
    ] {
        let reply = house.send("GET", path, &[("accept", accept)], "").await;
        assert_eq!(reply.header("content-type"), expected, "{path}");
    }
}

#[tokio::test]
async fn a_login_needs_credentials_that_can_be_read() {
    let house = House::open().await;
    for body in ["", "[]", "{", r#"{"password":1}"#] {
        let reply = house.send("POST", "/auth", &[], body).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.message().starts_with("invalid X-Registry-Auth header: "), "{}", reply.text);
    }
}

#[tokio::test]
async fn answers_are_json_with_a_newline() {
    let house = House::open().await;
    let reply = house.get("/images/json").await;
    assert_eq!(reply.text, "[]\n");
    assert_eq!(reply.header("content-type"), "application/json");
    assert_eq!(reply.header("content-length"), "3");
    assert_eq!(reply.json(), Value::Array(Vec::new()));
}
