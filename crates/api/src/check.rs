//! The document of Longshore's own route `POST /longshore/system/check`.

use serde::{Deserialize, Serialize};

/// What a look over the data root found and did. It travels as the `aux` of the last line of a progress stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CheckReport {
    /// How many references were looked at.
    pub references: usize,
    /// How many images were looked at.
    pub images: usize,
    /// How many layers were looked at.
    pub layers: usize,
    /// How many blobs were looked at.
    pub blobs: usize,
    /// What is wrong, or was.
    pub findings: Vec<CheckFinding>,
}

/// Something that is wrong, or was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CheckFinding {
    /// What it is about: `layer sha256:…`, `reference app:1`.
    pub subject: String,
    /// The file within a layer, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What is wrong, as a clause: `it is gone`.
    pub problem: String,
    /// What can be done about it.
    pub remedy: Remedy,
    /// What was done about it.
    pub repair: Repair,
    /// Why it could not be put right, if that was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What can be done about a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Remedy {
    /// It is made right from what is here.
    Mend,
    /// Its content is brought again.
    Fetch,
    /// It is removed.
    Remove,
    /// Nothing.
    #[default]
    Nothing,
}

/// What was done about a finding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Repair {
    /// Nothing was tried.
    #[default]
    None,
    /// It is right now, or gone.
    Done,
    /// It could not be put right.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_travels() {
        let text = r#"{"References":1,"Images":2,"Layers":3,"Blobs":4,"Findings":[{"Subject":"layer x","File":"bin/sh","Problem":"it is gone","Remedy":"fetch","Repair":"failed","Reason":"offline"}]}"#;
        let report: CheckReport = serde_json::from_str(text).unwrap();
        assert_eq!(report.findings[0].remedy, Remedy::Fetch);
        assert_eq!(serde_json::to_string(&report).unwrap(), text);
        assert_eq!(serde_json::from_str::<CheckReport>("{}").unwrap(), CheckReport::default());
    }
}
