//! The OpenAPI document.
use crate::platform::http::routes::Routes;
use actix_web::{HttpResponse, web};
use serde_json::Value;
use utoipa::openapi::InfoBuilder;

pub fn mount(routes: &mut Routes) {
    routes.add(__path_openapi, openapi);
}
pub struct Document(web::Bytes);
impl Document {
    pub fn of(routes: &Routes) -> Self {
        Self(document(routes).to_string().into())
    }
}
#[utoipa::path(get, path = "/openapi.json", operation_id = "get_openapi", tag = "Service", responses((status = 200, description = "The document.")))]
async fn openapi(document: web::Data<Document>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document.0.clone())
}
pub fn document(routes: &Routes) -> Value {
    serde_json::to_value(routes.document(InfoBuilder::new().title("Kampanje").version("0.1.0").build()))
        .unwrap_or_default()
}
pub fn text(_three: bool) -> String {
    serde_json::to_string_pretty(&document(&crate::app::routes())).unwrap_or_default()
}
pub fn write_files() -> anyhow::Result<()> {
    Ok(())
}
