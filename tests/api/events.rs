//! The outbox: changes in order and without a gap, and the first and last days of campaigns once
//! each.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use kampanje::events::latest::LatestEvent;
use kampanje::events::lifecycle::{emit_due, run};
use kampanje::platform::clock::Calendar;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Bounds, Reply, TestApp, pairs};
use super::support::clock::Clock;
use super::support::make::{self, activate};
use super::support::wait::eventually;

const STARTED: &str = "kampanje.campaign.started";
const ENDED: &str = "kampanje.campaign.ended";

/// Returns a company with a chair, and a campaign for it that can be activated.
async fn app(calendar: Calendar) -> TestApp {
    let app = TestApp::at(calendar).await;
    make::item(&app, "CHAIR", "100").await;
    make::company(&app, "BUYER").await;
    campaign(&app, "MAY", "2031-05-10", Some("2031-05-20")).await;
    app
}

async fn campaign(app: &TestApp, number: &str, starting_date: &str, ending_date: Option<&str>) {
    let body = json!({"number": number, "startingDate": starting_date, "endingDate": ending_date});
    app.post("/v1/campaigns", &body).await.expect(201);
    make::target_segment(app, number, number).await;
    make::segment_line(app, number, "BUYER").await;
    make::campaign_price(app, number, "CHAIR", "80").await;
}

async fn asked(app: &TestApp, query: &[(&str, &str)]) -> Reply {
    Reply::to(app.request(Method::GET, "/v1/events").query(query)).await
}

async fn events(app: &TestApp, query: &[(&str, &str)]) -> Vec<Value> {
    asked(app, &[query, &[("top", "1000")]].concat()).await.expect(200)["value"]
        .as_array()
        .unwrap()
        .clone()
}

/// Returns the lifecycle events so far in order: type, campaign, its dates, and the day the event
/// was due.
async fn lifecycle(app: &TestApp) -> Vec<(String, String, String, String)> {
    let filter = format!("type in ('{STARTED}', '{ENDED}')");
    let lifecycle = events(app, &[("filter", &filter)]).await;
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let row = |event: &Value| {
        let data = &event["data"];
        let dates = format!("{}/{}", text(&data["startingDate"]), text(&data["endingDate"]));
        let type_ = text(&event["type"]).replace("kampanje.campaign.", "");
        (type_, text(&data["campaignNumber"]), dates, text(&data["dueDate"]))
    };
    lifecycle.iter().map(row).collect()
}

fn lifecycle_event(
    type_: &str,
    campaign: &str,
    dates: &str,
    due: &str,
) -> (String, String, String, String) {
    (type_.to_owned(), campaign.to_owned(), dates.to_owned(), due.to_owned())
}

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

#[actix_web::test]
async fn publications_and_status_changes_are_cloud_events() {
    let app = app(Calendar::system()).await;
    app.post("/v1/campaign-statuses", &json!({"code": "PLANNED", "sequence": 1})).await.expect(201);
    let known = events(&app, &[]).await.last().unwrap()["sequence"].clone();
    app.post("/v1/campaigns/MAY/status-changes", &json!({})).await.expect(201);
    app.patch("/v1/campaigns/MAY", &json!({"statusCode": null})).await.expect(200);
    app.patch("/v1/campaigns/MAY", &json!({"description": "No event of its own"}))
        .await
        .expect(200);
    let version = activate(&app, "MAY").await["version"].as_i64().unwrap();
    make::item(&app, "TABLE", "300").await;
    app.post("/v1/campaigns/MAY/deactivations", &json!({})).await.expect(201);

    let known = known.as_i64().unwrap();
    let types = "type in ('kampanje.campaign.status-changed', 'kampanje.publication.created')";
    let seen = events(&app, &[("after", &known.to_string()), ("filter", types)]).await;
    let published: Vec<_> = seen
        .iter()
        .map(|event| (event["type"].as_str().unwrap(), event["subject"].as_str().unwrap()))
        .collect();
    assert_eq!(
        published,
        [
            ("kampanje.campaign.status-changed", "campaigns/MAY"),
            ("kampanje.campaign.status-changed", "campaigns/MAY"),
            ("kampanje.publication.created", "campaigns/MAY"),
            ("kampanje.publication.created", &format!("publications/{}", version + 1)),
            ("kampanje.publication.created", "campaigns/MAY"),
        ]
    );
    let data: Vec<&Value> = seen.iter().map(|event| &event["data"]).collect();
    assert_eq!(
        data[0],
        &json!({"campaignNumber": "MAY", "fromStatusCode": null, "toStatusCode": "PLANNED"})
    );
    assert_eq!(
        data[1],
        &json!({"campaignNumber": "MAY", "fromStatusCode": "PLANNED", "toStatusCode": null})
    );
    let book_id = app.get("/v1/publications/1").await.expect(200)["bookId"].clone();
    let created = |version: i64, kind: &str, campaign: Option<&str>, added: i64, removed: i64| {
        json!({
            "version": version, "bookId": book_id, "kind": kind, "campaignNumber": campaign,
            "added": added, "changed": 0, "removed": removed
        })
    };
    assert_eq!(
        data[2],
        &created(version, "ACTIVATION", Some("MAY"), 3, 0),
        "the campaign, a price, an account"
    );
    assert_eq!(data[3], &created(version + 1, "BASE_DATA", None, 1, 0));
    assert_eq!(data[4], &created(version + 2, "DEACTIVATION", Some("MAY"), 0, 3));
    assert!(seen.is_sorted_by_key(|event| event["sequence"].as_i64()));
    for event in &seen {
        assert_eq!((&event["specversion"], &event["source"]), (&json!("1.0"), &json!("/v1")));
        assert_eq!(event["datacontenttype"], "application/json");
        assert!(event["time"].as_str().unwrap().parse::<chrono::DateTime<chrono::Utc>>().is_ok());
        assert_eq!(event["bookid"], book_id);
        assert_eq!(event.as_object().unwrap().len(), 10, "{event}");
    }
    let ids: BTreeSet<_> = seen.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), seen.len());
}

#[actix_web::test]
async fn consumer_continues_after_its_last_event() {
    let app = app(Calendar::system()).await;
    app.post("/v1/campaign-statuses", &json!({"code": "PLANNED", "sequence": 1})).await.expect(201);
    app.post("/v1/campaigns/MAY/status-changes", &json!({})).await.expect(201);
    for price in 1..=5 {
        app.put("/v1/items/CHAIR", &json!({"listPrice": price.to_string()})).await.expect(200);
    }
    let all = events(&app, &[]).await;
    let type_ = "kampanje.publication.created";
    let wanted: Vec<Value> = all
        .iter()
        .filter(|event| event["sequence"].as_i64() > Some(2) && event["type"] == type_)
        .cloned()
        .collect();
    assert!(wanted.len() >= 5 && wanted.len() < all.len() - 2, "{all:?}");
    let query = [("after", "2"), ("type", type_), ("top", "2"), ("count", "true")];
    let mut page = asked(&app, &query).await.expect(200);
    assert_eq!(page["count"], wanted.len());
    let mut read = page["value"].as_array().unwrap().clone();
    while let Some(next) = page["nextLink"].as_str() {
        page = app.get(next).await.expect(200);
        read.extend(page["value"].as_array().unwrap().iter().cloned());
    }
    assert_eq!(read, wanted);
    let last = all.last().unwrap()["sequence"].to_string();
    assert_eq!(events(&app, &[("after", &last)]).await, Vec::<Value>::new());
    assert_eq!(events(&app, &[("filter", "sequence eq 1")]).await, all[..1]);
    let backwards = events(&app, &[("orderby", "sequence desc")]).await;
    assert!(backwards.iter().rev().eq(&all));
}

#[actix_web::test]
async fn invalid_queries_are_refused() {
    let app = TestApp::new().await;
    let wrong = asked(&app, &[("after", "x"), ("type", "kampanje.nothing"), ("wait", "31")]).await;
    assert_eq!(wrong.status, 400);
    assert_eq!(
        wrong.errors(),
        pairs(&[("?after", "INVALID_TYPE"), ("?type", "INVALID_VALUE"), ("?wait", "INVALID_TYPE")])
    );
    for (name, value, code) in [
        ("after", "-1", "INVALID_REQUEST"),
        ("after", "99999999999999999999", "INVALID_REQUEST"),
        ("since", "1", "INVALID_REQUEST"),
        ("wait", "-1", "INVALID_REQUEST"),
        ("wait", "1.5", "INVALID_REQUEST"),
        ("filter", "data eq 'x'", "INVALID_FILTER"),
    ] {
        let refused = asked(&app, &[(name, value)]).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (400, code),
            "{name}={value}"
        );
    }
}

#[actix_web::test]
async fn concurrent_changes_keep_the_sequence_gapless_and_ordered() {
    let app = app(Calendar::system()).await;
    for (code, sequence) in [("A", 1), ("B", 2)] {
        app.post("/v1/campaign-statuses", &json!({"code": code, "sequence": sequence}))
            .await
            .expect(201);
    }
    campaign(&app, "JUNE", "2031-06-01", Some("2031-06-30")).await;
    activate(&app, "MAY").await;
    activate(&app, "JUNE").await;
    let (mut commits, mut refusals) = (0, 0);
    for round in 0..8 {
        let status = if round % 2 == 0 { "A" } else { "B" };
        let rows: Vec<Value> = (0..3)
            .map(|at| json!({"number": format!("I{round}-{at}"), "listPrice": "1"}))
            .collect();
        // A status change with a publication in one unit of work, base data, and changes that have
        // no effect.
        let (may, june, chair) = ("/v1/campaigns/MAY", "/v1/campaigns/JUNE", "/v1/items/CHAIR");
        let bodies = [
            json!({"statusCode": status, "endingDate": format!("2031-06-{}", 10 + round)}),
            json!({"statusCode": status, "endingDate": format!("2031-07-{}", 10 + round)}),
            json!({"statusCode": status, "startingDate": null}),
            json!({"listPrice": (101 + round).to_string()}),
            json!({ "rows": rows }),
        ];
        let answers = tokio::join!(
            app.patch(may, &bodies[0]),
            app.patch(june, &bodies[1]),
            app.patch(may, &bodies[2]),
            app.patch(chair, &bodies[3]),
            app.post("/v1/items/batch", &bodies[4]),
            app.sql("BEGIN; UPDATE event_counter SET sequence = sequence + 1; ROLLBACK"),
        );
        for answer in [answers.0, answers.1, answers.2, answers.3, answers.4] {
            if answer.status.is_success() {
                commits += 1;
            } else {
                assert_eq!(answer.status, 422, "{answer:?}");
                refusals += 1;
            }
        }
    }
    assert_eq!((commits, refusals), (32, 8));
    let all = events(&app, &[]).await;
    assert!(
        all.iter()
            .map(|event| event["sequence"].as_u64().unwrap())
            .eq(1..=u64::try_from(all.len()).unwrap())
    );
    let versions: Vec<u64> =
        all.iter().filter_map(|event| event["data"]["version"].as_u64()).collect();
    assert!(
        versions.iter().copied().eq(1..=u64::try_from(versions.len()).unwrap()),
        "{versions:?}"
    );
    let published = app.get("/v1/publications?top=1&count=true").await.expect(200);
    assert_eq!(published["count"], versions.len());
    let mut changes = 0;
    for number in ["MAY", "JUNE"] {
        let path = format!("/v1/campaigns/{number}/status-changes?count=true");
        changes += app.get(&path).await.expect(200)["count"].as_u64().unwrap();
    }
    let recorded = events(&app, &[("type", "kampanje.campaign.status-changed")]).await;
    assert_eq!(recorded.len(), usize::try_from(changes).unwrap());
    assert!(changes >= 16);
}

#[actix_web::test]
async fn campaigns_begin_and_end_with_the_company_days() {
    let clock = Clock::at("2031-05-01T00:00:00Z");
    let calendar = clock.calendar();
    let app = app(calendar.clone()).await;
    app.patch("/v1/settings", &json!({"timeZone": "America/New_York"})).await.expect(200);
    let mut conn = app.connection().await;
    clock.set("2031-05-15T00:00:00Z");
    assert_eq!(
        emit_due(&mut conn, calendar.today()).await.unwrap(),
        0,
        "a draft neither begins nor ends"
    );
    clock.set("2031-05-01T00:00:00Z");
    let version = activate(&app, "MAY").await["version"].clone();
    for (instant, emitted) in [
        ("2031-05-10T03:59:59.999Z", 0),
        ("2031-05-10T04:00:00Z", 1),
        ("2031-05-10T04:00:00Z", 0),
        ("2031-05-21T03:59:59.999Z", 0),
        ("2031-05-21T04:00:00Z", 1),
        ("2031-05-22T04:00:00Z", 0),
    ] {
        clock.set(instant);
        assert_eq!(emit_due(&mut conn, calendar.today()).await.unwrap(), emitted, "{instant}");
    }
    let dates = "2031-05-10/2031-05-20";
    assert_eq!(
        lifecycle(&app).await,
        [
            lifecycle_event("started", "MAY", dates, "2031-05-10"),
            lifecycle_event("ended", "MAY", dates, "2031-05-21")
        ]
    );
    let started = events(&app, &[("type", STARTED)]).await;
    assert_eq!(
        (&started[0]["subject"], &started[0]["data"]["publicationVersion"]),
        (&json!("campaigns/MAY"), &version)
    );
    // The calendar's day also decides after the company has moved to another time zone.
    campaign(&app, "MOVED", "2031-06-02", None).await;
    activate(&app, "MOVED").await;
    clock.set("2031-06-01T12:00:00Z");
    assert_eq!(emit_due(&mut conn, calendar.today()).await.unwrap(), 0);
    app.patch("/v1/settings", &json!({"timeZone": "Pacific/Kiritimati"})).await.expect(200);
    assert_eq!(emit_due(&mut conn, calendar.today()).await.unwrap(), 1);
    assert_eq!(
        lifecycle(&app).await[2],
        lifecycle_event("started", "MOVED", "2031-06-02/-", "2031-06-02")
    );
}

#[actix_web::test]
async fn concurrent_replicas_emit_once() {
    let app = app(Calendar::system()).await;
    activate(&app, "MAY").await;
    // Both find that an event is due while a third session holds the counter, and continue only
    // afterwards.
    let mut other = app.connection().await;
    other.batch_execute("BEGIN; SELECT sequence FROM event_counter FOR UPDATE").await.unwrap();
    let replica = |mut conn: AsyncPgConnection| {
        actix_web::rt::spawn(async move { emit_due(&mut conn, day("2031-05-30")).await.unwrap() })
    };
    let replicas = [replica(app.connection().await), replica(app.connection().await)];
    app.wait_for_blocked_statements(2).await;
    other.batch_execute("COMMIT").await.unwrap();
    let mut emitted = Vec::new();
    for replica in replicas {
        emitted.push(replica.await.unwrap());
    }
    emitted.sort_unstable();
    assert_eq!(emitted, [0, 2]);
    assert_eq!(lifecycle(&app).await.len(), 2);
    // The database refuses a duplicate too.
    let again = "INSERT INTO events
            (sequence, id, type, subject, data, campaign_id, starting_date, ending_date)
        SELECT
            1000, gen_random_uuid(), type, subject, data, campaign_id, starting_date, ending_date
        FROM events
        WHERE type = 'kampanje.campaign.started'";
    let error = other.batch_execute(again).await.unwrap_err();
    assert!(error.to_string().contains("events_once"), "{error}");
}

#[actix_web::test]
async fn missed_events_are_emitted_later_in_order() {
    let app = app(Calendar::system()).await;
    campaign(&app, "APRIL", "2031-04-01", Some("2031-05-15")).await;
    campaign(&app, "OPEN", "2031-05-12", None).await;
    campaign(&app, "LATER", "2031-07-01", None).await;
    for number in ["MAY", "APRIL", "OPEN", "LATER"] {
        activate(&app, number).await;
    }
    assert_eq!(emit_due(&mut app.connection().await, day("2031-06-30")).await.unwrap(), 5);
    let (april, may) = ("2031-04-01/2031-05-15", "2031-05-10/2031-05-20");
    assert_eq!(
        lifecycle(&app).await,
        [
            lifecycle_event("started", "APRIL", april, "2031-04-01"),
            lifecycle_event("started", "MAY", may, "2031-05-10"),
            lifecycle_event("started", "OPEN", "2031-05-12/-", "2031-05-12"),
            lifecycle_event("ended", "APRIL", april, "2031-05-16"),
            lifecycle_event("ended", "MAY", may, "2031-05-21"),
        ]
    );
    assert_eq!(emit_due(&mut app.connection().await, day("2031-06-30")).await.unwrap(), 0);
}

#[actix_web::test]
async fn new_dates_restart_and_withdrawn_campaigns_do_not_end() {
    let app = app(Calendar::system()).await;
    let mut conn = app.connection().await;
    activate(&app, "MAY").await;
    assert_eq!(emit_due(&mut conn, day("2031-05-12")).await.unwrap(), 1);
    // A change of lines leaves the dates as they are.
    let line = json!({"itemNumber": "CHAIR", "unitPrice": "70", "minimumQuantity": "10"});
    app.post("/v1/campaigns/MAY/prices", &line).await.expect(201);
    assert_eq!(emit_due(&mut conn, day("2031-05-12")).await.unwrap(), 0);
    // The campaign continues with other dates.
    app.patch("/v1/campaigns/MAY", &json!({"endingDate": "2031-05-25"})).await.expect(200);
    assert_eq!(emit_due(&mut conn, day("2031-05-21")).await.unwrap(), 1);
    // Its start is postponed while it runs, so it begins again on the new day.
    app.patch("/v1/campaigns/MAY", &json!({"startingDate": "2031-05-23"})).await.expect(200);
    assert_eq!(emit_due(&mut conn, day("2031-05-22")).await.unwrap(), 0);
    assert_eq!(emit_due(&mut conn, day("2031-05-23")).await.unwrap(), 1);
    // A deactivated campaign neither ends nor begins. When activated again with the same dates, it
    // does not begin twice.
    app.post("/v1/campaigns/MAY/deactivations", &json!({})).await.expect(201);
    assert_eq!(emit_due(&mut conn, day("2031-05-30")).await.unwrap(), 0);
    activate(&app, "MAY").await;
    assert_eq!(emit_due(&mut conn, day("2031-05-24")).await.unwrap(), 0);
    assert_eq!(emit_due(&mut conn, day("2031-05-30")).await.unwrap(), 1);
    // Next year.
    app.patch(
        "/v1/campaigns/MAY",
        &json!({"startingDate": "2032-05-10", "endingDate": "2032-05-20"}),
    )
    .await
    .expect(200);
    assert_eq!(emit_due(&mut conn, day("2031-05-31")).await.unwrap(), 0);
    assert_eq!(emit_due(&mut conn, day("2032-05-20")).await.unwrap(), 1);
    let (late, next) = ("2031-05-23/2031-05-25", "2032-05-10/2032-05-20");
    assert_eq!(
        lifecycle(&app).await,
        [
            lifecycle_event("started", "MAY", "2031-05-10/2031-05-20", "2031-05-10"),
            lifecycle_event("started", "MAY", "2031-05-10/2031-05-25", "2031-05-10"),
            lifecycle_event("started", "MAY", late, "2031-05-23"),
            lifecycle_event("ended", "MAY", late, "2031-05-26"),
            lifecycle_event("started", "MAY", next, "2032-05-10"),
        ]
    );
}

#[actix_web::test]
async fn unpublished_dates_do_not_begin() {
    let app = app(Calendar::system()).await;
    let mut conn = app.connection().await;
    app.patch("/v1/campaigns/MAY", &json!({"publishing": "MANUAL"})).await.expect(200);
    activate(&app, "MAY").await;
    app.patch("/v1/campaigns/MAY", &json!({"startingDate": "2031-05-01"})).await.expect(200);
    assert_eq!(emit_due(&mut conn, day("2031-05-02")).await.unwrap(), 0);
    activate(&app, "MAY").await;
    assert_eq!(emit_due(&mut conn, day("2031-05-02")).await.unwrap(), 1);
}

#[actix_web::test]
async fn new_campaign_with_a_reused_number_begins_too() {
    let app = app(Calendar::system()).await;
    let mut conn = app.connection().await;
    activate(&app, "MAY").await;
    assert_eq!(emit_due(&mut conn, day("2031-05-12")).await.unwrap(), 1);
    app.post("/v1/campaigns/MAY/deactivations", &json!({})).await.expect(201);
    app.delete("/v1/segments/MAY").await.expect(204);
    app.delete("/v1/campaigns/MAY").await.expect(204);
    campaign(&app, "MAY", "2031-05-10", Some("2031-05-20")).await;
    activate(&app, "MAY").await;
    assert_eq!(emit_due(&mut conn, day("2031-05-12")).await.unwrap(), 1);
    assert_eq!(lifecycle(&app).await.len(), 2, "the first one's event stays");
}

#[actix_web::test]
async fn service_emits_due_events_by_itself() {
    let clock = Clock::at("2031-05-12T12:00:00Z");
    let calendar = clock.calendar();
    let app = app(calendar.clone()).await;
    activate(&app, "MAY").await;
    let task = actix_web::rt::spawn(run(app.background_pool(), calendar));
    eventually("the service emits the event", async || !lifecycle(&app).await.is_empty()).await;
    task.abort();
    assert_eq!(
        lifecycle(&app).await,
        [lifecycle_event("started", "MAY", "2031-05-10/2031-05-20", "2031-05-10")]
    );
}

/// Returns the type and subject of the events of a change.
async fn caused(app: &TestApp, change: impl AsyncFnOnce()) -> Vec<(String, String)> {
    let known = events(app, &[]).await.last().map_or(0, |last| last["sequence"].as_i64().unwrap());
    change().await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let new = events(app, &[("after", &known.to_string())]).await;
    new.iter().map(|event| (text(&event["type"]), text(&event["subject"]))).collect()
}

#[actix_web::test]
async fn changed_drafts_are_announced_once() {
    let app = app(Calendar::system()).await;
    let (campaign, segment) = ("kampanje.campaign.changed", "kampanje.segment.changed");
    let one = |type_: &str, subject: &str| vec![(type_.to_owned(), subject.to_owned())];
    let may = one(campaign, "campaigns/MAY");
    let fair = one(segment, "segments/FAIR");
    let line = json!({"itemNumber": "CHAIR", "unitPrice": "70", "minimumQuantity": "10"});
    let seen = caused(&app, async || {
        app.patch("/v1/campaigns/MAY", &json!({"description": "Spring"})).await.expect(200);
    });
    assert_eq!(seen.await, may);
    let seen = caused(&app, async || {
        app.patch("/v1/campaigns/MAY", &json!({"description": "Spring"})).await.expect(200);
    });
    assert_eq!(seen.await, [], "nothing changed");
    let seen = caused(&app, async || {
        let path = "/v1/campaigns/MAY/prices?validateOnly=true";
        app.post(path, &line).await.expect(200);
    });
    assert_eq!(seen.await, [], "only validated");
    let seen = caused(&app, async || {
        let more = json!({"itemNumber": "CHAIR", "unitPrice": "60", "minimumQuantity": "20"});
        let rows = json!({ "rows": [line, more] });
        app.post("/v1/campaigns/MAY/prices/batch", &rows).await.expect(200);
    });
    assert_eq!(seen.await, may, "a batch is one change");
    let prices = app.get("/v1/campaigns/MAY/prices").await.expect(200)["value"].clone();
    let price = format!("/v1/campaigns/MAY/prices/{}", prices[0]["id"].as_str().unwrap());
    assert_eq!(caused(&app, async || drop(app.delete(&price).await.expect(204))).await, may);
    let seen = caused(&app, async || {
        let discount = json!({"itemNumber": "CHAIR", "lineDiscountPercent": "5"});
        app.post("/v1/campaigns/MAY/discounts", &discount).await.expect(201);
    });
    assert_eq!(seen.await, may);
    let seen = caused(&app, async || {
        app.post("/v1/segments", &json!({"number": "FAIR"})).await.expect(201);
    });
    assert_eq!(seen.await, fair);
    let seen = caused(&app, async || make::segment_line(&app, "FAIR", "BUYER").await);
    assert_eq!(seen.await, fair);
    let action = json!({"action": "REDUCE", "filter": "number eq 'BUYER'"});
    let seen = caused(&app, async || {
        app.post("/v1/segments/FAIR/criteria-actions", &action).await.expect(201);
    });
    assert_eq!(seen.await, fair);
    let seen = caused(&app, async || drop(app.delete("/v1/segments/FAIR").await.expect(204)));
    assert_eq!(seen.await, fair);
    let data = events(&app, &[("type", segment), ("filter", "subject eq 'segments/FAIR'")]).await;
    assert_eq!(data[0]["data"], json!({"segmentNumber": "FAIR"}));
    let seen = caused(&app, async || {
        let rows = json!({"atomic": false, "rows": [
            {"number": "GOOD", "description": "x"}, {"number": "BAD", "statusCode": "NOWHERE"}
        ]});
        app.post("/v1/campaigns/batch", &rows).await.expect(207);
    });
    assert_eq!(seen.await, one(campaign, "campaigns/GOOD"), "a refused row changes nothing");
}

#[actix_web::test]
async fn request_waits_until_there_is_an_event() {
    let app = app(Calendar::system()).await;
    let last = events(&app, &[]).await.last().unwrap()["sequence"].to_string();
    let began = Instant::now();
    let waiting = [("after", &*last), ("wait", "30"), ("type", "kampanje.segment.changed")];
    let (seen, ()) = tokio::join!(events(&app, &waiting), async {
        eventually("the request waits", async || app.latest_event.waiting() == 1).await;
        // An event of another type does not end the wait.
        app.patch("/v1/campaigns/MAY", &json!({"description": "x"})).await.expect(200);
        app.post("/v1/segments", &json!({"number": "FAIR"})).await.expect(201);
    });
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0]["subject"], "segments/FAIR");
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
    // What is there already is answered without waiting, also without a slot.
    assert_eq!(events(&app, &[("after", &last), ("wait", "30")]).await.len(), 2);
    assert_eq!(app.latest_event.waiting(), 0);
}

#[actix_web::test]
async fn request_without_event_is_answered_after_its_wait() {
    let app = TestApp::new().await;
    let last = events(&app, &[]).await.last().map_or(0, |last| last["sequence"].as_i64().unwrap());
    let began = Instant::now();
    let seen = events(&app, &[("after", &last.to_string()), ("wait", "1")]).await;
    assert_eq!(seen, Vec::<Value>::new());
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
    // A service that stops answers immediately.
    let query = [("after", "1000"), ("wait", "30")];
    let (seen, ()) = tokio::join!(events(&app, &query), async {
        eventually("the request waits", async || app.latest_event.waiting() == 1).await;
        app.latest_event.stop();
    });
    assert_eq!(seen, Vec::<Value>::new());
    assert_eq!(events(&app, &query).await, Vec::<Value>::new());
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
}

#[actix_web::test]
async fn waiting_requests_are_bounded() {
    let bounds = Bounds { latest_event: LatestEvent::new(1), ..Bounds::default() };
    let app = TestApp::with_bounds(bounds).await;
    let query = [("after", "1000"), ("wait", "30")];
    let waiting = app.request(Method::GET, "/v1/events").query(&query).send();
    let waiting = actix_web::rt::spawn(waiting);
    eventually("the request waits", async || app.latest_event.waiting() == 1).await;
    let refused = asked(&app, &query).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "TOO_MANY_WAITING"));
    assert_eq!(refused.header("retry-after"), "5");
    asked(&app, &[("after", "1000")]).await.expect(200);
    app.latest_event.stop();
    assert_eq!(waiting.await.unwrap().unwrap().status(), 200);
    assert_eq!(app.latest_event.waiting(), 0);
}
