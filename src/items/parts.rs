//! Variants and units of measure of items. A write replaces them by difference: unchanged rows are
//! not deleted, so lines that refer to them are not affected.

use std::collections::{HashMap, HashSet};

use deserr::Deserr;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Array, BigInt, Numeric, Text as SqlText};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use values::{Key, Quantity, Text};

use super::ItemWrite;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::resource::{IfExists, RowWrite, SaveError};
use crate::schema::{item_units_of_measure, item_variants};
use crate::unit_of_work::UnitOfWork;

/// The maximum number of variants of an item.
const MAX_VARIANTS: usize = 1_000;
/// The maximum number of units of an item, including the base unit.
const MAX_UNITS: usize = 100;

/// A variant of an item, such as a colour.
#[derive(Debug, Clone, PartialEq, Eq, Deserr, Serialize, ToSchema)]
#[schema(as = ItemVariant)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct Variant {
    /// The code that lines refer to.
    pub code: Key,
    /// A short description.
    #[deserr(default)]
    #[serde(default)]
    pub description: Text<100>,
}

/// A unit of measure in which an item is sold.
#[derive(Debug, Clone, PartialEq, Eq, Deserr, Serialize, ToSchema)]
#[schema(as = ItemUnitOfMeasure)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct UnitOfMeasure {
    /// The code that lines refer to.
    pub code: Key,
    /// The number of base units in this unit; 1 for the base unit.
    pub quantity_per_unit: Quantity,
}

/// Returns the errors of an item's variants and units.
pub(super) fn rules(write: &ItemWrite) -> Vec<FieldError> {
    let mut errors = Vec::new();
    check_codes(
        "/variants",
        write.variants.iter().map(|variant| &variant.code),
        MAX_VARIANTS,
        &mut errors,
    );
    let max_entries = if lists_base_unit(write) { MAX_UNITS } else { MAX_UNITS.saturating_sub(1) };
    check_codes(
        "/unitsOfMeasure",
        write.units_of_measure.iter().map(|unit| &unit.code),
        max_entries,
        &mut errors,
    );
    for (at, unit) in write.units_of_measure.iter().enumerate().take(max_entries) {
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

/// Checks that no code occurs twice and that there are at most `max_entries`.
fn check_codes<'a>(
    pointer: &str,
    codes: impl ExactSizeIterator<Item = &'a Key>,
    max_entries: usize,
    errors: &mut Vec<FieldError>,
) {
    if codes.len() > max_entries {
        let detail = format!("has at most {max_entries} entries, not {}", codes.len());
        errors.push(FieldError::new(pointer, FieldCode::TooLong, detail));
        return;
    }
    let mut seen = HashSet::new();
    for (at, code) in codes.enumerate() {
        if !seen.insert(code) {
            let detail = format!("{code} is in the list more than once");
            errors.push(FieldError::new(
                format!("{pointer}/{at}/code"),
                FieldCode::Duplicate,
                detail,
            ));
        }
    }
}

/// Loads the variants and units of items, by item number and in the order of their codes.
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

/// The desired variants and units of all rows, as columns. A batch may have more of them than a
/// statement can have bound parameters.
#[derive(Default)]
struct DesiredParts<'a> {
    items: Vec<&'a Key>,
    variant_items: Vec<&'a Key>,
    variant_codes: Vec<&'a Key>,
    variant_descriptions: Vec<&'a Text<100>>,
    unit_items: Vec<&'a Key>,
    unit_codes: Vec<&'a Key>,
    unit_quantities: Vec<Quantity>,
}

impl<'a> DesiredParts<'a> {
    fn of(rows: &'a [RowWrite<ItemWrite>]) -> Self {
        let mut desired = Self::default();
        for RowWrite { write, .. } in rows {
            let Some(item) = &write.number else { continue };
            desired.items.push(item);
            for Variant { code, description } in &write.variants {
                desired.variant_items.push(item);
                desired.variant_codes.push(code);
                desired.variant_descriptions.push(description);
            }
            for UnitOfMeasure { code, quantity_per_unit } in &write.units_of_measure {
                desired.add_unit(item, code, *quantity_per_unit);
            }
            if !lists_base_unit(write) {
                desired.add_unit(item, &write.base_unit_of_measure_code, Quantity::ONE);
            }
        }
        desired
    }

    fn add_unit(&mut self, item: &'a Key, code: &'a Key, quantity: Quantity) {
        self.unit_items.push(item);
        self.unit_codes.push(code);
        self.unit_quantities.push(quantity);
    }
}

/// Replaces the variants and units of the rows' items by the desired ones.
pub(super) async fn save(
    work: &mut UnitOfWork,
    rows: &[RowWrite<ItemWrite>],
    if_exists: IfExists,
) -> Result<(), SaveError> {
    let desired = DesiredParts::of(rows);
    if if_exists == IfExists::Replace {
        match work
            .savepoint(async |work| delete_removed_parts(&mut work.conn, &desired).await)
            .await
        {
            Err(Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _)) => {
                return Err(in_use(&mut work.conn, &desired).await?.into());
            }
            other => other?,
        }
    }
    let conn = &mut *work.conn;
    diesel::sql_query(
        "INSERT INTO item_variants (item_number, code, description) \
         SELECT * FROM unnest($1, $2, $3) \
         ON CONFLICT (item_number, code) DO UPDATE SET description = excluded.description",
    )
    .bind::<Array<SqlText>, _>(&desired.variant_items)
    .bind::<Array<SqlText>, _>(&desired.variant_codes)
    .bind::<Array<SqlText>, _>(&desired.variant_descriptions)
    .execute(conn)
    .await?;
    diesel::sql_query(
        "INSERT INTO item_units_of_measure (item_number, code, quantity_per_unit) \
         SELECT * FROM unnest($1, $2, $3) ON CONFLICT (item_number, code) \
         DO UPDATE SET quantity_per_unit = excluded.quantity_per_unit",
    )
    .bind::<Array<SqlText>, _>(&desired.unit_items)
    .bind::<Array<SqlText>, _>(&desired.unit_codes)
    .bind::<Array<Numeric>, _>(&desired.unit_quantities)
    .execute(conn)
    .await?;
    Ok(())
}

async fn delete_removed_parts(
    conn: &mut AsyncPgConnection,
    desired: &DesiredParts<'_>,
) -> Result<(), Error> {
    diesel::sql_query(
        "DELETE FROM item_variants part WHERE item_number = ANY($1) AND NOT EXISTS (SELECT \
         FROM unnest($2, $3) AS kept (item, code) WHERE kept.item = part.item_number \
             AND kept.code = part.code)",
    )
    .bind::<Array<SqlText>, _>(&desired.items)
    .bind::<Array<SqlText>, _>(&desired.variant_items)
    .bind::<Array<SqlText>, _>(&desired.variant_codes)
    .execute(conn)
    .await?;
    diesel::sql_query(
        "DELETE FROM item_units_of_measure part WHERE item_number = ANY($1) AND NOT EXISTS (SELECT \
         FROM unnest($2, $3) AS kept (item, code) WHERE kept.item = part.item_number \
             AND kept.code = part.code)",
    )
    .bind::<Array<SqlText>, _>(&desired.items)
    .bind::<Array<SqlText>, _>(&desired.unit_items)
    .bind::<Array<SqlText>, _>(&desired.unit_codes)
    .execute(conn)
    .await?;
    Ok(())
}

/// A variant or unit that lines or golden quotes refer to.
#[derive(QueryableByName)]
struct Used {
    #[diesel(sql_type = SqlText)]
    pointer: String,
    #[diesel(sql_type = SqlText)]
    code: String,
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Returns the problem that lists the removed variants and units that lines or golden quotes refer
/// to.
async fn in_use(
    conn: &mut AsyncPgConnection,
    desired: &DesiredParts<'_>,
) -> Result<Problem, Error> {
    let used: Vec<Used> = diesel::sql_query(
        "SELECT pointer, code, count(*) AS count FROM ( \
             SELECT '/variants' AS pointer, item_number AS item, variant_code AS code \
                 FROM price_lines \
             UNION ALL SELECT '/variants', item_number, variant_code FROM discount_lines \
             UNION ALL SELECT '/unitsOfMeasure', item_number, unit_of_measure_code \
                 FROM price_lines \
             UNION ALL SELECT '/unitsOfMeasure', item_number, unit_of_measure_code \
                 FROM discount_lines \
             UNION ALL SELECT '/variants', item_number, variant_code FROM golden_quotes \
             UNION ALL SELECT '/unitsOfMeasure', item_number, unit_of_measure_code \
                 FROM golden_quotes \
         ) part \
         WHERE item = ANY($1) AND code IS NOT NULL AND NOT EXISTS (SELECT FROM ( \
             SELECT '/variants', * FROM unnest($2, $3) \
             UNION ALL SELECT '/unitsOfMeasure', * FROM unnest($4, $5) \
         ) AS kept (pointer, item, code) \
         WHERE kept.pointer = part.pointer AND kept.item = part.item AND kept.code = part.code) \
         GROUP BY pointer, code ORDER BY pointer, code LIMIT 1000",
    )
    .bind::<Array<SqlText>, _>(&desired.items)
    .bind::<Array<SqlText>, _>(&desired.variant_items)
    .bind::<Array<SqlText>, _>(&desired.variant_codes)
    .bind::<Array<SqlText>, _>(&desired.unit_items)
    .bind::<Array<SqlText>, _>(&desired.unit_codes)
    .load(conn)
    .await?;
    let error = |Used { pointer, code, count }: Used| {
        let detail = format!(
            "{count} price lines, discount lines or golden quotes refer to {code}, \
             which would be removed"
        );
        FieldError::new(pointer, FieldCode::InUse, detail).param("code", code).param("count", count)
    };
    let mut problem =
        Problem::with_errors(ProblemCode::InUse, used.into_iter().map(error).collect());
    "variants and units that lines or golden quotes use cannot be removed"
        .clone_into(&mut problem.detail);
    Ok(problem)
}
