//! Items with their list prices, variants and units of measure.

mod parts;

use chrono::{DateTime, Utc};
use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Amount, Key, Percent, Text};

pub use parts::{UnitOfMeasure, Variant};

use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::{FieldError, Problem};
use crate::resource::constraints::{Constraint, Dependent};
use crate::resource::table::{key_field, save_rows, table_rows, write_of_view};
use crate::resource::{IfExists, Names, Resource, RowWrite, SaveError};
use crate::schema::items;
use crate::unit_of_work::UnitOfWork;

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
    /// The caller that created the item.
    #[schema(max_length = 200, example = "local")]
    pub created_by: String,
    /// The caller that changed the item last.
    #[schema(max_length = 200, example = "local")]
    pub updated_by: String,
    /// The time of the last change.
    #[schema(max_length = 35, example = "2031-05-15T08:30:00.123456Z")]
    pub updated_at: DateTime<Utc>,
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
    created_by: String,
    updated_by: String,
    updated_at: DateTime<Utc>,
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
            created_by: row.created_by,
            updated_by: row.updated_by,
            updated_at: row.updated_at,
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
        area: Area::Catalog,
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
            Field::new("createdBy", FieldKind::Text, "items.created_by").not_null(),
            Field::new("updatedBy", FieldKind::Text, "items.updated_by").not_null(),
            Field::new("updatedAt", FieldKind::Instant, "items.updated_at").not_null(),
        ],
        default_order: "number",
        tie: "number",
    };
    const CONSTRAINTS: &'static [Constraint] = &[Constraint::taken("items_number_key", "/number")];
    const DEPENDENTS: &'static [Dependent] = &[
        Dependent::new("price lines", "price_lines WHERE item_number = $1"),
        Dependent::new("discount lines", "discount_lines WHERE item_number = $1"),
        Dependent::new("golden quotes", "golden_quotes WHERE item_number = $1"),
        Dependent::new("posted sales lines", "sales WHERE item_number = $1"),
    ];
    type Scope = ();
    type Write = ItemWrite;
    type View = ItemView;

    table_rows! { items by number, from Row: |conn, _scope, rows| views(conn, rows).await? }
    key_field! { number }
    write_of_view! {
        number, description, list_price, price_includes_tax, tax_percent, unit_cost,
        item_discount_group_code, blocked, variants, base_unit_of_measure_code, units_of_measure,
    }

    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<ItemWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        save_rows!(
            &mut work.conn, rows, if_exists, [author &work.author], items by number:
            description, list_price, price_includes_tax, tax_percent, unit_cost,
            item_discount_group_code, blocked, base_unit_of_measure_code
        )?;
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

    fn rules(write: &ItemWrite, (): &()) -> Vec<FieldError> {
        parts::rules(write)
    }
}
