//! Several replicas over one database: each is as good as the other, whatever is done through all
//! of them at once.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use diesel::sql_types::BigInt;
use diesel_async::RunQueryDsl;
use futures_util::future::{join, join_all};
use kampanje::quotes::quote::quote;
use kampanje::quotes::request::{Asker, QuoteRequest, RequestLine};
use reqwest::Method;
use serde_json::{Value, json};

use super::book::{CONTACTS, Dice, a_step, begun, nothing_is_to_publish, the_copy_is_the_book};
use super::support::app::{Reply, TestApp};
use super::support::history::publications;

const CLIENTS: u8 = 8;
const STEPS: usize = 32;
/// How long a copy may take to have what the database has, before the test gives up.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);

fn version_of(reply: &Reply) -> Option<i64> {
    reply.header("publication-version").parse().ok()
}

#[actix_web::test]
async fn a_change_through_one_is_read_through_the_other() {
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
        let answer = until_reached(reads, &path).await;
        assert!(version_of(&answer).unwrap() >= version);
        assert_eq!(answer.expect(200)["lines"][0]["unitPrice"], price);
    }
    let future = format!("/v1/price-quotes?itemNumber=DESK&minPublicationVersion={}", last + 1);
    let refused = other.get(&future).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (503, "VERSION_NOT_REACHED"));
    assert_eq!(refused.header("retry-after"), "1");
}

/// Asks until the copy has the version that the path wants.
async fn until_reached(app: &TestApp, path: &str) -> Reply {
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
}

#[actix_web::test]
async fn a_key_is_done_once_whichever_replicas_it_is_sent_to() {
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
    let replies = join_all((0..10).map(|n| send(if n % 2 == 0 { &one } else { &other }))).await;
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

/// What a client has of its own, and no other client changes: an item, and a price for all
/// customers or none.
#[derive(Debug, Clone, PartialEq)]
struct Own {
    list_price: String,
    price: Option<String>,
}

impl Own {
    fn unit_price(&self) -> &str {
        self.price.as_ref().unwrap_or(&self.list_price)
    }
}

/// What a client was told: from which version on its own is what.
type Journal = Vec<(i64, Own)>;

/// A question that was answered.
struct Quoted {
    contact: &'static str,
    body: Value,
}

#[actix_web::test]
async fn replicas_agree_whatever_their_clients_do_at_once() {
    let one = begun().await;
    let other = one.replica().await;
    let working = Cell::new(true);
    let writing = async {
        let journals = join_all((0..CLIENTS).map(|number| a_client([&one, &other], number))).await;
        working.set(false);
        journals
    };
    let quoting = join_all((0..4).map(|number| {
        a_quoting_client(if number % 2 == 0 { &one } else { &other }, number, &working)
    }));
    let (journals, quoted) = join(writing, quoting).await;

    let version = newest(&one).await;
    for app in [&one, &other] {
        assert!(app.book.wait_for_version(version, WAIT_TIMEOUT).await);
        the_copy_is_the_book(app, "two replicas").await;
        let history = publications(&format!("http://{}", app.address)).await;
        assert_eq!(history.len(), usize::try_from(version).unwrap());
    }
    for (number, journal) in journals.iter().enumerate() {
        in_the_book_ever_since(&one, number, journal, version).await;
    }
    answers_are_those_of_the_resolver(&one, quoted.into_iter().flatten()).await;
    nothing_is_to_publish(&other, "two replicas").await;
}

/// The version that the counter holds.
async fn newest(app: &TestApp) -> i64 {
    let counter = diesel::dsl::sql::<BigInt>("(SELECT version FROM book)");
    diesel::select(counter).get_result(&mut app.connection().await).await.unwrap()
}

/// Changes what everybody changes, and in between what is its own, through this replica and that:
/// its journal.
async fn a_client(replicas: [&TestApp; 2], number: u8) -> Journal {
    let mut dice = Dice::new(100 + number);
    let item = format!("/v1/items/OWN{number}");
    let mut own = Own { list_price: "100".to_owned(), price: None };
    let created = replicas[0].put(&item, &json!({ "listPrice": own.list_price })).await;
    let mut last = version_of(&created).unwrap();
    let mut journal = vec![(last, own.clone())];
    let mut line = None;
    for step in 1..=STEPS {
        let (app, beside) = if dice.below(2) == 0 {
            (replicas[0], replicas[1])
        } else {
            (replicas[1], replicas[0])
        };
        if dice.below(3) > 0 {
            let (told, reply) = a_step(app, &mut dice).await;
            assert!(
                !reply.status.is_server_error() || is_to_be_tried_again(&reply),
                "{told}\n{reply:?}"
            );
            if let Some(version) = version_of(&reply) {
                assert!(version > last, "{version} comes after {last}: {told}");
                last = version;
            }
            continue;
        }
        let reply = if dice.below(2) == 0 {
            own.list_price = (100 + step).to_string();
            again_and_again(app, Method::PATCH, &item, &json!({ "listPrice": own.list_price }))
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
        let answer = until_reached(beside, &path).await;
        assert!(version_of(&answer).unwrap() >= version);
        assert_eq!(answer.expect(200)["lines"][0]["unitPrice"], own.unit_price());
    }
    journal
}

/// Makes the price for all customers, changes it or takes it away.
async fn change_own_price(
    app: &TestApp,
    number: u8,
    step: usize,
    line: &mut Option<String>,
    own: &mut Own,
    dice: &mut Dice,
) -> Reply {
    let price = step.to_string();
    let Some(path) = line.clone() else {
        let source = json!({"type": "ALL_CUSTOMERS"});
        let body =
            json!({"source": source, "itemNumber": format!("OWN{number}"), "unitPrice": price});
        let created = again_and_again(app, Method::POST, "/v1/prices", &body).await;
        *line = Some(created.header("location").to_owned());
        own.price = Some(price);
        return created;
    };
    if dice.below(3) == 0 {
        *line = None;
        own.price = None;
        again_and_again(app, Method::DELETE, &path, &Value::Null).await
    } else {
        own.price = Some(price.clone());
        again_and_again(app, Method::PATCH, &path, &json!({ "unitPrice": price })).await
    }
}

fn is_to_be_tried_again(reply: &Reply) -> bool {
    reply.status == 503 && !reply.header("retry-after").is_empty()
}

/// Sends a change until nobody else's is in its way.
async fn again_and_again(app: &TestApp, method: Method, path: &str, body: &Value) -> Reply {
    let body = if body.is_null() { None } else { Some(body.to_string()) };
    let conditions: &[_] = if method == Method::POST { &[] } else { &[("if-match", "*")] };
    loop {
        let reply = app.send(method.clone(), path, conditions, body.as_deref()).await;
        if !is_to_be_tried_again(&reply) {
            return reply;
        }
    }
}

fn document(contact: &str) -> Value {
    let lines =
        json!([{"itemNumber": "I0"}, {"itemNumber": "I1", "quantity": "10"}, {"itemNumber": "I2"}]);
    json!({"contactNumber": contact, "date": "2031-05-15", "lines": lines})
}

/// Asks one replica for prices for as long as others work.
async fn a_quoting_client(app: &TestApp, number: u8, working: &Cell<bool>) -> Vec<Quoted> {
    let mut dice = Dice::new(200 + number);
    let (mut quoted, mut last) = (Vec::new(), 0);
    while working.get() {
        let contact = dice.one_of(&CONTACTS);
        let answer = app.post("/v1/price-quotes", &document(contact)).await;
        if answer.status == 422 {
            // Nobody has this number at present.
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

/// The document as the resolver takes it.
fn query<'a>(asker: Asker<'a>, lines: &[(&'a str, &str)]) -> QuoteRequest<'a> {
    let line = |(item, quantity): &(&'a str, &str)| RequestLine {
        item_number: (*item).into(),
        variant_code: None,
        unit_of_measure_code: None,
        quantity: quantity.parse().unwrap(),
        tax_percent: None,
    };
    QuoteRequest {
        asker,
        date: "2031-05-15".parse().unwrap(),
        currency_code: None,
        prices_include_tax: None,
        campaign_number: None,
        lines: lines.iter().map(line).collect(),
        explain: None,
    }
}

/// Each answer is what the resolver says of the book as of the answer's version.
async fn answers_are_those_of_the_resolver(app: &TestApp, quoted: impl Iterator<Item = Quoted>) {
    let mut by_version: BTreeMap<i64, Vec<Quoted>> = BTreeMap::new();
    for answer in quoted {
        by_version
            .entry(answer.body["publicationVersion"].as_i64().unwrap())
            .or_default()
            .push(answer);
    }
    // Otherwise the test would say little.
    assert!(by_version.len() > 20, "only {} versions were quoted", by_version.len());
    let mut conn = app.connection().await;
    for (version, answers) in by_version {
        let book = app.book.as_of(&mut conn, version).await.unwrap().unwrap();
        for Quoted { contact, body } in answers {
            let asked =
                query(Asker::Contact(contact.into()), &[("I0", "1"), ("I1", "10"), ("I2", "1")]);
            assert_eq!(
                serde_json::to_value(quote(&book, &asked).unwrap()).unwrap(),
                body,
                "{contact} at {version}"
            );
        }
    }
}

/// What a client was told is in the book from the version on that it was told, until the version of
/// its next change.
async fn in_the_book_ever_since(app: &TestApp, client: usize, journal: &Journal, newest: i64) {
    assert!(journal.len() > 3, "client {client} has done next to nothing");
    let item = format!("OWN{client}");
    let asked = query(Asker::Anybody, &[(&item, "1")]);
    let mut conn = app.connection().await;
    let ends = journal.iter().skip(1).map(|(version, _)| version - 1).chain([newest]);
    for ((from, own), to) in journal.iter().zip(ends) {
        for version in BTreeSet::from([*from, (from + to) / 2, to]) {
            let book = app.book.as_of(&mut conn, version).await.unwrap().unwrap();
            let answer = serde_json::to_value(quote(&book, &asked).unwrap()).unwrap();
            let line = &answer["lines"][0];
            assert_eq!(
                line["listPrice"], own.list_price,
                "client {client} at {version}, told at {from}"
            );
            assert_eq!(
                line["unitPrice"],
                own.unit_price(),
                "client {client} at {version}, told at {from}"
            );
        }
    }
}
