//! The changes that rows of a batch make to the resources they name.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;
use values::{Key, Reference};

use super::super::definition::{Resource, RowWrite};
use super::super::handlers::{
    checked, etag_of_view, has_content, not_found, replacement, with_key,
};
use super::rows::{Mode, Row, repeated};
use crate::platform::http::etag;
use crate::platform::http::json::{decode, patched};
use crate::platform::http::problem::Problem;
use crate::unit_of_work::UnitOfWork;

/// The change that a row makes.
pub(super) enum Change<R: Resource> {
    /// The resource is created.
    Create(RowWrite<R::Write>),
    /// The resource gets new content.
    Update(RowWrite<R::Write>),
    /// The resource has the content already.
    Unchanged(RowWrite<R::Write>),
    /// The resource is deleted.
    Delete(R::View),
}

/// Returns the change of each row, or the problem of the row. Locks the resources that exist, in
/// the order of their keys. `given` are the keys of all rows of the batch, which new numbers skip.
///
/// # Errors
/// When the database fails.
pub(super) async fn changes_of<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    mode: Mode,
    rows: &[&Row<R::Write>],
    given: &HashSet<Key>,
) -> Result<Vec<Result<Change<R>, Problem>>, Problem> {
    let identities: Vec<R::Write> = rows.iter().filter_map(|row| row.identity.clone()).collect();
    let mut found = R::existing(&mut work.conn, scope, &identities).await?.into_iter();
    let ids: Vec<Option<Uuid>> = rows
        .iter()
        .map(|row| match row.identity {
            Some(_) => found.next().flatten(),
            None => row.id,
        })
        .collect();
    let existing: Vec<Uuid> = ids.iter().copied().flatten().collect();
    let views = R::find_many(&mut work.conn, scope, &existing).await?;
    let views: HashMap<Uuid, &R::View> = views.iter().map(|view| (R::id(view), view)).collect();
    let mut seen = HashSet::new();
    let mut changes = Vec::with_capacity(rows.len());
    for (row, id) in rows.iter().zip(ids) {
        let view = id.and_then(|id| views.get(&id).copied());
        // Rows can name the same resource although they are written differently, such as with and
        // without the code of the local currency.
        let change = if id.is_some_and(|id| !seen.insert(id)) {
            let identity = row.identity.as_ref().and_then(R::row_identity);
            let identity = identity.or_else(|| id.map(|id| id.to_string())).unwrap_or_default();
            Err(repeated::<R>(&identity))
        } else {
            change_of::<R>(work, scope, mode, row, view, given).await
        };
        changes.push(row_result(change)?);
    }
    Ok(changes)
}

/// Returns the result of a row, unless it is a failure of the service such as an unavailable
/// database. Such a failure ends the whole batch.
pub(super) fn row_result<T>(result: Result<T, Problem>) -> Result<Result<T, Problem>, Problem> {
    match result {
        Err(problem) if problem.status().is_server_error() => Err(problem),
        result => Ok(result),
    }
}

async fn change_of<R: Resource>(
    work: &mut UnitOfWork,
    scope: &R::Scope,
    mode: Mode,
    row: &Row<R::Write>,
    view: Option<&R::View>,
    given: &HashSet<Key>,
) -> Result<Change<R>, Problem> {
    let Some(view) = view else {
        if row.delete || row.id.is_some() {
            return Err(missing::<R>(row));
        }
        if row.if_match.is_some() {
            return Err(etag::stale(None));
        }
        let write: R::Write = decode(row.fields.clone()).map_err(Problem::from_errors)?;
        checked(R::rules(&write, scope))?;
        let write = with_free_key::<R>(work, write, given).await?;
        return Ok(Change::Create(RowWrite { id: Uuid::now_v7(), write }));
    };
    if let Some(condition) = &row.if_match {
        etag::require(Some(condition), &etag_of_view::<R>(view)?)?;
    }
    if row.delete {
        return Ok(Change::Delete(view.clone()));
    }
    let write = match mode {
        Mode::Merge => patched(&R::write_of(view), row.fields.clone())?,
        Mode::Replace => decode(row.fields.clone()).map_err(Problem::from_errors)?,
    };
    let write = replacement::<R>(scope, view, write)?;
    let is_same = has_content::<R>(view, &write)?;
    let row = RowWrite { id: R::id(view), write };
    Ok(if is_same { Change::Unchanged(row) } else { Change::Update(row) })
}

/// Returns the problem of a row that names a resource that does not exist: 404.
fn missing<R: Resource>(row: &Row<R::Write>) -> Problem {
    match (row.id, row.identity.as_ref().and_then(R::row_identity)) {
        (Some(id), _) => not_found::<R>(&Reference::Id(id)),
        (None, identity) => {
            Problem::not_found(&R::NAMES.singular.replace('_', " "), &identity.unwrap_or_default())
        }
    }
}

/// Returns the write with its key. Skips numbers of the series that another row of the batch has.
async fn with_free_key<R: Resource>(
    work: &mut UnitOfWork,
    write: R::Write,
    given: &HashSet<Key>,
) -> Result<R::Write, Problem> {
    if R::key(&write).is_some() {
        return Ok(write);
    }
    loop {
        let numbered = with_key::<R>(work, write.clone()).await?;
        if R::key(&numbered).is_none_or(|key| !given.contains(&key)) {
            return Ok(numbered);
        }
    }
}
