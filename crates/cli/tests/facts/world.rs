//! The world around a daemon: Docker Hub, a registry without a password, one with, and nothing at a third address.
//!
//! Docker Hub is reached by its own names: the daemons go through a proxy that leads to it whatever host they ask for,
//! and trust its certificate. Each daemon has a world of its own, so that none sees what another pushed.

use std::io;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use tempfile::TempDir;
use test_support::http::Client;
use test_support::scripted::{Answer, Identity, Received, Scripted, challenge_basic};
use test_support::servers::{Dockerd, LocalRegistry, Process};
use tokio::net::TcpSocket;
use tokio::runtime::Runtime;

use crate::images::Images;

/// The user of the registry with a password, in the recordings.
const BASIC: &str = "Basic dGVzdGVyOnMzY3JldA==";

/// The registries around one daemon.
#[derive(Debug)]
pub(crate) struct World {
    /// Addresses in the recordings, and what they are here.
    pub(crate) addresses: [(&'static str, String); 3],
    folder: TempDir,
    proxy: SocketAddr,
    _fronts: [Scripted; 3],
    _registries: [LocalRegistry; 3],
    _closed: Closed,
    _runtime: Runtime,
}

impl World {
    pub(crate) fn new(images: &Images) -> io::Result<Self> {
        let runtime = Runtime::new()?;
        let folder = tempfile::tempdir()?;
        let registry = |name: &str| LocalRegistry::start_in(&folder.path().join(name));
        let registries = [registry("hub")?, registry("plain")?, registry("private")?];
        images.push_to_hub(&registries[0].client())?;
        images.push_to_plain(&registries[1].client())?;

        let identity =
            Identity::new(&["registry-1.docker.io", "auth.docker.io", "index.docker.io"])?;
        std::fs::write(folder.path().join("ca.pem"), &identity.authority)?;
        let hub = runtime.block_on(Scripted::start_tls(&identity))?;
        let (plain, private, closed) = ordered_fronts(&runtime)?;
        serve_hub(&hub, &registries[0].client());
        forward(&plain, &registries[1].client(), |_| None);
        forward(&private, &registries[2].client(), |request| {
            let (name, value) = challenge_basic();
            let refused =
                Answer::error(401, "UNAUTHORIZED", "authentication required").header(name, value);
            (request.header("authorization") != Some(BASIC)).then_some(refused)
        });
        let addresses = [
            ("127.0.0.1:5600", plain.host()),
            ("127.0.0.1:5601", private.host()),
            ("127.0.0.1:5999", closed.host.clone()),
        ];
        let proxy = start_proxy(hub.address())?;
        Ok(Self {
            addresses,
            proxy,
            folder,
            _fronts: [hub, plain, private],
            _registries: registries,
            _closed: closed,
            _runtime: runtime,
        })
    }

    /// Replaces the recordings' addresses in a request.
    pub(crate) fn address(&self, text: &str) -> String {
        self.addresses.iter().fold(text.to_owned(), |text, (recorded, here)| {
            text.replace(recorded, here)
                .replace(&recorded.replace(':', "%3A"), &here.replace(':', "%3A"))
        })
    }

    /// Replaces the addresses here in an answer.
    pub(crate) fn recorded(&self, text: &str) -> String {
        self.addresses
            .iter()
            .fold(text.to_owned(), |text, (recorded, here)| text.replace(here, recorded))
    }

    fn environment(&self, command: &mut Command) {
        let authority = self.folder.path().join("ca.pem");
        command
            .env("HTTPS_PROXY", format!("http://{}", self.proxy))
            .env("NO_PROXY", "BAD")
            .env("SSL_CERT_FILE", authority);
    }
}

/// A daemon in its world.
#[derive(Debug)]
pub(crate) struct House {
    // Dropped in this order: the daemon stops before its registries and its folder go.
    _daemon: Daemon,
    pub(crate) world: World,
    pub(crate) socket: PathBuf,
    pub(crate) root: PathBuf,
    _folder: TempDir,
}

#[derive(Debug)]
#[expect(dead_code, reason = "kept so that they run")]
enum Daemon {
    Longshore(Process),
    Docker(Dockerd),
}

impl House {
    pub(crate) fn longshore(images: &Images) -> io::Result<Self> {
        let world = World::new(images)?;
        let folder = tempfile::tempdir()?;
        let socket = folder.path().join("longshore.sock");
        let root = folder.path().join("root");
        let mut command = Command::new(env!("CARGO_BIN_EXE_longshore"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", folder.path());
        world.environment(&mut command);
        command.arg("--data-root").arg(&root).arg("daemon");
        command.arg("-H").arg(format!("unix://{}", socket.display()));
        let ready = || std::os::unix::net::UnixStream::connect(&socket).is_ok();
        let process = Process::start(command, &folder.path().join("log"), ready)?;
        Ok(Self { _daemon: Daemon::Longshore(process), world, socket, root, _folder: folder })
    }

    pub(crate) fn docker(images: &Images) -> io::Result<Self> {
        let world = World::new(images)?;
        let folder = tempfile::tempdir()?;
        let builder = Dockerd::builder().environment({
            let mut command = Command::new("dockerd");
            world.environment(&mut command);
            let variables = command.get_envs();
            variables
                .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
                .collect()
        });
        let dockerd = builder.start()?;
        let (socket, root) = (dockerd.socket().to_owned(), dockerd.data_root().to_owned());
        Ok(Self { _daemon: Daemon::Docker(dockerd), world, socket, root, _folder: folder })
    }
}

/// Two registries and the port of a third that is gone, in the order in which lists of names sort them, as in the recordings.
fn ordered_fronts(runtime: &Runtime) -> io::Result<(Scripted, Scripted, Closed)> {
    loop {
        let plain = runtime.block_on(Scripted::start())?;
        let private = runtime.block_on(Scripted::start())?;
        let closed = Closed::bind()?;
        // The system chooses ports at random: one try in six fits.
        if plain.host() < private.host() && private.host() < closed.host {
            return Ok((plain, private, closed));
        }
    }
}

/// A port that refuses connections and is nobody else's meanwhile: bound, and not listened on.
#[derive(Debug)]
struct Closed {
    host: String,
    _socket: TcpSocket,
}

impl Closed {
    fn bind() -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::LOCALHOST, 0).into())?;
        Ok(Self { host: socket.local_addr()?.to_string(), _socket: socket })
    }
}

/// Docker Hub: tokens for everybody, the images, a search index.
fn serve_hub(hub: &Scripted, registry: &Client) {
    forward(hub, registry, |request| {
        let path = request.path();
        if path == "/v2/hello-world/tags/list" || path == "/v2/library/hello-world/tags/list" {
            // The order is the registry's to choose, and that of the pull.
            return Some(Answer::status(200).json(
                r#"{"name":"library/hello-world","tags":["latest","frozen","linux","arm64","amd64"]}"#,
            ));
        }
        let realm = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io""#;
        if request.header("authorization").is_none() {
            let refused = Answer::error(401, "UNAUTHORIZED", "authentication required");
            return Some(refused.header("www-authenticate", realm));
        }
        // What Docker Hub says of what nobody may see and of what is not there.
        path.starts_with("/v2/library/nosuchimageatall/").then(|| {
            Answer::error(401, "DENIED", "requested access to the resource is denied")
                .header("www-authenticate", format!(r#"{realm},error="insufficient_scope""#))
        })
    });
    hub.on("GET", "/token", [Answer::status(200).json(r#"{"token":"t","access_token":"t"}"#)]);
    hub.on("POST", "/token", [Answer::status(200).json(r#"{"access_token":"t","token":"t"}"#)]);
    hub.reply("GET", "/v1/search", |request| Answer::status(200).json(search(request)));
}

/// The answer of the index: an official image, one of a user, and many more.
fn search(request: &Received) -> String {
    let number = |key: &str| {
        let value = request.query().split('&').find_map(|pair| pair.strip_prefix(key));
        value.and_then(|value| value.parse::<usize>().ok())
    };
    let mut results = vec![
        ("busybox".to_owned(), 3412, true, "Busybox base image.".to_owned()),
        ("someone/busybox-extra".to_owned(), 12, false, "busybox with extras".to_owned()),
    ];
    for number in 1..=23 {
        let description = format!("synthetic result {number} for busybox");
        results.push((format!("user{number}/busybox-{number}"), 100 - number, false, description));
    }
    results.truncate(number("n=").unwrap_or(25));
    let results: Vec<_> = results
        .into_iter()
        .map(|(name, stars, official, description)| {
            serde_json::json!({
                "name": name, "star_count": stars, "is_official": official, "is_automated": false,
                "description": description,
            })
        })
        .collect();
    serde_json::json!({
        "query": "busybox", "num_results": results.len(), "results": results, "page": 1,
        "num_pages": 1, "page_size": 25,
    })
    .to_string()
}

/// Answers with what `refuse` says, or else as `registry` does.
fn forward(
    front: &Scripted,
    registry: &Client,
    refuse: impl Fn(&Received) -> Option<Answer> + Send + Clone + 'static,
) {
    for method in ["GET", "HEAD", "POST", "PATCH", "PUT"] {
        let (registry, refuse) = (registry.clone(), refuse.clone());
        front.reply(method, "/v2/*", move |request| {
            if let Some(refused) = refuse(request) {
                return refused;
            }
            let headers: Vec<(&str, &str)> = ["accept", "content-type", "content-range", "range"]
                .into_iter()
                .filter_map(|name| Some((name, request.header(name)?)))
                .collect();
            let answer = registry.send(method, &request.target, &headers, &request.body);
            let Ok(response) = answer else { return Answer::status(502) };
            if response.status == 404 && request.path().contains("/manifests/") {
                // Docker's registry names the manifest, whether or not it has the repository.
                return Answer::error(404, "MANIFEST_UNKNOWN", "manifest unknown");
            }
            let mut answer = Answer::status(response.status);
            for (name, value) in &response.headers {
                let value = if name == "location" { response.location().unwrap() } else { value };
                if !matches!(name.as_str(), "connection" | "date" | "transfer-encoding")
                    && (name != "content-length" || method == "HEAD")
                {
                    answer = answer.header(name, value);
                }
            }
            answer.body(response.body)
        });
    }
}

/// A proxy that leads every CONNECT to `hub`. It ends with the test.
fn start_proxy(hub: SocketAddr) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            thread::spawn(move || tunnel(client, hub));
        }
    });
    Ok(address)
}

fn tunnel(mut client: TcpStream, hub: SocketAddr) -> io::Result<()> {
    use io::{Read as _, Write as _};
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let mut server = TcpStream::connect(hub)?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    io::copy(&mut server, &mut client)?;
    client.shutdown(Shutdown::Write)
}
