//! The search over campaigns, segments, items and contacts: by the beginning of a number, and by
//! the beginnings of the words of a name.
//!
//! Each kind is one statement over two indexes, so the search is as fast for a million contacts as
//! for a hundred.

use actix_web::http::StatusCode;
use actix_web::web;
use diesel::sql_types::{Text as SqlText, Uuid as SqlUuid};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;
use values::Text;

use crate::platform::http::access::scope::Area;
use crate::platform::http::call::{ApiRequest, ApiResponse};
use crate::platform::http::json::field_code;
use crate::platform::http::problem::{FieldCode, FieldError, Problem};
use crate::platform::http::routes::Routes;
use crate::unit_of_work::Database;

/// Maximum number of characters of a search.
const MAX_LENGTH: usize = 100;

/// Adds the operation to the route table.
pub fn mount(routes: &mut Routes) {
    routes.add(Area::Campaigns.read(), __path_search, search);
}

/// The results of a search. Each list has at most 20 results, the best first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SearchResults {
    /// The campaigns.
    #[schema(max_items = 20)]
    pub campaigns: Vec<SearchResult>,
    /// The segments. Null without the scope `contacts:read`.
    #[schema(max_items = 20)]
    pub segments: Option<Vec<SearchResult>>,
    /// The items. Null without the scope `catalog:read`.
    #[schema(max_items = 20)]
    pub items: Option<Vec<SearchResult>>,
    /// The contacts. Null without the scope `contacts:read`.
    #[schema(max_items = 20)]
    pub contacts: Option<Vec<SearchResult>>,
}

/// A resource that a search has found.
#[derive(Debug, diesel::QueryableByName, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SearchResult {
    /// The id.
    #[diesel(sql_type = SqlUuid)]
    #[schema(example = "0190b5c2-7d5e-7000-8000-000000000001")]
    pub id: Uuid,
    /// The number.
    #[diesel(sql_type = SqlText)]
    #[schema(max_length = 50, example = "CP0001")]
    pub number: String,
    /// The description, or the name of a contact.
    #[diesel(sql_type = SqlText)]
    #[schema(max_length = 250, example = "Spring sale")]
    pub description: String,
}

/// Search for campaigns, segments, items and contacts
///
/// Finds resources whose number begins with the text, as written or in capitals, and those in whose
/// description or name every word of the text is the beginning of a word. An equal number comes
/// first, then numbers that begin with the text, then names; each in the order of their numbers.
#[utoipa::path(
    get,
    path = "/v1/search",
    operation_id = "search",
    tag = "Search",
    params((
        "q" = String, Query,
        description = "The text: a number, the beginning of one, or words.",
        min_length = 1,
        max_length = 100,
        example = "spring"
    )),
    responses((
        status = 200,
        description = "The results of each kind.",
        body = SearchResults,
        example = json!({
            "campaigns": [{
                "id": "0190b5c2-7d5e-7000-8000-000000000001", "number": "CP0001",
                "description": "Spring sale"
            }],
            "segments": [{
                "id": "0190b5c2-7d5e-7000-8000-000000000002", "number": "SM0001",
                "description": "Spring sale, gold customers"
            }],
            "items": [],
            "contacts": []
        })
    ))
)]
async fn search(
    request: ApiRequest,
    database: web::Data<Database>,
) -> Result<ApiResponse, Problem> {
    let params = request.query(&["q"])?;
    request.expect_no_body()?;
    let text = read_text(params.get("q"))?;
    let scopes = request.caller.scopes();
    let may_read = |area: Area| scopes.contains(area.read());
    let mut conn = database.search().await?;
    let results = SearchResults {
        campaigns: find(&mut conn, CAMPAIGNS, &text).await?,
        segments: match may_read(Area::Contacts) {
            true => Some(find(&mut conn, SEGMENTS, &text).await?),
            false => None,
        },
        items: match may_read(Area::Catalog) {
            true => Some(find(&mut conn, ITEMS, &text).await?),
            false => None,
        },
        contacts: match may_read(Area::Contacts) {
            true => Some(find(&mut conn, CONTACTS, &text).await?),
            false => None,
        },
    };
    ApiResponse::json(StatusCode::OK, &results)
}

/// Reads the text of a search, without blanks around it.
fn read_text(given: Option<&str>) -> Result<String, Problem> {
    let wrong = |code, detail: &str| {
        Problem::from_errors(vec![FieldError::new("?q", code, detail.to_owned())])
    };
    let text = given.ok_or_else(|| wrong(FieldCode::Required, "q must be given"))?;
    let text = Text::<MAX_LENGTH>::parse(text).map_err(|invalid| {
        let code = field_code(invalid.kind);
        Problem::from_errors(vec![FieldError::new("?q", code, invalid.detail)])
    })?;
    match text.as_str().trim() {
        "" => Err(wrong(FieldCode::TooShort, "q has at least one character besides blanks")),
        trimmed => Ok(trimmed.to_owned()),
    }
}

/// A table, and its column with the text that is searched.
struct Kind {
    table: &'static str,
    text: &'static str,
}

const CAMPAIGNS: Kind = Kind { table: "campaigns", text: "description" };
const SEGMENTS: Kind = Kind { table: "segments", text: "description" };
const ITEMS: Kind = Kind { table: "items", text: "description" };
const CONTACTS: Kind = Kind { table: "contacts", text: "name" };

/// Finds the resources of a kind. Numbers are sorted by bytes, so those with a prefix are between
/// the prefix and the prefix with the greatest character.
async fn find(
    conn: &mut AsyncPgConnection,
    Kind { table, text }: Kind,
    searched: &str,
) -> Result<Vec<SearchResult>, Problem> {
    let begins_with = |parameter: &str| {
        format!(
            "(SELECT id, number, {text} AS description,
                CASE number WHEN {parameter} THEN 0 ELSE 1 END AS rank
            FROM {table} WHERE number >= {parameter} AND number <= {parameter} || chr(1114111)
            ORDER BY number LIMIT 20)"
        )
    };
    let statement = format!(
        "WITH found AS (
            {} UNION ALL {} UNION ALL
            (SELECT id, number, {text}, 2 FROM {table}
            WHERE to_tsvector('simple', {text}) @@ to_tsquery('simple', $3)
            ORDER BY number LIMIT 20)
        ), best AS (SELECT DISTINCT ON (id) * FROM found ORDER BY id, rank)
        SELECT id, number, description FROM best ORDER BY rank, number LIMIT 20",
        begins_with("$1"),
        begins_with("$2"),
    );
    Ok(diesel::sql_query(statement)
        .bind::<SqlText, _>(searched)
        .bind::<SqlText, _>(searched.to_uppercase())
        .bind::<SqlText, _>(words(searched))
        .load(conn)
        .await?)
}

/// Returns the condition that every word is the beginning of a word, in the syntax of
/// `to_tsquery`.
fn words(text: &str) -> String {
    let words = text.split_whitespace().map(|word| {
        let quoted = word.replace('\\', "\\\\").replace('\'', "''");
        format!("'{quoted}':*")
    });
    words.collect::<Vec<_>>().join(" & ")
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_are_quoted() {
        for (text, condition) in [
            ("spring", "'spring':*"),
            ("spring  sale", "'spring':* & 'sale':*"),
            ("O'Neill | !x", "'O''Neill':* & '|':* & '!x':*"),
            (r"a\b", r"'a\\b':*"),
        ] {
            assert_eq!(words(text), condition);
        }
    }
}
