//! Routes: which one a method and a path mean.
//!
//! Image names hold slashes and colons, so a route is found by what stands before and behind the name. Names are matched
//! after their escapes are undone, as dockerd does: `a%2Fb` and `a/b` are one name.

#[cfg(test)]
mod tests;

use api::Query;
use http::Method;

/// Routes, with the names that stand in their paths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    Ping,
    Version,
    Info,
    Auth,
    Events,
    DiskUsage,
    /// Pull or import.
    ImageCreate,
    ImageList,
    ImageSearch,
    /// The manifests that a name leads to; ours.
    ManifestInspect,
    /// Attestations, which no graph driver has.
    ImageAttestations,
    /// A registry's word on a name.
    Distribution(String),
    /// Save, of the images that the query names.
    ImagesGet,
    /// Save of one image.
    ImageGet(String),
    ImagesLoad,
    ImageInspect(String),
    ImageHistory(String),
    ImagePush(String),
    ImageTag(String),
    ImageRemove(String),
    ImagePrune,
    /// Ours: what a registry has, and what is changed there.
    Registry(AtRegistry),
    /// Ours: why an answer was broken off.
    Failure,
    /// Ours: which files differ between images.
    ImageDiff,
    /// Ours: what is wrong in the data root.
    SystemCheck,
    /// Ours: a prune that tells what goes and why, and may only tell.
    Prune,
    /// Ours: an image put on a directory.
    Mount,
    /// Ours: an image taken off a directory.
    Unmount,
    /// Ours: which images are mounted.
    Mounts,
    /// Ours: an image as a directory of files.
    Unpack,
    /// A question that clients ask around the image routes, answered as by a dockerd that has nothing of the kind.
    Empty(Empty),
    /// A deed of Docker's that Longshore does not do, by its object.
    Unavailable(Domain),
    /// `OPTIONS` of anything.
    Options,
}

impl Route {
    /// Returns the action on images, by dockerd's name where its metrics have one.
    pub(crate) fn action(&self, query: &Query) -> Option<&'static str> {
        Some(match self {
            Self::ImageCreate if !query.get("fromSrc").is_empty() => "import",
            Self::ImageCreate => "pull",
            Self::ImagePush(_) => "push",
            Self::ImageRemove(_) => "delete",
            Self::ImageHistory(_) => "history",
            Self::ImageList => "list",
            Self::ImageInspect(_) => "inspect",
            Self::ImageTag(_) => "tag",
            Self::ImagePrune | Self::Prune => "prune",
            Self::ImagesGet | Self::ImageGet(_) => "save",
            Self::ImagesLoad => "load",
            Self::Unpack => "unpack",
            _ => return None,
        })
    }
}

/// The routes about registries that need no image here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtRegistry {
    /// The endpoints that are asked for an image, and the answer of each.
    Check,
    Catalog,
    Tags,
    Digest,
    Inspect,
    Document,
    Referrers,
    Verify,
    Tag,
    Remove,
    PushList,
}

/// A question to the half of Docker that is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Empty {
    /// A list that is a JSON array.
    List,
    Volumes,
    Container(String),
    /// A container that should be ended by a signal.
    Killed(String),
    /// A process that was started in a container.
    Exec(String),
    /// An image to be made of a container that the query names.
    Commit,
    Network(String),
    /// A network that a container should join or leave.
    NetworkMember(String),
    Volume(String),
    /// A volume that should go, of which it may be all the same whether there is one.
    RemovedVolume(String),
    Plugin(String),
    /// Anything of a swarm.
    Swarm,
    /// The end of the part in a swarm.
    SwarmLeave,
    ContainersPrune,
    NetworksPrune,
    VolumesPrune,
    BuildPrune,
}

/// Object of a route that is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Domain {
    Containers,
    Builds,
    Networks,
    Volumes,
    Plugins,
    Swarm,
}

/// A path that was understood: the route, and the version in front of it as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) version: Option<&'a str>,
    pub(crate) route: Route,
    /// True for the routes that only Longshore has.
    pub(crate) own: bool,
}

/// The first part of the paths that only Longshore has.
const OWN: &str = "longshore";

/// Returns the clean form of a path that is not clean: without empty parts, `.` and `..`. As with Go's routers, a slash at
/// the end stays.
pub(crate) fn clean(path: &str) -> Option<String> {
    let parts = path.strip_prefix('/')?;
    let mut kept: Vec<&str> = Vec::new();
    for part in parts.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(kept.pop()),
            part => kept.push(part),
        }
    }
    let end = if path.ends_with('/') && !kept.is_empty() { "/" } else { "" };
    let clean = format!("/{}{end}", kept.join("/"));
    (clean != path).then_some(clean)
}

/// Finds the route of an unescaped path. `None` is a page that does not exist; a known path with another method is one,
/// too.
pub(crate) fn find<'a>(method: &Method, path: &'a str) -> Option<Target<'a>> {
    let (version, path) = split_version(path);
    if *method == Method::OPTIONS {
        return Some(Target { version, route: Route::Options, own: false });
    }
    let path = path.strip_prefix('/')?;
    let (area, rest) = match path.split_once('/') {
        Some((area, rest)) => (area, Some(rest)),
        None => (path, None),
    };
    let route = match (area, rest) {
        ("images", Some(rest)) => images(method, rest),
        ("containers", Some(rest)) => containers(method, rest),
        (_, None) => single(method, area),
        (area, Some(rest)) => foreign(method, area, rest),
    }?;
    Some(Target { version, route, own: area == OWN })
}

/// Takes `/v1.NN` off a path. `/v` followed by anything else belongs to the path.
fn split_version(path: &str) -> (Option<&str>, &str) {
    let versioned = path.strip_prefix("/v").and_then(|rest| {
        let end = rest.find('/')?;
        let (version, rest) = rest.split_at(end);
        let valid = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        valid.then_some((version, rest))
    });
    match versioned {
        Some((version, rest)) => (Some(version), rest),
        None => (None, path),
    }
}

/// Paths of one segment.
fn single(method: &Method, area: &str) -> Option<Route> {
    Some(match (method.as_str(), area) {
        ("GET" | "HEAD", "_ping") => Route::Ping,
        ("GET", "version") => Route::Version,
        ("GET", "info") => Route::Info,
        ("GET", "events") => Route::Events,
        ("POST", "auth") => Route::Auth,
        ("GET", "networks" | "plugins") => Route::Empty(Empty::List),
        ("GET", "volumes") => Route::Empty(Empty::Volumes),
        ("GET", "swarm" | "services" | "nodes" | "tasks" | "secrets" | "configs") => {
            Route::Empty(Empty::Swarm)
        }
        ("POST", "build" | "session" | "grpc") => Route::Unavailable(Domain::Builds),
        ("POST", "commit") => Route::Empty(Empty::Commit),
        _ => return None,
    })
}

fn images(method: &Method, rest: &str) -> Option<Route> {
    let named = |suffix: &str| rest.strip_suffix(suffix).map(str::to_owned);
    match method.as_str() {
        "GET" => match rest {
            "json" => Some(Route::ImageList),
            "search" => Some(Route::ImageSearch),
            "get" => Some(Route::ImagesGet),
            _ => named("/get")
                .map(Route::ImageGet)
                .or_else(|| named("/json").map(Route::ImageInspect))
                .or_else(|| named("/history").map(Route::ImageHistory))
                .or_else(|| named("/attestations").map(|_| Route::ImageAttestations)),
        },
        "POST" => match rest {
            "create" => Some(Route::ImageCreate),
            "load" => Some(Route::ImagesLoad),
            "prune" => Some(Route::ImagePrune),
            _ => {
                named("/push").map(Route::ImagePush).or_else(|| named("/tag").map(Route::ImageTag))
            }
        },
        "DELETE" => Some(Route::ImageRemove(rest.to_owned())),
        _ => None,
    }
}

fn containers(method: &Method, rest: &str) -> Option<Route> {
    let (name, action) = match rest.split_once('/') {
        Some((name, action)) => (name, Some(action)),
        None => (rest, None),
    };
    Some(match (method.as_str(), name, action) {
        ("GET", "json", None) => Route::Empty(Empty::List),
        ("POST", "prune", None) => Route::Empty(Empty::ContainersPrune),
        ("POST", "create", None) => Route::Unavailable(Domain::Containers),
        ("POST", _, Some("kill")) => Route::Empty(Empty::Killed(name.to_owned())),
        (
            "GET",
            _,
            Some("attach/ws" | "changes" | "export" | "json" | "logs" | "stats" | "top"),
        )
        | ("GET" | "HEAD" | "PUT", _, Some("archive"))
        | ("DELETE", _, None)
        | (
            "POST",
            _,
            Some(
                "attach" | "copy" | "exec" | "pause" | "rename" | "resize" | "restart" | "start"
                | "stop" | "unpause" | "update" | "wait",
            ),
        ) => Route::Empty(Empty::Container(name.to_owned())),
        _ => return None,
    })
}

/// Paths of several segments in the parts of Docker that are not here.
fn foreign(method: &Method, area: &str, rest: &str) -> Option<Route> {
    let reads = *method == Method::GET;
    let writes = matches!(method.as_str(), "POST" | "PUT" | "DELETE");
    let acts = |domain| writes.then_some(Route::Unavailable(domain));
    let (posts, deletes) = (*method == Method::POST, *method == Method::DELETE);
    let empty = |question| Some(Route::Empty(question));
    match (area, rest) {
        (OWN, rest) => own(method, rest),
        ("networks", "") if reads => empty(Empty::List),
        ("networks", "prune") if posts => empty(Empty::NetworksPrune),
        ("networks", "create") => acts(Domain::Networks),
        ("networks", name) if reads || deletes => empty(Empty::Network(name.to_owned())),
        ("networks", rest) if posts => {
            let name =
                rest.strip_suffix("/connect").or_else(|| rest.strip_suffix("/disconnect"))?;
            empty(Empty::NetworkMember(name.to_owned()))
        }
        ("volumes", "prune") if posts => empty(Empty::VolumesPrune),
        ("volumes", "create") => acts(Domain::Volumes),
        ("volumes", name) if reads => empty(Empty::Volume(name.to_owned())),
        ("volumes", name) if deletes => empty(Empty::RemovedVolume(name.to_owned())),
        ("volumes", _) => acts(Domain::Volumes),
        ("plugins", "privileges") if reads => Some(Route::Unavailable(Domain::Plugins)),
        ("plugins", "pull" | "create") => acts(Domain::Plugins),
        ("plugins", rest) => plugin(method, rest).map(|name| Route::Empty(Empty::Plugin(name))),
        ("swarm", "init" | "join") => acts(Domain::Swarm),
        ("swarm", "leave") if posts => empty(Empty::SwarmLeave),
        ("swarm" | "services" | "nodes" | "tasks" | "secrets" | "configs", _) => {
            if reads || writes { empty(Empty::Swarm) } else { None }
        }
        ("build", "prune") if posts => empty(Empty::BuildPrune),
        ("build", "cancel") => acts(Domain::Builds),
        ("exec", rest) => exec(method, rest).map(|id| Route::Empty(Empty::Exec(id))),
        ("distribution", rest) if reads => {
            rest.strip_suffix("/json").map(|name| Route::Distribution(name.to_owned()))
        }
        ("system", "df") if reads => Some(Route::DiskUsage),
        _ => None,
    }
}

/// The routes that only Longshore has.
fn own(method: &Method, rest: &str) -> Option<Route> {
    Some(match (method.as_str(), rest) {
        ("GET", "manifest/inspect") => Route::ManifestInspect,
        ("GET", "failure") => Route::Failure,
        ("GET", "diff") => Route::ImageDiff,
        ("POST", "system/check") => Route::SystemCheck,
        ("POST", "prune") => Route::Prune,
        ("POST", "mount") => Route::Mount,
        ("POST", "umount") => Route::Unmount,
        ("GET", "mounts") => Route::Mounts,
        ("POST", "unpack") => Route::Unpack,
        (method, rest) => return at_registry(method, rest).map(Route::Registry),
    })
}

fn at_registry(method: &str, rest: &str) -> Option<AtRegistry> {
    Some(match (method, rest) {
        ("GET", "registry/check") => AtRegistry::Check,
        ("GET", "registry/catalog") => AtRegistry::Catalog,
        ("GET", "registry/tags") => AtRegistry::Tags,
        ("GET", "registry/digest") => AtRegistry::Digest,
        ("GET", "registry/inspect") => AtRegistry::Inspect,
        ("GET", "registry/document") => AtRegistry::Document,
        ("GET", "registry/referrers") => AtRegistry::Referrers,
        ("POST", "registry/verify") => AtRegistry::Verify,
        ("POST", "registry/tag") => AtRegistry::Tag,
        ("DELETE", "registry/manifest") => AtRegistry::Remove,
        ("POST", "manifest/push") => AtRegistry::PushList,
        _ => return None,
    })
}

/// The plugin that a path is about, if it is a path of plugins.
fn plugin(method: &Method, rest: &str) -> Option<String> {
    let name = match method.as_str() {
        "GET" => rest.strip_suffix("/json")?,
        "POST" => ["/enable", "/disable", "/push", "/set", "/upgrade"]
            .iter()
            .find_map(|action| rest.strip_suffix(action))?,
        "DELETE" => rest,
        _ => return None,
    };
    Some(name.to_owned())
}

/// The process in a container that a path is about, if it is a path of such.
fn exec(method: &Method, rest: &str) -> Option<String> {
    let (id, action) = rest.split_once('/')?;
    let known = match method.as_str() {
        "GET" => action == "json",
        "POST" => matches!(action, "start" | "resize"),
        _ => false,
    };
    known.then(|| id.to_owned())
}
