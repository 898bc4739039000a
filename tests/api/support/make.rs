//! Builders of test data with defaults. They create resources through the API, and expect success.

use serde_json::{Value, json};

use super::app::TestApp;

/// A campaign with a targeted segment. The default is the campaign SPRING for May 2031 with the
/// empty segment FAIR.
pub struct Campaign<'a> {
    pub number: &'a str,
    pub starting_date: &'a str,
    pub ending_date: &'a str,
    pub segment: &'a str,
    /// The contacts of the segment.
    pub contacts: &'a [&'a str],
    /// Items with their unit prices.
    pub prices: &'a [(&'a str, &'a str)],
}

impl Default for Campaign<'_> {
    fn default() -> Self {
        Self {
            number: "SPRING",
            starting_date: "2031-05-01",
            ending_date: "2031-05-31",
            segment: "FAIR",
            contacts: &[],
            prices: &[],
        }
    }
}

impl Campaign<'_> {
    /// Creates the campaign, its segment and its prices.
    pub async fn create(&self, app: &TestApp) {
        let dates = json!({"startingDate": self.starting_date, "endingDate": self.ending_date});
        app.put(&format!("/v1/campaigns/{}", self.number), &dates).await.expect(201);
        target_segment(app, self.segment, self.number).await;
        for contact in self.contacts {
            segment_line(app, self.segment, contact).await;
        }
        for (item, unit_price) in self.prices {
            campaign_price(app, self.number, item, unit_price).await;
        }
    }
}

/// Creates an item with a list price.
pub async fn item(app: &TestApp, number: &str, list_price: &str) {
    app.put(&format!("/v1/items/{number}"), &json!({ "listPrice": list_price })).await.expect(201);
}

/// Creates a company, named by its number.
pub async fn company(app: &TestApp, number: &str) {
    let company = json!({"type": "COMPANY", "name": number});
    app.put(&format!("/v1/contacts/{number}"), &company).await.expect(201);
}

/// Creates a company with a customer number.
pub async fn customer(app: &TestApp, number: &str, customer_number: &str) {
    let company =
        json!({"type": "COMPANY", "name": number, "customer": {"number": customer_number}});
    app.put(&format!("/v1/contacts/{number}"), &company).await.expect(201);
}

/// Creates a person of a company.
pub async fn person(app: &TestApp, number: &str, company: &str) {
    let person = json!({"type": "PERSON", "name": number, "companyNumber": company});
    app.put(&format!("/v1/contacts/{number}"), &person).await.expect(201);
}

/// Creates a segment whose contacts are targets of a campaign.
pub async fn target_segment(app: &TestApp, number: &str, campaign: &str) {
    let segment = json!({"campaignNumber": campaign, "campaignTarget": true});
    app.put(&format!("/v1/segments/{number}"), &segment).await.expect(201);
}

/// Adds a contact to a segment.
pub async fn segment_line(app: &TestApp, segment: &str, contact: &str) {
    let line = json!({ "contactNumber": contact });
    app.post(&format!("/v1/segments/{segment}/lines"), &line).await.expect(201);
}

/// Creates a price line of a campaign, and returns it.
pub async fn campaign_price(app: &TestApp, campaign: &str, item: &str, unit_price: &str) -> Value {
    let line = json!({"itemNumber": item, "unitPrice": unit_price});
    app.post(&format!("/v1/campaigns/{campaign}/prices"), &line).await.expect(201)
}

/// Activates a campaign with all warnings acknowledged, and returns the publication.
pub async fn activate(app: &TestApp, campaign: &str) -> Value {
    let path = format!("/v1/campaigns/{campaign}/activations");
    app.post(&path, &json!({"acknowledge": ["*"]})).await.expect(201)
}

/// Creates a person without company.
pub async fn person_alone(app: &TestApp, number: &str, name: &str) {
    let person = json!({"type": "PERSON", "name": name});
    app.put(&format!("/v1/contacts/{number}"), &person).await.expect(201);
}
