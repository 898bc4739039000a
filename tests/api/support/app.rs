//! The service on a port of its own.

use std::net::SocketAddr;
use std::sync::Arc;

use kampanje::activation::Follower;
use kampanje::app::{self, Shared, server};
use kampanje::publication::live::LiveBook;
use kampanje::health::{Readiness, record_metrics};
use kampanje::platform::clock::Calendar;
use kampanje::platform::db::pool::Pool;
use kampanje::platform::effect::Database;
use kampanje::platform::http::call::BodyLimit;
use kampanje::platform::http::list::CursorKey;
use kampanje::platform::http::middleware::Credentials;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::database::TestDatabase;

/// A running service and a client for it.
pub struct TestApp {
    pub address: SocketAddr,
    pub readiness: Readiness,
    /// Dropped with the app, and its database with it.
    _database: Option<TestDatabase>,
    client: reqwest::Client,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The pointers and codes of a problem, sorted.
    pub fn errors(&self) -> Vec<(String, String)> {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let body = self.json();
        let errors = body["errors"].as_array().unwrap();
        let mut found: Vec<_> = errors.iter().map(|error| (text(&error["pointer"]), text(&error["code"]))).collect();
        found.sort();
        found
    }

    pub fn code(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        self.json()["code"].as_str().unwrap().to_owned()
    }
}

impl TestApp {
    pub async fn new() -> Self {
        Self::with_key(None).await
    }

    /// A service that asks for an API key.
    pub async fn with_key(api_key: Option<&str>) -> Self {
        let test_database = TestDatabase::new().await;
        let pool = Pool::new(&test_database.url(), 4).unwrap();
        let calendar = Calendar::system();
        let (book, database) = app::open(&pool, &calendar).await.unwrap();
        Self::serving(database, book, calendar, api_key, Some(test_database))
    }

    /// A service whose database is out of reach.
    pub fn without_database() -> Self {
        let calendar = Calendar::system();
        let book = LiveBook::new(calendar.clone());
        let pool = Pool::new("postgres://u@127.0.0.1:1/d", 4).unwrap();
        let database = Database::new(pool, Arc::new(Follower::new(book.clone(), calendar.clone())));
        Self::serving(database, book, calendar, None, None)
    }

    fn serving(
        database: Database,
        book: LiveBook,
        calendar: Calendar,
        api_key: Option<&str>,
        test_database: Option<TestDatabase>,
    ) -> Self {
        let readiness = Readiness::new(database.clone());
        let shared = Shared {
            database,
            calendar,
            book,
            cursor_key: CursorKey::new(vec![1; 32]),
            credentials: Credentials::new(api_key),
            body_limit: BodyLimit(1_048_576),
            readiness: readiness.clone(),
        };
        record_metrics().unwrap();
        let (server, addresses) = server(shared, SocketAddr::from(([127, 0, 0, 1], 0)), 1).unwrap();
        actix_web::rt::spawn(server);
        Self { address: addresses[0], readiness, _database: test_database, client: reqwest::Client::new() }
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Reply {
        let mut request = self.client.request(method, format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        Reply { status, headers, text: response.text().await.unwrap() }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.send(Method::GET, path, &[], None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, &[], Some(&body.to_string())).await
    }
}
