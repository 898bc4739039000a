//! The audience of a campaign over HTTP: its accounts, as published and as drafted, and the reasons
//! for a contact's membership.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Nullable, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use uuid::Uuid;
use values::text_enum;

use super::targeting;
use super::targeting::{AUDIENCE, Member, MembershipLine};
use crate::campaigns::OfCampaign;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Area;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::list::{CursorKey, Field, FieldKind, ListQuery, ListSpec, Statement};
use crate::platform::http::operations::{
    list_description, list_operation, page_of, path_parameter,
};
use crate::platform::http::problem::Problem;
use crate::platform::http::routes::Routes;
use crate::resource::{Scope, reference, with_etag};
use crate::schema::contacts;
use crate::unit_of_work::Database;

const PATH: &str = "/v1/campaigns/{campaign}/audience";
const PAGE: &str = "AudienceAccountPage";
/// Maximum number of lines that are listed as reasons.
const MAX_REASONS: i64 = 1_000;

const LIST: ListSpec = ListSpec {
    fields: &[
        Field::new("accountNumber", FieldKind::Key, "audience.account_number").not_null(),
        Field::new("inDraft", FieldKind::Boolean, "audience.in_draft").not_null(),
        Field::new("published", FieldKind::Boolean, "audience.published").not_null(),
    ],
    default_order: "accountNumber",
    tie: "accountNumber",
};

/// Adds the operations to the route table.
pub(super) fn mount(routes: &mut Routes) {
    routes.schema::<AudienceAccount>();
    routes.named_schema(PAGE, page_of(AudienceAccount::name()));
    let parameters =
        OfCampaign::PARAMETERS.iter().map(|(name, description)| path_parameter(name, description));
    let description = format!(
        "Lists the accounts that are in the published audience, in the drafted one, or in both. \
         If the two differ for an account, an activation would add or remove it. {}",
        list_description(&LIST)
    );
    let listing = OperationBuilder::new()
        .operation_id(Some("list_campaign_audience"))
        .tag("Activation")
        .summary(Some("List a campaign's audience"))
        .description(Some(description))
        .parameters(Some(parameters));
    routes.operation(
        Area::Campaigns.read(),
        HttpMethod::Get,
        PATH,
        list_operation(listing, &LIST, "accounts", PAGE.into()),
        list,
    );
    routes.add(
        Area::Campaigns.read(),
        __path_get_campaign_audience_membership,
        get_campaign_audience_membership,
    );
}

/// An account in the published or drafted audience of a campaign.
#[derive(Debug, QueryableByName, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AudienceAccount {
    /// The contact number of the account: a company, or a person without company.
    #[diesel(sql_type = Text)]
    #[schema(max_length = 50, example = "CT000001")]
    pub account_number: String,
    /// The name of the account; null if the contact has been deleted.
    #[diesel(sql_type = Nullable<Text>)]
    #[schema(max_length = 100, example = "Adatum")]
    pub name: Option<String>,
    /// True if the drafts target the account, so that an activation would publish it.
    #[diesel(sql_type = Bool)]
    #[schema(example = true)]
    pub in_draft: bool,
    /// True if the published audience contains the account, so that it gets the campaign's prices.
    #[diesel(sql_type = Bool)]
    #[schema(example = true)]
    pub published: bool,
    /// The version of the price book that added the account; null if it is not published.
    #[diesel(sql_type = Nullable<BigInt>)]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 417)]
    pub published_version: Option<i64>,
}

/// Begins a statement with the relation `audience` of a campaign. The campaign is bound first,
/// because [`AUDIENCE`] refers to it as `$1`.
fn audience(campaign: &str) -> Statement {
    Statement::default()
        .sql(
            "WITH book AS (
                SELECT coalesce(number, contact_number_of(member)) AS account_number, member FROM (
                SELECT unnest(ordinals) AS member FROM book_audience WHERE campaign_number = ",
        )
        .text(campaign)
        .sql(
            " AND to_version IS NULL) AS members
                LEFT JOIN contacts ON ordinal = member), draft AS (",
        )
        .sql(AUDIENCE)
        .sql(
            "), audience AS (SELECT coalesce(account, account_number) AS account_number,
                account IS NOT NULL AS in_draft, account_number IS NOT NULL AS published, member
            FROM draft FULL JOIN book ON account = account_number) ",
        )
}

/// Handles `GET` on the audience.
async fn list(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    let list = ListQuery::parse(
        request.path(),
        request.query_string(),
        &LIST,
        &cursor_key,
        calendar.today(),
    )?;
    // A page costs a computation of the whole audience, so it uses the pool for reports.
    let mut conn = database.report().await?;
    let campaign = OfCampaign::find(&request, &mut conn).await?;
    // The names are joined after the page is cut, so that they are read for its rows only.
    let query = audience(campaign.number.as_str())
        .sql(
            ", page AS (SELECT row_number() OVER () AS at, audience.*
                FROM (SELECT * FROM audience WHERE ",
        )
        .condition(list.condition())
        .sql(" ORDER BY ")
        .ordering(list.ordering())
        .sql(" LIMIT ")
        .integer(list.limit())
        .sql(" OFFSET ")
        .integer(list.offset())
        .sql(
            ") AS audience) SELECT page.account_number, contacts.name, in_draft, published,
                audience_member_since($1, member) AS published_version
            FROM page LEFT JOIN contacts ON contacts.number = page.account_number ORDER BY at",
        );
    let rows: Vec<AudienceAccount> = query.load(&mut conn).await?;
    let count = if list.wants_count() {
        Some(
            audience(campaign.number.as_str())
                .count("audience", list.filter_condition(), &mut conn)
                .await?,
        )
    } else {
        None
    };
    let rows = rows.iter().map(with_etag).collect::<Result<Vec<_>, _>>()?;
    ApiResponse::json(StatusCode::OK, &list.page(rows, count))
}

text_enum! {
    /// The effect of a line on the audience of its segment's campaign.
    AudienceVerdict {
        /// The line brings the account into the audience.
        Target = "TARGET",
        /// The line itself is not a target.
        LineNoTarget = "LINE_NO_TARGET",
        /// The line leaves the decision to the segment, and the segment is not a target.
        SegmentNoTarget = "SEGMENT_NO_TARGET",
        /// The line was a target, but its interaction or the whole logged segment is canceled.
        Canceled = "CANCELED",
        /// The line is a target, but the contact is excluded from segments.
        Excluded = "EXCLUDED",
        /// The line is a target, but the contact is privacy blocked.
        PrivacyBlocked = "PRIVACY_BLOCKED",
    }
}

/// A line that decides for or against an account's membership in the audience.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AudienceReason {
    /// The contact on the line: the requested one, or another contact of its account.
    #[schema(max_length = 50, example = "CT000002")]
    pub contact_number: String,
    /// The number of the segment.
    #[schema(max_length = 50, example = "SM0001")]
    pub segment_number: String,
    /// True if the segment is logged. It is then found under `/v1/logged-segments`, and the line is
    /// an interaction.
    #[schema(example = false)]
    pub logged: bool,
    /// The id of the line; for a logged segment, the id of the interaction.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub line_id: Uuid,
    /// True if the segment's lines are targets by default.
    #[schema(example = true)]
    pub segment_campaign_target: bool,
    /// The line's own setting; null if the segment decides. An interaction keeps the setting that
    /// applied when it was logged.
    #[schema(example = true)]
    pub line_campaign_target: Option<bool>,
    /// True if the contact is excluded from segments.
    #[schema(example = false)]
    pub exclude_from_segments: bool,
    /// True if the contact is privacy blocked.
    #[schema(example = false)]
    pub privacy_blocked: bool,
    /// The effect of the line.
    #[schema(example = "TARGET")]
    pub verdict: AudienceVerdict,
    /// The verdict in words.
    #[schema(max_length = 500, example = "CT000002 stands on SM0001, and the segment is a target")]
    pub detail: String,
}

impl AudienceReason {
    fn new(line: MembershipLine, members: &HashMap<&str, &Member>) -> Self {
        let MembershipLine {
            contact_number,
            segment_number,
            line_id,
            segment_target,
            line_target,
            logged,
            canceled,
        } = line;
        let member = members.get(contact_number.as_str());
        let (excluded, blocked) =
            member.map_or((false, false), |member| (member.excluded, member.blocked));
        let verdict = match (line_target, segment_target) {
            (Some(false), _) => AudienceVerdict::LineNoTarget,
            (None, false) => AudienceVerdict::SegmentNoTarget,
            _ if canceled => AudienceVerdict::Canceled,
            _ if blocked => AudienceVerdict::PrivacyBlocked,
            _ if excluded => AudienceVerdict::Excluded,
            _ => AudienceVerdict::Target,
        };
        let ending = match verdict {
            AudienceVerdict::Target if logged => "and the interaction is a target",
            AudienceVerdict::Target if line_target.is_some() => "and the line is a target",
            AudienceVerdict::Target => "and the segment is a target",
            AudienceVerdict::LineNoTarget if logged => "but the interaction is no target",
            AudienceVerdict::LineNoTarget => "but the line is no target",
            AudienceVerdict::SegmentNoTarget => {
                "but the segment is no target and the line says nothing of its own"
            }
            AudienceVerdict::Canceled => "but the interaction is canceled",
            AudienceVerdict::Excluded => "but the contact is excluded from segments",
            AudienceVerdict::PrivacyBlocked => "but the contact is privacy blocked",
        };
        let place = if logged { "the logged " } else { "" };
        Self {
            detail: format!("{contact_number} stands on {place}{segment_number}, {ending}"),
            contact_number,
            segment_number,
            logged,
            line_id,
            segment_campaign_target: segment_target,
            line_campaign_target: line_target,
            exclude_from_segments: excluded,
            privacy_blocked: blocked,
            verdict,
        }
    }
}

/// The membership of a contact in a campaign's audience, with the reasons.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AudienceMembership {
    /// The number of the requested contact.
    #[schema(max_length = 50, example = "CT000002")]
    pub contact_number: String,
    /// The account that the audience contains for the contact: its company, else the contact
    /// itself.
    #[schema(max_length = 50, example = "CT000001")]
    pub account_number: String,
    /// True if the drafts target the account, so that an activation would publish it.
    #[schema(example = true)]
    pub in_draft: bool,
    /// True if the published audience contains the account, so that it gets the campaign's prices.
    #[schema(example = true)]
    pub published: bool,
    /// The version of the price book that added the account; null if it is not published.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 417)]
    pub published_version: Option<i64>,
    /// The lines of the account's contacts on the campaign's segments, logged ones included;
    /// targets come first. Empty if no contact of the account is on any of them. At most 1,000.
    #[schema(max_items = 1000)]
    pub reasons: Vec<AudienceReason>,
}

/// Explain a contact's membership in a campaign's audience
///
/// One line that is a target is enough to bring the whole account into the audience. `reasons`
/// lists every line of the account's contacts on the campaign's segments, each with its verdict.
/// Logged segments and lines without effect are included.
#[utoipa::path(
    get,
    path = "/v1/campaigns/{campaign}/audience/{contact}",
    operation_id = "get_campaign_audience_membership",
    tag = "Activation",
    params(
        ("campaign" = String, Path, description = "The id or the number of the campaign.",
            min_length = 1,
            max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"),
        ("contact" = String, Path, description = "The id or the number of the contact.",
            min_length = 1,
            max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"),
    ),
    responses(
        (status = 200, description = "The membership and its reasons.", body = AudienceMembership),
        (status = 304, description = "The caller has the current representation."),
    )
)]
async fn get_campaign_audience_membership(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.expect_empty()?;
    let reference = reference(&http_request, "contact")?;
    let mut conn = database.read().await?;
    let campaign = OfCampaign::find(&http_request, &mut conn).await?;
    let named = contacts::id
        .nullable()
        .eq(reference.id())
        .or(contacts::number.nullable().eq(reference.key()));
    let contact =
        contacts::table.filter(named).select((contacts::number, contacts::company_number));
    let contact: Option<(String, Option<String>)> = contact.first(&mut conn).await.optional()?;
    let (number, company) =
        contact.ok_or_else(|| Problem::not_found("contact", &reference.to_string()))?;
    let account = company.unwrap_or_else(|| number.clone());
    let membership = membership(&mut conn, campaign.number.as_str(), number, account).await?;
    Ok(ApiResponse::resource(StatusCode::OK, &membership)?
        .not_modified_if_known(request.if_none_match.as_ref()))
}

pub(super) async fn membership(
    conn: &mut AsyncPgConnection,
    campaign: &str,
    contact_number: String,
    account_number: String,
) -> QueryResult<AudienceMembership> {
    #[derive(QueryableByName)]
    struct Since {
        #[diesel(sql_type = Nullable<BigInt>)]
        version: Option<i64>,
    }
    let since = "SELECT audience_member_since($1, \
        (SELECT ordinal FROM contacts WHERE number = $2)) AS version";
    let since = diesel::sql_query(since).bind::<Text, _>(campaign).bind::<Text, _>(&account_number);
    let published_version = since.get_result::<Since>(conn).await?.version;
    let members = targeting::members(conn, &account_number).await?;
    let numbers: Vec<&str> = members.iter().map(|member| member.number.as_str()).collect();
    let eligible = members.iter().filter(|member| !member.excluded && !member.blocked);
    let eligible: Vec<&str> = eligible.map(|member| member.number.as_str()).collect();
    let in_draft = !targeting::targets(conn, &[campaign], &eligible).await?.is_empty();
    let lines = targeting::membership_lines(conn, campaign, &numbers, MAX_REASONS).await?;
    let by_number: HashMap<&str, &Member> =
        members.iter().map(|member| (member.number.as_str(), member)).collect();
    Ok(AudienceMembership {
        contact_number,
        account_number,
        in_draft,
        published: published_version.is_some(),
        published_version,
        reasons: lines.into_iter().map(|line| AudienceReason::new(line, &by_number)).collect(),
    })
}
