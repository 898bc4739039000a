//! The fixed words of tasks, and when a recurring task comes again.

use deserr::Deserr;
use serde::Serialize;
use utoipa::ToSchema;

use crate::platform::http::json::BodyErrors;
use crate::platform::http::problem::{FieldCode, FieldError};
use crate::values::Date;
use crate::values::wire::text_enum;

text_enum! {
    /// How urgent a task is.
    TaskPriority {
        /// It can wait.
        Low = "LOW",
        /// As usual.
        Normal = "NORMAL",
        /// Before others.
        High = "HIGH",
    }
}

text_enum! {
    /// How far a task is.
    TaskState {
        /// Nobody has begun.
        NotStarted = "NOT_STARTED",
        /// Somebody is at it.
        InProgress = "IN_PROGRESS",
        /// It is done, and closed.
        Completed = "COMPLETED",
        /// It waits for somebody else.
        Waiting = "WAITING",
        /// It was put off.
        Postponed = "POSTPONED",
    }
}

text_enum! {
    /// What the interval of a recurring task counts.
    RecurrenceUnit {
        /// Days.
        Days = "DAYS",
        /// Weeks of seven days.
        Weeks = "WEEKS",
        /// Months; a day that a month does not have is its last one.
        Months = "MONTHS",
    }
}

text_enum! {
    /// From which day on the interval of a recurring task is counted.
    RecurrenceFrom {
        /// From the date of the task that is closed.
        DueDate = "DUE_DATE",
        /// From the day on which it is closed.
        ClosingDate = "CLOSING_DATE",
    }
}

/// The longest interval, in its unit.
const MAX_INTERVAL: i32 = 999;

/// How a task comes again: closing it creates the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserr, Serialize, ToSchema)]
#[schema(as = TaskRecurrence)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct Recurrence {
    /// After how many of the unit it comes again.
    #[schema(minimum = 1, maximum = 999, example = 2)]
    pub interval: i32,
    /// What the interval counts.
    #[schema(example = "WEEKS")]
    pub unit: RecurrenceUnit,
    /// From which day on it is counted.
    #[schema(example = "DUE_DATE")]
    pub from: RecurrenceFrom,
}

impl Recurrence {
    /// The rule that it breaks, if it does.
    pub(super) fn rule(self) -> Option<FieldError> {
        let detail = format!("an interval lies between 1 and {MAX_INTERVAL}");
        let out = !(1..=MAX_INTERVAL).contains(&self.interval);
        out.then(|| FieldError::new("/recurrence/interval", FieldCode::OutOfRange, detail))
    }

    /// The date of the task after the one that was due and is closed on these days; none where the
    /// calendar ends before.
    pub(super) fn next(self, due: Date, closing: Date) -> Option<Date> {
        let base = match self.from {
            RecurrenceFrom::DueDate => due,
            RecurrenceFrom::ClosingDate => closing,
        };
        match self.unit {
            RecurrenceUnit::Days => base.plus_days(i64::from(self.interval)),
            RecurrenceUnit::Weeks => base.plus_days(i64::from(self.interval).saturating_mul(7)),
            RecurrenceUnit::Months => base.plus_months(u32::try_from(self.interval).ok()?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_task_comes_an_interval_after_its_base() {
        let date = |text| Date::parse(text).unwrap();
        let (due, closing) = (date("2031-01-31"), date("2031-02-10"));
        for (interval, unit, from, next) in [
            (3, RecurrenceUnit::Days, RecurrenceFrom::DueDate, "2031-02-03"),
            (2, RecurrenceUnit::Weeks, RecurrenceFrom::ClosingDate, "2031-02-24"),
            (1, RecurrenceUnit::Months, RecurrenceFrom::DueDate, "2031-02-28"),
        ] {
            assert_eq!(Recurrence { interval, unit, from }.next(due, closing), Some(date(next)));
        }
    }
}
