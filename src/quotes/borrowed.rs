//! Zero-copy parsing of well-formed requests for prices. Texts are borrowed from the request, and
//! numbers are parsed directly into the resolver's types. [`http`](super::http) parses the same
//! requests with the same result, and reports the errors of all others.

use std::borrow::Cow;

use chrono::NaiveDate;
use serde::Deserialize;

use super::request::{Asker, MAX_LINES, QuoteRequest, RequestLine, Visibility};
use crate::platform::http::json::objects;
use crate::pricing::exact::{Percent, Positive};
use crate::values::{CurrencyCode, Date, Key};

/// The body of a request. A text that contains an escape cannot be borrowed, so such a body is left
/// to [`http`](super::http).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct BorrowedBody<'a> {
    contact_number: Option<&'a str>,
    customer_number: Option<&'a str>,
    date: Option<&'a str>,
    currency_code: Option<&'a str>,
    prices_include_tax: Option<bool>,
    campaign_number: Option<&'a str>,
    #[serde(default)]
    explain: bool,
    #[serde(borrow, deserialize_with = "objects")]
    lines: Vec<BorrowedLine<'a>>,
}

/// A line of the body.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BorrowedLine<'a> {
    item_number: &'a str,
    variant_code: Option<&'a str>,
    unit_of_measure_code: Option<&'a str>,
    #[serde(default = "default_quantity")]
    quantity: &'a str,
    tax_percent: Option<&'a str>,
}

const fn default_quantity() -> &'static str {
    "1"
}

/// The query of `GET /v1/price-quotes`.
pub(super) struct BorrowedQuery<'a> {
    /// The fields of the whole request. It has no lines.
    head: BorrowedBody<'a>,
    line: BorrowedLine<'a>,
}

impl<'a> BorrowedQuery<'a> {
    /// Parses a query. Returns `None` if a parameter is repeated or unknown. Encoded values are not
    /// decoded: they contain `%` or `+`, which no valid value does.
    pub fn read(query: &'a str) -> Option<Self> {
        let mut head = BorrowedBody {
            contact_number: None,
            customer_number: None,
            date: None,
            currency_code: None,
            prices_include_tax: None,
            campaign_number: None,
            explain: false,
            lines: Vec::new(),
        };
        let (mut item, mut variant, mut unit, mut quantity, mut tax) =
            (None, None, None, None, None);
        let mut rest = Some(query);
        while let Some(pairs) = rest {
            let (name, value) = split_at(pairs, b'=')?;
            let (value, further) =
                split_at(value, b'&').map_or((value, None), |(value, pairs)| (value, Some(pairs)));
            rest = further;
            let text = match name {
                "contactNumber" => &mut head.contact_number,
                "customerNumber" => &mut head.customer_number,
                "itemNumber" => &mut item,
                "variantCode" => &mut variant,
                "unitOfMeasureCode" => &mut unit,
                "quantity" => &mut quantity,
                "taxPercent" => &mut tax,
                "date" => &mut head.date,
                "currencyCode" => &mut head.currency_code,
                "campaignNumber" => &mut head.campaign_number,
                _ => return None,
            };
            if text.replace(value).is_some() {
                return None;
            }
        }
        let line = BorrowedLine {
            item_number: item?,
            variant_code: variant,
            unit_of_measure_code: unit,
            quantity: quantity.unwrap_or(default_quantity()),
            tax_percent: tax,
        };
        Some(Self { head, line })
    }

    /// Converts the query into a request, as [`BorrowedBody::into_request`] does.
    pub fn into_request(self, today: impl FnOnce() -> NaiveDate) -> Option<QuoteRequest<'a>> {
        self.head.with_lines(vec![self.line.into_line()?], today)
    }
}

impl<'a> BorrowedBody<'a> {
    /// Converts the body into a request. Returns `None` if anything in it is invalid. `today` is
    /// only called if the body has no date.
    pub fn into_request(
        mut self,
        today: impl FnOnce() -> NaiveDate,
        explain: bool,
    ) -> Option<QuoteRequest<'a>> {
        let sent = std::mem::take(&mut self.lines);
        if !(1..=MAX_LINES).contains(&sent.len()) {
            return None;
        }
        self.explain |= explain;
        let mut lines = Vec::with_capacity(sent.len());
        for line in sent {
            lines.push(line.into_line()?);
        }
        self.with_lines(lines, today)
    }

    fn with_lines(
        self,
        lines: Vec<RequestLine<'a>>,
        today: impl FnOnce() -> NaiveDate,
    ) -> Option<QuoteRequest<'a>> {
        let asker = match (
            parse_optional(self.contact_number, key)?,
            parse_optional(self.customer_number, key)?,
        ) {
            (None, None) => Asker::Anybody,
            (Some(number), None) => Asker::Contact(number),
            (None, Some(number)) => Asker::Customer(number),
            (Some(_), Some(_)) => return None,
        };
        Some(QuoteRequest {
            asker,
            date: parse_optional(self.date, |text| Date::parse(text).ok())?
                .map_or_else(today, Date::get),
            currency_code: parse_optional(self.currency_code, |text| {
                CurrencyCode::canonical(text).ok()
            })?,
            prices_include_tax: self.prices_include_tax,
            campaign_number: parse_optional(self.campaign_number, key)?,
            lines,
            explain: Visibility::of_quotes(self.explain),
        })
    }
}

impl<'a> BorrowedLine<'a> {
    fn into_line(self) -> Option<RequestLine<'a>> {
        Some(RequestLine {
            item_number: key(self.item_number)?,
            variant_code: parse_optional(self.variant_code, key)?,
            unit_of_measure_code: parse_optional(self.unit_of_measure_code, key)?,
            quantity: Positive::from_wire(self.quantity)?,
            tax_percent: parse_optional(self.tax_percent, Percent::from_wire)?,
        })
    }
}

/// Splits a text at the first occurrence of an ASCII byte. In texts this short a plain loop is
/// faster than a pattern search.
fn split_at(text: &str, byte: u8) -> Option<(&str, &str)> {
    let (before, from) = text.split_at_checked(text.bytes().position(|other| other == byte)?)?;
    Some((before, from.get(1..)?))
}

fn key(text: &str) -> Option<Cow<'_, str>> {
    Key::canonical(text).ok()
}

/// Parses an optional text. Returns `None` if it is present and invalid.
fn parse_optional<'a, T>(
    text: Option<&'a str>,
    parse: impl FnOnce(&'a str) -> Option<T>,
) -> Option<Option<T>> {
    match text {
        Some(text) => parse(text).map(Some),
        None => Some(None),
    }
}
