//! Referrers in archives of `save` and `copy`, which `load` reads.

use test_support::servers::LocalRegistry;

use super::Signed;
use crate::support::{Bench, Front, is_root};

/// Without a registry in between they come along as well, from one store to another and from a registry to a store.
#[test]
fn they_go_through_an_archive() {
    let from = LocalRegistry::start().unwrap();
    let signed = Signed::new();
    signed.push(&from.client());
    let source = format!("{}/me/app:1", from.address());
    for front in [Front::InProcess, Front::Longshore] {
        let bench = Bench::new(front, &[]);
        let at = |name: &str| bench.home.path().join(name).to_str().unwrap().to_owned();
        bench.run(&["pull", "-q", "--referrers", "--all-platforms", &source]).success();
        let plain = bench.run(&["save", "--all-platforms", "-o", &at("plain.tar"), &source]);
        assert!(plain.stderr.contains("1 without 4 referrers ("), "{}", plain.stderr);
        assert!(plain.stderr.contains("`save --referrers`"), "{}", plain.stderr);
        let saved = bench.run(&["save", "--referrers", "-o", &at("saved.tar"), &source]);
        assert_eq!(saved.stderr, "");
        saved.success();
        let archive = format!("oci-archive:{}", at("copied.tar"));
        bench.run(&["copy", "-q", "--referrers", &source, &format!("{archive}:1")]).success();
        let copied = bench.run(&["copy", "-q", &archive, &format!("dir:{}", at("one"))]);
        copied.success();
        for (file, there) in [("plain.tar", false), ("saved.tar", true), ("copied.tar", true)] {
            let (other, to) = (Bench::new(front, &[]), LocalRegistry::start().unwrap());
            let told = other.run(&["load", "-i", &at(file)]).success();
            let id = other.run(&["images", "-q", "--no-trunc"]).success();
            assert_eq!(id.lines().count(), 1, "{file}: {told}{id}");
            let target = format!("{}/you/app:1", to.address());
            other.run(&["tag", id.trim(), &target]).success();
            other.run(&["push", "--referrers", &target]).success();
            assert_eq!(signed.there(&to.client(), "you/app", false), [there; 4], "{file}");
        }
    }
}

/// Those of what is not saved would refer to nothing there.
#[test]
fn those_that_stay_behind_are_told() {
    let from = LocalRegistry::start().unwrap();
    let signed = Signed::new();
    signed.push(&from.client());
    let source = format!("{}/me/app:1", from.address());
    let kinds = "(signatures, SBOMs, attestations)";
    let elsewhere = |count: &str| {
        format!(
            "saved {source} without {count} {kinds} of an index or a platform that is not saved: `pull --all-platforms --referrers`, \
             then `save --all-platforms --referrers` takes them along"
        )
    };
    let unwanted = format!(
        "saved {source} without 2 referrers {kinds} that `pull --referrers` kept: `save --referrers` takes them along"
    );
    for (front, all) in
        [(Front::InProcess, false), (Front::Longshore, false), (Front::InProcess, true)]
    {
        let bench = Bench::new(front, &[]);
        let file = bench.home.path().join("saved.tar").to_str().unwrap().to_owned();
        let parts: &[&str] = if all { &["--all-platforms"] } else { &[] };
        bench.run(&[&["pull", "-q", "--referrers", &source], parts].concat()).success();
        let host = spec::Platform::host().specifier();
        let alone = ["save", "--platform", &host, "-o", &file, &source];
        let plain = bench.run(&alone);
        assert_eq!(plain.stderr.trim_end(), format!("{unwanted}; {}", elsewhere("2 referrers")));
        let saved = bench.run(&[&alone[..], &["--referrers"]].concat());
        assert_eq!(saved.stderr.trim_end(), elsewhere("2 referrers"));
        assert!(plain.ok && saved.ok);
        bench.run(&["pull", "-q", "--all-platforms", "--referrers", &source]).success();
        let saved = bench.run(&["save", "--all-platforms", "--referrers", "-o", &file, &source]);
        assert_eq!(saved.stderr, "", "that is true");
        saved.success();
    }

    if !is_root() {
        println!("skipped in part: not root, and of packed layers the blobs are the only copy");
        return;
    }
    // The image goes with a manifest that nobody has signed.
    let bench = Bench::new(Front::Longshore, &["--keep-blobs=manifests"]);
    let file = bench.home.path().join("saved.tar").to_str().unwrap().to_owned();
    bench.run(&["pull", "-q", "--referrers", &source]).success();
    let saved = bench.run(&["save", "--referrers", "-o", &file, &source]);
    let remade = format!(
        "saved {source} without 4 referrers {kinds}: its manifest is a new one, as its layers are not kept as they came (keep-blobs); \
         `copy --referrers` takes them along from the registry"
    );
    assert_eq!(saved.stderr.trim_end(), remade);
    saved.success();
}
