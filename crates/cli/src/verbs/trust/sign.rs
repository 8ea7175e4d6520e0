//! `longshore trust sign`

use api::Query;
use spec::Reference;
use trust::{Change, FileMeta, Repository, Role, Target, TrustError};

use super::inspect::released;
use super::signing::{Signing, additions, sign_pushed};
use crate::client::Call;
use crate::credentials::key_of_domain;
use crate::error::CliError;
use crate::output;
use crate::render::{ProgressFlag, Stream};
use crate::session::Session;
use crate::verbs::push;

/// Sign an image
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore trust sign IMAGE:TAG")]
pub(crate) struct Arguments {
    /// Sign a locally tagged image
    #[arg(long)]
    local: bool,
    #[arg(hide = true, value_name = "IMAGE")]
    image: String,
}

/// Signs a tag: what it means at the server already, or else the local image, which is pushed first.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let image = arguments.image.as_str();
    let reference = Reference::parse_familiar(image)?;
    let tag = match reference.tag() {
        _ if reference.digest().is_some() => {
            let message = "cannot use a digest reference for IMAGE:TAG";
            return Err(CliError::Refused(message.to_owned()));
        }
        Some(tag) => tag.as_str(),
        None => return Err(CliError::Refused(format!("no tag specified for {image}"))),
    };
    let signing = Signing::open(session, reference.repository()).await?;
    let about = |error: TrustError| signing.notary.failed(&error);
    let known = match signing.notary.update().await {
        Ok(known) => known,
        Err(error) if error.is_uninitialized() => {
            check_existence(session, image).await?;
            initialize(&signing, &reference, image, session).await?;
            signing.notary.update().await.map_err(about)?
        }
        Err(error) => return Err(about(error)),
    };
    let signed = signed(&known, tag);
    match signed {
        Some(meta) if !arguments.local => sign_again(&signing, known, (image, tag), meta).await,
        _ => push_and_sign(signing, &reference, image, session).await,
    }
}

/// Returns what a tag means to those who may release it.
fn signed(known: &Repository, tag: &str) -> Option<FileMeta> {
    let targets = known.all_targets(Some(tag)).unwrap_or_default();
    targets.into_iter().find(|target| target.role.is_released()).map(|target| target.meta)
}

async fn check_existence(session: &Session, image: &str) -> Result<(), CliError> {
    let path = format!("/images/{image}/json");
    session.client.get(&path, Call::default()).await?.bytes().await?;
    Ok(())
}

/// Makes a repository whose first signer is the user who is logged in.
async fn initialize(
    signing: &Signing,
    reference: &Reference,
    image: &str,
    session: &Session,
) -> Result<(), CliError> {
    let about = |error: TrustError| signing.notary.failed(&error);
    let key = key_of_domain(reference.repository().domain());
    let user = session.credentials_to_read().get_or_warn(key).await.username;
    let role = if user.is_empty() { Role::TARGETS } else { Role::of_signer(&user) };
    if !role.is_delegation() {
        // Before there is any key of it.
        let message = format!(
            "could not add signer to repo: {}: tuf: invalid role {role}. invalid delegation role name",
            role.signer()
        );
        return Err(CliError::Trust(message));
    }
    let initialized = signing.initialize().await.map_err(about)?;
    let id = signing.keys.first_of(&user).map_err(about)?;
    let key = match id {
        Some(id) => signing.keys.key(&id).await,
        None => signing.keys.create(&user, "").await,
    };
    let keys = vec![key.map_err(about)?.public().clone()];
    let changes =
        [role, Role::RELEASES].map(|role| Change::AddDelegation { role, keys: keys.clone() });
    signing.publisher().publish(Some(initialized), &changes).await.map_err(about)?;
    output::print_line(&format!("Created signer: {user}"))?;
    output::print_line(&format!("Finished initializing signed repository for {image}"))
}

/// Adds signatures to what is signed already.
async fn sign_again(
    signing: &Signing,
    known: Repository,
    (image, tag): (&str, &str),
    meta: FileMeta,
) -> Result<(), CliError> {
    output::print_line(&format!("Signing and pushing trust metadata for {image}"))?;
    let name = &signing.notary.name;
    let failed =
        |error: TrustError| CliError::Trust(format!("failed to sign {name}:{tag}: {error}"));
    let targets: Vec<Target> = known.all_targets(Some(tag)).map_err(failed)?;
    let existing = released(&targets).into_iter().next();
    let roles = known.signable(tag, &signing.keys).map_err(failed)?;
    if let Some(mut existing) = existing {
        existing.signers.sort_unstable();
        let signers = existing.signers.join(", ");
        output::print_line(&format!(
            "Existing signatures for tag {} digest {} from:\n{signers}",
            existing.tag, existing.digest
        ))?;
    }
    let changes = additions(roles, tag, &meta);
    signing.publisher().publish(None, &changes).await.map_err(failed)?;
    output::print_line(&format!("Successfully signed {name}:{tag}"))
}

async fn push_and_sign(
    signing: Signing,
    reference: &Reference,
    image: &str,
    session: &Session,
) -> Result<(), CliError> {
    check_existence(session, image).await?;
    output::warn_line(&format!(
        "Signing and pushing trust data for local image {image}, may overwrite remote trust data"
    ));
    let mut display = ProgressFlag::default().start(false, Stream::Output, session);
    let sent = push::send(reference, Query::new(), session, &mut display).await;
    let notes = match sent {
        Ok(notes) => notes,
        Err(error) => return display.finish(Err(error)),
    };
    display.finish(Ok(None))?;
    sign_pushed(async { Ok(signing) }, &notes.pushed).await
}
