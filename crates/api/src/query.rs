//! Query strings and escaped paths.

use std::borrow::Cow;
use std::fmt;

use crate::ApiError;

/// The parameters of a request, in the order in which they came.
///
/// The form is `application/x-www-form-urlencoded`, read as Go's `net/url` does: `+` is a blank, a name may come more
/// than once, and the first value counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the part of a URL behind the `?`.
    pub fn parse(text: &str) -> Result<Self, ApiError> {
        text.split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                Ok((unescape(name, true)?.into_owned(), unescape(value, true)?.into_owned()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Adds a parameter.
    pub fn add(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.0.push((name.into(), value.into()));
    }

    /// Adds a parameter and returns the query, for building one in an expression.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.add(name, value);
        self
    }

    /// The first value of a parameter, empty when it was not given: the API makes no difference between the two.
    pub fn get(&self, name: &str) -> &str {
        self.all(name).next().unwrap_or_default()
    }

    /// All values of a parameter.
    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// True if a parameter was given, if only without a value.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// The truth of a parameter: anything but nothing, `0`, `no`, `false` and `none` is true.
    pub fn boolean(&self, name: &str) -> bool {
        let value = self.get(name).trim().to_ascii_lowercase();
        !matches!(value.as_str(), "" | "0" | "no" | "false" | "none")
    }

    /// True if there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Query {
    /// The part of a URL behind the `?`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("&")?;
            }
            write!(f, "{}={}", escape(name, b""), escape(value, b""))?;
        }
        Ok(())
    }
}

/// Escapes a name for use inside a path. Slashes stay, as the daemon's routes expect them in image names.
pub fn escape_path(name: &str) -> String {
    escape(name, b"/:@")
}

/// Undoes the escapes of a path.
pub fn unescape_path(path: &str) -> Result<Cow<'_, str>, ApiError> {
    unescape(path, false)
}

fn escape(text: &str, keep: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep.contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push('%');
            escaped.push(char::from(HEX[usize::from(byte >> 4)]));
            escaped.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    escaped
}

fn unescape(text: &str, plus_is_blank: bool) -> Result<Cow<'_, str>, ApiError> {
    let escaped = |byte: u8| byte == b'%' || (plus_is_blank && byte == b'+');
    if !text.bytes().any(escaped) {
        return Ok(Cow::Borrowed(text));
    }
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'%' => {
                let value = after.first().and_then(digit).zip(after.get(1).and_then(digit));
                let Some((high, low)) = value else {
                    let shown = [b"%", &after[..after.len().min(2)]].concat();
                    return Err(ApiError::Escape(String::from_utf8_lossy(&shown).into_owned()));
                };
                bytes.push(high << 4 | low);
                rest = &after[2..];
            }
            b'+' if plus_is_blank => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).map(Cow::Owned).map_err(|_| ApiError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_queries_are_read() {
        let query =
            Query::parse("tag=3.10&fromImage=docker.io%2Flibrary%2Falpine&x&y=&tag=2&a+b=c+%2B")
                .unwrap();
        assert_eq!(query.get("fromImage"), "docker.io/library/alpine");
        assert_eq!(query.get("tag"), "3.10");
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["3.10", "2"]);
        assert_eq!(query.get("a b"), "c +");
        assert!(query.contains("x") && query.get("x").is_empty() && !query.contains("z"));
        assert_eq!(Query::parse("&&").unwrap(), Query::new());
    }

    #[test]
    fn what_is_written_is_read_back() {
        let query = Query::new()
            .with("filters", r#"{"a b":{"ü&=+%":true}}"#)
            .with("n", "")
            .with("tag", "sha256:12");
        assert_eq!(Query::parse(&query.to_string()).unwrap(), query);
        assert_eq!(
            Query::new().with("repo", "docker.io/my/bb").to_string(),
            "repo=docker.io%2Fmy%2Fbb"
        );
    }

    #[test]
    fn truth_is_dockers() {
        for (value, expected) in
            [("1", true), ("true", true), ("x", true), ("0", false), (" No ", false), ("", false)]
        {
            assert_eq!(Query::new().with("all", value).boolean("all"), expected, "{value:?}");
        }
        assert!(!Query::new().boolean("all"));
    }

    #[test]
    fn hostile_escapes_are_refused() {
        for (text, expected) in [
            ("a=%", "invalid URL escape \"%\""),
            ("a=%4", "invalid URL escape \"%4\""),
            ("%zz=b", "invalid URL escape \"%zz\""),
            ("a=%é", "invalid URL escape"),
            ("a=%ff%fe", "invalid URL: not UTF-8 text"),
        ] {
            let error = Query::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }

    #[test]
    fn paths_keep_their_slashes_and_their_plus() {
        assert_eq!(escape_path("127.0.0.1:5600/me/b b!"), "127.0.0.1:5600/me/b%20b%21");
        assert_eq!(unescape_path("/images/a%2Fb+c%21/json").unwrap(), "/images/a/b+c!/json");
        assert_eq!(unescape_path("/images/a%00b").unwrap(), "/images/a\0b");
    }
}
