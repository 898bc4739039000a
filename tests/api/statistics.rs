//! The statistics of a campaign, compared with a manual calculation, and its history in sentences.

use std::sync::Arc;

use kampanje::platform::clock::Calendar;
use serde_json::{Value, json};

use super::support::app::{TestApp, pairs};
use super::support::make;

const STATISTICS: &str = "/v1/campaigns/SPRING/statistics";

/// Returns the campaign SPRING on 15 May 2031 with every kind of result.
async fn played_campaign() -> TestApp {
    let app =
        TestApp::at(Calendar::new(Arc::new(|| "2031-05-15T12:00:00Z".parse().unwrap()))).await;
    app.put("/v1/salespeople/JO", &json!({"name": "Jo"})).await.expect(201);
    let units = json!([{"code": "BOX", "quantityPerUnit": "10"}]);
    app.put("/v1/items/DESK", &json!({"unitCost": "60", "unitsOfMeasure": units}))
        .await
        .expect(201);
    make::item(&app, "LAMP", "20").await;
    for (number, contact) in [
        (
            "BUYER",
            json!({
                "type": "COMPANY", "name": "B", "customer": {"number": "D1"},
                "salespersonCode": "JO"
            }),
        ),
        ("OTHER", json!({"type": "COMPANY", "name": "O", "customer": {"number": "D2"}})),
        ("ANNE", json!({"type": "PERSON", "name": "Anne", "companyNumber": "BUYER"})),
        ("BERT", json!({"type": "PERSON", "name": "Bert", "companyNumber": "BUYER"})),
        ("SOLO", json!({"type": "PERSON", "name": "Solo"})),
    ] {
        app.put(&format!("/v1/contacts/{number}"), &contact).await.expect(201);
    }
    let dates = json!({"startingDate": "2031-05-01", "endingDate": "2031-05-31"});
    app.put("/v1/campaigns/SPRING", &dates).await.expect(201);
    app.put("/v1/campaigns/AUTUMN", &json!({})).await.expect(201);
    create_activity(&app).await;
    post_sales(&app).await;
    app
}

/// Creates interactions, tasks and opportunities.
async fn create_activity(app: &TestApp) {
    let template = json!({"description": "Invitation", "cost": "2.5", "durationMinutes": 15});
    app.put("/v1/interaction-templates/MAIL", &template).await.expect(201);
    let segment = json!({
        "campaignNumber": "SPRING", "campaignTarget": true, "description": "Visitors",
        "salespersonCode": "JO",
        "interactionTemplateCode": "MAIL"
    });
    app.put("/v1/segments/FAIR", &segment).await.expect(201);
    for (contact, responds) in [("ANNE", false), ("BERT", true), ("SOLO", false), ("OTHER", false)]
    {
        let line = json!({"contactNumber": contact, "campaignResponse": responds});
        app.post("/v1/segments/FAIR/lines", &line).await.expect(201);
    }
    app.post("/v1/segments/FAIR/logs", &json!({})).await.expect(201);
    let response = |contact: &str, date: &str, cost: &str, minutes: i32| {
        json!({
            "contactNumber": contact, "campaignNumber": "SPRING", "campaignResponse": true,
            "date": date, "cost": cost,
            "durationMinutes": minutes, "description": "Answered"
        })
    };
    app.post("/v1/interactions", &response("ANNE", "2031-05-20", "4", 10)).await.expect(201);
    app.post("/v1/interactions", &response("ANNE", "2031-06-01", "0.5", 5)).await.expect(201);
    let canceled =
        app.post("/v1/interactions", &response("SOLO", "2031-05-20", "100", 100)).await.expect(201);
    let place = format!("/v1/interactions/{}", canceled["id"].as_str().unwrap());
    app.patch(&place, &json!({"canceled": true})).await.expect(200);
    let elsewhere = json!({
        "contactNumber": "SOLO", "campaignNumber": "AUTUMN", "campaignTarget": true, "cost": "9",
        "description": "x"
    });
    app.post("/v1/interactions", &elsewhere).await.expect(201);

    let task =
        |date: &str| json!({"campaignNumber": "SPRING", "salespersonCode": "JO", "date": date});
    app.post("/v1/tasks", &task("2031-05-10")).await.expect(201);
    let closed = app.post("/v1/tasks", &task("2031-06-10")).await.expect(201);
    let place = format!("/v1/tasks/{}", closed["id"].as_str().unwrap());
    app.patch(&place, &json!({"closed": true})).await.expect(200);

    for (contact, value, chance, state) in [
        ("BUYER", "1000", "50", "IN_PROGRESS"),
        ("OTHER", "200", "80", "WON"),
        ("SOLO", "400", "10", "LOST"),
    ] {
        let opportunity = json!({
            "campaignNumber": "SPRING", "contactNumber": contact, "estimatedValue": value,
            "chancePercent": chance,
            "state": state
        });
        app.post("/v1/opportunities", &opportunity).await.expect(201);
    }
}

async fn post_sales(app: &TestApp) {
    let line = |kind: &str, line: i32, date: &str, buyer: (&str, &str), fields: Value| {
        let mut body = json!({
            "documentType": kind, "documentNumber": "DOC", "lineNumber": line, "postingDate": date,
            "campaignNumber": "SPRING", buyer.0: buyer.1
        });
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        body
    };
    let desk = |quantity: &str, amount: &str, discount: &str| {
        json!({
            "itemNumber": "DESK", "quantity": quantity, "lineAmount": amount,
            "discountAmount": discount
        })
    };
    let d1 = ("customerNumber", "D1");
    let solo = ("contactNumber", "SOLO");
    let mut boxed = desk("1", "800", "200");
    boxed["unitOfMeasureCode"] = json!("BOX");
    let lamp = json!({"itemNumber": "LAMP", "lineAmount": "18", "discountAmount": "2"});
    let mut elsewhere = line("INVOICE", 9, "2031-05-16", d1, desk("1", "1000", "0"));
    elsewhere["campaignNumber"] = json!("AUTUMN");
    let rows = json!([
        line("INVOICE", 1, "2031-05-16", d1, desk("2", "160", "40")),
        line("INVOICE", 2, "2031-05-16", d1, lamp),
        line("INVOICE", 3, "2031-05-17", ("contactNumber", "ANNE"), boxed),
        line("INVOICE", 4, "2031-06-02", solo, desk("1", "80", "20")),
        line("CREDIT_MEMO", 1, "2031-06-03", solo, desk("1", "80", "20")),
        line("CREDIT_MEMO", 2, "2031-06-03", d1, desk("1", "80", "20")),
        elsewhere,
    ]);
    app.post("/v1/sales/batch", &json!({ "rows": rows })).await.expect(200);
}

#[actix_web::test]
async fn statistics_equal_a_manual_calculation() {
    let app = played_campaign().await;
    let expected = json!({
        "campaignNumber": "SPRING",
        // FAIR: ANNE, BERT, SOLO, OTHER. Responses: BERT, twice ANNE. The canceled response of SOLO
        // does not count.
        "contactsTargeted": 4, "contactsResponded": 3, "distinctContactsTargeted": 4,
        "distinctContactsResponded": 2,
        "responseRate": "75",
        // 4 × 2.5 + 4 + 0.5; 4 × 15 + 10 + 5; 14.5 ÷ 3.
        "cost": "14.5", "duration": 75, "costPerResponse": "4.83",
        "tasksOpen": 1, "tasksClosed": 1,
        // 1000 + 200 + 400; 1000 × 50 % + 200 (won) + 0 (lost).
        "opportunities": {"number": 3, "estimatedValue": "1600", "weightedValue": "700"},
        // 160 + 18 + 800 + 80 − 80 − 80; 40 + 2 + 200 + 20 − 20 − 20. SOLO returned the whole
        // purchase.
        "salesLines": 6, "salesAmount": "898", "discountGiven": "222", "customersWhoBought": 1,
        // Without the lamp: (160 − 120) + (800 − 600) + (80 − 60) − (80 − 60) − (80 − 60); (220 −
        // 14.5) ÷ 14.5.
        "salesLinesWithCost": 5, "margin": "220", "returnOnCost": "1417.2",
        "groupBy": null, "groups": []
    });
    assert_eq!(app.get(STATISTICS).await.expect(200), expected);

    // A canceled entry removes its interactions from the statistics, and a restored one adds them
    // again.
    app.patch("/v1/campaigns/SPRING/entries/FAIR", &json!({"canceled": true})).await.expect(200);
    let seen = app.get(STATISTICS).await.expect(200);
    for (name, value) in [
        ("contactsTargeted", json!(0)),
        ("contactsResponded", json!(2)),
        ("distinctContactsTargeted", json!(0)),
        ("distinctContactsResponded", json!(1)),
        ("responseRate", Value::Null),
        ("cost", json!("4.5")),
        ("duration", json!(15)),
        ("costPerResponse", json!("2.25")),
        ("salesAmount", json!("898")),
    ] {
        assert_eq!(seen[name], value, "{name}");
    }
    app.patch("/v1/campaigns/SPRING/entries/FAIR", &json!({"canceled": false})).await.expect(200);
    assert_eq!(app.get(STATISTICS).await.expect(200), expected);
}

#[actix_web::test]
async fn campaign_without_results_has_statistics() {
    let app = TestApp::new().await;
    app.put("/v1/campaigns/SPRING", &json!({})).await.expect(201);
    let seen = app.get(&format!("{STATISTICS}?groupBy=month")).await.expect(200);
    for name in ["responseRate", "costPerResponse", "margin", "returnOnCost"] {
        assert_eq!(seen[name], Value::Null, "{name}");
    }
    for name in ["cost", "salesAmount", "discountGiven"] {
        assert_eq!(seen[name], "0", "{name}");
    }
    assert_eq!(
        (&seen["contactsTargeted"], &seen["groups"], &seen["groupBy"]),
        (&json!(0), &json!([]), &json!("month"))
    );
    let refused = app.get(&format!("{STATISTICS}?groupBy=year&top=1")).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (400, pairs(&[("?top", "UNKNOWN_PARAMETER")]))
    );
    let refused = app.get(&format!("{STATISTICS}?groupBy=year")).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (400, pairs(&[("?groupBy", "INVALID_VALUE")]))
    );
    assert_eq!(app.get("/v1/campaigns/NONE/statistics").await.status, 404);
}

#[actix_web::test]
async fn response_rate_is_rounded_half_away_from_zero() {
    let app = TestApp::new().await;
    app.put("/v1/campaigns/SPRING", &json!({})).await.expect(201);
    app.put("/v1/contacts/ANNE", &json!({"type": "PERSON", "name": "Anne"})).await.expect(201);
    for responds in (0..16).map(|number| number == 0) {
        let interaction = json!({
            "contactNumber": "ANNE", "campaignNumber": "SPRING", "campaignTarget": true,
            "campaignResponse": responds,
            "description": "Call"
        });
        app.post("/v1/interactions", &interaction).await.expect(201);
    }
    let seen = app.get(STATISTICS).await.expect(200);
    // 1 of 16 is 6.25 %.
    assert_eq!(
        (&seen["responseRate"], &seen["distinctContactsTargeted"]),
        (&json!("6.3"), &json!(1))
    );
}

/// Returns the key of each group with the named statistics.
async fn groups(app: &TestApp, by: &str, names: &[&str]) -> Vec<Value> {
    let seen = app.get(&format!("{STATISTICS}?groupBy={by}")).await.expect(200);
    assert_eq!(seen["salesAmount"], "898");
    let group = |group: &Value| {
        let route_metrics = names.iter().map(|name| group[*name].clone());
        std::iter::once(group["key"].clone()).chain(route_metrics).collect()
    };
    seen["groups"].as_array().unwrap().iter().map(group).collect()
}

#[actix_web::test]
async fn statistics_are_grouped_by_month_segment_and_salesperson() {
    let app = played_campaign().await;
    let names = [
        "contactsTargeted",
        "contactsResponded",
        "cost",
        "tasksOpen",
        "tasksClosed",
        "salesAmount",
        "customersWhoBought",
    ];
    assert_eq!(
        groups(&app, "month", &names).await,
        [
            json!(["2031-05", 4, 2, "14", 1, 0, "978", 1]),
            json!(["2031-06", 0, 1, "0.5", 0, 1, "-80", 0])
        ]
    );
    // BUYER and SOLO were targets by FAIR; the tasks have no contact.
    assert_eq!(
        groups(&app, "segment", &names).await,
        [json!([null, 0, 2, "4.5", 1, 1, "0", 0]), json!(["FAIR", 4, 1, "10", 0, 0, "898", 1])]
    );
    // SOLO has no salesperson, and returned the purchase.
    assert_eq!(
        groups(&app, "salesperson", &names).await,
        [json!([null, 0, 2, "4.5", 0, 0, "0", 0]), json!(["JO", 4, 1, "10", 1, 1, "898", 1])]
    );
    // A segment that is not logged counts as origin too, after the logged ones.
    make::target_segment(&app, "ALL", "SPRING").await;
    make::segment_line(&app, "ALL", "BERT").await;
    assert_eq!(
        groups(&app, "segment", &["salesAmount"]).await,
        [json!([null, "0"]), json!(["FAIR", "898"])]
    );
    app.patch("/v1/campaigns/SPRING/entries/FAIR", &json!({"canceled": true})).await.expect(200);
    assert_eq!(
        groups(&app, "segment", &["salesAmount"]).await,
        [json!([null, "0"]), json!(["ALL", "898"])]
    );
}

#[actix_web::test]
async fn history_has_a_sentence_for_each_event() {
    let app = played_campaign().await;
    app.put("/v1/campaign-statuses/PLANNED", &json!({"sequence": 1})).await.expect(201);
    app.patch("/v1/campaigns/SPRING", &json!({"statusCode": "PLANNED"})).await.expect(200);
    let price = json!({"itemNumber": "DESK", "unitPrice": "80"});
    let line = app.post("/v1/campaigns/SPRING/prices", &price).await.expect(201);
    make::activate(&app, "SPRING").await;
    app.post("/v1/campaigns/SPRING/discounts", &json!({"lineDiscountPercent": "5"}))
        .await
        .expect(201);
    let place = format!("/v1/campaigns/SPRING/prices/{}", line["id"].as_str().unwrap());
    app.patch(&place, &json!({"unitPrice": "79"})).await.expect(200);
    app.delete(&place).await.expect(204);
    app.patch("/v1/campaigns/SPRING", &json!({"endingDate": "2031-06-30"})).await.expect(200);
    app.put("/v1/contacts/NEW", &json!({"type": "COMPANY", "name": "New"})).await.expect(201);
    make::target_segment(&app, "LATE", "SPRING").await;
    make::segment_line(&app, "LATE", "NEW").await;
    app.patch("/v1/campaigns/SPRING", &json!({"statusCode": null})).await.expect(200);
    app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await.expect(201);
    let path = "/v1/campaigns/SPRING/activation-history";
    let seen = app.get(&format!("{path}?orderby=at&count=true")).await.expect(200);
    let entries = seen["value"].as_array().unwrap();
    let words: Vec<_> = entries
        .iter()
        .map(|e| (e["event"].as_str().unwrap(), e["words"].as_str().unwrap()))
        .collect();
    assert_eq!(
        words,
        [
            ("STATUS_CHANGE", "status: none → PLANNED"),
            ("ACTIVATION", "activated: 3 accounts, 1 line"),
            ("CHANGE", "1 line added"),
            ("CHANGE", "1 line changed"),
            ("CHANGE", "1 line removed"),
            ("CHANGE", "dates changed"),
            ("CHANGE", "1 account joined"),
            ("STATUS_CHANGE", "status: PLANNED → none"),
            ("DEACTIVATION", "deactivated: 4 accounts, 1 line"),
        ]
    );
    assert_eq!(seen["count"], 9);
    assert!(entries.iter().all(|entry| entry["author"] == "local"), "{entries:?}");
    assert!(
        entries[1]["publicationVersion"].is_i64() && entries[0]["publicationVersion"].is_null()
    );
    // The newest first, page by page.
    let page = app.get(&format!("{path}?top=2")).await.expect(200);
    assert_eq!(page["value"][0]["event"], "DEACTIVATION");
    let next = app.get(page["nextLink"].as_str().unwrap()).await.expect(200);
    assert_eq!(next["value"][0]["words"], "1 account joined");
    let only = app.get(&format!("{path}?filter=event eq 'STATUS_CHANGE'")).await.expect(200);
    assert_eq!(only["value"].as_array().unwrap().len(), 2);
    let other = app.get("/v1/campaigns/AUTUMN/activation-history").await.expect(200);
    assert_eq!(other["value"], json!([]));
}

/// Returns the keys and the named figures of each group of posted sales.
async fn sales_groups(app: &TestApp, by: &str, names: &[&str]) -> Vec<Value> {
    let path = format!("/v1/statistics?groupBy={by}&from=2031-05-01&to=2031-06-30");
    let seen = app.get(&path).await.expect(200);
    assert_eq!(seen["isComplete"], true);
    let groups = seen["groups"].as_array().unwrap().iter();
    groups.map(|group| names.iter().map(|name| group[*name].clone()).collect()).collect()
}

#[actix_web::test]
async fn sales_are_grouped_by_campaign_month_item_and_account() {
    let app = played_campaign().await;
    // A sale of no campaign.
    let plain = json!({
        "documentType": "INVOICE", "documentNumber": "PLAIN", "lineNumber": 1,
        "postingDate": "2031-05-02", "contactNumber": "OTHER", "itemNumber": "LAMP",
        "quantity": "1", "lineAmount": "20", "discountAmount": "1"
    });
    app.post("/v1/sales", &plain).await.expect(201);
    let figures = ["salesLines", "salesAmount", "discountGiven", "customersWhoBought", "margin"];
    let with = |keys: &[&'static str]| [keys, &figures[..]].concat();
    assert_eq!(
        sales_groups(&app, "campaign", &with(&["campaignNumber"])).await,
        [
            json!([null, 1, "20", "0", 1, null]),
            json!(["AUTUMN", 1, "1000", "0", 1, "940"]),
            json!(["SPRING", 6, "898", "222", 1, "220"]),
        ]
    );
    // 160 + 18 + 800 + 1000 + 20; 80 − 80 − 80.
    assert_eq!(
        sales_groups(&app, "month", &with(&["month"])).await,
        [
            json!(["2031-05", 5, "1998", "242", 2, "1180"]),
            json!(["2031-06", 3, "-80", "-20", 0, "-20"]),
        ]
    );
    assert_eq!(
        sales_groups(&app, "item", &with(&["itemNumber"])).await,
        [json!(["DESK", 6, "1880", "220", 1, "1160"]), json!(["LAMP", 2, "38", "2", 2, null])]
    );
    assert_eq!(
        sales_groups(&app, "account", &with(&["accountNumber"])).await,
        [
            json!(["BUYER", 5, "1898", "222", 1, "1160"]),
            json!(["OTHER", 1, "20", "0", 1, null]),
            json!(["SOLO", 2, "0", "0", 0, "0"]),
        ]
    );
    assert_eq!(
        sales_groups(&app, "campaign,month", &["campaignNumber", "month", "salesAmount"]).await,
        [
            json!([null, "2031-05", "20"]),
            json!(["AUTUMN", "2031-05", "1000"]),
            json!(["SPRING", "2031-05", "978"]),
            json!(["SPRING", "2031-06", "-80"]),
        ]
    );
    // The period of the last twelve months ends today, on 15 May.
    let seen = app.get("/v1/statistics?groupBy=item").await.expect(200);
    assert_eq!((&seen["from"], &seen["to"]), (&json!("2030-06-01"), &json!("2031-05-15")));
    assert_eq!(seen["groups"][0]["salesAmount"], "20");
}

#[actix_web::test]
async fn wrong_criteria_of_sales_are_refused() {
    let app = TestApp::new().await;
    for (query, status, error) in [
        ("", 400, ("?groupBy", "REQUIRED")),
        ("?groupBy=", 400, ("?groupBy", "INVALID_VALUE")),
        ("?groupBy=segment", 400, ("?groupBy", "INVALID_VALUE")),
        ("?groupBy=item,item", 400, ("?groupBy", "INVALID_VALUE")),
        ("?groupBy=item,month,account", 400, ("?groupBy", "TOO_LONG")),
        ("?groupBy=item&from=2031-02-30", 400, ("?from", "INVALID_DATE")),
        ("?groupBy=item&from=2031-02-02&to=2031-02-01", 422, ("?to", "OUT_OF_RANGE")),
    ] {
        let refused = app.get(&format!("/v1/statistics{query}")).await;
        assert_eq!(
            (refused.status.as_u16(), refused.errors()),
            (status, pairs(&[error])),
            "{query}"
        );
    }
}
