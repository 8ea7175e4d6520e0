//! A test of the pages for readers: every path that one names is there.

use std::path::{Path, PathBuf};

/// The pages; the changelog tells of what was.
const PAGES: [&str; 4] = ["ARCHITECTURE.md", "COMPATIBILITY.md", "CONTRIBUTING.md", "README.md"];
/// Folders of the repository that a path may begin with; all else that does is a crate, without `crates/` and `src/`.
const FOLDERS: [&str; 6] = ["contrib", "crates", "docs", "fuzz", "xtask", ".ci"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// All pages, relative to the root.
fn pages() -> Vec<PathBuf> {
    let mut pages: Vec<PathBuf> = PAGES.iter().map(PathBuf::from).collect();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    pages
}

/// Targets of links, relative to the root. Those to other sites are none of ours.
fn links(page: &Path, text: &str) -> Vec<PathBuf> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let targets = targets.filter(|target| !target.contains("://") && !target.starts_with('#'));
    let folder = page.parent().unwrap_or(Path::new(""));
    targets.map(|target| folder.join(target.split('#').next().unwrap_or_default())).collect()
}

/// Code spans that name a file or a folder of the repository, relative to the root.
fn places(text: &str) -> Vec<PathBuf> {
    let mut spans = Vec::new();
    let mut is_block = false;
    for paragraph in text.split("\n\n") {
        let mut prose = String::new();
        for line in paragraph.lines() {
            let is_fence = line.starts_with("```");
            is_block ^= is_fence;
            if !is_block && !is_fence {
                prose.push_str(line);
                prose.push(' ');
            }
        }
        spans.extend(prose.split('`').skip(1).step_by(2).map(str::to_owned));
    }
    spans.iter().filter_map(|span| place(span)).collect()
}

/// The path of a code span: `engine/pull/` is `crates/engine/src/pull`.
fn place(span: &str) -> Option<PathBuf> {
    let is_path = span.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_./".contains(&b));
    let (first, rest) = span.split_once('/').filter(|(first, _)| is_path && !first.is_empty())?;
    if FOLDERS.contains(&first) {
        return Some(span.into());
    }
    let is_file = Path::new(rest).extension().is_some_and(|extension| extension == "rs");
    // `store/disk` is a folder, `GOOS/arch` is none.
    let is_folder = rest.bytes().all(|b| b.is_ascii_lowercase() || b"-_/".contains(&b));
    let is_named = is_file || is_folder;
    let folder = Path::new("crates").join(first);
    (is_named && first != ".." && root().join(&folder).is_dir())
        .then(|| folder.join("src").join(rest))
}

#[test]
fn every_path_that_a_page_names_is_there() {
    let (mut gone, mut seen) = (Vec::new(), 0);
    for page in pages() {
        let text = std::fs::read_to_string(root().join(&page)).unwrap();
        for path in links(&page, &text).into_iter().chain(places(&text)) {
            seen += 1;
            if !root().join(&path).exists() {
                gone.push(format!("{} names {}", page.display(), path.display()));
            }
        }
    }
    assert!(gone.is_empty(), "{}", gone.join("\n"));
    assert!(seen > 50, "the pages name more than {seen} paths");
}

#[test]
fn paths_are_found_in_a_page() {
    let text = "See [it](../a.md#b), [site](https://x.y/z) and `engine/pull/`,\n`store/lock.rs`, `docs/x.md`, \
                `store/x y.rs`, `spec`, `no/such.rs`, `GET /spec/`.\n\n```\n`daemon/a.rs`\n```\n\n`xtask/src/main.rs`\n";
    let path = PathBuf::from;
    assert_eq!(links(Path::new("docs/page.md"), text), [path("docs/../a.md")]);
    let expected =
        ["crates/engine/src/pull/", "crates/store/src/lock.rs", "docs/x.md", "xtask/src/main.rs"];
    assert_eq!(places(text), expected.map(path));
}
