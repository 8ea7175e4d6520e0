//! Tags of a repository that is not here, asked of its registry while a command line is typed.
//!
//! Nobody is asked before the colon behind the repository's name is there, and then the registry alone that the command
//! would ask, as it would, with the credentials that are written in `config.json` or `DOCKER_AUTH_CONFIG`. Credential helpers
//! are not asked: they may open a window. `{"plugins": {"longshore": {"remote-completion": "false"}}}` in `config.json`
//! turns this off.

use api::Query;
use api::remote::Tags;
use copy::Place;
use spec::Repository;

use super::patience::patiently;
use crate::client::Call;
use crate::credentials::{Store, key_of_domain};
use crate::session::Session;

/// As many tags are worth a look; registries give this many at once.
const ENOUGH: usize = 1000;

/// A word that ends within a tag.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    repository: Repository,
    /// All before the tag, with its colon.
    prefix: String,
}

impl Asked {
    /// Reads a word up to the cursor. A name without a slash that has a dot is rather the beginning of a registry's,
    /// with its port, than that of a repository: Docker Hub is not told of it.
    pub(super) fn of(word: &str) -> Option<Asked> {
        let (name, tag) = word.rsplit_once(':')?;
        let is_registry = !name.contains('/') && (name.contains('.') || name == "localhost");
        if is_registry || tag.contains(['/', '@']) || name.contains('@') {
            return None;
        }
        let prefix = word[..word.len() - tag.len()].to_owned();
        match Place::parse(&format!("{prefix}x")) {
            Ok(Place::Registry(reference)) => {
                Some(Asked { repository: reference.repository().clone(), prefix })
            }
            _ => None,
        }
    }
}

/// Returns what the word may become. Whatever goes wrong, that is nothing.
pub(super) fn tags(asked: &Asked, session: &Session) -> Vec<String> {
    let Ok(store) = Store::without_helpers(session.config_directory()) else { return Vec::new() };
    if !store.file().completes_remotely() {
        return Vec::new();
    }
    let ask = async {
        let client = session.in_process_without_helpers().ok()?;
        let auth = store.get(key_of_domain(asked.repository.domain())).await.ok()?;
        let query = Query::new().with("name", asked.repository.familiar());
        let call = Call {
            query: query.with("enough", ENOUGH.to_string()),
            registry_auth: Some(auth.encode()),
            ..Call::default()
        };
        let answer = client.get("/longshore/registry/tags", call).await.ok()?;
        let tags = answer.json::<Tags>().await.ok();
        client.close().await;
        tags
    };
    let tags = patiently(ask).unwrap_or_default().tags;
    tags.into_iter().map(|tag| format!("{}{tag}", asked.prefix)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_ends_within_a_tag_names_its_repository() {
        for (word, expected) in [
            ("alpine:", Some(("docker.io/library/alpine", "alpine:"))),
            ("alpine:3.1", Some(("docker.io/library/alpine", "alpine:"))),
            ("docker://r.example/a:x", Some(("r.example/a", "docker://r.example/a:"))),
            ("r.example:5000/a/b:", Some(("r.example:5000/a/b", "r.example:5000/a/b:"))),
            ("alpine", None),
            ("", None),
            (":", None),
            // The registry's port is still being written.
            ("r.example:50", None),
            ("localhost:5", None),
            ("r.example:5000/a", None),
            ("alpine@sha256:", None),
            ("oci:folder:", None),
            ("oci-archive:", None),
            ("docker:2", Some(("docker.io/library/docker", "docker:"))),
            ("UPPER:", None),
        ] {
            let asked = Asked::of(word);
            let found = asked.as_ref().map(|asked| (asked.repository.to_string(), &*asked.prefix));
            let expected = expected.map(|(repository, prefix)| (repository.to_owned(), prefix));
            assert_eq!(found, expected, "{word}");
        }
    }
}
