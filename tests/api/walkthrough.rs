//! A sales campaign from plan to result, after Microsoft's published walkthrough for Business
//! Central. A marketing manager invites the visitors of a trade show, offers them prices, and
//! evaluates the results, step by step over HTTP.

use std::sync::Arc;

use kampanje::platform::clock::Calendar;
use serde_json::{Value, json};

use super::support::app::TestApp;

const CAMPAIGN: &str = "/v1/campaigns/CP0001";
const SEGMENT: &str = "/v1/segments/SM0001";
const BUYERS: &str = "jobResponsibilities/any(j: j eq 'PURCHASE')";

/// Returns the company before the campaign: its statuses, contacts, items and interaction
/// templates.
async fn company() -> TestApp {
    let app =
        TestApp::at(Calendar::new(Arc::new(|| "2031-05-15T12:00:00Z".parse().unwrap()))).await;
    let phases = ["PLANNED", "APPROVED", "INITIATED", "SCHEDULED", "STARTED", "DONE"];
    for (at, code) in phases.into_iter().enumerate() {
        let open = !matches!(code, "PLANNED" | "DONE");
        let status = json!({
            "code": code, "sequence": at + 1, "allowsActivation": open, "isFinal": code == "DONE"
        });
        app.post("/v1/campaign-statuses", &status).await.expect(201);
    }
    app.post("/v1/salespeople", &json!({"code": "BC", "name": "Bart"})).await.expect(201);
    app.post("/v1/items", &json!({"number": "DESK", "listPrice": "1000"})).await.expect(201);
    let template = json!({
        "code": "INVITE", "description": "Invitation to the trade show", "cost": "12",
        "durationMinutes": 10
    });
    app.post("/v1/interaction-templates", &template).await.expect(201);
    let company = |number: &str, customer: &str| {
        json!({
            "number": number, "type": "COMPANY", "name": number, "customer": {"number": customer}
        })
    };
    let person = |number: &str, company: Value, city: &str, job: &str| {
        json!({
            "number": number, "type": "PERSON", "name": number, "companyNumber": company,
            "city": city, "jobResponsibilities": [job]
        })
    };
    let mut shy = person("SHY", json!("FURNISH"), "OSLO", "PURCHASE");
    shy["excludeFromSegments"] = json!(true);
    let rows = [
        company("DECORATE", "10000"),
        company("FURNISH", "20000"),
        company("GARDEN", "30000"),
        person("ANN", json!("DECORATE"), "OSLO", "PURCHASE"),
        person("BOB", json!("DECORATE"), "OSLO", "SALES"),
        person("CAT", json!("FURNISH"), "OSLO", "PURCHASE"),
        person("DAN", json!("GARDEN"), "ROME", "PURCHASE"),
        person("EVE", Value::Null, "OSLO", "PURCHASE"),
        shy,
    ];
    app.post("/v1/contacts/batch", &json!({ "rows": rows })).await.expect(200);
    app
}

async fn lines(app: &TestApp, segment: &str) -> Vec<String> {
    let page = app.get(&format!("/v1/segments/{segment}/lines")).await.expect(200);
    page["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["contactNumber"].as_str().unwrap().to_owned())
        .collect()
}

async fn act(app: &TestApp, segment: &str, action: &str, filter: &str) -> Value {
    let path = format!("/v1/segments/{segment}/criteria-actions");
    app.post(&path, &json!({"action": action, "filter": filter})).await.expect(201)
}

/// Returns the price of ten desks for a customer, and the discount.
async fn offer(app: &TestApp, customer: &str) -> (String, String) {
    let order = json!({
        "customerNumber": customer, "date": "2031-05-15",
        "lines": [{"itemNumber": "DESK", "quantity": "10"}]
    });
    let line = app.post("/v1/price-quotes", &order).await.expect(200)["lines"][0].clone();
    let text = |field: &str| line[field].as_str().unwrap().to_owned();
    (text("unitPrice"), text("lineDiscountPercent"))
}

fn terms(price: &str, discount: &str) -> (String, String) {
    (price.to_owned(), discount.to_owned())
}

async fn next_phase(app: &TestApp) -> Value {
    app.post(&format!("{CAMPAIGN}/status-changes"), &json!({})).await.expect(201)["toStatusCode"]
        .clone()
}

#[actix_web::test]
async fn trade_show_campaign() {
    let app = company().await;
    plan(&app).await;
    find_the_audience(&app).await;
    offer_prices(&app).await;
    invite(&app).await;
    register_responses(&app).await;
    close(&app).await;
}

async fn plan(app: &TestApp) {
    let campaign = json!({
        "description": "Visitors of the trade show", "type": "TRADE-SHOW", "statusCode": "PLANNED",
        "salespersonCode": "BC",
        "startingDate": "2031-05-01", "endingDate": "2031-06-30"
    });
    let view = app.post("/v1/campaigns", &campaign).await.expect(201);
    assert_eq!(
        (&view["number"], &view["state"], &view["status"]["code"], &view["nextStatus"]["code"]),
        (&json!("CP0001"), &json!("DRAFT"), &json!("PLANNED"), &json!("APPROVED"))
    );
}

async fn find_the_audience(app: &TestApp) {
    let segment =
        app.post("/v1/segments", &json!({"description": "People who buy"})).await.expect(201);
    assert_eq!(segment["number"], "SM0001");
    let wanted = json!({"action": "ADD", "filter": BUYERS});
    let preview = app.post(&format!("{SEGMENT}/criteria-previews"), &wanted).await.expect(200);
    assert_eq!((&preview["linesAdded"], lines(app, "SM0001").await.len()), (&json!(4), 0));
    act(app, "SM0001", "ADD", BUYERS).await;
    assert_eq!(lines(app, "SM0001").await, ["ANN", "CAT", "DAN", "EVE"]);

    let criteria = json!({"code": "BUYERS", "description": "Who buys", "segmentNumber": "SM0001"});
    app.post("/v1/saved-criteria", &criteria).await.expect(201);

    // The filter removes too many contacts, which an undo corrects.
    let reduced = act(app, "SM0001", "REDUCE", "city eq 'OSLO'").await;
    assert_eq!(
        (&reduced["linesRemoved"], lines(app, "SM0001").await),
        (&json!(3), vec!["DAN".to_owned()])
    );
    app.delete(&format!("{SEGMENT}/criteria-actions/latest")).await.expect(204);
    assert_eq!(lines(app, "SM0001").await, ["ANN", "CAT", "DAN", "EVE"]);
    act(app, "SM0001", "REDUCE", "city ne 'OSLO'").await;
    assert_eq!(lines(app, "SM0001").await, ["ANN", "CAT", "EVE"]);

    // The saved criteria fill another segment, including contacts created since.
    let fay = json!({
        "number": "FAY", "type": "PERSON", "name": "Fay", "jobResponsibilities": ["PURCHASE"]
    });
    app.post("/v1/contacts", &fay).await.expect(201);
    app.post("/v1/segments", &json!({})).await.expect(201);
    app.post("/v1/segments/SM0002/criteria-replays", &json!({"code": "BUYERS"})).await.expect(201);
    assert_eq!(lines(app, "SM0002").await, ["ANN", "CAT", "DAN", "EVE", "FAY"]);
    app.delete("/v1/segments/SM0002").await.expect(204);
}

async fn offer_prices(app: &TestApp) {
    app.patch(SEGMENT, &json!({"campaignNumber": "CP0001"})).await.expect(200);
    let price = json!({"itemNumber": "DESK", "unitPrice": "900"});
    app.post(&format!("{CAMPAIGN}/prices"), &price).await.expect(201);
    let discount =
        json!({"itemNumber": "DESK", "minimumQuantity": "10", "lineDiscountPercent": "5"});
    app.post(&format!("{CAMPAIGN}/discounts"), &discount).await.expect(201);
    // Refused: the status forbids activation, and there are no targets.
    let activations = format!("{CAMPAIGN}/activations");
    let refused = app.post(&activations, &json!({"acknowledge": ["*"]})).await;
    let findings = refused.json()["findings"].clone();
    let codes: Vec<&str> =
        findings.as_array().unwrap().iter().map(|found| found["code"].as_str().unwrap()).collect();
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(
        ["STATUS_FORBIDS_ACTIVATION", "NO_TARGETS"].iter().all(|code| codes.contains(code)),
        "{codes:?}"
    );

    app.patch(SEGMENT, &json!({"campaignTarget": true})).await.expect(200);
    assert_eq!(next_phase(app).await, "APPROVED");
    let listed = terms("1000", "0");
    for customer in ["10000", "20000", "30000"] {
        assert_eq!(offer(app, customer).await, listed, "{customer} before the activation");
    }
    app.post(&activations, &json!({"acknowledge": ["*"]})).await.expect(201);
    assert_eq!(app.get(CAMPAIGN).await.json()["state"], "RUNNING");
    for (customer, expected) in
        [("10000", terms("900", "5")), ("20000", terms("900", "5")), ("30000", listed.clone())]
    {
        assert_eq!(offer(app, customer).await, expected, "{customer} after it");
    }
    // One contact is excluded again.
    app.patch(&format!("{SEGMENT}/lines/CAT"), &json!({"campaignTarget": false})).await.expect(200);
    assert_eq!((offer(app, "10000").await, offer(app, "20000").await), (terms("900", "5"), listed));
}

async fn invite(app: &TestApp) {
    assert_eq!(next_phase(app).await, "INITIATED");
    let logs = format!("{SEGMENT}/logs");
    let refused = app.post(&logs, &json!({"createFollowUp": true})).await;
    assert_eq!((refused.status.as_u16(), refused.errors()[0].1.as_str()), (422, "NO_TEMPLATE"));
    app.patch(SEGMENT, &json!({"interactionTemplateCode": "INVITE", "subject": "See you there"}))
        .await
        .expect(200);
    let log = app.post(&logs, &json!({"createFollowUp": true})).await.expect(201);
    assert_eq!(
        (&log["numberOfInteractions"], &log["followUpSegmentNumber"]),
        (&json!(3), &json!("SM0003"))
    );
    let entries = app.get(&format!("{CAMPAIGN}/entries")).await.expect(200)["value"].clone();
    let entry = &entries[0];
    assert_eq!(
        (
            &entry["segmentNumber"],
            &entry["numberOfInteractions"],
            &entry["cost"],
            &entry["duration"]
        ),
        (&json!("SM0001"), &json!(3), &json!("36"), &json!(30))
    );
    assert_eq!(lines(app, "SM0003").await, ["ANN", "CAT", "EVE"]);
    // The targets stay, and the membership names its reasons.
    assert_eq!(offer(app, "10000").await, terms("900", "5"));
    let why = app.get(&format!("{CAMPAIGN}/audience/ANN")).await.expect(200);
    let verdicts: Vec<_> = why["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (&r["segmentNumber"], &r["verdict"]))
        .collect();
    assert_eq!(
        verdicts,
        [(&json!("SM0001"), &json!("TARGET")), (&json!("SM0003"), &json!("SEGMENT_NO_TARGET"))]
    );
}

async fn register_responses(app: &TestApp) {
    assert_eq!(next_phase(app).await, "SCHEDULED");
    assert_eq!(next_phase(app).await, "STARTED");
    let response = json!({
        "contactNumber": "ANN", "campaignNumber": "CP0001", "campaignResponse": true,
        "description": "Will come",
        "evaluation": "VERY_POSITIVE", "salespersonCode": "BC"
    });
    app.post("/v1/interactions", &response).await.expect(201);
    let filter = "campaignNumber eq 'CP0001' and campaignResponse";
    let responses =
        app.get(&format!("/v1/interactions?count=true&filter={filter}")).await.expect(200);
    assert_eq!(
        (&responses["count"], &responses["value"][0]["contactNumber"]),
        (&json!(1), &json!("ANN"))
    );
    let all =
        app.get("/v1/interactions?count=true&filter=campaignNumber eq 'CP0001'").await.expect(200);
    assert_eq!(all["count"], 4);
    // The follow-up continues with the contacts that have not responded.
    act(app, "SM0003", "REDUCE", "respondedCampaigns/any(c: c eq 'CP0001')").await;
    assert_eq!(lines(app, "SM0003").await, ["CAT", "EVE"]);
    // Next year's segment begins with the invited contacts.
    let reused = app.post("/v1/logged-segments/SM0001/reuses", &json!({"subject": "Again"})).await;
    assert_eq!(
        (reused.status.as_u16(), reused.header("location")),
        (201, "/v1/segments/SM0004"),
        "{reused:?}"
    );
    assert_eq!(lines(app, "SM0004").await, ["ANN", "CAT", "EVE"]);
}

async fn close(app: &TestApp) {
    assert_eq!(next_phase(app).await, "DONE");
    let campaign = app.get(CAMPAIGN).await.expect(200);
    assert_eq!(
        (&campaign["status"]["isFinal"], &campaign["nextStatus"]),
        (&json!(true), &Value::Null)
    );
    app.post(&format!("{CAMPAIGN}/deactivations"), &json!({})).await.expect(201);
    assert_eq!(offer(app, "10000").await, terms("1000", "0"));
    let history = app.get(&format!("{CAMPAIGN}/status-changes?count=true")).await.expect(200);
    assert_eq!(history["count"], 6);
    // Interactions are kept, so the campaign cannot be deleted.
    let refused = app.delete(CAMPAIGN).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "IN_USE"));
}
