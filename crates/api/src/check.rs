//! The document of Longshore's own route `POST /longshore/system/check`.

use serde::{Deserialize, Serialize};

/// Report of a check of the data root. It travels as the `aux` of the last line of a progress stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CheckReport {
    /// References that were looked at.
    pub references: usize,
    /// Images that were looked at.
    pub images: usize,
    /// Layers that were looked at.
    pub layers: usize,
    /// Blobs that were looked at.
    pub blobs: usize,
    /// Faults, mended or not.
    pub findings: Vec<CheckFinding>,
}

/// Something that is wrong, or was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CheckFinding {
    /// Object with the fault: `layer sha256:…`, `reference app:1`.
    pub subject: String,
    /// The file within a layer, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Fault, as a clause: `it is gone`.
    pub problem: String,
    /// Means against it.
    pub remedy: Remedy,
    /// Outcome of the repair.
    pub repair: Repair,
    /// Cause of a repair that failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Means against a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Remedy {
    /// It is made right from what is here.
    Mend,
    /// Its content is brought again.
    Fetch,
    /// It is removed.
    Remove,
    /// No means is known.
    #[default]
    Nothing,
}

/// Outcome of a repair.
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
