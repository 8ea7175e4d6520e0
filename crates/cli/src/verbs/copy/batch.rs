//! Many images, together.

use std::time::Instant;

use copy::{Conversion, Copied, Copier, Source, Target};
use futures_util::{StreamExt as _, stream};
use spec::Platform;

use super::told::{Painter, note, totals};
use crate::error::CliError;
use crate::render::ImageOutcome;

/// Images that are copied together. Hosts have budgets of their own; this bounds what is known of images at a time.
const AT_ONCE: usize = 16;

/// One image on its way.
pub(crate) struct Image<'a> {
    pub(crate) source: Source,
    pub(crate) target: Target,
    pub(crate) platforms: &'a [Platform],
    /// True if what refers to it is copied as well.
    pub(crate) referrers: bool,
    /// The changes that are asked for.
    pub(crate) conversion: Option<Conversion>,
}

/// Manner in which a command tells what it does.
#[derive(Clone, Copy)]
pub(crate) struct Manner<'p> {
    pub(crate) painter: &'p Painter,
    pub(crate) dry_run: bool,
    pub(crate) started: Instant,
}

impl Manner<'_> {
    /// Copies images, and tells of each and of all. The others go on where one fails; `failures` are some from before.
    pub(crate) async fn copy(
        self,
        carrier: &Copier,
        images: Vec<Image<'_>>,
        mut failures: Vec<CliError>,
    ) -> Result<(), CliError> {
        let count = images.len() + failures.len();
        let with_referrers = &carrier.with_referrers();
        let mut results = stream::iter(images)
            .map(|Image { source, target, platforms, referrers, conversion }| async move {
                let carrier = if referrers { with_referrers } else { carrier };
                let carrier = carrier.with_conversion(conversion);
                (carrier.copy(&source, &target, platforms).await, target, conversion)
            })
            .buffered(AT_ONCE);
        let (mut unchanged, mut targets) = (0, Vec::new());
        while let Some((result, target, conversion)) = self.painter.while_it(results.next()).await?
        {
            match result {
                Ok(copied) => {
                    unchanged += usize::from(copied.unchanged);
                    let done = if copied.unchanged { "up to date" } else { self.done() };
                    self.tell(&target, &copied, done, conversion)?;
                }
                Err(error) => {
                    let (image, text) = (target.to_string(), error.to_string());
                    let outcome = "failed";
                    let told = ImageOutcome { image: &image, digest: None, outcome, text: &text };
                    self.painter.tell_failed(&told)?;
                    failures.push(CliError::from(error));
                }
            }
            targets.push(target);
        }
        // An archive of several images ends once.
        for target in &targets {
            failures.extend(target.finish().await.err().map(CliError::from));
        }
        let (failed, done) = (failures.len(), self.done());
        let copied = count.saturating_sub(unchanged + failed);
        let moved = totals(&carrier.summary(), self.started.elapsed(), self.dry_run);
        let images = spec::counted(count, "image");
        self.painter.say(&format!(
            "{images}: {copied} {done}, {unchanged} up to date, {failed} failed; {moved}"
        ))?;
        if failures.is_empty() { Ok(()) } else { Err(CliError::Several(failures)) }
    }

    /// Says what becomes of an image that is not there.
    fn done(self) -> &'static str {
        if self.dry_run { "would be copied" } else { "copied" }
    }

    /// Tells of one image.
    pub(crate) fn tell(
        self,
        target: &dyn std::fmt::Display,
        copied: &Copied,
        done: &str,
        conversion: Option<Conversion>,
    ) -> Result<(), CliError> {
        let cut = if copied.cut { " (an index cut to these platforms)" } else { "" };
        let signed = if copied.signed { "; signed" } else { "" };
        let is_guess = copied.converted.as_ref().is_some_and(|converted| converted.is_guess);
        let digest = if is_guess {
            "known once its layers are compressed".to_owned()
        } else {
            copied.digest.to_string()
        };
        let outcome = match (copied.unchanged, self.dry_run) {
            (true, _) => "present",
            (false, true) => "planned",
            (false, false) => "copied",
        };
        let image = target.to_string();
        let text = format!("{image}: digest: {digest}{cut} {done}{signed}");
        let digest = (!is_guess).then_some(&*digest);
        self.painter.tell_image(&ImageOutcome { image: &image, digest, outcome, text: &text })?;
        match note(copied, conversion) {
            Some(note) => self.painter.say(&note),
            None => Ok(()),
        }
    }
}
