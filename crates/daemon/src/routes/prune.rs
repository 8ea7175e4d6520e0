//! `POST /images/prune`.

use api::Filters;
use api::image::PruneReport;
use engine::PruneFilters;
use http::StatusCode;

use crate::daemon::Daemon;
use crate::documents::images::removed;
use crate::errors::{Answer, HttpError};
use crate::request::ApiRequest;
use crate::request::parameters::until;
use crate::response;

/// The filters of a prune.
const FILTERS: [&str; 4] = ["dangling", "label", "label!", "until"];

/// Removes images that nobody needs, within the filters.
pub(super) async fn prune(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let filters = Filters::decode(request.query.get("filters"))?;
    // As with dockerd, that another one is running is said before what is wrong with this one.
    let prune = daemon.engine().prune()?;
    let pruned = prune.run(prune_filters(&filters)?).await?;
    let report = PruneReport {
        images_deleted: (!pruned.removed.is_empty()).then(|| removed(pruned.removed)),
        space_reclaimed: pruned.reclaimed,
    };
    Ok(response::json(StatusCode::OK, &report))
}

fn prune_filters(filters: &Filters) -> Result<PruneFilters, HttpError> {
    filters.validate(&FILTERS)?;
    let dangling = filters.boolean("dangling")?.unwrap_or(true);
    let mut values = filters.values("until");
    let until = match (values.next(), values.next()) {
        (_, Some(_)) => return Err(HttpError::invalid("more than one until filter specified")),
        (Some(value), None) => Some(until(value)?),
        (None, None) => None,
    };
    let all = |name: &str| filters.values(name).map(str::to_owned).collect();
    Ok(PruneFilters { all: !dangling, labels: all("label"), without_labels: all("label!"), until })
}
