//! The tree of a filter: every name resolved, every literal typed.

use std::fmt;

use crate::{Field, FieldKind, Literal};

/// The name of the variable of `any` in a printed tree, whatever name the filter used.
const VARIABLE: &str = "x";

/// The element of a list of keys inside `any`.
pub static KEY_ELEMENT: Field = Field::new(VARIABLE, FieldKind::Key, "element.value").not_null();
/// The element of a list of texts inside `any`.
pub static TEXT_ELEMENT: Field = Field::new(VARIABLE, FieldKind::Text, "element.value").not_null();

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// All of two or more conditions hold.
    And(Vec<Self>),
    /// At least one of two or more conditions holds.
    Or(Vec<Self>),
    /// The condition does not hold.
    Not(Box<Self>),
    /// A comparison with a value.
    Compare(&'static Field, Comparison, Literal),
    /// A comparison of a function of an argument with a value.
    CompareOf(&'static Field, i64, Comparison, Literal),
    /// The field is null.
    IsNull(&'static Field),
    /// The field is not null.
    IsNotNull(&'static Field),
    /// The field has one of these values, at least one.
    In(&'static Field, Vec<Literal>),
    /// The field's text contains another text.
    Match(&'static Field, TextMatch, String),
    /// An element of the list meets the condition. Without a condition: the list is not empty.
    ///
    /// The element is a field whose SQL expression is `element.value`.
    Any(&'static Field, Option<Box<Self>>),
}

/// A comparison operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Equal.
    Eq,
    /// Not equal; true where the field is null.
    Ne,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
}

impl Comparison {
    /// All operators with their names.
    pub const ALL: [(&'static str, Self); 6] = [
        ("eq", Self::Eq),
        ("ne", Self::Ne),
        ("gt", Self::Gt),
        ("ge", Self::Ge),
        ("lt", Self::Lt),
        ("le", Self::Le),
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Lt => "lt",
            Self::Le => "le",
        }
    }
}

/// A function that compares a part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextMatch {
    /// Anywhere in the text.
    Contains,
    /// At the start of the text.
    StartsWith,
    /// At the end of the text.
    EndsWith,
}

impl TextMatch {
    /// All functions with their names.
    pub const ALL: [(&'static str, Self); 3] = [
        ("contains", Self::Contains),
        ("startswith", Self::StartsWith),
        ("endswith", Self::EndsWith),
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::StartsWith => "startswith",
            Self::EndsWith => "endswith",
        }
    }
}

impl Expr {
    /// Returns the fields that the condition reads, without elements of lists.
    #[must_use]
    pub fn fields(&self) -> Vec<&'static Field> {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().flat_map(Self::fields).collect(),
            Self::Not(inner) => inner.fields(),
            Self::Compare(field, ..)
            | Self::CompareOf(field, ..)
            | Self::IsNull(field)
            | Self::IsNotNull(field)
            | Self::In(field, _)
            | Self::Match(field, ..)
            | Self::Any(field, _) => vec![field],
        }
    }
}

/// Writes a filter that parses to the same tree.
impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => {
                joined(f, parts, " and ", |part| matches!(part, Self::And(_) | Self::Or(_)))
            }
            Self::Or(parts) => joined(f, parts, " or ", |part| matches!(part, Self::Or(_))),
            Self::Not(inner) => write!(f, "not ({inner})"),
            Self::Compare(field, operator, value) => {
                write!(f, "{} {} {value}", field.name, operator.name())
            }
            Self::CompareOf(field, argument, operator, value) => {
                write!(f, "{}({argument}) {} {value}", field.name, operator.name())
            }
            Self::IsNull(field) => write!(f, "{} eq null", field.name),
            Self::IsNotNull(field) => write!(f, "{} ne null", field.name),
            Self::In(field, values) => {
                write!(f, "{} in (", field.name)?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str(")")
            }
            Self::Match(field, function, text) => {
                write!(f, "{}({}, '{}')", function.name(), field.name, text.replace('\'', "''"))
            }
            Self::Any(field, None) => write!(f, "{}/any()", field.name),
            Self::Any(field, Some(inner)) => write!(f, "{}/any({VARIABLE}: {inner})", field.name),
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expr],
    operator: &str,
    needs_parentheses: fn(&Expr) -> bool,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { operator })?;
        if needs_parentheses(part) { write!(f, "({part})")? } else { write!(f, "{part}")? }
    }
    Ok(())
}
