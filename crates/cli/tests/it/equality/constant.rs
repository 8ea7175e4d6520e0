//! Names under which things are recorded that are others at each run.

/// Since when what happens is of this run.
#[derive(Clone, Debug)]
pub(super) struct Start {
    seconds: i64,
    /// The day, as `2026-11-28`; in a time zone east of UTC it may be the next one.
    day: String,
}

impl Start {
    pub(super) fn now() -> Start {
        let now = jiff::Timestamp::now();
        Start { seconds: now.as_second(), day: now.to_string()[..10].to_owned() }
    }

    /// Says whether a word is a moment since then: RFC 3339, seconds or nanoseconds.
    fn precedes(&self, word: &str) -> bool {
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        if word.len() == digits {
            let second = word.get(..10).and_then(|second| second.parse::<i64>().ok());
            return matches!(digits, 10 | 19)
                && second.is_some_and(|second| second >= self.seconds);
        }
        let is_date = digits >= 14 && word.get(10..11) == Some("T");
        is_date && word.as_bytes().get(4) == Some(&b'-') && word[..10] >= *self.day
    }
}

/// Returns a text with names for what is another at each run.
pub(super) fn text(text: &str, names: &[(&str, &str)], start: &Start) -> String {
    let text = names.iter().fold(text.to_owned(), |text, (value, name)| text.replace(value, name));
    let mut constant = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let end = rest.find(|c| !is_of_a_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        constant.push_str(match word {
            word if start.precedes(word) => "$NOW",
            // Images get older.
            _ if is_number && after.starts_with(" years ago") => "$N",
            // The folder of a layer, in which its name is chance.
            word if word.len() == 64 && constant.ends_with("/overlay2/") => "$LAYER",
            word => word,
        });
        let next = after.find(|c: char| c.is_ascii_alphanumeric()).unwrap_or(after.len());
        constant.push_str(&after[..next]);
        rest = &after[next..];
    }
    constant
}

fn is_of_a_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | ':' | '.' | '+')
}

#[test]
fn moments_of_this_run_have_a_name() {
    let start = Start { seconds: 1_795_885_702, day: "2026-11-28".to_owned() };
    let hex = "0".repeat(64);
    let said = format!(
        "2026-11-28T18:08:22.1+01:00 pull /tmp/x/overlay2/{hex}/diff {hex} at 127.0.0.1:5000/a, \
         2023-11-14T22:13:20Z 1795885702 {{\"t\":1795885702123456789}} 1795885701 3 years ago"
    );
    let expected = format!(
        "$NOW pull $ROOT/overlay2/$LAYER/diff {hex} at $R/a, \
         2023-11-14T22:13:20Z $NOW {{\"t\":$NOW}} 1795885701 $N years ago"
    );
    let names = [("127.0.0.1:5000", "$R"), ("/tmp/x", "$ROOT")];
    assert_eq!(text(&said, &names, &start), expected);
}
