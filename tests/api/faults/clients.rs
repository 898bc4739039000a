//! Clients that work during the faults. A writer keeps a journal of its acknowledged changes; a
//! quoting client keeps answers.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::machines::Replica;
use crate::book::Dice;
use crate::support::app::Reply;
use crate::support::wait::{TEST_TIMEOUT, in_time};

/// Counters of the clients.
#[derive(Default)]
pub struct Counts {
    /// Acknowledged changes.
    pub acknowledged: Cell<u64>,
    /// Of these: acknowledged by an answer that was stored before a connection broke or the
    /// database went away.
    pub after_a_break: Cell<u64>,
    /// Responses that were requested again, and were the same.
    pub replays: Cell<u64>,
    /// Broken connections.
    pub broken: Cell<u64>,
    /// Responses with 503.
    pub unavailable: Cell<u64>,
    /// Quotes.
    pub quotes: Cell<u64>,
    /// Those from a snapshot that declared itself stale.
    pub stale: Cell<u64>,
}

pub fn count(counter: &Cell<u64>) {
    counter.set(counter.get() + 1);
}

/// A writer's own part of the price book, which no other client changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Published {
    /// The item's list price.
    pub list_price: String,
    /// True while the campaign is active.
    pub active: bool,
    /// The campaign's prices by minimum quantity.
    pub prices: BTreeMap<String, String>,
    /// The campaign's accounts.
    pub accounts: BTreeSet<String>,
}

/// A client that changes data, with the acknowledged results.
pub struct Writer<'a> {
    pub name: String,
    replicas: &'a [Replica; 2],
    counts: &'a Counts,
    client: Client,
    dice: Dice,
    steps: usize,
    /// The draft prices of its campaign by minimum quantity, and its targets.
    pub prices: BTreeMap<String, String>,
    pub accounts: BTreeSet<String>,
    /// The known ids of prices by minimum quantity.
    ids: BTreeMap<String, String>,
    now: Published,
    /// The published states, each with the version from which it holds.
    pub journal: Vec<(i64, Published)>,
    /// The versions that activated its campaign, or changed it while it was active.
    active_at: Vec<i64>,
    /// The names of persons and interactions that must exist exactly once.
    pub persons: BTreeSet<String>,
    pub interactions: BTreeSet<String>,
}

/// Returns the contacts of a writer.
pub fn contacts(name: &str) -> [String; 4] {
    ["A", "B", "C", "D"].map(|letter| format!("{name}{letter}"))
}

impl<'a> Writer<'a> {
    /// Creates a writer with an item, contacts, and a campaign for one of them.
    pub async fn new(number: u8, seed: u8, replicas: &'a [Replica; 2], counts: &'a Counts) -> Self {
        let name = format!("W{number}");
        let mut writer = Self {
            name: name.clone(),
            replicas,
            counts,
            client: Client::builder().timeout(TEST_TIMEOUT).build().unwrap(),
            dice: Dice::new(seed.wrapping_add(number).wrapping_add(1)),
            steps: 0,
            prices: BTreeMap::new(),
            accounts: BTreeSet::new(),
            ids: BTreeMap::new(),
            now: Published::default(),
            journal: vec![(0, Published::default())],
            active_at: Vec::new(),
            persons: BTreeSet::new(),
            interactions: BTreeSet::new(),
        };
        let mut item = writer.now.clone();
        item.list_price = "1000".to_owned();
        writer
            .change(
                Method::PUT,
                &format!("/v1/items/{name}"),
                json!({"listPrice": "1000"}),
                201,
                item,
            )
            .await;
        for contact in contacts(&name) {
            let body = json!({"type": "COMPANY", "name": contact});
            writer.send(Method::PUT, &format!("/v1/contacts/{contact}"), &body).await.expect(201);
        }
        let campaign = json!({"startingDate": "2031-05-01", "endingDate": "2031-05-31"});
        writer.send(Method::PUT, &format!("/v1/campaigns/{name}"), &campaign).await.expect(201);
        let segment = json!({"campaignNumber": name, "campaignTarget": true});
        writer.send(Method::PUT, &format!("/v1/segments/{name}"), &segment).await.expect(201);
        writer
    }

    /// Works until the flag is cleared.
    pub async fn work(&mut self, working: &Cell<bool>) {
        while working.get() {
            self.step().await;
        }
    }

    async fn step(&mut self) {
        self.steps += 1;
        let (name, fresh) = (self.name.clone(), self.steps.to_string());
        match self.dice.below(14) {
            0..=2 => self.add_price(fresh).await,
            3 => self.set_prices(fresh).await,
            4 => self.change_price(fresh).await,
            5 => self.remove_price().await,
            6 | 7 => self.toggle_target(self.steps).await,
            8 => self.activate().await,
            9 if self.steps.is_multiple_of(3) => self.deactivate().await,
            9 => self.roll_back().await,
            10 | 11 => {
                let mut desired = self.now.clone();
                desired.list_price = (1_000 + self.steps).to_string();
                let body = json!({"listPrice": desired.list_price});
                self.change(Method::PATCH, &format!("/v1/items/{name}"), body, 200, desired).await;
            }
            12 => {
                let person = format!("{name} person {fresh}");
                // The server assigns the next number of the series.
                let body = json!({"type": "PERSON", "name": person});
                self.send(Method::POST, "/v1/contacts", &body).await.expect(201);
                self.persons.insert(person);
            }
            _ => {
                let interaction = format!("{name} interaction {fresh}");
                let body = json!({"contactNumber": format!("{name}A"), "description": interaction});
                self.send(Method::POST, "/v1/interactions", &body).await.expect(201);
                self.interactions.insert(interaction);
            }
        }
    }

    /// Adds a price at an unused minimum quantity.
    async fn add_price(&mut self, fresh: String) {
        let body = json!({"itemNumber": self.name, "minimumQuantity": fresh, "unitPrice": fresh});
        self.prices.insert(fresh.clone(), fresh.clone());
        let answer = self.change_drafts(Method::POST, "prices", body, 201).await;
        self.ids.insert(fresh, answer["id"].as_str().unwrap().to_owned());
    }

    /// Sets several prices in one batch, new and existing ones.
    async fn set_prices(&mut self, fresh: String) {
        let known: Vec<String> = self.prices.keys().take(2).cloned().collect();
        let quantities: Vec<String> = known.into_iter().chain([fresh.clone()]).collect();
        let row = |quantity: &String| {
            json!({
                "itemNumber": self.name, "minimumQuantity": quantity, "unitPrice": fresh
            })
        };
        let rows: Vec<Value> = quantities.iter().map(row).collect();
        self.prices.extend(quantities.into_iter().map(|quantity| (quantity, fresh.clone())));
        self.change_drafts(Method::POST, "prices/batch", json!({ "rows": rows }), 200).await;
    }

    /// Returns the minimum quantity and the id of one of its prices.
    fn random_price(&mut self) -> Option<(String, String)> {
        let known: Vec<_> = self.ids.clone().into_iter().collect();
        if known.is_empty() { None } else { Some(self.dice.choose(&known)) }
    }

    async fn change_price(&mut self, fresh: String) {
        let Some((quantity, id)) = self.random_price() else { return };
        self.prices.insert(quantity, fresh.clone());
        self.change_drafts(
            Method::PATCH,
            &format!("prices/{id}"),
            json!({"unitPrice": fresh}),
            200,
        )
        .await;
    }

    async fn remove_price(&mut self) {
        let Some((quantity, id)) = self.random_price() else { return };
        self.prices.remove(&quantity);
        self.ids.remove(&quantity);
        self.change_drafts(Method::DELETE, &format!("prices/{id}"), Value::Null, 204).await;
    }

    /// Adds a contact to the segment, or removes it.
    async fn toggle_target(&mut self, step: usize) {
        let contact = contacts(&self.name)[step % 4].clone();
        let lines = format!("/v1/segments/{}/lines", self.name);
        let (method, path, body, status) = if self.accounts.remove(&contact) {
            (Method::DELETE, format!("{lines}/{contact}"), Value::Null, 204)
        } else {
            self.accounts.insert(contact.clone());
            (Method::POST, lines, json!({ "contactNumber": contact }), 201)
        };
        let desired = self.after_draft_change();
        self.change(method, &path, body, status, desired).await;
    }

    /// Returns the book after the drafts are published.
    fn activated(&self) -> Published {
        Published {
            active: true,
            prices: self.prices.clone(),
            accounts: self.accounts.clone(),
            list_price: self.now.list_price.clone(),
        }
    }

    /// Returns the book after a change of the drafts, which an active campaign publishes.
    fn after_draft_change(&self) -> Published {
        if self.now.active { self.activated() } else { self.now.clone() }
    }

    async fn activate(&mut self) {
        // An activation without accounts would be refused.
        if !self.accounts.is_empty() {
            let desired = self.activated();
            let status = if desired == self.now { 200 } else { 201 };
            self.change_campaign("activations", json!({"acknowledge": ["*"]}), status, desired)
                .await;
        }
    }

    async fn deactivate(&mut self) {
        let desired = Published { list_price: self.now.list_price.clone(), ..Published::default() };
        let status = match (self.now.active, self.active_at.is_empty()) {
            (true, _) => 201,
            (false, false) => 200,
            (false, true) => 204,
        };
        self.change_campaign("deactivations", json!({}), status, desired).await;
    }

    /// Rolls the campaign back to an earlier publication, and then publishes the drafts again.
    async fn roll_back(&mut self) {
        if self.active_at.is_empty() || self.accounts.is_empty() {
            return;
        }
        let version = self.dice.choose(&self.active_at);
        let then = &self.journal.iter().rfind(|(at, _)| *at == version).unwrap().1;
        let desired = Published { list_price: self.now.list_price.clone(), ..then.clone() };
        let status = if desired == self.now { 200 } else { 201 };
        self.change_campaign("rollbacks", json!({ "version": version }), status, desired).await;
        self.activate().await;
        let path = format!("/v1/campaigns/{}", self.name);
        let now = self.now.clone();
        self.change(Method::PATCH, &path, json!({"publishing": "AUTOMATIC"}), 200, now).await;
    }

    async fn change_drafts(
        &mut self,
        method: Method,
        path: &str,
        body: Value,
        status: u16,
    ) -> Value {
        let desired = self.after_draft_change();
        let path = format!("/v1/campaigns/{}/{path}", self.name);
        self.change(method, &path, body, status, desired).await
    }

    async fn change_campaign(&mut self, what: &str, body: Value, status: u16, desired: Published) {
        let path = format!("/v1/campaigns/{}/{what}", self.name);
        self.change(Method::POST, &path, body, status, desired).await;
    }

    /// Makes a change, and records the resulting part of the book.
    async fn change(
        &mut self,
        method: Method,
        path: &str,
        body: Value,
        status: u16,
        desired: Published,
    ) -> Value {
        let reply = self.send(method, path, &body).await;
        let version: Option<i64> = reply.header("publication-version").parse().ok();
        assert_eq!(version.is_some(), desired != self.now, "{path} {body}: {reply:?}");
        if let Some(version) = version {
            assert!(version > self.journal.last().unwrap().0, "{path} {body}: {reply:?}");
            let of_campaign = Published { list_price: String::new(), ..desired.clone() };
            if desired.active
                && of_campaign != (Published { list_price: String::new(), ..self.now.clone() })
            {
                self.active_at.push(version);
            }
            self.journal.push((version, desired.clone()));
            self.now = desired;
        }
        reply.expect(status)
    }

    /// Sends a request with its own idempotency key until it is answered. Repeats some of them, and
    /// asserts the same response.
    async fn send(&mut self, method: Method, path: &str, body: &Value) -> Reply {
        let key = format!("{}-{}", self.name, uuid::Uuid::now_v7());
        let expectation = format!("{method} {path} is answered");
        let attempts = self.send_until_answered(&method, path, body, &key);
        let (reply, broken) = in_time(&expectation, attempts).await;
        let replayed = reply.header("idempotency-replayed") == "true";
        assert!(!replayed || broken, "{reply:?} was not asked for before");
        if reply.status.is_success() {
            count(&self.counts.acknowledged);
            if replayed {
                count(&self.counts.after_a_break);
            }
            if self.dice.below(6) == 0 {
                let attempts = self.send_until_answered(&method, path, body, &key);
                let (again, _) = in_time(&expectation, attempts).await;
                assert_eq!(again.header("idempotency-replayed"), "true", "{again:?}");
                assert_eq!((again.status, &again.text), (reply.status, &reply.text));
                for name in ["etag", "location", "publication-version"] {
                    assert_eq!(again.header(name), reply.header(name), "{name}");
                }
                count(&self.counts.replays);
            }
        }
        reply
    }

    /// Returns the response, and whether an earlier attempt may have been executed without one.
    async fn send_until_answered(
        &mut self,
        method: &Method,
        path: &str,
        body: &Value,
        key: &str,
    ) -> (Reply, bool) {
        let mut broken = false;
        loop {
            let replica = &self.replicas[self.dice.below(2)];
            let Some((number, url)) = replica.serving() else {
                sleep(Duration::from_millis(2)).await;
                continue;
            };
            let mut request = self
                .client
                .request(method.clone(), format!("{url}{path}"))
                .header("idempotency-key", key);
            if matches!(*method, Method::PATCH | Method::DELETE) {
                request = request.header("if-match", "*");
            }
            if !body.is_null() {
                request = request.json(body);
            }
            let Some(reply) = try_send(request).await else {
                assert!(
                    replica.was_killed(number),
                    "{method} {path}: a replica that lives gives no answer"
                );
                count(&self.counts.broken);
                broken = true;
                continue;
            };
            match reply.status {
                StatusCode::SERVICE_UNAVAILABLE => {
                    assert_eq!(
                        (reply.code().as_str(), reply.header("retry-after")),
                        ("UNAVAILABLE", "1"),
                        "{reply:?}"
                    );
                    count(&self.counts.unavailable);
                    broken = true;
                    sleep(Duration::from_millis(20)).await;
                }
                StatusCode::CONFLICT if reply.code() == "IDEMPOTENCY_IN_PROGRESS" => {
                    sleep(Duration::from_millis(5)).await;
                }
                status => {
                    assert!(status.is_success(), "{method} {path} {body}: {reply:?}");
                    return (reply, broken);
                }
            }
        }
    }
}

/// Sends a request, and returns the complete response; `None` if the connection broke.
async fn try_send(request: reqwest::RequestBuilder) -> Option<Reply> {
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) if error.is_timeout() => panic!("no response in time: {error:?}"),
        Err(_) => return None,
    };
    let (status, headers) = (response.status(), response.headers().clone());
    Some(Reply { status, headers, text: response.text().await.ok()? })
}

/// A query: the index of the writer whose prices it requests, and the index of the contact.
pub type Query = (usize, usize);

/// Answers by version and query.
pub type Answers = HashMap<(i64, Query), String>;

/// Returns the request document of a query.
pub fn document((writer, contact): Query) -> Value {
    let name = format!("W{writer}");
    let line = |quantity: &str| json!({"itemNumber": name, "quantity": quantity});
    let lines: Vec<Value> = ["1", "40", "1000000"].map(line).to_vec();
    json!({"contactNumber": contacts(&name)[contact], "date": "2031-05-15", "lines": lines})
}

/// Requests quotes from one replica until the flag is cleared. Keeps the answers of one in
/// `kept_every` versions.
pub async fn run_quoting_client(
    replica: &Replica,
    (number, writers, kept_every): (u8, usize, i64),
    (working, counts, answers): (&Cell<bool>, &Counts, &RefCell<Answers>),
) {
    let client = Client::builder().timeout(TEST_TIMEOUT).build().unwrap();
    let mut dice = Dice::new(200 + number);
    let mut seen = (0, 0);
    while working.get() {
        sleep(Duration::from_millis(5)).await;
        let Some((process, url)) = replica.serving() else { continue };
        let query = (dice.below(writers), dice.below(4));
        let request = client.post(format!("{url}/v1/price-quotes")).json(&document(query));
        let Some(reply) = try_send(request).await else {
            assert!(replica.was_killed(process), "a replica that lives gives no answer");
            continue;
        };
        if matches!(reply.status.as_u16(), 422 | 503) && process > 1 && seen.0 < process {
            // A successor may begin with a snapshot from before the contacts, or without one if the
            // database is unavailable.
            continue;
        }
        assert_eq!(reply.status, 200, "{reply:?}");
        let version: i64 = reply.header("publication-version").parse().unwrap();
        assert!((process, version) >= seen, "{version} of process {process} comes after {seen:?}");
        seen = (process, version);
        count(&counts.quotes);
        if reply.header("snapshot-stale") == "true" {
            count(&counts.stale);
        }
        if version % kept_every == 0 {
            let mut texts = answers.borrow_mut();
            let text = texts.entry((version, query)).or_insert_with(|| reply.text.clone());
            assert_eq!(*text, reply.text, "two answers to one question at version {version}");
        }
    }
}
