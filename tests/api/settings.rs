//! The company's settings.

use kampanje::unit_of_work::ChangedKeys;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{TestApp, pairs};

const PATH: &str = "/v1/settings";

fn first_settings() -> Value {
    json!({
        "localCurrencyCode": "EUR",
        "timeZone": "UTC",
        "pricePolicy": "LOWEST_NET",
        "priceHierarchy": [
            "CONTACT", "CUSTOMER_PRICE_GROUP", "CUSTOMER_DISCOUNT_GROUP", "ALL_CUSTOMERS",
            "CAMPAIGN"
        ],
        "neverAboveListPrice": false,
        "marginFloorPercent": null,
        "maxDiscountPercent": null,
        "guardrailMode": "WARN",
        "approvalRequired": "NEVER",
        "nextCampaignNumber": "CP0001",
        "nextSegmentNumber": "SM0001",
        "nextContactNumber": "CT000001",
        "nextOpportunityNumber": "OP000001",
    })
}

#[actix_web::test]
async fn settings_are_there_from_the_start_and_change_under_conditions() {
    let app = TestApp::new().await;
    let first = app.get(PATH).await;
    assert_eq!((first.status.as_u16(), first.json()), (200, first_settings()));
    let etag = first.header("etag").to_owned();
    assert_eq!(app.send(Method::GET, PATH, &[("if-none-match", &etag)], None).await.status, 304);
    let patch =
        json!({"timeZone": "Europe/Oslo", "pricePolicy": "HIERARCHY", "localCurrencyCode": "nok"})
            .to_string();
    assert_eq!(app.send(Method::PATCH, PATH, &[], Some(&patch)).await.status, 428);
    let stale = app.send(Method::PATCH, PATH, &[("if-match", "\"x\"")], Some(&patch)).await;
    assert_eq!((stale.status.as_u16(), stale.header("etag")), (412, etag.as_str()));
    let patched = app.send(Method::PATCH, PATH, &[("if-match", &etag)], Some(&patch)).await;
    let mut expected = first_settings();
    expected["timeZone"] = "Europe/Oslo".into();
    expected["pricePolicy"] = "HIERARCHY".into();
    expected["localCurrencyCode"] = "NOK".into();
    assert_eq!((patched.status.as_u16(), patched.json()), (200, expected), "{patched:?}");
    assert_eq!(app.changed_keys(), ChangedKeys { settings: true, ..ChangedKeys::default() });
    let read = app.get(PATH).await;
    assert_eq!((&read.text, read.header("etag")), (&patched.text, patched.header("etag")));

    let mut whole = first_settings();
    whole["priceHierarchy"].as_array_mut().unwrap().reverse();
    let replaced = app.put(PATH, &whole).await;
    assert_eq!((replaced.status.as_u16(), replaced.json()), (200, whole));
    assert_eq!(app.delete(PATH).await.header("allow"), "GET, PUT, PATCH, HEAD");
}

#[actix_web::test]
async fn everything_wrong_is_named_at_once() {
    let app = TestApp::new().await;
    let wrong = json!({"timeZone": "Mars/Olympus", "pricePolicy": "CHEAP",
        "localCurrencyCode": "EURO", "priceHierarchy": ["CONTACT", "EVERYBODY"],
        "neverAboveListPrice": "no", "nextCampaignNumber": null});
    let refused = app.patch(PATH, &wrong).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (
            400,
            pairs(&[
                ("/localCurrencyCode", "INVALID_KEY"),
                ("/neverAboveListPrice", "INVALID_TYPE"),
                ("/nextCampaignNumber", "REQUIRED"),
                ("/priceHierarchy/1", "INVALID_VALUE"),
                ("/pricePolicy", "INVALID_VALUE"),
                ("/timeZone", "INVALID_VALUE"),
            ])
        )
    );
    let rules = json!({"nextCampaignNumber": "CAMPAIGN", "nextSegmentNumber": "9".repeat(50),
    "nextContactNumber": "K9",
    "nextOpportunityNumber": "OP",
    "priceHierarchy": [
        "CONTACT", "CAMPAIGN", "CONTACT", "CUSTOMER_PRICE_GROUP", "ALL_CUSTOMERS"
    ]});
    let refused = app.patch(PATH, &rules).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (
            422,
            pairs(&[
                ("/nextCampaignNumber", "CANNOT_COUNT_UP"),
                ("/nextOpportunityNumber", "CANNOT_COUNT_UP"),
                ("/nextSegmentNumber", "CANNOT_COUNT_UP"),
                ("/priceHierarchy", "INCOMPLETE"),
                ("/priceHierarchy/2", "DUPLICATE"),
            ])
        )
    );
    let empty = app.patch(PATH, &json!({"priceHierarchy": []})).await;
    assert_eq!((empty.status.as_u16(), empty.errors().len()), (422, 5));
    assert_eq!(app.put(PATH, &json!({})).await.errors().len(), 9);
    assert_eq!(app.patch(PATH, &json!([])).await.errors(), pairs(&[("", "INVALID_TYPE")]));
    assert_eq!(
        app.get(&format!("{PATH}?top=1")).await.errors(),
        pairs(&[("?top", "UNKNOWN_PARAMETER")])
    );
    assert_eq!(app.get(PATH).await.json(), first_settings());
}
