//! The demo company. Its text is tested with the process (tests/api/process.rs).

use chrono::{Days, NaiveDate};
use kampanje::demo::play;
use serde_json::{Value, json};

use super::support::app::TestApp;
use super::support::clock::Clock;

const TODAY: &str = "2031-05-15";

/// The states of all campaigns, by number.
async fn states(app: &TestApp) -> Vec<(String, String, Value)> {
    let campaigns = app.get("/v1/campaigns?top=100").await.expect(200);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rows = campaigns["value"].as_array().unwrap().iter();
    rows.map(|row| (text(&row["number"]), text(&row["state"]), row["statusCode"].clone())).collect()
}

async fn count(app: &TestApp, path: &str) -> u64 {
    app.get(&format!("{path}?count=true&top=1")).await.expect(200)["count"].as_u64().unwrap()
}

#[actix_web::test]
async fn the_demo_has_campaigns_in_every_state_however_often_it_is_played() {
    let clock = Clock::at(&format!("{TODAY}T10:00:00Z"));
    let app = TestApp::at(clock.calendar()).await;
    let today: NaiveDate = TODAY.parse().unwrap();
    let story = play(app.address, None, today).await.unwrap();
    let first = states(&app).await;
    for (state, campaigns) in [("DRAFT", 2), ("SCHEDULED", 3), ("RUNNING", 5), ("ENDED", 4)] {
        assert_eq!(first.iter().filter(|(_, of, _)| of == state).count(), campaigns, "{first:?}");
    }
    assert!(first.contains(&("LAUNCH".to_owned(), "ENDED".to_owned(), json!("DONE"))), "{first:?}");
    let partners = app.get("/v1/campaigns/PARTNER-YEAR").await.expect(200);
    assert_eq!(partners["hasUnpublishedChanges"], true);
    let lists = ["/v1/sales", "/v1/interactions", "/v1/tasks", "/v1/opportunities", "/v1/segments"];
    let counts = futures_util::future::join_all(lists.map(|path| count(&app, path))).await;
    assert!(counts.iter().all(|count| *count >= 12), "{counts:?}");

    // Sales are consistent with the prices: the quote that a line refers to gives its amount.
    let route_metrics = app.get("/v1/campaigns/DEALER-DAYS/statistics").await.expect(200);
    assert_eq!(
        (&route_metrics["contactsTargeted"], &route_metrics["contactsResponded"]),
        (&json!(14), &json!(10))
    );
    let sales = app.get("/v1/sales?top=1000&filter=currencyCode eq 'EUR'").await.expect(200);
    let owed =
        |sale: &&Value| sale["attributions"] != json!([]) && sale["documentType"] == "INVOICE";
    let sale = sales["value"].as_array().unwrap().iter().find(owed).unwrap();
    let line = json!({"itemNumber": sale["itemNumber"], "variantCode": sale["variantCode"],
        "unitOfMeasureCode": sale["unitOfMeasureCode"], "quantity": sale["quantity"]});
    let request = json!({"customerNumber": sale["customerNumber"], "date": sale["postingDate"],
        "pricesIncludeTax": false,
        "lines": [line]});
    let quote = app
        .post(
            &format!("/v1/price-quotes?publicationVersion={}", sale["publicationVersion"]),
            &request,
        )
        .await;
    assert_eq!(quote.expect(200)["lines"][0]["lineAmount"], sale["lineAmount"], "{sale}");

    // On another day the campaigns have moved, and nothing is there twice.
    clock.set("2031-05-18T10:00:00Z");
    app.patch("/v1/items/TENT-2", &json!({"listPrice": "300"})).await.expect(200);
    let again =
        play(app.address, None, today.checked_add_days(Days::new(3)).unwrap()).await.unwrap();
    assert_eq!(states(&app).await, first);
    assert_eq!(app.get("/v1/campaigns/SUMMER").await.expect(200)["startingDate"], "2031-05-18");
    assert_eq!(futures_util::future::join_all(lists.map(|path| count(&app, path))).await, counts);
    let prices = |story: &str| -> Vec<String> {
        story.lines().filter_map(|line| Some(line.split_once(" = ")?.1.trim().to_owned())).collect()
    };
    assert_eq!(prices(&story), ["2365.5", "1890.5", "2365.5", "2365.5"], "{story}");
    assert_eq!(prices(&again), prices(&story), "{again}");
}

#[actix_web::test]
async fn the_demo_does_not_mix_with_the_data_of_a_company() {
    for (path, body) in [
        ("/v1/items/OWN", json!({})),
        ("/v1/contacts/OWN", json!({"type": "COMPANY", "name": "Own"})),
    ] {
        let app = TestApp::new().await;
        app.put(path, &body).await.expect(201);
        let refused =
            play(app.address, None, TODAY.parse().unwrap()).await.unwrap_err().to_string();
        assert!(refused.contains("the demo needs an empty one"), "{refused}");
        assert_eq!(app.get("/v1/campaigns").await.expect(200)["value"], json!([]));
    }
}
