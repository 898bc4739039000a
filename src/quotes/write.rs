//! Writes the answer as JSON piece by piece: the same text that serde produces from the types in
//! [`answer`](super::answer), in a fraction of its time. A test compares the two.

use std::io::Write as _;

use chrono::{Datelike, NaiveDate};
use uuid::Uuid;
use uuid::fmt::Hyphenated;

use super::answer::{
    AnswerSource, DiscountTrace, LineProblem, LineUsed, NextBreak, OtherLines, PriceTrace,
    PricedLine, Quote, Totals,
};
use super::explain::Explanation;
use crate::pricing::exact::{push_whole, write_plain};

/// The approximate size of a line of the answer.
const LINE_BYTES: usize = 600;
/// The approximate size of a line with a trace of a dozen examined lines.
const EXPLAINED_LINE_BYTES: usize = 4_800;

/// A writer of one answer.
pub(super) struct QuoteWriter<'o> {
    out: JsonWriter<'o>,
    first: bool,
}

impl<'o> QuoteWriter<'o> {
    /// Writes everything before the lines. `lines` is their number, by which the buffer is sized.
    pub fn begin(out: &'o mut Vec<u8>, quote: &Quote<'_>, lines: usize, explain: bool) -> Self {
        let line_bytes = if explain { EXPLAINED_LINE_BYTES } else { LINE_BYTES };
        out.reserve(line_bytes.saturating_mul(lines).saturating_add(LINE_BYTES));
        let mut out = JsonWriter(out);
        out.raw("{\"publicationVersion\":");
        out.integer(quote.publication_version);
        out.raw(",\"date\":");
        out.date(quote.date);
        out.raw(",\"accountNumber\":");
        out.optional(quote.account_number, JsonWriter::text);
        out.raw(",\"currencyCode\":");
        out.optional(quote.currency_code, JsonWriter::text);
        out.raw(",\"pricesIncludeTax\":");
        out.truth(quote.prices_include_tax);
        out.raw(",\"lines\":[");
        Self { out, first: true }
    }

    /// Writes the next line, with its trace if there is an explanation.
    pub fn line(
        &mut self,
        line: &Result<PricedLine<'_>, LineProblem>,
        explanation: Option<&Explanation<'_>>,
    ) {
        let out = &mut self.out;
        if !std::mem::take(&mut self.first) {
            out.raw(",");
        }
        match line {
            Ok(line) => out.priced(line),
            Err(problem) => out.problem(problem),
        }
        if let Some(explanation) = explanation {
            out.trace(explanation);
        }
        out.raw("}");
    }

    /// Writes everything after the lines.
    pub fn end(mut self, totals: &Totals) {
        let out = &mut self.out;
        out.raw("],\"totals\":{\"grossAmount\":\"");
        out.plain::<5>(totals.gross_amount.0);
        out.raw("\",\"discountAmount\":\"");
        out.plain::<5>(totals.discount_amount.0);
        out.raw("\",\"lineAmount\":\"");
        out.plain::<5>(totals.line_amount.0);
        out.raw("\"}}");
    }
}

struct JsonWriter<'o>(&'o mut Vec<u8>);

impl JsonWriter<'_> {
    fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            Some(value) => write(self, value),
            None => self.raw("null"),
        }
    }

    fn truth(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    fn integer(&mut self, value: i64) {
        match u64::try_from(value) {
            Ok(value) => push_whole(value, &mut |byte| self.0.push(byte)),
            // Writing to a Vec cannot fail.
            Err(_) => {
                let _ = write!(self.0, "{value}");
            }
        }
    }

    /// Writes a number in units of its last place, without quotation marks.
    fn plain<const PLACES: u32>(&mut self, units: u128) {
        write_plain::<PLACES>(units, &mut |byte| self.0.push(byte));
    }

    /// Writes a number in units of its last place.
    fn decimal<const PLACES: u32>(&mut self, units: u128) {
        self.raw("\"");
        self.plain::<PLACES>(units);
        self.raw("\"");
    }

    /// Writes a text. Keys in the price book contain nothing that JSON escapes, so the check is
    /// fast.
    fn text(&mut self, text: &str) {
        if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
            // Writing to a Vec cannot fail.
            let _ = serde_json::to_writer(&mut *self.0, text);
            return;
        }
        self.raw("\"");
        self.raw(text);
        self.raw("\"");
    }

    fn date(&mut self, date: NaiveDate) {
        let (year, month, day) = (date.year(), date.month(), date.day());
        self.raw("\"");
        match u32::try_from(year).ok().filter(|year| *year <= 9_999) {
            Some(year) => {
                let digit = |number: u32, place: u32| {
                    b'0' + u8::try_from(number / place % 10).unwrap_or_default()
                };
                self.0.extend_from_slice(&[
                    digit(year, 1_000),
                    digit(year, 100),
                    digit(year, 10),
                    digit(year, 1),
                    b'-',
                    digit(month, 10),
                    digit(month, 1),
                    b'-',
                    digit(day, 10),
                    digit(day, 1),
                ]);
            }
            None => {
                let _ = write!(self.0, "{date}");
            }
        }
        self.raw("\"");
    }

    /// Writes an id, without quotation marks.
    fn uuid(&mut self, id: Uuid) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; Hyphenated::LENGTH]);
        if let Some(place) = self.0.get_mut(start..) {
            id.hyphenated().encode_lower(place);
        }
    }

    /// Writes a line with its price, except for its closing brace.
    fn priced(&mut self, line: &PricedLine<'_>) {
        self.raw("{\"unitPrice\":\"");
        self.plain::<5>(line.unit_price.units());
        self.raw("\",\"lineDiscountPercent\":\"");
        self.plain::<5>(line.line_discount_percent.units());
        self.raw("\",\"grossAmount\":\"");
        self.plain::<5>(line.gross_amount.units());
        self.raw("\",\"discountAmount\":\"");
        self.plain::<5>(line.discount_amount.units());
        self.raw("\",\"lineAmount\":\"");
        self.plain::<5>(line.line_amount.units());
        self.raw("\",\"listPrice\":");
        self.optional(line.list_price, |out, price| out.decimal::<5>(price.units()));
        self.raw(",\"priceLine\":");
        self.optional(line.price_line.as_ref(), Self::used);
        self.raw(",\"discountLine\":");
        self.optional(line.discount_line.as_ref(), Self::used);
        self.raw(",\"source\":");
        self.source(&line.source);
        self.raw(",\"validUntil\":");
        self.optional(line.valid_until, Self::date);
        self.raw(",\"nextBreak\":");
        self.optional(line.next_break.as_ref(), Self::next_break);
    }

    /// Writes a line without price, except for its closing brace.
    fn problem(&mut self, problem: &LineProblem) {
        self.raw("{\"problem\":{\"code\":");
        self.text(problem.code.text());
        self.raw(",\"detail\":");
        self.text(&problem.detail);
        self.raw("}");
    }

    fn used(&mut self, line: &LineUsed<'_>) {
        self.open_used(line);
        self.raw("}");
    }

    /// Writes a line of the price book, except for its closing brace.
    fn open_used(&mut self, line: &LineUsed<'_>) {
        self.raw("{\"id\":\"");
        self.uuid(line.id);
        self.raw("\",\"source\":");
        self.source(&line.source);
        self.raw(",\"publicationVersion\":");
        self.integer(line.publication_version);
    }

    fn source(&mut self, source: &AnswerSource<'_>) {
        let name = match source {
            AnswerSource::Campaign { campaign_number } => {
                self.raw("{\"type\":\"CAMPAIGN\",\"campaignNumber\":");
                campaign_number
            }
            AnswerSource::Contact { contact_number } => {
                self.raw("{\"type\":\"CONTACT\",\"contactNumber\":");
                contact_number
            }
            AnswerSource::CustomerPriceGroup { code } => {
                self.raw("{\"type\":\"CUSTOMER_PRICE_GROUP\",\"code\":");
                code
            }
            AnswerSource::CustomerDiscountGroup { code } => {
                self.raw("{\"type\":\"CUSTOMER_DISCOUNT_GROUP\",\"code\":");
                code
            }
            AnswerSource::AllCustomers => return self.raw("{\"type\":\"ALL_CUSTOMERS\"}"),
            AnswerSource::ListPrice => return self.raw("{\"type\":\"LIST_PRICE\"}"),
        };
        self.text(name);
        self.raw("}");
    }

    fn next_break(&mut self, next: &NextBreak) {
        self.raw("{\"quantity\":\"");
        self.plain::<5>(next.quantity.units());
        self.raw("\",\"unitPrice\":\"");
        self.plain::<5>(next.unit_price.units());
        self.raw("\",\"lineDiscountPercent\":\"");
        self.plain::<5>(next.line_discount_percent.units());
        self.raw("\"}");
    }

    /// Writes the member `trace` with the preceding comma, if lines were examined.
    fn trace(&mut self, explanation: &Explanation<'_>) {
        let Some(allowed) = explanation.discount_allowed() else { return };
        self.raw(",\"trace\":{\"campaign\":");
        self.optional(explanation.campaign(), |out, campaign| {
            out.raw("{\"campaignNumber\":");
            out.text(campaign.campaign_number);
            out.raw(",\"verdict\":");
            out.optional(campaign.verdict, |out, verdict| out.text(verdict.text()));
            out.raw("}");
        });
        self.raw(",\"lineDiscountAllowed\":");
        self.truth(allowed);
        self.raw(",\"prices\":[");
        self.list(explanation.prices(), Self::price_trace);
        self.raw("],\"discounts\":[");
        self.list(explanation.discounts(), Self::discount_trace);
        self.raw("],\"otherLines\":[");
        self.list(explanation.others().iter().copied(), Self::other_lines);
        self.raw("]}");
    }

    fn list<T>(&mut self, values: impl Iterator<Item = T>, write: impl Fn(&mut Self, &T)) {
        for (place, value) in values.enumerate() {
            if place > 0 {
                self.raw(",");
            }
            write(self, &value);
        }
    }

    fn price_trace(&mut self, price: &PriceTrace<'_>) {
        self.open_used(&price.line);
        self.raw(",\"verdict\":\"");
        self.raw(price.verdict.text());
        self.raw("\",\"minimumQuantity\":\"");
        self.plain::<5>(price.minimum_quantity.units());
        self.raw("\",\"unitPrice\":");
        self.optional(price.unit_price, |out, price| out.decimal::<5>(price.units()));
        self.raw(",\"netUnitPrice\":");
        self.optional(price.net_unit_price, |out, net| out.decimal::<12>(net.0));
        self.raw("}");
    }

    fn other_lines(&mut self, other: &OtherLines) {
        self.raw("{\"verdict\":\"");
        self.raw(other.verdict.text());
        self.raw("\",\"count\":");
        self.integer(other.count.into());
        self.raw("}");
    }

    fn discount_trace(&mut self, discount: &DiscountTrace<'_>) {
        self.open_used(&discount.line);
        self.raw(",\"verdict\":\"");
        self.raw(discount.verdict.text());
        self.raw("\",\"minimumQuantity\":\"");
        self.plain::<5>(discount.minimum_quantity.units());
        self.raw("\",\"lineDiscountPercent\":\"");
        self.plain::<5>(discount.line_discount_percent.units());
        self.raw("\"}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_values_are_written_as_serde_writes_them() {
        let written = |write: &dyn Fn(&mut JsonWriter<'_>)| {
            let mut bytes = Vec::new();
            write(&mut JsonWriter(&mut bytes));
            String::from_utf8(bytes).unwrap()
        };
        for (year, month, day) in
            [(1, 1, 1), (2031, 10, 9), (9_999, 12, 31), (10_000, 1, 1), (0, 2, 29), (-1, 1, 1)]
        {
            let date = NaiveDate::from_ymd_opt(year, month, day).unwrap();
            assert_eq!(written(&|out| out.date(date)), serde_json::to_string(&date).unwrap());
        }
        for text in ["", "A-1", "\"", "\\", "\u{1f}", "\u{7f}Ä", "a\nb"] {
            assert_eq!(written(&|out| out.text(text)), serde_json::to_string(text).unwrap());
        }
        for number in [0, -1, i64::MAX, i64::MIN] {
            assert_eq!(written(&|out| out.integer(number)), number.to_string());
        }
    }
}
