//! The list of a resource as a table: all rows in one file, with the columns that an import reads.

use std::sync::Arc;

use actix_web::http::{Method, header};
use actix_web::{HttpRequest, HttpResponse};
use serde_json::Value;

use super::definition::{Resource, Scope};
use crate::platform::background::background;
use crate::platform::http::list::ListQuery;
use crate::platform::http::problem::{Problem, ProblemCode};
use crate::platform::http::stream::Streams;
use crate::tabular::columns::{Column, Widths, columns, has_lists, measure};
use crate::tabular::shape::{Field, Kind};
use crate::tabular::write::{MAX_WORKBOOK_ROWS, WorkbookWriter, csv_rows};
use crate::tabular::{CSV, Format, XLSX};
use crate::unit_of_work::Database;

/// The fields of a table: those that clients write, the key first. A resource without key has its
/// id, which names it in a batch.
#[must_use]
pub fn field<R: Resource>() -> Field {
    let mut field = Field::of::<R::Write>();
    if let Kind::Object(fields) = &mut field.kind {
        fields.sort_by_key(|(name, _)| Some(name.as_str()) != R::NAMES.key_field);
        if R::NAMES.key_field.is_none() && !R::IS_APPEND_ONLY {
            fields.insert(0, ("id".to_owned(), Field::control(Kind::Text)));
        }
    }
    field
}

/// Returns the row of a resource.
fn row_of<R: Resource>(view: &R::View) -> Result<Value, Problem> {
    let mut row = serde_json::to_value(R::write_of(view)).map_err(Problem::internal)?;
    if let Value::Object(fields) = &mut row {
        fields.insert("id".to_owned(), R::id(view).to_string().into());
    }
    Ok(row)
}

/// The rows of a page, and the request for the next one.
type Page = (Vec<Value>, Option<ListQuery>);

async fn page<R: Resource>(
    database: &Database,
    scope: &R::Scope,
    list: &ListQuery,
) -> Result<Page, Problem> {
    let mut conn = database.list(list).await?;
    let mut views = R::list(&mut conn, scope, list).await?;
    drop(conn);
    let json = |view: &R::View| serde_json::to_value(view).map_err(Problem::internal);
    let next = list.next(&mut views, json)?;
    Ok((views.iter().map(row_of::<R>).collect::<Result<_, _>>()?, next))
}

/// Returns the columns of all rows. Those of lists depend on the rows, which are read for it.
async fn columns_of<R: Resource>(
    database: &Database,
    scope: &R::Scope,
    list: &ListQuery,
) -> Result<Vec<Column>, Problem> {
    let (field, mut widths) = (field::<R>(), Widths::new());
    let mut next = has_lists(&field).then(|| list.clone());
    while let Some(list) = next.take() {
        let rows;
        (rows, next) = page::<R>(database, scope, &list).await?;
        rows.iter().for_each(|row| measure(&field, row, &mut widths));
    }
    Ok(columns(&field, &widths))
}

/// Checks that the columns have room for the lists of a row, which may have grown since they were
/// measured.
///
/// # Errors
/// When an element would be lost.
fn check_widths(field: &Field, columns: &[Column], rows: &[Value]) -> Result<(), Problem> {
    let mut widths = Widths::new();
    rows.iter().for_each(|row| measure(field, row, &mut widths));
    let needed = crate::tabular::columns::columns(field, &widths);
    let is_known = |column: &Column| columns.iter().any(|known| known.name == column.name);
    if needed.iter().all(is_known) { Ok(()) } else { Err(Problem::concurrent_change()) }
}

/// Answers with the table of a list.
///
/// # Errors
/// 400 with the parameters of a page; 503 while too many streams are open.
pub async fn table<R: Resource>(
    request: &HttpRequest,
    database: &Database,
    list: ListQuery,
    format: Format,
    streams: &Streams,
) -> Result<HttpResponse, Problem> {
    let list = list.into_whole()?;
    let mut conn = database.list(&list).await?;
    let scope = R::Scope::find(request, &mut conn).await?;
    drop(conn);
    let (media_type, extension) =
        if format == Format::Xlsx { (XLSX, "xlsx") } else { (CSV, "csv") };
    let mut response = HttpResponse::Ok();
    let file = format!("attachment; filename=\"{}.{extension}\"", R::NAMES.plural);
    response.insert_header((header::CONTENT_DISPOSITION, file));
    let charset = if format == Format::Csv { "; charset=utf-8" } else { "" };
    response.insert_header((header::CONTENT_TYPE, format!("{media_type}{charset}")));
    if *request.method() == Method::HEAD {
        return Ok(response.finish());
    }
    let slot = streams.open()?;
    let columns = columns_of::<R>(database, &scope, &list).await?;
    if format == Format::Xlsx {
        let workbook = workbook::<R>(database, &scope, list, columns).await?;
        return Ok(response.streaming(slot.stream(workbook.finish()?)));
    }
    let (database, columns, field) = (database.clone(), Arc::new(columns), field::<R>());
    let next = async move |(list, with_header): (Option<ListQuery>, bool)| {
        let Some(list) = list else { return Ok(None) };
        let (rows, next) = page::<R>(&database, &scope, &list).await?;
        check_widths(&field, &columns, &rows)?;
        let piece = csv_rows(&columns, with_header, rows.iter())?;
        Ok(Some((piece, (next, false))))
    };
    Ok(response.streaming(slot.stream_steps((Some(list), true), next)))
}

/// Writes the workbook of a list.
async fn workbook<R: Resource>(
    database: &Database,
    scope: &R::Scope,
    list: ListQuery,
    columns: Vec<Column>,
) -> Result<WorkbookWriter, Problem> {
    let mut workbook = WorkbookWriter::new(columns.clone())?;
    let (field, mut count, mut next) = (field::<R>(), 0_usize, Some(list));
    while let Some(list) = next.take() {
        let rows;
        (rows, next) = page::<R>(database, scope, &list).await?;
        check_widths(&field, &columns, &rows)?;
        count = count.saturating_add(rows.len());
        if count > MAX_WORKBOOK_ROWS {
            let detail = format!(
                "a workbook has at most {MAX_WORKBOOK_ROWS} rows; filter, or ask for {CSV}"
            );
            return Err(Problem::new(ProblemCode::NotAcceptable, detail));
        }
        workbook = background(move || workbook.write(&rows).map(|()| workbook)).await?;
    }
    Ok(workbook)
}
