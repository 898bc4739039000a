//! Logged segments and campaign entries. A logged segment with a campaign is the campaign's entry:
//! both are views of one row, so canceling either cancels both.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Numeric, Text as SqlText};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Required, ResponseBuilder};
use uuid::Uuid;
use values::{Amount, Date, Key, Text};

use super::check_deletable;
use crate::campaigns::OfCampaign;
use crate::platform::http::access::scope::Area;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::operations::{parameter, path_parameter};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::routes::Routes;
use crate::resource::mount::mount_without_create;
use crate::resource::table::{table_rows, write_of_view};
use crate::resource::{IfExists, Names, Resource, RowWrite, SaveError, Scope};
use crate::schema::{interactions, logged_segments};
use crate::unit_of_work::{Database, UnitOfWork};

/// The writable fields of a logged segment or a campaign entry.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = CancellationWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct Cancellation {
    /// True to cancel, which also cancels the interactions. False restores the interactions that
    /// were canceled with it.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = true)]
    pub canceled: bool,
}

/// A logged segment, whose lines have become interactions.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = LoggedSegment)]
#[serde(rename_all = "camelCase")]
pub struct LoggedSegmentView {
    /// The id, which is that of the segment.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The number, which is that of the segment.
    pub number: Key,
    /// A short description.
    pub description: Text<100>,
    /// The campaign whose entry it is.
    pub campaign_number: Option<Key>,
    /// True if its lines were targets of the campaign by default; single lines may differ.
    #[schema(example = true)]
    pub campaign_target: bool,
    /// True if its lines were responses to the campaign by default; single lines may differ.
    #[schema(example = false)]
    pub campaign_response: bool,
    /// The salesperson in charge.
    pub salesperson_code: Option<Key>,
    /// The subject of the mailing.
    pub subject: Text<100>,
    /// The interaction template of its interactions.
    pub interaction_template_code: Key,
    /// The day on which it was logged.
    // Spelled out because utoipa treats every type named `Date` as its own.
    #[schema(value_type = String, format = Date, max_length = 10, example = "2031-05-15")]
    pub date: Date,
    /// True if the system that sends the mailing should send the attachments.
    #[schema(example = false)]
    pub send_attachments: bool,
    /// The number of its interactions that are not canceled.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 120)]
    pub number_of_interactions: i64,
    /// The total cost of these interactions, in local currency.
    #[schema(example = "300")]
    pub cost: Amount,
    /// The total duration of these interactions, in minutes.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1800)]
    pub duration: i64,
    /// True if it is canceled and counts in no figure and no audience.
    #[schema(example = false)]
    pub canceled: bool,
}

/// A campaign entry: a logged segment of the campaign.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = CampaignEntry)]
#[serde(rename_all = "camelCase")]
pub struct CampaignEntryView {
    /// The id, which is that of the logged segment.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The number of the logged segment.
    pub segment_number: Key,
    /// The description of the logged segment.
    pub description: Text<100>,
    /// The date of the interactions.
    // Spelled out because utoipa treats every type named `Date` as its own.
    #[schema(value_type = String, format = Date, max_length = 10, example = "2031-05-15")]
    pub date: Date,
    /// The salesperson in charge.
    pub salesperson_code: Option<Key>,
    /// The number of its interactions that are not canceled.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 120)]
    pub number_of_interactions: i64,
    /// The total cost of these interactions, in local currency.
    #[schema(example = "300")]
    pub cost: Amount,
    /// The total duration of these interactions, in minutes.
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64, example = 1800)]
    pub duration: i64,
    /// True if it is canceled and counts in no figure and no audience.
    #[schema(example = false)]
    pub canceled: bool,
}

/// A logged segment as stored.
#[derive(Queryable, Selectable)]
#[diesel(table_name = logged_segments, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    number: Key,
    description: Text<100>,
    campaign_number: Option<Key>,
    campaign_target: bool,
    campaign_response: bool,
    salesperson_code: Option<Key>,
    subject: Text<100>,
    interaction_template_code: Key,
    date: Date,
    send_attachments: bool,
    canceled: bool,
}

/// The totals over the interactions of a logged segment that are not canceled.
#[derive(Clone, Default, QueryableByName)]
struct Totals {
    #[diesel(sql_type = SqlText)]
    segment_number: String,
    #[diesel(sql_type = BigInt)]
    number_of_interactions: i64,
    #[diesel(sql_type = Numeric)]
    cost: Amount,
    #[diesel(sql_type = BigInt)]
    duration: i64,
}

impl From<(Row, Totals)> for LoggedSegmentView {
    fn from((row, totals): (Row, Totals)) -> Self {
        Self {
            id: row.id,
            number: row.number,
            description: row.description,
            campaign_number: row.campaign_number,
            campaign_target: row.campaign_target,
            campaign_response: row.campaign_response,
            salesperson_code: row.salesperson_code,
            subject: row.subject,
            interaction_template_code: row.interaction_template_code,
            date: row.date,
            send_attachments: row.send_attachments,
            number_of_interactions: totals.number_of_interactions,
            cost: totals.cost,
            duration: totals.duration,
            canceled: row.canceled,
        }
    }
}

impl From<(Row, Totals)> for CampaignEntryView {
    fn from((row, totals): (Row, Totals)) -> Self {
        Self {
            id: row.id,
            segment_number: row.number,
            description: row.description,
            date: row.date,
            salesperson_code: row.salesperson_code,
            number_of_interactions: totals.number_of_interactions,
            cost: totals.cost,
            duration: totals.duration,
            canceled: row.canceled,
        }
    }
}

/// Builds the views of rows, with the totals of their interactions.
async fn views<V: From<(Row, Totals)>>(
    conn: &mut AsyncPgConnection,
    rows: Vec<Row>,
) -> Result<Vec<V>, Problem> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let query = "SELECT segment_number, count(*) AS number_of_interactions, sum(cost) AS cost,
            sum(duration_minutes) AS duration
        FROM interactions WHERE segment_number = ANY($1) AND NOT canceled GROUP BY segment_number";
    let numbers: Vec<&Key> = rows.iter().map(|row| &row.number).collect();
    let found: Vec<Totals> =
        diesel::sql_query(query).bind::<Array<SqlText>, _>(numbers).load(conn).await?;
    let mut totals: HashMap<String, Totals> =
        found.into_iter().map(|totals| (totals.segment_number.clone(), totals)).collect();
    let view = |row: Row| {
        let totals = totals.remove(row.number.as_str()).unwrap_or_default();
        V::from((row, totals))
    };
    Ok(rows.into_iter().map(view).collect())
}

/// The totals of [`views`] as list fields.
const NUMBER_OF_INTERACTIONS: Field = Field::new(
    "numberOfInteractions",
    FieldKind::Integer,
    "(SELECT count(*) FROM interactions \
     WHERE interactions.segment_number = logged_segments.number AND NOT interactions.canceled)",
)
.not_null();
const COST: Field = Field::new(
    "cost",
    FieldKind::Decimal,
    "(SELECT coalesce(sum(interactions.cost), 0) FROM interactions \
     WHERE interactions.segment_number = logged_segments.number AND NOT interactions.canceled)",
)
.not_null();
const DURATION: Field = Field::new(
    "duration",
    FieldKind::Integer,
    "(SELECT coalesce(sum(interactions.duration_minutes), 0) FROM interactions \
     WHERE interactions.segment_number = logged_segments.number AND NOT interactions.canceled)",
)
.not_null();

/// The addition to the description of the delete operations.
const DELETION: &str = "Its interactions are deleted with it. Refused with 409 \
    `ENTRY_NOT_CANCELED` unless it is canceled.";

/// Cancels logged segments with their interactions, or restores them. Interactions that were
/// canceled individually stay canceled.
async fn save(work: &mut UnitOfWork, rows: &[RowWrite<Cancellation>]) -> Result<(), SaveError> {
    use {interactions as i, logged_segments as t};
    for canceled in [false, true] {
        let ids = rows.iter().filter(|row| row.write.canceled == canceled).map(|row| row.id);
        let changed: Vec<(Key, Option<String>)> = diesel::update(t::table)
            .filter(t::id.eq_any(ids).and(t::canceled.ne(canceled)))
            .set(t::canceled.eq(canceled))
            .returning((t::number, t::campaign_number))
            .get_results(&mut work.conn)
            .await?;
        let (numbers, campaigns): (Vec<Key>, Vec<Option<String>>) = changed.into_iter().unzip();
        // Restoring affects the interactions that were canceled with the segment, canceling those
        // that are not canceled yet.
        let affected = i::canceled_with_segment.ne(canceled).and(i::canceled.ne(canceled));
        diesel::update(i::table.filter(i::segment_number.eq_any(numbers)).filter(affected))
            .set((i::canceled.eq(canceled), i::canceled_with_segment.eq(canceled)))
            .execute(&mut work.conn)
            .await?;
        work.changed_keys.campaigns.extend(campaigns.into_iter().flatten());
    }
    work.changed_keys.interactions = true;
    Ok(())
}

/// Deletes a logged segment with its interactions. No changed keys are recorded, since canceled
/// records are in no audience.
async fn delete(
    work: &mut UnitOfWork,
    id: Uuid,
    number: &Key,
    canceled: bool,
) -> Result<(), SaveError> {
    check_deletable(canceled, number.as_str())?;
    diesel::delete(logged_segments::table.find(id)).execute(&mut work.conn).await?;
    Ok(())
}

/// The resource `/v1/logged-segments`.
pub struct LoggedSegments;

impl Resource for LoggedSegments {
    const NAMES: Names = Names {
        path: "/v1/logged-segments",
        singular: "logged_segment",
        plural: "logged_segments",
        one: "a logged segment",
        tag: "Interactions",
        area: Area::Contacts,
        key_field: Some("number"),
    };
    const HAS_DERIVED_FIELDS: bool = true;
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "logged_segments.id").not_null(),
            Field::new("number", FieldKind::Key, "logged_segments.number").not_null(),
            Field::new("description", FieldKind::Text, "logged_segments.description").not_null(),
            Field::new("campaignNumber", FieldKind::Key, "logged_segments.campaign_number"),
            Field::new("campaignTarget", FieldKind::Boolean, "logged_segments.campaign_target")
                .not_null(),
            Field::new("campaignResponse", FieldKind::Boolean, "logged_segments.campaign_response")
                .not_null(),
            Field::new("salespersonCode", FieldKind::Key, "logged_segments.salesperson_code"),
            Field::new("subject", FieldKind::Text, "logged_segments.subject").not_null(),
            Field::new(
                "interactionTemplateCode",
                FieldKind::Key,
                "logged_segments.interaction_template_code",
            )
            .not_null(),
            Field::new("date", FieldKind::Date, "logged_segments.date").not_null(),
            Field::new("sendAttachments", FieldKind::Boolean, "logged_segments.send_attachments")
                .not_null(),
            NUMBER_OF_INTERACTIONS,
            COST,
            DURATION,
            Field::new("canceled", FieldKind::Boolean, "logged_segments.canceled").not_null(),
        ],
        default_order: "number",
        tie: "number",
    };
    const DELETION: &'static str = DELETION;
    type Scope = ();
    type Write = Cancellation;
    type View = LoggedSegmentView;

    table_rows! {
        logged_segments by number,
        from Row: |conn, _scope, rows| views(conn, rows).await?
    }
    write_of_view! { canceled }

    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<Cancellation>],
        _: IfExists,
    ) -> Result<(), SaveError> {
        save(work, rows).await
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        delete(work, view.id, &view.number, view.canceled).await
    }
}

/// The resource `/v1/campaigns/{campaign}/entries`.
pub struct CampaignEntries;

impl Resource for CampaignEntries {
    const NAMES: Names = Names {
        path: "/v1/campaigns/{campaign}/entries",
        singular: "campaign_entry",
        plural: "campaign_entries",
        one: "a campaign's entry",
        tag: "Interactions",
        area: Area::Contacts,
        key_field: Some("segmentNumber"),
    };
    const HAS_DERIVED_FIELDS: bool = true;
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "logged_segments.id").not_null(),
            Field::new("segmentNumber", FieldKind::Key, "logged_segments.number").not_null(),
            Field::new("description", FieldKind::Text, "logged_segments.description").not_null(),
            Field::new("date", FieldKind::Date, "logged_segments.date").not_null(),
            Field::new("salespersonCode", FieldKind::Key, "logged_segments.salesperson_code"),
            NUMBER_OF_INTERACTIONS,
            COST,
            DURATION,
            Field::new("canceled", FieldKind::Boolean, "logged_segments.canceled").not_null(),
        ],
        default_order: "date,segmentNumber",
        tie: "segmentNumber",
    };
    const DELETION: &'static str = DELETION;
    type Scope = OfCampaign;
    type Write = Cancellation;
    type View = CampaignEntryView;

    table_rows! {
        logged_segments by number,
        from Row: |conn, _campaign, rows| views(conn, rows).await?,
        where |campaign| logged_segments::campaign_number.eq(&campaign.number)
    }
    write_of_view! { canceled }

    async fn save(
        work: &mut UnitOfWork,
        _: &OfCampaign,
        rows: &[RowWrite<Cancellation>],
        _: IfExists,
    ) -> Result<(), SaveError> {
        save(work, rows).await
    }

    async fn delete(
        work: &mut UnitOfWork,
        _: &OfCampaign,
        view: &Self::View,
    ) -> Result<(), SaveError> {
        delete(work, view.id, &view.segment_number, view.canceled).await
    }
}

/// Adds the operations to the route table.
pub fn mount_logged(routes: &mut Routes) {
    mount_without_create::<LoggedSegments>(routes);
    mount_without_create::<CampaignEntries>(routes);
    let parameters =
        OfCampaign::PARAMETERS.iter().map(|(name, description)| path_parameter(name, description));
    let deleting = OperationBuilder::new()
        .operation_id(Some("delete_canceled_campaign_entries"))
        .tag(CampaignEntries::NAMES.tag)
        .summary(Some("Delete a campaign's canceled entries"))
        .description(Some(
            "Deletes all canceled entries of the campaign with their interactions. Other entries \
             stay. `If-Match` is not required, since canceled entries do not count.",
        ))
        .parameters(Some(parameters))
        .parameter(parameter(
            ParameterIn::Query,
            Required::True,
            "canceled",
            "Required, and must be `true`: only canceled entries can be deleted.",
            ObjectBuilder::new().schema_type(Type::Boolean).enum_values(Some([true])),
        ))
        .response("204", ResponseBuilder::new().description("No canceled entry is left."))
        .build();
    routes.operation(
        Area::Contacts.write(),
        HttpMethod::Delete,
        CampaignEntries::NAMES.path,
        deleting,
        delete_canceled,
    );
}

/// Handles `DELETE` on the collection of entries.
async fn delete_canceled(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    let query = request.query(&["canceled"])?;
    if query.get("canceled") != Some("true") {
        let detail = "has to be true: only canceled entries can be deleted";
        let code = if query.get("canceled").is_none() {
            FieldCode::Required
        } else {
            FieldCode::InvalidValue
        };
        return Err(Problem::from_errors(vec![FieldError::new("?canceled", code, detail)]));
    }
    request.expect_no_body()?;
    database
        .transact(&request, async |work| {
            use logged_segments as t;
            let OfCampaign { number } = OfCampaign::find(&http_request, &mut work.conn).await?;
            let canceled = t::table.filter(t::campaign_number.eq(number)).filter(t::canceled);
            diesel::delete(canceled).execute(&mut work.conn).await?;
            Ok(ApiResponse::empty(StatusCode::NO_CONTENT))
        })
        .await
}
