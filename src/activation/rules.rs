//! The targeting rules, as a pure function from the gathered drafts to all findings. docs/errors.md
//! lists the findings.

use chrono::NaiveDate;
use price_book::facts::PriceLineFact;
use pricing::convert::{Given, Target};
use values::{Percent, Precision, Quantity};

use super::draft::Draft;
use super::findings::{Finding, FindingCode};
use super::shadowed_lines;
use super::targeting::Named;

/// The event that causes a check of the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trigger {
    /// A request to activate the campaign.
    Activation,
    /// A change of an active campaign. Its status is not checked, because a status may forbid
    /// activation while the campaign runs. Nor is its audience, which may be empty for a time.
    Change,
}

/// Returns all findings, in the order of their codes.
pub(super) fn check(draft: &Draft, trigger: Trigger) -> Vec<Finding> {
    let mut findings = dates(draft);
    if trigger == Trigger::Activation {
        findings.extend(status(draft));
        findings.extend(targets(draft));
    }
    findings.extend(left_out(draft));
    findings.extend(lines(draft));
    findings.sort_by(|one, other| (one.code, &one.pointer).cmp(&(other.code, &other.pointer)));
    findings
}

fn dates(draft: &Draft) -> Vec<Finding> {
    let mut findings = Vec::new();
    if draft.campaign.starting_date.is_none() {
        findings.push(Finding::new(
            FindingCode::NoStartingDate,
            "/startingDate",
            "the campaign needs a starting date",
        ));
    }
    match draft.campaign.ending_date {
        None => findings.push(Finding::new(
            FindingCode::OpenEnd,
            "/endingDate",
            "the campaign has no ending date",
        )),
        Some(end) if end < draft.today => {
            let detail = format!("the campaign ended on {end}");
            findings.push(
                Finding::new(FindingCode::WindowOver, "/endingDate", detail)
                    .param("endingDate", end.to_string()),
            );
        }
        Some(_) => {}
    }
    findings
}

fn status(draft: &Draft) -> Option<Finding> {
    let code = draft.campaign.status_code.as_ref().filter(|_| !draft.status_allows)?;
    let detail = format!("the status {code} does not allow activation");
    Some(
        Finding::new(FindingCode::StatusForbidsActivation, "/statusCode", detail)
            .param("statusCode", code.to_string()),
    )
}

fn targets(draft: &Draft) -> Vec<Finding> {
    let found = &draft.targeting;
    let mut findings = Vec::new();
    if found.segments == 0 {
        findings.push(Finding::new(
            FindingCode::NoSegment,
            "/segments",
            "no segment is attached to the campaign",
        ));
    }
    if found.contacts.is_empty() {
        let detail =
            "no contact is targeted: attach a segment and set campaignTarget on it or on its lines";
        findings.push(
            Finding::new(FindingCode::NoTargets, "/segments", detail)
                .param("numberOfSegments", found.segments),
        );
    } else if found.accounts.is_empty() {
        let detail = format!("all {} targeted contacts are left out", found.contacts.len());
        let finding = Finding::new(FindingCode::NobodyLeft, "/segments", detail);
        findings.push(finding.param("numberOfContacts", found.contacts.len()));
    }
    findings
}

fn left_out(draft: &Draft) -> Vec<Finding> {
    let found = &draft.targeting;
    let finding = |code, contacts: &Named, text: &str| {
        let count = contacts.count;
        (count > 0).then(|| {
            Finding::new(code, "/segments", format!("{count} of the targeted contacts: {text}"))
                .param("numberOfContacts", count)
                .param("contactNumbers", contacts.numbers.clone())
        })
    };
    [
        finding(
            FindingCode::ContactsExcluded,
            &found.excluded,
            "excluded from segments and left out",
        ),
        finding(
            FindingCode::ContactsPrivacyBlocked,
            &found.blocked,
            "privacy blocked and left out",
        ),
        finding(
            FindingCode::PersonsWithoutCompany,
            &found.alone,
            "persons without company, who count alone",
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn lines(draft: &Draft) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !draft.has_lines {
        let detail = "the campaign has neither a price nor a discount";
        findings.push(Finding::new(FindingCode::NoPrices, "/prices", detail));
    }
    for (id, line) in &draft.prices {
        let pointer = format!("/prices/{id}");
        findings.extend(blocked(draft, &pointer, Some(&line.item_number)));
        findings.extend(missing_rate(draft, &pointer, line.currency_code.as_ref()));
        findings.extend(price(draft, &pointer, line));
    }
    for (id, line) in &draft.discounts {
        let pointer = format!("/discounts/{id}");
        findings.extend(blocked(draft, &pointer, line.item_number.as_ref()));
        findings.extend(missing_rate(draft, &pointer, line.currency_code.as_ref()));
        let empty_group = line
            .item_discount_group_code
            .as_ref()
            .filter(|group| draft.empty_groups.contains(*group));
        if let Some(group) = empty_group {
            let detail = format!("no item has the item discount group {group}");
            findings.push(
                Finding::new(FindingCode::LineWithoutEffect, pointer, detail)
                    .param("itemDiscountGroupCode", group.as_str()),
            );
        } else if line.line_discount_percent == Percent::ZERO
            && line.variant_code.is_none()
            && line.currency_code.is_none()
        {
            // A discount of 0 % that fixes variant or currency still drops less specific ones.
            findings.push(Finding::new(
                FindingCode::LineWithoutEffect,
                pointer,
                "the discount is 0 %",
            ));
        }
    }
    findings.extend(shadowed_lines::shadowed_prices(&draft.prices, &draft.items));
    findings.extend(shadowed_lines::shadowed_discounts(&draft.discounts, &draft.items));
    findings
}

fn blocked(draft: &Draft, pointer: &str, item: Option<&String>) -> Option<Finding> {
    let number = item.filter(|number| draft.items.get(*number).is_some_and(|item| item.blocked))?;
    let detail = format!("item {number} is blocked");
    Some(
        Finding::new(FindingCode::ItemBlocked, pointer, detail)
            .param("itemNumber", number.as_str()),
    )
}

/// Returns a finding for a foreign currency without exchange rate on the campaign's first day, or
/// today if that is later.
fn missing_rate(draft: &Draft, pointer: &str, currency: Option<&String>) -> Option<Finding> {
    let code = currency
        .filter(|code| **code != draft.local_currency && !draft.rates.contains_key(*code))?;
    let detail = format!("{code} has no exchange rate that has begun");
    Some(
        Finding::new(FindingCode::ExchangeRateMissing, pointer, detail)
            .param("currencyCode", code.as_str()),
    )
}

fn price(draft: &Draft, pointer: &str, line: &PriceLineFact) -> Option<Finding> {
    if line.unit_price.units() == 0 {
        return Some(Finding::new(FindingCode::PriceZero, pointer, "the price is zero"));
    }
    let list_price = list_price_for(draft, line)?;
    if line.unit_price <= list_price {
        return None;
    }
    let detail = format!("the price {} is above the list price {list_price}", line.unit_price);
    Some(
        Finding::new(FindingCode::PriceAboveList, pointer, detail)
            .param("unitPrice", line.unit_price.to_string())
            .param("listPrice", list_price.to_string()),
    )
}

/// Returns the item's list price in the tax, unit and currency of the line. `None` if there is no
/// list price or no exchange rate.
fn list_price_for(draft: &Draft, line: &PriceLineFact) -> Option<values::Amount> {
    let item = draft.items.get(&line.item_number)?;
    let foreign = line.currency_code.as_ref().filter(|code| **code != draft.local_currency);
    let rate = match foreign {
        Some(code) => Some(*draft.rates.get(code)?),
        None => None,
    };
    let unit = line.unit_of_measure_code.as_ref();
    let unit = unit.and_then(|code| item.units_of_measure.iter().find(|unit| unit.code == *code));
    let target = Target {
        includes_tax: line.price_includes_tax,
        tax: line.tax_percent.unwrap_or(item.tax_percent),
        quantity_per_unit: unit.map_or(Quantity::ONE, |unit| unit.quantity_per_unit),
        rate,
        unit_amount_step: Precision::MIN,
        amount_step: Precision::MIN,
    };
    let given = Given {
        includes_tax: item.price_includes_tax,
        tax: item.tax_percent,
        per_base_unit: true,
        in_local_currency: true,
    };
    target.convert_to_amount(item.list_price?, given)
}

/// Returns the day for which an activation compares prices: the campaign's first day, or today if
/// that is later, but never after the last day.
pub(super) fn day_of_comparison(draft: &Draft) -> Option<NaiveDate> {
    let start = draft.campaign.starting_date?;
    let day = start.max(draft.today);
    Some(draft.campaign.ending_date.map_or(day, |end| day.min(end)))
}
