//! Tests of single rules at their boundaries, beyond the worked cases.

use pricing::verdict::Verdict;
use serde_json::{Value, json};

use super::world::{
    audience, book, campaign, contact, day, discount, item, line_id, only, price, put, rate,
    request, settings,
};
use crate::facts::{Change, Fact, FactKind};
use crate::quote::answer::{PricedLine, QuoteError, QuoteLine};
use crate::quote::quote;
use crate::quote::request::{QuoteRequest, Visibility};
use crate::snapshot::Snapshot;

/// Builds a price book with an item, a company with a person, and a running campaign for the
/// company. The item CHAIR costs 100 and has a variant and a box of 12.
fn shop(more: impl IntoIterator<Item = Change>) -> Snapshot {
    let unit = json!([{ "code": "BOX", "quantityPerUnit": "12" }]);
    let base = [
        settings(&json!({})),
        item("CHAIR", &json!({ "listPrice": "100", "variants": ["OAK"], "unitsOfMeasure": unit })),
        contact("FIRM", &json!({ "customer": { "number": "D1", "pricesIncludeTax": true } })),
        contact(
            "ANNE",
            &json!({ "type": "PERSON", "companyNumber": "FIRM", "currencyCode": "USD" }),
        ),
        campaign("SPRING", "2031-05-10", Some("2031-05-20")),
        audience("SPRING", &["FIRM"]),
        rate("USD", "2031-05-01", "2"),
        rate("USD", "2031-05-25", "3"),
    ];
    book(base.into_iter().chain(more))
}

/// Returns the answer to one line, as JSON.
fn ask(snapshot: &Snapshot, members: &Value) -> Value {
    let request = request(members);
    let quote = quote(snapshot, &request).unwrap();
    serde_json::to_value(&quote.lines[0]).unwrap()
}

fn by_campaign(terms: &Value) -> Value {
    let mut members = json!({
        "source": { "type": "CAMPAIGN", "campaignNumber": "SPRING" }, "itemNumber": "CHAIR"
    });
    for (name, value) in terms.as_object().unwrap() {
        members[name] = value.clone();
    }
    members
}

#[test]
fn line_problems_have_codes() {
    let snapshot = shop([
        item("BLOCKED", &json!({ "listPrice": "1", "blocked": true })),
        item("BARE", &json!({})),
        item("HUGE", &json!({ "listPrice": "999999999999999" })),
    ]);
    let table = [
        (json!({ "itemNumber": "NEVER" }), "UNKNOWN_ITEM"),
        (json!({ "variantCode": "PINE" }), "UNKNOWN_VARIANT"),
        (json!({ "unitOfMeasureCode": "KG" }), "UNKNOWN_UNIT_OF_MEASURE"),
        (json!({ "itemNumber": "BLOCKED" }), "ITEM_BLOCKED"),
        (json!({ "currencyCode": "USD", "date": "2031-04-30" }), "EXCHANGE_RATE_MISSING"),
        (json!({ "currencyCode": "XXX" }), "EXCHANGE_RATE_MISSING"),
        (json!({ "itemNumber": "BARE" }), "NO_PRICE"),
        (json!({ "itemNumber": "HUGE", "quantity": "2" }), "AMOUNT_TOO_LARGE"),
    ];
    for (members, code) in table {
        assert_eq!(ask(&snapshot, &members)["problem"]["code"], code, "{members}");
    }
    assert_eq!(ask(&snapshot, &json!({ "itemNumber": "HUGE" }))["grossAmount"], "999999999999999");
}

#[test]
fn unknown_account_refuses_the_request() {
    let snapshot = shop([]);
    let unknown = |members: &Value| quote(&snapshot, &request(members)).map(|_| ()).unwrap_err();
    assert_eq!(
        unknown(&json!({ "contactNumber": "NEVER" })),
        QuoteError::UnknownContact("NEVER".to_owned())
    );
    assert_eq!(
        unknown(&json!({ "customerNumber": "FIRM" })),
        QuoteError::UnknownCustomer("FIRM".to_owned())
    );
    let gone =
        snapshot.advanced(8, [Change::Remove { kind: FactKind::Contact, key: "FIRM".to_owned() }]);
    assert!(quote(&gone, &request(&json!({ "customerNumber": "D1" }))).is_err());
}

#[test]
fn person_has_own_currency_and_taxes_of_account() {
    let snapshot = shop([]);
    let request = request(&json!({ "contactNumber": "ANNE" }));
    let quote = quote(&snapshot, &request).unwrap();
    assert_eq!(
        (quote.account_number, quote.currency_code, quote.prices_include_tax),
        (Some("FIRM"), Some("USD"), true)
    );
    assert_eq!(only(&quote).unit_price.to_string(), "250");
    let anybody = json!({});
    assert_eq!(ask(&snapshot, &anybody)["unitPrice"], "100");
    assert_eq!(
        ask(&snapshot, &json!({ "customerNumber": "D1", "taxPercent": "0" }))["unitPrice"],
        "100"
    );
}

#[test]
fn line_for_a_person_counts_for_its_company() {
    let source = json!({ "type": "CONTACT", "contactNumber": "ANNE" });
    let snapshot =
        shop([price("P", &json!({ "source": source, "itemNumber": "CHAIR", "unitPrice": "80" }))]);
    let firm = json!({ "contactNumber": "FIRM", "pricesIncludeTax": false });
    assert_eq!(ask(&snapshot, &firm)["unitPrice"], "80");
    let alone = contact("ANNE", &json!({ "type": "PERSON" }));
    assert_eq!(ask(&snapshot.advanced(8, [alone]), &firm)["unitPrice"], "100");
}

#[test]
fn groups_grant_only_lines_of_their_kind() {
    let customer = json!({ "number": "D2", "priceGroupCode": "GOLD", "discountGroupCode": "GOLD" });
    let by = |kind: &str| json!({ "type": kind, "code": "GOLD" });
    let snapshot = shop([
        contact("SHOP", &json!({ "customer": customer })),
        price(
            "P",
            &json!({
                "source": by("CUSTOMER_DISCOUNT_GROUP"), "itemNumber": "CHAIR", "unitPrice": "1"
            }),
        ),
        discount(
            "R",
            &json!({ "source": by("CUSTOMER_PRICE_GROUP"), "lineDiscountPercent": "50" }),
        ),
    ]);
    let answer = ask(&snapshot, &json!({ "contactNumber": "SHOP" }));
    assert_eq!(answer["lineAmount"], "100");
    assert_eq!(answer["trace"]["prices"][0]["verdict"], "OTHER_SOURCE");
    assert_eq!(answer["trace"]["discounts"][0]["verdict"], "OTHER_SOURCE");
}

#[test]
fn customer_number_moves_to_another_company() {
    let firm =
        |name: &str, number: &str| contact(name, &json!({ "customer": { "number": number } }));
    let account = |snapshot: &Snapshot, number: &str| {
        let request = request(&json!({ "customerNumber": number }));
        quote(snapshot, &request)
            .map(|quote| quote.account_number.map(str::to_owned))
            .ok()
            .flatten()
    };
    for moves in [[firm("NEW", "D1"), firm("FIRM", "D2")], [firm("FIRM", "D2"), firm("NEW", "D1")]]
    {
        let snapshot = shop([]).advanced(8, moves);
        assert_eq!(account(&snapshot, "D1").as_deref(), Some("NEW"));
        assert_eq!(account(&snapshot, "D2").as_deref(), Some("FIRM"));
    }
}

#[test]
fn line_put_again_replaces_itself() {
    let to = |members: Value| discount("R", &members);
    let of_item = to(json!({ "itemNumber": "CHAIR", "lineDiscountPercent": "10" }));
    let of_group = to(json!({ "itemDiscountGroupCode": "SEATS", "lineDiscountPercent": "10" }));
    let of_all = to(json!({ "lineDiscountPercent": "20" }));
    let mut snapshot = shop([of_item]);
    assert_eq!(ask(&snapshot, &json!({}))["lineDiscountPercent"], "10");
    snapshot = snapshot.advanced(8, [of_group]);
    assert_eq!(ask(&snapshot, &json!({}))["trace"]["discounts"], json!([]));
    snapshot = snapshot.advanced(9, [of_all]);
    assert_eq!(ask(&snapshot, &json!({}))["lineDiscountPercent"], "20");
    assert_eq!(ask(&snapshot, &json!({}))["trace"]["discounts"].as_array().unwrap().len(), 1);
    let cheaper =
        |unit_price: &str| price("P", &json!({ "itemNumber": "CHAIR", "unitPrice": unit_price }));
    snapshot = snapshot.advanced(10, [cheaper("50")]).advanced(11, [cheaper("60")]);
    assert_eq!(ask(&snapshot, &json!({}))["unitPrice"], "60");
}

#[test]
fn valid_until_is_the_next_change_of_a_fitting_line() {
    let snapshot =
        shop([price("P", &by_campaign(&json!({ "unitPrice": "90", "minimumQuantity": "5" })))]);
    let table = [
        ("2031-05-09", "5", json!("2031-05-10")),
        ("2031-05-10", "5", json!("2031-05-21")),
        ("2031-05-20", "5", json!("2031-05-21")),
        ("2031-05-21", "5", json!(null)),
        ("2031-05-10", "4", json!(null)),
    ];
    for (date, quantity, until) in table {
        let members = json!({ "contactNumber": "FIRM", "date": date, "quantity": quantity });
        assert_eq!(ask(&snapshot, &members)["validUntil"], until, "{date} {quantity}");
    }
    let foreign = json!({ "currencyCode": "USD", "date": "2031-05-01" });
    assert_eq!(ask(&snapshot, &foreign)["validUntil"], "2031-05-25");
    assert_eq!(
        ask(&snapshot, &json!({ "currencyCode": "USD", "date": "2031-05-25" }))["validUntil"],
        json!(null)
    );
}

#[test]
fn next_break_has_a_lower_net() {
    let at = |key: &str, minimum: &str, unit_price: &str| {
        price(
            key,
            &json!({ "itemNumber": "CHAIR", "unitPrice": unit_price, "minimumQuantity": minimum }),
        )
    };
    let percent =
        json!({ "itemNumber": "CHAIR", "lineDiscountPercent": "4", "minimumQuantity": "30" });
    let snapshot = shop([
        at("A", "10", "110"),
        at("B", "20", "90"),
        at("C", "25", "95"),
        discount("D", &percent),
    ]);
    let next = |quantity: &str, unit: &str| {
        ask(&snapshot, &json!({ "quantity": quantity, "unitOfMeasureCode": unit }))["nextBreak"]
            .clone()
    };
    let chair = json!({ "quantity": "20", "unitPrice": "90", "lineDiscountPercent": "0" });
    assert_eq!(next("1", "PCS"), chair);
    assert_eq!(next("19.99999", "PCS"), chair);
    assert_eq!(
        next("20", "PCS"),
        json!({ "quantity": "30", "unitPrice": "90", "lineDiscountPercent": "4" })
    );
    assert_eq!(next("30", "PCS"), json!(null));
    let boxes = json!({ "quantity": "1.66667", "unitPrice": "1080", "lineDiscountPercent": "0" });
    assert_eq!(next("1", "BOX"), boxes);
}

#[test]
fn named_campaign_has_a_verdict() {
    let snapshot = shop([
        campaign("LATER", "2031-06-01", None),
        audience("LATER", &["FIRM"]),
        campaign("FOREIGN", "2031-05-01", None),
        price("P", &by_campaign(&json!({ "unitPrice": "90" }))),
    ]);
    let table = [
        ("NEVER", json!("NOT_PUBLISHED")),
        ("LATER", json!("OUTSIDE_DATES")),
        ("FOREIGN", json!("NOT_IN_AUDIENCE")),
        ("SPRING", json!(null)),
    ];
    for (number, verdict) in table {
        let answer = ask(&snapshot, &json!({ "contactNumber": "FIRM", "campaignNumber": number }));
        assert_eq!(
            answer["trace"]["campaign"],
            json!({ "campaignNumber": number, "verdict": verdict })
        );
        let of_line = if number == "SPRING" { "CHOSEN" } else { "OTHER_CAMPAIGN" };
        assert_eq!(answer["trace"]["prices"][0]["verdict"], of_line, "{number}");
    }
    let withdrawn = snapshot
        .advanced(8, [Change::Remove { kind: FactKind::Campaign, key: "SPRING".to_owned() }]);
    let answer = ask(&withdrawn, &json!({ "contactNumber": "FIRM", "campaignNumber": "SPRING" }));
    assert_eq!(answer["trace"]["prices"][0]["verdict"], "NOT_PUBLISHED");
}

#[test]
fn account_sees_own_lines_and_counts_of_others() {
    let source = |kind: &str, name: &str, value: &str| json!({ "type": kind, name: value });
    let line = |key: &str, source: Value, unit_price: &str| {
        price(key, &json!({ "source": source, "itemNumber": "CHAIR", "unitPrice": unit_price }))
    };
    let group = json!({ "customer": { "number": "D2", "priceGroupCode": "GOLD" } });
    let snapshot = shop([
        contact("OTHER", &group),
        campaign("FOREIGN", "2031-05-01", None),
        audience("FOREIGN", &["OTHER"]),
        line("OWN", source("CONTACT", "contactNumber", "ANNE"), "91"),
        line("OF-OTHER", source("CONTACT", "contactNumber", "OTHER"), "71.17"),
        line("OF-GROUP", source("CUSTOMER_PRICE_GROUP", "code", "GOLD"), "72.17"),
        line("OF-FOREIGN", source("CAMPAIGN", "campaignNumber", "FOREIGN"), "73.17"),
        line("OF-NOBODY", source("CAMPAIGN", "campaignNumber", "WITHDRAWN"), "74.17"),
        line("OF-SPRING", source("CAMPAIGN", "campaignNumber", "SPRING"), "92"),
        line("OF-ALL", source("ALL_CUSTOMERS", "type", "ALL_CUSTOMERS"), "93"),
        discount(
            "D-OTHER",
            &json!({ "source": source("CONTACT", "contactNumber", "OTHER"), "itemNumber": "CHAIR",
            "lineDiscountPercent": "17.17" }),
        ),
    ]);
    let counts = |counts: &[(&str, u32)]| -> Value {
        counts
            .iter()
            .map(|(verdict, count)| json!({ "verdict": verdict, "count": count }))
            .collect()
    };
    let (other, unpublished, outside) = ("OTHER_SOURCE", "NOT_PUBLISHED", "NOT_IN_AUDIENCE");
    for (members, listed, counted) in [
        (
            json!({ "contactNumber": "FIRM" }),
            &["OF-ALL", "OF-SPRING", "OWN"][..],
            counts(&[(other, 3), (unpublished, 1), (outside, 1)]),
        ),
        (
            json!({ "contactNumber": "FIRM", "campaignNumber": "FOREIGN" }),
            &["OF-ALL", "OF-SPRING", "OWN"],
            counts(&[(other, 3), (unpublished, 1), (outside, 1)]),
        ),
        (
            json!({ "contactNumber": "OTHER" }),
            &["D-OTHER", "OF-ALL", "OF-FOREIGN", "OF-GROUP", "OF-OTHER"],
            counts(&[(other, 1), (unpublished, 1), (outside, 1)]),
        ),
        (json!({}), &["OF-ALL"], counts(&[(other, 4), (unpublished, 1), (outside, 2)])),
    ] {
        let request = QuoteRequest { explain: Visibility::of_quotes(true), ..request(&members) };
        let answer = quote(&snapshot, &request).unwrap();
        let trace = serde_json::to_value(&answer.lines[0]).unwrap()["trace"].take();
        let ids =
            ["discounts", "prices"].into_iter().flat_map(|kind| trace[kind].as_array().unwrap());
        let mut ids: Vec<&str> = ids.map(|line| line["id"].as_str().unwrap()).collect();
        let mut expected: Vec<String> = listed.iter().map(|key| line_id(key).to_string()).collect();
        ids.sort_unstable();
        expected.sort_unstable();
        assert_eq!(ids, expected, "{members}");
        assert_eq!(trace["otherLines"], counted, "{members}");
        let own = members["contactNumber"] == "OTHER";
        assert_eq!(trace.to_string().contains(".17\""), own, "{members}: {trace}");
    }
    assert_eq!(Visibility::of_quotes(false), None);
}

#[test]
fn forbidden_discount_is_chosen_but_not_granted() {
    let forbids = json!({ "itemNumber": "CHAIR", "unitPrice": "80", "allowLineDiscount": false });
    let percent = json!({ "itemNumber": "CHAIR", "lineDiscountPercent": "10" });
    let snapshot = shop([price("P", &forbids), discount("R", &percent)]);
    let answer = ask(&snapshot, &json!({}));
    assert_eq!(
        (&answer["lineDiscountPercent"], &answer["discountLine"]),
        (&json!("0"), &json!(null))
    );
    assert_eq!(answer["trace"]["lineDiscountAllowed"], false);
    assert_eq!(answer["trace"]["discounts"][0]["verdict"], "LINE_DISCOUNT_NOT_ALLOWED");
}

#[test]
fn trace_has_price_net_version_and_source() {
    let percent = json!({ "itemNumber": "CHAIR", "lineDiscountPercent": "33.33333" });
    let snapshot = shop([
        price("P", &by_campaign(&json!({ "unitPrice": "0.00007" }))),
        discount("R", &percent),
    ]);
    let answer = ask(&snapshot, &json!({ "contactNumber": "FIRM", "pricesIncludeTax": false }));
    let source = json!({ "type": "CAMPAIGN", "campaignNumber": "SPRING" });
    let id = line_id("P").to_string();
    assert_eq!(
        answer["trace"]["prices"],
        json!([{
            "id": id, "source": source, "publicationVersion": 7, "verdict": "CHOSEN",
            "minimumQuantity": "0", "unitPrice": "0.00007", "netUnitPrice": "0.000046666669"
        }])
    );
    assert_eq!(answer["priceLine"], json!({ "id": id, "source": source, "publicationVersion": 7 }));
}

#[test]
fn local_currency_code_fixes_nothing() {
    let line = |key: &str, unit_price: &str, currency: Value| {
        price(
            key,
            &json!({ "itemNumber": "CHAIR", "unitPrice": unit_price, "currencyCode": currency }),
        )
    };
    let snapshot = shop([line("A", "90", json!("EUR")), line("B", "80", json!(null))]);
    for members in [json!({}), json!({ "currencyCode": "EUR" })] {
        assert_eq!(ask(&snapshot, &members)["unitPrice"], "80");
    }
    let only_local = shop([line("A", "90", json!("EUR"))]);
    assert_eq!(ask(&only_local, &json!({ "currencyCode": "USD" }))["unitPrice"], "180");
}

#[test]
fn too_large_price_is_compared() {
    let huge = json!({ "itemNumber": "CHAIR", "unitPrice": "999999999999999" });
    let snapshot = shop([price("P", &huge)]);
    assert_eq!(ask(&snapshot, &json!({}))["unitPrice"], "999999999999999");
    let boxes = json!({ "unitOfMeasureCode": "BOX" });
    assert_eq!(ask(&snapshot, &boxes)["problem"]["code"], "AMOUNT_TOO_LARGE");
    let cheaper = json!({ "itemNumber": "CHAIR", "unitPrice": "1000", "unitOfMeasureCode": "BOX" });
    let snapshot = snapshot.advanced(8, [price("Q", &cheaper)]);
    let answer = ask(&snapshot, &boxes);
    assert_eq!(answer["unitPrice"], "1000");
    let dropped = &answer["trace"]["prices"][0];
    assert_eq!((&dropped["verdict"], &dropped["unitPrice"]), (&json!("HIGHER_NET"), &json!(null)));
}

#[test]
fn totals_are_sums_of_priced_lines() {
    let snapshot = shop([discount("R", &json!({ "lineDiscountPercent": "10" }))]);
    let mut request = request(&json!({ "quantity": "3" }));
    let mut unknown = request.lines[0].clone();
    unknown.item_number = "NEVER".into();
    request.lines.extend([unknown, request.lines[0].clone()]);
    let quote = quote(&snapshot, &request).unwrap();
    assert!(matches!(quote.lines[1], QuoteLine::Unpriced(_)));
    let totals = serde_json::to_value(quote.totals).unwrap();
    assert_eq!(
        totals,
        json!({ "grossAmount": "600", "discountAmount": "60", "lineAmount": "540" })
    );
}

#[test]
fn verdicts_are_in_order_of_rules() {
    let texts: Vec<Value> = [
        Verdict::OtherSource,
        Verdict::NotPublished,
        Verdict::NotInAudience,
        Verdict::OtherCampaign,
        Verdict::OtherVariant,
        Verdict::OtherUnit,
        Verdict::OtherCurrency,
        Verdict::OutsideDates,
        Verdict::BelowMinimumQuantity,
        Verdict::ItemLineOfSameSource,
        Verdict::Policy,
        Verdict::LessSpecific,
        Verdict::LowerDiscount,
        Verdict::HigherNet,
        Verdict::Tie,
        Verdict::AboveListPrice,
        Verdict::Chosen,
    ]
    .map(|verdict| serde_json::to_value(verdict).unwrap())
    .into();
    assert_eq!(
        json!(texts),
        json!([
            "OTHER_SOURCE",
            "NOT_PUBLISHED",
            "NOT_IN_AUDIENCE",
            "OTHER_CAMPAIGN",
            "OTHER_VARIANT",
            "OTHER_UNIT",
            "OTHER_CURRENCY",
            "OUTSIDE_DATES",
            "BELOW_MINIMUM_QUANTITY",
            "ITEM_LINE_OF_SAME_SOURCE",
            "POLICY",
            "LESS_SPECIFIC",
            "LOWER_DISCOUNT",
            "HIGHER_NET",
            "TIE",
            "ABOVE_LIST_PRICE",
            "CHOSEN"
        ])
    );
}

#[test]
fn facts_json_round_trip() {
    let facts = [
        put(
            FactKind::Currency,
            "USD",
            json!({}),
            &json!({ "unitAmountPrecision": "0.01", "amountPrecision": "1" }),
        ),
        price("P", &by_campaign(&json!({ "unitPrice": "84.50", "taxPercent": "19" }))),
        settings(&json!({ "pricePolicy": "HIERARCHY", "priceHierarchy": ["CONTACT", "CAMPAIGN"] })),
    ];
    for change in facts {
        let Change::Put { fact, .. } = change else { unreachable!() };
        assert_eq!(
            Fact::from_text(fact.kind(), &fact.to_json().unwrap().to_string()).unwrap(),
            fact
        );
    }
    assert!(Fact::from_text(FactKind::PriceLine, r#"{"unitPrice": 84.5}"#).is_err());
    assert_eq!(day("2031-05-01").to_string(), "2031-05-01");
}

#[test]
fn amounts_are_strings_with_a_pattern() {
    let schema =
        serde_json::to_value(<PricedLine<'static> as utoipa::PartialSchema>::schema()).unwrap();
    for name in [
        "unitPrice",
        "lineDiscountPercent",
        "grossAmount",
        "discountAmount",
        "lineAmount",
        "listPrice",
    ] {
        let property = &schema["properties"][name];
        let is_string =
            property["type"] == "string" || property["type"] == json!(["string", "null"]);
        assert!(
            is_string && property["pattern"].is_string() && property["example"].is_string(),
            "{name}: {property}"
        );
    }
}

#[test]
fn inputs_without_effect_are_warned_of() {
    let snapshot = shop([]);
    let warnings = |members: Value| {
        let answer = quote(&snapshot, &request(&members)).map(|quote| quote.warnings);
        answer.map(|warnings| {
            warnings
                .into_iter()
                .map(|warning| (warning.code.text(), warning.pointer))
                .collect::<Vec<_>>()
        })
    };
    let campaign = |code| Ok(vec![(code, "/campaignNumber".to_owned())]);
    let firm = |campaign: &str, date: &str| json!({ "contactNumber": "FIRM", "campaignNumber": campaign, "date": date });
    assert_eq!(warnings(firm("SPRING", "2031-05-15")), Ok(vec![]));
    assert_eq!(warnings(firm("SPRNG", "2031-05-15")), campaign("CAMPAIGN_NOT_PUBLISHED"));
    assert_eq!(warnings(firm("SPRING", "2031-05-21")), campaign("OUTSIDE_CAMPAIGN_DATES"));
    let other = json!({ "campaignNumber": "SPRING" });
    assert_eq!(warnings(other), campaign("NOT_IN_AUDIENCE"));
    let unknown =
        |treatment: &str| json!({ "contactNumber": "NOBODY", "onUnknownContact": treatment });
    assert_eq!(warnings(unknown("REFUSE")), Err(QuoteError::UnknownContact("NOBODY".to_owned())));
    assert_eq!(
        warnings(unknown("EVERYBODY")),
        Ok(vec![("UNKNOWN_CONTACT", "/contactNumber".to_owned())])
    );
    let customer = json!({ "customerNumber": "D9", "onUnknownContact": "EVERYBODY" });
    assert_eq!(warnings(customer), Ok(vec![("UNKNOWN_CUSTOMER", "/customerNumber".to_owned())]));
}
