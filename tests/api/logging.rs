//! Logging of segments, and its results: logged segments, entries of campaigns, and audiences.

use std::sync::Arc;

use diesel_async::SimpleAsyncConnection;
use kampanje::platform::clock::Calendar;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp, content, pairs};
use super::support::make;

/// Returns a service on 15 May 2031 with a campaign SPRING that sells DESK for 80 instead of 100.
/// Its segment FAIR has ANNE and BERT of the company BUYER, OTHER (no target), and SOLO (a target
/// by its own line).
async fn ready() -> TestApp {
    let app =
        TestApp::at(Calendar::new(Arc::new(|| "2031-05-15T12:00:00Z".parse().unwrap()))).await;
    make::item(&app, "DESK", "100").await;
    app.put("/v1/salespeople/JO", &json!({"name": "Jo"})).await.expect(201);
    for (number, contact) in [
        ("BUYER", json!({"type": "COMPANY", "name": "Buyer"})),
        ("OTHER", json!({"type": "COMPANY", "name": "Other"})),
        ("ANNE", json!({"type": "PERSON", "name": "Anne", "companyNumber": "BUYER"})),
        ("BERT", json!({"type": "PERSON", "name": "Bert", "companyNumber": "BUYER"})),
        ("SOLO", json!({"type": "PERSON", "name": "Solo"})),
    ] {
        app.put(&format!("/v1/contacts/{number}"), &contact).await.expect(201);
    }
    let template = json!({"description": "Invitation", "cost": "2.5", "durationMinutes": 15});
    app.put("/v1/interaction-templates/MAIL", &template).await.expect(201);
    let campaign =
        json!({"number": "SPRING", "startingDate": "2031-05-01", "endingDate": "2031-05-31"});
    app.post("/v1/campaigns", &campaign).await.expect(201);
    let segment = json!({
        "number": "FAIR", "campaignNumber": "SPRING", "campaignTarget": true,
        "description": "Visitors of the fair",
        "salespersonCode": "JO", "subject": "Come", "interactionTemplateCode": "MAIL"
    });
    app.post("/v1/segments", &segment).await.expect(201);
    for line in [
        json!({"contactNumber": "ANNE"}),
        json!({"contactNumber": "BERT", "campaignResponse": true}),
        json!({"contactNumber": "OTHER", "campaignTarget": false}),
        json!({"contactNumber": "SOLO", "campaignTarget": true}),
    ] {
        app.post("/v1/segments/FAIR/lines", &line).await.expect(201);
    }
    make::campaign_price(&app, "SPRING", "DESK", "80").await;
    app
}

async fn log(app: &TestApp, segment: &str, body: &Value) -> Reply {
    app.post(&format!("/v1/segments/{segment}/logs"), body).await
}

async fn price(app: &TestApp, contact: &str) -> String {
    let path = format!("/v1/price-quotes?contactNumber={contact}&itemNumber=DESK&date=2031-05-15");
    app.get(&path).await.expect(200)["lines"][0]["unitPrice"].as_str().unwrap().to_owned()
}

async fn interaction_of(app: &TestApp, contact: &str) -> (String, Value) {
    let page =
        app.get(&format!("/v1/interactions?filter=contactNumber eq '{contact}'")).await.expect(200);
    let view = page["value"][0].clone();
    (format!("/v1/interactions/{}", view["id"].as_str().unwrap()), view)
}

fn without(mut view: Value, field: &str) -> Value {
    view.as_object_mut().unwrap().remove(field);
    view
}

#[actix_web::test]
async fn segment_becomes_interactions_and_an_entry() {
    let app = ready().await;
    let segment = app.get("/v1/segments/FAIR").await.expect(200);
    let reply = log(&app, "fair", &json!({"sendAttachments": true})).await;
    assert_eq!(
        (reply.status.as_u16(), reply.header("location")),
        (201, "/v1/logged-segments/FAIR"),
        "{reply:?}"
    );
    assert_eq!(
        reply.json(),
        json!({
            "segmentNumber": "FAIR", "campaignEntryId": segment["id"], "campaignNumber": "SPRING",
            "date": "2031-05-15",
            "numberOfInteractions": 4, "followUpSegmentNumber": null
        })
    );
    assert_eq!(app.get("/v1/segments/FAIR").await.status, 404);
    assert_eq!(log(&app, "FAIR", &json!({})).await.status, 404);
    let logged = app.get("/v1/logged-segments/FAIR").await;
    assert_eq!(
        logged.json(),
        json!({
            "id": segment["id"], "number": "FAIR", "description": "Visitors of the fair",
            "campaignNumber": "SPRING",
            "campaignTarget": true, "campaignResponse": false, "salespersonCode": "JO",
            "subject": "Come",
            "interactionTemplateCode": "MAIL", "date": "2031-05-15", "sendAttachments": true,
            "numberOfInteractions": 4,
            "cost": "10", "duration": 60, "canceled": false
        })
    );
    let entries = app.get("/v1/campaigns/SPRING/entries?count=true").await.expect(200);
    assert_eq!(entries["count"], 1);
    assert_eq!(
        without(entries["value"][0].clone(), "etag"),
        json!({
            "id": segment["id"], "segmentNumber": "FAIR", "description": "Visitors of the fair",
            "date": "2031-05-15",
            "salespersonCode": "JO", "numberOfInteractions": 4, "cost": "10", "duration": 60,
            "canceled": false
        })
    );
    // The number stays taken, for manual numbers and for the series.
    let taken = app.put("/v1/segments/FAIR", &json!({})).await;
    assert_eq!(
        (taken.status.as_u16(), taken.errors()),
        (409, pairs(&[("/number", "ALREADY_EXISTS")]))
    );
}

#[actix_web::test]
async fn lines_become_interactions() {
    let app = ready().await;
    let line = app.get("/v1/segments/FAIR/lines/ANNE").await.expect(200);
    log(&app, "FAIR", &json!({})).await.expect(201);
    for (contact, target, response) in [
        ("ANNE", true, false),
        ("BERT", true, true),
        ("OTHER", false, false),
        ("SOLO", true, false),
    ] {
        let (_, view) = interaction_of(&app, contact).await;
        assert_eq!(
            (&view["campaignTarget"], &view["campaignResponse"]),
            (&json!(target), &json!(response)),
            "{contact}"
        );
    }
    let (_, view) = interaction_of(&app, "ANNE").await;
    assert_eq!(
        without(view, "etag"),
        json!({
            "id": line["id"], "date": "2031-05-15", "contactNumber": "ANNE",
            "campaignNumber": "SPRING", "segmentNumber": "FAIR",
            "interactionTemplateCode": "MAIL", "salespersonCode": "JO", "campaignTarget": true,
            "campaignResponse": false,
            "cost": "2.5", "durationMinutes": 15, "description": "Invitation", "evaluation": null,
            "canceled": false
        })
    );
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let app = ready().await;
    app.post("/v1/segments", &json!({"number": "EMPTY"})).await.expect(201);
    let refused = log(&app, "EMPTY", &json!({})).await;
    let errors = pairs(&[("/interactionTemplateCode", "NO_TEMPLATE"), ("/lines", "NO_LINES")]);
    assert_eq!(
        (refused.status.as_u16(), refused.code().as_str(), refused.errors()),
        (422, "VALIDATION_FAILED", errors)
    );

    app.patch("/v1/segments/FAIR", &json!({"salespersonCode": null})).await.expect(200);
    app.patch("/v1/interaction-templates/MAIL", &json!({"description": " "})).await.expect(200);
    app.patch("/v1/contacts/ANNE", &json!({"privacyBlocked": true, "salespersonCode": "JO"}))
        .await
        .expect(200);
    let refused = log(&app, "FAIR", &json!({"createFollowUp": true})).await;
    let expected = [
        ("/interactionTemplateCode", "NO_DESCRIPTION"),
        ("/lines", "PRIVACY_BLOCKED"),
        ("/salespersonCode", "NO_SALESPERSON"),
    ];
    assert_eq!((refused.status.as_u16(), refused.errors()), (422, pairs(&expected)));
    let errors = refused.json()["errors"].clone();
    assert_eq!(
        errors[1]["params"],
        json!({"numberOfContacts": 3, "contactNumbers": ["BERT", "OTHER", "SOLO"]})
    );
    assert_eq!(errors[2]["params"], json!({"numberOfContacts": 1, "contactNumbers": ["ANNE"]}));
    // Nothing is partly logged.
    assert_eq!(app.get("/v1/segments?count=true").await.json()["count"], 2);
    for path in ["/v1/interactions", "/v1/logged-segments", "/v1/campaigns/SPRING/entries"] {
        assert_eq!(app.get(&format!("{path}?count=true")).await.json()["count"], 0, "{path}");
    }

    app.patch("/v1/contacts/ANNE", &json!({"privacyBlocked": false})).await.expect(200);
    app.patch("/v1/interaction-templates/MAIL", &json!({"description": "Call"})).await.expect(200);
    app.put("/v1/salespeople/KIM", &json!({})).await.expect(201);
    app.patch("/v1/campaigns/SPRING", &json!({"salespersonCode": "KIM"})).await.expect(200);
    log(&app, "FAIR", &json!({})).await.expect(201);
    assert_eq!(interaction_of(&app, "ANNE").await.1["salespersonCode"], "KIM");

    for (body, error) in [
        (json!({"createFollowup": true}), "/createFollowup"),
        (json!({"sendAttachments": "no"}), "/sendAttachments"),
    ] {
        let refused = log(&app, "FAIR", &body).await;
        assert_eq!((refused.status.as_u16(), refused.errors()[0].0.as_str()), (400, error));
    }
}

#[actix_web::test]
async fn segment_without_campaign_has_no_entry() {
    let app = ready().await;
    app.patch("/v1/contacts/SOLO", &json!({"salespersonCode": "JO"})).await.expect(200);
    let segment =
        json!({"number": "CALLS", "campaignTarget": true, "interactionTemplateCode": "MAIL"});
    app.post("/v1/segments", &segment).await.expect(201);
    make::segment_line(&app, "CALLS", "SOLO").await;
    let reply = app.send(Method::POST, "/v1/segments/CALLS/logs", &[], None).await.expect(201);
    assert_eq!((&reply["campaignEntryId"], &reply["campaignNumber"]), (&Value::Null, &Value::Null));
    let logged = app.get("/v1/logged-segments/CALLS").await.expect(200);
    assert_eq!(
        (&logged["description"], &logged["salespersonCode"]),
        (&json!("Invitation"), &Value::Null)
    );
    let (_, view) = interaction_of(&app, "SOLO").await;
    assert_eq!((&view["salespersonCode"], &view["campaignTarget"]), (&json!("JO"), &json!(false)));
}

#[actix_web::test]
async fn follow_up_has_the_same_contacts_and_campaign() {
    let app = ready().await;
    let key = [("idempotency-key", "once")];
    let body = json!({"createFollowUp": true}).to_string();
    let first = app.send(Method::POST, "/v1/segments/FAIR/logs", &key, Some(&body)).await;
    let again = app.send(Method::POST, "/v1/segments/FAIR/logs", &key, Some(&body)).await;
    assert_eq!((first.status.as_u16(), &first.text), (201, &again.text));
    assert_eq!(first.json()["followUpSegmentNumber"], "SM0001");
    let segment = content(app.get("/v1/segments/SM0001").await.expect(200));
    let segment = without(segment, "id");
    assert_eq!(
        segment,
        json!({
            "number": "SM0001", "description": "Visitors of the fair", "campaignNumber": "SPRING",
            "campaignTarget": false,
            "campaignResponse": false, "salespersonCode": "JO", "subject": "",
            "interactionTemplateCode": null, "membership": "LIST", "filter": ""
        })
    );
    let lines = app.get("/v1/segments/SM0001/lines").await.expect(200);
    let contacts: Vec<_> = lines["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["contactNumber"].clone())
        .collect();
    assert_eq!(contacts, ["ANNE", "BERT", "OTHER", "SOLO"]);
    app.patch("/v1/segments/SM0001", &json!({"interactionTemplateCode": "MAIL"})).await.expect(200);
    log(&app, "SM0001", &json!({})).await.expect(201);
    assert_eq!(app.get("/v1/interactions?count=true").await.json()["count"], 8);
    // The series skips the numbers of logged segments.
    let next = {
        app.sql("UPDATE settings SET next_segment_number = 'SM0001'").await;
        app.post("/v1/segments", &json!({})).await.expect(201)
    };
    assert_eq!(next["number"], "SM0002");
}

#[actix_web::test]
async fn entry_and_interactions_are_canceled_and_restored_together() {
    let app = ready().await;
    log(&app, "FAIR", &json!({})).await.expect(201);
    let entry = "/v1/campaigns/SPRING/entries/FAIR";
    let (anne, _) = interaction_of(&app, "ANNE").await;
    let (bert, _) = interaction_of(&app, "BERT").await;
    app.patch(&anne, &json!({"canceled": true})).await.expect(200);
    let counted = app.get(entry).await.json();
    assert_eq!(
        (&counted["numberOfInteractions"], &counted["cost"], &counted["duration"]),
        (&json!(3), &json!("7.5"), &json!(45))
    );

    let canceled = app.patch(entry, &json!({"canceled": true})).await.expect(200);
    assert_eq!(
        (
            &canceled["canceled"],
            &canceled["numberOfInteractions"],
            &canceled["cost"],
            &canceled["duration"]
        ),
        (&json!(true), &json!(0), &json!("0"), &json!(0))
    );
    assert_eq!(app.get("/v1/logged-segments/FAIR").await.json()["canceled"], true);
    assert_eq!(app.get("/v1/interactions?filter=canceled&count=true").await.json()["count"], 4);
    let refused = app.patch(&bert, &json!({"canceled": false})).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (422, pairs(&[("/canceled", "NOT_ALLOWED")]))
    );
    app.patch(&bert, &json!({"evaluation": "NEUTRAL"})).await.expect(200);

    // Through its logged segment. An interaction that was canceled alone stays canceled.
    let back = app.patch("/v1/logged-segments/FAIR", &json!({"canceled": false})).await.expect(200);
    assert_eq!((&back["canceled"], &back["numberOfInteractions"]), (&json!(false), &json!(3)));
    assert_eq!(app.get(&anne).await.json()["canceled"], true);
    assert_eq!(app.get(&bert).await.json()["canceled"], false);
    let refused = app.patch(entry, &json!({"description": "x"})).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (400, pairs(&[("/description", "UNKNOWN_FIELD")]))
    );
    assert_eq!(app.send(Method::PATCH, entry, &[], Some("{}")).await.status, 428);
    assert_eq!(app.put(entry, &json!({})).await.status, 405);
}

#[actix_web::test]
async fn only_canceled_entries_can_be_deleted() {
    let app = ready().await;
    log(&app, "FAIR", &json!({"createFollowUp": true})).await.expect(201);
    app.patch("/v1/segments/SM0001", &json!({"interactionTemplateCode": "MAIL"})).await.expect(200);
    log(&app, "SM0001", &json!({})).await.expect(201);
    let entries = "/v1/campaigns/SPRING/entries";
    let refused = app.delete(&format!("{entries}/FAIR")).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "ENTRY_NOT_CANCELED"));
    let refused = app.delete("/v1/campaigns/SPRING").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "IN_USE"));
    assert_eq!(
        refused.json()["errors"][0]["params"],
        json!({"what": "uncanceled entries", "count": 2})
    );

    for (query, code) in [
        ("", "REQUIRED"),
        ("?canceled=false", "INVALID_VALUE"),
        ("?cancelled=true", "UNKNOWN_PARAMETER"),
    ] {
        let refused = app.send(Method::DELETE, &format!("{entries}{query}"), &[], None).await;
        assert_eq!(
            (refused.status.as_u16(), refused.errors()[0].1.as_str()),
            (400, code),
            "{query}"
        );
    }
    let all = format!("{entries}?canceled=true");
    app.send(Method::DELETE, &all, &[], None).await.expect(204);
    assert_eq!(app.get(&format!("{entries}?count=true")).await.json()["count"], 2);
    app.patch(&format!("{entries}/FAIR"), &json!({"canceled": true})).await.expect(200);
    app.send(Method::DELETE, &all, &[], None).await.expect(204);
    assert_eq!(app.get(&format!("{entries}/FAIR")).await.status, 404);
    assert_eq!(app.get("/v1/logged-segments/FAIR").await.status, 404);
    assert_eq!(app.get("/v1/interactions?count=true").await.json()["count"], 4);

    let id = app.get(&format!("{entries}/SM0001")).await.json()["id"].as_str().unwrap().to_owned();
    app.patch(&format!("{entries}/{id}"), &json!({"canceled": true})).await.expect(200);
    // The path of another campaign does not lead to this entry.
    app.put("/v1/campaigns/AUTUMN", &json!({})).await.expect(201);
    assert_eq!(app.delete(&format!("/v1/campaigns/AUTUMN/entries/{id}")).await.status, 404);
    assert_eq!(
        app.send(Method::DELETE, "/v1/campaigns/NONE/entries?canceled=true", &[], None)
            .await
            .status,
        404
    );
    // Canceled interactions do not keep their campaign, and are deleted with it.
    app.delete("/v1/campaigns/SPRING").await.expect(204);
    assert_eq!(app.get("/v1/interactions?count=true").await.json()["count"], 0);
    // The number is free again.
    app.put("/v1/segments/FAIR", &json!({})).await.expect(201);
}

#[actix_web::test]
async fn logged_targets_stay_in_the_audience_until_canceled() {
    let app = ready().await;
    let activations = "/v1/campaigns/SPRING/activations";
    let version =
        app.post(activations, &json!({"acknowledge": ["*"]})).await.expect(201)["version"].clone();
    let logged = log(&app, "FAIR", &json!({})).await;
    // The audience is the same, so there is nothing to publish.
    assert_eq!(
        (logged.status.as_u16(), logged.header("publication-version")),
        (201, ""),
        "{logged:?}"
    );
    assert_eq!(app.get("/v1/campaigns/SPRING").await.json()["publicationVersion"], version);
    for (contact, expected) in [("ANNE", "80"), ("BUYER", "80"), ("SOLO", "80"), ("OTHER", "100")] {
        assert_eq!(price(&app, contact).await, expected, "{contact}");
    }

    let (solo, _) = interaction_of(&app, "SOLO").await;
    let held = app.delete("/v1/contacts/SOLO").await;
    assert_eq!((held.status.as_u16(), held.code().as_str()), (409, "IN_USE"));
    assert_eq!(held.json()["errors"][0]["params"]["what"], "logged targets of active campaigns");
    app.patch(&solo, &json!({"canceled": true})).await.expect(200);
    assert_eq!(price(&app, "SOLO").await, "100");
    app.patch(&solo, &json!({"canceled": false})).await.expect(200);
    assert_eq!(price(&app, "SOLO").await, "80");
    // One person of two is canceled: the company stays.
    let (anne, _) = interaction_of(&app, "ANNE").await;
    app.patch(&anne, &json!({"canceled": true})).await.expect(200);
    assert_eq!(price(&app, "BUYER").await, "80");
    // A privacy-blocked contact leaves immediately, also from a logged segment.
    app.patch("/v1/contacts/BERT", &json!({"privacyBlocked": true})).await.expect(200);
    assert_eq!(price(&app, "BUYER").await, "100");
    app.patch("/v1/contacts/BERT", &json!({"privacyBlocked": false})).await.expect(200);
    assert_eq!(price(&app, "BUYER").await, "80");

    let entry = "/v1/campaigns/SPRING/entries/FAIR";
    app.patch(entry, &json!({"canceled": true})).await.expect(200);
    assert_eq!(
        (price(&app, "SOLO").await, price(&app, "BUYER").await),
        ("100".to_owned(), "100".to_owned())
    );
    // The audience is empty. The contact can be deleted, and the campaign is still active.
    app.delete("/v1/contacts/SOLO").await.expect(204);
    app.patch(entry, &json!({"canceled": false})).await.expect(200);
    assert_eq!(price(&app, "BUYER").await, "80");
    // A logged segment is enough for an activation.
    app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await.expect(201);
    assert_eq!(price(&app, "BUYER").await, "100");
    app.post(activations, &json!({})).await.expect(201);
    assert_eq!(price(&app, "BUYER").await, "80");
    app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await.expect(201);
    app.patch(entry, &json!({"canceled": true})).await.expect(200);
    let refused = app.post(activations, &json!({"acknowledge": ["*"]})).await;
    let codes: Vec<_> =
        refused.json()["findings"].as_array().unwrap().iter().map(|f| f["code"].clone()).collect();
    assert_eq!(
        (refused.status.as_u16(), codes),
        (422, vec![json!("NO_SEGMENT"), json!("NO_TARGETS")])
    );
}

#[actix_web::test]
async fn single_interaction_grants_no_price() {
    let app = ready().await;
    make::activate(&app, "SPRING").await;
    let target =
        json!({"contactNumber": "OTHER", "campaignNumber": "SPRING", "campaignTarget": true});
    app.post("/v1/interactions", &target).await.expect(201);
    assert_eq!(price(&app, "OTHER").await, "100");
}

#[actix_web::test]
async fn deleted_contact_leaves_the_entry_unchanged() {
    let app = ready().await;
    log(&app, "FAIR", &json!({})).await.expect(201);
    app.delete("/v1/contacts/SOLO").await.expect(204);
    let entry = app.get("/v1/campaigns/SPRING/entries/FAIR").await.expect(200);
    assert_eq!((&entry["numberOfInteractions"], &entry["cost"]), (&json!(4), &json!("10")));
    let nameless = app.get("/v1/interactions?filter=contactNumber eq null&count=true").await.json();
    assert_eq!(nameless["count"], 1);
    // A privacy-blocked contact is in no audience, and can be deleted while the campaign is active.
    make::activate(&app, "SPRING").await;
    assert_eq!(app.delete("/v1/contacts/ANNE").await.status, 409);
    app.patch("/v1/contacts/ANNE", &json!({"privacyBlocked": true})).await.expect(200);
    app.delete("/v1/contacts/ANNE").await.expect(204);
    assert_eq!(price(&app, "BUYER").await, "80");
}

#[actix_web::test]
async fn line_added_during_logging_is_refused() {
    let app = ready().await;
    let mut other = app.connection().await;
    other
        .batch_execute("BEGIN; SELECT FROM segments WHERE number = 'FAIR' FOR UPDATE")
        .await
        .unwrap();
    let line = json!({"contactNumber": "BUYER"});
    let (refused, ()) = tokio::join!(app.post("/v1/segments/FAIR/lines", &line), async {
        app.wait_for_blocked_statements(1).await;
        other.batch_execute("DELETE FROM segments WHERE number = 'FAIR'; COMMIT").await.unwrap();
    });
    assert_eq!(refused.status, 404, "{refused:?}");
}

#[actix_web::test]
async fn many_lines_are_logged_together() {
    let app = ready().await;
    app.sql(
        "INSERT INTO contacts (id, number, type, name)
            SELECT gen_random_uuid(), 'C' || n, 'PERSON', 'P' FROM generate_series(1, 10000) AS n;
         INSERT INTO segment_lines (id, segment_number, contact_number)
            SELECT gen_random_uuid(), 'FAIR', 'C' || n FROM generate_series(1, 10000) AS n",
    )
    .await;
    let reply = log(&app, "FAIR", &json!({"createFollowUp": true})).await.expect(201);
    assert_eq!(reply["numberOfInteractions"], 10_004);
    assert_eq!(app.get("/v1/segments/SM0001/lines?count=true&top=1").await.json()["count"], 10_004);
    let canceled = app
        .patch("/v1/campaigns/SPRING/entries/FAIR", &json!({"canceled": true}))
        .await
        .expect(200);
    assert_eq!(canceled["numberOfInteractions"], 0);
}

#[actix_web::test]
async fn logged_segment_is_reused_with_its_contacts() {
    let app = ready().await;
    log(&app, "FAIR", &json!({})).await.expect(201);
    let (bert, _) = interaction_of(&app, "BERT").await;
    app.patch(&bert, &json!({"canceled": true})).await.expect(200);
    app.patch("/v1/contacts/SOLO", &json!({"excludeFromSegments": true})).await.expect(200);
    let reuses = "/v1/logged-segments/fair/reuses";
    let key = [("idempotency-key", "once")];
    let made = app.send(Method::POST, reuses, &key, None).await;
    assert_eq!(
        (made.status.as_u16(), made.header("location")),
        (201, "/v1/segments/SM0001"),
        "{made:?}"
    );
    assert_eq!(app.send(Method::POST, reuses, &key, None).await.text, made.text);
    let current = app.get("/v1/segments/SM0001").await;
    assert_eq!((made.header("etag"), &made.text), (current.header("etag"), &current.text));
    let view = made.json();
    assert_eq!(
        (&view["description"], &view["campaignNumber"], &view["campaignTarget"]),
        (&json!("Visitors of the fair"), &Value::Null, &json!(false))
    );
    let lines = app.get("/v1/segments/SM0001/lines").await.expect(200);
    let contacts: Vec<_> = lines["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line["contactNumber"].clone())
        .collect();
    assert_eq!(contacts, ["ANNE", "OTHER"]);
    // The reuse is a criteria action, so it can be undone.
    let action = app.get("/v1/segments/SM0001/criteria-actions/latest").await.expect(200);
    assert_eq!(
        (&action["filter"], &action["linesAdded"]),
        (&json!("loggedSegments/any(s: s eq 'FAIR')"), &json!(2))
    );
    app.delete("/v1/segments/SM0001/criteria-actions/latest").await.expect(204);
    assert_eq!(app.get("/v1/segments/SM0001/lines").await.expect(200)["value"], json!([]));

    let own = json!({
        "number": "AGAIN", "description": "Once more", "campaignNumber": "SPRING",
        "campaignTarget": true
    });
    let view = app.post(reuses, &own).await.expect(201);
    assert_eq!(
        (&view["description"], &view["campaignTarget"]),
        (&json!("Once more"), &json!(true))
    );
    assert_eq!(app.changed_keys().campaigns, ["SPRING".to_owned()].into());
    let wrong = json!({"number": "AGAIN", "campaignNumber": "NONE", "salespersonCode": "NOBODY"});
    let refused = app.post(reuses, &wrong).await;
    assert!(refused.status.is_client_error(), "{refused:?}");
    let wrong = json!({"campaignNumber": "NONE", "salespersonCode": "NOBODY"});
    let refused = app.post(reuses, &wrong).await;
    let missing = pairs(&[
        ("/campaignNumber", "REFERENCE_NOT_FOUND"),
        ("/salespersonCode", "REFERENCE_NOT_FOUND"),
    ]);
    assert_eq!((refused.status.as_u16(), refused.errors()), (422, missing));
    assert_eq!(app.post("/v1/logged-segments/NONE/reuses", &json!({})).await.status, 404);
    assert_eq!(app.get("/v1/segments?count=true").await.json()["count"], 2);
}
