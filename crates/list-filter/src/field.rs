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
}

impl Field {
    /// Creates a field whose expression can be null.
    ///
    /// Nullable is the default because a mistake in this direction costs only time. A nullable
    /// expression that is declared not null would lose rows between pages.
    #[must_use]
    pub const fn new(name: &'static str, kind: FieldKind, sql: &'static str) -> Self {
        Self { name, kind, sql, nullable: true }
    }

    /// Returns the field with an expression that is never null. Its comparisons and its order then
    /// have the form that a plain index serves.
    #[must_use]
    pub const fn not_null(self) -> Self {
        Self { nullable: false, ..self }
    }

    /// Returns true if the field has one value, so that rows can be ordered by it.
    #[must_use]
    pub const fn is_scalar(&self) -> bool {
        self.kind.element().is_none()
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
