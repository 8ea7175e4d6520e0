//! Signatures of cosign's classic form, made where images are sent to: the key never leaves this process.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::message::PushResult;
use copy::{Place, PrivateKey, PrivateKeyFault, Side, Target};
use spec::{Digest, DigestError, Reference, Repository};

use crate::error::CliError;
use crate::input;
use crate::render::Display;
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

/// Signs what was pushed, from this process: whatever daemon pushed it does not get the key. What is signed are the digests that were
/// pushed, wherever the tags lead to by now.
pub(super) async fn sign(
    session: &Session,
    repository: &Repository,
    pushed: &[PushResult],
    key: &PrivateKey,
    display: &mut Display,
) -> Result<(), CliError> {
    let side = Side::new(session.registries()?, None, std::env::temp_dir())?;
    for PushResult { tag, digest, .. } in pushed {
        let reference = Reference::new(repository.clone(), Some(tag.parse()?), None);
        let digest: Digest = digest.parse().map_err(|error: DigestError| {
            CliError::Refused(format!(
                "the daemon says that {tag} has the digest {digest:?}: {error}"
            ))
        })?;
        let target = Target::open(&Place::Registry(reference), &side, None).await?;
        let done = if target.sign(key, &digest).await? { "signed" } else { "signed already" };
        display.say(&format!("{tag}: {done}"))?;
    }
    if pushed.is_empty() {
        let message = "the daemon has not said which digests it has pushed: nothing is signed";
        return Err(CliError::Refused(message.to_owned()));
    }
    Ok(())
}

async fn passphrase(path: &Path, session: &Session) -> Result<String, CliError> {
    match session.environment.cosign_password.expose() {
        Some(password) => Ok(password.to_owned()),
        None => input::ask_secretly(&format!("Passphrase of {}: ", path.display())).await,
    }
}
