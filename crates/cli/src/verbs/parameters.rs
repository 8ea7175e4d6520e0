//! Parameters of requests that several verbs have.

use std::path::Path;

use api::{ApiVersion, Query, encode_platform};
use spec::Platform;

use crate::error::{CliError, in_go_words};
use crate::session::Session;

/// The version of the API since which archives are made of and read for one platform, and that since which for several.
pub(super) const PLATFORM_VERSION: ApiVersion = ApiVersion::new(1, 48);
const PLATFORMS_VERSION: ApiVersion = ApiVersion::new(1, 52);

/// Reads a `--platform` for a route that takes it since a version of the API. An empty one is none.
pub(super) async fn platform(
    text: Option<&str>,
    since: ApiVersion,
    session: &Session,
) -> Result<Option<String>, CliError> {
    let Some(text) = text else { return Ok(None) };
    session.client.require("--platform", since).await?;
    if text.is_empty() {
        return Ok(None);
    }
    Ok(Some(encode_platform(&Platform::parse(text)?)))
}

/// As [`platform`], for the verbs in which Docker says what is wrong.
pub(super) async fn platform_variant(
    text: Option<&str>,
    since: ApiVersion,
    session: &Session,
) -> Result<Option<String>, CliError> {
    platform(text, since, session).await.map_err(|error| match error {
        CliError::Platform(error) => CliError::Refused(format!("invalid platform: {error}")),
        error => error,
    })
}

/// The platforms of the images of an archive.
pub(super) struct Platforms<'a> {
    pub(super) named: &'a [String],
    pub(super) all: bool,
}

impl Platforms<'_> {
    /// Adds them to a request.
    pub(super) async fn add_to(
        &self,
        query: &mut Query,
        session: &Session,
    ) -> Result<(), CliError> {
        if self.all && !self.named.is_empty() {
            let message = "conflicting options: --all-platforms and --platform cannot both be set";
            return Err(CliError::Refused(message.to_owned()));
        }
        if self.all {
            session.client.require_longshore("--all-platforms").await?;
            query.add("parts", "all");
        }
        if !self.named.is_empty() {
            session.client.require("--platform", PLATFORM_VERSION).await?;
        }
        let named: Vec<&String> = self.named.iter().filter(|text| !text.is_empty()).collect();
        if named.len() > 1 {
            session.client.speak("--platform", PLATFORMS_VERSION).await?;
        }
        for text in named {
            let platform = Platform::parse(text)
                .map_err(|error| CliError::Refused(format!("invalid platform: {error}")))?;
            query.add("platform", encode_platform(&platform));
        }
        Ok(())
    }
}

/// The parameters of what is done with an image and a directory.
pub(super) fn image_and_directory(
    image: String,
    path: &Path,
    platform: Option<&str>,
) -> Result<Query, CliError> {
    let mut query = Query::new().with("image", image).with("directory", directory(path)?);
    if let Some(platform) = platform.filter(|platform| !platform.is_empty()) {
        query.add("platform", encode_platform(&Platform::parse(platform)?));
    }
    Ok(query)
}

/// A directory as the daemon is told of it: a relative one is meant from where the user is.
pub(super) fn directory(path: &Path) -> Result<String, CliError> {
    let path = std::path::absolute(path).map_err(|error| {
        CliError::Refused(format!(
            "the current directory cannot be found, name {} by an absolute path: {}",
            path.display(),
            in_go_words(&error)
        ))
    })?;
    let refused = || CliError::Refused(format!("{} is not UTF-8", path.display()));
    path.to_str().map(str::to_owned).ok_or_else(refused)
}
