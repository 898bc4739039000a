//! The history of a campaign: its publications and status changes as one list.

use std::collections::HashMap;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use chrono::{DateTime, Utc};
use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text as SqlText};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use values::text_enum;

use crate::campaigns::OfCampaign;
use crate::platform::clock::Calendar;
use crate::platform::http::access::scope::Area;
use crate::platform::http::call::ApiResponse;
use crate::platform::http::list::{CursorKey, Field, FieldKind, ListQuery, ListSpec};
use crate::platform::http::operations::{
    list_description, list_operation, page_of, path_parameter,
};
use crate::platform::http::problem::Problem;
use crate::platform::http::routes::Routes;
use crate::resource::{Scope, with_etag};
use crate::unit_of_work::Database;

const PATH: &str = "/v1/campaigns/{campaign}/activation-history";

const LIST: ListSpec = ListSpec {
    fields: &[
        Field::new("id", FieldKind::Text, "campaign_history.id").not_null(),
        Field::new("at", FieldKind::Instant, "campaign_history.at").not_null(),
        Field::new("event", FieldKind::Enum(HistoryEvent::TEXTS), "campaign_history.event")
            .not_null(),
        Field::new("author", FieldKind::Text, "campaign_history.author").not_null(),
        Field::new(
            "publicationVersion",
            FieldKind::Integer,
            "campaign_history.publication_version",
        ),
    ],
    default_order: "at desc,id desc",
    tie: "id",
};

text_enum! {
    /// The kind of an event in the history of a campaign.
    HistoryEvent {
        /// The prices came into force.
        Activation = "ACTIVATION",
        /// The active campaign changed.
        Change = "CHANGE",
        /// The prices were withdrawn.
        Deactivation = "DEACTIVATION",
        /// An earlier publication came into force again.
        Rollback = "ROLLBACK",
        /// The campaign moved to another status.
        StatusChange = "STATUS_CHANGE",
    }
}

diesel::table! {
    /// The view `campaign_history`.
    campaign_history (id) {
        campaign_number -> Text,
        id -> Text,
        at -> Timestamptz,
        author -> Text,
        event -> Text,
        publication_version -> Nullable<Int8>,
        from_status_code -> Nullable<Text>,
        to_status_code -> Nullable<Text>,
        added -> Int8,
        changed -> Int8,
        removed -> Int8,
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = campaign_history, check_for_backend(Pg))]
struct Row {
    id: String,
    at: DateTime<Utc>,
    author: String,
    event: HistoryEvent,
    publication_version: Option<i64>,
    from_status_code: Option<String>,
    to_status_code: Option<String>,
    added: i64,
    removed: i64,
}

/// An entry in the history of a campaign.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CampaignHistoryEntry)]
#[serde(rename_all = "camelCase")]
pub struct HistoryView {
    /// The identifier of the entry.
    #[schema(max_length = 50, example = "PUBLICATION:418")]
    pub id: String,
    /// The time of the event.
    #[schema(max_length = 35, example = "2031-05-15T08:30:00.123456Z")]
    pub at: DateTime<Utc>,
    /// The kind of the event.
    #[schema(example = "ACTIVATION")]
    pub event: HistoryEvent,
    /// The author of the change.
    #[schema(max_length = 200, example = "local")]
    pub author: String,
    /// The version of the price book that contains the change; null for a change of status.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 418)]
    pub publication_version: Option<i64>,
    /// A description of the event.
    #[schema(max_length = 1000, example = "activated: 1,200 accounts, 40 lines")]
    pub words: String,
}

/// Adds the operation.
pub(super) fn mount(routes: &mut Routes) {
    let page = "CampaignHistoryPage";
    routes.schema::<HistoryView>();
    routes.named_schema(page, page_of(HistoryView::name()));
    let description = format!(
        "The publications and status changes of the campaign, each with its time, author and \
         description. {}",
        list_description(&LIST)
    );
    let parameters =
        OfCampaign::PARAMETERS.iter().map(|(name, description)| path_parameter(name, description));
    let listing = OperationBuilder::new()
        .operation_id(Some("list_campaign_activation_history"))
        .tag("Results")
        .summary(Some("List the history of a campaign"))
        .description(Some(description))
        .parameters(Some(parameters));
    routes.operation(
        Area::Campaigns.read(),
        HttpMethod::Get,
        PATH,
        list_operation(listing, &LIST, "entries", page.into()),
        list,
    );
}

async fn list(
    request: HttpRequest,
    database: web::Data<Database>,
    calendar: web::Data<Calendar>,
    cursor_key: web::Data<CursorKey>,
) -> Result<ApiResponse, Problem> {
    use campaign_history as t;
    let list = ListQuery::parse(
        request.path(),
        request.query_string(),
        &LIST,
        &cursor_key,
        calendar.today(),
    )?;
    let mut conn = database.report().await?;
    let OfCampaign { number } = OfCampaign::find(&request, &mut conn).await?;
    let events = t::table.filter(t::campaign_number.eq(&number));
    let query = events.select(Row::as_select()).into_boxed();
    let query = query
        .filter(list.condition())
        .order(list.ordering())
        .limit(list.limit())
        .offset(list.offset());
    let rows: Vec<Row> = query.load(&mut conn).await?;
    let count = if list.wants_count() {
        Some(
            events
                .count()
                .into_boxed()
                .filter(list.filter_condition())
                .get_result(&mut conn)
                .await?,
        )
    } else {
        None
    };
    let mut changes = count_changed_facts(
        &mut conn,
        rows.iter().filter_map(|row| row.publication_version).collect(),
    )
    .await?;
    let mut view = |row: Row| {
        let facts = row
            .publication_version
            .and_then(|version| changes.remove(&version))
            .unwrap_or_default();
        HistoryView {
            words: describe(&row, &facts),
            id: row.id,
            at: row.at,
            event: row.event,
            author: row.author,
            publication_version: row.publication_version,
        }
    };
    let rows = rows.into_iter().map(|row| with_etag(&view(row))).collect::<Result<Vec<_>, _>>()?;
    ApiResponse::json(StatusCode::OK, &list.page(rows, count))
}

/// The numbers of facts that a publication changed, except accounts.
#[derive(Debug, Default)]
struct FactCounts {
    lines_added: i64,
    lines_changed: i64,
    lines_removed: i64,
    others_added: i64,
    others_changed: i64,
    others_removed: i64,
}

/// Counts the changed facts of each version, except accounts. A campaign may have millions of
/// accounts, whose number follows from the totals of the publication.
async fn count_changed_facts(
    conn: &mut AsyncPgConnection,
    versions: Vec<i64>,
) -> QueryResult<HashMap<i64, FactCounts>> {
    #[derive(QueryableByName)]
    struct Counted {
        #[diesel(sql_type = BigInt)]
        version: i64,
        #[diesel(sql_type = SqlText)]
        kind: String,
        #[diesel(sql_type = SqlText)]
        change: String,
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let query = "SELECT version, kind, change, count(*) AS count FROM publication_changes \
        WHERE version = ANY($1) AND kind <> 'ACCOUNT' GROUP BY version, kind, change";
    let counted: Vec<Counted> =
        diesel::sql_query(query).bind::<Array<BigInt>, _>(versions).load(conn).await?;
    let mut changes: HashMap<i64, FactCounts> = HashMap::new();
    for Counted { version, kind, change, count } in counted {
        let facts = changes.entry(version).or_default();
        let is_line = matches!(kind.as_str(), "PRICE_LINE" | "DISCOUNT_LINE");
        let sum = match (is_line, change.as_str()) {
            (true, "ADDED") => &mut facts.lines_added,
            (true, "REMOVED") => &mut facts.lines_removed,
            (true, _) => &mut facts.lines_changed,
            (false, "ADDED") => &mut facts.others_added,
            (false, "REMOVED") => &mut facts.others_removed,
            (false, _) => &mut facts.others_changed,
        };
        *sum = sum.saturating_add(count);
    }
    Ok(changes)
}

/// Returns the description of an event.
fn describe(row: &Row, facts: &FactCounts) -> String {
    let accounts =
        |all: i64, lines: i64, others: i64| all.saturating_sub(lines).saturating_sub(others).max(0);
    let joined = accounts(row.added, facts.lines_added, facts.others_added);
    let left = accounts(row.removed, facts.lines_removed, facts.others_removed);
    match row.event {
        HistoryEvent::Activation => {
            format!(
                "activated: {}, {}",
                format_count(joined, "account"),
                format_count(facts.lines_added, "line")
            )
        }
        HistoryEvent::Deactivation => {
            format!(
                "deactivated: {}, {}",
                format_count(left, "account"),
                format_count(facts.lines_removed, "line")
            )
        }
        HistoryEvent::Change | HistoryEvent::Rollback => {
            let parts = [
                (joined, "account", "joined"),
                (left, "account", "left"),
                (facts.lines_added, "line", "added"),
                (facts.lines_changed, "line", "changed"),
                (facts.lines_removed, "line", "removed"),
            ];
            let parts = parts.into_iter().filter(|(count, ..)| *count > 0);
            let mut parts: Vec<String> = parts
                .map(|(count, what, how)| format!("{} {how}", format_count(count, what)))
                .collect();
            // Apart from its lines a campaign has one fact: its dates.
            if facts.others_changed > 0 {
                parts.push("dates changed".to_owned());
            }
            let changes = parts.join(", ");
            match row.event {
                HistoryEvent::Rollback if changes.is_empty() => "rolled back".to_owned(),
                HistoryEvent::Rollback => format!("rolled back: {changes}"),
                _ => changes,
            }
        }
        HistoryEvent::StatusChange => {
            let status = |code: &Option<String>| code.clone().unwrap_or_else(|| "none".to_owned());
            format!("status: {} → {}", status(&row.from_status_code), status(&row.to_status_code))
        }
    }
}

/// Formats a number of things: `1 line`, `1,200 accounts`.
fn format_count(count: i64, what: &str) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && digits.len().saturating_sub(at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    let plural = if count == 1 { "" } else { "s" };
    format!("{text} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(format_count(0, "line"), "0 lines");
        assert_eq!(format_count(1, "line"), "1 line");
        assert_eq!(format_count(999, "line"), "999 lines");
        assert_eq!(format_count(1_200, "account"), "1,200 accounts");
        assert_eq!(format_count(1_234_567, "account"), "1,234,567 accounts");
    }
}
