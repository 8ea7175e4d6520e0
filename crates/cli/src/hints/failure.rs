//! A failure of a command, as hints see it.

use std::path::PathBuf;

use spec::Reference;

/// The image or the registry that a command is about, as far as the command line says it, and where its logins are from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subject {
    /// The image's name, as it was written.
    pub(super) name: Option<String>,
    /// Host and port of the registry.
    host: Option<String>,
    pub(super) is_push: bool,
    /// The flags that give a login, each for a repository.
    flags: Vec<(Reference, &'static str)>,
    ambient: Ambient,
    /// The folder of the command line's configuration; empty where there is none.
    config: PathBuf,
}

/// The logins of `DOCKER_AUTH_CONFIG`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Ambient {
    #[default]
    Unset,
    /// The hosts that it has logins for.
    Hosts(Vec<String>),
    /// It says something that cannot be read.
    Unreadable,
}

impl Subject {
    /// A command about an image of this name.
    pub(crate) fn image(name: &str) -> Self {
        let reference = Reference::parse_familiar(name).ok();
        let host = reference.map(|reference| reference.repository().domain().to_owned());
        Self { name: Some(name.to_owned()), host, ..Self::default() }
    }

    /// A command that pushes what has this name.
    pub(crate) fn push(name: &str) -> Self {
        Self { is_push: true, ..Self::image(name) }
    }

    /// A command about a registry; none is Docker Hub.
    pub(crate) fn registry(host: Option<&str>) -> Self {
        Self { host: Some(host.unwrap_or(HUB).to_owned()), ..Self::default() }
    }

    /// A command that logs in at repositories by flags of its own.
    pub(crate) fn with_flags(flags: Vec<(Reference, &'static str)>) -> Self {
        Self { flags, ..Self::default() }
    }

    /// The same command, with logins of the environment.
    pub(crate) fn with_ambient(self, ambient: Ambient) -> Self {
        Self { ambient, ..self }
    }

    /// The same command, with this folder of the configuration.
    pub(crate) fn with_config(self, config: PathBuf) -> Self {
        Self { config, ..self }
    }
}

/// The registry of names without a host.
const HUB: &str = "docker.io";

/// A failure, as a hint sees it. What is not known of it is `None`, and a hint that would have to name it is not given.
pub(super) struct Failure<'a> {
    pub(super) text: &'a str,
    pub(super) subject: &'a Subject,
}

impl Failure<'_> {
    /// The host that the failure is about: that of its URL, else that of the command.
    pub(super) fn host(&self) -> Option<String> {
        self.of_url().map(str::to_owned).or_else(|| self.registry())
    }

    /// The registry that the command asked.
    pub(super) fn registry(&self) -> Option<String> {
        let told = || Some(self.told()?.1.repository().domain().to_owned());
        self.subject.host.clone().or_else(told).or_else(|| self.of_url().map(str::to_owned))
    }

    fn of_url(&self) -> Option<&str> {
        let (_, rest) = self.text.split_once("://")?;
        let host = rest.split(['/', '"', '`', ' ', '?']).next();
        host.filter(|host| !host.is_empty())
    }

    /// The image that the text begins with: verbs about several name the one that they speak of.
    fn told(&self) -> Option<(&str, Reference)> {
        let name = self.text.split(": ").next().filter(|name| name.contains('/'))?;
        Some((name, Reference::parse_familiar(name).ok()?))
    }

    /// The image, in the user's words.
    pub(super) fn image(&self) -> Option<&str> {
        self.subject.name.as_deref().or_else(|| self.told().map(|(name, _)| name))
    }

    /// The image's repository, in the user's words.
    pub(super) fn repository(&self) -> Option<String> {
        Some(Reference::parse_familiar(self.image()?).ok()?.repository().familiar())
    }

    /// The way to another login where the failure happened: a command, or the place that the login which failed is from.
    pub(super) fn login(&self) -> Option<String> {
        if let Some(flag) = self.flag() {
            return Some(format!("correct {flag}"));
        }
        let host = self.subject.host.clone().or_else(|| self.host())?;
        let is_hub = matches!(host.as_str(), HUB | "registry-1.docker.io" | "index.docker.io");
        match &self.subject.ambient {
            Ambient::Unreadable => {
                return Some("correct DOCKER_AUTH_CONFIG, which cannot be read".to_owned());
            }
            Ambient::Hosts(hosts)
                if hosts.contains(&host)
                    || is_hub && hosts.iter().any(|host| host.ends_with("docker.io")) =>
            {
                return Some(
                    "correct DOCKER_AUTH_CONFIG, which goes before `longshore login`".to_owned(),
                );
            }
            _ => {}
        }
        Some(if is_hub {
            "`longshore login`".to_owned()
        } else {
            format!("`longshore login {host}`")
        })
    }

    /// The flag that gave the login: that of the repository that the text names, else that of the host.
    fn flag(&self) -> Option<&'static str> {
        let flags = &self.subject.flags;
        if let Some((_, told)) = self.told() {
            let found = flags.iter().find(|(place, _)| place.repository() == told.repository());
            return found.map(|(_, flag)| *flag);
        }
        let host = self.host()?;
        let found = flags.iter().find(|(place, _)| place.repository().domain() == host);
        found.map(|(_, flag)| *flag)
    }

    /// Says whether it is about a file in the folder of the configuration.
    pub(super) fn is_in_config(&self) -> bool {
        let folder = &self.subject.config;
        !folder.as_os_str().is_empty() && self.text.contains(&format!("{}/", folder.display()))
    }

    /// The text between two others in the failure's words.
    pub(super) fn between(&self, before: &str, after: &str) -> Option<&str> {
        let rest = self.text.split_once(before)?.1;
        if after.is_empty() { Some(rest) } else { Some(rest.split_once(after)?.0) }
    }
}
