//! Segments by rule: contacts enter and leave as they change, and their prices with them.

use kampanje::segments::rule::evaluate_day;
use serde_json::{Value, json};

use super::support::app::{TestApp, pairs};
use super::support::clock::Clock;
use super::support::make;

/// A campaign on the item DESK (100) at 80, for the contacts that match a rule.
async fn campaign(app: &TestApp, filter: &str) {
    make::item(app, "DESK", "100").await;
    make::Campaign { prices: &[("DESK", "80")], ..make::Campaign::default() }.create(app).await;
    let rule = json!({
        "campaignNumber": "SPRING", "campaignTarget": true, "membership": "RULE", "filter": filter
    });
    app.put("/v1/segments/FAIR", &rule).await.expect(200);
}

/// The numbers of the contacts on a segment.
async fn members(app: &TestApp, segment: &str) -> Vec<String> {
    let lines = app.get(&format!("/v1/segments/{segment}/lines?top=1000")).await.expect(200);
    let numbers = lines["value"].as_array().unwrap().iter();
    numbers.map(|line| line["contactNumber"].as_str().unwrap().to_owned()).collect()
}

async fn price(app: &TestApp, contact: &str) -> String {
    let path = format!("/v1/price-quotes?contactNumber={contact}&itemNumber=DESK&date=2031-05-15");
    let quote = app.get(&path).await.expect(200);
    quote["lines"][0]["unitPrice"].as_str().unwrap().to_owned()
}

/// The newest publication.
async fn newest(app: &TestApp) -> Value {
    app.get("/v1/publications?top=1").await.expect(200)["value"][0].clone()
}

#[actix_web::test]
async fn contacts_enter_and_leave_in_the_transaction_that_changes_them() {
    let app = TestApp::new().await;
    make::customer(&app, "OSLO", "D1").await;
    app.patch("/v1/contacts/OSLO", &json!({"city": "Oslo"})).await.expect(200);
    campaign(&app, "city eq 'Oslo'").await;
    assert_eq!(members(&app, "FAIR").await, ["OSLO"]);
    make::activate(&app, "SPRING").await;
    assert_eq!(price(&app, "OSLO").await, "80");

    make::customer(&app, "BERGEN", "D2").await;
    assert_eq!(price(&app, "BERGEN").await, "100");
    let moved = app.patch("/v1/contacts/BERGEN", &json!({"city": "Oslo"})).await;
    assert_ne!(moved.header("publication-version"), "");
    assert_eq!(price(&app, "BERGEN").await, "80");

    let left = app.patch("/v1/contacts/OSLO", &json!({"city": "Bergen"})).await.expect(200);
    assert_eq!(left["warnings"][0]["code"], "ACCOUNTS_LOSE_PRICES", "{left}");
    assert_eq!((price(&app, "OSLO").await.as_str(), members(&app, "FAIR").await.len()), ("100", 1));
    app.patch("/v1/contacts/BERGEN", &json!({"privacyBlocked": true})).await.expect(200);
    assert_eq!(price(&app, "BERGEN").await, "100");
    assert!(members(&app, "FAIR").await.is_empty());
    // A batch changes many contacts in one transaction, and one version follows.
    let rows = json!([
        {"number": "OSLO", "city": "Oslo"}, {"number": "BERGEN", "privacyBlocked": false}
    ]);
    app.post("/v1/contacts/batch", &json!({ "rows": rows })).await.expect(200);
    assert_eq!(
        (price(&app, "OSLO").await, price(&app, "BERGEN").await),
        ("80".into(), "80".into())
    );
}

#[actix_web::test]
async fn empty_filter_selects_all_contacts() {
    let app = TestApp::new().await;
    make::company(&app, "A").await;
    make::company(&app, "B").await;
    app.patch("/v1/contacts/B", &json!({"excludeFromSegments": true})).await.expect(200);
    app.put("/v1/segments/ALL", &json!({"membership": "RULE", "filter": ""})).await.expect(201);
    assert_eq!(members(&app, "ALL").await, ["A"]);
    make::company(&app, "C").await;
    app.patch("/v1/contacts/B", &json!({"excludeFromSegments": false})).await.expect(200);
    assert_eq!(members(&app, "ALL").await, ["A", "B", "C"]);
    assert_eq!(app.delete("/v1/contacts/A").await.status, 204);
    assert_eq!(members(&app, "ALL").await, ["B", "C"]);
}

#[actix_web::test]
async fn changed_rule_changes_the_audience() {
    let app = TestApp::new().await;
    make::customer(&app, "A", "D1").await;
    make::customer(&app, "B", "D2").await;
    campaign(&app, "number eq 'A'").await;
    make::activate(&app, "SPRING").await;
    app.patch("/v1/segments/FAIR", &json!({"filter": "number eq 'B'"})).await.expect(200);
    assert_eq!((price(&app, "A").await, price(&app, "B").await), ("100".into(), "80".into()));
    // As a list it keeps its lines, and no longer follows.
    let list = json!({"membership": "LIST", "filter": ""});
    app.patch("/v1/segments/FAIR", &list).await.expect(200);
    assert_eq!(members(&app, "FAIR").await, ["B"]);
    make::segment_line(&app, "FAIR", "A").await;
    assert_eq!(price(&app, "A").await, "80");
    // As a segment by rule again, it drops the line that does not match.
    let rule = json!({"membership": "RULE", "filter": "number eq 'B'"});
    app.patch("/v1/segments/FAIR", &rule).await.expect(200);
    assert_eq!(
        (members(&app, "FAIR").await, price(&app, "A").await),
        (vec!["B".into()], "100".into())
    );
}

#[actix_web::test]
async fn wrong_rules_are_refused() {
    let app = TestApp::new().await;
    for (body, status, expected) in [
        (json!({"filter": "city eq 'Oslo'"}), 422, ("/filter", "NOT_ALLOWED")),
        (
            json!({"membership": "RULE", "filter": "town eq 'X'"}),
            400,
            ("/filter", "NOT_FILTERABLE"),
        ),
        (
            json!({"membership": "RULE", "filter": "salesAmount(0) gt 1"}),
            400,
            ("/filter", "INVALID_VALUE"),
        ),
        (json!({"membership": "QUERY"}), 400, ("/membership", "INVALID_VALUE")),
    ] {
        let refused = app.put("/v1/segments/R", &body).await;
        assert_eq!((refused.status.as_u16(), refused.errors()), (status, pairs(&[expected])));
    }
    let rows: Vec<Value> =
        (0..101).map(|n| json!({"number": format!("R{n}"), "membership": "RULE"})).collect();
    let refused = app.post("/v1/segments/batch", &json!({ "rows": rows })).await;
    assert!(refused.errors().iter().all(|(_, code)| code == "NOT_ALLOWED"), "{refused:?}");
    assert_eq!(app.get("/v1/segments?count=true").await.expect(200)["count"], 0);
    app.post("/v1/segments/batch", &json!({"rows": rows[..100]})).await.expect(200);
}

#[actix_web::test]
async fn lines_of_a_rule_are_not_selected_otherwise() {
    let app = TestApp::new().await;
    make::company(&app, "A").await;
    make::company(&app, "B").await;
    let add = json!({"action": "ADD", "filter": "number eq 'B'"});
    app.put("/v1/segments/R", &json!({})).await.expect(201);
    app.post("/v1/segments/R/criteria-actions", &add).await.expect(201);
    let rule = json!({"membership": "RULE", "filter": "number eq 'A'"});
    app.put("/v1/segments/R", &rule).await.expect(200);
    assert_eq!(members(&app, "R").await, ["A"]);
    let not_allowed = pairs(&[("", "NOT_ALLOWED")]);
    let refused = app.post("/v1/segments/R/lines", &json!({"contactNumber": "B"})).await;
    assert_eq!((refused.status.as_u16(), refused.errors()), (422, not_allowed.clone()));
    let refused = app.delete("/v1/segments/R/lines/A").await;
    assert_eq!((refused.status.as_u16(), refused.errors()), (422, not_allowed.clone()));
    let refused = app.post("/v1/segments/R/criteria-actions", &add).await;
    assert_eq!((refused.status.as_u16(), refused.errors()), (422, not_allowed));
    // The history of the list is gone: undoing it would bring back lines that do not match.
    assert_eq!(app.get("/v1/segments/R/criteria-actions/latest").await.status, 404);
    // One contact can still be let out.
    app.patch("/v1/segments/R/lines/A", &json!({"campaignTarget": false})).await.expect(200);
    app.patch("/v1/contacts/A", &json!({"city": "Oslo"})).await.expect(200);
    let line = app.get("/v1/segments/R/lines/A").await.expect(200);
    assert_eq!(line["campaignTarget"], false, "a line that stays keeps its own setting");
}

#[actix_web::test]
async fn persons_follow_their_company() {
    let app = TestApp::new().await;
    make::company(&app, "ACME").await;
    make::person(&app, "PIA", "ACME").await;
    let rule = |filter: &str| json!({"membership": "RULE", "filter": filter});
    app.put("/v1/segments/C", &rule("hasCustomer and type eq 'PERSON'")).await.expect(201);
    app.put("/v1/segments/P", &rule("priceGroupCode eq 'GOLD'")).await.expect(201);
    app.put("/v1/segments/D", &rule("discountGroupCode ne 'GOLD'")).await.expect(201);
    assert_eq!(members(&app, "D").await, ["ACME", "PIA"]);
    let customer = json!({
        "customer": {"number": "D1", "priceGroupCode": "GOLD", "discountGroupCode": "GOLD"}
    });
    app.patch("/v1/contacts/ACME", &customer).await.expect(200);
    assert_eq!(members(&app, "C").await, ["PIA"]);
    assert_eq!(members(&app, "P").await, ["ACME", "PIA"]);
    assert!(members(&app, "D").await.is_empty());
    app.patch("/v1/contacts/PIA", &json!({"companyNumber": null})).await.expect(200);
    assert_eq!((members(&app, "C").await, members(&app, "D").await), (vec![], vec!["PIA".into()]));
}

/// A posted line on a day, for DESK.
fn sale(kind: &str, line: i32, date: &str, amount: &str) -> Value {
    json!({
        "documentType": kind, "documentNumber": "X1", "lineNumber": line, "postingDate": date,
        "contactNumber": "PIA", "itemNumber": "DESK", "lineAmount": amount
    })
}

#[actix_web::test]
async fn sales_bring_accounts_in_and_time_takes_them_out() {
    let clock = Clock::at("2031-05-10T10:00:00Z");
    let app = TestApp::at(clock.calendar()).await;
    make::customer(&app, "ACME", "D1").await;
    make::person(&app, "PIA", "ACME").await;
    campaign(&app, "salesAmount(1) ge 1000 and type eq 'COMPANY'").await;
    app.post("/v1/campaigns/SPRING/activations", &json!({"acknowledge": ["*"]})).await;
    app.put("/v1/segments/MANUAL", &json!({"campaignNumber": "SPRING", "campaignTarget": true}))
        .await
        .expect(201);
    make::company(&app, "OTHER").await;
    make::segment_line(&app, "MANUAL", "OTHER").await;
    make::activate(&app, "SPRING").await;

    app.post("/v1/sales", &sale("INVOICE", 1, "2031-05-01", "999")).await.expect(201);
    assert!(members(&app, "FAIR").await.is_empty());
    let posted = app.post("/v1/sales", &sale("INVOICE", 2, "2031-05-09", "1")).await;
    assert_ne!(posted.header("publication-version"), "", "{posted:?}");
    assert_eq!(
        (members(&app, "FAIR").await, price(&app, "PIA").await),
        (vec!["ACME".into()], "80".into())
    );
    app.post("/v1/sales", &sale("CREDIT_MEMO", 3, "2031-05-09", "1")).await.expect(201);
    assert_eq!(price(&app, "PIA").await, "100");
    app.post("/v1/sales", &sale("INVOICE", 4, "2031-05-10", "1")).await.expect(201);
    assert_eq!(price(&app, "PIA").await, "80");

    // A month after the first invoice its amount no longer counts.
    clock.set("2031-06-01T10:00:00Z");
    let today = clock.calendar().today();
    evaluate_day(&app.units_of_work, today).await.unwrap();
    assert!(members(&app, "FAIR").await.is_empty());
    assert_eq!(price(&app, "PIA").await, "100");
    let last = newest(&app).await;
    assert_eq!((&last["author"], &last["campaignNumber"]), (&json!("system"), &json!("SPRING")));
    // The day is evaluated once.
    evaluate_day(&app.units_of_work, today).await.unwrap();
    assert_eq!(newest(&app).await, last);
}

#[actix_web::test]
async fn interactions_bring_contacts_in() {
    let app = TestApp::new().await;
    make::company(&app, "A").await;
    app.post("/v1/campaigns", &json!({"number": "FAIR"})).await.expect(201);
    let rule = json!({"membership": "RULE", "filter": "respondedCampaigns/any(c: c eq 'FAIR')"});
    app.put("/v1/segments/R", &rule).await.expect(201);
    assert!(members(&app, "R").await.is_empty());
    let response =
        json!({"contactNumber": "A", "campaignNumber": "FAIR", "campaignResponse": true});
    let created = app.post("/v1/interactions", &response).await.expect(201);
    assert_eq!(members(&app, "R").await, ["A"]);
    let path = format!("/v1/interactions/{}", created["id"].as_str().unwrap());
    app.patch(&path, &json!({"canceled": true})).await.expect(200);
    assert!(members(&app, "R").await.is_empty());
}

#[actix_web::test]
async fn copied_campaign_keeps_the_rule() {
    let app = TestApp::new().await;
    make::customer(&app, "A", "D1").await;
    campaign(&app, "number eq 'A' or number eq 'B'").await;
    let copy =
        app.post("/v1/campaigns/SPRING/copies", &json!({"number": "AUTUMN"})).await.expect(201);
    assert_eq!(copy["number"], "AUTUMN");
    let path = "/v1/segments?filter=campaignNumber%20eq%20'AUTUMN'";
    let segment = app.get(path).await.expect(200)["value"][0].clone();
    assert_eq!(segment["membership"], "RULE");
    make::customer(&app, "B", "D2").await;
    let number = segment["number"].as_str().unwrap();
    assert_eq!(members(&app, number).await, ["A", "B"]);
}

#[actix_web::test]
async fn concurrent_changes_of_rule_and_contacts_agree_in_the_end() {
    let app = TestApp::new().await;
    for n in 0..20 {
        make::company(&app, &format!("C{n:02}")).await;
    }
    app.put("/v1/segments/R", &json!({"membership": "RULE", "filter": "city eq 'Y'"}))
        .await
        .expect(201);
    for round in 0..5 {
        let filter = if round % 2 == 0 { "city eq 'X'" } else { "city eq 'Y'" };
        let rule = json!({ "filter": filter });
        let moves = (0..20).map(|n| {
            let (app, city) = (&app, if (n + round) % 3 == 0 { "X" } else { "Y" });
            let path = format!("/v1/contacts/C{n:02}");
            async move { app.patch(&path, &json!({ "city": city })).await.expect(200) }
        });
        let (changed, _) =
            tokio::join!(app.patch("/v1/segments/R", &rule), futures_util::future::join_all(moves));
        changed.expect(200);
        let path = format!("/v1/contacts?top=100&filter={}", filter.replace(' ', "%20"));
        let matching = app.get(&path).await.expect(200);
        let numbers: Vec<&str> = matching["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|contact| contact["number"].as_str().unwrap())
            .collect();
        assert_eq!(members(&app, "R").await, numbers, "{filter}");
    }
}
