//! Performs and undoes criteria actions. The caller must hold the exclusive lock of the segment, so
//! that its lines do not change meanwhile.
//!
//! Undoing is exact by construction: a line references the action that added it, and an action
//! stores the lines that it removed. Lines that were added by hand reference no action, so undoing
//! never removes them. A contact is on a segment at most once, so undoing does not restore the line
//! of a contact that was added by hand meanwhile.

use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error};
use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::Text;

use super::{CriteriaKind, Criterion, select};
use crate::platform::http::list::{Filter, Statement};
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::schema::{criteria_actions, segment_lines};
use crate::segments::lines::OfSegment;
use crate::unit_of_work::UnitOfWork;

/// A criteria action that was performed on a segment.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = CriteriaAction)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = criteria_actions, check_for_backend(Pg))]
pub struct CriteriaActionView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The position in the segment's history, from 1.
    #[schema(minimum = 1, maximum = 2_147_483_647, example = 1)]
    pub position: i32,
    /// The kind of the action.
    #[schema(example = "ADD")]
    pub action: CriteriaKind,
    /// The filter over contacts.
    #[schema(
        value_type = String,
        max_length = 4096,
        example = "jobResponsibilities/any(j: j eq 'PURCHASE')"
    )]
    pub filter: Text<4096>,
    /// True if found contacts that were on the segment already were counted.
    #[schema(example = false)]
    pub allow_existing: bool,
    /// True if the persons of each company found were added as well.
    #[schema(example = true)]
    pub expand_companies: bool,
    /// True if the company of each person found was added as well.
    #[schema(example = false)]
    pub related_companies: bool,
    /// True if companies were removed or kept as a whole.
    #[schema(example = false)]
    pub entire_companies: bool,
    /// True if matching contacts that are excluded from segments were included.
    #[schema(example = false)]
    pub ignore_exclusion: bool,
    /// Number of lines that were added.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1200)]
    pub lines_added: i64,
    /// Number of found contacts that were on the segment already; 0 without `allowExisting`.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub lines_existing: i64,
    /// Number of lines that were removed.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub lines_removed: i64,
    /// The time of the action.
    #[schema(max_length = 35, example = "2031-05-15T08:30:00.123456Z")]
    pub performed_at: DateTime<Utc>,
    /// The author of the action.
    #[schema(max_length = 200, example = "local")]
    pub performed_by: String,
}

/// The effect that an action would have.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = CriteriaPreview)]
#[serde(rename_all = "camelCase")]
pub struct CriteriaPreview {
    /// Number of lines before the action.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 300)]
    pub lines_before: i64,
    /// Number of lines that the action would add.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1200)]
    pub lines_added: i64,
    /// Number of contacts that the action would find on the segment already; 0 without
    /// `allowExisting`.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub lines_existing: i64,
    /// Number of lines that the action would remove.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub lines_removed: i64,
    /// Number of lines after the action.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1500)]
    pub lines_after: i64,
}

/// The numbers of lines that an action affects.
#[derive(Debug, Clone, Copy, QueryableByName)]
struct Counts {
    #[diesel(sql_type = BigInt)]
    added: i64,
    #[diesel(sql_type = BigInt)]
    existing: i64,
    #[diesel(sql_type = BigInt)]
    removed: i64,
}

impl Counts {
    fn reported_for(self, criterion: &Criterion) -> Self {
        Self { existing: if criterion.allow_existing { self.existing } else { 0 }, ..self }
    }
}

/// Performs an action and appends it to the history. The segment must be locked exclusively.
///
/// # Errors
/// 503 if a contact is deleted concurrently, or if the database fails.
pub(super) async fn perform(
    work: &mut UnitOfWork,
    scope: &OfSegment,
    criterion: &Criterion,
    filter: &Filter,
) -> Result<CriteriaActionView, Problem> {
    use criteria_actions as t;
    let conn = &mut work.conn;
    let last =
        t::table.filter(t::segment_number.eq(&scope.number)).select(diesel::dsl::max(t::position));
    let last: Option<i32> = last.first(conn).await?;
    let id = Uuid::now_v7();
    let action = (
        t::id.eq(id),
        t::segment_number.eq(&scope.number),
        t::position.eq(last.unwrap_or_default().saturating_add(1)),
        t::action.eq(criterion.action),
        t::filter.eq(&criterion.filter),
        t::allow_existing.eq(criterion.allow_existing),
        t::expand_companies.eq(criterion.expand_companies),
        t::related_companies.eq(criterion.related_companies),
        t::entire_companies.eq(criterion.entire_companies),
        t::ignore_exclusion.eq(criterion.ignore_exclusion),
        t::performed_by.eq(&work.author),
    );
    diesel::insert_into(t::table).values(action).execute(conn).await?;
    let change = change_statement(criterion, filter, scope.number.as_str(), id);
    let counts =
        change.get_result::<Counts>(conn).await.map_err(retry_if_gone)?.reported_for(criterion);
    let counted = (
        t::lines_added.eq(counts.added),
        t::lines_existing.eq(counts.existing),
        t::lines_removed.eq(counts.removed),
    );
    let update = diesel::update(t::table.find(id))
        .set(counted)
        .returning(CriteriaActionView::as_returning());
    Ok(update.get_result(conn).await?)
}

/// Returns the statement that changes the lines of a segment as action `id` and returns [`Counts`].
fn change_statement(criterion: &Criterion, filter: &Filter, segment: &str, id: Uuid) -> Statement {
    match criterion.action {
        CriteriaKind::Add => select::addition(criterion, filter)
            .sql(
                ", added AS (INSERT INTO segment_lines
                    (id, segment_number, contact_number, added_by) SELECT uuid_v7(), ",
            )
            .text(segment)
            .sql(", number, ")
            .uuid(id)
            // In the order of the indexes: a million rows in another order would touch every index
            // page many times.
            .sql(
                " FROM wanted ORDER BY number
                    ON CONFLICT (segment_number, contact_number) DO NOTHING RETURNING id)
                SELECT (SELECT count(*) FROM added) AS added, 0::bigint AS removed,
                    (SELECT count(*) FROM wanted) - (SELECT count(*) FROM added) AS existing",
            ),
        CriteriaKind::Reduce | CriteriaKind::Refine => select::removal(criterion, filter, segment)
            .sql(
                ", gone AS (DELETE FROM segment_lines USING going WHERE segment_lines.id = going.id
                    RETURNING segment_lines.*),
                kept AS (INSERT INTO criteria_removed_lines
                    (action_id, line_id, contact_number, account_number, campaign_target,
                    campaign_response, added_by) SELECT ",
            )
            .uuid(id)
            .sql(
                ", id, contact_number, account_number, campaign_target, campaign_response, added_by
                    FROM gone RETURNING line_id)
                SELECT 0::bigint AS added, 0::bigint AS existing,
                    (SELECT count(*) FROM kept) AS removed",
            ),
    }
}

/// Returns the effect that an action would have on the segment.
///
/// # Errors
/// If the database fails.
pub(super) async fn preview(
    conn: &mut AsyncPgConnection,
    scope: &OfSegment,
    criterion: &Criterion,
    filter: &Filter,
) -> Result<CriteriaPreview, Problem> {
    let segment = scope.number.as_str();
    let query = match criterion.action {
        CriteriaKind::Add => select::addition(criterion, filter)
            .sql(
                " SELECT count(*) - count(lines.id) AS added, count(lines.id) AS existing,
                    0::bigint AS removed
                FROM wanted LEFT JOIN segment_lines AS lines
                    ON lines.contact_number = wanted.number AND lines.segment_number = ",
            )
            .text(segment),
        CriteriaKind::Reduce | CriteriaKind::Refine => select::removal(criterion, filter, segment)
            .sql(
                " SELECT 0::bigint AS added, 0::bigint AS existing, count(*) AS removed
                FROM going",
            ),
    };
    let lines = segment_lines::table.filter(segment_lines::segment_number.eq(segment));
    let before: i64 = lines.count().get_result(conn).await?;
    let Counts { added, existing, removed } =
        query.get_result::<Counts>(conn).await?.reported_for(criterion);
    Ok(CriteriaPreview {
        lines_before: before,
        lines_added: added,
        lines_existing: existing,
        lines_removed: removed,
        lines_after: before.saturating_add(added).saturating_sub(removed),
    })
}

/// Returns the latest action of a segment.
///
/// # Errors
/// If the database fails.
pub(super) async fn latest(
    conn: &mut AsyncPgConnection,
    scope: &OfSegment,
) -> Result<Option<CriteriaActionView>, Problem> {
    use criteria_actions as t;
    let actions = t::table.filter(t::segment_number.eq(&scope.number)).order(t::position.desc());
    Ok(actions.select(CriteriaActionView::as_select()).first(conn).await.optional()?)
}

/// Undoes the latest action of a segment and removes it from the history. The segment must be
/// locked exclusively.
///
/// # Errors
/// 503 if a contact is deleted concurrently, or if the database fails.
pub(super) async fn undo(
    conn: &mut AsyncPgConnection,
    scope: &OfSegment,
    action: &CriteriaActionView,
) -> Result<(), Problem> {
    let of_segment = segment_lines::table.filter(segment_lines::segment_number.eq(&scope.number));
    diesel::delete(of_segment.filter(segment_lines::added_by.eq(action.id))).execute(conn).await?;
    Statement::default()
        .sql(
            "INSERT INTO segment_lines
                (id, segment_number, contact_number, account_number, campaign_target,
                campaign_response, added_by)
            SELECT line_id, ",
        )
        .text(&scope.number)
        .sql(
            ", contact_number, account_number, campaign_target, campaign_response, added_by
            FROM criteria_removed_lines WHERE action_id = ",
        )
        .uuid(action.id)
        .sql(" ON CONFLICT (segment_number, contact_number) DO NOTHING")
        .execute(conn)
        .await
        .map_err(retry_if_gone)?;
    diesel::delete(criteria_actions::table.find(action.id)).execute(conn).await?;
    Ok(())
}

/// Returns the refusal of an undo without an action.
pub(super) fn nothing_to_undo(scope: &OfSegment) -> Problem {
    let detail = format!("no criteria action of {} is left to go back from", scope.number);
    Problem::new(ProblemCode::NoCriteriaAction, detail)
}

/// Converts an error. A contact that was deleted after it was found violates the foreign key of its
/// line; a retry of the request no longer finds it.
fn retry_if_gone(error: Error) -> Problem {
    match error {
        Error::DatabaseError(DatabaseErrorKind::ForeignKeyViolation, _) => {
            Problem::concurrent_change()
        }
        other => other.into(),
    }
}
