//! The work of this process on layers, by stage: what a user on another machine can tell, and which stage is the limit there.
//!
//! As the kernel's own counters they are of the process and only grow. Each thread adds what it has used when it ends.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// Stage of unpacking, on a thread of its own where the layer is worth it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Compressed bytes are read, hashed and inflated. Counted: compressed bytes.
    Inflate,
    /// The tar is hashed. Counted: its bytes.
    Hash,
    /// The tar is parsed and its tar-split written, and files are made. Counted: entries.
    Apply,
    /// Small files are made. Counted: files.
    SmallFiles,
}

/// The work of a stage so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Work {
    /// The processor's time.
    pub cpu: Duration,
    /// Units that were worked on, of the stage's own kind.
    pub count: u64,
}

impl Step {
    /// All of them, in the order in which a layer goes through.
    pub const ALL: [Self; 4] = [Self::Inflate, Self::Hash, Self::Apply, Self::SmallFiles];

    /// Returns what this process has done so far. What small layers cost, which are done on one thread, is in `Apply`.
    pub fn work(self) -> Work {
        let counter = self.counter();
        Work {
            cpu: Duration::from_nanos(counter.nanoseconds.load(Ordering::Relaxed)),
            count: counter.count.load(Ordering::Relaxed),
        }
    }

    /// Begins to measure this thread; what it uses until the meter is dropped is the stage's.
    pub(crate) fn meter(self) -> Meter {
        Meter { step: self, began: thread_time() }
    }

    /// Adds to what was worked on.
    pub(crate) fn count(self, count: u64) {
        self.counter().count.fetch_add(count, Ordering::Relaxed);
    }

    fn counter(self) -> &'static Counter {
        match self {
            Self::Inflate => &COUNTERS[0],
            Self::Hash => &COUNTERS[1],
            Self::Apply => &COUNTERS[2],
            Self::SmallFiles => &COUNTERS[3],
        }
    }
}

static COUNTERS: [Counter; 4] = [const { Counter::new() }; 4];

struct Counter {
    nanoseconds: AtomicU64,
    count: AtomicU64,
}

impl Counter {
    const fn new() -> Self {
        Self { nanoseconds: AtomicU64::new(0), count: AtomicU64::new(0) }
    }
}

/// The time of a thread that works for a stage.
pub(crate) struct Meter {
    step: Step,
    began: u64,
}

impl Drop for Meter {
    fn drop(&mut self) {
        let used = thread_time().saturating_sub(self.began);
        self.step.counter().nanoseconds.fetch_add(used, Ordering::Relaxed);
    }
}

/// Nanoseconds that the processor gave to this thread.
fn thread_time() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stage_counts_what_its_threads_use() {
        let before = Step::SmallFiles.work();
        let meter = Step::SmallFiles.meter();
        let end = thread_time() + 1_000_000;
        while thread_time() < end {}
        drop(meter);
        Step::SmallFiles.count(3);
        let after = Step::SmallFiles.work();
        assert!(after.cpu >= before.cpu + Duration::from_millis(1));
        assert!(after.count >= before.count + 3);
    }
}
