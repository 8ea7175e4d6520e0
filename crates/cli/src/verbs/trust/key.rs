//! `longshore trust key`: keys of signers.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use trust::{LoadError, TrustError};

use super::signing::keys;
use crate::error::{CliError, in_go_words};
use crate::output;
use crate::session::Session;
use crate::values;

/// The largest file of a key that is read.
const MAX_FILE: u64 = 64 << 10;

/// The verbs of `longshore trust key`.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum KeyVerb {
    Generate(Generate),
    Load(Load),
}

/// Generate and load a signing key-pair
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore trust key generate NAME")]
pub(crate) struct Generate {
    /// Directory to generate key in, defaults to current directory
    #[arg(long, value_name = "string", value_parser = values::path())]
    dir: Option<PathBuf>,
    #[arg(hide = true, value_name = "NAME")]
    name: String,
}

/// Load a private key file for signing
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore trust key load [OPTIONS] KEYFILE")]
pub(crate) struct Load {
    /// Name for the loaded key
    #[arg(long, value_name = "string", default_value = "signer")]
    name: String,
    #[arg(hide = true, value_name = "KEYFILE")]
    file: PathBuf,
}

/// Does what a verb asks for.
pub(crate) async fn run(verb: KeyVerb, session: &Session) -> Result<(), CliError> {
    match verb {
        KeyVerb::Generate(arguments) => generate(arguments, session).await,
        KeyVerb::Load(arguments) => load(arguments, session).await,
    }
}

/// Says whether a name is one of a signer.
pub(super) fn is_good_name(name: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    name.bytes().next().is_some_and(is_good)
        && name.bytes().all(|byte| is_good(byte) || matches!(byte, b'_' | b'-'))
}

pub(super) fn bad_name(kind: &str, name: &str) -> CliError {
    CliError::Refused(format!(
        "{kind} name \"{name}\" must start with lowercase alphanumeric characters and can include \"-\" or \"_\" after the first character"
    ))
}

async fn generate(arguments: Generate, session: &Session) -> Result<(), CliError> {
    let name = arguments.name.as_str();
    if !is_good_name(name) {
        return Err(bad_name("key", name));
    }
    let directory = match arguments.dir.filter(|directory| !directory.as_os_str().is_empty()) {
        Some(directory) => directory,
        None => std::env::current_dir().map_err(|error| CliError::Trust(in_go_words(&error)))?,
    };
    if fs::metadata(&directory).is_err() {
        let message = format!("public key path does not exist: \"{}\"", directory.display());
        return Err(CliError::Trust(message));
    }
    // As Go joins paths.
    let directory: PathBuf = directory.components().collect();
    let path = directory.join(format!("{name}.pub"));
    if fs::metadata(&path).is_ok() {
        let message = format!("public key file already exists: \"{}\"", path.display());
        return Err(CliError::Trust(message));
    }
    output::print_line(&format!("Generating key for {name}..."))?;
    let failed =
        |error: TrustError| CliError::Trust(format!("failed to generate key for {name}: {error}"));
    let key = keys(session)?.create(name, "").await.map_err(failed)?;
    let text = key.public().to_pem(name);
    write_new(&path, &text).map_err(|error| {
        let path = path.display();
        let reason = in_go_words(&error);
        CliError::Trust(format!("failed to write public key to {path}: open {path}: {reason}"))
    })?;
    output::print_line(&format!(
        "Successfully generated and loaded private key. Corresponding public key available: {}",
        path.display()
    ))
}

fn write_new(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

async fn load(arguments: Load, session: &Session) -> Result<(), CliError> {
    let name = arguments.name.as_str();
    if !name.is_empty() && !is_good_name(name) {
        return Err(bad_name("key", name));
    }
    let path = arguments.file.display();
    output::print_line(&format!("Loading key from \"{path}\"..."))?;
    let text = private(&arguments.file)
        .map_err(|reason| CliError::Trust(format!("refusing to load key from {path}: {reason}")))?;
    let loaded =
        keys(session)?.load(&text, if name.is_empty() { "delegation" } else { name }).await;
    loaded.map_err(|error| {
        let reason = match &error {
            LoadError::Unsupported => format!(
                "provided file {path} is not a supported private key - to add a signer's public key use docker trust signer add"
            ),
            LoadError::Undecryptable => {
                format!("cannot load key from provided file {path}: could not decrypt key")
            }
            LoadError::Invalid(warning) => {
                output::warn_line(&format!("WARNING: {warning}"));
                error.to_string()
            }
            LoadError::Kept(_) => error.to_string(),
        };
        CliError::Trust(format!("error importing key from {path}: {reason}"))
    })?;
    output::print_line(&format!("Successfully imported key from {path}"))
}

/// Reads a file that only its owner may read or write.
fn private(path: &Path) -> Result<Vec<u8>, String> {
    let shown = path.display();
    let failed =
        |action: &str, error: std::io::Error| format!("{action} {shown}: {}", in_go_words(&error));
    let metadata = fs::metadata(path).map_err(|error| failed("stat", error))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(format!("private key file {shown} must not be readable or writable by others"));
    }
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut text))
        .map_err(|error| failed("open", error))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_lower_case() {
        for (name, good) in [
            ("ann", true),
            ("0a-_", true),
            ("-a", false),
            ("Ann", false),
            ("", false),
            ("a.b", false),
        ] {
            assert_eq!(is_good_name(name), good, "{name}");
        }
    }
}
