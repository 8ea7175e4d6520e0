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
