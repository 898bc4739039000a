//! What the targeting rules look at, gathered from the drafts while the campaign is locked.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{Array, Date, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

use super::targeting::{self, Targeting};
use crate::platform::db::schema::{campaign_statuses, campaigns};
use crate::platform::http::problem::Problem;
use crate::publication::facts::{DiscountLineFact, Fact, ItemFact, PriceLineFact};
use crate::publication::reader;
use crate::values::words::Publishing;
use crate::values::{Key, Reference};

/// A campaign's own row, as activation reads it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = campaigns, check_for_backend(diesel::pg::Pg))]
pub(super) struct Campaign {
    pub number: Key,
    pub status_code: Option<Key>,
    pub starting_date: Option<NaiveDate>,
    pub ending_date: Option<NaiveDate>,
    pub publishing: Publishing,
    pub has_unpublished_changes: bool,
    pub publication_version: Option<i64>,
}

/// Everything that the rules look at.
pub(super) struct Draft {
    pub campaign: Campaign,
    /// Whether the campaign's status allows activation; a campaign without status may be activated.
    pub status_allows: bool,
    pub targeting: Targeting,
    pub prices: Vec<(String, PriceLineFact)>,
    pub discounts: Vec<(String, DiscountLineFact)>,
    /// The items that the lines name.
    pub items: HashMap<String, ItemFact>,
    /// The lines' foreign currencies that have an exchange rate by the campaign's first day or today, with it.
    pub rates: HashMap<String, crate::pricing::exact::Rate>,
    pub local_currency: String,
    /// Item discount groups of the lines that no item has.
    pub empty_groups: BTreeSet<String>,
    pub today: NaiveDate,
}

/// Locks campaigns against every other change of what they publish, in the order of their numbers.
///
/// Whoever adds to what an active campaign publishes comes by here before it asks whether the campaign is active. The lock of a
/// foreign key does not stand in its way.
pub(super) async fn lock(conn: &mut AsyncPgConnection, numbers: &BTreeSet<String>) -> QueryResult<Vec<Campaign>> {
    campaigns::table
        .filter(campaigns::number.eq_any(numbers))
        .order(campaigns::number)
        .select(Campaign::as_select())
        .for_no_key_update()
        .load(conn)
        .await
}

/// Locks the campaign that a path names.
pub(super) async fn find(conn: &mut AsyncPgConnection, reference: &Reference) -> Result<Campaign, Problem> {
    let query = campaigns::table.select(Campaign::as_select()).for_no_key_update();
    let found = match reference {
        Reference::Id(id) => query.filter(campaigns::id.eq(id)).first(conn).await,
        Reference::Key(number) => query.filter(campaigns::number.eq(number)).first(conn).await,
    };
    found.optional()?.ok_or_else(|| Problem::not_found("campaign", &reference.to_string()))
}

/// Gathers what the rules look at.
pub(super) async fn gather(
    conn: &mut AsyncPgConnection,
    campaign: Campaign,
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
    let targeting = targeting::count(conn, number).await?;
    let (mut prices, mut discounts) = (Vec::new(), Vec::new());
    for (key, fact) in reader::lines_in_draft(conn, number).await? {
        match fact {
            Fact::PriceLine(line) => prices.push((key, line)),
            Fact::DiscountLine(line) => discounts.push((key, line)),
            _ => {}
        }
    }
    let named: BTreeSet<String> = prices
        .iter()
        .map(|(_, line)| line.item_number.clone())
        .chain(discounts.iter().filter_map(|(_, line)| line.item_number.clone()))
        .collect();
    let items = reader::items_in_draft(conn, &named).await?;
    let local_currency = {
        use crate::platform::db::schema::settings;
        settings::table.select(settings::local_currency_code).first(conn).await?
    };
    let currencies: BTreeSet<String> = prices
        .iter()
        .filter_map(|(_, line)| line.currency_code.clone())
        .chain(discounts.iter().filter_map(|(_, line)| line.currency_code.clone()))
        .collect();
    let date = campaign.starting_date.map_or(today, |start| start.max(today));
    let rates = rates(conn, &currencies, date).await?;
    let groups: BTreeSet<String> =
        discounts.iter().filter_map(|(_, line)| line.item_discount_group_code.clone()).collect();
    let empty_groups = if groups.is_empty() { groups } else { empty(conn, &groups).await? };
    Ok(Draft {
        campaign,
        status_allows,
        targeting,
        prices,
        discounts,
        items,
        rates,
        local_currency,
        empty_groups,
        today,
    })
}

/// The exchange rates of currencies on a day.
async fn rates(
    conn: &mut AsyncPgConnection,
    currencies: &BTreeSet<String>,
    date: NaiveDate,
) -> Result<HashMap<String, crate::pricing::exact::Rate>, Problem> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        currency_code: String,
        #[diesel(sql_type = diesel::sql_types::Jsonb)]
        rate: serde_json::Value,
    }
    let question = "SELECT DISTINCT ON (currency_code) currency_code, to_jsonb(trim_scale(rate)::text) AS rate
        FROM exchange_rates WHERE currency_code = ANY($1) AND starting_date <= $2
        ORDER BY currency_code, starting_date DESC";
    let currencies: Vec<&String> = currencies.iter().collect();
    let rows: Vec<Row> =
        diesel::sql_query(question).bind::<Array<Text>, _>(currencies).bind::<Date, _>(date).load(conn).await?;
    rows.into_iter()
        .map(|row| Ok((row.currency_code, serde_json::from_value(row.rate).map_err(Problem::internal)?)))
        .collect()
}

/// Those of the item discount groups that no item has.
async fn empty(conn: &mut AsyncPgConnection, groups: &BTreeSet<String>) -> QueryResult<BTreeSet<String>> {
    use crate::platform::db::schema::items;
    let used: Vec<Option<String>> = items::table
        .filter(items::item_discount_group_code.eq_any(groups))
        .select(items::item_discount_group_code)
        .distinct()
        .load(conn)
        .await?;
    let used: BTreeSet<String> = used.into_iter().flatten().collect();
    Ok(groups.difference(&used).cloned().collect())
}
