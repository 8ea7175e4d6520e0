//! The routes that tell how images came to be and what they take on the disk, and the one that makes room.

use serde_json::json;

use crate::fixture::House;
use crate::images::registry_with_an_image;

#[tokio::test]
async fn a_history_names_the_image_and_its_tags() {
    let house = House::open().await;
    let (registry, image) = registry_with_an_image().await;
    let name = format!("{}/me/app", registry.address());
    house.post(&format!("/images/create?fromImage={name}&tag=1")).await;
    house.post(&format!("/images/{name}:1/tag?repo=you/app&tag=2")).await;

    let history = house.get("/v1.50/images/you/app:2/history").await;
    let expected = json!([{
        "Comment": "", "Created": 1_704_067_200, "CreatedBy": "layer 1", "Id": image.id().to_string(), "Size": 5000,
        "Tags": [format!("{name}:1"), "you/app:2"],
    }]);
    assert_eq!((history.status, history.json()), (200, expected));

    // Older clients send a platform without meaning it.
    let other = "%7B%22os%22%3A%22linux%22%2C%22architecture%22%3A%22s390x%22%7D";
    let path = format!("/images/you/app:2/history?platform={other}");
    assert_eq!(house.get(&format!("/v1.47{path}")).await.status, 200);
    let refused = house.get(&format!("/v1.48{path}")).await;
    assert_eq!(refused.status, 404, "{}", refused.text);
    assert!(refused.message().ends_with("does not match the specified platform (linux/s390x)"));
    let nonsense = house.get("/v1.48/images/you/app:2/history?platform=x").await;
    assert_eq!(nonsense.status, 400, "{}", nonsense.text);
    let missing = house.get("/images/nosuch/history").await;
    assert_eq!((missing.status, missing.message().as_str()), (404, "No such image: nosuch:latest"));
}

#[tokio::test]
async fn old_clients_list_by_a_name() {
    let house = House::open().await;
    let (registry, _image) = registry_with_an_image().await;
    let name = format!("{}/me/app", registry.address());
    house.post(&format!("/images/create?fromImage={name}&tag=1")).await;
    for repository in ["one", "two"] {
        house.post(&format!("/images/{name}:1/tag?repo={repository}&tag=1")).await;
    }
    house.send("DELETE", &format!("/images/{name}:1"), &[], "").await;
    for (path, expected) in [
        ("/v1.12/images/json?filter=one:1", json!(["one:1"])),
        ("/v1.24/images/json?filter=one", json!(["one:1"])),
        ("/v1.25/images/json?filter=o*", json!(["one:1"])),
        ("/v1.40/images/json?filter=one:1", json!(["one:1"])),
        // Beside the filter that it became, it is one more.
        (
            "/v1.40/images/json?filter=one&filters=%7B%22reference%22:%7B%22two%22:true%7D%7D",
            json!(["one:1", "two:1"]),
        ),
        ("/v1.40/images/json?filter=", json!(["one:1", "two:1"])),
        ("/v1.41/images/json?filter=one:1", json!(["one:1", "two:1"])),
    ] {
        let reply = house.get(path).await.json();
        assert_eq!(reply[0]["RepoTags"], expected, "{path}");
    }
    assert_eq!(house.get("/v1.40/images/json?filter=nosuch").await.json(), json!([]));
}

/// Filters as the text of a parameter.
fn filters(json: &str) -> String {
    let mut query = api::Query::new();
    query.add("filters", json);
    query.to_string().split_off("filters=".len())
}

#[tokio::test]
async fn a_prune_removes_what_has_no_tag_and_all_if_told_so() {
    let house = House::open().await;
    let (registry, image) = registry_with_an_image().await;
    let name = format!("{}/me/app", registry.address());
    let nothing = "{\"ImagesDeleted\":null,\"SpaceReclaimed\":0}\n";
    assert_eq!(house.post("/v1.50/images/prune").await.text, nothing);

    house.post(&format!("/images/create?fromImage={name}&tag=1")).await;
    assert_eq!(house.post("/v1.50/images/prune").await.text, nothing, "it has a tag");
    let all = |more: &str| {
        format!(
            "/v1.50/images/prune?filters={}",
            filters(&format!(r#"{{"dangling":{{"false":true}}{more}}}"#))
        )
    };
    for kept in [
        r#","until":{"2023-01-01":true}"#,
        r#","label":["flavour=hot"]"#,
        r#","label!":["flavour"]"#,
    ] {
        assert_eq!(house.post(&all(kept)).await.text, nothing, "{kept}");
    }
    let left = house
        .folder
        .path()
        .join("data/longshore/ingest")
        .join(format!("sha256-{}", "0".repeat(64)));
    std::fs::write(&left, [1; 8192]).unwrap();
    let pruned = house.post(&all(r#","label!":["flavour=hot"],"until":["24h"]"#)).await;
    let digest = image.manifest.digest.to_string();
    let expected = json!({
        "ImagesDeleted": [
            {"Untagged": format!("{name}:1")},
            {"Untagged": format!("{name}@{digest}")},
            {"Deleted": image.id().to_string()},
            {"Deleted": image.diff_ids()[0].to_string()},
        ],
        "SpaceReclaimed": 5000,
    });
    assert_eq!((pruned.status, pruned.json()), (200, expected));
    assert!(left.exists(), "it is younger than a day");
    let pruned = house.post("/v1.50/images/prune").await.json();
    assert_eq!(pruned, json!({"ImagesDeleted": null, "SpaceReclaimed": 8192}));
    assert!(!left.exists());

    let path = format!(
        "/v1.50/events?since=1&until=9999999999&filters={}",
        filters(r#"{"event":["prune","delete"]}"#)
    );
    let mut client = crate::fixture::handshake(house.connect()).await;
    let mut events = crate::fixture::ask(&mut client, "GET", &path, &[], "").await;
    let mut told = Vec::new();
    while told.len() < 8 {
        let frame = http_body_util::BodyExt::frame(events.body_mut()).await.unwrap().unwrap();
        let event: serde_json::Value = serde_json::from_slice(&frame.into_data().unwrap()).unwrap();
        let (id, own) = (event["id"].as_str(), image.id().to_string());
        let expected = if event["Action"] == "prune" { "" } else { own.as_str() };
        assert_eq!(id, Some(expected), "{event}");
        told.push((
            event["Action"].as_str().unwrap().to_owned(),
            event["Actor"]["Attributes"]["reclaimed"].clone(),
        ));
    }
    let reclaimed = |bytes: &str| ("prune".to_owned(), json!(bytes));
    assert_eq!(
        told[5..],
        [("delete".to_owned(), json!(null)), reclaimed("5000"), reclaimed("8192")]
    );
}

#[tokio::test]
async fn a_prune_is_refused_in_dockerds_words() {
    let house = House::open().await;
    let table = [
        (r#"{"bogus":["1"]}"#, "invalid filter 'bogus'"),
        (r#"{"dangling":["maybe"]}"#, "invalid filter 'dangling=[maybe]'"),
        (r#"{"dangling":["true","false"]}"#, "invalid filter 'dangling=[false true]'"),
        (r#"{"until":["1h","2h"]}"#, "more than one until filter specified"),
        (
            r#"{"until":["x"]}"#,
            "invalid value for 'until' filter: failed to parse value as time or duration: invalid seconds \"x\": invalid syntax",
        ),
        ("x", "invalid filter"),
    ];
    for (json, expected) in table {
        let reply = house.post(&format!("/v1.50/images/prune?filters={}", filters(json))).await;
        assert_eq!((reply.status, reply.message().as_str()), (400, expected));
    }
    let running = house.engine.prune().unwrap();
    let reply = house.post("/v1.50/images/prune").await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (409, "a prune operation is already running")
    );
    drop(running);
    assert_eq!(house.post("/v1.50/images/prune").await.status, 200);
}

#[tokio::test]
async fn disk_usage_has_the_form_of_each_version() {
    let house = House::open().await;
    let empty = "{\"Images\":[],\"Containers\":[],\"Volumes\":[],\"BuildCache\":[]}\n";
    assert_eq!(house.get("/v1.50/system/df").await.text, empty);
    let sums = r#""ImageUsage":{},"ContainerUsage":{},"VolumeUsage":{},"BuildCacheUsage":{}}"#;
    assert_eq!(house.get("/v1.52/system/df?verbose=1").await.text, format!("{{{sums}\n"));
    let both = format!("{},{sums}\n", empty.trim_end().trim_end_matches('}'));
    assert_eq!(house.get("/v1.52/system/df").await.text, both);

    let (registry, image) = registry_with_an_image().await;
    let name = format!("{}/me/app", registry.address());
    house.post(&format!("/images/create?fromImage={name}&tag=1")).await;
    let left = house
        .folder
        .path()
        .join("data/longshore/ingest")
        .join(format!("sha256-{}", "0".repeat(64)));
    std::fs::write(&left, [1; 8192]).unwrap();
    let summary = json!({
        "Containers": 0, "Created": 1_704_067_200, "Id": image.id().to_string(), "Labels": {"flavour": "plain"},
        "ParentId": "", "RepoDigests": [format!("{name}@{}", image.manifest.digest)], "RepoTags": [format!("{name}:1")],
        "SharedSize": 0, "Size": 5000,
    });
    let kept: u64 = image.blobs().chain([&image.manifest]).map(|blob| blob.size).sum();
    let usage = house.get("/v1.50/system/df?type=image&type=volume").await.json();
    let share = |size| json!({"Size": size, "Reclaimable": size});
    let store = json!({
        "Layers": share(0), "Content": share(kept), "KeptTwice": 0, "PartialDownloads": share(8192),
    });
    let expected = json!({
        "LayersSize": 13_192, "KeptBlobs": kept, "Store": store, "Images": [summary], "Volumes": [],
    });
    assert_eq!(usage, expected);
    let usage = house.get("/v1.41/system/df?type=image").await.json();
    assert_eq!(
        (&usage["Images"][0]["VirtualSize"], &usage["Containers"]),
        (&json!(5000), &json!([]))
    );
    let usage = house.get("/v1.55/system/df?type=image&verbose=true").await.json();
    let expected = json!({"KeptBlobs": kept, "Store": store, "ImageUsage": {
        "Items": [summary], "Reclaimable": 13_192, "TotalCount": 1, "TotalSize": 13_192,
    }});
    assert_eq!(usage, expected);

    let reply = house.get("/v1.50/system/df?type=layer").await;
    assert_eq!((reply.status, reply.message().as_str()), (400, "unknown object type: layer"));
}

#[tokio::test]
async fn lists_have_the_form_of_each_version() {
    let house = House::open().await;
    let bad = filters(r#"{"reference":["["]}"#);
    let reply = house.get(&format!("/v1.50/images/json?filters={bad}")).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, "[]\n"), "nothing to compare with");
    let (registry, _image) = registry_with_an_image().await;
    let name = format!("{}/me/app", registry.address());
    house.post(&format!("/images/create?fromImage={name}&tag=1")).await;
    let reply = house.get(&format!("/v1.50/images/json?filters={bad}")).await;
    assert_eq!((reply.status, reply.message().as_str()), (500, "syntax error in pattern"));

    let only_tags = filters(r#"{"reference":["*/*/app:1"]}"#);
    for (version, digests) in [("1.42", json!(null)), ("1.43", json!([]))] {
        let listed =
            house.get(&format!("/v{version}/images/json?filters={only_tags}")).await.json();
        assert_eq!(listed[0]["RepoDigests"], digests, "{version}: {listed}");
        assert_eq!(listed[0]["RepoTags"], json!([format!("{name}:1")]), "{version}");
    }
    for (version, containers, shared) in [("1.41", -1, -1), ("1.42", -1, 0), ("1.51", 0, 0)] {
        let listed =
            house.get(&format!("/v{version}/images/json?shared-size=1&manifests=1")).await.json();
        let counts = (&listed[0]["Containers"], &listed[0]["SharedSize"]);
        assert_eq!(counts, (&json!(containers), &json!(shared)), "{version}");
        let is_told = listed[0].get("Manifests").is_some();
        assert_eq!(is_told, version == "1.51", "{version}");
        assert!(listed[0].get("Descriptor").is_none());
    }
    // Kept manifests and blobs count where they are asked for.
    let kept = house.get("/v1.50/system/df").await.json()["KeptBlobs"].as_u64().unwrap();
    let listed = house.get("/v1.47/images/json?manifests=1").await.json();
    let manifest = &listed[0]["Manifests"][0];
    let digest = &manifest["Descriptor"]["digest"];
    assert!(manifest["ID"] == *digest && manifest["Descriptor"].get("annotations").is_none());
    assert_eq!((&manifest["Kind"], &manifest["Available"]), (&json!("image"), &json!(true)));
    assert_eq!(manifest["Size"], json!({"Content": kept, "Total": kept + 5000}));
    assert_eq!(manifest["ImageData"]["Size"], json!({"Unpacked": 5000}));
    assert_eq!(manifest["ImageData"]["Platform"]["os"], "linux");
    assert_eq!(listed[0]["Size"], kept + 5000);
    for (version, is_told) in [("1.47", false), ("1.48", true)] {
        let inspected =
            house.get(&format!("/v{version}/images/{name}:1/json?manifests=1")).await.json();
        let expected = is_told.then_some(&listed[0]["Manifests"]);
        assert_eq!(inspected.get("Manifests"), expected, "{version}");
        assert!(inspected["Size"] == 5000 && inspected.get("Descriptor").is_none());
    }
    let listed = house.get("/v1.47/images/json").await.json();
    assert!(listed[0].get("Manifests").is_none() && listed[0]["Size"] == 5000);
    assert_eq!(house.get("/v1.53/images/json?identity=1").await.status, 200);
    let reply = house.get("/v1.54/images/json?identity=1").await;
    let expected = "conflicting options: identity requires manifests=1";
    assert_eq!((reply.status, reply.message().as_str()), (400, expected));
    assert_eq!(house.get("/v1.54/images/json?identity=1&manifests=1").await.status, 200);
}

#[tokio::test]
async fn an_image_is_removed_for_its_platform_only() {
    let house = House::open().await;
    let (registry, image) = registry_with_an_image().await;
    let name = format!("{}/me/app", registry.address());
    house.post(&format!("/images/create?fromImage={name}&tag=1")).await;
    let platform = |architecture: &str| {
        let json = format!(r#"{{"os":"linux","architecture":"{architecture}"}}"#);
        filters(&json)
    };
    let remove = async |query: &str, version: &str| {
        house.send("DELETE", &format!("/v{version}/images/{name}:1?{query}"), &[], "").await
    };
    let host = spec::Platform::host().architecture;
    let two = format!("platforms={}&platforms={}", platform(&host), platform("s390x"));
    let reply = remove(&two, "1.50").await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (400, "multiple platforms are not supported")
    );
    let reply = remove(&format!("platforms={}", platform("s390x")), "1.50").await;
    assert_eq!(reply.status, 404, "{}", reply.text);
    assert!(reply.message().contains("does not match the specified platform"), "{}", reply.text);
    assert_eq!(remove("platforms=x", "1.50").await.status, 400);
    let reply = remove(&format!("platforms={}", platform(&host)), "1.50").await;
    assert!(reply.text.contains(&image.id().to_string()), "{}", reply.text);
}
