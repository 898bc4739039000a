//! A change that publishes nothing does not wait for the counter of the price book. Concurrent
//! changes of the same rows still publish everything.

use diesel_async::SimpleAsyncConnection;
use futures_util::future::{join, join_all};
use serde_json::{Value, json};

use super::book::Dice;
use super::support::app::TestApp;
use super::support::make;

#[actix_web::test]
async fn change_without_a_version_does_not_wait_for_the_book() {
    let app = TestApp::new().await;
    make::item(&app, "DESK", "400").await;
    make::customer(&app, "ACME", "D1").await;
    let mut holder = app.connection().await;
    holder.batch_execute("BEGIN; SELECT FROM book FOR UPDATE").await.unwrap();
    for (path, change) in [
        ("/v1/items/DESK", json!({"description": "A desk"})),
        ("/v1/contacts/ACME", json!({"city": "Bergen"})),
        ("/v1/settings", json!({"timeZone": "UTC"})),
    ] {
        let changed = app.patch(path, &change).await;
        assert_eq!((changed.status.as_u16(), changed.header("publication-version")), (200, ""));
    }
    // A price waits.
    let price = json!({"listPrice": "410"});
    let (changed, ()) = join(app.patch("/v1/items/DESK", &price), async {
        app.wait_for_blocked_statements(1).await;
        holder.batch_execute("COMMIT").await.unwrap();
    })
    .await;
    assert_ne!(changed.header("publication-version"), "", "{changed:?}");
}

#[actix_web::test]
async fn concurrent_changes_of_the_same_rows_are_all_published() {
    let app = TestApp::new().await;
    for item in ["I0", "I1", "I2"] {
        make::item(&app, item, "100").await;
    }
    let client = async |seed: u8| {
        let mut dice = Dice::new(seed);
        for round in 0..15 {
            let item = format!("/v1/items/I{}", dice.below(3));
            let change = match dice.below(5) {
                0 => json!({"description": format!("{seed} {round}")}),
                1 => json!({"listPrice": (100 + dice.below(3)).to_string()}),
                2 => json!({"unitsOfMeasure": [{"code": "BOX", "quantityPerUnit": "4"}]}),
                3 => json!({"unitsOfMeasure": []}),
                _ => json!({"blocked": dice.below(2) == 0}),
            };
            assert_eq!(app.patch(&item, &change).await.status, 200, "{change}");
        }
    };
    join_all((0..8).map(client)).await;
    // The facts of the book are those of the drafts.
    let versions = app.get("/v1/publications?orderby=version desc&top=1").await.expect(200);
    let newest = versions["value"][0]["version"].clone();
    for item in ["I0", "I1", "I2"] {
        let draft = app.get(&format!("/v1/items/{item}")).await.expect(200);
        let published = published(&app, item).await;
        for field in ["listPrice", "blocked"] {
            assert_eq!(published[field], draft[field], "{item}, version {newest}");
        }
        let units = |of: &Value| of["unitsOfMeasure"].as_array().unwrap().len();
        assert_eq!(units(&published), units(&draft), "{item}");
    }
}

/// Returns the published facts of an item.
async fn published(app: &TestApp, item: &str) -> Value {
    #[derive(diesel::QueryableByName)]
    struct Facts {
        #[diesel(sql_type = diesel::sql_types::Jsonb)]
        facts: Value,
    }
    let query = "SELECT facts FROM book_entries
        WHERE kind = 'ITEM' AND key = $1 AND to_version IS NULL";
    let query = diesel::sql_query(query).bind::<diesel::sql_types::Text, _>(item);
    let mut conn = app.connection().await;
    let found: Facts = diesel_async::RunQueryDsl::get_result(query, &mut conn).await.unwrap();
    found.facts
}
