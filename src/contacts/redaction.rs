//! Removal of a contact's personal data from texts of other records.
//!
//! The texts are searched by regular expressions in the database: whole words, regardless of case.
//! In filters only the literals of fields with personal data are searched.

use std::fmt::Write as _;

use diesel::QueryResult;
use diesel::sql_types::Text as SqlText;
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use values::Key;

use super::ContactView;

/// The name of an erased contact.
pub(super) const ERASED_NAME: &str = "Erased";
/// The text that takes the place of personal data in other texts.
const REDACTED: &str = "***";
/// The replacement of a match of [`pattern_of_words`]: it keeps the character before the word.
const REPLACEMENT: &str = r"\1***";
/// Minimum length of a searched value in characters. A shorter one would match by chance.
pub(super) const MIN_VALUE_LENGTH: usize = 3;
/// The same for a value with characters outside of ASCII: a name may have two of them.
const MIN_LENGTH_OUTSIDE_ASCII: usize = 2;
/// The fields whose literals in filters are searched.
const PERSONAL_FIELDS: [&str; 5] = ["name", "address", "address2", "phone", "email"];

/// A table with free texts.
struct FreeTexts {
    table: &'static str,
    columns: &'static [&'static str],
    /// The condition for rows that concern the contact `$3`.
    of_contact: Option<&'static str>,
}

const fn texts(table: &'static str, columns: &'static [&'static str]) -> FreeTexts {
    FreeTexts { table, columns, of_contact: None }
}

const fn texts_of_contact(table: &'static str, columns: &'static [&'static str]) -> FreeTexts {
    FreeTexts { table, columns, of_contact: Some("contact_number = $3") }
}

/// All free texts that users write, except the names of other people and of API keys. A test
/// requires a decision for each column that is added.
const FREE_TEXTS: &[FreeTexts] = &[
    texts("activities", &["description"]),
    texts("activity_steps", &["description"]),
    texts("approval_requests", &["comment", "decision_comment"]),
    texts("campaign_statuses", &["description"]),
    texts("campaigns", &["description"]),
    texts("currencies", &["description"]),
    texts_of_contact("golden_quotes", &["note"]),
    texts("import_errors", &["detail"]),
    texts("imports", &["detail"]),
    texts("interaction_templates", &["description"]),
    texts_of_contact("interactions", &["description"]),
    texts("item_variants", &["description"]),
    texts("items", &["description"]),
    texts("logged_segments", &["description", "subject"]),
    texts_of_contact("opportunities", &["description", "stage"]),
    texts("saved_criteria", &["description"]),
    texts("segments", &["description", "subject"]),
    texts_of_contact("tasks", &["description"]),
];

/// Returns the free texts that an erasure searches, as tables with columns.
pub fn searched_columns() -> impl Iterator<Item = (&'static str, &'static str)> {
    FREE_TEXTS.iter().flat_map(|texts| texts.columns.iter().map(|column| (texts.table, *column)))
}

/// The values of a contact that are searched.
pub(super) struct PersonalData {
    /// Values that mean the contact wherever they occur.
    everywhere: Vec<String>,
    /// Values that mean the contact in texts that concern it.
    of_contact: Vec<String>,
    /// The number and the id of the contact, as JSON strings.
    identities: [String; 2],
}

impl PersonalData {
    /// Collects the values of a contact and the former ones that the request names.
    pub(super) fn new<'a>(
        contact: &ContactView,
        former_values: impl Iterator<Item = &'a str>,
    ) -> Self {
        let name = contact.name.to_string();
        let (is_erased, email) = (name == ERASED_NAME, contact.email.to_string());
        let values = [
            if is_erased { "" } else { name.as_str() },
            email.as_str(),
            contact.phone.as_str(),
            contact.address.as_str(),
        ];
        let former_values: Vec<String> = former_values.map(str::to_owned).collect();
        let values = values.into_iter().chain(former_values.iter().map(String::as_str));
        let everywhere: Vec<String> = searchable(contact, values);
        // Parts of e-mail addresses are in too many texts.
        let texts = everywhere.iter().filter(|value| !value.contains('@'));
        let words = texts.flat_map(|value| value.split(|c: char| !c.is_alphanumeric()));
        // So are the numbers of houses.
        let words = words.filter(|word| word.chars().any(char::is_alphabetic));
        let of_contact = words.chain([contact.address2.as_str()]);
        let of_contact = everywhere.iter().map(String::as_str).chain(of_contact);
        let of_contact = searchable(contact, of_contact);
        let identities = [contact.number.to_string(), contact.id.to_string()];
        Self { everywhere, of_contact, identities }
    }

    /// Removes the values from all free texts. Returns the number of changed rows by table.
    pub(super) async fn redact_texts(
        &self,
        conn: &mut AsyncPgConnection,
        contact: &Key,
    ) -> QueryResult<Vec<(&'static str, usize)>> {
        let mut counts = Vec::new();
        for texts in FREE_TEXTS {
            let mut count = 0_usize;
            if let (Some(of_contact), Some(pattern)) =
                (texts.of_contact, pattern_of_words(&self.of_contact))
            {
                let query = diesel::sql_query(update(texts, Some(of_contact)))
                    .bind::<SqlText, _>(pattern)
                    .bind::<SqlText, _>(REPLACEMENT)
                    .bind::<SqlText, _>(contact);
                count = count.saturating_add(query.execute(conn).await?);
            }
            if let Some(pattern) = pattern_of_words(&self.everywhere) {
                let query = diesel::sql_query(update(texts, None))
                    .bind::<SqlText, _>(pattern)
                    .bind::<SqlText, _>(REPLACEMENT);
                count = count.saturating_add(query.execute(conn).await?);
            }
            counts.push((texts.table, count));
        }
        Ok(counts)
    }

    /// Returns the pattern and the replacement for paths; `None` if there is nothing to search.
    pub(super) fn path_redaction(&self) -> Option<(String, &'static str)> {
        pattern_of_words(&self.everywhere).map(|pattern| (pattern, REPLACEMENT))
    }

    /// Returns the pattern of stored responses that can contain personal data of the contact:
    /// those that name it, and those with one of its values.
    pub(super) fn pattern_of_responses(&self) -> String {
        let [number, id] = self.identities.each_ref().map(|text| format!("\"{}\"", escaped(text)));
        self.pattern_of_values()
            .into_iter()
            .fold(format!("{number}|{id}"), |all, values| format!("{all}|{values}"))
    }

    /// Returns the pattern of texts that contain a value, also inside a word.
    pub(super) fn pattern_of_values(&self) -> Option<String> {
        pattern_of(&self.everywhere)
    }

    /// Returns a filter without the literals that contain a value; `None` if it contains none.
    pub(super) fn redacted_filter(&self, filter: &str) -> Option<String> {
        let mut redacted = String::with_capacity(filter.len());
        let mut is_changed = false;
        let mut is_personal = false;
        let mut word = String::new();
        let mut rest = filter.chars().peekable();
        while let Some(c) = rest.next() {
            if c != '\'' {
                redacted.push(c);
                if c.is_alphanumeric() || matches!(c, '.' | '_') {
                    word.push(c);
                } else {
                    is_personal = is_personal_after(&word, is_personal);
                    word.clear();
                }
                continue;
            }
            is_personal = is_personal_after(&word, is_personal);
            word.clear();
            let mut literal = String::new();
            while let Some(c) = rest.next() {
                // A quote inside a literal is doubled.
                if c == '\'' && rest.next_if_eq(&'\'').is_none() {
                    break;
                }
                literal.push(c);
            }
            if is_personal && self.is_mentioned(&literal) {
                is_changed = true;
                literal = REDACTED.to_owned();
            }
            let _ = write!(redacted, "'{}'", literal.replace('\'', "''"));
        }
        is_changed.then_some(redacted)
    }

    fn is_mentioned(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.everywhere.iter().any(|value| {
            let value = value.to_lowercase();
            text.match_indices(&value).any(|(start, matched)| {
                let before = text.get(..start).and_then(|before| before.chars().next_back());
                let end = start.saturating_add(matched.len());
                let after = text.get(end..).and_then(|after| after.chars().next());
                ![before, after].into_iter().flatten().any(is_word_character)
            })
        })
    }
}

/// Returns whether the literals after a word of a filter are of a field with personal data. A word
/// that names no field leaves that as it is.
fn is_personal_after(word: &str, is_personal: bool) -> bool {
    if super::FIELDS.iter().any(|field| field.name == word) {
        PERSONAL_FIELDS.contains(&word)
    } else {
        is_personal
    }
}

/// Returns the values that can be searched, each once. The numbers of the contact are no personal
/// data here: they stay as pseudonyms.
fn searchable<'a>(contact: &ContactView, values: impl Iterator<Item = &'a str>) -> Vec<String> {
    let numbers = [Some(&contact.number), contact.customer.as_ref().map(|it| &it.number)];
    let numbers = numbers.into_iter().flatten().map(|number| number.as_str().to_lowercase());
    let numbers: Vec<String> = numbers.collect();
    let mut found: Vec<String> = Vec::new();
    for value in values.map(str::trim) {
        let min = if value.is_ascii() { MIN_VALUE_LENGTH } else { MIN_LENGTH_OUTSIDE_ASCII };
        let is_long_enough = value.chars().count() >= min;
        if is_long_enough
            && !numbers.contains(&value.to_lowercase())
            && !found.iter().any(|known| known == value)
        {
            found.push(value.to_owned());
        }
    }
    found
}

/// Returns the statement that replaces matches of `$1` by `$2` in texts. A text does not become
/// longer than it was, since its length has a limit.
fn update(texts: &FreeTexts, condition: Option<&str>) -> String {
    let columns = texts.columns;
    let changes: Vec<String> = columns
        .iter()
        .map(|column| {
            format!(
                "{column} = left(regexp_replace({column}, $1, $2, 'gi'), char_length({column}))"
            )
        })
        .collect();
    let matches: Vec<String> = columns.iter().map(|column| format!("{column} ~* $1")).collect();
    let condition = condition.unwrap_or("true");
    format!(
        "UPDATE {} SET {} WHERE ({}) AND {condition}",
        texts.table,
        changes.join(", "),
        matches.join(" OR ")
    )
}

/// Returns the pattern of any of the values; `None` without values.
fn pattern_of(values: &[String]) -> Option<String> {
    let values: Vec<String> = values.iter().map(|value| escaped(value)).collect();
    if values.is_empty() { None } else { Some(format!("(?:{})", values.join("|"))) }
}

/// Returns the pattern of any of the values as whole words. Scripts without spaces between words
/// have none, so only Latin letters and digits continue a word.
fn pattern_of_words(values: &[String]) -> Option<String> {
    pattern_of(values)
        .map(|values| format!("(^|[^0-9A-Za-zÀ-ɏ]|%[[:xdigit:]]{{2}}){values}(?![0-9A-Za-zÀ-ɏ])"))
}

fn is_word_character(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, 'À'..='ɏ')
}

/// Returns the pattern of a value in texts, in JSON, in quoted literals and in paths.
fn escaped(value: &str) -> String {
    let mut pattern = String::new();
    for c in value.chars() {
        match c {
            '0'..='9' | 'A'..='Z' | 'a'..='z' => pattern.push(c),
            '\'' => pattern.push_str("(?:''?|%27)"),
            '"' => pattern.push_str("(?:\\\\?\"|%22)"),
            '\\' => pattern.push_str("(?:\\\\\\\\?|%5C)"),
            c if c.is_whitespace() => pattern.push_str("(?:[[:space:]]+|%20|\\+)"),
            c => {
                let literal = if c.is_ascii() { format!("\\{c}") } else { c.to_string() };
                let mut bytes = [0; 4];
                let bytes = c.encode_utf8(&mut bytes).bytes();
                let encoded = bytes.fold(String::new(), |mut encoded, byte| {
                    let _ = write!(encoded, "%{byte:02X}");
                    encoded
                });
                let _ = write!(pattern, "(?:{literal}|{encoded})");
            }
        }
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(values: &[&str]) -> PersonalData {
        let everywhere: Vec<String> = values.iter().map(|value| (*value).to_owned()).collect();
        PersonalData {
            of_contact: everywhere.clone(),
            everywhere,
            identities: ["C1".to_owned(), "id".to_owned()],
        }
    }

    #[test]
    fn filters_lose_literals_of_personal_fields_only() {
        let data = data(&["Olga O'Hara", "North"]);
        for (filter, expected) in [
            ("name eq 'Olga O''Hara'", Some("name eq '***'")),
            ("name eq 'olga o''hara' or city eq 'Oslo'", Some("name eq '***' or city eq 'Oslo'")),
            ("contains(name,'The North')", Some("contains(name,'***')")),
            (
                "phone eq '1' or name in ('A','North','B')",
                Some("phone eq '1' or name in ('A','***','B')"),
            ),
            ("territoryCode eq 'NORTH'", None),
            ("name eq 'Northern'", None),
            ("name eq 'x' and territoryCode eq 'NORTH'", None),
            ("industryGroups/any(name: name eq 'A')", None),
            ("", None),
        ] {
            assert_eq!(data.redacted_filter(filter).as_deref(), expected, "{filter}");
        }
    }

    #[test]
    fn patterns_cover_all_notations() {
        assert_eq!(pattern_of(&[]), None);
        assert_eq!(
            pattern_of(&["a@B c".to_owned(), "Ø".to_owned()]).unwrap(),
            "(?:a(?:\\@|%40)B(?:[[:space:]]+|%20|\\+)c|(?:Ø|%C3%98))"
        );
    }
}
