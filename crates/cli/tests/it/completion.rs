//! Completion by real bash, and manual pages by real groff.

use std::process::Command;

use test_support::image::{Compression, Layer};
use test_support::servers::{DockerRegistry, installed};

use super::support::{Home, noise, run};

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
