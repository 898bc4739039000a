//! The lines of a segment, each for one contact.

use std::collections::HashMap;

use deserr::Deserr;
use diesel::dsl::sql;
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use diesel::upsert::excluded;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::enums::{LineTarget, Membership};
use values::{Key, Reference};

use crate::platform::http::access::scope::Area;
use crate::platform::http::json::BodyErrors;
use crate::platform::http::list::{Field, FieldKind, ListSpec};
use crate::platform::http::problem::{FieldCode, Problem};
use crate::references::{NamedReference, ReferenceKind, named};
use crate::resource::constraints::Constraint;
use crate::resource::table::{key_field, table_rows, write_of_view};
use crate::resource::{IfExists, Names, Origin, Resource, RowWrite, SaveError, Scope};
use crate::schema::{contacts, segment_lines, segments};
use crate::unit_of_work::UnitOfWork;

/// The segment that a path names.
#[derive(Debug, Clone)]
pub struct OfSegment {
    /// The number of the segment.
    pub number: Key,
}

impl Scope for OfSegment {
    const PARAMETERS: &'static [(&'static str, &'static str)] =
        &[("segment", "The id or the number of the segment.")];

    async fn find_from(origin: &Origin<'_>, conn: &mut AsyncPgConnection) -> Result<Self, Problem> {
        let reference = origin.parent("segment")?;
        let named = segments::id
            .nullable()
            .eq(reference.id())
            .or(segments::number.nullable().eq(reference.key()));
        let number =
            segments::table.filter(named).select(segments::number).first(conn).await.optional()?;
        number
            .map(|number| Self { number })
            .ok_or_else(|| Problem::not_found("segment", &reference.to_string()))
    }
}

/// A segment that is locked for a change of its lines.
#[derive(Queryable, Selectable)]
#[diesel(table_name = segments, check_for_backend(Pg))]
pub(super) struct HeldSegment {
    number: Key,
    /// Its campaign.
    pub campaign_number: Option<Key>,
    membership: Membership,
}

impl HeldSegment {
    /// Refuses to select lines in another way than by the segment's rule, if it has one.
    ///
    /// # Errors
    /// 422 for a segment by rule.
    pub fn refuse_rule(&self) -> Result<(), Problem> {
        if self.membership == Membership::List {
            return Ok(());
        }
        let detail = format!(
            "the lines of segment {} follow its rule; change its filter, or give it the membership \
             LIST",
            self.number
        );
        Err(Problem::rule("", FieldCode::NotAllowed, detail))
    }
}

impl OfSegment {
    /// Locks the segment in share mode for a change of its lines. Until the transaction ends it can
    /// be neither deleted nor attached to another campaign; others can still change lines.
    ///
    /// Must be called before any line is locked, because a deletion of the segment takes its locks
    /// in this order.
    ///
    /// # Errors
    /// 404 if the segment has been deleted, or if the database fails.
    async fn hold(&self, conn: &mut AsyncPgConnection) -> Result<HeldSegment, Problem> {
        let query = segments::table
            .filter(segments::number.eq(&self.number))
            .select(HeldSegment::as_select());
        let segment = query.for_share().first(conn).await.optional()?;
        segment.ok_or_else(|| Problem::not_found("segment", self.number.as_str()))
    }

    /// Locks the segment and all its lines, so that no other transaction changes them.
    ///
    /// # Errors
    /// As [`OfSegment::hold`].
    pub(super) async fn hold_alone(
        &self,
        conn: &mut AsyncPgConnection,
    ) -> Result<HeldSegment, Problem> {
        let query = segments::table
            .filter(segments::number.eq(&self.number))
            .select(HeldSegment::as_select());
        let segment = query.for_no_key_update().first(conn).await.optional()?;
        segment.ok_or_else(|| Problem::not_found("segment", self.number.as_str()))
    }

    /// Locks the segment and records the changed contacts as targets of its campaign.
    async fn record_changed_contacts<'a>(
        &self,
        work: &mut UnitOfWork,
        contacts: impl Iterator<Item = &'a Key>,
    ) -> Result<HeldSegment, Problem> {
        let segment = self.hold(&mut work.conn).await?;
        if let Some(campaign) = &segment.campaign_number {
            let targets = work.changed_keys.targets.entry(campaign.to_string()).or_default();
            targets.extend(contacts.map(Key::to_string));
        }
        Ok(segment)
    }

    /// Records the accounts that lines of contacts target as targets of the segment's campaign.
    async fn record_accounts(
        &self,
        work: &mut UnitOfWork,
        contacts: &[&Key],
    ) -> Result<(), Problem> {
        use segment_lines as t;
        let accounts: Vec<Key> = t::table
            .filter(t::segment_number.eq(&self.number))
            .filter(t::contact_number.eq_any(contacts))
            .filter(t::account_number.is_not_null())
            .select(t::account_number.assume_not_null())
            .load(&mut work.conn)
            .await?;
        if accounts.is_empty() {
            return Ok(());
        }
        self.record_changed_contacts(work, accounts.iter()).await.map(drop)
    }
}

/// The writable fields of a segment's line.
#[derive(Debug, Clone, Deserr, Serialize, ToSchema)]
#[schema(as = SegmentLineWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct SegmentLineWrite {
    /// The number of the contact. A contact is on a segment at most once.
    #[deserr(default)]
    pub contact_number: Option<Key>,
    /// The account that the line targets: `CONTACT` follows the contact to another account,
    /// `ACCOUNT` keeps the one that the contact has now.
    #[deserr(default = LineTarget::Contact)]
    #[schema(default = "CONTACT", required = false, example = "CONTACT")]
    pub target: LineTarget,
    /// True if the contact is a target of the segment's campaign; null if the segment decides.
    #[deserr(default)]
    #[schema(example = false)]
    pub campaign_target: Option<bool>,
    /// True if the contact is a response to the segment's campaign; null if the segment decides.
    #[deserr(default)]
    #[schema(example = false)]
    pub campaign_response: Option<bool>,
}

/// A line of a segment.
#[derive(Debug, Clone, Queryable, Selectable, Serialize, ToSchema)]
#[schema(as = SegmentLine)]
#[serde(rename_all = "camelCase")]
#[diesel(table_name = segment_lines, check_for_backend(Pg))]
pub struct SegmentLineView {
    /// The id.
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The number of the contact.
    pub contact_number: Key,
    /// The account that the line targets: `CONTACT` follows the contact to another account,
    /// `ACCOUNT` keeps the one in `accountNumber`, even if the contact moves or objects to
    /// marketing.
    #[diesel(
        select_expression = <TargetColumn as Selectable<Pg>>::construct_selection(),
        select_expression_type = <TargetColumn as Selectable<Pg>>::SelectExpression,
        deserialize_as = TargetColumn
    )]
    #[schema(example = "CONTACT")]
    pub target: LineTarget,
    /// The account that the line keeps; null if it follows the contact.
    pub account_number: Option<Key>,
    /// True if the contact is a target of the segment's campaign; null if the segment decides.
    #[schema(example = false)]
    pub campaign_target: Option<bool>,
    /// True if the contact is a response to the segment's campaign; null if the segment decides.
    #[schema(example = false)]
    pub campaign_response: Option<bool>,
}

/// The column that tells the target. Public because the derived traits of the view name the type.
#[derive(Queryable, Selectable)]
#[diesel(table_name = segment_lines, check_for_backend(Pg))]
pub struct TargetColumn {
    account_number: Option<Key>,
}

impl From<TargetColumn> for LineTarget {
    fn from(column: TargetColumn) -> Self {
        if column.account_number.is_some() { Self::Account } else { Self::Contact }
    }
}

/// Returns the accounts that the contacts of rows with the target `ACCOUNT` have now. Contacts that
/// do not exist are absent; the foreign key refuses them.
async fn accounts_to_keep(
    conn: &mut AsyncPgConnection,
    rows: &[RowWrite<SegmentLineWrite>],
) -> QueryResult<HashMap<Key, Key>> {
    let of_account = rows.iter().filter(|row| row.write.target == LineTarget::Account);
    let numbers: Vec<&Key> =
        of_account.filter_map(|row| row.write.contact_number.as_ref()).collect();
    if numbers.is_empty() {
        return Ok(HashMap::new());
    }
    let known: Vec<(Key, Option<Key>)> = contacts::table
        .filter(contacts::number.eq_any(numbers))
        .select((contacts::number, contacts::company_number))
        .load(conn)
        .await?;
    let accounts = known.into_iter().map(|(number, company)| {
        let account = company.unwrap_or_else(|| number.clone());
        (number, account)
    });
    Ok(accounts.collect())
}

/// The account of an existing line, unless the kind of its target changes.
const KEPT_ACCOUNT: &str = "CASE WHEN excluded.account_number IS NULL THEN NULL \
     ELSE coalesce(segment_lines.account_number, excluded.account_number) END";

/// The resource `/v1/segments/{segment}/lines`.
pub struct SegmentLines;

impl Resource for SegmentLines {
    const NAMES: Names = Names {
        path: "/v1/segments/{segment}/lines",
        singular: "segment_line",
        plural: "segment_lines",
        one: "a segment's line",
        tag: "Segments",
        area: Area::Contacts,
        key_field: Some("contactNumber"),
    };
    const LIST: ListSpec = ListSpec {
        fields: &[
            Field::new("id", FieldKind::Uuid, "segment_lines.id").not_null(),
            Field::new("contactNumber", FieldKind::Key, "segment_lines.contact_number").not_null(),
            Field::new("accountNumber", FieldKind::Key, "segment_lines.account_number"),
            Field::new("campaignTarget", FieldKind::Boolean, "segment_lines.campaign_target"),
            Field::new("campaignResponse", FieldKind::Boolean, "segment_lines.campaign_response"),
        ],
        default_order: "contactNumber",
        tie: "contactNumber",
    };
    const CONSTRAINTS: &'static [Constraint] =
        &[Constraint::taken("segment_lines_contact_key", "/contactNumber")];
    type Scope = OfSegment;
    type Write = SegmentLineWrite;
    type View = SegmentLineView;

    table_rows! {
        segment_lines by contact_number,
        where |segment| segment_lines::segment_number.eq(&segment.number)
    }
    key_field! { contact_number }
    write_of_view! { contact_number, target, campaign_target, campaign_response }

    async fn lock_first(
        conn: &mut AsyncPgConnection,
        segment: &OfSegment,
        _: &[Reference],
    ) -> Result<(), Problem> {
        segment.hold(conn).await.map(drop)
    }

    async fn save(
        work: &mut UnitOfWork,
        scope: &OfSegment,
        rows: &[RowWrite<SegmentLineWrite>],
        if_exists: IfExists,
    ) -> Result<(), SaveError> {
        use segment_lines as t;
        let contacts: Vec<&Key> =
            rows.iter().filter_map(|row| row.write.contact_number.as_ref()).collect();
        let segment = scope.record_changed_contacts(work, contacts.iter().copied()).await?;
        if if_exists == IfExists::Refuse {
            segment.refuse_rule()?;
        }
        scope.record_accounts(work, &contacts).await?;
        let accounts = accounts_to_keep(&mut work.conn, rows).await?;
        // Sorted by key everywhere, so that concurrent batches lock rows in the same order.
        let mut rows: Vec<&RowWrite<SegmentLineWrite>> = rows.iter().collect();
        rows.sort_by_key(|row| &row.write.contact_number);
        let values: Vec<_> = rows
            .into_iter()
            .map(|RowWrite { id, write }| {
                let contact = write.contact_number.as_ref();
                (
                    t::id.eq(*id),
                    t::segment_number.eq(&scope.number),
                    contact.map(|number| t::contact_number.eq(number)),
                    t::account_number.eq(contact.and_then(|number| accounts.get(number))),
                    t::campaign_target.eq(write.campaign_target),
                    t::campaign_response.eq(write.campaign_response),
                )
            })
            .collect();
        let insert = diesel::insert_into(t::table).values(values);
        match if_exists {
            IfExists::Refuse => insert.execute(&mut work.conn).await?,
            IfExists::Replace => {
                insert
                    .on_conflict((t::segment_number, t::contact_number))
                    .do_update()
                    .set((
                        t::account_number.eq(sql::<Nullable<Text>>(KEPT_ACCOUNT)),
                        t::campaign_target.eq(excluded(t::campaign_target)),
                        t::campaign_response.eq(excluded(t::campaign_response)),
                    ))
                    .execute(&mut work.conn)
                    .await?
            }
        };
        scope.record_accounts(work, &contacts).await?;
        work.segment_changed(&scope.number);
        Ok(())
    }

    async fn delete(
        work: &mut UnitOfWork,
        scope: &OfSegment,
        view: &Self::View,
    ) -> Result<(), SaveError> {
        let changed = std::iter::once(&view.contact_number).chain(view.account_number.as_ref());
        scope.record_changed_contacts(work, changed).await?.refuse_rule()?;
        diesel::delete(segment_lines::table.find(view.id)).execute(&mut work.conn).await?;
        work.segment_changed(&scope.number);
        Ok(())
    }

    fn references(write: &SegmentLineWrite) -> Vec<NamedReference> {
        named("/contactNumber", ReferenceKind::Contact, write.contact_number.as_ref())
            .into_iter()
            .collect()
    }
}
