//! Contacts: companies, persons and customers.

use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{TestApp, content};
use super::support::make;

const PATH: &str = "/v1/contacts";

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(pointer, code)| ((*pointer).to_owned(), (*code).to_owned())).collect()
}

async fn batch(app: &TestApp, rows: &Value) {
    let reply = app.post(&format!("{PATH}/batch"), &json!({ "rows": rows })).await;
    assert_eq!(reply.status, 200, "{reply:?}");
}

async fn numbers(app: &TestApp, filter: &str) -> Vec<String> {
    let filter: String = url_encoded(filter);
    let reply = app.get(&format!("{PATH}?filter={filter}")).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["value"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["number"].as_str().unwrap().to_owned())
        .collect()
}

fn url_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Creates the currency and the salesperson of [`complete_contact`].
async fn prepare_references(app: &TestApp) {
    let mut conn = app.connection().await;
    conn.batch_execute(
        "INSERT INTO currencies (id, code) VALUES (gen_random_uuid(), 'GBP');
         INSERT INTO salespeople (id, code) VALUES (gen_random_uuid(), 'JO')",
    )
    .await
    .unwrap();
}

/// Returns a contact with every field.
fn complete_contact() -> Value {
    json!({
        "number": "C1", "type": "COMPANY", "name": "Cannon Group PLC", "companyNumber": null,
        "address": "192 Market Square", "address2": "Floor 2", "postCode": "GB-B27 4KT",
        "city": "Birmingham",
        "county": "West Midlands", "countryCode": "GB", "phone": "+44 121 496 0000",
        "email": "office@example.com",
        "languageCode": "ENG", "currencyCode": "GBP", "salespersonCode": "JO",
        "territoryCode": "MID",
        "industryGroups": ["RETAIL", "WHOLESALE"], "mailingGroups": ["NEWS"],
        "jobResponsibilities": ["PURCHASE"],
        "businessRelations": ["CUST"], "excludeFromSegments": true, "privacyBlocked": true,
        "customer": {
            "number": "10000", "priceGroupCode": "RETAIL", "discountGroupCode": "LARGE",
            "allowLineDiscount": false, "pricesIncludeTax": true
        }
    })
}

#[actix_web::test]
async fn contact_crud() {
    let app = TestApp::new().await;
    prepare_references(&app).await;
    let whole = complete_contact();
    let created = app.post(PATH, &whole).await;
    assert_eq!(created.status, 201, "{created:?}");
    let mut view = created.json();
    let id = view.as_object_mut().unwrap().remove("id").unwrap();
    assert_eq!(content(view), whole);
    assert_eq!(app.changed_keys().contacts, ["C1".to_owned()].into());
    assert_eq!(app.get(&format!("{PATH}/{}", id.as_str().unwrap())).await.text, created.text);

    let path = format!("{PATH}/c1");
    let same =
        app.send(Method::PATCH, &path, &[("if-match", created.header("etag"))], Some("{}")).await;
    assert_eq!(
        (same.status.as_u16(), same.text.as_str()),
        (200, created.text.as_str()),
        "{same:?}"
    );
    let patch = r#"{
        "customer": {"priceGroupCode": null}, "city": null, "countryCode": null, "mailingGroups": []
    }"#;
    let patched = app.send(Method::PATCH, &path, &[("if-match", "*")], Some(patch)).await.json();
    assert_eq!(patched["customer"]["number"], "10000");
    assert_eq!(
        (
            &patched["customer"]["priceGroupCode"],
            &patched["city"],
            &patched["countryCode"],
            &patched["mailingGroups"]
        ),
        (&json!(null), &json!(""), &json!(null), &json!([]))
    );
    let patched = app
        .send(Method::PATCH, &path, &[("if-match", "*")], Some(r#"{"customer": null}"#))
        .await
        .json();
    assert_eq!(patched["customer"], json!(null));
    let put = json!({"type": "COMPANY", "name": "C", "customer": {"number": "10000"}}).to_string();
    let replaced = app.send(Method::PUT, &path, &[("if-match", "*")], Some(&put)).await.json();
    let defaults = json!({
        "number": "10000", "priceGroupCode": null, "discountGroupCode": null,
        "allowLineDiscount": true,
        "pricesIncludeTax": false
    });
    assert_eq!(
        (&replaced["customer"], &replaced["salespersonCode"], &replaced["id"]),
        (&defaults, &json!(null), &id)
    );
    let put = r#"{"type": "PERSON", "name": "C"}"#;
    let replaced = app.send(Method::PUT, &path, &[("if-match", "*")], Some(put)).await.json();
    assert_eq!((&replaced["customer"], &replaced["type"]), (&json!(null), &json!("PERSON")));
    app.changed_keys();
    assert_eq!(app.send(Method::DELETE, &path, &[("if-match", "*")], None).await.status, 204);
    assert_eq!(app.changed_keys().contacts, ["C1".to_owned()].into());
    assert_eq!(app.get(&path).await.status, 404);
}

#[actix_web::test]
async fn numbers_come_from_the_series() {
    let app = TestApp::new().await;
    let person = |number: Value| json!({"number": number, "type": "PERSON", "name": "P"});
    let created = app.post(PATH, &json!({"type": "PERSON", "name": "P"})).await;
    assert_eq!(
        (created.status.as_u16(), created.header("location")),
        (201, "/v1/contacts/CT000001")
    );
    // A number that is used elsewhere in the batch is not assigned.
    batch(&app, &json!([person(json!(null)), person(json!("CT000002")), person(json!(null))]))
        .await;
    assert_eq!(
        numbers(&app, "type eq 'PERSON'").await,
        ["CT000001", "CT000002", "CT000003", "CT000004"]
    );
}

#[actix_web::test]
async fn all_errors_are_reported_together() {
    let app = TestApp::new().await;
    let codes: Vec<String> = (0..101).map(|n| format!("G{n}")).collect();
    let wrong = app
        .post(
            PATH,
            &json!({
                "type": "ROBOT", "email": "nowhere", "currencyCode": "EURO", "city": "x".repeat(51),
                "industryGroups": codes, "mailingGroups": ["A  B"], "customer": {"priceGroup": "A"},
                "nmae": "A"
            }),
        )
        .await;
    assert_eq!(
        (wrong.status.as_u16(), wrong.errors()),
        (
            400,
            pairs(&[
                ("/city", "TOO_LONG"),
                ("/currencyCode", "INVALID_KEY"),
                ("/customer/number", "REQUIRED"),
                ("/customer/priceGroup", "UNKNOWN_FIELD"),
                ("/email", "INVALID_VALUE"),
                ("/industryGroups", "TOO_LONG"),
                ("/mailingGroups/0", "INVALID_KEY"),
                ("/name", "REQUIRED"),
                ("/nmae", "UNKNOWN_FIELD"),
                ("/type", "INVALID_VALUE"),
            ])
        )
    );
    let blank = app.post(PATH, &json!({"type": "PERSON", "name": " ", "email": "@"})).await;
    assert_eq!(
        (blank.status.as_u16(), blank.errors()),
        (400, pairs(&[("/email", "INVALID_VALUE"), ("/name", "TOO_SHORT")]))
    );
    let broken = json!({
        "type": "PERSON", "name": "P", "companyNumber": "X", "currencyCode": "XXX",
        "salespersonCode": "X"
    });
    let missing = app.post(PATH, &broken).await;
    assert_eq!(
        (missing.status.as_u16(), missing.errors()),
        (
            422,
            pairs(&[
                ("/companyNumber", "COMPANY_LINK"),
                ("/currencyCode", "REFERENCE_NOT_FOUND"),
                ("/salespersonCode", "REFERENCE_NOT_FOUND"),
            ])
        )
    );
}

#[actix_web::test]
async fn code_lists_are_sets() {
    let app = TestApp::new().await;
    let created = app
        .post(PATH, &json!({"type": "PERSON", "name": "P", "mailingGroups": ["b", "A", "B"]}))
        .await;
    assert_eq!(created.json()["mailingGroups"], json!(["A", "B"]));
}

#[actix_web::test]
async fn persons_have_companies_and_accounts_are_customers() {
    let app = TestApp::new().await;
    batch(
        &app,
        &json!([
            {"number": "C1", "type": "COMPANY", "name": "One", "customer": {"number": "10000"}},
            {"number": "P1", "type": "PERSON", "name": "P", "companyNumber": "C1"},
        ]),
    )
    .await;
    let refused = async |body: Value, status: u16, errors: &[(&str, &str)]| {
        let reply = app.post(PATH, &body).await;
        assert_eq!((reply.status.as_u16(), reply.errors()), (status, pairs(errors)), "{body}");
    };
    let customer = json!({"number": "10001"});
    refused(
        json!({"type": "PERSON", "name": "P", "customer": customer, "companyNumber": "C1"}),
        422,
        &[("/customer", "CUSTOMER_NEEDS_ACCOUNT")],
    )
    .await;
    refused(
        json!({"type": "PERSON", "name": "P", "companyNumber": "P1"}),
        422,
        &[("/companyNumber", "COMPANY_LINK")],
    )
    .await;
    refused(
        json!({"type": "COMPANY", "name": "C", "companyNumber": "C1"}),
        422,
        &[("/companyNumber", "COMPANY_LINK")],
    )
    .await;
    let own = json!({"number": "P2", "type": "PERSON", "name": "P", "companyNumber": "p2"});
    refused(own, 422, &[("/companyNumber", "COMPANY_LINK")]).await;
    let taken = json!({"type": "COMPANY", "name": "C", "customer": {"number": "10000"}});
    refused(taken, 409, &[("/customer/number", "ALREADY_EXISTS")]).await;
    // The number comes from the path, so only the constraint finds the violation.
    let own = r#"{"type": "PERSON", "name": "P", "companyNumber": "P2"}"#;
    let reply = app.send(Method::PUT, &format!("{PATH}/P2"), &[], Some(own)).await;
    assert_eq!(
        (reply.status.as_u16(), reply.errors()),
        (422, pairs(&[("/companyNumber", "COMPANY_LINK")]))
    );
}

#[actix_web::test]
async fn a_person_without_company_is_a_customer() {
    let app = TestApp::new().await;
    make::item(&app, "DESK", "100").await;
    make::company(&app, "C1").await;
    let customer = json!({"number": "10000", "priceGroupCode": "SOLE", "pricesIncludeTax": true});
    let trader = json!({"type": "PERSON", "name": "Trader", "customer": customer});
    let created = app.put(&format!("{PATH}/SOLE"), &trader).await.expect(201);
    assert_eq!(created["customer"]["number"], "10000");
    let line = json!({
        "source": {"type": "CUSTOMER_PRICE_GROUP", "code": "SOLE"}, "itemNumber": "DESK",
        "unitPrice": "90"
    });
    app.post("/v1/prices", &line).await.expect(201);
    for asker in ["customerNumber=10000", "contactNumber=SOLE"] {
        let quote = app.get(&format!("/v1/price-quotes?{asker}&itemNumber=DESK")).await.expect(200);
        assert_eq!(
            (&quote["accountNumber"], &quote["pricesIncludeTax"], &quote["lines"][0]["unitPrice"]),
            (&json!("SOLE"), &json!(true), &json!("90"))
        );
    }
    let sale = json!({
        "documentType": "INVOICE", "documentNumber": "I1", "lineNumber": 1,
        "postingDate": "2031-05-15", "customerNumber": "10000", "itemNumber": "DESK",
        "quantity": "1", "lineAmount": "90"
    });
    assert_eq!(app.post("/v1/sales", &sale).await.expect(201)["accountNumber"], "SOLE");
    // A person of a company is no account of its own.
    let refused = app.patch(&format!("{PATH}/SOLE"), &json!({"companyNumber": "C1"})).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (422, pairs(&[("/customer", "CUSTOMER_NEEDS_ACCOUNT")]))
    );
    let moved = json!({"companyNumber": "C1", "customer": null});
    app.patch(&format!("{PATH}/SOLE"), &moved).await.expect(200);
    let company = json!({"customer": {"number": "10000"}});
    app.patch(&format!("{PATH}/C1"), &company).await.expect(200);
}

#[actix_web::test]
async fn a_patch_that_makes_a_customer_needs_a_number() {
    let app = TestApp::new().await;
    make::company(&app, "C1").await;
    let path = format!("{PATH}/C1");
    for (customer, status, errors) in [
        (json!({}), 422, &[("/customer/number", "MISSING")][..]),
        (json!({"priceGroupCode": "A"}), 422, &[("/customer/number", "MISSING")]),
        (json!({"number": null}), 400, &[("/customer/number", "REQUIRED")]),
        (
            json!({"numbr": "1"}),
            400,
            &[("/customer/number", "MISSING"), ("/customer/numbr", "UNKNOWN_FIELD")],
        ),
    ] {
        let refused = app.patch(&path, &json!({ "customer": customer })).await;
        assert_eq!(
            (refused.status.as_u16(), refused.errors()),
            (status, pairs(errors)),
            "{customer}"
        );
    }
    app.patch(&path, &json!({"customer": {"number": "1"}})).await.expect(200);
    app.patch(&path, &json!({"customer": {}})).await.expect(200);
    let changed = app.patch(&path, &json!({"customer": {"priceGroupCode": "A"}})).await.expect(200);
    assert_eq!(changed["customer"]["number"], "1");
}

#[actix_web::test]
async fn company_with_persons_stays_a_company() {
    let app = TestApp::new().await;
    batch(
        &app,
        &json!([
            {"number": "C1", "type": "COMPANY", "name": "One"},
            {"number": "C2", "type": "COMPANY", "name": "Two"},
            {"number": "P1", "type": "PERSON", "name": "P", "companyNumber": "C1"},
        ]),
    )
    .await;
    let patch = async |path: &str, body: Value| {
        app.send(
            Method::PATCH,
            &format!("{PATH}/{path}"),
            &[("if-match", "*")],
            Some(&body.to_string()),
        )
        .await
    };
    let refused = patch("C1", json!({"type": "PERSON"})).await;
    assert_eq!((refused.status.as_u16(), refused.errors()), (409, pairs(&[("/type", "IN_USE")])));
    let refused = patch("C1", json!({"type": "PERSON", "companyNumber": "C2"})).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "IN_USE"));
    assert_eq!(patch("P1", json!({"companyNumber": "C2"})).await.status, 200);
    let moved = patch("C1", json!({"type": "PERSON", "companyNumber": "C2"})).await;
    assert_eq!(moved.status, 200, "{moved:?}");
}

#[actix_web::test]
async fn dependents_of_a_contact_are_listed() {
    let app = TestApp::new().await;
    batch(
        &app,
        &json!([
            {"number": "C1", "type": "COMPANY", "name": "One"},
            {"number": "P1", "type": "PERSON", "name": "P", "companyNumber": "C1"},
        ]),
    )
    .await;
    app.connection()
        .await
        .batch_execute(
            "INSERT INTO segments (id, number) VALUES (gen_random_uuid(), 'S1');
             INSERT INTO segment_lines (id, segment_number, contact_number)
                 VALUES (gen_random_uuid(), 'S1', 'C1');
             INSERT INTO items (id, number) VALUES (gen_random_uuid(), 'I1');
             INSERT INTO price_lines (id, source_type, contact_number, item_number, unit_price)
                 VALUES (gen_random_uuid(), 'CONTACT', 'C1', 'I1', 1);
             INSERT INTO discount_lines (id, source_type, contact_number, line_discount_percent)
                 VALUES (gen_random_uuid(), 'CONTACT', 'C1', 1)",
        )
        .await
        .unwrap();
    let refused = app.send(Method::DELETE, &format!("{PATH}/C1"), &[("if-match", "*")], None).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (409, "IN_USE"));
    let errors = refused.json()["errors"].clone();
    let what: Vec<&Value> =
        errors.as_array().unwrap().iter().map(|error| &error["params"]["what"]).collect();
    assert_eq!(what, ["persons of the company", "segment lines", "price lines", "discount lines"]);
    assert_eq!(
        app.send(Method::DELETE, &format!("{PATH}/P1"), &[("if-match", "*")], None).await.status,
        204
    );
}

#[actix_web::test]
async fn batch_accepts_companies_and_persons_in_any_order() {
    let app = TestApp::new().await;
    let rows = json!([
        {"number": "P1", "type": "PERSON", "name": "P", "companyNumber": "C1"},
        {"number": "P2", "type": "PERSON", "name": "P", "companyNumber": "NONE"},
        {"number": "C1", "type": "COMPANY", "name": "One", "customer": {"number": "1"}},
        {"number": "C2", "type": "COMPANY", "name": "Two", "customer": {"number": "1"}},
        {"number": "C3", "type": "COMPANY"},
    ]);
    let path = format!("{PATH}/batch");
    let refused = app.post(&path, &json!({ "rows": rows })).await;
    assert_eq!(
        (refused.status.as_u16(), refused.errors()),
        (
            400,
            pairs(&[
                ("/rows/1/companyNumber", "COMPANY_LINK"),
                ("/rows/3/customer/number", "ALREADY_EXISTS"),
                ("/rows/4/name", "REQUIRED")
            ])
        )
    );
    assert_eq!(app.get(PATH).await.json()["value"], json!([]));
    let mixed = app.post(&path, &json!({"rows": rows, "atomic": false})).await;
    let statuses: Vec<Value> = mixed.json()["receipts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|receipt| receipt["status"].clone())
        .collect();
    assert_eq!(statuses, [201, 422, 201, 409, 400]);
    assert_eq!(app.changed_keys().contacts, ["C1".to_owned(), "P1".to_owned()].into());
}

#[actix_web::test]
async fn every_field_filters_and_orders() {
    let app = TestApp::new().await;
    batch(
        &app,
        &json!([
            {
                "number": "P1", "type": "PERSON", "name": "Ann", "companyNumber": "C1",
                "businessRelations": ["PRESS"]
            },
            {"number": "P2", "type": "PERSON", "name": "Bob", "industryGroups": ["RETAIL"]},
            {
                "number": "C1", "type": "COMPANY", "name": "One", "businessRelations": ["CUST"],
                "industryGroups": ["RETAIL"], "mailingGroups": ["NEWS"],
                "jobResponsibilities": ["BUY"],
                "customer": {"number": "1", "priceGroupCode": "A", "discountGroupCode": "B"}
            },
        ]),
    )
    .await;
    for (filter, expected) in [
        ("businessRelations/any(r: r eq 'CUST')", vec!["C1", "P1"]),
        ("businessRelations/any(r: r eq 'PRESS')", vec!["P1"]),
        ("businessRelations/any(r: startswith(r, 'cu'))", vec!["C1", "P1"]),
        ("not businessRelations/any(r: r eq 'CUST')", vec!["P2"]),
        ("industryGroups/any(g: g in ('retail', 'X'))", vec!["C1", "P1", "P2"]),
        ("industryGroups/any()", vec!["C1", "P1", "P2"]),
        // A person has its own mailing groups and job responsibilities.
        ("mailingGroups/any(g: g eq 'NEWS')", vec!["C1"]),
        ("jobResponsibilities/any(g: g eq 'BUY')", vec!["C1"]),
        ("customer.number ne null", vec!["C1"]),
        ("customer/priceGroupCode eq 'a' and customer.discountGroupCode eq 'b'", vec!["C1"]),
        ("customer.allowLineDiscount eq null", vec!["P1", "P2"]),
        ("customer.pricesIncludeTax eq false", vec!["C1"]),
        ("type eq 'PERSON' and companyNumber eq null", vec!["P2"]),
        ("contains(name, 'NN') or contains(name, 'ob')", vec!["P1", "P2"]),
    ] {
        assert_eq!(numbers(&app, filter).await, expected, "{filter}");
    }
    for field in kampanje::contacts::FIELDS.iter().filter(|field| field.is_orderable()) {
        let first =
            app.get(&format!("{PATH}?top=2&count=true&orderby={}%20desc", field.name)).await;
        assert_eq!(first.status, 200, "{}: {first:?}", field.name);
        let next = app.get(first.json()["nextLink"].as_str().unwrap()).await;
        assert_eq!(next.status, 200, "{}: {next:?}", field.name);
        assert_eq!(
            (next.json()["value"].as_array().unwrap().len(), &next.json()["count"]),
            (1, &json!(3))
        );
    }
}

#[actix_web::test]
async fn batch_of_1000_contacts_is_written_twice() {
    let app = TestApp::new().await;
    let rows = |name: &str| -> Vec<Value> {
        (0..1_000)
            .map(|n| match n % 2 {
                0 => json!({
                    "number": format!("N{n:04}"), "type": "PERSON", "name": name,
                    "companyNumber": format!("N{:04}", n + 1)
                }),
                _ => json!({
                    "number": format!("N{n:04}"), "type": "COMPANY", "name": name,
                    "customer": {"number": format!("{n}")}
                }),
            })
            .collect()
    };
    let mut conn = app.connection().await;
    for name in ["First", "Second"] {
        batch(&app, &json!(rows(name))).await;
        assert_eq!(app.changed_keys().contacts.len(), 1_000);
    }
    let count = diesel::dsl::sql::<diesel::sql_types::BigInt>(
        "(SELECT count(DISTINCT xmin::text) FROM contacts)",
    );
    assert_eq!(
        diesel::select(count).get_result::<i64>(&mut conn).await.unwrap(),
        1,
        "rows were written one by one"
    );
}

#[actix_web::test]
async fn contact_change_waits_for_concurrent_lines() {
    let app = TestApp::new().await;
    app.put("/v1/contacts/ANNE", &json!({"type": "PERSON", "name": "Anne"})).await.expect(201);
    app.post("/v1/campaigns", &json!({"number": "SPRING", "startingDate": "2031-05-01"}))
        .await
        .expect(201);
    let segment = json!({"number": "FAIR", "campaignNumber": "SPRING", "campaignTarget": true});
    app.post("/v1/segments", &segment).await.expect(201);
    let mut other = app.connection().await;
    for statement in [
        "BEGIN",
        "INSERT INTO segment_lines (id, segment_number, contact_number)
            VALUES (gen_random_uuid(), 'FAIR', 'ANNE')",
    ] {
        diesel_async::RunQueryDsl::execute(diesel::sql_query(statement), &mut other).await.unwrap();
    }
    let body = json!({"privacyBlocked": true});
    let change = app.patch("/v1/contacts/ANNE", &body);
    let line = async {
        app.wait_for_blocked_statements(1).await;
        diesel_async::RunQueryDsl::execute(diesel::sql_query("COMMIT"), &mut other).await.unwrap();
    };
    let (changed, ()) = tokio::join!(change, line);
    assert_eq!(changed.status, 200, "{changed:?}");
}
