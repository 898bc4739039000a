//! Which campaigns a posted line is owed to: by the quote that it refers to, else as the ERP says,
//! else by finding the price of its date once more, in the price book as it was when that day
//! ended.
//!
//! A campaign that no longer exists gets nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use diesel::prelude::*;
use diesel::sql_types::{
    Array, BigInt, Bool, Date as SqlDate, Nullable, Text as SqlText, Timestamptz, Uuid as SqlUuid,
};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::{Basis, Posting, SaleWrite};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::resource::RowWrite;
use crate::publication::reader;
use crate::publication::snapshot::Snapshot;
use crate::quotes::answer::{AnswerSource, LineUsed, QuoteLine};
use crate::quotes::quote::quote;
use crate::quotes::request::{Asker, QuoteRequest, RequestLine};

/// What part of a line came from a campaign.
#[derive(Debug, Clone, Copy)]
enum Part {
    Price,
    Discount,
    Both,
}

/// A line that is owed to a campaign.
#[derive(Debug)]
pub(super) struct Owed {
    sale: Uuid,
    campaign: String,
    basis: Basis,
    part: Part,
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = SqlUuid)]
    sale: Uuid,
    #[diesel(sql_type = Bool)]
    is_price: bool,
    #[diesel(sql_type = Bool)]
    found: bool,
    #[diesel(sql_type = Nullable<SqlText>)]
    campaign_number: Option<String>,
}

/// By the quotes that lines refer to; and what is wrong with what they refer to.
pub(super) async fn by_reference(
    conn: &mut AsyncPgConnection,
    rows: &[&RowWrite<SaleWrite>],
) -> QueryResult<(Vec<Owed>, Vec<FieldError>)> {
    let referring = || rows.iter().filter_map(|row| Some((row, row.write.publication_version?)));
    if referring().next().is_none() {
        return Ok((Vec::new(), Vec::new()));
    }
    let latest = reader::latest(conn).await?;
    let to_come = referring().filter(|(_, version)| *version > latest);
    let mut errors: Vec<FieldError> = to_come
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
    let query = "SELECT named.sale, named.is_price, book_entries.key IS NOT NULL AS found, book_entries.campaign_number \
        FROM unnest($1, $2, $3, $4) AS named(sale, is_price, line, version) LEFT JOIN book_entries \
            ON kind = CASE WHEN is_price THEN 'PRICE_LINE' ELSE 'DISCOUNT_LINE' END AND key = named.line \
            AND from_version <= version AND (to_version IS NULL OR to_version > version)";
    let lines: Vec<Line> = diesel::sql_query(query)
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
    let owed = lines.into_iter().filter_map(|line| {
        let part = if line.is_price { Part::Price } else { Part::Discount };
        Some(Owed {
            sale: line.sale,
            campaign: line.campaign_number?,
            basis: Basis::Reference,
            part,
        })
    });
    Ok((owed.collect(), errors))
}

/// As the ERP says, of lines that refer to no quote. It says nothing of price and discount, so both
/// count.
pub(super) fn as_stated(rows: &[&RowWrite<SaleWrite>]) -> Vec<Owed> {
    let stated =
        rows.iter().filter(|row| row.write.publication_version.is_none()).filter_map(|row| {
            let campaign = row.write.campaign_number.as_ref()?.to_string();
            Some(Owed { sale: row.id, campaign, basis: Basis::Stated, part: Part::Both })
        });
    stated.collect()
}

/// By the price of the date, of lines that know no more.
pub(super) async fn by_replay(
    conn: &mut AsyncPgConnection,
    posting: &Posting,
    rows: &[&RowWrite<SaleWrite>],
) -> Result<Vec<Owed>, Problem> {
    let knows_no_more = |row: &&&RowWrite<SaleWrite>| {
        row.write.publication_version.is_none() && row.write.campaign_number.is_none()
    };
    let rows: Vec<&RowWrite<SaleWrite>> = rows.iter().filter(knows_no_more).copied().collect();
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let versions = in_force(conn, posting, &rows).await?;
    let mut by_version: BTreeMap<i64, Vec<&RowWrite<SaleWrite>>> = BTreeMap::new();
    for row in rows {
        let version = versions.get(&row.write.posting_date.get()).copied().unwrap_or_default();
        by_version.entry(version).or_default().push(row);
    }
    let mut owed = Vec::new();
    for (version, rows) in by_version {
        let book = book_at(conn, posting, version).await?;
        owed.extend(rows.into_iter().flat_map(|row| replayed(&book, row)));
    }
    Ok(owed)
}

/// The book as it was at a version, which is then at hand for the rest of the request: the rows of
/// a batch that is refused are tried again one by one.
async fn book_at(
    conn: &mut AsyncPgConnection,
    posting: &Posting,
    version: i64,
) -> Result<Arc<Snapshot>, Problem> {
    if let Some(book) = posting.past.borrow().get(&version) {
        return Ok(book.clone());
    }
    let book = posting.book.as_of(conn, version).await?;
    let book = book.ok_or_else(|| {
        Problem::internal(format!("there is no version {version} of the price book"))
    })?;
    posting.past.borrow_mut().insert(version, book.clone());
    Ok(book)
}

/// The version that was in force when each posting date ended, where the company is; the present
/// one for a day that has not.
async fn in_force(
    conn: &mut AsyncPgConnection,
    posting: &Posting,
    rows: &[&RowWrite<SaleWrite>],
) -> QueryResult<HashMap<NaiveDate, i64>> {
    #[derive(QueryableByName)]
    struct InForce {
        #[diesel(sql_type = SqlDate)]
        date: NaiveDate,
        #[diesel(sql_type = BigInt)]
        version: i64,
    }
    let end = |date: NaiveDate| {
        date.succ_opt().map_or(DateTime::<Utc>::MAX_UTC, |next| posting.calendar.begins(next))
    };
    let ends: BTreeMap<NaiveDate, DateTime<Utc>> =
        rows.iter().map(|row| row.write.posting_date.get()).map(|date| (date, end(date))).collect();
    let query = "SELECT day.date, version FROM unnest($1, $2) AS day(date, until), LATERAL (SELECT version FROM publications \
            WHERE published_at < day.until ORDER BY published_at DESC, version DESC LIMIT 1) AS newest";
    let found: Vec<InForce> = diesel::sql_query(query)
        .bind::<Array<SqlDate>, _>(ends.keys().copied().collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(ends.values().copied().collect::<Vec<_>>())
        .load(conn)
        .await?;
    Ok(found.into_iter().map(|row| (row.date, row.version)).collect())
}

/// What the book says of the line: the campaigns of its price and its discount. What has no price
/// there is owed to nobody.
fn replayed(book: &Snapshot, row: &RowWrite<SaleWrite>) -> Vec<Owed> {
    let write = &row.write;
    let asker = match (&write.contact_number, &write.customer_number) {
        (Some(contact), _) => Asker::Contact(contact.as_str().into()),
        (_, Some(customer)) => Asker::Customer(customer.as_str().into()),
        (None, None) => Asker::Anybody,
    };
    let request = QuoteRequest {
        asker,
        date: write.posting_date.get(),
        currency_code: write.currency_code.as_ref().map(|code| code.as_str().into()),
        prices_include_tax: None,
        campaign_number: None,
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
        explain: None,
    };
    let Ok(answer) = quote(book, &request) else { return Vec::new() };
    let owed = |line: Option<LineUsed<'_>>, part| match line?.source {
        AnswerSource::Campaign { campaign_number } => Some(Owed {
            sale: row.id,
            campaign: campaign_number.to_owned(),
            basis: Basis::Replay,
            part,
        }),
        _ => None,
    };
    let of_line = |line: &QuoteLine<'_>| match line {
        QuoteLine::Priced(line) => {
            [owed(line.price_line, Part::Price), owed(line.discount_line, Part::Discount)]
        }
        QuoteLine::Unpriced(_) => [None, None],
    };
    answer.lines.iter().flat_map(of_line).flatten().collect()
}

/// Writes down what is owed: a line once for each campaign, with all that came from it.
pub(super) async fn record(conn: &mut AsyncPgConnection, owed: &[Owed]) -> QueryResult<()> {
    let statement = "INSERT INTO sales_attributions (sale_id, campaign_number, basis, price, discount) \
        SELECT sale, campaign, basis, bool_or(price), bool_or(discount) \
        FROM unnest($1, $2, $3, $4, $5) AS owed(sale, campaign, basis, price, discount) \
        JOIN campaigns ON campaigns.number = owed.campaign GROUP BY sale, campaign, basis";
    if owed.is_empty() {
        return Ok(());
    }
    let is_price = |owed: &Owed| matches!(owed.part, Part::Price | Part::Both);
    let is_discount = |owed: &Owed| matches!(owed.part, Part::Discount | Part::Both);
    diesel::sql_query(statement)
        .bind::<Array<SqlUuid>, _>(owed.iter().map(|owed| owed.sale).collect::<Vec<_>>())
        .bind::<Array<SqlText>, _>(owed.iter().map(|owed| &owed.campaign).collect::<Vec<_>>())
        .bind::<Array<SqlText>, _>(owed.iter().map(|owed| owed.basis).collect::<Vec<_>>())
        .bind::<Array<Bool>, _>(owed.iter().map(is_price).collect::<Vec<_>>())
        .bind::<Array<Bool>, _>(owed.iter().map(is_discount).collect::<Vec<_>>())
        .execute(conn)
        .await?;
    Ok(())
}
