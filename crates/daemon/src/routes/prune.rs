//! `POST /images/prune`.

use api::Filters;
use api::image::PruneReport;
use engine::PruneFilters;
use http::StatusCode;

use super::Answer;
use super::images::removed;
use super::parameters::until;
use crate::connection::Call;
use crate::errors::Failure;
use crate::{Daemon, reply};

/// The filters of a prune.
const FILTERS: [&str; 4] = ["dangling", "label", "label!", "until"];

pub(super) async fn prune(daemon: &Daemon, call: &Call) -> Answer {
    let filters = Filters::decode(call.query.get("filters"))?;
    // As with dockerd, that another one is running is said before what is wrong with this one.
    let prune = daemon.engine().prune()?;
    let pruned = prune.run(prune_filters(&filters)?).await?;
    let report = PruneReport {
        images_deleted: (!pruned.removed.is_empty()).then(|| removed(pruned.removed)),
        space_reclaimed: pruned.reclaimed,
    };
    Ok(reply::json(StatusCode::OK, &report))
}

fn prune_filters(filters: &Filters) -> Result<PruneFilters, Failure> {
    filters.validate(&FILTERS)?;
    let dangling = filters.boolean("dangling")?.unwrap_or(true);
    let mut values = filters.values("until");
    let until = match (values.next(), values.next()) {
        (_, Some(_)) => return Err(Failure::invalid("more than one until filter specified")),
        (Some(value), None) => Some(until(value)?),
        (None, None) => None,
    };
    let all = |name: &str| filters.values(name).map(str::to_owned).collect();
    Ok(PruneFilters { all: !dangling, labels: all("label"), without_labels: all("label!"), until })
}
