//! Golden quotes: quotes with the answers that are expected of a campaign's prices. An activation
//! that would lead to another answer is refused (`activation/golden.rs`).

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Amount, CurrencyCode, Date, Key, Percent, Quantity, Text};

use crate::campaigns::OfCampaign;
use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::references::{NamedReference, ReferenceKind, named};
use crate::resource::constraints::Constraint;
use crate::resource::table::{column_values, table_rows, upsert, write_of_view};
use crate::resource::{IfExists, Names, Resource, RowWrite, SaveError};
use crate::schema::golden_quotes;
use crate::unit_of_work::UnitOfWork;

/// The writable fields of a golden quote.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = GoldenQuoteWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct GoldenQuoteWrite {
    /// The contact of the quote; a person represents the company. Without contact and customer the
    /// quote is for no particular account.
    #[deserr(default)]
    pub contact_number: Option<Key>,
    /// The customer of the quote, as an alternative to a contact.
    #[deserr(default)]
    pub customer_number: Option<Key>,
    /// The item.
    pub item_number: Key,
    /// The variant, if any.
    #[deserr(default)]
    pub variant_code: Option<Key>,
    /// The unit of measure; the item's base unit if absent.
    #[deserr(default)]
    pub unit_of_measure_code: Option<Key>,
    /// The quantity in the unit of measure.
    #[deserr(default)]
    #[schema(required = false, default = "1")]
    pub quantity: Quantity,
    /// The date of the quote. If absent, it is the campaign's first day, or today if that is later
    /// and within the campaign's dates.
    #[deserr(default)]
    pub date: Option<Date>,
    /// The currency; the contact's if absent, else the account's, else local currency.
    #[deserr(default)]
    pub currency_code: Option<CurrencyCode>,
    /// True if prices include tax; the customer's setting if absent.
    #[deserr(default)]
    #[schema(example = false)]
    pub prices_include_tax: Option<bool>,
    /// The expected answer; at least one field is required.
    pub expected: Expected,
    /// True if the campaign must grant the price or the discount, false if it must not. If absent,
    /// both are accepted.
    #[deserr(default)]
    #[schema(example = true)]
    pub expected_campaign: Option<bool>,
    /// The reason for the expectation, for users who see it violated.
    #[deserr(default)]
    #[serde(default)]
    pub note: Text<250>,
}

/// The expected values of a quote. Absent values are not compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserr, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = ExpectedQuote)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = golden_quotes, check_for_backend(Pg))]
pub struct Expected {
    /// The price of one unit before the line discount.
    #[deserr(default)]
    pub unit_price: Option<Amount>,
    /// The line discount in percent.
    #[deserr(default)]
    pub line_discount_percent: Option<Percent>,
    /// The amount of the line: quantity × unit price, less the line discount.
    #[deserr(default)]
    pub line_amount: Option<Amount>,
}

impl Expected {
    const fn is_empty(&self) -> bool {
        self.unit_price.is_none()
            && self.line_discount_percent.is_none()
            && self.line_amount.is_none()
    }
}

/// A golden quote.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = GoldenQuote)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = golden_quotes, check_for_backend(Pg))]
pub struct GoldenQuoteView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The contact of the quote; a person represents the company.
    pub contact_number: Option<Key>,
    /// The customer of the quote, as an alternative to a contact.
    pub customer_number: Option<Key>,
    /// The item.
    pub item_number: Key,
    /// The variant, if any.
    pub variant_code: Option<Key>,
    /// The unit of measure; the item's base unit if null.
    pub unit_of_measure_code: Option<Key>,
    /// The quantity in the unit of measure.
    pub quantity: Quantity,
    /// The date of the quote. If null, it is the campaign's first day, or today if that is later
    /// and within the campaign's dates.
    pub date: Option<Date>,
    /// The currency; the contact's if null, else the account's, else local currency.
    pub currency_code: Option<CurrencyCode>,
    /// True if prices include tax; the customer's setting if null.
    #[schema(example = false)]
    pub prices_include_tax: Option<bool>,
    /// The expected answer.
    #[diesel(embed)]
    pub expected: Expected,
    /// True if the campaign must grant the price or the discount, false if it must not. If null,
    /// both are accepted.
    #[schema(example = true)]
    pub expected_campaign: Option<bool>,
    /// The reason for the expectation.
    pub note: Text<250>,
}

/// Returns the golden quotes of a campaign in the order of their ids.
///
/// # Errors
/// When the database fails.
pub async fn of_campaign(
    conn: &mut AsyncPgConnection,
    number: &Key,
) -> QueryResult<Vec<GoldenQuoteView>> {
    let of_campaign = golden_quotes::table.filter(golden_quotes::campaign_number.eq(number));
    of_campaign.order(golden_quotes::id).select(GoldenQuoteView::as_select()).load(conn).await
}

/// The resource `/v1/campaigns/{campaign}/golden-quotes`.
pub struct GoldenQuotes;

impl GoldenQuotes {
    /// Returns the request of a golden quote as text. A campaign has at most one golden quote for a
    /// request.
    fn identity(write: &GoldenQuoteWrite) -> String {
        let asker = match (&write.contact_number, &write.customer_number) {
            (Some(number), _) => format!("contact {number}"),
            (None, Some(number)) => format!("customer {number}"),
            (None, None) => "nobody in particular".to_owned(),
        };
        let mut text = format!(
            "a golden quote for {asker}, item {}, quantity {}",
            write.item_number, write.quantity
        );
        for (name, value) in [
            ("variant", write.variant_code.as_ref().map(ToString::to_string)),
            ("unit", write.unit_of_measure_code.as_ref().map(ToString::to_string)),
            ("date", write.date.map(|date| date.to_string())),
            ("currency", write.currency_code.as_ref().map(ToString::to_string)),
            ("with tax", write.prices_include_tax.map(|include| include.to_string())),
        ] {
            if let Some(value) = value {
                text.push_str(&format!(", {name} {value}"));
            }
        }
        text
    }
}

impl Resource for GoldenQuotes {
    const NAMES: Names = Names {
        path: "/v1/campaigns/{campaign}/golden-quotes",
        singular: "golden_quote",
        plural: "golden_quotes",
        one: "a golden quote",
        tag: "Activation",
        area: Area::Campaigns,
        key_field: None,
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "golden_quotes.id").not_null(),
            Field::new("contactNumber", FieldKind::Key, "golden_quotes.contact_number"),
            Field::new("customerNumber", FieldKind::Key, "golden_quotes.customer_number"),
            Field::new("itemNumber", FieldKind::Key, "golden_quotes.item_number").not_null(),
            Field::new("variantCode", FieldKind::Key, "golden_quotes.variant_code"),
            Field::new("unitOfMeasureCode", FieldKind::Key, "golden_quotes.unit_of_measure_code"),
            Field::new("quantity", FieldKind::Decimal, "golden_quotes.quantity").not_null(),
            Field::new("date", FieldKind::Date, "golden_quotes.date"),
            Field::new("currencyCode", FieldKind::Key, "golden_quotes.currency_code"),
            Field::new("pricesIncludeTax", FieldKind::Boolean, "golden_quotes.prices_include_tax"),
            Field::new("expected.unitPrice", FieldKind::Decimal, "golden_quotes.unit_price"),
            Field::new(
                "expected.lineDiscountPercent",
                FieldKind::Decimal,
                "golden_quotes.line_discount_percent",
            ),
            Field::new("expected.lineAmount", FieldKind::Decimal, "golden_quotes.line_amount"),
            Field::new("expectedCampaign", FieldKind::Boolean, "golden_quotes.expected_campaign"),
            Field::new("note", FieldKind::Text, "golden_quotes.note").not_null(),
        ],
        default_order: "id",
        tie: "id",
    };
    const CONSTRAINTS: &'static [Constraint] = &[Constraint::exists(
        "golden_quotes_question",
        ProblemCode::Conflict,
        "",
        "the campaign has a golden quote for this question",
    )];
    const DELETION: &'static str = "Activations no longer check it.";
    type Scope = OfCampaign;
    type Write = GoldenQuoteWrite;
    type View = GoldenQuoteView;

    table_rows! {
        golden_quotes by id,
        where |campaign| golden_quotes::campaign_number.eq(&campaign.number)
    }
    write_of_view! {
        contact_number, customer_number, item_number, variant_code, unit_of_measure_code, quantity,
        date, currency_code, prices_include_tax, expected, expected_campaign, note,
    }

    async fn existing(
        conn: &mut AsyncPgConnection,
        campaign: &OfCampaign,
        writes: &[GoldenQuoteWrite],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        let items: Vec<&Key> = writes.iter().map(|write| &write.item_number).collect();
        let existing: Vec<GoldenQuoteView> = golden_quotes::table
            .filter(golden_quotes::campaign_number.eq(&campaign.number))
            .filter(golden_quotes::item_number.eq_any(items))
            .select(GoldenQuoteView::as_select())
            .load(conn)
            .await?;
        let known: std::collections::HashMap<String, Uuid> =
            existing.iter().map(|view| (Self::identity(&Self::write_of(view)), view.id)).collect();
        Ok(writes.iter().map(|write| known.get(&Self::identity(write)).copied()).collect())
    }

    async fn save(
        work: &mut UnitOfWork,
        campaign: &OfCampaign,
        rows: &[RowWrite<GoldenQuoteWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        use golden_quotes as t;
        let values: Vec<_> = rows
            .iter()
            .map(|RowWrite { id, write }| {
                (
                    t::id.eq(*id),
                    t::campaign_number.eq(&campaign.number),
                    column_values!(
                        t, write: contact_number, customer_number, item_number, variant_code,
                        unit_of_measure_code, quantity, date, currency_code, prices_include_tax
                    ),
                    t::unit_price.eq(write.expected.unit_price),
                    t::line_discount_percent.eq(write.expected.line_discount_percent),
                    t::line_amount.eq(write.expected.line_amount),
                    t::expected_campaign.eq(write.expected_campaign),
                    t::note.eq(&write.note),
                )
            })
            .collect();
        upsert!(
            &mut work.conn, values, if_exists, t by id:
            contact_number, customer_number, item_number, variant_code, unit_of_measure_code,
            quantity, date, currency_code, prices_include_tax, unit_price, line_discount_percent,
            line_amount, expected_campaign, note
        )?;
        // No changed keys are recorded, since golden quotes do not affect prices. Each publication
        // checks them.
        work.campaign_changed(&campaign.number);
        Ok(())
    }

    async fn delete(
        work: &mut UnitOfWork,
        campaign: &OfCampaign,
        view: &Self::View,
    ) -> Result<(), SaveError> {
        diesel::delete(golden_quotes::table.find(view.id)).execute(&mut work.conn).await?;
        work.campaign_changed(&campaign.number);
        Ok(())
    }

    fn placeholders() -> Value {
        json!({ "expected": {} })
    }

    fn row_identity(write: &GoldenQuoteWrite) -> Option<String> {
        Some(Self::identity(write))
    }

    fn rules(write: &GoldenQuoteWrite, _: &OfCampaign) -> Vec<FieldError> {
        let mut errors = Vec::new();
        if write.contact_number.is_some() && write.customer_number.is_some() {
            let detail = "contactNumber and customerNumber both say who asks; give one of them";
            errors.push(FieldError::new("/customerNumber", FieldCode::NotAllowed, detail));
        }
        if write.expected.is_empty() {
            let detail = "unitPrice, lineDiscountPercent or lineAmount must be given";
            errors.push(FieldError::new("/expected", FieldCode::Missing, detail));
        }
        errors
    }

    fn references(write: &GoldenQuoteWrite) -> Vec<NamedReference> {
        let item = write.item_number.to_string();
        [
            named("/contactNumber", ReferenceKind::Contact, write.contact_number.as_ref()),
            named("/customerNumber", ReferenceKind::Customer, write.customer_number.as_ref()),
            named("/itemNumber", ReferenceKind::Item, Some(&write.item_number)),
            named(
                "/variantCode",
                ReferenceKind::VariantOf(item.clone()),
                write.variant_code.as_ref(),
            ),
            named(
                "/unitOfMeasureCode",
                ReferenceKind::UnitOf(item),
                write.unit_of_measure_code.as_ref(),
            ),
            named("/currencyCode", ReferenceKind::Currency, write.currency_code.as_ref()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
