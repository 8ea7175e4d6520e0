//! The differences that remain, each with its reason.
//!
//! A difference that is not here fails the suite, and so does a line here that finds none any more. What is said of it
//! must be in COMPATIBILITY.md, too.

use crate::compare::Difference;

/// The daemon that Longshore is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// dockerd 29.7, as recorded.
    Recorded,
    /// The dockerd of the machine: Debian's 20.10.
    Installed,
}

use Reference::{Installed, Recorded};

/// A difference that is meant.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) reference: Reference,
    /// The scenario; `*` stands for anything.
    pub(crate) scenario: &'static str,
    /// The place, in the same way.
    pub(crate) place: &'static str,
    /// Part of a sentence of COMPATIBILITY.md that says why.
    pub(crate) documented: &'static str,
}

const fn known(
    reference: Reference,
    scenario: &'static str,
    place: &'static str,
    documented: &'static str,
) -> Known {
    Known { reference, scenario, place, documented }
}

/// All of them.
pub(crate) const KNOWN: &[Known] = &[
    // Who answers.
    known(Recorded, "*", "header server", SERVER),
    known(Recorded, "ping", "header builder-version", BUILDER),
    known(Recorded, "*info*", "$.CgroupVersion", CONTAINERS),
    // The daemon of the recordings had a past and containers.
    known(Recorded, "pull-first", "stream", PAST),
    known(Recorded, "events-live", "stream", PAST),
    known(Recorded, "client-*", "$.GraphDriver.Data.*", PAST),
    known(Recorded, "df-*", "$.Images[].Containers", PAST),
    // An image that came by an index.
    known(Recorded, "push-*", "stream.note", INDEX),
    known(Installed, "push-*", "stream.note", INDEX),
    known(Recorded, "images-*", "$[].RepoDigests[]", INDEX),
    known(Installed, "images-*", "$[].RepoDigests[]", INDEX),
    known(Recorded, "df*", "$.Images[].RepoDigests[]", INDEX),
    known(Installed, "df*", "$.Images[].RepoDigests[]", INDEX),
    // Archives.
    known(Recorded, "save-*", "archive *", ARCHIVE),
    known(Recorded, "client-dive", "archive *", ARCHIVE),
    known(Recorded, "images-*", "$[].RepoDigests.length", DIGESTS),
    known(Recorded, "df-*", "$.Images[].RepoDigests.length", DIGESTS),
    known(Recorded, "load-ociarchive", "stream[0].*", LAYOUT),
    known(Recorded, "images-tree", "$[*].Manifests", KEPT_OF_IMAGE),
    known(Recorded, "images-tree", "$[*].Size", KEPT_OF_IMAGE),
    known(Recorded, "history-commit", "$[1].Id", PARENT),
    known(Recorded, "inspect-commit", "$.Parent", PARENT),
    known(Recorded, "images-running", "$[].ParentId", PARENT),
    // Old versions of the API are answered, not refused.
    known(Recorded, "client-skopeo-*", "status", VERSIONS),
    known(Recorded, "client-skopeo-*", "header *", VERSIONS),
    known(Recorded, "client-skopeo-*", "body", VERSIONS),
    // The dockerd of the machine is old: where it differs from the newest, Longshore is as the newest.
    known(Installed, "*", "header server", SERVER),
    known(Installed, "*", "header api-version", NEWEST),
    known(Installed, "ping", "header *", NEWEST),
    known(Installed, "*", "$.BuildTime", GO),
    known(Installed, "*info*", "$.*", CONTAINERS),
    known(Installed, "pull-badref", "*", NEWEST),
    known(Installed, "images-f-until", "*", NEWEST),
    known(Installed, "images-f-*bad", "$.message", NEWEST),
    known(Installed, "inspect-*", "$.message", NEWEST),
    known(Installed, "inspect-commit", "$.Config.Labels", NEWEST),
    known(Installed, "inspect-imported", "$.DockerVersion", NEWEST),
    known(Installed, "login-ok", "$.IdentityToken", NEWEST),
    known(Recorded, "*df*", "$.KeptBlobs", KEPT),
    known(Installed, "*df*", "$.KeptBlobs", KEPT),
    known(Recorded, "*df*", "$.Store", KEPT),
    known(Installed, "*df*", "$.Store", KEPT),
    known(Installed, "*df*", "$.BuildCache", NEWEST),
    known(Installed, "*df*", "$.BuilderSize", NEWEST),
    known(Installed, "sys-df-empty", "$.LayersSize", NEWEST),
    known(Installed, "df*", "$.Images[].RepoTags", NEWEST),
    known(Installed, "df*", "$.Images[].RepoDigests", NEWEST),
    known(Installed, "images-*", "$[].RepoDigests", DIGESTS),
    known(Installed, "save-*", "archive *", ARCHIVE),
    known(Installed, "client-*", "archive *", ARCHIVE),
    known(Installed, "images-*", "$[].RepoDigests.length", DIGESTS),
    known(Installed, "df-*", "$.Images[].RepoDigests.length", DIGESTS),
    known(Installed, "load-garbage", "stream[0].*", NEWEST),
    known(Installed, "load-truncated", "stream[0].*", NEWEST),
    known(Installed, "load-nomanifest", "stream[0].*", NEWEST),
    known(Installed, "load-ociarchive", "stream[0].*", LAYOUT),
    known(Installed, "pull-private-auth*", "stream[1].status", BYTES),
];

const SERVER: &str = "`Server:` is `Longshore/<version> (linux)`";
const BUILDER: &str = "`Builder-Version` is 1: without a builder";
const GO: &str = "says nothing of Go (`GoVersion` is empty)";
const CONTAINERS: &str = "`info` leaves out cgroups, runtimes and the bridge";
const PAST: &str = "had containers, and a layer that an earlier one had left";
const ARCHIVE: &str =
    "An archive that Longshore saves holds the manifests and compressed layers as they were pulled";
const DIGESTS: &str = "so that a load brings back the image's repo digests, too";
const INDEX: &str = "dockerd's graph drivers always send the image and say nothing";
const KEPT: &str = "`KeptBlobs` and `Store` in `GET /system/df`";
const KEPT_OF_IMAGE: &str = "(`images --tree`) tells them of each image";
const LAYOUT: &str = "`load` also takes OCI layouts without a `manifest.json`";
const PARENT: &str = "The `Parent` that an archive names is not taken over";
const VERSIONS: &str =
    "Versions of the API from 1.12 on are answered, which dockerd 29 refuses below 1.40";
const NEWEST: &str =
    "Where dockerd 20.10 and 29 answer the same request in other words, Longshore answers as 29";
const BYTES: &str =
    "A push sends layers and manifest as they were pulled, where dockerd may compress them anew";

impl Known {
    pub(crate) fn covers(&self, reference: Reference, scenario: &str, found: &Difference) -> bool {
        self.reference == reference
            && matches(self.scenario, scenario)
            && matches(self.place, &found.place)
    }
}

/// Returns true if a text is as a pattern says, in which `*` stands for anything.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            let mut ends = text.char_indices().map(|(end, _)| end).chain([text.len()]);
            ends.any(|end| matches(rest, &text[end..]))
        }),
    }
}

#[test]
fn each_is_documented() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(folder.join("../../COMPATIBILITY.md")).unwrap();
    // Lines are broken anywhere.
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for known in KNOWN {
        assert!(text.contains(known.documented), "not in COMPATIBILITY.md: {}", known.documented);
    }
}
