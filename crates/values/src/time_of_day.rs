//! Times of day, to the minute.

use std::fmt;

use chrono::NaiveTime;
#[cfg(feature = "postgres")]
use diesel::sql_types::Time as SqlTime;

use super::wire::{Invalid, InvalidKind};

/// A time of day in the company's time zone, from 00:00 to 23:59.
#[derive(Debug, Clone, Copy, PartialEq, Eq, utoipa::ToSchema)]
#[cfg_attr(
    feature = "postgres",
    derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow),
    diesel(sql_type = SqlTime)
)]
#[schema(
    value_type = String,
    pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$",
    max_length = 5,
    example = "14:30"
)]
pub struct TimeOfDay(NaiveTime);

impl TimeOfDay {
    /// Parses `HH:MM` and nothing else.
    ///
    /// # Errors
    /// If the text has another form or is not a time of day.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let form = text.len() == 5
            && text
                .bytes()
                .enumerate()
                .all(|(at, b)| if at == 2 { b == b':' } else { b.is_ascii_digit() });
        NaiveTime::parse_from_str(text, "%H:%M").ok().filter(|_| form).map(Self).ok_or_else(|| {
            Invalid::new(InvalidKind::Time, "a time has the form 14:30, from 00:00 to 23:59")
        })
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.format("%H:%M").fmt(f)
    }
}

only_strings!(TimeOfDay);
string_serde!(TimeOfDay);
sql_column!(TimeOfDay, SqlTime, NaiveTime, |time: &TimeOfDay| time.0, |stored: NaiveTime| Ok(
    TimeOfDay(stored)
));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_minutes_of_a_day_are_times() {
        for right in ["00:00", "09:05", "23:59"] {
            assert_eq!(TimeOfDay::parse(right).unwrap().to_string(), right);
        }
        for wrong in
            ["", "24:00", "9:05", "09:5", "09:60", "09:05:00", "0905", " 9:05", "+9:05", "09.05"]
        {
            assert_eq!(TimeOfDay::parse(wrong).unwrap_err().kind, InvalidKind::Time, "{wrong:?}");
        }
    }
}
