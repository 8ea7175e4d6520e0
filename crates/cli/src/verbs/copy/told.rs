//! The progress of copies, and their sums, in words.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::message::{Message, ProgressDetail};
use copy::{Event, Outcome, Report, Summary};
use spec::Digest;
use spec::go::{PROGRESS_DIGITS, human_size};

use crate::render::Progress;
use crate::{output, terminal};

/// The time between two pictures of the same blob: more often no eye sees.
const PICTURE: Duration = Duration::from_millis(100);

/// Shows blobs at a terminal, a line each; anything else gets nothing of them.
pub(crate) struct Painter(Option<Mutex<Canvas>>);

struct Canvas {
    progress: Progress,
    /// The blobs on their way, and when each was drawn.
    drawn: HashMap<Digest, Instant>,
}

impl Painter {
    pub(crate) fn new(quiet: bool) -> Painter {
        let canvas = || Canvas { progress: Progress::new(true), drawn: HashMap::new() };
        Painter((!quiet && terminal::writes_terminal()).then(|| Mutex::new(canvas())))
    }

    pub(crate) fn report(self: Arc<Self>) -> Arc<Report> {
        Arc::new(move |event: &Event<'_>| {
            if let Some(canvas) = &self.0 {
                canvas.lock().unwrap_or_else(PoisonError::into_inner).paint(event);
            }
        })
    }
}

impl Canvas {
    fn paint(&mut self, event: &Event<'_>) {
        let (blob, status, detail) = match event {
            Event::Document { .. } => return,
            Event::Sent { blob, bytes } => {
                let now = Instant::now();
                let drawn = self.drawn.get(&blob.digest);
                if drawn.is_some_and(|drawn| now.duration_since(*drawn) < PICTURE) {
                    return;
                }
                self.drawn.insert(blob.digest.clone(), now);
                (blob, "Copying".to_owned(), ProgressDetail::bytes(*bytes, blob.size))
            }
            Event::Blob { blob, outcome } => {
                self.drawn.remove(&blob.digest);
                (blob, status(outcome), ProgressDetail::default())
            }
        };
        let message = Message::layer(blob.digest.short(), status, detail);
        // Who has closed the terminal does not look any more.
        let _ = output::print_drawn(&self.progress.draw(&message, terminal::width()));
    }
}

fn status(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Copied => "Copied".to_owned(),
        Outcome::Exists => "Already exists".to_owned(),
        Outcome::Mounted(repository) => format!("Mounted from {repository}"),
        Outcome::LeftToItsUrls => "Left to its own URLs".to_owned(),
    }
}

/// Says what was moved and what was not.
pub(crate) fn totals(summary: &Summary, elapsed: Duration, is_dry: bool) -> String {
    let Summary { bytes, copied, existed, mounted } = *summary;
    let size = human_size(i64::try_from(bytes).unwrap_or(i64::MAX), PROGRESS_DIGITS);
    let blobs = if copied == 1 { "blob" } else { "blobs" };
    let seconds = elapsed.as_secs_f64();
    let moved = if is_dry { "would move" } else { "moved" };
    format!(
        "{moved} {size} in {copied} {blobs}, {existed} already there, {mounted} mounted, in {seconds:.1}s"
    )
}
