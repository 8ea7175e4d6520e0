//! Asking a user for credentials.

use api::auth::AuthConfig;

use super::server::DOCKER_HUB_KEY;
use crate::error::CliError;
use crate::{input, output, render, terminal};

const REGISTER: &str = "Log in with your Docker ID or email address to push and pull images from Docker Hub. \
     If you don't have a Docker ID, head over to https://hub.docker.com/ to create one.";
const TOKENS: &str = "You can log in with your password or a Personal Access Token (PAT). Using a limited-scope \
     PAT grants better security and is required for organizations using SSO. Learn more at \
     https://docs.docker.com/go/access-tokens/";
const TOKEN_NOTE: &str = "A Personal Access Token (PAT) can be used instead.\n\
     To create a PAT, visit \x1b[4mhttps://app.docker.com/settings\x1b[0m\n\n";

/// Asks for what is not given of user and password. An empty answer for the user means `known_user`.
pub(crate) async fn ask_for_login(
    user: &str,
    password: &str,
    known_user: &str,
    server: &str,
) -> Result<AuthConfig, CliError> {
    let is_hub = server == DOCKER_HUB_KEY;
    let mut user = user.trim().to_owned();
    if user.is_empty() {
        if is_hub {
            output::print(&format!("{REGISTER}\n{TOKENS}\n\n"))?;
        }
        let known_user = known_user.trim();
        let question = if known_user.is_empty() {
            "Username: ".to_owned()
        } else {
            format!("Username ({known_user}): ")
        };
        user = input::ask(&question).await?;
        if user.is_empty() {
            known_user.clone_into(&mut user);
        }
        if user.is_empty() {
            return Err(CliError::Refused("Error: Non-null Username Required".to_owned()));
        }
    }
    let mut password = password.trim().to_owned();
    if password.is_empty() {
        if is_hub {
            output::warn_drawn(&render::note(TOKEN_NOTE, terminal::warns_terminal()));
        }
        password = input::ask_secretly("Password: ").await?;
        if password.is_empty() {
            return Err(CliError::Refused("Error: Password Required".to_owned()));
        }
    }
    Ok(AuthConfig {
        username: user,
        password,
        serveraddress: server.to_owned(),
        ..AuthConfig::default()
    })
}
