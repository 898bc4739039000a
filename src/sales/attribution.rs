//! Attribution of posted lines to campaigns. The first of these that applies decides: the quote
//! that the line refers to; the campaign that the ERP names; pricing the line again, in the price
//! book at the end of its posting date.
//!
//! A campaign that no longer exists gets no attribution.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use diesel::sql_types::{
    Array, BigInt, Bool, Date as SqlDate, Nullable, Text as SqlText, Timestamptz, Uuid as SqlUuid,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use price_book::quote::answer::{AnswerSource, LineReference, QuoteLine};
use price_book::quote::quote;
use price_book::quote::request::{QuoteParty, QuoteRequest, RequestLine};
use price_book::snapshot::Snapshot;
use uuid::Uuid;
use values::Amount;

use super::{AttributionContext, Basis, SaleWrite};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::publication::reader;
use crate::resource::RowWrite;

/// The part of a sale that a campaign granted.
#[derive(Debug, Clone, Copy)]
enum GrantedPart {
    Price,
    Discount,
    Both,
}

/// A sale that is attributed to a campaign.
#[derive(Debug)]
pub(super) struct Attribution {
    sale: Uuid,
    campaign: String,
    basis: Basis,
    part: GrantedPart,
}

#[derive(QueryableByName)]
struct QuotedLine {
    #[diesel(sql_type = SqlUuid)]
    sale: Uuid,
    #[diesel(sql_type = Bool)]
    is_price: bool,
    #[diesel(sql_type = Bool)]
    found: bool,
    #[diesel(sql_type = Nullable<SqlText>)]
    campaign_number: Option<String>,
}

/// Attributes the lines that refer to a quote. Also returns the errors of references that do not
/// exist.
pub(super) async fn by_reference(
    conn: &mut AsyncPgConnection,
    rows: &[&RowWrite<SaleWrite>],
) -> QueryResult<(Vec<Attribution>, Vec<FieldError>)> {
    let referring = || rows.iter().filter_map(|row| Some((row, row.write.publication_version?)));
    if referring().next().is_none() {
        return Ok((Vec::new(), Vec::new()));
    }
    let (latest, _) = reader::latest(conn).await?;
    let future = referring().filter(|(_, version)| *version > latest);
    let mut errors: Vec<FieldError> = future
        .map(|(_, version)| {
            let detail = format!("there is no publication {version}");
            FieldError::new("/publicationVersion", FieldCode::ReferenceNotFound, detail)
        })
        .collect();
    let mut named = Vec::new();
    for (row, version) in referring() {
        let price = row.write.price_line_id.map(|id| (row.id, true, id, version));
        let discount = row.write.discount_line_id.map(|id| (row.id, false, id, version));
        named.extend(price.into_iter().chain(discount));
    }
    let query = "SELECT named.sale, named.is_price, book_entries.key IS NOT NULL AS found, \
            book_entries.campaign_number \
        FROM unnest($1, $2, $3, $4) AS named(sale, is_price, line, version) LEFT JOIN book_entries \
            ON kind = CASE WHEN is_price THEN 'PRICE_LINE' ELSE 'DISCOUNT_LINE' END \
                AND key = named.line \
            AND from_version <= version AND (to_version IS NULL OR to_version > version)";
    let lines: Vec<QuotedLine> = diesel::sql_query(query)
        .bind::<Array<SqlUuid>, _>(named.iter().map(|(sale, ..)| *sale).collect::<Vec<_>>())
        .bind::<Array<Bool>, _>(named.iter().map(|(_, is_price, ..)| *is_price).collect::<Vec<_>>())
        .bind::<Array<SqlText>, _>(
            named.iter().map(|(_, _, line, _)| line.to_string()).collect::<Vec<_>>(),
        )
        .bind::<Array<BigInt>, _>(named.iter().map(|(.., version)| *version).collect::<Vec<_>>())
        .load(conn)
        .await?;
    errors.extend(lines.iter().filter(|line| !line.found).map(|line| {
        let pointer = if line.is_price { "/priceLineId" } else { "/discountLineId" };
        FieldError::new(
            pointer,
            FieldCode::ReferenceNotFound,
            "that version of the price book has no such line",
        )
    }));
    let attributions = lines.into_iter().filter_map(|line| {
        let part = if line.is_price { GrantedPart::Price } else { GrantedPart::Discount };
        Some(Attribution {
            sale: line.sale,
            campaign: line.campaign_number?,
            basis: Basis::Reference,
            part,
        })
    });
    Ok((attributions.collect(), errors))
}

/// Attributes the lines without quote to the campaign that the ERP names. The ERP does not
/// distinguish price and discount, so both count.
pub(super) fn by_statement(rows: &[&RowWrite<SaleWrite>]) -> Vec<Attribution> {
    let stated =
        rows.iter().filter(|row| row.write.publication_version.is_none()).filter_map(|row| {
            let campaign = row.write.campaign_number.as_ref()?.to_string();
            Some(Attribution {
                sale: row.id,
                campaign,
                basis: Basis::Stated,
                part: GrantedPart::Both,
            })
        });
    stated.collect()
}

/// The results of pricing posted lines again.
#[derive(Debug, Default)]
pub(super) struct Repriced {
    /// The attributions of the lines without quote and campaign.
    pub attributions: Vec<Attribution>,
    /// The amounts that the accounts would have paid without campaigns, by sale. Sales without
    /// such a price are absent.
    pub baselines: HashMap<Uuid, Amount>,
}

/// Prices the lines again in the price book at the end of their posting dates.
pub(super) async fn by_replay(
    conn: &mut AsyncPgConnection,
    context: &AttributionContext,
    rows: &[&RowWrite<SaleWrite>],
) -> Result<Repriced, Problem> {
    let versions = versions_in_force(conn, context, rows).await?;
    let mut by_version: BTreeMap<i64, Vec<&RowWrite<SaleWrite>>> = BTreeMap::new();
    for row in rows {
        // Before the first version there was no price.
        if let Some(version) = versions.get(&row.write.posting_date.get()) {
            by_version.entry(*version).or_default().push(row);
        }
    }
    let mut repriced = Repriced::default();
    for (version, rows) in by_version {
        let book = book_at(conn, context, version).await?;
        for row in rows {
            if row.write.publication_version.is_none() && row.write.campaign_number.is_none() {
                repriced.attributions.extend(replay(&book, row));
            }
            if let Some(baseline) = baseline(&book, &row.write) {
                repriced.baselines.insert(row.id, baseline);
            }
        }
    }
    Ok(repriced)
}

/// Returns the price book at a version and caches it for the rest of the request. The rows of a
/// refused batch are retried one by one and need the same versions.
async fn book_at(
    conn: &mut AsyncPgConnection,
    context: &AttributionContext,
    version: i64,
) -> Result<Arc<Snapshot>, Problem> {
    if let Some(book) = context.snapshots.borrow().get(&version) {
        return Ok(book.clone());
    }
    let book = context.book.as_of(conn, version).await?;
    let book = book.ok_or_else(|| {
        Problem::internal(format!("there is no version {version} of the price book"))
    })?;
    context.snapshots.borrow_mut().insert(version, book.clone());
    Ok(book)
}

/// Returns the version in force at the end of each posting date in the company's time zone. For a
/// date that has not ended it is the current version.
async fn versions_in_force(
    conn: &mut AsyncPgConnection,
    context: &AttributionContext,
    rows: &[&RowWrite<SaleWrite>],
) -> QueryResult<HashMap<NaiveDate, i64>> {
    #[derive(QueryableByName)]
    struct VersionInForce {
        #[diesel(sql_type = SqlDate)]
        date: NaiveDate,
        #[diesel(sql_type = BigInt)]
        version: i64,
    }
    let end = |date: NaiveDate| {
        date.succ_opt().map_or(DateTime::<Utc>::MAX_UTC, |next| context.calendar.start_of(next))
    };
    let ends: BTreeMap<NaiveDate, DateTime<Utc>> =
        rows.iter().map(|row| row.write.posting_date.get()).map(|date| (date, end(date))).collect();
    let query = "SELECT day.date, version FROM unnest($1, $2) AS day(date, until), \
            LATERAL (SELECT version FROM publications WHERE published_at < day.until \
                ORDER BY published_at DESC, version DESC LIMIT 1) AS newest";
    let found: Vec<VersionInForce> = diesel::sql_query(query)
        .bind::<Array<SqlDate>, _>(ends.keys().copied().collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(ends.values().copied().collect::<Vec<_>>())
        .load(conn)
        .await?;
    Ok(found.into_iter().map(|row| (row.date, row.version)).collect())
}

/// Returns the request for the price of a posted line on its posting date.
fn request(write: &SaleWrite) -> QuoteRequest<'_> {
    let party = match (&write.contact_number, &write.customer_number) {
        (Some(contact), _) => QuoteParty::Contact(contact.as_str().into()),
        (_, Some(customer)) => QuoteParty::Customer(customer.as_str().into()),
        (None, None) => QuoteParty::Anybody,
    };
    QuoteRequest {
        party,
        currency_code: write.currency_code.as_ref().map(|code| code.as_str().into()),
        lines: vec![RequestLine {
            item_number: write.item_number.as_str().into(),
            variant_code: write.variant_code.as_ref().map(|code| code.as_str().into()),
            unit_of_measure_code: write
                .unit_of_measure_code
                .as_ref()
                .map(|code| code.as_str().into()),
            quantity: write.quantity.into(),
            tax_percent: None,
        }],
        ..QuoteRequest::on(write.posting_date.get())
    }
}

/// Returns what the account of a posted line would have paid without campaigns, in local currency
/// and without tax.
fn baseline(book: &Snapshot, write: &SaleWrite) -> Option<Amount> {
    let request = QuoteRequest {
        currency_code: Some(book.settings()?.local_currency_code.as_str().into()),
        prices_include_tax: Some(false),
        without_campaigns: true,
        ..request(write)
    };
    match quote(book, &request).ok()?.lines.pop()? {
        QuoteLine::Priced(line) => Amount::from_units(line.line_amount.0.unsigned_abs()),
        QuoteLine::Unpriced(_) => None,
    }
}

/// Prices a line again and returns the campaigns of its price line and discount line. A line
/// without a price is attributed to no campaign.
fn replay(book: &Snapshot, row: &RowWrite<SaleWrite>) -> Vec<Attribution> {
    let request = request(&row.write);
    let Ok(answer) = quote(book, &request) else { return Vec::new() };
    let attribution = |line: Option<LineReference<'_>>, part| match line?.source {
        AnswerSource::Campaign { campaign_number } => Some(Attribution {
            sale: row.id,
            campaign: campaign_number.to_owned(),
            basis: Basis::Replay,
            part,
        }),
        _ => None,
    };
    let of_line = |line: &QuoteLine<'_>| match line {
        QuoteLine::Priced(line) => [
            attribution(line.price_line, GrantedPart::Price),
            attribution(line.discount_line, GrantedPart::Discount),
        ],
        QuoteLine::Unpriced(_) => [None, None],
    };
    answer.lines.iter().flat_map(of_line).flatten().collect()
}

/// Stores attributions, one row for each sale and campaign.
pub(super) async fn record(
    conn: &mut AsyncPgConnection,
    attributions: &[Attribution],
) -> QueryResult<()> {
    let statement = "INSERT INTO sales_attributions (sale_id, campaign_number, basis, price, \
            discount) \
        SELECT sale, campaign, basis, bool_or(price), bool_or(discount) \
        FROM unnest($1, $2, $3, $4, $5) AS owed(sale, campaign, basis, price, discount) \
        JOIN campaigns ON campaigns.number = owed.campaign GROUP BY sale, campaign, basis";
    if attributions.is_empty() {
        return Ok(());
    }
    let is_price = |attribution: &Attribution| {
        matches!(attribution.part, GrantedPart::Price | GrantedPart::Both)
    };
    let is_discount = |attribution: &Attribution| {
        matches!(attribution.part, GrantedPart::Discount | GrantedPart::Both)
    };
    diesel::sql_query(statement)
        .bind::<Array<SqlUuid>, _>(
            attributions.iter().map(|attribution| attribution.sale).collect::<Vec<_>>(),
        )
        .bind::<Array<SqlText>, _>(
            attributions.iter().map(|attribution| &attribution.campaign).collect::<Vec<_>>(),
        )
        .bind::<Array<SqlText>, _>(
            attributions.iter().map(|attribution| attribution.basis).collect::<Vec<_>>(),
        )
        .bind::<Array<Bool>, _>(attributions.iter().map(is_price).collect::<Vec<_>>())
        .bind::<Array<Bool>, _>(attributions.iter().map(is_discount).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}
