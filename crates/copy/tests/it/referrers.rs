//! Referrers of an image go along with it.

use serde_json::Value;
use test_support::http::Client;
use test_support::image::{Blob, Format, Image, Index, Referrer};
use test_support::servers::{DockerRegistry, LocalRegistry, installed};

use super::support::{copier, copy, image, index, source, target};

const ACCEPT: &str =
    "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json";

/// A signature of an index, an SBOM of one of its images, and a signature of that; and an image that is under cosign's tag.
struct Signed {
    index: Index,
    referrers: [Referrer; 3],
    cosign: (String, Image),
}

fn signed() -> Signed {
    let index = index(2, 1000);
    let signature = Referrer::new("test/signature", "of the index", &index.manifest);
    let sbom = Referrer::new("test/sbom", "an sbom", &index.images[0].manifest);
    let of_sbom = Referrer::new("test/signature", "of the sbom", &sbom.manifest);
    let hex = index.manifest.digest.hex();
    Signed {
        index,
        referrers: [signature, sbom, of_sbom],
        cosign: (format!("sha256-{hex}.sig"), image(9, 10)),
    }
}

impl Signed {
    fn push(&self, registry: &Client) {
        self.index.push(registry, "app", "1").unwrap();
        self.referrers.iter().for_each(|referrer| referrer.push(registry, "app").unwrap());
        self.cosign.1.push(registry, "app", &self.cosign.0).unwrap();
    }

    fn subjects(&self) -> [&Blob; 3] {
        [&self.index.manifest, &self.index.images[0].manifest, &self.referrers[1].manifest]
    }

    /// Fails if a referrer is not in `copy`, whole, or not in the list at `list`.
    fn check(&self, registry: &Client, list: impl Fn(&Blob) -> String) {
        for (referrer, subject) in self.referrers.iter().zip(self.subjects()) {
            let digest = &referrer.manifest.digest;
            let stored = manifest(registry, &digest.to_string());
            assert_eq!(stored, referrer.manifest.read().unwrap());
            for blob in &referrer.blobs {
                let stored = registry.get(&format!("/v2/copy/blobs/{}", blob.digest)).unwrap();
                assert_eq!(stored.body, blob.read().unwrap());
            }
            let listed = registry.send("GET", &list(subject), &[("Accept", ACCEPT)], b"").unwrap();
            assert_eq!(digests(&listed.json()), [digest.to_string()]);
        }
        let stored = manifest(registry, &self.cosign.0);
        assert_eq!(stored, self.cosign.1.manifest.read().unwrap());
    }
}

/// Returns a manifest of `copy` as it is: docker's registry converts it without the header.
fn manifest(registry: &Client, name: &str) -> Vec<u8> {
    let path = format!("/v2/copy/manifests/{name}");
    registry.send("GET", &path, &[("Accept", ACCEPT)], b"").unwrap().body
}

fn digests(index: &Value) -> Vec<&str> {
    let entries = index["manifests"].as_array().unwrap();
    entries.iter().map(|entry| entry["digest"].as_str().unwrap()).collect()
}

fn by_api(subject: &Blob) -> String {
    format!("/v2/copy/referrers/{}", subject.digest)
}

fn by_tag(subject: &Blob) -> String {
    format!("/v2/copy/manifests/sha256-{}", subject.digest.hex())
}

async fn carry(from: &str, to: &str) -> (copy::Copied, copy::Summary) {
    let copier = copier().with_referrers();
    let target = target(to).await;
    let done = copier.copy(&source(from).await, &target, &[]).await.unwrap();
    target.finish().await.unwrap();
    (done, copier.summary())
}

#[tokio::test]
async fn they_are_found_by_the_api_and_go_where_the_name_is_already() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let signed = signed();
    signed.push(&a.client());
    let (from, to) = (format!("{}/app:1", a.address()), format!("{}/copy:1", b.address()));
    let (_, summary) = copy(&from, &to).await.unwrap();
    assert_eq!(summary.referrers, 0);
    let first = b.client().get(&by_api(&signed.index.manifest)).unwrap().json();
    assert!(digests(&first).is_empty(), "only who asks for them gets them");

    let (copied, summary) = carry(&from, &to).await;
    assert!(copied.unchanged);
    assert_eq!(summary.referrers, 4);
    signed.check(&b.client(), by_api);
    let (_, summary) = carry(&from, &to).await;
    assert_eq!(summary, copy::Summary::default(), "what is there is not sent again");
}

#[tokio::test]
async fn without_the_api_lists_are_read_and_kept_under_tags() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let old = DockerRegistry::builder().start().unwrap();
    let (a, c) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let signed = signed();
    signed.push(&a.client());
    let through = format!("{}/copy:1", old.address());
    let (copied, summary) = carry(&format!("{}/app:1", a.address()), &through).await;
    assert_eq!((copied.unchanged, summary.referrers), (false, 4));
    signed.check(&old.client(), by_tag);
    let (_, summary) = carry(&through, &format!("{}/copy:1", c.address())).await;
    assert_eq!(summary.referrers, 4);
    signed.check(&c.client(), by_api);
    let (_, summary) = carry(&format!("{}/app:1", a.address()), &through).await;
    assert_eq!(summary, copy::Summary::default());
}

#[tokio::test]
async fn layouts_have_them_without_a_name() {
    let a = LocalRegistry::start().unwrap();
    let signed = signed();
    signed.push(&a.client());
    let folder = tempfile::tempdir().unwrap();
    let place = |kind: &str, name: &str| format!("{kind}:{}/{name}", folder.path().display());
    let from = format!("{}/app:1", a.address());
    for to in [place("oci", "layout:v1"), place("oci-archive", "archive.tar:v1")] {
        let (_, summary) = carry(&from, &to).await;
        assert_eq!(summary.referrers, 4, "{to}");
        // The image is found by its name, and a signature by its tag.
        let back = format!("{}/back:1", a.address());
        assert_eq!(copy(&to, &back).await.unwrap().0.digest, signed.index.manifest.digest);
        let signature = to.replace(":v1", &format!(":{}", signed.cosign.0));
        let copied = copy(&signature, &back).await.unwrap().0;
        assert_eq!(copied.digest, signed.cosign.1.manifest.digest);
    }
    let listed = std::fs::read(folder.path().join("layout/index.json")).unwrap();
    let listed: Value = serde_json::from_slice(&listed).unwrap();
    for referrer in &signed.referrers {
        let entries = listed["manifests"].as_array().unwrap();
        let digest = referrer.manifest.digest.to_string();
        let entry = entries.iter().find(|entry| entry["digest"] == digest).unwrap();
        assert_eq!(entry.get("annotations"), None);
    }
    let (_, summary) = carry(&from, &place("oci", "layout:v1")).await;
    assert_eq!(summary.referrers, 0);
    // Out of them they come as they came in, and from one to the other.
    for (from, to) in [("oci", "b"), ("oci-archive", "c")] {
        let name = if from == "oci" { "layout:v1" } else { "archive.tar:v1" };
        let (_, summary) = carry(&place(from, name), &place("oci", &format!("{to}:v1"))).await;
        assert_eq!(summary.referrers, 4);
        let registry = LocalRegistry::start().unwrap();
        let copied = format!("{}/copy:1", registry.address());
        let (_, summary) = carry(&place("oci", &format!("{to}:v1")), &copied).await;
        assert_eq!(summary.referrers, 4);
        signed.check(&registry.client(), by_api);
    }
    // They are no images that lack a name.
    let listed = source(&place("oci", "layout")).await.images(&|_| true).await.unwrap();
    assert_eq!((listed.images.len(), listed.untagged.len()), (2, 0));

    for to in [place("dir", "dir"), place("docker-archive", "d.tar"), place("oci", "other")] {
        let (from, to) = (source(&from).await, target(&to).await);
        let error = copier().with_referrers().copy(&from, &to, &[]).await.unwrap_err();
        assert!(error.to_string().contains("a layout in which the image gets a name"), "{error}");
    }
}

#[tokio::test]
async fn what_only_is_listed_does_not_refer_and_loops_end() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let (old, b) = (DockerRegistry::builder().start().unwrap(), LocalRegistry::start().unwrap());
    let (one, two) = (image(2, 1000), image(4, 1000));
    one.push(&old.client(), "app", "1").unwrap();
    let tag = |subject: &Blob| format!("sha256-{}", subject.digest.hex());
    // Two images that sign each other, and a list that names an image that refers to nothing.
    one.push(&old.client(), "app", &format!("{}.sig", tag(&two.manifest))).unwrap();
    two.push(&old.client(), "app", &format!("{}.sig", tag(&one.manifest))).unwrap();
    Index::new(Format::Oci, vec![two]).push(&old.client(), "app", &tag(&one.manifest)).unwrap();
    let from = format!("{}/app:1", old.address());
    let (copied, summary) = carry(&from, &format!("{}/copy:1", b.address())).await;
    assert_eq!((copied.digest, summary.referrers), (one.manifest.digest.clone(), 2));
    let listed = b.client().get(&by_api(&one.manifest)).unwrap().json();
    assert!(digests(&listed).is_empty());
}

#[tokio::test]
async fn a_layout_that_has_the_lists_of_clients_has_referrers() {
    let a = LocalRegistry::start().unwrap();
    let image = image(2, 10);
    let folder = tempfile::tempdir().unwrap();
    let layout = format!("oci:{}/layout", folder.path().display());
    let sbom = Referrer::new("test/sbom", "an sbom", &image.manifest);
    image.push(&a.client(), "app", "1").unwrap();
    sbom.push(&a.client(), "app").unwrap();
    for name in ["1", &sbom.fallback.0] {
        copy(&format!("{}/app:{name}", a.address()), &format!("{layout}:{name}")).await.unwrap();
    }
    let b = LocalRegistry::start().unwrap();
    let to = format!("{}/copy:1", b.address());
    assert_eq!(carry(&format!("{layout}:1"), &to).await.1.referrers, 1);
    let listed = b.client().get(&by_api(&image.manifest)).unwrap().json();
    assert_eq!(digests(&listed), [sbom.manifest.digest.to_string()]);
}

#[tokio::test]
async fn a_chain_without_end_is_refused() {
    let (a, b) = (LocalRegistry::start().unwrap(), LocalRegistry::start().unwrap());
    let image = image(2, 1000);
    image.push(&a.client(), "app", "1").unwrap();
    let mut subject = image.manifest.clone();
    for depth in 0..5 {
        let referrer = Referrer::new("test/signature", format!("{depth}"), &subject);
        referrer.push(&a.client(), "app").unwrap();
        subject = referrer.manifest;
    }
    let (from, to) = (
        source(&format!("{}/app:1", a.address())).await,
        target(&format!("{}/copy:1", b.address())).await,
    );
    let error = copier().with_referrers().copy(&from, &to, &[]).await.unwrap_err();
    assert!(error.to_string().ends_with("referred to again, more than 4 deep"), "{error}");
    assert_eq!(b.client().get("/v2/copy/manifests/1").unwrap().status, 404);
}
