//! Parameters and headers that requests of several routes have.

use api::auth::{AuthConfig, REGISTRY_AUTH_HEADER};
use api::decode_platform;
use registry::Credentials;
use spec::Platform;

use crate::errors::HttpError;
use crate::request::ApiRequest;

/// The `platform` in JSON, which versions of the API before 1.`since` do not have: what older clients send means nothing.
pub(crate) fn platform(request: &ApiRequest, since: u32) -> Result<Option<Platform>, HttpError> {
    match request.query.get("platform") {
        "" => Ok(None),
        json if request.version.at_least(since) => Ok(Some(decode_platform(json)?)),
        _ => Ok(None),
    }
}

/// The `platform` of a pull or an import, as a user writes it: `linux/arm64`.
pub(crate) fn written_platform(request: &ApiRequest) -> Result<Option<Platform>, HttpError> {
    const SINCE: u32 = 32;
    match request.query.get("platform") {
        "" => Ok(None),
        text if request.version.at_least(SINCE) => Ok(Some(Platform::parse(text)?)),
        _ => Ok(None),
    }
}

/// The credentials in a request's header. What cannot be read is no credentials, as with dockerd: many registries need
/// none, and the others say so.
pub(crate) fn header_credentials(request: &ApiRequest) -> Credentials {
    let Some(header) = request.headers.get(REGISTRY_AUTH_HEADER) else {
        return Credentials::Anonymous;
    };
    match AuthConfig::decode(header.as_bytes()) {
        Ok(auth) => credentials(auth),
        Err(error) => {
            tracing::warn!(%error, "credentials that cannot be read are ignored");
            Credentials::Anonymous
        }
    }
}

/// Chooses the credentials for a registry of those that a client or a file has for it, the strongest first.
pub fn credentials(auth: AuthConfig) -> Credentials {
    if !auth.registrytoken.is_empty() {
        Credentials::RegistryToken(auth.registrytoken)
    } else if !auth.identitytoken.is_empty() {
        Credentials::IdentityToken { username: auth.username, token: auth.identitytoken }
    } else if auth.username.is_empty() && auth.password.is_empty() {
        Credentials::Anonymous
    } else {
        Credentials::Basic { username: auth.username, password: auth.password }
    }
}
