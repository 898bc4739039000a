//! Opportunities: possible sales to contacts, with their value, chance and outcome.

use std::collections::HashMap;

use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::{Amount, Date, Key, Percent, Text, text_enum};

use crate::campaigns::Today;
use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::references::{NamedReference, ReferenceKind, named};
use crate::resource::constraints::Constraint;
use crate::resource::table::{column_values, key_field, table_rows, upsert, write_of_view};
use crate::resource::{IfExists, Names, Resource, RowWrite, SaveError, refusal};
use crate::salespeople::SALESPERSON_BLOCKED;
use crate::schema::{campaigns, opportunities};
use crate::settings::series::{Series, next_number};
use crate::unit_of_work::UnitOfWork;

text_enum! {
    /// The state of an opportunity.
    OpportunityState {
        /// Work has not started.
        NotStarted = "NOT_STARTED",
        /// Work has started.
        InProgress = "IN_PROGRESS",
        /// The contact bought.
        Won = "WON",
        /// The contact did not buy.
        Lost = "LOST",
    }
}

impl OpportunityState {
    /// Returns whether the state closes the opportunity.
    const fn is_closed(self) -> bool {
        matches!(self, Self::Won | Self::Lost)
    }
}

/// The writable fields of an opportunity.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = OpportunityWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct OpportunityWrite {
    /// The number. If absent on `POST`, the next number of the series is assigned.
    #[deserr(default)]
    pub number: Option<Key>,
    /// A short description.
    #[deserr(default)]
    #[serde(default)]
    pub description: Text<100>,
    /// The contact who may buy.
    pub contact_number: Key,
    /// The campaign that led to it. `creationDate` must be within the campaign's dates.
    #[deserr(default)]
    pub campaign_number: Option<Key>,
    /// The salesperson in charge.
    #[deserr(default)]
    pub salesperson_code: Option<Key>,
    /// The estimated value in local currency, if it is won.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = "0")]
    pub estimated_value: Amount,
    /// The chance of winning it, in percent.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = "0")]
    pub chance_percent: Percent,
    /// The stage, as free text.
    #[deserr(default)]
    #[serde(default)]
    pub stage: Text<50>,
    /// The state; `WON` and `LOST` close the opportunity.
    #[deserr(default = OpportunityState::NotStarted)]
    #[schema(default = "NOT_STARTED", required = false, example = "IN_PROGRESS")]
    pub state: OpportunityState,
    /// The date of its creation. If absent, it is unchanged, or today for a new opportunity.
    #[deserr(default)]
    pub creation_date: Option<Date>,
}

/// An opportunity.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = Opportunity)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = opportunities, check_for_backend(Pg))]
pub struct OpportunityView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The number.
    pub number: Key,
    /// A short description.
    pub description: Text<100>,
    /// The contact who may buy.
    pub contact_number: Key,
    /// The campaign that led to it.
    pub campaign_number: Option<Key>,
    /// The salesperson in charge.
    pub salesperson_code: Option<Key>,
    /// The estimated value in local currency, if it is won.
    pub estimated_value: Amount,
    /// The chance of winning it, in percent.
    pub chance_percent: Percent,
    /// The stage, as free text.
    pub stage: Text<50>,
    /// The state.
    #[schema(example = "IN_PROGRESS")]
    pub state: OpportunityState,
    /// The date of its creation.
    pub creation_date: Date,
    /// The day on which it was won or lost; null while it is open.
    pub closed_date: Option<Date>,
}

/// The resource `/v1/opportunities`.
pub struct Opportunities;

impl Resource for Opportunities {
    const NAMES: Names = Names {
        path: "/v1/opportunities",
        singular: "opportunity",
        plural: "opportunities",
        one: "an opportunity",
        tag: "Tasks and opportunities",
        area: Area::Campaigns,
        key_field: Some("number"),
    };
    const NUMBERED: bool = true;
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "opportunities.id").not_null(),
            Field::new("number", FieldKind::Key, "opportunities.number").not_null(),
            Field::new("description", FieldKind::Text, "opportunities.description").not_null(),
            Field::new("contactNumber", FieldKind::Key, "opportunities.contact_number").not_null(),
            Field::new("campaignNumber", FieldKind::Key, "opportunities.campaign_number"),
            Field::new("salespersonCode", FieldKind::Key, "opportunities.salesperson_code"),
            Field::new("estimatedValue", FieldKind::Decimal, "opportunities.estimated_value")
                .not_null(),
            Field::new("chancePercent", FieldKind::Decimal, "opportunities.chance_percent")
                .not_null(),
            Field::new("stage", FieldKind::Text, "opportunities.stage").not_null(),
            Field::new("state", FieldKind::Enum(OpportunityState::TEXTS), "opportunities.state")
                .not_null(),
            Field::new("creationDate", FieldKind::Date, "opportunities.creation_date").not_null(),
            Field::new("closedDate", FieldKind::Date, "opportunities.closed_date"),
        ],
        default_order: "number",
        tie: "number",
    };
    const CONSTRAINTS: &'static [Constraint] =
        &[Constraint::taken("opportunities_number_key", "/number"), SALESPERSON_BLOCKED];
    type Scope = Today;
    type Write = OpportunityWrite;
    type View = OpportunityView;

    table_rows! { opportunities by number }
    key_field! { number }
    write_of_view! {
        number, description, contact_number, campaign_number, salesperson_code, estimated_value,
        chance_percent, stage, state, creation_date,
    }

    // No changed keys are recorded, since no price depends on an opportunity.
    async fn save(
        work: &mut UnitOfWork,
        today: &Today,
        rows: &[RowWrite<OpportunityWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        let before = match if_exists {
            IfExists::Refuse => HashMap::new(),
            IfExists::Replace => lock_existing(&mut work.conn, rows).await?,
        };
        let dated = with_dates(rows, &before, today.0.into());
        let date_errors = check_dates(&mut work.conn, &dated).await?;
        let written =
            work.savepoint(async |work| insert(&mut work.conn, &dated, if_exists).await).await;
        match (written, rows) {
            (Ok(()), _) if date_errors.is_empty() => Ok(()),
            (Err(error), [row]) if !date_errors.is_empty() => {
                // The answer names the database's errors and those of the dates together.
                let mut problem = refusal::<Self>(work, error.into(), &row.write, row.id).await?;
                problem.errors.extend(date_errors);
                Err(problem.into())
            }
            (Err(error), _) => Err(error.into()),
            (Ok(()), _) => Err(Problem::from_errors(date_errors).into()),
        }
    }

    async fn delete(work: &mut UnitOfWork, _: &Today, view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(opportunities::table.find(view.id)).execute(&mut work.conn).await?;
        Ok(())
    }

    async fn next_key(work: &mut UnitOfWork) -> Result<Option<Key>, Problem> {
        next_number(&mut work.conn, Series::Opportunity).await.map(Some)
    }

    fn references(write: &OpportunityWrite) -> Vec<NamedReference> {
        [
            named("/contactNumber", ReferenceKind::Contact, Some(&write.contact_number)),
            named("/campaignNumber", ReferenceKind::Campaign, write.campaign_number.as_ref()),
            named("/salespersonCode", ReferenceKind::Salesperson, write.salesperson_code.as_ref()),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// Loads the existing opportunities of the rows, locked in the order of their numbers until the
/// transaction ends.
async fn lock_existing(
    conn: &mut AsyncPgConnection,
    rows: &[RowWrite<OpportunityWrite>],
) -> Result<HashMap<Uuid, OpportunityView>, diesel::result::Error> {
    use opportunities as t;
    let query = t::table.filter(t::id.eq_any(rows.iter().map(|row| row.id))).order(t::number);
    let views = query.select(OpportunityView::as_select()).for_no_key_update().load(conn).await?;
    Ok(views.into_iter().map(|view: OpportunityView| (view.id, view)).collect())
}

/// A row to write, with its dates.
struct DatedRow<'a> {
    row: &'a RowWrite<OpportunityWrite>,
    creation_date: Date,
    closed_date: Option<Date>,
    /// True if the write sets the campaign or changes the creation date.
    is_date_checked: bool,
}

/// Returns the rows with their dates. The order of their numbers prevents deadlocks between
/// concurrent batches.
fn with_dates<'a>(
    rows: &'a [RowWrite<OpportunityWrite>],
    before: &HashMap<Uuid, OpportunityView>,
    today: Date,
) -> Vec<DatedRow<'a>> {
    let date = |row: &'a RowWrite<OpportunityWrite>| {
        let before = before.get(&row.id);
        let creation_date =
            row.write.creation_date.or(before.map(|view| view.creation_date)).unwrap_or(today);
        let closed_date = before.and_then(|view| view.closed_date).unwrap_or(today);
        let is_unchanged = before.is_some_and(|view| {
            view.campaign_number == row.write.campaign_number && view.creation_date == creation_date
        });
        let closed_date = row.write.state.is_closed().then_some(closed_date);
        DatedRow { row, creation_date, closed_date, is_date_checked: !is_unchanged }
    };
    let mut dated: Vec<DatedRow> = rows.iter().map(date).collect();
    dated.sort_by_key(|dated| &dated.row.write.number);
    dated
}

/// Returns the errors of rows whose new creation date is outside the dates of their campaign.
/// Campaigns are not locked: a later change of a campaign's dates does not affect its
/// opportunities.
async fn check_dates(
    conn: &mut AsyncPgConnection,
    rows: &[DatedRow<'_>],
) -> Result<Vec<FieldError>, diesel::result::Error> {
    let to_check: Vec<(&Key, Date)> = rows
        .iter()
        .filter(|dated| dated.is_date_checked)
        .filter_map(|dated| Some((dated.row.write.campaign_number.as_ref()?, dated.creation_date)))
        .collect();
    let periods: Vec<(Key, Option<Date>, Option<Date>)> = campaigns::table
        .filter(campaigns::number.eq_any(to_check.iter().map(|(campaign, _)| campaign)))
        .select((campaigns::number, campaigns::starting_date, campaigns::ending_date))
        .load(conn)
        .await?;
    let periods: HashMap<Key, _> =
        periods.into_iter().map(|(number, start, end)| (number, (start, end))).collect();
    let error = |(campaign, day): (&Key, Date)| {
        let (start, end) = periods.get(campaign).copied()?;
        if start.is_none_or(|start| start <= day) && end.is_none_or(|end| day <= end) {
            return None;
        }
        let text = |date: Option<Date>| date.map(|date| date.to_string());
        let detail = format!("{day} is outside the dates of {campaign}");
        let error = FieldError::new("/creationDate", FieldCode::OutsideCampaign, detail);
        Some(error.param("startingDate", text(start)).param("endingDate", text(end)))
    };
    Ok(to_check.into_iter().filter_map(error).collect())
}

async fn insert(
    conn: &mut AsyncPgConnection,
    rows: &[DatedRow<'_>],
    if_exists: IfExists,
) -> Result<(), diesel::result::Error> {
    use opportunities as t;
    let values: Vec<_> = rows
        .iter()
        .map(|DatedRow { row: RowWrite { id, write }, creation_date, closed_date, .. }| {
            (
                t::id.eq(*id),
                write.number.as_ref().map(|number| t::number.eq(number)),
                column_values!(
                    t, write: description, contact_number, campaign_number, salesperson_code,
                    estimated_value, chance_percent, stage, state
                ),
                t::creation_date.eq(*creation_date),
                t::closed_date.eq(*closed_date),
            )
        })
        .collect();
    upsert!(
        conn, values, if_exists, t by number:
        description, contact_number, campaign_number, salesperson_code, estimated_value,
        chance_percent, stage, state, creation_date, closed_date
    )?;
    Ok(())
}
