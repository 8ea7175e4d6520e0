//! The way to registries: silence, proxies, TLS that ends without a word.

use std::{fs, time::Duration};

use registry::{
    Access, Client, Credentials, ProxyConfig, Recovery, RegistryConfig, RegistryError, Remote,
    TagOrDigest,
};
use spec::{Digest, Repository, Tag};
use test_support::scripted::{Answer, Identity, Scripted, challenge_bearer};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{
    MANIFEST, ann, blob_path, config, content, descriptor, drain, manifest, remote_of,
};

const PATH: &str = "/v2/me/app/manifests/1";

fn tag() -> TagOrDigest {
    TagOrDigest::Tag("1".parse::<Tag>().unwrap())
}

/// Opens the repository of a stand-in for Docker Hub, which is asked by its URL's scheme alone.
async fn of_hub(hub: String, settings: RegistryConfig) -> Remote {
    let client = Client::new(RegistryConfig { hub_endpoint: Some(hub), ..settings }).unwrap();
    let repository = Repository::parse_familiar("me/app").unwrap();
    client.remote(&repository, &Credentials::Anonymous, Access::Pull).await.unwrap()
}

#[tokio::test]
async fn who_is_silent_at_first_is_asked_once() {
    let short = || RegistryConfig { response_timeout: Duration::from_millis(100), ..config() };
    let server = Scripted::start().await.unwrap();
    server.on("GET", "/v2/", [Answer::silence()]);
    let client = Client::new(short()).unwrap();
    let error = remote_of(&client, &server, &ann()).await.manifest(&tag()).await.unwrap_err();
    let url = server.url();
    let expected = format!(r#"Get "{url}/v2/": net/http: timeout awaiting response headers"#);
    assert_eq!(error.to_string(), expected);
    assert_eq!(error.recovery(), Recovery::NextEndpoint);
    assert_eq!(server.lines(), ["GET /v2/"]);

    // So is a token server.
    let (name, value) = challenge_bearer(&format!("{url}/token"), "s");
    server.on("GET", "/v2/", [Answer::status(401).header(name, value)]);
    server.on("GET", "/token", [Answer::silence()]);
    server.forget();
    let client = Client::new(short()).unwrap();
    let error = remote_of(&client, &server, &ann()).await.manifest(&tag()).await.unwrap_err();
    assert!(error.to_string().contains(&format!(r#"Get "{url}/token?"#)), "{error}");
    assert_eq!((server.count("GET", "/v2/"), server.count("GET", "/token")), (1, 1));
}

#[tokio::test]
async fn tls_that_does_not_begin_is_not_a_host_that_is_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _silent = tokio::spawn(async move {
        let mut kept = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            kept.push(connection);
        }
    });
    let settings = RegistryConfig { connect_timeout: Duration::from_millis(100), ..config() };
    let remote = of_hub(format!("https://{address}"), settings).await;
    let error = remote.manifest(&tag()).await.unwrap_err();
    let expected = format!(r#"Get "https://{address}/v2/": net/http: TLS handshake timeout"#);
    assert_eq!(error.to_string(), expected);
    assert!(error.is_unreachable());
}

/// A SOCKS proxy without passwords that leads everybody to one server. Returns its address and what it is asked for first.
async fn socks(to: std::net::SocketAddr) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut head = [0; 2];
        client.read_exact(&mut head).await.unwrap();
        client.read_exact(&mut vec![0; head[1].into()]).await.unwrap();
        client.write_all(&[5, 0]).await.unwrap();
        let mut request = [0; 5];
        client.read_exact(&mut request).await.unwrap();
        assert_eq!(request[..4], [5, 1, 0, 3], "a name, and not an address");
        let mut name = vec![0; usize::from(request[4]) + 2];
        client.read_exact(&mut name).await.unwrap();
        name.truncate(name.len() - 2);
        client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
        let mut server = TcpStream::connect(to).await.unwrap();
        tokio::spawn(async move {
            tokio::io::copy_bidirectional(&mut client, &mut server).await.ok();
        });
        String::from_utf8(name).unwrap()
    });
    (address.to_string(), asked)
}

#[tokio::test]
async fn a_socks_proxy_looks_up_names_itself() {
    for scheme in ["socks5", "socks5h"] {
        let server = Scripted::start().await.unwrap();
        server.on("GET", PATH, [manifest(b"{}")]);
        let (address, asked) = socks(server.address()).await;
        let all = Some(format!("{scheme}://{address}"));
        let proxy = ProxyConfig { all, ..ProxyConfig::default() };
        let settings = RegistryConfig { proxy, ..config() };
        let remote = of_hub("http://hub.invalid".to_owned(), settings).await;
        remote.manifest(&tag()).await.unwrap();
        assert_eq!(asked.await.unwrap(), "hub.invalid");
    }
}

#[tokio::test]
async fn a_proxy_that_wants_a_login_is_named_without_the_password() {
    let proxy = Scripted::start().await.unwrap();
    proxy.on("GET", "*", [Answer::status(407).body("<html>")]);
    let tunnel = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tunnel_address = tunnel.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = tunnel.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
            client.write_all(answer).await.ok();
        }
    });
    for (hub, address) in
        [("http://hub.invalid", proxy.host()), ("https://hub.invalid", tunnel_address.to_string())]
    {
        let all = Some(format!("http://ann:s3cret@{address}"));
        let proxy = ProxyConfig { all, ..ProxyConfig::default() };
        let remote = of_hub(hub.to_owned(), RegistryConfig { proxy, ..config() }).await;
        let error = remote.manifest(&tag()).await.unwrap_err();
        let expected = format!(
            r#"Get "{hub}/v2/": proxyconnect tcp: proxy authorization required by http://{address}/ (407 Proxy Authentication Required), with a user and a password"#
        );
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.recovery(), Recovery::Fail);
    }
}

#[tokio::test]
async fn a_proxy_that_refuses_or_is_not_there_is_to_blame_and_not_the_host() {
    let mut tunnels = Vec::new();
    for answer in ["HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", ""] {
        let tunnel = TcpListener::bind("127.0.0.1:0").await.unwrap();
        tunnels.push(tunnel.local_addr().unwrap().to_string());
        tokio::spawn(async move {
            while let Ok((mut client, _)) = tunnel.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                client.write_all(answer.as_bytes()).await.ok();
            }
        });
    }
    let to = "to connect to reg.invalid:443";
    let [refused, hung_up] = ["refused", "hung up when asked"];
    let dead = "127.0.0.1:1".to_owned();
    for (proxy, fault) in [
        (tunnels[0].clone(), format!("http://{}/ {refused} {to}", tunnels[0])),
        (tunnels[1].clone(), format!("http://{}/ {hung_up} {to}", tunnels[1])),
        (dead, "dial tcp 127.0.0.1:1: connect: connection refused".to_owned()),
    ] {
        // An insecure registry is asked by HTTP, too, and has no address.
        for insecure in [vec![], vec!["reg.invalid".to_owned()]] {
            let https = Some(format!("http://ann:s3cret@{proxy}"));
            let proxy = ProxyConfig { https, ..ProxyConfig::default() };
            let client = Client::new(RegistryConfig { proxy, insecure, ..config() }).unwrap();
            let repository = Repository::parse_familiar("reg.invalid/me/app").unwrap();
            let remote = client.remote(&repository, &ann(), Access::Pull).await.unwrap();
            let error = remote.manifest(&tag()).await.unwrap_err().to_string();
            let expected = format!(r#"Get "https://reg.invalid/v2/": proxyconnect tcp: {fault}"#);
            assert_eq!(error, expected);
        }
    }
}

#[tokio::test]
async fn tls_that_ends_without_a_word_has_brought_what_proves_itself() {
    let identity = Identity::new(&["127.0.0.1"]).unwrap();
    let server = Scripted::start_tls_abrupt(&identity).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let certs = directory.path().join(server.host());
    fs::create_dir(&certs).unwrap();
    fs::write(certs.join("ca.crt"), &identity.authority).unwrap();
    let certs_dirs = vec![directory.path().to_owned()];
    let remote = of_hub(server.url(), RegistryConfig { certs_dirs, ..config() }).await;

    let (name, value) = challenge_bearer(&format!("{}/token", server.url()), "s");
    let token = Answer::status(200).json(r#"{"token":"t"}"#).until_close();
    let document = Answer::status(200).header("content-type", MANIFEST).body("{}").until_close();
    let bytes = content(100_000);
    let blob = descriptor(&bytes);
    server
        .on("GET", "/v2/", [Answer::status(401).header(name, value)])
        .on("GET", "/token", [token])
        .on("GET", PATH, [document])
        .on("GET", &blob_path(&blob), [Answer::status(200).body(bytes.clone()).until_close()]);
    assert_eq!(remote.manifest(&tag()).await.unwrap().bytes, "{}");
    assert_eq!(remote.blob_bytes(&blob, 1 << 20).await.unwrap(), bytes);
    let (received, error) = drain(remote.blob(&blob, 0..100_000).await.unwrap()).await;
    assert!(error.is_none(), "{error:?}");
    assert_eq!(received, bytes);

    // What is cut off is not there.
    let part = Answer::status(200).body(bytes[..50_000].to_vec()).until_close();
    server.on("GET", &blob_path(&blob), [part]);
    let (received, error) = drain(remote.blob(&blob, 0..100_000).await.unwrap()).await;
    assert_eq!(received.len(), 50_000);
    assert_eq!(error.unwrap().recovery(), Recovery::Retry { after: None });
    let error = remote.blob_bytes(&blob, 1 << 20).await.unwrap_err();
    assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error}");
    let target = TagOrDigest::Digest(Digest::sha256(b"{ }"));
    let path = format!("/v2/me/app/manifests/{}", Digest::sha256(b"{ }"));
    server.on("GET", &path, [Answer::status(200).body("{ ").until_close()]);
    assert!(remote.manifest(&target).await.is_err());
}
