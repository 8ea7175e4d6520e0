//! dockerd's containers: which images they use. Read, never written.

use serde::Deserialize;
use spec::ImageId;

use crate::{Store, StoreError, files};

/// The largest `config.v2.json` that is read, in bytes: far more than any container's.
const MAX_CONFIG: u64 = 4 << 20;

/// A container that a dockerd keeps in the data root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its ID, 64 hex digits.
    pub id: String,
    /// The image that it was made of.
    pub image: ImageId,
    /// Set if it ran when its dockerd was last heard of.
    pub running: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Config {
    #[serde(rename = "ID")]
    id: String,
    image: ImageId,
    #[serde(default)]
    state: State,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    running: bool,
}

impl Store {
    /// Lists dockerd's containers, by their IDs. One that cannot be read is told in the log; its layers are safe all the same.
    pub fn containers(&self) -> Result<Vec<Container>, StoreError> {
        let folder = self.root().join("containers");
        let mut containers = Vec::new();
        for name in files::names(&folder)? {
            let path = folder.join(name).join("config.v2.json");
            let Some(bytes) = files::read(&path, MAX_CONFIG)? else { continue };
            match spec::from_go_json::<Config>(&bytes) {
                Ok(Config { id, image, state }) => {
                    containers.push(Container { id, image, running: state.running });
                }
                Err(error) => {
                    tracing::warn!(%error, path = %path.display(), "a container cannot be read");
                }
            }
        }
        containers.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(containers)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::tests::Root;

    #[test]
    fn containers_are_dockerds_and_odd_ones_are_passed_over() {
        let root = Root::packed();
        assert_eq!(root.store.containers().unwrap(), []);
        let folder = root.store.root().join("containers");
        let image = format!("sha256:{}", "1".repeat(64));
        for (name, text) in [
            (
                "b",
                format!(
                    r#"{{"ID":"b","Image":"{image}","State":{{"Running":true,"Pid":7}},"Name":"/x"}}"#
                ),
            ),
            ("a", format!(r#"{{"ID":"a","Image":"{image}"}}"#)),
            ("c", r#"{"ID":"c","Image":"none"}"#.to_owned()),
            ("d", "{".to_owned()),
        ] {
            fs::create_dir_all(folder.join(name)).unwrap();
            fs::write(folder.join(name).join("config.v2.json"), text).unwrap();
        }
        fs::create_dir(folder.join("e")).unwrap();
        let containers = root.store.containers().unwrap();
        let found: Vec<_> = containers.iter().map(|c| (c.id.as_str(), c.running)).collect();
        assert_eq!(found, [("a", false), ("b", true)]);
        assert_eq!(containers[0].image.to_string(), image);
    }
}
