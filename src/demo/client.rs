//! The API as any client sees it.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use reqwest::header::{HeaderValue, IF_MATCH};
use reqwest::{Method, Request, StatusCode};
use serde_json::Value;

/// A client of one service.
pub(super) struct Client {
    /// The URL of the service, without a path.
    pub(super) base: String,
    api_key: Option<String>,
    http: reqwest::Client,
}

impl Client {
    /// A client of the service at an address of this machine.
    pub(super) fn new(address: SocketAddr, api_key: Option<&str>) -> Self {
        let api_key = api_key.map(str::to_owned);
        Self { base: format!("http://{address}"), api_key, http: reqwest::Client::new() }
    }

    /// True if the service requires its API key.
    pub(super) const fn has_key(&self) -> bool {
        self.api_key.is_some()
    }

    /// Reads a resource or a page of a list.
    pub(super) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, None).await
    }

    /// Reads the first 1,000 rows of a list, which is more than the demo has of anything but sales.
    pub(super) async fn list(&self, path: &str) -> anyhow::Result<Vec<Value>> {
        let mut page = self.get(&with_query(path, "top=1000")).await?;
        Ok(page
            .get_mut("value")
            .and_then(Value::as_array_mut)
            .map(std::mem::take)
            .unwrap_or_default())
    }

    /// The number of rows of a list.
    pub(super) async fn count(&self, path: &str) -> anyhow::Result<usize> {
        let page = self.get(&with_query(path, "top=1&count=true")).await?;
        let count = page.get("count").and_then(Value::as_u64).context("a list without a count")?;
        Ok(usize::try_from(count)?)
    }

    /// True if a list has rows.
    pub(super) async fn exists(&self, path: &str) -> anyhow::Result<bool> {
        Ok(self.count(path).await? > 0)
    }

    /// Sends a request and returns the body of the response. A resource that exists is patched, so
    /// that it keeps what the request does not name.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.base));
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let request = request.build()?;
        let mut response = self.http.execute(copy(&request)?).await?;
        if response.status() == StatusCode::PRECONDITION_REQUIRED {
            let mut patch = copy(&request)?;
            *patch.method_mut() = Method::PATCH;
            patch.headers_mut().insert(IF_MATCH, HeaderValue::from_static("*"));
            response = self.http.execute(patch).await?;
        }
        let status = response.status();
        let text = response.text().await?;
        if !status.is_success() {
            bail!("{method} {path} answered {status}: {text}");
        }
        Ok(serde_json::from_str(&text)?)
    }
}

fn copy(request: &Request) -> anyhow::Result<Request> {
    request.try_clone().context("a request without a stream can be copied")
}

fn with_query(path: &str, query: &str) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}{query}")
}

/// A member of a JSON object as text; empty if it is missing or null.
pub(super) fn text(object: &Value, name: &str) -> String {
    match object.get(name) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
    }
}

/// A member of a JSON object as a date.
pub(super) fn date(object: &Value, name: &str) -> Option<chrono::NaiveDate> {
    text(object, name).parse().ok()
}

/// The rows of an array inside a JSON object.
pub(super) fn rows<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    object.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
