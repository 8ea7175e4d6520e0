//! Verifier programs, in this process and in a daemon.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::json;
use test_support::servers::DockerRegistry;

use super::super::support::{Bench, Front, run, small_image};
use super::{FRONTS, Place, nothing_there, refused};

/// Writes verifiers, and the configuration that has them asked.
fn configured(place: &Place, scripts: &[(&str, &str)], credentials: bool) -> String {
    let folder: PathBuf = place.files.path().join("verifiers");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir(&folder).unwrap();
    for (name, script) in scripts {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    }
    let verifiers = json!({"directory": folder, "timeout": "500ms", "credentials": credentials});
    place.write("daemon.json", &json!({"image-verifiers": verifiers}).to_string())
}

#[test]
fn verifiers_are_asked_and_all_must_allow_an_image() {
    let place = Place::new();
    let image = small_image(1);
    image.push(&place.client(), "me/app", "1").unwrap();
    let (name, digest) = (place.name("me/app:1"), &image.manifest.digest);
    let by = format!("image {name} ({digest}) is refused by the verifier ");
    for front in FRONTS {
        for (script, expected) in [
            ("echo not today; exit 1", "it ended with 1: not today"),
            ("exec sleep 1000", "it did not end within 500ms"),
            ("kill -9 $$", "it died of signal 9"),
            ("exec yes", "it did not end within 500ms"),
        ] {
            let file = configured(&place, &[("1-good", "true"), ("2-bad", script)], false);
            let bench = Bench::new(front, &["--config-file", &file]);
            refused(&bench, &name, &format!("{by}2-bad: {expected}"));
        }
        let file = configured(&place, &[], false);
        let bench = Bench::new(front, &["--config-file", &file]);
        refused(&bench, &name, "there is no verifier in ");
        // One that looks at what it is told.
        let script = format!(
            "test \"$2\" = {name} && test \"$4\" = {digest} && grep -q '\"digest\":\"{digest}\"' && echo fine"
        );
        configured(&place, &[("only", &script)], false);
        bench.run(&["pull", &name]).success();
        let told = bench.run(&["verify", &name]).success();
        assert!(told.contains("Verifier:  only allows it: fine\nPolicy:    none\n"), "{told}");
    }
    // Killed while it is asked: nothing was there before.
    let file = configured(&place, &[("kills", "kill -9 $PPID")], false);
    let bench = Bench::new(Front::InProcess, &["--config-file", &file]);
    assert!(!bench.run(&["pull", &name]).ok);
    configured(&place, &[("only", "true")], false);
    nothing_there(&bench);
}

#[test]
fn a_verifier_gets_the_credentials_of_the_pull_where_the_settings_say_so() {
    if !test_support::servers::installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let place = Place::new();
    let registry = DockerRegistry::builder().password("ann", "s3cret").start().unwrap();
    let image = small_image(1);
    let auth = test_support::base64::encode("ann:s3cret");
    let client = registry.client().with_authorization(format!("Basic {auth}"));
    image.push(&client, "me/app", "1").unwrap();
    let name = format!("{}/me/app:1", registry.address());
    let script = format!(
        "grep -q '\"{}\":{{\"auth\":\"{auth}\"}}' $DOCKER_CONFIG/config.json",
        registry.address()
    );
    for front in FRONTS {
        for credentials in [false, true] {
            let file = configured(&place, &[("only", &script)], credentials);
            let bench = Bench::new(front, &["--config-file", &file]);
            let login = ["login", "-u", "ann", "--password-stdin", registry.address()];
            bench.run_with(&login, "s3cret").success();
            // The configuration of the user is not that of the verifier.
            let script = format!(
                "test $DOCKER_CONFIG != {} && {script}",
                bench.home.path().join("config").display()
            );
            configured(&place, &[("only", &script)], credentials);
            assert_eq!(bench.run(&["pull", &name]).ok, credentials, "{front:?}");
        }
    }
}

/// Passphrases and other places of credentials are this process's own.
#[test]
fn a_verifier_gets_no_secrets_of_the_environment() {
    let place = Place::new();
    small_image(1).push(&place.client(), "me/app", "1").unwrap();
    let script = "! env | grep sec.et && test -z \"$(ls -A $DOCKER_CONFIG)\"";
    let file = configured(&place, &[("only", script)], false);
    let bench = Bench::new(Front::InProcess, &["--config-file", &file]);
    let mut command = bench.command();
    for name in ["COSIGN_PASSWORD", "DOCKER_CONTENT_TRUST_ROOT_PASSPHRASE", "REGISTRY_AUTH_FILE"] {
        command.env(name, "secret");
    }
    run(command.args(["pull", &place.name("me/app:1")]), "").success();
}
