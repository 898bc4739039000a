//! The worked cases of tests/cases over HTTP. Each world is created through the API in
//! its own database. Each quote is requested by GET and by POST.

use std::collections::HashMap;

use futures_util::future::join_all;
use reqwest::Method;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp};
use super::support::wait::TEST_TIMEOUT;

/// Number of worlds that are built concurrently.
const MAX_CONCURRENT_WORLDS: usize = 6;
/// The members of a request that belong to its line; the others belong to the document.
const OF_LINE: [&str; 5] =
    ["itemNumber", "variantCode", "unitOfMeasureCode", "quantity", "taxPercent"];

#[actix_web::test]
async fn all_worked_cases_hold() {
    let read = |text: &str| serde_json::from_str::<Vec<Value>>(text).unwrap();
    let mut cases = read(include_str!("../cases/pricing.json"));
    cases.extend(read(include_str!("../cases/combination.json")));
    assert_eq!(cases.len(), 61);
    let mut wrong = Vec::new();
    for some in cases.chunks(MAX_CONCURRENT_WORLDS) {
        wrong.extend(join_all(some.iter().map(mistakes)).await.into_iter().flatten());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Returns the differences between a case's expected and actual answers.
async fn mistakes(case: &Value) -> Vec<String> {
    let app = TestApp::new().await;
    let ids = build(&app, &case["world"]).await;
    // On a busy machine a change can be answered before the snapshot contains it.
    let publications = app.get("/v1/publications?top=1").await.expect(200);
    let newest = publications["value"][0]["version"].as_i64().unwrap();
    assert!(app.book.wait_for_version(newest, TEST_TIMEOUT).await, "version {newest}");
    let mut wrong = Vec::new();
    for asked in case["quotes"].as_array().unwrap() {
        let answer = ask(&app, &asked["request"]).await;
        if let Err(difference) = compare(&asked["expect"], &answer, &ids) {
            wrong.push(format!(
                "{}: {}\n  {difference}\n  {answer}",
                case["name"], asked["request"]
            ));
        }
        assert_eq!(chosen(&answer["trace"]["discounts"]), answer["discountLine"]["id"], "{answer}");
        assert_eq!(chosen(&answer["trace"]["prices"]), answer["priceLine"]["id"], "{answer}");
    }
    wrong
}

/// Returns the id of the chosen line in a trace, or null.
fn chosen(lines: &Value) -> Value {
    let mut chosen =
        lines.as_array().into_iter().flatten().filter(|line| line["verdict"] == "CHOSEN");
    let only = chosen.next().map_or(Value::Null, |line| line["id"].clone());
    assert!(chosen.next().is_none(), "{lines}");
    only
}

/// Creates a case's world, and returns the ids of its lines by their keys.
async fn build(app: &TestApp, world: &Value) -> HashMap<String, String> {
    if let Some(settings) = world.get("settings") {
        app.patch("/v1/settings", settings).await.expect(200);
    }
    for currency in list(world, "currencies") {
        let code = text(&currency, "code");
        app.put(&format!("/v1/currencies/{code}"), &without(&currency, "exchangeRates"))
            .await
            .expect(201);
        for rate in list(&currency, "exchangeRates") {
            let rate = with(&rate, "currencyCode", json!(code));
            app.post("/v1/exchange-rates", &rate).await.expect(201);
        }
    }
    for item in list(world, "items") {
        let variants: Vec<Value> =
            list(&item, "variants").iter().map(|code| json!({ "code": code })).collect();
        app.post("/v1/items", &with(&item, "variants", json!(variants))).await.expect(201);
    }
    let contacts: Vec<Value> =
        list(world, "contacts").iter().map(|c| with(c, "name", c["number"].clone())).collect();
    if !contacts.is_empty() {
        app.post("/v1/contacts/batch", &json!({ "rows": contacts })).await.expect(200);
    }
    for campaign in list(world, "campaigns") {
        prepare(app, &campaign).await;
    }
    let mut ids = HashMap::new();
    for collection in ["prices", "discounts"] {
        let mut lines = list(world, collection);
        // The last tie-break is the id, and ids are in the order of creation.
        lines.sort_by_key(|line| text(line, "key"));
        for line in lines {
            let body = without(&line, "key");
            let created = match line["source"]["campaignNumber"].as_str() {
                Some(number) => {
                    app.post(
                        &format!("/v1/campaigns/{number}/{collection}"),
                        &without(&body, "source"),
                    )
                    .await
                }
                None => app.post(&format!("/v1/{collection}"), &body).await,
            };
            ids.insert(text(&line, "key"), text(&created.expect(201), "id"));
        }
    }
    for campaign in list(world, "campaigns") {
        let path = format!("/v1/campaigns/{}", text(&campaign, "number"));
        let withdrawn = campaign.get("withdrawn") == Some(&json!(true));
        if campaign["published"] == true || withdrawn {
            app.post(&format!("{path}/activations"), &json!({"acknowledge": ["*"]}))
                .await
                .expect(201);
        }
        if withdrawn {
            app.post(&format!("{path}/deactivations"), &json!({})).await.expect(201);
        }
    }
    ids
}

/// Creates a campaign and its segment. Excluded contacts are on the segment too, but are no
/// targets.
async fn prepare(app: &TestApp, campaign: &Value) {
    let number = text(campaign, "number");
    let body = json!({
        "number": number, "startingDate": campaign["startingDate"],
        "endingDate": campaign.get("endingDate"),
        "combination": campaign["combination"].as_str().unwrap_or("ANY"),
    });
    app.post("/v1/campaigns", &body).await.expect(201);
    let segment = json!({"number": number, "campaignNumber": number, "campaignTarget": true});
    app.post("/v1/segments", &segment).await.expect(201);
    let target = |number: &Value| json!({ "contactNumber": number });
    let no_target = |number: &Value| json!({ "contactNumber": number, "campaignTarget": false });
    let rows: Vec<Value> = list(campaign, "audience")
        .iter()
        .map(target)
        .chain(list(campaign, "leftOut").iter().map(no_target))
        .collect();
    app.post(&format!("/v1/segments/{number}/lines/batch"), &json!({ "rows": rows }))
        .await
        .expect(200);
}

/// Returns the answer to a request of one line, and asserts that both forms of the operation give
/// it.
async fn ask(app: &TestApp, request: &Value) -> Value {
    let (mut document, mut line) = (json!({"explain": true}), json!({}));
    let mut query = vec![("explain", "true".to_owned())];
    for (name, value) in request.as_object().unwrap() {
        let half = if OF_LINE.contains(&name.as_str()) { &mut line } else { &mut document };
        half[name.as_str()] = value.clone();
        query.push((name, value.as_str().map_or_else(|| value.to_string(), str::to_owned)));
    }
    document["lines"] = json!([line]);
    let posted = app.post("/v1/price-quotes", &document).await;
    let got = Reply::to(app.request(Method::GET, "/v1/price-quotes").query(&query)).await;
    // The pointers of warnings are those of the form.
    let got_text = got.text.replace("\"?", "\"/");
    assert_eq!((got.status, &got_text), (posted.status, &posted.text), "{request}");
    posted.expect(200)["lines"][0].clone()
}

/// Compares an answer with the case's expectation.
fn compare(expected: &Value, answer: &Value, ids: &HashMap<String, String>) -> Result<(), String> {
    for (name, want) in expected.as_object().unwrap() {
        let got = match name.as_str() {
            "error" => &answer["problem"]["code"],
            name => answer.get(name).unwrap_or(&Value::Null),
        };
        let same = match name.as_str() {
            "error" | "source" => want == got,
            "priceLine" | "discountLine" => {
                want.as_str().map(|key| ids[key].as_str()) == got["id"].as_str()
            }
            _ => number(want) == number(got),
        };
        if !same {
            return Err(format!("{name}: {want} expected, {got} answered"));
        }
    }
    Ok(())
}

fn number(value: &Value) -> Option<Decimal> {
    value.as_str()?.parse().ok()
}

fn list(value: &Value, name: &str) -> Vec<Value> {
    value.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}

fn with(object: &Value, name: &str, value: Value) -> Value {
    let mut object = object.clone();
    object[name] = value;
    object
}

fn without(object: &Value, name: &str) -> Value {
    let mut object = object.clone();
    object.as_object_mut().unwrap().remove(name);
    object
}
