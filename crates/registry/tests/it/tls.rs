//! TLS: authorities, client certificates, and registries that are not checked.

use std::fs;

use registry::{
    Access, Client, Credentials, ProxyConfig, Recovery, RegistryConfig, RegistryError, TagOrDigest,
};
use spec::{Repository, Tag};
use test_support::scripted::{Answer, Identity, Scripted, challenge_bearer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{ann, config, manifest, repository};

const PATH: &str = "/v2/me/app/manifests/1";

fn tag() -> TagOrDigest {
    TagOrDigest::Tag("1".parse::<Tag>().unwrap())
}

/// A registry with TLS that is Docker Hub, as that is never insecure, and a client with `files` in its `certs.d`.
async fn pull(server: &Scripted, files: &[(&str, &str)]) -> Result<(), RegistryError> {
    let directory = tempfile::tempdir().unwrap();
    let certs = directory.path().join(server.host());
    fs::create_dir(&certs).unwrap();
    for (name, content) in files {
        fs::write(certs.join(name), content).unwrap();
    }
    let settings = RegistryConfig {
        hub_endpoint: Some(server.url()),
        certs_dirs: vec![directory.path().into()],
        ..config()
    };
    let repository = Repository::parse_familiar("me/app").unwrap();
    let client = Client::new(settings).unwrap();
    let remote = client.remote(&repository, &ann(), Access::Pull).await?;
    remote.manifest(&tag()).await.map(drop)
}

async fn server(identity: &Identity) -> Scripted {
    let server = Scripted::start_tls(identity).await.unwrap();
    server.on("GET", PATH, [manifest(b"{}")]);
    server
}

#[tokio::test]
async fn a_private_authority_is_trusted_where_it_is_put() {
    let identity = Identity::new(&["127.0.0.1"]).unwrap();
    let server = server(&identity).await;
    pull(&server, &[("ca.crt", &identity.authority)]).await.unwrap();

    let error = pull(&server, &[]).await.unwrap_err();
    let url = server.url();
    let expected = format!(
        r#"Get "{url}/v2/": tls: failed to verify certificate: x509: certificate signed by unknown authority"#
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.recovery(), Recovery::NextEndpoint);

    let other = Identity::new(&["127.0.0.1"]).unwrap();
    let error = pull(&server, &[("ca.crt", &other.authority)]).await.unwrap_err();
    assert!(error.to_string().contains("x509: "), "{error}");
}

#[tokio::test]
async fn a_certificate_for_another_host_is_refused() {
    let identity = Identity::new(&["registry.corp", "10.0.0.1"]).unwrap();
    let server = server(&identity).await;
    let error = pull(&server, &[("ca.crt", &identity.authority)]).await.unwrap_err();
    let expected = "x509: certificate is valid for 10.0.0.1, not 127.0.0.1";
    assert!(error.to_string().contains(expected), "{error}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_if_there_is_one() {
    let identity = Identity::new(&["127.0.0.1"]).unwrap().ask_client();
    let server = server(&identity).await;
    let authority = ("ca.crt", identity.authority.as_str());
    let certificate = ("client.cert", identity.client_certificate.as_str());
    let key = ("client.key", identity.client_key.as_str());
    pull(&server, &[authority, certificate, key]).await.unwrap();

    let error = pull(&server, &[authority]).await.unwrap_err();
    assert!(matches!(error, RegistryError::Request(_)), "{error}");
    let error = pull(&server, &[authority, certificate]).await.unwrap_err();
    assert!(
        error.to_string().starts_with("missing key client.key for client certificate"),
        "{error}"
    );
}

#[tokio::test]
async fn an_insecure_registry_may_have_any_certificate_and_no_http() {
    let identity = Identity::new(&["elsewhere.corp"]).unwrap();
    let server = server(&identity).await;
    let client = Client::new(config()).unwrap();
    let remote = client.remote(&repository(&server), &ann(), Access::Pull).await.unwrap();
    remote.manifest(&tag()).await.unwrap();
    assert!(remote.describe().contains("https://"), "{remote:?}");

    // It spoke TLS, so that its errors are final: HTTP is not tried.
    server.on("GET", PATH, [Answer::status(404)]);
    let error = remote.manifest(&tag()).await.unwrap_err();
    assert!(error.is_not_found(), "{error}");
}

#[tokio::test]
async fn a_registry_without_tls_is_told_as_docker_tells_it() {
    let server = Scripted::start().await.unwrap();
    let hub_endpoint = Some(format!("https://{}", server.host()));
    let client = Client::new(RegistryConfig { hub_endpoint, ..config() }).unwrap();
    let repository = Repository::parse_familiar("me/app").unwrap();
    let remote = client.remote(&repository, &ann(), Access::Pull).await.unwrap();
    let error = remote.manifest(&tag()).await.unwrap_err();
    let expected = format!(
        r#"Get "https://{}/v2/": http: server gave HTTP response to HTTPS client"#,
        server.host()
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn tls_goes_through_a_proxys_tunnel() {
    let identity = Identity::new(&["hub.invalid"]).unwrap();
    let server = server(&identity).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let inside = server.address();
    // A proxy that takes one connection, and tells what it was asked.
    let tunnel = tokio::spawn(async move {
        let (mut outer, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(outer.read_u8().await.unwrap());
        }
        outer.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let mut inner = tokio::net::TcpStream::connect(inside).await.unwrap();
        tokio::io::copy_bidirectional(&mut outer, &mut inner).await.ok();
        String::from_utf8(head).unwrap().to_ascii_lowercase()
    });
    let directory = tempfile::tempdir().unwrap();
    let certs = directory.path().join("hub.invalid");
    fs::create_dir(&certs).unwrap();
    fs::write(certs.join("ca.crt"), &identity.authority).unwrap();
    let https = Some(format!("http://ann:s3cret@{address}"));
    let settings = RegistryConfig {
        hub_endpoint: Some("https://hub.invalid".to_owned()),
        certs_dirs: vec![directory.path().into()],
        proxy: ProxyConfig { https, ..ProxyConfig::default() },
        ..config()
    };
    let client = Client::new(settings).unwrap();
    let repository = Repository::parse_familiar("me/app").unwrap();
    let remote = client.remote(&repository, &ann(), Access::Pull).await.unwrap();
    remote.manifest(&tag()).await.unwrap();
    drop((remote, client));
    let asked = tunnel.await.unwrap();
    assert!(asked.starts_with("connect hub.invalid:443 "), "{asked}");
    assert!(
        asked.contains(&format!(
            "proxy-authorization: {}",
            crate::support::ANN.to_ascii_lowercase()
        ))
    );
    assert!(server.received().iter().all(|inside| inside.header("proxy-authorization").is_none()));
}

#[tokio::test]
async fn nothing_leads_from_tls_to_plain_text() {
    let identity = Identity::new(&["127.0.0.1"]).unwrap();
    let server = server(&identity).await;
    let plain = Scripted::start().await.unwrap();
    plain.on("GET", "/token", [Answer::status(200).json(r#"{"token":"t"}"#)]);
    plain.on("GET", "/manifest", [manifest(b"{}")]);
    let authority = [("ca.crt", identity.authority.as_str())];

    let target = format!("{}/manifest", plain.url());
    server.on("GET", PATH, [Answer::redirect(307, &target)]);
    let error = pull(&server, &authority).await.unwrap_err().to_string();
    let expected = format!(r#"refusing the redirect to "{target}": it leads from https to http"#);
    assert!(error.ends_with(&expected), "{error}");

    let realm = format!("{}/token", plain.url());
    let (name, value) = challenge_bearer(&realm, "s");
    server.on("GET", "/v2/", [Answer::status(401).header(name, value)]);
    let error = pull(&server, &authority).await.unwrap_err().to_string();
    // It is asked by TLS, which it does not speak.
    let refused = format!("refusing to ask `{realm}` for a token: not https, and by https: ");
    assert!(error.contains(&refused), "{error}");
    assert!(error.ends_with("http: server gave HTTP response to HTTPS client"), "{error}");
    assert_eq!(plain.lines(), [""; 0]);
}

/// Writes a URL as a server does that is behind a proxy which ends TLS.
fn plain(server: &Scripted, path: &str) -> String {
    format!("http://{}{path}", server.host())
}

#[tokio::test]
async fn a_registry_behind_a_proxy_that_ends_tls_is_asked_by_tls() {
    let identity = Identity::new(&["127.0.0.1"]).unwrap();
    let server = server(&identity).await;
    let authority = [("ca.crt", identity.authority.as_str())];
    let (name, value) = challenge_bearer(&plain(&server, "/token"), "s");
    let challenge = Answer::status(401).header(name, value);
    server
        .on("GET", "/v2/", [challenge])
        .on("GET", "/token", [Answer::status(200).json(r#"{"Token":"t"}"#)])
        .on("GET", PATH, [Answer::redirect(301, &plain(&server, "/moved"))])
        .on("GET", "/moved", [manifest(b"{}")]);
    pull(&server, &authority).await.unwrap();
    assert_eq!(server.received()[1].header("authorization"), Some(crate::support::ANN));
    assert_eq!(server.received()[3].header("authorization"), Some("Bearer t"));

    let here = "/v2/me/app/blobs/uploads/1";
    let begun = Answer::status(202).header("location", plain(&server, here));
    server
        .on("POST", "/v2/me/app/blobs/uploads/", [begun])
        .on("PATCH", here, [Answer::status(202).header("location", plain(&server, here))])
        .on("PUT", here, [Answer::status(201)]);
    let directory = tempfile::tempdir().unwrap();
    let certs = directory.path().join(server.host());
    fs::create_dir(&certs).unwrap();
    fs::write(certs.join("ca.crt"), &identity.authority).unwrap();
    let hub_endpoint = Some(server.url());
    let certs_dirs = vec![directory.path().to_owned()];
    let client = Client::new(RegistryConfig { hub_endpoint, certs_dirs, ..config() }).unwrap();
    let repository = Repository::parse_familiar("me/app").unwrap();
    let remote = client.remote(&repository, &ann(), Access::Push).await.unwrap();
    let body = futures_util::stream::iter([Ok(bytes::Bytes::from_static(b"abc"))]);
    let digest = spec::Digest::sha256(b"abc");
    remote.start_upload().await.unwrap().send(body, Some(3), &digest).await.unwrap();
}

#[tokio::test]
async fn a_checked_blob_may_come_from_anywhere() {
    let identity = Identity::new(&["127.0.0.1"]).unwrap();
    let server = server(&identity).await;
    let plain = Scripted::start().await.unwrap();
    let blob = crate::support::descriptor(b"config");
    let target = format!("{}/blob", plain.url());
    server.on("GET", &crate::support::blob_path(&blob), [Answer::redirect(307, &target)]);
    plain.on("GET", "/blob", [Answer::status(200).body("config")]);

    let directory = tempfile::tempdir().unwrap();
    let certs = directory.path().join(server.host());
    fs::create_dir(&certs).unwrap();
    let hub_endpoint = Some(server.url());
    let certs_dirs = vec![directory.path().to_owned()];
    let client = Client::new(RegistryConfig { hub_endpoint, certs_dirs, ..config() }).unwrap();
    let repository = Repository::parse_familiar("me/app").unwrap();
    let remote = || client.remote(&repository, &Credentials::Anonymous, Access::Pull);
    assert!(remote().await.unwrap().blob_bytes(&blob, 100).await.is_err());
    // What is put into the directory later is seen.
    fs::write(certs.join("ca.crt"), &identity.authority).unwrap();
    assert_eq!(remote().await.unwrap().blob_bytes(&blob, 100).await.unwrap(), "config");
}
