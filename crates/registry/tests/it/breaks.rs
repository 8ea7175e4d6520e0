//! Connections that are cut again and again.

use bytes::Bytes;
use futures_util::stream;
use registry::{Access, Breaks, Credentials};
use spec::{Digest, Repository};
use test_support::proxy::Proxy;
use test_support::servers::{DockerRegistry, installed};

use crate::support::{client, content};

const SIZE: u64 = 8 << 20;

/// Docker's registry drops an upload of which a request was cut.
#[tokio::test(flavor = "multi_thread")]
async fn where_each_connection_is_cut_an_upload_comes_to_its_end_in_small_parts() {
    if !installed(&["docker-registry"]) {
        println!("skipped: needs docker-registry");
        return;
    }
    let registry = DockerRegistry::builder().start().unwrap();
    let proxy = Proxy::start_cutting(registry.address(), 3 << 20).unwrap();
    let name = Repository::parse_familiar(&format!("{}/me/app", proxy.address())).unwrap();
    let remote = client().remote(&name, &Credentials::Anonymous, Access::Push).await.unwrap();
    let bytes = Bytes::from(content(SIZE as usize));
    let digest = Digest::sha256(&bytes);
    let mut breaks = Breaks::default();
    let mut sizes = Vec::new();
    let upload = 'upload: loop {
        assert!(sizes.len() < 20, "no progress: {sizes:?}");
        let mut upload = remote.start_upload().await.unwrap();
        while upload.offset() < SIZE {
            let offset = upload.offset();
            let part = upload.part(SIZE - offset, breaks);
            sizes.push(part >> 20);
            let piece = bytes.slice(offset as usize..(offset + part) as usize);
            if let Err(error) = upload.append(stream::iter([Ok(piece)]), Some(part)).await {
                breaks.count(&error);
                continue 'upload;
            }
        }
        break upload;
    };
    let mut upload = upload;
    upload.finish(&digest).await.unwrap();
    assert_eq!(sizes, [8, 8, 4, 2, 2, 2, 2]);
    let stored = registry.client().get(&format!("/v2/me/app/blobs/{digest}")).unwrap();
    assert_eq!(stored.body, bytes);
}
