//! The common part of pull and push: a request that registries may refuse without a login, and its progress.

use std::time::Duration;

use api::Query;
use api::auth::AuthConfig;
use spec::Repository;

use crate::client::{Call, Messages};
use crate::credentials::{ask_for_login, key_of_domain};
use crate::error::CliError;
use crate::render::Progress;
use crate::session::Session;
use crate::{output, terminal};

/// The time that a registry may say nothing before the user is told.
const NOTICE_AFTER: Duration = Duration::from_secs(10);

/// A pull or push, ready to be asked for.
#[derive(Debug)]
pub(super) struct Transfer<'a> {
    /// `pull` or `push`, for the question about a login.
    pub(super) verb: &'static str,
    /// The repository, whose registry gets the credentials.
    pub(super) repository: &'a Repository,
    /// The path of the request.
    pub(super) path: String,
    /// Its parameters.
    pub(super) query: Query,
    /// True to show nothing of the progress.
    pub(super) quiet: bool,
}

impl Transfer<'_> {
    /// Asks for the transfer and follows it to its end. Where the registry wants a login and there is a user to
    /// ask, asks for one and tries once more.
    pub(super) async fn run(&self, session: &Session) -> Result<(), CliError> {
        let key = key_of_domain(self.repository.domain());
        let auth = session.credentials_to_read().get_or_warn(key).await;
        match self.attempt(session, &auth).await {
            Err(error)
                if wants_login(&error)
                    && terminal::reads_terminal()
                    && terminal::writes_terminal() =>
            {
                if !error.is_unauthorized() {
                    output::warn_line(&error.to_string());
                }
                output::print(&format!("\nLogin prior to {}:\n", self.verb))?;
                let auth = ask_for_login("", "", &auth.username, key).await?;
                self.attempt(session, &auth).await
            }
            result => result,
        }
    }

    async fn attempt(&self, session: &Session, auth: &AuthConfig) -> Result<(), CliError> {
        let call = Call {
            query: self.query.clone(),
            registry_auth: Some(auth.encode()),
            ..Call::default()
        };
        let registry = self.repository.domain();
        let answer = with_notice(registry, session.client.post(&self.path, call)).await?;
        follow(answer.messages(), self.quiet).await
    }
}

/// Waits for the first word of a registry, and tells a user at a terminal what it waits for if that takes long: one that
/// accepts connections and says nothing is tried again for minutes.
async fn with_notice<T>(registry: &str, answer: impl Future<Output = T>) -> T {
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        answer = &mut answer => return answer,
        () = tokio::time::sleep(NOTICE_AFTER) => {}
    }
    if terminal::warns_terminal() {
        output::warn_line(&format!("Waiting for {registry} to answer (Ctrl-C to give up)"));
    }
    answer.await
}

/// Follows an operation to its end and shows its progress, unless it is to be `quiet`.
pub(super) async fn follow(mut messages: Messages, quiet: bool) -> Result<(), CliError> {
    let is_terminal = terminal::writes_terminal();
    let mut progress = Progress::new(is_terminal);
    while let Some(message) = messages.next().await? {
        if let Some(failure) = message.failure() {
            return Err(CliError::Stream(failure.to_owned()));
        }
        if let Some(note) = message.note.as_ref().filter(|_| quiet || !is_terminal) {
            output::warn_line(note);
            continue;
        }
        if !quiet {
            let width = if is_terminal { terminal::width() } else { None };
            output::print_drawn(&progress.draw(&message, width))?;
        }
    }
    Ok(())
}

/// Returns whether a registry refused for want of a login. Daemons say so with a status, or in a registry's words
/// only: in the stream, or as a failure of their own.
fn wants_login(error: &CliError) -> bool {
    let message = match error {
        CliError::Daemon { status: 401, .. } => return true,
        CliError::Daemon { message, .. } | CliError::Stream(message) => message,
        _ => return false,
    };
    message.contains("no basic auth credentials")
        || message.contains("unauthorized: authentication required")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_asked_for_where_one_is_missing() {
        let daemon =
            |status, message: &str| CliError::Daemon { status, message: message.to_owned() };
        for (error, expected) in [
            (daemon(401, "unauthorized: incorrect username or password"), true),
            (daemon(500, "Head \"http://r/v2/x/manifests/1\": no basic auth credentials"), true),
            (CliError::Stream("unauthorized: authentication required".to_owned()), true),
            // A name that is not there must not look like a question of passwords.
            (
                daemon(
                    404,
                    "pull access denied for x, repository does not exist or may require 'docker login'",
                ),
                false,
            ),
            (daemon(500, "connection refused"), false),
            (CliError::BrokenPipe, false),
        ] {
            assert_eq!(wants_login(&error), expected, "{error}");
        }
    }
}
