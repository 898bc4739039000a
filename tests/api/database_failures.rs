//! Responses to clients while the database cannot perform their requests.

use actix_web::http::header;
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use futures_util::future::join;
use kampanje::platform::db::pool::connect;
use kampanje::platform::http::problem::{Problem, ProblemCode};
use serde_json::json;

use super::support::app::TestApp;
use super::support::database::TestDatabase;

#[actix_web::test]
async fn read_only_database_refuses_changes_with_retry_after() {
    let app = TestApp::new().await;
    app.sql(
        "DO $$ BEGIN
            EXECUTE format(
                'ALTER DATABASE %I SET default_transaction_read_only = on', current_database());
        END $$;
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    let refused = app.post("/v1/currencies", &json!({"code": "USD"})).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (503, "UNAVAILABLE"),
        "{refused:?}"
    );
    assert_eq!(refused.header("retry-after"), "1");
    for atomic in [true, false] {
        let batch = json!({"atomic": atomic, "rows": [{"code": "USD"}, {"code": "NOK"}]});
        let refused = app.post("/v1/currencies/batch", &batch).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (503, "UNAVAILABLE"),
            "{refused:?}"
        );
        assert_eq!(
            (refused.header("retry-after"), refused.errors()),
            ("1", Vec::new()),
            "no row is to blame"
        );
    }
    assert_eq!(app.patch("/v1/settings", &json!({"timeZone": "UTC"})).await.status, 503);
    assert_eq!(app.get("/v1/currencies").await.status, 200);
}

#[actix_web::test]
async fn lock_timeout_may_be_retried() {
    let database = TestDatabase::new().await;
    let mut holder = connect(&database.url()).await.unwrap();
    for statement in ["BEGIN", "LOCK TABLE settings"] {
        diesel::sql_query(statement).execute(&mut holder).await.unwrap();
    }
    let mut waiting = connect(&database.url()).await.unwrap();
    diesel::sql_query("SET lock_timeout = '50ms'").execute(&mut waiting).await.unwrap();
    let error =
        diesel::sql_query("SELECT count(*) FROM settings").execute(&mut waiting).await.unwrap_err();
    let problem = Problem::from(error);
    assert_eq!(problem.code, ProblemCode::Unavailable);
    assert!(problem.headers.iter().any(|(name, _)| name == header::RETRY_AFTER));
}

#[actix_web::test]
async fn slow_list_is_stopped_with_advice() {
    let app = TestApp::new().await;
    let mut holder = app.connection().await;
    holder.batch_execute("BEGIN; LOCK TABLE contacts").await.unwrap();
    // The statement waits for a lock, which counts as execution time.
    for query in ["filter=contains(name,'x')", "orderby=city", "count=true"] {
        let refused = app.get(&format!("/v1/contacts?{query}")).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (503, "QUERY_TIMEOUT"),
            "{refused:?}"
        );
        assert_eq!(refused.header("retry-after"), "10");
        assert!(
            refused.json()["detail"].as_str().unwrap().contains("narrow the filter"),
            "{refused:?}"
        );
    }
    holder.batch_execute("COMMIT").await.unwrap();
    for query in ["filter=contains(name,'x')", "orderby=city", "count=true"] {
        assert_eq!(app.get(&format!("/v1/contacts?{query}")).await.status, 200, "{query}");
    }
}

#[actix_web::test]
async fn canceled_statement_may_be_retried() {
    let app = TestApp::new().await;
    let mut holder = app.connection().await;
    holder.batch_execute("BEGIN; LOCK TABLE contacts").await.unwrap();
    let canceling = async {
        app.wait_for_blocked_statements(1).await;
        app.sql(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock'",
        )
        .await;
    };
    let (refused, ()) = join(app.get("/v1/contacts"), canceling).await;
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str()),
        (503, "UNAVAILABLE"),
        "{refused:?}"
    );
    assert_eq!(refused.header("retry-after"), "1");
    holder.batch_execute("COMMIT").await.unwrap();
    assert_eq!(app.get("/v1/contacts").await.status, 200);
}
