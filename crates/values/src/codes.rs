//! Tables of public codes.

/// Declares a table of codes: an enum whose variants have a public text and a meaning. The codes of
/// a table may have one more property each.
///
/// ```ignore
/// code_table! {
///     /// The code of a finding.
///     FindingCode,
///     /// Returns the severity of the code.
///     severity: Severity {
///         NoSegment "NO_SEGMENT": Severity::Error, "No segment is attached to the campaign.";
///     }
/// }
/// ```
#[macro_export]
macro_rules! code_table {
    (
        $(#[$doc:meta])*
        $name:ident $(, $(#[$property_doc:meta])* $property:ident: $type:ty)? {
            $($variant:ident $text:literal $(: $value:expr,)? $meaning:literal;)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, ::utoipa::ToSchema)]
        pub enum $name { $(#[doc = $meaning] #[schema(rename = $text)] $variant),+ }

        impl $name {
            /// All codes, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the stable public text of the code.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// Returns the meaning of the code, for the documentation.
            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning),+ }
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.text())
            }
        }

        $crate::code_property! {
            $name $($(#[$property_doc])* $property: $type)? { $($variant $($value)?;)+ }
        }
    };
}

/// Declares the function that returns the property of a code, if the table has one.
#[doc(hidden)]
#[macro_export]
macro_rules! code_property {
    ($name:ident { $($variant:ident;)+ }) => {};
    (
        $name:ident $(#[$doc:meta])* $property:ident: $type:ty {
            $($variant:ident $value:expr;)+
        }
    ) => {
        impl $name {
            $(#[$doc])*
            #[must_use]
            pub const fn $property(self) -> $type {
                match self { $(Self::$variant => $value),+ }
            }
        }
    };
}
