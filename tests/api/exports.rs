//! Lists as tables, and that the import of a table changes nothing.

use kampanje::imports::targets::TARGETS;
use kampanje::imports::worker::Worker;
use kampanje::platform::clock::Calendar;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp};
use super::support::make;
use super::support::wait::in_time;

const CSV: &str = "text/csv";
const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

async fn table(app: &TestApp, path: &str) -> Reply {
    app.send(Method::GET, path, &[("accept", CSV)], None).await
}

#[actix_web::test]
async fn tables_have_all_rows_of_the_filter_in_the_order() {
    let app = TestApp::new().await;
    let item = |at: usize| json!({"number": format!("N{at:05}"), "listPrice": at.to_string()});
    for from in [0, 1_000, 2_000] {
        let rows: Vec<Value> = (from..(from + 1_000).min(2_345)).map(item).collect();
        app.post("/v1/items/batch", &json!({ "rows": rows })).await.expect(200);
    }
    let all = table(&app, "/v1/items").await;
    assert_eq!(all.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(all.header("content-disposition"), "attachment; filename=\"items.csv\"");
    let lines: Vec<&str> = all.text.lines().collect();
    assert_eq!(lines.len(), 2_346);
    assert!(lines[0].starts_with("number,") && lines[1].starts_with("N00000,"), "{}", lines[1]);
    assert!(lines[2_345].starts_with("N02344,"));
    let some = table(&app, "/v1/items?filter=listPrice+ge+2340&orderby=number+desc").await;
    let numbers: Vec<&str> =
        some.text.lines().skip(1).map(|line| line.split(',').next().unwrap()).collect();
    assert_eq!(numbers, ["N02344", "N02343", "N02342", "N02341", "N02340"]);
    let none = table(&app, "/v1/items?filter=listPrice+gt+9999").await;
    assert_eq!(none.text.lines().count(), 1, "the header");
    let refused = table(&app, "/v1/items?top=5&skip=1&count=true").await;
    assert_eq!(refused.errors().len(), 3);
    assert_eq!(app.send(Method::HEAD, "/v1/items", &[("accept", CSV)], None).await.status, 200);
    let book = app.request(Method::GET, "/v1/items").header("accept", XLSX).send().await.unwrap();
    assert_eq!(book.headers()["content-type"], XLSX);
    assert!(book.bytes().await.unwrap().starts_with(b"PK"));
    // Those who accept both get pages, and tables are refused where there are none.
    let both = [("accept", "application/json, text/csv")];
    assert_eq!(
        app.send(Method::GET, "/v1/items", &both, None).await.header("content-type"),
        "application/json"
    );
    assert_eq!(table(&app, "/v1/me").await.code(), "NOT_ACCEPTABLE");
    assert_eq!(table(&app, "/v1/items/N00001").await.code(), "NOT_ACCEPTABLE");
    let html = app.send(Method::GET, "/v1/items", &[("accept", "text/html")], None).await;
    assert_eq!(html.code(), "NOT_ACCEPTABLE");
}

#[actix_web::test]
async fn formulas_are_neutralised_and_restored() {
    let app = TestApp::new().await;
    let texts = ["=1+1", "@SUM(A1)", "+47 1", "-x", "'=1", "'", "a,\"b\"\nc", "\ttab", "plain"];
    for (at, text) in texts.iter().enumerate() {
        app.put(&format!("/v1/items/N{at}"), &json!({ "description": text })).await.expect(201);
    }
    let exported = table(&app, "/v1/items").await;
    for start in [",=", ",@", ",+", ",-", "\"=", "\"@", "\"\t", ",\t"] {
        assert!(!exported.text.contains(start), "{start}: {}", exported.text);
    }
    assert_eq!(changes(&app, "items", CSV).await, (texts.len() as i64, 0, 0));
    assert_eq!(changes(&app, "items", XLSX).await, (texts.len() as i64, 0, 0));
}

/// Imports the table of a resource, and returns the numbers of unchanged, written and failed rows.
async fn changes(app: &TestApp, resource: &str, media: &str) -> (i64, i64, i64) {
    let path = format!("/v1/{resource}");
    let table = app.request(Method::GET, &path).header("accept", media).send().await.unwrap();
    assert_eq!(table.status(), 200, "{resource}");
    let table = table.bytes().await.unwrap();
    let mode = if resource == "sales" { "" } else { "&mode=REPLACE" };
    let request = app
        .request(Method::POST, &format!("/v1/imports?resource={resource}{mode}"))
        .header("content-type", media)
        .body(table.clone());
    let begun = Reply::to(request).await;
    assert_eq!(begun.status, 201, "{resource}: {begun:?}");
    let place = begun.header("location").to_owned();
    let worker = Worker::new(app.units_of_work.clone(), Calendar::system(), app.book.clone());
    let import = in_time("the import is finished", async {
        loop {
            worker.turn().await.unwrap();
            let import = app.get(&place).await.expect(200);
            if !import["finishedAt"].is_null() {
                return import;
            }
        }
    })
    .await;
    let errors = app.get(&format!("{place}/errors")).await.text;
    let count = |name: &str| import[name].as_i64().unwrap();
    assert_eq!(
        (&import["state"], count("rowsFailed"), count("rowsWritten")),
        (&json!("SUCCEEDED"), 0, 0),
        "{resource} {media}: {errors} {}",
        String::from_utf8_lossy(if media == CSV { &table[..] } else { &[] })
    );
    (count("rowsUnchanged"), count("rowsWritten"), count("rowsFailed"))
}

/// Creates rows of every resource, with values in as many fields as possible.
async fn company(app: &TestApp) {
    app.put("/v1/currencies/USD", &json!({"description": "Dollar", "amountPrecision": "0.05"}))
        .await
        .expect(201);
    app.post(
        "/v1/exchange-rates",
        &json!({"currencyCode": "USD", "startingDate": "2031-01-01", "rate": "1.1234567891"}),
    )
    .await
    .expect(201);
    app.put("/v1/salespeople/JO", &json!({"name": "Jo", "email": "jo@example.org"}))
        .await
        .expect(201);
    app.put("/v1/teams/INNER", &json!({"name": "Inner", "members": ["JO"]})).await.expect(201);
    let desk = json!({
        "description": "Desk, \"oak\"", "listPrice": "100.12345", "unitCost": "50",
        "taxPercent": "25",
        "baseUnitOfMeasureCode": "PCS", "itemDiscountGroupCode": "WOOD", "priceIncludesTax": true,
        "unitsOfMeasure": [{"code": "BOX", "quantityPerUnit": "12"}],
        "variants": [{"code": "OAK", "description": "Oak"}, {"code": "PINE"}]
    });
    app.put("/v1/items/DESK", &desk).await.expect(201);
    app.put("/v1/items/LAMP", &json!({"blocked": true})).await.expect(201);
    let buyer = json!({
        "type": "COMPANY", "name": "Buyer", "currencyCode": "USD", "salespersonCode": "JO",
        "email": "b@example.org", "city": "Oslo", "businessRelations": ["CUST", "VIP"],
        "industryGroups": ["WOOD"], "privacyBlocked": true, "phone": "+47 22 33",
        "customer": {"number": "C1", "priceGroupCode": "GOLD"}
    });
    app.put("/v1/contacts/BUYER", &buyer).await.expect(201);
    make::company(app, "OTHER").await;
    make::person(app, "KIM", "OTHER").await;
    app.put("/v1/campaign-statuses/PLANNED", &json!({"sequence": 1, "description": "Planned"}))
        .await
        .expect(201);
    let campaign = json!({
        "description": "Spring", "startingDate": "2031-05-01", "endingDate": "2031-05-31",
        "statusCode": "PLANNED", "salespersonCode": "JO", "maxDiscountPercent": "60"
    });
    app.put("/v1/campaigns/SPRING", &campaign).await.expect(201);
    app.put("/v1/campaigns/AUTUMN", &json!({})).await.expect(201);
    make::target_segment(app, "FAIR", "SPRING").await;
    make::segment_line(app, "FAIR", "OTHER").await;
    app.put("/v1/segments/RULE", &json!({"membership": "RULE", "filter": "city eq 'Oslo'"})).await;
    let saved =
        json!({"actions": [{"action": "ADD", "filter": "type eq 'COMPANY'"}], "description": "-"});
    app.put("/v1/saved-criteria/ALL", &saved).await.expect(201);
    let template = json!({"description": "Mail", "cost": "2.5", "durationMinutes": 15});
    app.put("/v1/interaction-templates/MAIL", &template).await.expect(201);
    let call = json!({
        "contactNumber": "OTHER", "campaignNumber": "SPRING", "description": "Call",
        "salespersonCode": "JO", "interactionTemplateCode": "MAIL", "date": "2031-05-02",
        "campaignResponse": true
    });
    app.post("/v1/interactions", &call).await.expect(201);
    for (path, field) in [("prices", "unitPrice"), ("discounts", "lineDiscountPercent")] {
        let line = json!({
            "itemNumber": "DESK", "minimumQuantity": "10", field: "9.5", "currencyCode": "USD",
            "variantCode": "OAK", "unitOfMeasureCode": "BOX"
        });
        app.post(&format!("/v1/campaigns/SPRING/{path}"), &line).await.expect(201);
        let mut line = line;
        line["source"] = json!({"type": "CONTACT", "contactNumber": "BUYER"});
        line["startingDate"] = json!("1899-05-01");
        app.post(&format!("/v1/{path}"), &line).await.expect(201);
    }
    let golden = json!({
        "contactNumber": "OTHER", "itemNumber": "DESK", "expected": {"unitPrice": "80"},
        "note": "=1"
    });
    app.post("/v1/campaigns/SPRING/golden-quotes", &golden).await.expect(201);
    let task = json!({
        "campaignNumber": "SPRING", "salespersonCode": "JO", "description": "Call",
        "date": "2031-05-02", "startingTime": "14:30", "priority": "HIGH",
        "recurrence": {"interval": 2, "unit": "WEEKS", "from": "DUE_DATE"}
    });
    app.post("/v1/tasks", &task).await.expect(201);
    let steps = json!([{"type": "CALL", "description": "Call", "offsetDays": 2}]);
    app.put("/v1/activities/FAIR", &json!({"description": "Fair", "steps": steps}))
        .await
        .expect(201);
    let chance = json!({"contactNumber": "OTHER", "estimatedValue": "1000", "chancePercent": "50"});
    app.put("/v1/opportunities/OP1", &chance).await.expect(201);
    let sale = json!({
        "documentType": "INVOICE", "documentNumber": "INV-1", "lineNumber": 10000,
        "postingDate": "2031-05-15", "contactNumber": "OTHER", "itemNumber": "DESK",
        "lineAmount": "76.5", "quantity": "3"
    });
    app.post("/v1/sales", &sale).await.expect(201);
}

#[actix_web::test]
async fn import_of_an_export_changes_nothing() {
    let app = TestApp::new().await;
    company(&app).await;
    for target in TARGETS {
        let resource = target.names.path.trim_start_matches("/v1/");
        let resource = resource.replace("{campaign}", "SPRING").replace("{segment}", "FAIR");
        for media in [CSV, XLSX] {
            let (unchanged, written, failed) = changes(&app, &resource, media).await;
            assert!(unchanged > 0, "{resource} has rows");
            assert_eq!((written, failed), (0, 0));
        }
    }
}
