//! Copies of images.

mod choice;
mod convert;
mod documents;
mod referrers;

use std::path::PathBuf;
use std::sync::Arc;

use spec::{Digest, Platform};

use self::choice::{Root, choose};
use self::convert::{Conversions, Rewritten};
use self::documents::Job;
use self::referrers::Referrers;
use crate::convert::Conversion;
use crate::document::Document;
use crate::error::Result;
use crate::progress::{Changes, Event, Summary};
use crate::sent::Sent;
use crate::shared::{Mode, Shared};
use crate::source::Source;
use crate::{CopyError, PrivateKey, Report, Target};

/// Copies images. All copies of one share the budgets of hosts, and what is known to be at a target.
#[derive(Clone, Debug)]
pub struct Copier {
    shared: Arc<Shared>,
    referrers: bool,
    conversion: Option<Conversion>,
    /// Signs each image at its target.
    key: Option<Arc<PrivateKey>>,
}

/// Result of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The digest of the image at the target.
    pub digest: Digest,
    /// True if the target had it under that name, and nothing of it had to be sent.
    pub unchanged: bool,
    /// True if it is an index that was cut to some platforms, so that its digest is another than the source's.
    pub cut: bool,
    /// The differences from the source that were asked for, if there are any.
    pub converted: Option<Converted>,
    /// True if it got a signature that it had not.
    pub signed: bool,
}

/// Differences of a copy from its source that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Converted {
    /// The digest that it would have without.
    pub from: Digest,
    /// The differences.
    pub changes: Changes,
    /// True if the copy's digest is not known, as nothing was compressed: in a dry run.
    pub is_guess: bool,
}

impl Copier {
    /// Makes a copier that tells `report` of all it does, or, in a dry run, of what it would do. In the file `sent` it keeps
    /// where blobs went, for those that come after it, however it ends. What has to be put aside goes to the folder `scratch`.
    pub fn new(report: Arc<Report>, mode: Mode, sent: Option<PathBuf>, scratch: PathBuf) -> Self {
        let shared = Arc::new(Shared::new(report, mode, Sent::new(sent), scratch));
        Self { shared, referrers: false, conversion: None, key: None }
    }

    /// Returns a copier that copies what refers to an image as well, and shares all else with this one.
    #[must_use]
    pub fn with_referrers(&self) -> Self {
        Self { referrers: true, ..self.clone() }
    }

    /// Returns a copier that changes images, and shares all else with this one.
    #[must_use]
    pub fn with_conversion(&self, conversion: Option<Conversion>) -> Self {
        Self { conversion, ..self.clone() }
    }

    /// Returns a copier that signs each image where it goes to, and shares all else with this one.
    #[must_use]
    pub fn signing(&self, key: Option<Arc<PrivateKey>>) -> Self {
        Self { key, ..self.clone() }
    }

    /// Returns what was done so far.
    pub fn summary(&self) -> Summary {
        self.shared.sums.summary()
    }

    /// Copies one image: all that its name leads to, or what of it is for `platforms`.
    pub async fn copy(
        &self,
        source: &Source,
        target: &Target,
        platforms: &[Platform],
    ) -> Result<Copied> {
        if self.key.is_some() && !target.takes_signatures() {
            return Err(CopyError::NoSignatures { target: target.to_string() });
        }
        let copied = Box::pin(self.unsigned(source, target, platforms)).await?;
        match &self.key {
            Some(key) if !self.shared.mode.dry => {
                let signed = target.sign(key, &copied.digest).await?;
                Ok(Copied { signed, ..copied })
            }
            _ => Ok(copied),
        }
    }

    async fn unsigned(
        &self,
        source: &Source,
        target: &Target,
        platforms: &[Platform],
    ) -> Result<Copied> {
        let shared = &*self.shared;
        if self.referrers && !(source.has_referrers() && target.takes_referrers()) {
            let (source, target) = (source.to_string(), target.to_string());
            return Err(CopyError::NoReferrers { source_place: source, target });
        }
        // Before anything is taken to be there, and without a turn that the other copy may need.
        let _held = target.hold(shared).await?;
        let present = {
            let _turn = shared.budget.turn(&[target.host()]).await;
            target.digest().await?
        };
        if let Some(conversion) = self.conversion {
            return self.convert((source, target), platforms, conversion, present).await;
        }
        let mut hint = None;
        // One platform of an image has another digest than the image.
        if let Some(present) = present.as_ref().filter(|_| platforms.is_empty()) {
            let _turn = shared.budget.turn(&[source.host()]).await;
            hint = source.digest().await?;
            // Who looks at a target after a copy takes it that the source's image was judged.
            let asks_more = self.referrers || shared.mode.force || source.is_judged();
            if hint.as_ref() == Some(present) && !asks_more {
                let (digest, converted) = (present.clone(), None);
                return Ok(Copied {
                    digest,
                    unchanged: true,
                    cut: false,
                    converted,
                    signed: false,
                });
            }
        }
        let named = shared.meant(source, hint.as_ref()).await?;
        let mut root = choose(shared, source, named.clone(), platforms).await?;
        // An index that is cut here is nobody's but ours: the one that it was cut from counts.
        source.admit(&named, if root.cut { &named } else { &root.document }).await?;
        Self::name(target, &mut root.document)?;
        let had_any = present.is_some();
        // A registry may tell the same bytes by the digest of another algorithm.
        let is_there = present.is_some_and(|present| present.matches(&root.document.bytes));
        // Only where an earlier image was, documents of this one are likely to be.
        let job = Job::new(shared, source, target, had_any);
        if !is_there || shared.mode.force {
            job.whole(&root.document, &root.manifest).await?;
        }
        let media_type = root.manifest.media_type();
        if self.referrers {
            let referrers = Referrers { shared, source, target };
            let missing = referrers.missing(&root).await?;
            // Whoever sees the name sees what refers to it; and what is referred to is there before.
            if !is_there && !missing.is_empty() {
                target.store(shared, false, &root.document, media_type).await?;
            }
            referrers.copy(missing).await?;
        }
        let unchanged = is_there && !job.has_sent();
        let Root { document: Document { digest, bytes, .. }, cut, .. } = &root;
        if !is_there {
            target.store(shared, true, &root.document, media_type).await?;
            shared.tell(&Event::Document { digest, size: bytes.len() as u64 });
        }
        let digest = digest.clone();
        Ok(Copied { digest, unchanged, cut: *cut, converted: None, signed: false })
    }

    /// Copies one image, and changes it.
    async fn convert(
        &self,
        (source, target): (&Source, &Target),
        platforms: &[Platform],
        conversion: Conversion,
        present: Option<Digest>,
    ) -> Result<Copied> {
        let shared = &*self.shared;
        if self.referrers {
            return Err(CopyError::ReferrersLost { place: source.to_string() });
        }
        let named = shared.fetch(source, None).await?;
        let Root { document, manifest, cut } =
            choose(shared, source, named.clone(), platforms).await?;
        source.admit(&named, if cut { &named } else { &document }).await?;
        let from = document.digest.clone();
        let sides = (source, target);
        // Whoever may push there says which layers an image has there. What is signed or judged here are the source's.
        let believed = !(shared.mode.force || self.key.is_some() || source.is_judged());
        let conversions =
            Conversions::new(shared, sides, conversion, present.as_ref(), believed).await;
        let Rewritten { mut document, manifest, changes } =
            conversions.document(&document, &manifest, 0).await?;
        let is_guess =
            shared.mode.dry && changes.layers > 0 && present.as_ref() != Some(&document.digest);
        let is_other = document.digest != from || is_guess;
        Self::name(target, &mut document)?;
        let Document { digest, bytes, .. } = &document;
        let is_there = present.is_some_and(|present| present.matches(bytes));
        let unchanged = is_there && !conversions.has_sent();
        if !is_there {
            target.store(shared, true, &document, manifest.media_type()).await?;
            shared.tell(&Event::Document { digest, size: bytes.len() as u64 });
        }
        let converted = is_other.then_some(Converted { from, changes, is_guess });
        Ok(Copied { digest: digest.clone(), unchanged, cut, converted, signed: false })
    }

    /// Names a document by the digest that the target is to have, if it is to have one. Fails if that is of other bytes.
    fn name(target: &Target, document: &mut Document) -> Result<()> {
        match target.demanded() {
            Some(demanded) if demanded.matches(&document.bytes) => {
                document.digest.clone_from(demanded);
                Ok(())
            }
            Some(demanded) => Err(CopyError::OtherDigest {
                target: target.to_string(),
                demanded: demanded.clone(),
                actual: document.digest.clone(),
            }),
            None => Ok(()),
        }
    }
}
