//! The client against scripted daemons at a unix socket.

use std::path::PathBuf;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use tokio::task::JoinHandle;

use super::*;

/// A daemon that answers each request with the next of its answers; an empty one closes the connection instead.
struct Scripted {
    host: Host,
    requests: JoinHandle<Vec<String>>,
    _directory: tempfile::TempDir,
}

fn scripted(answers: &'static [&'static str]) -> Scripted {
    let directory = tempfile::tempdir().unwrap();
    let path: PathBuf = directory.path().join("daemon.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let requests = tokio::spawn(async move {
        let mut requests = Vec::new();
        let mut answers = answers.iter();
        'connections: while answers.len() > 0 {
            let (mut stream, _) = listener.accept().await.unwrap();
            loop {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => request.push(byte),
                        Err(_) => continue 'connections,
                    }
                }
                requests.push(String::from_utf8(request).unwrap());
                let Some(answer) = answers.next() else { break 'connections };
                stream.write_all(answer.as_bytes()).await.unwrap();
                if answer.contains("Connection: close") {
                    continue 'connections;
                }
                if answers.len() == 0 {
                    break 'connections;
                }
            }
        }
        requests
    });
    Scripted { host: Host::Unix(path), requests, _directory: directory }
}

const PING: &str = "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 0\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn lines(requests: &[String]) -> Vec<&str> {
    requests.iter().map(|request| request.lines().next().unwrap_or_default()).collect()
}

#[tokio::test]
async fn the_older_version_is_spoken_and_asked_for_once() {
    for (ping, expected) in [
        (PING, "1.41"),
        ("HTTP/1.1 200 OK\r\nApi-Version: 1.99\r\nContent-Length: 0\r\n\r\n", "1.50"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "1.24"),
        ("HTTP/1.1 200 OK\r\nApi-Version: x\r\nContent-Length: 0\r\n\r\n", "1.24"),
    ] {
        let answers: &'static [&'static str] = vec![ping, OK, OK].leak();
        let daemon = scripted(answers);
        let client = Client::remote(daemon.host.clone(), None);
        for name in ["a b/c:1", "d"] {
            let call = Call::query(Query::new().with("q", "x/y"));
            let answer = client.get(&format!("/images/{name}/json"), call).await.unwrap();
            assert_eq!(answer.bytes().await.unwrap(), "ok");
        }
        let requests = daemon.requests.await.unwrap();
        let expected = [
            "HEAD /_ping HTTP/1.1".to_owned(),
            format!("GET /v{expected}/images/a%20b/c:1/json?q=x%2Fy HTTP/1.1"),
            format!("GET /v{expected}/images/d/json?q=x%2Fy HTTP/1.1"),
        ];
        assert_eq!(lines(&requests), expected);
    }
}

#[tokio::test]
async fn a_fixed_version_is_not_negotiated_and_credentials_are_sent() {
    let daemon = scripted(&[OK]);
    let client = Client::remote(daemon.host.clone(), Some(ApiVersion::new(1, 30)));
    let call = Call {
        registry_auth: Some("e30=".to_owned()),
        body: Some(b"{}".to_vec()),
        ..Call::default()
    };
    client.post("/auth", call).await.unwrap();
    let requests = daemon.requests.await.unwrap();
    assert_eq!(lines(&requests), ["POST /v1.30/auth HTTP/1.1"]);
    let head = requests[0].to_lowercase();
    for header in [
        "x-registry-auth: e30=",
        "content-type: application/json",
        "content-length: 2",
        "host: api.moby.localhost",
    ] {
        assert!(head.contains(&format!("\r\n{header}\r\n")), "{header} in {head}");
    }
}

#[tokio::test]
async fn a_connection_that_the_daemon_closed_is_opened_again() {
    let closing = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    let daemon = scripted(vec![closing, closing, OK].leak());
    let client = Client::remote(daemon.host.clone(), Some(MAX_VERSION));
    for _ in 0..3 {
        assert_eq!(
            client.get("/info", Call::default()).await.unwrap().bytes().await.unwrap(),
            "ok"
        );
    }
    assert_eq!(daemon.requests.await.unwrap().len(), 3);
}

#[tokio::test]
async fn errors_of_the_daemon_are_told() {
    let answer = "HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\nContent-Length: 19\r\n\r\n{\"message\":\"in use\"}";
    let answer: &'static str = answer.replace("Content-Length: 19", "Content-Length: 20").leak();
    let daemon = scripted(vec![answer].leak());
    let client = Client::remote(daemon.host.clone(), Some(MAX_VERSION));
    let error = client.delete("/images/x", Call::default()).await.unwrap_err();
    assert!(
        matches!(&error, CliError::Daemon { status: 409, message } if message == "in use"),
        "{error:?}"
    );
    assert_eq!(error.to_string(), "Error response from daemon: in use");
}

#[tokio::test]
async fn a_stream_is_read_message_by_message() {
    let body = "{\"status\":\"a\"}\r\n{\"status\":\"b\"}";
    for (tail, complete) in [("", true), ("{\"status\":", false)] {
        let body = format!("{body}{tail}");
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let daemon = scripted(vec![&*answer.leak()].leak());
        let client = Client::remote(daemon.host.clone(), Some(MAX_VERSION));
        let mut messages = client
            .post("/images/create", Call::default())
            .await
            .unwrap()
            .messages::<api::message::Message>();
        let mut statuses = Vec::new();
        let end = loop {
            match messages.next().await {
                Ok(Some(message)) => statuses.extend(message.status),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        assert_eq!((statuses, end), (vec!["a".to_owned(), "b".to_owned()], complete));
    }
}

#[tokio::test]
async fn nobody_at_the_socket_is_said_with_its_address() {
    let client = Client::remote(Host::parse("unix:///no/such.sock").unwrap(), None);
    let error = client.get("/info", Call::default()).await.unwrap_err();
    assert!(error.is_connection_failure());
    assert_eq!(
        error.to_string(),
        "Cannot connect to the Docker daemon at unix:///no/such.sock. Is the docker daemon running?"
    );
}

#[tokio::test]
async fn items_of_a_list_are_handed_over_one_by_one() {
    const LIST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n[1,2,3]\n";
    const NO_LIST: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n[1,2]3";
    const LATE: &str =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[4,\r\n4\r\n\"x\"]\r\n0\r\n\r\n";
    let daemon = scripted(&[PING, LIST, NO_LIST, LATE]);
    let client = Client::remote(daemon.host, None);
    for (expected, is_list) in [(&[1, 2, 3][..], true), (&[1, 2], false), (&[4], false)] {
        let mut items: Vec<u64> = Vec::new();
        let answer = client.get("/images/json", Call::default()).await.unwrap();
        let read = answer.each(|item| items.push(item)).await;
        assert_eq!((items.as_slice(), read.is_ok()), (expected, is_list), "{read:?}");
    }
}
