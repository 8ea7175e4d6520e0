//! A daemon over an empty data root, and clients of it.

use std::path::PathBuf;

use bytes::Bytes;
use daemon::{Daemon, DaemonConfig, DaemonInfo, Defaults, Proxies, open_engine};
use engine::Engine;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

/// The version that the daemon says it is.
pub(crate) const VERSION: &str = "1.2.3";

/// A daemon with the `packed` driver, which needs no root. Its data root goes with it.
pub(crate) struct House {
    pub(crate) daemon: Daemon,
    pub(crate) engine: Engine,
    pub(crate) folder: TempDir,
}

/// Response to a request.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The message of an error.
    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_else(|| panic!("{}", self.text)).to_owned()
    }

    /// The lines of a progress stream.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let ends = self.text.matches("\r\n").count();
        let lines: Vec<Value> = self
            .text
            .split_terminator("\r\n")
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), ends, "every line ends with CRLF: {}", self.text);
        lines
    }
}

/// Defaults of a daemon in `folder`.
pub(crate) fn defaults(folder: &TempDir) -> Defaults {
    Defaults {
        data_root: folder.path().join("data"),
        hosts: Vec::new(),
        certs_dirs: Vec::<PathBuf>::new(),
        tls_dir: PathBuf::new(),
        tls_verify: false,
        allow_schema1: false,
        proxies: Proxies::default(),
    }
}

/// Configuration of a daemon in `folder`.
pub(crate) fn config(folder: &TempDir) -> DaemonConfig {
    DaemonConfig {
        storage_driver: Some("packed".parse().unwrap()),
        ..DaemonConfig::new(defaults(folder))
    }
}

pub(crate) fn info(config: DaemonConfig) -> DaemonInfo {
    DaemonInfo {
        version: VERSION.into(),
        git_commit: "abcdef".into(),
        build_time: "2026-11-21".into(),
        config,
        credentials: None,
    }
}

impl House {
    pub(crate) async fn open() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut DaemonConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = config(&folder);
        change(&mut config);
        let engine = open_engine(&config, VERSION, None).await.unwrap();
        Self { daemon: Daemon::new(engine.clone(), info(config)), engine, folder }
    }

    /// The other end of a connection.
    pub(crate) fn connect(&self) -> DuplexStream {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let daemon = self.daemon.clone();
        tokio::spawn(async move { daemon.serve_connection(theirs).await });
        ours
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str) -> Reply {
        self.send("POST", path, &[], "").await
    }

    /// One request on a connection of its own, answered whole.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Reply {
        let mut client = handshake(self.connect()).await;
        whole(ask(&mut client, method, path, headers, body).await).await
    }

    /// Bytes as they are, and the head of the answer.
    pub(crate) async fn raw(&self, request: &[u8]) -> String {
        let mut connection = self.connect();
        // The daemon may close before it has read everything.
        let _ = connection.write_all(request).await;
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") && connection.read(&mut byte).await.unwrap() > 0 {
            answer.extend(byte);
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

pub(crate) type Client = SendRequest<Full<Bytes>>;

pub(crate) async fn handshake<I>(io: I) -> Client
where
    I: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (client, connection) = http1::handshake(TokioIo::new(io)).await.unwrap();
    tokio::spawn(connection);
    client
}

pub(crate) async fn ask(
    client: &mut Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> http::Response<Incoming> {
    let mut request = Request::builder().method(method).uri(path).header("host", "longshore");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::copy_from_slice(body.as_bytes()));
    client.send_request(request.body(body).unwrap()).await.unwrap()
}

pub(crate) async fn whole(response: http::Response<Incoming>) -> Reply {
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Reply { status: head.status.as_u16(), headers: head.headers, text }
}
