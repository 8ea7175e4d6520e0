//! Telling a blocking thread that nobody wants its work any more: it cannot be stopped otherwise.

use std::io::{self, Read, Write};
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

    /// Makes a source or a sink that fails once it is cancelled.
    pub(crate) fn guard<T>(self, inner: T) -> Cancellable<T> {
        Cancellable { inner, cancelled: self }
    }
}

/// A source or a sink that fails once nobody wants the bytes any more.
#[derive(Debug)]
pub(crate) struct Cancellable<T> {
    inner: T,
    cancelled: Cancelled,
}

impl<T> Cancellable<T> {
    fn inner(&mut self) -> io::Result<&mut T> {
        if self.cancelled.is_set() {
            return Err(io::Error::other("cancelled"));
        }
        Ok(&mut self.inner)
    }
}

impl<R: Read> Read for Cancellable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner()?.read(buffer)
    }
}

impl<W: Write> Write for Cancellable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner()?.flush()
    }
}
