//! Fuzz targets: parameters, headers and streams that a peer sends.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::auth::AuthConfig;
use crate::message::Message;
use crate::{
    Filters, JsonStream, Query, decode_platform, encode_platform, escape_path, timestamp,
    unescape_path,
};

/// A name and a function that panics at an input which shows a fault.
pub type Target = (&'static str, fn(&[u8]));

/// All targets of this crate.
pub const TARGETS: &[Target] = &[
    ("filters", filters),
    ("messages", messages),
    ("query", query),
    ("auth-header", auth_header),
    ("timestamp", timestamp),
];

/// Filters are sent on as they came, and a filter that was not given takes everything.
fn filters(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(platform) = decode_platform(text) {
        assert_eq!(decode_platform(&encode_platform(&platform)).ok(), Some(platform));
    }
    let Ok(filters) = Filters::decode(text) else { return };
    let sent = filters.encode().unwrap_or_default();
    assert_eq!(Filters::decode(&sent).as_ref().ok(), Some(&filters));
    for name in ["dangling", "label", "reference", "since", "until"] {
        for value in filters.values(name) {
            assert!(filters.matches(name, value) && filters.matches_prefix(name, value));
        }
        let _ = (filters.boolean(name), filters.matches_pairs(name, &BTreeMap::new()));
        assert!(filters.contains(name) || filters.matches(name, "anything"));
    }
}

/// Messages do not depend on where the stream was cut.
fn messages(data: &[u8]) {
    let Some((&size, stream)) = data.split_first() else { return };
    let whole = decode(stream, stream.len().max(1));
    let cut = decode(stream, usize::from(size).max(1));
    assert_eq!(whole, cut);
    for message in whole.0 {
        let read = |message: &Message| -> Message {
            serde_json::from_slice(&message.encode()).expect("what was written cannot be read")
        };
        // A key that came twice is there once after the first time.
        let settled = read(&message);
        assert_eq!(read(&settled), settled);
    }
}

/// The messages of a stream that arrives in chunks, and whether it ends well.
fn decode(stream: &[u8], size: usize) -> (Vec<Message>, bool) {
    let mut decoder = JsonStream::new();
    let mut messages = Vec::new();
    for chunk in stream.chunks(size) {
        decoder.push(chunk);
        loop {
            match decoder.next_value() {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => break,
                Err(_) => return (messages, false),
            }
        }
    }
    let is_whole = decoder.finish().is_ok();
    (messages, is_whole)
}

/// A query that was read is written as one that reads the same, and so is a path.
fn query(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert_eq!(unescape_path(&escape_path(text)).ok().as_deref(), Some(text));
    let _ = unescape_path(text);
    let Ok(query) = Query::parse(text) else { return };
    assert_eq!(Query::parse(&query.to_string()).as_ref().ok(), Some(&query));
}

/// Credentials arrive as they were sent.
fn auth_header(data: &[u8]) {
    let _ = AuthConfig::from_json(data);
    let Ok(credentials) = AuthConfig::decode(data) else { return };
    assert_eq!(AuthConfig::decode(credentials.encode().as_bytes()).ok(), Some(credentials));
}

/// A moment in any of Docker's forms is sent as one that the daemon reads.
fn timestamp(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let _ = timestamp::unix(text);
    let _ = timestamp::moment(text, Timestamp::UNIX_EPOCH, &TimeZone::UTC);
    if let Ok(sent) = timestamp::parameter(text, Timestamp::UNIX_EPOCH, &TimeZone::UTC) {
        assert!(timestamp::unix(&sent).is_ok(), "{text:?} is sent as {sent:?}");
    }
}

#[cfg(test)]
#[path = "../../../fuzz/replay.rs"]
mod replay;
