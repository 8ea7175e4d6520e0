//! Telling a blocking thread that nobody wants its work any more: it cannot be stopped otherwise.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{EngineError, Result};

/// Cancels when it is dropped, as the future is that holds it.
#[derive(Debug)]
pub(crate) struct CancelOnDrop(Arc<AtomicBool>);

/// The end of the flag that the thread looks at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cancelled(Arc<AtomicBool>);

impl CancelOnDrop {
    pub(crate) fn new() -> (Self, Cancelled) {
        let flag = Arc::new(AtomicBool::new(false));
        (Self(Arc::clone(&flag)), Cancelled(flag))
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Cancelled {
    /// Says whether nobody wants the work any more.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Fails once it is cancelled.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_set() {
            return Err(EngineError::Cancelled);
        }
        Ok(())
    }

    /// Makes a source that ends with an error once it is cancelled.
    pub(crate) fn guard<R: Read>(self, source: R) -> Cancellable<R> {
        Cancellable { source, cancelled: self }
    }
}

/// A source that ends with an error once nobody wants the bytes any more.
#[derive(Debug)]
pub(crate) struct Cancellable<R> {
    source: R,
    cancelled: Cancelled,
}

impl<R: Read> Read for Cancellable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancelled.is_set() {
            return Err(io::Error::other("cancelled"));
        }
        self.source.read(buffer)
    }
}
