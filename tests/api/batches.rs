//! Batches: rows merge into what exists or replace it, carry conditions, and delete.

use serde_json::{Value, json};

use super::support::app::{TestApp, content, pairs};
use super::support::make;

async fn batch(app: &TestApp, path: &str, body: Value) -> Vec<Value> {
    let receipts = app.post(&format!("{path}/batch"), &body).await.expect(200);
    receipts["receipts"].as_array().unwrap().clone()
}

/// The latest version of the price book.
async fn version(app: &TestApp) -> Value {
    let path = "/v1/price-quotes?itemNumber=DESK";
    app.get(path).await.expect(200)["publicationVersion"].clone()
}

fn statuses(receipts: &[Value]) -> Vec<u64> {
    receipts.iter().map(|receipt| receipt["status"].as_u64().unwrap()).collect()
}

async fn desk(app: &TestApp) -> Value {
    let whole = json!({
        "description": "Desk", "listPrice": "100", "unitCost": "60", "taxPercent": "25",
        "itemDiscountGroupCode": "FURN", "baseUnitOfMeasureCode": "PCS",
        "unitsOfMeasure": [{"code": "BOX", "quantityPerUnit": "4"}], "variants": [{"code": "RED"}]
    });
    app.put("/v1/items/DESK", &whole).await.expect(201)
}

#[actix_web::test]
async fn absent_fields_stay_and_null_clears() {
    let app = TestApp::new().await;
    let before = desk(&app).await;
    let row = json!({"number": "desk", "listPrice": "110", "itemDiscountGroupCode": null});
    let receipts = batch(&app, "/v1/items", json!({"rows": [row]})).await;
    assert_eq!(receipts[0]["id"], before["id"]);
    assert_eq!((statuses(&receipts), &receipts[0]["key"]), (vec![200], &json!("DESK")));
    let mut expected = before;
    expected["listPrice"] = json!("110");
    expected["itemDiscountGroupCode"] = Value::Null;
    let after = app.get("/v1/items/DESK").await.expect(200);
    assert!(after["updatedAt"].as_str() > expected["updatedAt"].as_str());
    assert_eq!(content(after), content(expected));
}

#[actix_web::test]
async fn replacing_sets_absent_fields_to_their_defaults() {
    let app = TestApp::new().await;
    desk(&app).await;
    let body = json!({"mode": "REPLACE", "rows": [{"number": "DESK", "listPrice": "110"}]});
    assert_eq!(statuses(&batch(&app, "/v1/items", body).await), [200]);
    let after = app.get("/v1/items/DESK").await.expect(200);
    assert_eq!((&after["listPrice"], &after["taxPercent"]), (&json!("110"), &json!("0")));
    assert_eq!((&after["variants"], &after["unitCost"]), (&json!([]), &Value::Null));
    let unknown = app.post("/v1/items/batch", &json!({"mode": "UPSERT", "rows": [{}]})).await;
    assert_eq!(unknown.errors(), pairs(&[("/mode", "INVALID_VALUE")]));
}

#[actix_web::test]
async fn partial_rows_find_every_kind_of_resource() {
    let app = TestApp::new().await;
    desk(&app).await;
    make::customer(&app, "ACME", "D1").await;
    let campaign = json!({"number": "CP1", "description": "Spring", "startingDate": "2031-05-01"});
    app.post("/v1/campaigns", &campaign).await.expect(201);
    app.post("/v1/segments", &json!({"number": "SM1", "campaignNumber": "CP1"})).await.expect(201);
    app.post("/v1/currencies", &json!({"code": "USD"})).await.expect(201);
    let all = json!({"type": "ALL_CUSTOMERS"});
    // The path, a whole row, a partial row for the same resource, and a field of it that stays.
    let cases = [
        (
            "/v1/contacts",
            json!({"number": "C1", "type": "COMPANY", "name": "One", "city": "Oslo"}),
            json!({"number": "C1", "phone": "1"}),
            "city",
        ),
        (
            "/v1/campaign-statuses",
            json!({"code": "PLAN", "sequence": 7, "description": "Plan"}),
            json!({"code": "PLAN", "isFinal": true}),
            "sequence",
        ),
        (
            "/v1/activities",
            json!({
                "code": "FAIR", "description": "Fair",
                "steps": [{"type": "LETTER", "description": "Invite"}]
            }),
            json!({"code": "FAIR", "description": "Trade fair"}),
            "steps",
        ),
        (
            "/v1/salespeople",
            json!({"code": "ANN", "name": "Ann", "email": "ann@example.com"}),
            json!({"code": "ANN", "blocked": true}),
            "email",
        ),
        (
            "/v1/exchange-rates",
            json!({"currencyCode": "USD", "startingDate": "2031-01-01", "rate": "1.1"}),
            json!({"currencyCode": "USD", "startingDate": "2031-01-01"}),
            "rate",
        ),
        (
            "/v1/prices",
            json!({
                "source": all, "itemNumber": "DESK", "unitPrice": "90", "endingDate": "2031-12-31"
            }),
            json!({"source": all, "itemNumber": "DESK", "allowLineDiscount": false}),
            "unitPrice",
        ),
        (
            "/v1/discounts",
            json!({"source": all, "itemNumber": "DESK", "lineDiscountPercent": "5"}),
            json!({"source": all, "itemNumber": "DESK", "endingDate": "2031-12-31"}),
            "lineDiscountPercent",
        ),
        (
            "/v1/campaigns/CP1/prices",
            json!({"itemNumber": "DESK", "unitPrice": "80", "minimumQuantity": "10"}),
            json!({"itemNumber": "DESK", "minimumQuantity": "10", "taxPercent": "15"}),
            "unitPrice",
        ),
        (
            "/v1/segments/SM1/lines",
            json!({"contactNumber": "ACME", "campaignTarget": true}),
            json!({"contactNumber": "ACME", "campaignResponse": true}),
            "campaignTarget",
        ),
        (
            "/v1/campaigns/CP1/golden-quotes",
            json!({"itemNumber": "DESK", "quantity": "10", "expected": {"unitPrice": "80"}}),
            json!({"itemNumber": "DESK", "quantity": "10", "note": "Ten"}),
            "expected",
        ),
        (
            "/v1/campaigns",
            json!({"number": "CP2", "description": "Autumn", "startingDate": "2031-09-01"}),
            json!({"number": "CP2", "endingDate": "2031-09-30"}),
            "startingDate",
        ),
    ];
    for (path, whole, partial, kept) in cases {
        let created = batch(&app, path, json!({"rows": [whole]})).await;
        assert_eq!(statuses(&created), [201], "{path}: {created:?}");
        let one = format!("{path}/{}", created[0]["id"].as_str().unwrap());
        let before = app.get(&one).await.expect(200);
        let merged = batch(&app, path, json!({"rows": [partial]})).await;
        assert_eq!(statuses(&merged), [200], "{path}: {merged:?}");
        assert_eq!(merged[0]["id"], created[0]["id"], "{path}");
        let after = app.get(&one).await.expect(200);
        assert_eq!(after[kept], before[kept], "{path}");
        for (field, value) in partial.as_object().unwrap() {
            let text = |value: &Value| value.to_string().to_uppercase();
            assert!(text(&after[field]).contains(text(value).trim_matches('}')), "{path}: {after}");
        }
    }
}

#[actix_web::test]
async fn partial_row_without_resource_names_all_required_fields() {
    let app = TestApp::new().await;
    let rows = json!([{"number": "C1", "city": "Oslo"}]);
    let refused = app.post("/v1/contacts/batch", &json!({ "rows": rows })).await;
    let missing = [("/rows/0/name", "REQUIRED"), ("/rows/0/type", "REQUIRED")];
    assert_eq!((refused.status.as_u16(), refused.errors()), (400, pairs(&missing)));
    let rows = json!([{"source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK"}]);
    let refused = app.post("/v1/prices/batch", &json!({ "rows": rows })).await;
    assert_eq!(refused.errors(), pairs(&[("/rows/0/unitPrice", "REQUIRED")]));
    let rows = json!([{"itemNumber": "DESK", "unitPrice": "1"}]);
    let refused = app.post("/v1/prices/batch", &json!({ "rows": rows })).await;
    assert_eq!(refused.errors(), pairs(&[("/rows/0/source", "REQUIRED")]));
}

#[actix_web::test]
async fn merged_row_is_checked_as_a_whole() {
    let app = TestApp::new().await;
    let campaign = json!({"number": "CP1", "startingDate": "2031-05-10"});
    app.post("/v1/campaigns", &campaign).await.expect(201);
    let rows = json!([
        {"number": "CP1", "endingDate": "2031-05-01"},
        {"number": "CP1X", "colour": "red", "startingDate": "2031-02-30"},
    ]);
    let refused = app.post("/v1/campaigns/batch", &json!({ "rows": rows })).await;
    let mut errors = refused.errors();
    errors.sort();
    let expected = [
        ("/rows/0/endingDate", "OUT_OF_RANGE"),
        ("/rows/1/colour", "UNKNOWN_FIELD"),
        ("/rows/1/startingDate", "INVALID_DATE"),
    ];
    let fields: Vec<_> = errors.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(fields, expected.map(|(pointer, _)| pointer), "{errors:?}");
    // A required field cannot be cleared.
    app.post("/v1/contacts", &json!({"number": "C1", "type": "COMPANY", "name": "One"}))
        .await
        .expect(201);
    let rows = json!([{"number": "C1", "name": null}]);
    let refused = app.post("/v1/contacts/batch", &json!({ "rows": rows })).await;
    assert_eq!(refused.errors(), pairs(&[("/rows/0/name", "REQUIRED")]));
    assert_eq!(app.get("/v1/contacts/C1").await.expect(200)["name"], "One");
}

#[actix_web::test]
async fn condition_of_a_row_protects_against_lost_updates() {
    let app = TestApp::new().await;
    desk(&app).await;
    let etag = app.get("/v1/items").await.expect(200)["value"][0]["etag"].clone();
    let row = |if_match: &Value, price: &str| {
        let row = json!({"number": "DESK", "listPrice": price, "ifMatch": if_match});
        json!({ "rows": [row] })
    };
    assert_eq!(statuses(&batch(&app, "/v1/items", row(&etag, "110")).await), [200]);
    let stale = app.post("/v1/items/batch", &row(&etag, "120")).await;
    assert_eq!((stale.status.as_u16(), stale.code()), (412, "PRECONDITION_FAILED".to_owned()));
    assert_eq!(app.get("/v1/items/DESK").await.expect(200)["listPrice"], "110");
    assert_eq!(statuses(&batch(&app, "/v1/items", row(&json!("*"), "130")).await), [200]);
    let absent = json!({
        "atomic": false,
        "rows": [{"number": "LAMP", "ifMatch": "*"}, {"number": "DESK", "ifMatch": "etag"}]
    });
    let receipts = app.post("/v1/items/batch", &absent).await.expect(207)["receipts"].clone();
    assert_eq!(statuses(receipts.as_array().unwrap()), [412, 400], "{receipts}");
    assert_eq!(receipts[1]["errors"][0]["pointer"], "/ifMatch");
    assert_eq!(app.get("/v1/items/LAMP").await.status, 404);
}

#[actix_web::test]
async fn rows_delete_by_key_and_by_id() {
    let app = TestApp::new().await;
    let id = desk(&app).await["id"].clone();
    make::item(&app, "LAMP", "50").await;
    let rows = json!([{"id": id, "delete": true}, {"number": "LAMP", "delete": true}]);
    let validated = json!({"rows": rows, "validateOnly": true});
    assert_eq!(statuses(&batch(&app, "/v1/items", validated).await), [204, 204]);
    assert_eq!(app.get("/v1/items/LAMP").await.status, 200);
    let receipts = batch(&app, "/v1/items", json!({ "rows": rows })).await;
    assert_eq!(statuses(&receipts), [204, 204]);
    assert_eq!((&receipts[0]["key"], &receipts[1]["key"]), (&json!("DESK"), &json!("LAMP")));
    assert_eq!(app.get("/v1/items").await.expect(200)["value"], json!([]));
    let again = app.post("/v1/items/batch", &json!({ "rows": rows })).await;
    assert_eq!((again.status.as_u16(), again.code()), (404, "NOT_FOUND".to_owned()));
    assert_eq!(again.errors().len(), 2);
}

#[actix_web::test]
async fn refused_deletion_names_the_dependents_and_changes_nothing() {
    let app = TestApp::new().await;
    desk(&app).await;
    make::item(&app, "LAMP", "50").await;
    let line =
        json!({"source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK", "unitPrice": "90"});
    app.post("/v1/prices", &line).await.expect(201);
    let rows = json!([{"number": "LAMP", "delete": true}, {"number": "DESK", "delete": true}]);
    let refused = app.post("/v1/items/batch", &json!({ "rows": rows })).await;
    assert_eq!((refused.status.as_u16(), refused.code()), (409, "IN_USE".to_owned()));
    assert_eq!(app.get("/v1/items/LAMP").await.status, 200);
    let apart = json!({"rows": rows, "atomic": false});
    let receipts = app.post("/v1/items/batch", &apart).await.expect(207)["receipts"].clone();
    assert_eq!(statuses(receipts.as_array().unwrap()), [204, 409]);
    assert_eq!(app.get("/v1/items/LAMP").await.status, 404);
}

#[actix_web::test]
async fn company_and_its_persons_are_deleted_together_in_any_order() {
    let app = TestApp::new().await;
    let rows = json!([
        {"number": "P1", "type": "PERSON", "name": "Pia", "companyNumber": "C1"},
        {"number": "C1", "type": "COMPANY", "name": "One"},
    ]);
    assert_eq!(statuses(&batch(&app, "/v1/contacts", json!({ "rows": rows })).await), [201, 201]);
    let rows = json!([{"number": "C1", "delete": true}, {"number": "P1", "delete": true}]);
    assert_eq!(statuses(&batch(&app, "/v1/contacts", json!({ "rows": rows })).await), [204, 204]);
}

#[actix_web::test]
async fn new_line_takes_the_place_of_a_deleted_or_shortened_one() {
    let app = TestApp::new().await;
    desk(&app).await;
    let line = |fields: Value| {
        let mut line = json!({"source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK"});
        line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        line
    };
    batch(&app, "/v1/prices", json!({"rows": [line(json!({"unitPrice": "90"}))]})).await;
    let rows = json!([
        line(json!({"startingDate": "2031-06-01", "unitPrice": "85"})),
        line(json!({"endingDate": "2031-05-31"})),
    ]);
    let receipts = batch(&app, "/v1/prices", json!({ "rows": rows })).await;
    assert_eq!(statuses(&receipts), [201, 200]);
    let rows = json!([
        line(json!({"startingDate": "2031-06-15", "unitPrice": "80"})),
        line(json!({"startingDate": "2031-06-01", "delete": true})),
    ]);
    let receipts = batch(&app, "/v1/prices", json!({ "rows": rows })).await;
    assert_eq!(statuses(&receipts), [201, 204]);
}

#[actix_web::test]
async fn row_with_an_id_changes_what_has_no_key() {
    let app = TestApp::new().await;
    let campaign = json!({"number": "CP1"});
    app.post("/v1/campaigns", &campaign).await.expect(201);
    app.post("/v1/salespeople", &json!({"code": "ANN"})).await.expect(201);
    let task = json!({
        "campaignNumber": "CP1", "date": "2031-05-01", "description": "Call",
        "salespersonCode": "ANN"
    });
    let created = batch(&app, "/v1/tasks", json!({"rows": [task]})).await;
    let id = &created[0]["id"];
    let rows = json!([{"id": id, "date": "2031-05-02"}]);
    assert_eq!(statuses(&batch(&app, "/v1/tasks", json!({ "rows": rows })).await), [200]);
    let after = app.get(&format!("/v1/tasks/{}", id.as_str().unwrap())).await.expect(200);
    assert_eq!((&after["date"], &after["description"]), (&json!("2031-05-02"), &json!("Call")));
    // Two rows for one resource, an id of nothing, and no id at all.
    let unknown = "0190b5c2-7d5e-7000-8000-00000000ffff";
    let rows = json!([
        {"id": id, "date": "2031-05-03"}, {"id": id, "date": "2031-05-04"},
        {"id": unknown, "date": "2031-05-03"}, {"id": "x"}
    ]);
    let apart = json!({"rows": rows, "atomic": false});
    let receipts = app.post("/v1/tasks/batch", &apart).await.expect(207)["receipts"].clone();
    assert_eq!(statuses(receipts.as_array().unwrap()), [200, 422, 404, 400], "{receipts}");
}

#[actix_web::test]
async fn key_cannot_change_through_an_id() {
    let app = TestApp::new().await;
    let id = desk(&app).await["id"].clone();
    let rows = json!([{"id": id, "number": "TABLE"}]);
    let refused = app.post("/v1/items/batch", &json!({ "rows": rows })).await;
    assert_eq!(refused.errors(), pairs(&[("/rows/0/number", "IMMUTABLE")]));
}

#[actix_web::test]
async fn unchanged_row_publishes_no_version() {
    let app = TestApp::new().await;
    desk(&app).await;
    let before = version(&app).await;
    for mode in ["MERGE", "REPLACE"] {
        let mut whole = content(app.get("/v1/items/DESK").await.expect(200));
        whole.as_object_mut().unwrap().retain(|name, _| name != "id");
        let body = json!({"mode": mode, "rows": [whole]});
        assert_eq!(statuses(&batch(&app, "/v1/items", body).await), [200]);
    }
    assert_eq!(version(&app).await, before);
    batch(&app, "/v1/items", json!({"rows": [{"number": "DESK", "listPrice": "1"}]})).await;
    assert_ne!(version(&app).await, before);
}

#[actix_web::test]
async fn concurrent_merges_of_a_new_row_lose_no_field() {
    let app = TestApp::new().await;
    for round in 0..10 {
        let row = |field: &str, value: &str| {
            let mut row = json!({"number": format!("I{round}")});
            row[field] = json!(value);
            json!({"rows": [row]})
        };
        let (left, right) = (row("description", "Desk"), row("listPrice", "100"));
        let (left, right) =
            tokio::join!(app.post("/v1/items/batch", &left), app.post("/v1/items/batch", &right),);
        left.expect(200);
        right.expect(200);
        let item = app.get(&format!("/v1/items/I{round}")).await.expect(200);
        assert_eq!((&item["description"], &item["listPrice"]), (&json!("Desk"), &json!("100")));
    }
}

#[actix_web::test]
async fn posted_sales_have_no_modes_and_are_not_deleted() {
    let app = TestApp::new().await;
    let body = json!({"mode": "MERGE", "rows": [{}]});
    let refused = app.post("/v1/sales/batch", &body).await;
    assert_eq!(refused.errors(), pairs(&[("/mode", "NOT_ALLOWED")]));
    let rows = json!([{"documentNumber": "I1", "delete": true}]);
    let refused = app.post("/v1/sales/batch", &json!({ "rows": rows })).await;
    assert!(refused.errors().contains(&("/rows/0/delete".into(), "UNKNOWN_FIELD".into())));
}
