//! Guardrails: bounds on margin and discount that every publication is checked against.
//!
//! A publication violates a guardrail if it lowers a net price to below the bound, or further below
//! it. A price that was below the bound before and does not fall is not reported again. The cost of
//! an item counts as it is now, so a later change of the cost refuses nothing.
//!
//! The guardrails of a price are those of the campaigns that provide its price or its discount,
//! else those of the company. All days from today on are checked, on which a line for the item
//! starts or has ended.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::NaiveDate;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use price_book::facts::{Change, Fact, FactKind};
use price_book::lookup::LineTarget;
use price_book::snapshot::{Item, Snapshot};
use pricing::resolve::Book;
use serde_json::{Map, Value, json};
use uuid::Uuid;
use values::Key;
use values::enums::GuardrailMode;
use values::{Amount, Percent};

use super::activate::{limit_per_code, refusal, sort};
use super::findings::{Finding, FindingCode, Severity};
use super::plan::PlanLimit;
use crate::live_book::{BookChange, LiveBook};
use crate::outbox::{Event, GuardrailViolated};
use crate::platform::background::background;
use crate::platform::http::problem::Problem;
use crate::price_impact::affected::Affected;
use crate::price_impact::compare::{Comparer, Comparison, Days, Next, TooLarge};
use crate::price_impact::net::{self, NetPrice};
use crate::schema::{campaigns, settings};
use crate::unit_of_work::UnitOfWork;

/// The bounds that a price has to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Guardrails {
    pub margin_floor: Option<Percent>,
    pub max_discount: Option<Percent>,
    pub mode: GuardrailMode,
}

impl Guardrails {
    /// Returns the severity of a violation, or `None` if nothing is checked.
    const fn severity(&self) -> Option<Severity> {
        match self.mode {
            GuardrailMode::Off => None,
            GuardrailMode::Warn => Some(Severity::Warning),
            GuardrailMode::Block => Some(Severity::Error),
        }
    }
}

/// The guardrails of the company and of its campaigns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GuardrailSet {
    company: Guardrails,
    /// Campaigns with guardrails of their own.
    campaigns: HashMap<String, Guardrails>,
}

impl GuardrailSet {
    /// Reads all guardrails.
    pub(super) async fn load(conn: &mut AsyncPgConnection) -> Result<Self, Problem> {
        type Percents = (Option<Percent>, Option<Percent>);
        let (floor, discount, mode): (Option<Percent>, Option<Percent>, GuardrailMode) =
            settings::table
                .select((
                    settings::margin_floor_percent,
                    settings::max_discount_percent,
                    settings::guardrail_mode,
                ))
                .first(conn)
                .await?;
        let company = Guardrails { margin_floor: floor, max_discount: discount, mode };
        let own: Vec<(Key, Percents, Option<GuardrailMode>)> = campaigns::table
            .filter(
                campaigns::margin_floor_percent
                    .is_not_null()
                    .or(campaigns::max_discount_percent.is_not_null())
                    .or(campaigns::guardrail_mode.is_not_null()),
            )
            .select((
                campaigns::number,
                (campaigns::margin_floor_percent, campaigns::max_discount_percent),
                campaigns::guardrail_mode,
            ))
            .load(conn)
            .await?;
        let campaigns = own.into_iter().map(|(number, (floor, discount), mode)| {
            let own = Guardrails {
                margin_floor: floor.or(company.margin_floor),
                max_discount: discount.or(company.max_discount),
                mode: mode.unwrap_or(company.mode),
            };
            (number.to_string(), own)
        });
        Ok(Self { campaigns: campaigns.collect(), company })
    }

    /// Returns the guardrails of a campaign's prices.
    pub(super) fn of_campaign(&self, number: &str) -> Guardrails {
        self.campaigns.get(number).copied().unwrap_or(self.company)
    }

    fn all(&self) -> impl Iterator<Item = &Guardrails> {
        std::iter::once(&self.company).chain(self.campaigns.values())
    }

    /// Returns whether nothing is checked.
    pub(super) fn is_off(&self) -> bool {
        self.all().all(|guardrails| guardrails.mode == GuardrailMode::Off)
    }

    /// Returns whether a price of the item can violate a guardrail.
    fn concerns(&self, item: &Item) -> bool {
        self.all().any(|guardrails| {
            guardrails.mode != GuardrailMode::Off
                && (item.unit_cost.is_some() || guardrails.max_discount.is_some())
        })
    }

    /// Returns the highest severity of a violation.
    fn severity(&self) -> Option<Severity> {
        self.all().filter_map(Guardrails::severity).max_by_key(|severity| match severity {
            Severity::Error => 1,
            Severity::Warning => 0,
        })
    }

    /// Returns the different guardrails of a price.
    fn of_price(&self, price: &NetPrice<'_>) -> Vec<Guardrails> {
        let mut guardrails: Vec<Guardrails> = Vec::new();
        for campaign in price.campaigns() {
            let own = self.of_campaign(campaign);
            if !guardrails.contains(&own) {
                guardrails.push(own);
            }
        }
        if guardrails.is_empty() {
            guardrails.push(self.company);
        }
        guardrails
    }
}

/// A violation of a guardrail by the prices of an item.
struct Violation {
    /// The number of accounts by the contact number of one of them: those of each class.
    classes: BTreeMap<Option<String>, u64>,
    /// The distance of the example from the bound; lower is worse.
    badness: i128,
    example: Example,
}

/// The worst price of a violation.
struct Example {
    pointer: String,
    detail: String,
    params: Map<String, Value>,
}

/// Collects the violations from the comparisons.
pub(super) struct GuardrailCheck<'a> {
    guardrails: &'a GuardrailSet,
    /// True if nothing is checked.
    is_off: bool,
    /// The violations by item, and by code and severity: true for an error.
    violations: BTreeMap<String, BTreeMap<(FindingCode, bool), Violation>>,
    /// The bound that ended the check.
    too_large: Option<TooLarge>,
}

impl<'a> GuardrailCheck<'a> {
    pub(super) fn new(guardrails: &'a GuardrailSet) -> Self {
        let is_off = guardrails.is_off();
        Self { guardrails, is_off, violations: BTreeMap::new(), too_large: None }
    }

    /// Returns whether nothing is checked.
    pub(super) const fn is_off(&self) -> bool {
        self.is_off
    }

    /// Returns whether a price of an item can violate a guardrail.
    pub(super) fn concerns(&self, book: &Snapshot, number: &str) -> bool {
        book.find_item(number).is_some_and(|found| self.guardrails.concerns(found.item))
    }

    /// Records that the check ended at a bound.
    pub(super) const fn interrupted(&mut self, too_large: TooLarge) {
        self.too_large = Some(too_large);
    }

    /// Checks the price of a comparison.
    pub(super) fn add(&mut self, book: &Snapshot, comparison: &Comparison<'_>) {
        let Some(after) = comparison.after.as_ref().filter(|_| !self.is_off) else { return };
        let is_lower = comparison.is_lower();
        let is_deeper =
            comparison.before.as_ref().is_none_or(|before| after.is_discounted_more_than(before));
        if !is_lower && !is_deeper {
            return;
        }
        for guardrails in self.guardrails.of_price(after) {
            let Some(severity) = guardrails.severity() else { continue };
            if is_lower && let Some(cost) = comparison.item.unit_cost {
                self.check_margin(book, comparison, after, cost, guardrails, severity, |_| true);
            }
            if is_deeper
                && let Some(percent) = guardrails.max_discount
                && after.is_discounted_beyond(percent)
            {
                let saving = after.saving().unwrap_or_default();
                let code = FindingCode::DiscountTooDeep;
                self.record(comparison, code, severity, saving.saturating_neg(), || {
                    let shown = net::shown_percent(saving).unwrap_or_default();
                    let reason = format!("{shown} % below the list price, more than {percent} %");
                    Example::of(book, comparison, after, &reason)
                        .with("discountPercent", json!(shown))
                        .with("maxDiscountPercent", json!(percent))
                });
            }
        }
    }

    /// Checks a price that a dearer cost brings below a guardrail. A price that falls as well is
    /// checked as a publication.
    fn add_cost(&mut self, book: &Snapshot, comparison: &Comparison<'_>, old: Option<Amount>) {
        let (Some(before), Some(after)) = (&comparison.before, &comparison.after) else { return };
        let Some(cost) = comparison.item.unit_cost.filter(|_| !comparison.is_lower()) else {
            return;
        };
        for guardrails in self.guardrails.of_price(after) {
            let Some(severity) = guardrails.severity() else { continue };
            let is_new = |bound: Percent| {
                let terms = comparison.terms_before;
                !old.is_some_and(|old| terms.is_margin_below(before.net(), old, bound))
            };
            self.check_margin(book, comparison, after, cost, guardrails, severity, is_new);
        }
    }

    /// Checks the margin of a price against the cost and the floor, as far as `is_new` accepts the
    /// bound.
    #[allow(clippy::too_many_arguments, reason = "all are parts of one check")]
    fn check_margin(
        &mut self,
        book: &Snapshot,
        comparison: &Comparison<'_>,
        after: &NetPrice<'_>,
        cost: Amount,
        guardrails: Guardrails,
        severity: Severity,
        is_new: impl Fn(Percent) -> bool,
    ) {
        let Comparison { terms, .. } = comparison;
        let net = after.net();
        let bounds = [
            (FindingCode::NetBelowCost, Some(Percent::ZERO)),
            (FindingCode::BelowMarginFloor, guardrails.margin_floor),
        ];
        for (code, bound) in bounds {
            let Some(bound) = bound else { continue };
            if !terms.is_margin_below(net, cost, bound) || !is_new(bound) {
                continue;
            }
            let margin = terms.margin(net, cost);
            self.record(comparison, code, severity, margin.unwrap_or(i128::MIN), || {
                let shown = margin.and_then(net::shown_percent);
                let is_floor = code == FindingCode::BelowMarginFloor;
                let reason = match shown {
                    Some(margin) if is_floor => format!("a margin of {margin} %, below {bound} %"),
                    None if is_floor => format!("no margin, below {bound} %"),
                    _ => format!("below the cost {cost}"),
                };
                let example = Example::of(book, comparison, after, &reason)
                    .with("unitCost", json!(cost))
                    .with("marginPercent", json!(shown));
                if is_floor { example.with("marginFloorPercent", json!(bound)) } else { example }
            });
        }
    }

    /// Records a violation. Its example is built only if it is the worst so far.
    fn record(
        &mut self,
        comparison: &Comparison<'_>,
        code: FindingCode,
        severity: Severity,
        badness: i128,
        example: impl FnOnce() -> Example,
    ) {
        let of_item = match self.violations.get_mut(comparison.item_number) {
            Some(of_item) => of_item,
            None => self.violations.entry(comparison.item_number.to_owned()).or_default(),
        };
        let class = comparison.class.account.map(str::to_owned);
        let accounts = comparison.class.accounts;
        match of_item.get_mut(&(code, severity == Severity::Error)) {
            Some(known) => {
                known.classes.insert(class, accounts);
                if badness < known.badness {
                    (known.badness, known.example) = (badness, example());
                }
            }
            None => {
                let classes = BTreeMap::from([(class, accounts)]);
                let violation = Violation { classes, badness, example: example() };
                of_item.insert((code, severity == Severity::Error), violation);
            }
        }
    }

    /// Returns the violations with item and code, and whether they are errors.
    fn into_violations(self) -> impl Iterator<Item = (String, FindingCode, bool, Violation)> {
        self.violations.into_iter().flat_map(|(item, of_item)| {
            of_item
                .into_iter()
                .map(move |((code, is_error), violation)| (item.clone(), code, is_error, violation))
        })
    }

    /// Returns the findings: one for each code and item, and one if the check ended at a bound.
    pub(super) fn findings(self) -> Vec<Finding> {
        let limit = self.too_large.and_then(|error| too_large(self.guardrails, error));
        let findings = self.into_violations().map(|(item, code, is_error, violation)| {
            let accounts = violation.accounts();
            let Example { pointer, detail, params } = violation.example;
            let detail = format!("{item} for {accounts} accounts: {detail}");
            let mut finding = Finding::new(code, pointer, detail)
                .param("itemNumber", item)
                .param("numberOfAccounts", accounts);
            finding.severity = if is_error { Severity::Error } else { Severity::Warning };
            finding.params.extend(params);
            finding
        });
        limit.into_iter().chain(findings).collect()
    }
}

impl Violation {
    /// Returns the number of accounts.
    fn accounts(&self) -> u64 {
        self.classes.values().fold(0_u64, |sum, it| sum.saturating_add(*it))
    }
}

impl Example {
    /// Describes the price of a comparison.
    fn of(
        book: &Snapshot,
        comparison: &Comparison<'_>,
        after: &NetPrice<'_>,
        reason: &str,
    ) -> Self {
        let point = comparison.point;
        let net = net::shown_net(after.net()).unwrap_or_default();
        let who = comparison.class.account.unwrap_or("everybody");
        let detail = format!("{who} would pay {net} on {}: {reason}", comparison.day);
        let pointer = match (after.price_line, after.discount_line) {
            (Some(line), _) => format!("/prices/{}", line.id),
            (None, Some(line)) => format!("/discounts/{}", line.id),
            (None, None) => format!("/items/{}", comparison.item_number),
        };
        let text = |code| book.code_text(code).to_owned();
        let campaigns: Vec<&str> = after.campaigns().collect();
        let params = [
            ("accountNumber", json!(comparison.class.account)),
            ("date", json!(comparison.day)),
            ("quantity", json!(point.quantity)),
            ("variantCode", json!(point.variant.map(text))),
            ("unitOfMeasureCode", json!(point.unit.map(text))),
            ("currencyCode", json!(point.currency.map(text))),
            ("unitPrice", json!(after.unit_price)),
            ("lineDiscountPercent", json!(after.percent)),
            ("netUnitPrice", json!(net)),
            ("listPrice", json!(after.list_price)),
            ("campaignNumbers", json!(campaigns)),
        ];
        let params = params
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.to_owned(), value));
        Self { pointer, detail, params: params.collect() }
    }

    fn with(mut self, name: &str, value: Value) -> Self {
        self.params.insert(name.to_owned(), value);
        self
    }
}

/// Returns the finding that prices could not be checked, because there are too many.
fn too_large(guardrails: &GuardrailSet, error: TooLarge) -> Option<Finding> {
    let severity = guardrails.severity()?;
    let limit = PlanLimit::of(error);
    let mut finding = Finding::new(FindingCode::PlanTooLarge, "/campaign", limit.detail)
        .param("bound", limit.bound.text())
        .param("maximum", limit.maximum);
    finding.severity = severity;
    Some(finding)
}

/// Versions that a transaction has published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VersionRange {
    /// The version before the first.
    before: i64,
    /// The last version.
    last: i64,
}

impl VersionRange {
    /// Returns the range of one version.
    pub(super) const fn of(version: i64) -> Self {
        Self { before: version.saturating_sub(1), last: version }
    }

    /// Adds a version of the same transaction. No other transaction publishes in between.
    pub(super) fn extend(range: Option<Self>, version: Option<i64>) -> Option<Self> {
        let Some(version) = version else { return range };
        let before = range.map_or_else(|| version.saturating_sub(1), |range| range.before);
        Some(Self { before, last: version })
    }
}

/// The parts of a publication that are checked beyond lines, dates and items.
#[derive(Debug, Clone, Default)]
pub(super) struct Checked {
    /// Campaigns whose audience changed by their contacts only, which is not refused.
    pub unchecked_audiences: BTreeSet<String>,
    /// The changed lines of campaigns that are checked for gain. `None` for all lines.
    pub gains: Vec<(String, Option<BTreeSet<Uuid>>)>,
}

/// Checks the versions that a transaction has published, before it commits. Errors refuse it;
/// warnings become part of the response.
pub(super) async fn check_published(
    work: &mut UnitOfWork,
    live: &LiveBook,
    today: NaiveDate,
    VersionRange { before, last }: VersionRange,
    checked: Checked,
) -> Result<(), Problem> {
    let guardrails = GuardrailSet::load(&mut work.conn).await?;
    if guardrails.is_off() {
        return Ok(());
    }
    let change = live.change(&mut work.conn, before, last).await?;
    let change = change
        .ok_or_else(|| Problem::internal("a version that was just published is not there"))?;
    let (findings, events) = background(move || {
        let events = violated_by_cost(&change, &guardrails, today);
        (check_change(&change, &guardrails, today, &checked), events)
    })
    .await;
    work.events.extend(events.into_iter().map(Event::from));
    if findings.iter().any(Finding::is_error) {
        return Err(refusal(&findings));
    }
    work.warnings.extend(findings.iter().map(|finding| json!(finding)));
    Ok(())
}

/// Checks everything that the changes between two books affect.
fn check_change(
    BookChange { before, after, changes }: &BookChange,
    guardrails: &GuardrailSet,
    today: NaiveDate,
    checked: &Checked,
) -> Vec<Finding> {
    let has_audience = |campaign: &str| !checked.unchecked_audiences.contains(campaign);
    let affected = Affected::of_changes(before, after, changes, has_audience);
    let mut check = GuardrailCheck::new(guardrails);
    let mut comparer = Comparer::new(before, after, &affected);
    for number in affected.items(before, after) {
        if !check.concerns(after, number) {
            continue;
        }
        let compared = comparer.compare_item(number, Days::From(today), &mut |comparison| {
            check.add(after, comparison);
            Next::Continue
        });
        if let Err(error) = compared {
            check.interrupted(error);
            break;
        }
    }
    let mut findings = check.findings();
    for (campaign, lines) in &checked.gains {
        let all = || {
            let index = after.find_campaign(campaign);
            index.map(|index| after.campaign_lines(index)).unwrap_or_default()
        };
        let lines = lines.clone().unwrap_or_else(|| all().into_iter().collect());
        let days = Days::From(today);
        findings.extend(without_gain(after, campaign, lines, guardrails, days));
    }
    sort(&mut findings);
    limit_per_code(findings)
}

/// Returns the violations by prices that did not change, of items whose cost rose.
fn violated_by_cost(
    BookChange { before, after, changes }: &BookChange,
    guardrails: &GuardrailSet,
    today: NaiveDate,
) -> Vec<GuardrailViolated> {
    let mut affected = Affected::default();
    for change in changes {
        let Change::Put { key, fact: Fact::Item(item), .. } = change else { continue };
        let Some(known) = before.find_item(key) else { continue };
        if item.unit_cost > known.item.unit_cost {
            affected.add_item(key);
        }
    }
    let mut check = GuardrailCheck::new(guardrails);
    let mut comparer = Comparer::new(before, after, &affected);
    for number in affected.items(before, after) {
        let old = before.find_item(number).and_then(|found| found.item.unit_cost);
        let compared = comparer.compare_item(number, Days::From(today), &mut |comparison| {
            check.add_cost(after, comparison, old);
            Next::Continue
        });
        if compared.is_err() {
            tracing::warn!(
                item = number,
                "prices of items with a dearer cost exceed the bound of a plan"
            );
            break;
        }
    }
    let violations =
        check.into_violations().map(|(item_number, code, _, violation)| GuardrailViolated {
            item_number,
            code: code.text().to_owned(),
            number_of_accounts: violation.accounts(),
            detail: violation.example.detail,
        });
    violations.collect()
}

/// The lines of a campaign that apply to the same items.
struct GainTarget {
    pointer: String,
    params: Map<String, Value>,
    name: String,
    has_gain: bool,
    /// The number of items with a price.
    items: u64,
}

/// Returns a finding for each item, group, or set of all items for which the campaign lowers
/// nobody's price. `lines` are the ids of the lines to check.
pub(super) fn without_gain(
    after: &Snapshot,
    campaign: &str,
    lines: impl IntoIterator<Item = Uuid>,
    guardrails: &GuardrailSet,
    days: Days,
) -> Vec<Finding> {
    let Some(severity) = guardrails.of_campaign(campaign).severity() else { return Vec::new() };
    let accounts = after.audience(campaign).map_or(0, roaring::RoaringBitmap::len);
    let index = after.find_campaign(campaign);
    if accounts == 0 || index.is_none_or(|index| after.campaign(index).is_none()) {
        return Vec::new();
    }
    let withdrawal = Change::Remove { kind: FactKind::Campaign, key: campaign.to_owned() };
    let without = after.advanced(after.version(), [withdrawal]);
    let (mut affected, mut targets) = (Affected::default(), BTreeMap::new());
    for id in lines {
        let Some(line) = after.line(id) else { continue };
        affected.add_line(&without, after, id);
        targets.entry(line.target).or_insert_with(|| gain_target(after, line.target, id));
    }
    let mut comparer = Comparer::new(&without, after, &affected);
    for number in affected.items(after, after) {
        let Some(found) = after.find_item(number) else { continue };
        let of_item: Vec<LineTarget<'_>> = [
            Some(LineTarget::Item(number)),
            found.item.discount_group.map(LineTarget::Group),
            Some(LineTarget::AllItems),
        ]
        .into_iter()
        .flatten()
        .filter(|target| targets.get(target).is_some_and(|target| !target.has_gain))
        .collect();
        if of_item.is_empty() {
            continue;
        }
        let (mut has_gain, mut has_price) = (false, false);
        let compared = comparer.compare_item(number, days, &mut |comparison| {
            has_price |= comparison.after.is_some();
            has_gain |= comparison.after.is_some() && comparison.is_lower();
            if has_gain { Next::NextItem } else { Next::Continue }
        });
        // The check of the guardrails reports the bound.
        if compared.is_err() {
            return Vec::new();
        }
        for target in of_item {
            if let Some(target) = targets.get_mut(&target) {
                target.has_gain |= has_gain;
                target.items = target.items.saturating_add(u64::from(has_price));
            }
        }
    }
    let idle = targets.into_values().filter(|target| !target.has_gain && target.items > 0);
    idle.map(|target| {
        let detail = format!(
            "the campaign lowers the price of {} for none of the {accounts} accounts",
            target.name
        );
        let mut finding = Finding::new(FindingCode::NoGain, target.pointer, detail)
            .param("items", target.items)
            .param("numberOfAccounts", accounts);
        finding.severity = severity;
        finding.params.extend(target.params);
        finding
    })
    .collect()
}

fn gain_target(book: &Snapshot, target: LineTarget<'_>, id: Uuid) -> GainTarget {
    let is_price = book.line_is_price(id);
    let pointer = format!("/{}/{id}", if is_price { "prices" } else { "discounts" });
    let mut params = Map::new();
    let name = match target {
        LineTarget::Item(number) => {
            params.insert("itemNumber".to_owned(), json!(number));
            number.to_owned()
        }
        LineTarget::Group(group) => {
            let code = book.code_text(group);
            params.insert("itemDiscountGroupCode".to_owned(), json!(code));
            format!("the items of the item discount group {code}")
        }
        LineTarget::AllItems => "all items".to_owned(),
    };
    GainTarget { pointer, params, name, has_gain: false, items: 0 }
}

/// Returns the ids among keys of lines.
pub(super) fn line_ids<'k>(keys: impl IntoIterator<Item = &'k String>) -> BTreeSet<Uuid> {
    keys.into_iter().filter_map(|key| Uuid::try_parse(key).ok()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::price_impact::compare::Bound;
    use crate::price_impact::net::Terms;
    use crate::price_impact::tests::world::{ACCOUNTS, Edit, ITEMS, base, day, edit, settings};
    use price_book::quote::answer::QuoteLine;
    use price_book::quote::quote;
    use price_book::quote::request::{QuoteParty, QuoteRequest, RequestLine};
    use values::Quantity;

    fn company(floor: &str, discount: Option<&str>, mode: GuardrailMode) -> GuardrailSet {
        let company = Guardrails {
            margin_floor: Some(floor.parse().unwrap()),
            max_discount: discount.map(|percent| percent.parse().unwrap()),
            mode,
        };
        GuardrailSet { company, campaigns: HashMap::new() }
    }

    /// Returns the prices in a book that are below the floor or discounted too deeply.
    fn below(book: &Snapshot, guardrails: &Guardrails) -> Vec<String> {
        let mut below = Vec::new();
        let quantities = ["0.05", "0.2", "0.5", "1", "2", "2.5", "10", "25"];
        let lines: Vec<RequestLine<'_>> = ITEMS
            .into_iter()
            .flat_map(|item| [None, Some("OAK")].map(|variant| (item, variant)))
            .flat_map(|(item, variant)| [None, Some("BOX")].map(|unit| (item, variant, unit)))
            .flat_map(|(item, variant, unit)| quantities.map(|it| (item, variant, unit, it)))
            .map(|(item, variant, unit, quantity)| RequestLine {
                item_number: item.into(),
                variant_code: variant.map(Into::into),
                unit_of_measure_code: unit.map(Into::into),
                quantity: quantity.parse::<Quantity>().unwrap().into(),
                tax_percent: None,
            })
            .collect();
        let parties = ACCOUNTS.iter().map(|(account, _)| QuoteParty::Contact((*account).into()));
        for party in parties.chain([QuoteParty::Anybody]) {
            for (date, currency) in
                (1..=28).flat_map(|it| [(day(it), None), (day(it), Some("USD"))])
            {
                let request = QuoteRequest {
                    party: party.clone(),
                    currency_code: currency.map(Into::into),
                    lines: lines.clone(),
                    ..QuoteRequest::on(date)
                };
                let answer = quote(book, &request).unwrap();
                for (line, answered) in lines.iter().zip(&answer.lines) {
                    let QuoteLine::Priced(answered) = answered else { continue };
                    let item = book.find_item(&line.item_number).unwrap().item;
                    let is_foreign = answer.currency_code == Some("USD");
                    let terms = Terms {
                        included_tax: answer.prices_include_tax.then_some(item.tax),
                        rate: is_foreign.then(|| "1.25".parse().unwrap()),
                        quantity_per_unit: match &line.unit_of_measure_code {
                            Some(_) => "10".parse().unwrap(),
                            None => Quantity::ONE,
                        },
                    };
                    let price = NetPrice::of(answered);
                    let cost = item.unit_cost.unwrap();
                    let floor = guardrails.margin_floor.unwrap();
                    let is_below = terms.is_margin_below(price.net(), cost, floor);
                    let is_deep =
                        guardrails.max_discount.is_some_and(|it| price.is_discounted_beyond(it));
                    if is_below || is_deep {
                        below.push(format!("{party:?} {date} {line:?}: {answered:?}"));
                    }
                }
            }
        }
        below
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn no_sequence_of_edits_leads_below_the_floor(
            first in settings(),
            edits in vec(edit(55..130), 1..16),
            with_discount in any::<bool>(),
        ) {
            let discount = with_discount.then_some("40");
            let guardrails = company("20", discount, GuardrailMode::Block);
            let mut book = base(first);
            let mut accepted = 0;
            for (version, Edit(changes)) in (2_i64..).zip(edits) {
                let after = book.advanced(version, changes.clone());
                let change = BookChange { before: Arc::new(book.clone()), after, changes };
                let findings = check_change(&change, &guardrails, day(1), &Checked::default());
                if !findings.iter().any(Finding::is_error) {
                    book = change.after;
                    accepted += 1;
                }
            }
            let below = below(&book, &guardrails.company);
            prop_assert!(below.is_empty(), "after {accepted} edits: {}", below[0]);
        }

        #[test]
        fn refused_edits_would_lower_a_price(
            first in settings(),
            edits in vec(edit(55..130), 1..10),
            last in edit(20..70),
        ) {
            let guardrails = company("20", None, GuardrailMode::Block);
            let mut book = base(first);
            for (version, Edit(changes)) in (2_i64..).zip(edits) {
                book = book.advanced(version, changes);
            }
            let after = book.advanced(book.version() + 1, last.0.clone());
            let (was, is) = (below(&book, &guardrails.company), below(&after, &guardrails.company));
            let change = BookChange { before: Arc::new(book), after, changes: last.0 };
            let findings = check_change(&change, &guardrails, day(1), &Checked::default());
            // Nothing is refused without a price below the floor that differs.
            if findings.iter().any(Finding::is_error) {
                prop_assert!(is != was && !is.is_empty(), "{findings:?}");
            }
        }
    }

    #[test]
    fn exceeded_bound_is_a_finding() {
        let error = TooLarge { bound: Bound::Comparisons, comparisons: 5 };
        for (mode, severity) in [
            (GuardrailMode::Off, None),
            (GuardrailMode::Warn, Some(Severity::Warning)),
            (GuardrailMode::Block, Some(Severity::Error)),
        ] {
            let guardrails = company("20", None, mode);
            let mut check = GuardrailCheck::new(&guardrails);
            check.interrupted(error);
            let findings = check.findings();
            let found = findings.as_slice().first().map(|finding| finding.severity);
            assert_eq!(found, severity);
            assert!(findings.iter().all(|finding| finding.code == FindingCode::PlanTooLarge));
        }
    }

    #[test]
    fn campaign_inherits_what_it_does_not_set() {
        let mut guardrails = company("20", Some("50"), GuardrailMode::Off);
        assert!(guardrails.is_off());
        let own = Guardrails { mode: GuardrailMode::Block, ..guardrails.company };
        guardrails.campaigns.insert("SPRING".to_owned(), own);
        assert!(!guardrails.is_off());
        assert_eq!(guardrails.of_campaign("SPRING"), own);
        assert_eq!(guardrails.of_campaign("MAY"), guardrails.company);
        assert_eq!(guardrails.severity(), Some(Severity::Error));
    }
}
