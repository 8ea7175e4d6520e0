use spec::{Digest, MediaType};

use crate::testing::{Fixture, described, layer};

use super::*;

/// A manifest and the diff IDs of layers that are told in words.
fn image(words: &[&str]) -> (ImageManifest, Vec<DiffId>) {
    let layers: Vec<_> = words.iter().map(|word| layer(word).1).collect();
    let manifest = ImageManifest {
        media_type: MediaType::OciManifest,
        config: Descriptor::new(MediaType::OciConfig, Digest::sha256(b"config"), 6),
        layers: layers.iter().map(described).collect(),
    };
    (manifest, layers.into_iter().map(|layer| layer.diff_id).collect())
}

/// Lists the layers that a pull would fetch: those of the plan, and those that are known without the config.
fn fetched(fixture: &Fixture, words: &[&str]) -> (Vec<String>, Vec<String>) {
    let (manifest, diff_ids) = image(words);
    let lease = fixture.store().lease().unwrap();
    let id = ImageId::new(manifest.config.digest.clone());
    let plan = Plan::make(fixture.store(), &lease, &id, &manifest, &diff_ids).unwrap();
    let word = |digest: &Digest| {
        let at = manifest.layers.iter().position(|layer| layer.digest == *digest).unwrap();
        words[at].to_owned()
    };
    let missing = plan.missing().map(|layer| word(&layer.descriptor.digest)).collect();
    let absent = absent(fixture.store(), &lease, manifest.layers.clone()).unwrap();
    (missing, absent.iter().map(|layer| word(&layer.digest)).collect())
}

#[test]
fn layers_are_fetched_unless_they_are_here_on_the_same_parents() {
    let fixture = Fixture::new(&["web tags=web:1 layers=base,web"]);
    for (words, missing) in [
        (&["base", "web"][..], &[][..]),
        (&["base"], &[]),
        (&["base", "other"], &["other"]),
        (&["base", "web", "more"], &["more"]),
        // The same layer on something else, or on nothing, is another one.
        (&["web"], &["web"]),
        (&["web", "base"], &["web", "base"]),
        (&["other", "web"], &["other", "web"]),
        (&["new"], &["new"]),
        (&[], &[]),
    ] {
        assert_eq!(fetched(&fixture, words).0, missing, "{words:?}");
    }
}

/// A download begins before the config is here only for what surely has to come.
#[test]
fn a_kept_blob_and_a_known_layer_are_not_fetched_ahead() {
    let mut fixture = Fixture::new(&["web tags=web:1 layers=base,web"]);
    for (words, absent) in [
        (&["base", "web"][..], &[][..]),
        (&["base", "other"], &["other"]),
        // Its blob is here, wherever it is to be unpacked.
        (&["web"], &[]),
        (&["other", "web"], &["other"]),
        // Once for two layers that are one blob.
        (&["new", "new"], &["new"]),
    ] {
        assert_eq!(fetched(&fixture, words).1, absent, "{words:?}");
    }
    fixture.add("other tags=other:1 layers=base,other");
    assert_eq!(fetched(&fixture, &["base", "other"]).1, [""; 0]);
}

#[test]
fn layers_that_have_other_sources_wait_for_the_plan() {
    let fixture = Fixture::new(&[]);
    let lease = fixture.store().lease().unwrap();
    let (mut manifest, _) = image(&["foreign", "own"]);
    manifest.layers[0].urls = vec!["https://example.com/layer".to_owned()];
    let absent = absent(fixture.store(), &lease, manifest.layers.clone()).unwrap();
    assert_eq!(absent, manifest.layers[1..]);
}

#[test]
fn where_a_layer_is_damaged_all_that_stands_on_it_is_made_anew() {
    for (damaged, missing) in
        [(0, &["base", "web", "top"][..]), (1, &["web", "top"]), (2, &["top"])]
    {
        let fixture = Fixture::new(&["web tags=web:1 layers=base,web,top"]);
        let (_, diff_ids) = image(&["base", "web", "top"]);
        let chain = ChainId::chain(&diff_ids);
        let entries = fixture.store().root().join("image/packed/layerdb/sha256");
        std::fs::write(entries.join(chain[damaged].digest().hex()).join("diff"), "nothing")
            .unwrap();
        assert_eq!(fetched(&fixture, &["base", "web", "top"]).0, missing, "{damaged}");
    }
}

#[test]
fn there_is_nothing_to_do_only_if_the_image_itself_is_here() {
    let fixture = Fixture::new(&["web tags=web:1 layers=base,web"]);
    let lease = fixture.store().lease().unwrap();
    let (manifest, diff_ids) = image(&["base", "web"]);
    let other = ImageId::new(Digest::sha256(b"another config"));
    for (id, is_complete) in [(fixture.id("web"), true), (other, false)] {
        let plan = Plan::make(fixture.store(), &lease, &id, &manifest, &diff_ids).unwrap();
        assert_eq!(plan.is_complete(), is_complete);
        assert_eq!(plan.missing().count(), 0);
    }
    let (manifest, diff_ids) = image(&["base", "web", "more"]);
    let plan =
        Plan::make(fixture.store(), &lease, &fixture.id("web"), &manifest, &diff_ids).unwrap();
    assert!(!plan.is_complete());
}

#[test]
fn what_a_plan_has_found_stays_until_its_lease_is_over() {
    let fixture = Fixture::new(&["web tags=web:1 layers=base,web"]);
    let (manifest, diff_ids) = image(&["base", "web"]);
    let chain = ChainId::chain(&diff_ids);
    let lease = fixture.store().lease().unwrap();
    let id = ImageId::new(Digest::sha256(b"another config"));
    Plan::make(fixture.store(), &lease, &id, &manifest, &diff_ids).unwrap();
    let options =
        crate::RemoveOptions { force: false, prune_children: true, platforms: Vec::new() };
    fixture.run(fixture.engine.remove("web:1", options)).unwrap();
    assert_eq!(fixture.store().images().unwrap(), []);
    assert!(fixture.store().whole_layer(&chain[1]).unwrap().is_some());
    drop(lease);
    assert!(fixture.store().whole_layer(&chain[1]).unwrap().is_none());
}

#[test]
fn sources_are_unsigned_and_name_each_layer() {
    let fixture = Fixture::new(&[]);
    let lease = fixture.store().lease().unwrap();
    let (manifest, diff_ids) = image(&["base", "web"]);
    let id = ImageId::new(manifest.config.digest.clone());
    let plan = Plan::make(fixture.store(), &lease, &id, &manifest, &diff_ids).unwrap();
    let repository = spec::Reference::parse_familiar("web").unwrap().repository().clone();
    let sources = plan.sources(&repository);
    for ((diff_id, source), (expected, layer)) in
        sources.iter().zip(diff_ids.iter().zip(&manifest.layers))
    {
        assert_eq!((diff_id, &source.digest), (expected, &layer.digest));
        assert_eq!((&source.repository, &source.hmac), (&repository, &Hmac::default()));
    }
    assert_eq!(sources.len(), 2);
}

#[test]
fn what_can_never_fit_is_refused_and_what_is_here_needs_no_room() {
    let fixture = Fixture::new(&["web tags=web:1 layers=base"]);
    let lease = fixture.store().lease().unwrap();
    let (mut manifest, diff_ids) = image(&["base", "huge"]);
    let id = ImageId::new(manifest.config.digest.clone());
    for (index, fits) in [(0, true), (1, false)] {
        let sizes = [manifest.layers[0].size, manifest.layers[1].size];
        // More than any disk has.
        manifest.layers[index].size = 1 << 60;
        let plan = Plan::make(fixture.store(), &lease, &id, &manifest, &diff_ids).unwrap();
        let answer = require_room(fixture.store(), &plan.layers);
        assert_eq!(answer.is_ok(), fits, "{answer:?}");
        (manifest.layers[0].size, manifest.layers[1].size) = (sizes[0], sizes[1]);
    }
}

#[test]
fn pairs_layers_with_diff_ids_or_refuses() {
    let blob = |media_type| Descriptor::new(media_type, Digest::sha256(b"blob"), 4);
    let manifest = |layers| ImageManifest {
        media_type: MediaType::OciManifest,
        config: blob(MediaType::OciConfig),
        layers,
    };
    let diff_ids = [b"a", b"b"].map(|bytes| DiffId::new(Digest::sha256(bytes)));
    let two = manifest(vec![blob(MediaType::OciLayerGzip), blob(MediaType::DockerLayer)]);
    let layers = pair(&two, &diff_ids).unwrap();
    assert_eq!(layers[1].parent.as_ref(), Some(&layers[0].chain_id));
    assert_eq!(
        layers.iter().map(|layer| layer.chain_id.clone()).collect::<Vec<_>>(),
        ChainId::chain(&diff_ids)
    );
    assert!(matches!(pair(&two, &diff_ids[..1]), Err(EngineError::RootFsMismatch)));
    let odd =
        manifest(vec![blob(MediaType::OciLayerGzip), blob(MediaType::from("application/x-enc"))]);
    let error = pair(&odd, &diff_ids).unwrap_err().to_string();
    assert_eq!(error, "unsupported media type application/x-enc");
}
