//! A year of posted sales.
//!
//! The customer, items and quantities of each order are derived from hashes of customer, order and
//! line, so that each run creates the same orders. The prices are the service's own: each order is
//! quoted for its day, and its lines refer to that quote. So the statistics of the campaigns are
//! consistent with their prices.

use std::collections::BTreeSet;

use anyhow::Context as _;
use chrono::{Days, NaiveDate};
use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Method;
use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::client::{Client, date, rows, text};

const PATH: &str = "/v1/sales";
/// The days before today in which orders were posted.
const DAYS: u64 = 365;
/// The orders of a customer in that time: at least, and up to how many more.
const MIN_ORDERS: u64 = 6;
const MORE_ORDERS: u64 = 20;
const MAX_LINES: u64 = 6;
/// One in so many lines is for an item of a campaign that runs, one in so many is sent back.
const CAMPAIGN_SHARE: u64 = 2;
const RETURN_SHARE: u64 = 30;
/// The days after which goods are sent back.
const RETURN_DAYS: u64 = 9;
/// The rows of a batch.
const MAX_ROWS: usize = 1_000;
/// The quotes that are requested at the same time.
const MAX_QUOTES: usize = 8;

/// An order before it is priced.
struct Order {
    customer: String,
    date: NaiveDate,
    lines: Vec<Value>,
}

/// An item that a running campaign offers.
struct Offer {
    first: NaiveDate,
    last: Option<NaiveDate>,
    item: Value,
}

/// Posts the sales that are not posted yet.
pub(super) async fn post(client: &Client, today: NaiveDate) -> anyhow::Result<()> {
    let orders = orders(client, today).await?;
    let last = number("SI", orders.len());
    if client.exists(&format!("{PATH}?filter=documentNumber eq '{last}'")).await? {
        return Ok(());
    }
    let rates = client.list("/v1/exchange-rates?orderby=startingDate").await?;
    let priced = stream::iter(orders.iter().enumerate()).map(async |(at, order)| {
        let (customer, date) = (&order.customer, order.date);
        let request = json!({
            "customerNumber": customer, "date": date, "pricesIncludeTax": false,
            "lines": order.lines
        });
        let quote = client.send(Method::POST, "/v1/price-quotes", Some(&request)).await?;
        documents(at.saturating_add(1), order, &quote, &rates, today)
    });
    let sales: Vec<Vec<Value>> = priced.buffered(MAX_QUOTES).try_collect().await?;
    // Batches are posted whole and in order: after an interruption the rest is missing.
    let posted = client.count(PATH).await?;
    let sales: Vec<Value> = sales.into_iter().flatten().skip(posted).collect();
    for batch in sales.chunks(MAX_ROWS) {
        client.send(Method::POST, &format!("{PATH}/batch"), Some(&json!({"rows": batch}))).await?;
    }
    Ok(())
}

/// The orders of all customers, by date.
async fn orders(client: &Client, today: NaiveDate) -> anyhow::Result<Vec<Order>> {
    let customers = client.list("/v1/contacts?filter=customer.number ne null").await?;
    let items = client.list("/v1/items?filter=blocked eq false").await?;
    let offers = offers(client, &items).await?;
    let mut orders = Vec::new();
    for customer in &customers {
        let customer = text(customer.get("customer").unwrap_or(&Value::Null), "number");
        for order in 0..MIN_ORDERS.saturating_add(hash(&customer, MORE_ORDERS)) {
            let order = format!("{customer}/{order}");
            let days = Days::new(hash(&order, DAYS).saturating_add(1));
            let date = today.checked_sub_days(days).context("a date outside of the calendar")?;
            let offered: Vec<&Value> = offers
                .iter()
                .filter(|offer| offer.holds_on(date))
                .map(|offer| &offer.item)
                .collect();
            let mut chosen = BTreeSet::new();
            let mut lines = Vec::new();
            for line in 0..=hash(&format!("{order}/lines"), MAX_LINES.saturating_sub(1)) {
                let line = format!("{order}/{line}");
                let from_campaign =
                    !offered.is_empty() && hash(&format!("{line}/campaign"), CAMPAIGN_SHARE) == 0;
                let item = if from_campaign {
                    pick(&line, &offered).copied()
                } else {
                    pick(&line, &items)
                };
                let item = item.context("a company without items")?;
                if chosen.insert(text(item, "number")) {
                    lines.push(order_line(&line, item)?);
                }
            }
            orders.push(Order { customer: customer.clone(), date, lines });
        }
    }
    orders.sort_by(|one, other| (one.date, &one.customer).cmp(&(other.date, &other.customer)));
    Ok(orders)
}

/// Loads the offers of the published campaigns with their dates.
async fn offers(client: &Client, items: &[Value]) -> anyhow::Result<Vec<Offer>> {
    let mut offers = Vec::new();
    for campaign in client.list("/v1/campaigns?filter=state ne 'DRAFT'").await? {
        let path = format!("/v1/campaigns/{}", text(&campaign, "number"));
        let Some(first) = date(&campaign, "startingDate") else { continue };
        let last = date(&campaign, "endingDate");
        let mut lines = client.list(&format!("{path}/prices")).await?;
        lines.extend(client.list(&format!("{path}/discounts")).await?);
        let named = |item: &&Value| {
            lines.iter().any(|line| {
                let group = text(line, "itemDiscountGroupCode");
                text(line, "itemNumber") == text(item, "number")
                    || (!group.is_empty() && group == text(item, "itemDiscountGroupCode"))
            })
        };
        offers.extend(items.iter().filter(named).map(|item| Offer {
            first,
            last,
            item: item.clone(),
        }));
    }
    Ok(offers)
}

impl Offer {
    fn holds_on(&self, date: NaiveDate) -> bool {
        self.first <= date && self.last.is_none_or(|last| date <= last)
    }
}

/// A line of an order: a plausible quantity of the item, in one of its units and variants.
fn order_line(key: &str, item: &Value) -> anyhow::Result<Value> {
    let number = text(item, "number");
    let variant = pick(&format!("{key}/variant"), rows(item, "variants"))
        .map(|variant| text(variant, "code"));
    let base = text(item, "baseUnitOfMeasureCode");
    let packs: Vec<String> = rows(item, "unitsOfMeasure")
        .iter()
        .map(|unit| text(unit, "code"))
        .filter(|code| *code != base)
        .collect();
    let pack = pick(key, &packs).filter(|_| hash(&format!("{key}/pack"), 2) == 0);
    let list_price: Decimal = text(item, "listPrice").parse().unwrap_or_default();
    let more = hash(&format!("{key}/quantity"), 12).saturating_add(1);
    let quantity = match pack {
        Some(_) => more,
        None if list_price < Decimal::TEN => more.saturating_mul(12),
        None if list_price < Decimal::from(60) => more.saturating_mul(3),
        None if list_price < Decimal::from(400) => more,
        None => more.div_ceil(4),
    };
    Ok(json!({
        "itemNumber": number, "variantCode": variant, "unitOfMeasureCode": pack,
        "quantity": quantity.to_string()
    }))
}

/// The posted lines of an order: an invoice, and credit memos for what was sent back.
fn documents(
    at: usize,
    order: &Order,
    quote: &Value,
    rates: &[Value],
    today: NaiveDate,
) -> anyhow::Result<Vec<Value>> {
    let currency = text(quote, "currencyCode");
    let rate = rate(rates, &currency, order.date);
    let mut documents = Vec::new();
    for (line, (ordered, quoted)) in (1_u64..).zip(order.lines.iter().zip(rows(quote, "lines"))) {
        if quoted.get("problem").is_some_and(|problem| !problem.is_null()) {
            continue;
        }
        let mut row = ordered.clone();
        let members = row.as_object_mut().context("a line that is no object")?;
        let line_number = line.saturating_mul(10_000);
        let id =
            |name: &str| quoted.get(name).map(|used| used.get("id").cloned().unwrap_or_default());
        let more = json!({
            "documentType": "INVOICE", "documentNumber": number("SI", at), "lineNumber": line_number,
            "postingDate": order.date, "customerNumber": order.customer, "currencyCode": currency,
            "lineAmount": local(quoted, "lineAmount", rate)?, "discountAmount": local(quoted, "discountAmount", rate)?,
            "priceLineId": id("priceLine"), "discountLineId": id("discountLine"),
            "publicationVersion": quote.get("publicationVersion"),
        });
        members.extend(more.as_object().cloned().unwrap_or_default());
        let returned_on =
            order.date.checked_add_days(Days::new(RETURN_DAYS)).filter(|date| *date < today);
        let returned = hash(&format!("{}/{line_number}", number("SC", at)), RETURN_SHARE) == 0;
        documents.push(row.clone());
        if let Some(date) = returned_on.filter(|_| returned)
            && let Some(members) = row.as_object_mut()
        {
            members.insert("documentType".to_owned(), "CREDIT_MEMO".into());
            members.insert("documentNumber".to_owned(), number("SC", at).into());
            members.insert("postingDate".to_owned(), date.to_string().into());
            documents.push(row);
        }
    }
    Ok(documents)
}

/// The number of a document.
fn number(series: &str, at: usize) -> String {
    format!("{series}-{at:05}")
}

/// The newest exchange rate of a currency on a date; 1 for the local currency, which has none.
fn rate(rates: &[Value], currency: &str, on: NaiveDate) -> Decimal {
    let mut of_currency = rates.iter().filter(|rate| text(rate, "currencyCode") == currency);
    let newest =
        of_currency.rfind(|rate| date(rate, "startingDate").is_some_and(|start| start <= on));
    newest.and_then(|rate| text(rate, "rate").parse().ok()).unwrap_or(Decimal::ONE)
}

/// An amount of a quote in local currency.
fn local(line: &Value, name: &str, rate: Decimal) -> anyhow::Result<String> {
    let amount: Decimal = text(line, name).parse().context("an amount of a quote")?;
    let local = amount.checked_div(rate).context("an exchange rate")?;
    Ok(local
        .round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero)
        .normalize()
        .to_string())
}

/// A number below `limit` that depends on the key alone.
fn hash(key: &str, limit: u64) -> u64 {
    xxh3_64(key.as_bytes()).checked_rem(limit).unwrap_or_default()
}

/// A value that depends on the key alone.
fn pick<'a, T>(key: &str, values: &'a [T]) -> Option<&'a T> {
    let at = hash(key, u64::try_from(values.len()).ok()?);
    values.get(usize::try_from(at).ok()?)
}
