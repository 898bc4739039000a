//! Builds the facts and book rows of lines from the drafts.
//!
//! The database builds all other facts ([`facts_sql`](super::facts_sql)). For lines this would be
//! too slow: a campaign can have ten thousand, and JSON takes the database twenty times as long as
//! columns. So their JSON is written here, exactly as the database writes it, because equal facts
//! must be equal texts.

use std::io;

use chrono::NaiveDate;
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use price_book::facts::{DiscountLineFact, FactKind, PriceLineFact, SourceFact};
use rust_decimal::Decimal;
use serde::Serialize;
use serde::ser::{SerializeMap, SerializeStruct};
use serde_json::ser::{Formatter, Serializer};
use uuid::Uuid;
use values::enums::SourceType;
use values::{Amount, Percent};

use super::difference::Entry;
use super::read_error::{ReadError, unreadable};
use crate::schema::{discount_lines, price_lines};

/// A selection of draft lines.
#[derive(Debug, Clone, Copy)]
pub(super) enum LineSelection<'a> {
    /// The lines with these ids that belong to no campaign.
    Standing(&'a [Uuid]),
    /// All lines of a campaign.
    OfCampaign(&'a str),
    /// The lines of a campaign with these ids.
    These(&'a str, &'a [Uuid]),
    /// The lines of a campaign for the same items, groups or all items as its lines with these ids.
    SameTargets(&'a str, &'a [Uuid]),
}

/// Reads lines from a table. `$targets` are the columns that lines with the same targets share.
macro_rules! lines {
    ($table:ident, $row:ty, $which:expr, $conn:expr, $targets:literal) => {{
        let query = $table::table.select(<$row>::as_select()).into_boxed();
        let of = |campaign| $table::campaign_number.eq(campaign);
        let query = match $which {
            LineSelection::Standing(ids) => query
                .filter($table::id.eq_any(ids))
                .filter($table::source_type.ne(SourceType::Campaign)),
            LineSelection::OfCampaign(campaign) => query.filter(of(campaign)),
            LineSelection::These(campaign, ids) => {
                query.filter(of(campaign)).filter($table::id.eq_any(ids))
            }
            LineSelection::SameTargets(campaign, ids) => {
                let same = concat!(
                    "(",
                    $targets,
                    ") IN (SELECT ",
                    $targets,
                    " FROM ",
                    stringify!($table),
                    " WHERE campaign_number = "
                );
                let same = sql::<Bool>(same).bind::<Text, _>(campaign);
                let same = same.sql(" AND id = ANY(").bind::<Array<SqlUuid>, _>(ids).sql("))");
                query.filter(of(campaign)).filter(same)
            }
        };
        let rows: Vec<$row> = query.load($conn).await?;
        rows.into_iter().map(<$row>::drafted).collect()
    }};
}

/// Returns draft price lines, each as a row of the book and as a fact.
pub(super) async fn prices(
    conn: &mut AsyncPgConnection,
    which: LineSelection<'_>,
) -> Result<Vec<(Entry, PriceLineFact)>, ReadError> {
    lines!(price_lines, PriceRow, which, conn, "item_number")
}

/// Returns draft discount lines, each as a row of the book and as a fact.
pub(super) async fn discounts(
    conn: &mut AsyncPgConnection,
    which: LineSelection<'_>,
) -> Result<Vec<(Entry, DiscountLineFact)>, ReadError> {
    lines!(
        discount_lines,
        DiscountRow,
        which,
        conn,
        "coalesce(item_number, ''), coalesce(item_discount_group_code, '')"
    )
}

#[derive(Queryable)]
struct SourceColumns {
    source_type: SourceType,
    campaign_number: Option<String>,
    contact_number: Option<String>,
    group_code: Option<String>,
}

impl SourceColumns {
    /// Returns the source, or `None` if a column that its type needs is missing. The table's
    /// constraints prevent this.
    fn fact(self) -> Option<SourceFact> {
        let Self { source_type, campaign_number, contact_number, group_code } = self;
        Some(match source_type {
            SourceType::Campaign => SourceFact::Campaign { campaign_number: campaign_number? },
            SourceType::Contact => SourceFact::Contact { contact_number: contact_number? },
            SourceType::CustomerPriceGroup => SourceFact::CustomerPriceGroup { code: group_code? },
            SourceType::CustomerDiscountGroup => {
                SourceFact::CustomerDiscountGroup { code: group_code? }
            }
            SourceType::AllCustomers => SourceFact::AllCustomers,
        })
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = price_lines, check_for_backend(Pg))]
struct PriceRow {
    id: Uuid,
    #[diesel(select_expression = (
        price_lines::source_type, price_lines::campaign_number,
        price_lines::contact_number, price_lines::group_code
    ))]
    source: SourceColumns,
    item_number: String,
    variant_code: Option<String>,
    unit_of_measure_code: Option<String>,
    currency_code: Option<String>,
    minimum_quantity: Decimal,
    starting_date: Option<NaiveDate>,
    ending_date: Option<NaiveDate>,
    unit_price: Decimal,
    allow_line_discount: bool,
    price_includes_tax: bool,
    tax_percent: Option<Decimal>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = discount_lines, check_for_backend(Pg))]
struct DiscountRow {
    id: Uuid,
    #[diesel(select_expression = (
        discount_lines::source_type, discount_lines::campaign_number,
        discount_lines::contact_number, discount_lines::group_code
    ))]
    source: SourceColumns,
    item_number: Option<String>,
    item_discount_group_code: Option<String>,
    variant_code: Option<String>,
    unit_of_measure_code: Option<String>,
    currency_code: Option<String>,
    minimum_quantity: Decimal,
    starting_date: Option<NaiveDate>,
    ending_date: Option<NaiveDate>,
    line_discount_percent: Decimal,
}

/// Returns the error for a row that the book cannot contain.
fn invalid_row(kind: FactKind, id: Uuid, cause: &impl ToString) -> ReadError {
    unreadable(kind.text(), &id.to_string(), cause)
}

/// Builds a row of the book.
fn entry(
    kind: FactKind,
    id: Uuid,
    source: &SourceFact,
    facts: &impl Serialize,
) -> Result<Entry, ReadError> {
    let campaign_number = match source {
        SourceFact::Campaign { campaign_number } => Some(campaign_number.clone()),
        _ => None,
    };
    let facts = text(facts).map_err(|error| invalid_row(kind, id, &error))?;
    Ok(Entry { kind, key: id.to_string(), campaign_number, facts })
}

impl PriceRow {
    fn drafted(self) -> Result<(Entry, PriceLineFact), ReadError> {
        let (kind, id) = (FactKind::PriceLine, self.id);
        let amount =
            |value: Decimal| Amount::try_from(value).map_err(|error| invalid_row(kind, id, &error));
        let tax_percent = self.tax_percent.map(Percent::try_from).transpose();
        let fact = PriceLineFact {
            source: self
                .source
                .fact()
                .ok_or_else(|| invalid_row(kind, id, &"its source is not whole"))?,
            item_number: self.item_number,
            variant_code: self.variant_code,
            unit_of_measure_code: self.unit_of_measure_code,
            currency_code: self.currency_code,
            minimum_quantity: amount(self.minimum_quantity)?,
            starting_date: self.starting_date,
            ending_date: self.ending_date,
            unit_price: amount(self.unit_price)?,
            allow_line_discount: self.allow_line_discount,
            price_includes_tax: self.price_includes_tax,
            tax_percent: tax_percent.map_err(|error| invalid_row(kind, id, &error))?,
        };
        Ok((entry(kind, id, &fact.source, &JsonbOrder(&fact))?, fact))
    }
}

impl DiscountRow {
    fn drafted(self) -> Result<(Entry, DiscountLineFact), ReadError> {
        let (kind, id) = (FactKind::DiscountLine, self.id);
        let minimum_quantity = Amount::try_from(self.minimum_quantity)
            .map_err(|error| invalid_row(kind, id, &error))?;
        let percent = Percent::try_from(self.line_discount_percent)
            .map_err(|error| invalid_row(kind, id, &error))?;
        let fact = DiscountLineFact {
            source: self
                .source
                .fact()
                .ok_or_else(|| invalid_row(kind, id, &"its source is not whole"))?,
            item_number: self.item_number,
            item_discount_group_code: self.item_discount_group_code,
            variant_code: self.variant_code,
            unit_of_measure_code: self.unit_of_measure_code,
            currency_code: self.currency_code,
            minimum_quantity,
            starting_date: self.starting_date,
            ending_date: self.ending_date,
            line_discount_percent: percent,
        };
        Ok((entry(kind, id, &fact.source, &JsonbOrder(&fact))?, fact))
    }
}

/// A fact that is serialized with its members in the order of the database's `jsonb`: shorter names
/// first, names of equal length by their bytes.
struct JsonbOrder<'a, F>(&'a F);

impl Serialize for JsonbOrder<'_, SourceFact> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = |before: Option<&str>,
                       source_type: SourceType,
                       behind: Option<(&'static str, &str)>| {
            let mut members = serializer.serialize_map(None)?;
            if let Some(code) = before {
                members.serialize_entry("code", code)?;
            }
            members.serialize_entry("type", source_type.text())?;
            if let Some((name, number)) = behind {
                members.serialize_entry(name, number)?;
            }
            members.end()
        };
        match self.0 {
            SourceFact::Campaign { campaign_number } => {
                members(None, SourceType::Campaign, Some(("campaignNumber", campaign_number)))
            }
            SourceFact::Contact { contact_number } => {
                members(None, SourceType::Contact, Some(("contactNumber", contact_number)))
            }
            SourceFact::CustomerPriceGroup { code } => {
                members(Some(code), SourceType::CustomerPriceGroup, None)
            }
            SourceFact::CustomerDiscountGroup { code } => {
                members(Some(code), SourceType::CustomerDiscountGroup, None)
            }
            SourceFact::AllCustomers => members(None, SourceType::AllCustomers, None),
        }
    }
}

impl Serialize for JsonbOrder<'_, PriceLineFact> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(line) = self;
        let mut members = serializer.serialize_struct("PriceLineFact", 12)?;
        members.serialize_field("source", &JsonbOrder(&line.source))?;
        members.serialize_field("unitPrice", &line.unit_price)?;
        members.serialize_field("endingDate", &line.ending_date)?;
        members.serialize_field("itemNumber", &line.item_number)?;
        members.serialize_field("taxPercent", &line.tax_percent)?;
        members.serialize_field("variantCode", &line.variant_code)?;
        members.serialize_field("currencyCode", &line.currency_code)?;
        members.serialize_field("startingDate", &line.starting_date)?;
        members.serialize_field("minimumQuantity", &line.minimum_quantity)?;
        members.serialize_field("priceIncludesTax", &line.price_includes_tax)?;
        members.serialize_field("allowLineDiscount", &line.allow_line_discount)?;
        members.serialize_field("unitOfMeasureCode", &line.unit_of_measure_code)?;
        members.end()
    }
}

impl Serialize for JsonbOrder<'_, DiscountLineFact> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(line) = self;
        let mut members = serializer.serialize_struct("DiscountLineFact", 10)?;
        members.serialize_field("source", &JsonbOrder(&line.source))?;
        members.serialize_field("endingDate", &line.ending_date)?;
        members.serialize_field("itemNumber", &line.item_number)?;
        members.serialize_field("variantCode", &line.variant_code)?;
        members.serialize_field("currencyCode", &line.currency_code)?;
        members.serialize_field("startingDate", &line.starting_date)?;
        members.serialize_field("minimumQuantity", &line.minimum_quantity)?;
        members.serialize_field("unitOfMeasureCode", &line.unit_of_measure_code)?;
        members.serialize_field("lineDiscountPercent", &line.line_discount_percent)?;
        members.serialize_field("itemDiscountGroupCode", &line.item_discount_group_code)?;
        members.end()
    }
}

/// A JSON formatter that writes a space after each comma and colon.
struct SpacedFormatter;

impl Formatter for SpacedFormatter {
    fn begin_object_key<W: io::Write + ?Sized>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: io::Write + ?Sized>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

/// Serializes a fact.
fn text(fact: &impl Serialize) -> Result<String, Box<dyn std::error::Error>> {
    let mut bytes = Vec::with_capacity(512);
    fact.serialize(&mut Serializer::with_formatter(&mut bytes, SpacedFormatter))?;
    Ok(String::from_utf8(bytes)?)
}
