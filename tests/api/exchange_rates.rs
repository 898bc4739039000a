//! Exchange rates.

use kampanje::unit_of_work::ChangedKeys;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{TestApp, pairs};

const PATH: &str = "/v1/exchange-rates";

async fn app_with_currencies() -> TestApp {
    let app = TestApp::new().await;
    let rows = json!({"rows": [{"code": "USD"}, {"code": "NOK"}]});
    assert_eq!(app.post("/v1/currencies/batch", &rows).await.status, 200);
    app
}

fn rate(currency: &str, date: &str, rate: &str) -> Value {
    json!({"currencyCode": currency, "startingDate": date, "rate": rate})
}

#[actix_web::test]
async fn exchange_rate_crud() {
    let app = app_with_currencies().await;
    let created = app.post(PATH, &rate("usd", "2031-01-01", "1.0865000001")).await;
    assert_eq!(created.status, 201, "{created:?}");
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let changed_keys =
        ChangedKeys { exchange_rates: ["USD".to_owned()].into(), ..ChangedKeys::default() };
    assert_eq!(app.changed_keys(), changed_keys);
    let path = format!("{PATH}/{id}");
    assert_eq!(created.header("location"), path);
    assert_eq!(
        (&created.json()["rate"], &created.json()["currencyCode"]),
        (&json!("1.0865000001"), &json!("USD"))
    );
    let taken = app.post(PATH, &rate("USD", "2031-01-01", "2")).await;
    assert_eq!(
        (taken.status.as_u16(), taken.errors()),
        (409, pairs(&[("/startingDate", "ALREADY_EXISTS")]))
    );
    let patched = app.patch(&path, &json!({"rate": "999999999999999.9999999999"})).await;
    assert_eq!(patched.json()["rate"], "999999999999999.9999999999");
    assert_eq!(app.changed_keys(), changed_keys);
    assert_eq!(
        app.patch(&path, &json!({"rate": null})).await.errors(),
        pairs(&[("/rate", "REQUIRED")])
    );
    assert_eq!(app.delete(&path).await.status, 204);
    assert_eq!(app.changed_keys(), changed_keys);
    assert_eq!(app.get(&path).await.status, 404);
    assert_eq!(
        app.send(Method::PUT, &path, &[], Some(&rate("USD", "2031-01-01", "1").to_string()))
            .await
            .status,
        404
    );
    assert_eq!(app.get(&format!("{PATH}/USD")).await.status, 404);
}

#[actix_web::test]
async fn errors_have_pointers() {
    let app = app_with_currencies().await;
    let wrong = app
        .post(PATH, &json!({"currencyCode": "dollar", "startingDate": "2031-02-30", "rate": 1.5}))
        .await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.errors()),
        (
            400,
            pairs(&[
                ("/currencyCode", "INVALID_KEY"),
                ("/rate", "INVALID_DECIMAL"),
                ("/startingDate", "INVALID_DATE")
            ])
        )
    );
    assert_eq!(
        app.post(PATH, &rate("USD", "2031-01-01", "0")).await.errors(),
        pairs(&[("/rate", "OUT_OF_RANGE")])
    );
    let unknown = app.post(PATH, &rate("XXX", "2031-01-01", "1")).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.errors()),
        (422, pairs(&[("/currencyCode", "REFERENCE_NOT_FOUND")]))
    );
}

#[actix_web::test]
async fn rate_may_move_to_a_free_date_and_currency() {
    let app = app_with_currencies().await;
    let id = app.post(PATH, &rate("USD", "2031-01-01", "1.1")).await.json()["id"].clone();
    let path = format!("{PATH}/{}", id.as_str().unwrap());
    let moved = app.put(&path, &rate("NOK", "2031-02-01", "11")).await;
    assert_eq!((moved.status.as_u16(), &moved.json()["id"]), (200, &id), "{moved:?}");
    assert_eq!(moved.json(), app.get(&path).await.json());
    assert_eq!(app.post(PATH, &rate("USD", "2031-01-01", "1.2")).await.status, 201);
    let taken = app.patch(&path, &rate("USD", "2031-01-01", "11")).await;
    assert_eq!(
        (taken.status.as_u16(), taken.errors()),
        (409, pairs(&[("/startingDate", "ALREADY_EXISTS")]))
    );
}

#[actix_web::test]
async fn batch_upserts_by_currency_and_date() {
    let app = app_with_currencies().await;
    let path = format!("{PATH}/batch");
    let first = app.post(PATH, &rate("USD", "2031-01-01", "1.1")).await.json();
    // The other combinations of the same currencies and dates must not be mistaken for the
    // requested ones.
    assert_eq!(app.post(PATH, &rate("NOK", "2031-02-01", "11")).await.status, 201);
    let rows = [
        rate("NOK", "2031-01-01", "10"),
        rate("USD", "2031-01-01", "1.3"),
        rate("USD", "2031-02-01", "1.2"),
    ];
    let written = app.post(&path, &json!({"rows": rows})).await;
    assert_eq!(written.status, 200, "{written:?}");
    let receipts = written.json()["receipts"].clone();
    let statuses: Vec<_> =
        receipts.as_array().unwrap().iter().map(|receipt| receipt["status"].clone()).collect();
    assert_eq!(statuses, [201, 200, 201]);
    assert_eq!((&receipts[1]["id"], &receipts[1]["key"]), (&first["id"], &Value::Null));
    let listed = app.get(PATH).await.json();
    let rates: Vec<_> =
        listed["value"].as_array().unwrap().iter().map(|rate| rate["rate"].clone()).collect();
    assert_eq!(rates, ["10", "11", "1.3", "1.2"]);
    let since = app
        .get(&format!("{PATH}?filter=startingDate%20ge%202031-02-01%20and%20rate%20lt%202"))
        .await
        .json();
    assert_eq!(since["value"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn batch_with_a_repeated_rate_is_refused() {
    let app = app_with_currencies().await;
    let path = format!("{PATH}/batch");
    let twice = json!([rate("USD", "2031-01-01", "1"), rate("USD", "2031-01-01", "2")]);
    for _ in 0..2 {
        let refused = app.post(&path, &json!({"rows": twice})).await;
        assert_eq!(refused.errors(), pairs(&[("/rows/1/startingDate", "ALREADY_EXISTS")]));
        // In the second pass the rate already exists.
        let mixed = app.post(&path, &json!({"rows": twice, "atomic": false})).await;
        assert_eq!(mixed.json()["receipts"][1]["status"], 409, "{mixed:?}");
    }
    assert_eq!(app.get(PATH).await.json()["value"][0]["rate"], "1");
}
