//! An item's variants and units of measure. A write replaces them by difference: what stays is not
//! deleted, so lines that refer to it are not disturbed.

use std::collections::{HashMap, HashSet};

use deserr::Deserr;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Array, BigInt, Numeric, Text as SqlText};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;

use super::ItemWrite;
use crate::platform::db::schema::{item_units_of_measure, item_variants};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::platform::http::resource::{IfExists, RowWrite, SaveError};
use crate::platform::unit_of_work::UnitOfWork;
use crate::values::{Key, Quantity, Text};

/// The most variants of one item.
const MAX_VARIANTS: usize = 1_000;
/// The most units of one item, its base unit included.
const MAX_UNITS: usize = 100;

/// A variant of an item, such as a colour.
#[derive(Debug, Clone, PartialEq, Eq, Deserr, Serialize, ToSchema)]
#[schema(as = ItemVariant)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct Variant {
    /// The code, by which lines name it.
    pub code: Key,
    /// What it is.
    #[deserr(default)]
    #[serde(default)]
    pub description: Text<100>,
}

/// A unit that an item is sold in.
#[derive(Debug, Clone, PartialEq, Eq, Deserr, Serialize, ToSchema)]
#[schema(as = ItemUnitOfMeasure)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct UnitOfMeasure {
    /// The code, by which lines name it.
    pub code: Key,
    /// How many base units one such unit holds; 1 for the base unit.
    pub quantity_per_unit: Quantity,
}

/// The rules about variants and units that an item breaks.
pub(super) fn rules(write: &ItemWrite) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_codes(
        "/variants",
        write.variants.iter().map(|variant| &variant.code),
        MAX_VARIANTS,
        &mut errors,
    );
    let most = if lists_base_unit(write) { MAX_UNITS } else { MAX_UNITS.saturating_sub(1) };
    check_codes(
        "/unitsOfMeasure",
        write.units_of_measure.iter().map(|unit| &unit.code),
        most,
        &mut errors,
    );
    for (at, unit) in write.units_of_measure.iter().enumerate().take(most) {
        if unit.code == write.base_unit_of_measure_code && unit.quantity_per_unit != Quantity::ONE {
            let pointer = format!("/unitsOfMeasure/{at}/quantityPerUnit");
            let detail = format!("{} is the base unit, of which one holds 1", unit.code);
            errors.push(FieldError::new(pointer, FieldCode::OutOfRange, detail));
        }
    }
    errors
}

fn lists_base_unit(write: &ItemWrite) -> bool {
    write.units_of_measure.iter().any(|unit| unit.code == write.base_unit_of_measure_code)
}

/// Each code once, and not more of them than allowed.
fn check_codes<'a>(
    pointer: &str,
    codes: impl ExactSizeIterator<Item = &'a Key>,
    most: usize,
    errors: &mut Vec<FieldError>,
) {
    if codes.len() > most {
        let detail = format!("has at most {most} entries, not {}", codes.len());
        errors.push(FieldError::new(pointer, FieldCode::TooLong, detail));
        return;
    }
    let mut seen = HashSet::new();
    for (at, code) in codes.enumerate() {
        if !seen.insert(code) {
            let detail = format!("{code} stands in the list more than once");
            errors.push(FieldError::new(
                format!("{pointer}/{at}/code"),
                FieldCode::Duplicate,
                detail,
            ));
        }
    }
}

/// The variants and units of items by the items' numbers, in the order of their codes.
pub(super) async fn load(
    conn: &mut AsyncPgConnection,
    numbers: &[Key],
) -> Result<HashMap<Key, (Vec<Variant>, Vec<UnitOfMeasure>)>, Error> {
    use {item_units_of_measure as u, item_variants as v};
    let mut parts: HashMap<Key, (Vec<Variant>, Vec<UnitOfMeasure>)> = HashMap::new();
    let variants: Vec<(Key, Key, Text<100>)> = v::table
        .filter(v::item_number.eq_any(numbers))
        .order((v::item_number, v::code))
        .load(conn)
        .await?;
    for (number, code, description) in variants {
        parts.entry(number).or_default().0.push(Variant { code, description });
    }
    let units: Vec<(Key, Key, Quantity)> = u::table
        .filter(u::item_number.eq_any(numbers))
        .order((u::item_number, u::code))
        .load(conn)
        .await?;
    for (number, code, quantity_per_unit) in units {
        parts.entry(number).or_default().1.push(UnitOfMeasure { code, quantity_per_unit });
    }
    Ok(parts)
}

/// The wanted variants and units of all rows, as columns: a thousand items may have more of them
/// than one statement has places for bound values.
#[derive(Default)]
struct Wanted<'a> {
    items: Vec<&'a Key>,
    variant_items: Vec<&'a Key>,
    variant_codes: Vec<&'a Key>,
    variant_descriptions: Vec<&'a Text<100>>,
    unit_items: Vec<&'a Key>,
    unit_codes: Vec<&'a Key>,
    unit_quantities: Vec<Quantity>,
}

impl<'a> Wanted<'a> {
    fn of(rows: &'a [RowWrite<ItemWrite>]) -> Self {
        let mut wanted = Self::default();
        for RowWrite { write, .. } in rows {
            let Some(item) = &write.number else { continue };
            wanted.items.push(item);
            for Variant { code, description } in &write.variants {
                wanted.variant_items.push(item);
                wanted.variant_codes.push(code);
                wanted.variant_descriptions.push(description);
            }
            for UnitOfMeasure { code, quantity_per_unit } in &write.units_of_measure {
                wanted.add_unit(item, code, *quantity_per_unit);
            }
            if !lists_base_unit(write) {
                wanted.add_unit(item, &write.base_unit_of_measure_code, Quantity::ONE);
            }
        }
        wanted
    }

    fn add_unit(&mut self, item: &'a Key, code: &'a Key, quantity: Quantity) {
        self.unit_items.push(item);
        self.unit_codes.push(code);
        self.unit_quantities.push(quantity);
    }
}

/// Makes the variants and units of the rows those that the writes want.
pub(super) async fn save(
    work: &mut UnitOfWork,
    rows: &[RowWrite<ItemWrite>],
    if_exists: IfExists,
) -> Result<(), SaveError> {
    let wanted = Wanted::of(rows);
    if if_exists == IfExists::Replace {
        match work.savepoint(async |work| remove_unwanted(&mut work.conn, &wanted).await).await {
            Err(Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => {
                return Err(in_use(&mut work.conn, &wanted).await?.into());
            }
            other => other?,
        }
    }
    let conn = &mut *work.conn;
    diesel::sql_query(
        "INSERT INTO item_variants (item_number, code, description) SELECT * FROM unnest($1, $2, $3) \
         ON CONFLICT (item_number, code) DO UPDATE SET description = excluded.description",
    )
    .bind::<Array<SqlText>, _>(&wanted.variant_items)
    .bind::<Array<SqlText>, _>(&wanted.variant_codes)
    .bind::<Array<SqlText>, _>(&wanted.variant_descriptions)
    .execute(conn)
    .await?;
    diesel::sql_query(
        "INSERT INTO item_units_of_measure (item_number, code, quantity_per_unit) SELECT * FROM unnest($1, $2, $3) \
         ON CONFLICT (item_number, code) DO UPDATE SET quantity_per_unit = excluded.quantity_per_unit",
    )
    .bind::<Array<SqlText>, _>(&wanted.unit_items)
    .bind::<Array<SqlText>, _>(&wanted.unit_codes)
    .bind::<Array<Numeric>, _>(&wanted.unit_quantities)
    .execute(conn)
    .await?;
    Ok(())
}

async fn remove_unwanted(conn: &mut AsyncPgConnection, wanted: &Wanted<'_>) -> Result<(), Error> {
    diesel::sql_query(
        "DELETE FROM item_variants part WHERE item_number = ANY($1) AND NOT EXISTS (SELECT \
         FROM unnest($2, $3) AS kept (item, code) WHERE kept.item = part.item_number AND kept.code = part.code)",
    )
    .bind::<Array<SqlText>, _>(&wanted.items)
    .bind::<Array<SqlText>, _>(&wanted.variant_items)
    .bind::<Array<SqlText>, _>(&wanted.variant_codes)
    .execute(conn)
    .await?;
    diesel::sql_query(
        "DELETE FROM item_units_of_measure part WHERE item_number = ANY($1) AND NOT EXISTS (SELECT \
         FROM unnest($2, $3) AS kept (item, code) WHERE kept.item = part.item_number AND kept.code = part.code)",
    )
    .bind::<Array<SqlText>, _>(&wanted.items)
    .bind::<Array<SqlText>, _>(&wanted.unit_items)
    .bind::<Array<SqlText>, _>(&wanted.unit_codes)
    .execute(conn)
    .await?;
    Ok(())
}

/// A variant or unit that lines or golden quotes use.
#[derive(QueryableByName)]
struct Used {
    #[diesel(sql_type = SqlText)]
    pointer: String,
    #[diesel(sql_type = SqlText)]
    code: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// The refusal that lists the unwanted variants and units that lines or golden quotes use.
async fn in_use(conn: &mut AsyncPgConnection, wanted: &Wanted<'_>) -> Result<Problem, Error> {
    let used: Vec<Used> = diesel::sql_query(
        "SELECT pointer, code, count(*) AS count FROM ( \
             SELECT '/variants' AS pointer, item_number AS item, variant_code AS code FROM price_lines \
             UNION ALL SELECT '/variants', item_number, variant_code FROM discount_lines \
             UNION ALL SELECT '/unitsOfMeasure', item_number, unit_of_measure_code FROM price_lines \
             UNION ALL SELECT '/unitsOfMeasure', item_number, unit_of_measure_code FROM discount_lines \
             UNION ALL SELECT '/variants', item_number, variant_code FROM golden_quotes \
             UNION ALL SELECT '/unitsOfMeasure', item_number, unit_of_measure_code FROM golden_quotes \
         ) part \
         WHERE item = ANY($1) AND code IS NOT NULL AND NOT EXISTS (SELECT FROM ( \
             SELECT '/variants', * FROM unnest($2, $3) UNION ALL SELECT '/unitsOfMeasure', * FROM unnest($4, $5) \
         ) AS kept (pointer, item, code) \
         WHERE kept.pointer = part.pointer AND kept.item = part.item AND kept.code = part.code) \
         GROUP BY pointer, code ORDER BY pointer, code LIMIT 1000",
    )
    .bind::<Array<SqlText>, _>(&wanted.items)
    .bind::<Array<SqlText>, _>(&wanted.variant_items)
    .bind::<Array<SqlText>, _>(&wanted.variant_codes)
    .bind::<Array<SqlText>, _>(&wanted.unit_items)
    .bind::<Array<SqlText>, _>(&wanted.unit_codes)
    .load(conn)
    .await?;
    let error = |Used { pointer, code, count }: Used| {
        let detail = format!(
            "{count} price lines, discount lines or golden quotes refer to {code}, which would be removed"
        );
        FieldError::new(pointer, FieldCode::InUse, detail).param("code", code).param("count", count)
    };
    let mut problem =
        Problem::with_errors(ProblemCode::InUse, used.into_iter().map(error).collect());
    "variants and units that lines or golden quotes use cannot be removed"
        .clone_into(&mut problem.detail);
    Ok(problem)
}
