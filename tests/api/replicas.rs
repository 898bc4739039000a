//! Several replicas over one database give the same results, for any concurrent changes through all
//! of them.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use futures_util::future::{join, join_all};
use price_book::quote::quote;
use price_book::quote::request::{QuoteParty, QuoteRequest, RequestLine};
use reqwest::Method;
use serde_json::{Value, json};

use super::book::{
    CONTACTS, Dice, assert_nothing_to_publish, assert_snapshot_equals_database, random_change,
    seeded_app,
};
use super::support::app::{Reply, TestApp};
use super::support::history::publications;
use super::support::wait::{TEST_TIMEOUT, in_time};

const CLIENTS: u8 = 8;
const STEPS: usize = 32;

fn version_of(reply: &Reply) -> Option<i64> {
    reply.header("publication-version").parse().ok()
}

#[actix_web::test]
async fn change_through_one_replica_is_read_through_another() {
    let one = TestApp::new().await;
    let other = one.replica().await;
    let mut last = 0;
    for (writes, reads) in [(&one, &other), (&other, &one), (&one, &other)] {
        let price = (last + 10).to_string();
        let changed = writes.put("/v1/items/DESK", &json!({ "listPrice": price })).await;
        let version = version_of(&changed).unwrap();
        assert!(version > last, "{changed:?}");
        last = version;
        assert_eq!(reads.get("/v1/items/DESK").await.expect(200)["listPrice"], price);
        let path = format!("/v1/price-quotes?itemNumber=DESK&minPublicationVersion={version}");
        let answer = wait_for_minimum_version(reads, &path).await;
        assert!(version_of(&answer).unwrap() >= version);
        assert_eq!(answer.expect(200)["lines"][0]["unitPrice"], price);
    }
    let future = format!("/v1/price-quotes?itemNumber=DESK&minPublicationVersion={}", last + 1);
    let refused = other.get(&future).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "VERSION_NOT_REACHED"));
    assert_eq!(refused.header("retry-after"), "1");
}

/// Repeats a request until the replica has the version that the path requires.
async fn wait_for_minimum_version(app: &TestApp, path: &str) -> Reply {
    let attempts = async {
        loop {
            let answer = app.get(path).await;
            if answer.status != 503 {
                return answer;
            }
            assert_eq!(
                (answer.code().as_str(), answer.header("retry-after")),
                ("VERSION_NOT_REACHED", "1")
            );
        }
    };
    in_time("the replica reaches the version", attempts).await
}

#[actix_web::test]
async fn idempotency_key_is_executed_once_across_replicas() {
    let one = TestApp::new().await;
    let other = one.replica().await;
    let body = json!({"type": "COMPANY", "name": "Once"}).to_string();
    let key = [("idempotency-key", "the-same")];
    let send = async |app: &TestApp| loop {
        let reply = app.send(Method::POST, "/v1/contacts", &key, Some(&body)).await;
        if reply.status != 409 {
            return reply;
        }
        assert_eq!(
            (reply.code().as_str(), reply.header("retry-after")),
            ("IDEMPOTENCY_IN_PROGRESS", "1")
        );
    };
    let requests = join_all((0..10).map(|n| send(if n % 2 == 0 { &one } else { &other })));
    let replies = in_time("the request is executed", requests).await;
    let replayed =
        replies.iter().filter(|reply| reply.header("idempotency-replayed") == "true").count();
    assert_eq!(replayed, replies.len() - 1);
    for reply in &replies {
        assert_eq!((reply.status.as_u16(), &reply.text), (201, &replies[0].text));
        for name in ["etag", "location", "publication-version"] {
            assert_eq!(reply.header(name), replies[0].header(name), "{name}");
        }
    }
    assert_eq!(one.get("/v1/contacts?count=true").await.expect(200)["count"], 1);
    let another = json!({"type": "COMPANY", "name": "Another"}).to_string();
    for app in [&one, &other] {
        let refused = app.send(Method::POST, "/v1/contacts", &key, Some(&another)).await;
        assert_eq!(
            (refused.status.as_u16(), refused.code().as_str()),
            (422, "IDEMPOTENCY_KEY_REUSED")
        );
    }
}

/// The rows of one client, which no other client changes: an item, and optionally a price for all
/// customers.
#[derive(Debug, Clone, PartialEq)]
struct OwnRows {
    list_price: String,
    price: Option<String>,
}

impl OwnRows {
    fn unit_price(&self) -> &str {
        self.price.as_ref().unwrap_or(&self.list_price)
    }
}

/// The acknowledged states of a client's rows, each with the version from which it holds.
type Journal = Vec<(i64, OwnRows)>;

/// A query with its answer.
struct Quoted {
    contact: &'static str,
    body: Value,
}

#[actix_web::test]
async fn replicas_agree_under_concurrent_changes() {
    let one = seeded_app().await;
    let other = one.replica().await;
    let working = Cell::new(true);
    let writing = async {
        let journals =
            join_all((0..CLIENTS).map(|number| run_client([&one, &other], number))).await;
        working.set(false);
        journals
    };
    let quoting = join_all((0..4).map(|number| {
        run_quoting_client(if number % 2 == 0 { &one } else { &other }, number, &working)
    }));
    let (journals, quoted) = join(writing, quoting).await;

    let version = newest(&one).await;
    for app in [&one, &other] {
        assert!(app.book.wait_for_version(version, TEST_TIMEOUT).await);
        assert_snapshot_equals_database(app, "two replicas").await;
        let history = publications(&format!("http://{}", app.address)).await;
        assert_eq!(history.len(), usize::try_from(version).unwrap());
    }
    for (number, journal) in journals.iter().enumerate() {
        assert_journal_is_in_the_book(&one, number, journal, version).await;
    }
    assert_answers_equal_resolver(&one, quoted.into_iter().flatten()).await;
    assert_nothing_to_publish(&other, "two replicas").await;
}

/// Returns the version of the counter.
async fn newest(app: &TestApp) -> i64 {
    let counter = diesel::dsl::sql::<BigInt>("(SELECT version FROM book)");
    diesel::select(counter).get_result(&mut app.connection().await).await.unwrap()
}

/// Changes shared rows and the client's own rows through both replicas in turn. Returns the journal
/// of its own rows.
async fn run_client(replicas: [&TestApp; 2], number: u8) -> Journal {
    let mut dice = Dice::new(100 + number);
    let item = format!("/v1/items/OWN{number}");
    let mut own = OwnRows { list_price: "100".to_owned(), price: None };
    let created = replicas[0].put(&item, &json!({ "listPrice": own.list_price })).await;
    let mut last = version_of(&created).unwrap();
    let mut journal = vec![(last, own.clone())];
    let mut line = None;
    for step in 1..=STEPS {
        let (app, other) = if dice.below(2) == 0 {
            (replicas[0], replicas[1])
        } else {
            (replicas[1], replicas[0])
        };
        if dice.below(3) > 0 {
            let (description, reply) = random_change(app, &mut dice).await;
            assert!(
                !reply.status.is_server_error() || should_retry(&reply),
                "{description}\n{reply:?}"
            );
            if let Some(version) = version_of(&reply) {
                assert!(version > last, "{version} comes after {last}: {description}");
                last = version;
            }
            continue;
        }
        let reply = if dice.below(2) == 0 {
            own.list_price = (100 + step).to_string();
            send_with_retries(app, Method::PATCH, &item, &json!({ "listPrice": own.list_price }))
                .await
        } else {
            change_own_price(app, number, step, &mut line, &mut own, &mut dice).await
        };
        assert!(reply.status.is_success(), "{reply:?}");
        let version = version_of(&reply).unwrap();
        assert!(version > last, "{version} comes after {last}: {reply:?}");
        last = version;
        journal.push((version, own.clone()));
        let path =
            format!("/v1/price-quotes?itemNumber=OWN{number}&minPublicationVersion={version}");
        let answer = wait_for_minimum_version(other, &path).await;
        assert!(version_of(&answer).unwrap() >= version);
        assert_eq!(answer.expect(200)["lines"][0]["unitPrice"], own.unit_price());
    }
    journal
}

/// Creates, changes or deletes the client's price for all customers.
async fn change_own_price(
    app: &TestApp,
    number: u8,
    step: usize,
    line: &mut Option<String>,
    own: &mut OwnRows,
    dice: &mut Dice,
) -> Reply {
    let price = step.to_string();
    let Some(path) = line.clone() else {
        let source = json!({"type": "ALL_CUSTOMERS"});
        let body =
            json!({"source": source, "itemNumber": format!("OWN{number}"), "unitPrice": price});
        let created = send_with_retries(app, Method::POST, "/v1/prices", &body).await;
        *line = Some(created.header("location").to_owned());
        own.price = Some(price);
        return created;
    };
    if dice.below(3) == 0 {
        *line = None;
        own.price = None;
        send_with_retries(app, Method::DELETE, &path, &Value::Null).await
    } else {
        own.price = Some(price.clone());
        send_with_retries(app, Method::PATCH, &path, &json!({ "unitPrice": price })).await
    }
}

fn should_retry(reply: &Reply) -> bool {
    reply.status == 503 && !reply.header("retry-after").is_empty()
}

/// Repeats a change until no concurrent change blocks it.
async fn send_with_retries(app: &TestApp, method: Method, path: &str, body: &Value) -> Reply {
    let body = if body.is_null() { None } else { Some(body.to_string()) };
    let conditions: &[_] = if method == Method::POST { &[] } else { &[("if-match", "*")] };
    let attempts = async {
        loop {
            let reply = app.send(method.clone(), path, conditions, body.as_deref()).await;
            if !should_retry(&reply) {
                return reply;
            }
        }
    };
    in_time(&format!("{method} {path} is answered"), attempts).await
}

fn document(contact: &str) -> Value {
    let lines =
        json!([{"itemNumber": "I0"}, {"itemNumber": "I1", "quantity": "10"}, {"itemNumber": "I2"}]);
    json!({"contactNumber": contact, "date": "2031-05-15", "lines": lines})
}

/// Requests quotes from one replica while other clients work.
async fn run_quoting_client(app: &TestApp, number: u8, working: &Cell<bool>) -> Vec<Quoted> {
    let mut dice = Dice::new(200 + number);
    let (mut quoted, mut last) = (Vec::new(), 0);
    while working.get() {
        let contact = dice.choose(&CONTACTS);
        let answer = app.post("/v1/price-quotes", &document(contact)).await;
        if answer.status == 422 {
            // No contact has this number at present.
            continue;
        }
        let version = version_of(&answer).unwrap();
        assert!(version >= last, "{version} comes after {last}");
        last = version;
        quoted.push(Quoted { contact, body: answer.expect(200) });
        tokio::time::sleep(Duration::from_millis(12)).await;
    }
    quoted
}

/// Converts the document to the resolver's input.
fn query<'a>(party: QuoteParty<'a>, lines: &[(&'a str, &str)]) -> QuoteRequest<'a> {
    let line = |(item, quantity): &(&'a str, &str)| RequestLine {
        item_number: (*item).into(),
        variant_code: None,
        unit_of_measure_code: None,
        quantity: quantity.parse().unwrap(),
        tax_percent: None,
    };
    QuoteRequest {
        party,
        lines: lines.iter().map(line).collect(),
        ..QuoteRequest::on("2031-05-15".parse().unwrap())
    }
}

/// Asserts that each answer is the resolver's for the book as of the answer's version.
async fn assert_answers_equal_resolver(app: &TestApp, quoted: impl Iterator<Item = Quoted>) {
    let mut by_version: BTreeMap<i64, Vec<Quoted>> = BTreeMap::new();
    for answer in quoted {
        by_version
            .entry(answer.body["publicationVersion"].as_i64().unwrap())
            .or_default()
            .push(answer);
    }
    // Proof that enough versions were quoted.
    assert!(by_version.len() > 20, "only {} versions were quoted", by_version.len());
    let mut conn = app.connection().await;
    for (version, answers) in by_version {
        let book = app.book.as_of(&mut conn, version).await.unwrap().unwrap();
        for Quoted { contact, body } in answers {
            let asked = query(
                QuoteParty::Contact(contact.into()),
                &[("I0", "1"), ("I1", "10"), ("I2", "1")],
            );
            assert_eq!(
                serde_json::to_value(quote(&book, &asked).unwrap()).unwrap(),
                body,
                "{contact} at {version}"
            );
        }
    }
}

/// Asserts that the book has each acknowledged state from its version until the version of the next
/// change.
async fn assert_journal_is_in_the_book(
    app: &TestApp,
    client: usize,
    journal: &Journal,
    newest: i64,
) {
    assert!(journal.len() > 3, "client {client} has done next to nothing");
    let item = format!("OWN{client}");
    let asked = query(QuoteParty::Anybody, &[(&item, "1")]);
    let mut conn = app.connection().await;
    let ends = journal.iter().skip(1).map(|(version, _)| version - 1).chain([newest]);
    for ((from, own), to) in journal.iter().zip(ends) {
        for version in BTreeSet::from([*from, (from + to) / 2, to]) {
            let book = app.book.as_of(&mut conn, version).await.unwrap().unwrap();
            let answer = serde_json::to_value(quote(&book, &asked).unwrap()).unwrap();
            let line = &answer["lines"][0];
            assert_eq!(
                line["listPrice"], own.list_price,
                "client {client} at {version}, acknowledged at {from}"
            );
            assert_eq!(
                line["unitPrice"],
                own.unit_price(),
                "client {client} at {version}, acknowledged at {from}"
            );
        }
    }
}
