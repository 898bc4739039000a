//! What the targeting rules look at, gathered from the drafts while the campaign is locked.

use std::collections::{BTreeSet, HashMap};

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::{Array, Date, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use uuid::Uuid;

use super::targeting::{self, Targeting};
use crate::platform::db::schema::{campaign_statuses, campaigns, discount_lines, price_lines};
use crate::platform::http::problem::Problem;
use crate::publication::difference::Entry;
use crate::publication::facts::{DiscountLineFact, ItemFact, PriceLineFact};
use crate::publication::published_campaign::PublishedCampaign;
use crate::publication::reader::{self, Drafted, Lines};
use crate::publication::snapshot::Snapshot;
use crate::values::enums::Publishing;
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
    /// Who is targeted; of a part, only as far as the part goes.
    pub targeting: Targeting,
    /// What is to count, as rows of the book; of a part, its lines.
    pub entries: Vec<Entry>,
    /// The lines that the rules look at: all, or those beside the lines of a part.
    pub prices: Vec<(String, PriceLineFact)>,
    pub discounts: Vec<(String, DiscountLineFact)>,
    /// Whether the campaign has any line.
    pub has_lines: bool,
    /// The items that the lines name.
    pub items: HashMap<String, ItemFact>,
    /// The lines' foreign currencies that have an exchange rate by the campaign's first day or
    /// today, with it.
    pub rates: HashMap<String, crate::pricing::exact::Rate>,
    pub local_currency: String,
    /// Item discount groups of the lines that no item has.
    pub empty_groups: BTreeSet<String>,
    pub today: NaiveDate,
}

impl Draft {
    /// What is to count of the campaign; the rows are taken out.
    pub(super) fn desired(&mut self) -> PublishedCampaign {
        PublishedCampaign {
            entries: std::mem::take(&mut self.entries),
            accounts: self.targeting.accounts.clone(),
        }
    }
}

/// Locks campaigns against every other change of what they publish, in the order of their numbers.
///
/// Whoever adds to what an active campaign publishes comes by here before it asks whether the
/// campaign is active. The lock of a foreign key does not stand in its way.
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

/// Locks the campaign that a path names.
pub(super) async fn find(
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

/// The campaign that a path names, to be looked at only.
pub(super) async fn look(
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

/// How much of a campaign is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'a> {
    /// All of it.
    Whole,
    /// Only what changed, so that the cost is that of the change.
    Part {
        /// Lines by id.
        lines: &'a BTreeSet<Uuid>,
        /// Contacts on its segments, by number.
        contacts: &'a BTreeSet<String>,
    },
}

/// The draft of a campaign's lines: as rows of the book, and as the rules look at them; and whether
/// there are any.
async fn lines(
    conn: &mut AsyncPgConnection,
    number: &str,
    scope: Scope<'_>,
) -> Result<(Drafted, bool), Problem> {
    let has_lines = |drafted: &Drafted| !drafted.prices.is_empty() || !drafted.discounts.is_empty();
    match scope {
        Scope::Whole => {
            let drafted = reader::campaign_in_draft(conn, number, Lines::All).await?;
            let exist = has_lines(&drafted);
            Ok((drafted, exist))
        }
        Scope::Part { lines, .. } if lines.is_empty() => Ok((Drafted::default(), true)),
        Scope::Part { lines, .. } => {
            let entries =
                reader::campaign_in_draft(conn, number, Lines::These(lines)).await?.entries;
            let drafted = Drafted { entries, ..reader::lines_beside(conn, number, lines).await? };
            let of_prices = price_lines::table.filter(price_lines::campaign_number.eq(number));
            let of_discounts =
                discount_lines::table.filter(discount_lines::campaign_number.eq(number));
            let exist = diesel::select(
                diesel::dsl::exists(of_prices).or(diesel::dsl::exists(of_discounts)),
            );
            let exist = has_lines(&drafted) || exist.get_result(conn).await?;
            Ok((drafted, exist))
        }
    }
}

/// Gathers what the rules look at. Items come from a copy of the book, if there is one that is up
/// to date.
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
        lines(conn, number, scope).await?;
    // As the rules and the plan list them, whatever the database came across first.
    prices.sort_by(|(one, _), (other, _)| one.cmp(other));
    discounts.sort_by(|(one, _), (other, _)| one.cmp(other));
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

/// Those of the item discount groups that no item has.
async fn empty(
    conn: &mut AsyncPgConnection,
    groups: &BTreeSet<String>,
) -> QueryResult<BTreeSet<String>> {
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
