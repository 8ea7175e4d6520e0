//! Connections whose other end reads nothing any more.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// The time that a client may read nothing of an answer that waits to be sent. Nothing waits while there is nothing to tell, so a
/// stream of events may be silent for as long as it likes; and whoever pauses a `save` to think has some minutes.
pub(crate) const WRITE_TIMEOUT: Duration = Duration::from_mins(15);

/// A connection that fails when what is written is not taken for too long.
#[derive(Debug)]
pub(crate) struct WriteTimeout<I> {
    io: I,
    limit: Duration,
    /// Runs while something waits to be taken.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<I> WriteTimeout<I> {
    pub(crate) fn new(io: I, limit: Duration) -> Self {
        Self { io, limit, timer: None }
    }

    /// Passes an answer of the connection on, or fails when it has been `Pending` for too long.
    fn watch<T>(
        &mut self,
        context: &mut Context<'_>,
        answer: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if answer.is_ready() {
            self.timer = None;
            return answer;
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(context));
        let text = format!("the client took nothing for {} seconds", limit.as_secs());
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, text)))
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for WriteTimeout<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let answer = Pin::new(&mut self.io).poll_write(context, bytes);
        self.watch(context, answer)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let answer = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.watch(context, answer)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let answer = Pin::new(&mut self.io).poll_flush(context);
        self.watch(context, answer)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let answer = Pin::new(&mut self.io).poll_shutdown(context);
        self.watch(context, answer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::*;

    const LIMIT: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_given_up_and_who_is_told_nothing_is_not() {
        let (ours, mut theirs) = duplex(4);
        let mut ours = WriteTimeout::new(ours, LIMIT);
        // Silence on both sides.
        tokio::time::sleep(LIMIT * 10).await;
        ours.write_all(b"1234").await.unwrap();
        // Slow, but not standing still.
        let reading = async {
            for _ in 0..8 {
                tokio::time::sleep(LIMIT / 2).await;
                theirs.read_u8().await.unwrap();
            }
        };
        let (written, ()) = tokio::join!(ours.write_all(b"12345678"), reading);
        written.unwrap();
        let began = Instant::now();
        let error = ours.write_all(b"1").await.unwrap_err();
        assert_eq!(error.to_string(), "the client took nothing for 60 seconds");
        assert_eq!(began.elapsed(), LIMIT);
        assert_eq!(theirs.read_u8().await.unwrap(), b'5', "what was taken is there");
    }
}
