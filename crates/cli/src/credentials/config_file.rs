//! `config.json`, Docker's configuration of the command line.
//!
//! Only what this program knows is looked at; everything else in the file is kept as it is when the file is
//! written again.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use api::auth::AuthConfig;
use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, TRANSFER_ENCODING,
    USER_AGENT,
};
use rustix::fs::OFlags;
use serde_json::{Map, Value, json};

use super::server::host_of;
use crate::error::CliError;

/// The largest file that is read.
const MAX_SIZE: u64 = 16 * 1024 * 1024;
/// Base64 as people write it: its end may be left off.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// The file's name in the configuration directory.
const NAME: &str = "config.json";

/// The configuration file's content.
#[derive(Debug)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    document: Map<String, Value>,
}

impl ConfigFile {
    /// Reads the file in a directory; there need not be one. An empty path is no directory, and holds nothing.
    pub(crate) fn load(directory: &Path) -> Result<ConfigFile, CliError> {
        if directory.as_os_str().is_empty() {
            return Ok(ConfigFile::empty(directory));
        }
        let path = directory.join(NAME);
        let mut text = Vec::new();
        // A pipe that nobody writes to is empty, and keeps nobody waiting.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let file = fs::File::options().read(true).custom_flags(flags).open(&path);
        let read = file.and_then(|file| file.take(MAX_SIZE + 1).read_to_end(&mut text));
        match read {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(CliError::ConfigRead { path, source }),
        }
        let document = if text.iter().all(u8::is_ascii_whitespace) {
            Ok(Map::new())
        } else if text.len() as u64 > MAX_SIZE {
            Err(format!("larger than {MAX_SIZE} bytes"))
        } else {
            serde_json::from_slice(&text).map_err(|error| error.to_string())
        };
        let document =
            document.map_err(|message| CliError::ConfigSyntax { path: path.clone(), message })?;
        let file = ConfigFile { path, document };
        file.check()?;
        Ok(file)
    }

    /// Returns a file without content.
    pub(crate) fn empty(directory: &Path) -> ConfigFile {
        ConfigFile { path: directory.join(NAME), document: Map::new() }
    }

    /// Sees to it that all entries can be read, so that writing the file later loses nothing.
    fn check(&self) -> Result<(), CliError> {
        let syntax = |message: String| CliError::ConfigSyntax { path: self.path.clone(), message };
        for key in ["auths", "credHelpers"] {
            if self.document.get(key).is_some_and(|value| !value.is_object() && !value.is_null()) {
                return Err(syntax(format!("`{key}` is not an object")));
            }
        }
        for (server, entry) in self.auths() {
            read_entry(server, entry).map_err(syntax)?;
        }
        Ok(())
    }

    /// Returns the file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the context that `docker context use` chose.
    pub(crate) fn current_context(&self) -> Option<&str> {
        self.document
            .get("currentContext")
            .and_then(Value::as_str)
            .filter(|context| !context.is_empty())
    }

    /// Returns the headers that every request to a daemon is to have. What this program says itself is not theirs to
    /// change.
    pub(crate) fn http_headers(&self) -> Result<Vec<(HeaderName, HeaderValue)>, CliError> {
        let own = [HOST, USER_AGENT, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING, CONNECTION];
        let mut headers = Vec::new();
        let members = self.document.get("HttpHeaders").and_then(Value::as_object);
        for (name, value) in members.into_iter().flatten() {
            let unfit = || CliError::ConfigSyntax {
                path: self.path.clone(),
                message: format!("`HttpHeaders` has the header {name:?}, which cannot be sent"),
            };
            let value = value.as_str().and_then(|value| HeaderValue::from_str(value).ok());
            let (Ok(name), Some(mut value)) = (HeaderName::try_from(name), value) else {
                return Err(unfit());
            };
            // It may be a token.
            value.set_sensitive(true);
            if !own.contains(&name) {
                headers.push((name, value));
            }
        }
        Ok(headers)
    }

    /// Returns the template that the user set for `images`.
    pub(crate) fn images_format(&self) -> Option<&str> {
        self.document
            .get("imagesFormat")
            .and_then(Value::as_str)
            .filter(|format| !format.is_empty())
    }

    /// Returns the filters that the user set for all prunes, each `NAME=VALUE`.
    pub(crate) fn prune_filters(&self) -> Vec<String> {
        let filters = self.document.get("pruneFilters").and_then(Value::as_array);
        filters.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Returns the credential helper for a server, if one is configured for it or for all.
    pub(crate) fn helper(&self, server: &str) -> Option<&str> {
        let own = self.document.get("credHelpers").and_then(|helpers| helpers.get(server));
        // An empty name for a server keeps it in the file, whatever holds for all others.
        let name = own.or_else(|| self.document.get("credsStore")).and_then(Value::as_str);
        name.filter(|name| !name.is_empty())
    }

    /// Returns the helpers that are configured, for all servers and for single ones.
    pub(crate) fn helpers(&self) -> BTreeSet<&str> {
        let of_servers = self.document.get("credHelpers").and_then(Value::as_object);
        let names =
            of_servers.into_iter().flat_map(Map::values).chain(self.document.get("credsStore"));
        names.filter_map(Value::as_str).filter(|name| !name.is_empty()).collect()
    }

    /// Returns whether the file says anything about credentials.
    pub(crate) fn configures_credentials(&self) -> bool {
        let has_members = |key: &str| {
            self.document
                .get(key)
                .and_then(Value::as_object)
                .is_some_and(|members| !members.is_empty())
        };
        has_members("auths")
            || has_members("credHelpers")
            || self
                .document
                .get("credsStore")
                .and_then(Value::as_str)
                .is_some_and(|name| !name.is_empty())
    }

    /// Says whether remote tags may be asked for while a command line is typed. The key is in the section that docker
    /// keeps for programs beside it, whose values are text.
    pub(crate) fn completes_remotely(&self) -> bool {
        let own = self.document.get("plugins").and_then(|plugins| plugins.get("longshore"));
        let said = own.and_then(|own| own.get("remote-completion"));
        !said.is_some_and(|said| *said == Value::Bool(false) || said.as_str() == Some("false"))
    }

    /// Names no helpers any more, as if the file named none. It is not to be saved then.
    pub(super) fn without_helpers(mut self) -> ConfigFile {
        self.document.retain(|key, _| !matches!(key.as_str(), "credsStore" | "credHelpers"));
        self
    }

    /// Names the helper for all servers, as if the file did.
    pub(crate) fn set_default_helper(&mut self, name: &str) {
        self.document.insert("credsStore".to_owned(), Value::from(name));
    }

    /// Returns the credentials that the file holds for a server: under that very name, or else under a URL of it.
    pub(crate) fn entry(&self, server: &str) -> Option<AuthConfig> {
        let named = self.auths().find(|(key, _)| *key == server);
        let found = named.or_else(|| self.auths().find(|(key, _)| host_of(key) == server));
        found.and_then(|(key, entry)| read_entry(key, entry).ok())
    }

    /// Keeps credentials under their server's name; returns whether that changed anything.
    pub(crate) fn set_entry(&mut self, auth: &AuthConfig) -> bool {
        let entry = write_entry(auth);
        let auths = self.document.entry("auths").or_insert_with(|| json!({}));
        if auths.is_null() {
            *auths = json!({});
        }
        let Some(auths) = auths.as_object_mut() else { return false };
        let before = auths.insert(auth.serveraddress.clone(), entry.clone());
        before.as_ref() != Some(&entry)
    }

    /// Forgets the credentials under this very name; returns whether there were some.
    pub(crate) fn remove_entry(&mut self, server: &str) -> bool {
        let auths = self.document.get_mut("auths").and_then(Value::as_object_mut);
        auths.and_then(|auths| auths.remove(server)).is_some()
    }

    /// Writes the file: aside, readable for the user alone, then in the place of the old one. A file that is a
    /// symbolic link stays one.
    pub(crate) fn save(&self) -> Result<(), CliError> {
        if self.path.parent().is_none_or(|directory| directory.as_os_str().is_empty()) {
            return Err(CliError::NoConfigDirectory);
        }
        let failure = |source: io::Error| CliError::ConfigWrite { path: self.path.clone(), source };
        let target = resolve(&self.path).map_err(failure)?;
        let directory = target.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(directory).map_err(failure)?;
        let mut file =
            tempfile::Builder::new().prefix(NAME).tempfile_in(directory).map_err(failure)?;
        let text = tab_indented(&self.document);
        file.write_all(text.as_bytes()).map_err(failure)?;
        keep_owner_and_mode(&target, file.as_file()).map_err(failure)?;
        file.as_file().sync_all().map_err(failure)?;
        file.persist(&target).map_err(|error| failure(error.error))?;
        Ok(())
    }

    /// Returns the servers that there are credentials for, Docker Hub left out: it is what no name means.
    pub(crate) fn servers(&self) -> Vec<String> {
        let helpers = self.document.get("credHelpers").and_then(Value::as_object).into_iter();
        let named = self.auths().map(|(key, _)| key).chain(helpers.flat_map(Map::keys));
        let hosts = named.map(|key| host_of(key).to_owned());
        hosts.filter(|host| host != "index.docker.io").collect()
    }

    fn auths(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.document.get("auths").and_then(Value::as_object).into_iter().flatten()
    }
}

/// Returns the file that a path means in the end; a link may point to where no file is yet.
fn resolve(path: &Path) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Ok(path) => Ok(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::read_link(path) {
            Ok(link) => Ok(path.parent().unwrap_or(Path::new(".")).join(link)),
            Err(_) => Ok(path.to_owned()),
        },
        Err(error) => Err(error),
    }
}

/// Gives the new file the mode and, where that is allowed, the owner of the one that it replaces. Without one it
/// stays as it was made: mode 0600.
fn keep_owner_and_mode(old: &Path, new: &fs::File) -> io::Result<()> {
    let Ok(metadata) = fs::metadata(old) else { return Ok(()) };
    new.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o777))?;
    let _ = std::os::unix::fs::fchown(new, Some(metadata.uid()), Some(metadata.gid()));
    Ok(())
}

fn tab_indented(document: &Map<String, Value>) -> String {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    // A map of JSON values always serialises, into memory always.
    let _ = serde::Serialize::serialize(document, &mut serializer);
    String::from_utf8(bytes).unwrap_or_default()
}

/// Reads the credentials of one server.
pub(super) fn read_entry(server: &str, entry: &Value) -> Result<AuthConfig, String> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut auth = AuthConfig {
        username: text("username"),
        password: text("password"),
        serveraddress: server.to_owned(),
        identitytoken: text("identitytoken"),
        registrytoken: text("registrytoken"),
    };
    let encoded = text("auth");
    if !encoded.is_empty() {
        let invalid = || format!("invalid auth configuration for `{server}`");
        // `base64` without `-w0` breaks lines, which Go passes over.
        let encoded = encoded.replace(['\r', '\n'], "");
        let decoded = LENIENT.decode(encoded.trim()).map_err(|_| invalid())?;
        let decoded = String::from_utf8(decoded).map_err(|_| invalid())?;
        let (user, password) =
            decoded.split_once(':').filter(|(user, _)| !user.is_empty()).ok_or_else(invalid)?;
        user.clone_into(&mut auth.username);
        password.trim_matches('\0').clone_into(&mut auth.password);
    }
    Ok(auth)
}

fn write_entry(auth: &AuthConfig) -> Value {
    let mut entry = Map::new();
    if !auth.username.is_empty() || !auth.password.is_empty() {
        let encoded = STANDARD.encode(format!("{}:{}", auth.username, auth.password));
        entry.insert("auth".to_owned(), Value::from(encoded));
    }
    for (key, value) in
        [("identitytoken", &auth.identitytoken), ("registrytoken", &auth.registrytoken)]
    {
        if !value.is_empty() {
            entry.insert(key.to_owned(), Value::from(value.as_str()));
        }
    }
    Value::Object(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> (tempfile::TempDir, Result<ConfigFile, CliError>) {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(NAME), text).unwrap();
        let file = ConfigFile::load(directory.path());
        (directory, file)
    }

    #[test]
    fn malformed_files_are_refused_and_not_replaced() {
        for text in [
            "{",
            "[]",
            r#"{"auths":[]}"#,
            r#"{"auths":{"x":{"auth":"%%%"}}}"#,
            r#"{"auths":{"x":{"auth":"bm9jb2xvbg=="}}}"#,
            r#"{"auths":{"x":{"auth":"OnNlY3JldA=="}}}"#,
            r#"{"credHelpers":"x"}"#,
        ] {
            let (_directory, file) = load(text);
            let error = file.unwrap_err();
            assert!(matches!(error, CliError::ConfigSyntax { .. }), "{text}: {error:?}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn entries_are_found_by_name_and_by_host() {
        let (_directory, file) = load(
            r#"{"auths":{
                "https://index.docker.io/v1/":{"auth":"aHViOnB3"},
                "https://old.example/v1/":{"auth":"b2xkOnB3"},
                "wrapped.example":{"auth":"dXNl\r\ncjpwdw\n==\n"},
                "bare.example":{"auth":"dXNlcjpwdw"},
                "new.example:5000":{"auth":"bmV3OmE6Yg==","identitytoken":"tok"}}}"#,
        );
        let file = file.unwrap();
        for (server, expected) in [
            ("https://index.docker.io/v1/", Some(("hub", "pw", ""))),
            ("old.example", Some(("old", "pw", ""))),
            ("wrapped.example", Some(("user", "pw", ""))),
            ("bare.example", Some(("user", "pw", ""))),
            ("new.example:5000", Some(("new", "a:b", "tok"))),
            ("new.example", None),
            ("example", None),
        ] {
            let found = file.entry(server);
            let found = found.as_ref().map(|auth| {
                (auth.username.as_str(), auth.password.as_str(), auth.identitytoken.as_str())
            });
            assert_eq!(found, expected, "{server}");
        }
    }

    #[test]
    fn helpers_are_chosen_by_server_then_for_all() {
        let (_directory, file) =
            load(r#"{"credsStore":"all","credHelpers":{"own.example":"own","file.example":""}}"#);
        let file = file.unwrap();
        assert_eq!(file.helper("own.example"), Some("own"));
        assert_eq!(file.helper("other.example"), Some("all"));
        assert_eq!(file.helper("file.example"), None);
    }

    #[test]
    fn a_written_file_keeps_what_it_does_not_know() {
        let text = r#"{"auths":{"gone.example":{"auth":"YTpi"},"x.example":{"auth":"YTpi","email":"a@b"}},
            "HttpHeaders":{"X":"y"},"plugins":{"p":{"o":"v"}},"somethingNew":[1,{"z":null}]}"#;
        let (directory, file) = load(text);
        let mut file = file.unwrap();
        assert!(file.remove_entry("gone.example"));
        assert!(!file.remove_entry("gone.example"));
        let auth = AuthConfig {
            username: "me".into(),
            password: "pass".into(),
            serveraddress: "new.example".into(),
            ..AuthConfig::default()
        };
        assert!(file.set_entry(&auth));
        assert!(!file.set_entry(&auth));
        file.save().unwrap();
        let written: Value =
            serde_json::from_slice(&fs::read(directory.path().join(NAME)).unwrap()).unwrap();
        let expected: Value = serde_json::from_str(
            r#"{"auths":{"x.example":{"auth":"YTpi","email":"a@b"},"new.example":{"auth":"bWU6cGFzcw=="}},
            "HttpHeaders":{"X":"y"},"plugins":{"p":{"o":"v"}},"somethingNew":[1,{"z":null}]}"#,
        )
        .unwrap();
        assert_eq!(written, expected);
        assert_eq!(ConfigFile::load(directory.path()).unwrap().entry("new.example"), Some(auth));
    }

    #[test]
    fn a_new_file_is_the_users_alone_and_an_old_one_keeps_its_mode_and_link() {
        let directory = tempfile::tempdir().unwrap();
        let nested = directory.path().join("a/b");
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        let file = ConfigFile::load(&nested).unwrap();
        file.save().unwrap();
        assert_eq!(mode(&nested.join(NAME)), 0o600);

        let real = directory.path().join("real.json");
        fs::write(&real, "{}").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        let link = directory.path().join(NAME);
        std::os::unix::fs::symlink("real.json", &link).unwrap();
        let mut file = ConfigFile::load(directory.path()).unwrap();
        file.set_default_helper("pass");
        file.save().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(mode(&real), 0o640);
        assert_eq!(fs::read_to_string(&real).unwrap(), "{\n\t\"credsStore\": \"pass\"\n}");
    }
}
