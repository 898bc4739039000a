//! The OpenAPI document, served as it is checked in.
//!
//! `cargo xtask openapi` generates it from the route table; a test of xtask fails if it is
//! outdated.

use actix_web::HttpResponse;

use crate::platform::http::access::Access;
use crate::platform::http::call::ApiRequest;
use crate::platform::http::problem::{Problem, ProblemDocument, ProblemError};
use crate::platform::http::routes::Routes;

const DOCUMENT: &str = include_str!("../openapi/openapi.json");

/// Adds the operation that serves the document to the route table.
pub fn mount(routes: &mut Routes) {
    routes.schema::<ProblemDocument>();
    routes.schema::<ProblemError>();
    routes.add(Access::Public, __path_openapi, openapi).quiet();
}

/// Get this document
///
/// Returns the OpenAPI 3.1 document of the service.
#[utoipa::path(
    get, path = "/openapi.json", operation_id = "get_openapi", tag = "Service",
    responses((
        status = 200, description = "The OpenAPI 3.1 document.",
        content_type = "application/json", body = Object, example = json!({"openapi": "3.1.0"})
    ))
)]
async fn openapi(request: ApiRequest) -> Result<HttpResponse, Problem> {
    request.expect_empty()?;
    Ok(HttpResponse::Ok().content_type("application/json").body(DOCUMENT))
}
