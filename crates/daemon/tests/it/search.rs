//! Questions to registries that pull nothing: searches, and what a name means.

use serde_json::json;
use test_support::scripted::{Answer, Scripted};

use crate::answers::Case;
use crate::fixture::House;
use crate::images::registry_with_an_image;

const FOUND: &str = r#"{"num_results":2,"results":[
    {"name":"busybox","description":"Busybox base image.","star_count":3412,"is_official":true,"is_automated":true},
    {"name":"me/busybox","description":null,"star_count":12,"is_official":false,"unknown":[1]}]}"#;

async fn index() -> Scripted {
    let index = Scripted::start().await.unwrap();
    index.on("GET", "/v1/_ping", [Answer::status(200).json("{}")]);
    index.on("GET", "/v1/search", [Answer::status(200).json(FOUND)]);
    index
}

#[tokio::test]
async fn a_search_is_filtered_here_and_shows_the_credentials() {
    let house = House::open().await;
    let index = index().await;
    let term = format!("{}/busy%20box", index.host());
    let auth = api::auth::AuthConfig {
        username: "ann".into(),
        password: "pw".into(),
        ..Default::default()
    };
    let path = format!("/images/search?term={term}&limit=7");
    let reply = house.send("GET", &path, &[("x-registry-auth", &auth.encode())], "").await;
    let official = json!({"star_count": 3412, "is_official": true, "name": "busybox", "is_automated": false,
                          "description": "Busybox base image."});
    let other = json!({"star_count": 12, "is_official": false, "name": "me/busybox", "is_automated": false,
                       "description": ""});
    assert_eq!((reply.status, reply.json()), (200, json!([official, other])), "{}", reply.text);
    let log = index.received();
    let asked = log.last().unwrap();
    assert_eq!(asked.to_string(), "GET /v1/search?q=busy+box&n=7");
    assert_eq!(asked.headers["authorization"], "Basic YW5uOnB3");
    assert!(!log[0].headers.contains_key("authorization"), "{log:?}");

    for (filters, expected) in [
        (r#"{"is-official":["true"]}"#, json!([official])),
        (r#"{"is-official":["false"]}"#, json!([other])),
        (r#"{"stars":["13"]}"#, json!([official])),
        (r#"{"stars":["1","13"]}"#, json!([official])),
        (r#"{"is-automated":["true"]}"#, json!([])),
    ] {
        let filters = filters.replace('"', "%22");
        let reply = house.get(&format!("/images/search?term={term}&filters={filters}")).await;
        assert_eq!((reply.status, reply.json()), (200, expected), "{filters}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_search_has_dockerds_words() {
    let house = House::open().await;
    let index = index().await;
    let host = index.host();
    for (query, status, message) in [
        (format!("term={host}/x&limit=101"), 400, "limit 101 is outside the range of [1, 100]"),
        (
            format!("term={host}/x&limit=x"),
            400,
            "invalid limit specified: strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (
            format!("term={host}/x&filters={{%22stars%22:[%22x%22]}}"),
            400,
            "invalid filter 'stars=x': strconv.Atoi: parsing \"x\": invalid syntax",
        ),
        (
            format!("term={host}/x&filters={{%22nosuch%22:[%22x%22]}}"),
            400,
            "invalid filter 'nosuch'",
        ),
        (
            "term=http://x".to_owned(),
            400,
            "invalid repository name: repository name (http://x) should not have a scheme",
        ),
    ] {
        let reply = house.get(&format!("/images/search?{query}")).await;
        assert_eq!((reply.status, reply.message().as_str()), (status, message), "{query}");
    }
    let too_large = format!("{{\"results\":[],\"x\":\"{}\"}}", "x".repeat(5 << 20));
    for (answer, expected) in [
        (Answer::status(404), "unexpected status code 404"),
        (Answer::status(200).body("<html>"), "error decoding registry search results: "),
        (Answer::status(200).body(too_large), "search results"),
    ] {
        index.on("GET", "/v1/search", [answer]);
        let reply = house.get(&format!("/images/search?term={host}/x")).await;
        assert_eq!(reply.status, 500, "{}", reply.text);
        assert!(reply.message().contains(expected), "{}", reply.text);
    }
    let nobody = house.get("/images/search?term=127.0.0.1:1/x").await;
    assert_eq!(nobody.status, 400, "{}", nobody.text);
    let words = "invalid registry endpoint \"http://127.0.0.1:1/v1/\". HTTPS attempt: Get \
                 \"https://127.0.0.1:1/v1/_ping\": dial tcp 127.0.0.1:1: connect: connection refused. HTTP attempt: Get";
    assert!(nobody.message().starts_with(words), "{}", nobody.text);
}

#[tokio::test]
async fn a_name_is_described_without_a_pull() {
    let house = House::open().await;
    let (registry, image) = registry_with_an_image().await;
    let name = format!("{}/me/app", registry.address());
    let reply = house.get(&format!("/v1.41/distribution/{name}:1/json")).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let found = reply.json();
    let manifest = &image.manifest;
    let descriptor = json!({
        "mediaType": found["Descriptor"]["mediaType"],
        "digest": manifest.digest.to_string(),
        "size": manifest.size,
    });
    assert_eq!(found["Descriptor"], descriptor);
    let by_digest = house.get(&format!("/distribution/{name}@{}/json", manifest.digest)).await;
    assert_eq!(by_digest.json(), found);
    assert_eq!(house.get("/images/json").await.json(), json!([]));

    for (path, status, message) in [
        (format!("{name}:nosuch"), 404, "manifest unknown: "),
        (format!("{}/nosuch/x:y", registry.address()), 404, " unknown: "),
        ("a".repeat(64), 500, "no manifest found for full image ID"),
        ("UPPER".to_owned(), 400, "invalid reference format: "),
        ("scratch".to_owned(), 403, "'scratch' is a reserved name"),
    ] {
        let reply = house.get(&format!("/distribution/{path}/json")).await;
        assert_eq!(reply.status, status, "{path}: {}", reply.text);
        assert!(reply.message().contains(message), "{path}: {}", reply.text);
    }
}

#[tokio::test]
async fn there_are_no_attestations_as_with_a_graph_driver() {
    let house = House::open().await;
    let words = "the legacy image store does not support attestations";
    let reply = house.get("/images/a/b:1/attestations").await;
    assert_eq!((reply.status, reply.message().as_str()), (501, words));
    let two = house.get("/images/x/attestations?platform=a&platform=b").await;
    let words = "only one platform value is currently supported";
    assert_eq!((two.status, two.message().as_str()), (400, words));
    assert_eq!(house.get("/images/x/attestations?platform=x").await.status, 400);
}

#[tokio::test]
async fn registries_are_told_who_asks() {
    let house = House::open().await;
    let Case { server, path, .. } = Case::new(0).await;
    let name = format!("{}/{path}:1", server.host());
    server.on("GET", "/v1/_ping", [Answer::status(200).json("{}")]);
    server.on("GET", "/v1/search", [Answer::status(200).json(FOUND)]);
    let login = json!({"username": "ann", "password": "pw", "serveraddress": server.host()});
    // As from dockerd, the headers for registries go with searches alone.
    for (method, path, body, meta) in [
        ("GET", format!("/images/search?term={}/box", server.host()), String::new(), Some("blue")),
        ("POST", "/auth".to_owned(), login.to_string(), None),
        ("GET", format!("/distribution/{name}/json"), String::new(), None),
        ("GET", format!("/longshore/manifest/inspect?name={name}"), String::new(), None),
    ] {
        server.forget();
        let headers = [("user-agent", "c/1 (x)"), ("x-meta-team", "blue")];
        let reply = house.send(method, &path, &headers, &body).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        let received = server.received();
        assert!(!received.is_empty(), "{path}");
        for request in received {
            let agent = request.header("user-agent").unwrap();
            assert!(agent.ends_with(" UpstreamClient(c/1 \\(x\\))"), "{path}: {agent}");
            assert_eq!(request.header("x-meta-team"), meta, "{path}: {request}");
        }
    }
}
