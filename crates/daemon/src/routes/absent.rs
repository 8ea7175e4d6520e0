//! The half of Docker that is not here: containers, builds, networks, volumes, plugins, swarms.
//!
//! Clients and test harnesses read these lists around everything that they do, so reading answers as a dockerd without
//! any such thing does. What would have to do something says that Longshore does not.

use std::collections::BTreeMap;
use std::time::Duration;

use api::Filters;
use engine::EventKind;
use http::StatusCode;
use http_body_util::{BodyExt as _, Collected, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::errors::{Answer, HttpError};
use crate::request::ApiRequest;
use crate::request::route::{Domain, Empty};
use crate::response;

/// The largest description of a network's member that is read, in bytes: a name, aliases and addresses.
const MAX_MEMBER_SIZE: usize = 64 * 1024;
/// The time for it to arrive.
const MEMBER_TIMEOUT: Duration = Duration::from_secs(10);
/// dockerd's words outside a swarm.
const NO_SWARM: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to \
                        connect this node to swarm and try again.";

/// dockerd's words for who leaves a swarm and is in none.
const NO_PART: &str = "This node is not part of a swarm";

/// Answers a question about something of which there is nothing.
pub(super) fn empty(daemon: &Daemon, request: &ApiRequest, question: Empty) -> Answer {
    let pruned = |what: &str| json!({ what: null, "SpaceReclaimed": 0 });
    let no_container = |name: &str| format!("No such container: {name}");
    check_filters(request, &question)?;
    tell_of_prune(daemon, &question);
    let document = match question {
        Empty::List => json!([]),
        Empty::Volumes => json!({ "Volumes": [], "Warnings": null }),
        Empty::ContainersPrune => pruned("ContainersDeleted"),
        Empty::VolumesPrune => json!({ "VolumesDeleted": [], "SpaceReclaimed": 0 }),
        Empty::BuildPrune => pruned("CachesDeleted"),
        Empty::NetworksPrune => json!({ "NetworksDeleted": null }),
        Empty::Container(name) => return Err(HttpError::not_found(no_container(&name))),
        Empty::Killed(name) => {
            let message = format!("cannot kill container: {name}: {}", no_container(&name));
            return Err(HttpError::not_found(message));
        }
        Empty::Commit => {
            return Err(match request.query.get("container") {
                "" => HttpError::invalid("invalid name or ID supplied: \"\""),
                name => HttpError::not_found(no_container(name)),
            });
        }
        Empty::Exec(id) => {
            return Err(HttpError::not_found(format!("No such exec instance: {id}")));
        }
        Empty::Network(name) | Empty::NetworkMember(name) => {
            return Err(HttpError::not_found(format!("network {name} not found")));
        }
        Empty::RemovedVolume(_) if request.query.boolean("force") => {
            return Ok(response::empty(StatusCode::NO_CONTENT));
        }
        Empty::Volume(name) | Empty::RemovedVolume(name) => {
            return Err(HttpError::not_found(format!("get {name}: no such volume")));
        }
        Empty::Plugin(name) => {
            return Err(HttpError::not_found(format!("plugin {name:?} not found")));
        }
        Empty::Swarm => return Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, NO_SWARM)),
        Empty::SwarmLeave => return Err(HttpError::new(StatusCode::SERVICE_UNAVAILABLE, NO_PART)),
    };
    Ok(response::json(StatusCode::OK, &document))
}

/// Answers who wants a container to join or leave a network: dockerd looks for the container first.
pub(super) async fn member(network: &str, body: Incoming) -> Answer {
    let body = Limited::new(body, MAX_MEMBER_SIZE).collect();
    let body = tokio::time::timeout(MEMBER_TIMEOUT, body).await;
    let bytes = body.ok().and_then(Result::ok).map(Collected::to_bytes).unwrap_or_default();
    let document: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    Err(HttpError::not_found(
        match document["Container"].as_str().filter(|name| !name.is_empty()) {
            Some(container) => format!("No such container: {container}"),
            None => format!("network {network} not found"),
        },
    ))
}

/// Refuses filters that a prune does not have: who limits one wants to be understood, also where nothing is there.
fn check_filters(request: &ApiRequest, question: &Empty) -> Result<(), HttpError> {
    let known: &[&str] = match question {
        Empty::ContainersPrune | Empty::NetworksPrune => &["label", "label!", "until"],
        Empty::VolumesPrune => &["all", "label", "label!"],
        _ => return Ok(()),
    };
    Ok(Filters::decode(request.query.get("filters"))?.validate(known)?)
}

/// Tells those who watch of a prune, as dockerd does also where nothing was there.
fn tell_of_prune(daemon: &Daemon, question: &Empty) {
    let kind = match question {
        Empty::ContainersPrune => EventKind::Container,
        Empty::NetworksPrune => EventKind::Network,
        Empty::VolumesPrune => EventKind::Volume,
        Empty::BuildPrune => EventKind::Builder,
        _ => return,
    };
    let attributes = BTreeMap::from([("reclaimed".to_owned(), "0".to_owned())]);
    daemon.engine().events().publish(kind, "prune", String::new(), attributes);
}

/// Says what Longshore does not do.
pub(super) fn unavailable(domain: Domain) -> HttpError {
    HttpError::not_implemented(match domain {
        Domain::Containers => "Longshore keeps images and does not run containers",
        Domain::Builds => "Longshore keeps images and does not build them",
        Domain::Networks => "Longshore keeps images and does not manage networks",
        Domain::Volumes => "Longshore keeps images and does not manage volumes",
        Domain::Plugins => "Longshore does not support plugins",
        Domain::Swarm => "Longshore keeps images and does not take part in a swarm",
    })
}
