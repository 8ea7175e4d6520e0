//! Hints: the one thing that a user can do about a failure.
//!
//! What an error says is Docker's contract; a hint stands below it, on standard error. The engine speaks through the Engine
//! API, which has words and no types, so most hints go by words: one [table](table::RULES).

mod dockerd;
mod failure;
mod table;

use failure::Failure;

use crate::error::CliError;

pub(crate) use failure::{Ambient, Subject};

/// Hints that stand below several failures.
const MAX_ADVICE: usize = 5;

/// Returns advice that helps with this failure of a command about `subject`, where there is some.
pub(crate) fn hint(error: &CliError, subject: &Subject) -> Option<String> {
    match error {
        CliError::Advised { hint, .. } => Some(hint.clone()),
        CliError::Several(errors) => of_several(errors, subject),
        CliError::Connect(_) => Some(
            "longshore needs no daemon: without -H, LONGSHORE_HOST and DOCKER_HOST it works on its own data root; \
             `longshore daemon` starts one"
                .to_owned(),
        ),
        CliError::ConnectPermission(_) => Some(
            "the socket belongs to a group, `docker` or `longshore`: join it, or become root"
                .to_owned(),
        ),
        // What a server with TLS answers to plain HTTP is no HTTP.
        CliError::Transport(error) if error.is_parse() => {
            Some("is the daemon one with TLS? Then use --tlsverify".to_owned())
        }
        CliError::Tls { authority, source } if !source.to_string().contains("CertificateRequired") => Some(format!(
            "--tlscacert names the authority of {authority}'s certificate; --tlscert and --tlskey yours, if it wants one"
        )),
        // No tar is as small as one block.
        CliError::Truncated { name, size, .. } if *size < 512 => Some(format!(
            "{name} has {size} bytes and is no archive: `longshore save IMAGE -o FILE` makes one"
        )),
        CliError::Truncated { name, size, .. } => {
            Some(format!("{name} ends after {size} bytes: is it complete?"))
        }
        CliError::NoConfigDirectory => {
            Some("set DOCKER_CONFIG, or use --config: a folder outside of what is checked in".to_owned())
        }
        CliError::SaveCredentials(error) => hint(error, subject),
        CliError::Interrupted(_) | CliError::BrokenPipe => None,
        error => of_text(&error.to_string(), subject),
    }
}

/// Returns what helps with several failures. Copies begin with what they are about, which is said with each advice.
fn of_several(errors: &[CliError], subject: &Subject) -> Option<String> {
    let are_copies = errors.len() > 1 && errors.iter().all(|it| matches!(it, CliError::Copy(_)));
    let mut told: Vec<(String, String)> = Vec::new();
    for error in errors {
        let Some(advice) = hint(error, subject) else { continue };
        if !are_copies {
            return Some(advice);
        }
        if told.len() < MAX_ADVICE && told.iter().all(|(_, other)| *other != advice) {
            let text = error.to_string();
            let about = text.split_once(": ").map_or(&*text, |(about, _)| about);
            told.push((about.to_owned(), advice));
        }
    }
    let lines = told.into_iter().map(|(about, advice)| format!("{about}: {advice}"));
    Some(lines.collect::<Vec<_>>().join("\n      ")).filter(|lines| !lines.is_empty())
}

/// Returns advice that helps with what a text tells of.
pub(crate) fn of_text(text: &str, subject: &Subject) -> Option<String> {
    let failure = Failure { text, subject };
    let told = |rule: &&table::Rule| rule.words.iter().all(|words| text.contains(words));
    table::RULES.iter().filter(told).find_map(|rule| (rule.hint)(&failure))
}

/// Returns advice on what a server answered, by the words of its failure or else by its status.
pub(crate) fn of_answer(text: &str, status: Option<u16>, subject: &Subject) -> Option<String> {
    of_text(text, subject).or_else(|| match status? {
        401 => of_text("unauthorized", subject),
        403 => of_text("denied", subject),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Host;

    #[track_caller]
    fn check(error: &CliError, subject: &Subject, expected: Option<&str>) {
        let found = hint(error, subject);
        match expected {
            Some(part) => {
                let has_part = found.as_deref().is_some_and(|found| found.contains(part));
                assert!(has_part, "{error}: {found:?}, not {part}");
            }
            None => assert_eq!(found, None, "{error}"),
        }
    }

    #[test]
    fn failures_of_this_side_are_known_by_their_kind() {
        let truncated = |size| CliError::Truncated {
            error: Box::new(CliError::Stream("unexpected EOF".to_owned())),
            name: "a.tar".to_owned(),
            size,
        };
        let denied = "pull access denied for alpin, repository does not exist or may require 'docker login': denied";
        for (error, expected) in [
            (CliError::Connect(Host::parse("unix:///x").unwrap()), Some("needs no daemon")),
            (CliError::ConnectPermission(Host::parse("unix:///x").unwrap()), Some("group")),
            (truncated(600), Some("a.tar ends after 600 bytes")),
            (truncated(12), Some("is no archive")),
            (
                CliError::Several(vec![CliError::BrokenPipe, CliError::Stream(denied.to_owned())]),
                Some("docker.io/library/alpin"),
            ),
            (CliError::Interrupted(2), None),
            (CliError::Stream("something else".to_owned()), None),
        ] {
            check(&error, &Subject::default(), expected);
        }
    }

    /// Failures as the real things say them: the subject is `@HOST` for a login, `>NAME` for a push.
    fn failures() -> impl Iterator<Item = (Subject, &'static str, &'static str)> {
        let lines = include_str!("words.txt").lines().filter(|line| !line.starts_with('#'));
        lines.map(|line| {
            let columns: Vec<&str> = line.split(" | ").map(str::trim).collect();
            let [subject, words, expected] = columns[..] else { panic!("{line}") };
            let subject = match (subject.strip_prefix('@'), subject.strip_prefix('>')) {
                (Some(host), _) => Subject::registry(Some(host).filter(|host| !host.is_empty())),
                (None, Some(name)) => Subject::push(name),
                (None, None) if subject == "-" => Subject::default(),
                (None, None) => Subject::image(subject),
            };
            (subject.with_config("/h/.docker".into()), words, expected)
        })
    }

    #[test]
    fn failures_of_others_are_known_by_their_words() {
        for (subject, words, expected) in failures() {
            check(&CliError::Stream(words.to_owned()), &subject, Some(expected));
        }
    }

    /// Nothing unknown is named: a hint with a word in its place is followed to the letter.
    #[test]
    fn no_hint_has_a_word_in_place_of_what_it_does_not_know() {
        let placeholder = |hint: &str| {
            let words = hint.split(|c: char| !c.is_ascii_alphabetic());
            let mut words = words.filter(|word| matches!(*word, "NAME" | "DIRECTORY" | "ADDRESS"));
            let is_command = hint.contains("login the") || hint.contains(" name`");
            words.next().is_some() || is_command || hint.ends_with(": name")
        };
        let about =
            [Subject::default(), Subject::registry(Some("r.example")), Subject::image("a//b")];
        for rule in table::RULES {
            for (before, after) in
                [("", ""), ("x: ", ": "), ("Get \"http://\": ", " "), ("a/", "/b")]
            {
                let text = before.to_owned() + &rule.words.join(" ") + after;
                for subject in &about {
                    let hint = (rule.hint)(&Failure { text: &text, subject });
                    let hint = hint.unwrap_or_default();
                    assert!(!placeholder(&hint), "{:?} {text:?}: {hint}", rule.words);
                }
            }
        }
        for (subject, words, _) in failures() {
            for subject in [&subject, &Subject::default()] {
                let hint = of_text(words, subject).unwrap_or_default();
                assert!(!placeholder(&hint), "{words}: {hint}");
            }
        }
    }

    #[test]
    fn a_login_that_fails_is_corrected_where_it_is_from() {
        let name = |text: &str| spec::Reference::parse_familiar(text).unwrap();
        let flags = || {
            Subject::with_flags(vec![
                (name("a.example/x"), "--src-creds"),
                (name("b.example/x:1"), "--dest-creds"),
            ])
        };
        let hosts =
            |hosts: &[&str]| Ambient::Hosts(hosts.iter().map(ToString::to_string).collect());
        let image = || Subject::image("b.example/x");
        for (subject, text, expected) in [
            (flags(), "a.example/x:1: unauthorized: no", "correct --src-creds"),
            (flags(), "b.example/x:1: denied", "correct --dest-creds"),
            (flags(), "Get \"https://b.example/v2/\": unauthorized", "correct --dest-creds"),
            (flags(), "c.example/x:1: unauthorized: no", "`longshore login c.example`"),
            (
                image().with_ambient(Ambient::Unreadable),
                "unauthorized",
                "DOCKER_AUTH_CONFIG, which cannot be read",
            ),
            (
                image().with_ambient(hosts(&["b.example"])),
                "denied",
                "correct DOCKER_AUTH_CONFIG, which goes before",
            ),
            (
                image().with_ambient(hosts(&["a.example"])),
                "unauthorized",
                "`longshore login b.example`",
            ),
            (
                Subject::image("x").with_ambient(hosts(&["index.docker.io"])),
                "toomanyrequests: no",
                "correct DOCKER_AUTH_CONFIG",
            ),
        ] {
            check(&CliError::Stream(text.to_owned()), &subject, Some(expected));
        }
    }

    #[test]
    fn a_mirror_without_a_login_is_named() {
        let asked = "Get \"https://registry-1.docker.io/v2/\": EOF\n  https://m.example:5000 (mirror): Head \"https://m.example:5000/v2/\": no basic auth credentials";
        let error = CliError::Stream(asked.to_owned());
        check(&error, &Subject::image("alpine"), Some("`longshore login m.example:5000`"));
    }

    #[test]
    fn the_host_is_that_of_the_url_else_that_of_the_name() {
        let subject = Subject::image("r.example:5000/a/b:1");
        for (text, expected) in [
            (r#"Get "https://other.example:1/v2/": EOF"#, "other.example:1"),
            ("unauthorized: authentication required", "r.example:5000"),
            ("http://", "r.example:5000"),
        ] {
            let found = Failure { text, subject: &subject }.host();
            assert_eq!(found.as_deref(), Some(expected));
        }
        let told = |text| {
            let failure = Failure { text, subject: &Subject::default() };
            (failure.host(), failure.repository())
        };
        assert_eq!(told("x"), (None, None));
        let (host, repository) = told("r.example:1/a/b:2: manifest unknown");
        assert_eq!(host.as_deref(), Some("r.example:1"));
        assert_eq!(repository.as_deref(), Some("r.example:1/a/b"));
    }
}
