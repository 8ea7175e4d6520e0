use serde_json::{Value, json};

use super::error::MAX_STEPS;
use super::*;
use crate::{DiffId, Digest, ImageConfig, MAX_MANIFEST_SIZE};

const BASE: &str = r#"{"id":"@a","created":"2015-01-02T03:04:05.120+00:00","container_config":{"Cmd":["/bin/sh -c #(nop) ADD <x> & y"]},"author":"é <me>"}"#;
const EMPTY: &str = r#"{"id":"@b","parent":"@a","created":"2015-01-02T03:04:06Z","container_config":{"Cmd":["sh","-c","b"]},"throwaway":true,"comment":"c"}"#;
const TOP: &str = r#"{ "id":"@c", "parent":"@b","created":"2015-01-02T03:04:07.1234567890+01:00","Size":12,"container":"cc","container_config":{"Hostname":"h","Cmd":"x","OnBuild":["RUN a"],"MacAddress":"00:11","Image":"i"},"config":{"Hostname":"h","ExposedPorts":{"80/tcp":{},"1/udp":{}},"Env":["A=<b>&"],"Cmd":null,"Healthcheck":{"Test":["NONE"],"Interval":5},"Volumes":{"/v":{}},"OnBuild":null,"Labels":{"b":"2","a":"1"},"StopTimeout":3,"Shell":["sh"],"Unknown":1},"docker_version":"@version","architecture":"amd64","os":"linux","unknown":{"z":1},"variant":"v8"}"#;
const LOWER: &str = "sha256:9a543872b6570f4e2ae967c5d007171163aad01e37c498b456f6c6f512297f32";
const UPPER: &str = "sha256:7feb142ab290292bd574a47689fad5ff4669a73506c238d6fa38a58d8851c989";
const DIFF_IDS: [&str; 2] = [
    "sha256:cab37e50eb719aa361a8506e6433701fbc966e65ad5fad3fc96be619299431eb",
    "sha256:7785ceb87730b04916f47c4921975dae1d2f2e3faf05ef4e1d2b767f02c6e815",
];

/// Fills in IDs, which are written as `@` and a digit.
fn document(text: &str, version: &str) -> String {
    "abcdef".chars().fold(text.replace("@version", version), |text, digit| {
        text.replace(&format!("@{digit}"), &digit.to_string().repeat(64))
    })
}

/// Makes a manifest of layers and documents, the newest first.
fn manifest(layers: &[&str], history: &[&str]) -> Value {
    let layers: Vec<Value> = layers.iter().map(|blob| json!({ "blobSum": blob })).collect();
    let history: Vec<Value> =
        history.iter().map(|text| json!({ "v1Compatibility": document(text, "1.8.2") })).collect();
    json!({"schemaVersion": 1, "name": "me/x", "tag": "t", "architecture": "amd64", "fsLayers": layers, "history": history})
}

fn parse(manifest: &Value) -> Result<Schema1, Schema1Error> {
    Schema1::parse(manifest.to_string().as_bytes(), "me/x:t")
}

fn diff_ids() -> Vec<DiffId> {
    DIFF_IDS.iter().map(|text| DiffId::new(text.parse().unwrap())).collect()
}

/// The IDs of the images that dockerd 20.10 made of the same manifests.
#[test]
fn configs_are_dockerds() {
    let empty = Digest::sha256(&EMPTY_LAYER).to_string();
    let layers = [UPPER, &empty, LOWER];
    // The same, without the empty layer, and with the lowest twice.
    let doubled = TOP.replace("@b", "@a");
    for (manifest, id) in [
        (
            manifest(&layers, &[TOP, EMPTY, BASE]),
            "3e36147407f533d7e4834582b6fcd28c296e3e4d88b13371cdba618befab013d",
        ),
        (
            manifest(&layers, &[&document(TOP, "17.03.1-ce"), EMPTY, BASE]),
            "adfbde25c3174e05175e125157d4522004de2d889ffe6d028a5bce851c97fec2",
        ),
        (
            manifest(&[UPPER, LOWER, LOWER], &[&doubled, BASE, BASE]),
            "5b8289fa292fa75c6a129da06fe67b9942b2e1a5eb639f0aebe8aeee15abda89",
        ),
    ] {
        let parsed = parse(&manifest).unwrap();
        let blobs: Vec<String> = parsed.layers().map(ToString::to_string).collect();
        assert_eq!(blobs, [LOWER, UPPER]);
        let config = parsed.config(&diff_ids()).unwrap();
        assert_eq!(Digest::sha256(config.as_bytes()).hex(), id, "{config}");
        ImageConfig::parse(config.as_bytes()).unwrap();
    }
}

#[test]
fn an_image_may_have_no_layers() {
    let empty = Digest::sha256(&EMPTY_LAYER).to_string();
    let only = r#"{"id":"@a","throwaway":true,"docker_version":"1.13.0"}"#;
    let parsed = parse(&manifest(&[&empty], &[only])).unwrap();
    assert_eq!(parsed.layers().count(), 0);
    assert_eq!(
        parsed.config(&[]).unwrap(),
        r#"{"docker_version":"1.13.0","history":[{"created":"0001-01-01T00:00:00Z","empty_layer":true}],"rootfs":{"type":"layers"}}"#
    );
}

/// Of the versions that dockerd writes anew, none is as young as 1.8.3.
#[test]
fn documents_of_old_dockers_are_written_anew() {
    for (version, is_new) in [
        ("", true),
        ("1.8", true),
        ("1.8.2", true),
        ("1.8.3", false),
        ("1.8.3-rc1", true),
        ("1.9", false),
        ("1.10.0", false),
        ("1.8.3.0", false),
        ("17.03.1-ce", false),
        ("dev", true),
        ("99999999999999999999", false),
    ] {
        let text = format!(
            r#"{{"id":"@a","created":"{}","docker_version":"{version}"}}"#,
            "2015-01-02T03:04:05Z"
        );
        let config =
            parse(&manifest(&[LOWER], &[&text])).unwrap().config(&diff_ids()[..1]).unwrap();
        assert_eq!(config.contains("container_config"), is_new, "{version}: {config}");
    }
}

#[test]
fn what_does_not_fit_is_refused_in_dockerds_words() {
    let with = |change: fn(&mut Value)| {
        let mut changed = manifest(&[UPPER, LOWER], &[&TOP.replace("@b", "@a"), BASE]);
        change(&mut changed);
        changed
    };
    let one = |text: &str| manifest(&[LOWER], &[text]);
    for (manifest, expected) in [
        (with(|it| it["schemaVersion"] = json!(2)), "unsupported schema version 2 for \"me/x:t\""),
        (
            with(|it| it["history"] = json!([])),
            "length of history not equal to number of layers for \"me/x:t\"",
        ),
        (manifest(&[], &[]), "no FSLayers in manifest for \"me/x:t\""),
        (with(|it| it["config"] = json!({})), "with the field `config` of schema 2"),
        (with(|it| it["layers"] = json!([])), "with the field `layers` of schema 2"),
        (with(|it| it["manifests"] = json!([])), "with the field `manifests` of schema 2"),
        (with(|it| it["fslayers"] = json!([])), "readers disagree"),
        (
            with(|it| it["fsLayers"][0] = json!({"blobSum": "../x"})),
            "manifest of schema 1 is not valid",
        ),
        (manifest(&[UPPER, LOWER], &[TOP, BASE]), "invalid parent ID. Expected aaaa"),
        (one(TOP), "invalid parent ID in the base layer of the image"),
        (one(r#"{"id":"x"}"#), "image ID \"x\" is invalid"),
        (one(r#"{"id":"@a","created":"now"}"#), "parsing time \"now\""),
        (
            one(r#"{"id":"@a","container_config":{"Cmd":[1]}}"#),
            "history of the manifest is not valid: container_config: Cmd",
        ),
        (
            one(r#"{"id":"@a","throwaway":"yes"}"#),
            "history of the manifest is not valid: throwaway",
        ),
        (one("["), "history of the manifest is not valid"),
        (
            one(
                "{\"id\":\"@a\",\"docker_version\":\"1.9\",\"rootf\u{17f}\":{\"type\":\"layers\"}}",
            ),
            "history of the manifest has fields that a config has for its layers",
        ),
        (
            one(r#"{"id":"@a","docker_version":"1.9","os.features":"x"}"#),
            "history of the manifest is not valid: os.features",
        ),
        (
            manifest(
                &[LOWER; 3],
                &[r#"{"id":"@a","parent":"@b"}"#, r#"{"id":"@b","parent":"@a"}"#, BASE],
            ),
            &format!("ID {} appears multiple times in manifest", "a".repeat(64)),
        ),
        (manifest(&[LOWER; MAX_STEPS + 1], &["{}"; MAX_STEPS + 1]), "manifest lists 1001 layers"),
    ] {
        let made = parse(&manifest).and_then(|parsed| parsed.config(&diff_ids()[..1]));
        let error = made.expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
    let large = vec![b' '; usize::try_from(MAX_MANIFEST_SIZE).unwrap() + 1];
    assert!(matches!(Schema1::parse(&large, "x"), Err(Schema1Error::TooLarge(_))));
}

#[test]
fn a_manifest_is_told_by_what_it_says() {
    for (text, expected) in [
        (r#"{"schemaVersion":1,"fsLayers":[]}"#, true),
        (r#"{"SCHEMAVERSION":1,"FSLayers":[],"mediaType":"text/plain"}"#, true),
        (r#"{"schemaVersion":2,"fsLayers":[]}"#, false),
        (r#"{"schemaVersion":1,"fsLayers":null}"#, false),
        (r#"{"schemaVersion":1}"#, false),
        ("[]", false),
    ] {
        assert_eq!(Schema1::is(text.as_bytes()), expected, "{text}");
    }
}

/// The manifest that dockerd 20.10 pushed of the second of these images to a registry that refuses schema 2, without the signature.
#[test]
fn the_manifest_of_a_config_is_dockerds() {
    let empty = Digest::sha256(&EMPTY_LAYER).to_string();
    let pulled = manifest(&[UPPER, &empty, LOWER], &[&document(TOP, "17.03.1-ce"), EMPTY, BASE]);
    let config = parse(&pulled).unwrap().config(&diff_ids()).unwrap();
    let layers = [LOWER, UPPER].map(|text| text.parse().unwrap());
    let new = NewSchema1 { name: "me/y", tag: "1", config: config.as_bytes(), layers: &layers };
    let (made, names_empty) = make_schema1(&new).unwrap();
    assert_eq!(made, include_str!("testdata/pushed.json"));
    assert!(names_empty);
    // Pulled again, it is the same image.
    let again = Schema1::parse(made.as_bytes(), "me/y:1").unwrap();
    assert_eq!(again.config(&diff_ids()).unwrap(), config);
}

#[test]
fn a_config_whose_history_does_not_fit_makes_no_manifest() {
    let config = |history: &str| {
        format!(r#"{{"architecture":"amd64","rootfs":{{"type":"layers"}},"history":[{history}]}}"#)
    };
    for (history, layers, expected) in [
        ("", 0, "empty history"),
        ("{}", 0, "too many non-empty layers"),
        (
            r#"{"empty_layer":true},{}"#,
            2,
            "history of the image's config has 1 layers, the image 2",
        ),
        (r#"{"created":"x"},{}"#, 2, "parsing time \"x\""),
    ] {
        let (config, layers) = (config(history), vec![LOWER.parse().unwrap(); layers]);
        let new = NewSchema1 { name: "x", tag: "y", config: config.as_bytes(), layers: &layers };
        let error = make_schema1(&new).expect_err(history).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
