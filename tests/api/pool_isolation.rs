//! Bulkheads: requests that use up their database sessions do not starve others. The price book
//! stays fresh, and other kinds of requests are answered.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use diesel_async::SimpleAsyncConnection;
use futures_util::future::{join, join_all};
use kampanje::platform::db::pool::connect;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::process::Serving;
use super::support::app::Reply;
use super::support::database::TestDatabase;

const CLIENTS: usize = 40;
/// Duration of the watch; longer than a book stays fresh without its refresher.
const WATCH: Duration = Duration::from_secs(8);
/// Pause between two rounds of the watch.
const WATCH_INTERVAL: Duration = Duration::from_millis(200);

/// The time in which a cheap request is answered, whatever other kinds of requests do. One in ten
/// may take longer, since other tests use the same cores; a starved one takes 5 s.
const CHEAP_TIMEOUT: Duration = Duration::from_secs(1);

/// A process of the service with its own database.
struct Service {
    // Dropped before the database that it uses.
    serving: Serving,
    database: TestDatabase,
    client: Client,
}

impl Service {
    /// Starts a service with an item to quote, a campaign status, a segment and the rows of
    /// `statements`.
    async fn new(statements: &str) -> Self {
        let database = TestDatabase::new().await;
        let mut conn = connect(&database.url()).await.unwrap();
        let rows =
            "INSERT INTO campaign_statuses (id, code, sequence) VALUES (uuid_v7(), 'OPEN', 1);
            INSERT INTO segments (id, number) VALUES (uuid_v7(), 'S');";
        conn.batch_execute(&format!("{rows}{statements}")).await.unwrap();
        let serving = Serving::start(&[], Some(&database.url()));
        let service = Self { serving, database, client: Client::new() };
        let item =
            service.request(Method::PUT, "/v1/items/DESK").json(&json!({"listPrice": "400"}));
        Reply::to(item).await.expect(201);
        service
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.serving.url))
    }

    fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// Returns a list request of the expensive kind; this one is cheap.
    fn search(&self) -> RequestBuilder {
        self.get("/v1/campaign-statuses?count=true")
    }

    /// Returns a preview request, which changes nothing.
    fn report(&self) -> RequestBuilder {
        let criterion = json!({"action": "ADD", "filter": "number eq 'C1'"});
        self.request(Method::POST, "/v1/segments/S/criteria-previews").json(&criterion)
    }

    /// Returns a change that publishes nothing.
    fn write(&self) -> RequestBuilder {
        let path = "/v1/campaign-statuses/OPEN";
        self.request(Method::PUT, path).header("if-match", "*").json(&json!({"sequence": 2}))
    }

    /// Sends quotes, readiness checks, cheap reads and `others` repeatedly. Returns the defects.
    async fn watch(&self, others: impl Fn() -> [RequestBuilder; 2]) -> Vec<String> {
        let (began, mut defects, mut cheap, mut late) = (Instant::now(), Vec::new(), 0, 0);
        while began.elapsed() < WATCH {
            let quote = Reply::to(self.get("/v1/price-quotes?itemNumber=DESK")).await;
            if quote.status != 200 || quote.header("snapshot-stale") != "false" {
                defects.push(format!("a quote: {quote:?}"));
            }
            let ready = Reply::to(self.get("/readyz")).await;
            if ready.status != 200 || ready.json()["status"] != "OK" {
                defects.push(format!("readiness: {ready:?}"));
            }
            for path in ["/v1/campaign-statuses/OPEN", "/v1/campaign-statuses"] {
                let sent = Instant::now();
                let reply = Reply::to(self.get(path)).await;
                cheap += 1;
                late += usize::from(sent.elapsed() > CHEAP_TIMEOUT);
                // A request that finds no session in time is refused with 503.
                if reply.status != 200 {
                    defects.push(format!("{path}: {reply:?}"));
                }
            }
            for request in others() {
                let reply = Reply::to(request).await;
                if !reply.status.is_success() {
                    defects.push(format!("another kind of request: {reply:?}"));
                }
            }
            sleep(WATCH_INTERVAL).await;
        }
        println!("{late} of {cheap} cheap reads took more than {CHEAP_TIMEOUT:?}");
        if late * 10 > cheap {
            defects.push(format!("{late} of {cheap} cheap reads are late"));
        }
        defects
    }

    /// Watches the service while clients send requests repeatedly, and then lets the clients
    /// finish. Returns the number of responses by code; successes have the empty code.
    async fn watch_under_load(
        &self,
        load: impl Fn(usize) -> RequestBuilder,
        others: impl Fn() -> [RequestBuilder; 2],
        release: impl Future<Output = ()>,
    ) -> BTreeMap<String, usize> {
        let (working, counts) = (Cell::new(true), RefCell::new(BTreeMap::new()));
        let clients = join_all((0..CLIENTS).map(async |number| {
            while working.get() {
                let reply = Reply::to(load(number)).await;
                let is_retryable =
                    reply.status == 503 && reply.header("retry-after").parse::<u32>().is_ok();
                assert!(reply.status.is_success() || is_retryable, "{reply:?}");
                let code = if is_retryable { reply.code() } else { String::new() };
                *counts.borrow_mut().entry(code).or_default() += 1;
            }
        }));
        let watching = async {
            // By then the clients use all sessions that they can get.
            sleep(Duration::from_secs(1)).await;
            let defects = self.watch(others).await;
            working.set(false);
            release.await;
            defects
        };
        let (_, defects) = join(clients, watching).await;
        println!("answers under load: {:?}", counts.borrow());
        assert!(defects.is_empty(), "{}", defects.join("\n"));
        counts.into_inner()
    }
}

/// Returns the most expensive filter: the maximum number of terms, none of which can use an index.
/// Each row has to be compared with all terms, and no row matches the last.
fn slowest_filter() -> String {
    let pair = |n| format!("(contains(name, 'z{n}') or contains(city, 'city')) and ");
    let pairs: String = (0..49).map(pair).collect();
    format!("{pairs}(contains(name, 'z') or contains(city, 'z'))")
}

#[tokio::test]
async fn slow_filters_starve_neither_the_book_nor_other_requests() {
    let service = Service::new(
        "INSERT INTO contacts (id, number, type, name, city)
            SELECT uuid_v7(), 'C' || n, 'COMPANY', 'Company ' || md5(n::text),
                'City ' || md5(n::text)
            FROM generate_series(1, 50000) AS n;
        ANALYZE contacts",
    )
    .await;
    let filter = slowest_filter();
    let search = |_| service.get("/v1/contacts").query(&[("filter", &filter)]);
    let others = || [service.report(), service.write()];
    let counts = service.watch_under_load(search, others, async {}).await;
    // Proof of the load: the searches used up their sessions.
    assert!(counts.contains_key("UNAVAILABLE"), "{counts:?}");
}

#[tokio::test]
async fn blocked_writers_starve_neither_the_book_nor_other_requests() {
    let service = Service::new(
        "INSERT INTO items (id, number) SELECT uuid_v7(), 'I' || n
            FROM generate_series(0, 39) AS n",
    )
    .await;
    let mut holder = connect(&service.database.url()).await.unwrap();
    // Every change that publishes waits for the counter of the price book.
    holder.batch_execute("BEGIN; SELECT FROM book FOR UPDATE").await.unwrap();
    let price = Cell::new(0);
    let write = |number| {
        price.set(price.get() + 1);
        let item = service.request(Method::PUT, &format!("/v1/items/I{number}"));
        item.header("if-match", "*").json(&json!({"listPrice": price.get().to_string()}))
    };
    let others = || [service.report(), service.search()];
    let release = async { holder.batch_execute("COMMIT").await.unwrap() };
    let counts = service.watch_under_load(write, others, release).await;
    // Some requests found no session; others were answered after the lock was released.
    assert!(counts.contains_key("UNAVAILABLE") && counts.contains_key(""), "{counts:?}");
}
