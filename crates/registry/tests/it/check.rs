//! The check of a registry: its hosts, and the answer of each.

use std::fs;

use registry::{
    Checked, Client, Credentials, RegistryCheck, RegistryConfig, TagOrDigest, TlsCheck,
};
use spec::{Digest, Repository, Tag};
use test_support::scripted::{Answer, Scripted, challenge_basic, challenge_bearer};

use crate::support::{ann, config, manifest, nobody};

const PATH: &str = "/v2/me/app/manifests/1";

fn image(registry: &str) -> Checked {
    let repository = Repository::parse_familiar(&format!("{registry}/me/app")).unwrap();
    Checked::Image(repository, TagOrDigest::Tag("1".parse::<Tag>().unwrap()))
}

/// Sums up what the endpoints were asked and said.
fn summary(check: &RegistryCheck) -> Vec<String> {
    let probes = check.endpoints.iter().flat_map(|endpoint| &endpoint.probes);
    probes
        .map(|probe| {
            let status = probe.status.map(|status| status.to_string()).unwrap_or_default();
            let error = probe.error.as_deref().unwrap_or_default();
            format!("{} -> {status}{error}", probe.request)
        })
        .collect()
}

#[tokio::test]
async fn every_endpoint_is_asked_and_told_of() {
    let [mirror, registry] = [Scripted::start().await.unwrap(), Scripted::start().await.unwrap()];
    registry.on("HEAD", PATH, [manifest(b"{}").header("content-length", "2")]);
    let down = nobody().await;
    let certs = tempfile::tempdir().unwrap();
    let file = certs.path().join("reg.example/hosts.toml");
    fs::create_dir(file.parent().unwrap()).unwrap();
    let text = format!(
        "server = \"{}\"\nserves = 1\n[host.\"http://{down}\"]\n[host.\"{}\"]\ncapabilities = [\"pull\"]\n\
         [host.\"{1}\".header]\nx-canary = \"s3cret\"",
        registry.url(),
        mirror.url()
    );
    fs::write(&file, text).unwrap();
    let certs_dirs = vec![certs.path().into()];
    let client = Client::new(RegistryConfig { certs_dirs, ..config() }).unwrap();
    let check = client.check(&image("reg.example"), &Credentials::Anonymous).await.unwrap();
    assert_eq!(check.hosts_file.as_deref(), Some(file.as_path()));
    assert!(check.warnings[0].contains("unknown key \"serves\""), "{:?}", check.warnings);
    let [mirror_url, registry_url] = [mirror.url(), registry.url()];
    assert_eq!(
        summary(&check),
        [
            format!(
                "GET http://{down}/v2/ -> Get \"http://{down}/v2/\": dial tcp {down}: connect: connection refused"
            ),
            format!("GET {mirror_url}/v2/ -> 200"),
            format!("HEAD {mirror_url}{PATH}?ns=reg.example -> 404"),
            format!("GET {registry_url}/v2/ -> 200"),
            format!("HEAD {registry_url}{PATH}?ns=reg.example -> 200"),
        ]
    );
    assert_eq!((check.resolver, check.provider), (Some(2), Some(2)));
    let [_, second, last] = check.endpoints.as_slice() else { panic!("{check:?}") };
    assert_eq!(second.capabilities, ["pull"]);
    assert_eq!(second.setting, format!("{}:4", file.display()));
    assert_eq!(second.headers, ["x-canary"]);
    assert_eq!((second.mirror, last.mirror, &last.tls), (true, false, &TlsCheck::Plain));
    let found = last.probes[1].found.as_ref().unwrap();
    assert_eq!((&found.digest, found.size), (&Digest::sha256(b"{}"), 2));
    assert!(!format!("{check:?}").contains("s3cret"), "{check:?}");
}

#[tokio::test]
async fn tokens_and_passwords_are_tried_and_not_shown() {
    for (password, works) in [("s3cret", true), ("wrong", false)] {
        let registry = Scripted::start().await.unwrap();
        let realm = format!("{}/token", registry.url());
        let (name, value) = challenge_bearer(&realm, "registry");
        registry.on("GET", "/v2/", [Answer::status(401).header(name, &value)]);
        registry.on("HEAD", PATH, [manifest(b"{}")]);
        registry.reply("GET", "/token", |request| match request.header("authorization") {
            Some(crate::support::ANN) => Answer::status(200).json(r#"{"token":"t0ken"}"#),
            _ => Answer::error(401, "UNAUTHORIZED", "who are you"),
        });
        let client = Client::new(config()).unwrap();
        let credentials = Credentials::Basic { username: "ann".into(), password: password.into() };
        let check = client.check(&image(&registry.host()), &credentials).await.unwrap();
        // HTTPS first, in vain.
        let last = check.endpoints.last().unwrap();
        assert_eq!(last.works, works, "{check:?}");
        assert_eq!(check.resolver.is_some(), works);
        assert_eq!(last.credentials.as_deref(), Some("the request"));
        let token = &last.probes[1];
        assert_eq!(
            (token.request.clone(), token.status.is_some()),
            (format!("GET {realm}"), works)
        );
        for secret in [password, "t0ken", "YW5u"] {
            assert!(!format!("{check:?}").contains(secret), "{check:?}");
        }
    }
}

#[tokio::test]
async fn a_registry_as_such_is_checked_by_its_root() {
    for (credentials, works) in [(ann(), true), (Credentials::Anonymous, false)] {
        let registry = Scripted::start().await.unwrap();
        let (name, value) = challenge_basic();
        registry.on("GET", "/v2/", [Answer::status(401).header(name, &value), Answer::status(200)]);
        let what = Checked::Registry(registry.host());
        let check = Client::new(config()).unwrap().check(&what, &credentials).await.unwrap();
        assert_eq!(check.resolver.is_some(), works, "{check:?}");
        let error = check.endpoints.last().unwrap().probes.last().unwrap().error.clone();
        let expected = (!works).then(|| "no basic auth credentials".to_owned());
        assert_eq!(error, expected);
    }
}
