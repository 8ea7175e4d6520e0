//! The fixtures: requests and answers as text.

use std::path::Path;

/// A request and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<String>,
    pub(crate) answer: Answer,
}

/// An answer, recorded or received.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Body,
}

#[derive(Clone, Debug)]
pub(crate) enum Body {
    /// Text: a document, a stream of documents, or plain.
    Text { lines: Vec<String>, cut: bool },
    /// A tar.
    Archive(Vec<Member>),
}

impl Default for Body {
    fn default() -> Self {
        Body::Text { lines: Vec::new(), cut: false }
    }
}

/// A member of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    /// Type, mode, owner and time.
    pub(crate) head: String,
    pub(crate) name: String,
    /// Its content, where it is JSON.
    pub(crate) content: String,
}

/// Reads the fixture `name`.
pub(crate) fn read(name: &str) -> Vec<Exchange> {
    let path = folder().join(format!("{name}.txt"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    text.split("\n>>> ").skip(1).map(exchange).collect()
}

pub(crate) fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/facts/recorded")
}

fn exchange(text: &str) -> Exchange {
    let (request, answer) = text.split_once("\n<<< ").unwrap();
    let (line, headers, body) = message(request);
    let (method, target) = line.split_once(' ').unwrap();
    let (status, answer_headers, answer_body) = message(answer);
    Exchange {
        method: method.to_owned(),
        target: target.to_owned(),
        headers,
        body,
        answer: Answer {
            status: status.parse().unwrap(),
            headers: answer_headers,
            body: parse_body(answer_body),
        },
    }
}

/// The first line, the headers and the body's lines.
fn message(text: &str) -> (String, Vec<(String, String)>, Vec<String>) {
    let (head, body) = text.trim_end().split_once("\n\n").unwrap_or((text.trim_end(), ""));
    let mut head = head.lines();
    let first = head.next().unwrap_or_default().to_owned();
    let headers = head
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    (first, headers, body.lines().map(str::to_owned).collect())
}

fn parse_body(mut lines: Vec<String>) -> Body {
    if lines.first().is_none_or(|line| line != "<archive>") {
        let cut = lines.last().is_some_and(|line| line == "<cut>");
        if cut {
            lines.pop();
        }
        return Body::Text { lines, cut };
    }
    let mut members: Vec<Member> = Vec::new();
    for line in &lines[1..] {
        if let Some(content) = line.strip_prefix("  ") {
            members.last_mut().unwrap().content.push_str(content);
        } else {
            let [kind, mode, owner, _size, time, name] =
                line.split(' ').collect::<Vec<_>>().try_into().unwrap();
            let head = format!("{kind} {mode} {owner} {time}");
            members.push(Member { head, name: name.to_owned(), content: String::new() });
        }
    }
    Body::Archive(members)
}
