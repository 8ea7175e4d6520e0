use registry::{Access, Client, Credentials, RegistryConfig};
use serde_json::{Value, json};
use spec::{MediaType, Repository};
use test_support::scripted::{Answer, Scripted};

use super::*;

const REFERRERS: &str = "/v2/app/referrers/*";

fn subject() -> Digest {
    Digest::sha256(b"manifest")
}

async fn attached(server: &Scripted) -> Attached {
    let retry_delay = std::time::Duration::from_millis(1);
    let client = Client::new(RegistryConfig { retry_delay, ..RegistryConfig::default() }).unwrap();
    let repository = Repository::parse_familiar(&format!("{}/app", server.host())).unwrap();
    let remote = client.remote(&repository, &Credentials::Anonymous, Access::Pull).await.unwrap();
    Attached::new(&remote)
}

/// Puts a manifest to a server, and returns its digest.
fn put(server: &Scripted, name: Option<&str>, layers: &[Value]) -> Digest {
    let bytes = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OciManifest,
        "config": blob(server, "application/vnd.oci.empty.v1+json", b"{}"),
        "layers": layers,
    })
    .to_string();
    let digest = Digest::sha256(bytes.as_bytes());
    let answer = Answer::default()
        .header("Content-Type", MediaType::OciManifest.as_str())
        .header("Docker-Content-Digest", digest.to_string())
        .body(bytes);
    let name = name.map_or_else(|| digest.to_string(), str::to_owned);
    server.on("GET", &format!("/v2/app/manifests/{name}"), [answer]);
    digest
}

fn blob(server: &Scripted, media_type: &str, bytes: &[u8]) -> Value {
    let digest = Digest::sha256(bytes);
    let answer = Answer::default().body(bytes.to_vec());
    server.on("GET", &format!("/v2/app/blobs/{digest}"), [answer]);
    json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
}

/// Puts statements under cosign's tag.
fn sign(server: &Scripted, statements: impl IntoIterator<Item = String>) {
    let statement = |text: String| {
        let mut layer = blob(server, SIMPLE_SIGNING, text.as_bytes());
        layer["annotations"] = json!({SIGNATURE: "AAAA"});
        layer
    };
    let layers: Vec<Value> = statements.into_iter().map(statement).collect();
    let [tag, ..] = Tag::of_cosign(&subject());
    put(server, Some(tag.as_str()), &layers);
}

/// Puts bundles with these payloads beside the manifest.
fn bundle(server: &Scripted, payloads: &[&str]) {
    let listed = payloads.iter().map(|payload| {
        let text = json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {},
            "dsseEnvelope": {
                "payload": STANDARD.encode(payload),
                "payloadType": crate::signature::payload::ENVELOPED,
                "signatures": [{"sig": "AAAA"}],
            },
        });
        let digest = put(server, None, &[blob(server, BUNDLE, text.to_string().as_bytes())]);
        json!({
            "mediaType": MediaType::OciManifest, "artifactType": BUNDLE, "digest": digest, "size": 9,
        })
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": MediaType::OciIndex,
        "manifests": listed.collect::<Vec<_>>(),
    });
    let answer = Answer::default().header("Content-Type", MediaType::OciIndex.as_str());
    server.on("GET", REFERRERS, [answer.body(index.to_string())]);
}

/// Looks for what is signed as `good`.
async fn look(server: &Scripted) -> (Option<Form>, Vec<String>) {
    let accept = |found: &Signature| match &found.payload[..] {
        b"good" => Ok(found.form),
        _ => Err(SignatureFault::Stranger),
    };
    let mut reasons = Vec::new();
    let found = attached(server).await.first(&subject(), accept, &mut reasons).await;
    (found, reasons)
}

#[tokio::test]
async fn one_form_of_signatures_does_not_hang_on_the_other() {
    for status in [401, 403, 429, 500] {
        let server = Scripted::start().await.unwrap();
        let refused = || [Answer::error(status, "UNKNOWN", "no")];
        server.on("GET", REFERRERS, refused());
        sign(&server, ["bad".to_owned(), "good".to_owned()]);
        let (found, _) = look(&server).await;
        assert_eq!(found, Some(Form::Simple), "{status}");
        assert!(!server.lines().iter().any(|line| line.contains("/referrers/")), "{status}");

        // One that is refused by its tag is found by the list.
        let server = Scripted::start().await.unwrap();
        server.on("GET", "/v2/app/manifests/*", refused());
        bundle(&server, &["bad", "good"]);
        let (found, reasons) = look(&server).await;
        assert_eq!(found, Some(Form::Envelope), "{status}");
        let expected = format!("the signatures of {} cannot be had: ", subject());
        assert!(reasons[0].starts_with(&expected), "{status}: {reasons:?}");
    }
    // Who may push can make a list that is none.
    let server = Scripted::start().await.unwrap();
    server.on("GET", REFERRERS, [Answer::status(404)]);
    let index = Answer::default().header("Content-Type", MediaType::OciIndex.as_str());
    let list = format!("/v2/app/manifests/sha256-{}", subject().hex());
    server.on("GET", &list, [index.body("<html>")]);
    sign(&server, ["bad".to_owned()]);
    let (found, reasons) = look(&server).await;
    assert_eq!((found, reasons.len()), (None, 2), "{reasons:?}");
    assert!(reasons[0].ends_with("it is not made by a trusted key"), "{reasons:?}");
    assert!(reasons[1].starts_with("the bundles of sha256:"), "{reasons:?}");
}

#[tokio::test]
async fn no_more_is_fetched_than_is_looked_at() {
    let server = Scripted::start().await.unwrap();
    server.on("GET", REFERRERS, [Answer::status(404)]);
    let statements = |good: usize| {
        let text = move |at| if at == good { "good".to_owned() } else { format!("bad {at}") };
        (0..MAX_SIGNATURES + 6).map(text)
    };
    let fetched = || server.lines().iter().filter(|line| line.contains("/blobs/")).count();
    sign(&server, statements(2));
    assert_eq!(look(&server).await.0, Some(Form::Simple));
    assert!((3..=3 + AT_ONCE).contains(&fetched()), "{}", fetched());
    // Among too many strangers' nobody's is seen.
    server.forget();
    sign(&server, statements(MAX_SIGNATURES));
    let (found, reasons) = look(&server).await;
    assert_eq!((found, fetched()), (None, MAX_SIGNATURES));
    let expected = format!("6 more signatures of {} were not looked at", subject());
    assert_eq!(reasons.last(), Some(&expected));
    // A bundle that is too large is not fetched.
    let server = Scripted::start().await.unwrap();
    let large = "x".repeat(usize::try_from(MAX_BUNDLE).unwrap());
    bundle(&server, &[&large, "good"]);
    let (found, reasons) = look(&server).await;
    assert_eq!(found, Some(Form::Envelope));
    assert!(reasons[0].contains("its payload cannot be had"), "{reasons:?}");
}
