//! The one resolver: from the lines that lie at an item to the price of a question, with all that
//! is said about it.
//!
//! Quote, explanation, plan and statistics all come here. An [`Observer`] may look on; a plain
//! quote has none, and the compiler leaves out what would only serve one.

use chrono::NaiveDate;
use ethnum::U256;

use super::contest::{Entry, Specificity, decide};
use super::convert::{Beyond128Bits, Given, Number, Target, WHOLE, item_history};
use super::exact::{Amount, Percent, Positive};
use super::line::{
    CampaignIndex, Code, Conditions, ContactIndex, DiscountLine, Line, Period, PriceLine, Source,
};
use super::policy::Policy;
use super::verdict::Verdict;
use crate::values::enums::SourceType;

/// What the resolver has to know beyond the lines.
pub trait Book {
    /// The account that a contact belongs to now.
    fn account_of(&self, contact: ContactIndex) -> ContactIndex;
    /// The dates of a campaign; `None` when it is not published.
    fn campaign_period(&self, campaign: CampaignIndex) -> Option<Period>;
    /// Whether the campaign's audience holds the account.
    fn is_in_audience(&self, campaign: CampaignIndex, account: ContactIndex) -> bool;
}

/// Whose prices are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    /// The account's contact.
    pub contact: ContactIndex,
    /// The customer's group for prices.
    pub price_group: Option<Code>,
    /// The customer's group for discounts.
    pub discount_group: Option<Code>,
    /// Whether line discounts come on top of the list price.
    pub allows_line_discount: bool,
}

/// Which campaigns count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Campaigns {
    /// All.
    Any,
    /// Only the one that the request names; `None` when the price book has never heard of it.
    Only(Option<CampaignIndex>),
}

/// The item, as far as the question needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ItemTerms {
    /// In local currency, per base unit.
    pub list_price: Option<Amount>,
    /// Whether the list price includes tax.
    pub includes_tax: bool,
    /// The item's tax rate.
    pub tax: Percent,
}

/// One question.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// Whose prices; `None`: lines for all customers only.
    pub account: Option<Account>,
    /// Which campaigns count.
    pub campaigns: Campaigns,
    /// The date.
    pub date: NaiveDate,
    /// The item.
    pub item: ItemTerms,
    /// The variant.
    pub variant: Option<Code>,
    /// The unit of measure of the quantity.
    pub unit: Code,
    /// How many units.
    pub quantity: Positive,
    /// The currency, if it is a foreign one.
    pub foreign_currency: Option<Code>,
    /// The local currency's own code: on a line it is the same as blank.
    pub local_currency: Option<Code>,
    /// The date on which the next exchange rate begins, if the question is in a foreign currency.
    pub next_rate: Option<NaiveDate>,
    /// What prices are converted to.
    pub target: Target,
    /// The company's policy.
    pub policy: &'a Policy,
}

/// The lines that lie at the item.
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

/// The answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The price of one unit before the discount.
    pub unit_price: Amount,
    /// The discount.
    pub percent: Percent,
    /// Quantity × unit price.
    pub gross: Amount,
    /// The discount on it.
    pub discount_amount: Amount,
    /// What is to be paid.
    pub line_amount: Amount,
    /// The converted list price.
    pub list_price: Option<Amount>,
    /// The winning price line; `None`: the list price.
    pub price_line: Option<&'a PriceLine>,
    /// The winning discount line, if the price allows a discount.
    pub discount_line: Option<&'a DiscountLine>,
    /// The first date after the question's on which the answer can differ.
    pub valid_until: Option<NaiveDate>,
    /// The next quantity from which the net is lower.
    pub next_break: Option<Break>,
}

/// A quantity from which the net is lower than at the question's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Break {
    /// The quantity.
    pub quantity: Positive,
    /// The unit price from there on.
    pub unit_price: Amount,
    /// The discount from there on.
    pub percent: Percent,
}

/// Why a question has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpriced {
    /// No candidate and no list price.
    NoPrice,
    /// A result has more than 15 digits before the point.
    AmountTooLarge,
}

/// Looks on while a question is resolved.
pub trait Observer<'a> {
    /// Whether it wants to be told anything.
    const LISTENS: bool;
    /// What became of a price line: its verdict, and its converted price with its net in units of
    /// 10^-12. There are none for a line in another unit or currency, and for a price that is too
    /// large to be shown.
    fn price(
        &mut self,
        line: &'a PriceLine,
        verdict: Verdict,
        price_and_net: Option<(Amount, u128)>,
    );
    /// What became of a discount line.
    fn discount(&mut self, line: &'a DiscountLine, verdict: Verdict);
    /// Whether the price that was taken allows the discount that was chosen.
    fn discount_allowed(&mut self, allowed: bool);
}

/// Nobody looks on.
#[derive(Debug, Default)]
pub struct Unobserved;

impl<'a> Observer<'a> for Unobserved {
    const LISTENS: bool = false;

    fn price(&mut self, _: &'a PriceLine, _: Verdict, _: Option<(Amount, u128)>) {}

    fn discount(&mut self, _: &'a DiscountLine, _: Verdict) {}

    fn discount_allowed(&mut self, _: bool) {}
}

/// Memory that is used again from question to question, so that a document allocates once.
#[derive(Debug, Default)]
pub struct Scratch {
    item_history: Entries<u128>,
    wide: Entries<U256>,
}

/// The lines that fit a question but for its quantity.
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

/// What is found out about a line on the way to seeing that it fits.
struct Fit {
    /// The least quantity, in units of 0.00001 of the question's unit of measure.
    threshold: u128,
    /// The first day: the line's, or its campaign's.
    starting: Option<NaiveDate>,
    /// The campaign, if that is the source.
    campaign: Option<CampaignIndex>,
}

/// What comes out at one quantity.
struct Outcome<N> {
    unit_price: N,
    /// The discount that is granted.
    percent: Percent,
    /// The winner among the price entries; `None`: the list price.
    price: Option<usize>,
    /// The winner among the discount entries, allowed or not.
    discount: Option<usize>,
    discount_allowed: bool,
}

impl<N: Number> Outcome<N> {
    /// What one unit costs in the end, in units of 10^-12.
    fn net(&self) -> N {
        self.unit_price.less(self.percent.rest())
    }
}

/// A price less the discount, if it allows one; in units of 10^-12, not rounded.
fn net<N: Number>(price: N, rest: u32, allows_discount: bool) -> N {
    price.less(if allows_discount { rest } else { WHOLE })
}

/// Resolves a question against the lines at its item.
///
/// # Errors
/// When there is no price, or one that is too large. The observer has seen the lines nevertheless.
pub fn resolve<'a, B: Book, O: Observer<'a>>(
    book: &B,
    question: &Question<'_>,
    lines: Lines<'a>,
    scratch: &mut Scratch,
    observer: &mut O,
) -> Result<Answer<'a>, Unpriced> {
    match resolve_in(book, question, lines, &mut scratch.item_history, observer) {
        Ok(result) => result,
        Err(Beyond128Bits) => {
            let Ok(result) = resolve_in(book, question, lines, &mut scratch.wide, observer);
            result
        }
    }
}

/// The same, reckoned in one kind of number. When it cannot hold a price, the observer has been
/// told nothing.
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
        told: O::LISTENS,
    };
    resolver.gather()?;
    let outcome = resolver.outcome(question.quantity);
    if O::LISTENS {
        resolver.report(outcome.as_ref(), observer);
    }
    Ok(outcome.ok_or(Unpriced::NoPrice).and_then(|outcome| resolver.answer(&outcome)))
}

/// A question on its way.
struct Resolver<'r, 'a, B, N> {
    book: &'r B,
    question: &'r Question<'r>,
    lines: Lines<'a>,
    entries: &'r mut Entries<N>,
    /// The list price in what the question asks for.
    list_price: Option<N>,
    /// The earliest date after the question's on which something that matters changes.
    valid_until: Option<NaiveDate>,
    /// Whether somebody asks for the verdicts.
    told: bool,
}

impl<'a, B: Book, N: Number> Resolver<'_, 'a, B, N> {
    /// Converts the list price, and finds the lines that fit the question but for its quantity.
    fn gather(&mut self) -> Result<(), N::TooLarge> {
        self.list_price = self.converted_list_price()?;
        self.entries.prices.clear();
        self.entries.discounts.clear();
        let first_for_all =
            self.lines.item_discounts.len().saturating_add(self.lines.group_discounts.len());
        for (place, line) in discounts(self.lines).enumerate() {
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

    /// Tries the rules of section 2 but for the last, in the order of section 6: what the contest
    /// has to know, or the verdict of the first rule that drops the line. On the way notes when the
    /// line's dates will matter.
    #[inline]
    fn examine<L: Line>(&mut self, line: &L) -> Result<Fit, Verdict> {
        let conditions = line.conditions();
        let (campaign, period) = self.grant::<L>(conditions)?;
        if conditions.variant.is_some() && conditions.variant != self.question.variant {
            return Err(Verdict::OtherVariant);
        }
        if !self.fits_unit(conditions) {
            return Err(Verdict::OtherUnit);
        }
        if !self.fits_currency(conditions) {
            return Err(Verdict::OtherCurrency);
        }
        let threshold = self.threshold(conditions);
        if threshold <= self.question.quantity.units()
            && let Some(change) = period.next_change(self.question.date)
        {
            self.valid_until = Some(self.valid_until.map_or(change, |until| until.min(change)));
        }
        if !period.contains(self.question.date) {
            return Err(Verdict::OutsideDates);
        }
        Ok(Fit { threshold, starting: period.starting, campaign })
    }

    /// The entry of a line that fits, as far as prices and discounts have it in common.
    #[inline]
    fn entry(&self, conditions: &Conditions, place: usize, fit: Fit) -> Entry<N> {
        Entry {
            place,
            score: 0.into(),
            unit_price: 0.into(),
            threshold: fit.threshold,
            starting: fit.starting,
            source: conditions.source.kind(),
            campaign: fit.campaign,
            specificity: Specificity::new(
                self.foreign(conditions).is_some(),
                conditions.variant.is_some(),
            ),
            for_all_items: false,
            allows_discount: false,
            verdict: Verdict::Chosen,
        }
    }

    /// Whether the line is granted to the account (section 2.1): its campaign, if it has one, and
    /// the dates that count.
    fn grant<L: Line>(
        &self,
        conditions: &Conditions,
    ) -> Result<(Option<CampaignIndex>, Period), Verdict> {
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
        if granted { Ok((None, conditions.period)) } else { Err(Verdict::OtherSource) }
    }

    fn grant_by_campaign(
        &self,
        campaign: CampaignIndex,
    ) -> Result<(Option<CampaignIndex>, Period), Verdict> {
        let period = self.book.campaign_period(campaign).ok_or(Verdict::NotPublished)?;
        if !self
            .question
            .account
            .is_some_and(|account| self.book.is_in_audience(campaign, account.contact))
        {
            return Err(Verdict::NotInAudience);
        }
        match self.question.campaigns {
            Campaigns::Only(named) if named != Some(campaign) => Err(Verdict::OtherCampaign),
            _ => Ok((Some(campaign), period)),
        }
    }

    fn fits_unit(&self, conditions: &Conditions) -> bool {
        conditions.unit.is_none_or(|unit| unit == self.question.unit)
    }

    fn fits_currency(&self, conditions: &Conditions) -> bool {
        self.foreign(conditions)
            .is_none_or(|currency| self.question.foreign_currency == Some(currency))
    }

    /// The foreign currency that a line fixes; the local one's own code fixes nothing.
    fn foreign(&self, conditions: &Conditions) -> Option<Code> {
        conditions.currency.filter(|currency| Some(*currency) != self.question.local_currency)
    }

    /// The least quantity of the question's unit at which the line counts (section 2.7). For a line
    /// per base unit that is its minimum quantity over the quantity per unit. Rounding that up to
    /// the five places that a quantity has changes nothing: no quantity lies in between. Below
    /// 10^20 × 10^5 it fits.
    fn threshold(&self, conditions: &Conditions) -> u128 {
        let minimum = conditions.minimum_quantity.units();
        let per_unit = self.question.target.quantity_per_unit;
        if conditions.unit.is_some() || per_unit == Positive::ONE || minimum == 0 {
            return minimum;
        }
        minimum.saturating_mul(Positive::ONE.units()).div_ceil(per_unit.units())
    }

    /// In what the line's price is given.
    fn given(&self, line: &PriceLine) -> Given {
        Given {
            includes_tax: line.includes_tax,
            tax: line.tax.unwrap_or(self.question.item.tax),
            per_base_unit: line.conditions.unit.is_none(),
            in_local_currency: self.foreign(&line.conditions).is_none(),
        }
    }

    /// The line's price in what the question asks for.
    fn converted(&self, line: &PriceLine) -> Result<N, N::TooLarge> {
        self.question.target.convert(line.unit_price, self.given(line))
    }

    /// The list price in what the question asks for.
    fn converted_list_price(&self) -> Result<Option<N>, N::TooLarge> {
        let ItemTerms { list_price, includes_tax, tax } = self.question.item;
        let given = Given { includes_tax, tax, per_base_unit: true, in_local_currency: true };
        list_price.map(|price| self.question.target.convert(price, given)).transpose()
    }

    /// Whether the list price allows a discount: the account's flag says it.
    fn list_price_allows_discount(&self) -> bool {
        self.question.account.is_none_or(|account| account.allows_line_discount)
    }

    /// Chooses discount and price at a quantity (section 4). `None`: there is no price.
    fn outcome(&mut self, quantity: Positive) -> Option<Outcome<N>> {
        let policy = self.question.policy;
        let lines = self.lines;
        let discount = decide(
            &mut self.entries.discounts,
            |place| discount_at(lines, place),
            quantity,
            policy,
            Verdict::LowerDiscount,
            self.told,
        );
        let chosen = discount
            .and_then(|winner| self.discount_line(winner))
            .map_or(Percent::ZERO, |line| line.percent);
        let rest = chosen.rest();
        for entry in &mut self.entries.prices {
            entry.score = net(entry.unit_price, rest, entry.allows_discount);
        }
        let winner = decide(
            &mut self.entries.prices,
            |place| lines.prices.get(place),
            quantity,
            policy,
            Verdict::HigherNet,
            self.told,
        );
        let list_price = self.list_price;
        let list_allows = self.list_price_allows_discount();
        let cap = list_price
            .filter(|_| policy.never_above_list_price)
            .map(|price| net(price, rest, list_allows));

        let (price, unit_price, discount_allowed) = match winner
            .and_then(|winner| self.entries.prices.get_mut(winner).map(|entry| (winner, entry)))
        {
            Some((_, entry)) if cap.is_some_and(|cap| entry.score > cap) => {
                entry.verdict = Verdict::AboveListPrice;
                (None, list_price?, list_allows)
            }
            Some((winner, entry)) => (Some(winner), entry.unit_price, entry.allows_discount),
            None => (None, list_price?, list_allows),
        };
        let percent = if discount_allowed { chosen } else { Percent::ZERO };
        Some(Outcome { unit_price, percent, price, discount, discount_allowed })
    }

    /// Puts the answer together. The next break comes last: looking for it holds further contests.
    fn answer(&mut self, outcome: &Outcome<N>) -> Result<Answer<'a>, Unpriced> {
        let too_large = Unpriced::AmountTooLarge;
        let target = &self.question.target;
        let unit_price = item_history(outcome.unit_price).ok_or(too_large)?;
        let list_price =
            self.list_price.map(|price| item_history(price).ok_or(too_large)).transpose()?;
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

    /// The line of a discount entry.
    fn discount_line(&self, winner: usize) -> Option<&'a DiscountLine> {
        let place = self.entries.discounts.get(winner)?.place;
        discount_at(self.lines, place)
    }

    /// The next quantity at which a unit costs less: the question is resolved again wherever
    /// another line begins to count.
    ///
    /// Not at every such quantity, though. With more quantity, lines are only added, and one that
    /// was dropped for another stays dropped. So if a unit first costs less at the quantity of a
    /// price line, this line itself has won there; and it can only do so if its price, less the
    /// highest discount there is, is lower than what a unit costs now. That holds where every price
    /// can be answered: one that is too large is passed over, and may give way to another line
    /// later.
    fn next_break(&mut self, now: &Outcome<N>) -> Option<Break> {
        self.told = false;
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
            quantity = Positive::from_units(next)?;
            if let Some(then) = self.outcome(quantity)
                && then.net() < now_net
                && let Some(unit_price) = item_history(then.unit_price)
            {
                return Some(Break { quantity, unit_price, percent: then.percent });
            }
        }
    }

    /// Tells the observer what became of each line: of those in the contest by the contest's
    /// verdicts, of the others by the rule that kept them out of it.
    fn report<O: Observer<'a>>(&mut self, outcome: Option<&Outcome<N>>, observer: &mut O) {
        let lines = self.lines;
        let chosen = self.entries.discounts.iter().find(|entry| entry.verdict == Verdict::Chosen);
        let percent = chosen
            .and_then(|entry| discount_at(lines, entry.place))
            .map_or(Percent::ZERO, |line| line.percent);
        // The entries stand in the order of the lines: whatever comes between two of them is not in
        // the contest.
        let mut place_of_next = 0;
        for (place, line) in discounts(lines).enumerate() {
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
                        item_history(entry.unit_price).zip(entry.score.to_u128()),
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

/// All discount lines: of the item, of its group, for all items.
fn discounts(lines: Lines<'_>) -> impl Iterator<Item = &DiscountLine> {
    lines.item_discounts.iter().chain(lines.group_discounts).chain(lines.all_item_discounts)
}

/// The discount line at a place in the order of [`discounts`].
fn discount_at(lines: Lines<'_>, place: usize) -> Option<&DiscountLine> {
    let Some(place) = place.checked_sub(lines.item_discounts.len()) else {
        return lines.item_discounts.get(place);
    };
    match place.checked_sub(lines.group_discounts.len()) {
        None => lines.group_discounts.get(place),
        Some(place) => lines.all_item_discounts.get(place),
    }
}
