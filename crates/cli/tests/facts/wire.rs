//! HTTP over a unix socket, byte for byte as a test wants it.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use test_support::http::{Response, receive};

use crate::fixture::{Answer, Body, Member};

/// A daemon that says nothing for so long has hung.
const PATIENCE: Duration = Duration::from_mins(1);
const BLOCK: usize = 512;

/// Headers of answers that are the connection's, not the answer's.
const FRAMING: [&str; 4] = ["date", "content-length", "transfer-encoding", "connection"];

/// Sends a request and returns the answer.
pub(crate) fn send(
    socket: &Path,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> io::Result<Response> {
    receive(begin(socket, method, target, headers, body)?, method)
}

/// Sends a request and returns the connection.
pub(crate) fn begin(
    socket: &Path,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> io::Result<UnixStream> {
    use std::fmt::Write as _;
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n");
    for (name, value) in headers {
        // Writing to a string does not fail.
        let _ = write!(head, "{name}: {value}\r\n");
    }
    let _ = write!(head, "Content-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes())?;
    // A daemon that refuses may answer before it has read everything.
    let _ = stream.write_all(body);
    Ok(stream)
}

/// Reads lines of a stream of documents that never ends. `HTTP/1.1 200` of its answer was read before.
pub(crate) fn read_lines(stream: &UnixStream, count: usize) -> Answer {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    line();
    let mut headers = Vec::new();
    loop {
        let line = line();
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.push((name.to_ascii_lowercase(), value.to_owned()));
    }
    // Between the documents are the sizes of chunks.
    let mut lines = Vec::new();
    while lines.len() < count {
        let line = line();
        if line.starts_with('{') {
            lines.push(line);
        }
    }
    headers.retain(|(name, _)| !FRAMING.contains(&name.as_str()));
    Answer { status: 200, headers, body: Body::Text { lines, cut: false } }
}

/// An answer in the form of a fixture.
pub(crate) fn answer(response: &Response) -> Answer {
    let headers = response.headers.iter();
    let headers = headers.filter(|(name, _)| !FRAMING.contains(&name.as_str())).cloned().collect();
    let is_archive = response.header("content-type") == Some("application/x-tar");
    let body = if is_archive {
        Body::Archive(members(&response.body))
    } else {
        let text = response.text();
        let lines = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        Body::Text { lines, cut: false }
    };
    Answer { status: response.status, headers, body }
}

/// Lists a tar whose names are short. Shares no code with the reader under test.
pub(crate) fn members(tar: &[u8]) -> Vec<Member> {
    let mut members = Vec::new();
    let mut place = 0;
    while let Some(header) = tar.get(place..place + BLOCK).filter(|header| header[0] != 0) {
        let text = |from: usize, to: usize| {
            let field = &header[from..to];
            let end = field.iter().position(|&byte| byte == 0).unwrap_or(field.len());
            String::from_utf8_lossy(&field[..end]).trim().to_owned()
        };
        let octal = |from, to| u64::from_str_radix(&text(from, to), 8).unwrap_or(0);
        let size = usize::try_from(octal(124, 136)).unwrap();
        let content = &tar[place + BLOCK..place + BLOCK + size];
        place += BLOCK + size.next_multiple_of(BLOCK);
        let kind = char::from(header[156]);
        if !matches!(kind, '0' | '5') {
            continue;
        }
        let (mode, time) = (octal(100, 108), octal(136, 148));
        let is_json = matches!(content.first(), Some(b'{' | b'['));
        members.push(Member {
            head: format!("{kind} {mode:o} {}/{} mtime={time}", octal(108, 116), octal(116, 124)),
            name: text(0, 100).trim_end_matches('/').to_owned(),
            content: if is_json {
                String::from_utf8_lossy(content).into_owned()
            } else {
                String::new()
            },
        });
    }
    members
}
