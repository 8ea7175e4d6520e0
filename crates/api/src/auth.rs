//! Credentials on the wire: the `X-Registry-Auth` header and the body of `POST /auth`.

use std::fmt;

use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::GeneralPurpose;
use base64::engine::{DecodePaddingMode, GeneralPurposeConfig};
use base64::{DecodeError, Engine as _};
use serde::{Deserialize, Serialize};

use crate::ApiError;
use crate::wire::null_as_default;

/// The header that carries credentials for one registry with a pull or push.
pub const REGISTRY_AUTH_HEADER: &str = "x-registry-auth";

/// The longest header that is decoded and the largest body of `/auth` that is read, in bytes. Registry tokens are the
/// largest part and stay below 10 KiB in practice.
pub const MAX_AUTH_SIZE: usize = 64 * 1024;

/// The URL-safe alphabet; padded when written, as dockerd insists, and either way when read.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Credentials for one registry. `Debug` prints no secret.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuthConfig {
    /// The user.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The password, or a token used as one.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub password: String,
    /// The registry that the credentials are for, as the user named it at login.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub serveraddress: String,
    /// An OAuth2 refresh token to get an access token with, instead of a password.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub identitytoken: String,
    /// A bearer token to send to the registry as it is.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub registrytoken: String,
}

impl AuthConfig {
    /// True if there is nothing to authenticate with.
    pub fn is_empty(&self) -> bool {
        self.username.is_empty()
            && self.password.is_empty()
            && self.identitytoken.is_empty()
            && self.registrytoken.is_empty()
    }

    /// The value for [`REGISTRY_AUTH_HEADER`]. No credentials are `e30=`, an empty object.
    pub fn encode(&self) -> String {
        // Five strings always serialise.
        BASE64.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    /// Reads the value of [`REGISTRY_AUTH_HEADER`]. An empty value is no credentials.
    ///
    /// Clients differ in what they call base64: both alphabets and missing padding are taken.
    pub fn decode(header: &[u8]) -> Result<Self, ApiError> {
        let refuse = |why: &str| ApiError::Auth(why.to_owned());
        if header.len() > MAX_AUTH_SIZE {
            return Err(refuse("larger than 64 KiB"));
        }
        let url_safe: Vec<u8> = header
            .iter()
            .map(|byte| match byte {
                b'+' => b'-',
                b'/' => b'_',
                other => *other,
            })
            .collect();
        let json = BASE64
            .decode(url_safe)
            .map_err(|_: DecodeError| refuse("must be a valid base64url-encoded string"))?;
        if json.is_empty() { Ok(Self::default()) } else { Self::from_json(&json) }
    }

    /// Reads the body of `POST /auth`: one JSON object.
    pub fn from_json(json: &[u8]) -> Result<Self, ApiError> {
        // Serde would also read the fields from a list.
        if json.trim_ascii_start().first().is_some_and(|first| *first != b'{') {
            return Err(ApiError::Auth("invalid JSON: not an object".to_owned()));
        }
        // serde_json's text quotes nothing of the value for syntax errors, and for type errors it would: leave it out,
        // as the value may be a password.
        spec::from_go_json(json).map_err(|error| {
            ApiError::Auth(match error.classify() {
                serde_json::error::Category::Data => {
                    "invalid JSON: unexpected type of a field".into()
                }
                _ => format!("invalid JSON: {error}"),
            })
        })
    }
}

impl fmt::Debug for AuthConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &str| if secret.is_empty() { "none" } else { "***" };
        f.debug_struct("AuthConfig")
            .field("username", &self.username)
            .field("password", &hidden(&self.password))
            .field("serveraddress", &self.serveraddress)
            .field("identitytoken", &hidden(&self.identitytoken))
            .field("registrytoken", &hidden(&self.registrytoken))
            .finish()
    }
}

/// The answer of `POST /auth` when the registry took the credentials.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct AuthResponse {
    /// `Login Succeeded`.
    pub status: String,
    /// Token to keep instead of the password, where the registry gave one.
    #[serde(deserialize_with = "null_as_default", skip_serializing_if = "String::is_empty")]
    pub identity_token: String,
}

impl fmt::Debug for AuthResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthResponse").field("status", &self.status).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};

    use super::*;

    fn tester() -> AuthConfig {
        AuthConfig {
            username: "tester".into(),
            password: "s3cret".into(),
            serveraddress: "127.0.0.1:5601".into(),
            ..AuthConfig::default()
        }
    }

    #[test]
    fn the_recorded_header_is_read_and_written() {
        let recorded = concat!(
            "eyJ1c2VybmFtZSI6InRlc3RlciIsInBhc3N3b3JkIjoiczNjcmV0Iiwic2VydmVyYWRkcmVzcyI6",
            "IjEyNy4wLjAuMTo1NjAxIn0=",
        );
        assert_eq!(AuthConfig::decode(recorded.as_bytes()).unwrap(), tester());
        assert_eq!(tester().encode(), recorded);
        assert_eq!(AuthConfig::default().encode(), "e30=");
        for empty in ["", "e30=", "e30"] {
            assert!(AuthConfig::decode(empty.as_bytes()).unwrap().is_empty());
        }
    }

    #[test]
    fn every_clients_base64_is_read() {
        // Bytes that need both characters in which the alphabets differ.
        let auth = AuthConfig { password: "??>>~~ÿÿ".into(), ..tester() };
        let json = serde_json::to_vec(&auth).unwrap();
        let standard = STANDARD.encode(&json);
        assert!(standard.contains('/') || standard.contains('+'), "{standard}");
        for text in
            [standard, STANDARD_NO_PAD.encode(&json), URL_SAFE_NO_PAD.encode(&json), auth.encode()]
        {
            assert_eq!(AuthConfig::decode(text.as_bytes()).unwrap(), auth, "{text}");
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        let table: [(Vec<u8>, &str); 6] = [
            (b"!!!!".to_vec(), "must be a valid base64url-encoded string"),
            (b"e30=e30=".to_vec(), "must be a valid base64url-encoded string"),
            (b"\xff\xfe".to_vec(), "must be a valid base64url-encoded string"),
            (BASE64.encode("{}{}").into_bytes(), "invalid JSON"),
            (BASE64.encode("[]").into_bytes(), "invalid JSON"),
            (vec![b'A'; MAX_AUTH_SIZE + 1], "larger than 64 KiB"),
        ];
        for (header, expected) in table {
            let error = AuthConfig::decode(&header).unwrap_err().to_string();
            assert!(error.starts_with("invalid X-Registry-Auth header: "), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn secrets_stay_out_of_errors_and_logs() {
        let wrong_type = br#"{"username":"me","password":["s3cret"],"identitytoken":"tok3n"}"#;
        let error = format!("{:?}", AuthConfig::from_json(wrong_type).unwrap_err());
        assert!(!error.contains("s3cret"), "{error}");
        let number = br#"{"password":12345678}"#;
        let error = format!("{:?}", AuthConfig::from_json(number).unwrap_err());
        assert!(!error.contains("12345678"), "{error}");
        let debug = format!("{:?}", AuthConfig { identitytoken: "tok3n".into(), ..tester() });
        assert!(
            debug.contains("tester") && !debug.contains("s3cret") && !debug.contains("tok3n"),
            "{debug}"
        );
    }
}
