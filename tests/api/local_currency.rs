//! The code of the local currency means the same as none, and it cannot change while amounts exist.

use serde_json::{Value, json};

use super::support::app::{TestApp, pairs};
use super::support::make;

/// A company in EUR without a resource for it, with USD at 2, an item and a customer.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    assert_eq!(app.delete("/v1/currencies/EUR").await.status, 204);
    app.post("/v1/currencies", &json!({"code": "USD"})).await.expect(201);
    let rate = json!({"currencyCode": "USD", "startingDate": "2031-01-01", "rate": "2"});
    app.post("/v1/exchange-rates", &rate).await.expect(201);
    make::item(&app, "DESK", "100").await;
    make::customer(&app, "ACME", "D1").await;
    app
}

fn price(currency: Value, unit_price: &str) -> Value {
    json!({
        "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK", "currencyCode": currency,
        "unitPrice": unit_price
    })
}

fn discount(currency: Value) -> Value {
    json!({
        "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK", "currencyCode": currency,
        "lineDiscountPercent": "5"
    })
}

async fn unit_price(app: &TestApp, query: &str) -> Value {
    let path = format!("/v1/price-quotes?itemNumber=DESK&date=2031-05-15{query}");
    app.get(&path).await.expect(200)["lines"][0].clone()
}

#[actix_web::test]
async fn lines_in_local_currency_have_no_code() {
    let app = app().await;
    for (path, line) in
        [("/v1/prices", price(json!("eur"), "80")), ("/v1/discounts", discount(json!("EUR")))]
    {
        let created = app.post(path, &line).await.expect(201);
        assert_eq!(created["currencyCode"], Value::Null, "{created}");
        let one = format!("{path}/{}", created["id"].as_str().unwrap());
        let foreign = app.patch(&one, &json!({"currencyCode": "USD"})).await.expect(200);
        assert_eq!(foreign["currencyCode"], "USD");
        let local = app.patch(&one, &json!({"currencyCode": "EUR"})).await.expect(200);
        assert_eq!(local["currencyCode"], Value::Null);
        let replaced = app.put(&one, &line).await.expect(200);
        assert_eq!(replaced, app.get(&one).await.expect(200));
        assert_eq!(replaced["currencyCode"], Value::Null);
    }
    // Such a line is offered in every currency.
    assert_eq!(unit_price(&app, "").await["unitPrice"], "80");
    assert_eq!(unit_price(&app, "&currencyCode=USD").await["unitPrice"], "160");
    let unknown = app.post("/v1/prices", &price(json!("SEK"), "80")).await;
    assert_eq!(unknown.errors(), pairs(&[("/currencyCode", "REFERENCE_NOT_FOUND")]));
}

#[actix_web::test]
async fn lines_that_differ_in_the_local_code_alone_are_duplicates() {
    let app = app().await;
    app.post("/v1/prices", &price(Value::Null, "80")).await.expect(201);
    app.post("/v1/prices", &price(json!("USD"), "80")).await.expect(201);
    let twice = app.post("/v1/prices", &price(json!("EUR"), "70")).await;
    assert_eq!((twice.status.as_u16(), twice.code()), (409, "DUPLICATE_LINE".to_owned()));
    // A batch finds the line that a row means by either spelling.
    let rows = json!({"rows": [price(json!("EUR"), "70")]});
    let receipts = app.post("/v1/prices/batch", &rows).await.expect(200);
    assert_eq!(receipts["receipts"][0]["status"], 200, "{receipts}");
    assert_eq!(unit_price(&app, "").await["unitPrice"], "70");
    // Two rows of one batch cannot mean the same line.
    let rows = json!([price(json!("EUR"), "60"), price(Value::Null, "50")]);
    let both = app.post("/v1/prices/batch", &json!({ "rows": rows })).await;
    assert_eq!((both.status.as_u16(), both.errors()), (422, pairs(&[("/rows/1", "DUPLICATE")])));
    let apart = json!({"rows": rows, "atomic": false});
    let receipts = app.post("/v1/prices/batch", &apart).await.expect(207)["receipts"].clone();
    assert_eq!(
        (&receipts[0]["status"], &receipts[1]["status"]),
        (&json!(200), &json!(422)),
        "{receipts}"
    );
    let rows = json!([discount(json!("EUR")), discount(Value::Null)]);
    let both = app.post("/v1/discounts/batch", &json!({ "rows": rows })).await;
    assert_eq!((both.status.as_u16(), both.code()), (409, "DUPLICATE_LINE".to_owned()));
    assert_eq!(app.get("/v1/discounts?count=true").await.expect(200)["count"], 0);
}

#[actix_web::test]
async fn contacts_in_local_currency_have_no_code() {
    let app = app().await;
    let person = json!({"type": "PERSON", "name": "P", "currencyCode": "eur"});
    let created = app.put("/v1/contacts/P", &person).await.expect(201);
    assert_eq!(created["currencyCode"], Value::Null);
    let quote = app.get("/v1/price-quotes?contactNumber=P&itemNumber=DESK").await.expect(200);
    assert_eq!(quote["currencyCode"], "EUR");
    let changed = app.patch("/v1/contacts/P", &json!({"currencyCode": "USD"})).await.expect(200);
    assert_eq!(changed["currencyCode"], "USD");
    let rows =
        json!({"rows": [{"number": "P", "type": "PERSON", "name": "P", "currencyCode": "EUR"}]});
    app.post("/v1/contacts/batch", &rows).await.expect(200);
    assert_eq!(app.get("/v1/contacts/P").await.expect(200)["currencyCode"], Value::Null);
    // The local code is no missing reference beside others.
    let wrong = json!({
        "type": "PERSON", "name": "P", "currencyCode": "EUR", "salespersonCode": "NOBODY"
    });
    assert_eq!(
        app.post("/v1/contacts", &wrong).await.errors(),
        pairs(&[("/salespersonCode", "REFERENCE_NOT_FOUND")])
    );
    let wrong = json!({"type": "PERSON", "name": "P", "currencyCode": "SEK"});
    assert_eq!(
        app.post("/v1/contacts", &wrong).await.errors(),
        pairs(&[("/currencyCode", "REFERENCE_NOT_FOUND")])
    );
}

#[actix_web::test]
async fn requests_in_local_currency_need_no_rate() {
    let app = app().await;
    app.post("/v1/prices", &price(json!("USD"), "10")).await.expect(201);
    app.post("/v1/prices", &price(Value::Null, "80")).await.expect(201);
    for currency in ["", "&currencyCode=EUR", "&currencyCode=eur"] {
        let line = unit_price(&app, currency).await;
        assert_eq!(line["unitPrice"], "80", "{currency}: {line}");
    }
    assert_eq!(unit_price(&app, "&currencyCode=USD").await["unitPrice"], "10");
    let line = unit_price(&app, "&currencyCode=SEK").await;
    assert_eq!(line["problem"]["code"], "EXCHANGE_RATE_MISSING");
    let path = "/v1/lowest-prices?itemNumber=DESK&currencyCode=EUR&date=2031-05-15";
    assert_eq!(app.get(path).await.status, 200);
}

#[actix_web::test]
async fn local_currency_changes_before_there_are_amounts() {
    let app = TestApp::new().await;
    app.post("/v1/currencies", &json!({"code": "NOK"})).await.expect(201);
    app.post("/v1/items", &json!({"number": "DESK"})).await.expect(201);
    let person = json!({"type": "PERSON", "name": "P", "currencyCode": "NOK"});
    app.put("/v1/contacts/P", &person).await.expect(201);
    app.patch("/v1/settings", &json!({"localCurrencyCode": "NOK"})).await.expect(200);
    // What named the new local currency names none now.
    assert_eq!(app.get("/v1/contacts/P").await.expect(200)["currencyCode"], Value::Null);
    app.patch("/v1/items/DESK", &json!({"listPrice": "100"})).await.expect(200);
    let quote = app.get("/v1/price-quotes?contactNumber=P&itemNumber=DESK").await.expect(200);
    assert_eq!(
        (&quote["currencyCode"], &quote["lines"][0]["unitPrice"]),
        (&json!("NOK"), &json!("100"))
    );
}

#[actix_web::test]
async fn local_currency_stays_while_amounts_exist() {
    let app = app().await;
    let line = app.post("/v1/prices", &price(Value::Null, "80")).await.expect(201);
    app.post("/v1/discounts", &discount(json!("USD"))).await.expect(201);
    for body in [json!({"code": "CALL", "cost": "5"}), json!({"code": "MAIL"})] {
        app.post("/v1/interaction-templates", &body).await.expect(201);
    }
    let dollars = json!({"localCurrencyCode": "USD"});
    let refused = app.patch("/v1/settings", &dollars).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "AMOUNTS_EXIST".to_owned()));
    let body = refused.json();
    let found: Vec<_> = body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            assert_eq!(error["pointer"], "/localCurrencyCode");
            assert_eq!(error["code"], "AMOUNTS_EXIST");
            (error["params"]["what"].as_str().unwrap(), error["params"]["count"].clone())
        })
        .collect();
    let expected = [
        ("items with a list price or a cost", 1),
        ("exchange rates", 1),
        ("price lines", 1),
        ("published price lines", 1),
        ("discount lines in the new currency", 1),
        ("interaction templates with a cost", 1),
    ];
    assert_eq!(found, expected.map(|(what, count)| (what, json!(count))));
    let detail = body["detail"].as_str().unwrap();
    assert!(detail.contains("delete the amounts first"), "{detail}");
    assert_eq!(app.get("/v1/settings").await.expect(200)["localCurrencyCode"], "EUR");
    // Other settings, and the same code again, are no change of it.
    let same = json!({"localCurrencyCode": "EUR", "neverAboveListPrice": true});
    app.patch("/v1/settings", &same).await.expect(200);

    app.delete(&format!("/v1/prices/{}", line["id"].as_str().unwrap())).await.expect(204);
    for (list, patch) in [("exchange-rates", None), ("discounts", None), ("items", Some("DESK"))] {
        match patch {
            Some(item) => {
                app.patch(&format!("/v1/{list}/{item}"), &json!({"listPrice": null}))
                    .await
                    .expect(200);
            }
            None => {
                let rows = app.get(&format!("/v1/{list}")).await.expect(200);
                for row in rows["value"].as_array().unwrap() {
                    let path = format!("/v1/{list}/{}", row["id"].as_str().unwrap());
                    app.delete(&path).await.expect(204);
                }
            }
        }
    }
    app.patch("/v1/interaction-templates/CALL", &json!({"cost": "0"})).await.expect(200);
    app.patch("/v1/settings", &dollars).await.expect(200);
}
