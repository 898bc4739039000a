//! The files in the tree that are printed from the code. A test compares them; `kampanje openapi
//! --write` renews them.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use serde_json::Value;

use super::{document, version_3_0};
use crate::app::routes;
use crate::platform::http::problem::{FieldCode, ProblemCode};
use crate::quotes::answer::LineProblemCode;

/// Each file's path from the root of the tree, and what has to be in it.
#[must_use]
pub fn files() -> [(&'static str, String); 3] {
    let document = document(&routes());
    [
        ("openapi/openapi.json", text(&document)),
        ("openapi/openapi-3.0.json", text(&version_3_0(document))),
        ("docs/errors.md", errors()),
    ]
}

/// Renews the files below the current directory.
///
/// # Errors
/// When a file cannot be written.
pub fn write_files() -> anyhow::Result<()> {
    for (path, content) in files() {
        if let Some(directory) = Path::new(path).parent() {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        fs::write(path, content).with_context(|| format!("cannot write {path}"))?;
    }
    Ok(())
}

/// A document as it stands in a file.
#[must_use]
pub fn text(document: &Value) -> String {
    format!("{document:#}\n")
}

/// `docs/errors.md`: every code with its meaning.
fn errors() -> String {
    let mut page = String::from(
        "<!-- Printed from the code by `kampanje openapi --write`; change the tables there. -->\n\
         # Errors\n\n\
         Every failure is a problem document (RFC 9457, `application/problem+json`). `code` says which problem it is, `detail` says it in \
         words, and `errors` names everything that is wrong at once: `pointer` is a JSON pointer into the body, or `?name` for a query \
         parameter. Codes do not change; the words may. `traceId` leads to the request in the log.\n\n\
         ```json\n",
    );
    page.push_str(&example());
    page.push_str(
        "\n```\n\n## Problems\n\n| code | status | title | meaning |\n| --- | --- | --- | --- |\n",
    );
    for code in ProblemCode::ALL {
        let (status, title) = code.status_and_title();
        page.push_str(&format!(
            "| `{}` | {status} | {title} | {} |\n",
            code.text(),
            code.meaning()
        ));
    }
    page.push_str(
        "\n## One thing that is wrong\n\n\
         In `errors`. A mistake of form makes the problem a 400, a broken rule about well-formed content a 422.\n\n\
         | code | status | meaning |\n| --- | --- | --- |\n",
    );
    for code in FieldCode::ALL {
        let status = if code.is_form() { 400 } else { 422 };
        page.push_str(&format!("| `{}` | {status} | {} |\n", code.text(), code.meaning()));
    }
    page.push_str(
        "\n## A quote's line without price\n\n\
         In the line's `problem`; the other lines are answered, and the status is 200.\n\n\
         | code | meaning |\n| --- | --- |\n",
    );
    for code in LineProblemCode::ALL {
        page.push_str(&format!("| `{}` | {} |\n", code.text(), code.meaning()));
    }
    page
}

fn example() -> String {
    use crate::platform::http::problem::Problem;
    let problem = Problem::rule(
        "/endingDate",
        FieldCode::EndBeforeStart,
        "the ending date lies before the starting date",
    );
    format!("{:#}", problem.document("/v1/campaigns/CP0001", "0190b5c27d5e70008000000000000001"))
}
