//! Whole displays, as a terminal, a pipe and a program see them.

use std::time::Duration;

use api::message::{LayerFacts, Message, ProgressDetail};
use test_support::terminal::Terminal;

use super::screen::{Screen, Size};
use super::tally::{Count, Sums, Tally};
use super::{json, plain};

fn parsed(line: &str) -> Message {
    serde_json::from_str(line).unwrap()
}

const PULL: [&str; 9] = [
    r#"{"status":"Pulling from library/x","id":"latest"}"#,
    r#"{"status":"Pulling fs layer","progressDetail":{},"id":"aaaaaaaaaaaa"}"#,
    r#"{"status":"Pulling fs layer","progressDetail":{},"id":"bbbbbbbbbbbb"}"#,
    r#"{"status":"Downloading","progressDetail":{"current":500000,"total":1000000},"progress":"[=> ] x","id":"aaaaaaaaaaaa"}"#,
    r#"{"status":"Extracting","progressDetail":{"current":2000000},"id":"bbbbbbbbbbbb"}"#,
    r#"{"status":"Pull complete","progressDetail":{},"id":"aaaaaaaaaaaa"}"#,
    r#"{"status":"Digest: sha256:00"}"#,
    r#"{"aux":{"Tag":"1"}}"#,
    r#"{"status":"Pull complete","progressDetail":{},"id":"aaaaaaaaaaaa"}"#,
];

#[test]
fn a_pipe_gets_the_lines_without_counts() {
    let expected = [
        "latest: Pulling from library/x\n",
        "aaaaaaaaaaaa: Pulling fs layer\n",
        "bbbbbbbbbbbb: Pulling fs layer\n",
        "",
        "",
        "aaaaaaaaaaaa: Pull complete\n",
        "Digest: sha256:00\n",
        "",
        "aaaaaaaaaaaa: Pull complete\n",
    ];
    assert_eq!(PULL.map(|line| plain::message(&parsed(line))), expected);
}

#[test]
fn old_daemons_bars_and_build_output_are_printed_as_they_are() {
    let lines = [
        r#"{"status":"Loading","progress":"[=> ]","id":"a"}"#,
        r#"{"stream":"Loaded image: x\n"}"#,
        r#"{"status":"a\u001b[2Jb","id":"x\ry"}"#,
    ];
    let expected = ["a: Loading [=> ]", "Loaded image: x\n", "x\ry: a\x1b[2Jb\n"];
    assert_eq!(lines.map(|line| plain::message(&parsed(line))), expected);
}

/// A display, and the terminal that it is on.
struct Shown {
    screen: Screen,
    tally: Tally,
    terminal: Terminal,
    size: Size,
}

impl Shown {
    fn new(columns: usize, rows: usize) -> Shown {
        let size = Size { columns, rows };
        let (tally, terminal) = (Tally::default(), Terminal::new(columns, rows));
        Shown { screen: Screen::new(size), tally, terminal, size }
    }

    /// Shows a message at a moment, in milliseconds.
    fn show(&mut self, message: &Message, at: u64) {
        let now = Duration::from_millis(at);
        self.tally.note(message, now);
        self.terminal.write(&self.screen.show(message, &self.tally, now, self.size));
        let wrapped = self.terminal.take_wrapped();
        assert!(!wrapped || message.progress_detail.is_none(), "{message:?}");
    }

    fn layer(&mut self, id: &str, status: &str, counts: (u64, u64), at: u64) {
        self.show(&Message::layer(id, status, ProgressDetail::bytes(counts.0, counts.1)), at);
    }

    fn facts(&mut self, id: &str, size: u64, present: u64) {
        let (layer, host) = (id.to_owned(), Some("r:5000".to_owned()));
        let (size, present) = (Some(size), Some(present));
        self.show(&Message::facts(LayerFacts { layer, size, present, host }), 0);
    }

    /// Three layers, one of which is here; the others are halfway after four seconds.
    fn pull(columns: usize, rows: usize) -> Shown {
        let mut shown = Shown::new(columns, rows);
        shown.show(&parsed(PULL[0]), 0);
        for (id, size, present, status) in [
            ("aaaaaaaaaaaa", 20_000_000, 20_000_000, "Already exists"),
            ("bbbbbbbbbbbb", 80_000_000, 0, "Pulling fs layer"),
            ("cccccccccccc", 40_000_000, 10_000_000, "Pulling fs layer"),
        ] {
            shown.facts(id, size, present);
            shown.layer(id, status, (0, 0), 0);
        }
        for second in 0..=4 {
            let at = second * 1000;
            shown.layer("bbbbbbbbbbbb", "Downloading", (second * 10_000_000, 80_000_000), at);
            let current = 10_000_000 + second * 5_000_000;
            shown.layer("cccccccccccc", "Downloading", (current, 40_000_000), at);
        }
        shown
    }
}

#[test]
fn a_wide_terminal_has_bars_and_totals() {
    let shown = Shown::pull(140, 24);
    assert_eq!(
        shown.terminal.screen(),
        [
            "latest: Pulling from library/x",
            "aaaaaaaaaaaa: Already exists",
            "bbbbbbbbbbbb: Downloading [=========================>                         ]     40MB/80MB",
            "cccccccccccc: Downloading [=====================================>             ]     30MB/40MB",
            "Total: 1/3 layers  [===========================>                       ] 60MB/110MB  15MB/s  4s left",
        ]
    );
}

#[test]
fn narrow_terminals_have_the_same_in_fewer_columns() {
    for (columns, total) in [
        (80, "Total: 1/3 layers  60MB/110MB  15MB/s  4s left"),
        (40, "Total: 60MB/110MB  15MB/s  4s left"),
    ] {
        assert_eq!(
            Shown::pull(columns, 24).terminal.screen(),
            [
                "latest: Pulling from library/x",
                "aaaaaaaaaaaa: Already exists",
                "bbbbbbbbbbbb: Downloading     40MB/80MB",
                "cccccccccccc: Downloading     30MB/40MB",
                total,
            ],
            "{columns}"
        );
    }
}

#[test]
fn what_is_no_layer_ends_the_totals_and_leaves_the_layers() {
    let mut shown = Shown::pull(40, 24);
    for id in ["bbbbbbbbbbbb", "cccccccccccc"] {
        shown.layer(id, "Download complete", (0, 0), 9000);
        shown.layer(id, "Pull complete", (0, 0), 9000);
    }
    assert_eq!(shown.terminal.screen().last().unwrap(), "Total: 110MB/110MB  12.5MB/s");
    shown.show(&parsed(PULL[6]), 9000);
    let layers = [
        "latest: Pulling from library/x",
        "aaaaaaaaaaaa: Already exists",
        "bbbbbbbbbbbb: Pull complete",
        "cccccccccccc: Pull complete",
        "Digest: sha256:00",
    ];
    assert_eq!(shown.terminal.screen(), layers);
    // The next tag finds them here, which makes nothing less of what was moved.
    shown.layer("bbbbbbbbbbbb", "Already exists", (0, 0), 9000);
    assert_eq!(shown.terminal.screen().len(), 7, "{:?}", shown.terminal.screen());
    let count = |layers, bytes| Count { layers, bytes };
    let (moved, present) = (count(2, 110_000_000), count(1, 30_000_000));
    assert_eq!(shown.tally.sums(), Sums { moved, present, mounted: Count::default() });
}

#[test]
fn more_layers_than_rows_are_counted_and_all_there_in_the_end() {
    let mut shown = Shown::new(40, 8);
    let id = |number: u64| format!("{number:012x}");
    for number in 0..30 {
        shown.facts(&id(number), 1_000_000, 0);
        shown.layer(&id(number), "Pulling fs layer", (0, 0), 0);
    }
    for number in 0..10 {
        shown.layer(&id(number), "Pull complete", (0, 0), 1000);
    }
    for number in [10, 12] {
        shown.layer(&id(number), "Downloading", (500_000, 1_000_000), 2000);
    }
    assert_eq!(
        shown.terminal.screen(),
        [
            "00000000000a: Downloading    500kB/1MB",
            "00000000000b: Pulling fs layer",
            "00000000000c: Downloading    500kB/1MB",
            "00000000000d: Pulling fs layer",
            "00000000000e: Pulling fs layer",
            "25 more: 10 done, 15 waiting",
            "Total: 11MB/30MB  5.5MB/s  4s left",
        ]
    );
    for number in 10..30 {
        shown.layer(&id(number), "Pull complete", (0, 0), 3000);
    }
    shown.show(&parsed(PULL[6]), 3000);
    let all = shown.terminal.all();
    assert_eq!(all.len(), 31, "{all:#?}");
    for number in 0..30_u64 {
        let place = usize::try_from(number).unwrap();
        assert_eq!(all[place], format!("{}: Pull complete", id(number)));
    }
}

#[test]
fn a_window_that_becomes_narrower_is_drawn_anew() {
    let mut shown = Shown::pull(140, 24);
    shown.size.columns = 40;
    shown.terminal.resize(40);
    shown.layer("cccccccccccc", "Downloading", (30_000_000, 40_000_000), 4000);
    assert_eq!(shown.terminal.screen(), Shown::pull(40, 24).terminal.screen());
    let mut shown = Shown::pull(40, 24);
    shown.size = Size { columns: 80, rows: 4 };
    shown.terminal.resize(80);
    shown.layer("cccccccccccc", "Downloading", (30_000_000, 40_000_000), 4000);
    let rows = shown.terminal.screen();
    assert_eq!(rows.last().unwrap(), "Total: 1/3 layers  60MB/110MB  15MB/s  4s left");
}

#[test]
fn a_link_that_stands_still_is_seen() {
    let mut shown = Shown::pull(40, 24);
    let now = Duration::from_secs(20);
    let text = shown.screen.draw(&shown.tally, now, shown.size);
    shown.terminal.write(&text);
    assert_eq!(shown.terminal.screen().last().unwrap(), "Total: 1/3 layers  60MB/110MB");
}

#[test]
fn daemons_that_tell_no_sizes_promise_no_end() {
    let mut shown = Shown::new(80, 24);
    PULL[1..4].iter().for_each(|line| shown.show(&parsed(line), 0));
    let line = r#"{"status":"Downloading","progressDetail":{"current":900000,"total":1000000},"id":"aaaaaaaaaaaa"}"#;
    shown.show(&parsed(line), 2000);
    assert_eq!(shown.terminal.screen().last().unwrap(), "Total: 0/2 layers  900kB  450kB/s");
}

#[test]
fn no_terminal_is_too_small() {
    for columns in [1, 2, 3, 13, 14, 26, 39] {
        for rows in [1, 2, 3, 4] {
            Shown::pull(columns, rows);
        }
    }
}

#[test]
fn nothing_steers_the_terminal() {
    let mut shown = Shown::new(40, 24);
    shown.show(&parsed(r#"{"status":"a\u001b[2Jb","id":"x\ry"}"#), 0);
    shown.show(&parsed(r#"{"stream":"a\u202eb\n"}"#), 0);
    shown.show(&parsed(r#"{"status":"a\nb","progress":"\u001b[2J","id":"x"}"#), 0);
    assert_eq!(
        shown.terminal.screen(),
        ["x\u{fffd}y: a\u{fffd}[2Jb", "a\u{fffd}b", "x: a b \u{fffd}[2J"]
    );
}

#[test]
fn programs_get_an_object_a_line() {
    let mut tally = Tally::default();
    let mut lines = String::new();
    let facts = LayerFacts {
        layer: "aaaaaaaaaaaa".into(),
        size: Some(1_000_000),
        present: Some(200_000),
        host: Some("r:5000".into()),
    };
    let mounted = parsed(r#"{"status":"Mounted from a/b","progressDetail":{},"id":"c"}"#);
    let messages = PULL[..4].iter().map(|line| parsed(line));
    let messages = [Message::facts(facts)].into_iter().chain(messages);
    for message in messages.chain([mounted, parsed(PULL[5]), parsed(PULL[6])]) {
        tally.note(&message, Duration::ZERO);
        lines += &json::message(&message, &tally);
    }
    lines += &json::result("docker.io/library/x:latest");
    lines += &json::summary(tally.sums(), 1.234_56);
    lines += &json::error("no");
    let expected = r#"
{"version":1,"type":"status","id":"latest","text":"Pulling from library/x"}
{"version":1,"type":"layer","id":"aaaaaaaaaaaa","state":"waiting","done":0,"total":1000000,"host":"r:5000","text":"Pulling fs layer","all":{"done":0,"total":800000}}
{"version":1,"type":"layer","id":"bbbbbbbbbbbb","state":"waiting","done":0,"text":"Pulling fs layer","all":{"done":0}}
{"version":1,"type":"layer","id":"aaaaaaaaaaaa","state":"downloading","done":500000,"total":1000000,"host":"r:5000","text":"Downloading","all":{"done":300000}}
{"version":1,"type":"layer","id":"c","state":"mounted","done":0,"total":0,"text":"Mounted from a/b","all":{"done":300000}}
{"version":1,"type":"layer","id":"aaaaaaaaaaaa","state":"done","done":1000000,"total":1000000,"host":"r:5000","text":"Pull complete","all":{"done":800000}}
{"version":1,"type":"status","text":"Digest: sha256:00"}
{"version":1,"type":"result","text":"docker.io/library/x:latest"}
{"version":1,"type":"summary","moved":{"layers":2,"bytes":800000},"present":{"layers":0,"bytes":200000},"mounted":{"layers":1,"bytes":0},"seconds":1.235}
{"version":1,"type":"error","text":"no"}
"#;
    assert_eq!(lines, expected.trim_start());
}
