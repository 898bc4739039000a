//! A second, slow implementation of `docs/pricing-rules.md`, section by section and with unbounded
//! fractions. The results of the resolver are compared with it. The two share only the facts and
//! the names of the verdicts.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use num_rational::BigRational;
use pricing::verdict::Verdict;
use uuid::Uuid;
use values::Amount;
use values::enums::{Combination, ContactType, PricePolicy};

use super::world::ordinal;
use crate::facts::{
    CampaignFact, Change, ContactFact, CurrencyFact, CustomerFact, Fact, ItemFact, SettingsFact,
    SourceFact,
};
use crate::quote::request::{QuoteParty, QuoteRequest};

/// An unbounded fraction.
pub type Number = BigRational;

/// Parses a decimal as a fraction.
pub fn number(text: &impl ToString) -> Number {
    let text = text.to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    format!("{whole}{fraction}/1{}", "0".repeat(fraction.len())).parse().unwrap()
}

/// A price line or a discount line.
#[derive(Debug, Clone)]
struct Line {
    id: Uuid,
    source: SourceFact,
    item: Option<String>,
    group: Option<String>,
    variant: Option<String>,
    unit: Option<String>,
    currency: Option<String>,
    minimum: Number,
    starting: Option<NaiveDate>,
    ending: Option<NaiveDate>,
    /// The price or the percentage.
    figure: Number,
    allows_discount: bool,
    includes_tax: bool,
    tax: Option<Number>,
}

/// All facts, by key.
#[derive(Debug, Default)]
pub struct World {
    settings: Option<SettingsFact>,
    currencies: BTreeMap<String, CurrencyFact>,
    rates: BTreeMap<(String, NaiveDate), Number>,
    items: BTreeMap<String, ItemFact>,
    contacts: BTreeMap<String, ContactFact>,
    campaigns: BTreeMap<String, CampaignFact>,
    audiences: BTreeSet<(String, u32)>,
    prices: BTreeMap<Uuid, Line>,
    discounts: BTreeMap<Uuid, Line>,
}

/// The result for a question.
#[derive(Debug, Clone, PartialEq)]
pub struct Resolved {
    pub unit_price: Number,
    pub percent: Number,
    pub list_price: Option<Number>,
    pub price_line: Option<Uuid>,
    pub discount_line: Option<Uuid>,
    pub gross: Number,
    pub discount_amount: Number,
}

impl Resolved {
    pub fn net(&self) -> Number {
        &self.unit_price * (number(&100) - &self.percent) / number(&100)
    }
}

/// The answer or the code of the problem, with the verdict on every line.
pub type Outcome = (Result<Resolved, &'static str>, BTreeMap<Uuid, Verdict>);

impl World {
    pub fn new(changes: &[Change]) -> Self {
        let mut world = Self::default();
        for change in changes {
            match change.clone() {
                Change::Put { key, fact, .. } => world.put(key, fact),
                Change::AudienceAdd { campaign, accounts } => {
                    world
                        .audiences
                        .extend(accounts.into_iter().map(|account| (campaign.clone(), account)));
                }
                other => panic!("no part of a world: {other:?}"),
            }
        }
        world
    }

    fn put(&mut self, key: String, fact: Fact) {
        match fact {
            Fact::Settings(fact) => self.settings = Some(fact),
            Fact::Currency(fact) => drop(self.currencies.insert(key, fact)),
            Fact::ExchangeRate(fact) => {
                self.rates.insert((fact.currency_code, fact.starting_date), number(&fact.rate));
            }
            Fact::Item(fact) => drop(self.items.insert(key, fact)),
            Fact::Contact(fact) => drop(self.contacts.insert(key, fact)),
            Fact::Campaign(fact) => drop(self.campaigns.insert(key, fact)),
            Fact::PriceLine(fact) => {
                let id = key.parse().unwrap();
                let line = Line {
                    id,
                    source: fact.source,
                    item: Some(fact.item_number),
                    group: None,
                    variant: fact.variant_code,
                    unit: fact.unit_of_measure_code,
                    currency: fact.currency_code,
                    minimum: number(&fact.minimum_quantity),
                    starting: fact.starting_date,
                    ending: fact.ending_date,
                    figure: number(&fact.unit_price),
                    allows_discount: fact.allow_line_discount,
                    includes_tax: fact.price_includes_tax,
                    tax: fact.tax_percent.map(|percent| number(&percent)),
                };
                self.prices.insert(id, line);
            }
            Fact::DiscountLine(fact) => {
                let id = key.parse().unwrap();
                let line = Line {
                    id,
                    source: fact.source,
                    item: fact.item_number,
                    group: fact.item_discount_group_code,
                    variant: fact.variant_code,
                    unit: fact.unit_of_measure_code,
                    currency: fact.currency_code,
                    minimum: number(&fact.minimum_quantity),
                    starting: fact.starting_date,
                    ending: fact.ending_date,
                    figure: number(&fact.line_discount_percent),
                    allows_discount: false,
                    includes_tax: false,
                    tax: None,
                };
                self.discounts.insert(id, line);
            }
        }
    }

    fn account_of(&self, contact: &str) -> String {
        match self.contacts.get(contact) {
            Some(ContactFact {
                contact_type: ContactType::Person,
                company_number: Some(company),
                ..
            }) => company.clone(),
            _ => contact.to_owned(),
        }
    }

    /// Returns all quantities from which some line counts, in a unit of `quantity_per_unit` base
    /// units.
    pub fn thresholds(&self, quantity_per_unit: &Number) -> BTreeSet<Number> {
        let places = number(&100_000);
        let lines = || self.prices.values().chain(self.discounts.values());
        let per_base_unit =
            lines().map(|line| (&line.minimum / quantity_per_unit * &places).ceil() / &places);
        lines().map(|line| line.minimum.clone()).chain(per_base_unit).collect()
    }

    /// Returns the number of base units in one unit of the item.
    pub fn quantity_per_unit(&self, item: &str, unit: Option<&str>) -> Option<Number> {
        let item = self.items.get(item)?;
        let base = &item.base_unit_of_measure_code;
        match unit {
            Some(unit) if unit != base => item
                .units_of_measure
                .iter()
                .find(|known| known.code == unit)
                .map(|known| number(&known.quantity_per_unit)),
            _ => Some(number(&1)),
        }
    }

    /// Answers the only line of the request, at the given date and quantity.
    pub fn resolve(
        &self,
        request: &QuoteRequest<'_>,
        date: NaiveDate,
        quantity: &Number,
    ) -> Outcome {
        let (result, verdicts) = self.resolve_unbounded(request, date, quantity);
        let bound = number(&Amount::MAX);
        let fits = |resolved: &Resolved| {
            let results =
                [Some(&resolved.unit_price), resolved.list_price.as_ref(), Some(&resolved.gross)];
            results.into_iter().flatten().all(|result| *result <= bound)
        };
        (
            result.and_then(
                |resolved| if fits(&resolved) { Ok(resolved) } else { Err("AMOUNT_TOO_LARGE") },
            ),
            verdicts,
        )
    }

    /// Answers without a limit on the number of digits.
    pub fn resolve_unbounded(
        &self,
        request: &QuoteRequest<'_>,
        date: NaiveDate,
        quantity: &Number,
    ) -> Outcome {
        let Some(asked) = Asked::new(self, request, date, quantity) else {
            return (Err("EXCHANGE_RATE_MISSING"), BTreeMap::new());
        };
        let mut verdicts = BTreeMap::new();
        let result = asked.resolve(&mut verdicts);
        (result, verdicts)
    }
}

/// A question with the defaults of section 1.
struct Asked<'w> {
    world: &'w World,
    date: NaiveDate,
    quantity: &'w Number,
    item_number: &'w str,
    item: &'w ItemFact,
    variant: Option<&'w str>,
    unit: &'w str,
    quantity_per_unit: Number,
    account: Option<String>,
    customer: Option<&'w CustomerFact>,
    campaign: Option<&'w str>,
    foreign: Option<String>,
    rate: Number,
    includes_tax: bool,
    tax: Number,
    unit_step: Number,
    amount_step: Number,
}

impl<'w> Asked<'w> {
    /// Builds a question. Returns `None` if the exchange rate is missing.
    fn new(
        world: &'w World,
        request: &'w QuoteRequest<'_>,
        date: NaiveDate,
        quantity: &'w Number,
    ) -> Option<Self> {
        let line = &request.lines[0];
        let item = &world.items[&*line.item_number];
        let contact = match &request.party {
            QuoteParty::Anybody => None,
            QuoteParty::Contact(number) => Some(number.to_string()),
            QuoteParty::Customer(number) => world
                .contacts
                .iter()
                .find(|(_, contact)| {
                    contact.customer.as_ref().is_some_and(|customer| customer.number == *number)
                })
                .map(|(number, _)| number.clone()),
        };
        let account = contact.as_deref().map(|contact| world.account_of(contact));
        let customer =
            account.as_ref().and_then(|account| world.contacts.get(account)?.customer.as_ref());
        let currency_of =
            |number: Option<&String>| world.contacts.get(number?)?.currency_code.clone();
        let local = &world.settings.as_ref().unwrap().local_currency_code;
        let currency = request
            .currency_code
            .as_deref()
            .map(str::to_owned)
            .or_else(|| currency_of(contact.as_ref()))
            .or_else(|| currency_of(account.as_ref()))
            .unwrap_or_else(|| local.clone());
        let foreign = (currency != *local).then(|| currency.clone());
        let rate = match &foreign {
            None => number(&1),
            Some(code) => world
                .rates
                .range((code.clone(), NaiveDate::MIN)..=(code.clone(), date))
                .next_back()?
                .1
                .clone(),
        };
        let steps = world.currencies.get(&currency);
        let unit = line.unit_of_measure_code.as_deref().unwrap_or(&item.base_unit_of_measure_code);
        Some(Self {
            world,
            date,
            quantity,
            item_number: &line.item_number,
            item,
            variant: line.variant_code.as_deref(),
            unit,
            quantity_per_unit: world.quantity_per_unit(&line.item_number, Some(unit)).unwrap(),
            account,
            customer,
            campaign: request.campaign_number.as_deref(),
            foreign,
            rate,
            includes_tax: request
                .prices_include_tax
                .unwrap_or(customer.is_some_and(|c| c.prices_include_tax)),
            tax: number(&line.tax_percent.unwrap_or(item.tax_percent)),
            unit_step: steps
                .map_or(number(&"0.00001"), |steps| number(&steps.unit_amount_precision)),
            amount_step: steps.map_or(number(&"0.01"), |steps| number(&steps.amount_precision)),
        })
    }

    fn foreign_of(&self, line: &Line) -> Option<String> {
        let local = &self.world.settings.as_ref().unwrap().local_currency_code;
        line.currency.clone().filter(|currency| currency != local)
    }

    fn dates(&self, line: &Line) -> (Option<NaiveDate>, Option<NaiveDate>) {
        match &line.source {
            SourceFact::Campaign { campaign_number } => {
                match self.world.campaigns.get(campaign_number) {
                    Some(campaign) => (Some(campaign.starting_date), campaign.ending_date),
                    None => (None, None),
                }
            }
            _ => (line.starting, line.ending),
        }
    }

    /// Applies section 2 except for the discounts for all items (2.2). Returns the first rule that
    /// drops the line.
    fn dropped(&self, line: &Line) -> Option<Verdict> {
        let account = self.account.as_deref();
        let source = match &line.source {
            SourceFact::AllCustomers => None,
            SourceFact::Contact { contact_number } => (account
                != Some(&self.world.account_of(contact_number)))
            .then_some(Verdict::OtherSource),
            SourceFact::CustomerPriceGroup { code } => {
                let own = self.customer.and_then(|customer| customer.price_group_code.as_ref());
                (own != Some(code)).then_some(Verdict::OtherSource)
            }
            SourceFact::CustomerDiscountGroup { code } => {
                let own = self.customer.and_then(|customer| customer.discount_group_code.as_ref());
                (own != Some(code)).then_some(Verdict::OtherSource)
            }
            SourceFact::Campaign { campaign_number: number } => {
                let member = account.map(|account| (number.clone(), ordinal(account)));
                if !self.world.campaigns.contains_key(number) {
                    Some(Verdict::NotPublished)
                } else if member.is_none_or(|member| !self.world.audiences.contains(&member)) {
                    Some(Verdict::NotInAudience)
                } else {
                    self.campaign.filter(|named| named != number).map(|_| Verdict::OtherCampaign)
                }
            }
        };
        let (starting, ending) = self.dates(line);
        let base_quantity = self.quantity * &self.quantity_per_unit;
        let enough =
            line.minimum <= if line.unit.is_none() { base_quantity } else { self.quantity.clone() };
        let foreign = self.foreign_of(line);
        source
            .or((line.variant.is_some() && line.variant.as_deref() != self.variant)
                .then_some(Verdict::OtherVariant))
            .or(line
                .unit
                .as_ref()
                .is_some_and(|unit| unit != self.unit)
                .then_some(Verdict::OtherUnit))
            .or((foreign.is_some() && foreign != self.foreign).then_some(Verdict::OtherCurrency))
            .or((starting.is_some_and(|day| day > self.date)
                || ending.is_some_and(|day| day < self.date))
            .then_some(Verdict::OutsideDates))
            .or((!enough).then_some(Verdict::BelowMinimumQuantity))
    }

    /// Applies section 3.
    fn convert(
        &self,
        price: &Number,
        includes_tax: bool,
        tax: &Number,
        per_base_unit: bool,
        local: bool,
    ) -> Number {
        let hundred = number(&100);
        let mut price = price.clone();
        if includes_tax {
            price = price * &hundred / (&hundred + tax);
        }
        if self.includes_tax {
            price = price * (&hundred + &self.tax) / &hundred;
        }
        if per_base_unit {
            price *= &self.quantity_per_unit;
        }
        if local {
            price *= &self.rate;
        }
        round(&price, &self.unit_step)
    }

    fn price_of(&self, line: &Line) -> Number {
        let tax = line.tax.clone().unwrap_or(number(&self.item.tax_percent));
        self.convert(
            &line.figure,
            line.includes_tax,
            &tax,
            line.unit.is_none(),
            self.foreign_of(line).is_none(),
        )
    }

    /// Applies section 4.0 and specificity (4.1, 4.2).
    fn qualified<'l>(
        &self,
        mut candidates: Vec<&'l Line>,
        verdicts: &mut BTreeMap<Uuid, Verdict>,
    ) -> Vec<&'l Line> {
        let settings = self.world.settings.as_ref().unwrap();
        let kinds: Vec<&str> = candidates.iter().map(|line| kind(line)).collect();
        let only = match settings.price_policy {
            PricePolicy::LowestNet => None,
            PricePolicy::CampaignFirst => kinds.contains(&"CAMPAIGN").then_some("CAMPAIGN"),
            PricePolicy::Hierarchy => settings
                .price_hierarchy
                .iter()
                .map(|kind| kind.text())
                .find(|kind| kinds.contains(kind)),
        };
        retain(&mut candidates, verdicts, Verdict::Policy, |line| {
            only.is_none_or(|only| kind(line) == only)
        });
        let fixed = |line: &Line| -> BTreeSet<&'static str> {
            let currency = self.foreign_of(line).map(|_| "currency");
            currency.into_iter().chain(line.variant.as_ref().map(|_| "variant")).collect()
        };
        let sets: Vec<_> = candidates.iter().map(|line| fixed(line)).collect();
        retain(&mut candidates, verdicts, Verdict::LessSpecific, |line| {
            let own = fixed(line);
            !sets.iter().any(|other| own.is_subset(other) && own != *other)
        });
        candidates
    }

    /// Returns the line that comes first by section 4.5.
    fn first<'l>(&self, lines: impl Iterator<Item = &'l Line>) -> Option<&'l Line> {
        let rank = |line: &Line| match kind(line) {
            "CONTACT" => 0,
            "CUSTOMER_PRICE_GROUP" | "CUSTOMER_DISCOUNT_GROUP" => 1,
            "ALL_CUSTOMERS" => 2,
            _ => 3,
        };
        lines.min_by(|one, other| {
            rank(one)
                .cmp(&rank(other))
                .then(self.dates(one).0.cmp(&self.dates(other).0))
                .then(other.minimum.cmp(&one.minimum))
                .then(one.id.as_bytes().cmp(other.id.as_bytes()))
        })
    }

    /// Returns the highest of some discounts.
    fn highest<'l>(&self, discounts: &[&'l Line]) -> Option<&'l Line> {
        let highest = discounts.iter().map(|line| &line.figure).max()?;
        self.first(discounts.iter().copied().filter(|line| line.figure == *highest))
    }

    /// Returns the campaign of a line, if it combines only with itself.
    fn own<'l>(&self, line: &'l Line) -> Option<&'l String> {
        let SourceFact::Campaign { campaign_number } = &line.source else { return None };
        let campaign = self.world.campaigns.get(campaign_number)?;
        (campaign.combination == Combination::Own).then_some(campaign_number)
    }

    fn candidates(
        &self,
        lines: Vec<&'w Line>,
        verdicts: &mut BTreeMap<Uuid, Verdict>,
    ) -> Vec<&'w Line> {
        let mut kept = Vec::new();
        for line in lines {
            match self.dropped(line) {
                Some(verdict) => drop(verdicts.insert(line.id, verdict)),
                None => kept.push(line),
            }
        }
        kept
    }

    fn discount_candidates(&self, verdicts: &mut BTreeMap<Uuid, Verdict>) -> Vec<&'w Line> {
        let group = self.item.item_discount_group_code.as_deref();
        let for_item = |line: &Line| match (&line.item, &line.group) {
            (Some(item), _) => item == self.item_number,
            (None, Some(of_line)) => Some(of_line.as_str()) == group,
            (None, None) => true,
        };
        let lines = self.world.discounts.values().filter(|line| for_item(line)).collect();
        let mut kept = self.candidates(lines, verdicts);
        // A line for a contact is granted to the contact's account, whichever of its contacts it
        // names.
        let source = |line: &Line| match &line.source {
            SourceFact::Contact { contact_number } => {
                SourceFact::Contact { contact_number: self.world.account_of(contact_number) }
            }
            other => other.clone(),
        };
        let all = |line: &Line| line.item.is_none() && line.group.is_none();
        let named: Vec<_> =
            kept.iter().filter(|line| !all(line)).map(|line| source(line)).collect();
        retain(&mut kept, verdicts, Verdict::ItemLineOfSameSource, |line| {
            !all(line) || !named.contains(&source(line))
        });
        kept
    }

    fn resolve(&self, verdicts: &mut BTreeMap<Uuid, Verdict>) -> Result<Resolved, &'static str> {
        let hundred = number(&100);
        let percent = |discount: Option<&Line>| discount.map_or(number(&0), |d| d.figure.clone());
        let net = |price: &Number, allowed: bool, discount: Option<&Line>| {
            if allowed { price * (&hundred - percent(discount)) / &hundred } else { price.clone() }
        };
        let item = self.item;
        let list_price = item.list_price.map(|price| {
            let tax = number(&item.tax_percent);
            self.convert(&number(&price), item.price_includes_tax, &tax, true, true)
        });
        let list_allows = self.customer.is_none_or(|customer| customer.allow_line_discount);

        let discounts = self.discount_candidates(verdicts);
        let discounts = self.qualified(discounts, verdicts);
        let of_item = |line: &&Line| line.item.as_deref() == Some(self.item_number);
        let lines = self.world.prices.values().filter(of_item).collect();
        let prices = self.candidates(lines, verdicts);
        let prices = self.qualified(prices, verdicts);
        let highest = self.highest(&discounts);

        // All pairs of section 4.7 with their nets. `None` is the list price.
        let permitted = |price: Option<&Line>| -> Vec<&Line> {
            let may = |discount: &&&Line| match price {
                Some(price) => {
                    let (own, others) = (self.own(price), self.own(discount));
                    own == others
                }
                None => prices.is_empty() || (list_allows && self.own(discount).is_some()),
            };
            discounts.iter().filter(may).copied().collect()
        };
        let mut pairs = Vec::new();
        for price in &prices {
            let unit_price = self.price_of(price);
            pairs.push((Some(*price), net(&unit_price, price.allows_discount, None)));
            for discount in permitted(Some(price)) {
                let net = net(&unit_price, price.allows_discount, Some(discount));
                pairs.push((Some(*price), net));
            }
        }
        if let Some(list_price) = &list_price {
            if prices.is_empty() {
                pairs.push((None, list_price.clone()));
            }
            for discount in permitted(None) {
                pairs.push((None, net(list_price, list_allows, Some(discount))));
            }
        }
        let lowest = pairs.iter().map(|(_, net)| net.clone()).min();
        let lowest_pairs = || pairs.iter().filter(|(_, net)| Some(net) == lowest.as_ref());
        let mut price = self.first(lowest_pairs().filter_map(|(price, _)| *price));
        let mut discount = self.highest(&permitted(price));

        if let Some(lowest) = &lowest {
            for line in &prices {
                let unit_price = self.price_of(line);
                let allows = line.allows_discount;
                let own_net = net(&unit_price, allows, self.highest(&permitted(Some(line))));
                let verdict = if Some(line.id) == price.map(|price| price.id) {
                    Verdict::Chosen
                } else if own_net == *lowest {
                    Verdict::Tie
                } else if net(&unit_price, allows, highest) < *lowest {
                    Verdict::NotCombinable
                } else {
                    Verdict::HigherNet
                };
                verdicts.insert(line.id, verdict);
            }
        }
        if self.world.settings.as_ref().unwrap().never_above_list_price
            && let (Some(line), Some(list), Some(lowest)) = (price, &list_price, &lowest)
            && *lowest > net(list, list_allows, highest)
        {
            verdicts.insert(line.id, Verdict::AboveListPrice);
            (price, discount) = (None, highest);
        }
        let allowed = match price {
            Some(line) => line.allows_discount,
            None => list_price.is_none() || list_allows,
        };
        for line in &discounts {
            let chosen = discount.filter(|chosen| chosen.id != line.id);
            let beside_price = price.is_some_and(|price| self.own(price) != self.own(line));
            let verdict = match chosen {
                _ if Some(line.id) == discount.map(|chosen| chosen.id) && allowed => {
                    Verdict::Chosen
                }
                _ if Some(line.id) == discount.map(|chosen| chosen.id) => {
                    Verdict::LineDiscountNotAllowed
                }
                _ if beside_price => Verdict::NotCombinable,
                Some(chosen) if line.figure == chosen.figure => Verdict::Tie,
                Some(chosen) if line.figure < chosen.figure => Verdict::LowerDiscount,
                _ => Verdict::NotCombinable,
            };
            verdicts.insert(line.id, verdict);
        }

        let unit_price = match price {
            Some(line) => self.price_of(line),
            None => list_price.clone().ok_or("NO_PRICE")?,
        };
        let percent = if allowed { percent(discount) } else { number(&0) };
        let gross = round(&(self.quantity * &unit_price), &self.amount_step);
        let discount_amount = round(&(&gross * &percent / &hundred), &self.amount_step);
        Ok(Resolved {
            unit_price,
            percent,
            list_price,
            price_line: price.map(|line| line.id),
            discount_line: discount.filter(|_| allowed).map(|line| line.id),
            gross,
            discount_amount,
        })
    }
}

/// Keeps some lines and gives the others the verdict.
fn retain(
    lines: &mut Vec<&Line>,
    verdicts: &mut BTreeMap<Uuid, Verdict>,
    verdict: Verdict,
    keep: impl Fn(&Line) -> bool,
) {
    lines.retain(|line| {
        let kept = keep(line);
        if !kept {
            verdicts.insert(line.id, verdict);
        }
        kept
    });
}

fn kind(line: &Line) -> &'static str {
    match line.source {
        SourceFact::Campaign { .. } => "CAMPAIGN",
        SourceFact::Contact { .. } => "CONTACT",
        SourceFact::CustomerPriceGroup { .. } => "CUSTOMER_PRICE_GROUP",
        SourceFact::CustomerDiscountGroup { .. } => "CUSTOMER_DISCOUNT_GROUP",
        SourceFact::AllCustomers => "ALL_CUSTOMERS",
    }
}

/// Rounds to a multiple of the step, half up. No value is negative.
fn round(value: &Number, step: &Number) -> Number {
    (value / step + number(&"0.5")).floor() * step
}
