//! `POST /images/prune`, and `POST /longshore/prune`, a route of ours.
//!
//! Both take the filters of a policy, which a dockerd refuses. A dry run is for the second alone: a dockerd would pass over a
//! parameter that it does not know, and prune.

use api::image::PruneReport;
use api::message::FACTS_HEADER;
use api::{FREED_HEADER, Filters};
use http::{HeaderValue, StatusCode};

use crate::daemon::Daemon;
use crate::documents::images::removed;
use crate::documents::prune::outcome;
use crate::errors::Answer;
use crate::prune::policy::policy;
use crate::request::ApiRequest;
use crate::response;

/// Removes images that nobody needs, within the filters.
pub(super) async fn prune(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let filters = Filters::decode(request.query.get("filters"))?;
    // As with dockerd, that another one is running is said before what is wrong with this one.
    let prune = daemon.engine().prune()?;
    let pruned = prune.run(policy(&filters)?).await?;
    let report = PruneReport {
        images_deleted: (!pruned.removed.is_empty()).then(|| removed(pruned.removed)),
        space_reclaimed: pruned.reclaimed,
    };
    let mut response = response::json(StatusCode::OK, &report);
    if request.headers.contains_key(FACTS_HEADER) {
        response.headers_mut().insert(FREED_HEADER, HeaderValue::from(pruned.freed));
    }
    Ok(response)
}

/// Does the same and tells more of it; with `dry-run` it only tells.
pub(super) async fn by_policy(daemon: &Daemon, request: &ApiRequest) -> Answer {
    let filters = Filters::decode(request.query.get("filters"))?;
    let policy = policy(&filters)?;
    let dry_run = request.query.boolean("dry-run");
    let pruned = if dry_run {
        daemon.engine().plan_prune(policy).await?
    } else {
        daemon.engine().prune()?.run(policy).await?
    };
    Ok(response::json(StatusCode::OK, &outcome(pruned, dry_run)))
}
