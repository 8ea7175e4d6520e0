//! Content of registries, and changes there: the routes of ours that need no image here (see [`api::remote`]).

use api::remote::{
    Catalog, Found, Image, Inspection, ListPush, ListPushed, Listed, PullLimit, Referrer,
    Referrers, Removal, Tags,
};
use engine::{
    EngineError, FoundReferrers, ListedImage, ListedManifest, RegistryImage, RegistryObject,
};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode};
use hyper::body::Incoming;
use registry::{Caller, ReferrersFrom, TagRemoval};
use spec::{Descriptor, MediaType, Platform, Reference, Repository, Tag};

use crate::daemon::Daemon;
use crate::errors::{Answer, HttpError};
use crate::request::ApiRequest;
use crate::request::body;
use crate::request::parameters::header_credentials;
use crate::request::route::AtRegistry;
use crate::response::{self, Body};
use crate::routes::registry::{described, domain};
use crate::routes::verify::{self, visit};

/// The largest list that is pushed, with all that it lists: as much as `manifest inspect` holds.
const MAX_LIST: usize = 64 << 20;

/// Answers a question to a registry, or changes something there.
pub(super) async fn answer(
    daemon: &Daemon,
    request: &ApiRequest,
    route: AtRegistry,
    body: Incoming,
) -> Answer {
    match route {
        AtRegistry::Check => super::registry::check(daemon, request).await,
        AtRegistry::Catalog => catalog(daemon, request).await,
        AtRegistry::Tags => tags(daemon, request).await,
        AtRegistry::Digest => {
            let (found, _) = daemon.engine().registry_resolve(&visit(request)?).await?;
            Ok(response::json(StatusCode::OK, &described(&found)))
        }
        AtRegistry::Inspect => inspect(daemon, request).await,
        AtRegistry::Document => document(daemon, request).await,
        AtRegistry::Referrers => referrers(daemon, request).await,
        AtRegistry::Verify => verify::verify(daemon, visit(request)?, body).await,
        AtRegistry::Tag => tag(daemon, request).await,
        AtRegistry::Remove => remove(daemon, request).await,
        AtRegistry::PushList => push_list(daemon, request, body).await,
    }
}

async fn catalog(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let registry = domain(request.query.get("registry"))?;
    let (credentials, caller) =
        (header_credentials(request), Caller::agent_of_request(&request.headers));
    let found = daemon.engine().registry_catalog(&registry, &credentials, caller).await;
    let found = found.map_err(EngineError::Registry)?;
    let repositories = found.iter().map(Repository::familiar).collect();
    Ok(response::json(StatusCode::OK, &Catalog { repositories }))
}

async fn tags(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let visit = visit(request)?;
    let enough = request.query.get("enough");
    let enough = if enough.is_empty() {
        None
    } else {
        let invalid = |_| HttpError::invalid(format!("invalid number of tags: {enough:?}"));
        Some(enough.parse().map_err(invalid)?)
    };
    let found = daemon.engine().registry_tags(&visit, enough).await?;
    let name = visit.reference.repository().familiar();
    let tags = found.iter().map(ToString::to_string).collect();
    Ok(response::json(StatusCode::OK, &Tags { name, tags }))
}

async fn inspect(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let visit = visit(request)?;
    let found = daemon.engine().registry_inspect(&visit).await?;
    let name = visit.reference.with_default_tag().familiar();
    Ok(response::json(StatusCode::OK, &inspection(name, found)))
}

/// Answers with a manifest or a config as it is.
async fn document(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let visit = visit(request)?;
    let found = if request.query.boolean("config") {
        daemon.engine().registry_config(&visit).await?
    } else {
        daemon.engine().registry_manifest(&visit).await?
    };
    let mut answer: Response<Body> = response::full(StatusCode::OK, found.bytes);
    if let Ok(media_type) = HeaderValue::from_str(found.descriptor.media_type.as_str()) {
        answer.headers_mut().insert(CONTENT_TYPE, media_type);
    }
    Ok(answer)
}

async fn referrers(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let artifact_type = Some(request.query.get("artifactType")).filter(|text| !text.is_empty());
    let found = daemon.engine().registry_referrers(&visit(request)?, artifact_type).await?;
    Ok(response::json(StatusCode::OK, &referring(found)))
}

async fn tag(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let tag: Tag = request.query.get("tag").parse()?;
    let tagged = daemon.engine().registry_tag(&visit(request)?, &tag).await?;
    Ok(response::json(StatusCode::CREATED, &described(&tagged)))
}

async fn remove(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let visit = visit(request)?;
    let removed = daemon.engine().registry_remove(&visit).await.map_err(|error| match error {
        // Many say so by the status alone.
        EngineError::Registry(error) if error.is_unsupported() => {
            HttpError::new(StatusCode::METHOD_NOT_ALLOWED, error.to_string())
        }
        error => error.into(),
    })?;
    let name = Some(visit.reference.familiar());
    let removal = match removed {
        Some(way) => Removal { untagged: name, deleted: None, stood_in: way == TagRemoval::Stand },
        None => Removal { untagged: None, deleted: name, stood_in: false },
    };
    Ok(response::json(StatusCode::OK, &removal))
}

async fn push_list(daemon: &Daemon, request: &ApiRequest, body: Incoming) -> Answer {
    let bytes = body::document(body, MAX_LIST).await?;
    let push: ListPush = serde_json::from_slice(&bytes)
        .map_err(|error| HttpError::invalid(format!("invalid JSON: {error}")))?;
    let images = push.images.into_iter().map(|image| {
        Ok(ListedImage {
            repository: Repository::parse_familiar(&image.repository)?,
            media_type: MediaType::from(image.media_type.as_str()),
            digest: image.digest.parse().map_err(|error: spec::DigestError| {
                HttpError::invalid(format!("{}: {error}", image.repository))
            })?,
            bytes: image.raw.into(),
        })
    });
    let push = engine::ListPush {
        reference: Reference::parse_familiar(&push.name)?,
        media_type: MediaType::from(push.media_type.as_str()),
        bytes: push.list.into(),
        images: images.collect::<Result<_, HttpError>>()?,
        insecure: request.query.boolean("insecure"),
        credentials: header_credentials(request),
        caller: Caller::agent_of_request(&request.headers),
    };
    let digest = daemon.engine().push_list(&push).await?.to_string();
    Ok(response::json(StatusCode::CREATED, &ListPushed { digest }))
}

fn platform(descriptor: &Descriptor) -> String {
    descriptor.platform.as_ref().map(Platform::specifier).unwrap_or_default()
}

fn inspection(name: String, found: RegistryObject) -> Inspection {
    Inspection {
        name,
        source: found.source,
        digest: found.descriptor.digest.to_string(),
        media_type: found.descriptor.media_type.to_string(),
        size: found.descriptor.size,
        artifact_type: found.artifact_type.unwrap_or_default(),
        subject: found.subject.map(|subject| subject.to_string()).unwrap_or_default(),
        annotations: found.annotations,
        manifests: found.entries.into_iter().map(listed).collect(),
        image: found.image.map(image),
        pull_limit: found.pull_limit.map(|limit| PullLimit {
            limit: limit.limit,
            remaining: limit.remaining,
            window: limit.window.map(|window| window.as_secs()),
            source: limit.source,
        }),
    }
}

fn listed(entry: ListedManifest) -> Listed {
    Listed {
        platform: platform(&entry.descriptor),
        digest: entry.descriptor.digest.to_string(),
        media_type: entry.descriptor.media_type.to_string(),
        size: entry.descriptor.size,
        artifact_type: entry.artifact_type.unwrap_or_default(),
        annotations: entry.descriptor.annotations,
        image_size: entry.image_size,
    }
}

fn image(image: RegistryImage) -> Image {
    Image {
        size: image.size(),
        digest: image.descriptor.digest.to_string(),
        platform: platform(&image.descriptor),
        config: image.config.digest.to_string(),
        created: image.created.unwrap_or_default(),
        author: image.author.unwrap_or_default(),
        labels: image.labels,
        annotations: image.annotations,
        layers: image.layers.iter().map(described).collect(),
    }
}

fn referring(found: FoundReferrers) -> Referrers {
    let by = match found.from {
        ReferrersFrom::Registry => "registry",
        ReferrersFrom::Tag => "tag",
    };
    let row = |descriptor: Descriptor, artifact_type: String, listed_by: &str, tag: String| {
        let Found { digest, media_type, size } = described(&descriptor);
        let (listed_by, annotations) = (listed_by.to_owned(), descriptor.annotations);
        Referrer { digest, media_type, artifact_type, size, listed_by, tag, annotations }
    };
    let listed = found.referrers.into_iter().map(|referrer| {
        let artifact_type = referrer.artifact_type.unwrap_or_default();
        row(referrer.descriptor, artifact_type, by, String::new())
    });
    let cosign = found
        .cosign
        .into_iter()
        .map(|(tag, descriptor)| row(descriptor, String::new(), "cosign", tag.to_string()));
    let referrers = listed.chain(cosign).collect();
    Referrers { subject: found.subject.to_string(), referrers }
}
