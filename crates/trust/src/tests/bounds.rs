//! Bounds: what a server, a file or another process may cost.

use std::time::Duration;

use rustix::fs::{CWD, Mode, mkfifoat};

use super::world::{Always, NAME, World, image};
use crate::metadata::{Delegation, Delegations, Keys};
use crate::repository::{Restricted, restrict};
use crate::{Cache, KeyStore, Role};

const RELEASED: [Role; 2] = [Role::RELEASES, Role::TARGETS];

/// As many paths as there may be, which a server compares with as many, cost no more than to read them.
#[tokio::test]
async fn many_paths_are_compared_in_order() {
    let mut world = World::new();
    let paths: Vec<String> = (0..20_000).map(|number| format!("{number:05}-")).collect();
    let named: Vec<&str> = paths.iter().map(String::as_str).collect();
    world.releases(&named, &[("00007-x", 7), ("7", 8)]);
    world.write();
    let repository = world.update().await.unwrap();
    assert_eq!(repository.target("00007-x", &RELEASED).unwrap().meta, image(7));
    assert!(repository.target("7", &RELEASED).is_err());
    let role = Restricted::new(Role::RELEASES, named);
    let below: Vec<String> = paths.iter().map(|path| format!("{path}a")).collect();
    let mut document = world.targets_document(&[], Delegations::default());
    document.delegations.roles.push(Delegation {
        keys: Keys { keyids: Vec::new(), threshold: 1 },
        name: Role::new("targets/releases/a"),
        paths: below.iter().chain(["x".to_owned(), String::new()].iter()).cloned().collect(),
    });
    let children = restrict(&role, &document);
    assert!(children[0].may_sign("00007-a-1") && children[0].may_sign("19999-a"));
    assert!(!children[0].may_sign("00007-b") && !children[0].may_sign("x"));
}

#[test]
fn a_beginning_of_a_tag_is_found_among_others() {
    let role = Restricted::new(Role::RELEASES, vec!["b", "ab", "a", "abc", "bc", "b", "é"]);
    for (tag, may) in [
        ("a", true),
        ("abd", true),
        ("az", true),
        ("b", true),
        ("bd", true),
        ("", false),
        ("A", false),
        ("c", false),
        ("é1", true),
        ("e", false),
    ] {
        assert_eq!(role.may_sign(tag), may, "{tag}");
    }
    assert!(!Restricted::new(Role::RELEASES, Vec::new()).may_sign(""));
}

/// Each document is in bounds, and all of them together are not.
#[tokio::test]
async fn documents_have_a_size_in_common() {
    let mut world = World::new();
    let long: &'static str = Box::leak("x".repeat(400 << 10).into_boxed_str());
    for signer in ["a", "b"] {
        world.delegate(Role::of_signer(signer), &[""], &[(long, 1)]);
    }
    world.write();
    world.update().await.unwrap();
    world.delegate(Role::of_signer("c"), &[""], &[(long, 1)]);
    world.version = 2;
    world.write();
    world.server.forget();
    let said = world.refusal().await;
    let expected = "type metadata invalid: all documents together have more than 1 MiB";
    assert!(said.ends_with(expected), "{said}");
    assert!(!world.server.forget().iter().any(|name| name.starts_with("targets/c.")));
}

#[tokio::test]
async fn only_regular_files_are_opened() {
    let world = World::new();
    world.write();
    world.update().await.unwrap();
    let path = world.directory.path().join("tuf").join(NAME).join("metadata/root.json");
    std::fs::remove_file(&path).unwrap();
    let mode = Mode::RUSR | Mode::WUSR;
    mkfifoat(CWD, &path, mode).unwrap();
    assert_eq!(world.refusal().await, format!("{}: not a regular file", path.display()));
    let keys = world.directory.path().join("private");
    std::fs::create_dir_all(&keys).unwrap();
    mkfifoat(CWD, keys.join("abc.key"), mode).unwrap();
    let keys = KeyStore::new(world.directory.path(), Always("passphrase"));
    assert!(keys.list().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn who_has_the_cache_is_told_and_waited_for() {
    let world = World::new();
    let held = world.cache().await;
    let told = std::sync::Mutex::new(String::new());
    let open = || {
        let tell = |holder: &str| holder.clone_into(&mut told.lock().unwrap());
        Cache::open(world.directory.path(), NAME, tell)
    };
    // Whoever waits can be stopped, and the next one gets it when it is free.
    let waiting = tokio::time::timeout(Duration::from_mins(1), open()).await;
    assert!(waiting.is_err());
    let own = format!("(process {})", std::process::id());
    assert!(told.lock().unwrap().ends_with(&own), "{told:?}");
    drop(held);
    open().await.unwrap();
}
