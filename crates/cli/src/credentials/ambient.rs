//! `DOCKER_AUTH_CONFIG`: logins in the environment, as jobs of a CI have them.

use api::auth::AuthConfig;
use serde_json::{Map, Value};

use super::config_file::read_entry;
use super::server::host_of;
use crate::hints::Ambient;

/// The name in the environment.
pub(crate) const VARIABLE: &str = "DOCKER_AUTH_CONFIG";

/// Returns the logins; says what is wrong with the variable, but none of its values.
pub(crate) fn entries() -> Result<Vec<AuthConfig>, String> {
    match std::env::var(VARIABLE) {
        Ok(text) if !text.is_empty() => read(&text),
        Err(std::env::VarError::NotUnicode(_)) => Err("it is no text".to_owned()),
        _ => Ok(Vec::new()),
    }
}

/// Returns whom there are logins for, for hints.
pub(crate) fn ambient() -> Ambient {
    match entries() {
        Err(_) => Ambient::Unreadable,
        Ok(entries) if entries.is_empty() => Ambient::Unset,
        Ok(entries) => Ambient::Hosts(
            entries.iter().map(|entry| host_of(&entry.serveraddress).to_owned()).collect(),
        ),
    }
}

/// Reads logins in the form of `config.json`: `{"auths":{SERVER:{"auth":BASE64}}}` and nothing else, as docker does.
fn read(text: &str) -> Result<Vec<AuthConfig>, String> {
    // The place is enough: the text of a syntax error may quote a secret.
    let document: Value = serde_json::from_str(text).map_err(|error| {
        format!("invalid JSON in line {} at column {}", error.line(), error.column())
    })?;
    let document = document.as_object().ok_or("it is no JSON object")?;
    if let Some(key) = document.keys().find(|key| *key != "auths") {
        return Err(format!("only \"auths\" is read of it, not {key:?}"));
    }
    let none = Map::new();
    let auths = match document.get("auths") {
        None | Some(Value::Null) => &none,
        Some(auths) => auths.as_object().ok_or("\"auths\" is no object")?,
    };
    auths.iter().map(|(server, entry)| read_login(server, entry)).collect()
}

fn read_login(server: &str, entry: &Value) -> Result<AuthConfig, String> {
    let entry = entry
        .as_object()
        .ok_or_else(|| format!("{server} is no object: a login is {{\"auth\": …}}"))?;
    if let Some(key) = entry.keys().find(|key| *key != "auth") {
        return Err(format!(
            "only \"auth\" (base64 of USER:PASSWORD) is read of a login, and {server} has {key:?}"
        ));
    }
    match entry.get("auth") {
        None | Some(Value::Null) => {}
        Some(Value::String(auth)) if auth.is_empty() => {}
        Some(Value::String(auth)) => {
            return read_entry(server, &serde_json::json!({"auth": auth}));
        }
        Some(_) => return Err(format!("\"auth\" of {server} is no text")),
    }
    Err(format!("DOCKER_AUTH_CONFIG environment variable is missing key `auth` for {server}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ambient_credentials_are_read_strictly() {
        for (text, expected) in [
            (r#"{"auths":{"r.example":{"auth":"bWU6cHc="}}}"#, Ok(vec![("r.example", "me", "pw")])),
            (r#"{"auths":{}}"#, Ok(vec![])),
            ("{}", Ok(vec![])),
            (
                r#"{"auths":{"r.example":{}}}"#,
                Err("DOCKER_AUTH_CONFIG environment variable is missing key `auth` for r.example"),
            ),
            (r#"{"auths":{"r":{"auth":"!"}}}"#, Err("invalid auth configuration for `r`")),
            (
                r#"{"auths":{"r":{"username":"me","password":"s3cret"}}}"#,
                Err(
                    "only \"auth\" (base64 of USER:PASSWORD) is read of a login, and r has \"password\"",
                ),
            ),
            (r#"{"auths":{"r":{"auth":["s3cret"]}}}"#, Err("\"auth\" of r is no text")),
            (r#"{"auths":{"r":"s3cret"}}"#, Err("r is no object: a login is {\"auth\": …}")),
            (r#"{"auths":["s3cret"]}"#, Err("\"auths\" is no object")),
            (r#"{"credsStore":"s3cret"}"#, Err("only \"auths\" is read of it, not \"credsStore\"")),
            ("[]", Err("it is no JSON object")),
            ("{}{}", Err("invalid JSON in line 1 at column 3")),
            ("{\n  nope", Err("invalid JSON in line 2 at column 3")),
            ("s3cret", Err("invalid JSON in line 1 at column 1")),
        ] {
            let read = super::read(text);
            let read = read.as_ref().map(|all| {
                let parts = |auth: &AuthConfig| {
                    (auth.serveraddress.clone(), auth.username.clone(), auth.password.clone())
                };
                all.iter().map(parts).collect::<Vec<_>>()
            });
            let own = |(a, b, c): (&str, &str, &str)| (a.to_owned(), b.to_owned(), c.to_owned());
            match expected {
                Ok(expected) => {
                    assert_eq!(read, Ok(expected.into_iter().map(own).collect()), "{text}");
                }
                Err(expected) => {
                    assert_eq!(read.map_err(String::as_str), Err(expected), "{text}");
                }
            }
        }
    }
}
