//! `longshore login`

pub(super) mod browser;

use api::auth::{AuthConfig, AuthResponse};

use crate::client::Call;
use crate::credentials::{DOCKER_HUB_KEY, Store, ask_for_login, host_of};
use crate::error::CliError;
use crate::session::Session;
use crate::{input, output, render, terminal};

/// Authenticate to a registry.
///
/// Defaults to Docker Hub if no server is specified.
#[derive(clap::Args)]
#[command(override_usage = "longshore login [OPTIONS] [SERVER]")]
pub(crate) struct Arguments {
    /// Password or Personal Access Token (PAT)
    #[arg(short = 'p', long, value_name = "string")]
    password: Option<String>,
    /// Take the Password or Personal Access Token (PAT) from stdin
    #[arg(long)]
    password_stdin: Option<bool>,
    /// Username
    #[arg(short = 'u', long, value_name = "string")]
    username: Option<String>,
    #[arg(hide = true)]
    pub(crate) server: Option<String>,
}

impl std::fmt::Debug for Arguments {
    /// Prints no password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Arguments").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Checks credentials with their registry and keeps them.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    verify(&arguments)?;
    let mut password = arguments.password.unwrap_or_default();
    if !password.is_empty() {
        output::warn_line(
            "WARNING! Using --password via the CLI is insecure. Use --password-stdin.",
        );
    }
    if arguments.password_stdin == Some(true) {
        password = read_password().await?;
    }
    let user = arguments.username.unwrap_or_default();
    let server = match arguments.server.as_deref() {
        None | Some("" | "docker.io" | DOCKER_HUB_KEY) => DOCKER_HUB_KEY,
        Some(server) => host_of(server),
    };
    let mut store = session.credentials()?;
    let mut known = AuthConfig::default();
    if user.is_empty() && password.is_empty() {
        known = store.get(server).await.unwrap_or_default();
        server.clone_into(&mut known.serveraddress);
        known.identitytoken.clear();
        if !known.username.is_empty()
            && !known.password.is_empty()
            && let Some(status) = with_known(session, &mut store, known.clone()).await?
        {
            return output::print_line(&status);
        }
    }
    if (user.is_empty() || password.is_empty()) && !terminal::reads_terminal() {
        let message = "Error: Cannot perform an interactive login from a non TTY device";
        let hint = if arguments.password_stdin == Some(true) {
            "standard input was empty: is the secret of the job set, and for this branch?"
        } else {
            "hand the password in: `… | longshore login --username USER --password-stdin`"
        };
        return Err(CliError::Refused(message.to_owned()).advised(Some(hint.to_owned())));
    }
    if server == DOCKER_HUB_KEY
        && user.is_empty()
        && password.is_empty()
        && !session.environment.no_browser_login
    {
        if let Some(auth) = browser::log_in(&mut store).await? {
            let answer = check(session, &auth).await?;
            // The token is the password here: there is none in its place.
            keep(&mut store, auth, &AuthResponse::default()).await?;
            return output::print_line(&answer.status);
        }
        output::warn_line(
            "Failed to start web-based login - falling back to command line login...\n",
        );
    }
    let auth = ask_for_login(&user, &password, &known.username, server).await?;
    let answer = check(session, &auth).await?;
    keep(&mut store, auth, &answer).await?;
    if answer.status.is_empty() { Ok(()) } else { output::print_line(&answer.status) }
}

fn verify(arguments: &Arguments) -> Result<(), CliError> {
    let Arguments { password, password_stdin, username, .. } = arguments;
    let refused = |message: &str| Err(CliError::Refused(message.to_owned()));
    if password_stdin.is_some() && password.is_some() {
        return refused("conflicting options: cannot specify both --password and --password-stdin");
    }
    if password_stdin.is_some() && username.is_none() {
        return refused("the --password-stdin option requires --username to be set");
    }
    if username.as_deref() == Some("") {
        return refused("username is empty");
    }
    if password.as_deref() == Some("") {
        return refused("password is empty");
    }
    Ok(())
}

async fn read_password() -> Result<String, CliError> {
    let text = input::read_all().await?;
    let text = text.ok_or_else(|| {
        CliError::Refused("the password on standard input is too long".to_owned())
    })?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    Ok(password.strip_suffix('\r').unwrap_or(password).to_owned())
}

/// Tries the credentials that are kept already; returns the registry's answer, or `None` if new ones are needed.
async fn with_known(
    session: &Session,
    store: &mut Store,
    auth: AuthConfig,
) -> Result<Option<String>, CliError> {
    output::warn_line(&format!(
        "Authenticating with existing credentials... [Username: {}]",
        auth.username
    ));
    let note =
        "To login with a different account, run 'longshore logout' followed by 'longshore login'";
    output::warn_drawn(&render::note(note, terminal::warns_terminal()));
    output::warn("\n\n");
    match check(session, &auth).await {
        Ok(answer) => {
            keep(store, auth, &answer).await?;
            Ok(Some(answer.status))
        }
        Err(error) if error.is_unauthorized() => {
            output::warn_line("Stored credentials invalid or expired");
            Ok(None)
        }
        Err(error) => {
            output::warn_line(&format!("Login did not succeed, error: {error}"));
            Ok(None)
        }
    }
}

async fn check(session: &Session, auth: &AuthConfig) -> Result<AuthResponse, CliError> {
    // Five strings always serialise.
    let body = serde_json::to_vec(auth).unwrap_or_default();
    let call = Call { body: Some(body), ..Call::default() };
    session.client.post("/auth", call).await?.json().await
}

/// Keeps credentials, in place of the password the token that the registry gave for it.
async fn keep(
    store: &mut Store,
    mut auth: AuthConfig,
    answer: &AuthResponse,
) -> Result<(), CliError> {
    if !answer.identity_token.is_empty() {
        auth.password.clear();
        answer.identity_token.clone_into(&mut auth.identitytoken);
    }
    store.store(&auth).await.map_err(|error| match error {
        CliError::ConfigWrite { .. } => error,
        other => CliError::SaveCredentials(Box::new(other)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_that_do_not_go_together_are_refused() {
        for (flags, expected) in [
            (
                "-u me --password-stdin -p x",
                "conflicting options: cannot specify both --password and --password-stdin",
            ),
            ("--password-stdin", "the --password-stdin option requires --username to be set"),
            ("--username=", "username is empty"),
            ("-u me --password=", "password is empty"),
            ("-u me -p pw", ""),
            ("-u me --password-stdin", ""),
            ("", ""),
        ] {
            let words = flags.split_whitespace();
            let arguments: Arguments = crate::pflag::verb(words);
            let refused =
                verify(&arguments).err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(refused, expected, "{flags}");
        }
    }
}
