//! Small price books for the tests: facts with defaults for everything that a test does not set.

use chrono::NaiveDate;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::facts::{Change, Fact, FactKind};
use crate::quote::answer::{PricedLine, Quote, QuoteLine};
use crate::quote::request::{
    OnUnknownParty, QuoteParty, QuoteRequest, RequestForm, RequestLine, Visibility,
};
use crate::snapshot::Snapshot;

/// Parses a date.
pub fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

/// Returns the id of the line that a test names by a key.
pub fn line_id(key: &str) -> Uuid {
    let mut bytes = [0_u8; 16];
    for (to, from) in bytes.iter_mut().zip(key.bytes()) {
        *to = from;
    }
    Uuid::from_bytes(bytes)
}

/// Builds a fact with these members. `defaults` fills in missing ones.
pub fn put(kind: FactKind, key: &str, defaults: Value, members: &Value) -> Change {
    let mut all = defaults;
    for (name, value) in members.as_object().unwrap() {
        all[name] = value.clone();
    }
    Change::Put {
        key: key.to_owned(),
        fact: Fact::from_text(kind, &all.to_string()).unwrap(),
        version: 7,
    }
}

/// Builds the company's settings.
pub fn settings(members: &Value) -> Change {
    let defaults = json!({ "localCurrencyCode": "EUR", "timeZone": "Europe/Berlin" });
    put(FactKind::Settings, "", defaults, members)
}

/// Builds an item with 25 % tax.
pub fn item(number: &str, members: &Value) -> Change {
    let defaults = json!({ "taxPercent": "25", "baseUnitOfMeasureCode": "PCS" });
    put(FactKind::Item, number, defaults, members)
}

/// Builds a contact, a company by default.
pub fn contact(number: &str, members: &Value) -> Change {
    let mut members = members.clone();
    if let Some(customer) = members.get_mut("customer").and_then(Value::as_object_mut) {
        customer.entry("allowLineDiscount").or_insert(json!(true));
        customer.entry("pricesIncludeTax").or_insert(json!(false));
    }
    put(
        FactKind::Contact,
        number,
        json!({ "type": "COMPANY", "ordinal": ordinal(number) }),
        &members,
    )
}

/// Returns an ordinal for the contact. Any small number suffices, if the contacts of a test differ.
pub fn ordinal(number: &str) -> u32 {
    number.bytes().fold(7, |hash: u32, byte| (hash * 31 + u32::from(byte)) % 4_093)
}

/// Builds a published campaign.
pub fn campaign(number: &str, starting: &str, ending: Option<&str>) -> Change {
    combining_campaign(number, starting, ending, "ANY")
}

/// Builds a published campaign with its combination.
pub fn combining_campaign(
    number: &str,
    starting: &str,
    ending: Option<&str>,
    combination: &str,
) -> Change {
    let members =
        json!({ "startingDate": starting, "endingDate": ending, "combination": combination });
    put(FactKind::Campaign, number, json!({}), &members)
}

/// Adds accounts to a campaign's audience.
pub fn audience(number: &str, accounts: &[&str]) -> Change {
    let accounts = accounts.iter().map(|account| ordinal(account)).collect();
    Change::AudienceAdd { campaign: number.to_owned(), accounts }
}

/// Builds an exchange rate.
pub fn rate(currency: &str, starting: &str, rate: &str) -> Change {
    let members = json!({ "currencyCode": currency, "startingDate": starting, "rate": rate });
    put(FactKind::ExchangeRate, &format!("{currency}|{starting}"), json!({}), &members)
}

/// Builds a price line, for all customers by default.
pub fn price(key: &str, members: &Value) -> Change {
    let defaults = json!({
        "source": { "type": "ALL_CUSTOMERS" }, "minimumQuantity": "0",
        "allowLineDiscount": true, "priceIncludesTax": false
    });
    put(FactKind::PriceLine, &line_id(key).to_string(), defaults, members)
}

/// Builds a discount line, for all customers by default.
pub fn discount(key: &str, members: &Value) -> Change {
    let defaults = json!({ "source": { "type": "ALL_CUSTOMERS" }, "minimumQuantity": "0" });
    put(FactKind::DiscountLine, &line_id(key).to_string(), defaults, members)
}

/// Builds the price book with these facts.
pub fn book(changes: impl IntoIterator<Item = Change>) -> Snapshot {
    Snapshot::empty().advanced(7, changes)
}

/// Builds a request for one line from the members of `POST /v1/price-quotes`.
pub fn request(members: &Value) -> QuoteRequest<'static> {
    let text = |name: &str| members.get(name).and_then(Value::as_str).map(str::to_owned);
    let party = match (text("contactNumber"), text("customerNumber")) {
        (Some(number), _) => QuoteParty::Contact(number.into()),
        (_, Some(number)) => QuoteParty::Customer(number.into()),
        _ => QuoteParty::Anybody,
    };
    QuoteRequest {
        party,
        date: day(&text("date").unwrap_or_else(|| "2031-05-15".to_owned())),
        currency_code: text("currencyCode").map(Into::into),
        prices_include_tax: members.get("pricesIncludeTax").and_then(Value::as_bool),
        campaign_number: text("campaignNumber").map(Into::into),
        without_campaigns: false,
        lines: vec![RequestLine {
            item_number: text("itemNumber").unwrap_or_else(|| "CHAIR".to_owned()).into(),
            variant_code: text("variantCode").map(Into::into),
            unit_of_measure_code: text("unitOfMeasureCode").map(Into::into),
            quantity: text("quantity").unwrap_or_else(|| "1".to_owned()).parse().unwrap(),
            tax_percent: text("taxPercent").map(|percent| percent.parse().unwrap()),
        }],
        on_unknown_party: text("onUnknownContact")
            .map_or(OnUnknownParty::Refuse, |text| text.parse().unwrap()),
        form: RequestForm::Body,
        explain: members
            .get("explain")
            .is_none_or(|explain| explain == true)
            .then_some(Visibility::All),
    }
}

/// Returns the price of the only line of the request.
pub fn only<'q, 'a>(quote: &'q Quote<'a>) -> &'q PricedLine<'a> {
    match quote.lines.as_slice() {
        [QuoteLine::Priced(line)] => line,
        other => panic!("not one priced line: {other:?}"),
    }
}
