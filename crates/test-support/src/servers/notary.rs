//! Debian's `notary-server`, which keeps signatures in its memory and signs with keys of its own.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::process::Process;
use super::token::TokenServer;
use super::{find_program, free_port, retry};
use crate::http::Client;
use crate::scripted::{Answer, Identity, Received, Scripted, challenge_basic};

/// A running `notary-server`.
#[derive(Debug)]
pub struct Notary {
    // Dropped in this order: the servers stop before their folder goes.
    servers: Servers,
    address: String,
    identity: Identity,
    _folder: TempDir,
}

#[derive(Debug)]
struct Servers {
    process: Process,
    _signer: Option<Process>,
    _token: Option<TokenServer>,
    script: Option<(Scripted, Client, Runtime)>,
}

impl Notary {
    /// Starts one that signs by itself, by HTTPS and with a certificate of a private authority.
    pub fn start() -> io::Result<Notary> {
        Notary::run(false, None)
    }

    /// Starts one whose keys are a `notary-signer`'s, which it reaches by TLS with certificates on both sides.
    pub fn with_signer() -> io::Result<Notary> {
        Notary::run(true, None)
    }

    /// Starts one that asks for a token of a [`TokenServer`], which gives none that is good for anything but to this user.
    pub fn with_tokens(user: &str, password: &str) -> io::Result<Notary> {
        Notary::run(false, Some((user, password)))
    }

    /// Starts one behind a server that passes everything on, but what a test makes it say.
    pub fn behind_script() -> io::Result<Notary> {
        let plain = |address: &str| json!({ "http_addr": address });
        let folder = tempfile::tempdir()?;
        let more = json!({ "trust_service": own_keys() });
        let (process, address) = start("notary-server", folder.path(), plain, &more)?;
        let identity = Identity::new(&["127.0.0.1", "localhost"])?;
        let runtime = Runtime::new()?;
        let script = runtime.block_on(Scripted::start_tls(&identity))?;
        let client = Client::new(address);
        for method in ["GET", "POST"] {
            let client = client.clone();
            script.reply(method, "/*", move |received| pass_on(&client, received));
        }
        let address = script.host();
        let script = Some((script, client, runtime));
        let (signer, token) = (None, None);
        let servers = Servers { process, _signer: signer, _token: token, script };
        Ok(Notary { servers, address, identity, _folder: folder })
    }

    /// Returns what is said before one that is behind a script.
    pub fn script(&self) -> Option<&Scripted> {
        self.servers.script.as_ref().map(|(script, ..)| script)
    }

    /// Returns what asks the server behind a script.
    pub fn client(&self) -> Option<&Client> {
        self.servers.script.as_ref().map(|(_, client, _)| client)
    }

    /// Asks for this user and password, as Basic authentication, before one that is behind a script.
    pub fn ask_for_password(&self, user: &str, password: &str) {
        let Some((script, client, _)) = &self.servers.script else { return };
        let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        for method in ["GET", "POST"] {
            let (client, expected) = (client.clone(), expected.clone());
            script.reply(method, "/*", move |received| {
                if received.header("authorization") == Some(&expected) {
                    return pass_on(&client, received);
                }
                let (name, challenge) = challenge_basic();
                Answer::error(401, "UNAUTHORIZED", "authentication required")
                    .header(name, challenge)
            });
        }
    }

    fn run(with_signer: bool, user: Option<(&str, &str)>) -> io::Result<Notary> {
        let folder = tempfile::tempdir()?;
        let identity = Identity::new(&["127.0.0.1", "localhost"])?;
        let write = |name: &str, content: &str| fs::write(folder.path().join(name), content);
        write("authority.crt", &identity.authority)?;
        write("server.crt", &identity.server_certificate)?;
        write("server.key", &identity.server_key)?;
        write("client.crt", &identity.client_certificate)?;
        write("client.key", &identity.client_key)?;
        let (signer, service) = if with_signer {
            let settings = |address: &str| {
                json!({
                    "grpc_addr": address,
                    "tls_cert_file": "./server.crt",
                    "tls_key_file": "./server.key",
                    "client_ca_file": "./authority.crt",
                })
            };
            let (signer, address) = start("notary-signer", folder.path(), settings, &json!({}))?;
            let (_, port) = address.rsplit_once(':').unwrap_or_default();
            let service = json!({
                "type": "remote",
                "hostname": "127.0.0.1",
                "port": port,
                "tls_ca_file": "./authority.crt",
                "tls_client_cert": "./client.crt",
                "tls_client_key": "./client.key",
                "key_algorithm": "ecdsa",
            });
            (Some(signer), service)
        } else {
            (None, own_keys())
        };
        let settings = |address: &str| {
            json!({
                "http_addr": address,
                "tls_cert_file": "./server.crt",
                "tls_key_file": "./server.key",
            })
        };
        let mut more = json!({ "trust_service": service });
        let token = match user {
            Some((user, password)) => Some(TokenServer::closed(user, password, &identity)?),
            None => None,
        };
        if let Some(token) = &token {
            write("token.crt", token.certificate())?;
            let options = json!({
                "realm": token.realm(),
                "service": TokenServer::SERVICE,
                "issuer": TokenServer::ISSUER,
                "rootcertbundle": folder.path().join("token.crt"),
            });
            more["auth"] = json!({ "type": "token", "options": options });
        }
        let (process, address) = start("notary-server", folder.path(), settings, &more)?;
        let servers = Servers { process, _signer: signer, _token: token, script: None };
        Ok(Notary { servers, address, identity, _folder: folder })
    }

    /// Returns its `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Returns its address, as `DOCKER_CONTENT_TRUST_SERVER` has it.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Writes its authority where command lines look for it, below a directory of their configuration.
    pub fn introduce(&self, config: &Path) -> io::Result<()> {
        let directory = config.join("tls").join(&self.address);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join("ca.crt"), &self.identity.authority)
    }

    /// Returns the process, to read its log.
    pub fn process(&self) -> &Process {
        &self.servers.process
    }
}

/// Settings by which a server has keys of its own.
fn own_keys() -> Value {
    json!({ "type": "local", "key_algorithm": "ecdsa" })
}

fn pass_on(client: &Client, received: &Received) -> Answer {
    let kind = received.header("content-type").map(|kind| ("content-type", kind));
    let headers: Vec<(&str, &str)> = kind.into_iter().collect();
    let method = received.method.as_str();
    match client.send(method, &received.target, &headers, &received.body) {
        Ok(response) => Answer::status(response.status).json(response.body),
        Err(_) => Answer::hang_up(),
    }
}

/// Starts one of the two on a free port, and returns its address.
fn start(
    name: &str,
    folder: &Path,
    settings: impl Fn(&str) -> Value,
    more: &Value,
) -> io::Result<(Process, String)> {
    let program = find_program(name).ok_or(io::ErrorKind::NotFound)?;
    retry(|| {
        let address = format!("127.0.0.1:{}", free_port()?);
        let mut config = json!({
            "server": settings(&address),
            "logging": { "level": "info" },
            "storage": { "backend": "memory" },
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            config[key] = value.clone();
        }
        let path = folder.join(format!("{name}.json"));
        fs::write(&path, config.to_string())?;
        let mut command = Command::new(&program);
        command.arg("-config").arg(path);
        let ready = || TcpStream::connect(&address).is_ok();
        let process = Process::start(command, &folder.join(format!("{name}.log")), ready)?;
        Ok((process, address))
    })
}
