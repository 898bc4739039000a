//! Webhooks: signed events, at least once, whatever receivers and replicas do.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel_async::SimpleAsyncConnection;
use futures_util::future::{BoxFuture, join};
use kampanje::events::latest::LatestEvent;
use kampanje::platform::clock::Calendar;
use kampanje::webhooks::client::{ATTEMPT_TIMEOUT, WebhookClient};
use kampanje::webhooks::deliveries::delete_expired;
use kampanje::webhooks::schedule::RETRY_DELAYS_SECONDS;
use kampanje::webhooks::sender::{LEASE, Sender};
use reqwest::Method;
use serde_json::{Value, json};

use super::process::Serving;
use super::support::app::{TestApp, pairs};
use super::support::clock::Clock;
use super::support::database::TestDatabase;
use super::support::receiver::{Behavior, Receiver};
use super::support::wait::{TEST_TIMEOUT, eventually};

const SUBSCRIPTIONS: &str = "/v1/webhook-subscriptions";

/// Returns a client that may connect to this machine only.
fn client(timeout: Duration) -> WebhookClient {
    let lookup = |host: String| -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
        unreachable!("{host} is looked up")
    };
    WebhookClient::with("127.0.0.0/8".parse().unwrap(), Arc::new(lookup), timeout).unwrap()
}

fn sender(app: &TestApp, calendar: &Calendar) -> Sender {
    Sender::new(app.units_of_work.clone(), calendar.clone(), client(ATTEMPT_TIMEOUT))
}

/// Returns a service at a fixed time, with a sender.
async fn fixed(at: &str) -> (TestApp, Clock, Sender) {
    let clock = Clock::at(at);
    let app = TestApp::at(clock.calendar()).await;
    let sender = sender(&app, &clock.calendar());
    (app, clock, sender)
}

/// Creates a subscription, and returns it with its secret.
async fn subscribe(app: &TestApp, url: &str, types: &[&str]) -> Value {
    app.post(SUBSCRIPTIONS, &json!({"url": url, "types": types})).await.expect(201)
}

fn path(subscription: &Value) -> String {
    format!("{SUBSCRIPTIONS}/{}", subscription["id"].as_str().unwrap())
}

async fn current(app: &TestApp, subscription: &Value) -> Value {
    app.get(&path(subscription)).await.expect(200)
}

/// Returns the deliveries of a subscription, the newest first.
async fn deliveries(app: &TestApp, subscription: &Value) -> Vec<Value> {
    let listed = app.get(&format!("{}/deliveries?top=1000", path(subscription))).await.expect(200);
    listed["value"].as_array().unwrap().clone()
}

/// Makes an event, and returns it.
async fn make_event(app: &TestApp, item: &str) -> Value {
    app.put(&format!("/v1/items/{item}"), &json!({"listPrice": "400"})).await.expect(201);
    events(app, "").await.last().unwrap().clone()
}

async fn events(app: &TestApp, query: &str) -> Vec<Value> {
    let listed = app.get(&format!("/v1/events?top=1000{query}")).await.expect(200);
    listed["value"].as_array().unwrap().clone()
}

fn instant(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

#[actix_web::test]
async fn events_are_sent_signed_and_equal_to_those_of_the_feed() {
    let (app, clock, sender) = fixed("2031-05-01T08:30:00Z").await;
    make_event(&app, "BEFORE").await;
    let receiver = Receiver::start(Behavior::Status(204)).await;
    let subscription = subscribe(&app, &receiver.url(), &[]).await;
    let event = make_event(&app, "DESK").await;
    assert_eq!(sender.send_due().await.unwrap(), 1, "it starts at the present");
    let received = receiver.next().await;
    assert!(received.head.starts_with("POST /hook?token=x HTTP/1.1\r\n"), "{}", received.head);
    assert_eq!(received.json(), event);
    assert_eq!(received.headers["webhook-id"], event["id"].as_str().unwrap());
    let at: DateTime<Utc> = "2031-05-01T08:30:00Z".parse().unwrap();
    assert_eq!(received.headers["webhook-timestamp"], at.timestamp().to_string());
    assert_eq!(received.headers["content-type"], "application/cloudevents+json; charset=utf-8");
    let secret = subscription["secret"].as_str().unwrap();
    assert!(received.is_signed_with(secret));
    assert!(!received.is_signed_with("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"));
    assert_eq!(received.headers["webhook-signature"].split(' ').count(), 1);

    let delivery = &deliveries(&app, &subscription).await[0];
    for (name, value) in [
        ("eventId", event["id"].clone()),
        ("eventSequence", event["sequence"].clone()),
        ("eventType", json!("kampanje.publication.created")),
        ("state", json!("SUCCEEDED")),
        ("attempts", json!(1)),
        ("nextAttemptAt", Value::Null),
        ("attemptedAt", json!("2031-05-01T08:30:00Z")),
        ("responseStatus", json!(204)),
        ("error", Value::Null),
    ] {
        assert_eq!(delivery[name], value, "{name}");
    }
    assert!(delivery["durationMilliseconds"].as_i64().unwrap() >= 0);
    clock.set("2031-05-09T08:30:00Z");
    assert_eq!(sender.send_due().await.unwrap(), 0, "confirmed deliveries are not repeated");

    // The secret is in the answer to the creation only.
    for path in [
        path(&subscription),
        format!("{}/deliveries", path(&subscription)),
        SUBSCRIPTIONS.to_owned(),
        "/v1/events".to_owned(),
        "/v1/audit-entries".to_owned(),
    ] {
        let text = app.get(&path).await.text;
        assert!(!text.contains(secret) && !text.contains("whsec_"), "{path}: {text}");
    }
}

#[actix_web::test]
async fn failed_attempts_follow_the_schedule() {
    let (app, clock, sender) = fixed("2031-05-01T08:30:00Z").await;
    let receiver = Receiver::start(Behavior::Status(500)).await;
    let subscription = subscribe(&app, &receiver.url(), &[]).await;
    make_event(&app, "DESK").await;
    let mut now = instant(&json!("2031-05-01T08:30:00Z"));
    for (attempts, delay) in (1..).zip(RETRY_DELAYS_SECONDS) {
        assert_eq!(sender.send_due().await.unwrap(), 1, "{attempts}");
        let delivery = &deliveries(&app, &subscription).await[0];
        assert_eq!(
            (&delivery["state"], &delivery["attempts"], &delivery["responseStatus"]),
            (&json!("PENDING"), &json!(attempts), &json!(500))
        );
        assert_eq!(delivery["error"], "status 500");
        let next = instant(&delivery["nextAttemptAt"]);
        let wait = next - now;
        let (least, most) = (TimeDelta::seconds(delay), TimeDelta::milliseconds(delay * 1_100));
        assert!(least <= wait && wait < most, "{attempts}: {wait}");
        clock.set(&(next - TimeDelta::milliseconds(1)).to_rfc3339());
        assert_eq!(sender.send_due().await.unwrap(), 0, "{attempts}: too early");
        clock.set(&next.to_rfc3339());
        now = next;
    }
    assert_eq!(sender.send_due().await.unwrap(), 1);
    let delivery = deliveries(&app, &subscription).await[0].clone();
    assert_eq!(
        (&delivery["state"], &delivery["attempts"], &delivery["nextAttemptAt"]),
        (&json!("FAILED"), &json!(10), &Value::Null)
    );
    assert_eq!(current(&app, &subscription).await["failingSince"], "2031-05-01T08:30:00Z");

    // By hand it is sent again, and the receiver sees the same id each time.
    receiver.behave(Behavior::Status(200));
    let retries =
        format!("{}/deliveries/{}/retries", path(&subscription), delivery["id"].as_str().unwrap());
    let due = app.post(&retries, &Value::Null).await;
    assert_eq!(due.status, 400, "there is no body: {due:?}");
    let due = app.send(Method::POST, &retries, &[], None).await.expect(201);
    assert_eq!((&due["state"], &due["attempts"]), (&json!("PENDING"), &json!(10)));
    assert_eq!(sender.send_due().await.unwrap(), 1);
    let delivery = &deliveries(&app, &subscription).await[0];
    assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("SUCCEEDED"), &json!(11)));
    assert_eq!(current(&app, &subscription).await["failingSince"], Value::Null);
    let received = receiver.arrived().await;
    assert_eq!(received.len(), 11);
    let ids: BTreeSet<_> = received.iter().map(|request| &request.headers["webhook-id"]).collect();
    assert_eq!(ids.len(), 1);
    let unknown = "0190b5c2-7d5e-7000-8000-000000000001";
    let unknown = format!("{}/deliveries/{unknown}/retries", path(&subscription));
    assert_eq!(app.send(Method::POST, &unknown, &[], None).await.status, 404);
}

#[actix_web::test]
async fn receivers_that_misbehave() {
    let app = TestApp::new().await;
    let elsewhere = Receiver::start(Behavior::Status(200)).await;
    let redirect = Behavior::Redirect(elsewhere.url());
    let cases = [
        (Behavior::Silence, None, "no complete response within 400ms"),
        (Behavior::Status(500), Some(500), "status 500"),
        (Behavior::Status(404), Some(404), "status 404"),
        (redirect, Some(307), "status 307: redirects are not followed"),
        (Behavior::Truncated, None, "end of file before message length reached"),
        (Behavior::Close, None, "connection closed before message completed"),
        (Behavior::Endless, Some(200), ""),
    ];
    let sender = Sender::new(
        app.units_of_work.clone(),
        Calendar::system(),
        client(Duration::from_millis(400)),
    );
    for (behavior, status, error) in cases {
        let receiver = Receiver::start(behavior.clone()).await;
        let subscription = subscribe(&app, &receiver.url(), &[]).await;
        app.send(Method::POST, &format!("{}/tests", path(&subscription)), &[], None)
            .await
            .expect(201);
        sender.send_due().await.unwrap();
        let delivery = &deliveries(&app, &subscription).await[0];
        assert_eq!(delivery["responseStatus"], json!(status), "{behavior:?}");
        assert_eq!(delivery["error"].as_str().unwrap_or_default(), error, "{behavior:?}");
        let state = if error.is_empty() { "SUCCEEDED" } else { "PENDING" };
        assert_eq!(delivery["state"], state, "{behavior:?}");
        // Only what fits the buffers of both sockets is sent beyond the 64 KiB that are read.
        assert!(receiver.sent_bytes() < 20_000_000, "{behavior:?}: {}", receiver.sent_bytes());
    }
    assert_eq!(elsewhere.connections(), 0, "redirects are not followed");
}

#[actix_web::test]
async fn gone_receiver_is_disabled_immediately() {
    let (app, clock, sender) = fixed("2031-05-01T08:30:00Z").await;
    let receiver = Receiver::start(Behavior::Status(500)).await;
    let subscription = subscribe(&app, &receiver.url(), &[]).await;
    make_event(&app, "DESK").await;
    sender.send_due().await.unwrap();
    receiver.behave(Behavior::Status(410));
    make_event(&app, "LAMP").await;
    sender.send_due().await.unwrap();
    let view = current(&app, &subscription).await;
    assert_eq!((&view["enabled"], &view["disabledReason"]), (&json!(false), &json!("GONE")));
    let states: Vec<_> =
        deliveries(&app, &subscription).await.iter().map(|row| row["state"].clone()).collect();
    assert_eq!(states, ["CANCELED", "CANCELED"]);
    let event = events(&app, "&type=kampanje.webhook.disabled").await[0].clone();
    assert_eq!(event["data"], json!({"subscriptionId": subscription["id"], "reason": "GONE"}));
    let subject = format!("webhook-subscriptions/{}", subscription["id"].as_str().unwrap());
    assert_eq!(event["subject"], subject);
    let audit = app.get("/v1/audit-entries?filter=subject eq 'webhooks'").await.expect(200);
    assert_eq!(audit["value"].as_array().unwrap().len(), 1);

    // Nothing is sent to a disabled subscription, and tests and retries are refused.
    make_event(&app, "SOFA").await;
    clock.set("2031-05-09T08:30:00Z");
    assert_eq!(sender.send_due().await.unwrap(), 0);
    assert_eq!(deliveries(&app, &subscription).await.len(), 2);
    let delivery = deliveries(&app, &subscription).await[0]["id"].as_str().unwrap().to_owned();
    for refused in ["tests".to_owned(), format!("deliveries/{delivery}/retries")] {
        let refused = format!("{}/{refused}", path(&subscription));
        let refused = app.send(Method::POST, &refused, &[], None).await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "CONFLICT"));
    }
    let enabled = app.patch(&path(&subscription), &json!({"enabled": true})).await.expect(200);
    assert_eq!(
        (&enabled["disabledReason"], &enabled["failingSince"]),
        (&Value::Null, &Value::Null)
    );
    receiver.behave(Behavior::Status(200));
    assert_eq!(sender.send_due().await.unwrap(), 0, "what was missed is not sent later");
    make_event(&app, "BED").await;
    assert_eq!(sender.send_due().await.unwrap(), 1);
}

#[actix_web::test]
async fn seven_days_of_failures_disable() {
    let (app, clock, sender) = fixed("2031-05-01T08:30:00Z").await;
    let receiver = Receiver::start(Behavior::Status(500)).await;
    let subscription = subscribe(&app, &receiver.url(), &[]).await;
    make_event(&app, "DESK").await;
    sender.send_due().await.unwrap();
    clock.set("2031-05-08T08:29:59Z");
    sender.send_due().await.unwrap();
    assert_eq!(current(&app, &subscription).await["enabled"], true);
    // One success begins a new time.
    receiver.behave(Behavior::Status(200));
    make_event(&app, "LAMP").await;
    sender.send_due().await.unwrap();
    assert_eq!(current(&app, &subscription).await["failingSince"], Value::Null);
    receiver.behave(Behavior::Status(503));
    make_event(&app, "SOFA").await;
    sender.send_due().await.unwrap();
    clock.set("2031-05-15T08:29:59Z");
    sender.send_due().await.unwrap();
    let view = current(&app, &subscription).await;
    assert_eq!((&view["enabled"], &view["disabledReason"]), (&json!(false), &json!("FAILING")));
    let event = events(&app, "&type=kampanje.webhook.disabled").await[0].clone();
    assert_eq!(event["data"], json!({"subscriptionId": subscription["id"], "reason": "FAILING"}));
}

#[actix_web::test]
async fn replaced_secret_stays_valid_for_a_while() {
    let (app, clock, sender) = fixed("2031-05-01T08:30:00Z").await;
    let receiver = Receiver::start(Behavior::Status(200)).await;
    let subscription = subscribe(&app, &receiver.url(), &[]).await;
    let rotations = format!("{}/secret-rotations", path(&subscription));
    let rotated = app.post(&rotations, &json!({"overlapSeconds": 60})).await;
    assert_eq!(rotated.header("cache-control"), "no-store");
    let rotated = rotated.expect(201);
    assert_eq!(rotated["previousSecretExpiresAt"], "2031-05-01T08:31:00Z");
    let secret = |view: &Value| view["secret"].as_str().unwrap().to_owned();
    let (first, second) = (secret(&subscription), secret(&rotated));
    assert_ne!(first, second);
    let signed = async |item: &str, secrets: [&str; 2]| {
        make_event(&app, item).await;
        sender.send_due().await.unwrap();
        let received = receiver.next().await;
        secrets.map(|secret| received.is_signed_with(secret))
    };
    assert_eq!(signed("DESK", [&first, &second]).await, [true, true]);
    clock.set("2031-05-01T08:31:00Z");
    assert_eq!(signed("LAMP", [&first, &second]).await, [false, true]);
    let default = app.send(Method::POST, &rotations, &[], None).await.expect(201);
    assert_eq!(default["previousSecretExpiresAt"], "2031-05-02T08:31:00Z");
    assert_eq!(signed("SOFA", [&second, &secret(&default)]).await, [true, true]);
    let immediate = app.post(&rotations, &json!({"overlapSeconds": 0})).await.expect(201);
    assert_eq!(signed("BED", [&secret(&default), &secret(&immediate)]).await, [false, true]);
    for (overlap, status, code) in [
        (json!(-1), 422, "OUT_OF_RANGE"),
        (json!(604_801), 422, "OUT_OF_RANGE"),
        (json!("1"), 400, "INVALID_TYPE"),
    ] {
        let refused = app.post(&rotations, &json!({ "overlapSeconds": overlap })).await;
        assert_eq!(refused.status, status, "{overlap}");
        assert_eq!(refused.errors(), pairs(&[("/overlapSeconds", code)]), "{overlap}");
    }
}

#[actix_web::test]
async fn types_and_tests() {
    let (app, _, sender) = fixed("2031-05-01T08:30:00Z").await;
    let all = Receiver::start(Behavior::Status(200)).await;
    let some = Receiver::start(Behavior::Status(200)).await;
    let none = Receiver::start(Behavior::Status(200)).await;
    subscribe(&app, &all.url(), &[]).await;
    let types = ["kampanje.segment.changed", "kampanje.campaign.changed"];
    let selective = subscribe(&app, &some.url(), &[types[0], types[1], types[0]]).await;
    assert_eq!(selective["types"], json!([types[1], types[0]]), "a set, in the order of the docs");
    let disabled = json!({"url": none.url(), "enabled": false});
    app.post(SUBSCRIPTIONS, &disabled).await.expect(201);
    make_event(&app, "DESK").await;
    app.post("/v1/campaigns", &json!({"number": "MAY"})).await.expect(201);
    app.post("/v1/segments", &json!({"number": "FAIR"})).await.expect(201);
    let test = app.send(Method::POST, &format!("{}/tests", path(&selective)), &[], None).await;
    let test = test.expect(201);
    assert_eq!(
        (&test["eventType"], &test["state"]),
        (&json!("kampanje.webhook.test"), &json!("PENDING"))
    );
    sender.send_due().await.unwrap();
    let types_of = async |receiver: &Receiver| {
        let received = receiver.arrived().await;
        let mut types: Vec<_> = received
            .iter()
            .map(|request| request.json()["type"].as_str().unwrap().to_owned())
            .collect();
        types.sort();
        types
    };
    assert_eq!(types_of(&some).await, [types[1], types[0], "kampanje.webhook.test"]);
    assert_eq!(types_of(&all).await, [types[1], "kampanje.publication.created", types[0]]);
    assert_eq!(none.connections(), 0);
}

#[actix_web::test]
async fn replicas_share_the_deliveries() {
    let app = TestApp::new().await;
    let other = app.replica().await;
    let receivers = [
        Receiver::start(Behavior::Status(200)).await,
        Receiver::start(Behavior::Status(200)).await,
    ];
    let mut subscriptions = Vec::new();
    for receiver in &receivers {
        subscriptions.push(subscribe(&app, &receiver.url(), &[]).await);
    }
    let senders: Vec<_> = [&app, &other]
        .map(|replica| {
            let sender = sender(replica, &Calendar::system());
            actix_web::rt::spawn(sender.run(replica.latest_event.clone()))
        })
        .into();
    const EVENTS: usize = 40;
    for number in 0..EVENTS {
        let item = json!({"rows": [{"number": format!("I{number}"), "listPrice": "1"}]});
        app.post("/v1/items/batch", &item).await.expect(200);
    }
    eventually("all is delivered", async || {
        let mut done = true;
        for subscription in &subscriptions {
            let rows = deliveries(&app, subscription).await;
            done &= rows.len() == EVENTS && rows.iter().all(|row| row["state"] == "SUCCEEDED");
        }
        done
    })
    .await;
    for receiver in &receivers {
        let received = receiver.arrived().await;
        let ids: BTreeSet<_> =
            received.iter().map(|request| request.headers["webhook-id"].clone()).collect();
        assert_eq!((received.len(), ids.len()), (EVENTS, EVENTS), "each once");
    }
    senders.iter().for_each(actix_web::rt::task::JoinHandle::abort);
}

#[actix_web::test]
async fn delivery_of_a_dead_replica_is_repeated_after_its_lease() {
    let (app, clock, sender) = fixed("2031-05-01T08:30:00Z").await;
    let receiver = Receiver::start(Behavior::Silence).await;
    let subscription = subscribe(&app, &receiver.url(), &[]).await;
    make_event(&app, "DESK").await;
    let dying = sender.clone();
    let dying = actix_web::rt::spawn(async move { dying.send_due().await.map(drop) });
    let first = receiver.next().await;
    dying.abort();
    receiver.behave(Behavior::Status(200));
    let at = |seconds: i64| {
        let begin: DateTime<Utc> = "2031-05-01T08:30:00Z".parse().unwrap();
        (begin + TimeDelta::seconds(seconds)).to_rfc3339()
    };
    clock.set(&at(LEASE.num_seconds() - 1));
    assert_eq!(sender.send_due().await.unwrap(), 0, "the lease has not ended");
    clock.set(&at(LEASE.num_seconds()));
    assert_eq!(sender.send_due().await.unwrap(), 1);
    assert_eq!(receiver.next().await.headers["webhook-id"], first.headers["webhook-id"]);
    assert_eq!(deliveries(&app, &subscription).await[0]["state"], "SUCCEEDED");
}

#[actix_web::test]
async fn killed_process_loses_nothing() {
    let database = TestDatabase::new().await;
    let receiver = Receiver::start(Behavior::Silence).await;
    let arguments = ["--webhook-networks", "127.0.0.0/8"];
    let mut killed = Serving::start(&arguments, Some(&database.url()));
    let http = reqwest::Client::new();
    let subscription = http
        .post(format!("{}{SUBSCRIPTIONS}", killed.url))
        .json(&json!({"url": receiver.url()}))
        .send()
        .await
        .unwrap();
    assert_eq!(subscription.status(), 201);
    let subscription: Value = subscription.json().await.unwrap();
    let item = http.put(format!("{}/v1/items/DESK", killed.url)).json(&json!({"listPrice": "1"}));
    assert_eq!(item.send().await.unwrap().status(), 201);
    let first = receiver.next().await;
    killed.signal("KILL");
    killed.wait_for_exit();
    receiver.behave(Behavior::Status(200));
    // The end of the lease, which is a minute after its begin.
    let mut conn = kampanje::platform::db::pool::connect(&database.url()).await.unwrap();
    conn.batch_execute("UPDATE webhook_deliveries SET next_attempt_at = now()").await.unwrap();
    let serving = Serving::start(&arguments, Some(&database.url()));
    let second = receiver.next().await;
    assert_eq!(second.headers["webhook-id"], first.headers["webhook-id"]);
    assert!(second.is_signed_with(subscription["secret"].as_str().unwrap()));
    eventually("the result is recorded", async || {
        let list = format!("{}{}/deliveries", serving.url, path(&subscription));
        let listed: Value = http.get(list).send().await.unwrap().json().await.unwrap();
        listed["value"][0]["state"] == "SUCCEEDED"
    })
    .await;
}

#[actix_web::test]
async fn slow_receiver_does_not_delay_others() {
    let app = TestApp::new().await;
    let slow = Receiver::start(Behavior::Silence).await;
    let quick = Receiver::start(Behavior::Status(200)).await;
    let delayed = subscribe(&app, &slow.url(), &[]).await;
    let subscription = subscribe(&app, &quick.url(), &[]).await;
    let patient = client(TEST_TIMEOUT);
    let sender = Sender::new(app.units_of_work.clone(), Calendar::system(), patient);
    let running = actix_web::rt::spawn(sender.run(app.latest_event.clone()));
    for number in 0..30 {
        make_event(&app, &format!("I{number}")).await;
    }
    eventually("all is delivered", async || {
        deliveries(&app, &subscription).await.iter().all(|row| row["state"] == "SUCCEEDED")
    })
    .await;
    let waiting = deliveries(&app, &delayed).await;
    assert!(waiting.iter().all(|row| row["attempts"] == 0), "no attempt has ended: {waiting:?}");
    assert!((1..=8).contains(&slow.connections()), "{}", slow.connections());
    running.abort();
}

#[actix_web::test]
async fn deleted_subscription_neither_delays_nor_fails_events() {
    let (app, _, sender) = fixed("2031-05-01T08:30:00Z").await;
    let receiver = Receiver::start(Behavior::Status(200)).await;
    let subscription = subscribe(&app, &receiver.url(), &[]).await;
    make_event(&app, "DESK").await;
    // A deletion that is not committed yet.
    let mut conn = app.connection().await;
    conn.batch_execute("BEGIN; DELETE FROM webhook_subscriptions").await.unwrap();
    let deletion = async {
        app.wait_for_blocked_statements(1).await;
        conn.batch_execute("COMMIT").await.unwrap();
    };
    let ((), event) = join(deletion, make_event(&app, "LAMP")).await;
    assert_eq!(event["type"], "kampanje.publication.created");
    assert_eq!(sender.send_due().await.unwrap(), 0);
    assert_eq!(app.get(&path(&subscription)).await.status, 404);
    assert_eq!(app.get(&format!("{}/deliveries", path(&subscription))).await.status, 404);
    let again = subscribe(&app, &receiver.url(), &[]).await;
    assert_eq!(app.delete(&path(&again)).await.status, 204);
    assert_eq!(receiver.connections(), 0);
}

#[actix_web::test]
async fn wrong_subscriptions_are_refused() {
    let app = TestApp::new().await;
    for url in [
        "",
        "x",
        "/hook",
        "ftp://shop.example/",
        "file:///etc/passwd",
        "https://",
        "https://user:pw@shop.example/",
        "https://user@shop.example/",
        "https://shop.example/#part",
        "https://[::1/",
        "https://1.2.3.4.5/",
        "javascript:alert(1)",
        "https://shop example/",
    ] {
        let refused = app.post(SUBSCRIPTIONS, &json!({ "url": url })).await;
        assert_eq!(refused.status, 400, "{url}: {refused:?}");
        assert_eq!(refused.errors(), pairs(&[("/url", "INVALID_VALUE")]), "{url}");
    }
    let long = format!("https://shop.example/{}", "x".repeat(2_048));
    let all_wrong = json!({
        "url": long, "types": ["kampanje.nothing"], "description": "x".repeat(251), "enabled": 1,
        "secret": "whsec_x"
    });
    let refused = app.post(SUBSCRIPTIONS, &all_wrong).await;
    assert_eq!(
        refused.errors(),
        pairs(&[
            ("/description", "TOO_LONG"),
            ("/enabled", "INVALID_TYPE"),
            ("/secret", "UNKNOWN_FIELD"),
            ("/types/0", "INVALID_VALUE"),
            ("/url", "TOO_LONG"),
        ])
    );
    let body = json!({"url": "https://shop.example/"}).to_string();
    let key = [("idempotency-key", "one")];
    let refused = app.send(Method::POST, SUBSCRIPTIONS, &key, Some(&body)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (400, "MALFORMED_REQUEST"));
    let created = app.send(Method::POST, SUBSCRIPTIONS, &[], Some(&body)).await;
    assert_eq!(created.header("cache-control"), "no-store");
    let location = created.header("location").to_owned();
    created.expect(201);
    let stale = [("if-match", "\"stale\"")];
    let change = r#"{"enabled": false}"#;
    assert_eq!(app.send(Method::PATCH, &location, &stale, Some(change)).await.status, 412);
    assert_eq!(app.send(Method::PATCH, &location, &[], Some(change)).await.status, 428);
    let wrong = app.patch(&location, &json!({"url": "ftp://x/"})).await;
    assert_eq!(wrong.errors(), pairs(&[("/url", "INVALID_VALUE")]));
    assert_eq!(
        app.patch(&location, &json!({"enabled": false})).await.expect(200)["enabled"],
        false
    );
    app.sql(
        "INSERT INTO webhook_subscriptions (id, url, types, description, enabled, secret, created_by)
         SELECT uuid_v7(), 'https://shop.example/', '{}', '', true, sha256(''), 'test'
         FROM generate_series(1, 99)",
    )
    .await;
    let refused = app.send(Method::POST, SUBSCRIPTIONS, &[], Some(&body)).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "CONFLICT"));
}

#[actix_web::test]
async fn only_administrators_manage_webhooks() {
    let app = TestApp::with_key(Some(&"k".repeat(32))).await;
    let key = "k".repeat(32);
    let with = |token: &str| format!("Bearer {token}");
    let admin = with(&key);
    let admin = [("authorization", admin.as_str())];
    let body = json!({"url": "https://shop.example/"}).to_string();
    let subscription = app.send(Method::POST, SUBSCRIPTIONS, &admin, Some(&body)).await.expect(201);
    let made = json!({"name": "Others", "scopes": [
        "quotes:read", "quotes:explain", "book:read", "catalog:read", "catalog:write",
        "contacts:read", "contacts:write", "campaigns:read", "campaigns:write",
        "campaigns:activate", "campaigns:approve", "sales:write"
    ]});
    let made =
        app.send(Method::POST, "/v1/api-keys", &admin, Some(&made.to_string())).await.expect(201);
    let others = with(made["secret"].as_str().unwrap());
    let one = path(&subscription);
    let retries = format!("{one}/deliveries/{}/retries", subscription["id"].as_str().unwrap());
    for (method, path, body) in [
        (Method::POST, SUBSCRIPTIONS.to_owned(), Some(body.as_str())),
        (Method::GET, SUBSCRIPTIONS.to_owned(), None),
        (Method::GET, one.clone(), None),
        (Method::PATCH, one.clone(), Some("{}")),
        (Method::DELETE, one.clone(), None),
        (Method::GET, format!("{one}/deliveries"), None),
        (Method::POST, format!("{one}/tests"), None),
        (Method::POST, format!("{one}/secret-rotations"), None),
        (Method::POST, retries, None),
    ] {
        let headers = [("authorization", others.as_str()), ("if-match", "*")];
        let refused = app.send(method.clone(), &path, &headers, body).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str(), &refused.json()["scope"]),
            (403, "FORBIDDEN", &json!("admin")),
            "{method} {path}"
        );
        assert_eq!(app.send(method, &path, &[], body).await.status, 401, "{path}");
    }
    assert_eq!(app.send(Method::GET, &one, &admin, None).await.status, 200);
}

#[actix_web::test]
async fn finished_deliveries_are_deleted_after_30_days() {
    let app = TestApp::new().await;
    let subscription = subscribe(&app, "http://127.0.0.1:9/", &[]).await;
    for item in ["OLD", "OLDER", "PENDING", "RECENT"] {
        make_event(&app, item).await;
    }
    app.sql(
        "WITH rows AS (SELECT id, row_number() OVER (ORDER BY event_sequence) AS place
            FROM webhook_deliveries)
         UPDATE webhook_deliveries AS d SET
            created_at = '2031-05-01T00:00:00Z'::timestamptz + CASE place
                WHEN 1 THEN interval '-1 microsecond' WHEN 4 THEN interval '0' ELSE interval '-1 day'
                END,
            state = CASE place WHEN 1 THEN 'SUCCEEDED' WHEN 2 THEN 'FAILED' WHEN 3 THEN 'PENDING'
                ELSE 'CANCELED' END,
            next_attempt_at = CASE place WHEN 3 THEN now() END
         FROM rows WHERE rows.id = d.id",
    )
    .await;
    let mut conn = app.service_connection().await;
    let now: DateTime<Utc> = "2031-05-31T00:00:00Z".parse().unwrap();
    assert_eq!(delete_expired(&mut conn, now).await.unwrap(), 2);
    let states: BTreeSet<_> = deliveries(&app, &subscription)
        .await
        .iter()
        .map(|row| row["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["CANCELED", "PENDING"].map(str::to_owned).into());
}

#[actix_web::test]
async fn events_are_found_without_a_notification() {
    let app = TestApp::new().await;
    let receiver = Receiver::start(Behavior::Status(200)).await;
    // Nothing tells the sender of new events.
    let running =
        actix_web::rt::spawn(sender(&app, &Calendar::system()).run(LatestEvent::default()));
    subscribe(&app, &receiver.url(), &[]).await;
    make_event(&app, "DESK").await;
    receiver.next().await;
    running.abort();
}

/// Number of events of the soak.
const SOAK_EVENTS: usize = 1_000;
/// Number of events that one request of the soak writes.
const SOAK_BATCH: usize = 50;
/// Maximum duration of the soak: several attempts, whose replicas are killed, and their leases.
const SOAK_TIMEOUT: Duration = Duration::from_secs(900);

/// Writes 1,000 events, which two replicas send to a receiver that fails for a third of them, while
/// one after the other is killed. `bench/webhooks/run` verifies the signatures of what was received
/// with the libraries of Standard Webhooks.
#[actix_web::test]
#[ignore = "takes some minutes; bench/webhooks/run runs it"]
async fn soak() {
    let number = |name: &str, default: u64| {
        std::env::var(name).map_or(default, |text| text.parse().unwrap())
    };
    let kills = number("KAMPANJE_SOAK_KILLS", 10);
    let seed = number("KAMPANJE_SOAK_SEED", 1);
    let database = TestDatabase::new().await;
    let receiver = Receiver::start(Behavior::Seeded(seed)).await;
    let arguments = ["--webhook-networks", "127.0.0.0/8"];
    let mut replicas = [(); 2].map(|()| Serving::start(&arguments, Some(&database.url())));
    let http = reqwest::Client::new();
    let subscription = json!({"url": receiver.url(), "types": ["kampanje.campaign.changed"]});
    let created = http.post(format!("{}{SUBSCRIPTIONS}", replicas[0].url)).json(&subscription);
    let subscription: Value = created.send().await.unwrap().json().await.unwrap();
    let secret = subscription["secret"].as_str().unwrap();
    let rounds = SOAK_EVENTS / SOAK_BATCH;
    let mut killed = 0;
    for round in 0..rounds {
        let rows: Vec<Value> = (0..SOAK_BATCH)
            .map(|row| json!({"number": format!("C{round}-{row}"), "description": "Soak"}))
            .collect();
        let path = format!("{}/v1/campaigns/batch", replicas[round % 2].url);
        let written = http.post(path).json(&json!({ "rows": rows })).send().await.unwrap();
        assert_eq!(written.status(), 200);
        let due = u64::try_from(round + 1).unwrap() * kills / u64::try_from(rounds).unwrap();
        while killed < due {
            // A part of what was written arrives first, so that the kill interrupts deliveries.
            receiver.next().await;
            let victim = usize::try_from((killed + seed) % 2).unwrap();
            replicas[victim].signal("KILL");
            replicas[victim].wait_for_exit();
            replicas[victim] = Serving::start(&arguments, Some(&database.url()));
            killed += 1;
        }
    }
    let mut conn = kampanje::platform::db::pool::connect(&database.url()).await.unwrap();
    let unfinished = "(SELECT count(*) FROM webhook_deliveries WHERE state <> 'SUCCEEDED')";
    let finished = async {
        loop {
            let count = diesel::dsl::sql::<diesel::sql_types::BigInt>(unfinished);
            let count: i64 =
                diesel_async::RunQueryDsl::get_result(diesel::select(count), &mut conn)
                    .await
                    .unwrap();
            if count == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::time::timeout(SOAK_TIMEOUT, finished).await.expect("all is delivered in time");
    let events = "SELECT id FROM events WHERE type = 'kampanje.campaign.changed'";
    let expected = ids(&mut conn, events).await;
    let received = receiver.all();
    let arrived: BTreeSet<String> =
        received.iter().map(|request| request.headers["webhook-id"].clone()).collect();
    assert_eq!(expected.len(), SOAK_EVENTS);
    assert_eq!(arrived, expected, "each event is delivered at least once");
    assert!(received.iter().all(|request| request.is_signed_with(secret)));
    println!("events {SOAK_EVENTS}, kills {killed}, requests received {}, lost 0", received.len());
    // Proof that the failures had an effect.
    assert!(received.len() > SOAK_EVENTS);
    if let Ok(path) = std::env::var("KAMPANJE_SOAK_OUTPUT") {
        let messages: Vec<Value> = received
            .iter()
            .map(|request| {
                let body = std::str::from_utf8(&request.body).unwrap();
                json!({"headers": request.headers, "body": body})
            })
            .collect();
        std::fs::write(path, json!({"secret": secret, "messages": messages}).to_string()).unwrap();
    }
}

async fn ids(conn: &mut diesel_async::AsyncPgConnection, query: &str) -> BTreeSet<String> {
    #[derive(diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Uuid)]
        id: uuid::Uuid,
    }
    let rows: Vec<Row> =
        diesel_async::RunQueryDsl::load(diesel::sql_query(query), conn).await.unwrap();
    rows.into_iter().map(|row| row.id.to_string()).collect()
}
