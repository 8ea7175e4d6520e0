//! Completion by real bash, zsh and fish, and manual pages by real groff.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use test_support::http::Client;
use test_support::image::{Compression, Layer};
use test_support::scripted::{Answer, Scripted};
use test_support::servers::{DockerRegistry, installed};

use super::support::{Done, Home, noise, run, small_image};

/// Types `$2` and a tab into zsh, completion being loaded from `$1`, and prints what the line is then. Each read waits for
/// what it is about.
const TYPED: &str = r#"
    zmodload zsh/zpty
    zpty z zsh -f -i
    zpty -w z "fpath=($1 \$fpath); autoload -U compinit; compinit -u -d $1/dump"
    zpty -w z 'dump() { print -r -- "<<$BUFFER>>" }; zle -N dump; bindkey "^X" dump; PS1=; print REA""DY'
    zpty -r z said '*READY*'
    zpty -w -n z "$2"$'\t'$'\x18'
    zpty -r z said '*<<*>>*'
    said=${said##*<<}
    print -r -- "${said%%>>*}"
"#;

/// Returns a line as zsh completes it.
fn typed(home: &Home, line: &str) -> String {
    let folder = home.path().join("zsh");
    fs::create_dir_all(&folder).unwrap();
    let script = home.run(&["completion", "zsh"]).success();
    fs::write(folder.join("_longshore"), script).unwrap();
    let mut command = home.clean("timeout");
    command.args(["60", "zsh", "-fc", TYPED, "zsh"]).arg(&folder).arg(line);
    let said = run(with_longshore(&mut command), "").success();
    said.trim_end_matches('\n').to_owned()
}

/// Returns what fish offers for a line, with what each is.
fn fished(home: &Home, line: &str) -> Vec<String> {
    let folder = home.path().join(".config/fish/completions");
    fs::create_dir_all(&folder).unwrap();
    let script = home.run(&["completion", "fish"]).success();
    fs::write(folder.join("longshore.fish"), script).unwrap();
    let mut command = home.clean("fish");
    command.args(["-c", "complete -C $argv[1]", line]);
    run(with_longshore(&mut command), "").success().lines().map(str::to_owned).collect()
}

/// Has the shell find the binary by its name.
fn with_longshore(command: &mut Command) -> &mut Command {
    let folder = Path::new(env!("CARGO_BIN_EXE_longshore")).parent().unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", folder.display()))
}

/// Returns what bash offers for a line, at its end.
fn offered(home: &Home, line: &str) -> Vec<String> {
    let script = r#"
        source <("$1" completion bash)
        COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDBREAKS=$' \t\n"'"'"'><=;|&(:'
        _longshore
        printf '%s\n' "${COMPREPLY[@]}"
    "#;
    let program = env!("CARGO_BIN_EXE_longshore");
    let line = line.replace("longshore", program);
    let mut command = home.clean("bash");
    command.args(["-c", script, "bash", program, &line]);
    let said = run(&mut command, "").success();
    said.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[test]
fn bash_offers_commands_flags_values_and_images() {
    if !installed(&["bash", "docker-registry"]) {
        println!("skipped: needs bash and docker-registry");
        return;
    }
    let home = Home::new();
    let root = home.data_root().display().to_string();
    let with_root = |line: &str| format!("longshore --data-root {root} {line}");
    // Where there is no store there is nothing to offer, and none is made.
    assert!(offered(&home, &with_root("rmi ")).is_empty());
    assert!(!home.data_root().exists());

    let registry = DockerRegistry::builder().start().unwrap();
    let layer =
        Layer::new(Compression::Gzip, &[test_support::tar::Entry::file("file", noise(1, 100))]);
    let image = test_support::image::Image::builder().layer(layer).build();
    image.push(&registry.client(), "x/y", "latest").unwrap();
    let name = format!("{}/x/y", registry.address());
    home.run(&["pull", "-q", &name]).success();
    home.run(&["tag", &name, "local:one"]).success();

    for (line, expected) in [
        ("longshore pus".to_owned(), vec!["push"]),
        ("longshore image his".to_owned(), vec!["history"]),
        ("longshore images --no".to_owned(), vec!["--no-trunc"]),
        ("longshore images --format=t".to_owned(), vec!["table"]),
        ("longshore images --filter dang".to_owned(), vec!["dangling="]),
        (with_root("rmi loc"), vec!["local:one"]),
        // What stands before a colon is no part of the word.
        (with_root("rmi local:"), vec!["one"]),
        (with_root("save -o file local:o"), vec!["one"]),
        ("longshore save -o ".to_owned(), vec![]),
        ("longshore frob ".to_owned(), vec![]),
    ] {
        assert_eq!(offered(&home, &line), expected, "{line}");
    }
    let names = offered(&home, &with_root("inspect "));
    assert!(names.contains(&name) && names.contains(&"local:one".to_owned()), "{names:?}");
}

#[test]
fn zsh_completes_from_the_first_tab_on() {
    if !installed(&["zsh", "docker-registry"]) {
        println!("skipped: needs zsh and docker-registry");
        return;
    }
    let registry = DockerRegistry::builder().start().unwrap();
    let (home, name) = tagged(&registry.client());
    let folder = home.path().display();
    for (line, expected) in [
        ("longshore pul".to_owned(), "longshore pull ".to_owned()),
        (format!("longshore pull {name}:2"), format!("longshore pull {name}:2.0 ")),
        (
            format!("longshore --data-root={folder}/zs"),
            format!("longshore --data-root={folder}/zsh/"),
        ),
    ] {
        assert_eq!(typed(&home, &line), expected);
    }
}

#[test]
fn fish_offers_commands_files_and_tags() {
    if !installed(&["fish", "docker-registry"]) {
        println!("skipped: needs fish and docker-registry");
        return;
    }
    let registry = DockerRegistry::builder().start().unwrap();
    let (home, name) = tagged(&registry.client());
    fs::write(home.path().join("only"), "").unwrap();
    let folder = home.path().display();
    for (line, expected) in [
        ("longshore pul".to_owned(), vec!["pull\tDownload an image from a registry".to_owned()]),
        (
            format!("longshore pull {name}:1"),
            vec![format!("{name}:1.0\ttag"), format!("{name}:1.1\ttag")],
        ),
        (format!("longshore load --input {folder}/on"), vec![format!("{folder}/only")]),
        (format!("longshore load --input={folder}/on"), vec![format!("--input={folder}/only")]),
    ] {
        assert_eq!(fished(&home, &line), expected, "{line}");
    }
}

#[test]
fn tags_are_asked_of_the_registry_where_the_configuration_allows() {
    if !installed(&["bash", "docker-registry"]) {
        println!("skipped: needs bash and docker-registry");
        return;
    }
    let registry = DockerRegistry::builder().password("me", "pw").start().unwrap();
    let (home, name) = tagged(&registry.client().with_authorization("Basic bWU6cHc="));
    let config = home.path().join("config");
    let configure = |text: &str| {
        fs::create_dir_all(&config).unwrap();
        fs::write(config.join("config.json"), text).unwrap();
    };
    let complete = |verb: &str, word: &str| {
        let mut command = home.clean(env!("CARGO_BIN_EXE_longshore"));
        run(command.args(["__complete", verb, word]), "")
    };
    let asked = |word: &str| complete("pull", word);
    let silent = |done: Done| {
        assert!(done.ok && done.stdout.is_empty() && done.stderr.is_empty(), "{done:?}");
    };
    let logins = format!(r#""auths": {{"{}": {{"auth": "bWU6cHc="}}}}"#, registry.address());
    let wrong = format!(r#"{{"auths": {{"{}": {{"auth": "bWU6bm8="}}}}}}"#, registry.address());

    silent(asked(&format!("{name}:")));
    configure(&wrong);
    silent(asked(&format!("{name}:")));
    configure(&format!("{{{logins}}}"));
    let all = asked(&format!("{name}:1")).success();
    assert_eq!(all, format!("{name}:1.0\ttag\n{name}:1.1\ttag\n"));
    // What stands before a colon is no part of the word for bash.
    for line in ["pull", "copy", "copy x", "registry inspect", "registry rm x", "manifest inspect"]
    {
        assert_eq!(offered(&home, &format!("longshore {line} {name}:2")), ["2.0"], "{line}");
    }
    silent(asked(&format!("{}/none:", registry.address())));
    silent(complete("tag", &format!("{name}:")));
    let off = r#""plugins": {"longshore": {"remote-completion": "false"}}"#;
    configure(&format!("{{{logins}, {off}}}"));
    silent(asked(&format!("{name}:")));

    // A helper may open a window.
    let helper = home.path().join("docker-credential-spy");
    fs::write(&helper, "#!/bin/sh\ntouch \"$HOME/asked\"\n").unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    configure(r#"{"credsStore": "spy"}"#);
    let path = format!("{}:{}", home.path().display(), std::env::var("PATH").unwrap());
    let word = format!("{name}:");
    let mut command = home.clean(env!("CARGO_BIN_EXE_longshore"));
    silent(run(command.args(["__complete", "pull", &word]).env("PATH", path), ""));
    assert!(!home.path().join("asked").exists());
}

#[test]
fn a_registry_that_says_nothing_keeps_nobody_waiting() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let registry = runtime.block_on(Scripted::start()).unwrap();
    registry.on("GET", "/v2/", [Answer::silence()]);
    let home = Home::new();
    let mut command = home.clean(env!("CARGO_BIN_EXE_longshore"));
    let done = run(command.args(["__complete", "pull", &format!("{}/a:", registry.host())]), "");
    assert!(done.ok && done.stdout.is_empty() && done.stderr.is_empty(), "{done:?}");
    assert_eq!(registry.count("GET", "/v2/"), 1);
}

/// Puts an image with some tags into a registry; returns its name, with a home that knows nothing of it.
fn tagged(client: &Client) -> (Home, String) {
    for tag in ["1.0", "1.1", "2.0"] {
        small_image(1).push(client, "x/y", tag).unwrap();
    }
    (Home::new(), format!("{}/x/y", client.address()))
}

#[test]
fn manual_pages_are_sound() {
    let home = Home::new();
    let folder = home.path().join("man");
    let listed =
        run(home.clean(env!("CARGO_BIN_EXE_longshore")).arg("man").arg(&folder), "").success();
    assert!(listed.lines().count() > 20, "{listed}");
    if !installed(&["groff"]) {
        println!("skipped: needs groff");
        return;
    }
    for page in listed.lines() {
        let output =
            Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z", page]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && said.is_empty(), "{page}: {said}");
    }
}
