//! Single values as Go's libraries read and write them.

use spec::go::{parse_duration, quoted};

use super::error::{Result, wrong};

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
    let nanoseconds = parse_duration(text).or_else(|error| wrong(error.to_string()))?;
    if nanoseconds != 0 && nanoseconds < MILLISECOND {
        return wrong(format!("Interval {} cannot be less than 1ms", quoted(flag)));
    }
    Ok(nanoseconds)
}
