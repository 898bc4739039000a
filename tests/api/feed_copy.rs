//! A copy of the price book that follows the feed answers like the service.

use price_book::feed::{FeedCopy, FeedPage};
use price_book::quote::request::{QuoteParty, QuoteRequest, RequestLine};
use price_book::quote::write_quote;
use serde_json::{Value, json};
use values::{Date, Quantity};

use super::support::app::TestApp;
use super::support::make::{self, Campaign};

const DAY: &str = "2031-05-15";

/// Applies all pages since the version of the copy, with few records each.
async fn follow(app: &TestApp, copy: &mut FeedCopy) {
    let since = copy.snapshot().version();
    let mut next = Some(format!("/v1/price-changes?since={since}&top=2"));
    while let Some(path) = next {
        let page = app.get(&path).await.expect(200);
        let page: FeedPage = serde_json::from_value(page).unwrap();
        next = page.next_link.clone();
        copy.apply(page).unwrap();
    }
}

/// Returns the prices of the chair for a contact from the copy.
fn quote_from(copy: &FeedCopy, contact: &str) -> Value {
    let request = QuoteRequest {
        party: QuoteParty::Contact(contact.into()),
        lines: vec![RequestLine::new("CHAIR", Quantity::ONE)],
        ..QuoteRequest::on(Date::parse(DAY).unwrap().get())
    };
    let mut json = Vec::new();
    write_quote(copy.snapshot(), &request, &mut Default::default(), &mut json).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// Returns the price from the copy, after it was compared with the answer of the service.
async fn price_of(app: &TestApp, copy: &FeedCopy, contact: &str) -> Value {
    let version = copy.snapshot().version();
    let path = format!(
        "/v1/price-quotes?contactNumber={contact}&itemNumber=CHAIR&date={DAY}\
         &minPublicationVersion={version}"
    );
    let copied = quote_from(copy, contact);
    assert_eq!(app.get(&path).await.expect(200), copied, "{contact}");
    copied["lines"][0]["unitPrice"].clone()
}

#[actix_web::test]
async fn copy_answers_like_the_service() {
    let app = TestApp::new().await;
    let mut copy = FeedCopy::default();
    make::item(&app, "CHAIR", "100").await;
    make::company(&app, "A").await;
    make::company(&app, "B").await;
    let campaign = Campaign { contacts: &["A"], prices: &[("CHAIR", "80")], ..Campaign::default() };
    campaign.create(&app).await;
    follow(&app, &mut copy).await;
    assert_eq!(price_of(&app, &copy, "A").await, "100");

    make::activate(&app, "SPRING").await;
    assert_eq!(quote_from(&copy, "A")["lines"][0]["unitPrice"], "100");
    follow(&app, &mut copy).await;
    assert_eq!(price_of(&app, &copy, "A").await, "80");
    assert_eq!(price_of(&app, &copy, "B").await, "100");

    // Changes of the audience, of the list price, and a new contact of the audience.
    app.put("/v1/contacts/C", &json!({"type": "COMPANY", "name": "C"})).await.expect(201);
    make::segment_line(&app, "FAIR", "C").await;
    let line = json!({"campaignTarget": false});
    app.put("/v1/segments/FAIR/lines/A", &line).await.expect(200);
    app.put("/v1/items/CHAIR", &json!({"listPrice": "95"})).await.expect(200);
    follow(&app, &mut copy).await;
    assert_eq!(price_of(&app, &copy, "A").await, "95");
    assert_eq!(price_of(&app, &copy, "C").await, "80");

    let deactivations = "/v1/campaigns/SPRING/deactivations";
    app.post(deactivations, &json!({})).await.expect(201);
    follow(&app, &mut copy).await;
    assert_eq!(price_of(&app, &copy, "C").await, "95");
}
