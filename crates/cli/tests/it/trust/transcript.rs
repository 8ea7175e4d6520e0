//! All verbs of `trust`, and pull and push of what is signed: what docker 28.2.2 says is recorded in `transcripts`, and said
//! here, too. With that docker on the `PATH`, `LONGSHORE_RECORD=1 cargo test -p longshore --test it transcript` records anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use test_support::base64;
use test_support::servers::Notary;

use super::{Place, REPOSITORY, can_run, import};
use crate::equality::docker_is_the_recorded_one;
use crate::support::{Bench, Front, run, without_hints};

/// The transcripts: a table of command lines, and what docker says to them.
///
/// `$R` is the registry with the owner's name, `$K` a folder for keys. A line that begins with `!` prepares something: an
/// image, a login, a tag, a key, or what only the client of notary does.
macro_rules! transcript {
    ($name:literal) => {
        Transcript {
            name: $name,
            lines: include_str!(concat!("transcripts/", $name, ".txt")),
            recorded: include_str!(concat!("transcripts/", $name, ".recorded.txt")),
        }
    };
}

struct Transcript {
    name: &'static str,
    lines: &'static str,
    recorded: &'static str,
}

/// Runs all lines, and returns what was said with each value that is another at each run under a name.
fn transcript(lines: &str, place: &Place, front: Front) -> String {
    let bench = Bench::new(front, &[]);
    let keys = bench.home.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    let mut names = Names::default();
    let mut text = String::new();
    for line in lines.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<String> = line
            .split(' ')
            .map(|word| {
                let word = word.replace("$R", &format!("{}/me", place.registry.address()));
                word.replace("$K", &keys.display().to_string())
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let ["!", rest @ ..] = words.as_slice() {
            prepare(&bench, place, &keys, rest);
            continue;
        }
        let mut command = bench.command();
        let said = run(place.trusting(&mut command).args(&words), "");
        let end = if said.ok { "succeeds" } else { "fails" };
        writeln!(text, "$ {line}\n{end}").unwrap();
        for (mark, said) in [('|', &said.stdout), ('!', &without_hints(&said.stderr))] {
            let said = said.replace(place.registry.address(), "REGISTRY");
            let said = said.replace(place.notary.address(), "NOTARY");
            let said = without_log(&said.replace(&keys.display().to_string(), "$K"));
            for line in names.normal(&said).split_inclusive('\n') {
                let (line, end) = match line.strip_suffix('\n') {
                    Some(line) => (line, ""),
                    None => (line, " \\"),
                };
                text += format!("{mark} {line}{end}").trim_end();
                text.push('\n');
            }
        }
    }
    // The program's own name is in usages.
    text.replace("longshore", "docker")
}

fn prepare(bench: &Bench, place: &Place, keys: &Path, words: &[&str]) {
    match words {
        ["image", content, name] => import(bench, content, name),
        ["tag", from, to] => drop(bench.run(&["tag", from, to]).success()),
        ["login", user, password] => {
            // Without asking anybody: the name counts for the first signer, too, where nobody wants a login.
            let config = bench.home.path().join("config");
            std::fs::create_dir_all(&config).unwrap();
            let registry = place.registry.address();
            let auth = base64::encode(format!("{user}:{password}"));
            let text = format!(r#"{{"auths":{{"{registry}":{{"auth":"{auth}"}}}}}}"#);
            std::fs::write(config.join("config.json"), text).unwrap();
        }
        ["logout"] => std::fs::remove_file(bench.home.path().join("config/config.json")).unwrap(),
        ["notary", arguments @ ..] => {
            let config = bench.home.path().join("config");
            run(place.notary_client(&config).args(arguments), "yes\n").success();
        }
        ["key", name, mode, arguments @ ..] => {
            let path = keys.join(name);
            let mut command = bench.home.clean("openssl");
            command.env("PASSPHRASE", REPOSITORY);
            run(command.args(arguments).arg("-out").arg(&path), "").success();
            let mode = u32::from_str_radix(mode, 8).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        other => panic!("{other:?}"),
    }
}

/// Puts warnings of docker's log as Longshore has them: once, and without the time. Its other lines are no words to a user,
/// and Longshore's hints are not docker's.
pub(super) fn without_log(text: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.split_inclusive('\n').filter(|line| !line.starts_with("hint: ")) {
        let Some((_, logged)) =
            line.split_once("\" level=").filter(|_| line.starts_with("time=\""))
        else {
            lines.push(line.to_owned());
            continue;
        };
        let warning =
            logged.strip_prefix("warning msg=\"").and_then(|rest| rest.strip_suffix("\"\n"));
        let warning = warning.map(|warning| format!("WARNING: {warning}\n"));
        lines.extend(warning.filter(|warning| !lines.contains(warning)));
    }
    lines.concat()
}

/// Names for what is another at each run: digests, IDs of keys and of layers.
#[derive(Default)]
pub(super) struct Names(BTreeMap<String, usize>);

impl Names {
    /// Puts names for digits; the same digits, or the beginning of them, have the same name.
    pub(super) fn normal(&mut self, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(start) =
            rest.find(|c: char| c.is_ascii_hexdigit() && !c.is_ascii_uppercase())
        {
            out.push_str(&rest[..start]);
            let digits = rest[start..].find(|c: char| !c.is_ascii_alphanumeric());
            let (word, after) = rest[start..].split_at(digits.unwrap_or(rest.len() - start));
            let is_hex = word.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if is_hex && matches!(word.len(), 12 | 64) {
                let next = self.0.len() + 1;
                let known =
                    self.0.iter().find(|(known, _)| known.starts_with(word)).map(|(_, at)| *at);
                let at = known.unwrap_or_else(|| *self.0.entry(word.to_owned()).or_insert(next));
                // As wide as it was, so that tables stay.
                write!(out, "<{at:0>width$}>", width = word.len() - 2).unwrap();
            } else {
                out.push_str(word);
            }
            rest = after;
        }
        out + rest
    }
}

impl Transcript {
    /// Compares docker, if it is here, and Longshore with what was recorded.
    fn check(&self, place: impl Fn() -> Place) {
        if !can_run() {
            return;
        }
        let Transcript { name, lines, recorded } = *self;
        if docker_is_the_recorded_one() {
            let said = transcript(lines, &place(), Front::Docker);
            if std::env::var_os("LONGSHORE_RECORD").is_some() {
                let folder =
                    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/trust/transcripts");
                std::fs::write(folder.join(format!("{name}.recorded.txt")), &said).unwrap();
                return;
            }
            assert_eq!(said, recorded, "docker says something else than was recorded");
        }
        for front in [Front::Longshore, Front::InProcess] {
            let said = transcript(lines, &place(), front);
            for (ours, docker) in said.lines().zip(recorded.lines()) {
                assert_eq!(ours, docker, "{said}");
            }
            assert_eq!(said.lines().count(), recorded.lines().count(), "{said}");
        }
    }
}

#[test]
fn verbs_say_what_docker_says() {
    transcript!("verbs").check(Place::new);
}

#[test]
fn a_server_gets_the_token_or_the_password_that_it_asks_for() {
    transcript!("tokens").check(|| {
        let notary = Notary::with_tokens("me", "secret").unwrap();
        Place { notary, ..Place::new() }
    });
    transcript!("passwords").check(|| {
        let notary = Notary::behind_script().unwrap();
        notary.ask_for_password("me", "secret");
        Place { notary, ..Place::new() }
    });
}

#[test]
fn keys_of_all_kinds_are_dockers_or_refused_as_docker_refuses_them() {
    transcript!("keys").check(Place::new);
}

#[test]
fn what_another_role_signed_is_told_and_not_pulled() {
    transcript!("roles").check(Place::new);
}
