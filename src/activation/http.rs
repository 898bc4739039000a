//! Activation and deactivation over HTTP.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use deserr::Deserr;
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};
use values::Text;

use super::activate::{Acknowledged, ActivationOptions, Outcome};
use super::book_view::book_view;
use super::findings::{Finding, FindingCode};
use super::guardrails::{self, Checked, VersionRange};
use super::plan::Plan;
use super::{activate, draft};
use crate::live_book::LiveBook;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Scope;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::routes::Routes;
use crate::publication::http::PublicationView;
use crate::publication::writer::PublicationKind;
use crate::resource::reference;
use crate::unit_of_work::{Database, UnitOfWork};

/// The value of `acknowledge` that accepts every warning.
const ALL: &str = "*";

/// Adds the operations.
pub fn mount(routes: &mut Routes) {
    routes.add(Scope::CampaignsActivate, __path_activate_campaign, activate_campaign);
    routes.add(Scope::CampaignsActivate, __path_deactivate_campaign, deactivate_campaign);
    super::planned_prices::mount(routes);
    super::rollback::mount(routes);
    super::approval_requests::mount(routes);
    super::audience::mount(routes);
    super::grants::mount(routes);
}

/// The options of an activation.
#[derive(Debug, Default, Deserr, ToSchema)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[schema(rename_all = "camelCase")]
pub struct ActivationRequest {
    /// The codes or ids of warnings to accept; `*` accepts all warnings.
    #[deserr(default)]
    #[schema(
        value_type = Vec<AcknowledgedCode>,
        required = false,
        max_items = 100,
        example = json!(["OPEN_END"])
    )]
    pub acknowledge: Vec<Text<50>>,
    /// True to validate and plan without publishing.
    #[deserr(default)]
    #[schema(required = false, default = false, example = false)]
    pub validate_only: bool,
    /// The hash of the plan to publish. If the plan has changed, the activation is refused with 409
    /// `PLAN_CHANGED`.
    #[deserr(default)]
    #[schema(
        value_type = Option<String>,
        max_length = 64,
        example = "8f14e45fceea167a5a36dedd4bea2543"
    )]
    pub plan_hash: Option<Text<64>>,
}

/// The schema of an entry of `acknowledge`: the code or the id of a finding, or `*`.
struct AcknowledgedCode;

impl PartialSchema for AcknowledgedCode {
    fn schema() -> RefOr<Schema> {
        let codes: Vec<&str> = FindingCode::ALL.iter().map(|code| code.text()).collect();
        let pattern = format!(r"^(\*|[0-9a-f]{{32}}|{})$", codes.join("|"));
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some(pattern))
            .max_length(Some(50))
            .description(Some("The code or the id of a finding, or `*` for all."))
            .into()
    }
}

impl ToSchema for AcknowledgedCode {}

impl ActivationRequest {
    fn into_options(self) -> Result<ActivationOptions, Problem> {
        let mut errors = Vec::new();
        let (mut codes, mut ids) = (Vec::new(), Vec::new());
        let mut all = false;
        for (at, text) in self.acknowledge.iter().enumerate() {
            match FindingCode::ALL.iter().find(|code| code.text() == text.as_str()) {
                Some(code) => codes.push(*code),
                None if text.as_str() == ALL => all = true,
                None if is_finding_id(text.as_str()) => ids.push(text.to_string()),
                None => {
                    let detail = format!("{text} is neither a code nor an id of a finding");
                    errors.push(FieldError::new(
                        format!("/acknowledge/{at}"),
                        FieldCode::InvalidValue,
                        detail,
                    ));
                }
            }
        }
        if !errors.is_empty() {
            return Err(Problem::from_errors(errors));
        }
        Ok(ActivationOptions {
            acknowledged: if all { Acknowledged::All } else { Acknowledged::Some { codes, ids } },
            validate_only: self.validate_only,
            plan_hash: self.plan_hash.map(|hash| hash.to_string()),
        })
    }
}

/// Returns whether a text has the form of a finding's id.
fn is_finding_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The result of an activation: the publication, or the plan if `validateOnly` is set.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActivationResult {
    /// The version of the price book that contains the campaign; absent with `validateOnly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 418)]
    pub version: Option<i64>,
    /// The kind of the publication; absent with `validateOnly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<PublicationKind>,
    /// The number of the campaign.
    #[schema(max_length = 50, example = "CP0001")]
    pub campaign_number: String,
    /// The author of the publication; absent with `validateOnly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100, example = "local")]
    pub author: Option<String>,
    /// The time of the publication; absent with `validateOnly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "2031-05-01T08:30:00Z")]
    pub published_at: Option<DateTime<Utc>>,
    /// Number of facts and accounts added; absent with `validateOnly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1241)]
    pub added: Option<i64>,
    /// Number of facts changed; absent with `validateOnly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub changed: Option<i64>,
    /// Number of facts and accounts removed; absent with `validateOnly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 0)]
    pub removed: Option<i64>,
    /// The hash of everything that was added and removed, independent of the order; absent with
    /// `validateOnly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, example = "8f14e45fceea167a5a36dedd4bea2543")]
    pub content_hash: Option<String>,
    /// The hash of the content that is, or would be, published.
    #[schema(max_length = 64, example = "1679091c5a880faf6fb5e6087eb1b2dc")]
    pub plan_hash: String,
    /// True if the publication needs, or needed, an approval of the plan by a second person.
    #[schema(example = false)]
    pub approval_required: bool,
    /// All findings, errors first.
    #[schema(max_items = 1000)]
    pub findings: Vec<Finding>,
    /// The changes that an activation would make; present only with `validateOnly`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
}

impl ActivationResult {
    fn new(campaign_number: String, outcome: Outcome) -> Self {
        let publication = outcome.publication.as_ref();
        Self {
            version: publication.map(|publication| publication.version),
            kind: publication.map(|publication| publication.kind),
            campaign_number,
            author: publication.map(|publication| publication.author.clone()),
            published_at: publication.map(|publication| publication.published_at),
            added: publication.map(|publication| publication.added),
            changed: publication.map(|publication| publication.changed),
            removed: publication.map(|publication| publication.removed),
            content_hash: publication.map(|publication| publication.content_hash.clone()),
            plan_hash: outcome.plan_hash,
            approval_required: outcome.needs_approval,
            findings: outcome.findings,
            plan: outcome.plan,
        }
    }
}

/// Activate a campaign
///
/// Checks the targeting rules and publishes the campaign's dates, lines and audience as one new
/// version of the price book. Errors refuse the activation with 422, and so do warnings that
/// `acknowledge` names neither by code nor by `findingId`. The answer then lists all findings
/// together, and nothing changes.
///
/// With `validateOnly` nothing changes either, and the answer has the findings and the plan.
/// If the settings require an approval, an approved request with the same `planHash` has to exist;
/// otherwise the answer is 422 `APPROVAL_REQUIRED`.
///
/// Activating an active campaign publishes its changes. If there are none, the answer is the
/// current publication.
#[utoipa::path(
    post,
    path = "/v1/campaigns/{campaign}/activations",
    operation_id = "activate_campaign",
    tag = "Activation",
    params(("campaign" = String, Path, description = "The id or the number.", min_length = 1,
        max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")),
    request_body(content = Option<ActivationRequest>,
        description = "The options. Without a body the campaign is validated and published."),
    responses(
        (status = 201, description = "Published: a new version of the price book.",
            body = ActivationResult),
        (status = 200, description = "Already published without changes, or only validated.",
            body = ActivationResult),
    )
)]
async fn activate_campaign(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    book: web::Data<LiveBook>,
) -> Result<ApiResponse, Problem> {
    request.query(&[])?;
    let campaign = reference(&http_request, "campaign")?;
    let options = request.json_or_default::<ActivationRequest>().await?.into_options()?;
    let activating = async |work: &mut UnitOfWork| {
        let campaign = draft::find_for_update(&mut work.conn, &campaign).await?;
        let number = campaign.number.to_string();
        let copy = book_view(&mut work.conn, &book).await?;
        let outcome =
            activate::activate(work, campaign, &options, &book, copy, calendar.today()).await?;
        let status = if outcome.is_new { StatusCode::CREATED } else { StatusCode::OK };
        ApiResponse::json(status, &ActivationResult::new(number, outcome))
    };
    if options.validate_only {
        database.preview(&request, activating).await
    } else {
        database.transact(&request, activating).await
    }
}

/// Deactivate a campaign
///
/// Withdraws the campaign's dates, lines and audience from the price book, as a new version. If the
/// campaign is not active, the answer is its latest deactivation with 200.
///
/// A withdrawal that lowers a price below a guardrail is refused with 422 if `guardrailMode` is
/// `BLOCK`: the campaign's line was more specific than a cheaper one. Otherwise the violation is in
/// `warnings`.
#[utoipa::path(
    post,
    path = "/v1/campaigns/{campaign}/deactivations",
    operation_id = "deactivate_campaign",
    tag = "Activation",
    params(("campaign" = String, Path, description = "The id or the number.", min_length = 1,
        max_length = 50, pattern = "^[^\\u0000-\\u001f\\u007f-\\u009f]+$")),
    responses(
        (status = 201, description = "Withdrawn: a new version of the price book.",
            body = PublicationView),
        (status = 200, description = "Withdrawn before; the earlier publication.",
            body = PublicationView),
        (status = 204, description = "The campaign was never active."),
    )
)]
async fn deactivate_campaign(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    book: web::Data<LiveBook>,
) -> Result<ApiResponse, Problem> {
    #[derive(Default, Deserr)]
    #[deserr(error = BodyErrors, deny_unknown_fields)]
    struct Nothing {}
    request.query(&[])?;
    request.json_or_default::<Nothing>().await?;
    let campaign = reference(&http_request, "campaign")?;
    database
        .transact(&request, async |work| {
            let campaign = draft::find_for_update(&mut work.conn, &campaign).await?;
            match activate::deactivate(work, &campaign).await? {
                Some((publication, true)) => {
                    let range = VersionRange::of(publication.version);
                    let (today, checked) = (calendar.today(), Checked::default());
                    guardrails::check_published(work, &book, today, range, checked).await?;
                    ApiResponse::json(StatusCode::CREATED, &PublicationView::from(publication))
                }
                Some((publication, false)) => {
                    ApiResponse::json(StatusCode::OK, &PublicationView::from(publication))
                }
                None => Ok(ApiResponse::empty(StatusCode::NO_CONTENT)),
            }
        })
        .await
}
