//! Progress, as it is seen at terminals of several sizes, in pipes, and by programs.
//!
//! `progress/` has the captures; what is chance in them (ports, times) is written as a word in braces.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use test_support::image::Image;
use test_support::servers::{LocalRegistry, installed};
use test_support::terminal::Terminal;

use super::archives::{doubled_image, old_archive};
use super::support::{Bench, Done, FRONTS, Front, Home, run, small_image};

/// Prepares to run a command at a terminal of this size; `input` is where it reads from.
fn terminal_of(command: &Command, (columns, rows): (usize, usize), input: &str) -> Command {
    let quoted = |word: &std::ffi::OsStr| format!("'{}'", word.to_str().unwrap());
    let words: Vec<String> =
        [command.get_program()].into_iter().chain(command.get_args()).map(quoted).collect();
    let line = format!("stty columns {columns} rows {rows}; {} {input}", words.join(" "));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env_clear();
    for (name, value) in command.get_envs() {
        script.env(name, value.unwrap_or_default());
    }
    script
}

/// Runs a command at a terminal of this size and returns what is on it then.
fn at_terminal(command: &Command, columns: usize, rows: usize) -> Terminal {
    let written = run(&mut terminal_of(command, (columns, rows), ""), "").success();
    assert!(!written.contains('m') || !written.contains("\x1b[1m"), "no colours: {written:?}");
    let mut terminal = Terminal::new(columns, rows);
    // The end of the input of a terminal is shown as what it is typed as.
    terminal.write(&written.replace("^D\u{8}\u{8}", ""));
    terminal
}

/// Compares text with a capture.
#[track_caller]
fn assert_captured(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/progress").join(name);
    let captured = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, captured, "{name}");
}

/// Puts words in the place of what is chance.
fn without_chance(text: &str, registry: &LocalRegistry) -> String {
    let text = text.replace(&registry.address().to_string(), "{registry}");
    let seconds = |line: &str| {
        let (before, time) = line.split_once(" Time: ")?;
        let is_time = time.ends_with("s.") && time.starts_with(|c: char| c.is_ascii_digit());
        is_time.then(|| format!("{before} Time: {{time}}"))
    };
    let line = |line: &str| seconds(line).unwrap_or_else(|| line.to_owned()) + "\n";
    text.lines().map(line).collect()
}

fn registry_with(image: &Image) -> (LocalRegistry, String) {
    let registry = LocalRegistry::start().unwrap();
    image.push(&registry.client(), "app", "1").unwrap();
    let name = format!("{}/app:1", registry.address());
    (registry, name)
}

#[test]
fn a_terminal_of_any_width_has_whole_lines() {
    if !installed(&["script", "stty"]) {
        println!("skipped: needs script and stty");
        return;
    }
    let (registry, name) = registry_with(&small_image(1));
    for (columns, rows) in [(80, 24), (40, 24), (40, 4)] {
        let home = Home::new();
        let mut command = home.longshore();
        let terminal = at_terminal(command.args(["pull", &name]), columns, rows);
        let seen = without_chance(&terminal.lines().join("\n"), &registry);
        assert_captured("pull-terminal.txt", &seen);
        // What is here already, is told, too.
        let again = at_terminal(&command, columns, rows);
        let seen = without_chance(&again.lines().join("\n"), &registry);
        assert_captured("pull-again-terminal.txt", &seen);
    }
}

#[test]
fn a_terminal_that_moves_no_cursor_gets_lines() {
    if !installed(&["script", "stty"]) {
        println!("skipped: needs script and stty");
        return;
    }
    let (registry, name) = registry_with(&small_image(1));
    let home = Home::new();
    let mut command = home.longshore();
    command.env("TERM", "dumb").args(["pull", "-q", &name]);
    let terminal = at_terminal(&command, 80, 24);
    assert_eq!(terminal.lines().join("\n"), name);
    let mut command = home.longshore();
    command.env("TERM", "dumb").args(["pull", &name]);
    let seen = at_terminal(&command, 80, 24).lines();
    assert_eq!(without_chance(&seen.join("\n"), &registry).lines().count(), 5, "{seen:#?}");
}

#[test]
fn a_pipe_has_dockers_lines_and_plain_a_line_more_on_standard_error() {
    let (registry, name) = registry_with(&small_image(1));
    let pull = |front, flags: &[&str]| {
        let bench = Bench::new(front, &[]);
        let done = bench.run(&[&["pull"], flags, &[&name]].concat());
        let stdout = without_chance(&done.stdout, &registry);
        // Layers come in the order in which they are ready.
        let mut lines: Vec<&str> = stdout.lines().collect();
        lines.sort_unstable();
        let stderr = without_chance(&done.stderr, &registry);
        let Done { ok, .. } = done;
        assert!(ok, "{stderr}");
        (lines.join("\n") + "\n", stderr)
    };
    for front in FRONTS {
        if front == Front::Docker && !installed(&["docker"]) {
            println!("skipped: needs docker");
            continue;
        }
        let (stdout, stderr) = pull(front, &[]);
        assert_captured("pull-pipe.txt", &stdout);
        assert_eq!(stderr, "", "{front:?}");
    }
    for front in [Front::InProcess, Front::Longshore] {
        let (stdout, stderr) = pull(front, &["--progress=plain"]);
        assert_captured("pull-pipe.txt", &stdout);
        assert_captured("pull-plain.txt", &stderr);
        let (stdout, stderr) = pull(front, &["--progress=quiet"]);
        assert_eq!((stdout.as_str(), stderr.as_str()), ("{registry}/app:1\n", ""));
    }
    let wrong = Home::new().run(&["pull", "--progress=bars", &name]).failure();
    let expected = "invalid argument \"bars\" for \"--progress\" flag: must be one of auto, plain, tty, json, quiet";
    assert!(wrong.starts_with(expected), "{wrong}");
}

/// Returns the JSON lines of what succeeded.
fn objects(done: Done) -> Vec<Value> {
    assert_eq!(done.stderr, "");
    done.success().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the lines that are no counts: when those come is chance.
fn events(lines: &[Value]) -> Vec<&Value> {
    let counts = ["downloading", "unpacking", "uploading"];
    lines.iter().filter(|line| !counts.iter().any(|state| line["state"] == *state)).collect()
}

#[test]
fn programs_are_told_layers_bytes_and_hosts() {
    let image = small_image(1);
    let size: u64 = image.layers.iter().map(|layer| layer.blob.size).sum();
    let (registry, name) = registry_with(&image);
    let host = registry.address().to_string();
    let count = |layers, bytes| serde_json::json!({ "layers": layers, "bytes": bytes });
    for front in [Front::InProcess, Front::Longshore] {
        let bench = Bench::new(front, &[]);
        let lines = objects(bench.run(&["pull", "--progress", "json", &name]));
        assert!(lines.iter().all(|line| line["version"] == 1), "{lines:#?}");
        let of_layers: Vec<_> = lines.iter().filter(|line| line["type"] == "layer").collect();
        for state in ["waiting", "downloaded", "done"] {
            let told = of_layers.iter().filter(|line| line["state"] == state).count();
            assert!(told >= 2, "{state}: {lines:#?}");
        }
        let done = of_layers.iter().rfind(|line| line["state"] == "done").unwrap();
        assert_eq!(done["host"], host);
        assert_eq!(done["all"], serde_json::json!({ "done": size, "total": size }));
        let [.., result, summary] = &lines[..] else { panic!("{lines:#?}") };
        assert_eq!(result["text"], name);
        assert_eq!(summary["moved"], count(2, size));
        assert_eq!(summary["present"], count(0, 0));

        let lines = objects(bench.run(&["pull", "--progress", "json", &name]));
        assert_eq!(lines.last().unwrap()["present"], count(2, size));
        assert_eq!(lines.last().unwrap()["moved"], count(0, 0));

        // To another repository of the same registry layers are mounted; to where they are, they are there.
        let other = format!("{host}/other{}:1", u8::from(front == Front::Longshore));
        bench.run(&["tag", &name, &other]).success();
        let lines = objects(bench.run(&["push", "--progress", "json", &other]));
        assert_eq!(lines.last().unwrap()["mounted"], count(2, size), "{lines:#?}");
        assert_eq!(lines.last().unwrap()["moved"], count(0, 0));
        let lines = objects(bench.run(&["push", "--progress", "json", &other]));
        assert_eq!(lines.last().unwrap()["present"], count(2, size), "{lines:#?}");
        assert_eq!(events(&lines).last().unwrap()["type"], "summary");

        let failed = bench.run(&["pull", "--progress", "json", &format!("{host}/none")]);
        let last: Value = serde_json::from_str(failed.stdout.lines().last().unwrap()).unwrap();
        assert_eq!(last["type"], "error", "{}", failed.stdout);
        assert!(failed.failure().contains("not found"));
    }
}

#[test]
fn pushes_tell_what_was_sent() {
    let (_registry, name) = registry_with(&small_image(1));
    let target = LocalRegistry::start().unwrap();
    let home = Home::new();
    home.run(&["pull", "-q", &name]).success();
    let there = format!("{}/app:2", target.address());
    home.run(&["tag", &name, &there]).success();
    let lines = objects(home.run(&["push", "--progress", "json", &there]));
    let summary = lines.last().unwrap();
    assert_eq!(summary["moved"]["layers"], 2, "{lines:#?}");
    let done = lines.iter().rfind(|line| line["state"] == "done").unwrap();
    assert_eq!(done["host"], target.address().to_string());
    assert_eq!(done["all"]["done"], summary["moved"]["bytes"]);
}

#[test]
fn archives_tell_their_size_and_what_of_them_was_new() {
    let (_registry, name) = registry_with(&small_image(1));
    for front in [Front::InProcess, Front::Longshore] {
        let bench = Bench::new(front, &[]);
        bench.run(&["pull", "-q", &name]).success();
        let file = bench.home.path().join("saved.tar");
        let path = file.to_str().unwrap();
        let saved = bench.run(&["save", "--progress=json", "-o", path, &name]);
        let size = file.metadata().unwrap().len();
        let line = |line: Option<&str>| serde_json::from_str::<Value>(line.unwrap()).unwrap();
        let first = line(saved.stderr.lines().next());
        assert_eq!(first["total"], size, "{}", saved.stderr);
        assert_eq!(line(saved.stderr.lines().last())["moved"]["bytes"], size, "{}", saved.stderr);
        assert_eq!(bench.run(&["save", "-o", path, &name]).stderr, "");

        let load = |bench: &Bench| {
            let done = bench.run(&["load", "--progress=plain", "-i", path]);
            let (stdout, stderr) = (done.stdout.clone(), done.stderr.clone());
            done.success();
            assert_eq!(stdout, format!("Loaded image: {name}\n"));
            stderr
        };
        let again = load(&bench);
        assert!(again.starts_with("Moved: nothing. There before: 2 layers, "), "{again}");
        bench.run(&["rmi", &name]).success();
        let anew = load(&bench);
        assert!(anew.starts_with("Moved: 2 layers, "), "{anew}");
        let quiet = bench.run(&["load", "--progress=quiet", "-i", path]);
        assert_eq!((quiet.success(), anew.lines().count()), (format!("Loaded image: {name}\n"), 1));
    }
}

/// Nobody knows how much there is in a pipe, and the first layer may be long in coming.
#[test]
fn a_terminal_is_told_how_much_of_a_pipe_has_come() {
    if !installed(&["script", "stty", "mkfifo"]) {
        println!("skipped: needs script, stty and mkfifo");
        return;
    }
    let archive = old_archive(&doubled_image(), &["x:1"]);
    for front in [Front::InProcess, Front::Longshore] {
        let bench = Bench::new(front, &[]);
        let pipe = bench.home.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let mut command = bench.command();
        command.arg("load");
        let mut script = terminal_of(&command, (80, 24), &format!("< '{}'", pipe.display()));
        let script = script.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = script.spawn().unwrap();
        let mut sending = File::options().write(true).open(&pipe).unwrap();
        sending.write_all(&archive[..50_000]).unwrap();
        // Nothing more comes before that is seen.
        let mut shown = child.stdout.take().unwrap();
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("50kB") {
            let mut piece = [0; 1000];
            let length = shown.read(&mut piece).unwrap();
            assert_ne!(length, 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&piece[..length]);
        }
        sending.write_all(&archive[50_000..]).unwrap();
        drop(sending);
        shown.read_to_end(&mut seen).unwrap();
        assert!(child.wait().unwrap().success());
        let mut terminal = Terminal::new(80, 24);
        terminal.write(&String::from_utf8(seen).unwrap());
        let lines = terminal.lines();
        let counts = lines[0].strip_prefix("Sending  ").and_then(|line| line.split_once('/'));
        assert!(counts.is_some_and(|(sent, all)| sent == all), "{lines:#?}");
        assert!(lines.contains(&"Loaded image: x:1".to_owned()), "{lines:#?}");
    }
}

/// A client that sends the header and does not know what it asks for shows nothing of it.
#[test]
fn docker_passes_over_facts() {
    if !installed(&["docker"]) {
        println!("skipped: needs docker");
        return;
    }
    let (registry, name) = registry_with(&small_image(1));
    let bench = Bench::new(Front::Docker, &[]);
    let config = bench.home.path().join("config");
    std::fs::create_dir(&config).unwrap();
    let headers = r#"{"HttpHeaders":{"longshore-facts":"1"}}"#;
    std::fs::write(config.join("config.json"), headers).unwrap();
    let pulled = bench.run(&["pull", &name]).success();
    let pulled = without_chance(&pulled, &registry);
    let mut lines: Vec<&str> = pulled.lines().collect();
    lines.sort_unstable();
    assert_captured("pull-pipe.txt", &(lines.join("\n") + "\n"));
    let pushed = bench.run(&["push", &name]).success();
    assert!(!pushed.contains("longshore") && pushed.contains("Layer already exists"), "{pushed}");
}
