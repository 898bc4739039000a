//! The enumerations of tasks, and the recurrence of tasks.

use deserr::Deserr;
use serde::Serialize;
use utoipa::ToSchema;
use values::Date;
use values::text_enum;

use crate::platform::http::json::BodyErrors;
use crate::platform::http::problem::{FieldCode, FieldError};

text_enum! {
    /// The priority of a task.
    TaskPriority {
        /// Low priority.
        Low = "LOW",
        /// Normal priority.
        Normal = "NORMAL",
        /// High priority.
        High = "HIGH",
    }
}

text_enum! {
    /// The progress of a task.
    TaskState {
        /// Work has not started.
        NotStarted = "NOT_STARTED",
        /// Work has started.
        InProgress = "IN_PROGRESS",
        /// The task is done and closed.
        Completed = "COMPLETED",
        /// The task waits for somebody else.
        Waiting = "WAITING",
        /// The task was postponed.
        Postponed = "POSTPONED",
    }
}

text_enum! {
    /// The unit of a recurrence interval.
    RecurrenceUnit {
        /// Days.
        Days = "DAYS",
        /// Weeks of seven days.
        Weeks = "WEEKS",
        /// Months. In a month without that day, the last day is taken.
        Months = "MONTHS",
    }
}

text_enum! {
    /// The day from which a recurrence interval is counted.
    RecurrenceFrom {
        /// The date of the closed task.
        DueDate = "DUE_DATE",
        /// The day on which the task is closed.
        ClosingDate = "CLOSING_DATE",
    }
}

/// The maximum interval, in its unit.
const MAX_INTERVAL: i32 = 999;

/// The recurrence of a task: closing the task creates the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserr, Serialize, ToSchema)]
#[schema(as = TaskRecurrence)]
#[deserr(error = BodyErrors, rename_all = camelCase, deny_unknown_fields)]
#[serde(rename_all = "camelCase")]
pub struct Recurrence {
    /// The number of units between two tasks.
    #[schema(minimum = 1, maximum = 999, example = 2)]
    pub interval: i32,
    /// The unit of the interval.
    #[schema(example = "WEEKS")]
    pub unit: RecurrenceUnit,
    /// The day from which the interval is counted.
    #[schema(example = "DUE_DATE")]
    pub from: RecurrenceFrom,
}

impl Recurrence {
    /// Returns an error if the interval is outside its bounds.
    pub(super) fn rule(self) -> Option<FieldError> {
        let detail = format!("an interval has to be between 1 and {MAX_INTERVAL}");
        let is_out_of_bounds = !(1..=MAX_INTERVAL).contains(&self.interval);
        is_out_of_bounds
            .then(|| FieldError::new("/recurrence/interval", FieldCode::OutOfRange, detail))
    }

    /// Returns the date of the next task, given the due date and the closing date. Returns `None`
    /// if it exceeds the calendar.
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
    fn next_date_is_one_interval_after_its_base() {
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
