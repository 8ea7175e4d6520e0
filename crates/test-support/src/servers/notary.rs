//! Debian's `notary-server`, which keeps signatures in its memory and signs with keys of its own.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::{fs, io};

use serde_json::json;
use tempfile::TempDir;

use super::process::Process;
use super::{find_program, free_port, retry};
use crate::scripted::Identity;

/// A running `notary-server`.
#[derive(Debug)]
pub struct Notary {
    // Dropped in this order: the server stops before its folder goes.
    process: Process,
    address: String,
    identity: Identity,
    _folder: TempDir,
}

impl Notary {
    /// Starts one, by HTTPS and with a certificate of a private authority.
    pub fn start() -> io::Result<Notary> {
        let program = find_program("notary-server").ok_or(io::ErrorKind::NotFound)?;
        let folder = tempfile::tempdir()?;
        let identity = Identity::new(&["127.0.0.1", "localhost"])?;
        let write = |name: &str, content: &str| fs::write(folder.path().join(name), content);
        write("server.crt", &identity.server_certificate)?;
        write("server.key", &identity.server_key)?;
        let (process, address) = retry(|| {
            let address = format!("127.0.0.1:{}", free_port()?);
            let config = json!({
                "server": {
                    "http_addr": address,
                    "tls_key_file": "./server.key",
                    "tls_cert_file": "./server.crt",
                },
                "trust_service": { "type": "local", "key_algorithm": "ecdsa" },
                "logging": { "level": "info" },
                "storage": { "backend": "memory" },
            });
            write("config.json", &config.to_string())?;
            let mut command = Command::new(&program);
            command.arg("-config").arg(folder.path().join("config.json"));
            let ready = || TcpStream::connect(&address).is_ok();
            let process = Process::start(command, &folder.path().join("log"), ready)?;
            Ok((process, address))
        })?;
        Ok(Notary { process, address, identity, _folder: folder })
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
