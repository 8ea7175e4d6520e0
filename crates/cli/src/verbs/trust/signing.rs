//! The common part of all that signs: the keys of this user, and the first documents of a repository.

use spec::Repository;
use trust::{Change, FileMeta, KeyStore, Publisher, Role, TrustError};

use super::notary::{Actions, Notary};
use super::passphrases::Prompter;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// A repository that is signed for.
#[derive(Debug)]
pub(in crate::verbs) struct Signing {
    pub(in crate::verbs) notary: Notary,
    pub(in crate::verbs) keys: KeyStore<Prompter>,
}

/// Returns the keys of this user.
pub(super) fn keys(session: &Session) -> Result<KeyStore<Prompter>, CliError> {
    let prompter = Prompter::new(session.environment.passphrases.clone());
    Ok(KeyStore::new(&session.own_directory()?.join("trust"), prompter))
}

impl Signing {
    pub(in crate::verbs) async fn open(
        session: &Session,
        repository: &Repository,
    ) -> Result<Signing, CliError> {
        let notary = Notary::open(session, repository, Actions::Write).await?;
        Ok(Signing { notary, keys: keys(session)? })
    }

    /// Returns the first root key of this user, or a new one.
    async fn root_key(&self) -> Result<String, TrustError> {
        if let Some(id) = self.keys.first_of(Role::ROOT.as_str())? {
            return Ok(id);
        }
        Ok(self.keys.create(Role::ROOT.as_str(), "").await?.public().id())
    }

    /// Makes the first documents of the repository; nothing is published yet.
    pub(super) async fn initialize(&self) -> Result<trust::Repository, TrustError> {
        let root = self.root_key().await?;
        self.publisher().initialize(&root).await
    }

    pub(super) fn publisher(&self) -> Publisher<'_, trust::NotaryServer, Prompter> {
        self.notary.publisher(&self.keys)
    }

    /// Signs what a tag means now, of a repository that need not have been signed before.
    pub(in crate::verbs) async fn sign(&self, tag: &str, meta: FileMeta) -> Result<(), CliError> {
        let name = self.notary.name.as_str();
        let about = |error: TrustError| self.notary.failed(&error);
        let failed =
            |error: TrustError| CliError::Trust(format!("failed to sign {name}:{tag}: {error}"));
        let (initialized, roles) = match self.notary.update().await {
            Ok(known) => (None, known.signable(tag, &self.keys).map_err(failed)?),
            Err(error) if error.is_uninitialized() => {
                let initialized = self.initialize().await.map_err(about)?;
                output::print_line(&format!("Finished initializing {name:?}"))?;
                (Some(initialized), vec![Role::TARGETS])
            }
            Err(error) => return Err(about(error)),
        };
        let changes = additions(roles, tag, &meta);
        self.publisher().publish(initialized, &changes).await.map_err(failed)?;
        output::print_line(&format!("Successfully signed {name}:{tag}"))
    }
}

/// Returns the changes by which roles say what a tag means.
pub(super) fn additions(roles: Vec<Role>, tag: &str, meta: &FileMeta) -> Vec<Change> {
    let addition = |role| Change::Add { role, tag: tag.to_owned(), meta: meta.clone() };
    roles.into_iter().map(addition).collect()
}

/// Signs what was pushed: one tag of a repository.
pub(in crate::verbs) async fn sign_pushed(
    signing: impl Future<Output = Result<Signing, CliError>>,
    pushed: &[api::message::PushResult],
) -> Result<(), CliError> {
    let pushed = match pushed {
        [pushed] if !pushed.tag.is_empty() => pushed,
        [] => {
            return Err(CliError::Trust(
                "no targets found, provide a specific tag in order to sign it".to_owned(),
            ));
        }
        _ => {
            return Err(CliError::Trust(
                "internal error: only one call to handleTarget expected".to_owned(),
            ));
        }
    };
    output::print_line("Signing and pushing trust metadata")?;
    let signing = signing.await.map_err(|error| {
        CliError::Trust(format!("error establishing connection to trust repository: {error}"))
    })?;
    let size = i64::try_from(pushed.size).unwrap_or(i64::MAX);
    let Some(meta) = FileMeta::of_digest(&pushed.digest, size) else {
        let message = format!("the daemon pushed {}, which is no sha256 digest", pushed.digest);
        return Err(CliError::Trust(message));
    };
    signing.sign(&pushed.tag, meta).await
}
