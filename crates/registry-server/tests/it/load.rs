//! More clients than there are places for large pieces, and clients that send or read nothing.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use registry_server::{Durability, Options};
use test_support::http::receive;

use super::*;

/// A registry that moves large pieces for so many clients at once.
fn registry(options: impl FnOnce(Options) -> Options) -> (tempfile::TempDir, LocalRegistry) {
    let folder = tempfile::tempdir().unwrap();
    let base = Options::new(folder.path()).durability(Durability::Cached);
    let started = LocalRegistry::start_with(options(base), (Ipv4Addr::LOCALHOST, 0).into());
    (folder, started.unwrap())
}

/// Bytes of which no two pieces are the same.
fn content(size: usize) -> Vec<u8> {
    (0_u32..).flat_map(u32::to_le_bytes).take(size).collect()
}

#[test]
fn slow_clients_keep_nobody_out() {
    let (_folder, registry) = registry(|options| options.large(2));
    let client = registry.client();
    let large = content(300_000);
    let digest = put_blob(&client, REPOSITORY, &large);
    let place = format!("/v2/{REPOSITORY}/blobs/{digest}");
    // Uploads of which half comes, manifests of which nothing does, and downloads that nobody reads.
    let mut slow: Vec<(TcpStream, String)> = Vec::new();
    for number in 0..12 {
        let mut stream = TcpStream::connect(registry.address()).unwrap();
        let location = begin_upload(&client);
        let head = match number % 3 {
            0 => format!("PATCH {location} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello"),
            1 => format!(
                "PUT /v2/{REPOSITORY}/manifests/x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
            ),
            _ => format!("GET {place} HTTP/1.1\r\nHost: x\r\n\r\n"),
        };
        stream.write_all(head.as_bytes()).unwrap();
        if number % 3 == 2 {
            // Its answer has begun: the request has all that it needs.
            stream.read_exact(&mut [0; 12]).unwrap();
        }
        slow.push((stream, location));
    }
    assert_eq!(client.get("/v2/").unwrap().status, 200);
    // In small pieces, and whole all the same.
    assert_eq!(client.get(&place).unwrap().body, large);
    let other = content(200_001);
    let digest = put_blob(&client, REPOSITORY, &other);
    assert_eq!(client.get(&format!("/v2/{REPOSITORY}/blobs/{digest}")).unwrap().body, other);
    // Who gets on in the end has lost nothing.
    for (stream, location) in slow.iter_mut().step_by(3) {
        stream.write_all(b"world").unwrap();
        let done = receive(stream, "PATCH").unwrap();
        assert_eq!((done.status, done.header("range")), (202, Some("0-9")));
        let digest = Digest::sha256(b"helloworld");
        let put = client.send("PUT", &format!("{location}?digest={digest}"), &[], b"").unwrap();
        assert_eq!(put.status, 201, "{}", put.text());
    }
}

#[test]
fn a_body_that_stands_still_is_given_up() {
    let (_folder, registry) = registry(|options| options.stall(Duration::from_millis(50)));
    let client = registry.client();
    let location = begin_upload(&client);
    for head in
        [format!("PATCH {location} HTTP/1.1"), format!("PUT /v2/{REPOSITORY}/manifests/x HTTP/1.1")]
    {
        let mut stream = TcpStream::connect(registry.address()).unwrap();
        write!(stream, "{head}\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello").unwrap();
        let answer = receive(&stream, "PATCH").unwrap();
        assert_eq!((answer.status, code(&answer).as_str()), (408, "BLOB_UPLOAD_INVALID"), "{head}");
    }
    let status = client.get(&location).unwrap();
    assert_eq!(status.header("range"), Some("0-4"), "what came is kept");
}

#[test]
fn manifests_take_memory_by_their_size_and_are_refused_where_there_is_none() {
    let (_folder, registry) =
        registry(|options| options.documents(1).stall(Duration::from_secs(10)));
    for (size, expected) in [
        (1024, (400, "MANIFEST_INVALID")),
        (1025, (429, "TOOMANYREQUESTS")),
        (1, (400, "MANIFEST_INVALID")),
    ] {
        let mut stream = TcpStream::connect(registry.address()).unwrap();
        let head = format!("PUT /v2/{REPOSITORY}/manifests/x HTTP/1.1\r\nHost: x");
        let chunks = "1\r\nx\r\n".repeat(size);
        write!(stream, "{head}\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").unwrap();
        let answer = receive(&stream, "PUT").unwrap();
        assert_eq!((answer.status, code(&answer).as_str()), expected, "{size}");
    }
}
