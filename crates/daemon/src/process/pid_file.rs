//! The file that says which process the daemon is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A pidfile of this process. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct PidFile {
    path: PathBuf,
    content: String,
}

impl PidFile {
    /// Writes this process's ID. Refuses when the file names a process that lives.
    pub(crate) fn write(path: &Path) -> io::Result<Self> {
        match fs::read_to_string(path) {
            // Nobody's pidfile: overwriting it could cost the system a file that it needs.
            Ok(text) if !text.trim().is_empty() && text.trim().parse::<u32>().is_err() => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "the file exists and holds no process ID",
                ));
            }
            Ok(text) => {
                // The system may have given the number of a daemon that died to this process: in a container it does.
                let other =
                    text.trim().parse::<u32>().ok().filter(|pid| *pid != std::process::id());
                if let Some(pid) = other.filter(|pid| lives(*pid)) {
                    return Err(io::Error::new(
                        io::ErrorKind::AlreadyExists,
                        format!("process with PID {pid} is still running"),
                    ));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let content = std::process::id().to_string();
        fs::write(path, &content)?;
        Ok(Self { path: path.to_owned(), content })
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        // Another daemon's file is not ours to remove.
        if fs::read_to_string(&self.path).is_ok_and(|text| text == self.content)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the pidfile cannot be removed");
        }
    }
}

fn lives(pid: u32) -> bool {
    use rustix::process::{Pid, test_kill_process};
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return false };
    // A process of another user lives, too: the answer is then that it may not be signalled.
    !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_daemons_file_is_taken_over_and_a_living_ones_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("l.pid");
        let own = std::process::id().to_string();

        let file = PidFile::write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), own);
        drop(file);
        assert!(!path.exists());

        // No process can have the largest number.
        for stale in ["", "0", "2147483647"] {
            fs::write(&path, stale).unwrap();
            PidFile::write(&path).unwrap();
        }
        for foreign in ["root:x:0:0\n", "-1", "99999999999"] {
            fs::write(&path, foreign).unwrap();
            PidFile::write(&path).unwrap_err();
            assert_eq!(fs::read_to_string(&path).unwrap(), foreign);
        }

        fs::write(&path, "1\n").unwrap();
        let error = PidFile::write(&path).unwrap_err();
        assert_eq!(error.to_string(), "process with PID 1 is still running");
        assert_eq!(fs::read_to_string(&path).unwrap(), "1\n");
    }

    #[test]
    fn a_file_that_another_daemon_wrote_meanwhile_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("l.pid");
        let file = PidFile::write(&path).unwrap();
        fs::write(&path, "1").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "1");
    }
}
