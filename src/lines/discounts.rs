//! Discount lines: a line discount for an item, an item discount group or all items.

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

use super::source::DiscountSource;
use super::{
    Conditions, CurrentLines, LineScope, Source, existing, record_changes, record_written,
    rows_to_write,
};
use crate::platform::db::schema::discount_lines;
use crate::platform::http::constraints::{Dependent, NamedReference};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::problem::{FieldError, Problem};
use crate::platform::http::resource::{IfExists, Names, Resource, RowWrite, SaveError};
use crate::platform::unit_of_work::{ChangedKeys, UnitOfWork};

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
}

/// The resources `/v1/discounts` and `/v1/campaigns/{campaign}/discounts`.
pub struct DiscountLines<P>(PhantomData<P>);

/// Returns the set of changed discount lines.
fn changed_lines(changed_keys: &mut ChangedKeys) -> &mut BTreeSet<Uuid> {
    &mut changed_keys.discount_lines
}

/// Loads the existing lines among the rows.
async fn current_lines<P: LineScope>(
    conn: &mut AsyncPgConnection,
    rows: &[RowWrite<DiscountLineWrite>],
) -> QueryResult<CurrentLines<DiscountLineWrite>> {
    let views: Vec<DiscountLineView> = discount_lines::table
        .filter(discount_lines::id.eq_any(rows.iter().map(|row| row.id)))
        .select(DiscountLineView::as_select())
        .load(conn)
        .await?;
    let current = |view: DiscountLineView| {
        (view.id, (view.source.campaign_number.clone(), DiscountLines::<P>::write_of(&view)))
    };
    Ok(views.into_iter().map(current).collect())
}

impl<P: LineScope> Resource for DiscountLines<P> {
    const NAMES: Names = P::DISCOUNTS;
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "discount_lines.id").not_null(),
            Field::new(
                "source.type",
                FieldKind::Enum(SourceType::TEXTS),
                "discount_lines.source_type",
            )
            .not_null(),
            Field::new("source.campaignNumber", FieldKind::Key, "discount_lines.campaign_number"),
            Field::new("source.contactNumber", FieldKind::Key, "discount_lines.contact_number"),
            Field::new("source.code", FieldKind::Key, "discount_lines.group_code"),
            Field::new("itemNumber", FieldKind::Key, "discount_lines.item_number"),
            Field::new(
                "itemDiscountGroupCode",
                FieldKind::Key,
                "discount_lines.item_discount_group_code",
            ),
            Field::new("variantCode", FieldKind::Key, "discount_lines.variant_code"),
            Field::new("unitOfMeasureCode", FieldKind::Key, "discount_lines.unit_of_measure_code"),
            Field::new("currencyCode", FieldKind::Key, "discount_lines.currency_code"),
            Field::new("minimumQuantity", FieldKind::Decimal, "discount_lines.minimum_quantity")
                .not_null(),
            Field::new("startingDate", FieldKind::Date, "discount_lines.starting_date"),
            Field::new("endingDate", FieldKind::Date, "discount_lines.ending_date"),
            Field::new(
                "lineDiscountPercent",
                FieldKind::Decimal,
                "discount_lines.line_discount_percent",
            )
            .not_null(),
        ],
        default_order: "id",
        tie: "id",
    };
    const HOLDERS: &'static [Dependent] = &[];
    type Scope = P;
    type Write = DiscountLineWrite;
    type View = DiscountLineView;

    async fn list(
        conn: &mut AsyncPgConnection,
        scope: &P,
        list: &ListQuery,
    ) -> Result<Vec<Self::View>, Problem> {
        let mut query = discount_lines::table.select(DiscountLineView::as_select()).into_boxed();
        if let Some(number) = scope.campaign() {
            query = query.filter(discount_lines::campaign_number.eq(number));
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
        let mut query = discount_lines::table.count().into_boxed();
        if let Some(number) = scope.campaign() {
            query = query.filter(discount_lines::campaign_number.eq(number));
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
        let query = discount_lines::table.find(id).select(DiscountLineView::as_select());
        let found = if lock {
            query.for_no_key_update().first(conn).await
        } else {
            query.first(conn).await
        };
        let in_scope = |view: &DiscountLineView| {
            scope
                .campaign()
                .is_none_or(|number| view.source.campaign_number.as_ref() == Some(number))
        };
        Ok(found.optional()?.filter(in_scope))
    }

    async fn existing(
        conn: &mut AsyncPgConnection,
        scope: &P,
        writes: &[DiscountLineWrite],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        let rows: Vec<Conditions<'_>> = writes.iter().map(DiscountLineWrite::conditions).collect();
        existing(conn, "discount_lines", scope, &rows).await
    }

    async fn save(
        work: &mut UnitOfWork,
        scope: &P,
        rows: &[RowWrite<DiscountLineWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        use discount_lines as t;
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
                    t::item_number.eq(write.item_number.as_ref()),
                    t::item_discount_group_code.eq(write.item_discount_group_code.as_ref()),
                    t::variant_code.eq(write.variant_code.as_ref()),
                    t::unit_of_measure_code.eq(write.unit_of_measure_code.as_ref()),
                    t::currency_code.eq(write.currency_code.as_ref()),
                    t::minimum_quantity.eq(write.minimum_quantity),
                    t::starting_date.eq(write.starting_date),
                    t::ending_date.eq(write.ending_date),
                    t::line_discount_percent.eq(write.line_discount_percent),
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
                        t::item_discount_group_code.eq(excluded(t::item_discount_group_code)),
                        t::variant_code.eq(excluded(t::variant_code)),
                        t::unit_of_measure_code.eq(excluded(t::unit_of_measure_code)),
                        t::currency_code.eq(excluded(t::currency_code)),
                        t::minimum_quantity.eq(excluded(t::minimum_quantity)),
                        t::starting_date.eq(excluded(t::starting_date)),
                        t::ending_date.eq(excluded(t::ending_date)),
                        t::line_discount_percent.eq(excluded(t::line_discount_percent)),
                    ))
                    .execute(&mut work.conn)
                    .await?
            }
        };
        record_written(&mut work.changed_keys, changed_lines, &rows, &current);
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, _: &P, view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(discount_lines::table.find(view.id)).execute(&mut work.conn).await?;
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

    fn write_of(view: &Self::View) -> DiscountLineWrite {
        DiscountLineWrite {
            source: P::source_in_write(&view.source),
            item_number: view.item_number.clone(),
            item_discount_group_code: view.item_discount_group_code.clone(),
            variant_code: view.variant_code.clone(),
            unit_of_measure_code: view.unit_of_measure_code.clone(),
            currency_code: view.currency_code.clone(),
            minimum_quantity: view.minimum_quantity,
            starting_date: view.starting_date,
            ending_date: view.ending_date,
            line_discount_percent: view.line_discount_percent,
        }
    }

    fn key(_: &DiscountLineWrite) -> Option<Key> {
        None
    }

    fn set_key(_: &mut DiscountLineWrite, _: Key) {}

    fn row_identity(write: &DiscountLineWrite) -> Option<String> {
        Some(write.conditions().identity())
    }

    fn rules(write: &DiscountLineWrite, scope: &P) -> Vec<FieldError> {
        write.conditions().rules(scope, SourceType::CustomerPriceGroup)
    }

    fn references(write: &DiscountLineWrite) -> Vec<NamedReference> {
        write.conditions().references()
    }
}
