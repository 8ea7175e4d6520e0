//! Files of Longshore's own as another version may have written them; `docs/design/data-root.md` says what becomes of each.

use std::fs;

use spec::{Digest, Repository};

use super::support::{Root, Sample, assert_sound};
use crate::files;

#[test]
fn files_of_another_version_are_read_as_the_page_says() {
    let root = Root::packed();
    let (old, new) = (Sample::new("old:1", &["a", "b"]), Sample::new("new:1", &["c"]));
    old.pull(&root.store).unwrap();
    let longshore = root.store.paths().longshore().to_owned();

    // A name that means nothing here is left alone.
    let unknown = longshore.join("journal-2");
    fs::create_dir(&unknown).unwrap();
    fs::write(unknown.join("0"), "of a newer version").unwrap();
    // A lease of a dead process: what is known of it is done, and the rest says nothing.
    let stray = Digest::sha256(b"stray");
    fs::write(root.store.paths().blob(&stray), b"stray").unwrap();
    let lease = root.store.paths().leases().join("0123456789abcdef");
    let kept = old.blob(0);
    fs::write(&lease, format!("rely on blob {kept}\nforget blob {kept}\npending blob {stray}\n"))
        .unwrap();
    // A note of a mount with more in it than this version writes.
    let mount = root.store.paths().mount_notes().join("fedcba9876543210");
    fs::create_dir(&mount).unwrap();
    let boot = files::read_text("/proc/sys/kernel/random/boot_id".as_ref()).unwrap().unwrap();
    let note = format!(
        r#"{{"image":"{}","layer":null,"directory":"/mnt","boot":"{boot}","namespace":"mnt:[0]","idmap":7}}"#,
        old.id()
    );
    fs::write(mount.join("note"), note).unwrap();
    // A catalog whose digest is right, of images with one more field each.
    let body =
        format!(r#"{{"layers":[],"images":[["{}",null,null,[],"more"]],"version":2}}"#, old.id());
    let newer_catalog = format!("{}\n{body}", Digest::sha256(body.as_bytes()));
    fs::write(root.store.paths().catalog(), &newer_catalog).unwrap();
    // The place of an upload in other words.
    let here = Repository::parse_familiar("registry.corp/app").unwrap();
    let mut upload = root.store.take_upload(&here, &stray).unwrap().unwrap();
    upload.remember("{\"url\":\"https://registry.corp/1\"}").unwrap();
    drop(upload);

    let store = root.reopen();
    assert!(unknown.join("0").exists() && !lease.exists());
    assert!(store.blob(&stray).unwrap().is_none() && store.blob(&kept).unwrap().is_some());
    let mounts = store.mounts().unwrap();
    assert_eq!(mounts.iter().map(|mount| &mount.image).collect::<Vec<_>>(), [&old.id()]);
    assert_eq!(store.describe_images().unwrap()[0].layers, old.chain());
    assert_ne!(fs::read_to_string(store.paths().catalog()).unwrap(), newer_catalog);
    // It is the registry that says no to such a place.
    let upload = store.take_upload(&here, &stray).unwrap().unwrap();
    assert_eq!(upload.place(), Some("{\"url\":\"https://registry.corp/1\"}"));
    drop(upload);
    fs::remove_dir_all(&mount).unwrap();
    new.pull(&store).unwrap();
    assert_sound(&store);
    assert!(unknown.join("0").exists());
}

#[test]
fn a_download_whose_state_is_of_another_version_begins_anew() {
    let root = Root::packed();
    let bytes = vec![7; 10_000];
    let digest = Digest::sha256(&bytes);
    let state = root.store.paths().partial(&digest).with_extension("state");
    let begin = || {
        let lease = root.store.lease().unwrap();
        let ingest = root.store.ingest(&lease, &digest, bytes.len() as u64).unwrap();
        let present = ingest.present();
        if present < 5_000 {
            ingest.writer(0..5_000).unwrap().write(&bytes[..5_000]).unwrap();
        }
        present
    };
    assert_eq!((begin(), begin()), (0, 5_000));
    let mut newer = fs::read(&state).unwrap();
    assert_eq!(&newer[..8], b"LSINGST1");
    newer[7] = b'2';
    fs::write(&state, newer).unwrap();
    assert_eq!((begin(), begin()), (0, 5_000));
    assert_eq!(&fs::read(&state).unwrap()[..8], b"LSINGST1");
}
