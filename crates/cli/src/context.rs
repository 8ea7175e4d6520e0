//! The choice of the daemon: flags, environment, and docker's contexts.
//!
//! `--host` and `--context` go before the environment, `DOCKER_HOST` before `DOCKER_CONTEXT`, and that before the
//! context that `docker context use` chose. Where nothing is said, no daemon is meant but the engine of this process.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::client::{Endpoint, Host, TlsMaterial};
use crate::credentials::ConfigFile;
use crate::environment::Environment;
use crate::error::{CliError, in_go_words};
use crate::globals::Globals;

/// The context of who has none.
pub(crate) const DEFAULT: &str = "default";
/// The address where nothing is said but that there is to be TLS, as docker's.
const TLS_HOST: &str = "tcp://localhost:2376";
/// The largest file of a context that is read.
const MAX_FILE: u64 = 1024 * 1024;

/// The daemon that is meant.
#[derive(Debug)]
pub(crate) struct Choice {
    /// The context's name.
    pub(crate) context: String,
    /// The daemon; without one it is the engine of this process.
    pub(crate) endpoint: Option<Endpoint>,
}

/// Finds out which daemon is meant.
pub(crate) fn choose(
    globals: &Globals,
    environment: &Environment,
    config_directory: &Path,
) -> Result<Choice, CliError> {
    if globals.context.is_some() && globals.host.is_some() {
        let message = "conflicting options: cannot specify both --host and --context";
        return Err(CliError::Refused(message.to_owned()));
    }
    // Whoever writes the file finds out what is wrong with it.
    let config =
        ConfigFile::load(config_directory).unwrap_or_else(|_| ConfigFile::empty(config_directory));
    let said = globals.host.as_ref().or(environment.host.as_ref());
    let context = match (&globals.context, said) {
        (Some(context), _) => context.as_str(),
        (None, Some(_)) => DEFAULT,
        (None, None) => {
            let chosen = environment.context.as_deref().or(config.current_context());
            chosen.unwrap_or(DEFAULT)
        }
    };
    let endpoint = if context == DEFAULT {
        from_flags(globals, environment, config_directory)?
    } else if config_directory.as_os_str().is_empty() {
        return Err(CliError::NoConfigDirectory);
    } else {
        Some(stored(&config_directory.join("contexts"), context)?)
    };
    let headers = config.http_headers()?;
    let endpoint = endpoint.map(|endpoint| Endpoint { headers, ..endpoint });
    Ok(Choice { context: context.to_owned(), endpoint })
}

/// The daemon of flags and environment.
fn from_flags(
    globals: &Globals,
    environment: &Environment,
    config_directory: &Path,
) -> Result<Option<Endpoint>, CliError> {
    let flags = &globals.tls;
    let host = match globals.host.as_ref().or(environment.host.as_ref()) {
        Some(host) => Host::parse(host)?,
        // Variables alone do not make a daemon: they may be there for programs that need one.
        None if flags.tls || flags.tlsverify.is_some() => Host::parse(TLS_HOST)?,
        None => return Ok(None),
    };
    // Whoever says anything of verification wants TLS.
    let verify = flags.tlsverify.unwrap_or(environment.tls_verify);
    let wanted = flags.tls || flags.tlsverify.is_some() || environment.tls || verify;
    if !wanted || !host.is_tcp() {
        return Ok(Some(host.into()));
    }
    let directory = environment.tls_directory(config_directory.to_owned());
    let file = |flag: &Option<PathBuf>, name| {
        let path = flag.clone().unwrap_or_else(|| directory.join(name));
        // A certificate that nobody named may be missing.
        let optional = flag.is_none() && name != "ca.pem";
        match read(&path) {
            Err(error) if optional && error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CliError::Host(open_error(&path, &error))),
            Ok(content) => Ok(Some(content)),
        }
    };
    let tls = TlsMaterial {
        authority: file(&flags.tlscacert, "ca.pem")?,
        certificate: file(&flags.tlscert, "cert.pem")?,
        key: file(&flags.tlskey, "key.pem")?,
        skip_verify: !verify,
    };
    Ok(Some(Endpoint { tls: Some(tls), ..host.into() }))
}

/// The daemon in a context's `meta.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    #[serde(default)]
    endpoints: Endpoints,
}

#[derive(Default, Deserialize)]
struct Endpoints {
    docker: Option<DockerEndpoint>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerEndpoint {
    #[serde(default)]
    host: String,
    #[serde(default, rename = "SkipTLSVerify")]
    skip_tls_verify: bool,
}

/// The daemon of a context that `docker context create` stored in the folder `contexts`.
fn stored(contexts: &Path, name: &str) -> Result<Endpoint, CliError> {
    let id = spec::Digest::sha256(name.as_bytes());
    let path = contexts.join("meta").join(id.hex()).join("meta.json");
    let wrong = |reason: String| CliError::Host(format!("context {name:?}: {reason}"));
    let text = read(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            wrong(format!("context not found: {}", open_error(&path, &error)))
        }
        _ => wrong(open_error(&path, &error)),
    })?;
    let metadata: Metadata = serde_json::from_slice(&text)
        .map_err(|error| wrong(format!("parsing {}: {error}", path.display())))?;
    let Some(docker) = metadata.endpoints.docker else {
        return Err(CliError::Host("cannot find docker endpoint in context".to_owned()));
    };
    let host = if docker.host.is_empty() { "unix://" } else { docker.host.as_str() };
    let mut endpoint = Endpoint::from(Host::parse(host)?);
    let folder = contexts.join("tls").join(id.hex()).join("docker");
    let file = |file: &str| match read(&folder.join(file)) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CliError::Host(format!(
            "failed to retrieve TLS data ({file}) for context {name:?}: {}",
            open_error(&folder.join(file), &error)
        ))),
    };
    let tls = TlsMaterial {
        authority: file("ca.pem")?,
        certificate: file("cert.pem")?,
        key: file("key.pem")?,
        skip_verify: docker.skip_tls_verify,
    };
    endpoint.tls = (tls != TlsMaterial::default()).then_some(tls);
    Ok(endpoint)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut content)?;
    Ok(content)
}

/// Says in Go's words why a file cannot be opened.
fn open_error(path: &Path, error: &io::Error) -> String {
    format!("open {}: {}", path.display(), in_go_words(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration folder with the context `remote` over TLS, and `broken` without a daemon.
    fn folder(config: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: PathBuf, text: &str| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let contexts = folder.path().join("contexts");
        for (name, text) in [
            (
                "remote",
                r#"{"Name":"remote","Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":false}}}"#,
            ),
            ("broken", r#"{"Name":"broken","Metadata":{},"Endpoints":{}}"#),
            ("garbage", "garbage"),
        ] {
            let id = spec::Digest::sha256(name.as_bytes());
            write(contexts.join("meta").join(id.hex()).join("meta.json"), text);
            write(contexts.join("tls").join(id.hex()).join("docker/ca.pem"), "authority of remote");
        }
        write(folder.path().join("config.json"), config);
        write(folder.path().join("ca.pem"), "own authority");
        folder
    }

    fn chosen(line: &str, environment: &Environment, config: &str) -> Result<Choice, String> {
        let folder = folder(config);
        let globals = crate::pflag::verb(line.split_whitespace());
        choose(&globals, environment, folder.path())
            .map_err(|error| error.to_string().replace(&*folder.path().to_string_lossy(), "~"))
    }

    #[test]
    fn what_is_said_goes_by_dockers_order() {
        let current = r#"{"currentContext": "remote"}"#;
        for (line, host, context, config, expected) in [
            ("", None, None, "{}", "default in this process"),
            ("", None, None, current, "remote at tcp://far:2376"),
            ("", None, Some("default"), current, "default in this process"),
            ("", None, Some("remote"), "{}", "remote at tcp://far:2376"),
            ("", Some("unix:///x"), Some("remote"), current, "default at unix:///x"),
            ("-H unix:///y", Some("unix:///x"), None, current, "default at unix:///y"),
            ("-c remote", Some("unix:///x"), None, "{}", "remote at tcp://far:2376"),
            ("--context default", Some("unix:///x"), None, current, "default at unix:///x"),
            ("--tls", None, None, "{}", "default at tcp://localhost:2376"),
        ] {
            let text = |text: Option<&str>| text.map(str::to_owned);
            let environment =
                Environment { host: text(host), context: text(context), ..Environment::default() };
            let choice = chosen(line, &environment, config).unwrap();
            let place = choice
                .endpoint
                .map_or("in this process".to_owned(), |endpoint| format!("at {}", endpoint.host));
            assert_eq!(
                format!("{} {place}", choice.context),
                expected,
                "{line} {host:?} {context:?}"
            );
        }
    }

    #[test]
    fn what_cannot_be_found_is_said_in_dockers_words() {
        let environment = Environment::default();
        let failed = "Failed to initialize: unable to resolve docker endpoint: ";
        for (line, expected) in [
            (
                "-c nope",
                format!(
                    "{failed}context \"nope\": context not found: open ~/contexts/meta/\
                     ca3704aa0b06f5954c79ee837faa152d84d6b2d42838f0637a15eda8337dbdce/meta.json: no such file or \
                     directory"
                ),
            ),
            ("-c broken", format!("{failed}cannot find docker endpoint in context")),
            (
                "-c x -H unix:///x",
                "conflicting options: cannot specify both --host and --context".to_owned(),
            ),
            (
                "--tlsverify --tlscacert /no/ca.pem -H tcp://x",
                format!("{failed}open /no/ca.pem: no such file or directory"),
            ),
            (
                "--tls --tlscert /no/cert.pem -H tcp://x",
                format!("{failed}open /no/cert.pem: no such file or directory"),
            ),
        ] {
            assert_eq!(chosen(line, &environment, "{}").unwrap_err(), expected);
        }
        let garbage = chosen("-c garbage", &environment, "{}").unwrap_err();
        assert!(
            garbage.starts_with(&format!("{failed}context \"garbage\": parsing ")),
            "{garbage}"
        );
    }

    #[test]
    fn tls_is_what_docker_makes_of_flags_and_variables() {
        let tcp = "tcp://x:1";
        for (line, verify, tls, host, expected) in [
            ("", false, false, tcp, None),
            ("", true, false, tcp, Some("verified")),
            ("", false, true, tcp, Some("any")),
            ("--tls", false, false, tcp, Some("any")),
            ("--tls", true, false, tcp, Some("verified")),
            ("--tlsverify", false, false, tcp, Some("verified")),
            ("--tlsverify=false", true, false, tcp, Some("any")),
            ("--tlsverify", false, false, "unix:///x", None),
        ] {
            let environment = Environment {
                host: Some(host.to_owned()),
                tls_verify: verify,
                tls,
                ..Environment::default()
            };
            let endpoint = chosen(line, &environment, "{}").unwrap().endpoint.unwrap();
            let found = endpoint.tls.map(|tls| {
                assert_eq!(tls.authority.as_deref(), Some(&b"own authority"[..]));
                assert_eq!((tls.certificate, tls.key), (None, None));
                if tls.skip_verify { "any" } else { "verified" }
            });
            assert_eq!(found, expected, "{line}");
        }
        let far = chosen("-c remote", &Environment::default(), "{}").unwrap();
        let tls = far.endpoint.unwrap().tls.unwrap();
        assert_eq!(tls.authority.as_deref(), Some(&b"authority of remote"[..]));
        assert!(!tls.skip_verify);
    }

    #[test]
    fn headers_of_the_configuration_go_to_daemons() {
        let environment =
            Environment { host: Some("unix:///x".to_owned()), ..Environment::default() };
        let config = r#"{"HttpHeaders": {"X-Team": "blue", "User-Agent": "me", "host": "x"}}"#;
        let endpoint = chosen("", &environment, config).unwrap().endpoint.unwrap();
        let [(name, value)] = endpoint.headers.as_slice() else { panic!("{endpoint:?}") };
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-team", "blue"));
        let config = r#"{"HttpHeaders": {"X Team": "blue"}}"#;
        let error = chosen("", &environment, config).unwrap_err();
        assert!(error.contains("HttpHeaders") && error.contains("X Team"), "{error}");
    }
}
