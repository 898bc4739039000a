//! Criteria actions: selection by each option, undo, and saved criteria with their replay.

use diesel_async::SimpleAsyncConnection;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp, pairs};
use super::support::make;

const ACTIONS: &str = "/v1/segments/S/criteria-actions";
const LATEST: &str = "/v1/segments/S/criteria-actions/latest";
const PREVIEWS: &str = "/v1/segments/S/criteria-previews";

/// Returns an app with two companies with persons, a person without company, and an excluded or
/// blocked contact of each kind.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    let company =
        |name: &str| json!({"number": name, "type": "COMPANY", "name": name, "city": "OSLO"});
    let person = |name: &str, company: Value, jobs: Value| {
        json!({
            "number": name, "type": "PERSON", "name": name, "companyNumber": company,
            "jobResponsibilities": jobs
        })
    };
    let mut rows = vec![company("ACME"), company("BOLT"), company("SHUT"), company("GONE")];
    rows[2]["excludeFromSegments"] = json!(true);
    rows[3]["privacyBlocked"] = json!(true);
    for (name, company, jobs) in [
        ("ANN", json!("ACME"), json!(["PURCHASE"])),
        ("ART", json!("ACME"), json!(["SALES"])),
        ("BEA", json!("BOLT"), json!(["SALES"])),
        ("SAM", json!("SHUT"), json!(["PURCHASE"])),
        ("SOLO", Value::Null, json!(["PURCHASE"])),
    ] {
        rows.push(person(name, company, jobs));
    }
    for (name, flag) in [("AEX", "excludeFromSegments"), ("ABL", "privacyBlocked")] {
        let mut row = person(name, json!("ACME"), json!(["PURCHASE"]));
        row[flag] = json!(true);
        rows.push(row);
    }
    app.post("/v1/contacts/batch", &json!({"rows": rows})).await.expect(200);
    app.post("/v1/segments", &json!({"number": "S"})).await.expect(201);
    app
}

const BUYERS: &str = "jobResponsibilities/any(j: j eq 'PURCHASE')";
const COMPANIES: &str = "type eq 'COMPANY'";

async fn lines(app: &TestApp) -> Vec<Value> {
    app.get("/v1/segments/S/lines?top=1000").await.expect(200)["value"].as_array().unwrap().clone()
}

async fn contacts(app: &TestApp) -> Vec<String> {
    let lines = lines(app).await;
    lines.iter().map(|line| line["contactNumber"].as_str().unwrap().to_owned()).collect()
}

async fn act(app: &TestApp, action: &str, filter: &str, options: &[&str]) -> Reply {
    let mut body = json!({"action": action, "filter": filter});
    for option in options {
        body[option] = json!(true);
    }
    app.post(ACTIONS, &body).await
}

async fn go_back(app: &TestApp) {
    app.delete(LATEST).await.expect(204);
}

#[actix_web::test]
async fn add_obeys_its_options() {
    let app = app().await;
    let cases: [(&str, &[&str], &[&str]); 8] = [
        (BUYERS, &[], &["ANN", "SAM", "SOLO"]),
        (BUYERS, &["ignoreExclusion"], &["AEX", "ANN", "SAM", "SOLO"]),
        (BUYERS, &["relatedCompanies"], &["ACME", "ANN", "SAM", "SOLO"]),
        (COMPANIES, &[], &["ACME", "BOLT"]),
        (COMPANIES, &["expandCompanies"], &["ACME", "ANN", "ART", "BEA", "BOLT"]),
        (COMPANIES, &["ignoreExclusion"], &["ACME", "BOLT", "SHUT"]),
        // An expansion never adds excluded contacts, even if the filter itself does.
        (
            COMPANIES,
            &["expandCompanies", "ignoreExclusion"],
            &["ACME", "ANN", "ART", "BEA", "BOLT", "SAM", "SHUT"],
        ),
        (
            "number in ('AEX', 'SAM')",
            &["relatedCompanies", "ignoreExclusion"],
            &["ACME", "AEX", "SAM"],
        ),
    ];
    for (filter, options, expected) in cases {
        let mut body = json!({"action": "ADD", "filter": filter});
        for option in options {
            body[option] = json!(true);
        }
        let preview = app.post(PREVIEWS, &body).await.expect(200);
        assert_eq!(contacts(&app).await, Vec::<String>::new());
        let done = app.post(ACTIONS, &body).await.expect(201);
        assert_eq!(contacts(&app).await, expected, "{filter} {options:?}");
        assert_eq!(done["linesAdded"], json!(expected.len()));
        let numbers = json!({
            "linesBefore": 0, "linesAdded": expected.len(), "linesExisting": 0, "linesRemoved": 0,
            "linesAfter": expected.len()
        });
        assert_eq!(preview, numbers);
        for (field, value) in body.as_object().unwrap() {
            assert_eq!(&done[field], value);
        }
        go_back(&app).await;
    }
}

#[actix_web::test]
async fn existing_lines_are_kept() {
    let app = app().await;
    app.post("/v1/segments/S/lines", &json!({"contactNumber": "ANN", "campaignTarget": false}))
        .await
        .expect(201);
    let by_hand = lines(&app).await;
    let done = act(&app, "ADD", BUYERS, &[]).await.expect(201);
    assert_eq!((&done["linesAdded"], &done["linesExisting"]), (&json!(2), &json!(0)));
    let body = json!({"action": "ADD", "filter": BUYERS, "allowExisting": true});
    let preview = app.post(PREVIEWS, &body).await.expect(200);
    assert_eq!((&preview["linesAdded"], &preview["linesExisting"]), (&json!(0), &json!(3)));
    let again = app.post(ACTIONS, &body).await.expect(201);
    assert_eq!((&again["linesAdded"], &again["linesExisting"]), (&json!(0), &json!(3)));
    go_back(&app).await;
    assert_eq!(contacts(&app).await, ["ANN", "SAM", "SOLO"]);
    go_back(&app).await;
    assert_eq!(lines(&app).await, by_hand);
}

#[actix_web::test]
async fn reduce_and_refine_are_complements() {
    let app = app().await;
    act(&app, "ADD", COMPANIES, &["expandCompanies"]).await.expect(201);
    act(&app, "ADD", "number eq 'SOLO'", &[]).await.expect(201);
    let cases: [(&str, &str, &[&str], &[&str]); 6] = [
        ("REDUCE", BUYERS, &[], &["ACME", "ART", "BEA", "BOLT"]),
        ("REFINE", BUYERS, &[], &["ANN", "SOLO"]),
        ("REDUCE", BUYERS, &["entireCompanies"], &["BEA", "BOLT"]),
        ("REFINE", BUYERS, &["entireCompanies"], &["ACME", "ANN", "ART", "SOLO"]),
        // A person who is not on the segment selects its company too.
        ("REFINE", "number eq 'ABL'", &["entireCompanies"], &["ACME", "ANN", "ART"]),
        ("REDUCE", "number eq 'NOBODY'", &[], &["ACME", "ANN", "ART", "BEA", "BOLT", "SOLO"]),
    ];
    let before = lines(&app).await;
    for (action, filter, options, left) in cases {
        let mut body = json!({"action": action, "filter": filter});
        for option in options {
            body[option] = json!(true);
        }
        let preview = app.post(PREVIEWS, &body).await.expect(200);
        let done = app.post(ACTIONS, &body).await.expect(201);
        assert_eq!(contacts(&app).await, left, "{action} {filter} {options:?}");
        let removed = json!(before.len() - left.len());
        assert_eq!((&done["linesRemoved"], &done["linesAdded"]), (&removed, &json!(0)));
        let numbers = json!({
            "linesBefore": 6, "linesAdded": 0, "linesExisting": 0, "linesRemoved": removed,
            "linesAfter": left.len()
        });
        assert_eq!(preview, numbers);
        go_back(&app).await;
        assert_eq!(lines(&app).await, before);
    }
}

#[actix_web::test]
async fn undo_restores_each_step_down_to_the_empty_segment() {
    let app = app().await;
    act(&app, "ADD", COMPANIES, &["expandCompanies"]).await.expect(201);
    let overrides = json!({"campaignTarget": false, "campaignResponse": true});
    app.patch("/v1/segments/S/lines/ANN", &overrides).await.expect(200);
    let first = lines(&app).await;
    act(&app, "REDUCE", BUYERS, &[]).await.expect(201);
    let second = lines(&app).await;
    act(&app, "ADD", "number eq 'ANN' or number eq 'SOLO'", &[]).await.expect(201);
    let third = lines(&app).await;
    act(&app, "REFINE", "number eq 'SOLO'", &[]).await.expect(201);
    assert_eq!(contacts(&app).await, ["SOLO"]);
    let history = app.get(ACTIONS).await.expect(200);
    let actions: Vec<_> = history["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (&a["position"], &a["action"]))
        .collect();
    let words = [json!("ADD"), json!("REDUCE"), json!("ADD"), json!("REFINE")];
    assert_eq!(actions, [1, 2, 3, 4].map(|n| json!(n)).iter().zip(&words).collect::<Vec<_>>());
    for before in [third, second, first, Vec::new()] {
        go_back(&app).await;
        assert_eq!(lines(&app).await, before);
    }
    let nothing = app.delete(LATEST).await;
    assert_eq!((nothing.status.as_u16(), nothing.code().as_str()), (409, "NO_CRITERIA_ACTION"));
    assert_eq!(app.get(LATEST).await.status, 404);
    assert_eq!(app.get(ACTIONS).await.expect(200)["value"], json!([]));
}

#[actix_web::test]
async fn manual_changes_between_actions_are_kept() {
    let app = app().await;
    act(&app, "ADD", BUYERS, &[]).await.expect(201);
    // A line that is removed, and then added manually, stays a manual line.
    act(&app, "REDUCE", "number eq 'ANN'", &[]).await.expect(201);
    let by_hand = app
        .post("/v1/segments/S/lines", &json!({"contactNumber": "ANN", "campaignTarget": true}))
        .await;
    let by_hand = by_hand.expect(201);
    // Undo does not restore a line that was deleted manually.
    app.delete("/v1/segments/S/lines/SOLO").await.expect(204);
    go_back(&app).await;
    assert_eq!(contacts(&app).await, ["ANN", "SAM"]);
    assert_eq!(app.get("/v1/segments/S/lines/ANN").await.json(), by_hand);
    go_back(&app).await;
    assert_eq!(contacts(&app).await, ["ANN"]);
    // A contact that was deleted meanwhile cannot be restored.
    act(&app, "ADD", "number eq 'SAM'", &[]).await.expect(201);
    act(&app, "REDUCE", "number eq 'SAM'", &[]).await.expect(201);
    app.delete("/v1/contacts/SAM").await.expect(204);
    go_back(&app).await;
    assert_eq!(contacts(&app).await, ["ANN"]);
    // The segment is deleted with its actions.
    app.delete("/v1/segments/S").await.expect(204);
    assert_eq!(app.get(ACTIONS).await.status, 404);
}

#[actix_web::test]
async fn undo_requires_the_etag_of_the_action() {
    let app = app().await;
    let first = act(&app, "ADD", COMPANIES, &[]).await;
    assert_eq!(app.send(Method::DELETE, LATEST, &[], None).await.status, 428);
    let latest = app.get(LATEST).await;
    assert_eq!((latest.header("etag"), &latest.text), (first.header("etag"), &first.text));
    assert_eq!(app.get(ACTIONS).await.json()["value"][0]["etag"], json!(first.header("etag")));
    act(&app, "ADD", BUYERS, &[]).await.expect(201);
    let stale = app.send(Method::DELETE, LATEST, &[("if-match", first.header("etag"))], None).await;
    assert_eq!((stale.status.as_u16(), contacts(&app).await.len()), (412, 5));
    let known = app.send(Method::GET, LATEST, &[("if-none-match", "*")], None).await;
    assert_eq!(known.status, 304);
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let app = app().await;
    for path in [ACTIONS, PREVIEWS] {
        let wrong = json!({
            "action": "REDUCE", "filter": "nmae eq 'x'", "expandCompanies": true,
            "allowExisting": true
        });
        let refused = app.post(path, &wrong).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "INVALID_FILTER"));
        let expected = [
            ("/allowExisting", "NOT_ALLOWED"),
            ("/expandCompanies", "NOT_ALLOWED"),
            ("/filter", "NOT_FILTERABLE"),
        ];
        assert_eq!(refused.errors(), pairs(&expected));
        let foreign = app
            .post(path, &json!({"action": "ADD", "filter": BUYERS, "entireCompanies": true}))
            .await;
        assert_eq!(foreign.status, 422);
        assert_eq!(foreign.errors(), pairs(&[("/entireCompanies", "NOT_ALLOWED")]));
        let missing = app.post(path, &json!({"action": "KEEP", "expand": true})).await;
        assert_eq!(missing.status, 400);
        let expected =
            [("/action", "INVALID_VALUE"), ("/expand", "UNKNOWN_FIELD"), ("/filter", "REQUIRED")];
        assert_eq!(missing.errors(), pairs(&expected));
        let long = format!("number eq '{}'", "A".repeat(5_000));
        assert_eq!(app.post(path, &json!({"action": "ADD", "filter": long})).await.status, 400);
        assert_eq!(app.post(path, &json!({"action": "ADD", "filter": ""})).await.status, 400);
    }
    let nowhere = app
        .post("/v1/segments/T/criteria-actions", &json!({"action": "ADD", "filter": BUYERS}))
        .await;
    assert_eq!(nowhere.status, 404);
    assert_eq!(app.get(ACTIONS).await.json()["value"], json!([]));
}

#[actix_web::test]
async fn idempotency_key_adds_once() {
    let app = app().await;
    let body = json!({"action": "ADD", "filter": BUYERS}).to_string();
    let keyed = [("idempotency-key", "k1")];
    let first = app.send(Method::POST, ACTIONS, &keyed, Some(&body)).await;
    let again = app.send(Method::POST, ACTIONS, &keyed, Some(&body)).await;
    assert_eq!((first.status.as_u16(), &first.text), (201, &again.text));
    assert_eq!(app.get(&format!("{ACTIONS}?count=true")).await.json()["count"], 1);
}

#[actix_web::test]
async fn active_campaign_is_published_in_the_same_transaction() {
    let app = app().await;
    make::item(&app, "DESK", "100").await;
    let campaign = json!({"number": "C", "startingDate": "2031-05-01", "endingDate": "2031-05-31"});
    app.post("/v1/campaigns", &campaign).await.expect(201);
    make::campaign_price(&app, "C", "DESK", "80").await;
    app.patch("/v1/segments/S", &json!({"campaignNumber": "C", "campaignTarget": true}))
        .await
        .expect(200);
    act(&app, "ADD", "number eq 'BEA'", &[]).await.expect(201);
    app.post("/v1/campaigns/C/activations", &json!({})).await.expect(201);
    let price = async |contact: &str| {
        let path =
            format!("/v1/price-quotes?contactNumber={contact}&itemNumber=DESK&date=2031-05-15");
        app.get(&path).await.expect(200)["lines"][0]["unitPrice"].as_str().unwrap().to_owned()
    };
    assert_eq!((price("BOLT").await.as_str(), price("ACME").await.as_str()), ("80", "100"));
    let added = act(&app, "ADD", "number eq 'ANN'", &[]).await;
    assert!(!added.header("publication-version").is_empty());
    assert_eq!(price("ACME").await, "80");
    act(&app, "REFINE", "number eq 'ANN'", &[]).await.expect(201);
    assert_eq!(price("BOLT").await, "100");
    go_back(&app).await;
    go_back(&app).await;
    assert_eq!((price("BOLT").await.as_str(), price("ACME").await.as_str()), ("80", "100"));
    app.post(
        "/v1/saved-criteria",
        &json!({"code": "ALL", "actions": [{"action": "ADD", "filter": COMPANIES}]}),
    )
    .await
    .expect(201);
    app.post("/v1/segments/S/criteria-replays", &json!({"code": "ALL"})).await.expect(201);
    assert_eq!(price("ACME").await, "80");
}

#[actix_web::test]
async fn saved_criteria_are_replayed_over_current_contacts() {
    let app = app().await;
    act(&app, "ADD", COMPANIES, &["expandCompanies"]).await.expect(201);
    act(&app, "REDUCE", BUYERS, &["entireCompanies"]).await.expect(201);
    let created = app
        .post(
            "/v1/saved-criteria",
            &json!({"code": "fair", "description": "Trade fair", "segmentNumber": "s"}),
        )
        .await;
    assert_eq!(
        (created.status.as_u16(), created.header("location")),
        (201, "/v1/saved-criteria/FAIR")
    );
    let off = |mut action: Value, on: &str| {
        for option in [
            "allowExisting",
            "expandCompanies",
            "relatedCompanies",
            "entireCompanies",
            "ignoreExclusion",
        ] {
            action[option] = json!(option == on);
        }
        action
    };
    let add = off(json!({"action": "ADD", "filter": COMPANIES}), "expandCompanies");
    let reduce = off(json!({"action": "REDUCE", "filter": BUYERS}), "entireCompanies");
    assert_eq!(created.json()["actions"], json!([add, reduce]));
    // Saved criteria do not change with the segment, nor with a change of their description.
    go_back(&app).await;
    let patched =
        app.patch("/v1/saved-criteria/FAIR", &json!({"description": "Fair"})).await.expect(200);
    assert_eq!(
        (&patched["actions"], &patched["description"]),
        (&json!([add, reduce]), &json!("Fair"))
    );
    app.delete("/v1/segments/S").await.expect(204);
    assert_eq!(app.get("/v1/saved-criteria/FAIR").await.json(), patched);

    app.post("/v1/contacts", &json!({"number": "NEW", "type": "COMPANY", "name": "New"}))
        .await
        .expect(201);
    app.post("/v1/segments", &json!({"number": "S"})).await.expect(201);
    let replayed =
        app.post("/v1/segments/S/criteria-replays", &json!({"code": "FAIR"})).await.expect(201);
    assert_eq!(contacts(&app).await, ["BEA", "BOLT", "NEW"]);
    let counts: Vec<_> = replayed["actions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| (&a["linesAdded"], &a["linesRemoved"]))
        .collect();
    assert_eq!(counts, [(&json!(6), &json!(0)), (&json!(0), &json!(3))]);
    go_back(&app).await;
    assert_eq!(contacts(&app).await.len(), 6);
    go_back(&app).await;
    assert_eq!(contacts(&app).await, Vec::<String>::new());
    let unknown = app.post("/v1/segments/S/criteria-replays", &json!({"code": "FARI"})).await;
    assert_eq!(unknown.status, 422);
    assert_eq!(unknown.errors(), pairs(&[("/code", "REFERENCE_NOT_FOUND")]));
    let list = app.get("/v1/saved-criteria?filter=code%20eq%20'FAIR'&count=true").await.expect(200);
    assert_eq!((&list["count"], &list["value"][0]["code"]), (&json!(1), &json!("FAIR")));
    app.delete("/v1/saved-criteria/FAIR").await.expect(204);
    assert_eq!(app.get("/v1/saved-criteria/FAIR").await.status, 404);
}

#[actix_web::test]
async fn saved_criteria_report_their_errors() {
    let app = app().await;
    let path = "/v1/saved-criteria";
    let add = json!({"action": "ADD", "filter": BUYERS});
    let cases = [
        (json!({"code": "A"}), 422, pairs(&[("/segmentNumber", "MISSING")])),
        (
            json!({"code": "A", "segmentNumber": "NONE"}),
            422,
            pairs(&[("/segmentNumber", "REFERENCE_NOT_FOUND")]),
        ),
        (
            json!({"code": "A", "segmentNumber": "S"}),
            422,
            pairs(&[("/segmentNumber", "NOT_ALLOWED")]),
        ),
        (
            json!({"code": "A", "segmentNumber": "S", "actions": [add]}),
            422,
            pairs(&[("/segmentNumber", "NOT_ALLOWED")]),
        ),
        (json!({"code": "A", "actions": []}), 400, pairs(&[("/actions", "TOO_SHORT")])),
        (json!({"code": "A", "actions": vec![&add; 101]}), 400, pairs(&[("/actions", "TOO_LONG")])),
        (
            json!({
                "code": "A",
                "actions": [add, {"action": "REFINE", "filter": "x", "allowExisting": true}]
            }),
            400,
            pairs(&[
                ("/actions/1/allowExisting", "NOT_ALLOWED"),
                ("/actions/1/filter", "NOT_FILTERABLE"),
            ]),
        ),
        (json!({"actions": [add]}), 400, pairs(&[("/code", "REQUIRED")])),
    ];
    for (body, status, errors) in cases {
        let refused = app.post(path, &body).await;
        assert_eq!(refused.status, status, "{body} {refused:?}");
        assert_eq!(refused.errors(), errors, "{body}");
    }
    app.put("/v1/saved-criteria/A", &json!({"actions": [add]})).await.expect(201);
    let taken = app.post(path, &json!({"code": "A", "actions": [add]})).await;
    assert_eq!(
        (taken.status.as_u16(), taken.errors()),
        (409, pairs(&[("/code", "ALREADY_EXISTS")]))
    );
    act(&app, "ADD", COMPANIES, &[]).await.expect(201);
    let rows = json!([{"code": "A", "segmentNumber": "S"}, {"code": "B", "actions": [add]}]);
    let rows = json!({"mode": "REPLACE", "rows": rows});
    app.post("/v1/saved-criteria/batch", &rows).await.expect(200);
    assert_eq!(app.get("/v1/saved-criteria/A").await.json()["actions"][0]["filter"], COMPANIES);
    let again = app
        .patch("/v1/saved-criteria/B", &json!({"segmentNumber": "S", "actions": null}))
        .await
        .expect(200);
    assert_eq!(again["actions"][0]["filter"], COMPANIES);
}

#[actix_web::test]
async fn action_waits_for_concurrent_manual_lines() {
    let app = app().await;
    let mut other = app.connection().await;
    other
        .batch_execute(
            "BEGIN; SELECT FROM segments WHERE number = 'S' FOR SHARE;
             INSERT INTO segment_lines (id, segment_number, contact_number)
                 VALUES (gen_random_uuid(), 'S', 'ANN')",
        )
        .await
        .unwrap();
    let body = json!({"action": "ADD", "filter": BUYERS, "allowExisting": true});
    let (reply, ()) = tokio::join!(app.post(ACTIONS, &body), async {
        app.wait_for_blocked_statements(1).await;
        other.batch_execute("COMMIT").await.unwrap();
    });
    let done = reply.expect(201);
    assert_eq!((&done["linesAdded"], &done["linesExisting"]), (&json!(2), &json!(1)));
    go_back(&app).await;
    assert_eq!(contacts(&app).await, ["ANN"]);
}

#[actix_web::test]
async fn contacts_are_found_by_interactions() {
    let app = app().await;
    app.put("/v1/interaction-templates/CALL", &json!({"description": "Call"})).await.expect(201);
    app.put("/v1/salespeople/JO", &json!({})).await.expect(201);
    for campaign in ["SPRING", "AUTUMN"] {
        app.put(&format!("/v1/campaigns/{campaign}"), &json!({})).await.expect(201);
    }
    let logged = json!({
        "number": "L", "campaignNumber": "AUTUMN", "interactionTemplateCode": "CALL",
        "salespersonCode": "JO"
    });
    app.post("/v1/segments", &logged).await.expect(201);
    make::segment_line(&app, "L", "ART").await;
    app.post("/v1/segments/L/logs", &json!({})).await.expect(201);
    let with = |contact: &str, more: Value| {
        let mut body = json!({"contactNumber": contact, "campaignNumber": "SPRING"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for body in [
        with("ANN", json!({"interactionTemplateCode": "CALL"})),
        with("ANN", json!({})),
        with("BEA", json!({"campaignResponse": true})),
        with(
            "SOLO",
            json!({"campaignResponse": true, "canceled": true, "interactionTemplateCode": "CALL"}),
        ),
        with("ABL", json!({"campaignResponse": true})),
    ] {
        app.post("/v1/interactions", &body).await.expect(201);
    }
    app.post("/v1/interactions", &json!({"contactNumber": "SAM"})).await.expect(201);
    for (filter, listed, added) in [
        (
            "interactionCampaigns/any(c: c eq 'spring')",
            vec!["ABL", "ANN", "BEA"],
            vec!["ANN", "BEA"],
        ),
        ("interactionCampaigns/any(c: c eq 'AUTUMN')", vec!["ART"], vec!["ART"]),
        ("interactionCampaigns/any()", vec!["ABL", "ANN", "ART", "BEA"], vec!["ANN", "ART", "BEA"]),
        (
            "interactionCampaigns/any(c: startswith(c, 'S'))",
            vec!["ABL", "ANN", "BEA"],
            vec!["ANN", "BEA"],
        ),
        ("respondedCampaigns/any(c: c eq 'SPRING')", vec!["ABL", "BEA"], vec!["BEA"]),
        ("respondedCampaigns/any(c: c eq 'AUTUMN')", vec![], vec![]),
        ("interactionTemplates/any(t: t eq 'CALL')", vec!["ANN", "ART"], vec!["ANN", "ART"]),
        ("loggedSegments/any(s: s eq 'L')", vec!["ART"], vec!["ART"]),
        (
            "interactionCampaigns/any(c: c eq 'SPRING') and not respondedCampaigns/any(c: c eq 'SPRING')",
            vec!["ANN"],
            vec!["ANN"],
        ),
    ] {
        let page = app.get(&format!("/v1/contacts?filter={filter}")).await.expect(200);
        let numbers: Vec<_> = page["value"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["number"].as_str().unwrap())
            .collect();
        assert_eq!(numbers, listed, "{filter}");
        act(&app, "ADD", filter, &[]).await.expect(201);
        assert_eq!(contacts(&app).await, added, "{filter}");
        go_back(&app).await;
    }
    assert_eq!(app.get("/v1/contacts?orderby=loggedSegments").await.status, 400);
}
