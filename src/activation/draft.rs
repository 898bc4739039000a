//! The input of the targeting rules, gathered from the drafts while the campaign is locked.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{Array, Date, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use price_book::facts::{DiscountLineFact, ItemFact, PriceLineFact};
use price_book::snapshot::Snapshot;
use uuid::Uuid;
use values::enums::{Combination, Publishing};
use values::{Key, Reference};

use super::targeting;
use super::targeting::Targeting;
use crate::platform::http::problem::Problem;
use crate::publication::difference::Entry;
use crate::publication::published_campaign::PublishedCampaign;
use crate::publication::reader;
use crate::publication::reader::{Drafted, Lines};
use crate::schema::{campaign_statuses, campaigns, discount_lines, price_lines};

/// The columns of a campaign's row that activation needs.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = campaigns, check_for_backend(diesel::pg::Pg))]
pub(super) struct Campaign {
    pub number: Key,
    pub status_code: Option<Key>,
    pub starting_date: Option<NaiveDate>,
    pub ending_date: Option<NaiveDate>,
    pub publishing: Publishing,
    pub combination: Combination,
    pub has_unpublished_changes: bool,
    pub publication_version: Option<i64>,
}

/// The input of the targeting rules.
pub(super) struct Draft {
    pub campaign: Campaign,
    /// True if the campaign's status allows activation, or the campaign has no status.
    pub status_allows: bool,
    /// The targeted contacts and accounts; for a part, only those of the part.
    pub targeting: Targeting,
    /// The desired rows of the book; for a part, those of its lines.
    pub entries: Vec<Entry>,
    /// The lines that the rules check: all, or those comparable with the lines of a part.
    pub prices: Vec<(String, PriceLineFact)>,
    pub discounts: Vec<(String, DiscountLineFact)>,
    /// True if the campaign has any line.
    pub has_lines: bool,
    /// The facts of the items that the lines name.
    pub items: HashMap<String, ItemFact>,
    /// The exchange rates of the lines' foreign currencies, as of the campaign's first day or
    /// today. Currencies without a rate are absent.
    pub rates: HashMap<String, values::ExchangeRate>,
    pub local_currency: String,
    /// Item discount groups of the lines that no item has.
    pub empty_groups: BTreeSet<String>,
    pub today: NaiveDate,
}

impl Draft {
    /// Returns the desired state of the campaign and moves the rows out of the draft.
    pub(super) fn desired(&mut self) -> PublishedCampaign {
        PublishedCampaign {
            entries: std::mem::take(&mut self.entries),
            accounts: self.targeting.accounts.clone(),
        }
    }
}

/// Locks campaigns against other changes of what they publish, in the order of their numbers.
///
/// Every change of an active campaign takes this lock before it reads whether the campaign is
/// active. The share lock of a foreign key does not conflict with it.
pub(super) async fn lock(
    conn: &mut AsyncPgConnection,
    numbers: &BTreeSet<String>,
) -> QueryResult<Vec<Campaign>> {
    campaigns::table
        .filter(campaigns::number.eq_any(numbers))
        .order(campaigns::number)
        .select(Campaign::as_select())
        .for_no_key_update()
        .load(conn)
        .await
}

/// Locks and returns the campaign that a path names.
pub(super) async fn find_for_update(
    conn: &mut AsyncPgConnection,
    reference: &Reference,
) -> Result<Campaign, Problem> {
    let query = campaigns::table.select(Campaign::as_select()).for_no_key_update();
    let found = match reference {
        Reference::Id(id) => query.filter(campaigns::id.eq(id)).first(conn).await,
        Reference::Key(number) => query.filter(campaigns::number.eq(number)).first(conn).await,
    };
    found.optional()?.ok_or_else(|| Problem::not_found("campaign", &reference.to_string()))
}

/// Returns the campaign that a path names, without a lock.
pub(super) async fn find(
    conn: &mut AsyncPgConnection,
    reference: &Reference,
) -> Result<Campaign, Problem> {
    let named = campaigns::id
        .nullable()
        .eq(reference.id())
        .or(campaigns::number.nullable().eq(reference.key()));
    let found = campaigns::table.filter(named).select(Campaign::as_select()).first(conn).await;
    found.optional()?.ok_or_else(|| Problem::not_found("campaign", &reference.to_string()))
}

/// The extent of a campaign that is gathered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'a> {
    /// The whole campaign.
    Whole,
    /// Only what changed, so that the cost is in proportion to the change.
    Part {
        /// Lines by id.
        lines: &'a BTreeSet<Uuid>,
        /// Contacts on its segments, by number.
        contacts: &'a BTreeSet<String>,
    },
}

/// Returns the drafts of a campaign's lines, as rows of the book and as facts for the rules, and
/// whether the campaign has any.
async fn draft_lines(
    conn: &mut AsyncPgConnection,
    number: &str,
    scope: Scope<'_>,
) -> Result<(Drafted, bool), Problem> {
    let has_lines = |drafted: &Drafted| !drafted.prices.is_empty() || !drafted.discounts.is_empty();
    match scope {
        Scope::Whole => {
            let drafted = reader::campaign_in_draft(conn, number, Lines::All).await?;
            let has_any = has_lines(&drafted);
            Ok((drafted, has_any))
        }
        Scope::Part { lines, .. } if lines.is_empty() => Ok((Drafted::default(), true)),
        Scope::Part { lines, .. } => {
            let entries =
                reader::campaign_in_draft(conn, number, Lines::These(lines)).await?.entries;
            let drafted = Drafted { entries, ..reader::lines_beside(conn, number, lines).await? };
            let of_prices = price_lines::table.filter(price_lines::campaign_number.eq(number));
            let of_discounts =
                discount_lines::table.filter(discount_lines::campaign_number.eq(number));
            let has_any = diesel::select(
                diesel::dsl::exists(of_prices).or(diesel::dsl::exists(of_discounts)),
            );
            let has_any = has_lines(&drafted) || has_any.get_result(conn).await?;
            Ok((drafted, has_any))
        }
    }
}

/// Gathers the input of the rules. Items are taken from `book` if one is given, which must be
/// current.
pub(super) async fn gather(
    conn: &mut AsyncPgConnection,
    campaign: Campaign,
    scope: Scope<'_>,
    book: Option<&Snapshot>,
    today: NaiveDate,
) -> Result<Draft, Problem> {
    let number = campaign.number.as_str();
    let status_allows = match &campaign.status_code {
        Some(code) => {
            let allows = campaign_statuses::table.filter(campaign_statuses::code.eq(code));
            allows.select(campaign_statuses::allows_activation).first(conn).await?
        }
        None => true,
    };
    let targeting = match scope {
        Scope::Whole => targeting::find(conn, number, None).await?,
        Scope::Part { contacts, .. } if contacts.is_empty() => Targeting::default(),
        Scope::Part { contacts, .. } => targeting::find(conn, number, Some(contacts)).await?,
    };
    let (Drafted { entries, mut prices, mut discounts }, has_lines) =
        draft_lines(conn, number, scope).await?;
    // The order of the rules and the plan must not depend on that of the database.
    prices.sort_by(|(left, _), (right, _)| left.cmp(right));
    discounts.sort_by(|(left, _), (right, _)| left.cmp(right));
    let named: BTreeSet<String> = prices
        .iter()
        .map(|(_, line)| line.item_number.clone())
        .chain(discounts.iter().filter_map(|(_, line)| line.item_number.clone()))
        .collect();
    let items = match book {
        Some(book) => {
            named.iter().filter_map(|number| Some((number.clone(), book.item(number)?))).collect()
        }
        None => reader::items_in_force(conn, &named).await?,
    };
    let local_currency = {
        use crate::schema::settings;
        settings::table.select(settings::local_currency_code).first(conn).await?
    };
    let currencies: BTreeSet<String> = prices
        .iter()
        .filter_map(|(_, line)| line.currency_code.clone())
        .chain(discounts.iter().filter_map(|(_, line)| line.currency_code.clone()))
        .collect();
    let date = campaign.starting_date.map_or(today, |start| start.max(today));
    let rates = exchange_rates(conn, &currencies, date).await?;
    let groups: BTreeSet<String> =
        discounts.iter().filter_map(|(_, line)| line.item_discount_group_code.clone()).collect();
    let empty_groups =
        if groups.is_empty() { groups } else { unused_groups(conn, &groups).await? };
    Ok(Draft {
        campaign,
        status_allows,
        targeting,
        entries,
        prices,
        discounts,
        has_lines,
        items,
        rates,
        local_currency,
        empty_groups,
        today,
    })
}

/// Returns the exchange rates of currencies on a day.
async fn exchange_rates(
    conn: &mut AsyncPgConnection,
    currencies: &BTreeSet<String>,
    date: NaiveDate,
) -> Result<HashMap<String, values::ExchangeRate>, Problem> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        currency_code: String,
        #[diesel(sql_type = diesel::sql_types::Jsonb)]
        rate: serde_json::Value,
    }
    let query =
        "SELECT DISTINCT ON (currency_code) currency_code, to_jsonb(trim_scale(rate)::text) AS rate
        FROM exchange_rates WHERE currency_code = ANY($1) AND starting_date <= $2
        ORDER BY currency_code, starting_date DESC";
    let currencies: Vec<&String> = currencies.iter().collect();
    let rows: Vec<Row> = diesel::sql_query(query)
        .bind::<Array<Text>, _>(currencies)
        .bind::<Date, _>(date)
        .load(conn)
        .await?;
    rows.into_iter()
        .map(|row| {
            Ok((row.currency_code, serde_json::from_value(row.rate).map_err(Problem::internal)?))
        })
        .collect()
}

/// Returns those of the item discount groups that no item has.
async fn unused_groups(
    conn: &mut AsyncPgConnection,
    groups: &BTreeSet<String>,
) -> QueryResult<BTreeSet<String>> {
    use crate::schema::items;
    let used: Vec<Option<String>> = items::table
        .filter(items::item_discount_group_code.eq_any(groups))
        .select(items::item_discount_group_code)
        .distinct()
        .load(conn)
        .await?;
    let used: BTreeSet<String> = used.into_iter().flatten().collect();
    Ok(groups.difference(&used).cloned().collect())
}
