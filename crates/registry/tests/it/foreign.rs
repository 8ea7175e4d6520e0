//! Layers at URLs of their own, and what registries are told of who asks.

use http::{HeaderMap, HeaderValue};
use registry::{
    Access, Caller, Client, ProxyConfig, RegistryConfig, RegistryError, Remote, TagOrDigest,
};
use spec::Descriptor;
use test_support::scripted::{Answer, Scripted, challenge_bearer};

use crate::support::{ann, blob_path, config, content, descriptor, drain, repository};

async fn allowing(server: &Scripted, named: &[String]) -> Remote {
    let config = RegistryConfig { nondistributable: named.to_vec(), ..config() };
    let client = Client::new(config).unwrap();
    client.remote(&repository(server), &ann(), Access::Pull).await.unwrap()
}

fn at(blob: &Descriptor, urls: &[String]) -> Descriptor {
    Descriptor { urls: urls.to_vec(), ..blob.clone() }
}

fn absent(server: &Scripted, blob: &Descriptor) {
    let gone = Answer::error(404, "BLOB_UNKNOWN", "blob unknown to registry");
    server.on("GET", &blob_path(blob), [gone]);
}

#[tokio::test]
async fn what_the_registry_has_not_got_comes_from_the_layers_own_url() {
    let (server, other) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    let bytes = content(10_000);
    let blob = descriptor(&bytes);
    absent(&server, &blob);
    let ok = Answer::status(200).body(bytes.clone());
    other.on("GET", "/gone", [Answer::status(404)]);
    other.on("GET", "/moved", [Answer::redirect(302, "/layer")]);
    other.on("GET", "/layer", [ok]);
    let wrong = "ftp://127.0.0.1/x".to_owned();
    let with_password = format!("http://u:p@{}/moved", other.host());
    let urls = [wrong, format!("{}/gone", other.url()), with_password];
    let remote = allowing(&server, &["127.0.0.0/8".to_owned()]).await;

    let stream = remote.blob(&at(&blob, &urls), 0..10_000).await.unwrap();
    assert!(!stream.source.mirror && stream.source.url.ends_with("/moved"));
    assert!(!remote.pass_over(&stream.source));
    let (received, error) = drain(stream).await;
    assert_eq!((received, error.is_none()), (bytes, true));
    // Without urls it is as it ever was.
    let error = remote.blob(&blob, 0..10_000).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
    for request in other.received() {
        assert_eq!(request.header("authorization"), None, "{}", request.path());
    }
}

#[tokio::test]
async fn other_sizes_are_refused_and_errors_name_both() {
    let (server, other) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    let blob = descriptor(&content(10_000));
    absent(&server, &blob);
    other.on("GET", "/short", [Answer::status(200).body("abc")]);
    other.on("GET", "/gone", [Answer::status(404)]);
    let urls = [format!("{}/short", other.url()), format!("{}/gone", other.url())];
    let remote = allowing(&server, &["127.0.0.1".to_owned()]).await;
    let error = remote.blob(&at(&blob, &urls), 0..10_000).await.unwrap_err().to_string();
    for part in ["blob unknown", "nor at its own URLs", "3 bytes", "404"] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

#[tokio::test]
async fn only_public_addresses_are_asked_unless_they_are_named() {
    let (server, other) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    let bytes = content(100);
    let blob = descriptor(&bytes);
    absent(&server, &blob);
    other.on("GET", "/layer", [Answer::status(200).body(bytes.clone())]);
    let port = other.address().port();
    let named =
        |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>();
    for (host, allowed, comes) in [
        (format!("127.0.0.1:{port}"), named(&[]), false),
        (format!("localhost:{port}"), named(&[]), false),
        (format!("0x7f.1:{port}"), named(&["10.0.0.0/8"]), false),
        (format!("localhost:{port}"), named(&["localhost"]), true),
        (format!("127.0.0.1:{port}"), named(&["127.0.0.0/8"]), true),
    ] {
        other.forget();
        let remote = allowing(&server, &allowed).await;
        let url = format!("http://{host}/layer");
        let stream = remote.blob(&at(&blob, &[url]), 0..100).await;
        assert_eq!(stream.is_ok(), comes, "{host} {allowed:?}: {:?}", stream.err());
        assert_eq!(other.count("GET", "/layer") > 0, comes, "{host}");
    }
}

#[tokio::test]
async fn a_proxys_host_is_asked_for_no_layer_because_it_is_one() {
    let (server, other) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    let bytes = content(100);
    let blob = descriptor(&bytes);
    absent(&server, &blob);
    other.on("GET", "/layer", [Answer::status(200).body(bytes.clone())]);
    let proxy = Some("http://localhost:9".to_owned());
    let https = ProxyConfig { https: proxy.clone(), ..ProxyConfig::default() };
    let no_proxy = Some("localhost,127.0.0.1".to_owned());
    let excepted = ProxyConfig { all: proxy, no_proxy, ..ProxyConfig::default() };
    let urls = [format!("http://localhost:{}/layer", other.address().port())];
    for proxy in [https, excepted] {
        let client = Client::new(RegistryConfig { proxy, ..config() }).unwrap();
        let remote = client.remote(&repository(&server), &ann(), Access::Pull).await.unwrap();
        let error = remote.blob(&at(&blob, &urls), 0..100).await.unwrap_err().to_string();
        assert!(error.contains("is no public address"), "{error}");
        assert_eq!(other.count("GET", "/layer"), 0);
    }
}

#[tokio::test]
async fn a_redirect_leads_to_no_private_address() {
    let (server, other) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    let blob = descriptor(&content(100));
    absent(&server, &blob);
    let port = other.address().port();
    // Another address of this machine than the one that is allowed.
    let inside = [format!("http://127.0.0.9:{port}/secret"), format!("http://[::1]:{port}/secret")];
    let remote = allowing(&server, &["localhost".to_owned()]).await;
    for target in inside {
        other.on("GET", "/layer", [Answer::redirect(302, &target)]);
        let url = format!("http://localhost:{port}/layer");
        let error = remote.blob(&at(&blob, &[url]), 0..100).await.unwrap_err();
        assert!(matches!(error, RegistryError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains("is no public address"), "{error}");
        assert_eq!(other.count("GET", "/secret"), 0);
    }
}

#[tokio::test]
async fn a_registry_and_its_token_server_are_told_who_asks_and_nobody_else() {
    let (server, store) = (Scripted::start().await.unwrap(), Scripted::start().await.unwrap());
    let tokens = Scripted::start().await.unwrap();
    let bytes = content(100);
    let blob = descriptor(&bytes);
    let (name, value) = challenge_bearer(&format!("{}/token", tokens.url()), "s");
    server.on("GET", "/v2/", [Answer::status(401).header(name, value)]);
    tokens.on("GET", "/token", [Answer::status(200).json(r#"{"token":"t"}"#)]);
    let target = format!("{}/stored", store.url());
    server.on("GET", &blob_path(&blob), [Answer::redirect(307, &target)]);
    store.on("GET", "/stored", [Answer::status(200).body(bytes.clone())]);

    let mut headers = HeaderMap::new();
    for (name, value) in [("user-agent", "c/1 (x)"), ("x-meta-team", "blue"), ("x-other", "no")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let client = Client::new(config()).unwrap().on_behalf_of(Caller::of_request(&headers));
    let remote = client.remote(&repository(&server), &ann(), Access::Pull).await.unwrap();
    remote.blob_bytes(&blob, 100).await.unwrap();
    remote.resolve(&TagOrDigest::Digest(blob.digest.clone())).await.unwrap_err();
    for (who, meta) in [(&server, Some("blue")), (&tokens, Some("blue")), (&store, None)] {
        let received = who.received();
        assert!(!received.is_empty());
        for request in received {
            let agent = request.header("user-agent").unwrap();
            assert!(agent.ends_with(" UpstreamClient(c/1 \\(x\\))"), "{agent}");
            assert_eq!(request.header("x-meta-team"), meta, "{}", request.path());
            assert_eq!(request.header("x-other"), None);
        }
    }
}
