//! The documents of Longshore's own route `GET /longshore/diff`: a stream of lines, the first of which is a [`DiffSummary`] and each
//! other a [`DiffChange`].

use serde::{Deserialize, Serialize};

/// The whole of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiffSummary {
    /// The ID of the image that was compared with; none where each layer was compared with those below it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The ID of the image that was compared.
    pub to: String,
    /// Its layers, the bottom one first.
    pub layers: Vec<DiffLayer>,
    /// The sums of all changes.
    #[serde(flatten)]
    pub totals: DiffTotals,
}

/// A layer of the image that was compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiffLayer {
    /// Its number, from 1.
    pub number: usize,
    /// The hash of its tar.
    #[serde(rename = "DiffID")]
    pub diff_id: String,
    /// The command that made it.
    pub created_by: String,
    /// The other image has it, too, on the same layers.
    pub shared: bool,
    /// The sums of the changes that it brought.
    #[serde(flatten)]
    pub totals: DiffTotals,
}

/// Sums of changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiffTotals {
    /// Files that are new.
    pub added: DiffSum,
    /// Files that were there and are different.
    pub changed: DiffSum,
    /// Files that are gone.
    pub removed: DiffSum,
}

/// A number of files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiffSum {
    /// The number of files, directories, links and so on.
    pub files: u64,
    /// The bytes in them; of changed ones what they grew by.
    pub bytes: i64,
}

/// A file that differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiffChange {
    /// `A` for added, `C` for changed, `D` for removed.
    pub change: String,
    /// The absolute path; bytes that are no UTF-8 as `\xNN`.
    pub path: String,
    /// The kind: `file`, `directory`, `symlink`, `device`, `fifo`; of what is gone the one that it was.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The bytes of its content now.
    pub size: u64,
    /// The bytes that it had before.
    pub size_before: u64,
    /// The number of the layer that brought the change, from 1; 0 for what the image never had.
    pub layer: usize,
    /// The properties that differ: `type`, `content`, `target`, `mode`, `owner`, `mtime`, `xattrs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_travel() {
        let text = r#"{"To":"sha256:1","Layers":[{"Number":1,"DiffID":"sha256:2","CreatedBy":"RUN x","Shared":false,"Added":{"Files":1,"Bytes":2},"Changed":{"Files":0,"Bytes":-1},"Removed":{"Files":0,"Bytes":0}}],"Added":{"Files":1,"Bytes":2},"Changed":{"Files":0,"Bytes":0},"Removed":{"Files":0,"Bytes":0}}"#;
        let summary: DiffSummary = serde_json::from_str(text).unwrap();
        assert_eq!(summary.layers[0].totals.changed.bytes, -1);
        assert_eq!(serde_json::to_string(&summary).unwrap(), text);
        let text = r#"{"Change":"C","Path":"/a","Type":"file","Size":1,"SizeBefore":2,"Layer":3,"Differs":["content"]}"#;
        let change: DiffChange = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&change).unwrap(), text);
    }
}
