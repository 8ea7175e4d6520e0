//! Requests that no honest client sends. None may take the daemon down, and each gets an answer.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::fixture::House;

#[tokio::test]
async fn a_head_that_is_no_http_is_refused() {
    let house = House::open().await;
    let giant =
        format!("GET /_ping HTTP/1.1\r\nHost: x\r\nX-A: {}\r\n\r\n", "a".repeat(200 * 1024));
    let many = format!("GET /_ping HTTP/1.1\r\nHost: x\r\n{}\r\n", "X-A: b\r\n".repeat(1000));
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100 * 1024));
    let table = [
        ("GET /_ping HTTP/1.1\r\n\r\n", "400 Bad Request"),
        ("GET /images/\0/json HTTP/1.1\r\nHost: x\r\n\r\n", "400 Bad Request"),
        ("GET /_ping HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "400 Bad Request"),
        ("\x16\x03\x01\x02\x00", "400 Bad Request"),
        (giant.as_str(), "431 Request Header Fields Too Large"),
        (many.as_str(), "431 Request Header Fields Too Large"),
        (long.as_str(), "414 URI Too Long"),
    ];
    for (request, expected) in table {
        let answer = house.raw(request.as_bytes()).await;
        let shown = &request[..request.len().min(60)];
        assert!(answer.starts_with(&format!("HTTP/1.1 {expected}")), "{shown:?}: {answer}");
    }
    // Without a host, as HTTP/1.0 has none.
    assert!(house.raw(b"GET /_ping HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200 OK"));
    assert_eq!(house.get("/_ping").await.status, 200);
}

#[tokio::test]
async fn names_that_are_no_names_reach_nothing() {
    let house = House::open().await;
    let table = [
        ("GET", "/images/a%00b/json"),
        ("GET", "/images/a%0d%0ab/json"),
        ("GET", "/images/%ff/json"),
        ("GET", "/images/%zz/json"),
        ("GET", "/images/BAD!!/json"),
        ("GET", "/images/sha256:../json"),
        ("POST", "/images/x/tag?repo=..%2F..&tag=a"),
        ("POST", "/images/x/tag?repo=a&tag=..%2Fb"),
        ("POST", "/images/x/tag"),
        ("POST", "/images/x/tag?repo=sha256&tag=a"),
        ("POST", "/images/x/tag?repo=%zz"),
        ("POST", "/images/create?fromImage=..%2Fx"),
        ("POST", "/images/create?fromImage=x&tag=..%2Fy"),
        ("POST", "/images/create?fromImage=x&platform=foobar"),
        ("POST", "/images/x/push?tag=%00"),
        ("POST", "/images/x/push?platform=x"),
        ("DELETE", "/images/"),
        ("DELETE", "/images/%20"),
        ("GET", "/images/json?filters=%7B"),
        ("GET", "/images/json?filters=%7B%22until%22%3A%5B%22x%22%5D%7D"),
    ];
    for (method, path) in table {
        let reply = house.send(method, path, &[], "").await;
        assert_eq!(reply.status, 400, "{method} {path}: {}", reply.text);
        assert!(!reply.message().is_empty(), "{method} {path}");
    }
    let message = house.get("/images/BAD!!/json").await.message();
    assert_eq!(
        message,
        "invalid reference format: repository name (library/BAD!!) must be lowercase"
    );
    let message = house.post("/images/create?fromImage=x&platform=foobar").await.message();
    assert_eq!(message, "\"foobar\": unknown operating system or architecture: invalid argument");
    let reply = house.post("/images/create?fromImage=scratch").await;
    assert_eq!((reply.status, reply.message().as_str()), (403, "'scratch' is a reserved name"));
}

#[tokio::test]
async fn unclean_paths_lead_to_clean_ones() {
    let house = House::open().await;
    for (method, path, location) in [
        ("GET", "//images/json", "/images/json"),
        ("GET", "//v1.41/images/json?all=1", "/v1.41/images/json?all=1"),
        ("GET", "/v1.41//images/json", "/v1.41/images/json"),
        ("HEAD", "//_ping", "/_ping"),
        ("POST", "/images//x/push?tag=%20", "/images/x/push?tag=%20"),
        ("GET", "/images/../json", "/json"),
        ("GET", "/images/..%2f..%2fetc%2fpasswd/json", "/etc/passwd/json"),
        ("GET", "/images/%2e%2e/json", "/json"),
        ("GET", "/images//json", "/images/json"),
        ("GET", "//evil.example//a%20b", "/evil.example/a%20b"),
        ("DELETE", "/images/..%2F..%2Fdata", "/data"),
    ] {
        let reply = house.send(method, path, &[], "").await;
        assert_eq!((reply.status, reply.header("location")), (301, location), "{method} {path}");
        assert_eq!(reply.text, "", "{method} {path}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_changes_nothing() {
    let house = House::open().await;
    let page = [("origin", "https://other.example"), ("content-type", "text/plain")];
    for (method, path) in [
        ("POST", "/longshore/unpack?image=x&directory=/tmp/y"),
        ("GET", "/longshore/mounts"),
        ("POST", "/longshore/prune"),
        ("POST", "/images/create?fromImage=x"),
        ("POST", "/v1.41/images/load"),
        ("POST", "/images/prune"),
        ("POST", "/auth"),
        ("DELETE", "/images/x"),
    ] {
        let reply = house.send(method, path, &page, "").await;
        assert_eq!(reply.status, 403, "{method} {path}");
        assert!(reply.message().contains("https://other.example"), "{}", reply.text);
    }
    assert_eq!(house.send("GET", "/images/json", &page, "").await.status, 200);
}

#[tokio::test]
async fn escaped_slashes_are_slashes() {
    let house = House::open().await;
    let reply = house.get("/v1.50/images/library%2Fnosuch%3A1/json").await;
    assert_eq!((reply.status, reply.message().as_str()), (404, "No such image: nosuch:1"));
}

#[tokio::test]
async fn a_body_is_read_as_far_as_a_login_can_be() {
    let house = House::open().await;
    let body = format!("{{\"username\":\"{}\"}}", "a".repeat(100 * 1024));
    let reply = house.send("POST", "/auth", &[], &body).await;
    assert_eq!(reply.status, 413);
    // Declared and not sent.
    let mut connection = house.connect();
    let half = b"POST /auth HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{";
    connection.write_all(half).await.unwrap();
    connection.shutdown().await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
}

#[tokio::test]
async fn a_body_that_nobody_wants_does_not_cost_the_answer() {
    let house = House::open().await;
    // The head is there long before the body, and the pipe holds only part of the body.
    for size in [10, 200 * 1024] {
        let mut connection = house.connect();
        let head = format!(
            "POST /containers/create HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n"
        );
        connection.write_all(head.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
        connection.write_all(&vec![b' '; size]).await.unwrap();
        let mut answer = [0; 12];
        connection.read_exact(&mut answer).await.unwrap();
        assert_eq!(&answer, b"HTTP/1.1 501", "{size}");
    }
    let waiting =
        "POST /build HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n";
    assert!(house.raw(waiting.as_bytes()).await.starts_with("HTTP/1.1 501"));
}

#[tokio::test]
async fn credentials_that_cannot_be_read_are_none() {
    let house = House::open().await;
    for header in ["!!!", "e30=e30=", &"A".repeat(70 * 1024)] {
        let headers = [("x-registry-auth", header)];
        let reply = house.send("POST", "/images/nosuch/push?tag=1", &headers, "").await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let last = reply.lines().pop().unwrap();
        assert_eq!(
            last["errorDetail"]["message"],
            "An image does not exist locally with the tag: nosuch"
        );
    }
}
