//! The name of an image in the eyes of a policy: a transport, the scopes that it is in, and its reference if it has one.

use std::path::Path;

use spec::{Digest, Reference};

/// The reason why no image of a transport could be in a scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeFault {
    /// The transport knows no scopes.
    #[error("all images of this kind are in the scope \"\"")]
    Only,
    /// Not a path from the root.
    #[error("the path is not absolute")]
    Relative,
    /// The root is above all, as the empty scope is.
    #[error("the scope of all is \"\"")]
    Root,
    /// A path that is written in another manner than paths are looked for.
    #[error("the path is not written in its shortest form")]
    Long,
    /// A digest is no name.
    #[error("a digest is no place")]
    Digest,
}

/// The name that an image was asked for by.
#[derive(Clone, Debug)]
pub struct ImageName {
    transport: &'static str,
    /// The most specific one first.
    scopes: Vec<String>,
    reference: Option<Reference>,
    shown: String,
}

impl ImageName {
    /// Names an image at a registry. What is asked for by a tag and a digest is in the scopes of both.
    pub fn at_registry(reference: &Reference) -> Self {
        Self::named("docker", reference)
    }

    /// Names an image of a daemon.
    pub fn at_daemon(reference: &Reference) -> Self {
        Self::named("docker-daemon", reference)
    }

    fn named(transport: &'static str, reference: &Reference) -> Self {
        let reference = reference.clone().with_default_tag();
        let repository = reference.repository();
        let mut scopes = vec![reference.clone().by_digest().to_string()];
        if let (Some(tag), Some(_)) = (reference.tag(), reference.digest()) {
            scopes.push(Reference::new(repository.clone(), Some(tag.clone()), None).to_string());
        }
        let mut name = repository.to_string();
        scopes.push(name.clone());
        while let Some(slash) = name.rfind('/') {
            name.truncate(slash);
            scopes.push(name.clone());
        }
        // A port is not part of a domain. An address has no domains above it, though it is looked for as if it had.
        let mut host = repository.domain().split(':').next().unwrap_or_default();
        while let Some((_, parent)) = host.split_once('.') {
            scopes.push(format!("*.{parent}"));
            host = parent;
        }
        Self { transport, scopes, shown: reference.familiar(), reference: Some(reference) }
    }

    /// Names an image in a file or folder, of which `name` is the one that is meant.
    pub fn in_file(transport: &'static str, path: &Path, name: &str) -> Self {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let path = path.canonicalize().unwrap_or(path);
        let whole = path.display().to_string();
        let separator = if name.is_empty() { "" } else { ":" };
        let shown = format!("{transport}:{whole}{separator}{name}");
        // The name is in no scope: it and none at all may mean the same image.
        let folders = path.ancestors().filter(|folder| folder.parent().is_some());
        let scopes = folders.map(|folder| folder.display().to_string()).collect();
        Self { transport, scopes, reference: None, shown }
    }

    /// Names another image in the same scopes.
    #[must_use]
    pub fn shown_as(self, shown: String) -> Self {
        Self { shown, ..self }
    }

    /// Names an image of an archive, of which policies know nothing but the kind.
    pub fn in_archive(transport: &'static str, shown: String) -> Self {
        Self { transport, scopes: Vec::new(), reference: None, shown }
    }

    pub(crate) fn transport(&self) -> &'static str {
        self.transport
    }

    pub(crate) fn scopes(&self) -> &[String] {
        &self.scopes
    }

    pub(crate) fn reference(&self) -> Option<&Reference> {
        self.reference.as_ref()
    }
}

/// Refuses the scopes that containers/image refuses, as no image could be in them.
pub(super) fn check_scope(transport: &str, scope: &str) -> Result<(), ScopeFault> {
    match transport {
        _ if scope.is_empty() => Ok(()),
        "docker-archive" => Err(ScopeFault::Only),
        "docker-daemon" if scope.parse::<Digest>().is_ok() => Err(ScopeFault::Digest),
        "dir" | "oci" | "oci-archive" => {
            let rest = scope.strip_prefix('/').ok_or(ScopeFault::Relative)?;
            if rest.is_empty() {
                return Err(ScopeFault::Root);
            }
            let is_long = rest.split('/').any(|part| matches!(part, "" | "." | ".."));
            if is_long { Err(ScopeFault::Long) } else { Ok(()) }
        }
        _ => Ok(()),
    }
}

impl std::fmt::Display for ImageName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}
