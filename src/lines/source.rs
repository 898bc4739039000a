//! Whom a line is granted to.

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

use crate::platform::http::json::BodyErrors;
use crate::platform::http::problem::{FieldCode, FieldError};
use crate::values::Key;
use crate::values::enums::SourceType;

/// Whom a line is granted to: a type, and the one member that this type wants ([`Source::rules`]).
#[derive(Debug, Clone, PartialEq, Eq, Deserr, Serialize, Queryable)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Of which kind it is.
    #[deserr(rename = "type")]
    #[serde(rename = "type")]
    pub type_: SourceType,
    /// The campaign, of a `CAMPAIGN`.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign_number: Option<Key>,
    /// The contact whose account it is, of a `CONTACT`.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contact_number: Option<Key>,
    /// The group's code, of a `CUSTOMER_PRICE_GROUP` or `CUSTOMER_DISCOUNT_GROUP`.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Key>,
}

/// The member that a type wants, if it wants one.
const fn member(type_: SourceType) -> Option<&'static str> {
    match type_ {
        SourceType::Campaign => Some("campaignNumber"),
        SourceType::Contact => Some("contactNumber"),
        SourceType::CustomerPriceGroup | SourceType::CustomerDiscountGroup => Some("code"),
        SourceType::AllCustomers => None,
    }
}

impl Source {
    /// A campaign.
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

    /// What is wrong with it, for lines that cannot have the `foreign` type.
    #[must_use]
    pub fn rules(&self, foreign: SourceType) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if self.type_ == foreign {
            let detail = format!("{foreign} is no source of these lines");
            errors.push(FieldError::new("/source/type", FieldCode::InvalidValue, detail));
        }
        let wanted = member(self.type_);
        for (name, value) in self.members() {
            let pointer = format!("/source/{name}");
            let type_ = self.type_;
            match (wanted == Some(name), value) {
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

/// The schemas of the sources: utoipa gives the variants of a tagged enum neither names nor a
/// discriminator, both of which generated clients need.
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
                schemas.extend(types($foreign).map(|type_| (variant_name(type_).to_owned(), variant(type_))));
            }
        }
    };
}

source_schema!(
    /// The schema of a price line's source.
    PriceSource, "Whom a price is granted to.", SourceType::CustomerDiscountGroup
);
source_schema!(
    /// The schema of a discount line's source.
    DiscountSource, "Whom a discount is granted to.", SourceType::CustomerPriceGroup
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
        SourceType::AllCustomers => ("Everybody.", ""),
    };
    let tag = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some([type_.text()]))
        .description(Some("Of which kind it is."))
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
