//! A blocking HTTP/1.1 client for plain HTTP on a loopback address: what a test, or a tool of this
//! repository, asks a registry with. It shares no code with the client under test.
//!
//! One request a connection. Bodies are sent from memory or from a reader, and received into
//! memory, so responses are for tests to keep small.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A peer of a test that says nothing for so long has hung.
const TIMEOUT: Duration = Duration::from_mins(2);

/// The address of a server, and the credentials to send it.
#[derive(Clone, Debug)]
pub struct Client {
    address: String,
    authorization: Option<String>,
}

/// A registry's answer, all of it read.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The headers, with their names in lower case, as they came.
    pub headers: Vec<(String, String)>,
    /// The body, without its transfer coding.
    pub body: Vec<u8>,
}

impl Response {
    /// Returns the first header called `name`.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.headers.iter().find(named).map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the body as JSON; `Null` where it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Returns the path and query of the `Location` header.
    pub fn location(&self) -> Option<&str> {
        let location = self.header("location")?;
        let Some((_, rest)) = location.split_once("://") else { return Some(location) };
        Some(rest.find('/').map_or("/", |slash| &rest[slash..]))
    }

    /// Turns any status but `expected` into an error that holds what the server said.
    pub fn expect(self, expected: u16) -> io::Result<Response> {
        if self.status == expected {
            return Ok(self);
        }
        let said = self.text();
        Err(io::Error::other(format!("status {} instead of {expected}: {said}", self.status)))
    }
}

impl Client {
    /// A client of the server at `address`, which is `host:port`.
    pub fn new(address: impl Into<String>) -> Client {
        Client { address: address.into(), authorization: None }
    }

    /// Sends `value` as every request's `Authorization`.
    #[must_use]
    pub fn with_authorization(mut self, value: impl Into<String>) -> Client {
        self.authorization = Some(value.into());
        self
    }

    /// Returns the server's `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends a request without a body.
    pub fn get(&self, path: &str) -> io::Result<Response> {
        self.send("GET", path, &[], b"")
    }

    /// Sends a request with a body from memory.
    pub fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<Response> {
        self.send_from(method, path, headers, body, body.len() as u64)
    }

    /// Sends a request with a body of `length` bytes from a reader.
    pub fn send_from(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Read,
        length: u64,
    ) -> io::Result<Response> {
        let mut stream = self.begin(method, path, headers, Some(length))?;
        // A server that refuses may answer and close before it has read everything: what it said
        // says more than the broken pipe.
        let sent = io::copy(&mut body.take(length), &mut stream);
        match (receive(stream, method), sent) {
            (Ok(response), _) => Ok(response),
            (Err(_), Err(error)) | (Err(error), Ok(_)) => Err(error),
        }
    }

    /// Sends a request's head and returns the connection, for a test that does something strange
    /// with the body. `None` as length leaves out `Content-Length`.
    pub fn begin(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        length: Option<u64>,
    ) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.address);
        let length = length.map(|length| length.to_string());
        let length = length.iter().map(|length| ("Content-Length", length.as_str()));
        let authorization =
            self.authorization.iter().map(|value| ("Authorization", value.as_str()));
        for (name, value) in headers.iter().copied().chain(length).chain(authorization) {
            // Writing to a string does not fail.
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head.push_str("\r\n");
        stream.write_all(head.as_bytes())?;
        Ok(stream)
    }
}

/// Receives the response to a request that was sent on `stream`.
pub fn receive(stream: impl Read, method: &str) -> io::Result<Response> {
    let mut reader = BufReader::new(stream);
    let (status, headers) = loop {
        let head = receive_head(&mut reader)?;
        // 1xx come before the response.
        if head.0 >= 200 {
            break head;
        }
    };
    let mut response = Response { status, headers, body: Vec::new() };
    if method == "HEAD" || status == 204 || status == 304 {
        return Ok(response);
    }
    let chunked = response.header("transfer-encoding").is_some_and(|value| value == "chunked");
    if chunked {
        receive_chunks(&mut reader, &mut response.body)?;
    } else if let Some(length) = response.header("content-length") {
        let length = length.parse().map_err(|_| invalid("Content-Length is not a number"))?;
        let received = reader.take(length).read_to_end(&mut response.body)?;
        if received as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    } else {
        reader.read_to_end(&mut response.body)?;
    }
    Ok(response)
}

type Head = (u16, Vec<(String, String)>);

fn receive_head(reader: &mut BufReader<impl Read>) -> io::Result<Head> {
    let line = receive_line(reader)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| invalid("no status line"))?;
    let mut headers = Vec::new();
    loop {
        let line = receive_line(reader)?;
        if line.is_empty() {
            return Ok((status, headers));
        }
        let (name, value) = line.split_once(':').ok_or_else(|| invalid("no header"))?;
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
}

fn receive_chunks(reader: &mut BufReader<impl Read>, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let line = receive_line(reader)?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| invalid("no chunk size"))?;
        if reader.by_ref().take(size).read_to_end(body)? as u64 != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let end = receive_line(reader)?;
        if !end.is_empty() {
            return Err(invalid("a chunk is longer than its size"));
        }
        if size == 0 {
            return Ok(());
        }
    }
}

fn receive_line(reader: &mut BufReader<impl Read>) -> io::Result<String> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(line)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
