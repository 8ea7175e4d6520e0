//! `hosts.toml`: who is asked for what, and what nobody else gets to see.

use std::{
    collections::HashMap,
    fs,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use futures_util::future::BoxFuture;
use registry::{
    Access, Client, CredentialSource, Credentials, CredentialsUnavailable, FoundCredentials,
    RegistryConfig, TagOrDigest,
};
use spec::{Digest, Repository, Tag};
use tempfile::TempDir;
use test_support::scripted::{
    Answer, Identity, Received, Scripted, challenge_basic, challenge_bearer,
};

use crate::support::{ANN, ann, config, content, descriptor, drain, manifest, nobody};

/// The header of the mirrors' own user.
const MIRROR: &str = "Basic bWlycm9yOmNhbmFyeQ==";

/// Credentials by host, and who was asked about.
#[derive(Debug, Default)]
struct Keys {
    known: HashMap<String, Credentials>,
    asked: Mutex<Vec<String>>,
}

impl Keys {
    fn of(hosts: &[String]) -> Arc<Self> {
        let mirror = || Credentials::Basic { username: "mirror".into(), password: "canary".into() };
        let known = hosts.iter().map(|host| (host.clone(), mirror())).collect();
        Arc::new(Self { known, asked: Mutex::default() })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

impl CredentialSource for Keys {
    fn find<'a>(
        &'a self,
        host: &'a str,
    ) -> BoxFuture<'a, Result<FoundCredentials, CredentialsUnavailable>> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(host.to_owned());
            let credentials = self.known.get(host).cloned().unwrap_or_default();
            Ok(FoundCredentials { credentials, origin: Some("a test".into()) })
        })
    }
}

/// Knows nothing, and says so.
#[derive(Debug)]
struct Broken;
impl CredentialSource for Broken {
    fn find<'a>(
        &'a self,
        _: &'a str,
    ) -> BoxFuture<'a, Result<FoundCredentials, CredentialsUnavailable>> {
        Box::pin(async { Err(CredentialsUnavailable("no such helper".into())) })
    }
}

/// A certificate directory with a file for a registry.
fn certs(registry: &str, text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join(registry);
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("hosts.toml"), text).unwrap();
    folder
}

fn client(certs: &TempDir, keys: Option<Arc<Keys>>) -> Client {
    let certs_dirs = vec![certs.path().into()];
    let credentials = keys.map(|keys| keys as Arc<dyn CredentialSource>);
    Client::new(RegistryConfig { certs_dirs, credentials, ..config() }).unwrap()
}

fn app(registry: &str) -> Repository {
    Repository::parse_familiar(&format!("{registry}/me/app")).unwrap()
}

fn tag() -> TagOrDigest {
    TagOrDigest::Tag("1".parse::<Tag>().unwrap())
}

fn by_digest() -> TagOrDigest {
    TagOrDigest::Digest(Digest::sha256(b"{}"))
}

fn paths() -> (&'static str, String) {
    ("/v2/me/app/manifests/1", format!("/v2/me/app/manifests/{}", Digest::sha256(b"{}")))
}

async fn servers<const N: usize>() -> [Scripted; N] {
    let mut started = Vec::new();
    for _ in 0..N {
        let server = Scripted::start().await.unwrap();
        let (by_tag, by_digest) = paths();
        for method in ["HEAD", "GET"] {
            server.on(method, by_tag, [manifest(b"{}")]);
            server.on(method, &by_digest, [manifest(b"{}")]);
        }
        started.push(server);
    }
    started.try_into().unwrap()
}

fn without_authorization(server: &Scripted) -> bool {
    server.received().iter().all(|request| request.header("authorization").is_none())
}

#[tokio::test]
async fn hosts_are_asked_for_what_they_may_be_asked_for() {
    let [untrusted, trusted, registry] = servers().await;
    let file = format!(
        "server = \"{}\"\n[host.\"{}\"]\ncapabilities = [\"pull\"]\n[host.\"{}\"]\ncapabilities = [\"pull\", \"resolve\"]",
        registry.url(),
        untrusted.url(),
        trusted.url()
    );
    let certs = certs("reg.example", &file);
    let client = client(&certs, None);
    let remote = client.remote(&app("reg.example"), &ann(), Access::Pull).await.unwrap();

    remote.resolve(&tag()).await.unwrap();
    assert_eq!(
        untrusted.lines(),
        [""; 0],
        "what a tag means is not for a mirror without `resolve`"
    );
    assert_eq!(trusted.lines(), ["GET /v2/", "HEAD /v2/me/app/manifests/1?ns=reg.example"]);
    // What proves itself may come from anybody, and resolving elsewhere is no reason to pass somebody over.
    let fetched = remote.manifest(&by_digest()).await.unwrap();
    assert_eq!(fetched.source.url, format!("{}/", untrusted.url()));
    assert!(fetched.source.mirror);
    let (_, path) = paths();
    assert_eq!(untrusted.lines(), ["GET /v2/".to_owned(), format!("GET {path}?ns=reg.example")]);

    // The list of tags has to be believed, too.
    trusted.on("GET", "/v2/me/app/tags/list", [Answer::status(200).json(r#"{"tags":["1"]}"#)]);
    assert_eq!(remote.tags().await.unwrap().len(), 1);
    assert_eq!(trusted.lines()[2], "GET /v2/me/app/tags/list?ns=reg.example&n=1000");
    assert_eq!(registry.lines(), [""; 0]);

    // Nobody but the last may be pushed to.
    registry.on(
        "POST",
        "/v2/me/app/blobs/uploads/",
        [Answer::status(202).header("location", "/up")],
    );
    let pushing = client.remote(&app("reg.example"), &ann(), Access::Push).await.unwrap();
    pushing.start_upload().await.unwrap();
    assert_eq!(registry.lines(), ["GET /v2/", "POST /v2/me/app/blobs/uploads/"]);
    for server in [&untrusted, &trusted] {
        assert!(server.received().iter().all(|request| request.method != "POST"));
    }
}

#[tokio::test]
async fn a_host_that_may_be_pushed_to_is_the_only_one() {
    let [first, second, registry] = servers().await;
    let file = format!(
        "server = \"{}\"\n[host.\"{}\"]\ncapabilities = [\"pull\"]\n[host.\"{}\"]",
        registry.url(),
        first.url(),
        second.url()
    );
    let certs = certs("reg.example", &file);
    let keys = Keys::of(&[second.host()]);
    let client = client(&certs, Some(Arc::clone(&keys)));
    let (name, value) = challenge_basic();
    second.on("GET", "/v2/", [Answer::status(401).header(name, &value)]);
    second.on("POST", "/v2/me/app/blobs/uploads/", [Answer::error(403, "DENIED", "no")]);
    let pushing = client.remote(&app("reg.example"), &ann(), Access::Push).await.unwrap();
    let error = pushing.start_upload().await.unwrap_err();
    assert!(error.is_denied(), "what it refuses is refused: {error}");
    assert_eq!(second.received()[1].header("authorization"), Some(MIRROR));
    assert_eq!((first.lines().len(), registry.lines().len()), (0, 0));
}

#[tokio::test]
async fn nobody_to_ask_is_an_error_that_names_the_file() {
    for (access, capability, need) in
        [(Access::Push, "pull", "push"), (Access::Pull, "push", "pull")]
    {
        let file = format!("server = \"http://127.0.0.1:1\"\ncapabilities = [\"{capability}\"]");
        let certs = certs("reg.example", &file);
        let remote = client(&certs, None).remote(&app("reg.example"), &ann(), access).await;
        let error = remote.unwrap_err().to_string();
        let expected = format!(
            "no host in `{}/reg.example/hosts.toml` may {need} for registry `reg.example`: see `capabilities`",
            certs.path().display()
        );
        assert_eq!(error, expected);
    }
    // Some may be asked, but not for this.
    let [server] = servers().await;
    let certs =
        certs("reg.example", &format!("server = \"{}\"\ncapabilities = [\"pull\"]", server.url()));
    let client = client(&certs, None);
    let remote = client.remote(&app("reg.example"), &ann(), Access::Pull).await.unwrap();
    remote.manifest(&by_digest()).await.unwrap();
    let error = remote.resolve(&tag()).await.unwrap_err().to_string();
    assert!(error.contains("may resolve for registry `reg.example`"), "{error}");
}

#[tokio::test]
async fn a_mirror_that_fails_is_passed_over_to_the_next_and_to_the_server() {
    let (_, path) = paths();
    for (name, answer) in [
        ("missing", Answer::status(404)),
        ("unauthorized", Answer::status(401).header("www-authenticate", "Basic realm=\"x\"")),
        ("denied", Answer::error(403, "DENIED", "no")),
        ("broken", Answer::status(500)),
        ("lying", manifest(b"[]")),
        ("gone", Answer::hang_up()),
    ] {
        let [mirror, registry] = servers().await;
        mirror.on("GET", &path, [answer]);
        let file = format!(
            "server = \"{}\"\n[host.\"http://{}\"]\n[host.\"{}\"]",
            registry.url(),
            nobody().await,
            mirror.url()
        );
        let certs = certs("reg.example", &file);
        let client = client(&certs, Some(Keys::of(&[])));
        let remote = client.remote(&app("reg.example"), &ann(), Access::Pull).await.unwrap();
        let fetched = remote.manifest(&by_digest()).await.expect(name);
        assert_eq!(fetched.source.url, format!("{}/", registry.url()), "{name}");
        assert!(!fetched.source.mirror && without_authorization(&mirror), "{name}");
        mirror.forget();
        remote.manifest(&by_digest()).await.unwrap();
        assert_eq!(mirror.lines(), [""; 0], "{name}: not asked again");
    }
}

#[tokio::test]
async fn a_blob_with_wrong_bytes_is_had_from_the_next() {
    let [mirror, registry] = servers().await;
    let blob = descriptor(&content(100));
    let path = format!("/v2/me/app/blobs/{}", blob.digest);
    mirror.on("GET", &path, [Answer::status(200).body(vec![0; 100])]);
    registry.on("GET", &path, [Answer::status(200).body(content(100))]);
    let file = format!("server = \"{}\"\n[host.\"{}\"]", registry.url(), mirror.url());
    let certs = certs("reg.example", &file);
    let client = client(&certs, None);
    let remote = client.remote(&app("reg.example"), &ann(), Access::Pull).await.unwrap();
    let stream = remote.blob(&blob, 0..100).await.unwrap();
    let source = stream.source.clone();
    assert_ne!(drain(stream).await.0, content(100));
    assert!(remote.pass_over(&source));
    let stream = remote.blob(&blob, 0..100).await.unwrap();
    assert!(!remote.pass_over(&stream.source));
    assert_eq!(drain(stream).await.0, content(100));
}

#[tokio::test]
async fn each_host_is_shown_its_own_credentials_and_no_others() {
    let [mirror, stranger, registry] = servers().await;
    let (name, value) = challenge_basic();
    for server in [&mirror, &stranger, &registry] {
        server.on("GET", "/v2/", [Answer::status(401).header(name, &value)]);
    }
    let (_, path) = paths();
    mirror.on("GET", &path, [Answer::status(404)]);
    // The registry itself, named by its file, and two others before it.
    let file = format!(
        "server = \"{}\"\n[host.\"{}\"]\n[host.\"{}\"]",
        registry.url(),
        stranger.url(),
        mirror.url()
    );
    let certs = certs(&registry.host(), &file);
    let keys = Keys::of(&[mirror.host(), registry.host()]);
    let client = client(&certs, Some(Arc::clone(&keys)));
    let remote = client.remote(&app(&registry.host()), &ann(), Access::Pull).await.unwrap();
    for _ in 0..3 {
        remote.manifest(&by_digest()).await.unwrap();
    }
    let shown = |server: &Scripted| {
        let header = |request: &Received| request.header("authorization").map(ToOwned::to_owned);
        let mut shown: Vec<_> = server.received().iter().filter_map(header).collect();
        shown.dedup();
        shown
    };
    assert_eq!(shown(&stranger), [""; 0], "it has none");
    assert_eq!(shown(&mirror), [MIRROR]);
    assert_eq!(shown(&registry), [ANN], "what the caller gave, not what the source has");
    assert_eq!(keys.asked(), [stranger.host(), mirror.host()], "once for each that wants some");
    // The registry is told no namespace, as it is the one that is meant.
    assert!(registry.lines().iter().all(|line| !line.contains("ns=")), "{registry:?}");
}

#[tokio::test]
async fn without_a_caller_the_registry_is_shown_what_the_source_has() {
    let [mirror, registry] = servers().await;
    let (name, value) = challenge_basic();
    let (_, path) = paths();
    mirror.on("GET", &path, [Answer::status(404)]);
    registry.on("GET", "/v2/", [Answer::status(401).header(name, &value)]);
    let file = format!("server = \"{}\"\n[host.\"{}\"]", registry.url(), mirror.url());
    let certs = certs(&registry.host(), &file);
    let keys = Keys::of(&[registry.host()]);
    let client = client(&certs, Some(Arc::clone(&keys)));
    let remote = client.remote_without_caller(&app(&registry.host()), Access::Pull).await.unwrap();
    remote.manifest(&by_digest()).await.unwrap();
    assert!(without_authorization(&mirror), "{mirror:?}");
    let last = registry.received().pop().unwrap();
    assert_eq!(last.header("authorization"), Some(MIRROR));
    assert_eq!(keys.asked(), [registry.host()], "a host that wants none is not asked about");
}

#[tokio::test]
async fn a_mirrors_token_is_fetched_with_the_mirrors_credentials() {
    let [mirror, tokens] = servers().await;
    let (name, value) = challenge_bearer(&format!("{}/token", tokens.url()), "mirror");
    mirror.on("GET", "/proxy/hub/", [Answer::status(200)]);
    let path = format!("/proxy/hub/me/app/manifests/{}", Digest::sha256(b"{}"));
    let value = format!("{value},scope=\"repository:hub/me/app:pull\"");
    mirror.on("GET", &path, [Answer::status(401).header(name, &value), manifest(b"{}")]);
    tokens.on("GET", "/token", [Answer::status(200).json(r#"{"token":"t0ken"}"#)]);
    let file = format!("[host.\"{}/proxy/hub\"]\noverride_path = true", mirror.url());
    let certs = certs("reg.example", &file);
    let client = client(&certs, Some(Keys::of(&[mirror.host()])));
    let remote = client.remote(&app("reg.example"), &ann(), Access::Pull).await.unwrap();
    remote.manifest(&by_digest()).await.unwrap();
    // No page at the root of an API with a path of its own.
    let line = format!("GET {path}?ns=reg.example");
    assert_eq!(mirror.lines(), [line.clone(), line]);
    assert_eq!(mirror.received()[1].header("authorization"), Some("Bearer t0ken"));
    let asked = &tokens.received()[0];
    assert_eq!(asked.header("authorization"), Some(MIRROR));
    assert!(asked.query().contains("scope=repository%3Ahub%2Fme%2Fapp%3Apull"), "{asked}");
}

#[tokio::test]
async fn a_source_that_fails_is_none() {
    let [mirror, registry] = servers().await;
    let (name, value) = challenge_basic();
    mirror.on("GET", "/v2/", [Answer::status(401).header(name, &value)]);
    let file = format!("server = \"{}\"\n[host.\"{}\"]", registry.url(), mirror.url());
    let certs = certs("reg.example", &file);
    let certs_dirs = vec![certs.path().into()];
    let credentials = Some(Arc::new(Broken) as Arc<dyn CredentialSource>);
    let client = Client::new(RegistryConfig { certs_dirs, credentials, ..config() }).unwrap();
    let remote = client.remote(&app("reg.example"), &ann(), Access::Pull).await.unwrap();
    remote.manifest(&by_digest()).await.unwrap();
    assert!(without_authorization(&mirror));
}

#[tokio::test]
async fn headers_go_to_their_host_and_not_where_it_redirects_to() {
    let [mirror, elsewhere] = servers().await;
    let (_, path) = paths();
    let answers = [
        Answer::redirect(307, "/moved"),
        Answer::redirect(307, &format!("{}/moved", elsewhere.url())),
    ];
    mirror.on("GET", &path, answers).on("GET", "/moved", [manifest(b"{}")]);
    mirror.on("GET", "/back", [manifest(b"{}")]);
    elsewhere.on("GET", "/moved", [Answer::redirect(307, &format!("{}/back", mirror.url()))]);
    let file = format!(
        "[host.\"{0}\"]\n[host.\"{0}\".header]\nx-canary = [\"a\", \"b\"]\nAccept = \"text/plain\"",
        mirror.url()
    );
    let certs = certs("reg.example", &file);
    let client = client(&certs, None);
    let remote = client.remote(&app("reg.example"), &ann(), Access::Pull).await.unwrap();
    remote.manifest(&by_digest()).await.unwrap();
    remote.manifest(&by_digest()).await.unwrap();
    let canaries = |server: &Scripted| -> Vec<usize> {
        let count = |request: &Received| request.headers.get_all("x-canary").iter().count();
        server.received().iter().map(count).collect()
    };
    // `/v2/`, the manifest, `/moved`; the manifest again, and `/back`, which a stranger sent us to.
    assert_eq!(canaries(&mirror), [2, 2, 2, 2, 0]);
    assert_eq!(canaries(&elsewhere), [0]);
    // What the request itself says goes before.
    let accepted = mirror.received()[1].header("accept").unwrap().to_owned();
    assert!(accepted.contains("manifest.v2+json"), "{accepted}");
}

#[tokio::test]
async fn tls_is_set_up_for_each_host() {
    let identity = Identity::new(&["127.0.0.1"]).unwrap();
    let mirror = Scripted::start_tls(&identity).await.unwrap();
    let (_, path) = paths();
    mirror.on("GET", &path, [manifest(b"{}")]);
    for (settings, works) in [
        ("", false),
        ("ca = \"m.pem\"", true),
        ("skip_verify = true", true),
        ("skip_verify = false", false),
    ] {
        let file = format!("[host.\"{}\"]\n{settings}", mirror.url());
        let certs = certs("_default", &file);
        fs::write(certs.path().join("_default/m.pem"), &identity.authority).unwrap();
        let client = client(&certs, None);
        let nobody = nobody().await;
        let remote = client.remote(&app(&nobody), &ann(), Access::Pull).await.unwrap();
        let fetched = remote.manifest(&by_digest()).await;
        assert_eq!(fetched.is_ok(), works, "{settings}: {fetched:?}");
    }
    for (settings, part) in [
        ("ca = \"missing.pem\"", "missing.pem`: No such file"),
        ("ca = \"bad.pem\"", "bad.pem`: no certificate in this file"),
        ("client = \"bad.pem\"", "bad.pem`: no certificate in this file"),
        ("client = [[\"m.pem\", \"bad.pem\"]]", "bad.pem`: "),
    ] {
        let certs = certs("reg.example", &format!("[host.\"{}\"]\n{settings}", mirror.url()));
        let directory = certs.path().join("reg.example");
        fs::write(directory.join("m.pem"), &identity.authority).unwrap();
        fs::write(directory.join("bad.pem"), "no certificate").unwrap();
        let remote = client(&certs, None).remote(&app("reg.example"), &ann(), Access::Pull).await;
        let error = remote.unwrap_err().to_string();
        assert!(error.contains(part), "{settings}: {error}");
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_to_the_host_that_it_is_for() {
    let identity = Identity::new(&["127.0.0.1"]).unwrap().ask_client();
    let mirror = Scripted::start_tls(&identity).await.unwrap();
    let (_, path) = paths();
    mirror.on("GET", &path, [manifest(b"{}")]);
    let both = format!("{}{}", identity.client_certificate, identity.client_key);
    for (settings, works) in [
        ("ca = \"m.pem\"", false),
        ("ca = \"m.pem\"\nclient = \"both.pem\"", true),
        ("ca = \"m.pem\"\nclient = [\"both.pem\"]", true),
        ("ca = \"m.pem\"\nclient = [[\"one.pem\", \"key.pem\"]]", true),
        ("skip_verify = true\nclient = [[\"both.pem\", \"\"]]", true),
    ] {
        let certs = certs("reg.example", &format!("server = \"{}\"\n{settings}", mirror.url()));
        let directory = certs.path().join("reg.example");
        for (name, content) in [
            ("m.pem", &identity.authority),
            ("both.pem", &both),
            ("one.pem", &identity.client_certificate),
            ("key.pem", &identity.client_key),
        ] {
            fs::write(directory.join(name), content).unwrap();
        }
        let client = client(&certs, None);
        let remote = client.remote(&app("reg.example"), &ann(), Access::Pull).await.unwrap();
        let fetched = remote.manifest(&by_digest()).await;
        assert_eq!(fetched.is_ok(), works, "{settings}: {fetched:?}");
    }
}

#[tokio::test]
async fn plain_http_with_settings_for_tls_is_tried_with_tls_first() {
    let [mirror] = servers().await;
    let file = format!("server = \"{}\"\nskip_verify = true", mirror.url());
    let certs = certs("reg.example", &file);
    let client = client(&certs, None);
    let remote = client.remote(&app("reg.example"), &ann(), Access::Pull).await.unwrap();
    assert!(remote.describe().contains("https://"), "{remote:?}");
    let fetched = remote.manifest(&by_digest()).await.unwrap();
    assert_eq!(fetched.source.url, format!("{}/", mirror.url()));
}

#[tokio::test]
async fn a_file_is_read_when_a_registry_is_used_and_settles_what_others_say() {
    let [first, second, registry] = servers().await;
    let certs = certs("docker.io", &format!("[host.\"{}\"]", first.url()));
    let path: PathBuf = certs.path().join("docker.io/hosts.toml");
    let alpine = Repository::parse_familiar("me/app").unwrap();
    let client = Client::new(RegistryConfig {
        certs_dirs: vec![certs.path().into()],
        mirrors: vec![second.url()],
        hub_endpoint: Some(registry.url()),
        ..config()
    })
    .unwrap();
    let fetch = || async {
        let remote = client.remote(&alpine, &ann(), Access::Pull).await.unwrap();
        remote.manifest(&by_digest()).await.unwrap().source.url
    };
    // With hosts, the file is the whole truth; without, `registry-mirrors` holds.
    assert_eq!(fetch().await, format!("{}/", first.url()));
    fs::write(&path, format!("server = \"{}\"", first.url())).unwrap();
    assert_eq!(fetch().await, format!("{}/", second.url()));
    fs::write(&path, "server = \"https://registry-1.docker.io\"\n[host.\"http://127.0.0.1:1\"]")
        .unwrap();
    assert_eq!(fetch().await, format!("{}/", registry.url()));
    fs::write(&path, "[host").unwrap();
    let error = client.remote(&alpine, &ann(), Access::Pull).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("`{}`:1: invalid TOML", path.display())), "{error}");
    fs::remove_file(&path).unwrap();
    assert_eq!(fetch().await, format!("{}/", second.url()));
}
