//! Reads requests for prices, from a JSON body or a query, into a [`QuoteRequest`].
//!
//! A body is read by serde, which borrows its texts. If that fails, deserr reads it again, because
//! it reports everything that is wrong. Both read into the same types.

use std::borrow::Cow;
use std::fmt;

use chrono::NaiveDate;
use deserr::{DeserializeError, Deserr, IntoValue, MergeWithError, ValuePointerRef};
use price_book::quote::request::{
    MAX_LINES, OnUnknownParty, QuoteParty, QuoteRequest, RequestForm, RequestLine, Visibility,
};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use utoipa::ToSchema;
use values::wire::Invalid;
use values::{CurrencyCode, Date, Key, Percent, SignedQuantity};

use crate::platform::http::json::{BodyErrors, objects};
use crate::platform::http::list::QueryParams;
use crate::platform::http::problem::{FieldCode, FieldError};

/// A request for the prices of several lines.
#[derive(Debug, serde::Deserialize, Deserr, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[schema(as = PriceQuoteRequest, rename_all = "camelCase")]
pub struct QuoteBody<'a> {
    /// The contact whose prices are requested. For a person, the prices of its company are
    /// returned. Without contact and customer, only lines for all customers count.
    #[serde(borrow)]
    #[deserr(default)]
    #[schema(value_type = Option<Key>)]
    contact_number: Option<KeyText<'a>>,
    /// The customer whose prices are requested, instead of a contact.
    #[deserr(default)]
    #[schema(value_type = Option<Key>)]
    customer_number: Option<KeyText<'a>>,
    /// The company's calendar date for which the prices apply. Default: today.
    #[deserr(default)]
    date: Option<Date>,
    /// The currency of the prices. Default: the contact's, else the account's, else local currency.
    #[deserr(default)]
    currency_code: Option<CurrencyCode>,
    /// If true, the prices include tax. Default: the customer's setting.
    #[deserr(default)]
    #[schema(example = false)]
    prices_include_tax: Option<bool>,
    /// The only campaign that counts. Default: all campaigns count. If it grants nothing, the
    /// answer has a warning.
    #[deserr(default)]
    #[schema(value_type = Option<Key>)]
    campaign_number: Option<KeyText<'a>>,
    /// The treatment of an unknown contact or customer: `REFUSE`, or `EVERYBODY` for the prices of
    /// everybody and a warning.
    #[serde(default)]
    #[deserr(default)]
    #[schema(default = "REFUSE", required = false, example = "REFUSE")]
    on_unknown_contact: OnUnknownParty,
    /// If true, each answer has a `trace`. It lists the examined lines that are granted to the
    /// account, with their verdicts, and counts the others.
    #[serde(default)]
    #[deserr(default)]
    #[schema(default = false, required = false, example = false)]
    explain: bool,
    /// The lines to price. They are answered in this order.
    #[serde(borrow, deserialize_with = "objects")]
    #[schema(min_items = 1, max_items = 1000)]
    lines: Vec<QuoteBodyLine<'a>>,
}

/// A line of a request for prices.
#[derive(Debug, serde::Deserialize, Deserr, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[schema(as = PriceQuoteRequestLine, rename_all = "camelCase")]
pub struct QuoteBodyLine<'a> {
    /// The item.
    #[serde(borrow)]
    #[schema(value_type = Key)]
    item_number: KeyText<'a>,
    /// The variant. Default: none.
    #[deserr(default)]
    #[schema(value_type = Option<Key>)]
    variant_code: Option<KeyText<'a>>,
    /// The unit of measure. Default: the item's base unit.
    #[deserr(default)]
    #[schema(value_type = Option<Key>)]
    unit_of_measure_code: Option<KeyText<'a>>,
    /// The quantity in that unit of measure. Default: 1. A negative quantity, as on a credit line,
    /// has the prices of the positive one and negative amounts.
    #[serde(default)]
    #[deserr(default)]
    #[schema(required = false)]
    quantity: SignedQuantity,
    /// The tax rate of the sale in percent. Default: the item's rate.
    #[deserr(default)]
    tax_percent: Option<Percent>,
}

impl<'a> QuoteBody<'a> {
    /// Converts the body into a request. `today` is only called if the body has no date.
    ///
    /// # Errors
    /// All violated rules that concern several fields.
    pub fn into_request(
        self,
        today: impl FnOnce() -> NaiveDate,
        explain: bool,
    ) -> Result<QuoteRequest<'a>, Vec<FieldError>> {
        let mut errors = Vec::new();
        let text = |key: Option<KeyText<'a>>| key.map(|key| key.0);
        let party = party(text(self.contact_number), text(self.customer_number), "/", &mut errors);
        let count = self.lines.len();
        if count == 0 || count > MAX_LINES {
            let code = if count == 0 { FieldCode::TooShort } else { FieldCode::TooLong };
            let detail = format!("a quote has 1 to {MAX_LINES} lines, not {count}");
            errors.push(FieldError::new("/lines", code, detail));
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let lines = self.lines.into_iter().map(|line| RequestLine {
            item_number: line.item_number.0,
            variant_code: text(line.variant_code),
            unit_of_measure_code: text(line.unit_of_measure_code),
            quantity: line.quantity,
            tax_percent: line.tax_percent,
        });
        Ok(QuoteRequest {
            party,
            on_unknown_party: self.on_unknown_contact,
            date: self.date.map_or_else(today, Date::get),
            currency_code: self.currency_code.map(|code| code.into_text().into()),
            prices_include_tax: self.prices_include_tax,
            campaign_number: text(self.campaign_number),
            without_campaigns: false,
            lines: lines.collect(),
            explain: Visibility::of_quotes(explain || self.explain),
            form: RequestForm::Body,
        })
    }
}

/// A business key that is borrowed from the body if it needs no conversion.
#[derive(Debug)]
struct KeyText<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for KeyText<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl<'de> Visitor<'de> for Text {
            type Value = KeyText<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<KeyText<'de>, E> {
                Key::canonical(text).map(KeyText).map_err(E::custom)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<KeyText<'de>, E> {
                Key::parse(text).map(|key| KeyText(key.into_text().into())).map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Text)
    }
}

impl<E: DeserializeError + MergeWithError<Invalid>> Deserr<E> for KeyText<'_> {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, E> {
        Key::deserialize_from_value(value, location).map(|key| Self(key.into_text().into()))
    }
}

/// Reads the query of a request for at most one line. Without `needs_item` the item is
/// optional, and the request has no lines without it. `today` is only called if there
/// is no date.
///
/// # Errors
/// All invalid parameters together.
pub fn read_query<'a>(
    params: &'a QueryParams<'_>,
    today: impl FnOnce() -> NaiveDate,
    needs_item: bool,
) -> Result<QuoteRequest<'a>, Vec<FieldError>> {
    let mut errors = Vec::new();
    let contact = params.parsed("contactNumber", Key::canonical, &mut errors);
    let customer = params.parsed("customerNumber", Key::canonical, &mut errors);
    let party = party(contact, customer, "?", &mut errors);
    let item = params.parsed("itemNumber", Key::canonical, &mut errors);
    if needs_item && params.get("itemNumber").is_none() {
        let detail = "itemNumber must be given";
        errors.push(FieldError::new("?itemNumber", FieldCode::Required, detail));
    }
    let variant_code = params.parsed("variantCode", Key::canonical, &mut errors);
    let unit_of_measure_code = params.parsed("unitOfMeasureCode", Key::canonical, &mut errors);
    let quantity = params.parsed("quantity", SignedQuantity::parse, &mut errors);
    let tax_percent = params.parsed("taxPercent", Percent::parse, &mut errors);
    let date = params.parsed("date", Date::parse, &mut errors);
    let currency_code = params.parsed("currencyCode", CurrencyCode::canonical, &mut errors);
    let campaign_number = params.parsed("campaignNumber", Key::canonical, &mut errors);
    let on_unknown_contact = params.parsed("onUnknownContact", OnUnknownParty::parse, &mut errors);
    let prices_include_tax = params.boolean("pricesIncludeTax", &mut errors);
    let explain = params.boolean("explain", &mut errors).unwrap_or_default();
    if !errors.is_empty() {
        return Err(errors);
    }
    let line = item.map(|item_number| RequestLine {
        item_number,
        variant_code,
        unit_of_measure_code,
        quantity: quantity.unwrap_or_default(),
        tax_percent,
    });
    Ok(QuoteRequest {
        party,
        on_unknown_party: on_unknown_contact.unwrap_or_default(),
        date: date.map_or_else(today, Date::get),
        currency_code,
        prices_include_tax,
        campaign_number,
        without_campaigns: false,
        lines: line.into_iter().collect(),
        explain: Visibility::of_quotes(explain),
        form: RequestForm::Query,
    })
}

/// Returns the party whose prices are requested. Naming both a contact and a customer is an error.
pub(super) fn party<'a>(
    contact: Option<Cow<'a, str>>,
    customer: Option<Cow<'a, str>>,
    prefix: &str,
    errors: &mut Vec<FieldError>,
) -> QuoteParty<'a> {
    match (contact, customer) {
        (None, None) => QuoteParty::Anybody,
        (Some(number), None) => QuoteParty::Contact(number),
        (None, Some(number)) => QuoteParty::Customer(number),
        (Some(_), Some(_)) => {
            let detail = "contactNumber and customerNumber both name whose prices are requested; \
                give one of them";
            let pointer = format!("{prefix}customerNumber");
            errors.push(FieldError::new(pointer, FieldCode::NotAllowed, detail));
            QuoteParty::Anybody
        }
    }
}
