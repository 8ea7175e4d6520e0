//! The answers of docker to the tables, kept beside them.
//!
//! A command line of another version says other words: on a machine that has one, Longshore is compared with the record
//! alone. A file of it has, for each line of a table, what docker answered on each of the two daemons:
//!
//! ```text
//! $ images --quiet
//! longshore: 0
//! | 9c8d8d0a1b2c
//! dockerd: 1
//! ! Cannot connect
//! \ no line end
//! ```
//!
//! After the daemon (or `both`) is the exit status; `|` begins a line of the standard output, `!` one of the standard
//! error. What is another at each run stands there by its name: `$R`, `$HOME`, `$NOW` … (see [`super::constant`]).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;

use super::case::{Case, Key};
use super::stage::Said;

/// The docker that is recorded.
const DOCKER: &str = "28.2.2";
/// The dockerd that it was asked about beside Longshore's daemon; Debian 12 has it.
const DOCKERD: &str = "20.10.24";
/// The architecture that the recorded images are of.
const ARCHITECTURE: &str = "x86_64";
/// Set to write the record anew.
const RECORD: &str = "LONGSHORE_RECORD";
/// The command that does it.
pub(super) const HOW: &str = "LONGSHORE_RECORD=1 cargo test -p longshore --test it equality";

const NO_LINE_END: &str = "\\ no line end";
const BOTH: &str = "both";
const LONGSHORE: &str = "longshore";

/// The answers to a line of a table, by the name of the daemon.
type Answers = BTreeMap<String, Said>;

/// Docker's answers to the lines of the tables.
#[derive(Debug, Default)]
pub(super) struct Record(BTreeMap<Key, Answers>);

/// The programs that Longshore is compared with on this machine.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub(super) struct Means {
    /// The docker here is the recorded one: it is asked, too.
    docker: bool,
    /// The dockerd here is the recorded one.
    dockerd: bool,
    /// The images of the tests are the recorded ones.
    images: bool,
    /// The record is written instead of read.
    recording: bool,
}

impl Means {
    /// Looks for the programs, and says what is left out for want of the recorded ones.
    pub(super) fn here() -> Means {
        let (docker, dockerd) = (version("docker"), version("dockerd"));
        let means = Means {
            docker: docker == DOCKER,
            dockerd: dockerd == DOCKERD,
            images: std::env::consts::ARCH == ARCHITECTURE,
            recording: std::env::var_os(RECORD).is_some(),
        };
        if !means.docker {
            println!("left out: asking docker {docker} itself, as the words are those of {DOCKER}");
        }
        if !means.dockerd {
            println!("left out: what docker says on dockerd {dockerd}, as {DOCKERD} was recorded");
        }
        if !means.images {
            println!("left out: the record, which is of images for {ARCHITECTURE}");
        }
        let can = means.docker && means.dockerd && means.images;
        assert!(
            can || !means.recording,
            "docker {DOCKER} and dockerd {DOCKERD} are recorded, on {ARCHITECTURE}"
        );
        means
    }

    /// Says whether docker itself can be asked.
    pub(super) fn asks_docker(self) -> bool {
        self.docker
    }

    /// Says whether the record is written.
    pub(super) fn records(self) -> bool {
        self.recording
    }

    /// Says whether an answer on a daemon can be compared with the record.
    pub(super) fn reads_record(self, daemon: &str, case: &Case) -> bool {
        let is_recorded = self.images && (self.dockerd || daemon == LONGSHORE);
        is_recorded && !self.recording && !case.is_of_the_machine()
    }
}

/// Says whether the docker on the `PATH` is the recorded one, so that its words are those of Longshore.
pub(crate) fn docker_is_the_recorded_one() -> bool {
    version("docker") == DOCKER
}

/// Returns a program's version without what a distribution added to it, or that there is none.
fn version(program: &str) -> String {
    let Some(path) = test_support::servers::find_program(program) else { return "none".to_owned() };
    let output = Command::new(path).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let version = text.split_whitespace().nth(2).unwrap_or_default();
    version.split(['+', ',', '-']).next().unwrap_or_default().to_owned()
}

/// Returns the file with the record of a table.
fn file(table: &str) -> PathBuf {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/equality/recorded");
    PathBuf::from(folder).join(table).with_extension("txt")
}

impl Record {
    /// Reads the record of tables.
    pub(super) fn read(tables: &[&'static str]) -> Record {
        let mut record = Record::default();
        for table in tables {
            let text = std::fs::read_to_string(file(table)).unwrap_or_default();
            record.parse(table, &text);
        }
        record
    }

    /// Writes the record of tables, in the order of their lines.
    pub(super) fn write(&self, tables: &[&'static str], cases: &[Case]) {
        for table in tables {
            let keys = cases.iter().map(|case| &case.key).filter(|key| key.table == *table);
            std::fs::write(file(table), self.text(table, keys)).unwrap();
        }
    }

    /// Adds an answer of docker.
    pub(super) fn add(&mut self, case: &Case, daemon: &str, said: Said) {
        self.0.entry(case.key.clone()).or_default().insert(daemon.to_owned(), said);
    }

    /// Returns what docker answers to a line on a daemon.
    pub(super) fn answer(&self, case: &Case, daemon: &str) -> Option<&Said> {
        self.0.get(&case.key)?.get(daemon)
    }

    /// Returns the lines that stand in no table any more.
    pub(super) fn superfluous(&self, cases: &[Case]) -> Vec<&str> {
        let keys = self.0.keys().filter(|key| !cases.iter().any(|case| case.key == **key));
        keys.map(|key| key.text.as_str()).collect()
    }

    fn text<'a>(&self, table: &str, keys: impl Iterator<Item = &'a Key>) -> String {
        let mut text = format!(
            "# Docker {DOCKER} on Longshore's daemon and on dockerd {DOCKERD}, to each line of {table}.txt.\n\
             # Written by: {HOW}\n"
        );
        for (key, answers) in keys.filter_map(|key| self.0.get_key_value(key)) {
            let _ = writeln!(text, "\n$ {}", key.text);
            let mut said: Vec<(&str, &Said)> =
                answers.iter().map(|(daemon, said)| (daemon.as_str(), said)).collect();
            if let [(_, one), (_, other)] = said[..]
                && one == other
            {
                said = vec![(BOTH, one)];
            }
            for (daemon, said) in said {
                let _ = writeln!(text, "{daemon}: {}", said.status);
                write_lines(&mut text, '|', &said.stdout);
                write_lines(&mut text, '!', &said.stderr);
            }
        }
        text
    }

    fn parse(&mut self, table: &'static str, text: &str) {
        let mut key = None;
        let mut daemons: Vec<&str> = Vec::new();
        for line in text.lines() {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(text) = line.strip_prefix("$ ") {
                let mut next = Key { table, text: text.to_owned(), nth: 0 };
                while self.0.contains_key(&next) {
                    next.nth += 1;
                }
                self.0.insert(next.clone(), Answers::new());
                key = Some(next);
                continue;
            }
            let answers = key.as_ref().and_then(|key| self.0.get_mut(key)).unwrap();
            if let Some((daemon, status)) = line.split_once(": ").filter(|_| !is_output(line)) {
                daemons = if daemon == BOTH { vec!["dockerd", LONGSHORE] } else { vec![daemon] };
                for daemon in &daemons {
                    let said = Said { status: status.parse().unwrap(), ..Said::default() };
                    answers.insert((*daemon).to_owned(), said);
                }
                continue;
            }
            for daemon in &daemons {
                let said = answers.get_mut(*daemon).unwrap();
                if line == NO_LINE_END {
                    // It is said of the stream that was written to last.
                    let stream =
                        if said.stderr.is_empty() { &mut said.stdout } else { &mut said.stderr };
                    stream.pop();
                    continue;
                }
                let stream =
                    if line.starts_with('|') { &mut said.stdout } else { &mut said.stderr };
                stream.push_str(&unescaped(line.get(2..).unwrap_or_default()));
                stream.push('\n');
            }
        }
    }
}

fn is_output(line: &str) -> bool {
    line.starts_with(['|', '!', '\\'])
}

fn write_lines(text: &mut String, mark: char, output: &str) {
    for line in output.split_inclusive('\n') {
        let whole = line.strip_suffix('\n');
        let shown = escaped(whole.unwrap_or(line));
        let _ = writeln!(text, "{}", format!("{mark} {shown}").trim_end_matches(' '));
        if whole.is_none() {
            let _ = writeln!(text, "{NO_LINE_END}");
        }
    }
}

/// Writes what a text file cannot show: control characters, and spaces at the end of a line.
fn escaped(line: &str) -> String {
    let mut shown = String::new();
    for character in line.chars() {
        match character {
            '\\' => shown.push_str("\\\\"),
            character if character.is_control() => shown.extend(character.escape_default()),
            character => shown.push(character),
        }
    }
    match shown.strip_suffix(' ') {
        Some(start) => format!("{start}\\s"),
        None => shown,
    }
}

fn unescaped(shown: &str) -> String {
    let mut line = String::new();
    let mut rest = shown.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            line.push(character);
            continue;
        }
        match rest.next() {
            Some('s') => line.push(' '),
            Some('t') => line.push('\t'),
            Some('r') => line.push('\r'),
            Some('u') => {
                let code: String =
                    rest.by_ref().skip(1).take_while(|character| *character != '}').collect();
                line.push(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32).unwrap());
            }
            other => line.extend(other),
        }
    }
    line
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let said = |status, stdout: &str, stderr: &str| Said {
        status,
        stdout: stdout.to_owned(),
        stderr: stderr.to_owned(),
    };
    let cases = Case::read("table", "images\ninfo -f 'x'\nimages", str::to_owned);
    let answers = [
        [said(0, "", ""), said(0, "", "")],
        [said(1, "one\n\ttwo \\s \n\n", "end\u{1b}[0m"), said(0, "no line end ", "")],
        [said(125, "out\nmore", "$ err\nlongshore: 3\n# x\n"), said(0, "\n\r\n", "\n")],
    ];
    let mut record = Record::default();
    for (case, answers) in cases.iter().zip(answers) {
        for (daemon, said) in ["dockerd", "longshore"].into_iter().zip(answers) {
            record.add(case, daemon, said);
        }
    }
    let text = record.text("table", cases.iter().map(|case| &case.key));
    let mut read = Record::default();
    read.parse("table", &text);
    assert_eq!(read.0, record.0, "{text}");
}
