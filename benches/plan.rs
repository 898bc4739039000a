//! Benchmarks of the plan: the prices of a whole audience before and after an activation.
//!
//! The campaign has 10,000 price lines and an audience of up to a million accounts. The number of
//! classes grows with the groups and campaigns that the lines of the same items name; that of the
//! accounts matters only where they are divided into classes. Each benchmark prints the number of
//! classes and of comparisons. The time of an activation grows with the comparisons.
//!
//! Run one with
//! `cargo bench --profile dist --bench plan -- '1000000 accounts, 10000 lines, 3 groups, 1'`.

// A benchmark may panic.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use kampanje::activation::effective_prices::{EffectivePrices, PriceStatistics};
use kampanje::price_impact::affected::Affected;
use kampanje::price_impact::compare::{Comparer, Days, Next};
use price_book::facts::{Change, Fact, FactKind};
use price_book::snapshot::Snapshot;
use serde_json::{Value, json};
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The size of a plan.
#[derive(Clone, Copy)]
struct Size {
    accounts: u32,
    items: usize,
    /// Price groups and discount groups that lines for the items name.
    groups: usize,
    /// Other campaigns with discounts for the items; each reaches another half of the accounts.
    rivals: usize,
}

fn put(kind: FactKind, key: String, members: &Value) -> Change {
    Change::Put { key, fact: Fact::from_text(kind, &members.to_string()).unwrap(), version: 1 }
}

fn contact(index: u32, groups: usize) -> Change {
    let group = usize::try_from(index).unwrap() % (groups + 1);
    let code = (group > 0).then(|| format!("G{group}"));
    let customer = json!({
        "number": format!("D{index}"), "priceGroupCode": code, "discountGroupCode": code,
        "allowLineDiscount": true, "pricesIncludeTax": index.is_multiple_of(10)
    });
    let members = json!({ "type": "COMPANY", "ordinal": index, "customer": customer });
    put(FactKind::Contact, format!("CT{index:07}"), &members)
}

/// Returns the book without the planned campaign.
fn book(size: Size) -> Snapshot {
    let settings = json!({ "localCurrencyCode": "EUR", "timeZone": "Europe/Berlin" });
    let dates = json!({ "startingDate": "2031-05-01", "endingDate": "2031-05-31" });
    let mut changes = vec![put(FactKind::Settings, String::new(), &settings)];
    for rival in 0..size.rivals {
        let number = format!("R{rival}");
        changes.push(put(FactKind::Campaign, number.clone(), &dates));
        let shift = u32::try_from(rival).unwrap();
        let accounts = (0..size.accounts).filter(|it| (it >> shift) % 2 == 0).collect();
        changes.push(Change::AudienceAdd { campaign: number, accounts });
    }
    let contacts = (0..size.accounts).map(|index| contact(index, size.groups));
    let items = (0..size.items).flat_map(|item| {
        let number = format!("ITEM{item:05}");
        let members = json!({
            "listPrice": "129.95", "unitCost": "70", "taxPercent": "25",
            "baseUnitOfMeasureCode": "PCS"
        });
        let mut changes = vec![put(FactKind::Item, number.clone(), &members)];
        for group in 1..=size.groups {
            let source = json!({"type": "CUSTOMER_PRICE_GROUP", "code": format!("G{group}")});
            let line = json!({
                "source": source, "itemNumber": number, "minimumQuantity": "0",
                "unitPrice": format!("{}", 100 + group), "allowLineDiscount": true,
                "priceIncludesTax": false
            });
            changes.push(put(FactKind::PriceLine, Uuid::new_v4().to_string(), &line));
        }
        for rival in 0..size.rivals {
            let source = json!({"type": "CAMPAIGN", "campaignNumber": format!("R{rival}")});
            let line = json!({
                "source": source, "itemNumber": number, "minimumQuantity": "0",
                "lineDiscountPercent": format!("{}", rival + 1)
            });
            changes.push(put(FactKind::DiscountLine, Uuid::new_v4().to_string(), &line));
        }
        changes
    });
    Snapshot::empty().advanced(1, changes.into_iter().chain(contacts).chain(items))
}

/// Returns the changes of an activation, and the ids of its lines.
fn activation(size: Size) -> (Vec<Change>, Vec<Uuid>) {
    let dates = json!({ "startingDate": "2031-05-01", "endingDate": "2031-05-31" });
    let mut changes = vec![put(FactKind::Campaign, "SPRING".to_owned(), &dates)];
    let mut ids = Vec::new();
    for item in 0..size.items {
        let id = Uuid::new_v4();
        let line = json!({
            "source": {"type": "CAMPAIGN", "campaignNumber": "SPRING"},
            "itemNumber": format!("ITEM{item:05}"), "minimumQuantity": "0",
            "unitPrice": format!("{}", 60 + item % 50), "allowLineDiscount": true,
            "priceIncludesTax": false
        });
        changes.push(put(FactKind::PriceLine, id.to_string(), &line));
        ids.push(id);
    }
    let accounts = (0..size.accounts).collect();
    changes.push(Change::AudienceAdd { campaign: "SPRING".to_owned(), accounts });
    (changes, ids)
}

/// Computes the prices of the plan.
fn plan(before: &Snapshot, after: &Snapshot, ids: &[Uuid]) -> (EffectivePrices, u64) {
    let day = "2031-05-01".parse().unwrap();
    let mut affected = Affected::default();
    for id in ids {
        affected.add_line(before, after, *id);
    }
    let mut statistics = PriceStatistics::default();
    let mut comparer = Comparer::new(before, after, &affected);
    let size = comparer
        .compare(Days::Only(day), &mut |comparison| {
            statistics.add(after, comparison);
            Next::Continue
        })
        .unwrap();
    (statistics.finish(day, size), size.comparisons)
}

fn bench(criterion: &mut Criterion) {
    // A test run, which has no such argument, only shows that the benchmark works.
    let scale = if std::env::args().any(|argument| argument == "--bench") { 1 } else { 1_000_u32 };
    let usual = Size {
        accounts: 1_000_000 / scale,
        items: 10_000 / usize::try_from(scale).unwrap(),
        groups: 3,
        rivals: 1,
    };
    let sizes = [
        usual,
        Size { accounts: usual.accounts / 10, ..usual },
        Size { items: usual.items / 10, ..usual },
        Size { groups: 0, rivals: 0, ..usual },
        Size { groups: 9, ..usual },
        Size { rivals: 3, ..usual },
    ];
    let mut group = criterion.benchmark_group("plan");
    group.sample_size(10);
    for size in sizes {
        let Size { accounts, items, groups, rivals } = size;
        let name = format!(
            "{accounts} accounts, {items} lines, {groups} groups, {rivals} other campaigns"
        );
        // Inside, so that only the selected sizes are built.
        group.bench_function(&name, |bencher| {
            let before = book(size);
            let (changes, ids) = activation(size);
            let after = before.advanced(2, changes);
            let (prices, comparisons) = plan(&before, &after, &ids);
            println!(
                "{} classes, {comparisons} comparisons, {} prices",
                prices.classes, prices.compared
            );
            bencher.iter(|| black_box(plan(&before, &after, &ids)));
        });
    }
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
