//! Settings, answers and helpers of these tests.

use std::time::Duration;

use futures_util::StreamExt;
use registry::{Access, BlobStream, Client, Credentials, RegistryConfig, RegistryError, Remote};
use spec::{Descriptor, Digest, MediaType, Repository};
use test_support::scripted::{Answer, Scripted};

/// The type of the manifests here.
pub(crate) const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// Settings that make nobody wait: pauses of a millisecond. What is not to fail has all the time it may need.
pub(crate) fn config() -> RegistryConfig {
    RegistryConfig {
        stall_timeout: Duration::from_secs(20),
        response_timeout: Duration::from_secs(20),
        retry_delay: Duration::from_millis(1),
        user_agent: "longshore-test/1".to_owned(),
        ..RegistryConfig::default()
    }
}

/// Settings for what is to stall: it does so after a tenth of a second.
pub(crate) fn impatient() -> RegistryConfig {
    RegistryConfig { stall_timeout: Duration::from_millis(100), ..config() }
}

pub(crate) fn client() -> Client {
    Client::new(config()).unwrap()
}

pub(crate) fn ann() -> Credentials {
    Credentials::Basic { username: "ann".to_owned(), password: "s3cret".to_owned() }
}

/// The header of `ann` for a registry that wants a password.
pub(crate) const ANN: &str = "Basic YW5uOnMzY3JldA==";

pub(crate) fn repository(server: &Scripted) -> Repository {
    Repository::parse_familiar(&format!("{}/me/app", server.host())).unwrap()
}

pub(crate) async fn remote_of(client: &Client, server: &Scripted, who: &Credentials) -> Remote {
    client.remote(&repository(server), who, Access::Pull).await.unwrap()
}

pub(crate) async fn remote(server: &Scripted) -> Remote {
    remote_of(&client(), server, &Credentials::Anonymous).await
}

pub(crate) async fn pushing(server: &Scripted) -> Remote {
    client().remote(&repository(server), &ann(), Access::Push).await.unwrap()
}

/// An answer with a manifest, as registries give it.
pub(crate) fn manifest(bytes: &'static [u8]) -> Answer {
    Answer::status(200)
        .header("content-type", MANIFEST)
        .header("docker-content-digest", Digest::sha256(bytes).to_string())
        .body(bytes)
}

pub(crate) fn descriptor(bytes: &[u8]) -> Descriptor {
    Descriptor {
        media_type: MediaType::from("application/vnd.docker.image.rootfs.diff.tar.gzip"),
        digest: Digest::sha256(bytes),
        size: bytes.len() as u64,
        platform: None,
        urls: Vec::new(),
        annotations: std::collections::BTreeMap::new(),
    }
}

/// Returns a blob's path.
pub(crate) fn blob_path(blob: &Descriptor) -> String {
    format!("/v2/me/app/blobs/{}", blob.digest)
}

/// Content that is different everywhere.
pub(crate) fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at * 31 + at / 251) as u8).collect()
}

/// Reads a stream to its end, or to its error.
pub(crate) async fn drain(mut stream: BlobStream) -> (Vec<u8>, Option<RegistryError>) {
    let mut bytes = Vec::new();
    while let Some(item) = stream.next().await {
        match item {
            Ok(chunk) => bytes.extend_from_slice(&chunk),
            Err(error) => return (bytes, Some(error)),
        }
    }
    (bytes, None)
}

/// Returns an address of this machine where nobody listens.
pub(crate) async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}
