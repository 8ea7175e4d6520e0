//! The platforms of an archive's images: what an index says of one counts before its config, as everywhere else.

use std::collections::BTreeSet;

use spec::{Digest, ImageConfig, MAX_CONFIG_SIZE, Platform};

use super::contents::Contents;
use super::list::Listed;
use crate::error::BadArchive;
use crate::kept::Platforms;
use crate::save::documents::{blob_path, named_digest};
use crate::{EngineError, Result};

/// The images that are looked at for a list of platforms that a message has.
const MAX_LOOKED_AT: usize = 64;

impl Contents {
    /// Returns the platforms that an image counts as.
    pub(super) fn platforms_of(&self, digest: &Digest, config: &ImageConfig) -> Vec<Platform> {
        let said = self.manifests.get(digest).into_iter().flatten();
        let said = said.filter_map(|manifest| manifest.platform.clone());
        let said: Vec<Platform> = said.filter(|platform| !platform.os.is_empty()).collect();
        if said.is_empty() { vec![config.platform()] } else { said }
    }

    /// Returns the first platform of an image that is wanted.
    pub(super) fn wanted_of(
        &self,
        digest: &Digest,
        config: &ImageConfig,
        wanted: &Platforms,
    ) -> Option<Platform> {
        self.platforms_of(digest, config).into_iter().find(|platform| wanted.include(platform))
    }

    /// Says that no image is for what is wanted, and what there is. Blocking.
    pub(super) fn none_for(&self, wanted: &[Platform], listed: &[Listed]) -> EngineError {
        let of_list = listed.iter().filter_map(|image| {
            let digest = named_digest(&image.config);
            Some((digest?, image.config.clone()))
        });
        let of_index = self.manifests.keys().map(|digest| (digest.clone(), blob_path(digest)));
        let mut offered = BTreeSet::new();
        for (digest, path) in of_list.chain(of_index).take(MAX_LOOKED_AT) {
            // What cannot be read has no platform to tell of.
            if let Ok(config) = self.config(&path) {
                let platforms = self.platforms_of(&digest, &config);
                offered.extend(platforms.iter().map(Platform::specifier));
            }
        }
        let wanted: Vec<String> = wanted.iter().map(Platform::specifier).collect();
        let (wanted, offered) = (wanted.join(", "), Platform::list_offered(offered));
        EngineError::BadArchive(BadArchive::NoPlatform { wanted, offered })
    }

    fn config(&self, path: &str) -> Result<ImageConfig> {
        let bytes = self.tree.require(path)?.read(path, MAX_CONFIG_SIZE)?;
        let named = path.to_owned();
        ImageConfig::parse(&bytes).map_err(|_| EngineError::BadArchive(BadArchive::Content(named)))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tree::Tree;
    use super::*;

    #[test]
    fn what_an_index_says_of_a_platform_counts_and_else_the_config() {
        let bytes =
            br#"{"architecture":"arm64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#;
        let (digest, config) = (Digest::sha256(bytes), ImageConfig::parse(bytes).unwrap());
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "digest": digest,
                "size": bytes.len(),
            },
            "layers": [],
        });
        let manifest = manifest.to_string().into_bytes();
        let contents = |platform: serde_json::Value| {
            let mut entry = json!({
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "digest": Digest::sha256(&manifest),
                "size": manifest.len(),
            });
            if !platform.is_null() {
                entry["platform"] = platform;
            }
            let index = json!({ "schemaVersion": 2, "manifests": [entry] });
            Contents::read(Tree::of(vec![
                (blob_path(&digest), bytes.to_vec()),
                (blob_path(&Digest::sha256(&manifest)), manifest.clone()),
                ("index.json".to_owned(), index.to_string().into_bytes()),
            ]))
            .unwrap()
        };
        let of = |platform: &str| Platforms::These(vec![Platform::parse(platform).unwrap()]);
        let named = json!({ "architecture": "arm", "os": "linux", "variant": "v7" });
        for (said, counts, other) in [
            (named, "linux/arm/v7", "linux/arm64"),
            (serde_json::Value::Null, "linux/arm64", "linux/arm/v7"),
        ] {
            let contents = contents(said);
            let wanted = |platform| contents.wanted_of(&digest, &config, &of(platform));
            assert_eq!(wanted(counts).unwrap().specifier(), counts);
            assert!(wanted(other).is_none(), "{other}");
            let none = contents.none_for(&[Platform::parse("linux/s390x").unwrap()], &[]);
            assert_eq!(
                none.to_string(),
                format!("no matching manifest for linux/s390x in the archive, which has {counts}")
            );
        }
    }
}
