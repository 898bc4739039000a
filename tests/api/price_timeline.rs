//! The prices of an item for a customer over time.

use serde_json::{Value, json};

use super::support::app::{TestApp, pairs};
use super::support::clock::Clock;
use super::support::make::{self, Campaign};

const PATH: &str = "/v1/price-timeline";

/// Returns a desk for 100, and a campaign for BUYER in May with the price 80.
async fn shop() -> TestApp {
    let app = TestApp::at(Clock::at("2031-04-15T10:00:00Z").calendar()).await;
    make::item(&app, "DESK", "100").await;
    make::customer(&app, "BUYER", "D1").await;
    make::customer(&app, "OTHER", "D2").await;
    let campaign =
        Campaign { contacts: &["BUYER"], prices: &[("DESK", "80")], ..Campaign::default() };
    campaign.create(&app).await;
    make::activate(&app, "SPRING").await;
    app
}

/// Returns the first and last day, the net price and the grantor of each step.
fn steps(timeline: &Value) -> Vec<Value> {
    let steps = timeline["steps"].as_array().unwrap().iter();
    steps
        .map(|step| {
            json!([
                step["from"],
                step["to"],
                step["price"]["netUnitPrice"],
                step["price"]["source"]["type"]
            ])
        })
        .collect()
}

#[actix_web::test]
async fn steps_are_the_days_of_the_campaign_and_around_it() {
    let app = shop().await;
    let discount = json!({
        "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "DESK", "lineDiscountPercent": "10",
        "startingDate": "2031-05-20", "endingDate": "2031-06-10"
    });
    app.post("/v1/discounts", &discount).await.expect(201);
    let query = "?itemNumber=DESK&contactNumber=BUYER&to=2031-12-31";
    let timeline = app.get(&format!("{PATH}{query}")).await.expect(200);
    assert_eq!(
        steps(&timeline),
        [
            json!(["2031-04-15", "2031-04-30", "100", "LIST_PRICE"]),
            json!(["2031-05-01", "2031-05-19", "80", "CAMPAIGN"]),
            json!(["2031-05-20", "2031-05-31", "72", "CAMPAIGN"]),
            json!(["2031-06-01", "2031-06-10", "90", "LIST_PRICE"]),
            json!(["2031-06-11", "2031-12-31", "100", "LIST_PRICE"]),
        ]
    );
    let step = &timeline["steps"][2]["price"];
    assert_eq!(step["source"], json!({"type": "CAMPAIGN", "campaignNumber": "SPRING"}));
    let price = app.get("/v1/campaigns/SPRING/prices").await.json()["value"][0]["id"].clone();
    assert_eq!(step["priceLine"]["id"], price);
    assert_eq!(step["discountLine"]["source"], json!({"type": "ALL_CUSTOMERS"}));
    assert_eq!(
        (&timeline["accountNumber"], &timeline["from"]),
        (&json!("BUYER"), &json!("2031-04-15"))
    );
    // Each day agrees with its quote.
    for day in ["2031-04-30", "2031-05-01", "2031-05-20", "2031-06-01", "2031-06-11"] {
        let quote = app
            .get(&format!("/v1/price-quotes?itemNumber=DESK&contactNumber=BUYER&date={day}"))
            .await
            .expect(200);
        let of_day = timeline["steps"].as_array().unwrap().iter().find(|step| {
            step["from"].as_str().unwrap() <= day && day <= step["to"].as_str().unwrap()
        });
        assert_eq!(of_day.unwrap()["price"]["netUnitPrice"], quote["lines"][0]["netUnitPrice"]);
    }

    for query in ["&customerNumber=D2", ""] {
        let timeline =
            app.get(&format!("{PATH}?itemNumber=DESK&from=2031-05-01&to=2031-05-19{query}")).await;
        let expected = json!(["2031-05-01", "2031-05-19", "100", "LIST_PRICE"]);
        assert_eq!(steps(&timeline.expect(200)), [expected], "{query}");
    }
}

#[actix_web::test]
async fn days_without_price_have_a_problem() {
    let app = shop().await;
    app.put("/v1/items/GIFT", &json!({})).await.expect(201);
    let line = json!({
        "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "GIFT", "unitPrice": "5",
        "startingDate": "2031-04-17"
    });
    app.post("/v1/prices", &line).await.expect(201);
    let timeline = app.get(&format!("{PATH}?itemNumber=GIFT&to=2031-04-20")).await.expect(200);
    assert_eq!(
        steps(&timeline),
        [
            json!(["2031-04-15", "2031-04-16", null, null]),
            json!(["2031-04-17", "2031-04-20", "5", "ALL_CUSTOMERS"]),
        ]
    );
    assert_eq!(timeline["steps"][0]["problem"]["code"], "NO_PRICE");
}

#[actix_web::test]
async fn wrong_timelines_are_refused() {
    let app = shop().await;
    for (query, status, errors) in [
        ("", 400, &[("?itemNumber", "REQUIRED")][..]),
        (
            "?itemNumber=DESK&from=x&to=y",
            400,
            &[("?from", "INVALID_DATE"), ("?to", "INVALID_DATE")],
        ),
        ("?itemNumber=DESK&to=2031-04-14", 422, &[("?to", "OUT_OF_RANGE")]),
        ("?itemNumber=DESK&to=2041-04-23", 422, &[("?to", "OUT_OF_RANGE")]),
        ("?itemNumber=DESK&quantity=-1", 422, &[("?quantity", "OUT_OF_RANGE")]),
        ("?itemNumber=NONE", 422, &[("?itemNumber", "REFERENCE_NOT_FOUND")]),
        ("?itemNumber=DESK&contactNumber=NONE", 422, &[("?contactNumber", "REFERENCE_NOT_FOUND")]),
        (
            "?itemNumber=DESK&contactNumber=BUYER&customerNumber=D1",
            422,
            &[("?customerNumber", "NOT_ALLOWED")],
        ),
    ] {
        let refused = app.get(&format!("{PATH}{query}")).await;
        assert_eq!((refused.status.as_u16(), refused.errors()), (status, pairs(errors)), "{query}");
    }
}
