//! Wall time, CPU time and memory of a command and of the daemon that works for it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// Interval between looks at the memory.
const INTERVAL: Duration = Duration::from_millis(20);

/// Cost of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sample {
    /// Seconds from the client's start to its end.
    pub(super) wall: f64,
    /// Seconds of CPU time in user mode.
    pub(super) user: f64,
    /// Seconds of CPU time in the kernel.
    pub(super) system: f64,
    /// Bytes: the largest sum of the resident memory of all processes.
    pub(super) memory: u64,
    /// Bytes that the store takes afterwards.
    pub(super) stored: u64,
}

impl Sample {
    pub(super) fn with_stored(mut self, stored: u64) -> Sample {
        self.stored = stored;
        self
    }

    pub(super) fn cpu(&self) -> f64 {
        self.user + self.system
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = self.memory / 1_000_000;
        let wall = seconds(self.wall);
        write!(f, "{wall} s, cpu {:.2} s, {memory} MB", self.cpu())
    }
}

/// Runs a client to its end. `daemon` is the process that does the work for it, if one does.
///
/// CPU time is read from `/proc` while the client is a zombie: by then it has reaped its children,
/// and their time is in its own.
pub(super) fn measure(mut command: Command, daemon: Option<u32>) -> Result<Sample> {
    let line = crate::shell::line(&command);
    let errors = tempfile::NamedTempFile::new().context("cannot make a file for errors")?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors.reopen()?);
    let before = daemon.map(tree_time).transpose()?.unwrap_or_default();
    let began = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot run `{line}`"))?;
    let id = child.id();
    let ended = AtomicBool::new(false);
    let (waited, memory) = thread::scope(|scope| {
        let sampler = scope.spawn(|| peak_memory(&[Some(id), daemon], &ended));
        let pid = Pid::from_raw(i32::try_from(id).unwrap_or_default());
        let waited =
            pid.map(|pid| waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT));
        let wall = began.elapsed();
        ended.store(true, Ordering::Relaxed);
        (waited.transpose().map(|_| wall), sampler.join().unwrap_or_default())
    });
    let client = process_time(id)?;
    let status = child.wait()?;
    let after = daemon.map(tree_time).transpose()?.unwrap_or_default();
    if !status.success() {
        let complaint = fs::read_to_string(errors.path()).unwrap_or_default();
        bail!("`{line}` ended with {status}: {}", complaint.trim());
    }
    Ok(Sample {
        wall: waited.context("cannot wait for the client")?.as_secs_f64(),
        user: client.user + after.user - before.user,
        system: client.system + after.system - before.system,
        memory,
        stored: 0,
    })
}

/// Measures a daemon alone while `work` has it work.
pub(super) fn measure_daemon(daemon: u32, work: impl FnOnce() -> Result<()>) -> Result<Sample> {
    let before = tree_time(daemon)?;
    let ended = AtomicBool::new(false);
    let (worked, wall, memory) = thread::scope(|scope| {
        let sampler = scope.spawn(|| peak_memory(&[Some(daemon)], &ended));
        let began = Instant::now();
        let worked = work();
        let wall = began.elapsed();
        ended.store(true, Ordering::Relaxed);
        (worked, wall, sampler.join().unwrap_or_default())
    });
    worked?;
    let after = tree_time(daemon)?;
    Ok(Sample {
        wall: wall.as_secs_f64(),
        user: after.user - before.user,
        system: after.system - before.system,
        memory,
        stored: 0,
    })
}

/// The CPU time of a process with that of the children that it has reaped, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Time {
    user: f64,
    system: f64,
}

fn process_time(id: u32) -> Result<Time> {
    let path = format!("/proc/{id}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    parse_time(&stat).with_context(|| format!("cannot understand `{path}`"))
}

/// `man 5 proc`: after the name, in parentheses, which may hold anything, come the state and the
/// parent; the 14th to 17th field of the line are the ticks of itself and of its children.
fn parse_time(stat: &str) -> Option<Time> {
    let ticks = fields(stat)?;
    let tick = |field: usize| ticks.get(field - 3)?.parse::<f64>().ok();
    #[expect(clippy::cast_precision_loss, reason = "it is 100")]
    let second = rustix::param::clock_ticks_per_second() as f64;
    Some(Time { user: (tick(14)? + tick(16)?) / second, system: (tick(15)? + tick(17)?) / second })
}

/// The fields of a stat line from the third on.
fn fields(stat: &str) -> Option<Vec<&str>> {
    Some(stat.rsplit_once(')')?.1.split_whitespace().collect())
}

/// The CPU time of a daemon and everything under it: containerd, decompressors.
fn tree_time(root: u32) -> Result<Time> {
    let mut sum = process_time(root)?;
    for id in descendants(&[root]) {
        // One that ends just now is in its parent's time.
        if id != root
            && let Ok(time) = process_time(id)
        {
            sum.user += time.user;
            sum.system += time.system;
        }
    }
    Ok(sum)
}

fn peak_memory(roots: &[Option<u32>], ended: &AtomicBool) -> u64 {
    let roots: Vec<u32> = roots.iter().copied().flatten().collect();
    let mut peak = 0;
    while !ended.load(Ordering::Relaxed) {
        let mut sum = 0;
        for id in descendants(&roots) {
            let Ok(status) = fs::read_to_string(format!("/proc/{id}/status")) else { continue };
            sum += kilobytes(&status, "VmRSS:");
            // A process's own high-water mark sees what happens between two looks.
            peak = peak.max(kilobytes(&status, "VmHWM:"));
        }
        peak = peak.max(sum);
        thread::sleep(INTERVAL);
    }
    peak * 1024
}

fn kilobytes(status: &str, field: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

/// The processes `roots` and everything that they have started.
fn descendants(roots: &[u32]) -> HashSet<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent = fields(&stat).and_then(|fields| fields.get(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(id);
        }
    }
    let mut found = HashSet::new();
    let mut waiting = roots.to_vec();
    while let Some(id) = waiting.pop() {
        if found.insert(id) {
            waiting.extend(children.get(&id).into_iter().flatten());
        }
    }
    found
}

/// Seconds, to the millisecond where there are none.
pub(super) fn seconds(seconds: f64) -> String {
    if seconds < 1.0 { format!("{seconds:.3}") } else { format!("{seconds:.2}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_with_a_strange_name() {
        let ticks = rustix::param::clock_ticks_per_second();
        let stat = format!(
            "42 (a ) b) S 1 42 42 0 -1 0 0 0 0 0 {} {} {} {} 20 0 1 0 5 0 0",
            ticks,
            2 * ticks,
            3 * ticks,
            4 * ticks
        );
        assert_eq!(parse_time(&stat), Some(Time { user: 4.0, system: 6.0 }));
        assert_eq!(fields(&stat).unwrap()[1], "1");
        assert_eq!(parse_time("42 (a"), None);
    }

    #[test]
    fn memory_lines() {
        let status = "Name:\tx\nVmHWM:\t  20 kB\nVmRSS:\t  10 kB\n";
        assert_eq!(kilobytes(status, "VmRSS:"), 10);
        assert_eq!(kilobytes(status, "VmHWM:"), 20);
        assert_eq!(kilobytes("", "VmHWM:"), 0);
    }

    #[test]
    fn a_command_is_measured_with_its_children() {
        let mut command = Command::new("sh");
        // A child of the shell does the work.
        command.args(["-c", "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; true"]);
        let sample = measure(command, None).unwrap();
        assert!(sample.cpu() > 0.0, "{sample:?}");
        assert!(sample.wall > 0.0 && sample.memory > 0, "{sample:?}");

        let mut command = Command::new("sh");
        command.args(["-c", "echo no such thing >&2; exit 3"]);
        let error = measure(command, None).unwrap_err().to_string();
        assert!(error.contains("no such thing"), "{error}");
    }
}
