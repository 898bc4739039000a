//! Prices every class of accounts at every point of the affected items, in both books.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::NaiveDate;
use price_book::quote::answer::{Quote, QuoteLine};
use price_book::quote::quote;
use price_book::quote::request::{QuoteParty, QuoteRequest, RequestLine};
use price_book::snapshot::{FoundItem, Item, Snapshot};
use pricing::line::{Code, Conditions, Source};
use pricing::resolve::{Book, Lines};
use roaring::RoaringBitmap;
use values::Quantity;

use super::affected::{Affected, AffectedItem, AffectedLine, period};
use super::classes::{AccountScope, Classifier, Partition, Profile, TooManyClasses};
use super::net::{NetPrice, Terms};
use super::points::{Points, PricePoint};

/// Maximum number of comparisons: the sum of classes × points × days of all items. Each takes two
/// quotes, about two microseconds.
pub const MAX_COMPARISONS: u64 = 4_000_000;

/// The comparison would exceed one of its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge {
    /// The bound that was exceeded.
    pub bound: Bound,
    /// The number of comparisons that were made.
    pub comparisons: u64,
}

/// A bound of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// [`MAX_COMPARISONS`].
    Comparisons,
    /// [`MAX_CLASSES`](super::classes::MAX_CLASSES).
    Classes,
}

/// The days on which prices are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Days {
    /// One day.
    Only(NaiveDate),
    /// A day, and each later one on which a line for the item starts or has ended. On every other
    /// day the prices are those of the last of these days before it.
    From(NaiveDate),
    /// As `From` the first day, and in any case the second.
    FromAnd(NaiveDate, NaiveDate),
}

/// The step after a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// The next comparison.
    Continue,
    /// The next item.
    NextItem,
}

/// Accounts that pay the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class<'a> {
    /// The number of accounts; 0 for nobody in particular.
    pub accounts: u64,
    /// The contact number of one of the accounts; `None` for nobody in particular.
    pub account: Option<&'a str>,
}

/// The price of a class at a point on a day, in both books.
#[derive(Debug, Clone, Copy)]
pub struct Comparison<'a> {
    /// The number of the item.
    pub item_number: &'a str,
    /// The item, as in the second book; as in the first if the second does not contain it.
    pub item: &'a Item,
    /// The point.
    pub point: PricePoint,
    /// The day.
    pub day: NaiveDate,
    /// The accounts.
    pub class: Class<'a>,
    /// The terms of the price in the second book.
    pub terms: Terms,
    /// The terms of the price in the first book. They differ if the item's tax rate or units do.
    pub terms_before: Terms,
    /// The price in the first book, if there is one.
    pub before: Option<NetPrice<'a>>,
    /// The price in the second book, if there is one.
    pub after: Option<NetPrice<'a>>,
}

impl Comparison<'_> {
    /// Returns whether the net in local currency and without tax is lower in the second book, or
    /// exists only there.
    #[must_use]
    pub fn is_lower(&self) -> bool {
        match (&self.before, &self.after) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(before), Some(after)) => {
                self.terms.is_lower(after.net(), self.terms_before, before.net())
            }
        }
    }
}

/// The numbers of a finished comparison.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// The number of comparisons.
    pub comparisons: u64,
    /// The largest number of classes of one item.
    pub classes: usize,
    /// The number of items.
    pub items: usize,
}

/// A comparison of two books.
pub struct Comparer<'a> {
    before: &'a Snapshot,
    after: &'a Snapshot,
    affected: &'a Affected,
    classifier: Classifier<'a>,
    size: Size,
    max_comparisons: u64,
}

/// The lines of an item in both books, and what is affected.
struct ItemContext<'a> {
    number: &'a str,
    item: &'a Item,
    before: Option<FoundItem<'a>>,
    after: Option<FoundItem<'a>>,
    affected: AffectedItem,
}

impl<'a> ItemContext<'a> {
    /// Passes the conditions of all lines of both books that are granted to somebody.
    fn each_line(&self, books: [&Snapshot; 2], mut pass: impl FnMut(&Snapshot, &Conditions)) {
        for (book, found) in books.into_iter().zip([self.before, self.after]) {
            for conditions in found.iter().flat_map(|found| conditions_of(found.lines)) {
                pass(book, conditions);
            }
        }
    }
}

fn conditions_of(lines: Lines<'_>) -> impl Iterator<Item = &Conditions> {
    let discounts = lines.discounts().map(|line| &line.conditions);
    lines.prices.iter().map(|line| &line.conditions).chain(discounts)
}

/// A quote request for the points of one currency.
struct PointRequest<'a> {
    currency: Option<Code>,
    points: Vec<PricePoint>,
    request: QuoteRequest<'a>,
}

impl<'a> Comparer<'a> {
    /// Creates a comparison. `after` has to be an advanced version of `before`, or the other way
    /// round, so that both number their codes alike.
    #[must_use]
    pub fn new(before: &'a Snapshot, after: &'a Snapshot, affected: &'a Affected) -> Self {
        let classifier = Classifier::new(before, after);
        let (size, max_comparisons) = (Size::default(), MAX_COMPARISONS);
        Self { before, after, affected, classifier, size, max_comparisons }
    }

    /// Returns the comparison with another bound than [`MAX_COMPARISONS`].
    #[must_use]
    pub fn limited_to(self, max_comparisons: u64) -> Self {
        Self { max_comparisons, ..self }
    }

    /// Returns the numbers of the comparison so far.
    #[must_use]
    pub const fn size(&self) -> Size {
        self.size
    }

    /// Compares the prices of all affected items.
    ///
    /// # Errors
    /// If a bound is exceeded. What was passed to `visit` is incomplete then.
    pub fn compare(
        &mut self,
        days: Days,
        visit: &mut impl FnMut(&Comparison<'_>) -> Next,
    ) -> Result<Size, TooLarge> {
        for number in self.affected.items(self.before, self.after) {
            self.compare_item(number, days, visit)?;
        }
        Ok(self.size)
    }

    /// Compares the prices of one item.
    ///
    /// # Errors
    /// As [`Comparer::compare`].
    pub fn compare_item(
        &mut self,
        number: &'a str,
        days: Days,
        visit: &mut impl FnMut(&Comparison<'_>) -> Next,
    ) -> Result<(), TooLarge> {
        let Some(context) = self.context(number) else { return Ok(()) };
        let profile = self.profile(&context);
        let partition = self.classifier.partition(&profile).map_err(|TooManyClasses| TooLarge {
            bound: Bound::Classes,
            comparisons: self.size.comparisons,
        })?;
        self.size.items = self.size.items.saturating_add(1);
        let own = self.own_lines(&context, &partition);
        for day in self.days(&context, days) {
            let next = self.compare_classes(&context, &partition, &own, day, visit)?;
            if next == Next::NextItem {
                break;
            }
        }
        Ok(())
    }

    /// Compares the prices of one account for one item on a day, in the order of the points.
    pub fn compare_account(
        &self,
        number: &'a str,
        account: u32,
        day: NaiveDate,
        visit: &mut impl FnMut(&Comparison<'_>) -> Next,
    ) -> Next {
        let (Some(context), Some(name)) = (self.context(number), self.name(account)) else {
            return Next::Continue;
        };
        let currency = self.currency_of(account);
        let class = Class { accounts: 1, account: Some(name) };
        let mut requests = self.requests_for(&context, Some(account), day);
        self.answer(&context, class, currency, &mut requests, visit)
    }

    /// Compares all classes of an item on a day.
    fn compare_classes(
        &mut self,
        context: &ItemContext<'a>,
        partition: &Arc<Partition>,
        own: &RoaringBitmap,
        day: NaiveDate,
        visit: &mut impl FnMut(&Comparison<'_>) -> Next,
    ) -> Result<Next, TooLarge> {
        let sources = self.shared_sources(context, partition, day);
        let own_count = usize::try_from(own.len()).unwrap_or(usize::MAX);
        let anybody = usize::from(partition.includes_anybody);
        let classes = partition.classes.len().saturating_add(anybody);
        self.size.classes = self.size.classes.max(classes.saturating_add(own_count));
        let groups = partition.classes.iter().filter_map(|set| {
            let accounts = set.accounts.len().saturating_sub(set.accounts.intersection_len(own));
            let representative = if own.is_empty() {
                set.accounts.min()
            } else {
                set.accounts.iter().find(|account| !own.contains(*account))
            };
            let account = representative.filter(|_| accounts > 0)?;
            let class = Class { accounts, account: Some(self.after.number_of_ordinal(account)?) };
            Some((class, Some(account), set.currency))
        });
        let anybody = partition.includes_anybody.then_some((
            Class { accounts: 0, account: None },
            None,
            None,
        ));
        // Most classes are granted lines of the same sources, and have the same points.
        let mut requests: HashMap<Vec<bool>, Vec<PointRequest<'a>>> = HashMap::new();
        let classes: Vec<_> = groups.chain(anybody).collect();
        for (class, account, currency) in classes {
            let granted: Vec<bool> =
                sources.iter().map(|source| self.is_granted(*source, account)).collect();
            let requests = match requests.get_mut(&granted) {
                Some(requests) => requests,
                None => {
                    let new = self.requests_for(context, account, day);
                    requests.entry(granted).or_insert(new)
                }
            };
            self.count(requests.iter().map(|request| request.points.len()).sum())?;
            if self.answer(context, class, currency, requests, visit) == Next::NextItem {
                return Ok(Next::NextItem);
            }
        }
        for account in own {
            let mut comparisons = 0_usize;
            let next = self.compare_account(context.number, account, day, &mut |comparison| {
                comparisons = comparisons.saturating_add(1);
                visit(comparison)
            });
            self.count(comparisons)?;
            if next == Next::NextItem {
                return Ok(Next::NextItem);
            }
        }
        Ok(Next::Continue)
    }

    /// Counts comparisons against the bound.
    fn count(&mut self, comparisons: usize) -> Result<(), TooLarge> {
        let comparisons = u64::try_from(comparisons).unwrap_or(u64::MAX);
        self.size.comparisons = self.size.comparisons.saturating_add(comparisons);
        if self.size.comparisons > self.max_comparisons {
            let comparisons = self.size.comparisons.saturating_sub(comparisons);
            return Err(TooLarge { bound: Bound::Comparisons, comparisons });
        }
        Ok(())
    }

    /// Returns the lines of an item in both books. `None` if neither contains it.
    fn context(&self, number: &'a str) -> Option<ItemContext<'a>> {
        let before = self.before.find_item(number);
        let after = self.after.find_item(number);
        let item = after.or(before)?.item;
        let affected = self.affected.of_item(self.before, self.after, number);
        Some(ItemContext { number, item, before, after, affected })
    }

    /// Returns the groups and campaigns that can matter for an item, and the accounts whose prices
    /// can differ.
    fn profile(&self, context: &ItemContext<'a>) -> Profile {
        let mut profile = Profile::default();
        context.each_line([self.before, self.after], |book, conditions| match conditions.source {
            Source::PriceGroup(code) => profile.price_groups.push(code),
            Source::DiscountGroup(code) => profile.discount_groups.push(code),
            Source::Campaign(campaign) => {
                if book.campaign(campaign).is_some() {
                    profile.campaigns.push(campaign);
                }
            }
            Source::Contact(_) | Source::AllCustomers => {}
        });
        let scopes = context.affected.lines.iter().filter_map(|line| match line.source {
            Source::AllCustomers => Some(AccountScope::All),
            Source::PriceGroup(code) => Some(AccountScope::PriceGroup(code)),
            Source::DiscountGroup(code) => Some(AccountScope::DiscountGroup(code)),
            Source::Campaign(campaign) => Some(AccountScope::Campaign(campaign)),
            Source::Contact(contact) => {
                self.after.account_ordinal(contact).map(AccountScope::Account)
            }
        });
        profile.scopes.extend(scopes);
        if context.affected.is_changed {
            profile.scopes.push(AccountScope::All);
        }
        sort(&mut profile.price_groups);
        sort(&mut profile.discount_groups);
        sort(&mut profile.campaigns);
        sort(&mut profile.scopes);
        if profile.scopes.first() == Some(&AccountScope::All) {
            profile.scopes.truncate(1);
        }
        profile
    }

    /// Returns the accounts of a partition that have lines of their own for an item.
    fn own_lines(&self, context: &ItemContext<'a>, partition: &Partition) -> RoaringBitmap {
        let mut own = RoaringBitmap::new();
        context.each_line([self.before, self.after], |book, conditions| {
            if let Source::Contact(contact) = conditions.source
                && let Some(account) = book.account_ordinal(contact)
                && partition.accounts.contains(account)
            {
                own.insert(account);
            }
        });
        own
    }

    /// Returns the days on which prices of an item can differ.
    fn days(&self, context: &ItemContext<'a>, days: Days) -> BTreeSet<NaiveDate> {
        let (first, also) = match days {
            Days::Only(day) => return BTreeSet::from([day]),
            Days::From(first) => (first, None),
            Days::FromAnd(first, also) => (first, Some(also)),
        };
        let mut found = BTreeSet::from([first]);
        context.each_line([self.before, self.after], |book, conditions| {
            let Some(period) = period(book, conditions) else { return };
            let ended = period.ending.and_then(|last| last.succ_opt());
            let changes = [period.starting, ended].into_iter().flatten();
            found.extend(changes.filter(|day| *day > first));
        });
        let is_affected = |day: &NaiveDate| {
            context.affected.is_changed
                || context.affected.lines.iter().any(|line| line.contains(*day))
        };
        found.retain(is_affected);
        found.extend(also);
        found
    }

    /// Returns the sources of an item's lines on a day that grant them to several accounts, each
    /// once.
    fn shared_sources(
        &self,
        context: &ItemContext<'a>,
        partition: &Partition,
        day: NaiveDate,
    ) -> Vec<Source> {
        let mut sources: Vec<Source> = Vec::new();
        context.each_line([self.before, self.after], |book, conditions| {
            let is_shared = match conditions.source {
                Source::Contact(_) | Source::AllCustomers => false,
                Source::Campaign(campaign) => partition.campaigns.contains(&campaign),
                Source::PriceGroup(_) | Source::DiscountGroup(_) => true,
            };
            let is_in_force = || period(book, conditions).is_some_and(|it| it.contains(day));
            if is_shared && !sources.contains(&conditions.source) && is_in_force() {
                sources.push(conditions.source);
            }
        });
        sources
    }

    /// Returns whether a source grants its lines to an account, or to nobody in particular, in one
    /// of the books.
    fn is_granted(&self, source: Source, account: Option<u32>) -> bool {
        match account {
            Some(account) => {
                is_from(self.before, source, account) || is_from(self.after, source, account)
            }
            None => source == Source::AllCustomers,
        }
    }

    /// Returns the requests for an item on a day: the points at which lines can be granted to an
    /// account, or to nobody in particular.
    fn requests_for(
        &self,
        context: &ItemContext<'a>,
        account: Option<u32>,
        day: NaiveDate,
    ) -> Vec<PointRequest<'a>> {
        let is_affected =
            |line: &&AffectedLine| line.contains(day) && self.is_granted(line.source, account);
        let affected: Vec<AffectedLine> =
            context.affected.lines.iter().filter(is_affected).copied().collect();
        if affected.is_empty() && !context.affected.is_changed {
            return Vec::new();
        }
        let mut points = Points::new(self.after, context.item);
        context.each_line([self.before, self.after], |book, conditions| {
            let is_in_force = period(book, conditions).is_some_and(|it| it.contains(day));
            if is_in_force && self.is_granted(conditions.source, account) {
                points.add(conditions);
            }
        });
        self.requests(context, points.points(&context.affected, &affected), day)
    }

    /// Returns one request for each currency of the points.
    fn requests(
        &self,
        context: &ItemContext<'a>,
        points: Vec<PricePoint>,
        day: NaiveDate,
    ) -> Vec<PointRequest<'a>> {
        let mut requests: Vec<PointRequest<'a>> = Vec::new();
        for point in points {
            let text = |code: Code| Cow::Borrowed(self.after.code_text(code));
            let line = RequestLine {
                item_number: Cow::Borrowed(context.number),
                variant_code: point.variant.map(text),
                unit_of_measure_code: point.unit.map(text),
                quantity: point.quantity.into(),
                tax_percent: None,
            };
            // The points are in the order of their currencies.
            match requests.last_mut().filter(|request| request.currency == point.currency) {
                Some(request) => {
                    request.points.push(point);
                    request.request.lines.push(line);
                }
                None => requests.push(PointRequest {
                    currency: point.currency,
                    points: vec![point],
                    request: QuoteRequest {
                        currency_code: point.currency.map(text),
                        lines: vec![line],
                        ..QuoteRequest::on(day)
                    },
                }),
            }
        }
        requests
    }

    /// Quotes the requests for a class in both books, and passes the comparisons on.
    fn answer(
        &self,
        context: &ItemContext<'a>,
        class: Class<'a>,
        currency: Option<Code>,
        requests: &mut [PointRequest<'a>],
        visit: &mut impl FnMut(&Comparison<'_>) -> Next,
    ) -> Next {
        let mut in_own_currency: Vec<PricePoint> = Vec::new();
        for PointRequest { currency: named, points, request } in requests {
            request.party = class
                .account
                .map_or(QuoteParty::Anybody, |account| QuoteParty::Contact(Cow::Borrowed(account)));
            let before = prices(self.before, request);
            let after = prices(self.after, request);
            let foreign = named.or(currency);
            let rate = foreign.and_then(|code| self.after.rate(code, request.date).0);
            let is_repeated = |point: &PricePoint| {
                let own = PricePoint { currency: None, ..*point };
                named.is_some() && *named == currency && in_own_currency.contains(&own)
            };
            for (place, point) in points.iter().enumerate().filter(|(_, it)| !is_repeated(it)) {
                let terms = |found: Option<FoundItem<'_>>, includes_tax: bool| {
                    let item = found.map_or(context.item, |found| found.item);
                    let per_unit = point.unit.and_then(|unit| item.quantity_per_unit(unit));
                    Terms {
                        included_tax: includes_tax.then_some(item.tax),
                        rate,
                        quantity_per_unit: per_unit.unwrap_or(Quantity::ONE),
                    }
                };
                let comparison = Comparison {
                    item_number: context.number,
                    item: context.item,
                    point: *point,
                    day: request.date,
                    class,
                    terms: terms(context.after, after.includes_tax),
                    terms_before: terms(context.before, before.includes_tax),
                    before: before.prices.get(place).copied().flatten(),
                    after: after.prices.get(place).copied().flatten(),
                };
                if visit(&comparison) == Next::NextItem {
                    return Next::NextItem;
                }
            }
            if named.is_none() && currency.is_some() {
                in_own_currency.clone_from(points);
            }
        }
        Next::Continue
    }

    /// Returns the contact number of an account.
    fn name(&self, account: u32) -> Option<&'a str> {
        self.after.number_of_ordinal(account)
    }

    /// Returns the foreign currency of an account's quotes.
    fn currency_of(&self, account: u32) -> Option<Code> {
        let currency = self.after.contact_of_ordinal(account)?.currency;
        currency.filter(|code| Some(*code) != self.after.local_currency())
    }
}

/// Returns whether a source grants its lines to an account.
fn is_from(book: &Snapshot, source: Source, account: u32) -> bool {
    let customer = || book.contact_of_ordinal(account).and_then(|contact| contact.customer);
    match source {
        Source::AllCustomers => true,
        Source::Contact(contact) => book.account_ordinal(contact) == Some(account),
        Source::Campaign(campaign) => {
            book.audience_of(campaign).is_some_and(|audience| audience.contains(account))
        }
        Source::PriceGroup(group) => {
            customer().is_some_and(|customer| customer.price_group == Some(group))
        }
        Source::DiscountGroup(group) => {
            customer().is_some_and(|customer| customer.discount_group == Some(group))
        }
    }
}

/// The prices of a request.
#[derive(Default)]
struct Prices<'a> {
    includes_tax: bool,
    prices: Vec<Option<NetPrice<'a>>>,
}

fn prices<'a>(book: &'a Snapshot, request: &'a QuoteRequest<'_>) -> Prices<'a> {
    let Ok(Quote { prices_include_tax, lines, .. }) = quote(book, request) else {
        return Prices::default();
    };
    let price = |line: &QuoteLine<'a>| match line {
        QuoteLine::Priced(line) => Some(NetPrice::of(line)),
        QuoteLine::Unpriced(_) => None,
    };
    Prices { includes_tax: prices_include_tax, prices: lines.iter().map(price).collect() }
}

/// Sorts a list and removes repetitions.
fn sort<T: Ord>(list: &mut Vec<T>) {
    list.sort_unstable();
    list.dedup();
}
