//! Campaigns that combine only with themselves, from the plan to the quote.

use serde_json::{Value, json};

use super::support::app::TestApp;
use super::support::make::{self, Campaign};

/// Returns a chair at 100, a campaign with a price of 85, and one with a discount of 16 %. Both are
/// for the contact BUYER.
async fn shop() -> TestApp {
    let app = TestApp::new().await;
    make::item(&app, "CHAIR", "100").await;
    make::company(&app, "BUYER").await;
    let price = Campaign {
        number: "PRICE",
        segment: "PRICE",
        contacts: &["BUYER"],
        prices: &[("CHAIR", "85")],
        ..Campaign::default()
    };
    price.create(&app).await;
    Campaign { number: "PERCENT", segment: "PERCENT", prices: &[], ..price }.create(&app).await;
    let line = json!({"itemNumber": "CHAIR", "lineDiscountPercent": "16"});
    app.post("/v1/campaigns/PERCENT/discounts", &line).await.expect(201);
    app
}

async fn set_combination(app: &TestApp, campaign: &str, combination: &str) {
    let patch = json!({ "combination": combination });
    app.patch(&format!("/v1/campaigns/{campaign}"), &patch).await.expect(200);
}

/// Returns the explained line of a quote for the buyer.
async fn quote(app: &TestApp) -> Value {
    let path = "/v1/price-quotes?contactNumber=BUYER&itemNumber=CHAIR&date=2031-05-15&explain=true";
    app.get(path).await.expect(200)["lines"][0].take()
}

#[actix_web::test]
async fn campaign_combines_with_all_or_with_itself() {
    let app = shop().await;
    for campaign in ["PRICE", "PERCENT"] {
        make::activate(&app, campaign).await;
    }
    let line = quote(&app).await;
    assert_eq!((&line["unitPrice"], &line["netUnitPrice"]), (&json!("85"), &json!("71.4")));

    // The change of an active campaign is published with it.
    set_combination(&app, "PERCENT", "OWN").await;
    let line = quote(&app).await;
    assert_eq!((&line["unitPrice"], &line["netUnitPrice"]), (&json!("100"), &json!("84")));
    assert_eq!(line["priceLine"], Value::Null);
    // The price would have won with the discount.
    assert_eq!(line["trace"]["prices"][0]["verdict"], "NOT_COMBINABLE");
    assert_eq!(line["trace"]["discounts"][0]["verdict"], "CHOSEN");

    set_combination(&app, "PRICE", "OWN").await;
    set_combination(&app, "PERCENT", "ANY").await;
    let line = quote(&app).await;
    assert_eq!((&line["unitPrice"], &line["netUnitPrice"]), (&json!("85"), &json!("85")));
    assert_eq!(line["trace"]["discounts"][0]["verdict"], "NOT_COMBINABLE");
}

#[actix_web::test]
async fn combination_is_a_field_of_the_campaign() {
    let app = shop().await;
    assert_eq!(app.get("/v1/campaigns/PRICE").await.expect(200)["combination"], "ANY");
    set_combination(&app, "PRICE", "OWN").await;
    let own = app.get("/v1/campaigns?filter=combination eq 'OWN'").await.expect(200);
    assert_eq!(own["value"].as_array().unwrap().len(), 1);
    let wrong = json!({ "combination": "SOME" });
    let refused = app.patch("/v1/campaigns/PRICE", &wrong).await.expect(400);
    assert_eq!(refused["errors"][0]["pointer"], "/combination");
    let copied =
        app.post("/v1/campaigns/PRICE/copies", &json!({"number": "COPY"})).await.expect(201);
    assert_eq!(copied["combination"], "OWN");
}

#[actix_web::test]
async fn discount_that_the_price_forbids_is_marked() {
    let app = shop().await;
    let line = json!({
        "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "CHAIR", "unitPrice": "70",
        "allowLineDiscount": false,
    });
    app.post("/v1/prices", &line).await.expect(201);
    make::activate(&app, "PERCENT").await;
    let line = quote(&app).await;
    assert_eq!((&line["unitPrice"], &line["discountLine"]), (&json!("70"), &Value::Null));
    assert_eq!(line["trace"]["discounts"][0]["verdict"], "LINE_DISCOUNT_NOT_ALLOWED");
}
