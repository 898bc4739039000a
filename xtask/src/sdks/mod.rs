//! The generated parts of the SDKs: models and resources, printed from the OpenAPI document.
//!
//! ```text
//! api.rs      the document as the templates see it: models, groups of operations
//! types.rs    the types of fields and bodies
//! groups.rs   the operations, named and grouped by resource
//! ```
//!
//! The templates in `xtask/templates/` contain everything that concerns one language only.

#![allow(
    clippy::indexing_slicing,
    reason = "indexing a JSON value gives null for a missing member"
)]

mod api;
mod groups;
#[cfg(test)]
mod tests;
mod types;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, context};

/// The width to which descriptions are wrapped.
const TEXT_WIDTH: usize = 92;

/// A generated file: its template, and its path below the root.
struct Output {
    template: (&'static str, &'static str),
    path: &'static str,
}

macro_rules! output {
    ($template:literal, $path:literal) => {
        Output {
            template: ($template, include_str!(concat!("../../templates/", $template))),
            path: $path,
        }
    };
}

const OUTPUTS: &[Output] = &[
    output!("typescript/models.ts.jinja", "sdks/typescript/src/generated/models.ts"),
    output!("typescript/resources.ts.jinja", "sdks/typescript/src/generated/resources.ts"),
    output!("typescript/version.ts.jinja", "sdks/typescript/src/version.ts"),
    output!("python/models.py.jinja", "sdks/python/src/kampanje/models.py"),
    output!("python/resources.py.jinja", "sdks/python/src/kampanje/resources.py"),
    output!("python/version.py.jinja", "sdks/python/src/kampanje/_version.py"),
    output!("java/Models.java.jinja", "sdks/java/src/main/java/kampanje/client/Models.java"),
    output!("java/Resources.java.jinja", "sdks/java/src/main/java/kampanje/client/Resources.java"),
    output!("java/Version.java.jinja", "sdks/java/src/main/java/kampanje/client/Version.java"),
    output!("csharp/Models.cs.jinja", "sdks/csharp/src/Generated/Models.cs"),
    output!("csharp/Resources.cs.jinja", "sdks/csharp/src/Generated/Resources.cs"),
    output!("csharp/Version.cs.jinja", "sdks/csharp/src/Generated/PackageVersion.cs"),
];

/// Templates that others import.
const SHARED: &[(&str, &str)] = &[
    ("csharp/types.jinja", include_str!("../../templates/csharp/types.jinja")),
    ("java/types.jinja", include_str!("../../templates/java/types.jinja")),
    ("python/types.jinja", include_str!("../../templates/python/types.jinja")),
];

/// Returns the path and the content of each generated file.
///
/// # Errors
/// If the document has a form that the templates do not support.
pub fn files(document: &serde_json::Value) -> anyhow::Result<Vec<(&'static str, String)>> {
    let api = minijinja::Value::from(Serde(api::Api::read(document)?));
    let mut environment = environment()?;
    for (name, source) in SHARED {
        environment.add_template(name, source)?;
    }
    for output in OUTPUTS {
        environment.add_template(output.template.0, output.template.1)?;
    }
    OUTPUTS
        .iter()
        .map(|output| {
            let template = environment.get_template(output.template.0)?;
            Ok((output.path, template.render(context! { api => api.clone() })? + "\n"))
        })
        .collect()
}

fn environment() -> anyhow::Result<Environment<'static>> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?;
    environment.set_syntax(syntax);
    environment.add_filter("camel", |name: &str| camel(name));
    environment.add_filter("pascal", |name: &str| pascal(name));
    environment.add_filter("snake", |name: &str| snake(name));
    environment.add_filter("wrap", |text: &str, indent: usize| {
        wrap(text, TEXT_WIDTH.saturating_sub(indent))
    });
    Ok(environment)
}

/// Returns a name in snake case in camel case: `status_changes` as `statusChanges`.
fn camel(name: &str) -> String {
    let mut result = String::with_capacity(name.len());
    let mut upper = false;
    for character in name.chars() {
        match character {
            '_' | '-' => upper = true,
            _ if upper => {
                result.extend(character.to_uppercase());
                upper = false;
            }
            _ => result.push(character),
        }
    }
    result
}

/// Returns a name in snake or camel case in Pascal case: `statusChanges` as `StatusChanges`.
fn pascal(name: &str) -> String {
    let camel = camel(name);
    let mut characters = camel.chars();
    characters
        .next()
        .map(|first| first.to_uppercase().chain(characters).collect())
        .unwrap_or_default()
}

/// Returns a name in camel case in snake case: `itemNumber` as `item_number`.
fn snake(name: &str) -> String {
    let mut result = String::with_capacity(name.len() + 4);
    for character in name.chars() {
        if character.is_uppercase() && !result.is_empty() {
            result.push('_');
        }
        result.extend(character.to_lowercase());
    }
    result.replace('-', "_")
}

/// Breaks a text into lines of at most `width` characters, except where a word is longer. Empty
/// lines, which separate paragraphs, remain.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for (at, paragraph) in text.split("\n\n").enumerate() {
        if at > 0 {
            lines.push(String::new());
        }
        let mut line = String::new();
        for word in paragraph.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        lines.push(line);
    }
    lines
}
