//! Image references: Docker's grammar, its normalisation, and its words for what is wrong.
//!
//! A user types a *familiar* name (`alpine`, `me/app:1`, `localhost:5000/x`); everything inside works with the *canonical*
//! one (`docker.io/library/alpine`). The rules are those of the `distribution/reference` library that dockerd uses:
//!
//! ```text
//! reference  = name [ ":" tag ] [ "@" digest ]
//! name       = [ domain "/" ] component { "/" component }
//! component  = alnum { ( "." | "_" | "__" | "-"+ ) alnum }        lower case
//! domain     = ( label { "." label } | "[" IPv6 "]" ) [ ":" port ]
//! tag        = [A-Za-z0-9_] [A-Za-z0-9_.-]{0,127}
//! ```
//!
//! The text before the first `/` is a domain when it is `localhost`, holds a `.` or a `:`, or an upper-case letter. Where it is no
//! well-formed one, but could be a component of a path (`under_score.com/app`), all is the path of a repository without a domain, as
//! in Docker: such names can be given to images, and lead to no registry.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::{Digest, DigestError};

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
/// The longest path of a repository, in characters.
const MAX_PATH: usize = 255;
const MAX_TAG: usize = 128;
/// The most hex digits of a digest that go into a tag: those of SHA-256.
const MAX_HEX: usize = 64;

/// A fault of a text that is no reference, in Docker's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// The grammar does not allow it.
    #[error("invalid reference format")]
    Format,
    /// The path holds an upper-case letter.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    UpperCase(String),
    /// A text meant as a domain is none, and holds an upper-case letter.
    #[error("repository name must be lowercase")]
    UpperCaseName,
    /// The path is longer than 255 characters.
    #[error("repository name must not be more than 255 characters")]
    TooLong,
    /// 64 hex digits are an image ID and cannot name a repository.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    /// The tag is not well-formed.
    #[error("invalid tag format")]
    Tag,
    /// The text behind the `@` is no digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

/// A place of images of one name: a registry's domain and a path in it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repository {
    domain: String,
    path: String,
}

impl Repository {
    /// Parses a name without tag and digest, as a user types it.
    pub fn parse_familiar(input: &str) -> Result<Self, ReferenceError> {
        let reference = Reference::parse_familiar(input)?;
        if reference.is_name_only() {
            Ok(reference.repository)
        } else {
            Err(ReferenceError::Format)
        }
    }

    /// Returns the registry's host with its port if it has one: `docker.io`, `localhost:5000`, `[::1]:5000`. It is empty for a name
    /// that no registry can have.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Returns the path inside the registry: `library/alpine`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Says whether this is a repository of Docker Hub.
    pub fn is_docker_hub(&self) -> bool {
        self.domain == DEFAULT_DOMAIN
    }

    /// Returns the shortest name that means this repository: `alpine` for `docker.io/library/alpine`.
    pub fn familiar(&self) -> String {
        if !self.is_docker_hub() {
            return self.to_string();
        }
        match self.path.strip_prefix(OFFICIAL_PREFIX) {
            Some(name) if !name.contains('/') => name.to_owned(),
            _ => self.path.clone(),
        }
    }
}

impl fmt::Display for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.domain.is_empty() {
            write!(f, "{}/", self.domain)?;
        }
        f.write_str(&self.path)
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a version of an image in its repository.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(String);

impl Tag {
    /// Returns the tag that Docker means where none is given.
    pub fn latest() -> Self {
        Self("latest".to_owned())
    }

    /// Returns the tag under which clients list what refers to a manifest, where the registry does not (distribution
    /// specification, "Referrers Tag Schema").
    pub fn of_referrers(subject: &Digest) -> Self {
        let mut hex = subject.hex();
        hex.truncate(MAX_HEX);
        Self(format!("{}-{hex}", subject.algorithm()))
    }

    /// Returns the tags under which cosign puts signatures, attestations and SBOMs of a manifest.
    pub fn of_cosign(subject: &Digest) -> [Self; 3] {
        ["sig", "att", "sbom"].map(|kind| Self(format!("{}.{kind}", Self::of_referrers(subject))))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Tag {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let rest = |b: u8| word(b) || b == b'.' || b == b'-';
        match text.as_bytes() {
            [first, tail @ ..]
                if text.len() <= MAX_TAG && word(*first) && tail.iter().all(|b| rest(*b)) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(ReferenceError::Tag),
        }
    }
}

/// A repository, and optionally a tag, a digest or both in it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    repository: Repository,
    tag: Option<Tag>,
    digest: Option<Digest>,
}

impl Reference {
    /// Parses what a user types, with Docker's defaults for domain and `library/`; the tag is not defaulted.
    pub fn parse_familiar(input: &str) -> Result<Self, ReferenceError> {
        if input.len() == 64 && input.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(ReferenceError::LooksLikeId(input.to_owned()));
        }
        let (domain, remainder) = split_domain(input);
        let (name, digest) = match remainder.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (&*remainder, None),
        };
        let (path, tag) = match name.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (name, None),
        };
        // Docker looks for upper case in all that stands before the first colon, a digest's algorithm included.
        let before_colon = remainder.split(':').next().unwrap_or_default();
        if before_colon.chars().any(char::is_uppercase) {
            return Err(ReferenceError::UpperCase(before_colon.to_owned()));
        }
        let is_path = path.split('/').all(is_path_component);
        if !is_domain(domain) {
            return Self::without_domain(input, domain, is_path);
        }
        if !is_path {
            return Err(ReferenceError::Format);
        }
        let tag = tag.map(Tag::from_str).transpose().map_err(|_| ReferenceError::Format)?;
        let digest = digest.map(parse_digest).transpose()?;
        if path.len() > MAX_PATH {
            return Err(ReferenceError::TooLong);
        }
        let repository = Repository { domain: domain.to_owned(), path: path.to_owned() };
        Ok(Self { repository, tag, digest })
    }

    /// Parses what is no domain and a path as a path.
    fn without_domain(
        input: &str,
        first: &str,
        rest_is_path: bool,
    ) -> Result<Self, ReferenceError> {
        if !rest_is_path || !is_path_component(&first.to_ascii_lowercase()) {
            return Err(ReferenceError::Format);
        }
        if !is_path_component(first) {
            return Err(ReferenceError::UpperCaseName);
        }
        let docker_hub = Self::parse_familiar(&format!("{DEFAULT_DOMAIN}/{input}"))?;
        let repository = Repository { domain: String::new(), ..docker_hub.repository };
        Ok(Self { repository, ..docker_hub })
    }

    /// Puts a reference together from its parts.
    pub fn new(repository: Repository, tag: Option<Tag>, digest: Option<Digest>) -> Self {
        Self { repository, tag, digest }
    }

    /// Returns the repository.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    /// Returns the tag, if one is given.
    pub fn tag(&self) -> Option<&Tag> {
        self.tag.as_ref()
    }

    /// Returns the digest, if one is given.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Says whether neither a tag nor a digest is given.
    pub fn is_name_only(&self) -> bool {
        self.tag.is_none() && self.digest.is_none()
    }

    /// Returns the reference with `tag` in place of its tag.
    #[must_use]
    pub fn with_tag(mut self, tag: Tag) -> Self {
        self.tag = Some(tag);
        self
    }

    /// Returns the reference with the tag `latest` if it is a name only.
    #[must_use]
    pub fn with_default_tag(self) -> Self {
        if self.is_name_only() { self.with_tag(Tag::latest()) } else { self }
    }

    /// Returns what decides which image is meant: a digest says everything, and where there is one, the tag beside it plays no part.
    #[must_use]
    pub fn by_digest(mut self) -> Self {
        if self.digest.is_some() {
            self.tag = None;
        }
        self
    }

    /// Returns the shortest form that means the same: `alpine:3.20`.
    pub fn familiar(&self) -> String {
        self.suffixed(self.repository.familiar())
    }

    fn suffixed(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag.as_str());
        }
        if let Some(digest) = &self.digest {
            // Writing to a text does not fail.
            let _ = write!(name, "@{digest}");
        }
        name
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.suffixed(self.repository.to_string()))
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Splits off the domain, Docker Hub's where there is none, and puts `library/` before a bare name of Docker Hub.
fn split_domain(input: &str) -> (&str, Cow<'_, str>) {
    let official = |rest: &str| (DEFAULT_DOMAIN, Cow::Owned(format!("{OFFICIAL_PREFIX}{rest}")));
    let Some((first, rest)) = input.split_once('/') else { return official(input) };
    if first == LEGACY_DEFAULT_DOMAIN || first == DEFAULT_DOMAIN {
        return if rest.contains('/') {
            (DEFAULT_DOMAIN, Cow::Borrowed(rest))
        } else {
            official(rest)
        };
    }
    let is_domain =
        first == "localhost" || first.contains(['.', ':']) || first.chars().any(char::is_uppercase);
    if is_domain { (first, Cow::Borrowed(rest)) } else { (DEFAULT_DOMAIN, Cow::Borrowed(input)) }
}

fn is_domain(domain: &str) -> bool {
    let is_port = |port: &str| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    if let Some(rest) = domain.strip_prefix('[') {
        let Some((address, port)) = rest.split_once(']') else { return false };
        return !address.is_empty()
            && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
            && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port));
    }
    let (host, port) = match domain.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (domain, None),
    };
    port.is_none_or(is_port)
        && host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        })
}

fn is_path_component(component: &str) -> bool {
    let alnum = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends_well = |b: Option<&u8>| b.copied().is_some_and(alnum);
    let bytes = component.as_bytes();
    ends_well(bytes.first())
        && ends_well(bytes.last())
        && bytes.split(|b| alnum(*b)).all(|separator| {
            matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
        })
}

/// Parses a digest with the reference grammar's words: its own pattern is looser than that of a digest, so that a
/// well-formed one of an unknown algorithm or length gets the better sentence.
fn parse_digest(text: &str) -> Result<Digest, ReferenceError> {
    let well_formed = text.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm.split(['+', '.', '_', '-']).all(|word| {
            word.starts_with(|c: char| c.is_ascii_alphabetic())
                && word.bytes().all(|b| b.is_ascii_alphanumeric())
        }) && hex.len() >= 32
            && hex.bytes().all(|b| b.is_ascii_hexdigit())
    });
    if well_formed { Ok(text.parse::<Digest>()?) } else { Err(ReferenceError::Format) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn tags_made_of_digests_are_tags() {
        let hex = "ab".repeat(32);
        for text in [format!("sha256:{hex}"), format!("sha512:{hex}{hex}")] {
            let digest: Digest = text.parse().unwrap();
            let referrers = Tag::of_referrers(&digest);
            assert_eq!(referrers.as_str(), format!("{}-{hex}", digest.algorithm()));
            for tag in Tag::of_cosign(&digest).into_iter().chain([referrers]) {
                assert_eq!(tag.as_str().parse(), Ok(tag));
            }
        }
    }

    #[test]
    fn normalises_as_docker_does() {
        for (input, canonical, familiar) in [
            ("alpine", "docker.io/library/alpine", "alpine"),
            ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
            ("docker.io/alpine", "docker.io/library/alpine", "alpine"),
            ("index.docker.io/alpine", "docker.io/library/alpine", "alpine"),
            ("index.docker.io/a/b", "docker.io/a/b", "a/b"),
            ("library/alpine", "docker.io/library/alpine", "alpine"),
            ("library/a/b", "docker.io/library/a/b", "library/a/b"),
            ("me/app_x.y--z__0", "docker.io/me/app_x.y--z__0", "me/app_x.y--z__0"),
            ("localhost/x", "localhost/x", "localhost/x"),
            ("localhost:5000/x:V_1.-", "localhost:5000/x:V_1.-", "localhost:5000/x:V_1.-"),
            ("127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b", "127.0.0.1:5000/a/b"),
            ("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"),
            ("[2001:db8::1]/a", "[2001:db8::1]/a", "[2001:db8::1]/a"),
            ("xn--n3h.com/a", "xn--n3h.com/a", "xn--n3h.com/a"),
            ("UPPER/a", "UPPER/a", "UPPER/a"),
            ("foo/bar", "docker.io/foo/bar", "foo/bar"),
            ("a_b/bar", "docker.io/a_b/bar", "a_b/bar"),
            ("under_score.com/foo:x", "under_score.com/foo:x", "under_score.com/foo:x"),
            ("under__score.com/a/b_c", "under__score.com/a/b_c", "under__score.com/a/b_c"),
        ] {
            let reference =
                Reference::parse_familiar(input).unwrap_or_else(|e| panic!("{input}: {e}"));
            assert_eq!(reference.to_string(), canonical, "{input}");
            assert_eq!(reference.familiar(), familiar, "{input}");
            assert_eq!(Reference::parse_familiar(&reference.familiar()), Ok(reference.clone()));
            assert_eq!(Reference::parse_familiar(canonical), Ok(reference));
        }
    }

    #[test]
    fn refuses_with_dockers_sentences() {
        let id = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let long = "a/".repeat(128) + "a";
        let long_tag = format!("a:{}", "t".repeat(129));
        let format = "invalid reference format";
        for (input, sentence) in [
            ("", format),
            (":", format),
            ("/a", format),
            ("a/", format),
            ("a//b", format),
            ("a:", format),
            ("a:-", format),
            ("a@", format),
            ("a:b:c", format),
            ("a ", format),
            ("-a", format),
            ("a-", format),
            ("a..b", format),
            ("a___b", format),
            ("a._b", format),
            ("../etc", format),
            ("a/../b", format),
            ("a.b:x/c", format),
            ("a.b:/c", format),
            ("-a.b/c", format),
            ("[::1/a", format),
            ("[::1]x/a", format),
            ("[fe80::1%25eth0]/a", format),
            ("h.c\u{f6}m/a", format),
            ("a@sha256:ab", format),
            ("under_score.com:5000/foo", format),
            ("foo_.com/x", format),
            ("a_b.com/_x", format),
            ("under_score.com/", format),
            ("Under_score.com/foo:x", "repository name must be lowercase"),
            ("A_b/c", "repository name must be lowercase"),
            (&long_tag, format),
            ("BAD", "invalid reference format: repository name (library/BAD) must be lowercase"),
            ("a/Bad:X", "invalid reference format: repository name (a/Bad) must be lowercase"),
            (&format!("a@md5:{}", &id[..32]), "unsupported digest algorithm"),
            (&format!("a@sha256:{}", &id[..40]), "invalid checksum digest length"),
            (&long, "repository name must not be more than 255 characters"),
            (
                id,
                &format!(
                    "invalid repository name ({id}), cannot specify 64-byte hexadecimal strings"
                ),
            ),
        ] {
            let error = Reference::parse_familiar(input).expect_err(input).to_string();
            assert_eq!(error, *sentence, "{input}");
        }
    }

    #[test]
    fn keeps_tag_and_digest_apart() {
        let both = Reference::parse_familiar(&format!("a:1@{DIGEST}")).unwrap();
        assert_eq!(both.tag().map(Tag::as_str), Some("1"));
        assert_eq!(both.digest().unwrap().to_string(), DIGEST);
        assert_eq!(both.familiar(), format!("a:1@{DIGEST}"));
        assert_eq!(both.by_digest().familiar(), format!("a@{DIGEST}"));
        let tagged = Reference::parse_familiar("a:1").unwrap();
        assert_eq!(tagged.clone().by_digest(), tagged);
        let name = Reference::parse_familiar("a").unwrap();
        assert!(name.is_name_only());
        assert_eq!(name.with_default_tag().familiar(), "a:latest");
        let pinned = Reference::parse_familiar(&format!("a@{DIGEST}")).unwrap();
        assert_eq!(pinned.clone().with_default_tag(), pinned);
        assert!(Repository::parse_familiar("a:1").is_err());
    }
}
