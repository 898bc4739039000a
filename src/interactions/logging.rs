//! Logging of a segment. Each line becomes an interaction, and the segment becomes a logged
//! segment, the entry of its campaign if it has one. One transaction with a fixed number of
//! statements does all of it.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, web};
use deserr::Deserr;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Date as SqlDate, Text as SqlText, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Date, Key, Reference};

use crate::interaction_templates::{InteractionTemplateView, InteractionTemplates};
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Scope;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::platform::http::routes::Routes;
use crate::resource::table::author_values;
use crate::resource::{Resource, path_in, reference};
use crate::schema::segments;
use crate::segments::SegmentView;
use crate::settings::series::{Series, next_number};
use crate::unit_of_work::{Database, UnitOfWork};

/// The maximum number of contacts that an error names.
const MAX_NAMED_CONTACTS: i32 = 100;

/// Adds the operation.
pub fn mount_logging(routes: &mut Routes) {
    routes.add(Scope::ContactsWrite, __path_log_segment, log_segment);
}

/// The options for logging a segment.
#[derive(Debug, Default, Deserr, ToSchema)]
#[schema(as = SegmentLogWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[schema(rename_all = "camelCase")]
pub struct SegmentLogWrite {
    /// True to create a follow-up segment with the same contacts and campaign.
    #[deserr(default)]
    #[schema(default = false, example = true)]
    pub create_follow_up: bool,
    /// True if attachments should be sent. The service sends no mail; it stores the flag on the
    /// logged segment for the system that does.
    #[deserr(default)]
    #[schema(default = false, example = false)]
    pub send_attachments: bool,
}

/// The result of logging a segment.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentLog {
    /// The number of the logged segment, which is that of the segment.
    pub segment_number: Key,
    /// The id of the campaign's entry; null without a campaign.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub campaign_entry_id: Option<Uuid>,
    /// The campaign of the entry.
    pub campaign_number: Option<Key>,
    /// The date of the interactions.
    // Spelled out because utoipa treats every type named `Date` as its own.
    #[schema(value_type = String, format = Date, max_length = 10, example = "2031-05-15")]
    pub date: Date,
    /// The number of interactions, one for each line.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 120)]
    pub number_of_interactions: i64,
    /// The number of the follow-up segment, if one was requested.
    pub follow_up_segment_number: Option<Key>,
}

/// Log a segment
///
/// Creates one interaction for each line, dated today, with the template's description, cost and
/// duration. Its salesperson is the segment's, else the campaign's, else the contact's. Its flags
/// are the line's, else the segment's. The segment moves to `/v1/logged-segments` and keeps its
/// number, which stays taken. If it has a campaign, it becomes an entry of that campaign. The
/// segment's lines are deleted; its targets stay in the campaign's audience. Refused with 422 if
/// there is no line, template, template description or salesperson, or if a contact is privacy
/// blocked. The answer names all reasons together, with the contacts concerned.
#[utoipa::path(
    post,
    path = "/v1/segments/{segment}/logs",
    operation_id = "log_segment",
    tag = "Interactions",
    params((
        "segment" = String, Path, description = "The id or the number.",
        min_length = 1, max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"
    )),
    request_body(
        content = Option<SegmentLogWrite>,
        description = "The options; may be omitted."
    ),
    responses((
        status = 201,
        description = "Logged; `Location` is the logged segment.",
        body = SegmentLog
    ))
)]
async fn log_segment(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
) -> Result<ApiResponse, Problem> {
    request.query(&[])?;
    let options: SegmentLogWrite = request.json_or_default().await?;
    let segment = reference(&http_request, "segment")?;
    database
        .transact(&request, async |work| {
            let log = log(work, &segment, &options, Date::from(calendar.today())).await?;
            let location = path_in("/v1/logged-segments", log.segment_number.as_str());
            Ok(ApiResponse::json(StatusCode::CREATED, &log)?.header(header::LOCATION, &location))
        })
        .await
}

async fn log(
    work: &mut UnitOfWork,
    reference: &Reference,
    options: &SegmentLogWrite,
    today: Date,
) -> Result<SegmentLog, Problem> {
    // `FOR UPDATE` also blocks the foreign keys of new lines, since the row is deleted below.
    let named = segments::id
        .nullable()
        .eq(reference.id())
        .or(segments::number.nullable().eq(reference.key()));
    let segment: Option<SegmentView> = segments::table
        .filter(named)
        .select(SegmentView::as_select())
        .for_update()
        .first(&mut work.conn)
        .await
        .optional()?;
    let segment = segment.ok_or_else(|| Problem::not_found("segment", &reference.to_string()))?;
    let template = check_loggable(work, &segment).await?;
    insert_logged_segment(work, &segment, &template, options, today).await?;
    let lines = insert_interactions(work, &segment, &template).await?;
    let follow_up = if options.create_follow_up {
        Some(create_follow_up(work, &segment, lines).await?)
    } else {
        None
    };
    diesel::delete(segments::table.find(segment.id)).execute(&mut work.conn).await?;
    work.changed_keys.campaigns.extend(segment.campaign_number.as_ref().map(Key::to_string));
    work.changed_keys.interactions = true;
    work.segment_changed(&segment.number);
    Ok(SegmentLog {
        campaign_entry_id: segment.campaign_number.as_ref().map(|_| segment.id),
        segment_number: segment.number,
        campaign_number: segment.campaign_number,
        date: today,
        number_of_interactions: i64::try_from(lines).map_err(Problem::internal)?,
        follow_up_segment_number: follow_up,
    })
}

/// The facts about a segment's lines that decide whether it can be logged.
#[derive(QueryableByName)]
struct LineSummary {
    #[diesel(sql_type = BigInt)]
    lines: i64,
    #[diesel(sql_type = BigInt)]
    blocked: i64,
    #[diesel(sql_type = Array<SqlText>)]
    blocked_numbers: Vec<String>,
    #[diesel(sql_type = BigInt)]
    without_salesperson: i64,
    #[diesel(sql_type = Array<SqlText>)]
    without_salesperson_numbers: Vec<String>,
}

/// Summarizes the lines of a segment.
async fn summarize_lines(work: &mut UnitOfWork, segment: &SegmentView) -> QueryResult<LineSummary> {
    let query = "WITH lines AS MATERIALIZED (
            SELECT contacts.number, contacts.privacy_blocked AS blocked,
                coalesce(segments.salesperson_code, campaigns.salesperson_code,
                    contacts.salesperson_code) AS salesperson
            FROM segment_lines
            JOIN segments ON segments.number = segment_lines.segment_number
            JOIN contacts ON contacts.number = segment_lines.contact_number
            LEFT JOIN campaigns ON campaigns.number = segments.campaign_number
            WHERE segment_lines.segment_number = $1)
        SELECT (SELECT count(*) FROM lines) AS lines,
            (SELECT count(*) FROM lines WHERE blocked) AS blocked,
            ARRAY(SELECT number FROM lines WHERE blocked ORDER BY number LIMIT $2)
                AS blocked_numbers,
            (SELECT count(*) FROM lines WHERE salesperson IS NULL) AS without_salesperson,
            ARRAY(SELECT number FROM lines WHERE salesperson IS NULL ORDER BY number LIMIT $2)
                AS without_salesperson_numbers";
    diesel::sql_query(query)
        .bind::<SqlText, _>(&segment.number)
        .bind::<diesel::sql_types::Integer, _>(MAX_NAMED_CONTACTS)
        .get_result(&mut work.conn)
        .await
}

/// Returns the interaction template of the segment, or a problem with all reasons against logging.
/// Pointers refer to the segment.
async fn check_loggable(
    work: &mut UnitOfWork,
    segment: &SegmentView,
) -> Result<InteractionTemplateView, Problem> {
    let found = summarize_lines(work, segment).await?;
    let template = match &segment.interaction_template_code {
        Some(code) => {
            InteractionTemplates::find(&mut work.conn, &(), &Reference::Key(code.clone()), false)
                .await?
        }
        None => None,
    };
    let mut errors = Vec::new();
    let pointer = "/interactionTemplateCode";
    match &template {
        None => errors.push(FieldError::new(
            pointer,
            FieldCode::NoTemplate,
            "the segment has no interaction template",
        )),
        Some(template) if template.description.as_str().trim().is_empty() => {
            let detail = format!("the interaction template {} has no description", template.code);
            errors.push(FieldError::new(pointer, FieldCode::NoDescription, detail));
        }
        Some(_) => {}
    }
    if found.lines == 0 {
        errors.push(FieldError::new("/lines", FieldCode::NoLines, "the segment has no lines"));
    }
    if found.without_salesperson > 0 {
        let detail = "neither the segment nor its campaign has a salesperson, and contacts on it \
                      have none of their own";
        let error = FieldError::new("/salespersonCode", FieldCode::NoSalesperson, detail);
        errors.push(with_contacts(
            error,
            found.without_salesperson,
            found.without_salesperson_numbers,
        ));
    }
    if found.blocked > 0 {
        let error = FieldError::new(
            "/lines",
            FieldCode::PrivacyBlocked,
            "contacts on the segment are privacy blocked",
        );
        errors.push(with_contacts(error, found.blocked, found.blocked_numbers));
    }
    match template {
        Some(template) if errors.is_empty() => Ok(template),
        _ => Err(Problem {
            detail: format!("{} cannot be logged; errors names each reason", segment.number),
            ..Problem::with_errors(ProblemCode::ValidationFailed, errors)
        }),
    }
}

/// Adds the number of contacts concerned and the first of them to an error.
fn with_contacts(error: FieldError, count: i64, numbers: Vec<String>) -> FieldError {
    error.param("numberOfContacts", count).param("contactNumbers", numbers)
}

/// Inserts the logged segment with the segment's id and number. An empty description is replaced by
/// the template's.
async fn insert_logged_segment(
    work: &mut UnitOfWork,
    segment: &SegmentView,
    template: &InteractionTemplateView,
    options: &SegmentLogWrite,
    today: Date,
) -> Result<(), Problem> {
    let query = "INSERT INTO logged_segments (id, number, description, campaign_number,
            campaign_target, campaign_response, salesperson_code, subject,
            interaction_template_code, date, send_attachments)
        SELECT segments.id, segments.number, coalesce(nullif(segments.description, ''), $2),
            campaign_number, campaign_target, campaign_response,
            coalesce(segments.salesperson_code, campaigns.salesperson_code), subject,
            interaction_template_code, $3, $4
        FROM segments LEFT JOIN campaigns ON campaigns.number = segments.campaign_number
        WHERE segments.id = $1";
    diesel::sql_query(query)
        .bind::<SqlUuid, _>(segment.id)
        .bind::<SqlText, _>(&template.description)
        .bind::<SqlDate, _>(today)
        .bind::<Bool, _>(options.send_attachments)
        .execute(&mut work.conn)
        .await?;
    Ok(())
}

/// Inserts an interaction for each line, with the line's id, and returns their number.
async fn insert_interactions(
    work: &mut UnitOfWork,
    segment: &SegmentView,
    template: &InteractionTemplateView,
) -> Result<usize, Problem> {
    let query =
        "INSERT INTO interactions (id, date, contact_number, account_number, campaign_number,
            segment_number, interaction_template_code, salesperson_code, campaign_target,
            campaign_response, cost, duration_minutes, description)
        SELECT lines.id, logged.date, lines.contact_number, lines.account_number,
            logged.campaign_number, logged.number,
            logged.interaction_template_code,
            coalesce(logged.salesperson_code, contacts.salesperson_code),
            logged.campaign_number IS NOT NULL
                AND coalesce(lines.campaign_target, logged.campaign_target),
            logged.campaign_number IS NOT NULL
                AND coalesce(lines.campaign_response, logged.campaign_response),
            $2, $3, $4
        FROM segment_lines AS lines
        JOIN logged_segments AS logged ON logged.number = lines.segment_number
        JOIN contacts ON contacts.number = lines.contact_number
        WHERE lines.segment_number = $1";
    let lines = diesel::sql_query(query)
        .bind::<SqlText, _>(&segment.number)
        .bind::<diesel::sql_types::Numeric, _>(template.cost)
        .bind::<diesel::sql_types::Integer, _>(template.duration_minutes)
        .bind::<SqlText, _>(&template.description);
    Ok(lines.execute(&mut work.conn).await?)
}

/// Creates a follow-up segment with the same contacts, `lines` in number, and the same campaign.
/// Flags and template are left for the user to set.
async fn create_follow_up(
    work: &mut UnitOfWork,
    segment: &SegmentView,
    lines: usize,
) -> Result<Key, Problem> {
    let number = next_number(&mut work.conn, Series::Segment).await?;
    let copy = (
        segments::id.eq(Uuid::now_v7()),
        segments::number.eq(&number),
        segments::description.eq(&segment.description),
        segments::campaign_number.eq(&segment.campaign_number),
        segments::salesperson_code.eq(&segment.salesperson_code),
        author_values!(segments, &work.author),
    );
    diesel::insert_into(segments::table).values(copy).execute(&mut work.conn).await?;
    work.segment_changed(&number);
    let ids: Vec<Uuid> = std::iter::repeat_with(Uuid::now_v7).take(lines).collect();
    let query = "INSERT INTO segment_lines (id, segment_number, contact_number)
        SELECT ids.id, $2, lines.contact_number
        FROM (SELECT contact_number, row_number() OVER (ORDER BY contact_number) AS place
            FROM segment_lines WHERE segment_number = $1) AS lines
        JOIN unnest($3) WITH ORDINALITY AS ids (id, place) USING (place)";
    diesel::sql_query(query)
        .bind::<SqlText, _>(&segment.number)
        .bind::<SqlText, _>(&number)
        .bind::<Array<SqlUuid>, _>(ids)
        .execute(&mut work.conn)
        .await?;
    Ok(number)
}
