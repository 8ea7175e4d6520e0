//! Pulls of what is refused that are killed on their way.

use std::process::Stdio;
use std::sync::mpsc;

use serde_json::json;

use super::super::crash::Proxy;
use super::super::support::{Bench, Front, files_below};
use super::{Place, can_sign, index_of_two};

/// Steps of a pull, in bytes of answers, after which it is killed.
const STEPS: u64 = 8;
/// The last of them: what is fetched of layers before the refusal is not the same each time.
const LAST: u64 = 6;

/// Of what is refused nothing is seen, at whatever byte of the registry's answers the pull dies: neither where the image itself is
/// refused, nor where another platform of it is, for which the image's own layers need not wait.
#[test]
fn a_pull_that_is_refused_and_killed_leaves_no_image_and_no_layer() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let client = place.client();
    let (index, [_, foreign]) = index_of_two();
    index.push(&client, "me/app", "1").unwrap();
    let start = |threshold: u64, flags: &[&str]| {
        let (sender, reached) = mpsc::channel();
        let proxy = Proxy::start(place.registry.address(), threshold, sender);
        let name = format!("{}/me/app:1", proxy.address);
        let policy = json!({
            "default": [{"type": "reject"}],
            "transports": {"docker": {proxy.address.to_string(): place.signed("matchRepository")}},
        });
        place.sign("me/app", &index.images[0].manifest.digest, &name);
        let policy = place.write("policy.json", &policy.to_string());
        let bench = Bench::new(Front::InProcess, &["--image-policy", &policy]);
        let mut pull = bench.command();
        pull.args(["pull", &name]).args(flags).stdout(Stdio::null()).stderr(Stdio::null());
        (bench, pull, proxy, reached)
    };
    let refused: &[&str] = &["--platform", &format!("linux/{foreign}")];
    for flags in [refused, &["--all-platforms"]] {
        let (bench, mut pull, proxy, _reached) = start(u64::MAX, flags);
        assert!(!pull.status().unwrap().success());
        let total = proxy.served();
        seen_by_nobody(&bench);
        for step in 1..=LAST {
            let (bench, mut pull, _proxy, reached) = start(total * step / STEPS, flags);
            let mut pull = pull.spawn().unwrap();
            reached.recv().unwrap();
            pull.kill().unwrap();
            pull.wait().unwrap();
            seen_by_nobody(&bench);
        }
    }
}

#[track_caller]
fn seen_by_nobody(bench: &Bench) {
    assert_eq!(bench.run(&["images", "-aq"]).success(), "");
    let root = bench.home.data_root();
    for place in [
        "image/overlay2/layerdb/sha256",
        "image/overlay2/imagedb/content/sha256",
        "overlay2",
        "longshore/staging",
    ] {
        let left = files_below(&root.join(place));
        assert!(left.is_empty(), "{place}: {left:?}");
    }
    assert!(files_below(&root.join("longshore/content/blobs")).is_empty());
}
