//! Single values as Go's libraries read and write them.

use super::{Result, wrong};

/// Quotes a text as Go's `%q` does.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\x07' => quoted.push_str("\\a"),
            '\x08' => quoted.push_str("\\b"),
            '\x0c' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\x0b' => quoted.push_str("\\v"),
            c if c.is_ascii_control() => quoted.extend(format!("\\x{:02x}", u32::from(c)).chars()),
            c if c.is_control() || (c.is_whitespace() && c != ' ') => {
                quoted.extend(format!("\\u{:04x}", u32::from(c)).chars());
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Joins a path to the current one and takes the dots out.
pub(super) fn clean_path(current: &str, path: &str) -> String {
    let whole = if path.starts_with('/') { path.to_owned() } else { format!("/{current}/{path}") };
    let mut parts = Vec::new();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// Signals by name, without `SIG`; those between `RTMIN` and `RTMAX` are counted from either end.
const SIGNALS: [&str; 36] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Checks the name or number of a signal.
pub(super) fn check_signal(signal: &str) -> Result<()> {
    let is_good = signal.parse::<i64>().map_or_else(|_| is_signal(signal), |number| number != 0);
    if is_good { Ok(()) } else { wrong(format!("invalid signal: {signal}")) }
}

fn is_signal(name: &str) -> bool {
    let name = name.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let is_counted = |prefix: &str, most: u8| {
        let count = name.strip_prefix(prefix).filter(|count| !count.starts_with(['0', '+']));
        let count = count.and_then(|count| count.parse::<u8>().ok());
        count.is_some_and(|count| (1..=most).contains(&count))
    };
    SIGNALS.contains(&name) || is_counted("RTMIN+", 15) || is_counted("RTMAX-", 14)
}

/// Reads how often `HEALTHCHECK` tries.
pub(super) fn retries(text: &str) -> Result<i64> {
    if text.is_empty() {
        return Ok(0);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let parsing = |problem: &str| format!("strconv.ParseInt: parsing {}: {problem}", quoted(text));
    if !is_number {
        return wrong(parsing("invalid syntax"));
    }
    match text.parse::<i32>() {
        Ok(count) if count < 0 => wrong(format!("--retries cannot be negative ({count})")),
        Ok(count) => Ok(i64::from(count)),
        Err(_) => wrong(parsing("value out of range")),
    }
}

/// Reads a time of `HEALTHCHECK` to nanoseconds; none is 0, and so is "0".
pub(super) fn time(flag: &str, text: &str) -> Result<i64> {
    const MILLISECOND: i64 = 1_000_000;
    if text.is_empty() {
        return Ok(0);
    }
    let nanoseconds = duration(text)?;
    if nanoseconds != 0 && nanoseconds < MILLISECOND {
        return wrong(format!("Interval {} cannot be less than 1ms", quoted(flag)));
    }
    Ok(nanoseconds)
}

/// Go's `time.ParseDuration`: `1h15m30.918s`.
fn duration(text: &str) -> Result<i64> {
    let invalid = || wrong(format!("time: invalid duration {}", quoted(text)));
    let (is_negative, unsigned) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if unsigned == "0" {
        return Ok(0);
    }
    if unsigned.is_empty() {
        return invalid();
    }
    let mut total: u64 = 0;
    let mut rest = unsigned;
    while !rest.is_empty() {
        let number = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (whole, after) = rest.split_at(number);
        let fraction = after.strip_prefix('.').map(|after| {
            let end = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            after.split_at(end)
        });
        let (fraction, after) = fraction.unwrap_or(("", after));
        if whole.is_empty() && fraction.is_empty() {
            return invalid();
        }
        let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let scale: u64 = match unit {
            "ns" => 1,
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "" => return wrong(format!("time: missing unit in duration {}", quoted(text))),
            unit => {
                let (unit, text) = (quoted(unit), quoted(text));
                return wrong(format!("time: unknown unit {unit} in duration {text}"));
            }
        };
        let whole = if whole.is_empty() { Some(0) } else { whole.parse::<u64>().ok() };
        let part = whole.and_then(|whole| whole.checked_mul(scale));
        let part = part.and_then(|part| part.checked_add(fraction_of(fraction, scale)));
        match part.and_then(|part| total.checked_add(part)) {
            Some(sum) if sum <= i64::MAX.unsigned_abs() => total = sum,
            _ => return invalid(),
        }
        rest = after;
    }
    let total = i64::try_from(total).unwrap_or(i64::MAX);
    Ok(if is_negative { -total } else { total })
}

/// Returns the digits behind the point times `scale`; what is smaller than one is cut off.
fn fraction_of(digits: &str, scale: u64) -> u64 {
    // More digits than these make no difference to any unit.
    let digits = &digits[..digits.len().min(18)];
    let divisor = 10_u128.pow(u32::try_from(digits.len()).unwrap_or_default());
    let value = digits.parse::<u128>().unwrap_or_default() * u128::from(scale) / divisor;
    u64::try_from(value).unwrap_or_default()
}
