//! Random small price books and edits of them.

use chrono::NaiveDate;
use proptest::collection::vec;
use proptest::prelude::*;
use roaring::RoaringBitmap;
use serde_json::{Value, json};
use uuid::Uuid;

use price_book::facts::{Change, Fact, FactKind};
use price_book::snapshot::Snapshot;

/// The numbers of the items.
pub(crate) const ITEMS: [&str; 3] = ["CHAIR", "DESK", "LAMP"];
/// The numbers of the contacts; ANNE is a person of GREEN.
pub(crate) const CONTACTS: [&str; 6] = ["BLUE", "GREEN", "RED", "SOLO", "WHITE", "ANNE"];
/// The accounts, with their ordinals.
pub(crate) const ACCOUNTS: [(&str, u32); 5] =
    [("BLUE", 0), ("GREEN", 1), ("RED", 2), ("SOLO", 3), ("WHITE", 4)];
/// The numbers of the campaigns.
pub(crate) const CAMPAIGNS: [&str; 3] = ["MAY", "SPRING", "SUMMER"];

/// Returns a day of the world's month.
pub(crate) fn day(of_month: u32) -> NaiveDate {
    NaiveDate::from_ymd_opt(2031, 5, of_month).unwrap()
}

/// An edit of a book.
#[derive(Debug, Clone)]
pub(crate) struct Edit(pub Vec<Change>);

/// A fact that is added or replaced.
pub(crate) fn put(kind: FactKind, key: &str, members: &Value) -> Change {
    let fact = Fact::from_text(kind, &members.to_string()).unwrap();
    Change::Put { key: key.to_owned(), fact, version: 1 }
}

fn line_id(index: u128) -> String {
    Uuid::from_u128(index + 1).to_string()
}

/// Returns one of the texts, or null.
fn maybe(texts: &'static [&'static str], weight: u32) -> impl Strategy<Value = Value> + Clone {
    prop_oneof![
        weight => Just(Value::Null),
        1 => proptest::sample::select(texts).prop_map(|text| json!(text)),
    ]
}

fn source(is_price: bool) -> BoxedStrategy<Value> {
    let campaign = proptest::sample::select(&CAMPAIGNS[..])
        .prop_map(|number| json!({"type": "CAMPAIGN", "campaignNumber": number}));
    let contact = proptest::sample::select(&CONTACTS[..])
        .prop_map(|number| json!({"type": "CONTACT", "contactNumber": number}));
    let kind = if is_price { "CUSTOMER_PRICE_GROUP" } else { "CUSTOMER_DISCOUNT_GROUP" };
    let group = proptest::sample::select(&["GOLD", "IRON"][..])
        .prop_map(move |code| json!({"type": kind, "code": code}));
    prop_oneof![
        4 => campaign,
        1 => contact,
        1 => group,
        1 => Just(json!({"type": "ALL_CUSTOMERS"})),
    ]
    .boxed()
}

fn dates() -> impl Strategy<Value = (Value, Value)> {
    prop_oneof![
        2 => Just((Value::Null, Value::Null)),
        1 => (1_u32..20, 0_u32..8)
            .prop_map(|(start, days)| (json!(day(start)), json!(day(start + days)))),
    ]
}

fn minimum() -> impl Strategy<Value = Value> {
    proptest::sample::select(&["0", "0", "0", "0.5", "1", "2", "10", "25"][..])
        .prop_map(|text| json!(text))
}

/// A price line, or its removal.
fn price_line(prices: std::ops::Range<u32>) -> impl Strategy<Value = Change> {
    let fields = (
        source(true),
        proptest::sample::select(&ITEMS[..]),
        maybe(&["OAK"], 4),
        maybe(&["BOX", "PCS"], 4),
        maybe(&["USD", "EUR"], 5),
        minimum(),
        dates(),
        prices,
        any::<(bool, bool)>(),
    );
    let removal = any::<bool>().prop_map(|it| it);
    (0_u128..12, removal, fields).prop_map(|(index, remove, fields)| {
        let key = line_id(index);
        if remove {
            return Change::Remove { kind: FactKind::PriceLine, key };
        }
        let (source, item, variant, unit, currency, minimum, dates, price, flags) = fields;
        let (starting, ending) = own_dates(&source, dates);
        let factor = if unit == json!("BOX") { 10 } else { 1 };
        let members = json!({
            "source": source, "itemNumber": item, "variantCode": variant,
            "unitOfMeasureCode": unit, "currencyCode": currency, "minimumQuantity": minimum,
            "startingDate": starting, "endingDate": ending,
            "unitPrice": (price * factor).to_string(), "allowLineDiscount": flags.0,
            "priceIncludesTax": flags.1
        });
        put(FactKind::PriceLine, &key, &members)
    })
}

/// A discount line, or its removal.
fn discount_line() -> impl Strategy<Value = Change> {
    let target = prop_oneof![
        2 => proptest::sample::select(&ITEMS[..]).prop_map(|item| (json!(item), Value::Null)),
        1 => Just((Value::Null, json!("FURN"))),
        1 => Just((Value::Null, Value::Null)),
    ];
    let fields = (
        source(false),
        target,
        any::<bool>(),
        maybe(&["BOX", "PCS"], 4),
        maybe(&["USD"], 5),
        minimum(),
        dates(),
        0_u32..60,
    );
    (100_u128..108, any::<bool>(), fields).prop_map(|(index, remove, fields)| {
        let key = line_id(index);
        if remove {
            return Change::Remove { kind: FactKind::DiscountLine, key };
        }
        let (source, (item, group), fixes_variant, unit, currency, minimum, dates, percent) =
            fields;
        let (starting, ending) = own_dates(&source, dates);
        let variant = if fixes_variant && !item.is_null() { json!("OAK") } else { Value::Null };
        let members = json!({
            "source": source, "itemNumber": item, "itemDiscountGroupCode": group,
            "variantCode": variant, "unitOfMeasureCode": unit, "currencyCode": currency,
            "minimumQuantity": minimum, "startingDate": starting, "endingDate": ending,
            "lineDiscountPercent": percent.to_string()
        });
        put(FactKind::DiscountLine, &key, &members)
    })
}

/// Returns the dates of a line. Those of a campaign's line are its campaign's.
fn own_dates(source: &Value, dates: (Value, Value)) -> (Value, Value) {
    if source["type"] == "CAMPAIGN" { (Value::Null, Value::Null) } else { dates }
}

/// The dates of a campaign, or its withdrawal.
fn campaign() -> impl Strategy<Value = Change> {
    let fields = (proptest::sample::select(&CAMPAIGNS[..]), 0_u32..4, 1_u32..20, 0_u32..12);
    fields.prop_map(|(number, choice, start, days)| match choice {
        0 => Change::Remove { kind: FactKind::Campaign, key: number.to_owned() },
        _ => {
            let ending = (choice > 1).then(|| day((start + days).min(31)));
            let combination = if start % 3 == 0 { "OWN" } else { "ANY" };
            let members = json!({
                "startingDate": day(start), "endingDate": ending, "combination": combination
            });
            put(FactKind::Campaign, number, &members)
        }
    })
}

/// Accounts that join or leave a campaign.
fn audience() -> impl Strategy<Value = Change> {
    let fields = (proptest::sample::select(&CAMPAIGNS[..]), any::<bool>(), vec(0_u32..5, 1..4));
    fields.prop_map(|(campaign, joins, accounts)| {
        let (campaign, accounts) = (campaign.to_owned(), accounts.into_iter().collect());
        if joins {
            Change::AudienceAdd { campaign, accounts }
        } else {
            Change::AudienceRemove { campaign, accounts }
        }
    })
}

/// An item with a list price, and with or without the item discount group.
pub(crate) fn item_fact(number: &str, list: Option<u32>, in_group: bool) -> Change {
    let members = json!({
        "listPrice": list.map(|price| price.to_string()),
        "taxPercent": "25", "baseUnitOfMeasureCode": "PCS",
        "priceIncludesTax": number == "LAMP",
        "itemDiscountGroupCode": in_group.then_some("FURN"),
        "unitsOfMeasure": [{"code": "BOX", "quantityPerUnit": "10"}],
        "variants": ["OAK"], "unitCost": "50"
    });
    put(FactKind::Item, number, &members)
}

/// A changed list price or item discount group.
fn item(prices: std::ops::Range<u32>) -> impl Strategy<Value = Change> {
    let fields = (proptest::sample::select(&ITEMS[..]), prices, any::<bool>());
    fields.prop_map(|(number, price, in_group)| item_fact(number, Some(price), in_group))
}

/// One to three changes of different keys.
pub(crate) fn edit(prices: std::ops::Range<u32>) -> impl Strategy<Value = Edit> {
    let change = prop_oneof![
        5 => price_line(prices.clone()),
        3 => discount_line(),
        3 => campaign(),
        3 => audience(),
        1 => item(prices),
    ];
    vec(change, 1..4).prop_map(|changes| {
        let mut keys = std::collections::HashSet::new();
        let key = |change: &Change| match change {
            Change::Put { key, fact, .. } => format!("{}{key}", fact.kind()),
            Change::Remove { kind, key } => format!("{kind}{key}"),
            Change::AudienceAdd { campaign, .. } | Change::AudienceRemove { campaign, .. } => {
                format!("AUDIENCE{campaign}")
            }
        };
        Edit(changes.into_iter().filter(|change| keys.insert(key(change))).collect())
    })
}

/// The company's policy.
pub(crate) fn settings() -> impl Strategy<Value = Change> {
    let policies = ["LOWEST_NET", "LOWEST_NET", "CAMPAIGN_FIRST", "HIERARCHY"];
    (proptest::sample::select(policies.to_vec()), any::<bool>()).prop_map(
        |(policy, never_above)| {
            let hierarchy = [
                "CONTACT",
                "CUSTOMER_PRICE_GROUP",
                "CUSTOMER_DISCOUNT_GROUP",
                "ALL_CUSTOMERS",
                "CAMPAIGN",
            ];
            let members = json!({
                "localCurrencyCode": "EUR", "timeZone": "Europe/Oslo", "pricePolicy": policy,
                "priceHierarchy": hierarchy, "neverAboveListPrice": never_above
            });
            put(FactKind::Settings, "", &members)
        },
    )
}

/// Returns a book with items, contacts, campaigns and an exchange rate, without lines.
pub(crate) fn base(settings: Change) -> Snapshot {
    let customer = |number: u32, price: Option<&str>, discount: Option<&str>, tax: bool| {
        json!({
            "number": format!("D{number}"), "priceGroupCode": price,
            "discountGroupCode": discount, "allowLineDiscount": number != 2,
            "pricesIncludeTax": tax
        })
    };
    let contacts = [
        ("BLUE", "COMPANY", Value::Null, Value::Null, Value::Null),
        (
            "GREEN",
            "COMPANY",
            Value::Null,
            Value::Null,
            customer(1, Some("GOLD"), Some("IRON"), false),
        ),
        ("RED", "COMPANY", Value::Null, json!("USD"), customer(2, Some("GOLD"), None, false)),
        ("SOLO", "PERSON", Value::Null, Value::Null, Value::Null),
        (
            "WHITE",
            "COMPANY",
            Value::Null,
            Value::Null,
            customer(3, Some("IRON"), Some("GOLD"), true),
        ),
        ("ANNE", "PERSON", json!("GREEN"), Value::Null, Value::Null),
    ];
    let contacts = contacts.into_iter().zip(0_u32..).map(
        |((number, kind, company, currency, customer), ordinal)| {
            let members = json!({
                "ordinal": ordinal, "type": kind, "companyNumber": company,
                "currencyCode": currency, "customer": customer
            });
            put(FactKind::Contact, number, &members)
        },
    );
    let rate = json!({"currencyCode": "USD", "startingDate": day(1), "rate": "1.25"});
    let mut changes = vec![settings, put(FactKind::ExchangeRate, "USD|2031-05-01", &rate)];
    changes.extend(contacts);
    changes.push(item_fact("CHAIR", Some(100), true));
    changes.push(item_fact("DESK", Some(120), true));
    changes.push(item_fact("LAMP", Some(150), false));
    for (campaign, start) in CAMPAIGNS.into_iter().zip([3, 6, 9]) {
        let dates = json!({"startingDate": day(start), "endingDate": day(start + 9)});
        changes.push(put(FactKind::Campaign, campaign, &dates));
        let accounts: RoaringBitmap = (0..5).filter(|account| account % 3 != start % 3).collect();
        changes.push(Change::AudienceAdd { campaign: campaign.to_owned(), accounts });
    }
    Snapshot::empty().advanced(1, changes)
}
