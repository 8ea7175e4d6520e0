//! Registries that break off.

use test_support::scripted::{Answer, Scripted};
use test_support::servers::LocalRegistry;

use super::support::{accept, copy, image, offer};

#[tokio::test]
async fn a_source_that_breaks_off_is_asked_for_the_rest() {
    let (a, b) = (Scripted::start().await.unwrap(), LocalRegistry::start().unwrap());
    let image = image(2, 3_000_000);
    offer(&a, &image);
    let layer = &image.layers[1].blob;
    let (path, bytes) = (format!("/v2/app/blobs/{}", layer.digest), layer.read().unwrap());
    let mut cut = Some(1_300_000);
    a.reply("GET", &path, move |request| {
        let Some(range) = request.header("range") else {
            let whole = Answer::status(200).body(bytes.clone());
            return match cut.take() {
                Some(cut) => whole.cut_after(cut),
                None => whole,
            };
        };
        let start: usize = range["bytes=".len()..].split('-').next().unwrap().parse().unwrap();
        let said = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
        Answer::status(206).header("content-range", said).body(bytes[start..].to_vec())
    });
    let to = format!("{}/copy:1", b.address());
    copy(&format!("{}/app:1", a.host()), &to).await.unwrap();
    let asked: Vec<_> =
        a.received().iter().filter(|request| request.path() == path).cloned().collect();
    assert_eq!(asked.len(), 2);
    assert!(asked[1].header("range").unwrap().starts_with("bytes="), "only the rest is asked for");
    let stored = b.client().get(&format!("/v2/copy/blobs/{}", layer.digest)).unwrap();
    assert_eq!(stored.body, layer.read().unwrap());
}

#[tokio::test]
async fn an_upload_that_breaks_off_goes_on_from_what_the_registry_has() {
    let (a, b) = (LocalRegistry::start().unwrap(), Scripted::start().await.unwrap());
    let image = image(2, 3_000_000);
    image.push(&a.client(), "app", "1").unwrap();
    accept(&b);
    let layer = &image.layers[1].blob;
    let here = "/v2/copy/blobs/uploads/1";
    let accepted = Answer::status(202).header("location", here);
    let kept = 1_100_000;
    let range = format!("0-{}", kept - 1);
    b.on("PATCH", here, [Answer::hang_up_in_request(kept), accepted]);
    b.on("GET", here, [Answer::status(204).header("location", here).header("range", range)]);
    copy(&format!("{}/app:1", a.address()), &format!("{}/copy:1", b.host())).await.unwrap();
    let received = b.received();
    let parts: Vec<_> = received.iter().filter(|request| request.method == "PATCH").collect();
    assert_eq!(parts.len(), 2);
    let mut whole = parts[0].body[..kept].to_vec();
    whole.extend_from_slice(&parts[1].body);
    assert_eq!(whole, layer.read().unwrap(), "each byte is sent once");
    let said = format!("{kept}-{}", layer.size - 1);
    assert_eq!(parts[1].header("content-range"), Some(&*said));
}

#[tokio::test]
async fn an_upload_that_always_breaks_off_goes_on_in_small_parts() {
    let (a, b) = (LocalRegistry::start().unwrap(), Scripted::start().await.unwrap());
    let image = image(2, 3_000_000);
    image.push(&a.client(), "app", "1").unwrap();
    accept(&b);
    let here = "/v2/copy/blobs/uploads/1";
    // A proxy that cuts what is large, and a registry that drops what was cut.
    b.reply("PATCH", here, move |request| match request.body.len() {
        ..2_000_000 => Answer::status(202).header("location", here),
        _ => Answer::status(502).header("retry-after", "0"),
    });
    copy(&format!("{}/app:1", a.address()), &format!("{}/copy:1", b.host())).await.unwrap();
    let received = b.received();
    let parts = received.iter().filter(|request| request.method == "PATCH");
    let parts: Vec<_> = parts.map(|request| request.body.len()).collect();
    let size = usize::try_from(image.layers[1].blob.size).unwrap();
    let last = size - (2 << 20);
    assert_eq!(parts, [size, size, size, 2 << 20, 1 << 20, 1 << 20, last]);
}
