//! Docker's words for what a pull or push is doing.

use api::message::{
    Aux, LayerFacts, ManifestPushedInsteadOfIndex, Message, ProgressDetail, PushResult,
};
use engine::{
    CheckOutcome, CheckedPart, IncompleteImage, LayerState, LoadedImages, PartLeftOut, PassedOver,
    ProgressEvent, Pulled, ReferrersLeftOut, Wait, WhyLeftOut,
};
use spec::{Digest, ImageId};

use crate::documents::check_report;

/// Images, and parts of one, that are told of; the rest is counted. A header has no room for more.
const MAX_TOLD: usize = 8;

/// The lines that report one event.
///
/// dockerd before 29 also drew a bar in text into each counter's line (`progress`); 29 dropped it for every version of
/// the API, and clients draw their own from `progressDetail`.
pub(crate) fn messages(event: ProgressEvent) -> Vec<Message> {
    let line = match event {
        ProgressEvent::Pulling { reference, repository } => {
            Message { id: Some(reference), ..Message::status(format!("Pulling from {repository}")) }
        }
        ProgressEvent::FirstSchema { reference } => pulled_first_schema(&reference),
        ProgressEvent::PushedFirstSchema { registry } => pushed_first_schema(&registry),
        ProgressEvent::Layer { id, state: LayerState::Downloaded } => {
            // dockerd compares the digest between the two; here it is compared while the layer is unpacked.
            return ["Verifying Checksum", "Download complete"]
                .map(|status| Message::layer(id.clone(), status, ProgressDetail::default()))
                .into();
        }
        ProgressEvent::Layer { id, state } => layer(id, &state),
        ProgressEvent::Facts { id, facts } => {
            let engine::LayerFacts { size, present, host } = facts;
            Message::facts(LayerFacts { layer: id, size, present, host })
        }
        ProgressEvent::PullDone { digest } => Message::status(format!("Digest: {digest}")),
        ProgressEvent::TagPassedOver { tag, reason } => Message {
            id: Some(tag),
            ..Message::status(format!("Skipped: {}", passed_over(&reason)))
        },
        ProgressEvent::TagFailed { tag, reason } => {
            Message { id: Some(tag), ..Message::status(format!("Failed: {reason}")) }
        }
        ProgressEvent::LeftOut { digest, reason } => left_out(&digest, &reason),
        ProgressEvent::Pushing { repository } => {
            Message::status(format!("The push refers to repository [{repository}]"))
        }
        ProgressEvent::LayersRemade { tag, came_with } => layers_remade(&tag, &came_with),
        ProgressEvent::Referrers { tag, sent, present } => Message::status(match (sent, present) {
            (0, 0) => format!("{tag}: no referrers of it are here (pull --referrers keeps them)"),
            _ => format!("{tag}: referrers: {sent} pushed, {present} already there"),
        }),
        ProgressEvent::Pushed { tag, digest, size } => {
            let status = Message::status(format!("{tag}: digest: {digest} size: {size}"));
            let result = PushResult { tag, digest: digest.to_string(), size };
            return vec![status, Message::push_result(result)];
        }
        ProgressEvent::PushedWithoutIndex { index, manifest } => {
            Message::pushed_without_index(ManifestPushedInsteadOfIndex::new(*index, *manifest))
        }
        ProgressEvent::Loaded { reference } => output(format!("Loaded image: {reference}\n")),
        ProgressEvent::WithoutManifest(id) => {
            let text = format!(
                "{id} is loaded without the manifest that it was saved with, as layers are kept here in another form: a push makes a new one"
            );
            Message { note: Some(text.clone()), ..Message::status(text) }
        }
        ProgressEvent::TagTaken { reference, id } => output(format!(
            "The image {reference} already exists, renaming the old one with ID {id} to empty string\n"
        )),
        ProgressEvent::DownloadingFrom(url) => Message::status(format!("Downloading from {url}")),
        ProgressEvent::Importing { current, total } => Message {
            status: Some("Importing".to_owned()),
            progress_detail: Some(ProgressDetail::bytes(current, total.unwrap_or_default())),
            ..Message::default()
        },
        ProgressEvent::HeldOff(wait) => held_off(wait),
        ProgressEvent::Checking { number, total, part } => {
            let part = match part {
                CheckedPart::Layer(chain) => format!("layer {}", chain.digest().short()),
                CheckedPart::Blob(digest) => format!("blob {}", digest.short()),
            };
            numbered(number, total, format!("Checking {part}"))
        }
        ProgressEvent::Unpacking { number, total, layer } => {
            numbered(number, total, format!("Unpacking layer {}", layer.digest().short()))
        }
    };
    vec![line]
}

/// Tells of something that is listed of an image and not kept.
fn left_out(digest: &Digest, reason: &PartLeftOut) -> Message {
    let reason = match reason {
        PartLeftOut::Gone => "it is listed as a referrer, and is not there".to_owned(),
        PartLeftOut::RefersElsewhere => {
            "it is listed as a referrer of something else than it says".to_owned()
        }
        PartLeftOut::Kind(kind) if kind.as_str().is_empty() => "it is no manifest".to_owned(),
        PartLeftOut::Kind(kind) => format!("it is no manifest, but {kind}"),
        PartLeftOut::NotWhole => {
            "it is listed as a referrer, and is not there whole, or not as it should be".to_owned()
        }
        PartLeftOut::Beyond => {
            "it is listed as a referrer, and with it and those after it there would be too many"
                .to_owned()
        }
        PartLeftOut::Referrers => "the list of what refers to it cannot be read".to_owned(),
        PartLeftOut::Refused => {
            "it refers to the image, may be one itself, and is refused by the policy".to_owned()
        }
    };
    Message { id: Some(digest.short()), ..Message::status(format!("Left out: {reason}")) }
}

fn held_off(wait: Wait) -> Message {
    let seconds = wait.left.as_secs();
    let told = spec::counted(seconds, "second");
    let Wait { host, status, .. } = wait;
    Message {
        note: Some(format!("{host} asks to wait {told} ({status})")),
        ..Message::layer(
            host,
            format!("Waiting, as it asks ({status})"),
            ProgressDetail::seconds(0, seconds),
        )
    }
}

fn pulled_first_schema(reference: &str) -> Message {
    Message::status(format!(
        "[DEPRECATION NOTICE] Docker Image Format v1 and Docker Image manifest version 2, schema 1 support is disabled by default and \
         will be removed in an upcoming release. Suggest the author of {reference} to upgrade the image to the OCI Format or Docker \
         Image manifest v2, schema 2. More information at https://docs.docker.com/go/deprecated-image-specs/"
    ))
}

fn pushed_first_schema(registry: &str) -> Message {
    Message::status(format!(
        "[DEPRECATION NOTICE] support for pushing manifest v2 schema1 images will be removed in an upcoming release. Please contact \
         admins of the {registry} registry NOW to avoid future disruption. More information at \
         https://docs.docker.com/registry/spec/deprecated-schema-v1/"
    ))
}

/// Tells of a manifest that is not the one that an image came with. Stock clients show nothing of a line with data.
fn layers_remade(tag: &str, came_with: &Digest) -> Message {
    let note = format!(
        "{tag}: layers were compressed anew, as their blobs are not kept (keep-blobs): the manifest is not the {came_with} that \
         the image came with"
    );
    let aux = Aux::LayersRemade { tag: tag.to_owned(), came_with: came_with.to_string() };
    Message { note: Some(note), aux: Some(aux), ..Message::default() }
}

/// Tells what an archive lacks of images although it is here.
pub(crate) fn incomplete(images: &[IncompleteImage]) -> String {
    let of_image = |image: &IncompleteImage| {
        let told: Vec<&str> = image.without.iter().take(MAX_TOLD).map(String::as_str).collect();
        let more = match image.without.len().saturating_sub(MAX_TOLD) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("{} without {}{more}", image.name, told.join(", "))
    };
    let images: Vec<String> = images.iter().take(MAX_TOLD).map(of_image).collect();
    format!(
        "saved {}: layers of the image itself are not kept as they came (keep-blobs), so that its index would be another one",
        images.join("; ")
    )
}

/// Tells what is here and refers to images that an archive has without it, for each cause what can be done.
pub(crate) fn referrers_left_out(left_out: &[ReferrersLeftOut]) -> impl Iterator<Item = String> {
    let told = [
        (
            WhyLeftOut::NotWanted,
            " that `pull --referrers` kept: `save --referrers` takes them along",
        ),
        (
            WhyLeftOut::OfUnsaved,
            " of an index or a platform that is not saved: `pull --all-platforms --referrers`, then `save --all-platforms --referrers` \
             takes them along",
        ),
        (
            WhyLeftOut::OfFormer,
            ": its manifest is a new one, as its layers are not kept as they came (keep-blobs); `copy --referrers` takes them along from \
             the registry",
        ),
    ];
    told.into_iter().filter_map(|(why, advice)| {
        let images = left_out.iter().filter(|one| one.why == why).take(MAX_TOLD);
        let images = images.map(|ReferrersLeftOut { name, count, .. }| {
            format!("{name} without {}", spec::counted(*count, "referrer"))
        });
        let images: Vec<String> = images.collect();
        let images = Some(images.join("; ")).filter(|images| !images.is_empty())?;
        Some(format!("saved {images} (signatures, SBOMs, attestations){advice}"))
    })
}

/// A result of an operation, which the last lines of its answer tell.
pub(crate) trait Ending {
    fn messages(self) -> Vec<Message>;
}

impl Ending for () {
    fn messages(self) -> Vec<Message> {
        Vec::new()
    }
}

impl Ending for Pulled {
    fn messages(self) -> Vec<Message> {
        let reference = self.reference;
        let status = Message::status(if self.newer {
            format!("Status: Downloaded newer image for {reference}")
        } else {
            format!("Status: Image is up to date for {reference}")
        });
        let warning = |mismatch| Message::status(format!("WARNING: {mismatch}"));
        [status].into_iter().chain(self.other_platforms.into_iter().map(warning)).collect()
    }
}

impl Ending for LoadedImages {
    fn messages(self) -> Vec<Message> {
        let line = |ids: Vec<ImageId>| {
            // dockerd writes what it has to say also where that is nothing.
            if ids.is_empty() {
                return Message::default();
            }
            output(
                ids.iter()
                    .fold(String::new(), |text, id| text + &format!("Loaded image ID: {id}\n")),
            )
        };
        self.unnamed.map(line).into_iter().collect()
    }
}

/// An import's.
impl Ending for ImageId {
    fn messages(self) -> Vec<Message> {
        vec![Message::status(self.to_string())]
    }
}

impl Ending for CheckOutcome {
    fn messages(self) -> Vec<Message> {
        let document = serde_json::to_value(check_report::report(self));
        vec![Message { aux: document.ok().map(Aux::Other), ..Message::default() }]
    }
}

fn numbered(number: usize, total: usize, status: String) -> Message {
    Message { id: Some(format!("{number}/{total}")), ..Message::status(status) }
}

fn passed_over(reason: &PassedOver) -> String {
    match reason {
        PassedOver::Kind(media_type) => format!("not an image ({media_type})"),
        PassedOver::NoManifest => "the registry has no manifest for it".to_owned(),
        PassedOver::NoPlatform(platform) => format!("no image for {platform}"),
        PassedOver::OperatingSystem(os) => format!("an image for the operating system {os}"),
    }
}

/// Text that clients print as it is.
fn output(text: String) -> Message {
    Message { stream: Some(text), ..Message::default() }
}

fn layer(id: String, state: &LayerState) -> Message {
    let counted = |current, total| ProgressDetail::bytes(current, total);
    let nothing = ProgressDetail::default();
    let retrying;
    let mounted;
    let (status, detail) = match state {
        LayerState::PullingFsLayer => ("Pulling fs layer", nothing),
        LayerState::Waiting => ("Waiting", nothing),
        LayerState::Downloading { current, total } => ("Downloading", counted(*current, *total)),
        LayerState::Downloaded | LayerState::Kept => ("Download complete", nothing),
        LayerState::Extracting { current, total } => ("Extracting", counted(*current, *total)),
        LayerState::Loading { current, total } => ("Loading layer", counted(*current, *total)),
        LayerState::PullComplete => ("Pull complete", nothing),
        LayerState::AlreadyExists => ("Already exists", nothing),
        LayerState::Retrying { seconds } => {
            retrying = format!("Retrying in {}", spec::counted(*seconds, "second"));
            (retrying.as_str(), nothing)
        }
        LayerState::Preparing => ("Preparing", nothing),
        LayerState::Pushing { current, total } => ("Pushing", counted(*current, *total)),
        LayerState::Pushed => ("Pushed", nothing),
        LayerState::LayerAlreadyExists => ("Layer already exists", nothing),
        LayerState::SkippedForeignLayer => ("Skipped foreign layer", nothing),
        LayerState::MountedFrom { repository } => {
            mounted = format!("Mounted from {repository}");
            (mounted.as_str(), nothing)
        }
    };
    Message::layer(id, status, detail)
}

#[cfg(test)]
mod tests {
    use spec::Digest;

    use super::*;

    fn lines(event: ProgressEvent) -> String {
        let encoded = messages(event).iter().flat_map(Message::encode).collect();
        String::from_utf8(encoded).unwrap()
    }

    /// Each line was recorded from dockerd 29.7.
    #[test]
    fn the_words_are_dockerds() {
        let digest = Digest::sha256(b"manifest");
        let table = [
            (
                ProgressEvent::Pulling { reference: "latest".into(), repository: "library/nginx".into() },
                r#"{"status":"Pulling from library/nginx","id":"latest"}"#.to_owned(),
            ),
            (ProgressEvent::PullDone { digest: digest.clone() }, format!(r#"{{"status":"Digest: {digest}"}}"#)),
            (
                ProgressEvent::Pushing { repository: "127.0.0.1:5600/me/bb".into() },
                r#"{"status":"The push refers to repository [127.0.0.1:5600/me/bb]"}"#.to_owned(),
            ),
            (
                ProgressEvent::Pushed { tag: "1".into(), digest: digest.clone(), size: 527 },
                [
                    format!(r#"{{"status":"1: digest: {digest} size: 527"}}"#),
                    format!(r#"{{"progressDetail":{{}},"aux":{{"Tag":"1","Digest":"{digest}","Size":527}}}}"#),
                ]
                .join("\r\n"),
            ),
        ];
        for (event, expected) in table {
            assert_eq!(lines(event), expected + "\r\n");
        }
    }

    /// dockerd 28.1, the last one that could do it.
    #[test]
    fn schema_1_is_told_as_what_it_is() {
        let reference = "docker.io/me/app:1".to_owned();
        for (event, expected) in [
            (
                ProgressEvent::FirstSchema { reference },
                "[DEPRECATION NOTICE] Docker Image Format v1 and Docker Image manifest version 2, schema 1 support is disabled by default and will be removed in an upcoming release. Suggest the author of docker.io/me/app:1 to upgrade the image to the OCI Format or Docker Image manifest v2, schema 2. More information at https://docs.docker.com/go/deprecated-image-specs/",
            ),
            (
                ProgressEvent::PushedFirstSchema { registry: "127.0.0.1:5000".into() },
                "[DEPRECATION NOTICE] support for pushing manifest v2 schema1 images will be removed in an upcoming release. Please contact admins of the 127.0.0.1:5000 registry NOW to avoid future disruption. More information at https://docs.docker.com/registry/spec/deprecated-schema-v1/",
            ),
        ] {
            assert_eq!(lines(event), format!("{{\"status\":\"{expected}\"}}\r\n"));
        }
    }

    #[test]
    fn layers_have_dockerds_states() {
        let table = [
            (LayerState::PullingFsLayer, r#""Pulling fs layer","progressDetail":{}"#),
            (
                LayerState::Downloading { current: 16_384, total: 303_282 },
                r#""Downloading","progressDetail":{"current":16384,"total":303282}"#,
            ),
            (LayerState::Kept, r#""Download complete","progressDetail":{}"#),
            (
                LayerState::Extracting { current: 32_768, total: 303_282 },
                r#""Extracting","progressDetail":{"current":32768,"total":303282}"#,
            ),
            (LayerState::PullComplete, r#""Pull complete","progressDetail":{}"#),
            (LayerState::AlreadyExists, r#""Already exists","progressDetail":{}"#),
            (LayerState::Preparing, r#""Preparing","progressDetail":{}"#),
            (LayerState::LayerAlreadyExists, r#""Layer already exists","progressDetail":{}"#),
            (LayerState::SkippedForeignLayer, r#""Skipped foreign layer","progressDetail":{}"#),
            // Not in the recording; the words are those of dockerd's source.
            (LayerState::Waiting, r#""Waiting","progressDetail":{}"#),
            (LayerState::Retrying { seconds: 1 }, r#""Retrying in 1 second","progressDetail":{}"#),
            (LayerState::Retrying { seconds: 5 }, r#""Retrying in 5 seconds","progressDetail":{}"#),
            (
                LayerState::Pushing { current: 512, total: 0 },
                r#""Pushing","progressDetail":{"current":512}"#,
            ),
            (LayerState::Pushed, r#""Pushed","progressDetail":{}"#),
            (
                LayerState::MountedFrom { repository: "me/bb".into() },
                r#""Mounted from me/bb","progressDetail":{}"#,
            ),
        ];
        for (state, expected) in table {
            let event = ProgressEvent::Layer { id: "4ee7da9e7e7d".into(), state };
            assert_eq!(
                lines(event),
                format!("{{\"status\":{expected},\"id\":\"4ee7da9e7e7d\"}}\r\n")
            );
        }
    }

    #[test]
    fn a_download_ends_in_two_lines() {
        let event = ProgressEvent::Layer { id: "a".into(), state: LayerState::Downloaded };
        let expected = concat!(
            "{\"status\":\"Verifying Checksum\",\"progressDetail\":{},\"id\":\"a\"}\r\n",
            "{\"status\":\"Download complete\",\"progressDetail\":{},\"id\":\"a\"}\r\n",
        );
        assert_eq!(lines(event), expected);
    }

    #[test]
    fn results_are_told_last_in_dockerds_words() {
        let id = || ImageId::new(Digest::sha256(b"config"));
        let pulled = |newer, other_platforms| {
            Pulled { newer, reference: "alpine:3.10".into(), other_platforms }.messages()
        };
        let mismatch = engine::PlatformMismatch {
            reference: "alpine:3.10".into(),
            actual: "linux/amd64".into(),
            wanted: "linux/arm64".into(),
        };
        let loaded = |ids| LoadedImages { unnamed: Some(ids) }.messages();
        for (messages, expected) in [
            (
                pulled(true, vec![]),
                r#"{"status":"Status: Downloaded newer image for alpine:3.10"}"#.to_owned() + "\r\n",
            ),
            (
                pulled(false, vec![mismatch]),
                concat!(
                    r#"{"status":"Status: Image is up to date for alpine:3.10"}"#,
                    "\r\n",
                    r#"{"status":"WARNING: image with reference alpine:3.10 was found but its platform (linux/amd64) does not match the specified platform (linux/arm64)"}"#,
                    "\r\n",
                )
                .to_owned(),
            ),
            (id().messages(), format!("{{\"status\":\"{}\"}}\r\n", id())),
            (LoadedImages { unnamed: None }.messages(), String::new()),
            (loaded(vec![]), "{}\r\n".to_owned()),
            (
                loaded(vec![id(), id()]),
                format!("{{\"stream\":\"Loaded image ID: {0}\\nLoaded image ID: {0}\\n\"}}\r\n", id()),
            ),
        ] {
            let encoded: Vec<u8> = messages.iter().flat_map(Message::encode).collect();
            assert_eq!(String::from_utf8(encoded).unwrap(), expected);
        }
    }
}
