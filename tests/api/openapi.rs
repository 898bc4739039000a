//! The OpenAPI document as it is served. Its content is tested in xtask.

use super::support::app::TestApp;

#[actix_web::test]
async fn the_checked_in_document_is_served() {
    let app = TestApp::new().await;
    let reply = app.get("/openapi.json").await;
    assert_eq!(reply.header("content-type"), "application/json");
    assert!(reply.text == include_str!("../../openapi/openapi.json"));
    assert_eq!(app.get("/openapi.json?x=1").await.code(), "INVALID_REQUEST");
}
