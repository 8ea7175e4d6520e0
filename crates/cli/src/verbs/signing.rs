//! Signatures of cosign's classic form, made where images are sent to: the key never leaves this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use copy::{PrivateKey, PrivateKeyFault};

use crate::error::CliError;
use crate::input;
use crate::session::Session;

/// The flag of signatures.
#[derive(Debug, clap::Args)]
pub(super) struct Signing {
    /// Sign the image at the registry with this private key, under the name that it gets: a key of cosign (the passphrase is that of
    /// COSIGN_PASSWORD, or asked for), or one in PKCS#8 that is not encrypted
    #[arg(long, value_name = "file")]
    sign_by_key: Option<PathBuf>,
}

impl Signing {
    /// Reads the key. Whatever is wrong with it is told before anything is sent.
    pub(super) async fn key(&self, session: &Session) -> Result<Option<Arc<PrivateKey>>, CliError> {
        let Some(path) = &self.sign_by_key else { return Ok(None) };
        let failed = |fault: PrivateKeyFault| match fault {
            fault @ PrivateKeyFault::Read { .. } => CliError::Refused(fault.to_string()),
            fault => CliError::Refused(format!("key {}: {fault}", path.display())),
        };
        let text = PrivateKey::read(path).map_err(failed)?;
        let passphrase = if PrivateKey::is_encrypted(&text) {
            Some(passphrase(path, session).await?)
        } else {
            None
        };
        let parse = move || PrivateKey::parse(&text, passphrase.as_deref().map(str::as_bytes));
        let parsed = tokio::task::spawn_blocking(parse).await;
        let parsed = parsed.map_err(|error| CliError::Start(std::io::Error::other(error)))?;
        parsed.map(Arc::new).map(Some).map_err(failed)
    }
}

async fn passphrase(path: &Path, session: &Session) -> Result<String, CliError> {
    match session.environment.cosign_password.expose() {
        Some(password) => Ok(password.to_owned()),
        None => input::ask_secretly(&format!("Passphrase of {}: ", path.display())).await,
    }
}
