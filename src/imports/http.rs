//! Imports over HTTP.

use actix_web::http::{StatusCode, header};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use csv::WriterBuilder;
use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, Operation, OperationBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, Required, ResponseBuilder};
use uuid::Uuid;
use values::Reference;

use super::receive::receive;
use super::store::{self, ImportError, ImportState, ImportView, NewImport};
use super::targets::{self, Target};
use crate::platform::clock::Calendar;
use crate::platform::http::access::caller::Caller;
use crate::platform::http::access::scope::Scope;
use crate::platform::http::access::{Access, forbidden};
use crate::platform::http::call::{ApiRequest, ApiResponse, BodyLimits, IMPORTS_PATH};
use crate::platform::http::list::{CursorKey, Field, FieldKind, ListQuery, ListSpec, QueryParams};
use crate::platform::http::operations::{
    boolean_parameter, json_response, list_description, list_operation, page_of, parameter,
    path_parameter, query_parameter,
};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::platform::http::routes::Routes;
use crate::platform::http::stream::Streams;
use crate::resource::batch::Mode;
use crate::resource::{path_in, reference, with_etag};
use crate::schema::imports;
use crate::tabular::body::Encoding;
use crate::tabular::cell::with_mark;
use crate::tabular::read::{DecimalMark, FileForm, Separator};
use crate::tabular::shape::{Field as Column, Kind};
use crate::tabular::{CSV, Format, NDJSON, XLSX};
use crate::unit_of_work::Database;

const TAG: &str = "Imports";
const ONE_PATH: &str = "/v1/imports/{import_id}";
const ERRORS_PATH: &str = "/v1/imports/{import_id}/errors";
const PAGE: &str = "ImportPage";

const LIST: ListSpec = ListSpec {
    fields: &[
        Field::new("id", FieldKind::Uuid, "imports.id").not_null(),
        Field::new("resource", FieldKind::Text, "imports.resource").not_null(),
        Field::new("format", FieldKind::Enum(Format::TEXTS), "imports.format").not_null(),
        Field::new("state", FieldKind::Enum(ImportState::TEXTS), "imports.state").not_null(),
        Field::new("createdBy", FieldKind::Text, "imports.created_by").not_null(),
        Field::new("createdAt", FieldKind::Instant, "imports.created_at").not_null(),
        Field::new("finishedAt", FieldKind::Instant, "imports.finished_at"),
        Field::new("rowsFailed", FieldKind::Integer, "imports.rows_failed").not_null(),
        Field::new("publicationVersion", FieldKind::Integer, "imports.publication_version"),
    ],
    default_order: "createdAt desc,id desc",
    tie: "id",
};

/// Adds the operations to the route table.
pub fn mount(routes: &mut Routes) {
    routes.schema::<ImportView>();
    routes.schema::<ImportError>();
    routes.schema::<crate::activation::findings::Finding>();
    routes.named_schema(PAGE, page_of(ImportView::name()));
    let access = Access::Authenticated;
    routes.operation(access, HttpMethod::Post, IMPORTS_PATH, start_docs(), start);
    routes.operation(access, HttpMethod::Get, IMPORTS_PATH, list_docs(), list);
    routes.operation(access, HttpMethod::Get, ONE_PATH, get_docs(), get);
    routes.operation(access, HttpMethod::Delete, ONE_PATH, cancel_docs(), cancel);
    routes.operation(access, HttpMethod::Get, ERRORS_PATH, errors_docs(), errors);
}

fn operation(id: &str, summary: &str, description: &str) -> OperationBuilder {
    OperationBuilder::new()
        .operation_id(Some(id))
        .tag(TAG)
        .summary(Some(summary))
        .description(Some(description))
}

fn one_parameter() -> utoipa::openapi::path::Parameter {
    path_parameter("import_id", "The id.")
}

fn start_docs() -> Operation {
    let choice = |name: &str, description: &str, values: &[&str]| {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .enum_values(Some(values.iter().copied()));
        query_parameter(name, description, schema)
    };
    let resource = ObjectBuilder::new()
        .schema_type(Type::String)
        .min_length(Some(1))
        .max_length(Some(200))
        .examples(["items"]);
    let file = |description: &str, example: &str| {
        let schema = ObjectBuilder::new()
            .schema_type(Type::String)
            .max_length(Some(2_147_483_647))
            .examples([example])
            .description(Some(description));
        ContentBuilder::new().schema(Some(schema)).build()
    };
    operation(
        "start_import",
        "Import a file",
        "Writes the rows of a file to any collection that has a batch, with the rules of the \
         batch. The file is the body; `Content-Encoding: gzip` is accepted. The answer comes when \
         the file has arrived, and its rows are written afterwards: read the import until it has \
         `finishedAt`.\n\nWithout `atomic`, rows are written in transactions of up to 10,000, and \
         refused rows are left out. With `atomic`, all rows are written in one transaction, which \
         makes one version of the price book, or none is. `atomic` and `validateOnly` take up to \
         100,000 rows, other imports up to 1,000,000.\n\nThe caller needs the scope that writes \
         the resource.",
    )
    .parameter(parameter(
        utoipa::openapi::path::ParameterIn::Query,
        Required::True,
        "resource",
        "The collection: its path below `/v1`, such as `items` or `campaigns/SPRING/prices`.",
        resource,
    ))
    .parameter(choice(
        "mode",
        "The treatment of fields that the file does not have: `MERGE` (the default) keeps them, \
         `REPLACE` sets them to their default. Not allowed for rows that never change.",
        Mode::TEXTS,
    ))
    .parameter(boolean_parameter("atomic", "True if one refused row refuses the whole file."))
    .parameter(boolean_parameter("validateOnly", "True to check all rows and change nothing."))
    .parameter(choice(
        "encoding",
        "The encoding of CSV and NDJSON. Default: UTF-8, or Windows-1252 if the file is not UTF-8.",
        Encoding::TEXTS,
    ))
    .parameter(choice(
        "separator",
        "The separator of CSV. Default: the one that occurs most often in the header.",
        Separator::TEXTS,
    ))
    .parameter(choice(
        "decimalMark",
        "The character before the fraction of decimals in CSV and in texts of workbooks. Default: \
         a point, and a comma as well if commas do not separate values.",
        DecimalMark::TEXTS,
    ))
    .request_body(Some(
        RequestBodyBuilder::new()
            .description(Some(
                "The file. CSV and workbooks have a header with the JSON names of the fields: \
                 `number`, `customer.number`, `unitsOfMeasure[0].code`. NDJSON has one object on \
                 each line, as in a batch.",
            ))
            .required(Some(Required::True))
            .content(CSV, file("Separated values below a header.", "number,listPrice\r\nDESK,100"))
            .content(
                NDJSON,
                file("One JSON object on each line.", r#"{"number": "DESK", "listPrice": "100"}"#),
            )
            .content(XLSX, file("A workbook; its first sheet is read.", "PK"))
            .build(),
    ))
    .response("201", json_response("The file has arrived.", ImportView::name()))
    .build()
}

fn list_docs() -> Operation {
    let description = format!(
        "The imports of resources that the caller may read, for 30 days after their end. {}",
        list_description(&LIST)
    );
    let operation = operation("list_imports", "List imports", &description);
    list_operation(operation, &LIST, "imports", PAGE.into())
}

fn get_docs() -> Operation {
    operation(
        "get_import",
        "Get an import",
        "The counts grow with each transaction; those of an import in one transaction at its end.",
    )
    .parameter(one_parameter())
    .response("200", json_response("The import.", ImportView::name()))
    .response(
        "304",
        ResponseBuilder::new().description("The caller has the current representation."),
    )
    .build()
}

fn errors_docs() -> Operation {
    let lines = ContentBuilder::new().schema(Some(Ref::from_schema_name(ImportError::name())));
    let csv = ObjectBuilder::new()
        .schema_type(Type::String)
        .max_length(Some(2_147_483_647))
        .examples(["line,column,code,detail\r\n3,listPrice,INVALID_DECIMAL,is no decimal\r\n"]);
    operation(
        "list_import_errors",
        "List the errors of an import",
        "Returns one error per line, as NDJSON, or as CSV with `Accept: text/csv`. The first \
         10,000 errors are kept; `rowsFailed` counts all refused rows.",
    )
    .parameter(one_parameter())
    .response(
        "200",
        ResponseBuilder::new()
            .description("The errors.")
            .content(NDJSON, lines.build())
            .content(CSV, ContentBuilder::new().schema(Some(csv)).build()),
    )
    .build()
}

fn cancel_docs() -> Operation {
    operation(
        "cancel_import",
        "Cancel an import",
        "Rows that were written before stay, and no further ones are written. Refused with 409 if \
         the import is finished. The caller needs the scope that writes the resource.",
    )
    .parameter(one_parameter())
    .response("204", ResponseBuilder::new().description("Canceled."))
    .build()
}

/// The options of a request, and the form of its file.
struct Options {
    resource: String,
    target: &'static Target,
    mode: Mode,
    atomic: bool,
    validate_only: bool,
    form: FileForm,
}

impl Options {
    fn read(request: &HttpRequest) -> Result<Self, Problem> {
        let known =
            &["resource", "mode", "atomic", "validateOnly", "encoding", "separator", "decimalMark"];
        let params = QueryParams::parse(request.query_string(), known)
            .map_err(|errors| Problem::with_errors(ProblemCode::InvalidRequest, errors))?;
        let mut errors = Vec::new();
        let resource = params.get("resource").unwrap_or_default().to_owned();
        let target = match targets::find(&resource) {
            Ok((target, _)) => Some(target),
            Err(problem) => {
                errors.extend(problem.errors);
                None
            }
        };
        let mode = params.parsed("mode", Mode::parse, &mut errors);
        if mode.is_some() && target.is_some_and(|target| target.is_append_only) {
            let detail = "rows that exist never change, so an import of them has no mode";
            errors.push(FieldError::new("?mode", FieldCode::NotAllowed, detail));
        }
        let atomic = params.boolean("atomic", &mut errors).unwrap_or_default();
        let validate_only = params.boolean("validateOnly", &mut errors).unwrap_or_default();
        let encoding = params.parsed("encoding", Encoding::parse, &mut errors);
        let separator = params.parsed("separator", Separator::parse, &mut errors);
        let decimal_mark = params.parsed("decimalMark", DecimalMark::parse, &mut errors);
        let Some(target) = target.filter(|_| errors.is_empty()) else {
            return Err(Problem::from_errors(errors));
        };
        let format = Format::of_media_type(request.content_type()).ok_or_else(|| {
            let detail = format!("a file is {CSV}, {NDJSON} or {XLSX}");
            Problem::new(ProblemCode::UnsupportedMediaType, detail)
        })?;
        let is_gzip = is_gzip(request)?;
        let form = FileForm { format, is_gzip, encoding, separator, decimal_mark };
        let mode = mode.unwrap_or(Mode::Merge);
        Ok(Self { resource, target, mode, atomic, validate_only, form })
    }
}

/// Returns whether the body is compressed.
fn is_gzip(request: &HttpRequest) -> Result<bool, Problem> {
    let coding = request.headers().get(header::CONTENT_ENCODING).map(|coding| coding.to_str());
    match coding {
        None | Some(Ok("identity")) => Ok(false),
        Some(Ok("gzip" | "x-gzip")) => Ok(true),
        _ => {
            let detail = "a file is sent as it is, or with Content-Encoding: gzip";
            Err(Problem::new(ProblemCode::UnsupportedMediaType, detail))
        }
    }
}

fn caller_of(request: &HttpRequest) -> Result<Caller, Problem> {
    let caller = request.extensions().get::<Caller>().cloned();
    caller.ok_or_else(|| Problem::internal("a request without caller"))
}

fn require(caller: &Caller, scope: Scope) -> Result<(), Problem> {
    if caller.scopes().contains(scope) { Ok(()) } else { Err(forbidden(scope)) }
}

async fn start(
    request: HttpRequest,
    payload: web::Payload,
    database: web::Data<Database>,
    limits: web::Data<BodyLimits>,
    streams: web::Data<Streams>,
) -> Result<ApiResponse, Problem> {
    let options = Options::read(&request)?;
    let caller = caller_of(&request)?;
    let area = options.target.names.area;
    require(&caller, area.write())?;
    limits.check_declared(request.path(), request.headers())?;
    ApiRequest::of_streamed(&request, Vec::new())?;
    let _slot = streams.open()?;
    let import = NewImport {
        id: Uuid::now_v7(),
        resource: options.resource,
        read_scope: area.read().text(),
        format: options.form.format,
        mode: options.mode,
        atomic: options.atomic,
        validate_only: options.validate_only,
        created_by: caller.identity().subject.clone(),
    };
    let mut conn = database.record().await?;
    targets::check_parent(&import.resource, &mut conn).await?;
    store::create(&mut conn, &import).await?;
    drop(conn);
    let received =
        receive(payload, &limits, &database, &import, options.target, options.form).await;
    let started = match received {
        Ok(digest) => finish(&request, &database, &import, digest).await,
        Err(problem) => Err(problem),
    };
    if let Err(problem) = &started {
        // If this fails as well, the worker gives the import up later.
        let recorded = match database.record().await {
            Ok(mut conn) => store::refuse(&mut conn, import.id, problem).await,
            Err(problem) => Err(problem),
        };
        if let Err(problem) = recorded {
            tracing::warn!(detail = %problem.detail, "a refused import could not be recorded");
        }
    }
    started
}

/// Answers a file that has arrived, and lets the worker begin.
async fn finish(
    request: &HttpRequest,
    database: &Database,
    import: &NewImport,
    digest: Vec<u8>,
) -> Result<ApiResponse, Problem> {
    let mut is_new = false;
    let answer = database
        .transact(&ApiRequest::of_streamed(request, digest)?, async |work| {
            is_new = true;
            let view = store::start(&mut work.conn, import.id).await?;
            let location = path_in(IMPORTS_PATH, &view.id.to_string());
            Ok(ApiResponse::resource(StatusCode::CREATED, &view)?
                .header(header::LOCATION, &location))
        })
        .await?;
    if !is_new {
        store::remove(&mut *database.record().await?, import.id).await?;
    }
    Ok(answer)
}

fn readable_scopes(caller: &Caller) -> Vec<&'static str> {
    caller.scopes().iter().map(Scope::text).collect()
}

async fn list(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    let today = calendar.today();
    let list = ListQuery::parse(request.path(), request.query_string(), &LIST, &cursor_key, today)?;
    let scopes = readable_scopes(&caller_of(&request)?);
    let mut conn = database.list(&list).await?;
    let rows: Vec<ImportView> = imports::table
        .filter(imports::read_scope.eq_any(&scopes))
        .filter(list.condition())
        .order(list.ordering())
        .limit(list.limit())
        .offset(list.offset())
        .select(ImportView::as_select())
        .load(&mut conn)
        .await?;
    let count = if list.wants_count() {
        let matching = imports::table.filter(imports::read_scope.eq_any(&scopes));
        Some(matching.filter(list.filter_condition()).count().get_result(&mut conn).await?)
    } else {
        None
    };
    let rows = rows.iter().map(with_etag).collect::<Result<Vec<_>, _>>()?;
    ApiResponse::json(StatusCode::OK, &list.page(rows, count))
}

fn id_of(request: &HttpRequest) -> Result<Uuid, Problem> {
    match reference(request, "import_id")? {
        Reference::Id(id) => Ok(id),
        other => Err(Problem::not_found("import", &other.to_string())),
    }
}

async fn get(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.expect_empty()?;
    let id = id_of(&http_request)?;
    let scopes = readable_scopes(&request.caller);
    let view = store::find(&mut *database.read().await?, id, &scopes).await?;
    let answer = ApiResponse::resource(StatusCode::OK, &view)?;
    Ok(answer.not_modified_if_known(request.if_none_match.as_ref()))
}

async fn cancel(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    request.expect_empty()?;
    let id = id_of(&http_request)?;
    let scopes = readable_scopes(&request.caller);
    database
        .transact(&request, async |work| {
            let import = store::find(&mut work.conn, id, &scopes).await?;
            let (target, _) = targets::find(&import.resource)?;
            require(&request.caller, target.names.area.write())?;
            if store::cancel(&mut work.conn, id).await? {
                return Ok(ApiResponse::empty(StatusCode::NO_CONTENT));
            }
            let detail = format!("the import is finished: {}", import.state);
            Err(Problem::new(ProblemCode::Conflict, detail))
        })
        .await
}

async fn errors(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<HttpResponse, Problem> {
    request.expect_empty()?;
    let id = id_of(&http_request)?;
    let mut conn = database.read().await?;
    store::find(&mut conn, id, &readable_scopes(&request.caller)).await?;
    let errors = store::errors(&mut conn, id).await?;
    drop(conn);
    let (media_type, body) = if Format::preferred(&http_request) == Some(Format::Csv) {
        ("text/csv; charset=utf-8", csv_of(&errors)?)
    } else {
        let mut lines = Vec::new();
        for error in &errors {
            serde_json::to_writer(&mut lines, error).map_err(Problem::internal)?;
            lines.push(b'\n');
        }
        (NDJSON, lines)
    };
    Ok(HttpResponse::Ok().insert_header((header::CONTENT_TYPE, media_type)).body(body))
}

fn csv_of(errors: &[ImportError]) -> Result<Vec<u8>, Problem> {
    let text = Column { kind: Kind::Text, is_nullable: false, takes_empty_text: true };
    let mut writer = WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new());
    writer.write_record(["line", "column", "code", "detail"]).map_err(Problem::internal)?;
    for error in errors {
        let texts = [&error.column_name, &error.code, &error.detail];
        let values = texts.map(|value| with_mark(value, &text));
        let record = std::iter::once(error.line.to_string()).chain(values);
        writer.write_record(record).map_err(Problem::internal)?;
    }
    writer.into_inner().map_err(Problem::internal)
}
