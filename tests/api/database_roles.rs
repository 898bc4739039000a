//! The role that owns the schema, and the role of the service, which may change data only. Schemas
//! of other releases are refused. The services of the other tests run with the rights of the
//! service's role too.

use diesel_async::SimpleAsyncConnection;
use kampanje::platform::db::pool::connect;
use reqwest::Method;
use serde_json::json;

use super::process::{Serving, refusal, run};
use super::support::app::TestApp;
use super::support::database::TestDatabase;

#[actix_web::test]
async fn service_cannot_change_the_history_or_the_schema() {
    let app = TestApp::new().await;
    app.put("/v1/items/DESK", &json!({"listPrice": "400"})).await.expect(201);
    let mut conn = app.service_connection().await;
    let refused = [
        "UPDATE publications SET author = 'another'",
        "DELETE FROM publications",
        "UPDATE book_entries SET facts = '{}'",
        "UPDATE book_entries SET from_version = 0",
        "DELETE FROM book_entries",
        "UPDATE book_audience SET ordinals = '{1}'",
        "DELETE FROM book_audience",
        "DELETE FROM book",
        "UPDATE events SET data = '{}'",
        "DELETE FROM events",
        "DELETE FROM event_counter",
        "UPDATE campaign_status_changes SET changed_by = 'another'",
        "DELETE FROM campaign_status_changes",
        "UPDATE sales SET line_amount = 0",
        "DELETE FROM sales",
        "DELETE FROM sales_attributions",
        "UPDATE idempotency_records SET status = 200",
        "UPDATE api_keys SET scopes = '{admin}'",
        "UPDATE webhook_subscriptions SET created_by = 'another'",
        "UPDATE webhook_deliveries SET event_sequence = 1",
        "UPDATE service_secrets SET secret = ''",
        "DELETE FROM settings",
        "DELETE FROM __diesel_schema_migrations",
        "TRUNCATE items",
        "DROP TABLE items",
        "ALTER TABLE items DISABLE TRIGGER ALL",
        "CREATE TABLE further ()",
        "CREATE FUNCTION further() RETURNS int LANGUAGE sql RETURN 1",
        "CREATE ROLE further",
        "CREATE EXTENSION pg_trgm",
        "COPY items TO PROGRAM 'true'",
    ];
    for statement in refused {
        let error = conn.batch_execute(statement).await.unwrap_err().to_string();
        let reasons = ["permission denied", "must be owner", "must be superuser", "never change"];
        assert!(reasons.iter().any(|reason| error.contains(reason)), "{statement}: {error}");
    }
}

#[actix_web::test]
async fn migrated_database_is_served_with_the_rights_of_the_service() {
    let database = TestDatabase::empty().await;
    let serve = ["serve", "--listen", "127.0.0.1:0", "--database-url", &database.service_url()];
    let refused = run(&serve);
    assert!(refusal(&refused).contains("(none) is older than this release"), "{refused:?}");
    let migrate =
        |role: &str| run(&["migrate", "--database-url", &database.url(), "--service-role", role]);
    let unknown = migrate("nobody_knows_this_role");
    assert!(refusal(&unknown).contains("there is no role nobody_knows_this_role"), "{unknown:?}");
    // The owner may do everything.
    let mut conn = connect(&database.url()).await.unwrap();
    let query = diesel::dsl::sql::<diesel::sql_types::Text>("current_user::text");
    let owner: String =
        diesel_async::RunQueryDsl::get_result(diesel::select(query), &mut conn).await.unwrap();
    let powerful = migrate(&owner);
    assert!(refusal(&powerful).contains("may change the published history"), "{powerful:?}");
    for _ in 0..2 {
        let migrated = migrate(embedded_postgres::SERVICE_ROLE);
        assert!(migrated.status.success(), "{migrated:?}");
    }
    let serving = Serving::start(&[], Some(&database.service_url()));
    let rights = "the service's database role may change the published history; `kampanje migrate \
                  --service-role` gives another role only the rights that the service needs";
    assert!(serving.logged_before(rights).is_none());
    let put = reqwest::Client::new()
        .request(Method::PUT, format!("{}/v1/items/DESK", serving.url))
        .json(&json!({"listPrice": "400"}));
    assert_eq!(put.send().await.unwrap().status(), 201);
    assert_eq!(serving.status("/v1/price-quotes?itemNumber=DESK").await, 200);
    drop(serving);
    let serving = Serving::start(&[], Some(&database.url()));
    assert!(serving.logged_before(rights).is_some(), "the owner serves");
}

#[actix_web::test]
async fn newer_schema_is_refused_unless_it_is_allowed() {
    let database = TestDatabase::new().await;
    let later = "INSERT INTO __diesel_schema_migrations (version) VALUES ('20990101000001')";
    connect(&database.url()).await.unwrap().batch_execute(later).await.unwrap();
    let url = database.service_url();
    for command in [&["serve", "--listen", "127.0.0.1:0"][..], &["new-history"]] {
        let refused = run(&[command, &["--database-url", &url]].concat());
        assert!(
            refusal(&refused).contains("(20990101000001) is newer than this release"),
            "{refused:?}"
        );
    }
    let serving = Serving::start(&["--allow-newer-schema"], Some(&url));
    assert_eq!(serving.status("/v1/settings").await, 200);
}
