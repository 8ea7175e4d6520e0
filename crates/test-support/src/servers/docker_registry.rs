//! Debian's `docker-registry`, in the variants that clients meet.

use std::fs;
use std::io;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::Process;
use super::token::TokenServer;
use super::{find_program, free_port, retry};
use crate::http::Client;
use crate::scripted::Identity;

/// A running `docker-registry`.
#[derive(Debug)]
pub struct DockerRegistry {
    // Dropped in this order: the server stops before its folder goes.
    process: Process,
    address: String,
    identity: Option<Identity>,
    token: Option<TokenServer>,
    storage: PathBuf,
    _folder: TempDir,
}

/// Settings of a [`DockerRegistry`].
#[derive(Clone, Debug, Default)]
#[must_use]
#[expect(clippy::struct_excessive_bools, reason = "each is a setting of its own")]
pub struct DockerRegistryBuilder {
    password: Option<(String, String)>,
    token: Option<(String, String)>,
    tls: bool,
    mirror_of: Option<String>,
    storage: Option<PathBuf>,
    keeps_all: bool,
    first_schema: bool,
    access_log: bool,
}

impl DockerRegistry {
    /// Begins with one that speaks plain HTTP and lets everybody do everything.
    pub fn builder() -> DockerRegistryBuilder {
        DockerRegistryBuilder::default()
    }

    /// Returns its `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns a client, for one that speaks plain HTTP.
    pub fn client(&self) -> Client {
        Client::new(&self.address)
    }

    /// Returns the authority that signed its certificate, for one with TLS.
    pub fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Returns its token server, for one with tokens.
    pub fn token_server(&self) -> Option<&TokenServer> {
        self.token.as_ref()
    }

    /// Returns the folder of its images.
    pub fn storage(&self) -> &Path {
        &self.storage
    }

    /// Lists the requests for repositories so far, as `GET /v2/…`, of one with an access log.
    pub fn requests(&self) -> Vec<String> {
        let log = self.process.log();
        let quoted = log.lines().filter_map(|line| line.split('"').nth(1));
        let requests = quoted.filter_map(|line| line.strip_suffix(" HTTP/1.1"));
        requests.filter(|request| !request.ends_with(" /v2/")).map(str::to_owned).collect()
    }

    /// Returns the process, to measure it or to read its log.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

impl DockerRegistryBuilder {
    /// Asks for this user and password, as Basic authentication (htpasswd).
    pub fn password(mut self, user: &str, password: &str) -> DockerRegistryBuilder {
        self.password = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Asks for a token of a [`TokenServer`] that knows this user and password.
    pub fn token(mut self, user: &str, password: &str) -> DockerRegistryBuilder {
        self.token = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// Speaks TLS with a certificate of a private authority.
    pub fn tls(mut self) -> DockerRegistryBuilder {
        self.tls = true;
        self
    }

    /// Is a pull-through mirror of the registry at this URL.
    pub fn mirror_of(mut self, url: &str) -> DockerRegistryBuilder {
        self.mirror_of = Some(url.to_owned());
        self
    }

    /// Keeps its images in this folder instead of one of its own: two servers over one folder are
    /// two ways to the same images.
    pub fn storage(mut self, folder: &Path) -> DockerRegistryBuilder {
        self.storage = Some(folder.to_owned());
        self
    }

    /// Deletes nothing, as it is set where nobody sets anything.
    pub fn without_deletion(mut self) -> DockerRegistryBuilder {
        self.keeps_all = true;
        self
    }

    /// Takes manifests of schema 1, and makes such of others for clients that know no other.
    pub fn first_schema(mut self) -> DockerRegistryBuilder {
        self.first_schema = true;
        self
    }

    /// Writes each request into its log.
    pub fn access_log(mut self) -> DockerRegistryBuilder {
        self.access_log = true;
        self
    }

    /// Starts it.
    pub fn start(&self) -> io::Result<DockerRegistry> {
        let program = find_program("docker-registry").ok_or(io::ErrorKind::NotFound)?;
        let folder = tempfile::tempdir()?;
        let storage = self.storage.clone().unwrap_or_else(|| folder.path().join("storage"));
        let identity = self.tls.then(|| Identity::new(&["127.0.0.1", "localhost"])).transpose()?;
        let token = match &self.token {
            Some((user, password)) => Some(TokenServer::start(user, password)?),
            None => None,
        };
        let mut config = self.config(folder.path(), &storage, identity.as_ref(), token.as_ref())?;
        let (process, address) = retry(|| {
            let address = format!("127.0.0.1:{}", free_port()?);
            config["http"]["addr"] = json!(address);
            let path = folder.path().join("config.yml");
            fs::write(&path, config.to_string())?;
            let mut command = Command::new(&program);
            command.arg("serve").arg(path).env("OTEL_TRACES_EXPORTER", "none");
            let ready = || TcpStream::connect(&address).is_ok();
            let process = Process::start(command, &folder.path().join("log"), ready)?;
            Ok((process, address))
        })?;
        Ok(DockerRegistry { process, address, identity, token, storage, _folder: folder })
    }

    /// JSON is YAML.
    fn config(
        &self,
        folder: &Path,
        storage: &Path,
        identity: Option<&Identity>,
        token: Option<&TokenServer>,
    ) -> io::Result<Value> {
        let mut config = json!({
            "version": "0.1",
            "log": { "level": "warn", "accesslog": { "disabled": !self.access_log } },
            "storage": {
                "filesystem": { "rootdirectory": storage },
                "delete": { "enabled": !self.keeps_all },
            },
            "http": { "secret": "for tests" },
            "compatibility": { "schema1": { "enabled": self.first_schema } },
        });
        let write = |name: &str, content: &str| {
            let path = folder.join(name);
            fs::write(&path, content).map(|()| path)
        };
        if let Some(identity) = identity {
            config["http"]["tls"] = json!({
                "certificate": write("server.crt", &identity.server_certificate)?,
                "key": write("server.key", &identity.server_key)?,
            });
        }
        if let Some((user, password)) = &self.password {
            let path = write("htpasswd", &htpasswd(user, password)?)?;
            config["auth"]["htpasswd"] = json!({ "realm": "longshore-tests", "path": path });
        }
        if let Some(token) = token {
            config["auth"]["token"] = json!({
                "realm": token.realm(),
                "service": TokenServer::SERVICE,
                "issuer": TokenServer::ISSUER,
                "rootcertbundle": write("token.crt", token.certificate())?,
            });
        }
        if let Some(url) = &self.mirror_of {
            config["proxy"] = json!({ "remoteurl": url });
        }
        Ok(config)
    }
}

/// `docker-registry` takes bcrypt alone, which `htpasswd` of apache2-utils writes.
pub(super) fn htpasswd(user: &str, password: &str) -> io::Result<String> {
    let output = Command::new("htpasswd").args(["-Bbn", user, password]).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
