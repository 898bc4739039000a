//! Segments by rule: the lines of a segment with `membership` `RULE` are the contacts that match
//! its filter. Contacts enter and leave in the transaction that changes them. A filter that reads
//! the date is evaluated again at the company's midnight.
//!
//! The lines are stored like those of other segments, so that audiences, logging and statistics
//! need not know of rules. Each kept line keeps its own `campaignTarget` and `campaignResponse`.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel::sql_types::Text as SqlText;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection as _};
use values::enums::Membership;
use values::{Key, Text};

use super::{PreviousSegment, SegmentWrite};
use crate::contacts::FIELDS;
use crate::platform::clock::Calendar;
use crate::platform::http::list::{Field, Filter, Statement};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::resource::RowWrite;
use crate::schema::{contacts, criteria_actions, sales, segments};
use crate::unit_of_work::{ChangedKeys, Database, UnitOfWork};

/// Maximum number of segments by rule. Each change of a contact evaluates all of them.
pub const MAX_RULES: i64 = 100;
/// Maximum number of changed lines that are published one by one. With more, the campaign is
/// compared as a whole.
const MAX_NAMED_LINES: i64 = 1_000;
/// Timeout of the statement that evaluates a rule for all contacts. A million new lines can take
/// longer than other statements may.
const WHOLE_TIMEOUT: &str = "SET LOCAL statement_timeout = '240s'";
/// The author of changes that a new day causes.
const AUTHOR: &str = "system";
/// The interval between two looks at the date.
const DAY_CHECK_INTERVAL: Duration = Duration::from_secs(60);
/// The minimum of that interval, right before midnight.
const MIN_DAY_CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// Returns the errors of a rule: a filter that cannot be used, or a filter without rule.
pub(super) fn errors(membership: Membership, filter: &Text<4096>) -> Vec<FieldError> {
    match membership {
        Membership::Rule => parse(filter.as_str(), NaiveDate::default()).err().unwrap_or_default(),
        Membership::List if filter.as_str().is_empty() => Vec::new(),
        Membership::List => {
            let detail = "only a segment with membership RULE has a filter";
            vec![FieldError::new("/filter", FieldCode::NotAllowed, detail)]
        }
    }
}

/// Parses the filter of a rule. Without filter, all contacts match.
fn parse(filter: &str, today: NaiveDate) -> Result<Option<Filter>, Vec<FieldError>> {
    if filter.is_empty() {
        return Ok(None);
    }
    Filter::parse(filter, FIELDS, "/filter", today).map(Some)
}

/// A segment by rule.
struct Rule {
    segment: String,
    campaign: Option<String>,
    filter: Option<Filter>,
    /// The day for which the rule was evaluated last, if it depends on the date.
    evaluated_on: Option<NaiveDate>,
}

impl Rule {
    /// Returns whether the filter reads a table or a placeholder.
    fn reads(&self, sql: &str) -> bool {
        let reads = |field: &&Field| field.sql.contains(sql);
        self.filter.iter().flat_map(Filter::fields).any(|field| reads(&field))
    }
}

/// Reads the rules, in the order of their segments.
async fn rules(conn: &mut AsyncPgConnection, today: NaiveDate) -> QueryResult<Vec<Rule>> {
    let rows: Vec<(String, Option<String>, String, Option<NaiveDate>)> = segments::table
        .filter(segments::membership.eq(Membership::Rule))
        .order(segments::number)
        .select((
            segments::number,
            segments::campaign_number,
            segments::filter,
            segments::evaluated_on,
        ))
        .load(conn)
        .await?;
    let parsed = rows.into_iter().filter_map(|(segment, campaign, filter, evaluated_on)| {
        match parse(&filter, today) {
            Ok(filter) => Some(Rule { segment, campaign, filter, evaluated_on }),
            Err(errors) => {
                // It was valid when another build stored it. Changes of contacts must not fail.
                tracing::error!(
                    segment,
                    ?errors,
                    "the rule of a segment is not readable; it stays as it is"
                );
                None
            }
        }
    });
    Ok(parsed.collect())
}

/// Records the segments of which rows change the rule, so that the lines follow it when the change
/// is published. A segment that becomes one by rule loses its criteria actions, since undoing them
/// would bring back lines that do not match.
///
/// # Errors
/// 422 if there would be more than [`MAX_RULES`], or when the database fails.
pub(super) async fn adopt(
    work: &mut UnitOfWork,
    rows: &[RowWrite<SegmentWrite>],
    previous: &[PreviousSegment],
) -> Result<(), Problem> {
    let by_rule = rows.iter().filter(|row| row.write.membership == Membership::Rule);
    let changed: Vec<&Key> = by_rule
        .filter(|row| {
            let known = previous.iter().find(|segment| segment.id == row.id);
            known.is_none_or(|segment| {
                segment.membership != Membership::Rule || segment.filter != row.write.filter
            })
        })
        .filter_map(|row| row.write.number.as_ref())
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let of_changed = criteria_actions::segment_number.eq_any(&changed);
    diesel::delete(criteria_actions::table.filter(of_changed)).execute(&mut work.conn).await?;
    let rules = segments::table.filter(segments::membership.eq(Membership::Rule));
    let count: i64 = rules.count().get_result(&mut work.conn).await?;
    if count > MAX_RULES {
        let detail = format!("at most {MAX_RULES} segments can have a rule");
        return Err(Problem::rule("/membership", FieldCode::NotAllowed, detail));
    }
    work.changed_keys.rules.extend(changed.into_iter().map(Key::to_string));
    Ok(())
}

/// Brings the lines of all segments by rule up to date with what the unit of work has changed, and
/// records the lines that come and go as changed targets.
///
/// # Errors
/// If the database fails.
pub async fn follow(work: &mut UnitOfWork, today: NaiveDate) -> Result<(), Problem> {
    let ChangedKeys { contacts, sales, interactions, rules: changed_rules, .. } =
        &work.changed_keys;
    if contacts.is_empty() && sales.is_empty() && !*interactions && changed_rules.is_empty() {
        return Ok(());
    }
    let (changed_rules, has_interactions) = (changed_rules.clone(), *interactions);
    let (contacts, sales) = (contacts.clone(), sales.clone());
    let rules = rules(&mut work.conn, today).await?;
    if rules.is_empty() {
        return Ok(());
    }
    let (whole, others): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(|rule| {
        changed_rules.contains(&rule.segment) || has_interactions && rule.reads("FROM interactions")
    });
    if !whole.is_empty() {
        work.conn.batch_execute(WHOLE_TIMEOUT).await?;
    }
    for rule in whole {
        evaluate(work, &[rule], None).await?;
    }
    let mut changed = BTreeSet::new();
    if !contacts.is_empty() {
        changed.extend(with_persons(&mut work.conn, &contacts).await?);
    }
    if !sales.is_empty() && others.iter().any(|rule| rule.reads("FROM sales")) {
        changed.extend(buyers(&mut work.conn, &sales).await?);
    }
    if !changed.is_empty() && !others.is_empty() {
        evaluate(work, &others, Some(changed)).await?;
    }
    Ok(())
}

/// Returns contacts with the persons of those that are companies: a filter also reads the company
/// of a person.
async fn with_persons(
    conn: &mut AsyncPgConnection,
    changed: &BTreeSet<String>,
) -> QueryResult<Vec<String>> {
    let named = contacts::number.eq_any(changed.iter());
    let persons = contacts::company_number.eq_any(changed.iter());
    contacts::table.filter(named.or(persons)).select(contacts::number).load(conn).await
}

/// Returns the contacts of the accounts that posted sales are of, locked in the order of their
/// numbers: of two concurrent sales the later one sees both.
async fn buyers(
    conn: &mut AsyncPgConnection,
    posted: &BTreeSet<uuid::Uuid>,
) -> QueryResult<Vec<String>> {
    let accounts =
        sales::table.filter(sales::id.eq_any(posted)).select(sales::account_number).distinct();
    let accounts: Vec<String> = accounts.load(conn).await?;
    let of_account = contacts::number
        .eq_any(accounts.iter())
        .or(contacts::company_number.eq_any(accounts.iter()));
    contacts::table
        .filter(of_account)
        .order(contacts::number)
        .select(contacts::number)
        .for_no_key_update()
        .load(conn)
        .await
}

/// A line that came or went.
#[derive(QueryableByName)]
struct ChangedLine {
    #[diesel(sql_type = SqlText)]
    segment_number: String,
    #[diesel(sql_type = SqlText)]
    contact_number: String,
}

/// Evaluates rules for some contacts, or for all, in one statement.
async fn evaluate(
    work: &mut UnitOfWork,
    rules: &[&Rule],
    changed: Option<BTreeSet<String>>,
) -> Result<(), Problem> {
    let changed: Option<Vec<String>> = changed.map(Vec::from_iter);
    let segments: Vec<String> = rules.iter().map(|rule| rule.segment.clone()).collect();
    let mut statement = Statement::default().sql("WITH wanted AS MATERIALIZED (");
    for (at, rule) in rules.iter().enumerate() {
        statement = statement
            .sql(if at == 0 { "SELECT " } else { " UNION ALL SELECT " })
            .text(&rule.segment)
            .sql(
                " AS segment_number, contacts.number AS contact_number FROM contacts
                WHERE NOT contacts.exclude_from_segments AND NOT contacts.privacy_blocked",
            );
        if let Some(changed) = &changed {
            statement = statement.sql(" AND contacts.number = ANY(").texts(changed).sql(")");
        }
        if let Some(filter) = &rule.filter {
            statement = statement.sql(" AND ").condition(filter.condition());
        }
    }
    statement = statement
        .sql("), gone AS (DELETE FROM segment_lines AS lines WHERE lines.segment_number = ANY(")
        .texts(&segments)
        .sql(")");
    if let Some(changed) = &changed {
        statement = statement.sql(" AND lines.contact_number = ANY(").texts(changed).sql(")");
    }
    let statement = statement
        .sql(
            " AND NOT EXISTS (SELECT FROM wanted
                    WHERE wanted.segment_number = lines.segment_number
                        AND wanted.contact_number = lines.contact_number)
                RETURNING lines.segment_number, lines.contact_number),
            came AS (INSERT INTO segment_lines (id, segment_number, contact_number)
                SELECT uuid_v7(), segment_number, contact_number FROM wanted
                WHERE NOT EXISTS (SELECT FROM segment_lines AS lines
                    WHERE lines.segment_number = wanted.segment_number
                        AND lines.contact_number = wanted.contact_number)
                ORDER BY segment_number, contact_number
                ON CONFLICT DO NOTHING
                RETURNING segment_number, contact_number)
            SELECT * FROM (SELECT * FROM gone UNION ALL SELECT * FROM came) AS lines LIMIT ",
        )
        .integer(MAX_NAMED_LINES.saturating_add(1));
    let lines: Vec<ChangedLine> = statement.load(&mut work.conn).await?;
    let is_many = lines.len() > usize::try_from(MAX_NAMED_LINES).unwrap_or(usize::MAX);
    for rule in rules {
        let Some(campaign) = &rule.campaign else { continue };
        if is_many {
            work.changed_keys.campaigns.insert(campaign.clone());
            continue;
        }
        let of_rule = lines.iter().filter(|line| line.segment_number == rule.segment);
        let mut contacts = of_rule.map(|line| line.contact_number.clone()).peekable();
        if contacts.peek().is_some() {
            work.changed_keys.targets.entry(campaign.clone()).or_default().extend(contacts);
        }
    }
    Ok(())
}

/// Evaluates the rules that depend on the date once a day has begun. Runs until the process ends.
pub async fn run(database: Database, calendar: Calendar) {
    loop {
        if let Err(problem) = evaluate_day(&database, calendar.today()).await {
            tracing::warn!(
                detail = %problem.detail,
                "segments by rule cannot be evaluated for the new day; retrying later"
            );
        }
        tokio::time::sleep(
            calendar.time_until_midnight().clamp(MIN_DAY_CHECK_INTERVAL, DAY_CHECK_INTERVAL),
        )
        .await;
    }
}

/// Evaluates each rule that depends on the date and was not evaluated on the day, in a transaction
/// of its own.
///
/// # Errors
/// If the database fails, or a publication is refused. Later rules are evaluated all the same.
pub async fn evaluate_day(database: &Database, today: NaiveDate) -> Result<(), Problem> {
    let rules = rules(&mut *database.read().await?, today).await?;
    let due = rules.iter().filter(|rule| {
        rule.reads("{today}") && rule.evaluated_on.is_none_or(|evaluated_on| evaluated_on < today)
    });
    let mut result = Ok(());
    for Rule { segment, .. } in due {
        let evaluated = database
            .transact_as(AUTHOR, async |work| {
                let evaluated_on = segments::evaluated_on;
                let is_due = evaluated_on.is_null().or(evaluated_on.lt(today));
                let update = diesel::update(segments::table.filter(segments::number.eq(segment)))
                    .filter(is_due)
                    .set(evaluated_on.eq(today));
                // Another replica may have evaluated it in the meantime.
                if update.execute(&mut work.conn).await? > 0 {
                    work.changed_keys.rules.insert(segment.clone());
                }
                Ok(())
            })
            .await;
        if evaluated.is_err() {
            result = evaluated;
        }
    }
    result
}
