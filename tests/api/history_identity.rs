//! The identity of the history: versions that are used again after a restore belong to another one.

use kampanje::app;
use reqwest::Method;
use serde_json::{Value, json};

use super::process::{Serving, kampanje};
use super::support::app::{Reply, TestApp, pairs};
use super::support::database::TestDatabase;
use super::support::wait::eventually;

const QUOTE: &str = "/v1/price-quotes?itemNumber=DESK&date=2031-05-15";

/// Publishes a list price, and returns the version.
async fn set_price(app: &TestApp, price: &str) -> i64 {
    let reply = app.put("/v1/items/DESK", &json!({"listPrice": price})).await;
    assert!(reply.status.is_success(), "{}", reply.json());
    let book_id = reply.header("book-id").to_owned();
    assert_eq!(book_id, stored_id(app).await);
    reply.header("publication-version").parse().unwrap()
}

/// The identity in the answer to a publication list, which is read from the database.
async fn stored_id(app: &TestApp) -> String {
    let list = app.get("/v1/publications?top=1").await.expect(200);
    list["value"][0]["bookId"].as_str().unwrap().to_owned()
}

/// Brings the database back to the state after version 2, as a restore from a backup does.
async fn restore_to_version_2(app: &TestApp) {
    app.sql(
        "DELETE FROM publications WHERE version > 2;
        DELETE FROM book_entries WHERE from_version > 2;
        UPDATE book_entries SET to_version = NULL WHERE to_version > 2;
        UPDATE book SET version = 2",
    )
    .await;
}

fn id(reply: &Reply) -> String {
    reply.header("book-id").to_owned()
}

#[actix_web::test]
async fn restored_database_gets_a_new_identity_once() {
    let app = TestApp::new().await;
    let replica = app.replica().await;
    set_price(&app, "400").await;
    assert_eq!(set_price(&app, "85").await, 3);
    let before = app.get(QUOTE).await;
    let (old_id, old_tag) = (id(&before), before.header("etag").to_owned());
    assert_eq!(before.json()["bookId"], json!(old_id));
    eventually("the replica follows", async || id(&replica.get(QUOTE).await) == old_id).await;

    restore_to_version_2(&app).await;
    // The pollers of both replicas notice; only one of them renews the identity.
    eventually("the replicas notice the restore", async || {
        let ids = [id(&app.get(QUOTE).await), id(&replica.get(QUOTE).await)];
        ids[0] != old_id && ids[1] != old_id
    })
    .await;
    let new_id = stored_id(&app).await;
    assert_eq!(
        (id(&app.get(QUOTE).await), id(&replica.get(QUOTE).await)),
        (new_id.clone(), new_id)
    );

    // The version is used again, for another price.
    assert_eq!(set_price(&app, "90").await, 3);
    let reply = Reply::to(app.request(Method::GET, QUOTE).header("if-none-match", &old_tag)).await;
    assert_eq!(reply.expect(200)["lines"][0]["unitPrice"], "90");
    let metrics = app.get("/metrics").await.text;
    assert!(metrics.contains("kampanje_book_histories_renewed_total"), "{metrics}");
}

#[actix_web::test]
async fn versions_of_another_history_are_refused() {
    let app = TestApp::new().await;
    set_price(&app, "400").await;
    let current = stored_id(&app).await;
    let other = "0190b5c2-7d5e-7000-8000-000000000001";
    let quote = json!({"lines": [{"itemNumber": "DESK"}]});
    for (path, body) in [
        (QUOTE.to_owned() + "&publicationVersion=1", None),
        (QUOTE.to_owned() + "&minPublicationVersion=1", None),
        (QUOTE.to_owned(), None),
        ("/v1/price-quotes?minPublicationVersion=99".to_owned(), Some(&quote)),
        ("/v1/effective-prices?publicationVersion=2".to_owned(), None),
        ("/v1/price-changes?since=1".to_owned(), None),
        ("/v1/publications/compare?from=1&to=2".to_owned(), None),
        ("/v1/events?after=0".to_owned(), None),
    ] {
        let ask = async |book_id: &str| {
            let separator = if path.contains('?') { '&' } else { '?' };
            let path = format!("{path}{separator}bookId={book_id}");
            match body {
                Some(body) => app.post(&path, body).await,
                None => app.get(&path).await,
            }
        };
        let refused = ask(other).await;
        assert_eq!((refused.status.as_u16(), refused.code()), (409, "OTHER_HISTORY".into()));
        assert_eq!(id(&refused), current, "{path}");
        assert_eq!(refused.json()["errors"][0]["params"]["bookId"], json!(current), "{path}");
        let malformed = ask("latest").await;
        assert_eq!(malformed.errors(), pairs(&[("?bookId", "INVALID_VALUE")]), "{path}");
        if !path.contains("99") {
            ask(&current).await.expect(200);
        }
    }
}

#[actix_web::test]
async fn every_answer_with_a_version_names_its_history() {
    let app = TestApp::new().await;
    set_price(&app, "400").await;
    let current = stored_id(&app).await;
    for path in [
        QUOTE,
        "/v1/effective-prices",
        "/v1/price-changes?since=0",
        "/v1/lowest-prices?itemNumber=DESK",
        "/v1/price-quotes?itemNumber=DESK&publicationVersion=1",
    ] {
        let reply = app.get(path).await;
        assert_eq!((reply.status.as_u16(), id(&reply)), (200, current.clone()), "{path}");
    }
    for (path, pointer) in [
        ("/v1/price-changes?since=0", "/bookId"),
        ("/v1/publications/2", "/bookId"),
        ("/v1/publications", "/value/0/bookId"),
        ("/v1/events", "/value/0/bookid"),
        ("/v1/events", "/value/0/data/bookId"),
    ] {
        let body = app.get(path).await.expect(200);
        assert_eq!(body.pointer(pointer), Some(&json!(current)), "{path}");
    }
}

#[actix_web::test]
async fn cursor_of_another_history_is_refused() {
    let app = TestApp::new().await;
    for item in ["A", "B"] {
        app.put(&format!("/v1/items/{item}"), &json!({"listPrice": "1"})).await.expect(201);
        let line = json!({
            "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": item, "unitPrice": "1"
        });
        app.post("/v1/prices", &line).await.expect(201);
    }
    let page = app.get("/v1/effective-prices?top=1").await.expect(200);
    let next = page["nextLink"].as_str().unwrap().to_owned();
    app.get(&next).await.expect(200);
    app.sql("UPDATE book SET book_id = gen_random_uuid()").await;
    app.book.refresh(&app.background_pool()).await.unwrap();
    assert_eq!(app.get(&next).await.code(), "INVALID_CURSOR");
}

#[actix_web::test]
async fn command_gives_a_new_identity_after_an_offline_restore() {
    let database = TestDatabase::new().await;
    let run = || {
        let output =
            kampanje(&["new-history", "--database-url", &database.url()]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (first, second) = (run(), run());
    assert_ne!(first, second);
    let serving = Serving::start(&[], Some(&database.url()));
    let url = format!("{}/v1/publications?top=1", serving.url);
    let list: Value = reqwest::get(&url).await.unwrap().json().await.unwrap();
    assert_eq!(list["value"][0]["bookId"], json!(second));
}

#[actix_web::test]
async fn running_replica_adopts_the_identity_of_another() {
    let app = TestApp::new().await;
    set_price(&app, "400").await;
    app.sql("UPDATE book SET book_id = '0190b5c2-7d5e-7000-8000-000000000001'").await;
    app::open_book(&app.background_pool(), &app.book).await.unwrap();
    let reply = app.get(QUOTE).await;
    assert_eq!(id(&reply), "0190b5c2-7d5e-7000-8000-000000000001");
    assert_eq!(reply.expect(200)["lines"][0]["unitPrice"], "400");
}
