//! A copy that is killed again and again: nothing that arrived is sent a second time.

use std::fmt::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use test_support::proxy::Counts;

use super::peers::{Copier, Target};
use super::runs::Bench;

/// The number of times that it is killed.
const KILLS: u32 = 20;

/// Kills a copy at growing times until it is done, and returns what was sent in all.
pub(super) fn run(bench: &Bench<'_>, kind: &str, copier: &Copier<'_>) -> Result<String> {
    let (whole, wall) = {
        let target = Target::start(kind, bench.binary, bench.folder)?;
        let [from, to] = bench.proxies(&target)?;
        let began = Instant::now();
        let mut copy = copier.command(bench.content, &from.address(), &to.address())?;
        ensure!(copy.status()?.success(), "the copy that nobody kills failed");
        (to.take(), began.elapsed())
    };
    let target = Target::start(kind, bench.binary, bench.folder)?;
    let [from, to] = bench.proxies(&target)?;
    let copy = || copier.command(bench.content, &from.address(), &to.address());
    let mut killed = 0;
    for number in 1..=KILLS {
        // All together take as long as one that is not killed, and what each begins with.
        let patience = Duration::from_millis(20) + wall * 2 * number / (KILLS * (KILLS + 1));
        let mut command = copy()?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.process_group(0).spawn().context("cannot run the copy")?;
        std::thread::sleep(patience);
        if child.try_wait()?.is_none() {
            killed += 1;
        }
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let Some(group) = group else { bail!("a process has no number") };
        // One that has ended by itself has no group any more.
        let _ = kill_process_group(group, Signal::KILL);
        child.wait()?;
    }
    ensure!(copy()?.status()?.success(), "the copy after the last kill failed");
    let equal = bench.verify(&target, copier)?;
    let sent = to.take();
    told(kind, killed, &whole, &sent).with_context(|| format!("{equal}, but"))
}

fn told(kind: &str, killed: u32, whole: &Counts, sent: &Counts) -> Result<String> {
    let mut text = format!("\n## killed {killed} times on the way to {kind}\n\n");
    let megabytes = |bytes: u64| format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10);
    let _ = writeln!(
        text,
        "- uploads: {} of {}; without a kill {} of {}\n- in flight when it was killed: {}",
        sent.uploads,
        megabytes(sent.uploaded),
        whole.uploads,
        megabytes(whole.uploaded),
        megabytes(sent.unfinished())
    );
    ensure!(sent.again == 0, "{} were sent again that had arrived", megabytes(sent.again));
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_and_came_again_is_a_failure() {
        let counts = |again| Counts { uploads: 3, uploaded: 5_100_000, again, ..Counts::default() };
        let text = told("x", 20, &counts(0), &counts(0)).unwrap();
        assert!(text.contains("uploads: 3 of 5.1 MB; without a kill 3 of 5.1 MB"), "{text}");
        let error = told("x", 20, &counts(0), &counts(100_000)).unwrap_err();
        assert_eq!(error.to_string(), "0.1 MB were sent again that had arrived");
    }
}
