//! The text that is printed in the end: what one campaign does to prices, what else there is, and
//! what to try.

use serde_json::Value;

use super::CAMPAIGN;
use super::client::{Client, rows, text};

/// The quote request of the story's order line.
const QUESTION: &str = "/v1/price-quotes?itemNumber=TENT-2&quantity=10&contactNumber=";

/// The order line of the story for two customers, as text.
pub(super) struct Prices {
    fjellsport: String,
    kystutstyr: String,
}

/// Quotes the order line of the story.
pub(super) async fn prices(client: &Client) -> anyhow::Result<Prices> {
    let line = async |contact: &str| -> anyhow::Result<String> {
        let quote = client.get(&format!("{QUESTION}{contact}")).await?;
        let line = rows(&quote, "lines").first().unwrap_or(&Value::Null);
        let (price, percent) = (text(line, "unitPrice"), text(line, "lineDiscountPercent"));
        Ok(format!("10 × {price:>4} less {percent:>2} % = {:>7}", text(line, "lineAmount")))
    };
    Ok(Prices { fjellsport: line("FJELLSPORT").await?, kystutstyr: line("KYSTUTSTYR").await? })
}

/// Writes the story of the campaign that was just activated.
pub(super) async fn tell(
    client: &Client,
    plan: &Value,
    publication: &Value,
    before: &Prices,
) -> anyhow::Result<String> {
    let base = &client.base;
    let after = prices(client).await?;
    let findings: Vec<String> = rows(plan, "findings")
        .iter()
        .map(|finding| format!("    {}: {}\n", text(finding, "code"), text(finding, "detail")))
        .collect();
    let statistics = client.get("/v1/campaigns/DEALER-DAYS/statistics").await?;
    let count = async |path: &str| client.count(path).await;
    let state =
        async |state: &str| count(&format!("/v1/campaigns?filter=state eq '{state}'")).await;
    let (items, customers) =
        (count("/v1/items").await?, count("/v1/contacts?filter=customer.number ne null").await?);
    let (ended, running) = (state("ENDED").await?, state("RUNNING").await?);
    let (scheduled, drafts) = (state("SCHEDULED").await?, state("DRAFT").await?);
    let key = if client.has_key() { " -H \"authorization: Bearer $KAMPANJE_API_KEY\"" } else { "" };
    Ok(format!(
        "
Nordvik Outdoor is an invented wholesaler with {items} items, {customers} customers and {sales} posted sales lines.

Its campaign SUMMER sells the tent TENT-2 at 199 EUR from a quantity of ten (list price: 249). The
segment FAIR lists the visitors of a stand: Marte and Ola of Fjellsport AS, Siri of Kystutstyr AS.

    Fjellsport AS, before the activation   {fjellsport_before}
    Fjellsport AS, after it                {fjellsport_after}
    Kystutstyr AS, before                  {kystutstyr_before}
    Kystutstyr AS, after                   {kystutstyr_after}

Prices are granted to accounts: Marte and Ola make one account, their company. Siri objects to
marketing, so her company gets no campaign price. The plan reported this before the activation,
which is version {version} of the price book:

{findings}
{ended} more campaigns have ended, {other_running} are running (PARTNER-YEAR with unpublished changes), {scheduled} are scheduled,
{drafts} are drafts. DEALER-DAYS, for example: {responded} of {targeted} contacts responded, {amount} EUR of sales.

Look at all of it in a browser: {base}/desk/

Five things to try with curl:

    curl{key} '{base}{QUESTION}FJELLSPORT&explain=true'
    curl{key} -X POST -H 'content-type: application/json' -d '{{\"validateOnly\": true}}' \\
        {base}/v1/campaigns/FACTORY-DAYS/activations
    curl{key} '{base}/v1/campaigns/DEALER-DAYS/statistics?groupBy=salesperson'
    curl{key} '{base}/v1/effective-prices?contactNumber=NETTFJELL&top=5'
    curl{key} -X POST {base}{CAMPAIGN}/deactivations

The documentation of the API is at {base}/docs/. Press Ctrl-C to stop.
",
        sales = count("/v1/sales").await?,
        fjellsport_before = before.fjellsport,
        fjellsport_after = after.fjellsport,
        kystutstyr_before = before.kystutstyr,
        kystutstyr_after = after.kystutstyr,
        version = text(publication, "version"),
        findings = findings.concat(),
        other_running = running.saturating_sub(1),
        responded = text(&statistics, "contactsResponded"),
        targeted = text(&statistics, "contactsTargeted"),
        amount = text(&statistics, "salesAmount"),
    ))
}
