//! Copies of images.

mod choice;
mod documents;

use std::sync::Arc;

use spec::{Digest, Platform};

use self::choice::{Root, choose};
use self::documents::Job;
use crate::error::Result;
use crate::progress::{Event, Summary};
use crate::shared::Shared;
use crate::source::Source;
use crate::{CopyError, Report, Target};

/// Copies images. All copies of one share the budgets of hosts, and what is known to be at a target.
#[derive(Debug)]
pub struct Copier {
    shared: Arc<Shared>,
}

/// Result of a copy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The digest of the image at the target.
    pub digest: Digest,
    /// True if the target had it under that name.
    pub unchanged: bool,
    /// True if it is an index that was cut to some platforms, so that its digest is another than the source's.
    pub cut: bool,
}

impl Copier {
    /// Makes a copier that tells `report` of all it does, or, if it is a `dry` run, of what it would do.
    pub fn new(report: Arc<Report>, dry: bool) -> Self {
        Self { shared: Arc::new(Shared::new(report, dry)) }
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
        let shared = &*self.shared;
        let present = {
            let _turn = shared.budget.turn(&[target.host()]).await;
            target.digest().await?
        };
        let mut wanted = None;
        // One platform of an image has another digest than the image.
        if let Some(present) = present.as_ref().filter(|_| platforms.is_empty()) {
            let _turn = shared.budget.turn(&[source.host()]).await;
            wanted = source.digest().await?;
            if wanted.as_ref() == Some(present) {
                return Ok(Copied { digest: present.clone(), unchanged: true, cut: false });
            }
        }
        let root = {
            let _turn = shared.budget.turn(&[source.host()]).await;
            source.document(wanted.as_ref()).await?
        };
        let Root { document: root, manifest, cut } =
            choose(shared, source, root, platforms).await?;
        if let Some(demanded) = target.demanded().filter(|demanded| **demanded != root.digest) {
            return Err(CopyError::OtherDigest {
                target: target.to_string(),
                demanded: demanded.clone(),
                actual: root.digest,
            });
        }
        if present.as_ref() == Some(&root.digest) {
            return Ok(Copied { digest: root.digest, unchanged: true, cut });
        }
        // Only where an earlier image was, parts of this one are likely to be.
        let job = Job::new(shared, source, target, present.is_some());
        job.whole(&root, &manifest).await?;
        if !shared.dry {
            let _turn = shared.budget.turn(&[target.host()]).await;
            target.put(true, &root.digest, manifest.media_type(), root.bytes.clone()).await?;
        }
        shared.tell(&Event::Document { digest: &root.digest, size: root.bytes.len() as u64 });
        Ok(Copied { digest: root.digest, unchanged: false, cut })
    }
}
