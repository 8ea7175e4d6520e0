//! The form of a command line in the table.
//!
//! ```text
//! # a comment
//! images --format '{{.ID}} {{.Tag}}'
//! [sorted] rmi -f $R/rich:1 ; tag $R/small:1 gone:1 => pull $R/rich:1 < input
//! ```
//!
//! Words are cut at spaces outside of quotes. What stands before `=>` is done by `docker` first, before each of the two
//! programs, whatever comes of it; `;` stands between several. After `<` is the standard input, in which `\n` is a line
//! end. In brackets are [`Rule`]s. `$NAME` is a fact of the stage;
//! `$WHO` is which of the two programs runs, for names that both need for the first time; `$DAEMON` is which of the two
//! daemons is asked: whatever is pushed goes to a repository below that name, as both daemons are gone through at the same
//! time and see the same registries.

/// A line's way to be run and compared, other than the usual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The order of lines is chance: layers are transferred side by side.
    Sorted,
    /// As [`Rule::Sorted`], and how a layer came to the registry is not compared: each program pushes to a repository of
    /// its own, and the second one finds what the first one left.
    Fresh,
    /// An image is made anew: its ID, in which the time is, is chance.
    Made,
    /// The order of lines is checked although images are listed.
    InOrder,
    /// Only the server's part is compared: the client's part is about the client.
    Server,
    /// Without a daemon's address in front.
    Hostless,
    /// With formats in `config.json`.
    Configured,
    /// With a `config.json` that cannot be read.
    Broken,
    /// The answer is about this machine: it cannot be recorded, and only a docker that is here can be compared with.
    Machine,
}

/// A line's place in the tables.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    /// The table's name.
    pub(super) table: &'static str,
    /// The line.
    pub(super) text: String,
    /// Number of such lines before it in the table.
    pub(super) nth: usize,
}

/// A line of the table.
#[derive(Clone, Debug)]
pub(super) struct Case {
    /// The line.
    pub(super) key: Key,
    /// Command lines to run before.
    pub(super) before: Vec<Vec<String>>,
    /// The words behind the program's name.
    pub(super) arguments: Vec<String>,
    /// The standard input.
    pub(super) input: String,
    rules: Vec<Rule>,
}

impl Case {
    /// Reads a table; `fill` puts facts into a word.
    pub(super) fn read(
        table: &'static str,
        text: &str,
        fill: impl Fn(&str) -> String,
    ) -> Vec<Case> {
        let lines = text.lines().map(str::trim);
        let mut cases: Vec<Case> = Vec::new();
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let nth = cases.iter().filter(|case| case.key.text == line).count();
            let key = Key { table, text: line.to_owned(), nth };
            cases.push(Case::parse(key, &fill));
        }
        cases
    }

    fn parse(key: Key, fill: &dyn Fn(&str) -> String) -> Case {
        let line = key.text.clone();
        let mut case = Case {
            key,
            before: Vec::new(),
            arguments: Vec::new(),
            input: String::new(),
            rules: Vec::new(),
        };
        let mut words = Vec::new();
        let mut is_input = false;
        for (word, is_quoted) in split(&line) {
            match word.as_str() {
                ";" | "=>" if !is_quoted => case.before.push(std::mem::take(&mut words)),
                "<" if !is_quoted => is_input = true,
                rule if !is_quoted && words.is_empty() && rule.starts_with('[') => {
                    case.rules.push(Rule::named(rule));
                }
                word if is_input => case.input = fill(word).replace("\\n", "\n"),
                word => words.push(fill(word)),
            }
        }
        case.arguments = words;
        case
    }

    /// Says whether the line lists images, of which there may be several.
    pub(super) fn lists_images(&self) -> bool {
        let words: Vec<&str> = self.arguments.iter().take(2).map(String::as_str).collect();
        matches!(words.as_slice(), ["images", ..] | ["image", "ls" | "list"])
            && !self.has(Rule::InOrder)
    }

    /// Says whether the answer is about this machine.
    pub(super) fn is_of_the_machine(&self) -> bool {
        self.has(Rule::Machine) || self.has(Rule::Server)
    }

    /// Says whether a rule holds.
    pub(super) fn has(&self, rule: Rule) -> bool {
        self.rules.contains(&rule)
    }
}

impl Rule {
    fn named(name: &str) -> Rule {
        match name {
            "[sorted]" => Rule::Sorted,
            "[made]" => Rule::Made,
            "[in-order]" => Rule::InOrder,
            "[hostless]" => Rule::Hostless,
            "[fresh]" => Rule::Fresh,
            "[server]" => Rule::Server,
            "[configured]" => Rule::Configured,
            "[broken]" => Rule::Broken,
            "[machine]" => Rule::Machine,
            _ => panic!("no such rule: {name}"),
        }
    }
}

/// Cuts a line into words, and says of each whether it was quoted.
fn split(line: &str) -> Vec<(String, bool)> {
    let mut words = Vec::new();
    let mut word: Option<(String, bool)> = None;
    let mut quote = None;
    for character in line.chars() {
        match quote {
            Some(open) if character == open => quote = None,
            None if character == ' ' => words.extend(word.take()),
            None if matches!(character, '\'' | '"') => {
                quote = Some(character);
                word.get_or_insert_default().1 = true;
            }
            _ => word.get_or_insert_default().0.push(character),
        }
    }
    assert!(quote.is_none(), "a quote is open: {line}");
    words.extend(word);
    words
}

#[test]
fn lines_are_read() {
    let fill = |word: &str| word.replace("$R", "r.example");
    let case = &Case::read(
        "table",
        "# none\n\n[sorted] rmi a ; tag 'b c' d => pull \"$R/x y\" '' '<' < 'one\\ntwo'",
        fill,
    )[0];
    assert_eq!(case.before, [vec!["rmi", "a"], vec!["tag", "b c", "d"]]);
    assert_eq!(case.arguments, ["pull", "r.example/x y", "", "<"]);
    assert_eq!(case.input, "one\ntwo");
    assert!(case.has(Rule::Sorted) && !case.has(Rule::Server));
}
