//! Ends: of an operation with its client, of a daemon with its shutdown.

use std::path::Path;
use std::time::Duration;

use daemon::{
    ConfigFile, DaemonConfig, Directives, Group, ListenAddress, Listener, Proxies, Reload,
};
use http_body_util::BodyExt as _;
use test_support::image::{Compression, Image, Layer};
use test_support::scripted::{Answer, Scripted};
use test_support::tar::Entry;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::oneshot;

use crate::fixture::{Client, House, ask, handshake, whole};

/// A server that takes a request and never answers.
struct Mute(TcpListener);

impl Mute {
    async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    /// Waits for a request.
    async fn asked(&self) -> TcpStream {
        let (mut stream, _) = self.0.accept().await.unwrap();
        assert_ne!(stream.read(&mut [0; 4096]).await.unwrap(), 0);
        stream
    }
}

/// Waits until the peer gives up.
async fn given_up(mut stream: TcpStream) {
    let mut rest = Vec::new();
    // A reset says as much as an end.
    let _ = stream.read_to_end(&mut rest).await;
}

/// A registry whose one layer is at `blobs`, and the path that pulls its image.
async fn registry_with_a_layer_at(blobs: &Mute) -> (Scripted, String) {
    let registry = Scripted::start().await.unwrap();
    let layer = Layer::new(Compression::Gzip, &[Entry::file("hello", "world")]);
    let image = Image::builder().layer(layer).build();
    let media_type = image.manifest.media_type.as_str();
    let digest = image.manifest.digest.to_string();
    let manifest = Answer::status(200)
        .header("content-type", media_type)
        .header("docker-content-digest", &digest)
        .body(image.manifest.read().unwrap());
    let config = Answer::status(200).body(image.config.read().unwrap());
    let moved = Answer::redirect(307, &format!("http://{}/layer", blobs.address()));
    for method in ["HEAD", "GET"] {
        registry.on(method, "/v2/me/app/manifests/*", [manifest.clone()]);
    }
    registry.on("GET", &format!("/v2/me/app/blobs/{}", image.layers[0].blob.digest), [moved]);
    registry.on("GET", &format!("/v2/me/app/blobs/{}", image.config.digest), [config]);
    let path = format!("/images/create?fromImage={}/me/app&tag=1", registry.host());
    (registry, path)
}

async fn bind(path: &Path) -> Listener {
    let group = Group { name: "nosuchgroup".into(), required: false };
    Listener::bind(&ListenAddress::Unix(path.to_owned()), &group).await.unwrap()
}

async fn client(path: &Path) -> Client {
    handshake(UnixStream::connect(path).await.unwrap()).await
}

#[tokio::test]
async fn a_client_that_goes_away_before_the_first_line_ends_the_pull() {
    let house = House::open().await;
    let registry = Mute::start().await;
    let path = format!("/images/create?fromImage={}/me/app&tag=1", registry.address());
    let mut client = handshake(house.connect()).await;
    let waiting = tokio::spawn(async move { ask(&mut client, "POST", &path, &[], "").await });
    let stream = registry.asked().await;
    // Neither side has anything to write: the daemon notices that the connection ended.
    waiting.abort();
    given_up(stream).await;
}

#[tokio::test]
async fn a_client_that_goes_away_in_the_middle_ends_the_pull() {
    let house = House::open().await;
    let blobs = Mute::start().await;
    let (_registry, path) = registry_with_a_layer_at(&blobs).await;
    let mut client = handshake(house.connect()).await;
    let mut answer = ask(&mut client, "POST", &path, &[], "").await;
    let first = answer.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert!(first.starts_with(b"{\"status\":\"Pulling from me/app\""), "{first:?}");
    let stream = blobs.asked().await;
    drop((answer, client));
    given_up(stream).await;
    assert_eq!(house.get("/images/json?all=1").await.text, "[]\n");
}

#[tokio::test]
async fn a_daemon_on_a_socket_answers_and_leaves_nothing_behind() {
    let house = House::open().await;
    let path = house.folder.path().join("l.sock");
    let listener = bind(&path).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let daemon = house.daemon.clone();
    let serving = tokio::spawn(async move {
        daemon.serve(vec![listener], async { stopped.await.unwrap() }).await;
    });
    let (mut idle, mut watching) = (client(&path).await, client(&path).await);
    let reply = whole(ask(&mut idle, "GET", "/v1.50/images/json", &[], "").await).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, "[]\n"));
    let watch = ask(&mut watching, "GET", "/events", &[], "").await;

    stop.send(()).unwrap();
    // Idle connections and streams without an end do not hold the daemon up.
    assert_eq!(whole(watch).await.text, "");
    serving.await.unwrap();
    assert!(!path.exists());
    assert!(idle.ready().await.is_err());
    assert!(UnixStream::connect(&path).await.is_err());
}

#[tokio::test]
async fn a_stopping_daemon_cuts_off_what_does_not_end() {
    let house = House::open().await;
    let blobs = Mute::start().await;
    let (_registry, request) = registry_with_a_layer_at(&blobs).await;
    let path = house.folder.path().join("l.sock");
    let listener = bind(&path).await;
    let (stop, stopped) = oneshot::channel::<()>();
    let daemon = house.daemon.clone();
    let serving = tokio::spawn(async move {
        daemon.serve(vec![listener], async { stopped.await.unwrap() }).await;
    });
    let mut client = client(&path).await;
    let answer = ask(&mut client, "POST", &request, &[], "").await;
    let stream = blobs.asked().await;
    tokio::time::pause();
    stop.send(()).unwrap();
    // By hand: the clock of a runtime with a thread at work, as the applier's here, does not advance by itself.
    for _ in 0..60 {
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    serving.await.unwrap();
    given_up(stream).await;
    assert!(answer.into_body().collect().await.is_err(), "the answer was cut off");
}

#[tokio::test]
async fn a_reload_changes_what_may_change() {
    let house = House::open().await;
    let mut config = crate::fixture::config(&house.folder);
    config.registry_mirrors = vec!["http://mirror.example".into()];
    config.insecure_registries = vec!["10.0.0.0/8".into()];
    config.max_concurrent_downloads = 7;
    config.proxies = Proxies { http: Some("http://proxy".into()), ..Proxies::default() };
    config.labels = vec!["a=1".into()];
    config.debug = true;
    let driver = config.storage_driver.take();
    let mut watching = handshake(house.connect()).await;
    let mut watch =
        ask(&mut watching, "GET", "/events?filters=%7B%22type%22%3A%5B%22daemon%22%5D%7D", &[], "")
            .await;
    house.daemon.reload(&config).unwrap();
    let event = watch.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    let event: serde_json::Value = serde_json::from_slice(&event).unwrap();
    assert_eq!((&event["Type"], &event["Action"]), (&"daemon".into(), &"reload".into()), "{event}");
    let told = &event["Actor"]["Attributes"];
    assert_eq!(told["registry-mirrors"], r#"["http://mirror.example"]"#, "{told}");
    assert_eq!((&told["debug"], &told["features"]), (&"true".into(), &"map[]".into()), "{told}");
    let info = house.get("/info").await.json();
    assert_eq!(info["RegistryConfig"]["Mirrors"][0], "http://mirror.example");
    assert_eq!(info["RegistryConfig"]["InsecureRegistryCIDRs"][2], "10.0.0.0/8");
    assert_eq!(event["Actor"]["ID"], info["ID"]);
    assert_eq!((&info["HttpProxy"], &info["Debug"]), (&"http://proxy".into(), &true.into()));
    assert_eq!(info["Labels"], serde_json::json!(["a=1"]));
    assert!(driver.is_some() && info["Driver"] == "packed", "the store is that of the start");
}

#[tokio::test]
async fn a_reload_takes_each_directive_that_dockerd_reloads() {
    let house = House::open().await;
    let path = house.folder.path().join("daemon.json");
    let file = ConfigFile { path: path.clone(), required: true };
    let (_, mut events) = house.engine.events().subscribe();
    let mut reload = |text: &str| {
        std::fs::write(&path, text).unwrap();
        let defaults = crate::fixture::defaults(&house.folder);
        let config = DaemonConfig::load(&file, &Directives::default(), defaults).unwrap();
        house.daemon.reload(&config).unwrap();
        events.try_recv().unwrap().attributes
    };
    let before = reload("{}");
    for directive in Directives::TABLE {
        let (key, example) = (directive.key(), directive.example);
        let told = reload(&format!("{{{key:?}: {example}}}"));
        let is_changed = |name: &&String| told.get(*name) != before.get(*name);
        let changed: Vec<_> = told.keys().filter(is_changed).collect();
        let is_told = directive.reload == Reload::Told;
        assert_eq!(changed, if is_told { vec![&key] } else { Vec::new() }, "{key}");
    }
}
