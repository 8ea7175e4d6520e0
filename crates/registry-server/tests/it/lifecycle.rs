//! Opening, sweeping, keep-alive and shutdown.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, SystemTime};

use registry_server::{Options, RegistryServer, ServerError};
use test_support::http::receive;
use test_support::image::Image;

use super::*;

#[test]
fn a_folder_has_one_server() {
    let registry = LocalRegistry::start().unwrap();
    let second = RegistryServer::open(Options::new(registry.root()));
    assert!(matches!(second, Err(ServerError::InUse { .. })));
}

#[test]
fn everything_is_there_after_a_restart_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    // As a user's is, with everything synced.
    let address = (std::net::Ipv4Addr::LOCALHOST, 0).into();
    let options = Options::new(folder.path());
    let registry = LocalRegistry::start_with(options, address).unwrap();
    let client = registry.client();
    let image = Image::builder().build();
    image.push(&client, REPOSITORY, "kept").unwrap();
    image.push(&client, "other", "kept").unwrap();
    let deleted = put_blob(&client, REPOSITORY, b"deleted");
    let path = format!("/v2/{REPOSITORY}/blobs/{deleted}");
    client.send("DELETE", &path, &[], b"").unwrap().expect(202).unwrap();
    let before = files(&registry);
    let (young, old) = (begin_upload(&client), begin_upload(&client));
    let file = |location: &str| {
        let id = location.rsplit('/').next().unwrap();
        folder.path().join("repositories").join(REPOSITORY).join("_uploads").join(id)
    };
    drop(registry);
    let month = Duration::from_hours(30 * 24);
    let old_file = std::fs::File::options().write(true).open(file(&old)).unwrap();
    old_file.set_modified(SystemTime::now() - month).unwrap();
    std::fs::write(folder.path().join("tmp/half-written"), "x").unwrap();

    let registry = LocalRegistry::start_in(folder.path()).unwrap();
    let client = registry.client();
    assert_eq!(client.get(&young).unwrap().status, 204);
    assert_eq!(client.get(&old).unwrap().status, 404);
    client.send("DELETE", &young, &[], b"").unwrap().expect(204).unwrap();
    let swept = format!("blobs/sha256/{}", deleted.hex());
    assert!(before.contains(&swept));
    let expected: Vec<String> = before.into_iter().filter(|path| *path != swept).collect();
    assert_eq!(files(&registry), expected);
    for repository in [REPOSITORY, "other"] {
        let path = format!("/v2/{repository}/manifests/kept");
        assert_eq!(client.get(&path).unwrap().body, image.manifest.read().unwrap());
    }
}

#[test]
fn a_connection_is_used_again() {
    let registry = LocalRegistry::start().unwrap();
    let mut stream = TcpStream::connect(registry.address()).unwrap();
    for _ in 0..3 {
        stream.write_all(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"{}") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            seen.push(byte[0]);
        }
        assert!(seen.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&seen));
    }
}

#[test]
fn a_shutdown_lets_a_request_end() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let location = begin_upload(&client);
    let address = registry.address();
    let headers = [("Expect", "100-continue")];
    let mut stream = client.begin("PATCH", &location, &headers, Some(4)).unwrap();
    // The server asks for the body: from here on the request is in progress.
    let mut asked = [0; 25];
    stream.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"HTTP/1.1 100 Continue\r\n\r\n");
    let stopping = std::thread::spawn(move || drop(registry));
    while TcpStream::connect(address).is_ok() {
        std::thread::yield_now();
    }
    stream.write_all(b"abcd").unwrap();
    let response = receive(stream, "PATCH").unwrap();
    assert_eq!((response.status, response.header("range")), (202, Some("0-3")));
    stopping.join().unwrap();
}
