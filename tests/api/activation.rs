//! Activation: its findings, its publications, and the quotes before and after it.

use serde_json::{Value, json};

use super::support::app::TestApp;
use super::support::make::{self, Campaign};
use super::support::wait::in_time;

/// Returns an app with a campaign that can be activated, its segment, one item and one customer (a
/// company with two persons).
async fn ready() -> TestApp {
    let app = TestApp::new().await;
    app.put("/v1/items/DESK", &json!({"listPrice": "100", "taxPercent": "25"})).await.expect(201);
    for (number, contact) in [
        ("BUYER", json!({"type": "COMPANY", "name": "Buyer", "customer": {"number": "D1"}})),
        ("OTHER", json!({"type": "COMPANY", "name": "Other", "customer": {"number": "D2"}})),
        ("ANNE", json!({"type": "PERSON", "name": "Anne", "companyNumber": "BUYER"})),
        ("BERT", json!({"type": "PERSON", "name": "Bert", "companyNumber": "BUYER"})),
        ("SOLO", json!({"type": "PERSON", "name": "Solo"})),
    ] {
        app.put(&format!("/v1/contacts/{number}"), &contact).await.expect(201);
    }
    let campaign =
        Campaign { contacts: &["ANNE"], prices: &[("DESK", "80")], ..Campaign::default() };
    campaign.create(&app).await;
    app
}

async fn price(app: &TestApp, contact: &str, date: &str) -> String {
    let path = format!("/v1/price-quotes?contactNumber={contact}&itemNumber=DESK&date={date}");
    app.get(&path).await.expect(200)["lines"][0]["unitPrice"].as_str().unwrap().to_owned()
}

async fn activate(app: &TestApp, body: &Value) -> super::support::app::Reply {
    app.post("/v1/campaigns/SPRING/activations", body).await
}

fn codes(body: &Value) -> Vec<(&str, &str)> {
    let findings = body["findings"].as_array().unwrap();
    findings.iter().map(|f| (f["code"].as_str().unwrap(), f["pointer"].as_str().unwrap())).collect()
}

#[actix_web::test]
async fn prices_hold_for_audience_and_dates() {
    let app = ready().await;
    assert_eq!(price(&app, "BUYER", "2031-05-01").await, "100");
    let reply = activate(&app, &json!({})).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    let version = reply.header("publication-version").to_owned();
    let body = reply.json();
    assert_eq!(body["version"].to_string(), version);
    assert_eq!((&body["kind"], &body["campaignNumber"]), (&json!("ACTIVATION"), &json!("SPRING")));
    assert_eq!(
        (&body["added"], &body["changed"], &body["removed"]),
        (&json!(3), &json!(0), &json!(0))
    );
    for (contact, date, expected) in [
        ("BUYER", "2031-04-30", "100"),
        ("BUYER", "2031-05-01", "80"),
        ("ANNE", "2031-05-31", "80"),
        ("BERT", "2031-05-31", "80"),
        ("BUYER", "2031-06-01", "100"),
        ("OTHER", "2031-05-15", "100"),
        ("SOLO", "2031-05-15", "100"),
    ] {
        assert_eq!(price(&app, contact, date).await, expected, "{contact} {date}");
    }
    let campaign = app.get("/v1/campaigns/SPRING").await.json();
    assert_eq!(
        (&campaign["state"], &campaign["publicationVersion"]),
        (&json!("SCHEDULED"), &body["version"])
    );

    let again = activate(&app, &json!({})).await;
    assert_eq!((again.status.as_u16(), again.json()["version"].to_string()), (200, version));
    let withdrawn = app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await.expect(201);
    assert_eq!((&withdrawn["kind"], &withdrawn["removed"]), (&json!("DEACTIVATION"), &json!(3)));
    assert_eq!(price(&app, "BUYER", "2031-05-15").await, "100");
    assert_eq!(app.get("/v1/campaigns/SPRING").await.json()["state"], "DRAFT");
    assert_eq!(
        app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await.expect(200),
        withdrawn
    );
    let changes =
        app.get(&format!("/v1/publications/{}/changes", withdrawn["version"])).await.expect(200);
    let kinds: Vec<_> =
        changes["value"].as_array().unwrap().iter().map(|c| (&c["change"], &c["kind"])).collect();
    let removed = json!("REMOVED");
    assert_eq!(
        kinds,
        [
            (&removed, &json!("ACCOUNT")),
            (&removed, &json!("CAMPAIGN")),
            (&removed, &json!("PRICE_LINE"))
        ]
    );
}

#[actix_web::test]
async fn all_findings_are_reported_together() {
    let app = TestApp::new().await;
    app.put("/v1/campaign-statuses/DONE", &json!({"sequence": 9, "allowsActivation": false}))
        .await
        .expect(201);
    app.post("/v1/campaigns", &json!({"number": "SPRING", "statusCode": "DONE"})).await.expect(201);
    let refused = activate(&app, &json!({"acknowledge": ["*"]})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "ACTIVATION_REFUSED"));
    assert_eq!(
        codes(&refused.json()),
        [
            ("NO_STARTING_DATE", "/startingDate"),
            ("STATUS_FORBIDS_ACTIVATION", "/statusCode"),
            ("NO_SEGMENT", "/segments"),
            ("NO_TARGETS", "/segments"),
            ("OPEN_END", "/endingDate"),
            ("NO_PRICES", "/prices"),
        ]
    );
    let seen = activate(&app, &json!({"validateOnly": true})).await.expect(200);
    assert_eq!(codes(&seen), codes(&refused.json()));
    assert_eq!(app.get("/v1/campaigns/SPRING").await.json()["publicationVersion"], Value::Null);
}

#[actix_web::test]
async fn warnings_must_be_acknowledged_by_code() {
    let app = ready().await;
    let dates = json!({"startingDate": "2021-05-01", "endingDate": "2021-05-31"});
    app.patch("/v1/campaigns/SPRING", &dates).await.expect(200);
    app.post("/v1/campaigns/SPRING/discounts", &json!({"lineDiscountPercent": "0"}))
        .await
        .expect(201);
    let refused = activate(&app, &json!({"acknowledge": ["WINDOW_OVER"]})).await;
    assert_eq!(refused.status, 422);
    let found: Vec<String> =
        codes(&refused.json()).iter().map(|(code, _)| (*code).to_owned()).collect();
    assert_eq!(found, ["WINDOW_OVER", "LINE_WITHOUT_EFFECT"]);
    let unknown = activate(&app, &json!({"acknowledge": ["WINDOW_OVER", "WINDOW_OPEN"]})).await;
    assert_eq!((unknown.status.as_u16(), unknown.errors()[0].0.as_str()), (400, "/acknowledge/1"));
    let done = activate(&app, &json!({"acknowledge": ["WINDOW_OVER", "LINE_WITHOUT_EFFECT"]}))
        .await
        .expect(201);
    assert_eq!(codes(&done).len(), 2);
    assert_eq!(price(&app, "BUYER", "2021-05-31").await, "80");
    assert_eq!(app.get("/v1/campaigns/SPRING").await.json()["state"], "ENDED");
}

#[actix_web::test]
async fn audience_is_the_accounts_of_eligible_targets() {
    let app = ready().await;
    let line =
        |contact: &str, target: Value| json!({"contactNumber": contact, "campaignTarget": target});
    for (contact, target) in [("BERT", json!(null)), ("OTHER", json!(false)), ("SOLO", json!(true))]
    {
        app.post("/v1/segments/FAIR/lines", &line(contact, target)).await.expect(201);
    }
    let seen = activate(&app, &json!({"validateOnly": true})).await.expect(200);
    assert_eq!(
        seen["plan"]["accounts"],
        json!({"total": 2, "gained": 2, "lost": 0, "sample": ["BUYER", "SOLO"]})
    );
    assert_eq!(codes(&seen), [("PERSONS_WITHOUT_COMPANY", "/segments")]);

    app.patch("/v1/contacts/SOLO", &json!({"excludeFromSegments": true})).await.expect(200);
    app.patch("/v1/contacts/ANNE", &json!({"privacyBlocked": true})).await.expect(200);
    let seen = activate(&app, &json!({"validateOnly": true})).await.expect(200);
    assert_eq!(seen["plan"]["accounts"]["sample"], json!(["BUYER"]));
    assert_eq!(
        codes(&seen),
        [("CONTACTS_EXCLUDED", "/segments"), ("CONTACTS_PRIVACY_BLOCKED", "/segments")]
    );
    assert_eq!(
        seen["findings"][0]["params"],
        json!({"numberOfContacts": 1, "contactNumbers": ["SOLO"]})
    );

    app.patch("/v1/contacts/BERT", &json!({"privacyBlocked": true})).await.expect(200);
    let refused = activate(&app, &json!({"acknowledge": ["*"]})).await;
    assert!(codes(&refused.json()).contains(&("NOBODY_LEFT", "/segments")));

    // The segment is no target, but its line is.
    app.patch("/v1/segments/FAIR", &json!({"campaignTarget": false})).await.expect(200);
    let refused = activate(&app, &json!({"acknowledge": ["*"]})).await;
    assert!(codes(&refused.json()).contains(&("NOBODY_LEFT", "/segments")));
    app.patch("/v1/contacts/SOLO", &json!({"excludeFromSegments": false})).await.expect(200);
    activate(&app, &json!({"acknowledge": ["*"]})).await.expect(201);
    assert_eq!(price(&app, "SOLO", "2031-05-15").await, "80");
    assert_eq!(price(&app, "BUYER", "2031-05-15").await, "100");
}

#[actix_web::test]
async fn plan_has_margins_of_items_with_cost() {
    let app = ready().await;
    let margins = async |app: &TestApp| {
        let seen = activate(app, &json!({"validateOnly": true})).await.expect(200);
        let prices = &seen["plan"]["effectivePrices"];
        (prices["averageMarginPercentBefore"].clone(), prices["averageMarginPercentAfter"].clone())
    };
    assert_eq!(margins(&app).await, (Value::Null, Value::Null), "no item has a cost");
    // A box of 12 at 600 is 50 a piece. The list price is 100 a piece, the campaign's price 80.
    let lamp = json!({
        "listPrice": "100", "unitCost": "60",
        "unitsOfMeasure": [{"code": "BOX", "quantityPerUnit": "12"}]
    });
    app.put("/v1/items/LAMP", &lamp).await.expect(201);
    let boxed = json!({"itemNumber": "LAMP", "unitOfMeasureCode": "BOX", "unitPrice": "600"});
    app.post("/v1/campaigns/SPRING/prices", &boxed).await.expect(201);
    assert_eq!(margins(&app).await, (json!("40"), json!("-20")), "below cost in a box");
    let single = json!({"itemNumber": "LAMP", "unitPrice": "80"});
    app.post("/v1/campaigns/SPRING/prices", &single).await.expect(201);
    // The margins are 40 for both lines before, and 25 and -20 after.
    assert_eq!(margins(&app).await, (json!("40"), json!("2.5")));
    // The margin is the same with tax or in another currency.
    app.put("/v1/currencies/USD", &json!({})).await.expect(201);
    let dollars = json!({"itemNumber": "LAMP", "currencyCode": "USD", "unitPrice": "1"});
    app.post("/v1/campaigns/SPRING/prices", &dollars).await.expect(201);
    assert_eq!(margins(&app).await, (json!("40"), json!("2.5")));
}

#[actix_web::test]
async fn plan_covers_items_of_groups_and_all_items() {
    let app = ready().await;
    let chair = json!({"listPrice": "100", "unitCost": "90", "itemDiscountGroupCode": "FURN"});
    app.put("/v1/items/CHAIR", &chair).await.expect(201);
    make::item(&app, "LAMP", "40").await;
    let lines = app.get("/v1/campaigns/SPRING/prices").await.json();
    let line = lines["value"][0]["id"].as_str().unwrap();
    app.delete(&format!("/v1/campaigns/SPRING/prices/{line}")).await.expect(204);
    let group = json!({"itemDiscountGroupCode": "FURN", "lineDiscountPercent": "40"});
    let group = app.post("/v1/campaigns/SPRING/discounts", &group).await.expect(201);
    let seen = activate(&app, &json!({"validateOnly": true})).await.expect(200);
    let prices = &seen["plan"]["effectivePrices"];
    assert_eq!((&prices["items"], &prices["lower"]), (&json!(1), &json!(1)), "{seen}");
    assert_eq!(prices["averageDiscountPercent"], "40");
    assert_eq!(prices["averageMarginPercentAfter"], "-50");
    assert_eq!(prices["largestReductions"][0]["after"]["netUnitPrice"], "60");
    let pointer = format!("/discounts/{}", group["id"].as_str().unwrap());
    assert_eq!(codes(&seen), [("NET_BELOW_COST", pointer.as_str())]);
    let page = app.get("/v1/campaigns/SPRING/planned-prices").await.expect(200);
    assert_eq!((&page["items"], &page["value"][0]["itemNumber"]), (&json!(1), &json!("CHAIR")));
    assert_eq!(page["value"][0]["after"]["netUnitPrice"], "60");

    let all = json!({"lineDiscountPercent": "10"});
    app.post("/v1/campaigns/SPRING/discounts", &all).await.expect(201);
    let seen = activate(&app, &json!({"validateOnly": true})).await.expect(200);
    let prices = &seen["plan"]["effectivePrices"];
    assert_eq!((&prices["items"], &prices["compared"]), (&json!(3), &json!(3)));
    assert_eq!(prices["averageDiscountPercent"], "20", "40, 10 and 10");
    assert_eq!(
        prices["histogram"],
        json!([
            {"fromPercent": -40, "toPercent": -35, "prices": 1},
            {"fromPercent": -10, "toPercent": -5, "prices": 2}
        ])
    );
    let page = app.get("/v1/campaigns/SPRING/planned-prices").await.expect(200);
    let items: Vec<_> =
        page["value"].as_array().unwrap().iter().map(|row| row["itemNumber"].clone()).collect();
    assert_eq!(items, ["CHAIR", "DESK", "LAMP"]);
    activate(&app, &json!({"acknowledge": ["*"]})).await.expect(201);
    let path = "/v1/price-quotes?contactNumber=BUYER&itemNumber=CHAIR&date=2031-05-01";
    assert_eq!(app.get(path).await.expect(200)["lines"][0]["lineAmount"], "60");
}

#[actix_web::test]
async fn plan_counts_accounts_by_class_and_quantity_break() {
    let app = ready().await;
    // GOLD pays 85 by its group, from ten on 70. The others pay the list price, 100.
    let gold = json!({"number": "D3", "priceGroupCode": "GOLD"});
    let gold = json!({"type": "COMPANY", "name": "Gold", "customer": gold});
    app.put("/v1/contacts/GOLD", &gold).await.expect(201);
    for (minimum, price) in [("0", "85"), ("10", "70")] {
        let line = json!({
            "source": {"type": "CUSTOMER_PRICE_GROUP", "code": "GOLD"}, "itemNumber": "DESK",
            "minimumQuantity": minimum, "unitPrice": price
        });
        app.post("/v1/prices", &line).await.expect(201);
    }
    for contact in ["OTHER", "GOLD"] {
        make::segment_line(&app, "FAIR", contact).await;
    }
    let seen = activate(&app, &json!({"validateOnly": true})).await.expect(200);
    let prices = &seen["plan"]["effectivePrices"];
    // Two classes. BUYER and OTHER pay 80 instead of 100, GOLD 80 instead of 85 below ten, and 70
    // from ten on as before.
    assert_eq!(prices["classes"], 2);
    assert_eq!(
        ["compared", "lower", "equal", "higher"].map(|name| prices[name].clone()),
        [json!(4), json!(3), json!(1), json!(0)]
    );
    assert_eq!(
        prices["histogram"],
        json!([
            {"fromPercent": -20, "toPercent": -15, "prices": 2},
            {"fromPercent": -10, "toPercent": -5, "prices": 1}
        ])
    );
    let reductions: Vec<_> = prices["largestReductions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["accounts"].clone(), it["quantity"].clone(), it["changePercent"].clone()))
        .collect();
    assert_eq!(
        reductions,
        [(json!(2), json!("1"), json!("-20")), (json!(1), json!("1"), json!("-5.88")),]
    );
    // Accounts that leave are part of the plan.
    activate(&app, &json!({"acknowledge": ["*"]})).await.expect(201);
    app.patch("/v1/campaigns/SPRING", &json!({"publishing": "MANUAL"})).await.expect(200);
    app.delete("/v1/segments/FAIR/lines/OTHER").await.expect(204);
    let seen = activate(&app, &json!({"validateOnly": true})).await.expect(200);
    let prices = &seen["plan"]["effectivePrices"];
    assert_eq!((&prices["higher"], &prices["lower"]), (&json!(1), &json!(0)), "{prices}");
    let page = app.get("/v1/campaigns/SPRING/planned-prices?changedOnly=true").await.expect(200);
    let rows: Vec<_> =
        page["value"].as_array().unwrap().iter().map(|row| row["accountNumber"].clone()).collect();
    assert_eq!(rows, ["OTHER"]);
}

#[actix_web::test]
async fn combined_campaigns_are_reported_as_stacked() {
    let app = ready().await;
    let desk = json!({"listPrice": "100", "taxPercent": "25", "unitCost": "80"});
    app.put("/v1/items/DESK", &desk).await.expect(200);
    let lines = app.get("/v1/campaigns/SPRING/prices").await.json();
    let line = lines["value"][0]["id"].as_str().unwrap();
    let path = format!("/v1/campaigns/SPRING/prices/{line}");
    app.patch(&path, &json!({"unitPrice": "85"})).await.expect(200);
    activate(&app, &json!({})).await.expect(201);
    let discount = Campaign {
        number: "MAY",
        segment: "MAIL",
        contacts: &["BUYER", "OTHER"],
        ..Campaign::default()
    };
    discount.create(&app).await;
    let line = json!({"itemNumber": "DESK", "lineDiscountPercent": "15"});
    app.post("/v1/campaigns/MAY/discounts", &line).await.expect(201);
    let path = "/v1/campaigns/MAY/activations";
    let seen = app.post(path, &json!({"validateOnly": true})).await.expect(200);
    let found: Vec<_> = codes(&seen).into_iter().map(|(code, _)| code).collect();
    assert_eq!(found, ["NET_BELOW_COST", "STACKED"]);
    let conflict = json!({
        "campaignNumber": "SPRING", "items": 1, "itemNumber": "DESK", "accounts": 1,
        "accountNumber": "BUYER", "date": "2031-05-01", "outcome": "STACKED", "winner": null,
        "price": {
            "unitPrice": "85", "lineDiscountPercent": "15", "netUnitPrice": "72.25",
            "marginPercent": "-10.73",
            "priceSource": {"type": "CAMPAIGN", "campaignNumber": "SPRING"},
            "discountSource": {"type": "CAMPAIGN", "campaignNumber": "MAY"}
        }
    });
    assert_eq!(seen["plan"]["conflicts"], json!([conflict]));
    assert_eq!(seen["findings"][1]["params"], conflict);
    let detail = seen["findings"][1]["detail"].as_str().unwrap();
    assert!(detail.contains("72.25") && !detail.contains("wins"), "{detail}");
    assert_eq!(
        seen["plan"]["effectivePrices"]["stacked"],
        json!([{
            "priceSource": {"type": "CAMPAIGN", "campaignNumber": "SPRING"},
            "discountSource": {"type": "CAMPAIGN", "campaignNumber": "MAY"},
            "prices": 1, "accountNumber": "BUYER", "itemNumber": "DESK", "quantity": "1",
            "unitPrice": "85", "lineDiscountPercent": "15", "netUnitPrice": "72.25",
            "marginPercent": "-10.73"
        }])
    );
    // Without a common day, or if the price allows no discount, nothing is combined.
    let lines = app.get("/v1/campaigns/SPRING/prices").await.json();
    let line = lines["value"][0]["id"].as_str().unwrap();
    let line = format!("/v1/campaigns/SPRING/prices/{line}");
    app.patch(&line, &json!({"allowLineDiscount": false})).await.expect(200);
    let seen = app.post(path, &json!({"validateOnly": true})).await.expect(200);
    let conflict = &seen["plan"]["conflicts"][0];
    assert_eq!((&conflict["outcome"], &conflict["winner"]), (&json!("WINNER"), &json!("SPRING")));
    assert_eq!(seen["plan"]["effectivePrices"]["stacked"], json!([]));
    app.patch(&line, &json!({"allowLineDiscount": true})).await.expect(200);
    let later = json!({"startingDate": "2031-06-01", "endingDate": "2031-06-30"});
    app.patch("/v1/campaigns/MAY", &later).await.expect(200);
    let seen = app.post(path, &json!({"validateOnly": true})).await.expect(200);
    assert_eq!(seen["plan"]["conflicts"], json!([]));
}

#[actix_web::test]
async fn plan_hash_binds_the_activation() {
    let app = ready().await;
    let seen = activate(&app, &json!({"validateOnly": true})).await.expect(200);
    let hash = seen["planHash"].clone();
    assert_eq!(seen["version"], Value::Null);
    assert_eq!(seen["plan"]["lines"], json!({"added": 1, "changed": 0, "removed": 0}));
    assert_eq!(
        seen["plan"]["effectivePrices"],
        json!({
            "date": "2031-05-01", "items": 1, "classes": 1, "compared": 1, "lower": 1,
            "higher": 0, "equal": 0, "appeared": 0, "disappeared": 0,
            "histogram": [{"fromPercent": -20, "toPercent": -15, "prices": 1}],
            "averageDiscountPercent": "20", "averageMarginPercentBefore": null,
            "averageMarginPercentAfter": null,
            "largestReductions": [{
                "accounts": 1, "accountNumber": "BUYER", "changePercent": "-20",
                "itemNumber": "DESK", "variantCode": null, "unitOfMeasureCode": null,
                "currencyCode": null, "quantity": "1",
                "before": {"unitPrice": "100", "lineDiscountPercent": "0", "netUnitPrice": "100"},
                "after": {"unitPrice": "80", "lineDiscountPercent": "0", "netUnitPrice": "80"}
            }],
            "stacked": []
        })
    );

    make::segment_line(&app, "FAIR", "OTHER").await;
    let refused = activate(&app, &json!({"planHash": hash})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "PLAN_CHANGED"));
    app.delete("/v1/segments/FAIR/lines/OTHER").await.expect(204);
    let done = activate(&app, &json!({"planHash": hash})).await.expect(201);
    assert_eq!(done["planHash"], hash);
}

#[actix_web::test]
async fn changes_of_active_campaigns_are_published_in_their_transaction() {
    let app = ready().await;
    let first = activate(&app, &json!({})).await.expect(201)["version"].as_i64().unwrap();
    let line = app.get("/v1/campaigns/SPRING/prices").await.json()["value"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let line = format!("/v1/campaigns/SPRING/prices/{line}");

    let changed = app.patch(&line, &json!({"unitPrice": "70"})).await;
    assert_eq!(changed.header("publication-version"), (first + 1).to_string());
    assert_eq!(price(&app, "BUYER", "2031-05-15").await, "70");
    // A change without effect on prices takes no version.
    assert_eq!(
        app.patch("/v1/campaigns/SPRING", &json!({"description": "x"}))
            .await
            .header("publication-version"),
        ""
    );
    app.patch("/v1/campaigns/SPRING", &json!({"endingDate": "2031-05-10"})).await.expect(200);
    assert_eq!(price(&app, "BUYER", "2031-05-11").await, "100");
    make::segment_line(&app, "FAIR", "OTHER").await;
    assert_eq!(price(&app, "OTHER", "2031-05-10").await, "70");
    // A person who changes companies changes the account.
    app.patch("/v1/contacts/ANNE", &json!({"companyNumber": "OTHER"})).await.expect(200);
    assert_eq!(price(&app, "BUYER", "2031-05-10").await, "100");
    app.patch("/v1/contacts/OTHER", &json!({"privacyBlocked": true})).await.expect(200);
    assert_eq!(price(&app, "OTHER", "2031-05-10").await, "70");
    // A campaign without accounts stays active, and can get new ones.
    app.patch("/v1/segments/FAIR", &json!({"campaignNumber": null})).await.expect(200);
    assert_eq!(price(&app, "OTHER", "2031-05-10").await, "100");
    assert_eq!(app.get("/v1/campaigns/SPRING").await.json()["state"], "SCHEDULED");
    app.patch("/v1/segments/FAIR", &json!({"campaignNumber": "SPRING"})).await.expect(200);
    assert_eq!(price(&app, "ANNE", "2031-05-10").await, "70");

    // Errors refuse the change; warnings are part of the response.
    app.put("/v1/items/LAMP", &json!({"listPrice": "10", "blocked": true})).await.expect(201);
    let refused = app
        .post("/v1/campaigns/SPRING/prices", &json!({"itemNumber": "LAMP", "unitPrice": "8"}))
        .await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "ACTIVATION_REFUSED"));
    assert_eq!(app.get("/v1/campaigns/SPRING/prices?count=true").await.json()["count"], 1);
    let dearer = app.patch(&line, &json!({"unitPrice": "101"})).await.expect(200);
    let warnings: Vec<_> =
        dearer["warnings"].as_array().unwrap().iter().map(|w| &w["code"]).collect();
    assert_eq!(
        warnings,
        ["PRICE_ABOVE_LIST", "NO_GAIN"],
        "of what was touched, and of nothing else"
    );
    assert_eq!(price(&app, "ANNE", "2031-05-10").await, "101");
    let undated = app.patch("/v1/campaigns/SPRING", &json!({"startingDate": null})).await;
    assert_eq!(undated.status, 422);

    let kept = app.delete("/v1/campaigns/SPRING").await;
    assert_eq!((kept.status.as_u16(), kept.code().as_str()), (409, "CAMPAIGN_ACTIVE"));
    app.delete(&line).await.expect(204);
    assert_eq!(price(&app, "ANNE", "2031-05-10").await, "100");
}

#[actix_web::test]
async fn person_is_an_account_only_without_company() {
    let app = ready().await;
    app.post("/v1/contacts", &json!({"number": "PAT", "type": "PERSON", "name": "Pat"}))
        .await
        .expect(201);
    make::segment_line(&app, "FAIR", "PAT").await;
    activate(&app, &json!({"acknowledge": ["*"]})).await.expect(201);
    let published = async || {
        let list = app.get("/v1/campaigns/SPRING/audience?orderby=accountNumber").await.expect(200);
        let rows = list["value"].as_array().unwrap().clone();
        assert!(rows.iter().all(|row| row["published"] == row["inDraft"]), "{list}");
        rows.iter().map(|row| row["accountNumber"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(published().await, ["BUYER", "PAT"]);
    app.patch("/v1/contacts/PAT", &json!({"companyNumber": "OTHER"})).await.expect(200);
    assert_eq!(published().await, ["BUYER", "OTHER"]);
    app.patch("/v1/contacts/PAT", &json!({"companyNumber": null})).await.expect(200);
    assert_eq!(published().await, ["BUYER", "PAT"]);
}

#[actix_web::test]
async fn contact_changes_publish_only_the_audience() {
    let app = ready().await;
    activate(&app, &json!({})).await.expect(201);
    // The campaign has an error now, which does not refuse changes of contacts.
    app.patch("/v1/items/DESK", &json!({"blocked": true})).await.expect(200);
    let renamed = app.patch("/v1/contacts/ANNE", &json!({"name": "Anna"})).await;
    assert_eq!((renamed.status.as_u16(), renamed.header("publication-version")), (200, ""));
    assert_eq!(renamed.json().get("warnings"), None);
    let moved = app.patch("/v1/contacts/ANNE", &json!({"companyNumber": "OTHER"})).await;
    let warnings = moved.json()["warnings"].clone();
    assert_eq!((moved.status.as_u16(), warnings.as_array().unwrap().len()), (200, 1));
    assert_eq!(
        (&warnings[0]["code"], &warnings[0]["params"]),
        (
            &json!("ACCOUNTS_LOSE_PRICES"),
            &json!({
                "campaignNumber": "SPRING", "numberOfAccounts": 1, "accountNumbers": ["BUYER"]
            })
        )
    );
    let version = moved.header("publication-version");
    let publication = app.get(&format!("/v1/publications/{version}")).await.expect(200);
    assert_eq!(
        (&publication["kind"], &publication["campaignNumber"]),
        (&json!("CHANGE"), &json!("SPRING"))
    );
    assert_eq!(
        (&publication["added"], &publication["changed"], &publication["removed"]),
        (&json!(1), &json!(0), &json!(1))
    );
    let campaign = app.get("/v1/campaigns/SPRING").await.json();
    assert_eq!(
        (&campaign["publicationVersion"], &campaign["state"]),
        (&publication["version"], &json!("SCHEDULED"))
    );
    app.patch("/v1/items/DESK", &json!({"blocked": false})).await.expect(200);
    assert_eq!(price(&app, "OTHER", "2031-05-15").await, "80");
    assert_eq!(price(&app, "BUYER", "2031-05-15").await, "100");
}

#[actix_web::test]
async fn unchanged_lines_make_no_version() {
    let app = ready().await;
    make::item(&app, "LAMP", "10").await;
    activate(&app, &json!({})).await.expect(201);
    for (path, value, other) in [
        ("/v1/campaigns/SPRING/prices/batch", json!({"itemNumber": "LAMP", "unitPrice": "9"}), "8"),
        (
            "/v1/campaigns/SPRING/discounts/batch",
            json!({"itemNumber": "DESK", "lineDiscountPercent": "5"}),
            "7",
        ),
    ] {
        let field = if path.contains("prices") { "unitPrice" } else { "lineDiscountPercent" };
        let mut sibling = value.clone();
        sibling["minimumQuantity"] = json!("10");
        sibling[field] = json!(other);
        let first = app.post(path, &json!({"rows": [value, sibling]})).await;
        assert_eq!(
            (first.status.as_u16(), first.header("publication-version").is_empty()),
            (200, false)
        );
        let ids: Vec<Value> = receipts(&first.json(), "id");

        // The same content in another notation.
        sibling["minimumQuantity"] = json!("10.0");
        let again = app.post(path, &json!({"rows": [sibling, value]})).await;
        assert_eq!((again.status.as_u16(), again.header("publication-version")), (200, ""));
        let reversed: Vec<Value> = receipts(&again.json(), "id").into_iter().rev().collect();
        assert_eq!(
            (receipts(&again.json(), "status"), reversed),
            (vec![json!(200), json!(200)], ids.clone())
        );

        // Together with one that changes.
        sibling[field] = json!("6");
        let changed = app.post(path, &json!({"rows": [value, sibling]})).await;
        assert_eq!(receipts(&changed.json(), "id"), ids);
        let version = changed.header("publication-version");
        let publication = app.get(&format!("/v1/publications/{version}")).await.expect(200);
        assert_eq!((&publication["added"], &publication["changed"]), (&json!(0), &json!(1)));
    }
}

/// Returns a member of each receipt of a batch.
fn receipts(body: &Value, member: &str) -> Vec<Value> {
    body["receipts"].as_array().unwrap().iter().map(|receipt| receipt[member].clone()).collect()
}

#[actix_web::test]
async fn manual_publishing_delays_changes_but_not_objections() {
    let app = ready().await;
    app.patch("/v1/campaigns/SPRING", &json!({"publishing": "MANUAL"})).await.expect(200);
    make::segment_line(&app, "FAIR", "OTHER").await;
    activate(&app, &json!({})).await.expect(201);
    let unpublished =
        async || app.get("/v1/campaigns/SPRING").await.json()["hasUnpublishedChanges"].clone();
    assert_eq!(unpublished().await, false);

    make::segment_line(&app, "FAIR", "SOLO").await;
    assert_eq!(
        (unpublished().await, price(&app, "SOLO", "2031-05-15").await.as_str()),
        (json!(true), "100")
    );
    app.patch("/v1/contacts/OTHER", &json!({"privacyBlocked": true})).await.expect(200);
    assert_eq!(price(&app, "OTHER", "2031-05-15").await, "100");
    assert_eq!(price(&app, "BUYER", "2031-05-15").await, "80");
    activate(&app, &json!({"acknowledge": ["*"]})).await.expect(201);
    assert_eq!(
        (unpublished().await, price(&app, "SOLO", "2031-05-15").await.as_str()),
        (json!(false), "80")
    );
    // Undone: nothing is left to publish.
    app.post(
        "/v1/campaigns/SPRING/prices",
        &json!({"itemNumber": "DESK", "minimumQuantity": "5", "unitPrice": "60"}),
    )
    .await
    .expect(201);
    assert_eq!(unpublished().await, true);
    let lines = app.get("/v1/campaigns/SPRING/prices?filter=minimumQuantity eq 5").await.json();
    let path = format!("/v1/campaigns/SPRING/prices/{}", lines["value"][0]["id"].as_str().unwrap());
    app.delete(&path).await.expect(204);
    assert_eq!(unpublished().await, false);
}

#[actix_web::test]
async fn shadowed_lines_and_prices_above_list_are_warned_of() {
    let app = ready().await;
    for line in [
        json!({"itemNumber": "DESK", "unitPrice": "80", "minimumQuantity": "10"}),
        json!({
            "itemNumber": "DESK", "unitPrice": "126", "priceIncludesTax": true,
            "minimumQuantity": "3"
        }),
        json!({
            "itemNumber": "DESK", "unitPrice": "125", "priceIncludesTax": true,
            "minimumQuantity": "2"
        }),
    ] {
        app.post("/v1/campaigns/SPRING/prices", &line).await.expect(201);
    }
    for line in [
        json!({"itemDiscountGroupCode": "NONE", "lineDiscountPercent": "10"}),
        json!({"itemNumber": "DESK", "lineDiscountPercent": "10"}),
        json!({"itemNumber": "DESK", "lineDiscountPercent": "10", "unitOfMeasureCode": "PCS"}),
    ] {
        app.post("/v1/campaigns/SPRING/discounts", &line).await.expect(201);
    }
    let seen = activate(&app, &json!({"validateOnly": true})).await.expect(200);
    let found: Vec<_> = codes(&seen).into_iter().map(|(code, _)| code).collect();
    assert_eq!(
        found,
        [
            "PRICE_ABOVE_LIST",
            "LINE_SHADOWED",
            "UNREACHABLE_BREAK",
            "UNREACHABLE_BREAK",
            "LINE_WITHOUT_EFFECT"
        ]
    );
    assert_eq!(seen["findings"][0]["params"], json!({"unitPrice": "126", "listPrice": "125"}));
}

#[actix_web::test]
async fn overlapping_campaigns_are_named_with_the_winner() {
    let app = ready().await;
    activate(&app, &json!({})).await.expect(201);
    let campaign = Campaign {
        number: "MAY",
        starting_date: "2031-05-20",
        ending_date: "2031-06-20",
        segment: "MAIL",
        contacts: &["BUYER", "OTHER"],
        prices: &[("DESK", "75")],
    };
    campaign.create(&app).await;
    let path = "/v1/campaigns/MAY/activations";
    let seen = app.post(path, &json!({"validateOnly": true})).await.expect(200);
    assert_eq!(codes(&seen), [("OVERLAP", "/campaign")]);
    assert_eq!(
        seen["plan"]["conflicts"],
        json!([
            {
                "campaignNumber": "SPRING", "items": 1, "itemNumber": "DESK", "accounts": 1,
                "accountNumber": "BUYER", "date": "2031-05-20", "outcome": "WINNER",
                "winner": "MAY",
                "price": {
                    "unitPrice": "75", "lineDiscountPercent": "0", "netUnitPrice": "75",
                    "marginPercent": null,
                    "priceSource": {"type": "CAMPAIGN", "campaignNumber": "MAY"},
                    "discountSource": null
                }
            }
        ])
    );
    // The campaigns no longer overlap when the second starts later.
    app.patch("/v1/campaigns/MAY", &json!({"startingDate": "2031-06-01"})).await.expect(200);
    assert_eq!(codes(&app.post(path, &json!({"validateOnly": true})).await.expect(200)), []);
}

#[actix_web::test]
async fn of_two_concurrent_activations_one_publishes() {
    let app = ready().await;
    let body = json!({});
    let (one, other) = tokio::join!(activate(&app, &body), activate(&app, &body));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 201]);
    assert_eq!(one.json()["version"], other.json()["version"]);
}

#[actix_web::test]
async fn versions_have_no_gap_despite_refusals_and_races() {
    let app = ready().await;
    activate(&app, &json!({})).await.expect(201);
    let change = async |n: i32| {
        loop {
            let reply = match n % 4 {
                0 => app.put(&format!("/v1/items/I{n}"), &json!({"listPrice": "1"})).await,
                1 => {
                    app.post(
                        "/v1/campaigns/SPRING/prices",
                        &json!({"itemNumber": "NONE", "unitPrice": "1"}),
                    )
                    .await
                }
                2 => {
                    let line = json!({
                        "itemNumber": "DESK", "unitPrice": "50", "minimumQuantity": n.to_string()
                    });
                    app.post("/v1/campaigns/SPRING/prices", &line).await
                }
                _ => app.post("/v1/contacts", &json!({"type": "PERSON", "name": "P"})).await,
            };
            // On a slow machine no database session may become free in time.
            if reply.status != 503 {
                break reply;
            }
        }
    };
    let changes = futures_util::future::join_all((0..40).map(change));
    let replies = in_time("all changes are answered", changes).await;
    let mut versions: Vec<i64> = replies
        .iter()
        .filter_map(|reply| reply.header("publication-version").parse().ok())
        .collect();
    assert_eq!(versions.len(), 30, "{replies:?}");
    versions.sort_unstable();
    let page = app.get("/v1/publications?top=1000&count=true").await.expect(200);
    let listed: Vec<i64> = page["value"]
        .as_array()
        .unwrap()
        .iter()
        .rev()
        .map(|p| p["version"].as_i64().unwrap())
        .collect();
    assert_eq!(listed, (1..=page["count"].as_i64().unwrap()).collect::<Vec<_>>());
    assert!(versions.iter().all(|version| listed.contains(version)));
    assert_eq!(app.book.snapshot().version(), *listed.last().unwrap());
}

#[actix_web::test]
async fn planned_prices_are_listed_in_full() {
    let app = ready().await;
    make::item(&app, "LAMP", "10").await;
    make::campaign_price(&app, "SPRING", "LAMP", "10").await;
    make::segment_line(&app, "FAIR", "OTHER").await;
    let path = "/v1/campaigns/SPRING/planned-prices";
    let listed = async |query: &str| {
        let (mut rows, mut next, mut pages) = (Vec::new(), Some(format!("{path}?{query}")), 0);
        while let Some(path) = next {
            let page = app.get(&path).await.expect(200);
            assert_eq!((&page["accounts"], &page["items"]), (&json!(2), &json!(2)));
            rows.extend(page["value"].as_array().unwrap().iter().map(|row| {
                let text = |value: &Value| value["unitPrice"].as_str().unwrap().to_owned();
                format!(
                    "{} {} {} {}",
                    row["accountNumber"],
                    row["itemNumber"],
                    text(&row["before"]),
                    text(&row["after"])
                )
            }));
            next = page["nextLink"].as_str().map(str::to_owned);
            pages += 1;
        }
        rows.sort();
        (rows, pages)
    };
    let all = [
        r#""BUYER" "DESK" 100 80"#,
        r#""BUYER" "LAMP" 10 10"#,
        r#""OTHER" "DESK" 100 80"#,
        r#""OTHER" "LAMP" 10 10"#,
    ];
    assert_eq!(listed("").await, (all.map(str::to_owned).to_vec(), 1));
    assert_eq!(listed("top=1").await, (all.map(str::to_owned).to_vec(), 4));
    assert_eq!(listed("changedOnly=true").await.0, [all[0], all[2]]);
    assert_eq!(
        listed("accountNumber=OTHER&top=1").await,
        ([all[2], all[3]].map(str::to_owned).to_vec(), 2)
    );
    // All pages are of one plan.
    let page = app.get(&format!("{path}?top=1")).await.expect(200);
    let seen = activate(&app, &json!({"validateOnly": true})).await.expect(200);
    assert_eq!(page["planHash"], seen["planHash"]);
    let next = page["nextLink"].as_str().unwrap();
    app.delete("/v1/segments/FAIR/lines/OTHER").await.expect(204);
    let refused = app.get(next).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "PLAN_CHANGED"));
    // Reading publishes nothing, and all parameter errors are reported together.
    assert_eq!(app.get("/v1/campaigns/SPRING").await.json()["publicationVersion"], Value::Null);
    let wrong =
        app.get(&format!("{path}?top=0&changedOnly=maybe&accountNumber=%20&cursor=x")).await;
    let pointers: Vec<String> = wrong.errors().into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(
        (wrong.status.as_u16(), pointers),
        (400, ["?accountNumber", "?changedOnly", "?top"].map(str::to_owned).to_vec())
    );
    assert_eq!(app.get(&format!("{path}?cursor=x")).await.code(), "INVALID_CURSOR");
    assert_eq!(app.get("/v1/campaigns/NONE/planned-prices").await.status, 404);
    // Without a starting date there are no prices to compute.
    app.patch("/v1/campaigns/SPRING", &json!({"startingDate": null})).await.expect(200);
    assert_eq!(app.get(path).await.expect(200)["value"], json!([]));
}
