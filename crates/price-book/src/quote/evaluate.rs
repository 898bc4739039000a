//! From a request to its answer. It finds the referenced records in the snapshot, passes the
//! question to the resolver, and converts the result. Account, currency and exchange rate are
//! determined once per request.

use chrono::NaiveDate;
use pricing::convert::Target;
use pricing::line::{Code, ContactIndex};
use pricing::resolve::{
    Account, Answer, Book, Campaigns, ItemTerms, Question, Scratch, Unobserved, Unpriced, resolve,
};
use pricing::verdict::Verdict;
use values::{Amount, ExchangeRate, Precision, Quantity, Signed, SignedQuantity};

use super::answer::{
    AnswerSource, LineProblem, LineProblemCode, NamedCampaign, NextBreak, PricedLine, Quote,
    QuoteError, QuoteLine, QuoteWarning, QuoteWarningCode, Totals, UnpricedLine, line_reference,
};
use super::explain::Explanation;
use super::request::{OnUnknownParty, QuoteParty, QuoteRequest, RequestLine};
use crate::snapshot::{FoundItem, Item, Snapshot};

/// Answers a request from one version of the price book.
///
/// # Errors
/// If the contact or customer is unknown. The problem of a single line is part of the answer.
pub fn quote<'a>(
    snapshot: &'a Snapshot,
    request: &'a QuoteRequest<'_>,
) -> Result<Quote<'a>, QuoteError> {
    let document = Document::new(snapshot, request)?;
    let mut quote = document.without_lines();
    quote.lines.reserve_exact(request.lines.len());
    let mut scratch = Scratch::default();
    let mut explanation = document.explanation();
    for line in &request.lines {
        let answer = document.answer(line, &mut scratch, explanation.as_mut());
        let trace = explanation.as_ref().and_then(Explanation::trace).map(Box::new);
        quote.totals.add(&answer);
        quote.lines.push(match answer {
            Ok(line) => QuoteLine::Priced(PricedLine { trace, ..line }),
            Err(problem) => QuoteLine::Unpriced(UnpricedLine { problem, trace }),
        });
    }
    Ok(quote)
}

/// Returns all reasons for which the named campaign grants nothing, independent of the item. The
/// reasons are: not published, or not in the audience and outside the dates.
///
/// # Errors
/// If the contact or customer is unknown.
pub fn campaign_obstacles(
    snapshot: &Snapshot,
    request: &QuoteRequest,
) -> Result<Vec<Verdict>, QuoteError> {
    Ok(Document::new(snapshot, request)?.campaign_obstacles())
}

/// The properties that all lines of a request share.
pub(super) struct Document<'a> {
    /// The error of an unknown party that counts as everybody.
    unknown_party: Option<QuoteError>,
    snapshot: &'a Snapshot,
    request: &'a QuoteRequest<'a>,
    account: Option<Account>,
    currency_code: Option<&'a str>,
    currency: Currency,
    /// The rounding steps of unit prices and of amounts in the currency.
    rounding: (Precision, Precision),
    prices_include_tax: bool,
    campaigns: Campaigns,
}

/// The currency of the answer.
#[derive(Debug, Clone, Copy)]
enum Currency {
    Local,
    Foreign {
        code: Code,
        rate: ExchangeRate,
        next_rate: Option<NaiveDate>,
    },
    /// A foreign currency without an exchange rate at the date.
    WithoutRate,
}

impl<'a> Document<'a> {
    pub fn new(snapshot: &'a Snapshot, request: &'a QuoteRequest<'_>) -> Result<Self, QuoteError> {
        let (contact, unknown_party) = match find_party(snapshot, &request.party) {
            Ok(contact) => (contact, None),
            Err(error) => match request.on_unknown_party {
                OnUnknownParty::Refuse => return Err(error),
                OnUnknownParty::Everybody => (None, Some(error)),
            },
        };
        let account = contact.map(|contact| account_of(snapshot, contact));
        let named_currency = currency_code(snapshot, request, contact, account.as_ref());
        let customer = account.and_then(|account| snapshot.contact(account.contact)?.customer);
        let named = request.campaign_number.as_ref();
        let currency = currency(snapshot, named_currency, request.date);
        let rounded_as = match currency {
            Currency::Foreign { code, .. } => Some(code),
            Currency::Local | Currency::WithoutRate => snapshot.local_currency(),
        };
        Ok(Self {
            unknown_party,
            snapshot,
            request,
            account,
            currency_code: named_currency.map(|(text, _)| text),
            currency,
            rounding: snapshot.rounding(rounded_as),
            prices_include_tax: request
                .prices_include_tax
                .unwrap_or_else(|| customer.is_some_and(|customer| customer.prices_include_tax)),
            campaigns: match named {
                _ if request.without_campaigns => Campaigns::Only(None),
                Some(number) => Campaigns::Only(snapshot.find_campaign(number)),
                None => Campaigns::Any,
            },
        })
    }

    /// Returns the answer without its lines.
    pub fn without_lines(&self) -> Quote<'a> {
        Quote {
            publication_version: self.snapshot.version(),
            book_id: self.snapshot.book_id(),
            date: self.request.date,
            account_number: self
                .account
                .map(|account| self.snapshot.contact_number(account.contact)),
            currency_code: self.currency_code,
            prices_include_tax: self.prices_include_tax,
            lines: Vec::new(),
            totals: Totals::default(),
            warnings: self.warnings(),
        }
    }

    /// Returns the inputs that have no effect.
    fn warnings(&self) -> Vec<QuoteWarning> {
        let unknown = self.unknown_party.as_ref().map(|error| {
            let (code, field) = match error {
                QuoteError::UnknownContact(_) => {
                    (QuoteWarningCode::UnknownContact, "contactNumber")
                }
                QuoteError::UnknownCustomer(_) => {
                    (QuoteWarningCode::UnknownCustomer, "customerNumber")
                }
            };
            (code, field, format!("{error}; the prices are those of everybody"))
        });
        let named = self.request.campaign_number.as_deref().unwrap_or_default();
        let obstacles = self.campaign_obstacles().into_iter().map(|verdict| {
            let (code, detail) = match verdict {
                Verdict::NotInAudience => (
                    QuoteWarningCode::NotInAudience,
                    format!("the audience of {named} does not contain the account"),
                ),
                Verdict::OutsideDates => (
                    QuoteWarningCode::OutsideCampaignDates,
                    format!("{} is outside the dates of {named}", self.request.date),
                ),
                _ => (
                    QuoteWarningCode::CampaignNotPublished,
                    format!("{named} is not a published campaign"),
                ),
            };
            (code, "campaignNumber", detail)
        });
        unknown
            .into_iter()
            .chain(obstacles)
            .map(|(code, field, detail)| QuoteWarning {
                code,
                pointer: format!("{}{field}", self.request.pointer_prefix()),
                detail,
            })
            .collect()
    }

    /// Returns whether the prices of the answer include tax.
    pub const fn prices_include_tax(&self) -> bool {
        self.prices_include_tax
    }

    /// Creates the observer, if the request asks for explanations.
    pub fn explanation(&self) -> Option<Explanation<'a>> {
        let visibility = self.request.explain?;
        Some(Explanation::new(self.snapshot, self.named_campaign(), visibility))
    }

    /// Answers a line, without its trace. The verdicts are recorded in `explanation`, if there is
    /// one. The resolver is the same in both cases.
    pub fn answer(
        &self,
        line: &RequestLine<'_>,
        scratch: &mut Scratch,
        explanation: Option<&mut Explanation<'a>>,
    ) -> Result<PricedLine<'a>, LineProblem> {
        let question = self.question(line);
        let result = match explanation {
            None => {
                let (question, found) = question?;
                resolve(self.snapshot, &question, found.lines, scratch, &mut Unobserved)
            }
            Some(explanation) => {
                explanation.begin();
                let (question, found) = question?;
                let result = resolve(self.snapshot, &question, found.lines, scratch, explanation);
                explanation.end();
                result
            }
        };
        result.map(|answer| self.priced(&answer, line.quantity)).map_err(unpriced)
    }

    /// Converts a line into a question in the interned numbers of the snapshot. Also returns its
    /// item.
    fn question(
        &self,
        line: &RequestLine<'_>,
    ) -> Result<(Question<'a>, FoundItem<'a>), LineProblem> {
        let found = self.snapshot.find_item(&line.item_number).ok_or_else(|| {
            problem(LineProblemCode::UnknownItem, format!("there is no item {}", line.item_number))
        })?;
        let item = found.item;
        if item.blocked {
            return Err(problem(
                LineProblemCode::ItemBlocked,
                format!("item {} is blocked", line.item_number),
            ));
        }
        let variant = self.variant(line, item)?;
        let (unit, quantity_per_unit) = self.unit(line, item)?;
        let (foreign_currency, rate, next_rate) = match self.currency {
            Currency::Local => (None, None, None),
            Currency::Foreign { code, rate, next_rate } => (Some(code), Some(rate), next_rate),
            Currency::WithoutRate => return Err(self.rate_missing()),
        };
        let local_currency = self.snapshot.local_currency();
        let (unit_amount_step, amount_step) = self.rounding;
        let target = Target {
            includes_tax: self.prices_include_tax,
            tax: line.tax_percent.unwrap_or(item.tax),
            quantity_per_unit,
            rate,
            unit_amount_step,
            amount_step,
        };
        let question = Question {
            account: self.account,
            campaigns: self.campaigns,
            date: self.request.date,
            item: ItemTerms {
                list_price: item.list_price,
                includes_tax: item.price_includes_tax,
                tax: item.tax,
            },
            variant,
            unit,
            quantity: line.quantity.magnitude(),
            foreign_currency,
            local_currency,
            next_rate,
            target,
            policy: self.snapshot.policy(),
        };
        Ok((question, found))
    }

    fn variant(&self, line: &RequestLine<'_>, item: &Item) -> Result<Option<Code>, LineProblem> {
        let Some(text) = &line.variant_code else { return Ok(None) };
        let variant =
            self.snapshot.code(text).filter(|code| item.has_variant(*code)).ok_or_else(|| {
                problem(
                    LineProblemCode::UnknownVariant,
                    format!("item {} has no variant {text}", line.item_number),
                )
            })?;
        Ok(Some(variant))
    }

    fn unit(&self, line: &RequestLine<'_>, item: &Item) -> Result<(Code, Quantity), LineProblem> {
        let Some(text) = &line.unit_of_measure_code else {
            return Ok((item.base_unit, Quantity::ONE));
        };
        self.snapshot
            .code(text)
            .and_then(|unit| Some((unit, item.quantity_per_unit(unit)?)))
            .ok_or_else(|| {
                let detail =
                    format!("item {} is not sold in the unit of measure {text}", line.item_number);
                problem(LineProblemCode::UnknownUnitOfMeasure, detail)
            })
    }

    fn rate_missing(&self) -> LineProblem {
        let currency = self.currency_code.unwrap_or_default();
        let detail =
            format!("{currency} has no exchange rate that has begun by {}", self.request.date);
        problem(LineProblemCode::ExchangeRateMissing, detail)
    }

    /// Returns the verdict on the campaign that the request names. Its lines cannot show it,
    /// because an unpublished campaign has none in the price book.
    fn named_campaign(&self) -> Option<NamedCampaign<'a>> {
        let campaign_number = self.request.campaign_number.as_deref()?;
        Some(NamedCampaign {
            campaign_number,
            verdict: self.campaign_obstacles().into_iter().next(),
        })
    }

    /// Returns all verdicts for which the named campaign grants nothing, in the order of the
    /// verdicts.
    fn campaign_obstacles(&self) -> Vec<Verdict> {
        let Campaigns::Only(index) = self.campaigns else { return Vec::new() };
        let published =
            index.and_then(|index| Some((index, self.snapshot.campaign(index)?.period)));
        let Some((index, period)) = published else { return vec![Verdict::NotPublished] };
        let is_in_audience =
            self.account.is_some_and(|a| self.snapshot.is_in_audience(index, a.contact));
        let against = [
            (is_in_audience, Verdict::NotInAudience),
            (period.contains(self.request.date), Verdict::OutsideDates),
        ];
        against.into_iter().filter(|(holds, _)| !holds).map(|(_, verdict)| verdict).collect()
    }

    /// Converts the resolver's answer, without a trace. The quantity gives the amounts their sign.
    fn priced(&self, answer: &Answer<'a>, quantity: SignedQuantity) -> PricedLine<'a> {
        let signed = |amount: Amount| {
            // An amount has at most 20 digits.
            let units = i128::try_from(amount.units()).unwrap_or(i128::MAX);
            Signed(if quantity.is_negative() { -units } else { units })
        };
        let price_line = answer.price_line.map(|line| {
            line_reference(self.snapshot, line.id, line.conditions.source, line.version)
        });
        PricedLine {
            unit_price: answer.unit_price,
            line_discount_percent: answer.percent,
            net_unit_price: answer.net_unit_price,
            gross_amount: signed(answer.gross),
            discount_amount: signed(answer.discount_amount),
            line_amount: signed(answer.line_amount),
            list_price: answer.list_price,
            price_line,
            discount_line: answer.discount_line.map(|line| {
                line_reference(self.snapshot, line.id, line.conditions.source, line.version)
            }),
            source: price_line.map_or(AnswerSource::ListPrice, |line| line.source),
            valid_until: answer.valid_until,
            // A larger credit is no better price.
            next_break: answer.next_break.filter(|_| !quantity.is_negative()).map(|next| {
                NextBreak {
                    quantity: next.quantity,
                    unit_price: next.unit_price,
                    line_discount_percent: next.percent,
                }
            }),
            trace: None,
        }
    }
}

/// Returns the contact of a party.
///
/// # Errors
/// If the contact or customer is unknown.
fn find_party(
    snapshot: &Snapshot,
    party: &QuoteParty<'_>,
) -> Result<Option<ContactIndex>, QuoteError> {
    match party {
        QuoteParty::Anybody => Ok(None),
        QuoteParty::Contact(number) => snapshot
            .find_contact(number)
            .map(Some)
            .ok_or_else(|| QuoteError::UnknownContact(number.to_string())),
        QuoteParty::Customer(number) => snapshot
            .find_customer(number)
            .map(Some)
            .ok_or_else(|| QuoteError::UnknownCustomer(number.to_string())),
    }
}

/// Returns the terms of a contact's account. An account without customer has no groups and allows
/// line discounts.
fn account_of(snapshot: &Snapshot, contact: ContactIndex) -> Account {
    let contact = snapshot.account_of(contact);
    let customer = snapshot.contact(contact).and_then(|contact| contact.customer);
    Account {
        contact,
        price_group: customer.and_then(|customer| customer.price_group),
        discount_group: customer.and_then(|customer| customer.discount_group),
        allows_line_discount: customer.is_none_or(|customer| customer.allow_line_discount),
    }
}

/// Returns the text and code of the answer's currency: the request's, else the contact's, else the
/// account's, else local currency. A currency that the price book does not contain has no code.
fn currency_code<'a>(
    snapshot: &'a Snapshot,
    request: &'a QuoteRequest<'_>,
    contact: Option<ContactIndex>,
    account: Option<&Account>,
) -> Option<(&'a str, Option<Code>)> {
    if let Some(text) = request.currency_code.as_deref() {
        return Some((text, snapshot.code(text)));
    }
    let of = |contact: ContactIndex| snapshot.contact(contact)?.currency;
    let code = contact
        .and_then(of)
        .or_else(|| account.and_then(|account| of(account.contact)))
        .or_else(|| snapshot.local_currency())?;
    Some((snapshot.code_text(code), Some(code)))
}

/// Determines if the currency is local or foreign, and its exchange rate at the date.
fn currency(snapshot: &Snapshot, named: Option<(&str, Option<Code>)>, date: NaiveDate) -> Currency {
    let Some((_, code)) = named else { return Currency::Local };
    let Some(code) = code else { return Currency::WithoutRate };
    if snapshot.local_currency() == Some(code) {
        return Currency::Local;
    }
    match snapshot.rate(code, date) {
        (Some(rate), next_rate) => Currency::Foreign { code, rate, next_rate },
        (None, _) => Currency::WithoutRate,
    }
}

fn problem(code: LineProblemCode, detail: String) -> LineProblem {
    LineProblem { code, detail }
}

fn unpriced(reason: Unpriced) -> LineProblem {
    match reason {
        Unpriced::NoPrice => problem(
            LineProblemCode::NoPrice,
            "no price line holds for the question, and the item has no list price".to_owned(),
        ),
        Unpriced::AmountTooLarge => problem(
            LineProblemCode::AmountTooLarge,
            "a price or an amount has more than 15 digits before the point".to_owned(),
        ),
    }
}

impl Totals {
    /// Adds a line, if it has a price. The sum of 1,000 lines of fewer than 10^20 units each fits
    /// 128 bits.
    pub(super) fn add(&mut self, line: &Result<PricedLine<'_>, LineProblem>) {
        if let Ok(line) = line {
            let add =
                |sum: &mut Signed<5>, amount: Signed<5>| sum.0 = sum.0.saturating_add(amount.0);
            add(&mut self.gross_amount, line.gross_amount);
            add(&mut self.discount_amount, line.discount_amount);
            add(&mut self.line_amount, line.line_amount);
        }
    }
}
