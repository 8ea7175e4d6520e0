//! The common part of pull and push: a request that registries may refuse without a login, and its progress.

use std::time::Duration;

use api::Query;
use api::auth::AuthConfig;
use api::message::{Aux, ManifestPushedInsteadOfIndex as Note, Message, PushResult};
use spec::Repository;

use crate::client::{Call, Messages};
use crate::credentials::{ask_for_login, key_of_domain};
use crate::error::CliError;
use crate::render::{Display, TICK};
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
}

/// Notes for the end of a transfer.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Images that were pushed alone, without the index that they came with.
    pub(super) without_index: Vec<Note>,
    /// Set if layers went up in another form than they came in.
    pub(super) are_layers_remade: bool,
    /// The tags that the registry has now.
    pub(super) pushed: Vec<PushResult>,
}

impl Transfer<'_> {
    /// Asks for the transfer and follows it to its end. Where the registry wants a login and there is a user to
    /// ask, asks for one and tries once more.
    pub(super) async fn run(
        &self,
        session: &Session,
        display: &mut Display,
    ) -> Result<Notes, CliError> {
        let key = key_of_domain(self.repository.domain());
        let auth = session.credentials_to_read().get_or_warn(key).await;
        match self.attempt(session, &auth, display).await {
            Err(error)
                if wants_login(&error)
                    && terminal::reads_terminal()
                    && terminal::writes_terminal() =>
            {
                if !error.is_unauthorized() {
                    output::warn_line(&error.to_string());
                }
                display.leave()?;
                output::print(&format!("\nLogin prior to {}:\n", self.verb))?;
                let auth = ask_for_login("", "", &auth.username, key).await?;
                self.attempt(session, &auth, display).await
            }
            result => result,
        }
    }

    async fn attempt(
        &self,
        session: &Session,
        auth: &AuthConfig,
        display: &mut Display,
    ) -> Result<Notes, CliError> {
        let call = Call {
            query: self.query.clone(),
            registry_auth: Some(auth.encode()),
            facts: display.wants_facts(),
            ..Call::default()
        };
        let registry = self.repository.domain();
        let answer = with_notice(registry, session.client.post(&self.path, call)).await?;
        let mut notes = Notes::default();
        let is_quiet = display.is_quiet();
        let note = |message: &Message| match &message.aux {
            Some(Aux::WithoutIndex(note)) => notes.without_index.push(Note::clone(note)),
            Some(Aux::Push(result)) => notes.pushed.push(result.clone()),
            Some(Aux::LayersRemade { .. }) => notes.are_layers_remade = true,
            _ => {
                // Of another architecture than the one that was asked for docker says nothing here, and scripts go wrong.
                let warning =
                    message.status.as_deref().filter(|text| text.starts_with("WARNING: "));
                if let Some(warning) = warning.filter(|_| is_quiet) {
                    output::warn_line(warning);
                }
            }
        };
        follow_each(answer.messages(), display, note).await?;
        Ok(notes)
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

/// Follows an operation to its end and shows its progress. Returns the last message.
pub(super) async fn follow(
    messages: Messages,
    display: &mut Display,
) -> Result<Option<Message>, CliError> {
    follow_each(messages, display, |_| ()).await
}

/// Follows an operation as [`follow`] does, and has `each` see every message.
async fn follow_each(
    mut messages: Messages,
    display: &mut Display,
    mut each: impl FnMut(&Message),
) -> Result<Option<Message>, CliError> {
    let mut last = None;
    loop {
        let Ok(next) = tokio::time::timeout(TICK, messages.next()).await else {
            display.tick()?;
            continue;
        };
        let Some(message) = next? else { return Ok(last) };
        if let Some(failure) = message.failure() {
            return Err(CliError::Stream(failure.to_owned()));
        }
        each(&message);
        display.show(&message)?;
        last = Some(message);
    }
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
