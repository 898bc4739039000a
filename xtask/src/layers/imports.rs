//! The modules of a crate and what they import, read from its source.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use proc_macro2::{Ident, TokenStream, TokenTree};
use syn::visit::{self, Visit};
use syn::{Attribute, ItemMod, ItemUse, Macro, Meta, UseTree};

/// A module with a file of its own.
#[derive(Debug)]
pub struct Module {
    /// The path without `crate`: `publication::writer`; empty for the crate's root.
    pub path: String,
    /// The file of the module.
    pub file: PathBuf,
    /// Its imports of other modules of the crate, those of test modules excepted.
    pub imports: Vec<Import>,
}

/// A path that names something in the crate.
#[derive(Debug)]
pub struct Import {
    /// The path without `crate`: `publication::writer::publish`.
    pub path: String,
    /// The line of the path.
    pub line: usize,
}

/// Reads the modules of the crate with the root `file`.
pub fn modules(file: &Path) -> anyhow::Result<Vec<Module>> {
    let mut modules = Vec::new();
    read(file.to_owned(), Vec::new(), &mut modules)?;
    Ok(modules)
}

fn read(file: PathBuf, path: Vec<String>, modules: &mut Vec<Module>) -> anyhow::Result<()> {
    let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
    let (imports, children) =
        scan(&text, path.clone()).with_context(|| format!("parsing {}", file.display()))?;
    let directory = children_directory(&file);
    modules.push(Module { path: path.join("::"), file, imports });
    for child in children {
        let flat = directory.join(format!("{child}.rs"));
        let file = if flat.exists() { flat } else { directory.join(&child).join("mod.rs") };
        let path = path.iter().cloned().chain([child]).collect();
        read(file, path, modules)?;
    }
    Ok(())
}

/// Returns the directory of the files of a module's children.
fn children_directory(file: &Path) -> PathBuf {
    let parent = file.parent().unwrap_or(Path::new(""));
    match file.file_stem() {
        Some(stem) if stem != "mod" && stem != "lib" => parent.join(stem),
        _ => parent.to_owned(),
    }
}

/// Returns the imports of a file and the names of its child modules.
pub fn scan(text: &str, module: Vec<String>) -> syn::Result<(Vec<Import>, Vec<String>)> {
    let mut collector = Collector { module, imports: Vec::new(), children: Vec::new() };
    collector.visit_file(&syn::parse_file(text)?);
    Ok((collector.imports, collector.children))
}

struct Collector {
    /// The path of the module that is being visited.
    module: Vec<String>,
    imports: Vec<Import>,
    children: Vec<String>,
}

impl Collector {
    /// Adds a path that begins with `crate`, `self` or `super`; others name no module for certain.
    fn add(&mut self, segments: &[Ident]) {
        let Some(first) = segments.first() else { return };
        let supers = segments.iter().take_while(|segment| *segment == "super").count();
        let (base, rest): (&[String], _) = if first == "crate" {
            (&[], segments.get(1..))
        } else if first == "self" {
            (&self.module, segments.get(1..))
        } else if supers > 0 {
            let depth = self.module.len().saturating_sub(supers);
            (self.module.get(..depth).unwrap_or_default(), segments.get(supers..))
        } else {
            return;
        };
        let rest = rest.unwrap_or_default().iter().map(Ident::to_string);
        let path: Vec<String> = base.iter().cloned().chain(rest).collect();
        self.imports.push(Import { path: path.join("::"), line: first.span().start().line });
    }

    fn add_use(&mut self, tree: &UseTree, mut prefix: Vec<Ident>) {
        match tree {
            UseTree::Path(path) => {
                prefix.push(path.ident.clone());
                self.add_use(&path.tree, prefix);
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.add_use(tree, prefix.clone());
                }
            }
            UseTree::Name(name) if name.ident == "self" => self.add(&prefix),
            UseTree::Name(name) => {
                prefix.push(name.ident.clone());
                self.add(&prefix);
            }
            UseTree::Rename(rename) => {
                prefix.push(rename.ident.clone());
                self.add(&prefix);
            }
            UseTree::Glob(_) => self.add(&prefix),
        }
    }

    /// Adds the paths in tokens that are not parsed: arguments of macros and attributes. A path
    /// from `$crate` in the definition of a macro is one of its callers, so it is no import.
    fn add_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<Ident> = Vec::new();
        let mut colons = 0;
        let mut after_dollar = false;
        for token in tokens {
            match token {
                TokenTree::Ident(ident) if colons == 2 || path.is_empty() => {
                    if !(after_dollar && ident == "crate") {
                        path.push(ident);
                    }
                    (colons, after_dollar) = (0, false);
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' && !path.is_empty() => {
                    colons += 1;
                }
                other => {
                    self.add_tokens_path(&mut path);
                    colons = 0;
                    after_dollar = false;
                    match other {
                        TokenTree::Ident(ident) => path.push(ident),
                        TokenTree::Group(group) => self.add_tokens(group.stream()),
                        TokenTree::Punct(punct) => after_dollar = punct.as_char() == '$',
                        TokenTree::Literal(_) => {}
                    }
                }
            }
        }
        self.add_tokens_path(&mut path);
    }

    fn add_tokens_path(&mut self, path: &mut Vec<Ident>) {
        if path.len() > 1 {
            self.add(path);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if is_test(&module.attrs) {
            return;
        }
        let name = module.ident.to_string();
        match &module.content {
            None => self.children.push(name),
            Some((_, items)) => {
                self.module.push(name);
                items.iter().for_each(|item| self.visit_item(item));
                self.module.pop();
            }
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_test(&item.attrs) {
            self.add_use(&item.tree, Vec::new());
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            let segments: Vec<Ident> =
                path.segments.iter().map(|segment| segment.ident.clone()).collect();
            self.add(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, invocation: &'ast Macro) {
        self.add_tokens(invocation.tokens.clone());
        visit::visit_macro(self, invocation);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if let Meta::List(list) = &attribute.meta {
            self.add_tokens(list.tokens.clone());
        }
        visit::visit_attribute(self, attribute);
    }
}

/// Returns true for items under `#[cfg(test)]`.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.parse_args::<Ident>().is_ok_and(|condition| condition == "test")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(text: &str) -> Vec<String> {
        let module = vec!["quotes".to_owned(), "http".to_owned()];
        let (imports, _) = scan(text, module).unwrap();
        imports.into_iter().map(|import| import.path).collect()
    }

    #[test]
    fn paths_are_made_absolute() {
        for (text, expected) in [
            ("use crate::app;", &["app"][..]),
            ("use crate::a::{self, b::C as D, *};", &["a", "a::b::C", "a"]),
            ("use super::quote::quote;", &["quotes::quote::quote"]),
            ("use super::super::values;", &["values"]),
            ("use self::inner::X;", &["quotes::http::inner::X"]),
            ("use std::fmt; use serde::Serialize;", &[]),
            (
                "fn f(x: crate::a::X) { super::b::g::<crate::c::Y>(x) }",
                &["a::X", "quotes::b::g", "c::Y"],
            ),
            ("fn f(self) { self.x }", &[]),
            (
                "mod inner { use super::X; use super::super::quote::Y; }",
                &["quotes::http::X", "quotes::quote::Y"],
            ),
        ] {
            assert_eq!(imports(text), expected, "{text}");
        }
    }

    #[test]
    fn paths_in_macros_and_attributes_count() {
        assert_eq!(imports("fn f() { json!({\"a\": [crate::a::B, x.y]}) }"), ["a::B"]);
        assert_eq!(imports("make!(X, super::quote::Y);"), ["quotes::quote::Y"]);
        let attribute = "#[diesel(table_name = crate::db::schema::items)] struct S;";
        assert_eq!(imports(attribute), ["db::schema::items"]);
        assert_eq!(imports("fn f() { s!(a: B, c::d, crate) }"), Vec::<String>::new());
        assert_eq!(imports("macro_rules! m { () => { $crate::a::B($x, crate::c::D) } }"), ["c::D"]);
    }

    #[test]
    fn tests_do_not_count() {
        let text = "#[cfg(test)] mod tests; #[cfg(test)] mod more { use crate::app; } mod real; \
                    #[cfg(test)] use crate::demo;";
        let (imports, children) = scan(text, Vec::new()).unwrap();
        assert!(imports.is_empty(), "{imports:?}");
        assert_eq!(children, ["real"]);
    }

    #[test]
    fn lines_are_those_of_the_paths() {
        let (imports, _) = scan("//! x\n\nuse crate::{\n    a,\n};\n", Vec::new()).unwrap();
        assert_eq!(imports[0].line, 3);
    }

    #[test]
    fn children_lie_beside_mod_rs_and_below_other_files() {
        for (file, directory) in
            [("src/lib.rs", "src"), ("src/a/mod.rs", "src/a"), ("src/a.rs", "src/a")]
        {
            assert_eq!(children_directory(Path::new(file)), Path::new(directory));
        }
    }
}
