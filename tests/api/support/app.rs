//! A running service on its own port.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use diesel::sql_types::BigInt;
use diesel_async::{AsyncPgConnection, RunQueryDsl, SimpleAsyncConnection};
use futures_util::future::LocalBoxFuture;
use kampanje::activation::AutoPublisher;
use kampanje::api_keys::ring;
use kampanje::app::{self, Shared, server};
use kampanje::desk::{Desk, OidcClient};
use kampanje::events::latest::LatestEvent;
use kampanje::health::{Readiness, record_metrics};
use kampanje::live_book::{LiveBook, POLL_INTERVAL};
use kampanje::platform::clock::Calendar;
use kampanje::platform::db::pool::{MIN_REQUEST_SESSIONS, Pool, Pools, connect};
use kampanje::platform::http::access::Credentials;
use kampanje::platform::http::access::keys::KeyRing;
use kampanje::platform::http::access::oidc::Issuer;
use kampanje::platform::http::call::BodyLimits;
use kampanje::platform::http::connections::ConnectionLimits;
use kampanje::platform::http::list::CursorKey;
use kampanje::platform::http::problem::Problem;
use kampanje::platform::http::stream::Streams;
use kampanje::unit_of_work::{ChangedKeys, Database, Publisher, UnitOfWork};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use super::contract;
use super::database::TestDatabase;
use super::wait::{TEST_TIMEOUT, eventually};

/// The service's own publisher, which also records the keys of the latest change.
struct RecordingPublisher {
    auto_publisher: AutoPublisher,
    changed_keys: Mutex<ChangedKeys>,
}

impl Publisher for RecordingPublisher {
    fn publish<'a>(&'a self, work: &'a mut UnitOfWork) -> LocalBoxFuture<'a, Result<(), Problem>> {
        *self.changed_keys.lock().unwrap() = work.changed_keys.clone();
        self.auto_publisher.publish(work)
    }

    fn wait_for_version(&self, version: i64) -> LocalBoxFuture<'_, ()> {
        self.auto_publisher.wait_for_version(version)
    }
}

/// The limits of a service.
pub struct Bounds {
    pub streams: Streams,
    pub connections: ConnectionLimits,
    pub bodies: BodyLimits,
    pub latest_event: LatestEvent,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            streams: Streams::default(),
            connections: ConnectionLimits::default(),
            bodies: BodyLimits::new(1_048_576),
            latest_event: LatestEvent::default(),
        }
    }
}

/// A running service and a client for it.
pub struct TestApp {
    pub address: SocketAddr,
    pub readiness: Readiness,
    pub book: LiveBook,
    pub units_of_work: Database,
    pub latest_event: LatestEvent,
    publisher: Arc<RecordingPublisher>,
    /// Dropped with the last of its replicas.
    database: Option<Arc<TestDatabase>>,
    client: reqwest::Client,
    /// The token that its requests carry.
    bearer: Option<String>,
}

/// A complete response.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Reply {
    /// Sends the request, reads the response, and checks it against the OpenAPI document.
    pub async fn to(request: RequestBuilder) -> Self {
        let (client, request) = request.timeout(TEST_TIMEOUT).build_split();
        let request = request.unwrap();
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let response = reqwest::Client::execute(&client, request).await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let reply = Self { status, headers, text: response.text().await.unwrap() };
        contract::check(&method, &path, &reply);
        reply
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// Asserts the status, and returns the body; null if there is none.
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns the pointers and codes of a problem, sorted.
    pub fn errors(&self) -> Vec<(String, String)> {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let body = self.json();
        let errors = body["errors"].as_array().unwrap();
        let mut found: Vec<_> =
            errors.iter().map(|error| (text(&error["pointer"]), text(&error["code"]))).collect();
        found.sort();
        found
    }

    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

/// The settings in which services of tests differ.
#[derive(Default)]
struct TestSettings<'a> {
    api_key: Option<&'a str>,
    issuer: Option<Issuer>,
    desk_client: Option<OidcClient>,
    bounds: Bounds,
}

/// Returns a representation without what the service records about its changes.
pub fn content(mut view: Value) -> Value {
    let recorded = ["createdBy", "updatedBy", "updatedAt"];
    view.as_object_mut().unwrap().retain(|name, _| !recorded.contains(&name.as_str()));
    view
}

impl TestApp {
    pub async fn new() -> Self {
        Self::with_key(None).await
    }

    /// Starts a service that requires an API key.
    pub async fn with_key(api_key: Option<&str>) -> Self {
        Self::with_database(TestDatabase::new().await, Calendar::system(), api_key).await
    }

    /// Starts a service that accepts the tokens of an issuer, besides an API key.
    pub async fn with_issuer(api_key: &str, issuer: Issuer) -> Self {
        let database = Arc::new(TestDatabase::new().await);
        let settings = TestSettings {
            api_key: Some(api_key),
            issuer: Some(issuer),
            ..TestSettings::default()
        };
        Self::start(database, Calendar::system(), settings).await
    }

    /// Starts a service whose users sign in at an issuer.
    pub async fn with_desk_client(client: OidcClient) -> Self {
        let database = Arc::new(TestDatabase::new().await);
        let settings = TestSettings { desk_client: Some(client), ..TestSettings::default() };
        Self::start(database, Calendar::system(), settings).await
    }

    /// Starts a service with the test's own clock.
    pub async fn at(calendar: Calendar) -> Self {
        Self::with_database(TestDatabase::new().await, calendar, None).await
    }

    /// Starts a service with the test's own limits.
    pub async fn with_bounds(bounds: Bounds) -> Self {
        let database = Arc::new(TestDatabase::new().await);
        let settings = TestSettings { bounds, ..TestSettings::default() };
        Self::start(database, Calendar::system(), settings).await
    }

    /// Starts another service over the same database, with its own pool and snapshot.
    pub async fn replica(&self) -> Self {
        let database = self.database.clone().unwrap();
        Self::start(database, Calendar::system(), TestSettings::default()).await
    }

    async fn with_database(
        database: TestDatabase,
        calendar: Calendar,
        api_key: Option<&str>,
    ) -> Self {
        let settings = TestSettings { api_key, ..TestSettings::default() };
        Self::start(Arc::new(database), calendar, settings).await
    }

    async fn start(
        database: Arc<TestDatabase>,
        calendar: Calendar,
        settings: TestSettings<'_>,
    ) -> Self {
        let pools = Pools::new(&database.service_url(), 16).unwrap();
        let pool = &pools.background;
        let book = LiveBook::new(calendar.clone());
        app::open_book(pool, &book).await.unwrap();
        actix_web::rt::spawn(book.clone().run_refresher(pool.clone(), POLL_INTERVAL));
        Self::serve(pools, book, calendar, settings, Some(database))
    }

    /// Starts a service whose database is unreachable.
    pub fn without_database() -> Self {
        let calendar = Calendar::system();
        let pools = Pools::new("postgres://u@127.0.0.1:1/d", MIN_REQUEST_SESSIONS).unwrap();
        let book = LiveBook::new(calendar.clone());
        Self::serve(pools, book, calendar, TestSettings::default(), None)
    }

    fn serve(
        pools: Pools,
        book: LiveBook,
        calendar: Calendar,
        settings: TestSettings<'_>,
        test_database: Option<Arc<TestDatabase>>,
    ) -> Self {
        let TestSettings { api_key, issuer, desk_client, bounds } = settings;
        let auto_publisher = AutoPublisher::new(book.clone(), calendar.clone());
        let publisher =
            Arc::new(RecordingPublisher { auto_publisher, changed_keys: Mutex::default() });
        let background = pools.background.clone();
        let database = Database::new(pools, publisher.clone());
        database.open();
        let readiness = Readiness::new(book.clone());
        let (keys, latest_event) = (KeyRing::default(), bounds.latest_event);
        if test_database.is_some() {
            actix_web::rt::spawn(ring::run(background.clone(), keys.clone()));
            actix_web::rt::spawn(latest_event.clone().run(background));
        }
        let credentials = Credentials::new(api_key, keys, issuer, calendar.clone());
        let shared = Shared {
            database: database.clone(),
            calendar,
            book: book.clone(),
            cursor_key: CursorKey::new(vec![1; 32]),
            credentials,
            body_limits: bounds.bodies,
            readiness: readiness.clone(),
            streams: bounds.streams,
            latest_event: latest_event.clone(),
            desk: Desk::new(desk_client.as_ref()).unwrap(),
        };
        record_metrics().unwrap();
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let (server, address) = server(shared, listen, 1, bounds.connections).unwrap();
        actix_web::rt::spawn(server);
        let client = reqwest::Client::builder().timeout(TEST_TIMEOUT).build().unwrap();
        Self {
            address,
            readiness,
            book,
            units_of_work: database,
            latest_event,
            publisher,
            database: test_database,
            client,
            bearer: None,
        }
    }

    /// Returns a request builder for a path.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("http://{}{path}", self.address));
        match &self.bearer {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&str>,
    ) -> Reply {
        let mut request = self.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        Reply::to(request).await
    }

    /// Makes later requests with a key that has these scopes.
    pub async fn with_scopes(mut self, scopes: &[&str]) -> Self {
        let key = serde_json::json!({"name": "Test", "scopes": scopes});
        let created = self.post("/v1/api-keys", &key).await.expect(201);
        self.bearer = created["secret"].as_str().map(str::to_owned);
        self
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, &[], Some(&body.to_string())).await
    }

    /// Creates or replaces a resource under a key.
    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        let created = self.send(Method::PUT, path, &[], Some(&body.to_string())).await;
        if created.status != StatusCode::PRECONDITION_REQUIRED {
            return created;
        }
        self.send(Method::PUT, path, &[("if-match", "*")], Some(&body.to_string())).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, path, &[("if-match", "*")], Some(&body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, &[("if-match", "*")], None).await
    }

    /// Returns and clears the keys of the latest change that had any.
    pub fn changed_keys(&self) -> ChangedKeys {
        std::mem::take(&mut *self.publisher.changed_keys.lock().unwrap())
    }

    /// Returns the URL of its database.
    pub fn database_url(&self) -> String {
        self.database.as_ref().unwrap().url()
    }

    /// Returns a separate background pool for its database, for background work that the test does
    /// itself.
    pub fn background_pool(&self) -> Pool {
        let url = self.database.as_ref().unwrap().service_url();
        Pools::new(&url, MIN_REQUEST_SESSIONS).unwrap().background
    }

    /// Opens a connection to its database, for rows that no endpoint creates and for concurrent
    /// transactions.
    pub async fn connection(&self) -> AsyncPgConnection {
        connect(&self.database_url()).await.unwrap()
    }

    /// Opens a connection to its database with the rights of the service.
    pub async fn service_connection(&self) -> AsyncPgConnection {
        connect(&self.database.as_ref().unwrap().service_url()).await.unwrap()
    }

    /// Drops its database while it runs.
    pub fn lose_database(&mut self) {
        self.database = None;
    }

    /// Runs SQL statements in its database.
    pub async fn sql(&self, statements: &str) {
        self.connection().await.batch_execute(statements).await.unwrap();
    }

    /// Waits until at least this many statements in its database are blocked by locks.
    pub async fn wait_for_blocked_statements(&self, count: i64) {
        let mut conn = self.connection().await;
        let query = "(SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND wait_event_type = 'Lock')";
        eventually(&format!("{count} statements are blocked"), async || {
            let blocked = diesel::dsl::sql::<BigInt>(query);
            diesel::select(blocked).get_result::<i64>(&mut conn).await.unwrap() >= count
        })
        .await;
    }
}

/// Returns pointers and codes in the form of [`Reply::errors`].
pub fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect()
}
