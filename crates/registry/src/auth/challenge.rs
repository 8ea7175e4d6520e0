//! The `WWW-Authenticate` header: what a registry asks for.

use http::{HeaderMap, header::WWW_AUTHENTICATE};

/// The most challenges read of one answer; registries send one or two.
const MAX_CHALLENGES: usize = 16;
/// The most parameters read of one challenge; the Docker token protocol has four.
const MAX_PARAMETERS: usize = 32;

/// One challenge (RFC 9110, section 11.6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Challenge {
    /// The scheme, in lower case.
    pub(crate) scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    /// Tells whether the token that was shown does not reach as far as the request (RFC 6750, section 3.1).
    pub(crate) fn is_scope_short(&self) -> bool {
        self.scheme == "bearer" && self.parameter("error") == Some("insufficient_scope")
    }

    /// Returns a parameter by its lower-case name.
    pub(crate) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Returns all challenges of an answer, in their order; what cannot be read is left out.
pub(crate) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let mut found = Vec::new();
    for value in headers.get_all(WWW_AUTHENTICATE) {
        // Quoted strings may hold any byte; only ASCII is of interest.
        parse(&String::from_utf8_lossy(value.as_bytes()), &mut found);
    }
    found.truncate(MAX_CHALLENGES);
    found
}

/// Reads one header value, which may hold several challenges separated by the same commas that
/// separate the parameters of one: `Basic realm="a, b", Bearer realm="c",service="d"`.
fn parse(value: &str, found: &mut Vec<Challenge>) {
    let mut scan = Scan { rest: value };
    while found.len() < MAX_CHALLENGES {
        scan.skip_separators();
        let word = scan.token();
        if word.is_empty() {
            return;
        }
        scan.skip_spaces();
        if let Some(after) = scan.rest.strip_prefix('=') {
            scan.rest = after;
            scan.skip_spaces();
            let text = scan.value();
            let Some(challenge) = found.last_mut() else { continue };
            if challenge.parameters.len() < MAX_PARAMETERS {
                challenge.parameters.push((word.to_ascii_lowercase(), text));
            }
        } else {
            let scheme = word.to_ascii_lowercase();
            found.push(Challenge { scheme, parameters: Vec::new() });
            scan.skip_token68();
        }
    }
}

struct Scan<'a> {
    rest: &'a str,
}

impl<'a> Scan<'a> {
    /// Goes to the next word; what is neither word nor separator is skipped up to a comma.
    fn skip_separators(&mut self) {
        loop {
            self.rest = self.rest.trim_start_matches([' ', '\t', ',']);
            if self.rest.is_empty() || self.rest.starts_with(is_token) {
                return;
            }
            self.rest = self.rest.split_once(',').map_or("", |(_, rest)| rest);
        }
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t']);
    }

    fn token(&mut self) -> &'a str {
        let end = self.rest.find(|c| !is_token(c)).unwrap_or(self.rest.len());
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        token
    }

    /// Skips a base64 word behind a scheme: it ends at a comma and is not followed by a value.
    fn skip_token68(&mut self) {
        let end = self.rest.find(',').unwrap_or(self.rest.len());
        let word = self.rest[..end].trim_end_matches([' ', '\t']);
        let base = word.trim_end_matches('=');
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-._~+/".contains(c);
        if !base.is_empty() && base.chars().all(is_word) {
            self.rest = &self.rest[end..];
        }
    }

    fn value(&mut self) -> String {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            // Some registries forget the quotes round a URL.
            let end = self.rest.find([',', ' ', '\t']).unwrap_or(self.rest.len());
            let (value, rest) = self.rest.split_at(end);
            self.rest = rest;
            return value.to_owned();
        };
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        while let Some((index, character)) = characters.next() {
            match character {
                '"' => {
                    self.rest = &quoted[index + 1..];
                    return value;
                }
                '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
                other => value.push(other),
            }
        }
        // The closing quote is missing: the value ends with the header.
        self.rest = "";
        value
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(character: char) -> bool {
    character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character)
}

/// Fuzz target: challenges that were read are written as ones that read the same, and are no more than they may be.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(data: &[u8]) {
    let read = |text: &[u8]| {
        let mut headers = HeaderMap::new();
        headers.insert(WWW_AUTHENTICATE, http::HeaderValue::from_bytes(text).ok()?);
        Some(challenges(&headers))
    };
    let Some(found) = read(data) else { return };
    assert!(found.len() <= MAX_CHALLENGES);
    let mut written = Vec::new();
    for Challenge { scheme, parameters } in &found {
        assert!(!scheme.is_empty() && parameters.len() <= MAX_PARAMETERS);
        let quoted = |value: &String| value.replace('\\', "\\\\").replace('"', "\\\"");
        let parameters: Vec<String> =
            parameters.iter().map(|(key, value)| format!("{key}=\"{}\"", quoted(value))).collect();
        written.push(format!("{scheme} {}", parameters.join(", ")));
    }
    assert_eq!(read(written.join(", ").as_bytes()), Some(found), "{written:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes challenges as `scheme{name=value|…}`.
    fn shown(value: &str) -> String {
        let mut found = Vec::new();
        parse(value, &mut found);
        let one = |challenge: &Challenge| {
            let parameters: Vec<_> =
                challenge.parameters.iter().map(|(key, value)| format!("{key}={value}")).collect();
            format!("{}{{{}}}", challenge.scheme, parameters.join("|"))
        };
        found.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn reads_every_form() {
        for (value, expected) in [
            ("", ""),
            (", ,", ""),
            ("Basic", "basic{}"),
            (r#"Basic realm="Registry Realm""#, "basic{realm=Registry Realm}"),
            (
                r#"Bearer realm="https://a/token",service="s",scope="repository:x:pull,push""#,
                "bearer{realm=https://a/token|service=s|scope=repository:x:pull,push}",
            ),
            (
                r#"Basic realm="a, b", Bearer realm="c" , service = "d""#,
                "basic{realm=a, b} bearer{realm=c|service=d}",
            ),
            (r#"BEARER Realm="q\"uo\\te""#, r#"bearer{realm=q"uo\te}"#),
            ("Bearer realm=https://a/token,service=s", "bearer{realm=https://a/token|service=s}"),
            ("Negotiate, Basic realm=x", "negotiate{} basic{realm=x}"),
            (r#"Negotiate YII=, Bearer realm="c""#, "negotiate{} bearer{realm=c}"),
            (r#"NTLM TlRMTVNTUAAC==, Basic realm="x""#, "ntlm{} basic{realm=x}"),
            // Broken ones: never more than they say, never an endless loop.
            (r#"Bearer realm="open"#, "bearer{realm=open}"),
            (r#"Bearer realm="open\"#, "bearer{realm=open}"),
            (r#"realm="nobody's""#, ""),
            (r#""","", Bearer realm="c""#, "bearer{realm=c}"),
            ("Bearer =, =, realm=c", ""),
            (r#"@@@, Bearer realm="c""#, "bearer{realm=c}"),
        ] {
            assert_eq!(shown(value), expected, "{value}");
        }
    }

    #[test]
    fn is_bounded() {
        let many = "Basic realm=x, ".repeat(10_000);
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, many.parse().unwrap());
        headers.append(WWW_AUTHENTICATE, "Bearer realm=y".parse().unwrap());
        assert_eq!(challenges(&headers).len(), MAX_CHALLENGES);

        let wide = format!("Bearer {}", "a=b, ".repeat(10_000));
        let mut found = Vec::new();
        parse(&wide, &mut found);
        assert_eq!(found[0].parameters.len(), MAX_PARAMETERS);
    }

    #[test]
    fn several_headers_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(WWW_AUTHENTICATE, "Basic realm=x".parse().unwrap());
        headers.append(WWW_AUTHENTICATE, r#"Bearer realm="y""#.parse().unwrap());
        let found = challenges(&headers);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].parameter("realm"), Some("y"));
        assert_eq!(found[1].parameter("service"), None);
    }
}
