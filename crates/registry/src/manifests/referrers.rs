//! The manifests that refer to another one: signatures, SBOMs, attestations.
//!
//! A registry of version 1.1 of the specification keeps the list itself. For any other, whoever pushes a referrer keeps it as
//! an index under the tag `sha256-<hex>` of the subject. cosign, which is older than both, has a tag for each kind.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use spec::{Descriptor, Digest, MAX_MANIFEST_SIZE, MediaType, Platform, Tag};

use crate::{
    RegistryError, Remote, TagOrDigest,
    auth::session::Session,
    hosts::access::Need,
    manifests::{
        Resolution,
        about::{self, About},
        pages::{List, PAGE},
    },
};

/// The depth to which referrers of referrers are looked for: a signature of an SBOM is 2 deep. A registry that invents them has
/// no end.
pub const MAX_REFERRERS_DEPTH: usize = 4;
/// The most referrers of one image, as many as it may have manifests: each costs some requests.
pub const MAX_REFERRERS: usize = 4000;

/// A page is an index. All pages are held until the last has come, which bounds their number.
const REFERRERS: List = List {
    name: "list of referrers",
    entries: "referrers",
    accept: Some("application/vnd.oci.image.index.v1+json"),
    max_page_size: MAX_MANIFEST_SIZE,
    max_pages: 16,
    max_entries: 10 * PAGE,
    enough: usize::MAX,
};

/// A manifest that refers to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// Its descriptor, with its annotations.
    pub descriptor: Descriptor,
    /// Kind of its content: `application/spdx+json` for instance.
    pub artifact_type: Option<String>,
}

/// A manifest that was found by what it refers to.
#[derive(Clone, Debug)]
pub struct Referral {
    /// Its descriptor, as far as the finder knows it.
    pub descriptor: Descriptor,
    /// The way in which it refers.
    pub by: RefersBy,
}

/// The way in which a manifest refers to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefersBy {
    /// Its field `subject` names the other one.
    Subject(Digest),
    /// It has a tag of cosign's, which names the other one.
    Tag(Tag),
}

impl RefersBy {
    /// Says whether a document refers in this way, as far as the document itself tells.
    pub fn agrees_with(&self, document: &[u8]) -> bool {
        match self {
            Self::Subject(subject) => about::subject(document).as_ref() == Some(subject),
            Self::Tag(_) => true,
        }
    }
}

/// The origin of a list of referrers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReferrersFrom {
    /// The registry keeps it.
    Registry,
    /// It is an index under a tag, which clients keep.
    Tag,
}

/// The manifests that refer to another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrers {
    /// They, in the order of the list.
    pub list: Vec<Referrer>,
    /// The keeper of the list.
    pub from: ReferrersFrom,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    manifests: Option<Vec<Option<Entry>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    media_type: MediaType,
    digest: Digest,
    size: u64,
    artifact_type: Option<String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    platform: Option<Platform>,
}

impl From<Entry> for Referrer {
    fn from(entry: Entry) -> Self {
        let Entry { media_type, digest, size, artifact_type, annotations, platform } = entry;
        let descriptor =
            Descriptor { annotations, platform, ..Descriptor::new(media_type, digest, size) };
        Self { descriptor, artifact_type: artifact_type.filter(|text| !text.is_empty()) }
    }
}

impl Page {
    fn referrers(self) -> impl Iterator<Item = Referrer> {
        self.manifests.unwrap_or_default().into_iter().flatten().map(Referrer::from)
    }
}

impl Remote {
    /// Returns the manifests that refer to `subject`, those of one type if one is given.
    pub async fn referrers(
        &self,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Referrers, RegistryError> {
        let asked = self.ask(Need::Resolve, |session| async move {
            self.referrers_at(&session, subject, artifact_type).await
        });
        let mut found = match asked.await {
            Ok((found, _)) => found,
            // Nobody has ever referred to it.
            Err(error) if error.is_not_found() => {
                Referrers { list: Vec::new(), from: ReferrersFrom::Tag }
            }
            Err(error) => return Err(error),
        };
        // A registry may leave the filter out, and tells whether it has applied it; here it costs nothing.
        if let Some(wanted) = artifact_type {
            found.list.retain(|referrer| referrer.artifact_type.as_deref() == Some(wanted));
        }
        Ok(found)
    }

    async fn referrers_at(
        &self,
        session: &Session,
        subject: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Referrers, RegistryError> {
        let mut list = Vec::new();
        if !session.lacks_referrers() {
            let path = format!("{}/referrers/{subject}", self.repository().path());
            let mut url = session.endpoint.reading_url(&path);
            if let Some(wanted) = artifact_type {
                url.query_pairs_mut().append_pair("artifactType", wanted);
            }
            let take = |page: Page, _: &str| {
                let before = list.len();
                list.extend(page.referrers());
                Ok(list.len() - before)
            };
            match REFERRERS.read(session, url, take).await {
                Ok(()) => return Ok(Referrers { list, from: ReferrersFrom::Registry }),
                Err(error) if knows_no_referrers(&error) => session.lack_referrers(),
                Err(error) => return Err(error),
            }
        }
        let tag = Tag::of_referrers(subject);
        let (bytes, _) = self.manifest_at(session, &TagOrDigest::Tag(tag)).await?;
        let url = session.endpoint.host.base.as_str();
        let page: Page = spec::from_go_json(&bytes)
            .map_err(|source| RegistryError::Json { url: url.to_owned(), source })?;
        let list: Vec<Referrer> = page.referrers().collect();
        if list.len() > REFERRERS.max_entries {
            let (list, limit) = (REFERRERS.name, REFERRERS.max_entries);
            let (url, what) = (url.to_owned(), REFERRERS.entries);
            return Err(RegistryError::ListTooLong { list, url, what, limit });
        }
        Ok(Referrers { list, from: ReferrersFrom::Tag })
    }

    /// Returns what cosign has put beside a manifest, by the tags that it uses: signatures, attestations, SBOMs.
    pub async fn cosign_tags(
        &self,
        subject: &Digest,
    ) -> Result<Vec<(Tag, Descriptor)>, RegistryError> {
        let mut found = Vec::new();
        for tag in Tag::of_cosign(subject) {
            let target = TagOrDigest::Tag(tag.clone());
            if let Some(Resolution { descriptor, .. }) = self.find(&target).await? {
                found.push((tag, descriptor));
            }
        }
        Ok(found)
    }

    /// Lists a manifest among the referrers of its subject, at a registry that does not do so itself.
    pub(crate) async fn list_referrer(
        &self,
        subject: &Digest,
        referrer: &Descriptor,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let about: About = spec::from_go_json(bytes).unwrap_or_default();
        let mut entry = json!(referrer);
        let config = about.config.map(|config| config.media_type);
        if let Some(artifact_type) = about.artifact_type.or(config) {
            entry["artifactType"] = json!(artifact_type);
        }
        if !about.annotations.is_empty() {
            entry["annotations"] = json!(about.annotations);
        }
        self.change_referrers(subject, &referrer.digest, Some(entry)).await
    }

    /// Takes a manifest that is deleted out of the list that clients keep, if there is one.
    pub(crate) async fn forget_referrer(
        &self,
        subject: &Digest,
        referrer: &Digest,
    ) -> Result<(), RegistryError> {
        self.change_referrers(subject, referrer, None).await
    }

    /// Puts `entry` in place of what the list that clients keep has of `referrer`. Other entries stay as they are.
    async fn change_referrers(
        &self,
        subject: &Digest,
        referrer: &Digest,
        entry: Option<Value>,
    ) -> Result<(), RegistryError> {
        // Two pushes of this process must not both read the list before either writes it.
        let _alone = self.client().alone_with_referrers().await;
        let target = TagOrDigest::Tag(Tag::of_referrers(subject));
        let mut index: Map<String, Value> = match self.manifest(&target).await {
            Ok(fetched) => serde_json::from_slice(&fetched.bytes)
                .map_err(|source| RegistryError::Json { url: fetched.source.url, source })?,
            Err(error) if error.is_not_found() && entry.is_none() => return Ok(()),
            Err(error) if error.is_not_found() => Map::from_iter([
                ("schemaVersion".to_owned(), json!(2)),
                ("mediaType".to_owned(), json!(MediaType::OciIndex)),
            ]),
            Err(error) => return Err(error),
        };
        let listed = index.get("manifests").and_then(Value::as_array);
        let mut manifests = listed.cloned().unwrap_or_default();
        let name = referrer.to_string();
        let is_it = |entry: &Value| entry.get("digest").and_then(Value::as_str) == Some(&name);
        match (manifests.iter().position(is_it), entry) {
            (Some(at), Some(entry)) => manifests[at] = entry,
            (Some(at), None) => drop(manifests.remove(at)),
            (None, Some(entry)) => manifests.push(entry),
            (None, None) => {}
        }
        if listed == Some(&manifests) {
            return Ok(());
        }
        index.insert("manifests".to_owned(), Value::Array(manifests));
        let bytes = Bytes::from(Value::Object(index).to_string());
        if bytes.len() as u64 > MAX_MANIFEST_SIZE {
            let (url, limit) = (format!("{}:{target}", self.repository()), MAX_MANIFEST_SIZE);
            return Err(RegistryError::TooLarge { what: "list of referrers", url, limit });
        }
        self.store_manifest(&target, &MediaType::OciIndex, &bytes).await.map(drop)
    }
}

/// Tells whether a registry does not know the question, and not just no answer.
fn knows_no_referrers(error: &RegistryError) -> bool {
    let status = error.refused_status().and_then(|status| StatusCode::from_u16(status).ok());
    match status {
        // A token server or a proxy says so; the tag would be refused, too.
        Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS) => {
            false
        }
        Some(status) => status.is_client_error() || status == StatusCode::NOT_IMPLEMENTED,
        // The page of a portal: old registries answer all paths that they do not know so.
        None => matches!(error, RegistryError::Unmarshalling { .. }),
    }
}
