//! The errors of a filter, with their positions.

/// An error in a filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterError {
    /// The kind of error.
    pub kind: ErrorKind,
    /// The position of its first character, counted in characters from 0; `None` if the filter is
    /// too long.
    pub position: Option<usize>,
    /// The beginning of the text at the position.
    pub near: String,
    /// The error in a sentence.
    pub detail: String,
    /// A fact that helps to correct it.
    pub hint: Option<Hint>,
}

/// The kind of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The text does not follow the grammar.
    Syntax,
    /// A control character.
    InvalidCharacter,
    /// An unknown field, or an operator that the field does not support.
    NotFilterable,
    /// A literal that is not a value of the field.
    InvalidValue,
    /// A literal that is not a decimal.
    InvalidDecimal,
    /// A literal that is not a date or instant.
    InvalidDate,
    /// Too many comparisons or values, or too deep nesting.
    TooComplex,
    /// More than [`MAX_LENGTH`](crate::MAX_LENGTH) characters.
    TooLong,
}

/// A fact that helps to correct an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// The most similar valid name or value.
    Nearest(String),
    /// The limit that was exceeded.
    Maximum(usize),
}
