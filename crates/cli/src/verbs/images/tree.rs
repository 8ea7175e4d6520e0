//! `longshore images --tree`: images with the platforms of each below it.

use std::iter::repeat_n;

use serde::Deserialize;
use spec::go::{LIST_DIGITS, human_size};
use unicode_width::UnicodeWidthStr;

use crate::cells::short_id;
use crate::output::printable;

const WARNING: &str =
    "WARNING: This is an experimental feature. The output may change and shouldn't be depended on.";
/// Spaces between columns.
const SPACING: usize = 3;
/// The least columns that the names of images are given; columns that would take them away are left out.
const LEAST_NAME: usize = 12;
/// The columns of an output that has no width, and the fewest that are believed.
const DEFAULT_WIDTH: usize = 80;
const LEAST_WIDTH: usize = 20;

/// An image of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Image {
    id: String,
    containers: i64,
    created: i64,
    size: i64,
    repo_tags: Option<Vec<String>>,
    repo_digests: Option<Vec<String>>,
    manifests: Option<Vec<Manifest>>,
}

/// One of the things that an image's name stands for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Manifest {
    #[serde(rename = "ID")]
    id: String,
    available: bool,
    kind: String,
    size: Sizes,
    image_data: Option<ImageData>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Sizes {
    content: i64,
    total: i64,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ImageData {
    platform: PlatformData,
    containers: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PlatformData {
    architecture: String,
    os: String,
    variant: String,
}

/// The output that the tree is drawn on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Canvas {
    /// The columns of the terminal, if there is one.
    pub(super) width: Option<usize>,
    /// True for a terminal that shows colours.
    pub(super) colours: bool,
    /// True if not even the titles are set off, which Docker does on anything.
    pub(super) plain: bool,
}

/// The colours of a terminal.
#[derive(Clone, Copy, Debug)]
enum Colour {
    Warning,
    Title,
    Name,
    Normal,
    Absent,
    Untagged,
    None,
}

impl Colour {
    fn codes(self) -> &'static str {
        match self {
            Colour::Warning => "\x1b[93m",
            Colour::Title => "\x1b[39m\x1b[1m",
            Colour::Name => "\x1b[34m\x1b[1m",
            Colour::Normal => "\x1b[39m",
            Colour::Absent | Colour::Untagged => "\x1b[39m\x1b[2m",
            Colour::None => "",
        }
    }

    fn paint(self, text: &str) -> String {
        match self.codes() {
            "" => text.to_owned(),
            codes => format!("{codes}{text}\x1b[0m"),
        }
    }
}

/// A line of the tree: an image or one of its platforms.
struct Details {
    id: String,
    usage: String,
    content: String,
    is_used: bool,
}

struct Child {
    name: String,
    available: bool,
    details: Details,
}

struct Top {
    names: Vec<String>,
    created: i64,
    details: Details,
    children: Vec<Child>,
}

/// Returns the tree as text. Without `all`, images that have no name are left out.
pub(super) fn text(images: Vec<Image>, all: bool, canvas: Canvas) -> String {
    let mut tops: Vec<Top> = images
        .into_iter()
        .filter(|image| all || !image.is_dangling())
        .map(Image::into_top)
        .collect();
    tops.sort_by_key(|top| std::cmp::Reverse(top.created));
    Drawing::new(&tops, canvas).draw(&tops)
}

impl Image {
    fn is_dangling(&self) -> bool {
        let is = |given: &Option<Vec<String>>, none: &str| {
            let given = given.as_deref().unwrap_or_default();
            given.is_empty() || given == [none]
        };
        is(&self.repo_tags, "<none>:<none>") && is(&self.repo_digests, "<none>@<none>")
    }

    fn into_top(self) -> Top {
        let manifests = self.manifests.unwrap_or_default();
        let content = manifests.iter().map(|manifest| manifest.size.content).sum();
        let children: Vec<Child> = manifests.into_iter().filter_map(Manifest::into_child).collect();
        let details = Details {
            id: printable(&self.id).into_owned(),
            usage: human_size(self.size, LIST_DIGITS),
            content: human_size(content, LIST_DIGITS),
            is_used: self.containers > 0 || children.iter().any(|child| child.details.is_used),
        };
        let names = self.repo_tags.unwrap_or_default();
        let names = names.iter().map(|name| printable(name).into_owned()).collect();
        Top { names, created: self.created, details, children }
    }
}

impl Manifest {
    /// Returns the line of a platform; attestations and what is of no known kind have none.
    fn into_child(self) -> Option<Child> {
        if self.kind != "image" {
            return None;
        }
        let data = self.image_data.unwrap_or_default();
        let details = Details {
            id: printable(&self.id).into_owned(),
            usage: human_size(self.size.total, LIST_DIGITS),
            content: human_size(self.size.content, LIST_DIGITS),
            is_used: data.containers.is_some_and(|containers| !containers.is_empty()),
        };
        Some(Child { name: data.platform.name(), available: self.available, details })
    }
}

impl PlatformData {
    fn name(self) -> String {
        if self.os.is_empty() {
            return "unknown".to_owned();
        }
        let parts = [self.os, self.architecture, self.variant];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        printable(&parts.join("/")).into_owned()
    }
}

/// A column after that of the names.
struct Column {
    title: &'static str,
    width: usize,
    right: bool,
}

/// The tree while it is drawn.
struct Drawing {
    canvas: Canvas,
    width: usize,
    names: usize,
    columns: Vec<Column>,
    /// True if a column says which platforms are in use: some are.
    shows_use: bool,
    text: String,
}

impl Drawing {
    fn new(tops: &[Top], canvas: Canvas) -> Drawing {
        let width = canvas.width.filter(|width| *width > 0).unwrap_or(DEFAULT_WIDTH);
        let width = width.max(LEAST_WIDTH);
        let shows_use =
            tops.iter().flat_map(|top| &top.children).any(|child| child.details.is_used);
        let column = |title, width, right| Column { title, width, right };
        let mut columns = vec![
            column("ID", 12, false),
            column("DISK USAGE", 10, true),
            column("CONTENT SIZE", 12, true),
            column("EXTRA", 5, false),
        ];
        let mut names = width;
        let mut kept = 0;
        for column in &columns {
            let taken = column.width + SPACING;
            if names < taken + LEAST_NAME {
                break;
            }
            names -= taken;
            kept += 1;
        }
        columns.truncate(kept);
        let widest = tops.iter().flat_map(|top| {
            // Bytes, as Docker counts here; the branch before a platform has seven.
            let platforms = top.children.iter().map(|child| child.name.len() + "└─ ".len());
            top.names.iter().map(String::len).chain(platforms)
        });
        let names = names.min(widest.max().unwrap_or(0).max("Image".len()));
        Drawing { canvas, width, names, columns, shows_use, text: String::new() }
    }

    fn draw(mut self, tops: &[Top]) -> String {
        let warning = self.paint(Colour::Warning, WARNING);
        let legend = self.legend();
        self.text.extend([&warning, "\n", &legend, "\n\n"]);
        self.titles();
        let is_spaced = tops.iter().any(|top| !top.children.is_empty());
        for top in tops {
            self.names(&top.names);
            self.details(&top.details, Colour::Normal);
            if is_spaced {
                self.text.push('\n');
            }
            for (index, child) in top.children.iter().enumerate() {
                let branch = if index + 1 == top.children.len() { "└─ " } else { "├─ " };
                let colour = if child.available { Colour::Normal } else { Colour::Absent };
                let name = self.cell(colour, &format!("{branch}{}", child.name), self.names, false);
                self.text.push_str(&name);
                self.details(&child.details, colour);
                self.text.push('\n');
            }
            self.text.push('\n');
        }
        self.text
    }

    fn paint(&self, colour: Colour, text: &str) -> String {
        if self.canvas.colours { colour.paint(text) } else { text.to_owned() }
    }

    fn title(&self, text: &str) -> String {
        if self.canvas.plain { text.to_owned() } else { Colour::Title.paint(text) }
    }

    /// Returns text as a cell of `width` columns, cut where it does not fit.
    fn cell(&self, colour: Colour, text: &str, width: usize, right: bool) -> String {
        let Some(fill) = width.checked_sub(text.width()) else {
            return self.paint(colour, &cut(text, width));
        };
        let (fill, text) = (" ".repeat(fill), self.paint(colour, text));
        if right { fill + &text } else { text + &fill }
    }

    fn legend(&self) -> String {
        let (header, chip) = if self.canvas.colours {
            (
                "\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m \x1b[96mInfo \u{2192} \x1b[0m\x1b[0m",
                "\x1b[38;5;0m\x1b[48;5;14m U \x1b[0m",
            )
        } else {
            (" Info -> ", "U")
        };
        let shown = if self.canvas.colours { "i Info → " } else { header };
        let plain = format!("{shown} {} In Use ", if self.canvas.colours { " U " } else { "U" });
        let fill = self.width.saturating_sub(plain.width());
        format!("{}{header} {chip} In Use ", " ".repeat(fill))
    }

    fn titles(&mut self) {
        let title = |text: &str, width: usize, right: bool| {
            let Some(fill) = width.checked_sub(text.width()) else {
                return self.title(&cut(text, width));
            };
            let (fill, text) = (" ".repeat(fill), self.title(text));
            if right { fill + &text } else { text + &fill }
        };
        let mut line = title("IMAGE", self.names, false);
        for column in &self.columns {
            line.extend(repeat_n(' ', SPACING));
            line.push_str(&title(column.title, column.width, column.right));
        }
        self.text.push_str(&line);
        self.text.push('\n');
    }

    /// Writes the names of an image, the longest first; only the last one stands beside the columns.
    fn names(&mut self, names: &[String]) {
        let mut names: Vec<&String> = names.iter().collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let Some((last, above)) = names.split_last() else {
            let none = self.cell(Colour::Untagged, "<untagged>", self.names, false);
            self.text.push_str(&none);
            return;
        };
        for name in above {
            // Without a terminal there is no width to keep to.
            let shown = self.canvas.width.map_or_else(|| (*name).clone(), |width| cut(name, width));
            let line = self.paint(Colour::Name, &shown) + "\n";
            self.text.push_str(&line);
        }
        let last = self.cell(Colour::Name, last, self.names, false);
        self.text.push_str(&last);
    }

    fn details(&mut self, details: &Details, colour: Colour) {
        let chip = match (self.shows_use, details.is_used, self.canvas.colours) {
            (false, ..) => "",
            (true, true, true) => "\x1b[38;5;0m\x1b[48;5;14m U \x1b[0m",
            (true, true, false) => "U",
            (true, false, true) => "   ",
            (true, false, false) => " ",
        };
        let id = short_id(&details.id);
        let mut line = String::new();
        for column in &self.columns {
            line.extend(repeat_n(' ', SPACING));
            let text = match column.title {
                "ID" => &id,
                "DISK USAGE" => &details.usage,
                "CONTENT SIZE" => &details.content,
                _ => {
                    let shown = if self.shows_use && self.canvas.colours { 3 } else { chip.len() };
                    line.push_str(&self.paint(Colour::None, chip));
                    line.extend(repeat_n(' ', column.width.saturating_sub(shown)));
                    continue;
                }
            };
            line.push_str(&self.cell(colour, text, column.width, column.right));
        }
        self.text.push_str(&line);
    }
}

/// Cuts text to `length` characters, the last of which is then `…`: as Docker does, also where it would just fit.
fn cut(text: &str, length: usize) -> String {
    if text.chars().count() < length || length == 0 {
        return text.to_owned();
    }
    text.chars().take(length - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn images() -> Vec<Image> {
        let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
        let platform = |digit: &str, os: &str, arch: &str, available: bool, used: &[&str]| {
            json!({
                "ID": digest(digit), "Kind": "image", "Available": available,
                "Size": {"Content": 1_000_000, "Total": 3_500_000},
                "ImageData": {"Platform": {"os": os, "architecture": arch}, "Containers": used},
            })
        };
        serde_json::from_value(json!([
            {"Id": digest("a"), "Created": 1, "Size": 1_982_581, "Containers": -1, "RepoDigests": [],
                "RepoTags": ["busybox:1", "registry.example:5000/busybox:1"]},
            {"Id": digest("b"), "Created": 2, "Size": 7_000_000, "Containers": 0, "RepoTags": ["many:1"], "RepoDigests": null,
                "Manifests": [
                    platform("c", "linux", "amd64", true, &["x"]),
                    {"ID": digest("d"), "Kind": "attestation", "Size": {"Content": 5000, "Total": 5000}},
                    platform("e", "linux", "arm64", false, &[]),
                ]},
            {"Id": digest("f"), "Created": 3, "Size": 5, "RepoTags": null, "RepoDigests": ["x@sha256:1"]},
            {"Id": digest("0"), "Created": 4, "Size": 5, "RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"]},
        ]))
        .unwrap()
    }

    fn plain(width: Option<usize>) -> String {
        text(images(), false, Canvas { width, colours: false, plain: true })
    }

    #[test]
    fn platforms_stand_below_their_image() {
        let expected = [
            WARNING,
            "                                                              Info ->  U In Use ",
            "",
            "IMAGE                           ID             DISK USAGE   CONTENT SIZE   EXTRA",
            "<untagged>                      ffffffffffff           5B             0B        ",
            "",
            "many:1                          bbbbbbbbbbbb          7MB            2MB   U    ",
            "├─ linux/amd64                  cccccccccccc        3.5MB            1MB   U    ",
            "└─ linux/arm64                  eeeeeeeeeeee        3.5MB            1MB        ",
            "",
            "registry.example:5000/busybox:1",
            "busybox:1                       aaaaaaaaaaaa       1.98MB             0B        ",
            "",
        ];
        assert_eq!(plain(None).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_narrow_terminal_shows_fewer_columns() {
        for (width, titles) in [
            (
                100,
                "IMAGE                             ID             DISK USAGE   CONTENT SIZE   EXTRA",
            ),
            (45, "IMAGE               ID             DISK USAGE"),
            (30, "IMAGE             ID"),
            (5, "IMAGE               "),
        ] {
            let text = plain(Some(width));
            let line = text.lines().find(|line| line.starts_with("IMAGE")).unwrap();
            assert_eq!(line.trim_end(), titles.trim_end(), "{width}");
        }
        assert!(plain(Some(20)).contains("\nregistry.example:50…\n"), "{}", plain(Some(20)));
    }

    #[test]
    fn colours_are_a_terminals_but_for_titles() {
        let draw = |colours| text(images(), false, Canvas { width: None, colours, plain: false });
        assert!(
            draw(false).contains("\x1b[39m\x1b[1mIMAGE\x1b[0m")
                && !draw(false).contains("\x1b[34m")
        );
        let shown = draw(true);
        for part in [
            "\x1b[93mWARNING: This is",
            "\x1b[34m\x1b[1mmany:1\x1b[0m",
            "\x1b[38;5;0m\x1b[48;5;14m U \x1b[0m",
            "\x1b[39m\x1b[2m└─ linux/arm64\x1b[0m",
            "\x1b[39m\x1b[2m<untagged>\x1b[0m",
        ] {
            assert!(shown.contains(part), "{part:?} in {shown}");
        }
        assert!(!plain(None).contains('\x1b'));
    }
}
