//! The check of a registry: all that a pull finds out before it downloads, of every host.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use http::{StatusCode, header};
use reqwest::{Method, Url};
use spec::{Descriptor, Repository};

use crate::{
    Access, Client, Credentials, RegistryError, TagOrDigest,
    auth::session::Session,
    error::redact,
    hosts::access::Need,
    hosts::configured::Security,
    http::endpoint::{Call, Endpoint},
    http::retry::Tries,
    http::transport::Answer,
    manifests::{described, manifest_call},
};

/// The subject of a check.
#[derive(Clone, Debug)]
pub enum Checked {
    /// A registry as such.
    Registry(String),
    /// A tag or a digest in a repository.
    Image(Repository, TagOrDigest),
}

/// The findings of a check.
#[derive(Clone, Debug)]
pub struct RegistryCheck {
    /// Host and port, as in the name of an image.
    pub registry: String,
    /// The `hosts.toml` that counts for it.
    pub hosts_file: Option<PathBuf>,
    /// Keys of the file that do nothing.
    pub warnings: Vec<String>,
    /// The endpoints in the order in which they are asked.
    pub endpoints: Vec<EndpointCheck>,
    /// Index of the endpoint that says what the name means, if one can.
    pub resolver: Option<usize>,
    /// Index of the endpoint that is asked for content first.
    pub provider: Option<usize>,
}

/// One endpoint.
#[derive(Clone, Debug)]
pub struct EndpointCheck {
    /// Scheme, host and path.
    pub url: String,
    /// True if another one is asked if it fails.
    pub mirror: bool,
    /// The setting, or the file and line, that put it on the list.
    pub setting: String,
    /// Its capabilities: `pull`, `resolve`, `push`.
    pub capabilities: Vec<&'static str>,
    /// The check of its certificate.
    pub tls: TlsCheck,
    /// The proxy on the way, without its user.
    pub proxy: Option<String>,
    /// Names of the headers that it is sent.
    pub headers: Vec<String>,
    /// The origin of the credentials that it was shown; nothing if none were.
    pub credentials: Option<String>,
    /// Its requests and answers.
    pub probes: Vec<Probe>,
    /// True if it has what was looked for.
    pub works: bool,
}

/// The check of an endpoint's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsCheck {
    /// There is none: plain HTTP.
    Plain,
    /// Any will do.
    Unverified,
    /// By the system's authorities, and those in these files. We show one of those in the other files.
    Verified {
        /// Files with more authorities.
        authorities: Vec<PathBuf>,
        /// Files with client certificates.
        identities: Vec<PathBuf>,
    },
}

/// One request, and what came of it.
#[derive(Clone, Debug)]
pub struct Probe {
    /// Method and URL, without secrets.
    pub request: String,
    /// The answer's status. None was had where there is an error.
    pub status: Option<u16>,
    /// The failure.
    pub error: Option<String>,
    /// The descriptor in the answer.
    pub found: Option<Descriptor>,
    /// Its duration.
    pub took: Duration,
}

impl Client {
    /// Asks all endpoints what they know of something. Nothing is downloaded; `credentials` are for the registry itself.
    pub async fn check(
        &self,
        what: &Checked,
        credentials: &Credentials,
    ) -> Result<RegistryCheck, RegistryError> {
        let registry = match what {
            Checked::Registry(registry) => registry.as_str(),
            Checked::Image(repository, _) => repository.domain(),
        };
        let file = self.hosts_file(registry).await?;
        let mut candidates = self.candidates(registry, Access::Pull).await?;
        // A registry known for plain HTTP is listed twice.
        let mut seen = Vec::new();
        candidates.retain(|candidate| {
            let url = &candidate.endpoint.host.base;
            let new = !seen.contains(url);
            seen.push(url.clone());
            new
        });
        let checks = candidates.iter().map(|candidate| async {
            // Once: whoever asks wants to see what fails.
            let endpoint = Endpoint::clone(&candidate.endpoint);
            self.check_endpoint(
                Arc::new(Endpoint { tries: Tries::NONE, ..endpoint }),
                what,
                credentials,
            )
            .await
        });
        let endpoints = join_all(checks).await;
        let able = |need: Need| {
            let mut pairs = candidates.iter().zip(&endpoints);
            pairs.position(|(candidate, check)| {
                check.works && candidate.endpoint.host.settings.capabilities.allow(need)
            })
        };
        let needed = match what {
            Checked::Image(_, TagOrDigest::Tag(_)) => Need::Resolve,
            _ => Need::Pull,
        };
        Ok(RegistryCheck {
            registry: registry.to_owned(),
            hosts_file: file.as_ref().map(|file| file.path.clone()),
            warnings: file.map(|file| file.warnings).unwrap_or_default(),
            resolver: able(needed),
            provider: able(Need::Pull),
            endpoints,
        })
    }

    async fn check_endpoint(
        &self,
        endpoint: Arc<Endpoint>,
        what: &Checked,
        credentials: &Credentials,
    ) -> EndpointCheck {
        let lookup = self.credential_lookup(&endpoint, Some(credentials));
        let scope = match what {
            Checked::Registry(_) => None,
            Checked::Image(repository, _) => Some(format!("repository:{}:pull", repository.path())),
        };
        let session = Session::new(Arc::clone(&endpoint), lookup, scope, self.tokens());
        let mut probing = Probing { session, probes: Vec::new() };
        let works = probing.run(what).await;
        let place = &endpoint.host;
        let tls = match place.base.scheme() {
            "http" => TlsCheck::Plain,
            _ if place.security != Security::Verified => TlsCheck::Unverified,
            _ => TlsCheck::Verified {
                authorities: endpoint.files.authorities.clone(),
                identities: endpoint.files.identities.clone(),
            },
        };
        EndpointCheck {
            url: endpoint.shown(&endpoint.host.base),
            mirror: endpoint.host.mirror,
            setting: place.setting.to_string(),
            capabilities: place.settings.capabilities.names(),
            tls,
            proxy: endpoint.proxies.proxy(&endpoint.host.base).map(redact::shown),
            headers: place.headers().keys().map(ToString::to_string).collect(),
            credentials: probing.session.origin().map(ToOwned::to_owned),
            probes: probing.probes,
            works,
        }
    }
}

struct Probing {
    session: Session,
    probes: Vec<Probe>,
}

/// Says whether an answer is what proxies, portals and wrong addresses answer.
fn is_page(answer: &Answer) -> bool {
    answer
        .header(&header::CONTENT_TYPE)
        .is_some_and(|value| value.trim_start().starts_with("text/html"))
}

impl Probing {
    /// Asks one question after the other, as long as the answers allow. Returns whether the last one was good.
    async fn run(&mut self, what: &Checked) -> bool {
        let root = self.session.endpoint.url("");
        if !self.session.endpoint.host.settings.override_path {
            let begun = Instant::now();
            let answered = self.session.ping().await;
            let Some(answer) = self.note(&Method::GET, &root, begun, answered) else {
                return false;
            };
            let anonymous = answer.status() == StatusCode::OK;
            if let Err(error) = self.session.read_challenges(answer).await {
                self.complain(error.to_string());
                return false;
            }
            if anonymous && matches!(what, Checked::Registry(_)) {
                return true;
            }
        }
        if !self.authority().await {
            return false;
        }
        let call = match what {
            Checked::Registry(_) => Call::new(Method::GET, root),
            Checked::Image(repository, target) => {
                manifest_call(&self.session, repository, Method::HEAD, target, false)
            }
        };
        let (method, url) = (call.method.clone(), call.url.clone());
        let begun = Instant::now();
        let answered = self.session.send(call).await;
        let Some(answer) = self.note(&method, &url, begun, answered) else { return false };
        let good = answer.status() == StatusCode::OK;
        let found = described(&answer).filter(|_| good);
        let is_page = found.is_none() && good && is_page(&answer);
        answer.discard().await;
        if is_page && matches!(what, Checked::Image(..)) {
            self.complain("it answers with a web page instead of a manifest".to_owned());
            return false;
        }
        if let (Checked::Image(_, TagOrDigest::Digest(wanted)), Some(found)) = (what, &found)
            && found.digest != *wanted
        {
            self.complain(format!("it says that this is {}", found.digest));
            return false;
        }
        if let Some(probe) = self.probes.last_mut() {
            probe.found = found;
        }
        good
    }

    /// Gets what the endpoint has asked for, which takes a request where that is a token.
    async fn authority(&mut self) -> bool {
        let realm = self.session.realm();
        let begun = Instant::now();
        let Err(fault) = self.session.authorization(&[], None).await else {
            if let Some(realm) = realm {
                self.push(&Method::GET, &realm, begun, (Some(StatusCode::OK), None));
            }
            return true;
        };
        match realm {
            Some(realm) => self.push(&Method::GET, &realm, begun, (None, Some(fault.to_string()))),
            None => self.complain(fault.to_string()),
        }
        false
    }

    fn note(
        &mut self,
        method: &Method,
        url: &Url,
        begun: Instant,
        answered: Result<Answer, RegistryError>,
    ) -> Option<Answer> {
        let shown = self.session.endpoint.shown(url);
        match answered {
            Ok(answer) => {
                self.push(method, &shown, begun, (Some(answer.status()), None));
                Some(answer)
            }
            Err(error) => {
                self.push(method, &shown, begun, (None, Some(error.to_string())));
                None
            }
        }
    }

    fn push(
        &mut self,
        method: &Method,
        url: &str,
        begun: Instant,
        (status, error): (Option<StatusCode>, Option<String>),
    ) {
        self.probes.push(Probe {
            request: format!("{method} {url}"),
            status: status.map(|status| status.as_u16()),
            error,
            found: None,
            took: begun.elapsed(),
        });
    }

    /// Adds what is wrong to what was asked last.
    fn complain(&mut self, error: String) {
        if let Some(probe) = self.probes.last_mut() {
            probe.error = Some(error);
        }
    }
}
