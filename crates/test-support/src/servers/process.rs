//! A daemon as a child process.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// A daemon that is not ready by then will not be.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// A daemon that has not ended by then is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(15);

const POLL: Duration = Duration::from_millis(20);

/// A running daemon: asked to end when dropped, and killed where it does not.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with its output in the file `log`, and waits until `ready` says so.
    ///
    /// An error holds the end of the log.
    pub fn start(
        mut command: Command,
        log: &Path,
        mut ready: impl FnMut() -> bool,
    ) -> io::Result<Process> {
        let output = File::create(log)?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let mut process = Process { child: command.spawn()?, log: log.to_owned() };
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            if let Some(status) = process.child.try_wait()? {
                return Err(process.failure(&format!("ended with {status}")));
            }
            if ready() {
                return Ok(process);
            }
            if Instant::now() > deadline {
                return Err(process.failure("is not ready in time"));
            }
            thread::sleep(POLL);
        }
    }

    /// Returns the process's number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns what the daemon has written so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// Ends the daemon as a user would, with SIGTERM, and waits for it.
    pub fn stop(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::TERM)?;
        }
        let deadline = Instant::now() + STOP_PATIENCE;
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Waits until the daemon has ended, which something else makes it do.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    fn failure(&self, what: &str) -> io::Error {
        let log = self.log();
        let end: Vec<&str> = log.lines().rev().take(20).collect();
        let end: Vec<&str> = end.into_iter().rev().collect();
        io::Error::other(format!("the daemon {what}; its log ends with:\n{}", end.join("\n")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.stop().is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
