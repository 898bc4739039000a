//! The lines that an explained quote lists: those of the requesting account. The prices of others
//! are counted, and appear nowhere in the response.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::TestApp;
use super::support::make;

const PATH: &str = "/v1/price-quotes";
/// Prices of others. None of these digits appears in a response for the buyer.
const CANARIES: [&str; 4] = ["41.0917", "42.0917", "43.0917", "13.0917"];

/// Returns a desk with a price for each of two customers, for a group, and in a campaign for one of
/// them.
async fn shop() -> TestApp {
    let app = TestApp::new().await;
    make::item(&app, "DESK", "100").await;
    for (number, customer) in [
        ("BUYER", json!({"number": "D1", "priceGroupCode": "SILVER"})),
        ("RIVAL", json!({"number": "D2", "priceGroupCode": "GOLD"})),
    ] {
        let contact = json!({"type": "COMPANY", "name": number, "customer": customer});
        app.put(&format!("/v1/contacts/{number}"), &contact).await.expect(201);
    }
    let contact = |number: &str| json!({"type": "CONTACT", "contactNumber": number});
    let group = |code: &str| json!({"type": "CUSTOMER_PRICE_GROUP", "code": code});
    for (source, price) in [
        (contact("BUYER"), "90"),
        (group("SILVER"), "95"),
        (json!({"type": "ALL_CUSTOMERS"}), "99"),
        (contact("RIVAL"), CANARIES[0]),
        (group("GOLD"), CANARIES[1]),
    ] {
        let line = json!({"source": source, "itemNumber": "DESK", "unitPrice": price});
        app.post("/v1/prices", &line).await.expect(201);
    }
    let discount = json!({
        "source": contact("RIVAL"), "itemNumber": "DESK", "lineDiscountPercent": CANARIES[3]
    });
    app.post("/v1/discounts", &discount).await.expect(201);
    app.put("/v1/campaigns/SPRING", &json!({"startingDate": "2031-05-01"})).await.expect(201);
    make::target_segment(&app, "SPRING", "SPRING").await;
    app.put("/v1/segments/SPRING/lines/RIVAL", &json!({})).await.expect(201);
    let line = json!({"itemNumber": "DESK", "unitPrice": CANARIES[2]});
    app.post("/v1/campaigns/SPRING/prices", &line).await.expect(201);
    make::activate(&app, "SPRING").await;
    // Without `quotes:explain`, which programs on the same machine have.
    app.with_scopes(&["quotes:read", "campaigns:read", "catalog:write"]).await
}

/// Returns the explained quote for a customer in every form of request: by GET, by POST on and off
/// the fast path, of the present book and as a replay.
async fn answers(app: &TestApp, question: &Value) -> Vec<String> {
    let version = app.book.snapshot().version();
    // The next version becomes the present one, so the replay is computed from the database.
    app.put("/v1/items/LATER", &json!({"listPrice": "1", "description": version.to_string()}))
        .await;
    let mut document = question.clone();
    document["date"] = json!("2031-05-15");
    document["lines"] = json!([{"itemNumber": "DESK"}]);
    let mut explained = document.clone();
    explained["explain"] = json!(true);
    let mut query = "itemNumber=DESK&date=2031-05-15&explain=true".to_owned();
    for (name, value) in question.as_object().unwrap() {
        query += &format!("&{name}={}", value.as_str().unwrap());
    }
    let (document, explained) = (document.to_string(), explained.to_string());
    let mut texts = Vec::new();
    for replay in ["", &format!("&publicationVersion={version}")] {
        texts.push(app.get(&format!("{PATH}?{query}{replay}")).await);
        for media in ["application/json", "application/json; charset=utf-8"] {
            let headers = [("content-type", media)];
            let path = format!("{PATH}?explain=true{replay}");
            texts.push(app.send(Method::POST, &path, &headers, Some(&document)).await);
            let path = format!("{PATH}?{}", replay.trim_start_matches('&'));
            texts.push(app.send(Method::POST, &path, &headers, Some(&explained)).await);
        }
    }
    assert_eq!(texts.len(), 10);
    let text = |reply: super::support::app::Reply| {
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.text
    };
    texts.into_iter().map(text).collect()
}

fn trace(text: &str) -> Value {
    serde_json::from_str::<Value>(text).unwrap()["lines"][0]["trace"].take()
}

/// Returns the price and the verdict of each price line in a trace, sorted.
fn listed(trace: &Value) -> Vec<(&str, &str)> {
    let prices = trace["prices"].as_array().unwrap().iter();
    let mut listed: Vec<_> = prices
        .map(|line| (line["unitPrice"].as_str().unwrap(), line["verdict"].as_str().unwrap()))
        .collect();
    listed.sort_unstable();
    listed
}

#[actix_web::test]
async fn prices_of_other_customers_appear_nowhere() {
    let app = shop().await;
    let others = json!([
        {"verdict": "OTHER_SOURCE", "count": 3},
        {"verdict": "NOT_IN_AUDIENCE", "count": 1}
    ]);
    for question in [json!({"contactNumber": "BUYER"}), json!({"customerNumber": "D1"})] {
        for text in answers(&app, &question).await {
            let trace = trace(&text);
            let own = [("90", "CHOSEN"), ("95", "HIGHER_NET"), ("99", "HIGHER_NET")];
            assert_eq!((listed(&trace), &trace["discounts"]), (own.to_vec(), &json!([])), "{text}");
            assert_eq!(
                (&trace["otherLines"], &trace["campaign"]),
                (&others, &Value::Null),
                "{text}"
            );
            for canary in CANARIES.iter().chain(&["RIVAL", "GOLD", "SPRING"]) {
                assert!(!text.contains(canary), "{canary} in {text}");
            }
        }
    }
    for text in answers(&app, &json!({})).await {
        assert_eq!(listed(&trace(&text)), [("99", "CHOSEN")], "{text}");
        assert!(!CANARIES.iter().any(|canary| text.contains(canary)), "{text}");
    }
}

#[actix_web::test]
async fn foreign_campaign_explains_its_refusal_without_prices() {
    let app = shop().await;
    for text in answers(&app, &json!({"contactNumber": "BUYER", "campaignNumber": "SPRING"})).await
    {
        let trace = trace(&text);
        assert_eq!(
            trace["campaign"],
            json!({"campaignNumber": "SPRING", "verdict": "NOT_IN_AUDIENCE"}),
            "{text}"
        );
        assert_eq!(
            trace["otherLines"][1],
            json!({"verdict": "NOT_IN_AUDIENCE", "count": 1}),
            "{text}"
        );
        assert!(!CANARIES.iter().any(|canary| text.contains(canary)), "{text}");
    }
}

#[actix_web::test]
async fn account_reads_its_own_contract_prices() {
    let app = shop().await;
    let others = json!([{"verdict": "OTHER_SOURCE", "count": 2}]);
    for text in answers(&app, &json!({"contactNumber": "RIVAL"})).await {
        let trace = trace(&text);
        let own = [
            (CANARIES[0], "CHOSEN"),
            (CANARIES[1], "HIGHER_NET"),
            (CANARIES[2], "HIGHER_NET"),
            ("99", "HIGHER_NET"),
        ];
        assert_eq!(listed(&trace), own, "{text}");
        assert_eq!(trace["discounts"][0]["lineDiscountPercent"], CANARIES[3], "{text}");
        assert_eq!(trace["otherLines"], others, "{text}");
        assert!(
            !text.contains("\"90\"") && !text.contains("\"95\"") && !text.contains("BUYER"),
            "{text}"
        );
    }
    // A query about the campaign, not about a price: it lists the campaign's lines.
    let path = "/v1/campaigns/SPRING/grants?contactNumber=BUYER&itemNumber=DESK&date=2031-05-15";
    let grant = app.get(path).await.expect(200);
    let line = &grant["prices"][0];
    assert_eq!(
        (&line["verdict"], &line["unitPrice"]),
        (&json!("NOT_IN_AUDIENCE"), &json!(CANARIES[2]))
    );
}
