//! Discount lines: a line discount for an item, an item discount group or all items.

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
use super::source::DiscountSource;
use super::{Conditions, Source};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind};
use crate::schema::discount_lines;

/// The writable fields of a discount line.
#[derive(Debug, Clone, PartialEq, Deserr, Serialize, ToSchema)]
#[schema(as = DiscountLineWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct DiscountLineWrite {
    /// The source of the line. Required under `/v1/discounts`, refused under a campaign, which is
    /// then the source. A merge patch that changes the type must set the member of the old type to
    /// null.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<DiscountSource>)]
    pub source: Option<Source>,
    /// The item. If there is no item and no item discount group, the line is for all items.
    #[deserr(default)]
    pub item_number: Option<Key>,
    /// The item discount group, as an alternative to an item.
    #[deserr(default)]
    pub item_discount_group_code: Option<Key>,
    /// The variant of the item. If absent, the line applies to all variants.
    #[deserr(default)]
    pub variant_code: Option<Key>,
    /// The unit of measure that the line applies to; all units if absent.
    #[deserr(default)]
    pub unit_of_measure_code: Option<Key>,
    /// The currency that the line applies to; all currencies if absent. A given code must exist as
    /// a currency, even that of the local currency.
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
    /// The discount in percent of the line's amount.
    pub line_discount_percent: Percent,
}

impl DiscountLineWrite {
    fn conditions(&self) -> Conditions<'_> {
        Conditions {
            source: self.source.as_ref(),
            item_number: self.item_number.as_ref(),
            item_discount_group_code: self.item_discount_group_code.as_ref(),
            variant_code: self.variant_code.as_ref(),
            unit_of_measure_code: self.unit_of_measure_code.as_ref(),
            currency_code: self.currency_code.as_ref(),
            minimum_quantity: self.minimum_quantity,
            starting_date: self.starting_date,
            ending_date: self.ending_date,
        }
    }
}

/// A discount line.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = DiscountLine)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = discount_lines, check_for_backend(Pg))]
pub struct DiscountLineView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The source of the line.
    #[diesel(select_expression = (
        discount_lines::source_type, discount_lines::campaign_number,
        discount_lines::contact_number, discount_lines::group_code
    ))]
    #[schema(value_type = DiscountSource)]
    pub source: Source,
    /// The item.
    pub item_number: Option<Key>,
    /// The item discount group, as an alternative to an item. Without both the line is for all
    /// items.
    pub item_discount_group_code: Option<Key>,
    /// The variant of the item. If null, the line applies to all variants.
    pub variant_code: Option<Key>,
    /// The unit of measure that the line applies to; all units if null.
    pub unit_of_measure_code: Option<Key>,
    /// The currency that the line applies to; all currencies if null.
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
    /// The discount in percent of the line's amount.
    pub line_discount_percent: Percent,
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
    /// The resources `/v1/discounts` and `/v1/campaigns/{campaign}/discounts`.
    DiscountLines {
        table: discount_lines,
        names: DISCOUNTS,
        write: DiscountLineWrite,
        view: DiscountLineView,
        foreign: SourceType::CustomerPriceGroup,
        placeholders: { "lineDiscountPercent": "0" },
        targets: [item_number, item_discount_group_code],
        target_fields: [
            Field::new("itemNumber", FieldKind::Key, "discount_lines.item_number"),
            Field::new(
                "itemDiscountGroupCode",
                FieldKind::Key,
                "discount_lines.item_discount_group_code",
            ),
        ],
        values: [line_discount_percent],
        value_fields: [
            Field::new(
                "lineDiscountPercent",
                FieldKind::Decimal,
                "discount_lines.line_discount_percent",
            )
            .not_null(),
        ],
    }
}
