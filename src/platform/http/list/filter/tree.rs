//! A filter as a tree, every name resolved and every literal typed.

use std::fmt;

use super::super::{Field, FieldKind};
use crate::platform::http::list::literal::Literal;

/// The variable's name when a tree is written as text; the name a client chose does not matter.
const VARIABLE: &str = "x";

/// A list's key element inside `any`.
pub static KEY_ELEMENT: Field = Field::new(VARIABLE, FieldKind::Key, "element.value").not_null();
/// A list's text element inside `any`.
pub static TEXT_ELEMENT: Field = Field::new(VARIABLE, FieldKind::Text, "element.value").not_null();

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Expr {
    /// All of two or more hold.
    And(Vec<Expr>),
    /// One of two or more holds.
    Or(Vec<Expr>),
    /// The condition does not hold.
    Not(Box<Expr>),
    /// A comparison with a value.
    Compare(&'static Field, Op, Literal),
    /// The field is null.
    IsNull(&'static Field),
    /// The field is not null.
    IsNotNull(&'static Field),
    /// The field is one of the values, of which there is one at least.
    In(&'static Field, Vec<Literal>),
    /// The text has a part.
    Match(&'static Field, Part, String),
    /// Some element of the list meets the condition; without one, the list is not empty.
    Any(&'static Field, Option<Box<Expr>>),
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
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

impl Op {
    /// Every operator with its name.
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

/// Which part of a text is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Anywhere.
    Contains,
    /// At the beginning.
    Starts,
    /// At the end.
    Ends,
}

impl Part {
    /// Every function with its name.
    pub const ALL: [(&'static str, Self); 3] =
        [("contains", Self::Contains), ("startswith", Self::Starts), ("endswith", Self::Ends)];

    const fn name(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::Starts => "startswith",
            Self::Ends => "endswith",
        }
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::And(parts) => {
                joined(f, parts, " and ", |part| matches!(part, Self::And(_) | Self::Or(_)))
            }
            Self::Or(parts) => joined(f, parts, " or ", |part| matches!(part, Self::Or(_))),
            Self::Not(inner) => write!(f, "not ({inner})"),
            Self::Compare(field, op, value) => write!(f, "{} {} {value}", field.name, op.name()),
            Self::IsNull(field) => write!(f, "{} eq null", field.name),
            Self::IsNotNull(field) => write!(f, "{} ne null", field.name),
            Self::In(field, values) => {
                write!(f, "{} in (", field.name)?;
                for (index, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if index == 0 { "" } else { ", " })?;
                }
                f.write_str(")")
            }
            Self::Match(field, part, text) => {
                write!(f, "{}({}, '{}')", part.name(), field.name, text.replace('\'', "''"))
            }
            Self::Any(field, None) => write!(f, "{}/any()", field.name),
            Self::Any(field, Some(inner)) => write!(f, "{}/any({VARIABLE}: {inner})", field.name),
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[Expr],
    word: &str,
    enclose: fn(&Expr) -> bool,
) -> fmt::Result {
    for (index, part) in parts.iter().enumerate() {
        f.write_str(if index == 0 { "" } else { word })?;
        if enclose(part) { write!(f, "({part})")? } else { write!(f, "{part}")? }
    }
    Ok(())
}
