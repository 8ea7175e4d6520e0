//! The `platform` parameter of newer routes: a platform as a JSON object.

use spec::Platform;

use crate::ApiError;

/// Reads the platform of a `platform` parameter in JSON. It must name an operating system and an architecture.
pub fn decode_platform(json: &str) -> Result<Platform, ApiError> {
    let mut platform: Platform =
        spec::from_go_json(json.as_bytes()).map_err(ApiError::PlatformJson)?;
    // Go's clients print an empty variant where there is none.
    platform.variant = platform.variant.filter(|variant| !variant.is_empty());
    platform.os_version = platform.os_version.filter(|version| !version.is_empty());
    let optional = platform.os_version.is_some()
        || platform.variant.is_some()
        || !platform.os_features.is_empty();
    match (platform.os.is_empty(), platform.architecture.is_empty()) {
        (false, false) => Ok(platform),
        (true, true) if optional => Err(ApiError::PlatformFields(
            "optional platform fields provided, but OS and Architecture are missing",
        )),
        _ => Err(ApiError::PlatformFields("both OS and Architecture must be provided")),
    }
}

/// Writes a platform for a `platform` parameter in JSON.
pub fn encode_platform(platform: &Platform) -> String {
    // A struct of strings always serialises.
    serde_json::to_string(platform).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_survives_the_wire() {
        let recorded = r#"{"architecture":"amd64","os":"linux"}"#;
        assert_eq!(encode_platform(&decode_platform(recorded).unwrap()), recorded);
        let arm =
            decode_platform(r#"{"os":"linux","architecture":"arm","variant":"v7","unknown":1}"#)
                .unwrap();
        assert_eq!(arm.variant.as_deref(), Some("v7"));
    }

    #[test]
    fn half_a_platform_is_refused() {
        let table = [
            ("", "failed to parse platform: EOF"),
            ("linux/amd64", "failed to parse platform: expected value"),
            ("{}", "both OS and Architecture must be provided"),
            (r#"{"os":"linux"}"#, "both OS and Architecture must be provided"),
            (
                r#"{"variant":"v7"}"#,
                "optional platform fields provided, but OS and Architecture are missing",
            ),
        ];
        for (json, expected) in table {
            let error = decode_platform(json).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{json}: {error}");
        }
    }
}
