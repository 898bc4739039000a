//! Guardrails: every path that publishes is checked, with a warning or a refusal.

use serde_json::{Value, json};

use super::support::app::{Reply, TestApp};
use super::support::make::{self, Campaign};

/// Returns an app with an item of list price 100 and cost 60 in the group FURN, two customers and
/// the campaign SPRING for one of them.
async fn ready(prices: &[(&str, &str)]) -> TestApp {
    let app = TestApp::new().await;
    let desk = json!({
        "listPrice": "100", "unitCost": "60", "taxPercent": "25", "itemDiscountGroupCode": "FURN"
    });
    app.put("/v1/items/DESK", &desk).await.expect(201);
    make::customer(&app, "BUYER", "D1").await;
    make::customer(&app, "OTHER", "D2").await;
    Campaign { contacts: &["BUYER"], prices, ..Campaign::default() }.create(&app).await;
    app
}

async fn settings(app: &TestApp, changes: &Value) {
    app.patch("/v1/settings", changes).await.expect(200);
}

async fn block(app: &TestApp) {
    settings(app, &json!({"marginFloorPercent": "20", "guardrailMode": "BLOCK"})).await;
}

fn codes(findings: &Value) -> Vec<&str> {
    findings.as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap()).collect()
}

/// Returns the codes of the errors of a refusal.
fn refused(reply: &Reply) -> Vec<String> {
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (422, "ACTIVATION_REFUSED"),
        "{reply:?}"
    );
    let body = reply.json();
    let errors = body["findings"].as_array().unwrap().iter().filter(|it| it["severity"] == "ERROR");
    errors.map(|it| it["code"].as_str().unwrap().to_owned()).collect()
}

async fn net(app: &TestApp, contact: &str, date: &str) -> String {
    let path = format!("/v1/price-quotes?contactNumber={contact}&itemNumber=DESK&date={date}");
    app.get(&path).await.expect(200)["lines"][0]["lineAmount"].as_str().unwrap().to_owned()
}

const ACTIVATIONS: &str = "/v1/campaigns/SPRING/activations";

#[actix_web::test]
async fn activation_below_cost_needs_acknowledgment() {
    let app = ready(&[("DESK", "50")]).await;
    let seen = app.post(ACTIVATIONS, &json!({"validateOnly": true})).await.expect(200);
    assert_eq!(codes(&seen["findings"]), ["NET_BELOW_COST"]);
    let finding = &seen["findings"][0];
    assert_eq!(finding["severity"], "WARNING");
    let line = app.get("/v1/campaigns/SPRING/prices").await.json()["value"][0]["id"].clone();
    assert_eq!(finding["pointer"], format!("/prices/{}", line.as_str().unwrap()));
    for (name, value) in [
        ("itemNumber", json!("DESK")),
        ("numberOfAccounts", json!(1)),
        ("accountNumber", json!("BUYER")),
        ("netUnitPrice", json!("50")),
        ("unitCost", json!("60")),
        ("marginPercent", json!("-20")),
        ("date", json!("2031-05-01")),
        ("campaignNumbers", json!(["SPRING"])),
    ] {
        assert_eq!(finding["params"][name], value, "{name}: {finding}");
    }
    assert_eq!(app.post(ACTIVATIONS, &json!({})).await.status, 422);
    app.post(ACTIVATIONS, &json!({"acknowledge": ["NET_BELOW_COST"]})).await.expect(201);
    assert_eq!(net(&app, "BUYER", "2031-05-15").await, "50");
}

#[actix_web::test]
async fn findings_are_acknowledged_by_id() {
    let app = ready(&[("DESK", "50")]).await;
    let id = async || {
        let seen = app.post(ACTIVATIONS, &json!({"validateOnly": true})).await.expect(200);
        seen["findings"][0]["findingId"].clone()
    };
    let first = id().await;
    assert_eq!(id().await, first, "the same facts have the same id");
    app.patch("/v1/items/DESK", &json!({"unitCost": "61"})).await.expect(200);
    let second = id().await;
    assert_ne!(second, first, "other facts have another");
    let refused = app.post(ACTIVATIONS, &json!({"acknowledge": [first]})).await;
    assert_eq!(refused.status, 422);
    app.post(ACTIVATIONS, &json!({"acknowledge": [second]})).await.expect(201);
    // Not every text is an id.
    let wrong = app.post(ACTIVATIONS, &json!({"acknowledge": ["8f14e45f"]})).await;
    assert_eq!((wrong.status.as_u16(), wrong.errors()[0].0.as_str()), (400, "/acknowledge/0"));
}

#[actix_web::test]
async fn block_refuses_the_activation() {
    let app = ready(&[("DESK", "70")]).await;
    block(&app).await;
    let all = json!({"acknowledge": ["*"]});
    let reply = app.post(ACTIVATIONS, &all).await;
    assert_eq!(refused(&reply), ["BELOW_MARGIN_FLOOR"]);
    let params = reply.json()["findings"][0]["params"].clone();
    assert_eq!(
        (&params["marginPercent"], &params["marginFloorPercent"]),
        (&json!("14.29"), &json!("20"))
    );
    assert_eq!(net(&app, "BUYER", "2031-05-15").await, "100");
    // 75 has a margin of exactly 20 %.
    let line = app.get("/v1/campaigns/SPRING/prices").await.json()["value"][0]["id"].clone();
    let path = format!("/v1/campaigns/SPRING/prices/{}", line.as_str().unwrap());
    app.patch(&path, &json!({"unitPrice": "74.99999"})).await.expect(200);
    assert_eq!(refused(&app.post(ACTIVATIONS, &all).await), ["BELOW_MARGIN_FLOOR"]);
    app.patch(&path, &json!({"unitPrice": "75"})).await.expect(200);
    app.post(ACTIVATIONS, &json!({})).await.expect(201);
    assert_eq!(net(&app, "BUYER", "2031-05-15").await, "75");
}

#[actix_web::test]
async fn campaign_has_guardrails_of_its_own() {
    let app = ready(&[("DESK", "70")]).await;
    block(&app).await;
    let own = json!({"marginFloorPercent": "10"});
    let campaign = app.patch("/v1/campaigns/SPRING", &own).await.expect(200);
    assert_eq!(
        (&campaign["marginFloorPercent"], &campaign["guardrailMode"]),
        (&json!("10"), &Value::Null)
    );
    app.post(ACTIVATIONS, &json!({})).await.expect(201);
    // A copy has them too, and is checked when it is activated.
    let copy = json!({"number": "COPY", "startingDate": "2031-06-01", "endingDate": "2031-06-30"});
    app.post("/v1/campaigns/SPRING/copies", &copy).await.expect(201);
    app.patch("/v1/campaigns/COPY", &json!({"marginFloorPercent": "15"})).await.expect(200);
    let reply = app.post("/v1/campaigns/COPY/activations", &json!({"acknowledge": ["*"]})).await;
    assert_eq!(refused(&reply), ["BELOW_MARGIN_FLOOR"]);
    app.patch("/v1/campaigns/COPY", &json!({"guardrailMode": "OFF"})).await.expect(200);
    app.post("/v1/campaigns/COPY/activations", &json!({})).await.expect(201);
    let wrong = app.patch("/v1/campaigns/COPY", &json!({"guardrailMode": "STRICT"})).await;
    assert_eq!(wrong.status, 400);
    let wrong = app.patch("/v1/settings", &json!({"marginFloorPercent": "101"})).await;
    assert_eq!(wrong.errors()[0].0, "/marginFloorPercent");
}

#[actix_web::test]
async fn discount_is_bounded_by_the_list_price() {
    let app = ready(&[]).await;
    settings(&app, &json!({"maxDiscountPercent": "30", "guardrailMode": "BLOCK"})).await;
    app.put("/v1/items/DESK", &json!({"listPrice": "100", "itemDiscountGroupCode": "FURN"}))
        .await
        .expect(200);
    let group = json!({"itemDiscountGroupCode": "FURN", "lineDiscountPercent": "40"});
    let line = app.post("/v1/campaigns/SPRING/discounts", &group).await.expect(201);
    let reply = app.post(ACTIVATIONS, &json!({"acknowledge": ["*"]})).await;
    assert_eq!(refused(&reply), ["DISCOUNT_TOO_DEEP"]);
    assert_eq!(reply.json()["findings"][0]["params"]["discountPercent"], "40");
    let path = format!("/v1/campaigns/SPRING/discounts/{}", line["id"].as_str().unwrap());
    app.patch(&path, &json!({"lineDiscountPercent": "30"})).await.expect(200);
    app.post(ACTIVATIONS, &json!({})).await.expect(201);
}

#[actix_web::test]
async fn line_that_lowers_nothing_has_no_gain() {
    let app = ready(&[("DESK", "100")]).await;
    let seen = app.post(ACTIVATIONS, &json!({"validateOnly": true})).await.expect(200);
    assert_eq!(codes(&seen["findings"]), ["NO_GAIN"]);
    let params = &seen["findings"][0]["params"];
    assert_eq!(params, &json!({"itemNumber": "DESK", "items": 1, "numberOfAccounts": 1}));
    block(&app).await;
    let reply = app.post(ACTIVATIONS, &json!({"acknowledge": ["*"]})).await;
    assert_eq!(refused(&reply), ["NO_GAIN"]);
    settings(&app, &json!({"guardrailMode": "OFF"})).await;
    app.post(ACTIVATIONS, &json!({})).await.expect(201);
}

#[actix_web::test]
async fn change_of_an_active_campaign_is_checked_before_it_takes_effect() {
    let app = ready(&[("DESK", "80")]).await;
    app.post(ACTIVATIONS, &json!({})).await.expect(201);
    let line = app.get("/v1/campaigns/SPRING/prices").await.json()["value"][0]["id"].clone();
    let path = format!("/v1/campaigns/SPRING/prices/{}", line.as_str().unwrap());

    // Validated: the findings, and nothing changes.
    let version = app.book.snapshot().version();
    let seen = app.patch(&format!("{path}?validateOnly=true"), &json!({"unitPrice": "50"})).await;
    assert_eq!((seen.status.as_u16(), seen.header("publication-version")), (200, ""));
    let seen = seen.json();
    assert_eq!(
        (&seen["unitPrice"], codes(&seen["warnings"])),
        (&json!("50"), vec!["NET_BELOW_COST"])
    );
    let rows = json!({"rows": [{"itemNumber": "DESK", "unitPrice": "40"}], "validateOnly": true});
    let seen = app.post("/v1/campaigns/SPRING/prices/batch", &rows).await.expect(200);
    assert_eq!(seen["receipts"][0]["status"], 200);
    assert_eq!(codes(&seen["warnings"]), ["NET_BELOW_COST"]);
    let seen = app.delete(&format!("{path}?validateOnly=true")).await.expect(200);
    assert_eq!(codes(&seen["warnings"]), ["NO_PRICES"]);
    let added = json!({"itemNumber": "DESK", "minimumQuantity": "5", "unitPrice": "78"});
    let seen = app.post("/v1/campaigns/SPRING/prices?validateOnly=true", &added).await.expect(200);
    assert_eq!(seen["warnings"], json!([]));
    assert_eq!(app.get("/v1/campaigns/SPRING/prices?count=true").await.json()["count"], 1);
    assert_eq!(net(&app, "BUYER", "2031-05-15").await, "80");
    assert_eq!(app.book.snapshot().version(), version);
    let wrong = app.patch(&format!("{path}?validateOnly=maybe"), &json!({})).await;
    assert_eq!((wrong.status.as_u16(), wrong.errors()[0].0.as_str()), (400, "?validateOnly"));

    // Warned of: beside the response.
    let changed = app.patch(&path, &json!({"unitPrice": "55"})).await.expect(200);
    assert_eq!(codes(&changed["warnings"]), ["NET_BELOW_COST"]);
    app.patch(&path, &json!({"unitPrice": "80"})).await.expect(200);

    // Blocked: in the refusal, and nothing is published.
    block(&app).await;
    let reply = app.patch(&path, &json!({"unitPrice": "74"})).await;
    assert_eq!(refused(&reply), ["BELOW_MARGIN_FLOOR"]);
    let reply = app.patch(&format!("{path}?validateOnly=true"), &json!({"unitPrice": "74"})).await;
    assert_eq!(refused(&reply), ["BELOW_MARGIN_FLOOR"]);
    let rows = json!({"rows": [{"itemNumber": "DESK", "unitPrice": "74"}]});
    let reply = app.post("/v1/campaigns/SPRING/prices/batch", &rows).await;
    assert_eq!(refused(&reply), ["BELOW_MARGIN_FLOOR"]);
    assert_eq!(net(&app, "BUYER", "2031-05-15").await, "80");
    app.patch(&path, &json!({"unitPrice": "76"})).await.expect(200);
    assert_eq!(net(&app, "BUYER", "2031-05-15").await, "76");
}

#[actix_web::test]
async fn new_account_and_new_dates_are_checked() {
    let app = ready(&[("DESK", "80")]).await;
    // OTHER has a discount of its own, which the campaign's price allows. June is dearer for it.
    let own = json!({
        "source": {"type": "CONTACT", "contactNumber": "OTHER"}, "itemNumber": "DESK",
        "lineDiscountPercent": "15", "startingDate": "2031-05-20", "endingDate": "2031-06-10"
    });
    app.post("/v1/discounts", &own).await.expect(201);
    block(&app).await;
    app.post(ACTIVATIONS, &json!({})).await.expect(201);
    // On the first day OTHER would pay 80, from 20 May on 68.
    let line = json!({"contactNumber": "OTHER"});
    let reply = app.post("/v1/segments/FAIR/lines", &line).await;
    assert_eq!(refused(&reply), ["BELOW_MARGIN_FLOOR"]);
    assert_eq!(reply.json()["findings"][0]["params"]["date"], "2031-05-20");
    app.patch("/v1/campaigns/SPRING", &json!({"endingDate": "2031-05-19"})).await.expect(200);
    app.post("/v1/segments/FAIR/lines", &line).await.expect(201);
    // A change of the dates brings the combination back.
    let reply = app.patch("/v1/campaigns/SPRING", &json!({"endingDate": "2031-05-31"})).await;
    assert_eq!(refused(&reply), ["BELOW_MARGIN_FLOOR"]);
    app.patch("/v1/campaigns/SPRING", &json!({"endingDate": "2031-05-18"})).await.expect(200);
    assert_eq!(net(&app, "OTHER", "2031-05-18").await, "80");
}

#[actix_web::test]
async fn standing_lines_and_list_prices_are_checked() {
    let app = ready(&[("DESK", "80")]).await;
    block(&app).await;
    app.post(ACTIVATIONS, &json!({})).await.expect(201);
    // For everybody, also while nobody has a campaign.
    let all = json!({"source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK", "unitPrice": "70"});
    assert_eq!(refused(&app.post("/v1/prices", &all).await), ["BELOW_MARGIN_FLOOR"]);
    let batch = json!({"rows": [all]});
    assert_eq!(refused(&app.post("/v1/prices/batch", &batch).await), ["BELOW_MARGIN_FLOOR"]);
    // 20 % are allowed on the list price, but not on the campaign's price.
    let all = json!({
        "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK", "lineDiscountPercent": "20"
    });
    let reply = app.post("/v1/discounts", &all).await;
    assert_eq!(refused(&reply), ["BELOW_MARGIN_FLOOR"]);
    let params = reply.json()["findings"][0]["params"].clone();
    assert_eq!(
        (&params["accountNumber"], &params["numberOfAccounts"], &params["netUnitPrice"]),
        (&json!("BUYER"), &json!(1), &json!("64"))
    );
    let ended = json!({
        "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK", "lineDiscountPercent": "20",
        "endingDate": "2031-04-30"
    });
    app.post("/v1/discounts", &ended).await.expect(201);
    // List prices, less 20 % until April. A dearer cost alone refuses nothing.
    let reply = app.patch("/v1/items/DESK", &json!({"listPrice": "93.74999"})).await;
    assert_eq!(refused(&reply), ["BELOW_MARGIN_FLOOR"]);
    let reply = app.put("/v1/items/LAMP", &json!({"listPrice": "10", "unitCost": "11"})).await;
    assert_eq!(refused(&reply), ["BELOW_MARGIN_FLOOR", "NET_BELOW_COST"]);
    app.patch("/v1/items/DESK", &json!({"listPrice": "95"})).await.expect(200);
    app.patch("/v1/items/DESK", &json!({"unitCost": "90"})).await.expect(200);
    // What is below the floor by then may rise, but not fall.
    app.patch("/v1/items/DESK", &json!({"listPrice": "96"})).await.expect(200);
    let reply = app.patch("/v1/items/DESK", &json!({"listPrice": "95.5"})).await;
    assert_eq!(refused(&reply), ["BELOW_MARGIN_FLOOR", "NET_BELOW_COST"]);
}

#[actix_web::test]
async fn rollback_and_deactivation_are_checked() {
    let app = ready(&[("DESK", "70")]).await;
    let first = app.post(ACTIVATIONS, &json!({})).await.expect(201)["version"].clone();
    let line = app.get("/v1/campaigns/SPRING/prices").await.json()["value"][0]["id"].clone();
    let path = format!("/v1/campaigns/SPRING/prices/{}", line.as_str().unwrap());
    app.patch(&path, &json!({"unitPrice": "80"})).await.expect(200);
    block(&app).await;
    let rollbacks = "/v1/campaigns/SPRING/rollbacks";
    let reply = app.post(rollbacks, &json!({"version": first})).await;
    assert_eq!(refused(&reply), ["BELOW_MARGIN_FLOOR"]);
    assert_eq!(net(&app, "BUYER", "2031-05-15").await, "80");
    settings(&app, &json!({"guardrailMode": "WARN"})).await;
    let done = app.post(rollbacks, &json!({"version": first})).await.expect(201);
    assert_eq!(codes(&done["warnings"]), ["BELOW_MARGIN_FLOOR"]);
    assert_eq!(net(&app, "BUYER", "2031-05-15").await, "70");

    // A campaign that is first by policy can hide a cheaper standing price.
    settings(&app, &json!({"pricePolicy": "CAMPAIGN_FIRST", "guardrailMode": "OFF"})).await;
    let own = json!({
        "source": {"type": "CONTACT", "contactNumber": "BUYER"}, "itemNumber": "DESK",
        "unitPrice": "65", "startingDate": "2031-05-01", "endingDate": "2031-05-31"
    });
    app.post("/v1/prices", &own).await.expect(201);
    settings(&app, &json!({"guardrailMode": "BLOCK"})).await;
    let reply = app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await;
    assert_eq!(refused(&reply), ["BELOW_MARGIN_FLOOR"]);
    settings(&app, &json!({"guardrailMode": "WARN"})).await;
    let done = app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await.expect(201);
    assert_eq!(codes(&done["warnings"]), ["BELOW_MARGIN_FLOOR"]);
    assert_eq!(net(&app, "BUYER", "2031-05-15").await, "65");
}

#[actix_web::test]
async fn contact_changes_are_not_refused() {
    let app = ready(&[("DESK", "80")]).await;
    let group = json!({
        "source": {"type": "CUSTOMER_DISCOUNT_GROUP", "code": "GOLD"}, "itemNumber": "DESK",
        "lineDiscountPercent": "20"
    });
    app.post("/v1/discounts", &group).await.expect(201);
    app.post(ACTIVATIONS, &json!({})).await.expect(201);
    block(&app).await;
    let gold = json!({"customer": {"number": "D1", "discountGroupCode": "GOLD"}});
    app.patch("/v1/contacts/BUYER", &gold).await.expect(200);
    assert_eq!(net(&app, "BUYER", "2031-05-15").await, "64");
}

#[actix_web::test]
async fn dearer_cost_is_an_event() {
    let app = ready(&[("DESK", "80")]).await;
    block(&app).await;
    app.post(ACTIVATIONS, &json!({})).await.expect(201);
    let events = async || {
        let path = "/v1/events?type=kampanje.guardrail.violated";
        let list = app.get(path).await.expect(200);
        let events = list["value"].as_array().unwrap().clone();
        events.iter().map(|it| (it["subject"].clone(), it["data"].clone())).collect::<Vec<_>>()
    };
    app.patch("/v1/items/DESK", &json!({"unitCost": "64"})).await.expect(200);
    assert_eq!(events().await, [], "64 is the cost at which the margin of 80 is 20 %");
    app.patch("/v1/items/DESK", &json!({"unitCost": "65"})).await.expect(200);
    let seen = events().await;
    let [(subject, data)] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!(subject, "items/DESK");
    assert_eq!(
        (&data["code"], &data["numberOfAccounts"]),
        (&json!("BELOW_MARGIN_FLOOR"), &json!(1))
    );
    // What was below the floor is not announced again, but what is below the cost is.
    app.patch("/v1/items/DESK", &json!({"unitCost": "60"})).await.expect(200);
    assert_eq!(events().await.len(), 1);
    app.patch("/v1/items/DESK", &json!({"unitCost": "85"})).await.expect(200);
    let codes: Vec<Value> = events().await.iter().map(|(_, data)| data["code"].clone()).collect();
    assert_eq!(codes, ["BELOW_MARGIN_FLOOR", "BELOW_MARGIN_FLOOR", "NET_BELOW_COST"]);
}
