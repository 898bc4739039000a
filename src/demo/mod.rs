//! The demo: loads an invented company through the service's own API and reports what one of its
//! campaigns does.
//!
//! ```text
//! client.rs   the API as any client sees it
//! company.rs  the requests of `demo/*.json`, with dates relative to today
//! sales.rs    a year of posted sales, priced by the service
//! story.rs    the text that is printed in the end
//! ```
//!
//! The demo can be played again on the same database. Resources with a key are written again, so
//! that changes made meanwhile disappear and campaigns move to today; what has no key is created
//! once.

mod client;
mod company;
mod sales;
mod story;

use std::net::SocketAddr;

use anyhow::ensure;
use chrono::NaiveDate;
use reqwest::Method;
use serde_json::json;

use client::{Client, text};

/// The campaign of the story. It is activated last, to show prices before and after.
const CAMPAIGN: &str = "/v1/campaigns/SUMMER";

/// Loads the company, activates the campaign of the story, and returns the story.
///
/// # Errors
/// When the database holds other data, or the service refuses a request.
pub async fn play(
    address: SocketAddr,
    api_key: Option<&str>,
    today: NaiveDate,
) -> anyhow::Result<String> {
    let client = Client::new(address, api_key);
    refuse_other_data(&client).await?;
    // An earlier run has activated the campaign.
    if client.exists("/v1/campaigns?filter=number eq 'SUMMER'").await? {
        client.send(Method::POST, &format!("{CAMPAIGN}/deactivations"), None).await?;
    }
    company::load(&client, today).await?;
    sales::post(&client, today).await?;
    let before = story::prices(&client).await?;
    let activations = format!("{CAMPAIGN}/activations");
    let plan =
        client.send(Method::POST, &activations, Some(&json!({"validateOnly": true}))).await?;
    // The plan hash makes sure that exactly this plan is published, with the warnings that it
    // shows.
    let order = json!({"acknowledge": ["*"], "planHash": text(&plan, "planHash")});
    let publication = client.send(Method::POST, &activations, Some(&order)).await?;
    story::tell(&client, &plan, &publication, &before).await
}

/// Refuses to mix the demo with a company's own data.
async fn refuse_other_data(client: &Client) -> anyhow::Result<()> {
    for (path, key, name) in [
        ("/v1/contacts", "number eq 'FJELLSPORT'", "contacts"),
        ("/v1/items", "number eq 'TENT-2'", "items"),
    ] {
        ensure!(
            !client.exists(path).await? || client.exists(&format!("{path}?filter={key}")).await?,
            "this database holds {name} of a company; the demo needs an empty one (use serve for yours)"
        );
    }
    Ok(())
}
