//! The comparison is complete and exact: every net price that differs between two random books
//! appears with this difference, and what appears is what a quote answers.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use price_book::facts::{Change, FactKind};
use price_book::quote::answer::QuoteLine;
use price_book::quote::quote;
use price_book::quote::request::{QuoteParty, QuoteRequest, RequestLine};
use price_book::snapshot::Snapshot;
use pricing::line::Code;
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use values::Quantity;

use super::world::{ACCOUNTS, Edit, ITEMS, base, day, edit, item_fact, put, settings};
use crate::price_impact::affected::Affected;
use crate::price_impact::compare::{Bound, Comparer, Days, Next};
use crate::price_impact::points::PricePoint;

/// A variant, a unit of measure and a currency.
type Shape = (Option<Code>, Option<Code>, Option<Code>);
/// The nets before and after.
type Nets = (Option<u128>, Option<u128>);

/// Returns the net price of a question, straight from the resolver.
fn net(
    book: &Snapshot,
    account: Option<&str>,
    item: &str,
    (variant, unit, currency): Shape,
    quantity: Quantity,
    date: NaiveDate,
) -> Option<u128> {
    let text = |code| book.code_text(code).to_owned();
    let request = QuoteRequest {
        party: account.map_or(QuoteParty::Anybody, |account| QuoteParty::Contact(account.into())),
        currency_code: currency.map(|code| text(code).into()),
        lines: vec![RequestLine {
            item_number: item.into(),
            variant_code: variant.map(|code| text(code).into()),
            unit_of_measure_code: unit.map(|code| text(code).into()),
            quantity: quantity.into(),
            tax_percent: None,
        }],
        ..QuoteRequest::on(date)
    };
    match &quote(book, &request).unwrap().lines[0] {
        QuoteLine::Priced(line) => {
            let rest = line.line_discount_percent.rest();
            Some(line.unit_price.units() * u128::from(rest))
        }
        QuoteLine::Unpriced(_) => None,
    }
}

/// The quantities at which the oracle asks: every threshold of a line, in pieces and in boxes.
fn quantities() -> Vec<Quantity> {
    ["0.05", "0.1", "0.2", "0.5", "1", "2", "2.5", "10", "25", "100"]
        .map(|text| text.parse().unwrap())
        .to_vec()
}

fn books(first: Change, edits: Vec<Edit>, last: Edit) -> (Snapshot, Snapshot, Affected) {
    let mut before = base(first);
    for (version, Edit(changes)) in (2_i64..).zip(edits) {
        before = before.advanced(version, changes);
    }
    let after = before.advanced(before.version() + 1, last.0.clone());
    let affected = Affected::of_changes(&before, &after, &last.0, |_| true);
    (before, after, affected)
}

/// Collects what the comparison says of an account and an item on a day.
fn said(
    comparer: &Comparer<'_>,
    item: &'static str,
    account: u32,
    date: NaiveDate,
) -> BTreeMap<Shape, BTreeMap<Quantity, Nets>> {
    let mut said: BTreeMap<Shape, BTreeMap<Quantity, Nets>> = BTreeMap::new();
    comparer.compare_account(item, account, date, &mut |comparison| {
        let PricePoint { currency, variant, unit, quantity } = comparison.point;
        let nets =
            (comparison.before.map(|price| price.net()), comparison.after.map(|price| price.net()));
        said.entry((variant, unit, currency)).or_default().insert(quantity, nets);
        Next::Continue
    });
    said
}

/// The numbers of accounts, by item, point and nets.
type Counts = BTreeMap<(&'static str, PricePoint, Nets), u64>;

/// Counts the accounts of the classes on a day, and the accounts compared one by one.
fn counted_and_expected(
    before: &Snapshot,
    after: &Snapshot,
    affected: &Affected,
    date: NaiveDate,
) -> (Counts, Counts) {
    let mut counted = Counts::new();
    Comparer::new(before, after, affected)
        .compare(Days::Only(date), &mut |comparison| {
            let nets = (
                comparison.before.map(|price| price.net()),
                comparison.after.map(|price| price.net()),
            );
            let item = ITEMS.into_iter().find(|it| *it == comparison.item_number).unwrap();
            if comparison.class.accounts > 0 {
                *counted.entry((item, comparison.point, nets)).or_default() +=
                    comparison.class.accounts;
            }
            Next::Continue
        })
        .unwrap();
    let comparer = Comparer::new(before, after, affected);
    let mut expected = Counts::new();
    for (_, ordinal) in ACCOUNTS {
        for item in ITEMS {
            for ((variant, unit, currency), breaks) in said(&comparer, item, ordinal, date) {
                for (quantity, nets) in breaks {
                    let point = PricePoint { currency, variant, unit, quantity };
                    *expected.entry((item, point, nets)).or_default() += 1;
                }
            }
        }
    }
    (counted, expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn every_change_of_an_account_appears_and_nothing_else(
        first in settings(),
        edits in vec(edit(40..130), 0..8),
        last in edit(40..130),
        date in 1_u32..25,
    ) {
        let (before, after, affected) = books(first, edits, last);
        let comparer = Comparer::new(&before, &after, &affected);
        let date = day(date);
        let code = |text: &str| after.code(text);
        let shapes: Vec<Shape> = [None, code("OAK")]
            .into_iter()
            .flat_map(|variant| [None, code("BOX")].map(move |unit| (variant, unit)))
            .flat_map(|(variant, unit)| [None, code("USD")].map(|it| (variant, unit, it)))
            .collect();
        for (account, ordinal) in ACCOUNTS {
            for item in ITEMS {
                let said = said(&comparer, item, ordinal, date);
                let asked = |shape: Shape, quantity: Quantity| -> Nets {
                    (
                        net(&before, Some(account), item, shape, quantity, date),
                        net(&after, Some(account), item, shape, quantity, date),
                    )
                };
                // What is said is what is quoted.
                for (shape, breaks) in &said {
                    for (quantity, nets) in breaks {
                        prop_assert_eq!(*nets, asked(*shape, *quantity), "{} {}", account, item);
                    }
                }
                for &shape in &shapes {
                    let (variant, unit, currency) = shape;
                    // RED quotes in dollars anyway.
                    let same = if account == "RED" {
                        vec![currency, None, code("USD")]
                    } else {
                        vec![currency]
                    };
                    let candidates: Vec<Shape> = [variant, None]
                        .into_iter()
                        .flat_map(|it| same.iter().map(move |currency| (it, unit, *currency)))
                        .collect();
                    let mut rows = None;
                    for candidate in candidates {
                        rows = rows.or_else(|| said.get(&candidate));
                    }
                    let names_unit = said.keys().any(|(_, it, _)| *it == unit);
                    for quantity in quantities() {
                        let nets = asked(shape, quantity);
                        let row = rows.and_then(|rows| rows.range(..=quantity).next_back());
                        // The first row can stand for all quantities below it.
                        let first = rows.and_then(|rows| rows.first_key_value());
                        match row {
                            Some((_, said)) => prop_assert_eq!(
                                *said, nets, "{} {} {:?} {}", account, item, shape, quantity
                            ),
                            None if first.is_some_and(|(_, said)| *said == nets) => {}
                            // A unit or a currency that no line names has the price of the base
                            // unit or of the account's currency, converted.
                            None if unit.is_some() && !names_unit => {}
                            None if currency.is_some() && account != "RED" => {
                                let base = asked((variant, unit, None), quantity);
                                prop_assert!(nets.0 == nets.1 || base.0 != base.1);
                            }
                            None => prop_assert_eq!(
                                nets.0, nets.1, "{} {} {:?} {}", account, item, shape, quantity
                            ),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn classes_count_every_account(
        first in settings(),
        edits in vec(edit(40..130), 0..8),
        last in edit(40..130),
        date in 1_u32..25,
    ) {
        let (before, after, affected) = books(first, edits, last);
        let (counted, expected) = counted_and_expected(&before, &after, &affected, day(date));
        prop_assert_eq!(counted, expected);
    }

    #[test]
    fn days_between_those_compared_have_the_same_prices(
        first in settings(),
        edits in vec(edit(40..130), 0..8),
        last in edit(40..130),
    ) {
        let (before, after, affected) = books(first, edits, last);
        let mut seen: BTreeMap<(String, NaiveDate), BTreeSet<Nets>> = BTreeMap::new();
        Comparer::new(&before, &after, &affected)
            .compare(Days::From(day(1)), &mut |comparison| {
                let nets = (
                    comparison.before.map(|price| price.net()),
                    comparison.after.map(|price| price.net()),
                );
                seen.entry((comparison.item_number.to_owned(), comparison.day))
                    .or_default()
                    .insert(nets);
                Next::Continue
            })
            .unwrap();
        for date in (1..=28).map(day) {
            for item in ITEMS {
                for (account, _) in ACCOUNTS {
                    let shape = (None, None, None);
                    let nets = (
                        net(&before, Some(account), item, shape, Quantity::ONE, date),
                        net(&after, Some(account), item, shape, Quantity::ONE, date),
                    );
                    let days = seen.range(
                        (item.to_owned(), NaiveDate::MIN)..=(item.to_owned(), date),
                    );
                    let is_seen = days.last().is_some_and(|(_, seen)| seen.contains(&nets));
                    prop_assert!(nets.0 == nets.1 || is_seen, "{} {} {}", account, item, date);
                }
            }
        }
    }
}

#[test]
fn item_leaves_a_group_while_a_line_for_the_group_is_added() {
    let line = json!({
        "source": {"type": "CAMPAIGN", "campaignNumber": "MAY"}, "itemDiscountGroupCode": "FURN",
        "currencyCode": "USD", "minimumQuantity": "0", "lineDiscountPercent": "10"
    });
    let last = Edit(vec![
        item_fact("CHAIR", Some(100), false),
        put(FactKind::DiscountLine, &uuid::Uuid::from_u128(7).to_string(), &line),
    ]);
    let (before, after, affected) = books(local_settings(), Vec::new(), last);
    let (counted, expected) = counted_and_expected(&before, &after, &affected, day(3));
    assert_eq!(counted, expected);
    let is_in_dollars = |name: &str| {
        counted.keys().any(|(item, point, _)| *item == name && point.currency.is_some())
    };
    assert!(is_in_dollars("DESK") && !is_in_dollars("CHAIR"));
}

/// The settings of a company without a policy of its own.
fn local_settings() -> Change {
    let settings = json!({"localCurrencyCode": "EUR", "timeZone": "Europe/Oslo"});
    put(FactKind::Settings, "", &settings)
}

#[test]
fn bound_ends_the_comparison() {
    let before = base(local_settings());
    let line = json!({
        "source": {"type": "ALL_CUSTOMERS"}, "minimumQuantity": "0", "lineDiscountPercent": "10"
    });
    let change = put(FactKind::DiscountLine, &uuid::Uuid::from_u128(7).to_string(), &line);
    let after = before.advanced(2, [change.clone()]);
    let affected = Affected::of_changes(&before, &after, &[change], |_| true);
    let compared = |maximum| {
        Comparer::new(&before, &after, &affected)
            .limited_to(maximum)
            .compare(Days::Only(day(1)), &mut |_| Next::Continue)
    };
    let size = compared(1_000).unwrap();
    // BLUE and SOLO pay the same; RED allows no discount, in dollars; WHITE pays with tax; GREEN
    // has groups that no line names, so it pays what BLUE pays; nobody in particular is a class
    // too.
    assert_eq!((size.items, size.classes, size.comparisons), (3, 4, 12));
    assert_eq!(compared(12), Ok(size));
    let error = compared(11).unwrap_err();
    assert_eq!((error.bound, error.comparisons), (Bound::Comparisons, 11));
}
