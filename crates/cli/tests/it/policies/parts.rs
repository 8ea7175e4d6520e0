//! Things that are kept beside an image, and sent on with it: none for which nobody has vouched.

use spec::Platform;
use test_support::image::{Format, Image, Index, Signature};

use super::super::support::{Bench, Front, small_image};
use super::{FRONTS, Place, can_sign, index_of_two};

/// Somebody who may move a tag, and has no key, lists a signed image beside one of his own.
#[test]
fn of_an_index_that_nobody_signed_only_the_signed_image_goes_on() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let client = place.client();
    let (index, _) = index_of_two();
    index.push(&client, "staging/app", "1").unwrap();
    let (root, own) = (&index.manifest.digest, &index.images[0].manifest.digest);
    let (from, to) = (place.name("staging/app:1"), place.name("prod/app:1"));
    let of_index = place.name(&format!("staging/app@{root}"));
    let of_image = place.name(&format!("staging/app@{own}"));
    let private = place.signer.private();
    let digests = |bench: &Bench| {
        let format = "{{range .RepoDigests}}{{.}} {{end}}";
        bench.run(&["inspect", "--format", format, &from]).success()
    };
    for front in FRONTS {
        place.sign("staging/app", own, &from);
        // The policy came when the whole was here already.
        let bench = Bench::new(front, &["--image-policy", &place.anything()]);
        bench.run(&["pull", &from]).success();
        assert_eq!(digests(&bench).trim(), of_index);
        place.policy(&place.signed("matchRepoDigestOrExact"));
        let pulled = bench.run(&["pull", &from]).success();
        assert!(pulled.contains(&format!("Digest: {own}\n")), "{pulled}");

        let bench = place.bench(front, &place.signed("matchRepoDigestOrExact"));
        bench.run(&["pull", &from]).success();
        assert_eq!(digests(&bench).trim(), of_image);
        bench.run(&["tag", &from, &to]).success();
        let pushed = bench.run(&["push", "--sign-by-key", &private, &to]).success();
        assert!(pushed.contains(&format!("digest: {own} ")), "{pushed}");
        let there = client.get("/v2/prod/app/manifests/1").unwrap();
        assert_eq!(spec::Digest::sha256(&there.body), *own);
        let signed = format!("/v2/prod/app/manifests/sha256-{}.sig", root.hex());
        assert_eq!(client.get(&signed).unwrap().status, 404);
        // What was asked for by its digest is found by it.
        bench.run(&["pull", &of_index]).success();
        bench.run(&["inspect", &of_index]).success();

        // The index is signed: it goes on whole.
        place.sign("staging/app", root, &from);
        bench.run(&["pull", &from]).success();
        bench.run(&["tag", &from, &place.name("prod/app:whole")]).success();
        let pushed = bench.run(&["push", &place.name("prod/app:whole")]).success();
        assert!(pushed.contains(&format!("digest: {root} ")), "{pushed}");
        Signature::push(&client, "staging/app", root, &[]).unwrap();
    }
}

/// Anybody who may push can say that his index refers to an image.
#[test]
fn what_a_strangers_referrer_lists_is_not_taken_for_a_part_of_the_image() {
    if !can_sign() {
        return;
    }
    let place = Place::new();
    let client = place.client();
    let (index, [_, foreign]) = index_of_two();
    index.push(&client, "me/app", "1").unwrap();
    let (name, to) = (place.name("me/app:1"), place.name("prod/app:1"));
    let platform = format!("linux/{foreign}");
    let layer = small_image(66).layers[0].clone();
    let evil = || {
        let image = Image::builder().format(Format::Oci).layer(layer.clone());
        image.platform(Platform::parse(&platform).unwrap()).build()
    };
    let subjects = [&index.manifest, &index.images[0].manifest];
    let [of_index, of_image] =
        subjects.map(|subject| Index::new(Format::Oci, vec![evil()]).referring_to(subject));
    of_index.push(&client, "me/app", "stranger").unwrap();
    of_image.push(&client, "me/app", "other").unwrap();
    let left_out =
        "Left out: it refers to the image, may be one itself, and is refused by the policy";
    let kept = |bench: &Bench| {
        let blobs = bench.home.data_root().join("longshore/content/blobs/sha256");
        blobs.join(evil().manifest.digest.hex()).exists()
    };
    for subject in subjects {
        place.sign("me/app", &subject.digest, &name);
        for front in FRONTS {
            let bench = place.bench(front, &place.signed("matchExact"));
            let pulled = bench.run(&["pull", "--referrers", &name]).success();
            let count = pulled.matches(left_out).count();
            assert_eq!(count, 2, "{pulled}");
            assert!(!kept(&bench));
        }
    }
    // Who signs the referrer wants what it lists kept. It is still no image of the platform that it says.
    place.sign("me/app", &of_index.manifest.digest, &name);
    let bench = place.bench(Front::InProcess, &place.signed("matchExact"));
    bench.run(&["pull", "--referrers", &name]).success();
    assert!(kept(&bench));
    bench.run(&["tag", &name, &to]).success();
    let pushed = bench.run(&["push", "--platform", &platform, &to]);
    let evil = evil().manifest.digest.to_string();
    assert!(!pushed.stdout.contains(&evil), "{pushed:?}");
    let there = client.get(&format!("/v2/prod/app/manifests/{evil}")).unwrap();
    assert_eq!(there.status, 404);
}
