//! The names under which registries have their credentials.

/// The key of Docker Hub: the address of an API that is long gone, and still the one key that all tools share.
pub(crate) const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";

/// Returns the key of a registry's credentials, by the domain of an image's name.
pub(crate) fn key_of_domain(domain: &str) -> &str {
    if matches!(domain, "docker.io" | "index.docker.io") { DOCKER_HUB_KEY } else { domain }
}

/// Returns host and port of what may be a URL: `https://example.org:5000/v2/` is `example.org:5000`.
pub(crate) fn host_of(address: &str) -> &str {
    let rest = match address.split_once("://") {
        // User names in a URL are no part of the host.
        Some((_, rest)) => {
            let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
            let host = authority.rsplit('@').next().unwrap_or_default();
            if !host.is_empty() && !host.starts_with(':') {
                return host.strip_suffix(':').unwrap_or(host);
            }
            address
        }
        None => address,
    };
    rest.split('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_taken_out_of_urls() {
        for (address, expected) in [
            ("example.org", "example.org"),
            ("example.org/", "example.org"),
            ("example.org:5000/v2", "example.org:5000"),
            ("http://example.org", "example.org"),
            ("https://example.org:5000/v2/", "example.org:5000"),
            ("https://user:secret@example.org/x", "example.org"),
            ("https://[::1]:5000/", "[::1]:5000"),
            (DOCKER_HUB_KEY, "index.docker.io"),
            ("", ""),
            ("https://", "https:"),
        ] {
            assert_eq!(host_of(address), expected, "{address}");
        }
    }

    #[test]
    fn docker_hub_has_one_key() {
        assert_eq!(key_of_domain("docker.io"), DOCKER_HUB_KEY);
        assert_eq!(key_of_domain("index.docker.io"), DOCKER_HUB_KEY);
        assert_eq!(key_of_domain("registry.example:5000"), "registry.example:5000");
    }
}
