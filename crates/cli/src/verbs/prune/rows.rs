//! The images that a prune takes, as a list and as a question.

use api::prune::{PruneOutcome, PrunedImage};
use go_template::{Listing, Value};
use jiff::Timestamp;
use spec::go::{PROGRESS_DIGITS, human_bytes};

use crate::cells::{ago, row, short_id};
use crate::error::CliError;
use crate::verbs::images::NONE;

const TABLE: &str =
    "table {{.Type}}\t{{.ID}}\t{{.Names}}\t{{.LastUsedSince}}\t{{.Size}}\t{{.Reason}}";
const HEADERS: [(&str, &str); 8] = [
    ("Type", "GOES"),
    ("ID", "IMAGE ID"),
    ("Names", "NAMES"),
    ("LastUsed", "LAST USED AT"),
    ("LastUsedSince", "LAST USED"),
    ("Size", "FREES"),
    ("Bytes", "BYTES"),
    ("Reason", "BECAUSE"),
];
/// Lines of a question: more than these nobody reads.
const MAX_ASKED: usize = 12;

/// Says whether nothing goes.
pub(super) fn is_empty(outcome: &PruneOutcome) -> bool {
    outcome.images.is_empty() && outcome.partial_downloads == 0
}

/// Returns a row for each image, and one for partial downloads; below a table the sum, and what stays because it is in use.
pub(super) fn text(
    format: &str,
    outcome: &PruneOutcome,
    now: Timestamp,
) -> Result<String, CliError> {
    let mut rows: Vec<Value> = outcome.images.iter().map(|image| of_image(image, now)).collect();
    if outcome.partial_downloads > 0 {
        rows.push(downloads(outcome.partial_downloads));
    }
    let is_table = format == "table";
    let format = if is_table { TABLE } else { format };
    let list = Listing { format, headers: &HEADERS }.render(&rows)?;
    if !is_table {
        return Ok(list);
    }
    let would = if outcome.dry_run { "Would reclaim" } else { "Reclaimed" };
    let (freed, left) = (bytes(outcome.space_reclaimed), bytes(outcome.space_left));
    let sum = format!("\n{would}: {freed}; left: {left}\n");
    let in_use = outcome.in_use.iter().map(|image| {
        format!("In use, and stays: {} ({})\n", names(&image.names, &image.id), image.user)
    });
    Ok([list, sum].into_iter().chain(in_use).collect())
}

/// Returns what the user is asked to agree to.
pub(super) fn warning(outcome: &PruneOutcome) -> String {
    let warning = format!("WARNING! This will free {}:\n", bytes(outcome.space_reclaimed));
    let images = outcome.images.iter().take(MAX_ASKED).map(|image| {
        let what = if image.deleted { "image" } else { "only the name" };
        let names = names(&image.names, &image.id);
        format!("  {what} {names}: {}\n", image.reasons.join(", "))
    });
    let more = outcome.images.len().saturating_sub(MAX_ASKED);
    let more = (more > 0).then(|| format!("  and {more} more, which --dry-run lists\n"));
    let downloads = outcome.partial_downloads;
    let downloads =
        (downloads > 0).then(|| format!("  {} of partial downloads\n", bytes(downloads)));
    [warning].into_iter().chain(images).chain(more).chain(downloads).collect()
}

fn of_image(image: &PrunedImage, now: Timestamp) -> Value {
    let last_used: Option<Timestamp> = image.last_used.parse().ok();
    let since = last_used.map(|last| ago(last.as_second(), now)).unwrap_or_default();
    let fields = [
        ("Type", if image.deleted { "image" } else { "name" }.to_owned()),
        ("ID", short_id(&image.id)),
        ("Names", if image.names.is_empty() { NONE.to_owned() } else { image.names.join(",") }),
        ("LastUsed", image.last_used.clone()),
        ("LastUsedSince", since),
        ("Size", bytes(image.space_reclaimed)),
        ("Bytes", image.space_reclaimed.to_string()),
        ("Reason", image.reasons.join(", ")),
    ];
    row("*formatter.pruneContext", fields)
}

fn downloads(size: u64) -> Value {
    let fields = [
        ("Type", "downloads".to_owned()),
        ("ID", NONE.to_owned()),
        ("Names", NONE.to_owned()),
        ("LastUsed", String::new()),
        ("LastUsedSince", String::new()),
        ("Size", bytes(size)),
        ("Bytes", size.to_string()),
        ("Reason", "nobody works on them".to_owned()),
    ];
    row("*formatter.pruneContext", fields)
}

/// Returns how an image is called: by its names, or else its ID.
fn names(names: &[String], id: &str) -> String {
    if names.is_empty() { short_id(id) } else { names.join(", ") }
}

/// Returns bytes as Docker shows them.
pub(super) fn bytes(bytes: u64) -> String {
    human_bytes(bytes, PROGRESS_DIGITS)
}

#[cfg(test)]
mod tests {
    use api::prune::ImageInUse;

    use super::*;

    fn outcome() -> PruneOutcome {
        let id = |digit: &str| format!("sha256:{}", digit.repeat(64));
        PruneOutcome {
            dry_run: true,
            images: vec![
                PrunedImage {
                    id: id("a"),
                    names: vec!["app:1".to_owned(), "app:old".to_owned()],
                    deleted: true,
                    last_used: "2023-11-14T22:13:20Z".to_owned(),
                    space_reclaimed: 1_982_581,
                    reasons: vec!["it was not used for 5 weeks".to_owned()],
                },
                PrunedImage {
                    id: id("b"),
                    names: vec!["db:1".to_owned()],
                    ..PrunedImage::default()
                },
            ],
            in_use: vec![ImageInUse {
                id: id("c"),
                names: vec![],
                user: "mounted on /m".to_owned(),
            }],
            images_deleted: None,
            partial_downloads: 8192,
            space_reclaimed: 1_990_773,
            space_left: 70,
        }
    }

    #[test]
    fn what_goes_is_listed_with_its_reasons() {
        let now = Timestamp::from_second(1_700_000_070).unwrap();
        let table = text("table", &outcome(), now).unwrap();
        let expected = "\
GOES        IMAGE ID       NAMES           LAST USED            FREES     BECAUSE
image       aaaaaaaaaaaa   app:1,app:old   About a minute ago   1.983MB   it was not used for 5 weeks
name        bbbbbbbbbbbb   db:1                                 0B        \n\
downloads   <none>         <none>                               8.192kB   nobody works on them

Would reclaim: 1.991MB; left: 70B
In use, and stays: cccccccccccc (mounted on /m)
";
        assert_eq!(table, expected);
        let names = text("{{.Type}} {{.Names}} {{.Bytes}}", &outcome(), now).unwrap();
        assert_eq!(names, "image app:1,app:old 1982581\nname db:1 0\ndownloads <none> 8192\n");
        let json = text("json", &outcome(), now).unwrap();
        let first: serde_json::Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
        assert_eq!(
            (&first["Bytes"], &first["LastUsed"]),
            (&"1982581".into(), &"2023-11-14T22:13:20Z".into())
        );
    }

    #[test]
    fn a_question_names_what_goes() {
        let mut outcome = outcome();
        let asked = warning(&outcome);
        let expected = "\
WARNING! This will free 1.991MB:
  image app:1, app:old: it was not used for 5 weeks
  only the name db:1: \n  8.192kB of partial downloads
";
        assert_eq!(asked, expected);
        outcome.images = vec![outcome.images[0].clone(); 20];
        assert!(warning(&outcome).contains("and 8 more, which --dry-run lists"));
        assert!(is_empty(&PruneOutcome::default()) && !is_empty(&outcome));
    }
}
