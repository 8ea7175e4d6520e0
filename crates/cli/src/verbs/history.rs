//! `longshore history`

use api::image::HistoryItem;
use api::{ApiVersion, Query};
use go_template::{Listing, Value};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use spec::go::{LIST_DIGITS, human_size};

use super::parameters::platform_variant;
use crate::cells::{ago, ellipsis, rfc3339, row, short_id};
use crate::client::Call;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

/// The version of the API since which a history takes a platform.
const PLATFORM_VERSION: ApiVersion = ApiVersion::new(1, 48);
const TABLE: &str = "table {{.ID}}\t{{.CreatedSince}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const EXACT_TABLE: &str = "table {{.ID}}\t{{.CreatedAt}}\t{{.CreatedBy}}\t{{.Size}}\t{{.Comment}}";
const HEADERS: [(&str, &str); 6] = [
    ("ID", "IMAGE"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("CreatedBy", "CREATED BY"),
    ("Size", "SIZE"),
    ("Comment", "COMMENT"),
];
/// Columns of a terminal for a command that is not shown in full.
const COMMAND_WIDTH: usize = 45;
/// 2000-01-01: steps up to then have no believable date, and no age.
const EPOCH: i64 = 946_684_800;

/// Show the history of an image
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore history [OPTIONS] IMAGE")]
pub(crate) struct Arguments {
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE' (a Go template)
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Print sizes and dates in human readable format (default true)
    #[arg(short = 'H', long)]
    human: Option<bool>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Show history for the given platform. Formatted as "os[/arch[/variant]]" (e.g., "linux/amd64")
    #[arg(long, value_name = "string")]
    platform: Option<String>,
    /// Only show image IDs
    #[arg(short = 'q', long)]
    quiet: bool,
    #[arg(hide = true, required = true, value_name = "IMAGE")]
    image: String,
}

/// Shows the steps that made an image.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let mut query = Query::new();
    let platform = arguments.platform.as_deref();
    if let Some(platform) = platform_variant(platform, PLATFORM_VERSION, session).await? {
        query.add("platform", platform);
    }
    let path = format!("/images/{}/history", arguments.image);
    let steps: Vec<HistoryItem> =
        session.client.get(&path, Call::query(query)).await?.json().await?;
    output::print(&text(&arguments, &steps, Timestamp::now(), &TimeZone::system())?)
}

/// Returns the list as text.
fn text(
    arguments: &Arguments,
    steps: &[HistoryItem],
    now: Timestamp,
    zone: &TimeZone,
) -> Result<String, CliError> {
    let human = arguments.human.unwrap_or(true);
    let format = match arguments.format.as_deref().unwrap_or_default() {
        "" | "table" if arguments.quiet => "{{.ID}}",
        "" | "table" if human => TABLE,
        "" | "table" => EXACT_TABLE,
        format => format,
    };
    let cells = |step: &HistoryItem| -> Value {
        let created_at = rfc3339(step.created, zone);
        let created_since = match step.created {
            _ if !human => created_at.clone(),
            ..=EPOCH => "N/A".to_owned(),
            created => ago(created, now),
        };
        let created_by = step.created_by.replace('\t', " ");
        let fields = [
            ("ID", if arguments.no_trunc { step.id.clone() } else { short_id(&step.id) }),
            ("CreatedSince", created_since),
            ("CreatedAt", created_at),
            (
                "CreatedBy",
                if arguments.no_trunc { created_by } else { ellipsis(&created_by, COMMAND_WIDTH) },
            ),
            (
                "Size",
                if human { human_size(step.size, LIST_DIGITS) } else { step.size.to_string() },
            ),
            ("Comment", step.comment.clone()),
        ];
        row("*image.historyContext", fields)
    };
    let rows: Vec<Value> = steps.iter().map(cells).collect();
    Ok(Listing { format, headers: &HEADERS }.render(&rows)?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(flags: &[&str]) -> String {
        let steps: Vec<HistoryItem> = serde_json::from_value(json!([
            { "Comment": "a note", "Created": 1_700_000_000, "CreatedBy": "/bin/sh -c #(nop)  CMD [\"sh\"]",
              "Id": format!("sha256:{}", "a".repeat(64)), "Size": 0, "Tags": ["busybox:1.36"] },
            { "Comment": "", "Created": 0, "CreatedBy": format!("ADD\tfile:{} in / ", "8".repeat(60)),
              "Id": "<missing>", "Size": 1_982_581, "Tags": null },
        ]))
        .unwrap();
        let line = flags.iter().chain(&["x"]);
        let arguments: Arguments = crate::pflag::verb(line);
        let now = Timestamp::from_second(1_700_000_000 + 3 * 365 * 24 * 3600 + 7 * 3600).unwrap();
        text(&arguments, &steps, now, &TimeZone::UTC).unwrap()
    }

    #[test]
    fn the_table_is_dockers() {
        let expected = "\
IMAGE          CREATED       CREATED BY                                      SIZE      COMMENT
aaaaaaaaaaaa   3 years ago   /bin/sh -c #(nop)  CMD [\"sh\"]                   0B        a note
<missing>      N/A           ADD file:88888888888888888888888888888888888…   1.98MB    
";
        assert_eq!(shown(&[]), expected);
        assert_eq!(shown(&["-H", "--human=true", "--format", "table"]), expected);
        let expected = "\
IMAGE          CREATED AT             CREATED BY                                      SIZE      COMMENT
aaaaaaaaaaaa   2023-11-14T22:13:20Z   /bin/sh -c #(nop)  CMD [\"sh\"]                   0         a note
<missing>      1970-01-01T00:00:00Z   ADD file:88888888888888888888888888888888888…   1982581   
";
        assert_eq!(shown(&["-H=false"]), expected);
        assert_eq!(shown(&["-Hq"]), "aaaaaaaaaaaa\n<missing>\n");
        assert!(shown(&["-q", "--no-trunc"]).starts_with("sha256:aaaa"));
        assert_eq!(
            shown(&["--human=0", "--format", "{{.CreatedSince}} {{.Size}}"]),
            "2023-11-14T22:13:20Z 0\n1970-01-01T00:00:00Z 1982581\n"
        );
        let json = shown(&["--format", "json"]);
        let second = json.lines().nth(1).unwrap();
        let expected = "{\"Comment\":\"\",\"CreatedAt\":\"1970-01-01T00:00:00Z\",\"CreatedBy\":\"ADD file:\
                        88888888888888888888888888888888888…\",\"CreatedSince\":\"N/A\",\"ID\":\"\\u003cmissing\\u003e\",\
                        \"Size\":\"1.98MB\"}";
        assert_eq!(second, expected);
    }
}
