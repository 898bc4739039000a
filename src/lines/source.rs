//! The source of a line: the grantor of its price or discount.

use std::borrow::Cow;
use std::fmt;

use deserr::Deserr;
use diesel::prelude::*;
use serde::Serialize;
use utoipa::openapi::schema::{
    AdditionalProperties, Discriminator, ObjectBuilder, OneOfBuilder, Schema, Type,
};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};
use values::Key;
use values::enums::SourceType;

use crate::platform::http::json::BodyErrors;
use crate::platform::http::problem::{FieldCode, FieldError};

/// The source of a line: a type, and the one member that the type requires ([`Source::rules`]).
#[derive(Debug, Clone, PartialEq, Eq, Deserr, Serialize, Queryable)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// The type of the source.
    #[deserr(rename = "type")]
    #[serde(rename = "type")]
    pub type_: SourceType,
    /// The campaign; only for the type `CAMPAIGN`.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign_number: Option<Key>,
    /// A contact of the account; only for the type `CONTACT`.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_number: Option<Key>,
    /// The code of the group; only for `CUSTOMER_PRICE_GROUP` and `CUSTOMER_DISCOUNT_GROUP`.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Key>,
}

/// Returns the member that a type requires, if any.
const fn member(type_: SourceType) -> Option<&'static str> {
    match type_ {
        SourceType::Campaign => Some("campaignNumber"),
        SourceType::Contact => Some("contactNumber"),
        SourceType::CustomerPriceGroup | SourceType::CustomerDiscountGroup => Some("code"),
        SourceType::AllCustomers => None,
    }
}

impl Source {
    /// Creates the source of a campaign's lines.
    #[must_use]
    pub const fn campaign(number: Key) -> Self {
        Self {
            type_: SourceType::Campaign,
            campaign_number: Some(number),
            contact_number: None,
            code: None,
        }
    }

    fn members(&self) -> [(&'static str, Option<&Key>); 3] {
        [
            ("campaignNumber", self.campaign_number.as_ref()),
            ("contactNumber", self.contact_number.as_ref()),
            ("code", self.code.as_ref()),
        ]
    }

    /// Returns the errors of the source, for lines that cannot have the type `foreign`.
    #[must_use]
    pub fn rules(&self, foreign: SourceType) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.type_ == foreign {
            let detail = format!("{foreign} is no source of these lines");
            errors.push(FieldError::new("/source/type", FieldCode::InvalidValue, detail));
        }
        let required = member(self.type_);
        for (name, value) in self.members() {
            let pointer = format!("/source/{name}");
            let type_ = self.type_;
            match (required == Some(name), value) {
                (true, None) => {
                    let detail = format!("{name} must be given with the type {type_}");
                    errors.push(FieldError::new(pointer, FieldCode::Required, detail));
                }
                (false, Some(_)) => {
                    let detail = format!("{name} does not go with the type {type_}");
                    errors.push(FieldError::new(pointer, FieldCode::NotAllowed, detail));
                }
                _ => {}
            }
        }
        errors
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.type_.fmt(f)?;
        self.members()
            .iter()
            .filter_map(|(_, value)| *value)
            .try_for_each(|value| write!(f, " {value}"))
    }
}

/// Implements the schema of a source. The schema that utoipa derives for a tagged enum lacks
/// variant names and the discriminator, which generated clients need.
macro_rules! source_schema {
    ($(#[$doc:meta])* $name:ident, $description:literal, $foreign:expr) => {
        $(#[$doc])*
        pub struct $name;

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                one_of($description, $foreign)
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }

            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                schemas.push((Key::name().into_owned(), Key::schema()));
                schemas.extend(
                    types($foreign)
                        .map(|type_| (variant_name(type_).to_owned(), variant(type_))),
                );
            }
        }
    };
}

source_schema!(
    /// The schema of a price line's source.
    PriceSource, "The source of a price line.", SourceType::CustomerDiscountGroup
);
source_schema!(
    /// The schema of a discount line's source.
    DiscountSource, "The source of a discount line.", SourceType::CustomerPriceGroup
);

fn types(foreign: SourceType) -> impl Iterator<Item = SourceType> {
    SourceType::ALL.iter().copied().filter(move |type_| *type_ != foreign)
}

const fn variant_name(type_: SourceType) -> &'static str {
    match type_ {
        SourceType::Campaign => "CampaignSource",
        SourceType::Contact => "ContactSource",
        SourceType::CustomerPriceGroup => "CustomerPriceGroupSource",
        SourceType::CustomerDiscountGroup => "CustomerDiscountGroupSource",
        SourceType::AllCustomers => "AllCustomersSource",
    }
}

fn one_of(description: &str, foreign: SourceType) -> RefOr<Schema> {
    let reference = |type_| Ref::from_schema_name(variant_name(type_));
    let mapping = types(foreign).map(|type_| (type_.text(), reference(type_).ref_location));
    let schema = OneOfBuilder::new()
        .description(Some(description))
        .discriminator(Some(Discriminator::with_mapping("type", mapping)));
    types(foreign).fold(schema, |schema, type_| schema.item(reference(type_))).into()
}

fn variant(type_: SourceType) -> RefOr<Schema> {
    let (description, what) = match type_ {
        SourceType::Campaign => ("The audience of a published campaign.", "The campaign's number."),
        SourceType::Contact => ("One account.", "The number of a contact of the account."),
        SourceType::CustomerPriceGroup => ("The customers of a price group.", "The group's code."),
        SourceType::CustomerDiscountGroup => {
            ("The customers of a discount group.", "The group's code.")
        }
        SourceType::AllCustomers => ("All accounts.", ""),
    };
    let tag = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([type_.text()]))
        .description(Some("The type of the source."))
        .examples([type_.text()]);
    let schema = ObjectBuilder::new()
        .description(Some(description))
        .property("type", tag)
        .required("type")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)));
    match member(type_) {
        Some(name) => {
            let mut key = Ref::from_schema_name(Key::name());
            key.description = what.to_owned();
            schema.property(name, key).required(name).into()
        }
        None => schema.into(),
    }
}
