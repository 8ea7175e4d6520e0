//! `--help` names the flags of docker's.

use std::collections::BTreeSet;
use std::process::Command;

/// Every command that docker has, too, and the flags of it that are not there.
const COMMANDS: &[(&str, &[&str])] = &[
    ("events", &[]),
    ("history", &[]),
    ("images", &[]),
    ("image history", &[]),
    ("image load", &[]),
    ("image save", &[]),
    ("image ls", &[]),
    ("image inspect", &[]),
    ("image pull", &[]),
    ("image prune", &[]),
    ("image push", &[]),
    ("image rm", &[]),
    ("image tag", &[]),
    ("info", &[]),
    ("inspect", &[]),
    ("load", &[]),
    ("login", &[]),
    ("logout", &[]),
    ("pull", &[]),
    ("push", &[]),
    ("rmi", &[]),
    ("save", &[]),
    ("system events", &[]),
    ("system info", &[]),
    ("system df", &[]),
    ("tag", &[]),
    ("version", &[]),
];

/// A flag as a help text has it: `-f, --filter filter`.
fn flags(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    // Two spaces stand between the flag and what it does; more may stand inside where a flag has no letter.
    let names =
        lines.map(|line| line.split("  ").next().unwrap_or_default().replace(['<', '>'], ""));
    // A truth value that may be written with it is not shown by docker.
    names.map(|name| name.trim().replace("[=bool]", "")).collect()
}

fn help(program: &str, command: &str) -> String {
    let output = Command::new(program).args(command.split(' ')).arg("--help").output().unwrap();
    assert!(output.status.success(), "{program} {command}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_names_every_flag_of_docker() {
    if !test_support::servers::installed(&["docker"]) {
        println!("skipped: needs docker");
        return;
    }
    let mut missing = Vec::new();
    for (command, absent) in COMMANDS {
        let ours = flags(&help(env!("CARGO_BIN_EXE_longshore"), command));
        for flag in flags(&help("docker", command)) {
            if !ours.contains(&flag) && !absent.contains(&flag.as_str()) {
                missing.push(format!("{command}: {flag}"));
            }
        }
    }
    assert!(missing.is_empty(), "missing:\n{}", missing.join("\n"));
}
