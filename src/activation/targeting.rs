//! Who a campaign is for.
//!
//! A contact is targeted when it stands on a line of one of the campaign's segments and is a target
//! there: the line's own `campaignTarget` decides, and where it says nothing that of the segment.
//! Once the segment is logged, its interactions that are targets and not canceled stand for its
//! lines (the view `logged_targets`). Contacts that are excluded from segments or privacy blocked
//! are left out. What is left counts as accounts: a person's company, else the contact itself
//! (pricing rules, section 1), each once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::TryStreamExt;
use roaring::RoaringBitmap;

use crate::platform::db::schema::{contacts, logged_segments, segments};
use crate::publication::audience::{self, AudienceDifference};

/// At most so many contacts come in one row: a million would take the processor from whoever waits
/// for a quote meanwhile.
const SLICE: i32 = 8_192;
/// At most so many contacts are named where contacts are left out.
const NAMED: i64 = 10;

/// The contacts that are targeted by campaign `$1`, those left out included, of which `$lines` are
/// the lines of its segments.
macro_rules! targeted {
    ($lines:literal) => {
        concat!(
            "SELECT contacts.number, contacts.ordinal, contacts.type, contacts.company_number,
                contacts.exclude_from_segments AS excluded, contacts.privacy_blocked AS blocked
            FROM ",
            $lines,
            " UNION ALL
            SELECT contacts.number, contacts.ordinal, contacts.type, contacts.company_number,
                contacts.exclude_from_segments, contacts.privacy_blocked
            FROM logged_targets JOIN contacts ON contacts.number = logged_targets.contact_number
            WHERE logged_targets.campaign_number = $1"
        )
    };
}

/// The accounts (`account`) of the audience of campaign `$1`, by contact number.
pub(super) const AUDIENCE: &str = concat!(
    "SELECT DISTINCT coalesce(company_number, number) AS account FROM (",
    targeted!(
        "segments JOIN segment_lines AS lines ON lines.segment_number = segments.number
            JOIN contacts ON contacts.number = lines.contact_number
            WHERE segments.campaign_number = $1 AND coalesce(lines.campaign_target, segments.campaign_target)"
    ),
    ") AS targeted WHERE NOT excluded AND NOT blocked"
);

/// The same contacts, where `$2` are the campaign's segments and `$3` those of them that are
/// targets as a whole: named like this, the database knows how many lines to expect, ten or a
/// million, and goes to work accordingly.
const TARGETED: &str = targeted!(
    "segment_lines AS lines JOIN contacts ON contacts.number = lines.contact_number
        WHERE lines.segment_number = ANY($2) AND coalesce(lines.campaign_target, lines.segment_number = ANY($3))"
);

/// The segments of a campaign, and those of them that are targets as a whole.
#[derive(Debug, Default)]
struct Segments {
    all: Vec<String>,
    targets: Vec<String>,
}

async fn segments(conn: &mut AsyncPgConnection, campaign: &str) -> QueryResult<Segments> {
    let of_campaign =
        segments::table.filter(segments::campaign_number.eq(campaign)).order(segments::number);
    let rows: Vec<(String, bool)> =
        of_campaign.select((segments::number, segments::campaign_target)).load(conn).await?;
    let targets =
        rows.iter().filter(|(_, target)| *target).map(|(number, _)| number.clone()).collect();
    Ok(Segments { targets, all: rows.into_iter().map(|(number, _)| number).collect() })
}

/// Who is targeted, and who is left. Contacts and accounts are sets of ordinals.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Targeting {
    /// Segments of the campaign, logged ones included unless they are canceled.
    pub segments: i64,
    /// Contacts that are targeted.
    pub contacts: RoaringBitmap,
    /// Of them: left out, as they are excluded from segments.
    pub excluded: Named,
    /// Of them: left out, as they are privacy blocked.
    pub blocked: Named,
    /// Persons without company that are not left out: accounts of their own.
    pub alone: Named,
    /// The accounts that are left.
    pub accounts: RoaringBitmap,
}

/// Some contacts, of whom the first are named.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Named {
    /// How many.
    pub count: u64,
    /// The first of them, by number.
    pub numbers: Vec<String>,
}

/// Some contacts of one class, each as often as it is targeted.
#[derive(QueryableByName)]
struct Classed {
    #[diesel(sql_type = Text)]
    class: String,
    #[diesel(sql_type = Array<Integer>)]
    ordinals: Vec<i32>,
}

/// Contacts by what becomes of them.
#[derive(Default)]
struct Classes {
    blocked: RoaringBitmap,
    excluded: RoaringBitmap,
    alone: RoaringBitmap,
    companies: RoaringBitmap,
    /// Persons of companies.
    persons: RoaringBitmap,
    /// The companies of the persons.
    of_persons: RoaringBitmap,
}

impl Classes {
    fn add(&mut self, Classed { class, ordinals }: Classed) {
        let contacts = match class.as_str() {
            "BLOCKED" => &mut self.blocked,
            "EXCLUDED" => &mut self.excluded,
            "ALONE" => &mut self.alone,
            "COMPANY" => &mut self.companies,
            "PERSON" => &mut self.persons,
            _ => &mut self.of_persons,
        };
        audience::add(contacts, ordinals);
    }
}

/// Finds whom a campaign is for; only these of the contacts, if any are named. Read in one pass,
/// since a campaign may target a million.
///
/// # Errors
/// When the database fails.
pub async fn find(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    only: Option<&BTreeSet<String>>,
) -> QueryResult<Targeting> {
    let segments = segments(conn, campaign).await?;
    let logged = logged_segments::table.filter(logged_segments::campaign_number.eq(campaign));
    let logged: i64 =
        logged.filter(logged_segments::canceled.eq(false)).count().get_result(conn).await?;
    let only_some = if only.is_some() { "WHERE number = ANY($4)" } else { "" };
    let query = format!(
        "WITH targeted AS MATERIALIZED (
            SELECT *, NOT blocked AND NOT excluded AS fit FROM ({TARGETED}) AS lines {only_some}),
        classes AS (SELECT array_agg(ordinal) FILTER (WHERE blocked) AS blocked,
                array_agg(ordinal) FILTER (WHERE excluded AND NOT blocked) AS excluded,
                array_agg(ordinal) FILTER (WHERE fit AND type = 'PERSON' AND company_number IS NULL) AS alone,
                array_agg(ordinal) FILTER (WHERE fit AND type = 'COMPANY') AS companies,
                array_agg(ordinal) FILTER (WHERE fit AND company_number IS NOT NULL) AS persons
            FROM targeted)
        SELECT class, ordinals[part * {SLICE} + 1:(part + 1) * {SLICE}] AS ordinals
        FROM classes CROSS JOIN LATERAL (VALUES ('BLOCKED', blocked), ('EXCLUDED', excluded), ('ALONE', alone),
            ('COMPANY', companies), ('PERSON', persons),
            ('OF_PERSON', ARRAY(SELECT company.ordinal
                FROM (SELECT DISTINCT company_number FROM targeted WHERE fit AND company_number IS NOT NULL) AS of
                JOIN contacts AS company ON company.number = of.company_number))) AS of (class, ordinals)
        CROSS JOIN LATERAL generate_series(0, (cardinality(ordinals) - 1) / {SLICE}) AS part"
    );
    let query = diesel::sql_query(query)
        .bind::<Text, _>(campaign)
        .bind::<Array<Text>, _>(&segments.all)
        .bind::<Array<Text>, _>(&segments.targets);
    let mut slices = match only {
        Some(only) => {
            query.bind::<Array<Text>, _>(only.iter().collect::<Vec<_>>()).load_stream(conn).await?
        }
        None => query.load_stream(conn).await?,
    };
    let mut found = Classes::default();
    while let Some(slice) = slices.try_next().await? {
        found.add(slice);
    }
    drop(slices);
    let Classes { blocked, excluded, alone, companies, persons, of_persons } = found;
    Ok(Targeting {
        segments: logged.saturating_add(i64::try_from(segments.all.len()).unwrap_or(i64::MAX)),
        contacts: &blocked | &excluded | &alone | &companies | persons,
        accounts: companies | &alone | of_persons,
        blocked: named(conn, &blocked).await?,
        excluded: named(conn, &excluded).await?,
        alone: named(conn, &alone).await?,
    })
}

/// Names the first of some contacts.
async fn named(conn: &mut AsyncPgConnection, ordinals: &RoaringBitmap) -> QueryResult<Named> {
    if ordinals.is_empty() {
        return Ok(Named::default());
    }
    let first = contacts::table.filter(contacts::ordinal.eq_any(audience::array(ordinals)));
    let numbers =
        first.order(contacts::number).limit(NAMED).select(contacts::number).load(conn).await?;
    Ok(Named { count: ordinals.len(), numbers })
}

/// The accounts that contacts belong to, as the book says and as the drafts say: one that has moved
/// may count for both.
///
/// # Errors
/// When the database fails.
pub async fn accounts_of(
    conn: &mut AsyncPgConnection,
    contacts: &BTreeSet<String>,
) -> QueryResult<RoaringBitmap> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Integer)]
        ordinal: i32,
    }
    let query = "SELECT company.ordinal FROM contacts JOIN contacts AS company
                ON company.number = coalesce(contacts.company_number, contacts.number)
            WHERE contacts.number = ANY($1)
        UNION SELECT (company.facts ->> 'ordinal')::integer FROM book_entries AS contact JOIN book_entries AS company
                ON company.kind = 'CONTACT' AND company.to_version IS NULL
                    AND company.key = coalesce(contact.facts ->> 'companyNumber', contact.key)
            WHERE contact.kind = 'CONTACT' AND contact.to_version IS NULL AND contact.key = ANY($1)";
    let contacts: Vec<&String> = contacts.iter().collect();
    let rows: Vec<Row> =
        diesel::sql_query(query).bind::<Array<Text>, _>(contacts).load(conn).await?;
    Ok(audience::ordinals(rows.into_iter().map(|row| row.ordinal).collect()))
}

/// Which of some accounts are in the audiences of campaigns, by campaign; campaigns without any are
/// left out.
///
/// # Errors
/// When the database fails.
pub async fn targeted_of(
    conn: &mut AsyncPgConnection,
    campaigns: &[&str],
    accounts: &RoaringBitmap,
) -> QueryResult<BTreeMap<String, RoaringBitmap>> {
    if accounts.is_empty() || campaigns.is_empty() {
        return Ok(BTreeMap::new());
    }
    // A person of a company is no account, even if it was one until now.
    let members = "SELECT number, ordinal AS account FROM contacts
            WHERE ordinal = ANY($1) AND company_number IS NULL AND NOT exclude_from_segments AND NOT privacy_blocked
        UNION ALL SELECT person.number, company.ordinal FROM contacts AS company
            JOIN contacts AS person ON person.company_number = company.number
            WHERE company.ordinal = ANY($1) AND NOT person.exclude_from_segments AND NOT person.privacy_blocked";
    let members: Vec<MemberOf> = diesel::sql_query(members)
        .bind::<Array<Integer>, _>(audience::array(accounts))
        .load(conn)
        .await?;
    let members: HashMap<String, i32> =
        members.into_iter().map(|member| (member.number, member.account)).collect();
    let numbers: Vec<&str> = members.keys().map(String::as_str).collect();
    let mut of: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for Target { campaign_number, contact_number } in targets(conn, campaigns, &numbers).await? {
        of.entry(campaign_number).or_default().extend(members.get(&contact_number));
    }
    Ok(of
        .into_iter()
        .map(|(campaign, accounts)| (campaign, audience::ordinals(accounts)))
        .collect())
}

/// A contact that a campaign targets.
#[derive(QueryableByName)]
pub struct Target {
    #[diesel(sql_type = Text)]
    campaign_number: String,
    #[diesel(sql_type = Text)]
    contact_number: String,
}

/// Which of some contacts campaigns target, those that are left out included. Only the contacts'
/// own lines are read, however many the campaigns have.
///
/// # Errors
/// When the database fails.
pub async fn targets(
    conn: &mut AsyncPgConnection,
    campaigns: &[&str],
    contacts: &[&str],
) -> QueryResult<Vec<Target>> {
    let query = "SELECT segments.campaign_number, lines.contact_number
            FROM segment_lines AS lines JOIN segments ON segments.number = lines.segment_number
            WHERE lines.contact_number = ANY($2) AND segments.campaign_number = ANY($1)
                AND coalesce(lines.campaign_target, segments.campaign_target)
        UNION SELECT campaign_number, contact_number FROM logged_targets
            WHERE contact_number = ANY($2) AND campaign_number = ANY($1)";
    let query =
        diesel::sql_query(query).bind::<Array<Text>, _>(campaigns).bind::<Array<Text>, _>(contacts);
    query.load(conn).await
}

/// How the audiences of campaigns differ from what is published of them, as far as some accounts
/// go; campaigns where none comes or goes are left out.
///
/// # Errors
/// When the database fails.
pub async fn moves(
    conn: &mut AsyncPgConnection,
    campaigns: &[&str],
    accounts: &RoaringBitmap,
) -> QueryResult<BTreeMap<String, AudienceDifference>> {
    if accounts.is_empty() || campaigns.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut desired = targeted_of(conn, campaigns, accounts).await?;
    let mut published = audience::in_force_of(conn, campaigns, accounts).await?;
    let moves = campaigns.iter().map(|campaign| {
        let [published, desired] =
            [&mut published, &mut desired].map(|of| of.remove(*campaign).unwrap_or_default());
        ((*campaign).to_owned(), AudienceDifference::between(&published, &desired))
    });
    Ok(moves.filter(|(_, moves)| !moves.is_none()).collect())
}

/// A contact by which an account can be in an audience.
#[derive(QueryableByName)]
struct MemberOf {
    #[diesel(sql_type = Text)]
    number: String,
    #[diesel(sql_type = Integer)]
    account: i32,
}

/// The campaigns on whose segments, logged ones included, any of these contacts stand; and those
/// that grant their prices to the account of one, although it may be on their segments no more, as
/// they wait to be published by hand.
///
/// # Errors
/// When the database fails.
pub async fn campaigns_of(
    conn: &mut AsyncPgConnection,
    contacts: &[String],
) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        campaign_number: String,
    }
    let query = "SELECT campaign_number FROM segments JOIN segment_lines ON segment_number = segments.number
            WHERE contact_number = ANY($1) AND campaign_number IS NOT NULL
        UNION SELECT campaign_number FROM logged_targets WHERE contact_number = ANY($1)
        UNION SELECT campaigns.number FROM campaigns
            JOIN contacts ON contacts.number = ANY($1)
            JOIN contacts AS company ON company.number = coalesce(contacts.company_number, contacts.number)
            JOIN book_audience ON book_audience.campaign_number = campaigns.number AND to_version IS NULL
                AND chunk = company.ordinal >> 9 AND company.ordinal = ANY(ordinals)
            WHERE has_unpublished_changes";
    let rows: Vec<Row> =
        diesel::sql_query(query).bind::<Array<Text>, _>(contacts).load(conn).await?;
    Ok(rows.into_iter().map(|row| row.campaign_number).collect())
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
    let query = "SELECT number, exclude_from_segments AS excluded, privacy_blocked AS blocked FROM contacts
            WHERE number = $1
        UNION ALL SELECT number, exclude_from_segments, privacy_blocked FROM contacts WHERE company_number = $1";
    diesel::sql_query(query).bind::<Text, _>(account).load(conn).await
}

/// A line of one of a campaign's segments on which a contact stands, or the interaction that it was
/// logged as.
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

/// The lines on which these contacts stand in the segments of a campaign, logged ones included,
/// targets or not; at most `most`, targets first.
///
/// # Errors
/// When the database fails.
pub async fn standing(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    contacts: &[&str],
    most: i64,
) -> QueryResult<Vec<Standing>> {
    let query = "SELECT * FROM (
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
    diesel::sql_query(query)
        .bind::<Text, _>(campaign)
        .bind::<Array<Text>, _>(contacts)
        .bind::<BigInt, _>(most)
        .load(conn)
        .await
}
