//! `GET /system/df`.

use std::collections::BTreeMap;

use serde::ser::SerializeSeq;
use serde::{Deserialize, Serialize, Serializer};

use crate::image::ImageSummary;
use crate::wire::null_as_default;

/// Disk usage of everything. A kind that was not asked for is `None`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiskUsage {
    /// The bytes of all layers of images, each counted once. Left out when 0, and by API 1.52 and later for a client that asks
    /// for `verbose`, as is everything but the last four fields.
    #[serde(skip_serializing_if = "is_zero")]
    pub layers_size: i64,
    /// The bytes of the manifests and compressed layers that are kept beside the layers. Longshore's own; left out when 0.
    #[serde(skip_serializing_if = "is_zero")]
    pub kept_blobs: i64,
    /// All that is kept, as it is on the disk. Longshore's own; left out where nothing is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreUsage>,
    /// The images, with sizes that they share.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "without_empty_names")]
    pub images: Option<Vec<ImageSummary>>,
    /// Containers, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers: Option<Vec<ContainerUsage>>,
    /// Volumes, if they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<Vec<VolumeUsage>>,
    /// The records of the build cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_cache: Option<Vec<CacheRecord>>,
    /// The images, summed up; from API 1.52 on, as are the next three.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_usage: Option<Usage>,
    /// The containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_usage: Option<Usage>,
    /// The volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_usage: Option<Usage>,
    /// The build cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_cache_usage: Option<Usage>,
}

/// Bytes of the disk: each thing once, however many images share it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct StoreUsage {
    /// Unpacked layers.
    pub layers: Share,
    /// Manifests, configs and compressed layers.
    pub content: Share,
    /// The part of the content that are layers which are there unpacked, too.
    pub kept_twice: i64,
    /// Partial downloads that nobody works on.
    pub partial_downloads: Share,
}

/// Bytes, and those of them that a prune of all that nobody uses frees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Share {
    /// Bytes in all.
    pub size: i64,
    /// Bytes that would be free.
    pub reclaimable: i64,
}

/// Disk usage of objects of one kind. Zeroes are left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Usage {
    /// Objects in use.
    #[serde(skip_serializing_if = "is_zero")]
    pub active_count: i64,
    /// The objects, if they were asked for. Of other kinds than images there are none here.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "without_empty_names")]
    pub items: Option<Vec<ImageSummary>>,
    /// The bytes that would be free without those that are not in use.
    #[serde(skip_serializing_if = "is_zero")]
    pub reclaimable: i64,
    /// Objects in all.
    #[serde(skip_serializing_if = "is_zero")]
    pub total_count: i64,
    /// The bytes of all of them.
    #[serde(skip_serializing_if = "is_zero")]
    pub total_size: i64,
}

/// A container of another daemon, as far as a list of what takes space shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerUsage {
    /// Container ID, 64 hexadecimal digits.
    pub id: String,
    /// The names, each with a slash before it.
    #[serde(deserialize_with = "null_as_default")]
    pub names: Vec<String>,
    /// The image as it was named when the container was made.
    pub image: String,
    /// The image's ID.
    #[serde(rename = "ImageID")]
    pub image_id: String,
    /// Command line that it runs.
    pub command: String,
    /// Time of its making, in Unix seconds.
    pub created: i64,
    /// The bytes that it wrote.
    pub size_rw: i64,
    /// `running`, `exited` …
    pub state: String,
    /// The same for people: `Up 2 hours`.
    pub status: String,
    /// Mounts in it.
    #[serde(deserialize_with = "null_as_default")]
    pub mounts: Vec<Mount>,
}

/// Something that is mounted in a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Mount {
    /// The driver of a volume.
    pub driver: String,
}

/// A volume of another daemon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeUsage {
    /// Name by which containers mount it.
    pub name: String,
    /// Driver that keeps it, `local` for instance.
    pub driver: String,
    /// Labels that its user gave it.
    #[serde(deserialize_with = "null_as_default")]
    pub labels: BTreeMap<String, String>,
    /// Path of its files on the host.
    pub mountpoint: String,
    /// `local` or `global`.
    pub scope: String,
    /// Users and size.
    pub usage_data: Option<VolumeData>,
}

/// Users and size of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeData {
    /// Containers that use it; -1 where that is not known.
    pub ref_count: i64,
    /// The bytes; -1 where that is not known.
    pub size: i64,
}

/// A record of another daemon's build cache.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CacheRecord {
    /// Record ID of the builder.
    #[serde(rename = "ID")]
    pub id: String,
    /// Kind of the record.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Build step that made it.
    pub description: String,
    /// True while a build uses it.
    pub in_use: bool,
    /// True if its bytes are an image's, too.
    pub shared: bool,
    /// The bytes.
    pub size: i64,
    /// Time of its making, RFC 3339.
    pub created_at: String,
    /// Time of its last use, RFC 3339.
    pub last_used_at: Option<String>,
    /// Number of its uses.
    pub usage_count: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// Here, unlike in a list of images, dockerd writes `null` for an image without tags or digests.
#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn without_empty_names<S: Serializer>(
    images: &Option<Vec<ImageSummary>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let images = images.as_deref().unwrap_or_default();
    let mut sequence = serializer.serialize_seq(Some(images.len()))?;
    for image in images {
        let image = image.with_null_names().map_err(serde::ser::Error::custom)?;
        sequence.serialize_element(&image)?;
    }
    sequence.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recorded_documents_round_trip_byte_for_byte() {
        for recorded in [
            r#"{"Images":[],"Containers":[],"Volumes":[],"BuildCache":[]}"#,
            concat!(
                r#"{"LayersSize":3,"Images":[{"Containers":0,"Created":1795283728,"Id":"sha256:49e4","Labels":null,"#,
                r#""ParentId":"","RepoDigests":null,"RepoTags":["dang:1"],"SharedSize":3,"Size":3}],"Containers":[],"#,
                r#""Volumes":[],"BuildCache":[]}"#,
            ),
            r#"{"ImageUsage":{"Reclaimable":3,"TotalCount":1,"TotalSize":3},"ContainerUsage":{}}"#,
        ] {
            let usage: DiskUsage = serde_json::from_str(recorded).unwrap();
            assert_eq!(serde_json::to_string(&usage).unwrap(), recorded);
        }
    }
}
