//! The wait of a shell for what a word may become.

use std::future::Future;
use std::time::Duration;

/// The time that names of images, here or at a registry, may take: who waits longer has typed the name.
const PATIENCE: Duration = Duration::from_secs(2);

/// Waits for an answer, but not for long.
pub(super) fn patiently<T>(ask: impl Future<Output = Option<T>>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().ok()?;
    let found = runtime.block_on(async { tokio::time::timeout(PATIENCE, ask).await });
    runtime.shutdown_background();
    found.ok().flatten()
}
