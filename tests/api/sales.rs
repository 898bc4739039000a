//! Posted sales: their idempotent creation, and the campaigns to which they are attributed.

use serde_json::{Value, json};

use super::support::app::{Reply, TestApp, pairs};
use super::support::make::{self, Campaign};

const PATH: &str = "/v1/sales";

/// Returns a service with the campaign SPRING, which sells DESK to BUYER for 80 less 5 % in May
/// 2031, and is published. The item DESK costs 100 (BOX of 10). The customers are D1 (the company
/// BUYER with its person ANNE) and D2 (OTHER).
async fn ready() -> TestApp {
    let app = TestApp::new().await;
    let units = json!([{"code": "BOX", "quantityPerUnit": "10"}]);
    app.put(
        "/v1/items/DESK",
        &json!({"listPrice": "100", "unitCost": "60", "unitsOfMeasure": units}),
    )
    .await
    .expect(201);
    make::customer(&app, "BUYER", "D1").await;
    make::customer(&app, "OTHER", "D2").await;
    make::person(&app, "ANNE", "BUYER").await;
    let campaign =
        Campaign { contacts: &["ANNE"], prices: &[("DESK", "80")], ..Campaign::default() };
    campaign.create(&app).await;
    app.put("/v1/campaigns/AUTUMN", &json!({})).await.expect(201);
    app.post("/v1/campaigns/SPRING/discounts", &json!({"lineDiscountPercent": "5"}))
        .await
        .expect(201);
    make::activate(&app, "SPRING").await;
    app
}

/// Returns an invoice line for one DESK to D1 on 15 May 2031, merged with these fields. `null`
/// removes a field.
fn line(number: i32, fields: &Value) -> Value {
    let mut line = json!({
        "documentType": "INVOICE", "documentNumber": "INV-1", "lineNumber": number,
        "postingDate": "2031-05-15",
        "customerNumber": "D1", "itemNumber": "DESK", "lineAmount": "76", "discountAmount": "4"
    });
    line.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    line.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    line
}

async fn post(app: &TestApp, line: &Value) -> Reply {
    app.post(PATH, line).await
}

/// Posts a line, and returns its attribution: campaign, basis, price, discount.
async fn attribution(
    app: &TestApp,
    number: i32,
    fields: &Value,
) -> Vec<(String, String, bool, bool)> {
    let view = post(app, &line(number, fields)).await.expect(201);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let each = |a: &Value| {
        (
            text(&a["campaignNumber"]),
            text(&a["basis"]),
            a["price"].as_bool().unwrap(),
            a["discount"].as_bool().unwrap(),
        )
    };
    view["attributions"].as_array().unwrap().iter().map(each).collect()
}

fn spring(basis: &str, price: bool, discount: bool) -> Vec<(String, String, bool, bool)> {
    vec![("SPRING".to_owned(), basis.to_owned(), price, discount)]
}

#[actix_web::test]
async fn line_is_posted_once_and_never_changed() {
    let app = ready().await;
    let sent = line(
        1,
        &json!({
            "contactNumber": "anne", "customerNumber": null, "quantity": "2",
            "unitOfMeasureCode": "BOX"
        }),
    );
    let created = post(&app, &sent).await;
    assert_eq!(created.status, 201, "{created:?}");
    let view = created.json();
    let place = format!("{PATH}/{}", view["id"].as_str().unwrap());
    assert_eq!(created.header("location"), place);
    assert_eq!((&view["accountNumber"], &view["contactNumber"]), (&json!("BUYER"), &json!("ANNE")));
    assert_eq!(app.get(&place).await.expect(200), view);
    let again = post(&app, &sent).await;
    assert_eq!((again.status.as_u16(), again.json()), (200, view.clone()));
    // The same content in another notation.
    let mut reworded = sent.clone();
    reworded["quantity"] = json!("2.000");
    assert_eq!(post(&app, &reworded).await.expect(200), view);
    for other in
        [json!({"quantity": "3"}), json!({"lineAmount": "75"}), json!({"campaignNumber": "SPRING"})]
    {
        let mut changed = sent.clone();
        changed.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        let refused = post(&app, &changed).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (409, "CONFLICT"),
            "{other}"
        );
        assert_eq!(refused.errors(), pairs(&[("", "ALREADY_EXISTS")]));
    }
    // Another document type, document number or line number makes another line.
    for other in [
        json!({"documentType": "CREDIT_MEMO"}),
        json!({"documentNumber": "INV-2"}),
        json!({"lineNumber": 2}),
    ] {
        let mut changed = sent.clone();
        changed.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
        post(&app, &changed).await.expect(201);
    }
    for method in [
        app.put(&place, &sent).await,
        app.patch(&place, &json!({})).await,
        app.delete(&place).await,
    ] {
        assert_eq!(method.status, 405);
    }
    let page = app
        .get(&format!("{PATH}?filter=documentType eq 'CREDIT_MEMO'&count=true"))
        .await
        .expect(200);
    assert_eq!(
        (&page["count"], &page["value"][0]["documentType"]),
        (&json!(1), &json!("CREDIT_MEMO"))
    );
    assert_eq!(app.get("/v1/sales/0190b5c2-7d5e-7000-8000-000000000001").await.status, 404);
}

#[actix_web::test]
async fn batch_reports_the_result_of_each_row() {
    let app = ready().await;
    let none = json!({});
    app.post("/v1/sales/batch", &json!({"rows": [line(1, &none), line(2, &none)]}))
        .await
        .expect(200);
    let rows = json!([
        line(1, &none),
        line(2, &json!({"lineAmount": "1"})),
        line(3, &none),
        line(3, &none),
        line(4, &json!({"itemNumber": "NONE"})),
        line(5, &json!({"customerNumber": "NOBODY"})),
    ]);
    let body =
        app.post("/v1/sales/batch", &json!({"atomic": false, "rows": rows})).await.expect(207);
    let statuses: Vec<_> = body["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["status"].as_i64().unwrap())
        .collect();
    assert_eq!(statuses, [200, 409, 201, 422, 422, 422], "{body}");
    let refused = app.post("/v1/sales/batch", &json!({ "rows": rows })).await;
    assert_eq!(refused.status, 409);
    assert_eq!(
        refused.errors(),
        pairs(&[
            ("/rows/1", "ALREADY_EXISTS"),
            ("/rows/3", "DUPLICATE"),
            ("/rows/4/itemNumber", "REFERENCE_NOT_FOUND"),
            ("/rows/5/customerNumber", "REFERENCE_NOT_FOUND"),
        ])
    );
    let many: Vec<_> = (10..1_010).map(|number| line(number, &none)).collect();
    let body = app.post("/v1/sales/batch", &json!({ "rows": many })).await.expect(200);
    assert!(body["receipts"].as_array().unwrap().iter().all(|receipt| receipt["status"] == 201));
    let route_metrics = app.get("/v1/campaigns/SPRING/statistics").await.expect(200);
    assert_eq!(
        (&route_metrics["salesLines"], &route_metrics["salesAmount"]),
        (&json!(1_003), &json!("76228"))
    );
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let app = ready().await;
    let id = "0190b5c2-7d5e-7000-8000-000000000001";
    let form = json!({
        "documentType": "ORDER", "quantity": "0", "lineAmount": "-1", "priceLineId": "1",
        "postingDate": "today"
    });
    let refused = post(&app, &line(1, &form)).await;
    assert_eq!(refused.status, 400);
    let mut errors = refused.errors();
    errors.sort();
    assert_eq!(
        errors,
        pairs(&[
            ("/documentType", "INVALID_VALUE"),
            ("/lineAmount", "OUT_OF_RANGE"),
            ("/postingDate", "INVALID_DATE"),
            ("/priceLineId", "INVALID_VALUE"),
            ("/quantity", "OUT_OF_RANGE"),
        ])
    );
    let rules = line(0, &json!({"contactNumber": "ANNE", "discountLineId": id}));
    assert_eq!(
        post(&app, &rules).await.errors(),
        pairs(&[
            ("/customerNumber", "NOT_ALLOWED"),
            ("/lineNumber", "OUT_OF_RANGE"),
            ("/publicationVersion", "MISSING")
        ])
    );
    let nobody = line(1, &json!({"customerNumber": null, "publicationVersion": 0}));
    assert_eq!(
        post(&app, &nobody).await.errors(),
        pairs(&[("/contactNumber", "MISSING"), ("/publicationVersion", "OUT_OF_RANGE")])
    );
}

#[actix_web::test]
async fn missing_references_are_reported_together() {
    let app = ready().await;
    let id = "0190b5c2-7d5e-7000-8000-000000000001";
    let references = line(
        1,
        &json!({
            "customerNumber": "NOBODY", "itemNumber": "NONE", "variantCode": "V",
            "unitOfMeasureCode": "U",
            "campaignNumber": "WINTER", "priceLineId": id, "discountLineId": id,
            "publicationVersion": 999
        }),
    );
    let refused = post(&app, &references).await;
    assert_eq!(refused.status, 422);
    let mut errors: Vec<_> = refused
        .errors()
        .into_iter()
        .map(|(pointer, code)| {
            assert_eq!(code, "REFERENCE_NOT_FOUND");
            pointer
        })
        .collect();
    errors.sort();
    assert_eq!(
        errors,
        [
            "/campaignNumber",
            "/customerNumber",
            "/discountLineId",
            "/itemNumber",
            "/priceLineId",
            "/publicationVersion",
            "/unitOfMeasureCode",
            "/variantCode",
        ]
    );
    for (field, value) in
        [("unitOfMeasureCode", "U"), ("variantCode", "V"), ("campaignNumber", "WINTER")]
    {
        let refused = post(&app, &line(1, &json!({ field: value }))).await;
        assert_eq!(refused.errors(), pairs(&[(&format!("/{field}"), "REFERENCE_NOT_FOUND")]));
    }
}

#[actix_web::test]
async fn largest_numbers_are_accepted() {
    let app = ready().await;
    post(
        &app,
        &line(
            i32::MAX,
            &json!({
                "campaignNumber": "SPRING", "quantity": "999999999999999",
                "unitOfMeasureCode": "BOX"
            }),
        ),
    )
    .await
    .expect(201);
    let route_metrics = app.get("/v1/campaigns/SPRING/statistics").await.expect(200);
    assert_eq!(route_metrics["margin"], "-599999999999999324");
}

#[actix_web::test]
async fn quote_determines_the_attribution() {
    let app = ready().await;
    let quote = app
        .get("/v1/price-quotes?customerNumber=D1&itemNumber=DESK&date=2031-05-15")
        .await
        .expect(200);
    let (version, line) = (&quote["publicationVersion"], &quote["lines"][0]);
    let (price, discount) = (&line["priceLine"]["id"], &line["discountLine"]["id"]);
    let whole =
        json!({"publicationVersion": version, "priceLineId": price, "discountLineId": discount});
    assert_eq!(attribution(&app, 1, &whole).await, spring("REFERENCE", true, true));
    let only_price = json!({"publicationVersion": version, "priceLineId": price});
    assert_eq!(attribution(&app, 2, &only_price).await, spring("REFERENCE", true, false));
    let only_discount = json!({"publicationVersion": version, "discountLineId": discount});
    assert_eq!(attribution(&app, 3, &only_discount).await, spring("REFERENCE", false, true));
    // A sale at the list price is attributed to no campaign, even if the request names one.
    let list_price = json!({"publicationVersion": version, "campaignNumber": "SPRING"});
    assert_eq!(attribution(&app, 4, &list_price).await, []);
    // A line is valid only in its own version, and a price line is no discount line.
    for (wrong, pointer) in [
        (json!({"publicationVersion": 1, "priceLineId": price}), "/priceLineId"),
        (json!({"publicationVersion": version, "discountLineId": price}), "/discountLineId"),
    ] {
        let refused = post(&app, &self::line(5, &wrong)).await;
        assert_eq!(
            (refused.status.as_u16(), refused.errors()),
            (422, pairs(&[(pointer, "REFERENCE_NOT_FOUND")]))
        );
    }
    // After the deactivation, the version of the quote still has the line.
    app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await.expect(201);
    assert_eq!(attribution(&app, 6, &whole).await, spring("REFERENCE", true, true));
    let route_metrics = app.get("/v1/campaigns/SPRING/statistics").await.expect(200);
    // Without the campaign each line would have cost 100 instead of 76, whichever part it granted.
    assert_eq!(
        (&route_metrics["salesAmount"], &route_metrics["discountGiven"]),
        (&json!("304"), &json!("96"))
    );
    // A standing line is attributed to no campaign.
    let standing =
        json!({"source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK", "unitPrice": "50"});
    app.post("/v1/prices", &standing).await.expect(201);
    let quote = app
        .get("/v1/price-quotes?customerNumber=D2&itemNumber=DESK&date=2031-05-15")
        .await
        .expect(200);
    let reference = json!({
        "publicationVersion": quote["publicationVersion"],
        "priceLineId": quote["lines"][0]["priceLine"]["id"]
    });
    assert_eq!(attribution(&app, 7, &reference).await, []);
}

#[actix_web::test]
async fn erp_attribution_has_priority_over_a_replay() {
    let app = ready().await;
    let autumn = vec![("AUTUMN".to_owned(), "STATED".to_owned(), true, true)];
    assert_eq!(attribution(&app, 1, &json!({"campaignNumber": "autumn"})).await, autumn);
    assert_eq!(attribution(&app, 2, &json!({})).await, spring("REPLAY", true, true));
}

#[actix_web::test]
async fn replay_uses_the_book_at_the_end_of_the_day() {
    let app = ready().await;
    app.patch("/v1/settings", &json!({"timeZone": "Europe/Oslo"})).await.expect(200);
    app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await.expect(201);
    // In Oslo: activated on the 11th and deactivated on the 20th.
    app.sql(
        "UPDATE publications SET published_at = CASE kind \
             WHEN 'ACTIVATION' THEN timestamptz '2031-05-10T22:00:00Z' \
             WHEN 'DEACTIVATION' THEN '2031-05-20T21:59:59Z' ELSE '2030-01-01T00:00:00Z' END",
    )
    .await;
    // The settings were changed between the two versions, with a later time than the deactivation.
    app.sql(
        "UPDATE publications SET published_at = '2031-05-12T00:00:00Z'
        WHERE version = (SELECT max(version) - 1 FROM publications)",
    )
    .await;
    for (number, date, is_owed) in [
        (1, "2029-12-31", false),
        (2, "2031-05-10", false),
        (3, "2031-05-11", true),
        (4, "2031-05-19", true),
        (5, "2031-05-20", false),
        (6, "2031-05-25", false),
    ] {
        let expected = if is_owed { spring("REPLAY", true, true) } else { Vec::new() };
        assert_eq!(
            attribution(&app, number, &json!({"postingDate": date})).await,
            expected,
            "{date}"
        );
    }
    // Other accounts and other dates got no price of the campaign.
    assert_eq!(
        attribution(&app, 7, &json!({"customerNumber": "D2", "postingDate": "2031-05-15"})).await,
        []
    );
    let rows: Vec<_> = ["2031-05-10", "2031-05-11", "2031-05-19", "2031-05-20"]
        .into_iter()
        .zip(20..)
        .map(|(date, number)| line(number, &json!({ "postingDate": date })))
        .collect();
    app.post("/v1/sales/batch", &json!({ "rows": rows })).await.expect(200);
    let route_metrics = app.get("/v1/campaigns/SPRING/statistics").await.expect(200);
    assert_eq!(route_metrics["salesLines"], 4);
}

#[actix_web::test]
async fn sold_resources_cannot_be_deleted() {
    let app = ready().await;
    app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await.expect(201);
    make::item(&app, "LAMP", "20").await;
    attribution(
        &app,
        1,
        &json!({"campaignNumber": "AUTUMN", "customerNumber": "D2", "itemNumber": "LAMP"}),
    )
    .await;
    for path in ["/v1/campaigns/AUTUMN", "/v1/contacts/OTHER", "/v1/items/LAMP"] {
        let refused = app.delete(path).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (409, "IN_USE"),
            "{path} {refused:?}"
        );
        assert_eq!(
            refused.json()["errors"][0]["params"],
            json!({"what": "posted sales lines", "count": 1})
        );
    }
}

#[actix_web::test]
async fn contacts_are_found_by_purchases() {
    let calendar = kampanje::platform::clock::Calendar::new(std::sync::Arc::new(|| {
        "2031-05-15T12:00:00Z".parse().unwrap()
    }));
    let app = TestApp::at(calendar).await;
    for item in ["DESK", "LAMP", "CHAIR", "SOFA"] {
        app.put(&format!("/v1/items/{item}"), &json!({"listPrice": "100"})).await.expect(201);
    }
    app.put("/v1/contacts/BUYER", &json!({"type": "COMPANY", "name": "Buyer"})).await.expect(201);
    app.put(
        "/v1/contacts/ANNE",
        &json!({"type": "PERSON", "name": "Anne", "companyNumber": "BUYER"}),
    )
    .await
    .expect(201);
    app.put("/v1/contacts/SOLO", &json!({"type": "PERSON", "name": "Solo"})).await.expect(201);
    for (number, contact, item, date, kind) in [
        (1, "ANNE", "DESK", "2031-04-16", "INVOICE"),
        (2, "BUYER", "LAMP", "2031-04-15", "INVOICE"),
        (3, "SOLO", "CHAIR", "2030-05-16", "INVOICE"),
        (4, "SOLO", "LAMP", "2030-05-15", "INVOICE"),
        (5, "SOLO", "SOFA", "2031-05-01", "CREDIT_MEMO"),
    ] {
        let fields = json!({
            "contactNumber": contact, "customerNumber": null, "itemNumber": item,
            "postingDate": date, "documentType": kind
        });
        post(&app, &line(number, &fields)).await.expect(201);
    }
    for (filter, expected) in [
        ("itemsBought/any(i: i eq 'DESK')", vec!["ANNE", "BUYER"]),
        ("itemsBought/any(i: i eq 'lamp')", vec!["ANNE", "BUYER", "SOLO"]),
        ("itemsBought/any(i: i eq 'SOFA')", vec![]),
        ("itemsBoughtIn12Months/any(i: i eq 'LAMP')", vec!["ANNE", "BUYER"]),
        ("itemsBoughtIn12Months/any(i: i eq 'CHAIR')", vec!["SOLO"]),
        ("itemsBoughtIn30Days/any(i: i eq 'DESK')", vec!["ANNE", "BUYER"]),
        ("itemsBoughtIn30Days/any()", vec!["ANNE", "BUYER"]),
        ("itemsBoughtIn30Days/any(i: i eq 'LAMP')", vec![]),
        ("not itemsBoughtIn12Months/any(i: i eq 'DESK') and type eq 'PERSON'", vec!["SOLO"]),
    ] {
        let page = app.get(&format!("/v1/contacts?filter={filter}")).await.expect(200);
        let numbers: Vec<_> = page["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["number"].as_str().unwrap())
            .collect();
        assert_eq!(numbers, expected, "{filter}");
    }
    app.put("/v1/segments/MAIL", &json!({})).await.expect(201);
    let add = json!({"action": "ADD", "filter": "itemsBoughtIn30Days/any(i: i eq 'DESK')"});
    let added = app.post("/v1/segments/MAIL/criteria-actions", &add).await.expect(201);
    assert_eq!(added["linesAdded"], 2);
}
