//! `POST /longshore/system/check`, a route of ours: what is wrong in the data root.

use api::check::{CheckFinding, CheckReport, Remedy, Repair};
use engine::{CheckOutcome, CheckRequest, Checked, ProgressEvent};
use http::Response;

use crate::Daemon;
use crate::connection::Call;
use crate::operation::Operation;
use crate::reply::Body;

/// Answers with a progress stream; the last line's `aux` is the report.
pub(super) fn check(daemon: &Daemon, call: &Call) -> Response<Body> {
    let request =
        CheckRequest { deep: call.query.boolean("deep"), repair: call.query.boolean("repair") };
    let engine = daemon.engine().clone();
    Operation::start(|progress| async move {
        let outcome = engine.check(request, progress.clone()).await?;
        progress.report(ProgressEvent::Checked(Box::new(outcome)));
        Ok(())
    })
    .answer_now()
}

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
