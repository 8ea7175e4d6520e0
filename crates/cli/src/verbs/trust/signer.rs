//! `longshore trust signer`: who may sign the tags of a repository.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use spec::Reference;
use trust::{Change, PublicKey, Repository, Role, RoleKeys, TrustError};

use super::key::{bad_name, is_good_name};
use super::signing::Signing;
use crate::error::{CliError, in_go_words};
use crate::session::Session;
use crate::{input, output};

/// The largest file of a public key that is read.
const MAX_FILE: u64 = 64 << 10;

/// The verbs of `longshore trust signer`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum SignerVerb {
    Add(Add),
    Remove(Remove),
}

/// Add a signer
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore trust signer add OPTIONS NAME REPOSITORY [REPOSITORY...]")]
pub(crate) struct Add {
    /// Path to the signer's public key file
    #[arg(long, value_name = "list")]
    key: Vec<PathBuf>,
    #[arg(hide = true, value_name = "NAME")]
    name: String,
    #[arg(hide = true, required = true, value_name = "REPOSITORY")]
    repositories: Vec<String>,
}

/// Remove a signer
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "longshore trust signer remove [OPTIONS] NAME REPOSITORY [REPOSITORY...]"
)]
pub(crate) struct Remove {
    /// Do not prompt for confirmation before removing the most recent signer
    #[arg(short = 'f', long)]
    force: bool,
    #[arg(hide = true, value_name = "NAME")]
    name: String,
    #[arg(hide = true, required = true, value_name = "REPOSITORY")]
    repositories: Vec<String>,
}

/// Does what a verb asks for.
pub(crate) async fn run(verb: SignerVerb, session: &Session) -> Result<(), CliError> {
    match verb {
        SignerVerb::Add(arguments) => add(arguments, session).await,
        SignerVerb::Remove(arguments) => remove(arguments, session).await,
    }
}

async fn add(arguments: Add, session: &Session) -> Result<(), CliError> {
    let name = arguments.name.as_str();
    if !is_good_name(name) {
        return Err(bad_name("signer", name));
    }
    if Role::of_signer(name) == Role::RELEASES {
        let message = "releases is a reserved keyword, use a different signer name";
        return Err(CliError::Refused(message.to_owned()));
    }
    if arguments.key.is_empty() {
        let message = "path to a public key must be provided using the `--key` flag";
        return Err(CliError::Refused(message.to_owned()));
    }
    let keys: Result<Vec<PublicKey>, CliError> =
        arguments.key.iter().map(|path| public_key(path)).collect();
    let keys = keys?;
    let mut failed = Vec::new();
    for repository in &arguments.repositories {
        output::print_line(&format!("Adding signer \"{name}\" to {repository}..."))?;
        match add_to(repository, name, &keys, session).await {
            Ok(()) => {
                let added = format!("Successfully added signer: {name} to {repository}\n\n");
                output::print(&added)?;
            }
            Err(error) => {
                output::warn(&format!("{error}\n\n"));
                failed.push(repository.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(CliError::Trust(format!("failed to add signer to: {}", failed.join(", "))))
}

fn public_key(path: &Path) -> Result<PublicKey, CliError> {
    let shown = path.display();
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text)).map_err(
        |error| {
            let reason = in_go_words(&error);
            CliError::Trust(format!("unable to read public key from file: open {shown}: {reason}"))
        },
    )?;
    PublicKey::from_pem(&text, Timestamp::now()).map_err(|reason| {
        CliError::Trust(format!("could not parse public key from file: {shown}: {reason}"))
    })
}

async fn add_to(
    repository: &str,
    name: &str,
    keys: &[PublicKey],
    session: &Session,
) -> Result<(), CliError> {
    let reference = Reference::parse_familiar(repository)?;
    let signing = Signing::open(session, reference.repository()).await?;
    let about =
        |error: TrustError| signing.notary.explain(CliError::Trust(error.about(repository)));
    let initialized = match signing.notary.update().await {
        Ok(_) => None,
        Err(error) if error.is_uninitialized() => {
            output::print_line(&format!("Initializing signed repository for {repository}..."))?;
            let initialized = signing.initialize().await.map_err(about)?;
            output::print_line(&format!("Successfully initialized {repository:?}"))?;
            Some(initialized)
        }
        Err(error) => return Err(about(error)),
    };
    let changes = [Role::of_signer(name), Role::RELEASES]
        .map(|role| Change::AddDelegation { role, keys: keys.to_vec() });
    let published = signing.publisher().publish(initialized, &changes).await;
    published.map_err(|error| CliError::Trust(error.to_string()))
}

async fn remove(arguments: Remove, session: &Session) -> Result<(), CliError> {
    let name = arguments.name.as_str();
    let mut failed = Vec::new();
    for repository in &arguments.repositories {
        output::print_line(&format!("Removing signer \"{name}\" from {repository}..."))?;
        if let Err(error) = remove_from(repository, name, arguments.force, session).await {
            output::warn(&format!("{error}\n\n"));
            failed.push(repository.as_str());
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(CliError::Trust(format!("error removing signer from: {}", failed.join(", "))))
}

async fn remove_from(
    repository: &str,
    name: &str,
    force: bool,
    session: &Session,
) -> Result<(), CliError> {
    let reference = Reference::parse_familiar(repository)?;
    let role = Role::of_signer(name);
    if role == Role::RELEASES {
        let message = "releases is a reserved keyword and cannot be removed";
        return Err(CliError::Refused(message.to_owned()));
    }
    let signing = Signing::open(session, reference.repository()).await?;
    let failed = |error: TrustError| {
        CliError::Trust(format!("error retrieving signers for {repository}: {error}"))
    };
    let known = signing.notary.update().await.map_err(failed)?;
    let delegations = known.delegations().map_err(failed)?;
    let Some(signer) = delegations.iter().find(|known| known.name == role) else {
        let message = format!("no signer {name} for repository {repository}");
        return Err(CliError::Trust(message));
    };
    // Docker removes nobody but who signed last, and only after a question.
    if is_last(&known, &delegations, signer)? && !force {
        let question = format!(
            "The signer \"{name}\" signed the last released version of {repository}. Removing this signer will make {repository} unpullable. Are you sure you want to continue?"
        );
        if !input::confirm(&question).await? {
            return Ok(());
        }
    }
    let keys = signer.keys.clone();
    let changes =
        [Change::RemoveKeys { role: Role::RELEASES, keys }, Change::RemoveDelegation { role }];
    let published = signing.publisher().publish(None, &changes).await;
    published.map_err(|error| CliError::Trust(error.to_string()))?;
    output::print(&format!("Successfully removed {name} from {repository}\n\n"))
}

/// Says whether too few would have signed the released tags without a signer.
fn is_last(
    known: &Repository,
    delegations: &[RoleKeys],
    signer: &RoleKeys,
) -> Result<bool, CliError> {
    let signatures = known.signatures(&Role::RELEASES);
    if signatures.is_empty() {
        let message = "all signed tags are currently revoked, use docker trust sign to fix";
        return Err(CliError::Trust(message.to_owned()));
    }
    let releases = delegations.iter().find(|known| known.name == Role::RELEASES);
    let Some(releases) = releases else { return Ok(true) };
    // Unlike with docker, who was removed before counts for nothing.
    let left = signatures.iter().filter(|signature| {
        releases.keys.contains(&signature.keyid) && !signer.keys.contains(&signature.keyid)
    });
    Ok(i64::try_from(left.count()).unwrap_or(i64::MAX) < releases.threshold)
}
