//! URLs as they may be shown: without user names, passwords, tokens and signatures.

use reqwest::Url;

/// Query parameters that say what is asked for and hold no secret. All others are hidden: a
/// redirect to an object store carries its signature in the query, an upload its state.
const HARMLESS: &[&str] = &[
    "account",
    "artifactType",
    "client_id",
    "digest",
    "from",
    "last",
    "mount",
    "n",
    "ns",
    "offline_token",
    "scope",
    "service",
];

/// Returns a URL for messages and logs.
pub(crate) fn shown(url: &Url) -> String {
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let host = url.host_str().unwrap_or_default();
    let mut text = format!("{}://{host}{port}{}", url.scheme(), url.path());
    if let Some(query) = url.query() {
        let hidden = query.split('&').map(|pair| match pair.split_once('=') {
            Some((key, _)) if !HARMLESS.contains(&key) => format!("{key}=REDACTED"),
            _ => pair.to_owned(),
        });
        text.push('?');
        text.push_str(&hidden.collect::<Vec<_>>().join("&"));
    }
    text
}

/// Returns a URL as it was written, but for its password, which is `xxxxx` as Go's `Redacted` has it.
#[must_use]
pub fn without_password(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            // Cannot fail: a URL with a password has a host.
            let _ = url.set_password(Some("xxxxx"));
            url.to_string()
        }
        // What is no URL is not reached either, and nobody shows it.
        _ => text.to_owned(),
    }
}

/// Cuts a peer's text to `limit` bytes and drops what could steer a terminal.
pub(crate) fn clean(text: &str, limit: usize) -> String {
    let end = text.floor_char_boundary(limit);
    text[..end].chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

/// Writes text as Go's `%q` does, for the sentences that have it.
pub(crate) fn quoted(text: &str) -> String {
    format!("{text:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_hidden_wherever_it_stands() {
        for (url, expected) in [
            ("http://h/a?b=c", "http://h/a?b=c"),
            ("http://ann@h/", "http://ann@h/"),
            ("http://ann:s3cret@h:1/a?b#c", "http://ann:xxxxx@h:1/a?b#c"),
            ("http://:s3%40cret@h/", "http://:xxxxx@h/"),
            ("http:////ann:s3cret@h/", "http://ann:xxxxx@h/"),
            ("http://a:s3cret@b@h/", "http://a:xxxxx@h/"),
        ] {
            assert_eq!(without_password(url), expected);
        }
    }

    #[test]
    fn hides_secrets_and_keeps_the_rest() {
        for (url, expected) in [
            ("https://ann:pw@host:5000/v2/", "https://host:5000/v2/"),
            (
                "https://auth/token?scope=repository%3Ax%3Apull&service=s",
                "https://auth/token?scope=repository%3Ax%3Apull&service=s",
            ),
            ("https://h/b?X-Signature=abc&n=1", "https://h/b?X-Signature=REDACTED&n=1"),
            ("https://h/u?_state=abc#frag", "https://h/u?_state=REDACTED"),
            ("https://[::1]:5000/x", "https://[::1]:5000/x"),
        ] {
            assert_eq!(shown(&Url::parse(url).unwrap()), expected);
        }
    }

    #[test]
    fn a_peer_cannot_steer_the_terminal() {
        assert_eq!(clean("a\u{1b}[2Jb\r\nc\u{9b}", 100), "a[2Jb\nc");
        assert_eq!(clean("aéé", 4), "aé");
    }
}
