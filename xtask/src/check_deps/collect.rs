//! Reading a crate's files: its modules, what each defines and imports, and every path in it.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, ItemUse, Meta, UseTree, Visibility};

use super::modules::{Import, Modules, Named};

/// Reads the file of a crate's root, and those of all modules.
pub(super) fn modules(root: &Path) -> Result<Modules> {
    let mut modules = Modules::new(root);
    file(&mut modules, 0, root)?;
    Ok(modules)
}

/// Reads a module's file into it, and all modules that it declares.
fn file(modules: &mut Modules, module: usize, path: &Path) -> Result<()> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read `{}`", path.display()))?;
    let parsed = syn::parse_file(&text)
        .map_err(|error| anyhow!("{}:{}: {error}", path.display(), error.span().start().line))?;
    let folder = match path.file_name().and_then(|name| name.to_str()) {
        Some("lib.rs" | "main.rs" | "mod.rs") => path.parent().unwrap_or(path).to_owned(),
        _ => path.with_extension(""),
    };
    let mut reader = Reader { modules, module, folder, problem: None };
    reader.items(&parsed.items);
    reader.problem.map_or(Ok(()), Err)
}

struct Reader<'a> {
    modules: &'a mut Modules,
    /// The one whose items are being read.
    module: usize,
    /// Folder of its children's files.
    folder: PathBuf,
    problem: Option<anyhow::Error>,
}

impl Reader<'_> {
    fn items(&mut self, items: &[Item]) {
        for item in items {
            if let Some(name) = name(item)
                && !is_for_tests(attributes(item))
            {
                self.modules.module(self.module).items.insert(name);
            }
        }
        for item in items {
            self.visit_item(item);
        }
    }

    fn child(&mut self, declaration: &ItemMod) -> Result<()> {
        let name = declaration.ident.to_string();
        if let Some((_, items)) = &declaration.content {
            let child = self.modules.add_child(self.module, &name, None);
            let folder = self.folder.join(&name);
            let mut reader = Reader { modules: self.modules, module: child, folder, problem: None };
            reader.items(items);
            return reader.problem.map_or(Ok(()), Err);
        }
        let places =
            [self.folder.join(format!("{name}.rs")), self.folder.join(&name).join("mod.rs")];
        let Some(path) = places.iter().find(|path| path.exists()) else {
            bail!("there is no file for the module `{name}` in `{}`", self.folder.display());
        };
        let at = self.modules.add_file(path);
        let child = self.modules.add_child(self.module, &name, Some(at));
        file(self.modules, child, path)
    }

    fn name(&mut self, segments: Vec<String>, line: usize) {
        self.modules.module(self.module).paths.push(Named { segments, line });
    }

    /// Takes what looks like a path from the arguments of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut segments: Vec<String> = Vec::new();
        let mut colons = 0;
        let mut line = 0;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 && !segments.is_empty() {
                        self.name(std::mem::take(&mut segments), line);
                    }
                    line = ident.span().start().line;
                    segments.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                other => {
                    if !segments.is_empty() {
                        self.name(std::mem::take(&mut segments), line);
                    }
                    colons = 0;
                    match other {
                        TokenTree::Group(group) => self.tokens(group.stream()),
                        // `#[serde(with = "crate::times")]`
                        TokenTree::Literal(literal) => self.quoted(&literal),
                        _ => {}
                    }
                }
            }
        }
        if !segments.is_empty() {
            self.name(segments, line);
        }
    }

    fn quoted(&mut self, literal: &proc_macro2::Literal) {
        let text = literal.to_string();
        let text = text.trim_matches('"');
        let is_name = |part: &str| {
            !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        };
        if text.contains("::") && text.split("::").all(is_name) {
            let segments = text.split("::").map(str::to_owned).collect();
            self.name(segments, literal.span().start().line);
        }
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast ImplItem) {
        if !matches!(item, ImplItem::Fn(function) if is_for_tests(&function.attrs)) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, declaration: &'ast ItemMod) {
        if let Err(error) = self.child(declaration) {
            self.problem.get_or_insert(error);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        let is_offer = !matches!(item.vis, Visibility::Inherited);
        if item.leading_colon.is_none() {
            imports(&item.tree, &mut Vec::new(), &mut |name, segments, line| {
                let target = Named { segments, line };
                let import = Import { name, target, is_offer };
                self.modules.module(self.module).imports.push(import);
            });
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none()
            && let Some(first) = path.segments.first()
        {
            let line = first.ident.span().start().line;
            self.name(path.segments.iter().map(|s| s.ident.to_string()).collect(), line);
        }
        visit::visit_path(self, path);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta
            && !attribute.path().is_ident("derive")
        {
            self.tokens(list.tokens.clone());
        }
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.visit_path(&call.path);
        self.tokens(call.tokens.clone());
    }
}

/// Tells each name that a `use` brings, and by which path.
fn imports(
    tree: &UseTree,
    before: &mut Vec<String>,
    tell: &mut impl FnMut(Option<String>, Vec<String>, usize),
) {
    match tree {
        UseTree::Path(path) => {
            before.push(path.ident.to_string());
            imports(&path.tree, before, tell);
            before.pop();
        }
        UseTree::Group(group) => {
            for tree in &group.items {
                imports(tree, before, tell);
            }
        }
        UseTree::Name(name) => {
            let line = name.ident.span().start().line;
            let name = name.ident.to_string();
            if name == "self" {
                tell(before.last().cloned(), before.clone(), line);
            } else {
                tell(Some(name.clone()), [before.as_slice(), &[name]].concat(), line);
            }
        }
        UseTree::Rename(rename) => {
            let line = rename.ident.span().start().line;
            let mut path = before.clone();
            if rename.ident != "self" {
                path.push(rename.ident.to_string());
            }
            tell(Some(rename.rename.to_string()), path, line);
        }
        UseTree::Glob(glob) => tell(None, before.clone(), glob.star_token.span.start().line),
    }
}

/// Tells items that are compiled for tests alone.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) if list.path.is_ident("cfg") => {
            let condition = list.tokens.to_string().replace(' ', "");
            ["test", "fuzzing", "any(test,fuzzing)"].contains(&condition.as_str())
                || condition.starts_with("all(test,")
        }
        _ => false,
    })
}

fn name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {

    /// The arrows of a crate of these files, as `from to`.
    fn arrows(files: &[(&str, &str)]) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let modules = super::modules(&folder.path().join("lib.rs")).unwrap();
        let name = |file: usize| {
            let file = modules.files[file].strip_prefix(folder.path()).unwrap();
            file.with_extension("").display().to_string()
        };
        let mut arrows: Vec<String> = modules
            .arrows()
            .keys()
            .map(|&(from, to)| format!("{} {}", name(from), name(to)))
            .collect();
        arrows.sort();
        arrows
    }

    #[test]
    fn a_name_counts_where_it_is_defined() {
        let found = arrows(&[
            ("lib.rs", "mod a; mod b; mod c; pub use b::Thing; pub use c::inner::deep as depth;"),
            ("a.rs", "use crate::{Thing as Other, depth};"),
            ("b.rs", "pub struct Thing; use std::a::Thing as Foreign;"),
            ("c/mod.rs", "pub mod inner;"),
            ("c/inner.rs", "pub fn deep() {}"),
        ]);
        assert_eq!(found, ["a b", "a c/inner"]);
    }

    #[test]
    fn a_module_is_named_by_what_is_used_of_it() {
        let found = arrows(&[
            ("lib.rs", "mod a; mod b; mod c;"),
            ("a.rs", "use crate::{b, c}; fn f() { b::go() }"),
            ("b.rs", "pub fn go() {}"),
            ("c.rs", "use super::*; pub fn go() { a::f() }"),
        ]);
        assert_eq!(found, ["a b", "c a"]);
    }

    #[test]
    fn paths_in_macros_attributes_and_parts_of_files() {
        let found = arrows(&[
            ("lib.rs", "mod a; mod b; mod c; mod d; mod e;"),
            ("a.rs", r#"fn f() { println!("{}", crate::b::go(1, [super::c::X])) }"#),
            ("b.rs", r#"struct S { #[serde(with = "crate::d::times")] x: u8 }"#),
            (
                "c.rs",
                "mod inner { use super::super::e::made; fn f() { super::own() } } fn own() {}",
            ),
            ("d.rs", "pub mod times {}"),
            ("e.rs", "define! { made }"),
        ]);
        // A path to a module, as the attribute's, is none to an item.
        assert_eq!(found, ["a b", "a c", "c e"]);
    }

    #[test]
    fn tests_have_no_arrows() {
        let found = arrows(&[
            ("lib.rs", "mod a; #[cfg(test)] mod tests;"),
            (
                "a.rs",
                "#[cfg(test)] use crate::b::X; #[cfg(test)] mod tests { use crate::X; } #[cfg(test)] fn f() { crate::go() }",
            ),
        ]);
        assert!(found.is_empty(), "{found:?}");
    }
}
