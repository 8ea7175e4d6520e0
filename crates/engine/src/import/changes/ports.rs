//! The ports of `EXPOSE`: `[[ip:]hostPort:]containerPort[-end][/protocol]`, of which only the container's are kept.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

use super::error::{Result, wrong};

/// Returns the ports as they stand in a config: `80/tcp`.
pub(super) fn parse(words: &[String]) -> Result<Vec<String>> {
    let mut ports = Vec::new();
    for word in words {
        ports.extend(parse_one(word)?);
    }
    Ok(ports)
}

fn parse_one(raw: &str) -> Result<Vec<String>> {
    let parts: Vec<&str> = raw.rsplitn(3, ':').collect();
    let (ip, host, container) = match parts[..] {
        [container] => ("", "", container),
        [container, host] => ("", host, container),
        [container, host, ip] => (ip, host, container),
        _ => ("", "", ""),
    };
    let (port, protocol) = container.split_once('/').unwrap_or((container, ""));
    if port.is_empty() {
        return wrong(format!("no port specified: {raw}<empty>"));
    }
    let protocol = if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_lowercase() };
    if !matches!(protocol.as_str(), "tcp" | "udp" | "sctp") {
        return wrong(format!("invalid proto: {protocol}"));
    }
    check_ip(ip)?;
    let Some(range) = range(port) else {
        return wrong(format!("invalid containerPort: {port}"));
    };
    if !host.is_empty() {
        let Some(at_host) = self::range(host) else {
            return wrong(format!("invalid hostPort: {host}"));
        };
        if at_host.end() - at_host.start() != range.end() - range.start()
            && range.end() != range.start()
        {
            return wrong(format!(
                "invalid ranges specified for container and host Ports: {port} and {host}"
            ));
        }
    }
    if *range.start() == 0 && *range.end() == u16::MAX {
        // dockerd counts them in sixteen bits and comes to none.
        return Ok(Vec::new());
    }
    Ok(range.map(|port| format!("{port}/{protocol}")).collect())
}

fn check_ip(ip: &str) -> Result<()> {
    let bare = ip.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(ip);
    let (address, zone) = bare.split_once('%').map_or((bare, None), |(ip, zone)| (ip, Some(zone)));
    let is_good = match zone {
        None => bare.is_empty() || address.parse::<IpAddr>().is_ok(),
        Some(zone) => !zone.is_empty() && address.parse::<Ipv6Addr>().is_ok(),
    };
    if is_good {
        return Ok(());
    }
    wrong(format!("invalid IP address: ParseAddr({}): unable to parse IP", spec::go::quoted(bare)))
}

fn range(text: &str) -> Option<RangeInclusive<u16>> {
    let number = |text: &str| {
        // Go's numbers have no sign.
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|_| digits)
    };
    let (start, end) = text.split_once('-').unwrap_or((text, text));
    let (start, end) = (number(start)?, number(end)?);
    (start <= end).then_some(start..=end)
}
