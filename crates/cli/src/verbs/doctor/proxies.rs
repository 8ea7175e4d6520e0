//! The proxies by which this process reaches registries.

use copy::RegistryConfig;

use super::checks::{Check, Patient, failed};
use super::finding::{Finding, State};

impl Check {
    pub(super) fn proxies(self, patient: &Patient) -> Vec<Finding> {
        match patient.session.registries() {
            Ok(config) => self.proxies_of(&config),
            Err(error) => vec![failed(self.name(), &error)],
        }
    }

    fn proxies_of(self, config: &RegistryConfig) -> Vec<Finding> {
        let mut found = Vec::new();
        for way in config.proxy.by_scheme() {
            let scheme = way.scheme;
            match way.proxy {
                Ok(None) => {}
                Ok(Some(proxy)) => {
                    found.push(self.well(format!("{scheme}:// goes by the proxy {proxy}")));
                }
                Err(error) => found.push(self.bad(
                    error.to_string(),
                    format!(
                        "{}_PROXY or ALL_PROXY, or `proxies` in daemon.json, is http://HOST:PORT",
                        scheme.to_uppercase()
                    ),
                )),
            }
        }
        if found.is_empty() {
            return vec![self.well("none: registries are reached straight".to_owned())];
        }
        let list = config.proxy.no_proxy.as_deref().unwrap_or_default();
        let entries: Vec<&str> =
            list.split(',').map(str::trim).filter(|entry| !entry.is_empty()).collect();
        let without = if entries.contains(&"*") {
            "NO_PROXY is *: no proxy is used at all".to_owned()
        } else if entries.is_empty() {
            "only this machine itself is reached without a proxy (no NO_PROXY)".to_owned()
        } else {
            format!("without a proxy (NO_PROXY): this machine, {}", entries.join(", "))
        };
        found.push(self.well(without));
        // Of a URL and of words with blanks in between nothing is recognised.
        let odd = entries
            .iter()
            .filter(|entry| entry.contains("://") || entry.contains(char::is_whitespace));
        found.extend(odd.map(|entry| {
            let advice =
                "write hosts, .domains, addresses and networks there, with commas in between";
            let said = format!("`{entry}` in NO_PROXY is no host: it does nothing");
            self.found(State::Note, said, Some(advice.to_owned()))
        }));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_has_its_proxy_and_what_is_none_is_told() {
        let said = |http: &str, https: &str, no_proxy: &str| -> Vec<(State, String)> {
            let mut config = RegistryConfig::default();
            let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            (config.proxy.http, config.proxy.https) = (some(http), some(https));
            config.proxy.no_proxy = some(no_proxy);
            let found = Check::Proxies.proxies_of(&config);
            found.into_iter().map(|finding| (finding.state, finding.said)).collect()
        };
        let well = |said: &str| (State::Well, said.to_owned());
        assert_eq!(said("", "", "x"), [well("none: registries are reached straight")]);
        assert_eq!(
            said("", "http://me:s3cret@p:3128", "a.example, 10.0.0.0/8,https://b.example"),
            [
                well("https:// goes by the proxy http://p:3128/"),
                well(
                    "without a proxy (NO_PROXY): this machine, a.example, 10.0.0.0/8, https://b.example"
                ),
                (
                    State::Note,
                    "`https://b.example` in NO_PROXY is no host: it does nothing".to_owned()
                ),
            ]
        );
        assert_eq!(
            said("p:1", "", "*").last().unwrap().1,
            "NO_PROXY is *: no proxy is used at all"
        );
        let bad = said("ftp://p", "http://p", "");
        assert!(
            bad[0].0 == State::Bad && bad[0].1.contains("must be http, https or socks5"),
            "{bad:?}"
        );
        assert!(bad[2].1.contains("only this machine itself"), "{bad:?}");
    }
}
