//! Currencies.

use kampanje::unit_of_work::ChangedKeys;
use reqwest::Method;
use serde_json::json;

use super::support::app::{TestApp, pairs};

const PATH: &str = "/v1/currencies";

#[actix_web::test]
async fn a_currency_has_the_usual_precisions_unless_it_says_others() {
    let app = TestApp::new().await;
    let created = app.post(PATH, &json!({"code": "usd", "description": "US dollar"})).await;
    assert_eq!(
        (created.status.as_u16(), created.header("location")),
        (201, "/v1/currencies/USD"),
        "{created:?}"
    );
    let mut expected = json!({"id": created.json()["id"], "code": "USD", "description": "US dollar",
        "unitAmountPrecision": "0.00001", "amountPrecision": "0.01"});
    assert_eq!(created.json(), expected);
    let changed_keys =
        ChangedKeys { currencies: ["USD".to_owned()].into(), ..ChangedKeys::default() };
    assert_eq!(app.changed_keys(), changed_keys);
    let path = format!("{PATH}/usd");
    let patched =
        app.patch(&path, &json!({"amountPrecision": "0.05", "unitAmountPrecision": "0.01"})).await;
    expected["amountPrecision"] = "0.05".into();
    expected["unitAmountPrecision"] = "0.01".into();
    assert_eq!(patched.json(), expected);
    let patched = app.patch(&path, &json!({"amountPrecision": null})).await;
    expected["amountPrecision"] = "0.01".into();
    assert_eq!(patched.json(), expected);
    let replaced = app.put(&path, &json!({})).await;
    assert_eq!(
        (&replaced.json()["unitAmountPrecision"], &replaced.json()["description"]),
        (&json!("0.00001"), &json!(""))
    );
    let listed = app
        .get(&format!(
            "{PATH}?filter=unitAmountPrecision%20lt%200.01%20and%20code%20ne%20'EUR'&count=true"
        ))
        .await;
    assert_eq!(
        (&listed.json()["count"], &listed.json()["value"][0]["code"]),
        (&json!(1), &json!("USD"))
    );
    assert_eq!(app.changed_keys(), changed_keys);
    assert_eq!(app.delete(&path).await.status, 204);
    assert_eq!(app.changed_keys(), changed_keys);
    assert_eq!(app.get(&path).await.status, 404);
}

#[actix_web::test]
async fn a_code_is_three_letters_wherever_it_stands() {
    let app = TestApp::new().await;
    for code in ["US", "USDX", "U1D", ""] {
        let refused = app.post(PATH, &json!({"code": code, "amountPrecision": "0"})).await;
        assert_eq!(
            refused.errors(),
            pairs(&[("/amountPrecision", "OUT_OF_RANGE"), ("/code", "INVALID_KEY")])
        );
    }
    let refused = app.send(Method::PUT, &format!("{PATH}/EURO"), &[], Some("{}")).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (400, pairs(&[("/code", "INVALID_KEY")]))
    );
    let refused = app
        .send(Method::PUT, &format!("{PATH}/NOK"), &[], Some(&json!({"code": "USD"}).to_string()))
        .await;
    assert_eq!(refused.errors(), pairs(&[("/code", "IMMUTABLE")]));
    assert_eq!(app.send(Method::PUT, &format!("{PATH}/xxx"), &[], Some("{}")).await.status, 201);
    let taken = app.post(PATH, &json!({"code": "XXX"})).await;
    assert_eq!(
        (taken.status.as_u16(), taken.errors()),
        (409, pairs(&[("/code", "ALREADY_EXISTS")]))
    );
}

#[actix_web::test]
async fn a_new_company_has_its_local_currency() {
    let app = TestApp::new().await;
    let listed = app.get(PATH).await.expect(200);
    let [currency] = listed["value"].as_array().unwrap().as_slice() else { panic!("{listed}") };
    assert_eq!(currency["code"], app.get("/v1/settings").await.expect(200)["localCurrencyCode"]);
    assert_eq!(
        (&currency["unitAmountPrecision"], &currency["amountPrecision"]),
        (&json!("0.00001"), &json!("0.01"))
    );
    // The price book has it from its first version on, and again after a start that finds it there.
    app.replica().await;
    let changes =
        app.get("/v1/publications/1/changes?filter=kind%20eq%20'CURRENCY'").await.expect(200);
    assert_eq!(changes["value"][0]["key"], currency["code"], "{changes}");
    assert_eq!(app.get("/v1/publications?count=true").await.expect(200)["count"], 1);
}

#[actix_web::test]
async fn a_batch_upserts_by_code() {
    let app = TestApp::new().await;
    assert_eq!(app.post(PATH, &json!({"code": "USD"})).await.status, 201);
    let rows =
        json!([{"code": "NOK", "amountPrecision": "1"}, {"code": "usd", "description": "Dollar"}]);
    let written = app.post(&format!("{PATH}/batch"), &json!({"rows": rows})).await;
    let receipts = written.json()["receipts"].clone();
    assert_eq!(
        (&receipts[0]["status"], &receipts[1]["status"]),
        (&json!(201), &json!(200)),
        "{written:?}"
    );
    assert_eq!(receipts[1]["id"], app.get(&format!("{PATH}/USD")).await.json()["id"]);
    assert_eq!(app.get(&format!("{PATH}/USD")).await.json()["description"], "Dollar");
}

#[actix_web::test]
async fn a_currency_in_use_stays_and_the_refusal_says_why() {
    let app = TestApp::new().await;
    assert_eq!(app.post(PATH, &json!({"code": "USD"})).await.status, 201);
    assert_eq!(app.post("/v1/items", &json!({"number": "A"})).await.status, 201);
    for statement in [
        "INSERT INTO exchange_rates VALUES (gen_random_uuid(), 'USD', '2031-01-01', 1.1), (gen_random_uuid(), 'USD', '2031-02-01', 1.2)",
        "INSERT INTO contacts (id, number, type, name, currency_code) VALUES (gen_random_uuid(), 'C', 'PERSON', 'C', 'USD')",
        "INSERT INTO price_lines (id, source_type, item_number, currency_code, unit_price) VALUES (gen_random_uuid(), 'ALL_CUSTOMERS', 'A', 'USD', 1)",
        "INSERT INTO discount_lines (id, source_type, currency_code, line_discount_percent) VALUES (gen_random_uuid(), 'ALL_CUSTOMERS', 'USD', 1)",
    ] {
        app.sql(statement).await;
    }
    let refused = app.delete(&format!("{PATH}/USD")).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "IN_USE"));
    let whats: Vec<_> = refused.json()["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            (error["params"]["what"].as_str().unwrap().to_owned(), error["params"]["count"].clone())
        })
        .collect();
    let expected =
        [("exchange rates", 2), ("contacts", 1), ("price lines", 1), ("discount lines", 1)];
    assert_eq!(whats, expected.map(|(what, count)| (what.to_owned(), json!(count))));
}
