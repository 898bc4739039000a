//! Erasure of the personal data of a contact (`docs/security.md`): in the contact, in texts of
//! other records, in stored responses and in the audit log.
//!
//! The price book contains no personal data, so its history is not rewritten. The number of the
//! contact and its customer number stay, as pseudonyms: documents of the ERP refer to them.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use deserr::Deserr;
use diesel::prelude::*;
use diesel::sql_types::{Jsonb, Text as SqlText, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::Required;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use uuid::Uuid;
use values::enums::Membership;
use values::{Email, KeySet, Name, Reference, Text};

pub use super::redaction::searched_columns;
use super::redaction::{ERASED_NAME, MIN_VALUE_LENGTH, PersonalData};
use super::rules_lock::lock_rules;
use super::{ContactView, ContactWrite, Contacts};
use crate::platform::http::access::scope::Scope as AccessScope;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::BodyErrors;
use crate::platform::http::operations::{json_body, json_response, path_parameter};
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::routes::Routes;
use crate::resource::mount::validate_only_parameter;
use crate::resource::{IfExists, Resource, RowWrite, checked, reference, refusal, validate_only};
use crate::schema::{contacts, segments};
use crate::unit_of_work::{Database, UnitOfWork};
use crate::{audit_log, idempotency};

const PATH: &str = "/v1/contacts/{contact}/erasures";
/// Maximum number of former values in a request.
const MAX_FORMER_VALUES: usize = 20;

/// The options of an erasure.
#[derive(Debug, Default, Deserr, ToSchema)]
#[schema(as = ContactErasureWrite)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[schema(rename_all = "camelCase")]
pub struct ErasureWrite {
    /// Other texts that mean the contact, each of at least 3 characters: former names, addresses,
    /// e-mail addresses and telephone numbers. They are removed from all texts, as the current ones
    /// are.
    #[deserr(default)]
    #[schema(required = false, max_items = 20, example = json!(["Cannon & Sons"]))]
    pub former_values: Vec<Text<100>>,
}

/// The result of an erasure.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ContactErasure {
    /// The contact without personal data.
    pub contact: ContactView,
    /// The other records that contained personal data; empty if there were none.
    #[schema(max_items = 100)]
    pub redacted: Vec<RedactedRecords>,
}

/// Records of one kind that contained personal data.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RedactedRecords {
    /// The kind of the records.
    #[schema(max_length = 50, example = "interactions")]
    pub records: String,
    /// The number of changed records.
    #[schema(value_type = i64, minimum = 1, maximum = 9_007_199_254_740_991_i64, example = 3)]
    pub count: usize,
}

/// Adds the operation.
pub fn mount(routes: &mut Routes) {
    routes.schema::<ErasureWrite>();
    routes.schema::<ContactErasure>();
    let mut body = json_body("Other texts to erase; optional.", ErasureWrite::name());
    body.required = Some(Required::False);
    let operation = OperationBuilder::new()
        .operation_id(Some("create_contact_erasure"))
        .tag(Contacts::NAMES.tag)
        .summary(Some("Erase a contact's personal data"))
        .description(Some(
            "Erases the personal data of the contact for good. Its name becomes `Erased`; address, \
             telephone number, e-mail address, language, mailing groups and job responsibilities \
             are cleared; it is privacy blocked and excluded from segments, so audiences omit it. \
             Its number, company, currency and customer data stay, and with them its prices \
             outside campaigns. Name, e-mail address, telephone number and address are also \
             removed from all texts of other records, from filters and from paths in the audit \
             log. Stored responses that name the contact are deleted; a request that is repeated \
             under such an `Idempotency-Key` is refused with 409 `IDEMPOTENCY_RESPONSE_ERASED`. \
             Erasing again is allowed and finds what was written since. The scope is `admin`, \
             since texts of campaigns and items and the audit log change as well.",
        ))
        .parameter(path_parameter("contact", "The id or the number."))
        .parameter(validate_only_parameter())
        .request_body(Some(body))
        .response("200", json_response("Erased.", ContactErasure::name()))
        .build();
    routes.operation(AccessScope::Admin, HttpMethod::Post, PATH, operation, create);
}

/// Handles `POST`: erases the personal data.
async fn create(
    http_request: HttpRequest,
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    let validate_only = validate_only(&request)?;
    let write: ErasureWrite = request.json_or_default().await?;
    checked(rules(&write))?;
    let reference = reference(&http_request, Contacts::NAMES.singular)?;
    database
        .transact(&request, async |work| {
            work.validate_only = validate_only;
            erase(work, &reference, &write).await
        })
        .await
}

fn rules(write: &ErasureWrite) -> Vec<FieldError> {
    let count = write.former_values.len();
    if count > MAX_FORMER_VALUES {
        let detail =
            format!("at most {MAX_FORMER_VALUES} values are erased at a time, not {count}");
        return vec![FieldError::new("/formerValues", FieldCode::TooLong, detail)];
    }
    let values = write.former_values.iter().enumerate();
    let short =
        values.filter(|(_, value)| value.as_str().trim().chars().count() < MIN_VALUE_LENGTH);
    short
        .map(|(at, _)| {
            let detail = format!("has at least {MIN_VALUE_LENGTH} characters");
            FieldError::new(format!("/formerValues/{at}"), FieldCode::TooShort, detail)
        })
        .collect()
}

async fn erase(
    work: &mut UnitOfWork,
    reference: &Reference,
    write: &ErasureWrite,
) -> Result<ApiResponse, Problem> {
    // Rules may change, so the lock is not the shared one of other changes of contacts.
    lock_rules(&mut work.conn).await?;
    let contact = find(work, reference).await?;
    // Requests that write about the contact have committed afterwards, or wait.
    contacts::table
        .find(contact.id)
        .select(contacts::id)
        .for_update()
        .first::<Uuid>(&mut work.conn)
        .await?;
    let reference = Reference::Id(contact.id);
    let contact = find(work, &reference).await?;
    let former_values = write.former_values.iter().map(Text::as_str);
    let personal_data = PersonalData::new(&contact, former_values);
    erase_contact(work, &contact).await?;
    let mut counts = personal_data.redact_texts(&mut work.conn, &contact.number).await?;
    counts.extend(redact_filters(work, &personal_data).await?);
    let conn = &mut work.conn;
    let responses =
        idempotency::erase_responses(conn, &personal_data.pattern_of_responses()).await?;
    counts.push(("idempotency_records", responses));
    if let Some((pattern, replacement)) = personal_data.path_redaction() {
        let paths = audit_log::redact_paths(conn, &pattern, replacement).await?;
        counts.push(("audit_entries", paths));
    }
    work.publish().await?;
    let contact = find(work, &reference).await?;
    ApiResponse::json(StatusCode::OK, &ContactErasure { contact, redacted: redacted(counts) })
}

/// Sums the counts by kind, in the order of the kinds.
fn redacted(mut counts: Vec<(&str, usize)>) -> Vec<RedactedRecords> {
    counts.retain(|(_, count)| *count > 0);
    counts.sort_unstable();
    let mut all: Vec<RedactedRecords> = Vec::new();
    for (table, count) in counts {
        let records = table.replace('_', "-");
        match all.last_mut() {
            Some(last) if last.records == records => last.count = last.count.saturating_add(count),
            _ => all.push(RedactedRecords { records, count }),
        }
    }
    all
}

async fn find(work: &mut UnitOfWork, reference: &Reference) -> Result<ContactView, Problem> {
    let contact = Contacts::find(&mut work.conn, &(), reference, false).await?;
    contact.ok_or_else(|| Problem::not_found(Contacts::NAMES.singular, &reference.to_string()))
}

/// Replaces the personal data in the contact itself. A contact without any is not changed.
async fn erase_contact(work: &mut UnitOfWork, contact: &ContactView) -> Result<(), Problem> {
    let before = Contacts::write_of(contact);
    let erased = ContactWrite {
        name: Name::parse(ERASED_NAME).map_err(|invalid| Problem::internal(invalid.detail))?,
        address: Text::default(),
        address2: Text::default(),
        post_code: Text::default(),
        city: Text::default(),
        county: Text::default(),
        country_code: None,
        phone: Text::default(),
        email: Email::default(),
        language_code: None,
        mailing_groups: KeySet::default(),
        job_responsibilities: KeySet::default(),
        exclude_from_segments: true,
        privacy_blocked: true,
        // What prices depend on, and what the persons of a company inherit, stays.
        ..before.clone()
    };
    if json!(erased) == json!(before) {
        return Ok(());
    }
    let row = RowWrite { id: contact.id, write: erased };
    let rows = std::slice::from_ref(&row);
    let saved =
        work.savepoint(async |work| Contacts::save(work, &(), rows, IfExists::Replace).await).await;
    match saved {
        Ok(()) => Ok(()),
        Err(error) => Err(refusal::<Contacts>(work, error, &row.write, row.id).await?),
    }
}

/// A row with a filter.
#[derive(QueryableByName)]
struct Filtered {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlText)]
    filter: String,
}

/// Saved criteria with their actions.
#[derive(QueryableByName)]
struct Saved {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Jsonb)]
    actions: Value,
}

/// Removes the personal data from filters. Returns the number of changed rows by table. Rules that
/// change are evaluated when the unit of work is published.
async fn redact_filters(
    work: &mut UnitOfWork,
    personal_data: &PersonalData,
) -> QueryResult<Vec<(&'static str, usize)>> {
    let Some(pattern) = personal_data.pattern_of_values() else { return Ok(Vec::new()) };
    let conn = &mut work.conn;
    let mut counts = Vec::new();
    for table in ["segments", "criteria_actions"] {
        let query = format!("SELECT id, filter FROM {table} WHERE filter ~* $1 ORDER BY id");
        let query = diesel::sql_query(query).bind::<SqlText, _>(&pattern);
        let found: Vec<Filtered> = query.load(conn).await?;
        let update = format!("UPDATE {table} SET filter = $2 WHERE id = $1");
        for Filtered { id, filter } in found {
            let Some(filter) = personal_data.redacted_filter(&filter) else { continue };
            let query =
                diesel::sql_query(&update).bind::<SqlUuid, _>(id).bind::<SqlText, _>(filter);
            counts.push((table, query.execute(conn).await?));
            if table == "segments" {
                let segment: (String, Membership) = segments::table
                    .find(id)
                    .select((segments::number, segments::membership))
                    .first(conn)
                    .await?;
                if segment.1 == Membership::Rule {
                    work.changed_keys.rules.insert(segment.0);
                }
            }
        }
    }
    counts.push(("saved_criteria", redact_saved_criteria(conn, personal_data, &pattern).await?));
    Ok(counts)
}

async fn redact_saved_criteria(
    conn: &mut AsyncPgConnection,
    personal_data: &PersonalData,
    pattern: &str,
) -> QueryResult<usize> {
    let query = "SELECT id, actions FROM saved_criteria WHERE actions::text ~* $1 ORDER BY id";
    let found: Vec<Saved> = diesel::sql_query(query).bind::<SqlText, _>(pattern).load(conn).await?;
    let mut count = 0_usize;
    for Saved { id, mut actions } in found {
        let mut is_changed = false;
        for action in actions.as_array_mut().into_iter().flatten() {
            let filter = action.get("filter").and_then(Value::as_str);
            if let Some(filter) = filter.and_then(|filter| personal_data.redacted_filter(filter))
                && let Some(action) = action.as_object_mut()
            {
                action.insert("filter".to_owned(), filter.into());
                is_changed = true;
            }
        }
        if is_changed {
            let query = diesel::sql_query("UPDATE saved_criteria SET actions = $2 WHERE id = $1")
                .bind::<SqlUuid, _>(id)
                .bind::<Jsonb, _>(actions);
            count = count.saturating_add(query.execute(conn).await?);
        }
    }
    Ok(count)
}
