//! The progress of copies, and their sums, in words.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use api::message::{Message, ProgressDetail};
use copy::{Changes, Conversion, Copied, Event, Images, Outcome, Report, Source, Summary};
use spec::go::{PROGRESS_DIGITS, human_bytes};
use spec::{Digest, counted};

use crate::error::CliError;
use crate::render::{Display, ImageOutcome, TICK};

/// The time between two pictures of the same blob: more often no eye sees.
const PICTURE: Duration = Duration::from_millis(100);

/// Shows blobs, a line each, where their progress is shown at all; and lines about images.
pub(crate) struct Painter(Mutex<Canvas>);

struct Canvas {
    display: Display,
    /// The blobs on their way, and when each was drawn.
    drawn: HashMap<Digest, Instant>,
}

impl Painter {
    pub(crate) fn new(display: Display) -> Arc<Painter> {
        Arc::new(Painter(Mutex::new(Canvas { display, drawn: HashMap::new() })))
    }

    fn canvas(&self) -> MutexGuard<'_, Canvas> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn report(self: Arc<Self>) -> Arc<Report> {
        Arc::new(move |event: &Event<'_>| {
            let mut canvas = self.canvas();
            // In pipes a line about each of thousands of blobs is for who asks.
            if canvas.display.wants_facts() {
                canvas.paint(event);
            }
        })
    }

    /// Waits for work, and shows how time passes.
    pub(crate) async fn while_it<T>(&self, works: impl Future<Output = T>) -> Result<T, CliError> {
        let mut works = std::pin::pin!(works);
        loop {
            match tokio::time::timeout(TICK, &mut works).await {
                Ok(done) => return Ok(done),
                Err(_) => self.canvas().display.tick()?,
            }
        }
    }

    /// Shows a line about an image.
    pub(crate) fn say(&self, text: &str) -> Result<(), CliError> {
        self.canvas().display.say(text)
    }

    /// Tells what became of an image.
    pub(crate) fn tell_image(&self, image: &ImageOutcome<'_>) -> Result<(), CliError> {
        let display = &mut self.canvas().display;
        if display.tell_image(image)? { Ok(()) } else { display.say(image.text) }
    }

    /// Tells programs of an image that failed. People are told at the end.
    pub(crate) fn tell_failed(&self, image: &ImageOutcome<'_>) -> Result<(), CliError> {
        self.canvas().display.tell_image(image).map(|_| ())
    }

    /// Shows a line that a user waits for who wants to see nothing else, too.
    pub(crate) fn warn(&self, text: String) -> Result<(), CliError> {
        self.canvas().display.show(&Message { note: Some(text), ..Message::default() })
    }

    /// Tells of images that have no tag, where all tags are copied.
    pub(crate) fn tell_untagged(&self, found: &Images<Source>) -> Result<(), CliError> {
        found.untagged.iter().try_for_each(|image| {
            self.warn(format!("WARNING: {image}: the image has no tag there, and is not copied"))
        })
    }

    /// Ends the display. The command has said itself what was moved.
    pub(crate) fn finish(&self, ended: Result<(), CliError>) -> Result<(), CliError> {
        let display = &mut self.canvas().display;
        display.sums_are_told();
        display.finish(ended.map(|()| None))
    }
}

impl Canvas {
    fn paint(&mut self, event: &Event<'_>) {
        let (blob, status, detail) = match event {
            Event::Document { .. } | Event::Referrer { .. } => return,
            Event::Compressed { layer, made } => {
                self.drawn.remove(&layer.digest);
                let status = format!("Compressed as {}", made.digest.short());
                (layer, status, ProgressDetail::default())
            }
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
        // Who has closed the terminal does not look any more.
        let _ = self.display.show(&Message::layer(blob.digest.short(), status, detail));
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

/// Says why a copy has another digest than its source.
pub(crate) fn note(copied: &Copied, conversion: Option<Conversion>) -> Option<String> {
    let (converted, conversion) = (copied.converted.as_ref()?, conversion?);
    let Changes { layers, retyped, attestations, left } = converted.changes;
    let mut why = Vec::new();
    if let Some(encoding) = conversion.encoding().filter(|_| layers > 0) {
        why.push(format!(
            "{} by {encoding}",
            counted(layers, "layer compressed/layers compressed")
        ));
    }
    if let Some(format) = conversion.format().filter(|_| retyped > 0) {
        why.push(format!("{} of {format} types", counted(retyped, "document")));
    }
    if attestations > 0 {
        why.push(format!("{} still of the old digests", counted(attestations, "attestation")));
    }
    if left > 0 {
        why.push(format!(
            "{} left as they are",
            counted(left, "manifest of no image/manifests of no images")
        ));
    }
    let (from, why) = (&converted.from, why.join(", "));
    Some(if converted.is_guess {
        format!("Note: the digest would change from {from}: {why}")
    } else {
        format!("Note: the digest changed from {from} to {}: {why}", copied.digest)
    })
}

/// Says what was moved and what was not.
pub(crate) fn totals(summary: &Summary, elapsed: Duration, is_dry: bool) -> String {
    let Summary { bytes, copied, existed, mounted, referrers } = *summary;
    let size = human_bytes(bytes, PROGRESS_DIGITS);
    let blobs = counted(copied, "blob");
    let seconds = elapsed.as_secs_f64();
    let moved = if is_dry { "would move" } else { "moved" };
    let referrers = match referrers {
        0 => String::new(),
        some => format!(", {}", counted(some, "referrer")),
    };
    format!(
        "{moved} {size} in {blobs}, {existed} already there, {mounted} mounted{referrers}, in {seconds:.1}s"
    )
}
