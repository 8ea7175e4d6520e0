//! Blobs from the registry to the disk.
//!
//! A download writes to an [`Ingest`], in several ranges at once where the server can and the blob is large. It knows nothing of
//! layers: whoever needs the bytes reads the ingest file while it grows. An attempt fetches what is missing, so a
//! retry, and the first attempt of the next process, go on where the last one stopped.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_util::{StreamExt, TryStreamExt, stream::FuturesUnordered};
use registry::{Attempts, BlobStream, LEAST_BROUGHT, Recovery, RegistryError, Remote, Source};
use spec::Descriptor;
use store::{Ingest, Lease, SegmentWriter};
use tokio::sync::Semaphore;

use super::blob::{Blob, Download, Sources};
use super::watchers::{Watcher, Watchers};
use crate::engine::blocking;
use crate::error::Defect;
use crate::lock::lock;
use crate::{Engine, EngineError, LayerFacts, LayerState, Result};

/// Bytes that one request asks for. Large enough that a round trip is nothing beside it, small enough that the
/// prefix that is being unpacked grows steadily.
const SEGMENT: u64 = store::SEGMENT_SIZE;
/// Ranges of one blob that are in flight, whatever else is downloaded: a slow registry keeps none from another.
const RANGES: usize = 4;
/// Ranges of one blob at most, where other downloads leave some over. One TCP connection rarely fills a long link.
const MOST_RANGES: usize = 8;
/// Bytes that are collected before a write to the disk, per range in flight.
const WRITE_SIZE: usize = 256 << 10;
/// A chunk of this size is written as it is: to collect it would copy it, and take its memory once more for each range.
const LARGE_CHUNK: usize = 64 << 10;
/// The longest wait of bytes for more to be written with, on a slow link.
const WRITE_INTERVAL: Duration = Duration::from_secs(1);

impl Engine {
    /// Joins the download of a blob, or starts it.
    pub(crate) async fn download(
        &self,
        remote: &Remote,
        descriptor: &Descriptor,
        lease: &Arc<Lease>,
        watcher: Watcher,
    ) -> Result<Download> {
        let (engine, remote, lease) = (self.clone(), remote.clone(), Arc::clone(lease));
        let wanted = descriptor.clone();
        let prepare = |watchers: Arc<Watchers>| async move {
            let descriptor = wanted.clone();
            let ingest = engine
                .on_disk(move |store| Ok(store.ingest(&lease, &wanted.digest, wanted.size)?))
                .await?;
            let sources = Sources::default();
            let job = Job { engine, remote, descriptor, ingest: ingest.clone(), watchers, sources };
            let sources = Arc::clone(&job.sources);
            Ok((Blob::new(ingest, sources), job.run()))
        };
        self.0.downloads.start(descriptor.digest.clone(), watcher, prepare).await
    }
}

/// One download.
struct Job {
    engine: Engine,
    remote: Remote,
    descriptor: Descriptor,
    ingest: Ingest,
    watchers: Arc<Watchers>,
    sources: Sources,
}

/// Wakes the readers of an ingest when its download ends early, however it ends.
struct FailOnDrop(Option<Ingest>);

impl Drop for FailOnDrop {
    fn drop(&mut self) {
        if let Some(ingest) = &self.0 {
            ingest.fail("the download was cancelled");
        }
    }
}

impl Job {
    async fn run(self) -> Result<()> {
        let mut guard = FailOnDrop(Some(self.ingest.clone()));
        let result = self.attempts().await;
        guard.0 = None;
        if let Err(error) = &result {
            self.ingest.fail(error.message());
        }
        result
    }

    async fn attempts(&self) -> Result<()> {
        let network = self.engine.network();
        let _turn = self.watchers.turn(&network.downloads).await?;
        let present = Some(self.ingest.present());
        self.watchers.tell(&LayerFacts { present, ..LayerFacts::wanted(self.descriptor.size) });
        let mut attempts = Attempts::new(network.limits.attempts);
        loop {
            let missing_before = self.missing();
            let error = match self.fetch_missing(&network.extra_ranges).await {
                Ok(()) if self.missing() == 0 => break,
                // The server has turned out to know no ranges after all.
                Ok(()) if self.missing() < missing_before => continue,
                Ok(()) => {
                    let digest = &self.descriptor.digest;
                    return Err(EngineError::Internal(Defect::BlobEndedEarly(digest.clone())));
                }
                Err(Failure::Engine(error)) => return Err(error),
                Err(Failure::Registry(error)) => error,
                Err(Failure::Mirror(error)) => {
                    tracing::info!(%error, "a blob is fetched from somebody else");
                    continue;
                }
            };
            // An attempt that brought enough counts as a success: only a link that brings next to nothing is given up.
            attempts.brought(missing_before.saturating_sub(self.missing()));
            let retry = self.watchers.before_retry(error, &mut attempts).await;
            retry.map_err(EngineError::Registry)?;
        }
        self.watchers.report(LayerState::Downloaded);
        Ok(())
    }

    /// Returns how many bytes are not on the disk yet.
    fn missing(&self) -> u64 {
        self.descriptor.size - self.ingest.present()
    }

    /// Fetches what is not on the disk.
    async fn fetch_missing(&self, extra: &Semaphore) -> Result<(), Failure> {
        let mut segments = cut(&self.ingest.missing());
        let Some(first) = segments.pop_front() else { return Ok(()) };
        let begun = self.remote.blob(&self.descriptor, first.clone()).await?;
        if !begun.ranged {
            // The server knows no ranges: one stream brings all, and the writer skips what is here.
            return self.write_range(begun, 0..self.descriptor.size).await;
        }
        let queue = Mutex::new(segments);
        let next = || lock(&queue).pop_front();
        let follow = |mut current: Option<(Range<u64>, Option<BlobStream>)>| async move {
            while let Some((range, begun)) = current {
                let stream = match begun {
                    Some(begun) => begun,
                    None => self.remote.blob(&self.descriptor, range.clone()).await?,
                };
                if !stream.ranged {
                    // All at once from here on, and not once for each range.
                    while next().is_some() {}
                    return Ok(());
                }
                // A server may cut ranges: what comes is taken, and the rest is asked for.
                let end = stream.part.end.clamp(range.start, range.end);
                let source = stream.source.clone();
                self.write_range(stream, range.start..end).await?;
                self.refuse_crumbs(&range, end, &source)?;
                let rest = (end < range.end).then_some(end..range.end);
                current = rest.or_else(next).map(|range| (range, None));
            }
            Ok::<_, Failure>(())
        };
        // Nobody waits for a further range: who has one keeps it to the end.
        let further: Vec<_> =
            (RANGES..MOST_RANGES).map_while(|_| extra.try_acquire().ok()).collect();
        let mut all: FuturesUnordered<_> = (1..RANGES + further.len())
            .map_while(|_| next())
            .map(|range| follow(Some((range, None))))
            .collect();
        all.push(follow(Some((first, Some(begun)))));
        while let Some(result) = all.next().await {
            result?;
        }
        Ok(())
    }

    /// Takes a part that was cut to next to nothing for one that broke off there.
    fn refuse_crumbs(&self, range: &Range<u64>, end: u64, source: &Source) -> Result<(), Failure> {
        let (received, expected) = (end - range.start, range.end - range.start);
        if received == expected || received >= LEAST_BROUGHT {
            return Ok(());
        }
        let url = source.url.clone();
        let error = RegistryError::Truncated { url, received, expected };
        Err(if self.remote.pass_over(source) {
            Failure::Mirror(error)
        } else {
            Failure::Registry(error)
        })
    }

    /// Writes `range` from a stream that begins there.
    async fn write_range(&self, mut stream: BlobStream, range: Range<u64>) -> Result<(), Failure> {
        {
            let mut sources = lock(&self.sources);
            if !sources.contains(&stream.source) {
                let host = Some(stream.source.host().to_owned());
                self.watchers.tell(&LayerFacts { host, ..LayerFacts::default() });
                sources.push(stream.source.clone());
            }
        }
        let mut writer = self.ingest.writer(range.clone())?;
        let mut collected = BytesMut::new();
        let mut written = Instant::now();
        let mut wanted = range.end - range.start;
        let end = loop {
            match stream.try_next().await {
                Ok(Some(mut bytes)) => {
                    // Read to its end: only then its connection serves the next request, and only then a registry that sends too
                    // much is found out.
                    bytes.truncate(clamp(wanted, bytes.len()));
                    wanted -= bytes.len() as u64;
                    let is_large = bytes.len() >= LARGE_CHUNK;
                    if is_large || collected.len() + bytes.len() > WRITE_SIZE {
                        (writer, collected) = self.write(writer, collected).await?;
                        collected.clear();
                        written = Instant::now();
                    }
                    if is_large {
                        (writer, _) = self.write(writer, bytes).await?;
                    } else {
                        collected.extend_from_slice(&bytes);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => {
                    // A mirror that brings nothing, or what nobody asked for, would do so again.
                    let useless = wanted == range.end - range.start
                        || error.recovery() == Recovery::NextEndpoint;
                    break Err(if useless && self.remote.pass_over(&stream.source) {
                        Failure::Mirror(error)
                    } else {
                        Failure::Registry(error)
                    });
                }
            }
            if written.elapsed() >= WRITE_INTERVAL {
                (writer, collected) = self.write(writer, collected).await?;
                collected.clear();
                written = Instant::now();
            }
        };
        // What came before a failure counts as well.
        self.write(writer, collected).await?;
        end
    }

    async fn write<B: AsRef<[u8]> + Send + 'static>(
        &self,
        mut writer: SegmentWriter,
        bytes: B,
    ) -> Result<(SegmentWriter, B), Failure> {
        if bytes.as_ref().is_empty() {
            return Ok((writer, bytes));
        }
        let written = blocking(move || {
            writer.write(bytes.as_ref())?;
            Ok((writer, bytes))
        })
        .await?;
        let total = self.descriptor.size;
        self.watchers.report(LayerState::Downloading { current: self.ingest.present(), total });
        Ok(written)
    }
}

/// Returns `count`, or `length` if that is less.
fn clamp(count: u64, length: usize) -> usize {
    usize::try_from(count).map_or(length, |count| count.min(length))
}

/// Cuts ranges into requests.
fn cut(missing: &[Range<u64>]) -> VecDeque<Range<u64>> {
    let mut segments = VecDeque::new();
    for range in missing {
        let mut start = range.start;
        while start < range.end {
            let end = ((start / SEGMENT + 1) * SEGMENT).min(range.end);
            segments.push_back(start..end);
            start = end;
        }
    }
    segments
}

/// The end of an attempt: only a registry's failure may be worth another.
enum Failure {
    Registry(RegistryError),
    /// A mirror's failure: somebody else is asked now.
    Mirror(RegistryError),
    Engine(EngineError),
}

impl From<RegistryError> for Failure {
    fn from(error: RegistryError) -> Self {
        Self::Registry(error)
    }
}

impl From<store::StoreError> for Failure {
    fn from(error: store::StoreError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_end_at_multiples_of_a_segment() {
        let whole = |n: u64| n * SEGMENT;
        let ranges = |pairs: &[(u64, u64)]| pairs.iter().map(|(a, b)| *a..*b).collect::<Vec<_>>();
        for (missing, expected) in [
            (ranges(&[]), ranges(&[])),
            (ranges(&[(0, 10)]), ranges(&[(0, 10)])),
            (ranges(&[(5, whole(1) + 1)]), ranges(&[(5, whole(1)), (whole(1), whole(1) + 1)])),
            (
                ranges(&[(0, whole(2)), (whole(3) + 7, whole(4))]),
                ranges(&[(0, whole(1)), (whole(1), whole(2)), (whole(3) + 7, whole(4))]),
            ),
        ] {
            assert_eq!(Vec::from(cut(&missing)), expected, "{missing:?}");
        }
    }
}
