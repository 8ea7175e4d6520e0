//! Pulls of what is signed: tags mean what those say whom the user trusts, not what the registry says.

use api::Query;
use copy::Place;
use spec::{Digest, Reference, Repository, Tag};
use trust::{Role, Target, TrustError};

use super::trust::{Actions, Notary};
use crate::client::Call;
use crate::error::CliError;
use crate::hints::{self, Subject};
use crate::output;
use crate::render::Display;
use crate::session::Session;

/// The roles whose tags count, the first one first.
pub(super) const RELEASED: [Role; 2] = [Role::RELEASES, Role::TARGETS];

/// A tag, and the manifest that it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trusted {
    pub(super) tag: Tag,
    pub(super) digest: Digest,
}

impl Trusted {
    fn of(target: &Target) -> Option<Trusted> {
        let digest = target.meta.sha256().filter(|digits| digits.len() == 64)?;
        let digest = format!("sha256:{digest}").parse().ok()?;
        Some(Trusted { tag: target.name.parse().ok()?, digest })
    }

    /// Returns the name by which the manifest is meant and nothing else.
    pub(super) fn reference(&self, repository: &Repository) -> Reference {
        Reference::new(repository.clone(), None, Some(self.digest.clone()))
    }
}

/// Returns what a tag means, or all tags of a repository.
pub(super) async fn targets(
    session: &Session,
    reference: &Reference,
) -> Result<Vec<Trusted>, CliError> {
    let repository = reference.repository();
    let notary = Notary::open(session, repository, Actions::Read).await.map_err(|error| {
        let hint = hints::hint(&error, &Subject::default());
        let text = format!("error establishing connection to trust repository: {error}");
        CliError::Trust(text).advised(hint)
    })?;
    let about = |error: TrustError| notary.failed(&error);
    let known = notary.update().await.map_err(about)?;
    let Some(tag) = reference.tag() else {
        return every_tag(repository, known.targets(&RELEASED));
    };
    let target = known.target(tag.as_str(), &RELEASED).map_err(about)?;
    if !target.role.is_released() {
        return Err(CliError::Trust(format!("No trust data for {tag}")));
    }
    match Trusted::of(&target) {
        Some(trusted) => Ok(vec![trusted]),
        None => Err(CliError::Trust("no valid hash, expecting sha256".to_owned())),
    }
}

fn every_tag(repository: &Repository, targets: Vec<Target>) -> Result<Vec<Trusted>, CliError> {
    let mut found = Vec::new();
    for target in targets {
        match Trusted::of(&target) {
            None => output::warn_line(&format!("Skipping target for {:?}", repository.familiar())),
            Some(trusted) if target.role.is_released() => found.push(trusted),
            Some(_) => {}
        }
    }
    if found.is_empty() {
        return Err(CliError::Trust(format!("No trusted tags for {repository}")));
    }
    Ok(found)
}

/// Returns what is copied from a place: with content trust a tag of a registry is the manifest that is signed, and many tags at
/// once, which are listed by the registry, are refused.
pub(super) async fn source(session: &Session, place: Place, many: bool) -> Result<Place, CliError> {
    let Place::Registry(reference) = &place else { return Ok(place) };
    if !session.environment.content_trust || reference.digest().is_some() {
        return Ok(place);
    }
    if many {
        return Err(CliError::Trust(format!(
            "{place}: DOCKER_CONTENT_TRUST asks for content trust, by which the tags of a list are not checked: name them one by \
             one, or by digest, or unset it"
        )));
    }
    let reference = reference.clone().with_default_tag();
    let found = Box::pin(targets(session, &reference)).await?;
    let digest = found.into_iter().next().map(|found| found.digest);
    let (repository, tag) = (reference.repository().clone(), reference.tag().cloned());
    Ok(Place::Registry(Reference::new(repository, tag, digest)))
}

/// Says which of several trusted tags is pulled now. As with docker, that is said however quiet the command is to be.
pub(super) fn announce(
    (at, count): (usize, usize),
    trusted: &Trusted,
    repository: &Repository,
    display: &mut Display,
) -> Result<(), CliError> {
    let (name, Trusted { tag, digest }) = (repository.familiar(), trusted);
    let line = format!("Pull ({at} of {count}): {name}:{tag}@{digest}");
    if display.is_json() {
        return display.say(&line);
    }
    display.leave()?;
    output::print_line(&line)
}

/// Gives what was pulled by its digest the tag that it is trusted under.
pub(super) async fn tag(
    session: &Session,
    trusted: &Trusted,
    repository: &Repository,
    display: &mut Display,
) -> Result<(), CliError> {
    let source = trusted.reference(repository).familiar();
    let (name, tag) = (repository.familiar(), trusted.tag.as_str());
    display.leave()?;
    output::warn_line(&format!("Tagging {source} as {name}:{tag}"));
    let query = Query::new().with("repo", name).with("tag", tag);
    let path = format!("/images/{source}/tag");
    session.client.post(&path, Call::query(query)).await?.bytes().await?;
    Ok(())
}
