//! Filterable fields.

/// A field of a list's rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The name in the row's JSON, a path for a nested one: `customer.number`. A filter may write
    /// `customer/number`.
    pub name: &'static str,
    /// The kind of its values.
    pub kind: FieldKind,
    /// The trusted SQL expression that the application compiles it to; `{today}` in it becomes a
    /// bound date.
    pub sql: &'static str,
    /// True if the expression can be null.
    pub nullable: bool,
    /// The argument that a function such as `salesAmount(12)` has. It replaces `{argument}` in the
    /// expression, as a bound integer.
    pub argument: Option<Argument>,
    /// True if rows can be filtered but not ordered by the field, because they do not contain it.
    pub filter_only: bool,
}

/// The argument of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// The name in texts.
    pub name: &'static str,
    /// The smallest value.
    pub minimum: i64,
    /// The largest value.
    pub maximum: i64,
}

impl Field {
    /// Creates a field whose expression can be null.
    ///
    /// Nullable is the default because a mistake in this direction costs only time. A nullable
    /// expression that is declared not null would lose rows between pages.
    #[must_use]
    pub const fn new(name: &'static str, kind: FieldKind, sql: &'static str) -> Self {
        Self { name, kind, sql, nullable: true, argument: None, filter_only: false }
    }

    /// Returns the field with an expression that is never null. Its comparisons and its order then
    /// have the form that a plain index serves.
    #[must_use]
    pub const fn not_null(self) -> Self {
        Self { nullable: false, ..self }
    }

    /// Returns the field as a function of an argument.
    #[must_use]
    pub const fn of(self, name: &'static str, minimum: i64, maximum: i64) -> Self {
        Self { argument: Some(Argument { name, minimum, maximum }), filter_only: true, ..self }
    }

    /// Returns the field as one that rows do not contain.
    #[must_use]
    pub const fn filter_only(self) -> Self {
        Self { filter_only: true, ..self }
    }

    /// Returns true if the field has one value.
    #[must_use]
    pub const fn is_scalar(&self) -> bool {
        self.kind.element().is_none()
    }

    /// Returns true if rows can be ordered by the field.
    #[must_use]
    pub const fn is_orderable(&self) -> bool {
        self.is_scalar() && !self.filter_only
    }
}

/// The kind of a field's values, which determines its literals and operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Free text, compared exactly; `contains`, `startswith` and `endswith` ignore case.
    Text,
    /// A business key or code; literals are converted to upper case.
    Key,
    /// An exact number.
    Decimal,
    /// A whole number.
    Integer,
    /// A calendar date.
    Date,
    /// A point in time.
    Instant,
    /// True or false.
    Boolean,
    /// An id.
    Uuid,
    /// One of these texts.
    Enum(&'static [&'static str]),
    /// A list of keys, for `any`.
    KeyList,
    /// A list of free texts, for `any`.
    TextList,
}

impl FieldKind {
    /// Returns the kind of a list's elements, or `None` for a scalar.
    #[must_use]
    pub const fn element(self) -> Option<Self> {
        match self {
            Self::KeyList => Some(Self::Key),
            Self::TextList => Some(Self::Text),
            _ => None,
        }
    }

    /// Returns true if `contains`, `startswith` and `endswith` apply.
    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Key)
    }

    /// Returns true if `gt`, `ge`, `lt` and `le` apply.
    pub(crate) const fn is_ordered(self) -> bool {
        matches!(
            self,
            Self::Text | Self::Key | Self::Decimal | Self::Integer | Self::Date | Self::Instant
        )
    }
}
