//! All verbs of `trust`, and pull and push of what is signed: what docker 28.2.2 says is recorded beside this file, and said
//! here, too. With that docker on the `PATH`, `LONGSHORE_RECORD=1 cargo test -p longshore --test it transcript` records anew.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::{Place, can_run, import};
use crate::equality::docker_is_the_recorded_one;
use crate::support::{Bench, Front, run};

/// The command lines. `$R` is the registry with the owner's name, `$K` a folder for keys. One that begins with `!` prepares
/// something: an image, a login, a tag.
const LINES: &str = include_str!("transcript.txt");
const RECORDED: &str = include_str!("recorded.txt");

/// Runs all lines, and returns what was said with each value that is another at each run under a name.
fn transcript(front: Front) -> String {
    let place = Place::new();
    let bench = Bench::new(front, &[]);
    let keys = bench.home.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    let mut names = Names::default();
    let mut text = String::new();
    for line in LINES.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let words: Vec<String> = line
            .split(' ')
            .map(|word| {
                let word = word.replace("$R", &format!("{}/me", place.registry.address()));
                word.replace("$K", &keys.display().to_string())
            })
            .collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        if let ["!", rest @ ..] = words.as_slice() {
            prepare(&bench, &place, &keys, rest);
            continue;
        }
        let mut command = bench.command();
        let said = run(place.trusting(&mut command).args(&words), "");
        let end = if said.ok { "succeeds" } else { "fails" };
        writeln!(text, "$ {line}\n{end}").unwrap();
        for (mark, said) in [('|', &said.stdout), ('!', &said.stderr)] {
            let said = said.replace(place.registry.address(), "REGISTRY");
            let said = said.replace(place.notary.address(), "NOTARY");
            let said = said.replace(&keys.display().to_string(), "$K");
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
        ["login"] => {
            // Nobody asks for it but the name of the signer.
            let config = bench.home.path().join("config");
            std::fs::create_dir_all(&config).unwrap();
            let auth = r#"{"auths":{"REGISTRY":{"auth":"Ym9iOnB3"}}}"#;
            let auth = auth.replace("REGISTRY", place.registry.address());
            std::fs::write(config.join("config.json"), auth).unwrap();
        }
        ["key", name, mode, arguments @ ..] => {
            let path = keys.join(name);
            let mut command = bench.home.clean("openssl");
            run(command.args(arguments).arg("-out").arg(&path), "").success();
            let mode = u32::from_str_radix(mode, 8).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        other => panic!("{other:?}"),
    }
}

/// Names for what is another at each run: digests, IDs of keys and of layers.
#[derive(Default)]
struct Names(BTreeMap<String, usize>);

impl Names {
    /// Puts names for digits; the same digits, or the beginning of them, have the same name.
    fn normal(&mut self, text: &str) -> String {
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

#[test]
fn transcripts_are_dockers() {
    if !can_run() {
        return;
    }
    if docker_is_the_recorded_one() {
        let said = transcript(Front::Docker);
        if std::env::var_os("LONGSHORE_RECORD").is_some() {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/trust/recorded.txt");
            std::fs::write(path, &said).unwrap();
            return;
        }
        assert_eq!(said, RECORDED, "docker says something else than was recorded");
    }
    for front in [Front::Longshore, Front::InProcess] {
        let said = transcript(front);
        for (ours, docker) in said.lines().zip(RECORDED.lines()) {
            assert_eq!(ours, docker, "{said}");
        }
        assert_eq!(said.lines().count(), RECORDED.lines().count(), "{said}");
    }
}
