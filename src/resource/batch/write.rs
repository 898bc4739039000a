//! Writing of the changes of a batch.

use std::collections::HashSet;

use actix_web::http::StatusCode;
use uuid::Uuid;
use values::Key;

use super::super::definition::{IfExists, Resource, RowWrite, SaveError};
use super::super::handlers::{remove, save};
use super::changes::{Change, changes_of, row_result};
use super::rows::{Mode, Row};
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::unit_of_work::UnitOfWork;

/// A row of a batch that was written.
pub(super) struct Saved {
    /// The id of the resource.
    pub id: Uuid,
    /// The business key, if the resource has one.
    pub key: Option<Key>,
    /// The change to the resource.
    pub outcome: Outcome,
}

/// A row whose change may be written.
struct Accepted<'r, R: Resource> {
    /// The position of the row in the request.
    at: usize,
    row: &'r Row<R::Write>,
    change: Change<R>,
}

/// The effect of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The resource was created.
    Created,
    /// The resource got the content of the row.
    Updated,
    /// The resource had the content of the row already.
    Unchanged,
    /// The resource was deleted.
    Deleted,
}

impl Outcome {
    /// Returns the status in the receipt.
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::Created => StatusCode::CREATED,
            Self::Updated | Self::Unchanged => StatusCode::OK,
            Self::Deleted => StatusCode::NO_CONTENT,
        }
    }
}

impl<R: Resource> Change<R> {
    fn saved(&self) -> Saved {
        let of = |row: &RowWrite<R::Write>, outcome| Saved {
            id: row.id,
            key: R::key(&row.write),
            outcome,
        };
        match self {
            Self::Create(row) => of(row, Outcome::Created),
            Self::Update(row) => of(row, Outcome::Updated),
            Self::Unchanged(row) => of(row, Outcome::Unchanged),
            Self::Delete(view) => Saved {
                id: R::id(view),
                key: R::key(&R::write_of(view)),
                outcome: Outcome::Deleted,
            },
        }
    }

    /// Returns the position of the change among changes that are written one by one: deletions
    /// first, dependents before the others; then new content, dependents after the others.
    fn order(&self) -> (bool, bool) {
        match self {
            Self::Delete(view) => (false, !R::follows_others(&R::write_of(view))),
            Self::Create(row) | Self::Update(row) | Self::Unchanged(row) => {
                (true, R::follows_others(&row.write))
            }
        }
    }
}

/// Writes the rows together if none is refused, else one by one, so that each row has its own
/// result.
///
/// # Errors
/// When the database fails. The problems of rows are in their results.
pub(super) async fn write_rows<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    mode: Mode,
    rows: &[Result<Row<R::Write>, Problem>],
    atomic: bool,
) -> Result<Vec<Result<Saved, Problem>>, Problem> {
    let read: Vec<&Row<R::Write>> = rows.iter().flatten().collect();
    let given: HashSet<Key> =
        read.iter().filter_map(|row| row.identity.as_ref()).filter_map(R::key).collect();
    let mut changes = changes_of::<R>(work, scope, mode, &read, &given).await?.into_iter();
    let mut results: Vec<Option<Result<Saved, Problem>>> = Vec::with_capacity(rows.len());
    let mut accepted: Vec<Accepted<'_, R>> = Vec::with_capacity(rows.len());
    for (at, row) in rows.iter().enumerate() {
        results.push(match row {
            Err(problem) => Some(Err(problem.clone())),
            Ok(row) => match changes.next() {
                Some(Ok(change)) => {
                    accepted.push(Accepted { at, row, change });
                    None
                }
                Some(Err(problem)) => Some(Err(problem)),
                None => None,
            },
        });
    }
    accepted.sort_by_key(|accepted| accepted.change.order());
    let is_refused = atomic && results.iter().any(Option::is_some);
    let is_done = !is_refused
        && work
            .savepoint(async |work| {
                let changes: Vec<&Change<R>> =
                    accepted.iter().map(|accepted| &accepted.change).collect();
                write_together(work, scope, &changes).await
            })
            .await
            .is_ok();
    let mut written = HashSet::new();
    for Accepted { at, row, change } in accepted {
        let result = if is_done {
            Ok(change.saved())
        } else {
            let saved = write_alone(work, scope, mode, row, change, &given, &written).await;
            row_result(saved)?
        };
        written.extend(result.as_ref().map(|saved| saved.id));
        if let Some(place) = results.get_mut(at) {
            *place = Some(result);
        }
    }
    let lost = || Err(Problem::internal("a batch row lost its result"));
    Ok(results.into_iter().map(|result| result.unwrap_or_else(lost)).collect())
}

/// Writes changes with one statement for each kind where possible. Deletions come first and new
/// resources last, so that a new line may take the place of a deleted or shortened one.
async fn write_together<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    changes: &[&Change<R>],
) -> Result<(), SaveError> {
    let mut created = Vec::new();
    let mut updated = Vec::new();
    for change in changes {
        match change {
            Change::Create(row) => created.push(row.clone()),
            Change::Update(row) => updated.push(row.clone()),
            Change::Unchanged(_) => {}
            Change::Delete(view) => R::delete(work, scope, view).await?,
        }
    }
    for (rows, if_exists) in [(updated, IfExists::Replace), (created, IfExists::Refuse)] {
        if !rows.is_empty() {
            R::save(work, scope, &rows, if_exists).await?;
        }
    }
    Ok(())
}

/// Writes the change of one row. If a concurrent transaction has created the resource since it was
/// looked up, the row changes that resource. `written` are the resources of earlier rows, which no
/// other row of the batch may change.
async fn write_alone<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    mode: Mode,
    row: &Row<R::Write>,
    change: Change<R>,
    given: &HashSet<Key>,
    written: &HashSet<Uuid>,
) -> Result<Saved, Problem> {
    match write_change(work, scope, &change).await {
        Ok(()) => Ok(change.saved()),
        Err(problem) => {
            let is_taken =
                matches!(problem.code, ProblemCode::Conflict | ProblemCode::DuplicateLine);
            if !is_taken || !matches!(change, Change::Create(_)) {
                return Err(problem);
            }
            match changes_of::<R>(work, scope, mode, &[row], given).await?.pop() {
                Some(Ok(again @ (Change::Update(_) | Change::Unchanged(_))))
                    if !written.contains(&again.saved().id) =>
                {
                    write_change(work, scope, &again).await.map(|()| again.saved())
                }
                _ => Err(problem),
            }
        }
    }
}

/// Writes one change, and converts a refusal by the database to a problem.
async fn write_change<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    change: &Change<R>,
) -> Result<(), Problem> {
    match change {
        Change::Create(row) => save::<R>(work, scope, row, IfExists::Refuse).await,
        Change::Update(row) => save::<R>(work, scope, row, IfExists::Replace).await,
        Change::Unchanged(_) => Ok(()),
        Change::Delete(view) => remove::<R>(work, scope, view).await,
    }
}
