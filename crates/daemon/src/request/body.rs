//! Request bodies of routes that take none.

use std::time::Duration;

use http::HeaderMap;
use http::header::EXPECT;
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;

/// The most that is read of a body that nobody wants; what Go reads.
const MAX_DISCARDED: usize = 256 * 1024;
/// The time for such a body to arrive.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a body that nobody wants, as far as that is cheap: a client that is still writing when the answer ends the
/// connection would see a broken pipe and not the answer.
pub(crate) async fn discard(headers: &HeaderMap, body: &mut Incoming) {
    // Who waits to be told to go on is told to stop by the answer.
    if headers.contains_key(EXPECT) {
        return;
    }
    let body = Limited::new(body, MAX_DISCARDED).collect();
    // What is wrong with a body that nobody wants is nobody's concern.
    let _ = tokio::time::timeout(DISCARD_TIMEOUT, body).await;
}
