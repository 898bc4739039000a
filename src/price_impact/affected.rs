//! The lines and items whose change can affect a price.
//!
//! A price of an item can only differ between two books if one of them has a line for it that the
//! other has not, if a campaign's dates or audience differ, or if the item itself differs.
//! Contacts, currencies, exchange rates and settings are taken to be the same in both books.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use uuid::Uuid;

use price_book::facts::{Change, Fact, FactKind};
use price_book::lookup::LineTarget;
use price_book::snapshot::{Item, Snapshot};
use pricing::line::{CampaignIndex, Code, Conditions, Period, Source};
use pricing::resolve::Book;
use values::Amount;

/// A line of one of the two books, with the period in which it is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AffectedLine {
    /// The grantor.
    pub source: Source,
    /// The variant, if the line is limited to one.
    pub variant: Option<Code>,
    /// The unit of measure, if the line is limited to one.
    pub unit: Option<Code>,
    /// The currency, if the line is limited to a foreign one.
    pub currency: Option<Code>,
    /// The minimum quantity, in the line's unit or in base units.
    pub minimum: Amount,
    /// The first day.
    pub starting: Option<NaiveDate>,
    /// The last day.
    pub ending: Option<NaiveDate>,
}

impl AffectedLine {
    /// Returns the line in the terms of a book. `None` for a line of a campaign that is not
    /// published, which is granted to nobody.
    #[must_use]
    pub fn of(book: &Snapshot, conditions: &Conditions) -> Option<Self> {
        let Period { starting, ending } = period(book, conditions)?;
        Some(Self {
            source: conditions.source,
            variant: conditions.variant,
            unit: conditions.unit,
            currency: conditions.currency.filter(|code| Some(*code) != book.local_currency()),
            minimum: conditions.minimum_quantity,
            starting,
            ending,
        })
    }

    /// Returns whether the line is granted on a day.
    #[must_use]
    pub fn contains(&self, day: NaiveDate) -> bool {
        Period { starting: self.starting, ending: self.ending }.contains(day)
    }
}

/// Returns the period of a line: that of its campaign, or its own.
pub(super) fn period(book: &Snapshot, conditions: &Conditions) -> Option<Period> {
    match conditions.source {
        Source::Campaign(campaign) => book.campaign(campaign).map(|terms| terms.period),
        _ => Some(conditions.period),
    }
}

/// The affected lines of an item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AffectedItem {
    /// The affected lines that apply to the item.
    pub lines: Vec<AffectedLine>,
    /// True if the item itself differs, so that all its prices can differ.
    pub is_changed: bool,
}

/// The affected lines of one book, by the items that they apply to.
#[derive(Debug, Clone, Default)]
struct LinesOfBook {
    of_items: BTreeMap<String, Vec<AffectedLine>>,
    of_groups: BTreeMap<Code, Vec<AffectedLine>>,
    of_all_items: Vec<AffectedLine>,
}

impl LinesOfBook {
    fn add(&mut self, target: LineTarget<'_>, line: AffectedLine) {
        let lines = match target {
            LineTarget::Item(number) => match self.of_items.get_mut(number) {
                Some(lines) => lines,
                None => self.of_items.entry(number.to_owned()).or_default(),
            },
            LineTarget::Group(group) => self.of_groups.entry(group).or_default(),
            LineTarget::AllItems => &mut self.of_all_items,
        };
        if !lines.contains(&line) {
            lines.push(line);
        }
    }

    fn is_empty(&self) -> bool {
        self.of_items.is_empty() && self.of_groups.is_empty() && self.of_all_items.is_empty()
    }

    /// Returns whether every line names its item.
    fn has_only_named_items(&self) -> bool {
        self.of_groups.is_empty() && self.of_all_items.is_empty()
    }

    /// Returns the lines that apply to an item of the book.
    fn of_item(&self, number: &str, item: &Item) -> impl Iterator<Item = &AffectedLine> {
        let of_group = item.discount_group.and_then(|group| self.of_groups.get(&group));
        self.of_all_items
            .iter()
            .chain(self.of_items.get(number).into_iter().flatten())
            .chain(of_group.into_iter().flatten())
    }
}

/// The lines and items whose change can affect a price.
#[derive(Debug, Clone, Default)]
pub struct Affected {
    /// The lines as they are in the first book. An item can leave a group while a line for the
    /// group is added, so a line applies to the items of its own book.
    before: LinesOfBook,
    /// The lines as they are in the second book.
    after: LinesOfBook,
    changed_items: BTreeSet<String>,
}

impl Affected {
    /// Adds a line, as it is in both books.
    pub fn add_line(&mut self, before: &Snapshot, after: &Snapshot, id: Uuid) {
        for (book, lines) in [(before, &mut self.before), (after, &mut self.after)] {
            if let Some(found) = book.line(id)
                && let Some(line) = AffectedLine::of(book, found.conditions)
            {
                lines.add(found.target, line);
            }
        }
    }

    /// Adds all lines of a campaign, as its dates or its audience differ. It examines all lines of
    /// both books.
    pub fn add_campaign(&mut self, before: &Snapshot, after: &Snapshot, campaign: CampaignIndex) {
        for id in before.campaign_lines(campaign).into_iter().chain(after.campaign_lines(campaign))
        {
            self.add_line(before, after, id);
        }
    }

    /// Adds an item that differs.
    pub fn add_item(&mut self, number: &str) {
        self.changed_items.insert(number.to_owned());
    }

    /// Returns what the changes between two books affect. Changes of contacts, currencies, exchange
    /// rates and settings are ignored. So are the audiences of campaigns that `has_audience`
    /// excludes.
    #[must_use]
    pub fn of_changes(
        before: &Snapshot,
        after: &Snapshot,
        changes: &[Change],
        has_audience: impl Fn(&str) -> bool,
    ) -> Self {
        let mut affected = Self::default();
        let mut campaigns = BTreeSet::new();
        for change in changes {
            let (kind, key) = match change {
                Change::Put { key, fact, .. } => (fact.kind(), key),
                Change::Remove { kind, key } => (*kind, key),
                Change::AudienceAdd { campaign, accounts }
                | Change::AudienceRemove { campaign, accounts } => {
                    if !accounts.is_empty() && has_audience(campaign) {
                        campaigns.insert(campaign.as_str());
                    }
                    continue;
                }
            };
            match kind {
                FactKind::Item => {
                    if affects_prices(before, change, key) {
                        affected.add_item(key);
                    }
                }
                FactKind::Campaign => {
                    campaigns.insert(key.as_str());
                }
                FactKind::PriceLine | FactKind::DiscountLine => {
                    if let Ok(id) = Uuid::try_parse(key) {
                        affected.add_line(before, after, id);
                    }
                }
                FactKind::Settings
                | FactKind::Currency
                | FactKind::ExchangeRate
                | FactKind::Contact => {}
            }
        }
        for campaign in campaigns {
            if let Some(index) = after.find_campaign(campaign) {
                affected.add_campaign(before, after, index);
            }
        }
        affected
    }

    /// Returns whether nothing is affected.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty() && self.changed_items.is_empty()
    }

    /// Returns the numbers of the affected items that exist in either book, in order.
    #[must_use]
    pub fn items<'a>(&self, before: &'a Snapshot, after: &'a Snapshot) -> Vec<&'a str> {
        let mut numbers: Vec<&str> = Vec::new();
        for (book, lines) in [(before, &self.before), (after, &self.after)] {
            let named = lines.of_items.keys().chain(&self.changed_items);
            numbers.extend(named.filter_map(|number| book.item_number(number)));
            if !lines.has_only_named_items() {
                let items = book
                    .items()
                    .filter(|(number, found)| lines.of_item(number, found.item).next().is_some());
                numbers.extend(items.map(|(number, _)| number));
            }
        }
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Returns the affected lines that apply to an item in either book.
    #[must_use]
    pub fn of_item(&self, before: &Snapshot, after: &Snapshot, number: &str) -> AffectedItem {
        let mut affected =
            AffectedItem { lines: Vec::new(), is_changed: self.changed_items.contains(number) };
        for (book, lines) in [(before, &self.before), (after, &self.after)] {
            let found = book.find_item(number).into_iter();
            for line in found.flat_map(|found| lines.of_item(number, found.item)) {
                if !affected.lines.contains(line) {
                    affected.lines.push(*line);
                }
            }
        }
        affected
    }
}

/// Returns whether the change of an item can affect a price. A change of its cost alone cannot.
fn affects_prices(before: &Snapshot, change: &Change, number: &str) -> bool {
    let (Change::Put { fact: Fact::Item(item), .. }, Some(known)) = (change, before.item(number))
    else {
        return true;
    };
    let mut same_cost = known;
    same_cost.unit_cost = item.unit_cost;
    same_cost != *item
}
