//! Number series for resources that are created without a number.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use diesel_async::{AsyncPgConnection, RunQueryDsl};
use values::Key;

use crate::platform::http::problem::{FieldCode, Problem};
use crate::schema::settings;

/// A number series of the settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Series {
    /// Campaigns, from CP0001.
    Campaign,
    /// Segments, from SM0001.
    Segment,
    /// Contacts, from CT000001.
    Contact,
    /// Opportunities, from OP000001.
    Opportunity,
}

impl Series {
    /// Returns the start of the SQL condition that a number is taken.
    const fn taken(self) -> &'static str {
        match self {
            Self::Campaign => "EXISTS (SELECT FROM campaigns WHERE number = ",
            // A logged segment keeps its number.
            Self::Segment => {
                "EXISTS (SELECT FROM (SELECT number FROM segments UNION ALL SELECT number \
                 FROM logged_segments) AS segments \
                 WHERE number = "
            }
            Self::Contact => "EXISTS (SELECT FROM contacts WHERE number = ",
            Self::Opportunity => "EXISTS (SELECT FROM opportunities WHERE number = ",
        }
    }
}

/// Takes the next free number of a series and skips numbers that were given by hand. The series is
/// locked until the transaction ends, so that no number is used twice. A rollback frees the number.
///
/// # Errors
/// 422 if the series is exhausted, or if the database fails.
pub async fn next_number(conn: &mut AsyncPgConnection, series: Series) -> Result<Key, Problem> {
    let columns = (
        settings::next_campaign_number,
        settings::next_segment_number,
        settings::next_contact_number,
        settings::next_opportunity_number,
    );
    let (campaign, segment, contact, opportunity): (Key, Key, Key, Key) =
        settings::table.select(columns).for_no_key_update().first(conn).await?;
    let mut number = match series {
        Series::Campaign => campaign,
        Series::Segment => segment,
        Series::Contact => contact,
        Series::Opportunity => opportunity,
    };
    while diesel::select(sql::<Bool>(series.taken()).bind::<Text, _>(&number).sql(")"))
        .get_result(conn)
        .await?
    {
        number = after(&number).ok_or_else(|| exhausted(&number))?;
    }
    let next = after(&number).ok_or_else(|| exhausted(&number))?;
    let update = diesel::update(settings::table);
    match series {
        Series::Campaign => {
            update.set(settings::next_campaign_number.eq(next)).execute(conn).await?
        }
        Series::Segment => update.set(settings::next_segment_number.eq(next)).execute(conn).await?,
        Series::Contact => update.set(settings::next_contact_number.eq(next)).execute(conn).await?,
        Series::Opportunity => {
            update.set(settings::next_opportunity_number.eq(next)).execute(conn).await?
        }
    };
    Ok(number)
}

fn exhausted(number: &Key) -> Problem {
    Problem::rule(
        "/number",
        FieldCode::Required,
        format!("the number series ends at {number}; give a number"),
    )
}

/// Returns the number after a number. The last run of digits is incremented, and grows by a digit
/// if it is all nines. `None` if there are no digits or the result is too long for a key.
#[must_use]
pub fn after(number: &Key) -> Option<Key> {
    let text = number.as_str();
    let end = text.rfind(|c: char| c.is_ascii_digit())?.saturating_add(1);
    let (head, tail) = text.split_at_checked(end)?;
    let prefix = head.trim_end_matches(|c: char| c.is_ascii_digit());
    let digits = head.get(prefix.len()..)?;
    let mut counted = String::new();
    let mut carry = true;
    for digit in digits.bytes().rev() {
        let next = match (carry, digit) {
            (false, digit) => digit,
            (true, b'9') => b'0',
            (true, digit) => {
                carry = false;
                digit.saturating_add(1)
            }
        };
        counted.insert(0, char::from(next));
    }
    if carry {
        counted.insert(0, '1');
    }
    Key::parse(&format!("{prefix}{counted}{tail}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_digits_are_incremented() {
        for (number, next) in [
            ("CP0001", "CP0002"),
            ("CP9999", "CP10000"),
            ("A1-09X", "A1-10X"),
            ("7", "8"),
            ("Ø09", "Ø10"),
            ("A 9/Å", "A 10/Å"),
            ("CT000199", "CT000200"),
        ] {
            assert_eq!(after(&Key::parse(number).unwrap()).unwrap().as_str(), next);
        }
    }

    #[test]
    fn series_ends_without_next_key() {
        assert_eq!(after(&Key::parse("ABC").unwrap()), None);
        assert_eq!(after(&Key::parse(&"9".repeat(50)).unwrap()), None);
    }
}
