//! Golden quotes: the expected answers of a campaign, checked before a publication.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp, pairs};
use super::support::make::{self, Campaign};

const GOLDEN: &str = "/v1/campaigns/MAY/golden-quotes";

/// Returns a desk for 100 that costs 80 in a campaign for the customer BUYER. The campaign can be
/// activated.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    let item = json!({"listPrice": "100", "taxPercent": "25", "variants": [{"code": "RED"}],
        "unitsOfMeasure": [{"code": "BOX", "quantityPerUnit": "4"}]});
    app.put("/v1/items/DESK", &item).await.expect(201);
    app.put("/v1/currencies/USD", &json!({})).await.expect(201);
    let rate = json!({"currencyCode": "USD", "startingDate": "2031-01-01", "rate": "2"});
    app.post("/v1/exchange-rates", &rate).await.expect(201);
    make::customer(&app, "BUYER", "D1").await;
    make::customer(&app, "OTHER", "D2").await;
    make::person(&app, "ANNE", "BUYER").await;
    let campaign = Campaign {
        number: "MAY",
        contacts: &["BUYER"],
        prices: &[("DESK", "80")],
        ..Campaign::default()
    };
    campaign.create(&app).await;
    app
}

async fn golden(app: &TestApp, body: Value) -> String {
    app.post(GOLDEN, &body).await.expect(201)["id"].as_str().unwrap().to_owned()
}

async fn activate(app: &TestApp) -> Reply {
    app.post("/v1/campaigns/MAY/activations", &json!({"acknowledge": ["*"]})).await
}

/// Returns the differences among the findings: pointers and details, sorted.
fn differences(findings: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let findings = findings["findings"].as_array().unwrap().iter();
    let mut found: Vec<_> = findings
        .filter(|finding| finding["code"] == "GOLDEN_QUOTE_DIFFERS")
        .map(|finding| {
            assert_eq!(finding["severity"], "ERROR");
            (text(&finding["pointer"]), text(&finding["detail"]))
        })
        .collect();
    found.sort();
    found
}

async fn price(app: &TestApp) -> Value {
    let path = "/v1/price-quotes?contactNumber=BUYER&itemNumber=DESK&date=2031-05-15";
    app.get(path).await.expect(200)["lines"][0]["unitPrice"].clone()
}

/// Expectations that the prices of campaign MAY meet.
fn correct_quotes() -> [Value; 10] {
    [
        json!({
            "contactNumber": "BUYER", "expected": {"unitPrice": "80"}, "expectedCampaign": true
        }),
        json!({
            "contactNumber": "ANNE", "expected": {"unitPrice": "80.00"},
            "note": "her company is the account"
        }),
        json!({
            "customerNumber": "D1", "quantity": "3",
            "expected": {"lineAmount": "240", "lineDiscountPercent": "0"}
        }),
        json!({
            "contactNumber": "OTHER", "expected": {"unitPrice": "100"}, "expectedCampaign": false
        }),
        json!({"expected": {"unitPrice": "100"}, "expectedCampaign": false}),
        json!({"contactNumber": "BUYER", "date": "2031-04-30", "expected": {"unitPrice": "100"}}),
        json!({
            "contactNumber": "BUYER", "unitOfMeasureCode": "BOX", "expected": {"unitPrice": "320"}
        }),
        json!({"contactNumber": "BUYER", "variantCode": "RED", "expected": {"unitPrice": "80"}}),
        json!({"contactNumber": "BUYER", "currencyCode": "USD", "expected": {"unitPrice": "160"}}),
        json!({
            "contactNumber": "BUYER", "pricesIncludeTax": true, "expected": {"unitPrice": "100"}
        }),
    ]
}

#[actix_web::test]
async fn activation_with_unexpected_answers_is_refused() {
    let app = app().await;
    for mut body in correct_quotes() {
        body["itemNumber"] = "DESK".into();
        golden(&app, body).await;
    }
    let wrong = json!({
        "contactNumber": "BUYER", "itemNumber": "DESK", "quantity": "2", "expectedCampaign": false,
        "expected": {"unitPrice": "79", "lineDiscountPercent": "5", "lineAmount": "160"}
    });
    let id = golden(&app, wrong).await;
    let pointer = format!("/golden-quotes/{id}");
    let detail = "2 of DESK on 2031-05-01: the unit price is 80, not 79, \
                the line discount percent is 0, not 5, \
                the campaign grants price or discount";
    let plan =
        app.post("/v1/campaigns/MAY/activations", &json!({"validateOnly": true})).await.expect(200);
    assert_eq!(differences(&plan), [(pointer.clone(), detail.to_owned())]);
    let findings = plan["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["pointer"] == pointer.as_str()).unwrap();
    let line = app.get("/v1/campaigns/MAY/prices").await.expect(200)["value"][0]["id"].clone();
    assert_eq!(
        finding["params"],
        json!({
            "itemNumber": "DESK",
            "expected": {
                "unitPrice": "79", "lineDiscountPercent": "5", "lineAmount": "160",
                "expectedCampaign": false
            },
            "actual": {
                "date": "2031-05-01", "unitPrice": "80", "lineDiscountPercent": "0",
                "lineAmount": "160", "source": {"type": "CAMPAIGN", "campaignNumber": "MAY"},
                "priceLine": line
            }
        })
    );
    let refused = activate(&app).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "ACTIVATION_REFUSED"));
    assert_eq!(
        differences(&refused.json()),
        [(pointer, detail.to_owned())],
        "whatever is acknowledged"
    );
    assert_eq!(price(&app).await, "100", "nothing was published");
    let right = json!({
        "expectedCampaign": true, "expected": {"unitPrice": "80", "lineDiscountPercent": null}
    });
    app.patch(&format!("{GOLDEN}/{id}"), &right).await.expect(200);
    activate(&app).await.expect(201);
    assert_eq!(price(&app).await, "80");
}

#[actix_web::test]
async fn unpriceable_golden_quotes_are_reported_with_other_findings() {
    let app = app().await;
    app.put("/v1/items/FREE", &json!({})).await.expect(201);
    let id = golden(&app, json!({"itemNumber": "FREE", "expected": {"unitPrice": "0"}})).await;
    app.post(
        "/v1/campaign-statuses",
        &json!({"code": "CLOSED", "sequence": 1, "allowsActivation": false}),
    )
    .await
    .expect(201);
    app.patch("/v1/campaigns/MAY", &json!({"statusCode": "CLOSED"})).await.expect(200);
    let refused = activate(&app).await;
    assert_eq!(refused.status, 422);
    let findings = refused.json()["findings"].clone();
    let errors: Vec<_> = findings
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["severity"] == "ERROR")
        .cloned()
        .collect();
    let codes: Vec<_> = errors.iter().map(|finding| finding["code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["STATUS_FORBIDS_ACTIVATION", "GOLDEN_QUOTE_DIFFERS"]);
    assert_eq!(errors[1]["pointer"], format!("/golden-quotes/{id}"));
    assert_eq!(errors[1]["params"]["actual"]["problem"]["code"], "NO_PRICE");
}

#[actix_web::test]
async fn changes_of_active_campaigns_are_checked_too() {
    let app = app().await;
    golden(
        &app,
        json!({"contactNumber": "BUYER", "itemNumber": "DESK", "expected": {"unitPrice": "80"}}),
    )
    .await;
    let other =
        json!({"contactNumber": "OTHER", "itemNumber": "DESK", "expected": {"unitPrice": "100"}});
    golden(&app, other).await;
    activate(&app).await.expect(201);
    let version = app.get("/v1/campaigns/MAY").await.expect(200)["publicationVersion"].clone();
    let lines = app.get("/v1/campaigns/MAY/prices").await.expect(200);
    let line = format!("/v1/campaigns/MAY/prices/{}", lines["value"][0]["id"].as_str().unwrap());
    // A line, the dates, the targets: each change breaks an expectation.
    for refused in [
        app.patch(&line, &json!({"unitPrice": "75"})).await,
        app.delete(&line).await,
        app.post("/v1/segments/FAIR/lines", &json!({"contactNumber": "OTHER"})).await,
        app.patch("/v1/segments/FAIR", &json!({"campaignTarget": false})).await,
    ] {
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (422, "ACTIVATION_REFUSED"),
            "{refused:?}"
        );
        assert_eq!(differences(&refused.json()).len(), 1);
    }
    assert_eq!(app.get("/v1/campaigns/MAY").await.expect(200)["publicationVersion"], version);
    assert_eq!(app.get(&line).await.expect(200)["unitPrice"], "80");
    assert_eq!(price(&app).await, "80");
    // A change that keeps the expected answers is accepted.
    let more = json!({"itemNumber": "DESK", "minimumQuantity": "10", "unitPrice": "70"});
    app.post("/v1/campaigns/MAY/prices", &more).await.expect(201);
    app.patch("/v1/campaigns/MAY", &json!({"description": "Not about prices"})).await.expect(200);
    // Manual publishing: the change is accepted, and the activation is checked.
    app.patch("/v1/campaigns/MAY", &json!({"publishing": "MANUAL"})).await.expect(200);
    app.patch(&line, &json!({"unitPrice": "75"})).await.expect(200);
    assert_eq!(activate(&app).await.status, 422);
    assert_eq!(price(&app).await, "80");
}

#[actix_web::test]
async fn base_data_and_contacts_are_never_refused() {
    let app = app().await;
    golden(
        &app,
        json!({"contactNumber": "OTHER", "itemNumber": "DESK", "expected": {"unitPrice": "100"}}),
    )
    .await;
    golden(
        &app,
        json!({"contactNumber": "BUYER", "itemNumber": "DESK", "expected": {"unitPrice": "80"}}),
    )
    .await;
    activate(&app).await.expect(201);
    app.patch("/v1/items/DESK", &json!({"listPrice": "90"})).await.expect(200);
    app.patch("/v1/contacts/BUYER", &json!({"privacyBlocked": true})).await.expect(200);
    assert_eq!(price(&app).await, "90", "who objects leaves at once");
    // The next change of the campaign itself is checked.
    let line = json!({"itemNumber": "DESK", "minimumQuantity": "10", "unitPrice": "70"});
    let refused = app.post("/v1/campaigns/MAY/prices", &line).await;
    assert_eq!(differences(&refused.json()).len(), 2);
}

#[actix_web::test]
async fn golden_quote_names_one_customer_and_expects_something() {
    let app = app().await;
    let nothing = json!({
        "contactNumber": "BUYER", "customerNumber": "D1", "itemNumber": "DESK", "expected": {}
    });
    let refused = app.post(GOLDEN, &nothing).await;
    assert_eq!(
        refused.errors(),
        pairs(&[("/customerNumber", "NOT_ALLOWED"), ("/expected", "MISSING")])
    );
    let unknown = json!({"contactNumber": "NOBODY", "itemNumber": "DESK", "variantCode": "BLUE",
        "unitOfMeasureCode": "CRATE", "currencyCode": "XXX", "expected": {"unitPrice": "1"}});
    let refused = app.post(GOLDEN, &unknown).await;
    let missing = ["/contactNumber", "/currencyCode", "/unitOfMeasureCode", "/variantCode"];
    assert_eq!(refused.errors(), pairs(&missing.map(|pointer| (pointer, "REFERENCE_NOT_FOUND"))));
    for (field, value) in [("customerNumber", "D9"), ("itemNumber", "NONE")] {
        let mut body = json!({"itemNumber": "DESK", "expected": {"unitPrice": "1"}});
        body[field] = value.into();
        let refused = app.post(GOLDEN, &body).await;
        assert_eq!(refused.errors(), pairs(&[(&format!("/{field}"), "REFERENCE_NOT_FOUND")]));
    }
    let wrong = json!({"itemNumber": "DESK", "quantity": "0", "date": "2031-02-30", "price": "1",
        "expected": {"unitPrice": 80, "lineDiscountPercent": "101", "lineAmount": "-1"}});
    let refused = app.post(GOLDEN, &wrong).await;
    assert_eq!(refused.status, 400);
    let pointers: Vec<_> = refused.errors().into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(
        pointers,
        [
            "/date",
            "/expected/lineAmount",
            "/expected/lineDiscountPercent",
            "/expected/unitPrice",
            "/price",
            "/quantity"
        ]
    );
    assert_eq!(app.get("/v1/campaigns/NONE/golden-quotes").await.status, 404);
}

#[actix_web::test]
async fn each_query_has_one_answer_that_a_batch_replaces() {
    let app = app().await;
    let body = |price: &str| {
        json!({
            "contactNumber": "BUYER", "itemNumber": "DESK", "expected": {"unitPrice": price}
        })
    };
    let id = golden(&app, body("80")).await;
    let again = app.post(GOLDEN, &body("81")).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "CONFLICT"));
    let mut other = body("80");
    other["date"] = "2031-05-02".into();
    let receipts = app
        .post(&format!("{GOLDEN}/batch"), &json!({"rows": [body("82"), other]}))
        .await
        .expect(200);
    let statuses: Vec<_> =
        receipts["receipts"].as_array().unwrap().iter().map(|row| row["status"].clone()).collect();
    assert_eq!(
        (statuses, &receipts["receipts"][0]["id"]),
        (vec![json!(200), json!(201)], &json!(id))
    );
    assert_eq!(app.get(&format!("{GOLDEN}/{id}")).await.expect(200)["expected"]["unitPrice"], "82");
    let twice =
        app.post(&format!("{GOLDEN}/batch"), &json!({"rows": [body("1"), body("2")]})).await;
    assert_eq!(twice.errors(), pairs(&[("/rows/1", "DUPLICATE")]));
    // The path of another campaign does not lead to this golden quote.
    app.post("/v1/campaigns", &json!({"number": "JUNE"})).await.expect(201);
    assert_eq!(app.get(&format!("/v1/campaigns/JUNE/golden-quotes/{id}")).await.status, 404);
    let request = app.request(Method::GET, GOLDEN).query(&[("filter", "expected/unitPrice gt 81")]);
    let found = Reply::to(request).await.expect(200);
    assert_eq!(found["value"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn golden_quotes_hold_their_references_and_are_deleted_with_their_campaign() {
    let app = app().await;
    let id = golden(
        &app,
        json!({"customerNumber": "D2", "itemNumber": "DESK", "variantCode": "RED",
        "currencyCode": "USD", "expected": {"unitPrice": "200"}}),
    )
    .await;
    for refused in [
        app.delete("/v1/contacts/OTHER").await,
        app.delete("/v1/items/DESK").await,
        app.delete("/v1/currencies/USD").await,
        app.patch("/v1/contacts/OTHER", &json!({"customer": null})).await,
    ] {
        assert_eq!(refused.status, 409, "{refused:?}");
        let problem = refused.json();
        let held = problem["errors"]
            .as_array()
            .unwrap()
            .iter()
            .any(|error| error["params"]["what"] == "golden quotes");
        assert!(held, "{problem}");
    }
    let refused = app.patch("/v1/items/DESK", &json!({"variants": []})).await;
    assert_eq!(
        (refused.code().as_str(), refused.errors()),
        ("IN_USE", pairs(&[("/variants", "IN_USE")]))
    );
    app.delete("/v1/segments/FAIR").await.expect(204);
    app.delete("/v1/campaigns/MAY").await.expect(204);
    assert_eq!(app.get(&format!("{GOLDEN}/{id}")).await.status, 404);
    app.delete("/v1/contacts/OTHER").await.expect(204);
}

#[actix_web::test]
async fn copies_have_the_golden_quotes_on_their_own_days() {
    let app = app().await;
    let of = |date: Option<&str>| {
        json!({"contactNumber": "BUYER", "itemNumber": "DESK", "date": date, "note": "fair",
        "expected": {"unitPrice": "80", "lineAmount": "80"}, "expectedCampaign": true})
    };
    golden(&app, of(None)).await;
    golden(&app, of(Some("2031-05-10"))).await;
    golden(&app, of(Some("9999-12-01"))).await;
    let copies = "/v1/campaigns/MAY/copies";
    app.post(
        copies,
        &json!({"number": "NEXT", "startingDate": "2032-06-01", "endingDate": "2032-06-30"}),
    )
    .await
    .expect(201);
    app.post(copies, &json!({"number": "SOME"})).await.expect(201);
    for (campaign, dates) in
        [("NEXT", vec![json!(null), json!("2032-06-10")]), ("SOME", vec![json!(null)])]
    {
        let listed = app.get(&format!("/v1/campaigns/{campaign}/golden-quotes")).await.expect(200);
        let rows = listed["value"].as_array().unwrap();
        let mut found: Vec<_> = rows.iter().map(|row| row["date"].clone()).collect();
        found.sort_by_key(ToString::to_string);
        let mut dates = dates;
        dates.sort_by_key(ToString::to_string);
        assert_eq!(found, dates, "{campaign}");
        for row in rows {
            let mut row = row.clone();
            for name in ["id", "etag", "date"] {
                row.as_object_mut().unwrap().remove(name);
            }
            assert_eq!(
                row,
                json!({
                    "contactNumber": "BUYER", "customerNumber": null, "itemNumber": "DESK",
                    "variantCode": null, "unitOfMeasureCode": null, "quantity": "1",
                    "currencyCode": null, "pricesIncludeTax": null,
                    "expected": {
                        "unitPrice": "80", "lineDiscountPercent": null, "lineAmount": "80"
                    },
                    "expectedCampaign": true, "note": "fair"
                })
            );
        }
    }
    make::activate(&app, "NEXT").await;
}
