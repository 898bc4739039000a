//! The layers of the service's modules, and the check that imports point downwards only.
//!
//! Test modules may import anything.

mod imports;

use std::collections::BTreeSet;
use std::path::Path;

use imports::Module;

/// The layers inside one module. A layer may import from those before it, not from those after it.
struct Group {
    /// The path of the module; empty for the crate. Its own file is the highest layer.
    parent: &'static str,
    /// Paths of modules below the parent, lowest first. A layer consists of the module and of those
    /// below it that are not listed themselves.
    layers: &'static [&'static str],
}

const GROUPS: &[Group] = &[
    Group {
        parent: "",
        layers: &[
            // The tables of the database, for diesel.
            "schema",
            "platform",
            // Changes: their transaction, and the resources that they are made to.
            "idempotency",
            "audit_log",
            "outbox",
            "unit_of_work",
            "references",
            "tabular",
            "resource",
            // Prices.
            "publication",
            "live_book",
            "quotes",
            "price_impact",
            "api_keys",
            "audit_entries",
            // Reference data.
            "settings",
            "currencies",
            "exchange_rates",
            "items",
            "salespeople",
            "teams",
            // Campaigns and their audiences.
            "contacts",
            "segments",
            "campaign_statuses",
            "campaigns",
            "lines",
            "golden_quotes",
            "activation",
            // The work on campaigns and its results.
            "interaction_templates",
            "interactions",
            "tasks",
            "activities",
            "opportunities",
            "sales",
            "statistics",
            "search",
            "events",
            // Files with rows of all resources.
            "imports",
            "webhooks",
            // The service as a whole.
            "retention",
            "health",
            "openapi",
            "desk",
            "index",
            "app",
            "config",
            "demo",
            "transfer",
            "welcome",
            "serve",
        ],
    },
    Group {
        parent: "platform",
        layers: &[
            "background",
            "clock",
            "tls",
            "db",
            "http::problem",
            "http::database_error",
            "http::etag",
            "http::json",
            "http::access",
            "http::request_ids",
            "http::list",
            "http::call",
            "http::route_metrics",
            "http::middleware",
            "http::nearest_path",
            "http::routes",
            "http::operations",
            "http",
        ],
    },
    Group {
        parent: "resource",
        layers: &["constraints", "definition", "table", "export", "handlers", "batch", "mount"],
    },
    Group {
        parent: "tabular",
        layers: &["format", "shape", "cell", "columns", "body", "workbook", "read", "write"],
    },
    Group { parent: "imports", layers: &["targets", "store", "receive", "worker", "http"] },
    Group {
        parent: "publication",
        layers: &[
            "book_id",
            "facts_sql",
            "audience",
            "difference",
            "read_error",
            "line_drafts",
            "reader",
            "item_history",
            "published_campaign",
            "writer",
            "compare",
            "price_changes",
            "http",
        ],
    },
    Group {
        parent: "webhooks",
        layers: &[
            "networks",
            "secret",
            "schedule",
            "client",
            "delivery_state",
            "subscriptions",
            "deliveries",
            "sender",
        ],
    },
    Group {
        parent: "quotes",
        layers: &[
            "request",
            "response",
            "http",
            "fast_path",
            "effective_prices",
            "lowest_prices",
            "price_timeline",
        ],
    },
];

/// Upward imports that exist and must not become more: the importing and the imported module. Each
/// is part of a cycle; an entry without such an import fails the check, so the list only shrinks.
const EXCEPTIONS: &[(&str, &str)] = &[];

/// Checks the layers of the service.
///
/// # Errors
/// If a module imports from a higher layer, belongs to no layer, or an exception is not needed.
pub fn check(root: &Path) -> anyhow::Result<()> {
    let modules = imports::modules(&root.join("src/lib.rs"))?;
    let violations = violations(&modules, GROUPS, EXCEPTIONS);
    anyhow::ensure!(violations.is_empty(), "the layers do not hold:\n{}", violations.join("\n"));
    Ok(())
}

fn violations(modules: &[Module], groups: &[Group], exceptions: &[(&str, &str)]) -> Vec<String> {
    let names: BTreeSet<&str> = modules.iter().map(|module| module.path.as_str()).collect();
    let mut violations: Vec<String> =
        groups.iter().flat_map(|group| group.misfits(&names)).collect();
    let mut unused: BTreeSet<(&str, &str)> = exceptions.iter().copied().collect();
    for module in modules {
        let from = module.path.as_str();
        for import in &module.imports {
            let Some(to) = containing_module(&import.path, &names) else { continue };
            if !groups.iter().any(|group| group.is_upward(from, to)) {
                continue;
            }
            if exceptions.contains(&(from, to)) {
                unused.remove(&(from, to));
            } else {
                let (file, line) = (module.file.display(), import.line);
                violations.push(format!("{file}:{line}: {from} imports from {to}, a higher layer"));
            }
        }
    }
    violations.extend(
        unused.iter().map(|(from, to)| format!("the exception {from} -> {to} is not needed")),
    );
    violations
}

/// Returns the innermost module that contains what the path names; `None` for the crate's root.
fn containing_module<'a>(path: &str, names: &BTreeSet<&'a str>) -> Option<&'a str> {
    let mut path = path;
    loop {
        if let Some(name) = names.get(path) {
            return Some(*name).filter(|name| !name.is_empty());
        }
        path = path.rsplit_once("::")?.0;
    }
}

impl Group {
    /// Returns the index of a module's layer; `None` for a module outside the group.
    fn layer(&self, module: &str) -> Option<usize> {
        if module == self.parent {
            return Some(self.layers.len());
        }
        let below = self.below_parent(module)?;
        let contains = |layer: &str| {
            below.strip_prefix(layer).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
        };
        let layers = self.layers.iter().enumerate().filter(|(_, layer)| contains(layer));
        layers.max_by_key(|(_, layer)| layer.len()).map(|(index, _)| index)
    }

    fn below_parent<'a>(&self, module: &'a str) -> Option<&'a str> {
        if self.parent.is_empty() {
            return Some(module).filter(|module| !module.is_empty());
        }
        module.strip_prefix(self.parent)?.strip_prefix("::")
    }

    fn is_upward(&self, from: &str, to: &str) -> bool {
        matches!((self.layer(from), self.layer(to)), (Some(from), Some(to)) if from < to)
    }

    /// Returns modules without a layer, and layers without a module.
    fn misfits(&self, names: &BTreeSet<&str>) -> Vec<String> {
        let parent = self.parent;
        let is_missing =
            |name: &&&str| self.below_parent(name).is_some() && self.layer(name).is_none();
        let modules = names.iter().filter(is_missing).map(|name| format!("{name} is in no layer"));
        let exists = |layer: &str| names.iter().any(|name| self.below_parent(name) == Some(layer));
        let layers = self.layers.iter().filter(|layer| !exists(layer));
        let layers = layers.map(|layer| format!("the layer {layer} of {parent:?} is no module"));
        modules.chain(layers).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const GROUPS: &[Group] = &[
        Group { parent: "", layers: &["values", "room", "app"] },
        Group { parent: "room", layers: &["low", "deep::inner", "middle", "deep"] },
    ];

    fn module(path: &str, text: &str) -> Module {
        let parts = path.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
        let (imports, _) = imports::scan(text, parts).unwrap();
        Module { path: path.to_owned(), file: PathBuf::from("x.rs"), imports }
    }

    /// All modules of the groups; the named one with this text.
    fn found(path: &str, text: &str, exceptions: &[(&str, &str)]) -> Vec<String> {
        let all = [
            "",
            "app",
            "values",
            "room",
            "room::low",
            "room::middle",
            "room::deep",
            "room::deep::inner",
        ];
        let text_of = |name: &str| if name == path { text } else { "" };
        let mut modules: Vec<Module> = all.map(|name| module(name, text_of(name))).into();
        if !all.contains(&path) {
            modules.push(module(path, text));
        }
        violations(&modules, GROUPS, exceptions)
    }

    #[test]
    fn imports_point_downwards() {
        for (path, text) in [
            ("app", "use crate::room::low::X; use crate::values::Y;"),
            ("room::middle", "use super::low::X; use crate::values::Y; use super::deep::inner::Z;"),
            ("room::deep", "use super::middle::X; use inner::Y; use self::inner::Z;"),
            ("room", "use self::deep::X; pub use low::Y;"),
            ("room::low", "#[cfg(test)] mod tests { use crate::app; }"),
            ("room::low", "use crate::Macro;"),
        ] {
            assert_eq!(found(path, text, &[]), Vec::<String>::new(), "{path}: {text}");
        }
        for (path, text, target) in [
            ("values", "use crate::app;", "app"),
            ("room::low", "use super::middle::X;", "room::middle"),
            ("room::low", "fn f() { crate::app::run() }", "app"),
            ("room::low", "use super::X;", "room"),
            ("room::middle", "use super::deep::X;", "room::deep"),
            ("room::deep::inner", "use super::X;", "room::deep"),
        ] {
            let expected = format!("x.rs:1: {path} imports from {target}, a higher layer");
            assert_eq!(found(path, text, &[]), [expected], "{path}: {text}");
        }
    }

    #[test]
    fn exceptions_are_needed() {
        let exceptions = &[("room::low", "room::middle")];
        let upward = "use super::middle::X; use super::middle::Y;";
        assert_eq!(found("room::low", upward, exceptions), Vec::<String>::new());
        let expected = "the exception room::low -> room::middle is not needed";
        assert_eq!(found("room::low", "", exceptions), [expected]);
    }

    #[test]
    fn layers_and_modules_fit() {
        assert_eq!(found("room::other", "", &[]), ["room::other is in no layer"]);
        assert_eq!(found("other", "", &[]), ["other is in no layer"]);
        let group = Group { parent: "", layers: &["values", "gone"] };
        let misfits = group.misfits(&BTreeSet::from(["", "values"]));
        assert_eq!(misfits, ["the layer gone of \"\" is no module"]);
    }
}
