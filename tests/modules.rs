//! No crate of the workspace has a cycle of modules.
//!
//! A module depends on the modules whose items it names in a path: `crate::a::Item`,
//! `super::Item`, `self::Item`, or `a::Item` for a child `a`. A re-export (`pub use`) only moves a
//! name and is not a dependency, and test modules may use whatever they test. Paths inside macro
//! arguments are not seen.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use petgraph::{algo::tarjan_scc, graphmap::DiGraphMap};
use syn::{
    Attribute, Item, ItemMod, ItemUse, UseTree, Visibility,
    visit::{Visit, visit_item, visit_path},
};

/// A module by its path within the crate, such as `["request", "body"]`; the root is empty.
type Module = Vec<String>;

/// The modules of a crate, with their items.
#[derive(Default)]
struct Modules {
    items: BTreeMap<Module, Vec<Item>>,
    /// What the root re-exports: a name, and the path that it stands for.
    exported: BTreeMap<String, Module>,
}

impl Modules {
    /// Reads a crate from its `lib.rs` or `main.rs`.
    fn read(root: &Path) -> Self {
        let mut modules = Self::default();
        modules.add(Module::new(), syn::parse_file(&read(root)).unwrap().items, root);
        for item in &modules.items[&Module::new()] {
            if let Item::Use(ItemUse { tree, .. }) = item {
                for path in paths(tree) {
                    let name = path.last().cloned().unwrap();
                    modules.exported.insert(name, path);
                }
            }
        }
        modules
    }

    fn add(&mut self, module: Module, items: Vec<Item>, file: &Path) {
        for item in &items {
            if let Item::Mod(child) = item
                && !is_test(&child.attrs)
            {
                let name = child.ident.to_string();
                let path = [module.clone(), vec![name.clone()]].concat();
                match &child.content {
                    Some((_, items)) => self.add(path, items.clone(), file),
                    None => {
                        let file = file_of(file, &name);
                        let items = syn::parse_file(&read(&file)).unwrap().items;
                        self.add(path, items, &file);
                    }
                }
            }
        }
        self.items.insert(module, items);
    }

    /// The module in which a path ends, if it leads into this crate.
    fn resolve(&self, from: &Module, path: &[String]) -> Option<Module> {
        let mut at = match path.first()?.as_str() {
            "crate" => Module::new(),
            "self" => from.clone(),
            "super" => from[..from.len().checked_sub(1)?].to_vec(),
            child => {
                let child = [from.clone(), vec![child.to_owned()]].concat();
                return self.items.contains_key(&child).then(|| self.descend(child, &path[1..]));
            }
        };
        let mut rest = &path[1..];
        while rest.first().is_some_and(|segment| segment == "super") {
            at.pop();
            rest = &rest[1..];
        }
        if at.is_empty()
            && let Some(original) = rest.first().and_then(|name| self.exported.get(name))
        {
            return self.resolve(&at, original);
        }
        Some(self.descend(at, rest))
    }

    fn descend(&self, mut at: Module, path: &[String]) -> Module {
        for segment in path {
            let child = [at.clone(), vec![segment.clone()]].concat();
            if !self.items.contains_key(&child) {
                break;
            }
            at = child;
        }
        at
    }

    /// The cycles among the modules, each with the names of its modules.
    fn cycles(&self) -> Vec<Vec<String>> {
        let name = |module: &Module| format!("crate::{}", module.join("::"));
        let names: BTreeMap<_, _> = self.items.keys().map(|each| (each, name(each))).collect();
        let mut graph = DiGraphMap::<&str, ()>::new();
        for (module, items) in &self.items {
            let mut dependencies = Dependencies::default();
            items.iter().for_each(|item| dependencies.visit_item(item));
            for path in dependencies.0 {
                let Some(target) = self.resolve(module, &path) else { continue };
                if target != *module {
                    graph.add_edge(&names[module], &names[&target], ());
                }
            }
        }
        let cycles = tarjan_scc(&graph).into_iter().filter(|component| component.len() > 1);
        cycles.map(|cycle| cycle.into_iter().map(str::to_owned).collect()).collect()
    }
}

/// Collects the paths that code names, without those of test modules and re-exports.
#[derive(Default)]
struct Dependencies(BTreeSet<Vec<String>>);

impl<'ast> Visit<'ast> for Dependencies {
    fn visit_item(&mut self, item: &'ast Item) {
        match item {
            Item::Use(ItemUse { vis: Visibility::Inherited, tree, .. }) => {
                self.0.extend(paths(tree));
            }
            Item::Use(_) => {}
            item => visit_item(self, item),
        }
    }

    // The `crate` of `pub(crate)` names nothing that the module uses.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    // The items of a module are visited as its own.
    fn visit_item_mod(&mut self, _: &'ast ItemMod) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.0.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        visit_path(self, path);
    }
}

fn paths(tree: &UseTree) -> Vec<Vec<String>> {
    match tree {
        UseTree::Path(path) => {
            let first = path.ident.to_string();
            let rest = paths(&path.tree).into_iter();
            rest.map(|rest| [vec![first.clone()], rest].concat()).collect()
        }
        UseTree::Name(name) => vec![vec![name.ident.to_string()]],
        UseTree::Rename(rename) => vec![vec![rename.ident.to_string()]],
        UseTree::Glob(_) => vec![vec![]],
        UseTree::Group(group) => group.items.iter().flat_map(paths).collect(),
    }
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<syn::Path>().is_ok_and(|option| option.is_ident("test"))
    })
}

/// The file of the module `name`, declared in `file`.
fn file_of(file: &Path, name: &str) -> PathBuf {
    let parent = match file.file_stem().unwrap().to_str().unwrap() {
        "lib" | "main" | "mod" => file.parent().unwrap().to_owned(),
        stem => file.with_file_name(stem),
    };
    let flat = parent.join(format!("{name}.rs"));
    if flat.exists() { flat } else { parent.join(name).join("mod.rs") }
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn no_crate_has_a_cycle_of_modules() {
    let crates = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../crates")).unwrap();
    let mut cycles = Vec::new();
    for each in crates {
        let each = each.unwrap().path();
        for root in ["src/lib.rs", "src/main.rs"].map(|root| each.join(root)) {
            if root.exists() {
                let found = Modules::read(&root).cycles().into_iter();
                cycles.extend(found.map(|cycle| format!("{}: {cycle:?}", root.display())));
            }
        }
    }
    assert!(cycles.is_empty(), "modules that depend on each other:\n{}", cycles.join("\n"));
}

/// The modules of a crate with these inline modules.
fn modules(text: &str) -> Modules {
    let mut modules = Modules::default();
    modules.add(Module::new(), syn::parse_file(text).unwrap().items, Path::new("src/lib.rs"));
    modules
}

#[test]
fn modules_that_name_each_other_are_a_cycle() {
    let found = modules(
        "mod a { use crate::b::B; pub struct A; }
         mod b { pub struct B; fn f() -> super::a::A { todo() } }
         mod c { use crate::a::A; }",
    )
    .cycles();
    assert_eq!(found.len(), 1);
    assert_eq!(
        BTreeSet::from_iter(&found[0]),
        BTreeSet::from([&"crate::a".into(), &"crate::b".into()])
    );
}

#[test]
fn re_exports_and_tests_are_not_dependencies() {
    let found = modules(
        "pub use a::A;
         mod a { pub struct A; use crate::Root; #[cfg(test)] mod tests { use crate::b::B; } }
         mod b { use crate::a::A; pub struct B; }
         pub struct Root;",
    )
    .cycles();
    assert_eq!(found, Vec::<Vec<String>>::new());
}
