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

use super::source::PriceSource;
use super::{Conditions, Place, Source, Standing, existing, ordered, touch};
use crate::platform::db::schema::price_lines;
use crate::platform::http::constraints::{Dependent, NamedReference};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::problem::{FieldError, Problem};
use crate::platform::http::resource::{IfExists, Names, Resource, RowWrite, SaveError};
use crate::platform::unit_of_work::{ChangedKeys, UnitOfWork};
use crate::values::enums::SourceType;
use crate::values::{Amount, CurrencyCode, Date, Key, Percent, Reference};

/// What a client says about a price line.
#[derive(Debug, Clone, PartialEq, Deserr, Serialize, ToSchema)]
#[schema(as = PriceLineWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct PriceLineWrite {
    /// Whom it is granted to. Has to be sent under `/v1/prices`; under a campaign it is that
    /// campaign and is refused. A merge patch that changes the type takes the old type's member
    /// away by null.
    #[deserr(default)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<PriceSource>)]
    pub source: Option<Source>,
    /// The item.
    pub item_number: Key,
    /// The variant of the item; any if absent.
    #[deserr(default)]
    pub variant_code: Option<Key>,
    /// The unit of measure of the item that the price is for; the base unit's price, for any unit,
    /// if absent.
    #[deserr(default)]
    pub unit_of_measure_code: Option<Key>,
    /// The currency of the price; local and offered in every currency if absent. Any code named
    /// here, the local one too, has to exist as a currency.
    #[deserr(default)]
    pub currency_code: Option<CurrencyCode>,
    /// From which quantity on it holds, in the line's unit.
    #[deserr(default)]
    #[serde(default)]
    #[schema(example = "10")]
    pub minimum_quantity: Amount,
    /// The first day on which it holds; open if absent. Refused on a campaign's line, which has the
    /// campaign's dates.
    #[deserr(default)]
    pub starting_date: Option<Date>,
    /// The last day on which it holds; open if absent. Refused on a campaign's line.
    #[deserr(default)]
    pub ending_date: Option<Date>,
    /// The price of one unit.
    pub unit_price: Amount,
    /// Whether line discounts apply to the price.
    #[deserr(default = true)]
    #[serde(default)]
    #[schema(default = true, example = true)]
    pub allow_line_discount: bool,
    /// Whether the price includes tax.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub price_includes_tax: bool,
    /// The tax that the price includes, in percent; the item's if absent.
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
    /// Whom it is granted to.
    #[diesel(select_expression = (
        price_lines::source_type, price_lines::campaign_number, price_lines::contact_number, price_lines::group_code
    ))]
    #[schema(value_type = PriceSource)]
    pub source: Source,
    /// The item.
    pub item_number: Key,
    /// The variant of the item; any if null.
    pub variant_code: Option<Key>,
    /// The unit of measure of the item that the price is for; the base unit's price, for any unit,
    /// if null.
    pub unit_of_measure_code: Option<Key>,
    /// The currency of the price; local and offered in every currency if null.
    pub currency_code: Option<CurrencyCode>,
    /// From which quantity on it holds, in the line's unit.
    #[schema(example = "10")]
    pub minimum_quantity: Amount,
    /// The first day on which it holds; open if null, and on a campaign's line, which has the
    /// campaign's dates.
    pub starting_date: Option<Date>,
    /// The last day on which it holds; open if null, and on a campaign's line.
    pub ending_date: Option<Date>,
    /// The price of one unit.
    pub unit_price: Amount,
    /// Whether line discounts apply to the price.
    #[schema(example = true)]
    pub allow_line_discount: bool,
    /// Whether the price includes tax.
    #[schema(example = false)]
    pub price_includes_tax: bool,
    /// The tax that the price includes, in percent; the item's if null.
    pub tax_percent: Option<Percent>,
}

/// The resources `/v1/prices` and `/v1/campaigns/{campaign}/prices`.
pub struct PriceLines<P>(PhantomData<P>);

/// The touched price lines.
fn lines(changed_keys: &mut ChangedKeys) -> &mut BTreeSet<Uuid> {
    &mut changed_keys.price_lines
}

impl<P: Place> Resource for PriceLines<P> {
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
        place: &P,
        list: &ListQuery,
    ) -> Result<Vec<Self::View>, Problem> {
        let mut query = price_lines::table.select(PriceLineView::as_select()).into_boxed();
        if let Some(number) = place.campaign() {
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
        place: &P,
        list: &ListQuery,
    ) -> Result<i64, Problem> {
        let mut query = price_lines::table.count().into_boxed();
        if let Some(number) = place.campaign() {
            query = query.filter(price_lines::campaign_number.eq(number));
        }
        Ok(query.filter(list.filter_condition()).get_result(conn).await?)
    }

    async fn find(
        conn: &mut AsyncPgConnection,
        place: &P,
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
        let here = |view: &PriceLineView| {
            place
                .campaign()
                .is_none_or(|number| view.source.campaign_number.as_ref() == Some(number))
        };
        Ok(found.optional()?.filter(here))
    }

    async fn existing(
        conn: &mut AsyncPgConnection,
        place: &P,
        writes: &[PriceLineWrite],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        let rows: Vec<Conditions<'_>> = writes.iter().map(PriceLineWrite::conditions).collect();
        existing(conn, "price_lines", place, &rows).await
    }

    async fn save(
        work: &mut UnitOfWork,
        place: &P,
        rows: &[RowWrite<PriceLineWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        use price_lines as t;
        let standing: Standing<PriceLineWrite> = t::table
            .filter(t::id.eq_any(rows.iter().map(|draft| draft.id)))
            .select(PriceLineView::as_select())
            .load(&mut work.conn)
            .await?
            .into_iter()
            .map(|view| (view.id, (view.source.campaign_number.clone(), Self::write_of(&view))))
            .collect();
        let rows = ordered(place, rows, |write| write.source.as_ref(), &standing)?;
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
        let now = rows.iter().map(|(source, draft)| (draft.id, source.campaign_number.as_ref()));
        let before = rows.iter().filter_map(|(_, draft)| {
            let (campaign_number, _) = standing.get(&draft.id)?;
            Some((draft.id, campaign_number.as_ref()))
        });
        touch(&mut work.changed_keys, lines, now.chain(before));
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, _: &P, view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(price_lines::table.find(view.id)).execute(&mut work.conn).await?;
        touch(&mut work.changed_keys, lines, [(view.id, view.source.campaign_number.as_ref())]);
        Ok(())
    }

    fn id(view: &Self::View) -> Uuid {
        view.id
    }

    fn write_of(view: &Self::View) -> PriceLineWrite {
        PriceLineWrite {
            source: P::sent(&view.source),
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

    fn rules(write: &PriceLineWrite, place: &P) -> Vec<FieldError> {
        write.conditions().rules(place, SourceType::CustomerDiscountGroup)
    }

    fn references(write: &PriceLineWrite) -> Vec<NamedReference> {
        write.conditions().references()
    }
}
