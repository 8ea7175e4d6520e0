//! Tags of cosign's, read.

use crate::{Digest, Tag};

/// The ends of such tags, and what they stand for.
const KINDS: [(&str, &str); 3] =
    [(".sig", "signature"), (".att", "attestation"), (".sbom", "SBOM")];

impl Tag {
    /// Returns what a tag of cosign's is about, and what it is in a word: see [`Tag::of_cosign`].
    pub fn cosign_subject(&self) -> Option<(Digest, &'static str)> {
        KINDS.into_iter().find_map(|(end, kind)| {
            let digest = self.as_str().strip_suffix(end)?.replacen('-', ":", 1);
            Some((digest.parse().ok()?, kind))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tags_of_a_manifest_lead_back_to_it() {
        let digest = Digest::sha256(b"manifest");
        let kinds = Tag::of_cosign(&digest).map(|tag| tag.cosign_subject().unwrap());
        let expected = ["signature", "attestation", "SBOM"].map(|kind| (digest.clone(), kind));
        assert_eq!(kinds, expected);
        for other in ["latest", "1.sig", "sha256-12.sig", "sha256.sig"] {
            assert_eq!(other.parse::<Tag>().unwrap().cosign_subject(), None, "{other}");
        }
        assert_eq!(Tag::of_referrers(&digest).cosign_subject(), None);
    }
}
