//! Prunes by the clock, as `daemon.json` asks for them.

use std::time::{Duration, SystemTime};

use spec::go::{PROGRESS_DIGITS, human_bytes};

use super::policy::policy;
use crate::config::PruneSchedule;
use crate::daemon::{Daemon, LastPrune};
use crate::documents::prune::reasons;

/// The longest time that is slept at once: a clock may be set meanwhile, and a machine suspended.
const LONGEST_SLEEP: Duration = Duration::from_hours(1);

/// Prunes when it is time, for ever. The first time is one interval after a schedule was first seen on the data root.
pub(crate) async fn run(daemon: Daemon) {
    let mut config = daemon.configurations();
    let mut last = None;
    loop {
        let schedule = config.borrow_and_update().prune.clone();
        let sleep = match &schedule {
            None => None,
            Some(schedule) => {
                let before = match last {
                    Some(before) => before,
                    None => *last.insert(begun(&daemon).await),
                };
                Some(left(schedule.interval, before, SystemTime::now()))
            }
        };
        let awake = async {
            match sleep {
                Some(time) => tokio::time::sleep(time.min(LONGEST_SLEEP)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = config.changed() => if changed.is_err() { return },
            () = awake => {
                if let Some(schedule) = schedule.filter(|_| sleep.is_some_and(|time| time <= LONGEST_SLEEP)) {
                    last = Some(SystemTime::now());
                    daemon.engine().note_scheduled_prune().await;
                    prune(&daemon, &schedule).await;
                }
            }
        }
    }
}

/// Returns when the last prune by the clock was, or else when the first schedule was seen.
async fn begun(daemon: &Daemon) -> SystemTime {
    if let Some(last) = daemon.engine().last_scheduled_prune().await {
        return last;
    }
    daemon.engine().note_scheduled_prune().await;
    SystemTime::now()
}

/// Returns the time that is left until the next prune. A clock that was set back begins anew.
fn left(interval: Duration, last: SystemTime, now: SystemTime) -> Duration {
    interval.saturating_sub(now.duration_since(last).unwrap_or_default())
}

async fn prune(daemon: &Daemon, schedule: &PruneSchedule) {
    let policy = match policy(&schedule.filters) {
        Ok(policy) => policy,
        Err(error) => return tracing::error!(%error, "scheduled prune not begun"),
    };
    let begun = match daemon.engine().prune() {
        Ok(begun) => begun,
        Err(error) => return tracing::warn!(%error, "scheduled prune not begun"),
    };
    let pruned = match begun.run(policy).await {
        Ok(pruned) => pruned,
        Err(error) => return tracing::error!(%error, "scheduled prune failed"),
    };
    for step in &pruned.steps {
        let names: Vec<String> = step.names.iter().map(spec::Reference::familiar).collect();
        let (names, because) = (names.join(", "), reasons(step).join(", "));
        tracing::info!(image = %step.id, names, because, gone = step.is_whole, "pruned");
    }
    let (images, freed) = (pruned.steps.len(), pruned.freed);
    daemon.pruned(LastPrune { at: SystemTime::now(), images, freed });
    let left = human_bytes(pruned.total.saturating_sub(freed), PROGRESS_DIGITS);
    let freed = human_bytes(freed, PROGRESS_DIGITS);
    tracing::info!(images, freed, left, "scheduled prune done");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_may_be_set() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        for (last, now, expected) in
            [(100, 100, 60), (100, 130, 30), (100, 160, 0), (100, 900, 0), (100, 50, 60)]
        {
            let left = left(Duration::from_mins(1), at(last), at(now));
            assert_eq!(left, Duration::from_secs(expected), "{last} {now}");
        }
    }
}
