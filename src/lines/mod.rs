//! Price lines and discount lines: what is offered, to whom, under which conditions. The two kinds
//! differ in what they grant and in what they may be for; everything else stands here.
//!
//! Each kind has two collections over one table: all lines, and those of one campaign ([`Place`]).

mod discounts;
mod prices;
mod source;

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Date as SqlDate, Nullable, Numeric, Text, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

pub use discounts::DiscountLines;
pub use prices::PriceLines;
pub use source::Source;

use crate::campaigns::{OfCampaign, period_error};
use crate::platform::http::constraints::{NamedReference, ReferenceKind, named};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::resource::{Names, RowWrite, SaveError, Scope};
use crate::platform::unit_of_work::ChangedKeys;
use crate::values::enums::SourceType;
use crate::values::{Amount, CurrencyCode, Date, Key};

/// Where lines are written: in the collection of all, or in that of a campaign.
pub trait Place: Scope {
    /// How the price lines here are called.
    const PRICES: Names;
    /// How the discount lines here are called.
    const DISCOUNTS: Names;

    /// The campaign whose lines these are.
    fn campaign(&self) -> Option<&Key>;
    /// The source of a line, from what was sent.
    ///
    /// # Errors
    /// When it is missing, or sent where the place says it.
    fn source<'a>(&self, sent: Option<&'a Source>) -> Result<Cow<'a, Source>, FieldError>;
    /// What a client sends here to make a line with this source.
    fn sent(source: &Source) -> Option<Source>;
}

impl Place for () {
    const PRICES: Names = Names {
        path: "/v1/prices",
        singular: "price",
        plural: "prices",
        one: "a price line",
        tag: "Prices and discounts",
        key_field: None,
    };
    const DISCOUNTS: Names = Names {
        path: "/v1/discounts",
        singular: "discount",
        plural: "discounts",
        one: "a discount line",
        tag: "Prices and discounts",
        key_field: None,
    };

    fn campaign(&self) -> Option<&Key> {
        None
    }

    fn source<'a>(&self, sent: Option<&'a Source>) -> Result<Cow<'a, Source>, FieldError> {
        sent.map(Cow::Borrowed)
            .ok_or_else(|| FieldError::new("/source", FieldCode::Required, "source must be given"))
    }

    fn sent(source: &Source) -> Option<Source> {
        Some(source.clone())
    }
}

impl Place for OfCampaign {
    const PRICES: Names = Names {
        path: "/v1/campaigns/{campaign}/prices",
        singular: "campaign_price",
        plural: "campaign_prices",
        one: "a campaign's price line",
        tag: "Prices and discounts",
        key_field: None,
    };
    const DISCOUNTS: Names = Names {
        path: "/v1/campaigns/{campaign}/discounts",
        singular: "campaign_discount",
        plural: "campaign_discounts",
        one: "a campaign's discount line",
        tag: "Prices and discounts",
        key_field: None,
    };

    fn campaign(&self) -> Option<&Key> {
        Some(&self.number)
    }

    fn source<'a>(&self, sent: Option<&'a Source>) -> Result<Cow<'a, Source>, FieldError> {
        match sent {
            None => Ok(Cow::Owned(Source::campaign(self.number.clone()))),
            Some(_) => {
                let detail = "the campaign in the path is the source";
                Err(FieldError::new("/source", FieldCode::NotAllowed, detail))
            }
        }
    }

    fn sent(_: &Source) -> Option<Source> {
        None
    }
}

/// For what, when and from how many on a line holds, as it was sent.
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
    /// The rules they break in a place; lines of this kind cannot have the `foreign` source.
    fn rules(&self, place: &impl Place, foreign: SourceType) -> Vec<FieldError> {
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
        match place.source(self.source) {
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

    /// What they refer to.
    fn references(&self) -> Vec<NamedReference> {
        let item = self.item_number.map(ToString::to_string).unwrap_or_default();
        // The unit of a line for a group or for all items is a free code: there is no item to have
        // it.
        let unit = self.unit_of_measure_code.filter(|_| self.item_number.is_some());
        let campaign = self.source.and_then(|source| source.campaign_number.as_ref());
        let contact = self.source.and_then(|source| source.contact_number.as_ref());
        [
            named("/source/campaignNumber", ReferenceKind::Campaign, campaign),
            named("/source/contactNumber", ReferenceKind::Contact, contact),
            named("/itemNumber", ReferenceKind::Item, self.item_number),
            named("/variantCode", ReferenceKind::VariantOf(item.clone()), self.variant_code),
            named("/unitOfMeasureCode", ReferenceKind::UnitOf(item), unit),
            named("/currencyCode", ReferenceKind::Currency, self.currency_code),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// What a line is known by, in words; no two rows of a batch can have it alike.
    fn identity(&self) -> String {
        let mut words = "a line".to_owned();
        if let Some(source) = self.source {
            let _ = write!(words, " of {source}");
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
                let _ = write!(words, ", {name} {value}");
            }
        }
        words
    }
}

/// A line that exists, and which of the rows asked for it is alike to, from 1.
#[derive(QueryableByName)]
struct Match {
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// The ids of the table's lines that are alike to the rows and begin on the same date.
async fn existing(
    conn: &mut AsyncPgConnection,
    table: &'static str,
    place: &impl Place,
    rows: &[Conditions<'_>],
) -> Result<Vec<Option<Uuid>>, Problem> {
    type Keys = Array<Nullable<Text>>;
    let sources = rows.iter().map(|row| place.source(row.source)).collect::<Result<Vec<_>, _>>();
    let sources = sources.map_err(|error| Problem::from_errors(vec![error]))?;
    let keys = |key: fn(&Source) -> Option<&Key>| -> Vec<Option<&Key>> {
        sources.iter().map(|s| key(s)).collect()
    };
    let query = format!(
        "SELECT wanted.at, line.id \
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) WITH ORDINALITY AS wanted(source_type, campaign_number, \
             contact_number, group_code, item_number, item_discount_group_code, variant_code, unit_of_measure_code, \
             currency_code, minimum_quantity, starting_date, at) \
         JOIN {table} AS line ON line.alike = line_alike(wanted.source_type, wanted.campaign_number, wanted.contact_number, \
             wanted.group_code, wanted.item_number, wanted.item_discount_group_code, wanted.variant_code, \
             wanted.unit_of_measure_code, wanted.currency_code, wanted.minimum_quantity) \
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
    let known: HashMap<i64, Uuid> = matches.into_iter().map(|found| (found.at, found.id)).collect();
    Ok((1_i64..).zip(rows).map(|(at, _)| known.get(&at).copied()).collect())
}

/// The lines among the drafts that stand already: their campaigns, and the writes that would make
/// them.
type Standing<W> = HashMap<Uuid, (Option<Key>, W)>;

/// A draft with its source.
type Placed<'a, W> = (Cow<'a, Source>, &'a RowWrite<W>);

/// The drafts with their sources, those that replace a line first: a line that ends earlier than
/// before makes room for the one that follows it. Lines that stand come in the order of their ids,
/// so that two batches do not wait for each other.
///
/// Lines that stand just as they were sent are left out. They change nothing, and an active
/// campaign, which may have many lines, is not to be compared whole each time that somebody sends
/// them again.
fn ordered<'a, W: PartialEq>(
    place: &impl Place,
    rows: &'a [RowWrite<W>],
    sent: impl Fn(&'a W) -> Option<&'a Source>,
    standing: &Standing<W>,
) -> Result<Vec<Placed<'a, W>>, SaveError> {
    let mut ordered = Vec::new();
    for draft in rows {
        if standing.get(&draft.id).is_some_and(|(_, write)| *write == draft.write) {
            continue;
        }
        let source =
            place.source(sent(&draft.write)).map_err(|error| Problem::from_errors(vec![error]))?;
        ordered.push((source, draft));
    }
    ordered.sort_by_key(|(_, draft)| (!standing.contains_key(&draft.id), draft.id));
    Ok(ordered)
}

/// Notes that lines came, changed or went: a campaign's line counts with its campaign, any other
/// for itself.
fn touch<'a>(
    changed_keys: &mut ChangedKeys,
    lines: fn(&mut ChangedKeys) -> &mut BTreeSet<Uuid>,
    rows: impl IntoIterator<Item = (Uuid, Option<&'a Key>)>,
) {
    for (id, campaign_number) in rows {
        match campaign_number {
            Some(number) => {
                changed_keys.campaign_lines.entry(number.to_string()).or_default().insert(id)
            }
            None => lines(changed_keys).insert(id),
        };
    }
}
