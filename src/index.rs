//! The index of the API at `/` and `/v1`: where the documentation and the resources are. `/` leads
//! browsers to the desk.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::Response;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};

use crate::VERSION;
use crate::desk;
use crate::platform::http::access::Access;
use crate::platform::http::call::ApiRequest;
use crate::platform::http::operations::json_response;
use crate::platform::http::problem::Problem;
use crate::platform::http::routes::Routes;

/// The start of the paths of resources.
const API: &str = "/v1/";

/// The index of the API.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ApiIndex {
    /// The name of the service.
    #[schema(max_length = 50, example = "Kampanje")]
    pub name: &'static str,
    /// The version of the service.
    #[schema(max_length = 50, example = "0.1.0")]
    pub version: &'static str,
    /// The path of the documentation.
    #[schema(max_length = 100, example = "/docs/")]
    pub documentation: &'static str,
    /// The path of the OpenAPI document.
    #[schema(max_length = 100, example = "/openapi.json")]
    pub openapi: &'static str,
    /// The path of the readiness probe.
    #[schema(max_length = 100, example = "/readyz")]
    pub readiness: &'static str,
    /// The resources that are not part of another one.
    #[schema(max_items = 1000)]
    pub resources: Vec<IndexedResource>,
}

/// A resource of the index.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct IndexedResource {
    /// The name of the resource.
    #[schema(max_length = 100, example = "campaigns")]
    pub name: String,
    /// The path of the resource.
    #[schema(max_length = 200, example = "/v1/campaigns")]
    pub path: String,
}

/// Adds the index of all operations that the route table has so far.
pub fn mount(routes: &mut Routes) {
    let mut paths: Vec<String> = routes
        .served()
        .into_iter()
        .filter_map(|(method, path)| (method == "GET").then_some(path))
        .filter(|path| path.starts_with(API) && !path.contains('{'))
        .collect();
    paths.sort();
    let resources = paths.into_iter().map(|path| {
        let name = path.strip_prefix(API).unwrap_or(&path).to_owned();
        IndexedResource { name, path }
    });
    let index = ApiIndex {
        name: "Kampanje",
        version: VERSION,
        documentation: "/docs/",
        openapi: "/openapi.json",
        readiness: "/readyz",
        resources: resources.collect(),
    };
    routes.schema::<ApiIndex>();
    for (path, id, is_root) in [("/", "get_index", true), ("/v1", "get_api_index", false)] {
        let mut operation = OperationBuilder::new()
            .operation_id(Some(id))
            .tag("Service")
            .summary(Some("Get the index of the API"))
            .description(Some("Links to the documentation, this document and the resources."))
            .response("200", json_response("The index.", ApiIndex::name()));
        if is_root {
            let text = "A caller that accepts `text/html` is led to the desk, the web front end.";
            operation = operation.response("303", Response::new(text));
        }
        let index = index.clone();
        let handler = move |request: HttpRequest, call: ApiRequest| {
            let index = index.clone();
            async move {
                call.expect_empty()?;
                let mut response = HttpResponse::Ok();
                if is_root {
                    response.insert_header((header::VARY, "accept"));
                }
                if is_root && accepts_html(request.headers()) {
                    response.status(StatusCode::SEE_OTHER);
                    response.insert_header((header::LOCATION, desk::HOME));
                    return Ok(response.finish());
                }
                Ok::<_, Problem>(response.json(index))
            }
        };
        let operation = operation.build();
        routes.operation(Access::Public, HttpMethod::Get, path, operation, handler).quiet();
    }
}

/// Returns whether the caller names HTML, as browsers do and programs do not.
fn accepts_html(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).filter_map(|value| value.to_str().ok());
    accept.flat_map(|value| value.split(',')).any(|range| {
        range.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case("text/html"))
    })
}
