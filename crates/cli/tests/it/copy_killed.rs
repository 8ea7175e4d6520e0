//! A copy that is killed again and again sends nothing twice: what arrived in another repository is mounted from there.

use std::collections::BTreeMap;
use std::process::Stdio;

use test_support::image::{Compression, Image, ImageBuilder, Layer};
use test_support::proxy::Proxy;
use test_support::servers::LocalRegistry;
use test_support::tar::Entry;

use super::support::Home;

const REPOSITORIES: usize = 8;
const TAGS: usize = 4;

/// A layer whose bytes follow from its name.
fn layer(name: &str, size: usize) -> Layer {
    let content = name.bytes().cycle().take(size).collect::<Vec<u8>>();
    Layer::new(Compression::None, &[Entry::file("file", content)])
}

/// Images of many repositories that stand on one base, a small part of which is the tag's own.
fn images() -> Vec<(String, String, Image)> {
    let base = [layer("base", 1_500_000), layer("base's own", 200_000)];
    let repositories = (0..REPOSITORIES).flat_map(|repository| {
        let below = layer(&format!("repository {repository}"), 50_000);
        (0..TAGS).map(move |tag| {
            let name = format!("team/app-{repository}");
            (name.clone(), tag, [below.clone(), layer(&format!("{name} {tag}"), 20_000)])
        })
    });
    let built = |own: [Layer; 2]| {
        base.iter().cloned().chain(own).fold(Image::builder(), ImageBuilder::layer).build()
    };
    repositories.map(|(name, tag, own)| (name, format!("v{tag}"), built(own))).collect()
}

#[test]
fn what_arrived_in_any_repository_is_not_sent_again() {
    let (source, target) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let images = images();
    let mut content = BTreeMap::new();
    for (name, tag, image) in &images {
        image.push(&source.client(), name, tag).unwrap();
        content.extend(image.blobs().map(|blob| (blob.digest.clone(), blob.size)));
    }
    let home = Home::new();
    let proxy = Proxy::start(&target.address().to_string()).unwrap();
    let entry = |repository| {
        let (from, to) = (source.address(), proxy.address());
        format!(
            "[[copy]]\nsource = \"{from}/team/app-{repository}\"\ntarget = \"{to}/team/app-{repository}\"\n"
        )
    };
    let file = home.path().join("sync.toml");
    std::fs::write(&file, (0..REPOSITORIES).map(entry).collect::<String>()).unwrap();
    let arguments = ["sync", "--quiet", file.to_str().unwrap()];
    let kills = (1..).map(|number| number * (number + 3) / 2).take_while(|at| *at < content.len());
    for uploads in kills {
        let mut command = home.longshore();
        command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let arrived = proxy.wait(|counts| counts.uploads >= uploads as u64);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(arrived, "after {uploads} uploads");
    }
    home.run(&arguments).success();
    let sent = proxy.take();
    let size = content.values().sum::<u64>();
    assert_eq!(sent.again, 0, "{} in flight", sent.unfinished());
    assert!(sent.uploaded <= size && sent.uploaded + sent.unfinished() >= size, "{sent:?}");
    for (name, tag, image) in &images {
        let stored = target.client().get(&format!("/v2/{name}/manifests/{tag}")).unwrap();
        assert_eq!(stored.body, image.manifest.read().unwrap());
    }
}
