//! From TOML to hosts. What is wrong is told with its line and key, never with its value: headers hold secrets.

use std::path::{Path, PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use reqwest::Url;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    duration,
    tables::{HostTable, HostsFile, Server, Settings},
};
use crate::{SettingsError, error::redact::quoted, hosts::access::Capabilities};

/// The most hosts of a file: all of them may have to be asked before an answer is had.
const MAX_HOSTS: usize = 32;
/// The most entries of any list of a host.
const MAX_ENTRIES: usize = 64;

/// The keys of a host, and of the file itself.
const HOST_KEYS: [&str; 7] =
    ["capabilities", "ca", "client", "skip_verify", "override_path", "header", "dial_timeout"];
/// The keys that only the file itself has.
const FILE_KEYS: [&str; 2] = ["server", "host"];

type Value<'i> = Spanned<DeValue<'i>>;

/// Parses a file that lies at `path`.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<HostsFile, SettingsError> {
    let parser = Parser { path, bytes, warnings: Vec::new() };
    parser.file()
}

struct Parser<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    warnings: Vec<String>,
}

impl<'a> Parser<'a> {
    fn fail(&self, offset: usize, reason: impl Into<String>) -> SettingsError {
        let (path, line) = (self.path.to_owned(), self.line(offset));
        SettingsError::HostsFile { path, line, reason: reason.into() }
    }

    fn line(&self, offset: usize) -> usize {
        let before = self.bytes.get(..offset).unwrap_or(self.bytes);
        before.split(|&byte| byte == b'\n').count()
    }

    fn wrong_type(&self, value: &Value<'_>, key: &str, expected: &str) -> SettingsError {
        let found = value.get_ref().type_str();
        self.fail(value.span().start, format!("`{key}` is not {expected}, but of type {found}"))
    }

    fn warn(&mut self, offset: usize, text: &str) {
        if self.warnings.len() < MAX_ENTRIES {
            let line = self.line(offset);
            self.warnings.push(format!("{}:{line}: {text}", self.path.display()));
        }
    }

    fn file(mut self) -> Result<HostsFile, SettingsError> {
        let bytes: &'a [u8] = self.bytes;
        let text = std::str::from_utf8(bytes)
            .map_err(|error| self.fail(error.valid_up_to(), "not UTF-8"))?;
        let root = DeTable::parse(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start);
            self.fail(offset, format!("invalid TOML: {}", error.message()))
        })?;
        let mut server = None;
        let mut hosts = Vec::new();
        let settings = self.settings(root.get_ref(), "", |parser, key, value| {
            match key {
                "server" => {
                    let text = parser.text(value, "server")?;
                    // As if it were not there.
                    if !text.is_empty() {
                        server = Some((text.to_owned(), value.span().start));
                    }
                }
                "host" => hosts = parser.hosts(value)?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let server = if let Some((text, offset)) = server {
            Server::Named(self.host(&text, "server", offset, settings)?)
        } else {
            if settings.capabilities != Capabilities::ALL {
                let text =
                    "`capabilities` without `server` does nothing: the registry itself can do all";
                self.warn(0, text);
            }
            if settings.override_path {
                self.warn(0, "`override_path` without `server` does nothing");
            }
            let capabilities = Capabilities::ALL;
            Server::Itself(Settings { capabilities, override_path: false, ..settings })
        };
        Ok(HostsFile { path: self.path.to_owned(), hosts, server, warnings: self.warnings })
    }

    /// Reads the tables of `host`, in the order of their first mention.
    fn hosts(&mut self, value: &Value<'_>) -> Result<Vec<HostTable>, SettingsError> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.wrong_type(value, "host", "a table"));
        };
        if table.len() > MAX_HOSTS {
            return Err(self.fail(value.span().start, format!("more than {MAX_HOSTS} hosts")));
        }
        let mut entries: Vec<_> =
            table.iter().map(|(key, value)| (begin(key, value), key, value)).collect();
        entries.sort_by_key(|(offset, ..)| *offset);
        let mut hosts = Vec::with_capacity(entries.len());
        for (offset, key, value) in entries {
            let name = shown_key(key.get_ref());
            let DeValue::Table(table) = value.get_ref() else {
                return Err(self.wrong_type(value, &name, "a table"));
            };
            let settings = self.settings(table, &name, |_, _, _| Ok(false))?;
            hosts.push(self.host(key.get_ref(), &name, offset, settings)?);
        }
        Ok(hosts)
    }

    /// Reads what a host and the file itself have in common. `other` takes what only one of them has.
    fn settings(
        &mut self,
        table: &DeTable<'_>,
        host: &str,
        mut other: impl FnMut(&mut Self, &str, &Value<'_>) -> Result<bool, SettingsError>,
    ) -> Result<Settings, SettingsError> {
        let mut settings = Settings::default();
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let (key, offset) = (key.get_ref().as_ref(), key.span().start);
            match key {
                "capabilities" => settings.capabilities = self.capabilities(value)?,
                "ca" => settings.authorities = self.paths(value, "ca")?,
                "client" => settings.identities = self.identities(value)?,
                "skip_verify" => settings.skip_verify = Some(self.boolean(value, "skip_verify")?),
                "override_path" => settings.override_path = self.boolean(value, "override_path")?,
                "header" => settings.headers = self.headers(value)?,
                "dial_timeout" => {
                    let text = self.text(value, "dial_timeout")?;
                    if !text.is_empty() {
                        let parsed = duration::parse(text).filter(|time| !time.is_zero());
                        let Some(parsed) = parsed else {
                            let reason = format!("`dial_timeout` is no duration: {}", quoted(text));
                            return Err(self.fail(value.span().start, reason));
                        };
                        settings.dial_timeout = Some(parsed);
                    }
                }
                _ => {
                    if !other(self, key, value)? {
                        let place = if host.is_empty() { "" } else { " of " };
                        let own = if host.is_empty() { &FILE_KEYS[..] } else { &[] };
                        let meant = spec::nearest(key, HOST_KEYS.iter().chain(own).copied());
                        let meant = meant.map(|meant| format!(": did you mean {meant:?}?"));
                        let (key, meant) = (shown_key(key), meant.unwrap_or_default());
                        self.warn(offset, &format!("unknown key {key}{place}{host}{meant}"));
                    }
                }
            }
        }
        Ok(settings)
    }

    fn capabilities(&self, value: &Value<'_>) -> Result<Capabilities, SettingsError> {
        let mut found = Capabilities { pull: false, resolve: false, push: false };
        let names = self.texts(value, "capabilities")?;
        if names.is_empty() {
            return Ok(Capabilities::ALL);
        }
        for (name, offset) in names {
            match name.to_ascii_lowercase().as_str() {
                "pull" => found.pull = true,
                "resolve" => found.resolve = true,
                "push" => found.push = true,
                // Something that is never asked for here.
                "referrers" => {}
                _ => {
                    let reason = format!("unknown capability {}", quoted(name));
                    return Err(self.fail(offset, reason));
                }
            }
        }
        Ok(found)
    }

    fn paths(&self, value: &Value<'_>, key: &str) -> Result<Vec<PathBuf>, SettingsError> {
        if let DeValue::String(text) = value.get_ref() {
            return Ok(vec![self.resolved(text)]);
        }
        Ok(self.texts(value, key)?.into_iter().map(|(text, _)| self.resolved(text)).collect())
    }

    /// Returns a path that may be relative to the file's directory.
    fn resolved(&self, text: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(text)
    }

    fn identities(
        &self,
        value: &Value<'_>,
    ) -> Result<Vec<(PathBuf, Option<PathBuf>)>, SettingsError> {
        let expected = "a path, a list of paths or a list of pairs of paths";
        let items = match value.get_ref() {
            DeValue::String(text) => return Ok(vec![(self.resolved(text), None)]),
            DeValue::Array(items) if items.len() <= MAX_ENTRIES => items,
            DeValue::Array(_) => return Err(self.too_many(value, "client")),
            _ => return Err(self.wrong_type(value, "client", expected)),
        };
        let mut found = Vec::new();
        for item in items {
            match item.get_ref() {
                DeValue::String(text) => found.push((self.resolved(text), None)),
                DeValue::Array(_) => {
                    let pair = self.texts(item, "client")?;
                    let [(certificate, _), (key, _)] = pair.as_slice() else {
                        let reason = "`client` has a list that is no pair of paths";
                        return Err(self.fail(item.span().start, reason));
                    };
                    let key = (!key.is_empty()).then(|| self.resolved(key));
                    found.push((self.resolved(certificate), key));
                }
                _ => return Err(self.wrong_type(item, "client", expected)),
            }
        }
        Ok(found)
    }

    fn headers(&mut self, value: &Value<'_>) -> Result<HeaderMap, SettingsError> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.wrong_type(value, "header", "a table"));
        };
        if table.len() > MAX_ENTRIES {
            return Err(self.too_many(value, "header"));
        }
        let mut headers = HeaderMap::new();
        for (key, value) in table {
            let (shown, offset) = (shown_key(key.get_ref()), key.span().start);
            let name = HeaderName::try_from(key.get_ref().as_ref()).map_err(|_| {
                self.fail(offset, format!("{shown} cannot be the name of a header"))
            })?;
            if is_ours(&name) {
                self.warn(offset, &format!("header {shown} is not for a configuration to set"));
                continue;
            }
            let values = match value.get_ref() {
                DeValue::String(text) => vec![(text.as_ref(), value.span().start)],
                _ => self.texts(value, &format!("header.{}", name.as_str()))?,
            };
            for (text, offset) in values {
                let mut content = HeaderValue::from_str(text).map_err(|_| {
                    self.fail(offset, format!("the value of header {shown} has control characters"))
                })?;
                content.set_sensitive(true);
                headers.append(&name, content);
            }
        }
        Ok(headers)
    }

    fn host(
        &self,
        text: &str,
        key: &str,
        offset: usize,
        settings: Settings,
    ) -> Result<HostTable, SettingsError> {
        let bad = |reason: &str| self.fail(offset, format!("{key}: {reason}"));
        // The URL standard would drop some of them silently.
        if text.contains(|c: char| c.is_control() || c.is_whitespace()) {
            return Err(bad("invalid character"));
        }
        let with_scheme =
            if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let mut url = Url::parse(&with_scheme).map_err(|error| bad(&error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(bad("the scheme is neither http nor https"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(bad(
                "a user name or password is no part of a host: `docker login` keeps it",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(bad("a query or fragment is no part of a host"));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        let root = if settings.override_path || path.ends_with("/v2") {
            format!("{path}/")
        } else {
            format!("{path}/v2/")
        };
        url.set_path(&format!("{path}/"));
        Ok(HostTable { url, root, settings, line: self.line(offset) })
    }

    fn too_many(&self, value: &Value<'_>, key: &str) -> SettingsError {
        self.fail(value.span().start, format!("`{key}` has more than {MAX_ENTRIES} entries"))
    }

    fn text<'v>(&self, value: &'v Value<'_>, key: &str) -> Result<&'v str, SettingsError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(text.as_ref()),
            _ => Err(self.wrong_type(value, key, "a string")),
        }
    }

    fn boolean(&self, value: &Value<'_>, key: &str) -> Result<bool, SettingsError> {
        match value.get_ref() {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.wrong_type(value, key, "a boolean")),
        }
    }

    fn texts<'v>(
        &self,
        value: &'v Value<'_>,
        key: &str,
    ) -> Result<Vec<(&'v str, usize)>, SettingsError> {
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.wrong_type(value, key, "a list of strings"));
        };
        if items.len() > MAX_ENTRIES {
            return Err(self.too_many(value, key));
        }
        items.iter().map(|item| Ok((self.text(item, key)?, item.span().start))).collect()
    }
}

/// Returns where a table is first mentioned: its own header may come after that of a table within it.
fn begin(key: &Spanned<toml::de::DeString<'_>>, value: &Value<'_>) -> usize {
    let within = match value.get_ref() {
        DeValue::Table(table) => table.iter().map(|(key, _)| key.span().start).min(),
        _ => None,
    };
    within.map_or(key.span().start, |within| within.min(key.span().start))
}

/// Headers that belong to the connection or to the request, not to the user.
fn is_ours(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::CONNECTION,
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        header::TE,
        header::TRAILER,
        header::EXPECT,
        header::RANGE,
    ]
    .contains(name)
}

/// Returns a key for a message; a URL may have a password.
fn shown_key(key: &str) -> String {
    match Url::parse(key) {
        Ok(url) if url.has_host() => quoted(&crate::error::redact::shown(&url)),
        _ if key.contains('@') => quoted("…"),
        _ => quoted(key),
    }
}
