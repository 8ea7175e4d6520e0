//! The engine's settings: `daemon.json`, the flags, and the defaults of this user.

use std::path::{Path, PathBuf};

use daemon::{ConfigFile, DaemonConfig, Defaults, Directives, Proxies, default_address};

use crate::environment::Environment;
use crate::error::CliError;
use crate::globals::EngineFlags;

/// The configuration file that is read if it exists.
const CONFIG_FILE: &str = "/etc/longshore/daemon.json";
/// The data root of root.
const SYSTEM_DATA_ROOT: &str = "/var/lib/longshore";
/// Directories with certificates of registries, for all users.
const SYSTEM_CERTIFICATES: [&str; 2] = ["/etc/longshore/certs.d", "/etc/docker/certs.d"];
/// The same for one user, below the home directory.
const USER_CERTIFICATES: [&str; 2] = [".config/longshore/certs.d", ".config/docker/certs.d"];

/// Returns the configuration of the engine in this process: the file with the flags over it.
///
/// Unlike a daemon's flags, these may say what the file says as well. The data root of the file in `/etc` is root's
/// and holds for root alone.
pub(crate) fn engine(
    flags: &EngineFlags,
    environment: &Environment,
) -> Result<DaemonConfig, CliError> {
    let defaults = defaults(environment);
    let own_data_root = defaults.data_root.clone();
    let file = config_file(flags);
    let mut config = DaemonConfig::load(&file, &Directives::default(), defaults)
        .map_err(|error| engine_error(&error))?;
    if !environment.is_root && !file.required {
        config.data_root = own_data_root;
    }
    if let Some(data_root) = flags.data_root.as_ref().or(environment.data_root.as_ref()) {
        config.data_root.clone_from(data_root);
    }
    // Paths are the engine's to keep while the process may change its directory. An empty one stays empty.
    config.data_root = std::path::absolute(&config.data_root).unwrap_or(config.data_root);
    if let Some(driver) = flags.storage_driver.as_ref().filter(|driver| !driver.is_empty()) {
        let unknown = || {
            CliError::Engine(format!("unknown storage driver {driver:?}: use overlay2 or packed"))
        };
        config.storage_driver = Some(driver.parse().map_err(|_| unknown())?);
    }
    prefer_certificates(flags, &mut config);
    config.insecure_registries.extend(flags.insecure_registry.iter().cloned());
    config.registry_mirrors.extend(flags.registry_mirror.iter().cloned());
    if let Some(policy) = &flags.image_policy {
        if policy.as_os_str().is_empty() {
            return Err(CliError::Engine("invalid image-policy: there is no file".to_owned()));
        }
        config.image_policy = Some(policy.clone());
    }
    Ok(config)
}

/// Returns the configuration of a daemon: what is in the file must not be in the flags as well, as with dockerd.
pub(crate) fn daemon(
    flags: &EngineFlags,
    mut directives: Directives,
    environment: &Environment,
) -> Result<(DaemonConfig, ConfigFile, Directives), CliError> {
    let text = |path: &PathBuf| path.display().to_string();
    let list = |items: &[String]| (!items.is_empty()).then(|| items.to_vec());
    directives.data_root = flags.data_root.as_ref().map(text);
    directives.storage_driver.clone_from(&flags.storage_driver);
    directives.insecure_registries = list(&flags.insecure_registry);
    directives.registry_mirrors = list(&flags.registry_mirror);
    // A file of settings is nobody's directory; a command is run in one.
    let policy = flags.image_policy.as_ref();
    let policy = policy.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    directives.image_policy = policy.as_ref().map(text);
    let file = config_file(flags);
    let config = DaemonConfig::load(&file, &directives, defaults(environment));
    let mut config = config.map_err(|error| advised(CliError::Serve(error.to_string()), &error))?;
    if flags.data_root.is_none()
        && let Some(data_root) = &environment.data_root
    {
        // Unlike the flag, a variable may be there for all commands, whatever the file of the daemon says.
        config.data_root = std::path::absolute(data_root).unwrap_or_else(|_| data_root.clone());
    }
    prefer_certificates(flags, &mut config);
    require_data_root(&config)?;
    Ok((config, file, directives))
}

/// Puts the directories of the flags before the others.
fn prefer_certificates(flags: &EngineFlags, config: &mut DaemonConfig) {
    let named = flags.certs_dir.iter();
    let named = named.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    config.certs_dirs.splice(..0, named);
}

/// Refuses to work without a data root: the current directory is nobody's intention.
pub(crate) fn require_data_root(config: &DaemonConfig) -> Result<(), CliError> {
    if config.data_root.as_os_str().is_empty() {
        let message = "no data root: set HOME, or give one with --data-root";
        return Err(CliError::DataRoot(message.to_owned()));
    }
    Ok(())
}

/// Says whether a folder could be made, by the first of those around it that there is.
pub(crate) fn writable(path: &Path) -> rustix::io::Result<()> {
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(path);
    if !existing.is_dir() {
        return Err(rustix::io::Errno::NOTDIR);
    }
    rustix::fs::access(existing, rustix::fs::Access::WRITE_OK)
}

/// Returns what holds where neither file nor flags say anything. The data root is empty where there is no default.
pub(crate) fn defaults(environment: &Environment) -> Defaults {
    let host = default_address(environment.is_root, environment.runtime_directory.as_deref());
    let own = environment.home.iter().filter(|_| !environment.is_root);
    let own = own.flat_map(|home| USER_CERTIFICATES.iter().map(|path| home.join(path)));
    Defaults {
        data_root: data_root(environment),
        hosts: host.into_iter().collect(),
        tls_dir: environment.tls_directory(environment.config_directory()),
        tls_verify: environment.tls_verify,
        allow_schema1: environment.allow_schema1,
        certs_dirs: own.chain(SYSTEM_CERTIFICATES.iter().map(PathBuf::from)).collect(),
        proxies: Proxies {
            http: environment.proxies.http.clone(),
            https: environment.proxies.https.clone(),
            all: environment.proxies.all.clone(),
            no_proxy: environment.proxies.no_proxy.clone(),
        },
    }
}

fn data_root(environment: &Environment) -> PathBuf {
    if environment.is_root {
        return PathBuf::from(SYSTEM_DATA_ROOT);
    }
    let of_home = || environment.home.as_ref().map(|home| home.join(".local/share"));
    let share = environment.data_home.clone().or_else(of_home);
    share.map(|share| share.join("longshore")).unwrap_or_default()
}

fn config_file(flags: &EngineFlags) -> ConfigFile {
    match &flags.config_file {
        Some(path) => ConfigFile { path: path.clone(), required: true },
        None => ConfigFile { path: PathBuf::from(CONFIG_FILE), required: false },
    }
}

fn engine_error(error: &daemon::ConfigError) -> CliError {
    advised(CliError::Engine(error.to_string()), error)
}

/// Says below a configuration's error what may have been meant.
fn advised(told: CliError, error: &daemon::ConfigError) -> CliError {
    told.advised(error.advice())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> Environment {
        Environment { home: Some("/home/me".into()), ..Environment::default() }
    }

    fn flags() -> EngineFlags {
        EngineFlags {
            config_file: None,
            data_root: None,
            storage_driver: None,
            certs_dir: Vec::new(),
            insecure_registry: Vec::new(),
            registry_mirror: Vec::new(),
            image_policy: None,
        }
    }

    #[test]
    fn the_data_root_is_the_users() {
        let root = Environment { is_root: true, ..user() };
        let xdg = Environment { data_home: Some("/data".into()), ..user() };
        for (environment, expected) in [
            (user(), "/home/me/.local/share/longshore"),
            (xdg, "/data/longshore"),
            (root, "/var/lib/longshore"),
        ] {
            assert_eq!(defaults(&environment).data_root, Path::new(expected));
        }
    }

    #[test]
    fn a_data_root_of_the_environment_goes_over_the_file_and_under_the_flag() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.json");
        std::fs::write(&path, r#"{"data-root":"/from/file"}"#).unwrap();
        let named = EngineFlags { config_file: Some(path), ..flags() };
        let set = Environment { data_root: Some("/from/variable".into()), ..user() };
        let flag = EngineFlags { data_root: Some("/from/flag".into()), ..flags() };
        assert_eq!(engine(&named, &set).unwrap().data_root, Path::new("/from/variable"));
        assert_eq!(engine(&flag, &set).unwrap().data_root, Path::new("/from/flag"));
        let daemon = |flags| super::daemon(flags, Directives::default(), &set).unwrap().0.data_root;
        assert_eq!(daemon(&named), Path::new("/from/variable"));
        assert_eq!(daemon(&flag), Path::new("/from/flag"));
        let relative = Environment { data_root: Some("here".into()), ..user() };
        let root = engine(&flags(), &relative).unwrap().data_root;
        assert!(root.is_absolute() && root.ends_with("here"), "{root:?}");
    }

    #[test]
    fn without_a_home_the_data_root_must_be_named() {
        let homeless = Environment::default();
        let named = EngineFlags { data_root: Some("/data".into()), ..flags() };
        let root = Environment { is_root: true, ..Environment::default() };
        let xdg = Environment { data_home: Some("/data".into()), ..Environment::default() };
        for (flags, environment, expected) in [
            (flags(), &homeless, false),
            (named, &homeless, true),
            (flags(), &root, true),
            (flags(), &xdg, true),
        ] {
            let config = engine(&flags, environment).unwrap();
            assert_eq!(require_data_root(&config).is_ok(), expected, "{environment:?}");
            let ready = super::daemon(&flags, Directives::default(), environment);
            assert_eq!(ready.is_ok(), expected, "{environment:?}");
        }
    }

    #[test]
    fn flags_go_over_the_file_in_this_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("daemon.json");
        std::fs::write(&path, r#"{"data-root":"/from/file","insecure-registries":["a"]}"#).unwrap();
        let named = EngineFlags { config_file: Some(path), ..flags() };
        assert_eq!(engine(&named, &user()).unwrap().data_root, Path::new("/from/file"));
        let both = EngineFlags {
            data_root: Some("/from/flag".into()),
            insecure_registry: vec!["b".into()],
            certs_dir: vec!["/certs".into()],
            ..named.clone()
        };
        let config = engine(&both, &user()).unwrap();
        assert_eq!(config.data_root, Path::new("/from/flag"));
        assert_eq!(config.insecure_registries, ["a", "b"]);
        assert_eq!(config.certs_dirs[0], Path::new("/certs"));
        assert_eq!(config.certs_dirs.last().unwrap(), Path::new("/etc/docker/certs.d"));
        // A daemon refuses the same.
        let error = super::daemon(&both, Directives::default(), &user()).unwrap_err().to_string();
        assert!(error.contains("both as a flag and in the configuration file"), "{error}");
        let unknown = EngineFlags { storage_driver: Some("aufs".into()), ..flags() };
        assert!(engine(&unknown, &user()).unwrap_err().to_string().contains("aufs"));
    }

    #[test]
    fn a_file_is_no_place_for_a_data_root() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert_eq!(writable(&folder.path().join("a/b")), Ok(()));
        for path in [file.clone(), file.join("below")] {
            assert_eq!(writable(&path), Err(rustix::io::Errno::NOTDIR));
        }
    }
}
