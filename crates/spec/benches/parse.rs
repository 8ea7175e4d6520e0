//! Reading what every request and every image begins with.

use divan::counter::BytesCount;
use spec::{ImageConfig, Manifest, Reference};

fn main() {
    divan::main();
}

const DIGEST: &str = "sha256:abababababababababababababababababababababababababababababababab";

#[divan::bench(args = ["alpine", "registry.example:5000/team/service/api:1.2.3-rc.1"])]
fn reference(bencher: divan::Bencher, text: &str) {
    bencher
        .counter(BytesCount::of_str(text))
        .bench(|| Reference::parse_familiar(divan::black_box(text)));
}

#[divan::bench(args = [5, 100])]
fn manifest(bencher: divan::Bencher, layers: usize) {
    let descriptor = |media_type: &str| {
        format!(
            r#"{{"mediaType":"application/vnd.oci.image.{media_type}","size":1982581,"digest":"{DIGEST}"}}"#
        )
    };
    let layers = vec![descriptor("layer.v1.tar+gzip"); layers].join(",");
    let text = format!(
        r#"{{"schemaVersion":2,"config":{},"layers":[{layers}]}}"#,
        descriptor("config.v1+json")
    );
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| Manifest::parse(None, divan::black_box(text.as_bytes())));
}

#[divan::bench(args = [5, 100])]
fn config(bencher: divan::Bencher, layers: usize) {
    let diff_ids = vec![format!("\"{DIGEST}\""); layers].join(",");
    let step = r#"{"created":"2024-01-02T03:04:05.678Z","created_by":"/bin/sh -c make install"}"#;
    let text = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Env":["PATH=/bin"],"Labels":{{"a":"b"}}}},
        "rootfs":{{"type":"layers","diff_ids":[{diff_ids}]}},"history":[{}]}}"#,
        vec![step; layers].join(",")
    );
    bencher
        .counter(BytesCount::of_str(&text))
        .bench(|| ImageConfig::parse(divan::black_box(text.as_bytes())));
}
