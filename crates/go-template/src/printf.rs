//! Go's `fmt.Sprintf` for the values of templates.

use spec::go::{fixed, quoted, scientific, significant};

use super::MAX_MADE;
use super::print::{nested, shortest, with_names};
use super::value::Value;

/// The largest width or precision that an argument may ask for: Go's own bound. One that is written in the format may have one
/// digit more, as Go looks before it reads a digit.
const MAX_WIDTH: u64 = 1_000_000;

/// A verb with its flags: `%-8.3s`.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag that may be written or not")]
struct Verb {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    width: Option<usize>,
    precision: Option<usize>,
    /// The fault of the verb itself.
    fault: Option<&'static str>,
}

/// Formats `arguments` as `format` says. As in Go, what does not fit is printed with a note (`%!d(string=x)`). What
/// becomes too long is none.
pub(super) fn sprintf(format: &str, arguments: &[Value]) -> Option<String> {
    let mut text = String::new();
    let mut rest = format;
    let mut given = Arguments { all: arguments, next: 0, reordered: false };
    while let Some(at) = rest.find('%') {
        text.push_str(&rest[..at]);
        let (verb, letter, after) = verb(&rest[at + 1..], &mut given, &mut text);
        rest = after;
        if text.len() > MAX_MADE {
            return None;
        }
        match letter {
            None => text.push_str("%!(NOVERB)"),
            Some('%') => text.push('%'),
            Some(letter) => match (verb.fault, given.take()) {
                (Some(fault), _) => text.extend(["%!", &letter.to_string(), fault]),
                (None, Some(value)) => text.push_str(&verb.format(letter, value)),
                (None, None) => text.extend(["%!", &letter.to_string(), "(MISSING)"]),
            },
        }
    }
    text.push_str(rest);
    if !given.reordered && given.next < arguments.len() {
        let extra: Vec<_> = arguments[given.next..]
            .iter()
            .map(|value| format!("{}={}", value.type_name(), nested(value)))
            .collect();
        text.extend(["%!(EXTRA ", &extra.join(", "), ")"]);
    }
    Some(text)
}

/// The arguments of a format, which are taken in order or by their numbers.
struct Arguments<'a> {
    all: &'a [Value],
    next: usize,
    /// True if a number was written: then nobody minds what is left over.
    reordered: bool,
}

impl Arguments<'_> {
    fn take(&mut self) -> Option<&Value> {
        let value = self.all.get(self.next)?;
        self.next += 1;
        Some(value)
    }

    /// Reads `[3]`: the next argument is the third. What is in brackets and no such number is a fault.
    fn choose<'t>(&mut self, text: &'t str, fault: &mut Option<&'static str>) -> &'t str {
        let Some(inside) = text.strip_prefix('[') else { return text };
        self.reordered = true;
        let Some((number, after)) = inside.split_once(']') else {
            *fault = Some("(BADINDEX)");
            return inside;
        };
        match number.parse::<usize>().ok().and_then(|number| number.checked_sub(1)) {
            Some(at) if at < self.all.len() => self.next = at,
            _ => *fault = Some("(BADINDEX)"),
        }
        after
    }

    /// Reads `*`: the number is the next argument.
    fn number(&mut self) -> Option<i64> {
        match self.take() {
            Some(Value::Int(number)) => Some(*number),
            _ => None,
        }
    }
}

/// Reads a verb after its `%`; returns it, its letter and the text after it. As in Go, a width or precision that no argument
/// gives is told at once, and the verb does without.
fn verb<'t>(
    text: &'t str,
    given: &mut Arguments<'_>,
    made: &mut String,
) -> (Verb, Option<char>, &'t str) {
    let mut verb = Verb::default();
    let mut rest = text.trim_start_matches(|flag| match flag {
        '-' => set(&mut verb.minus),
        '+' => set(&mut verb.plus),
        '#' => set(&mut verb.sharp),
        ' ' => set(&mut verb.space),
        '0' => set(&mut verb.zero),
        _ => false,
    });
    rest = given.choose(rest, &mut verb.fault);
    if let Some(after) = rest.strip_prefix('*') {
        match given.number() {
            Some(width) if width.unsigned_abs() <= MAX_WIDTH => {
                verb.minus |= width < 0;
                verb.width = usize::try_from(width.unsigned_abs()).ok();
            }
            _ => made.push_str("%!(BADWIDTH)"),
        }
        rest = after;
    } else {
        (verb.width, rest) = digits(rest);
    }
    if let Some(after) = rest.strip_prefix('.') {
        rest = given.choose(after, &mut verb.fault);
        if let Some(after) = rest.strip_prefix('*') {
            match given.number().filter(|number| number.unsigned_abs() <= MAX_WIDTH) {
                Some(precision @ 0..) => verb.precision = usize::try_from(precision).ok(),
                _ => made.push_str("%!(BADPREC)"),
            }
            rest = after;
        } else {
            let (precision, after) = digits(rest);
            verb.precision = Some(precision.unwrap_or(0));
            rest = after;
        }
    }
    rest = given.choose(rest, &mut verb.fault);
    let mut characters = rest.chars();
    let letter = characters.next();
    (verb, letter, characters.as_str())
}

fn set(flag: &mut bool) -> bool {
    *flag = true;
    true
}

/// Reads a number; at one that is too large Go takes the whole rest of the format for it.
fn digits(text: &str) -> (Option<usize>, &str) {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = &text[..text.len() - rest.len()];
    match digits.parse::<u64>() {
        Ok(number) if number / 10 <= MAX_WIDTH => (usize::try_from(number).ok(), rest),
        Err(_) if digits.is_empty() => (None, rest),
        _ => (None, ""),
    }
}

impl Verb {
    fn format(self, letter: char, value: &Value) -> String {
        let text = match (letter, value) {
            ('v', Value::Float(number)) if self.precision.is_some() => self.float('g', *number),
            ('v', Value::Text(text)) if self.sharp => quoted(text),
            ('v', value) if self.plus => with_names(value),
            ('v', value) => nested(value),
            ('T', value) => value.type_name().to_owned(),
            ('t', Value::Bool(value)) => value.to_string(),
            ('s', Value::Text(text) | Value::Number(text)) => self.cut(text),
            ('s' | 'q' | 'x' | 'X' | 'd', Value::List(items)) => {
                let items: Vec<_> = items
                    .iter()
                    .flatten()
                    .map(|item| Verb { width: None, ..self }.format(letter, item))
                    .collect();
                format!("[{}]", items.join(" "))
            }
            ('q', Value::Text(text) | Value::Number(text)) => quoted(&self.cut(text)),
            ('x', Value::Text(text) | Value::Number(text)) => self.bytes(text),
            ('X', Value::Text(text) | Value::Number(text)) => self.bytes(text).to_uppercase(),
            ('U', Value::Int(number)) => format!("U+{number:04X}"),
            ('s', Value::Duration(_) | Value::Time(_)) => nested(value),
            ('d', Value::Int(number)) => {
                let digits = self.radix(*number, "", &number.unsigned_abs().to_string());
                self.signed(*number >= 0, digits)
            }
            ('x', Value::Int(number)) => {
                self.radix(*number, "0x", &format!("{:x}", number.unsigned_abs()))
            }
            ('X', Value::Int(number)) => {
                self.radix(*number, "0X", &format!("{:X}", number.unsigned_abs()))
            }
            ('o', Value::Int(number)) => {
                self.radix(*number, "0", &format!("{:o}", number.unsigned_abs()))
            }
            ('b', Value::Int(number)) => {
                self.radix(*number, "0b", &format!("{:b}", number.unsigned_abs()))
            }
            ('c', Value::Int(number)) => u32::try_from(*number)
                .ok()
                .and_then(char::from_u32)
                .unwrap_or('\u{fffd}')
                .to_string(),
            ('f' | 'F' | 'e' | 'g', Value::Float(number)) => {
                self.signed(*number >= 0.0, self.float(letter, *number))
            }
            (_, Value::Missing | Value::Nil) => format!("%!{letter}(<nil>)"),
            (_, value) => format!("%!{letter}({}={})", value.type_name(), nested(value)),
        };
        self.pad(text, value)
    }

    /// Returns the bytes of text in hexadecimal digits, apart where the flag for that is written.
    fn bytes(self, text: &str) -> String {
        let digits = hexadecimal(text);
        if !self.space {
            return digits;
        }
        let pairs = digits.as_bytes().chunks(2).map(String::from_utf8_lossy);
        pairs.collect::<Vec<_>>().join(" ")
    }

    fn cut(self, text: &str) -> String {
        text.chars().take(self.precision.unwrap_or(usize::MAX)).collect()
    }

    fn signed(self, positive: bool, text: String) -> String {
        match (positive, self.plus, self.space) {
            (true, true, _) => format!("+{text}"),
            (true, false, true) => format!(" {text}"),
            _ => text,
        }
    }

    /// Returns an integer by its digits, of which there are at least as many as the precision says.
    fn radix(self, number: i64, prefix: &str, digits: &str) -> String {
        let sign = if number < 0 { "-" } else { "" };
        let prefix = if self.sharp { prefix } else { "" };
        match self.precision {
            Some(0) if number == 0 => String::new(),
            Some(least) => {
                let zeros = "0".repeat(least.saturating_sub(digits.len()));
                format!("{sign}{prefix}{zeros}{digits}")
            }
            None => format!("{sign}{prefix}{digits}"),
        }
    }

    fn float(self, letter: char, number: f64) -> String {
        match letter {
            'g' => match self.precision {
                Some(digits) => significant(number, digits),
                None => shortest(number),
            },
            'e' => scientific(number, self.precision.unwrap_or(6)),
            _ => fixed(number, self.precision.unwrap_or(6)),
        }
    }

    fn pad(self, text: String, value: &Value) -> String {
        let missing = self.width.unwrap_or(0).saturating_sub(text.chars().count());
        if missing == 0 {
            return text;
        }
        if self.minus {
            return text + &" ".repeat(missing);
        }
        // The zeros of an integer are those of its precision, if it has one.
        let by_precision = self.precision.is_some() && matches!(value, Value::Int(_));
        if self.zero && !by_precision {
            let is_number = matches!(value, Value::Int(_) | Value::Float(_));
            let signs: &[char] = if is_number { &['-', '+', ' '] } else { &[] };
            let digits = text.trim_start_matches(signs);
            let (sign, digits) = text.split_at(text.len() - digits.len());
            return format!("{sign}{}{digits}", "0".repeat(missing));
        }
        " ".repeat(missing) + &text
    }
}

/// Returns the bytes of text in hexadecimal digits.
fn hexadecimal(text: &str) -> String {
    text.bytes()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}
