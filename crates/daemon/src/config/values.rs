//! Values of directives: each check takes what is said and puts a setting in its place.
//!
//! An empty text is as good as none, and zero is Docker's way to say "the default": the setting stays as it is.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use api::{ApiVersion, Filters};
use policy::Verifiers;
use serde_json::json;
use spec::go::parse_long_duration;
use store::DriverKind;

use super::address::ListenAddress;
use super::error::ConfigError;
use super::settings::{
    Group, KeepBlobs, KeepBlobsDirective, LEAST_PRUNE_INTERVAL, LogFormat, PRUNE_INTERVAL,
    PruneDirective, PruneSchedule, VerifiersDirective,
};
use crate::prune::policy::policy;

type Checked = Result<(), ConfigError>;

/// Takes any value.
#[expect(clippy::unnecessary_wraps, reason = "the signature of all checks")]
pub(super) fn set<T>(said: T, setting: &mut T) -> Checked {
    *setting = said;
    Ok(())
}

/// Takes any value, where that nothing is said has a meaning of its own.
#[expect(clippy::unnecessary_wraps, reason = "the signature of all checks")]
pub(super) fn said<T>(said: T, setting: &mut Option<T>) -> Checked {
    *setting = Some(said);
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of all checks")]
pub(super) fn optional_text(said: String, setting: &mut Option<String>) -> Checked {
    if !said.is_empty() {
        *setting = Some(said);
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of all checks")]
pub(super) fn path(said: String, setting: &mut PathBuf) -> Checked {
    if !said.is_empty() {
        *setting = said.into();
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of all checks")]
pub(super) fn optional_path(said: String, setting: &mut Option<PathBuf>) -> Checked {
    if !said.is_empty() {
        *setting = Some(said.into());
    }
    Ok(())
}

/// Takes the file of the policy. Who names none has asked for a protection that there is not.
pub(super) fn policy_file(said: String, setting: &mut Option<PathBuf>) -> Checked {
    if said.is_empty() {
        return Err(ConfigError::PolicyFile);
    }
    let path = PathBuf::from(said);
    if path.is_relative() {
        return Err(ConfigError::PolicyPath(path));
    }
    *setting = Some(path);
    Ok(())
}

/// Takes a number that fits. `what` is dockerd's name of it.
pub(super) fn number<T: TryFrom<i64>>(what: &'static str) -> impl Fn(i64, &mut T) -> Checked {
    move |value, setting| {
        if value != 0 {
            *setting = T::try_from(value).map_err(|_| ConfigError::Number { name: what, value })?;
        }
        Ok(())
    }
}

/// Takes a number of seconds.
pub(super) fn seconds(what: &'static str) -> impl Fn(i64, &mut Duration) -> Checked {
    move |value, setting| {
        let mut seconds = setting.as_secs();
        number(what)(value, &mut seconds)?;
        *setting = Duration::from_secs(seconds);
        Ok(())
    }
}

/// Takes a number of seconds. One below zero is dockerd's way to say "for ever".
#[expect(clippy::unnecessary_wraps, reason = "the signature of all checks")]
pub(super) fn timeout(value: i64, setting: &mut Option<Duration>) -> Checked {
    *setting = u64::try_from(value).ok().map(Duration::from_secs);
    Ok(())
}

/// Takes addresses, sorted, each once. Blank ones count as none.
pub(super) fn addresses(mut said: Vec<String>, setting: &mut Vec<ListenAddress>) -> Checked {
    said.retain(|address| !address.trim().is_empty());
    if !said.is_empty() {
        *setting = said.iter().map(|address| address.parse()).collect::<Result<_, _>>()?;
        setting.sort_by_key(ToString::to_string);
        setting.dedup();
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "the signature of all checks")]
pub(super) fn group(name: String, setting: &mut Group) -> Checked {
    *setting = Group { required: !name.is_empty(), name };
    Ok(())
}

pub(super) fn driver(name: String, setting: &mut Option<DriverKind>) -> Checked {
    if !name.is_empty() {
        *setting = Some(name.parse().map_err(|_| ConfigError::StorageDriver(name))?);
    }
    Ok(())
}

/// Takes labels as dockerd does: names and values, each name once.
pub(super) fn labels(labels: Vec<String>, setting: &mut Vec<String>) -> Checked {
    let mut kept: Vec<String> = Vec::with_capacity(labels.len());
    for label in labels {
        let Some((name, _)) = label.split_once('=') else {
            return Err(ConfigError::Label(label));
        };
        let lowered = label.to_ascii_lowercase();
        if ["com.docker.", "io.docker.", "org.dockerproject."]
            .iter()
            .any(|own| lowered.starts_with(own))
        {
            return Err(ConfigError::ReservedLabel(label));
        }
        let same = |other: &&String| other.split_once('=').is_some_and(|(other, _)| other == name);
        match kept.iter().find(same) {
            Some(other) if *other != label => {
                return Err(ConfigError::LabelConflict(label, other.clone()));
            }
            Some(_) => {}
            None => kept.push(label),
        }
    }
    *setting = kept;
    Ok(())
}

/// Takes a level by dockerd's name.
pub(super) fn level(name: String, setting: &mut tracing::Level) -> Checked {
    *setting = match name.to_ascii_lowercase().as_str() {
        "" => return Ok(()),
        "panic" | "fatal" | "error" => tracing::Level::ERROR,
        "warn" => tracing::Level::WARN,
        "info" => tracing::Level::INFO,
        "debug" => tracing::Level::DEBUG,
        "trace" => tracing::Level::TRACE,
        _ => return Err(ConfigError::LogLevel(name)),
    };
    Ok(())
}

pub(super) fn log_format(name: String, setting: &mut LogFormat) -> Checked {
    *setting = match name.as_str() {
        "" | "text" => LogFormat::Text,
        "json" => LogFormat::Json,
        _ => return Err(ConfigError::LogFormat(name)),
    };
    Ok(())
}

/// Takes switches, but for the one that would need another store.
pub(super) fn features(
    said: BTreeMap<String, bool>,
    setting: &mut BTreeMap<String, bool>,
) -> Checked {
    if said.get("containerd-snapshotter") == Some(&true) {
        return Err(ConfigError::Snapshotter);
    }
    *setting = said;
    Ok(())
}

/// Takes what is to stay of an image's content, by its word or as a truth value.
pub(super) fn keep_blobs(said: KeepBlobsDirective, setting: &mut KeepBlobs) -> Checked {
    *setting = match said {
        KeepBlobsDirective::Truth(true) => KeepBlobs::All,
        KeepBlobsDirective::Truth(false) => KeepBlobs::Manifests,
        KeepBlobsDirective::Word(word) => match word.as_str() {
            "" => return Ok(()),
            "all" | "true" | "1" => KeepBlobs::All,
            "manifests" | "false" | "0" => KeepBlobs::Manifests,
            _ => return Err(ConfigError::KeepBlobs(word)),
        },
    };
    Ok(())
}

/// Takes a schedule whose filters make a policy.
pub(super) fn schedule(said: PruneDirective, setting: &mut Option<PruneSchedule>) -> Checked {
    let mut filters = Filters::default();
    for filter in &said.filter {
        let (name, value) =
            filter.split_once('=').ok_or_else(|| ConfigError::PruneFilter(filter.clone()))?;
        filters.add(name, value);
    }
    let keep_last = said.keep_last.map(|count| count.to_string());
    let single =
        [("keep-last", keep_last), ("unused-for", said.unused_for), ("max-size", said.max_size)];
    let patterns = said.reference.into_iter().map(|pattern| ("reference", Some(pattern)));
    for (name, value) in single.into_iter().chain(patterns) {
        if let Some(value) = value {
            filters.add(name, value);
        }
    }
    policy(&filters)?;
    let interval = match said.interval {
        None => PRUNE_INTERVAL,
        Some(text) => {
            let nanoseconds = parse_long_duration(&text).ok().map(u64::try_from);
            let interval = nanoseconds.and_then(Result::ok).map(Duration::from_nanos);
            let long = interval.filter(|interval| *interval >= LEAST_PRUNE_INTERVAL);
            long.ok_or(ConfigError::PruneInterval(text))?
        }
    };
    *setting = Some(PruneSchedule { interval, filters });
    Ok(())
}

/// Takes the directory of verifiers. Who names none has asked for a protection that there is not.
pub(super) fn verifiers(said: VerifiersDirective, setting: &mut Option<Verifiers>) -> Checked {
    if said.directory.is_empty() {
        return Err(ConfigError::VerifierDirectory);
    }
    let mut verifiers = Verifiers::new(said.directory.into());
    verifiers.credentials = said.credentials;
    if let Some(text) = said.timeout {
        let nanoseconds = parse_long_duration(&text).ok().map(u64::try_from);
        let timeout = nanoseconds.and_then(Result::ok).map(Duration::from_nanos);
        let some = timeout.filter(|timeout| !timeout.is_zero());
        verifiers.timeout = some.ok_or(ConfigError::VerifierTimeout(text))?;
    }
    *setting = Some(verifiers);
    Ok(())
}

/// Takes a version that the daemon speaks.
pub(super) fn api_version(version: String, setting: &mut ApiVersion) -> Checked {
    if version.is_empty() {
        return Ok(());
    }
    let spoken = ApiVersion::MINIMUM..=ApiVersion::CURRENT;
    let known = version.parse().ok().filter(|version| spoken.contains(version));
    *setting = known.ok_or(ConfigError::MinApiVersion(version))?;
    Ok(())
}

/// Takes the old name of `data-root`, which is an error beside the new one.
pub(super) fn graph(
    said: String,
    is_alone: bool,
    setting: &mut PathBuf,
    warnings: &mut Vec<String>,
) -> Checked {
    if said.is_empty() {
        return Ok(());
    }
    if !is_alone {
        return Err(ConfigError::Graph);
    }
    warnings.push("the directive graph is the old name of data-root".to_owned());
    path(said, setting)
}

/// Checks options of the storage driver.
pub(super) fn storage_options(options: Vec<String>, warnings: &mut Vec<String>) -> Checked {
    for option in options {
        let Some((name, value)) = option.split_once('=') else {
            return Err(ConfigError::StorageOptionSyntax(option));
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "overlay2.override_kernel_check" => {}
            "overlay2.size" => warnings.push(format!(
                "the storage option overlay2.size={value} limits what containers write, and means nothing here"
            )),
            unknown => return Err(ConfigError::StorageOption(unknown.to_owned())),
        }
    }
    Ok(())
}

/// Refuses plugins. Nothing asks for a protection in an empty list, as with dockerd.
pub(super) fn plugins(said: &[String]) -> Checked {
    if said.is_empty() {
        return Ok(());
    }
    Err(ConfigError::Protection {
        directive: "authorization-plugins",
        lack: "no plugin is asked whether a request is allowed",
    })
}

/// Refuses to shift owners.
pub(super) fn remap(said: &str) -> Checked {
    if said.is_empty() {
        return Ok(());
    }
    Err(ConfigError::Protection {
        directive: "userns-remap",
        lack: "the owners of an image's files are not shifted",
    })
}

/// A list in the event of a reload.
pub(super) fn list(items: &[String]) -> String {
    json!(items).to_string()
}

/// Switches in the event of a reload.
pub(super) fn switches(switches: &BTreeMap<String, bool>) -> String {
    let switches: Vec<_> = switches.iter().map(|(name, on)| format!("{name}:{on}")).collect();
    format!("map[{}]", switches.join(" "))
}

/// A timeout in the event of a reload.
#[expect(clippy::ref_option, reason = "a setting is told by reference, whatever its type")]
pub(super) fn told_timeout(timeout: &Option<Duration>) -> String {
    timeout.map_or(-1, |timeout| timeout.as_secs().cast_signed()).to_string()
}
