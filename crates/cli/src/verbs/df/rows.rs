//! The objects that take space, as rows of lists.

use api::disk_usage::{CacheRecord, ContainerUsage, DiskUsage, VolumeUsage};
use api::image::ImageSummary;
use go_template::Value;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use spec::Reference;
use spec::go::{LIST_DIGITS, PROGRESS_DIGITS, human_size, quoted};

use crate::cells::{ago, ellipsis, local_time, row, short_id};
use crate::verbs::images::{List, NONE, fields, is_dangling};

pub(super) const CONTAINER_HEADERS: [(&str, &str); 8] = [
    ("ID", "CONTAINER ID"),
    ("Image", "IMAGE"),
    ("Command", "COMMAND"),
    ("LocalVolumes", "LOCAL VOLUMES"),
    ("Size", "SIZE"),
    ("RunningFor", "CREATED"),
    ("Status", "STATUS"),
    ("Names", "NAMES"),
];
pub(super) const VOLUME_HEADERS: [(&str, &str); 3] =
    [("Name", "VOLUME NAME"), ("Links", "LINKS"), ("Size", "SIZE")];
pub(super) const CACHE_HEADERS: [(&str, &str); 7] = [
    ("ID", "CACHE ID"),
    ("CacheType", "CACHE TYPE"),
    ("Size", "SIZE"),
    ("CreatedSince", "CREATED"),
    ("LastUsedSince", "LAST USED"),
    ("UsageCount", "USAGE"),
    ("Shared", "SHARED"),
];
/// The template of `--format raw`.
pub(super) const RAW: &str = "\
{{range .Images}}type: Image
repository: {{ .Repository }}
tag: {{.Tag}}
digest: {{.Digest}}
image_id: {{.ID}}
created_at: {{.CreatedAt}}
virtual_size: {{.Size}}

{{end -}}
{{range .Containers}}type: Container
container_id: {{.ID}}
image: {{.Image}}
command: {{.Command}}
created_at: {{.CreatedAt}}
state: {{- pad .State 1 0}}
status: {{- pad .Status 1 0}}
names: {{.Names}}
size: {{.Size}}\\n
{{end -}}
{{range .Volumes}}type: Volume
name: {{.Name}}\\ndriver: {{.Driver}}\\n
{{end -}}
{{range .BuildCache}}type: Build Cache
build_cache_id: {{.ID}}
build_cache_type: {{.CacheType}}
description: {{.Description}}
created_at: {{.CreatedAt}}
created_since: {{.CreatedSince}}
last_used_at: {{.LastUsedAt}}
last_used_since: {{.LastUsedSince}}
usage_count: {{.UsageCount}}
in_use: {{.InUse}}
shared: {{.Shared}}

{{end -}}";
/// Columns of a terminal for a container's command.
const COMMAND_WIDTH: usize = 20;

/// The rows of each kind of objects.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) images: Vec<Value>,
    pub(super) containers: Vec<Value>,
    pub(super) volumes: Vec<Value>,
    pub(super) build_cache: Vec<Value>,
}

/// Makes the rows; `short`: IDs and commands are cut, as in a table.
pub(super) fn all(usage: DiskUsage, short: bool, now: Timestamp, zone: &TimeZone) -> Rows {
    let list = List {
        now,
        zone: zone.clone(),
        full_ids: !short,
        digest_rows: false,
        split_by_digest: false,
        fields: fields().collect(),
    };
    let mut records = usage.build_cache.unwrap_or_default();
    records.sort_by_cached_key(|record| (last_used(record), record.id.clone()));
    let container = |container| container_row(container, short, now, zone);
    Rows {
        images: usage.images.iter().flatten().map(|image| image_row(&list, image)).collect(),
        containers: usage.containers.iter().flatten().map(container).collect(),
        volumes: usage.volumes.iter().flatten().map(volume_row).collect(),
        build_cache: records.iter().map(|record| cache_row(record, short, now)).collect(),
    }
}

/// An image has one row here, with its first tag.
fn image_row(list: &List, image: &ImageSummary) -> Value {
    let first = image.repo_tags.first().filter(|_| !is_dangling(image));
    let reference = first.and_then(|name| Reference::parse_familiar(name).ok());
    match reference.as_ref().map(|reference| (reference, reference.tag())) {
        Some((reference, Some(tag))) => {
            list.row(image, &reference.repository().familiar(), tag.as_str(), "")
        }
        _ => list.row(image, NONE, NONE, ""),
    }
}

fn container_row(
    container: &ContainerUsage,
    short: bool,
    now: Timestamp,
    zone: &TimeZone,
) -> Value {
    let names: Vec<&str> =
        container.names.iter().map(|name| name.strip_prefix('/').unwrap_or(name)).collect();
    let own = names.iter().find(|name| short && !name.contains('/'));
    let command =
        if short { ellipsis(&container.command, COMMAND_WIDTH) } else { container.command.clone() };
    let local = container.mounts.iter().filter(|mount| mount.driver == "local").count();
    let fields = [
        ("ID", if short { short_id(&container.id) } else { container.id.clone() }),
        ("Names", own.map_or_else(|| names.join(","), ToString::to_string)),
        ("Image", image_of(container, short)),
        ("Command", quoted(&command)),
        ("CreatedAt", local_time(container.created, zone)),
        ("RunningFor", ago(container.created, now)),
        ("State", container.state.clone()),
        ("Status", container.status.clone()),
        ("Size", human_size(container.size_rw, LIST_DIGITS)),
        ("LocalVolumes", local.to_string()),
    ];
    row("*formatter.ContainerContext", fields)
}

/// Returns what a container's image is called: by its short ID if it was named by its ID.
fn image_of(container: &ContainerUsage, short: bool) -> String {
    if container.image.is_empty() {
        return "<no image>".to_owned();
    }
    if !short {
        return container.image.clone();
    }
    let id = short_id(&container.image_id);
    if id == short_id(&container.image) {
        return id;
    }
    match Reference::parse_familiar(&container.image) {
        Ok(reference) => match reference.tag() {
            Some(tag) => format!("{}:{}", reference.repository().familiar(), tag.as_str()),
            None => reference.repository().familiar(),
        },
        Err(_) => container.image.clone(),
    }
}

fn volume_row(volume: &VolumeUsage) -> Value {
    let data = volume.usage_data.as_ref();
    let unknown = || "N/A".to_owned();
    let labels: Vec<String> =
        volume.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let fields = [
        ("Name", volume.name.clone()),
        ("Driver", volume.driver.clone()),
        ("Scope", volume.scope.clone()),
        ("Mountpoint", volume.mountpoint.clone()),
        ("Labels", labels.join(",")),
        ("Links", data.map_or_else(unknown, |data| data.ref_count.to_string())),
        ("Size", data.map_or_else(unknown, |data| human_size(data.size, PROGRESS_DIGITS))),
        ("Group", unknown()),
        ("Availability", unknown()),
        ("Status", unknown()),
    ];
    row("*formatter.volumeContext", fields)
}

fn cache_row(record: &CacheRecord, short: bool, now: Timestamp) -> Value {
    let id = if short { short_id(&record.id) } else { record.id.clone() };
    let since = |moment: Option<Timestamp>| {
        moment.map(|moment| ago(moment.as_second(), now)).unwrap_or_default()
    };
    let fields = [
        ("ID", if record.in_use { id + "*" } else { id }),
        ("CacheType", record.kind.clone()),
        ("Description", record.description.clone()),
        ("Size", human_size(record.size, LIST_DIGITS)),
        ("CreatedAt", record.created_at.clone()),
        ("CreatedSince", since(record.created_at.parse().ok())),
        ("LastUsedAt", record.last_used_at.clone().unwrap_or_default()),
        ("LastUsedSince", since(last_used(record))),
        ("UsageCount", record.usage_count.to_string()),
        ("InUse", record.in_use.to_string()),
        ("Shared", record.shared.to_string()),
    ];
    row("*formatter.buildCacheContext", fields)
}

fn last_used(record: &CacheRecord) -> Option<Timestamp> {
    record.last_used_at.as_deref().and_then(|moment| moment.parse().ok())
}
