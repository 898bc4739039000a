//! Orders of lists: the fields and directions of `orderby`.
//!
//! Null is the smallest value: it comes first ascending and last descending, and a page can begin
//! after it.

use std::fmt;

use super::Literal;
use super::sql::Fragment;
use super::{Field, ListSpec};
use crate::platform::http::json::nearest;
use crate::platform::http::problem::{FieldCode, FieldError};

/// Maximum number of fields in an `orderby`.
pub const MAX_TERMS: usize = 5;

/// One field of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// The field.
    pub field: &'static Field,
    /// True if the greatest value comes first.
    pub descending: bool,
    /// True if the field can be null; a tie-breaker never is.
    pub nullable: bool,
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field.name, if self.descending { "desc" } else { "asc" })
    }
}

/// Parses an `orderby` and appends the tie-breaker if it is missing.
///
/// # Errors
/// All errors, each with its position in characters.
pub fn parse(text: &str, spec: &ListSpec) -> Result<Vec<Sort>, Vec<FieldError>> {
    let mut sorts: Vec<Sort> = Vec::new();
    let mut errors = Vec::new();
    let mut position = 0;
    for (index, part) in text.split(',').enumerate() {
        if index == MAX_TERMS {
            let detail = format!("orderby has more than {MAX_TERMS} fields");
            errors.push(
                error_at(FieldCode::TooComplex, position, part, detail).param("maximum", MAX_TERMS),
            );
            break;
        }
        let at = position + part.chars().take_while(|c| c.is_whitespace()).count();
        match parse_term(part, at, spec.fields) {
            Ok(sort) if sorts.iter().any(|known| known.field == sort.field) => {
                let detail = format!("the order names {} twice", sort.field.name);
                errors.push(error_at(FieldCode::Duplicate, at, part, detail));
            }
            Ok(sort) => sorts.push(sort),
            Err(error) => errors.push(error),
        }
        position += part.chars().count() + 1;
    }
    if errors.is_empty() { Ok(with_tie(sorts, spec)) } else { Err(errors) }
}

/// Ends the order with the tie-breaker. Further fields are dropped, since no two rows are equal in
/// it.
fn with_tie(mut sorts: Vec<Sort>, spec: &ListSpec) -> Vec<Sort> {
    match sorts.iter().position(|sort| sort.field.name == spec.tie) {
        Some(last) => {
            sorts.truncate(last + 1);
            sorts.iter_mut().skip(last).for_each(|tie| tie.nullable = false);
        }
        None => {
            let tie = spec.fields.iter().find(|field| field.name == spec.tie);
            sorts.extend(tie.map(|field| Sort { field, descending: false, nullable: false }));
        }
    }
    sorts
}

fn parse_term(part: &str, at: usize, fields: &'static [Field]) -> Result<Sort, FieldError> {
    let mut words = part.split_whitespace();
    let name = words.next().unwrap_or_default().replace('/', ".");
    if name.is_empty() {
        return Err(error_at(FieldCode::Syntax, at, part, "the name of a field is expected"));
    }
    let descending = match (words.next(), words.next()) {
        (None, _) => false,
        (Some(word), None) if word.eq_ignore_ascii_case("asc") => false,
        (Some(word), None) if word.eq_ignore_ascii_case("desc") => true,
        _ => {
            return Err(error_at(
                FieldCode::Syntax,
                at,
                part,
                "a field, then asc, desc or nothing, is expected",
            ));
        }
    };
    match fields.iter().find(|field| field.name == name) {
        Some(field) if field.is_orderable() => {
            Ok(Sort { field, descending, nullable: field.nullable })
        }
        Some(_) => Err(error_at(
            FieldCode::NotFilterable,
            at,
            part,
            format!("{name} can be filtered by, but has no order"),
        )),
        None => {
            let names: Vec<&str> = fields
                .iter()
                .filter(|field| field.is_orderable())
                .map(|field| field.name)
                .collect();
            let shown: String = name.chars().take(60).collect();
            let detail = format!("{shown} cannot be ordered by");
            let error = error_at(FieldCode::NotFilterable, at, part, detail);
            Err(match nearest(&shown, &names) {
                Some(near) => error.param("nearest", near),
                None => error,
            })
        }
    }
}

fn error_at(code: FieldCode, position: usize, part: &str, detail: impl Into<String>) -> FieldError {
    let near: String = part.trim_start().chars().take(24).collect();
    FieldError::new("?orderby", code, detail).param("position", position).param("near", near)
}

/// Writes the order. A field that is never null has no `NULLS` clause, because the clause would
/// prevent the use of an index in its default order.
pub fn write(sorts: &[Sort], out: &mut Fragment) {
    for (index, sort) in sorts.iter().enumerate() {
        out.sql(if index == 0 { "" } else { ", " }).field(sort.field);
        out.sql(match (sort.descending, sort.nullable) {
            (false, true) => " ASC NULLS FIRST",
            (false, false) => " ASC",
            (true, true) => " DESC NULLS LAST",
            (true, false) => " DESC",
        });
    }
}

/// Writes the condition that a row comes after the one with these values: after it in the first
/// field, or equal there and after it in the rest. Null is the smallest value.
pub fn write_after(place: &[(Sort, Option<Literal>)], out: &mut Fragment) {
    // Redundant, but an index scan can start at it, which it cannot at an OR.
    if let Some((sort, Some(value))) = place.first() {
        if !sort.descending {
            out.field(sort.field).sql(" >= ").bind(value.clone()).sql(" AND ");
        } else if !sort.nullable {
            out.field(sort.field).sql(" <= ").bind(value.clone()).sql(" AND ");
        }
    }
    write_lexicographically_after(place, out);
}

fn write_lexicographically_after(place: &[(Sort, Option<Literal>)], out: &mut Fragment) {
    let Some(((sort, value), rest)) = place.split_first() else {
        out.sql("FALSE");
        return;
    };
    out.sql("(");
    match (value, sort.descending) {
        (Some(value), false) => out.field(sort.field).sql(" > ").bind(value.clone()),
        (Some(value), true) if sort.nullable => out
            .field(sort.field)
            .sql(" < ")
            .bind(value.clone())
            .sql(" OR ")
            .field(sort.field)
            .sql(" IS NULL"),
        (Some(value), true) => out.field(sort.field).sql(" < ").bind(value.clone()),
        (None, false) => out.field(sort.field).sql(" IS NOT NULL"),
        (None, true) => out.sql("FALSE"),
    };
    if !rest.is_empty() {
        out.sql(" OR ").field(sort.field);
        match value {
            Some(value) => out.sql(" = ").bind(value.clone()),
            None => out.sql(" IS NULL"),
        };
        out.sql(" AND ");
        write_lexicographically_after(rest, out);
    }
    out.sql(")");
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use diesel::debug_query;
    use diesel::pg::Pg;

    use super::super::FieldKind;
    use super::super::sql::SqlCondition;
    use super::*;

    const SPEC: ListSpec = ListSpec {
        fields: &[
            Field::new("number", FieldKind::Key, "n").not_null(),
            Field::new("name", FieldKind::Text, "a"),
            Field::new("price", FieldKind::Decimal, "p").not_null(),
            Field::new("groups", FieldKind::KeyList, "g"),
            Field::new("customer.number", FieldKind::Key, "c"),
            Field::new("state", FieldKind::Enum(&["A"]), "s < {today}"),
        ],
        default_order: "number",
        tie: "number",
    };

    fn printed(write: impl Fn(&mut Fragment)) -> String {
        let mut fragment = Fragment::new(NaiveDate::from_ymd_opt(2031, 5, 15).unwrap());
        write(&mut fragment);
        debug_query::<Pg, _>(&SqlCondition::new(fragment)).to_string()
    }

    fn order(text: &str) -> String {
        let sorts = parse(text, &SPEC).unwrap();
        printed(|out| write(&sorts, out))
    }

    fn errors(text: &str) -> Vec<(FieldCode, u64)> {
        let errors = parse(text, &SPEC).unwrap_err();
        errors
            .into_iter()
            .map(|error| (error.code, error.params["position"].as_u64().unwrap()))
            .collect()
    }

    #[test]
    fn tie_breaker_ends_every_order() {
        for (text, expected) in [
            ("number", "(n) ASC -- binds: []"),
            ("name", "(a) ASC NULLS FIRST, (n) ASC -- binds: []"),
            (" name  DESC ,price asc", "(a) DESC NULLS LAST, (p) ASC, (n) ASC -- binds: []"),
            ("customer/number desc", "(c) DESC NULLS LAST, (n) ASC -- binds: []"),
            ("number desc,name", "(n) DESC -- binds: []"),
            ("state", "(s < $1) ASC NULLS FIRST, (n) ASC -- binds: [2031-05-15]"),
        ] {
            assert_eq!(order(text), expected, "{text}");
        }
    }

    #[test]
    fn errors_have_positions() {
        use FieldCode::{Duplicate, NotFilterable, Syntax, TooComplex};
        for (text, expected) in [
            ("", vec![(Syntax, 0)]),
            ("name,", vec![(Syntax, 5)]),
            (",name", vec![(Syntax, 0)]),
            ("name up", vec![(Syntax, 0)]),
            ("name asc desc", vec![(Syntax, 0)]),
            (
                "naem, äpfel desc,groups",
                vec![(NotFilterable, 0), (NotFilterable, 6), (NotFilterable, 17)],
            ),
            ("name, price, name desc", vec![(Duplicate, 13)]),
            ("customer/number,customer.number", vec![(Duplicate, 16)]),
            ("number,name,price,state,customer/number,name", vec![(TooComplex, 40)]),
            ("number;drop table x", vec![(Syntax, 0)]),
        ] {
            assert_eq!(errors(text), expected, "{text}");
        }
        assert_eq!(parse("naem", &SPEC).unwrap_err()[0].params["nearest"], "name");
    }

    #[test]
    fn condition_after_a_row() {
        let number = || Some(Literal::Text("N".into()));
        for (text, value, expected) in [
            (
                "price",
                Some(Literal::Integer(1)),
                "(p) >= $1 AND ((p) > $2 OR (p) = $3 AND ((n) > $4))",
            ),
            (
                "price desc",
                Some(Literal::Integer(1)),
                "(p) <= $1 AND ((p) < $2 OR (p) = $3 AND ((n) > $4))",
            ),
            (
                "name",
                Some(Literal::Integer(1)),
                "(a) >= $1 AND ((a) > $2 OR (a) = $3 AND ((n) > $4))",
            ),
            (
                "name desc",
                Some(Literal::Integer(1)),
                "((a) < $1 OR (a) IS NULL OR (a) = $2 AND ((n) > $3))",
            ),
            ("name", None, "((a) IS NOT NULL OR (a) IS NULL AND ((n) > $1))"),
            ("name desc", None, "(FALSE OR (a) IS NULL AND ((n) > $1))"),
        ] {
            let place: Vec<_> =
                parse(text, &SPEC).unwrap().into_iter().zip([value, number()]).collect();
            let sql = printed(|out| write_after(&place, out));
            assert_eq!(sql.split(" -- ").next(), Some(expected), "{text}");
        }
    }
}
