//! A failure of a command, as hints see it.

use spec::Reference;

/// The image or the registry that a command is about, as far as the command line says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The image's name, as it was written.
    pub(super) name: Option<String>,
    /// Host and port of the registry.
    host: Option<String>,
    pub(super) is_push: bool,
}

impl Subject {
    /// A command about an image of this name.
    pub(crate) fn image(name: &str) -> Self {
        let reference = Reference::parse_familiar(name).ok();
        let host = reference.map(|reference| reference.repository().domain().to_owned());
        Self { name: Some(name.to_owned()), host, is_push: false }
    }

    /// A command that pushes what has this name.
    pub(crate) fn push(name: &str) -> Self {
        Self { is_push: true, ..Self::image(name) }
    }

    /// A command about a registry; none is Docker Hub.
    pub(crate) fn registry(host: Option<&str>) -> Self {
        Self { host: Some(host.unwrap_or(HUB).to_owned()), ..Self::default() }
    }
}

/// The registry of names without a host.
const HUB: &str = "docker.io";

/// A failure, as a hint sees it.
pub(super) struct Failure<'a> {
    pub(super) text: &'a str,
    pub(super) subject: &'a Subject,
}

impl Failure<'_> {
    /// The host that the failure is about: that of its URL, else that of the command.
    pub(super) fn host(&self) -> &str {
        let url = self.text.split_once("://").map(|(_, rest)| rest);
        let of_url = url.and_then(|rest| rest.split(['/', '"', '`', ' ', '?']).next());
        of_url.filter(|host| !host.is_empty()).unwrap_or_else(|| self.registry())
    }

    /// The registry that the command asked.
    pub(super) fn registry(&self) -> &str {
        self.subject.host.as_deref().unwrap_or("the registry")
    }

    /// The image, in the user's words.
    pub(super) fn image(&self) -> &str {
        // Verbs about several images name the one that they speak of.
        let told = self
            .text
            .split(": ")
            .next()
            .filter(|name| name.contains('/') && Reference::parse_familiar(name).is_ok());
        self.subject.name.as_deref().or(told).unwrap_or("NAME")
    }

    /// The image's repository, in the user's words.
    pub(super) fn repository(&self) -> String {
        let reference = Reference::parse_familiar(self.image());
        reference.map_or_else(|_| "NAME".to_owned(), |named| named.repository().familiar())
    }

    /// The command that logs in where the failure happened.
    pub(super) fn login(&self) -> String {
        match self.subject.host.as_deref().unwrap_or_else(|| self.host()) {
            HUB | "registry-1.docker.io" | "index.docker.io" => "longshore login".to_owned(),
            host => format!("longshore login {host}"),
        }
    }

    /// The text between two others in the failure's words.
    pub(super) fn between(&self, before: &str, after: &str) -> Option<&str> {
        let rest = self.text.split_once(before)?.1;
        if after.is_empty() { Some(rest) } else { Some(rest.split_once(after)?.0) }
    }
}
