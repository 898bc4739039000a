//! Properties of quotes for any price book and request, tested on small random price books whose
//! lines compete.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use pricing::resolve::Book as _;
use pricing::resolve::Scratch;
use pricing::verdict::Verdict;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};
use uuid::Uuid;
use values::Amount;

use super::reference::{Number, Resolved, World, number};
use super::world::{
    audience, book, combining_campaign, contact, item, put, rate, request, settings,
};
use crate::facts::{Change, FactKind};
use crate::quote::answer::{AnswerSource, LineReference, OtherLines, PricedLine, QuoteLine, Trace};
use crate::quote::request::{QuoteRequest, RequestLine, Visibility};
use crate::quote::{quote, write_quote};
use crate::snapshot::Snapshot;

fn maybe(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![2 => Just(Value::Null), 1 => select(values).prop_map(Value::from)]
}

fn text(values: &'static [&'static str]) -> impl Strategy<Value = Value> {
    select(values).prop_map(Value::from)
}

const DAYS: &[&str] = &["2031-05-09", "2031-05-10", "2031-05-11", "2031-05-14", "2031-05-20"];
const AMOUNTS: &[&str] =
    &["0", "1", "9.99", "10", "12.5", "8", "0.00001", "77.77777", "999999999999999.99999"];
const MINIMUMS: &[&str] = &["0", "0", "1", "2", "3", "24", "48", "0.00001", "71.99999"];
const PERCENTS: &[&str] = &["0", "5", "10", "20", "33.33333", "100"];

fn source() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({ "type": "ALL_CUSTOMERS" })),
        text(&["ONE", "TWO", "DRAFT"])
            .prop_map(|number| json!({ "type": "CAMPAIGN", "campaignNumber": number })),
        text(&["FIRM", "ANNE", "OTHER", "CARL"])
            .prop_map(|number| json!({ "type": "CONTACT", "contactNumber": number })),
    ]
}

/// The members that price lines and discount lines have in common. Some are granted by a group.
fn conditions(group: &'static str) -> impl Strategy<Value = Value> {
    let source = prop_oneof![
        4 => source(),
        1 => text(&["GOLD", "IRON"]).prop_map(move |code| json!({ "type": group, "code": code })),
    ];
    let units = maybe(&["PCS", "BOX", "GRM"]);
    let dates = (maybe(DAYS), maybe(DAYS));
    let currencies = maybe(&["EUR", "USD", "GBP"]);
    (source, maybe(&["OAK", "PINE"]), units, currencies, text(MINIMUMS), dates).prop_map(
        |(source, variant, unit, currency, minimum, (starting, ending))| {
            let of_campaign = source["type"] == "CAMPAIGN";
            json!({
                "source": source, "variantCode": variant, "unitOfMeasureCode": unit,
                "currencyCode": currency, "minimumQuantity": minimum,
                "startingDate": if of_campaign { Value::Null } else { starting },
                "endingDate": if of_campaign { Value::Null } else { ending },
            })
        },
    )
}

fn line_key() -> impl Strategy<Value = String> {
    any::<u128>().prop_map(|id| Uuid::from_u128(id).to_string())
}

fn price_line() -> impl Strategy<Value = Change> {
    let members = json!({ "itemNumber": "CHAIR" });
    let flags = (any::<bool>(), any::<bool>());
    let terms = (conditions("CUSTOMER_PRICE_GROUP"), text(AMOUNTS), flags, maybe(&["0", "19"]));
    (line_key(), terms).prop_map(move |(key, (conditions, unit_price, flags, tax))| {
        let line = json!({
            "unitPrice": unit_price, "allowLineDiscount": flags.0,
            "priceIncludesTax": flags.1, "taxPercent": tax,
            "itemNumber": members["itemNumber"]
        });
        put(FactKind::PriceLine, &key, conditions, &line)
    })
}

fn discount_line() -> impl Strategy<Value = Change> {
    let scope = prop_oneof![
        Just(json!({ "itemNumber": "CHAIR" })),
        Just(json!({ "itemNumber": "DESK" })),
        Just(json!({ "itemDiscountGroupCode": "SEATS" })),
        Just(json!({})),
    ];
    (line_key(), conditions("CUSTOMER_DISCOUNT_GROUP"), text(PERCENTS), scope).prop_map(
        |(key, mut conditions, percent, mut members)| {
            members["lineDiscountPercent"] = percent;
            if members["itemNumber"].is_null() {
                conditions["variantCode"] = Value::Null;
            }
            put(FactKind::DiscountLine, &key, conditions, &members)
        },
    )
}

fn company_settings() -> impl Strategy<Value = Change> {
    let sources =
        ["CAMPAIGN", "CONTACT", "CUSTOMER_PRICE_GROUP", "CUSTOMER_DISCOUNT_GROUP", "ALL_CUSTOMERS"];
    let policy = text(&["LOWEST_NET", "CAMPAIGN_FIRST", "HIERARCHY"]);
    let order = Just(sources.to_vec()).prop_shuffle();
    (policy, order, any::<bool>()).prop_map(|(policy, hierarchy, cap)| {
        settings(&json!({
            "pricePolicy": policy, "priceHierarchy": hierarchy, "neverAboveListPrice": cap
        }))
    })
}

fn base_facts() -> impl Strategy<Value = Vec<Change>> {
    let items = (maybe(AMOUNTS), any::<bool>()).prop_map(|(list_price, includes_tax)| {
        item(
            "CHAIR",
            &json!({
                "listPrice": list_price, "priceIncludesTax": includes_tax,
                "itemDiscountGroupCode": "SEATS", "variants": ["OAK", "PINE"],
                "unitsOfMeasure": [
                    { "code": "BOX", "quantityPerUnit": "24" },
                    { "code": "GRM", "quantityPerUnit": "0.007" }
                ],
            }),
        )
    });
    let terms = (any::<bool>(), any::<bool>(), maybe(&["GOLD"]));
    let customer = terms.prop_map(|(allows, includes_tax, group)| {
        contact(
            "FIRM",
            &json!({ "currencyCode": if includes_tax { Some("USD") } else { None }, "customer": {
            "number": "D1", "allowLineDiscount": allows, "pricesIncludeTax": includes_tax,
            "priceGroupCode": group, "discountGroupCode": group } }),
        )
    });
    let steps = (text(&["0.00001", "0.01", "0.05"]), text(&["0.01", "1", "0.05"])).prop_map(
        |(unit_amount, amount)| {
            put(
                FactKind::Currency,
                "USD",
                json!({}),
                &json!({ "unitAmountPrecision": unit_amount, "amountPrecision": amount }),
            )
        },
    );
    let audiences = subsequence(vec!["FIRM", "OTHER", "CARL"], 0..=3)
        .prop_map(|accounts| audience("ONE", &accounts));
    let combinations = (text(&["ANY", "OWN"]), text(&["ANY", "ANY", "OWN"]));
    (company_settings(), items, customer, steps, audiences, maybe(DAYS), combinations).prop_map(
        |(settings, chair, firm, steps, audience_of_one, ending, (one, two))| {
            vec![
                settings,
                chair,
                firm,
                steps,
                audience_of_one,
                contact("ANNE", &json!({ "type": "PERSON", "companyNumber": "FIRM" })),
                contact("CARL", &json!({ "type": "PERSON" })),
                contact("OTHER", &json!({})),
                combining_campaign("ONE", "2031-05-09", ending.as_str(), one.as_str().unwrap()),
                combining_campaign("TWO", "2031-05-10", Some("2031-05-11"), two.as_str().unwrap()),
                audience("TWO", &["FIRM"]),
                audience("DRAFT", &["FIRM"]),
                rate("USD", "2031-05-01", "1.0865"),
                rate("USD", "2031-05-12", "0.0123456789"),
            ]
        },
    )
}

pub(super) fn facts() -> impl Strategy<Value = Vec<Change>> {
    let lines =
        (prop::collection::vec(price_line(), 0..12), prop::collection::vec(discount_line(), 0..12));
    (base_facts(), lines).prop_map(|(mut facts, (prices, discounts))| {
        facts.extend(prices);
        facts.extend(discounts);
        facts
    })
}

pub(super) fn question() -> impl Strategy<Value = QuoteRequest<'static>> {
    let party = select(vec![
        json!({}),
        json!({ "contactNumber": "FIRM" }),
        json!({ "contactNumber": "ANNE" }),
        json!({ "contactNumber": "CARL" }),
        json!({ "contactNumber": "OTHER" }),
        json!({ "customerNumber": "D1" }),
    ]);
    let sale = (maybe(&["USD", "EUR"]), prop::option::of(any::<bool>()), maybe(&["0", "7.5"]));
    let what = (
        maybe(&["OAK", "PINE"]),
        maybe(&["PCS", "BOX", "GRM"]),
        text(&["1", "2", "0.00001", "3.5", "24", "10285"]),
    );
    (party, text(DAYS), sale, what, maybe(&["ONE", "TWO", "DRAFT", "NEVER"])).prop_map(
        |(
            mut members,
            date,
            (currency, includes_tax, tax),
            (variant, unit, quantity),
            campaign,
        )| {
            members["date"] = date;
            members["currencyCode"] = currency;
            members["pricesIncludeTax"] = json!(includes_tax);
            members["taxPercent"] = tax;
            members["variantCode"] = variant;
            members["unitOfMeasureCode"] = unit;
            members["quantity"] = quantity;
            members["campaignNumber"] = campaign;
            request(&members)
        },
    )
}

fn verdicts(trace: &Trace<'_>) -> BTreeMap<Uuid, Verdict> {
    let prices = trace.prices.iter().map(|price| (price.line.id, price.verdict));
    prices
        .chain(trace.discounts.iter().map(|discount| (discount.line.id, discount.verdict)))
        .collect()
}

fn trace<'q, 'a>(line: &'q QuoteLine<'a>) -> Option<&'q Trace<'a>> {
    match line {
        QuoteLine::Priced(line) => line.trace.as_deref(),
        QuoteLine::Unpriced(line) => line.trace.as_deref(),
    }
}

/// Returns whether a line can be granted to an account, judged by its source alone.
fn concerns(snapshot: &Snapshot, account: Option<&str>, line: &LineReference<'_>) -> bool {
    let account = account.and_then(|number| snapshot.find_contact(number));
    let customer = account.and_then(|account| snapshot.contact(account)?.customer);
    match line.source {
        AnswerSource::AllCustomers => true,
        AnswerSource::Contact { contact_number } => {
            account.is_some()
                && account
                    == snapshot.find_contact(contact_number).map(|of| snapshot.account_of(of))
        }
        AnswerSource::CustomerPriceGroup { code } => customer
            .and_then(|customer| customer.price_group)
            .is_some_and(|group| snapshot.code_text(group) == code),
        AnswerSource::CustomerDiscountGroup { code } => customer
            .and_then(|customer| customer.discount_group)
            .is_some_and(|group| snapshot.code_text(group) == code),
        AnswerSource::Campaign { campaign_number } => {
            let campaign = snapshot.find_campaign(campaign_number).unwrap();
            account.is_some_and(|account| snapshot.is_in_audience(campaign, account))
        }
        AnswerSource::ListPrice => false,
    }
}

fn resolved(line: &PricedLine<'_>) -> Resolved {
    Resolved {
        unit_price: number(&line.unit_price),
        percent: number(&line.line_discount_percent),
        list_price: line.list_price.map(|price| number(&price)),
        price_line: line.price_line.map(|line| line.id),
        discount_line: line.discount_line.map(|line| line.id),
        gross: number(&line.gross_amount),
        discount_amount: number(&line.discount_amount),
    }
}

/// Returns the answer as JSON, without the given members.
fn answer_without(snapshot: &Snapshot, request: &QuoteRequest<'_>, names: &[&str]) -> Value {
    let quote = quote(snapshot, request).unwrap();
    let mut line = serde_json::to_value(&quote.lines[0]).unwrap();
    for name in names {
        line.as_object_mut().unwrap().remove(*name);
    }
    line
}

/// Returns the first larger quantity at which one unit has a lower net, by the reference.
fn reference_break(
    world: &World,
    request: &QuoteRequest<'_>,
    now: &Resolved,
) -> Option<(Number, Resolved)> {
    let line = &request.lines[0];
    let per_unit = world.quantity_per_unit("CHAIR", line.unit_of_measure_code.as_deref()).unwrap();
    let above =
        world.thresholds(&per_unit).into_iter().filter(|least| *least > number(&line.quantity));
    above.into_iter().find_map(|quantity| {
        let (then, _) = world.resolve_unbounded(request, request.date, &quantity);
        let fits = |then: &Resolved| then.unit_price <= number(&Amount::MAX);
        then.ok().filter(|then| then.net() < now.net() && fits(then)).map(|then| (quantity, then))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn quotes_agree_with_the_reference(facts in facts(), request in question()) {
        let world = World::new(&facts);
        let snapshot = book(facts);
        let quantity = number(&request.lines[0].quantity);
        let (expected, expected_verdicts) = world.resolve(&request, request.date, &quantity);
        let quote = quote(&snapshot, &request).unwrap();
        let trace = match &quote.lines[0] {
            QuoteLine::Priced(line) => {
                prop_assert_eq!(Ok(resolved(line)), expected.clone());
                let line_amount = line.gross_amount.0 - line.discount_amount.0;
                prop_assert_eq!(line.line_amount.0, line_amount);
                let next = reference_break(&world, &request, &expected.unwrap());
                let next = next.map(|(quantity, then)| (quantity, then.unit_price, then.percent));
                let got = line.next_break.map(|next| {
                    let percent = number(&next.line_discount_percent);
                    (number(&next.quantity), number(&next.unit_price), percent)
                });
                prop_assert_eq!(got, next);
                line.trace.as_deref()
            }
            QuoteLine::Unpriced(line) => {
                prop_assert_eq!(Err(line.problem.code.text()), expected);
                line.trace.as_deref()
            }
        };
        if let Some(trace) = trace {
            prop_assert_eq!(verdicts(trace), expected_verdicts);
        }
    }

    #[test]
    fn credit_line_has_the_price_and_negative_amounts(
        facts in facts(),
        request in question(),
    ) {
        let snapshot = book(facts);
        let mut credit = request.clone();
        let quantity = format!("-{}", request.lines[0].quantity);
        credit.lines[0].quantity = quantity.parse().unwrap();
        let sale = quote(&snapshot, &request).unwrap();
        let credit = quote(&snapshot, &credit).unwrap();
        prop_assert_eq!(sale.totals.line_amount.0, -credit.totals.line_amount.0);
        let lines = (&sale.lines[0], &credit.lines[0]);
        if let (QuoteLine::Priced(sale), QuoteLine::Priced(credit)) = lines {
            prop_assert_eq!(
                (sale.gross_amount.0, sale.discount_amount.0, sale.line_amount.0),
                (-credit.gross_amount.0, -credit.discount_amount.0, -credit.line_amount.0)
            );
            let expected = PricedLine {
                gross_amount: credit.gross_amount,
                discount_amount: credit.discount_amount,
                line_amount: credit.line_amount,
                next_break: None,
                ..sale.clone()
            };
            prop_assert_eq!(&expected, credit);
        } else {
            prop_assert_eq!(&sale.lines[0], &credit.lines[0]);
        }
    }

    #[test]
    fn nothing_changes_before_valid_until(
        facts in facts(),
        request in question(),
        days in 1_u64..15,
    ) {
        let snapshot = book(facts);
        let quote = quote(&snapshot, &request).unwrap();
        if let QuoteLine::Priced(line) = &quote.lines[0] {
            let later = request.date.checked_add_days(Days::new(days)).unwrap();
            let until: Option<NaiveDate> = line.valid_until;
            prop_assert!(until.is_none_or(|until| until > request.date));
            if until.is_none_or(|until| later < until) {
                // The next break can change in between. `validUntil` only covers the rest of the
                // answer.
                let names = ["trace", "nextBreak"];
                let then = QuoteRequest { date: later, ..request.clone() };
                prop_assert_eq!(
                    answer_without(&snapshot, &request, &names),
                    answer_without(&snapshot, &then, &names)
                );
            }
        }
    }

    #[test]
    fn order_of_changes_does_not_matter((facts, shuffled) in facts().prop_flat_map(|facts| {
        (Just(facts.clone()), Just(facts).prop_shuffle())
    }), request in question()) {
        let (one, other) = (book(facts), book(shuffled));
        prop_assert_eq!(one.content_hash(), other.content_hash());
        prop_assert_eq!(answer_without(&one, &request, &[]), answer_without(&other, &request, &[]));
    }

    #[test]
    fn explanation_does_not_change_the_answer(facts in facts(), request in question()) {
        let snapshot = book(facts);
        let plain = QuoteRequest { explain: None, ..request.clone() };
        prop_assert_eq!(
            answer_without(&snapshot, &plain, &[]),
            answer_without(&snapshot, &request, &["trace"])
        );
    }

    #[test]
    fn explanation_lists_granted_lines_and_counts_others(
        facts in facts(),
        request in question(),
    ) {
        let snapshot = book(facts);
        let of_account = QuoteRequest { explain: Some(Visibility::Account), ..request.clone() };
        let all = quote(&snapshot, &request).unwrap();
        let listed = quote(&snapshot, &of_account).unwrap();
        if let (Some(all), Some(trace)) = (trace(&all.lines[0]), trace(&listed.lines[0])) {
            let lines = trace.prices.iter().map(|price| &price.line);
            let lines = lines.chain(trace.discounts.iter().map(|discount| &discount.line));
            for line in lines {
                prop_assert!(concerns(&snapshot, listed.account_number, line), "{:?}", line);
            }
            let all_verdicts = verdicts(all);
            let mut counts = BTreeMap::new();
            for (id, verdict) in &all_verdicts {
                if !verdicts(trace).contains_key(id) {
                    *counts.entry(*verdict).or_insert(0) += 1;
                }
            }
            let counts: Vec<OtherLines> =
                counts.into_iter().map(|(verdict, count)| OtherLines { verdict, count }).collect();
            prop_assert_eq!(&trace.other_lines, &counts);
            let mut filtered = all.clone();
            filtered.prices.retain(|price| trace.prices.contains(price));
            filtered.discounts.retain(|discount| trace.discounts.contains(discount));
            prop_assert_eq!(all.other_lines.len(), 0);
            let expected = Trace { other_lines: counts, ..filtered };
            prop_assert_eq!(expected, trace.clone(), "the listed lines are as in the full trace");
            let granted = all_verdicts.values().filter(|verdict| verdict.is_granted()).count();
            prop_assert_eq!(verdicts(trace).len(), granted);
        }
    }

    #[test]
    fn advanced_book_equals_rebuilt_book(
        before in facts(), after in facts(), kept in any::<u64>(), request in question(),
    ) {
        let old = book(before.clone());
        let old_hash = old.content_hash();
        let replaced: Vec<(FactKind, String)> = after.iter().filter_map(key_of).collect();
        let survives = |place: usize| kept & (1 << (place % 64)) != 0;
        let mut changes = Vec::new();
        let mut whole = after.clone();
        for (place, change) in before.iter().enumerate() {
            match change {
                Change::Put { .. } => {
                    let (kind, key) = key_of(change).unwrap();
                    if replaced.contains(&(kind, key.clone())) {
                        continue;
                    }
                    if survives(place) {
                        whole.push(change.clone());
                    } else {
                        changes.push(Change::Remove { kind, key });
                    }
                }
                Change::AudienceAdd { campaign, accounts } => {
                    let (campaign, accounts) = (campaign.clone(), accounts.clone());
                    changes.push(Change::AudienceRemove { campaign, accounts });
                }
                other => panic!("{other:?}"),
            }
        }
        changes.extend(after.clone());
        let advanced = old.advanced(8, changes);
        let rebuilt = Snapshot::empty().advanced(8, whole);
        let restored = Snapshot::empty().advanced(8, advanced.changes());
        prop_assert_eq!(advanced.content_hash(), rebuilt.content_hash());
        prop_assert_eq!(restored.content_hash(), rebuilt.content_hash());
        prop_assert_eq!(old.content_hash(), old_hash, "the older snapshot stays as it was");
        let expected = answer_without(&rebuilt, &request, &[]);
        prop_assert_eq!(answer_without(&advanced, &request, &[]), expected.clone());
        prop_assert_eq!(answer_without(&restored, &request, &[]), expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn written_answer_equals_serde(
        facts in facts(),
        request in question(),
        explain in select(&[None, Some(Visibility::Account), Some(Visibility::All)][..]),
    ) {
        let snapshot = book(facts);
        let mut request = QuoteRequest { explain, ..request };
        let [line] = request.lines.as_slice() else { panic!("one line is asked for") };
        let unknown = RequestLine { item_number: "\"C\\H\u{1}ÄIR\"".into(), ..line.clone() };
        let huge = "999999999999999.99999".parse().unwrap();
        let many = RequestLine { quantity: huge, ..line.clone() };
        request.lines.extend([unknown, many]);
        let mut written = Vec::new();
        write_quote(&snapshot, &request, &mut Scratch::default(), &mut written).unwrap();
        let answer = quote(&snapshot, &request).unwrap();
        let written = String::from_utf8(written).unwrap();
        prop_assert_eq!(written, serde_json::to_string(&answer).unwrap());
    }
}

fn key_of(change: &Change) -> Option<(FactKind, String)> {
    match change {
        Change::Put { key, fact, .. } => Some((fact.kind(), key.clone())),
        _ => None,
    }
}
