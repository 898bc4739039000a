//! Reuse of a logged segment: a new segment with the contacts that it reached.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, web};
use values::Text;

use super::LoggedSegments;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Scope;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::problem::Problem;
use crate::platform::http::routes::Routes;
use crate::resource::{Resource, make, path_in, reference, respond};
use crate::segments::criteria::{CriteriaKind, Criterion};
use crate::segments::{SegmentView, SegmentWrite, Segments, criteria};
use crate::unit_of_work::Database;

/// Adds the operation.
pub fn mount_reuses(routes: &mut Routes) {
    routes.add(Scope::ContactsWrite, __path_reuse_logged_segment, reuse_logged_segment);
}

/// Reuse a logged segment
///
/// Creates a segment as `POST /v1/segments` does, for the same campaign, another one or none. It
/// adds the contacts of the logged segment's interactions that are not canceled. Without a
/// description the new segment gets that of the logged one. The contacts are added by the criteria
/// action `loggedSegments/any(s: s eq '…')`, which also works for existing segments. Contacts that
/// are excluded or privacy blocked by now are omitted. Going back removes the lines again.
#[utoipa::path(
    post,
    path = "/v1/logged-segments/{logged_segment}/reuses",
    operation_id = "reuse_logged_segment",
    tag = "Interactions",
    params((
        "logged_segment" = String, Path, description = "The id or the number.",
        min_length = 1, max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$"
    )),
    request_body(
        content = Option<SegmentWrite>,
        description = "The new segment; may be omitted."
    ),
    responses((
        status = 201,
        description = "Created; `Location` is the new segment.",
        body = SegmentView
    ))
)]
async fn reuse_logged_segment(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
) -> Result<ApiResponse, Problem> {
    request.query(&[])?;
    let mut write: SegmentWrite = request.json_or_default().await?;
    let reference = reference(&http_request, "logged_segment")?;
    database
        .transact(&request, async |work| {
            let logged = LoggedSegments::find(&mut work.conn, &(), &reference, false).await?;
            let logged = logged
                .ok_or_else(|| Problem::not_found("logged segment", &reference.to_string()))?;
            if write.description.as_str().is_empty() {
                write.description = logged.description;
            }
            let filter = format!("loggedSegments/any(s: s eq '{}')", logged.number);
            let criterion = Criterion {
                action: CriteriaKind::Add,
                filter: Text::parse(&filter).map_err(Problem::internal)?,
                allow_existing: false,
                expand_companies: false,
                related_companies: false,
                entire_companies: false,
                ignore_exclusion: false,
            };
            let segment = make::<Segments>(work, &(), write).await?;
            criteria::perform(work, &segment.number, &criterion, calendar.today()).await?;
            let location = path_in(Segments::NAMES.path, segment.number.as_str());
            Ok(respond::<Segments>(StatusCode::CREATED, &segment)?
                .header(header::LOCATION, &location))
        })
        .await
}
