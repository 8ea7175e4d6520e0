//! `Identity` of inspected images: who vouches for them.

use serde_json::{Value, json};

use super::super::support::{Bench, Front, small_image};
use super::{FRONTS, Place, can_sign, index_of_two};

/// Returns what is told of an image.
pub(super) fn identity(bench: &Bench, name: &str) -> Value {
    let inspected: Value = serde_json::from_str(&bench.run(&["inspect", name]).success()).unwrap();
    inspected[0]["Identity"].clone()
}

#[test]
fn the_one_who_signed_an_image_is_told_as_long_as_the_image_is_here() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let client = place.client();
    let (image, other) = (small_image(1), small_image(2));
    image.push(&client, "me/app", "1").unwrap();
    let (name, digest) = (place.name("me/app:1"), &image.manifest.digest);
    place.sign("me/app", digest, &name);
    let expected = json!({
        "Signature": [{
            "Name": format!("Key ({})", place.signer.fingerprint()),
            "DockerReference": name,
            "SignatureType": "simplesigning-v1",
        }],
        "Pull": [{"Repository": place.name("me/app")}],
    });
    for front in FRONTS {
        let bench = place.bench(front, &json!([{"type": "insecureAcceptAnything"}]));
        bench.run(&["pull", &name]).success();
        assert_eq!(identity(&bench, &name), Value::Null, "nobody was asked who vouches for it");
        // The image is here, and what vouches for it is found.
        place.policy(&place.signed("matchExact"));
        bench.run(&["pull", &name]).success();
        assert_eq!(identity(&bench, &name), expected);
        let format = "{{range .Identity.Signature}}{{.Name}}{{end}}";
        let told = bench.run(&["inspect", "--format", format, &name]).success();
        assert_eq!(told.trim_end(), expected["Signature"][0]["Name"]);
        // Another name is the same image; another image by this name is not.
        bench.run(&["tag", &name, "else:1"]).success();
        assert_eq!(identity(&bench, "else:1"), expected);
        place.policy(&json!([{"type": "insecureAcceptAnything"}]));
        other.push(&client, "me/app", "1").unwrap();
        bench.run(&["pull", &name]).success();
        assert_eq!(identity(&bench, &name), Value::Null);
        assert_eq!(identity(&bench, "else:1"), expected);
        // An archive brings the image, and nobody's word.
        let archive = place.files.path().join("archive.tar").display().to_string();
        bench.run(&["save", "-o", &archive, "else:1"]).success();
        let id = bench.run(&["inspect", "--format", "{{.Id}}", "else:1"]).success();
        bench.run(&["rmi", "-f", id.trim_end()]).success();
        bench.run(&["load", "-q", "-i", &archive]).success();
        assert_eq!(identity(&bench, "else:1"), Value::Null);
        image.push(&client, "me/app", "1").unwrap();
    }
}

#[test]
fn a_signed_index_vouches_for_its_images() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let (index, [_, foreign]) = index_of_two();
    index.push(&place.client(), "me/app", "1").unwrap();
    let name = place.name("me/app:1");
    place.sign("me/app", &index.manifest.digest, &name);
    let bench = place.bench(Front::InProcess, &place.signed("matchExact"));
    bench.run(&["pull", "--all-platforms", &name]).success();
    let told = identity(&bench, &name);
    assert_eq!(told["Signature"][0]["DockerReference"], name);
    let platform = format!("linux/{foreign}");
    let format = ["--format", "{{json .Identity}}"];
    let part = bench
        .run(&[&["image", "inspect", "--platform", &platform], &format[..], &[&name]].concat());
    assert_eq!(serde_json::from_str::<Value>(&part.success()).unwrap(), told);
}
