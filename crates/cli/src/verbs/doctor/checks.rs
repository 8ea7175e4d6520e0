//! The checks, each of one part.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use api::system::Info;
use daemon::{DaemonConfig, Surveyed};
use jiff::{Timestamp, ToSpan as _};
use spec::go::binary_size;

use super::finding::{Finding, State};
use crate::build_info::BUILD_TIME;
use crate::client::Call;
use crate::credentials::{AMBIENT, ConfigFile, ambient_entries, host_of, is_helper_installed};
use crate::environment::Environment;
use crate::error::CliError;
use crate::globals::Globals;
use crate::hints::{self, Subject};
use crate::session::Session;
use crate::settings;

/// The room below which a pull of a common image may fail.
const LEAST_ROOM: u64 = 512 << 20;
/// The files below which it may.
const LEAST_INODES: u64 = 10_000;
/// The time in which a daemon tells of itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// The things that the checks look at.
pub(super) struct Patient {
    pub(super) session: Session,
    config: DaemonConfig,
    pub(super) surveyed: Vec<Surveyed>,
    pub(super) now: Timestamp,
}

/// A check, in the order in which a report has them.
#[derive(Clone, Copy)]
pub(super) enum Check {
    Configuration,
    Engine,
    Space,
    Sockets,
    Registries,
    Proxies,
    Credentials,
    Certificates,
    Clock,
    Network,
}

const CHECKS: [Check; 10] = [
    Check::Configuration,
    Check::Engine,
    Check::Space,
    Check::Sockets,
    Check::Registries,
    Check::Proxies,
    Check::Credentials,
    Check::Certificates,
    Check::Clock,
    Check::Network,
];

/// Does all checks.
pub(super) async fn all(
    globals: &Globals,
    environment: Environment,
    network: bool,
) -> Vec<Finding> {
    let config = settings::engine(&globals.engine, &environment);
    let session = Session::new(globals, environment, true);
    let (config, session) = match (config, session) {
        (Ok(config), Ok(session)) => (config, session),
        // Everything else goes by it.
        (Err(error), _) | (_, Err(error)) => {
            return vec![failed(Check::Configuration.name(), &error)];
        }
    };
    let directories = config.certs_dirs.clone();
    let surveyed = tokio::task::spawn_blocking(move || daemon::survey(&directories)).await;
    let surveyed = surveyed.unwrap_or_default();
    let patient = Patient { session, config, surveyed, now: Timestamp::now() };
    let mut findings = Vec::new();
    for check in CHECKS {
        findings.extend(match check {
            Check::Network if !network => {
                vec![
                    check
                        .well("no registry and no proxy was asked: --network asks them".to_owned()),
                ]
            }
            check => check.look(&patient).await,
        });
    }
    patient.session.client.close().await;
    findings
}

impl Check {
    pub(super) fn name(self) -> &'static str {
        match self {
            Check::Configuration => "configuration",
            Check::Engine => "engine",
            Check::Space => "space",
            Check::Sockets => "sockets",
            Check::Registries => "registries",
            Check::Proxies => "proxies",
            Check::Credentials => "credentials",
            Check::Certificates => "certificates",
            Check::Clock => "clock",
            Check::Network => "network",
        }
    }

    async fn look(self, patient: &Patient) -> Vec<Finding> {
        match self {
            Check::Configuration => self.configuration(patient),
            Check::Engine => vec![self.engine(patient).await],
            Check::Space => self.space(patient).into_iter().collect(),
            Check::Sockets => self.sockets(patient).await,
            Check::Registries => self.registries(patient),
            Check::Proxies => self.proxies(patient),
            Check::Credentials => self.credentials(patient),
            Check::Certificates => self.certificates(patient),
            Check::Clock => vec![self.clock(patient)],
            Check::Network => self.network(patient).await,
        }
    }

    pub(super) fn found(self, state: State, said: String, advice: Option<String>) -> Finding {
        Finding { check: self.name(), state, said, advice }
    }

    pub(super) fn well(self, said: String) -> Finding {
        self.found(State::Well, said, None)
    }

    pub(super) fn bad(self, said: String, advice: impl Into<String>) -> Finding {
        self.found(State::Bad, said, Some(advice.into()))
    }

    fn configuration(self, patient: &Patient) -> Vec<Finding> {
        let folder = match patient.session.own_directory() {
            Ok(folder) => folder.display().to_string(),
            Err(_) => "no folder".to_owned(),
        };
        let said = format!("client files in {folder}, context {}", patient.session.context);
        let warnings = patient.config.warnings.iter();
        let warnings = warnings.map(|warning| self.found(State::Note, warning.clone(), None));
        [self.well(said)].into_iter().chain(warnings).collect()
    }

    /// Asks the daemon, or opens the data root, as any command would.
    async fn engine(self, patient: &Patient) -> Finding {
        let root = patient.config.data_root.display();
        if !patient.session.asks_daemon() && !patient.session.client.has_store() {
            if let Err(error) = settings::require_data_root(&patient.config) {
                return self.bad(
                    error.to_string(),
                    "HOME, LONGSHORE_DATA_ROOT or --data-root names a folder",
                );
            }
            let said = format!("no images yet in {root}");
            return match settings::writable(&patient.config.data_root) {
                Ok(()) => self.well(said + ": the first pull makes it"),
                Err(fault) => self.bad(
                    format!("{said}, and it cannot be made: {fault}"),
                    "choose another folder with --data-root, or run as root",
                ),
            };
        }
        let asked = async {
            let answer = patient.session.client.get("/info", Call::default()).await?;
            answer.json::<Info>().await
        };
        let Ok(asked) = tokio::time::timeout(PATIENCE, asked).await else {
            let said = format!("no answer within {} s", PATIENCE.as_secs());
            return self.bad(said, "look at the daemon's log, and start it again");
        };
        match asked {
            Ok(info) => self.well(format!(
                "{}: {} in {}, driver {}",
                if patient.session.asks_daemon() { "a daemon answers" } else { "this process" },
                spec::counted(info.images, "image"),
                info.docker_root_dir,
                info.driver
            )),
            Err(error) => failed(self.name(), &error),
        }
    }

    fn space(self, patient: &Patient) -> Option<Finding> {
        if patient.session.asks_daemon() {
            return None;
        }
        let root = &patient.config.data_root;
        let stat = root.ancestors().find_map(|path| rustix::fs::statvfs(path).ok())?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let all = stat.f_blocks.saturating_mul(stat.f_frsize);
        let size = |bytes: u64| binary_size(i64::try_from(bytes).unwrap_or(i64::MAX));
        let said = format!("{} of {} free for {}", size(free), size(all), root.display());
        let advice =
            "`longshore system df` tells what takes how much, `longshore prune --all` removes it";
        if free < LEAST_ROOM {
            return Some(self.bad(said, advice));
        }
        if stat.f_files > 0 && stat.f_favail < LEAST_INODES {
            return Some(self.bad(format!("{said}, and only {} inodes", stat.f_favail), advice));
        }
        Some(self.well(said))
    }

    fn registries(self, patient: &Patient) -> Vec<Finding> {
        let config = &patient.config;
        let mut found = Vec::new();
        if !config.registry_mirrors.is_empty() {
            let mirrors = config.registry_mirrors.join(", ");
            found.push(self.well(format!("mirrors of Docker Hub: {mirrors}")));
        }
        for name in &config.insecure_registries {
            let said = format!("{name} is asked without a check of who answers");
            found.push(self.found(State::Note, said, None));
        }
        for one in &patient.surveyed {
            let directory = one.directory.display();
            let faults = one.faults.iter();
            found.extend(
                faults.map(|fault| self.bad(fault.clone(), format!("correct it in {directory}"))),
            );
            if one.has_hosts && one.faults.is_empty() {
                found.push(self.well(format!("{}: hosts by {directory}/hosts.toml", one.registry)));
            }
        }
        found.extend(self.near_misses(patient));
        if found.is_empty() {
            found.push(
                self.well("no mirrors, no hosts.toml: each registry is asked itself".to_owned()),
            );
        }
        found
    }

    /// Folders of a host without the port that the registry has: they are not looked into for it.
    fn near_misses(self, patient: &Patient) -> Vec<Finding> {
        let file = ConfigFile::load(patient.session.config_directory());
        let mut hosts: BTreeSet<String> =
            file.map(|file| file.servers()).unwrap_or_default().into_iter().collect();
        let mirrors = patient.config.registry_mirrors.iter().map(|url| host_of(url).to_owned());
        hosts.extend(mirrors.chain(patient.config.insecure_registries.iter().cloned()));
        let folders: BTreeSet<&str> =
            patient.surveyed.iter().map(|one| one.registry.as_str()).collect();
        let missed = hosts.iter().filter(|host| !folders.contains(host.as_str()));
        missed
            .filter_map(|host| Some((host, host.rsplit_once(':')?.0)))
            .flat_map(|(host, bare)| {
                let near = patient.surveyed.iter().filter(move |one| one.registry == bare);
                near.map(move |one| {
                    let directory = one.directory.display();
                    let said =
                        format!("{directory} is not for {host}: the folder's name lacks the port");
                    let advice = format!("name it {host}, if it is for that registry");
                    self.found(State::Note, said, Some(advice))
                })
            })
            .collect()
    }

    fn credentials(self, patient: &Patient) -> Vec<Finding> {
        let file = match ConfigFile::load(patient.session.config_directory()) {
            Ok(file) => file,
            Err(error) => return vec![failed(self.name(), &error)],
        };
        let path = file.path().display().to_string();
        let mut found: Vec<Finding> = self.ambient().into_iter().collect();
        for name in file.helpers() {
            found.push(if is_helper_installed(name) {
                self.well(format!("helper docker-credential-{name} is installed"))
            } else {
                self.bad(
                    format!("{path} names the helper {name}, and there is no docker-credential-{name} in $PATH"),
                    "install it, or take `credsStore` or `credHelpers` out of the file",
                )
            });
        }
        let kept = file.servers();
        if kept.is_empty() {
            let is_nowhere = patient.session.own_directory().is_err();
            found.push(if is_nowhere {
                let error = CliError::NoConfigDirectory;
                let advice = hints::hint(&error, &Subject::default());
                self.found(State::Note, error.to_string(), advice)
            } else {
                self.well(format!("no logins in {path}"))
            });
            return found;
        }
        // The six lowest bits are those of group and others.
        let mode = fs::metadata(file.path()).map_or(0, |file| file.permissions().mode());
        let said = format!("logins in {path}: {}", kept.join(", "));
        found.push(if mode.trailing_zeros() >= 6 {
            self.well(said)
        } else {
            self.bad(format!("{said}; others may read it"), format!("chmod 600 {path}"))
        });
        found
    }

    /// The logins of the environment, which go before those of the file.
    fn ambient(self) -> Option<Finding> {
        match ambient_entries() {
            Ok(entries) if entries.is_empty() => None,
            Ok(entries) => {
                let hosts: Vec<&str> =
                    entries.iter().map(|entry| host_of(&entry.serveraddress)).collect();
                Some(self.well(format!("logins in {AMBIENT}: {}", hosts.join(", "))))
            }
            Err(reason) => {
                let said =
                    format!("{AMBIENT} cannot be read, and none of its logins count: {reason}");
                Some(self.bad(said, "correct the variable, or unset it"))
            }
        }
    }

    /// A clock that is before what surely was has lost its time.
    fn clock(self, patient: &Patient) -> Finding {
        let now = patient.now;
        let built = BUILD_TIME.parse::<Timestamp>().ok();
        let changed = fs::metadata(&patient.config.data_root).and_then(|root| root.modified());
        let changed = changed.ok().and_then(|time| Timestamp::try_from(time).ok());
        let advice =
            "set the clock (`timedatectl set-ntp true`): certificates and dates of images go by it";
        for (what, then) in
            [("this program was built", built), ("the data root was changed", changed)]
        {
            if let Some(then) = then.filter(|then| now + 5.minutes() < *then) {
                return self.bad(format!("it is {now}, and {what} {then}"), advice);
            }
        }
        self.well(now.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    }
}

/// Returns what is found where something cannot be asked.
pub(super) fn failed(check: &'static str, error: &CliError) -> Finding {
    let advice = hints::hint(error, &Subject::default());
    Finding { check, state: State::Bad, said: error.to_string(), advice }
}
