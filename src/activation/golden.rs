//! Compares the golden quotes of a campaign with the answers of a book that contains the campaign.
//!
//! The answers come from the same resolver as all quotes, on the book as it would be or as it was
//! just written.

use std::borrow::Cow;

use chrono::NaiveDate;
use price_book::quote::answer::{AnswerSource, PricedLine, QuoteLine};
use price_book::quote::quote;
use price_book::quote::request::{QuoteParty, QuoteRequest, RequestLine};
use price_book::snapshot::Snapshot;
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};
use values::{Date, Key};

use super::findings::{Finding, FindingCode};
use crate::golden_quotes::GoldenQuoteView;

/// Returns a finding for each golden quote whose answer is not the expected one. `day` is the date
/// of quotes without one.
pub(super) fn differences(
    book: &Snapshot,
    campaign: &Key,
    day: NaiveDate,
    golden: &[GoldenQuoteView],
) -> Vec<Finding> {
    golden.iter().filter_map(|golden| difference(book, campaign, day, golden)).collect()
}

fn difference(
    book: &Snapshot,
    campaign: &Key,
    day: NaiveDate,
    golden: &GoldenQuoteView,
) -> Option<Finding> {
    let request = request(golden, day);
    let (mut actual, summary) = match quote(book, &request) {
        Ok(answer) => match answer.lines.as_slice().first()? {
            QuoteLine::Priced(line) => {
                let mismatches = mismatches(golden, campaign, line);
                if mismatches.is_empty() {
                    return None;
                }
                (actual(line), mismatches.join(", "))
            }
            QuoteLine::Unpriced(line) => {
                let problem = json!({"code": line.problem.code, "detail": line.problem.detail});
                (Map::from_iter([("problem".to_owned(), problem)]), line.problem.detail.clone())
            }
        },
        Err(error) => (Map::new(), error.to_string()),
    };
    actual.insert("date".to_owned(), json!(request.date));
    let detail =
        format!("{} of {} on {}: {summary}", golden.quantity, golden.item_number, request.date);
    let finding = Finding::new(
        FindingCode::GoldenQuoteDiffers,
        format!("/golden-quotes/{}", golden.id),
        detail,
    );
    let finding = finding.param("itemNumber", golden.item_number.to_string());
    let expected = without_nulls([
        ("unitPrice", json!(golden.expected.unit_price)),
        ("lineDiscountPercent", json!(golden.expected.line_discount_percent)),
        ("lineAmount", json!(golden.expected.line_amount)),
        ("expectedCampaign", json!(golden.expected_campaign)),
    ]);
    Some(finding.param("expected", expected).param("actual", actual))
}

fn text(key: Option<&Key>) -> Option<Cow<'_, str>> {
    key.map(|key| key.as_str().into())
}

fn request(golden: &GoldenQuoteView, day: NaiveDate) -> QuoteRequest<'_> {
    let party = match (text(golden.contact_number.as_ref()), text(golden.customer_number.as_ref()))
    {
        (Some(number), _) => QuoteParty::Contact(number),
        (None, Some(number)) => QuoteParty::Customer(number),
        (None, None) => QuoteParty::Anybody,
    };
    QuoteRequest {
        party,
        currency_code: golden.currency_code.as_ref().map(|code| code.as_str().into()),
        prices_include_tax: golden.prices_include_tax,
        lines: vec![RequestLine {
            item_number: golden.item_number.as_str().into(),
            variant_code: text(golden.variant_code.as_ref()),
            unit_of_measure_code: text(golden.unit_of_measure_code.as_ref()),
            quantity: golden.quantity.into(),
            tax_percent: None,
        }],
        ..QuoteRequest::on(golden.date.map_or(day, Date::get))
    }
}

/// Describes every difference between the expected and the actual answer.
fn mismatches(golden: &GoldenQuoteView, campaign: &Key, line: &PricedLine<'_>) -> Vec<String> {
    let expected = &golden.expected;
    let number = |name: &str, expected: Option<Decimal>, actual: Decimal| {
        let expected = expected.filter(|expected| *expected != actual)?;
        Some(format!("the {name} is {}, not {}", actual.normalize(), expected.normalize()))
    };
    let unit_price =
        number("unit price", expected.unit_price.map(Decimal::from), line.unit_price.into());
    let discount = expected.line_discount_percent.map(Decimal::from);
    let discount = number("line discount percent", discount, line.line_discount_percent.into());
    let amount =
        number("line amount", expected.line_amount.map(Decimal::from), line.line_amount.into());
    let granted = grants(campaign.as_str(), line);
    let grant = golden.expected_campaign.filter(|expected| *expected != granted).map(|_| {
        let actual = if granted { "the campaign grants" } else { "the campaign grants neither" };
        format!("{actual} price or discount")
    });
    [unit_price, discount, amount, grant].into_iter().flatten().collect()
}

/// Returns whether the price or the discount comes from the campaign.
pub(super) fn grants(campaign: &str, line: &PricedLine<'_>) -> bool {
    [Some(line.source), line.discount_line.map(|line| line.source)].into_iter().flatten().any(
        |source| {
            matches!(
                source,
                AnswerSource::Campaign { campaign_number } if campaign_number == campaign
            )
        },
    )
}

fn actual(line: &PricedLine<'_>) -> Map<String, Value> {
    without_nulls([
        ("unitPrice", json!(line.unit_price)),
        ("lineDiscountPercent", json!(line.line_discount_percent)),
        ("lineAmount", json!(line.line_amount)),
        ("source", json!(line.source)),
        ("priceLine", json!(line.price_line.map(|line| line.id))),
        ("discountLine", json!(line.discount_line.map(|line| line.id))),
    ])
}

/// Returns an object of the members that are not null.
fn without_nulls<const N: usize>(members: [(&str, Value); N]) -> Map<String, Value> {
    members
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
