//! `GET /system/df`.

use api::ApiVersion;
use api::disk_usage::{DiskUsage, Share, StoreUsage, Usage};
use http::StatusCode;

use crate::daemon::Daemon;
use crate::documents::images::summary;
use crate::errors::{Answer, HttpError};
use crate::request::ApiRequest;
use crate::response;

/// From this version on, a client may ask for some kinds only.
const KINDS_SINCE: u32 = 42;
/// From this version on, each kind is summed up.
const SUMS_SINCE: u32 = 52;

/// The kinds of objects.
const KINDS: [&str; 4] = ["image", "container", "volume", "build-cache"];

/// Answers with the disk usage of images, and with none of anything else.
pub(super) async fn disk_usage(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let kinds = kinds(request)?;
    let wants = |kind| kinds.contains(&kind);
    let sums = request.version.at_least(SUMS_SINCE);
    // Clients that ask for details know the sums and need no lists beside them.
    let lists = !(sums && request.query.boolean("verbose"));
    let usage = if wants("image") {
        daemon.engine().disk_usage().await?
    } else {
        engine::DiskUsage::default()
    };
    let store = Some(store(usage.store)).filter(|store| *store != StoreUsage::default());
    let total = signed(usage.layers.saturating_add(usage.partial_downloads));
    let partial = signed(usage.partial_downloads);
    let images: Vec<_> = usage
        .images
        .iter()
        .map(|image| {
            let image = summary(image, ApiVersion::CURRENT);
            // There are no containers, which is said here in every version.
            let virtual_size = (!request.version.at_least(44)).then_some(image.size);
            api::image::ImageSummary { containers: Some(0), virtual_size, ..image }
        })
        .collect();
    let own = |image: &api::image::ImageSummary| {
        signed(image.size.saturating_sub(image.shared_size.unwrap_or_default()))
    };
    let image_usage = (sums && wants("image")).then(|| Usage {
        active_count: 0,
        reclaimable: images.iter().map(own).sum::<i64>().saturating_add(partial),
        total_count: i64::try_from(images.len()).unwrap_or(i64::MAX),
        total_size: total,
        items: Some(images.clone()).filter(|images| !images.is_empty()),
    });
    let nothing = |wanted: bool| (sums && wanted).then(Usage::default);
    let document = DiskUsage {
        layers_size: if lists { total } else { 0 },
        kept_blobs: signed(usage.kept_blobs),
        store,
        images: (lists && wants("image")).then_some(images),
        containers: (lists && wants("container")).then(Vec::new),
        volumes: (lists && wants("volume")).then(Vec::new),
        build_cache: (lists && wants("build-cache")).then(Vec::new),
        image_usage,
        container_usage: nothing(wants("container")),
        volume_usage: nothing(wants("volume")),
        build_cache_usage: nothing(wants("build-cache")),
    };
    Ok(response::json(StatusCode::OK, &document))
}

fn store(usage: engine::StoreUsage) -> StoreUsage {
    let share = |size, reclaimable| Share { size: signed(size), reclaimable: signed(reclaimable) };
    StoreUsage {
        layers: share(usage.layers, usage.layers_reclaimable),
        content: share(usage.content, usage.content_reclaimable),
        kept_twice: signed(usage.kept_twice),
        partial_downloads: share(usage.downloads, usage.downloads),
    }
}

/// Returns the kinds that a client asks for.
fn kinds(request: &ApiRequest) -> Result<Vec<&str>, HttpError> {
    let kinds: Vec<&str> = request.query.all("type").collect();
    if !request.version.at_least(KINDS_SINCE) || kinds.is_empty() {
        return Ok(KINDS.to_vec());
    }
    match kinds.iter().find(|kind| !KINDS.contains(kind)) {
        Some(kind) => Err(HttpError::invalid(format!("unknown object type: {kind}"))),
        None => Ok(kinds),
    }
}

fn signed(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
