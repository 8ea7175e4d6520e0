use crate::testing::Fixture;

use super::*;

fn repository(text: &str) -> Repository {
    Reference::parse_familiar(text).unwrap().repository().clone()
}

/// dockerd's `push`: one tag, or all tags of a repository, and never a digest.
#[test]
fn a_push_is_of_one_tag_or_of_all() {
    let fixture = Fixture::new(&[
        "web tags=web:2,web:1,reg.io/web:3 digests=web",
        "db tags=web:db",
        "pinned digests=pinned",
    ]);
    for (name, tag, expected) in [
        ("web", Some("1"), "1 <web>"),
        ("web", Some("db"), "db <db>"),
        ("web", None, "1 <web> 2 <web> db <db>"),
        ("reg.io/web", None, "3 <web>"),
        ("web", Some("9"), "tag does not exist: web:9"),
        ("reg.io/web", Some("1"), "tag does not exist: reg.io/web:1"),
        ("pinned", None, "no tags to push for pinned"),
        ("pinned", Some("latest"), "tag does not exist: pinned:latest"),
        ("gone", None, "An image does not exist locally with the tag: gone"),
        ("reg.io/gone", Some("1"), "An image does not exist locally with the tag: reg.io/gone"),
    ] {
        let repository = repository(name);
        let tag = tag.map(|tag| tag.parse::<Tag>().unwrap());
        let references = fixture.run(fixture.engine.associations(&repository));
        let chosen = references.and_then(|references| {
            let chosen = choose(&repository, tag.as_ref(), &references)?;
            let shown = chosen.iter().map(|(tag, id)| format!("{tag} {id}"));
            Ok(shown.collect::<Vec<_>>().join(" "))
        });
        let told = chosen.unwrap_or_else(|error| {
            assert_eq!(error.kind(), crate::ErrorKind::NotFound);
            error.message()
        });
        assert_eq!(fixture.words(&told), expected, "{name} {tag:?}");
    }
}

/// Equal credentials give equal keys, and nothing of them can be read from one.
#[test]
fn keys_tell_credentials_apart() {
    let basic = |username: &str, password: &str| Credentials::Basic {
        username: username.to_owned(),
        password: password.to_owned(),
    };
    let all = [
        Credentials::Anonymous,
        basic("me", "secret"),
        basic("me", "other"),
        basic("you", "secret"),
        Credentials::IdentityToken { username: "me".to_owned(), token: "secret".to_owned() },
        Credentials::RegistryToken("secret".to_owned()),
    ];
    let (digest, repository) = (spec::Digest::sha256(b"blob"), repository("web"));
    for (index, credentials) in all.iter().enumerate() {
        let hmac = hmac_key(credentials).sign(&digest, &repository);
        let source = Source { digest: digest.clone(), repository: repository.clone(), hmac };
        let signers: Vec<usize> =
            (0..all.len()).filter(|other| hmac_key(&all[*other]).signed(&source)).collect();
        assert_eq!(signers, [index]);
    }
}

/// Only when the registry was asked it is known which parts are sent.
#[test]
fn a_removal_of_parts_leaves_what_a_push_may_send() {
    let fixture = Fixture::new(&["web tags=web:1"]);
    let (store, id) = (fixture.store(), fixture.id("web"));
    let [config, layer] = ["{}", "layer"].map(|text| VerifiedBlob::of_bytes(text.into()));
    let described = |blob: &VerifiedBlob| {
        let digest = blob.digest().clone();
        Descriptor::new("application/octet-stream".into(), digest, blob.size())
    };
    let manifest = serde_json::json!({
        "schemaVersion": 2, "config": described(&config), "layers": [described(&layer)],
    });
    let manifest = VerifiedBlob::of_bytes(manifest.to_string().into());
    let blobs = vec![config, layer, manifest.clone()];
    let digests: Vec<Digest> = blobs.iter().map(|blob| blob.digest().clone()).collect();
    let image = NewImage {
        config: store.image(&id).unwrap().unwrap().config.bytes().clone(),
        id: id.clone(),
        manifests: Vec::new(),
        parts: vec![described(&manifest).into()],
    };
    let commit = Commit { blobs, image: Some(image), ..Commit::default() };
    store.commit(&store.lease().unwrap(), commit).unwrap();
    let here = || digests.iter().filter(|it| store.blob(it).unwrap().is_some()).count();
    let lease = store.reading_lease().unwrap();
    hold(store, &lease, &id).unwrap();
    store.remove_parts(&id, std::slice::from_ref(manifest.digest())).unwrap();
    assert_eq!(here(), 3);
    drop(lease);
    assert_eq!(here(), 0);
}
