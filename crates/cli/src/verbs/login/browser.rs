//! The login to Docker Hub by way of a browser.

use std::process::Stdio;

use api::auth::AuthConfig;

use crate::credentials::{DOCKER_HUB_KEY, Hub, Pending, Store, user_of};
use crate::error::CliError;
use crate::{input, output, render, terminal};

/// The programs that open an address, of which a machine has one or another.
const BROWSERS: [&str; 4] = ["xdg-open", "x-www-browser", "www-browser", "open"];
/// The keys of what a login by browser leaves beside the credentials, so that a logout can take it back.
const ACCESS_KEY: &str = "https://index.docker.io/v1/access-token";
const REFRESH_KEY: &str = "https://index.docker.io/v1/refresh-token";
/// The text between the token and the name of the client that it was given to.
const SEPARATOR: &str = "..";

/// Logs in by a browser and returns the credentials; `None` where that cannot even begin.
pub(super) async fn log_in(store: &mut Store) -> Result<Option<AuthConfig>, CliError> {
    let failed = |error: &dyn std::error::Error| {
        tracing::debug!(error = %crate::error::with_causes(error), "no login by browser");
    };
    let hub = match Hub::new() {
        Ok(hub) => hub,
        Err(error) => {
            failed(&error);
            return Ok(None);
        }
    };
    let pending = match hub.start().await {
        Ok(pending) => pending,
        Err(error) => {
            failed(&error);
            return Ok(None);
        }
    };
    tell(&pending);
    let opening = tokio::spawn(open_on_enter(pending.address.clone()));
    let tokens = hub.wait(&pending).await;
    opening.abort();
    let refused = |what: &str, error: &dyn std::fmt::Display| {
        CliError::Refused(if what.is_empty() {
            error.to_string()
        } else {
            format!("{what}: {error}")
        })
    };
    let tokens = tokens.map_err(|error| refused("failed waiting for authentication", &error))?;
    let user = user_of(&tokens.access_token)
        .ok_or_else(|| refused("failed to parse token claims", &"not a token of Docker Hub"))?;
    let refresh = format!("{}{SEPARATOR}{}", tokens.refresh_token, hub.client());
    for (key, token) in [(ACCESS_KEY, tokens.access_token.clone()), (REFRESH_KEY, refresh)] {
        let kept = entry(key, &user, token);
        store.store(&kept).await.map_err(|error| refused("failed to store tokens", &error))?;
    }
    let password = hub.personal_token(&tokens).await.map_err(|error| refused("", &error))?;
    Ok(Some(entry(DOCKER_HUB_KEY, &user, password)))
}

/// Takes back what a login by browser left, if there was one.
pub(crate) async fn revoke(store: &mut Store) -> Result<(), CliError> {
    let kept = store.get(REFRESH_KEY).await?;
    // Any other form was left by something else.
    let Some((token, client)) = kept.password.split_once(SEPARATOR) else { return Ok(()) };
    if client.contains(SEPARATOR) {
        return Ok(());
    }
    // First here: then a logout can be tried again if the other side does not answer.
    for key in [ACCESS_KEY, REFRESH_KEY] {
        let erased = store.erase(key).await;
        erased.map_err(|error| CliError::Refused(format!("failed to erase tokens: {error}")))?;
    }
    let revoked = match Hub::new() {
        Ok(hub) => hub.revoke(token).await,
        Err(error) => Err(error),
    };
    revoked.map_err(|error| {
        CliError::Refused(format!(
            "credentials erased successfully, but there was a failure to revoke the OAuth refresh token with the \
             tenant: {error}"
        ))
    })
}

fn entry(server: &str, user: &str, password: String) -> AuthConfig {
    AuthConfig {
        username: user.to_owned(),
        password,
        serveraddress: server.to_owned(),
        ..AuthConfig::default()
    }
}

fn tell(pending: &Pending) {
    let code = output::printable(&pending.user_code);
    let address = pending.address.split('?').next().unwrap_or_default();
    let address = output::printable(address);
    let note =
        "To sign in with credentials on the command line, use 'longshore login -u <username>'\n";
    output::warn_drawn(&format!(
        "\x1b[1m\nUSING WEB-BASED LOGIN\x1b[0m\n{}\nYour one-time device confirmation code is: \x1b[1m{code}\n\x1b[0m\
         \x1b[1mPress ENTER\x1b[0m to open your browser or submit your device code here: \x1b[4m{address}\n\x1b[0m\
         \nWaiting for authentication in the browser…\n",
        render::note(note, terminal::warns_terminal())
    ));
}

/// Opens the address when the user presses Enter. Where no browser opens, the user has read the address.
async fn open_on_enter(address: String) {
    // What a server says is opened as an address or not at all.
    if !address.starts_with("https://") || input::enter().await.is_err() {
        return;
    }
    for browser in BROWSERS {
        let mut command = tokio::process::Command::new(browser);
        command.arg(&address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if command.spawn().is_ok() {
            return;
        }
    }
}
