//! The document of a prune by policy, with its reasons in words.

use api::prune::{ImageInUse, PruneOutcome, PrunedImage};
use engine::{ImageUse, PruneReason, PruneStep, Pruned, SparedImage};
use jiff::{SignedDuration, Timestamp};
use spec::Reference;
use spec::go::{PROGRESS_DIGITS, human_bytes, human_duration};

use super::images::removed;

/// Describes what went, or would go.
pub(crate) fn outcome(pruned: Pruned, dry_run: bool) -> PruneOutcome {
    PruneOutcome {
        dry_run,
        images: pruned.steps.iter().map(image).collect(),
        in_use: pruned.spared.into_iter().map(in_use).collect(),
        images_deleted: (!pruned.removed.is_empty()).then(|| removed(pruned.removed)),
        partial_downloads: pruned.downloads,
        space_reclaimed: pruned.freed,
        space_left: pruned.total.saturating_sub(pruned.freed),
    }
}

fn image(step: &PruneStep) -> PrunedImage {
    PrunedImage {
        reasons: reasons(step),
        id: step.id.to_string(),
        names: familiar(&step.names),
        deleted: step.is_whole,
        last_used: step.last_used.to_string(),
        space_reclaimed: step.frees,
    }
}

/// Says for which reasons an image goes.
pub(crate) fn reasons(step: &PruneStep) -> Vec<String> {
    let unused = Timestamp::now().duration_since(step.last_used);
    step.reasons.iter().map(|reason| words(*reason, unused)).collect()
}

fn words(reason: PruneReason, unused: SignedDuration) -> String {
    match reason {
        PruneReason::NoTag => "it has no tag".to_owned(),
        PruneReason::NotInUse => "it is not in use".to_owned(),
        PruneReason::NotAmongLast(1) => "another of its repository was used later".to_owned(),
        PruneReason::NotAmongLast(count) => {
            format!("{count} others of its repository were used later")
        }
        PruneReason::Idle => {
            let nanoseconds = i64::try_from(unused.as_nanos()).unwrap_or(i64::MAX);
            format!("it was not used for {}", human_duration(nanoseconds).to_lowercase())
        }
        PruneReason::Matches => "its name was asked for".to_owned(),
        PruneReason::OverSize(max) => {
            format!("all takes more than {}", human_bytes(max, PROGRESS_DIGITS))
        }
    }
}

fn in_use(spared: SparedImage) -> ImageInUse {
    let user = match spared.user {
        ImageUse::Mounted(directory) => format!("mounted on {}", directory.display()),
        ImageUse::Container(id) => format!("container {}", id.chars().take(12).collect::<String>()),
        ImageUse::Running => "an operation that runs".to_owned(),
    };
    ImageInUse { id: spared.id.to_string(), names: familiar(&spared.names), user }
}

fn familiar(names: &[Reference]) -> Vec<String> {
    names.iter().map(Reference::familiar).collect()
}
