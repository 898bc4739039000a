//! Copies of campaigns.

use serde_json::{Value, json};

use super::support::app::{TestApp, content, pairs};
use super::support::make;

/// Returns an app with a running campaign of last year that has everything that can be copied.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    app.put("/v1/campaign-statuses/STARTED", &json!({"sequence": 1})).await.expect(201);
    app.put("/v1/salespeople/JO", &json!({"name": "Jo"})).await.expect(201);
    app.put("/v1/items/DESK", &json!({"listPrice": "100", "variants": [{"code": "OAK"}]}))
        .await
        .expect(201);
    for number in ["ANN", "BEA"] {
        app.put(&format!("/v1/contacts/{number}"), &json!({"type": "PERSON", "name": number}))
            .await
            .expect(201);
    }
    let campaign = json!({
        "number": "SPRING", "description": "Spring", "type": "FAIR", "salespersonCode": "JO",
        "statusCode": "STARTED", "startingDate": "2031-05-01", "endingDate": "2031-05-31",
        "publishing": "MANUAL"
    });
    app.post("/v1/campaigns", &campaign).await.expect(201);
    let price = json!({
        "itemNumber": "DESK", "variantCode": "OAK", "minimumQuantity": "5", "unitPrice": "80.5",
        "allowLineDiscount": false, "priceIncludesTax": true, "taxPercent": "25"
    });
    app.post("/v1/campaigns/SPRING/prices", &price).await.expect(201);
    app.post(
        "/v1/campaigns/SPRING/discounts",
        &json!({"itemDiscountGroupCode": "WOOD", "lineDiscountPercent": "10"}),
    )
    .await
    .expect(201);
    let segment = json!({
        "number": "S1", "description": "Visitors", "campaignNumber": "SPRING",
        "campaignTarget": true, "campaignResponse": true, "salespersonCode": "JO",
        "subject": "Welcome"
    });
    app.post("/v1/segments", &segment).await.expect(201);
    app.post("/v1/segments", &json!({"number": "S2", "campaignNumber": "SPRING"}))
        .await
        .expect(201);
    app.post("/v1/segments/S1/lines", &json!({"contactNumber": "ANN", "campaignResponse": false}))
        .await
        .expect(201);
    app.post(
        "/v1/segments/S1/criteria-actions",
        &json!({"action": "ADD", "filter": "number eq 'BEA'"}),
    )
    .await
    .expect(201);
    app.post("/v1/segments/S2/lines", &json!({"contactNumber": "BEA", "campaignTarget": true}))
        .await
        .expect(201);
    make::activate(&app, "SPRING").await;
    app
}

/// Returns the rows of a list without the fields in which a copy differs from its original.
async fn bare(app: &TestApp, path: &str, apart: &[&str]) -> Vec<Value> {
    let rows = app.get(path).await.expect(200)["value"].as_array().unwrap().clone();
    let mut rows: Vec<Value> = rows.into_iter().map(content).collect();
    for row in &mut rows {
        for field in ["id", "etag"].iter().chain(apart) {
            row.as_object_mut().unwrap().remove(*field);
        }
    }
    rows
}

#[actix_web::test]
async fn copy_has_all_but_dates_status_and_publication() {
    let app = app().await;
    let dates = json!({"startingDate": "2032-05-01", "endingDate": "2032-05-31"});
    let reply = app.post("/v1/campaigns/spring/copies", &dates).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("location")),
        (201, "/v1/campaigns/CP0001"),
        "{reply:?}"
    );
    let copy = reply.json();
    for (field, value) in [
        ("number", json!("CP0001")),
        ("description", json!("Spring")),
        ("type", json!("FAIR")),
        ("salespersonCode", json!("JO")),
        ("statusCode", Value::Null),
        ("state", json!("DRAFT")),
        ("startingDate", json!("2032-05-01")),
        ("endingDate", json!("2032-05-31")),
        ("publishing", json!("MANUAL")),
        ("publicationVersion", Value::Null),
    ] {
        assert_eq!(copy[field], value, "{field}");
    }
    let again = app.get("/v1/campaigns/CP0001").await;
    assert_eq!((again.header("etag"), again.json()), (reply.header("etag"), copy));
    assert_eq!(bare(&app, "/v1/campaigns/CP0001/status-changes", &[]).await, Vec::<Value>::new());
    for kind in ["prices", "discounts"] {
        let (of_original, of_copy) =
            (format!("/v1/campaigns/SPRING/{kind}"), format!("/v1/campaigns/CP0001/{kind}"));
        let mut copied = bare(&app, &of_copy, &[]).await;
        assert_eq!(copied[0]["source"]["campaignNumber"], "CP0001");
        for row in &mut copied {
            row["source"]["campaignNumber"] = json!("SPRING");
        }
        let mut originals = bare(&app, &of_original, &[]).await;
        for row in originals.iter_mut().chain(&mut copied) {
            row.as_object_mut().unwrap().retain(|name, _| !name.ends_with("Date"));
        }
        assert_eq!(copied, originals);
        assert_eq!(copied.len(), 1);
    }
    let segments =
        |campaign: &str| format!("/v1/segments?filter=campaignNumber%20eq%20'{campaign}'");
    let apart = ["number", "campaignNumber"];
    assert_eq!(
        bare(&app, &segments("CP0001"), &apart).await,
        bare(&app, &segments("SPRING"), &apart).await
    );
    for (original, copy) in [("S1", "SM0001"), ("S2", "SM0002")] {
        let lines = |segment: &str| format!("/v1/segments/{segment}/lines");
        assert_eq!(bare(&app, &lines(copy), &[]).await, bare(&app, &lines(original), &[]).await);
    }
    // No action of the copy added its lines, so there is nothing to undo. The original keeps its
    // own actions.
    assert_eq!(app.delete("/v1/segments/SM0001/criteria-actions/latest").await.status, 409);
    app.delete("/v1/segments/S1/criteria-actions/latest").await.expect(204);
    assert_eq!(bare(&app, "/v1/segments/SM0001/lines", &[]).await.len(), 2);
}

#[actix_web::test]
async fn copy_may_be_named_and_is_refused_whole() {
    let app = app().await;
    let bare_copy =
        app.send(reqwest::Method::POST, "/v1/campaigns/SPRING/copies", &[], None).await.expect(201);
    assert_eq!(
        (&bare_copy["startingDate"], &bare_copy["endingDate"]),
        (&Value::Null, &Value::Null)
    );
    let named = app
        .post("/v1/campaigns/SPRING/copies", &json!({"number": "next", "description": "Next"}))
        .await
        .expect(201);
    assert_eq!((&named["number"], &named["description"]), (&json!("NEXT"), &json!("Next")));
    let taken = app.post("/v1/campaigns/SPRING/copies", &json!({"number": "SPRING"})).await;
    assert_eq!(
        (taken.status.as_u16(), taken.errors()),
        (409, pairs(&[("/number", "ALREADY_EXISTS")]))
    );
    let wrong = json!({"startingDate": "2032-05-02", "endingDate": "2032-05-01"});
    let wrong = app.post("/v1/campaigns/SPRING/copies", &wrong).await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.errors()),
        (422, pairs(&[("/endingDate", "END_BEFORE_START")]))
    );
    assert_eq!(app.post("/v1/campaigns/NONE/copies", &json!({})).await.status, 404);
    assert_eq!(
        app.post("/v1/campaigns/SPRING/copies", &json!({"statusCode": "STARTED"})).await.status,
        400
    );
    let segments = app.get("/v1/segments?count=true").await.expect(200);
    assert_eq!(segments["count"], 6);
}
