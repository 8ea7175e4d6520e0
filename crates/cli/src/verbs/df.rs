//! `longshore system df`

mod rows;

use api::disk_usage::{DiskUsage, Share};
use go_template::{Execution, Field, Listing, Marshal, Structure, Template, Value};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use spec::go::{PROGRESS_DIGITS, human_size};

use crate::cells::row;
use crate::client::Call;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

const TABLE: &str = "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}";
const RAW: &str = "type: {{.Type}}\ntotal: {{.TotalCount}}\nactive: {{.Active}}\nsize: {{.Size}}\n\
                   reclaimable: {{.Reclaimable}}\n";
const HEADERS: [(&str, &str); 5] = [
    ("Type", "TYPE"),
    ("TotalCount", "TOTAL"),
    ("Active", "ACTIVE"),
    ("Size", "SIZE"),
    ("Reclaimable", "RECLAIMABLE"),
];
const STORE_TABLE: &str = "table {{.Type}}\t{{.Size}}\t{{.Reclaimable}}";
const STORE_HEADERS: [(&str, &str); 3] =
    [("Type", "STORE"), ("Size", "SIZE"), ("Reclaimable", "RECLAIMABLE")];
const IMAGE_TABLE: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}";
const CONTAINER_TABLE: &str = "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}";
const VOLUME_TABLE: &str = "table {{.Name}}\t{{.Links}}\t{{.Size}}";
const CACHE_TABLE: &str = "table {{.ID}}\t{{.CacheType}}\t{{.Size}}\t{{.CreatedSince}}\t{{.LastUsedSince}}\t{{.UsageCount}}\t{{.Shared}}";

/// Show docker disk usage
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore system df [OPTIONS]")]
pub(crate) struct Arguments {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE' (a Go template)
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show detailed information on space usage
    #[arg(short = 'v', long)]
    verbose: bool,
}

/// Shows what everything takes on the disk.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let usage: DiskUsage = session.client.get("/system/df", Call::default()).await?.json().await?;
    let format = match arguments.format.as_deref() {
        None | Some("") => "table",
        Some(format) => format,
    };
    let store = store(format, &usage)?;
    let text = if arguments.verbose {
        details(format, usage, Timestamp::now(), &TimeZone::system())?
    } else {
        sums(format, &usage)?
    };
    output::print(&(text + &store))
}

/// Returns a table of all that an engine of Longshore's keeps on the disk; nothing where Docker's own columns were asked for, or where
/// nothing is kept.
fn store(format: &str, usage: &DiskUsage) -> Result<String, CliError> {
    let Some(store) = usage.store.filter(|_| format == "table") else { return Ok(String::new()) };
    let parts = [store.layers, store.content, store.partial_downloads];
    let total = Share {
        size: parts.iter().map(|part| part.size).sum(),
        reclaimable: parts.iter().map(|part| part.reclaimable).sum(),
    };
    let line = |name: &str, share: Share| {
        let fields = [
            ("Type", name.to_owned()),
            ("Size", human_size(share.size, PROGRESS_DIGITS)),
            ("Reclaimable", part(share.reclaimable, share.size)),
        ];
        row("*formatter.storeContext", fields)
    };
    let rows = [
        line("Layers, unpacked", store.layers),
        line("Content, as it came", store.content),
        line("Partial downloads", store.partial_downloads),
        line("All on the disk", total),
    ];
    let table = Listing { format: STORE_TABLE, headers: &STORE_HEADERS }.render(&rows)?;
    let twice = human_size(store.kept_twice, PROGRESS_DIGITS);
    let both = match store.kept_twice {
        0 => String::new(),
        _ => format!("Both: {twice} of the content are layers that are there unpacked, too\n"),
    };
    Ok(format!("\n{table}{both}"))
}

/// Returns a line for each kind of objects.
fn sums(format: &str, usage: &DiskUsage) -> Result<String, CliError> {
    let format = match format {
        "table" => TABLE,
        "raw" => RAW,
        format => format,
    };
    let kinds = [images(usage), containers(usage), volumes(usage), build_cache(usage)];
    Ok(Listing { format, headers: &HEADERS }.render(&kinds)?)
}

/// Returns what Docker calls the type of a kind's row.
fn type_of(kind: &str) -> &'static str {
    match kind {
        "Images" => "*formatter.diskUsageImagesContext",
        "Containers" => "*formatter.diskUsageContainersContext",
        "Local Volumes" => "*formatter.diskUsageVolumesContext",
        _ => "*formatter.diskUsageBuilderContext",
    }
}

fn sum(kind: &str, count: usize, active: usize, size: i64, reclaimable: String) -> Value {
    let fields = [
        ("Type", kind.to_owned()),
        ("TotalCount", count.to_string()),
        ("Active", active.to_string()),
        ("Size", human_size(size, PROGRESS_DIGITS)),
        ("Reclaimable", reclaimable),
    ];
    row(type_of(kind), fields)
}

/// Returns how much of `total` can be had back, with its part in per cent unless that is nothing.
fn part(reclaimable: i64, total: i64) -> String {
    let size = human_size(reclaimable, PROGRESS_DIGITS);
    if total <= 0 {
        return size;
    }
    let percent = i128::from(reclaimable) * 100 / i128::from(total);
    format!("{size} ({percent}%)")
}

fn images(usage: &DiskUsage) -> Value {
    let images = usage.images.as_deref().unwrap_or_default();
    let active = images.iter().filter(|image| image.containers.is_some_and(|count| count > 0));
    // What nobody counted counts as used.
    let used = images.iter().filter(|image| image.containers != Some(0));
    let own =
        |size: u64, shared: u64| i64::try_from(size.saturating_sub(shared)).unwrap_or(i64::MAX);
    let used: i64 = used.filter_map(|image| Some(own(image.size, image.shared_size?))).sum();
    let total = usage.layers_size;
    sum("Images", images.len(), active.count(), total, part(total.saturating_sub(used), total))
}

fn containers(usage: &DiskUsage) -> Value {
    let containers = usage.containers.as_deref().unwrap_or_default();
    let (active, idle): (Vec<_>, Vec<_>) = containers.iter().partition(|container| {
        matches!(container.state.as_str(), "running" | "paused" | "restarting")
    });
    let total = containers.iter().map(|container| container.size_rw).sum();
    let reclaimable = idle.iter().map(|container| container.size_rw).sum();
    sum("Containers", containers.len(), active.len(), total, part(reclaimable, total))
}

fn volumes(usage: &DiskUsage) -> Value {
    let volumes = usage.volumes.as_deref().unwrap_or_default();
    let data: Vec<_> = volumes.iter().filter_map(|volume| volume.usage_data.as_ref()).collect();
    let known = || data.iter().filter(|data| data.size != -1);
    let active = data.iter().filter(|data| data.ref_count > 0).count();
    let total = known().map(|data| data.size).sum();
    let reclaimable = known().filter(|data| data.ref_count == 0).map(|data| data.size).sum();
    sum("Local Volumes", volumes.len(), active, total, part(reclaimable, total))
}

fn build_cache(usage: &DiskUsage) -> Value {
    let records = usage.build_cache.as_deref().unwrap_or_default();
    let total = cache_size(usage);
    let used: i64 = records
        .iter()
        .filter(|record| record.in_use && !record.shared)
        .map(|record| record.size)
        .sum();
    let active = records.iter().filter(|record| record.in_use).count();
    let reclaimable = human_size(total - used, PROGRESS_DIGITS);
    sum("Build Cache", records.len(), active, total, reclaimable)
}

/// Returns the bytes of the build cache that are not an image's, too.
fn cache_size(usage: &DiskUsage) -> i64 {
    let records = usage.build_cache.iter().flatten();
    records.filter(|record| !record.shared).map(|record| record.size).sum()
}

/// Returns a line for each object.
fn details(
    format: &str,
    usage: DiskUsage,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<String, CliError> {
    let cache_size = human_size(cache_size(&usage), PROGRESS_DIGITS);
    let rows = rows::all(usage, format.starts_with("table"), now, zone);
    if format != "table" {
        return template(format, rows);
    }
    let list = |format, headers, rows: &[Value]| Listing { format, headers }.render(rows);
    Ok(format!(
        "Images space usage:\n\n{}\nContainers space usage:\n\n{}\nLocal Volumes space usage:\n\n{}\n\
         Build cache usage: {cache_size}\n\n{}",
        list(IMAGE_TABLE, &super::images::HEADERS, &rows.images)?,
        list(CONTAINER_TABLE, &rows::CONTAINER_HEADERS, &rows.containers)?,
        list(VOLUME_TABLE, &rows::VOLUME_HEADERS, &rows.volumes)?,
        list(CACHE_TABLE, &rows::CACHE_HEADERS, &rows.build_cache)?,
    ))
}

/// Runs a template once over the rows of all kinds.
fn template(format: &str, rows: rows::Rows) -> Result<String, CliError> {
    let source = match format {
        "json" => "{{json .}}",
        "raw" => rows::RAW,
        format => format.strip_prefix("table").unwrap_or(format),
    };
    let source = source.trim_matches(' ').replace("\\t", "\t").replace("\\n", "\n");
    let list = |name, rows| Field::new(name, Value::List(Some(rows)));
    let all = Value::Structure(Structure {
        type_name: "*formatter.diskUsageContext",
        fields: vec![
            list("Images", rows.images),
            list("Containers", rows.containers),
            list("Volumes", rows.volumes),
            list("BuildCache", rows.build_cache),
        ]
        .into(),
        marshal: Marshal::Fields,
    });
    Ok(Template::parse(&source)?.execute(&all, Execution::Values)?)
}

#[cfg(test)]
mod tests {
    use api::disk_usage::StoreUsage;
    use serde_json::json;

    use super::*;

    fn usage() -> DiskUsage {
        let id = |digit: &str| format!("sha256:{}", digit.repeat(64));
        serde_json::from_value(json!({
            "LayersSize": 2_000_018,
            "Images": [
                { "Containers": 1, "Created": 1_700_000_000, "Id": id("a"), "SharedSize": 18, "Size": 1_000_018,
                  "RepoDigests": null, "RepoTags": ["r.example/x:1", "x:2"] },
                { "Containers": 0, "Created": 1_700_000_000, "Id": id("b"), "SharedSize": 18, "Size": 1_000_018,
                  "RepoDigests": [format!("x@{}", id("c"))], "RepoTags": null },
            ],
            "Containers": [
                { "Id": "d".repeat(64), "Names": ["/other/link", "/me"], "Image": "x:2", "ImageID": id("a"),
                  "Command": "sh -c 'sleep a long time'", "Created": 1_700_000_000, "SizeRw": 1234, "State": "running",
                  "Status": "Up 2 hours", "Mounts": [{"Driver": "local"}, {"Type": "bind"}] },
                { "Id": "e".repeat(64), "Names": ["/you"], "Image": id("b"), "ImageID": id("b"), "Command": "",
                  "Created": 1_700_000_000, "SizeRw": 766, "State": "exited", "Status": "Exited (0)" },
            ],
            "Volumes": [
                { "Name": "v", "Driver": "local", "UsageData": {"RefCount": 0, "Size": 50} },
                { "Name": "w", "Driver": "far", "UsageData": {"RefCount": 1, "Size": -1} },
            ],
            "BuildCache": [
                { "ID": "second", "Type": "regular", "Size": 10, "InUse": true, "CreatedAt": "2023-11-14T22:13:20Z",
                  "LastUsedAt": "2023-11-14T22:13:20Z", "UsageCount": 3 },
                { "ID": "first", "Type": "regular", "Size": 5, "Shared": true, "CreatedAt": "2023-11-14T22:13:20Z" },
            ],
        }))
        .unwrap()
    }

    #[test]
    fn sums_are_dockers() {
        let expected = "\
TYPE            TOTAL     ACTIVE    SIZE      RECLAIMABLE
Images          2         1         2MB       1MB (50%)
Containers      2         1         2kB       766B (38%)
Local Volumes   2         1         50B       50B (100%)
Build Cache     2         1         10B       0B
";
        assert_eq!(sums("table", &usage()).unwrap(), expected);
        let raw = sums("raw", &DiskUsage::default()).unwrap();
        assert!(
            raw.starts_with(
                "type: Images\ntotal: 0\nactive: 0\nsize: 0B\nreclaimable: 0B\n\ntype: Con"
            ),
            "{raw}"
        );
        let json = sums("json", &DiskUsage::default()).unwrap();
        let expected = "{\"Active\":\"0\",\"Reclaimable\":\"0B\",\"Size\":\"0B\",\"TotalCount\":\"0\",\"Type\":\"Images\"}\n";
        assert!(json.starts_with(expected), "{json}");
    }

    #[test]
    fn what_is_kept_is_told_beside_dockers_columns_and_not_among_them() {
        let share = |size, reclaimable| Share { size, reclaimable };
        let kept = StoreUsage {
            layers: share(3_000_000, 1_500_000),
            content: share(1_200_000, 600_000),
            kept_twice: 1_100_000,
            partial_downloads: share(0, 0),
        };
        let usage = DiskUsage { store: Some(kept), ..usage() };
        let expected = "
STORE                 SIZE      RECLAIMABLE
Layers, unpacked      3MB       1.5MB (50%)
Content, as it came   1.2MB     600kB (50%)
Partial downloads     0B        0B
All on the disk       4.2MB     2.1MB (50%)
Both: 1.1MB of the content are layers that are there unpacked, too
";
        assert_eq!(store("table", &usage).unwrap(), expected);
        for (format, usage) in [("raw", &usage), ("json", &usage), ("table", &self::usage())] {
            assert_eq!(store(format, usage).unwrap(), "");
        }
    }

    #[test]
    fn details_are_dockers() {
        let now = Timestamp::from_second(1_700_000_000 + 3 * 365 * 24 * 3600 + 7 * 3600).unwrap();
        let shown = |format: &str| details(format, usage(), now, &TimeZone::UTC).unwrap();
        let expected = "\
Images space usage:

REPOSITORY    TAG       IMAGE ID       CREATED       SIZE      SHARED SIZE   UNIQUE SIZE   CONTAINERS
r.example/x   1         aaaaaaaaaaaa   3 years ago   1MB       18B           1MB           1
<none>        <none>    bbbbbbbbbbbb   3 years ago   1MB       18B           1MB           0

Containers space usage:

CONTAINER ID   IMAGE          COMMAND                  LOCAL VOLUMES   SIZE      CREATED       STATUS       NAMES
dddddddddddd   x:2            \"sh -c 'sleep a long…\"   1               1.23kB    3 years ago   Up 2 hours   me
eeeeeeeeeeee   bbbbbbbbbbbb   \"\"                       0               766B      3 years ago   Exited (0)   you

Local Volumes space usage:

VOLUME NAME   LINKS     SIZE
v             0         50B
w             1         -1B

Build cache usage: 10B

CACHE ID   CACHE TYPE   SIZE      CREATED       LAST USED     USAGE     SHARED
first      regular      5B        3 years ago                 0         true
second*    regular      10B       3 years ago   3 years ago   3         false
";
        assert_eq!(shown("table"), expected);
        assert_eq!(shown("{{range .Images}}{{.Tag}};{{end}}{{len .Volumes}}"), "1;<none>;2");
        let json = shown("json");
        assert!(
            json.starts_with("{\"Images\":[{\"Containers\":\"1\",\"CreatedAt\":\"2023-"),
            "{json}"
        );
        assert!(
            shown("raw").contains("type: Volume\nname: v\ndriver: local\n\ntype: Volume"),
            "{}",
            shown("raw")
        );
    }
}
