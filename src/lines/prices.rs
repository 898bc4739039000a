//! Price lines: a unit price for an item.

use chrono::{DateTime, Utc};
use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::enums::SourceType;
use values::{Amount, CurrencyCode, Date, Key, Percent};

use super::resource::line_resource;
use super::source::PriceSource;
use super::{Conditions, Source};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind};
use crate::schema::price_lines;

/// The writable fields of a price line.
#[derive(Debug, Clone, PartialEq, Deserr, Serialize, ToSchema)]
#[schema(as = PriceLineWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct PriceLineWrite {
    /// The source of the line. Required under `/v1/prices`, refused under a campaign, which is then
    /// the source. A merge patch that changes the type must set the member of the old type to null.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PriceSource>)]
    pub source: Option<Source>,
    /// The item.
    pub item_number: Key,
    /// The variant of the item. If absent, the line applies to all variants.
    #[deserr(default)]
    pub variant_code: Option<Key>,
    /// The unit of measure that the price is for. If absent, the price is for one base unit and the
    /// line applies to all units.
    #[deserr(default)]
    pub unit_of_measure_code: Option<Key>,
    /// The currency of the price. If absent, the price is in local currency and is converted for
    /// requests in other currencies. A given code must exist as a currency, even that of the local
    /// currency.
    #[deserr(default)]
    pub currency_code: Option<CurrencyCode>,
    /// The quantity from which the line applies, in its unit of measure. Without unit it is in base
    /// units.
    #[deserr(default)]
    #[serde(default)]
    #[schema(example = "10")]
    pub minimum_quantity: Amount,
    /// The first day on which the line applies; open if absent. Refused for a line of a campaign,
    /// which has the campaign's dates.
    #[deserr(default)]
    pub starting_date: Option<Date>,
    /// The last day on which the line applies; open if absent. Refused for a line of a campaign.
    #[deserr(default)]
    pub ending_date: Option<Date>,
    /// The price of one unit.
    pub unit_price: Amount,
    /// True if line discounts apply to the price.
    #[deserr(default = true)]
    #[serde(default)]
    #[schema(default = true, example = true)]
    pub allow_line_discount: bool,
    /// True if the price includes tax.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub price_includes_tax: bool,
    /// The tax rate that the price includes, in percent; the item's if absent.
    #[deserr(default)]
    pub tax_percent: Option<Percent>,
}

impl PriceLineWrite {
    fn conditions(&self) -> Conditions<'_> {
        Conditions {
            source: self.source.as_ref(),
            item_number: Some(&self.item_number),
            item_discount_group_code: None,
            variant_code: self.variant_code.as_ref(),
            unit_of_measure_code: self.unit_of_measure_code.as_ref(),
            currency_code: self.currency_code.as_ref(),
            minimum_quantity: self.minimum_quantity,
            starting_date: self.starting_date,
            ending_date: self.ending_date,
        }
    }
}

/// A price line.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = PriceLine)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = price_lines, check_for_backend(Pg))]
pub struct PriceLineView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The source of the line.
    #[diesel(select_expression = (
        price_lines::source_type, price_lines::campaign_number,
        price_lines::contact_number, price_lines::group_code
    ))]
    #[schema(value_type = PriceSource)]
    pub source: Source,
    /// The item.
    pub item_number: Key,
    /// The variant of the item. If null, the line applies to all variants.
    pub variant_code: Option<Key>,
    /// The unit of measure that the price is for. If null, the price is for one base unit and the
    /// line applies to all units.
    pub unit_of_measure_code: Option<Key>,
    /// The currency of the price. If null, the price is in local currency and is converted for
    /// requests in other currencies.
    pub currency_code: Option<CurrencyCode>,
    /// The quantity from which the line applies, in its unit of measure. Without unit it is in base
    /// units.
    #[schema(example = "10")]
    pub minimum_quantity: Amount,
    /// The first day on which the line applies; open if null. Always null for a line of a campaign,
    /// which has the campaign's dates.
    pub starting_date: Option<Date>,
    /// The last day on which the line applies; open if null. Always null for a line of a campaign.
    pub ending_date: Option<Date>,
    /// The price of one unit.
    pub unit_price: Amount,
    /// True if line discounts apply to the price.
    #[schema(example = true)]
    pub allow_line_discount: bool,
    /// True if the price includes tax.
    #[schema(example = false)]
    pub price_includes_tax: bool,
    /// The tax rate that the price includes, in percent; the item's if null.
    pub tax_percent: Option<Percent>,
    /// The caller that created the line.
    #[schema(max_length = 200, example = "local")]
    pub created_by: String,
    /// The caller that changed the line last.
    #[schema(max_length = 200, example = "local")]
    pub updated_by: String,
    /// The time of the last change.
    #[schema(max_length = 35, example = "2031-05-15T08:30:00.123456Z")]
    pub updated_at: DateTime<Utc>,
}

line_resource! {
    /// The resources `/v1/prices` and `/v1/campaigns/{campaign}/prices`.
    PriceLines {
        table: price_lines,
        names: PRICES,
        write: PriceLineWrite,
        view: PriceLineView,
        foreign: SourceType::CustomerDiscountGroup,
        placeholders: { "unitPrice": "0" },
        targets: [item_number],
        target_fields: [
            Field::new("itemNumber", FieldKind::Key, "price_lines.item_number").not_null(),
        ],
        values: [unit_price, allow_line_discount, price_includes_tax, tax_percent],
        value_fields: [
            Field::new("unitPrice", FieldKind::Decimal, "price_lines.unit_price").not_null(),
            Field::new("allowLineDiscount", FieldKind::Boolean, "price_lines.allow_line_discount")
                .not_null(),
            Field::new("priceIncludesTax", FieldKind::Boolean, "price_lines.price_includes_tax")
                .not_null(),
            Field::new("taxPercent", FieldKind::Decimal, "price_lines.tax_percent"),
        ],
    }
}
