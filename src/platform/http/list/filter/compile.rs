//! Compilation of filters to SQL.

use list_filter::{Comparison, Expr, Field, FieldKind, Literal, TextMatch};

use super::super::sql::Fragment;

/// Writes a condition. Its SQL may be null where the filter is false; a surrounding `not` corrects
/// that.
///
/// SQL's three-valued `AND` and `OR` are true exactly where they are with false in place of null.
/// So only `NOT` needs a correction, and comparisons at the top stay as plain as an index requires.
pub fn write(expr: &Expr, out: &mut Fragment) {
    match expr {
        Expr::And(parts) => joined(parts, " AND ", out),
        Expr::Or(parts) => joined(parts, " OR ", out),
        Expr::Not(inner) => {
            out.sql("((");
            write(inner, out);
            out.sql(") IS NOT TRUE)");
        }
        Expr::Compare(field, operator, value) => {
            out.field(field).sql(operator_sql(*operator, field.nullable)).bind(value.clone());
        }
        Expr::CompareOf(field, argument, operator, value) => {
            out.function(field, *argument)
                .sql(operator_sql(*operator, field.nullable))
                .bind(value.clone());
        }
        Expr::IsNull(field) => {
            out.field(field).sql(" IS NULL");
        }
        Expr::IsNotNull(field) => {
            out.field(field).sql(" IS NOT NULL");
        }
        Expr::In(field, values) => {
            out.field(field).sql(" IN ");
            for (index, value) in values.iter().enumerate() {
                out.sql(if index == 0 { "(" } else { ", " }).bind(value.clone());
            }
            out.sql(")");
        }
        Expr::Match(field, function, text) => matching(field, *function, text, out),
        Expr::Any(field, None) => {
            out.sql("cardinality(").field(field).sql(") > 0");
        }
        Expr::Any(field, Some(inner)) => match plain_values(inner) {
            Some(values) => {
                out.field(field).sql(" && ").texts(values);
            }
            None => {
                out.sql("EXISTS (SELECT FROM unnest(")
                    .field(field)
                    .sql(") AS element(value) WHERE ");
                write(inner, out);
                out.sql(")");
            }
        },
    }
}

fn joined(parts: &[Expr], separator: &'static str, out: &mut Fragment) {
    for (index, part) in parts.iter().enumerate() {
        out.sql(if index == 0 { "(" } else { separator });
        write(part, out);
    }
    out.sql(")");
}

const fn operator_sql(operator: Comparison, nullable: bool) -> &'static str {
    match operator {
        Comparison::Eq => " = ",
        Comparison::Ne if nullable => " IS DISTINCT FROM ",
        Comparison::Ne => " <> ",
        Comparison::Gt => " > ",
        Comparison::Ge => " >= ",
        Comparison::Lt => " < ",
        Comparison::Le => " <= ",
    }
}

/// Keys are upper-case on both sides, so `LIKE` suffices and can use an index on the "C" collation.
/// Texts need a collation that knows letters outside ASCII: under "C", the collation of the
/// columns, Ä and ä differ.
fn matching(field: &Field, function: TextMatch, text: &str, out: &mut Fragment) {
    let like = if field.kind == FieldKind::Key { " LIKE " } else { " COLLATE \"default\" ILIKE " };
    out.field(field).sql(like).bind(Literal::Text(pattern(function, text)));
}

fn pattern(function: TextMatch, text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    match function {
        TextMatch::Contains => format!("%{escaped}%"),
        TextMatch::StartsWith => format!("{escaped}%"),
        TextMatch::EndsWith => format!("%{escaped}"),
    }
}

/// Returns the values if the condition only requires that an element is one of them. Then the array
/// operator suffices, which can use an index while `EXISTS` cannot.
fn plain_values(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Compare(_, Comparison::Eq, Literal::Text(value)) => Some(vec![value.clone()]),
        Expr::In(_, values) => values
            .iter()
            .map(|value| if let Literal::Text(text) = value { Some(text.clone()) } else { None })
            .collect(),
        Expr::Or(parts) => {
            parts.iter().map(plain_values).collect::<Option<Vec<_>>>().map(|all| all.concat())
        }
        _ => None,
    }
}
