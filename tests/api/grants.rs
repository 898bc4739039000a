//! The grants of a campaign to an account, and the reasons against them.

use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp, pairs};
use super::support::make::{self, Campaign};

/// Returns a desk for 100 that costs 80 in the campaign MAY, which targets BUYER's person.
async fn app() -> TestApp {
    let app = TestApp::new().await;
    for item in ["DESK", "LAMP"] {
        let body = json!({"listPrice": "100", "variants": [{"code": "RED"}, {"code": "BLUE"}]});
        app.put(&format!("/v1/items/{item}"), &body).await.expect(201);
    }
    make::customer(&app, "BUYER", "D1").await;
    make::customer(&app, "OTHER", "D2").await;
    make::person(&app, "ANNE", "BUYER").await;
    let campaign = Campaign { number: "MAY", contacts: &["ANNE"], ..Campaign::default() };
    campaign.create(&app).await;
    price(&app, json!({"unitPrice": "80"})).await;
    app
}

async fn price(app: &TestApp, mut body: Value) -> Value {
    body["itemNumber"] = "DESK".into();
    app.post("/v1/campaigns/MAY/prices", &body).await.expect(201)["id"].clone()
}

async fn activate(app: &TestApp) {
    make::activate(app, "MAY").await;
}

async fn asked(app: &TestApp, query: &[(&str, &str)]) -> Reply {
    Reply::to(app.request(Method::GET, "/v1/campaigns/MAY/grants").query(query)).await
}

/// Returns the grant to a contact in May, with further query parameters. Asserts that it is granted
/// exactly if there is no reason against it.
async fn grant(app: &TestApp, contact: &str, more: &[(&str, &str)]) -> Value {
    let day: &[_] =
        if more.iter().any(|(name, _)| *name == "date") { &[] } else { &[("date", "2031-05-15")] };
    let grant = asked(app, &[&[("contactNumber", contact)], day, more].concat()).await.expect(200);
    assert_eq!(grant["granted"], grant["reasons"].as_array().unwrap().is_empty(), "{grant}");
    grant
}

fn codes(grant: &Value) -> Vec<&str> {
    grant["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason["code"].as_str().unwrap())
        .collect()
}

fn verdicts<'a>(grant: &'a Value, lines: &str) -> Vec<&'a str> {
    grant[lines].as_array().unwrap().iter().map(|line| line["verdict"].as_str().unwrap()).collect()
}

const DESK: (&str, &str) = ("itemNumber", "DESK");

#[actix_web::test]
async fn granted_price_names_its_winner() {
    let app = app().await;
    activate(&app).await;
    let version = app.get("/v1/campaigns/MAY").await.expect(200)["publicationVersion"].clone();
    let grant = grant(&app, "ANNE", &[DESK]).await;
    assert_eq!(
        (&grant["granted"], &grant["campaignNumber"], &grant["date"]),
        (&json!(true), &json!("MAY"), &json!("2031-05-15"))
    );
    assert_eq!(grant["publicationVersion"], version);
    assert_eq!(
        (&grant["audience"]["contactNumber"], &grant["audience"]["accountNumber"]),
        (&json!("ANNE"), &json!("BUYER"))
    );
    assert_eq!(verdicts(&grant, "prices"), ["CHOSEN"]);
    let winner = &grant["winner"];
    assert_eq!(winner["source"], json!({"type": "CAMPAIGN", "campaignNumber": "MAY"}));
    assert_eq!(
        (&winner["unitPrice"], &winner["netUnitPrice"], &winner["lineDiscountPercent"]),
        (&json!("80"), &json!("80"), &json!("0"))
    );
    assert_eq!(winner["priceLine"]["id"], grant["prices"][0]["id"]);
    let by_customer =
        asked(&app, &[("customerNumber", "D1"), DESK, ("date", "2031-05-15")]).await.expect(200);
    assert_eq!((&by_customer["granted"], &by_customer["winner"]), (&json!(true), winner));
    // Without an item: only the campaign and the audience count.
    let open = self::grant(&app, "BUYER", &[]).await;
    assert_eq!(
        (&open["granted"], &open["winner"], &open["prices"]),
        (&json!(true), &Value::Null, &json!([]))
    );
    let tag = asked(&app, &[("contactNumber", "BUYER")]).await.header("etag").to_owned();
    let path = "/v1/campaigns/MAY/grants?contactNumber=BUYER";
    assert_eq!(app.send(Method::GET, path, &[("if-none-match", &tag)], None).await.status, 304);
}

#[actix_web::test]
async fn nothing_is_granted_before_publication_or_outside_the_dates() {
    let app = app().await;
    assert_eq!(
        codes(&grant(&app, "BUYER", &[DESK]).await),
        ["NOT_PUBLISHED", "WAITS_FOR_PUBLICATION"]
    );
    assert_eq!(codes(&grant(&app, "OTHER", &[]).await), ["NOT_PUBLISHED", "NOT_ON_SEGMENT"]);
    activate(&app).await;
    for (date, expected) in [
        ("2031-04-30", &["OUTSIDE_DATES"][..]),
        ("2031-05-01", &[]),
        ("2031-05-31", &[]),
        ("2031-06-01", &["OUTSIDE_DATES"]),
    ] {
        assert_eq!(codes(&grant(&app, "BUYER", &[DESK, ("date", date)]).await), expected, "{date}");
        assert_eq!(codes(&grant(&app, "BUYER", &[("date", date)]).await), expected, "{date}");
    }
    let both = grant(&app, "OTHER", &[DESK, ("date", "2031-06-01")]).await;
    assert_eq!(codes(&both), ["OUTSIDE_DATES", "NOT_IN_AUDIENCE", "NOT_ON_SEGMENT"]);
    assert_eq!(both["winner"]["source"], json!({"type": "LIST_PRICE"}));
    assert_eq!(
        (&both["winner"]["unitPrice"], &both["winner"]["netUnitPrice"]),
        (&json!("100"), &Value::Null)
    );
    app.post("/v1/campaigns/MAY/deactivations", &json!({})).await.expect(201);
    assert_eq!(
        codes(&grant(&app, "BUYER", &[DESK]).await),
        ["NOT_PUBLISHED", "WAITS_FOR_PUBLICATION"]
    );
}

#[actix_web::test]
async fn missing_membership_names_the_line() {
    let app = app().await;
    activate(&app).await;
    let outside = grant(&app, "OTHER", &[DESK]).await;
    assert_eq!(codes(&outside), ["NOT_IN_AUDIENCE", "NOT_ON_SEGMENT"]);
    assert_eq!(verdicts(&outside, "prices"), ["NOT_IN_AUDIENCE"]);
    let line = "/v1/segments/FAIR/lines/OTHER";
    app.put(line, &json!({"campaignTarget": false})).await.expect(201);
    let no_target = grant(&app, "OTHER", &[DESK]).await;
    assert_eq!(codes(&no_target), ["NOT_IN_AUDIENCE", "LINE_NO_TARGET"]);
    assert_eq!(
        no_target["reasons"][1]["detail"],
        "OTHER stands on FAIR, but the line is no target"
    );
    app.patch(line, &json!({"campaignTarget": true})).await.expect(200);
    assert_eq!(codes(&grant(&app, "OTHER", &[DESK]).await), Vec::<&str>::new());
    app.patch("/v1/contacts/OTHER", &json!({"excludeFromSegments": true})).await.expect(200);
    assert_eq!(codes(&grant(&app, "OTHER", &[DESK]).await), ["NOT_IN_AUDIENCE", "EXCLUDED"]);
    app.patch("/v1/contacts/OTHER", &json!({"privacyBlocked": true})).await.expect(200);
    assert_eq!(codes(&grant(&app, "OTHER", &[DESK]).await), ["NOT_IN_AUDIENCE", "PRIVACY_BLOCKED"]);
    app.patch(
        "/v1/contacts/OTHER",
        &json!({"privacyBlocked": false, "excludeFromSegments": false}),
    )
    .await
    .expect(200);
    // Manual publishing: the draft has to be published first.
    app.patch("/v1/campaigns/MAY", &json!({"publishing": "MANUAL"})).await.expect(200);
    app.patch("/v1/segments/FAIR", &json!({"campaignTarget": false})).await.expect(200);
    app.patch(line, &json!({"campaignTarget": null})).await.expect(200);
    assert_eq!(
        codes(&grant(&app, "BUYER", &[DESK]).await),
        Vec::<&str>::new(),
        "what is published counts"
    );
    app.patch(line, &json!({"campaignTarget": true})).await.expect(200);
    activate(&app).await;
    assert_eq!(
        codes(&grant(&app, "BUYER", &[DESK]).await),
        ["NOT_IN_AUDIENCE", "SEGMENT_NO_TARGET"]
    );
    app.patch("/v1/segments/FAIR/lines/ANNE", &json!({"campaignTarget": true})).await.expect(200);
    assert_eq!(
        codes(&grant(&app, "BUYER", &[DESK]).await),
        ["NOT_IN_AUDIENCE", "WAITS_FOR_PUBLICATION"]
    );
}

#[actix_web::test]
async fn canceled_interaction_no_longer_adds_the_account() {
    let app = app().await;
    activate(&app).await;
    app.put("/v1/salespeople/JO", &json!({})).await.expect(201);
    app.put("/v1/interaction-templates/MAIL", &json!({"description": "Invitation"}))
        .await
        .expect(201);
    let ready = json!({"interactionTemplateCode": "MAIL", "salespersonCode": "JO"});
    app.patch("/v1/segments/FAIR", &ready).await.expect(200);
    app.post("/v1/segments/FAIR/logs", &json!({})).await.expect(201);
    assert_eq!(codes(&grant(&app, "BUYER", &[DESK]).await), Vec::<&str>::new());
    app.patch("/v1/logged-segments/FAIR", &json!({"canceled": true})).await.expect(200);
    assert_eq!(codes(&grant(&app, "BUYER", &[DESK]).await), ["NOT_IN_AUDIENCE", "CANCELED"]);
}

#[actix_web::test]
async fn each_line_has_a_verdict_and_the_winner_is_named() {
    let app = app().await;
    let red = price(&app, json!({"unitPrice": "75", "variantCode": "RED"})).await;
    let ten = price(&app, json!({"unitPrice": "70", "minimumQuantity": "10"})).await;
    activate(&app).await;
    let own = json!({
        "source": {"type": "CONTACT", "contactNumber": "BUYER"}, "itemNumber": "DESK",
        "unitPrice": "60"
    });
    let own = app.post("/v1/prices", &own).await.expect(201)["id"].clone();
    let beaten = grant(&app, "BUYER", &[DESK]).await;
    assert_eq!(codes(&beaten), ["NO_LINE_WINS"]);
    let verdict = |id: &Value| {
        let line =
            beaten["prices"].as_array().unwrap().iter().find(|line| line["id"] == *id).unwrap();
        line["verdict"].clone()
    };
    assert_eq!(
        (verdict(&red), verdict(&ten)),
        (json!("OTHER_VARIANT"), json!("BELOW_MINIMUM_QUANTITY"))
    );
    let mut seen = verdicts(&beaten, "prices");
    seen.sort_unstable();
    assert_eq!(
        seen,
        ["BELOW_MINIMUM_QUANTITY", "HIGHER_NET", "OTHER_VARIANT"],
        "none of another source"
    );
    let winner = &beaten["winner"];
    assert_eq!(winner["source"], json!({"type": "CONTACT", "contactNumber": "BUYER"}));
    assert_eq!((&winner["priceLine"]["id"], &winner["netUnitPrice"]), (&own, &json!("60")));
    // A more specific line wins before prices are compared.
    let variant = grant(&app, "BUYER", &[DESK, ("variantCode", "RED")]).await;
    assert_eq!(variant["winner"]["priceLine"]["id"], red);
    let quantity = grant(&app, "BUYER", &[DESK, ("variantCode", "BLUE"), ("quantity", "10")]).await;
    assert_eq!(codes(&quantity), ["NO_LINE_WINS"]);
    let mut seen = verdicts(&quantity, "prices");
    seen.sort_unstable();
    assert_eq!(seen, ["HIGHER_NET", "HIGHER_NET", "OTHER_VARIANT"]);
}

#[actix_web::test]
async fn item_without_line_or_price_is_reported() {
    let app = app().await;
    activate(&app).await;
    let lamp = grant(&app, "BUYER", &[("itemNumber", "LAMP")]).await;
    assert_eq!(codes(&lamp), ["NO_LINE_FOR_ITEM"]);
    assert_eq!(lamp["winner"]["unitPrice"], "100");
    let unknown = grant(&app, "OTHER", &[("itemNumber", "NONE")]).await;
    assert_eq!(codes(&unknown), ["NOT_IN_AUDIENCE", "NOT_ON_SEGMENT", "NOT_PRICED"]);
    assert_eq!(
        (&unknown["problem"]["code"], &unknown["winner"]),
        (&json!("UNKNOWN_ITEM"), &Value::Null)
    );
}

#[actix_web::test]
async fn discount_alone_is_a_grant_unless_the_price_excludes_it() {
    let app = app().await;
    let discount = json!({"itemNumber": "LAMP", "lineDiscountPercent": "15"});
    app.post("/v1/campaigns/MAY/discounts", &discount).await.expect(201);
    activate(&app).await;
    let lamp = ("itemNumber", "LAMP");
    let granted = grant(&app, "BUYER", &[lamp]).await;
    assert_eq!(
        (&granted["granted"], &granted["winner"]["source"]["type"]),
        (&json!(true), &json!("LIST_PRICE"))
    );
    assert_eq!(verdicts(&granted, "discounts"), ["CHOSEN"]);
    assert_eq!(granted["winner"]["discountLine"]["source"]["campaignNumber"], "MAY");
    let net = json!({
        "source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "LAMP", "unitPrice": "50",
        "allowLineDiscount": false
    });
    app.post("/v1/prices", &net).await.expect(201);
    let refused = grant(&app, "BUYER", &[lamp]).await;
    assert_eq!(codes(&refused), ["LINE_DISCOUNT_NOT_ALLOWED"]);
    assert_eq!(
        (&refused["winner"]["unitPrice"], &refused["winner"]["lineDiscountPercent"]),
        (&json!("50"), &json!("0"))
    );
}

#[actix_web::test]
async fn invalid_queries_are_refused() {
    let app = app().await;
    let wrong = asked(&app, &[("quantity", "0"), ("variantCode", "RED"), ("date", "x")]).await;
    assert_eq!(wrong.status, 400);
    assert_eq!(
        wrong.errors(),
        pairs(&[
            ("?contactNumber", "MISSING"),
            ("?date", "INVALID_DATE"),
            ("?quantity", "NOT_ALLOWED"),
            ("?quantity", "OUT_OF_RANGE"),
            ("?variantCode", "NOT_ALLOWED"),
        ])
    );
    let both = asked(&app, &[("contactNumber", "BUYER"), ("customerNumber", "D1")]).await;
    assert_eq!(both.errors(), pairs(&[("?customerNumber", "NOT_ALLOWED")]));
    for (name, value) in [("contactNumber", "NOBODY"), ("customerNumber", "D9")] {
        let unknown = asked(&app, &[(name, value)]).await;
        assert_eq!(unknown.status, 422);
        assert_eq!(unknown.errors(), pairs(&[(&format!("?{name}"), "REFERENCE_NOT_FOUND")]));
    }
    assert_eq!(
        asked(&app, &[("contactNumber", "BUYER"), ("explain", "true")]).await.code(),
        "INVALID_REQUEST"
    );
    assert_eq!(app.get("/v1/campaigns/NONE/grants?contactNumber=BUYER").await.status, 404);
    // A query without an item is refused.
    assert_eq!(
        app.get("/v1/price-quotes?contactNumber=BUYER").await.errors(),
        pairs(&[("?itemNumber", "REQUIRED")])
    );
}
