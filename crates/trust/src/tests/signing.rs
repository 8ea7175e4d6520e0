//! Signatures that are made here.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::world::{Always, Memory, NAME, World, image};
use crate::{Cache, Change, KeyStore, Publisher, Role, Server, TrustError, update};

const RELEASED: [Role; 2] = [Role::RELEASES, Role::TARGETS];

/// A server that signs what is new, as notary's does, and whoever publishes there.
struct Owner {
    world: World,
    cache: Cache,
    keys: KeyStore<Always>,
}

impl Owner {
    async fn new() -> Owner {
        let mut world = World::new();
        world.now = Timestamp::now();
        for (role, key) in [(Role::TIMESTAMP, &world.timestamp), (Role::SNAPSHOT, &world.snapshot)]
        {
            let bytes = serde_json::to_vec(key.public()).unwrap();
            world.server.keys.lock().unwrap().insert(role, bytes);
        }
        let cache = world.cache().await;
        let keys = KeyStore::new(world.directory.path(), Always("passphrase"));
        Owner { world, cache, keys }
    }

    fn publisher(&self) -> Publisher<'_, Memory, Always> {
        let server = &self.world.server;
        Publisher { server, cache: &self.cache, keys: &self.keys, repository: NAME }
    }

    async fn update(&self) -> crate::Repository {
        update(&self.world.server, &self.cache, NAME, Timestamp::now(), false).await.unwrap()
    }

    /// Has the server take over what was published.
    fn take(&mut self, documents: &mut BTreeMap<Role, Vec<u8>>) {
        documents.extend(std::mem::take(&mut *self.world.server.taken.lock().unwrap()));
        self.world.server.put("root", &documents[&Role::ROOT]);
        let documents: Vec<_> =
            documents.iter().map(|(role, bytes)| (role.clone(), bytes.clone())).collect();
        self.world.seal(&documents);
        self.world.version += 1;
    }

    async fn publish(&mut self, changes: &[Change], documents: &mut BTreeMap<Role, Vec<u8>>) {
        self.publisher().publish(None, changes).await.unwrap();
        self.take(documents);
    }
}

fn add(role: Role, tag: &str, byte: u8) -> Change {
    Change::Add { role, tag: tag.to_owned(), meta: image(byte) }
}

#[tokio::test]
async fn a_repository_is_made_signed_delegated_and_revoked() {
    let mut owner = Owner::new().await;
    let mut documents = BTreeMap::new();
    let root = owner.keys.create("root", "").await.unwrap().public().id();
    let initialized = owner.publisher().initialize(&root).await.unwrap();
    let changes = [add(Role::TARGETS, "1", 1)];
    owner.publisher().publish(Some(initialized), &changes).await.unwrap();
    owner.take(&mut documents);
    let known = owner.update().await;
    assert_eq!(known.target("1", &RELEASED).unwrap().meta, image(1));
    assert_eq!(known.signable("1", &owner.keys).unwrap(), [Role::TARGETS]);

    // A signer of one's own.
    let ann = owner.keys.create("ann", "").await.unwrap().public().clone();
    let roles = [Role::of_signer("ann"), Role::RELEASES];
    let delegate =
        roles.clone().map(|role| Change::AddDelegation { role, keys: vec![ann.clone()] });
    owner.publish(&delegate, &mut documents).await;
    let known = owner.update().await;
    assert_eq!(known.signable("2", &owner.keys).unwrap(), roles);
    owner.publish(&roles.clone().map(|role| add(role, "2", 2)), &mut documents).await;
    let known = owner.update().await;
    assert_eq!(known.target("2", &RELEASED).unwrap().role, Role::RELEASES);
    assert_eq!(known.signatures(&Role::RELEASES)[0].keyid, ann.id());

    // Without a key of any signer there is nothing to sign with.
    let elsewhere = tempfile::tempdir().unwrap();
    let none = KeyStore::new(elsewhere.path(), Always("passphrase"));
    assert!(matches!(known.signable("2", &none), Err(TrustError::NoSignableRole)));
    let stranger = Publisher { keys: &none, ..owner.publisher() };
    let error = stranger.publish(None, &[add(Role::TARGETS, "3", 3)]).await.unwrap_err();
    assert!(matches!(error, TrustError::NoKeys(_)), "{error}");

    let revoke = |role| Change::Remove { role, tag: "2".to_owned() };
    owner.publish(&roles.clone().map(revoke), &mut documents).await;
    let known = owner.update().await;
    assert!(known.target("2", &RELEASED).is_err());
    let keys = vec![ann.id()];
    let remove = [
        Change::RemoveKeys { role: Role::RELEASES, keys },
        Change::RemoveDelegation { role: Role::of_signer("ann") },
    ];
    owner.publish(&remove, &mut documents).await;
    let known = owner.update().await;
    assert_eq!(known.delegations().unwrap().len(), 1, "releases are left, without keys");
    assert!(known.delegations().unwrap()[0].keys.is_empty());
    assert!(matches!(known.signable("2", &owner.keys), Err(TrustError::NoSignableRole)));
}

/// The disk is tried before anybody can know of what is signed.
#[tokio::test]
async fn what_cannot_be_kept_is_not_published() {
    let owner = Owner::new().await;
    let root = owner.keys.create("root", "").await.unwrap().public().id();
    let initialized = owner.publisher().initialize(&root).await.unwrap();
    let folder = owner.world.directory.path().join("tuf").join(NAME).join("metadata");
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "").unwrap();
    let error = owner.publisher().publish(Some(initialized), &[]).await.unwrap_err();
    assert!(matches!(error, TrustError::File { .. }), "{error}");
    assert!(owner.world.server.taken.lock().unwrap().is_empty());
    // On a disk that takes it, it is there afterwards.
    std::fs::remove_file(&folder).unwrap();
    let initialized = owner.publisher().initialize(&root).await.unwrap();
    owner.publisher().publish(Some(initialized), &[]).await.unwrap();
    assert!(folder.join("root.json").exists() && folder.join("targets.json").exists());
}

/// The canonical form is no JSON where a text has line ends.
#[tokio::test]
async fn texts_with_line_ends_are_published_as_json() {
    let mut world = World::new();
    world.releases(&["a\r\n-b"], &[("a\r\n-b1", 2)]);
    world.write();
    let repository = world.update().await.unwrap();
    assert_eq!(repository.target("a\r\n-b1", &RELEASED).unwrap().meta, image(2));
}

#[tokio::test]
async fn keys_are_kept_behind_their_passphrase() {
    let directory = tempfile::tempdir().unwrap();
    let keys = KeyStore::new(directory.path(), Always("passphrase"));
    let id = keys.create("targets", NAME).await.unwrap().public().id();
    let path = directory.path().join(format!("private/{id}.key"));
    let text = std::fs::read_to_string(&path).unwrap();
    let head = format!("-----BEGIN ENCRYPTED PRIVATE KEY-----\ngun: {NAME}\nrole: targets\n\n");
    assert!(text.starts_with(&head), "{text}");
    let opened = KeyStore::new(directory.path(), Always("passphrase"));
    assert_eq!(opened.key(&id).await.unwrap().public().id(), id);
    let wrong = KeyStore::new(directory.path(), Always("other"));
    assert!(matches!(wrong.key(&id).await, Err(TrustError::Passphrase)));
    // A key under another's name is not that other's.
    let other = "0".repeat(64);
    std::fs::copy(&path, path.with_file_name(format!("{other}.key"))).unwrap();
    assert!(matches!(opened.key(&other).await, Err(TrustError::KeyNotFound(_))));
    assert!(matches!(opened.key("../x").await, Err(TrustError::KeyNotFound(_))));
    assert_eq!(Memory::default().location(), "n.example:4443");
}
