use crate::testing::{Fixture, described};

use super::*;

fn gathered(fixture: &Fixture, name: &str) -> Origin {
    let lease = fixture.store().reading_lease().unwrap();
    let image = fixture.store().image(&fixture.id(name)).unwrap().unwrap();
    Origin::gather(fixture.store(), &lease, image).unwrap()
}

/// The layers as they are at the registry when each was sent as its kept blob.
fn as_kept(origin: &Origin) -> Vec<PushedLayer> {
    let layers = origin.layers.iter().map(|layer| PushedLayer {
        diff_id: layer.diff_id.clone(),
        descriptor: layer.known.clone().unwrap(),
    });
    layers.collect()
}

#[test]
fn an_image_is_pushed_with_the_manifest_that_it_came_with_if_its_layers_are_still_those() {
    let fixture = Fixture::new(&["web tags=web:1 digests=web layers=base,web"]);
    let origin = gathered(&fixture, "web");
    let web = fixture.made("web");
    for (layer, made) in origin.layers.iter().zip(&web.layers) {
        assert_eq!(layer.known.as_ref().unwrap().digest, made.blob.digest);
        assert_eq!(layer.label(), made.diff_id.digest().short());
    }
    let mut layers = as_kept(&origin);
    let document = origin.document(&layers).unwrap();
    assert_eq!(document.digest, web.manifest, "byte for byte");
    assert!(document.digest.matches(&document.bytes));
    // One layer that was made anew, and so is another blob, makes another manifest.
    layers[1].descriptor = Descriptor::new(MediaType::DockerLayerGzip, Digest::sha256(b"anew"), 4);
    let document = origin.document(&layers).unwrap();
    assert_ne!(document.digest, web.manifest);
    assert_eq!(document.config.digest, *web.id.digest());
    let Manifest::Image(manifest) = Manifest::parse(None, &document.bytes).unwrap() else {
        panic!("no image");
    };
    let digests: Vec<&Digest> = manifest.layers.iter().map(|layer| &layer.digest).collect();
    assert_eq!(digests, [&web.layers[0].blob.digest, &Digest::sha256(b"anew")]);
}

#[test]
fn an_image_without_a_manifest_gets_one_of_its_kept_blobs() {
    let fixture = Fixture::new(&["web tags=web:1 layers=base,web"]);
    let origin = gathered(&fixture, "web");
    for (layer, made) in origin.layers.iter().zip(&fixture.made("web").layers) {
        let known = layer.known.as_ref().unwrap();
        let expected = (&made.blob.digest, made.blob.size, &MediaType::DockerLayerGzip);
        assert_eq!((&known.digest, known.size, &known.media_type), expected);
    }
    let document = origin.document(&as_kept(&origin)).unwrap();
    assert_eq!(document.media_type, MediaType::DockerManifest);
    assert_eq!(document.descriptor().size, document.bytes.len() as u64);
}

#[test]
fn an_unpacked_image_without_a_manifest_has_no_known_blobs() {
    let Some(fixture) = Fixture::unpacked(&["web tags=web:1 layers=base,web"]) else { return };
    let origin = gathered(&fixture, "web");
    assert!(origin.layers.iter().all(|layer| layer.known.is_none()));
}

/// Of several manifests that one is taken of which most blobs are here, and of equals the one that came last.
#[test]
fn the_manifest_whose_blobs_are_here_is_taken() {
    let fixture = Fixture::new(&["web tags=web:1 digests=web layers=base,web"]);
    let web = fixture.made("web");
    let add = |layers: Vec<Descriptor>, config: &Digest| -> Digest {
        let size = fixture.store().image(&web.id).unwrap().unwrap().config.bytes().len() as u64;
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": MediaType::OciManifest,
            "config": Descriptor::new(MediaType::OciConfig, config.clone(), size),
            "layers": layers,
        });
        let bytes = manifest.to_string().into_bytes();
        let digest = Digest::sha256(&bytes);
        let descriptor =
            Descriptor::new(MediaType::OciManifest, digest.clone(), bytes.len() as u64);
        fixture.store().keep_manifests(&web.id, &[(descriptor, bytes.into())]).unwrap();
        digest
    };
    let kept: Vec<Descriptor> = web.layers.iter().map(described).collect();
    let foreign = |layer: u8| Descriptor::new(MediaType::OciLayerGzip, Digest::sha256(&[layer]), 1);
    // Fewer blobs of it are here, it is another image's, or of other layers.
    add(vec![kept[0].clone(), foreign(1)], web.id.digest());
    add(kept.clone(), &Digest::sha256(b"another config"));
    add(vec![kept[0].clone()], web.id.digest());
    let chosen = || gathered(&fixture, "web").manifest.unwrap().digest().clone();
    assert_eq!(chosen(), web.manifest);
    // The same blobs under another name of their type: it came last.
    let mut renamed = kept.clone();
    renamed[0].media_type = MediaType::DockerLayerGzip;
    let later = add(renamed, web.id.digest());
    assert_eq!(chosen(), later);
}

#[test]
fn an_image_that_has_lost_a_layer_cannot_be_pushed() {
    let fixture = Fixture::new(&["web tags=web:1 layers=base,web"]);
    let chain = ChainId::chain(&[fixture.made("web").layers[0].diff_id.clone()]);
    let entries = fixture.store().root().join("image/packed/layerdb/sha256");
    std::fs::remove_dir_all(entries.join(chain[0].digest().hex())).unwrap();
    let lease = fixture.store().reading_lease().unwrap();
    let image = fixture.store().image(&fixture.id("web")).unwrap().unwrap();
    let error = Origin::gather(fixture.store(), &lease, image).unwrap_err();
    let told = fixture.words(&error.message());
    assert_eq!(told, "failed to get top layer from image: layer <layer base> does not exist");
}
