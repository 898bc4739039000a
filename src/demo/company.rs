//! The company's data: the requests of `demo/*.json`, file by file, in order.
//!
//! A request is `{"do": "POST /v1/tasks/batch", "body": …}`. With `"once"`, the path of a list, it
//! is skipped if the list has rows: for what would otherwise be created a second time. The dates
//! `{today}`, `{today+30}` and `{today-7}` are replaced.

use anyhow::Context as _;
use chrono::{Days, NaiveDate};
use serde::Deserialize;
use serde_json::Value;

use super::client::Client;

/// The files, each of which may refer to those before it.
const FILES: [(&str, &str); 6] = [
    ("reference.json", include_str!("../../demo/reference.json")),
    ("items.json", include_str!("../../demo/items.json")),
    ("contacts.json", include_str!("../../demo/contacts.json")),
    ("standing-prices.json", include_str!("../../demo/standing-prices.json")),
    ("campaigns.json", include_str!("../../demo/campaigns.json")),
    ("work.json", include_str!("../../demo/work.json")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// The method and the path.
    r#do: String,
    body: Value,
    once: Option<String>,
}

/// Sends all requests.
pub(super) async fn load(client: &Client, today: NaiveDate) -> anyhow::Result<()> {
    for (name, file) in FILES {
        let file = with_dates(file, today).with_context(|| format!("demo/{name}"))?;
        let requests: Vec<Request> =
            serde_json::from_str(&file).with_context(|| format!("demo/{name}"))?;
        for Request { r#do, body, once } in requests {
            if let Some(list) = once
                && client.exists(&list).await?
            {
                continue;
            }
            let (method, path) =
                r#do.split_once(' ').with_context(|| format!("demo/{name}: {}", r#do))?;
            client
                .send(method.parse()?, path, Some(&body))
                .await
                .with_context(|| format!("demo/{name}"))?;
        }
    }
    Ok(())
}

/// Replaces the dates that are relative to today.
fn with_dates(file: &str, today: NaiveDate) -> anyhow::Result<String> {
    let mut parts = file.split("{today");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (offset, rest) = part.split_once('}').context("a date without closing brace")?;
        let days: i64 =
            if offset.is_empty() { 0 } else { offset.parse().context("a date's offset")? };
        let distance = Days::new(days.unsigned_abs());
        let date = if days < 0 {
            today.checked_sub_days(distance)
        } else {
            today.checked_add_days(distance)
        };
        text += &date.context("a date outside of the calendar")?.to_string();
        text += rest;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_relative_to_today() {
        let today = "2031-03-01".parse().unwrap();
        let text =
            with_dates(r#"["{today}", "{today+30}", "{today-1}", {"a": 1}]"#, today).unwrap();
        assert_eq!(text, r#"["2031-03-01", "2031-03-31", "2031-02-28", {"a": 1}]"#);
        assert!(with_dates("{today+1", today).is_err());
        assert!(with_dates("{today+x}", today).is_err());
    }

    #[test]
    fn files_hold_requests() {
        for (name, file) in FILES {
            let requests: Vec<Request> =
                serde_json::from_str(file).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(requests.iter().all(|request| request.r#do.contains(" /v1/")), "{name}");
        }
    }
}
