//! Campaigns: the offer, its dates, its status and its copies. Prices and targets have modules of
//! their own, and the price book has what is published of them.
//!
//! The *state* of a campaign is derived from its publication and today's date and is not stored.

mod copies;
mod status_changes;
mod view;

use std::collections::HashMap;

use actix_web::web;
use chrono::NaiveDate;
use deserr::Deserr;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use status_changes::StatusChange;
use utoipa::ToSchema;
use uuid::Uuid;
use values::enums::{CampaignState, Combination, GuardrailMode, Publishing};
use values::{Date, Key, Percent, Reference, Text};
use view::CampaignRow;

pub use copies::mount_copies;
pub use status_changes::mount_status_changes;
pub use view::CampaignView;

use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError, Problem, ProblemCode};
use crate::references::{NamedReference, ReferenceKind, named};
use crate::resource::constraints::{Constraint, Dependent};
use crate::resource::table::{key_field, save_rows, table_rows, write_of_view};
use crate::resource::{IfExists, Names, Origin, Resource, RowWrite, SaveError, Scope, constraints};
use crate::salespeople::SALESPERSON_BLOCKED;
use crate::schema::{campaigns, interactions, logged_segments, opportunities, tasks};
use crate::settings::series::{Series, next_number};
use crate::unit_of_work::UnitOfWork;

/// The writable fields of a campaign.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = CampaignWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct CampaignWrite {
    /// The number. If absent on `POST`, the next one of the series is taken.
    #[deserr(default)]
    pub number: Option<Key>,
    /// A short description of the campaign.
    #[deserr(default)]
    #[serde(default)]
    pub description: Text<100>,
    /// A free code for the kind of campaign: trade fair, direct mail.
    #[deserr(default, rename = "type")]
    #[serde(rename = "type")]
    pub type_: Option<Key>,
    /// The code of the salesperson in charge.
    #[deserr(default)]
    pub salesperson_code: Option<Key>,
    /// The code of the status. A change is recorded in the history at `status-changes`.
    #[deserr(default)]
    pub status_code: Option<Key>,
    /// The first day on which its prices apply.
    #[deserr(default)]
    pub starting_date: Option<Date>,
    /// The last day on which its prices apply; open if absent.
    #[deserr(default)]
    pub ending_date: Option<Date>,
    /// The way in which changes of the active campaign reach the price book.
    #[deserr(default = Publishing::Automatic)]
    #[schema(default = "AUTOMATIC", required = false, example = "AUTOMATIC")]
    pub publishing: Publishing,
    /// The lines that its prices and discounts combine with: `ANY`, or `OWN` for only those of the
    /// campaign itself. A discount of such a campaign also applies to the list price.
    #[deserr(default = Combination::Any)]
    #[schema(default = "ANY", required = false, example = "ANY")]
    pub combination: Combination,
    /// The lowest permitted margin of the campaign's net prices over the items' unit costs, in
    /// percent of the net price; that of the settings if absent.
    #[deserr(default)]
    #[schema(example = "10")]
    pub margin_floor_percent: Option<Percent>,
    /// The largest permitted reduction of the campaign's net prices from the list prices, in
    /// percent; that of the settings if absent.
    #[deserr(default)]
    #[schema(example = "70")]
    pub max_discount_percent: Option<Percent>,
    /// The effect of a violated guardrail; that of the settings if absent.
    #[deserr(default)]
    #[schema(example = "BLOCK")]
    pub guardrail_mode: Option<GuardrailMode>,
}

/// Returns an error if a period ends before it starts.
#[must_use]
pub fn period_error(starting_date: Option<Date>, ending_date: Option<Date>) -> Option<FieldError> {
    let (start, end) = starting_date.zip(ending_date)?;
    let detail = format!("the ending date {end} lies before the starting date {start}");
    (end < start).then(|| FieldError::new("/endingDate", FieldCode::EndBeforeStart, detail))
}

/// Returns the meaning of a constraint that refuses such a period.
#[must_use]
pub const fn period_constraint(name: &'static str) -> Constraint {
    let detail = "the ending date lies before the starting date";
    Constraint::rule(name, "/endingDate", FieldCode::EndBeforeStart, detail)
}

/// The scope of all campaigns, with today's date in the company's time zone.
#[derive(Debug, Clone, Copy)]
pub struct Today(pub NaiveDate);

impl Scope for Today {
    const PARAMETERS: &'static [(&'static str, &'static str)] = &[];

    async fn find_from(origin: &Origin<'_>, _: &mut AsyncPgConnection) -> Result<Self, Problem> {
        let calendar = origin.state::<web::Data<Calendar>>();
        calendar
            .map(|calendar| Self(calendar.today()))
            .ok_or_else(|| Problem::internal("the service has no calendar"))
    }
}

/// The scope of one campaign's subresources.
#[derive(Debug, Clone)]
pub struct OfCampaign {
    /// The number of the campaign.
    pub number: Key,
}

impl Scope for OfCampaign {
    const PARAMETERS: &'static [(&'static str, &'static str)] =
        &[("campaign", "The campaign's id or number.")];

    async fn find_from(origin: &Origin<'_>, conn: &mut AsyncPgConnection) -> Result<Self, Problem> {
        let reference = origin.parent("campaign")?;
        let number: Option<Key> =
            referenced(&reference).select(campaigns::number).first(conn).await.optional()?;
        number
            .map(|number| Self { number })
            .ok_or_else(|| Problem::not_found("campaign", &reference.to_string()))
    }
}

/// Returns the query for the campaign that a path names.
#[diesel::dsl::auto_type(no_type_alias)]
fn referenced(reference: &Reference) -> _ {
    let id: Option<Uuid> = reference.id();
    let number: Option<Key> = reference.key().cloned();
    campaigns::table
        .filter(campaigns::id.nullable().eq(id).or(campaigns::number.nullable().eq(number)))
}

/// The resource `/v1/campaigns`.
pub struct Campaigns;

impl Resource for Campaigns {
    const NAMES: Names = Names {
        path: "/v1/campaigns",
        singular: "campaign",
        plural: "campaigns",
        one: "a campaign",
        tag: "Campaigns",
        area: Area::Campaigns,
        key_field: Some("number"),
    };
    const HAS_DERIVED_FIELDS: bool = true;
    const NUMBERED: bool = true;
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "campaigns.id").not_null(),
            Field::new("number", FieldKind::Key, "campaigns.number").not_null(),
            Field::new("description", FieldKind::Text, "campaigns.description").not_null(),
            Field::new("type", FieldKind::Key, "campaigns.type"),
            Field::new("salespersonCode", FieldKind::Key, "campaigns.salesperson_code"),
            Field::new("statusCode", FieldKind::Key, "campaigns.status_code"),
            Field::new("startingDate", FieldKind::Date, "campaigns.starting_date"),
            Field::new("endingDate", FieldKind::Date, "campaigns.ending_date"),
            Field::new("combination", FieldKind::Enum(Combination::TEXTS), "campaigns.combination")
                .not_null(),
            Field::new("publishing", FieldKind::Enum(Publishing::TEXTS), "campaigns.publishing")
                .not_null(),
            Field::new(
                "guardrailMode",
                FieldKind::Enum(GuardrailMode::TEXTS),
                "campaigns.guardrail_mode",
            ),
            // Must agree with `state` in view.rs.
            Field::new(
                "state",
                FieldKind::Enum(CampaignState::TEXTS),
                "CASE WHEN campaigns.publication_version IS NULL THEN 'DRAFT' \
                 WHEN {today} < campaigns.published_starting_date THEN 'SCHEDULED' \
                 WHEN {today} > campaigns.published_ending_date THEN 'ENDED' ELSE 'RUNNING' END",
            )
            .not_null(),
            Field::new(
                "hasUnpublishedChanges",
                FieldKind::Boolean,
                "campaigns.has_unpublished_changes",
            )
            .not_null(),
            Field::new("publicationVersion", FieldKind::Integer, "campaigns.publication_version"),
            Field::new(
                "publishedStartingDate",
                FieldKind::Date,
                "campaigns.published_starting_date",
            ),
            Field::new("publishedEndingDate", FieldKind::Date, "campaigns.published_ending_date"),
            Field::new("createdBy", FieldKind::Text, "campaigns.created_by").not_null(),
            Field::new("updatedBy", FieldKind::Text, "campaigns.updated_by").not_null(),
            Field::new("updatedAt", FieldKind::Instant, "campaigns.updated_at").not_null(),
        ],
        default_order: "number",
        tie: "number",
    };
    const CONSTRAINTS: &'static [Constraint] = &[
        Constraint::taken("campaigns_number_key", "/number"),
        period_constraint("campaigns_period"),
        SALESPERSON_BLOCKED,
    ];
    const DEPENDENTS: &'static [Dependent] = &[
        Dependent::new("segments", "segments WHERE campaign_number = $1"),
        Dependent::new("open tasks", "tasks WHERE campaign_number = $1 AND closed_at IS NULL"),
        Dependent::new(
            "running opportunities",
            "opportunities WHERE campaign_number = $1 AND closed_date IS NULL",
        ),
        Dependent::new(
            "uncanceled entries",
            "logged_segments WHERE campaign_number = $1 AND NOT canceled",
        ),
        Dependent::new(
            "uncanceled single interactions",
            "interactions \
             WHERE campaign_number = $1 AND segment_number IS NULL AND NOT canceled",
        ),
        Dependent::new(
            "posted sales lines",
            "sales WHERE campaign_number = $1 OR EXISTS (SELECT FROM sales_attributions \
             WHERE sale_id = sales.id AND sales_attributions.campaign_number = $1)",
        ),
    ];
    type Scope = Today;
    type Write = CampaignWrite;
    type View = CampaignView;

    table_rows! {
        campaigns by number,
        from CampaignRow: |conn, today, rows| view::views(conn, today.0, rows).await?
    }
    key_field! { number }
    write_of_view! {
        number, description, type_, salesperson_code, status_code, starting_date, ending_date,
        publishing, combination, margin_floor_percent, max_discount_percent, guardrail_mode,
    }

    async fn save(
        work: &mut UnitOfWork,
        _: &Today,
        rows: &[RowWrite<CampaignWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        let changes = status_changes(work, rows).await?;
        save_rows!(
            &mut work.conn, rows, if_exists, [author &work.author], campaigns by number:
            description, type_, salesperson_code, status_code, starting_date, ending_date,
            publishing, combination, margin_floor_percent, max_discount_percent, guardrail_mode
        )?;
        status_changes::record(work, &changes).await?;
        for number in rows.iter().filter_map(|row| row.write.number.as_ref()) {
            work.changed_keys.campaigns.insert(number.to_string());
            work.campaign_changed(number);
        }
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, _: &Today, view: &Self::View) -> Result<(), SaveError> {
        if view.publication_version.is_some() {
            let detail = format!("{} is active; deactivate it first", view.number);
            let in_use =
                constraints::in_use(&mut work.conn, Self::DEPENDENTS, view.number.as_str()).await?;
            return Err(Problem {
                errors: in_use.errors,
                ..Problem::new(ProblemCode::CampaignActive, detail)
            }
            .into());
        }
        release_closed(&mut work.conn, &view.number).await?;
        // Canceled records are deleted together with the campaign; others prevent the deletion.
        let entries =
            logged_segments::table.filter(logged_segments::campaign_number.eq(&view.number));
        diesel::delete(entries.filter(logged_segments::canceled)).execute(&mut work.conn).await?;
        let single = interactions::table.filter(interactions::campaign_number.eq(&view.number));
        let single =
            single.filter(interactions::segment_number.is_null()).filter(interactions::canceled);
        diesel::delete(single).execute(&mut work.conn).await?;
        diesel::delete(campaigns::table.find(view.id)).execute(&mut work.conn).await?;
        work.changed_keys.campaigns.insert(view.number.to_string());
        work.campaign_changed(&view.number);
        Ok(())
    }

    async fn next_key(work: &mut UnitOfWork) -> Result<Option<Key>, Problem> {
        next_number(&mut work.conn, Series::Campaign).await.map(Some)
    }

    fn rules(write: &CampaignWrite, _: &Today) -> Vec<FieldError> {
        period_error(write.starting_date, write.ending_date).into_iter().collect()
    }

    fn references(write: &CampaignWrite) -> Vec<NamedReference> {
        let salesperson =
            named("/salespersonCode", ReferenceKind::Salesperson, write.salesperson_code.as_ref());
        let status =
            named("/statusCode", ReferenceKind::CampaignStatus, write.status_code.as_ref());
        salesperson.into_iter().chain(status).collect()
    }
}

/// Removes the references that do not prevent a deletion: closed tasks are deleted, and
/// opportunities that are won or lost stay without the campaign.
async fn release_closed(
    conn: &mut AsyncPgConnection,
    number: &Key,
) -> Result<(), diesel::result::Error> {
    let closed = tasks::table
        .filter(tasks::campaign_number.eq(number))
        .filter(tasks::closed_at.is_not_null());
    diesel::delete(closed).execute(conn).await?;
    let of_campaign = opportunities::table.filter(opportunities::campaign_number.eq(number));
    diesel::update(of_campaign.filter(opportunities::closed_date.is_not_null()))
        .set(opportunities::campaign_number.eq(None::<&Key>))
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns the changes of status that the writes make. Existing campaigns are locked until the
/// transaction ends, so that each change starts where the previous one ended.
async fn status_changes(
    work: &mut UnitOfWork,
    rows: &[RowWrite<CampaignWrite>],
) -> Result<Vec<StatusChange>, diesel::result::Error> {
    let numbers: Vec<&Key> = rows.iter().filter_map(|row| row.write.number.as_ref()).collect();
    let present: HashMap<Key, Option<Key>> = campaigns::table
        .filter(campaigns::number.eq_any(numbers))
        .order(campaigns::number)
        .select((campaigns::number, campaigns::status_code))
        .for_no_key_update()
        .load::<(Key, Option<Key>)>(&mut work.conn)
        .await?
        .into_iter()
        .collect();
    let change = |row: &RowWrite<CampaignWrite>| {
        let campaign_number = row.write.number.clone()?;
        let from = present.get(&campaign_number).cloned().flatten();
        let to = row.write.status_code.clone();
        (from != to).then_some(StatusChange { campaign_number, from, to })
    };
    Ok(rows.iter().filter_map(change).collect())
}
