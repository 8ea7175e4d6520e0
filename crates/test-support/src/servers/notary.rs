//! Debian's `notary-server`, which keeps signatures in its memory and signs with keys of its own.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::process::Process;
use super::{find_program, free_port, retry};
use crate::scripted::Identity;

/// A running `notary-server`.
#[derive(Debug)]
pub struct Notary {
    // Dropped in this order: the servers stop before their folder goes.
    process: Process,
    _signer: Option<Process>,
    address: String,
    identity: Identity,
    _folder: TempDir,
}

impl Notary {
    /// Starts one that signs by itself, by HTTPS and with a certificate of a private authority.
    pub fn start() -> io::Result<Notary> {
        Notary::run(false)
    }

    /// Starts one whose keys are a `notary-signer`'s, which it reaches by TLS with certificates on both sides.
    pub fn with_signer() -> io::Result<Notary> {
        Notary::run(true)
    }

    fn run(with_signer: bool) -> io::Result<Notary> {
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
            (None, json!({ "type": "local", "key_algorithm": "ecdsa" }))
        };
        let settings = |address: &str| {
            json!({
                "http_addr": address,
                "tls_cert_file": "./server.crt",
                "tls_key_file": "./server.key",
            })
        };
        let trust = json!({ "trust_service": service });
        let (process, address) = start("notary-server", folder.path(), settings, &trust)?;
        Ok(Notary { process, _signer: signer, address, identity, _folder: folder })
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
        &self.process
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
