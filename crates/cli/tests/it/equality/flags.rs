//! `--help` names the flags of docker's.

use std::collections::BTreeSet;
use std::process::Command;

use super::case::Case;
use super::recorded::{HOW, Means, Record};
use super::stage::Said;

/// The command lines.
const TABLE: &str = "help";
/// The daemon in the record: a help text needs none.
const NOBODY: &str = "alone";

/// A flag as a help text has it: `-f, --filter filter`.
fn flags(help: &str) -> BTreeSet<String> {
    let lines = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
    // Two spaces stand between the flag and what it does; more may stand inside where a flag has no letter.
    let names =
        lines.map(|line| line.split("  ").next().unwrap_or_default().replace(['<', '>'], ""));
    // A truth value that may be written with it is not shown by docker.
    names.map(|name| name.trim().replace("[=bool]", "")).collect()
}

fn help(program: &str, case: &Case) -> String {
    let output = Command::new(program).args(&case.arguments).output().unwrap();
    assert!(output.status.success(), "{program} {}", case.key.text);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn help_names_every_flag_of_docker() {
    let cases = Case::read(TABLE, include_str!("help.txt"), str::to_owned);
    let means = Means::here();
    let mut record = Record::read(&[TABLE]);
    if means.asks_docker() {
        for case in &cases {
            let said = Said { stdout: help("docker", case), ..Said::default() };
            if means.records() {
                record.add(case, NOBODY, said);
            } else {
                assert_eq!(record.answer(case, NOBODY), Some(&said), "not as recorded; {HOW}");
            }
        }
        if means.records() {
            record.write(&[TABLE], &cases);
        }
    }
    let mut missing = Vec::new();
    for case in &cases {
        let ours = flags(&help(env!("CARGO_BIN_EXE_longshore"), case));
        let theirs = record.answer(case, NOBODY).unwrap_or_else(|| panic!("not recorded; {HOW}"));
        assert!(theirs.is_success(), "{}: {theirs}", case.key.text);
        let theirs = flags(&theirs.stdout);
        let absent = theirs.difference(&ours);
        missing.extend(absent.map(|flag| format!("{}: {flag}", case.key.text)));
    }
    assert!(missing.is_empty(), "missing:\n{}", missing.join("\n"));
}
