//! Approval of publications by a second person.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::{Reply, TestApp};

const BOOTSTRAP: &str = "a-bootstrap-key-of-forty-characters-1234";
const CAMPAIGN: &str = "/v1/campaigns/K";
const REQUESTS: &str = "/v1/campaigns/K/approval-requests";

/// A service with a campaign that is ready to be activated, and the tokens of three people.
struct Company {
    app: TestApp,
    people: Vec<String>,
}

impl Company {
    /// Sets up the company. The campaign is edited by the bootstrap key only.
    async fn new(approval_required: &str) -> Self {
        let app = TestApp::with_key(Some(BOOTSTRAP)).await;
        let mut company = Self { app, people: vec![BOOTSTRAP.to_owned()] };
        for name in ["A", "B", "C"] {
            let scopes = ["campaigns:write", "campaigns:read", "campaigns:activate"];
            let scopes: Vec<&str> = scopes.into_iter().chain(["campaigns:approve"]).collect();
            let write = json!({"name": name, "scopes": scopes});
            let key = company.post(0, "/v1/api-keys", write).await.expect(201);
            company.people.push(key["secret"].as_str().unwrap().to_owned());
        }
        company.patch(0, "/v1/settings", json!({"approvalRequired": approval_required})).await;
        for (path, body) in [
            ("/v1/items/DESK", json!({"listPrice": "100", "unitCost": "50"})),
            (
                "/v1/contacts/C1",
                json!({"type": "COMPANY", "name": "C", "customer": {"number": "1"}}),
            ),
            (CAMPAIGN, json!({"startingDate": "2031-01-01", "endingDate": "2031-12-31"})),
            ("/v1/segments/S", json!({"campaignNumber": "K", "campaignTarget": true})),
        ] {
            company.send(0, Method::PUT, path, Some(body)).await.expect(201);
        }
        let line = json!({"contactNumber": "C1"});
        company.post(0, "/v1/segments/S/lines", line).await.expect(201);
        company.set_price(0, 90).await;
        company
    }

    async fn send(&self, person: usize, method: Method, path: &str, body: Option<Value>) -> Reply {
        let authorization = format!("Bearer {}", self.people[person]);
        let mut headers = vec![("authorization", authorization.as_str())];
        if method == Method::PATCH {
            headers.push(("if-match", "*"));
        }
        self.app.send(method, path, &headers, body.map(|body| body.to_string()).as_deref()).await
    }

    async fn post(&self, person: usize, path: &str, body: Value) -> Reply {
        self.send(person, Method::POST, path, Some(body)).await
    }

    async fn get(&self, path: &str) -> Value {
        self.send(0, Method::GET, path, None).await.expect(200)
    }

    async fn patch(&self, person: usize, path: &str, body: Value) -> Value {
        self.send(person, Method::PATCH, path, Some(body)).await.expect(200)
    }

    /// Sets the price of the campaign's only line.
    async fn set_price(&self, person: usize, price: u32) -> Value {
        let rows = json!({"rows": [{"itemNumber": "DESK", "unitPrice": price.to_string()}]});
        self.post(person, "/v1/campaigns/K/prices/batch", rows).await.expect(200)
    }

    async fn request(&self, person: usize) -> Reply {
        self.post(person, REQUESTS, json!({"comment": "please"})).await
    }

    async fn decide(&self, person: usize, request: &Value, decision: &str) -> Reply {
        let path = format!("{REQUESTS}/{}/{decision}", request["id"].as_str().unwrap());
        self.post(person, &path, json!({"comment": "seen"})).await
    }

    async fn activate(&self, person: usize) -> Reply {
        self.post(person, "/v1/campaigns/K/activations", json!({"acknowledge": ["*"]})).await
    }

    async fn state(&self, request: &Value) -> Value {
        self.get(&format!("{REQUESTS}/{}", request["id"].as_str().unwrap())).await["state"].clone()
    }
}

#[actix_web::test]
async fn activation_needs_the_approval_of_its_plan_by_another_person() {
    let company = Company::new("ALWAYS").await;
    let plan = json!({"validateOnly": true});
    let plan = company.post(1, "/v1/campaigns/K/activations", plan).await.expect(200);
    assert_eq!(plan["approvalRequired"], true);
    let refused = company.activate(1).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (422, "APPROVAL_REQUIRED"));
    let request = company.request(1).await;
    let location = request.header("location").to_owned();
    let request = request.expect(201);
    assert_eq!(request, company.get(&location).await);
    assert_eq!((&request["state"], &request["planHash"]), (&json!("PENDING"), &plan["planHash"]));
    assert_eq!(company.activate(1).await.code(), "APPROVAL_REQUIRED");
    assert_eq!(company.request(2).await.code(), "CONFLICT", "one is pending");
    for same in [0, 1] {
        let refused = company.decide(same, &request, "approvals").await;
        assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "SAME_PERSON"));
    }
    let approved = company.decide(2, &request, "approvals").await.expect(201);
    assert_eq!(
        (&approved["state"], &approved["decisionComment"]),
        (&json!("APPROVED"), &json!("seen"))
    );
    assert_eq!(company.decide(2, &request, "rejections").await.code(), "CONFLICT");
    assert_eq!(company.request(1).await.code(), "CONFLICT", "approved already");
    let published = company.activate(1).await.expect(201);
    let used = company.get(&location).await;
    assert_eq!(used["publicationVersion"], published["version"]);
    // An approval permits one publication.
    company.post(1, "/v1/campaigns/K/deactivations", json!({})).await.expect(201);
    assert_eq!(company.activate(1).await.code(), "APPROVAL_REQUIRED");
    let all = company.get("/v1/approval-requests?filter=state+eq+'APPROVED'&count=true").await;
    assert_eq!(all["count"], 1);
}

#[actix_web::test]
async fn changed_plan_makes_requests_void() {
    let company = Company::new("ALWAYS").await;
    let pending = company.request(0).await.expect(201);
    company.set_price(0, 80).await;
    assert_eq!(company.state(&pending).await, "VOID");
    assert_eq!(company.decide(1, &pending, "approvals").await.code(), "CONFLICT");
    let approved = company.request(0).await.expect(201);
    company.decide(1, &approved, "approvals").await.expect(201);
    // Neither a description nor the same price changes the plan.
    company.patch(0, CAMPAIGN, json!({"description": "Spring"})).await;
    company.set_price(0, 80).await;
    assert_eq!(company.state(&approved).await, "APPROVED");
    let contact = json!({"privacyBlocked": true});
    company.patch(0, "/v1/contacts/C1", contact).await;
    assert_eq!(company.state(&approved).await, "VOID", "the audience is part of the plan");
}

#[actix_web::test]
async fn refused_plan_cannot_be_requested_and_rejected_one_not_published() {
    let company = Company::new("ALWAYS").await;
    company.patch(0, CAMPAIGN, json!({"startingDate": null})).await;
    let refused = company.request(0).await;
    assert_eq!(refused.code(), "ACTIVATION_REFUSED");
    company.patch(0, CAMPAIGN, json!({"startingDate": "2031-01-01"})).await;
    let request = company.request(0).await.expect(201);
    // Nobody needs to be another person to reject.
    company.decide(0, &request, "rejections").await.expect(201);
    assert_eq!(company.activate(0).await.code(), "APPROVAL_REQUIRED");
    let unknown = json!({"id": "0190b5c2-7d5e-7000-8000-000000000001"});
    company.decide(1, &unknown, "approvals").await.expect(404);
    let wrong = company.post(0, REQUESTS, json!({"coment": "x"})).await;
    assert_eq!(wrong.code(), "INVALID_REQUEST");
}

#[actix_web::test]
async fn changes_of_an_active_campaign_wait_for_their_approval() {
    let company = Company::new("NEVER").await;
    company.activate(0).await.expect(201);
    company.patch(0, "/v1/settings", json!({"approvalRequired": "ALWAYS"})).await;
    let price = async || {
        let quote =
            company.get("/v1/price-quotes?contactNumber=C1&itemNumber=DESK&date=2031-05-01");
        quote.await["lines"][0]["unitPrice"].clone()
    };
    let changed = company.set_price(1, 80).await;
    assert_eq!(changed["warnings"][0]["code"], "APPROVAL_HOLDS_CHANGES");
    assert_eq!(price().await, "90");
    assert_eq!(company.get(CAMPAIGN).await["hasUnpublishedChanges"], true);
    let request = company.request(1).await.expect(201);
    company.decide(2, &request, "approvals").await.expect(201);
    company.activate(1).await.expect(201);
    assert_eq!(price().await, "80");
    // An objection takes effect immediately.
    company.patch(0, "/v1/contacts/C1", json!({"privacyBlocked": true})).await;
    assert_eq!(price().await, "100");
}

#[actix_web::test]
async fn only_breaches_need_an_approval() {
    let company = Company::new("BREACH").await;
    company.activate(0).await.expect(201);
    assert!(company.set_price(1, 80).await.get("warnings").is_none());
    assert_eq!(company.get(CAMPAIGN).await["hasUnpublishedChanges"], false);
    let held = company.set_price(1, 40).await;
    let codes: Vec<&Value> =
        held["warnings"].as_array().unwrap().iter().map(|finding| &finding["code"]).collect();
    assert_eq!(codes, ["APPROVAL_HOLDS_CHANGES"]);
    let campaign = company.get(CAMPAIGN).await;
    assert_eq!(campaign["hasUnpublishedChanges"], true);
    assert_eq!(company.activate(1).await.code(), "APPROVAL_REQUIRED");
    let request = company.request(1).await.expect(201);
    assert_eq!(request["findings"][0]["code"], "NET_BELOW_COST");
    company.decide(2, &request, "approvals").await.expect(201);
    company.activate(1).await.expect(201);
    // Without the breach changes are published again.
    company.set_price(1, 70).await;
    assert_eq!(company.get(CAMPAIGN).await["hasUnpublishedChanges"], false);
}

#[actix_web::test]
async fn rollback_needs_an_approval_of_what_it_restores() {
    let company = Company::new("NEVER").await;
    let first = company.activate(0).await.expect(201)["version"].clone();
    company.set_price(0, 80).await;
    company.patch(0, "/v1/settings", json!({"approvalRequired": "ALWAYS"})).await;
    let rollback =
        async || company.post(1, "/v1/campaigns/K/rollbacks", json!({"version": first})).await;
    assert_eq!(rollback().await.code(), "APPROVAL_REQUIRED");
    let of_drafts = company.request(1).await.expect(201);
    company.decide(2, &of_drafts, "approvals").await.expect(201);
    assert_eq!(rollback().await.code(), "APPROVAL_REQUIRED");
    let restoring = json!({"restoresVersion": first});
    let request = company.post(1, REQUESTS, restoring).await.expect(201);
    company.decide(2, &request, "approvals").await.expect(201);
    rollback().await.expect(201);
    let unknown = json!({"restoresVersion": 9_007_199_254_740_991_i64});
    assert_eq!(company.post(1, REQUESTS, unknown).await.code(), "VALIDATION_FAILED");
}

/// A step of the model.
#[derive(Debug, Clone)]
enum Step {
    Edit(usize, u32),
    Request(usize),
    Decide(usize, bool),
    Activate(usize),
    Deactivate(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let person = 1_usize..4;
    prop_oneof![
        // C never edits, so somebody can always approve.
        1 => (1_usize..3, 60_u32..62).prop_map(|(person, price)| Step::Edit(person, price)),
        3 => person.clone().prop_map(Step::Request),
        3 => (person.clone(), prop::bool::weighted(0.8))
            .prop_map(|(person, approves)| Step::Decide(person, approves)),
        3 => person.clone().prop_map(Step::Activate),
        1 => person.prop_map(Step::Deactivate),
    ]
}

/// The state that the service should have.
#[derive(Debug)]
struct Model {
    price: u32,
    published: Option<u32>,
    editors: BTreeSet<usize>,
    /// The pending request: its requester and its price.
    pending: Option<(usize, u32, Value)>,
    /// The approver of each price that may be published.
    approved: BTreeMap<u32, usize>,
    editors_at_approval: BTreeMap<u32, BTreeSet<usize>>,
}

impl Model {
    /// Makes open requests void that are for another price.
    fn edit(&mut self, person: usize, price: u32) {
        // A batch does not write a line that stays the same.
        if price == self.price {
            return;
        }
        self.price = price;
        self.editors.insert(person);
        self.pending.take_if(|(_, requested, _)| *requested != price);
        self.approved.retain(|approved, _| *approved == price);
    }
}

/// Runs the same steps on the service and on the model, and compares every answer.
#[actix_web::test]
async fn nothing_is_published_without_a_second_person_in_any_order() {
    const SEQUENCES: usize = 6;
    const STEPS: usize = 50;
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut publications = 0;
    for _ in 0..SEQUENCES {
        let company = Company::new("ALWAYS").await;
        let mut model = Model {
            price: 90,
            published: None,
            editors: BTreeSet::from([0]),
            pending: None,
            approved: BTreeMap::new(),
            editors_at_approval: BTreeMap::new(),
        };
        for _ in 0..STEPS {
            let step = step().new_tree(&mut runner).unwrap().current();
            publications += usize::from(run(&company, &mut model, &step).await);
        }
    }
    assert!(publications >= 5, "the steps reach publications: {publications}");
}

/// Runs a step. Returns true if it published.
async fn run(company: &Company, model: &mut Model, step: &Step) -> bool {
    let trace = format!("{step:?} in {model:?}");
    match *step {
        Step::Edit(person, price) => {
            company.set_price(person, price).await;
            model.edit(person, price);
        }
        Step::Request(person) => {
            let reply = company.request(person).await;
            if model.pending.is_some() || model.approved.contains_key(&model.price) {
                assert_eq!(reply.code(), "CONFLICT", "{trace}");
            } else {
                model.pending = Some((person, model.price, reply.expect(201)));
            }
        }
        Step::Decide(person, approves) => {
            let Some((requester, price, request)) = &model.pending else { return false };
            let decision = if approves { "approvals" } else { "rejections" };
            let reply = company.decide(person, request, decision).await;
            if approves && (person == *requester || model.editors.contains(&person)) {
                assert_eq!(reply.code(), "SAME_PERSON", "{trace}");
                return false;
            }
            reply.expect(201);
            if approves {
                model.approved.insert(*price, person);
                model.editors_at_approval.insert(*price, model.editors.clone());
            }
            model.pending = None;
        }
        Step::Activate(person) => {
            let reply = company.activate(person).await;
            if model.published == Some(model.price) {
                reply.expect(200);
                return false;
            }
            let Some(approver) = model.approved.remove(&model.price) else {
                assert_eq!(reply.code(), "APPROVAL_REQUIRED", "{trace}");
                return false;
            };
            reply.expect(201);
            let editors = &model.editors_at_approval[&model.price];
            assert!(!editors.contains(&approver), "{trace}");
            model.published = Some(model.price);
            model.editors.clear();
            return true;
        }
        Step::Deactivate(person) => {
            let path = "/v1/campaigns/K/deactivations";
            let reply = company.post(person, path, json!({})).await;
            assert!(reply.status.is_success(), "{trace}");
            model.published = None;
        }
    }
    false
}
