//! The company's settings: a single row with the local currency, the time zone, the price policy
//! and the number series.

mod local_currency;
pub mod series;

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::web;
use chrono_tz::Tz;
use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::Text as SqlText;
use diesel_async::RunQueryDsl;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::ResponseBuilder;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use values::enums::{ApprovalRequired, GuardrailMode, PricePolicy, SourceType};
use values::wire::{Invalid, InvalidKind};
use values::{CurrencyCode, Key, Percent, only_strings, sql_column, string_serde};

use crate::platform::http::access::scope::Scope;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::{BodyErrors, patched};
use crate::platform::http::operations::{json_body, json_response, patch_body};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::routes::Routes;
use crate::resource::{checked, require};
use crate::schema::settings;
use crate::unit_of_work::Database;

const PATH: &str = "/v1/settings";

/// A time zone of the IANA database.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
    utoipa::ToSchema,
)]
#[diesel(sql_type = SqlText)]
#[schema(
    value_type = String,
    pattern = "^[A-Za-z0-9_+/-]+$",
    min_length = 1,
    max_length = 64,
    example = "Europe/Oslo"
)]
pub struct TimeZone(Tz);

impl TimeZone {
    /// Parses the name of a time zone, as the IANA database writes it.
    ///
    /// # Errors
    /// If no time zone has this name.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        text.parse().map(Self).map_err(|_| {
            Invalid::new(
                InvalidKind::Value,
                "a time zone has a name of the IANA database, such as Europe/Oslo",
            )
        })
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

only_strings!(TimeZone);
string_serde!(TimeZone);
sql_column!(TimeZone, SqlText, String, ToString::to_string, |stored: String| Self::parse(&stored)
    .map_err(Into::into));

/// The company's settings. All fields but those of guardrails and
/// approval are required.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema, Queryable, Selectable, AsChangeset)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = settings, check_for_backend(Pg), treat_none_as_null = true)]
pub struct Settings {
    /// The currency of list prices, costs and all amounts without a currency code. It need not
    /// exist as a currency; the default precisions apply then. It cannot change while amounts
    /// exist.
    pub local_currency_code: CurrencyCode,
    /// The time zone of the company, which determines today's date.
    pub time_zone: TimeZone,
    /// The policy for the choice among price and discount lines.
    #[schema(example = "LOWEST_NET")]
    pub price_policy: PricePolicy,
    /// The order of the sources for the policy `HIERARCHY`: all five, each once.
    #[schema(min_items = 5, max_items = 5, example = json!(SourceType::TEXTS))]
    pub price_hierarchy: Vec<SourceType>,
    /// True to cap prices at the list price.
    #[schema(example = false)]
    pub never_above_list_price: bool,
    /// The lowest permitted margin of a net price over the item's unit cost, in percent of the net
    /// price; no bound if null. The net price counts in local currency, without tax, per base unit.
    #[deserr(default)]
    #[schema(example = "15")]
    pub margin_floor_percent: Option<Percent>,
    /// The largest permitted reduction of a net price from the item's list price, in percent; no
    /// bound if null.
    #[deserr(default)]
    #[schema(example = "60")]
    pub max_discount_percent: Option<Percent>,
    /// The effect of a price below cost, below the margin floor or beyond the largest reduction,
    /// and of a campaign's line that lowers nobody's price. A campaign can have guardrails of its
    /// own.
    #[deserr(default = GuardrailMode::Warn)]
    #[schema(default = "WARN", required = false, example = "WARN")]
    pub guardrail_mode: GuardrailMode,
    /// The publications of campaigns that a second person has to approve. Changes of active
    /// campaigns that need an approval wait for an activation.
    #[deserr(default = ApprovalRequired::Never)]
    #[schema(default = "NEVER", required = false, example = "NEVER")]
    pub approval_required: ApprovalRequired,
    /// The number for the next campaign that is created without one. Its last digits are
    /// incremented.
    pub next_campaign_number: Key,
    /// The number for the next segment that is created without one. Its last digits are
    /// incremented.
    pub next_segment_number: Key,
    /// The number for the next contact that is created without one. Its last digits are
    /// incremented.
    pub next_contact_number: Key,
    /// The number for the next opportunity that is created without one. Its last digits are
    /// incremented.
    pub next_opportunity_number: Key,
}

impl Settings {
    /// Returns the violated rules.
    fn rules(&self) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for source in SourceType::ALL {
            let mut places =
                self.price_hierarchy.iter().enumerate().filter(|(_, named)| *named == source);
            match (places.next(), places.next()) {
                (None, _) => {
                    let detail = format!("names all five sources, and {source} is not among them");
                    errors.push(FieldError::new("/priceHierarchy", FieldCode::Incomplete, detail));
                }
                (_, Some((at, _))) => {
                    let detail = format!("{source} is in the list more than once");
                    errors.push(FieldError::new(
                        format!("/priceHierarchy/{at}"),
                        FieldCode::Duplicate,
                        detail,
                    ));
                }
                _ => {}
            }
        }
        for (pointer, number) in [
            ("/nextCampaignNumber", &self.next_campaign_number),
            ("/nextSegmentNumber", &self.next_segment_number),
            ("/nextContactNumber", &self.next_contact_number),
            ("/nextOpportunityNumber", &self.next_opportunity_number),
        ] {
            if series::after(number).is_none() {
                let detail = format!("no number can follow {number}");
                errors.push(FieldError::new(pointer, FieldCode::CannotCountUp, detail));
            }
        }
        errors
    }
}

/// Adds the operations on the settings to the route table.
pub fn mount(routes: &mut Routes) {
    let operation = |id: &str, summary: &str, description: &str| {
        OperationBuilder::new()
            .operation_id(Some(id))
            .tag("Reference data")
            .summary(Some(summary))
            .description(Some(description))
    };
    routes.schema::<Settings>();
    let documented = operation(
        "get_settings",
        "Get the company's settings",
        "Answers 304 if `If-None-Match` has the current ETag.",
    )
    .response("200", json_response("The settings.", Settings::name()))
    .response(
        "304",
        ResponseBuilder::new().description("The caller has the current representation."),
    );
    routes.operation(Scope::CatalogRead, HttpMethod::Get, PATH, documented.build(), get);
    let documented = operation(
        "put_settings",
        "Replace the company's settings",
        "Replaces all settings. Every field is required, except those of guardrails and \
         approval.",
    )
    .request_body(Some(json_body("All settings.", Settings::name())))
    .response("200", json_response("Replaced.", Settings::name()));
    routes.operation(Scope::Admin, HttpMethod::Put, PATH, documented.build(), put);
    let documented = operation(
        "update_settings",
        "Change the company's settings",
        "A JSON merge patch: absent fields do not change. Only the bounds of guardrails can be \
         removed.",
    )
    .request_body(Some(patch_body("The settings to change.", Settings::name())))
    .response("200", json_response("Changed.", Settings::name()));
    routes.operation(Scope::Admin, HttpMethod::Patch, PATH, documented.build(), patch);
}

/// Handles `GET` on the settings.
async fn get(request: ApiRequest, database: web::Data<Database>) -> Result<ApiResponse, Problem> {
    request.expect_empty()?;
    let current =
        settings::table.select(Settings::as_select()).first(&mut database.read().await?).await?;
    Ok(ApiResponse::resource(StatusCode::OK, &current)?
        .not_modified_if_known(request.if_none_match.as_ref()))
}

/// Handles `PUT` on the settings.
async fn put(request: ApiRequest, database: web::Data<Database>) -> Result<ApiResponse, Problem> {
    let write: Settings = request.json().await?;
    change(&request, &database, |_| Ok(write)).await
}

/// Handles `PATCH` on the settings.
async fn patch(request: ApiRequest, database: web::Data<Database>) -> Result<ApiResponse, Problem> {
    let changes = request.merge_patch().await?;
    change(&request, &database, |current| patched(current, changes)).await
}

/// Replaces the settings, if the condition of the request holds for the current ones.
async fn change(
    request: &ApiRequest,
    database: &Database,
    wanted: impl FnOnce(&Settings) -> Result<Settings, Problem>,
) -> Result<ApiResponse, Problem> {
    request.query(&[])?;
    database
        .transact(request, async |work| {
            let query = settings::table.select(Settings::as_select()).for_no_key_update();
            let current = query.first(&mut work.conn).await?;
            require(request, &ApiResponse::resource(StatusCode::OK, &current)?)?;
            let wanted = wanted(&current)?;
            checked(wanted.rules())?;
            if wanted.local_currency_code != current.local_currency_code {
                local_currency::change(work, &wanted.local_currency_code).await?;
            }
            diesel::update(settings::table).set(&wanted).execute(&mut work.conn).await?;
            work.changed_keys.settings = true;
            ApiResponse::resource(StatusCode::OK, &wanted)
        })
        .await
}
