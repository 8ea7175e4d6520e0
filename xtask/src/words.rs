//! `cargo xtask words`: doc comments say what a thing is, in the field's terms, and do not pose riddles.

use std::path::Path;

use anyhow::{Result, anyhow, bail};
use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::sources;
use crate::workspace::Workspace;

/// First words of a riddle.
const INTERROGATIVES: [&str; 10] =
    ["how", "what", "when", "where", "whether", "which", "who", "whom", "whose", "why"];

/// Words that say nothing of an item by themselves.
const FILLERS: [&str; 8] = ["a", "an", "its", "of", "our", "the", "these", "this"];

/// A doc comment.
#[derive(Debug, PartialEq)]
struct Doc {
    line: usize,
    text: String,
    /// The item's name. None where the comment is a file's own, or the item has no name.
    item: Option<String>,
    /// Set where clap makes the help of it, in Docker's words.
    is_help: bool,
}

pub(crate) fn run() -> Result<()> {
    let mut found = 0;
    println!("{:24} {:>5} {:>8} {:>11}", "crate", "docs", "riddles", "repetitions");
    let mut told = Vec::new();
    let workspace = Workspace::read()?;
    for package in &workspace.packages {
        let (mut count, mut riddles, mut repetitions) = (0, 0, 0);
        for file in sources::below(package.folder()?)? {
            for doc in docs(&file)? {
                count += 1;
                let problem = if doc.is_help {
                    continue;
                } else if opens_with_interrogative(&doc) {
                    riddles += 1;
                    "opens with an interrogative"
                } else if repeats_name(&doc) {
                    repetitions += 1;
                    "only repeats the name"
                } else {
                    continue;
                };
                let first = doc.text.lines().next().unwrap_or_default();
                let name = file.strip_prefix(&workspace.root).unwrap_or(&file).display();
                told.push(format!("{name}:{}: {problem}: {first}", doc.line));
            }
        }
        println!("{:24} {count:>5} {riddles:>8} {repetitions:>11}", package.name);
        found += riddles + repetitions;
    }
    for line in &told {
        println!("{line}");
    }
    if found > 0 {
        bail!("{found} doc comments do not say what a thing is");
    }
    Ok(())
}

fn opens_with_interrogative(doc: &Doc) -> bool {
    words(&doc.text).next().is_some_and(|word| INTERROGATIVES.contains(&word.as_str()))
}

/// Finds doc comments without a word beyond those of the item's name: "The image." on `images`.
fn repeats_name(doc: &Doc) -> bool {
    let Some(item) = &doc.item else { return false };
    // Code is an explanation, though it may be the same word.
    if doc.text.contains('`') {
        return false;
    }
    let mut said: Vec<String> = words(&doc.text)
        .filter(|word| !FILLERS.contains(&word.as_str()))
        .map(|word| singular(&word))
        .collect();
    let mut named: Vec<String> = parts(item).iter().map(|part| singular(part)).collect();
    said.sort();
    named.sort();
    !said.is_empty() && said == named
}

/// The words of a text, in lower case, without markup.
fn words(text: &str) -> impl Iterator<Item = String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'');
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// The words of a name: `TarWriter` and `tar_writer` are "tar writer".
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if c == '_' || (c.is_uppercase() && was_lower) {
            parts.push(String::new());
        }
        was_lower = c.is_lowercase();
        if c != '_'
            && let Some(part) = parts.last_mut()
        {
            part.extend(c.to_lowercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}y");
    }
    word.strip_suffix('s').unwrap_or(word).to_owned()
}

/// The doc comments of a file.
fn docs(file: &Path) -> Result<Vec<Doc>> {
    let text = sources::text(file)?;
    let tokens: TokenStream =
        text.parse().map_err(|error| anyhow!("cannot read `{}`: {error}", file.display()))?;
    let mut docs = Vec::new();
    collect(tokens, &mut docs);
    Ok(docs)
}

/// Finds doc comments, which are attributes to the compiler's lexer, in macros too.
fn collect(tokens: TokenStream, docs: &mut Vec<Doc>) {
    let mut tokens = tokens.into_iter().peekable();
    // The comment that is being read, and whether it is of what surrounds it.
    let mut current: Option<(Doc, bool)> = None;
    while let Some(token) = tokens.next() {
        if matches!(&token, TokenTree::Punct(punct) if punct.as_char() == '#') {
            let is_inner = tokens
                .next_if(|next| matches!(next, TokenTree::Punct(punct) if punct.as_char() == '!'))
                .is_some();
            let Some(TokenTree::Group(attribute)) = tokens.next_if(is_brackets) else { continue };
            let Some(text) = doc_text(attribute.stream()) else {
                if let Some((doc, false)) = &mut current {
                    doc.is_help |= is_of_clap(attribute.stream());
                }
                continue;
            };
            match &mut current {
                Some((doc, inner)) if *inner == is_inner => {
                    doc.text.push('\n');
                    doc.text.push_str(&text);
                }
                _ => {
                    docs.extend(current.take().map(|(doc, _)| doc));
                    let line = attribute.span_open().start().line;
                    current = Some((Doc { line, text, item: None, is_help: false }, is_inner));
                }
            }
            continue;
        }
        let is_named = current.as_ref().is_some_and(|(_, is_inner)| !is_inner);
        match token {
            TokenTree::Ident(ident) if is_named && is_keyword(&ident.to_string()) => {
                // `pub(crate)`
                tokens.next_if(|next| matches!(next, TokenTree::Group(_)));
            }
            TokenTree::Ident(ident) => {
                if let Some((mut doc, is_inner)) = current.take() {
                    doc.item = (!is_inner).then(|| ident.to_string());
                    docs.push(doc);
                }
            }
            other => {
                docs.extend(current.take().map(|(doc, _)| doc));
                if let TokenTree::Group(group) = other {
                    collect(group.stream(), docs);
                }
            }
        }
    }
    docs.extend(current.map(|(doc, _)| doc));
}

fn is_brackets(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Bracket)
}

fn is_keyword(word: &str) -> bool {
    [
        "async", "const", "enum", "extern", "fn", "mod", "mut", "pub", "static", "struct", "trait",
        "type", "union", "unsafe",
    ]
    .contains(&word)
}

fn is_of_clap(attribute: TokenStream) -> bool {
    let name = attribute.into_iter().next();
    name.is_some_and(|name| ["arg", "clap", "command"].contains(&name.to_string().as_str()))
}

/// The text of `doc = "…"`.
fn doc_text(attribute: TokenStream) -> Option<String> {
    let mut tokens = attribute.into_iter();
    let TokenTree::Ident(name) = tokens.next()? else { return None };
    let TokenTree::Punct(_) = tokens.next()? else { return None };
    let TokenTree::Literal(literal) = tokens.next()? else { return None };
    if name != "doc" {
        return None;
    }
    let text: syn::LitStr = syn::parse2(TokenTree::from(literal).into()).ok()?;
    Some(text.value().trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Doc> {
        let mut docs = Vec::new();
        collect(text.parse().unwrap(), &mut docs);
        docs
    }

    fn found(text: &str) -> Vec<(String, Option<String>)> {
        read(text).into_iter().map(|doc| (doc.text, doc.item)).collect()
    }

    #[test]
    fn doc_comments_and_their_items() {
        let text = r"
            //! The file.
            //! More of it.

            /// A layer.
            /// With a second line.
            #[derive(Debug)]
            pub(crate) struct Layer<'a> {
                /// Its digest.
                pub digest: Digest,
                inner: [u8; 3],
            }
            impl Layer {
                // No doc comment.
                #[must_use]
                /// Opens it.
                pub const unsafe fn open(&self) {}
            }
            macro_rules! m { () => { /** In a macro. */ fn g() {} } }
        ";
        let expected = [
            ("The file.\nMore of it.", None),
            ("A layer.\nWith a second line.", Some("Layer")),
            ("Its digest.", Some("digest")),
            ("Opens it.", Some("open")),
            ("In a macro.", Some("g")),
        ];
        let expected = expected.map(|(text, item)| (text.to_owned(), item.map(str::to_owned)));
        assert_eq!(found(text), expected);
    }

    #[test]
    fn help_is_dockers() {
        let docs =
            read("/// Username\n #[arg(short)] username: String, /// Image. \n #[x] image: u8");
        let is_help: Vec<bool> = docs.iter().map(|doc| doc.is_help).collect();
        assert_eq!(is_help, [true, false]);
    }

    #[test]
    fn riddles_and_repetitions() {
        for (text, item, is_riddle, is_repetition) in [
            ("What a lease holds.", "Holding", true, false),
            ("[`Which`] of them.", "other", true, false),
            ("`whether` it is.", "other", true, false),
            ("Whatever it is.", "other", false, false),
            ("Images.", "images", false, true),
            ("The images.", "image", false, true),
            ("The name of the image.", "image_name", false, true),
            ("A tar writer.", "TarWriter", false, true),
            ("Entries of the directory.", "directory_entry", false, true),
            ("Images, newest first.", "images", false, false),
            ("A directory.", "entry", false, false),
            ("`{{break}}`.", "Break", false, false),
        ] {
            let (text, item) = (text.to_owned(), Some(item.to_owned()));
            let doc = Doc { line: 1, text, item, is_help: false };
            assert_eq!(opens_with_interrogative(&doc), is_riddle, "{doc:?}");
            assert_eq!(repeats_name(&doc), is_repetition, "{doc:?}");
        }
    }
}
