//! Modules of a crate, and the meaning of a path in one of them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// A crate's modules. The first is its root.
#[derive(Debug, Default)]
pub(super) struct Modules {
    pub(super) files: Vec<PathBuf>,
    all: Vec<Module>,
}

/// A module: a file, or a part of one.
#[derive(Debug, Default)]
pub(super) struct Module {
    file: usize,
    parent: Option<usize>,
    children: HashMap<String, usize>,
    pub(super) items: HashSet<String>,
    pub(super) imports: Vec<Import>,
    /// Every path in the code.
    pub(super) paths: Vec<Named>,
}

/// A `use`, one name of it.
#[derive(Debug)]
pub(super) struct Import {
    /// The name that it gives here; none for a glob.
    pub(super) name: Option<String>,
    pub(super) target: Named,
    /// True for `pub use`, which offers the name to others and is not, of itself, a use.
    pub(super) is_offer: bool,
}

/// A path in the code of one file that names something in another.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) path: String,
}

/// A path in the text.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) segments: Vec<String>,
    pub(super) line: usize,
}

/// Module or item that a path leads to.
#[derive(Clone, Copy, Debug)]
enum Meaning {
    Module(usize),
    /// An item of that module.
    Item(usize),
}

/// A name on the way to its meaning: a module, a name in it, and whether it is followed by more.
type Lookup = (usize, String, bool);

impl Modules {
    /// Modules of a crate of which only the root is known, and nothing in it.
    pub(super) fn new(root: &Path) -> Modules {
        let mut modules = Modules::default();
        let file = modules.add_file(root);
        modules.all.push(Module { file, ..Module::default() });
        modules
    }

    pub(super) fn module(&mut self, module: usize) -> &mut Module {
        &mut self.all[module]
    }

    pub(super) fn add_file(&mut self, path: &Path) -> usize {
        self.files.push(path.to_owned());
        self.files.len() - 1
    }

    /// Adds a child: in a file of its own, or in its parent's.
    pub(super) fn add_child(&mut self, parent: usize, name: &str, file: Option<usize>) -> usize {
        let file = file.unwrap_or(self.all[parent].file);
        self.all.push(Module { file, parent: Some(parent), ..Module::default() });
        let child = self.all.len() - 1;
        self.all[parent].children.insert(name.to_owned(), child);
        child
    }

    /// Arrows between files. A name that came through `pub use` counts as one of the file that defines it; a module's
    /// name alone is no arrow, as what is used of the module is one.
    pub(super) fn arrows(&self) -> BTreeMap<(usize, usize), Place> {
        let mut arrows = BTreeMap::new();
        for (at, module) in self.all.iter().enumerate() {
            let imports = module.imports.iter().filter(|import| !import.is_offer);
            for named in imports.map(|import| &import.target).chain(&module.paths) {
                let Some(Meaning::Item(target)) = self.resolve(at, named) else { continue };
                let (from, to) = (module.file, self.all[target].file);
                if from != to {
                    let path = named.segments.join("::");
                    arrows.entry((from, to)).or_insert(Place { line: named.line, path });
                }
            }
        }
        arrows
    }

    fn resolve(&self, module: usize, named: &Named) -> Option<Meaning> {
        self.follow(module, &named.segments, false, &mut HashSet::new())
    }

    /// Follows a path. `more` says that it goes on, as a module's does.
    fn follow(
        &self,
        module: usize,
        segments: &[String],
        more: bool,
        seen: &mut HashSet<Lookup>,
    ) -> Option<Meaning> {
        let mut at = module;
        let mut is_inside = false;
        for (position, segment) in segments.iter().enumerate() {
            match segment.as_str() {
                "crate" => at = 0,
                "self" => {}
                "super" => at = self.all[at].parent?,
                "Self" => return None,
                name => {
                    let more = more || position + 1 < segments.len();
                    match self.look_up(at, name, more, seen) {
                        Some(Meaning::Module(next)) => at = next,
                        Some(item) => return Some(item),
                        // Defined by a macro there.
                        None if is_inside => return Some(Meaning::Item(at)),
                        // Of another crate, or a local name.
                        None => return None,
                    }
                }
            }
            is_inside = true;
        }
        Some(Meaning::Module(at))
    }

    /// Finds a name in a module: of what can have something inside if there is more, else rather an item.
    fn look_up(
        &self,
        module: usize,
        name: &str,
        more: bool,
        seen: &mut HashSet<Lookup>,
    ) -> Option<Meaning> {
        if !seen.insert((module, name.to_owned(), more)) {
            return None;
        }
        let Module { children, items, imports, .. } = &self.all[module];
        let child = children.get(name).map(|&child| Meaning::Module(child));
        let item = items.contains(name).then_some(Meaning::Item(module));
        let own = if more { child.or(item) } else { item };
        let imported = || {
            let named = imports.iter().filter(|import| import.name.as_deref() == Some(name));
            let targets = named.map(|import| &import.target.segments);
            let mut meanings: Vec<Meaning> =
                targets.filter_map(|target| self.follow(module, target, more, seen)).collect();
            // A function and a module may come by one name.
            meanings.sort_by_key(|meaning| matches!(meaning, Meaning::Module(_)) != more);
            meanings.first().copied()
        };
        let found = own.or_else(imported).or(child);
        found.or_else(|| self.look_up_in_globs(module, name, more, seen))
    }

    fn look_up_in_globs(
        &self,
        module: usize,
        name: &str,
        more: bool,
        seen: &mut HashSet<Lookup>,
    ) -> Option<Meaning> {
        let globs = self.all[module].imports.iter().filter(|import| import.name.is_none());
        let mut globs = globs.map(|import| &import.target.segments);
        globs.find_map(|target| match self.follow(module, target, true, seen)? {
            Meaning::Module(inner) => self.look_up(inner, name, more, seen),
            // Of an enum, whose variants are known there.
            Meaning::Item(_) => None,
        })
    }
}
