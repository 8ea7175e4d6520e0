//! Bodies of requests: documents, and files that are sent while they are read.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body, Frame};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::error::{CliError, in_go_words};

/// A body that is sent while it is made.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

/// Bytes that are read at once.
const CHUNK: usize = 256 * 1024;
/// Chunks that wait to be sent.
const WAITING: usize = 4;

/// A file or pipe that is sent: its name, for messages, and how much of it was read.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    name: String,
    read: Arc<AtomicU64>,
    /// True if it is made of the files of a directory.
    is_folder: bool,
    /// The failure that broke it off, if one did.
    failure: Arc<OnceLock<String>>,
    /// The size of a file.
    pub(crate) size: Option<u64>,
    /// The token of a file that was handed over: there is nothing to send.
    pub(crate) handed: Option<String>,
}

impl Source {
    /// Returns it with the size of a file; a pipe has none.
    pub(crate) fn of_size(self, size: Option<u64>) -> Source {
        Source { size, ..self }
    }

    /// Returns it as that of a directory, whose files are sent.
    pub(crate) fn of_folder(self) -> Source {
        Source { is_folder: true, ..self }
    }

    /// Returns the number of bytes that were read so far.
    pub(crate) fn so_far(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Says of a failure that it is the source that failed, or looks like its end, and where.
    pub(crate) fn explain(&self, error: CliError) -> CliError {
        // The request only tells that its body broke off.
        if let Some(failure) = self.failure.get() {
            return CliError::Refused(failure.clone());
        }
        let (name, size) = (self.name.clone(), self.so_far());
        if size == 0 && error.is_about_nothing() {
            let hint =
                format!("nothing came from {name}: it is empty, or what was to write it failed");
            return CliError::Advised { error: Box::new(error), hint };
        }
        if !error.is_truncation() {
            return error;
        }
        if self.is_folder {
            let hint =
                format!("a file in {name} is not complete: copy the directory here once more");
            return CliError::Advised { error: Box::new(error), hint };
        }
        CliError::Truncated { error: Box::new(error), name, size }
    }
}

/// Makes a body of what a file or pipe gives.
pub(crate) fn body_of(
    mut source: impl Read + Send + 'static,
    name: impl Into<String>,
) -> (RequestBody, Source) {
    let name = name.into();
    let what = name.clone();
    body_by(name, move |feed| {
        loop {
            let chunk = read(&mut source).map_err(|error| {
                io::Error::new(error.kind(), format!("read {what}: {}", in_go_words(&error)))
            })?;
            if chunk.is_empty() || !feed.blocking_send(chunk) {
                return Ok(());
            }
        }
    })
}

/// Makes the empty body of a file that was handed over.
pub(super) fn handed_over(token: String, name: String, size: u64) -> (RequestBody, Source) {
    let (read, handed) = (Arc::new(size.into()), Some(token));
    let (failure, is_folder) = (Arc::default(), false);
    let source = Source { name, read, is_folder, failure, size: Some(size), handed };
    (Empty::new().map_err(|never| match never {}).boxed_unsync(), source)
}

/// Makes a body of what `work` sends; its failure breaks the request off.
///
/// It runs on a thread of its own: nothing can take back a blocking read, so it must not hold the runtime, nor keep
/// a signal from ending the command. It is to end when a chunk cannot be sent, as the body was dropped.
pub(crate) fn body_by(
    name: impl Into<String>,
    work: impl FnOnce(&Feed) -> io::Result<()> + Send + 'static,
) -> (RequestBody, Source) {
    let (feed, body, source) = Feed::new(name);
    std::thread::spawn(move || {
        if let Err(error) = work(&feed) {
            feed.note(&error);
            let _ = feed.sender.blocking_send(Err(error));
        }
    });
    (body, source)
}

/// The end of a body that bytes are put into.
#[derive(Debug)]
pub(crate) struct Feed {
    sender: Sender<io::Result<Bytes>>,
    read: Arc<AtomicU64>,
    failure: Arc<OnceLock<String>>,
}

impl Feed {
    /// Makes a body that is called `name` in messages.
    pub(crate) fn new(name: impl Into<String>) -> (Feed, RequestBody, Source) {
        let (sender, receiver) = channel(WAITING);
        let (read, failure) = (Arc::default(), Arc::default());
        let (name, is_folder) = (name.into(), false);
        let source = Source { name, read, is_folder, failure, size: None, handed: None };
        let (read, failure) = (Arc::clone(&source.read), Arc::clone(&source.failure));
        let feed = Feed { sender, read, failure };
        (feed, Upload(receiver).boxed_unsync(), source)
    }

    /// Sends a chunk; false if nobody wants it any more.
    pub(crate) fn blocking_send(&self, chunk: Bytes) -> bool {
        self.read.fetch_add(chunk.len() as u64, Ordering::Relaxed);
        self.sender.blocking_send(Ok(chunk)).is_ok()
    }

    /// As [`Self::blocking_send`], within the runtime; an error breaks the request off.
    pub(crate) async fn send(&self, chunk: io::Result<Bytes>) -> bool {
        match &chunk {
            Ok(chunk) => _ = self.read.fetch_add(chunk.len() as u64, Ordering::Relaxed),
            Err(error) => self.note(error),
        }
        self.sender.send(chunk).await.is_ok()
    }

    fn note(&self, error: &io::Error) {
        // The first one counts.
        let _ = self.failure.set(error.to_string());
    }
}

fn read(source: &mut impl Read) -> io::Result<Bytes> {
    let mut chunk = BytesMut::zeroed(CHUNK);
    loop {
        match source.read(&mut chunk) {
            Ok(length) => {
                chunk.truncate(length);
                return Ok(chunk.freeze());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

struct Upload(Receiver<io::Result<Bytes>>);

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = ready!(self.0.poll_recv(context));
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hints::{Subject, hint};

    /// Gives a byte, then fails.
    struct Failing(bool);

    impl Read for Failing {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(io::Error::other("torn"));
            }
            buffer[0] = b'x';
            Ok(1)
        }
    }

    #[tokio::test]
    async fn what_is_read_is_sent_and_a_failure_is_no_end() {
        let content: Vec<u8> = (0..600_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let (body, source) = body_of(io::Cursor::new(content.clone()), "x.tar");
        assert_eq!(body.collect().await.unwrap().to_bytes(), content);
        let told = source.explain(CliError::Stream("unexpected EOF".to_owned()));
        assert_eq!(told.to_string(), "unexpected EOF");
        let advice = hint(&told, &Subject::default()).unwrap();
        assert!(advice.contains("x.tar ends after 600000 bytes"), "{advice}");
        let other = source.explain(CliError::Stream("no such file".to_owned()));
        assert_eq!(hint(&other, &Subject::default()), None);

        let (body, source) = body_of(Failing(false), "x.tar");
        assert_eq!(body.collect().await.unwrap_err().to_string(), "read x.tar: torn");
        let told = source.explain(CliError::Stream("unexpected EOF".to_owned()));
        assert_eq!(told.to_string(), "read x.tar: torn");
    }
}
