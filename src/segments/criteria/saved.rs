//! Saved criteria: the actions of a segment, saved under a code to be replayed in other segments.

use std::collections::HashMap;

use chrono::NaiveDate;
use deserr::Deserr;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Key, Reference, Text};

use super::Criterion;
use super::history::CriteriaActionView;
use crate::platform::http::access::scope::Area;
use crate::platform::http::json::{BodyErrors, decode};
use crate::platform::http::list::{Field, FieldKind, Filter, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::resource::constraints::Constraint;
use crate::resource::table::{key_field, table_rows, upsert};
use crate::resource::{IfExists, Names, Resource, RowWrite, SaveError};
use crate::schema::{criteria_actions, saved_criteria, segments};
use crate::unit_of_work::UnitOfWork;

/// Maximum number of actions under one code.
const MAX_ACTIONS: usize = 100;

/// The writable fields of saved criteria.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = SavedCriteriaWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct SavedCriteriaWrite {
    /// The code.
    #[deserr(default)]
    pub code: Option<Key>,
    /// A short description of the criteria.
    #[deserr(default)]
    #[serde(default)]
    pub description: Text<100>,
    /// The segment whose current actions are saved. Either this or `actions`.
    #[deserr(default)]
    pub segment_number: Option<Key>,
    /// The actions, 1 to 100. Either these or `segmentNumber`.
    #[deserr(default)]
    #[schema(min_items = 1, max_items = 100)]
    pub actions: Option<Vec<Criterion>>,
}

/// Saved criteria.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = SavedCriteria)]
#[serde(rename_all = "camelCase")]
pub struct SavedCriteriaView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The code.
    pub code: Key,
    /// A short description of the criteria.
    pub description: Text<100>,
    /// The actions, in the order in which they are performed.
    #[schema(min_items = 1, max_items = 100)]
    pub actions: Vec<Criterion>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = saved_criteria, check_for_backend(diesel::pg::Pg))]
struct Row {
    id: Uuid,
    code: Key,
    description: Text<100>,
    actions: Value,
}

impl TryFrom<Row> for SavedCriteriaView {
    type Error = Problem;

    fn try_from(row: Row) -> Result<Self, Problem> {
        let actions =
            decode(row.actions).map_err(|errors| Problem::internal(format!("{errors:?}")))?;
        Ok(Self { id: row.id, code: row.code, description: row.description, actions })
    }
}

/// Returns saved criteria with their parsed filters.
///
/// # Errors
/// 422 if there are none under the code, or if a filter is no longer valid.
pub(super) async fn find_for_replay(
    conn: &mut AsyncPgConnection,
    code: &Key,
    today: NaiveDate,
) -> Result<Vec<(Criterion, Filter)>, Problem> {
    let saved = SavedCriteria::find(conn, &(), &Reference::Key(code.clone()), false).await?;
    let saved = saved.ok_or_else(|| {
        Problem::rule(
            "/code",
            FieldCode::ReferenceNotFound,
            format!("there are no saved criteria {code}"),
        )
    })?;
    let mut criteria = Vec::new();
    for criterion in saved.actions {
        let filter = criterion.filter("", today).map_err(|errors| {
            let details: Vec<String> = errors.into_iter().map(|error| error.detail).collect();
            let detail = format!(
                "{} of {code} can no longer be performed: {}",
                criterion.action,
                details.join("; ")
            );
            Problem::rule("/code", FieldCode::NotAllowed, detail)
        })?;
        criteria.push((criterion, filter));
    }
    Ok(criteria)
}

/// The resource `/v1/saved-criteria`.
pub struct SavedCriteria;

impl Resource for SavedCriteria {
    const NAMES: Names = Names {
        path: "/v1/saved-criteria",
        singular: "saved_criteria",
        plural: "saved_criteria",
        one: "saved criteria",
        tag: "Segments",
        area: Area::Contacts,
        key_field: Some("code"),
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "saved_criteria.id").not_null(),
            Field::new("code", FieldKind::Key, "saved_criteria.code").not_null(),
            Field::new("description", FieldKind::Text, "saved_criteria.description").not_null(),
        ],
        default_order: "code",
        tie: "code",
    };
    const CONSTRAINTS: &'static [Constraint] =
        &[Constraint::taken("saved_criteria_code_key", "/code")];
    type Scope = ();
    type Write = SavedCriteriaWrite;
    type View = SavedCriteriaView;

    table_rows! {
        saved_criteria by code,
        from Row: |_conn, _scope, rows| {
            rows.into_iter().map(SavedCriteriaView::try_from).collect::<Result<_, _>>()?
        }
    }
    key_field! { code }

    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<SavedCriteriaWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        use saved_criteria as t;
        let of_segments = actions_of(&mut work.conn, rows).await?;
        let mut rows: Vec<&RowWrite<SavedCriteriaWrite>> = rows.iter().collect();
        // Sorted by key everywhere, so that concurrent batches lock rows in the same order.
        rows.sort_by_key(|row| &row.write.code);
        let mut values = Vec::new();
        for RowWrite { id, write } in rows {
            let actions = match (&write.actions, &write.segment_number) {
                (Some(actions), _) => actions,
                (None, Some(segment)) => savable_actions(segment, of_segments.get(segment))?,
                (None, None) => return Err(missing_actions().into()),
            };
            values.push((
                t::id.eq(*id),
                write.code.as_ref().map(|code| t::code.eq(code)),
                t::description.eq(&write.description),
                t::actions.eq(serde_json::to_value(actions).map_err(Problem::internal)?),
            ));
        }
        upsert!(
            &mut work.conn, values, if_exists, t by code:
            description, actions
        )?;
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(saved_criteria::table.find(view.id)).execute(&mut work.conn).await?;
        Ok(())
    }

    fn write_of(view: &Self::View) -> SavedCriteriaWrite {
        let view = view.clone();
        SavedCriteriaWrite {
            code: Some(view.code),
            description: view.description,
            segment_number: None,
            actions: Some(view.actions),
        }
    }

    fn rules(write: &SavedCriteriaWrite, (): &()) -> Vec<FieldError> {
        let actions = match (&write.actions, &write.segment_number) {
            (Some(_), Some(_)) => {
                let detail = "either the segment is named whose actions are kept, or the actions \
                    are given; the other is null";
                return vec![FieldError::new("/segmentNumber", FieldCode::NotAllowed, detail)];
            }
            (None, None) => return missing_actions().errors,
            (None, Some(_)) => return Vec::new(),
            (Some(actions), None) => actions,
        };
        let bound = |code| {
            let detail = format!("1 to {MAX_ACTIONS} actions are kept, not {}", actions.len());
            vec![FieldError::new("/actions", code, detail)]
        };
        match actions.len() {
            0 => bound(FieldCode::TooShort),
            1..=MAX_ACTIONS => {
                let check = |(at, action): (usize, &Criterion)| {
                    // A filter is valid for every date or for none; the date matters only when it
                    // is evaluated.
                    action
                        .filter(&format!("/actions/{at}"), NaiveDate::default())
                        .err()
                        .unwrap_or_default()
                };
                actions.iter().enumerate().flat_map(check).collect()
            }
            _ => bound(FieldCode::TooLong),
        }
    }
}

fn missing_actions() -> Problem {
    let detail = "the segment whose actions are kept must be named, or the actions given";
    Problem::from_errors(vec![FieldError::new("/segmentNumber", FieldCode::Missing, detail)])
}

/// Returns the actions of a named segment, if they can be saved.
fn savable_actions<'a>(
    segment: &Key,
    actions: Option<&'a Vec<Criterion>>,
) -> Result<&'a Vec<Criterion>, Problem> {
    let refusal = |code, detail| Err(Problem::rule("/segmentNumber", code, detail));
    match actions {
        None => refusal(FieldCode::ReferenceNotFound, format!("there is no segment {segment}")),
        Some(actions) if actions.is_empty() => refusal(
            FieldCode::NotAllowed,
            format!("{segment} has no criteria action that could be kept"),
        ),
        Some(actions) if actions.len() > MAX_ACTIONS => refusal(
            FieldCode::NotAllowed,
            format!("{segment} has more than {MAX_ACTIONS} criteria actions"),
        ),
        Some(actions) => Ok(actions),
    }
}

/// Returns the actions of the segments that the rows name. The segments are locked in share mode,
/// so that their actions do not change until the transaction ends.
async fn actions_of(
    conn: &mut AsyncPgConnection,
    rows: &[RowWrite<SavedCriteriaWrite>],
) -> Result<HashMap<Key, Vec<Criterion>>, diesel::result::Error> {
    use criteria_actions as t;
    let named: Vec<&Key> =
        rows.iter().filter_map(|row| row.write.segment_number.as_ref()).collect();
    if named.is_empty() {
        return Ok(HashMap::new());
    }
    let locked: Vec<Key> = segments::table
        .filter(segments::number.eq_any(named))
        .order(segments::number)
        .select(segments::number)
        .for_share()
        .load(conn)
        .await?;
    let performed: Vec<(Key, CriteriaActionView)> = t::table
        .filter(t::segment_number.eq_any(&locked))
        .order((t::segment_number, t::position))
        .select((t::segment_number, CriteriaActionView::as_select()))
        .load(conn)
        .await?;
    let mut actions: HashMap<Key, Vec<Criterion>> =
        locked.into_iter().map(|number| (number, Vec::new())).collect();
    for (segment, action) in performed {
        actions.entry(segment).or_default().push(Criterion::from(action));
    }
    Ok(actions)
}

impl From<CriteriaActionView> for Criterion {
    fn from(view: CriteriaActionView) -> Self {
        Self {
            action: view.action,
            filter: view.filter,
            allow_existing: view.allow_existing,
            expand_companies: view.expand_companies,
            related_companies: view.related_companies,
            entire_companies: view.entire_companies,
            ignore_exclusion: view.ignore_exclusion,
        }
    }
}
