//! Who a campaign is for.
//!
//! A contact is targeted when it stands on a line of one of the campaign's segments and is a target there: the line's own
//! `campaignTarget` decides, and where it says nothing that of the segment. Once the segment is logged, its interactions that are
//! targets and not canceled stand for its lines (the view `logged_targets`). Contacts that are excluded from segments or
//! privacy blocked are left out. What is left counts as accounts: a person's company, else the contact itself (pricing rules,
//! section 1), each once.

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};

/// At most so many contacts are named where contacts are left out.
const NAMED: i64 = 10;

/// The contacts that are targeted by campaign `$1`, those left out included.
macro_rules! targeted {
    () => {
        "SELECT contacts.number, contacts.type, contacts.company_number, contacts.exclude_from_segments AS excluded,
                contacts.privacy_blocked AS blocked
            FROM segments
            JOIN segment_lines AS lines ON lines.segment_number = segments.number
            JOIN contacts ON contacts.number = lines.contact_number
            WHERE segments.campaign_number = $1 AND coalesce(lines.campaign_target, segments.campaign_target)
        UNION ALL
        SELECT contacts.number, contacts.type, contacts.company_number, contacts.exclude_from_segments,
                contacts.privacy_blocked
            FROM logged_targets JOIN contacts ON contacts.number = logged_targets.contact_number
            WHERE logged_targets.campaign_number = $1"
    };
}

/// The accounts (`account`) of the audience of campaign `$1`.
pub(super) const AUDIENCE: &str = concat!(
    "SELECT DISTINCT coalesce(company_number, number) AS account FROM (",
    targeted!(),
    ") AS targeted WHERE NOT excluded AND NOT blocked"
);

/// How many are targeted and how many are left.
#[derive(Debug, Clone, Default, PartialEq, Eq, QueryableByName)]
pub struct Targeting {
    /// Segments of the campaign, logged ones included unless they are canceled.
    #[diesel(sql_type = BigInt)]
    pub segments: i64,
    /// Contacts that are targeted.
    #[diesel(sql_type = BigInt)]
    pub contacts: i64,
    /// Of them: left out, as they are excluded from segments.
    #[diesel(sql_type = BigInt)]
    pub excluded: i64,
    /// The first of them.
    #[diesel(sql_type = Array<Text>)]
    pub excluded_numbers: Vec<String>,
    /// Of them: left out, as they are privacy blocked.
    #[diesel(sql_type = BigInt)]
    pub blocked: i64,
    /// The first of them.
    #[diesel(sql_type = Array<Text>)]
    pub blocked_numbers: Vec<String>,
    /// Persons without company that are not left out: accounts of their own.
    #[diesel(sql_type = BigInt)]
    pub alone: i64,
    /// The first of them.
    #[diesel(sql_type = Array<Text>)]
    pub alone_numbers: Vec<String>,
    /// Accounts that are left.
    #[diesel(sql_type = BigInt)]
    pub accounts: i64,
}

/// Counts whom a campaign is for.
///
/// # Errors
/// When the database fails.
pub async fn count(conn: &mut AsyncPgConnection, campaign: &str) -> QueryResult<Targeting> {
    let question = concat!(
        "WITH targeted AS MATERIALIZED (SELECT DISTINCT * FROM (",
        targeted!(),
        ") AS lines)
        SELECT (SELECT count(*) FROM segments WHERE campaign_number = $1)
                + (SELECT count(*) FROM logged_segments WHERE campaign_number = $1 AND NOT canceled) AS segments,
            (SELECT count(*) FROM targeted) AS contacts,
            (SELECT count(*) FROM targeted WHERE blocked) AS blocked,
            ARRAY(SELECT number FROM targeted WHERE blocked ORDER BY number LIMIT $2) AS blocked_numbers,
            (SELECT count(*) FROM targeted WHERE excluded AND NOT blocked) AS excluded,
            ARRAY(SELECT number FROM targeted WHERE excluded AND NOT blocked ORDER BY number LIMIT $2)
                AS excluded_numbers,
            (SELECT count(*) FROM targeted WHERE type = 'PERSON' AND company_number IS NULL
                AND NOT excluded AND NOT blocked) AS alone,
            ARRAY(SELECT number FROM targeted WHERE type = 'PERSON' AND company_number IS NULL
                AND NOT excluded AND NOT blocked ORDER BY number LIMIT $2) AS alone_numbers,
            (SELECT count(DISTINCT coalesce(company_number, number)) FROM targeted WHERE NOT excluded AND NOT blocked)
                AS accounts"
    );
    diesel::sql_query(question).bind::<Text, _>(campaign).bind::<BigInt, _>(NAMED).get_result(conn).await
}

/// The campaigns on whose segments, logged ones included, any of these contacts stand; and those that grant their prices to the
/// account of one, although it may be on their segments no more, as they wait to be published by hand.
///
/// # Errors
/// When the database fails.
pub async fn campaigns_of(conn: &mut AsyncPgConnection, contacts: &[String]) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        campaign_number: String,
    }
    let question = "SELECT campaign_number FROM segments JOIN segment_lines ON segment_number = segments.number
            WHERE contact_number = ANY($1) AND campaign_number IS NOT NULL
        UNION SELECT campaign_number FROM logged_targets WHERE contact_number = ANY($1)
        UNION SELECT campaigns.number FROM campaigns
            JOIN book_audience ON book_audience.campaign_number = campaigns.number AND to_version IS NULL
            JOIN contacts ON coalesce(contacts.company_number, contacts.number) = account_number
            WHERE has_unpublished_changes AND contacts.number = ANY($1)";
    let rows: Vec<Row> = diesel::sql_query(question).bind::<Array<Text>, _>(contacts).load(conn).await?;
    Ok(rows.into_iter().map(|row| row.campaign_number).collect())
}

/// The accounts that a campaign would have in common with a published one.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct SharedAudience {
    /// The published campaign.
    #[diesel(sql_type = Text)]
    pub campaign_number: String,
    /// How many accounts both are for.
    #[diesel(sql_type = BigInt)]
    pub accounts: i64,
    /// One of them.
    #[diesel(sql_type = Text)]
    pub account: String,
}

/// The accounts that a campaign would have in common with each of some published ones; those without any are left out.
///
/// # Errors
/// When the database fails.
pub async fn shared(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    others: &[&String],
) -> QueryResult<Vec<SharedAudience>> {
    let question = format!(
        "WITH targeted AS MATERIALIZED ({AUDIENCE})
        SELECT campaign_number, count(*) AS accounts, min(account) AS account
        FROM book_audience JOIN targeted ON targeted.account = account_number
        WHERE campaign_number = ANY($2) AND to_version IS NULL GROUP BY campaign_number ORDER BY campaign_number"
    );
    diesel::sql_query(question).bind::<Text, _>(campaign).bind::<Array<Text>, _>(others).load(conn).await
}

/// A contact of an account: the account's own contact, or a person of the company.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Member {
    /// The contact.
    #[diesel(sql_type = Text)]
    pub number: String,
    /// Whether it is excluded from segments.
    #[diesel(sql_type = Bool)]
    pub excluded: bool,
    /// Whether it is privacy blocked.
    #[diesel(sql_type = Bool)]
    pub blocked: bool,
}

/// The contacts by which an account can be in an audience.
///
/// # Errors
/// When the database fails.
pub async fn members(conn: &mut AsyncPgConnection, account: &str) -> QueryResult<Vec<Member>> {
    let question = "SELECT number, exclude_from_segments AS excluded, privacy_blocked AS blocked FROM contacts
            WHERE number = $1
        UNION ALL SELECT number, exclude_from_segments, privacy_blocked FROM contacts WHERE company_number = $1";
    diesel::sql_query(question).bind::<Text, _>(account).load(conn).await
}

/// Whether any of these contacts brings its account into the audience of a campaign.
///
/// # Errors
/// When the database fails.
pub async fn holds_any(conn: &mut AsyncPgConnection, campaign: &str, contacts: &[&str]) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        found: bool,
    }
    // By their numbers, so that only their own lines are read, however many the campaign has.
    let question = concat!(
        "SELECT EXISTS (SELECT FROM (",
        targeted!(),
        ") AS targeted WHERE number = ANY($2) AND NOT excluded AND NOT blocked) AS found"
    );
    let question = diesel::sql_query(question).bind::<Text, _>(campaign).bind::<Array<Text>, _>(contacts);
    Ok(question.get_result::<Found>(conn).await?.found)
}

/// A line of one of a campaign's segments on which a contact stands, or the interaction that it was logged as.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Standing {
    /// The contact.
    #[diesel(sql_type = Text)]
    pub contact_number: String,
    /// The segment.
    #[diesel(sql_type = Text)]
    pub segment_number: String,
    /// The line.
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    pub line_id: uuid::Uuid,
    /// Whether the segment's lines are targets unless they say otherwise.
    #[diesel(sql_type = Bool)]
    pub segment_target: bool,
    /// What the line itself says; an interaction always says something.
    #[diesel(sql_type = Nullable<Bool>)]
    pub line_target: Option<bool>,
    /// Whether the segment is logged, and the line an interaction.
    #[diesel(sql_type = Bool)]
    pub logged: bool,
    /// Whether the interaction is canceled.
    #[diesel(sql_type = Bool)]
    pub canceled: bool,
}

/// The lines on which these contacts stand in the segments of a campaign, logged ones included, targets or not; at most `most`,
/// targets first.
///
/// # Errors
/// When the database fails.
pub async fn standing(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    contacts: &[&str],
    most: i64,
) -> QueryResult<Vec<Standing>> {
    let question = "SELECT * FROM (
            SELECT lines.contact_number, lines.segment_number, lines.id AS line_id,
                segments.campaign_target AS segment_target, lines.campaign_target AS line_target, false AS logged,
                false AS canceled
            FROM segments JOIN segment_lines AS lines ON lines.segment_number = segments.number
            WHERE segments.campaign_number = $1 AND lines.contact_number = ANY($2)
            UNION ALL
            SELECT interactions.contact_number, logged.number, interactions.id, logged.campaign_target,
                interactions.campaign_target, true, interactions.canceled
            FROM interactions JOIN logged_segments AS logged ON logged.number = interactions.segment_number
            WHERE interactions.campaign_number = $1 AND interactions.contact_number = ANY($2)
        ) AS standing
        ORDER BY coalesce(line_target, segment_target) AND NOT canceled DESC, contact_number, segment_number
        LIMIT $3";
    diesel::sql_query(question)
        .bind::<Text, _>(campaign)
        .bind::<Array<Text>, _>(contacts)
        .bind::<BigInt, _>(most)
        .load(conn)
        .await
}
