//! Attacks: what a server, or somebody in its place, may try.

use super::world::{NAME, World, certificate, days, image, key, signed};
use crate::metadata::{FileMeta, Listing, Signed};
use crate::{Role, TrustError};

const RELEASED: [Role; 2] = [Role::RELEASES, Role::TARGETS];
const SUSPECT: &str = "Warning: potential malicious behavior - trust data";

fn world() -> World {
    let world = World::new();
    world.write();
    world
}

#[tokio::test]
async fn a_repository_is_read_and_then_costs_one_request() {
    let mut world = World::new();
    world.releases(&[""], &[("2", 2)]);
    world.delegate(Role::of_signer("bob"), &[""], &[("2", 2), ("3", 3)]);
    world.write();
    let repository = world.update().await.unwrap();
    assert_eq!(repository.target("2", &RELEASED).unwrap().role, Role::RELEASES);
    assert_eq!(repository.target("1", &RELEASED).unwrap().meta, image(1));
    let tags: Vec<String> =
        repository.targets(&RELEASED).into_iter().map(|target| target.name).collect();
    assert_eq!(tags, ["1", "2", "3"]);
    assert_eq!(world.server.forget().len(), 6);
    world.update().await.unwrap();
    assert_eq!(world.server.forget(), ["timestamp"]);
    // Of what changed, only that is fetched.
    world.version = 2;
    world.write();
    let targets = world.update().await.unwrap().targets(&RELEASED);
    assert_eq!(targets.len(), 3);
    assert_eq!(world.server.forget().len(), 5, "all but the root");
}

#[tokio::test]
async fn an_older_timestamp_is_refused() {
    let mut world = world();
    let before = world.server.bytes("timestamp");
    world.version = 2;
    world.write();
    world.update().await.unwrap();
    world.server.put("timestamp", &before);
    assert_eq!(
        world.refusal().await,
        format!(
            "{SUSPECT} version is lower than expected for remote repository {NAME}: version 1 is lower than current version 2"
        )
    );
}

#[tokio::test]
async fn an_older_snapshot_behind_a_newer_timestamp_is_refused() {
    let mut world = world();
    let before = world.snapshot_meta();
    world.version = 2;
    world.write();
    world.update().await.unwrap();
    world.version = 3;
    let timestamp = world.timestamp_document(before);
    let keys = [(&*world.timestamp, world.timestamp.public().id())];
    world.server.put("timestamp", &signed(timestamp, &keys));
    assert!(world.refusal().await.contains("version 1 is lower than current version 2"));
}

#[tokio::test]
async fn older_releases_below_the_same_targets_are_refused() {
    let mut world = World::new();
    world.releases(&[""], &[("1", 1)]);
    world.write();
    let (_, root) = world.server.hashed("root");
    let (_, targets) = world.server.hashed("targets");
    let (_, older) = world.server.hashed("targets/releases");
    world.server.files.lock().unwrap().clear();
    world.version = 2;
    world.write();
    let (_, newer) = world.server.hashed("targets/releases");
    let sealed = |releases| {
        [(Role::ROOT, root.clone()), (Role::TARGETS, targets.clone()), (Role::RELEASES, releases)]
    };
    world.seal(&sealed(newer));
    world.update().await.unwrap();
    world.version = 3;
    world.seal(&sealed(older));
    let refusal = world.refusal().await;
    assert!(refusal.contains("version 1 is lower than current version 2"), "{refusal}");
}

#[tokio::test]
async fn releases_that_a_snapshot_leaves_out_are_missed() {
    let mut world = World::new();
    world.releases(&[""], &[("1", 2)]);
    world.write();
    assert_eq!(world.update().await.unwrap().target("1", &RELEASED).unwrap().meta, image(2));
    let (_, root) = world.server.hashed("root");
    let (_, targets) = world.server.hashed("targets");
    // Without them the tag would be what the owner signed before there were any.
    world.version = 2;
    world.seal(&[(Role::ROOT, root), (Role::TARGETS, targets)]);
    for _ in 0..2 {
        let said = world.refusal().await;
        let expected =
            "snapshot type metadata invalid: targets/releases was in an earlier one and is missing";
        assert_eq!(said, expected);
    }
    // The owner may let somebody else sign, who has not yet.
    world.version = 3;
    world.signers[0].key = key();
    let targets = world.targets_document(&world.tags, world.delegations());
    let targets = signed(targets, &[(&world.targets, world.targets.public().id())]);
    let root = world.server.bytes("root");
    world.seal(&[(Role::ROOT, root), (Role::TARGETS, targets)]);
    assert_eq!(world.update().await.unwrap().target("1", &RELEASED).unwrap().meta, image(1));
}

#[tokio::test]
async fn an_expired_timestamp_is_refused() {
    let mut world = World::new();
    world.days = -2;
    world.write();
    assert_eq!(
        world.refusal().await,
        format!(
            "Error: remote repository {NAME} out-of-date: timestamp expired at Thu Nov 26 12:00:00 UTC 2026"
        )
    );
}

#[tokio::test]
async fn a_server_that_keeps_still_is_refused_in_time() {
    let world = world();
    world.update().await.unwrap();
    *world.server.down.lock().unwrap() = true;
    let repository = world.update_at(days(world.now, 13)).await.unwrap();
    assert!(repository.warnings[0].contains("using cached timestamp"), "{:?}", repository.warnings);
    let error = world.update_at(days(world.now, 15)).await.unwrap_err().about(NAME);
    // What was asked for last is the root, and nobody was there.
    assert_eq!(error, "Error: error contacting notary server: dial tcp: connection refused");
    *world.server.down.lock().unwrap() = false;
    let error = world.update_at(days(world.now, 15)).await.unwrap_err().about(NAME);
    assert!(error.contains("out-of-date: timestamp expired at Sat Dec 12"), "{error}");
}

#[tokio::test]
async fn the_root_of_another_repository_is_refused() {
    let mut world = World::new();
    world.certificate = certificate(&world.root, "r.example:5000/me/other", world.now);
    world.write();
    assert_eq!(
        world.refusal().await,
        format!(
            "{SUSPECT} mismatch for remote repository {NAME}: could not validate the path to a trusted root: unable to retrieve valid leaf certificates"
        )
    );
    // A certificate may be for all of an owner's.
    world.certificate = certificate(&world.root, "r.example:5000/me/*", world.now);
    world.write();
    world.update().await.unwrap();
}

#[tokio::test]
async fn a_root_without_the_former_keys_is_refused() {
    let mut world = world();
    world.update().await.unwrap();
    world.rotate(false);
    (world.targets, world.timestamp, world.snapshot) = (key(), key(), key());
    world.tags = vec![("1", 9)];
    world.write();
    assert_eq!(
        world.refusal().await,
        format!(
            "{SUSPECT} mismatch for remote repository {NAME}: could not rotate trust to a new trusted root: failed to validate data with current trusted certificates"
        )
    );
}

#[tokio::test]
async fn roots_are_followed_from_each_to_the_next() {
    let mut world = world();
    world.update().await.unwrap();
    for _ in 0..3 {
        world.rotate(true);
        world.timestamp = key();
        world.write();
    }
    world.update().await.unwrap();
    assert_eq!(world.cache().await.root(1 << 20).unwrap().unwrap(), world.server.bytes("root"));
    let asked = world.server.forget();
    assert!(asked.contains(&"2.root".to_owned()) && asked.contains(&"3.root".to_owned()));
    // Without one in between they lead nowhere.
    let mut world = self::world();
    world.update().await.unwrap();
    for _ in 0..2 {
        world.rotate(true);
        world.timestamp = key();
        world.write();
    }
    world.server.put("2.root", &world.server.bytes("3.root"));
    assert!(world.refusal().await.contains("could not rotate trust to a new trusted root"));
}

#[tokio::test]
async fn one_signature_is_not_two() {
    let mut world = World::new();
    world.targets_threshold = 2;
    world.write();
    let expected = format!(
        "{SUSPECT} has insufficient signatures for remote repository {NAME}: valid signatures did not meet threshold for targets"
    );
    assert_eq!(world.refusal().await, expected);
    // Nor is the same key by two certificates.
    let one = certificate(&world.targets, "a", world.now);
    let other = certificate(&world.targets, "b", world.now);
    let mut root = world.root_document();
    let ids = vec![one.id(), other.id()];
    root.roles.get_mut(&Role::TARGETS).unwrap().keyids.clone_from(&ids);
    root.keys.extend([(one.id(), one), (other.id(), other)]);
    let root = signed(root, &[(&*world.root, world.certificate.id())]);
    world.server.put("root", &root);
    let (_, targets) = world.server.hashed("targets");
    let targets = Signed::<crate::metadata::Targets>::read(&targets, &Role::TARGETS).unwrap();
    let keys = ids.map_each(|id| (&*world.targets, id));
    let targets = signed(targets.document, &keys);
    world.seal(&[(Role::ROOT, root), (Role::TARGETS, targets)]);
    assert_eq!(world.refusal().await, expected);
}

trait MapEach<T> {
    fn map_each<U>(self, map: impl FnMut(T) -> U) -> Vec<U>;
}

impl<T> MapEach<T> for Vec<T> {
    fn map_each<U>(self, map: impl FnMut(T) -> U) -> Vec<U> {
        self.into_iter().map(map).collect()
    }
}

#[tokio::test]
async fn other_targets_than_announced_are_refused() {
    let world = world();
    let (name, bytes) = world.server.hashed("targets");
    let hash = name.strip_prefix("targets.").unwrap();
    let text = String::from_utf8(bytes).unwrap();
    world.server.put(&name, text.replace("523", "524").as_bytes());
    let expected = format!("sha256 checksum for targets did not match: expected {hash}");
    assert_eq!(world.refusal().await, expected);
    // Nor is more of it read than was announced.
    world.server.put(&name, format!("{text} ").as_bytes());
    assert_eq!(world.refusal().await, "trust server returned a bad response.");
}

#[tokio::test]
async fn a_delegation_signs_nothing_beyond_its_paths() {
    let mut world = World::new();
    world.releases(&["ok-"], &[("ok-1", 1), ("evil", 6)]);
    world.write();
    let repository = world.update().await.unwrap();
    assert_eq!(repository.target("ok-1", &RELEASED).unwrap().role, Role::RELEASES);
    let error = repository.target("evil", &RELEASED).unwrap_err();
    assert_eq!(error.about(NAME), "No valid trust data for evil");
    let listed = |targets: Vec<crate::Target>| targets.iter().any(|target| target.name == "evil");
    assert!(!listed(repository.targets(&RELEASED)));
    assert!(!listed(repository.all_targets(None).unwrap()));
    assert!(matches!(repository.all_targets(Some("evil")), Err(TrustError::NoSuchTarget(_))));
}

#[tokio::test]
async fn a_delegation_that_nobody_made_counts_for_nothing() {
    let world = world();
    // It is in the snapshot, and good by itself.
    let mut other = World::new();
    other.releases(&[""], &[("1", 9)]);
    other.write();
    let (_, releases) = other.server.hashed("targets/releases");
    let (root, targets) = (world.server.bytes("root"), world.server.hashed("targets").1);
    world.seal(&[(Role::ROOT, root), (Role::TARGETS, targets), (Role::RELEASES, releases)]);
    let repository = world.update().await.unwrap();
    assert_eq!(repository.target("1", &RELEASED).unwrap().meta, image(1));
}

#[tokio::test]
async fn a_delegation_with_too_few_signatures_is_passed_over() {
    let mut world = World::new();
    world.releases(&[""], &[("1", 9)]);
    world.signers[0].threshold = 2;
    world.write();
    let repository = world.update().await.unwrap();
    assert_eq!(repository.target("1", &RELEASED).unwrap().meta, image(1));
    let expected = "Error getting targets/releases: valid signatures did not meet threshold for targets/releases";
    assert_eq!(repository.warnings, [expected]);
}

#[tokio::test]
async fn a_tag_of_another_role_is_not_released() {
    let mut world = World::new();
    world.delegate(Role::of_signer("bob"), &[""], &[("2", 2)]);
    world.write();
    let target = world.update().await.unwrap().target("2", &RELEASED).unwrap();
    assert!(!target.role.is_released(), "{target:?}");
}

#[tokio::test]
async fn what_is_no_document_is_refused() {
    let world = world();
    let good = world.server.bytes("timestamp");
    let text = String::from_utf8(good.clone()).unwrap();
    for (bytes, expected) in [
        (&good[..good.len() - 7], "unexpected end of JSON input"),
        (b"<html>hello</html>", "invalid character '<' looking for beginning of value"),
        (
            text.replacen("\"version\":1", "\"version\":1,\"version\":1", 1).as_bytes(),
            "the key \"version\" stands twice at line 1 column",
        ),
        (
            text.replacen("Timestamp", "Snapshot", 1).as_bytes(),
            "timestamp type metadata invalid: expected type Timestamp, not Snapshot",
        ),
        (b"{}", "missing field `signed` at line 1 column 2"),
    ] {
        world.server.put("timestamp", bytes);
        let said = world.refusal().await;
        assert!(said.starts_with(expected), "{said}");
        // Of what cannot be read it is said where it is.
        let is_syntax = !expected.contains("metadata invalid");
        assert_eq!(said.ends_with(" in timestamp.json of n.example:4443"), is_syntax, "{said}");
    }
    world.server.put("timestamp", &good);
    world.server.put("root", b"<html>");
    let other = World { directory: tempfile::tempdir().unwrap(), ..world };
    assert!(other.refusal().await.starts_with("invalid character '<'"));
}

#[tokio::test]
async fn signatures_are_over_the_canonical_form() {
    let world = world();
    let document = world.timestamp_document(world.snapshot_meta());
    let good = Signed::<Listing>::unsigned(document.clone()).unwrap();
    // The same document, as another program may write it.
    let message = serde_json::to_string_pretty(&document).unwrap();
    let (method, sig) = world.timestamp.sign(message.as_bytes()).unwrap();
    let id = world.timestamp.public().id();
    let envelope = |sig: Vec<u8>| {
        let sig = serde_json::to_string(&crate::Bytes(sig)).unwrap();
        format!(
            r#"{{"signatures":[{{"keyid":"{id}","method":"{method}","sig":{sig}}}],"signed":{message}}}"#
        )
    };
    world.server.put("timestamp", envelope(sig).as_bytes());
    assert!(world.refusal().await.contains("did not meet threshold for timestamp"));
    // White space is nothing that a signature is about.
    let (_, sig) = world.timestamp.sign(&good.message).unwrap();
    world.server.put("timestamp", envelope(sig).as_bytes());
    world.update().await.unwrap();
}

#[tokio::test]
async fn a_key_has_the_id_that_it_is_listed_under() {
    let world = world();
    let mut root = world.root_document();
    let id = world.timestamp.public().id();
    // Whoever has the other key would sign in the name of this one.
    let other = key();
    root.keys.insert(id.clone(), other.public().clone());
    let root = signed(root, &[(&*world.root, world.certificate.id())]);
    world.server.put("root", &root);
    let document = world.timestamp_document(world.snapshot_meta());
    world.server.put("timestamp", &signed(document, &[(&other, id)]));
    assert_eq!(world.refusal().await, "key ID is not valid for key content");
}

#[tokio::test]
async fn signatures_of_strangers_count_for_nothing() {
    let world = world();
    let document = world.timestamp_document(world.snapshot_meta());
    let stranger = key();
    let own = (&*stranger, stranger.public().id());
    world.server.put("timestamp", &signed(document.clone(), std::slice::from_ref(&own)));
    assert!(world.refusal().await.contains("did not meet threshold for timestamp"));
    let posing = (&*stranger, world.timestamp.public().id());
    world.server.put("timestamp", &signed(document.clone(), &[own, posing]));
    assert!(world.refusal().await.contains("did not meet threshold for timestamp"));
    world.server.put("timestamp", &signed(document, &[]));
    assert_eq!(world.refusal().await, "tuf: data has no signatures");
}

#[tokio::test]
async fn what_is_trusted_is_not_forgotten() {
    let world = world();
    world.update().await.unwrap();
    let path = world.directory.path().join("tuf").join(NAME).join("metadata/root.json");
    let good = std::fs::read(&path).unwrap();
    // A root that cannot be read is no reason to trust the next best.
    std::fs::write(&path, &good[..100]).unwrap();
    let expected = format!("unexpected end of JSON input in {}", path.display());
    assert_eq!(world.refusal().await, expected);
    std::fs::write(&path, &good).unwrap();
    world.update().await.unwrap();
    // Other documents are only copies.
    std::fs::write(path.with_file_name("snapshot.json"), b"{").unwrap();
    world.update().await.unwrap();
    // A repository that is gone is told of.
    world.server.files.lock().unwrap().clear();
    let repository = world.update_at(days(world.now, 1)).await.unwrap();
    assert_eq!(repository.warnings.len(), 1);
    let fresh = World { directory: tempfile::tempdir().unwrap(), ..world };
    assert_eq!(
        fresh.refusal().await,
        format!(
            "Error: remote trust data does not exist for {NAME}: n.example:4443 does not have trust data for {NAME}"
        )
    );
}

#[tokio::test]
async fn an_expired_root_that_is_known_leads_to_the_next() {
    for honest in [true, false] {
        let mut world = World::new();
        world.root_days = 100;
        world.write();
        world.update().await.unwrap();
        world.now = days(world.now, 101);
        world.days = 200;
        let error = world.refusal().await;
        assert!(error.contains("out-of-date: root expired at"), "{error}");
        world.rotate(honest);
        world.write();
        match world.update().await {
            Ok(_) => assert!(honest),
            Err(error) => {
                assert!(!honest);
                assert!(error.to_string().contains("could not rotate trust"), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_past_its_time_is_no_root() {
    let world = world();
    world.update().await.unwrap();
    let error = world.update_at(days(world.now, 3651)).await.unwrap_err();
    assert!(error.to_string().contains("unable to retrieve valid leaf certificates"), "{error}");
}

#[test]
fn checksums_are_needed() {
    let meta = FileMeta::of(b"x");
    crate::metadata::check_hashes(b"x", &Role::ROOT, &meta.hashes).unwrap();
    let none = crate::metadata::Hashes::new();
    let error = crate::metadata::check_hashes(b"x", &Role::ROOT, &none).unwrap_err();
    assert_eq!(error.to_string(), "no checksums for supported algorithms were provided for root");
}
