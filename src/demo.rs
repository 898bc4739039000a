//! The demo: a small company is loaded through the service's own API, its campaign is activated,
//! and what happened is told.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use chrono::{Days, Utc};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

/// The requests that make the company: method, path, body.
const COMPANY: &str = include_str!("../demo/company.json");
/// What the order line asks for.
const QUESTION: &str = "/v1/price-quotes?itemNumber=TENT-2&quantity=10&contactNumber=";

/// Loads the company and activates its campaign, and gives back the account of it.
///
/// # Errors
/// When the database holds something else than the demo, or the service refuses a request.
pub async fn play(address: SocketAddr, api_key: Option<&str>) -> anyhow::Result<String> {
    let service = Service {
        base: format!("http://{address}"),
        api_key: api_key.map(str::to_owned),
        client: Client::new(),
    };
    service.only_the_demo_is_there().await?;
    // The demo may have been played before: it begins with the campaign withdrawn and today's
    // dates.
    service
        .ask(Method::POST, "/v1/campaigns/SUMMER/deactivations", None, &[StatusCode::NOT_FOUND])
        .await?;
    let today = Utc::now().date_naive();
    let text = COMPANY.replace("{today}", &today.to_string()).replace(
        "{in 30 days}",
        &today.checked_add_days(Days::new(30)).unwrap_or(today).to_string(),
    );
    let requests: Vec<(String, String, Value)> =
        serde_json::from_str(&text).context("the demo's requests")?;
    for (method, path, body) in requests {
        service.ask(method.parse()?, &path, Some(&body), &[]).await?;
    }
    let before = service.quoted("FJELLSPORT").await?;
    let path = "/v1/campaigns/SUMMER/activations";
    let plan = service.ask(Method::POST, path, Some(&json!({"validateOnly": true})), &[]).await?;
    let order =
        json!({"acknowledge": ["CONTACTS_PRIVACY_BLOCKED"], "planHash": member(&plan, "planHash")});
    let publication = service.ask(Method::POST, path, Some(&order), &[]).await?;
    let after = service.quoted("FJELLSPORT").await?;
    let other = service.quoted("KYSTUTSTYR").await?;
    Ok(account(&service.base, &plan, &publication, [&before, &after, &other]))
}

/// What happened, in words, with the requests to repeat it.
fn account(
    base: &str,
    plan: &Value,
    publication: &Value,
    [before, after, other]: [&Value; 3],
) -> String {
    let line = |quote: &Value| {
        let line = quote.pointer("/lines/0").unwrap_or(&Value::Null);
        let of = |name: &str| member(line, name);
        format!(
            "10 × {:>6} less {:>2} % = {:>8}",
            of("unitPrice"),
            of("lineDiscountPercent"),
            of("lineAmount")
        )
    };
    let findings = plan.get("findings").and_then(Value::as_array).cloned().unwrap_or_default();
    let findings: String = findings
        .iter()
        .map(|f| format!("    {:<26} {}\n", member(f, "code"), member(f, "detail")))
        .collect();
    format!(
        "
Nordvik Outdoor sells tents. Marte and Ola of Fjellsport AS and Siri of Kystutstyr AS came to its stand at the fair;
the campaign SUMMER offers them tents at 199 from ten on. An order line of ten tents, in EUR, list price 249:

    before the activation      Fjellsport AS   {before}
    after it (version {version:>3})      Fjellsport AS   {after}
                               Kystutstyr AS   {other}

Marte and Ola are one account, their company: it is in the audience and gets the campaign's price, whoever orders.
Siri is on the segment too, but privacy blocked; so Kystutstyr stays outside. The plan said so beforehand:

{findings}
Repeat it:

    curl '{base}{QUESTION}FJELLSPORT&explain=true'
    curl -X POST -H 'content-type: application/json' -d '{{\"validateOnly\": true}}' {base}/v1/campaigns/SUMMER/activations
    curl {base}/v1/publications
    curl -X POST {base}/v1/campaigns/SUMMER/deactivations
    curl '{base}{QUESTION}FJELLSPORT'

The documentation is at {base}/docs/ . Interrupt to stop.
",
        before = line(before),
        after = line(after),
        other = line(other),
        version = member(publication, "version"),
    )
}

/// A member of an answer as text.
fn member(answer: &Value, name: &str) -> String {
    match answer.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => String::new(),
    }
}

/// The service, as any client sees it.
struct Service {
    base: String,
    api_key: Option<String>,
    client: Client,
}

impl Service {
    /// Refuses to mix the demo with a company's own data.
    async fn only_the_demo_is_there(&self) -> anyhow::Result<()> {
        let all = self.ask(Method::GET, "/v1/contacts?top=1&count=true", None, &[]).await?;
        let demo = self
            .ask(Method::GET, "/v1/contacts/FJELLSPORT", None, &[StatusCode::NOT_FOUND])
            .await?;
        if member(&all, "count") != "0" && member(&demo, "name") != "Fjellsport AS" {
            bail!(
                "this database holds a company's own contacts; the demo is for an empty one (use serve)"
            );
        }
        Ok(())
    }

    async fn quoted(&self, contact: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, &format!("{QUESTION}{contact}"), None, &[]).await
    }

    /// The answer to a request; a failure other than those that are allowed ends the demo with the
    /// service's own words.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        allowed: &[StatusCode],
    ) -> anyhow::Result<Value> {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.base));
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let request = request.build()?;
        let mut reply = self.client.execute(clone(&request, None)?).await?;
        if reply.status() == StatusCode::PRECONDITION_REQUIRED {
            // It is there from the last time.
            reply = self.client.execute(clone(&request, Some("*"))?).await?;
        }
        let status = reply.status();
        let text = reply.text().await?;
        if !status.is_success() && !allowed.contains(&status) {
            bail!("{method} {path} answered {status}: {text}");
        }
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }
}

/// The request again, on condition of this ETag.
fn clone(
    request: &reqwest::Request,
    if_match: Option<&'static str>,
) -> anyhow::Result<reqwest::Request> {
    let mut copy = request.try_clone().context("a request without a stream can be made again")?;
    if let Some(etag) = if_match {
        copy.headers_mut()
            .insert(reqwest::header::IF_MATCH, reqwest::header::HeaderValue::from_static(etag));
    }
    Ok(copy)
}
