//! Comparison of two registries, down to the last byte, by nothing but plain requests.

use std::collections::BTreeSet;
use std::fmt;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use test_support::http::{Client, Response};
use test_support::image::Blob;

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// Counts of what was found to be equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Equal {
    tags: usize,
    /// Manifests and indexes, once for each repository.
    manifests: usize,
    /// Blobs of each repository; their bytes were read once.
    blobs: usize,
    /// Those whose bytes were read, and how many these are.
    read: BTreeSet<String>,
    pub(super) bytes: u64,
}

impl fmt::Display for Equal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Equal { tags, manifests, blobs, read, bytes } = self;
        let (read, megabytes) = (read.len(), bytes / 1_000_000);
        write!(
            f,
            "{tags} tags, {manifests} manifests and {blobs} blobs ({read} different ones of {megabytes} MB) are equal"
        )
    }
}

/// Compares the `wanted` tags of repositories of the same names. Fails at the first difference, and if there are others.
pub(super) fn compare(
    source: &Client,
    target: &Client,
    names: impl Iterator<Item = String>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Equal> {
    let mut equal = Equal::default();
    for name in names {
        let mut repository = Repository { name: &name, source, target, seen: BTreeSet::new() };
        repository
            .compare(&wanted, &mut equal)
            .with_context(|| format!("`{name}` is not the same"))?;
    }
    Ok(equal)
}

struct Repository<'a> {
    name: &'a str,
    source: &'a Client,
    target: &'a Client,
    /// Digests of its manifests and blobs that were looked at.
    seen: BTreeSet<String>,
}

impl Repository<'_> {
    fn compare(&mut self, wanted: &impl Fn(&str) -> bool, equal: &mut Equal) -> Result<()> {
        let mut here = tags(self.source, self.name)?;
        here.retain(|tag| wanted(tag));
        let copied = tags(self.target, self.name)?;
        ensure!(here == copied, "it has the tags {copied:?} instead of {here:?}");
        for tag in &here {
            self.manifest(tag, equal).with_context(|| format!("tag `{tag}`"))?;
        }
        equal.tags += here.len();
        Ok(())
    }

    fn manifest(&mut self, reference: &str, equal: &mut Equal) -> Result<()> {
        let path = format!("/v2/{}/manifests/{reference}", self.name);
        let [ours, theirs] = [self.source, self.target].map(|client| -> Result<Response> {
            Ok(client.send("GET", &path, &[("Accept", ACCEPT)], b"")?.expect(200)?)
        });
        let (ours, theirs) = (ours?, theirs.with_context(|| format!("manifest {reference}"))?);
        ensure!(ours.body == theirs.body, "manifest {reference} has other bytes");
        let kind = |response: &Response| response.header("content-type").map(str::to_owned);
        ensure!(kind(&ours) == kind(&theirs), "manifest {reference} has another type");
        let digest = digest(&ours.body);
        ensure!(!reference.contains(':') || reference == digest, "{reference} is {digest}");
        if !self.seen.insert(digest) {
            return Ok(());
        }
        equal.manifests += 1;
        let document = ours.json();
        for child in list(&document, "manifests") {
            self.manifest(text(child, "digest")?, equal)?;
        }
        for blob in list(&document, "layers").chain(document.get("config")) {
            self.blob(text(blob, "digest")?, blob["size"].as_u64().unwrap_or_default(), equal)?;
        }
        Ok(())
    }

    fn blob(&mut self, digest: &str, size: u64, equal: &mut Equal) -> Result<()> {
        if !self.seen.insert(digest.to_owned()) {
            return Ok(());
        }
        equal.blobs += 1;
        let path = format!("/v2/{}/blobs/{digest}", self.name);
        if !equal.read.insert(digest.to_owned()) {
            let found = self.target.send("HEAD", &path, &[], b"")?;
            ensure!(found.status == 200, "blob {digest} is not there");
            return Ok(());
        }
        let found = self.target.get(&path)?.expect(200).with_context(|| digest.to_owned())?;
        ensure!(self::digest(&found.body) == digest, "blob {digest} has other bytes");
        ensure!(found.body.len() as u64 == size, "blob {digest} has another size");
        equal.bytes += size;
        Ok(())
    }
}

/// The tags of a repository, page by page.
fn tags(client: &Client, name: &str) -> Result<BTreeSet<String>> {
    let mut tags = BTreeSet::new();
    loop {
        let last = tags.last().map(|last| format!("&last={last}")).unwrap_or_default();
        let page = client.get(&format!("/v2/{name}/tags/list?n=100{last}"))?.expect(200)?.json();
        let before = tags.len();
        tags.extend(list(&page, "tags").filter_map(Value::as_str).map(str::to_owned));
        if tags.len() == before {
            return Ok(tags);
        }
    }
}

fn list<'a>(document: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    document[name].as_array().into_iter().flatten()
}

fn text<'a>(document: &'a Value, name: &str) -> Result<&'a str> {
    let Some(text) = document[name].as_str() else { bail!("{document} has no `{name}`") };
    Ok(text)
}

fn digest(bytes: &[u8]) -> String {
    Blob::of("".into(), bytes.to_vec().into()).digest.to_string()
}
