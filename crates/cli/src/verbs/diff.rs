//! `longshore image diff`

use api::Query;
use api::diff::{DiffChange, DiffLayer, DiffSum, DiffSummary, DiffTotals};
use go_template::{Execution, Field, Listing, Marshal, Structure, Template, Value};
use serde_json::Value as Json;
use spec::go::{LIST_DIGITS, human_size};

use crate::cells::{ellipsis, row, short_id};
use crate::client::Call;
use crate::error::CliError;
use crate::output;
use crate::session::Session;

const LAYERS: &str =
    "table {{.Layer}}\t{{.DiffID}}\t{{.Added}}\t{{.Changed}}\t{{.Removed}}\t{{.CreatedBy}}";
const HEADERS: [(&str, &str); 6] = [
    ("Layer", "LAYER"),
    ("DiffID", "DIFF ID"),
    ("Added", "ADDED"),
    ("Changed", "CHANGED"),
    ("Removed", "REMOVED"),
    ("CreatedBy", "CREATED BY"),
];
const FILES_HEADER: &str = "CHANGE  LAYER  SIZE       PATH\n";
/// Columns of a terminal for a command that is not shown in full.
const COMMAND_WIDTH: usize = 45;

/// Show which files differ between two images, or what each layer of one changes
///
/// Of two images, FROM and IMAGE, the files are shown that IMAGE has more (A), has otherwise (C) and has no more (D), each with the
/// layer of IMAGE that brought the change. Of one image the changes of each layer are shown, the bottom one first. Nothing is unpacked.
/// In a template a file has .Change, .Path, .Type, .Size, .SizeBefore, .Layer and .Differs.
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore image diff [OPTIONS] [FROM] IMAGE")]
pub(crate) struct Arguments {
    /// Format output using a custom template: 'json' or 'TEMPLATE' (a Go template); with --layers also 'table TEMPLATE'
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Show the sums of each layer instead of files
    #[arg(long)]
    layers: bool,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    #[arg(hide = true, required = true, num_args = 1..=2, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Shows what differs.
pub(crate) async fn run(arguments: Arguments, session: &Session) -> Result<(), CliError> {
    let mut images = arguments.images.iter();
    let (first, second) = (images.next().map_or("", String::as_str), images.next());
    let query = match second {
        Some(second) => Query::new().with("from", first).with("to", second),
        None => Query::new().with("to", first),
    };
    let template = match arguments.format.as_deref().unwrap_or_default() {
        "" => None,
        "json" => Some("{{json .}}"),
        text => Some(text),
    };
    let template = template.filter(|_| !arguments.layers).map(Template::parse).transpose()?;
    if let Some(template) = &template {
        // Its mistakes are found before the work.
        template.execute(&fields(&DiffChange::default()), Execution::Values)?;
    }
    let answer = session.client.get("/longshore/diff", Call::query(query)).await;
    let mut lines = answer
        .map_err(|error| {
            let instead = "use `longshore --data-root DIR image diff`";
            error.of_another_daemon("compare images", instead)
        })?
        .messages::<Json>();
    let summary: DiffSummary = match lines.next().await? {
        Some(line) => serde_json::from_value(line).map_err(CliError::AnswerJson)?,
        None => return Err(CliError::Stream("the answer ended without a summary".to_owned())),
    };
    if arguments.layers {
        output::print(&layers(&arguments, &summary)?)?;
        return if arguments.format.is_none() {
            output::print(&totals(&summary.totals))
        } else {
            Ok(())
        };
    }
    let mut is_first = true;
    while let Some(line) = lines.next().await? {
        let change: DiffChange = serde_json::from_value(line).map_err(CliError::AnswerJson)?;
        if let Some(template) = &template {
            output::print_line(&template.execute(&fields(&change), Execution::Values)?)?;
            continue;
        }
        if std::mem::take(&mut is_first) {
            output::print(FILES_HEADER)?;
        }
        output::print(&text(&change))?;
    }
    if is_first || template.is_some() { Ok(()) } else { output::print(&totals(&summary.totals)) }
}

/// Returns a file as a template's fields.
fn fields(change: &DiffChange) -> Value {
    let text = |text: &str| Value::Text(text.to_owned());
    let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let fields = vec![
        Field::new("Change", text(&change.change)),
        Field::new("Path", text(&change.path)),
        Field::new("Type", text(&change.kind)),
        Field::new("Size", number(change.size)),
        Field::new("SizeBefore", number(change.size_before)),
        Field::new("Layer", number(change.layer as u64)),
        Field::new(
            "Differs",
            Value::List(Some(change.differs.iter().map(|word| text(word)).collect())),
        ),
    ];
    Value::Structure(Structure {
        type_name: "image.Change",
        fields: fields.into(),
        marshal: Marshal::Fields,
    })
}

/// Returns a file's line.
fn text(change: &DiffChange) -> String {
    let size = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let (before, after) = (size(change.size_before), size(change.size));
    let size = match &*change.change {
        "A" => human_size(after, LIST_DIGITS),
        "D" => signed(-before),
        _ => signed(after - before),
    };
    let layer = if change.layer == 0 { "-".to_owned() } else { change.layer.to_string() };
    let slash = if change.kind == "directory" && change.path != "/" { "/" } else { "" };
    let differs = match &*change.differs {
        [] => String::new(),
        words => format!(" ({})", words.join(", ")),
    };
    format!("{:<6}  {layer:<5}  {size:<9}  {}{slash}{differs}\n", change.change, change.path)
}

/// Returns the sums of each layer.
fn layers(arguments: &Arguments, summary: &DiffSummary) -> Result<String, CliError> {
    let format = match arguments.format.as_deref().unwrap_or_default() {
        "" | "table" => LAYERS,
        format => format,
    };
    let cells = |layer: &DiffLayer| {
        let created_by = layer.created_by.replace(['\t', '\n'], " ");
        let whole = arguments.no_trunc;
        let fields = [
            ("Layer", layer.number.to_string()),
            ("DiffID", if whole { layer.diff_id.clone() } else { short_id(&layer.diff_id) }),
            ("Added", sum(layer.totals.added, human)),
            ("Changed", sum(layer.totals.changed, signed)),
            ("Removed", sum(layer.totals.removed, |bytes| signed(-bytes))),
            ("CreatedBy", if whole { created_by } else { ellipsis(&created_by, COMMAND_WIDTH) }),
        ];
        row("image.Layer", fields)
    };
    let rows: Vec<Value> = summary.layers.iter().filter(|layer| !layer.shared).map(cells).collect();
    Ok(Listing { format, headers: &HEADERS }.render(&rows)?)
}

fn totals(totals: &DiffTotals) -> String {
    format!(
        "{} added, {} changed, {} removed\n",
        sum(totals.added, human),
        sum(totals.changed, signed),
        sum(totals.removed, |bytes| signed(-bytes))
    )
}

fn sum(sum: DiffSum, size: impl Fn(i64) -> String) -> String {
    if sum.files == 0 { "0".to_owned() } else { format!("{} ({})", sum.files, size(sum.bytes)) }
}

fn human(bytes: i64) -> String {
    human_size(bytes, LIST_DIGITS)
}

fn signed(bytes: i64) -> String {
    match bytes {
        0 => "0B".to_owned(),
        1.. => format!("+{}", human(bytes)),
        _ => format!("-{}", human(bytes.saturating_neg())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_lines() {
        let change = |change: &str, kind: &str, size, size_before, layer| DiffChange {
            change: change.to_owned(),
            path: "/a b".to_owned(),
            kind: kind.to_owned(),
            size,
            size_before,
            layer,
            differs: if change == "C" {
                vec!["content".to_owned(), "mode".to_owned()]
            } else {
                Vec::new()
            },
        };
        for (change, expected) in [
            (change("A", "file", 1234, 0, 3), "A       3      1.23kB     /a b\n"),
            (change("A", "directory", 0, 0, 3), "A       3      0B         /a b/\n"),
            (
                change("C", "file", 1234, 1250, 12),
                "C       12     -16B       /a b (content, mode)\n",
            ),
            (
                change("C", "file", 1250, 1234, 12),
                "C       12     +16B       /a b (content, mode)\n",
            ),
            (change("D", "file", 0, 5_000_000, 0), "D       -      -5MB       /a b\n"),
        ] {
            assert_eq!(text(&change), expected);
        }
    }

    #[test]
    fn sums_are_told() {
        let all = |added, changed, removed| {
            let sum = |(files, bytes)| DiffSum { files, bytes };
            totals(&DiffTotals { added: sum(added), changed: sum(changed), removed: sum(removed) })
        };
        assert_eq!(all((0, 0), (0, 0), (0, 0)), "0 added, 0 changed, 0 removed\n");
        assert_eq!(
            all((2, 1500), (1, -20), (3, 7)),
            "2 (1.5kB) added, 1 (-20B) changed, 3 (-7B) removed\n"
        );
    }
}
