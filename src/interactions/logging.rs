//! Logging a segment: each of its lines becomes an interaction, the segment a logged segment, and,
//! where it belongs to a campaign, the campaign's entry. All in a few statements, however many
//! lines there are, and in one transaction.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, web};
use deserr::Deserr;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Bool, Date as SqlDate, Text as SqlText, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::interaction_templates::{InteractionTemplateView, InteractionTemplates};
use crate::platform::clock::Calendar;
use crate::platform::db::schema::segments;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::platform::http::resource::{Resource, reference};
use crate::platform::http::routes::Routes;
use crate::platform::unit_of_work::{Database, UnitOfWork};
use crate::segments::SegmentView;
use crate::settings::series::{Series, next_number};
use crate::values::{Date, Key, Reference};

/// At most so many contacts are named where lines lack something.
const NAMED: i32 = 100;

/// Adds the operation.
pub fn mount_logging(routes: &mut Routes) {
    routes.add(__path_log_segment, log_segment);
}

/// How a segment is to be logged.
#[derive(Debug, Default, Deserr, ToSchema)]
#[schema(as = SegmentLogWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[schema(rename_all = "camelCase")]
pub struct SegmentLogWrite {
    /// Whether to make a segment with the same contacts and the same campaign, for what comes next.
    #[deserr(default)]
    #[schema(default = false, example = true)]
    pub create_follow_up: bool,
    /// Whether attachments are to be sent. The service sends nothing itself: the logged segment
    /// says it to whoever does.
    #[deserr(default)]
    #[schema(default = false, example = false)]
    pub send_attachments: bool,
}

/// What logging a segment made.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SegmentLog {
    /// The logged segment; it has the number of the segment.
    pub segment_number: Key,
    /// The id of the campaign's entry; null without a campaign.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub campaign_entry_id: Option<Uuid>,
    /// The campaign whose entry that is.
    pub campaign_number: Option<Key>,
    /// The day of the interactions.
    // Spelled out, as utoipa takes any type called Date for its own.
    #[schema(value_type = String, format = Date, max_length = 10, example = "2031-05-15")]
    pub date: Date,
    /// How many interactions there are: one for each line.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 120)]
    pub number_of_interactions: i64,
    /// The follow-up segment, if one was wanted.
    pub follow_up_segment_number: Option<Key>,
}

/// Log a segment
///
/// Records what was done with the segment: one interaction for each line, dated today, with the
/// template's description, cost and duration, the segment's salesperson (else the campaign's, else
/// the contact's) and the line's flags (else the segment's). The segment moves to
/// `/v1/logged-segments` under its number, which is then taken for good, and becomes an entry of
/// its campaign; its lines are gone, and its targets stay in the campaign's audience. Refused with
/// 422 and all reasons at once, the contacts concerned named, when there is no line, no template,
/// no description in the template, no salesperson, or a contact that is privacy blocked.
#[utoipa::path(
    post,
    path = "/v1/segments/{segment}/logs",
    operation_id = "log_segment",
    tag = "Interactions",
    params(("segment" = String, Path, description = "The id or the number.", min_length = 1, max_length = 50,
        pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$")),
    request_body(content = inline(Option<SegmentLogWrite>), description = "How; may be left out."),
    responses((status = 201, description = "Logged; `Location` is the logged segment.", body = SegmentLog))
)]
async fn log_segment(
    request: HttpRequest,
    call: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
) -> Result<ApiResponse, Problem> {
    call.query(&[])?;
    let wanted: SegmentLogWrite = call.json_or_default()?;
    let segment = reference(&request, "segment")?;
    database
        .transact(&call, async |work| {
            let log = log(work, &segment, &wanted, Date::from(calendar.today())).await?;
            let location = format!("/v1/logged-segments/{}", log.segment_number);
            Ok(ApiResponse::json(StatusCode::CREATED, &log)?.header(header::LOCATION, &location))
        })
        .await
}

async fn log(
    work: &mut UnitOfWork,
    reference: &Reference,
    wanted: &SegmentLogWrite,
    today: Date,
) -> Result<SegmentLog, Problem> {
    // The strongest lock, since the row goes: no line comes to it meanwhile.
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
    let template = ready(work, &segment).await?;
    move_segment(work, &segment, &template, wanted, today).await?;
    let lines = move_lines(work, &segment, &template).await?;
    let follow_up =
        if wanted.create_follow_up { Some(follow_up(work, &segment, lines).await?) } else { None };
    diesel::delete(segments::table.find(segment.id)).execute(&mut work.conn).await?;
    work.changed_keys.campaigns.extend(segment.campaign_number.as_ref().map(Key::to_string));
    Ok(SegmentLog {
        campaign_entry_id: segment.campaign_number.as_ref().map(|_| segment.id),
        segment_number: segment.number,
        campaign_number: segment.campaign_number,
        date: today,
        number_of_interactions: i64::try_from(lines).map_err(Problem::internal)?,
        follow_up_segment_number: follow_up,
    })
}

/// What the lines of a segment have and lack.
#[derive(QueryableByName)]
struct Lines {
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

/// The template to log by, or everything that stands against logging. The pointers lead into the
/// segment.
async fn ready(
    work: &mut UnitOfWork,
    segment: &SegmentView,
) -> Result<InteractionTemplateView, Problem> {
    let query = "WITH lines AS MATERIALIZED (
            SELECT contacts.number, contacts.privacy_blocked AS blocked,
                coalesce(segments.salesperson_code, campaigns.salesperson_code, contacts.salesperson_code) AS salesperson
            FROM segment_lines
            JOIN segments ON segments.number = segment_lines.segment_number
            JOIN contacts ON contacts.number = segment_lines.contact_number
            LEFT JOIN campaigns ON campaigns.number = segments.campaign_number
            WHERE segment_lines.segment_number = $1)
        SELECT (SELECT count(*) FROM lines) AS lines,
            (SELECT count(*) FROM lines WHERE blocked) AS blocked,
            ARRAY(SELECT number FROM lines WHERE blocked ORDER BY number LIMIT $2) AS blocked_numbers,
            (SELECT count(*) FROM lines WHERE salesperson IS NULL) AS without_salesperson,
            ARRAY(SELECT number FROM lines WHERE salesperson IS NULL ORDER BY number LIMIT $2)
                AS without_salesperson_numbers";
    let found: Lines = diesel::sql_query(query)
        .bind::<SqlText, _>(&segment.number)
        .bind::<diesel::sql_types::Integer, _>(NAMED)
        .get_result(&mut work.conn)
        .await?;
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
        let detail = "neither the segment nor its campaign has a salesperson, and contacts on it have none of their own";
        let error = FieldError::new("/salespersonCode", FieldCode::NoSalesperson, detail);
        errors.push(concerning(
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
        errors.push(concerning(error, found.blocked, found.blocked_numbers));
    }
    match template {
        Some(template) if errors.is_empty() => Ok(template),
        _ => Err(Problem {
            detail: format!("{} cannot be logged; errors names each reason", segment.number),
            ..Problem::with_errors(ProblemCode::ValidationFailed, errors)
        }),
    }
}

/// The error with the contacts concerned: how many, and the first of them.
fn concerning(error: FieldError, count: i64, numbers: Vec<String>) -> FieldError {
    error.param("numberOfContacts", count).param("contactNumbers", numbers)
}

/// Makes the logged segment. It has the segment's id and number, and a description in any case.
async fn move_segment(
    work: &mut UnitOfWork,
    segment: &SegmentView,
    template: &InteractionTemplateView,
    wanted: &SegmentLogWrite,
    today: Date,
) -> Result<(), Problem> {
    let query = "INSERT INTO logged_segments (id, number, description, campaign_number, campaign_target,
            campaign_response, salesperson_code, subject, interaction_template_code, date, send_attachments)
        SELECT segments.id, segments.number, coalesce(nullif(segments.description, ''), $2), campaign_number,
            campaign_target, campaign_response, coalesce(segments.salesperson_code, campaigns.salesperson_code), subject,
            interaction_template_code, $3, $4
        FROM segments LEFT JOIN campaigns ON campaigns.number = segments.campaign_number WHERE segments.id = $1";
    diesel::sql_query(query)
        .bind::<SqlUuid, _>(segment.id)
        .bind::<SqlText, _>(&template.description)
        .bind::<SqlDate, _>(today)
        .bind::<Bool, _>(wanted.send_attachments)
        .execute(&mut work.conn)
        .await?;
    Ok(())
}

/// Makes an interaction of each line, and answers how many. A line's id goes on as that of its
/// interaction.
async fn move_lines(
    work: &mut UnitOfWork,
    segment: &SegmentView,
    template: &InteractionTemplateView,
) -> Result<usize, Problem> {
    let query = "INSERT INTO interactions (id, date, contact_number, campaign_number, segment_number,
            interaction_template_code, salesperson_code, campaign_target, campaign_response, cost, duration_minutes,
            description)
        SELECT lines.id, logged.date, lines.contact_number, logged.campaign_number, logged.number,
            logged.interaction_template_code, coalesce(logged.salesperson_code, contacts.salesperson_code),
            logged.campaign_number IS NOT NULL AND coalesce(lines.campaign_target, logged.campaign_target),
            logged.campaign_number IS NOT NULL AND coalesce(lines.campaign_response, logged.campaign_response),
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

/// Makes a segment with the same contacts, that many, and the same campaign. Whether they are
/// targets again, and what is done with them, is for whoever goes on with it to say.
async fn follow_up(
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
    );
    diesel::insert_into(segments::table).values(copy).execute(&mut work.conn).await?;
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
