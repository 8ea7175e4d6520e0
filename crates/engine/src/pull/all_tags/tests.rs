use spec::{Digest, MediaType};

use super::*;

fn what(error: &EngineError) -> String {
    match verdict(error) {
        Verdict::PassedOver(reason) => format!("passed over: {reason:?}"),
        Verdict::Failed => "failed".to_owned(),
        Verdict::Stop => "stop".to_owned(),
    }
}

/// A tag that is no image here is left out, one that is broken does not keep the others, and what all would meet ends it.
#[test]
fn the_failure_of_a_tag_is_its_own_or_everybodys() {
    let media_type = || MediaType::from("application/x");
    let invalid = || serde_json::from_str::<u8>("x").unwrap_err();
    let layer = || Digest::sha256(b"layer");
    for (error, expected) in [
        (
            EngineError::NotAnImage { media_type: media_type(), class: "unknown" },
            "passed over: Kind(",
        ),
        (EngineError::UnsupportedMediaType(media_type()), "passed over: Kind("),
        (
            EngineError::Manifest {
                reference: "web:1".to_owned(),
                source: ManifestError::MediaType(media_type()),
            },
            "passed over: Kind(",
        ),
        (
            EngineError::NoMatchingManifest("linux/amd64".to_owned()),
            "passed over: NoPlatform(\"linux/amd64\")",
        ),
        (
            EngineError::OperatingSystem("windows".to_owned()),
            "passed over: OperatingSystem(\"windows\")",
        ),
        (EngineError::IndexDepth("web:1".to_owned()), "failed"),
        (EngineError::Config { digest: layer(), source: invalid() }, "failed"),
        (EngineError::RootFsMismatch, "failed"),
        (EngineError::HistoryMismatch, "failed"),
        (EngineError::LayerVerification { digest: layer(), detail: String::new() }, "failed"),
        (EngineError::Shared(Arc::new(EngineError::RootFsMismatch)), "failed"),
        (EngineError::Cancelled, "stop"),
        (EngineError::NoCredentials, "stop"),
        (EngineError::Shared(Arc::new(EngineError::Cancelled)), "stop"),
    ] {
        let told = what(&error);
        assert!(told.starts_with(expected), "{error:?}: {told}");
    }
}
