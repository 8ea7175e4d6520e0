//! Docker's words for what a pull or push is doing.

use api::message::{Aux, Message, ProgressDetail, PushResult};
use engine::{LayerState, ProgressEvent, Wait};

use crate::documents::check_report;

/// The lines that report one event.
///
/// dockerd before 29 also drew a bar in text into each counter's line (`progress`); 29 dropped it for every version of
/// the API, and clients draw their own from `progressDetail`.
pub(crate) fn messages(event: ProgressEvent) -> Vec<Message> {
    let line = match event {
        ProgressEvent::Pulling { reference, repository } => {
            Message { id: Some(reference), ..Message::status(format!("Pulling from {repository}")) }
        }
        ProgressEvent::Layer { id, state } => layer(id, &state),
        ProgressEvent::PullDone { digest } => Message::status(format!("Digest: {digest}")),
        ProgressEvent::Status { newer: true, reference } => {
            Message::status(format!("Status: Downloaded newer image for {reference}"))
        }
        ProgressEvent::Status { newer: false, reference } => {
            Message::status(format!("Status: Image is up to date for {reference}"))
        }
        ProgressEvent::TagPassedOver { tag, reason } => {
            Message { id: Some(tag), ..Message::status(format!("Skipped: {reason}")) }
        }
        ProgressEvent::TagFailed { tag, reason } => {
            Message { id: Some(tag), ..Message::status(format!("Failed: {reason}")) }
        }
        ProgressEvent::Pushing { repository } => {
            Message::status(format!("The push refers to repository [{repository}]"))
        }
        ProgressEvent::Pushed { tag, digest, size } => {
            let status = Message::status(format!("{tag}: digest: {digest} size: {size}"));
            let result = PushResult { tag, digest: digest.to_string(), size };
            return vec![status, Message::push_result(result)];
        }
        ProgressEvent::Loaded { reference } => output(format!("Loaded image: {reference}\n")),
        // dockerd writes what it has to say also where that is nothing.
        ProgressEvent::LoadedIds { ids } if ids.is_empty() => Message::default(),
        ProgressEvent::LoadedIds { ids } => output(
            ids.iter().fold(String::new(), |text, id| text + &format!("Loaded image ID: {id}\n")),
        ),
        ProgressEvent::TagTaken { reference, id } => output(format!(
            "The image {reference} already exists, renaming the old one with ID {id} to empty string\n"
        )),
        ProgressEvent::DownloadingFrom(url) => Message::status(format!("Downloading from {url}")),
        ProgressEvent::Importing { current, total } => Message {
            status: Some("Importing".to_owned()),
            progress_detail: Some(ProgressDetail::bytes(current, total.unwrap_or_default())),
            ..Message::default()
        },
        ProgressEvent::Imported(id) => Message::status(id.to_string()),
        ProgressEvent::HeldOff(wait) => {
            let seconds = wait.left.as_secs();
            let plural = if seconds == 1 { "" } else { "s" };
            let Wait { host, status, .. } = wait;
            Message {
                note: Some(format!("{host} asks to wait {seconds} second{plural} ({status})")),
                ..Message::layer(
                    host,
                    format!("Waiting, as it asks ({status})"),
                    ProgressDetail::seconds(0, seconds),
                )
            }
        }
        ProgressEvent::Step { action, number, total, what } => Message {
            id: Some(format!("{number}/{total}")),
            ..Message::status(format!("{action} {what}"))
        },
        ProgressEvent::Checked(outcome) => {
            let document = serde_json::to_value(check_report::report(*outcome));
            Message { aux: document.ok().map(Aux::Other), ..Message::default() }
        }
        ProgressEvent::Warning(text) => Message::status(format!("WARNING: {text}")),
    };
    vec![line]
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
        LayerState::VerifyingChecksum => ("Verifying Checksum", nothing),
        LayerState::DownloadComplete => ("Download complete", nothing),
        LayerState::Extracting { current, total } => ("Extracting", counted(*current, *total)),
        LayerState::Loading { current, total } => ("Loading layer", counted(*current, *total)),
        LayerState::PullComplete => ("Pull complete", nothing),
        LayerState::AlreadyExists => ("Already exists", nothing),
        LayerState::Retrying { seconds } => {
            let plural = if *seconds == 1 { "" } else { "s" };
            retrying = format!("Retrying in {seconds} second{plural}");
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

    /// Each line but the last four was recorded from dockerd 29.7.
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
                ProgressEvent::Status { newer: true, reference: "alpine:3.10".into() },
                r#"{"status":"Status: Downloaded newer image for alpine:3.10"}"#.to_owned(),
            ),
            (
                ProgressEvent::Status { newer: false, reference: "busybox:latest".into() },
                r#"{"status":"Status: Image is up to date for busybox:latest"}"#.to_owned(),
            ),
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
            (ProgressEvent::Warning("look".into()), r#"{"status":"WARNING: look"}"#.to_owned()),
        ];
        for (event, expected) in table {
            assert_eq!(lines(event), expected + "\r\n");
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
            (LayerState::VerifyingChecksum, r#""Verifying Checksum","progressDetail":{}"#),
            (LayerState::DownloadComplete, r#""Download complete","progressDetail":{}"#),
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
}
