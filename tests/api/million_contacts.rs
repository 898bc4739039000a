//! Benchmark of lists and criteria over a million contacts. It has to run alone:
//!
//! ```text
//! cargo test --profile dist --test api million_contacts -- --ignored --nocapture
//! ```

use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};

use super::support::app::TestApp;

/// Creates 250,000 companies, some of them customers, 750,000 persons, most with a company, and
/// 500,000 interactions.
const SEED: &str = "SET statement_timeout = 0;
    INSERT INTO salespeople (id, code) SELECT uuid_v7(), 'S' || n FROM generate_series(0, 49) AS n;
    INSERT INTO contacts (id, number, type, name, city, salesperson_code, industry_groups,
        customer_number)
        SELECT uuid_v7(), 'C' || lpad(n::text, 7, '0'), 'COMPANY', 'Company ' || md5(n::text),
            'City ' || n % 500,
            'S' || n % 50, ARRAY['I' || n % 30], CASE WHEN n % 4 = 0 THEN 'D' || n END
        FROM generate_series(1, 250000) AS n;
    INSERT INTO contacts (id, number, type, name, company_number, city, salesperson_code,
        job_responsibilities, email)
        SELECT uuid_v7(), 'P' || lpad(n::text, 7, '0'), 'PERSON', 'Person ' || md5(n::text),
            CASE WHEN n % 50 > 0 THEN 'C' || lpad((1 + n % 250000)::text, 7, '0') END,
            'City ' || n % 500, 'S' || n % 50,
            CASE WHEN n % 2 = 0 THEN ARRAY['PURCHASE'] ELSE ARRAY['SALES'] END,
            'p' || n || '@example.com'
        FROM generate_series(1, 750000) AS n;
    INSERT INTO campaigns (id, number) SELECT uuid_v7(), 'C' || n FROM generate_series(0, 9) AS n;
    INSERT INTO interaction_templates (id, code, description) VALUES (uuid_v7(), 'MAIL', 'Mail');
    INSERT INTO interactions (id, date, contact_number, campaign_number, interaction_template_code,
        campaign_target,
            campaign_response, cost, duration_minutes, description)
        SELECT uuid_v7(), '2031-01-01', 'P' || lpad((1 + n * 7 % 750000)::text, 7, '0'),
            'C' || n % 10, 'MAIL', true,
            n % 20 = 0, 1, 1, 'Mail'
        FROM generate_series(1, 500000) AS n;
    INSERT INTO segments (id, number) VALUES (uuid_v7(), 'S');
    ANALYZE contacts; ANALYZE interactions";

const ACTIONS: &str = "/v1/segments/S/criteria-actions";
const LATEST: &str = "/v1/segments/S/criteria-actions/latest";
const BUYERS: &str = "jobResponsibilities/any(j: j eq 'PURCHASE')";

struct Stopwatch {
    app: TestApp,
}

impl Stopwatch {
    /// Times a request, and prints its duration.
    async fn call(&self, what: &str, method: Method, path: &str, body: Option<Value>) -> Value {
        let body = body.map(|body| body.to_string());
        let begin = Instant::now();
        let reply = self.app.send(method, path, &[("if-match", "*")], body.as_deref()).await;
        println!("{what}: {} ms", begin.elapsed().as_millis());
        assert!(reply.status.is_success(), "{reply:?}");
        if reply.text.is_empty() { Value::Null } else { reply.json() }
    }

    async fn list(&self, what: &str, query: &str) -> Value {
        self.call(what, Method::GET, &format!("/v1/contacts?{query}"), None).await
    }

    /// Previews and performs an action, and undoes it if requested.
    async fn act(&self, what: &str, body: Value, undo: bool) {
        let previews = "/v1/segments/S/criteria-previews";
        self.call(&format!("preview {what}"), Method::POST, previews, Some(body.clone())).await;
        let done = self.call(what, Method::POST, ACTIONS, Some(body)).await;
        println!("    {} added, {} removed", done["linesAdded"], done["linesRemoved"]);
        if undo {
            self.call(&format!("undo {what}"), Method::DELETE, LATEST, None).await;
        }
    }
}

#[actix_web::test]
#[ignore = "takes minutes; it measures"]
async fn lists_and_criteria_over_a_million_contacts() {
    let watch = Stopwatch { app: TestApp::new().await };
    watch.app.sql(SEED).await;
    watch.list("(the first request)", "top=1").await;
    lists(&watch).await;
    criteria(&watch).await;
}

async fn lists(watch: &Stopwatch) {
    for (what, query) in [
        ("first page of 50", ""),
        ("first page of 1000", "top=1000"),
        ("count", "top=1&count=true"),
        ("by name", "orderby=name"),
        ("by city", "orderby=city"),
        ("one name", "filter=name eq 'Nobody'"),
        ("one e-mail address", "filter=email eq 'p654321@example.com'"),
        ("a salesperson's contacts", "filter=salespersonCode eq 'S7'"),
        ("a city, counted", "filter=city eq 'City 7'&count=true"),
        ("part of a name that few have", "filter=contains(name, 'c4ca4238')"),
        ("a job responsibility", &format!("filter={BUYERS}")),
        ("a job responsibility that nobody has", "filter=jobResponsibilities/any(j: j eq 'NONE')"),
        (
            "an industry that nobody has, of the company too",
            "filter=industryGroups/any(g: g eq 'NONE')",
        ),
        (
            "who responded to a campaign, counted",
            "filter=respondedCampaigns/any(c: c eq 'C0')&count=true",
        ),
    ] {
        watch.list(what, query).await;
    }
    // A deep page is reached by its link. To get there directly, the list begins shortly before it.
    for order in ["number", "name", "name desc"] {
        let filter = if order == "number" { "number gt 'P0500000'" } else { "name gt 'Company f'" };
        let page = watch
            .list(
                &format!("deep, by {order}"),
                &format!("orderby={order}&filter={filter}&top=1000"),
            )
            .await;
        let next = page["nextLink"].as_str().unwrap().to_owned();
        watch.call(&format!("deep, by {order}, the next page"), Method::GET, &next, None).await;
    }
    watch.list("10,000 rows skipped", "skip=10000").await;
}

async fn criteria(watch: &Stopwatch) {
    let criterion = |action: &str, filter: &str| json!({"action": action, "filter": filter});
    let with = |action: &str, filter: &str, option: &str| {
        json!({
            "action": action, "filter": filter, option: true
        })
    };
    let companies = "type eq 'COMPANY'";
    watch
        .act(
            "ADD who responded to a campaign",
            criterion("ADD", "respondedCampaigns/any(c: c eq 'C0')"),
            true,
        )
        .await;
    watch.act("ADD companies, expanded", with("ADD", companies, "expandCompanies"), true).await;
    watch.act("ADD everybody", criterion("ADD", "number ne null"), false).await;
    watch.act("REDUCE half", criterion("REDUCE", BUYERS), true).await;
    watch
        .act("REFINE who was written to", criterion("REFINE", "interactionCampaigns/any()"), true)
        .await;
    watch.act("REFINE entire companies", with("REFINE", BUYERS, "entireCompanies"), true).await;
    let target = Some(json!({"campaignNumber": "C0", "campaignTarget": true}));
    watch.call("link to a campaign", Method::PATCH, "/v1/segments/S", target).await;
    watch.call("audience page", Method::GET, "/v1/campaigns/C0/audience?top=100", None).await;
    let middle = "/v1/campaigns/C0/audience?top=100&filter=accountNumber gt 'C0100000'";
    watch.call("audience page in the middle", Method::GET, middle, None).await;
    watch
        .call("audience of a contact", Method::GET, "/v1/campaigns/C0/audience/P0000007", None)
        .await;
    watch.call("undo ADD", Method::DELETE, LATEST, None).await;
}
