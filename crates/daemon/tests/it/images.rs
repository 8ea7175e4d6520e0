//! The routes of images, against a registry in this process.

use serde_json::{Value, json};
use test_support::image::{Compression, Image, Layer};
use test_support::servers::LocalRegistry;
use test_support::tar::Entry;
use tokio::task::spawn_blocking;

use crate::fixture::{House, ask, handshake};

/// An image of one layer, and a registry that has it as `me/app:1`.
pub(crate) async fn registry_with_an_image() -> (LocalRegistry, Image) {
    spawn_blocking(|| {
        let registry = LocalRegistry::start().unwrap();
        let layer = Layer::new(Compression::Gzip, &[Entry::file("hello", "world".repeat(1000))]);
        let image = Image::builder().layer(layer).label("flavour", "plain").build();
        image.push(&registry.client(), "me/app", "1").unwrap();
        (registry, image)
    })
    .await
    .unwrap()
}

/// The line without what depends on the run: counters.
fn plain(line: &Value) -> String {
    let mut line = line.clone();
    if line["progressDetail"]["total"].is_u64() {
        line["progressDetail"] = json!("counted");
    }
    line.to_string()
}

#[tokio::test]
async fn an_image_comes_is_named_goes_elsewhere_and_is_removed() {
    let house = House::open().await;
    let (registry, image) = registry_with_an_image().await;
    let address = registry.address();
    let name = format!("{address}/me/app");
    let layer = image.layers[0].blob.digest.short();
    let digest = image.manifest.digest.to_string();

    let reply = house.post(&format!("/v1.50/images/create?fromImage={name}&tag=1")).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, "application/json"));
    assert_eq!(reply.header("transfer-encoding"), "chunked");
    let lines = reply.lines();
    assert_eq!(lines[0], json!({"status": "Pulling from me/app", "id": "1"}));
    let shown: Vec<_> = lines.iter().map(plain).collect();
    for status in ["Pulling fs layer", "Download complete", "Pull complete"] {
        let expected = json!({"status": status, "progressDetail": {}, "id": layer}).to_string();
        assert!(shown.contains(&expected), "{status}: {shown:#?}");
    }
    assert_eq!(
        lines[lines.len() - 2..],
        [
            json!({"status": format!("Digest: {digest}")}),
            json!({"status": format!("Status: Downloaded newer image for {name}:1")}),
        ]
    );

    let again = house.post(&format!("/images/create?fromImage={name}%3A1")).await.lines();
    assert_eq!(
        again.last().unwrap()["status"],
        format!("Status: Image is up to date for {name}:1")
    );

    let listed = house.get("/v1.50/images/json").await.json();
    let expected = json!([{
        "Containers": -1, "Created": listed[0]["Created"], "Id": image.id().to_string(),
        "Labels": {"flavour": "plain"}, "ParentId": "", "RepoDigests": [format!("{name}@{digest}")],
        "RepoTags": [format!("{name}:1")], "SharedSize": -1, "Size": 5000,
    }]);
    assert_eq!(listed, expected);
    assert_eq!(house.get("/v1.43/images/json").await.json()[0]["VirtualSize"], 5000);
    let none =
        house.get("/images/json?filters=%7B%22label%22%3A%5B%22flavour%3Dhot%22%5D%7D").await;
    assert_eq!(none.json(), json!([]));

    let inspected = house.get(&format!("/v1.50/images/{name}:1/json")).await.json();
    assert_eq!(inspected["Id"], image.id().to_string());
    assert_eq!(
        inspected["RootFS"],
        json!({"Layers": [image.diff_ids()[0].to_string()], "Type": "layers"})
    );
    assert_eq!(inspected["Config"]["Cmd"], json!(["/bin/sh"]));
    assert_eq!((&inspected["Author"], &inspected["Config"]["Volumes"]), (&json!(""), &Value::Null));
    let by_id = house.get(&format!("/images/{}/json", image.id().digest().short())).await;
    assert_eq!(by_id.json()["RepoTags"], inspected["RepoTags"]);

    let tagged =
        house.post(&format!("/v1.50/images/{name}:1/tag?repo={address}%2Fyou%2Fapp&tag=2")).await;
    assert_eq!((tagged.status, tagged.text.as_str()), (201, ""));

    let lines = house.post(&format!("/v1.50/images/{address}/you/app/push?tag=2")).await.lines();
    let status = format!("The push refers to repository [{address}/you/app]");
    assert_eq!(lines[0], json!({"status": status}));
    let size = image.manifest.size;
    assert_eq!(
        lines[lines.len() - 2..],
        [
            json!({"status": format!("2: digest: {digest} size: {size}")}),
            json!({"progressDetail": {}, "aux": {"Tag": "2", "Digest": digest, "Size": size}}),
        ]
    );

    let first = house.send("DELETE", &format!("/images/{name}:1"), &[], "").await;
    assert_eq!(first.json()[0], json!({"Untagged": format!("{name}:1")}));
    let last = house.send("DELETE", &format!("/images/{address}/you/app:2"), &[], "").await.json();
    assert!(
        last.as_array().unwrap().contains(&json!({"Deleted": image.id().to_string()})),
        "{last}"
    );
    assert_eq!(house.get("/images/json?all=1").await.json(), json!([]));
}

#[tokio::test]
async fn a_failure_before_the_first_line_has_a_status_and_a_later_one_a_line() {
    let house = House::open().await;
    let (registry, _image) = registry_with_an_image().await;
    let name = format!("{}/me/app", registry.address());

    let reply = house.post(&format!("/images/create?fromImage={name}&tag=nosuch")).await;
    assert_eq!(reply.status, 404, "{}", reply.text);
    assert!(
        reply.message().starts_with(&format!("manifest for {name}:nosuch not found: ")),
        "{}",
        reply.text
    );
    let reply =
        house.get("/images/json?filters=%7B%22before%22%3A%7B%22nosuch%22%3Atrue%7D%7D").await;
    assert_eq!((reply.status, reply.message().as_str()), (404, "No such image: nosuch:latest"));
    let reply = house.post("/images/nosuch:x/tag?repo=y&tag=z").await;
    assert_eq!((reply.status, reply.message().as_str()), (404, "No such image: nosuch:x"));

    let reply = house.post("/images/nosuch/push?tag=1").await;
    assert_eq!(reply.status, 200);
    let message = "An image does not exist locally with the tag: nosuch";
    let last = reply.lines().pop().unwrap();
    assert_eq!(last, json!({"error": message, "errorDetail": {"message": message}}));
}

#[tokio::test]
async fn filters_are_checked_in_dockerds_words() {
    let house = House::open().await;
    let table = [
        ("%7B%22bogus%22%3A%7B%221%22%3Atrue%7D%7D", "invalid filter 'bogus'"),
        ("%7B%22dangling%22%3A%5B%22maybe%22%5D%7D", "invalid filter 'dangling=[maybe]'"),
        ("nonsense", "invalid filter"),
    ];
    for (filters, expected) in table {
        let reply = house.get(&format!("/v1.50/images/json?filters={filters}")).await;
        assert_eq!((reply.status, reply.message().as_str()), (400, expected));
    }
}

#[tokio::test]
async fn events_are_told_as_they_happen_and_again_to_who_asks() {
    use http_body_util::BodyExt as _;

    let house = House::open().await;
    let (registry, image) = registry_with_an_image().await;
    let name = format!("{}/me/app", registry.address());
    let mut client = handshake(house.connect()).await;
    let path = "/v1.50/events?filters=%7B%22event%22%3A%5B%22tag%22%5D%7D";
    let mut watch = ask(&mut client, "GET", path, &[], "").await;
    assert_eq!(house.get("/info").await.json()["NEventsListener"], 1);

    house.post(&format!("/images/create?fromImage={name}&tag=1")).await;
    house.post(&format!("/images/{name}:1/tag?repo=you/app&tag=2")).await;

    let frame = watch.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    let event: Value = serde_json::from_slice(&frame).unwrap();
    let id = image.id().to_string();
    assert_eq!((&event["Action"], &event["status"]), (&json!("tag"), &json!("tag")));
    assert_eq!((&event["Type"], &event["scope"]), (&json!("image"), &json!("local")));
    assert_eq!((&event["id"], &event["Actor"]["ID"]), (&json!(id), &json!(id)));
    assert_eq!(event["Actor"]["Attributes"], json!({"flavour": "plain", "name": "you/app:2"}));

    let until = event["time"].as_i64().unwrap() + 1;
    let past = house.get(&format!("/events?since=1&until={until}")).await.text;
    let past: Vec<Value> = past.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let actions: Vec<_> = past.iter().map(|event| event["Action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["pull", "tag"]);
    assert_eq!(past[0]["Actor"]["ID"], format!("{name}:1"));
    assert!(past[0].get("status").is_none(), "the copies are gone since API 1.52");
}
