//! Calls every operation of the API document successfully at least once.

use std::cell::RefCell;
use std::collections::BTreeSet;

use kampanje::app::routes;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp};

/// The service, and the operations that have succeeded so far.
struct Journey {
    app: TestApp,
    done: RefCell<BTreeSet<(String, String)>>,
}

impl Journey {
    /// Calls an operation. The values replace the parameters of its path in order.
    async fn call(&self, method: &str, path: &str, values: &[&str], body: Value) -> Value {
        let mut values = values.iter();
        let parts = path
            .split('/')
            .map(|part| if part.starts_with('{') { *values.next().unwrap() } else { part });
        let place = parts.collect::<Vec<_>>().join("/");
        assert_eq!(values.next(), None, "{path}");
        let body = if body.is_null() { None } else { Some(body.to_string()) };
        let conditions: &[_] =
            if matches!(method, "PATCH" | "DELETE") { &[("if-match", "*")] } else { &[] };
        let method: Method = method.parse().unwrap();
        let reply = self.app.send(method.clone(), &place, conditions, body.as_deref()).await;
        assert!(reply.status.is_success(), "{method} {place}: {reply:?}");
        self.done.borrow_mut().insert((method.to_string(), path.to_owned()));
        let is_json = reply.header("content-type").starts_with("application/json");
        if is_json { reply.json() } else { Value::Null }
    }

    /// Calls an operation with parameters in the query.
    async fn query(&self, path: &str, query: &str) {
        let reply = self.app.get(&format!("{path}?{query}")).await;
        assert!(reply.status.is_success(), "{path}: {reply:?}");
        self.done.borrow_mut().insert(("GET".to_owned(), path.to_owned()));
    }

    /// Calls the seven operations of a plain resource. It is created by POST, or by PUT if it has a
    /// key. The first row is kept, the others are deleted.
    async fn plain(
        &self,
        collection: &str,
        scope: &[&str],
        one: &str,
        key: Option<&str>,
        bodies: [Value; 3],
    ) -> String {
        let [standing, passing, patch] = bodies;
        let path = format!("{collection}/{{{one}}}");
        let of = |view: &Value| view[key.unwrap_or("id")].as_str().unwrap().to_owned();
        let stays = of(&self.call("POST", collection, scope, standing).await);
        let goes = match key {
            Some(key) => {
                let name = passing[key].as_str().unwrap();
                of(&self.call("PUT", &path, &[scope, &[name]].concat(), passing.clone()).await)
            }
            None => {
                let made = of(&self.call("POST", collection, scope, passing.clone()).await);
                let place = path.replace(&format!("{{{one}}}"), &made);
                let place =
                    scope.iter().fold(place, |place, value| place.replace("{campaign}", value));
                self.app.put(&place, &passing).await.expect(200);
                self.done.borrow_mut().insert(("PUT".to_owned(), path.clone()));
                made
            }
        };
        let at = [scope, &[goes.as_str()]].concat();
        self.call("PATCH", &path, &at, patch).await;
        let seen = self.call("GET", &path, &at, Value::Null).await;
        let listed = self.call("GET", collection, scope, Value::Null).await;
        let row = listed["value"].as_array().unwrap().iter().find(|row| of(row) == goes).unwrap();
        let mut row = row.clone();
        assert!(row.as_object_mut().unwrap().remove("etag").is_some());
        assert_eq!(row, seen, "{collection}");
        self.call("POST", &format!("{collection}/batch"), scope, json!({ "rows": [passing] }))
            .await;
        // Without a business key, the batch must have found the existing row by other fields.
        let listed = self.call("GET", collection, scope, Value::Null).await;
        assert_eq!(listed["value"].as_array().unwrap().len(), 2, "{listed}");
        self.call("DELETE", &path, &at, Value::Null).await;
        stays
    }
}

#[actix_web::test]
async fn every_operation_succeeds() {
    let journey = Journey { app: TestApp::new().await, done: RefCell::default() };
    access(&journey).await;
    webhooks(&journey).await;
    reference_data(&journey).await;
    contacts_and_campaigns(&journey).await;
    offers(&journey).await;
    approvals(&journey).await;
    publication(&journey).await;
    audience(&journey).await;
    work(&journey).await;
    interactions(&journey).await;
    service(&journey).await;
    imports(&journey).await;
    reuse(&journey).await;
    let done = journey.done.into_inner();
    let missed: Vec<_> =
        routes().served().into_iter().filter(|operation| !done.contains(operation)).collect();
    assert!(missed.is_empty(), "operations that this journey does not call: {missed:#?}");
    let served: BTreeSet<_> = routes().served().into_iter().collect();
    let unknown: Vec<_> = done.difference(&served).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

async fn approvals(journey: &Journey) {
    let requests = "/v1/campaigns/{campaign}/approval-requests";
    let one = format!("{requests}/{{approval_request}}");
    let (rejections, approvals) = (format!("{one}/rejections"), format!("{one}/approvals"));
    let request = journey.call("POST", requests, &["SPRING"], Value::Null).await;
    let ids = ["SPRING", request["id"].as_str().unwrap()];
    let rejected = journey.call("POST", &rejections, &ids, Value::Null).await;
    assert_eq!(journey.call("GET", &one, &ids, Value::Null).await, rejected);
    let request = journey.call("POST", requests, &["SPRING"], Value::Null).await;
    // The approval needs a second person.
    let approver = json!({"name": "Approver", "scopes": ["campaigns:approve"]});
    let approver = journey.app.post("/v1/api-keys", &approver).await.expect(201);
    let authorization = format!("Bearer {}", approver["secret"].as_str().unwrap());
    let path = format!(
        "/v1/campaigns/SPRING/approval-requests/{}/approvals",
        request["id"].as_str().unwrap()
    );
    let headers = [("authorization", authorization.as_str())];
    journey.app.send(Method::POST, &path, &headers, None).await.expect(201);
    journey.done.borrow_mut().insert(("POST".to_owned(), approvals));
    for path in [requests, "/v1/approval-requests"] {
        let scope: &[&str] = if path == requests { &["SPRING"] } else { &[] };
        let listed = journey.call("GET", path, scope, Value::Null).await;
        assert_eq!(listed["value"].as_array().unwrap().len(), 2);
    }
}

async fn access(journey: &Journey) {
    let me = journey.call("GET", "/v1/me", &[], Value::Null).await;
    assert_eq!(me["subject"], "local");
    let key = json!({"name": "Shop", "roles": ["SHOP"]});
    let created = journey.call("POST", "/v1/api-keys", &[], key).await;
    let id = [created["id"].as_str().unwrap()];
    journey.call("GET", "/v1/api-keys/{api_key}", &id, Value::Null).await;
    let listed = journey.call("GET", "/v1/api-keys", &[], Value::Null).await;
    assert_eq!(listed["value"][0]["name"], "Shop");
    journey.call("DELETE", "/v1/api-keys/{api_key}", &id, Value::Null).await;
    let entries = journey.call("GET", "/v1/audit-entries", &[], Value::Null).await;
    assert_eq!(entries["value"][0]["operationId"], "delete_api_key");
}

async fn webhooks(journey: &Journey) {
    let collection = "/v1/webhook-subscriptions";
    let one = format!("{collection}/{{webhook_subscription}}");
    let body = json!({"url": "https://shop.example/hook", "types": ["kampanje.webhook.disabled"]});
    let created = journey.call("POST", collection, &[], body).await;
    let id = [created["id"].as_str().unwrap()];
    let view = journey.call("GET", &one, &id, Value::Null).await;
    let listed = journey.call("GET", collection, &[], Value::Null).await;
    assert_eq!(listed["value"][0]["url"], view["url"]);
    let changed = journey.call("PATCH", &one, &id, json!({"description": "Shop"})).await;
    assert_eq!(changed["description"], "Shop");
    journey.call("POST", &format!("{one}/secret-rotations"), &id, Value::Null).await;
    let tested = journey.call("POST", &format!("{one}/tests"), &id, Value::Null).await;
    let deliveries = format!("{one}/deliveries");
    let listed = journey.call("GET", &deliveries, &id, Value::Null).await;
    assert_eq!(listed["value"][0], tested);
    let retries = format!("{deliveries}/{{webhook_delivery}}/retries");
    let delivery = [id[0], tested["id"].as_str().unwrap()];
    journey.call("POST", &retries, &delivery, Value::Null).await;
    journey.call("DELETE", &one, &id, Value::Null).await;
}

async fn reference_data(journey: &Journey) {
    let settings = journey.call("GET", "/v1/settings", &[], Value::Null).await;
    journey.app.put("/v1/settings", &settings).await.expect(200);
    journey.done.borrow_mut().insert(("PUT".to_owned(), "/v1/settings".to_owned()));
    journey.call("PATCH", "/v1/settings", &[], json!({"timeZone": "Europe/Oslo"})).await;
    let bodies =
        [json!({"code": "USD"}), json!({"code": "GBP"}), json!({"amountPrecision": "0.05"})];
    // The local currency would be a third row.
    assert_eq!(journey.app.delete("/v1/currencies/EUR").await.status, 204);
    journey.plain("/v1/currencies", &[], "currency", Some("code"), bodies).await;
    let rate = |date: &str| json!({"currencyCode": "USD", "startingDate": date, "rate": "1.1"});
    let bodies = [rate("2031-01-01"), rate("2031-02-01"), json!({"rate": "1.2"})];
    journey.plain("/v1/exchange-rates", &[], "exchange_rate", None, bodies).await;
    let bodies = [
        json!({"number": "DESK", "listPrice": "100"}),
        json!({"number": "LAMP"}),
        json!({"listPrice": "20"}),
    ];
    journey.plain("/v1/items", &[], "item", Some("number"), bodies).await;
    let bodies = [json!({"code": "JO"}), json!({"code": "KIM"}), json!({"name": "Kim"})];
    journey.plain("/v1/salespeople", &[], "salesperson", Some("code"), bodies).await;
    let status = |code: &str, sequence: i32| json!({"code": code, "sequence": sequence});
    let bodies = [status("PLANNED", 1), status("SPARE", 3), json!({"description": "Spare"})];
    journey.plain("/v1/campaign-statuses", &[], "campaign_status", Some("code"), bodies).await;
    journey.app.post("/v1/campaign-statuses", &status("STARTED", 2)).await.expect(201);
}

async fn contacts_and_campaigns(journey: &Journey) {
    let company = |number: &str| json!({"number": number, "type": "COMPANY", "name": number});
    let bodies = [company("BUYER"), company("OTHER"), json!({"city": "Oslo"})];
    journey.plain("/v1/contacts", &[], "contact", Some("number"), bodies).await;
    journey.app.post("/v1/contacts", &company("THIRD")).await.expect(201);
    let campaign =
        json!({"number": "SPRING", "startingDate": "2031-05-01", "endingDate": "2031-05-31"});
    let bodies = [campaign, json!({"number": "AUTUMN"}), json!({"statusCode": "PLANNED"})];
    journey.plain("/v1/campaigns", &[], "campaign", Some("number"), bodies).await;
    let moves = "/v1/campaigns/{campaign}/status-changes";
    journey.call("POST", moves, &["SPRING"], Value::Null).await;
    let history = journey.call("GET", moves, &["SPRING"], Value::Null).await;
    assert_eq!(history["value"][0]["toStatusCode"], "PLANNED");
    let segment = json!({"number": "FAIR", "campaignNumber": "SPRING", "campaignTarget": true});
    let bodies = [segment, json!({"number": "SPARE"}), json!({"subject": "Spare"})];
    journey.plain("/v1/segments", &[], "segment", Some("number"), bodies).await;
    let line = |contact: &str| json!({ "contactNumber": contact });
    let bodies = [line("BUYER"), line("THIRD"), json!({"campaignTarget": false})];
    journey
        .plain(
            "/v1/segments/{segment}/lines",
            &["FAIR"],
            "segment_line",
            Some("contactNumber"),
            bodies,
        )
        .await;
}

async fn offers(journey: &Journey) {
    let everybody = |mut line: Value| {
        line["source"] = json!({"type": "ALL_CUSTOMERS"});
        line
    };
    let price = |from: &str, price: &str| {
        json!({
            "itemNumber": "DESK", "minimumQuantity": from, "unitPrice": price
        })
    };
    let bodies =
        [everybody(price("0", "95")), everybody(price("10", "90")), json!({"unitPrice": "89"})];
    journey.plain("/v1/prices", &[], "price", None, bodies).await;
    let bodies = [price("0", "80"), price("10", "70"), json!({"unitPrice": "69"})];
    journey
        .plain("/v1/campaigns/{campaign}/prices", &["SPRING"], "campaign_price", None, bodies)
        .await;
    let discount = |from: &str| {
        json!({
            "itemNumber": "DESK", "minimumQuantity": from, "lineDiscountPercent": "5"
        })
    };
    let bodies =
        [everybody(discount("0")), everybody(discount("10")), json!({"lineDiscountPercent": "6"})];
    journey.plain("/v1/discounts", &[], "discount", None, bodies).await;
    let bodies = [discount("0"), discount("10"), json!({"lineDiscountPercent": "6"})];
    journey
        .plain("/v1/campaigns/{campaign}/discounts", &["SPRING"], "campaign_discount", None, bodies)
        .await;
    let golden = |contact: &str, price: &str| {
        json!({
            "contactNumber": contact, "itemNumber": "DESK", "expected": {"unitPrice": price}
        })
    };
    let bodies =
        [golden("BUYER", "80"), golden("THIRD", "95"), json!({"note": "not in the audience"})];
    journey
        .plain("/v1/campaigns/{campaign}/golden-quotes", &["SPRING"], "golden_quote", None, bodies)
        .await;
}

async fn publication(journey: &Journey) {
    let activations = "/v1/campaigns/{campaign}/activations";
    journey.call("GET", "/v1/campaigns/{campaign}/planned-prices", &["SPRING"], Value::Null).await;
    let done = journey.call("POST", activations, &["SPRING"], json!({"acknowledge": ["*"]})).await;
    let version = done["version"].to_string();
    let listed = journey.call("GET", "/v1/publications", &[], Value::Null).await;
    let seen = journey.call("GET", "/v1/publications/{version}", &[&version], Value::Null).await;
    assert_eq!((&listed["value"][0], &seen["version"]), (&seen, &done["version"]));
    let changes =
        journey.call("GET", "/v1/publications/{version}/changes", &[&version], Value::Null).await;
    assert_eq!(
        changes["value"].as_array().unwrap().len(),
        4,
        "the campaign, a price, a discount, an account"
    );

    journey.query("/v1/publications/compare", &format!("from=0&to={version}")).await;
    journey.query("/v1/price-changes", "since=0").await;
    journey
        .call(
            "POST",
            "/v1/campaigns/{campaign}/rollbacks",
            &["SPRING"],
            json!({"version": done["version"]}),
        )
        .await;

    let body =
        json!({"contactNumber": "BUYER", "date": "2031-05-15", "lines": [{"itemNumber": "DESK"}]});
    let quote = journey.call("POST", "/v1/price-quotes", &[], body).await;
    assert_eq!(
        (&quote["lines"][0]["unitPrice"], &quote["lines"][0]["lineAmount"]),
        (&json!("80"), &json!("76"))
    );
    let query = "/v1/price-quotes?contactNumber=BUYER&date=2031-05-15&itemNumber=DESK";
    assert_eq!(journey.app.get(query).await.expect(200), quote);
    journey.done.borrow_mut().insert(("GET".to_owned(), "/v1/price-quotes".to_owned()));
    let query = "?contactNumber=BUYER&date=2031-05-15";
    let listed = journey.app.get(&format!("/v1/effective-prices{query}")).await.expect(200);
    assert_eq!(listed["value"][0]["netUnitPrice"], "76");
    let lowest =
        journey.app.get(&format!("/v1/lowest-prices{query}&itemNumber=DESK")).await.expect(200);
    assert_eq!(lowest["current"]["netUnitPrice"], "76");
    let timeline = "contactNumber=BUYER&from=2031-05-15&to=2031-05-15&itemNumber=DESK";
    let timeline = journey.app.get(&format!("/v1/price-timeline?{timeline}")).await.expect(200);
    assert_eq!(timeline["steps"][0]["price"]["netUnitPrice"], "76");
    let found = journey.app.get("/v1/search?q=desk").await.expect(200);
    assert_eq!(found["items"][0]["number"], "DESK");
    let by_item = journey.app.get("/v1/statistics?groupBy=item").await.expect(200);
    assert_eq!(by_item["groupBy"], json!(["item"]));
    for path in [
        "/v1/effective-prices",
        "/v1/lowest-prices",
        "/v1/price-timeline",
        "/v1/search",
        "/v1/statistics",
    ] {
        journey.done.borrow_mut().insert(("GET".to_owned(), path.to_owned()));
    }
    let history = journey
        .call("GET", "/v1/campaigns/{campaign}/activation-history", &["SPRING"], Value::Null)
        .await;
    assert_eq!(history["value"][0]["words"], "activated: 1 account, 2 lines");
    results(journey, &quote).await;
    let events = journey.call("GET", "/v1/events", &[], Value::Null).await;
    assert_eq!(events["value"][0]["sequence"], 1);
    journey.call("POST", "/v1/campaigns/{campaign}/deactivations", &["SPRING"], Value::Null).await;
}

/// Calls the operations of a resource that has only an id as its key. The first row is kept
/// unchanged. The second one comes from a batch, and is changed and deleted.
async fn unkeyed(journey: &Journey, collection: &str, one: &str, body: Value, patch: Value) {
    let path = format!("{collection}/{{{one}}}");
    journey.call("POST", collection, &[], body.clone()).await;
    let receipts =
        journey.call("POST", &format!("{collection}/batch"), &[], json!({ "rows": [body] })).await;
    let id = receipts["receipts"][0]["id"].as_str().unwrap();
    let seen = journey.call("GET", &path, &[id], Value::Null).await;
    journey.app.put(&format!("{collection}/{id}"), &body).await.expect(200);
    journey.done.borrow_mut().insert(("PUT".to_owned(), path.clone()));
    assert_eq!(journey.call("GET", &path, &[id], Value::Null).await, seen);
    journey.call("PATCH", &path, &[id], patch).await;
    let listed = journey.call("GET", collection, &[], Value::Null).await;
    assert!(listed["value"].as_array().unwrap().iter().any(|row| row["id"] == id));
    journey.call("DELETE", &path, &[id], Value::Null).await;
}

async fn audience(journey: &Journey) {
    let actions = "/v1/segments/{segment}/criteria-actions";
    journey.app.post("/v1/segments", &json!({"number": "MAIL"})).await.expect(201);
    let add = json!({"action": "ADD", "filter": "type eq 'COMPANY'"});
    journey.call("POST", "/v1/segments/{segment}/criteria-previews", &["MAIL"], add.clone()).await;
    journey.call("POST", actions, &["MAIL"], add.clone()).await;
    let listed = journey.call("GET", actions, &["MAIL"], Value::Null).await;
    assert_eq!(listed["value"].as_array().unwrap().len(), 1);
    let latest = format!("{actions}/latest");
    journey.call("GET", &latest, &["MAIL"], Value::Null).await;
    let saved = |code: &str| json!({"code": code, "actions": [add]});
    let bodies = [
        json!({"code": "ALL", "segmentNumber": "MAIL"}),
        saved("SPARE"),
        json!({"description": "Spare"}),
    ];
    journey.plain("/v1/saved-criteria", &[], "saved_criteria", Some("code"), bodies).await;
    journey.call("DELETE", &latest, &["MAIL"], Value::Null).await;
    journey
        .call("POST", "/v1/segments/{segment}/criteria-replays", &["MAIL"], json!({"code": "ALL"}))
        .await;
    journey.call("GET", "/v1/campaigns/{campaign}/audience", &["SPRING"], Value::Null).await;
    let why = journey
        .call(
            "GET",
            "/v1/campaigns/{campaign}/audience/{contact}",
            &["SPRING", "BUYER"],
            Value::Null,
        )
        .await;
    assert_eq!(why["contactNumber"], "BUYER");
    journey.app.get("/v1/campaigns/SPRING/grants?contactNumber=BUYER").await.expect(200);
    journey
        .done
        .borrow_mut()
        .insert(("GET".to_owned(), "/v1/campaigns/{campaign}/grants".to_owned()));
    let copy = json!({"number": "NEXT", "startingDate": "2032-05-01"});
    journey.call("POST", "/v1/campaigns/{campaign}/copies", &["SPRING"], copy).await;
}

async fn work(journey: &Journey) {
    let bodies = [
        json!({"code": "INNER", "members": ["JO"]}),
        json!({"code": "SPARE"}),
        json!({"name": "Spare"}),
    ];
    journey.plain("/v1/teams", &[], "team", Some("code"), bodies).await;
    let task = json!({
        "campaignNumber": "SPRING", "salespersonCode": "JO", "description": "Call",
        "date": "2031-05-02"
    });
    unkeyed(journey, "/v1/tasks", "task", task, json!({"priority": "HIGH"})).await;
    let steps = json!([{"type": "CALL", "description": "Call", "offsetDays": 2}]);
    let activity = |code: &str| json!({"code": code, "steps": steps});
    let bodies = [activity("FAIR"), activity("SPARE"), json!({"description": "Spare"})];
    journey.plain("/v1/activities", &[], "activity", Some("code"), bodies).await;
    let order = json!({"code": "FAIR", "date": "2031-05-03", "teamCode": "INNER"});
    journey.call("POST", "/v1/campaigns/{campaign}/activities", &["SPRING"], order).await;
    let chance = |number: &str| {
        json!({
            "number": number, "contactNumber": "BUYER", "estimatedValue": "1000"
        })
    };
    let bodies = [chance("OP1"), chance("OP2"), json!({"chancePercent": "50"})];
    journey.plain("/v1/opportunities", &[], "opportunity", Some("number"), bodies).await;
}

async fn interactions(journey: &Journey) {
    let template = |code: &str| {
        json!({
            "code": code, "description": "Invitation", "cost": "2.5", "durationMinutes": 15
        })
    };
    let bodies = [template("MAIL"), template("SPARE"), json!({"cost": "3"})];
    journey
        .plain("/v1/interaction-templates", &[], "interaction_template", Some("code"), bodies)
        .await;
    let call = json!({
        "contactNumber": "BUYER", "campaignNumber": "SPRING", "description": "Call",
        "salespersonCode": "JO", "interactionTemplateCode": "MAIL", "date": "2031-05-02",
        "campaignResponse": true
    });
    unkeyed(journey, "/v1/interactions", "interaction", call, json!({"canceled": true})).await;
    let ready = json!({"interactionTemplateCode": "MAIL", "salespersonCode": "JO"});
    journey.app.patch("/v1/segments/FAIR", &ready).await.expect(200);
    let logs = "/v1/segments/{segment}/logs";
    let logged = journey.call("POST", logs, &["FAIR"], json!({"createFollowUp": true})).await;
    let next = logged["followUpSegmentNumber"].as_str().unwrap();
    journey.app.patch(&format!("/v1/segments/{next}"), &ready).await.expect(200);
    journey.call("POST", logs, &[next], Value::Null).await;
    journey.call("GET", "/v1/logged-segments", &[], Value::Null).await;
    let one = "/v1/logged-segments/{logged_segment}";
    journey.call("GET", one, &["FAIR"], Value::Null).await;
    let entries = "/v1/campaigns/{campaign}/entries";
    let listed = journey.call("GET", entries, &["SPRING"], Value::Null).await;
    let ids: Vec<&str> = listed["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["id"].as_str().unwrap())
        .collect();
    let entry = format!("{entries}/{{campaign_entry}}");
    journey.call("GET", &entry, &["SPRING", ids[0]], Value::Null).await;
    journey.call("PATCH", &entry, &["SPRING", ids[0]], json!({"canceled": true})).await;
    journey.call("DELETE", &entry, &["SPRING", ids[0]], Value::Null).await;
    journey.call("PATCH", one, &[ids[1]], json!({"canceled": true})).await;
    journey.app.delete("/v1/campaigns/SPRING/entries?canceled=true").await.expect(204);
    journey.done.borrow_mut().insert(("DELETE".to_owned(), entries.to_owned()));
    // A logged segment without campaign is an entry of no campaign.
    let all = json!({"interactionTemplateCode": "MAIL", "salespersonCode": "JO"});
    journey.app.patch("/v1/segments/MAIL", &all).await.expect(200);
    journey.call("POST", logs, &["MAIL"], Value::Null).await;
    journey.call("PATCH", one, &["MAIL"], json!({"canceled": true})).await;
    journey.call("DELETE", one, &["MAIL"], Value::Null).await;
}

async fn results(journey: &Journey, quote: &Value) {
    let line = &quote["lines"][0];
    let sale = json!({
        "documentType": "INVOICE", "documentNumber": "INV-1", "lineNumber": 10000,
        "postingDate": "2031-05-15",
        "contactNumber": "BUYER", "itemNumber": "DESK", "lineAmount": line["lineAmount"],
        "discountAmount": line["discountAmount"], "publicationVersion": quote["publicationVersion"],
        "priceLineId": line["priceLine"]["id"], "discountLineId": line["discountLine"]["id"]
    });
    let posted = journey.call("POST", "/v1/sales", &[], sale.clone()).await;
    let seen = journey
        .call("GET", "/v1/sales/{sale}", &[posted["id"].as_str().unwrap()], Value::Null)
        .await;
    assert_eq!(seen, posted);
    let again = journey.call("POST", "/v1/sales/batch", &[], json!({ "rows": [sale] })).await;
    assert_eq!(again["receipts"][0]["status"], 200);
    let listed = journey.call("GET", "/v1/sales", &[], Value::Null).await;
    assert_eq!(listed["value"][0]["id"], posted["id"]);
    let route_metrics =
        journey.call("GET", "/v1/campaigns/{campaign}/statistics", &["SPRING"], Value::Null).await;
    // Without the campaign: 95 less the 5 % for all customers.
    assert_eq!(
        (&route_metrics["salesAmount"], &route_metrics["discountGiven"]),
        (&json!("76"), &json!("14.25"))
    );
}

async fn service(journey: &Journey) {
    for path in ["/", "/v1", "/livez", "/readyz", "/metrics", "/openapi.json"] {
        journey.call("GET", path, &[], Value::Null).await;
    }
}

async fn imports(journey: &Journey) {
    let path = "/v1/imports";
    let request = journey.app.request(Method::POST, "/v1/imports?resource=items");
    let request = request.header("content-type", "text/csv").body("number\nDESK\n");
    let begun = Reply::to(request).await.expect(201);
    journey.done.borrow_mut().insert(("POST".to_owned(), path.to_owned()));
    let id = [begun["id"].as_str().unwrap()];
    let listed = journey.call("GET", path, &[], Value::Null).await;
    assert_eq!(listed["value"][0]["id"], begun["id"]);
    journey.call("GET", "/v1/imports/{import_id}", &id, Value::Null).await;
    journey.call("GET", "/v1/imports/{import_id}/errors", &id, Value::Null).await;
    journey.call("DELETE", "/v1/imports/{import_id}", &id, Value::Null).await;
}

async fn reuse(journey: &Journey) {
    for (path, body) in [
        ("/v1/interaction-templates/REUSED", json!({"description": "Call"})),
        (
            "/v1/segments/REUSED",
            json!({"interactionTemplateCode": "REUSED", "salespersonCode": "JO"}),
        ),
        ("/v1/segments/REUSED/lines/BUYER", json!({})),
    ] {
        journey.app.put(path, &body).await.expect(201);
    }
    journey.app.post("/v1/segments/REUSED/logs", &json!({})).await.expect(201);
    journey
        .call("POST", "/v1/logged-segments/{logged_segment}/reuses", &["REUSED"], Value::Null)
        .await;
    journey.app.put("/v1/contacts/GONE", &json!({"type": "PERSON", "name": "Gone"})).await;
    let erasures = "/v1/contacts/{contact}/erasures";
    let erased = journey.call("POST", erasures, &["GONE"], Value::Null).await;
    assert_eq!(erased["contact"]["name"], "Erased");
}
