//! From a method's path to a typed target. Nothing unchecked gets past here.

use serde_json::json;
use spec::Digest;

use crate::error::{Code, Failure};
use crate::name::RepositoryName;
use crate::query::decode;
use crate::storage::{Reference, UploadId};

/// The subject of a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The page for people.
    Page,
    Base,
    Catalog,
    Tags(RepositoryName),
    Manifest(RepositoryName, Named),
    Blob(RepositoryName, Digest),
    Uploads(RepositoryName),
    Upload(RepositoryName, UploadId),
    Referrers(RepositoryName, Digest),
}

/// A manifest's name in a path. One that cannot be is kept as it was: there is no such manifest,
/// which is an answer to GET, and a mistake in a PUT.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Named {
    Reference(Reference),
    Impossible(String),
}

/// Reads the path of a request.
pub(crate) fn target(path: &str) -> Result<Target, Failure> {
    let unknown =
        || Failure::new(Code::NameUnknown, "no such endpoint").detail(json!({ "path": path }));
    // Decoding first is safe: the grammars are applied to what came out.
    let decoded = decode(path).ok_or_else(unknown)?;
    if decoded == "/" {
        return Ok(Target::Page);
    }
    let path = match decoded.strip_prefix("/v2") {
        Some("" | "/") => return Ok(Target::Base),
        Some("/_catalog") => return Ok(Target::Catalog),
        Some(path) => path.strip_prefix('/').ok_or_else(unknown)?,
        None => return Err(unknown()),
    };
    // From the end: a repository may be called `a/blobs/b` or `tags/list`.
    let (head, last) = path.rsplit_once('/').ok_or_else(unknown)?;
    let (before, kind) = head.rsplit_once('/').unwrap_or(("", head));
    match (kind, last) {
        ("tags", "list") => Ok(Target::Tags(name(before)?)),
        ("manifests", reference) => Ok(Target::Manifest(name(before)?, named(reference))),
        ("referrers", text) => Ok(Target::Referrers(name(before)?, digest(text)?)),
        ("blobs", "uploads") => Ok(Target::Uploads(name(before)?)),
        ("blobs", text) => Ok(Target::Blob(name(before)?, digest(text)?)),
        ("uploads", id) => {
            let repository = before.strip_suffix("/blobs").ok_or_else(unknown)?;
            let repository = name(repository)?;
            if id.is_empty() {
                return Ok(Target::Uploads(repository));
            }
            let id = id.parse().map_err(|_| Failure::upload_unknown())?;
            Ok(Target::Upload(repository, id))
        }
        _ => Err(unknown()),
    }
}

/// Reads a repository's name.
pub(crate) fn name(text: &str) -> Result<RepositoryName, Failure> {
    text.parse().map_err(|_| {
        Failure::new(Code::NameInvalid, "invalid repository name").detail(json!({ "name": text }))
    })
}

/// Reads a digest.
pub(crate) fn digest(text: &str) -> Result<Digest, Failure> {
    text.parse().map_err(|error: spec::DigestError| {
        Failure::new(Code::DigestInvalid, error.to_string()).detail(json!({ "digest": text }))
    })
}

fn named(text: &str) -> Named {
    text.parse().map_or_else(|_| Named::Impossible(text.to_owned()), Named::Reference)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    const ID: &str = "0123456789abcdef0123456789abcdef";

    #[test]
    fn paths() {
        let repository = |text: &str| text.parse::<RepositoryName>().unwrap();
        let digest: Digest = format!("sha256:{HEX}").parse().unwrap();
        let id: UploadId = ID.parse().unwrap();
        let tag = |text: &str| Named::Reference(text.parse().unwrap());
        for (path, expected) in [
            ("/".to_owned(), Target::Page),
            ("/v2".to_owned(), Target::Base),
            ("/v2/".to_owned(), Target::Base),
            ("/v2/_catalog".to_owned(), Target::Catalog),
            ("/v2/a/tags/list".to_owned(), Target::Tags(repository("a"))),
            ("/v2/tags/list/tags/list".to_owned(), Target::Tags(repository("tags/list"))),
            ("/v2/a/b/manifests/1".to_owned(), Target::Manifest(repository("a/b"), tag("1"))),
            (
                "/v2/a/manifests/.bad".to_owned(),
                Target::Manifest(repository("a"), Named::Impossible(".bad".to_owned())),
            ),
            (
                format!("/v2/a/manifests/sha256%3A{HEX}"),
                Target::Manifest(
                    repository("a"),
                    Named::Reference(Reference::Digest(digest.clone())),
                ),
            ),
            (
                format!("/v2/a/blobs/b/blobs/sha256:{HEX}"),
                Target::Blob(repository("a/blobs/b"), digest.clone()),
            ),
            ("/v2/a/blobs/uploads/".to_owned(), Target::Uploads(repository("a"))),
            ("/v2/a/blobs/uploads".to_owned(), Target::Uploads(repository("a"))),
            (format!("/v2/a/b/blobs/uploads/{ID}"), Target::Upload(repository("a/b"), id)),
            (format!("/v2/a/referrers/sha256:{HEX}"), Target::Referrers(repository("a"), digest)),
        ] {
            assert_eq!(target(&path).unwrap(), expected, "{path}");
        }
    }

    #[test]
    fn paths_that_lead_nowhere() {
        for (path, code) in [
            ("", Code::NameUnknown),
            ("/v1/", Code::NameUnknown),
            ("/v2x/a/tags/list", Code::NameUnknown),
            ("/v2/a", Code::NameUnknown),
            ("/v2/a/tags", Code::NameUnknown),
            ("/v2/a/tags/other", Code::NameUnknown),
            ("/v2/a/uploads/x", Code::NameUnknown),
            ("/v2/a/%zz/list", Code::NameUnknown),
            ("/v2/tags/list", Code::NameInvalid),
            ("/v2//tags/list", Code::NameInvalid),
            ("/v2/../tags/list", Code::NameInvalid),
            ("/v2/a/../../b/tags/list", Code::NameInvalid),
            ("/v2/%2e%2e/tags/list", Code::NameInvalid),
            ("/v2/..%2f..%2fetc/tags/list", Code::NameInvalid),
            ("/v2/a/_tags/tags/list", Code::NameInvalid),
            ("/v2/A/manifests/1", Code::NameInvalid),
            ("/v2/a/blobs/sha256:..", Code::DigestInvalid),
            ("/v2/a/blobs/..%2f..%2fpasswd", Code::NameUnknown),
            ("/v2/a/blobs/md5:d41d8cd98f00b204e9800998ecf8427e", Code::DigestInvalid),
            ("/v2/a/referrers/latest", Code::DigestInvalid),
            ("/v2/a/blobs/uploads/..", Code::BlobUploadUnknown),
            ("/v2/a/blobs/uploads/%2e%2e%2fx", Code::NameUnknown),
        ] {
            assert_eq!(target(path).unwrap_err().code, code, "{path}");
        }
    }
}
