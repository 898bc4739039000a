//! Reading of a batch: its mode and its rows.

use std::collections::HashSet;

use deserr::Deserr;
use serde_json::{Map, Value};
use uuid::Uuid;
use values::{Id, text_enum};

use super::super::definition::Resource;
use crate::platform::http::etag::Condition;
use crate::platform::http::json::{BodyErrors, MAX_ELEMENTS, decode};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};

/// Maximum number of rows in a batch. Parsing stops at the next one.
pub const MAX_BATCH_ROWS: usize = MAX_ELEMENTS;

text_enum! {
    /// The treatment of fields that a row for an existing resource does not contain.
    Mode {
        /// They stay as they are.
        Merge = "MERGE",
        /// They get their default.
        Replace = "REPLACE",
    }
}

/// A batch: each row is read, or is the problem of that row.
pub(super) struct Batch<W> {
    /// The treatment of absent fields.
    pub mode: Mode,
    /// True if one refused row refuses all.
    pub atomic: bool,
    /// True to answer the receipts and change nothing.
    pub validate_only: bool,
    /// The rows in their order.
    pub rows: Vec<Result<Row<W>, Problem>>,
}

/// A row of a batch.
pub(super) struct Row<W> {
    /// The id of the resource, if the row names it by its id.
    pub id: Option<Uuid>,
    /// The condition on the current ETag of the resource.
    pub if_match: Option<Condition>,
    /// True to delete the resource.
    pub delete: bool,
    /// The fields of the resource as the client sent them.
    pub fields: Value,
    /// The row as a write, to find the resource that it names. In a row that may be partial,
    /// absent fields have placeholders. `None` if the row has an id.
    pub identity: Option<W>,
}

/// The fields of a row that are not those of the resource.
#[derive(Deserr, Default)]
#[deserr(error = BodyErrors, rename_all = camelCase)]
struct Controls {
    #[deserr(default)]
    id: Option<Id>,
    #[deserr(default)]
    if_match: Option<String>,
    #[deserr(default)]
    delete: bool,
}

const CONTROL_FIELDS: [&str; 3] = ["id", "ifMatch", "delete"];

/// Reads a batch.
///
/// # Errors
/// 400 when the body is no batch. The problems of rows are in the rows.
pub(super) fn read_batch<R: Resource>(body: Value) -> Result<Batch<R::Write>, Problem> {
    #[derive(Deserr)]
    #[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
    struct Body {
        #[deserr(default)]
        mode: Option<Mode>,
        #[deserr(default = true)]
        atomic: bool,
        #[deserr(default)]
        validate_only: bool,
        rows: Vec<Value>,
    }
    let body: Body = decode(body).map_err(Problem::from_errors)?;
    if R::IS_APPEND_ONLY && body.mode.is_some() {
        let detail = "rows that exist never change, so a batch of them has no mode";
        return Err(Problem::rule("/mode", FieldCode::NotAllowed, detail));
    }
    let mode = body.mode.unwrap_or(if R::IS_APPEND_ONLY { Mode::Replace } else { Mode::Merge });
    if body.rows.is_empty() {
        let detail = "a batch has at least one row";
        let error = FieldError::new("/rows", FieldCode::TooShort, detail);
        return Err(Problem::from_errors(vec![error]));
    }
    let rows = read_rows::<R>(mode, body.rows);
    Ok(Batch { mode, atomic: body.atomic, validate_only: body.validate_only, rows })
}

/// Reads the rows of a batch. A row whose identity an earlier one has is refused.
pub(super) fn read_rows<R: Resource>(
    mode: Mode,
    rows: Vec<Value>,
) -> Vec<Result<Row<R::Write>, Problem>> {
    let mut seen = HashSet::new();
    let rows = rows.into_iter().map(|row| {
        let row = read_row::<R>(mode, row)?;
        match row.identity.as_ref().and_then(R::row_identity) {
            Some(identity) if !seen.insert(identity.clone()) => Err(repeated::<R>(&identity)),
            _ => Ok(row),
        }
    });
    rows.collect()
}

pub(super) fn read_row<R: Resource>(mode: Mode, mut row: Value) -> Result<Row<R::Write>, Problem> {
    let mut controls = Map::new();
    if let Value::Object(fields) = &mut row
        && !R::IS_APPEND_ONLY
    {
        controls.extend(CONTROL_FIELDS.into_iter().filter_map(|name| fields.remove_entry(name)));
    }
    let mut errors = Vec::new();
    let controls: Controls =
        decode(Value::Object(controls)).unwrap_or_else(|refused: Vec<FieldError>| {
            errors.extend(refused);
            Controls::default()
        });
    let if_match = controls.if_match.and_then(|text| {
        Condition::parse(&text).or_else(|| {
            let detail = "ifMatch is * or the ETag of the resource, in its quotes";
            errors.push(FieldError::new("/ifMatch", FieldCode::InvalidValue, detail));
            None
        })
    });
    let id = controls.id.map(Id::get);
    let identity = if id.is_some() && row.is_object() {
        None
    } else {
        let is_partial = mode == Mode::Merge || controls.delete;
        let whole = if is_partial { with_placeholders::<R>(row.clone()) } else { row.clone() };
        decode(whole).map_err(|refused| errors.extend(refused)).ok()
    };
    if errors.is_empty() {
        Ok(Row { id, if_match, delete: controls.delete, fields: row, identity })
    } else {
        Err(Problem::from_errors(errors))
    }
}

/// Adds placeholders for the required fields that a partial row leaves out.
fn with_placeholders<R: Resource>(mut row: Value) -> Value {
    if let (Value::Object(fields), Value::Object(placeholders)) = (&mut row, R::placeholders()) {
        for (name, placeholder) in placeholders {
            let field = fields.entry(name).or_insert(Value::Null);
            if field.is_null() {
                *field = placeholder;
            }
        }
    }
    row
}

/// Returns the problem of a row whose identity an earlier row of the batch has.
pub(super) fn repeated<R: Resource>(identity: &str) -> Problem {
    let pointer = R::NAMES.key_field.map_or_else(String::new, |field| format!("/{field}"));
    let detail = format!("{identity} is in the batch more than once");
    Problem::rule(pointer, FieldCode::Duplicate, detail)
}
