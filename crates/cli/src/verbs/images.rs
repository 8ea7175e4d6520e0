//! `longshore images`

mod tree;

use api::image::ImageSummary;
use api::{ApiVersion, Filters, Query};
use go_template::{Lines, Listing, TemplateError, Value};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use spec::Reference;
use spec::go::{LIST_DIGITS, PROGRESS_DIGITS, human_size};

use crate::cells::{ago, local_time, row, short_id};
use crate::client::Call;
use crate::error::CliError;
use crate::session::Session;
use crate::{output, terminal};

const TABLE: &str = "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}";
const DIGESTS_TABLE: &str = "table {{.Repository}}\t{{.Tag}}\t{{.Digest}}\t{{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}";
pub(super) const HEADERS: [(&str, &str); 11] = [
    ("ID", "IMAGE ID"),
    ("Repository", "REPOSITORY"),
    ("Tag", "TAG"),
    ("Digest", "DIGEST"),
    ("CreatedSince", "CREATED"),
    ("CreatedAt", "CREATED AT"),
    ("Size", "SIZE"),
    ("Containers", "CONTAINERS"),
    ("VirtualSize", "SIZE"),
    ("SharedSize", "SHARED SIZE"),
    ("UniqueSize", "UNIQUE SIZE"),
];
/// The version of the API since which a list tells the platforms of an image.
const TREE_VERSION: ApiVersion = ApiVersion::new(1, 47);
/// The text in the place of a repository, tag or digest that is not there.
pub(super) const NONE: &str = "<none>";
/// The verbs of `image` that a user may have meant by `images VERB`.
const IMAGE_VERBS: [&str; 13] = [
    "build", "history", "import", "inspect", "list", "load", "ls", "prune", "pull", "push", "rm",
    "save", "tag",
];

/// List images
#[derive(Debug, clap::Args)]
#[command(override_usage = "longshore images [OPTIONS] [REPOSITORY[:TAG]]")]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Arguments {
    /// Show all images (default hides intermediate images)
    #[arg(short = 'a', long)]
    all: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Filter output based on conditions provided
    #[arg(short = 'f', long, value_name = "filter", value_parser = parse_filter)]
    filter: Vec<(String, String)>,
    /// Format output using a custom template: 'table', 'table TEMPLATE', 'json' or 'TEMPLATE' (a Go template)
    #[arg(long, value_name = "string")]
    format: Option<String>,
    /// Don't truncate output
    #[arg(long)]
    no_trunc: bool,
    /// Only show image IDs
    #[arg(short = 'q', long)]
    quiet: bool,
    /// List multi-platform images as a tree (EXPERIMENTAL)
    #[arg(long)]
    tree: Option<bool>,
    #[arg(hide = true, value_name = "REPOSITORY")]
    name: Option<String>,
}

/// Reads `name=value`; names are not told apart by case, nor by spaces around them. An empty text asks for nothing.
pub(super) fn parse_filter(text: &str) -> Result<(String, String), String> {
    if text.is_empty() {
        return Ok((String::new(), String::new()));
    }
    let (name, value) = text.split_once('=').ok_or("bad format of filter (expected name=value)")?;
    Ok((name.trim().to_lowercase(), value.trim().to_owned()))
}

/// Returns those filters that ask for something.
pub(super) fn asking(filters: &[(String, String)]) -> impl Iterator<Item = &(String, String)> {
    filters.iter().filter(|(name, value)| !(name.is_empty() && value.is_empty()))
}

/// The name that the verb was called by: the older one is helpful about mistaken arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CalledAs {
    /// `longshore images`
    Images,
    /// `longshore image ls`
    ImageLs,
}

/// Lists images.
pub(crate) async fn run(
    arguments: Arguments,
    called_as: CalledAs,
    session: &Session,
) -> Result<(), CliError> {
    let mut filters = Filters::default();
    for (name, value) in asking(&arguments.filter) {
        filters.add(name, value);
    }
    if let Some(name) = arguments.name.as_ref().filter(|name| !name.is_empty()) {
        filters.add("reference", name);
    }
    let mut query = Query::new();
    if arguments.all {
        query.add("all", "1");
    }
    if let Some(filters) = filters.encode() {
        query.add("filters", filters);
    }
    if arguments.tree.is_some() {
        // Asked for also where the flag says that there is to be none, as by docker.
        session.client.require("--tree", TREE_VERSION).await?;
    }
    if arguments.tree == Some(true) {
        return show_tree(&arguments, query, session).await;
    }
    let answer = session.client.get("/images/json", Call::query(query)).await?;
    let configured = session.credentials_to_read().file().images_format().map(str::to_owned);
    let now = Timestamp::now();
    let mut table = Table::begin(&arguments, configured.as_deref(), now, TimeZone::system);
    let mut is_empty = true;
    let taken = answer.each(|image| {
        is_empty = false;
        table.add(&image);
    });
    taken.await?;
    output::print(&table.finish()?)?;
    if let Some(name) = &arguments.name
        && is_empty
        && called_as == CalledAs::Images
        && IMAGE_VERBS.contains(&name.as_str())
    {
        output::warn(&format!(
            "\nNo images found matching {name:?}: did you mean \"longshore image {name}\"?\n"
        ));
    }
    Ok(())
}

/// Shows images with their platforms, if nothing else is asked for that a tree has no place for.
async fn show_tree(
    arguments: &Arguments,
    mut query: Query,
    session: &Session,
) -> Result<(), CliError> {
    let format = arguments.format.as_deref().unwrap_or_default();
    for (is_given, flag) in [
        (arguments.quiet, "--quiet"),
        (arguments.no_trunc, "--no-trunc"),
        (arguments.digests, "--show-digest"),
        (!format.is_empty(), "--format"),
    ] {
        if is_given {
            return Err(CliError::Refused(format!("{flag} is not yet supported with --tree")));
        }
    }
    query.add("manifests", "1");
    let images = session.client.get("/images/json", Call::query(query)).await?.json().await?;
    let is_terminal = terminal::writes_terminal();
    let plain = session.environment.no_color;
    let canvas = tree::Canvas {
        width: terminal::width().filter(|_| is_terminal),
        colours: is_terminal && !plain,
        plain,
    };
    output::print_drawn(&tree::text(images, arguments.all, canvas))
}

/// A list that is being made.
struct Table {
    list: List,
    /// The lines so far, or why there are none.
    lines: Result<Lines, TemplateError>,
}

impl Table {
    /// Begins a list; `configured` is the format that the user's configuration has.
    fn begin(
        arguments: &Arguments,
        configured: Option<&str>,
        now: Timestamp,
        zone: fn() -> TimeZone,
    ) -> Table {
        let given = arguments.format.as_deref().filter(|format| !format.is_empty());
        let format = given.or(configured.filter(|_| !arguments.quiet)).unwrap_or("table");
        let format = template(format, arguments.quiet, arguments.digests);
        let listing = Listing { format: &format, headers: &HEADERS };
        let fields: Vec<_> = fields().filter(|field| listing.shows(field)).collect();
        let list = List {
            now,
            // To look it up takes longer than most lists.
            zone: if fields.contains(&"CreatedAt") { zone() } else { TimeZone::UTC },
            full_ids: arguments.no_trunc,
            digest_rows: arguments.digests,
            split_by_digest: arguments.digests || format.contains("{{.Digest}}"),
            fields,
        };
        Table { list, lines: listing.begin() }
    }

    /// Adds the rows of an image.
    fn add(&mut self, image: &ImageSummary) {
        for row in self.list.rows(image) {
            if let Ok(lines) = &mut self.lines
                && let Err(error) = lines.push(&row)
            {
                self.lines = Err(error);
            }
        }
    }

    /// Returns the text.
    fn finish(self) -> Result<String, CliError> {
        Ok(self.lines?.finish())
    }
}

/// Returns the template for what `--format`, `--quiet` and `--digests` say.
fn template(format: &str, quiet: bool, digests: bool) -> String {
    match (format, quiet, digests) {
        ("table", true, _) => "{{.ID}}".to_owned(),
        ("table", false, true) => DIGESTS_TABLE.to_owned(),
        ("table", false, false) => TABLE.to_owned(),
        ("raw", true, _) => "image_id: {{.ID}}".to_owned(),
        ("raw", false, _) => {
            let digest = if digests { "digest: {{.Digest}}\n" } else { "" };
            format!(
                "repository: {{{{ .Repository }}}}\ntag: {{{{.Tag}}}}\n{digest}image_id: {{{{.ID}}}}\n\
                 created_at: {{{{.CreatedAt}}}}\nvirtual_size: {{{{.Size}}}}\n"
            )
        }
        _ if format.starts_with("table") && digests && !format.contains("{{.Digest}}") => {
            format!("{format}\t{{{{.Digest}}}}")
        }
        _ => format.to_owned(),
    }
}

/// Makes rows of images.
#[derive(Debug)]
pub(super) struct List {
    pub(super) now: Timestamp,
    pub(super) zone: TimeZone,
    pub(super) full_ids: bool,
    /// True if each digest without a tag has a row.
    pub(super) digest_rows: bool,
    /// True if a tag has a row for each digest.
    pub(super) split_by_digest: bool,
    /// The fields that rows have: of [`fields`] those that are shown.
    pub(super) fields: Vec<&'static str>,
}

/// Returns the names of all fields that a row can have.
pub(super) fn fields() -> impl Iterator<Item = &'static str> {
    HEADERS.iter().map(|(field, _)| *field)
}

impl List {
    /// Returns the rows of an image: one a tag, or one a tag and digest, and one a repository that has digests only.
    fn rows(&self, image: &ImageSummary) -> Vec<Value> {
        if is_dangling(image) {
            return vec![self.row(image, NONE, NONE, NONE)];
        }
        let tags = by_repository(&image.repo_tags, |reference| {
            reference.tag().map(|tag| tag.as_str().to_owned())
        });
        let digests = by_repository(&image.repo_digests, |reference| {
            reference.digest().map(ToString::to_string)
        });
        let mut rows = Vec::new();
        for (repository, tags) in &tags {
            let split = digests.iter().find(|(name, _)| self.split_by_digest && name == repository);
            for tag in tags {
                match split {
                    Some((_, digests)) => {
                        rows.extend(
                            digests.iter().map(|digest| self.row(image, repository, tag, digest)),
                        );
                    }
                    None => rows.push(self.row(image, repository, tag, NONE)),
                }
            }
        }
        for (repository, digests) in &digests {
            if tags.iter().any(|(tagged, _)| tagged == repository) {
                continue;
            }
            if self.digest_rows {
                rows.extend(digests.iter().map(|digest| self.row(image, repository, NONE, digest)));
            } else {
                rows.push(self.row(image, repository, NONE, ""));
            }
        }
        rows
    }

    pub(super) fn row(
        &self,
        image: &ImageSummary,
        repository: &str,
        tag: &str,
        digest: &str,
    ) -> Value {
        let signed = |size: u64| i64::try_from(size).unwrap_or(i64::MAX);
        let size = signed(image.size);
        let shared = image.shared_size.map(signed);
        let long = |size: i64| human_size(size, PROGRESS_DIGITS);
        let not_counted = || "N/A".to_owned();
        let text = |field| match field {
            "ID" if self.full_ids => image.id.clone(),
            "ID" => short_id(&image.id),
            "Repository" => repository.to_owned(),
            "Tag" => tag.to_owned(),
            "Digest" => digest.to_owned(),
            "CreatedSince" => self.created_since(image.created),
            "CreatedAt" => self.created_at(image.created),
            "Size" => human_size(size, LIST_DIGITS),
            "Containers" => image.containers.map_or_else(not_counted, |count| count.to_string()),
            "VirtualSize" => long(size),
            "SharedSize" => shared.map_or_else(not_counted, long),
            // The last of them is `UniqueSize`.
            _ => shared.map_or_else(not_counted, |shared| long(size - shared)),
        };
        row("*formatter.imageContext", self.fields.iter().map(|field| (*field, text(*field))))
    }

    fn created_since(&self, created: i64) -> String {
        // The time that Go takes for none: the first second of the year 1.
        if created == -62_135_596_800 {
            return String::new();
        }
        ago(created, self.now)
    }

    fn created_at(&self, created: i64) -> String {
        local_time(created, &self.zone)
    }
}

/// Groups references by repository, in the order of the first of each.
fn by_repository(
    references: &[String],
    part: impl Fn(&Reference) -> Option<String>,
) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for text in references {
        let Ok(reference) = Reference::parse_familiar(text) else { continue };
        let Some(part) = part(&reference) else { continue };
        let name = reference.repository().familiar();
        match groups.iter_mut().find(|(known, _)| *known == name) {
            Some((_, parts)) => parts.push(part),
            None => groups.push((name, vec![part])),
        }
    }
    groups
}

/// Returns whether an image has no name; old daemons give it one of `<none>`s.
pub(super) fn is_dangling(image: &ImageSummary) -> bool {
    let nothing = image.repo_tags.is_empty() && image.repo_digests.is_empty();
    nothing || (image.repo_tags == ["<none>:<none>"] && image.repo_digests == ["<none>@<none>"])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Three years after the images of the list were made.
    const NOW: i64 = 1_700_000_000 + 3 * 365 * 24 * 3600 + 7 * 3600;

    fn images() -> Vec<ImageSummary> {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        serde_json::from_value(json!([
            {
                "Containers": -1, "Created": 1_700_000_000, "Id": digest("a"), "ParentId": "", "SharedSize": -1,
                "Size": 1_982_581, "Labels": null,
                "RepoDigests": [format!("r.example:5000/x/y@{}", digest("1")), format!("busybox@{}", digest("2"))],
                "RepoTags": ["r.example:5000/x/y:1.36", "busybox:1.36", "busybox:latest", "my/bb:one"],
            },
            {
                "Containers": 2, "Created": NOW - 90, "Id": digest("b"), "SharedSize": 5, "Size": 18,
                "RepoDigests": [format!("only@{}", digest("3")), format!("only@{}", digest("4"))], "RepoTags": null,
            },
            { "Created": NOW, "Id": digest("c"), "Size": 0, "RepoDigests": [], "RepoTags": [] },
            {
                "Created": -62_135_596_800_i64, "Id": digest("d"), "Size": 0,
                "RepoDigests": ["<none>@<none>"], "RepoTags": ["<none>:<none>"],
            },
        ]))
        .unwrap()
    }

    fn list(flags: &[&str], configured: Option<&str>) -> String {
        let line = flags.iter();
        let arguments: Arguments = crate::pflag::verb(line);
        let now = Timestamp::from_second(NOW).unwrap();
        let mut table = Table::begin(&arguments, configured, now, || TimeZone::UTC);
        for image in images() {
            table.add(&image);
        }
        table.finish().unwrap()
    }

    #[test]
    fn the_table_is_dockers() {
        let expected = "\
REPOSITORY           TAG       IMAGE ID       CREATED                  SIZE
r.example:5000/x/y   1.36      aaaaaaaaaaaa   3 years ago              1.98MB
busybox              1.36      aaaaaaaaaaaa   3 years ago              1.98MB
busybox              latest    aaaaaaaaaaaa   3 years ago              1.98MB
my/bb                one       aaaaaaaaaaaa   3 years ago              1.98MB
only                 <none>    bbbbbbbbbbbb   About a minute ago       18B
<none>               <none>    cccccccccccc   Less than a second ago   0B
<none>               <none>    dddddddddddd   N/A                      0B
";
        assert_eq!(list(&[], None), expected);
    }

    #[test]
    fn digests_have_their_own_rows() {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let rows = list(&["--digests", "--format", "{{.Repository}} {{.Tag}} {{.Digest}}"], None);
        let expected = format!(
            "r.example:5000/x/y 1.36 {one}\nbusybox 1.36 {two}\nbusybox latest {two}\nmy/bb one <none>\n\
             only <none> {three}\nonly <none> {four}\n<none> <none> <none>\n<none> <none> <none>\n",
            one = digest("1"),
            two = digest("2"),
            three = digest("3"),
            four = digest("4"),
        );
        assert_eq!(rows, expected);
        // Without the flag a template that shows digests splits tags, and shows a bare digest once and empty.
        let rows = list(&["--format", "{{.Tag}}={{.Digest}}"], None);
        assert!(
            rows.contains(&format!("latest={}\n", digest("2"))) && rows.contains("\n<none>=\n"),
            "{rows}"
        );
    }

    #[test]
    fn formats_are_chosen_as_docker_does() {
        let first = |text: String| text.lines().next().unwrap_or_default().to_owned();
        let full = format!("sha256:{}", "a".repeat(64));
        for (flags, configured, expected) in [
            (&["-q"][..], None, "aaaaaaaaaaaa"),
            (&["-q", "--no-trunc"], None, full.as_str()),
            (&[], Some("{{.Tag}}!"), "1.36!"),
            (&["-q"], Some("{{.Tag}}!"), "aaaaaaaaaaaa"),
            (&["--format", "{{.Size}} {{.VirtualSize}}"], Some("{{.Tag}}!"), "1.98MB 1.983MB"),
            (&["--format", "table {{.ID}}"], None, "IMAGE ID"),
            (&["--format", "table {{.ID}}", "--digests"], None, "IMAGE ID       DIGEST"),
            (&["--format", "raw"], None, "repository: r.example:5000/x/y"),
            (&["--format", "raw", "-q"], None, "image_id: aaaaaaaaaaaa"),
            (
                &["--format", "{{.CreatedAt}} {{.SharedSize}} {{.Containers}}"],
                None,
                "2023-11-14 22:13:20 +0000 UTC N/A N/A",
            ),
            (
                &["--format", "json"],
                None,
                r#"{"Containers":"N/A","CreatedAt":"2023-11-14 22:13:20 +0000 UTC","CreatedSince":"3 years ago","Digest":"\u003cnone\u003e","ID":"aaaaaaaaaaaa","Repository":"r.example:5000/x/y","SharedSize":"N/A","Size":"1.98MB","Tag":"1.36","UniqueSize":"N/A","VirtualSize":"1.983MB"}"#,
            ),
        ] {
            assert_eq!(first(list(flags, configured)), expected, "{flags:?}");
        }
        let sizes = list(&["--format", "{{.SharedSize}} {{.UniqueSize}} {{.Containers}}"], None);
        assert!(sizes.contains("\n5B 13B 2\n"), "{sizes}");
    }

    #[test]
    fn filters_are_names_and_values() {
        assert_eq!(parse_filter(" Label = a=b "), Ok(("label".to_owned(), "a=b".to_owned())));
        assert!(parse_filter("dangling").is_err());
    }
}
