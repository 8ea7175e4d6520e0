//! `system check`: what is wrong in the data root, and putting it right.
//!
//! The store tells what its metadata lack; what takes reading every file is done here. Repair works from the bottom up: what the
//! store can mend by itself, then content that is brought again, from the kept blob if it is good and else from a
//! repository where the image came from, then what only shows once that is there.

mod restore_blob;
mod restore_layer;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use spec::ChainId;
use store::{CheckReport, DriverKind, Finding, Lease, Remedy, Store, Subject, Want};

use crate::cancel::{CancelOnDrop, Cancelled};
use crate::progress::{CheckedPart, ProgressEvent};
use crate::{Engine, Progress, Result};

/// The reason to leave files that seem to be nobody's.
const KEPT: &str = "it is kept until every layer is whole";
/// Further looks after mending: a new short name of a layer shows in the lists of all above it, a manifest what it mentions.
const ROUNDS: usize = 3;

/// The extent of a check.
#[derive(Clone, Copy, Debug, Default)]
pub struct CheckRequest {
    /// Compare every file and every blob with its digest.
    pub deep: bool,
    /// Put right what can be.
    pub repair: bool,
}

/// The result of a check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckOutcome {
    /// References that were looked at.
    pub references: usize,
    /// Images that were looked at.
    pub images: usize,
    /// Layers that were looked at.
    pub layers: usize,
    /// Blobs that were looked at.
    pub blobs: usize,
    /// All that is wrong, or was.
    pub findings: Vec<Checked>,
}

/// Something that is wrong, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The damaged part of the data root.
    pub subject: Subject,
    /// The file within a layer, if it is one.
    pub file: Option<String>,
    /// The damage, as a clause: `it is gone`.
    pub problem: String,
    /// The means against it.
    pub remedy: Remedy,
    /// The outcome of its repair.
    pub repair: Repair,
}

/// The layers and blobs whose content is read.
#[derive(Clone, Copy)]
enum Depth<'a> {
    /// None.
    Metadata,
    All,
    /// Those that the findings are about.
    Of(&'a [Finding]),
}

/// Holds what was done against a second look: what is still there was not repaired, and what shows only now is told, too.
fn look_again(
    findings: &mut Vec<Finding>,
    mut repairs: Vec<Repair>,
    left: Vec<Finding>,
) -> Vec<Repair> {
    for finding in left {
        let is_same = |one: &Finding| {
            (&one.subject, &one.file, &one.problem)
                == (&finding.subject, &finding.file, &finding.problem)
        };
        match findings.iter().position(is_same) {
            Some(at) if repairs[at] == Repair::Done => {
                repairs[at] = Repair::Failed("it is still so afterwards".to_owned());
            }
            Some(_) => {}
            None => {
                findings.push(finding);
                repairs
                    .push(Repair::Failed("it showed once other things were repaired".to_owned()));
            }
        }
    }
    repairs
}

/// The outcome of the repair of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Repair {
    /// Nothing was tried.
    NotTried,
    /// It is right now, or gone.
    Done,
    /// It could not be put right: why.
    Failed(String),
}

impl Engine {
    /// Looks the data root over and, if asked to, puts right what can be.
    ///
    /// Without `repair` nothing is changed. Dropping the future ends it, if not before the end of a blob.
    pub async fn check(&self, request: CheckRequest, progress: Progress) -> Result<CheckOutcome> {
        let lease = if request.repair { self.lease().await } else { self.reading_lease().await }?;
        let depth = if request.deep { Depth::All } else { Depth::Metadata };
        let report = self.look(depth, &lease, &progress).await?;
        let mut outcome = CheckOutcome {
            references: report.references,
            images: report.images,
            layers: report.layers,
            blobs: report.blobs,
            findings: Vec::new(),
        };
        let mut findings = report.findings;
        let repairs = if request.repair && !findings.is_empty() {
            let repairs = self.repair(&findings, &lease, &progress).await?;
            let depth = if request.deep { Depth::Of(&findings) } else { Depth::Metadata };
            let left = self.look(depth, &lease, &progress).await?.findings;
            look_again(&mut findings, repairs, left)
        } else {
            vec![Repair::NotTried; findings.len()]
        };
        let told = findings.into_iter().zip(repairs);
        outcome.findings.extend(told.map(|(finding, repair)| Checked {
            remedy: finding.remedy(),
            subject: finding.subject,
            file: finding.file,
            problem: finding.problem,
            repair,
        }));
        Ok(outcome)
    }

    /// Looks the metadata over, and content as deep as is asked for.
    async fn look(
        &self,
        depth: Depth<'_>,
        lease: &Arc<Lease>,
        progress: &Progress,
    ) -> Result<CheckReport> {
        let mut report = self.on_disk(|store| Ok(store.check()?)).await?;
        let is_wanted = |subject: Subject| match depth {
            Depth::Metadata => false,
            Depth::All => true,
            Depth::Of(findings) => findings.iter().any(|finding| finding.subject == subject),
        };
        if matches!(depth, Depth::Metadata) {
            return Ok(report);
        }
        let mut layers = match self.store().driver() {
            DriverKind::Overlay2 => report.whole_layers().to_vec(),
            DriverKind::Packed => Vec::new(),
        };
        layers.retain(|layer| is_wanted(Subject::Layer(layer.chain_id.clone())));
        let kept = report.kept_blobs().filter(|digest| is_wanted(Subject::Blob((*digest).clone())));
        let blobs: Vec<_> = kept.cloned().collect();
        let total = layers.len() + blobs.len();
        let (_cancel, cancelled) = CancelOnDrop::new();
        let tell = |number: usize, part: CheckedPart| {
            progress.report(ProgressEvent::Checking { number, total, part });
        };
        for (number, layer) in (1..).zip(layers) {
            tell(number, CheckedPart::Layer(layer.chain_id.clone()));
            let lease = Arc::clone(lease);
            let cancelled = cancelled.clone();
            report = self
                .on_disk(move |store| {
                    look_at_layer(store, &lease, &layer, cancelled, &mut report)?;
                    Ok(report)
                })
                .await?;
        }
        let done = total - blobs.len();
        for (number, digest) in (done + 1..).zip(blobs) {
            tell(number, CheckedPart::Blob(digest.clone()));
            let lease = Arc::clone(lease);
            report = self
                .on_disk(move |store| {
                    lease.hold_blob(&digest)?;
                    if store.blob_is_damaged(&digest)? {
                        let problem = "its content does not match its digest".to_owned();
                        report.add_blob(&digest, problem);
                    }
                    Ok(report)
                })
                .await?;
        }
        report.sort();
        Ok(report)
    }

    /// Puts right what can be; returns what became of each finding.
    async fn repair(
        &self,
        findings: &[Finding],
        lease: &Arc<Lease>,
        progress: &Progress,
    ) -> Result<Vec<Repair>> {
        let mut brought: BTreeMap<Want, Repair> = BTreeMap::new();
        for want in self.wants(findings).await? {
            let repair = self.bring(&want, lease, progress).await;
            brought.insert(want, repair);
        }
        // Files that are nobody's may be those of a layer whose entry is damaged, and the only copy.
        let is_whole = brought
            .iter()
            .all(|(want, repair)| *repair == Repair::Done || matches!(want, Want::Blob(_)));
        let mut repairs = Vec::with_capacity(findings.len());
        for finding in findings {
            repairs.push(match finding.want() {
                Some(want) => brought[want].clone(),
                None if finding.removes_files() && !is_whole => Repair::Failed(KEPT.to_owned()),
                None => self.mend(finding).await,
            });
        }
        let mut tried: BTreeSet<Want> = brought.into_keys().collect();
        for _ in 0..ROUNDS {
            let left = self.on_disk(|store| Ok(store.check()?)).await?.findings;
            let mut done = 0;
            // A manifest that was brought tells of blobs that are gone.
            for want in self.wants(&left).await? {
                if tried.insert(want.clone()) {
                    done += usize::from(self.bring(&want, lease, progress).await == Repair::Done);
                }
            }
            for finding in left.iter().filter(|finding| finding.want().is_none()) {
                if is_whole || !finding.removes_files() {
                    done += usize::from(self.mend(finding).await == Repair::Done);
                }
            }
            if done == 0 {
                break;
            }
        }
        Ok(repairs)
    }

    /// Lists what has to be brought, each once and what others need before these: of layers the lower ones.
    async fn wants(&self, findings: &[Finding]) -> Result<Vec<Want>> {
        let wants: BTreeSet<Want> = findings.iter().filter_map(Finding::want).cloned().collect();
        let mut wants: Vec<Want> = wants.into_iter().collect();
        // All configs are read for it.
        if !wants.iter().any(|want| matches!(want, Want::Layer(_))) {
            return Ok(wants);
        }
        let depths = self.on_disk(depths).await?;
        // Layers come last, and keep that place.
        wants.sort_by_key(|want| match want {
            Want::Layer(chain) => depths.get(chain).map_or(usize::MAX, |depth| depth + 1),
            Want::Blob(_) | Want::Config(_) => 0,
        });
        Ok(wants)
    }

    async fn mend(&self, finding: &Finding) -> Repair {
        let finding = finding.clone();
        match self.on_disk(move |store| Ok(store.mend(&finding)?)).await {
            Ok(true) => Repair::Done,
            Ok(false) => Repair::Failed("nothing can be done about it here".to_owned()),
            Err(error) => Repair::Failed(error.message()),
        }
    }

    async fn bring(&self, want: &Want, lease: &Arc<Lease>, progress: &Progress) -> Repair {
        let brought = match want {
            Want::Layer(chain) => self.restore_layer(chain, lease, progress).await,
            Want::Config(id) => self.restore_config(id).await,
            Want::Blob(digest) => self.restore_blob(digest, lease, progress).await,
        };
        match brought {
            Ok(()) => Repair::Done,
            Err(error) => Repair::Failed(error.message()),
        }
    }
}

/// Tells how many layers are below each layer of an image. Blocking.
fn depths(store: &Store) -> Result<HashMap<ChainId, usize>> {
    let mut depths = HashMap::new();
    for id in store.images()? {
        // A damaged image tells nothing; another may.
        if let Ok(Some(image)) = store.image(&id) {
            depths.extend(image.layers.iter().cloned().zip(0..));
        }
    }
    Ok(depths)
}

/// Compares the files of one layer with its tar. Blocking.
fn look_at_layer(
    store: &Store,
    lease: &Lease,
    layer: &store::WholeLayer,
    cancelled: Cancelled,
    report: &mut CheckReport,
) -> Result<()> {
    let chain = &layer.chain_id;
    lease.hold_layer(chain)?;
    // It may have been removed since the metadata were looked at.
    let (Some(path), Some(tar_split)) = (store.layer_path(chain)?, store.tar_split(chain)?) else {
        return Ok(());
    };
    let verified = match archive::verify(cancelled.guard(tar_split), &path) {
        Ok(verified) => verified,
        Err(error) => {
            let problem = format!("its `tar-split.json.gz` cannot be used: {error}");
            report.add_layer(chain, None, problem);
            return Ok(());
        }
    };
    let more = verified.damaged - verified.damages.len() as u64;
    for damage in verified.damages {
        report.add_layer(chain, Some(damage.path), damage.problem);
    }
    if more > 0 {
        report.add_layer(chain, None, format!("{more} more files are damaged"));
    }
    if verified.damaged == 0 && verified.diff_id != layer.diff_id {
        report.add_layer(chain, None, "its files do not make its diff ID".to_owned());
    } else if verified.size != layer.size {
        let problem = format!("its `size` is not the {} bytes of its files", verified.size);
        report.add_layer(chain, None, problem);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
