//! The server through a real connection.

// The lint's exception for tests does not see the helpers beside them.
#![allow(clippy::unwrap_used)]

mod blobs;
mod lifecycle;
mod lists;
mod load;
mod manifests;
mod page;
mod specification;
mod tools;
mod uploads;

use spec::Digest;
use test_support::http::{Client, Response};
use test_support::servers::LocalRegistry;

const REPOSITORY: &str = "me/app";

/// Uploads a blob in one request.
fn put_blob(client: &Client, repository: &str, bytes: &[u8]) -> Digest {
    let digest = Digest::sha256(bytes);
    let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
    let response = client.send("POST", &path, &[], bytes).unwrap();
    assert_eq!(response.status, 201, "{}", response.text());
    digest
}

/// Begins an upload and returns its location.
fn begin_upload(client: &Client) -> String {
    let path = format!("/v2/{REPOSITORY}/blobs/uploads/");
    let response = client.send("POST", &path, &[], b"").unwrap();
    assert_eq!(response.status, 202, "{}", response.text());
    response.location().unwrap().to_owned()
}

fn code(response: &Response) -> String {
    response.json()["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
}

/// Every file of the registry's folder but its lock, relative to it, sorted.
fn files(registry: &LocalRegistry) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![registry.root().to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path.strip_prefix(registry.root()).unwrap().display().to_string());
            }
        }
    }
    found.retain(|path| path != "lock");
    found.sort();
    found
}
