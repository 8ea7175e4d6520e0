//! Signatures that the packages of npm and PyPI make, which are in `samples`.
//!
//! `@sigstore/sign` 4.1.1 and `sigstore` 4.5.1 (PyPI) made the bundles, with a Fulcio and a Rekor of `@sigstore/mock` 0.12.1 behind two
//! routes of HTTP: certificates for mail addresses, and entries in the form that a log gives those of the kind `dsse`.

use std::path::PathBuf;

use serde_json::{Value, json};
use spec::MediaType;
use test_support::image::{Blob, Image, Referrer};

use super::super::support::{Bench, Front, small_image};
use super::identity::identity;
use super::{FRONTS, Place};

fn sample(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests/it/policies/samples", name].iter().collect()
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(sample(name)).unwrap()
}

/// The image that the bundles are of.
fn image() -> Image {
    let mut image = Image::builder().build();
    image.manifest = Blob::of(MediaType::OciManifest, read("manifest.json").into());
    image.config = Blob::of(MediaType::OciConfig, read("config.json").into());
    image
}

/// Puts a bundle beside an image.
fn attach(place: &Place, repository: &str, image: &Image, bundle: &str) {
    image.push(&place.client(), repository, "1").unwrap();
    let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let referrer = Referrer::new(kind, read(bundle), &image.manifest);
    referrer.push(&place.client(), repository).unwrap();
}

fn by_key(more: &Value) -> Value {
    requirement(&json!({"keyPath": sample("npm.pub")}), more)
}

fn by_address(email: &str, issuer: &str) -> Value {
    let fulcio =
        json!({"caPath": sample("fulcio.pem"), "oidcIssuer": issuer, "subjectEmail": email});
    requirement(&json!({"fulcio": fulcio}), &json!({"rekorPublicKeyPath": sample("rekor.pub")}))
}

fn requirement(who: &Value, more: &Value) -> Value {
    let mut requirement = json!({
        "type": "sigstoreSigned", "signedIdentity": {"type": "insecureAcceptAnyIdentity"},
    });
    for fields in [who, more] {
        requirement.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    }
    json!([requirement])
}

#[test]
fn bundles_that_packages_of_npm_and_pypi_make_are_believed() {
    let place = Place::new();
    let (image, other) = (image(), small_image(1));
    let samples = ["npm-keyed", "npm-logged", "npm-keyless", "pypi-keyless"];
    for sample in samples {
        attach(&place, sample, &image, &format!("{sample}.json"));
        attach(&place, &format!("other/{sample}"), &other, &format!("{sample}.json"));
    }
    let logged = json!({"rekorPublicKeyPath": sample("rekor.pub")});
    let other_log = json!({"rekorPublicKeyPath": sample("npm.pub")});
    let (ann, issuer) = ("ann@example.com", "https://login.example");
    let no_log = "no log promises to have it";
    let stranger = "it is not made by a trusted key";
    for (requirements, told) in [
        (by_key(&json!({})), ["", "", stranger, stranger]),
        (by_key(&logged), [no_log, "", stranger, stranger]),
        (by_key(&other_log), [no_log, "not of a trusted log", stranger, stranger]),
        (by_address(ann, issuer), ["it has no certificate", "it has no certificate", "", ""]),
        (
            by_address("bob@example.com", issuer),
            [
                "no certificate",
                "no certificate",
                "is for ann@example.com",
                "is for ann@example.com",
            ],
        ),
        (
            by_address(ann, "https://else.example"),
            [
                "no certificate",
                "no certificate",
                "of the issuer \"https://login.example\"",
                "not of \"",
            ],
        ),
    ] {
        let bench = place.bench(Front::InProcess, &requirements);
        for (sample, told) in samples.iter().zip(told) {
            let done = bench.run(&["verify", &place.name(&format!("{sample}:1"))]);
            assert_eq!(done.ok, told.is_empty(), "{sample} {requirements}: {}", done.stdout);
            assert!(done.stdout.contains(told), "{sample} {requirements}: {}", done.stdout);
            let other = bench.run(&["verify", &place.name(&format!("other/{sample}:1"))]);
            let of_other = format!("it is for {}, and not for", image.manifest.digest);
            let expected = if told.is_empty() { &of_other } else { told };
            assert!(other.stdout.contains(expected), "{}", other.stdout);
            other.failure();
        }
    }
}

#[test]
fn the_one_whom_a_certificate_is_for_is_told_of_the_image() {
    let place = Place::new();
    let image = image();
    for front in FRONTS {
        let bench: Bench =
            place.bench(front, &by_address("ann@example.com", "https://login.example"));
        for sample in ["npm-keyless", "pypi-keyless"] {
            attach(&place, sample, &image, &format!("{sample}.json"));
            let name = place.name(&format!("{sample}:1"));
            bench.run(&["pull", &name]).success();
            let told = identity(&bench, &name);
            assert_eq!(told["Pull"], json!([{"Repository": place.name(sample)}]));
            let mut signature = told["Signature"][0].clone();
            let timestamps = signature.as_object_mut().unwrap().remove("Timestamps").unwrap();
            assert_eq!(
                (&timestamps[0]["Type"], &timestamps[0]["URI"]),
                (&json!("Tlog"), &json!(""))
            );
            let expected = json!({
                "Name": "Certificate (ann@example.com)",
                "SignatureType": "bundle-v0.3",
                "Signer": {
                    "CertificateIssuer": "O=sigstore.mock,CN=sigstore",
                    "SubjectAlternativeName": "ann@example.com",
                    "Issuer": "https://login.example",
                },
            });
            assert_eq!(signature, expected);
        }
    }
}
