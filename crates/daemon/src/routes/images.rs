//! The routes of images.

use api::{Filters, decode_platform};
use engine::{
    InspectOptions, ListFilters, ListOptions, Parts, PullRequest, PushRequest, RemoveOptions,
};
use http::StatusCode;
use jiff::Timestamp;
use registry::Caller;
use spec::{Digest, Platform, Reference, Tag};

use crate::daemon::Daemon;
use crate::documents::image_inspect;
use crate::documents::images::{Summaries, removed, summary};
use crate::errors::{Answer, HttpError};
use crate::progress::{Journal, Operation};
use crate::prune::policy::moment;
use crate::request::ApiRequest;
use crate::request::parameters::{header_credentials, platform, written_platform};
use crate::response;

/// Filters that `GET /images/json` takes.
const LIST_FILTERS: [&str; 6] = ["dangling", "label", "before", "since", "reference", "until"];

/// `POST /images/create`: pull.
pub(super) async fn create(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let platform = written_platform(request)?;
    let (reference, meant) =
        pull_reference(request.query.get("fromImage"), request.query.get("tag"))?;
    let pull = PullRequest {
        all_tags: reference.is_name_only(),
        reference,
        meant,
        platform,
        parts: wanted_parts(request)?,
        referrers: request.query.boolean("referrers"),
        credentials: header_credentials(request),
        caller: Caller::of_request(&request.headers),
    };
    let engine = daemon.engine().clone();
    let registry = pull.reference.repository().domain();
    let journal = Journal::new("pull", pull.reference.to_string(), registry);
    let pull = Operation::start(|progress| async move { engine.pull(pull, progress).await });
    pull.logged(journal).asked_by(&request.headers).answer().await
}

/// Parts of an index to keep beside the image that the name means: Longshore's own parameter `parts`, which may come several times, is
/// a platform as a user writes it, or `all`.
fn wanted_parts(request: &ApiRequest) -> Result<Parts, HttpError> {
    let parts: Vec<&str> = request.query.all("parts").filter(|part| !part.is_empty()).collect();
    if parts.contains(&"all") {
        return Ok(Parts::All);
    }
    let platforms = parts.into_iter().map(Platform::parse).collect::<Result<Vec<_>, _>>()?;
    Ok(if platforms.is_empty() { Parts::None } else { Parts::For(platforms) })
}

/// Parses the reference to pull: the tag may be a digest, and an old client's `--all-tags` leaves a colon behind the name. A tag in the
/// name beside such a digest, of which dockerd takes no notice, comes second.
fn pull_reference(image: &str, tag: &str) -> Result<(Reference, Option<Tag>), HttpError> {
    let reference = Reference::parse_familiar(image.strip_suffix(':').unwrap_or(image))?;
    let mut meant = None;
    let reference = if tag.is_empty() {
        reference
    } else if let Ok(digest) = tag.parse::<Digest>() {
        meant = reference.tag().cloned();
        Reference::new(reference.repository().clone(), None, Some(digest))
    } else {
        reference.with_tag(tag.parse::<Tag>()?)
    };
    let name = reference.repository().familiar();
    if name == "scratch" {
        return Err(HttpError::new(StatusCode::FORBIDDEN, format!("'{name}' is a reserved name")));
    }
    Ok((reference, meant))
}

/// `GET /images/json`.
pub(super) async fn list(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let options = list_options(request)?;
    // No image here has an identity.
    if request.version.at_least(54)
        && request.query.boolean("identity")
        && !request.query.boolean("manifests")
    {
        return Err(HttpError::invalid("conflicting options: identity requires manifests=1"));
    }
    let images = daemon.engine().list(options).await?;
    if request.version.at_least(43) {
        return Ok(response::json(StatusCode::OK, &Summaries(&images, request.version)));
    }
    // Older versions have `null` for an image with tags and no digests, or the other way round.
    let documents = images.iter().map(|image| summary(image, request.version).with_null_names());
    match documents.collect::<Result<Vec<_>, _>>() {
        Ok(documents) => Ok(response::json(StatusCode::OK, &documents)),
        Err(error) => Err(HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

fn list_options(request: &ApiRequest) -> Result<ListOptions, HttpError> {
    let mut filters = Filters::decode(request.query.get("filters"))?;
    // What the filter was called before it was one.
    let pattern = request.query.get("filter");
    if !request.version.at_least(41) && !pattern.is_empty() {
        filters.add("reference", pattern);
    }
    filters.validate(&LIST_FILTERS)?;
    let all = |name: &str| filters.values(name).map(str::to_owned).collect();
    let mut earliest: Option<Timestamp> = None;
    for value in filters.values("until") {
        let moment = moment(value)?;
        // As dockerd, which lists by whole seconds.
        let moment = Timestamp::from_second(moment.as_second()).unwrap_or(moment);
        earliest = Some(earliest.map_or(moment, |earlier| earlier.min(moment)));
    }
    Ok(ListOptions {
        all: request.query.boolean("all"),
        shared_size: request.version.at_least(42) && request.query.boolean("shared-size"),
        manifests: request.version.at_least(47) && request.query.boolean("manifests"),
        filters: ListFilters {
            dangling: filters.boolean("dangling")?,
            labels: all("label"),
            references: all("reference"),
            before: all("before"),
            since: all("since"),
            until: earliest,
        },
    })
}

/// `GET /images/{name}/json`.
pub(super) async fn inspect(daemon: &Daemon, request: &ApiRequest, name: &str) -> Answer {
    let platform = platform(request, 49)?;
    let manifests = request.version.at_least(48) && request.query.boolean("manifests");
    if platform.is_some() && manifests {
        return Err(HttpError::invalid(
            "conflicting options: manifests and platform options cannot both be set",
        ));
    }
    let options = InspectOptions { platform, manifests };
    let details = daemon.engine().inspect(name, options).await?;
    Ok(response::json(StatusCode::OK, &image_inspect::document(details, request.version)))
}

/// `POST /images/{name}/push`.
///
/// Whatever happens once the name is understood is told in the stream: clients of a push do not look at the status.
pub(super) fn push(daemon: &Daemon, request: &ApiRequest, name: &str) -> Answer {
    let platform = platform(request, 46)?;
    let tag = request.query.get("tag");
    let reference = match tag {
        // All tags, unless the name itself has one.
        "" => Reference::parse_familiar(name)?,
        tag => tagged(name, tag)?,
    };
    if reference.digest().is_some() {
        return Err(engine::EngineError::PushDigest.into());
    }
    let push = PushRequest {
        repository: reference.repository().clone(),
        tag: reference.tag().cloned(),
        platform,
        // Ours, as in a pull.
        referrers: request.query.boolean("referrers"),
        credentials: header_credentials(request),
        caller: Caller::of_request(&request.headers),
    };
    let engine = daemon.engine().clone();
    let registry = reference.repository().domain();
    let journal = Journal::new("push", reference.to_string(), registry);
    let push = Operation::start(|progress| async move { engine.push(push, progress).await });
    Ok(push.logged(journal).asked_by(&request.headers).answer_now())
}

/// `POST /images/{name}/tag`.
pub(super) async fn tag(daemon: &Daemon, request: &ApiRequest, name: &str) -> Answer {
    let reference = tagged(request.query.get("repo"), request.query.get("tag"))?;
    let repository = reference.repository().familiar();
    if repository == "sha256" {
        return Err(HttpError::invalid(
            "refusing to create an ambiguous tag using digest algorithm as name",
        ));
    }
    let tag = reference.tag().map_or("latest", Tag::as_str);
    // Ours: which of the images of an index gets the name.
    let platform = platform(request, 48)?;
    let repository = reference.repository().to_string();
    daemon.engine().tag(name, platform, (&repository, tag)).await?;
    Ok(response::empty(StatusCode::CREATED))
}

/// A name with a tag: the parameter's, else the name's own, else `latest`.
pub(super) fn tagged(repository: &str, tag: &str) -> Result<Reference, HttpError> {
    let reference = Reference::parse_familiar(repository)?;
    if reference.digest().is_some() {
        return Err(HttpError::invalid("cannot import digest reference"));
    }
    Ok(match tag {
        "" => reference.with_default_tag(),
        tag => reference.with_tag(tag.parse::<Tag>()?),
    })
}

/// `GET /images/{name}/attestations`, which a dockerd with a graph driver does not have either.
pub(super) fn attestations(request: &ApiRequest) -> Answer {
    let mut platforms = request.query.all("platform");
    let first = platforms.next().unwrap_or_default();
    if platforms.next().is_some() {
        return Err(HttpError::invalid("only one platform value is currently supported"));
    }
    if !first.is_empty() {
        decode_platform(first)?;
    }
    Err(HttpError::not_implemented("the legacy image store does not support attestations"))
}

/// `DELETE /images/{name}`.
pub(super) async fn remove(daemon: &Daemon, request: &ApiRequest, name: &str) -> Answer {
    if name.trim().is_empty() {
        return Err(HttpError::invalid("image name cannot be blank"));
    }
    let mut platforms = Vec::new();
    if request.version.at_least(50) {
        for platform in request.query.all("platforms") {
            platforms.push(decode_platform(platform)?);
        }
    }
    let options = RemoveOptions {
        force: request.query.boolean("force"),
        prune_children: !request.query.boolean("noprune"),
        platforms,
    };
    let documents = removed(daemon.engine().remove(name, options).await?);
    Ok(response::json(StatusCode::OK, &documents))
}
