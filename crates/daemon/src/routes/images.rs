//! The routes of images.

use api::image::{
    ImageDeleted, ImageSummary, ManifestImage, ManifestSize, ManifestSummary, UnpackedSize,
};
use api::{ApiVersion, Filters, decode_platform};
use engine::{ListFilters, ListOptions, PullRequest, PushRequest, RemoveOptions, Removed};
use http::StatusCode;
use registry::Caller;
use spec::{Digest, Reference, Tag};

use super::Answer;
use super::parameters::{header_credentials, platform, until, written_platform};
use crate::connection::Call;
use crate::errors::Failure;
use crate::operation::Operation;
use crate::{Daemon, legacy, reply};

/// The filters of a list.
const LIST_FILTERS: [&str; 6] = ["dangling", "label", "before", "since", "reference", "until"];

/// `POST /images/create`: pull.
pub(super) async fn create(daemon: &Daemon, call: &Call) -> Answer {
    let platform = written_platform(call)?;
    let reference = pull_reference(call.query.get("fromImage"), call.query.get("tag"))?;
    let request = PullRequest {
        all_tags: reference.is_name_only(),
        reference,
        platform,
        credentials: header_credentials(call),
        caller: Caller::of_request(&call.headers),
    };
    let engine = daemon.engine().clone();
    Operation::start(|progress| async move { engine.pull(request, progress).await }).answer().await
}

/// What to pull: the tag may be a digest, and an old client's `--all-tags` leaves a colon behind the name.
fn pull_reference(image: &str, tag: &str) -> Result<Reference, Failure> {
    let reference = Reference::parse_familiar(image.strip_suffix(':').unwrap_or(image))?;
    let reference = if tag.is_empty() {
        reference
    } else if let Ok(digest) = tag.parse::<Digest>() {
        Reference::new(reference.repository().clone(), None, Some(digest))
    } else {
        reference.with_tag(tag.parse::<Tag>()?)
    };
    let name = reference.repository().familiar();
    if name == "scratch" {
        return Err(Failure::new(StatusCode::FORBIDDEN, format!("'{name}' is a reserved name")));
    }
    Ok(reference)
}

/// `GET /images/json`.
pub(super) async fn list(daemon: &Daemon, call: &Call) -> Answer {
    let options = list_options(call)?;
    // No image here has an identity.
    if call.version.at_least(54)
        && call.query.boolean("identity")
        && !call.query.boolean("manifests")
    {
        return Err(Failure::invalid("conflicting options: identity requires manifests=1"));
    }
    let images = daemon.engine().list(options).await?;
    let documents: Vec<_> = images.into_iter().map(|image| summary(image, call.version)).collect();
    if call.version.at_least(43) {
        return Ok(reply::json(StatusCode::OK, &documents));
    }
    // Older versions have `null` for an image with tags and no digests, or the other way round.
    let documents = documents.iter().map(api::image::ImageSummary::with_null_names);
    match documents.collect::<Result<Vec<_>, _>>() {
        Ok(documents) => Ok(reply::json(StatusCode::OK, &documents)),
        Err(error) => Err(Failure::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
    }
}

fn list_options(call: &Call) -> Result<ListOptions, Failure> {
    let mut filters = Filters::decode(call.query.get("filters"))?;
    // What the filter was called before it was one.
    let pattern = call.query.get("filter");
    if !call.version.at_least(41) && !pattern.is_empty() {
        filters.add("reference", pattern);
    }
    filters.validate(&LIST_FILTERS)?;
    let all = |name: &str| filters.values(name).map(str::to_owned).collect();
    let mut earliest = None;
    for value in filters.values("until") {
        let seconds = until(value)?.as_second();
        earliest = Some(earliest.map_or(seconds, |earlier: i64| earlier.min(seconds)));
    }
    Ok(ListOptions {
        all: call.query.boolean("all"),
        shared_size: call.version.at_least(42) && call.query.boolean("shared-size"),
        manifests: call.version.at_least(47) && call.query.boolean("manifests"),
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

/// An image of a list, for a client that speaks `version`.
pub(super) fn summary(image: engine::ImageSummary, version: ApiVersion) -> ImageSummary {
    let (mut repo_tags, mut repo_digests) = (image.repo_tags, image.repo_digests);
    if !version.at_least(43) && repo_tags.is_empty() && repo_digests.is_empty() {
        repo_tags.push("<none>:<none>".to_owned());
        repo_digests.push("<none>@<none>".to_owned());
    }
    let unpacked = image.size;
    // Whoever asks for manifests is told what they take, and all of it together.
    let content = image.manifests.iter().map(|manifest| manifest.kept.content);
    let size = content.fold(unpacked, u64::saturating_add);
    let manifests: Vec<_> =
        image.manifests.into_iter().map(|of_image| manifest(of_image, unpacked)).collect();
    ImageSummary {
        // Older versions never counted; from 1.51 on the count is always there, and there are no containers.
        containers: version.at_least(51).then_some(0),
        created: image.created,
        id: image.id.to_string(),
        labels: image.labels,
        parent_id: image.parent.map(|parent| parent.to_string()).unwrap_or_default(),
        manifests: Some(manifests).filter(|manifests| !manifests.is_empty()),
        repo_digests,
        repo_tags,
        shared_size: image.shared_size,
        size,
        virtual_size: (!version.at_least(44)).then_some(size),
    }
}

/// A kept manifest of an image whose layers take `unpacked` bytes.
fn manifest(summary: engine::ManifestSummary, unpacked: u64) -> ManifestSummary {
    let store::KeptManifest { descriptor, content } = summary.kept;
    let (kind, own) = if summary.platform.is_some() { ("image", unpacked) } else { ("unknown", 0) };
    ManifestSummary {
        available: true,
        id: descriptor.digest.to_string(),
        descriptor,
        image_data: summary.platform.map(|platform| ManifestImage {
            containers: Vec::new(),
            platform,
            size: UnpackedSize { unpacked },
        }),
        kind: kind.to_owned(),
        size: ManifestSize { content, total: content.saturating_add(own) },
    }
}

/// `GET /images/{name}/json`.
pub(super) async fn inspect(daemon: &Daemon, call: &Call, name: &str) -> Answer {
    let platform = platform(call, 49)?;
    if platform.is_some() && call.version.at_least(48) && call.query.boolean("manifests") {
        return Err(Failure::invalid(
            "conflicting options: manifests and platform options cannot both be set",
        ));
    }
    let details = daemon.engine().inspect(name, platform).await?;
    Ok(reply::json(StatusCode::OK, &legacy::shape(legacy::document(details), call.version)))
}

/// `POST /images/{name}/push`.
///
/// Whatever happens once the name is understood is told in the stream: clients of a push do not look at the status.
pub(super) fn push(daemon: &Daemon, call: &Call, name: &str) -> Answer {
    let platform = platform(call, 46)?;
    let tag = call.query.get("tag");
    let reference = match tag {
        // All tags, unless the name itself has one.
        "" => Reference::parse_familiar(name)?,
        tag => tagged(name, tag)?,
    };
    if reference.digest().is_some() {
        return Err(engine::EngineError::PushDigest.into());
    }
    let request = PushRequest {
        repository: reference.repository().clone(),
        tag: reference.tag().cloned(),
        platform,
        credentials: header_credentials(call),
        caller: Caller::of_request(&call.headers),
    };
    let engine = daemon.engine().clone();
    Ok(Operation::start(|progress| async move { engine.push(request, progress).await })
        .answer_now())
}

/// `POST /images/{name}/tag`.
pub(super) async fn tag(daemon: &Daemon, call: &Call, name: &str) -> Answer {
    let reference = tagged(call.query.get("repo"), call.query.get("tag"))?;
    let repository = reference.repository().familiar();
    if repository == "sha256" {
        return Err(Failure::invalid(
            "refusing to create an ambiguous tag using digest algorithm as name",
        ));
    }
    let tag = reference.tag().map_or("latest", Tag::as_str);
    daemon.engine().tag(name, &reference.repository().to_string(), tag).await?;
    Ok(reply::empty(StatusCode::CREATED))
}

/// A name with a tag: the parameter's, else the name's own, else `latest`.
pub(super) fn tagged(repository: &str, tag: &str) -> Result<Reference, Failure> {
    let reference = Reference::parse_familiar(repository)?;
    if reference.digest().is_some() {
        return Err(Failure::invalid("cannot import digest reference"));
    }
    Ok(match tag {
        "" => reference.with_default_tag(),
        tag => reference.with_tag(tag.parse::<Tag>()?),
    })
}

/// `GET /images/{name}/attestations`, which a dockerd with a graph driver does not have either.
pub(super) fn attestations(call: &Call) -> Answer {
    let mut platforms = call.query.all("platform");
    let first = platforms.next().unwrap_or_default();
    if platforms.next().is_some() {
        return Err(Failure::invalid("only one platform value is currently supported"));
    }
    if !first.is_empty() {
        decode_platform(first)?;
    }
    Err(Failure::not_implemented("the legacy image store does not support attestations"))
}

/// `DELETE /images/{name}`.
pub(super) async fn remove(daemon: &Daemon, call: &Call, name: &str) -> Answer {
    if name.trim().is_empty() {
        return Err(Failure::invalid("image name cannot be blank"));
    }
    let mut platforms = Vec::new();
    if call.version.at_least(50) {
        for platform in call.query.all("platforms") {
            platforms.push(decode_platform(platform)?);
        }
    }
    // An image here has one platform.
    if platforms.len() > 1 {
        return Err(Failure::invalid("multiple platforms are not supported"));
    }
    let options = RemoveOptions {
        force: call.query.boolean("force"),
        prune_children: !call.query.boolean("noprune"),
        platform: platforms.pop(),
    };
    let documents = removed(daemon.engine().remove(name, options).await?);
    Ok(reply::json(StatusCode::OK, &documents))
}

/// The documents of what is gone.
pub(super) fn removed(removed: Vec<Removed>) -> Vec<ImageDeleted> {
    let document = |removed| match removed {
        Removed::Untagged(name) => ImageDeleted::Untagged(name),
        Removed::Deleted(id) => ImageDeleted::Deleted(id),
    };
    removed.into_iter().map(document).collect()
}
