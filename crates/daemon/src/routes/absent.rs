//! The half of Docker that is not here: containers, builds, networks, volumes, plugins, swarms.
//!
//! Clients and test harnesses read these lists around everything that they do, so reading answers as a dockerd without
//! any such thing does. What would have to do something says that Longshore does not.

use http::StatusCode;
use serde_json::json;

use super::Answer;
use crate::errors::Failure;
use crate::reply;
use crate::router::{Domain, Empty};

/// dockerd's words outside a swarm.
const NO_SWARM: &str = "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to \
                        connect this node to swarm and try again.";

/// Answers a question about something of which there is nothing.
pub(super) fn empty(question: Empty) -> Answer {
    let pruned = |what: &str| json!({ what: null, "SpaceReclaimed": 0 });
    let document = match question {
        Empty::List => json!([]),
        Empty::Volumes => json!({ "Volumes": [], "Warnings": null }),
        Empty::ContainersPrune => pruned("ContainersDeleted"),
        Empty::VolumesPrune => json!({ "VolumesDeleted": [], "SpaceReclaimed": 0 }),
        Empty::BuildPrune => pruned("CachesDeleted"),
        Empty::NetworksPrune => json!({ "NetworksDeleted": null }),
        Empty::Container(name) => {
            return Err(Failure::not_found(format!("No such container: {name}")));
        }
        Empty::Network(name) => {
            return Err(Failure::not_found(format!("network {name} not found")));
        }
        Empty::Volume(name) => {
            return Err(Failure::not_found(format!("get {name}: no such volume")));
        }
        Empty::Plugin(name) => {
            return Err(Failure::not_found(format!("plugin {name:?} not found")));
        }
        Empty::Swarm => return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, NO_SWARM)),
    };
    Ok(reply::json(StatusCode::OK, &document))
}

/// Says what Longshore does not do.
pub(super) fn unavailable(domain: Domain) -> Failure {
    Failure::not_implemented(match domain {
        Domain::Containers => "Longshore keeps images and does not run containers",
        Domain::Builds => "Longshore keeps images and does not build them",
        Domain::Networks => "Longshore keeps images and does not manage networks",
        Domain::Volumes => "Longshore keeps images and does not manage volumes",
        Domain::Plugins => "Longshore does not support plugins",
        Domain::Swarm => "Longshore keeps images and does not take part in a swarm",
    })
}
