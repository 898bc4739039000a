//! Copies of campaigns, for example of last year's for this year.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, web};
use deserr::Deserr;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::{Array, Text as SqlText};
use diesel_async::RunQueryDsl;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Date, Key, Reference, Text};

use super::{CampaignView, CampaignWrite, Campaigns, Today};
use crate::platform::http::access::scope::Area;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::problem::Problem;
use crate::platform::http::routes::Routes;
use crate::resource::{
    IfExists, Resource, RowWrite, SaveError, Scope, checked, path_in, reference, refusal, respond,
};
use crate::schema::segments;
use crate::segments::{SegmentView, Segments};
use crate::settings::series::{Series, next_number};
use crate::unit_of_work::{Database, UnitOfWork};

/// Copies the lines of campaign `$1` to campaign `$2` for the author `$3`. Dates are not copied,
/// because the lines of a
/// campaign have those of the campaign.
const PRICES: &str = "INSERT INTO price_lines
        (id, source_type, campaign_number, item_number, variant_code, unit_of_measure_code,
        currency_code, minimum_quantity, unit_price, allow_line_discount, price_includes_tax,
        tax_percent, created_by, updated_by)
    SELECT uuid_v7(), source_type, $2, item_number, variant_code, unit_of_measure_code,
        currency_code, minimum_quantity, unit_price, allow_line_discount, price_includes_tax,
        tax_percent, $3, $3
    FROM price_lines WHERE campaign_number = $1";
const DISCOUNTS: &str = "INSERT INTO discount_lines
        (id, source_type, campaign_number, item_number, item_discount_group_code, variant_code,
        unit_of_measure_code, currency_code, minimum_quantity, line_discount_percent,
        created_by, updated_by)
    SELECT uuid_v7(), source_type, $2, item_number, item_discount_group_code, variant_code,
        unit_of_measure_code, currency_code, minimum_quantity, line_discount_percent, $3, $3
    FROM discount_lines WHERE campaign_number = $1";
/// Copies the golden quotes of campaign `$1` to campaign `$2`. A date keeps its distance from the
/// first day of the campaign. Dated quotes are omitted if one of the campaigns has no first day, or
/// if the new date is outside the calendar.
const GOLDEN_QUOTES: &str = "INSERT INTO golden_quotes
        (id, campaign_number, contact_number, customer_number, item_number, variant_code,
        unit_of_measure_code, quantity, date, currency_code, prices_include_tax, unit_price,
        line_discount_percent, line_amount, expected_campaign, note)
    SELECT uuid_v7(), $2, contact_number, customer_number, item_number, variant_code,
        unit_of_measure_code, quantity, moved.date, currency_code, prices_include_tax, unit_price,
        line_discount_percent, line_amount, expected_campaign, note
    FROM golden_quotes AS golden, LATERAL (
        SELECT golden.date + (copy.starting_date - original.starting_date) AS date
        FROM campaigns AS original, campaigns AS copy
        WHERE original.number = $1 AND copy.number = $2) AS moved
    WHERE campaign_number = $1
        AND (golden.date IS NULL OR moved.date BETWEEN date '0001-01-01' AND date '9999-12-31')";
/// Copies the lines of the segments `$1` to the segments at the same positions in `$2`. `added_by`
/// is not copied, because the copies have no criteria actions to undo.
const SEGMENT_LINES: &str = "INSERT INTO segment_lines
        (id, segment_number, contact_number, account_number, campaign_target, campaign_response)
    SELECT uuid_v7(), pair.copy, contact_number, account_number, campaign_target, campaign_response
    FROM unnest($1, $2) AS pair(original, copy)
        JOIN segment_lines ON segment_number = pair.original";

/// Adds the operation to the route table.
pub fn mount_copies(routes: &mut Routes) {
    routes.add(Area::Campaigns.write(), __path_copy_campaign, copy_campaign);
}

/// The fields in which a copy differs from its original.
#[derive(Debug, Default, Deserr, ToSchema)]
#[schema(as = CampaignCopyWrite, rename_all = "camelCase")]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
pub struct CopyWrite {
    /// The number of the copy. If absent, the next one of the series is taken.
    #[deserr(default)]
    pub number: Option<Key>,
    /// A short description of the copy. If absent, that of the original is taken.
    #[deserr(default)]
    pub description: Option<Text<100>>,
    /// The first day on which the copy's prices apply. If absent, the copy has none yet.
    #[deserr(default)]
    pub starting_date: Option<Date>,
    /// The last day on which the copy's prices apply. If absent, the copy has none yet.
    #[deserr(default)]
    pub ending_date: Option<Date>,
}

/// Copy a campaign
///
/// Creates a campaign with the original's type, salesperson, `publishing`, `combination`, price and
/// discount lines and golden quotes. Each segment is copied with all its lines and gets a new
/// number.
///
/// Dates come from the request, never from the original. A golden quote with a date keeps its
/// distance from the first day, and is omitted if either campaign has no first day. The copy is not
/// active. It has no status, no status history and no criteria actions.
#[utoipa::path(
    post,
    path = "/v1/campaigns/{campaign}/copies",
    operation_id = "copy_campaign",
    tag = "Campaigns",
    params(("campaign" = String, Path, description = "The campaign's id or number.", min_length = 1,
        max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")),
    request_body(content = Option<CopyWrite>,
        description = "The fields in which the copy differs; optional."),
    responses((status = 201, description = "Copied.", body = CampaignView))
)]
async fn copy_campaign(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.query(&[])?;
    let wanted: CopyWrite = request.json_or_default().await?;
    let reference = reference(&http_request, Campaigns::NAMES.singular)?;
    database
        .transact(&request, async |work| {
            let today = Today::find(&http_request, &mut work.conn).await?;
            let original = Campaigns::find(&mut work.conn, &today, &reference, false).await?;
            let original =
                original.ok_or_else(|| Problem::not_found("campaign", &reference.to_string()))?;
            let draft = draft(work, &original, &wanted).await?;
            checked(Campaigns::rules(&draft.write, &today))?;
            let copied = work
                .savepoint(async |work| copy(work, &today, &original.number, &draft).await)
                .await;
            if let Err(error) = copied {
                return Err(refusal::<Campaigns>(work, error, &draft.write, draft.id).await?);
            }
            let copy =
                Campaigns::find(&mut work.conn, &today, &Reference::Id(draft.id), false).await?;
            let copy = copy
                .ok_or_else(|| Problem::internal("a campaign that was just made is not there"))?;
            let location = path_in(Campaigns::NAMES.path, copy.number.as_str());
            Ok(respond::<Campaigns>(StatusCode::CREATED, &copy)?
                .header(header::LOCATION, &location))
        })
        .await
}

/// Returns the row of the campaign to create.
async fn draft(
    work: &mut UnitOfWork,
    original: &CampaignView,
    wanted: &CopyWrite,
) -> Result<RowWrite<CampaignWrite>, Problem> {
    let number = match &wanted.number {
        Some(number) => number.clone(),
        None => next_number(&mut work.conn, Series::Campaign).await?,
    };
    let write = Campaigns::write_of(original);
    let write = CampaignWrite {
        number: Some(number),
        description: wanted.description.clone().unwrap_or_else(|| write.description.clone()),
        status_code: None,
        starting_date: wanted.starting_date,
        ending_date: wanted.ending_date,
        ..write
    };
    Ok(RowWrite { id: Uuid::now_v7(), write })
}

/// Creates the campaign with its lines, golden quotes and segments.
async fn copy(
    work: &mut UnitOfWork,
    today: &Today,
    original: &Key,
    draft: &RowWrite<CampaignWrite>,
) -> Result<(), SaveError> {
    Campaigns::save(work, today, std::slice::from_ref(draft), IfExists::Refuse).await?;
    let number = draft.write.number.as_ref().map_or("", Key::as_str);
    let copy_to =
        |rows| diesel::sql_query(rows).bind::<SqlText, _>(original).bind::<SqlText, _>(number);
    for lines in [PRICES, DISCOUNTS] {
        let insert = copy_to(lines).bind::<SqlText, _>(&work.author);
        insert.execute(&mut work.conn).await.map_err(retry_if_gone)?;
    }
    copy_to(GOLDEN_QUOTES).execute(&mut work.conn).await.map_err(retry_if_gone)?;
    let segments: Vec<SegmentView> = segments::table
        .filter(segments::campaign_number.eq(original))
        .order(segments::number)
        .select(SegmentView::as_select())
        .load(&mut work.conn)
        .await?;
    let (mut originals, mut copies, mut drafts) = (Vec::new(), Vec::new(), Vec::new());
    for segment in segments {
        let number = next_number(&mut work.conn, Series::Segment).await?;
        let mut write = Segments::write_of(&segment);
        write.number = Some(number.clone());
        write.campaign_number.clone_from(&draft.write.number);
        drafts.push(RowWrite { id: Uuid::now_v7(), write });
        originals.push(segment.number);
        copies.push(number);
    }
    if drafts.is_empty() {
        return Ok(());
    }
    Segments::save(work, &(), &drafts, IfExists::Refuse).await?;
    let insert = diesel::sql_query(SEGMENT_LINES).bind::<Array<SqlText>, _>(originals);
    insert
        .bind::<Array<SqlText>, _>(copies)
        .execute(&mut work.conn)
        .await
        .map_err(retry_if_gone)?;
    Ok(())
}

/// Converts an error. A line whose item or contact was deleted concurrently violates a foreign key;
/// a retry of the request no longer copies it.
fn retry_if_gone(error: Error) -> SaveError {
    match error {
        Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => {
            Problem::concurrent_change().into()
        }
        other => other.into(),
    }
}
