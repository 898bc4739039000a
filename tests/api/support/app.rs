//! The service on a port of its own.

use std::sync::{Arc, Mutex};

use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use diesel_async::SimpleAsyncConnection;
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use kampanje::app::routes;
use kampanje::platform::clock::Calendar;
use kampanje::platform::db::pool::{Pool, connect};
use kampanje::platform::effect::{Database, Effect, Publisher, Touched};
use kampanje::platform::http::call::BodyLimit;
use kampanje::platform::http::list::CursorKey;
use kampanje::platform::http::middleware::{Credentials, around};
use kampanje::platform::http::problem::Problem;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::database::TestDatabase;

/// Lets every change stand without a price book, and keeps what the last one touched.
#[derive(Clone, Default)]
struct NothingPublished {
    touched: Arc<Mutex<Touched>>,
}

impl Publisher for NothingPublished {
    fn publish<'a>(&'a self, effect: &'a mut Effect) -> LocalBoxFuture<'a, Result<(), Problem>> {
        *self.touched.lock().unwrap() = effect.touched.clone();
        async { Ok(()) }.boxed_local()
    }

    fn reached(&self, _: i64) -> LocalBoxFuture<'_, ()> {
        async {}.boxed_local()
    }
}

/// A running service and a client for it.
pub struct TestApp {
    base: String,
    /// Dropped with the app, and its database with it.
    database: TestDatabase,
    publisher: NothingPublished,
    client: reqwest::Client,
}

/// Pointers and codes, as [`Reply::errors`] gives them.
pub fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect()
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
        let test_database = TestDatabase::new().await;
        let publisher = NothingPublished::default();
        let database = Database::new(Pool::new(&test_database.url(), 4).unwrap(), Arc::new(publisher.clone()));
        let calendar = Calendar::system();
        let server = HttpServer::new(move || {
            let routes = routes();
            App::new()
                .app_data(web::Data::new(database.clone()))
                .app_data(web::Data::new(calendar.clone()))
                .app_data(web::Data::new(CursorKey::new(vec![1; 32])))
                .app_data(web::Data::new(BodyLimit(1_048_576)))
                .app_data(web::Data::new(Credentials::new(None)))
                .wrap(from_fn(around))
                .configure(|app| routes.configure(app))
        })
        .workers(1)
        .disable_signals()
        .bind(("127.0.0.1", 0))
        .unwrap();
        let base = format!("http://{}", server.addrs()[0]);
        actix_web::rt::spawn(server.run());
        Self { base, database: test_database, publisher, client: reqwest::Client::new() }
    }

    /// Runs SQL statements in the app's database, for what no room of the API makes.
    pub async fn sql(&self, statements: &str) {
        let mut conn = connect(&self.database.url()).await.unwrap();
        conn.batch_execute(statements).await.unwrap();
    }

    /// What has been touched since this was last asked, by the last effect that touched anything.
    pub fn touched(&self) -> Touched {
        std::mem::take(&mut *self.publisher.touched.lock().unwrap())
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&str>) -> Reply {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
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

    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PUT, path, &[("if-match", "*")], Some(&body.to_string())).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::PATCH, path, &[("if-match", "*")], Some(&body.to_string())).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(Method::DELETE, path, &[("if-match", "*")], None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(Method::POST, path, &[], Some(&body.to_string())).await
    }
}
