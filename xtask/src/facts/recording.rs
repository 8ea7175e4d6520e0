//! The format of the recordings.

use anyhow::{Context as _, Result};
use test_support::base64;

/// A command and what it asked.
#[derive(Debug)]
pub(super) struct Recording {
    pub(super) command: String,
    pub(super) exchanges: Vec<Exchange>,
}

/// A request and its answer.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    /// Method and target.
    pub(super) request: String,
    pub(super) request_headers: Vec<String>,
    pub(super) request_body: Vec<String>,
    pub(super) status: String,
    pub(super) headers: Vec<String>,
    pub(super) body: Vec<String>,
}

/// Headers of requests that can change the answer.
const REQUEST_HEADERS: [&str; 3] = ["X-Registry-Auth", "Content-Type", "X-Registry-Config"];
/// Headers of answers that are the connection's, not the answer's.
const FRAMING: [&str; 4] = ["Date", "Content-Length", "Transfer-Encoding", "Connection"];

impl Recording {
    pub(super) fn parse(text: &str) -> Result<Self> {
        let command = text.lines().next().and_then(|line| line.strip_prefix("# command: "));
        let command = command.context("does not begin with the command")?.to_owned();
        let mut exchanges: Vec<Exchange> = Vec::new();
        let mut answering = false;
        for line in text.lines().skip_while(|line| !line.starts_with("=== ")) {
            if line.starts_with("=== ") {
                exchanges.push(Exchange::default());
                answering = false;
                continue;
            }
            let exchange = exchanges.last_mut().context("no exchange")?;
            if let Some(line) = line.strip_prefix(">> ") {
                exchange.request_line(line)?;
            } else if let Some(line) = line.strip_prefix("<< ") {
                answering = true;
                exchange.answer_line(line);
            } else if let Some(line) = line.strip_prefix("   ") {
                let body = if answering { &mut exchange.body } else { &mut exchange.request_body };
                body_line(body, line);
            }
        }
        Ok(Self { command, exchanges })
    }
}

impl Exchange {
    fn request_line(&mut self, line: &str) -> Result<()> {
        if let Some(request) = line.strip_suffix(" HTTP/1.1") {
            request.clone_into(&mut self.request);
        } else if let Some((name, value)) = line.split_once(": ")
            && REQUEST_HEADERS.contains(&name)
        {
            // Readable: the suite encodes it again.
            let value = if name == "X-Registry-Auth" {
                let decoded = base64::decode(value).context("X-Registry-Auth is not base64")?;
                String::from_utf8(decoded)?
            } else {
                value.to_owned()
            };
            self.request_headers.push(format!("{name}: {value}"));
        }
        Ok(())
    }

    fn answer_line(&mut self, line: &str) {
        if let Some(status) = line.strip_prefix("HTTP/1.1 ") {
            status.split(' ').next().unwrap_or_default().clone_into(&mut self.status);
        } else if let Some((name, _)) = line.split_once(": ")
            && !FRAMING.contains(&name)
        {
            self.headers.push(line.to_owned());
        }
    }
}

fn body_line(body: &mut Vec<String>, line: &str) {
    if let Some(line) = line.strip_prefix("| ") {
        let line = line.trim_end_matches("\\r");
        if line.starts_with("...[trimmed") {
            // What is left of a long document: its members that are whole.
            if let Some(document) = body.pop() {
                body.push(whole_members(&document));
            }
            body.push("<cut>".to_owned());
        } else if !line.is_empty() {
            body.push(line.to_owned());
        }
    } else if line.starts_with("<binary") {
        body.push("<archive>".to_owned());
    } else if let Some(line) = line.strip_prefix("tar: ") {
        if let Some(content) = line.trim_start().strip_prefix("| ") {
            if !content.is_empty() {
                body.push(format!("  {content}"));
            }
        } else {
            body.push(line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
    }
}

/// The start of an object, up to its last member that is whole, as an object.
fn whole_members(document: &str) -> String {
    let (mut depth, mut quoted, mut escaped, mut end) = (0, false, false, 0);
    for (place, byte) in document.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => depth += 1,
            b'}' | b']' if !quoted => depth -= 1,
            b',' if !quoted && depth == 1 => end = place,
            _ => {}
        }
    }
    format!("{}}}", &document[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recording_is_taken_apart() {
        let text = "# command: docker pull x\n# upstream\n\n## stdout\n   | {\"a\":1}\n\n\
            === 1. conn0 +0.1s\n>> POST /v1.50/images/create?tag=1 HTTP/1.1\n>> Host: x\n>> X-Registry-Auth: e30=\n\
            << HTTP/1.1 404 Not Found\n<< Api-Version: 1.55\n<< Date: now\n<< body 3 bytes\n\
            \x20  | {\"message\":\"no\"}\\r\n   | \n";
        let recording = Recording::parse(text).unwrap();
        assert_eq!(recording.command, "docker pull x");
        let [exchange] = &recording.exchanges[..] else { panic!("{recording:?}") };
        assert_eq!(exchange.request, "POST /v1.50/images/create?tag=1");
        assert_eq!(exchange.request_headers, ["X-Registry-Auth: {}"]);
        assert_eq!(exchange.status, "404");
        assert_eq!(exchange.headers, ["Api-Version: 1.55"]);
        assert_eq!(exchange.body, ["{\"message\":\"no\"}"]);
    }

    #[test]
    fn a_cut_document_keeps_what_is_whole() {
        let table = [
            (r#"{"a":[1,2],"b":{"c":"},"},"d":[{"e":1},{"f"#, r#"{"a":[1,2],"b":{"c":"},"}}"#),
            (r#"{"a":"x\",","b":"#, r#"{"a":"x\","}"#),
        ];
        for (cut, whole) in table {
            assert_eq!(whole_members(cut), whole);
        }
    }
}
