//! Tasks.

use std::sync::Arc;

use kampanje::platform::clock::Calendar;
use kampanje::unit_of_work::ChangedKeys;
use serde_json::{Value, json};

use super::support::app::{TestApp, pairs};

const PATH: &str = "/v1/tasks";
const NOW: &str = "2031-05-14T09:30:00Z";

/// Returns an app on 2031-05-14 with the campaigns CP and OTHER, the contact C, the salespeople JO
/// and LT and the team T.
async fn app() -> TestApp {
    let app = TestApp::at(Calendar::new(Arc::new(|| NOW.parse().unwrap()))).await;
    app.post("/v1/salespeople/batch", &json!({"rows": [{"code": "JO"}, {"code": "LT"}]}))
        .await
        .expect(200);
    app.post("/v1/campaigns/batch", &json!({"rows": [{"number": "CP"}, {"number": "OTHER"}]}))
        .await
        .expect(200);
    app.put("/v1/contacts/C", &json!({"type": "COMPANY", "name": "C"})).await.expect(201);
    app.put("/v1/teams/T", &json!({"members": ["JO"]})).await.expect(201);
    app.changed_keys();
    app
}

/// Creates a salesperson's task, merged with these fields.
async fn create(app: &TestApp, fields: Value) -> Value {
    let mut body = json!({"campaignNumber": "CP", "salespersonCode": "JO", "date": "2031-05-01"});
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    app.post(PATH, &body).await.expect(201)
}

fn path(task: &Value) -> String {
    format!("{PATH}/{}", task["id"].as_str().unwrap())
}

#[actix_web::test]
async fn task_crud() {
    let app = app().await;
    let body = json!({
        "campaignNumber": "cp", "contactNumber": "c", "salespersonCode": "jo", "type": "call",
        "description": "Call them",
        "date": "2031-05-20", "startingTime": "14:30", "priority": "HIGH",
        "recurrence": {"interval": 2, "unit": "WEEKS", "from": "DUE_DATE"}
    });
    let created = app.post(PATH, &body).await;
    let location = created.header("location").to_owned();
    let task = created.expect(201);
    let expected = json!({
        "id": task["id"], "campaignNumber": "CP", "contactNumber": "C", "salespersonCode": "JO",
        "teamCode": null,
        "type": "CALL", "description": "Call them", "date": "2031-05-20", "startingTime": "14:30",
        "priority": "HIGH",
        "state": "NOT_STARTED", "closed": false, "closedAt": null,
        "recurrence": {"interval": 2, "unit": "WEEKS", "from": "DUE_DATE"}, "activityCode": null,
        "nextTaskId": null
    });
    assert_eq!((&task, &location), (&expected, &path(&task)));
    let changes = json!({
        "salespersonCode": null, "teamCode": "T", "state": "WAITING", "startingTime": null,
        "contactNumber": null, "recurrence": {"interval": 3}, "priority": null, "type": null
    });
    let patched = app.patch(&location, &changes).await.expect(200);
    let mut changed = expected;
    for (name, value) in [
        ("salespersonCode", Value::Null),
        ("teamCode", json!("T")),
        ("state", json!("WAITING")),
        ("startingTime", Value::Null),
        ("contactNumber", Value::Null),
        ("priority", json!("NORMAL")),
        ("type", Value::Null),
    ] {
        changed[name] = value;
    }
    changed["recurrence"]["interval"] = 3.into();
    assert_eq!(patched, changed);
    assert_eq!(
        app.patch(&location, &json!({"recurrence": null})).await.expect(200)["recurrence"],
        Value::Null
    );
    let replaced = app
        .put(&location, &json!({"campaignNumber": "OTHER", "teamCode": "T", "date": "2031-06-01"}))
        .await
        .expect(200);
    assert_eq!((&replaced["description"], &replaced["state"]), (&json!(""), &json!("NOT_STARTED")));
    app.delete(&location).await.expect(204);
    assert_eq!(app.get(&location).await.code(), "NOT_FOUND");
    assert_eq!(app.get(&format!("{PATH}/KEY")).await.code(), "NOT_FOUND");
    assert_eq!(app.changed_keys(), ChangedKeys::default());
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let app = app().await;
    let form = json!({
        "salespersonCode": "a  b", "date": "2031-02-30", "startingTime": "24:00",
        "priority": "URGENT", "state": "OPEN", "closed": "yes", "description": "d".repeat(101),
        "recurrence": {"interval": "1", "unit": "YEARS"}
    });
    let refused = app.post(PATH, &form).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (
            400,
            pairs(&[
                ("/campaignNumber", "REQUIRED"),
                ("/closed", "INVALID_TYPE"),
                ("/date", "INVALID_DATE"),
                ("/description", "TOO_LONG"),
                ("/priority", "INVALID_VALUE"),
                ("/recurrence/from", "REQUIRED"),
                ("/recurrence/interval", "INVALID_TYPE"),
                ("/recurrence/unit", "INVALID_VALUE"),
                ("/salespersonCode", "INVALID_KEY"),
                ("/startingTime", "INVALID_TIME"),
                ("/state", "INVALID_VALUE"),
            ])
        )
    );
    let nobody = app.post(PATH, &json!({"campaignNumber": "CP", "date": "2031-05-01"})).await;
    assert_eq!(
        (nobody.status.as_u16(), nobody.errors()),
        (422, pairs(&[("/salespersonCode", "MISSING")]))
    );
    for interval in [0, -1, 1_000] {
        let recurrence = json!({"interval": interval, "unit": "DAYS", "from": "DUE_DATE"});
        let both = json!({
            "campaignNumber": "CP", "date": "2031-05-01", "salespersonCode": "JO", "teamCode": "T",
            "recurrence": recurrence
        });
        let refused = app.post(PATH, &both).await;
        let expected =
            pairs(&[("/recurrence/interval", "OUT_OF_RANGE"), ("/teamCode", "NOT_ALLOWED")]);
        assert_eq!((refused.status.as_u16(), refused.errors()), (422, expected));
    }
    let missing = json!({
        "campaignNumber": "NO", "contactNumber": "NO", "teamCode": "NO", "date": "2031-05-01"
    });
    let refused = app.post(PATH, &missing).await;
    let not_found = "REFERENCE_NOT_FOUND";
    let expected = pairs(&[
        ("/campaignNumber", not_found),
        ("/contactNumber", not_found),
        ("/teamCode", not_found),
    ]);
    assert_eq!((refused.status.as_u16(), refused.errors()), (422, expected));
}

#[actix_web::test]
async fn either_field_closes_a_task_and_both_reopen_it() {
    let app = app().await;
    for change in [json!({"closed": true}), json!({"state": "COMPLETED"})] {
        let task = create(&app, json!({"state": "IN_PROGRESS"})).await;
        let path = path(&task);
        let closed = app.patch(&path, &change).await.expect(200);
        assert_eq!(
            (&closed["state"], &closed["closed"], &closed["closedAt"], &closed["nextTaskId"]),
            (&json!("COMPLETED"), &json!(true), &json!(NOW), &Value::Null)
        );
        assert_eq!(
            app.patch(&path, &json!({"description": "Done"})).await.expect(200)["closedAt"],
            NOW
        );
        for half in [json!({"closed": false}), json!({"state": "WAITING"})] {
            let refused = app.patch(&path, &half).await;
            assert_eq!(
                (refused.status.as_u16(), refused.errors()),
                (422, pairs(&[("/state", "NOT_ALLOWED")]))
            );
        }
        let opened =
            app.patch(&path, &json!({"closed": false, "state": "WAITING"})).await.expect(200);
        assert_eq!(
            (&opened["state"], &opened["closed"], &opened["closedAt"]),
            (&json!("WAITING"), &json!(false), &Value::Null)
        );
    }
    for fields in [
        json!({"closed": true}),
        json!({"state": "COMPLETED"}),
        json!({"closed": true, "state": "WAITING"}),
    ] {
        assert_eq!(create(&app, fields).await["state"], "COMPLETED");
    }
}

#[actix_web::test]
async fn closing_a_recurring_task_creates_the_next_one_once() {
    let app = app().await;
    let recurring = |unit: &str, from: &str| {
        json!({
            "date": "2031-01-31", "startingTime": "08:00", "type": "CALL", "contactNumber": "C",
            "state": "WAITING", "recurrence": {"interval": 1, "unit": unit, "from": from}
        })
    };
    for (unit, from, date) in [
        ("DAYS", "DUE_DATE", "2031-02-01"),
        ("WEEKS", "DUE_DATE", "2031-02-07"),
        ("MONTHS", "DUE_DATE", "2031-02-28"),
        ("MONTHS", "CLOSING_DATE", "2031-06-14"),
    ] {
        let task = create(&app, recurring(unit, from)).await;
        let closed = app.patch(&path(&task), &json!({"closed": true})).await.expect(200);
        let mut expected = task.clone();
        expected["id"] = closed["nextTaskId"].clone();
        expected["date"] = date.into();
        expected["state"] = "NOT_STARTED".into();
        assert_eq!(app.get(&path(&expected)).await.expect(200), expected, "{unit} {from}");
    }
    assert_eq!(app.get(&format!("{PATH}?count=true")).await.json()["count"], 8);

    // A reopened task has its next task already. When that one is deleted, closing creates another.
    let task = create(&app, recurring("DAYS", "DUE_DATE")).await;
    let path = path(&task);
    let open = json!({"closed": false, "state": "WAITING"});
    let first = app.patch(&path, &json!({"closed": true})).await.expect(200);
    app.patch(&path, &open).await.expect(200);
    let again = app.patch(&path, &json!({"closed": true})).await.expect(200);
    assert_eq!(again["nextTaskId"], first["nextTaskId"]);
    app.delete(&format!("{PATH}/{}", first["nextTaskId"].as_str().unwrap())).await.expect(204);
    assert_eq!(app.get(&path).await.json()["nextTaskId"], Value::Null);
    app.patch(&path, &open).await.expect(200);
    let third = app.patch(&path, &json!({"closed": true})).await.expect(200);
    assert_ne!((&third["nextTaskId"], &Value::Null), (&first["nextTaskId"], &third["nextTaskId"]));
}

#[actix_web::test]
async fn recurring_task_without_valid_successor_stays_open() {
    let app = app().await;
    let recurrence = json!({"interval": 1, "unit": "DAYS", "from": "DUE_DATE"});
    let last = create(&app, json!({"date": "9999-12-31", "recurrence": recurrence})).await;
    let refused = app.patch(&path(&last), &json!({"closed": true})).await;
    let expected = pairs(&[("/recurrence/interval", "OUT_OF_RANGE")]);
    assert_eq!((refused.status.as_u16(), refused.errors()), (422, expected));
    app.patch(&path(&last), &json!({"closed": true, "recurrence": null})).await.expect(200);

    // The next task is a new one, and a blocked salesperson gets no new tasks.
    let task = create(&app, json!({"recurrence": recurrence})).await;
    app.patch("/v1/salespeople/JO", &json!({"blocked": true})).await.expect(200);
    let refused = app.patch(&path(&task), &json!({"closed": true})).await;
    assert_eq!(refused.errors(), pairs(&[("/salespersonCode", "SALESPERSON_BLOCKED")]));
    assert_eq!(app.get(&path(&task)).await.json()["closed"], false);
    app.patch(&path(&task), &json!({"closed": true, "salespersonCode": "LT"})).await.expect(200);
}

#[actix_web::test]
async fn tasks_are_listed_by_campaign_and_written_in_batches() {
    let app = app().await;
    let row = |n: usize| {
        json!({
            "campaignNumber": if n.is_multiple_of(2) { "CP" } else { "OTHER" }, "teamCode": "T",
            "closed": true, "date": format!("2031-05-{:02}", 28 - n % 28),
            "startingTime": format!("{:02}:00", n % 24),
            "recurrence": {"interval": 1, "unit": "MONTHS", "from": "DUE_DATE"}
        })
    };
    let rows: Vec<Value> = (0..1_000).map(row).collect();
    let receipts = app.post(&format!("{PATH}/batch"), &json!({"rows": rows})).await.expect(200);
    assert_eq!(receipts["receipts"].as_array().unwrap().len(), 1_000);
    for (filter, count) in [
        ("campaignNumber eq 'cp'", 1_000),
        ("campaignNumber eq 'CP' and closed eq false", 500),
        ("closed eq true and state eq 'COMPLETED' and closedAt ge 2031-05-14T00:00:00Z", 1_000),
        ("salespersonCode ne null", 0),
        ("teamCode eq 'T' and priority eq 'NORMAL' and date ge 2031-06-01", 1_000),
        ("startingTime lt '01:00'", 84),
    ] {
        let page = app
            .get(&format!("{PATH}?count=true&top=1&filter={}", filter.replace(' ', "%20")))
            .await;
        assert_eq!(page.expect(200)["count"], count, "{filter}");
    }
    let first = app.get(&format!("{PATH}?top=2")).await.expect(200);
    assert_eq!(
        (&first["value"][0]["date"], &first["value"][1]["date"]),
        (&json!("2031-05-01"), &json!("2031-05-01"))
    );
    let bad = json!([row(0), {
        "campaignNumber": "NO", "teamCode": "T", "date": "2031-05-01"
    }, {"teamCode": "T"}]);
    let refused = app.post(&format!("{PATH}/batch"), &json!({"rows": bad})).await;
    assert_eq!(refused.status, 400);
    assert_eq!(app.get(&format!("{PATH}?count=true&top=1")).await.json()["count"], 2_000);
}

#[actix_web::test]
async fn open_tasks_and_opportunities_keep_campaign_and_contact() {
    let app = app().await;
    let open = create(&app, json!({"contactNumber": "C"})).await;
    let done = create(&app, json!({"closed": true})).await;
    let other = app
        .post(PATH, &json!({
            "campaignNumber": "OTHER", "teamCode": "T", "contactNumber": "C", "date": "2031-05-01"
        }))
        .await
        .expect(201);
    let opportunity = json!({"contactNumber": "C", "campaignNumber": "CP"});
    app.put("/v1/opportunities/RUN", &opportunity).await.expect(201);
    app.put(
        "/v1/opportunities/WON",
        &json!({"contactNumber": "C", "campaignNumber": "CP", "state": "WON"}),
    )
    .await
    .expect(201);
    app.put("/v1/segments/S", &json!({"campaignNumber": "CP"})).await.expect(201);
    let held = |reply: &Value| -> Vec<(String, u64)> {
        let errors = reply["errors"].as_array().unwrap();
        let params = errors.iter().map(|error| &error["params"]);
        params
            .map(|params| {
                (params["what"].as_str().unwrap().to_owned(), params["count"].as_u64().unwrap())
            })
            .collect()
    };
    let refused = app.delete("/v1/campaigns/CP").await.expect(409);
    let expected = [
        ("segments".to_owned(), 1),
        ("open tasks".to_owned(), 1),
        ("running opportunities".to_owned(), 1),
    ];
    assert_eq!((&refused["code"], held(&refused)), (&json!("IN_USE"), expected.to_vec()));
    assert_eq!(app.get(&path(&done)).await.status, 200, "nothing went with the refused deletion");
    // The refusal names the active campaign, and the other dependents too.
    app.sql(
        "UPDATE campaigns SET publication_version = 1, published_starting_date = '2031-01-01'
        WHERE number = 'CP'",
    )
    .await;
    let refused = app.delete("/v1/campaigns/CP").await.expect(409);
    assert_eq!((&refused["code"], held(&refused)), (&json!("CAMPAIGN_ACTIVE"), expected.to_vec()));
    app.sql("UPDATE campaigns SET publication_version = NULL, published_starting_date = NULL")
        .await;

    let refused = app.delete("/v1/contacts/C").await.expect(409);
    assert_eq!(held(&refused), [("open tasks".to_owned(), 2), ("opportunities".to_owned(), 2)]);

    app.patch(&path(&open), &json!({"closed": true})).await.expect(200);
    app.patch("/v1/opportunities/RUN", &json!({"state": "LOST"})).await.expect(200);
    app.delete("/v1/segments/S").await.expect(204);
    app.delete("/v1/campaigns/CP").await.expect(204);
    assert_eq!(app.get(&path(&done)).await.status, 404);
    assert_eq!(app.get("/v1/opportunities/WON").await.json()["campaignNumber"], Value::Null);

    for number in ["RUN", "WON"] {
        app.delete(&format!("/v1/opportunities/{number}")).await.expect(204);
    }
    let refused = app.delete("/v1/contacts/C").await.expect(409);
    assert_eq!(held(&refused), [("open tasks".to_owned(), 1)]);
    app.patch(&path(&other), &json!({"closed": true})).await.expect(200);
    app.delete("/v1/contacts/C").await.expect(204);
    assert_eq!(app.get(&path(&other)).await.json()["contactNumber"], Value::Null);
}
