//! `longshore verify`

use std::fmt::Write as _;
use std::path::PathBuf;

use api::verification::{Verification, VerificationRequest};
use http::Method;

use super::registry::{Question, formatted};
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// The largest key that is sent.
const MAX_KEY: u64 = 64 << 10;

/// Tell whether an image at a registry may be pulled, which policy says so and why; nothing is downloaded but signatures
///
/// The policy and the verifiers are those of the daemon, or of the configuration and --image-policy without one. With --key they are
/// not asked: the key must have signed the image under a name of its repository. Fails if the image is refused, or if nobody is asked.
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore verify [OPTIONS] NAME[:TAG|@DIGEST]")]
pub(crate) struct Arguments {
    /// Format output using a custom template: 'json' or 'TEMPLATE' (a Go template)
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Ask whether this key has signed the image: a public key in PEM, as of "cosign public-key"
    #[arg(long, value_name = "file")]
    key: Option<PathBuf>,
    /// The image of an index for this platform: 'os[/arch[/variant]]'
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    #[arg(hide = true, required = true, value_name = "NAME")]
    pub(crate) name: String,
}

/// Asks for a judgement, and shows it.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    session.refuse_policy_for_daemon()?;
    let route = (Method::POST, "/longshore/registry/verify");
    let platform = arguments.platform.as_deref();
    let mut question = Question::about(session, route, &arguments.name, platform).await?;
    if let Some(path) = &arguments.key {
        question = question.body(&VerificationRequest { key: read(path)? })?;
    }
    let found = question.ask_daemon(session).await.map_err(foreign)?;
    let found: Verification = serde_json::from_slice(&found).map_err(CliError::AnswerJson)?;
    if !formatted(arguments.format.as_deref(), &found)? {
        output::print(&text(&found))?;
    }
    if !found.is_something() {
        let message = "there is no policy and no verifier: nobody vouches for the image (--key FILE names a key that should)";
        return Err(CliError::Refused(message.to_owned()));
    }
    if found.allowed {
        Ok(())
    } else {
        Err(CliError::Refused(format!("{} is refused", found.name)))
    }
}

fn read(path: &PathBuf) -> Result<String, CliError> {
    let refused = |reason: String| CliError::Refused(format!("{}: {reason}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| refused(error.to_string()))?;
    if !size.is_file() || size.len() > MAX_KEY {
        return Err(refused("this is no key".to_owned()));
    }
    std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))
}

fn foreign(error: CliError) -> CliError {
    let instead = "without -H, LONGSHORE_HOST and DOCKER_HOST, `longshore verify` asks from this machine itself";
    error.of_another_daemon("judge images", instead)
}

/// Returns a judgement as text.
pub(super) fn text(found: &Verification) -> String {
    let mut text = format!("Name:      {}\n", found.name);
    if !found.digest.is_empty() {
        let _ = writeln!(text, "Digest:    {}", found.digest);
    }
    text.push_str(&findings(found));
    let verdict = match found.allowed {
        // That nobody forbids it is no judgement.
        _ if !found.is_something() => "nobody was asked",
        true => "allowed",
        false => "refused",
    };
    let _ = writeln!(text, "Verdict:   {verdict}");
    text
}

/// Returns the lines on who was asked, and what each said.
pub(super) fn findings(found: &Verification) -> String {
    let mut text = String::new();
    for verifier in &found.verifiers {
        let answer = if verifier.allowed { "allows it" } else { "refuses it" };
        let colon = if verifier.reason.is_empty() { "" } else { ": " };
        let _ = writeln!(text, "Verifier:  {} {answer}{colon}{}", verifier.name, verifier.reason);
    }
    match &found.policy {
        Some(policy) if found.scope.is_empty() => drop(writeln!(text, "Policy:    {policy}")),
        Some(policy) => drop(writeln!(text, "Policy:    {policy} ({})", found.scope)),
        None if found.requirements.is_empty() => text.push_str("Policy:    none\n"),
        None => {}
    }
    for requirement in &found.requirements {
        let answer = if requirement.allowed { "holds" } else { "does not hold" };
        let _ = writeln!(text, "  {} {answer}", requirement.r#type);
        if let Some(signature) = &requirement.signature {
            let identity =
                if signature.identity.is_empty() { "no name" } else { &signature.identity };
            let _ = writeln!(text, "    {} is signed as {identity}", signature.digest);
            let _ = writeln!(text, "    by the key {}", signature.key);
            if !signature.signer.is_empty() {
                let _ = writeln!(text, "    of {}", signature.signer);
            }
        }
        for reason in &requirement.reasons {
            let _ = writeln!(text, "    {reason}");
        }
    }
    text
}
