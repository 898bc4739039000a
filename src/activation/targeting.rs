//! The audience of a campaign.
//!
//! A contact is targeted if it is on a line of one of the campaign's segments and is a target
//! there. A line with an account targets the contact of the account instead. The line's own
//! `campaignTarget` decides, else that of the segment. Interactions that are targets and not
//! canceled replace the lines of a logged segment (the view `logged_targets`).
//!
//! Contacts that are excluded from segments or privacy blocked are left out. The others count as
//! accounts, each once: a person's company, else the contact itself (`docs/pricing-rules.md`
//! section 1).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use futures_util::TryStreamExt;
use roaring::RoaringBitmap;

use crate::publication::audience::{self, AudienceDifference};
use crate::schema::{contacts, logged_segments, segments};

/// Maximum number of ordinals in one result row. Decoding a million in one row would block the
/// thread, and with it the requests that it serves.
const MAX_ORDINALS: i32 = 8_192;
/// Maximum number of contacts that a finding names.
const MAX_NAMED: i64 = 10;

/// The contacts that campaign `$1` targets, including those that are left out. `$lines` selects the
/// lines of its segments.
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

/// Query for the accounts (`account`) of the audience of campaign `$1`, by contact number.
pub(super) const AUDIENCE: &str = concat!(
    "SELECT DISTINCT coalesce(company_number, number) AS account FROM (",
    targeted!(
        "segments JOIN segment_lines AS lines ON lines.segment_number = segments.number
            JOIN contacts
                ON contacts.number = coalesce(lines.account_number, lines.contact_number)
            WHERE segments.campaign_number = $1
                AND coalesce(lines.campaign_target, segments.campaign_target)"
    ),
    ") AS targeted WHERE NOT excluded AND NOT blocked"
);

/// The targeted contacts for known segments: `$2` are the campaign's segments, `$3` those that are
/// targets as a whole. With the segment numbers as parameters the planner can estimate the number
/// of lines, ten or a million, and choose its plan accordingly.
const TARGETED: &str = targeted!(
    "segment_lines AS lines
        JOIN contacts ON contacts.number = coalesce(lines.account_number, lines.contact_number)
        WHERE lines.segment_number = ANY($2)
            AND coalesce(lines.campaign_target, lines.segment_number = ANY($3))"
);

/// The segments of a campaign, and those that are targets as a whole.
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

/// The targeted contacts and the resulting accounts, as sets of ordinals.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Targeting {
    /// Number of segments of the campaign, including logged ones that are not canceled.
    pub segments: i64,
    /// The targeted contacts, including those that are left out.
    pub contacts: RoaringBitmap,
    /// Targeted contacts that are left out because they are excluded from segments.
    pub excluded: Named,
    /// Targeted contacts that are left out because they are privacy blocked.
    pub blocked: Named,
    /// Targeted persons without company, each an account of its own.
    pub alone: Named,
    /// The accounts of the audience.
    pub accounts: RoaringBitmap,
}

/// The number of some contacts, and the first of them by number.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Named {
    /// The number of contacts.
    pub count: u64,
    /// The numbers of the first contacts, in order.
    pub numbers: Vec<String>,
}

/// A slice of the contacts of one class; a contact occurs as often as it is targeted.
#[derive(QueryableByName)]
struct ClassSlice {
    #[diesel(sql_type = Text)]
    class: String,
    #[diesel(sql_type = Array<Integer>)]
    ordinals: Vec<i32>,
}

/// Targeted contacts by class.
#[derive(Default)]
struct Classes {
    blocked: RoaringBitmap,
    excluded: RoaringBitmap,
    alone: RoaringBitmap,
    companies: RoaringBitmap,
    /// Persons of companies.
    persons: RoaringBitmap,
    /// The companies of these persons.
    of_persons: RoaringBitmap,
}

impl Classes {
    fn add(&mut self, ClassSlice { class, ordinals }: ClassSlice) {
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

/// Finds the targeted contacts and the audience of a campaign, restricted to the contacts of `only`
/// if it is given. Reads them in one pass, since a campaign may target a million.
///
/// # Errors
/// If the database fails.
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
                array_agg(ordinal)
                    FILTER (WHERE fit AND type = 'PERSON' AND company_number IS NULL) AS alone,
                array_agg(ordinal) FILTER (WHERE fit AND type = 'COMPANY') AS companies,
                array_agg(ordinal) FILTER (WHERE fit AND company_number IS NOT NULL) AS persons
            FROM targeted)
        SELECT class, ordinals[part * {MAX_ORDINALS} + 1:(part + 1) * {MAX_ORDINALS}] AS ordinals
        FROM classes CROSS JOIN LATERAL (VALUES
            ('BLOCKED', blocked), ('EXCLUDED', excluded), ('ALONE', alone),
            ('COMPANY', companies), ('PERSON', persons),
            ('OF_PERSON', ARRAY(SELECT company.ordinal
                FROM (SELECT DISTINCT company_number FROM targeted
                    WHERE fit AND company_number IS NOT NULL) AS of
                JOIN contacts AS company ON company.number = of.company_number)))
            AS of (class, ordinals)
        CROSS JOIN LATERAL generate_series(0, (cardinality(ordinals) - 1) / {MAX_ORDINALS}) AS part"
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

/// Returns the number of some contacts, and the first of them.
///
/// # Errors
/// If the database fails.
pub async fn named(conn: &mut AsyncPgConnection, ordinals: &RoaringBitmap) -> QueryResult<Named> {
    if ordinals.is_empty() {
        return Ok(Named::default());
    }
    let first = contacts::table.filter(contacts::ordinal.eq_any(audience::array(ordinals)));
    let numbers =
        first.order(contacts::number).limit(MAX_NAMED).select(contacts::number).load(conn).await?;
    Ok(Named { count: ordinals.len(), numbers })
}

/// Returns the accounts of contacts, according to both the book and the drafts. A contact that has
/// moved to another company has two.
///
/// # Errors
/// If the database fails.
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
        UNION SELECT (company.facts ->> 'ordinal')::integer FROM book_entries AS contact
            JOIN book_entries AS company
                ON company.kind = 'CONTACT' AND company.to_version IS NULL
                    AND company.key = coalesce(contact.facts ->> 'companyNumber', contact.key)
            WHERE contact.kind = 'CONTACT' AND contact.to_version IS NULL
                AND contact.key = ANY($1)";
    let contacts: Vec<&String> = contacts.iter().collect();
    let rows: Vec<Row> =
        diesel::sql_query(query).bind::<Array<Text>, _>(contacts).load(conn).await?;
    Ok(audience::ordinals(rows.into_iter().map(|row| row.ordinal).collect()))
}

/// Returns those of some accounts that are in the drafted audiences of campaigns, by campaign.
/// Campaigns without any are absent.
///
/// # Errors
/// If the database fails.
pub async fn targeted_of(
    conn: &mut AsyncPgConnection,
    campaigns: &[&str],
    accounts: &RoaringBitmap,
) -> QueryResult<BTreeMap<String, RoaringBitmap>> {
    if accounts.is_empty() || campaigns.is_empty() {
        return Ok(BTreeMap::new());
    }
    // A person of a company is not an account, even if it was one before.
    let members = "SELECT number, ordinal AS account FROM contacts
            WHERE ordinal = ANY($1) AND company_number IS NULL AND NOT exclude_from_segments
                AND NOT privacy_blocked
        UNION ALL SELECT person.number, company.ordinal FROM contacts AS company
            JOIN contacts AS person ON person.company_number = company.number
            WHERE company.ordinal = ANY($1) AND NOT person.exclude_from_segments
                AND NOT person.privacy_blocked";
    let members: Vec<MemberOf> = diesel::sql_query(members)
        .bind::<Array<Integer>, _>(audience::array(accounts))
        .load(conn)
        .await?;
    let members: HashMap<String, i32> =
        members.into_iter().map(|member| (member.number, member.account)).collect();
    let numbers: Vec<&str> = members.keys().map(String::as_str).collect();
    let mut audiences: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for Target { campaign_number, contact_number } in targets(conn, campaigns, &numbers).await? {
        audiences.entry(campaign_number).or_default().extend(members.get(&contact_number));
    }
    Ok(audiences
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

/// Returns those of some contacts that campaigns target, including those that are left out. Only
/// the contacts' own lines are read, so the cost does not depend on the size of the campaigns.
///
/// # Errors
/// If the database fails.
pub async fn targets(
    conn: &mut AsyncPgConnection,
    campaigns: &[&str],
    contacts: &[&str],
) -> QueryResult<Vec<Target>> {
    let query = "SELECT segments.campaign_number, lines.contact_number
            FROM segment_lines AS lines JOIN segments ON segments.number = lines.segment_number
            WHERE lines.contact_number = ANY($2) AND lines.account_number IS NULL
                AND segments.campaign_number = ANY($1)
                AND coalesce(lines.campaign_target, segments.campaign_target)
        UNION SELECT segments.campaign_number, lines.account_number
            FROM segment_lines AS lines JOIN segments ON segments.number = lines.segment_number
            WHERE lines.account_number = ANY($2) AND segments.campaign_number = ANY($1)
                AND coalesce(lines.campaign_target, segments.campaign_target)
        UNION SELECT campaign_number, contact_number FROM logged_targets
            WHERE contact_number = ANY($2) AND campaign_number = ANY($1)";
    let query =
        diesel::sql_query(query).bind::<Array<Text>, _>(campaigns).bind::<Array<Text>, _>(contacts);
    query.load(conn).await
}

/// Returns the differences between the drafted and the published audiences of campaigns, restricted
/// to some accounts. Campaigns without a difference are absent.
///
/// # Errors
/// If the database fails.
pub async fn audience_changes(
    conn: &mut AsyncPgConnection,
    campaigns: &[&str],
    accounts: &RoaringBitmap,
) -> QueryResult<BTreeMap<String, AudienceDifference>> {
    if accounts.is_empty() || campaigns.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut desired = targeted_of(conn, campaigns, accounts).await?;
    let mut published = audience::in_force_of(conn, campaigns, accounts).await?;
    let changes = campaigns.iter().map(|campaign| {
        let [published, desired] =
            [&mut published, &mut desired].map(|of| of.remove(*campaign).unwrap_or_default());
        ((*campaign).to_owned(), AudienceDifference::between(&published, &desired))
    });
    Ok(changes.filter(|(_, changes)| !changes.is_none()).collect())
}

/// A contact by which an account can be in an audience.
#[derive(QueryableByName)]
struct MemberOf {
    #[diesel(sql_type = Text)]
    number: String,
    #[diesel(sql_type = Integer)]
    account: i32,
}

/// Returns the campaigns on whose segments, logged ones included, any of the contacts are.
/// Campaigns with unpublished changes are added if their published audience contains the account of
/// a contact, which may have left their segments.
///
/// # Errors
/// If the database fails.
pub async fn campaigns_of(
    conn: &mut AsyncPgConnection,
    contacts: &[String],
) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        campaign_number: String,
    }
    let query = "SELECT campaign_number FROM segments
            JOIN segment_lines ON segment_number = segments.number
            WHERE contact_number = ANY($1) AND campaign_number IS NOT NULL
        UNION SELECT campaign_number FROM segments
            JOIN segment_lines ON segment_number = segments.number
            WHERE account_number = ANY($1) AND campaign_number IS NOT NULL
        UNION SELECT campaign_number FROM logged_targets WHERE contact_number = ANY($1)
        UNION SELECT campaigns.number FROM campaigns
            JOIN contacts ON contacts.number = ANY($1)
            JOIN contacts AS company ON company.number =
                coalesce(contacts.company_number, contacts.number)
            JOIN book_audience ON book_audience.campaign_number = campaigns.number
                AND to_version IS NULL
                AND chunk = company.ordinal >> 9 AND company.ordinal = ANY(ordinals)
            WHERE has_unpublished_changes";
    let rows: Vec<Row> =
        diesel::sql_query(query).bind::<Array<Text>, _>(contacts).load(conn).await?;
    Ok(rows.into_iter().map(|row| row.campaign_number).collect())
}

/// A contact of an account: the account's own contact, or a person of the company.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Member {
    /// The contact number.
    #[diesel(sql_type = Text)]
    pub number: String,
    /// True if the contact is excluded from segments.
    #[diesel(sql_type = Bool)]
    pub excluded: bool,
    /// True if the contact is privacy blocked.
    #[diesel(sql_type = Bool)]
    pub blocked: bool,
}

/// Returns the contacts by which an account can be in an audience.
///
/// # Errors
/// If the database fails.
pub async fn members(conn: &mut AsyncPgConnection, account: &str) -> QueryResult<Vec<Member>> {
    let query = "SELECT number, exclude_from_segments AS excluded, privacy_blocked AS blocked
            FROM contacts
            WHERE number = $1
        UNION ALL SELECT number, exclude_from_segments, privacy_blocked FROM contacts
            WHERE company_number = $1";
    diesel::sql_query(query).bind::<Text, _>(account).load(conn).await
}

/// A contact's line on one of a campaign's segments, or the interaction that it was logged as.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct MembershipLine {
    /// The number of the contact.
    #[diesel(sql_type = Text)]
    pub contact_number: String,
    /// The number of the segment.
    #[diesel(sql_type = Text)]
    pub segment_number: String,
    /// The id of the line or interaction.
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    pub line_id: uuid::Uuid,
    /// True if the segment's lines are targets by default.
    #[diesel(sql_type = Bool)]
    pub segment_target: bool,
    /// The line's own setting; an interaction always has one.
    #[diesel(sql_type = Nullable<Bool>)]
    pub line_target: Option<bool>,
    /// True if the segment is logged and the line is an interaction.
    #[diesel(sql_type = Bool)]
    pub logged: bool,
    /// True if the interaction is canceled.
    #[diesel(sql_type = Bool)]
    pub canceled: bool,
}

/// Returns the lines of some contacts on the segments of a campaign, logged ones included, targets
/// or not. At most `limit` are returned, targets first.
///
/// # Errors
/// If the database fails.
pub async fn membership_lines(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    contacts: &[&str],
    limit: i64,
) -> QueryResult<Vec<MembershipLine>> {
    let query = "SELECT * FROM (
            SELECT lines.contact_number, lines.segment_number, lines.id AS line_id,
                segments.campaign_target AS segment_target, lines.campaign_target AS line_target,
                false AS logged,
                false AS canceled
            FROM segments JOIN segment_lines AS lines ON lines.segment_number = segments.number
            WHERE segments.campaign_number = $1
                AND (lines.contact_number = ANY($2) AND lines.account_number IS NULL
                    OR lines.account_number = ANY($2))
            UNION ALL
            SELECT interactions.contact_number, logged.number, interactions.id,
                logged.campaign_target,
                interactions.campaign_target, true, interactions.canceled
            FROM interactions JOIN logged_segments AS logged
                ON logged.number = interactions.segment_number
            WHERE interactions.campaign_number = $1
                AND (interactions.contact_number = ANY($2) AND interactions.account_number IS NULL
                    OR interactions.account_number = ANY($2))
        ) AS standing
        ORDER BY coalesce(line_target, segment_target) AND NOT canceled DESC,
            contact_number, segment_number
        LIMIT $3";
    diesel::sql_query(query)
        .bind::<Text, _>(campaign)
        .bind::<Array<Text>, _>(contacts)
        .bind::<BigInt, _>(limit)
        .load(conn)
        .await
}
