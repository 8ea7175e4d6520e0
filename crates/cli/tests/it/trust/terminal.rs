//! Questions at a terminal: what docker 28.2.2 asks and says is recorded in `transcripts/terminal.recorded.txt`.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::termios::{LocalModes, tcgetattr};
use test_support::terminal::Terminal;

use super::transcript::{Names, without_log};
use super::{Place, can_run, import};
use crate::equality::docker_is_the_recorded_one;
use crate::support::{Bench, Front};

const RECORDED: &str = include_str!("transcripts/terminal.recorded.txt");

/// The most questions that a command asks here; docker gives up a passphrase after a few.
const MAX_QUESTIONS: usize = 12;

/// Runs a command at a terminal, answers its questions in turn, the last answer again to those that follow, and returns the
/// lines that are on it then.
fn at_terminal(command: &Command, answers: &[&str]) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let device = folder.path().join("device");
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap());
    let words: Vec<String> =
        [command.get_program()].into_iter().chain(command.get_args()).map(quoted).collect();
    let line =
        format!("stty columns 250 rows 100; tty >{}; exec {}", device.display(), words.join(" "));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_clear();
    let known = command.get_envs().filter_map(|(name, value)| value.map(|value| (name, value)));
    script.envs(known);
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut text, mut answered, mut buffer) = (String::new(), 0, [0; 4096]);
    let mut asked = 0;
    loop {
        let count = output.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        let question = text[answered..].rsplit('\n').next().unwrap_or_default();
        let is_secret = question.contains("passphrase for ") && question.ends_with(": ");
        if !is_secret && !question.ends_with("[y/N] ") {
            continue;
        }
        if is_secret {
            wait_until_hidden(&device);
        }
        answered = text.len();
        writeln!(input, "{}", answers[asked.min(answers.len() - 1)]).unwrap();
        asked += 1;
        if asked > MAX_QUESTIONS {
            child.kill().unwrap();
            panic!("{text}");
        }
    }
    child.wait().unwrap();
    assert!(asked >= answers.len(), "{text}");
    let mut terminal = Terminal::new(250, 100);
    terminal.write(&text.replace("^D\u{8}\u{8}", ""));
    terminal.lines()
}

/// Waits until a terminal hides what is typed: what comes before may be shown, or dropped.
fn wait_until_hidden(device: &Path) {
    let name = std::fs::read_to_string(device).unwrap();
    let terminal = File::open(name.trim()).unwrap();
    let begin = Instant::now();
    while tcgetattr(&terminal).unwrap().local_modes.contains(LocalModes::ECHO) {
        assert!(begin.elapsed() < Duration::from_mins(1), "nothing is hidden");
        std::thread::yield_now();
    }
}

/// Has all questions asked, and returns what was on the terminal.
fn questions(front: Front) -> String {
    let (place, bench) = (Place::new(), Bench::new(front, &[]));
    let keys = bench.home.path().join("keys");
    std::fs::create_dir(&keys).unwrap();
    let (folder, key) = (keys.display().to_string(), keys.join("ann.pub").display().to_string());
    let (repository, name) = (place.name("app"), place.name("app:1"));
    import(&bench, "one", &name);
    let (ann, root, own) = ("ann's passphrase", "root's passphrase", "app's passphrase");
    let add = ["trust", "signer", "add", "--key", &key, "ann", &repository];
    let sign = ["trust", "sign", &name];
    let steps: [(&[&str], &[&str]); 7] = [
        (
            &["trust", "key", "generate", "--dir", &folder, "ann"],
            &["short", ann, "another one", ann, ann],
        ),
        (&add, &[root, root, own, own]),
        (&sign, &["wrong", "wrong again", "and again"]),
        (&sign, &["wrong", ann]),
        (&["trust", "revoke", &repository], &["n"]),
        (&["trust", "revoke", &name], &[ann]),
        (&["trust", "signer", "add", "--key", &key, "bob", &repository], &["wrong", own]),
    ];
    let mut names = Names::default();
    let mut text = String::new();
    for (arguments, answers) in steps {
        let mut command = bench.command();
        place.trusting(&mut command).args(arguments);
        for variable in ["ROOT", "REPOSITORY"] {
            command.env_remove(format!("DOCKER_CONTENT_TRUST_{variable}_PASSPHRASE"));
        }
        let lines = at_terminal(&command, answers);
        let shown = arguments[..3].join(" ").replace(place.registry.address(), "REGISTRY");
        text.extend(["$ ", shown.as_str(), "\n"]);
        // The summary of a push is Longshore's own.
        let lines: Vec<_> =
            lines.iter().filter(|line| !line.starts_with("Moved: ")).cloned().collect();
        let said = lines.join("\n") + "\n";
        let said = said.replace(place.registry.address(), "REGISTRY").replace(&folder, "KEYS");
        text += &without_ids(&names.normal(&without_log(&said)));
    }
    // Docker asks seven times before it gives up, Longshore four times.
    let again = "Passphrase incorrect. Please retry.\nEnter passphrase for ann key with ID <>:\n";
    while text.contains(&again.repeat(2)) {
        text = text.replace(&again.repeat(2), again);
    }
    text
}

/// Puts a word for the beginnings of the IDs of keys.
fn without_ids(text: &str) -> String {
    let mut parts = text.split(" with ID ");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + " with ID <>" + part.trim_start_matches(|c: char| c.is_ascii_hexdigit())
    })
}

#[test]
fn questions_are_dockers() {
    if !can_run() {
        return;
    }
    if docker_is_the_recorded_one() {
        let said = questions(Front::Docker);
        if std::env::var_os("LONGSHORE_RECORD").is_some() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/trust/transcripts");
            std::fs::write(folder.join("terminal.recorded.txt"), &said).unwrap();
            return;
        }
        assert_eq!(said, RECORDED, "docker says something else than was recorded");
    }
    let said = questions(Front::InProcess);
    for (ours, docker) in said.lines().zip(RECORDED.lines()) {
        assert_eq!(ours, docker, "{said}");
    }
    assert_eq!(said, RECORDED);
}
