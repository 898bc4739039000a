//! The snapshot of the price book that quotes read: its updates from the database, its file on
//! disk, and its behavior without the database.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use kampanje::app;
use kampanje::live_book::LiveBook;
use kampanje::live_book::disk::SnapshotStore;
use kampanje::platform::clock::Calendar;
use kampanje::platform::db::migrations::migrate;
use price_book::facts::{Change, Fact, SourceFact};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use uuid::Uuid;

use super::process::Serving;
use super::support::app::{Reply, TestApp};
use super::support::database::TestDatabase;
use super::support::make;
use super::support::wait::{eventually, in_time};

/// A poll interval longer than any test.
const NEVER: Duration = Duration::from_secs(86_400);
const QUOTE: &str = "/v1/price-quotes?itemNumber=DESK";

/// A file that is deleted when the value is dropped.
struct TempFile(PathBuf);

impl TempFile {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("kampanje-copy-{}", Uuid::now_v7().simple())))
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn copy(&self) -> SnapshotStore {
        SnapshotStore::at(self.0.clone())
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Returns another snapshot of the app's book, read from the database.
async fn fresh(app: &TestApp) -> LiveBook {
    let book = LiveBook::new(Calendar::system());
    app::open_book(&app.background_pool(), &book).await.unwrap();
    book
}

async fn set_price(app: &TestApp, price: &str) -> i64 {
    let reply = app.put("/v1/items/DESK", &json!({"listPrice": price})).await;
    assert!(reply.status.is_success(), "{reply:?}");
    reply.header("publication-version").parse().unwrap()
}

async fn ask(serving: &Serving, method: Method, path: &str, body: Option<Value>) -> Reply {
    let mut request = Client::new().request(method.clone(), format!("{}{path}", serving.url));
    if method == Method::PATCH {
        request = request.header("if-match", "*");
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    Reply::to(request).await
}

async fn price(serving: &Serving) -> (String, i64, String) {
    let reply = ask(serving, Method::GET, QUOTE, None).await;
    let (version, stale) = (
        reply.header("publication-version").parse().unwrap(),
        reply.header("snapshot-stale").to_owned(),
    );
    let price = reply.expect(200)["lines"][0]["unitPrice"].as_str().unwrap().to_owned();
    (price, version, stale)
}

async fn readiness(serving: &Serving) -> (String, String) {
    let ready = ask(serving, Method::GET, "/readyz", None).await.expect(200);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    (text(&ready["status"]), text(&ready["checks"]["database"]["status"]))
}

#[actix_web::test]
async fn replica_starts_from_its_file_without_database_and_catches_up() {
    let (database, file) = (TestDatabase::new().await, TempFile::new());
    let url = database.url();
    let with_copy = ["--snapshot-path", file.path()];
    let mut first = Serving::start(&with_copy, Some(&url));
    ask(&first, Method::PUT, "/v1/items/DESK", Some(json!({"listPrice": "400"}))).await.expect(201);
    let listed = ask(&first, Method::GET, "/v1/items?top=1&orderby=number", None).await.expect(200);
    assert_eq!(listed["value"][0]["number"], "DESK");
    first.signal("INT");
    assert_eq!(first.wait_for_exit(), Some(0));
    // The book advances while the file does not.
    let mut second = Serving::start(&[], Some(&url));
    ask(&second, Method::PATCH, "/v1/items/DESK", Some(json!({"listPrice": "350"})))
        .await
        .expect(200);
    second.signal("INT");
    assert_eq!(second.wait_for_exit(), Some(0));
    database.close().await;

    let mut third = Serving::start(&with_copy, Some(&url));
    let (old_price, old_version, stale) = price(&third).await;
    assert_eq!((old_price.as_str(), stale.as_str()), ("400", "true"));
    assert_eq!(readiness(&third).await, ("DEGRADED".to_owned(), "OUT_OF_REACH".to_owned()));
    for (method, path, body) in [
        (Method::PUT, "/v1/items/CHAIR", Some(json!({"listPrice": "1"}))),
        (Method::GET, "/v1/items", None),
        (Method::GET, "/v1/items?cursor=AAAA", None),
        (Method::GET, "/v1/price-quotes?itemNumber=DESK&publicationVersion=1", None),
    ] {
        let refused = ask(&third, method, path, body).await;
        assert_eq!(
            (refused.code().as_str(), refused.header("retry-after")),
            ("UNAVAILABLE", "1"),
            "{path}"
        );
    }
    database.open().await;
    third.wait_for_log("the database was reached, and all is served");
    let (new_price, new_version, stale) = price(&third).await;
    assert_eq!((new_price.as_str(), stale.as_str()), ("350", "false"));
    assert!(new_version > old_version);
    assert_eq!(readiness(&third).await, ("OK".to_owned(), "OK".to_owned()));
    ask(&third, Method::PUT, "/v1/items/CHAIR", Some(json!({"listPrice": "1"}))).await.expect(201);
    third.signal("INT");
    assert_eq!(third.wait_for_exit(), Some(0));
    let kept = file.copy().read().unwrap().unwrap();
    assert_eq!(kept.snapshot.version(), new_version + 1, "it was kept at the end");
}

#[actix_web::test]
async fn replica_without_file_and_database_waits_for_both_and_for_the_schema() {
    let (database, file) = (TestDatabase::empty().await, TempFile::new());
    database.close().await;
    let serving = Serving::start(
        &["--snapshot-path", file.path(), "--snapshot-seconds", "1"],
        Some(&database.url()),
    );
    for path in ["/readyz", QUOTE, "/v1/items"] {
        let refused = ask(&serving, Method::GET, path, None).await;
        assert_eq!(
            (refused.code().as_str(), refused.header("retry-after")),
            ("UNAVAILABLE", "1"),
            "{path}"
        );
    }
    assert_eq!(serving.status("/livez").await, 200);
    database.open().await;
    let refused = serving.wait_for_log("the database cannot be used");
    assert!(refused["error"].as_str().unwrap().contains("is older than this release"), "{refused}");
    assert_eq!(ask(&serving, Method::GET, "/v1/items", None).await.code(), "UNAVAILABLE");
    migrate(&database.url(), None).unwrap();
    serving.wait_for_log("the database was reached, and all is served");
    assert_eq!(readiness(&serving).await, ("OK".to_owned(), "OK".to_owned()));
    ask(&serving, Method::PUT, "/v1/items/DESK", Some(json!({"listPrice": "400"})))
        .await
        .expect(201);
    assert_eq!(price(&serving).await.0, "400");
    // The settings are the first version, the item the second.
    let mut copies = (0..10).map(|_| serving.wait_for_log("the price book was copied to disk"));
    assert!(copies.any(|copy| copy["version"] == 2), "the second version is not copied");
    assert_eq!(file.copy().read().unwrap().unwrap().snapshot.version(), 2);
}

#[actix_web::test]
async fn damaged_or_foreign_files_are_refused() {
    let (app, file) = (TestApp::new().await, TempFile::new());
    assert!(file.copy().read().unwrap().is_none());
    publish_some_of_everything(&app).await;
    let copy = app.book.copy().await.unwrap();
    let bytes = file.copy().write(&copy).unwrap();
    let whole = std::fs::read(&file.0).unwrap();
    assert_eq!(u64::try_from(whole.len()).unwrap(), bytes);
    assert_eq!(std::fs::metadata(&file.0).unwrap().permissions().mode() & 0o777, 0o600);
    let read = file.copy().read().unwrap().unwrap();
    assert_eq!(
        (read.snapshot.book_id(), read.fingerprint, read.known_at),
        (copy.snapshot.book_id(), copy.fingerprint, copy.known_at)
    );
    assert_eq!(read.snapshot.content_hash(), app.book.snapshot().content_hash());

    let refused = |bytes: &[u8], what: &str| {
        std::fs::write(&file.0, bytes).unwrap();
        assert!(file.copy().read().is_err(), "{what}");
    };
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        refused(&changed, &format!("byte {at} changed"));
        refused(&whole[..at], &format!("cut off at {at}"));
    }
    refused(&[&whole[..], &[0]].concat(), "a byte too many");
    let book = LiveBook::new(Calendar::system());
    assert_eq!(file.copy().restore(&book).await, None, "the service goes on without");
    assert!(!book.is_loaded());
}

/// Publishes a book with an audience, lines, groups, rates and everything else that it can contain.
async fn publish_some_of_everything(app: &TestApp) {
    for (path, body) in [
        (
            "/v1/items/DESK",
            json!({
                "listPrice": "400", "itemDiscountGroupCode": "WOOD", "variants": [{"code": "OAK"}],
                "unitsOfMeasure": [{"code": "SET", "quantityPerUnit": "2"}]
            }),
        ),
        (
            "/v1/contacts/ACME",
            json!({
                "type": "COMPANY", "name": "Acme",
                "customer": {"number": "D1", "priceGroupCode": "A"}
            }),
        ),
        ("/v1/contacts/ANNE", json!({"type": "PERSON", "name": "Anne", "companyNumber": "ACME"})),
        ("/v1/campaigns/SPRING", json!({"startingDate": "2031-05-01", "endingDate": "2031-05-31"})),
        ("/v1/segments/FAIR", json!({"campaignNumber": "SPRING", "campaignTarget": true})),
    ] {
        app.put(path, &body).await.expect(201);
    }
    for (path, body) in [
        (
            "/v1/exchange-rates",
            json!({"currencyCode": "EUR", "startingDate": "2031-01-01", "rate": "0.1"}),
        ),
        ("/v1/segments/FAIR/lines", json!({"contactNumber": "ANNE"})),
        ("/v1/campaigns/SPRING/prices", json!({"itemNumber": "DESK", "unitPrice": "350"})),
        (
            "/v1/campaigns/SPRING/discounts",
            json!({"itemDiscountGroupCode": "WOOD", "lineDiscountPercent": "5"}),
        ),
        (
            "/v1/prices",
            json!({
                "source": {"type": "CUSTOMER_PRICE_GROUP", "code": "A"}, "itemNumber": "DESK",
                "unitPrice": "390"
            }),
        ),
        (
            "/v1/prices",
            json!({
                "source": {"type": "CONTACT", "contactNumber": "ACME"}, "itemNumber": "DESK",
                "unitPrice": "380"
            }),
        ),
        ("/v1/discounts", json!({"source": {"type": "ALL_CUSTOMERS"}, "lineDiscountPercent": "1"})),
        ("/v1/campaigns/SPRING/activations", json!({"acknowledge": ["*"]})),
    ] {
        app.post(path, &body).await.expect(201);
    }
}

#[actix_web::test]
async fn file_is_advanced_by_later_changes() {
    let (app, file) = (TestApp::new().await, TempFile::new());
    publish_some_of_everything(&app).await;
    file.copy().write(&app.book.copy().await.unwrap()).unwrap();
    app.delete("/v1/contacts/ANNE").await;
    app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await;
    let version = set_price(&app, "300").await;

    let book = LiveBook::new(Calendar::system());
    assert!(file.copy().restore(&book).await.is_some_and(|kept| kept < version));
    app::open_book(&app.background_pool(), &book).await.unwrap();
    assert_eq!(book.snapshot().version(), version);
    assert_eq!(book.snapshot().content_hash(), fresh(&app).await.snapshot().content_hash());
}

#[actix_web::test]
async fn file_of_another_database_or_history_is_discarded() {
    let (app, other, file) = (TestApp::new().await, TestApp::new().await, TempFile::new());
    set_price(&app, "400").await;
    set_price(&app, "390").await;
    file.copy().write(&app.book.copy().await.unwrap()).unwrap();
    let reopened = async |app: &TestApp| {
        let book = LiveBook::new(Calendar::system());
        assert_eq!(file.copy().restore(&book).await, Some(3));
        app::open_book(&app.background_pool(), &book).await.unwrap();
        assert_eq!(book.snapshot().content_hash(), fresh(app).await.snapshot().content_hash());
        book.snapshot().version()
    };
    assert_eq!(reopened(&app).await, 3);
    // Another database, first behind the file and then at its version.
    assert_eq!(reopened(&other).await, 1);
    set_price(&other, "200").await;
    set_price(&other, "100").await;
    assert_eq!(reopened(&other).await, 3);
    // The same database, restored from a backup without the last version.
    app.sql(
        "DELETE FROM publications WHERE version = 3;
        DELETE FROM book_entries WHERE from_version = 3;
        UPDATE book_entries SET to_version = NULL WHERE to_version = 3;
        UPDATE book SET version = 2",
    )
    .await;
    assert_eq!(reopened(&app).await, 2);
    // A different version 3 was published since, which the running service notices too.
    assert_eq!(set_price(&app, "380").await, 3);
    assert_eq!(reopened(&app).await, 3);
    app.book.refresh(&app.background_pool()).await.unwrap();
    assert_eq!(app.get(QUOTE).await.expect(200)["lines"][0]["unitPrice"], "380");
}

#[actix_web::test]
async fn replicas_are_notified_of_publications() {
    let app = TestApp::new().await;
    let other = fresh(&app).await;
    actix_web::rt::spawn(other.clone().run_refresher(app.background_pool(), NEVER));
    // The first change may be found when listening begins. The others can only be found by
    // notification.
    for price in 1..=10 {
        let version = set_price(&app, &price.to_string()).await;
        eventually("a publication arrives", async || other.snapshot().version() >= version).await;
    }
    // A lost session is replaced, and missed changes are read.
    app.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND query LIKE 'LISTEN%'",
    )
    .await;
    for price in 11..=15 {
        let version = set_price(&app, &price.to_string()).await;
        eventually("a later publication arrives", async || other.snapshot().version() >= version)
            .await;
    }
    assert_eq!(other.snapshot().content_hash(), fresh(&app).await.snapshot().content_hash());
}

/// Creates a trigger that changes every inserted row.
async fn plant(app: &TestApp, trigger: &str, body: &str) {
    app.sql(&format!(
        "CREATE FUNCTION planted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
        CREATE {trigger} FOR EACH ROW EXECUTE FUNCTION planted()"
    ))
    .await;
}

#[actix_web::test]
async fn prepared_snapshot_is_not_read_back() {
    let app = TestApp::new().await;
    publish_some_of_everything(&app).await;
    app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await.expect(201);
    plant(
        &app,
        "TRIGGER planted BEFORE INSERT ON book_entries",
        "NEW.facts := jsonb_set(NEW.facts, '{unitPrice}', '\"349\"'); RETURN NEW;",
    )
    .await;
    make::activate(&app, "SPRING").await;
    let price = |book: &LiveBook| {
        let snapshot = book.snapshot();
        let lines = snapshot.changes().filter_map(|change| match change {
            Change::Put { fact: Fact::PriceLine(line), .. } => Some(line),
            _ => None,
        });
        let mut of_campaign =
            lines.filter(|line| matches!(line.source, SourceFact::Campaign { .. }));
        of_campaign.next().unwrap().unit_price.to_string()
    };
    assert_eq!((price(&app.book), price(&fresh(&app).await)), ("350".to_owned(), "349".to_owned()));
    // The next change is read from the database again.
    let version = set_price(&app, "410").await;
    assert_eq!(app.book.snapshot().version(), version);
}

#[actix_web::test]
async fn prepared_snapshot_is_discarded_without_its_commit() {
    let app = TestApp::new().await;
    publish_some_of_everything(&app).await;
    app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await.expect(201);
    let before = app.book.snapshot().version();
    plant(
        &app,
        "CONSTRAINT TRIGGER planted AFTER INSERT ON publications DEFERRABLE INITIALLY DEFERRED",
        "RAISE EXCEPTION 'no commit';",
    )
    .await;
    let failed = app.post("/v1/campaigns/SPRING/activations", &json!({"acknowledge": ["*"]})).await;
    assert!(failed.status.is_server_error(), "{failed:?}");
    app.sql("DROP TRIGGER planted ON publications").await;
    // Another change has taken the version.
    assert_eq!(set_price(&app, "410").await, before + 1);
    assert_eq!(app.book.snapshot().content_hash(), fresh(&app).await.snapshot().content_hash());
}

#[actix_web::test]
async fn version_never_decreases() {
    let app = TestApp::new().await;
    let (book, pool) = (fresh(&app).await, app.background_pool());
    let mut refreshing = Vec::new();
    for _ in 0..4 {
        let (book, pool) = (book.clone(), pool.clone());
        refreshing.push(actix_web::rt::spawn(async move {
            let mut seen = Vec::new();
            let all = async {
                while seen.last().is_none_or(|version| *version < 31) {
                    book.refresh(&pool).await.unwrap();
                    seen.push(book.snapshot().version());
                }
            };
            in_time("all versions are read", all).await;
            seen
        }));
    }
    for price in 1..=30 {
        set_price(&app, &price.to_string()).await;
    }
    for seen in refreshing {
        let seen = seen.await.unwrap();
        assert!(seen.is_sorted(), "{seen:?}");
        assert_eq!(seen.last(), Some(&31));
    }
}

#[actix_web::test]
async fn self_check_finds_and_repairs_a_difference() {
    let (app, file) = (TestApp::new().await, TempFile::new());
    publish_some_of_everything(&app).await;
    let pool = app.background_pool();
    let first = app.book.check(&pool).await.unwrap();
    assert!(first.agrees, "{first:?}");
    for plant in [
        "UPDATE book_entries SET facts = jsonb_set(facts, '{listPrice}', '\"399\"') WHERE kind = 'ITEM'",
        "DELETE FROM book_entries WHERE kind = 'PRICE_LINE' AND campaign_number = 'SPRING'",
        "DELETE FROM book_audience",
    ] {
        app.sql(plant).await;
        let found = app.book.check(&pool).await.unwrap();
        assert_eq!((found.agrees, found.version), (false, first.version), "{plant}");
        let again = app.book.check(&pool).await.unwrap();
        assert!(again.agrees, "{plant}");
    }
    assert_eq!(app.book.snapshot().content_hash(), fresh(&app).await.snapshot().content_hash());
    let ready = app.get("/readyz").await.expect(200);
    let check = &ready["checks"]["book"]["lastSelfCheck"];
    assert_eq!(
        (&check["agrees"], &check["version"]),
        (&json!(true), &json!(first.version)),
        "{ready}"
    );
    let metrics = app.get("/metrics").await.text;
    for result in ["same", "different"] {
        assert!(
            metrics.contains(&format!("kampanje_book_self_checks_total{{result=\"{result}\"}}")),
            "{metrics}"
        );
    }
    // The repaired book is the one that is written to disk.
    file.copy().write(&app.book.copy().await.unwrap()).unwrap();
    assert_eq!(
        file.copy().read().unwrap().unwrap().snapshot.content_hash(),
        app.book.snapshot().content_hash()
    );
}
