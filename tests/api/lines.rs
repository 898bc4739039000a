//! Price lines and discount lines, in the collection of all lines and in those of a campaign.

use std::collections::BTreeSet;

use kampanje::unit_of_work::ChangedKeys;
use serde_json::{Value, json};
use uuid::Uuid;

use super::support::app::{Reply, TestApp, content, pairs};

const PRICES: &str = "/v1/prices";
const DISCOUNTS: &str = "/v1/discounts";
const OF_CP1: &str = "/v1/campaigns/CP1/prices";

/// Returns an app with the items X (variant RED, units PCS and BOX) and Y, the contact CT1, the
/// currency USD, and the campaigns CP1 and CP2.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    app.sql(
        "INSERT INTO items (id, number) VALUES (gen_random_uuid(), 'X'), (gen_random_uuid(), 'Y'); \
         INSERT INTO item_variants (item_number, code) VALUES ('X', 'RED'); \
         INSERT INTO item_units_of_measure (item_number, code, quantity_per_unit) \
             VALUES ('X', 'PCS', 1), ('X', 'BOX', 12); \
         INSERT INTO contacts (id, number, type, name) \
             VALUES (gen_random_uuid(), 'CT1', 'COMPANY', 'Cronus'); \
         INSERT INTO currencies (id, code) VALUES (gen_random_uuid(), 'USD'); \
         INSERT INTO campaigns (id, number)
             VALUES (gen_random_uuid(), 'CP1'), (gen_random_uuid(), 'CP2')",
    )
    .await;
    app
}

/// Returns a price for all customers, changed by a merge patch.
fn price(changes: Value) -> Value {
    changed(
        json!({"source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "X", "unitPrice": "10"}),
        changes,
    )
}

fn changed(mut body: Value, changes: Value) -> Value {
    body.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    body
}

fn id(reply: &Reply) -> Uuid {
    assert!(reply.status.is_success(), "{reply:?}");
    reply.json()["id"].as_str().unwrap().parse().unwrap()
}

/// Returns the campaigns whose lines have changed.
fn campaigns_of_lines(changed_keys: &ChangedKeys) -> BTreeSet<String> {
    assert!(changed_keys.campaigns.is_empty(), "no more of the campaign changed than its lines");
    changed_keys.campaign_lines.keys().cloned().collect()
}

fn campaigns(numbers: &[&str]) -> BTreeSet<String> {
    numbers.iter().map(|number| (*number).to_owned()).collect()
}

async fn count(app: &TestApp, path: &str) -> Value {
    app.get(&format!("{path}?count=true&top=1")).await.json()["count"].clone()
}

#[actix_web::test]
async fn price_line_crud() {
    let app = app().await;
    let body = json!({
        "source": {"type": "CONTACT", "contactNumber": "ct1"}, "itemNumber": "x",
        "variantCode": "RED",
        "unitOfMeasureCode": "BOX", "currencyCode": "usd", "minimumQuantity": "2.50",
        "startingDate": "2031-01-01",
        "endingDate": "2031-01-01", "unitPrice": "0.00001", "allowLineDiscount": false,
        "priceIncludesTax": true,
        "taxPercent": "25"
    });
    let created = app.post(PRICES, &body).await;
    let line = id(&created);
    assert_eq!(created.header("location"), format!("{PRICES}/{line}"));
    assert_eq!(app.changed_keys().price_lines, BTreeSet::from([line]));
    let mut expected = body.clone();
    expected["id"] = json!(line);
    expected["source"]["contactNumber"] = json!("CT1");
    expected["itemNumber"] = json!("X");
    expected["currencyCode"] = json!("USD");
    expected["minimumQuantity"] = json!("2.5");
    assert_eq!(content(created.json()), expected);

    let path = format!("{PRICES}/{line}");
    let bare = json!({
        "source": {"type": "CUSTOMER_PRICE_GROUP", "contactNumber": null, "code": "gold"},
        "variantCode": null,
        "unitOfMeasureCode": null, "currencyCode": null, "minimumQuantity": null,
        "startingDate": null, "endingDate": null,
        "allowLineDiscount": null, "priceIncludesTax": null, "taxPercent": null
    });
    let patched = app.patch(&path, &bare).await;
    assert_eq!(
        content(patched.json()),
        json!({
            "id": line, "source": {"type": "CUSTOMER_PRICE_GROUP", "code": "GOLD"},
            "itemNumber": "X", "variantCode": null,
            "unitOfMeasureCode": null, "currencyCode": null, "minimumQuantity": "0",
            "startingDate": null,
            "endingDate": null, "unitPrice": "0.00001", "allowLineDiscount": true,
            "priceIncludesTax": false,
            "taxPercent": null
        })
    );
    assert_eq!(app.changed_keys().price_lines, BTreeSet::from([line]));
    let unchanged = app.patch(&path, &json!({})).await;
    assert_eq!(unchanged.text, patched.text);
    let put = app.put(&path, &price(json!({"unitPrice": "7"}))).await;
    assert_eq!((id(&put), &put.json()["unitPrice"]), (line, &json!("7")));
    app.changed_keys();
    assert_eq!(app.delete(&path).await.status, 204);
    assert_eq!(app.changed_keys().price_lines, BTreeSet::from([line]));
    assert_eq!(app.get(&path).await.status, 404);
    assert_eq!(app.delete(&path).await.status, 404);
    assert_eq!(
        app.send(reqwest::Method::PUT, &path, &[], Some(&price(json!({})).to_string()))
            .await
            .status,
        404
    );
    assert_eq!(app.get(&format!("{PRICES}/X")).await.status, 404);
}

#[actix_web::test]
async fn source_has_the_member_of_its_type() {
    let app = app().await;
    for (source, errors) in [
        (json!(null), vec![("/source", "REQUIRED")]),
        (json!({}), vec![("/source/type", "REQUIRED")]),
        (json!("CAMPAIGN"), vec![("/source", "INVALID_TYPE")]),
        (json!({"type": "EVERYBODY"}), vec![("/source/type", "INVALID_VALUE")]),
        (json!({"type": "CAMPAIGN"}), vec![("/source/campaignNumber", "REQUIRED")]),
        (json!({"type": "CONTACT"}), vec![("/source/contactNumber", "REQUIRED")]),
        (json!({"type": "CUSTOMER_PRICE_GROUP", "code": null}), vec![("/source/code", "REQUIRED")]),
        (
            json!({"type": "CUSTOMER_PRICE_GROUP", "contactNumber": "CT1"}),
            vec![("/source/code", "REQUIRED"), ("/source/contactNumber", "NOT_ALLOWED")],
        ),
        (json!({"type": "ALL_CUSTOMERS", "code": "GOLD"}), vec![("/source/code", "NOT_ALLOWED")]),
        (
            json!({"type": "CUSTOMER_DISCOUNT_GROUP", "code": "A"}),
            vec![("/source/type", "INVALID_VALUE")],
        ),
        (
            json!({"type": "ALL_CUSTOMERS", "groupCode": "A"}),
            vec![("/source/groupCode", "UNKNOWN_FIELD")],
        ),
        (
            json!({"type": "CAMPAIGN", "campaignNumber": "NO"}),
            vec![("/source/campaignNumber", "REFERENCE_NOT_FOUND")],
        ),
        (
            json!({"type": "CONTACT", "contactNumber": "NO"}),
            vec![("/source/contactNumber", "REFERENCE_NOT_FOUND")],
        ),
    ] {
        let refused = app.post(PRICES, &price(json!({"source": source}))).await;
        assert_eq!(refused.errors(), pairs(&errors), "{source}");
        let rule =
            errors.iter().all(|(_, code)| matches!(*code, "NOT_ALLOWED" | "REFERENCE_NOT_FOUND"));
        assert_eq!(refused.status, if rule { 422 } else { 400 }, "{source}");
    }
    for source in [
        json!({"type": "CAMPAIGN", "campaignNumber": "CP1"}),
        json!({"type": "CONTACT", "contactNumber": "CT1", "code": null}),
        json!({"type": "CUSTOMER_PRICE_GROUP", "code": "A"}),
        json!({"type": "ALL_CUSTOMERS"}),
    ] {
        assert_eq!(
            app.post(PRICES, &price(json!({"source": source}))).await.status,
            201,
            "{source}"
        );
    }
    let discount = json!({
        "source": {"type": "CUSTOMER_DISCOUNT_GROUP", "code": "A"}, "lineDiscountPercent": "5"
    });
    assert_eq!(app.post(DISCOUNTS, &discount).await.status, 201);
    let other = changed(discount, json!({"source": {"type": "CUSTOMER_PRICE_GROUP", "code": "A"}}));
    assert_eq!(
        app.post(DISCOUNTS, &other).await.errors(),
        pairs(&[("/source/type", "INVALID_VALUE")])
    );
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let app = app().await;
    let missing = price(json!({
        "source": {"type": "CONTACT", "contactNumber": "NO"}, "itemNumber": "NO",
        "variantCode": "BLUE",
        "unitOfMeasureCode": "PAL", "currencyCode": "CHF"
    }));
    let refused = app.post(PRICES, &missing).await;
    assert_eq!(refused.status, 422);
    let expected = [
        "/currencyCode",
        "/itemNumber",
        "/source/contactNumber",
        "/unitOfMeasureCode",
        "/variantCode",
    ];
    assert_eq!(refused.errors(), pairs(&expected.map(|pointer| (pointer, "REFERENCE_NOT_FOUND"))));
    let other_item =
        app.post(PRICES, &price(json!({"itemNumber": "Y", "variantCode": "RED"}))).await;
    assert_eq!(other_item.errors(), pairs(&[("/variantCode", "REFERENCE_NOT_FOUND")]));
    let form = json!({
        "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "X", "unitPrice": -1,
        "minimumQuantity": "-1", "taxPercent": "101"
    });
    let form = app.post(PRICES, &form).await;
    assert_eq!(
        form.errors(),
        pairs(&[
            ("/minimumQuantity", "OUT_OF_RANGE"),
            ("/taxPercent", "OUT_OF_RANGE"),
            ("/unitPrice", "INVALID_DECIMAL")
        ])
    );
    assert_eq!(
        app.post(PRICES, &json!({})).await.errors(),
        pairs(&[("/itemNumber", "REQUIRED"), ("/unitPrice", "REQUIRED")])
    );
    let rules = price(json!({
        "source": {"type": "CAMPAIGN", "code": "A"}, "startingDate": "2031-02-01",
        "endingDate": "2031-01-01"
    }));
    assert_eq!(
        app.post(PRICES, &rules).await.errors(),
        pairs(&[
            ("/endingDate", "DATES_OF_CAMPAIGN"),
            ("/endingDate", "END_BEFORE_START"),
            ("/source/campaignNumber", "REQUIRED"),
            ("/source/code", "NOT_ALLOWED"),
            ("/startingDate", "DATES_OF_CAMPAIGN"),
        ])
    );
    let zero =
        app.post(PRICES, &price(json!({"unitPrice": "-0", "minimumQuantity": "-0"}))).await.json();
    assert_eq!((&zero["unitPrice"], &zero["minimumQuantity"]), (&json!("0"), &json!("0")));
}

#[actix_web::test]
async fn campaign_lines_are_in_both_collections() {
    let app = app().await;
    let created = app.post(OF_CP1, &json!({"itemNumber": "X", "unitPrice": "8"})).await;
    let line = id(&created);
    assert_eq!(created.header("location"), format!("{OF_CP1}/{line}"));
    assert_eq!(created.json()["source"], json!({"type": "CAMPAIGN", "campaignNumber": "CP1"}));
    let changed_keys = app.changed_keys();
    assert_eq!(
        (campaigns_of_lines(&changed_keys), changed_keys.price_lines.len()),
        (campaigns(&["CP1"]), 0)
    );
    let everywhere = app.get(&format!("{PRICES}/{line}")).await;
    assert_eq!(
        (everywhere.text.as_str(), everywhere.header("etag")),
        (created.text.as_str(), created.header("etag"))
    );
    assert_eq!(app.get(&format!("/v1/campaigns/CP2/prices/{line}")).await.status, 404);
    assert_eq!(app.get("/v1/campaigns/NO/prices").await.status, 404);
    let campaign = app.get("/v1/campaigns/CP1").await.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(app.get(&format!("/v1/campaigns/{campaign}/prices/{line}")).await.status, 200);
}

#[actix_web::test]
async fn campaign_lines_have_the_source_and_dates_of_the_campaign() {
    let app = app().await;
    let line = id(&app.post(OF_CP1, &json!({"itemNumber": "X", "unitPrice": "8"})).await);
    let sent = json!({
        "itemNumber": "X", "unitPrice": "8",
        "source": {"type": "CAMPAIGN", "campaignNumber": "CP1"}, "startingDate": "2031-01-01"
    });
    assert_eq!(app.post(OF_CP1, &sent).await.errors(), pairs(&[("/source", "NOT_ALLOWED")]));
    let dated = json!({
        "itemNumber": "X", "unitPrice": "8", "startingDate": "2031-01-01",
        "endingDate": "2031-02-01"
    });
    let refused = app.post(OF_CP1, &dated).await;
    assert_eq!(refused.status, 422);
    assert_eq!(
        refused.errors(),
        pairs(&[("/endingDate", "DATES_OF_CAMPAIGN"), ("/startingDate", "DATES_OF_CAMPAIGN")])
    );
    let path = format!("{OF_CP1}/{line}");
    assert_eq!(
        app.patch(&path, &json!({"endingDate": "2031-01-01"})).await.errors(),
        pairs(&[("/endingDate", "DATES_OF_CAMPAIGN")])
    );
    assert_eq!(app.patch(&path, &json!({"unitPrice": "7"})).await.json()["unitPrice"], "7");
    assert_eq!(
        app.put(&path, &json!({"itemNumber": "X", "unitPrice": "6"})).await.json()["unitPrice"],
        "6"
    );
}

/// A line moves between campaigns, out of all, and back. The campaigns on both sides are noted as
/// changed.
#[actix_web::test]
async fn lines_move_between_campaigns() {
    let app = app().await;
    let line = id(&app.post(OF_CP1, &json!({"itemNumber": "X", "unitPrice": "8"})).await);
    let path = format!("{PRICES}/{line}");
    app.changed_keys();
    assert_eq!(app.patch(&path, &json!({"source": {"campaignNumber": "CP2"}})).await.status, 200);
    assert_eq!(campaigns_of_lines(&app.changed_keys()), campaigns(&["CP1", "CP2"]));
    let out = app.put(&path, &price(json!({}))).await;
    assert_eq!(out.status, 200, "{out:?}");
    let changed_keys = app.changed_keys();
    assert_eq!(
        (campaigns_of_lines(&changed_keys), changed_keys.price_lines),
        (campaigns(&["CP2"]), BTreeSet::from([line]))
    );
    let back = app
        .put(&path, &price(json!({"source": {"type": "CAMPAIGN", "campaignNumber": "CP1"}})))
        .await;
    assert_eq!(back.status, 200, "{back:?}");
    let changed_keys = app.changed_keys();
    assert_eq!(
        (campaigns_of_lines(&changed_keys), changed_keys.price_lines),
        (campaigns(&["CP1"]), BTreeSet::from([line]))
    );
    assert_eq!(app.delete(&format!("{OF_CP1}/{line}")).await.status, 204);
    let changed_keys = app.changed_keys();
    assert_eq!(
        (campaigns_of_lines(&changed_keys), changed_keys.price_lines.len()),
        (campaigns(&["CP1"]), 0)
    );
}

#[actix_web::test]
async fn lines_are_deleted_with_their_campaign() {
    let app = app().await;
    assert_eq!(app.post(OF_CP1, &json!({"itemNumber": "X", "unitPrice": "8"})).await.status, 201);
    assert_eq!(
        app.post("/v1/campaigns/CP1/discounts", &json!({"lineDiscountPercent": "8"})).await.status,
        201
    );
    assert_eq!(app.delete("/v1/campaigns/CP1").await.status, 204);
    assert_eq!((count(&app, PRICES).await, count(&app, DISCOUNTS).await), (json!(0), json!(0)));
}

#[actix_web::test]
async fn equal_lines_do_not_overlap() {
    let app = app().await;
    let spring = price(json!({"startingDate": "2031-03-01", "endingDate": "2031-05-31"}));
    assert_eq!(app.post(PRICES, &spring).await.status, 201);
    for (start, end, status) in [
        (json!("2031-05-31"), json!(null), 409),
        (json!(null), json!("2031-03-01"), 409),
        (json!(null), json!(null), 409),
        (json!("2031-06-01"), json!(null), 201),
        (json!(null), json!("2031-02-28"), 201),
    ] {
        let reply =
            app.post(PRICES, &price(json!({"startingDate": start, "endingDate": end}))).await;
        assert_eq!(reply.status, status, "{start} {end}: {reply:?}");
        if status == 409 {
            assert_eq!(reply.code(), "DUPLICATE_LINE");
        }
    }
    for difference in [
        json!({"itemNumber": "Y"}),
        json!({"variantCode": "RED"}),
        json!({"unitOfMeasureCode": "BOX"}),
        json!({"currencyCode": "USD"}),
        json!({"minimumQuantity": "0.00001"}),
        json!({"source": {"type": "CUSTOMER_PRICE_GROUP", "code": "CT1"}}),
        json!({"source": {"type": "CONTACT", "contactNumber": "CT1"}}),
    ] {
        assert_eq!(
            app.post(PRICES, &changed(spring.clone(), difference.clone())).await.status,
            201,
            "{difference}"
        );
    }
    let others =
        changed(spring, json!({"minimumQuantity": "0.000", "unitPrice": "99", "taxPercent": "3"}));
    assert_eq!(app.post(PRICES, &others).await.code(), "DUPLICATE_LINE");
    assert_eq!(app.post(OF_CP1, &json!({"itemNumber": "X", "unitPrice": "8"})).await.status, 201);
    assert_eq!(
        app.post(OF_CP1, &json!({"itemNumber": "X", "unitPrice": "9"})).await.code(),
        "DUPLICATE_LINE"
    );
    assert_eq!(
        app.post("/v1/campaigns/CP2/prices", &json!({"itemNumber": "X", "unitPrice": "9"}))
            .await
            .status,
        201
    );
}

/// Returns a discount line for all items and customers, with changes.
fn discount(changes: Value) -> Value {
    let line = json!({"source": {"type": "ALL_CUSTOMERS"}, "lineDiscountPercent": "12.5"});
    changed(line, changes)
}

#[actix_web::test]
async fn discount_lines_are_for_an_item_a_group_or_all() {
    let app = app().await;
    let all = app.post(DISCOUNTS, &discount(json!({"unitOfMeasureCode": "CRATE"}))).await;
    let line = id(&all);
    assert_eq!(
        content(all.json()),
        json!({
            "id": line, "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": null,
            "itemDiscountGroupCode": null,
            "variantCode": null, "unitOfMeasureCode": "CRATE", "currencyCode": null,
            "minimumQuantity": "0",
            "startingDate": null, "endingDate": null, "lineDiscountPercent": "12.5"
        })
    );
    assert_eq!(app.changed_keys().discount_lines, BTreeSet::from([line]));
    assert_eq!(
        app.post(DISCOUNTS, &discount(json!({"itemDiscountGroupCode": "RESALE"}))).await.status,
        201
    );
    assert_eq!(
        app.post(DISCOUNTS, &discount(json!({"itemNumber": "X", "variantCode": "RED"})))
            .await
            .status,
        201
    );
}

#[actix_web::test]
async fn invalid_discount_lines_are_refused() {
    let app = app().await;
    for (changes, errors) in [
        (
            json!({"itemNumber": "X", "itemDiscountGroupCode": "A"}),
            [("/itemDiscountGroupCode", "NOT_ALLOWED")],
        ),
        (json!({"variantCode": "RED"}), [("/variantCode", "NOT_ALLOWED")]),
        (
            json!({"itemDiscountGroupCode": "A", "variantCode": "RED"}),
            [("/variantCode", "NOT_ALLOWED")],
        ),
        (
            json!({"itemNumber": "X", "unitOfMeasureCode": "CRATE"}),
            [("/unitOfMeasureCode", "REFERENCE_NOT_FOUND")],
        ),
        (json!({"currencyCode": "SEK"}), [("/currencyCode", "REFERENCE_NOT_FOUND")]),
        (
            json!({"startingDate": "2031-01-02", "endingDate": "2031-01-01"}),
            [("/endingDate", "END_BEFORE_START")],
        ),
    ] {
        let refused = app.post(DISCOUNTS, &discount(changes.clone())).await;
        assert_eq!((refused.status.as_u16(), refused.errors()), (422, pairs(&errors)), "{changes}");
    }
    for (percent, status) in [("0", 201), ("100", 409), ("100.00001", 422), ("-1", 422)] {
        let reply = app
            .post(DISCOUNTS, &discount(json!({"itemNumber": "Y", "lineDiscountPercent": percent})))
            .await;
        assert_eq!(reply.status, status, "{percent}: {reply:?}");
    }
}

#[actix_web::test]
async fn discount_lines_move_between_sources() {
    let app = app().await;
    let line = id(&app.post(DISCOUNTS, &discount(json!({"unitOfMeasureCode": "CRATE"}))).await);
    let path = format!("{DISCOUNTS}/{line}");
    let patched = app
        .patch(
            &path,
            &json!({
                "unitOfMeasureCode": null, "source": {"type": "CONTACT", "contactNumber": "CT1"}
            }),
        )
        .await;
    assert_eq!(patched.json()["source"], json!({"type": "CONTACT", "contactNumber": "CT1"}));
    app.changed_keys();
    assert_eq!(
        app.patch(
            &path,
            &json!({"source": {"type": "CAMPAIGN", "campaignNumber": "CP1", "contactNumber": null}})
        )
        .await
        .status,
        200
    );
    let changed_keys = app.changed_keys();
    assert_eq!(
        (campaigns_of_lines(&changed_keys), changed_keys.discount_lines),
        (campaigns(&["CP1"]), BTreeSet::from([line]))
    );
    let path = format!("/v1/campaigns/CP1/discounts/{line}");
    assert_eq!(
        app.patch(&path, &json!({"lineDiscountPercent": "3"})).await.json()["lineDiscountPercent"],
        "3"
    );
    assert_eq!(app.delete(&path).await.status, 204);
    assert_eq!(campaigns_of_lines(&app.changed_keys()), campaigns(&["CP1"]));
}

#[actix_web::test]
async fn batch_updates_equal_lines_with_the_same_starting_date() {
    let app = app().await;
    let batch = format!("{PRICES}/batch");
    let rows = json!([
        price(json!({"startingDate": "2031-01-01", "unitPrice": "1"})),
        price(json!({
            "source": {"type": "CONTACT", "contactNumber": "CT1"}, "variantCode": "RED",
            "unitOfMeasureCode": "BOX", "currencyCode": "USD", "minimumQuantity": "2.50",
            "unitPrice": "2"
        })),
        price(json!({"source": {"type": "CAMPAIGN", "campaignNumber": "CP1"}, "unitPrice": "3"})),
        price(
            json!({"source": {"type": "CUSTOMER_PRICE_GROUP", "code": "GOLD"}, "unitPrice": "4"})
        ),
    ]);
    let receipts = async |rows: &Value, status: u16| -> Vec<(Value, Value)> {
        let reply = app.post(&batch, &json!({"rows": rows})).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let receipts = reply.json()["receipts"].as_array().unwrap().clone();
        assert!(
            receipts.iter().all(|receipt| receipt["status"] == status && receipt["key"].is_null()),
            "{receipts:?}"
        );
        receipts.iter().map(|receipt| (receipt["row"].clone(), receipt["id"].clone())).collect()
    };
    let first = receipts(&rows, 201).await;
    let changed_keys = app.changed_keys();
    assert_eq!(
        (campaigns_of_lines(&changed_keys), changed_keys.price_lines.len()),
        (campaigns(&["CP1"]), 3)
    );
    let mut again = rows.clone();
    for row in again.as_array_mut().unwrap() {
        row["unitPrice"] = json!("5");
    }
    assert_eq!(receipts(&again, 200).await, first);
    assert_eq!(app.changed_keys().price_lines.len(), 3);
    let prices = app.get(PRICES).await.json();
    assert!(
        prices["value"].as_array().unwrap().iter().all(|line| line["unitPrice"] == "5"),
        "{prices}"
    );

    // The same line in the collection of its campaign.
    let own = json!({"rows": [{"itemNumber": "X", "unitPrice": "6"}]});
    let met = app.post(&format!("{OF_CP1}/batch"), &own).await.json();
    assert_eq!(
        (&met["receipts"][0]["status"], &met["receipts"][0]["id"]),
        (&json!(200), &first[2].1)
    );
}

/// A price and the end of its predecessor can be in one batch, in either order.
#[actix_web::test]
async fn batch_ends_a_line_and_begins_its_successor() {
    let app = app().await;
    let batch = format!("{PRICES}/batch");
    let standing = json!({"rows": [price(json!({"startingDate": "2031-01-01"}))]});
    app.post(&batch, &standing).await.expect(200);
    let rows = json!([
        price(json!({"startingDate": "2031-06-01", "unitPrice": "9"})),
        price(json!({"startingDate": "2031-01-01", "endingDate": "2031-05-31"})),
    ]);
    let statuses = app.post(&batch, &json!({"rows": rows})).await.json()["receipts"].clone();
    assert_eq!((&statuses[0]["status"], &statuses[1]["status"]), (&json!(201), &json!(200)));
}

#[actix_web::test]
async fn batch_without_atomicity_refuses_rows_one_by_one() {
    let app = app().await;
    let batch = format!("{PRICES}/batch");
    let rows = json!([
        price(json!({"itemNumber": "Y"})),
        price(json!({"itemNumber": "y", "unitPrice": "2", "minimumQuantity": "0.0"})),
        price(json!({"itemNumber": "Y", "startingDate": "2031-01-01"})),
        price(json!({"source": null})),
        price(json!({"itemNumber": "Z"})),
    ]);
    let mixed = app.post(&batch, &json!({"rows": rows, "atomic": false})).await;
    let found: Vec<_> = mixed.json()["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["status"].clone(), r["code"].clone()))
        .collect();
    let expected = [
        (json!(201), Value::Null),
        (json!(422), json!("VALIDATION_FAILED")),
        (json!(409), json!("DUPLICATE_LINE")),
        (json!(400), json!("INVALID_REQUEST")),
        (json!(422), json!("VALIDATION_FAILED")),
    ];
    assert_eq!(found, expected);
    assert_eq!(mixed.json()["receipts"][1]["errors"][0]["code"], "DUPLICATE");
}

#[actix_web::test]
async fn full_batch_is_written_and_replaced() {
    let app = app().await;
    for (path, value) in [
        ("/v1/campaigns/CP1/prices", "unitPrice"),
        ("/v1/campaigns/CP1/discounts", "lineDiscountPercent"),
    ] {
        for (number, status) in [("1", 201), ("2", 200)] {
            let rows: Vec<Value> = (0..1_000)
                .map(
                    |n| json!({"itemNumber": "X", "minimumQuantity": n.to_string(), value: number}),
                )
                .collect();
            let reply = app.post(&format!("{path}/batch"), &json!({"rows": rows})).await;
            assert_eq!(reply.status, 200, "{}", reply.text.chars().take(500).collect::<String>());
            let receipts = reply.json()["receipts"].as_array().unwrap().clone();
            assert!(
                receipts.len() == 1_000
                    && receipts.iter().all(|receipt| receipt["status"] == status)
            );
        }
        assert_eq!(count(&app, path).await, 1_000);
        let filter = format!("filter={value}%20eq%20'2'%20and%20minimumQuantity%20ge%20999");
        let found = app.get(&format!("{path}?{filter}")).await.json();
        assert_eq!(found["value"].as_array().unwrap().len(), 1);
    }
}

#[actix_web::test]
async fn lists_filter_by_source_and_conditions() {
    let app = app().await;
    let rows = prices_of_four_sources();
    assert_eq!(app.post(&format!("{PRICES}/batch"), &json!({"rows": rows})).await.status, 200);
    for (filter, expected) in [
        ("source.type eq 'CONTACT'", 1),
        ("source/type ne 'CONTACT'", 3),
        ("source.campaignNumber eq 'cp1'", 1),
        ("source.contactNumber eq 'CT1'", 1),
        ("source.code eq 'GOLD'", 1),
        ("startingDate ge 2031-01-01", 1),
        ("taxPercent eq 25 and minimumQuantity gt 9.5", 1),
        ("allowLineDiscount eq true and priceIncludesTax eq false", 4),
    ] {
        let page =
            app.get(&format!("{PRICES}?count=true&filter={}", filter.replace(' ', "%20"))).await;
        assert_eq!(page.json()["count"], expected, "{filter}: {page:?}");
    }
    assert_eq!(count(&app, OF_CP1).await, 1);
}

/// Price lines of a campaign, a contact, a price group and all customers.
fn prices_of_four_sources() -> Value {
    json!([
        price(json!({"source": {"type": "CAMPAIGN", "campaignNumber": "CP1"}})),
        price(json!({"source": {"type": "CONTACT", "contactNumber": "CT1"}})),
        price(json!({
            "source": {"type": "CUSTOMER_PRICE_GROUP", "code": "GOLD"},
            "startingDate": "2031-01-01"
        })),
        price(json!({"minimumQuantity": "10", "taxPercent": "25"})),
    ])
}

#[actix_web::test]
async fn lists_are_ordered_by_every_field() {
    let app = app().await;
    let rows = prices_of_four_sources();
    assert_eq!(app.post(&format!("{PRICES}/batch"), &json!({"rows": rows})).await.status, 200);
    let shared = [
        "id",
        "source.type",
        "source.campaignNumber",
        "source.contactNumber",
        "source.code",
        "itemNumber",
        "variantCode",
        "unitOfMeasureCode",
        "currencyCode",
        "minimumQuantity",
        "startingDate",
        "endingDate",
    ];
    let discounts = json!([
        {"source": {"type": "ALL_CUSTOMERS"}, "lineDiscountPercent": "1"},
        {
            "source": {"type": "ALL_CUSTOMERS"}, "lineDiscountPercent": "1",
            "itemDiscountGroupCode": "A"
        },
        {"source": {"type": "CUSTOMER_DISCOUNT_GROUP", "code": "B"}, "lineDiscountPercent": "2"},
        {"source": {"type": "CAMPAIGN", "campaignNumber": "CP1"}, "lineDiscountPercent": "2"},
    ]);
    assert_eq!(
        app.post(&format!("{DISCOUNTS}/batch"), &json!({"rows": discounts})).await.status,
        200
    );
    for (path, own) in [
        (PRICES, &["unitPrice", "allowLineDiscount", "priceIncludesTax", "taxPercent"][..]),
        (DISCOUNTS, &["itemDiscountGroupCode", "lineDiscountPercent"]),
    ] {
        for field in shared.iter().chain(own) {
            let mut seen = BTreeSet::new();
            let mut link = format!("{path}?top=1&orderby={field}%20desc");
            loop {
                let page = app.get(&link).await;
                assert_eq!(page.status, 200, "{field}: {page:?}");
                seen.insert(page.json()["value"][0]["id"].as_str().unwrap().to_owned());
                let Some(next) = page.json()["nextLink"].as_str().map(str::to_owned) else { break };
                link = next;
            }
            assert_eq!(seen.len(), 4, "{path} {field}");
        }
    }
}

#[test]
fn document_names_the_source_types() {
    let info = utoipa::openapi::Info::new("test", "1");
    let document = serde_json::to_value(kampanje::app::routes().document(info)).unwrap();
    let schemas = &document["components"]["schemas"];
    let source = &schemas["PriceSource"];
    assert_eq!(source["discriminator"]["propertyName"], "type");
    let mapping = source["discriminator"]["mapping"].as_object().unwrap();
    assert_eq!((mapping.len(), source["oneOf"].as_array().unwrap().len()), (4, 4));
    for reference in mapping.values() {
        let name = reference.as_str().unwrap().strip_prefix("#/components/schemas/").unwrap();
        assert_eq!(schemas[name]["additionalProperties"], false, "{name}");
    }
    assert_eq!(mapping["CAMPAIGN"], "#/components/schemas/CampaignSource");
    assert_eq!(schemas["CampaignSource"]["required"], json!(["type", "campaignNumber"]));
    assert!(
        !schemas["DiscountSource"]["discriminator"]["mapping"]
            .as_object()
            .unwrap()
            .contains_key("CUSTOMER_PRICE_GROUP")
    );
}
