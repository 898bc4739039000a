//! Writes the answer as JSON: the same text that serde produces from the types in
//! [`answer`](super::answer), in a fraction of its time. A test compares the two.

use std::io::Write as _;

use chrono::{Datelike, NaiveDate};
use pricing::resolve::Scratch;
use uuid::Uuid;
use uuid::fmt::Hyphenated;
use values::Signed;
use values::decimal::{push_whole, write_plain};

use super::answer::{
    AnswerSource, DiscountTrace, LineProblem, LineReference, NamedCampaign, NextBreak, OtherLines,
    PriceTrace, PricedLine, Quote, QuoteError, QuoteWarning, Totals,
};
use super::evaluate::Document;
use super::explain::Explanation;
use super::request::QuoteRequest;
use crate::snapshot::Snapshot;

/// The approximate size of a line of the answer.
const LINE_BYTES: usize = 600;
/// The approximate size of a line with a trace of a dozen examined lines.
const EXPLAINED_LINE_BYTES: usize = 4_800;

/// Writes an object as JSON. Each value is an expression that writes it. What follows the braces
/// writes further members, each with the preceding comma. The names are joined with their
/// punctuation when the code is compiled.
macro_rules! object {
    ($out:ident, {
        $name:literal: $value:expr $(, $names:literal: $values:expr)* $(,)?
    } $(, $more:expr)?) => {
        $out.raw(concat!("{\"", $name, "\":"));
        $value;
        $(
            $out.raw(concat!(",\"", $names, "\":"));
            $values;
        )*
        $($more;)?
        $out.raw("}");
    };
}

/// Writes the answer to a request as JSON, each line as soon as it is computed.
///
/// # Errors
/// As [`quote`](super::quote).
pub fn write_quote(
    snapshot: &Snapshot,
    request: &QuoteRequest<'_>,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<(), QuoteError> {
    let document = Document::new(snapshot, request)?;
    let Quote {
        publication_version, book_id, date, account_number, currency_code, warnings, ..
    } = document.without_lines();
    let mut explanation = document.explanation();
    let line_bytes = if explanation.is_some() { EXPLAINED_LINE_BYTES } else { LINE_BYTES };
    out.reserve(line_bytes.saturating_mul(request.lines.len()).saturating_add(LINE_BYTES));
    let out = &mut JsonWriter(out);
    let mut totals = Totals::default();
    object!(out, {
        "publicationVersion": out.integer(publication_version),
        "bookId": out.uuid(book_id),
        "date": out.date(date),
        "accountNumber": out.optional(account_number, JsonWriter::text),
        "currencyCode": out.optional(currency_code, JsonWriter::text),
        "pricesIncludeTax": out.boolean(document.prices_include_tax()),
        "lines": out.array(&request.lines, |out, line| {
            let answer = document.answer(line, scratch, explanation.as_mut());
            totals.add(&answer);
            match &answer {
                Ok(line) => out.priced(line, explanation.as_ref()),
                Err(problem) => out.problem(problem, explanation.as_ref()),
            }
        }),
        "totals": out.totals(&totals),
        "warnings": out.array(&warnings, JsonWriter::warning),
    });
    Ok(())
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

    fn boolean(&mut self, value: bool) {
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

    /// Writes a decimal that is given in units of its last place.
    fn decimal<const PLACES: u32>(&mut self, units: u128) {
        self.0.push(b'"');
        write_plain::<PLACES>(units, &mut |byte| self.0.push(byte));
        self.0.push(b'"');
    }

    fn signed(&mut self, Signed(units): Signed<5>) {
        self.0.push(b'"');
        if units < 0 {
            self.0.push(b'-');
        }
        write_plain::<5>(units.unsigned_abs(), &mut |byte| self.0.push(byte));
        self.0.push(b'"');
    }

    /// Writes a text. Few keys in the price book contain anything that JSON escapes, so the check
    /// is fast.
    fn text(&mut self, text: &str) {
        // Without branches, so that many bytes are compared in one step.
        let needs_escape = text
            .bytes()
            .fold(false, |found, byte| found | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
        if needs_escape {
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

    fn uuid(&mut self, id: Uuid) {
        self.0.push(b'"');
        let start = self.0.len();
        self.0.extend_from_slice(&[0; Hyphenated::LENGTH]);
        if let Some(place) = self.0.get_mut(start..) {
            id.hyphenated().encode_lower(place);
        }
        self.0.push(b'"');
    }

    fn array<T>(
        &mut self,
        values: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) {
        self.0.push(b'[');
        for (index, value) in values.into_iter().enumerate() {
            if index > 0 {
                self.0.push(b',');
            }
            write(self, value);
        }
        self.0.push(b']');
    }

    fn warning(&mut self, warning: &QuoteWarning) {
        object!(self, {
            "code": self.text(warning.code.text()),
            "pointer": self.text(&warning.pointer),
            "detail": self.text(&warning.detail),
        });
    }

    fn totals(&mut self, totals: &Totals) {
        object!(self, {
            "grossAmount": self.signed(totals.gross_amount),
            "discountAmount": self.signed(totals.discount_amount),
            "lineAmount": self.signed(totals.line_amount),
        });
    }

    fn priced(&mut self, line: &PricedLine<'_>, explanation: Option<&Explanation<'_>>) {
        object!(self, {
            "outcome": self.text("PRICED"),
            "unitPrice": self.decimal::<5>(line.unit_price.units()),
            "lineDiscountPercent": self.decimal::<5>(line.line_discount_percent.units()),
            "netUnitPrice": self.decimal::<12>(line.net_unit_price.0),
            "grossAmount": self.signed(line.gross_amount),
            "discountAmount": self.signed(line.discount_amount),
            "lineAmount": self.signed(line.line_amount),
            "listPrice": self.optional(line.list_price, |out, price| {
                out.decimal::<5>(price.units());
            }),
            "priceLine": self.optional(line.price_line.as_ref(), Self::line_reference),
            "discountLine": self.optional(line.discount_line.as_ref(), Self::line_reference),
            "source": self.source(&line.source),
            "validUntil": self.optional(line.valid_until, Self::date),
            "nextBreak": self.optional(line.next_break.as_ref(), Self::next_break),
        }, self.trace_member(explanation));
    }

    fn problem(&mut self, problem: &LineProblem, explanation: Option<&Explanation<'_>>) {
        object!(self, {
            "outcome": self.text("UNPRICED"),
            "problem": {
                object!(self, {
                    "code": self.text(problem.code.text()),
                    "detail": self.text(&problem.detail),
                });
            },
        }, self.trace_member(explanation));
    }

    fn line_reference(&mut self, line: &LineReference<'_>) {
        object!(self, {
            "id": self.uuid(line.id),
            "source": self.source(&line.source),
            "publicationVersion": self.integer(line.publication_version),
        });
    }

    fn source(&mut self, source: &AnswerSource<'_>) {
        match source {
            AnswerSource::Campaign { campaign_number } => {
                object!(self, {
                    "type": self.raw("\"CAMPAIGN\""),
                    "campaignNumber": self.text(campaign_number),
                });
            }
            AnswerSource::Contact { contact_number } => {
                object!(self, {
                    "type": self.raw("\"CONTACT\""),
                    "contactNumber": self.text(contact_number),
                });
            }
            AnswerSource::CustomerPriceGroup { code } => {
                object!(self, {
                    "type": self.raw("\"CUSTOMER_PRICE_GROUP\""),
                    "code": self.text(code),
                });
            }
            AnswerSource::CustomerDiscountGroup { code } => {
                object!(self, {
                    "type": self.raw("\"CUSTOMER_DISCOUNT_GROUP\""),
                    "code": self.text(code),
                });
            }
            AnswerSource::AllCustomers => {
                object!(self, { "type": self.raw("\"ALL_CUSTOMERS\"") });
            }
            AnswerSource::ListPrice => {
                object!(self, { "type": self.raw("\"LIST_PRICE\"") });
            }
        }
    }

    fn next_break(&mut self, next: &NextBreak) {
        object!(self, {
            "quantity": self.decimal::<5>(next.quantity.units()),
            "unitPrice": self.decimal::<5>(next.unit_price.units()),
            "lineDiscountPercent": self.decimal::<5>(next.line_discount_percent.units()),
        });
    }

    /// Writes the member `trace` with the preceding comma, if lines were examined.
    fn trace_member(&mut self, explanation: Option<&Explanation<'_>>) {
        let Some(explanation) = explanation else { return };
        let Some(allowed) = explanation.discount_allowed() else { return };
        self.raw(",\"trace\":");
        object!(self, {
            "campaign": self.optional(explanation.campaign(), Self::campaign),
            "lineDiscountAllowed": self.boolean(allowed),
            "prices": self.array(explanation.prices(), Self::price_trace),
            "discounts": self.array(explanation.discounts(), Self::discount_trace),
            "otherLines": self.array(explanation.others(), Self::other_lines),
        });
    }

    fn campaign(&mut self, campaign: &NamedCampaign<'_>) {
        object!(self, {
            "campaignNumber": self.text(campaign.campaign_number),
            "verdict": self.optional(campaign.verdict, |out, verdict| out.text(verdict.text())),
        });
    }

    fn price_trace(&mut self, price: PriceTrace<'_>) {
        object!(self, {
            "id": self.uuid(price.line.id),
            "source": self.source(&price.line.source),
            "publicationVersion": self.integer(price.line.publication_version),
            "verdict": self.text(price.verdict.text()),
            "minimumQuantity": self.decimal::<5>(price.minimum_quantity.units()),
            "unitPrice": self.optional(price.unit_price, |out, price| {
                out.decimal::<5>(price.units());
            }),
            "netUnitPrice": self.optional(price.net_unit_price, |out, net| {
                out.decimal::<12>(net.0);
            }),
        });
    }

    fn discount_trace(&mut self, discount: DiscountTrace<'_>) {
        object!(self, {
            "id": self.uuid(discount.line.id),
            "source": self.source(&discount.line.source),
            "publicationVersion": self.integer(discount.line.publication_version),
            "verdict": self.text(discount.verdict.text()),
            "minimumQuantity": self.decimal::<5>(discount.minimum_quantity.units()),
            "lineDiscountPercent": self.decimal::<5>(discount.line_discount_percent.units()),
        });
    }

    fn other_lines(&mut self, other: &OtherLines) {
        object!(self, {
            "verdict": self.text(other.verdict.text()),
            "count": self.integer(other.count.into()),
        });
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
