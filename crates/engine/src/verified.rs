//! The signatures that images were pulled by: found by a policy, and kept beside the manifest that is signed.

use policy::{Judgement, Vouched};
use serde::{Deserialize, Serialize};
use spec::{Descriptor, Digest, ImageId, MAX_MANIFEST_SIZE, Mentioned, Reference};
use store::Store;

use crate::Result;

/// A manifest or index that a policy trusts somebody for, as was found when it was pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// The repository that it was asked for by, in full, whatever mirror it came from.
    pub repository: String,
    /// Those who vouch for it.
    pub signatures: Vec<Vouched>,
}

impl Verified {
    /// Writes what was found of each manifest, for the store to keep.
    pub(crate) fn findings(reference: &Reference, judgement: &Judgement) -> Vec<(Digest, String)> {
        let mut found: Vec<(Digest, Self)> = Vec::new();
        for vouched in judgement.vouched() {
            let at = found.iter().position(|(digest, _)| *digest == vouched.digest);
            let at = at.unwrap_or_else(|| {
                let repository = reference.repository().to_string();
                found.push((vouched.digest.clone(), Self { repository, signatures: Vec::new() }));
                found.len() - 1
            });
            let signatures = &mut found[at].1.signatures;
            if !signatures.contains(vouched) {
                signatures.push(vouched.clone());
            }
        }
        let text = |(digest, verified)| Some((digest, serde_json::to_string(&verified).ok()?));
        found.into_iter().filter_map(text).collect()
    }

    /// Returns what was found of an image, or of a part of it: for that only who signed the index that lists it vouches.
    pub(crate) fn of(store: &Store, id: &ImageId, part: Option<&Descriptor>) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for (digest, text) in store.findings_of(id)? {
            // One that another version wrote otherwise says nothing, nor does one on something else.
            let Ok(verified) = serde_json::from_str::<Self>(&text) else { continue };
            if verified.signatures.iter().any(|vouched| vouched.digest != digest) {
                continue;
            }
            let is_meant = match part {
                Some(part) => lists(store, &digest, &part.digest)?,
                None => true,
            };
            if is_meant && !all.contains(&verified) {
                all.push(verified);
            }
        }
        Ok(all)
    }
}

/// Says whether an index lists a manifest.
fn lists(store: &Store, index: &Digest, manifest: &Digest) -> Result<bool> {
    let bytes = store.read_blob(index, MAX_MANIFEST_SIZE)?;
    let listed = bytes.and_then(|bytes| Mentioned::parse(&bytes).ok());
    Ok(listed.is_some_and(|all| all.manifests.iter().any(|entry| entry.digest == *manifest)))
}
