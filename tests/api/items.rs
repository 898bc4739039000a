//! Items with their variants and units of measure.

use kampanje::unit_of_work::ChangedKeys;
use serde_json::{Value, json};

use super::support::app::{TestApp, content, pairs};

const PATH: &str = "/v1/items";

fn codes(item: &Value, list: &str) -> Vec<String> {
    item[list]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["code"].as_str().unwrap().to_owned())
        .collect()
}

/// Adds a price line for a variant, and a discount line for a unit, of item A.
async fn add_lines(app: &TestApp, variant: &str, unit: &str) {
    app.sql(&format!(
        "INSERT INTO price_lines (id, source_type, item_number, variant_code, unit_price) \
         VALUES (gen_random_uuid(), 'ALL_CUSTOMERS', 'A', '{variant}', 1)"
    ))
    .await;
    app.sql(&format!(
        "INSERT INTO discount_lines \
             (id, source_type, item_number, unit_of_measure_code, line_discount_percent) \
         VALUES (gen_random_uuid(), 'ALL_CUSTOMERS', 'A', '{unit}', 1)"
    ))
    .await;
}

#[actix_web::test]
async fn item_crud() {
    let app = TestApp::new().await;
    let created = app.post(PATH, &json!({"number": "1896-s"})).await;
    assert_eq!(
        (created.status.as_u16(), created.header("location")),
        (201, "/v1/items/1896-S"),
        "{created:?}"
    );
    let id = created.json()["id"].clone();
    let plain = json!({
        "id": id, "number": "1896-S", "description": "", "listPrice": null,
        "priceIncludesTax": false, "taxPercent": "0", "unitCost": null,
        "itemDiscountGroupCode": null, "blocked": false, "variants": [],
        "baseUnitOfMeasureCode": "PCS", "unitsOfMeasure": [{"code": "PCS", "quantityPerUnit": "1"}]
    });
    assert_eq!(content(created.json()), plain);
    let changed_keys =
        ChangedKeys { items: ["1896-S".to_owned()].into(), ..ChangedKeys::default() };
    assert_eq!(app.changed_keys(), changed_keys);
    let path = format!("{PATH}/1896-S");
    let changes = json!({
        "description": "Desk", "listPrice": "1000.80", "priceIncludesTax": true, "taxPercent": "25",
        "unitCost": "780.7", "itemDiscountGroupCode": "furniture", "blocked": true,
        "variants": [{"code": "red", "description": "Red"}, {"code": "BLUE"}],
        "unitsOfMeasure": [{"code": "BOX", "quantityPerUnit": "12.5"}]
    });
    let patched = app.patch(&path, &changes).await;
    let full = json!({"id": id, "number": "1896-S", "description": "Desk", "listPrice": "1000.8",
    "priceIncludesTax": true, "taxPercent": "25", "unitCost": "780.7",
    "itemDiscountGroupCode": "FURNITURE",
    "blocked": true,
    "variants": [{"code": "BLUE", "description": ""}, {"code": "RED", "description": "Red"}],
    "baseUnitOfMeasureCode": "PCS",
    "unitsOfMeasure": [
        {"code": "BOX", "quantityPerUnit": "12.5"},
        {"code": "PCS", "quantityPerUnit": "1"}
    ]});
    assert_eq!(content(patched.json()), full, "{patched:?}");
    assert_eq!(app.changed_keys(), changed_keys);
    assert_eq!(app.patch(&path, &json!({})).await.text, patched.text);
    let replaced = app.put(&path, &json!({})).await;
    assert_eq!(content(replaced.json()), plain);
    assert_eq!(app.changed_keys(), changed_keys);
    assert_eq!(app.delete(&path).await.status, 204);
    assert_eq!(app.changed_keys(), changed_keys);
    assert_eq!(app.get(&path).await.status, 404);
}

#[actix_web::test]
async fn base_unit_is_one_of_the_units_and_has_quantity_one() {
    let app = TestApp::new().await;
    let unit = |code: &str, quantity: &str| json!({"code": code, "quantityPerUnit": quantity});
    let wrong = json!({"number": "A", "baseUnitOfMeasureCode": "kg",
        "unitsOfMeasure": [unit("T", "1000"), unit("KG", "2")]});
    let refused = app.post(PATH, &wrong).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (422, pairs(&[("/unitsOfMeasure/1/quantityPerUnit", "OUT_OF_RANGE")]))
    );
    let right = json!({"number": "A", "baseUnitOfMeasureCode": "kg",
        "unitsOfMeasure": [unit("T", "1000"), unit("KG", "1.00")]});
    assert_eq!(
        app.post(PATH, &right).await.json()["unitsOfMeasure"],
        json!([unit("KG", "1"), unit("T", "1000")])
    );
    let path = format!("{PATH}/A");
    let refused = app.patch(&path, &json!({"baseUnitOfMeasureCode": "T"})).await;
    assert_eq!(refused.errors(), pairs(&[("/unitsOfMeasure/1/quantityPerUnit", "OUT_OF_RANGE")]));
    let moved = app
        .patch(
            &path,
            &json!({"baseUnitOfMeasureCode": "G", "unitsOfMeasure": [unit("KG", "1000")]}),
        )
        .await;
    assert_eq!(
        moved.json()["unitsOfMeasure"],
        json!([unit("G", "1"), unit("KG", "1000")]),
        "{moved:?}"
    );
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let app = TestApp::new().await;
    let wrong = json!({
        "number": "A", "listPrice": "-1", "taxPercent": "100.1",
        "variants": [{"code": "R", "colour": 1}],
        "unitsOfMeasure": [{"code": "BOX"}, {"code": "B  B", "quantityPerUnit": "0"}]
    });
    let refused = app.post(PATH, &wrong).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (
            400,
            pairs(&[
                ("/listPrice", "OUT_OF_RANGE"),
                ("/taxPercent", "OUT_OF_RANGE"),
                ("/unitsOfMeasure/0/quantityPerUnit", "REQUIRED"),
                ("/unitsOfMeasure/1/code", "INVALID_KEY"),
                ("/unitsOfMeasure/1/quantityPerUnit", "OUT_OF_RANGE"),
                ("/variants/0/colour", "UNKNOWN_FIELD"),
            ])
        )
    );
    let twice = json!({"number": "A", "variants": [{"code": "R"}, {"code": "B"}, {"code": "r"}],
    "unitsOfMeasure": [
        {"code": "BOX", "quantityPerUnit": "2"},
        {"code": "BOX", "quantityPerUnit": "2"}
    ]});
    let refused = app.post(PATH, &twice).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (422, pairs(&[("/unitsOfMeasure/1/code", "DUPLICATE"), ("/variants/2/code", "DUPLICATE")]))
    );
}

#[actix_web::test]
async fn variants_and_units_are_limited() {
    let app = TestApp::new().await;
    let body = |variants: usize, units: usize| {
        json!({"number": "A",
            "variants": (0..variants).map(|n| json!({"code": format!("V{n}")})).collect::<Vec<_>>(),
            "unitsOfMeasure": (0..units).map(|n| json!({
                "code": format!("U{n}"), "quantityPerUnit": "2"
            })).collect::<Vec<_>>()})
    };
    for (variants, units, pointer) in [(1_001, 100, "/variants"), (1_000, 100, "/unitsOfMeasure")] {
        let refused = app.post(PATH, &body(variants, units)).await;
        assert_eq!(
            (refused.status.as_u16(), refused.errors()),
            (400, pairs(&[(pointer, "TOO_LONG")]))
        );
    }
    let created = app.post(PATH, &body(1_000, 99)).await;
    assert_eq!(created.status, 201);
    assert_eq!(
        (codes(&created.json(), "variants").len(), codes(&created.json(), "unitsOfMeasure").len()),
        (1_000, 100)
    );
    assert_eq!(app.patch(&format!("{PATH}/A"), &json!({"blocked": true})).await.status, 200);
}

#[actix_web::test]
async fn parts_used_by_lines_are_kept() {
    let app = TestApp::new().await;
    let unit = |code: &str| json!({"code": code, "quantityPerUnit": "6"});
    let body = json!({"number": "A", "variants": [{"code": "R"}, {"code": "G"}, {"code": "B"}],
        "unitsOfMeasure": [unit("BOX"), unit("BAG")]});
    assert_eq!(app.post(PATH, &body).await.status, 201);
    add_lines(&app, "R", "BOX").await;
    let path = format!("{PATH}/A");

    // Kept parts stay unchanged, and all others can be removed.
    let kept = json!({
        "variants": [{"code": "R", "description": "Red"}, {"code": "W"}],
        "unitsOfMeasure": [unit("BOX")]
    });
    let patched = app.patch(&path, &kept).await;
    assert_eq!(patched.status, 200, "{patched:?}");
    assert_eq!(codes(&patched.json(), "variants"), ["R", "W"]);
    assert_eq!(codes(&patched.json(), "unitsOfMeasure"), ["BOX", "PCS"]);

    let refused = app.put(&path, &json!({"variants": [{"code": "W"}], "blocked": true})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "IN_USE"));
    assert_eq!(refused.errors(), pairs(&[("/unitsOfMeasure", "IN_USE"), ("/variants", "IN_USE")]));
    assert_eq!(refused.json()["errors"][1]["params"], json!({"code": "R", "count": 1}));
    assert_eq!(app.get(&path).await.text, patched.text);
    let refused = app
        .post(
            &format!("{PATH}/batch"),
            &json!({"mode": "REPLACE", "rows": [{"number": "B"}, {"number": "A"}]}),
        )
        .await;
    assert_eq!(
        refused.errors(),
        pairs(&[("/rows/1/unitsOfMeasure", "IN_USE"), ("/rows/1/variants", "IN_USE")])
    );

    let refused = app.delete(&path).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "IN_USE"));
    assert_eq!(refused.json()["errors"][0]["params"], json!({"what": "price lines", "count": 1}));
    assert_eq!(
        refused.json()["errors"][1]["params"],
        json!({"what": "discount lines", "count": 1})
    );
    app.sql("DELETE FROM price_lines").await;
    app.sql("DELETE FROM discount_lines").await;
    assert_eq!(app.delete(&path).await.status, 204);
}

#[actix_web::test]
async fn full_batch_is_written_and_read() {
    let app = TestApp::new().await;
    // Small rows with many variants: more values than one statement can bind.
    let rows: Vec<Value> = (0..1_000)
        .map(|n| {
            let variants: Vec<Value> = (0..40).map(|v| json!({"code": format!("{v}")})).collect();
            json!({"number": format!("I{n:04}"), "listPrice": "1", "variants": variants})
        })
        .collect();
    let path = format!("{PATH}/batch");
    for status in [201, 200] {
        let written = app.post(&path, &json!({"rows": rows})).await;
        assert_eq!(written.status, 200, "{}", written.text.chars().take(500).collect::<String>());
        assert_eq!(written.json()["receipts"][999]["status"], status);
    }
    let shrunk: Vec<Value> = (0..1_000).map(|n| json!({"number": format!("I{n:04}")})).collect();
    let listed = app.get(&format!("{PATH}?top=1000&orderby=number%20desc")).await.json();
    assert_eq!(codes(&listed["value"][0], "variants").len(), 40);
    assert_eq!(listed["value"][0]["number"], "I0999");
    assert_eq!(app.post(&path, &json!({"mode": "REPLACE", "rows": shrunk})).await.status, 200);
    let listed = app.get(&format!("{PATH}?top=2&filter=listPrice%20eq%20null&count=true")).await;
    assert_eq!(listed.json()["count"], 1_000, "{listed:?}");
    assert_eq!(listed.json()["value"][1]["variants"], json!([]));
    assert_eq!(codes(&listed.json()["value"][1], "unitsOfMeasure"), ["PCS"]);
    let one = app.get(&format!("{PATH}/I0001")).await;
    assert_eq!(listed.json()["value"][1]["etag"], one.header("etag"));
}
