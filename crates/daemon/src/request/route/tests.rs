use super::*;

fn route(method: &str, path: &str) -> Option<Route> {
    find(&method.parse().unwrap(), path).map(|target| target.route)
}

#[test]
fn names_keep_their_slashes() {
    let inspect = |name: &str| Some(Route::ImageInspect(name.into()));
    let table = [
        ("GET", "/images/busybox/json", inspect("busybox")),
        ("GET", "/images/127.0.0.1:5600/a/b:1/json", inspect("127.0.0.1:5600/a/b:1")),
        ("GET", "/images/json/json", inspect("json")),
        ("GET", "/images/a/json/json", inspect("a/json")),
        ("GET", "/images//json", inspect("")),
        ("GET", "/images/../json", inspect("..")),
        ("GET", "/images/json", Some(Route::ImageList)),
        ("GET", "/system/df", Some(Route::DiskUsage)),
        ("GET", "/system/df/x", None),
        ("GET", "/longshore/diff", Some(Route::ImageDiff)),
        ("POST", "/longshore/diff", None),
        ("GET", "/images/a/b/history", Some(Route::ImageHistory("a/b".into()))),
        ("POST", "/images/me/push/push", Some(Route::ImagePush("me/push".into()))),
        ("GET", "/images/get", Some(Route::ImagesGet)),
        ("GET", "/images/a/b:1/get", Some(Route::ImageGet("a/b:1".into()))),
        ("GET", "/images/get/get", Some(Route::ImageGet("get".into()))),
        ("POST", "/images/load", Some(Route::ImagesLoad)),
        ("POST", "/images/create", Some(Route::ImageCreate)),
        ("POST", "/images/prune", Some(Route::ImagePrune)),
        ("POST", "/images/create/tag", Some(Route::ImageTag("create".into()))),
        ("DELETE", "/images/a/b@sha256:12", Some(Route::ImageRemove("a/b@sha256:12".into()))),
        ("DELETE", "/images/json", Some(Route::ImageRemove("json".into()))),
        ("DELETE", "/images/", Some(Route::ImageRemove(String::new()))),
    ];
    for (method, path, expected) in table {
        assert_eq!(route(method, path), expected, "{method} {path}");
    }
}

#[test]
fn only_unclean_paths_have_a_clean_form() {
    for (path, expected) in [
        ("/", None),
        ("/images/json", None),
        ("/images/", None),
        ("/.../a", None),
        ("*", None),
        ("//", Some("/")),
        ("//images/json", Some("/images/json")),
        ("/v1.41//images/json", Some("/v1.41/images/json")),
        ("/images/./json", Some("/images/json")),
        ("/images/../json", Some("/json")),
        ("/../../json", Some("/json")),
        ("/images//", Some("/images/")),
        ("/images/..", Some("/")),
        ("//evil.example/..//x", Some("/x")),
    ] {
        assert_eq!(clean(path).as_deref(), expected, "{path}");
    }
}

#[test]
fn registries_are_asked_by_routes_of_ours() {
    let table = [
        ("GET", "/longshore/registry/check", Some(AtRegistry::Check)),
        ("GET", "/v1.50/longshore/registry/tags", Some(AtRegistry::Tags)),
        ("POST", "/longshore/registry/tag", Some(AtRegistry::Tag)),
        ("GET", "/longshore/registry/tag", None),
        ("DELETE", "/longshore/registry/manifest", Some(AtRegistry::Remove)),
        ("GET", "/longshore/registry/manifest", None),
        ("DELETE", "/longshore/registry/tags", None),
        ("POST", "/longshore/manifest/push", Some(AtRegistry::PushList)),
    ];
    for (method, path, expected) in table {
        assert_eq!(route(method, path), expected.map(Route::Registry), "{method} {path}");
    }
    assert!(find(&Method::GET, "/longshore/registry/tags").is_some_and(|target| target.own));
}

#[test]
fn the_version_is_taken_off_and_kept_as_written() {
    let table = [
        ("/v1.50/version", Some("1.50"), Some(Route::Version)),
        ("/version", None, Some(Route::Version)),
        ("/v9/version", Some("9"), Some(Route::Version)),
        ("/v1..2/version", Some("1..2"), Some(Route::Version)),
        ("/v1.50x/version", None, None),
        ("/v/version", None, None),
        ("/v1.50", None, None),
        ("/v1.50/v1.50/version", Some("1.50"), None),
    ];
    for (path, version, expected) in table {
        let target = find(&Method::GET, path);
        assert_eq!(target.as_ref().map(|target| &target.route), expected.as_ref(), "{path}");
        assert!(target.is_none_or(|target| target.version == version), "{path}");
    }
}

#[test]
fn what_dockerd_does_not_know_is_not_known() {
    let table = [
        ("GET", "/"),
        ("GET", ""),
        ("GET", "version"),
        ("GET", "/nosuch"),
        ("GET", "/version/"),
        ("GET", "//version"),
        ("POST", "/version"),
        ("HEAD", "/version"),
        ("PUT", "/_ping"),
        ("GET", "/images"),
        ("GET", "/images/"),
        ("GET", "/images/busybox"),
        ("PUT", "/images/busybox/json"),
        ("POST", "/images/busybox/json"),
        ("GET", "/containers"),
        ("GET", "/containers/x"),
        ("POST", "/images/push"),
        ("GET", "/auth"),
        ("PATCH", "/containers/x/start"),
        ("POST", "/containers/x"),
        ("POST", "/containers/x/frob"),
        ("GET", "/containers/x/frob"),
        ("HEAD", "/containers/x/json"),
        ("DELETE", "/containers/x/start"),
        ("POST", "/networks/a"),
        ("POST", "/exec/e"),
        ("POST", "/plugins/x"),
        ("GET", "/plugins/x"),
    ];
    for (method, path) in table {
        assert_eq!(route(method, path), None, "{method} {path}");
    }
}

#[test]
fn the_container_half_reads_empty_and_does_nothing() {
    let table = [
        ("GET", "/containers/json", Route::Empty(Empty::List)),
        ("GET", "/containers/x/json", Route::Empty(Empty::Container("x".into()))),
        ("GET", "/containers/x/logs", Route::Empty(Empty::Container("x".into()))),
        ("HEAD", "/containers/x/archive", Route::Empty(Empty::Container("x".into()))),
        ("POST", "/containers/create", Route::Unavailable(Domain::Containers)),
        ("POST", "/containers/x/start", Route::Empty(Empty::Container("x".into()))),
        ("POST", "/containers/x/kill", Route::Empty(Empty::Killed("x".into()))),
        ("PUT", "/containers/x/archive", Route::Empty(Empty::Container("x".into()))),
        ("DELETE", "/containers/x", Route::Empty(Empty::Container("x".into()))),
        ("POST", "/exec/e/start", Route::Empty(Empty::Exec("e".into()))),
        ("GET", "/exec/e/json", Route::Empty(Empty::Exec("e".into()))),
        ("POST", "/containers/prune", Route::Empty(Empty::ContainersPrune)),
        ("GET", "/networks", Route::Empty(Empty::List)),
        ("GET", "/networks/a_default", Route::Empty(Empty::Network("a_default".into()))),
        ("POST", "/networks/create", Route::Unavailable(Domain::Networks)),
        ("GET", "/volumes", Route::Empty(Empty::Volumes)),
        ("GET", "/volumes/v", Route::Empty(Empty::Volume("v".into()))),
        ("DELETE", "/networks/a", Route::Empty(Empty::Network("a".into()))),
        ("POST", "/networks/a/connect", Route::Empty(Empty::NetworkMember("a".into()))),
        ("POST", "/networks/a/disconnect", Route::Empty(Empty::NetworkMember("a".into()))),
        ("POST", "/volumes/create", Route::Unavailable(Domain::Volumes)),
        ("DELETE", "/volumes/v", Route::Empty(Empty::RemovedVolume("v".into()))),
        ("GET", "/plugins", Route::Empty(Empty::List)),
        ("GET", "/plugins/a/b:latest/json", Route::Empty(Empty::Plugin("a/b:latest".into()))),
        ("POST", "/plugins/pull", Route::Unavailable(Domain::Plugins)),
        ("POST", "/plugins/a/b/enable", Route::Empty(Empty::Plugin("a/b".into()))),
        ("DELETE", "/plugins/a/b", Route::Empty(Empty::Plugin("a/b".into()))),
        ("POST", "/services/create", Route::Empty(Empty::Swarm)),
        ("DELETE", "/nodes/n", Route::Empty(Empty::Swarm)),
        ("POST", "/swarm/leave", Route::Empty(Empty::SwarmLeave)),
        ("GET", "/swarm", Route::Empty(Empty::Swarm)),
        ("GET", "/services/s/logs", Route::Empty(Empty::Swarm)),
        ("POST", "/swarm/init", Route::Unavailable(Domain::Swarm)),
        ("POST", "/build", Route::Unavailable(Domain::Builds)),
        ("POST", "/session", Route::Unavailable(Domain::Builds)),
        ("POST", "/commit", Route::Empty(Empty::Commit)),
        ("GET", "/distribution/a/b/json", Route::Distribution("a/b".into())),
        ("OPTIONS", "/whatever", Route::Options),
    ];
    for (method, path, expected) in table {
        assert_eq!(route(method, path), Some(expected), "{method} {path}");
    }
}
