//! The company's time zone decides the current day: for quotes without a date, for the state of
//! campaigns, and for their ends.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp};
use super::support::clock::Clock;
use super::support::make::{self, Campaign};

/// Zones on both sides of UTC, some on days of clock changes. Each has the first and the last
/// instant of one of its days, to the millisecond.
const DAYS: [(&str, &str, &str, &str); 9] = [
    ("UTC", "2031-05-15", "2031-05-15T00:00:00.000Z", "2031-05-15T23:59:59.999Z"),
    ("Pacific/Kiritimati", "2031-05-15", "2031-05-14T10:00:00.000Z", "2031-05-15T09:59:59.999Z"),
    ("America/New_York", "2031-05-15", "2031-05-15T04:00:00.000Z", "2031-05-16T03:59:59.999Z"),
    // Days of 23 and 25 hours.
    ("America/New_York", "2031-03-09", "2031-03-09T05:00:00.000Z", "2031-03-10T03:59:59.999Z"),
    ("America/New_York", "2031-11-02", "2031-11-02T04:00:00.000Z", "2031-11-03T04:59:59.999Z"),
    ("Europe/Oslo", "2031-03-30", "2031-03-29T23:00:00.000Z", "2031-03-30T21:59:59.999Z"),
    ("Europe/Oslo", "2031-10-26", "2031-10-25T22:00:00.000Z", "2031-10-26T22:59:59.999Z"),
    ("Pacific/Pago_Pago", "2031-12-31", "2031-12-31T11:00:00.000Z", "2032-01-01T10:59:59.999Z"),
    ("Asia/Kathmandu", "2032-02-29", "2032-02-28T18:15:00.000Z", "2032-02-29T18:14:59.999Z"),
];

/// Returns a published campaign for one day: a chair for 80 instead of 100.
async fn app(clock: &Clock) -> TestApp {
    let app = TestApp::at(clock.calendar()).await;
    make::item(&app, "CHAIR", "100").await;
    make::company(&app, "BUYER").await;
    let campaign = Campaign {
        number: "DAY",
        starting_date: "2031-05-15",
        ending_date: "2031-05-15",
        contacts: &["BUYER"],
        prices: &[("CHAIR", "80")],
        ..Campaign::default()
    };
    campaign.create(&app).await;
    make::activate(&app, "DAY").await;
    app
}

/// Returns the instant at this distance from another.
fn shifted(instant: &str, milliseconds: i64) -> String {
    let instant: chrono::DateTime<chrono::Utc> = instant.parse().unwrap();
    (instant + chrono::Duration::milliseconds(milliseconds)).to_rfc3339()
}

async fn quoted(app: &TestApp) -> (String, String) {
    let quote = app.get("/v1/price-quotes?contactNumber=BUYER&itemNumber=CHAIR").await.expect(200);
    let body = json!({"contactNumber": "BUYER", "lines": [{"itemNumber": "CHAIR"}]});
    assert_eq!(app.post("/v1/price-quotes", &body).await.expect(200), quote);
    (
        quote["date"].as_str().unwrap().to_owned(),
        quote["lines"][0]["unitPrice"].as_str().unwrap().to_owned(),
    )
}

async fn state(app: &TestApp) -> Value {
    let state = app.get("/v1/campaigns/DAY").await.expect(200)["state"].clone();
    for possible in ["DRAFT", "SCHEDULED", "RUNNING", "ENDED"] {
        let filter = format!("state eq '{possible}'");
        let request = app
            .request(Method::GET, "/v1/campaigns")
            .query(&[("filter", filter.as_str()), ("count", "true")]);
        let count = Reply::to(request).await.expect(200)["count"].clone();
        assert_eq!(count, i32::from(state == possible), "{filter}");
    }
    state
}

#[actix_web::test]
async fn days_change_at_the_company_midnight() {
    let clock = Clock::at("2031-01-01T00:00:00Z");
    let app = app(&clock).await;
    for (zone, day, first, last) in DAYS {
        app.patch("/v1/settings", &json!({ "timeZone": zone })).await.expect(200);
        app.patch("/v1/campaigns/DAY", &json!({"startingDate": day, "endingDate": day}))
            .await
            .expect(200);
        for (instant, expected, price) in [
            (shifted(first, -1), "SCHEDULED", "100"),
            (first.to_owned(), "RUNNING", "80"),
            (last.to_owned(), "RUNNING", "80"),
            (shifted(last, 1), "ENDED", "100"),
        ] {
            clock.set(&instant);
            let (date, quoted) = quoted(&app).await;
            assert_eq!(
                (quoted.as_str(), date == day),
                (price, expected == "RUNNING"),
                "{zone} {instant}"
            );
            assert_eq!(state(&app).await, expected, "{zone} {instant}");
            // A date in the request is a date of the company at any time of day.
            let path = format!("/v1/price-quotes?contactNumber=BUYER&itemNumber=CHAIR&date={day}");
            assert_eq!(
                app.get(&path).await.expect(200)["lines"][0]["unitPrice"],
                "80",
                "{zone} {instant}"
            );
            let seen = app
                .post("/v1/campaigns/DAY/activations", &json!({"validateOnly": true}))
                .await
                .expect(200);
            let over = seen["findings"]
                .as_array()
                .unwrap()
                .iter()
                .any(|finding| finding["code"] == "WINDOW_OVER");
            assert_eq!(over, expected == "ENDED", "{zone} {instant}");
        }
    }
}

#[actix_web::test]
async fn new_time_zone_changes_the_day_immediately() {
    let clock = Clock::at("2031-05-15T04:30:00Z");
    let app = app(&clock).await;
    for (zone, date, expected) in [
        ("Pacific/Honolulu", "2031-05-14", "SCHEDULED"),
        ("UTC", "2031-05-15", "RUNNING"),
        ("America/New_York", "2031-05-15", "RUNNING"),
        ("America/Chicago", "2031-05-14", "SCHEDULED"),
        ("Pacific/Kiritimati", "2031-05-15", "RUNNING"),
    ] {
        app.patch("/v1/settings", &json!({ "timeZone": zone })).await.expect(200);
        assert_eq!(quoted(&app).await.0, date, "{zone}");
        assert_eq!(state(&app).await, expected, "{zone}");
    }
    let refused = app.patch("/v1/settings", &json!({"timeZone": "Europe/Atlantis"})).await;
    assert_eq!(refused.status, 400);
    assert_eq!(quoted(&app).await.0, "2031-05-15", "the zone stays what it was");
}
