//! Inputs of quotes that have no effect, that are unknown, or that are negative. Each is sent by
//! GET and by POST, on the fast path and through the router.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::TestApp;
use super::support::make::{self, Campaign};

const PATH: &str = "/v1/price-quotes";

async fn shop() -> TestApp {
    let app = TestApp::new().await;
    make::item(&app, "CHAIR", "100").await;
    make::company(&app, "BUYER").await;
    let prices = [("CHAIR", "80")];
    let campaign = Campaign { contacts: &["BUYER"], prices: &prices, ..Campaign::default() };
    campaign.create(&app).await;
    make::activate(&app, "SPRING").await;
    app
}

/// Sends a question in all forms, with the pointers of POST. Returns the status and the answer,
/// which are the same for all.
async fn ask(app: &TestApp, question: &Value) -> (u16, Value) {
    let mut document = json!({"date": "2031-05-15"});
    let mut query = "date=2031-05-15".to_owned();
    let mut line = json!({});
    for (name, value) in question.as_object().unwrap() {
        let text = value.as_str().unwrap();
        query.push_str(&format!("&{name}={text}"));
        let holder = if ["itemNumber", "quantity"].contains(&name.as_str()) {
            &mut line
        } else {
            &mut document
        };
        holder[name] = json!(text);
    }
    document["lines"] = json!([line]);
    let posted = app.post(PATH, &document).await;
    // A condition leads off the fast path.
    let conditional = [("if-none-match", "\"none\"")];
    let routed = app.send(Method::POST, PATH, &conditional, Some(&document.to_string())).await;
    let got = app.get(&format!("{PATH}?{query}")).await;
    let answer = |status: u16, body: &Value| {
        let text = body.to_string().replace("\"?", "\"/").replace("/lines/0/", "/");
        let mut body: Value = serde_json::from_str(&text).unwrap();
        for name in ["traceId", "instance"] {
            if let Some(members) = body.as_object_mut() {
                members.remove(name);
            }
        }
        (status, body)
    };
    let first = answer(posted.status.as_u16(), &posted.json());
    assert_eq!(answer(routed.status.as_u16(), &routed.json()), first);
    assert_eq!(answer(got.status.as_u16(), &got.json()), first);
    first
}

#[actix_web::test]
async fn campaign_that_grants_nothing_is_warned_of() {
    let app = shop().await;
    let base = json!({"contactNumber": "BUYER", "itemNumber": "CHAIR"});
    for (campaign, price, code) in
        [("SPRING", "80", None), ("SPRNG", "100", Some("CAMPAIGN_NOT_PUBLISHED"))]
    {
        let mut question = base.clone();
        question["campaignNumber"] = json!(campaign);
        let (status, answer) = ask(&app, &question).await;
        assert_eq!((status, &answer["lines"][0]["unitPrice"]), (200, &json!(price)));
        let warnings = answer["warnings"].as_array().unwrap();
        let codes: Vec<_> = warnings.iter().map(|warning| warning["code"].as_str()).collect();
        assert_eq!(codes, code.map(Some).into_iter().collect::<Vec<_>>());
        assert!(warnings.iter().all(|warning| warning["pointer"] == "/campaignNumber"));
    }
}

#[actix_web::test]
async fn unknown_contact_is_refused_or_counts_as_everybody() {
    let app = shop().await;
    let mut question = json!({"contactNumber": "NOBODY", "itemNumber": "CHAIR"});
    let (status, refused) = ask(&app, &question).await;
    assert_eq!((status, &refused["errors"][0]["pointer"]), (422, &json!("/contactNumber")));
    question["onUnknownContact"] = json!("REFUSE");
    assert_eq!(ask(&app, &question).await.0, 422);
    question["onUnknownContact"] = json!("EVERYBODY");
    let (status, answer) = ask(&app, &question).await;
    assert_eq!((status, &answer["lines"][0]["unitPrice"]), (200, &json!("100")));
    assert_eq!(answer["accountNumber"], Value::Null);
    assert_eq!(answer["warnings"][0]["code"], "UNKNOWN_CONTACT");
    question["onUnknownContact"] = json!("SOME");
    assert_eq!(ask(&app, &question).await.0, 400);
}

#[actix_web::test]
async fn negative_quantity_has_negative_amounts() {
    let app = shop().await;
    let mut question = json!({"contactNumber": "BUYER", "itemNumber": "CHAIR", "quantity": "-3"});
    let (status, answer) = ask(&app, &question).await;
    assert_eq!(status, 200);
    let line = &answer["lines"][0];
    assert_eq!((&line["unitPrice"], &line["lineAmount"]), (&json!("80"), &json!("-240")));
    assert_eq!(answer["totals"]["lineAmount"], "-240");
    for zero in ["0", "-0"] {
        question["quantity"] = json!(zero);
        assert_eq!(ask(&app, &question).await.0, 422, "{zero}");
    }
    let path = "/v1/lowest-prices?itemNumber=CHAIR&quantity=-1";
    assert_eq!(app.get(path).await.expect(422)["errors"][0]["pointer"], "?quantity");
}

#[actix_web::test]
async fn unknown_item_concerns_only_its_line() {
    let app = shop().await;
    let lines = json!([{"itemNumber": "CHAIR"}, {"itemNumber": "CHIAR"}, {"itemNumber": "CHAIR",
        "unitOfMeasureCode": "CRATE"}]);
    let answer = app.post(PATH, &json!({ "lines": lines })).await.expect(200);
    assert_eq!(answer["lines"][0]["unitPrice"], "100");
    assert_eq!(answer["lines"][1]["problem"]["code"], "UNKNOWN_ITEM");
    assert_eq!(answer["lines"][2]["problem"]["code"], "UNKNOWN_UNIT_OF_MEASURE");
    assert_eq!(answer["totals"]["lineAmount"], "100");
}
