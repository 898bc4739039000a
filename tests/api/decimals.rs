//! Decimals: requests, the database, the price book and responses have the same values.

use diesel::sql_types::Text;
use diesel_async::RunQueryDsl;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::support::app::TestApp;

/// Amounts at the ends of their range and in unusual notations, each with its canonical form.
const AMOUNTS: [(&str, &str); 12] = [
    ("0", "0"),
    ("0.00001", "0.00001"),
    ("0.99999", "0.99999"),
    ("1", "1"),
    ("1.00000", "1"),
    ("12.50", "12.5"),
    ("0.1", "0.1"),
    ("999999999999999", "999999999999999"),
    ("999999999999999.99999", "999999999999999.99999"),
    ("100000000000000.00001", "100000000000000.00001"),
    // More digits than a binary float can represent.
    ("9007199254740.99301", "9007199254740.99301"),
    ("-0.0", "0"),
];
const PERCENTS: [(&str, &str); 6] = [
    ("0", "0"),
    ("0.00001", "0.00001"),
    ("33.33333", "33.33333"),
    ("99.99999", "99.99999"),
    ("100", "100"),
    ("100.00000", "100"),
];

/// Returns the decimal fields of a table's rows from the database.
async fn stored_decimals(app: &TestApp, table: &str, columns: &[(&str, &str)]) -> Value {
    let pairs: Vec<_> = columns
        .iter()
        .map(|(name, column)| format!("'{name}', trim_scale({column})::text"))
        .collect();
    let sql = format!(
        "(SELECT jsonb_agg(jsonb_build_object({}) ORDER BY id)::text FROM {table})",
        pairs.join(", ")
    );
    let rows: String = diesel::select(diesel::dsl::sql::<Text>(&sql))
        .get_result(&mut app.connection().await)
        .await
        .unwrap();
    serde_json::from_str(&rows).unwrap()
}

/// Returns the named members of each row.
fn members(rows: &Value, names: &[(&str, &str)]) -> Value {
    let pick = |row: &Value| {
        names.iter().map(|(name, _)| ((*name).to_owned(), row[*name].clone())).collect()
    };
    rows.as_array().unwrap().iter().map(|row| Value::Object(pick(row))).collect()
}

/// Writes rows as a batch, and asserts their decimals in the list, the database and the book.
async fn assert_round_trip(
    app: &TestApp,
    path: &str,
    table: &str,
    columns: &[(&str, &str)],
    rows: &[Value],
    expected: &Value,
) {
    app.post(&format!("{path}/batch"), &json!({ "rows": rows })).await.expect(200);
    let listed = app.get(&format!("{path}?top=1000&orderby=id")).await.expect(200);
    assert_eq!(members(&listed["value"], columns), *expected, "{path}");
    assert_eq!(stored_decimals(app, table, columns).await, *expected, "{table}");
    let sql = "(SELECT coalesce(jsonb_agg(facts), '[]')::text
        FROM book_entries WHERE to_version IS NULL)";
    let facts: String = diesel::select(diesel::dsl::sql::<Text>(sql))
        .get_result(&mut app.connection().await)
        .await
        .unwrap();
    let facts: Value = serde_json::from_str(&facts).unwrap();
    for row in expected.as_array().unwrap() {
        let holds = |fact: &Value| {
            row.as_object().unwrap().iter().all(|(name, value)| fact.get(name) == Some(value))
        };
        assert!(facts.as_array().unwrap().iter().any(holds), "{row} is not in the book");
    }
}

/// Returns rows with the nth form of each field, and the expected rows.
fn rows(
    count: usize,
    fields: &[(&'static str, &[(&str, &str)])],
    other: impl Fn(usize) -> Value,
) -> (Vec<Value>, Value) {
    let row = |at: usize, side: fn(&(&str, &str)) -> String| {
        let field = |(name, forms): &(&'static str, &[(&str, &str)])| {
            ((*name).to_owned(), Value::String(side(&forms[at % forms.len()])))
        };
        fields.iter().map(field).collect::<serde_json::Map<_, _>>()
    };
    let sent = (0..count).map(|at| {
        let mut sent = row(at, |(sent, _)| (*sent).to_owned());
        sent.extend(other(at).as_object().unwrap().clone());
        Value::Object(sent)
    });
    let expected = (0..count)
        .map(|at| Value::Object(row(at, |(_, expected)| (*expected).to_owned())))
        .collect();
    (sent.collect(), expected)
}

const ITEM: [(&str, &str); 3] =
    [("listPrice", "list_price"), ("unitCost", "unit_cost"), ("taxPercent", "tax_percent")];

#[actix_web::test]
async fn range_ends_survive_in_items() {
    let app = TestApp::new().await;
    create_items(&app).await;
    // The parts of an item, and a patch that merges into the previous response.
    for (at, (sent, shown)) in positive_amounts().iter().enumerate() {
        let path = format!("/v1/items/I{at:03}");
        let unit = json!({"unitsOfMeasure": [{"code": "BOX", "quantityPerUnit": sent}]});
        let answered = app.patch(&path, &unit).await.expect(200);
        assert_eq!(answered["unitsOfMeasure"][0], json!({"code": "BOX", "quantityPerUnit": shown}));
        assert_eq!(app.patch(&path, &json!({})).await.expect(200), answered);
        assert_eq!(app.get(&path).await.expect(200), answered);
    }
    for (value, count) in
        [("999999999999999.99999", 1), ("100000000000000.00001", 1), ("100000000000000.00002", 0)]
    {
        let found =
            app.get(&format!("/v1/items?count=true&filter=listPrice eq {value}")).await.expect(200);
        assert_eq!(found["count"], count, "{value}");
    }
}

/// Creates items with the ends of the ranges, from I000 on, and checks their round trip.
async fn create_items(app: &TestApp) {
    let item = |at: usize| json!({ "number": format!("I{at:03}") });
    let fields: [(&str, &[_]); 3] =
        [("listPrice", &AMOUNTS), ("unitCost", &AMOUNTS), ("taxPercent", &PERCENTS)];
    let (sent, expected) = rows(12, &fields, item);
    assert_round_trip(app, "/v1/items", "items", &ITEM, &sent, &expected).await;
}

/// The amounts above zero.
fn positive_amounts() -> Vec<(&'static str, &'static str)> {
    AMOUNTS.into_iter().filter(|(_, shown)| *shown != "0").collect()
}

#[actix_web::test]
async fn range_ends_survive_in_currencies_and_rates() {
    let app = TestApp::new().await;
    // The rows that are sent are then the only ones.
    assert_eq!(app.delete("/v1/currencies/EUR").await.status, 204);
    let steps = positive_amounts();
    let code = |at: usize| {
        json!({
            "code": format!("A{}A", char::from(b'A' + u8::try_from(at).unwrap()))
        })
    };
    let (sent, expected) =
        rows(10, &[("unitAmountPrecision", &steps), ("amountPrecision", &steps)], code);
    let columns =
        [("unitAmountPrecision", "unit_amount_precision"), ("amountPrecision", "amount_precision")];
    assert_round_trip(&app, "/v1/currencies", "currencies", &columns, &sent, &expected).await;

    let rates: [(&str, &str); 5] = [
        ("0.0000000001", "0.0000000001"),
        ("1.0865000001", "1.0865000001"),
        ("1.5000000000", "1.5"),
        ("999999999999999.9999999999", "999999999999999.9999999999"),
        ("0.1234567890", "0.123456789"),
    ];
    let begun = |at: usize| {
        json!({
            "currencyCode": "AAA", "startingDate": format!("2031-01-{:02}", at + 1)
        })
    };
    let (sent, expected) = rows(5, &[("rate", &rates)], begun);
    assert_round_trip(
        &app,
        "/v1/exchange-rates",
        "exchange_rates",
        &[("rate", "rate")],
        &sent,
        &expected,
    )
    .await;
}

#[actix_web::test]
async fn range_ends_survive_in_lines() {
    let app = TestApp::new().await;
    create_items(&app).await;
    let line = |at: usize| {
        let day = format!("2031-01-{:02}", at + 1);
        json!({
            "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "I001", "startingDate": day,
            "endingDate": day
        })
    };
    let fields: [(&str, &[_]); 3] =
        [("unitPrice", &AMOUNTS), ("minimumQuantity", &AMOUNTS), ("taxPercent", &PERCENTS)];
    let (sent, expected) = rows(12, &fields, line);
    let columns = [
        ("unitPrice", "unit_price"),
        ("minimumQuantity", "minimum_quantity"),
        ("taxPercent", "tax_percent"),
    ];
    assert_round_trip(&app, "/v1/prices", "price_lines", &columns, &sent, &expected).await;
    let fields: [(&str, &[_]); 2] =
        [("lineDiscountPercent", &PERCENTS), ("minimumQuantity", &AMOUNTS)];
    let (sent, expected) = rows(12, &fields, line);
    let columns =
        [("lineDiscountPercent", "line_discount_percent"), ("minimumQuantity", "minimum_quantity")];
    assert_round_trip(&app, "/v1/discounts", "discount_lines", &columns, &sent, &expected).await;
}

#[actix_web::test]
async fn any_decimal_survives() {
    let app = TestApp::new().await;
    let mut runner = TestRunner::deterministic();
    let digits = prop_oneof![0..1_000_u64, 0..10_000_000_000_u64, 0..1_000_000_000_000_000_u64];
    let amount = (digits, 0..100_000_u32, 0..=5_usize).prop_map(|(whole, decimals, kept)| {
        let decimals = format!("{decimals:05}");
        if kept == 0 { whole.to_string() } else { format!("{whole}.{}", &decimals[..kept]) }
    });
    let percent =
        (0..100_u32, 0..100_000_u32).prop_map(|(whole, decimals)| format!("{whole}.{decimals:05}"));
    let mut draw = || amount.new_tree(&mut runner).unwrap().current();
    let amounts: Vec<(String, String)> = (0..400).map(|_| (draw(), draw())).collect();
    let percents: Vec<String> =
        (0..400).map(|_| percent.new_tree(&mut runner).unwrap().current()).collect();
    let normal = |text: &str| text.parse::<Decimal>().unwrap().normalize().to_string();
    let (mut sent, mut expected) = (Vec::new(), Vec::new());
    for (at, ((list_price, cost), tax)) in amounts.iter().zip(&percents).enumerate() {
        let number = format!("I{at:03}");
        sent.push(
            json!({"number": number, "listPrice": list_price, "unitCost": cost, "taxPercent": tax}),
        );
        expected.push(json!({
            "listPrice": normal(list_price), "unitCost": normal(cost), "taxPercent": normal(tax)
        }));
    }
    assert_round_trip(&app, "/v1/items", "items", &ITEM, &sent, &json!(expected)).await;
    // Quotes have the same digits: the unit price is the list price.
    let lines: Vec<Value> = sent
        .iter()
        .map(|item| json!({"itemNumber": item["number"], "quantity": "0.00001"}))
        .collect();
    let quote = app.post("/v1/price-quotes", &json!({ "lines": lines })).await.expect(200);
    for (line, expected) in quote["lines"].as_array().unwrap().iter().zip(&expected) {
        assert_eq!(line["unitPrice"], expected["listPrice"]);
        let price: Decimal = expected["listPrice"].as_str().unwrap().parse().unwrap();
        let gross = price * Decimal::new(1, 5);
        let gross =
            gross.round_dp_with_strategy(2, rust_decimal::RoundingStrategy::MidpointAwayFromZero);
        assert_eq!(line["grossAmount"], gross.normalize().to_string(), "{line}");
    }
}

/// An app with items of very low and very high prices.
async fn app_with_extreme_prices() -> TestApp {
    let app = TestApp::new().await;
    for (number, price) in [
        ("MOST", "999999999999999.99999"),
        ("LEAST", "0.00001"),
        ("PLAIN", "100000"),
        ("MILLION", "1000000"),
    ] {
        app.put(&format!("/v1/items/{number}"), &json!({ "listPrice": price })).await.expect(201);
    }
    app
}

/// Returns the lines of a quote.
async fn ask(app: &TestApp, lines: Value) -> Vec<Value> {
    let quote = app
        .post("/v1/price-quotes", &json!({"date": "2031-05-15", "lines": lines}))
        .await
        .expect(200);
    quote["lines"].as_array().unwrap().clone()
}

#[actix_web::test]
async fn quotes_are_exact_or_report_overflow() {
    let app = app_with_extreme_prices().await;
    let ask = async |lines: Value| ask(&app, lines).await;
    let most = json!({"itemNumber": "MOST"});
    // Rounded to 0.01, the amount would have 16 digits.
    let lines = ask(
        json!([most, {"itemNumber": "LEAST"}, {"itemNumber": "PLAIN", "quantity": "999999999999"}]),
    )
    .await;
    assert_eq!(lines[0]["problem"]["code"], "AMOUNT_TOO_LARGE");
    assert_eq!(
        (&lines[1]["unitPrice"], &lines[1]["grossAmount"]),
        (&json!("0.00001"), &json!("0"))
    );
    assert_eq!(lines[2]["problem"]["code"], "AMOUNT_TOO_LARGE");

    app.put("/v1/currencies/EUR", &json!({"amountPrecision": "0.00001"})).await.expect(200);
    let lines =
        ask(json!([most, {"itemNumber": "MOST", "quantity": "1.00001"}, {"itemNumber": "LEAST"}]))
            .await;
    assert_eq!(lines[0]["lineAmount"], "999999999999999.99999");
    assert_eq!(lines[1]["problem"]["code"], "AMOUNT_TOO_LARGE");
    assert_eq!(lines[2]["lineAmount"], "0.00001");

    for (percent, amount, left) in
        [("0.00001", "0.1", "999999.9"), ("99.99999", "999999.9", "0.1"), ("100", "1000000", "0")]
    {
        let discount = json!({
            "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "MILLION",
            "lineDiscountPercent": percent
        });
        app.post("/v1/discounts/batch", &json!({"rows": [discount]})).await.expect(200);
        let line = &ask(json!([{"itemNumber": "MILLION"}])).await[0];
        assert_eq!(
            (&line["lineDiscountPercent"], &line["discountAmount"]),
            (&json!(percent), &json!(amount))
        );
        assert_eq!(line["lineAmount"], left);
    }
}

#[actix_web::test]
async fn converted_prices_are_exact() {
    let app = app_with_extreme_prices().await;
    app.put("/v1/currencies/EUR", &json!({"amountPrecision": "0.00001"})).await.expect(200);
    app.put("/v1/currencies/USD", &json!({})).await.expect(201);
    for (rate, price) in [
        ("1.0000000001", "100000.00001"),
        ("1.00000000004", ""),
        ("0.0000000001", "0.00001"),
        ("0.00000000004", ""),
        ("9999999999.9999999999", "999999999999999.99999"),
    ] {
        let rate = json!({"currencyCode": "USD", "startingDate": "2031-01-01", "rate": rate});
        let written = app.post("/v1/exchange-rates/batch", &json!({"rows": [rate]})).await;
        if price.is_empty() {
            assert_eq!(written.errors()[0].1, "INVALID_DECIMAL", "{rate}");
            continue;
        }
        assert_eq!(written.status, 200, "{written:?}");
        let path =
            "/v1/price-quotes?itemNumber=PLAIN&date=2031-05-15&currencyCode=USD&quantity=0.01";
        assert_eq!(app.get(path).await.expect(200)["lines"][0]["unitPrice"], price, "{rate}");
    }
}
