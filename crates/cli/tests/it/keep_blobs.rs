//! `keep-blobs=manifests`: an image without its compressed layers, and what a push says of that.

use spec::Platform;
use test_support::image::{Compression, Format, Image, Index, Layer};
use test_support::servers::LocalRegistry;
use test_support::tar::Entry;

use super::support::{Bench, Front, files_below, is_root, small_image};

#[test]
fn a_push_of_layers_that_are_not_kept_says_that_they_are_new() {
    if !is_root() {
        println!("skipped: not root, and of packed layers the blobs are the only copy");
        return;
    }
    let (here, there) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let image = small_image(7);
    image.push(&here.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", here.address());
    let copy = format!("{}/app:1", there.address());
    for word in ["manifests", "false"] {
        let bench = Bench::new(Front::Longshore, &[&format!("--keep-blobs={word}")]);
        bench.run(&["pull", "-q", &name]).success();
        let blobs = files_below(&bench.home.data_root().join("longshore/content/blobs/sha256"));
        let mut kept = [image.manifest.digest.hex(), image.id().digest().hex()];
        kept.sort();
        assert_eq!(blobs, kept);
        let usage = bench.run(&["system", "df"]).success();
        assert!(!usage.contains("\nBoth: "), "{usage}");

        // Where the layers are, the manifest is as it was.
        let same = bench.run(&["push", &name]);
        let digest = image.manifest.digest.to_string();
        assert!(same.stderr.is_empty() && same.stdout.contains(&digest), "{same:?}");
        bench.run(&["tag", &name, &copy]).success();
        let other = bench.run(&["push", &copy]);
        let note = format!(
            "1: layers were compressed anew, as their blobs are not kept (keep-blobs): the manifest is not the {digest} \
             that the image came with\n"
        );
        assert_eq!(other.stderr, note);
        assert!(!other.success().contains(&digest));
    }
    // What stays is all, unless something else is said.
    let bench = Bench::new(Front::Longshore, &["--keep-blobs"]);
    bench.run(&["pull", "-q", &name]).success();
    bench.run(&["tag", &name, &copy]).success();
    let pushed = bench.run(&["push", &copy]);
    assert!(pushed.stderr.is_empty(), "{pushed:?}");
    assert!(pushed.success().contains(&image.manifest.digest.to_string()));
    let home = bench.into_home();
    let error = home.run(&["daemon", "--validate", "--keep-blobs=some"]).failure();
    assert!(error.contains("invalid keep-blobs \"some\": use all or manifests"), "{error}");
}

/// Other platforms of an index are kept as content, but the index names layers of the image itself that are not.
#[test]
fn what_cannot_go_along_for_want_of_layers_is_said() {
    if !is_root() {
        println!("skipped: not root, and of packed layers the blobs are the only copy");
        return;
    }
    let (here, there) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let of = |platform: Platform, content: &[u8]| {
        let entries = [Entry::file("file", content.to_vec())];
        let layer = Layer::new(Compression::Gzip, &entries);
        Image::builder().format(Format::Oci).platform(platform).layer(layer).build()
    };
    let other = of(Platform::parse("linux/s390x").unwrap(), b"other");
    let index = Index::new(Format::Oci, vec![of(Platform::host(), b"own"), other]);
    index.push(&here.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", here.address());
    let copy = format!("{}/app:1", there.address());
    for (word, is_kept) in [("manifests", false), ("all", true)] {
        let bench = Bench::new(Front::Longshore, &[&format!("--keep-blobs={word}")]);
        bench.run(&["pull", "-q", "--all-platforms", &name]).success();
        let archive = bench.home.path().join("app.tar");
        let archive = archive.to_str().unwrap();
        let saved = bench.run(&["save", "-o", archive, &name]);
        let note = format!(
            "saved {name} without linux/s390x: layers of the image itself are not kept as they came (keep-blobs), so that its \
             index would be another one\n"
        );
        assert_eq!(saved.stderr, if is_kept { "" } else { &note });
        saved.success();
        let told = bench.run(&["save", "--progress", "json", "-o", archive, &name]);
        assert_eq!(told.stderr.contains(note.trim_end()), !is_kept, "{}", told.stderr);
        let narrowed = bench.run(&["save", "--platform", "linux/s390x", "-o", archive, &name]);
        assert_eq!(narrowed.stderr, "");
        narrowed.success();

        bench.run(&["tag", &name, &copy]).success();
        let pushed = bench.run(&["push", &copy]);
        let hint = "hint: `longshore copy` sends the whole index as it is, and an image that is pulled with keep-blobs `all`";
        assert_eq!(pushed.stderr.contains(hint), !is_kept, "{}", pushed.stderr);
        assert!(!pushed.stderr.contains("pull --all-platforms"), "{}", pushed.stderr);
        let digest = index.manifest.digest.to_string();
        assert_eq!(pushed.success().contains(&format!("1: digest: {digest}")), is_kept);
        bench.run(&["rmi", "-f", &name, &copy]).success();
    }
}
