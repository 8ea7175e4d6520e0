//! The client of the engine, as far as registries are told of it.

use http::{HeaderMap, HeaderValue, header};

/// The headers of a client's request that are meant for registries begin so.
const META_PREFIX: &str = "x-meta-";
/// Bounds of what a client has sent on: more than any has, and less than servers refuse.
const MAX_META: usize = 64;
const MAX_META_BYTES: usize = 16 << 10;
const MAX_AGENT: usize = 1024;

/// On whose behalf registries are asked: its user agent, and the headers `X-Meta-…` that it gave for them.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    agent: Option<String>,
    meta: HeaderMap,
}

impl Caller {
    /// Reads the headers of a client's request. What is beyond all measure is left out, and the log says so.
    pub fn of_request(headers: &HeaderMap) -> Self {
        let agent = headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let agent = agent.filter(|agent| !agent.is_empty());
        let agent = agent.map(|agent| agent.chars().take(MAX_AGENT).collect());
        let mut meta = HeaderMap::new();
        let mut bytes = 0;
        for (name, value) in headers {
            if !name.as_str().starts_with(META_PREFIX) {
                continue;
            }
            bytes += name.as_str().len() + value.len();
            if meta.len() >= MAX_META || bytes > MAX_META_BYTES {
                tracing::warn!("a client gives more X-Meta headers than are passed on");
                break;
            }
            meta.append(name.clone(), value.clone());
        }
        Self { agent, meta }
    }

    /// Reads the user agent alone of a client's request: where dockerd passes nothing more on.
    pub fn agent_of_request(headers: &HeaderMap) -> Self {
        Self { meta: HeaderMap::new(), ..Self::of_request(headers) }
    }

    /// Returns the user agent that registries see: ours, and the client's in it as dockerd writes it.
    pub(crate) fn user_agent(&self, own: &str) -> Option<HeaderValue> {
        let mut text = format!("{own} UpstreamClient(");
        for character in self.agent.as_ref()?.chars() {
            if matches!(character, '(' | ')' | ';' | '\\') {
                text.push('\\');
            }
            text.push(character);
        }
        text.push(')');
        HeaderValue::from_str(&text).ok()
    }

    /// Returns the headers for registries.
    pub(crate) fn meta(&self) -> &HeaderMap {
        &self.meta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(headers: &[(&'static str, &str)]) -> Caller {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        Caller::of_request(&map)
    }

    #[test]
    fn the_clients_agent_is_escaped_as_by_dockerd() {
        // The last one is what dockerd 20.10 made of it.
        for (agent, expected) in [
            ("x/1", "longshore/1 UpstreamClient(x/1)"),
            (
                "Docker-Client/1 (linux); a\\b",
                "longshore/1 UpstreamClient(Docker-Client/1 \\(linux\\)\\; a\\\\b)",
            ),
        ] {
            let agent = caller(&[("user-agent", agent)]).user_agent("longshore/1").unwrap();
            assert_eq!(agent, expected);
        }
        assert_eq!(caller(&[]).user_agent("longshore/1"), None);
        assert_eq!(caller(&[("user-agent", "")]).user_agent("longshore/1"), None);
        let long = "(".repeat(5000);
        let agent = caller(&[("user-agent", &long)]).user_agent("l").unwrap();
        assert_eq!(agent.len(), "l UpstreamClient()".len() + 2 * MAX_AGENT);
    }

    #[test]
    fn only_meta_headers_are_passed_on_and_not_without_measure() {
        let given = caller(&[
            ("x-meta-team", "blue"),
            ("x-meta-team", "red"),
            ("x-metadata", "no"),
            ("authorization", "secret"),
            ("cookie", "secret"),
        ]);
        let values: Vec<_> = given.meta().get_all("x-meta-team").iter().collect();
        assert_eq!(values, ["blue", "red"]);
        assert_eq!(given.meta().len(), 2);
        let many = vec![("x-meta-a", "b"); 1000];
        assert_eq!(caller(&many).meta().len(), MAX_META);
        let large = "x".repeat(MAX_META_BYTES);
        assert!(caller(&[("x-meta-a", &large)]).meta().is_empty());
    }
}
