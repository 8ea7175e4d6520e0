//! The server of signatures for a repository, and what was seen of it before.

use std::net::IpAddr;

use copy::RegistryConfig;
use jiff::Timestamp;
use spec::Repository;
use trust::{Cache, KeyStore, NotaryServer, Publisher, TrustError};

use crate::credentials::key_of_domain;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// The server for Docker Hub.
const HUB: &str = "https://notary.docker.io";

/// The actions at a server, which its tokens are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::verbs) enum Actions {
    /// Signatures are read.
    Read,
    /// Signatures are made, too.
    Write,
}

impl Actions {
    fn scope(self) -> &'static str {
        match self {
            Actions::Read => "pull",
            Actions::Write => "pull,push",
        }
    }
}

/// A repository at its server of signatures.
#[derive(Debug)]
pub(in crate::verbs) struct Notary {
    server: NotaryServer,
    cache: Cache,
    /// The repository, with its registry.
    pub(in crate::verbs) name: String,
    address: Address,
}

/// The address of a server, and whether the user named it.
#[derive(Debug)]
struct Address {
    base: String,
    domain: String,
    is_named: bool,
}

impl Address {
    /// Puts below a failure to reach the server the one thing to do: it is no registry, and not at the registry's address by
    /// nature.
    fn explain(&self, error: CliError) -> CliError {
        let text = error.to_string();
        if !text.contains("contacting notary server") {
            return error;
        }
        let Address { base, domain, is_named } = self;
        let hint = if text.contains("x509: ") || text.contains("certificate") {
            let host = authority(base);
            format!(
                "the trust server's certificate is not accepted: put its authority's certificate at tls/{host}/ca.crt in the folder of \
                 config.json"
            )
        } else if *is_named {
            format!(
                "the trust server {base} does not answer: see that it runs, or correct DOCKER_CONTENT_TRUST_SERVER"
            )
        } else {
            format!(
                "{domain} has no trust server: name one in DOCKER_CONTENT_TRUST_SERVER, or do without signatures by unsetting \
                 DOCKER_CONTENT_TRUST"
            )
        };
        error.advised(Some(hint))
    }
}

impl Notary {
    /// Finds the server of a repository. It need not answer.
    pub(in crate::verbs) async fn open(
        session: &Session,
        repository: &Repository,
        actions: Actions,
    ) -> Result<Notary, CliError> {
        let domain = repository.domain();
        let named = session.environment.trust_server.as_deref();
        let base = server(named, domain)?;
        let (domain, is_named) = (domain.to_owned(), named.is_some());
        let address = Address { base, domain, is_named };
        let Address { base, domain, .. } = &address;
        let directory = session.own_directory()?;
        let config = RegistryConfig {
            certs_dirs: vec![directory.join("tls")],
            credentials: None,
            insecure: Vec::new(),
            mirrors: Vec::new(),
            ..session.registries()?
        };
        let auth = session.credentials_to_read().get_or_warn(key_of_domain(domain)).await;
        let name = repository.to_string();
        // As docker, but only for a server on this very machine: there is nobody in between.
        let any_certificate = is_local(domain) && is_local(&authority(base));
        let credentials = daemon::credentials(auth);
        let scope = (name.as_str(), actions.scope());
        let server = trust::connect(config, base, scope, &credentials, any_certificate);
        let server =
            server.await.map_err(|error| address.explain(CliError::Trust(error.to_string())))?;
        let trust = directory.join("trust");
        let opened = Cache::open(&trust, &name, |holder| {
            output::warn_line(&format!(
                "Waiting for {holder}, which is at the trust data of {name}"
            ));
        });
        let cache = opened.await.map_err(|error| CliError::Trust(error.about(&name)))?;
        Ok(Notary { server, cache, name, address })
    }

    /// Tells of a failure at the server in docker's words.
    pub(in crate::verbs) fn failed(&self, error: &TrustError) -> CliError {
        self.explain(CliError::Trust(error.about(&self.name)))
    }

    /// Puts below a failure what can be done about the server, if it is one of the server's.
    pub(super) fn explain(&self, error: CliError) -> CliError {
        self.address.explain(error)
    }

    /// Fetches what is new, and checks all of it.
    pub(in crate::verbs) async fn update(&self) -> Result<trust::Repository, TrustError> {
        let now = Timestamp::now();
        let found = trust::update(&self.server, &self.cache, &self.name, now, false).await?;
        for warning in &found.warnings {
            output::warn_line(&format!("WARNING: {warning}"));
        }
        Ok(found)
    }
}

impl Notary {
    /// Returns what signs for the repository by these keys.
    pub(super) fn publisher<'a, P>(
        &'a self,
        keys: &'a KeyStore<P>,
    ) -> Publisher<'a, NotaryServer, P> {
        let (server, cache) = (&self.server, &self.cache);
        Publisher { server, cache, keys, repository: &self.name }
    }
}

/// Returns the URL of the server for a registry.
fn server(named: Option<&str>, domain: &str) -> Result<String, CliError> {
    match named {
        Some(url) => {
            let https = url.get(..8).is_some_and(|head| head.eq_ignore_ascii_case("https://"));
            if https && !authority(url).is_empty() {
                return Ok(url.to_owned());
            }
            let message = format!("valid https URL required for trust server, got {url}");
            Err(CliError::Trust(message))
        }
        None if domain == "docker.io" => Ok(HUB.to_owned()),
        None => Ok(format!("https://{domain}")),
    }
}

/// Returns host and port of a URL.
fn authority(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit('@').next().unwrap_or_default().to_owned()
}

/// Says whether a host, with or without a port, is this machine by its very name.
fn is_local(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_found_as_docker_finds_them() {
        let found = |named, domain| server(named, domain).map_err(|error| error.to_string());
        assert_eq!(found(None, "docker.io").unwrap(), HUB);
        assert_eq!(found(None, "r.example:5000").unwrap(), "https://r.example:5000");
        assert_eq!(found(Some("HTTPS://n:1/x"), "docker.io").unwrap(), "HTTPS://n:1/x");
        for url in ["http://n", "n:4443", "https://", "ftp://n"] {
            let expected = format!("valid https URL required for trust server, got {url}");
            assert_eq!(found(Some(url), "docker.io").unwrap_err(), expected);
        }
    }

    #[test]
    fn only_this_machine_is_trusted_without_a_certificate() {
        for (host, local) in [
            ("localhost:5000", true),
            ("127.0.0.1", true),
            ("127.9.9.9:4443", true),
            ("[::1]:4443", true),
            ("localhost.example", false),
            ("127.0.0.1.example:1", false),
            ("10.0.0.1:5000", false),
            ("", false),
        ] {
            assert_eq!(is_local(host), local, "{host}");
        }
        assert_eq!(authority("https://user@127.0.0.1:1/x"), "127.0.0.1:1");
        assert_eq!(authority("https://127.0.0.1@evil.example/"), "evil.example");
    }
}
