//! Price lines: a unit price for an item.

use std::collections::BTreeSet;
use std::marker::PhantomData;

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::enums::SourceType;
use values::{Amount, CurrencyCode, Date, Key, Percent, Reference};

use super::source::PriceSource;
use super::{
    Conditions, CurrentLines, LineScope, Source, existing, record_changes, record_written,
    rows_to_write,
};
use crate::platform::db::schema::price_lines;
use crate::platform::http::constraints::{Dependent, NamedReference};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::problem::{FieldError, Problem};
use crate::platform::http::resource::{IfExists, Names, Resource, RowWrite, SaveError};
use crate::platform::unit_of_work::{ChangedKeys, UnitOfWork};

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
}

/// The resources `/v1/prices` and `/v1/campaigns/{campaign}/prices`.
pub struct PriceLines<P>(PhantomData<P>);

/// Returns the set of changed price lines.
fn changed_lines(changed_keys: &mut ChangedKeys) -> &mut BTreeSet<Uuid> {
    &mut changed_keys.price_lines
}

/// Loads the existing lines among the rows.
async fn current_lines<P: LineScope>(
    conn: &mut AsyncPgConnection,
    rows: &[RowWrite<PriceLineWrite>],
) -> QueryResult<CurrentLines<PriceLineWrite>> {
    let views: Vec<PriceLineView> = price_lines::table
        .filter(price_lines::id.eq_any(rows.iter().map(|row| row.id)))
        .select(PriceLineView::as_select())
        .load(conn)
        .await?;
    let current = |view: PriceLineView| {
        (view.id, (view.source.campaign_number.clone(), PriceLines::<P>::write_of(&view)))
    };
    Ok(views.into_iter().map(current).collect())
}

impl<P: LineScope> Resource for PriceLines<P> {
    const NAMES: Names = P::PRICES;
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "price_lines.id").not_null(),
            Field::new(
                "source.type",
                FieldKind::Enum(SourceType::TEXTS),
                "price_lines.source_type",
            )
            .not_null(),
            Field::new("source.campaignNumber", FieldKind::Key, "price_lines.campaign_number"),
            Field::new("source.contactNumber", FieldKind::Key, "price_lines.contact_number"),
            Field::new("source.code", FieldKind::Key, "price_lines.group_code"),
            Field::new("itemNumber", FieldKind::Key, "price_lines.item_number").not_null(),
            Field::new("variantCode", FieldKind::Key, "price_lines.variant_code"),
            Field::new("unitOfMeasureCode", FieldKind::Key, "price_lines.unit_of_measure_code"),
            Field::new("currencyCode", FieldKind::Key, "price_lines.currency_code"),
            Field::new("minimumQuantity", FieldKind::Decimal, "price_lines.minimum_quantity")
                .not_null(),
            Field::new("startingDate", FieldKind::Date, "price_lines.starting_date"),
            Field::new("endingDate", FieldKind::Date, "price_lines.ending_date"),
            Field::new("unitPrice", FieldKind::Decimal, "price_lines.unit_price").not_null(),
            Field::new("allowLineDiscount", FieldKind::Boolean, "price_lines.allow_line_discount")
                .not_null(),
            Field::new("priceIncludesTax", FieldKind::Boolean, "price_lines.price_includes_tax")
                .not_null(),
            Field::new("taxPercent", FieldKind::Decimal, "price_lines.tax_percent"),
        ],
        default_order: "id",
        tie: "id",
    };
    const HOLDERS: &'static [Dependent] = &[];
    type Scope = P;
    type Write = PriceLineWrite;
    type View = PriceLineView;

    async fn list(
        conn: &mut AsyncPgConnection,
        scope: &P,
        list: &ListQuery,
    ) -> Result<Vec<Self::View>, Problem> {
        let mut query = price_lines::table.select(PriceLineView::as_select()).into_boxed();
        if let Some(number) = scope.campaign() {
            query = query.filter(price_lines::campaign_number.eq(number));
        }
        let query = query
            .filter(list.condition())
            .order(list.ordering())
            .limit(list.limit())
            .offset(list.offset());
        Ok(query.load(conn).await?)
    }

    async fn count(
        conn: &mut AsyncPgConnection,
        scope: &P,
        list: &ListQuery,
    ) -> Result<i64, Problem> {
        let mut query = price_lines::table.count().into_boxed();
        if let Some(number) = scope.campaign() {
            query = query.filter(price_lines::campaign_number.eq(number));
        }
        Ok(query.filter(list.filter_condition()).get_result(conn).await?)
    }

    async fn find(
        conn: &mut AsyncPgConnection,
        scope: &P,
        reference: &Reference,
        lock: bool,
    ) -> Result<Option<Self::View>, Problem> {
        let Reference::Id(id) = reference else { return Ok(None) };
        let query = price_lines::table.find(id).select(PriceLineView::as_select());
        let found = if lock {
            query.for_no_key_update().first(conn).await
        } else {
            query.first(conn).await
        };
        let in_scope = |view: &PriceLineView| {
            scope
                .campaign()
                .is_none_or(|number| view.source.campaign_number.as_ref() == Some(number))
        };
        Ok(found.optional()?.filter(in_scope))
    }

    async fn existing(
        conn: &mut AsyncPgConnection,
        scope: &P,
        writes: &[PriceLineWrite],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        let rows: Vec<Conditions<'_>> = writes.iter().map(PriceLineWrite::conditions).collect();
        existing(conn, "price_lines", scope, &rows).await
    }

    async fn save(
        work: &mut UnitOfWork,
        scope: &P,
        rows: &[RowWrite<PriceLineWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        use price_lines as t;
        let current = current_lines::<P>(&mut work.conn, rows).await?;
        let rows = rows_to_write(scope, rows, |write| write.source.as_ref(), &current)?;
        if rows.is_empty() {
            return Ok(());
        }
        let values: Vec<_> = rows
            .iter()
            .map(|(source, RowWrite { id, write })| {
                (
                    t::id.eq(*id),
                    t::source_type.eq(source.type_),
                    t::campaign_number.eq(source.campaign_number.as_ref()),
                    t::contact_number.eq(source.contact_number.as_ref()),
                    t::group_code.eq(source.code.as_ref()),
                    t::item_number.eq(&write.item_number),
                    t::variant_code.eq(write.variant_code.as_ref()),
                    t::unit_of_measure_code.eq(write.unit_of_measure_code.as_ref()),
                    t::currency_code.eq(write.currency_code.as_ref()),
                    t::minimum_quantity.eq(write.minimum_quantity),
                    t::starting_date.eq(write.starting_date),
                    t::ending_date.eq(write.ending_date),
                    t::unit_price.eq(write.unit_price),
                    t::allow_line_discount.eq(write.allow_line_discount),
                    t::price_includes_tax.eq(write.price_includes_tax),
                    t::tax_percent.eq(write.tax_percent),
                )
            })
            .collect();
        let insert = diesel::insert_into(t::table).values(values);
        match if_exists {
            IfExists::Refuse => insert.execute(&mut work.conn).await?,
            IfExists::Replace => {
                insert
                    .on_conflict(t::id)
                    .do_update()
                    .set((
                        t::source_type.eq(excluded(t::source_type)),
                        t::campaign_number.eq(excluded(t::campaign_number)),
                        t::contact_number.eq(excluded(t::contact_number)),
                        t::group_code.eq(excluded(t::group_code)),
                        t::item_number.eq(excluded(t::item_number)),
                        t::variant_code.eq(excluded(t::variant_code)),
                        t::unit_of_measure_code.eq(excluded(t::unit_of_measure_code)),
                        t::currency_code.eq(excluded(t::currency_code)),
                        t::minimum_quantity.eq(excluded(t::minimum_quantity)),
                        t::starting_date.eq(excluded(t::starting_date)),
                        t::ending_date.eq(excluded(t::ending_date)),
                        t::unit_price.eq(excluded(t::unit_price)),
                        t::allow_line_discount.eq(excluded(t::allow_line_discount)),
                        t::price_includes_tax.eq(excluded(t::price_includes_tax)),
                        t::tax_percent.eq(excluded(t::tax_percent)),
                    ))
                    .execute(&mut work.conn)
                    .await?
            }
        };
        record_written(&mut work.changed_keys, changed_lines, &rows, &current);
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, _: &P, view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(price_lines::table.find(view.id)).execute(&mut work.conn).await?;
        record_changes(
            &mut work.changed_keys,
            changed_lines,
            [(view.id, view.source.campaign_number.as_ref())],
        );
        Ok(())
    }

    fn id(view: &Self::View) -> Uuid {
        view.id
    }

    fn write_of(view: &Self::View) -> PriceLineWrite {
        PriceLineWrite {
            source: P::source_in_write(&view.source),
            item_number: view.item_number.clone(),
            variant_code: view.variant_code.clone(),
            unit_of_measure_code: view.unit_of_measure_code.clone(),
            currency_code: view.currency_code.clone(),
            minimum_quantity: view.minimum_quantity,
            starting_date: view.starting_date,
            ending_date: view.ending_date,
            unit_price: view.unit_price,
            allow_line_discount: view.allow_line_discount,
            price_includes_tax: view.price_includes_tax,
            tax_percent: view.tax_percent,
        }
    }

    fn key(_: &PriceLineWrite) -> Option<Key> {
        None
    }

    fn set_key(_: &mut PriceLineWrite, _: Key) {}

    fn row_identity(write: &PriceLineWrite) -> Option<String> {
        Some(write.conditions().identity())
    }

    fn rules(write: &PriceLineWrite, scope: &P) -> Vec<FieldError> {
        write.conditions().rules(scope, SourceType::CustomerDiscountGroup)
    }

    fn references(write: &PriceLineWrite) -> Vec<NamedReference> {
        write.conditions().references()
    }
}
