//! Calendar dates of the company's time zone.

use std::fmt;

use chrono::{Datelike, Months, NaiveDate, TimeDelta};
#[cfg(feature = "postgres")]
use diesel::sql_types::Date as SqlDate;

use super::wire::{Invalid, InvalidKind};

/// A calendar date, from 0001-01-01 to 9999-12-31.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, utoipa::ToSchema)]
#[cfg_attr(
    feature = "postgres",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
    diesel(sql_type = SqlDate)
)]
#[schema(value_type = String, format = Date, max_length = 10, example = "2031-05-15")]
pub struct Date(NaiveDate);

impl Date {
    /// Parses `YYYY-MM-DD` and nothing else.
    ///
    /// # Errors
    /// If the text has another form or is not a day of the calendar.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let form = text.len() == 10
            && text
                .bytes()
                .enumerate()
                .all(|(at, b)| if at == 4 || at == 7 { b == b'-' } else { b.is_ascii_digit() });
        let number = |digits: std::ops::Range<usize>| text.get(digits)?.parse::<u32>().ok();
        let day = || {
            let year = number(0..4).and_then(|year| i32::try_from(year).ok())?;
            NaiveDate::from_ymd_opt(year, number(5..7)?, number(8..10)?)
                .filter(|_| form && year >= 1)
        };
        day().map(Self).ok_or_else(|| {
            Invalid::new(
                InvalidKind::Date,
                "a date has the form 2031-05-15 and names a day of the calendar",
            )
        })
    }

    /// Returns the date a number of days later, or earlier if it is negative. Returns `None`
    /// outside the years 1 to 9999.
    #[must_use]
    pub fn plus_days(self, days: i64) -> Option<Self> {
        self.0.checked_add_signed(TimeDelta::try_days(days)?).and_then(Self::within)
    }

    /// Returns the same day a number of months later, or the last day of a shorter month. Returns
    /// `None` outside the years 1 to 9999.
    #[must_use]
    pub fn plus_months(self, months: u32) -> Option<Self> {
        self.0.checked_add_months(Months::new(months)).and_then(Self::within)
    }

    fn within(date: NaiveDate) -> Option<Self> {
        (1..=9_999).contains(&date.year()).then_some(Self(date))
    }

    /// Returns the date.
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
string_serde!(Date);
sql_column!(Date, SqlDate, NaiveDate, |date: &Date| date.0, |stored: NaiveDate| Ok(Date(stored)));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_move_within_the_calendar() {
        let date = |text| Date::parse(text).unwrap();
        assert_eq!(date("2031-01-31").plus_months(1), Some(date("2031-02-28")));
        assert_eq!(date("2031-03-01").plus_days(-1), Some(date("2031-02-28")));
        assert_eq!(date("9999-12-30").plus_days(1), Some(date("9999-12-31")));
        assert_eq!(date("9999-12-31").plus_days(1), None);
        assert_eq!(date("9999-12-01").plus_months(1), None);
        assert_eq!(date("0001-01-01").plus_days(-1), None);
        assert_eq!(date("0001-01-01").plus_days(i64::MIN), None);
    }

    #[test]
    fn only_calendar_days_are_dates() {
        assert_eq!(Date::parse("2028-02-29").unwrap().to_string(), "2028-02-29");
        for wrong in [
            "2031-02-29",
            "2031-2-9",
            "+2031-01-01",
            "20310101",
            "2031-01-01T00",
            "0000-01-01",
            "",
            "2031-13-01",
        ] {
            assert_eq!(Date::parse(wrong).unwrap_err().kind, InvalidKind::Date, "{wrong:?}");
        }
    }
}
