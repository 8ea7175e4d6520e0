//! A pull or push, run for as long as somebody waits for its answer.

use std::future::Future;
use std::time::Duration;

use api::message::{FACTS_HEADER, Message};
use bytes::Bytes;
use engine::{Progress, ProgressEvent, ProgressReceiver};
use futures_util::{FutureExt as _, Stream, StreamExt as _, stream};
use http::{HeaderMap, Response, StatusCode};
use tokio::task::{JoinError, JoinHandle};

use super::journal::Journal;
use super::words::{Ending, messages};
use crate::errors::HttpError;
use crate::response::{self, Body};

/// A wait that a user is told of at once, even if an error behind it has no HTTP status then.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// An operation of the engine and its reports. Dropping it cancels the operation.
///
/// The operation runs in a task of its own, so that a client that reads slowly does not slow it down; the engine bounds
/// the reports that wait.
pub(crate) struct Operation {
    progress: ProgressReceiver,
    state: State,
    /// True if the client asked for what is no line of docker's.
    tells_facts: bool,
    journal: Option<Journal>,
}

enum State {
    Running(JoinHandle<Result<Bytes, HttpError>>),
    /// The task is done; reports of it may still be unread.
    Done(Result<Bytes, HttpError>),
    Over,
}

/// The next thing that comes of an operation.
enum Step {
    Report(ProgressEvent),
    /// The lines of the result, or the error.
    Over(Result<Bytes, HttpError>),
}

impl Operation {
    /// Starts what `run` makes of a place to report to.
    pub(crate) fn start<F, T, E>(run: impl FnOnce(Progress) -> F) -> Self
    where
        F: Future<Output = Result<T, E>> + Send + 'static,
        T: Ending,
        HttpError: From<E>,
    {
        let (sender, progress) = Progress::channel();
        let work = run(sender);
        let task = tokio::spawn(async move { Ok(encoded(&work.await?.messages())) });
        Self { progress, state: State::Running(task), tells_facts: false, journal: None }
    }

    /// Writes a line into the log when it is over, or cancelled.
    pub(crate) fn logged(mut self, journal: Journal) -> Self {
        self.journal = Some(journal);
        self
    }

    /// Tells facts, too, if the request asks for them.
    pub(crate) fn asked_by(mut self, headers: &HeaderMap) -> Self {
        self.tells_facts = headers.contains_key(FACTS_HEADER);
        self
    }

    /// The answer once the first report or the end is there: an error before the first report is an HTTP error, a
    /// later one the last line of the stream.
    ///
    /// That a registry asks for a short wait is told with what comes after it: it would take the status from an error.
    pub(crate) async fn answer(mut self) -> Result<Response<Body>, HttpError> {
        let mut first = Vec::new();
        loop {
            match self.step().await {
                Some(Step::Report(event)) => {
                    let short =
                        matches!(&event, ProgressEvent::HeldOff(wait) if wait.left < LONG_WAIT);
                    first.extend_from_slice(&lines(event));
                    if !short {
                        break;
                    }
                }
                Some(Step::Over(Err(failure))) => return Err(failure),
                Some(Step::Over(Ok(lines))) => {
                    first.extend_from_slice(&lines);
                    break;
                }
                None => break,
            }
        }
        Ok(response::stream("application/json", self.lines(first.into())))
    }

    /// The answer at once: every error is a line of the stream.
    pub(crate) fn answer_now(self) -> Response<Body> {
        response::stream("application/json", self.lines(Bytes::new()))
    }

    /// The answer once there is something to tell, which an error is, too: a line of the stream.
    pub(crate) async fn answer_when_it_speaks(mut self) -> Response<Body> {
        let first = match self.step().await {
            Some(Step::Report(event)) => lines(event),
            Some(Step::Over(Err(failure))) => Message::error(failure.message).encode().into(),
            Some(Step::Over(Ok(lines))) => lines,
            None => Bytes::new(),
        };
        response::stream("application/json", self.lines(first))
    }

    fn lines(self, first: Bytes) -> impl Stream<Item = Bytes> + Send + 'static {
        let rest = stream::unfold(self, |mut operation| async move {
            let chunk = match operation.step().await? {
                Step::Report(event) => lines(event),
                Step::Over(Ok(lines)) => lines,
                Step::Over(Err(failure)) => Message::error(failure.message).encode().into(),
            };
            Some((chunk, operation))
        });
        // An empty chunk would end a chunked body.
        stream::iter([first]).chain(rest).filter(|chunk| std::future::ready(!chunk.is_empty()))
    }

    /// The next report that the client wants, then once the end, then nothing.
    async fn step(&mut self) -> Option<Step> {
        loop {
            let step = self.any_step().await;
            if let Some(journal) = &mut self.journal {
                match &step {
                    Some(Step::Report(event)) => journal.note(event),
                    Some(Step::Over(ended)) => journal.write(ended.as_ref().map(drop)),
                    None => {}
                }
            }
            match step {
                Some(Step::Report(ProgressEvent::Facts { .. })) if !self.tells_facts => {}
                step => return step,
            }
        }
    }

    async fn any_step(&mut self) -> Option<Step> {
        if let State::Running(task) = &mut self.state {
            tokio::select! {
                biased;
                Some(event) = self.progress.recv() => return Some(Step::Report(event)),
                result = task => self.state = State::Done(outcome(result)),
            }
        }
        // A shared transfer may outlive the operation and keep a sender: read what is there and wait for no more.
        if let Some(Some(event)) = self.progress.recv().now_or_never() {
            return Some(Step::Report(event));
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Done(result) => Some(Step::Over(result)),
            State::Running(_) | State::Over => None,
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let ended = match std::mem::replace(&mut self.state, State::Over) {
            State::Running(mut task) => {
                let ended = (&mut task).now_or_never().map(outcome);
                task.abort();
                ended
            }
            State::Done(ended) => Some(ended),
            State::Over => return,
        };
        let Some(journal) = &mut self.journal else { return };
        while let Some(Some(event)) = self.progress.recv().now_or_never() {
            journal.note(&event);
        }
        match ended {
            Some(ended) => journal.write(ended.as_ref().map(drop)),
            None => journal.write_cancelled(),
        }
    }
}

fn outcome(result: Result<Result<Bytes, HttpError>, JoinError>) -> Result<Bytes, HttpError> {
    match result {
        Ok(result) => result,
        Err(error) => {
            tracing::error!(%error, "an operation ended abnormally");
            Err(HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, "the operation ended abnormally"))
        }
    }
}

fn lines(event: ProgressEvent) -> Bytes {
    encoded(&messages(event))
}

fn encoded(messages: &[Message]) -> Bytes {
    messages.iter().flat_map(Message::encode).collect()
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;
    use tokio::sync::oneshot;

    use engine::EngineError;

    use super::*;

    fn report(url: &str) -> ProgressEvent {
        ProgressEvent::DownloadingFrom(url.to_owned())
    }

    async fn text(response: Response<Body>) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn an_error_has_a_status_until_the_first_report() {
        let failure =
            Operation::start(|_| async { Err::<(), _>(EngineError::PushDigest) }).answer().await;
        assert_eq!(failure.unwrap_err().message, "cannot push a digest reference");

        let operation = Operation::start(|progress| async move {
            progress.report(report("first"));
            Err::<(), _>(EngineError::PushDigest)
        });
        let expected = concat!(
            "{\"status\":\"Downloading from first\"}\r\n",
            "{\"error\":\"cannot push a digest reference\",",
            "\"errorDetail\":{\"message\":\"cannot push a digest reference\"}}\r\n",
        );
        assert_eq!(text(operation.answer().await.unwrap()).await, expected);

        let silent =
            Operation::start(|_| async { Err::<(), _>(EngineError::PushDigest) }).answer_now();
        assert!(text(silent).await.starts_with("{\"error\":"));
    }

    #[tokio::test]
    async fn a_short_wait_does_not_take_the_status_from_an_error() {
        let wait = |seconds| {
            let (host, status) = ("r:5000".to_owned(), "429 Too Many Requests".to_owned());
            let left = Duration::from_secs(seconds);
            ProgressEvent::HeldOff(engine::Wait { host, status, left })
        };
        let failing = |seconds| {
            Operation::start(move |progress| async move {
                progress.report(wait(seconds));
                Err::<(), _>(EngineError::PushDigest)
            })
        };
        assert!(failing(1).answer().await.is_err());
        let long = text(failing(60).answer().await.unwrap()).await;
        assert!(long.contains("r:5000 asks to wait 60 seconds (429 Too Many Requests)"), "{long}");
        assert!(long.contains("cannot push a digest reference"), "{long}");

        let short = Operation::start(move |progress| async move {
            progress.report(wait(1));
            progress.report(report("first"));
            Ok::<_, EngineError>(())
        });
        let short = text(short.answer().await.unwrap()).await;
        let expected = concat!(
            "{\"status\":\"Waiting, as it asks (429 Too Many Requests)\",",
            "\"progressDetail\":{\"total\":1,\"units\":\"seconds\"},\"id\":\"r:5000\",",
            "\"note\":\"r:5000 asks to wait 1 second (429 Too Many Requests)\"}\r\n",
            "{\"status\":\"Downloading from first\"}\r\n",
        );
        assert_eq!(short, expected);
    }

    #[tokio::test]
    async fn the_end_does_not_wait_for_who_still_could_report() {
        let (keep, kept) = oneshot::channel();
        let operation = Operation::start(|progress| async move {
            progress.report(report("first"));
            progress.report(report("last"));
            assert!(keep.send(progress.clone()).is_ok());
            Ok::<_, EngineError>(())
        });
        let all = text(operation.answer_now()).await;
        assert_eq!(
            all,
            "{\"status\":\"Downloading from first\"}\r\n{\"status\":\"Downloading from last\"}\r\n"
        );
        assert!(kept.await.is_ok());
    }

    #[tokio::test]
    async fn a_defect_is_an_error_and_not_a_silence() {
        let operation = Operation::start(|progress| {
            let defect = async move {
                progress.report(report("first"));
                panic!("a defect")
            };
            defect.map(|()| Ok::<_, EngineError>(()))
        });
        let all = text(operation.answer().await.unwrap()).await;
        assert!(
            all.ends_with("\"errorDetail\":{\"message\":\"the operation ended abnormally\"}}\r\n"),
            "{all}"
        );
    }

    #[tokio::test]
    async fn dropping_the_answer_cancels_the_operation() {
        let (alive, mut ended) = oneshot::channel::<()>();
        let operation = Operation::start(|progress| async move {
            let _alive = alive;
            progress.report(report("first"));
            std::future::pending::<Result<(), EngineError>>().await
        });
        let answer = operation.answer().await.unwrap();
        assert!(ended.try_recv() == Err(oneshot::error::TryRecvError::Empty), "it runs");
        drop(answer);
        assert!(ended.await.is_err(), "what the operation held is dropped");
    }
}
