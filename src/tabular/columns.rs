//! The columns of a table: their names, and the conversion between rows and JSON objects.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::cell::{Cell, CellError};
use super::shape::{Field, Kind};
use crate::platform::http::json::MAX_ELEMENTS;
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};

/// Maximum number of columns of a table.
pub const MAX_COLUMNS: usize = 1_000;

/// A step from a value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A field of an object.
    Field(String),
    /// An element of a list.
    Element(usize),
}

/// Writes the name of the column that a path leads to.
fn name_of(path: &[Step]) -> String {
    let mut name = String::new();
    for step in path {
        let written = match step {
            Step::Field(field) if name.is_empty() => write!(name, "{field}"),
            Step::Field(field) => write!(name, ".{field}"),
            Step::Element(index) => write!(name, "[{index}]"),
        };
        // Writing to a text cannot fail.
        debug_assert!(written.is_ok());
    }
    name
}

/// Returns the name of the column that a JSON pointer of an error leads to.
#[must_use]
pub fn name_of_pointer(pointer: &str) -> String {
    let steps = pointer.split('/').skip(1).map(|step| match step.parse() {
        Ok(index) => Step::Element(index),
        Err(_) => Step::Field(step.replace("~1", "/").replace("~0", "~")),
    });
    name_of(&steps.collect::<Vec<_>>())
}

/// Parses the name of a column: `customer.number`, `unitsOfMeasure[0].code`.
fn parse_name(name: &str) -> Option<Vec<Step>> {
    let mut path = Vec::new();
    for part in name.trim().split('.') {
        let (field, indexes) = part.split_at(part.find('[').unwrap_or(part.len()));
        if field.is_empty() {
            return None;
        }
        path.push(Step::Field(field.to_owned()));
        let mut rest = indexes;
        while !rest.is_empty() {
            let (index, after) = rest.strip_prefix('[')?.split_once(']')?;
            if !index.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            path.push(Step::Element(index.parse().ok().filter(|index| *index < MAX_ELEMENTS)?));
            rest = after;
        }
    }
    Some(path)
}

/// The largest number of elements of each list in a table, by the path of the list.
pub type Widths = BTreeMap<String, usize>;

/// Records the numbers of elements in a value.
pub fn measure(field: &Field, value: &Value, widths: &mut Widths) {
    measure_at(field, value, &mut Vec::new(), widths);
}

fn measure_at(field: &Field, value: &Value, path: &mut Vec<Step>, widths: &mut Widths) {
    match (&field.kind, value) {
        (Kind::Object(fields), Value::Object(values)) => {
            for (name, field) in fields {
                if let Some(value) = values.get(name) {
                    path.push(Step::Field(name.clone()));
                    measure_at(field, value, path, widths);
                    path.pop();
                }
            }
        }
        (Kind::List(element), Value::Array(values)) => {
            let width = widths.entry(name_of(path)).or_default();
            *width = (*width).max(values.len());
            for (index, value) in values.iter().enumerate() {
                path.push(Step::Element(index));
                measure_at(element, value, path, widths);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Returns whether a resource has lists, whose columns depend on the rows.
#[must_use]
pub fn has_lists(field: &Field) -> bool {
    matches!(field.kind, Kind::List(_)) || field.fields().iter().any(|(_, field)| has_lists(field))
}

/// A column of an export.
#[derive(Debug, Clone)]
pub struct Column {
    /// The name in the header.
    pub name: String,
    /// The field.
    pub field: Field,
    path: Vec<Step>,
}

impl Column {
    /// Returns the value of the column in a row.
    #[must_use]
    pub fn value<'a>(&self, row: &'a Value) -> &'a Value {
        let value = self.path.iter().try_fold(row, |value, step| match step {
            Step::Field(name) => value.get(name),
            Step::Element(index) => value.get(index),
        });
        value.unwrap_or(&Value::Null)
    }
}

/// Returns the columns of an export.
#[must_use]
pub fn columns(field: &Field, widths: &Widths) -> Vec<Column> {
    let mut columns = Vec::new();
    add_columns(field, &mut Vec::new(), widths, &mut columns);
    columns
}

fn add_columns(field: &Field, path: &mut Vec<Step>, widths: &Widths, columns: &mut Vec<Column>) {
    match &field.kind {
        Kind::Object(fields) => {
            for (name, field) in fields {
                path.push(Step::Field(name.clone()));
                add_columns(field, path, widths, columns);
                path.pop();
            }
        }
        Kind::List(element) => {
            let width = widths.get(&name_of(path)).copied().unwrap_or_default();
            for index in 0..width {
                path.push(Step::Element(index));
                add_columns(element, path, widths, columns);
                path.pop();
            }
        }
        _ => columns.push(Column { name: name_of(path), field: field.clone(), path: path.clone() }),
    }
}

/// The columns of a file, as a tree like the objects that its rows become.
#[derive(Debug)]
enum Node {
    Cell { place: usize, field: Field },
    Object { fields: Vec<(String, Self)>, is_nullable: bool },
    List { elements: BTreeMap<usize, Self>, is_nullable: bool },
}

/// The header of a file.
#[derive(Debug)]
pub struct Header {
    root: Node,
    names: Vec<String>,
}

/// An error of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The name of the column; empty if the error concerns the whole row.
    pub column: String,
    /// The code.
    pub code: &'static str,
    /// The error in a sentence.
    pub detail: String,
}

/// A row of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// The line on which the row begins, from 1.
    pub line: u64,
    /// The object that a client would send, or the errors of the row.
    pub content: Result<Value, Vec<RowError>>,
}

impl RowError {
    /// Creates an error of a whole row.
    pub fn of_row(code: FieldCode, detail: impl Into<String>) -> Self {
        Self { column: String::new(), code: code.text(), detail: detail.into() }
    }

    /// Returns the errors of a refused row.
    #[must_use]
    pub fn of_problem(problem: &Problem) -> Vec<Self> {
        if problem.errors.is_empty() {
            let (code, detail) = (problem.code.text(), problem.detail.clone());
            return vec![Self { column: String::new(), code, detail }];
        }
        let error = |error: &FieldError| Self {
            column: name_of_pointer(&error.pointer),
            code: error.code.text(),
            detail: error.detail.clone(),
        };
        problem.errors.iter().map(error).collect()
    }
}

impl Header {
    /// Reads the names of the columns of a resource.
    ///
    /// # Errors
    /// 400 with every name that is no column of the resource or occurs twice.
    pub fn read(names: Vec<String>, field: &Field) -> Result<Self, Problem> {
        let mut errors = Vec::new();
        let error = |place: usize, code, detail: String| {
            FieldError::new(format!("/header/{place}"), code, detail)
        };
        if names.len() > MAX_COLUMNS {
            let detail = format!("a file has at most {MAX_COLUMNS} columns");
            return Err(Problem::from_errors(vec![error(0, FieldCode::TooLong, detail)]));
        }
        let mut root = Node::Object { fields: Vec::new(), is_nullable: false };
        let mut seen = HashSet::new();
        for (place, name) in names.iter().enumerate() {
            let placed = parse_name(name).filter(|path| root.add(path, field, place));
            if placed.is_none() {
                let mut known: Vec<String> = Vec::new();
                collect_names(field, &mut Vec::new(), &mut known);
                let nearest = known
                    .iter()
                    .max_by(|a, b| {
                        strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name))
                    })
                    .cloned()
                    .unwrap_or_default();
                let detail = format!("{name:?} is no column; the nearest is {nearest}");
                let unknown = error(place, FieldCode::UnknownField, detail);
                errors.push(unknown.param("nearest", nearest));
            } else if !seen.insert(name.trim().to_owned()) {
                let detail = format!("the column {name} occurs more than once");
                errors.push(error(place, FieldCode::DuplicateField, detail));
            }
        }
        if names.is_empty() {
            let detail = "the file has no header with the names of its columns".to_owned();
            errors.push(error(0, FieldCode::Required, detail));
        }
        if errors.is_empty() {
            Ok(Self { root, names })
        } else {
            Err(Problem::with_errors(ProblemCode::InvalidRequest, errors))
        }
    }

    /// Returns the number of columns.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.names.len()
    }

    /// Returns a row as the object that a client would send; `None` if all its cells are blank.
    ///
    /// # Errors
    /// The errors of all its cells.
    pub fn row(
        &self,
        cells: &[Cell],
        has_decimal_comma: bool,
    ) -> Result<Option<Value>, Vec<RowError>> {
        let mut errors = Vec::new();
        let built = self.root.build(cells, has_decimal_comma, &mut |place, error| {
            let (code, detail) = match error {
                CellError::ControlCharacter => {
                    (FieldCode::InvalidCharacter, "the text holds a control character")
                }
                CellError::FormulaError => {
                    (FieldCode::InvalidValue, "the cell has an error of a formula")
                }
            };
            let column = self.names.get(place).cloned().unwrap_or_default();
            errors.push(RowError { column, code: code.text(), detail: detail.to_owned() });
        });
        if !errors.is_empty() {
            return Err(errors);
        }
        Ok(if built.is_blank { None } else { built.value })
    }
}

/// Collects the names of all columns, lists with one element.
fn collect_names(field: &Field, path: &mut Vec<Step>, names: &mut Vec<String>) {
    match &field.kind {
        Kind::Object(fields) => {
            for (name, field) in fields {
                path.push(Step::Field(name.clone()));
                collect_names(field, path, names);
                path.pop();
            }
        }
        Kind::List(element) => {
            path.push(Step::Element(0));
            collect_names(element, path, names);
            path.pop();
        }
        _ => names.push(name_of(path)),
    }
}

/// A value that was built from cells.
struct Built {
    /// The value; `None` leaves the field out.
    value: Option<Value>,
    /// True if all its cells are blank.
    is_blank: bool,
}

impl Node {
    /// Adds a column. Returns false if the field has no such value.
    fn add(&mut self, path: &[Step], field: &Field, place: usize) -> bool {
        match (self, path.split_first(), &field.kind) {
            (Self::Object { fields, .. }, Some((Step::Field(name), rest)), Kind::Object(known)) => {
                let Some((_, field)) = known.iter().find(|(known, _)| known == name) else {
                    return false;
                };
                if let Some((_, node)) = fields.iter_mut().find(|(known, _)| known == name) {
                    return node.add(rest, field, place);
                }
                let mut node = Self::new(field, place);
                let added = node.add(rest, field, place);
                fields.push((name.clone(), node));
                added
            }
            (
                Self::List { elements, .. },
                Some((Step::Element(index), rest)),
                Kind::List(field),
            ) => {
                let node = elements.entry(*index).or_insert_with(|| Self::new(field, place));
                node.add(rest, field, place)
            }
            (Self::Cell { .. }, None, _) => true,
            _ => false,
        }
    }

    fn new(field: &Field, place: usize) -> Self {
        let is_nullable = field.is_nullable;
        match &field.kind {
            Kind::Object(_) => Self::Object { fields: Vec::new(), is_nullable },
            Kind::List(_) => Self::List { elements: BTreeMap::new(), is_nullable },
            _ => Self::Cell { place, field: field.clone() },
        }
    }

    fn build(
        &self,
        cells: &[Cell],
        has_decimal_comma: bool,
        refuse: &mut impl FnMut(usize, CellError),
    ) -> Built {
        let null = |is_nullable: bool| is_nullable.then_some(Value::Null);
        match self {
            Self::Cell { place, field } => match cells.get(*place) {
                Some(cell) if !cell.is_blank(field) => {
                    let value = cell.json(field, has_decimal_comma);
                    let value = value.map_err(|error| refuse(*place, error)).ok();
                    Built { value, is_blank: false }
                }
                _ => {
                    let empty = || field.takes_empty_text.then(|| "".into());
                    Built { value: null(field.is_nullable).or_else(empty), is_blank: true }
                }
            },
            Self::Object { fields, is_nullable } => {
                let mut object = Map::new();
                let mut is_blank = true;
                for (name, node) in fields {
                    let built = node.build(cells, has_decimal_comma, refuse);
                    is_blank &= built.is_blank;
                    object.extend(built.value.map(|value| (name.clone(), value)));
                }
                let value = if is_blank { null(*is_nullable) } else { Some(object.into()) };
                Built { value, is_blank }
            }
            Self::List { elements, is_nullable } => {
                let built = elements
                    .values()
                    .map(|element| element.build(cells, has_decimal_comma, refuse))
                    .filter(|built| !built.is_blank);
                let values: Vec<Value> = built.filter_map(|built| built.value).collect();
                let is_blank = values.is_empty();
                let value = if is_blank && *is_nullable { Value::Null } else { values.into() };
                Built { value: Some(value), is_blank }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn field(kind: Kind, is_nullable: bool) -> Field {
        let takes_empty_text = kind == Kind::Text && !is_nullable;
        Field { kind, is_nullable, takes_empty_text }
    }

    fn item() -> Field {
        let object = |fields: Vec<(&str, Field)>| {
            Kind::Object(fields.into_iter().map(|(name, field)| (name.to_owned(), field)).collect())
        };
        let unit = object(vec![
            ("code", field(Kind::Text, false)),
            ("quantity", field(Kind::Decimal, false)),
        ]);
        let customer = object(vec![("number", field(Kind::Text, true))]);
        let root = object(vec![
            ("number", field(Kind::Text, true)),
            ("blocked", field(Kind::Boolean, false)),
            ("customer", field(customer, true)),
            ("groups", field(Kind::List(Box::new(field(Kind::Text, false))), false)),
            ("units", field(Kind::List(Box::new(field(unit, false))), false)),
        ]);
        field(root, false)
    }

    fn row(names: &[&str], cells: &[&str]) -> Option<Value> {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let cells: Vec<Cell> = cells.iter().map(|cell| Cell::Text((*cell).to_owned())).collect();
        Header::read(names, &item()).unwrap().row(&cells, false).unwrap()
    }

    #[test]
    fn rows_become_objects() {
        let names = [
            "number",
            "blocked",
            "customer.number",
            "groups[0]",
            "groups[1]",
            "units[0].code",
            "units[0].quantity",
        ];
        assert_eq!(
            row(&names, &["A", "true", "C1", "", "G", "PCS", "1.5"]),
            Some(json!({"number": "A", "blocked": true, "customer": {"number": "C1"},
                "groups": ["G"], "units": [{"code": "PCS", "quantity": "1.5"}]}))
        );
        assert_eq!(
            row(&names, &["A", "", "", "", "", "", ""]),
            Some(json!({"number": "A", "customer": null, "groups": [], "units": []}))
        );
        assert_eq!(row(&names, &[""; 7]), None);
        assert_eq!(row(&["number"], &["A"]), Some(json!({"number": "A"})));
    }

    #[test]
    fn unknown_and_repeated_columns_are_named() {
        let names = [
            "nummer",
            "number",
            "number ",
            "units",
            "units[0]",
            "units[x].code",
            "units[1000].code",
            "customer",
            "groups[0].x",
            "",
            "blocked.x",
        ];
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let problem = Header::read(names, &item()).unwrap_err();
        let codes: Vec<_> =
            problem.errors.iter().map(|error| (error.pointer.as_str(), error.code)).collect();
        assert_eq!(codes.len(), 10, "{codes:?}");
        assert_eq!(codes[0], ("/header/0", FieldCode::UnknownField));
        assert_eq!(problem.errors[0].params["nearest"], "number");
        assert_eq!(codes[1], ("/header/2", FieldCode::DuplicateField));
    }

    #[test]
    fn columns_of_an_export_fit_its_rows() {
        let rows = [
            json!({"number": "A", "customer": null, "groups": [], "units": [{"code": "X"}]}),
            json!({"number": "B", "customer": {"number": "C"}, "groups": ["G", "H"], "units": []}),
        ];
        let mut widths = Widths::new();
        rows.iter().for_each(|row| measure(&item(), row, &mut widths));
        let columns = columns(&item(), &widths);
        let names: Vec<_> = columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "number",
                "blocked",
                "customer.number",
                "groups[0]",
                "groups[1]",
                "units[0].code",
                "units[0].quantity"
            ]
        );
        let values: Vec<_> = columns.iter().map(|column| column.value(&rows[1])).collect();
        assert_eq!(values[2..5], [&json!("C"), &json!("G"), &json!("H")]);
    }

    #[test]
    fn pointers_become_names() {
        assert_eq!(name_of_pointer("/unitsOfMeasure/0/code"), "unitsOfMeasure[0].code");
        assert_eq!(name_of_pointer("/number"), "number");
        assert_eq!(name_of_pointer(""), "");
    }
}
