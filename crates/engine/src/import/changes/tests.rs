//! Tables of changes and what dockerd makes of them.

use serde_json::Value;

use super::{ChangeError, apply};

/// Changes as dockerd reads them: the fields that differ from those of an image without any, or its sentence. An
/// answer that dockerd 20.10 has in another form is there as `old`. Recorded from dockerd 20.10, and where that
/// differs, read from the source of dockerd 29.
const CASES: &str = include_str!("cases.json");

/// Returns the fields that differ from those of an image without changes, or the error.
fn changed(changes: &[String]) -> Result<Value, String> {
    let config = apply(changes).map_err(|ChangeError(sentence)| sentence)?;
    let plain = serde_json::to_value(apply(&[]).unwrap()).unwrap();
    let Value::Object(mut fields) = serde_json::to_value(config).unwrap() else { panic!() };
    fields.retain(|name, value| plain.get(name) != Some(value));
    Ok(Value::Object(fields))
}

#[test]
fn every_change_means_what_it_means_to_dockerd() {
    let cases: Vec<Value> = serde_json::from_str(CASES).unwrap();
    assert!(cases.len() > 150);
    for case in &cases {
        let lines: Vec<String> = serde_json::from_value(case["changes"].clone()).unwrap();
        let answer = changed(&lines).unwrap_or_else(Value::String);
        assert_eq!(answer, case["expected"], "{lines:?}");
    }
}

#[test]
fn a_config_has_dockerds_fields_in_dockerds_order() {
    let plain = r#"{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"AttachStdout":false,"AttachStderr":false,"Tty":false,"OpenStdin":false,"StdinOnce":false,"Env":null,"Cmd":null,"Image":"","Volumes":null,"WorkingDir":"","Entrypoint":null,"Labels":null}"#;
    assert_eq!(serde_json::to_string(&apply(&[]).unwrap()).unwrap(), plain);
}

#[test]
fn hostile_text_is_bounded() {
    let long = |prefix: &str, count: usize| vec![format!("{prefix}{}", "x".repeat(count))];
    let too_long = "dockerfile line greater than max allowed size of 65535";
    assert!(changed(&long("LABEL a=", 65_535 - 8)).is_ok());
    assert_eq!(changed(&long("LABEL a=", 65_536 - 8)).unwrap_err(), "file with no instructions");
    let mut lines = vec!["ENV a=b".to_owned()];
    lines.extend(long("LABEL a=", 70_000));
    assert_eq!(changed(&lines).unwrap_err(), too_long);

    let chained = vec!["ONBUILD ".repeat(8_000)];
    assert_eq!(
        changed(&chained).unwrap_err(),
        "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"
    );
    let nested = vec![format!("LABEL a={}{}", "${b:-".repeat(8_000), "}".repeat(8_000))];
    assert!(changed(&nested).unwrap_err().contains("nested too deep"));
    // Patterns for which a naive matcher needs years.
    let stars = |length: usize, count: usize| {
        let (text, pattern) = ("a".repeat(length), "*a".repeat(count));
        vec![format!("ENV v={text}"), format!("LABEL x=${{v##{pattern}b}} y=${{v//{pattern}b/}}")]
    };
    assert!(changed(&stars(1_000, 50)).is_ok());
    assert!(changed(&stars(30_000, 10_000)).unwrap_err().contains("too long"));
}
