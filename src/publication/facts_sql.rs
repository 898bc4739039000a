//! What the drafts say, as facts: for each kind of fact the query that makes it from the tables. The JSON is that of
//! [`facts`](super::facts); decimals are texts without trailing zeros, so that equal facts are equal JSON.
//!
//! Each query gives `key`, `campaign_number` and `facts`. `$1` are the keys that are asked for (`text[]`); in those of a
//! campaign it is its number.

use super::facts::FactKind;

/// The settings; they have no key, and `$1` is only mentioned.
const SETTINGS: &str = "
    SELECT '' AS key, NULL::text AS campaign_number, jsonb_build_object(
        'localCurrencyCode', local_currency_code, 'timeZone', time_zone, 'pricePolicy', price_policy,
        'priceHierarchy', to_jsonb(price_hierarchy), 'neverAboveListPrice', never_above_list_price) AS facts
    FROM settings WHERE '' = ANY($1)";

const CURRENCIES: &str = "
    SELECT code AS key, NULL::text AS campaign_number, jsonb_build_object(
        'unitAmountPrecision', trim_scale(unit_amount_precision)::text,
        'amountPrecision', trim_scale(amount_precision)::text) AS facts
    FROM currencies WHERE code = ANY($1)";

/// The rates of a currency come together: a rate that is gone no longer says which date it had.
const EXCHANGE_RATES: &str = "
    SELECT currency_code || '|' || to_char(starting_date, 'YYYY-MM-DD') AS key, NULL::text AS campaign_number, jsonb_build_object(
        'currencyCode', currency_code, 'startingDate', starting_date, 'rate', trim_scale(rate)::text) AS facts
    FROM exchange_rates WHERE currency_code = ANY($1)";

const ITEMS: &str = "
    SELECT number AS key, NULL::text AS campaign_number, jsonb_build_object(
        'listPrice', trim_scale(list_price)::text, 'priceIncludesTax', price_includes_tax,
        'taxPercent', trim_scale(tax_percent)::text, 'itemDiscountGroupCode', item_discount_group_code,
        'blocked', blocked, 'baseUnitOfMeasureCode', base_unit_of_measure_code, 'unitCost', trim_scale(unit_cost)::text,
        'unitsOfMeasure', coalesce((SELECT jsonb_agg(jsonb_build_object('code', code,
            'quantityPerUnit', trim_scale(quantity_per_unit)::text) ORDER BY code)
            FROM item_units_of_measure WHERE item_number = items.number), '[]'),
        'variants', coalesce((SELECT jsonb_agg(code ORDER BY code)
            FROM item_variants WHERE item_number = items.number), '[]')) AS facts
    FROM items WHERE number = ANY($1)";

const CONTACTS: &str = "
    SELECT number AS key, NULL::text AS campaign_number, jsonb_build_object(
        'ordinal', ordinal, 'type', type, 'companyNumber', company_number, 'currencyCode', currency_code,
        'customer', CASE WHEN customer_number IS NULL THEN NULL ELSE jsonb_build_object('number', customer_number,
            'priceGroupCode', customer_price_group_code, 'discountGroupCode', customer_discount_group_code,
            'allowLineDiscount', customer_allow_line_discount,
            'pricesIncludeTax', customer_prices_include_tax) END) AS facts
    FROM contacts WHERE number = ANY($1)";

/// Writes a query of lines; the two conditions say which of them.
macro_rules! price_lines {
    ($which:literal) => {
        concat!(
            "SELECT id::text AS key, campaign_number, jsonb_build_object(
                'source', jsonb_strip_nulls(jsonb_build_object('type', source_type, 'campaignNumber', campaign_number,
                    'contactNumber', contact_number, 'code', group_code)),
                'itemNumber', item_number, 'variantCode', variant_code, 'unitOfMeasureCode', unit_of_measure_code,
                'currencyCode', currency_code, 'minimumQuantity', trim_scale(minimum_quantity)::text,
                'startingDate', starting_date, 'endingDate', ending_date, 'unitPrice', trim_scale(unit_price)::text,
                'allowLineDiscount', allow_line_discount, 'priceIncludesTax', price_includes_tax,
                'taxPercent', trim_scale(tax_percent)::text) AS facts
            FROM price_lines WHERE ",
            $which
        )
    };
}

macro_rules! discount_lines {
    ($which:literal) => {
        concat!(
            "SELECT id::text AS key, campaign_number, jsonb_build_object(
                'source', jsonb_strip_nulls(jsonb_build_object('type', source_type, 'campaignNumber', campaign_number,
                    'contactNumber', contact_number, 'code', group_code)),
                'itemNumber', item_number, 'itemDiscountGroupCode', item_discount_group_code,
                'variantCode', variant_code, 'unitOfMeasureCode', unit_of_measure_code, 'currencyCode', currency_code,
                'minimumQuantity', trim_scale(minimum_quantity)::text, 'startingDate', starting_date,
                'endingDate', ending_date, 'lineDiscountPercent', trim_scale(line_discount_percent)::text) AS facts
            FROM discount_lines WHERE ",
            $which
        )
    };
}

/// The query of the facts of a kind that belong to no campaign.
pub(super) const fn standing(kind: FactKind) -> &'static str {
    match kind {
        FactKind::Settings => SETTINGS,
        FactKind::Currency => CURRENCIES,
        FactKind::ExchangeRate => EXCHANGE_RATES,
        FactKind::Item => ITEMS,
        FactKind::Contact => CONTACTS,
        FactKind::PriceLine => price_lines!("id = ANY($1::uuid[]) AND source_type <> 'CAMPAIGN'"),
        FactKind::DiscountLine => discount_lines!("id = ANY($1::uuid[]) AND source_type <> 'CAMPAIGN'"),
        // Campaigns come with their lines.
        FactKind::Campaign => {
            "SELECT NULL::text AS key, NULL::text AS campaign_number, NULL::jsonb AS facts WHERE NULL = ANY($1)"
        }
    }
}

/// The query of some lines of one campaign, by their ids (`$2`, `uuid[]`), with their kinds.
pub(super) const LINES: &str = concat!(
    "SELECT 'PRICE_LINE' AS kind, lines.* FROM (",
    price_lines!("campaign_number = $1 AND id = ANY($2)"),
    ") AS lines UNION ALL SELECT 'DISCOUNT_LINE', lines.* FROM (",
    discount_lines!("campaign_number = $1 AND id = ANY($2)"),
    ") AS lines"
);

/// The query of the lines of one campaign that are for the same items, groups, or all items, as some of its lines (`$2`, `uuid[]`).
pub(super) const LINES_BESIDE: &str = concat!(
    "SELECT 'PRICE_LINE' AS kind, lines.* FROM (",
    price_lines!(
        "campaign_number = $1
            AND item_number IN (SELECT item_number FROM price_lines WHERE campaign_number = $1 AND id = ANY($2))"
    ),
    ") AS lines UNION ALL SELECT 'DISCOUNT_LINE', lines.* FROM (",
    discount_lines!(
        "campaign_number = $1
            AND (coalesce(item_number, ''), coalesce(item_discount_group_code, '')) IN (
                SELECT coalesce(item_number, ''), coalesce(item_discount_group_code, '') FROM discount_lines
                WHERE campaign_number = $1 AND id = ANY($2))"
    ),
    ") AS lines"
);

/// The query of all facts of one campaign: its dates and its lines, with their kinds.
pub(super) const OF_CAMPAIGN: &str = concat!(
    "SELECT 'CAMPAIGN' AS kind, number AS key, number AS campaign_number,
        jsonb_build_object('startingDate', starting_date, 'endingDate', ending_date) AS facts
    FROM campaigns WHERE number = $1
    UNION ALL SELECT 'PRICE_LINE', lines.* FROM (",
    price_lines!("campaign_number = $1"),
    ") AS lines UNION ALL SELECT 'DISCOUNT_LINE', lines.* FROM (",
    discount_lines!("campaign_number = $1"),
    ") AS lines"
);
