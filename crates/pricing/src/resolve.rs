//! The resolver: determines the price of a question from the lines of its item.
//!
//! Quotes, explanations, plans and statistics all use it. An [`Observer`] receives the verdicts. A
//! plain quote has none, and the compiler omits the code that only serves an observer.

use chrono::NaiveDate;
use ethnum::U256;
use values::enums::{Combination, SourceType};
use values::{Amount, Percent, Quantity, Shown};

use super::contest::{Entry, Specificity, best, judge, qualify};
use super::convert::{Beyond128Bits, Given, Number, Target, WHOLE, to_amount};
use super::line::{
    CampaignIndex, Code, Conditions, ContactIndex, DiscountLine, Line, Period, PriceLine, Source,
    threshold,
};
use super::policy::Policy;
use super::verdict::Verdict;

/// The data that the resolver needs in addition to the lines.
pub trait Book {
    /// Returns the account that a contact belongs to.
    fn account_of(&self, contact: ContactIndex) -> ContactIndex;
    /// Returns the terms of a campaign, or `None` if it is not published.
    fn campaign(&self, campaign: CampaignIndex) -> Option<CampaignTerms>;
    /// Returns whether the campaign's audience contains the account.
    fn is_in_audience(&self, campaign: CampaignIndex, account: ContactIndex) -> bool;
}

/// The properties of a published campaign that determine prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CampaignTerms {
    /// The first and last day.
    pub period: Period,
    /// The lines that those of the campaign may be combined with.
    pub combination: Combination,
}

/// The account whose prices are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// The account's contact.
    pub contact: ContactIndex,
    /// The customer's price group.
    pub price_group: Option<Code>,
    /// The customer's discount group.
    pub discount_group: Option<Code>,
    /// If set, the account allows line discounts on the list price.
    pub allows_line_discount: bool,
}

/// The campaigns that count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Campaigns {
    /// All campaigns.
    Any,
    /// Only the campaign that the request names, or `None` if the price book does not contain it.
    Only(Option<CampaignIndex>),
}

/// The properties of the item that determine its price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemTerms {
    /// The list price in local currency for one base unit.
    pub list_price: Option<Amount>,
    /// If set, the list price includes tax.
    pub includes_tax: bool,
    /// The item's tax rate.
    pub tax: Percent,
}

/// A question for the price of one item.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The account. Without one, only lines for all customers count.
    pub account: Option<Account>,
    /// The campaigns that count.
    pub campaigns: Campaigns,
    /// The date for which the price is requested.
    pub date: NaiveDate,
    /// The item.
    pub item: ItemTerms,
    /// The variant.
    pub variant: Option<Code>,
    /// The unit of measure of the quantity.
    pub unit: Code,
    /// The quantity in that unit.
    pub quantity: Quantity,
    /// The currency, if it is a foreign one.
    pub foreign_currency: Option<Code>,
    /// The local currency's own code. On a line it means the same as blank.
    pub local_currency: Option<Code>,
    /// The date on which the next exchange rate starts, if the question is in a foreign currency.
    pub next_rate: Option<NaiveDate>,
    /// The terms that prices are converted to.
    pub target: Target,
    /// The company's policy.
    pub policy: &'a Policy,
}

/// The price lines and discount lines that concern the item.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lines<'a> {
    /// The item's price lines.
    pub prices: &'a [PriceLine],
    /// The item's discount lines.
    pub item_discounts: &'a [DiscountLine],
    /// The discount lines of the item's discount group.
    pub group_discounts: &'a [DiscountLine],
    /// The discount lines for all items.
    pub all_item_discounts: &'a [DiscountLine],
}

impl<'a> Lines<'a> {
    /// Returns all discount lines: of the item, of its group, for all items.
    pub fn discounts(self) -> impl Iterator<Item = &'a DiscountLine> {
        self.item_discounts.iter().chain(self.group_discounts).chain(self.all_item_discounts)
    }
}

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The price of one unit before the discount.
    pub unit_price: Amount,
    /// The discount in percent.
    pub percent: Percent,
    /// The unit price less the discount, exact.
    pub net_unit_price: Shown<12>,
    /// Quantity × unit price.
    pub gross: Amount,
    /// The discount on the gross amount.
    pub discount_amount: Amount,
    /// The gross amount less the discount amount.
    pub line_amount: Amount,
    /// The converted list price.
    pub list_price: Option<Amount>,
    /// The winning price line, or `None` if the list price applies.
    pub price_line: Option<&'a PriceLine>,
    /// The winning discount line, if the price allows a discount.
    pub discount_line: Option<&'a DiscountLine>,
    /// The first date after that of the question on which the answer can change.
    pub valid_until: Option<NaiveDate>,
    /// The next quantity from which one unit has a lower net.
    pub next_break: Option<Break>,
}

/// A quantity from which the net is lower than at that of the question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// The quantity.
    pub quantity: Quantity,
    /// The unit price from this quantity on.
    pub unit_price: Amount,
    /// The discount from this quantity on.
    pub percent: Percent,
}

/// The reason for which a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpriced {
    /// There is neither a candidate nor a list price.
    NoPrice,
    /// A result has more than 15 digits before the point.
    AmountTooLarge,
}

/// Receives the verdicts while a question is resolved.
pub trait Observer<'a> {
    /// False if the observer ignores everything, so that the resolver can skip the verdicts.
    const IS_ACTIVE: bool;
    /// Receives the verdict on a price line, with its converted price and its net in units of
    /// 10^-12. These are absent for a line in another unit or currency, and for a price that is too
    /// large.
    fn price(
        &mut self,
        line: &'a PriceLine,
        verdict: Verdict,
        price_and_net: Option<(Amount, u128)>,
    );
    /// Receives the verdict on a discount line.
    fn discount(&mut self, line: &'a DiscountLine, verdict: Verdict);
    /// Receives whether the chosen price allows the chosen discount.
    fn discount_allowed(&mut self, allowed: bool);
}

/// An observer that ignores everything.
#[derive(Debug, Default)]
pub struct Unobserved;

impl<'a> Observer<'a> for Unobserved {
    const IS_ACTIVE: bool = false;

    fn price(&mut self, _: &'a PriceLine, _: Verdict, _: Option<(Amount, u128)>) {}

    fn discount(&mut self, _: &'a DiscountLine, _: Verdict) {}

    fn discount_allowed(&mut self, _: bool) {}
}

/// Buffers that are reused from question to question, so that a document allocates once.
#[derive(Debug, Default)]
pub struct Scratch {
    narrow: Entries<u128>,
    wide: Entries<U256>,
}

/// The lines that fit a question in all but its quantity.
#[derive(Debug)]
struct Entries<N> {
    prices: Vec<Entry<N>>,
    discounts: Vec<Entry<N>>,
}

impl<N> Default for Entries<N> {
    fn default() -> Self {
        Self { prices: Vec::new(), discounts: Vec::new() }
    }
}

/// The terms of a line that fits, as the contest needs them.
struct Fit {
    /// The quantity from which the line counts, in units of 0.00001 of the question's unit of
    /// measure.
    threshold: u128,
    granted: Granted,
}

/// The terms under which a line is granted to the account.
struct Granted {
    /// The campaign, if that is the source.
    campaign: Option<CampaignIndex>,
    /// The period that counts.
    period: Period,
    /// If set, the campaign's lines combine only with each other.
    is_own: bool,
}

/// The choice at one quantity.
struct Outcome<N> {
    unit_price: N,
    /// The discount that is granted.
    percent: Percent,
    /// The winner among the price entries, or `None` if the list price applies.
    price: Option<usize>,
    /// The winner among the discount entries, allowed or not.
    discount: Option<usize>,
    discount_allowed: bool,
}

impl<N: Number> Outcome<N> {
    /// Returns the net of one unit, in units of 10^-12.
    fn net(&self) -> N {
        self.unit_price.less(self.percent.rest())
    }
}

/// Returns the price less the discount if it allows one, in units of 10^-12 and not rounded.
fn net<N: Number>(price: N, rest: u32, allows_discount: bool) -> N {
    price.less(if allows_discount { rest } else { WHOLE })
}

/// Returns a price less a discount, exact: five places of the price and seven of the discount's
/// remainder.
#[must_use]
pub fn net_unit_price(unit_price: Amount, discount: Percent) -> Shown<12> {
    Shown(unit_price.units().saturating_mul(discount.rest().into()))
}

/// Resolves a question against the lines of its item.
///
/// # Errors
/// If there is no price, or one that is too large. The observer receives the verdicts nevertheless.
pub fn resolve<'a, B: Book, O: Observer<'a>>(
    book: &B,
    question: &Question<'_>,
    lines: Lines<'a>,
    scratch: &mut Scratch,
    observer: &mut O,
) -> Result<Answer<'a>, Unpriced> {
    match resolve_in(book, question, lines, &mut scratch.narrow, observer) {
        Ok(result) => result,
        Err(Beyond128Bits) => {
            let Ok(result) = resolve_in(book, question, lines, &mut scratch.wide, observer);
            result
        }
    }
}

/// Resolves a question in one kind of number. If it cannot hold a price, the observer has received
/// nothing.
fn resolve_in<'a, N: Number, B: Book, O: Observer<'a>>(
    book: &B,
    question: &Question<'_>,
    lines: Lines<'a>,
    entries: &mut Entries<N>,
    observer: &mut O,
) -> Result<Result<Answer<'a>, Unpriced>, N::TooLarge> {
    let mut resolver = Resolver {
        book,
        question,
        lines,
        entries,
        list_price: None,
        valid_until: question.next_rate,
        may_have_own: false,
        with_verdicts: O::IS_ACTIVE,
    };
    resolver.gather()?;
    let outcome = resolver.outcome(question.quantity);
    if O::IS_ACTIVE {
        resolver.report(outcome.as_ref(), observer);
    }
    Ok(outcome.ok_or(Unpriced::NoPrice).and_then(|outcome| resolver.answer(&outcome)))
}

/// The state of one resolution.
struct Resolver<'r, 'a, B, N> {
    book: &'r B,
    question: &'r Question<'r>,
    lines: Lines<'a>,
    entries: &'r mut Entries<N>,
    /// The list price in the terms of the question.
    list_price: Option<N>,
    /// The earliest later date on which a relevant line or rate starts or ends.
    valid_until: Option<NaiveDate>,
    /// If set, a line that fits may be of a campaign that combines only with itself.
    may_have_own: bool,
    /// If set, the contests write all verdicts.
    with_verdicts: bool,
}

impl<'a, B: Book, N: Number> Resolver<'_, 'a, B, N> {
    /// Converts the list price and collects the lines that fit the question in all but its
    /// quantity.
    fn gather(&mut self) -> Result<(), N::TooLarge> {
        self.list_price = self.converted_list_price()?;
        self.entries.prices.clear();
        self.entries.discounts.clear();
        let first_for_all =
            self.lines.item_discounts.len().saturating_add(self.lines.group_discounts.len());
        for (place, line) in self.lines.discounts().enumerate() {
            if let Ok(fit) = self.examine(line) {
                let mut entry = self.entry(&line.conditions, place, fit);
                entry.for_all_items = place >= first_for_all;
                entry.score = u128::from(line.percent.rest()).into();
                self.entries.discounts.push(entry);
            }
        }
        for (place, line) in self.lines.prices.iter().enumerate() {
            if let Ok(fit) = self.examine(line) {
                let mut entry = self.entry(&line.conditions, place, fit);
                entry.unit_price = self.converted(line)?;
                entry.allows_discount = line.allow_line_discount;
                self.entries.prices.push(entry);
            }
        }
        Ok(())
    }

    /// Applies the rules of section 2 except the last, in the order of section 6. Returns the terms
    /// of the line for the contest, or the verdict of the first rule that drops it. Also updates
    /// `valid_until` by the line's dates.
    #[inline]
    fn examine<L: Line>(&mut self, line: &L) -> Result<Fit, Verdict> {
        let conditions = line.conditions();
        let granted = self.grant::<L>(conditions)?;
        let Granted { period, .. } = granted;
        if conditions.variant.is_some() && conditions.variant != self.question.variant {
            return Err(Verdict::OtherVariant);
        }
        if !self.fits_unit(conditions) {
            return Err(Verdict::OtherUnit);
        }
        if !self.fits_currency(conditions) {
            return Err(Verdict::OtherCurrency);
        }
        let threshold = threshold(
            conditions.unit,
            conditions.minimum_quantity,
            self.question.target.quantity_per_unit,
        );
        if threshold <= self.question.quantity.units()
            && let Some(change) = period.next_change(self.question.date)
        {
            self.valid_until = Some(self.valid_until.map_or(change, |until| until.min(change)));
        }
        if !period.contains(self.question.date) {
            return Err(Verdict::OutsideDates);
        }
        self.may_have_own |= granted.is_own;
        Ok(Fit { threshold, granted })
    }

    /// Builds the entry of a line that fits, with the fields that prices and discounts have in
    /// common.
    #[inline]
    fn entry(&self, conditions: &Conditions, place: usize, fit: Fit) -> Entry<N> {
        Entry {
            place,
            score: 0.into(),
            unit_price: 0.into(),
            threshold: fit.threshold,
            starting: fit.granted.period.starting,
            source: conditions.source.kind(),
            campaign: fit.granted.campaign,
            is_own: fit.granted.is_own,
            specificity: Specificity::new(
                self.foreign(conditions).is_some(),
                conditions.variant.is_some(),
            ),
            for_all_items: false,
            allows_discount: false,
            verdict: Verdict::Chosen,
        }
    }

    /// Applies section 2.1. Returns the terms under which the line is granted to the account.
    fn grant<L: Line>(&self, conditions: &Conditions) -> Result<Granted, Verdict> {
        let account = self.question.account;
        let granted = match conditions.source {
            Source::Campaign(campaign) => return self.grant_by_campaign(campaign),
            Source::AllCustomers => true,
            Source::Contact(contact) => {
                account.is_some_and(|account| account.contact == self.book.account_of(contact))
            }
            Source::PriceGroup(group) => {
                L::GROUP == SourceType::CustomerPriceGroup
                    && account.is_some_and(|a| a.price_group == Some(group))
            }
            Source::DiscountGroup(group) => {
                L::GROUP == SourceType::CustomerDiscountGroup
                    && account.is_some_and(|a| a.discount_group == Some(group))
            }
        };
        if granted {
            Ok(Granted { campaign: None, period: conditions.period, is_own: false })
        } else {
            Err(Verdict::OtherSource)
        }
    }

    fn grant_by_campaign(&self, campaign: CampaignIndex) -> Result<Granted, Verdict> {
        let terms = self.book.campaign(campaign).ok_or(Verdict::NotPublished)?;
        if !self
            .question
            .account
            .is_some_and(|account| self.book.is_in_audience(campaign, account.contact))
        {
            return Err(Verdict::NotInAudience);
        }
        match self.question.campaigns {
            Campaigns::Only(named) if named != Some(campaign) => Err(Verdict::OtherCampaign),
            _ => Ok(Granted {
                campaign: Some(campaign),
                period: terms.period,
                is_own: terms.combination == Combination::Own,
            }),
        }
    }

    fn fits_unit(&self, conditions: &Conditions) -> bool {
        conditions.unit.is_none_or(|unit| unit == self.question.unit)
    }

    fn fits_currency(&self, conditions: &Conditions) -> bool {
        self.foreign(conditions)
            .is_none_or(|currency| self.question.foreign_currency == Some(currency))
    }

    /// Returns the foreign currency that a line fixes. The code of the local currency fixes
    /// nothing.
    fn foreign(&self, conditions: &Conditions) -> Option<Code> {
        conditions.currency.filter(|currency| Some(*currency) != self.question.local_currency)
    }

    /// Returns the terms that the line's price is given in.
    fn given(&self, line: &PriceLine) -> Given {
        Given {
            includes_tax: line.includes_tax,
            tax: line.tax.unwrap_or(self.question.item.tax),
            per_base_unit: line.conditions.unit.is_none(),
            in_local_currency: self.foreign(&line.conditions).is_none(),
        }
    }

    /// Returns the line's price in the terms of the question.
    fn converted(&self, line: &PriceLine) -> Result<N, N::TooLarge> {
        self.question.target.convert(line.unit_price, self.given(line))
    }

    /// Returns the list price in the terms of the question.
    fn converted_list_price(&self) -> Result<Option<N>, N::TooLarge> {
        let ItemTerms { list_price, includes_tax, tax } = self.question.item;
        let given = Given { includes_tax, tax, per_base_unit: true, in_local_currency: true };
        list_price.map(|price| self.question.target.convert(price, given)).transpose()
    }

    /// Returns whether the list price allows a discount, which the account decides.
    fn list_price_allows_discount(&self) -> bool {
        self.question.account.is_none_or(|account| account.allows_line_discount)
    }

    /// Chooses discount and price at a quantity (section 4). Returns `None` if there is no price.
    fn outcome(&mut self, quantity: Quantity) -> Option<Outcome<N>> {
        let policy = self.question.policy;
        qualify(&mut self.entries.discounts, quantity, policy);
        qualify(&mut self.entries.prices, quantity, policy);
        let is_own = |entry: &Entry<N>| entry.is_own && entry.is_candidate();
        let has_own = self.may_have_own
            && (self.entries.prices.iter().any(is_own)
                || self.entries.discounts.iter().any(is_own));
        // Of every discount, for the list price and for prices that take any discount.
        let highest = self.best_discount(|_| true);
        let outcome = if has_own { self.permitted_pair(highest) } else { self.any_pair(highest) };
        let Some(mut outcome) = outcome else {
            if self.with_verdicts {
                self.judge_discounts(None, highest, true);
            }
            return None;
        };
        if self.with_verdicts {
            self.judge_prices(&outcome, highest);
        }
        if self.is_above_list_price(&outcome, highest)
            && let Some(list_price) = self.list_price
        {
            let dropped = outcome.price.and_then(|price| self.entries.prices.get_mut(price));
            if let Some(entry) = dropped {
                entry.verdict = Verdict::AboveListPrice;
            }
            outcome = self.of_list_price(list_price, highest);
        }
        if self.with_verdicts {
            self.judge_discounts(outcome.price, outcome.discount, outcome.discount_allowed);
        }
        Some(outcome)
    }

    /// Returns the index of the best discount that `permits` admits.
    fn best_discount(&self, permits: impl Fn(&Entry<N>) -> bool) -> Option<usize> {
        let lines = self.lines;
        best(&self.entries.discounts, |place| discount_at(lines, place), permits)
    }

    /// Returns the percentage of a discount entry.
    fn percent(&self, discount: Option<usize>) -> Percent {
        let line = discount.and_then(|winner| self.discount_line(winner));
        line.map_or(Percent::ZERO, |line| line.percent)
    }

    fn of_list_price(&self, list_price: N, discount: Option<usize>) -> Outcome<N> {
        let discount_allowed = self.list_price_allows_discount();
        let percent = if discount_allowed { self.percent(discount) } else { Percent::ZERO };
        Outcome { unit_price: list_price, percent, price: None, discount, discount_allowed }
    }

    fn of_price(&self, price: usize, discount: Option<usize>) -> Option<Outcome<N>> {
        let entry = self.entries.prices.get(price)?;
        let (unit_price, discount_allowed) = (entry.unit_price, entry.allows_discount);
        let percent = if discount_allowed { self.percent(discount) } else { Percent::ZERO };
        Some(Outcome { unit_price, percent, price: Some(price), discount, discount_allowed })
    }

    /// Chooses the price with the lowest net after the highest discount (sections 4.1 to 4.3).
    fn any_pair(&mut self, highest: Option<usize>) -> Option<Outcome<N>> {
        let rest = self.percent(highest).rest();
        for entry in &mut self.entries.prices {
            entry.score = net(entry.unit_price, rest, entry.allows_discount);
        }
        let lines = self.lines;
        match best(&self.entries.prices, |place| lines.prices.get(place), |_| true) {
            Some(price) => self.of_price(price, highest),
            None => self.list_price.map(|list_price| self.of_list_price(list_price, highest)),
        }
    }

    /// Chooses among the pairs that are permitted if a line of a campaign that combines only with
    /// itself is a candidate (section 4.7).
    fn permitted_pair(&mut self, highest: Option<usize>) -> Option<Outcome<N>> {
        for index in 0..self.entries.prices.len() {
            let discount = self.discount_permitted_to(index);
            let rest = self.percent(discount).rest();
            if let Some(entry) = self.entries.prices.get_mut(index) {
                entry.score = net(entry.unit_price, rest, entry.allows_discount);
            }
        }
        let lines = self.lines;
        let price = best(&self.entries.prices, |place| lines.prices.get(place), |_| true);
        let Some(of_price) =
            price.and_then(|price| self.of_price(price, self.discount_permitted_to(price)))
        else {
            return self.list_price.map(|list_price| self.of_list_price(list_price, highest));
        };
        // The list price competes with a discount of such a campaign, and loses ties.
        let own_discount = self.best_discount(|entry| entry.is_own);
        let of_list_price = self
            .list_price
            .filter(|_| own_discount.is_some() && self.list_price_allows_discount())
            .map(|list_price| self.of_list_price(list_price, own_discount))
            .filter(|of_list_price| of_list_price.net() < of_price.net());
        Some(of_list_price.unwrap_or(of_price))
    }

    /// Returns the highest discount that may be combined with a price.
    fn discount_permitted_to(&self, price: usize) -> Option<usize> {
        let price = self.entries.prices.get(price)?;
        self.best_discount(|discount| combines(price, discount))
    }

    /// Returns whether the net is above that of the list price, and the policy forbids that
    /// (section 4.3).
    fn is_above_list_price(&self, outcome: &Outcome<N>, highest: Option<usize>) -> bool {
        self.question.policy.never_above_list_price
            && outcome.price.is_some()
            && self.list_price.is_some_and(|list_price| {
                outcome.net() > self.of_list_price(list_price, highest).net()
            })
    }

    /// Writes the verdicts of the price candidates that lost.
    fn judge_prices(&mut self, outcome: &Outcome<N>, highest: Option<usize>) {
        let winning_net = outcome.net();
        let rest = self.percent(highest).rest();
        // It would have won with a discount that it must not be combined with.
        let would_win =
            |entry: &Entry<N>| net(entry.unit_price, rest, entry.allows_discount) < winning_net;
        judge(&mut self.entries.prices, outcome.price, |entry| {
            if entry.score == winning_net {
                Verdict::Tie
            } else if would_win(entry) {
                Verdict::NotCombinable
            } else {
                Verdict::HigherNet
            }
        });
    }

    /// Writes the verdicts of the discount candidates that lost, and of one that won under a price
    /// that allows none.
    fn judge_discounts(&mut self, price: Option<usize>, discount: Option<usize>, allowed: bool) {
        let price = price.and_then(|price| self.entries.prices.get(price).copied());
        let chosen = discount.and_then(|index| self.entries.discounts.get(index));
        let chosen = chosen.map(|entry| entry.score);
        let is_permitted = |discount: &Entry<N>| match price {
            Some(price) => combines(&price, discount),
            // Beside prices, the list price competes only with some discounts. A higher one was
            // not among them.
            None => chosen.is_some_and(|score| discount.score >= score),
        };
        judge(&mut self.entries.discounts, discount, |entry| {
            if !is_permitted(entry) {
                Verdict::NotCombinable
            } else if Some(entry.score) == chosen {
                Verdict::Tie
            } else {
                Verdict::LowerDiscount
            }
        });
        if !allowed
            && let Some(winner) = discount
            && let Some(entry) = self.entries.discounts.get_mut(winner)
        {
            entry.verdict = Verdict::LineDiscountNotAllowed;
        }
    }

    /// Builds the answer. The next break is computed last, because its contests overwrite the
    /// entries.
    fn answer(&mut self, outcome: &Outcome<N>) -> Result<Answer<'a>, Unpriced> {
        let too_large = Unpriced::AmountTooLarge;
        let target = &self.question.target;
        let unit_price = to_amount(outcome.unit_price).ok_or(too_large)?;
        let list_price =
            self.list_price.map(|price| to_amount(price).ok_or(too_large)).transpose()?;
        let gross = target.gross(self.question.quantity, unit_price).ok_or(too_large)?;
        let discount_amount = target.discount_amount(gross, outcome.percent).ok_or(too_large)?;
        let line_amount = gross
            .units()
            .checked_sub(discount_amount.units())
            .and_then(Amount::from_units)
            .ok_or(too_large)?;
        let price_entry = outcome.price.and_then(|winner| self.entries.prices.get(winner));
        Ok(Answer {
            unit_price,
            percent: outcome.percent,
            net_unit_price: net_unit_price(unit_price, outcome.percent),
            gross,
            discount_amount,
            line_amount,
            list_price,
            price_line: price_entry.and_then(|entry| self.lines.prices.get(entry.place)),
            discount_line: outcome
                .discount
                .filter(|_| outcome.discount_allowed)
                .and_then(|winner| self.discount_line(winner)),
            valid_until: self.valid_until,
            next_break: self.next_break(outcome),
        })
    }

    /// Returns the line of a discount entry.
    fn discount_line(&self, winner: usize) -> Option<&'a DiscountLine> {
        let place = self.entries.discounts.get(winner)?.place;
        discount_at(self.lines, place)
    }

    /// Finds the next quantity at which one unit has a lower net. It resolves the question again at
    /// each quantity from which another line counts.
    ///
    /// Most of these quantities can be skipped. A larger quantity only adds lines, and a line that
    /// was dropped for another stays dropped. So if the net first falls at the quantity of a price
    /// line, that line has won there. It can only win if its price, less the highest discount, is
    /// below the current net. This holds only if every price can be answered. A price that is too
    /// large is skipped, and another line may win later.
    fn next_break(&mut self, now: &Outcome<N>) -> Option<Break> {
        self.with_verdicts = false;
        let now_net = now.net();
        let of_discounts = self
            .entries
            .discounts
            .iter()
            .filter_map(|entry| u32::try_from(entry.score.to_u128()?).ok());
        let least_rest = of_discounts.min().unwrap_or(WHOLE);
        let may_win = |entry: &Entry<N>| {
            !N::IS_ANSWERABLE || net(entry.unit_price, least_rest, entry.allows_discount) < now_net
        };
        let mut quantity = self.question.quantity;
        loop {
            let later = |entry: &&Entry<N>| entry.threshold > quantity.units();
            let prices = self.entries.prices.iter().filter(later).filter(|entry| may_win(entry));
            let next = prices
                .chain(self.entries.discounts.iter().filter(later))
                .map(|entry| entry.threshold)
                .min()?;
            quantity = Quantity::from_units(next)?;
            if let Some(then) = self.outcome(quantity)
                && then.net() < now_net
                && let Some(unit_price) = to_amount(then.unit_price)
            {
                return Some(Break { quantity, unit_price, percent: then.percent });
            }
        }
    }

    /// Reports the verdict on each line to the observer. Lines in the contest have its verdicts,
    /// the others that of the rule that excluded them.
    fn report<O: Observer<'a>>(&mut self, outcome: Option<&Outcome<N>>, observer: &mut O) {
        let lines = self.lines;
        let chosen = outcome
            .and_then(|outcome| outcome.discount)
            .and_then(|winner| self.entries.discounts.get(winner));
        let percent = chosen
            .and_then(|entry| discount_at(lines, entry.place))
            .map_or(Percent::ZERO, |line| line.percent);
        // The entries are in the order of the lines. A line between two of them is not in the
        // contest.
        let mut place_of_next = 0;
        for (place, line) in lines.discounts().enumerate() {
            match self.entries.discounts.get(place_of_next).filter(|entry| entry.place == place) {
                Some(entry) => {
                    place_of_next += 1;
                    observer.discount(line, entry.verdict);
                }
                None => {
                    if let Err(verdict) = self.examine(line) {
                        observer.discount(line, verdict);
                    }
                }
            }
        }
        let mut place_of_next = 0;
        for (place, line) in lines.prices.iter().enumerate() {
            match self.entries.prices.get(place_of_next).filter(|entry| entry.place == place) {
                Some(entry) => {
                    place_of_next += 1;
                    observer.price(
                        line,
                        entry.verdict,
                        to_amount(entry.unit_price).zip(entry.score.to_u128()),
                    );
                }
                None => {
                    if let Err(verdict) = self.examine(line) {
                        let convertible = self.fits_unit(&line.conditions)
                            && self.fits_currency(&line.conditions);
                        let price = convertible
                            .then(|| {
                                self.question
                                    .target
                                    .convert_to_amount(line.unit_price, self.given(line))
                            })
                            .flatten();
                        let with_net = |price: Amount| {
                            (price, net(price.units(), percent.rest(), line.allow_line_discount))
                        };
                        observer.price(line, verdict, price.map(with_net));
                    }
                }
            }
        }
        observer.discount_allowed(outcome.is_none_or(|outcome| outcome.discount_allowed));
    }
}

/// Returns whether a price and a discount may be combined: the lines of a campaign that combines
/// only with itself need each other (`docs/pricing-rules.md` section 4.7).
fn combines<N>(price: &Entry<N>, discount: &Entry<N>) -> bool {
    if price.is_own || discount.is_own {
        price.campaign.is_some() && price.campaign == discount.campaign
    } else {
        true
    }
}

/// Returns the discount line at an index in the order of [`Lines::discounts`].
fn discount_at(lines: Lines<'_>, place: usize) -> Option<&DiscountLine> {
    let Some(place) = place.checked_sub(lines.item_discounts.len()) else {
        return lines.item_discounts.get(place);
    };
    match place.checked_sub(lines.group_discounts.len()) {
        None => lines.group_discounts.get(place),
        Some(place) => lines.all_item_discounts.get(place),
    }
}
