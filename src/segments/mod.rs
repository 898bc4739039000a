//! Segments: lists of contacts. A segment can be attached to a campaign and then determines whether
//! its lines are the campaign's targets.

pub mod criteria;
pub mod lines;
pub mod rule;

use chrono::{DateTime, Utc};
use deserr::Deserr;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::enums::Membership;
use values::{Key, Text};

use crate::contacts::lock_rules;
use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::{FieldError, Problem, ProblemCode};
use crate::references::{NamedReference, ReferenceKind, named};
use crate::resource::constraints::Constraint;
use crate::resource::table::{key_field, save_rows, table_rows, write_of_view};
use crate::resource::{IfExists, Names, Resource, RowWrite, SaveError};
use crate::salespeople::SALESPERSON_BLOCKED;
use crate::schema::segments;
use crate::settings::series::{Series, next_number};
use crate::unit_of_work::UnitOfWork;

/// The writable fields of a segment.
#[derive(Debug, Clone, Default, Deserr, Serialize, ToSchema)]
#[schema(as = SegmentWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct SegmentWrite {
    /// The number. If absent on `POST`, the next one of the series is taken.
    #[deserr(default)]
    pub number: Option<Key>,
    /// A short description of the segment.
    #[deserr(default)]
    #[serde(default)]
    pub description: Text<100>,
    /// The number of the campaign that the segment is attached to.
    #[deserr(default)]
    pub campaign_number: Option<Key>,
    /// True if the lines are targets of the campaign, unless a line sets its own `campaignTarget`.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = true)]
    pub campaign_target: bool,
    /// True if the lines are responses to the campaign, unless a line sets its own
    /// `campaignResponse`.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = false, example = false)]
    pub campaign_response: bool,
    /// The code of the salesperson in charge.
    #[deserr(default)]
    pub salesperson_code: Option<Key>,
    /// The subject of the mailing.
    #[deserr(default)]
    #[serde(default)]
    pub subject: Text<100>,
    /// The code of the template for the interactions that logging creates.
    #[deserr(default)]
    pub interaction_template_code: Option<Key>,
    /// The selection of the lines: `LIST` by hand or by criteria actions, `RULE` by `filter`.
    /// Contacts then enter and leave in the transaction that changes them.
    #[deserr(default)]
    #[serde(default)]
    #[schema(default = "LIST", required = false, example = "LIST")]
    pub membership: Membership,
    /// The filter over contacts of a segment by rule, in the syntax of the parameter `filter` of
    /// `/v1/contacts`. Without filter all contacts are selected, except those who are excluded from
    /// segments or privacy blocked.
    #[deserr(default)]
    #[serde(default)]
    #[schema(value_type = String, max_length = 4096, example = "")]
    pub filter: Text<4096>,
}

/// A segment. The list of its lines gives their number with `count=true`.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = Segment)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = segments, check_for_backend(Pg))]
pub struct SegmentView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The number.
    pub number: Key,
    /// A short description of the segment.
    pub description: Text<100>,
    /// The number of the campaign that the segment is attached to.
    pub campaign_number: Option<Key>,
    /// True if the lines are targets of the campaign, unless a line sets its own `campaignTarget`.
    #[schema(example = true)]
    pub campaign_target: bool,
    /// True if the lines are responses to the campaign, unless a line sets its own
    /// `campaignResponse`.
    #[schema(example = false)]
    pub campaign_response: bool,
    /// The code of the salesperson in charge.
    pub salesperson_code: Option<Key>,
    /// The subject of the mailing.
    pub subject: Text<100>,
    /// The code of the template for the interactions that logging creates.
    pub interaction_template_code: Option<Key>,
    /// The selection of the lines: `LIST` by hand or by criteria actions, `RULE` by `filter`.
    #[schema(example = "LIST")]
    pub membership: Membership,
    /// The filter over contacts of a segment by rule.
    #[schema(value_type = String, max_length = 4096, example = "")]
    pub filter: Text<4096>,
    /// The caller that created the segment.
    #[schema(max_length = 200, example = "local")]
    pub created_by: String,
    /// The caller that changed the segment last.
    #[schema(max_length = 200, example = "local")]
    pub updated_by: String,
    /// The time of the last change.
    #[schema(max_length = 35, example = "2031-05-15T08:30:00.123456Z")]
    pub updated_at: DateTime<Utc>,
}

/// The resource `/v1/segments`.
pub struct Segments;

impl Resource for Segments {
    const NAMES: Names = Names {
        path: "/v1/segments",
        singular: "segment",
        plural: "segments",
        one: "a segment",
        tag: "Segments",
        area: Area::Contacts,
        key_field: Some("number"),
    };
    const NUMBERED: bool = true;
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "segments.id").not_null(),
            Field::new("number", FieldKind::Key, "segments.number").not_null(),
            Field::new("description", FieldKind::Text, "segments.description").not_null(),
            Field::new("campaignNumber", FieldKind::Key, "segments.campaign_number"),
            Field::new("campaignTarget", FieldKind::Boolean, "segments.campaign_target").not_null(),
            Field::new("campaignResponse", FieldKind::Boolean, "segments.campaign_response")
                .not_null(),
            Field::new("salespersonCode", FieldKind::Key, "segments.salesperson_code"),
            Field::new("subject", FieldKind::Text, "segments.subject").not_null(),
            Field::new(
                "interactionTemplateCode",
                FieldKind::Key,
                "segments.interaction_template_code",
            ),
            Field::new("membership", FieldKind::Enum(Membership::TEXTS), "segments.membership")
                .not_null(),
            Field::new("createdBy", FieldKind::Text, "segments.created_by").not_null(),
            Field::new("updatedBy", FieldKind::Text, "segments.updated_by").not_null(),
            Field::new("updatedAt", FieldKind::Instant, "segments.updated_at").not_null(),
        ],
        default_order: "number",
        tie: "number",
    };
    const CONSTRAINTS: &'static [Constraint] = &[
        Constraint::taken("segments_number_key", "/number"),
        Constraint::exists(
            "segments_number_logged",
            ProblemCode::Conflict,
            "/number",
            "a segment with this number was logged",
        ),
        SALESPERSON_BLOCKED,
    ];
    type Scope = ();
    type Write = SegmentWrite;
    type View = SegmentView;

    table_rows! { segments by number }
    key_field! { number }
    write_of_view! {
        number, description, campaign_number, campaign_target, campaign_response, salesperson_code,
        subject, interaction_template_code, membership, filter,
    }

    async fn save(
        work: &mut UnitOfWork,
        (): &(),
        rows: &[RowWrite<SegmentWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        if rows.iter().any(|row| row.write.membership == Membership::Rule) {
            lock_rules(&mut work.conn).await?;
        }
        let previous = match if_exists {
            IfExists::Refuse => Vec::new(),
            IfExists::Replace => previous(&mut work.conn, rows).await?,
        };
        let left = previous.iter().filter_map(|segment| segment.campaign_number.clone());
        work.changed_keys.campaigns.extend(left);
        save_rows!(
            &mut work.conn, rows, if_exists, [author &work.author], segments by number:
            description, campaign_number, campaign_target, campaign_response, salesperson_code,
            subject, interaction_template_code, membership, filter
        )?;
        let numbers = rows.iter().filter_map(|row| row.write.campaign_number.as_ref());
        work.changed_keys.campaigns.extend(numbers.map(Key::to_string));
        for number in rows.iter().filter_map(|row| row.write.number.as_ref()) {
            work.segment_changed(number);
        }
        rule::adopt(work, rows, &previous).await?;
        Ok(())
    }

    async fn delete(work: &mut UnitOfWork, (): &(), view: &Self::View) -> Result<(), SaveError> {
        diesel::delete(segments::table.find(view.id)).execute(&mut work.conn).await?;
        work.changed_keys.campaigns.extend(view.campaign_number.as_ref().map(Key::to_string));
        work.segment_changed(&view.number);
        Ok(())
    }

    async fn next_key(work: &mut UnitOfWork) -> Result<Option<Key>, Problem> {
        next_number(&mut work.conn, Series::Segment).await.map(Some)
    }

    fn rules(write: &SegmentWrite, (): &()) -> Vec<FieldError> {
        rule::errors(write.membership, &write.filter)
    }

    fn references(write: &SegmentWrite) -> Vec<NamedReference> {
        [
            named("/campaignNumber", ReferenceKind::Campaign, write.campaign_number.as_ref()),
            named("/salespersonCode", ReferenceKind::Salesperson, write.salesperson_code.as_ref()),
            named(
                "/interactionTemplateCode",
                ReferenceKind::InteractionTemplate,
                write.interaction_template_code.as_ref(),
            ),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

/// A segment before a change.
#[derive(Queryable)]
pub(crate) struct PreviousSegment {
    id: Uuid,
    campaign_number: Option<String>,
    membership: Membership,
    filter: Text<4096>,
}

/// Returns the rows' segments before the change, locked in the order of their numbers. Until the
/// transaction ends, no line is added to them and no other change attaches them elsewhere.
async fn previous(
    conn: &mut AsyncPgConnection,
    rows: &[RowWrite<SegmentWrite>],
) -> Result<Vec<PreviousSegment>, diesel::result::Error> {
    segments::table
        .filter(segments::id.eq_any(rows.iter().map(|row| row.id)))
        .order(segments::number)
        .select((segments::id, segments::campaign_number, segments::membership, segments::filter))
        .for_no_key_update()
        .load(conn)
        .await
}
