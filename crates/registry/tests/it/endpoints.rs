//! Endpoints in turn: mirrors, HTTPS, HTTP, proxies; and what is said when nobody answers.

use registry::{
    Access, Client, Credentials, ProxyConfig, Recovery, RegistryConfig, RegistryError,
    SettingsError, TagOrDigest,
};
use spec::{Digest, Repository, Tag};
use test_support::scripted::{Answer, Scripted, challenge_basic};

use crate::support::{
    ANN, ann, client, config, content, drain, impatient, manifest, nobody, remote, remote_of,
};

const HUB_PATH: &str = "/v2/library/alpine/manifests/1";

fn tag() -> TagOrDigest {
    TagOrDigest::Tag("1".parse::<Tag>().unwrap())
}

fn alpine() -> Repository {
    Repository::parse_familiar("alpine").unwrap()
}

/// A client for which `hub` is Docker Hub.
fn hub_client(hub: &Scripted, mirrors: &[String]) -> Client {
    let hub_endpoint = Some(hub.url());
    Client::new(RegistryConfig { mirrors: mirrors.to_vec(), hub_endpoint, ..config() }).unwrap()
}

#[tokio::test]
async fn a_mirror_is_asked_first_and_anonymously() {
    let hub = Scripted::start().await.unwrap();
    let mirror = Scripted::start().await.unwrap();
    let (name, value) = challenge_basic();
    hub.on("GET", "/v2/", [Answer::status(401).header(name, &value)]);
    hub.on("GET", HUB_PATH, [manifest(b"{}")]);
    mirror.on("GET", "/hub/v2/", [Answer::status(200)]);
    mirror.on(
        "GET",
        &format!("/hub{HUB_PATH}"),
        [manifest(b"{}"), Answer::status(401).header(name, &value)],
    );
    let client = hub_client(&hub, &[format!("{}/hub", mirror.url())]);

    let remote = client.remote(&alpine(), &ann(), Access::Pull).await.unwrap();
    let fetched = remote.manifest(&tag()).await.unwrap();
    assert!(fetched.source.mirror);
    assert_eq!(fetched.source.url, format!("{}/hub/", mirror.url()));
    assert_eq!(hub.lines(), [""; 0]);

    // A mirror that asks for a password gets none; Docker Hub does.
    let fetched = remote.manifest(&tag()).await.unwrap();
    assert!(!fetched.source.mirror);
    assert_eq!(hub.received()[1].header("authorization"), Some(ANN));
    assert!(mirror.received().iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn a_mirror_is_passed_over_for_any_failure() {
    let digest = Digest::sha256(b"{}");
    let path = format!("/v2/library/alpine/manifests/{digest}");
    for (name, answer) in [
        ("missing", Answer::status(404)),
        ("broken", Answer::status(500)),
        ("throttled", Answer::status(429).header("retry-after", "30")),
        ("denied", Answer::error(403, "DENIED", "no")),
        ("lying", manifest(b"[]")),
        ("endless", Answer::status(200).body(vec![b' '; 65536]).endless()),
        ("cut", manifest(b"{}").cut_after(1)),
        ("stalled", manifest(b"{}").stall_after(1)),
        ("gone", Answer::hang_up()),
        ("astray", Answer::redirect(302, "file:///")),
    ] {
        let hub = Scripted::start().await.unwrap();
        let mirror = Scripted::start().await.unwrap();
        hub.on("GET", &path, [manifest(b"{}")]);
        mirror.on("GET", &path, [answer]);
        let settings = if name == "stalled" { impatient() } else { config() };
        let (mirrors, hub_endpoint) = (vec![mirror.url()], Some(hub.url()));
        let client = Client::new(RegistryConfig { mirrors, hub_endpoint, ..settings }).unwrap();
        let remote = client.remote(&alpine(), &Credentials::Anonymous, Access::Pull).await.unwrap();
        let target = TagOrDigest::Digest(digest.clone());
        assert_eq!(remote.manifest(&target).await.expect(name).bytes, "{}", "{name}");
        // Who answered is asked from then on.
        mirror.forget();
        remote.manifest(&target).await.unwrap();
        assert_eq!(mirror.lines(), [""; 0], "{name}");
        assert!(remote.describe().contains(&hub.url()), "{name}");
    }
}

#[tokio::test]
async fn a_mirror_that_is_down_is_passed_over() {
    let hub = Scripted::start().await.unwrap();
    let second = Scripted::start().await.unwrap();
    second.on("GET", "/v2/", [Answer::status(503)]);
    hub.on("HEAD", HUB_PATH, [manifest(b"{}")]);
    let mirrors = [format!("http://{}", nobody().await), second.url()];
    let client = hub_client(&hub, &mirrors);
    let remote = client.remote(&alpine(), &Credentials::Anonymous, Access::Pull).await.unwrap();
    remote.resolve(&tag()).await.unwrap();
    assert_eq!(second.lines(), ["GET /v2/"], "no second try: the next one is quicker");

    // When all fail, the registry's own error counts.
    let missing = Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
    hub.on("HEAD", HUB_PATH, [missing.clone()]).on("GET", HUB_PATH, [missing]);
    let remote = client.remote(&alpine(), &Credentials::Anonymous, Access::Pull).await.unwrap();
    let error = remote.resolve(&tag()).await.unwrap_err();
    assert_eq!(error.code_status(), Some(404));
    let shown = error.to_string();
    let lines: Vec<&str> = shown.lines().collect();
    let expected = [
        "manifest unknown: manifest unknown".to_owned(),
        format!("  {} (mirror): Get \"{0}/v2/\": dial tcp", mirrors[0]),
        format!("  {} (mirror): ", second.url()),
        format!("  {}: manifest unknown: manifest unknown", hub.url()),
        "`longshore registry check alpine` shows who is asked and why".to_owned(),
    ];
    assert_eq!(lines.len(), expected.len(), "{shown}");
    for (line, expected) in lines.iter().zip(&expected) {
        assert!(line.starts_with(expected), "{line}: {expected}");
    }
}

#[tokio::test]
async fn what_is_no_manifest_is_passed_over_too() {
    let page = || Answer::status(200).header("content-type", "text/html").body("<html>log in");
    for (name, answer) in [
        ("page", page()),
        ("empty", Answer::status(200)),
        ("chunked page", page().chunked()),
        ("list", Answer::status(200).json("[]")),
    ] {
        let hub = Scripted::start().await.unwrap();
        let mirror = Scripted::start().await.unwrap();
        hub.on("HEAD", HUB_PATH, [manifest(b"{}")]).on("GET", HUB_PATH, [manifest(b"{}")]);
        hub.on(
            "GET",
            "/v2/library/alpine/tags/list",
            [Answer::status(200).json(r#"{"tags":["a"]}"#)],
        );
        mirror.on("HEAD", "*", [answer.clone()]).on("GET", "*", [answer]);
        let client = hub_client(&hub, &[mirror.url()]);
        let repository = alpine();
        let open = || client.remote(&repository, &Credentials::Anonymous, Access::Pull);
        let found = open().await.unwrap().resolve(&tag()).await.expect(name);
        assert!(!found.source.mirror, "{name}");
        assert_eq!(found.descriptor.digest, Digest::sha256(b"{}"), "{name}");
        assert_eq!(open().await.unwrap().manifest(&tag()).await.expect(name).bytes, "{}", "{name}");
        assert_eq!(open().await.unwrap().tags().await.expect(name).len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_mirror_with_wrong_blobs_can_be_passed_over() {
    let hub = Scripted::start().await.unwrap();
    let mirror = Scripted::start().await.unwrap();
    let blob = crate::support::descriptor(&content(100));
    let path = format!("/v2/library/alpine/blobs/{}", blob.digest);
    mirror.on("GET", &path, [Answer::status(200).body(vec![0; 100])]);
    hub.on("GET", &path, [Answer::status(200).body(content(100))]);
    let client = hub_client(&hub, &[mirror.url()]);
    let remote = client.remote(&alpine(), &Credentials::Anonymous, Access::Pull).await.unwrap();

    let stream = remote.blob(&blob, 0..100).await.unwrap();
    let source = stream.source.clone();
    assert_ne!(drain(stream).await.0, content(100));
    assert!(remote.pass_over(&source));
    let stream = remote.blob(&blob, 0..100).await.unwrap();
    assert!(!remote.pass_over(&stream.source), "nobody comes after the registry itself");
    assert_eq!(drain(stream).await.0, content(100));
    // What is checked here needs no help.
    let remote = client.remote(&alpine(), &Credentials::Anonymous, Access::Pull).await.unwrap();
    assert_eq!(remote.blob_bytes(&blob, 100).await.unwrap(), content(100));
}

#[tokio::test]
async fn mirrors_are_for_docker_hub_and_reading_only() {
    let hub = Scripted::start().await.unwrap();
    let mirror = Scripted::start().await.unwrap();
    let other = Scripted::start().await.unwrap();
    let here = Answer::status(202).header("location", "/up");
    hub.on("POST", "/v2/library/alpine/blobs/uploads/", [here]);
    other.on("GET", "/v2/me/app/manifests/1", [manifest(b"{}")]);
    let client = hub_client(&hub, &[mirror.url()]);
    let pushing = client.remote(&alpine(), &Credentials::Anonymous, Access::Push).await.unwrap();
    pushing.start_upload().await.unwrap();
    let elsewhere = remote_of(&client, &other, &Credentials::Anonymous).await;
    elsewhere.manifest(&tag()).await.unwrap();
    assert_eq!(mirror.lines(), [""; 0]);
}

#[tokio::test]
async fn plain_http_is_found_once() {
    let server = Scripted::start().await.unwrap();
    server.on("GET", "/v2/me/app/manifests/1", [manifest(b"{}")]);
    let client = client();
    let first = remote_of(&client, &server, &Credentials::Anonymous).await;
    assert!(first.describe().contains("https://"), "{first:?}");
    first.manifest(&tag()).await.unwrap();
    let second = remote_of(&client, &server, &Credentials::Anonymous).await;
    assert!(second.describe().contains("http://"), "{second:?}");
    second.manifest(&tag()).await.unwrap();

    // An answer that only a TLS port gives to HTTP: HTTPS is asked again.
    let tls = Answer::status(400).body("Client sent an HTTP request to an HTTPS server.\n");
    server.on("GET", "/v2/", [tls]);
    let third = remote_of(&client, &server, &Credentials::Anonymous).await;
    third.manifest(&tag()).await.unwrap();
    assert_eq!(server.count("GET", "/v2/"), 4, "http, then https in vain, then http");
}

#[tokio::test]
async fn a_pings_status_is_nobodys_concern() {
    for status in (200..600).filter(|status| *status != 401) {
        let server = Scripted::start().await.unwrap();
        server.on("GET", "/v2/", [Answer::status(status)]);
        server.on("GET", "/v2/me/app/manifests/1", [manifest(b"{}")]);
        remote(&server).await.manifest(&tag()).await.unwrap();
        assert_eq!(server.count("GET", "/v2/"), 1, "{status}: asked for once");
    }
    // What is asked of it really is told as it is answered.
    let server = Scripted::start().await.unwrap();
    server.on("GET", "/v2/", [Answer::status(503)]);
    server.on("GET", "/v2/me/app/manifests/1", [Answer::error(404, "MANIFEST_UNKNOWN", "gone")]);
    let error = remote(&server).await.manifest(&tag()).await.unwrap_err();
    assert_eq!(error.code_status(), Some(404), "{error}");
}

#[tokio::test]
async fn nobody_at_home_is_told_as_docker_tells_it() {
    let address = nobody().await;
    let repository = Repository::parse_familiar(&format!("{address}/x/y")).unwrap();
    let remote = client().remote(&repository, &ann(), Access::Pull).await.unwrap();
    let error = remote.resolve(&tag()).await.unwrap_err();
    let expected =
        format!(r#"Get "http://{address}/v2/": dial tcp {address}: connect: connection refused"#);
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.recovery(), Recovery::NextEndpoint);
    assert!(error.is_unreachable());
}

#[tokio::test]
async fn a_registry_that_goes_away_is_likely_to_come_back() {
    let server = Scripted::start().await.unwrap();
    server.on("GET", "/v2/me/app/manifests/1", [manifest(b"{}")]);
    let remote = remote(&server).await;
    remote.manifest(&tag()).await.unwrap();
    let address = server.address();
    drop(server);
    // Until nobody listens any more, so that the next attempt is refused.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    let error = remote.manifest(&tag()).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::Retry { after: None }, "{error}");
}

#[tokio::test]
async fn a_name_without_an_address_is_told_as_docker_tells_it() {
    let repository = Repository::parse_familiar("registry.invalid/x").unwrap();
    let remote = client().remote(&repository, &ann(), Access::Pull).await.unwrap();
    let error = remote.resolve(&tag()).await.unwrap_err().to_string();
    let start = r#"Get "https://registry.invalid/v2/": dial tcp: lookup registry.invalid"#;
    assert!(error.starts_with(start), "{error}");
}

#[tokio::test]
async fn a_host_is_shown_as_it_was_written() {
    let repository = Repository::parse_familiar("BAD/ref").unwrap();
    let remote = client().remote(&repository, &ann(), Access::Pull).await.unwrap();
    let error = remote.resolve(&tag()).await.unwrap_err().to_string();
    let start = r#"Get "https://BAD/v2/": dial tcp: lookup BAD"#;
    assert!(error.starts_with(start), "{error}");
}

#[tokio::test]
async fn proxies_are_used_and_spared() {
    // A proxy sees whole URLs. This one answers itself.
    let proxy = Scripted::start().await.unwrap();
    proxy.reply("GET", "*", |request| match request.path() {
        path if path.ends_with("/manifests/1") => manifest(b"{}"),
        _ => Answer::status(200),
    });
    let through = |no_proxy: Option<&str>| {
        let http = Some(format!("http://ann:s3cret@{}", proxy.host()));
        let no_proxy = no_proxy.map(ToOwned::to_owned);
        let proxy = ProxyConfig { http, no_proxy, ..ProxyConfig::default() };
        let hub_endpoint = Some("http://hub.invalid".to_owned());
        Client::new(RegistryConfig { proxy, hub_endpoint, ..config() }).unwrap()
    };
    let remote =
        through(None).remote(&alpine(), &Credentials::Anonymous, Access::Pull).await.unwrap();
    remote.manifest(&tag()).await.unwrap();
    let seen = proxy.received();
    assert_eq!(seen[0].header("host"), Some("hub.invalid"));
    assert_eq!(seen[0].header("proxy-authorization"), Some(ANN));
    assert_eq!(seen[0].header("authorization"), None);

    let spared = through(Some("invalid"));
    let remote = spared.remote(&alpine(), &Credentials::Anonymous, Access::Pull).await.unwrap();
    let error = remote.manifest(&tag()).await.unwrap_err().to_string();
    assert!(error.contains("dial tcp: lookup hub.invalid"), "{error}");

    // This machine is never asked through a proxy.
    proxy.forget();
    let server = Scripted::start().await.unwrap();
    server.on("GET", "/v2/me/app/manifests/1", [manifest(b"{}")]);
    remote_of(&through(None), &server, &Credentials::Anonymous)
        .await
        .manifest(&tag())
        .await
        .unwrap();
    assert_eq!(proxy.lines(), [""; 0]);
}

#[tokio::test]
async fn a_proxy_that_is_down_is_named() {
    let address = nobody().await;
    let proxy = ProxyConfig { http: Some(address.clone()), ..ProxyConfig::default() };
    let hub_endpoint = Some("http://hub.invalid".to_owned());
    let client = Client::new(RegistryConfig { proxy, hub_endpoint, ..config() }).unwrap();
    let remote = client.remote(&alpine(), &Credentials::Anonymous, Access::Pull).await.unwrap();
    let error = remote.manifest(&tag()).await.unwrap_err();
    let expected = format!(
        r#"Get "http://hub.invalid/v2/": proxyconnect tcp: dial tcp {address}: connect: connection refused"#
    );
    assert_eq!(error.to_string(), expected);
}

#[test]
fn bad_settings_are_refused_at_once() {
    let mirrors = vec!["mirror.corp".to_owned()];
    let error = Client::new(RegistryConfig { mirrors, ..config() }).unwrap_err();
    assert!(
        matches!(&error, RegistryError::Settings(fault)
        if matches!(**fault, SettingsError::MirrorWithoutScheme { .. })),
        "{error}"
    );
}
