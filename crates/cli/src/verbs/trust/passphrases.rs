//! The passphrases of keys: from the environment, or asked for in docker's words.

use std::collections::BTreeMap;
use std::sync::Mutex;

use trust::{Answer, Passphrases, Question};

use crate::environment::PassphraseVariables;
use crate::{input, output};

/// The shortest passphrase of a new key.
const SHORTEST: usize = 8;
/// As often a passphrase may be wrong.
const MISTAKES: u32 = 3;
/// As many digits of a key's ID are shown.
const SHOWN: usize = 7;

const ROOT_WARNING: &str = "\
You are about to create a new root signing key passphrase. This passphrase
will be used to protect the most sensitive key in your signing system. Please
choose a long, complex passphrase and be careful to keep the password and the
key file itself secure and backed up. It is highly recommended that you use a
password manager to generate the passphrase and keep it safe. There will be no
way to recover this key. You can find the key in your config directory.";

/// Answers for the keys of one command.
pub(in crate::verbs) struct Prompter {
    variables: PassphraseVariables,
    /// The answers, by role, so that keys of one role are asked for once.
    answers: Mutex<BTreeMap<String, String>>,
}

impl std::fmt::Debug for Prompter {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Prompter").finish_non_exhaustive()
    }
}

impl Prompter {
    pub(super) fn new(variables: PassphraseVariables) -> Prompter {
        Prompter { variables, answers: Mutex::default() }
    }

    fn variable(&self, role: &str) -> Option<&String> {
        if role == "root" {
            self.variables.root.as_ref()
        } else {
            self.variables.repository.as_ref()
        }
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, String>> {
        self.answers.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Asks the user. Standard output that is gone ends the command by itself.
    async fn ask(&self, question: Question<'_>) -> Option<Answer> {
        let kind = match question.role {
            "snapshot" | "targets" | "default" => "repository",
            role => role,
        };
        let id = match question.key.get(..SHOWN) {
            Some(id) if question.key.len() > SHOWN => format!(" with ID {id}"),
            _ => String::new(),
        };
        let new = if question.new { "new " } else { "" };
        let text = format!("Enter passphrase for {new}{kind} key{id}: ");
        // Whoever is not there does not answer the next time either.
        let passphrase = input::ask_for_secret(&text).await.ok().flatten()?;
        if question.new {
            if passphrase.len() < SHORTEST {
                let text = "Passphrase is too short. Please use a password manager to generate and store a good random \
                            passphrase.";
                return output::print_line(text).ok().map(|()| Answer::Again);
            }
            let text = format!("Repeat passphrase for new {kind} key{id}: ");
            let repeated = input::ask_for_secret(&text).await.ok().flatten();
            if repeated.as_ref() != Some(&passphrase) {
                if repeated.is_some() {
                    output::print_line("Passphrases do not match. Please retry.").ok()?;
                }
                return Some(Answer::Again);
            }
        }
        self.answers().insert(question.role.to_owned(), passphrase.clone());
        Some(Answer::Passphrase(passphrase))
    }
}

impl Passphrases for Prompter {
    async fn passphrase(&self, question: Question<'_>) -> Option<Answer> {
        if let Some(passphrase) = self.variable(question.role) {
            // It does not get better.
            return (question.attempt <= 1).then(|| Answer::Passphrase(passphrase.clone()));
        }
        if question.attempt == 0 {
            if question.role == "root" && question.new {
                output::print_line(ROOT_WARNING).ok()?;
            }
            let known = self.answers().get(question.role).cloned();
            if let Some(passphrase) = known {
                return Some(Answer::Passphrase(passphrase));
            }
        } else if !question.new {
            if question.attempt > MISTAKES {
                return None;
            }
            output::print_line("Passphrase incorrect. Please retry.").ok()?;
        }
        self.ask(question).await
    }
}
