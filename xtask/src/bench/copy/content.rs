//! The images that are copied: repositories of tags that share their bases, as a team's do.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use anyhow::{Context as _, Result};
use serde_json::json;
use test_support::http::Client;
use test_support::image::{Compression, Format, Image, ImageBuilder, Index, Layer, Referrer};
use test_support::servers::DockerRegistry;
use test_support::tar::Entry;

/// The architectures of each tag.
const PLATFORMS: [&str; 2] = ["amd64", "arm64"];
/// The bases that repositories are built on: a few for all.
const BASES: usize = 4;
/// Bytes of a base's layers, of a repository's, and of a tag's: what does not compress, as what is compressed.
const OF_A_BASE: [usize; 2] = [5_000_000, 1_000_000];
const OF_A_REPOSITORY: usize = 2_000_000;
const OF_A_TAG: [usize; 2] = [200_000, 4_000];
/// Every so many tags there is one with a referrer.
const REFERRED: usize = 10;

/// Beginning of the names of all repositories.
pub(super) const PREFIX: &str = "bench";

/// The extent of what is copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) repositories: usize,
    /// Tags of each repository.
    pub(super) tags: usize,
    /// Divisor of the layers' sizes.
    divisor: usize,
}

impl Content {
    pub(super) fn new(quick: bool) -> Content {
        if quick {
            Content { repositories: 4, tags: 5, divisor: 10 }
        } else {
            Content { repositories: 20, tags: 10, divisor: 1 }
        }
    }

    /// A name for a folder with all of it.
    pub(super) fn key(self) -> String {
        format!("copy-v1-{}-{}-{}", self.repositories, self.tags, self.divisor)
    }

    pub(super) fn description(self) -> String {
        let Content { repositories, tags, .. } = self;
        let referred = repositories * tags.div_ceil(REFERRED);
        format!(
            "{} tags in {repositories} repositories, indexes of {} platforms, {referred} referrers",
            repositories * tags,
            PLATFORMS.len()
        )
    }

    pub(super) fn names(self) -> impl Iterator<Item = String> {
        (0..self.repositories).map(|number| format!("{PREFIX}/team-{number:02}"))
    }

    /// Makes everything and pushes it, unless the registry, whose folder is kept, has it.
    pub(super) fn prepare(self, registry: &DockerRegistry) -> Result<()> {
        let client = registry.client();
        let last = self.names().last().unwrap_or_default();
        // It comes last.
        let done = format!("/v2/{last}/manifests/{}", tag(self.tags - 1));
        if client
            .send("HEAD", &done, &[("Accept", "application/vnd.oci.image.index.v1+json")], b"")?
            .status
            == 200
        {
            return Ok(());
        }
        println!("making {}", self.description());
        let bases: Vec<[Vec<Layer>; 2]> =
            (0..BASES).map(|base| PLATFORMS.map(|platform| self.base(base, platform))).collect();
        for (number, name) in self.names().enumerate() {
            let below = PLATFORMS.map(|platform| self.layer(&name, platform, OF_A_REPOSITORY));
            for tag_number in 0..self.tags {
                let base = &bases[number % BASES];
                let images = (0..PLATFORMS.len()).map(|at| {
                    let below = base[at].iter().chain([&below[at]]).cloned();
                    self.image(below, &name, tag_number, PLATFORMS[at])
                });
                let index = Index::new(Format::Oci, images.collect());
                if tag_number % REFERRED == 0 {
                    let content = json!({ "of": name, "tag": tag_number }).to_string();
                    let referrer =
                        Referrer::new("application/vnd.example.sbom", content, &index.manifest);
                    push(&client, &name, tag_number, &index)?;
                    referrer.push(&client, &name).context("cannot push a referrer")?;
                } else {
                    push(&client, &name, tag_number, &index)?;
                }
            }
        }
        Ok(())
    }

    fn base(self, number: usize, platform: &str) -> Vec<Layer> {
        let name = |part| format!("base-{number}-{part}");
        let sizes = OF_A_BASE.iter().enumerate();
        sizes.map(|(part, size)| self.layer(&name(part), platform, *size)).collect()
    }

    fn image(
        self,
        below: impl Iterator<Item = Layer>,
        repository: &str,
        tag: usize,
        platform: &str,
    ) -> Image {
        let own = OF_A_TAG
            .iter()
            .enumerate()
            .map(|(part, size)| self.layer(&format!("{repository}-{tag}-{part}"), platform, *size));
        let builder = Image::builder().format(Format::Oci).architecture(platform);
        below.chain(own).fold(builder, ImageBuilder::layer).build()
    }

    /// A layer of one file, whose bytes follow from its name.
    fn layer(self, name: &str, platform: &str, size: usize) -> Layer {
        let mut hasher = DefaultHasher::new();
        (name, platform).hash(&mut hasher);
        let mut state = hasher.finish() | 1;
        let mut bytes = Vec::with_capacity(size / self.divisor + 8);
        while bytes.len() < size / self.divisor {
            // Marsaglia's xorshift.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            bytes.extend(state.to_le_bytes());
        }
        Layer::new(Compression::Gzip, &[Entry::file(name.replace('/', "-"), bytes)])
    }
}

fn push(client: &Client, name: &str, number: usize, index: &Index) -> Result<()> {
    index.push(client, name, &tag(number)).with_context(|| format!("cannot push `{name}`"))
}

fn tag(number: usize) -> String {
    format!("v{number}")
}
