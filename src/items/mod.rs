//! Items with their list prices, variants and units of measure.

mod parts;

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
pub use parts::{UnitOfMeasure, Variant};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Amount, Key, Percent, Reference, Text};

use crate::platform::db::schema::items;
use crate::platform::http::constraints::Dependent;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::problem::{FieldError, Problem};
use crate::platform::http::resource::{IfExists, Names, Resource, RowWrite, SaveError, ids_of};
use crate::platform::unit_of_work::UnitOfWork;

/// The writable fields of an item.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = ItemWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct ItemWrite {
    /// The number that lines refer to.
    #[deserr(default)]
    pub number: Option<Key>,
    /// A short description.
    #[deserr(default)]
    #[serde(default)]
    pub description: Text<100>,
    /// The list price of one base unit in local currency. If null, only price lines give the item a
    /// price.
    #[deserr(default)]
    pub list_price: Option<Amount>,
    /// True if the list price includes tax.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub price_includes_tax: bool,
    /// The tax rate in percent.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = "0")]
    pub tax_percent: Percent,
    /// The cost of one base unit to the company, in local currency.
    #[deserr(default)]
    pub unit_cost: Option<Amount>,
    /// The item discount group, a free code. Discount lines can be granted for it.
    #[deserr(default)]
    pub item_discount_group_code: Option<Key>,
    /// True if the item is not for sale. A quote line for it has the problem `ITEM_BLOCKED`.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub blocked: bool,
    /// The variants. A write replaces the whole list. A variant that lines or golden quotes use
    /// cannot be removed.
    #[deserr(default)]
    #[serde(default)]
    #[schema(max_items = 1000, example = json!([{"code": "RED", "description": "Red"}]))]
    pub variants: Vec<Variant>,
    /// The unit of the list price, and of lines without unit of measure.
    #[deserr(default = Key::pieces())]
    #[serde(default)]
    #[schema(default = "PCS")]
    pub base_unit_of_measure_code: Key,
    /// The units in which the item is sold. If the list omits the base unit, it is added and counts
    /// towards the limit of 100. A write replaces the whole list. A unit that lines or golden
    /// quotes use cannot be removed.
    #[deserr(default)]
    #[serde(default)]
    #[schema(max_items = 100, example = json!([
        {"code": "BOX", "quantityPerUnit": "12"}, {"code": "PCS", "quantityPerUnit": "1"}
    ]))]
    pub units_of_measure: Vec<UnitOfMeasure>,
}

/// An item.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Item)]
#[serde(rename_all = "camelCase")]
pub struct ItemView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The number that lines refer to.
    pub number: Key,
    /// A short description.
    pub description: Text<100>,
    /// The list price of one base unit in local currency. If null, only price lines give the item a
    /// price.
    pub list_price: Option<Amount>,
    /// True if the list price includes tax.
    #[schema(example = false)]
    pub price_includes_tax: bool,
    /// The tax rate in percent.
    pub tax_percent: Percent,
    /// The cost of one base unit to the company, in local currency.
    pub unit_cost: Option<Amount>,
    /// The item discount group, a free code. Discount lines can be granted for it.
    pub item_discount_group_code: Option<Key>,
    /// True if the item is not for sale. A quote line for it has the problem `ITEM_BLOCKED`.
    #[schema(example = false)]
    pub blocked: bool,
    /// The variants, in the order of their codes.
    #[schema(max_items = 1000, example = json!([{"code": "RED", "description": "Red"}]))]
    pub variants: Vec<Variant>,
    /// The unit of the list price, and of lines without unit of measure.
    pub base_unit_of_measure_code: Key,
    /// The units in which the item is sold, including the base unit, in the order of their codes.
    #[schema(max_items = 100, example = json!([
        {"code": "BOX", "quantityPerUnit": "12"}, {"code": "PCS", "quantityPerUnit": "1"}
    ]))]
    pub units_of_measure: Vec<UnitOfMeasure>,
}

/// The row of an item, without variants and units.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = items, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    number: Key,
    description: Text<100>,
    list_price: Option<Amount>,
    price_includes_tax: bool,
    tax_percent: Percent,
    unit_cost: Option<Amount>,
    item_discount_group_code: Option<Key>,
    blocked: bool,
    base_unit_of_measure_code: Key,
}

/// Builds the views of rows, with their variants and units.
async fn views(conn: &mut AsyncPgConnection, rows: Vec<Row>) -> Result<Vec<ItemView>, Problem> {
    let numbers: Vec<Key> = rows.iter().map(|row| row.number.clone()).collect();
    let mut parts = parts::load(conn, &numbers).await?;
    let view = |row: Row| {
        let (variants, units_of_measure) = parts.remove(&row.number).unwrap_or_default();
        ItemView {
            id: row.id,
            number: row.number,
            description: row.description,
            list_price: row.list_price,
            price_includes_tax: row.price_includes_tax,
            tax_percent: row.tax_percent,
            unit_cost: row.unit_cost,
            item_discount_group_code: row.item_discount_group_code,
            blocked: row.blocked,
            variants,
            base_unit_of_measure_code: row.base_unit_of_measure_code,
            units_of_measure,
        }
    };
    Ok(rows.into_iter().map(view).collect())
}

/// The resource `/v1/items`.
pub struct Items;

impl Resource for Items {
    const NAMES: Names = Names {
        path: "/v1/items",
        singular: "item",
        plural: "items",
        one: "an item",
        tag: "Reference data",
        key_field: Some("number"),
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "items.id").not_null(),
            Field::new("number", FieldKind::Key, "items.number").not_null(),
            Field::new("description", FieldKind::Text, "items.description").not_null(),
            Field::new("listPrice", FieldKind::Decimal, "items.list_price"),
            Field::new("priceIncludesTax", FieldKind::Boolean, "items.price_includes_tax")
                .not_null(),
            Field::new("taxPercent", FieldKind::Decimal, "items.tax_percent").not_null(),
            Field::new("unitCost", FieldKind::Decimal, "items.unit_cost"),
            Field::new("itemDiscountGroupCode", FieldKind::Key, "items.item_discount_group_code"),
            Field::new("blocked", FieldKind::Boolean, "items.blocked").not_null(),
            Field::new("baseUnitOfMeasureCode", FieldKind::Key, "items.base_unit_of_measure_code")
                .not_null(),
        ],
        default_order: "number",
        tie: "number",
    };
    const HOLDERS: &'static [Dependent] = &[
        Dependent {
            what: "price lines",
            count: "SELECT count(*) AS count FROM price_lines WHERE item_number = $1",
        },
        Dependent {
            what: "discount lines",
            count: "SELECT count(*) AS count FROM discount_lines WHERE item_number = $1",
        },
        Dependent {
            what: "golden quotes",
            count: "SELECT count(*) AS count FROM golden_quotes WHERE item_number = $1",
        },
        Dependent {
            what: "posted sales lines",
            count: "SELECT count(*) AS count FROM sales WHERE item_number = $1",
        },
    ];
    type Scope = ();
    type Write = ItemWrite;
    type View = ItemView;

    async fn list(
        conn: &mut AsyncPgConnection,
        (): &(),
        list: &ListQuery,
    ) -> Result<Vec<Self::View>, Problem> {
        let query = items::table.select(Row::as_select()).into_boxed();
        let query = query
            .filter(list.condition())
            .order(list.ordering())
            .limit(list.limit())
            .offset(list.offset());
        let rows = query.load(conn).await?;
        views(conn, rows).await
    }

    async fn count(
        conn: &mut AsyncPgConnection,
        (): &(),
        list: &ListQuery,
    ) -> Result<i64, Problem> {
        Ok(items::table
            .count()
            .into_boxed()
            .filter(list.filter_condition())
            .get_result(conn)
            .await?)
    }

    async fn find(
        conn: &mut AsyncPgConnection,
        (): &(),
        reference: &Reference,
        lock: bool,
    ) -> Result<Option<Self::View>, Problem> {
        let by_id = items::id.nullable().eq(reference.id());
        let query = items::table
            .filter(by_id.or(items::number.nullable().eq(reference.key())))
            .select(Row::as_select());
        let rows = if lock {
            query.for_no_key_update().load(conn).await?
        } else {
            query.load(conn).await?
        };
        Ok(views(conn, rows).await?.pop())
    }

    async fn existing(
        conn: &mut AsyncPgConnection,
        (): &(),
        writes: &[ItemWrite],
    ) -> Result<Vec<Option<Uuid>>, Problem> {
        let numbers: Vec<Option<Key>> = writes.iter().map(Self::key).collect();
        let known = items::table
            .filter(items::number.eq_any(numbers.iter().flatten()))
            .select((items::number, items::id))
            .load(conn)
            .await?;
        Ok(ids_of(numbers, known))
    }

    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<ItemWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        use items as t;
        // The order of numbers prevents deadlocks between concurrent batches with the same items.
        let mut ordered: Vec<_> = rows.iter().collect();
        ordered.sort_by_key(|row| &row.write.number);
        let values: Vec<_> = ordered
            .into_iter()
            .map(|RowWrite { id, write }| {
                (
                    t::id.eq(*id),
                    write.number.as_ref().map(|number| t::number.eq(number)),
                    t::description.eq(&write.description),
                    t::list_price.eq(write.list_price),
                    t::price_includes_tax.eq(write.price_includes_tax),
                    t::tax_percent.eq(write.tax_percent),
                    t::unit_cost.eq(write.unit_cost),
                    t::item_discount_group_code.eq(write.item_discount_group_code.as_ref()),
                    t::blocked.eq(write.blocked),
                    t::base_unit_of_measure_code.eq(&write.base_unit_of_measure_code),
                )
            })
            .collect();
        let insert = diesel::insert_into(t::table).values(values);
        match if_exists {
            IfExists::Refuse => insert.execute(&mut work.conn).await?,
            IfExists::Replace => {
                insert
                    .on_conflict(t::number)
                    .do_update()
                    .set((
                        t::description.eq(excluded(t::description)),
                        t::list_price.eq(excluded(t::list_price)),
                        t::price_includes_tax.eq(excluded(t::price_includes_tax)),
                        t::tax_percent.eq(excluded(t::tax_percent)),
                        t::unit_cost.eq(excluded(t::unit_cost)),
                        t::item_discount_group_code.eq(excluded(t::item_discount_group_code)),
                        t::blocked.eq(excluded(t::blocked)),
                        t::base_unit_of_measure_code.eq(excluded(t::base_unit_of_measure_code)),
                    ))
                    .execute(&mut work.conn)
                    .await?
            }
        };
        parts::save(work, rows, if_exists).await?;
        work.changed_keys
            .items
            .extend(rows.iter().filter_map(|row| Some(row.write.number.as_ref()?.to_string())));
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(items::table.find(view.id)).execute(&mut work.conn).await?;
        work.changed_keys.items.insert(view.number.to_string());
        Ok(())
    }

    fn id(view: &Self::View) -> Uuid {
        view.id
    }

    fn write_of(view: &Self::View) -> ItemWrite {
        ItemWrite {
            number: Some(view.number.clone()),
            description: view.description.clone(),
            list_price: view.list_price,
            price_includes_tax: view.price_includes_tax,
            tax_percent: view.tax_percent,
            unit_cost: view.unit_cost,
            item_discount_group_code: view.item_discount_group_code.clone(),
            blocked: view.blocked,
            variants: view.variants.clone(),
            base_unit_of_measure_code: view.base_unit_of_measure_code.clone(),
            units_of_measure: view.units_of_measure.clone(),
        }
    }

    fn key(write: &ItemWrite) -> Option<Key> {
        write.number.clone()
    }

    fn set_key(write: &mut ItemWrite, key: Key) {
        write.number = Some(key);
    }

    fn rules(write: &ItemWrite, (): &()) -> Vec<FieldError> {
        parts::rules(write)
    }
}
