//! The report of `POST /longshore/system/check`.

use api::check::{CheckFinding, CheckReport, Remedy, Repair};
use engine::{CheckOutcome, Checked};

/// Puts an outcome into the form in which it travels.
pub(crate) fn report(outcome: CheckOutcome) -> CheckReport {
    CheckReport {
        references: outcome.references,
        images: outcome.images,
        layers: outcome.layers,
        blobs: outcome.blobs,
        findings: outcome.findings.into_iter().map(finding).collect(),
    }
}

fn finding(checked: Checked) -> CheckFinding {
    let (repair, reason) = match checked.repair {
        engine::Repair::NotTried => (Repair::None, None),
        engine::Repair::Done => (Repair::Done, None),
        engine::Repair::Failed(reason) => (Repair::Failed, Some(reason)),
    };
    CheckFinding {
        subject: checked.subject.to_string(),
        file: checked.file,
        problem: checked.problem,
        remedy: match checked.remedy {
            engine::Remedy::Mend => Remedy::Mend,
            engine::Remedy::Fetch => Remedy::Fetch,
            engine::Remedy::Remove => Remedy::Remove,
            engine::Remedy::Nothing => Remedy::Nothing,
        },
        repair,
        reason,
    }
}
