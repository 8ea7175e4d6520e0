//! Uploads: whole, in chunks, cut, resumed, given up.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::thread;

use test_support::http::receive;

use super::*;

#[test]
fn a_blob_goes_up_in_chunks() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let location = begin_upload(&client);
    let patch = |range: &str, bytes: &[u8]| {
        let headers = [("Content-Range", range)];
        let headers = if range.is_empty() { &headers[..0] } else { &headers[..] };
        client.send("PATCH", &location, headers, bytes).unwrap()
    };
    let first = patch("0-4", b"hello");
    assert_eq!((first.status, first.header("range")), (202, Some("0-4")));
    assert_eq!(first.location(), Some(location.as_str()));

    for (range, bytes, status, expected) in [
        ("4-8", &b"hello"[..], 416, "RANGE_INVALID"),
        ("6-10", b"hello", 416, "RANGE_INVALID"),
        ("x", b"hello", 416, "BLOB_UPLOAD_INVALID"),
        ("5-8", b"hello", 400, "SIZE_INVALID"),
    ] {
        let refused = patch(range, bytes);
        assert_eq!((refused.status, code(&refused).as_str()), (status, expected), "{range}");
        if expected == "RANGE_INVALID" {
            assert_eq!(refused.header("range"), Some("0-4"), "{range}");
            assert_eq!(refused.location(), Some(location.as_str()), "{range}");
        }
    }
    assert_eq!(patch("5-5", b" ").header("range"), Some("0-5"));
    assert_eq!(patch("", b"wor").header("range"), Some("0-8"));
    let status = client.get(&location).unwrap();
    assert_eq!((status.status, status.header("range")), (204, Some("0-8")));

    let digest = Digest::sha256(b"hello world");
    let target = format!("{location}?digest={digest}");
    let done = client.send("PUT", &target, &[("Content-Range", "9-10")], b"ld").unwrap();
    assert_eq!(done.status, 201, "{}", done.text());
    let place = format!("/v2/{REPOSITORY}/blobs/{digest}");
    assert_eq!(done.location(), Some(place.as_str()));
    assert_eq!(client.get(&place).unwrap().body, b"hello world");
    let gone = client.get(&location).unwrap();
    assert_eq!((gone.status, code(&gone).as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
}

#[test]
fn an_upload_that_is_something_else_leaves_nothing() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let other = Digest::sha256(b"other");
    let location = begin_upload(&client);
    let put = client.send("PUT", &format!("{location}?digest={other}"), &[], b"this").unwrap();
    assert_eq!((put.status, code(&put).as_str()), (400, "DIGEST_INVALID"));
    let detail = &put.json()["errors"][0]["detail"];
    assert_eq!(detail["received"], Digest::sha256(b"this").to_string().as_str());
    let whole = format!("/v2/{REPOSITORY}/blobs/uploads/?digest={other}");
    assert_eq!(client.send("POST", &whole, &[], b"this").unwrap().status, 400);
    let location = begin_upload(&client);
    assert_eq!(client.send("DELETE", &location, &[], b"").unwrap().status, 204);
    assert_eq!(client.send("DELETE", &location, &[], b"").unwrap().status, 404);
    assert_eq!(client.send("PATCH", &location, &[], b"x").unwrap().status, 404);
    let nameless = client.send("PUT", &begin_upload(&client), &[], b"this").unwrap();
    assert_eq!((nameless.status, code(&nameless).as_str()), (400, "DIGEST_INVALID"));
    // The last one can still be finished; of the others nothing is left.
    let left = files(&registry);
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].starts_with("repositories/me/app/_uploads/"), "{left:?}");
}

#[test]
fn sha512_is_checked_too() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let mut hasher = spec::Hasher::new(spec::Algorithm::Sha512);
    hasher.update(b"content");
    let digest = hasher.finish();
    let location = begin_upload(&client);
    client.send("PATCH", &location, &[], b"con").unwrap().expect(202).unwrap();
    let target = format!("{location}?digest={digest}");
    client.send("PUT", &target, &[], b"tent").unwrap().expect(201).unwrap();
    let blob = client.get(&format!("/v2/{REPOSITORY}/blobs/{digest}")).unwrap();
    assert_eq!(blob.body, b"content");

    let target = format!("{}?digest={digest}", begin_upload(&client));
    assert_eq!(client.send("PUT", &target, &[], b"other").unwrap().status, 400);
}

#[test]
fn what_arrived_before_a_cut_is_kept_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let registry = LocalRegistry::start_in(folder.path()).unwrap();
    let client = registry.client();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|number| number.to_le_bytes()[0]).collect();
    let location = begin_upload(&client);
    client.send("PATCH", &location, &[], &bytes[..1000]).unwrap().expect(202).unwrap();

    let length = bytes.len() as u64 - 1000;
    let mut stream = client.begin("PATCH", &location, &[], Some(length)).unwrap();
    stream.write_all(&bytes[1000..2_000_000]).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    // Whatever it answers, it has read to the cut then.
    let _ = receive(stream, "PATCH");
    let status = client.get(&location).unwrap();
    assert_eq!((status.status, status.header("range")), (204, Some("0-1999999")));

    drop(registry);
    let registry = LocalRegistry::start_in(folder.path()).unwrap();
    let client = registry.client();
    let status = client.get(&location).unwrap();
    assert_eq!((status.status, status.header("range")), (204, Some("0-1999999")));
    let headers = [("Content-Range", "2000000-2999999")];
    let rest = &bytes[2_000_000..];
    client.send("PATCH", &location, &headers, rest).unwrap().expect(202).unwrap();
    let digest = Digest::sha256(&bytes);
    let target = format!("{location}?digest={digest}");
    client.send("PUT", &target, &[], b"").unwrap().expect(201).unwrap();
    let blob = client.get(&format!("/v2/{REPOSITORY}/blobs/{digest}")).unwrap();
    assert!(blob.body == bytes);
}

#[test]
fn a_body_of_unknown_length_is_taken() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let location = begin_upload(&client);
    let chunked = ("Transfer-Encoding", "chunked");
    let mut stream = client.begin("PATCH", &location, &[chunked], None).unwrap();
    stream.write_all(b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n").unwrap();
    let response = receive(stream, "PATCH").unwrap();
    assert_eq!((response.status, response.header("range")), (202, Some("0-5")));

    // More, and less, than `Content-Range` promised.
    for (range, body) in [("6-7", &b"3\r\nabc\r\n0\r\n\r\n"[..]), ("6-9", b"1\r\na\r\n0\r\n\r\n")] {
        let headers = [chunked, ("Content-Range", range)];
        let mut stream = client.begin("PATCH", &location, &headers, None).unwrap();
        stream.write_all(body).unwrap();
        let response = receive(stream, "PATCH").unwrap();
        assert_eq!((response.status, code(&response).as_str()), (400, "SIZE_INVALID"), "{range}");
    }
    // What came within the promise is kept.
    assert_eq!(client.get(&location).unwrap().header("range"), Some("0-6"));
}

#[test]
fn an_upload_has_one_writer() {
    let registry = LocalRegistry::start().unwrap();
    let client = registry.client();
    let location = begin_upload(&client);
    let mut first: TcpStream = client.begin("PATCH", &location, &[], Some(10)).unwrap();
    first.write_all(b"01234").unwrap();
    let second = {
        let (client, location) = (client.clone(), location.clone());
        thread::spawn(move || client.send("PATCH", &location, &[], b"abcde").unwrap())
    };
    first.write_all(b"56789").unwrap();
    assert_eq!(receive(first, "PATCH").unwrap().status, 202);
    assert_eq!(second.join().unwrap().status, 202);
    let status = client.get(&location).unwrap();
    assert_eq!(status.header("range"), Some("0-14"));
    // One after the other, in either order.
    let path = files(&registry).into_iter().find(|path| path.contains("_uploads")).unwrap();
    let written = std::fs::read(registry.root().join(path)).unwrap();
    assert!([&b"0123456789abcde"[..], b"abcde0123456789"].contains(&&written[..]), "{written:?}");
}

#[test]
fn many_may_upload_the_same_blob_at_once() {
    let registry = LocalRegistry::start().unwrap();
    let bytes = vec![42; 700_000];
    let digest = Digest::sha256(&bytes);
    thread::scope(|scope| {
        for number in 0..8 {
            let (client, bytes) = (registry.client(), &bytes);
            scope.spawn(move || put_blob(&client, &format!("me/{}", number % 3), bytes));
        }
    });
    for number in 0..3 {
        let blob = registry.client().get(&format!("/v2/me/{number}/blobs/{digest}")).unwrap();
        assert!(blob.body == bytes);
    }
    // The content once, and a link in each of the three.
    assert_eq!(files(&registry).len(), 4);
}
