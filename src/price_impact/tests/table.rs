//! Examples of the arithmetic of nets.

use values::{Amount, Percent, Quantity};

use crate::price_impact::net::{Average, Terms, bucket, change_percent, shown_percent};

fn net(price: &str) -> u128 {
    price.parse::<Amount>().unwrap().units() * 10_000_000
}

#[test]
fn buckets_contain_their_lower_end() {
    for (before, after, lower) in [
        ("100", "80", -20),
        ("100", "80.00001", -20),
        ("100", "79.99999", -25),
        ("100", "0", -100),
        ("100", "99.99999", -5),
        ("100", "100.00001", 0),
        ("100", "105", 5),
        ("3", "4", 30),
        ("1", "900", 89_900),
    ] {
        assert_eq!(bucket(net(before), net(after)), Some(lower / 5), "{before} to {after}");
    }
    assert_eq!(bucket(0, 1), None);
}

#[test]
fn changes_are_rounded_half_away_from_zero() {
    for (before, after, percent) in
        [("100", "72.25", "-27.75"), ("3", "2", "-33.33"), ("3", "5", "66.67"), ("7", "7", "0")]
    {
        let change = change_percent(net(before), net(after)).and_then(shown_percent);
        assert_eq!(change.unwrap().to_string(), percent);
    }
    assert_eq!(change_percent(0, 5), None);
}

#[test]
fn margins_are_compared_in_local_terms() {
    let local = Terms { included_tax: None, rate: None, quantity_per_unit: Quantity::ONE };
    let cost: Amount = "80".parse().unwrap();
    let floor: Percent = "20".parse().unwrap();
    assert!(!local.is_margin_below(net("100"), cost, floor), "the floor itself is kept");
    assert!(local.is_margin_below(net("99.99999"), cost, floor));
    assert!(!local.is_margin_below(net("80"), cost, Percent::ZERO));
    assert!(local.is_margin_below(net("79.99999"), cost, Percent::ZERO));
    assert!(local.is_margin_below(0, cost, Percent::ZERO), "nothing is below any cost");
    // A box of ten with 25 % tax in a currency of two units for a local one: 2,500 are 100 a piece.
    let boxed = Terms {
        included_tax: Some("25".parse().unwrap()),
        rate: Some("2".parse().unwrap()),
        quantity_per_unit: "10".parse().unwrap(),
    };
    assert!(!boxed.is_margin_below(net("2500"), cost, floor));
    assert!(boxed.is_margin_below(net("2499.99999"), cost, floor));
    assert_eq!(boxed.margin(net("2500"), cost).and_then(shown_percent).unwrap().to_string(), "20");
    assert!(!boxed.is_lower(net("2500"), local, net("100")));
    assert!(boxed.is_lower(net("2499"), local, net("100")));
    assert_eq!(local.margin(0, cost), None);
}

#[test]
fn averages_weigh_by_accounts() {
    let mut average = Average::default();
    assert_eq!(average.shown(), None);
    average.add(2_000_000_000, 999_999);
    average.add(1_000_000_000, 1);
    assert_eq!(average.shown().unwrap().to_string(), "20");
    average.add(-2_000_000_000, 1_000_000);
    assert_eq!(average.shown().unwrap().to_string(), "0");
}
