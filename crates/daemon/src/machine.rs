//! Facts of the machine, for `/info`, `/version` and the metrics.

use std::fs;

use rustix::system::{sysinfo, uname};

/// Facts of the machine that do not change while it runs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    /// The host's name.
    pub(crate) name: String,
    /// The kernel's release.
    pub(crate) kernel: String,
    /// The distribution's name.
    pub(crate) operating_system: String,
    /// The distribution's version.
    pub(crate) os_version: String,
    /// The machine, as `uname -m` says.
    pub(crate) architecture: String,
    /// CPUs that this process may use.
    pub(crate) cpus: u64,
    /// Bytes of memory.
    pub(crate) memory: u64,
}

impl Machine {
    pub(crate) fn read() -> Self {
        let uts = uname();
        let system = sysinfo();
        let release = fs::read_to_string("/etc/os-release")
            .or_else(|_| fs::read_to_string("/usr/lib/os-release"))
            .unwrap_or_default();
        let operating_system = field(&release, "PRETTY_NAME").or_else(|| field(&release, "NAME"));
        Self {
            name: uts.nodename().to_string_lossy().into_owned(),
            kernel: uts.release().to_string_lossy().into_owned(),
            // Where nobody knows, dockerd says "Linux".
            operating_system: operating_system.unwrap_or_else(|| "Linux".to_owned()),
            os_version: field(&release, "VERSION_ID").unwrap_or_default(),
            architecture: uts.machine().to_string_lossy().into_owned(),
            cpus: std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64),
            memory: u64::from(system.mem_unit).saturating_mul(system.totalram),
        }
    }
}

/// Counts the files that this process has open, where the system tells.
pub(crate) fn open_files() -> Option<u64> {
    let entries = fs::read_dir("/proc/self/fd").ok()?;
    // One entry is the directory itself, being read.
    Some((entries.count() as u64).saturating_sub(1))
}

/// A value of `os-release`: shell assignments, the value in quotes or not.
fn field(release: &str, name: &str) -> Option<String> {
    let value =
        release.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix('='))?;
    let unquoted = ['"', '\'']
        .iter()
        .find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote))
        .unwrap_or(value);
    (!unquoted.is_empty()).then(|| unquoted.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn os_release_is_read_in_every_quoting() {
        let release = "NAME=Alpine\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nVERSION_ID='12'\nEMPTY=\"\"\n";
        assert_eq!(
            field(release, "PRETTY_NAME").as_deref(),
            Some("Debian GNU/Linux 12 (bookworm)")
        );
        assert_eq!(field(release, "NAME").as_deref(), Some("Alpine"));
        assert_eq!(field(release, "VERSION_ID").as_deref(), Some("12"));
        assert_eq!((field(release, "EMPTY"), field(release, "VERSION")), (None, None));
    }

    #[test]
    fn this_machine_has_a_kernel_and_memory() {
        let facts = Machine::read();
        assert!(!facts.kernel.is_empty() && !facts.architecture.is_empty());
        assert!(facts.cpus > 0 && facts.memory > 1024 * 1024);
    }
}
