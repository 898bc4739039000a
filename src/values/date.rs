//! Calendar dates of the company's time zone.

use std::fmt;

use chrono::{Datelike, NaiveDate};
use diesel::sql_types::Date as SqlDate;

use super::wire::{Invalid, InvalidKind, only_strings, stored_as, travels_as_string};

/// A calendar date, from 0001-01-01 to 9999-12-31.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    diesel::expression::AsExpression,
    diesel::deserialize::FromSqlRow,
    utoipa::ToSchema,
)]
#[diesel(sql_type = SqlDate)]
#[schema(value_type = String, format = Date, max_length = 10, example = "2031-05-15")]
pub struct Date(NaiveDate);

impl Date {
    /// Parses `YYYY-MM-DD` and nothing else.
    ///
    /// # Errors
    /// When the text has another form or names no day.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let form = text.len() == 10
            && text.bytes().enumerate().all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() });
        NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|date| form && date.year() >= 1).map(Self).ok_or_else(
            || Invalid::new(InvalidKind::Date, "a date has the form 2031-05-15 and names a day of the calendar"),
        )
    }

    /// The date.
    #[must_use]
    pub const fn get(self) -> NaiveDate {
        self.0
    }
}

impl From<NaiveDate> for Date {
    fn from(date: NaiveDate) -> Self {
        Self(date)
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

only_strings!(Date);
travels_as_string!(Date);
stored_as!(Date, SqlDate, NaiveDate, |date: &Date| date.0, |stored: NaiveDate| Ok(Date(stored)));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_of_the_calendar() {
        assert_eq!(Date::parse("2028-02-29").unwrap().to_string(), "2028-02-29");
        for wrong in
            ["2031-02-29", "2031-2-9", "+2031-01-01", "20310101", "2031-01-01T00", "0000-01-01", "", "2031-13-01"]
        {
            assert_eq!(Date::parse(wrong).unwrap_err().kind, InvalidKind::Date, "{wrong:?}");
        }
    }
}
