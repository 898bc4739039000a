//! Queries that build facts from the drafts, one for each kind of fact. The JSON is that of
//! [`facts`](price_book::facts). Decimals are texts without trailing zeros, so that equal facts are
//! equal JSON.
//!
//! Each query returns `key`, `campaign_number` and `facts`. `$1` has the keys (`text[]`).

use price_book::facts::FactKind;

/// The settings. They have no key, so `$1` has the empty text.
const SETTINGS: &str = "
    SELECT '' AS key, NULL::text AS campaign_number, jsonb_build_object(
        'localCurrencyCode', local_currency_code, 'timeZone', time_zone,
        'pricePolicy', price_policy, 'priceHierarchy', to_jsonb(price_hierarchy),
        'neverAboveListPrice', never_above_list_price) AS facts
    FROM settings WHERE '' = ANY($1)";

const CURRENCIES: &str = "
    SELECT code AS key, NULL::text AS campaign_number, jsonb_build_object(
        'unitAmountPrecision', trim_scale(unit_amount_precision)::text,
        'amountPrecision', trim_scale(amount_precision)::text) AS facts
    FROM currencies WHERE code = ANY($1)";

/// The exchange rates of whole currencies. A deleted rate no longer has its date, so rates cannot
/// be selected by key.
const EXCHANGE_RATES: &str = "
    SELECT currency_code || '|' || to_char(starting_date, 'YYYY-MM-DD') AS key,
        NULL::text AS campaign_number, jsonb_build_object(
        'currencyCode', currency_code, 'startingDate', starting_date,
        'rate', trim_scale(rate)::text) AS facts
    FROM exchange_rates WHERE currency_code = ANY($1)";

const ITEMS: &str = "
    SELECT number AS key, NULL::text AS campaign_number, jsonb_build_object(
        'listPrice', trim_scale(list_price)::text, 'priceIncludesTax', price_includes_tax,
        'taxPercent', trim_scale(tax_percent)::text,
        'itemDiscountGroupCode', item_discount_group_code, 'blocked', blocked,
        'baseUnitOfMeasureCode', base_unit_of_measure_code,
        'unitCost', trim_scale(unit_cost)::text,
        'unitsOfMeasure', coalesce((SELECT jsonb_agg(jsonb_build_object('code', code,
            'quantityPerUnit', trim_scale(quantity_per_unit)::text) ORDER BY code)
            FROM item_units_of_measure WHERE item_number = items.number), '[]'),
        'variants', coalesce((SELECT jsonb_agg(code ORDER BY code)
            FROM item_variants WHERE item_number = items.number), '[]')) AS facts
    FROM items WHERE number = ANY($1)";

const CONTACTS: &str = "
    SELECT number AS key, NULL::text AS campaign_number, jsonb_build_object(
        'ordinal', ordinal, 'type', type, 'companyNumber', company_number,
        'currencyCode', currency_code,
        'customer', CASE WHEN customer_number IS NULL THEN NULL ELSE jsonb_build_object(
            'number', customer_number, 'priceGroupCode', customer_price_group_code,
            'discountGroupCode', customer_discount_group_code,
            'allowLineDiscount', customer_allow_line_discount,
            'pricesIncludeTax', customer_prices_include_tax) END) AS facts
    FROM contacts WHERE number = ANY($1)";

/// The dates and combinations of campaigns.
const CAMPAIGNS: &str = "
    SELECT number AS key, number AS campaign_number, jsonb_build_object(
        'startingDate', starting_date, 'endingDate', ending_date,
        'combination', combination) AS facts
    FROM campaigns WHERE number = ANY($1)";

/// Returns the query for the facts of a kind, or `None` for lines, which
/// [`line_drafts`](super::line_drafts) builds.
pub(super) const fn of(kind: FactKind) -> Option<&'static str> {
    match kind {
        FactKind::Settings => Some(SETTINGS),
        FactKind::Currency => Some(CURRENCIES),
        FactKind::ExchangeRate => Some(EXCHANGE_RATES),
        FactKind::Item => Some(ITEMS),
        FactKind::Contact => Some(CONTACTS),
        FactKind::Campaign => Some(CAMPAIGNS),
        FactKind::PriceLine | FactKind::DiscountLine => None,
    }
}
