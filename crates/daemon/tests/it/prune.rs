//! Prunes by policy: the route of Longshore's own, and the filters on Docker's.

use serde_json::{Value, json};

use crate::fixture::House;
use crate::images::registry_with_an_image;

/// The path of a prune with these filters.
fn path(route: &str, filters: &Value) -> String {
    format!("{route}?{}", api::Query::new().with("filters", filters.to_string()))
}

const OWN: &str = "/v1.50/longshore/prune";
const DOCKERS: &str = "/v1.50/images/prune";

#[tokio::test]
async fn a_plan_tells_all_and_removes_nothing() {
    let house = House::open().await;
    let (registry, image) = registry_with_an_image().await;
    let name = format!("{}/me/app", registry.address());
    house.post(&format!("/images/create?fromImage={name}&tag=1")).await;
    let content: u64 = image.blobs().chain([&image.manifest]).map(|blob| blob.size).sum();

    let filters = json!({"keep-last": ["1"]});
    let kept = house.post(&(path(OWN, &filters) + "&dry-run=1")).await.json();
    let nothing = json!({
        "DryRun": true, "Images": [], "InUse": [], "ImagesDeleted": null, "PartialDownloads": 0, "SpaceReclaimed": 0,
        "SpaceLeft": content,
    });
    assert_eq!(kept, nothing);

    let filters = json!({"reference": [format!("{}/*/app", registry.address())]});
    let planned = house.post(&(path(OWN, &filters) + "&dry-run=true")).await.json();
    let digest = &image.manifest.digest;
    let step = &planned["Images"][0];
    assert_eq!(step["Id"], image.id().to_string());
    assert_eq!(step["Names"], json!([format!("{name}:1"), format!("{name}@{digest}")]));
    assert_eq!((&step["Deleted"], &step["SpaceReclaimed"]), (&json!(true), &json!(content)));
    assert_eq!(step["Reasons"], json!(["its name was asked for"]));
    assert_eq!((&planned["SpaceReclaimed"], &planned["SpaceLeft"]), (&json!(content), &json!(0)));
    assert_eq!(house.get("/images/json").await.json().as_array().unwrap().len(), 1);

    let pruned = house.post(&path(OWN, &filters)).await.json();
    assert_eq!((&pruned["DryRun"], &pruned["Images"]), (&json!(false), &planned["Images"]));
    assert_eq!(pruned["SpaceReclaimed"], content);
    assert_eq!(pruned["ImagesDeleted"][0], json!({"Untagged": format!("{name}:1")}));
    assert_eq!(house.get("/images/json").await.json(), json!([]));
    assert_eq!(house.get("/system/df").await.json().get("KeptBlobs"), None);
}

#[tokio::test]
async fn dockers_route_takes_the_filters_too() {
    let house = House::open().await;
    let (registry, _image) = registry_with_an_image().await;
    let name = format!("{}/me/app", registry.address());
    house.post(&format!("/images/create?fromImage={name}&tag=1")).await;
    let count = async || house.get("/images/json").await.json().as_array().unwrap().len();
    for kept in [
        json!({"unused-for": ["1h"]}),
        json!({"max-size": ["1GB"]}),
        json!({"keep-last": ["1"], "dangling": ["false"]}),
        json!({"reference": ["other"]}),
        // As the stock command line asks without --all.
        json!({"max-size": ["0"], "dangling": ["true"]}),
    ] {
        let pruned = house.post(&path(DOCKERS, &kept)).await;
        assert_eq!(pruned.text, "{\"ImagesDeleted\":null,\"SpaceReclaimed\":0}\n", "{kept}");
        assert_eq!(count().await, 1, "{kept}");
    }
    // A dry run is none of Docker's: a daemon that does not know it would prune.
    let filters = json!({"dry-run": ["1"]});
    let refused = house.post(&path(DOCKERS, &filters)).await;
    assert_eq!((refused.status, refused.message().as_str()), (400, "invalid filter 'dry-run'"));
    for route in [DOCKERS, OWN] {
        let refused = house.post(&path(route, &json!({"keep-last": ["none"]}))).await;
        assert_eq!(refused.status, 400);
        assert!(refused.message().starts_with("invalid value for 'keep-last' filter: "));
    }
    let running = house.engine.prune().unwrap();
    assert_eq!(house.post(OWN).await.status, 409);
    let planned = house.post(&format!("{OWN}?dry-run=1")).await;
    assert_eq!(planned.status, 200, "who only asks waits for nobody");
    drop(running);
    let pruned = house.post(&path(DOCKERS, &json!({"max-size": ["0"]}))).await.json();
    assert_eq!(pruned["SpaceReclaimed"], 5000);
    assert_eq!(count().await, 0);
}
