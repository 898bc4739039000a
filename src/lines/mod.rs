//! Price lines and discount lines: offers with their source and conditions. This module contains
//! everything that the two kinds share.
//!
//! Each kind has two collections over one table: all lines, and the lines of one campaign
//! ([`LineScope`]).

mod discounts;
mod prices;
mod resource;
mod source;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date as SqlDate, Nullable, Numeric, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;
use values::enums::SourceType;
use values::{Amount, CurrencyCode, Date, Key};

pub use discounts::DiscountLines;
pub use prices::PriceLines;
pub use source::Source;

use crate::campaigns::{OfCampaign, period_error};
use crate::platform::http::access::scope::Area;
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::references::{NamedReference, ReferenceKind, named};
use crate::resource::{Names, RowWrite, SaveError, Scope};
use crate::unit_of_work::{ChangedKeys, UnitOfWork};

/// The collection that lines are written in: that of all lines, or that of a campaign.
pub trait LineScope: Scope {
    /// The names of the collection of price lines.
    const PRICES: Names;
    /// The names of the collection of discount lines.
    const DISCOUNTS: Names;

    /// Returns the campaign of the collection, if it is that of a campaign.
    fn campaign(&self) -> Option<&Key>;
    /// Returns the source of a line, given the source in the request.
    ///
    /// # Errors
    /// When the source is missing, or given although the collection determines it.
    fn source<'a>(&self, given: Option<&'a Source>) -> Result<Cow<'a, Source>, FieldError>;
    /// Returns the source that a write in this collection contains for a line with `source`.
    fn source_in_write(source: &Source) -> Option<Source>;
}

impl LineScope for () {
    const PRICES: Names = Names {
        path: "/v1/prices",
        singular: "price",
        plural: "prices",
        one: "a price line",
        tag: "Prices and discounts",
        area: Area::Catalog,
        key_field: None,
    };
    const DISCOUNTS: Names = Names {
        path: "/v1/discounts",
        singular: "discount",
        plural: "discounts",
        one: "a discount line",
        tag: "Prices and discounts",
        area: Area::Catalog,
        key_field: None,
    };

    fn campaign(&self) -> Option<&Key> {
        None
    }

    fn source<'a>(&self, given: Option<&'a Source>) -> Result<Cow<'a, Source>, FieldError> {
        given
            .map(Cow::Borrowed)
            .ok_or_else(|| FieldError::new("/source", FieldCode::Required, "source must be given"))
    }

    fn source_in_write(source: &Source) -> Option<Source> {
        Some(source.clone())
    }
}

impl LineScope for OfCampaign {
    const PRICES: Names = Names {
        path: "/v1/campaigns/{campaign}/prices",
        singular: "campaign_price",
        plural: "campaign_prices",
        one: "a campaign's price line",
        tag: "Prices and discounts",
        area: Area::Campaigns,
        key_field: None,
    };
    const DISCOUNTS: Names = Names {
        path: "/v1/campaigns/{campaign}/discounts",
        singular: "campaign_discount",
        plural: "campaign_discounts",
        one: "a campaign's discount line",
        tag: "Prices and discounts",
        area: Area::Campaigns,
        key_field: None,
    };

    fn campaign(&self) -> Option<&Key> {
        Some(&self.number)
    }

    fn source<'a>(&self, given: Option<&'a Source>) -> Result<Cow<'a, Source>, FieldError> {
        match given {
            None => Ok(Cow::Owned(Source::campaign(self.number.clone()))),
            Some(_) => {
                let detail = "the campaign in the path is the source";
                Err(FieldError::new("/source", FieldCode::NotAllowed, detail))
            }
        }
    }

    fn source_in_write(_: &Source) -> Option<Source> {
        None
    }
}

/// The source, subject and conditions of a line in a request.
struct Conditions<'a> {
    source: Option<&'a Source>,
    item_number: Option<&'a Key>,
    item_discount_group_code: Option<&'a Key>,
    variant_code: Option<&'a Key>,
    unit_of_measure_code: Option<&'a Key>,
    currency_code: Option<&'a CurrencyCode>,
    minimum_quantity: Amount,
    starting_date: Option<Date>,
    ending_date: Option<Date>,
}

impl Conditions<'_> {
    /// Returns the errors of the conditions. Lines of this kind cannot have the source type
    /// `foreign`.
    fn rules(&self, scope: &impl LineScope, foreign: SourceType) -> Vec<FieldError> {
        let mut errors: Vec<FieldError> =
            period_error(self.starting_date, self.ending_date).into_iter().collect();
        if self.item_number.is_some() && self.item_discount_group_code.is_some() {
            let detail = "a line is for an item or for an item discount group, not for both";
            errors.push(FieldError::new("/itemDiscountGroupCode", FieldCode::NotAllowed, detail));
        }
        if self.item_number.is_none() && self.variant_code.is_some() {
            let detail = "a variant is one of an item; itemNumber has to be given with it";
            errors.push(FieldError::new("/variantCode", FieldCode::NotAllowed, detail));
        }
        match scope.source(self.source) {
            Err(error) => errors.push(error),
            Ok(source) => {
                errors.extend(source.rules(foreign));
                if source.type_ == SourceType::Campaign {
                    let dates =
                        [("/startingDate", self.starting_date), ("/endingDate", self.ending_date)];
                    errors.extend(dates.into_iter().filter(|(_, date)| date.is_some()).map(
                        |(pointer, _)| {
                            let detail = "a line of a campaign holds on the campaign's own dates";
                            FieldError::new(pointer, FieldCode::DatesOfCampaign, detail)
                        },
                    ));
                }
            }
        }
        errors
    }

    /// Returns the references of the conditions.
    fn references(&self) -> Vec<NamedReference> {
        let item = self.item_number.map(ToString::to_string).unwrap_or_default();
        // The unit of a line for a group or for all items is a free code, since no item defines it.
        let unit = self.unit_of_measure_code.filter(|_| self.item_number.is_some());
        let campaign = self.source.and_then(|source| source.campaign_number.as_ref());
        let contact = self.source.and_then(|source| source.contact_number.as_ref());
        [
            named("/source/campaignNumber", ReferenceKind::Campaign, campaign),
            named("/source/contactNumber", ReferenceKind::Contact, contact),
            named("/itemNumber", ReferenceKind::Item, self.item_number),
            named("/variantCode", ReferenceKind::VariantOf(item.clone()), self.variant_code),
            named("/unitOfMeasureCode", ReferenceKind::UnitOf(item), unit),
            named("/currencyCode", ReferenceKind::CurrencyOrLocal, self.currency_code),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// Returns the identity of a line as text. Two rows of a batch with the same identity are
    /// refused.
    fn identity(&self) -> String {
        let mut text = "a line".to_owned();
        if let Some(source) = self.source {
            let _ = write!(text, " of {source}");
        }
        let parts = [
            ("item", self.item_number.map(ToString::to_string)),
            ("item discount group", self.item_discount_group_code.map(ToString::to_string)),
            ("variant", self.variant_code.map(ToString::to_string)),
            ("unit", self.unit_of_measure_code.map(ToString::to_string)),
            ("currency", self.currency_code.map(ToString::to_string)),
            ("quantity", Some(self.minimum_quantity.to_string())),
            ("starting", self.starting_date.map(|date| date.to_string())),
        ];
        for (name, value) in parts {
            if let Some(value) = value {
                let _ = write!(text, ", {name} {value}");
            }
        }
        text
    }
}

/// A line that exists, and the position of the row with the same identity, from 1.
#[derive(QueryableByName)]
struct Match {
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Returns the ids of the existing lines with the same identity and starting date as the rows.
async fn existing(
    conn: &mut AsyncPgConnection,
    table: &'static str,
    scope: &impl LineScope,
    rows: &[Conditions<'_>],
) -> Result<Vec<Option<Uuid>>, Problem> {
    type Keys = Array<Nullable<Text>>;
    let count = rows.len();
    // A row without a valid source names no line; the rules refuse it.
    let (positions, rows): (Vec<usize>, Vec<&Conditions<'_>>) =
        rows.iter().enumerate().filter(|(_, row)| scope.source(row.source).is_ok()).unzip();
    let sources: Vec<_> = rows.iter().filter_map(|row| scope.source(row.source).ok()).collect();
    let keys = |key: fn(&Source) -> Option<&Key>| -> Vec<Option<&Key>> {
        sources.iter().map(|s| key(s)).collect()
    };
    let query = format!(
        "SELECT wanted.at, line.id \
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) WITH ORDINALITY AS wanted( \
             source_type, campaign_number, contact_number, group_code, item_number, \
             item_discount_group_code, variant_code, unit_of_measure_code, currency_code, \
             minimum_quantity, starting_date, at) \
         JOIN {table} AS line ON line.alike = line_alike(wanted.source_type, \
             wanted.campaign_number, wanted.contact_number, wanted.group_code, \
             wanted.item_number, wanted.item_discount_group_code, wanted.variant_code, \
             wanted.unit_of_measure_code, nullif(wanted.currency_code, \
                 (SELECT local_currency_code FROM settings) COLLATE \"C\"), \
             wanted.minimum_quantity) \
         AND line.starting_date IS NOT DISTINCT FROM wanted.starting_date"
    );
    let matches: Vec<Match> = diesel::sql_query(query)
        .bind::<Array<Text>, _>(sources.iter().map(|source| source.type_).collect::<Vec<_>>())
        .bind::<Keys, _>(keys(|source| source.campaign_number.as_ref()))
        .bind::<Keys, _>(keys(|source| source.contact_number.as_ref()))
        .bind::<Keys, _>(keys(|source| source.code.as_ref()))
        .bind::<Keys, _>(rows.iter().map(|row| row.item_number).collect::<Vec<_>>())
        .bind::<Keys, _>(rows.iter().map(|row| row.item_discount_group_code).collect::<Vec<_>>())
        .bind::<Keys, _>(rows.iter().map(|row| row.variant_code).collect::<Vec<_>>())
        .bind::<Keys, _>(rows.iter().map(|row| row.unit_of_measure_code).collect::<Vec<_>>())
        .bind::<Keys, _>(rows.iter().map(|row| row.currency_code).collect::<Vec<_>>())
        .bind::<Array<Numeric>, _>(rows.iter().map(|row| row.minimum_quantity).collect::<Vec<_>>())
        .bind::<Array<Nullable<SqlDate>>, _>(
            rows.iter()
                .map(|row| row.starting_date.map(Date::get))
                .collect::<Vec<Option<NaiveDate>>>(),
        )
        .load(conn)
        .await?;
    let mut known = vec![None; count];
    for found in matches {
        let position = usize::try_from(found.at - 1).ok().and_then(|at| positions.get(at));
        if let Some(place) = position.and_then(|at| known.get_mut(*at)) {
            *place = Some(found.id);
        }
    }
    Ok(known)
}

/// The existing lines among the rows by id: their campaigns, and the writes that would produce
/// them.
type CurrentLines<W> = HashMap<Uuid, (Option<Key>, W)>;

/// A row with its source.
type SourcedRow<'a, W> = (Cow<'a, Source>, &'a RowWrite<W>);

/// Returns the rows to write with their sources. Rows that replace a line come first, because a
/// line that ends earlier makes room for its successor. They are in the order of their ids, which
/// prevents deadlocks between concurrent batches.
///
/// Omits rows that are equal to the existing line. An unchanged row would otherwise cause a
/// comparison of the whole campaign if that is active.
fn rows_to_write<'a, W: PartialEq>(
    scope: &impl LineScope,
    rows: &'a [RowWrite<W>],
    source_of: impl Fn(&'a W) -> Option<&'a Source>,
    current: &CurrentLines<W>,
) -> Result<Vec<SourcedRow<'a, W>>, SaveError> {
    let mut to_write = Vec::new();
    for row in rows {
        if current.get(&row.id).is_some_and(|(_, write)| *write == row.write) {
            continue;
        }
        let source = scope
            .source(source_of(&row.write))
            .map_err(|error| Problem::from_errors(vec![error]))?;
        to_write.push((source, row));
    }
    to_write.sort_by_key(|(_, row)| (!current.contains_key(&row.id), row.id));
    Ok(to_write)
}

/// Records the written lines as changed, under their campaigns before and after the write.
fn record_written<W>(
    work: &mut UnitOfWork,
    lines: fn(&mut ChangedKeys) -> &mut BTreeSet<Uuid>,
    rows: &[SourcedRow<'_, W>],
    current: &CurrentLines<W>,
) {
    let now = rows.iter().map(|(source, row)| (row.id, source.campaign_number.as_ref()));
    let before = rows.iter().filter_map(|(_, row)| {
        let (campaign_number, _) = current.get(&row.id)?;
        Some((row.id, campaign_number.as_ref()))
    });
    record_changes(work, lines, now.chain(before));
}

/// Records lines as changed: those of a campaign under the campaign, all others by id.
fn record_changes<'a>(
    work: &mut UnitOfWork,
    lines: fn(&mut ChangedKeys) -> &mut BTreeSet<Uuid>,
    rows: impl IntoIterator<Item = (Uuid, Option<&'a Key>)>,
) {
    for (id, campaign_number) in rows {
        match campaign_number {
            Some(number) => {
                work.campaign_changed(number);
                let of_campaign = work.changed_keys.campaign_lines.entry(number.to_string());
                of_campaign.or_default().insert(id)
            }
            None => lines(&mut work.changed_keys).insert(id),
        };
    }
}
