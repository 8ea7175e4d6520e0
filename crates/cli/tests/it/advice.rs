//! Advice to whoever is new: where a login is from and goes to, whose fault a failure is, and what `doctor` sees of it.

use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use test_support::scripted::{Answer, Received, Scripted, challenge_basic};
use test_support::servers::LocalRegistry;
use tokio::runtime::Runtime;

use super::support::{Home, small_image};

/// A registry that knows `ci` with the password `s3cret`, and has nothing.
fn asking(runtime: &Runtime) -> Scripted {
    let server = runtime.block_on(Scripted::start()).unwrap();
    let known = format!("Basic {}", STANDARD.encode("ci:s3cret"));
    server.reply("GET", "*", move |asked: &Received| {
        let (name, value) = challenge_basic();
        match asked.header("authorization") {
            Some(shown) if shown == known && asked.path() == "/v2/" => Answer::status(200),
            Some(shown) if shown == known => Answer::error(404, "NAME_UNKNOWN", "no"),
            _ => Answer::error(401, "UNAUTHORIZED", "authentication required").header(name, &value),
        }
    });
    server
}

#[test]
fn a_mirror_that_does_not_help_is_told_of_and_one_without_the_image_is_not() {
    let runtime = Runtime::new().unwrap();
    let (wants, lacks) = (asking(&runtime), runtime.block_on(Scripted::start()).unwrap());
    lacks.on("GET", "/v2/", [Answer::status(200)]);
    for method in ["HEAD", "GET"] {
        lacks.on(method, "/v2/app/manifests/1", [Answer::error(404, "MANIFEST_UNKNOWN", "no")]);
    }
    let registry = LocalRegistry::start().unwrap();
    small_image(8).push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    for (mirror, expected) in [(&wants, true), (&lacks, false)] {
        let home = Home::new();
        let folder = home.path().join("certs").join(registry.address().to_string());
        fs::create_dir_all(&folder).unwrap();
        let hosts =
            format!("[host.\"{}\"]\n  capabilities = [\"pull\", \"resolve\"]\n", mirror.url());
        fs::write(folder.join("hosts.toml"), hosts).unwrap();
        let certs = home.path().join("certs");
        let done = home.run(&["--certs-dir", certs.to_str().unwrap(), "pull", "-q", &name]);
        let told = format!("the mirror {}/ does not help, and others are asked: ", mirror.url());
        assert_eq!(done.stderr.contains(&told), expected, "{done:?}");
        assert_eq!(done.success(), format!("{name}\n"));
    }
}

#[test]
fn a_key_that_a_document_has_not_fails_and_one_that_is_empty_does_not() {
    let (home, registry) = (Home::new(), LocalRegistry::start().unwrap());
    small_image(10).push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    for verb in [&["registry", "inspect"][..], &["registry", "check"], &["verify"]] {
        let done = home.run(&[verb, &["--format", "{{.Foo}}", &name]].concat());
        let told = done.failure();
        assert!(told.contains("map has no entry for key \"Foo\""), "{told}");
    }
    let format = ["--format", "{{.ArtifactType}}{{.Subject}}-", &name];
    assert_eq!(home.run(&[&["registry", "inspect"][..], &format].concat()).success(), "-\n");
}
