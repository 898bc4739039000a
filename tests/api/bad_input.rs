//! Bad input: every refusal is a problem with a stable code and pointers, never a 500, and leaves
//! every table unchanged.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use actix_web::rt::task::spawn_blocking;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp, pairs};
use super::support::data_hash::DataHash;
use super::support::wait::TEST_TIMEOUT;

/// The collections that allow creation, each with a body that creates a row.
const COLLECTIONS: [(&str, &str); 12] = [
    ("/v1/currencies", r#"{"code": "CHF"}"#),
    ("/v1/exchange-rates", r#"{"currencyCode": "USD", "startingDate": "2032-01-01", "rate": "1"}"#),
    ("/v1/items", r#"{"number": "NEW"}"#),
    ("/v1/salespeople", r#"{"code": "NEW"}"#),
    ("/v1/campaign-statuses", r#"{"code": "NEW", "sequence": 9}"#),
    ("/v1/contacts", r#"{"type": "PERSON", "name": "New"}"#),
    ("/v1/campaigns", r#"{"number": "NEW"}"#),
    ("/v1/segments", r#"{"number": "NEW"}"#),
    ("/v1/segments/FAIR/lines", r#"{"contactNumber": "OTHER"}"#),
    (
        "/v1/prices",
        r#"{"source": {"type": "ALL_CUSTOMERS"}, "itemNumber": "LAMP", "unitPrice": "1"}"#,
    ),
    ("/v1/campaigns/SPRING/prices", r#"{"itemNumber": "LAMP", "unitPrice": "1"}"#),
    ("/v1/campaigns/SPRING/discounts", r#"{"itemNumber": "LAMP", "lineDiscountPercent": "1"}"#),
];

/// Creates the currency, salesperson, status, items, contacts, campaign and segment of the world.
async fn put_master_data(app: &TestApp) {
    for (path, body) in [
        ("/v1/currencies/USD", json!({})),
        ("/v1/salespeople/JO", json!({})),
        ("/v1/campaign-statuses/OPEN", json!({"sequence": 1})),
        (
            "/v1/items/DESK",
            json!({
                "listPrice": "100", "variants": [{"code": "OAK"}],
                "unitsOfMeasure": [{"code": "BOX", "quantityPerUnit": "4"}]
            }),
        ),
        ("/v1/items/LAMP", json!({"listPrice": "20"})),
        (
            "/v1/contacts/BUYER",
            json!({
                "type": "COMPANY", "name": "Buyer", "currencyCode": "USD",
                "salespersonCode": "JO", "customer": {"number": "D1"}
            }),
        ),
        ("/v1/contacts/OTHER", json!({"type": "COMPANY", "name": "Other"})),
        ("/v1/contacts/ANNE", json!({"type": "PERSON", "name": "Anne", "companyNumber": "BUYER"})),
        (
            "/v1/campaigns/SPRING",
            json!({
                "startingDate": "2031-05-01", "endingDate": "2031-05-31", "statusCode": "OPEN",
                "salespersonCode": "JO"
            }),
        ),
        (
            "/v1/segments/FAIR",
            json!({
                "campaignNumber": "SPRING", "campaignTarget": true, "salespersonCode": "JO"
            }),
        ),
    ] {
        app.put(path, &body).await.expect(201);
    }
}

/// Creates the rate and the lines of the world, and activates its campaign.
async fn post_lines(app: &TestApp) {
    let buyer = json!({"type": "CONTACT", "contactNumber": "BUYER"});
    let line = json!({
        "source": buyer, "itemNumber": "DESK", "currencyCode": "USD", "variantCode": "OAK",
        "unitOfMeasureCode": "BOX"
    });
    let with = |name: &str, value: &str| {
        let mut line = line.clone();
        line[name] = json!(value);
        line
    };
    for (path, body) in [
        (
            "/v1/exchange-rates",
            json!({"currencyCode": "USD", "startingDate": "2031-01-01", "rate": "1.1"}),
        ),
        ("/v1/segments/FAIR/lines", json!({"contactNumber": "ANNE"})),
        ("/v1/campaigns/SPRING/prices", json!({"itemNumber": "DESK", "unitPrice": "80"})),
        (
            "/v1/campaigns/SPRING/discounts",
            json!({"itemNumber": "DESK", "lineDiscountPercent": "5"}),
        ),
        ("/v1/prices", with("unitPrice", "85")),
        ("/v1/discounts", with("lineDiscountPercent", "6")),
        ("/v1/campaigns/SPRING/activations", json!({"acknowledge": ["*"]})),
    ] {
        app.post(path, &body).await.expect(201);
    }
}

/// A company with one of everything, each thing used by another.
struct World {
    app: TestApp,
    hash: DataHash,
    standing: String,
}

impl World {
    async fn new() -> Self {
        let app = TestApp::new().await;
        put_master_data(&app).await;
        post_lines(&app).await;
        let hash = DataHash::new(&app).await;
        let mut world = Self { app, hash, standing: String::new() };
        world.standing = world.hash().await;
        world
    }

    async fn hash(&mut self) -> String {
        self.hash.now().await
    }

    /// Asserts that the reply is a complete problem with this status and code, and that no table
    /// has changed.
    async fn assert_refused(
        &mut self,
        reply: Reply,
        status: u16,
        code: &str,
        about: &str,
    ) -> Reply {
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (status, code),
            "{about}: {reply:?}"
        );
        let problem = reply.json();
        assert_eq!(problem["status"], status, "{about}");
        for member in ["type", "title", "detail", "instance", "traceId"] {
            assert!(problem[member].is_string(), "{about}: no {member} in {problem}");
        }
        assert_eq!(reply.header("trace-id"), problem["traceId"].as_str().unwrap(), "{about}");
        assert_eq!(self.hash().await, self.standing, "{about}");
        reply
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Reply {
        let mut request = self.app.request(method, path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Reply::to(request.body(body)).await
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Reply {
        self.send(Method::POST, path, &[("content-type", "application/json")], body).await
    }

    /// Sends JSON to an endpoint, and asserts these errors.
    async fn assert_errors(
        &mut self,
        method: Method,
        path: &str,
        body: &Value,
        status: u16,
        errors: &[(&str, &str)],
    ) {
        let reply = match method {
            Method::PATCH => self.app.patch(path, body).await,
            Method::PUT => self.app.put(path, body).await,
            _ => self.app.post(path, body).await,
        };
        let code = if status == 400 { "INVALID_REQUEST" } else { "VALIDATION_FAILED" };
        let about = format!("{path} {body}");
        let reply = self.assert_refused(reply, status, code, &about).await;
        assert_eq!(reply.errors(), pairs(errors), "{about}");
    }
}

#[actix_web::test]
async fn malformed_json_is_refused_everywhere() {
    let mut world = World::new().await;
    let deep = |open: &str, close: &str| {
        format!("{}{}", open.repeat(10_000), close.repeat(10_000)).into_bytes()
    };
    let texts: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"{".to_vec(),
        b"{\"number\": }".to_vec(),
        b"{\"number\": \"X\",}".to_vec(),
        b"{'number': 'X'}".to_vec(),
        b"{} {}".to_vec(),
        b"{\"number\": NaN}".to_vec(),
        b"{\"number\": \"\xff\xfe\"}".to_vec(),
        b"{\"number\": \"\\ud800\"}".to_vec(),
        b"\xef\xbb\xbf{}".to_vec(),
        b"\0".to_vec(),
        b"{\"number\": \"a\0b\"}".to_vec(),
        deep("[", "]"),
        deep("{\"a\":", "}"),
    ];
    for (collection, _) in COLLECTIONS {
        for text in &texts {
            let reply = world.post(collection, text.clone()).await;
            let start = String::from_utf8_lossy(&text[..text.len().min(30)]).into_owned();
            world
                .assert_refused(reply, 400, "MALFORMED_REQUEST", &format!("{collection} {start:?}"))
                .await;
        }
    }
    for (method, path) in [
        (Method::PATCH, "/v1/settings"),
        (Method::PUT, "/v1/settings"),
        (Method::PATCH, "/v1/items/DESK"),
        (Method::PUT, "/v1/items/DESK"),
        (Method::POST, "/v1/items/batch"),
        (Method::POST, "/v1/price-quotes"),
        (Method::POST, "/v1/campaigns/SPRING/activations"),
        (Method::POST, "/v1/campaigns/SPRING/deactivations"),
        (Method::POST, "/v1/campaigns/SPRING/status-changes"),
    ] {
        for text in [b"{".to_vec(), b"{\"a\": \"\xff\"}".to_vec(), deep("[", "]")] {
            let headers = [("content-type", "application/json"), ("if-match", "*")];
            let reply = world.send(method.clone(), path, &headers, text).await;
            world.assert_refused(reply, 400, "MALFORMED_REQUEST", path).await;
        }
    }
}

#[actix_web::test]
async fn wrong_shapes_are_refused_with_pointers() {
    let mut world = World::new().await;
    for (collection, right) in COLLECTIONS {
        for shape in [json!([]), json!("x"), json!(1), json!(true), Value::Null] {
            world
                .assert_errors(Method::POST, collection, &shape, 400, &[("", "INVALID_TYPE")])
                .await;
        }
        let right: Value = serde_json::from_str(right).unwrap();
        let mut unknown = right.clone();
        unknown["descripton"] = json!("x");
        unknown["a/b~"] = json!(null);
        let mistakes = [("/a~1b~0", "UNKNOWN_FIELD"), ("/descripton", "UNKNOWN_FIELD")];
        world.assert_errors(Method::POST, collection, &unknown, 400, &mistakes).await;
        // A duplicate field, and control characters that no text may contain.
        let name = right.as_object().unwrap().keys().next().unwrap().clone();
        let twice = right.to_string().replacen('{', &format!("{{\"{name}\": \"X\", "), 1);
        let reply = world.post(collection, twice).await;
        let reply = world.assert_refused(reply, 400, "INVALID_REQUEST", collection).await;
        assert_eq!(
            reply.errors(),
            pairs(&[(&format!("/{name}"), "DUPLICATE_FIELD")]),
            "{collection}"
        );
        for (escape, at) in [("\\u0000", "x"), ("\\u001b", "x"), ("\\u009f", "x")] {
            let control =
                right.to_string().replacen('{', &format!("{{\"{at}\": \"a{escape}b\", "), 1);
            let reply = world.post(collection, control).await;
            let reply = world.assert_refused(reply, 400, "INVALID_REQUEST", collection).await;
            assert_eq!(reply.errors(), pairs(&[("/x", "INVALID_CHARACTER")]), "{collection}");
        }
        // Batches: no rows, too many rows, invalid rows among valid ones.
        let path = format!("{collection}/batch");
        for (body, errors) in [
            (json!({}), vec![("/rows", "REQUIRED")]),
            (json!({"rows": {}}), vec![("/rows", "INVALID_TYPE")]),
            (json!({"rows": []}), vec![("/rows", "TOO_SHORT")]),
            (json!({"rows": vec![Value::Null; 1_001]}), vec![("/rows", "TOO_LONG")]),
            (
                json!({"rows": [right.clone(), 5, unknown.clone()]}),
                vec![
                    ("/rows/1", "INVALID_TYPE"),
                    ("/rows/2/a~1b~0", "UNKNOWN_FIELD"),
                    ("/rows/2/descripton", "UNKNOWN_FIELD"),
                ],
            ),
            (
                json!({"rows": [right.clone()], "atomic": "no", "row": 1}),
                vec![("/atomic", "INVALID_TYPE"), ("/row", "UNKNOWN_FIELD")],
            ),
        ] {
            world.assert_errors(Method::POST, &path, &body, 400, &errors).await;
        }
    }
}

#[actix_web::test]
async fn wrong_shapes_of_other_requests_are_refused() {
    let mut world = World::new().await;
    for (method, path, body, errors) in [
        (Method::PATCH, "/v1/items/DESK", json!([]), vec![("", "INVALID_TYPE")]),
        (
            Method::PATCH,
            "/v1/items/DESK",
            json!({"listPrise": "1"}),
            vec![("/listPrise", "UNKNOWN_FIELD")],
        ),
        (
            Method::POST,
            "/v1/campaigns/SPRING/deactivations",
            json!({"x": 1}),
            vec![("/x", "UNKNOWN_FIELD")],
        ),
        (
            Method::POST,
            "/v1/campaigns/SPRING/activations",
            json!({"acknowledge": "*"}),
            vec![("/acknowledge", "INVALID_TYPE")],
        ),
        (
            Method::POST,
            "/v1/campaigns/SPRING/activations",
            json!({"acknowledge": ["ALL"]}),
            vec![("/acknowledge/0", "INVALID_VALUE")],
        ),
        (
            Method::POST,
            "/v1/campaigns/SPRING/status-changes",
            json!({"statusCode": 1}),
            vec![("/statusCode", "INVALID_TYPE")],
        ),
        (Method::POST, "/v1/price-quotes", json!({"lines": {}}), vec![("/lines", "INVALID_TYPE")]),
    ] {
        world.assert_errors(method, path, &body, 400, &errors).await;
    }
}

#[actix_web::test]
async fn invalid_decimals_are_reported_one_by_one() {
    let mut world = World::new().await;
    let digits_31 = "1".repeat(31);
    for (value, code) in [
        (json!(12.5), "INVALID_DECIMAL"),
        (json!(12), "INVALID_DECIMAL"),
        (json!(-1), "INVALID_DECIMAL"),
        (json!("1e3"), "INVALID_DECIMAL"),
        (json!("1,5"), "INVALID_DECIMAL"),
        (json!(""), "INVALID_DECIMAL"),
        (json!(" 1"), "INVALID_DECIMAL"),
        (json!("0x1F"), "INVALID_DECIMAL"),
        (json!("Infinity"), "INVALID_DECIMAL"),
        (json!("1000000000000000"), "INVALID_DECIMAL"),
        (json!("0.000001"), "INVALID_DECIMAL"),
        (json!(digits_31), "INVALID_DECIMAL"),
        (json!(format!("0.{digits_31}")), "INVALID_DECIMAL"),
        (json!("9".repeat(100_000)), "INVALID_DECIMAL"),
        (json!("-0.00001"), "OUT_OF_RANGE"),
        (json!("-100"), "OUT_OF_RANGE"),
        (json!(true), "INVALID_TYPE"),
        (json!(["1"]), "INVALID_TYPE"),
        (json!({}), "INVALID_TYPE"),
    ] {
        let status = if code == "OUT_OF_RANGE" { 422 } else { 400 };
        let discount = json!({ "itemNumber": "LAMP", "lineDiscountPercent": value });
        let price = json!({ "itemNumber": "LAMP", "unitPrice": value });
        let rate = json!({ "currencyCode": "USD", "startingDate": "2032-01-01", "rate": value });
        for (method, path, body, pointer) in [
            (Method::PATCH, "/v1/items/DESK", json!({ "listPrice": value }), "/listPrice"),
            (Method::POST, "/v1/campaigns/SPRING/prices", price, "/unitPrice"),
            (Method::POST, "/v1/campaigns/SPRING/discounts", discount, "/lineDiscountPercent"),
            (Method::POST, "/v1/exchange-rates", rate, "/rate"),
        ] {
            // Rates have more decimals than amounts.
            if pointer == "/rate" && value == "0.000001" {
                continue;
            }
            world.assert_errors(method, path, &body, status, &[(pointer, code)]).await;
        }
    }
}

#[actix_web::test]
async fn values_out_of_range_are_reported() {
    let mut world = World::new().await;
    let out_of_range = |pointer| [(pointer, "OUT_OF_RANGE")];
    for (path, body, pointer) in [
        (
            "/v1/campaigns/SPRING/discounts",
            json!({"lineDiscountPercent": "100.01"}),
            "/lineDiscountPercent",
        ),
        (
            "/v1/campaigns/SPRING/discounts",
            json!({"lineDiscountPercent": "100.00001"}),
            "/lineDiscountPercent",
        ),
        ("/v1/items", json!({"number": "NEW", "taxPercent": "100.01"}), "/taxPercent"),
        ("/v1/currencies", json!({"code": "CHF", "amountPrecision": "0"}), "/amountPrecision"),
        (
            "/v1/exchange-rates",
            json!({"currencyCode": "USD", "startingDate": "2032-01-01", "rate": "0"}),
            "/rate",
        ),
        (
            "/v1/price-quotes",
            json!({"lines": [{"itemNumber": "DESK", "quantity": "0"}]}),
            "/lines/0/quantity",
        ),
        (
            "/v1/price-quotes",
            json!({"lines": [{"itemNumber": "DESK", "taxPercent": "-1"}]}),
            "/lines/0/taxPercent",
        ),
        (
            "/v1/items",
            json!({"number": "NEW", "unitsOfMeasure": [{"code": "BOX", "quantityPerUnit": "0"}]}),
            "/unitsOfMeasure/0/quantityPerUnit",
        ),
    ] {
        world.assert_errors(Method::POST, path, &body, 422, &out_of_range(pointer)).await;
    }
}

#[actix_web::test]
async fn invalid_dates_keys_and_texts_are_reported() {
    let mut world = World::new().await;
    for date in [
        "2031-02-29",
        "2031-13-01",
        "2031-5-1",
        "31.05.2031",
        "2031-05-01T00:00:00Z",
        "0000-01-01",
        "10000-01-01",
        "",
    ] {
        let body = json!({ "startingDate": date });
        world
            .assert_errors(
                Method::PATCH,
                "/v1/campaigns/SPRING",
                &body,
                400,
                &[("/startingDate", "INVALID_DATE")],
            )
            .await;
    }
    for key in
        ["", " ", "A  B", "..", "A\u{ad}B", "A\u{200b}", "0190b5c2-7d5e-7000-8000-000000000001"]
    {
        let body = json!({"number": key, "type": "PERSON", "name": "N"});
        world
            .assert_errors(Method::POST, "/v1/contacts", &body, 400, &[("/number", "INVALID_KEY")])
            .await;
    }
    for name in ["Acme\u{202e}gnp", "Ac\u{200b}me", "\u{feff}Acme", "Ac\u{2066}me"] {
        let body = json!({"number": "NEW", "type": "PERSON", "name": name});
        let errors = [("/name", "INVALID_CHARACTER")];
        world.assert_errors(Method::POST, "/v1/contacts", &body, 400, &errors).await;
    }
    let long = json!({
        "number": "A".repeat(51), "type": "PERSON", "name": "N".repeat(101), "city": "x".repeat(51)
    });
    let reply = world.app.post("/v1/contacts", &long).await;
    let reply = world.assert_refused(reply, 400, "INVALID_REQUEST", "long texts").await;
    assert_eq!(reply.errors().len(), 3, "{reply:?}");
    for sequence in
        [json!("1"), json!(1.5), json!(9_999_999_999_i64), json!(-9_999_999_999_i64), json!(null)]
    {
        let body = json!({"code": "NEW", "sequence": sequence});
        let reply = world.app.post("/v1/campaign-statuses", &body).await;
        assert!(matches!(reply.status.as_u16(), 400 | 422), "{reply:?}");
        assert_eq!(reply.errors()[0].0, "/sequence", "{reply:?}");
        assert_eq!(world.hash().await, world.standing);
    }
}

#[actix_web::test]
async fn periods_are_checked() {
    let mut world = World::new().await;
    let everybody = json!({"type": "ALL_CUSTOMERS"});
    let period = json!({"startingDate": "2031-05-02", "endingDate": "2031-05-01"});
    let ends_early = [("/endingDate", "END_BEFORE_START")];
    world.assert_errors(Method::PATCH, "/v1/campaigns/SPRING", &period, 422, &ends_early).await;
    world
        .assert_errors(
            Method::PATCH,
            "/v1/campaigns/SPRING",
            &json!({"endingDate": "2031-04-30"}),
            422,
            &ends_early,
        )
        .await;
    world.assert_errors(Method::POST, "/v1/campaigns", &period, 422, &ends_early).await;
    let mut line = json!({"source": everybody, "itemNumber": "LAMP", "unitPrice": "1"});
    line["startingDate"] = period["startingDate"].clone();
    line["endingDate"] = period["endingDate"].clone();
    world.assert_errors(Method::POST, "/v1/prices", &line, 422, &ends_early).await;
    let own_dates = json!({
        "itemNumber": "LAMP", "unitPrice": "1", "startingDate": "2031-05-01",
        "endingDate": "2031-05-01"
    });
    let errors = [("/endingDate", "DATES_OF_CAMPAIGN"), ("/startingDate", "DATES_OF_CAMPAIGN")];
    world
        .assert_errors(Method::POST, "/v1/campaigns/SPRING/prices", &own_dates, 422, &errors)
        .await;
}

#[actix_web::test]
async fn missing_references_are_reported_together() {
    let mut world = World::new().await;
    let contact = json!({
        "type": "PERSON", "name": "N", "companyNumber": "NO", "currencyCode": "NOK",
        "salespersonCode": "NO"
    });
    let errors = [
        ("/companyNumber", "COMPANY_LINK"),
        ("/currencyCode", "REFERENCE_NOT_FOUND"),
        ("/salespersonCode", "REFERENCE_NOT_FOUND"),
    ];
    world.assert_errors(Method::POST, "/v1/contacts", &contact, 422, &errors).await;
    let unknown = |pointers: &[&'static str]| {
        pointers.iter().map(|p| (*p, "REFERENCE_NOT_FOUND")).collect::<Vec<_>>()
    };
    for (path, body, pointers) in [
        (
            "/v1/campaigns",
            json!({"statusCode": "NO", "salespersonCode": "NO"}),
            unknown(&["/salespersonCode", "/statusCode"]),
        ),
        (
            "/v1/campaigns/SPRING/status-changes",
            json!({"statusCode": "NO"}),
            unknown(&["/statusCode"]),
        ),
        (
            "/v1/segments",
            json!({"campaignNumber": "NO", "salespersonCode": "NO"}),
            unknown(&["/campaignNumber", "/salespersonCode"]),
        ),
        ("/v1/segments/FAIR/lines", json!({"contactNumber": "NO"}), unknown(&["/contactNumber"])),
        (
            "/v1/exchange-rates",
            json!({"currencyCode": "NOK", "startingDate": "2031-01-01", "rate": "1"}),
            unknown(&["/currencyCode"]),
        ),
        (
            "/v1/prices",
            json!({
                "source": {"type": "CONTACT", "contactNumber": "NO"}, "itemNumber": "DESK",
                "variantCode": "ELM", "unitOfMeasureCode": "PAL", "currencyCode": "NOK",
                "unitPrice": "1"
            }),
            unknown(&[
                "/currencyCode",
                "/source/contactNumber",
                "/unitOfMeasureCode",
                "/variantCode",
            ]),
        ),
        (
            "/v1/discounts",
            json!({
                "source": {"type": "CAMPAIGN", "campaignNumber": "NO"}, "itemNumber": "NO",
                "lineDiscountPercent": "1"
            }),
            unknown(&["/itemNumber", "/source/campaignNumber"]),
        ),
        (
            "/v1/price-quotes",
            json!({"contactNumber": "NO", "lines": [{"itemNumber": "DESK"}]}),
            unknown(&["/contactNumber"]),
        ),
    ] {
        world.assert_errors(Method::POST, path, &body, 422, &pointers).await;
    }
}

#[actix_web::test]
async fn company_links_are_checked() {
    let mut world = World::new().await;
    let link = [("/companyNumber", "COMPANY_LINK")];
    for (path, body) in [
        // A cycle would need a company that has a company, or a person as a company.
        ("/v1/contacts/BUYER", json!({"companyNumber": "OTHER"})),
        ("/v1/contacts/BUYER", json!({"companyNumber": "BUYER"})),
        ("/v1/contacts/ANNE", json!({"companyNumber": "ANNE"})),
    ] {
        world.assert_errors(Method::PATCH, path, &body, 422, &link).await;
    }
    let person = json!({"type": "PERSON", "name": "N", "companyNumber": "ANNE"});
    world.assert_errors(Method::POST, "/v1/contacts", &person, 422, &link).await;
    let customer = [("/customer", "CUSTOMER_NEEDS_ACCOUNT")];
    world
        .assert_errors(
            Method::PATCH,
            "/v1/contacts/ANNE",
            &json!({"customer": {"number": "D2"}}),
            422,
            &customer,
        )
        .await;
    let person = json!({
        "type": "PERSON", "name": "N", "companyNumber": "BUYER", "customer": {"number": "D2"}
    });
    world.assert_errors(Method::POST, "/v1/contacts", &person, 422, &customer).await;
    // A company that has persons, or is a customer, cannot become a person.
    let reply =
        world.app.patch("/v1/contacts/BUYER", &json!({"type": "PERSON", "customer": null})).await;
    assert!(reply.status.is_client_error(), "{reply:?}");
    assert_eq!(world.hash().await, world.standing);

    // Two rows that name each other as their company.
    let rows = json!([{"number": "X", "type": "PERSON", "name": "X", "companyNumber": "Y"},
        {"number": "Y", "type": "PERSON", "name": "Y", "companyNumber": "X"}]);
    let reply = world.app.post("/v1/contacts/batch", &json!({ "rows": rows })).await;
    let reply = world.assert_refused(reply, 422, "VALIDATION_FAILED", "a cycle in a batch").await;
    assert!(reply.errors().iter().all(|(_, code)| code == "COMPANY_LINK"), "{reply:?}");
}

#[actix_web::test]
async fn duplicates_are_conflicts() {
    let mut world = World::new().await;
    for (path, body, code, errors) in [
        ("/v1/currencies", json!({"code": "USD"}), "CONFLICT", vec![("/code", "ALREADY_EXISTS")]),
        ("/v1/salespeople", json!({"code": "jo"}), "CONFLICT", vec![("/code", "ALREADY_EXISTS")]),
        (
            "/v1/campaign-statuses",
            json!({"code": "OPEN", "sequence": 2}),
            "CONFLICT",
            vec![("/code", "ALREADY_EXISTS")],
        ),
        ("/v1/items", json!({"number": "DESK"}), "CONFLICT", vec![("/number", "ALREADY_EXISTS")]),
        (
            "/v1/contacts",
            json!({"number": "ANNE", "type": "PERSON", "name": "N"}),
            "CONFLICT",
            vec![("/number", "ALREADY_EXISTS")],
        ),
        (
            "/v1/contacts",
            json!({"number": "NEW", "type": "COMPANY", "name": "N", "customer": {"number": "D1"}}),
            "CONFLICT",
            vec![("/customer/number", "ALREADY_EXISTS")],
        ),
        (
            "/v1/campaigns",
            json!({"number": "SPRING"}),
            "CONFLICT",
            vec![("/number", "ALREADY_EXISTS")],
        ),
        (
            "/v1/segments",
            json!({"number": "FAIR"}),
            "CONFLICT",
            vec![("/number", "ALREADY_EXISTS")],
        ),
        (
            "/v1/segments/FAIR/lines",
            json!({"contactNumber": "ANNE"}),
            "CONFLICT",
            vec![("/contactNumber", "ALREADY_EXISTS")],
        ),
        (
            "/v1/exchange-rates",
            json!({"currencyCode": "USD", "startingDate": "2031-01-01", "rate": "2"}),
            "CONFLICT",
            vec![("/startingDate", "ALREADY_EXISTS")],
        ),
        (
            "/v1/campaigns/SPRING/prices",
            json!({"itemNumber": "DESK", "unitPrice": "1"}),
            "DUPLICATE_LINE",
            vec![("", "ALREADY_EXISTS")],
        ),
        (
            "/v1/campaigns/SPRING/discounts",
            json!({"itemNumber": "DESK", "lineDiscountPercent": "1", "minimumQuantity": "0.000"}),
            "DUPLICATE_LINE",
            vec![("", "ALREADY_EXISTS")],
        ),
    ] {
        let reply = world.app.post(path, &body).await;
        let reply = world.assert_refused(reply, 409, code, &format!("{path} {body}")).await;
        assert_eq!(reply.errors(), pairs(&errors), "{path} {body}");
    }
}

#[actix_web::test]
async fn repeated_rows_of_a_batch_change_nothing() {
    let mut world = World::new().await;
    let everybody = json!({"type": "ALL_CUSTOMERS"});
    for (path, row) in [
        ("/v1/items/batch", json!({"number": "NEW"})),
        ("/v1/segments/FAIR/lines/batch", json!({"contactNumber": "OTHER"})),
        ("/v1/prices/batch", json!({"source": everybody, "itemNumber": "LAMP", "unitPrice": "1"})),
    ] {
        let reply = world.app.post(path, &json!({"rows": [row, row]})).await;
        assert!(
            reply.status.is_client_error() && reply.errors()[0].0.starts_with("/rows/1"),
            "{path}: {reply:?}"
        );
        assert_eq!(world.hash().await, world.standing, "{path}");
    }
}

#[actix_web::test]
async fn resources_in_use_are_kept_with_their_dependents_named() {
    let mut world = World::new().await;
    for (path, holders) in [
        ("/v1/currencies/USD", vec!["exchange rates", "contacts", "price lines", "discount lines"]),
        ("/v1/salespeople/JO", vec!["contacts", "campaigns", "segments"]),
        ("/v1/campaign-statuses/OPEN", vec!["campaigns"]),
        ("/v1/items/DESK", vec!["price lines", "discount lines"]),
        (
            "/v1/contacts/BUYER",
            vec![
                "persons of the company",
                "audiences of active campaigns",
                "price lines",
                "discount lines",
            ],
        ),
        ("/v1/contacts/ANNE", vec!["segment lines"]),
    ] {
        let reply = world.app.delete(path).await;
        let reply = world.assert_refused(reply, 409, "IN_USE", path).await;
        let body = reply.json();
        let named: Vec<_> = body["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|e| e["params"]["what"].as_str().unwrap())
            .collect();
        assert_eq!(named, holders, "{path}");
        assert!(body["errors"].as_array().unwrap().iter().all(|e| e["code"] == "IN_USE"), "{body}");
    }
    for (parts, pointer) in
        [(json!({"variants": []}), "/variants"), (json!({"unitsOfMeasure": []}), "/unitsOfMeasure")]
    {
        let reply = world.app.patch("/v1/items/DESK", &parts).await;
        let reply = world.assert_refused(reply, 409, "IN_USE", pointer).await;
        assert_eq!(reply.errors(), pairs(&[(pointer, "IN_USE")]));
    }
    let reply = world.app.delete("/v1/campaigns/SPRING").await;
    world.assert_refused(reply, 409, "CAMPAIGN_ACTIVE", "an active campaign").await;
    world.app.post("/v1/campaigns/SPRING/deactivations", &json!({})).await.expect(201);
    world.standing = world.hash().await;
    let reply = world.app.delete("/v1/campaigns/SPRING").await;
    let reply = world.assert_refused(reply, 409, "IN_USE", "a campaign with segments").await;
    assert_eq!(reply.json()["errors"][0]["params"], json!({"what": "segments", "count": 1}));
}

#[actix_web::test]
async fn changes_require_the_current_etag() {
    let mut world = World::new().await;
    let whole = json!({"type": "COMPANY", "name": "Other"}).to_string();
    let current = world.app.get("/v1/contacts/OTHER").await.header("etag").to_owned();
    for (method, body) in [
        (Method::PATCH, r#"{"city": "Oslo"}"#),
        (Method::PUT, whole.as_str()),
        (Method::DELETE, ""),
    ] {
        let body = (!body.is_empty()).then_some(body);
        let missing = world.app.send(method.clone(), "/v1/contacts/OTHER", &[], body).await;
        world.assert_refused(missing, 428, "PRECONDITION_REQUIRED", method.as_str()).await;
        let weak = format!("W/{current}");
        let conditional = |condition: &str| {
            let request = world
                .app
                .request(method.clone(), "/v1/contacts/OTHER")
                .header("if-match", condition.as_bytes());
            match body {
                Some(body) => {
                    request.header("content-type", "application/json").body(body.to_owned())
                }
                None => request,
            }
        };
        let requests = ["\"stale\"", weak.as_str(), "\"a\", \"b\""].map(&conditional);
        // Conditions that cannot be parsed never count as met.
        let unreadable = ["stale", "\"", "", "\u{20ac}"].map(&conditional);
        for request in requests {
            let reply = Reply::to(request).await;
            let reply =
                world.assert_refused(reply, 412, "PRECONDITION_FAILED", method.as_str()).await;
            assert_eq!(reply.header("etag"), current);
        }
        for request in unreadable {
            let reply = Reply::to(request).await;
            assert!(matches!(reply.status.as_u16(), 400 | 412 | 428), "{reply:?}");
            assert_eq!(world.hash().await, world.standing);
        }
    }
    let body = json!({"city": "Oslo"}).to_string();
    let headers = [("if-match", current.as_str())];
    let changed = world.app.send(Method::PATCH, "/v1/contacts/OTHER", &headers, Some(&body)).await;
    assert_eq!(changed.status, 200);
    world.standing = world.hash().await;
    let lost = world
        .app
        .send(Method::PATCH, "/v1/contacts/OTHER", &headers, Some(r#"{"city": "Bergen"}"#))
        .await;
    let lost = world.assert_refused(lost, 412, "PRECONDITION_FAILED", "a lost update").await;
    assert_eq!(lost.header("etag"), changed.header("etag"));
}

#[actix_web::test]
async fn concurrent_activations_publish_once() {
    let world = World::new().await;
    let app = &world.app;
    let before = app.get("/v1/publications?count=true").await.json()["count"].as_i64().unwrap();
    for body in [json!({"number": "ONE"}), json!({"number": "TWO"})] {
        let number = body["number"].as_str().unwrap();
        let dates = json!({"startingDate": "2032-05-01", "endingDate": "2032-05-31"});
        app.put(&format!("/v1/campaigns/{number}"), &dates).await.expect(201);
        let segment = json!({"campaignNumber": number, "campaignTarget": true});
        app.put(&format!("/v1/segments/{number}"), &segment).await.expect(201);
        app.post(&format!("/v1/segments/{number}/lines"), &json!({"contactNumber": "OTHER"}))
            .await
            .expect(201);
        let price = json!({"itemNumber": "LAMP", "unitPrice": "9"});
        app.post(&format!("/v1/campaigns/{number}/prices"), &price).await.expect(201);
    }
    let all = json!({"acknowledge": ["*"]});
    // Of one campaign: one activation publishes, the others change nothing.
    let replies = join_all((0..6).map(|_| app.post("/v1/campaigns/ONE/activations", &all))).await;
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 201]);
    assert!(replies.iter().all(|reply| reply.json()["version"] == before + 1), "{replies:?}");
    // Of several campaigns, with concurrent changes: versions have no gap.
    let lamp = json!({"listPrice": "21"});
    let one = json!({"itemNumber": "DESK", "unitPrice": "70"});
    let (activated, withdrawn, changed, added) = futures_util::future::join4(
        app.post("/v1/campaigns/TWO/activations", &all),
        app.post("/v1/campaigns/SPRING/deactivations", &json!({})),
        app.patch("/v1/items/LAMP", &lamp),
        app.post("/v1/campaigns/ONE/prices", &one),
    )
    .await;
    let mut versions: Vec<i64> = [&activated, &withdrawn, &changed, &added]
        .iter()
        .map(|reply| {
            reply.header("publication-version").parse().unwrap_or_else(|_| panic!("{reply:?}"))
        })
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, [before + 2, before + 3, before + 4, before + 5]);
    // Activations and deactivations of one campaign are serialized.
    join_all((0..6).map(async |at| {
        let what = if at % 2 == 0 { "activations" } else { "deactivations" };
        let reply = app
            .post(
                &format!("/v1/campaigns/TWO/{what}"),
                if at % 2 == 0 { &all } else { &Value::Null },
            )
            .await;
        assert!(reply.status.is_success() || reply.status == 400, "{reply:?}");
    }))
    .await;
    let listed = app.get("/v1/publications?top=1000&orderby=version").await.json();
    let versions: Vec<_> = listed["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["version"].as_i64().unwrap())
        .collect();
    assert_eq!(versions, (1..=i64::try_from(versions.len()).unwrap()).collect::<Vec<_>>());
}

#[actix_web::test]
async fn meaningless_paths_are_refused() {
    let mut world = World::new().await;
    let long = "A".repeat(20_000);
    for path in [
        "/v1/items/%00",
        "/v1/items/A%00B",
        "/v1/items/%FF",
        "/v1/items/%C3%28",
        "/v1/items/%2F",
        "/v1/items/..%2F..%2Fetc",
        "/v1/items/%",
        "/v1/items/%zz",
        "/v1/items/A%20B",
        "/v1/items/-",
        "/v1/items/'%20OR%201=1",
        "/v1/nowhere",
        "/v2/items",
        "/v1/campaigns/%FF/prices",
        "/v1/publications/x",
        "/v1/publications/-1",
        "/v1/publications/99999999999999999999",
        "/v1/items/",
        "/v1//items",
        &format!("/v1/items/{long}"),
        &format!("/{long}"),
    ] {
        let reply = world.app.get(path).await;
        let about: String = path.chars().take(60).collect();
        world.assert_refused(reply, 404, "NOT_FOUND", &about).await;
        let reply = world.app.delete(path).await;
        assert!(matches!(reply.status.as_u16(), 404 | 405), "{about} {reply:?}");
    }
}

#[actix_web::test]
async fn meaningless_queries_are_refused() {
    let mut world = World::new().await;
    let long_filter = format!("?filter={}", "a".repeat(20_000));
    for (query, code) in [
        ("?filter=%00", "INVALID_REQUEST"),
        ("?filter=number%20eq%20'%00'", "INVALID_REQUEST"),
        ("?filter=number%20eq", "INVALID_FILTER"),
        ("?filter=nowhere%20eq%201", "INVALID_FILTER"),
        ("?filter=number%20eq%20'A'%20or%20drop", "INVALID_FILTER"),
        ("?orderby=nowhere", "INVALID_FILTER"),
        (long_filter.as_str(), "INVALID_FILTER"),
        ("?filter=%FF", "INVALID_REQUEST"),
        ("?filter=%zz", "INVALID_REQUEST"),
        ("?%FF=1", "INVALID_REQUEST"),
        ("?top=0", "INVALID_REQUEST"),
        ("?top=1001", "INVALID_REQUEST"),
        ("?top=x", "INVALID_REQUEST"),
        ("?top=1&top=2", "INVALID_REQUEST"),
        ("?top=1&$top=2", "INVALID_REQUEST"),
        ("?skip=10001", "INVALID_REQUEST"),
        ("?skip=-1", "INVALID_REQUEST"),
        ("?count=yes", "INVALID_REQUEST"),
        ("?nowhere=1", "INVALID_REQUEST"),
        ("?cursor=AAAA", "INVALID_CURSOR"),
        ("?cursor=%00", "INVALID_REQUEST"),
    ] {
        for collection in [
            "/v1/items",
            "/v1/campaigns",
            "/v1/contacts",
            "/v1/publications",
            "/v1/segments/FAIR/lines",
            "/v1/prices",
        ] {
            let about = format!("{collection}{}", query.chars().take(40).collect::<String>());
            let reply = world.app.get(&format!("{collection}{query}")).await;
            let reply = world.assert_refused(reply, 400, code, &about).await;
            assert!(
                code == "INVALID_CURSOR"
                    || reply.errors().iter().all(|(pointer, _)| pointer.starts_with('?')),
                "{about}"
            );
        }
    }
    let nested =
        format!("/v1/items?filter={}number eq 'A'{}", "(".repeat(1_500), ")".repeat(1_500));
    let reply = world.app.get(&nested).await;
    world.assert_refused(reply, 400, "INVALID_FILTER", "a deep filter").await;
}

#[actix_web::test]
async fn unsuitable_methods_and_headers_are_refused() {
    let mut world = World::new().await;
    for (method, path, allow) in [
        (Method::TRACE, "/v1/items", "GET, POST, HEAD"),
        (Method::PUT, "/v1/items", "GET, POST, HEAD"),
        (Method::DELETE, "/v1/settings", "GET, PUT, PATCH, HEAD"),
        (Method::POST, "/v1/items/DESK", "GET, PUT, PATCH, DELETE, HEAD"),
        (Method::GET, "/v1/campaigns/SPRING/activations", "POST"),
        (Method::from_bytes(b"PURGE").unwrap(), "/v1/items/DESK", "GET, PUT, PATCH, DELETE, HEAD"),
    ] {
        let reply = world.app.send(method.clone(), path, &[], None).await;
        let reply = world
            .assert_refused(reply, 405, "METHOD_NOT_ALLOWED", &format!("{method} {path}"))
            .await;
        assert_eq!(reply.header("allow"), allow, "{method} {path}");
    }
    for (collection, right) in COLLECTIONS {
        for kind in [
            "text/plain",
            "application/xml",
            "application/merge-patch+json",
            "multipart/form-data; boundary=x",
            ";",
            "json",
        ] {
            let reply =
                world.send(Method::POST, collection, &[("content-type", kind)], right).await;
            world
                .assert_refused(
                    reply,
                    415,
                    "UNSUPPORTED_MEDIA_TYPE",
                    &format!("{collection} {kind}"),
                )
                .await;
        }
        let reply = world.send(Method::POST, collection, &[], right).await;
        world.assert_refused(reply, 415, "UNSUPPORTED_MEDIA_TYPE", collection).await;
        let headers = [("content-type", "application/json"), ("content-encoding", "gzip")];
        let reply = world.send(Method::POST, collection, &headers, right).await;
        world.assert_refused(reply, 415, "UNSUPPORTED_MEDIA_TYPE", collection).await;
        for accept in ["text/html", "application/xml, text/*;q=0.5", "application/json;q=0"] {
            let headers = [("content-type", "application/json"), ("accept", accept)];
            let reply = world.send(Method::POST, collection, &headers, right).await;
            world
                .assert_refused(reply, 406, "NOT_ACCEPTABLE", &format!("{collection} {accept}"))
                .await;
        }
        let headers = [("content-type", "application/json"), ("idempotency-key", "")];
        let reply = world.send(Method::POST, collection, &headers, right).await;
        world
            .assert_refused(reply, 400, "MALFORMED_REQUEST", &format!("{collection} without a key"))
            .await;
        let key = "k".repeat(256);
        let headers = [("content-type", "application/json"), ("idempotency-key", key.as_str())];
        let reply = world.send(Method::POST, collection, &headers, right).await;
        world
            .assert_refused(
                reply,
                400,
                "MALFORMED_REQUEST",
                &format!("{collection} with a long key"),
            )
            .await;
    }
}

#[actix_web::test]
async fn unexpected_bodies_are_refused_and_ignored_headers_accepted() {
    let mut world = World::new().await;
    // A body where none is expected.
    for (method, path) in [(Method::GET, "/v1/items/DESK"), (Method::DELETE, "/v1/items/LAMP")] {
        let reply = world.send(method.clone(), path, &[("if-match", "*")], "{}").await;
        assert_eq!(reply.errors(), pairs(&[("", "NOT_ALLOWED")]), "{method} {path}");
        world.assert_refused(reply, 400, "INVALID_REQUEST", path).await;
    }
    // Garbage in headers that are ignored.
    let garbage = [
        ("traceparent", "00-\u{20ac}-x"),
        ("accept", "\u{20ac}"),
        ("x-anything", "\u{20ac}\u{1f4a3}"),
    ];
    let mut request = world.app.request(Method::GET, "/v1/items/DESK");
    for (name, value) in garbage {
        request = request.header(name, value.as_bytes());
    }
    assert_eq!(Reply::to(request).await.status, 200);
    let many: Vec<(String, String)> =
        (0..60).map(|at| (format!("x-{at}"), "v".repeat(500))).collect();
    let many: Vec<(&str, &str)> =
        many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(world.app.send(Method::GET, "/v1/items/DESK", &many, None).await.status, 200);
}

/// Writes to the service until it stops reading, and returns its response.
fn exchange(address: SocketAddr, head: &str, chunk: &[u8], count: usize) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TEST_TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(TEST_TIMEOUT)).unwrap();
    let mut written = stream.write_all(head.as_bytes());
    for _ in 0..count {
        if written.is_err() {
            break;
        }
        written = stream.write_all(chunk);
    }
    let mut answer = Vec::new();
    let mut piece = [0; 4096];
    // A connection that is closed during our write may be reset; the bytes before that count.
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer);
        if text.contains("\r\n\r\n")
            && (text.ends_with('}') || text.to_lowercase().contains("content-length: 0"))
        {
            break;
        }
    }
    String::from_utf8_lossy(&answer).into_owned()
}

async fn exchange_in_background(
    address: SocketAddr,
    head: String,
    chunk: Vec<u8>,
    count: usize,
) -> String {
    spawn_blocking(move || exchange(address, &head, &chunk, count)).await.unwrap()
}

#[actix_web::test]
async fn oversized_bodies_are_refused_early() {
    let mut world = World::new().await;
    let address = world.app.address;
    let head = |framing: &str| {
        format!(
            "POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             {framing}\r\n\r\n"
        )
    };
    // 100 MB announced: refused on the head alone.
    let answer =
        exchange_in_background(address, head("Content-Length: 100000000"), Vec::new(), 0).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains(r#""code":"PAYLOAD_TOO_LARGE""#), "{answer}");
    // 100 MB announced and sent.
    let answer = exchange_in_background(
        address,
        head("Content-Length: 100000000"),
        vec![b' '; 1_000_000],
        100,
    )
    .await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    // Without a length: refused when the limit is passed.
    let chunk = [b"10000\r\n".to_vec(), vec![b' '; 65_536], b"\r\n".to_vec()].concat();
    let answer =
        exchange_in_background(address, head("Transfer-Encoding: chunked"), chunk.clone(), 17)
            .await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains(r#""code":"PAYLOAD_TOO_LARGE""#), "{answer}");
    let answer =
        exchange_in_background(address, head("Transfer-Encoding: chunked"), chunk, 1_526).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 413"), "{answer}");
    // Invalid chunks.
    let answer =
        exchange_in_background(address, head("Transfer-Encoding: chunked"), b"zz\r\n".to_vec(), 1)
            .await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    // On both sides of the limit of 512 KiB, which holds for everything but batches.
    for (size, status) in [(524_288, 201), (524_289, 413)] {
        let body = json!({"number": format!("N{status}")}).to_string();
        let body = format!("{body}{}", " ".repeat(size - body.len()));
        assert_eq!(world.post("/v1/items", body).await.status, status, "{size}");
    }
    assert_eq!(world.app.get("/v1/items/N413").await.status, 404);
    world.standing = world.hash().await;
    assert_eq!(world.app.get("/v1/items").await.status, 200, "the service goes on");
}

#[actix_web::test]
async fn invalid_http_is_refused_and_service_continues() {
    let mut world = World::new().await;
    let address = world.app.address;
    let long = "a".repeat(200_000);
    for (head, statuses) in [
        ("\u{0}\u{1}\u{2}\r\n\r\n".to_owned(), vec!["400"]),
        ("GET\r\n\r\n".to_owned(), vec!["400"]),
        ("GET /v1/items HTTP/9.9\r\n\r\n".to_owned(), vec!["400"]),
        ("GET /v1/items HTTP/1.1\r\nHost x\r\n\r\n".to_owned(), vec!["400"]),
        ("GET /v1/items HTTP/1.1\r\nHost: localhost\r\nA\u{0}: b\r\n\r\n".to_owned(), vec!["400"]),
        ("GET /v1/\u{e4} HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), vec!["400", "404"]),
        (
            "POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\
             Transfer-Encoding: chunked\r\n\r\n{}"
                .to_owned(),
            vec!["400"],
        ),
        (
            "POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n".to_owned(),
            vec!["400"],
        ),
        (
            "POST /v1/items HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\
             Content-Length: 2\r\n\r\n{}"
                .to_owned(),
            vec!["400"],
        ),
        (format!("GET /v1/items?filter={long} HTTP/1.1\r\nHost: localhost\r\n\r\n"), vec!["431"]),
        (
            format!("GET /v1/items HTTP/1.1\r\nHost: localhost\r\nX-Long: {long}\r\n\r\n"),
            vec!["431"],
        ),
    ] {
        let about: String = head.chars().take(60).collect();
        let answer = exchange_in_background(address, head, Vec::new(), 0).await;
        let status = answer.get(9..12).unwrap_or_default();
        assert!(statuses.contains(&status), "{about:?}: {answer:?}");
        assert_eq!(world.hash().await, world.standing, "{about:?}");
    }
    assert_eq!(world.app.get("/v1/items").await.status, 200);
}
