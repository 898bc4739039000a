//! Business keys of any script: as paths, references, filters, cursors, links and in quotes.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{TestApp, content, pairs};
use super::support::make::{self, Campaign, activate};
use super::support::wait::eventually;

/// Percent-encodes every byte of a key that is not a letter or digit of ASCII.
fn encoded(key: &str) -> String {
    let one = |byte: u8| {
        if byte.is_ascii_alphanumeric() {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    key.bytes().map(one).collect()
}

/// Keys that need care, with the form in which they are stored.
const KEYS: &[(&str, &str)] = &[
    ("RØD", "RØD"),
    ("møbler", "MØBLER"),
    ("A/B-100", "A/B-100"),
    ("x 1", "X 1"),
    (" 100% ", "100%"),
    ("%2F", "%2F"),
    ("A+B", "A+B"),
    ("O'NEILL", "O'NEILL"),
    ("\"Q\" \\ & ? # ; = |", "\"Q\" \\ & ? # ; = |"),
    ("...", "..."),
    ("商品1", "商品1"),
    ("straße", "STRASSE"),
    ("e\u{301}te", "ÉTE"),
];

#[actix_web::test]
async fn items_with_keys_of_any_script() {
    let app = TestApp::new().await;
    for (sent, key) in KEYS {
        let item = json!({"number": sent, "listPrice": "10"});
        let created = app.post("/v1/items", &item).await;
        let location = created.header("location").to_owned();
        let created = created.expect(201);
        assert_eq!(created["number"], *key);
        assert_eq!(app.get(&location).await.expect(200), created, "{location}");
        for path in [*sent, *key].map(|key| format!("/v1/items/{}", encoded(key))) {
            let item = app.get(&path).await.expect(200);
            assert_eq!(content(item), content(created.clone()), "{path}");
            app.put(&path, &json!({"listPrice": "11"})).await.expect(200);
            app.patch(&path, &json!({"listPrice": "10"})).await.expect(200);
        }
        let rows = json!({"rows": [{"number": sent, "listPrice": "10", "taxPercent": "25"}]});
        let receipts = app.post("/v1/items/batch", &rows).await.expect(200);
        assert_eq!(receipts["receipts"][0]["key"], *key);
        assert_eq!(receipts["receipts"][0]["status"], 200);
        let filter = encoded(&format!("number eq '{}'", key.to_lowercase().replace('\'', "''")));
        let found = app.get(&format!("/v1/items?filter={filter}")).await.expect(200);
        // The capital sharp s has no inverse, so a lower-case key can be another text.
        assert_eq!(found["value"][0]["number"], *key, "{filter}");
        let again = app.post("/v1/items", &item).await;
        assert_eq!(again.errors(), pairs(&[("/number", "ALREADY_EXISTS")]));
        assert_eq!(app.delete(&format!("/v1/items/{}", encoded(key))).await.status, 204);
        assert_eq!(app.get(&location).await.status, 404);
    }
}

#[actix_web::test]
async fn pages_follow_links_through_keys_of_any_script() {
    let app = TestApp::new().await;
    let rows: Vec<_> = KEYS.iter().map(|(key, _)| json!({ "number": key })).collect();
    app.post("/v1/items/batch", &json!({ "rows": rows })).await.expect(200);
    let mut expected: Vec<_> = KEYS.iter().map(|(_, key)| (*key).to_owned()).collect();
    expected.sort();
    let mut next = Some("/v1/items?top=2".to_owned());
    let mut seen = Vec::new();
    while let Some(link) = next {
        let page = app.get(&link).await.expect(200);
        let rows = page["value"].as_array().unwrap();
        seen.extend(rows.iter().map(|row| row["number"].as_str().unwrap().to_owned()));
        next = page["nextLink"].as_str().map(str::to_owned);
    }
    assert_eq!(seen, expected);
}

#[actix_web::test]
async fn collections_below_keys_of_any_script() {
    let app = TestApp::new().await;
    let campaign = "VÅR/50 %";
    let path = format!("/v1/campaigns/{}", encoded(campaign));
    for item in ["RØD", "A/B"] {
        make::item(&app, &encoded(item), "100").await;
    }
    app.put(&path, &json!({"startingDate": "2031-05-01"})).await.expect(201);
    for item in ["RØD", "A/B"] {
        let line = json!({"itemNumber": item, "unitPrice": "80"});
        let created = app.post(&format!("{path}/prices"), &line).await;
        let location = created.header("location").to_owned();
        assert_eq!(app.get(&location).await.expect(200), created.expect(201));
    }
    let page = app.get(&format!("{path}/prices?top=1")).await.expect(200);
    let next = page["nextLink"].as_str().unwrap();
    assert!(next.starts_with(&format!("{path}/prices?")), "{next}");
    assert_eq!(app.get(next).await.expect(200)["value"].as_array().unwrap().len(), 1);
    // A copy gets the next number, which continues a number of any script.
    app.patch("/v1/settings", &json!({"nextCampaignNumber": "vår/9"})).await.expect(200);
    let copy = app.post(&format!("{path}/copies"), &json!({})).await;
    assert_eq!(copy.header("location"), "/v1/campaigns/V%C3%85R%2F9");
    let location = copy.header("location").to_owned();
    assert_eq!(app.get(&location).await.expect(200)["number"], "VÅR/9");
    let settings = app.get("/v1/settings").await.expect(200);
    assert_eq!(settings["nextCampaignNumber"], "VÅR/10");
}

#[actix_web::test]
async fn quotes_with_keys_of_any_script() {
    let app = TestApp::new().await;
    for (_, key) in KEYS {
        let item = json!({
            "number": key, "listPrice": "100", "variants": [{"code": key}],
            "unitsOfMeasure": [{"code": key, "quantityPerUnit": "2"}]
        });
        app.post("/v1/items", &item).await.expect(201);
        let company =
            json!({"number": key, "type": "COMPANY", "name": "N", "customer": {"number": key}});
        app.post("/v1/contacts", &company).await.expect(201);
    }
    let number = KEYS[0].1;
    Campaign { number, segment: "FAIR", ..Campaign::default() }.create(&app).await;
    for (_, key) in KEYS {
        make::segment_line(&app, "FAIR", key).await;
        let line = json!({
            "itemNumber": key, "variantCode": key, "unitOfMeasureCode": key, "unitPrice": "150"
        });
        app.post(&format!("/v1/campaigns/{}/prices", encoded(number)), &line).await.expect(201);
    }
    activate(&app, number).await;
    for (sent, key) in KEYS {
        let place = encoded(sent);
        let query = format!(
            "contactNumber={place}&itemNumber={place}&variantCode={place}\
             &unitOfMeasureCode={place}&date=2031-05-15&campaignNumber={}",
            encoded(number)
        );
        let one = app.get(&format!("/v1/price-quotes?{query}")).await.expect(200);
        assert_eq!(one["accountNumber"], *key);
        assert_eq!(one["lines"][0]["unitPrice"], "150", "{key}: {one}");
        assert_eq!(one["lines"][0]["source"]["campaignNumber"], number);
        let line = json!({"itemNumber": sent, "variantCode": sent, "unitOfMeasureCode": sent});
        let body = json!({
            "contactNumber": sent, "date": "2031-05-15", "campaignNumber": number, "lines": [line]
        });
        assert_eq!(app.post("/v1/price-quotes", &body).await.expect(200), one, "{key}");
        let by_customer = app
            .get(&format!("/v1/price-quotes?customerNumber={place}&itemNumber={place}"))
            .await
            .expect(200);
        assert_eq!(by_customer["lines"][0]["unitPrice"], "100", "{key}");
    }
    // In a query a plus sign is a space, on every path.
    let spaced = app.get("/v1/price-quotes?itemNumber=x+1").await.expect(200);
    assert_eq!(spaced["lines"][0]["unitPrice"], "100", "{spaced}");
    let mut next = Some(format!(
        "/v1/effective-prices?campaignNumber={}&date=2031-05-15&top=3",
        encoded(number)
    ));
    let mut rows = 0;
    while let Some(link) = next {
        let page = app.get(&link).await.expect(200);
        rows += page["value"].as_array().unwrap().len();
        next = page["nextLink"].as_str().map(str::to_owned);
    }
    assert!(rows >= KEYS.len() * KEYS.len(), "{rows}");
}

#[actix_web::test]
async fn a_replica_reads_keys_of_any_script_from_the_book() {
    let app = TestApp::new().await;
    for (_, key) in KEYS {
        let line = json!({
            "source": {"type": "CUSTOMER_PRICE_GROUP", "code": key}, "itemNumber": key,
            "unitPrice": "7"
        });
        app.post("/v1/items", &json!({ "number": key })).await.expect(201);
        app.post("/v1/prices", &line).await.expect(201);
        let company = json!({
            "number": key, "type": "COMPANY", "name": "N",
            "customer": {"number": key, "priceGroupCode": key}
        });
        app.post("/v1/contacts", &company).await.expect(201);
    }
    let replica = app.replica().await;
    for (_, key) in KEYS {
        let lines = json!([{ "itemNumber": key }]);
        let body = json!({"customerNumber": key, "lines": lines});
        let quote = replica.post("/v1/price-quotes", &body).await.expect(200);
        assert_eq!(quote["lines"][0]["unitPrice"], "7", "{key}");
    }
}

#[actix_web::test]
async fn lines_differ_if_only_the_places_of_their_keys_differ() {
    let app = TestApp::new().await;
    let item = json!({
        "variants": [{"code": "A|B"}, {"code": "A"}],
        "unitsOfMeasure": [{"code": "C", "quantityPerUnit": "1"}, {"code": "B|C", "quantityPerUnit": "1"}]
    });
    app.put("/v1/items/I", &item).await.expect(201);
    let line = |variant: &str, unit: &str| {
        json!({
            "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "I", "variantCode": variant,
            "unitOfMeasureCode": unit, "unitPrice": "1"
        })
    };
    app.post("/v1/prices", &line("A|B", "C")).await.expect(201);
    app.post("/v1/prices", &line("A", "B|C")).await.expect(201);
    let twice = app.post("/v1/prices", &line("a|b", "c")).await;
    assert_eq!((twice.status.as_u16(), twice.code()), (409, "DUPLICATE_LINE".to_owned()));
}

#[actix_web::test]
async fn words_of_paths_are_keys_by_id() {
    let app = TestApp::new().await;
    for word in ["batch", "latest", "compare"] {
        let created = app.post("/v1/items", &json!({ "number": word })).await.expect(201);
        let by_id = format!("/v1/items/{}", created["id"].as_str().unwrap());
        assert_eq!(app.get(&by_id).await.expect(200)["number"], word.to_uppercase());
        app.patch(&by_id, &json!({"description": word})).await.expect(200);
        let filter = encoded(&format!("number eq '{word}'"));
        let found = app.get(&format!("/v1/items?filter={filter}")).await.expect(200);
        assert_eq!(found["value"][0]["id"], created["id"]);
    }
    assert_eq!(app.get("/v1/items/batch").await.status, 405);
}

#[actix_web::test]
async fn refused_keys() {
    let app = TestApp::new().await;
    let id = "0190b5c2-7d5e-7000-8000-000000000001";
    for key in [
        "",
        " ",
        ".",
        "..",
        "A  B",
        "A\u{85}B",
        "A\u{200b}B",
        "A\u{200f}",
        "A\u{202e}B",
        "A\u{2067}B",
        "A\u{378}",
        id,
        &id.to_uppercase(),
        &id.replace('-', ""),
        &format!("{{{id}}}"),
        &"Ø".repeat(51),
    ] {
        let refused = app.post("/v1/items", &json!({ "number": key })).await;
        let code = if key.contains('\u{85}') { "INVALID_CHARACTER" } else { "INVALID_KEY" };
        assert_eq!(
            (refused.status.as_u16(), refused.errors()),
            (400, pairs(&[("/number", code)])),
            "{key:?}"
        );
        let lines = json!([{ "itemNumber": key }]);
        let refused = app.post("/v1/price-quotes", &json!({ "lines": lines })).await;
        assert_eq!(
            (refused.status.as_u16(), refused.errors()),
            (400, pairs(&[("/lines/0/itemNumber", code)])),
            "{key:?}"
        );
        let refused = app.get(&format!("/v1/price-quotes?itemNumber={}", encoded(key))).await;
        assert_eq!(
            (refused.status.as_u16(), refused.errors()),
            (400, pairs(&[("?itemNumber", code)])),
            "{key:?}"
        );
    }
    app.post("/v1/items", &json!({"number": "Ø".repeat(50)})).await.expect(201);
    let tight = json!({"number": "A", "variants": [{"code": "A\u{200b}"}]});
    assert_eq!(
        app.post("/v1/items", &tight).await.errors(),
        pairs(&[("/variants/0/code", "INVALID_KEY")])
    );
}

/// Paths that name no key: encodings that cannot be decoded, and texts that are no keys.
#[actix_web::test]
async fn paths_without_a_key() {
    let app = TestApp::new().await;
    for key in ["100%", "�", "A"] {
        app.post("/v1/items", &json!({ "number": key })).await.expect(201);
    }
    for (path, status) in [
        ("/v1/items/100%25", 200),
        ("/v1/items/100%", 404),
        ("/v1/items/100%2", 404),
        ("/v1/items/%EF%BF%BD", 200),
        ("/v1/items/%FF", 404),
        ("/v1/items/%ED%A0%80", 404),
        ("/v1/items/A%00", 404),
        ("/v1/items/A%0A", 200),
        ("/v1/items/%20a%20", 200),
        ("/v1/items/A%2541", 404),
        ("/v1/items/A%E2%80%8B", 404),
        ("/v1/items/A/", 404),
    ] {
        let reply = app.send(Method::GET, path, &[], None).await;
        assert_eq!(reply.status, status, "{path}: {reply:?}");
    }
}

#[actix_web::test]
async fn the_book_in_memory_follows_keys_of_any_script() {
    let app = TestApp::new().await;
    make::item(&app, &encoded("RØD/1"), "100").await;
    let quote = async || {
        let path = "/v1/price-quotes?itemNumber=r%C3%B8d%2F1";
        let quote: Value = app.get(path).await.expect(200);
        quote["lines"][0]["unitPrice"].clone()
    };
    assert_eq!(quote().await, "100");
    app.patch("/v1/items/r%C3%B8d%2F1", &json!({"listPrice": "90"})).await.expect(200);
    eventually("the new price is quoted", async || quote().await == "90").await;
}
